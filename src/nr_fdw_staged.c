/*
 * nr_fdw_staged.c
 *		Rows of caches of visibility 'commit', as a statement changes them.
 *
 * A statement scans the cache as it was before, whatever it stages meanwhile.
 * Each row that the scan delivers may be changed once: a join may deliver it
 * again, or another part of the statement, a trigger or a function may have
 * written the key; then the first change stays and the row does not count, as
 * with a table.  That a key was written since is seen in the stage: the version
 * that the scan saw is not the newest.
 *
 * With one exception.  "SET key = key + 1" moves row 1 onto key 2 before row 2
 * is delivered; row 2 is still there for the statement and moves on to key 3,
 * and its deletion must not take row 1 away.  So the keys onto which the statement
 * has put a row, and whose own row has not been delivered yet, are remembered:
 * rows have "landed" there.  All parts of a statement share them: WITH may delete
 * rows that the rest of it puts onto other keys.
 */
#include "nr_fdw.h"

#include "lib/ilist.h"

#include "nr_stage.h"

/* What a statement has done to a cache so far. */
struct NrStagedRows
{
	dlist_node	node;
	MemoryContextCallback callback;
	MemoryContext statement;	/* the executor's, of all its parts; this is in there */
	Oid			relid;
	CommandId	before;			/* the commands below it are what the statement sees */
	NrKeySet   *landed;			/* NULL: none yet */
};

static dlist_head statements = DLIST_STATIC_INIT(statements);

typedef enum Taken
{
	TAKEN_NOT,					/* gone, or changed already */
	TAKEN,						/* the newest version is what the scan saw */
	TAKEN_BENEATH				/* another row has landed on its key */
} Taken;

static void
forget_rows(void *arg)
{
	dlist_delete(&((NrStagedRows *) arg)->node);
}

NrStagedRows *
nr_staged_rows(Oid relid, const EState *estate)
{
	NrStagedRows *rows;
	dlist_iter	iter;

	dlist_foreach(iter, &statements)
	{
		rows = dlist_container(NrStagedRows, node, iter.cur);
		if (rows->statement == estate->es_query_cxt && rows->relid == relid)
			return rows;
	}
	rows = MemoryContextAllocZero(estate->es_query_cxt, sizeof(NrStagedRows));
	rows->statement = estate->es_query_cxt;
	rows->relid = relid;
	/* COPY has no snapshot, and nobody to look for anything */
	rows->before = NR_STAGE_NEWEST;
	if (estate->es_snapshot)
	{
		rows->before = estate->es_snapshot->curcid;
		/* a STABLE function may come to scan with the statement's snapshot */
		nr_stage_scan_open(relid, rows->before, estate->es_query_cxt);
	}
	rows->callback.func = forget_rows;
	rows->callback.arg = rows;
	dlist_push_head(&statements, &rows->node);
	MemoryContextRegisterResetCallback(rows->statement, &rows->callback);
	return rows;
}

/* Was the key written by the statement, or since it began? */
static bool
written_since(const NrCache *cache, const NrKey *key, CommandId before)
{
	const char *seen_data = NULL;
	const char *data = NULL;
	uint32		bytes;

	if (cache->stage == NULL)
		return false;
	return nr_stage_find(cache->stage, key, before, &seen_data, &bytes) !=
		nr_stage_find(cache->stage, key, NR_STAGE_NEWEST, &data, &bytes) || seen_data != data;
}

/* Claim a row that the statement's scan delivered, to change it. */
static Taken
take_row(NrStagedRows *rows, NrCache *cache, const NrKey *key)
{
	const char *data;
	uint32		bytes;

	if (!written_since(cache, key, rows->before))
		return nr_exec_exists(cache, key) ? TAKEN : TAKEN_NOT;
	if (rows->landed == NULL || !nr_keyset_remove(rows->landed, key))
		return TAKEN_NOT;
	return nr_exec_get_before(cache, key, rows->before, &data, &bytes) ? TAKEN_BENEATH : TAKEN_NOT;
}

void
nr_staged_land(NrStagedRows *rows, NrCache *cache, const NrKey *key,
			   const char *value, uint32 bytes)
{
	if (!written_since(cache, key, rows->before))
	{
		if (rows->landed == NULL)
			rows->landed = nr_keyset_make(rows->statement);
		nr_keyset_add(rows->landed, key);
	}
	nr_stage_put(cache, key, value, bytes);
}

bool
nr_staged_update(NrStagedRows *rows, NrCache *cache, const NrKey *old_key, const NrKey *key,
				 const char *value, uint32 bytes)
{
	Taken		taken = take_row(rows, cache, old_key);

	if (taken == TAKEN_NOT)
		return false;
	if (nr_key_equal(old_key, key))
	{
		nr_stage_put(cache, key, value, bytes);
		return true;
	}
	if (taken == TAKEN)
		nr_stage_delete(cache, old_key);
	nr_staged_land(rows, cache, key, value, bytes);
	return true;
}

bool
nr_staged_delete(NrStagedRows *rows, NrCache *cache, const NrKey *key)
{
	Taken		taken = take_row(rows, cache, key);

	if (taken == TAKEN)
		nr_stage_delete(cache, key);
	return taken != TAKEN_NOT;
}

bool
nr_staged_get(NrStagedRows *rows, NrCache *cache, const NrKey *key,
			  const char **data, uint32 *bytes)
{
	return nr_exec_get_before(cache, key, rows->before, data, bytes);
}
