/*
 * bench_engine.c
 *		The engine alone: a map of 64-bit keys and values, reads and writes by
 *		one or two threads on one or two replicas of one or two copies; what reads
 *		wait for beside a writer that never pauses; and what two replicas cost those
 *		who only read.
 *
 * Usage: bench_engine [seconds per figure [keys [rounds]]], or bench_engine replicas
 * [rounds], which does only the last.
 *
 * Variants are interleaved: each round measures all of them, and medians over the
 * rounds are printed.
 *
 * A figure of two threads depends on how far apart their processors are, so
 * next to it stands the round trip of one cache line between them, measured at
 * the same time.  Percentiles are of single calls, sampled one in 16, and
 * contain the clock, about 20 ns.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench_map.h"

#define THREADS_MAX		2
#define ROUNDS_MAX		64
#define PAIRS			8		/* of maps */
#define VALUES_MAX		(ROUNDS_MAX * PAIRS)
#define BUCKETS			(64 * 16)	/* of a histogram: 16 for each power of two of ns */

typedef struct Run
{
	Th		   *th;
	uint64_t	seed;
	uint32_t	keys;
	uint32_t	writes_percent[THREADS_MAX];
	uint32_t	batch;			/* writes in one request */
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

static void
call(Worker *w, NrHandle *h, uint64_t *random)
{
	const Run  *run = w->run;
	uint64_t	x = th_random(random);
	uint64_t	key = (uint32_t) x % run->keys;
	uint64_t	value = x;

	if ((x >> 32) % 100 < run->writes_percent[w->i])
	{
		uint64_t	keys[BATCH_MAX];

		keys[0] = key;
		for (uint32_t i = 1; i < run->batch; i++)
			keys[i] = th_random(random) % run->keys;
		put(h, run->seed, keys, value, run->batch);
	}
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

/* ---- figures ---- */

/* One variant and what was measured of it, round by round. */
typedef struct Variant
{
	Th		   *th;
	uint32_t	copies;
	uint32_t	threads;
	uint32_t	writes_percent[THREADS_MAX];
	uint32_t	batch;
	double		mops[ROUNDS_MAX];	/* of all threads, or with "reader_only" of the first */
	double		p50[ROUNDS_MAX];
	double		p99[ROUNDS_MAX];
	double		p999[ROUNDS_MAX];
	bool		reader_only;
} Variant;

static void
measure(Variant *v, uint32_t round, uint64_t seed, uint32_t keys, double seconds)
{
	static Worker worker[THREADS_MAX];
	Run			run = {.th = v->th, .seed = seed, .keys = keys, .batch = v->batch};
	uint32_t	counted = v->reader_only ? 1 : v->threads;
	pthread_t	thread[THREADS_MAX];
	uint64_t	from,
				calls = 0;
	double		ns;

	memset(worker, 0, sizeof(worker));
	memcpy(run.writes_percent, v->writes_percent, sizeof(run.writes_percent));
	for (uint32_t t = 0; t < v->threads; t++)
	{
		worker[t].run = &run;
		worker[t].i = t;
		worker[t].replica = t % v->th->geo.replicas;
		thread[t] = th_start(work, &worker[t]);
	}
	th_until(&run.ready, v->threads);
	from = th_now_ns();
	atomic_store(&run.go, 1);
	th_sleep_us((long) (seconds * 1e6));
	atomic_store(&run.stop, 1);
	ns = (double) (th_now_ns() - from);
	for (uint32_t t = 0; t < v->threads; t++)
	{
		th_join(thread[t]);
		if (t < counted)
			calls += worker[t].calls;
		if (worker[t].missed > 0)
			th_die("keys were missed");
	}
	v->mops[round] = (double) calls * 1e3 / ns;
	v->p50[round] = percentile(worker, counted, 0.5);
	v->p99[round] = percentile(worker, counted, 0.99);
	v->p999[round] = percentile(worker, counted, 0.999);
}

/* Reads and writes mixed, one copy against two. */
static void
mixes(double seconds, uint32_t keys, uint32_t rounds, uint64_t seed)
{
	static const uint32_t writes[] = {0, 1, 10, 50};
	static const uint32_t shape[][2] = {{1, 1}, {1, 2}, {2, 1}, {2, 2}};
	static Variant v[4 * 2 * 4];
	uint32_t	n = 0;

	memset(v, 0, sizeof(v));
	for (uint32_t s = 0; s < 4; s++)
	{
		Th		   *th = make_map(shape[s][0], shape[s][1], 64, keys, seed);

		for (uint32_t threads = 1; threads <= THREADS_MAX; threads++)
			for (uint32_t i = 0; i < 4; i++)
				v[n++] = (Variant)
			{
				.th = th,.copies = shape[s][1],.threads = threads,.batch = 1,
				.writes_percent = {writes[i], writes[i]}
			};
	}
	for (uint32_t round = 0; round < rounds; round++)
		for (uint32_t i = 0; i < n; i++)
			measure(&v[i], round, seed, keys, seconds);

	printf("%u keys, %u rounds, medians; a line's round trip between the processors: %.0f ns\n"
		   "%8s %6s %7s %7s %8s %8s %8s %8s\n", keys, rounds, round_trip_ns(),
		   "replicas", "copies", "threads", "writes", "Mops/s", "p50 ns", "p99 ns", "p99.9 ns");
	for (uint32_t i = 0; i < n; i++)
		printf("%8u %6u %7u %6u%% %8.2f %8.0f %8.0f %8.0f\n", v[i].th->geo.replicas, v[i].copies,
			   v[i].threads, v[i].writes_percent[0], median(v[i].mops, rounds),
			   median(v[i].p50, rounds), median(v[i].p99, rounds), median(v[i].p999, rounds));
	for (uint32_t i = 0; i < n; i += 8)
		th_free(v[i].th);
}

/* A reader alone, and beside a writer that publishes without a pause. */
static void
beside_writer(double seconds, uint32_t keys, uint32_t rounds, uint64_t seed)
{
	static const uint32_t batch[] = {0, 1, 16, 256};	/* 0: no writer */
	static Variant v[2 * 4];
	uint32_t	n = 0;

	memset(v, 0, sizeof(v));
	for (uint32_t copies = 1; copies <= 2; copies++)
	{
		Th		   *th = make_map(1, copies, 64, keys, seed);

		for (uint32_t i = 0; i < 4; i++)
			v[n++] = (Variant)
		{
			.th = th,.copies = copies,.threads = batch[i] == 0 ? 1 : 2,.batch = batch[i],
			.writes_percent = {0, 100},.reader_only = true
		};
	}
	for (uint32_t round = 0; round < rounds; round++)
		for (uint32_t i = 0; i < n; i++)
			measure(&v[i], round, seed, keys, seconds);

	printf("\nreads beside a writer that never pauses, %u keys, %u rounds, medians, x: against no writer; a line's round trip: %.0f ns\n"
		   "%6s %14s %8s %6s %8s %6s %8s %6s %8s\n", keys, rounds, round_trip_ns(),
		   "copies", "writes/publish", "Mreads/s", "x", "p50 ns", "x", "p99 ns", "x", "p99.9 ns");
	for (uint32_t i = 0; i < n; i++)
	{
		const Variant *alone = &v[i / 4 * 4];

		printf("%6u %14u %8.2f %6.2f %8.0f %6.2f %8.0f %6.2f %8.0f\n", v[i].copies, v[i].batch,
			   median(v[i].mops, rounds), median(v[i].mops, rounds) / median(alone->mops, rounds),
			   median(v[i].p50, rounds), median(v[i].p50, rounds) / median(alone->p50, rounds),
			   median(v[i].p99, rounds), median(v[i].p99, rounds) / median(alone->p99, rounds),
			   median(v[i].p999, rounds));
	}
	th_free(v[0].th);
	th_free(v[4].th);
}

/* ---- two replicas, nobody writes ---- */

/*
 * Where its pages happen to lie makes one map quicker than another, so there are
 * several of each kind, and a pair of them is measured there and back: one replica,
 * two, two, one.  All threads are at the same step.
 */
#define PAIR_KEYS		10000
#define PAIR_READS		40000
#define PAIR_STEPS		4

typedef struct Reader
{
	_Alignas(128) Th *(*map)[2];
	_Atomic uint32_t *steps;	/* of all readers together */
	uint32_t	readers;
	uint32_t	i;
	bool		spread;			/* over the replicas */
	uint32_t	n;				/* pairs to measure */
	uint64_t	seed;
	double		ns[2][VALUES_MAX];	/* of processor time a read */
} Reader;

static double
thread_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double) t.tv_sec * 1e9 + (double) t.tv_nsec;
}

static double
read_ns(NrHandle *h, uint64_t seed, uint64_t *random)
{
	uint32_t	missed = 0;
	double		from = 0;

	/* the first half brings near what the second needs */
	for (uint32_t n = 0; n < 2 * PAIR_READS; n++)
	{
		uint64_t	value;

		if (n == PAIR_READS)
			from = thread_ns();
		missed += !get(h, seed, (th_random(random) & UINT32_MAX) * PAIR_KEYS >> 32, &value);
	}
	if (missed > 0)
		th_die("keys were missed");
	return (thread_ns() - from) / PAIR_READS;
}

static void *
only_read(void *arg)
{
	Reader	   *reader = arg;
	uint64_t	random = reader->i + 88172645463325252u;
	uint32_t	step = 0;
	NrSession	session[PAIRS][2];
	NrHandle	handle[PAIRS][2];

	for (uint32_t m = 0; m < 2 * PAIRS; m++)
	{
		Th		   *th = reader->map[m / 2][m % 2];

		th_register(th, reader->i, reader->spread ? reader->i % th->geo.replicas : 0, &session[m / 2][m % 2]);
		th_attach(&session[m / 2][m % 2], 0, &ds_hash_dispatch, &handle[m / 2][m % 2]);
	}
	for (; step < reader->n * PAIR_STEPS; step++)
	{
		uint32_t	n = step / PAIR_STEPS;
		uint32_t	two = (step + 1) / 2 % 2;

		atomic_fetch_add(reader->steps, 1);
		while (atomic_load_explicit(reader->steps, memory_order_acquire) < (step + 1) * reader->readers)
			nr_pause();
		reader->ns[two][n] += read_ns(&handle[n % PAIRS][two], reader->seed, &random) / 2;
	}
	for (uint32_t m = 0; m < 2 * PAIRS; m++)
	{
		nr_group_detach(&handle[m / 2][m % 2]);
		nr_session_unregister(&session[m / 2][m % 2]);
	}
	return NULL;
}

/* Measure the pairs "n" times in all, and print what came out. */
static void
read_pairs(Th *(*map)[2], uint32_t readers, bool spread, uint32_t n, uint64_t seed)
{
	static Reader reader[THREADS_MAX];
	static double ns[2][VALUES_MAX];
	static double ratio[VALUES_MAX];
	_Atomic uint32_t steps = 0;
	pthread_t	thread[THREADS_MAX];

	memset(ns, 0, sizeof(ns));
	for (uint32_t i = 0; i < readers; i++)
	{
		reader[i] = (Reader)
		{
			.map = map,.steps = &steps,.readers = readers,.i = i,.spread = spread,.n = n,.seed = seed
		};
		thread[i] = th_start(only_read, &reader[i]);
	}
	for (uint32_t i = 0; i < readers; i++)
	{
		th_join(thread[i]);
		for (uint32_t k = 0; k < 2 * n; k++)
			ns[k / n][k % n] += reader[i].ns[k / n][k % n] / readers;
	}
	for (uint32_t k = 0; k < n; k++)
		ratio[k] = ns[1][k] / ns[0][k];
	printf("%8u %13s %12.1f %13.1f %6.3f %6.3f to %.3f\n", readers, spread && readers > 1 ? "each its own" : "one",
		   median(ns[0], n), median(ns[1], n), median(ratio, n), quantile(ratio, n, 0.25), quantile(ratio, n, 0.75));
}

static void
replicas_read(uint32_t rounds, uint64_t seed)
{
	Th		   *map[PAIRS][2];

	for (uint32_t m = 0; m < 2 * PAIRS; m++)
		map[m / 2][m % 2] = make_map(1 + m % 2, 1, 64, PAIR_KEYS, seed);
	printf("\nreads, %u keys, nobody writes, ns of processor time a read; medians and quartiles of %u times\n"
		   "%8s %13s %12s %13s %6s\n", PAIR_KEYS, rounds * PAIRS,
		   "threads", "replicas used", "one replica", "two replicas", "x");
	read_pairs(map, 1, true, rounds * PAIRS, seed);
	read_pairs(map, 2, false, rounds * PAIRS, seed);
	read_pairs(map, 2, true, rounds * PAIRS, seed);
	for (uint32_t m = 0; m < 2 * PAIRS; m++)
		th_free(map[m / 2][m % 2]);
}

int
main(int argc, char **argv)
{
	bool		all = argc < 2 || strcmp(argv[1], "replicas") != 0;
	double		seconds = all && argc > 1 ? atof(argv[1]) : 0.2;
	uint32_t	keys = all && argc > 2 ? (uint32_t) atoi(argv[2]) : 100000;
	uint32_t	rounds = argc > 2 + all ? (uint32_t) atoi(argv[2 + all]) : 5;
	uint64_t	seed = 0x6e725f6361636865;

	if (rounds < 1 || rounds > ROUNDS_MAX || keys < 1)
		th_die("usage: bench_engine [seconds per figure [keys [rounds]]], or bench_engine replicas [rounds]");
	if (all)
	{
		mixes(seconds, keys, rounds, seed);
		beside_writer(seconds, keys, rounds, seed);
	}
	replicas_read(rounds, seed);
	return 0;
}
