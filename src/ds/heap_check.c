/*
 * ds/heap_check.c
 *		Recompute what must hold of a heap, and its checksum.
 */
#include "ds/heap_block.h"

#define XXH_INLINE_ALL
#include <xxhash.h>


typedef struct HeapTally
{
	uint64_t	used_units;
	uint32_t	used_blocks;
	uint32_t	free_blocks;
} HeapTally;

bool
ds_heap_block_sound(const NrCopy *copy, const DsHeap *heap, NrRef ref)
{
	uint32_t	extent = ref >> copy->ref_shift;
	uint32_t	left = extent_units(copy) - (ref & (extent_units(copy) - 1));
	const DsHeapBlock *block;

	if (extent == 0)
	{
		if (ref < heap->root_first || ref >= heap->root_first + heap->root_units)
			return false;
		left = heap->root_first + heap->root_units - ref;
	}
	else if (!ds_heap_owns(heap, extent))
		return false;
	block = block_at(copy, ref);
	return block_used(block) && block_units(block) > 0 && block_units(block) <= left;
}

static const char *
verify_stretch(const NrCopy *copy, NrRef ref, uint32_t units, HeapTally *tally)
{
	uint32_t	prev_units = 0;
	bool		prev_free = false;

	while (units > 0)
	{
		const DsHeapBlock *block = block_at(copy, ref);

		if (block_units(block) == 0 || block_units(block) > units)
			return "heap: a block's size is out of range";
		if (block->prev_units != prev_units)
			return "heap: a boundary tag does not match the block before";
		if (!block_used(block) && prev_free)
			return "heap: two free neighbours";
		prev_units = block_units(block);
		prev_free = !block_used(block);
		if (prev_free)
			tally->free_blocks++;
		else
		{
			tally->used_blocks++;
			tally->used_units += prev_units;
		}
		ref += prev_units;
		units -= prev_units;
	}
	return NULL;
}

static const char *
verify_lists(const NrCopy *copy, const DsHeap *heap, uint32_t free_blocks)
{
	for (uint32_t list = 0; list < heap->lists; list++)
	{
		bool		bit = (heap->sl_map[list >> DS_HEAP_SL_SHIFT] >> (list & (DS_HEAP_SL - 1)) & 1) != 0;
		NrRef		prev = 0;

		if (bit != (heap->heads[list] != 0))
			return "heap: a bitmap does not match its list";
		for (NrRef ref = heap->heads[list]; ref != 0;)
		{
			const DsHeapBlock *block;
			uint32_t	extent = ref >> copy->ref_shift;

			if (extent != 0 && !ds_heap_owns(heap, extent))
				return "heap: a list leads out of the heap";
			block = block_at(copy, ref);
			if (block_used(block) || list_of(block_units(block)) != list)
				return "heap: a block is in the wrong list";
			if (block->prev_free != prev)
				return "heap: a list's back link is wrong";
			if (free_blocks-- == 0)
				return "heap: the lists hold more than the free blocks";
			prev = ref;
			ref = block->next_free;
		}
	}
	if (free_blocks != 0)
		return "heap: a free block is in no list";
	for (uint32_t fl = 0; fl < DS_HEAP_FL_MAX; fl++)
		if ((heap->fl_map >> fl & 1) != (heap->sl_map[fl] != 0))
			return "heap: the first-level bitmap is wrong";
	return NULL;
}

const char *
ds_heap_verify(const NrCopy *copy, const DsHeap *heap)
{
	HeapTally	tally = {0};
	uint32_t	extents = 0;
	const char *broken;

	if (heap->lists != lists_for(copy->extent_shift) || heap->extents_max != copy->table->capacity)
		return "heap: not made for these extents";
	if (heap->root_first >= extent_units(copy) || heap->root_units >= extent_units(copy) - heap->root_first)
		return "heap: the root stretch does not fit the root extent";
	if (heap->root_first != 0)
	{
		const DsHeapBlock *end = block_at(copy, heap->root_first + heap->root_units);

		broken = verify_stretch(copy, heap->root_first, heap->root_units, &tally);
		if (broken)
			return broken;
		if (!block_used(end) || block_units(end) != 1)
			return "heap: the end mark of the root stretch is gone";
	}
	for (uint32_t e = 0; e < heap->extents_max; e++)
	{
		NrRef		ref = nr_ref_make(copy, e, 0);

		if (!ds_heap_owns(heap, e))
			continue;
		extents++;
		broken = verify_stretch(copy, ref, extent_units(copy), &tally);
		if (broken)
			return broken;
		if (block_units(block_at(copy, ref)) == extent_units(copy) && !block_used(block_at(copy, ref)))
			return "heap: a free extent was not given back";
	}
	if (extents != heap->extents)
		return "heap: wrong number of extents";
	if (tally.used_blocks != heap->used_blocks || tally.used_units != heap->used_units)
		return "heap: wrong count of used blocks";
	return verify_lists(copy, heap, tally.free_blocks);
}

static uint64_t
checksum_stretch(const NrCopy *copy, NrRef ref, uint32_t units, uint64_t sum)
{
	while (units > 0)
	{
		const DsHeapBlock *block = block_at(copy, ref);
		uint32_t	n = block_units(block);
		size_t		bytes = block_used(block) ? (size_t) n << NR_REF_UNIT_SHIFT : sizeof(*block);

		/* a damaged size must end the walk, not run out of the extent */
		if (n == 0 || n > units)
			return ~sum;
		sum = XXH3_64bits_withSeed(block, bytes, sum);
		ref += n;
		units -= n;
	}
	return sum;
}

uint64_t
ds_heap_checksum(const NrCopy *copy, const DsHeap *heap, uint64_t sum)
{
	sum = XXH3_64bits_withSeed(heap, ds_heap_size(copy->extent_shift, copy->table->capacity), sum);
	if (heap->root_first != 0)
		sum = checksum_stretch(copy, heap->root_first, heap->root_units, sum);
	for (uint32_t e = 0; e < heap->extents_max; e++)
		if (ds_heap_owns(heap, e))
			sum = checksum_stretch(copy, nr_ref_make(copy, e, 0), extent_units(copy), sum);
	return sum;
}
