/*
 * prepare.h
 *		Prepared writes: what nr_publish shares with nr_prepare.  Private to the engine;
 *		the contract of the public part is in engine.h.
 */
#ifndef NR_PREPARE_H
#define NR_PREPARE_H

#include "engine/space.h"

/* Operations of a prepared write: bytes that are copied, or a chain of extents that is handed over. */
typedef struct NrPrepareOps
{
	const void *ops;			/* NULL: a chain */
	uint32_t	chain;			/* its first extent */
	size_t		bytes;
	uint32_t	n;
	NrNeed		need;			/* extents in the worst case */
} NrPrepareOps;

/* nr_prepare, the operations having been checked; a chain stays the caller's unless NR_OK. */
extern NrStatus nr_prepare_ops(NrHandle *h, const NrPrepareOps *ops, uint32_t flags, bool cancellable,
							   NrPrepared *p);

/*
 * Both copies of all replicas at the tail, readers gone from the idle ones, all
 * combiner locks held.  NR_BUSY with NR_PREPARE_TRY, NR_CANCELLED: nothing is held.
 */
extern NrStatus nr_own_idle_copies(NrHandle *h, uint32_t flags, bool cancellable);
extern void nr_disown_idle_copies(NrHandle *h);

#endif							/* NR_PREPARE_H */
