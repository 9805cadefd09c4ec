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
 *	truncate	nothing
 *
 * Only long entries, own lines and notes take extents for the heap, but
 * whatever else is allocated may use room in them: heap_need.c turns the whole into a
 * number.  Purging, merging and freeing only give.
 */
#include "ds/hash_line.h"
#include "ds/hash_note.h"

/* The longest overflow line: nobody asks for more entry bytes than a bucket's own line has. */
static size_t
line_payload_max(uint32_t line_bytes)
{
	return line_bytes;
}

static DsHashArg
config_arg(const NrCopyConfig *config)
{
	DsHashArg	arg = {0};

	memcpy(&arg, config->arg, config->arg_bytes < sizeof(arg) ? config->arg_bytes : sizeof(arg));
	arg.line_bytes = ds_line_bytes(&arg);
	return arg;
}

static uint64_t
segments_for(const NrCopyConfig *config, uint32_t line_bytes, uint64_t splits)
{
	uint64_t	lines = (UINT64_C(1) << config->extent_shift) / line_bytes;

	return (splits + lines - 1) / lines;
}

/*
 * By number and bytes only, without order numbers: an operation's bytes cover its
 * long entry; two lines, or of a batch of one its own line alone, since
 * nothing is allocated after what splits append.
 */
uint32_t
ds_hash_need(const NrCopyConfig *config, uint32_t n, uint64_t bytes)
{
	uint32_t	line_bytes = config_arg(config).line_bytes;
	uint32_t	shift = config->extent_shift;
	uint64_t	extents;
	DsHeapBatch batch = {.units = bytes >> NR_REF_UNIT_SHIFT, .takes = n, .big = n};

	if (n == 0)
		return 0;
	batch.largest = UINT64_C(1) << (shift - NR_REF_UNIT_SHIFT);
	ds_heap_batch_add(&batch, shift, n, line_payload_max(line_bytes), true);
	if (n > 1)
		ds_heap_batch_add(&batch, shift, n, line_payload_max(line_bytes), false);
	extents = segments_for(config, line_bytes, DS_HASH_SPLITS_MAX * (uint64_t) n) +
		ds_heap_batch_extents(&batch, shift);
	return (uint32_t) (extents < config->extents_max ? extents : config->extents_max - 1);
}

static void
need_put(const NrCopyConfig *config, uint32_t line_bytes, uint64_t bytes, DsHeapBatch *batch, uint64_t *splits)
{
	uint32_t	line_capacity = line_bytes - (uint32_t) sizeof(DsHashLine);
	uint32_t	step = DS_HASH_LONG_STEP;
	DsHashBudget budget;

	if (DS_HASH_HEAD_BYTES + bytes <= ds_line_inline_max(line_capacity))
		step = DS_HASH_HEAD_BYTES + (uint32_t) bytes;
	else
		ds_heap_batch_add(batch, config->extent_shift, 1, sizeof(DsHashLong) + bytes, true);
	budget = ds_hash_budget(line_capacity, step);
	*splits += budget.splits;
	ds_heap_batch_add(batch, config->extent_shift, 1, line_payload_max(line_bytes), true);
	ds_heap_batch_add(batch, config->extent_shift, budget.lines - 1, line_payload_max(line_bytes), false);
}

/* Not capped by the quota: who asks for more than there can be must be refused. */
uint32_t
ds_hash_need_ops(const NrCopyConfig *config, const void *ops, size_t bytes, uint32_t n, bool ordered)
{
	uint32_t	line_bytes = config_arg(config).line_bytes;
	const char *at = ops;
	const char *end = at + bytes;
	DsHeapBatch batch = {0};
	uint64_t	splits = 0;
	uint64_t	extents;

	for (; n > 0 && (size_t) (end - at) >= sizeof(NrOpHeader); n--)
	{
		const NrOpHeader *op = (const NrOpHeader *) at;
		DsHashParts parts;

		if (op->bytes < sizeof(*op) || op->bytes > (size_t) (end - at))
			break;
		at += op->bytes;
		/* what no table takes needs nothing */
		if (sizeof(*op) + (uint64_t) op->payload_bytes > op->bytes || !ds_hash_op_parts(op, &parts) ||
			(uint64_t) parts.key_bytes + parts.value_bytes > ds_hash_entry_max(config->extent_shift))
			continue;
		if (op->code == DS_HASH_PUT || op->code >= DS_HASH_SWAP)
			need_put(config, line_bytes, (uint64_t) parts.key_bytes + parts.value_bytes, &batch, &splits);
		if (ordered)
			ds_heap_batch_add(&batch, config->extent_shift, 1, sizeof(DsHashNote) + parts.key_bytes, true);
	}
	extents = segments_for(config, line_bytes, splits) + ds_heap_batch_extents(&batch, config->extent_shift);
	return extents < UINT32_MAX ? (uint32_t) extents : UINT32_MAX;
}
