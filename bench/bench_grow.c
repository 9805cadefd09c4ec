/*
 * bench_grow.c
 *		The longest pause of a reader and of a writer while a table grows from nothing.
 *
 * Usage: bench_grow [keys [batch [copies]]]; without, 10,000,000 keys in batches of 64, one copy, then two
 *
 * Every call is timed.  A call during which the kernel has taken the processor away from the thread says
 * nothing about the table: it is counted apart.  One that has slept counts: it waited for somebody.  (The kernel is asked after calls of more than ASK_NS only,
 * since asking takes longer than a call.)  An interrupt that the kernel, or who runs this machine, serves in
 * between is not told by anybody, so the few longest calls are printed with what the table was doing.
 */
#include <stdio.h>
#include <sys/resource.h>

#include "bench_map.h"

#define ASK_NS		5000
#define LONGEST		5

typedef struct Call
{
	uint64_t	ns;
	uint32_t	keys;			/* in the table then */
} Call;

typedef struct Times
{
	uint64_t	calls;
	uint64_t	preempted;
	uint64_t	over_100us;
	Call		longest[LONGEST];	/* not preempted; longest first */
} Times;

typedef struct Growth
{
	Th		   *th;
	uint64_t	seed;
	uint32_t	keys;
	uint32_t	batch;
	_Atomic uint32_t there;
	_Atomic uint32_t done;
	Times		reader;
	Times		writer;
} Growth;

static long
preemptions(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nivcsw;
}

/* A call that began at "from" has ended; *before: preemptions at the last question. */
static void
note(Times *t, uint64_t from, uint32_t keys, long *before)
{
	Call		call = {.ns = th_now_ns() - from,.keys = keys};

	t->calls++;
	if (call.ns > ASK_NS)
	{
		long		now = preemptions();

		if (now != *before)
		{
			*before = now;
			t->preempted++;
			return;
		}
	}
	t->over_100us += call.ns > 100000;
	for (int i = 0; i < LONGEST; i++)
		if (call.ns > t->longest[i].ns)
		{
			Call		shorter = t->longest[i];

			t->longest[i] = call;
			call = shorter;
		}
}

static void *
read_all_the_time(void *arg)
{
	Growth	   *growth = arg;
	uint64_t	random = 88172645463325252u;
	long		before = preemptions();
	NrSession	session;
	NrHandle	handle;

	th_register(growth->th, 1, 0, &session);
	th_attach(&session, 0, &ds_hash_dispatch, &handle);
	while (!atomic_load_explicit(&growth->done, memory_order_relaxed))
	{
		uint32_t	there = atomic_load_explicit(&growth->there, memory_order_acquire);
		uint64_t	key = th_random(&random) % (there > 0 ? there : 1);
		uint64_t	value;
		uint64_t	from = th_now_ns();
		bool		found = get(&handle, growth->seed, key, &value);

		note(&growth->reader, from, there, &before);
		if (there > 0 && (!found || value != key))
			th_die("a key was missed");
		/* a question between calls, so that a preemption there is not taken for one within the next */
		if (growth->reader.calls % 64 == 0)
			before = preemptions();
	}
	nr_group_detach(&handle);
	nr_session_unregister(&session);
	return NULL;
}

static void
write_all(Growth *growth)
{
	long		before = preemptions();
	NrSession	session;
	NrHandle	handle;

	th_register(growth->th, 0, 0, &session);
	th_attach(&session, 0, &ds_hash_dispatch, &handle);
	for (uint32_t there = 0; there < growth->keys;)
	{
		uint32_t	n = growth->keys - there < growth->batch ? growth->keys - there : growth->batch;
		uint64_t	from;

		before = preemptions();
		from = th_now_ns();
		put_range(&handle, growth->seed, there, n);
		note(&growth->writer, from, there, &before);
		there += n;
		atomic_store_explicit(&growth->there, there, memory_order_release);
	}
	nr_group_detach(&handle);
	nr_session_unregister(&session);
}

static void
print(const char *who, const Times *t)
{
	printf("%8s %11llu calls, %llu preempted, %llu others took more than 100 us; longest, us (keys):", who,
		   (unsigned long long) t->calls, (unsigned long long) t->preempted, (unsigned long long) t->over_100us);
	for (int i = 0; i < LONGEST; i++)
		printf(" %.0f (%u)", (double) t->longest[i].ns / 1000, t->longest[i].keys);
	printf("\n");
}

static void
grow(uint32_t keys, uint32_t batch, uint32_t copies)
{
	static Growth growth;
	pthread_t	reader;

	memset(&growth, 0, sizeof(growth));
	growth.seed = 0x9e3779b97f4a7c15u;
	growth.keys = keys;
	growth.batch = batch;
	growth.th = make_empty_map(1, copies, 2, keys, growth.seed);
	reader = th_start(read_all_the_time, &growth);
	write_all(&growth);
	atomic_store(&growth.done, 1);
	th_join(reader);
	printf("%u keys in batches of %u, copies: %u\n", keys, batch, copies);
	print("reader", &growth.reader);
	print("writer", &growth.writer);
	th_free(growth.th);
}

int
main(int argc, char **argv)
{
	uint32_t	keys = argc > 1 ? (uint32_t) atoi(argv[1]) : 10000000;
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
