/*
 * test_heap_need.c
 *		ds_heap_batch_extents: never less than what a batch of allocations
 *		takes, whatever the heap holds before and whatever is freed in between.
 */
#include "copy_harness.h"
#include "ds/heap.h"
#include "tap.h"

#include <stdlib.h>

#define EXTENTS_MAX		600
#define BLOCKS_MAX		100000

static CopyHarness h;
static NrRef *block;
static uint32_t blocks;
static uint64_t random_state;

static uint64_t
below(uint64_t n)
{
	return harness_random(&random_state) % n;
}

static DsHeap *
heap(void)
{
	return (DsHeap *) h.copy.root;
}

static void
free_one(void)
{
	uint32_t	i = (uint32_t) below(blocks);

	ds_heap_free(&h.copy, heap(), block[i]);
	block[i] = block[--blocks];
}

/* Sizes of one batch: all short, all long, a few long ones among short ones, just over a fraction of an extent. */
static size_t
size_of(uint32_t kind, size_t extent)
{
	switch (kind)
	{
		case 0:
			return 1 + below(200);
		case 1:
			return extent / 2 + below(extent / 2 - 8);
		case 2:
			return below(30) == 0 ? extent / 2 + below(extent / 2 - 8) : 1 + below(300);
		case 3:
			return extent / (2 + below(3)) + 8 * below(3);
		case 4:
			return 16 * below(extent / 128 + 1) + 1;
		default:
			return 1 + below(extent - 8);
	}
}

/* A batch with exactly the extents that the bound gives it; false: it was refused. */
static bool
batch(uint32_t extent_shift, double *closest)
{
	DsHeapBatch b = {0};
	size_t		extent = (size_t) 1 << extent_shift;
	uint32_t	kind = (uint32_t) below(6);
	uint32_t	n = 1 + (uint32_t) below(kind == 0 ? 3000 : 60);
	size_t		sizes[3000];
	bool		may_take[3000];
	uint64_t	most;
	bool		frees = below(2) == 0;
	bool		good = true;
	uint32_t	least_free;

	for (uint32_t i = 0; i < n; i++)
	{
		sizes[i] = size_of(kind, extent);
		may_take[i] = below(5) > 0;
		ds_heap_batch_add(&b, extent_shift, 1, sizes[i], may_take[i]);
	}
	most = ds_heap_batch_extents(&b, extent_shift);
	harness_reclaim(&h);
	if (h.copy.table->mapped_count + most > EXTENTS_MAX)
		return true;
	harness_grant(&h, (uint32_t) most);
	least_free = (uint32_t) most;
	for (uint32_t i = 0; i < n && good; i++)
	{
		NrRef		ref = ds_heap_alloc(&h.copy, heap(), sizes[i], may_take[i]);

		if (ref != 0)
			block[blocks++] = ref;
		else if (may_take[i])
			good = false;
		if (h.copy.table->free_count < least_free)
			least_free = h.copy.table->free_count;
		while (frees && blocks > 0 && below(2) == 0)
			free_one();
	}
	if (most > 3 && (double) (most - least_free) / (double) most > *closest)
		*closest = (double) (most - least_free) / (double) most;
	return good;
}

static void
test_batches(uint32_t extent_shift, uint64_t seed)
{
	NrCopyConfig config = {.extent_shift = extent_shift, .extents_max = EXTENTS_MAX};
	double		closest = 0;
	bool		good = true;

	random_state = seed;
	blocks = 0;
	harness_make(&h, NULL, &config, ds_heap_size(extent_shift, EXTENTS_MAX), 1);
	ds_heap_init(&h.copy, heap(), 0, 0);
	for (uint32_t i = 0; i < 400 && good; i++)
	{
		uint32_t	keep = below(4) == 0 ? 0 : (uint32_t) below(20);

		good = batch(extent_shift, &closest);
		/* what the next batch finds: nothing, all, or something in between */
		for (uint32_t n = blocks; n > 0 && blocks > 0; n--)
			if (below(20) >= keep || harness_in_use(&h) > EXTENTS_MAX / 2)
				free_one();
	}
	tap_ok(good && ds_heap_verify(&h.copy, heap()) == NULL && closest > 0.7,
		   "2^%u: no batch is refused; up to %.0f%% of what it asks for is used", extent_shift, 100 * closest);
	harness_free(&h);
}

/* Two blocks that fill an extent to the last unit, and the search for the second misled by others a little too short. */
static void
test_misled(void)
{
	NrCopyConfig config = {.extent_shift = 16, .extents_max = EXTENTS_MAX};
	DsHeapBatch b = {0};
	const size_t unit = (size_t) 1 << NR_REF_UNIT_SHIFT;
	NrRef		decoy[12];
	bool		good = true;

	harness_make(&h, NULL, &config, ds_heap_size(16, EXTENTS_MAX), 1);
	ds_heap_init(&h.copy, heap(), 0, 0);
	for (int i = 0; i < 12; i++)
	{
		harness_grant(&h, 1);
		decoy[i] = ds_heap_alloc(&h.copy, heap(), 2090 * unit - DS_HEAP_TAG_BYTES, true);
		good &= ds_heap_alloc(&h.copy, heap(), 2006 * unit - DS_HEAP_TAG_BYTES, true) != 0;
	}
	ds_heap_batch_add(&b, 16, 1, 2000 * unit - DS_HEAP_TAG_BYTES, true);
	ds_heap_batch_add(&b, 16, 1, 2096 * unit - DS_HEAP_TAG_BYTES, true);
	harness_grant(&h, (uint32_t) ds_heap_batch_extents(&b, 16));
	good &= ds_heap_alloc(&h.copy, heap(), 2000 * unit - DS_HEAP_TAG_BYTES, true) != 0;
	for (int i = 0; i < 12; i++)
		ds_heap_free(&h.copy, heap(), decoy[i]);
	good &= ds_heap_alloc(&h.copy, heap(), 2096 * unit - DS_HEAP_TAG_BYTES, true) != 0;
	tap_ok(good && ds_heap_verify(&h.copy, heap()) == NULL, "a search that is misled by blocks a little too short");
	harness_free(&h);
}

static uint64_t
extents_for(uint32_t n, size_t bytes)
{
	DsHeapBatch b = {0};

	ds_heap_batch_add(&b, 16, n, bytes, true);
	return ds_heap_batch_extents(&b, 16);
}

int
main(void)
{
	block = malloc(BLOCKS_MAX * sizeof(*block));
	tap_ok(extents_for(0, 100) == 0 && extents_for(1, 100) == 1 && extents_for(1, 65528) == 1 &&
		   extents_for(2, 65528) == 2, "nothing, one, two blocks");
	tap_ok(extents_for(1000, 56) == 1 && extents_for(10000, 56) == 10, "short blocks: hardly more than their bytes");
	tap_ok(extents_for(10, 33000) == 10, "blocks longer than half an extent: one each");
	test_misled();
	for (uint64_t seed = 1; seed <= 3; seed++)
	{
		test_batches(13, seed);
		test_batches(16, seed);
	}
	free(block);
	return tap_done();
}
