/*
 * nr_exec.c
 *		Reads as a transaction sees them: through the engine, with PostgreSQL's
 *		interrupts and errors around it, or in the stage.
 *
 * Between nr_enter and nr_leave there is only the structure's dispatch: no
 * allocation, no error, no interrupt.  Buffers are sized before and a visit that
 * finds its buffer too small is repeated with a larger one.
 */
#include "nr_exec.h"

#include "ds/hash_find.h"
#include "engine/enter.h"
#include "nr_stage.h"

#include "utils/memutils.h"

static NrScratch read_scratch;

pg_noinline void
nr_scratch_reserve(NrScratch *scratch, size_t bytes)
{
	size_t		want = pg_nextpower2_size_t(Max(bytes, (size_t) NR_SCRATCH_BYTES_MIN));

	if (scratch->data != NULL)
		pfree(scratch->data);
	scratch->data = NULL;
	scratch->bytes = 0;
	scratch->data = MemoryContextAllocHuge(TopMemoryContext, want);
	scratch->bytes = want;
}

/* ---- reads ---- */

/* The answer of an empty cache. */
static void
find_nothing(void *op)
{
	switch (*(DsHashReadCode *) op)
	{
		case DS_HASH_GET:
			((DsHashGet *) op)->found = false;
			break;
		case DS_HASH_GET_MANY:
			{
				DsHashGetMany *get = op;

				get->found = 0;
				get->needed_bytes = 0;
				for (uint32 i = 0; i < get->n; i++)
					get->length[i] = -1;
				break;
			}
		case DS_HASH_GET_FIXED:
			{
				DsHashGetFixed *get = op;

				get->empty = 0;
				get->missing = get->n;
				memset(get->state, DS_HASH_FIXED_MISSING, get->n);
				break;
			}
		case DS_HASH_SCAN:
			((DsHashScan *) op)->n = 0;
			((DsHashScan *) op)->needed_bytes = 0;
			break;
		case DS_HASH_STAT:
			memset(op, 0, sizeof(DsHashStat));
			((DsHashStat *) op)->code = DS_HASH_STAT;
			break;
	}
}

/* The cache is taken: there is nothing to be found.  Or the structure refused: only a bug gets there. */
static pg_noinline void
not_read(const NrCache *cache, void *op, NrStatus status)
{
	if (status == NR_GONE)
	{
		find_nothing(op);
		return;
	}
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

	nr_exec_follow(handle);
	while (unlikely((status = nr_enter(handle, true)) == NR_CANCELLED))
		CHECK_FOR_INTERRUPTS();
	if (likely(status == NR_OK))
	{
		NR_POINT("reader_inside");
		status = ds_hash_dispatch.dispatch(handle->copy, op, NULL);
		nr_leave(handle);
	}
	if (unlikely(status != NR_OK))
		not_read(cache, op, status);
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
		nr_scratch_reserve(&read_scratch, NR_SCRATCH_BYTES_MIN);

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
		nr_scratch_reserve(&read_scratch, get.value_bytes);
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

pg_noinline bool
nr_exec_enter(NrCache *cache)
{
	NrStatus	status;

	while ((status = nr_enter(&cache->handle, true)) == NR_CANCELLED)
		CHECK_FOR_INTERRUPTS();
	return status == NR_OK;
}

void
nr_exec_fetch(const NrCache *cache, const NrKey *key)
{
	for (uint32 c = 0; c < cache->handle.ncopies; c++)
		(void) ds_hash_guess(&cache->handle.copies[c], key->hash);
}

bool
nr_exec_exists(NrCache *cache, const NrKey *key)
{
	NrHandle   *handle = &cache->handle;
	DsHashValue value;
	bool		found;

	if (cache->stage != NULL)
	{
		const char *data;
		uint32		bytes;
		NrStaged	staged = nr_stage_find(cache->stage, key, NR_STAGE_NEWEST, &data, &bytes);

		if (staged != NR_STAGED_NOT)
			return staged == NR_STAGED_VALUE;
	}
	nr_exec_follow(handle);
	if (unlikely(!nr_enter_quick(handle)) && !nr_exec_enter(cache))
		return false;
	NR_POINT("reader_inside");
	found = ds_hash_find(handle->copy, ds_hash_line_of(handle->copy, key->hash), key->hash, key->data,
						 key->bytes, &value);
	nr_leave_quick(handle);
	return found;
}

/* Is a copy too large?  An ERROR, unless "refused" is there to be told. */
static bool
scan_too_large(const NrCache *cache, size_t bytes, size_t limit, size_t *refused)
{
	if (bytes <= limit)
		return false;
	if (refused != NULL)
	{
		*refused = bytes;
		return true;
	}
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("scan of cache \"%s\" needs %zu kB of memory", cache->def->relname, bytes / 1024),
			 errdetail("A scan reads a consistent copy, which may have %d kB.", nr_guc_scan_memory_kb),
			 errhint("Raise \"%s\", or look keys up one by one.", "nr_cache.scan_memory")));
	return true;				/* not reached */
}

/* What others find no more. */
static void
exec_read_retired(NrCache *cache, void *op)
{
	NrStatus	status = nr_execute_retired(&cache->handle, op, NULL);

	if (status != NR_OK)
		elog(ERROR, "read of taken cache \"%s\" failed with status %d", cache->def->relname, (int) status);
}

/* A copy of what is shared; NULL when that is nothing.  "refused" as in nr_exec_scan. */
static char *
scan_shared(NrCache *cache, void (*read) (NrCache *cache, void *op), size_t limit, uint64 *n,
			size_t *bytes, size_t *refused)
{
	DsHashScan	scan = {.code = DS_HASH_SCAN};

	/* the first visit, without a buffer, only learns the size */
	for (;;)
	{
		size_t		want;

		read(cache, &scan);
		if (scan.needed_bytes <= scan.capacity)
			break;
		if (scan.out != NULL)
			pfree(scan.out);
		scan.out = NULL;
		if (scan_too_large(cache, scan.needed_bytes, limit, refused))
			return NULL;
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
nr_exec_scan(NrCache *cache, CommandId before, uint64 *n, size_t *bytes, size_t *refused)
{
	size_t		limit = (size_t) nr_guc_scan_memory_kb * 1024;
	char	   *entries = NULL;

	if (likely(cache->stage == NULL))
		return scan_shared(cache, exec_read, limit, n, bytes, refused);
	*n = *bytes = 0;
	if (!nr_stage_hides_shared(cache->stage, before))
		entries = scan_shared(cache, exec_read, limit, n, bytes, refused);
	if (refused == NULL || *refused == 0)
		entries = nr_stage_overlay(cache, before, entries, n, bytes);
	(void) scan_too_large(cache, *bytes, limit, refused);
	return entries;
}

char *
nr_exec_scan_retired(NrCache *cache, uint64 *n, size_t *bytes)
{
	return scan_shared(cache, exec_read_retired, (size_t) nr_guc_scan_memory_kb * 1024, n, bytes, NULL);
}
