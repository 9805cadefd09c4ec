/*
 * nr_exec.c
 *		Reads and writes as a transaction sees them: through the engine, with
 *		PostgreSQL's interrupts and errors around it, or in the stage.
 *
 * Between nr_enter and nr_leave there is only the structure's dispatch: no
 * allocation, no error, no interrupt.  Buffers are sized before and a visit that
 * finds its buffer too small is repeated with a larger one.
 */
#include "nr_fn.h"

#include "nr_stage.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "utils/guc.h"
#include "utils/memutils.h"

/*
 * Backend-local scratch memory that only grows; nr_cache.max_entry bounds it.
 */
typedef struct Scratch
{
	char	   *data;
	size_t		bytes;
} Scratch;

#define SCRATCH_BYTES_MIN	8192

static Scratch read_scratch;
static Scratch value_scratch;	/* of what is put */
static Scratch write_scratch;	/* the operation */

/* Make it at least this large; what it held is lost. */
static pg_noinline void
scratch_reserve(Scratch *scratch, size_t bytes)
{
	size_t		want = pg_nextpower2_size_t(Max(bytes, (size_t) SCRATCH_BYTES_MIN));

	if (scratch->data != NULL)
		pfree(scratch->data);
	scratch->data = NULL;
	scratch->bytes = 0;
	scratch->data = MemoryContextAllocHuge(TopMemoryContext, want);
	scratch->bytes = want;
}

/* ---- reads ---- */

/* A read that the structure refused: only a bug gets here. */
static void
read_failed(const NrCache *cache, NrStatus status)
{
	ereport(ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg_internal("read of cache \"%s\" failed with status %d",
							 cache->def->relname, (int) status)));
}

static inline void
exec_read(NrCache *cache, void *op)
{
	NrHandle   *handle = &cache->handle;
	NrStatus	status;

	while (unlikely((status = nr_enter(handle, true)) == NR_CANCELLED))
		CHECK_FOR_INTERRUPTS();
	if (likely(status == NR_OK))
	{
		NR_POINT("reader_inside");
		status = ds_hash_dispatch.dispatch(handle->copy, op, NULL);
		nr_leave(handle);
	}
	if (unlikely(status != NR_OK))
		read_failed(cache, status);
}

void
nr_exec_read(NrCache *cache, void *op)
{
	exec_read(cache, op);
}

static inline bool
get_shared(NrCache *cache, const NrKey *key, const char **data, uint32 *bytes)
{
	DsHashGet	get;

	if (unlikely(read_scratch.data == NULL))
		scratch_reserve(&read_scratch, SCRATCH_BYTES_MIN);

	get.code = DS_HASH_GET;
	get.key = key->data;
	get.key_bytes = key->bytes;
	get.hash = key->hash;
	for (;;)
	{
		get.out = read_scratch.data;
		get.capacity = read_scratch.bytes;
		exec_read(cache, &get);
		if (!get.found)
		{
			cache->handle.misses++;
			return false;
		}
		if (likely(get.value_bytes <= get.capacity))
			break;
		scratch_reserve(&read_scratch, get.value_bytes);
	}
	cache->handle.hits++;
	*data = read_scratch.data;
	*bytes = get.value_bytes;
	return true;
}

/* For transactions that have written to the cache. */
static pg_noinline bool
get_staged(NrCache *cache, const NrKey *key, CommandId before, const char **data, uint32 *bytes)
{
	switch (nr_stage_find(cache->stage, key, before, data, bytes))
	{
		case NR_STAGED_VALUE:
			cache->handle.hits++;
			return true;
		case NR_STAGED_GONE:
			cache->handle.misses++;
			return false;
		case NR_STAGED_NOT:
			break;
	}
	return get_shared(cache, key, data, bytes);
}

bool
nr_exec_get(NrCache *cache, const NrKey *key, const char **data, uint32 *bytes)
{
	if (unlikely(cache->stage != NULL))
		return get_staged(cache, key, NR_STAGE_NEWEST, data, bytes);
	return get_shared(cache, key, data, bytes);
}

bool
nr_exec_get_before(NrCache *cache, const NrKey *key, CommandId before,
				   const char **data, uint32 *bytes)
{
	if (unlikely(cache->stage != NULL))
		return get_staged(cache, key, before, data, bytes);
	return get_shared(cache, key, data, bytes);
}

bool
nr_exec_exists(NrCache *cache, const NrKey *key)
{
	char		nothing;
	DsHashGet	get = {
		.code = DS_HASH_GET, .key = key->data, .key_bytes = key->bytes, .hash = key->hash, .out = &nothing
	};

	if (cache->stage != NULL)
	{
		const char *data;
		uint32		bytes;
		NrStaged	staged = nr_stage_find(cache->stage, key, NR_STAGE_NEWEST, &data, &bytes);

		if (staged != NR_STAGED_NOT)
			return staged == NR_STAGED_VALUE;
	}
	exec_read(cache, &get);
	return get.found;
}

static void
scan_too_large(const NrCache *cache, size_t bytes)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("scan of cache \"%s\" needs %zu kB of memory", cache->def->relname, bytes / 1024),
			 errdetail("A scan reads a consistent copy, which may have %d kB.", nr_guc_scan_memory_kb),
			 errhint("Raise \"%s\", or look keys up one by one.", "nr_cache.scan_memory")));
}

/* A copy of what is shared; NULL when that is nothing. */
static char *
scan_shared(NrCache *cache, size_t limit, uint64 *n, size_t *bytes)
{
	DsHashScan	scan = {.code = DS_HASH_SCAN};

	/* the first visit, without a buffer, only learns the size */
	for (;;)
	{
		size_t		want;

		exec_read(cache, &scan);
		if (scan.needed_bytes <= scan.capacity)
			break;
		if (scan.out != NULL)
			pfree(scan.out);
		scan.out = NULL;
		if (scan.needed_bytes > limit)
			scan_too_large(cache, scan.needed_bytes);
		/* room for what writers add meanwhile */
		want = Min(scan.needed_bytes + scan.needed_bytes / 16 + 1024, Max(limit, scan.needed_bytes));
		scan.out = MemoryContextAllocHuge(CurrentMemoryContext, want);
		scan.capacity = want;
		CHECK_FOR_INTERRUPTS();
	}
	*n = scan.n;
	*bytes = scan.needed_bytes;
	return scan.out;
}

char *
nr_exec_scan(NrCache *cache, CommandId before, uint64 *n, size_t *bytes)
{
	size_t		limit = (size_t) nr_guc_scan_memory_kb * 1024;
	char	   *entries = NULL;

	if (likely(cache->stage == NULL))
		return scan_shared(cache, limit, n, bytes);
	*n = *bytes = 0;
	if (!nr_stage_hides_shared(cache->stage, before))
		entries = scan_shared(cache, limit, n, bytes);
	entries = nr_stage_overlay(cache, before, entries, n, bytes);
	if (*bytes > limit)
		scan_too_large(cache, *bytes);
	return entries;
}

/* ---- writes ---- */

void
nr_require_writable(const char *what)
{
	/*
	 * A standby's caches are its own, and every transaction there counts as
	 * READ ONLY, asked for or not.
	 */
	if (XactReadOnly && !RecoveryInProgress())
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
	return (uint64) group->copies * (group->extents_max - Min(group->extents_used, group->extents_max)) >
		pool->free;
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
						   (unsigned long long) group.copies * group.extents_used * pool.extent_bytes / 1024,
						   (unsigned long long) group.copies * group.extents_max * pool.extent_bytes / 1024),
				 errhint("Raise \"%s\" and restart the server, or drop or truncate another cache.",
						 "nr_cache.memory")));
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("cache \"%s\" is full", cache->def->relname),
			 batch ?
			 errdetail("It uses %llu kB of its %llu kB, and changes that take effect together need room for the worst case.",
					   (unsigned long long) group.copies * group.extents_used * pool.extent_bytes / 1024,
					   (unsigned long long) group.copies * group.extents_max * pool.extent_bytes / 1024) :
			 errdetail("It uses %llu kB of its %llu kB.",
					   (unsigned long long) group.copies * group.extents_used * pool.extent_bytes / 1024,
					   (unsigned long long) group.copies * group.extents_max * pool.extent_bytes / 1024),
			 errhint("Raise the cache's option \"memory\", or delete entries.")));
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

	return pool_is_short(cache, &group, &pool) && nr_sweep() > 0;
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
	if (cache->def->visibility == NR_VISIBLE_MANUAL && RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot write to cache \"%s\" during recovery", cache->def->relname),
				 errhint("On a standby, write to caches of visibility 'immediate'.")));
}

void
nr_exec_write(NrCache *cache, void *ops, size_t bytes, uint32 n, NrResult *result)
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
	if (unlikely(status == NR_NO_SPACE) && result->done == 0 && nr_exec_found_space(cache))
		status = write_once(cache, ops, bytes, n, result);
	if (unlikely(status != NR_OK))
		nr_exec_failed(cache, status, bytes);
	if (single)
		nr_writer_unlock(cache->relid);
}

/* Encode an operation into the scratch memory and apply it. */
static bool
write_put(NrCache *cache, const NrKey *key, const char *value, uint32 value_bytes)
{
	size_t		bytes = ds_hash_op_bytes(key->bytes, value_bytes);
	NrResult	result = {0};

	if (unlikely(bytes > write_scratch.bytes))
		scratch_reserve(&write_scratch, bytes);
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
		scratch_reserve(&write_scratch, bytes);
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

bool
nr_exec_put(NrCache *cache, const NrKey *key, Datum *values, const bool *isnull)
{
	NrCacheDef *def = cache->def;
	size_t		bytes = nr_value_measure(def, values, isnull);

	nr_check_entry_bytes(def, key->bytes, bytes);
	if (unlikely(bytes > value_scratch.bytes || value_scratch.data == NULL))
		scratch_reserve(&value_scratch, bytes);
	nr_value_store(def, values, isnull, value_scratch.data);
	return nr_exec_put_bytes(cache, key, value_scratch.data, bytes);
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
