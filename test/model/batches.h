/*
 * batches.h
 *		Batches that a scenario writes itself, to be appended and replayed without a combiner.
 *
 * Each raises a counter of its own by one.  Their answers go to the slot of session i, where nobody looks.  note[i][0] is
 * the number of the last one, note[i][2] how many there were.
 */
#ifndef BATCHES_H
#define BATCHES_H

#include "stage.h"

#define BATCH_SMALL		256
#define BATCH_LARGE		1984	/* two fill the ring */
#define BATCHES_MAX		4		/* of one session */

/* stage_set, with counters; waits for log space end by wakes only. */
extern void batch_stage(uint32_t replicas, uint32_t sessions, uint32_t slots);

/* Append one, of which there is a claim.  The session is its replica's combiner.  False: the ring is full. */
extern bool batch_append(int i, size_t bytes);

/* Wait for the log and the ring, by polling. */
extern void batch_claim_append(int i);

/* As replica r's combiner. */
extern bool batch_replay(int i, uint32_t r);
extern uint64_t batch_position(uint32_t r);

/* By the director: answers that nobody has asked for. */
extern void batch_forget_answers(void);

/* By the director: so many batches were applied, the same ones by all replicas; writes that raise counter 0 count, too. */
extern void batch_settled(uint64_t batches);

#endif							/* BATCHES_H */
