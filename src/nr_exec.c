/*
 * nr_exec.c
 *		Reads and writes through the engine, with PostgreSQL's interrupts and
 *		errors around them.
 *
 * Between nr_enter and nr_leave there is only the structure's dispatch: no
 * allocation, no error, no interrupt.  Buffers are sized before and a visit that
 * finds its buffer too small is repeated with a larger one.
 */
#include "nr_fn.h"

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
static Scratch write_scratch;

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

bool
nr_exec_get(NrCache *cache, const NrKey *key, const char **data, uint32 *bytes)
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

char *
nr_exec_scan(NrCache *cache, uint64 *n, size_t *bytes)
{
	DsHashScan	scan = {.code = DS_HASH_SCAN};
	size_t		limit = (size_t) nr_guc_scan_memory_kb * 1024;

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
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("scan of cache \"%s\" needs %zu kB of memory", cache->def->relname,
							scan.needed_bytes / 1024),
					 errdetail("A scan reads a consistent copy, which may have %d kB.",
							   nr_guc_scan_memory_kb),
					 errhint("Raise \"%s\", or look keys up one by one.", "nr_cache.scan_memory")));
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
cache_is_full(const NrCache *cache)
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
			 errdetail("It uses %llu kB of its %llu kB.",
					   (unsigned long long) group.copies * group.extents_used * pool.extent_bytes / 1024,
					   (unsigned long long) group.copies * group.extents_max * pool.extent_bytes / 1024),
			 errhint("Raise the cache's option \"memory\", or delete entries.")));
}

/*
 * One request; what became of it, or of its first operation that failed.
 * Interrupts are served while nobody has taken the request.
 */
static NrStatus
write_once(NrCache *cache, const void *ops, size_t bytes, uint32 n, NrResult *result)
{
	NrStatus	status;

	while (unlikely((status = nr_execute_mut(&cache->handle, ops, bytes, n, true, result)) == NR_CANCELLED))
		CHECK_FOR_INTERRUPTS();
	if (unlikely(status != NR_OK))
		result->done = 0;
	else
		status = result->status;
	return status;
}

/*
 * No space: is it worth to write once more?  Only when nothing of the request
 * was applied, and orphans held memory that this cache may still have.
 */
static bool
found_space(const NrCache *cache, const NrResult *result)
{
	NrGroupInfo group;
	NrPoolInfo	pool;

	return result->done == 0 && pool_is_short(cache, &group, &pool) && nr_sweep() > 0;
}

void
nr_exec_write(NrCache *cache, const void *ops, size_t bytes, uint32 n, NrResult *result)
{
	NrStatus	status;

	if (bytes > (size_t) nr_guc_max_batch_kb * 1024)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("batch of %zu kB is too large for cache \"%s\"", bytes / 1024,
						cache->def->relname),
				 errdetail("A batch may have %d kB.", nr_guc_max_batch_kb),
				 errhint("Raise \"%s\" and restart the server.", "nr_cache.max_batch")));

	status = write_once(cache, ops, bytes, n, result);
	if (unlikely(status == NR_NO_SPACE) && found_space(cache, result))
		status = write_once(cache, ops, bytes, n, result);
	if (likely(status == NR_OK))
		return;

	switch (status)
	{
		case NR_NO_SPACE:
			cache_is_full(cache);
			break;
		case NR_TOO_LARGE:
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("%zu bytes in one step are too many for cache \"%s\"", bytes,
							cache->def->relname),
					 errhint("Raise \"%s\" and restart the server.", "nr_cache.max_batch")));
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg_internal("write to cache \"%s\" failed with status %d",
									 cache->def->relname, (int) status)));
	}
}

bool
nr_exec_put(NrCache *cache, const NrKey *key, Datum *values, const bool *isnull)
{
	NrCacheDef *def = cache->def;
	NrResult	result = {0};
	size_t		value_bytes = nr_value_measure(def, values, isnull);
	size_t		op_bytes;
	char	   *value;

	nr_check_entry_bytes(def, key->bytes, value_bytes);

	/* the operation, and the value it copies behind it */
	op_bytes = ds_hash_op_bytes(key->bytes, value_bytes);
	if (unlikely(op_bytes + value_bytes > write_scratch.bytes))
		scratch_reserve(&write_scratch, op_bytes + value_bytes);
	value = write_scratch.data + op_bytes;
	nr_value_store(def, values, isnull, value);
	op_bytes = ds_hash_op_put(write_scratch.data, key->hash, key->data, key->bytes,
							  value, value_bytes, 0);
	nr_exec_write(cache, write_scratch.data, op_bytes, 1, &result);
	return result.flagged > 0;
}

bool
nr_exec_delete(NrCache *cache, const NrKey *key)
{
	NrResult	result = {0};
	size_t		bytes = ds_hash_op_bytes(key->bytes, 0);

	if (unlikely(bytes > write_scratch.bytes))
		scratch_reserve(&write_scratch, bytes);
	bytes = ds_hash_op_delete(write_scratch.data, key->hash, key->data, key->bytes);
	nr_exec_write(cache, write_scratch.data, bytes, 1, &result);
	return result.flagged > 0;
}

void
nr_exec_truncate(NrCache *cache)
{
	NrResult	result = {0};
	uint64		op[NR_OP_ALIGN(sizeof(NrOpHeader)) / sizeof(uint64)];
	size_t		bytes = ds_hash_op_truncate(op);

	nr_exec_write(cache, op, bytes, 1, &result);
}
