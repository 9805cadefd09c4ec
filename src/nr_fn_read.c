/*
 * nr_fn_read.c
 *		nr_get in its forms, and nr_check.
 *
 * The fast path, a call that finds its site as it left it, allocates nothing
 * for a pass-by-value result, looks nothing up but the key, and cannot fail
 * before the key is encoded.
 */
#include "nr_fn.h"

#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(nr_get_text);
PG_FUNCTION_INFO_V1(nr_get_typed);
PG_FUNCTION_INFO_V1(nr_default_get);
PG_FUNCTION_INFO_V1(nr_check);

typedef struct ReadSite
{
	NrSite		nr;				/* epoch 0 until the rest is resolved */
	uint64		fingerprint;
	NrCoerce	key;
	NrKeyKind	key_kind;
	int16		byval_len;		/* one value column, pass by value: its bytes; else 0 */
	bool		is_text;		/* nr_get_text: no output function needed */
	FmgrInfo	output;			/* nr_get_text */
	MemoryContext context;
} ReadSite;

/* Find out everything about this call; "typed": the form with a fallback. */
static pg_noinline ReadSite *
read_site_resolve(FunctionCallInfo fcinfo, bool typed)
{
	Oid			relid = nr_arg_cache(fcinfo);
	ReadSite   *site = fcinfo->flinfo->fn_extra;
	NrCacheDef *def;
	uint64		epoch;
	MemoryContext context;

	if (site == NULL)
		site = fcinfo->flinfo->fn_extra =
			MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(ReadSite));
	site->nr.epoch = 0;
	def = nr_site_cache(&site->nr, relid, AccessShareLock, ACL_SELECT)->def;

	/* should anything below fail, then nothing of this is known at the next call */
	epoch = site->nr.epoch;
	site->nr.epoch = 0;
	site->fingerprint = def->fingerprint;
	context = nr_site_context(fcinfo, &site->context);
	site->byval_len = (def->nvalues == 1 && def->values[0].typbyval) ? def->values[0].typlen : 0;

	site->key_kind = def->key_kind;
	/* a key that violates its domain is merely missing, so look it up as its base type */
	nr_coerce_init(&site->key, context, getBaseType(nr_arg_type(fcinfo, 1)), def->key.basetypid,
				   -1, def, def->key.attnum);
	if (typed)
		nr_check_fallback(def, nr_arg_type(fcinfo, 2), "nr_get");
	else
	{
		Oid			type = def->nvalues == 1 ? def->values[0].basetypid : def->rowtypid;
		Oid			function;
		bool		varlena;

		site->is_text = (type == TEXTOID || type == VARCHAROID);
		getTypeOutputInfo(type, &function, &varlena);
		fmgr_info_cxt(function, &site->output, context);
	}
	site->nr.epoch = epoch;
	return site;
}

static inline ReadSite *
read_site(FunctionCallInfo fcinfo, bool typed)
{
	ReadSite   *site = fcinfo->flinfo->fn_extra;

	if (likely(site != NULL && !PG_ARGISNULL(0) && nr_site_knows(&site->nr, PG_GETARG_OID(0))))
		return site;
	return read_site_resolve(fcinfo, typed);
}

/*
 * Look the call's key up.  False when it is NULL or missing; *cache is good
 * until user code runs.
 */
static inline bool
read_lookup(FunctionCallInfo fcinfo, ReadSite *site, NrCache **cache, NrKey *key,
			const char **data, uint32 *bytes)
{
	Datum		datum = PG_GETARG_DATUM(1);
	bool		isnull = PG_ARGISNULL(1);

	if (unlikely(isnull))
		return false;
	datum = nr_coerce(&site->key, datum, &isnull);
	if (unlikely(isnull))
		return false;
	*cache = nr_site_again(&site->nr, site->fingerprint, AccessShareLock, ACL_SELECT);
	nr_key_encode_as(site->key_kind, *cache, datum, key);
	return nr_exec_get(*cache, key, data, bytes);
}

Datum
nr_get_typed(PG_FUNCTION_ARGS)
{
	ReadSite   *site = read_site(fcinfo, true);
	NrCache    *cache;
	NrKey		key;
	const char *data;
	uint32		bytes;
	bool		isnull;
	Datum		result;

	if (!read_lookup(fcinfo, site, &cache, &key, &data, &bytes))
	{
		if (PG_ARGISNULL(2))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(2));
	}
	if (site->byval_len > 0)
	{
		if (bytes == 0)
			PG_RETURN_NULL();
		PG_RETURN_DATUM(nr_fetch_byval(data, site->byval_len));
	}
	result = nr_value_datum(cache->def, &key, data, bytes, &isnull);
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(result);
}

Datum
nr_get_text(PG_FUNCTION_ARGS)
{
	ReadSite   *site = read_site(fcinfo, false);
	NrCache    *cache;
	NrKey		key;
	const char *data;
	uint32		bytes;
	bool		isnull;
	Datum		result;

	if (!read_lookup(fcinfo, site, &cache, &key, &data, &bytes))
		PG_RETURN_NULL();
	result = nr_value_datum(cache->def, &key, data, bytes, &isnull);
	if (isnull)
		PG_RETURN_NULL();
	if (site->is_text)
		PG_RETURN_DATUM(result);
	PG_RETURN_TEXT_P(cstring_to_text(OutputFunctionCall(&site->output, result)));
}

Datum
nr_default_get(PG_FUNCTION_ARGS)
{
	NrCache    *cache;
	NrKey		key;
	const char *data;
	uint32		bytes;
	bool		isnull;
	Datum		result;

	cache = nr_default_open(fcinfo, AccessShareLock, ACL_SELECT,
							"nr_get(cache, key)");
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	nr_key_encode(cache, PG_GETARG_DATUM(0), &key);
	if (!nr_exec_get(cache, &key, &data, &bytes))
		PG_RETURN_NULL();
	result = nr_value_datum(cache->def, &key, data, bytes, &isnull);
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(result);
}

/* Compare all copies at one log position: true, or an error that says where they differ. */
Datum
nr_check(PG_FUNCTION_ARGS)
{
	NrCache    *cache = nr_cache_open(nr_arg_cache(fcinfo), AccessShareLock, ACL_SELECT | NR_ACL_ANY);
	uint32		replica = 0;
	const char *why = NULL;
	NrStatus	status;

	while ((status = nr_group_check(&cache->handle, true, &replica, &why)) == NR_CANCELLED)
		CHECK_FOR_INTERRUPTS();
	if (status == NR_DIVERGED)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("replica %u of cache \"%s\" is damaged", replica, cache->def->relname),
				 errdetail("Found: %s.", why ? why : "it differs from replica 0"),
				 errhint("Truncate the cache and fill it again; please report how this came about.")));
	if (status != NR_OK)
		elog(ERROR, "check of cache \"%s\" failed with status %d", cache->def->relname, (int) status);
	PG_RETURN_BOOL(true);
}
