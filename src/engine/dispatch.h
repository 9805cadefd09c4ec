/*
 * dispatch.h
 *		What a sequential data structure must offer to be replicated, and what
 *		it is given to live in.
 *
 * This is node replication's "Dispatch" (Calciu et al., ASPLOS 2017, section
 * 4; the crate's trait of that name) and left-right's "Absorb" (Ramalhete &
 * Correia 2015; the crate's trait), with operations and responses as bytes.
 * A structure includes this header and nothing else of the engine.
 *
 * The structure is sequential: the engine calls a write alone, and reads only
 * while no write runs on the same copy.  How many copies there are, and which
 * lock keeps them apart, is none of its business.
 *
 * DETERMINISM.  The same operations applied to the same starting bytes must
 * give the same bytes: no clock, no address, no process identity, no random
 * number may reach a copy.  A seed comes in through "init".
 *
 * MEMORY.  A copy lives in extents: power-of-two blocks of one node's region,
 * named by a logical number that is the same in every copy.  Extent 0 is the
 * root: the engine's extent table first, then "size" bytes for the structure,
 * then spare bytes that the structure may use as it likes
 * (nr_copy_root_spare).  Other extents arrive by grants that travel in the
 * log; the structure takes them with nr_extent_take and gives them back with
 * nr_extent_give.  It never asks for anything else, never blocks and never
 * fails but by answering NR_NO_SPACE with nothing changed.
 *
 * REFERENCES inside a copy are NrRef: logical extent and offset in units of
 * 16 bytes, in 32 bits: at most 64 GiB in one copy.
 *
 * ALIASING.  The two copies of a replica may share memory for what a write puts there once and
 * nothing changes afterwards: left-right's remedy for twice the memory (the crate's
 * "aliasing").  It has an extent table, logical numbers and a root of its own
 * (NrCopy.shared), and grants and releases like those of a copy.  Each write is applied twice,
 * and NrCopy.pass tells which time it is:
 *
 *	 first		may take and write shared memory, and note for the second time what it took
 *	 second		finds there what the first time has written; changes no shared
 *				byte that a reader may look at
 *
 * A reader in the older copy may still use what the newer one has dropped.  So memory that
 * is dropped is set aside, with NrCopy.seq, and reused when "reclaim" says that both
 * copies of all replicas have dropped it.  That position travels in the log: so
 * the shared memory of all replicas is the same at the same position, too.
 */
#ifndef NR_DISPATCH_H
#define NR_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define NR_CACHE_LINE		64
#define NR_REF_UNIT_SHIFT	4	/* references count units of 16 bytes */
#define NR_NO_EXTENT		UINT32_MAX

typedef uint32_t NrRef;			/* 0 is "none": it would lie in the extent table */

typedef enum NrStatus
{
	NR_OK = 0,
	NR_NO_SPACE,				/* memory is used up; nothing was changed */
	NR_TOO_LARGE,				/* over a configured limit; nothing was changed */
	NR_BAD_OP,					/* the bytes are not an operation; nothing was changed */
	NR_CANCELLED,				/* withdrawn before a combiner took it; nothing was changed */
	NR_GONE,					/* the group does not exist (any more) */
	NR_NO_SESSION,				/* all session slots are taken */
	NR_NO_GROUP,				/* all group slots are taken */
	NR_BAD_CONFIG,				/* a size is out of range */
	NR_DIVERGED,				/* copies differ at the same log position */
	NR_BUSY,					/* a call that never waits would have had to; nothing was changed */
	NR_OUT_OF_RANGE				/* arithmetic overflow; nothing was changed */
} NrStatus;

/*
 * Header of one write operation in a request and in the log.  "bytes" counts
 * header and payload and is a multiple of 8; all fields are native-endian,
 * the log never leaves the machine.
 */
typedef struct NrOpHeader
{
	uint32_t	bytes;			/* header + payload, multiple of 8 */
	uint16_t	code;			/* meaning belongs to the structure */
	uint16_t	flags;			/* the structure's */
	uint32_t	payload_bytes;	/* exact length of what follows */
	uint32_t	reserved;		/* 0 */
	uint64_t	order_seq;		/* order number of its batch; 0 = none; see "ordered" below */
	int64_t		stmt_time_us;	/* statement time of the writer; 0 = not given (reserved) */
	int64_t		expiry_us;		/* absolute; 0 = never (reserved) */
} NrOpHeader;

_Static_assert(sizeof(NrOpHeader) == 40, "log format");

#define NR_OP_ALIGN(n)		(((n) + 7u) & ~(size_t) 7u)

static inline const void *
nr_op_payload(const NrOpHeader *op)
{
	return op + 1;
}

/*
 * Where a write puts its answer.  "data"/"capacity" belong to the caller;
 * "length" says how many bytes the answer has (may exceed capacity, then
 * nothing is in data).  "flag" is the short answer: was new, was found, ...
 */
typedef struct NrResponse
{
	bool		flag;
	uint32_t	length;
	uint32_t	capacity;
	void	   *data;			/* may be NULL when capacity is 0 */
} NrResponse;

/*
 * A copy, as a process sees it.  Never stored in shared memory; made anew from
 * (region, root extent) by each attach.
 */
typedef struct NrExtentTable NrExtentTable;

typedef enum NrPass
{
	NR_PASS_FIRST,				/* the other copy will have this write, too, or there is none */
	NR_PASS_SECOND,				/* the other copy has had it */
	NR_PASS_ONLY				/* the other copy will be made equal to this one; nobody reads either */
} NrPass;

typedef struct NrCopy
{
	char	   *region;			/* extent 0 of this node's pool */
	uint32_t	extent_shift;	/* log2 of extent size in bytes, 12 to 24 */
	uint32_t	ref_shift;		/* extent_shift - NR_REF_UNIT_SHIFT */
	NrExtentTable *table;		/* first bytes of the root extent */
	const uint32_t *map;		/* logical -> physical extent numbers */
	char	   *root;			/* the structure's own root bytes, cache-line aligned */

	/* what the two copies share */
	NrExtentTable *shared;		/* NULL: nothing */
	const uint32_t *shared_map; /* of "shared"; when they share nothing, "map" */
	char	   *shared_root;	/* the structure's shared_size() bytes, cache-line aligned */

	/* while a write is applied */
	NrPass		pass;
	uint64_t	seq;			/* log position of its batch */
} NrCopy;

/* The extent table; written by the engine and by take/give, both under the write lock of the copy. */
struct NrExtentTable
{
	uint32_t	capacity;		/* logical numbers 0 .. capacity-1 */
	uint32_t	unused_head;	/* logical numbers with nothing mapped, by next[] */
	uint32_t	free_head;		/* mapped but not in use by the structure, by next[] */
	uint32_t	free_count;
	uint32_t	mapped_count;	/* free and in use, root included */
	uint32_t	root_bytes;		/* dispatch->size() or shared_size() as it was at init */
	uint32_t	deferred;		/* of shared memory: extents' worth that is set aside, rounded up, as the structure reckons */
	uint32_t	reserved[9];
	uint32_t	words[];		/* map[capacity], next[capacity] */
};

_Static_assert(sizeof(NrExtentTable) == NR_CACHE_LINE, "layout");

static inline size_t
nr_extent_table_bytes(uint32_t capacity)
{
	return (sizeof(NrExtentTable) + 2 * sizeof(uint32_t) * (size_t) capacity +
			NR_CACHE_LINE - 1) & ~(size_t) (NR_CACHE_LINE - 1);
}

static inline size_t
nr_extent_bytes(const NrCopy *copy)
{
	return (size_t) 1 << copy->extent_shift;
}

static inline void *
nr_extent_ptr(const NrCopy *copy, uint32_t extent)
{
	return copy->region + ((size_t) copy->map[extent] << copy->extent_shift);
}

static inline void *
nr_ref_ptr(const NrCopy *copy, NrRef ref)
{
	return copy->region
		+ ((size_t) copy->map[ref >> copy->ref_shift] << copy->extent_shift)
		+ ((size_t) (ref & ((1u << copy->ref_shift) - 1)) << NR_REF_UNIT_SHIFT);
}

/* Of a reference into shared memory. */
static inline void *
nr_shared_ptr(const NrCopy *copy, NrRef ref)
{
	return copy->region
		+ ((size_t) copy->shared_map[ref >> copy->ref_shift] << copy->extent_shift)
		+ ((size_t) (ref & ((1u << copy->ref_shift) - 1)) << NR_REF_UNIT_SHIFT);
}

/* Shared memory as if it were a copy, for whoever manages it: extents, references, root. */
static inline NrCopy
nr_copy_shared(const NrCopy *copy)
{
	NrCopy		shared = *copy;

	shared.table = copy->shared;
	shared.map = copy->shared_map;
	shared.root = copy->shared_root;
	shared.shared = NULL;
	return shared;
}

static inline NrRef
nr_ref_make(const NrCopy *copy, uint32_t extent, size_t offset)
{
	return (extent << copy->ref_shift) | (NrRef) (offset >> NR_REF_UNIT_SHIFT);
}

/* Spare bytes of the root extent after the structure's root: offset in extent 0, and how many. */
static inline size_t
nr_copy_root_spare(const NrCopy *copy, size_t *bytes)
{
	size_t		at = nr_extent_table_bytes(copy->table->capacity) +
		((copy->table->root_bytes + NR_CACHE_LINE - 1) & ~(size_t) (NR_CACHE_LINE - 1));

	*bytes = nr_extent_bytes(copy) - at;
	return at;
}

/*
 * Take a granted extent into use.  Returns its logical number, or NR_NO_EXTENT
 * when none is left.  Its bytes are whatever a former user left there.  Only
 * inside "init" and writes.  The numbers handed out are deterministic.
 */
static inline uint32_t
nr_extent_take(NrCopy *copy)
{
	NrExtentTable *t = copy->table;
	uint32_t	e = t->free_head;

	if (e != NR_NO_EXTENT)
	{
		t->free_head = t->words[t->capacity + e];
		t->free_count--;
	}
	return e;
}

/* Give an extent back that nr_extent_take handed out.  Never extent 0. */
static inline void
nr_extent_give(NrCopy *copy, uint32_t extent)
{
	NrExtentTable *t = copy->table;

	t->words[t->capacity + extent] = t->free_head;
	t->free_head = extent;
	t->free_count++;
}

/* What "size", "init" and "need" are told.  Lives in shared memory with the group. */
#define NR_ARG_BYTES 64
typedef struct NrCopyConfig
{
	uint32_t	extent_shift;
	uint32_t	extents_max;	/* capacity of the extent table: the group's quota */
	uint32_t	arg_bytes;		/* used bytes of arg */
	uint32_t	shared_max;		/* the same for what two copies share; 0: nothing */
	char		arg[NR_ARG_BYTES];	/* the structure's own parameters (seed, line width, ...) */
} NrCopyConfig;

/* Extents that writes may take into use: in each copy, and in what the copies share. */
typedef struct NrNeed
{
	uint32_t	extents;
	uint32_t	shared;
} NrNeed;

/*
 * The dispatch table.  Process-local: shared memory holds only "id".
 *
 * Members that may be NULL have the default given.
 */
typedef struct NrDispatch
{
	const char *name;
	uint32_t	id;				/* stored with the group, checked at attach; not 0 */

	/* Root bytes for this configuration. */
	size_t		(*size) (const NrCopyConfig *config);

	/*
	 * Extents, besides the root, that "init" takes; granted before it is called.  The structure
	 * never has fewer afterwards.
	 */
	uint32_t	(*init_extents) (const NrCopyConfig *config);

	/*
	 * Make an empty structure.  copy->root has size() zeroed bytes.  Shared memory is made with
	 * the first copy of a replica; its root is zeroed then, too.
	 */
	void		(*init) (NrCopy *copy, const NrCopyConfig *config);

	/* Root bytes in shared memory.  NULL: the structure does not share any. */
	size_t		(*shared_size) (const NrCopyConfig *config);

	/*
	 * Before the operations of a batch are applied for the first time: what was set
	 * aside by batches before "floor" may be reused.  NULL only with shared_size.
	 */
	void		(*reclaim) (NrCopy *copy, uint64_t floor);

	/*
	 * Read.  "op" and "resp" are process-local structs of the structure's own
	 * design: reads never enter the log.  Called between enter and leave: must
	 * not block, allocate, or write to the copy.
	 */
	NrStatus	(*dispatch) (const NrCopy *copy, const void *op, void *resp);

	/*
	 * Write.  Must be deterministic, all or nothing, and must check the bytes of
	 * the operation (NR_BAD_OP).  NULL resp->data is allowed.
	 */
	NrStatus	(*dispatch_mut) (NrCopy *copy, const NrOpHeader *op, NrResponse *resp);

	/*
	 * Hint: this write comes soon; let the processor fetch what it will touch.
	 * Must not change anything and may do nothing; the operation has not been
	 * checked but for its lengths.  Called under the write lock.  NULL: no hints.
	 */
	void		(*prefetch) (const NrCopy *copy, const NrOpHeader *op);

	/*
	 * Upper bound of the extents that a batch of n writes with this many bytes
	 * (headers included) may take into use, whatever the state of the copy; but of shared
	 * memory, a write that drops everything may make those behind it need more.
	 */
	NrNeed		(*need) (const NrCopyConfig *config, uint32_t n, uint64_t bytes);

	/*
	 * The same for writes that must not fail: an upper bound that holds whatever
	 * happens to the copy before they are applied.  "ordered": they will carry
	 * order numbers.  NULL: such writes are not supported.
	 */
	NrNeed		(*need_ops) (const NrCopyConfig *config, const void *ops, size_t bytes, uint32_t n,
							 bool ordered);

	/*
	 * ORDER NUMBERS.  A batch may carry a number that was drawn before it was
	 * appended, and batches may be appended in another order.  Per key the highest
	 * number wins: an operation (put, delete, truncate) whose order_seq is below that
	 * of one applied to the same key earlier changes nothing, and answers NR_OK.
	 *
	 * Called before the operations of such a batch are applied: other batches with numbers
	 * below "horizon" have all been applied to this copy; so what is remembered
	 * about lower numbers may be forgotten, in bounded steps, and a batch whose own
	 * number is below it need not be remembered.  A horizon below an earlier one
	 * says nothing new.
	 * NULL: order numbers are not supported.
	 */
	void		(*ordered) (NrCopy *copy, uint64_t horizon);

	/* 64-bit checksum over all meaningful bytes; equal for copies at one log position. */
	uint64_t	(*checksum) (const NrCopy *copy);

	/* Recompute every invariant; NULL when it holds, else a static text that names what is broken. */
	const char *(*verify) (const NrCopy *copy);

	/*
	 * One replica of two copies (the crate left_right's trait Absorb).  Defaults:
	 * dispatch_mut, absorb_first, nothing, nothing, the engine's memcpy.
	 *
	 * absorb_first: an operation reaches the first of the two copies.  It may amend
	 * the operation within its length; absorb_second gets it as amended, for the
	 * other copy.  Groups of several replicas use dispatch_mut, since there an
	 * operation has several first copies.
	 *
	 * drop_first, drop_second: the group is destroyed, or emptied (nr_group_clear); the copy that readers saw last
	 * comes second.  The extents go back to the pool whatever these do.
	 *
	 * sync_with: make "to" equal to "from", which holds what was loaded before the
	 * first publish.  Both have the same logical extents mapped; the engine has
	 * copied their bytes and the table but for where they lie; what they share they
	 * have already.
	 */
	NrStatus	(*absorb_first) (NrCopy *copy, NrOpHeader *op, NrResponse *resp);
	NrStatus	(*absorb_second) (NrCopy *copy, const NrOpHeader *op, NrResponse *resp);
	void		(*drop_first) (NrCopy *copy);
	void		(*drop_second) (NrCopy *copy);
	void		(*sync_with) (NrCopy *to, const NrCopy *from);
} NrDispatch;

/*
 * Test points: named places at which a test may stop, kill or reorder.
 * Compiled in with -DNR_TEST_POINTS only.
 */
#ifdef NR_TEST_POINTS
extern void (*nr_test_point_hook) (const char *name);
#define NR_POINT(name) do { if (nr_test_point_hook) nr_test_point_hook(name); } while (0)
#else
#define NR_POINT(name) ((void) 0)
#endif

#endif							/* NR_DISPATCH_H */
