/*
 * test_heap.c
 *		ds_heap: placement, coalescing, extents taken and given back.
 */
#include "copy_harness.h"
#include "ds/heap.h"
#include "tap.h"

#include <stdlib.h>

#define BLOCKS_MAX	4096

typedef struct Block
{
	NrRef		ref;
	size_t		bytes;
	uint8_t		fill;
} Block;

static Block blocks[BLOCKS_MAX];
static uint32_t n_blocks;

static DsHeap *
make(CopyHarness *h, uint32_t extent_shift, uint32_t extents_max, bool root_stretch, uint64_t shuffle)
{
	NrCopyConfig config = {.extent_shift = extent_shift, .extents_max = extents_max};
	size_t		spare_bytes;
	size_t		spare_at;

	harness_make(h, NULL, &config, ds_heap_size(extent_shift, extents_max), shuffle);
	spare_at = nr_copy_root_spare(&h->copy, &spare_bytes);
	ds_heap_init(&h->copy, (DsHeap *) h->copy.root, spare_at, root_stretch ? spare_at + spare_bytes : spare_at);
	n_blocks = 0;
	return (DsHeap *) h->copy.root;
}

static bool
block_intact(const CopyHarness *h, const Block *b)
{
	const uint8_t *p = ds_heap_payload(&h->copy, b->ref);
	size_t		capacity = ds_heap_capacity(p);

	for (size_t i = 0; i < capacity; i++)
		if (p[i] != b->fill)
			return false;
	return capacity >= b->bytes;
}

static bool
block_alloc(CopyHarness *h, DsHeap *heap, size_t bytes, uint8_t fill)
{
	NrRef		ref = ds_heap_alloc(&h->copy, heap, bytes, true);
	void	   *p;

	if (ref == 0)
		return false;
	p = ds_heap_payload(&h->copy, ref);
	memset(p, fill, ds_heap_capacity(p));
	blocks[n_blocks++] = (Block) {.ref = ref, .bytes = bytes, .fill = fill};
	return true;
}

static void
block_free(CopyHarness *h, DsHeap *heap, uint32_t i)
{
	ds_heap_free(&h->copy, heap, blocks[i].ref);
	blocks[i] = blocks[--n_blocks];
}

static size_t
random_bytes(uint64_t *random, uint32_t extent_shift)
{
	/* each power of two as likely as the next, up to the largest block */
	uint32_t	bits = (uint32_t) (harness_random(random) % (extent_shift + 1));
	size_t		bytes = harness_random(random) & (((size_t) 1 << bits) - 1);
	size_t		max = ((size_t) 1 << extent_shift) - DS_HEAP_TAG_BYTES;

	return bytes > max ? max : bytes;
}

/* Random alloc, free and shrink; returns false when bytes were damaged or an invariant broke. */
static bool
churn(CopyHarness *h, DsHeap *heap, uint64_t seed, uint32_t steps, uint32_t extent_shift)
{
	uint64_t	random = seed;

	for (uint32_t i = 0; i < steps; i++)
	{
		uint64_t	r = harness_random(&random);

		if (r % 16 < 9 && n_blocks < BLOCKS_MAX)
			block_alloc(h, heap, random_bytes(&random, extent_shift), (uint8_t) r);
		else if (n_blocks > 0)
		{
			uint32_t	b = (uint32_t) (harness_random(&random) % n_blocks);

			if (!block_intact(h, &blocks[b]))
				return false;
			if (r % 16 == 15)
			{
				blocks[b].bytes /= 2;
				ds_heap_shrink(&h->copy, heap, blocks[b].ref, blocks[b].bytes);
			}
			else
				block_free(h, heap, b);
		}
		if (i % 256 == 0)
		{
			const char *broken = ds_heap_verify(&h->copy, heap);

			if (broken)
			{
				tap_note("step %u: %s", i, broken);
				return false;
			}
		}
	}
	return ds_heap_verify(&h->copy, heap) == NULL;
}

static void
test_churn(uint32_t extent_shift, uint32_t extents, bool root_stretch)
{
	CopyHarness h;
	DsHeap	   *heap = make(&h, extent_shift, extents, root_stretch, extent_shift);
	uint64_t	free_at_start = ds_heap_free_bytes(&h.copy, heap);

	harness_grant(&h, extents);
	tap_ok(churn(&h, heap, 7 + extent_shift, 100000, extent_shift),
		   "churn in %u extents of 2^%u", extents, extent_shift);
	while (n_blocks > 0)
		block_free(&h, heap, n_blocks - 1);
	tap_ok(ds_heap_verify(&h.copy, heap) == NULL && harness_in_use(&h) == 1 && heap->extents == 0 &&
		   ds_heap_free_bytes(&h.copy, heap) == free_at_start,
		   "all extents come back");
	harness_free(&h);
}

static void
test_determinism(void)
{
	CopyHarness h;
	DsHeap	   *heap;
	uint64_t	sum[2];

	for (int i = 0; i < 2; i++)
	{
		heap = make(&h, 14, 40, true, 100 + (uint64_t) i);
		harness_grant(&h, 40);
		churn(&h, heap, 3, 50000, 12);
		sum[i] = ds_heap_checksum(&h.copy, heap, 0);
		if (i == 1)
		{
			((char *) ds_heap_payload(&h.copy, blocks[0].ref))[0] ^= 1;
			tap_ok(ds_heap_checksum(&h.copy, heap, 0) != sum[1], "one flipped bit changes the checksum");
		}
		harness_free(&h);
	}
	tap_ok(sum[0] == sum[1], "same operations, other garbage and places: same checksum");
}

static void
test_edges(void)
{
	CopyHarness h;
	DsHeap	   *heap = make(&h, 12, 4, false, 1);
	uint64_t	sum;

	sum = ds_heap_checksum(&h.copy, heap, 0);
	tap_ok(ds_heap_alloc(&h.copy, heap, 1, true) == 0, "nothing granted: no block");
	tap_ok(ds_heap_checksum(&h.copy, heap, 0) == sum, "... and nothing changed");
	harness_grant(&h, 3);
	tap_ok(ds_heap_alloc(&h.copy, heap, 1, false) == 0, "an extent is not taken unless allowed");
	tap_ok(ds_heap_alloc(&h.copy, heap, 4096 - 7, true) == 0 && ds_heap_alloc(&h.copy, heap, SIZE_MAX - 4, true) == 0,
		   "more than an extent: no block");
	tap_ok(block_alloc(&h, heap, 4096 - 8, 1) && harness_in_use(&h) == 2, "a whole extent");
	tap_ok(block_alloc(&h, heap, 0, 2) && harness_in_use(&h) == 3, "an empty block");
	tap_ok(ds_heap_verify(&h.copy, heap) == NULL, "verify");
	block_free(&h, heap, 0);
	tap_ok(harness_in_use(&h) == 2 && ds_heap_verify(&h.copy, heap) == NULL, "a whole extent is given back");
	ds_heap_reset(&h.copy, heap);
	tap_ok(harness_in_use(&h) == 1 && ds_heap_verify(&h.copy, heap) == NULL, "reset gives back the rest");
	harness_free(&h);
}

/* The bound that ds_hash_dispatch.need relies on: half of each extent but one is used. */
static void
test_bound(void)
{
	CopyHarness h;
	DsHeap	   *heap = make(&h, 12, 400, false, 1);
	uint64_t	random = 5;
	uint64_t	bytes = 0;
	bool		kept = true;

	harness_grant(&h, 399);
	for (uint32_t i = 0; i < 1000; i++)
	{
		size_t		want = random_bytes(&random, 12);

		if (!block_alloc(&h, heap, want, 0))
			break;
		bytes += ds_heap_units(want) * 16;
		kept &= heap->extents <= 1 + (17 * bytes + 8 * 4096 - 1) / (8 * 4096);
	}
	tap_ok(kept, "extents stay within the bound: %u for %llu bytes", heap->extents, (unsigned long long) bytes);
	harness_free(&h);
}

static void
test_damage(void)
{
	CopyHarness h;
	DsHeap	   *heap = make(&h, 12, 20, true, 1);
	DsHeapBlock *block;

	harness_grant(&h, 10);
	churn(&h, heap, 9, 2000, 8);
	block = (DsHeapBlock *) nr_ref_ptr(&h.copy, blocks[0].ref);
	block->units_used ^= 1;
	tap_ok(ds_heap_verify(&h.copy, heap) != NULL, "verify sees a wrong used bit");
	block->units_used ^= 1;
	block->prev_units++;
	tap_ok(ds_heap_verify(&h.copy, heap) != NULL, "verify sees a wrong boundary tag");
	block->prev_units--;
	block->units_used += 2;
	tap_ok(ds_heap_verify(&h.copy, heap) != NULL, "verify sees a wrong size");
	block->units_used -= 2;
	heap->fl_map ^= 4;
	tap_ok(ds_heap_verify(&h.copy, heap) != NULL, "verify sees a wrong bitmap");
	heap->fl_map ^= 4;
	tap_ok(ds_heap_verify(&h.copy, heap) == NULL, "verify is content again");
	harness_free(&h);
}

/* The blocks of the root stretch, by ds_heap_root_next: are they those of blocks[] in extent 0, in their order? */
static bool
root_blocks(const CopyHarness *h, const DsHeap *heap)
{
	uint32_t	in_root = 0;
	NrRef		last = 0;

	for (uint32_t i = 0; i < n_blocks; i++)
		in_root += blocks[i].ref >> h->copy.ref_shift == 0;
	for (NrRef ref = 0; (ref = ds_heap_root_next(&h->copy, heap, ref)) != 0;)
	{
		bool		known = false;

		for (uint32_t i = 0; i < n_blocks; i++)
			known |= blocks[i].ref == ref;
		if (!known || ref <= last || in_root-- == 0)
			return false;
		last = ref;
	}
	return in_root == 0;
}

/* All extents are forgotten with what is in them, the root stretch is as it was. */
static void
test_leave(bool root_stretch, uint64_t seed)
{
	CopyHarness h;
	DsHeap	   *heap = make(&h, 12, 60, root_stretch, seed);
	uint32_t	extents;
	uint32_t	kept = 0;
	bool		ok = true;

	ok &= ds_heap_root_next(&h.copy, heap, 0) == 0;
	harness_grant(&h, 59);
	ok &= churn(&h, heap, seed, 3000, 10) && root_blocks(&h, heap);
	extents = heap->extents;
	ds_heap_leave(&h.copy, heap);
	tap_ok(ok && extents > 5 && heap->extents == 0 && harness_in_use(&h) == 1 + extents && !ds_heap_owns(heap, 1),
		   "%u extents are left, and not given back", extents);
	tap_ok(ds_heap_verify(&h.copy, heap) == NULL && root_blocks(&h, heap), "what lies in the root stretch is still there");
	for (uint32_t i = 0; i < n_blocks; i++)
	{
		ok &= block_intact(&h, &blocks[i]);
		if (blocks[i].ref >> h.copy.ref_shift == 0)
			blocks[kept++] = blocks[i];
	}
	n_blocks = kept;
	tap_ok(ok && heap->used_blocks == kept && (kept > 0) == root_stretch, "and nothing was written, there or in what was left");
	ok &= churn(&h, heap, seed + 1, 3000, 10) && root_blocks(&h, heap);
	while (n_blocks > 0)
		block_free(&h, heap, n_blocks - 1);
	tap_ok(ok && ds_heap_verify(&h.copy, heap) == NULL && heap->extents == 0 && harness_in_use(&h) == 1 + extents &&
		   ds_heap_root_next(&h.copy, heap, 0) == 0, "it goes on from there, with other extents");
	ds_heap_leave(&h.copy, heap);
	ds_heap_leave(&h.copy, heap);
	tap_ok(ds_heap_verify(&h.copy, heap) == NULL && heap->extents == 0, "an empty one has nothing to leave");
	harness_free(&h);
}

int
main(void)
{
	test_edges();
	for (uint64_t seed = 1; seed <= 3; seed++)
	{
		test_leave(true, seed);
		test_leave(false, seed);
	}
	test_churn(12, 8, true);
	test_churn(12, 64, false);
	test_churn(16, 64, true);
	test_churn(20, 16, true);
	test_churn(24, 4, true);
	test_determinism();
	test_bound();
	test_damage();
	return tap_done();
}
