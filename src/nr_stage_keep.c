/*
 * nr_stage_keep.c
 *		Which versions of a stage are kept, and for whom.
 *
 * A version that a newer one of the same level has replaced is dropped, but not
 * while somebody may look for it: the command that replaced it (see nr_stage.h),
 * or an open scan that came between the two.  Versions of a lower level are kept
 * for ROLLBACK TO.  The same goes for tables.
 *
 * One case is left: a query that is still running, and begins to scan the cache
 * only when its nested commands have written a key more than once (in a STABLE function
 * that it calls).  The version that it should see may be gone; it then gets the
 * next newer one ("floor" tells), and never what was before the transaction.
 */
#include "nr_internal.h"

#include "nr_staged.h"

/* An open scan; lives in the scan's memory. */
typedef struct NrStageScan
{
	MemoryContextCallback callback;
	dlist_node	node;
	Oid			relid;
	CommandId	before;			/* commands below it are seen */
} NrStageScan;

static dlist_head scans = DLIST_STATIC_INIT(scans);

/* ---- scans ---- */

static void
scan_close(void *arg)
{
	dlist_delete(&((NrStageScan *) arg)->node);
}

void
nr_stage_scan_open(Oid relid, CommandId before, MemoryContext context)
{
	NrStageScan *scan = MemoryContextAllocZero(context, sizeof(NrStageScan));

	scan->relid = relid;
	scan->before = before;
	scan->callback.func = scan_close;
	scan->callback.arg = scan;
	dlist_push_tail(&scans, &scan->node);
	MemoryContextRegisterResetCallback(context, &scan->callback);
}

/* ---- versions and tables ---- */

void
nr_version_drop(NrStage *stage, NrStageTable *table, NrVersion **link)
{
	NrVersion  *version = *link;
	size_t		bytes = nr_version_bytes(version);

	*link = version->prev;
	dlist_delete(&version->node);
	if (version->replaces)
		dlist_delete(&version->replaced_node);
	table->bytes -= bytes;
	stage->bytes -= bytes;
	pfree(version);
}

/* The oldest view that "now", or an open scan, has of the cache. */
static CommandId
oldest_view(const NrStage *stage, CommandId now)
{
	dlist_iter	iter;

	dlist_foreach(iter, &scans)
	{
		const NrStageScan *scan = dlist_container(NrStageScan, node, iter.cur);

		if (scan->relid == stage->cache->relid)
			now = Min(now, scan->before);
	}
	return now;
}

/*
 * May anybody look for what was made by command "from" and replaced by "to"?  Who
 * sees commands below a number between the two.
 */
static bool
may_be_sought(const NrStage *stage, CommandId from, CommandId to, CommandId now)
{
	dlist_iter	iter;

	if (to >= now)
		return from < to;
	dlist_foreach(iter, &scans)
	{
		const NrStageScan *scan = dlist_container(NrStageScan, node, iter.cur);

		if (scan->relid == stage->cache->relid && from < scan->before && scan->before <= to)
			return true;
	}
	return false;
}

void
nr_version_trim(NrStage *stage, NrStageTable *table, NrVersion *version, CommandId now)
{
	NrVersion  *prev;

	while ((prev = version->prev) != NULL && prev->level == version->level &&
		   !may_be_sought(stage, prev->cid, version->cid, now))
	{
		version->floor = Min(version->floor, Min(prev->cid, prev->floor));
		nr_version_drop(stage, table, &version->prev);
	}
}

void
nr_stage_table_trim(NrStage *stage, NrStageTable *table, CommandId now)
{
	NrStageTable *prev;

	/* what is not truncated is older than any command */
	while ((prev = table->prev) != NULL && prev->level == table->level &&
		   !may_be_sought(stage, prev->truncated ? prev->cid : FirstCommandId, table->cid, now))
	{
		table->floor = Min(table->floor, Min(prev->cid, prev->floor));
		table->prev = prev->prev;
		stage->bytes -= prev->bytes;
		MemoryContextDelete(prev->context);
	}
}

void
nr_version_note_replaced(NrStageTable *table, NrVersion *version)
{
	if (version->replaces || version->prev == NULL || version->prev->level != version->level)
		return;
	version->replaces = true;
	dlist_push_tail(&table->replaced, &version->replaced_node);
}

void
nr_stage_trim(NrStage *stage, CommandId now)
{
	NrStageTable *table = stage->top;
	CommandId	oldest = oldest_view(stage, now);
	dlist_head	kept;

	stage->command = now;
	if (oldest == stage->trimmed)
		return;
	stage->trimmed = oldest;
	nr_stage_table_trim(stage, table, now);
	dlist_init(&kept);
	while (!dlist_is_empty(&table->replaced))
	{
		NrVersion  *version = dlist_head_element(NrVersion, replaced_node, &table->replaced);

		dlist_delete(&version->replaced_node);
		if (version->cid >= oldest)
		{
			dlist_push_tail(&kept, &version->replaced_node);
			continue;
		}
		version->replaces = false;
		nr_version_trim(stage, table, version, now);
	}
	while (!dlist_is_empty(&kept))
		dlist_push_tail(&table->replaced, dlist_pop_head_node(&kept));
}
