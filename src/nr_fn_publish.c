/*
 * nr_fn_publish.c
 *		nr_publish, nr_try_publish, nr_pending: for caches of visibility 'manual'.
 *
 * What is pending belongs to the cache and not to a session or transaction: it was
 * appended by whoever called nr_put and its like, and whoever publishes makes all
 * of it visible.
 */
#include "nr_fn.h"

#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(nr_fn_publish);
PG_FUNCTION_INFO_V1(nr_fn_try_publish);
PG_FUNCTION_INFO_V1(nr_fn_pending);

/* Whoever may write may publish. */
#define PUBLISH_ACL		(ACL_INSERT | ACL_UPDATE | ACL_DELETE | ACL_TRUNCATE | NR_ACL_ANY)

static NrCache *
open_manual(FunctionCallInfo fcinfo, const char *function, LOCKMODE lockmode, AclMode need)
{
	NrCache    *cache = nr_cache_open(nr_arg_cache(fcinfo), lockmode, need);
	NrCacheDef *def = cache->def;

	if (def->visibility == NR_VISIBLE_MANUAL)
		return cache;
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("%s is for caches of visibility 'manual', which \"%s\" is not", function,
					def->relname),
			 def->visibility == NR_VISIBLE_COMMIT
			 ? errdetail("Its changes become visible when their transaction commits.")
			 : errdetail("Its changes become visible at once."),
			 errhint("To collect changes until they are published, create the cache with OPTIONS (visibility 'manual').")));
}

/* All that was pending still is. */
static void
publish_failed(const NrCache *cache, NrStatus status)
{
	if (status == NR_NO_SPACE)
		nr_exec_batch_full(cache);
	nr_exec_failed(cache, status, 0);
}

uint64
nr_publish_pending(NrCache *cache)
{
	NrStatus	status;
	uint64		n = 0;

	do
	{
		while ((status = nr_publish(&cache->handle, true, &n)) == NR_CANCELLED)
			CHECK_FOR_INTERRUPTS();
	} while (status == NR_NO_SPACE && nr_exec_found_space(cache));
	if (status != NR_OK)
		publish_failed(cache, status);
	return n;
}

Datum
nr_fn_publish(PG_FUNCTION_ARGS)
{
	NrCache    *cache;
	uint64		n;

	nr_require_shmem();
	nr_require_writable("nr_publish()");
	cache = open_manual(fcinfo, "nr_publish()", RowExclusiveLock, PUBLISH_ACL);
	(void) nr_writer_lock(cache->relid, false, true);
	n = nr_publish_pending(cache);
	nr_writer_unlock(cache->relid);
	PG_RETURN_INT64(n);
}

Datum
nr_fn_try_publish(PG_FUNCTION_ARGS)
{
	NrCache    *cache;
	NrStatus	status;
	uint64		n = 0;

	nr_require_shmem();
	nr_require_writable("nr_try_publish()");
	cache = open_manual(fcinfo, "nr_try_publish()", RowExclusiveLock, PUBLISH_ACL);
	if (!nr_writer_lock(cache->relid, false, false))
		PG_RETURN_BOOL(false);
	status = nr_publish_try(&cache->handle, &n);
	if (status != NR_OK && status != NR_BUSY)
		publish_failed(cache, status);
	nr_writer_unlock(cache->relid);
	PG_RETURN_BOOL(status == NR_OK);
}

Datum
nr_fn_pending(PG_FUNCTION_ARGS)
{
	NrCache    *cache;

	nr_require_shmem();
	cache = open_manual(fcinfo, "nr_pending()", AccessShareLock, ACL_SELECT | NR_ACL_ANY);
	PG_RETURN_INT64(nr_pending_count(&cache->handle));
}
