/*
 * test_space.c
 *		What comes before the log: lengths that add up, payloads in extents, room.
 */
#include "engine/space.h"
#include "seats.h"
#include "tap.h"

#define G	0

static Seats b;
static struct NrGroup *group;
static _Alignas(8) char ops[64 * 1024];

static void
open_seats(uint32_t replicas, uint32_t copies, uint32_t slots, uint32_t extents)
{
	NrGeometry	geo = th_geometry(replicas);
	NrGroupConfig config = toy_config(4, 4096, 32 * 1024);

	geo.extents = extents;
	config.copies = copies;
	config.lazy = copies == 1;
	config.log_slots = slots;
	seats_open(&b, geo, 2 * replicas, &config, &toy_counter_dispatch);
	group = nr_group(b.e, G);
}

/* ---- operations that add up ---- */

static void
test_check_ops(void)
{
	NrOpHeader *op = (NrOpHeader *) ops;
	size_t		one = TOY_ADD_BYTES;
	size_t		max;
	bool		ok = true;

	open_seats(1, 1, 0, 32);
	max = nr_op_bytes_max(&b.e->geo);
	toy_add(ops, 0, 1);
	toy_add(ops + one, 0, 1);
	tap_ok(nr_check_ops(b.e, ops, one, 1) == NR_OK && nr_check_ops(b.e, ops, 2 * one, 2) == NR_OK, "one, two operations");
	tap_ok(nr_check_ops(b.e, ops, 2 * one, 1) == NR_BAD_OP && nr_check_ops(b.e, ops, 2 * one, 3) == NR_BAD_OP &&
		   nr_check_ops(b.e, ops, 0, 0) == NR_BAD_OP, "more, fewer or none are not what was announced");
	for (size_t bytes = 0; bytes < 2 * one; bytes++)
		ok &= bytes == one || nr_check_ops(b.e, ops, bytes, bytes < one ? 1 : 2) == NR_BAD_OP;
	tap_ok(ok, "cut off anywhere");
	for (uint32_t bytes = 0; bytes < 200; bytes++)
	{
		op->bytes = bytes;
		ok &= bytes == one || nr_check_ops(b.e, ops, 2 * one, 2) == NR_BAD_OP;
	}
	tap_ok(ok, "a length that is not that of its payload");
	toy_sum(ops, max - sizeof(NrOpHeader), 0);
	tap_ok(nr_check_ops(b.e, ops, max, 1) == NR_OK, "the largest operation");
	tap_ok(nr_check_ops(b.e, ops, toy_sum(ops, max - sizeof(NrOpHeader) + 1, 0), 1) == NR_TOO_LARGE, "and one that is larger");
	seats_close(&b);
}

/* ---- payloads ---- */

/* Operations of random sizes; returns their bytes. */
static size_t
random_ops(uint64_t *random, size_t upto)
{
	size_t		at = 0;

	while (at < upto)
		at += toy_sum(ops + at, th_random(random) % 1500, (unsigned char) at);
	return at;
}

/* Is this chain what "ops" holds, in whole operations, with no more extents than needed? */
static bool
holds(uint32_t r, uint32_t first, uint32_t end, size_t bytes, uint32_t refs, uint32_t *extents)
{
	size_t		room = nr_op_bytes_max(&b.e->geo);
	size_t		at = 0;
	uint32_t	last = NR_NO_EXTENT;
	bool		ok = true;

	*extents = 0;
	for (uint32_t x = first; x != NR_NO_EXTENT; x = ((NrPayload *) nr_physical(b.e, r, x))->next)
	{
		NrPayload  *payload = (NrPayload *) nr_physical(b.e, r, x);

		ok &= payload->bytes <= room && at + payload->bytes <= bytes && memcmp(payload + 1, ops + at, payload->bytes) == 0;
		at += payload->bytes;
		/* the next operation would not have fitted */
		ok &= at == bytes || payload->bytes + ((NrOpHeader *) (ops + at))->bytes > room;
		ok &= nr_pool_refs(b.e, x) == refs;
		++*extents;
		last = x;
	}
	return ok && at == bytes && last == end;
}

static void
test_payload(uint32_t replicas, uint32_t copies)
{
	uint64_t	random = 5;
	uint32_t	first;
	uint32_t	end;
	uint32_t	n;
	uint32_t	free_before;
	bool		ok = true;
	bool		back = true;

	open_seats(replicas, copies, 0, 64);
	free_before = toy_pool_free(b.e);
	for (int i = 0; i < 200; i++)
	{
		size_t		bytes = random_ops(&random, 1 + th_random(&random) % 20000);
		uint32_t	r = i % replicas;

		ok &= nr_payload_place(&b.s[0], G, r, ops, bytes, &first, &end) == NR_OK &&
			holds(r, first, end, bytes, replicas * copies, &n) && toy_pool_free(b.e) == free_before - n;
		nr_payload_free(&b.s[0], r, first);
		back &= toy_pool_free(b.e) == free_before;
	}
	tap_ok(ok, "%u replicas of %u copies: a chain holds the operations, whole ones, with a reference for each copy",
		   replicas, copies);
	tap_ok(back, "freed, the pool is whole");
	while (toy_pool_free(b.e) > 3)
		nr_pool_alloc(b.e, 1, 1);
	tap_ok(nr_payload_place(&b.s[0], G, 0, ops, random_ops(&random, 20000), &first, &end) == NR_NO_SPACE &&
		   toy_pool_free(b.e) == 3, "when the pool ends on the way nothing is held");
	tap_ok(nr_payload_place(&b.s[0], G, 0, ops, random_ops(&random, 7000), &first, &end) == NR_OK, "what fits is placed");
	nr_payload_free(&b.s[0], 0, first);
	nr_payload_free(&b.s[0], 0, NR_NO_EXTENT);
	nr_pool_free_owner(b.e, 1);
	tap_ok(seats_close(&b), "all extents are back");
}

/* ---- what others hold ---- */

static void
test_let_go(void)
{
	uint32_t	before;

	open_seats(3, 1, 0, 64);
	before = toy_pool_free(b.e);
	toy_call_sum(&b.h[0], 3000, 1, NULL);
	tap_ok(toy_pool_free(b.e) == before - 1, "two replicas lag and hold a payload");
	nr_combiner_try(&b.s[2], G, 2);
	nr_let_go(&b.h[1]);
	tap_ok(toy_replica_info(b.e, G, 1).applied == 1 && toy_replica_info(b.e, G, 2).applied == 0 &&
		   toy_pool_free(b.e) == before - 1, "the own one is brought forward; one that is in use is left alone");
	nr_combiner_unlock(&b.s[2], G, 2);
	nr_let_go(&b.h[1]);
	tap_ok(toy_replica_info(b.e, G, 2).applied == 1 && toy_pool_free(b.e) == before, "then the other one, too");
	nr_combiner_try(&b.s[0], G, 1);
	script_begin(b.th, NULL);
	nr_let_go(&b.h[1]);
	tap_ok(script.waits == 0, "nobody is waited for");
	nr_combiner_unlock(&b.s[0], G, 1);
	tap_ok(seats_close(&b), "all extents are back");
}

/* ---- room in the log ---- */

static void
test_room(void)
{
	NrFull		full = {.head = 0,.slots = true};

	open_seats(2, 1, 2, 64);
	script_begin(b.th, NULL);
	tap_ok(nr_log_claim(&b.s[0], G) && nr_wait_for_space(&b.h[0], &full, true) && script.waits == 0,
		   "with a slot left nobody waits");
	tap_ok(nr_log_claim(&b.s[0], G) && !nr_log_claim(&b.s[0], G), "two slots are all");
	tap_ok(nr_wait_for_space(&b.h[0], &full, true) && script.waits_for[NR_WAIT_LOG_SPACE] == 1, "then one waits");
	tap_ok(nr_load32_rlx(&group->space_waiting) == 0 && nr_load64_rlx(nr_space_waiters(group)) == 0, "and leaves no trace");
	script_begin(b.th, script_give_up);
	tap_ok(!nr_wait_for_space(&b.h[0], &full, true) && nr_load32_rlx(&group->space_waiting) == 0, "a cancel is heard");
	tap_ok(nr_wait_for_space(&b.h[0], &full, false), "unless it must not be");
	tap_ok(toy_group_info(b.e, G).log_space_waits == 3 && toy_group_info(b.e, G).promised == 2, "waits are counted, and what is promised");

	script_begin(b.th, NULL);
	nr_add32_seq(&group->space_waiting, 1);
	nr_bit_set(nr_space_waiters(group), 3);
	nr_log_give_back(&b.s[0], G);
	tap_ok(script.woken[3] == 1 && toy_group_info(b.e, G).promised == 1, "a claim that is given back wakes who waits");
	nr_bit_clear(nr_space_waiters(group), 3);
	nr_sub32_seq(&group->space_waiting, 1);
	nr_log_give_back(&b.s[0], G);
	tap_ok(script.wakes == 1, "when nobody waits nobody is woken");
	full.slots = false;
	tap_ok(nr_wait_for_space(&b.h[0], &full, true) && script.waits == 1, "who lacks room in the ring waits for the head only");
	full.head = 7;
	tap_ok(nr_wait_for_space(&b.h[0], &full, true) && script.waits == 1, "which is not where it was");
	tap_ok(seats_close(&b), "all extents are back");
}

int
main(void)
{
	th_watchdog(60);
	test_check_ops();
	test_payload(1, 1);
	test_payload(3, 1);
	test_payload(2, 2);
	test_let_go();
	test_room();
	return tap_done();
}
