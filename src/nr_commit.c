/*
 * nr_commit.c
 *		Staged writes at the end of a transaction: prepare, append, drop.
 *
 * At COMMIT interrupts are held and an error is a PANIC, so all that may fail or
 * wait comes at PRE_COMMIT: each cache's writes become one batch in shared memory,
 * with everything that appending it will take.  COMMIT appends the batches.  Anything
 * may go wrong between the two (a serialization failure, another extension's
 * callback, termination): then ABORT gives it all back.
 *
 * Caches are prepared in OID order, so that two transactions that want the
 * single writer's locks of the same caches do not wait for each other.
 *
 * Locks on the relations are held from the first write until after COMMIT's
 * callbacks, so nobody frees a group in which something is prepared.
 */
#include "nr_internal.h"

#include "nr_fn.h"
#include "nr_stage.h"

#include "utils/memutils.h"

typedef struct NrCommit
{
	NrHandle   *handle;
	NrPrepared	prepared;
} NrCommit;

/* In TopTransactionContext, and not moved: the engine has the addresses. */
static NrCommit *commits = NULL;
static int	ncommits = 0;		/* of these are prepared */

/* ---- PRE_COMMIT ---- */

/* Forget stages of caches that were dropped; list the others. */
static int
list_stages(NrStage ***list)
{
	int			n = nr_stage_list(list);
	int			kept = 0;

	for (int i = 0; i < n; i++)
	{
		NrStage    *stage = (*list)[i];

		/* its lock is ours, so only our own DROP can have taken it away, which invalidates */
		if (nr_stage_cache(stage)->valid || nr_is_cache(nr_stage_cache(stage)->relid))
			(*list)[kept++] = stage;
		else
			nr_stage_discard(stage);
	}
	return kept;
}

void
nr_commit_check(void)
{
	NrStage   **list;
	int			n;

	if (nr_stage_all_known())
		return;
	n = list_stages(&list);
	for (int i = 0; i < n; i++)
		(void) nr_cache_open(nr_stage_cache(list[i])->relid, RowExclusiveLock, 0);
}

void
nr_commit_refuse_prepare(void)
{
	NrStage   **list;

	nr_stage_close();
	if (!nr_stage_any() || list_stages(&list) == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot PREPARE a transaction that has written to cache \"%s\"",
					nr_stage_cache(list[0])->def->relname),
			 errdetail("Its writes are in the memory of this session until they are committed."),
			 errhint("Use COMMIT, or a cache of visibility 'immediate'.")));
}

static void
prepare(NrStage *stage)
{
	NrCache    *cache = nr_stage_cache(stage);
	NrCommit   *commit = &commits[ncommits];
	bool		swept = false;
	uint32		flags = 0;
	size_t		bytes;
	uint32		n;
	char	   *ops = nr_stage_batch(stage, &bytes, &n);
	NrStatus	status;

	/* who holds the lock until the end draws no number: nobody can overtake */
	if (nr_single_writer(cache->def))
		(void) nr_writer_lock(cache->relid, true, true);
	else
		flags = NR_PREPARE_ORDERED;

	for (;;)
	{
		status = nr_prepare(&cache->handle, ops, bytes, n, flags, true, &commit->prepared);
		if (status == NR_OK)
			break;
		if (status == NR_CANCELLED)
			CHECK_FOR_INTERRUPTS();
		else if (status == NR_NO_SPACE && !swept && nr_exec_found_space(cache))
			swept = true;
		else if (status == NR_NO_SPACE)
			nr_exec_batch_full(cache);
		else
			nr_exec_failed(cache, status, bytes);
	}
	commit->handle = &cache->handle;
	ncommits++;
	pfree(ops);
}

void
nr_commit_prepare(void)
{
	NrStage   **list;
	int			n;

	/* from here on there is nobody who would commit it */
	nr_stage_close();
	if (!nr_stage_any())
		return;
	n = nr_stage_list(&list);
	commits = MemoryContextAllocZero(TopTransactionContext, n * sizeof(NrCommit));
	for (int i = 0; i < n; i++)
	{
		NR_POINT("stage_prepare");
		prepare(list[i]);
	}
	NR_POINT("stage_prepared");
	CHECK_FOR_INTERRUPTS();		/* who cancelled while we waited still gets what they want */
}

/* ---- COMMIT, ABORT ---- */

void
nr_commit_append(void)
{
	if (ncommits == 0)
		return;
	NR_POINT("commit_append");
	for (int i = 0; i < ncommits; i++)
		nr_prepared_append(commits[i].handle, &commits[i].prepared);
	ncommits = 0;
	NR_POINT("commit_done");
}

void
nr_commit_drop(void)
{
	while (ncommits > 0)
	{
		ncommits--;
		nr_prepared_drop(commits[ncommits].handle, &commits[ncommits].prepared);
	}
}
