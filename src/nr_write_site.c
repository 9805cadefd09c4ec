/*
 * nr_write_site.c
 *		From the arguments of a writing function to the row that is put; contract
 *		in nr_write_site.h.
 */
#include "nr_write_site.h"

#include "access/htup_details.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

void
nr_null_key(const NrCacheDef *def)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("key of cache \"%s\" must not be null", def->relname)));
}

/* ---- resolving ---- */

uint64
nr_write_site_begin(FunctionCallInfo fcinfo, size_t size, AclMode need, NrWriteSite **site_p)
{
	Oid			relid = nr_arg_cache(fcinfo);
	NrWriteSite *site = fcinfo->flinfo->fn_extra;
	NrCacheDef *def;
	uint64		epoch;
	MemoryContext context;

	if (site == NULL)
		site = fcinfo->flinfo->fn_extra =
			MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, size);
	site->nr.epoch = 0;
	def = nr_site_cache(&site->nr, relid, RowExclusiveLock, need)->def;
	epoch = site->nr.epoch;
	site->nr.epoch = 0;

	context = nr_site_context(fcinfo, &site->context);
	site->need = need;
	site->fingerprint = def->fingerprint;
	site->checks = nr_check_begin(def, context);
	site->value_is_row = def->nvalues > 1;
	site->natts = def->tupdesc->natts;
	site->key_at = def->key.attnum - 1;
	site->value_at = def->values[0].attnum - 1;
	site->values = MemoryContextAllocZero(context, site->natts * sizeof(Datum));
	site->isnull = MemoryContextAlloc(context, site->natts * sizeof(bool));
	memset(site->isnull, true, site->natts * sizeof(bool));
	*site_p = site;
	return epoch;
}

void
nr_write_site_key(FunctionCallInfo fcinfo, NrWriteSite *site, bool to_write)
{
	NrCacheDef *def = site->nr.cache->def;
	Oid			from = nr_arg_type(fcinfo, 1);

	/* see read_site_resolve() for keys that are only looked for */
	if (to_write)
		nr_coerce_init(&site->key, site->context, from, def->key.typid, def->key.typmod,
					   def, def->key.attnum);
	else
		nr_coerce_init(&site->key, site->context, getBaseType(from), def->key.basetypid, -1,
					   def, def->key.attnum);
}

void
nr_write_site_value(NrWriteSite *site, Oid type)
{
	NrCacheDef *def = site->nr.cache->def;
	NrColumn   *column = &def->values[0];

	if (!site->value_is_row)
		nr_coerce_init(&site->value, site->context, type, column->typid, column->typmod,
					   def, column->attnum);
	else if (type != def->rowtypid)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("value for cache \"%s\" must be of type %s, not %s", def->relname,
						format_type_be(def->rowtypid), format_type_be(type)),
				 errdetail("The cache has several value columns: it takes whole rows."),
				 errhint("Put a whole row: nr_put(%s, ROW(...)).", nr_cache_literal(def))));
}

/* ---- the row ---- */

/* Take a row of the cache's own row type apart, into the site's row. */
static void
row_from_tuple(NrWriteSite *site, HeapTupleHeader header)
{
	HeapTupleData tuple;
	TupleDesc	desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header),
											  HeapTupleHeaderGetTypMod(header));

	if (desc->natts != site->natts)
		elog(ERROR, "row has %d columns instead of %d", desc->natts, site->natts);
	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	heap_deform_tuple(&tuple, desc, site->values, site->isnull);
	ReleaseTupleDesc(desc);
}

/* The row's own key, if it has one, must be the one given. */
static void
check_same_key(const NrWriteSite *site, Datum key)
{
	NrCache    *cache;
	NrKey		given;
	NrKey		inside;

	if (site->isnull[site->key_at])
		return;
	cache = nr_write_site_cache(site);
	nr_key_encode(cache, key, &given);
	nr_key_encode(cache, site->values[site->key_at], &inside);
	if (given.bytes != inside.bytes || memcmp(given.data, inside.data, given.bytes) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the row to put into cache \"%s\" has another key than the one given",
						cache->def->relname),
				 errhint("Leave the row's key null, or use nr_put(%s, row).",
						 nr_cache_literal(cache->def))));
}

void
nr_write_site_columns(NrWriteSite *site, Datum key, Datum value, bool isnull)
{
	if (isnull)
		memset(site->isnull, true, site->natts * sizeof(bool));
	else
	{
		row_from_tuple(site, DatumGetHeapTupleHeader(value));
		check_same_key(site, key);
	}
}
