/*
 * ds/hash_grow.c
 *		The table grows and shrinks by one bucket at a time.
 *
 * Linear hashing (Litwin, VLDB 1980), with a fixed fill to steer it and a
 * directory of segments as in Larson (CACM 1988).  Buckets split in the order
 * of their numbers, so two numbers in the root say all there is to know, and a
 * write does the same small work at any size of the table.
 *
 * BEST EFFORT.  A split or merge that cannot have its memory does not happen,
 * leaves nothing changed, and is tried again by the next write: chains are
 * longer meanwhile, no write fails.  A split takes an extent only for a segment
 * and never for overflow lines; merges take none.  So they cannot use up more
 * of a grant than ds_hash_dispatch.need counts for them.
 *
 * The work of one split is proportional to the chain that is split.  Chains are
 * a few lines long unless there was no memory to split for a long while, or
 * somebody knows the seed and floods one bucket.
 */
#include "ds/hash_line.h"

/* Which entries of a chain move: hash & mask == want. */
typedef struct HashPick
{
	uint32_t	mask;
	uint32_t	want;
} HashPick;

static inline bool
picked(const DsHashRoot *root, const HashPick *pick, const uint8_t *entry)
{
	return pick->mask == 0 || (ds_entry_hash(root, entry) & pick->mask) == pick->want;
}

/* The mask for n buckets. */
static uint32_t
mask_for(uint32_t n)
{
	return n <= 1 ? 0 : UINT32_MAX >> __builtin_clz(n - 1);
}

/* Free all lines behind this one. */
static void
drop_chain(NrCopy *copy, DsHashRoot *root, DsHashLine *line)
{
	while (line->next != 0)
		ds_line_unlink_next(copy, root, line);
}

/*
 * Make room in chain "to" for the picked entries of chain "from": walk as
 * move_entries will, and append the lines that will be missing.
 */
static bool
reserve_lines(NrCopy *copy, DsHashRoot *root, DsHashLine *from, DsHashLine *to, const HashPick *pick)
{
	DsHashLine *at = to;
	DsHashLine *old_tail = to;
	uint32_t	room = ds_line_capacity(root, to, true) - to->used;

	if (from->next == 0 && from->used <= room)
		return true;
	for (DsHashLine *next; (next = ds_hash_line_next(copy, old_tail)) != NULL;)
		old_tail = next;
	for (; from; from = ds_hash_line_next(copy, from))
	{
		uint8_t    *end = ds_line_end(from);

		for (uint8_t *entry = from->entry; entry < end; entry += entry[0])
		{
			if (!picked(root, pick, entry))
				continue;
			while (entry[0] > room)
			{
				at = at->next != 0 ? ds_hash_line_next(copy, at) :
					ds_line_append(copy, root, at, entry[0], false);
				if (!at)
				{
					drop_chain(copy, root, old_tail);
					return false;
				}
				room = ds_line_capacity(root, at, false) - at->used;
			}
			room -= entry[0];
		}
	}
	return true;
}

/* Move the picked entries; reserve_lines has made the room. */
static void
move_entries(const NrCopy *copy, const DsHashRoot *root, DsHashLine *from, DsHashLine *to, const HashPick *pick)
{
	uint32_t	room = ds_line_capacity(root, to, true) - to->used;

	for (; from; from = ds_hash_line_next(copy, from))
	{
		uint8_t    *end = ds_line_end(from);
		uint8_t    *keep = from->entry;
		uint32_t	kept = 0;
		uint32_t	step;

		for (uint8_t *entry = from->entry; entry < end; entry += step)
		{
			step = entry[0];
			if (!picked(root, pick, entry))
			{
				if (keep != entry)
					memmove(keep, entry, step);
				keep += step;
				kept++;
				continue;
			}
			while (step > room)
			{
				to = ds_hash_line_next(copy, to);
				room = ds_line_capacity(root, to, false) - to->used;
			}
			memcpy(ds_line_push(to, step, entry[1]), entry, step);
			room -= step;
		}
		ds_line_keep(from, (size_t) (keep - from->entry), kept);
	}
}

/* Pull a chain together after entries have left it. */
static void
compact_chain(NrCopy *copy, DsHashRoot *root, DsHashLine *first)
{
	DsHashLine *prev = NULL;
	DsHashLine *line = first;

	while (line)
	{
		while (ds_line_pull(copy, root, line, line == first))
			;
		if (prev && line->used == 0)
			ds_line_unlink_next(copy, root, prev);
		else
			prev = line;
		line = ds_hash_line_next(copy, prev);
	}
}

static void
set_buckets(DsHashRoot *root, uint32_t n)
{
	root->n_buckets = n;
	root->mask = mask_for(n);
}

static bool
first_in_segment(const DsHashRoot *root, uint32_t bucket)
{
	return ((root->base + bucket) & ((1u << root->seg_shift) - 1)) == 0;
}

static bool
segment_take(NrCopy *copy, DsHashRoot *root, uint32_t bucket)
{
	uint32_t	extent = nr_extent_take(copy);

	if (extent == NR_NO_EXTENT)
		return false;
	root->dir[(root->base + bucket) >> root->seg_shift] = extent;
	root->segments++;
	return true;
}

static void
segment_give(NrCopy *copy, DsHashRoot *root, uint32_t bucket)
{
	uint32_t	segment = (root->base + bucket) >> root->seg_shift;

	nr_extent_give(copy, root->dir[segment]);
	root->dir[segment] = 0;
	root->segments--;
}

/* Add a bucket and move into it what belongs there. */
static bool
split(NrCopy *copy, DsHashRoot *root)
{
	uint32_t	bucket = root->n_buckets;
	HashPick	pick = {.mask = mask_for(bucket + 1), .want = bucket};
	bool		new_segment = first_in_segment(root, bucket);
	DsHashLine *from = ds_hash_line(copy, root, bucket & (pick.mask >> 1));
	DsHashLine *to;

	if (new_segment && !segment_take(copy, root, bucket))
		return false;
	to = ds_hash_line(copy, root, bucket);
	memset(to, 0, (size_t) 1 << root->line_shift);
	if (!reserve_lines(copy, root, from, to, &pick))
	{
		if (new_segment)
			segment_give(copy, root, bucket);
		return false;
	}
	move_entries(copy, root, from, to, &pick);
	compact_chain(copy, root, from);
	set_buckets(root, bucket + 1);
	return true;
}

/* Take the last bucket away: its entries go back to where they were split from. */
static bool
merge(NrCopy *copy, DsHashRoot *root)
{
	uint32_t	bucket = root->n_buckets - 1;
	HashPick	all = {0};
	DsHashLine *from = ds_hash_line(copy, root, bucket);
	DsHashLine *to = ds_hash_line(copy, root, bucket & (root->mask >> 1));

	if (!reserve_lines(copy, root, from, to, &all))
		return false;
	move_entries(copy, root, from, to, &all);
	drop_chain(copy, root, from);
	if (first_in_segment(root, bucket))
		segment_give(copy, root, bucket);
	set_buckets(root, bucket);
	return true;
}

static bool
too_full(const DsHashRoot *root)
{
	return root->inline_bytes * DS_HASH_FILL_DEN >
		(uint64_t) root->n_buckets * root->line_capacity * DS_HASH_GROW_NUM;
}

static bool
too_empty(const NrCopy *copy, const DsHashRoot *root)
{
	uint32_t	num = copy->table->free_count == 0 ? DS_HASH_SHRINK_TIGHT_NUM : DS_HASH_SHRINK_NUM;

	return root->n_buckets > root->n_min &&
		root->inline_bytes * DS_HASH_FILL_DEN <
		(uint64_t) root->n_buckets * root->line_capacity * num;
}

void
ds_hash_adapt(NrCopy *copy, DsHashRoot *root)
{
	for (int i = 0; i < DS_HASH_SPLITS_MAX && too_full(root); i++)
		if (!split(copy, root))
			return;
	for (int i = 0; i < DS_HASH_MERGES_MAX && too_empty(copy, root); i++)
		if (!merge(copy, root))
			return;
}

void
ds_hash_reset(NrCopy *copy, DsHashRoot *root)
{
	uint32_t	lines_per_segment = 1u << root->seg_shift;

	/* segments from the last one down to that of the buckets that stay */
	while (root->n_buckets > root->n_min)
	{
		uint32_t	last = root->base + root->n_buckets - 1;
		uint32_t	first = last & ~(lines_per_segment - 1);

		if (first < root->base + root->n_min)
			break;
		segment_give(copy, root, root->n_buckets - 1);
		root->n_buckets = first - root->base;
	}
	set_buckets(root, root->n_min);
	for (uint32_t b = 0; b < root->n_min; b++)
		memset(ds_hash_line(copy, root, b), 0, (size_t) 1 << root->line_shift);
	ds_heap_reset(copy, ds_hash_heap(root));
	root->entries = 0;
	root->key_bytes = 0;
	root->value_bytes = 0;
	root->inline_bytes = 0;
	root->scan_bytes = 0;
	root->overflow_lines = 0;
	root->long_entries = 0;
}
