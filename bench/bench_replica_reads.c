/*
 * bench_replica_reads.c
 *		Two replicas against one, for those who only read.
 *
 * Usage: bench_replica_reads [rounds]
 */
#include "bench_time.h"

#define THREADS_MAX		2
#define ROUNDS_MAX		64
#define PAIRS			8		/* of maps */
#define VALUES_MAX		(ROUNDS_MAX * PAIRS)

/*
 * Where its pages happen to lie makes one map quicker than another, so there are
 * several of each kind, and a pair of them is measured there and back: one replica,
 * two, two, one.  All threads are at the same step.
 */
#define PAIR_KEYS		10000
#define PAIR_READS		(smoke() ? 1000u : 40000u)
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
read_ns(NrHandle *h, uint64_t seed, uint64_t *random)
{
	uint32_t	missed = 0;
	uint64_t	from = 0;

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
	return (double) (thread_ns() - from) / PAIR_READS;
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
	figure("engine alone: two replicas against one, reads", spread && readers > 1 ? "each its own" : "one",
		   readers == 1 ? "1" : "2", "x", ratio, n);
	printf("%8u %13s %12.1f %13.1f %6.3f %6.3f to %.3f\n", readers, spread && readers > 1 ? "each its own" : "one",
		   median(ns[0], n), median(ns[1], n), median(ratio, n), quantile(ratio, n, 0.25), quantile(ratio, n, 0.75));
}

static void
replicas_read(uint32_t rounds, uint64_t seed)
{
	Th		   *map[PAIRS][2];

	for (uint32_t m = 0; m < 2 * PAIRS; m++)
		map[m / 2][m % 2] = make_map(1 + m % 2, 1, 64, PAIR_KEYS, seed);
	printf("reads, %u keys, nobody writes, ns of processor time a read; medians and quartiles of %u times\n"
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
	uint32_t	rounds = argc > 1 ? (uint32_t) atoi(argv[1]) : smoke() ? 1 : 5;

	if (rounds < 1 || rounds > ROUNDS_MAX)
		th_die("usage: bench_replica_reads [rounds]");
	replicas_read(rounds, 0x6e725f6361636865);
	return 0;
}
