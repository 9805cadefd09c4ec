/*
 * ds/hash.c
 *		ds_hash as a dispatch table: sizes, an empty table.
 *
 * The parts: hash_op.c (operations as bytes), hash_read.c, hash_write.c and
 * hash_update.c, hash_line.c (lines of one bucket), hash_grow.c (linear
 * hashing), hash_order.c and hash_note.c (order numbers), hash_need.c (the memory of a
 * batch), hash_check.c, heap.c (overflow lines, notes, long entries), value.c (long entries,
 * shared by two copies or not).
 */
#include "ds/hash_line.h"

/* Buckets of an empty table, if the root extent has lines for them. */
#define BUCKETS_MIN		4

DsHashLayout
ds_hash_layout(uint32_t extent_shift, uint32_t extents_max, uint32_t line_shift)
{
	DsHashLayout l;
	uint32_t	lines_per_segment = 1u << (extent_shift - line_shift);
	size_t		taken;
	size_t		dir_bytes = ((size_t) extents_max * sizeof(uint32_t) + 7) & ~(size_t) 7;

	l.heap_at = (uint32_t) (sizeof(DsHashRoot) + dir_bytes);
	l.root_bytes = l.heap_at + ds_heap_size(extent_shift, extents_max);
	taken = nr_extent_table_bytes(extents_max) +
		((l.root_bytes + NR_CACHE_LINE - 1) & ~(size_t) (NR_CACHE_LINE - 1));
	l.root_lines = 0;
	if (taken < (size_t) 1 << extent_shift)
		l.root_lines = (uint32_t) ((((size_t) 1 << extent_shift) - taken) / 2 >> line_shift);
	l.base = lines_per_segment - l.root_lines;
	l.n_min = l.root_lines > 0 && l.root_lines < BUCKETS_MIN ? 1 : BUCKETS_MIN;
	return l;
}

static DsHashLayout
layout_for(const NrCopyConfig *config)
{
	return ds_hash_layout(config->extent_shift, config->extents_max, (uint32_t) __builtin_ctz(ds_line_bytes(config)));
}

static size_t
hash_size(const NrCopyConfig *config)
{
	return layout_for(config).root_bytes;
}

static uint32_t
hash_init_extents(const NrCopyConfig *config)
{
	return layout_for(config).root_lines == 0 ? 1 : 0;
}

static void
hash_init(NrCopy *copy, const NrCopyConfig *config)
{
	DsHashLayout l = layout_for(config);
	DsHashRoot *root = ds_hash_root(copy);
	DsHashArg	arg = {0};
	uint32_t	line_bytes = ds_line_bytes(config);
	uint32_t	line_shift = (uint32_t) __builtin_ctz(line_bytes);
	size_t		spare_bytes;
	size_t		spare_at = nr_copy_root_spare(copy, &spare_bytes);

	memcpy(&arg, config->arg, config->arg_bytes < sizeof(arg) ? config->arg_bytes : sizeof(arg));
	root->magic = DS_HASH_MAGIC;
	root->seed = arg.seed;
	root->line_shift = (uint8_t) line_shift;
	root->seg_shift = (uint8_t) (config->extent_shift - line_shift);
	root->line_capacity = (uint16_t) (line_bytes - sizeof(DsHashLine));
	root->inline_max = ds_line_inline_max(root->line_capacity);
	root->heap_at = l.heap_at;
	root->base = l.base;
	root->n_min = l.n_min;
	if (l.root_lines == 0)
	{
		root->dir[1] = nr_extent_take(copy);
		root->segments = 1;
	}
	root->n_buckets = root->n_min;
	ds_heap_init(copy, ds_hash_heap(root), spare_at,
				 spare_at + spare_bytes - ((size_t) l.root_lines << line_shift));
	ds_hash_reset(copy, root);
	if (copy->shared != NULL && copy->pass != NR_PASS_SECOND)
		ds_value_init(copy);
}

const NrDispatch ds_hash_dispatch = {
	.name = "hash",
	.id = DS_HASH_ID,
	.size = hash_size,
	.init_extents = hash_init_extents,
	.init = hash_init,
	.shared_size = ds_value_root_bytes,
	.reclaim = ds_value_reclaim,
	.dispatch = ds_hash_read,
	.dispatch_mut = ds_hash_write,
	.prefetch = ds_hash_prefetch,
	.need = ds_hash_need,
	.need_ops = ds_hash_need_ops,
	.ordered = ds_hash_ordered,
	.checksum = ds_hash_checksum,
	.verify = ds_hash_verify,
};
