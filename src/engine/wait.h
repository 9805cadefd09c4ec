/*
 * wait.h
 *		Sleeping and waking.  Private to the engine.
 *
 * A waiter spins for a while, then sets its bit in a bitmap, looks once more at
 * what it waits for, and sleeps in the host.  Whoever changes that thing looks
 * at the bitmap afterwards and wakes (edge Z1).  Wakes may be spurious; all
 * waits are loops.
 */
#ifndef NR_WAIT_H
#define NR_WAIT_H

#include "engine/layout.h"

/*
 * Longest sleep that relies on being woken by one session: that one may be
 * stopped between its change and its wake, and must not hold up the others.
 */
#define NR_POLL_US		20000

/*
 * For who is not woken: short naps while whoever is waited for may be about to be done, or has lost its processor
 * to somebody for a turn; then long ones.
 */
#define NR_NAP_US		100
#define NR_NAP_LONG_US	1000
#define NR_NAPS_SHORT	50

static inline long
nr_nap_us(uint32_t naps)
{
	return naps == 0 ? NR_NAP_US / 2 : naps < NR_NAPS_SHORT ? NR_NAP_US : NR_NAP_LONG_US;
}

/* Sleep once, shown in the session's slot.  False: cancellable and the host says give up. */
extern bool nr_sleep(NrSession *s, NrWaitReason why, uint32_t g, uint32_t on_session,
					 long timeout_us, bool cancellable);

static inline void
nr_bit_set(NrAtomic64 *bitmap, uint32_t session)
{
	nr_or64_seq(&bitmap[NR_WORD(session)], NR_BIT(session));	/* edge Z1, Q3 or R1: see the caller */
}

static inline void
nr_bit_clear(NrAtomic64 *bitmap, uint32_t session)
{
	if (nr_load64_rlx(&bitmap[NR_WORD(session)]) & NR_BIT(session))
		nr_and64_seq(&bitmap[NR_WORD(session)], ~NR_BIT(session));	/* own bit only: orders nothing, edge Z1 */
}

/* Wake everybody in the bitmap; bits are cleared by their owners. */
extern void nr_wake_all(NrEngine *e, NrAtomic64 *bitmap);

#endif							/* NR_WAIT_H */
