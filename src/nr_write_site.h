/*
 * nr_write_site.h
 *		Call sites of the functions that write an entry: from their arguments to
 *		the row that is put.
 *
 * A function's own site begins with an NrWriteSite and is resolved between
 * nr_write_site_begin and setting nr.epoch to what that answered: a failure in
 * between leaves nothing half known.
 */
#ifndef NR_WRITE_SITE_H
#define NR_WRITE_SITE_H

#include "nr_fn.h"

/* A put replaces, so it is an INSERT and an UPDATE. */
#define NR_PUT_ACL		(ACL_INSERT | ACL_UPDATE)

typedef struct NrWriteSite
{
	NrSite		nr;				/* epoch 0 until the rest is resolved */
	AclMode		need;
	uint64		fingerprint;
	MemoryContext context;		/* of what is resolved */
	NrCheckState *checks;		/* NULL: none */
	NrCoerce	key;
	NrCoerce	value;			/* unused with several value columns */
	bool		value_is_row;

	/* the row that is put, by attnum - 1 */
	int			natts;
	int			key_at;
	int			value_at;		/* the only value column */
	Datum	   *values;
	bool	   *isnull;
} NrWriteSite;

/*
 * The call's site ("size": of the function's own struct), with cache, privileges and
 * constraints resolved.  Answers the epoch to set when the rest is.
 */
extern uint64 nr_write_site_begin(FunctionCallInfo fcinfo, size_t size, AclMode need,
								  NrWriteSite **site);

/* How argument 1 becomes the key: one to be written, or one that is only looked for. */
extern void nr_write_site_key(FunctionCallInfo fcinfo, NrWriteSite *site, bool to_write);

/*
 * How a value of this type becomes the value column.  With several it must be of the
 * cache's row type: ERROR datatype_mismatch.
 */
extern void nr_write_site_value(NrWriteSite *site, Oid type);

/* The site if nothing has changed since it was resolved, else NULL. */
static inline void *
nr_write_site_known(FunctionCallInfo fcinfo)
{
	NrWriteSite *site = fcinfo->flinfo->fn_extra;

	if (likely(site != NULL && !PG_ARGISNULL(0) && nr_site_knows(&site->nr, PG_GETARG_OID(0))))
		return site;
	return NULL;
}

/* The cache, after user code may have run. */
static inline NrCache *
nr_write_site_cache(const NrWriteSite *site)
{
	return nr_site_again(&site->nr, site->fingerprint, RowExclusiveLock, site->need);
}

/* ERROR null_value_not_allowed. */
pg_noreturn extern void nr_null_key(const NrCacheDef *def);

/* Argument 1 as the key column's type.  ERROR null_value_not_allowed. */
static inline Datum
nr_write_site_take_key(FunctionCallInfo fcinfo, NrWriteSite *site)
{
	Datum		key = PG_GETARG_DATUM(1);
	bool		isnull = PG_ARGISNULL(1);

	if (!isnull)
		key = nr_coerce(&site->key, key, &isnull);
	if (unlikely(isnull))
		nr_null_key(nr_write_site_cache(site)->def);
	return key;
}

/* The value columns of the site's row from a value that is a row; "key" is the one given. */
extern void nr_write_site_columns(NrWriteSite *site, Datum key, Datum value, bool isnull);

/*
 * Make the site's row of a key and a value, which is coerced.  Of a value that is a
 * row, the key may be left null, but must not be another one.
 */
static inline void
nr_write_site_row(NrWriteSite *site, Datum key, Datum value, bool isnull)
{
	if (likely(!site->value_is_row))
	{
		value = nr_coerce(&site->value, value, &isnull);
		site->values[site->value_at] = value;
		site->isnull[site->value_at] = isnull;
	}
	else
		nr_write_site_columns(site, key, value, isnull);
	site->values[site->key_at] = key;
	site->isnull[site->key_at] = false;
}

/* Check the constraints of the site's row; then no more user code runs. */
static inline NrCache *
nr_write_site_check(NrWriteSite *site)
{
	if (site->checks != NULL)
		nr_check_row(site->checks, site->values, site->isnull);
	return nr_write_site_cache(site);
}

#endif							/* NR_WRITE_SITE_H */
