/*
 * ds/heap_need.c
 *		How many extents a batch of allocations can take: ds_heap_batch_*.
 *
 * Let X be the units of an extent, b a block's, f(b) the units of a free block
 * that is sure to be found for it (ds_heap_units_sure), s the units of all blocks.
 *
 * An extent that was taken in the batch is carved from its front, so what
 * follows its last used block is free and at least X - c, when c units of it
 * were carved in all, those freed since included.  A block that takes another extent
 * was refused by it: c > X - f(b).  When the k-th extent is taken, the k - 1
 * others together with it have not carved more than s.  Hence, with the largest
 * block B that may take one,
 *
 *		(k - 1) (X - f(B) + 1) < s									close when B is small
 *
 * and, since f(b) <= 17/16 b, of any two extents one has carved more than 16/33 X:
 *
 *		(k - 1) 16/33 X < s											when B is large
 *
 * Blocks longer than X / 8 can take one extent each at most; until the last take
 * by another block the first bound holds with X / 8 for B.  And all that fits into
 * one extent, rounding included, never takes a second one.
 *
 * What was taken before the batch and given back in it counts for nothing here:
 * it can only be more than this that is free.
 */
#include "ds/heap_block.h"

void
ds_heap_batch_add(DsHeapBatch *batch, uint32_t extent_shift, uint64_t n, size_t bytes, bool may_take)
{
	uint64_t	units = ds_heap_units(bytes);

	batch->units += n * units;
	if (!may_take)
		return;
	batch->takes += n;
	if (units > batch->largest)
		batch->largest = units;
	if (units > UINT64_C(1) << (extent_shift - NR_REF_UNIT_SHIFT - 3))
		batch->big += n;
}

static uint64_t
least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Extents taken when no block that takes one is longer than this. */
static uint64_t
bound_by_largest(uint64_t units, uint64_t extent, uint64_t largest)
{
	uint64_t	sure = ds_heap_units_sure((uint32_t) largest);

	return sure >= extent ? UINT64_MAX : 1 + (units - 1) / (extent - sure + 1);
}

uint64_t
ds_heap_batch_extents(const DsHeapBatch *batch, uint32_t extent_shift)
{
	uint64_t	extent = UINT64_C(1) << (extent_shift - NR_REF_UNIT_SHIFT);
	uint64_t	s = batch->units;
	uint64_t	most = batch->takes;

	if (most <= 1)
		return most;
	if (s + s / 16 <= extent)
		return 1;
	most = least(most, 1 + (33 * s - 1) / (16 * extent));
	most = least(most, bound_by_largest(s, extent, least(batch->largest, extent)));
	return least(most, batch->big + bound_by_largest(s, extent, extent / 8));
}
