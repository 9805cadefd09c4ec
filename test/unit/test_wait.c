/*
 * test_wait.c
 *		Sleeping and waking: what is shown meanwhile, who is woken, a wake that
 *		comes first.
 */
#include "engine/wait.h"
#include "seats.h"
#include "tap.h"

static NrSessionInfo shown;
static long shown_timeout;

static bool
look(NrSession *session, NrWaitReason why, long timeout_us, bool cancellable)
{
	(void) why;
	(void) cancellable;
	nr_session_info(session->engine, session->idx, &shown);
	shown_timeout = timeout_us;
	return true;
}

static bool
give_up_always(NrSession *session, NrWaitReason why, long timeout_us, bool cancellable)
{
	(void) session;
	(void) why;
	(void) timeout_us;
	(void) cancellable;
	return false;
}

static void
test_shown(void)
{
	NrGeometry	geo = th_geometry(1);
	Th		   *th = th_new(&geo, 1, 0);
	NrSession	s;
	NrSessionInfo info;

	th_register(th, 0, 0, &s);
	script_begin(th, look);
	tap_ok(nr_sleep(&s, NR_WAIT_LOG_SPACE, 5, 9, 1234, true), "the host says go on");
	tap_ok(shown.waiting_for == NR_WAIT_LOG_SPACE && shown.waiting_group == 5 &&
		   shown.waiting_on_session == 9 && shown_timeout == 1234,
		   "meanwhile all see for what, where, on whom");
	nr_session_info(s.engine, s.idx, &info);
	tap_ok(info.waiting_for == NR_WAIT_NONE && info.waiting_on_session == NR_SESSION_NONE &&
		   info.waits == 1, "afterwards that it slept once");
	script_begin(th, give_up_always);
	tap_ok(!nr_sleep(&s, NR_WAIT_WRITER, 0, NR_SESSION_NONE, -1, true), "the host says give up");
	tap_ok(nr_sleep(&s, NR_WAIT_WRITER, 0, NR_SESSION_NONE, -1, false),
		   "which who is not cancellable does not hear");
	nr_session_info(s.engine, s.idx, &info);
	tap_ok(info.waiting_for == NR_WAIT_NONE && info.waits == 3, "given up is not waiting, too");
	th_free(th);
}

static void
test_bits(void)
{
	static const uint32_t edge[] = {0, 1, 31, 32, 63, 64, 127, 128, 129};
	const size_t n = sizeof(edge) / sizeof(edge[0]);
	NrGeometry	geo = th_geometry(1);
	Th		   *th;
	NrAtomic64	bitmap[3] = {0};
	uint32_t	woken = 0;
	bool		ok = true;

	geo.sessions = 130;
	th = th_new(&geo, 1, 0);
	tap_ok(th_engine(th, 0)->bitmap_words == 3, "130 sessions have three words");
	script_begin(th, NULL);
	nr_wake_all(th_engine(th, 0), bitmap);
	tap_ok(script.wakes == 0, "nobody waits, nobody is woken");
	for (size_t i = 0; i < n; i++)
	{
		nr_bit_set(bitmap, edge[i]);
		nr_bit_set(bitmap, edge[i]);
	}
	nr_wake_all(th_engine(th, 0), bitmap);
	for (size_t i = 0; i < n; i++)
		woken += script.woken[edge[i]] == 1;
	tap_ok(woken == n && script.wakes == n, "whose bit is set is woken once, nobody else");
	nr_wake_all(th_engine(th, 0), bitmap);
	tap_ok(script.wakes == 2 * n, "a wake leaves the bits alone");
	for (size_t i = 0; i < n; i++)
	{
		uint64_t	before[3];

		for (int w = 0; w < 3; w++)
			before[w] = nr_load64_rlx(&bitmap[w]);
		nr_bit_clear(bitmap, edge[i]);
		nr_bit_clear(bitmap, edge[i]);
		for (uint32_t w = 0; w < 3; w++)
			ok &= nr_load64_rlx(&bitmap[w]) ==
				(before[w] & ~(w == edge[i] / 64 ? UINT64_C(1) << edge[i] % 64 : 0));
	}
	tap_ok(ok, "a session clears its own bit only");
	tap_ok(bitmap[0].v == 0 && bitmap[1].v == 0 && bitmap[2].v == 0, "then none is left");
	th_free(th);
}

/* ---- with the real host ---- */

typedef struct Sleeper
{
	NrSession	s;
	bool		go_on;
} Sleeper;

static void *
sleep_long(void *arg)
{
	Sleeper    *sleeper = arg;

	sleeper->go_on = nr_sleep(&sleeper->s, NR_WAIT_CATCH_UP, 0, NR_SESSION_NONE, -1, true);
	return NULL;
}

static void
test_threads(void)
{
	NrGeometry	geo = th_geometry(1);
	Th		   *th = th_new(&geo, 1, 0);
	Sleeper		sleeper[3];
	pthread_t	thread[3];
	NrAtomic64	bitmap[1] = {0};

	for (uint32_t i = 0; i < 3; i++)
		th_register(th, 0, 0, &sleeper[i].s);
	th->host.wake(th_engine(th, 0), 0);
	tap_ok(nr_sleep(&sleeper[0].s, NR_WAIT_WRITER, 0, NR_SESSION_NONE, -1, true),
		   "a wake that came before the sleep counts");
	tap_ok(nr_sleep(&sleeper[0].s, NR_WAIT_WRITER, 0, NR_SESSION_NONE, 1000, true) &&
		   atomic_load(&th->timeouts) == 1, "once: the next sleep ends by its timeout");
	for (uint32_t i = 0; i < 3; i++)
	{
		thread[i] = th_start(sleep_long, &sleeper[i]);
		th_until_waiting(th, i, NR_WAIT_CATCH_UP);
	}
	nr_bit_set(bitmap, 0);
	nr_bit_set(bitmap, 2);
	nr_wake_all(th_engine(th, 0), bitmap);
	th_join(thread[0]);
	th_join(thread[2]);
	tap_ok(th_is_waiting(th, 1) && sleeper[0].go_on && sleeper[2].go_on,
		   "of three that sleep without end two are woken");
	th_cancel(th, 1);
	th_join(thread[1]);
	tap_ok(!sleeper[1].go_on, "the third is cancelled");
	th_free(th);
}

int
main(void)
{
	th_watchdog(60);
	test_shown();
	test_bits();
	test_threads();
	return tap_done();
}
