/*
 * actor.c
 *		Threads that do one thing and can be stopped at a named place of it;
 *		see actor.h.
 */
#include "actor.h"
#include "tap.h"

#include <stdio.h>
#include <stdlib.h>

#define NOBODY	UINT32_MAX

void		(*_Atomic actor_on_place) (const char *place, uint32_t i);

static _Thread_local uint32_t me = NOBODY;
static _Atomic(const char *) stop_place;
static _Atomic uint32_t stop_who = NOBODY;
static _Atomic uint32_t asked;	/* stops are numbered: how many were asked for, ... */
static _Atomic uint32_t stopped;	/* ... happened ... */
static _Atomic uint32_t released;	/* ... and are over */

/* ---- stopping ---- */

static void
at_place(const char *place)
{
	void		(*hook) (const char *, uint32_t) = atomic_load(&actor_on_place);
	uint32_t	who = me;

	if (hook != NULL && me != NOBODY)
		hook(place, me);
	if (me == NOBODY || atomic_load(&stop_who) != me || strcmp(atomic_load(&stop_place), place) != 0 ||
		!atomic_compare_exchange_strong(&stop_who, &who, NOBODY))
		return;
	th_until(&released, atomic_fetch_add(&stopped, 1) + 1);
}

static void
on_write(const NrCopy *copy, const NrOpHeader *op)
{
	(void) copy;
	(void) op;
	at_place("write");
}

static void
on_read(const NrCopy *copy, const ToyRead *read)
{
	(void) copy;
	(void) read;
	at_place("read");
}

void
actor_setup(void)
{
#ifdef NR_TEST_POINTS
	nr_test_point_hook = at_place;
#endif
	atomic_store(&toy_hook_write, on_write);
	atomic_store(&toy_hook_read, on_read);
}

#ifdef NR_TEST_POINTS
/* With one replica of one copy, who is alone does not come there. */
static bool
is_of_the_log(const char *place)
{
	static const char *const places[] = {"log_claimed", "half_written", "batch_filled", "batch_appended"};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (strcmp(place, places[i]) == 0)
			return true;
	return false;
}
#endif

void
actor_stop_at(const char *place, uint32_t i)
{
#ifdef NR_TEST_POINTS
	nr_store32_rlx(&nr_test_announces, nr_test_point_announces(place) || is_of_the_log(place));
#endif
	atomic_fetch_add(&asked, 1);
	atomic_store(&stop_place, place);
	atomic_store(&stop_who, i);
}

void
actor_until_stopped(void)
{
	th_until(&stopped, atomic_load(&asked));
}

void
actor_go_on(void)
{
	atomic_store(&released, atomic_load(&stopped));
}

/* ---- engine and sessions ---- */

Th *
actor_engine(uint32_t copies, uint32_t replicas, uint32_t sessions, uint32_t log_slots,
			 uint32_t spins)
{
	NrGeometry	geo = th_geometry(replicas);
	NrGroupConfig config = toy_config(4, 4096, 2048);
	Th		   *th;

	geo.sessions = sessions;
	config.copies = copies;
	config.log_slots = log_slots;
	th = th_new(&geo, 4, spins);
	th_create(th, 0, &config, &toy_counter_dispatch);
	return th;
}

void
actor_open(Actor *a, Th *th, uint32_t i, uint32_t replica)
{
	memset(a, 0, sizeof(*a));
	a->i = i;
	a->th = th;
	a->open = true;
	th_register(th, i, replica, &a->session);
	th_uncancel(th, a->session.idx);
	th_attach(&a->session, 0, &toy_counter_dispatch, &a->handle);
}

void
actor_close(Actor *a)
{
	if (!a->open)
		return;
	nr_group_detach(&a->handle);
	nr_session_unregister(&a->session);
	a->open = false;
}

void
actor_open_all(Actor *actors, Th *th, uint32_t n, uint32_t replicas)
{
	for (uint32_t i = 0; i < n; i++)
		actor_open(&actors[i], th, i, i % replicas);
}

void
actor_close_all(Actor *actors, Th *th, uint32_t n)
{
	tap_ok(toy_check(&actors[0].handle), "all copies are equal");
	for (uint32_t i = 0; i < n; i++)
		actor_close(&actors[i]);
	nr_group_destroy(th_engine(th, 0), 0, NULL);
	tap_ok(toy_pool_free(th_engine(th, 0)) == th->geo.extents, "every extent came back");
	th_free(th);
}

/* ---- jobs ---- */

static NrStatus
add(Actor *a)
{
	_Alignas(8) char ops[ACTOR_ROW * TOY_ADD_BYTES];
	uint64_t	answer = 0;
	NrResult	result = {.last = {.data = &answer, .capacity = sizeof(answer)}};
	uint32_t	n = a->job == ACTOR_ADD ? 1 : ACTOR_ROW;
	size_t		bytes = 0;
	NrStatus	st;

	for (uint32_t i = 0; i < n; i++)
		bytes += toy_add(ops + bytes, i, 1);
	st = nr_execute_mut(&a->handle, ops, bytes, n, a->cancellable, &result);
	if (st != NR_OK)
		return st;
	if (atomic_load(&a->done) == 0)
		a->seq = result.seq;
	a->value = answer;
	return result.status;
}

static NrStatus
get_row(Actor *a)
{
	uint64_t	before = a->row.value[0];
	NrStatus	st;

	a->row.first = 0;
	a->row.n = ACTOR_ROW;
	st = nr_execute(&a->handle, &a->row, &a->row, a->cancellable);
	a->back += st == NR_OK && a->row.value[0] < before;
	for (uint32_t i = 1; i < ACTOR_ROW && st == NR_OK; i++)
		if (a->row.value[i] != a->row.value[0])
		{
			a->torn++;
			break;
		}
	return st;
}

void
actor_run(Actor *a, ActorJob job, uint32_t times, bool cancellable)
{
	_Atomic uint32_t *sleeps = &a->th->slot[a->session.idx].sleeps;

	a->job = job;
	a->times = times;
	a->cancellable = cancellable;
	a->status = NR_OK;
	atomic_store(&a->done, 0);
	for (uint32_t i = 0; i < times; i++)
	{
		uint32_t	before = atomic_load(sleeps);
		NrStatus	st = job == ACTOR_GET_ROW ? get_row(a) : add(a);

		if (atomic_load(sleeps) - before > a->most_sleeps)
			a->most_sleeps = atomic_load(sleeps) - before;
		if (st != NR_OK && a->status == NR_OK)
			a->status = st;
		atomic_fetch_add(&a->done, 1);
	}
}

static void *
run(void *arg)
{
	Actor	   *a = arg;

	me = a->i;
	actor_run(a, a->job, a->times, a->cancellable);
	return NULL;
}

void
actor_start(Actor *a, ActorJob job, uint32_t times, bool cancellable)
{
	a->job = job;
	a->times = times;
	a->cancellable = cancellable;
	a->thread = th_start(run, a);
}

void
actor_join(Actor *a)
{
	th_join(a->thread);
}

void
actor_until(Actor *a, NrWaitReason why)
{
	th_until_waiting(a->th, a->session.idx, why);
}
