/*
 * layout.h
 *		What lies in shared memory, and which edges order it.  Private to the engine.
 *
 * CONTROL BLOCK (one):   NrControl | sessions | pool | groups
 * REGION (one a node):   reader lines | request slots | request buffers |
 *                        replica blocks, one for each group | extents
 * All of what a session touches to read or to ask for a write lies in the
 * region of its replica; the control block holds what all nodes share.
 *
 * EDGES.  Each names two sites that must synchronise; both cite it.
 *
 *	 P1  an extent is freed -> the same extent is allocated
 *	 P2  who wants memory of one kind counts it, then looks at the other kind's count -> the same the other way round
 *	 S1  a session is released -> its number is given out again
 *	 G1  a group is made -> somebody attaches
 *	 L1  a slot of the log is filled -> a replica replays that sequence number
 *	 L2  a replica has applied a batch -> its slot and its bytes are reused
 *	 K1  the combiner lock is let go -> it is taken
 *	 R1  a reader marks its line, then looks at the writer flag -> a writer sets the flag, then looks at the lines
 *	 R2  a reader leaves -> a writer begins to change the copy
 *	 R4  a reader finds that it was excused, then takes its bit away -> a writer sets the bit, then looks at the line
 *	 R3  a writer has changed the copy -> a reader begins to read it
 *	 C1  the completed tail advances -> a read that starts afterwards
 *	 A1  a replica's position advances -> a reader trusts it
 *	 Q1  a request is pending -> a combiner takes it
 *	 Q2  a response is written -> its requester reads it
 *	 Q3  a request sets its bit, then looks at the lock -> a combiner frees the lock, then looks at the bits
 *	 F1  a reader marks its line, then looks which copy is current -> a writer flips, then looks at the lines
 *	 F2  a copy has been brought up to date -> a reader enters it after the flip
 *	 F3  a reader leaves the older copy -> a writer changes that copy
 *	 F4  a commit has brought the older copy up to date -> a reader enters it before the flip
 *	 M1  an extent for prepared writes is opened -> others take room in it
 *	 O1  who commits notes a lower bound, then draws an order number -> who appends reads the counter, then looks at the bounds
 *	 O2  a batch with an order number is appended -> its bound is withdrawn, and others' horizons pass it
 *	 W1  a worker says that it rests, then looks at the tails -> who appends looks whether one rests
 *	 Z1  a waiter sets its bit, then looks at what it waits for -> somebody changes that, then looks at the bits
 *
 * P2, R1, F1, Q3, W1 and Z1 are store-then-load on both sides (Dekker): each site uses a
 * sequentially consistent operation, so at least one of the two sees the other.
 */
#ifndef NR_LAYOUT_H
#define NR_LAYOUT_H

#include "engine/engine.h"

#define NR_MAGIC			0x6e725f6361636831ULL	/* "nr_cach1" */
#define NR_ALIGNED			_Alignas(NR_CACHE_LINE)
#define NR_LINE_UP(n)		(((size_t) (n) + NR_CACHE_LINE - 1) & ~(size_t) (NR_CACHE_LINE - 1))

/* ---- control block ---- */

typedef struct NrControl
{
	NR_ALIGNED	uint64_t magic; /* set last by init */
	NrGeometry	geo;
	uint32_t	stride;			/* NrEngine.stride of whoever formatted it, which all must have */
	NR_ALIGNED	NrAtomic64 pool_head;	/* free extents: tag << 32 | number + 1; P1 */
	NrAtomic32	pool_free;		/* how many; a statistic */
	NR_ALIGNED	NrAtomic64 resting; /* a bit for each replica whose worker wants to be woken; W1 */
	NR_ALIGNED	NrAtomic64 napping; /* the same, but not for a single write; W1 */
	NrAtomic32	worker[NR_REPLICAS_MAX];	/* session + 1; 0: it has none; W1 */
} NrControl;

/* A session slot; written by its owner, read by anybody who looks. */
typedef struct NrSessionShared
{
	NR_ALIGNED	NrAtomic32 used;	/* 0 or 1; S1 */
	NrAtomic32	generation;
	NrAtomic32	replica;
	NrAtomic32	owner_pid;
	NrAtomic64	owner_data;
	NrAtomic64	waits;
	NrAtomic32	waiting_for;	/* NrWaitReason */
	NrAtomic32	waiting_group;
	NrAtomic32	waiting_on;		/* session, or NR_SESSION_NONE */
	NrAtomic32	entries;		/* of its last owner: the next one goes on counting; S1 */
	NrAtomic64	moves;			/* from one replica to another */
	NrAtomic32	worker;			/* 0 or 1 */
} NrSessionShared;

_Static_assert(sizeof(NrSessionShared) == NR_CACHE_LINE, "one line a session");

/* An extent's entry in the pool. */
typedef struct NrPoolEntry
{
	NrAtomic32	next;			/* number + 1 of the next free one */
	NrAtomic32	refs;			/* copies that have not let go of it yet */
	NrAtomic32	owner;			/* group + 1; 0 = free */
} NrPoolEntry;

/* A group: one log.  Line by line by who writes it. */
struct NrGroup
{
	/* fixed while the group exists */
	NR_ALIGNED	NrAtomic32 exists;	/* G1 */
	NrAtomic32	generation;
	uint32_t	dispatch_id;
	uint32_t	copies;			/* in each replica: 1 or 2 */
	uint32_t	replicas;		/* 0 .. replicas - 1 have copies */
	uint32_t	root_extent[2]; /* physical, of each copy; the same number on each node */
	uint32_t	shared_root;	/* of what two copies share; NR_NO_EXTENT: nothing */
	uint32_t	log_slots;
	uint32_t	log_extents;
	uint32_t	log_first;		/* physical number of the log's first extent */
	uint32_t	log_replica;	/* in whose region the slots are: each group another, so that no node has all of them */
	uint32_t	log_head_bytes; /* of that extent: slots and list of extents, before the ring */
	NrGroupConfig config;
	NrCopyConfig copy_config;

	/* what readers of several replicas look at: a line of its own */
	NR_ALIGNED	NrAtomic64 completed;	/* batches that a read which begins now must see; C1 */

	/* written by combiners for each batch, and so one line: each line more is one more way between two processors */
	NR_ALIGNED	NrAtomic64 tail;	/* batches appended; may lag by one behind the slots */
	NrAtomic64	claimed;		/* batches appended or promised: at most head + log_slots */
	NrAtomic64	head;			/* lower bound of all positions; only grows */
	NrAtomic64	headroom;		/* signed: free extents at the tail, less what unapplied batches may use */
	NrAtomic64	shared_headroom;	/* the same for what two copies share */
	NrAtomic32	mapped;			/* extents granted to each copy, root included; P2 */
	NrAtomic32	shared_mapped;	/* P2 */
	NrAtomic32	space_waiting;	/* sessions that wait for log space; Z1 */

	NR_ALIGNED	NrAtomic64 order_seq;	/* last order number drawn; O1 */
	NrAtomic64	records;		/* extent in which prepared writes take room (prepare.c); M1 */
	NrAtomic64	log_space_waits;
	NrAtomic64	granted;		/* extents, ever */
	NrAtomic64	released;

	/* what nr_append has collected; the single writer's, others look for statistics */
	NR_ALIGNED	NrAtomic64 pending;	/* operations */
	uint64_t	pending_bytes;
	uint32_t	pending_first;	/* extents, or NR_NO_EXTENT */
	uint32_t	pending_last;
	bool		loading;		/* nothing was published yet: they go straight to the idle copy */
	bool		unsynced;		/* and then that is to be copied to the other one; combiner lock */
};

/* Do the copies of each replica share memory? */
static inline bool
nr_group_shares(const struct NrGroup *group)
{
	return group->shared_root != NR_NO_EXTENT;
}

/* Does the completed tail tell readers what they must see?  Else what has completed is in the only replica. */
static inline bool
nr_group_looks(const struct NrGroup *group)
{
	return group->replicas > 1 || group->config.lazy;
}

/* ---- region ---- */

/* What a reader writes: its own line, nobody else's. */
typedef struct NrReaderLine
{
	NR_ALIGNED	NrAtomic64 inside;	/* number of the entry << 32 | group + 1 while inside; R1, R2, R4, F1, F3 */
} NrReaderLine;

_Static_assert(sizeof(NrReaderLine) == NR_CACHE_LINE, "one line a reader");

/*
 * A request.  "state" is number << 32 | group << 8 | flags; the number makes
 * each request's words unique, so that a combiner that looked at an old one
 * cannot take the next.
 */
#define NR_REQ_FREE			0
#define NR_REQ_PENDING		1	/* may be taken by the combiner or withdrawn by the owner, by CAS */
#define NR_REQ_TAKEN		2	/* the combiner's */
#define NR_REQ_DONE			3	/* the owner's, response included */
#define NR_REQ_PHASE		3
#define NR_REQ_SLEEPING		4	/* the owner sleeps: wake it */
#define nr_req_word(no, g, flags)	((uint64_t) (no) << 32 | (uint64_t) (g) << 8 | (flags))
#define nr_req_no(word)		((uint32_t) ((word) >> 32))
#define nr_req_phase(word)	((word) & NR_REQ_PHASE)
#define nr_req_group(word)	((uint32_t) ((word) >> 8) & 0xffffff)

typedef struct NrRequestSlot
{
	NR_ALIGNED	NrAtomic64 state;	/* Q1, Q2 */

	/* the owner's while free, fixed while pending or taken */
	NrAtomic32	bytes;			/* of all operations */
	NrAtomic32	first_extent;	/* physical; NR_NO_EXTENT: they are in the buffer */
	NrAtomic32	n;

	/* the combiner's while taken, then the owner's */
	NR_ALIGNED	uint64_t seq;
	uint32_t	status;
	uint32_t	done;
	uint32_t	flagged;
	uint32_t	last_flag;
	uint32_t	last_length;
} NrRequestSlot;

/* In "writer", and as a bit of "current": readers are sent away for good. */
#define NR_RETIRED			2

/* A replica of one group: its combiner, its lock, its position. */
struct NrReplica
{
	/* readers look here; combiners write here */
	NR_ALIGNED	NrAtomic32 writer;	/* R1, R3 */
	NrAtomic32	starved;		/* readers that lost too often and must be let in */
	NrAtomic32	current;		/* with two copies: the one that readers enter; F1, F2 */
	NrAtomic64	applied[2];		/* batches in each copy; A1, L2 */
	NrAtomic64	ahead;			/* two copies: batches in the older one, to which readers are about to be sent; F4 */

	NR_ALIGNED	NrAtomic32 combiner;	/* session + 1; 0 = free; K1, Q3 */
	NrAtomic32	blocking_reader;	/* session + 1 */
	NrAtomic64	ring_head;		/* the following are written under the combiner lock */
	NrAtomic64	ring_tail;
	uint64_t	ring_look_at;	/* with a lower head, no batch in the ring can be let go of */
	uint32_t	scan_from;		/* session at which the next collection starts */
	uint32_t	starved_ignored;	/* so many starved readers are not waited for */
	uint32_t	calls;			/* how often readers were looked for */

	/* statistics; the first line under the combiner lock, the second by anybody */
	NR_ALIGNED	NrAtomic64 batches;
	NrAtomic64	requests;
	NrAtomic64	ops;
	NrAtomic64	ops_applied;
	NrAtomic64	helped;
	NrAtomic64	ops_by_worker;	/* of those applied */
	NrAtomic64	ops_by_strangers;
	NrAtomic64	bytes;
	NrAtomic64	writer_waits;
	NrAtomic64	writer_sleeps;
	NrAtomic64	full;			/* times the log had no room; by anybody */
	NrAtomic64	flips;
	NR_ALIGNED	NrAtomic64 hits;
	NrAtomic64	misses;
	NrAtomic64	reader_waits;
	NrAtomic64	reader_sleeps;
	NrAtomic64	response_sleeps;
	NrAtomic64	withdrawn;

	/* crossing.h; by anybody */
	NR_ALIGNED	NrAtomic64 shared_updates;
	NrAtomic64	pool_updates;
	NrAtomic64	far_slots;
	NrAtomic64	far_positions;
	NrAtomic64	far_batches;
	NrAtomic64	far_bytes;
	NrAtomic64	far_visits;

	/*
	 * Five bitmaps over sessions follow, each from a new line: pending, readers,
	 * waiters, who was inside at the last flip, and readers that are excused; then, of those who
	 * were inside, what their lines held at that time.
	 */
	NR_ALIGNED	NrAtomic64 bitmaps[];
};

/* ---- batches in the ring ---- */

#define NR_BATCH_PAD		UINT32_MAX	/* in "bytes": nothing until the end of this extent */

typedef struct NrBatch
{
	uint32_t	bytes;			/* of the ring, a multiple of the line */
	uint32_t	replica;
	uint32_t	requests;
	uint32_t	ops;
	uint32_t	grants;			/* for each, a physical number for each copy follows, */
	uint32_t	releases;		/* free extents that every copy lets go of */
	uint32_t	claim;			/* taken from headroom for this batch */
	uint32_t	shared_grants;	/* then one number for each of these; padded to 8 bytes */
	uint32_t	shared_releases;
	uint32_t	shared_claim;
	uint32_t	extent;			/* physical: of a prepared write, which lies there and not in the ring */
	uint32_t	reserved;
	NrAtomic64	seq;			/* producer only: when the ring may reuse it */
	uint64_t	horizon;		/* no lower order number comes behind it; 0: no order numbers */
	uint64_t	floor;			/* batches before it have been applied to all copies: NrDispatch.reclaim; 0: not looked at */
} NrBatch;

/* Bytes of the grants behind a batch's header. */
static inline size_t
nr_grant_bytes(const struct NrGroup *group, const NrBatch *batch)
{
	return NR_OP_ALIGN(((size_t) batch->grants * group->copies + batch->shared_grants) * sizeof(uint32_t));
}

typedef struct NrBatchRequest
{
	uint32_t	session;		/* NR_SESSION_NONE: nobody waits for an answer */
	uint32_t	n;
	uint32_t	bytes;
	uint32_t	first_extent;	/* physical, on the producer's node; NR_NO_EXTENT: operations follow */
	uint64_t	word;			/* state word of the request */
} NrBatchRequest;

/* Begins an extent that holds part of a large request. */
typedef struct NrPayload
{
	uint32_t	next;			/* physical, or NR_NO_EXTENT */
	uint32_t	bytes;			/* of whole operations after this header */
	uint64_t	reserved;
} NrPayload;

_Static_assert(sizeof(NrBatch) % 8 == 0 && sizeof(NrBatchRequest) % 8 == 0 &&
			   sizeof(NrPayload) % 8 == 0, "operations must stay 8-byte aligned");

/* ---- finding things ---- */

static inline NrControl *
nr_control(const NrEngine *e)
{
	return (NrControl *) e->control;
}

static inline NrSessionShared *
nr_session_shared(const NrEngine *e, uint32_t idx)
{
	return (NrSessionShared *) (e->control + sizeof(NrControl)) + idx;
}

static inline size_t
nr_pool_at(const NrGeometry *geo)
{
	return sizeof(NrControl) + sizeof(NrSessionShared) * (size_t) geo->sessions;
}

static inline NrPoolEntry *
nr_pool_entry(const NrEngine *e, uint32_t extent)
{
	return (NrPoolEntry *) (e->control + nr_pool_at(&e->geo)) + extent;
}

static inline size_t
nr_groups_at(const NrGeometry *geo)
{
	return NR_LINE_UP(nr_pool_at(geo) + sizeof(NrPoolEntry) * (size_t) geo->extents);
}

static inline uint32_t
nr_bitmap_words(const NrGeometry *geo)
{
	return (geo->sessions + 63) / 64;
}

static inline size_t
nr_bitmap_bytes(const NrGeometry *geo)
{
	return NR_LINE_UP(sizeof(NrAtomic64) * (size_t) nr_bitmap_words(geo));
}

/*
 * A group and, behind it, the bitmap of sessions that wait for its log, that of
 * sessions with an order number in flight, and lower bounds of these.
 */
static inline size_t
nr_group_bytes(const NrGeometry *geo)
{
	return sizeof(struct NrGroup) + 2 * nr_bitmap_bytes(geo) +
		NR_LINE_UP(sizeof(NrAtomic64) * (size_t) geo->sessions);
}

static inline struct NrGroup *
nr_group(const NrEngine *e, uint32_t g)
{
	return (struct NrGroup *) (e->groups + e->group_bytes * g);
}

static inline NrAtomic64 *
nr_space_waiters(struct NrGroup *group)
{
	return (NrAtomic64 *) (group + 1);
}

static inline NrAtomic64 *
nr_committers(const NrEngine *e, struct NrGroup *group)
{
	return nr_space_waiters(group) + e->bitmap_bytes / sizeof(NrAtomic64);
}

static inline NrAtomic64 *
nr_order_bounds(const NrEngine *e, struct NrGroup *group)
{
	return nr_space_waiters(group) + 2 * (e->bitmap_bytes / sizeof(NrAtomic64));
}

/* The replica of a group that a session works on. */
static inline uint32_t
nr_home(const NrSession *s, uint32_t g)
{
	return s->replica < nr_group(s->engine, g)->replicas ? s->replica : 0;
}

static inline NrReaderLine *
nr_reader_line(const NrEngine *e, uint32_t r, uint32_t session)
{
	return (NrReaderLine *) e->region[r] + session;
}

static inline size_t
nr_slots_at(const NrGeometry *geo)
{
	return sizeof(NrReaderLine) * (size_t) geo->sessions;
}

static inline NrRequestSlot *
nr_request_slot(const NrEngine *e, uint32_t r, uint32_t session)
{
	return (NrRequestSlot *) (e->region[r] + e->slots_at) + session;
}

static inline size_t
nr_buffers_at(const NrGeometry *geo)
{
	return nr_slots_at(geo) + sizeof(NrRequestSlot) * (size_t) geo->sessions;
}

static inline char *
nr_session_buffer(const NrEngine *e, uint32_t r, uint32_t session)
{
	return e->region[r] + e->buffers_at + (size_t) e->geo.session_buffer_bytes * session;
}

static inline size_t
nr_replicas_at(const NrGeometry *geo)
{
	return nr_buffers_at(geo) + (size_t) geo->session_buffer_bytes * geo->sessions;
}

static inline size_t
nr_replica_bytes(const NrGeometry *geo)
{
	return sizeof(struct NrReplica) + 5 * nr_bitmap_bytes(geo) +
		NR_LINE_UP(sizeof(NrAtomic64) * (size_t) geo->sessions);
}

static inline struct NrReplica *
nr_replica(const NrEngine *e, uint32_t g, uint32_t r)
{
	return (struct NrReplica *) (e->region[r] + e->replicas_at + e->replica_bytes * g);
}

static inline NrAtomic64 *
nr_pending(const NrEngine *e, struct NrReplica *rep)
{
	(void) e;
	return rep->bitmaps;
}

static inline NrAtomic64 *
nr_readers(const NrEngine *e, struct NrReplica *rep)
{
	return rep->bitmaps + e->bitmap_bytes / sizeof(NrAtomic64);
}

static inline NrAtomic64 *
nr_waiters(const NrEngine *e, struct NrReplica *rep)
{
	return rep->bitmaps + 2 * (e->bitmap_bytes / sizeof(NrAtomic64));
}

static inline NrAtomic64 *
nr_flip_readers(const NrEngine *e, struct NrReplica *rep)
{
	return rep->bitmaps + 3 * (e->bitmap_bytes / sizeof(NrAtomic64));
}

static inline NrAtomic64 *
nr_excused(const NrEngine *e, struct NrReplica *rep)
{
	return rep->bitmaps + 4 * (e->bitmap_bytes / sizeof(NrAtomic64));
}

static inline NrAtomic64 *
nr_flip_words(const NrEngine *e, struct NrReplica *rep)
{
	return rep->bitmaps + 5 * (e->bitmap_bytes / sizeof(NrAtomic64));
}

/* How far readers of this replica see; how far the older of its copies is. */
static inline uint64_t
nr_position(const struct NrReplica *rep)
{
	return nr_load64_acq(&rep->applied[nr_load32_acq(&rep->current) & 1]);	/* edge A1, edge F2 */
}

static inline uint64_t
nr_position_oldest(const NrEngine *e, uint32_t g, uint32_t r)
{
	const struct NrReplica *rep = nr_replica(e, g, r);
	uint64_t	a = nr_load64_acq(&rep->applied[0]);	/* edge A1 */
	uint64_t	b = nr_load64_acq(&rep->applied[nr_group(e, g)->copies - 1]);	/* edge A1 */

	return a < b ? a : b;
}

/* A reader line's word. */
#define nr_inside_word(entry, g)	((uint64_t) (entry) << 32 | ((g) + 1))
#define nr_inside_group(word)		((uint32_t) (word))	/* + 1; 0 = outside */
#define NR_EXCUSED					UINT64_C(0xffffffff)	/* outside, and excused by a writer of some group; R4 */
#define nr_is_outside(word)			((word) == 0 || (word) == NR_EXCUSED)

static inline size_t
nr_extents_at(const NrGeometry *geo)
{
	size_t		ext = (size_t) 1 << geo->extent_shift;

	return (nr_replicas_at(geo) + nr_replica_bytes(geo) * geo->groups + ext - 1) & ~(ext - 1);
}

/* Address of a physical extent on node r. */
static inline char *
nr_physical(const NrEngine *e, uint32_t r, uint32_t extent)
{
	return e->extents[r] + ((size_t) extent << e->geo.extent_shift);
}

/*
 * Numbers in the maps of copies.  They count extents from the first one of the replica's own
 * node.  In a group with one replica, extent p is that of node p mod replicas, so that no
 * node has all of it; the number then leads on to that node's region.  So a copy
 * finds its memory in the same way, wherever it is.
 */
static inline uint32_t
nr_map_number(const NrEngine *e, const struct NrGroup *group, uint32_t extent)
{
	return group->replicas == 1 && e->stride != 0 ? extent + extent % e->geo.replicas * e->stride : extent;
}

static inline uint32_t
nr_map_extent(const NrEngine *e, uint32_t number)
{
	return e->stride != 0 ? number % e->stride : number;
}

/* Address of an extent of a copy in replica r. */
static inline char *
nr_copy_physical(const NrEngine *e, const struct NrGroup *group, uint32_t r, uint32_t extent)
{
	return nr_physical(e, r, nr_map_number(e, group, extent));
}

#define NR_BIT(session)		((uint64_t) 1 << ((session) & 63))
#define NR_WORD(session)	((session) >> 6)

#endif							/* NR_LAYOUT_H */
