/*
 * nr_fn_many.c
 *		nr_get_many: an array of keys in, an array of values out, one visit.
 *
 * All keys are found at one log position, with their lines prefetched; what the
 * transaction has staged is put on top.  The arrays are taken apart and built here
 * rather than by deconstruct_array and construct_array, which would allocate and
 * copy each element.
 */
#include "nr_fn.h"

#include "ds/hash_key.h"
#include "nr_stage.h"

#include "access/tupmacs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(nr_get_many);

#define KEYS_MAX	1000000

/* First guess at a varlena answer's length, before there was one; a wrong guess costs a second visit. */
#define VALUE_BYTES_GUESS	64
#define GUESS_BYTES_MAX		((size_t) 64 * 1024 * 1024)

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
	bool		quick;			/* many_quick can be tried */
	size_t		key_answer;		/* bytes of an answer, and some, as the last call had them; 0: none yet */
} ManySite;

/* The keys of one call, NULLs left out, and their answers. */
typedef struct Many
{
	DsHashGetMany get;
	int			n;				/* elements of the array, NULLs included */
	int		   *slot;			/* element -> index in get's arrays, -1 for NULL; NULL: all the same */
	NrKey	   *keys;
	const char **staged;		/* by index: where a staged value is, else NULL; NULL: none is staged */
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
	site->quick = OidIsValid(keytype) && site->key.kind == NR_COERCE_DIRECT &&
		(def->key_kind == NR_KEY_INT8 || def->key_kind == NR_KEY_VARLENA) &&
		def->nvalues == 1 && site->typbyval;
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
	Datum	   *datums = palloc(many->n * sizeof(Datum));
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
result_too_large(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("result of nr_get_many() would be larger than %zu MB",
					(size_t) MaxAllocSize / (1024 * 1024)),
			 errhint("Ask for fewer keys in one call.")));
}

/* What this transaction has written takes the place of what was found. */
static void
many_overlay(const NrCache *cache, Many *many)
{
	many->staged = palloc0(many->get.n * sizeof(char *) + 1);
	for (uint32 i = 0; i < many->get.n; i++)
	{
		uint32		bytes;
		bool		was_found = many->get.length[i] >= 0;

		switch (nr_stage_find(cache->stage, &many->keys[i], NR_STAGE_NEWEST,
							  &many->staged[i], &bytes))
		{
			case NR_STAGED_VALUE:
				many->get.length[i] = bytes;
				many->get.found += !was_found;
				break;
			case NR_STAGED_GONE:
				many->get.length[i] = -1;
				many->get.found -= was_found;
				break;
			case NR_STAGED_NOT:
				break;
		}
	}
}

static void
many_read(NrCache *cache, ManySite *site, Many *many)
{
	NrCacheDef *def = cache->def;
	size_t		guess = site->key_answer;

	if (guess == 0)
	{
		for (int i = 0; i < def->nvalues; i++)
			guess += def->values[i].typlen > 0 ? def->values[i].typlen : VALUE_BYTES_GUESS;
		if (def->nvalues > 1)
			guess += (def->nvalues + 7) / 8;
	}

	many->get.code = DS_HASH_GET_MANY;
	many->get.capacity = Min(guess * many->get.n, GUESS_BYTES_MAX) + 1;
	for (;;)
	{
		if (many->get.capacity > MaxAllocSize)
			result_too_large();
		many->get.out = palloc(many->get.capacity);
		nr_exec_read(cache, &many->get);
		if (many->get.needed_bytes <= many->get.capacity)
			break;
		pfree(many->get.out);
		many->get.capacity = many->get.needed_bytes + many->get.needed_bytes / 8;
		CHECK_FOR_INTERRUPTS();
	}
	if (many->get.n > 0)
		site->key_answer = many->get.needed_bytes * 9 / 8 / many->get.n + 1;
	if (unlikely(cache->stage != NULL))
		many_overlay(cache, many);
	cache->handle.hits += many->get.found;
	cache->handle.misses += many->get.n - many->get.found;
}

/* Where element i's answer is stored; NULL: the fallback is the answer.  *bytes 0: a NULL value. */
static inline const char *
many_stored(const Many *many, int i, int64 *bytes)
{
	int			slot = many->slot != NULL ? many->slot[i] : i;

	if (slot < 0 || many->get.length[slot] < 0)
		return NULL;
	*bytes = many->get.length[slot];
	if (unlikely(many->staged != NULL && many->staged[slot] != NULL))
		return many->staged[slot];
	return many->get.out + many->get.at[slot];
}

/* Answers that are rows. */
static Datum
many_build_rows(NrCache *cache, const ManySite *site, const Many *many, ArrayType *shape,
				Datum fallback, bool fallback_isnull)
{
	Datum	   *values = palloc(many->n * sizeof(Datum));
	bool	   *isnull = palloc(many->n * sizeof(bool));

	for (int i = 0; i < many->n; i++)
	{
		int64		bytes;
		const char *stored = many_stored(many, i, &bytes);

		values[i] = fallback;
		isnull[i] = fallback_isnull;
		if (stored != NULL)
			values[i] = nr_value_datum(cache->def,
									   &many->keys[many->slot != NULL ? many->slot[i] : i],
									   stored, bytes, &isnull[i]);
	}
	return PointerGetDatum(construct_md_array(values, isnull, ARR_NDIM(shape), ARR_DIMS(shape),
											  ARR_LBOUND(shape), site->type, site->typlen,
											  site->typbyval, site->typalign));
}

/* Bytes of a stored value as an array's element, which has a header of four bytes if any. */
static inline size_t
element_bytes(const ManySite *site, const char *stored)
{
	if (site->typlen > 0)
		return site->typlen;
	if (VARATT_IS_1B(stored))
		return VARSIZE_1B(stored) - VARHDRSZ_SHORT + VARHDRSZ;
	return nr_stored_varlena_bytes(stored);
}

static inline void
element_store(const ManySite *site, char *to, const char *stored, size_t bytes)
{
	if (site->typlen > 0 || !VARATT_IS_1B(stored))
		memcpy(to, stored, bytes);
	else
	{
		SET_VARSIZE(to, bytes);
		memcpy(to + VARHDRSZ, stored + VARHDRSZ_SHORT, bytes - VARHDRSZ);
	}
}

/* An array for n elements with this many bytes, zeroed, shaped like the keys'. */
static ArrayType *
array_like(const ArrayType *shape, Oid type, int n, size_t bytes, bool with_nulls)
{
	int			ndim = ARR_NDIM(shape);
	size_t		head = with_nulls ? ARR_OVERHEAD_WITHNULLS(ndim, n) : ARR_OVERHEAD_NONULLS(ndim);
	ArrayType  *array;

	if (head + bytes > MaxAllocSize)
		result_too_large();
	array = palloc0(head + bytes);
	SET_VARSIZE(array, head + bytes);
	array->ndim = ndim;
	array->dataoffset = with_nulls ? head : 0;
	array->elemtype = type;
	memcpy(ARR_DIMS(array), ARR_DIMS(shape), ndim * sizeof(int));
	memcpy(ARR_LBOUND(array), ARR_LBOUND(shape), ndim * sizeof(int));
	return array;
}

/*
 * Answers of one column: stored bytes straight into the array.  The fallback
 * comes as if it were stored, NULL as no bytes.
 */
static Datum
many_build(const ManySite *site, const Many *many, const ArrayType *shape,
		   const char *fallback, int64 fallback_bytes)
{
	size_t		size = 0;
	bool		with_nulls = false;
	ArrayType  *array;
	bits8	   *bitmap;
	char	   *to;

	for (int i = 0; i < many->n; i++)
	{
		int64		bytes = fallback_bytes;
		const char *stored = many_stored(many, i, &bytes);

		if (bytes == 0)
			with_nulls = true;
		else
			size = att_align_nominal(size + element_bytes(site, stored ? stored : fallback),
									 site->typalign);
	}

	array = array_like(shape, site->type, many->n, size, with_nulls);
	bitmap = ARR_NULLBITMAP(array);
	to = ARR_DATA_PTR(array);
	for (int i = 0; i < many->n; i++)
	{
		int64		bytes = fallback_bytes;
		const char *stored = many_stored(many, i, &bytes);

		if (bytes == 0)
			continue;
		if (stored == NULL)
			stored = fallback;
		bytes = element_bytes(site, stored);
		element_store(site, to, stored, bytes);
		to = (char *) att_align_nominal(to + bytes, site->typalign);
		if (bitmap != NULL)
			bitmap[i / 8] |= 1 << (i % 8);
	}
	return PointerGetDatum(array);
}

/* ---- the commonest kinds: keys as they are, one value that is passed by value ---- */

/* NULL: some key needs more care. */
static DsHashKeyRef *
quick_keys(const NrCache *cache, const ManySite *site, const ArrayType *array, int n)
{
	DsHashKeyRef *keys = palloc(n * sizeof(DsHashKeyRef));
	const char *at = ARR_DATA_PTR(array);

	if (site->keybyval)
	{
		Assert(site->keylen == sizeof(int64));
		for (int i = 0; i < n; i++, at += sizeof(int64))
		{
			keys[i].key = at;
			keys[i].key_bytes = sizeof(int64);
			keys[i].hash = ds_hash_key_8(cache->seed, at);
		}
		return keys;
	}
	for (int i = 0; i < n; i++)
	{
		uint32		bytes = VARSIZE_ANY_EXHDR(at);

		if (!nr_plain_varlena(at) || bytes > DS_HASH_KEY_MAX)
			return NULL;
		keys[i].key = VARDATA_ANY(at);
		keys[i].key_bytes = bytes;
		keys[i].hash = ds_hash_key(cache->seed, keys[i].key, bytes);
		at += VARSIZE_ANY(at);
		at = (const char *) att_align_nominal(at, site->keyalign);
	}
	return keys;
}

/* "from" has all answers, each in its place; some of them are NULL. */
static ArrayType *
quick_with_nulls(const ManySite *site, const ArrayType *from, int n, const DsHashGetFixed *get,
				 bool fallback_isnull)
{
	uint32		nulls = get->empty + (fallback_isnull ? get->missing : 0);
	ArrayType  *array = array_like(from, site->type, n, (size_t) (n - nulls) * site->typlen, true);
	bits8	   *bitmap = ARR_NULLBITMAP(array);
	char	   *to = ARR_DATA_PTR(array);

	for (int i = 0; i < n; i++)
	{
		if (get->state[i] == DS_HASH_FIXED_EMPTY || (fallback_isnull && get->state[i] == DS_HASH_FIXED_MISSING))
			continue;
		memcpy(to, get->out + (size_t) i * site->typlen, site->typlen);
		to += site->typlen;
		bitmap[i / 8] |= 1 << (i % 8);
	}
	return array;
}

/* Values straight to their places in the answer.  NULL: nothing is done yet, and the keys need more care. */
static ArrayType *
many_quick(NrCache *cache, const ManySite *site, const ArrayType *array, int n, Datum fallback,
		   bool fallback_isnull)
{
	DsHashGetFixed get = {.code = DS_HASH_GET_FIXED,.n = n,.width = site->typlen};
	ArrayType  *answer;

	if (ARR_HASNULL(array) || cache->stage != NULL)
		return NULL;
	get.key = quick_keys(cache, site, array, n);
	if (get.key == NULL)
		return NULL;
	answer = array_like(array, site->type, n, (size_t) n * site->typlen, false);
	get.out = ARR_DATA_PTR(answer);
	get.state = palloc(n);
	nr_exec_read(cache, &get);
	cache->handle.hits += n - get.missing;
	cache->handle.misses += get.missing;

	if (get.missing > 0 && !fallback_isnull)
	{
		for (int i = 0; i < n; i++)
			if (get.state[i] == DS_HASH_FIXED_MISSING)
				store_att_byval(get.out + (size_t) i * site->typlen, fallback, site->typlen);
	}
	if (get.empty > 0 || (get.missing > 0 && fallback_isnull))
		return quick_with_nulls(site, answer, n, &get, fallback_isnull);
	return answer;
}

/* The fallback as a stored value of the cache's only value column. */
static const char *
many_fallback(const NrCacheDef *def, Datum fallback, int64 *bytes)
{
	char	   *stored;

	*bytes = nr_column_measure(def, &def->values[0], &fallback);
	stored = palloc(*bytes);
	nr_column_store(def, &def->values[0], fallback, stored);
	return stored;
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
	const char *fallback = NULL;
	int64		fallback_bytes = 0;

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

	if (site->quick)
	{
		ArrayType  *answer = many_quick(site->nr.cache, site, array, many.n, PG_GETARG_DATUM(2), PG_ARGISNULL(2));

		if (answer != NULL)
			PG_RETURN_ARRAYTYPE_P(answer);
	}
	datums = many_coerce(site, array, &many);
	cache = nr_site_again(&site->nr, site->fingerprint, AccessShareLock, ACL_SELECT);
	many_encode(cache, &many, datums);
	many_read(cache, site, &many);
	if (cache->def->nvalues > 1)
		PG_RETURN_DATUM(many_build_rows(cache, site, &many, array, PG_GETARG_DATUM(2),
										PG_ARGISNULL(2)));
	if (!PG_ARGISNULL(2))
		fallback = many_fallback(cache->def, PG_GETARG_DATUM(2), &fallback_bytes);
	PG_RETURN_DATUM(many_build(site, &many, array, fallback, fallback_bytes));
}
