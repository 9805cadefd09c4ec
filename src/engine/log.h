/*
 * log.h
 *		The operation log of a group.  Private to the engine.
 *
 * The log of Calciu et al. 2017, section 5.1, with one change.  There, a
 * combiner reserves entries by moving the tail and then fills them: between the
 * two, everybody who replays waits at the hole, so a combiner that stops there
 * stops all.  Here the batch is written first, into a ring of bytes that belongs
 * to the producing replica, and becomes part of the log by one CAS on a slot of
 * a shared array.  There is no hole, ever: a combiner that stops has either
 * appended its batch or not.
 *
 * SEQUENCE NUMBERS never repeat: batch n lies in slot n mod log_slots, tagged
 * with its lap.  Empty, full and wrapped are told apart by counting (fault W4):
 *
 *		head <= position of each replica <= tail <= claimed <= head + log_slots
 *
 * A combiner first claims room (a count, not a place: no one waits for it), then
 * takes requests; so a request is never taken that could not be appended.
 *
 * A slot's word: lap tag (32 bits) | 0 | replica (7) | place in that replica's ring
 * in units of a line (24).  A word repeats after 2^32 laps.
 *
 * A prepared write (prepare.h) does not lie in the ring, which only a combiner may
 * write and which would be held up by one that takes long to be appended.  Its batch
 * is a record in an extent: lap tag | 1 | replica | extent (20) | chunk (4).
 *
 * RING.  log_extents extents of the producer's node; a batch does not cross from
 * one into the next.  Only the combiner of that replica moves its two ends.  A
 * batch is reused once head has passed it.
 *
 * Nothing in this file blocks.
 */
#ifndef NR_LOG_H
#define NR_LOG_H

#include "engine/layout.h"

/* Largest ring, in lines, that a slot's word can address. */
#define NR_RING_LINES_MAX	(1u << 24)

/* An extent that holds records is divided into so many chunks; a record takes whole ones. */
#define NR_RECORD_CHUNKS	16

static inline NrBatch *
nr_record_ptr(const NrEngine *e, uint32_t r, uint32_t extent, uint32_t chunk)
{
	return (NrBatch *) (nr_physical(e, r, extent) +
						((size_t) chunk << e->geo.extent_shift) / NR_RECORD_CHUNKS);
}

/* Format the log of a new group: slots in the log's first extent of one replica, the list of extents in that of each. */
extern void nr_log_init(NrEngine *e, struct NrGroup *group, const uint32_t *extents);

/* Bytes before the ring in the first extent. */
extern size_t nr_log_head_bytes(uint32_t slots, uint32_t extents);

/* Claim room for one batch; false: the log is full.  Unclaim gives it back. */
extern bool nr_log_claim(NrSession *s, uint32_t g);
extern void nr_log_unclaim(NrSession *s, uint32_t g);

/* Append a batch at ring position pos; consumes one claim; returns its sequence number. */
extern uint64_t nr_log_append(NrSession *s, uint32_t g, uint32_t r, uint64_t pos);

/* The same for a record of replica r's node. */
extern uint64_t nr_log_append_record(NrSession *s, uint32_t g, uint32_t r, uint32_t extent, uint32_t chunk);

/* Batches appended, so far. */
extern uint64_t nr_log_tail(NrSession *s, uint32_t g);

/* Batch seq < tail that this replica has not applied yet; "home": nr_home. */
extern NrBatch *nr_log_batch(NrSession *s, uint32_t g, uint32_t home, uint64_t seq);

/*
 * Is the log for nobody but who has the combiner lock?  So it is with one replica of one copy, unless prepared writes
 * are appended without that lock.
 */
static inline bool
nr_log_alone(const struct NrGroup *group)
{
	return group->replicas == 1 && group->copies == 1 && !group->config.lazy;
}

/* In such a group, with that lock and all applied: count what is applied without the log as batch seq. */
extern void nr_log_skip(NrSession *s, uint32_t g, uint64_t seq);

/* Reads that begin from now on see everything before this position. */
extern void nr_advance_completed(NrSession *s, struct NrGroup *group, uint64_t seq);

/* Recompute and return the lower bound of all positions; it only grows. */
extern uint64_t nr_log_head(NrSession *s, uint32_t g);

/*
 * Contiguous room for a batch of "bytes" in replica r's ring, under its
 * combiner lock: its address and position, or NULL when there is no room now.
 * Nothing is taken until nr_ring_commit(pos, bytes).
 */
extern NrBatch *nr_ring_reserve(NrSession *s, uint32_t g, uint32_t r, size_t bytes, uint64_t *pos);
extern void nr_ring_commit(NrEngine *e, uint32_t g, uint32_t r, uint64_t pos, size_t bytes);

/* Largest batch that a ring of this geometry can ever hold. */
extern size_t nr_ring_batch_max(NrEngine *e, const struct NrGroup *group);

#endif							/* NR_LOG_H */
