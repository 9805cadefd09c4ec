/*
 * pool.h
 *		The pool of extents that all groups share.  Private to the engine.
 *
 * An extent number stands for one block at the same place of every node's
 * region.  A number is free again once every copy has let go of it
 * (nr_pool_unref by each replica), because replicas reach that point of the log
 * at different times.  Lock-free: a stack with a tag against ABA (Treiber 1986).
 * Nothing here blocks; a caller that dies leaves the numbers it holds
 * with their owner group, which nr_pool_free_owner frees with the group.
 */
#ifndef NR_POOL_H
#define NR_POOL_H

#include "engine/layout.h"

extern void nr_pool_init(NrEngine *e);

/*
 * An extent for group g, or NR_NO_EXTENT.  "refs": how often it must be let go of:
 * once by each replica for memory of a copy, by each copy for a payload.
 */
extern uint32_t nr_pool_alloc(NrEngine *e, uint32_t g, uint32_t refs);

/* How many there are: a hint, what others did with the extent is seen by who lets go of the last one. */
extern uint32_t nr_pool_refs(NrEngine *e, uint32_t extent);

/* Let go of one, of several. */
extern void nr_pool_unref(NrEngine *e, uint32_t extent);
extern void nr_pool_unref_many(NrEngine *e, uint32_t extent, uint32_t refs);

/* All references at once: an extent that no replica has heard of. */
extern void nr_pool_free(NrEngine *e, uint32_t extent);

/* Everything that belongs to group g; the caller knows that nobody uses it. */
extern void nr_pool_free_owner(NrEngine *e, uint32_t g);

#endif							/* NR_POOL_H */
