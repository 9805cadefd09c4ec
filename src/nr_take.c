/*
 * nr_take.c
 *		Caches whose entries this transaction has taken (nr_take), until it ends.
 *
 * A take sends readers away, those of all sessions, and leaves the entries where they
 * are.  So ROLLBACK, and ROLLBACK TO a savepoint before it, only let readers in again.
 * COMMIT drops the entries, and readers stay away, which to them is an empty cache, until
 * somebody opens the cache to write.
 *
 * Dropping them needs all combiner locks, which others may hold (nr_check), and may
 * neither fail nor wait: so they are taken at PRE_COMMIT.
 *
 * Writers are kept away by the relation's ExclusiveLock until the transaction has ended.
 * So there is nothing to drop but what was taken, and nobody lets readers in too early.
 *
 * A cache that was altered since is open with another group, so a take has a copy of the
 * handle.  Groups are freed behind the callbacks here.
 */
#include "nr_internal.h"

#include "nr_fn.h"

#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* In TopTransactionContext. */
typedef struct NrTake
{
	dlist_node	node;
	Oid			relid;
	NameData	name;
	NrHandle	handle;
	int			level;			/* of the subtransaction */
	CommandId	cid;
	bool		owned;			/* all combiner locks are ours */
} NrTake;

static dlist_head takes = DLIST_STATIC_INIT(takes);
static bool closed = false;		/* the transaction is committing */

static NrTake *
find_take(Oid relid)
{
	dlist_iter	iter;

	dlist_foreach(iter, &takes)
	{
		NrTake	   *take = dlist_container(NrTake, node, iter.cur);

		if (take->relid == relid)
			return take;
	}
	return NULL;
}

/* ---- take ---- */

/* One of the two would get everything; joined with the other one it might be nothing, and gone. */
static void
refuse_twice(const NrCache *cache)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("one statement takes the entries of cache \"%s\" twice", cache->def->relname),
			 errdetail("The first call has got all of them."),
			 errhint("Call it once: WITH taken AS MATERIALIZED (SELECT * FROM nr_take(%s, NULL::%s)).",
					 nr_cache_literal(cache->def), format_type_be(cache->def->rowtypid))));
}

static void
refuse_staged(const NrCache *cache)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("cannot take the entries of cache \"%s\" because this transaction has written to it",
					cache->def->relname),
			 errdetail("What it has written is not in the cache before it commits."),
			 errhint("Commit first, or call nr_take() before the transaction's first write to the cache.")));
}

bool
nr_take_begin(NrCache *cache)
{
	CommandId	cid = GetCurrentCommandId(true);
	NrTake	   *take = find_take(cache->relid);
	NrStatus	status;

	if (closed)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot take the entries of cache \"%s\" while the transaction is committing",
						cache->def->relname)));
	if (cache->stage != NULL)
		refuse_staged(cache);
	if (take != NULL && take->cid == cid)
		refuse_twice(cache);
	if (take != NULL || nr_group_retired(&cache->handle))
		return false;

	if (cache->def->visibility == NR_VISIBLE_MANUAL)
		(void) nr_publish_pending(cache);
	take = MemoryContextAllocZero(TopTransactionContext, sizeof(NrTake));
	take->relid = cache->relid;
	namestrcpy(&take->name, cache->def->relname);
	take->level = GetCurrentTransactionNestLevel();
	take->cid = cid;
	while ((status = nr_group_retire(&cache->handle, true)) == NR_CANCELLED)
		CHECK_FOR_INTERRUPTS();
	if (status != NR_OK)
		elog(ERROR, "could not take the entries of cache \"%s\": status %d", cache->def->relname,
			 (int) status);
	take->handle = cache->handle;
	dlist_push_tail(&takes, &take->node);
	nr_epoch++;					/* who writes opens it anew, and is refused */
	NR_POINT("stage_taken");
	return true;
}

void
nr_take_before_write(NrCache *cache)
{
	if (find_take(cache->relid) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot write to cache \"%s\" because this transaction has taken its entries",
						cache->def->relname),
				 errdetail("Until it ends they may come back."),
				 errhint("Commit first.")));
	nr_group_restore(&cache->handle);
}

/* ---- the end ---- */

static void
give_back(NrTake *take)
{
	if (take->owned)
		nr_group_disown(&take->handle);
	nr_group_restore(&take->handle);
	dlist_delete(&take->node);
}

void
nr_take_end_level(bool commit)
{
	int			level = GetCurrentTransactionNestLevel();
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &takes)
	{
		NrTake	   *take = dlist_container(NrTake, node, iter.cur);

		if (take->level < level)
			continue;
		if (commit)
			take->level = level - 1;
		else
			give_back(take);
	}
}

void
nr_take_refuse_prepare(void)
{
	if (dlist_is_empty(&takes))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot PREPARE a transaction that has taken the entries of cache \"%s\"",
					NameStr(dlist_head_element(NrTake, node, &takes)->name)),
			 errhint("Use COMMIT.")));
}

void
nr_take_prepare(void)
{
	dlist_iter	iter;

	closed = true;
	if (dlist_is_empty(&takes))
		return;
	dlist_foreach(iter, &takes)
	{
		NrTake	   *take = dlist_container(NrTake, node, iter.cur);

		NR_POINT("stage_take_own");
		while (nr_group_own(&take->handle, true) != NR_OK)
			CHECK_FOR_INTERRUPTS();
		take->owned = true;
	}
	NR_POINT("stage_take_owned");
	CHECK_FOR_INTERRUPTS();
}

void
nr_take_commit(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &takes)
	{
		NrTake	   *take = dlist_container(NrTake, node, iter.cur);

		NR_POINT("take_clear");
		nr_group_clear(&take->handle);
		nr_group_disown(&take->handle);
		dlist_delete(&take->node);
	}
	closed = false;
}

void
nr_take_rollback(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &takes)
		give_back(dlist_container(NrTake, node, iter.cur));
	closed = false;
}
