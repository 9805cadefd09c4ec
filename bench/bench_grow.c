/*
 * bench_grow.c
 *		The longest pause of a reader and of a writer while a table grows from nothing.
 *
 * Usage: bench_grow [keys [batch [copies]]]; without, 10,000,000 keys in batches of 64, one copy, then two
 *
 * Every call is timed.  The time for which somebody has taken the processor away from the thread says
 * nothing about the table, and neither does the time for which it waits for the other thread while that one is off
 * its processor: what a call took without these is its net time, and what is counted.
 * (The kernel is asked after calls of more than ASK_NS only, since asking takes longer than a call.)
 */
#include "bench_time.h"

#define ASK_NS		5000
#define LONG_NS		100000		/* the target */
#define LONGEST		5
#define SPANS_MAX	(1 << 20)
#define MARK_EACH	32			/* reads */

/* A call, or time off the processor within a call. */
typedef struct Span
{
	uint64_t	from;
	uint64_t	ns;
	uint64_t	off_ns;
	uint32_t	keys;			/* in the table then */
} Span;

typedef struct Times
{
	uint64_t	calls;
	uint32_t	n_off;
	uint32_t	n_long;
	Span		off[SPANS_MAX]; /* calls during which the processor was taken away */
	Span		slow[SPANS_MAX];	/* of more than LONG_NS without that */
	uint64_t	longest_ns;		/* of others */
	uint64_t	gross_long;		/* of more than LONG_NS in all */
	Histogram	histogram;		/* without the time off the own processor */
} Times;

typedef struct Growth
{
	Th		   *th;
	uint64_t	seed;
	uint32_t	keys;
	uint32_t	batch;
	_Atomic uint32_t there;
	_Atomic uint32_t done;
} Growth;

static Growth growth;
static Times reader;
static Times writer;

static void
keep(Span *spans, uint32_t *n, Span span)
{
	if (*n == SPANS_MAX)
		th_die("too many interruptions to keep");
	spans[(*n)++] = span;
}

/* A call that began at "from" has ended. */
static void
note(Times *t, uint64_t from, uint32_t keys, Watch *watch)
{
	Span		call = {.from = from,.ns = th_now_ns() - from,.keys = keys};

	t->calls++;
	if (call.ns > ASK_NS)
		call.off_ns = watch_off_ns(watch);
	if (call.off_ns > call.ns)
		call.off_ns = call.ns;
	if (call.off_ns > ASK_NS)
		keep(t->off, &t->n_off, call);
	histogram_add(&t->histogram, call.ns - call.off_ns);
	t->gross_long += call.ns > LONG_NS;
	if (call.ns - call.off_ns > LONG_NS)
		keep(t->slow, &t->n_long, call);
	else if (call.ns - call.off_ns > t->longest_ns)
		t->longest_ns = call.ns - call.off_ns;
}

static void *
read_all_the_time(void *arg)
{
	uint64_t	random = 88172645463325252u;
	Watch		watch;
	NrSession	session;
	NrHandle	handle;

	(void) arg;
	pin(1);
	watch = watch_begin();
	th_register(growth.th, 1, 0, &session);
	th_attach(&session, 0, &ds_hash_dispatch, &handle);
	while (!atomic_load_explicit(&growth.done, memory_order_relaxed))
	{
		uint32_t	there = atomic_load_explicit(&growth.there, memory_order_acquire);
		uint64_t	key = th_random(&random) % (there > 0 ? there : 1);
		uint64_t	value;
		uint64_t	from;
		bool		found;

		/* a question between calls, lest what happened there be taken for something within the next */
		if (reader.calls % MARK_EACH == 0)
			watch_mark(&watch);
		from = th_now_ns();
		found = get(&handle, growth.seed, key, &value);
		note(&reader, from, there, &watch);
		if (there > 0 && (!found || value != key))
			th_die("a key was missed");
	}
	nr_group_detach(&handle);
	nr_session_unregister(&session);
	return NULL;
}

static void *
write_all(void *arg)
{
	Watch		watch;
	NrSession	session;
	NrHandle	handle;

	(void) arg;
	pin(0);
	watch = watch_begin();
	th_register(growth.th, 0, 0, &session);
	th_attach(&session, 0, &ds_hash_dispatch, &handle);
	for (uint32_t there = 0; there < growth.keys;)
	{
		uint32_t	n = growth.keys - there < growth.batch ? growth.keys - there : growth.batch;
		uint64_t	from;

		watch_mark(&watch);
		from = th_now_ns();
		put_range(&handle, growth.seed, there, n);
		note(&writer, from, there, &watch);
		there += n;
		atomic_store_explicit(&growth.there, there, memory_order_release);
	}
	atomic_store(&growth.done, 1);
	nr_group_detach(&handle);
	nr_session_unregister(&session);
	return NULL;
}

static int
by_length(const void *a, const void *b)
{
	uint64_t	x = ((const Span *) a)->ns,
				y = ((const Span *) b)->ns;

	return (x < y) - (x > y);
}

/* What long calls took without the time that the other thread was off its processor; both lists are in order of time. */
static void
make_net(Times *t, const Times *other)
{
	uint32_t	at = 0;

	for (uint32_t i = 0; i < t->n_long; i++)
	{
		Span	   *call = &t->slow[i];
		uint64_t	end = call->from + call->ns;
		uint64_t	off = 0;

		while (at < other->n_off && other->off[at].from + other->off[at].ns <= call->from)
			at++;
		for (uint32_t o = at; o < other->n_off && other->off[o].from < end; o++)
		{
			const Span *gap = &other->off[o];
			uint64_t	gap_end = gap->from + gap->ns;
			uint64_t	both = (gap_end < end ? gap_end : end) - (gap->from > call->from ? gap->from : call->from);

			off += both < gap->off_ns ? both : gap->off_ns;
		}
		off += call->off_ns;
		call->ns -= off < call->ns ? off : call->ns;
	}
	qsort(t->slow, t->n_long, sizeof(Span), by_length);
}

static void
print(const char *who, Times *t, uint32_t copies)
{
	uint32_t	above = 0;
	double		longest,
				count;
	char		variant[64];
	char		what[128];
	char		remark[200];

	while (above < t->n_long && t->slow[above].ns > LONG_NS)
		above++;
	longest = (double) (t->n_long > 0 && t->slow[0].ns > t->longest_ns ? t->slow[0].ns : t->longest_ns) / 1000;
	count = above;
	printf("%8s %9llu calls, %u interrupted; p50 %.1f, p99.9 %.1f us; more than 100 us: %llu, net %u; longest net, us (keys):", who,
		   (unsigned long long) t->calls, t->n_off, percentile(&t->histogram, 0.5) / 1000,
		   percentile(&t->histogram, 0.999) / 1000, (unsigned long long) t->gross_long, above);
	if (above == 0)
		printf(" %.0f", longest);
	for (uint32_t i = 0; i < LONGEST && i < above; i++)
		printf(" %.0f (%u)", (double) t->slow[i].ns / 1000, t->slow[i].keys);
	printf("\n");
	snprintf(variant, sizeof(variant), "%s, %u %s", who, copies, copies == 1 ? "copy" : "copies");
	figure("pauses while a table grows", variant, "", "us", &longest, 1);
	figure("pauses of more than 100 us while a table grows", variant, "", "calls", &count, 1);
	snprintf(what, sizeof(what), "longest pause of the %s while a table grows to %u keys, %u %s", who, growth.keys,
			 copies, copies == 1 ? "copy" : "copies");
	snprintf(remark, sizeof(remark), "%u of %llu calls above; without the time that this thread or the other one was off its processor (%llu calls above with it)",
			 above, (unsigned long long) t->calls, (unsigned long long) t->gross_long);
	target("S9", what, longest, "<=", 100, "us", remark);
}

static void
grow(uint32_t keys, uint32_t batch, uint32_t copies)
{
	pthread_t	thread[2];

	memset(&growth, 0, sizeof(growth));
	memset(&reader, 0, sizeof(reader));
	memset(&writer, 0, sizeof(writer));
	growth.seed = 0x9e3779b97f4a7c15u;
	growth.keys = keys;
	growth.batch = batch;
	growth.th = make_empty_map(1, copies, 2, keys, growth.seed);
	printf("%u keys in batches of %u, copies: %u; a line's round trip: %.0f ns", keys, batch, copies, round_trip_ns());
	thread[0] = th_start(write_all, NULL);
	thread[1] = th_start(read_all_the_time, NULL);
	th_join(thread[0]);
	th_join(thread[1]);
	printf(", and after it %.0f\n", round_trip_ns());
	make_net(&reader, &writer);
	make_net(&writer, &reader);
	print("reader", &reader, copies);
	print("writer", &writer, copies);
	th_free(growth.th);
}

int
main(int argc, char **argv)
{
	uint32_t	keys = argc > 1 ? (uint32_t) atoi(argv[1]) : smoke() ? 200000 : 10000000;
	uint32_t	batch = argc > 2 ? (uint32_t) atoi(argv[2]) : 64;
	uint32_t	copies = argc > 3 ? (uint32_t) atoi(argv[3]) : 0;

	if (keys < 1 || batch < 1 || batch > BATCH_MAX || copies > 2)
		th_die("keys, batch of 1 to 256, copies 1 or 2");
	if (copies != 2)
		grow(keys, batch, 1);
	if (copies != 1)
		grow(keys, batch, 2);
	return 0;
}
