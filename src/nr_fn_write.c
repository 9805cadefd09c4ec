/*
 * nr_fn_write.c
 *		nr_put in its forms, nr_delete, nr_truncate.
 *
 * A put coerces its arguments as an INSERT would, checks the cache's
 * constraints, and only then, when no more user code can run, encodes.
 */
#include "nr_fn.h"

#include "access/htup_details.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(nr_put);
PG_FUNCTION_INFO_V1(nr_put_row);
PG_FUNCTION_INFO_V1(nr_delete);
PG_FUNCTION_INFO_V1(nr_truncate);
PG_FUNCTION_INFO_V1(nr_default_put);
PG_FUNCTION_INFO_V1(nr_default_delete);

/* A put replaces, so it is an INSERT and an UPDATE. */
#define PUT_ACL			(ACL_INSERT | ACL_UPDATE)

/* What a call site of nr_put, nr_put_row or nr_delete knows. */
typedef struct WriteSite
{
	NrSite		nr;				/* epoch 0 until the rest is resolved */
	uint64		fingerprint;
	MemoryContext context;
	NrCheckState *checks;		/* NULL: none */

	/* nr_put, nr_delete */
	NrCoerce	key;
	NrCoerce	value;			/* unused with several value columns */
	bool		value_is_row;

	/* the row that is put, by attnum - 1 */
	int			natts;
	int			key_at;
	int			value_at;		/* the only value column */
	Datum	   *values;
	bool	   *isnull;

	/* nr_put_row: the shape of the last record, and how to coerce its columns */
	Oid			rowtype;
	int32		rowtypmod;
	TupleDesc	rowdesc;		/* NULL: nothing known yet */
	MemoryContext rowcontext;
	NrCoerce   *columns;		/* by the record's columns */
	int		   *column_at;		/* where they belong */
	Datum	   *row_values;
	bool	   *row_isnull;
} WriteSite;

static void
null_key(const NrCacheDef *def)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("key of cache \"%s\" must not be null", def->relname)));
}

/* ---- resolving ---- */

/*
 * What all writing functions have in common.  The caller resolves the rest and
 * then sets site->nr.epoch to what is returned: a failure in between leaves
 * nothing half known.
 */
static uint64
write_site_begin(FunctionCallInfo fcinfo, AclMode need, WriteSite **site_p)
{
	Oid			relid = nr_arg_cache(fcinfo);
	WriteSite  *site = fcinfo->flinfo->fn_extra;
	NrCacheDef *def;
	uint64		epoch;
	MemoryContext context;

	if (site == NULL)
		site = fcinfo->flinfo->fn_extra =
			MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(WriteSite));
	site->nr.epoch = 0;
	def = nr_site_cache(&site->nr, relid, RowExclusiveLock, need)->def;
	epoch = site->nr.epoch;
	site->nr.epoch = 0;

	context = nr_site_context(fcinfo, &site->context);
	site->rowdesc = NULL;
	site->rowcontext = NULL;
	site->fingerprint = def->fingerprint;
	site->checks = nr_check_begin(def, context);
	site->natts = def->tupdesc->natts;
	site->key_at = def->key.attnum - 1;
	site->value_at = def->values[0].attnum - 1;
	site->values = MemoryContextAllocZero(context, site->natts * sizeof(Datum));
	site->isnull = MemoryContextAlloc(context, site->natts * sizeof(bool));
	memset(site->isnull, true, site->natts * sizeof(bool));
	*site_p = site;
	return epoch;
}

static void
resolve_key(FunctionCallInfo fcinfo, WriteSite *site, bool to_write)
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

static pg_noinline WriteSite *
put_resolve(FunctionCallInfo fcinfo)
{
	WriteSite  *site;
	uint64		epoch = write_site_begin(fcinfo, PUT_ACL, &site);
	NrCacheDef *def = site->nr.cache->def;
	Oid			type = nr_arg_type(fcinfo, 2);

	resolve_key(fcinfo, site, true);
	site->value_is_row = def->nvalues > 1;
	if (!site->value_is_row)
		nr_coerce_init(&site->value, site->context, type, def->values[0].typid,
					   def->values[0].typmod, def, def->values[0].attnum);
	else if (type != def->rowtypid)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("value for cache \"%s\" must be of type %s, not %s", def->relname,
						format_type_be(def->rowtypid), format_type_be(type)),
				 errdetail("The cache has several value columns: it takes whole rows."),
				 errhint("Put a whole row: nr_put(%s, ROW(...)).", nr_cache_literal(def))));
	site->nr.epoch = epoch;
	return site;
}

static pg_noinline WriteSite *
put_row_resolve(FunctionCallInfo fcinfo)
{
	WriteSite  *site;
	uint64		epoch = write_site_begin(fcinfo, PUT_ACL, &site);

	site->nr.epoch = epoch;
	return site;
}

static pg_noinline WriteSite *
delete_resolve(FunctionCallInfo fcinfo)
{
	WriteSite  *site;
	uint64		epoch = write_site_begin(fcinfo, ACL_DELETE, &site);

	resolve_key(fcinfo, site, false);
	site->nr.epoch = epoch;
	return site;
}

static inline bool
site_is_good(FunctionCallInfo fcinfo)
{
	WriteSite  *site = fcinfo->flinfo->fn_extra;

	return likely(site != NULL && !PG_ARGISNULL(0) && nr_site_knows(&site->nr, PG_GETARG_OID(0)));
}

/* ---- putting ---- */

/* The site's row, all columns coerced: check, encode, write. */
static bool
put_site_row(WriteSite *site)
{
	NrCache    *cache;
	NrKey		key;

	if (site->checks != NULL)
		nr_check_row(site->checks, site->values, site->isnull);
	cache = nr_site_again(&site->nr, site->fingerprint, RowExclusiveLock, PUT_ACL);
	nr_key_encode(cache, site->values[site->key_at], &key);
	return nr_exec_put(cache, &key, site->values, site->isnull);
}

/* Take a row of the cache's own row type apart, into the site's row. */
static void
site_row_from_tuple(WriteSite *site, HeapTupleHeader header)
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

/*
 * nr_put(cache, key, row): the key of the row may be left out, but must not be
 * another one.
 */
static void
site_row_from_argument(WriteSite *site, Datum key, Datum row, bool row_isnull)
{
	NrCache    *cache;
	NrKey		given;
	NrKey		inside;

	if (row_isnull)
	{
		memset(site->isnull, true, site->natts * sizeof(bool));
		site->values[site->key_at] = key;
		site->isnull[site->key_at] = false;
		return;
	}
	site_row_from_tuple(site, DatumGetHeapTupleHeader(row));
	if (!site->isnull[site->key_at])
	{
		cache = nr_site_again(&site->nr, site->fingerprint, RowExclusiveLock, PUT_ACL);
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
	site->values[site->key_at] = key;
	site->isnull[site->key_at] = false;
}

Datum
nr_put(PG_FUNCTION_ARGS)
{
	WriteSite  *site = site_is_good(fcinfo) ? fcinfo->flinfo->fn_extra : put_resolve(fcinfo);
	Datum		key = PG_GETARG_DATUM(1);
	bool		isnull = PG_ARGISNULL(1);

	nr_require_writable("nr_put()");
	if (!isnull)
		key = nr_coerce(&site->key, key, &isnull);
	if (isnull)
		null_key(nr_site_again(&site->nr, site->fingerprint, RowExclusiveLock, PUT_ACL)->def);

	if (site->value_is_row)
		site_row_from_argument(site, key, PG_GETARG_DATUM(2), PG_ARGISNULL(2));
	else
	{
		site->values[site->key_at] = key;
		site->isnull[site->key_at] = false;
		site->isnull[site->value_at] = PG_ARGISNULL(2);
		site->values[site->value_at] = nr_coerce(&site->value, PG_GETARG_DATUM(2),
												 &site->isnull[site->value_at]);
	}
	PG_RETURN_BOOL(put_site_row(site));
}

/*
 * A record of another shape than the last one: find out how its columns become
 * the cache's, one by one in order, as in INSERT.
 */
static void
resolve_record(WriteSite *site, Oid rowtype, int32 rowtypmod)
{
	NrCache    *cache = nr_site_again(&site->nr, site->fingerprint, RowExclusiveLock, PUT_ACL);
	NrCacheDef *def = cache->def;
	TupleDesc	desc;
	int			at = 0;
	int			want = 1 + def->nvalues;
	int			got = 0;
	MemoryContext old;

	site->rowdesc = NULL;
	if (site->rowcontext == NULL)
		site->rowcontext = AllocSetContextCreate(site->context, "nr_cache record shape",
												 ALLOCSET_SMALL_SIZES);
	MemoryContextReset(site->rowcontext);
	old = MemoryContextSwitchTo(site->rowcontext);
	desc = lookup_rowtype_tupdesc_copy(rowtype, rowtypmod);
	site->columns = palloc0(desc->natts * sizeof(NrCoerce) + 1);
	site->column_at = palloc(desc->natts * sizeof(int) + 1);
	site->row_values = palloc(desc->natts * sizeof(Datum) + 1);
	site->row_isnull = palloc(desc->natts * sizeof(bool) + 1);
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
		site->column_at[i] = at++;
		if (from->atttypid == to->atttypid && from->atttypmod == to->atttypmod)
			site->columns[i].kind = NR_COERCE_DIRECT;
		else
			nr_coerce_init(&site->columns[i], site->rowcontext, from->atttypid, to->atttypid,
						   to->atttypmod, def, to->attnum);
	}
	site->rowtype = rowtype;
	site->rowtypmod = rowtypmod;
	site->rowdesc = desc;		/* last: now everything is known */
}

/* Any record, column by column, into the site's row. */
static void
site_row_from_record(WriteSite *site, HeapTupleHeader header)
{
	HeapTupleData tuple;
	Oid			rowtype = HeapTupleHeaderGetTypeId(header);
	int32		rowtypmod = HeapTupleHeaderGetTypMod(header);

	if (site->rowdesc == NULL || site->rowtype != rowtype || site->rowtypmod != rowtypmod)
		resolve_record(site, rowtype, rowtypmod);

	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	heap_deform_tuple(&tuple, site->rowdesc, site->row_values, site->row_isnull);
	for (int i = 0; i < site->rowdesc->natts; i++)
	{
		int			at = site->column_at[i];

		if (TupleDescAttr(site->rowdesc, i)->attisdropped)
			continue;
		site->isnull[at] = site->row_isnull[i];
		site->values[at] = nr_coerce(&site->columns[i], site->row_values[i], &site->isnull[at]);
	}
}

Datum
nr_put_row(PG_FUNCTION_ARGS)
{
	WriteSite  *site = site_is_good(fcinfo) ? fcinfo->flinfo->fn_extra : put_row_resolve(fcinfo);

	nr_require_writable("nr_put()");
	if (PG_ARGISNULL(1))
		null_key(site->nr.cache->def);
	site_row_from_record(site, PG_GETARG_HEAPTUPLEHEADER(1));
	if (site->isnull[site->key_at])
		null_key(nr_site_again(&site->nr, site->fingerprint, RowExclusiveLock, PUT_ACL)->def);
	PG_RETURN_BOOL(put_site_row(site));
}

/* ---- the rest ---- */

Datum
nr_delete(PG_FUNCTION_ARGS)
{
	WriteSite  *site = site_is_good(fcinfo) ? fcinfo->flinfo->fn_extra : delete_resolve(fcinfo);
	Datum		datum = PG_GETARG_DATUM(1);
	bool		isnull = PG_ARGISNULL(1);
	NrCache    *cache;
	NrKey		key;

	nr_require_writable("nr_delete()");
	if (!isnull)
		datum = nr_coerce(&site->key, datum, &isnull);
	cache = nr_site_again(&site->nr, site->fingerprint, RowExclusiveLock, ACL_DELETE);
	if (isnull)
		null_key(cache->def);
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
	NrCache    *cache = nr_default_open(fcinfo, RowExclusiveLock, PUT_ACL, example);
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
		cache = nr_default_open(fcinfo, RowExclusiveLock, PUT_ACL, example);
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
		null_key(cache->def);
	nr_key_encode(cache, PG_GETARG_DATUM(0), &key);
	PG_RETURN_BOOL(nr_exec_delete(cache, &key));
}
