/*
 * bench_engine.c
 *		The engine alone: a map of 64-bit keys and values, reads and writes by
 *		one or two threads on one or two replicas.
 *
 * Usage: bench_engine [seconds per figure [keys]].
 *
 * A figure of two threads depends on how far apart their processors are, so
 * next to it stands the round trip of one cache line between them, measured at
 * the same time.  Percentiles are of single calls, sampled one in 16, and
 * contain the clock, about 20 ns.
 */
#include <stdio.h>
#include <stdlib.h>

#include "ds/hash.h"
#include "thread_host.h"

#define THREADS_MAX		2
#define BUCKETS			(64 * 16)	/* of a histogram: 16 for each power of two of ns */

typedef struct Run
{
	Th		   *th;
	uint64_t	seed;
	uint32_t	keys;
	uint32_t	writes_percent;
	_Atomic uint32_t ready;
	_Atomic uint32_t go;
	_Atomic uint32_t stop;
} Run;

typedef struct Worker
{
	_Alignas(128) Run *run;
	uint32_t	i;
	uint32_t	replica;
	uint64_t	calls;
	uint64_t	missed;
	uint32_t	histogram[BUCKETS];
} Worker;

/* ---- percentiles ---- */

static uint32_t
bucket_of(uint64_t ns)
{
	uint32_t	log;

	if (ns < 16)
		return (uint32_t) ns;
	log = 63 - (uint32_t) __builtin_clzll(ns);
	return (log - 3) * 16 + (uint32_t) (ns >> (log - 4) & 15);
}

static double
bucket_ns(uint32_t b)
{
	return b < 16 ? b : (double) ((16 + b % 16) * (UINT64_C(1) << (b / 16 - 1)));
}

static double
percentile(const Worker *w, uint32_t n, double p)
{
	uint64_t	total = 0,
				seen = 0;

	for (uint32_t t = 0; t < n; t++)
		for (uint32_t b = 0; b < BUCKETS; b++)
			total += w[t].histogram[b];
	for (uint32_t b = 0; b < BUCKETS; b++)
	{
		for (uint32_t t = 0; t < n; t++)
			seen += w[t].histogram[b];
		if ((double) seen >= p * (double) total)
			return bucket_ns(b);
	}
	return 0;
}

/* ---- the distance between two processors ---- */

typedef struct PingPong
{
	_Alignas(128) _Atomic uint32_t ball;
	_Alignas(128) _Atomic uint32_t stop;
} PingPong;

static void *
pong(void *arg)
{
	PingPong   *p = arg;

	while (!atomic_load_explicit(&p->stop, memory_order_relaxed))
		if (atomic_load_explicit(&p->ball, memory_order_acquire) & 1)
			atomic_fetch_add_explicit(&p->ball, 1, memory_order_acq_rel);
	return NULL;
}

/* Nanoseconds from sending a line to having it back; the best of several tries. */
static double
round_trip_ns(void)
{
	enum
	{
		TRIPS = 20000
	};
	static PingPong p;
	pthread_t	thread;
	double		best = 1e9;

	atomic_store(&p.ball, 0);
	atomic_store(&p.stop, 0);
	thread = th_start(pong, &p);
	for (int attempt = 0; attempt < 5; attempt++)
	{
		uint64_t	from = th_now_ns();
		double		ns;

		for (int i = 0; i < TRIPS; i++)
		{
			atomic_fetch_add_explicit(&p.ball, 1, memory_order_acq_rel);
			while (atomic_load_explicit(&p.ball, memory_order_acquire) & 1)
				nr_pause();
		}
		ns = (double) (th_now_ns() - from) / TRIPS;
		if (ns < best)
			best = ns;
	}
	atomic_store(&p.stop, 1);
	th_join(thread);
	return best;
}

/* ---- the map ---- */

static void
put(NrHandle *h, uint64_t seed, uint64_t key, uint64_t value)
{
	_Alignas(8) char op[128];
	NrResult	result = {.status = NR_OK};
	size_t		bytes = ds_hash_op_put(op, ds_hash_key(seed, &key, 8), &key, 8, &value, 8, 0);

	if (nr_execute_mut(h, op, bytes, 1, false, &result) != NR_OK || result.status != NR_OK)
		th_die("put");
}

static bool
get(NrHandle *h, uint64_t seed, uint64_t key, uint64_t *value)
{
	DsHashGet	op = {
		.code = DS_HASH_GET, .key = &key, .key_bytes = 8, .hash = ds_hash_key(seed, &key, 8),
		.out = value, .capacity = 8
	};

	return nr_execute(h, &op, NULL, false) == NR_OK && op.found;
}

static void
call(Worker *w, NrHandle *h, uint64_t *random)
{
	const Run  *run = w->run;
	uint64_t	x = th_random(random);
	uint64_t	key = (uint32_t) x % run->keys;
	uint64_t	value = x;

	if ((x >> 32) % 100 < run->writes_percent)
		put(h, run->seed, key, value);
	else
		w->missed += !get(h, run->seed, key, &value);
}

static void *
work(void *arg)
{
	Worker	   *w = arg;
	uint64_t	random = w->i + 88172645463325252u;
	NrSession	session;
	NrHandle	handle;

	th_register(w->run->th, w->i, w->replica, &session);
	th_attach(&session, 0, &ds_hash_dispatch, &handle);
	atomic_fetch_add(&w->run->ready, 1);
	while (!atomic_load(&w->run->go))
		nr_pause();
	while (!atomic_load_explicit(&w->run->stop, memory_order_relaxed))
	{
		uint64_t	from;

		for (int i = 0; i < 15; i++)
			call(w, &handle, &random);
		from = th_now_ns();
		call(w, &handle, &random);
		w->histogram[bucket_of(th_now_ns() - from)]++;
		w->calls += 16;
	}
	nr_group_detach(&handle);
	nr_session_unregister(&session);
	return NULL;
}

static Th *
make_map(uint32_t replicas, uint32_t keys, uint64_t seed)
{
	NrGeometry	geo = {
		.replicas = replicas, .sessions = 64, .groups = 1, .extent_shift = 16,
		.session_buffer_bytes = 4096
	};
	DsHashArg	arg = {.seed = seed, .line_bytes = 64};
	NrGroupConfig config = {.log_bytes = 1 << 20, .batch_bytes_max = 1 << 16, .arg_bytes = sizeof(arg)};
	NrSession	session;
	NrHandle	handle;
	Th		   *th;

	/* three times what keys and values take, and some */
	config.extents_max = keys / (65536 / (3 * 32)) + 64;
	geo.extents = config.extents_max + 64;
	memcpy(config.arg, &arg, sizeof(arg));
	th = th_new(&geo, 1, 2000);
	th_create(th, 0, &config, &ds_hash_dispatch);
	th_register(th, 0, 0, &session);
	th_attach(&session, 0, &ds_hash_dispatch, &handle);
	for (uint64_t k = 0; k < keys; k++)
		put(&handle, seed, k, k);
	for (uint32_t r = 0; r < replicas; r++)
		nr_group_sync_replica(&handle, r, false);
	nr_group_detach(&handle);
	nr_session_unregister(&session);
	return th;
}

static void
figure(Th *th, uint64_t seed, uint32_t keys, uint32_t threads, uint32_t writes_percent, double seconds)
{
	static Worker worker[THREADS_MAX];
	Run			run = {.th = th, .seed = seed, .keys = keys, .writes_percent = writes_percent};
	pthread_t	thread[THREADS_MAX];
	uint64_t	from,
				calls = 0,
				missed = 0;
	double		ns;

	memset(worker, 0, sizeof(worker));
	for (uint32_t t = 0; t < threads; t++)
	{
		worker[t].run = &run;
		worker[t].i = t;
		worker[t].replica = t % th->geo.replicas;
		thread[t] = th_start(work, &worker[t]);
	}
	th_until(&run.ready, threads);
	from = th_now_ns();
	atomic_store(&run.go, 1);
	th_sleep_us((long) (seconds * 1e6));
	atomic_store(&run.stop, 1);
	for (uint32_t t = 0; t < threads; t++)
	{
		th_join(thread[t]);
		calls += worker[t].calls;
		missed += worker[t].missed;
	}
	ns = (double) (th_now_ns() - from);
	printf("%8u %8u %7u%% %9.2f %9.0f %9.0f %9.0f", th->geo.replicas, threads, writes_percent,
		   (double) calls * 1e3 / ns, percentile(worker, threads, 0.5),
		   percentile(worker, threads, 0.99), percentile(worker, threads, 0.999));
	if (threads > 1)
		printf(" %12.0f", round_trip_ns());
	printf("%s\n", missed > 0 ? "  keys were missed!" : "");
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	static const uint32_t writes[] = {0, 1, 10, 50};
	double		seconds = argc > 1 ? atof(argv[1]) : 1;
	uint32_t	keys = argc > 2 ? (uint32_t) atoi(argv[2]) : 100000;
	uint64_t	seed = 0x6e725f6361636865;

	printf("%u keys\n%8s %8s %8s %9s %9s %9s %9s %12s\n", keys, "replicas", "threads", "writes",
		   "Mops/s", "p50 ns", "p99 ns", "p99.9 ns", "line trip ns");
	for (uint32_t replicas = 1; replicas <= 2; replicas++)
	{
		Th		   *th = make_map(replicas, keys, seed);

		for (uint32_t threads = 1; threads <= THREADS_MAX; threads++)
			for (uint32_t i = 0; i < 4; i++)
				figure(th, seed, keys, threads, writes[i], seconds);
		th_free(th);
	}
	return 0;
}
