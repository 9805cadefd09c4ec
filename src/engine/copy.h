/*
 * copy.h
 *		A copy as a process sees it, and its extents.  Private to the engine.
 */
#ifndef NR_COPY_H
#define NR_COPY_H

#include "engine/layout.h"

/* Copy c of this replica as this process sees it. */
extern void nr_copy_view(NrEngine *e, uint32_t g, uint32_t r, uint32_t c, NrCopy *copy);

/* An extent that the pool gave to the group becomes free memory of the copy: nr_map_number. */
extern void nr_copy_grant(NrCopy *copy, uint32_t number);

/*
 * Extents' worth, rounded up, of what the copies of replica r share that was dropped and awaits
 * NrDispatch.reclaim; with the combiner lock.  0: they share nothing.
 */
extern uint32_t nr_shared_deferred(NrEngine *e, uint32_t g, uint32_t r);

/* Is there any?  Otherwise a batch need carry no floor. */
static inline bool
nr_shares_deferred(NrEngine *e, const struct NrGroup *group, uint32_t g, uint32_t r)
{
	return nr_group_shares(group) && nr_shared_deferred(e, g, r) > 0;
}

/* The copy lets go of a free extent.  False: it has none. */
extern bool nr_copy_release(NrEngine *engine, NrCopy *copy);

#endif							/* NR_COPY_H */
