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
 * What two copies share has an account of its own, with the same rules; the quota is one:
 * physical extents of one replica, whoever has them.
 *
 * Nothing here waits.
 */
#ifndef NR_GRANT_H
#define NR_GRANT_H

#include "engine/layout.h"

/* Physical numbers behind a batch that is granted so much. */
static inline uint64_t
nr_grant_numbers(const struct NrGroup *group, uint64_t grants, uint64_t shared)
{
	return grants * group->copies + shared;
}

/*
 * For a combiner, with its lock: as much as is to be had.  A batch that gets less
 * than it needs answers "no space" where it must, the same in every copy.  Fills in the
 * batch's grants, releases, claims; "numbers_max": room for so many physical numbers behind it.
 */
extern void nr_grant_best(NrSession *s, const NrDispatch *dispatch, uint32_t g, NrBatch *batch,
						  NrNeed need, uint32_t numbers_max);

/*
 * With the combiner lock of a group that needs no log (nr_log_alone) and has applied all: is "need" free?  Then
 * nothing has to be claimed: what is used until that lock is given back comes off the account afterwards (replay.c).
 */
static inline bool
nr_grant_spare(const struct NrGroup *group, NrNeed need)
{
	return (int64_t) nr_load64_rlx(&group->headroom) >= (int64_t) need.extents;
}

/* All of "need" or nothing: false, and nothing has changed. */
extern bool nr_grant_all(NrSession *s, uint32_t g, NrBatch *batch, NrNeed need,
						 uint32_t numbers_max);

/* Take back what nr_grant_all did: the batch will not be appended. */
extern void nr_grant_undo(NrSession *s, uint32_t g, NrBatch *batch);

/* A batch with its grants, of a group that shares, takes along all that is free of either kind, besides. */
extern void nr_grant_release_free(struct NrGroup *group, NrBatch *batch);

/* Has the group more free extents than it should keep? */
extern bool nr_grant_surplus(const struct NrGroup *group);

/* No batch can be granted that much, whatever is free. */
extern bool nr_grant_impossible(const struct NrGroup *group, NrNeed need);

#endif							/* NR_GRANT_H */
