/*
 * nr_host.c
 *		How the engine waits and wakes inside PostgreSQL: latches and interrupts.
 *
 * The engine may hold a combiner lock or be between enter and leave, so nothing
 * here may raise an error or run an interrupt handler.  A cancellable wait
 * returns false as soon as an interrupt is pending; the engine withdraws the
 * request, and the caller, outside of everything, serves the interrupt and
 * tries again.
 */
#include "nr_internal.h"

#include "pgstat.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#define SPINS			200		/* a few microseconds: a short batch */
#define ORPHAN_POLL_MS	10		/* pause after the postmaster died, while we cannot give up */

TimestampTz nr_host_patience_until = 0;

/* By NrWaitReason: as nr_tokens calls it, and as pg_stat_activity does from PostgreSQL 17 on. */
static const struct
{
	const char *name;
	const char *event;
}			waits[] = {
	[NR_WAIT_NONE] = {NULL, NULL},
	[NR_WAIT_RESPONSE] = {"response", "NrCacheResponse"},
	[NR_WAIT_COMBINER] = {"combiner", "NrCacheCombiner"},
	[NR_WAIT_WRITER] = {"writer", "NrCacheWriter"},
	[NR_WAIT_CATCH_UP] = {"catch up", "NrCacheCatchUp"},
	[NR_WAIT_READERS] = {"readers", "NrCacheReaders"},
	[NR_WAIT_LOG_SPACE] = {"log space", "NrCacheLogSpace"},
};

static uint32 wait_events[lengthof(waits)];

const char *
nr_wait_name(NrWaitReason why)
{
	return why < lengthof(waits) ? waits[why].name : NULL;
}

/*
 * In the postmaster, so that every process has them: to register one takes locks
 * and may fail, for which a wait is no place.
 */
void
nr_host_name_waits(void)
{
	for (int why = 0; why < lengthof(waits); why++)
	{
		wait_events[why] = PG_WAIT_EXTENSION;
#if PG_VERSION_NUM >= 170000
		if (waits[why].event != NULL)
			wait_events[why] = WaitEventExtensionNew(waits[why].event);
#endif
	}
}

static inline bool
interrupt_to_serve(void)
{
	return InterruptPending && InterruptHoldoffCount == 0 && CritSectionCount == 0;
}

/* Milliseconds to sleep: rounded up, so that a short timeout does not become a busy loop; -1 = for ever. */
static long
timeout_ms(long timeout_us, bool cancellable)
{
	long		ms = timeout_us < 0 ? -1 : (timeout_us + 999) / 1000;

	if (cancellable && nr_host_patience_until != 0)
	{
		long		left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), nr_host_patience_until);

		if (ms < 0 || left < ms)
			ms = left;
	}
	return ms;
}

/* Shorter than a latch can be waited for.  A wake meanwhile leaves the latch set, and ends the next wait. */
static void
host_nap(NrWaitReason why, long timeout_us)
{
	pgstat_report_wait_start(wait_events[why]);
	pg_usleep(timeout_us);
	pgstat_report_wait_end();
}

static bool
host_wait(NrSession *session, NrWaitReason why, long timeout_us, bool cancellable)
{
	long		ms;
	int			events = WL_LATCH_SET | WL_POSTMASTER_DEATH;
	int			rc;

	if (cancellable && interrupt_to_serve())
		return false;

	if (timeout_us >= 0 && timeout_us < 1000)
	{
		host_nap(why, timeout_us);
		return true;
	}
	ms = timeout_ms(timeout_us, cancellable);
	if (ms >= 0)
		events |= WL_TIMEOUT;
	rc = WaitLatch(MyLatch, events, ms, wait_events[why]);
	ResetLatch(MyLatch);

	if (rc & WL_POSTMASTER_DEATH)
	{
		/* the next CHECK_FOR_INTERRUPTS ends this process */
		ProcDiePending = true;
		InterruptPending = true;
		if (!cancellable || !interrupt_to_serve())
			pg_usleep(ORPHAN_POLL_MS * 1000L);
	}
	if (!cancellable)
		return true;
	if (nr_host_patience_until != 0 && GetCurrentTimestamp() >= nr_host_patience_until)
		return false;
	return !interrupt_to_serve();
}

/*
 * The session's slot may have a new owner by now, or none: then a stranger's
 * latch is set, which everybody who waits for a latch must put up with.
 */
static void
host_wake(struct NrEngine *engine, uint32_t session_idx)
{
	uint32		procno = pg_atomic_read_u32(&nr_latch_owner[session_idx]);

	if (procno < ProcGlobal->allProcCount)
		SetLatch(&GetPGProcByNumber(procno)->procLatch);
}

const NrHost nr_host = {
	.wait = host_wait,
	.wake = host_wake,
	.spins = SPINS,
};
