/*
 * nr_site.c
 *		What a call site of a SQL function finds out about itself.
 *
 * All of this is the slow path: it runs once for each call site and
 * transaction (see nr_fn.h).
 */
#include "nr_fn.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

Oid
nr_arg_cache(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("cache must not be null"),
				 errhint("Give the name of the cache, such as 'fx' or 'app.fx'.")));
	return PG_GETARG_OID(0);
}

Oid
nr_arg_type(FunctionCallInfo fcinfo, int argno)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, argno);

	if (!OidIsValid(type))
		ereport(ERROR,
				(errcode(ERRCODE_INDETERMINATE_DATATYPE),
				 errmsg("could not determine the type of argument %d", argno + 1),
				 errhint("The functions of nr_cache learn the types of their arguments from the query that calls them; call them through SQL.")));
	return type;
}

char *
nr_relation_literal(Oid relid, const char *otherwise)
{
	const char *name = get_rel_name(relid);
	char	   *schema = NULL;

	if (name == NULL)
		name = otherwise;
	else if (!RelationIsVisible(relid))
		schema = get_namespace_name(get_rel_namespace(relid));
	return quote_literal_cstr(quote_qualified_identifier(schema, name));
}

char *
nr_cache_literal(const NrCacheDef *def)
{
	return nr_relation_literal(def->relid, def->relname);
}

MemoryContext
nr_site_context(FunctionCallInfo fcinfo, MemoryContext *context)
{
	/* most sites resolve once, and go with a statement that takes microseconds */
	if (*context == NULL)
		*context = fcinfo->flinfo->fn_mcxt;
	else if (*context == fcinfo->flinfo->fn_mcxt)
		*context = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt, "nr_cache call site",
										 ALLOCSET_SMALL_SIZES);
	else
		MemoryContextReset(*context);
	return *context;
}

void
nr_check_exact_type(const NrCacheDef *def, Oid type, const char *what, const char *function,
					const char *example)
{
	Oid			want;

	if (def->nvalues > 1)
		want = def->rowtypid;
	else
		want = def->values[0].typid;
	if (type == want || (def->nvalues == 1 && type == def->values[0].basetypid))
		return;

	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("%s for cache \"%s\" must be of type %s, not %s", what,
					def->relname, format_type_be(want), format_type_be(type)),
			 def->nvalues > 1 ?
			 errdetail("The cache has several value columns: its values are whole rows.") : 0,
			 errhint("Cast the %s: %s(%s, ..., %s::%s).", what, function, nr_cache_literal(def),
					 example, format_type_be(want))));
}

void
nr_check_fallback(const NrCacheDef *def, Oid type, const char *function)
{
	nr_check_exact_type(def, type, "fallback", function, "NULL");
}

NrCache *
nr_site_reopen(const NrSite *site, uint64 fingerprint, LOCKMODE lockmode, AclMode need)
{
	NrCache    *cache = nr_cache_open(site->relid, lockmode, need);

	if (cache->def->fingerprint != fingerprint)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("definition of cache \"%s\" changed while a function was using it",
						cache->def->relname)));
	return cache;
}

/*
 * nr_put('fx', 'USD') is right, and puts a key "fx" into nr_default; but where there
 * is a cache "fx", that may not be what was meant, and nothing else would tell.
 * Only for what is given as a constant, and looks like a name.
 */
static void
note_cache_name(FunctionCallInfo fcinfo, const char *example)
{
	char	   *key;
	Oid			relid;

	if (PG_ARGISNULL(0) || !get_fn_expr_arg_stable(fcinfo->flinfo, 0) ||
		VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(0)) >= NAMEDATALEN)
		return;
	key = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (strcmp(quote_identifier(key), key) != 0)
		return;
	relid = RelnameGetRelid(key);
	if (OidIsValid(relid) && nr_is_cache(relid))
		ereport(NOTICE,
				(errmsg("\"%s\" is taken for a key of cache \"nr_default\", not for the cache of this name", key),
				 errhint("To use the cache \"%s\", write %s.", key, example)));
}

NrCache *
nr_default_open(FunctionCallInfo fcinfo, LOCKMODE lockmode, AclMode need, const char *example)
{
	NrSite	   *site = fcinfo->flinfo->fn_extra;
	Oid			relid;
	NrCacheDef *def;

	if (likely(site != NULL && site->epoch == nr_epoch && site->userid == GetUserId()))
		return site->cache;
	if (site == NULL)
		site = fcinfo->flinfo->fn_extra =
			MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(NrSite));

	relid = nr_default_relid();
	if (!nr_acl_allows(relid, GetUserId(), need))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for cache \"%s\"", get_rel_name(relid)),
				 errhint("Without a cache's name this function uses \"nr_default\"; for another cache write %s.",
						 example)));
	note_cache_name(fcinfo, example);
	def = nr_site_cache(site, relid, lockmode, need)->def;
	if (def->key.basetypid != TEXTOID || def->nvalues != 1 || def->values[0].typid != TEXTOID)
	{
		site->epoch = 0;
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("cache \"%s\" must have one key and one value column, both of type text",
						def->relname),
				 errhint("For another cache write %s.", example)));
	}
	return site->cache;
}
