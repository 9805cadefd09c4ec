/*
 * test_prepare.c
 *		Prepared writes of a lazy group: everything is got first, and given back when
 *		it comes to nothing, at whatever stage; append waits for nobody.
 */
#include "engine/combine.h"
#include "seats.h"
#include "tap.h"
#include "toy_board.h"

#define G			0
#define PER_EXTENT	512			/* numbers of the stack in an extent of 4 kB */

static Seats b;
static struct NrGroup *group;
static NrPrepared p[SEATS_MAX];
static _Alignas(8) char ops[32 * 1024];

static void
open_seats(uint32_t replicas, uint32_t n, uint32_t slots, const NrDispatch *d)
{
	NrGeometry	geo = th_geometry(replicas);
	NrGroupConfig config = toy_config(40, 4096, 16 * 1024);

	config.lazy = true;
	config.log_slots = slots;
	seats_open(&b, geo, n, &config, d);
	group = nr_group(b.e, G);
	memset(p, 0, sizeof(p));
	toy_board_need = 0;
	script_begin(b.th, NULL);
}

/* Session i prepares n settings of cells 0 .. n-1. */
static NrStatus
prepare_some(uint32_t i, uint32_t n, uint64_t value, uint32_t flags)
{
	size_t		at = 0;

	for (uint32_t k = 0; k < n; k++)
		at += toy_set(ops + at, k, value);
	return nr_prepare(&b.h[i], ops, at, n, flags, true, &p[i]);
}

static NrStatus
prepare(uint32_t i, uint64_t value, uint32_t flags)
{
	return prepare_some(i, 1, value, flags);
}

static void
append(uint32_t i)
{
	nr_prepared_append(&b.h[i], &p[i]);
}

static void
drop(uint32_t i)
{
	nr_prepared_drop(&b.h[i], &p[i]);
}

static uint64_t
value(uint32_t i)
{
	return toy_board_read(&b.h[i]).value[0];
}

static void
test_append(void)
{
	SeatsBooks	before;

	open_seats(1, 2, 0, &toy_board_dispatch);
	before = seats_books(&b);
	tap_ok(prepare(0, 7, 0) == NR_OK && value(1) == 0 && nr_log_tail(&b.s[0], G) == 0, "what is prepared nobody sees");
	tap_ok(seats_books(&b).promised == 1 && toy_pool_free(b.e) == before.pool_free - 1 && seats_books(&b).locked == 0,
		   "it has a slot and an extent, and holds no lock");
	append(0);
	tap_ok(value(1) == 7 && value(0) == 7 && p[0].batch == NULL, "appended, all see it");
	tap_ok(seats_same(&b, before), "and nothing is held any more");
	tap_ok(toy_replica_info(b.e, G, 0).batches == 1 && toy_replica_info(b.e, G, 0).ops == 1 &&
		   toy_replica_info(b.e, G, 0).ops_applied == 1, "it counts as a batch");
	drop(0);
	tap_ok(seats_same(&b, before) && value(0) == 7, "a drop after that does nothing");
	tap_ok(prepare_some(1, 5, 8, 0) == NR_OK, "another one");
	append(1);
	tap_ok(toy_board_read(&b.h[0]).value[4] == 8 && toy_board_read(&b.h[0]).order_seq[4] == 0 &&
		   toy_board_read(&b.h[0]).horizon == 0, "without order number there is no horizon");
	tap_ok(script.waits == 0 && toy_check(&b.h[0]) && seats_close(&b), "nobody waited; all extents are back");
}

static void
test_drop(void)
{
	SeatsBooks	before;
	bool		ok = true;

	open_seats(2, 4, 0, &toy_board_dispatch);
	before = seats_books(&b);
	for (uint32_t k = 0; k < 16; k++)
	{
		uint32_t	flags = k & 1 ? NR_PREPARE_ORDERED : 0;
		uint32_t	n = k & 2 ? 20 : 3; /* in extents, or not */

		toy_board_need = k & 4 ? 1 : 0;
		ok &= prepare_some(k % 4, n, 9, flags | (k & 8 ? NR_PREPARE_TRY : 0)) == NR_OK &&
			seats_books(&b).promised == 1 && seats_books(&b).committers == (k & 1);
		drop(k % 4);
		ok &= seats_same(&b, before) && p[k % 4].batch == NULL;
		drop(k % 4);
	}
	tap_ok(ok && seats_same(&b, before), "dropped, small or large, with grants and numbers or without, nothing is left");
	toy_board_need = 2;
	for (uint32_t i = 0; i < 4; i++)
		ok &= prepare(i, i, NR_PREPARE_ORDERED) == NR_OK;
	tap_ok(ok && seats_books(&b).promised == 4 && seats_books(&b).committers == 4 && seats_books(&b).mapped == 9 &&
		   toy_pool_free(b.e) == before.pool_free - 9, "four at a time");
	drop(2);
	drop(0);
	drop(3);
	drop(1);
	tap_ok(seats_same(&b, before) && value(0) == 0, "dropped in any order");
	tap_ok(toy_check(&b.h[0]) && seats_close(&b), "all extents are back");
}

/* ---- refusals ---- */

static void
test_limits(void)
{
	NrGroupConfig config = toy_config(4, 4096, 1024);
	NrDispatch	without = toy_board_dispatch;
	SeatsBooks	before;
	NrHandle	h;
	size_t		bytes;

	open_seats(1, 1, 0, &toy_board_dispatch);
	before = seats_books(&b);
	bytes = toy_set(ops, 0, 1);
	tap_ok(nr_prepare(&b.h[0], ops, bytes, 2, 0, true, &p[0]) == NR_BAD_OP &&
		   nr_prepare(&b.h[0], ops, bytes - 8, 1, 0, true, &p[0]) == NR_BAD_OP, "lengths that do not add up are refused");
	tap_ok(nr_prepare(&b.h[0], ops, 16 * 1024 + 8, 1, 0, true, &p[0]) == NR_TOO_LARGE, "too much is, too");
	drop(0);
	without.need_ops = NULL;
	b.h[0].dispatch = &without;
	tap_ok(prepare(0, 1, 0) == NR_BAD_CONFIG, "a structure without need_ops cannot be asked");
	without = toy_board_dispatch;
	without.ordered = NULL;
	tap_ok(prepare(0, 1, NR_PREPARE_ORDERED) == NR_BAD_CONFIG, "nor one without ordered for order numbers");
	tap_ok(prepare(0, 1, 0) == NR_OK, "only for these");
	drop(0);
	b.h[0].dispatch = &toy_board_dispatch;
	tap_ok(seats_same(&b, before), "nothing is held");
	th_create(b.th, 1, &config, &toy_board_dispatch);
	th_attach(&b.s[0], 1, &toy_board_dispatch, &h);
	tap_ok(nr_prepare(&h, ops, bytes, 1, 0, true, &p[0]) == NR_BAD_CONFIG && p[0].batch == NULL,
		   "a group of one copy that is not lazy is refused");
	nr_group_detach(&h);
	nr_group_destroy(b.e, 1, &toy_board_dispatch);
	config.lazy = true;
	config.copies = 2;
	tap_ok(nr_group_create(b.e, 1, &config, &toy_board_dispatch) == NR_BAD_CONFIG, "a lazy group of two copies, too");
	tap_ok(seats_close(&b), "all extents are back");
}

/* ---- no slot ---- */

static bool
drop_the_second(NrSession *session, NrWaitReason why, long timeout_us, bool cancellable)
{
	(void) session;
	(void) cancellable;
	if (why == NR_WAIT_LOG_SPACE && timeout_us > 0 && script.waits == 2)
		drop(1);
	return true;
}

static bool
append_the_first(NrSession *session, NrWaitReason why, long timeout_us, bool cancellable)
{
	(void) session;
	(void) cancellable;
	if (why == NR_WAIT_LOG_SPACE && timeout_us > 0 && script.waits == 3)
		append(0);
	return true;
}

static void
test_no_slot(void)
{
	SeatsBooks	before;

	open_seats(2, 4, 2, &toy_board_dispatch);
	prepare(0, 1, 0);
	prepare(1, 2, 0);
	before = seats_books(&b);
	tap_ok(prepare(2, 3, NR_PREPARE_TRY | NR_PREPARE_ORDERED) == NR_BUSY && script.waits == 0 && seats_same(&b, before),
		   "two slots are promised: who will not wait hears so, and holds nothing");
	script_begin(b.th, script_give_up);
	tap_ok(prepare(2, 3, NR_PREPARE_ORDERED) == NR_CANCELLED && script.waits_for[NR_WAIT_LOG_SPACE] == 1 &&
		   seats_same(&b, before), "who waits can be cancelled");
	script_begin(b.th, drop_the_second);
	tap_ok(prepare(2, 3, 0) == NR_OK && script.waits == 2, "one dropped makes room");
	script_begin(b.th, append_the_first);
	tap_ok(prepare(3, 4, 0) == NR_OK && script.waits == 3, "one appended does: both replicas are brought forward");
	append(3);
	append(2);
	tap_ok(value(1) == 3 && script.waits == 3, "appending waits for nobody");
	script_begin(b.th, NULL);
	for (uint64_t k = 0; k < 50; k++)
		if (prepare(k % 4, k, 0) == NR_OK)
			append(k % 4);
	tap_ok(value(1) == 49 && script.waits == 0, "the log goes round without waits");
	tap_ok(toy_check(&b.h[0]) && seats_close(&b), "all extents are back");
}

/* ---- no memory ---- */

static void
leave_free(uint32_t n)
{
	while (toy_pool_free(b.e) > n)
		nr_pool_alloc(b.e, 1, 1);
}

static void
refill(void)
{
	nr_pool_free_owner(b.e, 1);
}

static void
test_no_space(void)
{
	SeatsBooks	before;

	open_seats(1, 3, 0, &toy_board_dispatch);
	leave_free(0);
	before = seats_books(&b);
	tap_ok(prepare(0, 1, 0) == NR_NO_SPACE && script.waits == 0 && seats_same(&b, before), "no extent for the batch");
	toy_board_need = 2;
	refill();
	for (uint32_t n = 1; n <= 2; n++)
	{
		leave_free(n);
		before = seats_books(&b);
		tap_ok(prepare(0, 1, NR_PREPARE_ORDERED) == NR_NO_SPACE && script.waits == 0 && seats_same(&b, before),
			   "for its grants, all but %u", 3 - n);
		refill();
	}
	leave_free(5);
	before = seats_books(&b);
	toy_board_need = 0;
	tap_ok(prepare_some(0, TOY_CELLS, 1, 0) == NR_OK && toy_pool_free(b.e) == 5 - 2, "a large one has a payload");
	drop(0);
	refill();
	for (uint32_t grants = 0; grants <= 20; grants += 20)
	{
		toy_board_need = grants / 20;
		leave_free(1 + grants);
		before = seats_books(&b);
		tap_ok(prepare_some(0, 20, 1, NR_PREPARE_ORDERED) == NR_NO_SPACE && seats_same(&b, before),
			   "for its payload, %u grants in hand", grants);
		refill();
	}
	toy_board_need = 1;
	leave_free(1 + 2);
	before = seats_books(&b);
	tap_ok(prepare_some(0, 2, 1, 0) == NR_OK, "what is just enough");
	tap_ok(prepare(1, 1, NR_PREPARE_TRY) == NR_NO_SPACE && script.waits == 0, "another one that will not wait gets nothing");
	tap_ok(prepare(1, 1, 0) == NR_NO_SPACE && script.waits_for[NR_WAIT_LOG_SPACE] > 10, "one that waits, waits a while");
	script_begin(b.th, script_give_up);
	tap_ok(prepare(1, 1, 0) == NR_CANCELLED && script.waits == 1, "can be cancelled");
	tap_ok(seats_books(&b).promised == 1, "and holds nothing");
	script_begin(b.th, append_the_first);
	tap_ok(prepare(1, 5, 0) == NR_OK && script.waits == 3, "and goes on when the first one has been appended");
	append(1);
	tap_ok(value(2) == 5, "all see it");
	refill();
	tap_ok(toy_check(&b.h[0]) && seats_settled(&b) && seats_close(&b), "all extents are back");
}

/* What lagging replicas hold is had, before "no space". */
static void
test_laggards(void)
{
	uint32_t	before;

	open_seats(2, 3, 0, &toy_board_dispatch);
	prepare_some(0, TOY_CELLS, 1, 0);
	before = toy_pool_free(b.e);
	append(0);
	tap_ok(toy_pool_free(b.e) == before && toy_replica_info(b.e, G, 1).applied == 0, "an idle replica holds a payload");
	leave_free(0);
	tap_ok(prepare_some(2, 20, 2, NR_PREPARE_TRY) == NR_OK && toy_replica_info(b.e, G, 1).applied == 1,
		   "it is brought forward when there is no other extent");
	append(2);
	refill();
	tap_ok(value(1) == 2 && toy_check(&b.h[0]) && seats_close(&b), "all extents are back");
}

/* ---- memory of the copies ---- */

static NrStatus
prepare_push(uint32_t i, uint32_t n)
{
	size_t		at = 0;

	for (uint32_t k = 0; k < n; k++)
		at += toy_push(ops + at, k);
	return nr_prepare(&b.h[i], ops, at, n, 0, true, &p[i]);
}

/* Whatever happens in between, what was prepared finds its extents. */
static void
test_claims(void)
{
	NrResult	res = {.status = NR_OK};
	uint64_t	random = 17;
	uint64_t	depth = 0;
	bool		ok = true;

	open_seats(2, 4, 0, &toy_stack_dispatch);
	for (int round = 0; round < 300; round++)
	{
		uint32_t	n[4] = {0};

		for (uint32_t i = 0; i < 4; i++)
			if (prepare_push(i, 1 + th_random(&random) % 60) == NR_OK)
				n[i] = ((NrBatch *) p[i].batch)->ops;
		if (round % 7 == 3)
		{
			toy_call_clear(&b.h[0]);
			depth = 0;
		}
		for (uint32_t k = 0; k < 4; k++)
		{
			uint32_t	i = (uint32_t) (round + k * 3) % 4;

			if (n[i] == 0)
				continue;
			if (th_random(&random) % 4 == 0)
				drop(i);
			else
			{
				append(i);
				depth += n[i];
			}
		}
		ok &= toy_call_top(&b.h[round % 4]).depth == depth;
		if (depth > 25 * PER_EXTENT)
		{
			toy_call_clear(&b.h[1]);
			depth = 0;
		}
		ok &= seats_settled(&b);
	}
	tap_ok(ok, "no prepared push ever fails, and headroom is the number of free extents in each copy");
	(void) toy_call_push(&b.h[0], 1, 3, &res);
	tap_ok(toy_check(&b.h[2]) && seats_close(&b), "all extents are back");
}

/* ---- records ---- */

static void
test_records(void)
{
	SeatsBooks	before;
	uint32_t	used;
	bool		ok = true;

	open_seats(2, 4, 64, &toy_board_dispatch);
	nr_combiner_try(&b.s[1], G, 1); /* as if its combiner had stopped: replica 1 lags */
	before = seats_books(&b);
	for (uint64_t k = 1; k <= 40; k++)
	{
		uint32_t	expect = (uint32_t) (k + NR_RECORD_CHUNKS - 1) / NR_RECORD_CHUNKS;

		ok &= prepare(0, k, NR_PREPARE_ORDERED) == NR_OK;
		append(0);
		used = before.pool_free - toy_pool_free(b.e);
		ok &= used == expect && value(2) == k;
	}
	tap_ok(ok, "while a replica lags, small batches share extents");
	prepare(2, 41, 0);
	append(2);
	tap_ok(before.pool_free - toy_pool_free(b.e) == 3 && p[2].batch == NULL, "with those of other sessions");
	prepare(0, 42, 0);
	prepare(2, 43, 0);
	tap_ok(p[0].extent == p[2].extent && p[0].chunk + 1 == p[2].chunk, "side by side");
	drop(0);
	append(2);
	nr_combiner_unlock(&b.s[1], G, 1);
	tap_ok(value(1) == 43 && before.pool_free - toy_pool_free(b.e) == 1, "applied, the last extent is left");
	prepare(0, 44, 0);
	tap_ok(before.pool_free - toy_pool_free(b.e) == 1, "for the next one");
	append(0);
	tap_ok(value(1) == 44 && before.pool_free - toy_pool_free(b.e) == 1, "while that is not applied everywhere");
	prepare(1, 45, 0);
	drop(1);
	tap_ok(before.pool_free == toy_pool_free(b.e), "then it is let go");
	tap_ok(toy_check(&b.h[1]) && seats_close(&b), "all extents are back");
}

static uint32_t others;			/* how many come in between */

static void
prepare_another(const char *point)
{
	uint32_t	i = others;

	if (strcmp(point, "record_room") != 0 || others == 0)
		return;
	others--;
	if (prepare(i, i, 0) != NR_OK)
		th_die("could not prepare");
}

/* Several take room at the same time. */
static void
test_record_race(void)
{
	SeatsBooks	before;
	NrGroupConfig config = toy_config(4, 4096, 1024);
	NrHandle	h;
	bool		taken[NR_RECORD_CHUNKS] = {false};
	bool		ok = true;

	open_seats(2, 12, 64, &toy_board_dispatch);
	before = seats_books(&b);
	nr_test_point_hook = prepare_another;
	others = 11;
	ok &= prepare(0, 0, 0) == NR_OK && others == 0;
	nr_test_point_hook = NULL;
	for (uint32_t i = 0; i < 12; i++)
	{
		ok &= p[i].extent == p[0].extent && !taken[p[i].chunk];
		taken[p[i].chunk] = true;
	}
	tap_ok(ok && before.pool_free - toy_pool_free(b.e) == 1, "twelve at once: one extent, and each has its own room in it");
	for (uint32_t i = 0; i < 12; i++)
		drop(i);
	tap_ok(seats_same(&b, before), "nothing is left of it");

	config.lazy = true;
	th_create(b.th, 1, &config, &toy_board_dispatch);
	th_attach(&b.s[0], 1, &toy_board_dispatch, &h);
	nr_prepare(&h, ops, toy_set(ops, 0, 1), 1, 0, true, &p[0]);
	nr_prepared_append(&h, &p[0]);
	nr_group_detach(&h);
	nr_group_destroy(b.e, 1, NULL);
	tap_ok(seats_same(&b, before), "an extent that is open goes with its group");
	th_create(b.th, 1, &config, &toy_board_dispatch);
	th_attach(&b.s[0], 1, &toy_board_dispatch, &h);
	before = seats_books(&b);
	nr_prepare(&h, ops, toy_set(ops, 0, 1), 1, 0, true, &p[0]);
	tap_ok(toy_pool_free(b.e) == before.pool_free - 1, "one made anew opens its own");
	nr_prepared_drop(&h, &p[0]);
	nr_group_detach(&h);
	nr_group_destroy(b.e, 1, NULL);
	tap_ok(seats_close(&b), "all extents are back");
}

/* A batch too large for what is left of the extent takes the next; what is there stays. */
static void
test_record_sizes(void)
{
	uint64_t	random = 23;
	uint64_t	writes = 0;
	uint32_t	free_before;
	bool		ok = true;

	open_seats(3, 6, 64, &toy_board_dispatch);
	free_before = toy_pool_free(b.e);
	for (uint64_t k = 1; k <= 3000; k++)
	{
		uint32_t	i = th_random(&random) % 6;
		uint32_t	n = 1 + (uint32_t) (th_random(&random) % (k % 5 == 0 ? TOY_CELLS : 8));

		toy_board_need = th_random(&random) % 8 == 0 ? 30 / n : 0;
		ok &= prepare_some(i, n, k, NR_PREPARE_ORDERED) == NR_OK;
		if (th_random(&random) % 8 == 0)
			drop(i);
		else
		{
			append(i);
			writes += n;
		}
		if (th_random(&random) % 32 == 0)
			ok &= toy_board_read(&b.h[th_random(&random) % 6]).writes == writes;
	}
	tap_ok(ok && toy_board_read(&b.h[4]).writes == writes, "3000 batches of all sizes: none is lost, none overwritten");
	ok = toy_check(&b.h[0]);
	prepare(0, 1, 0);
	drop(0);
	tap_ok(ok && seats_books(&b).mapped + toy_pool_free(b.e) == 1 + free_before, "then no record is left");
	tap_ok(seats_close(&b), "all extents are back");
}

int
main(void)
{
	th_watchdog(60);
	test_append();
	test_drop();
	test_limits();
	test_no_slot();
	test_no_space();
	test_laggards();
	test_claims();
	test_records();
	test_record_race();
	test_record_sizes();
	return tap_done();
}
