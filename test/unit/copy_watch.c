/*
 * copy_watch.c
 *		See copy_watch.h.
 */
#include "copy_watch.h"

/* The blocks that a copy refers to. */
static uint32_t
collect(const NrCopy *copy, NrRef *refs)
{
	DsHashRoot *root = ds_hash_root(copy);
	uint32_t	n = 0;

	for (uint32_t bucket = 0; bucket < root->n_buckets; bucket++)
		for (DsHashLine *line = ds_hash_line(copy, root, bucket); line; line = ds_hash_line_next(copy, line))
			for (uint8_t *entry = line->entry; entry < ds_line_end(line); entry += entry[0])
				if (ds_entry_is_long(entry) && n < WATCH_REFS_MAX)
					refs[n++] = ds_entry_long_ref(entry);
	return n;
}

static bool
among(const NrRef *refs, uint32_t n, NrRef ref)
{
	for (uint32_t i = 0; i < n; i++)
		if (refs[i] == ref)
			return true;
	return false;
}

static uint64_t
sum(const WatchedBlock *b)
{
	return ds_hash_key(1, b->block, b->bytes);
}

static void
add(CopyWatch *w, const NrCopy *copy, NrRef ref, uint64_t seq)
{
	WatchedBlock *b = &w->block[w->n];

	if (w->n == WATCH_BLOCKS_MAX)
		return;
	w->n++;
	b->block = ds_value_at(copy, ref);
	b->bytes = sizeof(*b->block) + b->block->key_bytes + b->block->value_bytes;
	b->sum = sum(b);
	b->seq = seq;
}

void
watch_begin(CopyWatch *w, const NrCopy *copy)
{
	w->before_n = collect(copy, w->before);
}

void
watch_end(CopyWatch *w, const NrCopy *copy, uint64_t seq)
{
	NrRef		after[WATCH_REFS_MAX];
	uint32_t	n = collect(copy, after);

	for (uint32_t i = 0; i < w->before_n; i++)
		if (!among(after, n, w->before[i]))
			add(w, copy, w->before[i], seq);
}

bool
watch_holds(CopyWatch *w, uint64_t floor)
{
	uint32_t	kept = 0;
	bool		holds = true;

	for (uint32_t i = 0; i < w->n; i++)
	{
		if (w->block[i].seq < floor)
			continue;
		holds &= sum(&w->block[i]) == w->block[i].sum;
		w->block[kept++] = w->block[i];
	}
	w->n = kept;
	return holds;
}

uint32_t
watch_dropped(const NrCopy *older, const NrCopy *newer)
{
	NrRef		old[WATCH_REFS_MAX];
	NrRef		new[WATCH_REFS_MAX];
	uint32_t	n = collect(older, old);
	uint32_t	m = collect(newer, new);
	uint32_t	dropped = 0;

	for (uint32_t i = 0; i < n; i++)
		dropped += !among(new, m, old[i]);
	return dropped;
}
