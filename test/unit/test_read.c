/*
 * test_read.c
 *		Reads: nested, up to date, cancelled, starved; comparing copies without
 *		holding anybody up.
 */
#include "engine/combine.h"
#include "seats.h"
#include "tap.h"
#include "toy_board.h"

static void
test_replicas(uint32_t replicas)
{
	NrGroupConfig config = toy_config(4, 4096, 2048);
	Seats		b;
	bool		order = true,
				seen = true,
				seqs = true;
	uint64_t	last_seq = 0;

	seats_open(&b, th_geometry(replicas), replicas, &config, &toy_counter_dispatch);
	for (uint32_t i = 1; i <= 300; i++)
	{
		uint64_t	value,
					seq;

		order &= toy_call_add(&b.h[i % b.n], 3, 1, &value, &seq) == NR_OK && value == i;
		seqs &= i == 1 || seq == last_seq + 1;
		last_seq = seq;
		seen &= toy_call_get(&b.h[i * 7 % b.n], 3) == i;
	}
	tap_ok(order, "%u replicas: responses in log order", replicas);
	tap_ok(seqs, "%u replicas: log positions follow each other", replicas);
	tap_ok(seen, "%u replicas: each read sees the last write", replicas);
	tap_ok(toy_check(&b.h[0]), "%u replicas are equal", replicas);
	for (uint32_t r = 0; r < replicas; r++)
		seen &= toy_replica_info(th_engine(b.th, 1), 0, r).applied ==
			toy_group_info(b.e, 0).tail;
	tap_ok(seen, "%u replicas: the check brought all to the tail", replicas);
	tap_ok(seats_close(&b), "all extents are back");
}

static void
test_enter(void)
{
	NrGroupConfig config = toy_config(4, 4096, 512);
	Seats		b;
	NrReplicaInfo ri;

	seats_open(&b, th_geometry(2), 2, &config, &toy_counter_dispatch);
	tap_ok(nr_enter(&b.h[1], true) == NR_OK && nr_enter(&b.h[1], true) == NR_OK, "enter nests");
	nr_leave(&b.h[1]);
	tap_ok(toy_call_add(&b.h[0], 0, 1, NULL, NULL) == NR_OK,
		   "a reader inside one replica does not hold a writer of another up");
	nr_leave(&b.h[1]);
	tap_ok(toy_call_get(&b.h[1], 0) == 1, "after leaving the write is seen");
	b.h[1].hits = 3;
	b.h[1].misses = 4;
	nr_handle_flush_counters(&b.h[1]);
	ri = toy_replica_info(b.e, 0, 1);
	tap_ok(ri.reads_hit == 3 && ri.reads_missed == 4 && b.h[1].hits == 0 && b.h[1].misses == 0,
		   "hits and misses are added to the replica's");
	tap_ok(seats_close(&b), "all extents are back");
}

static void
test_check_finds(void)
{
	NrGeometry	geo = th_geometry(3);
	Th		   *th = th_new(&geo, 1, 0);
	NrGroupConfig config = toy_config(4, 4096, 512);
	NrSession	s[3];
	NrHandle	h[3];
	uint32_t	replica = 99;
	const char *why = NULL;

	th_create(th, 0, &config, &toy_counter_dispatch);
	for (uint32_t i = 0; i < 3; i++)
	{
		th_register(th, i, i, &s[i]);
		th_attach(&s[i], 0, &toy_counter_dispatch, &h[i]);
		toy_call_add(&h[i], 5, 10, NULL, NULL);
	}
	tap_ok(toy_check(&h[1]), "equal copies pass the check");
	h[2].copy->root[200] ^= 1;
	tap_ok(nr_group_check(&h[0], false, &replica, &why) == NR_DIVERGED && replica == 2 && why != NULL,
		   "one changed bit in replica 2 is found there: %s", why ? why : "");
	h[2].copy->root[200] ^= 1;
	tap_ok(toy_check(&h[2]), "changed back, the check passes");
	tap_ok(toy_call_add(&h[1], 5, 1, NULL, NULL) == NR_OK && toy_call_get(&h[2], 5) == 31,
		   "and work goes on");
	th_free(th);
}

/* ---- the way in when somebody is in the way ---- */

static Seats b;
static struct NrReplica *rep;	/* of replica 1 */

/* Sessions 0 and 2 on replica 0, 1 and 3 on replica 1. */
static void
open_seats(void)
{
	NrGroupConfig config = toy_config(4, 4096, 512);

	seats_open(&b, th_geometry(2), 4, &config, &toy_counter_dispatch);
	rep = nr_replica(b.e, 0, 1);
	nr_store32_rlx(&nr_replica(b.e, 0, 0)->combiner, 0);
}

static bool
outside(uint32_t i)
{
	return b.s[i].inside == 0 && nr_load64_rlx(&b.h[i].reader->inside) == 0 &&
		!(nr_load64_rlx(&nr_waiters(b.e, nr_replica(b.e, 0, b.s[i].replica))[0]) & NR_BIT(i));
}

static void
test_nested(void)
{
	open_seats();
	tap_ok(nr_enter(&b.h[1], true) == NR_OK && nr_inside_group(nr_load64_rlx(&b.h[1].reader->inside)) == 1, "inside");
	for (int i = 0; i < 3; i++)
		nr_enter(&b.h[1], true);
	for (int i = 0; i < 3; i++)
		nr_leave(&b.h[1]);
	tap_ok(nr_inside_group(nr_load64_rlx(&b.h[1].reader->inside)) == 1, "still, after as many leaves as nested enters");
	toy_call_add(&b.h[0], 0, 1, NULL, NULL);
	script_begin(b.th, script_give_up);
	tap_ok(nr_enter(&b.h[1], true) == NR_OK && script.waits == 0 && toy_call_get(&b.h[1], 0) == 0,
		   "a nested read sees what the outer one does, whatever has completed since");
	nr_leave(&b.h[1]);
	nr_leave(&b.h[1]);
	tap_ok(outside(1) && toy_call_get(&b.h[1], 0) == 1, "the last leave leaves");
	seats_close(&b);
}

static bool
let_go_second(NrSession *session, NrWaitReason why, long timeout_us, bool cancellable)
{
	(void) session;
	(void) timeout_us;
	(void) cancellable;
	if (script.waits == 2 && why == NR_WAIT_CATCH_UP)
		nr_store32_rlx(&rep->combiner, 0);
	return true;
}

/* Something completed on replica 0; replica 1 lags, and its combiner lock is held. */
static void
test_catch_up(void)
{
	open_seats();
	toy_call_add(&b.h[0], 0, 1, NULL, NULL);
	tap_ok(nr_load64_rlx(&rep->applied[0]) == 0, "replica 1 lags");
	nr_combiner_try(&b.s[3], 0, 1);
	script_begin(b.th, script_give_up);
	tap_ok(nr_enter(&b.h[1], true) == NR_CANCELLED && script.waits_for[NR_WAIT_CATCH_UP] == 1 &&
		   script.waits == 1, "a read that cannot catch up can be cancelled");
	tap_ok(outside(1), "and is not inside then, nor waits");
	script_begin(b.th, let_go_second);
	tap_ok(nr_enter(&b.h[1], false) == NR_OK && script.waits == 2, "or waits until it can");
	nr_leave(&b.h[1]);
	tap_ok(nr_load64_rlx(&rep->applied[0]) == 1 && nr_load32_rlx(&rep->combiner) == 0, "and does it itself");

	toy_call_add(&b.h[0], 0, 1, NULL, NULL);
	tap_ok(nr_group_sync(&b.h[1], true) == NR_OK && nr_load64_rlx(&rep->applied[0]) == 2,
		   "sync brings the own replica to the tail");
	toy_call_add(&b.h[0], 0, 1, NULL, NULL);
	nr_combiner_try(&b.s[3], 0, 1);
	script_begin(b.th, script_give_up);
	tap_ok(nr_group_sync(&b.h[1], true) == NR_CANCELLED &&
		   nr_group_sync_replica(&b.h[0], 1, true) == NR_CANCELLED, "it can be cancelled");
	tap_ok(nr_group_sync_replica(&b.h[0], 2, true) == NR_BAD_CONFIG, "there are no more replicas");
	nr_combiner_unlock(&b.s[3], 0, 1);
	nr_enter(&b.h[1], false);
	nr_leave(&b.h[1]);
	seats_close(&b);
}

/* The writer, session 3, leaves at the given sleep; starved as it was before. */
static uint32_t leave_at;
static uint32_t starved[32];

static bool
writer_leaves(NrSession *session, NrWaitReason why, long timeout_us, bool cancellable)
{
	(void) session;
	(void) timeout_us;
	starved[script.waits % 32] = nr_load32_rlx(&rep->starved);
	if (why == NR_WAIT_WRITER && script.waits == leave_at)
		nr_rw_writer_leave(&b.s[3], 0, 1);
	return !cancellable;
}

static void
test_writer_inside(void)
{
	open_seats();
	script_begin(b.th, writer_leaves);
	leave_at = 8;
	nr_rw_writer_enter(&b.s[3], 0, 1, NR_PATIENT);
	tap_ok(nr_enter(&b.h[1], false) == NR_OK && script.waits == 8, "a reader waits for the writer");
	tap_ok(starved[1] == 0 && starved[NR_RW_STARVED_TRIES] == 0 && starved[NR_RW_STARVED_TRIES + 1] == 1 &&
		   starved[8] == 8 - NR_RW_STARVED_TRIES, "after %u tries it says that it starves, and again each time", NR_RW_STARVED_TRIES);
	tap_ok(nr_load32_rlx(&rep->starved) == 0, "and no more when it is in");
	nr_leave(&b.h[1]);
	script_begin(b.th, writer_leaves);
	leave_at = 1000;
	nr_rw_writer_enter(&b.s[3], 0, 1, NR_PATIENT);
	tap_ok(nr_enter(&b.h[1], true) == NR_CANCELLED && outside(1) && script.waits == 1, "it can be cancelled");
	tap_ok(nr_load64_rlx(&rep->reader_waits) == 2 && nr_load64_rlx(&rep->reader_sleeps) == 9,
		   "waits and sleeps are counted");
	nr_rw_writer_leave(&b.s[3], 0, 1);
	seats_close(&b);
}

/* ---- comparing copies ---- */

static uint32_t locks_held;

static uint32_t
held_by(uint32_t session)
{
	return (nr_load32_rlx(&nr_replica(b.e, 0, 0)->combiner) == session + 1) +
		(nr_load32_rlx(&rep->combiner) == session + 1);
}

/* While it waits, but for a few brief times for the next lock, what does session 0 hold? */
static bool
look_at_locks(NrSession *session, NrWaitReason why, long timeout_us, bool cancellable)
{
	(void) cancellable;
	if (why != NR_WAIT_COMBINER || timeout_us == NR_RW_POLL_US)
		locks_held += held_by(session->idx);
	if (script.waits > 20)
		return false;
	return true;
}

static bool
let_go_eleventh(NrSession *session, NrWaitReason why, long timeout_us, bool cancellable)
{
	if (script.waits == 11)
	{
		nr_store32_rlx(&rep->combiner, 0);
		nr_rw_reader_leave(b.h[3].reader);
	}
	return look_at_locks(session, why, timeout_us, cancellable);
}

static void
test_check_gives_up(void)
{
	uint32_t	replica = 99;
	const char *why = "";

	open_seats();
	toy_call_add(&b.h[0], 0, 1, NULL, NULL);
	nr_combiner_try(&b.s[3], 0, 1);
	script_begin(b.th, look_at_locks);
	locks_held = 0;
	tap_ok(nr_group_check(&b.h[0], true, &replica, &why) == NR_CANCELLED,
		   "a check with a combiner that stays can be cancelled");
	tap_ok(script.waits == 21 && locks_held == 0 && held_by(0) == 0 && held_by(3) == 1,
		   "it lets go of all locks before it tries anew, and at last");
	tap_ok(toy_call_add(&b.h[0], 0, 1, NULL, NULL) == NR_OK, "others write meanwhile");
	script_begin(b.th, let_go_eleventh);
	tap_ok(nr_group_check(&b.h[0], true, &replica, &why) == NR_OK && script.waits == 12,
		   "when the combiner is done, the check is made");

	toy_call_add(&b.h[0], 0, 1, NULL, NULL);
	nr_rw_reader_try(&b.h[3], nr_inside_word(1, 0));
	script_begin(b.th, look_at_locks);
	locks_held = 0;
	tap_ok(nr_group_check(&b.h[0], true, &replica, &why) == NR_CANCELLED && locks_held == 0 &&
		   held_by(0) == 0, "a reader that stays inside a lagging replica: neither");
	script_begin(b.th, let_go_eleventh);
	tap_ok(nr_group_check(&b.h[0], true, &replica, &why) == NR_OK, "when it has left, the check is made");
	tap_ok(nr_load64_rlx(&rep->applied[0]) == 3 && held_by(0) == 0, "all are at the tail, no lock is held");
	nr_rw_reader_try(&b.h[3], nr_inside_word(1, 0));
	tap_ok(nr_group_check(&b.h[0], true, &replica, &why) == NR_OK,
		   "a reader inside a replica at the tail is in nobody's way");
	nr_rw_reader_leave(b.h[3].reader);
	seats_close(&b);
}

/* ---- a lazy group: its log grows while the check has all combiner locks ---- */

static NrPrepared late;

static void
prepare_late(uint64_t value)
{
	_Alignas(8) char op[TOY_SET_BYTES];

	if (nr_prepare(&b.h[1], op, toy_set(op, 0, value), 1, 0, false, &late) != NR_OK)
		th_die("could not prepare");
}

/* Session 1 commits when replica 0 has been brought to the tail, and replica 1 is next. */
static void
append_late(const char *point)
{
	if (strcmp(point, "batch_applied") != 0)
		return;
	nr_test_point_hook = NULL;
	nr_prepared_append(&b.h[1], &late);
}

static void
test_check_one_tail(void)
{
	NrGroupConfig config = toy_config(4, 4096, 512);
	uint32_t	replica = 99;
	const char *why = "";

	config.lazy = true;
	seats_open(&b, th_geometry(2), 2, &config, &toy_board_dispatch);
	rep = nr_replica(b.e, 0, 1);
	prepare_late(1);
	nr_prepared_append(&b.h[1], &late);
	tap_ok(nr_load64_rlx(&nr_replica(b.e, 0, 0)->applied[0]) == 0, "replica 0 lags");
	prepare_late(2);
	nr_test_point_hook = append_late;
	tap_ok(nr_group_check(&b.h[0], false, &replica, &why) == NR_OK && nr_test_point_hook == NULL,
		   "what is appended while replicas are brought forward is not a difference (%s)", why);
	nr_test_point_hook = NULL;
	tap_ok(nr_load64_rlx(&rep->applied[0]) == 1 && toy_group_info(b.e, 0).tail == 2, "all went to the tail of before");
	tap_ok(toy_board_read(&b.h[0]).value[0] == 2 && toy_board_read(&b.h[1]).value[0] == 2 && toy_check(&b.h[0]),
		   "afterwards it is applied, in both");
	tap_ok(seats_close(&b), "all extents are back");
}

int
main(void)
{
	static const uint32_t replicas[] = {1, 2, 3, 4, 8, 16};

	th_watchdog(60);
	for (size_t i = 0; i < sizeof(replicas) / sizeof(replicas[0]); i++)
		test_replicas(replicas[i]);
	test_enter();
	test_check_finds();
	test_nested();
	test_catch_up();
	test_writer_inside();
	test_check_gives_up();
	test_check_one_tail();
	return tap_done();
}
