/*
 * nr_fn_read.c
 *		nr_get in its forms, and nr_check.
 *
 * The fast path, a call that finds its site as it left it, allocates nothing
 * for a pass-by-value result, looks nothing up but the key, and cannot fail
 * before the key is encoded.
 */
#include "nr_exec.h"

#include "ds/hash_find.h"
#include "ds/hash_key.h"
#include "engine/enter.h"

#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(nr_get_text);
PG_FUNCTION_INFO_V1(nr_get_typed);
PG_FUNCTION_INFO_V1(nr_default_get);
PG_FUNCTION_INFO_V1(nr_check);

/* nr_get of the commonest kinds, of caches with one value column, each has a function of its own. */
typedef enum ReadLane
{
	LANE_ANY,
	LANE_INT8,					/* a key that is a bigint or becomes one without an error, a value that is passed by value */
	LANE_VARLENA,				/* a text, or the like, and such a value */
	LANE_BYREF					/* either key, any other value */
} ReadLane;

/* A first guess at the bytes of a value that is not passed by value. */
#define VALUE_ROOM	64

typedef struct ReadSite
{
	NrSite		nr;				/* epoch 0 until the rest is resolved */
	uint64		fingerprint;
	NrCoerce	key;
	NrKeyKind	key_kind;
	int16		byval_len;		/* one value column, pass by value: its bytes; else 0 */
	uint32		room;			/* one that is not: bytes of the last value */
	ReadLane	lane;
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
	site->room = VALUE_ROOM;
	site->lane = LANE_ANY;
	if (def->nvalues == 1 && site->key.kind == NR_COERCE_DIRECT && def->key_kind == NR_KEY_VARLENA)
		site->lane = site->byval_len > 0 ? LANE_VARLENA : LANE_BYREF;
	else if (def->nvalues == 1 && def->key_kind == NR_KEY_INT8 &&
			 (site->key.kind == NR_COERCE_DIRECT ||
			  (site->key.kind == NR_COERCE_INT && site->key.from_len < 8)))
		site->lane = site->byval_len > 0 ? LANE_INT8 : LANE_BYREF;
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

/*
 * A value that is passed by value: looked up where it lies, without a copy and with the search compiled
 * for the key's length.  False: missing.  The transaction has not written to the cache.
 */
static pg_attribute_always_inline bool
read_byval(const ReadSite *site, NrCache *cache, const void *key, uint32 key_bytes, uint64 hash,
		   Datum *value, bool *isnull)
{
	NrHandle   *handle = &cache->handle;
	DsHashGuess guess;
	DsHashValue at;
	bool		found;

	nr_exec_follow(handle);
	guess = ds_hash_guess(handle->copy, hash);	/* the copy of the last read: probably it is this one again */
	if (unlikely(!nr_enter_quick(handle)) && !nr_exec_enter(cache))
		found = false;
	else
	{
		NR_POINT("reader_inside");
		found = ds_hash_find(handle->copy, ds_hash_guessed(handle->copy, hash, &guess), hash, key,
							 key_bytes, &at);
		if (likely(found))
		{
			*isnull = at.length == 0;
			if (likely(site->byval_len == 8 && at.length == 8))
				*value = Int64GetDatum(ds_load64(at.bytes));
			else if (at.length > 0)
				*value = nr_fetch_byval((const char *) at.bytes, site->byval_len);
		}
		nr_leave_quick(handle);
	}
	if (likely(found))
		handle->hits++;
	else
		handle->misses++;
	return found;
}

/*
 * One value that is not passed by value, as read_byval: copied once, into memory that is allocated before.  What is
 * stored of such a value are the bytes of the datum.
 */
static pg_noinline bool
read_byref(ReadSite *site, NrCache *cache, const void *key, uint32 key_bytes, uint64 hash, Datum *value,
		   bool *isnull)
{
	NrHandle   *handle = &cache->handle;
	DsHashValue at = {0};
	bool		found;

	nr_exec_follow(handle);
	for (;;)
	{
		DsHashGuess guess = ds_hash_guess(handle->copy, hash);
		uint32		room = site->room;
		char	   *data = palloc(room);

		if (unlikely(!nr_enter_quick(handle)) && !nr_exec_enter(cache))
			found = false;
		else
		{
			NR_POINT("reader_inside");
			found = ds_hash_find(handle->copy, ds_hash_guessed(handle->copy, hash, &guess), hash, key,
								 key_bytes, &at);
			if (likely(found && at.length <= room))
				memcpy(data, at.bytes, at.length);
			nr_leave_quick(handle);
		}
		*isnull = at.length == 0;
		*value = PointerGetDatum(data);
		if (likely(found && !*isnull))
		{
			site->room = at.length;
			if (likely(at.length <= room))
				break;
		}
		pfree(data);
		if (!found || *isnull)
			break;
	}
	handle->hits += found;
	handle->misses += !found;
	return found;
}

/* nr_get of any kind. */
static pg_noinline Datum
get_any(FunctionCallInfo fcinfo, ReadSite *site)
{
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

/* What nr_get answers: what was found, or the fallback. */
static inline Datum
get_result(FunctionCallInfo fcinfo, bool found, Datum value, bool isnull)
{
	if (unlikely(!found))
	{
		value = PG_GETARG_DATUM(2);
		isnull = PG_ARGISNULL(2);
	}
	fcinfo->isnull = isnull;
	return isnull ? (Datum) 0 : value;
}

/* A smaller integer as bigint. */
static inline int64
widened(const ReadSite *site, Datum datum)
{
	return site->key.from_len == 4 ? DatumGetInt32(datum) : DatumGetInt16(datum);
}

static pg_noinline Datum
get_by_int8(FunctionCallInfo fcinfo, ReadSite *site)
{
	NrCache    *cache = site->nr.cache;
	int64		key = DatumGetInt64(PG_GETARG_DATUM(1));
	bool		found;
	Datum		value = (Datum) 0;
	bool		isnull = false;

	if (unlikely(PG_ARGISNULL(1) || cache->stage != NULL))
		return get_any(fcinfo, site);
	if (site->key.kind == NR_COERCE_INT)
		key = widened(site, PG_GETARG_DATUM(1));
	found = read_byval(site, cache, &key, sizeof(key), ds_hash_key_8(cache->seed, &key), &value, &isnull);
	return get_result(fcinfo, found, value, isnull);
}

static pg_noinline Datum
get_by_varlena(FunctionCallInfo fcinfo, ReadSite *site)
{
	NrCache    *cache = site->nr.cache;
	const void *p = DatumGetPointer(PG_GETARG_DATUM(1));
	const char *key;
	uint32		bytes;
	bool		found;
	Datum		value = (Datum) 0;
	bool		isnull = false;

	if (unlikely(PG_ARGISNULL(1) || cache->stage != NULL || !nr_plain_varlena(p)))
		return get_any(fcinfo, site);
	key = VARDATA_ANY(p);
	bytes = VARSIZE_ANY_EXHDR(p);
	if (unlikely(bytes > DS_HASH_KEY_MAX))
		return get_any(fcinfo, site);
	found = read_byval(site, cache, key, bytes, ds_hash_key(cache->seed, key, bytes), &value, &isnull);
	return get_result(fcinfo, found, value, isnull);
}

/* False: the key needs more care, and nothing has been done. */
static inline bool
find_byref(FunctionCallInfo fcinfo, ReadSite *site, bool *found, Datum *value, bool *isnull)
{
	NrCache    *cache = site->nr.cache;
	Datum		datum = PG_GETARG_DATUM(1);
	const void *p = DatumGetPointer(datum);

	if (PG_ARGISNULL(1) || cache->stage != NULL)
		return false;
	if (site->key_kind == NR_KEY_INT8)
	{
		int64		key = site->key.kind == NR_COERCE_INT ? widened(site, datum) : DatumGetInt64(datum);

		*found = read_byref(site, cache, &key, sizeof(key), ds_hash_key_8(cache->seed, &key), value, isnull);
		return true;
	}
	if (!nr_plain_varlena(p) || VARSIZE_ANY_EXHDR(p) > DS_HASH_KEY_MAX)
		return false;
	*found = read_byref(site, cache, VARDATA_ANY(p), VARSIZE_ANY_EXHDR(p),
						ds_hash_key(cache->seed, VARDATA_ANY(p), VARSIZE_ANY_EXHDR(p)), value, isnull);
	return true;
}

static pg_noinline Datum
get_byref(FunctionCallInfo fcinfo, ReadSite *site)
{
	Datum		value;
	bool		found;
	bool		isnull;

	if (!find_byref(fcinfo, site, &found, &value, &isnull))
		return get_any(fcinfo, site);
	return get_result(fcinfo, found, value, isnull);
}

Datum
nr_get_typed(PG_FUNCTION_ARGS)
{
	ReadSite   *site = read_site(fcinfo, true);

	if (likely(site->lane == LANE_INT8))
		return get_by_int8(fcinfo, site);
	if (likely(site->lane == LANE_VARLENA))
		return get_by_varlena(fcinfo, site);
	if (site->lane == LANE_BYREF)
		return get_byref(fcinfo, site);
	return get_any(fcinfo, site);
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
	bool		found;
	Datum		result;

	if (site->is_text && site->lane == LANE_BYREF && find_byref(fcinfo, site, &found, &result, &isnull))
	{
		if (!found || isnull)
			PG_RETURN_NULL();
		PG_RETURN_DATUM(result);
	}
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
