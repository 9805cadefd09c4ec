/*
 * test_retire.c
 *		The end of a group: who is waited for, who is sent away, what cancelling leaves;
 *		and what comes afterwards: everything as it was, or nothing.
 */
#include "engine/combine.h"
#include "engine/replay.h"
#include "seats.h"
#include "tap.h"
#include "toy_board.h"

#define G			0

static Seats b;

static void
open_seats(uint32_t replicas, uint32_t copies)
{
	NrGeometry	geo = th_geometry(replicas);
	NrGroupConfig config = toy_config(4, 4096, 8192);

	config.copies = copies;
	geo.sessions = 16;
	seats_open(&b, geo, 4, &config, &toy_counter_dispatch);
}

/* Session 0 is inside; it leaves when it has been waited for often enough. */
static uint32_t patience_needed;

static bool
leave_later(NrSession *session, NrWaitReason why, long timeout_us, bool cancellable)
{
	(void) session;
	(void) timeout_us;
	(void) cancellable;
	if (why == NR_WAIT_READERS && script.waits == patience_needed)
		nr_leave(&b.h[0]);
	return true;
}

static bool
all_sent_away(void)
{
	for (uint32_t i = 0; i < b.n; i++)
		if (nr_enter(&b.h[i], true) != NR_GONE || !nr_group_retired(&b.h[i]) || b.s[i].inside != 0)
			return false;
	return true;
}

static bool
all_let_in(int64_t value)
{
	for (uint32_t i = 0; i < b.n; i++)
		if (nr_group_retired(&b.h[i]) || toy_call_get(&b.h[i], 1) != (uint64_t) value)
			return false;
	return true;
}

static void
test_retire(uint32_t replicas, uint32_t copies)
{
	uint64_t	value;

	tap_note("%u replicas of %u", replicas, copies);
	open_seats(replicas, copies);
	toy_call_add(&b.h[1], 1, 5, &value, NULL);
	toy_call_add(&b.h[1], 1, 2, &value, NULL);
	tap_ok(all_let_in(7), "before it ends, everybody reads");

	nr_enter(&b.h[0], false);
	script_begin(b.th, script_give_up);
	tap_ok(nr_group_retire(&b.h[1], true) == NR_CANCELLED && script.waits_for[NR_WAIT_READERS] > 0,
		   "a reader inside is waited for, and the wait can be cancelled");
	nr_leave(&b.h[0]);
	tap_ok(all_let_in(7), "then everybody reads as before");
	tap_ok(toy_call_add(&b.h[2], 1, 1, &value, NULL) == NR_OK && all_let_in(8) && toy_check(&b.h[3]),
		   "and writes");

	nr_enter(&b.h[0], false);
	patience_needed = 3;
	script_begin(b.th, leave_later);
	tap_ok(nr_group_retire(&b.h[1], true) == NR_OK && script.waits == 3, "it ends when the reader has left");
	tap_ok(all_sent_away(), "and nobody gets in any more, from no replica");
	tap_ok(nr_group_sync(&b.h[2], true) == NR_OK && toy_check(&b.h[3]) && all_sent_away(),
		   "nor after whatever works on the copies without a write");
	script_begin(b.th, NULL);
	tap_ok(seats_close(&b), "everything goes back to the pool");
}

/* ---- back again ---- */

static uint64_t
read_retired(uint32_t i)
{
	ToyRead		read = {.first = 1,.n = 1};

	return nr_execute_retired(&b.h[i], &read, &read) == NR_OK ? read.value[0] : UINT64_MAX;
}

static void
test_restore(uint32_t replicas, uint32_t copies)
{
	SeatsBooks	before;
	uint64_t	value;
	bool		ok = true;

	open_seats(replicas, copies);
	for (uint32_t i = 0; i < 5; i++)
		toy_call_add(&b.h[i % b.n], 1, 1, &value, NULL);
	tap_ok(read_retired(0) == UINT64_MAX, "restore: a group that is not retired is read in the usual way only");
	nr_group_restore(&b.h[0]);
	tap_ok(all_let_in(5), "nor is there anything to restore");

	script_begin(b.th, NULL);
	for (uint32_t round = 0; round < 4; round++)
	{
		ok &= nr_group_retire(&b.h[round], true) == NR_OK && all_sent_away();
		for (uint32_t i = 0; i < b.n; i++)
			ok &= read_retired(i) == 5 + round && toy_group_info(b.e, G).retired;
		nr_group_restore(&b.h[(round + 1) % b.n]);
		ok &= all_let_in(5 + round) && !toy_group_info(b.e, G).retired;
		ok &= toy_call_add(&b.h[round], 1, 1, &value, NULL) == NR_OK && all_let_in(6 + round);
		/* by somebody who has seen the mark and comes too late */
		nr_group_restore(&b.h[(round + 2) % b.n]);
		ok &= all_let_in(6 + round);
	}
	tap_ok(ok && script.waits == 0, "retired, read by all the same, restored by anybody, written, four times");
	tap_ok(toy_check(&b.h[0]), "the copies are equal");

	nr_group_retire(&b.h[0], true);
	before = seats_books(&b);
	tap_ok(nr_group_own(&b.h[1], true) == NR_OK && seats_books(&b).locked == replicas, "owned: all combiner locks");
	tap_ok(all_sent_away() && read_retired(2) == 9, "readers are sent away as before");
	nr_group_disown(&b.h[1]);
	tap_ok(seats_same(&b, before), "given up again");
	nr_combiner_try(&b.s[3], G, replicas - 1);
	before = seats_books(&b);
	script_begin(b.th, script_give_up);
	tap_ok(nr_group_own(&b.h[1], true) == NR_CANCELLED && script.waits_for[NR_WAIT_COMBINER] > 0 && seats_same(&b, before),
		   "who holds one is waited for, cancellable, and then nothing is held");
	nr_combiner_unlock(&b.s[3], G, replicas - 1);
	script_begin(b.th, NULL);
	nr_group_restore(&b.h[0]);
	tap_ok(all_let_in(9) && toy_call_add(&b.h[3], 1, 1, &value, NULL) == NR_OK && all_let_in(10) && seats_close(&b),
		   "everything goes on, and back to the pool");
}

/*
 * Two restore at a time: one has seen the mark of replica "overtaken_at" when the other
 * restores everything and writes.  What a writer has put there since stays.
 */
static uint32_t overtaken_at;
static uint32_t overtaken_in;
static uint32_t overtaken_writes;
static int64_t counted;

static void
overtake(const char *name)
{
	if (strcmp(name, "restore_mark") != 0 || overtaken_at-- != 0)
		return;
	nr_test_point_hook = NULL;
	nr_group_restore(&b.h[1]);
	for (uint32_t i = 0; i < overtaken_writes; i++)
		toy_call_add(&b.h[(i + overtaken_in) % b.n], 1, 1, NULL, NULL);
	counted += overtaken_writes;
}

static void
test_restore_race(uint32_t replicas, uint32_t copies)
{
	bool		ok = true;

	for (uint32_t i = 0; i < 2 * 2 * 4; i++)
	{
		open_seats(replicas, copies);
		counted = 1;
		toy_call_add(&b.h[0], 1, 1, NULL, NULL);
		nr_group_retire(&b.h[0], true);
		overtaken_at = i % replicas;
		overtaken_in = i / 2 % 2;
		overtaken_writes = i / 4;
		nr_test_point_hook = overtake;
		nr_group_restore(&b.h[0]);
		ok &= nr_test_point_hook == NULL && all_let_in(counted);
		for (uint32_t k = 0; k < 5; k++)
			ok &= toy_call_add(&b.h[k % 4], 1, 1, NULL, NULL) == NR_OK && all_let_in(++counted);
		ok &= toy_check(&b.h[2]) && seats_close(&b);
	}
	tap_ok(ok, "%u replicas of %u: restored by two, one of whom writes already", replicas, copies);
}

/* ---- without anything ---- */

#define QUOTA		24
#define PUSHED		3000		/* numbers: some extents of 512 */

static void
push_many(uint32_t n)
{
	NrResult	result = {.status = NR_OK};

	for (uint32_t k = 0; k < n; k += 100)
		if (toy_call_push(&b.h[k / 100 % b.n], k, 100, &result) != NR_OK || result.done != 100)
			th_die("could not push");
}

static bool
all_see(uint64_t depth)
{
	for (uint32_t i = 0; i < b.n; i++)
		if (toy_call_top(&b.h[i]).depth != depth)
			return false;
	return true;
}

static void
clear_all(uint32_t i)
{
	if (nr_group_retire(&b.h[i], true) != NR_OK || nr_group_own(&b.h[i], true) != NR_OK)
		th_die("could not retire");
	nr_group_clear(&b.h[i]);
	nr_group_disown(&b.h[i]);
}

static void
test_clear(uint32_t replicas, uint32_t copies)
{
	NrGeometry	geo = th_geometry(replicas);
	NrGroupConfig config = toy_config(QUOTA, 4096, 8192);
	SeatsBooks	fresh;
	SeatsBooks	now;
	ToyTop		top;
	bool		ok = true;

	config.copies = copies;
	geo.sessions = 16;
	seats_open(&b, geo, 4, &config, &toy_stack_dispatch);
	fresh = seats_books(&b);
	for (uint32_t round = 0; round < 20; round++)
	{
		push_many(PUSHED);
		for (uint32_t r = 0; r < replicas; r++)
			nr_group_sync_replica(&b.h[0], r, false);
		ok &= all_see(PUSHED) && toy_pool_free(b.e) + copies * (PUSHED / 512) <= fresh.pool_free;
		clear_all(round % b.n);
		now = seats_books(&b);
		ok &= now.pool_free == fresh.pool_free && now.mapped == fresh.mapped && now.headroom == fresh.headroom &&
			now.locked == 0 && now.promised == 0 && all_sent_away();
		for (uint32_t i = 0; i < b.n; i++)
			ok &= nr_execute_retired(&b.h[i], NULL, &top) == NR_OK && top.depth == 0;
		ok &= toy_check(&b.h[1]);
		nr_group_restore(&b.h[(round + 1) % b.n]);
		ok &= all_see(0);
	}
	tap_ok(ok, "clear: filled and cleared twenty times: all memory but that of an empty group is in the pool each time");
	push_many(PUSHED);
	tap_ok(all_see(PUSHED) && toy_check(&b.h[0]), "those who were attached all the time go on");
	clear_all(2);
	tap_ok(all_sent_away() && seats_close(&b), "a group can be destroyed as it is then");
}

/* ---- the structure's last word ---- */

static char *
root_of(uint32_t r, uint32_t c)
{
	NrCopy		copy;

	nr_copy_view(b.e, G, r, c, &copy);
	return copy.root;
}

/* Each copy once, in each replica first the idle one; then nothing more. */
static bool
dropped_once(uint32_t replicas, uint32_t copies, const uint32_t *current)
{
	uint32_t	at = 0;
	bool		ok = true;

	for (uint32_t r = 0; r < replicas; r++)
	{
		if (copies == 2)
		{
			ok &= toy_heard[at].call == TOY_DROP_FIRST && toy_heard[at].root == root_of(r, 1 - current[r]);
			at++;
		}
		ok &= toy_heard[at].call == TOY_DROP_SECOND && toy_heard[at].root == root_of(r, current[r]);
		at++;
	}
	return ok && toy_heard_n == at;
}

static void
test_drops(uint32_t replicas, uint32_t copies, uint32_t writes)
{
	NrGeometry	geo = th_geometry(replicas);
	NrGroupConfig config = toy_config(4, 4096, 8192);
	_Alignas(8) char op[TOY_SET_BYTES];
	NrResult	result = {.status = NR_OK};
	uint32_t	current[2];
	bool		ok = true;

	config.copies = copies;
	geo.sessions = 16;
	seats_open(&b, geo, 1, &config, &toy_board_dispatch);
	for (uint32_t i = 0; i < writes; i++)
		nr_execute_mut(&b.h[0], op, toy_set(op, 0, 100 + i), 1, false, &result);
	for (uint32_t r = 0; r < replicas; r++)
		nr_group_sync_replica(&b.h[0], r, false);
	nr_group_retire(&b.h[0], true);
	for (uint32_t r = 0; r < replicas; r++)
		current[r] = nr_load32_rlx(&nr_replica(b.e, G, r)->current) & 1;
	toy_board_listen(true);
	nr_group_own(&b.h[0], true);
	tap_ok(toy_heard_n == 0, "%u replicas of %u, %u writes: nothing is dropped before the clear", replicas, copies, writes);
	nr_group_clear(&b.h[0]);
	tap_ok(dropped_once(replicas, copies, current), "each copy once, the one that readers saw last");
	for (uint32_t i = 0; i < toy_heard_n; i++)
		ok &= toy_heard[i].value == (writes == 0 ? 0 : 99 + writes);
	tap_ok(ok, "and with what was in it");
	nr_group_disown(&b.h[0]);
	nr_group_restore(&b.h[0]);
	tap_ok(toy_heard_n == replicas * copies && toy_board_read(&b.h[0]).writes == 0, "not again when readers are let in");
	nr_execute_mut(&b.h[0], op, toy_set(op, 0, 7), 1, false, &result);
	for (uint32_t r = 0; r < replicas; r++)
		nr_group_sync_replica(&b.h[0], r, false);
	ok = toy_board_read(&b.h[0]).value[0] == 7 && toy_check(&b.h[0]);
	for (uint32_t r = 0; r < replicas; r++)
		current[r] = nr_load32_rlx(&nr_replica(b.e, G, r)->current) & 1;
	toy_board_listen(true);
	nr_group_destroy(b.e, G, &toy_board_dispatch);
	tap_ok(ok && dropped_once(replicas, copies, current), "when the group is destroyed, those that there are then");
	toy_board_listen(false);
	tap_ok(seats_close(&b), "all extents are back");
}

/* Left-right: a load before the first publish, and again after a clear. */
static void
test_load_again(void)
{
	NrGroupConfig config = toy_config(4, 4096, 8192);
	_Alignas(8) char op[TOY_SET_BYTES];
	NrResult	result = {.status = NR_OK};
	uint64_t	n;
	bool		ok = true;

	config.copies = 2;
	seats_open(&b, th_geometry(1), 1, &config, &toy_board_dispatch);
	for (uint64_t round = 1; round <= 3; round++)
	{
		toy_board_listen(true);
		ok &= nr_append(&b.h[0], op, toy_set(op, 0, round), 1, true, &result) == NR_OK;
		ok &= toy_board_calls(TOY_FIRST, NULL) == 1 && toy_board_read(&b.h[0]).writes == 0;
		ok &= nr_publish(&b.h[0], true, &n) == NR_OK && n == 1 && toy_board_read(&b.h[0]).value[0] == round;
		ok &= toy_board_calls(TOY_SYNC, NULL) == 0 && toy_board_calls(TOY_SECOND, NULL) == 0;
		ok &= nr_append(&b.h[0], op, toy_set(op, 0, round + 10), 1, true, &result) == NR_OK;
		ok &= nr_publish(&b.h[0], true, &n) == NR_OK && toy_board_calls(TOY_SYNC, NULL) == 1 &&
			toy_board_read(&b.h[0]).value[0] == round + 10 && toy_check(&b.h[0]);
		clear_all(0);
		nr_group_restore(&b.h[0]);
		ok &= toy_board_read(&b.h[0]).writes == 0 && toy_check(&b.h[0]);
	}
	toy_board_listen(false);
	tap_ok(ok, "what comes first after a clear is a load again");

	/* a load that nobody has copied to the other one */
	nr_append(&b.h[0], op, toy_set(op, 0, 5), 1, true, &result);
	nr_publish(&b.h[0], true, &n);
	tap_ok(nr_group_retire(&b.h[0], true) == NR_OK && toy_check(&b.h[0]), "retired after the first publish: the copies are equal");
	nr_group_restore(&b.h[0]);
	nr_append(&b.h[0], op, toy_set(op, 1, 6), 1, true, &result);
	ok = nr_publish(&b.h[0], true, &n) == NR_OK && toy_board_read(&b.h[0]).value[0] == 5 &&
		toy_board_read(&b.h[0]).value[1] == 6;
	tap_ok(ok && toy_check(&b.h[0]) && seats_close(&b), "restored, it goes on");
}

int
main(void)
{
	for (uint32_t replicas = 1; replicas <= 2; replicas++)
		for (uint32_t copies = 1; copies <= 2; copies++)
		{
			test_retire(replicas, copies);
			test_restore(replicas, copies);
			test_restore_race(replicas, copies);
			test_clear(replicas, copies);
			for (uint32_t writes = 0; writes <= 2; writes++)
				test_drops(replicas, copies, writes);
		}
	test_load_again();
	return tap_done();
}
