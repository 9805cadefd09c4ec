/*
 * order.h
 *		Order numbers of batches that are prepared first and appended later.  Private
 *		to the engine.
 *
 * Batches may be appended in another order than the one in which their writers
 * held their row locks.  So each draws a number while it holds them, and the
 * structure lets the higher number win (dispatch.h).  It need remember a number
 * only while a lower one may still be appended; the horizon says so:
 *
 *		a batch whose number is below a horizon was appended, or given up, before
 *		that horizon was computed
 *
 * A session that is about to draw first announces a lower bound of its number, and
 * withdraws it when its batch is appended or given up.  Who computes a horizon
 * reads the counter first and then looks at the bounds: a session whose bound it
 * does not see draws a number above the counter it has read (edge O1).
 *
 * Nothing here waits.
 */
#ifndef NR_ORDER_H
#define NR_ORDER_H

#include "engine/layout.h"

/* Draw a number, 1 or more.  One at a time for each session and group. */
extern uint64_t nr_order_draw(NrSession *s, uint32_t g);

/* Its batch is appended, or given up. */
extern void nr_order_done(NrSession *s, uint32_t g);

/* The horizon; "except" (a session, or NR_SESSION_NONE) is the caller, who is about to append. */
extern uint64_t nr_order_horizon(NrEngine *e, uint32_t g, uint32_t except);

/* Who holds the horizon back: the session with the lowest bound; NR_SESSION_NONE: no number is in flight. */
extern uint32_t nr_order_oldest(NrEngine *e, uint32_t g);

#endif							/* NR_ORDER_H */
