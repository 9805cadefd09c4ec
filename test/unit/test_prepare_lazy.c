/*
 * test_prepare_lazy.c
 *		Lazy groups: batches appended in another order than that of their numbers,
 *		appends while the replica is in use, what readers then do; groups of one
 *		replica in an engine of several.
 */
#include "engine/combine.h"
#include "engine/order.h"
#include "seats.h"
#include "tap.h"
#include "toy_board.h"

#define G		0

static Seats b;
static struct NrGroup *group;
static NrPrepared p[SEATS_MAX];
static _Alignas(8) char ops[32 * 1024];

static void
open_seats(uint32_t nodes, uint32_t replicas, uint32_t n)
{
	NrGeometry	geo = th_geometry(nodes);
	NrGroupConfig config = toy_config(8, 4096, 16 * 1024);

	config.lazy = true;
	config.replicas = replicas;
	seats_open(&b, geo, n, &config, &toy_board_dispatch);
	group = nr_group(b.e, G);
	memset(p, 0, sizeof(p));
	toy_board_need = 0;
	toy_board_listen(false);
	script_begin(b.th, NULL);
}

static void
prepare(uint32_t i, uint32_t n, uint64_t value)
{
	size_t		at = 0;

	for (uint32_t k = 0; k < n; k++)
		at += toy_set(ops + at, k, value);
	if (nr_prepare(&b.h[i], ops, at, n, NR_PREPARE_ORDERED, true, &p[i]) != NR_OK)
		th_die("could not prepare");
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

/* ---- order numbers ---- */

static void
test_another_order(void)
{
	ToyBoard	board;

	open_seats(3, 0, 6);
	for (uint32_t i = 0; i < 4; i++)
		prepare(i, i == 2 ? 30 : i + 1, 100 + i);
	tap_ok(p[0].order_seq == 1 && p[3].order_seq == 4, "four sessions draw numbers");
	append(3);
	append(2);
	board = toy_board_read(&b.h[5]);
	tap_ok(board.value[0] == 103 && board.value[3] == 103 && board.order_seq[3] == 4 && board.horizon == 1,
		   "the last one is appended first, and stays");
	tap_ok(board.value[4] == 102 && board.order_seq[4] == 3 && board.value[29] == 102 && board.order_seq[29] == 3,
		   "the third one counts where the last has nothing; all its operations have their number");
	drop(1);
	append(0);
	board = toy_board_read(&b.h[4]);
	tap_ok(board.value[0] == 103 && board.writes == 4 + 30 + 1, "the first one comes last, and changes nothing");
	tap_ok(board.horizon == 2 && nr_order_horizon(b.e, G, NR_SESSION_NONE) == 5,
		   "while it is applied, what is newer must still be remembered: its horizon is just above itself");
	prepare(4, 1, 200);
	append(4);
	tap_ok(value(0) == 200 && toy_board_read(&b.h[1]).horizon == 6, "the next one's is above all");
	tap_ok(toy_check(&b.h[0]) && script.waits == 0 && seats_close(&b), "the replicas are equal");
}

static void
test_any_order(void)
{
	enum
	{
		SESSIONS = 9
	};
	uint64_t	random = 77;
	uint64_t	best[TOY_CELLS] = {0};
	uint64_t	seq[TOY_CELLS] = {0};
	bool		prepared[SESSIONS] = {false};
	uint32_t	n[SESSIONS];
	uint64_t	set_to[SESSIONS];
	ToyBoard	board;
	bool		ok = true;

	open_seats(3, 0, SESSIONS);
	for (uint64_t k = 1; k < 6000; k++)
	{
		uint32_t	i = th_random(&random) % SESSIONS;

		if (!prepared[i])
		{
			n[i] = 1 + th_random(&random) % 12;
			prepare(i, n[i], k);
			set_to[i] = k;
			prepared[i] = true;
		}
		else
		{
			if (th_random(&random) % 5 == 0)
				drop(i);
			else
			{
				for (uint32_t c = 0; c < n[i]; c++)
					if (p[i].order_seq > seq[c])
					{
						seq[c] = p[i].order_seq;
						best[c] = set_to[i];
					}
				append(i);
			}
			prepared[i] = false;
		}
		if (k % 97 == 0)
		{
			board = toy_board_read(&b.h[k % SESSIONS]);
			ok &= memcmp(board.order_seq, seq, sizeof(seq)) == 0 && memcmp(board.value, best, sizeof(best)) == 0;
		}
	}
	for (uint32_t i = 0; i < SESSIONS; i++)
		if (prepared[i])
			drop(i);
	board = toy_board_read(&b.h[2]);
	tap_ok(ok && memcmp(board.value, best, sizeof(best)) == 0,
		   "nine sessions, any order: in each cell the highest number wins that was appended");
	tap_ok(board.broken == 0, "none came behind a horizon above it");
	tap_ok(nr_order_horizon(b.e, G, NR_SESSION_NONE) == nr_load64_rlx(&group->order_seq) + 1, "in the end none is in flight");
	tap_ok(toy_check(&b.h[1]) && seats_close(&b), "the replicas are equal");
}

static bool
all_numbered(uint64_t *random)
{
	uint32_t	n = 1 + th_random(random) % 250;
	size_t		at = 0;
	ToyBoard	board;

	/* so many that they need several extents: the last ones set other cells than the first */
	for (uint32_t k = 0; k < n; k++)
		at += toy_set(ops + at, (uint64_t) k * TOY_CELLS / n, 5);
	if (nr_prepare(&b.h[0], ops, at, n, NR_PREPARE_ORDERED, true, &p[0]) != NR_OK)
		th_die("could not prepare");
	append(0);
	board = toy_board_read(&b.h[0]);
	for (uint32_t k = 0, c = 0; k < n; c = ++k * TOY_CELLS / n)
		if (board.order_seq[c] != nr_load64_rlx(&group->order_seq))
			return false;
	return board.horizon == nr_load64_rlx(&group->order_seq) + 1;
}

static void
test_numbers(void)
{
	uint64_t	random = 3;
	bool		ok = true;

	open_seats(1, 0, 1);
	for (int k = 0; k < 100; k++)
		ok &= all_numbered(&random);
	tap_ok(ok, "each operation has its batch's number, wherever it lies");
	seats_close(&b);
}

/* ---- append while the replica is in use ---- */

static uint32_t released_at;

static bool
release_combiner(NrSession *session, NrWaitReason why, long timeout_us, bool cancellable)
{
	(void) session;
	(void) cancellable;
	if (why == NR_WAIT_CATCH_UP && timeout_us > 0 && script.waits == released_at)
		nr_combiner_unlock(&b.s[3], G, 0);
	return true;
}

static void
test_combiner_stopped(uint32_t replicas)
{
	NrPrepared	last;

	open_seats(replicas, 0, 4 * replicas);
	nr_combiner_try(&b.s[3], G, 0); /* as if it had stopped there */
	for (uint32_t k = 1; k <= 3; k++)
	{
		prepare(0, 1, k);
		append(0);
	}
	tap_ok(script.waits == 0 && nr_log_tail(&b.s[0], G) == 3 && toy_replica_info(b.e, G, 0).applied == 0,
		   "%u replicas: append does not wait for a combiner that has stopped", replicas);
	tap_ok(toy_group_info(b.e, G).completed == 3, "what was appended counts as completed");
	prepare(0, 1, 4);
	last = p[0];
	drop(0);
	tap_ok(last.batch != NULL && script.waits == 0, "nor does a prepare or a drop");
	script_begin(b.th, script_give_up);
	tap_ok(nr_enter(&b.h[0], true) == NR_CANCELLED && script.waits_for[NR_WAIT_CATCH_UP] == 1,
		   "a read waits until it has been applied, and can be cancelled");
	released_at = 3;
	script_begin(b.th, release_combiner);
	tap_ok(value(0) == 3 && script.waits == 3, "or goes on when the combiner does, and applies all");
	if (replicas > 1)
		tap_ok(value(1) == 3 && value(2) == 3 && script.waits == 3, "other replicas have not waited");
	tap_ok(toy_check(&b.h[0]) && seats_close(&b), "all extents are back");
}

/* One copy: a reader inside keeps the batch out, not the append. */
static void
test_reader_inside(void)
{
	ToyBoard	board;

	open_seats(1, 0, 3);
	nr_enter(&b.h[1], false);
	prepare(0, 1, 1);
	append(0);
	tap_ok(script.waits == 0 && nr_position(b.h[0].replica) == 0, "append does not wait for a reader that is inside");
	nr_execute(&b.h[1], NULL, &board, false);
	tap_ok(board.value[0] == 0, "who sees what it saw");
	script_begin(b.th, script_give_up);
	tap_ok(nr_enter(&b.h[2], true) == NR_CANCELLED && script.waits_for[NR_WAIT_READERS] == 1,
		   "the next reader applies it, and waits for the first one to leave");
	nr_leave(&b.h[1]);
	tap_ok(value(2) == 1 && script.waits == 1, "when that has left it sees what was appended");
	nr_enter(&b.h[1], false);
	prepare(0, 1, 2);
	append(0);
	nr_leave(&b.h[1]);
	tap_ok(value(1) == 2, "also the one that was inside, when it comes again");
	tap_ok(seats_close(&b), "all extents are back");
}

/* Who stopped after appending, before saying so: others find the batch. */
static const char *stop_at;
static uint64_t seen_there;
static uint64_t seen_after_write;

static void
look_at_append(const char *point)
{
	if (strcmp(point, stop_at) != 0)
		return;
	nr_test_point_hook = NULL;
	seen_there = value(1);
	prepare(1, 2, 50);
	append(1);
	seen_after_write = value(2);
}

static void
test_stopped_appender(void)
{
	static const char *const points[] = {"prepared_append", "prepared_appended", "prepared_completed"};

	for (uint32_t k = 0; k < 3; k++)
	{
		ToyBoard	board;

		open_seats(2, 0, 4);
		stop_at = points[k];
		prepare(0, 1, 7);
		nr_test_point_hook = look_at_append;
		append(0);
		board = toy_board_read(&b.h[3]);
		tap_ok(nr_test_point_hook == NULL && seen_after_write == 50 && board.value[0] == 50 && board.broken == 0,
			   "stopped at %s: others write and read meanwhile, and the higher number wins", points[k]);
		tap_ok(k == 0 ? seen_there == 0 : k == 1 ? seen_there == 0 || seen_there == 7 : seen_there == 7,
			   "what was announced as completed is seen");
		tap_ok(toy_check(&b.h[0]) && seats_close(&b), "all extents are back");
	}
}

/* ---- a group of one replica in an engine of several ---- */

static void
test_one_replica(void)
{
	NrResult	res = {.status = NR_OK};
	SeatsBooks	before;
	uint64_t	bit;
	bool		ok = true;

	open_seats(3, 1, 6);
	before = seats_books(&b);
	tap_ok(group->replicas == 1 && b.h[1].r == 0 && b.h[2].r == 0 && b.h[1].replica == nr_replica(b.s[1].engine, G, 0),
		   "sessions of all nodes work on the one replica");
	tap_ok(b.h[1].slot == nr_request_slot(b.s[1].engine, 0, 1) && b.h[2].reader == nr_reader_line(b.s[2].engine, 0, 2) &&
		   b.h[2].buffer == nr_session_buffer(b.s[2].engine, 0, 2), "with a slot and a line there");
	for (uint32_t i = 0; i < 6; i++)
	{
		prepare(i, 3, i + 1);
		append(i);
		ok &= value((i + 1) % 6) == i + 1;
	}
	tap_ok(ok && script.waits == 0, "what one writes all read");
	tap_ok(seats_same(&b, before), "no record stays behind: nobody lags");
	for (uint32_t i = 0; i < 6; i++)
	{
		size_t		bytes = toy_set(ops, 0, 100 + i);

		ok &= nr_execute_mut(&b.h[i], ops, bytes, 1, false, &res) == NR_OK && res.flagged == 1 &&
			value((i + 4) % 6) == 100 + i;
	}
	tap_ok(ok && toy_replica_info(b.e, G, 0).requests == 12, "requests of all nodes are served there");
	prepare(1, TOY_CELLS, 200);
	tap_ok(p[1].replica == 0 && toy_pool_free(b.e) == before.pool_free - 2, "a large one lies on its node");
	append(1);
	tap_ok(value(2) == 200 && seats_same(&b, before), "and is free when it has been applied once");
	bit = NR_BIT(b.s[4].idx);
	tap_ok(nr_load64_rlx(&nr_readers(b.e, nr_replica(b.e, G, 0))[0]) & bit, "writers look at all of them there");
	nr_session_unregister(&b.s[4]);
	tap_ok(!(nr_load64_rlx(&nr_readers(b.e, nr_replica(b.e, G, 0))[0]) & bit), "until they end");
	th_register(b.th, 4, 1, &b.s[4]);
	th_attach(&b.s[4], G, &toy_board_dispatch, &b.h[4]);
	tap_ok(value(4) == 200 && nr_group_sync_replica(&b.h[1], 1, false) == NR_BAD_CONFIG && toy_check(&b.h[1]),
		   "there is no other replica");
	tap_ok(seats_close(&b), "all extents are back");
}

/* A session that ends with a request pending in such a group. */
static void
test_one_replica_pending(void)
{
	NrHandle   *h;
	size_t		bytes;

	open_seats(3, 1, 6);
	h = &b.h[5];
	bytes = toy_set(h->buffer, 0, 9);
	nr_store32_rlx(&h->slot->bytes, (uint32_t) bytes);
	nr_store32_rlx(&h->slot->first_extent, NR_NO_EXTENT);
	nr_store32_rlx(&h->slot->n, 1);
	nr_xchg64_seq(&h->slot->state, nr_req_word(1, G, NR_REQ_PENDING));
	nr_bit_set(nr_pending(b.e, h->replica), b.s[5].idx);
	nr_session_unregister(&b.s[5]);
	tap_ok(nr_load64_rlx(&nr_pending(b.e, h->replica)[0]) == 0 && nr_req_phase(nr_load64_rlx(&h->slot->state)) == NR_REQ_FREE &&
		   toy_replica_info(b.e, G, 0).withdrawn == 1, "its request is withdrawn from the replica where it pends");
	th_register(b.th, 5, 2, &b.s[5]);
	th_attach(&b.s[5], G, &toy_board_dispatch, h);
	tap_ok(nr_execute_mut(h, ops, toy_set(ops, 0, 3), 1, false, &(NrResult) {0}) == NR_OK && value(0) == 3,
		   "its successor's requests work");
	tap_ok(seats_close(&b), "all extents are back");
}

/* ---- at the same time ---- */

#define THREADS	4
#define TIMES	2000

typedef struct Party
{
	uint32_t	i;
	uint64_t	best[TOY_CELLS];	/* highest number that it appended */
	uint32_t	wrong;
} Party;

static void *
commit_on(void *arg)
{
	Party	   *party = arg;
	NrHandle   *h = &b.h[party->i];
	uint64_t	random = party->i + 1;
	_Alignas(8) char mine[40 * TOY_SET_BYTES];

	for (uint64_t k = 1; k <= TIMES; k++)
	{
		uint32_t	n = 1 + (uint32_t) (th_random(&random) % (k % 16 == 0 ? 40 : 4));
		uint32_t	first = (uint32_t) (th_random(&random) % 8);
		NrPrepared	prepared;
		ToyBoard	board;
		size_t		at = 0;

		for (uint32_t c = 0; c < n; c++)
			at += toy_set(mine + at, first + c, k);
		if (nr_prepare(h, mine, at, n, NR_PREPARE_ORDERED, false, &prepared) != NR_OK)
		{
			party->wrong++;
			continue;
		}
		if (th_random(&random) % 8 == 0)
		{
			nr_prepared_drop(h, &prepared);
			continue;
		}
		for (uint32_t c = first; c < first + n; c++)
			party->best[c] = prepared.order_seq;
		nr_prepared_append(h, &prepared);
		if (k % 8 != 0)
			continue;
		board = toy_board_read(h);
		party->wrong += board.order_seq[first] < party->best[first] || board.broken > 0;
	}
	return NULL;
}

static void
test_threads(uint32_t replicas)
{
	static Party party[THREADS];
	pthread_t	thread[THREADS];
	ToyBoard	board;
	uint64_t	wrong = 0;

	open_seats(replicas, 0, THREADS);
	for (uint32_t v = 0; v < b.th->views; v++)
		b.th->engine[v].host = &b.th->host;
	memset(party, 0, sizeof(party));
	for (uint32_t i = 0; i < THREADS; i++)
	{
		party[i].i = i;
		thread[i] = th_start(commit_on, &party[i]);
	}
	for (uint32_t i = 0; i < THREADS; i++)
	{
		th_join(thread[i]);
		wrong += party[i].wrong;
	}
	tap_ok(wrong == 0, "four threads, %u replicas: each sees what it appended, or what is newer", replicas);
	board = toy_board_read(&b.h[0]);
	for (uint32_t c = 0; c < TOY_CELLS; c++)
	{
		uint64_t	best = 0;

		for (uint32_t i = 0; i < THREADS; i++)
			best = party[i].best[c] > best ? party[i].best[c] : best;
		wrong += board.order_seq[c] != best;
	}
	tap_ok(wrong == 0, "in the end each cell has the highest number");
	tap_ok(toy_check(&b.h[1]) && seats_settled(&b) && seats_close(&b), "all extents are back");
}

int
main(void)
{
	th_watchdog(60);
	test_another_order();
	test_any_order();
	test_numbers();
	test_combiner_stopped(1);
	test_combiner_stopped(3);
	test_reader_inside();
	test_stopped_appender();
	test_one_replica();
	test_one_replica_pending();
	test_threads(1);
	test_threads(3);
	return tap_done();
}
