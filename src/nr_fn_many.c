/*
 * nr_fn_many.c
 *		nr_get_many: an array of keys in, an array of values out, one visit.
 *
 * All keys are found at one log position, with their lines prefetched.  The
 * arrays are taken apart and built here rather than by array_in's general
 * helpers where that saves a copy of each element.
 */
#include "nr_fn.h"

#include "access/tupmacs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(nr_get_many);

#define KEYS_MAX	1000000

/* First guess at a varlena answer's length; a wrong guess costs a second visit. */
#define VALUE_BYTES_GUESS	64

typedef struct ManySite
{
	NrSite		nr;				/* epoch 0 until the rest is resolved */
	uint64		fingerprint;
	MemoryContext context;
	Oid			keytype;		/* element type that "key" was resolved for */
	int16		keylen;
	bool		keybyval;
	char		keyalign;
	NrCoerce	key;
	Oid			type;			/* of the answer's elements */
	int16		typlen;
	bool		typbyval;
	char		typalign;
} ManySite;

/* The keys of one call, NULLs left out, and their answers. */
typedef struct Many
{
	DsHashGetMany get;
	int			n;				/* elements of the array, NULLs included */
	int		   *slot;			/* element -> index in get's arrays, -1 for NULL; NULL: all the same */
	NrKey	   *keys;
} Many;

static pg_noinline ManySite *
many_resolve(FunctionCallInfo fcinfo, Oid keytype)
{
	Oid			relid = nr_arg_cache(fcinfo);
	ManySite   *site = fcinfo->flinfo->fn_extra;
	NrCacheDef *def;
	uint64		epoch;
	MemoryContext context;

	if (site == NULL)
		site = fcinfo->flinfo->fn_extra =
			MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(ManySite));
	site->nr.epoch = 0;
	def = nr_site_cache(&site->nr, relid, AccessShareLock, ACL_SELECT)->def;
	epoch = site->nr.epoch;
	site->nr.epoch = 0;

	context = nr_site_context(fcinfo, &site->context);
	site->fingerprint = def->fingerprint;
	site->type = nr_arg_type(fcinfo, 2);
	nr_check_fallback(def, site->type, "nr_get_many");
	get_typlenbyvalalign(site->type, &site->typlen, &site->typbyval, &site->typalign);
	site->keytype = keytype;
	if (OidIsValid(keytype))
	{
		get_typlenbyvalalign(keytype, &site->keylen, &site->keybyval, &site->keyalign);
		nr_coerce_init(&site->key, context, getBaseType(keytype), def->key.basetypid, -1, def,
					   def->key.attnum);
	}
	site->nr.epoch = epoch;
	return site;
}

/*
 * Coerce all keys of the array into keys[]; NULLs are left out.  User code may
 * run, and none of this depends on the cache yet.
 */
static Datum *
many_coerce(ManySite *site, ArrayType *array, Many *many)
{
	Datum	   *datums = palloc_extended(many->n * sizeof(Datum), MCXT_ALLOC_HUGE);
	bits8	   *bitmap = ARR_NULLBITMAP(array);
	const char *at = ARR_DATA_PTR(array);
	uint32		found = 0;

	if (bitmap != NULL)
		many->slot = palloc(many->n * sizeof(int));
	for (int i = 0; i < many->n; i++)
	{
		bool		isnull = bitmap != NULL && (bitmap[i / 8] & (1 << (i % 8))) == 0;
		Datum		datum = (Datum) 0;

		if (!isnull)
		{
			datum = fetch_att(at, site->keybyval, site->keylen);
			at = att_addlength_pointer(at, site->keylen, at);
			at = (const char *) att_align_nominal(at, site->keyalign);
			datum = nr_coerce(&site->key, datum, &isnull);
		}
		if (isnull && many->slot == NULL)
		{
			/* a cast that answers NULL: rare, but then it is a NULL key */
			many->slot = palloc(many->n * sizeof(int));
			for (int j = 0; j < i; j++)
				many->slot[j] = j;
		}
		if (many->slot != NULL)
			many->slot[i] = isnull ? -1 : (int) found;
		if (!isnull)
			datums[found++] = datum;
	}
	many->get.n = found;
	return datums;
}

/* Encode the keys and make room for the answers. */
static void
many_encode(const NrCache *cache, Many *many, const Datum *datums)
{
	uint32		n = many->get.n;
	const void **key = palloc(n * sizeof(void *) + 1);
	uint32	   *key_bytes = palloc(n * sizeof(uint32) + 1);
	uint64	   *hash = palloc(n * sizeof(uint64) + 1);

	many->keys = palloc(n * sizeof(NrKey) + 1);
	for (uint32 i = 0; i < n; i++)
	{
		NrKey	   *k = &many->keys[i];

		nr_key_encode(cache, datums[i], k);
		key[i] = k->data;
		key_bytes[i] = k->bytes;
		hash[i] = k->hash;
	}
	many->get.key = (const void *const *) key;
	many->get.key_bytes = key_bytes;
	many->get.hash = hash;
	many->get.at = palloc(n * sizeof(size_t) + 1);
	many->get.length = palloc(n * sizeof(int64_t) + 1);
}

static void
many_read(NrCache *cache, Many *many)
{
	NrCacheDef *def = cache->def;
	size_t		guess = 0;

	for (int i = 0; i < def->nvalues; i++)
		guess += def->values[i].typlen > 0 ? def->values[i].typlen : VALUE_BYTES_GUESS;
	if (def->nvalues > 1)
		guess += (def->nvalues + 7) / 8;

	many->get.code = DS_HASH_GET_MANY;
	many->get.capacity = guess * many->get.n + 1;
	for (;;)
	{
		if (many->get.capacity > MaxAllocSize)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("result of nr_get_many() would be larger than %zu MB",
							(size_t) MaxAllocSize / (1024 * 1024)),
					 errhint("Ask for fewer keys in one call.")));
		many->get.out = palloc(many->get.capacity);
		nr_exec_read(cache, &many->get);
		if (many->get.needed_bytes <= many->get.capacity)
			break;
		pfree(many->get.out);
		many->get.capacity = many->get.needed_bytes + many->get.needed_bytes / 8;
		CHECK_FOR_INTERRUPTS();
	}
	cache->handle.hits += many->get.found;
	cache->handle.misses += many->get.n - many->get.found;
}

/* Answers as datums: each copied out, NULL, or the fallback. */
static Datum
many_build(NrCache *cache, const ManySite *site, const Many *many, ArrayType *shape,
		   Datum fallback, bool fallback_isnull)
{
	Datum	   *values = palloc_extended(many->n * sizeof(Datum), MCXT_ALLOC_HUGE);
	bool	   *isnull = palloc(many->n * sizeof(bool));

	/* once here rather than once for each missing key */
	if (!fallback_isnull && site->typlen == -1)
		fallback = PointerGetDatum(PG_DETOAST_DATUM(fallback));
	for (int i = 0; i < many->n; i++)
	{
		int			slot = many->slot != NULL ? many->slot[i] : i;

		if (slot < 0 || many->get.length[slot] < 0)
		{
			values[i] = fallback;
			isnull[i] = fallback_isnull;
		}
		else
			values[i] = nr_value_datum(cache->def, &many->keys[slot],
									   many->get.out + many->get.at[slot],
									   many->get.length[slot], &isnull[i]);
	}
	return PointerGetDatum(construct_md_array(values, isnull, ARR_NDIM(shape), ARR_DIMS(shape),
											  ARR_LBOUND(shape), site->type, site->typlen,
											  site->typbyval, site->typalign));
}

Datum
nr_get_many(PG_FUNCTION_ARGS)
{
	ManySite   *site = fcinfo->flinfo->fn_extra;
	ArrayType  *array = PG_ARGISNULL(1) ? NULL : PG_GETARG_ARRAYTYPE_P(1);
	Oid			keytype = array == NULL ? InvalidOid : ARR_ELEMTYPE(array);
	NrCache    *cache;
	Many		many = {0};
	Datum	   *datums;

	if (site == NULL || PG_ARGISNULL(0) || !nr_site_knows(&site->nr, PG_GETARG_OID(0)) ||
		(array != NULL && site->keytype != keytype))
		site = many_resolve(fcinfo, keytype);
	if (array == NULL)
		PG_RETURN_NULL();

	many.n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	if (many.n == 0)
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(site->type));
	if (many.n > KEYS_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many keys for nr_get_many(): %d", many.n),
				 errdetail("One call takes at most %d keys.", KEYS_MAX),
				 errhint("Ask in several calls, or join the cache as a table.")));

	datums = many_coerce(site, array, &many);
	cache = nr_site_again(&site->nr, site->fingerprint, AccessShareLock, ACL_SELECT);
	many_encode(cache, &many, datums);
	many_read(cache, &many);
	PG_RETURN_DATUM(many_build(cache, site, &many, array, PG_GETARG_DATUM(2), PG_ARGISNULL(2)));
}
