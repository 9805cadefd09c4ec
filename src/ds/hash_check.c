/*
 * ds/hash_check.c
 *		Recompute what must hold of a hash table, and its checksum.
 */
#include "ds/hash_line.h"
#include "ds/hash_note.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Counted anew while walking. */
typedef struct HashTally
{
	uint64_t	entries;
	uint64_t	key_bytes;
	uint64_t	value_bytes;
	uint64_t	inline_bytes;
	uint64_t	scan_bytes;
	uint64_t	overflow_lines;
	uint64_t	long_entries;
} HashTally;

bool
ds_hash_block_sound(const NrCopy *copy, DsHashRoot *root, NrRef ref)
{
	return ds_heap_block_sound(copy, ds_hash_heap(root), ref);
}

static const char *
verify_entry(const NrCopy *copy, DsHashRoot *root, uint32_t bucket, const uint8_t *entry, HashTally *tally)
{
	DsHashEntry e;
	uint64_t	hash;

	if (ds_entry_is_long(entry))
	{
		NrRef		ref = ds_entry_long_ref(entry);
		const DsHashLong *block;

		if (entry[0] != DS_HASH_LONG_STEP)
			return "hash: a long entry has a wrong length";
		if (!ds_value_sound(copy, root, ref))
			return "hash: a long entry refers to no block";
		block = ds_value_at(copy, ref);
		if (sizeof(*block) + (uint64_t) block->key_bytes + block->value_bytes > ds_value_capacity(copy, block))
			return "hash: a long entry is longer than its block";
		tally->long_entries++;
	}
	else if ((uint32_t) entry[1] + DS_HASH_HEAD_BYTES > entry[0])
		return "hash: a key is longer than its entry";
	e = ds_entry_read(copy, entry);
	if (e.key_bytes > DS_HASH_KEY_MAX)
		return "hash: a key is too long";
	hash = ds_hash_key(root->seed, e.key, e.key_bytes);
	if ((uint32_t) hash != ds_entry_hash(root, entry))
		return "hash: a long entry has a wrong hash";
	if (ds_hash_bucket(root, hash) != bucket)
		return "hash: an entry is in the wrong bucket";
	tally->entries++;
	tally->key_bytes += e.key_bytes;
	tally->value_bytes += e.value_bytes;
	tally->inline_bytes += entry[0];
	tally->scan_bytes += (sizeof(DsHashScanEntry) + (uint64_t) e.key_bytes + e.value_bytes + 7) & ~UINT64_C(7);
	return NULL;
}

/* Whoever is found first under the entry's own key must be that entry. */
static bool
entry_unique(const NrCopy *copy, DsHashRoot *root, const uint8_t *entry)
{
	DsHashEntry e = ds_entry_read(copy, entry);
	DsHashSpot	spot;

	return ds_line_seek(copy, root, ds_hash_key(root->seed, e.key, e.key_bytes),
						e.key, e.key_bytes, &spot) && spot.entry == entry;
}

static const char *
verify_bucket(const NrCopy *copy, DsHashRoot *root, uint32_t bucket, HashTally *tally)
{
	DsHashLine *first = ds_hash_line(copy, root, bucket);

	for (DsHashLine *line = first; line; line = ds_hash_line_next(copy, line))
	{
		uint32_t	at = 0;
		uint32_t	n = 0;

		if (line->used > ds_line_capacity(root, line, line == first))
			return "hash: a line is fuller than it can be";
		if (line != first && line->used == 0)
			return "hash: an overflow line is empty";
		while (at < line->used)
		{
			const uint8_t *entry = line->entry + at;
			const char *broken;

			if (entry[0] < DS_HASH_HEAD_BYTES || at + entry[0] > line->used)
				return "hash: an entry runs out of its line";
			broken = verify_entry(copy, root, bucket, entry, tally);
			if (broken)
				return broken;
			if (line->step != 0 && (line->step != entry[0] || line->klen != entry[1]))
				return "hash: a line's entries are not alike";
			at += entry[0];
			n++;
		}
		if (line->n != n)
			return "hash: a line's number of entries is wrong";
		if (line->next != 0 && !ds_hash_block_sound(copy, root, line->next))
			return "hash: a chain leads to no block";
		tally->overflow_lines += line->next != 0;
		if (tally->overflow_lines > root->overflow_lines)
			return "hash: more overflow lines than counted";
	}
	for (DsHashLine *line = first; line; line = ds_hash_line_next(copy, line))
		for (uint8_t *entry = line->entry; entry < ds_line_end(line); entry += entry[0])
			if (!entry_unique(copy, root, entry))
				return "hash: a key is there twice";
	return NULL;
}

/* What follows from the configuration.  Everything else is found by it, so it comes first. */
static bool
geometry_sound(const NrCopy *copy, const DsHashRoot *root)
{
	DsHashLayout l;

	if (root->line_shift < 6 || root->line_shift >= copy->extent_shift ||
		root->seg_shift != copy->extent_shift - root->line_shift ||
		root->line_capacity != (1u << root->line_shift) - sizeof(DsHashLine) ||
		root->inline_max != ds_line_inline_max(root->line_capacity))
		return false;
	l = ds_hash_layout(copy->extent_shift, copy->table->capacity, root->line_shift);
	return root->heap_at == l.heap_at && root->base == l.base && root->n_min == l.n_min;
}

static const char *
verify_root(const NrCopy *copy, DsHashRoot *root)
{
	uint32_t	expect = root->n_buckets <= 1 ? 0 : UINT32_MAX >> __builtin_clz(root->n_buckets - 1);
	uint32_t	last;

	if (root->n_buckets < root->n_min || root->mask != expect)
		return "hash: the number of buckets is wrong";
	last = (uint32_t) (((uint64_t) root->base + root->n_buckets - 1) >> root->seg_shift);
	if (root->segments != last || last >= copy->table->capacity || root->dir[0] != 0)
		return "hash: the number of segments is wrong";
	for (uint32_t s = 1; s <= last; s++)
		if (root->dir[s] == 0 || root->dir[s] >= copy->table->capacity ||
			ds_heap_owns(ds_hash_heap(root), root->dir[s]))
			return "hash: a segment has a wrong extent";
	if (copy->table->mapped_count != copy->table->free_count + 1 + root->segments +
		ds_hash_heap(root)->extents)
		return "hash: an extent is lost";
	return NULL;
}

/* Empty lines, kept for a split. */
static const char *
verify_spare(const NrCopy *copy, DsHashRoot *root, HashTally *tally)
{
	for (NrRef ref = root->spare; ref != 0;)
	{
		const DsHashLine *line;

		if (!ds_hash_block_sound(copy, root, ref) || tally->overflow_lines == root->overflow_lines)
			return "hash: the spare lines lead astray";
		line = ds_heap_payload(copy, ref);
		if (line->used != 0 || line->n != 0)
			return "hash: a spare line is not empty";
		tally->overflow_lines++;
		ref = line->next;
	}
	return NULL;
}

const char *
ds_hash_verify(const NrCopy *copy)
{
	DsHashRoot *root = ds_hash_root(copy);
	DsHeap	   *heap;
	HashTally	tally = {0};
	const char *broken;

	if (root->magic != DS_HASH_MAGIC)
		return "hash: no table here";
	if (!geometry_sound(copy, root))
		return "hash: not made for these extents";
	/* the heap first: a chain is only followed through blocks that are sound */
	heap = ds_hash_heap(root);
	broken = ds_heap_verify(copy, heap);
	if (!broken)
		broken = verify_root(copy, root);
	for (uint32_t b = 0; !broken && b < root->n_buckets; b++)
		broken = verify_bucket(copy, root, b, &tally);
	if (!broken)
		broken = verify_spare(copy, root, &tally);
	if (!broken)
		broken = ds_note_verify(copy, root);
	if (broken)
		return broken;
	if (tally.entries != root->entries || tally.key_bytes != root->key_bytes ||
		tally.value_bytes != root->value_bytes || tally.inline_bytes != root->inline_bytes ||
		tally.scan_bytes != root->scan_bytes || tally.overflow_lines != root->overflow_lines ||
		tally.long_entries != root->long_entries)
		return "hash: a count in the root is wrong";
	if (heap->used_blocks != (copy->shared == NULL ? root->long_entries : 0) + root->overflow_lines + root->notes)
		return "hash: a block of the heap belongs to nobody";
	return ds_value_verify(copy, root, root->long_entries);
}

/* What the long entries of a bucket say, when they are not in the copy's heap. */
static uint64_t
checksum_values(const NrCopy *copy, const DsHashLine *line, uint64_t sum)
{
	for (; line; line = ds_hash_line_next(copy, line))
		for (const uint8_t *entry = line->entry; entry < line->entry + line->used; entry += entry[0])
			if (ds_entry_is_long(entry))
			{
				const DsHashLong *block = ds_value_at(copy, ds_entry_long_ref(entry));

				sum = XXH3_64bits_withSeed(block, sizeof(*block) + block->key_bytes + block->value_bytes, sum);
			}
	return sum;
}

/*
 * Overflow lines, notes, and long entries that are not shared are covered by the heap; shared ones by
 * their content.  Bytes of a line behind its last entry mean nothing and are left out.
 */
uint64_t
ds_hash_checksum(const NrCopy *copy)
{
	DsHashRoot *root = ds_hash_root(copy);
	uint32_t	dir_length = ((root->base + root->n_buckets - 1) >> root->seg_shift) + 1;
	uint64_t	sum = XXH3_64bits_withSeed(root, sizeof(*root) + dir_length * sizeof(uint32_t), 0);

	for (uint32_t b = 0; b < root->n_buckets; b++)
	{
		const DsHashLine *line = ds_hash_line(copy, root, b);

		sum = XXH3_64bits_withSeed(line, sizeof(*line) + line->used, sum);
		if (copy->shared != NULL)
			sum = checksum_values(copy, line, sum);
	}
	return ds_heap_checksum(copy, ds_hash_heap(root), sum);
}
