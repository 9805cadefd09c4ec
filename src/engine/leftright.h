/*
 * leftright.h
 *		Two copies in a replica.  Private to the engine.
 *
 * Ramalhete & Correia, "Left-Right: a concurrency control technique with
 * wait-free population oblivious reads" (2015); the Rust crate left_right.
 * Readers enter the current copy.  A writer, one at a time, applies the log to
 * the other one and flips; before it changes the copy that was current, it waits
 * for the readers that were inside at the flip, and for no others: an entry has
 * a number, so one that left and came back is told from one that stayed.
 *
 * Readers: nr_lr_enter / nr_rw_reader_leave: a bounded number of steps,
 * whatever anybody else does.
 * Writer: nr_lr_drain, apply, nr_lr_flip, under the combiner lock.  Draining
 * costs by who was inside at the flip.  It may be given up at any time: nothing
 * has changed then.
 * A reader that stops inside stops the next drain, and nobody else.
 */
#ifndef NR_LEFTRIGHT_H
#define NR_LEFTRIGHT_H

#include "engine/rwlock.h"

/* Enter; returns the copy to read. */
static inline uint32_t
nr_lr_enter(NrHandle *h, uint64_t word)
{
	nr_reader_arrive(h, word);	/* edge F1 */
	return nr_load32_seq(&h->replica->current);	/* edge F1, edge F2 */
}

/* Wait until nobody is in the copy that is not current.  False: patience ended. */
extern bool nr_lr_drain(NrSession *s, uint32_t g, uint32_t r, NrPatience patience);

/* Send readers to the other copy, and note who is inside. */
extern void nr_lr_flip(NrSession *s, uint32_t g, uint32_t r);

/* Make an idle copy, to which the same extents were granted, what another one is. */
extern void nr_lr_sync(const NrDispatch *dispatch, NrCopy *to, const NrCopy *from);

#endif							/* NR_LEFTRIGHT_H */
