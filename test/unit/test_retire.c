/*
 * test_retire.c
 *		The end of a group: who is waited for, who is sent away, and what
 *		cancelling leaves.
 */
#include "engine/combine.h"
#include "seats.h"
#include "tap.h"

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

int
main(void)
{
	for (uint32_t replicas = 1; replicas <= 2; replicas++)
		for (uint32_t copies = 1; copies <= 2; copies++)
			test_retire(replicas, copies);
	return tap_done();
}
