/*
 * bench_beside.c
 *		What reads wait for beside a writer that never pauses: one copy and two, by writes in a batch.
 *
 * Usage: bench_beside [seconds per figure [keys [rounds]]]
 *
 * Every read is timed.  Percentiles are of the reads of all rounds, and contain the clock, about 20 ns; "net" leaves out reads during which
 * the reader's thread was off its processor without having asked for it (bench_time.h).
 */
#include "bench_time.h"

#define ROUNDS_MAX		64
#define ASK_NS			5000	/* after a call that took longer, the kernel is asked */
#define MARK_EACH		256
#define SEED			UINT64_C(0x6e725f6361636865)

static const uint32_t batches[] = {0, 1, 16, 64, 256};	/* 0: no writer */

#define BATCHES			(sizeof(batches) / sizeof(batches[0]))

typedef struct Variant
{
	Th		   *th;
	uint32_t	copies;
	uint32_t	batch;
	double		mreads[ROUNDS_MAX];
	double		mwrites[ROUNDS_MAX];
	double		trip_ns[ROUNDS_MAX];
	double		tail[ROUNDS_MAX];	/* p99.9 over the median, net */
	Histogram	all;
	Histogram	net;
} Variant;

typedef struct Run
{
	Variant    *v;
	uint32_t	keys;
	uint64_t	reads;
	uint64_t	writes;
	uint64_t	missed;
	Histogram	all;
	Histogram	net;
	_Atomic uint32_t ready;
	_Atomic uint32_t go;
	_Atomic uint32_t stop;
} Run;

static void
enter(Run *run, uint32_t i, NrSession *session, NrHandle *handle)
{
	pin(i);
	th_register(run->v->th, i, 0, session);
	th_attach(session, 0, &ds_hash_dispatch, handle);
	atomic_fetch_add(&run->ready, 1);
	while (!atomic_load(&run->go))
		nr_pause();
}

static void *
read_on(void *arg)
{
	Run		   *run = arg;
	uint64_t	random = 88172645463325252u;
	NrSession	session;
	NrHandle	handle;
	Watch		watch;

	enter(run, 1, &session, &handle);
	watch = watch_begin();
	while (!atomic_load_explicit(&run->stop, memory_order_relaxed))
	{
		uint64_t	key = (th_random(&random) & UINT32_MAX) * run->keys >> 32;
		uint64_t	value;
		uint64_t	from;
		uint64_t	ns;

		if (run->reads++ % MARK_EACH == 0)
			watch_mark(&watch);
		from = th_now_ns();
		run->missed += !get(&handle, SEED, key, &value);
		ns = th_now_ns() - from;
		histogram_add(&run->all, ns);
		if (ns <= ASK_NS || watch_off_ns(&watch) <= ASK_NS)
			histogram_add(&run->net, ns);
	}
	close(watch.file);
	nr_group_detach(&handle);
	nr_session_unregister(&session);
	return NULL;
}

static void *
write_on(void *arg)
{
	Run		   *run = arg;
	uint64_t	random = 0x2545F4914F6CDD1D;
	NrSession	session;
	NrHandle	handle;

	enter(run, 0, &session, &handle);
	while (!atomic_load_explicit(&run->stop, memory_order_relaxed))
	{
		uint64_t	keys[BATCH_MAX];

		for (uint32_t i = 0; i < run->v->batch; i++)
			keys[i] = (th_random(&random) & UINT32_MAX) * run->keys >> 32;
		put(&handle, SEED, keys, random, run->v->batch);
		run->writes += run->v->batch;
	}
	nr_group_detach(&handle);
	nr_session_unregister(&session);
	return NULL;
}

static void
measure(Variant *v, uint32_t round, uint32_t keys, double seconds)
{
	static Run	run;
	uint32_t	threads = v->batch == 0 ? 1 : 2;
	pthread_t	thread[2];
	uint64_t	from;
	double		ns;

	memset(&run, 0, sizeof(run));
	run.v = v;
	run.keys = keys;
	v->trip_ns[round] = round_trip_ns();
	thread[0] = th_start(read_on, &run);
	if (threads == 2)
		thread[1] = th_start(write_on, &run);
	th_until(&run.ready, threads);
	from = th_now_ns();
	atomic_store(&run.go, 1);
	th_sleep_us((long) (seconds * 1e6));
	atomic_store(&run.stop, 1);
	ns = (double) (th_now_ns() - from);
	for (uint32_t t = 0; t < threads; t++)
		th_join(thread[t]);
	if (run.missed > 0)
		th_die("keys were missed");
	v->trip_ns[round] = (v->trip_ns[round] + round_trip_ns()) / 2;
	v->mreads[round] = (double) run.reads * 1e3 / ns;
	v->mwrites[round] = (double) run.writes * 1e3 / ns;
	v->tail[round] = percentile(&run.net, 0.999) / percentile(&run.net, 0.5);
	histogram_merge(&v->all, &run.all);
	histogram_merge(&v->net, &run.net);
}

static void
judge(const Variant *v, uint32_t rounds)
{
	char		what[128];
	char		remark[200];

	if (v->copies == 1 || v->batch == 0 || v->batch > 64)
		return;
	/* with one copy a reader waits for as long as a batch takes: no target */
	snprintf(what, sizeof(what), "reads of 2 copies beside a writer of batches of %u: p99.9 against the median", v->batch);
	snprintf(remark, sizeof(remark), "median %.0f ns, p99.9 %.0f; with interrupted reads %.0f and %.0f; trip %.0f ns",
			 percentile(&v->net, 0.5), percentile(&v->net, 0.999), percentile(&v->all, 0.5),
			 percentile(&v->all, 0.999), median(v->trip_ns, rounds));
	target("S8", what, median(v->tail, rounds), "<=", 10, "x", remark);
}

static void
print(Variant *v, uint32_t n, uint32_t keys, uint32_t rounds)
{
	printf("reads beside a writer that never pauses, %u keys, %u rounds, medians; x: p99.9 over the median\n"
		   "%6s %13s %8s %8s %7s %7s %7s %6s | %7s %7s %7s %9s\n", keys, rounds, "copies", "writes a batch", "Mreads/s",
		   "Mwrites/s", "trip ns", "p50 ns", "p99.9", "x", "all p50", "p99", "p99.9", "p99.99");
	for (uint32_t i = 0; i < n; i++)
	{
		char		variant[32];
		char		x[16];
		double		p50 = percentile(&v[i].net, 0.5);
		double		p999 = percentile(&v[i].net, 0.999);

		snprintf(variant, sizeof(variant), "%u %s", v[i].copies, v[i].copies == 1 ? "copy" : "copies");
		snprintf(x, sizeof(x), "%u", v[i].batch);
		printf("%6u %13u %8.2f %8.2f %7.0f %7.0f %7.0f %6.1f | %7.0f %7.0f %7.0f %9.0f\n", v[i].copies, v[i].batch,
			   median(v[i].mreads, rounds), median(v[i].mwrites, rounds), median(v[i].trip_ns, rounds), p50, p999,
			   median(v[i].tail, rounds), percentile(&v[i].all, 0.5), percentile(&v[i].all, 0.99),
			   percentile(&v[i].all, 0.999), percentile(&v[i].all, 0.9999));
		figure("reads beside a writer", variant, x, "Mreads/s", v[i].mreads, rounds);
		figure("reads beside a writer", variant, x, "Mwrites/s", v[i].mwrites, rounds);
		figure("reads beside a writer", variant, x, "ns, p50 of reads", &p50, 1);
		figure("reads beside a writer", variant, x, "ns, p99.9 of reads", &p999, 1);
		figure("reads beside a writer", variant, x, "p99.9 over p50", v[i].tail, rounds);
		judge(&v[i], rounds);
	}
}

int
main(int argc, char **argv)
{
	double		seconds = argc > 1 ? atof(argv[1]) : smoke() ? 0.01 : 0.2;
	uint32_t	keys = argc > 2 ? (uint32_t) atoi(argv[2]) : smoke() ? 10000 : 1000000;
	uint32_t	rounds = argc > 3 ? (uint32_t) atoi(argv[3]) : smoke() ? 1 : 9;
	static Variant v[2 * BATCHES];
	uint32_t	n = 0;

	if (seconds <= 0 || rounds < 1 || rounds > ROUNDS_MAX || keys < 1)
		th_die("usage: bench_beside [seconds per figure [keys [rounds]]]");
	for (uint32_t copies = 1; copies <= 2; copies++)
	{
		Th		   *th = make_map(1, copies, 64, keys, SEED);

		for (uint32_t i = 0; i < BATCHES; i++)
			v[n++] = (Variant) {.th = th,.copies = copies,.batch = batches[i]};
	}
	for (uint32_t round = 0; round < rounds; round++)
		for (uint32_t i = 0; i < n; i++)
			measure(&v[(i + round * 3) % n], round, keys, seconds);
	print(v, n, keys, rounds);
	th_free(v[0].th);
	th_free(v[BATCHES].th);
	return 0;
}
