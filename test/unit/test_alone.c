/*
 * test_alone.c
 *		Requests that are applied without the log, and which are not; beside those that are in it.
 */
#include <stdlib.h>

#include "engine/alone.h"
#include "seats.h"
#include "tap.h"

#define G	0

static Seats b;

static void
open_seats(uint32_t replicas, uint32_t copies, bool lazy, const NrDispatch *dispatch)
{
	NrGeometry	geo = th_geometry(replicas);
	NrGroupConfig config = toy_config(8, 1, 4096);

	geo.extent_shift = 12;
	config.copies = copies;
	config.lazy = lazy;
	config.log_slots = 4;
	seats_open(&b, geo, 2, &config, dispatch);
}

/* One more by session 0, if it needs no log. */
static bool
apply(uint32_t n)
{
	_Alignas(8) char ops[TOY_ADD_BYTES * 4];
	NrOwn		own = {.ops = ops,.first_extent = NR_NO_EXTENT,.n = n};
	bool		done;

	for (uint32_t i = 0; i < n; i++)
		own.bytes += (uint32_t) toy_add(ops + own.bytes, i, 1);
	if (!nr_combiner_try(&b.s[0], G, 0))
		th_die("somebody has the lock");
	done = nr_apply_own(&b.s[0], &toy_counter_dispatch, G, &own);
	nr_combiner_unlock(&b.s[0], G, 0);
	return done;
}

static void
test_without_log(void)
{
	struct NrReplica *rep;
	const NrRequestSlot *slot;
	NrGroupInfo gi;
	NrReplicaInfo ri;

	open_seats(1, 1, false, &toy_counter_dispatch);
	rep = b.h[0].replica;
	slot = b.h[0].slot;
	tap_ok(apply(3) && toy_call_get(&b.h[1], 0) == 1 && toy_call_get(&b.h[1], 2) == 1, "one replica of one copy: without the log");
	tap_ok(slot->status == NR_OK && slot->done == 3 && slot->seq == 0 && slot->last_length == 8 && *(uint64_t *) b.h[0].buffer == 1,
		   "the answer is in the slot");
	gi = toy_group_info(b.e, G);
	ri = toy_replica_info(b.e, G, 0);
	tap_ok(gi.tail == 1 && gi.completed == 1 && gi.head <= 1 && nr_load64_rlx(&b.h[0].group->claimed) == 1 &&
		   nr_load64_rlx(&rep->applied[0]) == 1 && nr_load64_rlx(&rep->ring_tail) == 0, "it counts as a batch, and nothing is in the ring");
	tap_ok(ri.batches == 1 && ri.requests == 1 && ri.ops == 3 && ri.ops_applied == 3, "in the statistics, too");
	tap_ok(apply(1) && slot->seq == 1 && nr_group_sync(&b.h[1], false) == NR_OK, "the next one has the next number");
	tap_ok(seats_settled(&b) && seats_close(&b), "all extents are back");
}

/* Some in the log and some not, for many laps of it. */
static void
test_in_turns(void)
{
	uint64_t	value = 0;
	uint64_t	seq = 0;
	bool		ok = true;

	open_seats(1, 1, false, &toy_counter_dispatch);
	for (uint32_t i = 0; i < 100; i++)
	{
		uint32_t	announces = i % 3 == 0 || i % 7 == 0;

		nr_store32_rlx(&nr_test_announces, announces);
		ok &= toy_call_add(&b.h[i % 2], 0, 1, &value, &seq) == NR_OK && value == i + 1 && seq == i &&
			toy_call_get(&b.h[1 - i % 2], 0) == i + 1;
		ok &= nr_log_tail(&b.s[0], G) == i + 1 && nr_log_head(&b.s[0], G) == i + 1;
	}
	nr_store32_rlx(&nr_test_announces, 0);
	tap_ok(ok, "in the log or not, each has the next number and sees what was before");
	tap_ok(seats_settled(&b) && seats_close(&b), "all extents are back");
}

static void
test_with_log(void)
{
	open_seats(2, 1, false, &toy_counter_dispatch);
	tap_ok(!apply(1) && toy_group_info(b.e, G).tail == 0, "two replicas: not without");
	tap_ok(seats_close(&b), "all extents are back");
	open_seats(1, 2, false, &toy_counter_dispatch);
	tap_ok(!apply(1) && toy_group_info(b.e, G).tail == 0, "two copies: not without");
	tap_ok(seats_close(&b), "all extents are back");
	open_seats(1, 1, true, &toy_counter_dispatch);
	tap_ok(!apply(1) && toy_group_info(b.e, G).tail == 0, "others append: not without");
	tap_ok(seats_close(&b), "all extents are back");

	/* what is in the log comes first */
	open_seats(1, 1, false, &toy_counter_dispatch);
	if (!nr_combiner_try(&b.s[1], G, 0) || !nr_append_empty(&b.s[1], &toy_counter_dispatch, G, false))
		th_die("no empty batch");
	nr_combiner_unlock(&b.s[1], G, 0);
	tap_ok(!apply(1) && toy_group_info(b.e, G).tail == 1, "something is in the log: not without");
	nr_group_sync(&b.h[0], false);
	tap_ok(apply(1) && toy_group_info(b.e, G).tail == 2, "it has been applied: without");
	tap_ok(seats_close(&b), "all extents are back");
}

/* What it takes is granted, what it gives back is the group's, and what is too much for that goes back to the pool. */
static void
test_memory(void)
{
	NrResult	res = {.status = NR_OK};
	uint32_t	refused = 0;
	uint64_t	pushed = 0;
	bool		ok = true;

	open_seats(1, 1, false, &toy_stack_dispatch);
	for (uint32_t i = 0; i < 400; i++)
	{
		NrStatus	status = toy_call_push(&b.h[0], i, 40, &res);

		ok &= status == NR_OK || status == NR_NO_SPACE;
		refused += status == NR_NO_SPACE || res.status == NR_NO_SPACE;
		pushed += res.done;
		ok &= seats_settled(&b);
		if (i % 150 == 149)
			ok &= toy_call_clear(&b.h[1]) == NR_OK && seats_settled(&b);
	}
	tap_ok(ok && pushed > 400, "the account of memory is settled after each");
	tap_ok(refused > 0, "what the quota does not have is refused");
	tap_ok(toy_check(&b.h[0]), "and the copy is whole");
	toy_call_clear(&b.h[0]);
	tap_ok(toy_replica_info(b.e, G, 0).batches >= 400 && nr_load64_rlx(&b.h[0].group->released) > 0, "surplus is let go of");
	tap_ok(seats_close(&b), "all extents are back");
}

int
main(void)
{
	th_watchdog(60);
#ifndef NR_TEST_POINTS
	printf("1..0 # SKIP compiled without NR_TEST_POINTS\n");
	return 0;
#endif
	test_without_log();
	test_in_turns();
	test_with_log();
	test_memory();
	return tap_done();
}
