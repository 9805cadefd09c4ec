/*
 * stress_space.c
 *		Memory that is used up again and again, by many at once.
 *
 * Usage: stress_space [seconds [seed]].  Prints TAP.
 *
 * Two groups share a pool that is too small for both of their quotas: a hash
 * whose values change size all the time, and a stack; their replicas hold one or
 * two copies, by chance.  Threads on all replicas write until there is no space,
 * delete, truncate, and go on.  What was refused must have changed nothing;
 * copies must stay equal; and after any amount of this, an emptied group must
 * take as much as a new one did, and destroyed groups leave nothing behind.
 */
#include <stdlib.h>

#include "ds/hash.h"
#include "tap.h"
#include "thread_host.h"
#include "toy_calls.h"

#define THREADS		6
#define KEYS		4000
#define VALUE_MAX	900

typedef struct Space
{
	Th		   *th;
	uint64_t	seed;
	_Atomic uint32_t stop;
	_Atomic uint64_t pushed;	/* numbers pushed, popped: how many and their sum */
	_Atomic uint64_t popped;
	_Atomic uint64_t pushed_sum;
	_Atomic uint64_t popped_sum;
	_Atomic uint64_t refused;
	_Atomic uint64_t taken;
	_Atomic uint64_t wrong;
} Space;

typedef struct Worker
{
	Space	   *space;
	uint32_t	i;
	uint64_t	random;
	NrSession	session;
	NrHandle	hash;
	NrHandle	stack;
} Worker;

static void
come(Worker *w)
{
	th_register(w->space->th, w->i, w->i % w->space->th->geo.replicas, &w->session);
	th_attach(&w->session, 0, &ds_hash_dispatch, &w->hash);
	th_attach(&w->session, 1, &toy_stack_dispatch, &w->stack);
}

static void
leave(Worker *w)
{
	nr_group_detach(&w->hash);
	nr_group_detach(&w->stack);
	nr_session_unregister(&w->session);
}

/* ---- calls ---- */

static NrStatus
put(Worker *w, uint64_t key, uint32_t value_bytes)
{
	_Alignas(8) char op[VALUE_MAX + 256];
	char		value[VALUE_MAX];
	NrResult	result = {.status = NR_OK};
	NrStatus	st;
	size_t		bytes;

	memset(value, (int) (value_bytes % 251), value_bytes);
	bytes = ds_hash_op_put(op, ds_hash_key(w->space->seed, &key, 8), &key, 8, value, value_bytes, 0);
	st = nr_execute_mut(&w->hash, op, bytes, 1, false, &result);
	return st != NR_OK ? st : result.status;
}

static NrStatus
erase(Worker *w, uint64_t key, bool everything)
{
	_Alignas(8) char op[256];
	NrResult	result = {.status = NR_OK};
	size_t		bytes = everything ? ds_hash_op_truncate(op) :
		ds_hash_op_delete(op, ds_hash_key(w->space->seed, &key, 8), &key, 8);
	NrStatus	st = nr_execute_mut(&w->hash, op, bytes, 1, false, &result);

	return st != NR_OK ? st : result.status;
}

static void
get(Worker *w, uint64_t key)
{
	char		value[VALUE_MAX];
	DsHashGet	op = {
		.code = DS_HASH_GET, .key = &key, .key_bytes = 8, .hash = ds_hash_key(w->space->seed, &key, 8),
		.out = value, .capacity = sizeof(value)
	};

	if (nr_execute(&w->hash, &op, NULL, false) != NR_OK || op.value_bytes > VALUE_MAX)
		atomic_fetch_add(&w->space->wrong, 1);
	for (uint32_t i = 0; op.found && i < op.value_bytes; i++)
		if ((unsigned char) value[i] != op.value_bytes % 251)
		{
			atomic_fetch_add(&w->space->wrong, 1);
			break;
		}
}

static void
note(Worker *w, NrStatus st)
{
	if (st == NR_OK)
		atomic_fetch_add(&w->space->taken, 1);
	else if (st == NR_NO_SPACE)
		atomic_fetch_add(&w->space->refused, 1);
	else
		atomic_fetch_add(&w->space->wrong, 1);
}

static void
push_some(Worker *w)
{
	Space	   *sp = w->space;
	uint32_t	n = 1 + (uint32_t) (th_random(&w->random) % 60);
	uint64_t	first = th_random(&w->random) >> 20;
	NrResult	result = {.status = NR_OK};
	NrStatus	st = toy_call_push(&w->stack, first, n, &result);

	note(w, st);
	for (uint32_t k = 0; k < result.done; k++)
		atomic_fetch_add(&sp->pushed_sum, first + k);
	atomic_fetch_add(&sp->pushed, result.done);
}

static void
pop_some(Worker *w, uint64_t n)
{
	Space	   *sp = w->space;
	bool		found = true;
	uint64_t	value;

	for (; n > 0 && found; n--)
	{
		note(w, toy_call_pop(&w->stack, &found, &value));
		if (found)
		{
			atomic_fetch_add(&sp->popped, 1);
			atomic_fetch_add(&sp->popped_sum, value);
		}
	}
}

static void *
work(void *arg)
{
	Worker	   *w = arg;

	come(w);
	while (!atomic_load(&w->space->stop))
	{
		uint64_t	x = th_random(&w->random);
		uint64_t	key = (x >> 8) % KEYS;

		switch (x % 32)
		{
			case 0:
				leave(w);
				come(w);
				break;
			case 1:
				if ((x >> 40) % 50 == 0)
					note(w, erase(w, 0, true));
				break;
			case 2:
				pop_some(w, (x >> 40) % 400);
				break;
			case 3:
			case 4:
			case 5:
				push_some(w);
				break;
			case 6:
			case 7:
			case 8:
			case 9:
				note(w, erase(w, key, false));
				break;
			case 10:
			case 11:
				get(w, key);
				break;
			default:
				note(w, put(w, key, (uint32_t) ((x >> 40) % ((x >> 60) == 0 ? VALUE_MAX : 100))));
		}
	}
	leave(w);
	return NULL;
}

/* ---- how much fits ---- */

/* Both copies of each replica let go of what was released. */
static void
settle(Worker *w)
{
	for (uint32_t r = 0; r < w->space->th->geo.replicas; r++)
	{
		nr_group_sync_replica(&w->hash, r, false);
		nr_group_sync_replica(&w->stack, r, false);
	}
}

/* Fill an empty hash, and an empty stack, until there is no space; then empty them. */
static void
measure(Worker *w, uint64_t *entries, uint64_t *values)
{
	NrResult	result = {.status = NR_OK};

	pop_some(w, UINT64_MAX);
	note(w, erase(w, 0, true));
	toy_call_clear(&w->stack);
	settle(w);
	for (*entries = 0; put(w, *entries, 200) == NR_OK; ++*entries)
		;
	erase(w, 0, true);
	settle(w);
	for (*values = 0; toy_call_push(&w->stack, *values, 1, &result) == NR_OK; ++*values)
		;
	toy_call_clear(&w->stack);
}

static Th *
make(uint32_t replicas, uint32_t copies, uint64_t seed)
{
	NrGeometry	geo = th_geometry(replicas);
	DsHashArg	arg = {.seed = seed, .line_bytes = 64};
	NrGroupConfig hash = toy_config(60, 8192, 8192);
	NrGroupConfig stack = toy_config(60, 4096, 8192);
	Th		   *th;

	hash.copies = stack.copies = copies;
	hash.shared_max = seed % 3 > 0 ? 40 : 0;	/* with two copies: long values are there once */
	hash.arg_bytes = sizeof(arg);
	memcpy(hash.arg, &arg, sizeof(arg));
	geo.extents = 3 + 77 * copies;	/* the logs have one copy */
	th = th_new(&geo, 3, 20);
	th_create(th, 0, &hash, &ds_hash_dispatch);
	th_create(th, 1, &stack, &toy_stack_dispatch);
	return th;
}

static void
play(uint32_t replicas, uint32_t copies, double seconds, uint64_t seed)
{
	Space		sp = {.seed = seed};
	Worker		w[THREADS + 1];
	pthread_t	thread[THREADS];
	uint64_t	entries[2],
				values[2];
	NrGroupInfo gi;

	sp.th = make(replicas, copies, seed);
	for (uint32_t i = 0; i <= THREADS; i++)
		w[i] = (Worker) {.space = &sp, .i = i, .random = seed + i * 977 + 1};
	come(&w[THREADS]);
	measure(&w[THREADS], &entries[0], &values[0]);
	for (uint32_t i = 0; i < THREADS; i++)
		thread[i] = th_start(work, &w[i]);
	th_sleep_us((long) (seconds * 1e6));
	/* on a slow machine the memory lasts longer */
	for (int i = 0; i < 150 && atomic_load(&sp.refused) == 0; i++)
		th_sleep_us(100000);
	atomic_store(&sp.stop, 1);
	for (uint32_t i = 0; i < THREADS; i++)
		th_join(thread[i]);

	printf("# %u replicas of %u: %llu writes taken, %llu found no space\n", replicas, copies,
		   (unsigned long long) sp.taken, (unsigned long long) sp.refused);
	tap_ok(sp.wrong == 0, "%u replicas, each of %u copies: no call went wrong, no value is torn",
		   replicas, copies);
	tap_ok(sp.refused > 0 && sp.taken > 0, "memory was used up, and was not for ever");
	tap_ok(toy_check(&w[THREADS].hash) && toy_check(&w[THREADS].stack), "the copies are equal");
	tap_ok(toy_call_top(&w[THREADS].stack).depth == sp.pushed - sp.popped,
		   "the stack is as deep as the answers say");
	pop_some(&w[THREADS], UINT64_MAX);
	tap_ok(sp.pushed == sp.popped && sp.pushed_sum == sp.popped_sum, "and holds what the answers say");
	measure(&w[THREADS], &entries[1], &values[1]);
	tap_ok(entries[1] * 20 >= entries[0] * 19, "an emptied hash takes what a new one did (%llu, %llu)",
		   (unsigned long long) entries[0], (unsigned long long) entries[1]);
	tap_ok(values[1] * 20 >= values[0] * 19, "an emptied stack takes what a new one did (%llu, %llu)",
		   (unsigned long long) values[0], (unsigned long long) values[1]);
	for (uint32_t g = 0; g < 2; g++)
	{
		gi = toy_group_info(th_engine(sp.th, 0), g);
		tap_ok(gi.extents_used <= gi.extents_max, "group %u kept its quota", g);
	}
	leave(&w[THREADS]);
	nr_group_destroy(th_engine(sp.th, 0), 0, NULL);
	nr_group_destroy(th_engine(sp.th, 0), 1, NULL);
	tap_ok(toy_pool_free(th_engine(sp.th, 0)) == sp.th->geo.extents, "every extent came back");
	th_free(sp.th);
}

int
main(int argc, char **argv)
{
	double		seconds = argc > 1 ? atof(argv[1]) : 9;
	uint64_t	seed = argc > 2 ? strtoull(argv[2], NULL, 0) : th_now_ns();

	printf("# %g seconds, seed %llu\n", seconds, (unsigned long long) seed);
	th_watchdog(60 + (unsigned) seconds);
	for (uint32_t replicas = 1; replicas <= 3; replicas++)
		play(replicas, 1 + (uint32_t) (seed >> replicas) % 2, seconds / 3, seed);
	return tap_done();
}
