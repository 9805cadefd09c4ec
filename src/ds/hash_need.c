/*
 * ds/hash_need.c
 *		The extents that a batch of writes may take, from any state.
 *
 * What one write takes at most, in blocks of the heap and buckets:
 *
 *	put		a long entry's block; an overflow line for the entry; what
 *			ds_hash_budget gives it for splits and merges: so many buckets, each
 *			the first of a segment at most once in lines-per-segment, and so
 *			many overflow lines, its own included; a note if it has an order number
 *	swap, compare and swap, add: what a put of the value that they store takes (a
 *			number is shorter than its operation says); they have no order number
 *	delete	a note if it has an order number
 *	truncate	nothing; but extents that are shared are set aside by it with what is still free in
 *			them, so what comes behind it is reckoned by itself
 *
 * Only long entries, own lines and notes take extents for the heap, but
 * whatever else is allocated may use room in them: heap_need.c turns the whole into a
 * number.  Purging, merging and freeing only give.  Long entries that two copies share are
 * reckoned by themselves.
 */
#include "ds/hash_line.h"
#include "ds/hash_note.h"

/* The longest overflow line: nobody asks for more entry bytes than a bucket's own line has. */
static size_t
line_payload_max(uint32_t line_bytes)
{
	return line_bytes;
}

static uint64_t
segments_for(const NrCopyConfig *config, uint32_t line_bytes, uint64_t splits)
{
	uint32_t	shift = config->extent_shift - (uint32_t) __builtin_ctz(line_bytes);	/* powers of two */

	return (splits + (UINT64_C(1) << shift) - 1) >> shift;
}

/* Long entries of up to n operations of so many bytes. */
static inline void
add_long(DsHeapBatch *batch, uint32_t shift, uint32_t n, uint64_t bytes)
{
	batch->units = bytes >> NR_REF_UNIT_SHIFT;
	batch->takes = batch->big = n;
	batch->largest = UINT64_C(1) << (shift - NR_REF_UNIT_SHIFT);
}

/* An operation has more bytes than the entry, also when that is shared; and short ones cannot be of long entries. */
static uint32_t
need_shared(const NrCopyConfig *config, uint32_t line_bytes, uint32_t n, uint64_t bytes)
{
	uint32_t	inline_max = ds_line_inline_max(line_bytes - (uint32_t) sizeof(DsHashLine));
	uint64_t	least = ds_hash_op_bytes(0, 0) + inline_max - DS_HASH_HEAD_BYTES + 1;
	uint64_t	longs = bytes / least < n ? bytes / least : n;
	DsHeapBatch batch = {0};
	uint64_t	extents;

	if (longs == 0)
		return 0;
	add_long(&batch, config->extent_shift, (uint32_t) longs, bytes);
	extents = ds_heap_batch_extents(&batch, config->extent_shift);
	return (uint32_t) (extents < config->shared_max ? extents : config->shared_max - 1);
}

/*
 * By number and bytes only, without order numbers: an operation's bytes cover its
 * long entry; two lines, or of a batch of one its own line alone, since
 * nothing is allocated after what splits append.
 */
NrNeed
ds_hash_need(const NrCopyConfig *config, uint32_t n, uint64_t bytes)
{
	uint32_t	line_bytes = ds_line_bytes(config);
	uint32_t	shift = config->extent_shift;
	bool		shares = config->shared_max > 0;
	DsHeapBatch batch = {0};
	uint64_t	extents;
	NrNeed		need = {0};

	if (n == 0)
		return need;
	if (shares)
		need.shared = need_shared(config, line_bytes, n, bytes);
	else
		add_long(&batch, shift, n, bytes);
	ds_heap_batch_add(&batch, shift, n, line_payload_max(line_bytes), true);
	if (n > 1)
		ds_heap_batch_add(&batch, shift, n, line_payload_max(line_bytes), false);
	extents = segments_for(config, line_bytes, DS_HASH_SPLITS_MAX * (uint64_t) n) +
		ds_heap_batch_extents(&batch, shift);
	need.extents = (uint32_t) (extents < config->extents_max ? extents : config->extents_max - 1);
	return need;
}

/* What the puts of a batch take: in the copy's heap, for long entries (the same, or shared), buckets. */
typedef struct HashNeed
{
	DsHeapBatch heap;
	DsHeapBatch values;
	uint64_t	splits;
} HashNeed;

static void
need_put(const NrCopyConfig *config, uint32_t line_bytes, uint64_t bytes, HashNeed *need)
{
	bool		shares = config->shared_max > 0;
	uint32_t	line_capacity = line_bytes - (uint32_t) sizeof(DsHashLine);
	uint32_t	step = DS_HASH_LONG_STEP;
	DsHashBudget budget;

	if (DS_HASH_HEAD_BYTES + bytes <= ds_line_inline_max(line_capacity))
		step = DS_HASH_HEAD_BYTES + (uint32_t) bytes;
	else
		ds_heap_batch_add(shares ? &need->values : &need->heap, config->extent_shift, 1,
						  sizeof(DsHashLong) + bytes + (shares ? DS_VALUE_TAIL_BYTES : 0), true);
	budget = ds_hash_budget(line_capacity, step);
	need->splits += budget.splits;
	ds_heap_batch_add(&need->heap, config->extent_shift, 1, line_payload_max(line_bytes), true);
	ds_heap_batch_add(&need->heap, config->extent_shift, budget.lines - 1, line_payload_max(line_bytes), false);
}

static uint32_t
to_uint32(uint64_t n)
{
	return n < UINT32_MAX ? (uint32_t) n : UINT32_MAX;
}

/* Not capped by the quota: who asks for more than there can be must be refused. */
NrNeed
ds_hash_need_ops(const NrCopyConfig *config, const void *ops, size_t bytes, uint32_t n, bool ordered)
{
	uint32_t	line_bytes = ds_line_bytes(config);
	const char *at = ops;
	const char *end = at + bytes;
	HashNeed	need = {0};
	uint64_t	shared = 0;
	NrNeed		extents;

	for (; n > 0 && (size_t) (end - at) >= sizeof(NrOpHeader); n--)
	{
		const NrOpHeader *op = (const NrOpHeader *) at;
		DsHashParts parts;

		if (op->bytes < sizeof(*op) || op->bytes > (size_t) (end - at))
			break;
		at += op->bytes;
		if (op->code == DS_HASH_TRUNCATE)
		{
			/* what was taken before is set aside with all that is free in it */
			shared += ds_heap_batch_extents(&need.values, config->extent_shift);
			need.values = (DsHeapBatch) {0};
		}
		/* what no table takes needs nothing */
		if (sizeof(*op) + (uint64_t) op->payload_bytes > op->bytes || !ds_hash_op_parts(op, &parts) ||
			(uint64_t) parts.key_bytes + parts.value_bytes > ds_hash_entry_max(config->extent_shift))
			continue;
		if (op->code == DS_HASH_PUT || op->code >= DS_HASH_SWAP)
			need_put(config, line_bytes, (uint64_t) parts.key_bytes + parts.value_bytes, &need);
		if (ordered)
			ds_heap_batch_add(&need.heap, config->extent_shift, 1, sizeof(DsHashNote) + parts.key_bytes, true);
	}
	extents.extents = to_uint32(segments_for(config, line_bytes, need.splits) +
								ds_heap_batch_extents(&need.heap, config->extent_shift));
	extents.shared = to_uint32(shared + ds_heap_batch_extents(&need.values, config->extent_shift));
	return extents;
}
