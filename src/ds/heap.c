/*
 * ds/heap.c
 *		Two-level segregated fit over extents.  See heap.h.
 *
 * Masmano et al. 2004.  Sizes are counted in 16-byte units.  Below 16 units
 * there is one list for each size; above, 16 lists for each power of two.  A
 * request is rounded up to the next list's lower bound, so that the head of any
 * list found fits without looking further ("good fit": at most 1/16 is left
 * unused, and that remainder is a free block again).
 *
 * A block never crosses an extent.  The end of an extent needs no mark, because
 * the offset in the reference is then 0.  The stretch in the root extent ends
 * with one unit that is in use for ever.
 */
#include "ds/heap_block.h"

/* When no surely fitting list has a block, so many blocks of the request's own list are tried. */
#define OWN_LIST_TRIES	8

/* The first list all of whose blocks have at least this size. */
static inline uint32_t
list_fitting(uint32_t units)
{
	return list_of(ds_heap_units_sure(units));
}

size_t
ds_heap_size(uint32_t extent_shift, uint32_t extents_max)
{
	return offsetof(DsHeap, heads) + lists_for(extent_shift) * sizeof(NrRef) +
		(extents_max + 63) / 64 * sizeof(uint64_t);
}

bool
ds_heap_owns(const DsHeap *heap, uint32_t extent)
{
	return extent < heap->extents_max &&
		(owner_map(heap)[extent / 64] >> (extent % 64) & 1) != 0;
}

static void
list_push(const NrCopy *copy, DsHeap *heap, NrRef ref, DsHeapBlock *block)
{
	uint32_t	list = list_of(block_units(block));
	NrRef		head = heap->heads[list];

	block->next_free = head;
	block->prev_free = 0;
	if (head != 0)
		block_at(copy, head)->prev_free = ref;
	heap->heads[list] = ref;
	heap->sl_map[list >> DS_HEAP_SL_SHIFT] |= (uint16_t) (1u << (list & (DS_HEAP_SL - 1)));
	heap->fl_map |= 1u << (list >> DS_HEAP_SL_SHIFT);
}

static void
list_remove(const NrCopy *copy, DsHeap *heap, const DsHeapBlock *block)
{
	uint32_t	list = list_of(block_units(block));
	uint32_t	fl = list >> DS_HEAP_SL_SHIFT;

	if (block->next_free != 0)
		block_at(copy, block->next_free)->prev_free = block->prev_free;
	if (block->prev_free != 0)
		block_at(copy, block->prev_free)->next_free = block->next_free;
	else
	{
		heap->heads[list] = block->next_free;
		if (block->next_free == 0)
		{
			heap->sl_map[fl] &= (uint16_t) ~(1u << (list & (DS_HEAP_SL - 1)));
			if (heap->sl_map[fl] == 0)
				heap->fl_map &= ~(1u << fl);
		}
	}
}

/* A free block of this size or more, or 0; it stays in its list. */
static NrRef
list_find(const NrCopy *copy, const DsHeap *heap, uint32_t units)
{
	uint32_t	list = list_fitting(units);
	uint32_t	fl = list >> DS_HEAP_SL_SHIFT;
	uint32_t	own = list_of(units);
	uint32_t	sl_map = heap->sl_map[fl] & (~0u << (list & (DS_HEAP_SL - 1)));
	NrRef		ref;

	if (sl_map == 0)
	{
		uint32_t	fl_map = heap->fl_map & (~0u << (fl + 1));

		if (fl_map != 0)
		{
			fl = (uint32_t) __builtin_ctz(fl_map);
			sl_map = heap->sl_map[fl];
		}
	}
	if (sl_map != 0)
		return heap->heads[(fl << DS_HEAP_SL_SHIFT) + (uint32_t) __builtin_ctz(sl_map)];

	/*
	 * Only smaller lists are left.  The request's own list may hold a block
	 * that fits; a bounded look at it spares an extent.
	 */
	if (own == list)
		return 0;
	ref = heap->heads[own];
	for (int i = 0; ref != 0 && i < OWN_LIST_TRIES; i++)
	{
		const DsHeapBlock *block = block_at(copy, ref);

		if (block_units(block) >= units)
			return ref;
		ref = block->next_free;
	}
	return 0;
}

/*
 * Write the tag of a free block and put it into its list.  The neighbours are
 * known to be in use, or to be the ends of the extent.
 */
static void
make_free(const NrCopy *copy, DsHeap *heap, NrRef ref, uint32_t prev_units, uint32_t units)
{
	DsHeapBlock *block = block_at(copy, ref);
	DsHeapBlock *after = block_after(copy, ref, units);

	block->prev_units = prev_units;
	block->units_used = units << 1;
	if (after)
		after->prev_units = units;
	list_push(copy, heap, ref, block);
}

/* Turn the first units of a block that is in no list into a used one; the rest becomes free. */
static void
carve(const NrCopy *copy, DsHeap *heap, NrRef ref, uint32_t units)
{
	DsHeapBlock *block = block_at(copy, ref);
	uint32_t	rest = block_units(block) - units;

	block->units_used = units << 1 | 1;
	if (rest > 0)
		make_free(copy, heap, ref + units, units, rest);
}

NrRef
ds_heap_alloc(NrCopy *copy, DsHeap *heap, size_t bytes, bool may_take)
{
	size_t		units = ds_heap_units(bytes);
	NrRef		ref;

	if (bytes > nr_extent_bytes(copy) || units > extent_units(copy))
		return 0;
	ref = list_find(copy, heap, (uint32_t) units);
	if (ref != 0)
		list_remove(copy, heap, block_at(copy, ref));
	else
	{
		uint32_t	extent = may_take ? nr_extent_take(copy) : NR_NO_EXTENT;
		DsHeapBlock *block;

		if (extent == NR_NO_EXTENT)
			return 0;
		owner_map(heap)[extent / 64] |= UINT64_C(1) << (extent % 64);
		heap->extents++;
		ref = nr_ref_make(copy, extent, 0);
		block = block_at(copy, ref);
		block->prev_units = 0;
		block->units_used = extent_units(copy) << 1;
	}
	carve(copy, heap, ref, (uint32_t) units);
	heap->used_units += units;
	heap->used_blocks++;
	return ref;
}

void
ds_heap_free(NrCopy *copy, DsHeap *heap, NrRef ref)
{
	DsHeapBlock *block = block_at(copy, ref);
	uint32_t	units = block_units(block);
	uint32_t	prev_units = block->prev_units;
	DsHeapBlock *after = block_after(copy, ref, units);

	heap->used_units -= units;
	heap->used_blocks--;
	if (after && !block_used(after))
	{
		list_remove(copy, heap, after);
		units += block_units(after);
	}
	if (prev_units != 0)
	{
		DsHeapBlock *before = block_at(copy, ref - prev_units);

		if (!block_used(before))
		{
			list_remove(copy, heap, before);
			ref -= prev_units;
			units += prev_units;
			prev_units = before->prev_units;
		}
	}
	if (units == extent_units(copy))
	{
		uint32_t	extent = ref >> copy->ref_shift;

		owner_map(heap)[extent / 64] &= ~(UINT64_C(1) << (extent % 64));
		heap->extents--;
		nr_extent_give(copy, extent);
	}
	else
		make_free(copy, heap, ref, prev_units, units);
}

void
ds_heap_shrink(NrCopy *copy, DsHeap *heap, NrRef ref, size_t bytes)
{
	DsHeapBlock *block = block_at(copy, ref);
	uint32_t	units = (uint32_t) ds_heap_units(bytes);
	uint32_t	rest = block_units(block) - units;
	DsHeapBlock *after;

	if (block_units(block) <= units)
		return;
	after = block_after(copy, ref, block_units(block));
	block->units_used = units << 1 | 1;
	heap->used_units -= rest;
	if (after && !block_used(after))
	{
		list_remove(copy, heap, after);
		rest += block_units(after);
	}
	make_free(copy, heap, ref + units, units, rest);
}

/* The root stretch as one free block, with its end mark. */
static void
make_root_stretch(const NrCopy *copy, DsHeap *heap)
{
	DsHeapBlock *end;

	if (heap->root_first == 0)
		return;
	end = block_at(copy, heap->root_first + heap->root_units);
	memset(end, 0, sizeof(*end));
	end->units_used = 1 << 1 | 1;
	make_free(copy, heap, heap->root_first, 0, heap->root_units);
}

void
ds_heap_init(NrCopy *copy, DsHeap *heap, size_t from, size_t to)
{
	memset(heap, 0, ds_heap_size(copy->extent_shift, copy->table->capacity));
	heap->lists = lists_for(copy->extent_shift);
	heap->extents_max = copy->table->capacity;
	from = (from + sizeof(DsHeapBlock) - 1) >> NR_REF_UNIT_SHIFT;
	to >>= NR_REF_UNIT_SHIFT;
	if (to > from + 2)
	{
		heap->root_first = (uint32_t) from;
		heap->root_units = (uint32_t) (to - from) - 1;
	}
	make_root_stretch(copy, heap);
}

static void
forget_blocks(DsHeap *heap)
{
	heap->extents = 0;
	heap->used_blocks = 0;
	heap->used_units = 0;
	heap->fl_map = 0;
	memset(heap->sl_map, 0, sizeof(heap->sl_map));
	memset(heap->heads, 0, heap->lists * sizeof(NrRef));
}

void
ds_heap_reset(NrCopy *copy, DsHeap *heap)
{
	uint64_t   *owner = owner_map(heap);

	for (uint32_t w = 0; w < (heap->extents_max + 63) / 64; w++)
		for (; owner[w] != 0; owner[w] &= owner[w] - 1)
			nr_extent_give(copy, w * 64 + (uint32_t) __builtin_ctzll(owner[w]));
	forget_blocks(heap);
	make_root_stretch(copy, heap);
}

/* The blocks of the root stretch, one after the other; 0: its end. */
static NrRef
root_block_after(const NrCopy *copy, const DsHeap *heap, NrRef ref)
{
	if (ref == 0)
		ref = heap->root_first;
	else
		ref += block_units(block_at(copy, ref));
	return ref < heap->root_first + heap->root_units ? ref : 0;
}

NrRef
ds_heap_root_next(const NrCopy *copy, const DsHeap *heap, NrRef after)
{
	while ((after = root_block_after(copy, heap, after)) != 0 && !block_used(block_at(copy, after)))
		;
	return after;
}

void
ds_heap_leave(const NrCopy *copy, DsHeap *heap)
{
	memset(owner_map(heap), 0, (heap->extents_max + 63) / 64 * sizeof(uint64_t));
	forget_blocks(heap);
	for (NrRef ref = 0; (ref = root_block_after(copy, heap, ref)) != 0;)
	{
		DsHeapBlock *block = block_at(copy, ref);

		if (!block_used(block))
			list_push(copy, heap, ref, block);
		else
		{
			heap->used_blocks++;
			heap->used_units += block_units(block);
		}
	}
}

uint64_t
ds_heap_free_bytes(const NrCopy *copy, const DsHeap *heap)
{
	uint64_t	units = heap->root_units +
		((uint64_t) heap->extents << copy->ref_shift);

	return (units - heap->used_units) << NR_REF_UNIT_SHIFT;
}
