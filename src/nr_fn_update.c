/*
 * nr_fn_update.c
 *		nr_swap, nr_cas, nr_incr: writes whose answer is computed where they stand
 *		in the log.
 *
 * The structure knows bytes and machine numbers.  What PostgreSQL has to compute
 * (equality, numeric, constraints) is computed here from a value that was read,
 * and takes effect if that value is still there, byte by byte; else once more.
 */
#include "nr_exec.h"
#include "nr_write_site.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(nr_swap);
PG_FUNCTION_INFO_V1(nr_cas);
PG_FUNCTION_INFO_V1(nr_incr);

/* The answers tell what is in the cache. */
#define UPDATE_ACL		(NR_PUT_ACL | ACL_SELECT)

static void
refuse_visibility(const NrCacheDef *def, const char *function)
{
	bool		commit = def->visibility == NR_VISIBLE_COMMIT;

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("%s needs a cache of visibility 'immediate', but \"%s\" is of visibility '%s'",
					function, def->relname, commit ? "commit" : "manual"),
			 commit ?
			 errdetail("The answer is computed where the operation stands in the cache's log; before COMMIT it would be a guess.") :
			 errdetail("The answer is computed where the operation stands in the cache's log; before nr_publish() it would be a guess."),
			 commit ?
			 errhint("Use a cache with OPTIONS (visibility 'immediate'); or lock a row of a table with SELECT ... FOR UPDATE, and then use nr_get() and nr_put().") :
			 errhint("Use a cache with OPTIONS (visibility 'immediate').")));
}

/* What the three have in common; see nr_write_site_begin. */
static uint64
update_begin(FunctionCallInfo fcinfo, size_t size, const char *function, NrWriteSite **site)
{
	uint64		epoch = nr_write_site_begin(fcinfo, size, UPDATE_ACL, site);
	NrCacheDef *def = (*site)->nr.cache->def;

	if (def->visibility != NR_VISIBLE_IMMEDIATE)
		refuse_visibility(def, function);
	nr_write_site_key(fcinfo, *site, true);
	return epoch;
}

/* What a read gave lasts until the next one, and user code may read. */
static char *
copy_bytes(const char *data, uint32 bytes)
{
	return memcpy(palloc(bytes + 1), data, bytes);
}

/* ---- nr_swap ---- */

static pg_noinline NrWriteSite *
swap_resolve(FunctionCallInfo fcinfo)
{
	NrWriteSite *site;
	uint64		epoch = update_begin(fcinfo, sizeof(NrWriteSite), "nr_swap()", &site);
	NrCacheDef *def = site->nr.cache->def;
	Oid			type = nr_arg_type(fcinfo, 2);

	/* it is the type of the answer too */
	nr_check_exact_type(def, type, "value", "nr_swap", def->nvalues > 1 ? "ROW(...)" : "value");
	nr_write_site_value(site, type);
	site->nr.epoch = epoch;
	return site;
}

Datum
nr_swap(PG_FUNCTION_ARGS)
{
	NrWriteSite *site = nr_write_site_known(fcinfo);
	NrCache    *cache;
	NrKey		key;
	const char *value;
	const char *old;
	uint32		bytes;
	uint32		old_bytes;
	bool		isnull;
	Datum		result;

	if (site == NULL)
		site = swap_resolve(fcinfo);
	nr_require_writable("nr_swap()");
	nr_write_site_row(site, nr_write_site_take_key(fcinfo, site), PG_GETARG_DATUM(2), PG_ARGISNULL(2));
	cache = nr_write_site_check(site);
	nr_key_encode(cache, site->values[site->key_at], &key);
	value = nr_exec_value(cache, &key, site->values, site->isnull, &bytes);
	if (!nr_exec_swap(cache, &key, value, bytes, &old, &old_bytes))
		PG_RETURN_NULL();
	result = nr_value_datum(cache->def, &key, old, old_bytes, &isnull);
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(result);
}

/* ---- nr_cas ---- */

/* How one value column is compared. */
typedef struct CasColumn
{
	int			at;				/* attnum - 1 */
	Oid			collation;
	FmgrInfo	equal;
} CasColumn;

typedef struct CasSite
{
	NrWriteSite site;			/* must be first */
	MemoryContext round;		/* of one attempt */
	NrCoerce	expected;		/* unused with several value columns */
	int			ncolumns;
	CasColumn  *columns;

	/* by attnum - 1 */
	Datum	   *expected_values;
	bool	   *expected_isnull;
	Datum	   *values;			/* what is there */
	bool	   *isnull;
} CasSite;

static void
resolve_equality(CasSite *cas, const NrCacheDef *def)
{
	MemoryContext context = cas->site.context;

	cas->ncolumns = def->nvalues;
	cas->columns = MemoryContextAllocZero(context, def->nvalues * sizeof(CasColumn));
	for (int i = 0; i < def->nvalues; i++)
	{
		const NrColumn *from = &def->values[i];
		CasColumn  *column = &cas->columns[i];
		TypeCacheEntry *type = lookup_type_cache(from->basetypid, TYPECACHE_EQ_OPR_FINFO);

		if (!OidIsValid(type->eq_opr_finfo.fn_oid))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_FUNCTION),
					 errmsg("could not identify an equality operator for type %s",
							format_type_be(from->basetypid)),
					 errdetail("nr_cas() compares column \"%s\" of cache \"%s\" with what is expected.",
							   NameStr(TupleDescAttr(def->tupdesc, from->attnum - 1)->attname),
							   def->relname),
					 errhint("Store the value as a type that can be compared, such as jsonb for json, or text.")));
		column->at = from->attnum - 1;
		column->collation = from->collation;
		fmgr_info_copy(&column->equal, &type->eq_opr_finfo, context);
	}
}

static pg_noinline CasSite *
cas_resolve(FunctionCallInfo fcinfo)
{
	NrWriteSite *site;
	uint64		epoch = update_begin(fcinfo, sizeof(CasSite), "nr_cas()", &site);
	NrCacheDef *def = site->nr.cache->def;
	CasSite    *cas = (CasSite *) site;
	Oid			type = nr_arg_type(fcinfo, 3);

	if (site->value_is_row)
		nr_check_exact_type(def, type, "value", "nr_cas", "ROW(...)");
	nr_write_site_value(site, type);

	/* what is expected is only compared, so it need not fit the column's domain and typmod */
	if (!site->value_is_row)
		nr_coerce_init(&cas->expected, site->context, getBaseType(nr_arg_type(fcinfo, 2)),
					   def->values[0].basetypid, -1, def, def->values[0].attnum);
	resolve_equality(cas, def);
	cas->expected_values = MemoryContextAllocZero(site->context, site->natts * sizeof(Datum));
	cas->expected_isnull = MemoryContextAllocZero(site->context, site->natts * sizeof(bool));
	cas->values = MemoryContextAllocZero(site->context, site->natts * sizeof(Datum));
	cas->isnull = MemoryContextAllocZero(site->context, site->natts * sizeof(bool));
	cas->round = AllocSetContextCreate(site->context, "nr_cache attempt", ALLOCSET_SMALL_SIZES);
	site->nr.epoch = epoch;
	return cas;
}

/* Argument 2 by columns; false: NULL. */
static bool
take_expected(FunctionCallInfo fcinfo, CasSite *cas, Datum key)
{
	NrWriteSite *site = &cas->site;
	bool		isnull = PG_ARGISNULL(2);

	if (isnull)
		return false;
	if (!site->value_is_row)
	{
		cas->expected_values[site->value_at] =
			nr_coerce(&cas->expected, PG_GETARG_DATUM(2), &isnull);
		cas->expected_isnull[site->value_at] = isnull;
		return !isnull;
	}
	nr_write_site_row(site, key, PG_GETARG_DATUM(2), false);
	memcpy(cas->expected_values, site->values, site->natts * sizeof(Datum));
	memcpy(cas->expected_isnull, site->isnull, site->natts * sizeof(bool));
	return true;
}

/* Is the entry, as nr_get would answer it, what is expected?  Runs user code. */
static bool
is_expected(CasSite *cas, const NrCacheDef *def, bool found, const char *data, uint32 bytes,
			bool expect_null)
{
	bool		null = !found || (bytes == 0 && !cas->site.value_is_row);

	if (null || expect_null)
		return null == expect_null;
	nr_value_decode(def, data, bytes, cas->values, cas->isnull);
	for (int i = 0; i < cas->ncolumns; i++)
	{
		CasColumn  *column = &cas->columns[i];
		int			at = column->at;

		if (cas->isnull[at] != cas->expected_isnull[at])
			return false;
		if (!cas->isnull[at] &&
			!DatumGetBool(FunctionCall2Coll(&column->equal, column->collation, cas->values[at],
											cas->expected_values[at])))
			return false;
	}
	return true;
}

/*
 * The site's row takes the place of what is expected.  When something else is there,
 * the read is the call's place in the order of things.
 */
static bool
compare_and_swap(CasSite *cas, bool expect_null)
{
	NrWriteSite *site = &cas->site;
	NrRace		race = {0};
	bool		swapped;

	for (;;)
	{
		NrCache    *cache = nr_write_site_cache(site);
		NrKey		key;
		const char *data = NULL;
		uint32		bytes = 0;
		char	   *seen = NULL;
		const char *value;
		uint32		value_bytes;
		bool		found;
		MemoryContext old;

		nr_key_encode(cache, site->values[site->key_at], &key);
		found = nr_exec_get(cache, &key, &data, &bytes);
		MemoryContextReset(cas->round);
		old = MemoryContextSwitchTo(cas->round);
		if (found)
			seen = copy_bytes(data, bytes);
		swapped = is_expected(cas, cache->def, found, seen, bytes, expect_null);
		MemoryContextSwitchTo(old);
		cache = nr_write_site_cache(site);
		if (swapped)
		{
			nr_key_encode(cache, site->values[site->key_at], &key);
			value = nr_exec_value(cache, &key, site->values, site->isnull, &value_bytes);
			swapped = nr_exec_cas(cache, &key, seen, bytes, value, value_bytes);
			if (!swapped)
			{
				nr_race_lost(&race, cache);
				continue;
			}
		}
		nr_race_over(&race, cache);
		break;
	}
	MemoryContextReset(cas->round);
	return swapped;
}

Datum
nr_cas(PG_FUNCTION_ARGS)
{
	CasSite    *cas = nr_write_site_known(fcinfo);
	bool		expect_null;
	Datum		key;

	if (cas == NULL)
		cas = cas_resolve(fcinfo);
	nr_require_writable("nr_cas()");
	key = nr_write_site_take_key(fcinfo, &cas->site);
	expect_null = !take_expected(fcinfo, cas, key);
	nr_write_site_row(&cas->site, key, PG_GETARG_DATUM(3), PG_ARGISNULL(3));
	(void) nr_write_site_check(&cas->site);
	PG_RETURN_BOOL(compare_and_swap(cas, expect_null));
}

/* ---- nr_incr ---- */

/* The types that it adds to. */
typedef struct IncrType
{
	Oid			type;
	DsHashNumber number;		/* 0: the structure does not know it */
	PGFunction	add;
	const char *overflow;		/* PostgreSQL's words */
} IncrType;

static const IncrType incr_types[] = {
	{INT2OID, DS_HASH_INT2, int2pl, "smallint out of range"},
	{INT4OID, DS_HASH_INT4, int4pl, "integer out of range"},
	{INT8OID, DS_HASH_INT8, int8pl, "bigint out of range"},
	{FLOAT8OID, DS_HASH_FLOAT8, float8pl, "value out of range: overflow"},
	{NUMERICOID, 0, numeric_add, NULL}
};

typedef struct IncrSite
{
	NrWriteSite site;			/* must be first */
	MemoryContext round;		/* of one attempt */
	const IncrType *type;
	bool		native;			/* the structure does it all */
	bool		typbyval;
	int16		typlen;
} IncrSite;

static const IncrType *
incr_type(const NrCacheDef *def)
{
	const NrColumn *column = &def->values[0];
	Form_pg_attribute att = TupleDescAttr(def->tupdesc, column->attnum - 1);

	if (def->nvalues > 1)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("nr_incr() needs a cache with one value column, but \"%s\" has %d",
						def->relname, def->nvalues),
				 errhint("Use nr_cas() with whole rows, or a cache of its own for the number.")));
	if (att->attgenerated != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_GENERATED_ALWAYS),
				 errmsg("nr_incr() cannot add to column \"%s\" of cache \"%s\", which is generated",
						NameStr(att->attname), def->relname)));
	for (int i = 0; i < lengthof(incr_types); i++)
		if (incr_types[i].type == column->basetypid)
			return &incr_types[i];
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("nr_incr() cannot add to column \"%s\" of cache \"%s\", which is of type %s",
					NameStr(att->attname), def->relname, format_type_be(column->typid)),
			 errhint("It adds to smallint, integer, bigint, numeric and double precision; for other types use nr_cas().")));
}

static pg_noinline IncrSite *
incr_resolve(FunctionCallInfo fcinfo)
{
	NrWriteSite *site;
	uint64		epoch = update_begin(fcinfo, sizeof(IncrSite), "nr_incr()", &site);
	NrCacheDef *def = site->nr.cache->def;
	NrColumn   *column = &def->values[0];
	IncrSite   *incr = (IncrSite *) site;
	TupleConstr *constr = def->tupdesc->constr;
	bool		checked = def->partition || (constr != NULL && constr->num_check > 0) ||
		column->typid != column->basetypid;

	incr->type = incr_type(def);
	nr_check_exact_type(def, nr_arg_type(fcinfo, 2), "increment", "nr_incr", "1");
	incr->native = incr->type->number != 0 && !checked;
	incr->typbyval = column->typbyval;
	incr->typlen = column->typlen;
	nr_write_site_value(site, column->basetypid);	/* of the sum */
	incr->round = AllocSetContextCreate(site->context, "nr_cache attempt", ALLOCSET_SMALL_SIZES);
	site->nr.epoch = epoch;
	return incr;
}

/* One operation of the log. */
static Datum
incr_native(IncrSite *incr, Datum key_datum, Datum by)
{
	NrCache    *cache = nr_write_site_cache(&incr->site);
	NrKey		key;
	int64		raw;			/* a double's bits, too */
	int64		sum;

	if (incr->typlen == sizeof(int16))
		raw = DatumGetInt16(by);
	else if (incr->typlen == sizeof(int32))
		raw = DatumGetInt32(by);
	else
		raw = DatumGetInt64(by);
	nr_key_encode(cache, key_datum, &key);
	nr_check_entry_bytes(cache->def, key.bytes, incr->typlen);
	if (!nr_exec_add(cache, &key, incr->type->number, &raw, &sum))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("%s", incr->type->overflow)));
	return nr_fetch_byval((char *) &sum, incr->typlen);
}

/* The sum as the value column's type, into the site's row.  Runs user code. */
static void
put_sum(IncrSite *incr, const NrCacheDef *def, const NrKey *key, const char *seen, uint32 bytes,
		Datum by)
{
	NrWriteSite *site = &incr->site;
	bool		isnull = true;
	Datum		value = (Datum) 0;

	if (seen != NULL)
		value = nr_value_datum(def, key, seen, bytes, &isnull);
	if (isnull)					/* the others' 0 has no bit set */
		value = incr->type->type == NUMERICOID ? NumericGetDatum(int64_to_numeric(0)) : (Datum) 0;
	value = DirectFunctionCall2(incr->type->add, value, by);
	isnull = false;
	site->values[site->value_at] = nr_coerce(&site->value, value, &isnull);
	site->isnull[site->value_at] = isnull;
	(void) nr_write_site_check(site);
}

/* In PostgreSQL's own arithmetic, with the checks of the column. */
static Datum
incr_checked(IncrSite *incr, Datum key_datum, Datum by)
{
	NrWriteSite *site = &incr->site;
	NrRace		race = {0};
	NrCache    *cache;
	Datum		sum;

	site->values[site->key_at] = key_datum;
	site->isnull[site->key_at] = false;
	for (;;)
	{
		NrKey		key;
		const char *data;
		char	   *seen = NULL;
		const char *value;
		uint32		bytes = 0;
		uint32		value_bytes;
		MemoryContext old;

		cache = nr_write_site_cache(site);
		nr_key_encode(cache, key_datum, &key);
		MemoryContextReset(incr->round);
		old = MemoryContextSwitchTo(incr->round);
		if (nr_exec_get(cache, &key, &data, &bytes))
			seen = copy_bytes(data, bytes);
		put_sum(incr, cache->def, &key, seen, bytes, by);
		cache = nr_write_site_cache(site);
		nr_key_encode(cache, key_datum, &key);
		value = nr_exec_value(cache, &key, site->values, site->isnull, &value_bytes);
		MemoryContextSwitchTo(old);
		if (nr_exec_cas(cache, &key, seen, seen == NULL ? 0 : bytes, value, value_bytes))
			break;
		nr_race_lost(&race, cache);
	}
	nr_race_over(&race, cache);
	sum = datumCopy(site->values[site->value_at], incr->typbyval, incr->typlen);
	MemoryContextReset(incr->round);
	return sum;
}

Datum
nr_incr(PG_FUNCTION_ARGS)
{
	IncrSite   *incr = nr_write_site_known(fcinfo);
	Datum		key;

	if (incr == NULL)
		incr = incr_resolve(fcinfo);
	nr_require_writable("nr_incr()");
	key = nr_write_site_take_key(fcinfo, &incr->site);
	if (PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("increment for cache \"%s\" must not be null",
						nr_write_site_cache(&incr->site)->def->relname)));
	PG_RETURN_DATUM(incr->native ? incr_native(incr, key, PG_GETARG_DATUM(2)) :
					incr_checked(incr, key, PG_GETARG_DATUM(2)));
}
