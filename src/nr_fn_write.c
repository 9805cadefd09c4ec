/*
 * nr_fn_write.c
 *		nr_put in its forms, nr_delete, nr_truncate.
 *
 * A put coerces its arguments as an INSERT would, checks the cache's
 * constraints, and only then, when no more user code can run, encodes.
 */
#include "nr_write_site.h"

#include "access/htup_details.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(nr_put);
PG_FUNCTION_INFO_V1(nr_put_row);
PG_FUNCTION_INFO_V1(nr_put_no_value);
PG_FUNCTION_INFO_V1(nr_delete);
PG_FUNCTION_INFO_V1(nr_truncate);
PG_FUNCTION_INFO_V1(nr_default_put);
PG_FUNCTION_INFO_V1(nr_default_delete);

/* A call site of nr_put_row also knows the shape of the last record, and how to coerce its columns. */
typedef struct RecordSite
{
	NrWriteSite site;			/* must be first */
	Oid			rowtype;
	int32		rowtypmod;
	TupleDesc	desc;			/* NULL: nothing known yet */
	MemoryContext context;
	NrCoerce   *columns;		/* by the record's columns */
	int		   *column_at;		/* where they belong */
	Datum	   *values;
	bool	   *isnull;
} RecordSite;

/* ---- nr_put(cache, key, value) ---- */

/* The site's row, all columns coerced: check, encode, write. */
static bool
put_site_row(NrWriteSite *site)
{
	NrCache    *cache = nr_write_site_check(site);
	NrKey		key;

	nr_key_encode(cache, site->values[site->key_at], &key);
	return nr_exec_put(cache, &key, site->values, site->isnull);
}

static pg_noinline NrWriteSite *
put_resolve(FunctionCallInfo fcinfo)
{
	NrWriteSite *site;
	uint64		epoch = nr_write_site_begin(fcinfo, sizeof(NrWriteSite), NR_PUT_ACL, &site);

	nr_write_site_key(fcinfo, site, true);
	nr_write_site_value(site, nr_arg_type(fcinfo, 2));
	site->nr.epoch = epoch;
	return site;
}

Datum
nr_put(PG_FUNCTION_ARGS)
{
	NrWriteSite *site = nr_write_site_known(fcinfo);

	if (site == NULL)
		site = put_resolve(fcinfo);
	nr_require_writable("nr_put()");
	nr_write_site_row(site, nr_write_site_take_key(fcinfo, site), PG_GETARG_DATUM(2), PG_ARGISNULL(2));
	PG_RETURN_BOOL(put_site_row(site));
}

/* ---- nr_put(cache, row) ---- */

static pg_noinline RecordSite *
put_row_resolve(FunctionCallInfo fcinfo)
{
	NrWriteSite *site;
	uint64		epoch = nr_write_site_begin(fcinfo, sizeof(RecordSite), NR_PUT_ACL, &site);
	RecordSite *record = (RecordSite *) site;

	record->desc = NULL;
	record->context = NULL;
	site->nr.epoch = epoch;
	return record;
}

/*
 * A record of another shape than the last one: find out how its columns become
 * the cache's, one by one in order, as in INSERT.
 */
static void
resolve_record(RecordSite *record, Oid rowtype, int32 rowtypmod)
{
	NrCacheDef *def = nr_write_site_cache(&record->site)->def;
	TupleDesc	desc;
	int			at = 0;
	int			want = 1 + def->nvalues;
	int			got = 0;
	MemoryContext old;

	record->desc = NULL;
	if (record->context == NULL)
		record->context = AllocSetContextCreate(record->site.context, "nr_cache record shape",
												 ALLOCSET_SMALL_SIZES);
	MemoryContextReset(record->context);
	old = MemoryContextSwitchTo(record->context);
	desc = lookup_rowtype_tupdesc_copy(rowtype, rowtypmod);
	record->columns = palloc0(desc->natts * sizeof(NrCoerce) + 1);
	record->column_at = palloc(desc->natts * sizeof(int) + 1);
	record->values = palloc(desc->natts * sizeof(Datum) + 1);
	record->isnull = palloc(desc->natts * sizeof(bool) + 1);
	MemoryContextSwitchTo(old);

	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped)
			got++;
	if (got != want)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("cache \"%s\" has %d columns but the record has %d", def->relname, want, got),
				 errhint("Give the key and all values in the order of the cache's columns: nr_put(%s, ROW(...)).",
						 nr_cache_literal(def))));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute from = TupleDescAttr(desc, i);
		Form_pg_attribute to;

		if (from->attisdropped)
			continue;
		while (TupleDescAttr(def->tupdesc, at)->attisdropped)
			at++;
		to = TupleDescAttr(def->tupdesc, at);
		record->column_at[i] = at++;
		if (from->atttypid == to->atttypid && from->atttypmod == to->atttypmod)
			record->columns[i].kind = NR_COERCE_DIRECT;
		else
			nr_coerce_init(&record->columns[i], record->context, from->atttypid, to->atttypid,
						   to->atttypmod, def, to->attnum);
	}
	record->rowtype = rowtype;
	record->rowtypmod = rowtypmod;
	record->desc = desc;		/* last: now everything is known */
}

/* Any record, column by column, into the site's row. */
static void
row_from_record(RecordSite *record, HeapTupleHeader header)
{
	NrWriteSite *site = &record->site;
	HeapTupleData tuple;
	Oid			rowtype = HeapTupleHeaderGetTypeId(header);
	int32		rowtypmod = HeapTupleHeaderGetTypMod(header);

	if (record->desc == NULL || record->rowtype != rowtype || record->rowtypmod != rowtypmod)
		resolve_record(record, rowtype, rowtypmod);

	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	heap_deform_tuple(&tuple, record->desc, record->values, record->isnull);
	for (int i = 0; i < record->desc->natts; i++)
	{
		int			at = record->column_at[i];

		if (TupleDescAttr(record->desc, i)->attisdropped)
			continue;
		site->isnull[at] = record->isnull[i];
		site->values[at] = nr_coerce(&record->columns[i], record->values[i], &site->isnull[at]);
	}
}

Datum
nr_put_row(PG_FUNCTION_ARGS)
{
	RecordSite *record = nr_write_site_known(fcinfo);

	if (record == NULL)
		record = put_row_resolve(fcinfo);
	nr_require_writable("nr_put()");
	if (PG_ARGISNULL(1))
		nr_null_key(record->site.nr.cache->def);
	row_from_record(record, PG_GETARG_HEAPTUPLEHEADER(1));
	if (record->site.isnull[record->site.key_at])
		nr_null_key(nr_write_site_cache(&record->site)->def);
	PG_RETURN_BOOL(put_site_row(&record->site));
}

/*
 * nr_put(cache, text) exists to say what is missing: without it PostgreSQL takes a
 * literal for the row, and says that it has no input function for rows.
 */
Datum
nr_put_no_value(PG_FUNCTION_ARGS)
{
	char	   *cache = nr_relation_literal(nr_arg_cache(fcinfo), "cache");

	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_FUNCTION),
			 errmsg("nr_put() with a cache and a text lacks a value"),
			 errhint("Write nr_put(%s, key, value), or nr_put(%s, ROW(...)) with the values of all columns.",
					 cache, cache)));
}

/* ---- the rest ---- */

static pg_noinline NrWriteSite *
delete_resolve(FunctionCallInfo fcinfo)
{
	NrWriteSite *site;
	uint64		epoch = nr_write_site_begin(fcinfo, sizeof(NrWriteSite), ACL_DELETE, &site);

	nr_write_site_key(fcinfo, site, false);
	site->nr.epoch = epoch;
	return site;
}

Datum
nr_delete(PG_FUNCTION_ARGS)
{
	NrWriteSite *site = nr_write_site_known(fcinfo);
	Datum		datum;
	NrCache    *cache;
	NrKey		key;

	if (site == NULL)
		site = delete_resolve(fcinfo);
	nr_require_writable("nr_delete()");
	datum = nr_write_site_take_key(fcinfo, site);
	cache = nr_write_site_cache(site);
	nr_key_encode(cache, datum, &key);
	PG_RETURN_BOOL(nr_exec_delete(cache, &key));
}

Datum
nr_truncate(PG_FUNCTION_ARGS)
{
	nr_require_writable("nr_truncate()");
	nr_exec_truncate(nr_cache_open(nr_arg_cache(fcinfo), RowExclusiveLock, ACL_TRUNCATE));
	PG_RETURN_VOID();
}

Datum
nr_default_put(PG_FUNCTION_ARGS)
{
	static const char *example = "nr_put(cache, key, value)";
	NrCache    *cache = nr_default_open(fcinfo, RowExclusiveLock, NR_PUT_ACL, example);
	NrCacheDef *def = cache->def;
	Datum	   *values;
	bool	   *isnull;
	NrKey		key;

	nr_require_writable("nr_put()");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("key of cache \"%s\" must not be null", def->relname),
				 errhint("With two arguments of type text this function puts a key and a value into \"nr_default\"; for another cache write %s.",
						 example)));
	values = palloc0(def->tupdesc->natts * sizeof(Datum));
	isnull = palloc(def->tupdesc->natts * sizeof(bool));
	memset(isnull, true, def->tupdesc->natts * sizeof(bool));
	values[def->key.attnum - 1] = PG_GETARG_DATUM(0);
	isnull[def->key.attnum - 1] = false;
	values[def->values[0].attnum - 1] = PG_GETARG_DATUM(1);
	isnull[def->values[0].attnum - 1] = PG_ARGISNULL(1);

	/* as made, the cache has a NOT NULL key only; more is rare enough to be set up for each call */
	if (def->checks || def->partition || (def->not_null && PG_ARGISNULL(1)))
	{
		NrCheckState *checks = nr_check_begin(def, CurrentMemoryContext);

		if (checks != NULL)
			nr_check_row(checks, values, isnull);
		cache = nr_default_open(fcinfo, RowExclusiveLock, NR_PUT_ACL, example);
	}
	nr_key_encode(cache, PG_GETARG_DATUM(0), &key);
	PG_RETURN_BOOL(nr_exec_put(cache, &key, values, isnull));
}

Datum
nr_default_delete(PG_FUNCTION_ARGS)
{
	NrCache    *cache = nr_default_open(fcinfo, RowExclusiveLock, ACL_DELETE,
										"nr_delete(cache, key)");
	NrKey		key;

	nr_require_writable("nr_delete()");
	if (PG_ARGISNULL(0))
		nr_null_key(cache->def);
	nr_key_encode(cache, PG_GETARG_DATUM(0), &key);
	PG_RETURN_BOOL(nr_exec_delete(cache, &key));
}
