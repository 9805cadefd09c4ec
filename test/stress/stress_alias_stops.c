/*
 * stress_alias_stops.c
 *		A reader that has stopped in one of two copies that share memory: what it has in hand
 *		stays as it is, whatever others write, and it holds up nobody but who must
 *		change its copy.
 *
 * Arguments are accepted and ignored: nothing here depends on time or chance.
 */
#include <stdio.h>
#include <stdlib.h>

#include "alias_calls.h"
#include "tap.h"
#include "thread_host.h"
#include "toy_calls.h"

#define PARTIES		4
#define LAPS		30
#define ROOM		100			/* extents that the copies may share: more than all keys take */
#define TIGHT		8
#define FEW			8			/* keys whose values are little enough not to be reclaimed at once */

typedef struct Party
{
	NrSession	session;
	NrHandle	h;
	AlSeen		seen[AL_KEYS];
} Party;

static Th  *th;
static AlKeys keys;
static Party party[PARTIES];
static uint64_t versions;

/* Party i is on replica i modulo their number. */
static void
open_world(uint32_t replicas, uint32_t shared_max)
{
	NrGeometry	geo = th_geometry(replicas);
	NrGroupConfig config;

	al_keys(&keys, 7);
	config = al_config(&keys, shared_max / 2 + 10, shared_max);
	config.log_slots = 64;
	config.log_bytes = 64 * 1024;
	geo.extents = 600;
	th = th_new(&geo, 2, 0);
	th_create(th, 0, &config, &ds_hash_dispatch);
	for (uint32_t i = 0; i < PARTIES; i++)
	{
		th_register(th, i, i % replicas, &party[i].session);
		th_attach(&party[i].session, 0, &ds_hash_dispatch, &party[i].h);
	}
}

static void
close_world(const char *name)
{
	tap_ok(toy_check(&party[0].h) && al_scan(&party[0].h, &keys) && al_settled(&party[0].h),
		   "%s: all went on, copies are equal, accounts settled", name);
	for (uint32_t i = 0; i < PARTIES; i++)
	{
		nr_group_detach(&party[i].h);
		nr_session_unregister(&party[i].session);
	}
	nr_group_destroy(th_engine(th, 0), 0, NULL);
	tap_ok(toy_pool_free(th_engine(th, 0)) == th->geo.extents, "%s: every extent came back", name);
	th_free(th);
}

/* ---- what parties do ---- */

/* Keys "from" and on, each its own request; version 0: delete. */
static NrStatus
write_keys(Party *p, uint32_t from, uint32_t n, bool delete)
{
	_Alignas(8) char op[AL_OP_MAX];
	NrStatus	st = NR_OK;

	for (uint32_t k = from; st == NR_OK && k < from + n; k++)
	{
		NrResult	result = {.status = NR_OK};
		size_t		bytes = delete ? al_op_delete(op, &keys, k) : al_op_put(op, &keys, k, ++versions);

		st = nr_execute_mut(&p->h, op, bytes, 1, true, &result);
		if (st == NR_OK)
			st = result.status;
	}
	return st;
}

static NrStatus
empty(Party *p)
{
	_Alignas(8) char op[sizeof(NrOpHeader)];
	NrResult	result = {.status = NR_OK};
	NrStatus	st = nr_execute_mut(&p->h, op, ds_hash_op_truncate(op), 1, true, &result);

	return st == NR_OK ? result.status : st;
}

/* Enter, and take everything into one's hand. */
static void
stop_inside(Party *p)
{
	nr_enter(&p->h, false);
	for (uint32_t k = 0; k < AL_KEYS; k++)
		al_look(&p->h, &keys, k, &p->seen[k]);
}

static bool
still_there(Party *p, uint32_t n)
{
	bool		right = true;

	for (uint32_t k = 0; k < AL_KEYS; k++)
		right &= p->seen[k].version != AL_WRONG && (p->seen[k].version != 0 || k >= n) &&
			al_unchanged(&p->h, &keys, k, &p->seen[k]);
	return right;
}

static bool
reads(Party *p)
{
	bool		right = true;

	for (uint32_t k = 0; k < AL_KEYS; k++)
		right &= al_get(&p->h, &keys, k) != AL_WRONG;
	return right;
}

/* The first n keys, several times; then both copies of all replicas are equally far. */
static void
fill(Party *p, uint32_t n)
{
	for (uint32_t lap = 0; lap < LAPS; lap++)
		if (write_keys(p, 0, n, false) != NR_OK)
			th_die("a put was refused");
	for (uint32_t r = 0; r < th->geo.replicas; r++)
		nr_group_sync_replica(&p->h, r, false);
}

/* ---- one replica: one more write, which drops what the reader has in hand ---- */

typedef enum Drop
{
	OVERWRITE,
	DELETE,
	TRUNCATE,
	DROPS
} Drop;

static const char *const drop_name[DROPS] = {"overwritten", "deleted", "truncated"};

static NrStatus
drop(Party *p, Drop how, uint32_t n)
{
	return how == OVERWRITE ? write_keys(p, 0, n, false) : how == DELETE ? write_keys(p, 0, n, true) : empty(p);
}

static void
test_one_replica(Drop how)
{
	NrStatus	st;

	open_world(1, ROOM);
	fill(&party[1], FEW);
	stop_inside(&party[0]);
	tap_ok(drop(&party[1], how, 1) == NR_OK, "one replica, %s: a reader inside is not in the way", drop_name[how]);
	th_cancel(th, party[1].session.idx);
	st = write_keys(&party[1], 0, 1, false);
	th_uncancel(th, party[1].session.idx);
	tap_ok(st == NR_CANCELLED, "but of the next write, which can be cancelled");
	tap_ok(still_there(&party[0], FEW) && reads(&party[2]), "and has all that it had in hand");
	nr_leave(&party[0].h);
	fill(&party[1], AL_KEYS);
	close_world(drop_name[how]);
}

/* ---- two replicas: many batches are applied at once beside the reader ---- */

/* The other replica drops and writes as much as the log takes. */
static void
test_two_replicas(Drop how)
{
	open_world(2, ROOM);
	fill(&party[1], FEW);
	stop_inside(&party[0]);
	tap_ok(drop(&party[1], how, FEW / 2) == NR_OK && write_keys(&party[1], 10, 12, false) == NR_OK,
		   "two replicas, %s: a reader inside one is not in the way of writes on the other", drop_name[how]);
	tap_ok(still_there(&party[0], FEW), "and keeps what it has in hand");
	tap_ok(reads(&party[2]) && reads(&party[3]), "others read what was written since");
	tap_ok(still_there(&party[0], FEW), "after it was applied on the reader's replica, too");
	th_cancel(th, party[1].session.idx);
	for (int i = 0; i < 100 && write_keys(&party[1], 0, AL_KEYS, false) == NR_OK; i++)
		;
	th_uncancel(th, party[1].session.idx);
	tap_ok(still_there(&party[0], FEW), "and when the log is full");
	nr_leave(&party[0].h);
	fill(&party[1], AL_KEYS);
	fill(&party[0], AL_KEYS);
	close_world(drop_name[how]);
}

/* A reader comes between two batches, and then its copy is the older one again. */
static void
test_reader_between(void)
{
	open_world(2, ROOM);
	fill(&party[1], AL_KEYS);
	for (uint32_t lap = 0; lap < 10; lap++)
	{
		bool		right;

		stop_inside(&party[0]);
		right = write_keys(&party[1], lap, 6, lap % 2 == 0) == NR_OK && reads(&party[2]);
		stop_inside(&party[2]);
		right &= write_keys(&party[3], lap + 20, 6, false) == NR_OK;
		right &= still_there(&party[0], 0) && still_there(&party[2], 0);
		nr_leave(&party[0].h);
		right &= reads(&party[3]) && write_keys(&party[1], lap + 3, 4, false) == NR_OK;
		right &= still_there(&party[2], 0);
		nr_leave(&party[2].h);
		tap_ok(right, "lap %u: two readers in the two copies of a replica keep what they have", lap);
	}
	close_world("between");
}

/* ---- a reader that has stopped, while there is memory to be tidied up ---- */

static _Atomic uint32_t written;
static ThGate gate;
static _Thread_local bool stops;	/* at the gate, when it has appended its next batch */

static void
on_point(const char *name)
{
	if (!stops || strcmp(name, "batch_appended") != 0)
		return;
	stops = false;
	th_gate_pass(&gate);
}

static void *
write_and_stop(void *arg)
{
	stops = true;
	return (void *) (uintptr_t) write_keys(arg, 0, 1, false);
}

static void *
write_in_thread(void *arg)
{
	NrStatus	st = write_keys(arg, 0, 1, false);

	atomic_store(&written, 1);
	return (void *) (uintptr_t) st;
}

/* Is it done, or gives it up when told so? */
static bool
returns(uint32_t writer)
{
	for (int i = 0; i < 1000 && !th_is_waiting(th, writer) && atomic_load(&written) == 0; i++)
		th_sleep_us(2000);
	th_cancel(th, writer);
	for (int i = 0; i < 1000 && atomic_load(&written) == 0; i++)
		th_sleep_us(2000);
	return atomic_load(&written) != 0;
}

/*
 * The writer's replica is behind, and much was dropped there, or memory is used up.
 * Whoever makes room must not send readers to the other copy, and then wait for one of
 * them with a request in hand that cannot be withdrawn any more.
 */
static void
test_not_held_up(uint32_t shared_max)
{
	pthread_t	other;
	pthread_t	thread;
	uint32_t	refused = 0;

	memset(&gate, 0, sizeof(gate));
	atomic_store(&written, 0);
	open_world(2, shared_max);
	if (shared_max == TIGHT)
	{
		for (uint32_t lap = 0; lap < LAPS; lap++)
			for (uint32_t k = 1; k < AL_KEYS; k++)
				refused += write_keys(&party[0], k, 1, false) == NR_NO_SPACE;
		tap_ok(refused > 0, "memory is used up");
		for (uint32_t r = 0; r < 2; r++)
			nr_group_sync_replica(&party[0].h, r, false);
	}
	else
	{
		fill(&party[0], AL_KEYS);
		stop_inside(&party[0]);
		tap_ok(empty(&party[2]) == NR_OK, "much is dropped, and a reader keeps it from being reclaimed");
		nr_leave(&party[0].h);
	}
	stop_inside(&party[0]);
	other = th_start(write_and_stop, &party[1]);
	th_until(&gate.arrived, 1);
	while (al_value_bytes(versions + 1) < AL_VALUE_MAX / 2)
		versions++;
	thread = th_start(write_in_thread, &party[2]);
	tap_ok(returns(party[2].session.idx), "while a reader has stopped, a write is done, or can be cancelled");
	th_gate_open(&gate);
	nr_leave(&party[0].h);
	th_join(other);
	th_join(thread);
	th_uncancel(th, party[2].session.idx);
	empty(&party[2]);
	fill(&party[2], FEW);
	close_world("not held up");
}

int
main(void)
{
#ifndef NR_TEST_POINTS
	printf("1..0 # SKIP compiled without NR_TEST_POINTS\n");
	return 0;
#else
	nr_test_point_hook = on_point;
#endif
	th_watchdog(120);
	for (Drop how = OVERWRITE; how < DROPS; how++)
		test_one_replica(how);
	for (Drop how = OVERWRITE; how < DROPS; how++)
		test_two_replicas(how);
	test_reader_between();
	test_not_held_up(ROOM);
	test_not_held_up(TIGHT);
	return tap_done();
}
