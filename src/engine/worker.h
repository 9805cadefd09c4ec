/*
 * worker.h
 *		Workers, as who appends sees them.  Private to the engine; the public part is in engine.h.
 */
#ifndef NR_WORKER_H
#define NR_WORKER_H

#include "engine/layout.h"

/* Batch seq is in a log of so many slots, of a group with several replicas: wake a worker that waits for that. */
extern void nr_workers_notice(NrEngine *e, uint64_t seq, uint32_t slots);

#endif							/* NR_WORKER_H */
