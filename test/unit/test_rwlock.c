/*
 * test_rwlock.c
 *		The distributed readers-writer lock: who keeps whom out, how long a writer
 *		waits, readers that lose too often.
 */
#include "engine/rwlock.h"
#include "engine/wait.h"
#include "seats.h"
#include "tap.h"

#define G	0

static Seats b;
static struct NrReplica *rep;	/* of replica 0 */

static void
open_seats(uint32_t replicas, uint32_t sessions)
{
	NrGeometry	geo = th_geometry(replicas);
	NrGroupConfig config = toy_config(4, 4096, 1024);

	geo.sessions = sessions;
	seats_open(&b, geo, sessions, &config, &toy_counter_dispatch);
	rep = nr_replica(b.e, G, 0);
}

static bool
reader_try(uint32_t i)
{
	return nr_rw_reader_try(&b.h[i], nr_inside_word(++b.s[i].entries, G));
}

static uint32_t
inside(uint32_t i)
{
	return nr_inside_group(nr_load64_rlx(&b.h[i].reader->inside));
}

static bool
looked_for(uint32_t i)
{
	return (nr_readers_present(b.e, rep, NR_WORD(i)) & NR_BIT(i)) != 0;
}

/* Who does not come is not looked for, until it does. */
static void
test_roll_call(void)
{
	bool		all = true;

	open_seats(1, 130);
	script_begin(b.th, NULL);
	nr_reader_arrive(&b.h[128], nr_inside_word(1, G + 1));	/* in another group */
	for (int i = 1; i < NR_ROLL_CALL; i++)
	{
		(void) nr_rw_writer_enter(&b.s[2], G, 0, NR_IMPATIENT);
		nr_rw_writer_leave(&b.s[2], G, 0);
		all = all && looked_for(0) && looked_for(127);
	}
	tap_ok(all, "up to the roll call writers look at all who have attached");
	(void) nr_rw_writer_enter(&b.s[2], G, 0, NR_IMPATIENT);
	tap_ok(!looked_for(0) && !looked_for(127) && looked_for(128), "then at those who are inside, wherever");
	tap_ok(inside(0) != G + 1 && !reader_try(0) && looked_for(0), "who comes back is looked for, and sees the writer's flag");
	nr_rw_writer_leave(&b.s[2], G, 0);
	tap_ok(reader_try(127) && looked_for(127) && !nr_rw_writer_enter(&b.s[2], G, 0, NR_IMPATIENT), "the next writer finds one that came back");
	nr_rw_reader_leave(b.h[127].reader);
	tap_ok(reader_try(127) && inside(127) == G + 1, "a second time it finds no mark");
	nr_rw_reader_leave(b.h[127].reader);
	seats_close(&b);
}

static void
test_exclusion(void)
{
	open_seats(2, 130);
	script_begin(b.th, NULL);
	tap_ok(reader_try(0) && reader_try(128) && inside(0) == G + 1, "two readers are inside");
	tap_ok(!nr_rw_writer_enter(&b.s[2], G, 0, NR_IMPATIENT) && script.waits == 0,
		   "an impatient writer gives up without a sleep");
	tap_ok(nr_load32_rlx(&rep->writer) == 0 && nr_load32_rlx(&rep->blocking_reader) == 0 + 1,
		   "it left no flag, but the name of who was in its way");
	nr_rw_reader_leave(b.h[0].reader);
	tap_ok(!nr_rw_writer_enter(&b.s[2], G, 0, NR_IMPATIENT) &&
		   nr_load32_rlx(&rep->blocking_reader) == 128 + 1, "the last word of the bitmap counts, too");
	nr_rw_reader_leave(b.h[128].reader);
	tap_ok(nr_rw_writer_enter(&b.s[2], G, 0, NR_IMPATIENT) && nr_load32_rlx(&rep->writer) == 1 &&
		   nr_load32_rlx(&rep->blocking_reader) == 0, "all have left: it is in");
	tap_ok(!reader_try(0) && inside(0) == 0, "a reader does not get in now, and leaves no trace");
	tap_ok(reader_try(1), "on another replica it does");
	nr_bit_set(nr_waiters(b.e, rep), 4);
	nr_bit_set(nr_waiters(b.e, rep), 129);
	nr_rw_writer_leave(&b.s[2], G, 0);
	tap_ok(script.wakes == 2 && script.woken[4] == 1 && script.woken[129] == 1,
		   "leaving, the writer wakes who waits");
	tap_ok(reader_try(0), "and readers get in");
	nr_rw_reader_leave(b.h[0].reader);
	nr_rw_reader_leave(b.h[1].reader);
	nr_bit_clear(nr_waiters(b.e, rep), 4);
	nr_bit_clear(nr_waiters(b.e, rep), 129);
	seats_close(&b);
}

static void
test_not_in_the_way(void)
{
	open_seats(2, 4);
	script_begin(b.th, NULL);
	nr_xchg64_seq(&b.h[0].reader->inside, nr_inside_word(1, 5));	/* in another group */
	tap_ok(nr_rw_writer_enter(&b.s[2], G, 0, NR_IMPATIENT), "a reader of another group is not waited for");
	nr_rw_writer_leave(&b.s[2], G, 0);
	nr_store64_rlx(&b.h[0].reader->inside, 0);
	reader_try(1);
	tap_ok(nr_rw_writer_enter(&b.s[2], G, 0, NR_IMPATIENT), "nor one of another replica");
	nr_rw_writer_leave(&b.s[2], G, 0);
	tap_ok(!nr_rw_writer_enter(&b.s[2], G, 1, NR_IMPATIENT), "a writer may come from another replica");
	nr_rw_reader_leave(b.h[1].reader);
	nr_group_detach(&b.h[0]);
	nr_xchg64_seq(&b.h[0].reader->inside, nr_inside_word(2, G));
	tap_ok(nr_rw_writer_enter(&b.s[2], G, 0, NR_IMPATIENT), "who has detached is not looked at");
	nr_rw_writer_leave(&b.s[2], G, 0);
	nr_store64_rlx(&b.h[0].reader->inside, 0);
	th_attach(&b.s[0], G, &toy_counter_dispatch, &b.h[0]);
	seats_close(&b);
}

/* ---- patience ---- */

static NrSessionInfo shown;

/* The reader, session 0, leaves at the third sleep. */
static bool
leave_third(NrSession *session, NrWaitReason why, long timeout_us, bool cancellable)
{
	(void) cancellable;
	nr_session_info(session->engine, session->idx, &shown);
	if (why == NR_WAIT_READERS && timeout_us > 0 && script.waits == 3)
		nr_rw_reader_leave(b.h[0].reader);
	return false;
}

static bool
leave_third_go_on(NrSession *session, NrWaitReason why, long timeout_us, bool cancellable)
{
	(void) leave_third(session, why, timeout_us, cancellable);
	return true;
}

static void
test_patience(void)
{
	open_seats(1, 4);
	script_begin(b.th, leave_third);
	reader_try(0);
	tap_ok(!nr_rw_writer_enter(&b.s[2], G, 0, NR_CANCELLABLE) && script.waits == 1,
		   "a cancellable writer is cancelled");
	tap_ok(nr_load32_rlx(&rep->writer) == 0, "and not inside");
	script_begin(b.th, leave_third_go_on);
	tap_ok(nr_rw_writer_enter(&b.s[2], G, 0, NR_CANCELLABLE) && script.waits == 3,
		   "one that is not cancelled waits until the reader leaves");
	nr_rw_writer_leave(&b.s[2], G, 0);
	script_begin(b.th, leave_third);
	reader_try(0);
	tap_ok(nr_rw_writer_enter(&b.s[2], G, 0, NR_PATIENT) && script.waits == 3,
		   "a patient one does not hear that it is cancelled");
	tap_ok(shown.waiting_for == NR_WAIT_READERS && shown.waiting_on_session == 0 &&
		   shown.waiting_group == G, "meanwhile all see on whom it waits");
	tap_ok(nr_load64_rlx(&rep->writer_waits) == 3 && nr_load64_rlx(&rep->writer_sleeps) == 7,
		   "waits and sleeps are counted");
	nr_rw_writer_leave(&b.s[2], G, 0);
	seats_close(&b);
}

/* ---- starved readers ---- */

/* The starved reader, session 1, gets in at the first sleep, and out at the third. */
static bool
starved_gets_in(NrSession *session, NrWaitReason why, long timeout_us, bool cancellable)
{
	(void) session;
	(void) why;
	(void) timeout_us;
	(void) cancellable;
	if (script.waits == 1 && reader_try(1))
		nr_sub32_seq(&rep->starved, 1);
	if (script.waits == 3)
		nr_rw_reader_leave(b.h[1].reader);
	return true;
}

static uint32_t
waits_of_enter(NrPatience patience)
{
	uint32_t	before = script.waits;

	if (!nr_rw_writer_enter(&b.s[2], G, 0, patience))
		return UINT32_MAX;
	nr_rw_writer_leave(&b.s[2], G, 0);
	return script.waits - before;
}

static void
test_starved(void)
{
	open_seats(1, 4);
	script_begin(b.th, starved_gets_in);
	nr_add32_seq(&rep->starved, 1);
	tap_ok(waits_of_enter(NR_PATIENT) == 3, "a starved reader is let in first, then waited for");

	script_begin(b.th, NULL);
	nr_add32_seq(&rep->starved, 1);
	tap_ok(waits_of_enter(NR_IMPATIENT) == 0, "an impatient writer does not wait for it");
	tap_ok(waits_of_enter(NR_PATIENT) == NR_RW_STARVED_WAITS,
		   "one that does not come is waited for %u times", NR_RW_STARVED_WAITS);
	tap_ok(waits_of_enter(NR_PATIENT) == 0, "and then no more");
	nr_add32_seq(&rep->starved, 1);
	tap_ok(waits_of_enter(NR_PATIENT) == NR_RW_STARVED_WAITS, "a second one is");
	tap_ok(waits_of_enter(NR_PATIENT) == 0, "as often");
	nr_sub32_seq(&rep->starved, 1);
	tap_ok(waits_of_enter(NR_PATIENT) == 0, "one of them came: nothing to wait for");
	nr_add32_seq(&rep->starved, 1);
	tap_ok(waits_of_enter(NR_PATIENT) == NR_RW_STARVED_WAITS, "the next starved one is waited for");
	nr_sub32_seq(&rep->starved, 2);
	tap_ok(waits_of_enter(NR_PATIENT) == 0, "none is left");
	nr_add32_seq(&rep->starved, 1);
	tap_ok(waits_of_enter(NR_PATIENT) == NR_RW_STARVED_WAITS,
		   "and who starves after that is waited for again");
	nr_sub32_seq(&rep->starved, 1);
	seats_close(&b);
}

/* ---- threads ---- */

typedef struct Player
{
	uint32_t	i;
	uint32_t	torn;
	uint32_t	rounds;
} Player;

static uint64_t pair[2];		/* plain: only the lock keeps them equal */

static void *
read_pair(void *arg)
{
	Player	   *p = arg;

	while (p->rounds < 3000)
	{
		if (!reader_try(p->i))
		{
			th_sleep_us(1);
			continue;
		}
		p->torn += pair[0] != pair[1];
		p->rounds++;
		nr_rw_reader_leave(b.h[p->i].reader);
	}
	return NULL;
}

static void
test_threads(void)
{
	Player		player[3];
	pthread_t	thread[3];
	uint32_t	torn = 0;

	open_seats(1, 4);
	for (uint32_t i = 0; i < 3; i++)
	{
		player[i] = (Player) {i, 0, 0};
		thread[i] = th_start(read_pair, &player[i]);
	}
	for (uint32_t i = 0; i < 1000; i++)
	{
		if (!nr_rw_writer_enter(&b.s[3], G, 0, NR_PATIENT))
			torn++;
		pair[0]++;
		if (i % 64 == 0)
			th_sleep_us(10);
		pair[1]++;
		nr_rw_writer_leave(&b.s[3], G, 0);
	}
	for (uint32_t i = 0; i < 3; i++)
	{
		th_join(thread[i]);
		torn += player[i].torn;
	}
	tap_ok(torn == 0 && pair[0] == 1000, "three readers never see half of what a writer does");
	seats_close(&b);
}

int
main(void)
{
	th_watchdog(60);
	test_exclusion();
	test_roll_call();
	test_not_in_the_way();
	test_patience();
	test_starved();
	test_threads();
	return tap_done();
}
