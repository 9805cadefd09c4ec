/*
 * fuzz_engine.c
 *		A whole group, operation by operation: several sessions that take turns at every
 *		test point and whenever they wait, as the input decides.
 *
 * The input chooses the number of replicas and copies, how writes are made (requests, commits,
 * append and publish), the sizes of pool, quota, log and buffers, from too small to large, and then what
 * each session does: reads, and stays inside; writes, prepares, drops; ends and comes back, moves
 * to another replica; checks, refreshes, takes all of it away.  Whoever waits may be cancelled.
 * What must come of it is party.h's.
 */
#include "engine/layout.h"
#include "fiber.h"
#include "party.h"
#include "seats.h"

#include <stdlib.h>

#define G			0
#define WAITS_MAX	200000		/* who waits so often waits for ever */
#define PENDING_MAX 64

/* How writes get in. */
typedef enum Way
{
	REQUESTS,
	COMMITS,
	PUBLISHES
} Way;

static Seats b;
static Way way;
static bool two;				/* copies */
static bool single;				/* one writer at a time */
static uint32_t writers;		/* sessions that write at the moment */
static bool taken;				/* the group is retired, or about to be: nobody writes */
static uint32_t waits;
static uint32_t points;			/* test points to pass before another session has its turn */
static uint32_t batch_max;
static uint32_t pending[PENDING_MAX];	/* requests that are appended and not published */
static uint32_t n_pending;
static bool loading;

/* ---- taking turns ---- */

static void
turn(void)
{
	points = 1u << fz_below(8);
	fiber_yield();
}

static void
at_point(const char *name)
{
	(void) name;
	if (fiber_self() < FIBERS_MAX && !party_looks && fz_left() > 0 && points-- == 0)
		turn();
}

static bool
host_wait(NrSession *session, NrWaitReason why, long timeout_us, bool cancellable)
{
	(void) session;
	(void) why;
	(void) timeout_us;
	if (++waits > WAITS_MAX)
		fz_fail("somebody waits for ever");
	fiber_yield();
	return !(cancellable && (fz_often(40) || waits > WAITS_MAX / 2));
}

static void
host_wake(NrEngine *engine, uint32_t session)
{
	(void) engine;
	(void) session;
}

static const NrHost host = {host_wait, host_wake, 0};

/* ---- reads ---- */

static void
read_key(uint32_t i)
{
	static _Alignas(8) char op[MODEL_SHORT_MAX];
	PartyRead	read = {.began = party_now(),.op = (NrOpHeader *) op,.all = fz_often(60)};
	NrStatus	status;

	/* any key will do, so it does not matter whether another session draws its own before this one reads */
	model_draw(party_model(), op, MODEL_SHORT);
	status = nr_execute(&b.h[i], &read, NULL, !fz_often(60));
	if (status != NR_OK && status != NR_CANCELLED && status != NR_GONE)
		fz_fail("a read fails");
	if (status == NR_GONE && !taken)
		fz_fail("a read finds the group gone");
}

/* Stay inside for some turns, perhaps twice over. */
static void
stay_inside(uint32_t i)
{
	NrHandle   *h = &b.h[i];
	PartyMoment began = party_now();
	uint32_t	turns = 1 + fz_below(4);
	uint32_t	depth = 1 + fz_below(2);
	const NrCopy *copy;
	uint64_t	position;
	uint64_t	checksum;

	if (nr_enter(h, true) != NR_OK)
		return;
	copy = h->copy;
	position = party_read(copy, began, NULL);
	checksum = ds_hash_dispatch.checksum(copy);
	for (uint32_t d = 1; d < depth; d++)
		if (nr_enter(h, true) != NR_OK || h->copy != copy)
			fz_fail("a reader that is inside cannot enter");
	while (turns-- > 0)
	{
		turn();
		party_same(copy, position);
	}
	if (ds_hash_dispatch.checksum(copy) != checksum)
		fz_fail("a copy's bytes have changed while somebody was inside");
	while (depth-- > 0)
		nr_leave(h);
}

/* ---- writes ---- */

static bool
may_write(void)
{
	return !taken && !(single && writers > 0);
}

/* A request's operations, for whoever has drawn them until its next turn. */
static char *
draw_ops(size_t *bytes, uint32_t *n, bool ordered)
{
	uint32_t	flags = MODEL_SHORT | (ordered ? MODEL_ORDERED : 0);
	char	   *ops = malloc(PARTY_OPS_MAX * MODEL_SHORT_MAX);

	*n = fz_often(100) ? 1 + fz_below(PARTY_OPS_MAX) : 1;
	*bytes = 0;
	for (uint32_t i = 0; i < *n; i++)
		*bytes += model_draw(party_model(), ops + *bytes, flags);
	return ops;
}

/* May it be refused so, with nothing having happened? */
static void
check_refusal(NrStatus status, const char *ops, size_t bytes)
{
	bool		too_large = bytes > batch_max;

	for (size_t at = 0; at < bytes; at += ((const NrOpHeader *) (ops + at))->bytes)
		too_large |= ((const NrOpHeader *) (ops + at))->bytes > nr_op_bytes_max(&b.e->geo);
	if ((status == NR_TOO_LARGE) != too_large && status != NR_BAD_CONFIG)
		fz_fail(too_large ? "a request is too large, and not refused for it" : "a request is refused as too large");
	if (status == NR_BAD_CONFIG && n_pending == 0)
		fz_fail("a request is refused as if something were pending");
}

static void
request(uint32_t i)
{
	static char answer[FIBERS_MAX][DS_HASH_RESPONSE_MAX];
	NrResult	result = {.last = {.data = answer[i],.capacity = sizeof(answer[i])}};
	size_t		bytes;
	uint32_t	n;
	char	   *ops = draw_ops(&bytes, &n, false);
	uint32_t	r = party_begin(ops, bytes, n);
	NrStatus	status = nr_execute_mut(&b.h[i], ops, bytes, n, !fz_often(60), &result);

	if (status == NR_OK)
	{
		/* the session's buffer is what an answer has room in */
		if (result.last.length > b.e->geo.session_buffer_bytes)
			result.last.capacity = 0;
		party_acknowledge(r, &result);
	}
	else
	{
		party_forget(r);
		if (status != NR_CANCELLED && status != NR_NO_SPACE)
			check_refusal(status, ops, bytes);
	}
	free(ops);
}

static void
commit(uint32_t i)
{
	NrPrepared	p;
	size_t		bytes;
	uint32_t	n;
	uint32_t	flags = (single && fz_often(128) ? 0 : NR_PREPARE_ORDERED) | (fz_often(30) ? NR_PREPARE_TRY : 0);
	char	   *ops = draw_ops(&bytes, &n, flags & NR_PREPARE_ORDERED);
	uint32_t	r = party_begin(ops, bytes, n);
	NrStatus	status;

	party_hold(r, false);
	status = nr_prepare(&b.h[i], ops, bytes, n, flags, true, &p);
	if (status == NR_OK)
	{
		for (uint32_t turns = fz_below(4); turns > 0; turns--)
			turn();
		if (fz_often(50))
		{
			party_forget(r);
			nr_prepared_drop(&b.h[i], &p);
		}
		else
		{
			party_release(r, p.order_seq);
			nr_prepared_append(&b.h[i], &p);
			party_acknowledge(r, NULL);
		}
	}
	else
	{
		party_forget(r);
		if (status != NR_CANCELLED && status != NR_NO_SPACE && status != NR_BUSY)
			check_refusal(status, ops, bytes);
	}
	free(ops);
}

static void
publish(uint32_t i)
{
	uint32_t	was = n_pending;
	uint64_t	operations = nr_pending_count(&b.h[i]);
	uint64_t	n = 0;
	NrStatus	status;

	for (uint32_t k = 0; k < was; k++)
		if (!loading)
			party_release(pending[k], 0);
	status = fz_often(60) ? nr_publish_try(&b.h[i], &n) : nr_publish(&b.h[i], true, &n);
	if (status == NR_OK)
	{
		if (n != operations)
			fz_fail("the number of operations that were published");
		for (uint32_t k = 0; k < was; k++)
			party_acknowledge(pending[k], NULL);
		n_pending = 0;
		loading &= was == 0;
		return;
	}
	for (uint32_t k = 0; k < was; k++)
		if (!loading)
			party_hold(pending[k], false);
}

static void
append(uint32_t i)
{
	NrResult	result = {0};
	size_t		bytes;
	uint32_t	n;
	char	   *ops;
	uint32_t	r;
	NrStatus	status;

	if (n_pending == PENDING_MAX)
		return;
	ops = draw_ops(&bytes, &n, false);
	r = party_begin(ops, bytes, n);
	if (loading)
		party_release(r, 0);
	else
		party_hold(r, false);
	status = nr_append(&b.h[i], ops, bytes, n, true, &result);
	if (status == NR_OK)
	{
		if (n_pending > 0)
			party_join(r, pending[0]);
		pending[n_pending++] = r;
	}
	else
		party_forget(r);
	free(ops);
}

static void
write_some(uint32_t i)
{
	if (!may_write())
		return;
	writers++;
	if (way == REQUESTS)
		request(i);
	else if (way == COMMITS)
		commit(i);
	else if (fz_often(90))
		publish(i);
	else
		append(i);
	writers--;
}

/* ---- everything else ---- */

static void
check(uint32_t i)
{
	uint32_t	replica;
	const char *why;
	NrStatus	status = nr_group_check(&b.h[i], true, &replica, &why);

	if (status != NR_OK && status != NR_CANCELLED)
		fz_fail(why);
}

/* All of it is taken away from readers: then it is given back, or emptied. */
static void
take(uint32_t i)
{
	NrHandle   *h = &b.h[i];
	PartyRead	read = {.began = party_now(),.all = true};

	if (taken || writers > 0)
		return;
	taken = true;
	if (nr_group_retire(h, true) == NR_OK)
	{
		if (!nr_group_retired(h) || nr_enter(h, true) != NR_GONE)
			fz_fail("a reader enters what was taken");
		turn();
		if (nr_execute_retired(h, &read, NULL) != NR_OK)
			fz_fail("what was taken cannot be read");
		if (n_pending == 0 && fz_often(128) && nr_group_own(h, true) == NR_OK)
		{
			nr_group_clear(h);
			loading = nr_group_exists(b.e, G) && way == PUBLISHES && two && b.h[i].group->replicas == 1;
			nr_group_disown(h);
		}
		nr_group_restore(h);
	}
	taken = false;
}

static void
come_back(uint32_t i)
{
	uint32_t	replica = fz_below(b.e->geo.replicas);

	nr_group_detach(&b.h[i]);
	if (fz_often(128))
	{
		if (nr_session_move(&b.s[i], replica) != NR_OK)
			fz_fail("a session cannot move");
	}
	else
	{
		nr_session_unregister(&b.s[i]);
		th_register(b.th, i, replica, &b.s[i]);
	}
	if (nr_group_attach(&b.s[i], G, &party_dispatch, &b.h[i]) != NR_OK)
		fz_fail("a session cannot attach");
}

static void
be_a_worker(uint32_t i)
{
	if (nr_worker_appoint(&b.s[i]) == NR_OK)
	{
		if (nr_worker_refresh(&b.s[i], &party_dispatch, G) == NR_FRESH && fz_often(128))
			nr_worker_rest(&b.s[i]);
		else
			nr_worker_nap(&b.s[i]);
		turn();
		nr_worker_rise(&b.s[i]);
		nr_worker_dismiss(&b.s[i]);
	}
}

static void
act(uint32_t i)
{
	uint32_t	what = fz_take(1);

	if (what < 60)
		read_key(i);
	else if (what < 90)
		stay_inside(i);
	else if (what < 200)
		write_some(i);
	else if (what < 212)
		check(i);
	else if (what < 222)
		(void) nr_group_sync_replica(&b.h[i], fz_below(b.h[i].group->replicas), true);
	else if (what < 236)
		come_back(i);
	else if (what < 246)
		be_a_worker(i);
	else
		take(i);
	nr_handle_flush_counters(&b.h[i]);
}

static void
play(uint32_t i)
{
	while (fz_left() > 0)
	{
		act(i);
		turn();
	}
}

/* ---- an input ---- */

/* A group as the input has it; false: it is refused, and nothing is left of it. */
static bool
open_group(void)
{
	static const uint32_t quota[] = {1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 100};
	static const uint32_t pool[] = {4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128};
	NrGeometry	geo = th_geometry(1 + fz_below(4));
	NrGroupConfig config = {0};
	DsHashArg	arg = {.line_bytes = 64u << fz_below(3)};
	uint32_t	shape = fz_take(1);
	uint32_t	sizes = fz_take(1);
	NrStatus	status;

	way = (Way) (shape % 3);
	two = (shape & 4) != 0;
	arg.seed = model_seed(shape >> 3);
	geo.sessions = 8;
	geo.groups = 1;
	geo.extents = pool[sizes % 16];
	geo.session_buffer_bytes = shape & 16 ? 256 : 1024;
	config.extents_max = quota[sizes / 16];
	config.copies = two ? 2 : 1;
	config.replicas = shape & 32 ? 1 : 0;
	config.lazy = !two && way != REQUESTS;
	config.log_slots = 2u << fz_below(6);
	config.log_bytes = 4096u << fz_below(3);
	config.shared_max = shape & 64 ? fz_below(config.extents_max + 2) : 0;
	config.batch_bytes_max = batch_max = 1000u << fz_below(8);
	config.arg_bytes = sizeof(arg);
	memcpy(config.arg, &arg, sizeof(arg));
	single = way == PUBLISHES || (way == COMMITS && two);
	party_open(geo.extent_shift, arg.seed, config.copies);
	memset(&b, 0, sizeof(b));
	b.th = th_new(&geo, 1, 0);
	b.e = th_engine(b.th, 0);
	b.e->host = &host;
	b.n = 1 + fz_below(FIBERS_MAX);
	status = nr_group_create(b.e, G, &config, &party_dispatch);
	if (status != NR_OK && (nr_group_exists(b.e, G) || toy_pool_free(b.e) != geo.extents))
		fz_fail("something is left of a group that was refused");
	loading = way == PUBLISHES && two && (config.replicas == 1 || geo.replicas == 1);
	return status == NR_OK;
}

static void
close_group(void)
{
	uint32_t	replica;
	const char *why;

	while (n_pending > 0)
	{
		uint32_t	was = n_pending;

		publish(0);
		if (n_pending == was)
			break;				/* there is no memory for it */
	}
	if (nr_group_check(&b.h[0], false, &replica, &why) != NR_OK)
		fz_fail(why);
	if (n_pending == 0)
		party_end();
	if (n_pending == 0 && !seats_settled(&b))
		fz_fail("the account of memory is not what the copies have");
	for (uint32_t i = 0; i < b.n; i++)
	{
		nr_group_detach(&b.h[i]);
		nr_session_unregister(&b.s[i]);
	}
	nr_group_destroy(b.e, G, &party_dispatch);
	if (toy_pool_free(b.e) != b.th->geo.extents)
		fz_fail("an extent is lost");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t	alive;

	fz_begin(data, size);
	writers = waits = points = n_pending = 0;
	taken = false;
	if (open_group())
	{
		for (uint32_t i = 0; i < b.n; i++)
		{
			th_register(b.th, i, i % b.e->geo.replicas, &b.s[i]);
			th_attach(&b.s[i], G, &party_dispatch, &b.h[i]);
			fiber_start(i, play);
		}
		nr_test_point_hook = at_point;
		nr_store32_rlx(&nr_test_announces, size % 2);	/* no byte of the input, whose kept ones mean what they did */
		do
		{
			uint32_t	first = fz_below(b.n);

			alive = 0;
			for (uint32_t i = 0; i < b.n; i++)
			{
				alive += fiber_resume((first + i) % b.n);
				if (fz_left() > 0)
					break;
			}
		} while (alive > 0 || fz_left() > 0);
		nr_test_point_hook = NULL;
		close_group();
	}
	th_free(b.th);
	party_close();
	return 0;
}

#ifndef NR_FUZZER
int
main(int argc, char **argv)
{
	return fz_main("fuzz_engine", 2, argc, argv);
}
#endif
