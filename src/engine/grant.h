/*
 * grant.h
 *		Which batch may use how much memory of the copies.  Private to the engine.
 *
 * A group's copies have free extents; "headroom" counts those at the tail of the
 * log, less what batches that are not applied yet may use.  A batch claims its
 * need from it before it is appended, gets from the pool what is missing, and
 * carries these grants; whoever applies it gives back what it did not use
 * (replay.c).  Nothing is ever asked for during replay.
 *
 * Why a claim holds whatever the order of appending: no batch is granted more
 * than it claims, and headroom does not go below 0 for long, so
 *
 *		free extents at the tail + own grants >= own claim
 *
 * for each batch that is promised and not appended yet.
 *
 * Nothing here waits.
 */
#ifndef NR_GRANT_H
#define NR_GRANT_H

#include "engine/layout.h"

/*
 * For a combiner, with its lock: as much as is to be had.  A batch that gets less
 * than it needs answers "no space" where it must, the same in every copy.  Fills in the
 * batch's grants, releases, claim; "grants_max": room for so many behind it.
 */
extern void nr_grant_best(NrSession *s, const NrDispatch *dispatch, uint32_t g, NrBatch *batch,
						  uint32_t need, uint32_t grants_max);

/* All of "need" or nothing: false, and nothing has changed. */
extern bool nr_grant_all(NrEngine *e, uint32_t g, NrBatch *batch, uint32_t need,
						 uint32_t grants_max);

/* Take back what nr_grant_all did: the batch will not be appended. */
extern void nr_grant_undo(NrEngine *e, uint32_t g, NrBatch *batch);

/* Has the group more free extents than it should keep? */
extern bool nr_grant_surplus(const struct NrGroup *group);

#endif							/* NR_GRANT_H */
