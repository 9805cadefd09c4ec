/*
 * copy_watch.h
 *		For a CopyPair of ds_hash: what the newer copy has dropped must keep its bytes until everybody has passed
 *		that batch, since the older copy still answers from it.
 */
#ifndef COPY_WATCH_H
#define COPY_WATCH_H

#include "copy_harness.h"
#include "ds/hash_line.h"

#define WATCH_REFS_MAX		1024	/* long entries of one copy */
#define WATCH_BLOCKS_MAX	1024	/* what is dropped beyond that is not watched */

typedef struct WatchedBlock
{
	const DsHashLong *block;
	size_t		bytes;
	uint64_t	sum;
	uint64_t	seq;			/* of the batch that dropped it */
} WatchedBlock;

typedef struct CopyWatch
{
	WatchedBlock block[WATCH_BLOCKS_MAX];	/* the oldest first */
	uint32_t	n;
	NrRef		before[WATCH_REFS_MAX];	/* what the copy referred to when the batch began */
	uint32_t	before_n;
} CopyWatch;

/* Around the first pass of a batch, whose place in the log is "seq". */
extern void watch_begin(CopyWatch *w, const NrCopy *copy);
extern void watch_end(CopyWatch *w, const NrCopy *copy, uint64_t seq);

/*
 * Has everything its bytes?  Before that forget what batches before "floor" have dropped, which may be
 * anything by now.
 */
extern bool watch_holds(CopyWatch *w, uint64_t floor);

/* How many of the long entries of the older copy the newer one does not have. */
extern uint32_t watch_dropped(const NrCopy *older, const NrCopy *newer);

#endif							/* COPY_WATCH_H */
