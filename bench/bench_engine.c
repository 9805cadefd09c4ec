/*
 * bench_engine.c
 *		The engine alone, in the shape of the Rust crates' benches: a map of 64-bit keys and values,
 *		pre-filled, uniform keys, all hits, updates in place; and what node replication costs who reads.
 *
 * Usage: bench_engine [seconds per figure [rounds]]
 *
 * Variants are interleaved: each round measures all of them in an order of its own.  Medians over rounds are
 * printed; percentiles are of single calls of all rounds, one in SAMPLE_EACH, and contain the clock, about 20 ns.
 *
 * A figure of two threads depends on how far apart their processors are, so next to it stands the round trip
 * of one cache line between them, before and after it.
 */
#include "bench_time.h"
#include "engine/layout.h"

#define THREADS_MAX		2
#define ROUNDS_MAX		64
#define VARIANTS_MAX	64
#define SAMPLE_EACH		32
#define PUBLISH_EACH	256
#define SEED			UINT64_C(0x6e725f6361636865)
#define SMALL_KEYS		10000
#define LARGE_KEYS		10000000

typedef enum Kind
{
	ENGINE,
	PUBLISH_ONE,				/* left-right: nr_append and nr_publish for each write, */
	PUBLISH_MANY,				/* for PUBLISH_EACH writes */
	LOOKUP,						/* reads only: the same lookup in the same copy without anything */
	LOCKED_LOOKUP,				/* and with one locked instruction on a line of its own */
	PLAIN_MAP					/* the least there is: one thread, an array of keys and values */
} Kind;

typedef struct Variant
{
	Th		   *th;
	Kind		kind;
	uint32_t	replicas;
	uint32_t	copies;
	uint32_t	threads;
	uint32_t	writes_percent;
	double		mops[ROUNDS_MAX];
	double		trip_ns[ROUNDS_MAX];
	Histogram	reads;
	Histogram	writes;
} Variant;

typedef struct Run
{
	Variant    *v;
	uint32_t	keys;
	_Atomic uint32_t ready;
	_Atomic uint32_t go;
	_Atomic uint32_t stop;
} Run;

typedef struct Worker
{
	_Alignas(128) Run *run;
	uint32_t	i;
	uint32_t	appended;
	uint64_t	random;
	uint64_t	calls;
	uint64_t	missed;
	NrHandle	handle;
	Histogram	reads;
	Histogram	writes;
	_Alignas(128) _Atomic uint64_t line;
} Worker;

/* ---- the least there is ---- */

typedef struct Pair
{
	uint64_t	key;			/* + 1; 0: free */
	uint64_t	value;
} Pair;

static Pair *plain;
static uint32_t plain_shift;

static inline Pair *
plain_find(uint64_t key)
{
	uint64_t	mask = (UINT64_C(1) << (64 - plain_shift)) - 1;
	uint64_t	at = key * UINT64_C(0x9e3779b97f4a7c15) >> plain_shift;

	while (plain[at].key != 0 && plain[at].key != key + 1)
		at = (at + 1) & mask;
	return &plain[at];
}

static void
plain_make(uint32_t keys)
{
	plain_shift = (uint32_t) __builtin_clzll((uint64_t) keys * 2);
	plain = calloc((size_t) 1 << (64 - plain_shift), sizeof(Pair));
	if (plain == NULL)
		th_die("no memory");
	for (uint64_t k = 0; k < keys; k++)
		*plain_find(k) = (Pair) {k + 1, k};
}

/* ---- one call ---- */

static inline uint64_t
next_random(uint64_t *state)
{
	uint64_t	x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}

static void
append_one(Worker *w, uint64_t key, uint64_t value)
{
	_Alignas(8) char op[72];
	size_t		bytes = ds_hash_op_put(op, ds_hash_key(SEED, &key, 8), &key, 8, &value, 8, 0);
	NrResult	result;
	uint64_t	n;

	if (nr_append(&w->handle, op, bytes, 1, false, &result) != NR_OK || result.status != NR_OK)
		th_die("append");
	if (++w->appended % (w->run->v->kind == PUBLISH_ONE ? 1 : PUBLISH_EACH) == 0 &&
		nr_publish(&w->handle, false, &n) != NR_OK)
		th_die("publish");
}

static inline bool
look_up(Worker *w, Kind kind, uint64_t key)
{
	const NrCopy *copy = &w->handle.copies[0];
	uint64_t	hash = ds_hash_key_8(SEED, &key);
	uint64_t	value;

	if (kind == LOCKED_LOOKUP)
		atomic_exchange_explicit(&w->line, key, memory_order_seq_cst);
	return find_at(copy, ds_hash_line_of(copy, hash), hash, key, &value);
}

static inline void
write_one(Worker *w, Kind kind, uint64_t key, uint64_t value)
{
	if (kind == ENGINE)
		put(&w->handle, SEED, &key, value, 1);
	else if (kind == PLAIN_MAP)
		plain_find(key)->value = value;
	else
		append_one(w, key, value);
}

static inline bool
read_one(Worker *w, Kind kind, uint64_t key)
{
	uint64_t	value;

	switch (kind)
	{
		case PLAIN_MAP:
			return plain_find(key)->key == key + 1;
		case LOOKUP:
		case LOCKED_LOOKUP:
			return look_up(w, kind, key);
		default:
			return get(&w->handle, SEED, key, &value);
	}
}

/* Returns whether it was a write. */
static inline __attribute__((always_inline)) bool
call(Worker *w, Kind kind, uint32_t keys, uint32_t percent)
{
	uint64_t	x = next_random(&w->random);
	uint64_t	key = (x & UINT32_MAX) * keys >> 32;

	if (percent > 0 && (x >> 32) % 100 < percent)
	{
		write_one(w, kind, key, x);
		return true;
	}
	w->missed += !read_one(w, kind, key);
	return false;
}

static inline __attribute__((always_inline)) void
calls(Worker *w, Kind kind)
{
	Run		   *run = w->run;
	uint32_t	keys = run->keys;
	uint32_t	percent = run->v->writes_percent;

	while (!atomic_load_explicit(&run->stop, memory_order_relaxed))
	{
		uint64_t	from;
		bool		wrote;

		for (int i = 1; i < SAMPLE_EACH; i++)
			(void) call(w, kind, keys, percent);
		from = th_now_ns();
		wrote = call(w, kind, keys, percent);
		histogram_add(wrote ? &w->writes : &w->reads, th_now_ns() - from);
		w->calls += SAMPLE_EACH;
	}
}

static void *
work(void *arg)
{
	Worker	   *w = arg;
	Variant    *v = w->run->v;
	NrSession	session;
	uint64_t	n;

	pin(w->i);
	w->random = w->i + 88172645463325252u;
	if (v->th != NULL)
	{
		th_register(v->th, w->i, w->i % v->replicas, &session);
		th_attach(&session, 0, &ds_hash_dispatch, &w->handle);
	}
	atomic_fetch_add(&w->run->ready, 1);
	while (!atomic_load(&w->run->go))
		nr_pause();
	switch (v->kind)			/* so that each loop is compiled for its kind */
	{
		case PLAIN_MAP:
			calls(w, PLAIN_MAP);
			break;
		case LOOKUP:
			calls(w, LOOKUP);
			break;
		case LOCKED_LOOKUP:
			calls(w, LOCKED_LOOKUP);
			break;
		case ENGINE:
			calls(w, ENGINE);
			break;
		default:
			calls(w, PUBLISH_MANY);
	}
	if (v->th == NULL)
		return NULL;
	if (v->kind == PUBLISH_MANY && nr_publish(&w->handle, false, &n) != NR_OK)
		th_die("publish");
	nr_group_detach(&w->handle);
	nr_session_unregister(&session);
	return NULL;
}

/* ---- figures ---- */

static void
measure(Variant *v, uint32_t round, uint32_t keys, double seconds)
{
	static Worker worker[THREADS_MAX];
	Run			run = {.v = v,.keys = keys};
	double		trip = v->threads > 1 ? round_trip_ns() : 0;
	pthread_t	thread[THREADS_MAX];
	uint64_t	from,
				sum = 0;
	double		ns;

	memset(worker, 0, sizeof(worker));
	for (uint32_t t = 0; t < v->threads; t++)
	{
		worker[t].run = &run;
		worker[t].i = t;
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
		sum += worker[t].calls;
		if (worker[t].missed > 0)
			th_die("keys were missed");
		histogram_merge(&v->reads, &worker[t].reads);
		histogram_merge(&v->writes, &worker[t].writes);
	}
	v->mops[round] = (double) sum * 1e3 / ns;
	v->trip_ns[round] = v->threads > 1 ? (trip + round_trip_ns()) / 2 : 0;
}

/* In each round another order. */
static void
measure_all(Variant *v, uint32_t n, uint32_t rounds, uint32_t keys, double seconds)
{
	uint32_t	order[VARIANTS_MAX];
	uint64_t	random = SEED;

	for (uint32_t i = 0; i < n; i++)
		order[i] = i;
	for (uint32_t round = 0; round < rounds; round++)
	{
		for (uint32_t i = n - 1; i > 0; i--)
		{
			uint32_t	j = (uint32_t) (next_random(&random) % (i + 1));
			uint32_t	swap = order[i];

			order[i] = order[j];
			order[j] = swap;
		}
		for (uint32_t i = 0; i < n; i++)
			measure(&v[order[i]], round, keys, seconds);
	}
}

static const char *
kind_name(const Variant *v)
{
	static char name[64];

	if (v->kind == ENGINE)
		snprintf(name, sizeof(name), "%u replica%s, %u %s", v->replicas, v->replicas > 1 ? "s" : "", v->copies,
				 v->copies > 1 ? "copies" : "copy");
	else
		snprintf(name, sizeof(name), "%s", v->kind == PUBLISH_ONE ? "left-right, each" :
				 v->kind == PUBLISH_MANY ? "left-right, 256" : v->kind == LOOKUP ? "lookup alone" :
				 v->kind == LOCKED_LOOKUP ? "and a locked one" : "plain map");
	return name;
}

static void
print_percentiles(const char *suite, const char *variant, const char *x, const char *what, const Histogram *h)
{
	static const double p[] = {0.5, 0.99, 0.999};
	char		unit[64];

	for (int i = 0; i < 3; i++)
	{
		double		ns = percentile(h, p[i]);

		if (histogram_count(h) == 0)
		{
			printf(" %7s", "");
			continue;
		}
		printf(" %7.0f", ns);
		snprintf(unit, sizeof(unit), "ns, p%g of %s", p[i] * 100, what);
		figure(suite, variant, x, unit, &ns, 1);
	}
}

static void
print(Variant *v, uint32_t n, uint32_t rounds, uint32_t keys)
{
	char		suite[64];

	printf("\n%u keys, %u rounds, medians; round trip: of a line between two threads' processors; below %d ns: near\n"
		   "%-22s %7s %7s %8s %17s %7s %23s %23s\n", keys, rounds, NEAR_NS, "", "threads", "writes", "Mops/s", "quartiles",
		   "trip ns", "reads p50, p99, p99.9", "writes p50, p99, p99.9");
	for (uint32_t i = 0; i < n; i++)
	{
		char		x[16];

		snprintf(suite, sizeof(suite), "engine, %u keys, %u thread%s", keys, v[i].threads, v[i].threads > 1 ? "s" : "");
		snprintf(x, sizeof(x), "%u", v[i].writes_percent);
		printf("%-22s %7u %6u%% %8.2f %8.2f %8.2f", kind_name(&v[i]), v[i].threads, v[i].writes_percent,
			   median(v[i].mops, rounds), quantile(v[i].mops, rounds, 0.25), quantile(v[i].mops, rounds, 0.75));
		figure(suite, kind_name(&v[i]), x, "Mops/s", v[i].mops, rounds);
		if (v[i].threads > 1)
		{
			printf(" %7.0f", median(v[i].trip_ns, rounds));
			figure(suite, kind_name(&v[i]), x, "ns, round trip", v[i].trip_ns, rounds);
		}
		else
			printf(" %7s", "");
		print_percentiles(suite, kind_name(&v[i]), x, "reads", &v[i].reads);
		print_percentiles(suite, kind_name(&v[i]), x, "writes", &v[i].writes);
		printf("\n");
	}
}

/* ---- the targets ---- */

/* BASELINE: node-replication, 2 threads, 2 replicas, 10k keys; and a plain HashMap, 1 thread, no writes. Millions a second. */
static const struct
{
	uint32_t	writes_percent;
	double		near;
	double		far;
}			crate[] = {{1, 143, 90}, {10, 59, 24}, {50, 18, 6}};

#define CRATE_PLAIN_MOPS	199

static const Variant *
find(const Variant *v, uint32_t n, Kind kind, uint32_t threads, uint32_t percent)
{
	for (uint32_t i = 0; i < n; i++)
		if (v[i].kind == kind && v[i].threads == threads && v[i].writes_percent == percent &&
			(kind != ENGINE || (v[i].replicas == 2 && v[i].copies == 1)))
			return &v[i];
	th_die("no such variant");
	return NULL;
}

static void
judge(const Variant *v, uint32_t n, uint32_t rounds)
{
	const Variant *reads = find(v, n, ENGINE, 2, 0);
	const Variant *locked = find(v, n, LOCKED_LOOKUP, 2, 0);
	const Variant *lookup = find(v, n, LOOKUP, 2, 0);
	const Variant *map = find(v, n, PLAIN_MAP, 1, 0);
	double		to_locked[ROUNDS_MAX];
	double		to_lookup[ROUNDS_MAX];
	char		remark[200];

	for (uint32_t r = 0; r < rounds; r++)
	{
		to_locked[r] = locked->mops[r] / reads->mops[r];
		to_lookup[r] = lookup->mops[r] / reads->mops[r];
	}
	printf("\nreads, 2 threads on 2 replicas: %.2f times a lookup with one locked instruction, %.2f times the lookup alone\n",
		   median(to_locked, rounds), median(to_lookup, rounds));
	snprintf(remark, sizeof(remark), "%.2f x the lookup alone; trip %.0f ns", median(to_lookup, rounds),
			 median(reads->trip_ns, rounds));
	target("S7", "engine, 2 threads and 2 replicas: time of a read against the lookup and one locked instruction",
		   median(to_locked, rounds), "<=", 1.3, "x", remark);
	printf("this machine against the baseline's, by a plain map in one thread: %.2f\n", median(map->mops, rounds) / CRATE_PLAIN_MOPS);
	for (uint32_t c = 0; c < sizeof(crate) / sizeof(crate[0]); c++)
	{
		const Variant *mixed = find(v, n, ENGINE, 2, crate[c].writes_percent);
		double		raw[ROUNDS_MAX];
		double		scaled[ROUNDS_MAX];
		char		what[128];
		uint32_t	near = 0;

		for (uint32_t r = 0; r < rounds; r++)
		{
			bool		is_near = mixed->trip_ns[r] < NEAR_NS;

			near += is_near;
			raw[r] = mixed->mops[r] / (is_near ? crate[c].near : crate[c].far);
			scaled[r] = raw[r] / (map->mops[r] / CRATE_PLAIN_MOPS);
		}
		printf("%u%% writes against the crate's row, %u rounds near and %u far: %.3f, and %.3f by the machine's speed\n",
			   crate[c].writes_percent, near, rounds - near, median(raw, rounds), median(scaled, rounds));
		snprintf(what, sizeof(what), "engine, 2 threads and 2 replicas, %u %% writes, against the crate's row by this machine's speed",
				 crate[c].writes_percent);
		snprintf(remark, sizeof(remark), "not by speed %.3f; %u rounds near, %u far; trip %.0f ns; speed %.2f", median(raw, rounds),
				 near, rounds - near, median(mixed->trip_ns, rounds), median(map->mops, rounds) / CRATE_PLAIN_MOPS);
		target("S7", what, median(scaled, rounds), ">=", 1.5, "x", remark);
	}
}

/* ---- the suites ---- */

static const uint32_t percents[] = {0, 1, 10, 50};

/* Left-right takes these writes only, so it has a map of its own. */
static Th *
make_published(uint32_t keys)
{
	Th		   *th = make_empty_map(1, 2, 64, keys, SEED);
	NrSession	session;
	NrHandle	handle;
	uint64_t	n;

	th_register(th, 0, 0, &session);
	th_attach(&session, 0, &ds_hash_dispatch, &handle);
	for (uint64_t k = 0; k < keys;)
	{
		_Alignas(8) char ops[BATCH_MAX * 72];
		NrResult	result;
		size_t		bytes = 0;
		uint32_t	ops_n = 0;

		for (; ops_n < BATCH_MAX && k < keys; ops_n++, k++)
			bytes += ds_hash_op_put(ops + bytes, ds_hash_key(SEED, &k, 8), &k, 8, &k, 8, 0);
		if (nr_append(&handle, ops, bytes, ops_n, false, &result) != NR_OK || result.status != NR_OK)
			th_die("append");
	}
	if (nr_publish(&handle, false, &n) != NR_OK)
		th_die("publish");
	nr_group_detach(&handle);
	nr_session_unregister(&session);
	return th;
}

static uint32_t
add(Variant *v, uint32_t n, Variant what)
{
	if (n == VARIANTS_MAX)
		th_die("too many variants");
	v[n] = what;
	return n + 1;
}

static void
mixes(uint32_t keys, bool small, uint32_t rounds, double seconds)
{
	/* large maps: what the crates' rows have, and two copies */
	static const uint32_t shape[][2] = {{1, 1}, {2, 1}, {1, 2}, {2, 2}};
	static Variant v[VARIANTS_MAX];
	Th		   *th[5];
	uint32_t	shapes = small ? 4 : 3;
	uint32_t	n = 0;

	memset(v, 0, sizeof(v));
	plain_make(keys);
	for (uint32_t s = 0; s < shapes; s++)
		th[s] = make_map(shape[s][0], shape[s][1], 64, keys, SEED);
	th[shapes] = make_published(keys);
	for (uint32_t p = 0; p < 4; p++)
	{
		n = add(v, n, (Variant) {.kind = PLAIN_MAP,.threads = 1,.writes_percent = percents[p]});
		for (uint32_t s = 0; s < shapes; s++)
			for (uint32_t threads = 1; threads <= THREADS_MAX; threads++)
				if (small || threads == 2 || s == 0)
					n = add(v, n, (Variant) {.kind = ENGINE,.th = th[s],.replicas = shape[s][0],.copies = shape[s][1],
							.threads = threads,.writes_percent = percents[p]});
		for (Kind kind = PUBLISH_ONE; kind <= PUBLISH_MANY && p > 0; kind++)
			n = add(v, n, (Variant) {.kind = kind,.th = th[shapes],.replicas = 1,.copies = 2,.threads = 1,
					.writes_percent = percents[p]});
	}
	n = add(v, n, (Variant) {.kind = LOOKUP,.th = th[1],.replicas = 2,.copies = 1,.threads = 2});
	n = add(v, n, (Variant) {.kind = LOCKED_LOOKUP,.th = th[1],.replicas = 2,.copies = 1,.threads = 2});
	measure_all(v, n, rounds, keys, seconds);
	print(v, n, rounds, keys);
	if (small)
		judge(v, n, rounds);
	for (uint32_t s = 0; s <= shapes; s++)
		th_free(th[s]);
	free(plain);
}

int
main(int argc, char **argv)
{
	double		seconds = argc > 1 ? atof(argv[1]) : smoke() ? 0.005 : 0.05;
	uint32_t	rounds = argc > 2 ? (uint32_t) atoi(argv[2]) : smoke() ? 1 : 9;

	if (rounds < 1 || rounds > ROUNDS_MAX || seconds <= 0)
		th_die("usage: bench_engine [seconds per figure [rounds]]");
	mixes(SMALL_KEYS, true, rounds, seconds);
	mixes(smoke() ? 100000 : LARGE_KEYS, false, (rounds + 1) / 2, seconds);
	return 0;
}
