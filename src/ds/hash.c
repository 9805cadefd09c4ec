/*
 * ds/hash.c
 *		ds_hash as a dispatch table: sizes, an empty table, the need of a batch.
 *
 * The parts: hash_op.c (operations as bytes), hash_read.c, hash_write.c,
 * hash_line.c (lines of one bucket), hash_grow.c (linear hashing),
 * hash_check.c, heap.c (long entries and overflow lines).
 */
#include "ds/hash_line.h"

/* Buckets of an empty table, if the root extent has lines for them. */
#define BUCKETS_MIN		4

/* How a configuration is laid out in the root extent. */
typedef struct HashLayout
{
	uint32_t	line_shift;
	uint32_t	heap_at;		/* from the root's begin */
	size_t		root_bytes;
	uint32_t	root_lines;		/* at the end of the root extent; 0: the first segment is an extent */
} HashLayout;

static void
config_arg(const NrCopyConfig *config, DsHashArg *arg)
{
	memset(arg, 0, sizeof(*arg));
	memcpy(arg, config->arg, config->arg_bytes < sizeof(*arg) ? config->arg_bytes : sizeof(*arg));
	/* whoever makes the group checks its options; a wrong one here must only not be deadly */
	if (arg->line_bytes != 128 && arg->line_bytes != 256)
		arg->line_bytes = 64;
}

static HashLayout
layout_for(const NrCopyConfig *config)
{
	HashLayout	l;
	DsHashArg	arg;
	size_t		taken;
	size_t		dir_bytes = ((size_t) config->extents_max * sizeof(uint32_t) + 7) & ~(size_t) 7;

	config_arg(config, &arg);
	l.line_shift = (uint32_t) __builtin_ctz(arg.line_bytes);
	l.heap_at = (uint32_t) (sizeof(DsHashRoot) + dir_bytes);
	l.root_bytes = l.heap_at + ds_heap_size(config->extent_shift, config->extents_max);
	taken = nr_extent_table_bytes(config->extents_max) +
		((l.root_bytes + NR_CACHE_LINE - 1) & ~(size_t) (NR_CACHE_LINE - 1));
	l.root_lines = 0;
	if (taken < (size_t) 1 << config->extent_shift)
		l.root_lines = (uint32_t) ((((size_t) 1 << config->extent_shift) - taken) / 2 >> l.line_shift);
	return l;
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
	HashLayout	l = layout_for(config);
	DsHashRoot *root = ds_hash_root(copy);
	DsHashArg	arg;
	uint32_t	lines_per_segment = 1u << (config->extent_shift - l.line_shift);
	size_t		spare_bytes;
	size_t		spare_at = nr_copy_root_spare(copy, &spare_bytes);

	config_arg(config, &arg);
	root->magic = DS_HASH_MAGIC;
	root->seed = arg.seed;
	root->line_shift = (uint8_t) l.line_shift;
	root->seg_shift = (uint8_t) (config->extent_shift - l.line_shift);
	root->line_capacity = (uint16_t) (arg.line_bytes - sizeof(DsHashLine));
	root->inline_max = root->line_capacity / 2 > DS_HASH_INLINE_MIN ?
		root->line_capacity / 2 : DS_HASH_INLINE_MIN;
	root->heap_at = l.heap_at;
	if (l.root_lines > 0)
	{
		root->base = lines_per_segment - l.root_lines;
		root->n_min = l.root_lines < BUCKETS_MIN ? 1 : BUCKETS_MIN;
	}
	else
	{
		root->base = lines_per_segment;
		root->n_min = BUCKETS_MIN;
		root->dir[1] = nr_extent_take(copy);
		root->segments = 1;
	}
	root->n_buckets = root->n_min;
	ds_heap_init(copy, ds_hash_heap(root), spare_at,
				 spare_at + spare_bytes - ((size_t) l.root_lines << l.line_shift));
	ds_hash_reset(copy, root);
}

/*
 * Extents that n writes of so many bytes may take, from any state.
 *
 * Heap.  Let X be an extent and s what all blocks of the batch take.  A block
 * of size b is refused by an extent taken in this batch only when more than
 * X - 17/16 b of it was carved for the batch (a fresh extent is carved from its
 * front; 17/16 is the rounding to the next list).  So all fits into one extent
 * when 17/16 s <= X, and otherwise each extent but one is at least 8/17 full.
 * A put's blocks are its long entry, at most its bytes here, and an overflow
 * line; never more than two.
 *
 * Splits.  At most 2n buckets are added, each the first of a segment at most
 * once in lines-per-segment.  Their overflow lines come from free blocks only,
 * but may use room in a fresh extent that a later put of the batch was granted:
 * one line for each put is counted for that.  Only long chains left over from a
 * time without memory need more, and then a put may answer NR_NO_SPACE.
 *
 * Deletes and truncate take nothing.
 */
static uint32_t
hash_need(const NrCopyConfig *config, uint32_t n, uint64_t bytes)
{
	HashLayout	l = layout_for(config);
	uint64_t	extent = UINT64_C(1) << config->extent_shift;
	uint64_t	line = (UINT64_C(1) << l.line_shift) + (1 << NR_REF_UNIT_SHIFT);
	uint64_t	s = bytes + line * (n == 1 ? 1 : 2 * (uint64_t) n);
	uint64_t	splits = DS_HASH_SPLITS_MAX * (uint64_t) n;
	uint64_t	segments = (splits + (extent >> l.line_shift) - 1) >> (config->extent_shift - l.line_shift);
	uint64_t	heap = s + s / 16 <= extent ? 1 : 1 + (17 * s + 8 * extent - 1) / (8 * extent);

	if (n == 0)
		return 0;
	if (heap > 2 * (uint64_t) n)
		heap = 2 * (uint64_t) n;
	if (segments + heap > config->extents_max - 1)
		return config->extents_max - 1;
	return (uint32_t) (segments + heap);
}

const NrDispatch ds_hash_dispatch = {
	.name = "hash",
	.id = DS_HASH_ID,
	.size = hash_size,
	.init_extents = hash_init_extents,
	.init = hash_init,
	.dispatch = ds_hash_read,
	.dispatch_mut = ds_hash_write,
	.prefetch = ds_hash_prefetch,
	.need = hash_need,
	.checksum = ds_hash_checksum,
	.verify = ds_hash_verify,
};
