/*
 * test_info.c
 *		What operators are shown: the right numbers, and by looking alone.
 */
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#include "engine/combine.h"
#include "seats.h"
#include "tap.h"

static Seats b;

static void
open_seats(void)
{
	NrGroupConfig config = toy_config(8, 3 * 4096, 1024);

	config.log_slots = 4;
	seats_open(&b, th_geometry(2), 2, &config, &toy_stack_dispatch);
}

static void
test_group_numbers(void)
{
	NrResult	res = {.status = NR_OK};
	NrGroupInfo gi;
	NrPoolInfo	pi;

	open_seats();
	gi = toy_group_info(b.e, 0);
	tap_ok(gi.exists && gi.extents_max == 8 && gi.extents_used == 1 && gi.extents_free == 0 &&
		   gi.extents_log == 3, "a new group's extents");
	tap_ok(gi.log_slots == 4 && gi.log_bytes == 3 * 4096 - b.h[0].group->log_head_bytes, "its log");
	for (int i = 0; i < 3; i++)
		toy_call_push(&b.h[0], 1, 1, &res);
	gi = toy_group_info(b.e, 0);
	tap_ok(gi.tail == 3 && gi.completed == 3 && gi.head == 0, "head is the position of the last replica");
	nr_group_sync(&b.h[1], false);
	gi = toy_group_info(b.e, 0);
	tap_ok(gi.head == 3 && nr_load64_rlx(&b.h[0].group->head) < 3, "computed, not stored");
	tap_ok(gi.extents_used == 3 && gi.extents_free == 1 && gi.granted == 2 && gi.released == 0,
		   "extents used, free, granted");
	for (int i = 0; i < 5; i++)
		toy_call_push(&b.h[0], 1, 1, &res);
	tap_ok(toy_group_info(b.e, 0).no_log_space > 0, "that the log was full is counted");
	nr_pool_info(b.e, &pi);
	tap_ok(pi.extents == 256 && pi.free == 256 - 3 - 3 && pi.extent_bytes == 4096, "the pool");
	nr_store64_rlx(&b.h[0].group->headroom, (uint64_t) -2);
	tap_ok(toy_group_info(b.e, 0).extents_free == 0, "an account that is short for a moment is none free");
	nr_store64_rlx(&b.h[0].group->headroom, 1);
	tap_ok(seats_close(&b), "all extents are back");
}

static void
test_replica_numbers(void)
{
	NrResult	res = {.status = NR_OK};
	NrReplicaInfo ri;

	open_seats();
	ri = toy_replica_info(b.e, 0, 0);
	tap_ok(ri.combiner == NR_SESSION_NONE && ri.blocking_reader == NR_SESSION_NONE && ri.ring_used_bytes == 0,
		   "nobody combines, nobody is in the way");
	toy_call_push(&b.h[0], 1, 5, &res);
	toy_call_push(&b.h[1], 1, 2, &res);
	nr_group_sync_replica(&b.h[1], 0, false);
	ri = toy_replica_info(b.e, 0, 0);
	tap_ok(ri.applied == 2 && ri.batches == 1 && ri.requests == 1 && ri.ops == 5 && ri.ops_applied == 7 &&
		   ri.helped == 1 && ri.bytes == 5 * TOY_PUSH_BYTES, "batches, requests, operations");
	tap_ok(ri.ring_used_bytes >= ri.bytes && ri.ring_used_bytes < 4096, "the ring");
	nr_combiner_try(&b.s[1], 0, 1);
	nr_rw_reader_try(&b.h[0], nr_inside_word(1, 0));
	tap_ok(!nr_rw_writer_enter(&b.s[1], 0, 0, NR_IMPATIENT), "a reader stays inside");
	tap_ok(toy_replica_info(b.e, 0, 0).blocking_reader == 0 && toy_replica_info(b.e, 0, 1).combiner == 1,
		   "who is in the way, who combines");
	nr_rw_reader_leave(b.h[0].reader);
	tap_ok(toy_replica_info(b.e, 0, 0).blocking_reader == NR_SESSION_NONE, "it has left: not any more");
	nr_combiner_unlock(&b.s[1], 0, 1);
	b.h[0].hits = 3;
	b.h[0].misses = 1;
	nr_handle_flush_counters(&b.h[0]);
	nr_handle_flush_counters(&b.h[0]);
	ri = toy_replica_info(b.e, 0, 0);
	tap_ok(ri.reads_hit == 3 && ri.reads_missed == 1 && toy_replica_info(b.e, 0, 1).reads_hit == 0,
		   "hits and misses are added once, to the own replica's");
	tap_ok(seats_close(&b), "all extents are back");
}

static void
test_no_group(void)
{
	static const NrGroupInfo nothing;
	NrGroupInfo gi;
	NrReplicaInfo ri;

	open_seats();
	memset(&gi, 0xff, sizeof(gi));
	nr_group_info(b.e, 3, &gi);
	tap_ok(memcmp(&gi, &nothing, sizeof(gi)) == 0, "of a group that does not exist, nothing");
	memset(&ri, 0xff, sizeof(ri));
	nr_replica_info(b.e, 3, 1, &ri);
	tap_ok(ri.applied == 0 && ri.combiner == NR_SESSION_NONE && ri.blocking_reader == NR_SESSION_NONE,
		   "nor of its replicas");
	nr_group_destroy(b.e, 0, NULL);
	gi = toy_group_info(b.e, 0);
	tap_ok(!gi.exists && gi.extents_used == 0, "a destroyed one is gone");
	tap_ok(seats_close(&b), "all extents are back");
}

/* ---- looking alone ---- */

static sigjmp_buf caught;

static void
on_fault(int signal)
{
	siglongjmp(caught, signal);
}

static bool
look_at_all(NrEngine *e)
{
	NrGroupInfo gi;
	NrReplicaInfo ri;
	NrSessionInfo si;
	NrPoolInfo	pi;

	if (sigsetjmp(caught, 1) != 0)
		return false;
	for (uint32_t g = 0; g < e->geo.groups; g++)
	{
		nr_group_info(e, g, &gi);
		for (uint32_t r = 0; r < e->geo.replicas; r++)
			nr_replica_info(e, g, r, &ri);
	}
	for (uint32_t i = 0; i < e->geo.sessions; i++)
		nr_session_info(e, i, &si);
	nr_pool_info(e, &pi);
	return nr_group_exists(e, 0) && !nr_group_exists(e, 1);
}

/*
 * A view that cannot be written: whoever looks at a group that is dropped and
 * made anew meanwhile must not leave a number of the old one in the new one.
 */
static void
test_loads_only(void)
{
	struct sigaction act = {.sa_handler = on_fault};
	struct sigaction old[2];
	NrResult	res = {.status = NR_OK};
	NrEngine   *view;
	size_t		bytes;

	open_seats();
	view = th_engine(b.th, 1);
	if (view == b.e)
	{
		tap_ok(true, "one view only: not tried # SKIP");
		seats_close(&b);
		return;
	}
	for (int i = 0; i < 6; i++)
		toy_call_push(&b.h[0], 1, 1, &res);
	nr_group_sync(&b.h[1], false);	/* head is behind the positions: something to store */
	bytes = (size_t) (view->region[1] + nr_engine_region_bytes(&view->geo) - view->control);
	bytes = (bytes + 4095) & ~(size_t) 4095;
	sigaction(SIGSEGV, &act, &old[0]);
	sigaction(SIGBUS, &act, &old[1]);
	if (mprotect(view->control, bytes, PROT_READ) != 0)
		th_die("mprotect");
	tap_ok(look_at_all(view), "looking at everything writes nothing");
	mprotect(view->control, bytes, PROT_READ | PROT_WRITE);
	sigaction(SIGSEGV, &old[0], NULL);
	sigaction(SIGBUS, &old[1], NULL);
	tap_ok(seats_close(&b), "all extents are back");
}

int
main(void)
{
	th_watchdog(60);
	test_group_numbers();
	test_replica_numbers();
	test_no_group();
	test_loads_only();
	return tap_done();
}
