/*
 * alone.h
 *		A request that is applied without the log.  Private to the engine.
 *
 * The log is how replicas and copies hear of what was written.  Where there is one replica of one copy,
 * and nobody appends but combiners, it is written and read by the same process, under the combiner lock: a detour.  So
 * a request of who is alone is applied at once, in an exclusive section of its own, as a batch would be, and is
 * counted as one: positions, statistics and test points are those of a batch that was appended and applied.
 */
#ifndef NR_ALONE_H
#define NR_ALONE_H

#include "engine/combine.h"

/*
 * With the combiner lock of the only replica.  The answer is in the session's slot.  Waits for readers inside the copy.
 * False: the log is for others, too, or holds what is to be applied first, or the request needs it for its size;
 * nothing was done.
 */
extern bool nr_apply_own(NrSession *s, const NrDispatch *dispatch, uint32_t g, const NrOwn *own);

#endif							/* NR_ALONE_H */
