/*
 * nr_fdw_analyze.c
 *		ANALYZE: a uniform sample of the entries at one position of the log.
 *
 * The number of entries is known with the copy, so Knuth's selection sampling
 * (The Art of Computer Programming, volume 2, 3.4.2, algorithm S) does.
 *
 * Statistics serve selectivities only; how many entries there are is read off
 * the cache whenever a query is planned.
 */
#include "nr_fdw.h"

#include "access/htup_details.h"
#include "common/pg_prng.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "nr_stage.h"

static HeapTuple
entry_tuple(const NrCacheDef *def, TupleDesc desc, const DsHashScanEntry *entry,
			Datum *values, bool *isnull)
{
	const char *key = (const char *) (entry + 1);
	int			key_at = def->key.attnum - 1;

	nr_value_decode(def, key + entry->key_bytes, entry->value_bytes, values, isnull);
	values[key_at] = nr_key_decode(def, key, entry->key_bytes);
	isnull[key_at] = false;
	return heap_form_tuple(desc, values, isnull);
}

/* Tuples of "want" of the "n" entries of a copy, any of them with the same probability. */
static void
pick(Relation rel, const NrCacheDef *def, const char *copy, uint64 n, int want, HeapTuple *rows)
{
	TupleDesc	desc = RelationGetDescr(rel);
	Datum	   *values = palloc0(desc->natts * sizeof(Datum));
	bool	   *isnull = palloc(desc->natts * sizeof(bool));
	MemoryContext context = CurrentMemoryContext;
	MemoryContext row_context = AllocSetContextCreate(context, "nr_cache sample row",
													  ALLOCSET_DEFAULT_SIZES);
	int			got = 0;

	memset(isnull, true, desc->natts * sizeof(bool));	/* dropped columns */
	for (uint64 i = 0; got < want; i++)
	{
		const DsHashScanEntry *entry = (const DsHashScanEntry *) copy;

		CHECK_FOR_INTERRUPTS();
		if (pg_prng_double(&pg_global_prng_state) * (n - i) < want - got)
		{
			HeapTuple	tuple;

			MemoryContextSwitchTo(row_context);
			tuple = entry_tuple(def, desc, entry, values, isnull);
			MemoryContextSwitchTo(context);
			rows[got++] = heap_copytuple(tuple);
			MemoryContextReset(row_context);
		}
		copy += NR_OP_ALIGN(sizeof(*entry) + entry->key_bytes + entry->value_bytes);
	}
	MemoryContextDelete(row_context);
}

static void
warn_no_sample(const NrCache *cache, size_t bytes)
{
	ereport(WARNING,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("no sample was taken of cache \"%s\": a copy of it needs %zu kB of memory",
					cache->def->relname, bytes / 1024),
			 errdetail("A scan reads a consistent copy, which may have %d kB. The number of entries was updated, statistics of columns are as they were.",
					   nr_guc_scan_memory_kb),
			 errhint("Raise \"%s\" in this session.", "nr_cache.scan_memory")));
}

/* AcquireSampleRowsFunc; "rows" get memory of the current context. */
static int
acquire_sample(Relation rel, int elevel, HeapTuple *rows, int target,
			   double *total, double *total_dead)
{
	NrCache    *cache = nr_cache_open(RelationGetRelid(rel), AccessShareLock, 0);
	MemoryContext context = CurrentMemoryContext;
	MemoryContext copy_context = AllocSetContextCreate(context, "nr_cache sample",
													   ALLOCSET_DEFAULT_SIZES);
	DsHashStat	stat = {.code = DS_HASH_STAT};
	size_t		refused = 0;
	size_t		bytes;
	uint64		n;
	int			got;
	char	   *copy;

	MemoryContextSwitchTo(copy_context);
	copy = nr_exec_scan(cache, NR_STAGE_NEWEST, &n, &bytes, &refused);
	MemoryContextSwitchTo(context);
	if (refused > 0)
	{
		nr_exec_read(cache, &stat);
		n = stat.entries;
		got = 0;
		warn_no_sample(cache, refused);
	}
	else
	{
		got = (int) Min(n, (uint64) target);
		pick(rel, cache->def, copy, n, got, rows);
	}
	MemoryContextDelete(copy_context);

	ereport(elevel,
			(errmsg("\"%s\": cache has %llu entries, %d of them in the sample",
					RelationGetRelationName(rel), (unsigned long long) n, got)));
	*total = (double) n;
	*total_dead = 0;
	return got;
}

/* Pages are what the keys and values would fill: shares of a sample of several partitions go by them. */
bool
nr_fdw_analyze(Relation rel, AcquireSampleRowsFunc *func, BlockNumber *pages)
{
	DsHashStat	stat = {.code = DS_HASH_STAT};

	/* ANALYZE of a parent, or of a list, must not fail for want of the library, or of a usable definition */
	if (!nr_shmem_ready() || nr_def_error(rel) != NULL)
		return false;
	nr_exec_read(nr_cache_open(RelationGetRelid(rel), AccessShareLock, 0), &stat);
	*pages = (BlockNumber) Max((stat.key_bytes + stat.value_bytes) / BLCKSZ, 1);
	*func = acquire_sample;
	return true;
}
