/*
 * ds/value.c
 *		Memory of long entries, shared by two copies or not.  See value.h.
 */
#include "ds/value.h"

#define DS_VALUE_MAGIC		0x6c617673u

static inline DsValueRoot *
value_root(const NrCopy *copy)
{
	return (DsValueRoot *) copy->shared_root;
}

static inline DsHeap *
value_heap(const NrCopy *copy)
{
	return (DsHeap *) (value_root(copy) + 1);
}

static DsValueTail *
tail_of(const NrCopy *copy, NrRef ref)
{
	DsHashLong *block = ds_value_at(copy, ref);

	return (DsValueTail *) ((char *) block + ds_value_capacity(copy, block));
}

static uint64_t
units_of(const NrCopy *copy, NrRef ref)
{
	return (ds_heap_capacity(ds_value_at(copy, ref)) + DS_HEAP_TAG_BYTES) >> NR_REF_UNIT_SHIFT;
}

size_t
ds_value_root_bytes(const NrCopyConfig *config)
{
	return sizeof(DsValueRoot) + ds_heap_size(config->extent_shift, config->shared_max);
}

void
ds_value_init(NrCopy *copy)
{
	NrCopy		shared = nr_copy_shared(copy);
	size_t		spare_bytes;
	size_t		spare_at = nr_copy_root_spare(&shared, &spare_bytes);

	value_root(copy)->magic = DS_VALUE_MAGIC;
	value_root(copy)->gone_first = value_root(copy)->gone_last = NR_NO_EXTENT;
	ds_heap_init(&shared, value_heap(copy), spare_at, spare_at + spare_bytes);
}

/* For the engine, which decides when to reclaim. */
static void
count_deferred(NrCopy *copy)
{
	const DsValueRoot *v = value_root(copy);

	copy->shared->deferred = v->gone +
		(uint32_t) ((v->dropped_units + (1u << copy->ref_shift) - 1) >> copy->ref_shift);
}

/* ---- taking ---- */

/* What the first pass was given under this number; 0: nothing. */
static NrRef
take_again(NrCopy *copy, uint32_t number)
{
	DsValueRoot *v = value_root(copy);
	NrRef		ref = v->taken_first;
	DsValueTail *tail;

	if (ref == 0)
		return 0;
	tail = tail_of(copy, ref);
	if (tail->number != number)
		return 0;
	v->taken_first = tail->next_taken;
	if (v->taken_first == 0)
		v->taken_last = 0;
	tail->next_taken = 0;
	return ref;
}

static void
note_taken(NrCopy *copy, NrRef ref)
{
	DsValueRoot *v = value_root(copy);

	if (v->taken_last != 0)
		tail_of(copy, v->taken_last)->next_taken = ref;
	else
		v->taken_first = ref;
	v->taken_last = ref;
}

static NrRef
take(NrCopy *copy, uint32_t number, size_t bytes)
{
	NrCopy		shared = nr_copy_shared(copy);
	NrRef		ref;

	value_root(copy)->number = number;
	ref = ds_heap_alloc(&shared, value_heap(copy), bytes + sizeof(DsValueTail), true);
	if (ref == 0)
		return 0;
	*tail_of(copy, ref) = (DsValueTail) {.next_dropped = DS_VALUE_LIVE,.number = number};
	if (copy->pass == NR_PASS_FIRST)
		note_taken(copy, ref);
	return ref;
}

NrRef
ds_value_alloc(NrCopy *copy, DsHashRoot *root, size_t bytes)
{
	NrRef		ref;

	if (copy->shared == NULL)
		return ds_heap_alloc(copy, ds_hash_heap(root), bytes, true);
	root->value_number++;
	ref = copy->pass == NR_PASS_SECOND ? take_again(copy, root->value_number) :
		take(copy, root->value_number, bytes);
	if (ref != 0)
		root->value_units += units_of(copy, ref);
	return ref;
}

/* ---- dropping ---- */

static void
set_aside(NrCopy *copy, NrRef ref)
{
	DsValueRoot *v = value_root(copy);
	DsValueTail *tail = tail_of(copy, ref);

	tail->next_dropped = 0;
	tail->dropped_seq = (uint32_t) copy->seq;
	if (v->dropped_last != 0)
		tail_of(copy, v->dropped_last)->next_dropped = ref;
	else
		v->dropped_first = ref;
	v->dropped_last = ref;
	v->dropped_units += units_of(copy, ref);
}

void
ds_value_drop(NrCopy *copy, DsHashRoot *root, NrRef ref)
{
	if (copy->shared == NULL)
	{
		ds_heap_free(copy, ds_hash_heap(root), ref);
		return;
	}
	root->value_units -= units_of(copy, ref);
	root->value_drops++;
	if (copy->pass == NR_PASS_SECOND)
		return;
	value_root(copy)->drops = root->value_drops;
	if (copy->pass == NR_PASS_FIRST)
	{
		set_aside(copy, ref);
		count_deferred(copy);
	}
	else
	{
		NrCopy		shared = nr_copy_shared(copy);

		ds_heap_free(&shared, value_heap(copy), ref);
	}
}

/*
 * An extent goes with all that is in it, as it is: blocks may still be in "taken", or in use by
 * readers.  Where its first block's tag says that nothing precedes it stands
 * the position instead, since the heap does not look there any more.
 */
static void
set_extent_aside(NrCopy *copy, uint32_t extent)
{
	DsValueRoot *v = value_root(copy);
	NrExtentTable *t = copy->shared;
	DsHeapBlock *first = nr_shared_ptr(copy, nr_ref_make(copy, extent, 0));

	first->prev_units = (uint32_t) copy->seq;
	t->words[t->capacity + extent] = NR_NO_EXTENT;
	if (v->gone_last != NR_NO_EXTENT)
		t->words[t->capacity + v->gone_last] = extent;
	else
		v->gone_first = extent;
	v->gone_last = extent;
	v->gone++;
}

void
ds_value_drop_all(NrCopy *copy, DsHashRoot *root)
{
	DsHeap	   *heap;
	NrCopy		shared;

	if (copy->shared == NULL)
		return;
	root->value_units = 0;
	root->value_drops++;
	if (copy->pass == NR_PASS_SECOND)
		return;
	value_root(copy)->drops = root->value_drops;
	heap = value_heap(copy);
	shared = nr_copy_shared(copy);
	if (copy->pass == NR_PASS_ONLY)
	{
		ds_heap_reset(&shared, heap);
		return;
	}
	for (uint32_t x = 1; x < heap->extents_max; x++)
		if (ds_heap_owns(heap, x))
			set_extent_aside(copy, x);
	ds_heap_leave(&shared, heap);
	for (NrRef ref = 0; (ref = ds_heap_root_next(&shared, heap, ref)) != 0;)
		if (tail_of(copy, ref)->next_dropped == DS_VALUE_LIVE)
			set_aside(copy, ref);
	count_deferred(copy);
}

/* ---- reclaiming ---- */

static inline bool
passed(uint32_t seq, uint64_t floor)
{
	/* the log holds far fewer than 2^31 batches */
	return (int32_t) (seq - (uint32_t) floor) < 0;
}

/* Whoever reads what has been freed should notice, in tests. */
static void
poison(void *from, size_t bytes)
{
#ifdef NR_TEST_POINTS
	memset(from, 0xdb, bytes);
#else
	(void) from;
	(void) bytes;
#endif
}

void
ds_value_reclaim(NrCopy *copy, uint64_t floor)
{
	DsValueRoot *v = value_root(copy);
	NrExtentTable *t = copy->shared;
	DsHeap	   *heap = value_heap(copy);
	NrCopy		shared = nr_copy_shared(copy);

	while (v->dropped_first != 0)
	{
		NrRef		ref = v->dropped_first;
		DsValueTail *tail = tail_of(copy, ref);
		uint32_t	extent = ref >> copy->ref_shift;

		if (!passed(tail->dropped_seq, floor))
			break;
		v->dropped_first = tail->next_dropped;
		v->dropped_units -= units_of(copy, ref);
		/* an extent that is set aside comes later than what was dropped in it before */
		if (extent != 0 && !ds_heap_owns(heap, extent))
			continue;
		poison(ds_value_at(copy, ref), ds_heap_capacity(ds_value_at(copy, ref)));
		ds_heap_free(&shared, heap, ref);
	}
	if (v->dropped_first == 0)
		v->dropped_last = 0;
	while (v->gone_first != NR_NO_EXTENT)
	{
		uint32_t	extent = v->gone_first;
		DsHeapBlock *first = nr_shared_ptr(copy, nr_ref_make(copy, extent, 0));

		if (!passed(first->prev_units, floor))
			break;
		v->gone_first = t->words[t->capacity + extent];
		v->gone--;
		poison(first, nr_extent_bytes(copy));
		nr_extent_give(&shared, extent);
	}
	if (v->gone_first == NR_NO_EXTENT)
		v->gone_last = NR_NO_EXTENT;
	count_deferred(copy);
}

/* ---- checking ---- */

bool
ds_value_sound(const NrCopy *copy, DsHashRoot *root, NrRef ref)
{
	uint32_t	extent = ref >> copy->ref_shift;
	uint32_t	units = 1u << copy->ref_shift;
	const DsHeapBlock *block;

	if (copy->shared == NULL)
		return ds_hash_block_sound(copy, root, ref);
	/* the older copy may refer to extents that were set aside */
	if (extent >= copy->shared->capacity || ref == 0)
		return false;
	block = nr_shared_ptr(copy, ref);
	return (block->units_used & 1) != 0 && block->units_used >> 1 <= units - (ref & (units - 1)) &&
		ds_heap_capacity((const char *) block + DS_HEAP_TAG_BYTES) >= sizeof(DsHashLong) + sizeof(DsValueTail);
}

static const char *
verify_taken(const NrCopy *copy)
{
	const DsValueRoot *v = value_root(copy);
	NrRef		last = 0;
	uint64_t	units = (uint64_t) copy->shared->capacity << copy->ref_shift;

	for (NrRef ref = v->taken_first; ref != 0; ref = tail_of(copy, ref)->next_taken)
	{
		/* no more blocks than units */
		if (!ds_value_sound(copy, NULL, ref) || units-- == 0)
			return "value: what the second pass is to take leads astray";
		last = ref;
	}
	return last == v->taken_last ? NULL : "value: the last of what was taken is not the last";
}

/* Counts what the heap still owns of it. */
static const char *
verify_dropped(const NrCopy *copy, uint64_t *dropped)
{
	const DsValueRoot *v = value_root(copy);
	const DsHeap *heap = value_heap(copy);
	uint64_t	units = 0;
	NrRef		last = 0;

	for (NrRef ref = v->dropped_first; ref != 0; ref = tail_of(copy, ref)->next_dropped)
	{
		uint32_t	extent = ref >> copy->ref_shift;

		if (ref == DS_VALUE_LIVE || !ds_value_sound(copy, NULL, ref))
			return "value: what was dropped leads astray";
		units += units_of(copy, ref);
		if (units > v->dropped_units)
			return "value: more was dropped than counted";
		*dropped += extent == 0 || ds_heap_owns(heap, extent);
		last = ref;
	}
	if (last != v->dropped_last || units != v->dropped_units)
		return "value: what was dropped is not what was counted";
	return NULL;
}

static const char *
verify_gone(const NrCopy *copy)
{
	const DsValueRoot *v = value_root(copy);
	const NrExtentTable *t = copy->shared;
	const DsHeap *heap = value_heap(copy);
	uint32_t	last = NR_NO_EXTENT;
	uint32_t	n = 0;

	for (uint32_t x = v->gone_first; x != NR_NO_EXTENT; x = t->words[t->capacity + x])
	{
		if (x == 0 || x >= t->capacity || ds_heap_owns(heap, x) || n++ == v->gone)
			return "value: the extents that were set aside lead astray";
		last = x;
	}
	if (last != v->gone_last || n != v->gone ||
		t->mapped_count != t->free_count + 1 + heap->extents + v->gone)
		return "value: an extent is lost";
	return NULL;
}

const char *
ds_value_verify(const NrCopy *copy, const DsHashRoot *root, uint64_t live)
{
	NrCopy		shared;
	const DsValueRoot *v = value_root(copy);
	uint64_t	dropped = 0;
	const char *broken;

	if (copy->shared == NULL)
		return NULL;
	shared = nr_copy_shared(copy);
	if (v->magic != DS_VALUE_MAGIC)
		return "value: no shared memory here";
	broken = ds_heap_verify(&shared, value_heap(copy));
	if (!broken)
		broken = verify_taken(copy);
	if (!broken)
		broken = verify_dropped(copy, &dropped);
	if (!broken)
		broken = verify_gone(copy);
	if (broken)
		return broken;
	/* only a copy that is as far as the other one refers to all that is there */
	if (root->value_number == v->number && root->value_drops == v->drops &&
		value_heap(copy)->used_blocks != live + dropped)
		return "value: a block belongs to nobody";
	return NULL;
}
