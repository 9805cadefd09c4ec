/*
 * nr_stage_read.c
 *		What is staged, as a command sees it, and as one batch at the end.
 */
#include "nr_internal.h"

#include "nr_staged.h"

/* ---- reading ---- */

/* The table that a command sees; NULL: none yet. */
static const NrStageTable *
table_before(const NrStage *stage, CommandId before)
{
	const NrStageTable *table = stage->top;

	while (table != NULL && table->truncated && table->cid >= before && table->floor >= before)
		table = table->prev;
	return table;
}

static const NrVersion *
version_before(const NrStagedKey *key, CommandId before)
{
	const NrVersion *version = key->newest;

	while (version != NULL && version->cid >= before && version->floor >= before)
		version = version->prev;
	return version;
}

NrStaged
nr_stage_find(const NrStage *stage, const NrKey *key, CommandId before,
			  const char **data, uint32 *bytes)
{
	const NrStageTable *table = table_before(stage, before);
	const NrStagedKey *staged;
	const NrVersion *version;

	if (table == NULL)
		return NR_STAGED_NOT;
	staged = nr_staged_key(table, key);
	version = staged ? version_before(staged, before) : NULL;
	if (version == NULL)
		return table->truncated ? NR_STAGED_GONE : NR_STAGED_NOT;
	if (version->gone)
		return NR_STAGED_GONE;
	*data = version->data;
	*bytes = version->bytes;
	return NR_STAGED_VALUE;
}

bool
nr_stage_hides_shared(const NrStage *stage, CommandId before)
{
	const NrStageTable *table = table_before(stage, before);

	return table != NULL && table->truncated;
}

static inline size_t
entry_bytes(uint32 key_bytes, uint32 value_bytes)
{
	return NR_OP_ALIGN(sizeof(DsHashScanEntry) + (size_t) key_bytes + value_bytes);
}

/* Remove the entries whose keys are staged. */
static void
remove_staged(const NrCache *cache, const NrStageTable *table, CommandId before, char *entries,
			  uint64 *n, size_t *bytes)
{
	char	   *from = entries;
	char	   *to = entries;
	uint64		kept = 0;

	for (uint64 i = 0; i < *n; i++)
	{
		const DsHashScanEntry *entry = (const DsHashScanEntry *) from;
		size_t		size = entry_bytes(entry->key_bytes, entry->value_bytes);
		NrKey		key = {.data = (const char *) (entry + 1),.bytes = entry->key_bytes};
		NrStagedKey *staged;

		key.hash = ds_hash_key(cache->seed, key.data, key.bytes);
		staged = nr_staged_key(table, &key);
		if (staged == NULL || version_before(staged, before) == NULL)
		{
			if (to != from)
				memmove(to, from, size);
			to += size;
			kept++;
		}
		from += size;
	}
	*n = kept;
	*bytes = to - entries;
}

char *
nr_stage_overlay(const NrCache *cache, CommandId before, char *entries, uint64 *n, size_t *bytes)
{
	const NrStageTable *table = table_before(cache->stage, before);
	stagekeys_iterator iter;
	NrStageSlot *slot;
	size_t		more = 0;
	char	   *to;

	if (table == NULL)
		return entries;
	if (table->truncated)
		*n = *bytes = 0;
	else
		remove_staged(cache, table, before, entries, n, bytes);

	stagekeys_start_iterate(table->keys, &iter);
	while ((slot = stagekeys_iterate(table->keys, &iter)) != NULL)
	{
		const NrVersion *version = version_before(slot->key, before);

		if (version != NULL && !version->gone)
			more += entry_bytes(slot->key->bytes, version->bytes);
	}
	if (more == 0)
		return entries;
	entries = entries ? repalloc_huge(entries, *bytes + more) :
		MemoryContextAllocHuge(CurrentMemoryContext, more);
	to = entries + *bytes;
	*bytes += more;
	stagekeys_start_iterate(table->keys, &iter);
	while ((slot = stagekeys_iterate(table->keys, &iter)) != NULL)
	{
		const NrVersion *version = version_before(slot->key, before);
		DsHashScanEntry *entry = (DsHashScanEntry *) to;

		if (version == NULL || version->gone)
			continue;
		entry->key_bytes = slot->key->bytes;
		entry->value_bytes = version->bytes;
		memcpy(entry + 1, slot->key->data, slot->key->bytes);
		memcpy((char *) (entry + 1) + slot->key->bytes, version->data, version->bytes);
		to += entry_bytes(entry->key_bytes, entry->value_bytes);
		(*n)++;
	}
	return entries;
}

/* ---- the batch ---- */

/* In the order in which they were made, which is that of memory; the table of keys would jump about in it. */
char *
nr_stage_batch(const NrStage *stage, size_t *bytes, uint32 *n)
{
	NrStageTable *table = stage->top;
	char	   *ops = MemoryContextAllocHuge(TopTransactionContext, table->bytes);
	char	   *to = ops;
	dlist_iter	iter;

	*n = 0;
	if (table->truncated)
	{
		to += ds_hash_op_truncate(to);
		(*n)++;
	}
	dlist_foreach(iter, &table->versions)
	{
		const NrVersion *version = dlist_container(NrVersion, node, iter.cur);
		const NrStagedKey *key = version->key;

		if (version != key->newest)
			continue;
		if (!version->gone)
			to += ds_hash_op_put(to, key->hash, key->data, key->bytes, version->data,
								 version->bytes, 0);
		else if (!table->truncated)
			to += ds_hash_op_delete(to, key->hash, key->data, key->bytes);
		else
			continue;
		(*n)++;
	}
	*bytes = to - ops;
	return ops;
}
