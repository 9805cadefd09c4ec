/*
 * party.h
 *		What each copy of a group must hold, operation by operation: ds_hash as a structure that
 *		compares itself with references.
 *
 * party_dispatch is ds_hash's dispatch table with a reference model for each copy behind it.  A write goes
 * to the copy and to its model, and both must answer alike; the copy is verified after each.
 * The first copy that applies an operation makes it part of the *history*; each other copy must
 * come to the same operations in the same order, with the same answers and the same checksum
 * after each.
 *
 * REQUESTS.  An operation carries a number in stmt_time_us that says which request it belongs to.
 * Of these it is known whether they may appear in the history at all (not when they were withdrawn,
 * dropped, or are yet to be appended), in whole and once; and that one that was acknowledged before
 * another one began comes before it.
 *
 * READS.  Whoever reads must find its copy behind all that was acknowledged, or read by
 * anybody, before it began; between two units (what becomes visible at once); and equal to its model.
 */
#ifndef PARTY_H
#define PARTY_H

#include "engine/engine.h"
#include "hash_model.h"

#define PARTY_OPS_MAX	4		/* operations in a request */

extern const NrDispatch party_dispatch;

/* It looks at a copy and its model at the moment: not a place to let others have their turn. */
extern bool party_looks;

/* An input begins, an input ends; "copies" in each replica. */
extern void party_open(uint32_t extent_shift, uint64_t seed, uint32_t copies);
extern void party_close(void);

/* A model to draw operations from: what the first copy holds. */
extern const HashModel *party_model(void);

/*
 * A request of so many bytes at "ops" begins; returns its number.  "held": it must not be applied before
 * party_release.  "sure": it has been promised its memory.
 */
extern uint32_t party_begin(char *ops, size_t bytes, uint32_t n);
extern void party_hold(uint32_t request, bool sure);
extern void party_release(uint32_t request, uint64_t order_seq);

/* It has been answered, and with this; NULL: nobody is told.  Or: nothing has happened, and never will. */
extern void party_acknowledge(uint32_t request, const NrResult *result);
extern void party_forget(uint32_t request);

/* Requests that become visible together: the second one is part of the first one's unit. */
extern void party_join(uint32_t request, uint32_t with);

/* A read begins: a moment for party_read. */
typedef struct PartyMoment
{
	uint64_t	time;
	uint64_t	read_upto;		/* where the reads before it have been */
} PartyMoment;

extern PartyMoment party_now(void);

/* Of a copy that a reader is in: is it where it must be?  "op": look at its key.  Returns its position. */
extern uint64_t party_read(const NrCopy *copy, PartyMoment began, const NrOpHeader *op);

/* Is the copy where it was? */
extern void party_same(const NrCopy *copy, uint64_t position);

/* A read for NrDispatch.dispatch: party_read, then all of the copy is compared with its model. */
typedef struct PartyRead
{
	PartyMoment began;
	const NrOpHeader *op;		/* look at its key, or NULL */
	bool		all;
} PartyRead;

/* With nothing on its way: all copies are at the end of the history, which has all that was acknowledged. */
extern void party_end(void);

#endif							/* PARTY_H */
