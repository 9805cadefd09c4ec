/*
 * fuzz_heap.c
 *		ds_heap against a list of blocks.
 *
 * Two heaps with other garbage and places, one of them the reference's eyes: each block is filled with
 * bytes of its own, which must stay; blocks do not overlap, and what lies between them is known from the
 * list, so it is known too when an allocation must succeed, must not take an extent, and
 * when an extent must be given back.  After each operation both are verified and their checksums
 * compared.  heap_need.c's bound is held against what a run of allocations really takes.
 */
#include "copy_harness.h"
#include "ds/heap.h"
#include "input.h"

#include <stdlib.h>

#define BLOCKS_MAX	600
#define UNIT		16

typedef struct Block
{
	NrRef		ref;
	uint32_t	units;
	size_t		bytes;			/* asked for */
	uint8_t		fill;
} Block;

static CopyHarness copy[2];
static Block block[BLOCKS_MAX];
static uint32_t blocks;
static uint32_t extents_left;	/* by ds_heap_leave: nobody's now */
static DsHeapBatch batch;		/* allocated since "batch_extents" were taken */
static uint32_t batch_extents;

static DsHeap *
heap_of(uint32_t c)
{
	return (DsHeap *) copy[c].copy.root;
}

static uint32_t
extent_units(void)
{
	return 1u << copy[0].copy.ref_shift;
}

static uint32_t
extent_of(NrRef ref)
{
	return ref >> copy[0].copy.ref_shift;
}

/* ---- the list, from which all else follows ---- */

static int
by_ref(const void *a, const void *b)
{
	NrRef		x = ((const Block *) a)->ref;
	NrRef		y = ((const Block *) b)->ref;

	return x < y ? -1 : x > y;
}

/* The longest stretch of free units in what the heap holds, and what it holds. */
static uint32_t
longest_gap(uint32_t *extents, uint64_t *used)
{
	const DsHeap *heap = heap_of(0);
	uint32_t	longest = 0;
	NrRef		at = heap->root_first;
	NrRef		end = heap->root_first + heap->root_units;

	*extents = 0;
	*used = 0;
	qsort(block, blocks, sizeof(Block), by_ref);
	for (uint32_t i = 0; i <= blocks; i++)
	{
		NrRef		ref = i < blocks ? block[i].ref : 0;

		/* the next extent, or none */
		if (i == blocks || ref >= end)
		{
			if (end > at && end - at > longest)
				longest = end - at;
			if (i == blocks)
				break;
			at = ref / extent_units() * extent_units();
			end = at + extent_units();
			++*extents;
		}
		if (ref < at || ref + block[i].units > end)
			fz_fail("blocks overlap, or a block leaves its extent");
		if (ref - at > longest)
			longest = ref - at;
		at = ref + block[i].units;
		*used += block[i].units;
	}
	return longest;
}

static void
check(void)
{
	uint32_t	extents;
	uint64_t	used;
	const DsHeap *heap = heap_of(0);

	(void) longest_gap(&extents, &used);
	for (uint32_t c = 0; c < 2; c++)
	{
		const char *broken = ds_heap_verify(&copy[c].copy, heap_of(c));

		if (broken)
			fz_fail(broken);
		if (harness_in_use(&copy[c]) != 1 + extents + extents_left)
			fz_fail("an extent is kept that is free, or lost");
	}
	if (heap->extents != extents || heap->used_units != used || heap->used_blocks != blocks)
		fz_fail("the heap's counts");
	if (ds_heap_free_bytes(&copy[0].copy, heap) !=
		(heap->root_units + (uint64_t) extents * extent_units() - used) * UNIT)
		fz_fail("free bytes");
	if (ds_heap_checksum(&copy[0].copy, heap, 1) != ds_heap_checksum(&copy[1].copy, heap_of(1), 1))
		fz_fail("checksums differ");
	if (heap->extents > batch_extents + ds_heap_batch_extents(&batch, copy[0].config.extent_shift))
		fz_fail("more extents were taken than a batch may need");
}

static void
look_at(const Block *b)
{
	for (uint32_t c = 0; c < 2; c++)
	{
		const uint8_t *p = ds_heap_payload(&copy[c].copy, b->ref);
		size_t		capacity = ds_heap_capacity(p);

		if (capacity < b->bytes || capacity != (size_t) b->units * UNIT - DS_HEAP_TAG_BYTES)
			fz_fail("a block's capacity");
		if (!fz_all(p, capacity, b->fill))
			fz_fail("a block's bytes have changed");
	}
}

/* ---- operations ---- */

static size_t
draw_bytes(void)
{
	uint32_t	shift = copy[0].config.extent_shift;
	uint32_t	what = fz_take(1);

	if (what < 120)
		return what;
	if (what < 200)
		return (size_t) (fz_below(256) << (what % 5)) * (1u << (shift - 12));
	if (what < 250)
		return fz_take(2) % (1u << shift);
	if (what < 252)
		return SIZE_MAX - what;
	return (1u << shift) - DS_HEAP_TAG_BYTES + what - 253;
}

static void
alloc(void)
{
	size_t		bytes = draw_bytes();
	bool		may_take = !fz_often(80);
	uint32_t	extents;
	uint64_t	used;
	uint32_t	gap = longest_gap(&extents, &used);
	bool		fits = bytes <= (size_t) extent_units() * UNIT - DS_HEAP_TAG_BYTES;
	uint32_t	sure = fits ? ds_heap_units_sure((uint32_t) ds_heap_units(bytes)) : 0;
	uint32_t	before = heap_of(0)->extents;
	bool		granted = copy[0].copy.table->free_count > 0;
	uint64_t	sum = ds_heap_checksum(&copy[0].copy, heap_of(0), 0);
	NrRef		ref[2];

	if (blocks == BLOCKS_MAX)
		return;
	for (uint32_t c = 0; c < 2; c++)
		ref[c] = ds_heap_alloc(&copy[c].copy, heap_of(c), bytes, may_take);
	if (ref[0] != ref[1])
		fz_fail("heaps allocate in different places");
	if (ref[0] == 0 && fits && (gap >= sure || (may_take && granted)))
		fz_fail("there is room, and yet no block");
	if (ref[0] == 0 && ds_heap_checksum(&copy[0].copy, heap_of(0), 0) != sum)
		fz_fail("no block, and yet something has changed");
	if (ref[0] == 0)
		return;
	if (!fits)
		fz_fail("a block that is longer than an extent");
	if (heap_of(0)->extents != before && (gap >= sure || !may_take))
		fz_fail("an extent is taken without need");
	block[blocks] = (Block) {.ref = ref[0],.bytes = bytes,.fill = (uint8_t) (7 * fz_step() + 1)};
	block[blocks].units = (uint32_t) ds_heap_units(bytes);
	ds_heap_batch_add(&batch, copy[0].config.extent_shift, 1, bytes, may_take);
	for (uint32_t c = 0; c < 2; c++)
	{
		void	   *p = ds_heap_payload(&copy[c].copy, ref[0]);

		memset(p, block[blocks].fill, ds_heap_capacity(p));
	}
	blocks++;
}

static void
free_or_shrink(bool shrink)
{
	uint32_t	i;
	uint32_t	to;

	if (blocks == 0)
		return;
	i = fz_below(blocks);
	to = fz_take(1);
	look_at(&block[i]);
	for (uint32_t c = 0; c < 2; c++)
		if (shrink)
			ds_heap_shrink(&copy[c].copy, heap_of(c), block[i].ref, block[i].bytes * to / 256);
		else
			ds_heap_free(&copy[c].copy, heap_of(c), block[i].ref);
	fz_step();
	if (shrink)
	{
		block[i].bytes = block[i].bytes * to / 256;
		block[i].units = (uint32_t) ds_heap_units(block[i].bytes);
		look_at(&block[i]);
	}
	else
		block[i] = block[--blocks];
}

static void
begin_batch(void)
{
	memset(&batch, 0, sizeof(batch));
	batch_extents = heap_of(0)->extents;
}

static void
reset(void)
{
	for (uint32_t c = 0; c < 2; c++)
		ds_heap_reset(&copy[c].copy, heap_of(c));
	blocks = 0;
	begin_batch();
}

/* What lies in the root stretch stays, in its order; the extents are somebody else's. */
static void
leave(void)
{
	uint32_t	kept = 0;
	uint32_t	found = 0;

	extents_left += heap_of(0)->extents;
	for (uint32_t c = 0; c < 2; c++)
		ds_heap_leave(&copy[c].copy, heap_of(c));
	qsort(block, blocks, sizeof(Block), by_ref);
	for (uint32_t i = 0; i < blocks; i++)
		if (extent_of(block[i].ref) == 0)
			block[kept++] = block[i];
	blocks = kept;
	for (NrRef ref = 0; (ref = ds_heap_root_next(&copy[1].copy, heap_of(1), ref)) != 0; found++)
		if (found == blocks || block[found].ref != ref)
			fz_fail("the root stretch has other blocks");
	if (found != blocks)
		fz_fail("the root stretch has lost blocks");
	begin_batch();
}

static void
step(void)
{
	uint32_t	what = fz_take(1);
	uint32_t	n;

	if (what < 130)
		alloc();
	else if (what < 195)
		free_or_shrink(false);
	else if (what < 225)
		free_or_shrink(true);
	else if (what < 245)
	{
		n = fz_below(5);
		for (uint32_t c = 0; c < 2; c++)
			if (what % 3 == 0)
				harness_release(&copy[c], n);
			else
				harness_grant(&copy[c], n);
	}
	else if (what < 250)
		begin_batch();
	else if (what < 252)
		reset();
	else if (what < 254)
		leave();
	else
		for (uint32_t i = 0; i < blocks; i++)
			look_at(&block[i]);
	check();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t extents[] = {1, 2, 3, 4, 6, 10, 20, 70};
	NrCopyConfig config = {0};
	uint32_t	shape;
	size_t		spare_bytes;
	size_t		spare_at;
	size_t		stretch;

	fz_begin(data, size);
	shape = fz_take(1);
	config.extent_shift = 12 + fz_below(5);
	config.extents_max = extents[shape % 8];
	stretch = (size_t) fz_take(1) << (config.extent_shift - 8);
	for (uint32_t c = 0; c < 2; c++)
	{
		harness_make(&copy[c], NULL, &config, ds_heap_size(config.extent_shift, config.extents_max), c + 1);
		spare_at = nr_copy_root_spare(&copy[c].copy, &spare_bytes);
		ds_heap_init(&copy[c].copy, heap_of(c), spare_at, spare_at + (stretch < spare_bytes ? stretch : spare_bytes));
		harness_grant(&copy[c], shape >> 4);
	}
	blocks = extents_left = 0;
	begin_batch();
	check();
	while (fz_left() > 0)
		step();
	while (blocks > 0)
	{
		look_at(&block[0]);
		for (uint32_t c = 0; c < 2; c++)
			ds_heap_free(&copy[c].copy, heap_of(c), block[0].ref);
		block[0] = block[--blocks];
		check();
	}
	harness_free(&copy[0]);
	harness_free(&copy[1]);
	return 0;
}

#ifndef NR_FUZZER
int
main(int argc, char **argv)
{
	return fz_main("fuzz_heap", 1, argc, argv);
}
#endif
