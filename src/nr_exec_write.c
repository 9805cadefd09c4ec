/*
 * nr_exec_write.c
 *		Writes: requests to the engine, with PostgreSQL's interrupts and errors
 *		around them, or into the stage.
 */
#include "nr_exec.h"

#include "nr_stage.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "utils/guc.h"

static NrScratch value_scratch; /* of what is put */
static NrScratch write_scratch; /* the operation */

/* Old minor versions do not know the first in subtransactions. */
bool
nr_on_standby(void)
{
	return TransactionStartedDuringRecovery() || RecoveryInProgress();
}

int
nr_standby_hint(void)
{
	if (RecoveryInProgress())
		return errhint("On a standby, write to caches of visibility 'immediate'.");
	return errhint("This transaction began on a standby. Since that was promoted, you can begin another one.");
}

void
nr_require_writable(const char *what)
{
	/*
	 * A standby's caches are its own, and every transaction there counts as
	 * READ ONLY, asked for or not.
	 */
	if (XactReadOnly && !nr_on_standby())
		PreventCommandIfReadOnly(what);
	PreventCommandIfParallelMode(what);
}

/* Did the memory of all caches run out, rather than this one's quota? */
static bool
pool_is_short(const NrCache *cache, NrGroupInfo *group, NrPoolInfo *pool)
{
	nr_group_info(&nr_engine, cache->group, group);
	nr_pool_info(&nr_engine, pool);
	/* a write may need several extents, so look which of the two has less left */
	return group->extents_max - Min(group->extents_used, group->extents_max) > pool->free;
}

static void
cache_is_full(const NrCache *cache, bool batch)
{
	NrGroupInfo group;
	NrPoolInfo	pool;

	if (pool_is_short(cache, &group, &pool))
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("no memory is left for cache \"%s\"", cache->def->relname),
				 errdetail("Of %llu kB for all caches, %llu kB are left; this cache uses %llu kB of its %llu kB.",
						   (unsigned long long) pool.extents * pool.extent_bytes / 1024,
						   (unsigned long long) pool.free * pool.extent_bytes / 1024,
						   (unsigned long long) group.extents_used * pool.extent_bytes / 1024,
						   (unsigned long long) group.extents_max * pool.extent_bytes / 1024),
				 errhint("Raise \"%s\" and restart the server, or drop or truncate another cache.",
						 "nr_cache.memory")));
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("cache \"%s\" is full", cache->def->relname),
			 batch ?
			 errdetail("It uses %llu kB of its %llu kB, and changes that take effect together need room for the worst case.",
					   (unsigned long long) group.extents_used * pool.extent_bytes / 1024,
					   (unsigned long long) group.extents_max * pool.extent_bytes / 1024) :
			 errdetail("It uses %llu kB of its %llu kB.",
					   (unsigned long long) group.extents_used * pool.extent_bytes / 1024,
					   (unsigned long long) group.extents_max * pool.extent_bytes / 1024),
			 batch && cache->def->visibility == NR_VISIBLE_MANUAL ?
			 errhint("What is pending can only be dropped, with the cache or by raising its option \"memory\", which empties it. Publish in smaller portions.") :
			 errhint("Raise the cache's option \"memory\", which empties it, or delete entries.")));
}

void
nr_exec_batch_full(const NrCache *cache)
{
	cache_is_full(cache, true);
	pg_unreachable();
}

/* More at once than the engine takes. */
static void
too_large(const NrCache *cache, size_t bytes)
{
	if (cache->def->visibility == NR_VISIBLE_MANUAL)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too much is pending for cache \"%s\"", cache->def->relname),
				 errdetail("Changes that are published together may have %d kB.", nr_guc_max_batch_kb),
				 errhint("Call nr_publish(), or raise \"%s\" and restart the server.",
						 "nr_cache.max_batch")));
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("%zu bytes in one step are too many for cache \"%s\"", bytes,
					cache->def->relname),
			 errhint("Raise \"%s\" and restart the server.", "nr_cache.max_batch")));
}

void
nr_exec_failed(const NrCache *cache, NrStatus status, size_t bytes)
{
	if (status == NR_NO_SPACE)
		cache_is_full(cache, false);
	if (status == NR_TOO_LARGE)
		too_large(cache, bytes);
	ereport(ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg_internal("write to cache \"%s\" failed with status %d",
							 cache->def->relname, (int) status)));
}

bool
nr_exec_found_space(const NrCache *cache)
{
	NrGroupInfo group;
	NrPoolInfo	pool;

	/* a sweep that freed nothing itself may have waited for a worker to do so */
	return pool_is_short(cache, &group, &pool) && (nr_sweep() > 0 || !pool_is_short(cache, &group, &pool));
}

/*
 * One request; what became of it, or of its first operation that failed.
 * Interrupts are served while nobody has taken the request.
 */
static NrStatus
write_once(NrCache *cache, void *ops, size_t bytes, uint32 n, NrResult *result)
{
	bool		append = cache->def->visibility == NR_VISIBLE_MANUAL;
	NrStatus	status;

	nr_token_follow();
	for (;;)
	{
		status = append ? nr_append(&cache->handle, ops, bytes, n, true, result) :
			nr_execute_mut(&cache->handle, ops, bytes, n, true, result);
		if (likely(status != NR_CANCELLED))
			break;
		CHECK_FOR_INTERRUPTS();
	}
	if (unlikely(status != NR_OK))
		result->done = 0;
	else
		status = result->status;
	return status;
}

static void
refuse_manual_on_standby(const NrCache *cache)
{
	if (cache->def->visibility == NR_VISIBLE_MANUAL && nr_on_standby())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot write to cache \"%s\" during recovery", cache->def->relname),
				 nr_standby_hint()));
}

/*
 * After a refused write: may there be more now?  Dropped caches may have gone.  Of two copies that
 * share memory, the refused batch has let go of what was free of the other kind; and what was
 * dropped is free when all replicas have followed, who are waited for as they are when the log is full.
 */
static bool
make_space(NrCache *cache)
{
	bool		found = nr_exec_found_space(cache);

	if (!cache->def->aliased)
		return found;
	for (uint32 r = 0; r < nr_engine.geo.replicas; r++)
		while (nr_group_sync_replica(&cache->handle, r, true) == NR_CANCELLED)
			CHECK_FOR_INTERRUPTS();
	return true;
}

NrStatus
nr_exec_request(NrCache *cache, void *ops, size_t bytes, uint32 n, NrResult *result)
{
	NrCacheDef *def = cache->def;
	bool		single = nr_single_writer(def);
	NrStatus	status;

	Assert(def->visibility != NR_VISIBLE_COMMIT);
	refuse_manual_on_standby(cache);
	if (bytes > (size_t) nr_guc_max_batch_kb * 1024)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("batch of %zu kB is too large for cache \"%s\"", bytes / 1024,
						def->relname),
				 errdetail("A batch may have %d kB.", nr_guc_max_batch_kb),
				 errhint("Raise \"%s\" and restart the server.", "nr_cache.max_batch")));

	if (single)
		(void) nr_writer_lock(cache->relid, false, true);
	status = write_once(cache, ops, bytes, n, result);
	/* once more, if nothing of it was applied */
	if (unlikely(status == NR_NO_SPACE) && result->done == 0 && make_space(cache))
		status = write_once(cache, ops, bytes, n, result);
	if (single)
		nr_writer_unlock(cache->relid);
	return status;
}

void
nr_exec_write(NrCache *cache, void *ops, size_t bytes, uint32 n, NrResult *result)
{
	NrStatus	status = nr_exec_request(cache, ops, bytes, n, result);

	if (unlikely(status != NR_OK))
		nr_exec_failed(cache, status, bytes);
}

/* ---- one entry ---- */

/* Encode an operation into the scratch memory and apply it. */
static bool
write_put(NrCache *cache, const NrKey *key, const char *value, uint32 value_bytes)
{
	size_t		bytes = ds_hash_op_bytes(key->bytes, value_bytes);
	NrResult	result = {0};

	if (unlikely(bytes > write_scratch.bytes))
		nr_scratch_reserve(&write_scratch, bytes);
	bytes = ds_hash_op_put(write_scratch.data, key->hash, key->data, key->bytes, value, value_bytes, 0);
	nr_exec_write(cache, write_scratch.data, bytes, 1, &result);
	return result.flagged > 0;
}

static bool
write_delete(NrCache *cache, const NrKey *key)
{
	size_t		bytes = ds_hash_op_bytes(key->bytes, 0);
	NrResult	result = {0};

	if (unlikely(bytes > write_scratch.bytes))
		nr_scratch_reserve(&write_scratch, bytes);
	bytes = ds_hash_op_delete(write_scratch.data, key->hash, key->data, key->bytes);
	nr_exec_write(cache, write_scratch.data, bytes, 1, &result);
	return result.flagged > 0;
}

bool
nr_exec_put_bytes(NrCache *cache, const NrKey *key, const char *value, uint32 bytes)
{
	bool		is_new;

	if (cache->def->visibility == NR_VISIBLE_IMMEDIATE)
		return write_put(cache, key, value, bytes);
	is_new = !nr_exec_exists(cache, key);
	if (cache->def->visibility == NR_VISIBLE_COMMIT)
		nr_stage_put(cache, key, value, bytes);
	else
		(void) write_put(cache, key, value, bytes);
	return is_new;
}

/* Inline: every put goes through it. */
static inline const char *
encode_value(const NrCache *cache, const NrKey *key, Datum *values, const bool *isnull, uint32 *bytes)
{
	NrCacheDef *def = cache->def;
	size_t		n = nr_value_measure(def, values, isnull);

	nr_check_entry_bytes(def, key->bytes, n);
	if (unlikely(n > value_scratch.bytes || value_scratch.data == NULL))
		nr_scratch_reserve(&value_scratch, n);
	nr_value_store(def, values, isnull, value_scratch.data);
	*bytes = n;
	return value_scratch.data;
}

const char *
nr_exec_value(const NrCache *cache, const NrKey *key, Datum *values, const bool *isnull,
			  uint32 *bytes)
{
	return encode_value(cache, key, values, isnull, bytes);
}

bool
nr_exec_put(NrCache *cache, const NrKey *key, Datum *values, const bool *isnull)
{
	uint32		bytes;
	const char *value;

	nr_exec_fetch(cache, key);	/* on its way while the operation goes its own */
	value = encode_value(cache, key, values, isnull, &bytes);
	return nr_exec_put_bytes(cache, key, value, bytes);
}

bool
nr_exec_delete(NrCache *cache, const NrKey *key)
{
	bool		found;

	if (cache->def->visibility == NR_VISIBLE_IMMEDIATE)
		return write_delete(cache, key);
	found = nr_exec_exists(cache, key);
	/* found or not: the put that it answers may be committed and yet to be appended */
	if (cache->def->visibility == NR_VISIBLE_COMMIT)
		nr_stage_delete(cache, key);
	else
		(void) write_delete(cache, key);
	return found;
}

void
nr_exec_truncate(NrCache *cache)
{
	NrResult	result = {0};
	uint64		op[NR_OP_ALIGN(sizeof(NrOpHeader)) / sizeof(uint64)];
	size_t		bytes = ds_hash_op_truncate(op);

	if (cache->def->visibility == NR_VISIBLE_COMMIT)
		nr_stage_truncate(cache);
	else
		nr_exec_write(cache, op, bytes, 1, &result);
}
