/*
 * nr_stage.c
 *		A transaction's writes to caches of visibility 'commit', before COMMIT.
 *
 * ROLLBACK TO.  A level is merged into its parent at RELEASE and undone at ROLLBACK
 * TO.  Nothing on the stack has a level above the current one, so levels grow
 * towards the newest end of each list, and both touch only what the level has made.
 * Neither allocates anything, so that neither can fail.
 */
#include "nr_internal.h"

#include "nr_staged.h"

#include "access/xact.h"

static dlist_head stages = DLIST_STATIC_INIT(stages);	/* none of them empty */
static bool closed = false;		/* the transaction is committing */

#define TRUNCATE_BYTES	NR_OP_ALIGN(sizeof(NrOpHeader))
#define NR_STAGE_KEYS	8		/* at first; most transactions write few */

/* ---- stages ---- */

static NrStageTable *
table_make(int level, CommandId cid, bool truncated)
{
	MemoryContext context = AllocSetContextCreate(TopTransactionContext, "nr_cache stage",
												  ALLOCSET_DEFAULT_SIZES);
	NrStageTable *table = MemoryContextAllocZero(context, sizeof(NrStageTable));

	table->context = context;
	table->keys = stagekeys_create(context, NR_STAGE_KEYS, NULL);
	dlist_init(&table->versions);
	dlist_init(&table->replaced);
	table->level = level;
	table->cid = cid;
	table->floor = InvalidCommandId;
	table->truncated = truncated;
	table->bytes = truncated ? TRUNCATE_BYTES : 0;
	return table;
}

static void
stage_free(NrStage *stage)
{
	NrStageTable *table;

	while ((table = stage->top) != NULL)
	{
		stage->top = table->prev;
		MemoryContextDelete(table->context);
	}
	stage->cache->stage = NULL;
	dlist_delete(&stage->node);
	pfree(stage);
}

static inline bool
stage_is_empty(const NrStage *stage)
{
	return !stage->top->truncated && stage->top->keys->members == 0;
}

/* An empty stage, for a first write. */
static NrStage *
stage_make(NrCache *cache)
{
	NrStage    *stage;

	if (nr_on_standby())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot write to cache \"%s\" during recovery", cache->def->relname),
				 errdetail("Its visibility is 'commit', and nothing is committed on a standby."),
				 nr_standby_hint()));

	stage = MemoryContextAllocZero(TopTransactionContext, sizeof(NrStage));
	stage->cache = cache;
	stage->fingerprint = cache->def->fingerprint;
	stage->top = table_make(1, FirstCommandId, false);
	dlist_push_tail(&stages, &stage->node);
	cache->stage = stage;
	return stage;
}

void
nr_stage_check(const NrCache *cache)
{
	const NrStage *stage = cache->stage;

	if (likely(stage->fingerprint == cache->def->fingerprint))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("definition of cache \"%s\" changed after this transaction had written to it",
					cache->def->relname),
			 errhint("Alter a cache before the transaction's first write to it, or in a transaction of its own.")));
}

/* ERROR unless there is room for this many bytes, of which "replaced" come back. */
static void
stage_reserve(const NrStage *stage, size_t bytes, size_t replaced)
{
	size_t		limit = (size_t) nr_guc_max_batch_kb * 1024;

	if (likely(stage->bytes + bytes - replaced <= limit))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("transaction writes too much to cache \"%s\"", stage->cache->def->relname),
			 errdetail("Its writes become one batch, which may have %d kB; older values count as long as the running statement, a cursor or a savepoint may need them.",
					   nr_guc_max_batch_kb),
			 errhint("Write less in one transaction, or raise \"%s\" and restart the server.",
					 "nr_cache.max_batch")));
}

/* ---- writing ---- */

/* The cache's stage, to write into. */
static inline NrStage *
stage_to_write(NrCache *cache, CommandId now)
{
	NrStage    *stage;

	if (unlikely(closed))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot write to cache \"%s\" while the transaction is committing",
						cache->def->relname)));
	stage = cache->stage;
	if (stage == NULL)
		stage = stage_make(cache);
	nr_stage_check(cache);
	stage->epoch = nr_epoch;
	if (stage->command != now)
		nr_stage_trim(stage, now);
	return stage;
}

static NrStagedKey *
key_make(NrStageTable *table, const NrKey *key)
{
	NrStagedKey *made = MemoryContextAlloc(table->context, sizeof(NrStagedKey) + key->bytes);
	char	   *data = (char *) (made + 1);

	memcpy(data, key->data, key->bytes);
	made->hash = key->hash;
	made->data = data;
	made->bytes = key->bytes;
	made->newest = NULL;
	return made;
}

static void
stage_write(NrCache *cache, const NrKey *key, bool gone, const char *value, uint32 bytes)
{
	CommandId	cid = GetCurrentCommandId(true);
	int			level = GetCurrentTransactionNestLevel();
	NrStage    *stage = stage_to_write(cache, cid);
	NrStageTable *table = stage->top;
	NrStagedKey *staged = nr_staged_key(table, key);
	NrVersion  *newest = staged ? staged->newest : NULL;
	size_t		op_bytes = ds_hash_op_bytes(key->bytes, bytes);
	bool		replace = newest != NULL && newest->level == level && newest->cid == cid;
	NrVersion  *version;
	bool		found;

	NR_POINT("stage_write");
	if (newest != NULL && !replace)
		nr_version_trim(stage, table, newest, cid);
	stage_reserve(stage, op_bytes, replace ? nr_version_bytes(newest) : 0);

	/* all that may fail, and then the change */
	version = MemoryContextAlloc(table->context, offsetof(NrVersion, data) + bytes);
	if (staged == NULL)
	{
		staged = key_make(table, key);
		stagekeys_insert(table->keys, staged, &found);
	}
	version->replaces = false;
	version->floor = replace ? newest->floor : InvalidCommandId;
	if (replace)
		nr_version_drop(stage, table, &staged->newest);
	version->prev = staged->newest;
	version->key = staged;
	version->cid = cid;
	version->level = level;
	version->gone = gone;
	version->bytes = bytes;
	memcpy(version->data, value, bytes);
	staged->newest = version;
	dlist_push_tail(&table->versions, &version->node);
	nr_version_note_replaced(table, version);
	table->bytes += op_bytes;
	stage->bytes += op_bytes;
}

void
nr_stage_put(NrCache *cache, const NrKey *key, const char *value, uint32 bytes)
{
	stage_write(cache, key, false, value, bytes);
}

void
nr_stage_delete(NrCache *cache, const NrKey *key)
{
	stage_write(cache, key, true, "", 0);
}

void
nr_stage_truncate(NrCache *cache)
{
	CommandId	cid = GetCurrentCommandId(true);
	int			level = GetCurrentTransactionNestLevel();
	NrStage    *stage = stage_to_write(cache, cid);
	NrStageTable *top = stage->top;
	bool		replace = top->truncated && top->level == level && top->cid == cid;
	NrStageTable *table;

	nr_stage_table_trim(stage, top, cid);
	stage_reserve(stage, TRUNCATE_BYTES, replace ? top->bytes : 0);
	table = table_make(level, cid, true);
	if (replace)
	{
		table->floor = top->floor;
		table->prev = top->prev;
		stage->bytes -= top->bytes;
		MemoryContextDelete(top->context);
	}
	else
		table->prev = top;
	stage->bytes += table->bytes;
	stage->top = table;
}

/* ---- savepoints ---- */

/* Take back what this level has made. */
static void
stage_undo(NrStage *stage, int level)
{
	NrStageTable *table;

	while ((table = stage->top)->level >= level)
	{
		stage->top = table->prev;
		stage->bytes -= table->bytes;
		MemoryContextDelete(table->context);
	}
	while (!dlist_is_empty(&table->versions))
	{
		NrVersion  *version = dlist_tail_element(NrVersion, node, &table->versions);
		NrStagedKey *key = version->key;

		if (version->level < level)
			break;
		Assert(key->newest == version);
		nr_version_drop(stage, table, &key->newest);
		if (key->newest == NULL)
		{
			stagekeys_delete(table->keys, key);
			pfree(key);
		}
	}
	if (stage_is_empty(stage))
		stage_free(stage);
}

/* Give what this level has made to its parent, and drop what that need not keep. */
static void
stage_merge(NrStage *stage, int level)
{
	CommandId	now = GetCurrentCommandId(false);

	for (NrStageTable *table = stage->top; table != NULL; table = table->prev)
	{
		dlist_node *node = dlist_is_empty(&table->versions) ? NULL : dlist_tail_node(&table->versions);
		NrVersion  *version;

		while (node != NULL && (version = dlist_container(NrVersion, node, node))->level >= level)
		{
			version->level = level - 1;
			nr_version_trim(stage, table, version, now);
			nr_version_note_replaced(table, version);
			node = dlist_has_prev(&table->versions, node) ? dlist_prev_node(&table->versions, node) : NULL;
		}
	}
	for (NrStageTable *table = stage->top; table != NULL; table = table->prev)
		if (table->level >= level)
			table->level = level - 1;
	nr_stage_table_trim(stage, stage->top, now);
}

void
nr_stage_end_level(bool commit)
{
	int			level = GetCurrentTransactionNestLevel();
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &stages)
	{
		NrStage    *stage = dlist_container(NrStage, node, iter.cur);

		if (commit)
			stage_merge(stage, level);
		else
			stage_undo(stage, level);
	}
}

/* ---- the end ---- */

bool
nr_stage_any(void)
{
	return !dlist_is_empty(&stages);
}

bool
nr_stage_all_known(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &stages)
		if (dlist_container(NrStage, node, iter.cur)->epoch != nr_epoch)
			return false;
	return true;
}

static int
compare_stages(const void *a, const void *b)
{
	Oid			x = (*(NrStage *const *) a)->cache->relid;
	Oid			y = (*(NrStage *const *) b)->cache->relid;

	return x < y ? -1 : x > y;
}

int
nr_stage_list(NrStage ***list)
{
	int			n = 0;
	dlist_iter	iter;

	*list = NULL;
	dlist_foreach(iter, &stages)
		n++;
	if (n == 0)
		return 0;
	*list = MemoryContextAlloc(TopTransactionContext, n * sizeof(NrStage *));
	n = 0;
	dlist_foreach(iter, &stages)
		(*list)[n++] = dlist_container(NrStage, node, iter.cur);
	qsort(*list, n, sizeof(NrStage *), compare_stages);
	return n;
}

NrCache *
nr_stage_cache(const NrStage *stage)
{
	return stage->cache;
}

void
nr_stage_discard(NrStage *stage)
{
	stage_free(stage);
}

void
nr_stage_close(void)
{
	closed = true;
}

void
nr_stage_forget(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &stages)
		dlist_container(NrStage, node, iter.cur)->cache->stage = NULL;
	dlist_init(&stages);
	closed = false;
}
