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
 * longer meanwhile, no write fails.
 *
 * BOUNDED MEMORY.  Memory may have been granted for writes that must not fail
 * (ds_hash_need_ops), so what one write may use for splits and merges is fixed by
 * its budget.  A split takes an extent only for a segment.  It deals the entries
 * out to the overflow lines that they were in, so it needs others only where they
 * fit together less well than before: from free blocks of the heap, and no more
 * than the budget has.  If that is not enough, they are kept as spare lines, chained
 * at root->spare, and the next writes add theirs.  A merge chains overflow lines as
 * they are, so it needs one line at most, for the entries of the first.  Deletes have no
 * budget: they merge only where there is room.
 *
 * The work of one split is proportional to the chain that is split.  Chains are
 * a few lines long unless there was no memory to split for a long while, or
 * somebody knows the seed and floods one bucket.
 */
#include "ds/hash_chain.h"
#include "ds/hash_note.h"

/* Notes dropped by a write that finds no memory. */
#define PURGE_TIGHT		64

/* The mask for n buckets. */
static uint32_t
mask_for(uint32_t n)
{
	return n <= 1 ? 0 : UINT32_MAX >> __builtin_clz(n - 1);
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

/* Free one spare line, if any. */
static void
drop_spare(NrCopy *copy, DsHashRoot *root)
{
	DsHashLine	head = {.next = root->spare};

	if (head.next != 0)
	{
		ds_line_unlink_next(copy, root, &head);
		root->spare = head.next;
	}
}

/* Have n spare lines, each with room for any entry; as many as the budget allows stay if that is too few. */
static bool
get_spare(NrCopy *copy, DsHashRoot *root, uint32_t n, uint32_t *lines)
{
	DsHashLine	head = {.next = root->spare};

	for (DsHashLine *line = &head; n > 0 && line->next != 0; n--)
		line = ds_hash_line_next(copy, line);
	for (; n > 0; n--)
	{
		DsHashLine *line;

		if (*lines == 0)
			return false;
		line = ds_line_append(copy, root, &head, root->line_capacity, false);
		if (!line)
		{
			/* what does not suffice is better given to somebody else */
			while (root->spare != 0)
				drop_spare(copy, root);
			return false;
		}
		(*lines)--;
		line->next = root->spare;
		root->spare = head.next;
	}
	return true;
}

/* Add a bucket and move into it what belongs there. */
static bool
split(NrCopy *copy, DsHashRoot *root, uint32_t *lines)
{
	uint32_t	bucket = root->n_buckets;
	DsHashPick	pick = {.mask = mask_for(bucket + 1), .want = bucket};
	bool		new_segment = first_in_segment(root, bucket);
	DsHashLine *from = ds_hash_line(copy, root, bucket & (pick.mask >> 1));
	DsHashLine *to;

	if (new_segment && !segment_take(copy, root, bucket))
		return false;
	to = ds_hash_line(copy, root, bucket);
	memset(to, 0, (size_t) 1 << root->line_shift);
	if (from->next == 0)
		ds_line_move(copy, root, from, to, &pick);
	else
	{
		if (!get_spare(copy, root, ds_chain_deal(copy, root, from, to, &pick, true), lines))
		{
			if (new_segment)
				segment_give(copy, root, bucket);
			return false;
		}
		ds_chain_deal(copy, root, from, to, &pick, false);
		ds_chain_compact(copy, root, from);
		ds_chain_compact(copy, root, to);
	}
	NR_POINT("table_grows");
	set_buckets(root, bucket + 1);
	return true;
}

/*
 * Take the last bucket away: its entries go back to where they were split from.
 * Its overflow lines are chained there as they are.
 */
static bool
merge(NrCopy *copy, DsHashRoot *root, uint32_t *lines)
{
	uint32_t	bucket = root->n_buckets - 1;
	DsHashPick	all = {0};
	DsHashLine *from = ds_hash_line(copy, root, bucket);
	DsHashLine *to = ds_hash_line(copy, root, bucket & (root->mask >> 1));
	NrRef		rest = from->next;

	if (rest == 0 && from->used <= root->line_capacity - to->used)
		ds_line_move(copy, root, from, to, &all);
	else
	{
		DsHashLine *to_tail = ds_chain_tail(copy, to);
		DsHashLine *tail;

		to_tail->next = rest;
		from->next = 0;
		tail = ds_chain_tail(copy, to_tail);
		if (!ds_chain_reserve(copy, root, from, to, lines))
		{
			ds_chain_drop(copy, root, tail);
			to_tail->next = 0;
			from->next = rest;
			return false;
		}
		ds_line_move(copy, root, from, to, &all);
		ds_chain_compact(copy, root, to);
	}
	NR_POINT("table_shrinks");
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
ds_hash_adapt(NrCopy *copy, DsHashRoot *root, DsHashBudget *budget)
{
	for (uint32_t i = 0; i < budget->splits && too_full(root); i++)
		if (!split(copy, root, &budget->lines))
			return;
	if (root->spare != 0 && !too_full(root))
		drop_spare(copy, root);
	for (int i = 0; i < DS_HASH_MERGES_MAX && too_empty(copy, root); i++)
		if (!merge(copy, root, &budget->lines))
			return;
}

void
ds_hash_make_room(NrCopy *copy, DsHashRoot *root, uint64_t purge_limit)
{
	uint32_t	lines = 1;

	ds_note_purge(copy, root, purge_limit, PURGE_TIGHT);
	while (root->spare != 0)
		drop_spare(copy, root);
	for (int i = 0; i < DS_HASH_MERGES_MAX && too_empty(copy, root); i++)
		if (!merge(copy, root, &lines))
			return;
}

/* The entries of one line that have a newer note move to its front; the others go. */
static void
retain_in_line(NrCopy *copy, DsHashRoot *root, DsHashLine *line, uint64_t order_seq)
{
	uint8_t    *end = ds_line_end(line);
	uint8_t    *keep = line->entry;
	uint32_t	kept = 0;
	uint32_t	step;

	for (uint8_t *entry = line->entry; entry < end; entry += step)
	{
		DsHashEntry e = ds_entry_read(copy, entry);
		uint64_t	hash = ds_hash_key(root->seed, e.key, e.key_bytes);
		NrRef		note = ds_note_find(copy, root, hash, e.key, e.key_bytes);

		step = entry[0];
		if (note != 0 && ds_note_at(copy, note)->order_seq > order_seq)
		{
			memmove(keep, entry, step);
			keep += step;
			kept++;
			continue;
		}
		ds_hash_forget(root, entry, &e);
		if (ds_entry_is_long(entry))
			ds_value_drop(copy, root, ds_entry_long_ref(entry));
	}
	ds_line_keep(line, (size_t) (keep - line->entry), kept);
}

/* Walks all of the table and needs no memory. */
void
ds_hash_retain(NrCopy *copy, DsHashRoot *root, uint64_t order_seq)
{
	uint32_t	no_lines = 0;

	for (uint32_t b = 0; b < root->n_buckets; b++)
	{
		DsHashLine *first = ds_hash_line(copy, root, b);

		for (DsHashLine *line = first; line; line = ds_hash_line_next(copy, line))
			retain_in_line(copy, root, line, order_seq);
		ds_chain_compact(copy, root, first);
	}
	if (root->entries == 0)
		ds_hash_reset(copy, root);
	while (too_empty(copy, root) && merge(copy, root, &no_lines))
		;
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
	if (root->notes == 0)
		ds_heap_reset(copy, ds_hash_heap(root));
	else
		while (root->spare != 0)
			drop_spare(copy, root);
	if (root->long_entries > 0)
		ds_value_drop_all(copy, root);
	root->spare = 0;
	root->entries = 0;
	root->key_bytes = 0;
	root->value_bytes = 0;
	root->inline_bytes = 0;
	root->scan_bytes = 0;
	root->overflow_lines = 0;
	root->long_entries = 0;
}
