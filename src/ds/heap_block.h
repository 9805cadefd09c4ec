/*
 * ds/heap_block.h
 *		How ds_heap finds its blocks, lists and owner bits: for heap.c and
 *		heap_check.c only.
 */
#ifndef DS_HEAP_BLOCK_H
#define DS_HEAP_BLOCK_H

#include "ds/heap.h"

static inline DsHeapBlock *
block_at(const NrCopy *copy, NrRef ref)
{
	return (DsHeapBlock *) nr_ref_ptr(copy, ref);
}

static inline uint32_t
block_units(const DsHeapBlock *block)
{
	return block->units_used >> 1;
}

static inline bool
block_used(const DsHeapBlock *block)
{
	return block->units_used & 1;
}

static inline uint32_t
extent_units(const NrCopy *copy)
{
	return 1u << copy->ref_shift;
}

/* The next block in the extent, or NULL at its end. */
static inline DsHeapBlock *
block_after(const NrCopy *copy, NrRef ref, uint32_t units)
{
	NrRef		next = ref + units;

	return (next & (extent_units(copy) - 1)) != 0 ? block_at(copy, next) : NULL;
}

/* The list that a free block of this size is in. */
static inline uint32_t
list_of(uint32_t units)
{
	uint32_t	log2;

	if (units < DS_HEAP_SL)
		return units;
	log2 = 31 - (uint32_t) __builtin_clz(units);
	return ((log2 - DS_HEAP_SL_SHIFT + 1) << DS_HEAP_SL_SHIFT) |
		((units >> (log2 - DS_HEAP_SL_SHIFT)) & (DS_HEAP_SL - 1));
}

_Static_assert(offsetof(DsHeap, heads) % 8 == 0, "the owner map must be aligned");

static inline uint64_t *
owner_map(const DsHeap *heap)
{
	/* heads[] has an even length and begins at a multiple of 8 */
	return (uint64_t *) (uintptr_t) &heap->heads[heap->lists];
}

/* Length of heads[]: blocks are at most one extent. */
static inline uint32_t
lists_for(uint32_t extent_shift)
{
	return (extent_shift - NR_REF_UNIT_SHIFT - DS_HEAP_SL_SHIFT + 2) << DS_HEAP_SL_SHIFT;
}

#endif							/* DS_HEAP_BLOCK_H */
