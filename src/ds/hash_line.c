/*
 * ds/hash_line.c
 *		What a writer does with the lines of one bucket.  See hash_line.h.
 */
#include "ds/hash_line.h"

bool
ds_line_seek(const NrCopy *copy, DsHashRoot *root, uint64_t hash,
			 const uint8_t *key, uint32_t key_bytes, DsHashSpot *spot)
{
	DsHashLine *prev = NULL;
	DsHashLine *line = ds_hash_line(copy, root, ds_hash_bucket(root, hash));

	for (; line; prev = line, line = ds_hash_line_next(copy, line))
	{
		uint8_t    *end = ds_line_end(line);

		for (uint8_t *entry = line->entry; entry < end; entry += entry[0])
		{
			if (ds_entry_is_long(entry))
			{
				const DsHashLong *block;

				if (ds_entry_long_hash(entry) != (uint32_t) hash)
					continue;
				block = ds_value_at(copy, ds_entry_long_ref(entry));
				if (block->key_bytes != key_bytes || !ds_bytes_equal(block->bytes, key, key_bytes))
					continue;
			}
			else if (entry[1] != key_bytes ||
					 !ds_bytes_equal(entry + DS_HASH_HEAD_BYTES, key, key_bytes))
				continue;
			spot->line = line;
			spot->prev = prev;
			spot->entry = entry;
			return true;
		}
	}
	return false;
}

void
ds_line_cut(DsHashLine *line, uint8_t *entry)
{
	uint8_t    *end = ds_line_end(line);
	uint32_t	step = entry[0];

	memmove(entry, entry + step, (size_t) (end - entry) - step);
	ds_line_keep(line, line->used - step, line->n - 1u);
}

DsHashLine *
ds_line_append(NrCopy *copy, DsHashRoot *root, DsHashLine *tail, uint32_t step, bool may_take)
{
	size_t		bytes = ((size_t) 1 << root->line_shift) - DS_HEAP_TAG_BYTES;
	DsHashLine *line;
	NrRef		ref;

	if (bytes < sizeof(DsHashLine) + step)
		bytes = sizeof(DsHashLine) + step;
	ref = ds_heap_alloc(copy, ds_hash_heap(root), bytes, may_take);
	if (ref == 0)
		return NULL;
	line = ds_heap_payload(copy, ref);
	/* the checksum reads whole blocks */
	memset(line, 0, ds_heap_capacity(line));
	tail->next = ref;
	root->overflow_lines++;
	return line;
}

void
ds_line_unlink_next(NrCopy *copy, DsHashRoot *root, DsHashLine *prev)
{
	NrRef		ref = prev->next;

	prev->next = ds_hash_line_next(copy, prev)->next;
	ds_heap_free(copy, ds_hash_heap(root), ref);
	root->overflow_lines--;
}

/* Returns whether the next line was emptied, so that another may be pulled from. */
bool
ds_line_pull(NrCopy *copy, DsHashRoot *root, DsHashLine *line, bool first)
{
	DsHashLine *next = ds_hash_line_next(copy, line);
	uint32_t	capacity = ds_line_capacity(root, line, first);
	uint32_t	kept = 0;
	uint8_t    *from;
	uint8_t    *keep;
	uint8_t    *end;

	if (!next)
		return false;
	keep = next->entry;
	end = ds_line_end(next);
	for (from = next->entry; from < end;)
	{
		uint32_t	step = from[0];

		if (line->used + step <= capacity)
			ds_bytes_copy(ds_line_push(line, step, from[1]), from, step);
		else
		{
			memmove(keep, from, step);
			keep += step;
			kept++;
		}
		from += step;
	}
	ds_line_keep(next, (size_t) (keep - next->entry), kept);
	if (next->used != 0)
		return false;
	ds_line_unlink_next(copy, root, line);
	return true;
}
