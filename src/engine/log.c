/*
 * log.c
 *		The operation log; contract in log.h.
 */
#include "engine/crossing.h"
#include "engine/log.h"
#include "engine/worker.h"

#define slot_tag(word)			((uint32_t) ((word) >> 32))
#define slot_replica(word)		((uint32_t) ((word) >> 24) & 0x7f)
#define slot_is_record(word)	(((word) >> 31) & 1)
#define slot_line(word)			((uint32_t) (word) & (NR_RING_LINES_MAX - 1))

#define RECLAIM_BATCHES		4

static inline NrAtomic64 *
log_slot(NrEngine *e, const struct NrGroup *group, uint64_t seq)
{
	return (NrAtomic64 *) nr_physical(e, group->log_replica, group->log_first) + (seq & (group->log_slots - 1));
}

/* Each replica has its own, behind the place for the slots, which one of them uses. */
static inline uint32_t *
log_extent_list(NrEngine *e, const struct NrGroup *group, uint32_t r)
{
	return (uint32_t *) ((NrAtomic64 *) nr_physical(e, r, group->log_first) + group->log_slots);
}

static inline uint32_t
lap_tag(const struct NrGroup *group, uint64_t seq)
{
	return (uint32_t) (seq >> __builtin_ctz(group->log_slots)) + 1;	/* a power of two */
}

/* Where a position lies in a ring of so many extents.  A division of 64 bits takes longer than all else here. */
static inline uint64_t
ring_offset(const NrEngine *e, const struct NrGroup *group, uint64_t pos)
{
	uint32_t	shift = e->geo.extent_shift;
	uint64_t	extent = pos >> shift;
	uint32_t	n = group->log_extents;

	if ((n & (n - 1)) == 0)
		extent &= n - 1;
	else
		extent = extent <= UINT32_MAX ? (uint32_t) extent % n : extent % n;
	return extent << shift | (pos & (((uint64_t) 1 << shift) - 1));
}

size_t
nr_log_head_bytes(uint32_t slots, uint32_t extents)
{
	return NR_LINE_UP(slots * sizeof(NrAtomic64) + extents * sizeof(uint32_t));
}

void
nr_log_init(NrEngine *e, struct NrGroup *group, const uint32_t *extents)
{
	NR_FAR_REGION(e, group->log_replica);
	for (uint32_t i = 0; i < group->log_slots; i++)
		nr_store64_rlx(log_slot(e, group, i), 0);
	NR_FAR_END(e);
	for (uint32_t r = 0; r < group->replicas; r++)
	{
		NR_FAR_REGION(e, r);
		memcpy(log_extent_list(e, group, r), extents, sizeof(uint32_t) * group->log_extents);
		NR_FAR_END(e);
	}
	nr_store64_rlx(&group->tail, 0);
	nr_store64_rlx(&group->claimed, 0);
	nr_store64_rlx(&group->completed, 0);
	nr_store64_rlx(&group->head, 0);
}

uint64_t
nr_log_head(NrSession *s, uint32_t g)
{
	NrEngine   *e = s->engine;
	struct NrGroup *group = nr_group(e, g);
	uint64_t	old = nr_load64_acq(&group->head);	/* edge L2 */
	uint64_t	min = UINT64_MAX;

	s->crossed.positions++;
	for (uint32_t r = 0; r < group->replicas; r++)
	{
		struct NrReplica *rep = nr_replica(e, g, r);

		NR_FAR(e, NR_FAR_POSITION, rep, NR_CACHE_LINE, false);
		for (uint32_t c = 0; c < group->copies; c++)
		{
			uint64_t	applied = nr_load64_seq(&rep->applied[c]);	/* edge L2, edge Z1 */

			if (applied < min)
				min = applied;
		}
		NR_FAR_END(e);
	}
	/* Another may have seen a later minimum: head never goes back (fault W8). */
	while (old < min)
	{
		s->crossed.shared_updates++;
		if (nr_cas64_seq(&group->head, &old, min))	/* edge L2 */
			return min;
	}
	return old;
}

bool
nr_log_claim(NrSession *s, uint32_t g)
{
	struct NrGroup *group = nr_group(s->engine, g);
	uint64_t	claimed = nr_load64_acq(&group->claimed);	/* edge L2 */

	for (;;)
	{
		if (claimed - nr_load64_acq(&group->head) >= group->log_slots &&	/* edge L2 */
			claimed - nr_log_head(s, g) >= group->log_slots)
		{
			/* loaded after head, so not from before the claims that head rests on */
			uint64_t	again = nr_load64_acq(&group->claimed); /* edge L2 */

			if (again == claimed)
				return false;
			claimed = again;
			continue;
		}
		s->crossed.shared_updates++;
		if (nr_cas64_seq(&group->claimed, &claimed, claimed + 1))	/* edge L2: after the room was seen */
			return true;
	}
}

void
nr_log_unclaim(NrSession *s, uint32_t g)
{
	s->crossed.shared_updates++;
	nr_sub64_seq(&nr_group(s->engine, g)->claimed, 1);	/* edge L2: gives room back, publishes nothing */
}

/* Append what lies at "place", the lower half of a slot's word. */
static uint64_t
append(NrSession *s, uint32_t g, uint64_t place)
{
	NrEngine   *e = s->engine;
	struct NrGroup *group = nr_group(e, g);
	uint64_t	seq = nr_load64_acq(&group->tail);	/* edge L1 */

	for (;;)
	{
		NrAtomic64 *slot = log_slot(e, group, seq);
		uint64_t	word;
		uint32_t	tag = lap_tag(group, seq);
		uint64_t	next = seq;
		bool		mine = false;

		s->crossed.slots++;
		NR_FAR(e, NR_FAR_SLOT, slot, sizeof(*slot), true);
		word = nr_load64_acq(slot); /* edge L1 */

		/*
		 * Our claim says that slot "tail" is free: tail < claimed <= head +
		 * log_slots.  If its tag is this lap's already, another has filled it.
		 */
		if (slot_tag(word) == tag - 1)
			mine = nr_cas64_seq(slot, &word, (uint64_t) tag << 32 | place); /* edge L1 */
		NR_FAR_END(e);

		/* Whoever filled it, the tail may need a push past it. */
		if (mine || slot_tag(word) == tag)
		{
			s->crossed.shared_updates++;
			nr_cas64_seq(&group->tail, &next, seq + 1); /* edge L1 */
		}
		if (mine)
			break;
		seq = nr_load64_acq(&group->tail);	/* edge L1 */
	}
	if (group->replicas > 1)
		nr_workers_notice(e, seq, group->log_slots);
	return seq;
}

uint64_t
nr_log_append(NrSession *s, uint32_t g, uint32_t r, uint64_t pos)
{
	return append(s, g, (uint64_t) r << 24 | ring_offset(s->engine, nr_group(s->engine, g), pos) / NR_CACHE_LINE);
}

uint64_t
nr_log_append_record(NrSession *s, uint32_t g, uint32_t r, uint32_t extent, uint32_t chunk)
{
	return append(s, g, (uint64_t) 1 << 31 | (uint64_t) r << 24 |
				  (uint64_t) extent * NR_RECORD_CHUNKS | chunk);
}

uint64_t
nr_log_tail(NrSession *s, uint32_t g)
{
	NrEngine   *e = s->engine;
	struct NrGroup *group = nr_group(e, g);
	uint64_t	tail = nr_load64_acq(&group->tail); /* edge L1 */

	/*
	 * A combiner that stopped between its two CAS has appended: it must be
	 * replayed, or the log would end here for everybody.
	 */
	for (;;)
	{
		NrAtomic64 *slot = log_slot(e, group, tail);
		uint64_t	word;
		uint64_t	again;

		s->crossed.slots++;
		NR_FAR(e, NR_FAR_SLOT, slot, sizeof(*slot), false);
		word = nr_load64_acq(slot); /* edge L1 */
		NR_FAR_END(e);
		if (slot_tag(word) == lap_tag(group, tail))
		{
			s->crossed.shared_updates++;
			if (nr_cas64_seq(&group->tail, &tail, tail + 1))	/* edge L1 */
				tail++;
			continue;
		}
		again = nr_load64_acq(&group->tail);	/* edge L1 */
		if (again == tail)
			return tail;
		tail = again;
	}
}

NrBatch *
nr_log_batch(NrSession *s, uint32_t g, uint32_t home, uint64_t seq)
{
	NrEngine   *e = s->engine;
	struct NrGroup *group = nr_group(e, g);
	NrAtomic64 *slot = log_slot(e, group, seq);
	uint64_t	word;
	uint64_t	pos;
	uint32_t	extent;

	s->crossed.slots++;
	NR_FAR(e, NR_FAR_SLOT, slot, sizeof(*slot), false);
	word = nr_load64_acq(slot); /* edge L1 */
	NR_FAR_END(e);
	pos = (uint64_t) slot_line(word) * NR_CACHE_LINE;
	if (slot_is_record(word))
		return nr_record_ptr(e, slot_replica(word), slot_line(word) / NR_RECORD_CHUNKS,
							 slot_line(word) % NR_RECORD_CHUNKS);
	extent = log_extent_list(e, group, home)[pos >> e->geo.extent_shift];

	return (NrBatch *) (nr_physical(e, slot_replica(word), extent) +
						(pos & (((uint64_t) 1 << e->geo.extent_shift) - 1)));
}

void
nr_log_skip(NrSession *s, uint32_t g, uint64_t seq)
{
	NrEngine   *e = s->engine;
	struct NrGroup *group = nr_group(e, g);
	NrAtomic64 *slot = log_slot(e, group, seq);

	/* relaxed: where the batch would lie is looked at by nobody; of such a group all this is written under one lock */
	s->crossed.slots++;
	NR_FAR(e, NR_FAR_SLOT, slot, sizeof(*slot), true);
	nr_store64_rlx(slot, (uint64_t) lap_tag(group, seq) << 32);
	NR_FAR_END(e);
	s->crossed.shared_updates++;
	nr_store64_rlx(&group->claimed, seq + 1);
	nr_store64_rlx(&group->tail, seq + 1);
	nr_store64_rlx(&group->head, seq);
}

void
nr_advance_completed(NrSession *s, struct NrGroup *group, uint64_t seq)
{
	uint64_t	old = nr_load64_acq(&group->completed); /* edge C1 */

	/* readers of the only replica look at its position; so this is a statistic, and written under one lock only */
	if (!nr_group_looks(group))
	{
		nr_store64_rlx(&group->completed, old < seq ? seq : old);
		return;
	}
	while (old < seq)
	{
		s->crossed.shared_updates++;
		if (nr_cas64_seq(&group->completed, &old, seq)) /* edge C1 */
			break;
	}
}

/* ---- the ring of one replica, under its combiner lock ---- */

typedef struct Ring
{
	NrEngine   *e;
	struct NrGroup *group;
	struct NrReplica *rep;
	uint32_t	r;
	uint64_t	extent_bytes;
	uint64_t	bytes;
} Ring;

/* Relaxed: only the combiner lock's holder moves them; others look for statistics. */
static inline uint64_t
ring_head(const Ring *ring)
{
	return nr_load64_rlx(&ring->rep->ring_head);
}

static inline uint64_t
ring_tail(const Ring *ring)
{
	return nr_load64_rlx(&ring->rep->ring_tail);
}

static Ring
ring_of(NrEngine *e, uint32_t g, uint32_t r)
{
	Ring		ring = {.e = e,.group = nr_group(e, g),.rep = nr_replica(e, g, r),.r = r};

	ring.extent_bytes = (uint64_t) 1 << e->geo.extent_shift;
	ring.bytes = ring.extent_bytes * ring.group->log_extents;
	return ring;
}

/* Skip what comes before the ring in its first extent. */
static uint64_t
ring_normal(const Ring *ring, uint64_t pos)
{
	uint64_t	at = ring_offset(ring->e, ring->group, pos);

	return at < ring->group->log_head_bytes ? pos - at + ring->group->log_head_bytes : pos;
}

static NrBatch *
ring_ptr(const Ring *ring, uint64_t pos)
{
	uint64_t	at = ring_offset(ring->e, ring->group, pos);
	uint32_t	extent = log_extent_list(ring->e, ring->group, ring->r)[at >> ring->e->geo.extent_shift];

	return (NrBatch *) (nr_physical(ring->e, ring->r, extent) + (at & (ring->extent_bytes - 1)));
}

static uint64_t
ring_next_extent(const Ring *ring, uint64_t pos)
{
	return (pos & ~(ring->extent_bytes - 1)) + ring->extent_bytes;
}

/* Let go of a few own batches that every replica has applied: each costs a look.  False: of none. */
static bool
ring_reclaim(const Ring *ring, uint64_t head)
{
	struct NrReplica *rep = ring->rep;
	uint64_t	before = ring_head(ring);

	/* one look at a number instead of at a batch that has left our caches */
	if (head < rep->ring_look_at)
		return false;
	for (int i = 0; i < RECLAIM_BATCHES && ring_head(ring) != ring_tail(ring); i++)
	{
		uint64_t	pos = ring_normal(ring, ring_head(ring));
		NrBatch    *batch = ring_ptr(ring, pos);

		if (batch->bytes == NR_BATCH_PAD)
			nr_store64_rlx(&rep->ring_head, ring_next_extent(ring, pos));
		else if (nr_load64_rlx(&batch->seq) < head) /* written by this combiner or one before: K1 */
			nr_store64_rlx(&rep->ring_head, pos + batch->bytes);
		else
		{
			if (nr_load64_rlx(&batch->seq) != UINT64_MAX)
				rep->ring_look_at = nr_load64_rlx(&batch->seq) + 1;
			break;
		}
	}
	return ring_head(ring) != before;
}

static NrBatch *
ring_try(const Ring *ring, size_t bytes, uint64_t *pos)
{
	uint64_t	at = ring_normal(ring, ring_tail(ring));

	if ((at & (ring->extent_bytes - 1)) + bytes > ring->extent_bytes)
		at = ring_normal(ring, ring_next_extent(ring, at));
	if (at + bytes - ring_head(ring) > ring->bytes)
		return NULL;
	*pos = at;
	return ring_ptr(ring, at);
}

NrBatch *
nr_ring_reserve(NrSession *s, uint32_t g, uint32_t r, size_t bytes, uint64_t *pos)
{
	Ring		ring = ring_of(s->engine, g, r);
	uint64_t	head;
	NrBatch    *batch;

	bytes = NR_LINE_UP(bytes);
	head = nr_load64_acq(&ring.group->head);	/* edge L2 */
	(void) ring_reclaim(&ring, head);
	while ((batch = ring_try(&ring, bytes, pos)) == NULL && ring_reclaim(&ring, head))
		;
	if (batch == NULL)
	{
		head = nr_log_head(s, g);
		while (ring_reclaim(&ring, head) && (batch = ring_try(&ring, bytes, pos)) == NULL)
			;
	}
	if (batch == NULL && ring_head(&ring) == ring_tail(&ring))
	{
		/* Empty: begin with a whole extent, lest a large batch never fit. */
		uint64_t	at = ring_next_extent(&ring, ring_normal(&ring, ring_tail(&ring)));

		nr_store64_rlx(&ring.rep->ring_head, at);
		nr_store64_rlx(&ring.rep->ring_tail, at);
		batch = ring_try(&ring, bytes, pos);
	}
	return batch;
}

void
nr_ring_commit(NrEngine *e, uint32_t g, uint32_t r, uint64_t pos, size_t bytes)
{
	Ring		ring = ring_of(e, g, r);
	uint64_t	tail = ring_tail(&ring);

	/* If the end of an extent was skipped, a pad tells the reclaimer so. */
	if (tail >> e->geo.extent_shift != pos >> e->geo.extent_shift)
	{
		uint64_t	from = ring_normal(&ring, tail);

		if (from != pos)
			ring_ptr(&ring, from)->bytes = NR_BATCH_PAD;
	}
	nr_store64_rlx(&ring.rep->ring_tail, pos + NR_LINE_UP(bytes));
}

size_t
nr_ring_batch_max(NrEngine *e, const struct NrGroup *group)
{
	return ((size_t) 1 << e->geo.extent_shift) - group->log_head_bytes;
}
