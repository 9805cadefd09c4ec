/*
 * test_prepare_two.c
 *		Prepared writes of groups with two copies: all that may wait comes with
 *		nr_prepare; readers never wait, and the append waits for nobody.
 */
#include "engine/combine.h"
#include "engine/leftright.h"
#include "seats.h"
#include "tap.h"
#include "toy_board.h"

#define G			0
#define PER_EXTENT	512			/* numbers of the stack in an extent of 4 kB */

static Seats b;
static struct NrGroup *group;
static NrPrepared p;
static _Alignas(8) char ops[32 * 1024];

static void
open_seats(uint32_t nodes, uint32_t replicas, uint32_t n, const NrDispatch *d)
{
	NrGeometry	geo = th_geometry(nodes);
	NrGroupConfig config = toy_config(40, 4096, 16 * 1024);

	config.copies = 2;
	config.replicas = replicas;
	seats_open(&b, geo, n, &config, d);
	group = nr_group(b.e, G);
	memset(&p, 0, sizeof(p));
	toy_board_need = 0;
	toy_board_listen(false);
	script_begin(b.th, NULL);
}

static NrStatus
prepare(uint32_t i, uint64_t value, uint32_t flags)
{
	return nr_prepare(&b.h[i], ops, toy_set(ops, 0, value), 1, flags, true, &p);
}

static void
append(uint32_t i)
{
	nr_prepared_append(&b.h[i], &p);
}

static uint64_t
value(uint32_t i)
{
	return toy_board_read(&b.h[i]).value[0];
}

/* What session i sees that is inside already. */
static uint64_t
inside_value(uint32_t i)
{
	return value(i);			/* nested: in the same copy */
}

static void
test_readers(uint32_t replicas)
{
	SeatsBooks	before;
	bool		ok = true;

	open_seats(replicas, 0, 4 * replicas, &toy_board_dispatch);
	for (uint64_t k = 1; k <= 20; k++)
	{
		ok &= prepare(k % b.n, k, 0) == NR_OK;
		append(k % b.n);
		ok &= value((k + 3) % b.n) == k;
	}
	before = seats_books(&b);
	tap_ok(ok && script.waits == 0 && before.locked == 0, "%u replicas: twenty writes are seen by all", replicas);
	nr_enter(&b.h[0], false);
	ok = prepare(1, 21, 0) == NR_OK;
	tap_ok(ok && seats_books(&b).locked == replicas && seats_books(&b).promised == 1,
		   "prepared with a reader inside: all combiner locks are held");
	for (uint32_t r = 0; r < replicas; r++)
		ok &= nr_position_oldest(b.e, G, r) == 20;
	tap_ok(ok, "all copies have what came before");
	for (uint32_t i = 1; i < b.n; i++)
	{
		ok &= value(i) == 20;
		nr_enter(&b.h[i], false);
	}
	tap_ok(ok && script.waits == 0, "meanwhile readers come, and see what was");
	append(1);
	for (uint32_t r = 0; r < replicas; r++)
		ok &= toy_replica_info(b.e, G, r).applied == 21;
	tap_ok(ok && script.waits == 0 && nr_log_tail(&b.s[0], G) == 21, "append does not wait for them, and applies it everywhere");
	for (uint32_t i = 0; i < b.n; i++)
	{
		ok &= inside_value(i) == 20;
		nr_leave(&b.h[i]);
		ok &= value(i) == 21;
	}
	tap_ok(ok && script.waits == 0, "they see what they saw; when they come again, what was appended");
	tap_ok(seats_books(&b).locked == 0 && seats_books(&b).promised == 0 &&
		   toy_pool_free(b.e) == before.pool_free, "nothing is held but one record, for the older copies");
	for (uint32_t r = 0; r < replicas; r++)
		nr_group_sync_replica(&b.h[0], r, false);
	before = seats_books(&b);
	for (uint32_t flags = 0; flags <= NR_PREPARE_TRY; flags += NR_PREPARE_TRY)
	{
		ok &= prepare(2, 5, flags) == NR_OK;
		nr_prepared_drop(&b.h[2], &p);
		nr_prepared_drop(&b.h[2], &p);
	}
	tap_ok(ok && seats_books(&b).locked == 0 && seats_books(&b).promised == 0 && value(1) == 21,
		   "dropped, it has not been");
	tap_ok(toy_check(&b.h[0]) && seats_close(&b), "all extents are back");
}

/* ---- between the last application and the last flip ---- */

static uint64_t window_value;
static int	window_looks;
static bool window_right;

/* Sessions 1 and up read; session 0 goes in and stays. */
static void
look_into_window(const char *point)
{
	if (strcmp(point, "batch_complete") == 0)
		window_right = nr_enter(&b.h[0], true) == NR_OK;
	else if (strcmp(point, "flipped") != 0)
		return;
	window_looks++;
	for (uint32_t i = 1; i < b.n; i++)
		window_right &= value(i) == window_value;
}

static void
test_window(uint32_t replicas)
{
	bool		ok = true;

	open_seats(replicas, 0, 2 * replicas, &toy_board_dispatch);
	for (window_value = 1; window_value <= 4; window_value++)
	{
		ok &= prepare(1, window_value, 0) == NR_OK;
		window_looks = 0;
		nr_test_point_hook = look_into_window;
		append(1);
		nr_test_point_hook = NULL;
		ok &= window_right && window_looks == (int) replicas + 1 && inside_value(0) == window_value;
		ok &= prepare(2, 9, NR_PREPARE_TRY) == NR_BUSY && inside_value(0) == window_value;
		nr_leave(&b.h[0]);
	}
	tap_ok(ok && script.waits == 0, "%u replicas: a commit stopped before readers are sent to what it has written: they see it", replicas);
	tap_ok(toy_check(&b.h[0]) && seats_close(&b), "all extents are back");
}

/* ---- who is in the way of whom ---- */

/* Session 0 reads and does not leave; leaves at the third sleep. */
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
test_reader_stays(uint32_t replicas)
{
	SeatsBooks	before;

	open_seats(replicas, 0, 2 * replicas + 2, &toy_board_dispatch);
	prepare(1, 1, 0);
	append(1);
	nr_enter(&b.h[0], false);
	prepare(1, 2, 0);
	append(1);
	tap_ok(script.waits == 0 && inside_value(0) == 1 && value(2) == 2, "%u replicas: a reader stopped, a write after it", replicas);
	before = seats_books(&b);
	tap_ok(prepare(1, 3, NR_PREPARE_TRY) == NR_BUSY && script.waits == 0 && seats_same(&b, before),
		   "it is in the older copy: the next prepare finds it in the way");
	script_begin(b.th, script_give_up);
	tap_ok(prepare(1, 3, 0) == NR_CANCELLED && script.waits_for[NR_WAIT_READERS] == 1 && seats_same(&b, before) &&
		   nr_log_tail(&b.s[0], G) == 2, "waits for it, and can be cancelled: nothing has happened");
	tap_ok(value(2) == 2 && value(3) == 2 && script.waits == 1, "others read on");
	script_begin(b.th, leave_third);
	tap_ok(prepare(1, 3, 0) == NR_OK && script.waits_for[NR_WAIT_READERS] == 3, "or goes on when it has left");
	append(1);
	tap_ok(value(0) == 3 && toy_check(&b.h[0]) && seats_close(&b), "all extents are back");
}

static uint32_t unlock_at;
static uint32_t unlock_replica;

static bool
unlock_then(NrSession *session, NrWaitReason why, long timeout_us, bool cancellable)
{
	(void) session;
	(void) cancellable;
	if (why == NR_WAIT_COMBINER && timeout_us > 0 && script.waits == unlock_at)
		nr_combiner_unlock(&b.s[5], G, unlock_replica);
	return true;
}

static void
test_combiner_stopped(uint32_t replicas)
{
	SeatsBooks	before;

	open_seats(replicas, 0, 6, &toy_board_dispatch);
	unlock_replica = replicas - 1;
	nr_combiner_try(&b.s[5], G, unlock_replica);
	before = seats_books(&b);
	tap_ok(prepare(1, 3, NR_PREPARE_TRY) == NR_BUSY && script.waits == 0 && seats_same(&b, before),
		   "%u replicas: the combiner of the last one has stopped: busy", replicas);
	script_begin(b.th, script_give_up);
	tap_ok(prepare(1, 3, 0) == NR_CANCELLED && script.waits_for[NR_WAIT_COMBINER] == 1 && seats_same(&b, before),
		   "or cancelled: the locks that were had are given back");
	unlock_at = 4;
	script_begin(b.th, unlock_then);
	tap_ok(prepare(1, 3, 0) == NR_OK && script.waits == 4, "or waited for");
	append(1);
	tap_ok(value(2) == 3 && seats_close(&b), "all extents are back");
}

/* What others find between prepare and append. */
static void
test_others(void)
{
	NrResult	res = {.status = NR_OK};
	NrPrepared	mine;
	uint32_t	replica;
	const char *why;
	size_t		bytes;

	open_seats(2, 0, 6, &toy_board_dispatch);
	prepare(0, 1, 0);
	mine = p;
	tap_ok(prepare(1, 2, NR_PREPARE_TRY) == NR_BUSY && p.batch == NULL, "another prepare is busy");
	script_begin(b.th, script_give_up);
	tap_ok(prepare(1, 2, 0) == NR_CANCELLED && script.waits_for[NR_WAIT_COMBINER] == 1, "or cancelled");
	bytes = toy_set(ops, 1, 9);
	tap_ok(nr_execute_mut(&b.h[1], ops, bytes, 1, true, &res) == NR_CANCELLED && script.waits_for[NR_WAIT_RESPONSE] == 1,
		   "so is a request");
	tap_ok(nr_group_check(&b.h[2], true, &replica, &why) == NR_CANCELLED, "so is a check");
	tap_ok(nr_group_sync_replica(&b.h[2], 0, true) == NR_CANCELLED, "so is a sync of both copies");
	tap_ok(nr_group_sync(&b.h[2], true) == NR_OK && value(3) == 0, "but not one of what readers see");
	script_begin(b.th, NULL);
	nr_prepared_append(&b.h[0], &mine);
	tap_ok(script.waits == 0 && value(3) == 1 && toy_board_read(&b.h[3]).value[1] == 0, "all of that left no trace");
	tap_ok(nr_execute_mut(&b.h[1], ops, bytes, 1, true, &res) == NR_OK && toy_board_read(&b.h[3]).value[1] == 9,
		   "requests work again");
	tap_ok(toy_check(&b.h[0]) && seats_close(&b), "all extents are back");
}

/* ---- memory ---- */

static void
test_no_space(void)
{
	SeatsBooks	before;

	open_seats(1, 0, 2, &toy_board_dispatch);
	toy_board_need = 2;
	for (uint32_t n = 0; n < 5; n++)
	{
		while (toy_pool_free(b.e) > n)
			nr_pool_alloc(b.e, 1, 1);
		before = seats_books(&b);
		tap_ok(prepare(0, 1, 0) == NR_NO_SPACE && script.waits == 0 && seats_same(&b, before),
			   "%u extents do not do: no lock is held", n);
		nr_pool_free_owner(b.e, 1);
	}
	while (toy_pool_free(b.e) > 5)
		nr_pool_alloc(b.e, 1, 1);
	tap_ok(prepare(0, 1, 0) == NR_OK, "five do: two for each copy, and the batch's");
	append(0);
	nr_pool_free_owner(b.e, 1);
	tap_ok(value(1) == 1 && toy_check(&b.h[0]) && seats_settled(&b) && seats_close(&b), "all extents are back");
}

static void
test_records(void)
{
	SeatsBooks	before;
	bool		ok = true;

	open_seats(2, 0, 4, &toy_board_dispatch);
	before = seats_books(&b);
	for (uint64_t k = 0; k < 200; k++)
	{
		ok &= prepare(k % 4, k, 0) == NR_OK;
		append(k % 4);
		ok &= before.pool_free - toy_pool_free(b.e) == 1;
	}
	tap_ok(ok, "two hundred writes by four sessions: one extent is held, for the older copies");
	nr_group_sync_replica(&b.h[0], 0, false);
	nr_group_sync_replica(&b.h[0], 1, false);
	prepare(0, 1, 0);
	nr_prepared_drop(&b.h[0], &p);
	tap_ok(seats_same(&b, before) && seats_close(&b), "all extents are back");
}

static NrStatus
prepare_push(uint32_t i, uint32_t n)
{
	size_t		at = 0;

	for (uint32_t k = 0; k < n; k++)
		at += toy_push(ops + at, k);
	return nr_prepare(&b.h[i], ops, at, n, 0, true, &p);
}

static void
test_claims(uint32_t replicas)
{
	uint64_t	random = 5;
	uint64_t	depth = 0;
	bool		ok = true;

	open_seats(replicas, 0, 2 * replicas, &toy_stack_dispatch);
	for (int k = 0; k < 500; k++)
	{
		uint32_t	i = th_random(&random) % b.n;
		uint32_t	n = 1 + th_random(&random) % 250;

		ok &= prepare_push(i, n) == NR_OK;
		if (th_random(&random) % 4 == 0)
			nr_prepared_drop(&b.h[i], &p);
		else
		{
			append(i);
			depth += n;
		}
		if (depth > 30 * PER_EXTENT)
		{
			size_t		bytes = toy_clear(ops);

			ok &= nr_prepare(&b.h[i], ops, bytes, 1, 0, true, &p) == NR_OK;
			append(i);
			depth = 0;
		}
		ok &= toy_call_top(&b.h[k % b.n]).depth == depth && (k % 8 != 0 || seats_settled(&b));
	}
	tap_ok(ok, "%u replicas: no prepared push fails, and the account is what the copies have", replicas);
	tap_ok(toy_check(&b.h[0]) && nr_load64_rlx(&group->released) > 0 && seats_close(&b), "all extents are back");
}

/* ---- absorb, drop ---- */

/* Were these the calls?  Pairs of a call and the copy it was for. */
static bool
heard(uint32_t n, ...)
{
	va_list		args;
	bool		ok = toy_heard_n == n;

	va_start(args, n);
	for (uint32_t i = 0; i < n && ok; i++)
	{
		ToyCall		call = va_arg(args, int);

		ok = toy_heard[i].call == call && toy_heard[i].root == va_arg(args, char *);
	}
	va_end(args);
	if (!ok)
		for (uint32_t i = 0; i < toy_heard_n; i++)
			tap_note("call %d for the copy at %p", toy_heard[i].call, (const void *) toy_heard[i].root);
	return ok;
}

static char *
root_of(uint32_t r, uint32_t c)
{
	NrCopy		copy;

	nr_copy_view(b.e, G, r, c, &copy);
	return copy.root;
}

static void
test_absorb(void)
{
	NrResult	res = {.status = NR_OK};
	ToyBoard	board;
	size_t		at = 0;

	open_seats(1, 1, 1, &toy_board_dispatch);	/* one view, so that copies have one address */
	toy_board_stamp = 500;
	toy_board_listen(true);
	nr_prepare(&b.h[0], ops, toy_stamp(ops, 3), 1, 0, true, &p);
	tap_ok(toy_heard_n == 0, "nothing is applied by a prepare");
	append(0);
	tap_ok(heard(1, TOY_FIRST, root_of(0, 1)) && toy_heard[0].value == 501, "append: absorb_first for one copy, which may amend");
	nr_group_sync_replica(&b.h[0], 0, false);
	tap_ok(heard(2, TOY_FIRST, root_of(0, 1), TOY_SECOND, root_of(0, 0)) && toy_heard[1].value == 501,
		   "absorb_second for the other one, of what was amended");
	toy_board_listen(true);
	nr_execute_mut(&b.h[0], ops, toy_stamp(ops, 4), 1, false, &res);
	nr_execute_mut(&b.h[0], ops, toy_stamp(ops, 5), 1, false, &res);
	tap_ok(heard(3, TOY_FIRST, root_of(0, 0), TOY_SECOND, root_of(0, 1), TOY_FIRST, root_of(0, 1)) &&
		   toy_heard[1].value == 502 && toy_heard[2].value == 503, "the same for requests: the older one catches up first");
	for (uint32_t k = 0; k < TOY_CELLS; k++)
		at += toy_stamp(ops + at, k);
	toy_board_listen(true);
	nr_prepare(&b.h[0], ops, at, TOY_CELLS, 0, true, &p);
	append(0);
	board = toy_board_read(&b.h[0]);
	tap_ok(board.value[0] == 504 && board.value[TOY_CELLS - 1] == 503 + TOY_CELLS &&
		   toy_board_calls(TOY_FIRST, NULL) == TOY_CELLS, "and for what lies in extents");
	tap_ok(toy_check(&b.h[0]) && toy_board_calls(TOY_SECOND, NULL) == TOY_CELLS + 1 &&
		   toy_board_calls(TOY_FIRST, NULL) == TOY_CELLS && toy_board_calls(TOY_MUT, NULL) == 0,
		   "each operation once for each copy, and the copies are equal");
	toy_board_listen(false);
	tap_ok(seats_close(&b), "all extents are back");
}

static void
test_no_absorb(void)
{
	NrResult	res = {.status = NR_OK};

	open_seats(2, 0, 2, &toy_board_dispatch);
	toy_board_listen(true);
	prepare(0, 1, 0);
	append(0);
	nr_execute_mut(&b.h[1], ops, toy_set(ops, 1, 1), 1, false, &res);
	tap_ok(toy_check(&b.h[0]) && toy_board_calls(TOY_MUT, NULL) == 8 && toy_heard_n == 8,
		   "with several replicas an operation has several first copies: dispatch_mut, four times each");
	toy_board_listen(false);
	seats_close(&b);
}

static void
test_defaults(void)
{
	static NrDispatch d;

	d = toy_board_dispatch;
	d.absorb_second = NULL;
	open_seats(1, 0, 1, &d);
	toy_board_listen(true);
	prepare(0, 1, 0);
	append(0);
	tap_ok(toy_check(&b.h[0]) && toy_heard_n == 2 && toy_board_calls(TOY_FIRST, NULL) == 2,
		   "without absorb_second it is absorb_first twice");
	seats_close(&b);
	d.absorb_first = NULL;
	d.absorb_second = toy_board_dispatch.absorb_second;
	open_seats(1, 0, 1, &d);
	toy_board_listen(true);
	prepare(0, 1, 0);
	append(0);
	tap_ok(toy_check(&b.h[0]) && toy_board_calls(TOY_MUT, NULL) >= 1 && toy_board_calls(TOY_FIRST, NULL) == 0,
		   "without absorb_first it is dispatch_mut");
	toy_board_listen(false);
	seats_close(&b);
}

static void
test_drop(void)
{
	NrDispatch	other = toy_board_dispatch;
	NrGroupConfig config = toy_config(4, 4096, 1024);

	open_seats(1, 0, 1, &toy_board_dispatch);
	prepare(0, 1, 0);
	append(0);
	nr_group_detach(&b.h[0]);
	toy_board_listen(true);
	nr_group_destroy(b.e, G, &toy_board_dispatch);
	tap_ok(heard(2, TOY_DROP_FIRST, root_of(0, 0), TOY_DROP_SECOND, root_of(0, 1)) && toy_heard[1].value == 1,
		   "a group is destroyed: what readers saw goes last");
	tap_ok(toy_pool_free(b.e) == b.e->geo.extents, "and all extents are back");
	toy_board_listen(true);
	nr_group_destroy(b.e, G, &toy_board_dispatch);
	tap_ok(toy_heard_n == 0, "once");
	th_create(b.th, G, &config, &toy_board_dispatch);
	nr_group_destroy(b.e, G, NULL);
	th_create(b.th, G, &config, &toy_board_dispatch);
	other.id++;
	nr_group_destroy(b.e, G, &other);
	tap_ok(toy_heard_n == 0 && toy_pool_free(b.e) == b.e->geo.extents, "without its structure, or by another, silently");
	th_create(b.th, G, &config, &toy_board_dispatch);
	nr_group_destroy(b.e, G, &toy_board_dispatch);
	tap_ok(toy_heard_n == 1 && toy_heard[0].call == TOY_DROP_SECOND, "the only copy is the one that readers saw");
	seats_close(&b);

	open_seats(2, 0, 2, &toy_board_dispatch);
	nr_group_detach(&b.h[0]);
	nr_group_detach(&b.h[1]);
	toy_board_listen(true);
	nr_group_destroy(b.e, G, &toy_board_dispatch);
	tap_ok(heard(4, TOY_DROP_FIRST, root_of(0, 1), TOY_DROP_SECOND, root_of(0, 0),
				 TOY_DROP_FIRST, root_of(1, 1), TOY_DROP_SECOND, root_of(1, 0)), "in each replica");
	toy_board_listen(false);
	seats_close(&b);
}

int
main(void)
{
	th_watchdog(60);
	test_readers(1);
	test_readers(3);
	test_window(2);
	test_window(3);
	test_reader_stays(1);
	test_reader_stays(2);
	test_combiner_stopped(1);
	test_combiner_stopped(3);
	test_others();
	test_no_space();
	test_records();
	test_claims(1);
	test_claims(2);
	test_absorb();
	test_no_absorb();
	test_defaults();
	test_drop();
	return tap_done();
}
