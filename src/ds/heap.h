/*
 * ds/heap.h
 *		ds_heap: memory of any size inside one copy.
 *
 * TLSF (Masmano, Ripoll, Crespo, Real, ECRTS 2004): free blocks are kept in
 * lists by size, two levels of bitmaps find a list whose blocks surely fit, and
 * neighbours are merged at once by boundary tags.  Allocation and release take
 * constant time, whatever happened before: a replica that replays the log may
 * not stop for a search.
 *
 * The heap takes an extent when nothing fits and gives it back as soon as it is
 * free from end to end; it keeps no spare, so an empty heap holds no extent.
 * Besides, it uses a stretch of the root extent, which is never given back.
 *
 * A block is named by the NrRef of its first byte.  8 bytes are the boundary
 * tag, the rest is payload, so payloads are aligned to 8 bytes.  The largest
 * block is one extent.
 *
 * DETERMINISTIC: all state is in the copy and holds logical references only.
 * Who allocates must give every byte of the payload a value that follows from
 * the operations (ds_heap_alloc does not), because ds_heap_checksum reads them.
 *
 * Writers are alone with the copy (engine/dispatch.h); nothing here is atomic.
 */
#ifndef DS_HEAP_H
#define DS_HEAP_H

#include "engine/dispatch.h"

/* Boundary tag in front of each payload. */
#define DS_HEAP_TAG_BYTES	8

/* Block sizes: 16 lists for each power of two, up to 2^20 units (16 MiB). */
#define DS_HEAP_SL_SHIFT	4
#define DS_HEAP_SL			(1u << DS_HEAP_SL_SHIFT)
#define DS_HEAP_FL_MAX		18

typedef struct DsHeapBlock
{
	uint32_t	prev_units;		/* size of the block before it in the extent; 0: it is the first */
	uint32_t	units_used;		/* size in 16-byte units << 1 | in use */
	NrRef		next_free;		/* from here on payload when in use */
	NrRef		prev_free;
} DsHeapBlock;

_Static_assert(sizeof(DsHeapBlock) == 1 << NR_REF_UNIT_SHIFT, "the smallest block is one unit");

typedef struct DsHeap
{
	uint32_t	root_first;		/* unit in extent 0 where the heap's stretch begins; 0: none */
	uint32_t	root_units;		/* its length, without the end mark */
	uint32_t	lists;			/* length of heads[] */
	uint32_t	extents_max;	/* bits in the owner map, which follows heads[] */
	uint32_t	extents;		/* taken, root not included */
	uint32_t	used_blocks;
	uint64_t	used_units;		/* tags included */
	uint32_t	fl_map;			/* bit f: sl_map[f] is not 0 */
	uint16_t	sl_map[DS_HEAP_FL_MAX];	/* bit s: heads[f * 16 + s] is not empty */
	NrRef		heads[];
} DsHeap;

/* Bytes that the heap's state takes. A multiple of 8. */
extern size_t ds_heap_size(uint32_t extent_shift, uint32_t extents_max);

/*
 * Make an empty heap at "heap", ds_heap_size() bytes, 8-byte aligned, inside
 * the root extent.  It may use the bytes from .. to of the root extent; a
 * stretch too short to be of use is left alone.
 */
extern void ds_heap_init(NrCopy *copy, DsHeap *heap, size_t from, size_t to);

/*
 * A block with at least "bytes" of payload, or 0 when there is no room, with
 * nothing changed.  "may_take": an extent may be taken.  The payload's bytes
 * are undefined.
 */
extern NrRef ds_heap_alloc(NrCopy *copy, DsHeap *heap, size_t bytes, bool may_take);

extern void ds_heap_free(NrCopy *copy, DsHeap *heap, NrRef ref);

/* Cut a block down to "bytes" of payload, in place; never fails, never grows it. */
extern void ds_heap_shrink(NrCopy *copy, DsHeap *heap, NrRef ref, size_t bytes);

/* Free everything: give all extents back.  Takes time by the number of extents, not of blocks. */
extern void ds_heap_reset(NrCopy *copy, DsHeap *heap);

/*
 * Forget all extents without giving them back, with whatever is in them; they are the caller's.  Blocks
 * in the root stretch stay as they are.
 */
extern void ds_heap_leave(const NrCopy *copy, DsHeap *heap);

/* The first block in use of the root stretch behind this one (0: of all); 0: none. */
extern NrRef ds_heap_root_next(const NrCopy *copy, const DsHeap *heap, NrRef after);

/* Does the heap hold this extent? The root extent is not counted. */
extern bool ds_heap_owns(const DsHeap *heap, uint32_t extent);

/* Bytes of extents and root stretch that are not in use. */
extern uint64_t ds_heap_free_bytes(const NrCopy *copy, const DsHeap *heap);

/* Does a reference lead to a block in use that ends where its extent does, or before?  For checks: it may be damaged. */
extern bool ds_heap_block_sound(const NrCopy *copy, const DsHeap *heap, NrRef ref);

/* Recompute every invariant: NULL, or what is broken. */
extern const char *ds_heap_verify(const NrCopy *copy, const DsHeap *heap);

/* Over all tags, free links and payloads in use, continued from "sum". */
extern uint64_t ds_heap_checksum(const NrCopy *copy, const DsHeap *heap, uint64_t sum);

static inline void *
ds_heap_payload(const NrCopy *copy, NrRef ref)
{
	return (char *) nr_ref_ptr(copy, ref) + DS_HEAP_TAG_BYTES;
}

/* What is allocated while nothing may fail, for ds_heap_batch_extents. All zero: nothing. */
typedef struct DsHeapBatch
{
	uint64_t	units;			/* of all blocks */
	uint64_t	takes;			/* blocks that may take an extent */
	uint64_t	big;			/* of these, longer than 1/8 of an extent */
	uint64_t	largest;		/* of these, in units */
} DsHeapBatch;

/* Count n blocks of so much payload; "may_take" as in ds_heap_alloc. */
extern void ds_heap_batch_add(DsHeapBatch *batch, uint32_t extent_shift, uint64_t n, size_t bytes, bool may_take);

/*
 * The most extents that the heap can have taken in addition at any time while
 * these blocks are allocated, in any order, with any others freed in between,
 * whatever state it was in.
 */
extern uint64_t ds_heap_batch_extents(const DsHeapBatch *batch, uint32_t extent_shift);

/* A free block of so many units is sure to be found by who asks for "units" of them. */
static inline uint32_t
ds_heap_units_sure(uint32_t units)
{
	if (units >= DS_HEAP_SL)
		units += (1u << (31 - (uint32_t) __builtin_clz(units) - DS_HEAP_SL_SHIFT)) - 1;
	return units;
}

/* Units of a block with this much payload. */
static inline size_t
ds_heap_units(size_t bytes)
{
	return (bytes + DS_HEAP_TAG_BYTES + (1 << NR_REF_UNIT_SHIFT) - 1) >> NR_REF_UNIT_SHIFT;
}

/* Payload bytes of the block with this payload: at least what was asked for. */
static inline size_t
ds_heap_capacity(const void *payload)
{
	const DsHeapBlock *block = (const DsHeapBlock *) ((const char *) payload - DS_HEAP_TAG_BYTES);

	return ((size_t) (block->units_used >> 1) << NR_REF_UNIT_SHIFT) - DS_HEAP_TAG_BYTES;
}

#endif							/* DS_HEAP_H */
