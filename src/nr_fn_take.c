/*
 * nr_fn_take.c
 *		nr_take: all entries of a cache as rows, and the cache is left without them.
 */
#include "nr_internal.h"

#include "nr_fn.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(nr_take);

/* It reads everything and removes everything. */
#define TAKE_ACL	(ACL_SELECT | ACL_TRUNCATE)

static void
check_row_type(const NrCacheDef *def, Oid type)
{
	if (type == def->rowtypid)
		return;
	/* the other type may have been dropped since the statement was parsed */
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("nr_take() of cache \"%s\" answers rows of type %s, not %s", def->relname,
					format_type_be(def->rowtypid), format_type_extended(type, -1, FORMAT_TYPE_ALLOW_INVALID)),
			 errhint("Write SELECT * FROM nr_take(%s, NULL::%s).", nr_cache_literal(def),
					 format_type_be(def->rowtypid))));
}

/* What a scan of the taken cache copied becomes rows. */
static void
store_rows(const NrCacheDef *def, const char *entries, uint64 n, ReturnSetInfo *rsinfo)
{
	TupleDesc	desc = rsinfo->setDesc;
	Datum	   *values = palloc0(desc->natts * sizeof(Datum));
	bool	   *isnull = palloc(desc->natts * sizeof(bool));
	int			key_at = def->key.attnum - 1;
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext, "nr_cache taken row",
													  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(row_context);

	memset(isnull, true, desc->natts * sizeof(bool));	/* dropped columns */
	for (uint64 i = 0; i < n; i++)
	{
		const DsHashScanEntry *entry = (const DsHashScanEntry *) entries;
		const char *key = (const char *) (entry + 1);

		CHECK_FOR_INTERRUPTS();
		nr_value_decode(def, key + entry->key_bytes, entry->value_bytes, values, isnull);
		values[key_at] = nr_key_decode(def, key, entry->key_bytes);
		isnull[key_at] = false;
		tuplestore_putvalues(rsinfo->setResult, desc, values, isnull);
		MemoryContextReset(row_context);
		entries += NR_OP_ALIGN(sizeof(*entry) + entry->key_bytes + entry->value_bytes);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(row_context);
}

/*
 * All rows are made in this call, so it does not matter whether anybody fetches them.
 * An error after nr_take_begin ends the transaction or a subtransaction, and
 * with it the take.
 */
Datum
nr_take(PG_FUNCTION_ARGS)
{
	Oid			relid = nr_arg_cache(fcinfo);
	NrCache    *cache;
	char	   *entries;
	size_t		bytes;
	uint64		n;

	nr_require_shmem();
	nr_require_writable("nr_take()");
	PreventCommandDuringRecovery("nr_take()");	/* where there is no such lock */
	check_row_type(nr_cache_open(relid, AccessShareLock, TAKE_ACL)->def, nr_arg_type(fcinfo, 1));
	InitMaterializedSRF(fcinfo, 0);
	cache = nr_cache_open(relid, ExclusiveLock, TAKE_ACL);
	if (nr_take_begin(cache))
	{
		entries = nr_exec_scan_retired(cache, &n, &bytes);
		store_rows(cache->def, entries, n, (ReturnSetInfo *) fcinfo->resultinfo);
		if (entries != NULL)
			pfree(entries);
	}
	return (Datum) 0;
}
