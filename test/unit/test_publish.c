/*
 * test_publish.c
 *		append ... publish: nothing is seen before, all of it after; loads before the
 *		first publish; what stands in the way leaves all that was pending.
 */
#include "engine/combine.h"
#include "engine/prepare.h"
#include "seats.h"
#include "tap.h"
#include "toy_board.h"

#define G			0
#define PER_EXTENT	512			/* numbers of the stack in an extent of 4 kB */
#define MOST		(16 * 1024)

static Seats b;
static struct NrGroup *group;
static NrResult res;
static uint64_t n;
static _Alignas(8) char ops[64 * 1024];

static void
open_seats(uint32_t nodes, uint32_t replicas, uint32_t copies, uint32_t sessions, const NrDispatch *d)
{
	NrGeometry	geo = th_geometry(nodes);
	NrGroupConfig config = toy_config(40, 4096, MOST);

	config.copies = copies;
	config.replicas = replicas;
	config.lazy = copies == 1;
	seats_open(&b, geo, sessions, &config, d);
	group = nr_group(b.e, G);
	toy_board_need = 0;
	toy_board_listen(false);
	script_begin(b.th, NULL);
}

/* Session i appends k settings of cells 0 .. k-1. */
static NrStatus
add(uint32_t i, uint32_t k, uint64_t value)
{
	size_t		at = 0;

	for (uint32_t c = 0; c < k; c++)
		at += toy_set(ops + at, c % TOY_CELLS, value);
	return nr_append(&b.h[i], ops, at, k, true, &res);
}

static uint64_t
value(uint32_t i)
{
	return toy_board_read(&b.h[i]).value[0];
}

/* A prepared write that comes to nothing closes the extent of those before, when all copies have them. */
static void
close_records(uint32_t i)
{
	NrPrepared	p;

	if (nr_prepare(&b.h[i], ops, toy_set(ops, 0, 0), 1, 0, false, &p) != NR_OK)
		th_die("could not prepare");
	nr_prepared_drop(&b.h[i], &p);
}

/* Past the first publish, if that is another one. */
static void
past_load(void)
{
	add(0, 1, 0);
	nr_publish(&b.h[0], false, &n);
	for (uint32_t r = 0; r < group->replicas; r++)
		nr_group_sync_replica(&b.h[0], r, false);
	close_records(0);
}

static void
test_publish(uint32_t nodes, uint32_t replicas, uint32_t copies)
{
	SeatsBooks	before;
	bool		ok = true;
	uint64_t	sum = 0;

	open_seats(nodes, replicas, copies, 2 * nodes, &toy_board_dispatch);
	tap_ok(nr_publish(&b.h[0], true, &n) == NR_OK && n == 0 && nr_flush(&b.h[0], true) == NR_OK && nr_log_tail(&b.s[0], G) == 0,
		   "%u of %u replicas, %u copies: nothing pending, nothing published", replicas, nodes, copies);
	past_load();
	before = seats_books(&b);
	tap_ok(add(1, 3, 7) == NR_OK && res.done == 3 && res.status == NR_OK && nr_pending_count(&b.h[0]) == 3,
		   "three operations are appended");
	for (uint32_t i = 0; i < b.n; i++)
		ok &= value(i) == 0;
	tap_ok(ok, "nobody sees them, not who appended them");
	tap_ok(add(0, 60, 8) == NR_OK && nr_pending_count(&b.h[1]) == 63 && toy_group_info(b.e, G).pending == 63 &&
		   before.pool_free - toy_pool_free(b.e) == 1, "sixty more by another session, in one extent");
	add(1, 30, 9);
	tap_ok(before.pool_free - toy_pool_free(b.e) == 2, "then in a second one");
	tap_ok(nr_publish(&b.h[2 % b.n], true, &n) == NR_OK && n == 93 && nr_pending_count(&b.h[0]) == 0,
		   "a third session publishes them all");
	for (uint32_t i = 0; i < b.n; i++)
		ok &= value(i) == 9 && toy_board_read(&b.h[i]).value[59] == 8 && toy_board_read(&b.h[i]).writes >= 93;
	tap_ok(ok, "all see all of them, in their order");
	tap_ok(nr_log_tail(&b.s[0], G) == (copies == 1 || replicas != 1 ? 2 : 1), "as one batch");
	for (uint32_t r = 0; r < group->replicas; r++)
		nr_group_sync_replica(&b.h[0], r, false);
	close_records(1);
	tap_ok(seats_same(&b, before), "then nothing is held");
	for (uint64_t k = 1; k <= 200; k++)
	{
		ok &= add(k % b.n, 1 + k % 40, k) == NR_OK;
		sum += 1 + k % 40;
		if (k % 5 == 0)
		{
			ok &= (k % 10 == 0 ? nr_publish(&b.h[k % b.n], true, &n) : nr_publish_try(&b.h[k % b.n], &n)) == NR_OK &&
				n == sum && value((k + 1) % b.n) == k;
			sum = 0;
		}
		else
			ok &= value(k % b.n) == k / 5 * 5 || (k < 5 && value(0) == 9);
	}
	tap_ok(ok && script.waits == 0, "two hundred appends, forty publishes: none waits");
	add(0, 2, 1000);
	tap_ok(nr_flush(&b.h[1], true) == NR_OK && value(0) == 1000, "a flush publishes what pends");
	add(0, 20, 1);
	tap_ok(toy_check(&b.h[0]) && nr_pending_count(&b.h[0]) == 20 && value(0) == 1000, "a check leaves alone what pends");
	tap_ok(seats_close(&b), "what still pends goes with the group: all extents are back");
}

/* ---- refusals ---- */

static void
test_refused(uint32_t copies)
{
	NrDispatch	without = toy_board_dispatch;
	NrPrepared	p;
	SeatsBooks	before;
	size_t		bytes;

	open_seats(1, 1, copies, 2, &toy_board_dispatch);
	past_load();
	before = seats_books(&b);
	bytes = toy_set(ops, 0, 5);
	tap_ok(nr_append(&b.h[0], ops, bytes, 2, true, &res) == NR_BAD_OP && nr_append(&b.h[0], ops, bytes - 8, 1, true, &res) == NR_BAD_OP,
		   "%u copies: lengths that do not add up are refused", copies);
	without.need_ops = NULL;
	b.h[1].dispatch = &without;
	tap_ok(nr_append(&b.h[1], ops, bytes, 1, true, &res) == NR_BAD_CONFIG, "so is a structure without need_ops");
	b.h[1].dispatch = &toy_board_dispatch;
	tap_ok(add(0, MOST / TOY_SET_BYTES + 1, 1) == NR_TOO_LARGE, "so is more than may pend");
	tap_ok(seats_same(&b, before), "and nothing is held");
	tap_ok(add(0, MOST / TOY_SET_BYTES, 1) == NR_OK && add(1, 1, 2) == NR_TOO_LARGE &&
		   nr_pending_count(&b.h[0]) == MOST / TOY_SET_BYTES, "together they may not be more, either");
	bytes = toy_set(ops, 0, 5);
	tap_ok(nr_execute_mut(&b.h[1], ops, bytes, 1, true, &res) == NR_BAD_CONFIG &&
		   nr_prepare(&b.h[1], ops, bytes, 1, 0, true, &p) == NR_BAD_CONFIG && p.batch == NULL,
		   "what pends must not be overtaken by other writes");
	tap_ok(nr_publish(&b.h[0], true, &n) == NR_OK && n == MOST / TOY_SET_BYTES && value(1) == 1, "published");
	tap_ok(nr_execute_mut(&b.h[1], ops, bytes, 1, true, &res) == NR_OK && value(1) == 5, "then they may");
	tap_ok(nr_prepare(&b.h[1], ops, toy_set(ops, 0, 6), 1, 0, true, &p) == NR_OK, "prepared ones, too");
	nr_prepared_append(&b.h[1], &p);
	tap_ok(value(0) == 6 && toy_check(&b.h[0]) && seats_close(&b), "all extents are back");
}

static void
test_no_space(uint32_t copies)
{
	SeatsBooks	before;
	bool		ok = true;

	open_seats(1, 1, copies, 2, &toy_board_dispatch);
	past_load();
	add(0, 10, 1);
	while (toy_pool_free(b.e) > 1)
		nr_pool_alloc(b.e, 1, 1);
	before = seats_books(&b);
	tap_ok(add(0, 200, 2) == NR_NO_SPACE && seats_same(&b, before) && nr_pending_count(&b.h[0]) == 10,
		   "%u copies: three extents needed, one there: nothing of it is appended", copies);
	tap_ok(add(0, 60, 2) == NR_OK && add(0, 60, 3) == NR_OK && toy_pool_free(b.e) == 0, "what fits, is");
	before = seats_books(&b);
	tap_ok(nr_publish(&b.h[0], true, &n) == NR_NO_SPACE && nr_publish_try(&b.h[0], &n) == NR_NO_SPACE && n == 0 &&
		   seats_same(&b, before), "no extent for the batch: no publish, and all still pends");
	nr_pool_free_owner(b.e, 1);
	toy_board_need = 1;
	before = seats_books(&b);
	tap_ok(nr_publish(&b.h[0], true, &n) == NR_NO_SPACE && seats_same(&b, before), "nor beyond the quota");
	toy_board_need = 0;
	ok &= value(0) == 0 && nr_publish(&b.h[0], true, &n) == NR_OK && n == 130 && value(0) == 3;
	tap_ok(ok && toy_check(&b.h[1]) && seats_close(&b), "when there is space, all is published");
}

/* ---- who is in the way ---- */

static bool
leave_third(NrSession *session, NrWaitReason why, long timeout_us, bool cancellable)
{
	(void) session;
	(void) cancellable;
	if (why == NR_WAIT_READERS && timeout_us > 0 && script.waits == 3)
		nr_leave(&b.h[0]);
	return true;
}

static void
test_in_the_way(void)
{
	SeatsBooks	before;

	open_seats(2, 1, 2, 4, &toy_board_dispatch);
	past_load();
	nr_enter(&b.h[0], false);
	add(1, 1, 1);
	tap_ok(nr_publish_try(&b.h[1], &n) == NR_OK && n == 1, "a reader is inside: the first publish after it does not wait");
	tap_ok(add(1, 1, 2) == NR_OK && script.waits == 0, "nor does any append");
	before = seats_books(&b);
	tap_ok(nr_publish_try(&b.h[1], &n) == NR_BUSY && n == 0 && script.waits == 0 && seats_same(&b, before),
		   "the next one would: busy");
	script_begin(b.th, script_give_up);
	tap_ok(nr_publish(&b.h[1], true, &n) == NR_CANCELLED && script.waits_for[NR_WAIT_READERS] == 1 && seats_same(&b, before),
		   "or cancelled, and all still pends");
	tap_ok(nr_flush(&b.h[1], true) == NR_CANCELLED && value(2) == 1 && value(0) == 0, "a flush, too");
	script_begin(b.th, leave_third);
	tap_ok(nr_publish(&b.h[1], false, &n) == NR_OK && n == 1 && script.waits == 3, "or it waits until the reader has left");
	tap_ok(value(0) == 2 && toy_check(&b.h[1]) && seats_close(&b), "all extents are back");

	open_seats(1, 1, 1, 4, &toy_board_dispatch);
	nr_combiner_try(&b.s[3], G, 0);
	add(0, 1, 5);
	tap_ok(nr_publish(&b.h[0], true, &n) == NR_OK && script.waits == 0, "one copy: a stopped combiner is not waited for");
	nr_combiner_unlock(&b.s[3], G, 0);
	tap_ok(value(1) == 5 && seats_close(&b), "who reads applies it");
}

/* ---- before the first publish ---- */

static char *
root_of(uint32_t c)
{
	NrCopy		copy;

	nr_copy_view(b.e, G, 0, c, &copy);
	return copy.root;
}

static void
test_load(void)
{
	NrReplicaInfo info;
	SeatsBooks	before;
	ToyBoard	board;
	size_t		at = 0;

	open_seats(1, 1, 2, 1, &toy_board_dispatch);	/* one view, so that copies have one address */
	before = seats_books(&b);
	toy_board_stamp = 100;
	toy_board_listen(true);
	for (uint32_t c = 0; c < 3; c++)
		at += toy_stamp(ops + at, c);
	ops[at - sizeof(ToySet) + 7] = 1;	/* the third cell does not exist */
	tap_ok(nr_append(&b.h[0], ops, at, 3, true, &res) == NR_OK && res.done == 2 && res.status == NR_BAD_OP && res.flagged == 2,
		   "a load: how the operations fared is told at once");
	tap_ok(toy_board_calls(TOY_FIRST, root_of(1)) == 3 && toy_heard_n == 3, "they went to the idle copy, by absorb_first");
	tap_ok(value(0) == 0 && nr_pending_count(&b.h[0]) == 3 && seats_books(&b).locked == 0, "nobody sees them");
	tap_ok(add(0, 5, 7) == NR_OK && res.done == 5, "more of them");
	tap_ok(toy_check(&b.h[0]) && nr_pending_count(&b.h[0]) == 8, "a check meanwhile finds nothing wrong with that");
	before.pending = 8;
	tap_ok(seats_same(&b, before) && nr_log_tail(&b.s[0], G) == 0, "without log, without extents");
	tap_ok(nr_publish(&b.h[0], true, &n) == NR_OK && n == 8 && value(0) == 7 && nr_pending_count(&b.h[0]) == 0,
		   "published: all is seen");
	info = toy_replica_info(b.e, G, 0);
	tap_ok(info.batches == 1 && info.requests == 1 && info.ops == 8 && info.ops_applied == 8 && info.applied == 0,
		   "and counted as one batch, though the log has none");
	tap_ok(toy_board_calls(TOY_SYNC, NULL) == 0 && toy_board_calls(TOY_SECOND, NULL) == 0, "the other copy is left for later");
	add(0, 1, 8);
	tap_ok(nr_publish(&b.h[0], true, &n) == NR_OK && n == 1 && value(0) == 8, "the next publish");
	tap_ok(toy_board_calls(TOY_SYNC, root_of(0)) == 1 && toy_board_calls(TOY_SYNC, NULL) == 1 &&
		   toy_board_calls(TOY_SECOND, NULL) == 0, "makes it equal first: sync_with, and no operation twice");
	for (uint64_t k = 0; k < 10; k++)
	{
		add(0, 1, k);
		nr_publish(&b.h[0], true, &n);
	}
	board = toy_board_read(&b.h[0]);
	tap_ok(toy_board_calls(TOY_SYNC, NULL) == 1 && board.value[0] == 9 && board.value[4] == 7 && board.writes == 2 + 5 + 11,
		   "once and never again");
	tap_ok(toy_check(&b.h[0]) && toy_board_calls(TOY_FIRST, NULL) == 3 + 5 + 11 && toy_board_calls(TOY_SECOND, NULL) == 11 &&
		   toy_board_calls(TOY_MUT, NULL) == 0, "from then on each operation once for each copy");
	toy_board_listen(false);
	tap_ok(seats_close(&b), "all extents are back");
}

/* A check right after the first publish compares equal copies. */
static void
test_load_check(void)
{
	open_seats(1, 1, 2, 2, &toy_board_dispatch);
	add(0, 9, 3);
	nr_publish(&b.h[0], true, &n);
	toy_board_listen(true);
	tap_ok(toy_check(&b.h[1]) && toy_board_calls(TOY_SYNC, NULL) == 1, "a check after the first publish makes the copies equal");
	tap_ok(toy_check(&b.h[1]) && toy_board_calls(TOY_SYNC, NULL) == 1, "once");
	toy_board_listen(false);
	seats_close(&b);
}

/* Whose first write is another one has no load. */
static void
test_no_load(void)
{
	NrPrepared	p;
	size_t		bytes;

	open_seats(1, 1, 2, 2, &toy_board_dispatch);
	nr_prepare(&b.h[0], ops, toy_set(ops, 0, 4), 1, 0, true, &p);
	nr_prepared_append(&b.h[0], &p);
	toy_board_listen(true);
	add(0, 1, 5);
	tap_ok(toy_heard_n == 0 && value(0) == 4, "after a prepared write an append goes to what pends");
	nr_publish(&b.h[0], true, &n);
	tap_ok(toy_check(&b.h[0]) && toy_board_calls(TOY_SYNC, NULL) == 0 && value(1) == 5, "and nothing need be synchronised");
	toy_board_listen(false);
	seats_close(&b);

	open_seats(1, 1, 2, 2, &toy_board_dispatch);
	bytes = toy_set(ops, 1, 6);
	nr_execute_mut(&b.h[0], ops, bytes, 1, true, &res);
	add(1, 1, 7);
	tap_ok(value(0) == 0 && toy_board_read(&b.h[0]).value[1] == 6, "after a request, too, an append is not seen");
	nr_publish(&b.h[1], true, &n);
	tap_ok(n == 1 && value(0) == 7 && toy_board_read(&b.h[0]).value[1] == 6 && toy_check(&b.h[0]), "before it is published");
	nr_execute_mut(&b.h[0], ops, toy_set(ops, 1, 8), 1, true, &res);
	tap_ok(toy_board_read(&b.h[1]).value[1] == 8 && value(1) == 7 && toy_check(&b.h[0]) && seats_close(&b),
		   "and requests go on from there");
}

static void
test_load_waits(void)
{
	SeatsBooks	before;

	open_seats(1, 1, 2, 3, &toy_board_dispatch);
	add(0, 1, 1);
	nr_combiner_try(&b.s[2], G, 0);
	before = seats_books(&b);
	script_begin(b.th, script_give_up);
	tap_ok(add(0, 1, 2) == NR_CANCELLED && nr_publish(&b.h[0], true, &n) == NR_CANCELLED &&
		   nr_publish_try(&b.h[0], &n) == NR_BUSY && n == 0 && seats_same(&b, before),
		   "a load waits for a combiner, here for a check: it can be cancelled, and nothing has happened");
	nr_combiner_unlock(&b.s[2], G, 0);
	script_begin(b.th, NULL);
	nr_enter(&b.h[1], false);
	tap_ok(add(0, 1, 2) == NR_OK && nr_publish_try(&b.h[0], &n) == NR_OK && n == 2 && value(2) == 2 && value(1) == 0,
		   "readers inside the first copy are in nobody's way");
	nr_execute(&b.h[1], NULL, &(ToyBoard) {0}, false);
	add(0, 1, 3);
	tap_ok(nr_publish_try(&b.h[0], &n) == NR_BUSY && nr_pending_count(&b.h[0]) == 1, "until that one is to be made equal");
	nr_leave(&b.h[1]);
	tap_ok(nr_publish_try(&b.h[0], &n) == NR_OK && value(1) == 3 && toy_check(&b.h[0]) && seats_close(&b),
		   "all extents are back");
}

/* Loads that take extents: both copies have them, and the account is right. */
static NrStatus
add_pushes(uint32_t i, uint32_t k)
{
	size_t		at = 0;

	for (uint32_t c = 0; c < k; c++)
		at += toy_push(ops + at, c);
	return nr_append(&b.h[i], ops, at, k, true, &res);
}

static void
test_load_extents(void)
{
	uint64_t	random = 9;
	uint64_t	depth = 0;
	uint64_t	was;
	bool		cleared = false;
	bool		ok = true;

	open_seats(1, 1, 2, 2, &toy_stack_dispatch);
	while (depth < 9 * PER_EXTENT)
	{
		uint32_t	k = 1 + th_random(&random) % 200;

		ok &= add_pushes(0, k) == NR_OK && res.done == k && res.flagged == k && toy_call_top(&b.h[1]).depth == 0;
		depth += k;
		if (!cleared && depth > 6 * PER_EXTENT)
		{
			ok &= nr_append(&b.h[0], ops, toy_clear(ops), 1, true, &res) == NR_OK;
			cleared = true;
			depth = 0;
		}
	}
	ok &= nr_append(&b.h[1], ops, toy_pop(ops), 1, true, &res) == NR_OK && res.done == 1;
	depth--;
	tap_ok(ok && toy_check(&b.h[0]), "a stack of nine extents is loaded, a few hundred numbers at a time");
	while (toy_pool_free(b.e) > 0)
		nr_pool_alloc(b.e, 1, 1);
	for (was = 0; was < 10 && add_pushes(0, 290) == NR_OK; was++)
		depth += 290;
	tap_ok(was < 10 && add_pushes(0, 290) == NR_NO_SPACE && toy_check(&b.h[0]), "until there is no space: all or nothing");
	nr_pool_free_owner(b.e, 1);

	/* some extents are free again, in an order that only the loaded copy knows */
	for (int k = 0; k < 8; k++)
	{
		size_t		at = 0;

		for (int c = 0; c < 250; c++)
			at += toy_pop(ops + at);
		ok &= nr_append(&b.h[1], ops, at, 250, true, &res) == NR_OK && res.flagged == 250;
		depth -= 250;
	}
	tap_ok(toy_call_top(&b.h[1]).depth == 0 && ok && nr_publish(&b.h[1], true, &n) == NR_OK &&
		   toy_call_top(&b.h[0]).depth == depth, "published, it is there");
	tap_ok(seats_settled(&b) && toy_check(&b.h[0]), "both copies have the same extents, and the account is what they have");
	for (int k = 0; k < 60; k++)
	{
		uint32_t	times = 1 + th_random(&random) % 100;

		if (th_random(&random) % 10 == 0)
		{
			ok &= nr_append(&b.h[0], ops, toy_clear(ops), 1, true, &res) == NR_OK;
			depth = 0;
		}
		else if (depth < 15 * PER_EXTENT)
		{
			ok &= add_pushes(k % 2, times) == NR_OK;
			depth += times;
		}
		if (k % 3 == 0)
			ok &= nr_publish(&b.h[0], true, &n) == NR_OK && toy_call_top(&b.h[1]).depth == depth && seats_settled(&b);
	}
	tap_ok(ok && nr_flush(&b.h[0], true) == NR_OK && toy_call_top(&b.h[1]).depth == depth && toy_check(&b.h[0]),
		   "and goes on as any other");
	tap_ok(seats_close(&b), "all extents are back");
}

/* A group that is destroyed in the middle of its load. */
static void
test_load_destroyed(void)
{
	open_seats(1, 1, 2, 1, &toy_stack_dispatch);
	add_pushes(0, 200);
	add_pushes(0, 200);
	add_pushes(0, 200);
	tap_ok(nr_pending_count(&b.h[0]) == 600 && seats_close(&b), "all extents of a load are back when its group goes");
}

int
main(void)
{
	th_watchdog(60);
	test_publish(1, 1, 1);
	test_publish(3, 0, 1);
	test_publish(3, 1, 1);
	test_publish(1, 1, 2);
	test_publish(3, 1, 2);
	test_publish(2, 0, 2);
	test_refused(1);
	test_refused(2);
	test_no_space(1);
	test_no_space(2);
	test_in_the_way();
	test_load();
	test_load_check();
	test_no_load();
	test_load_waits();
	test_load_extents();
	test_load_destroyed();
	return tap_done();
}
