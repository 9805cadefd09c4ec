/*
 * nr_open.c
 *		From an OID to a cache that may be used: is it one, may this user, what
 *		is its layout, where is its shared state.
 *
 * All of it is checked before the lock, so that nobody locks what is not theirs,
 * and again after it, since it may have changed meanwhile.
 */
#include "nr_internal.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_table.h"
#include "commands/extension.h"
#include "foreign/foreign.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#define EXTENSION_NAME	"nr_cache"
#define OPEN_TRIES		16		/* invalidations may arrive while we look; see open_definition */
#define SWEEP_TRIES		4		/* what a sweep frees, others may take */

static Oid	our_fdw = InvalidOid;
static Oid	default_relid = InvalidOid;

/* ---- whose is it? ---- */

static void
fdw_callback(Datum arg, int cacheid, uint32 hashvalue)
{
	our_fdw = InvalidOid;
}

/* Member of the extension, whatever it was renamed to. */
static bool
is_our_fdw(Oid fdwid)
{
	static bool registered = false;
	Oid			extension;

	if (OidIsValid(our_fdw) && fdwid == our_fdw)
		return true;
	if (!registered)
	{
		CacheRegisterSyscacheCallback(FOREIGNDATAWRAPPEROID, fdw_callback, (Datum) 0);
		registered = true;
	}
	extension = get_extension_oid(EXTENSION_NAME, true);
	if (!OidIsValid(extension) ||
		getExtensionOfObject(ForeignDataWrapperRelationId, fdwid) != extension)
		return false;
	our_fdw = fdwid;
	return true;
}

/* The server of a foreign table; NULL: it is not there yet while CREATE FOREIGN TABLE is half done, or dropped meanwhile. */
static ForeignServer *
server_of(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(FOREIGNTABLEREL, ObjectIdGetDatum(relid));
	Oid			server;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	server = ((Form_pg_foreign_table) GETSTRUCT(tuple))->ftserver;
	ReleaseSysCache(tuple);
	return GetForeignServerExtended(server, FSV_MISSING_OK);
}

bool
nr_is_cache(Oid relid)
{
	ForeignServer *server;

	if (get_rel_relkind(relid) != RELKIND_FOREIGN_TABLE)
		return false;
	server = server_of(relid);
	return server != NULL && is_our_fdw(server->fdwid);
}

/* ---- nr_default ---- */

void
nr_default_forget(Oid relid)
{
	if (!OidIsValid(relid) || relid == default_relid)
		default_relid = InvalidOid;
}

/* Schema of the extension; InvalidOid when there is no extension. */
static Oid
extension_schema(void)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			schema = InvalidOid;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum(EXTENSION_NAME));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		schema = ((Form_pg_extension) GETSTRUCT(tuple))->extnamespace;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return schema;
}

Oid
nr_default_relid(void)
{
	Oid			schema;
	Oid			relid = InvalidOid;

	if (likely(OidIsValid(default_relid)))
		return default_relid;

	nr_require_shmem();
	schema = extension_schema();
	if (OidIsValid(schema))
		relid = get_relname_relid("nr_default", schema);
	if (!OidIsValid(relid) || !nr_is_cache(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("cache \"nr_default\" does not exist"),
				 errdetail("Functions that are given no cache use \"nr_default\" in the schema of the extension."),
				 errhint("Name a cache as the first argument, or create the foreign table \"nr_default\" again.")));
	default_relid = relid;
	return relid;
}

/* ---- open ---- */

/*
 * Others see what a DROP has done to the catalogs before they are told to forget what they remember of
 * them: so of a foreign table, which always has its own row and a server, one may be gone and the other not.
 */
static bool
is_half_gone(Oid relid)
{
	return get_rel_relkind(relid) == RELKIND_FOREIGN_TABLE && server_of(relid) == NULL;
}

static void
check_kind(Oid relid)
{
	char	   *name;

	if (nr_is_cache(relid))
		return;
	name = get_rel_name(relid);
	if (name == NULL || is_half_gone(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("cache with OID %u does not exist", relid)));
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("\"%s\" is not a cache", name),
			 errhint("A cache is made with CREATE FOREIGN TABLE ... SERVER nr_cache.")));
}

static void
check_privileges(Oid relid, AclMode need)
{
	if (need != 0 && !nr_acl_allows(relid, GetUserId(), need))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_TABLE, get_rel_name(relid));
}

/* The same, remembered over transactions: what may change the answer moves nr_catalog_epoch. */
static void
check_privileges_again(NrCacheEntry *entry, AclMode need)
{
	uint64		epoch = nr_catalog_epoch;

	if (entry->allowed_epoch != epoch || entry->allowed_user != GetUserId())
	{
		entry->allowed = 0;
		entry->allowed_user = GetUserId();
		entry->allowed_epoch = epoch;
	}
	if ((need & ~entry->allowed) == 0)
		return;
	check_privileges(entry->cache.relid, need);
	if (!(need & NR_ACL_ANY) && entry->allowed_epoch == nr_catalog_epoch)
		entry->allowed |= need;
}

/* Checks that precede the lock; a valid definition shows that the kind is right. */
static void
check_before_lock(NrCacheEntry *entry, Oid relid, AclMode need)
{
	if (entry == NULL || !entry->cache.valid)
		check_kind(relid);
	if (entry == NULL)
		check_privileges(relid, need);
	else
		check_privileges_again(entry, need);
}

static void
build_definition(NrCacheEntry *entry)
{
	Relation	rel;
	NrCacheDef *def;

	check_kind(entry->cache.relid);
	rel = relation_open(entry->cache.relid, NoLock);
	def = nr_def_build(rel);
	relation_close(rel, NoLock);
	nr_entry_set_def(entry, def);
}

/*
 * A definition that matches the catalogs, and the privileges with it.  Reading
 * catalogs processes invalidations, so this goes on until none of them was ours.
 * With the relation locked, what still changes is privileges and our own
 * spurious resets, so giving up after some rounds does no harm.
 */
static void
open_definition(NrCacheEntry *entry, AclMode need)
{
	for (int i = 0; i < OPEN_TRIES; i++)
	{
		uint64		epoch = nr_epoch;

		if (!entry->cache.valid)
			build_definition(entry);
		check_privileges_again(entry, need);
		if (epoch == nr_epoch)
			return;
	}
	entry->cache.valid = true;
}

static void
report_no_state(const NrCacheDef *def, NrStatus status)
{
	if (status == NR_NO_GROUP)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many caches are in use"),
				 errdetail("All %u places are taken, over all databases.", nr_engine.geo.groups),
				 errhint("Drop caches that are not needed, or raise \"%s\" and restart the server.",
						 "nr_cache.max_caches")));
	if (status == NR_NO_SPACE)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("not enough cache memory to set up cache \"%s\"", def->relname),
				 errdetail("Its log alone takes %u kB.", def->log_bytes / 1024),
				 errhint("Drop caches that are not needed, lower the option \"log_size\", or raise \"%s\" and restart the server.",
						 "nr_cache.memory")));
	elog(ERROR, "could not set up cache \"%s\": status %d", def->relname, (int) status);
}

/*
 * May others have the same layout?  Not while it is our own transaction's, which
 * then holds AccessExclusiveLock: without that, what we changed is something else
 * in the same rows, such as a statistics target.  A worker's leader has the lock.
 */
static bool
layout_is_committed(const NrCacheDef *def)
{
	return !TransactionIdIsValid(def->layout_xid) ||
		(!IsParallelWorker() && !nr_locked_exclusively(def->relid));
}

/* Find or make the shared state; when there is no room, free orphans and try again. */
static void
find_state(const NrCacheDef *def, NrRegRef *ref)
{
	bool		committed = layout_is_committed(def);
	int			freed = 1;
	NrStatus	status;

	if (!committed)
		nr_lifetime_touch(def->relid);
	if (nr_registry_find(def->relid, def->fingerprint, ref))
		return;

	nr_sweep_once();
	status = nr_registry_make(def, committed, ref);
	for (int i = 0; i < SWEEP_TRIES && freed > 0 && (status == NR_NO_GROUP || status == NR_NO_SPACE); i++)
	{
		/* once more even if that freed nothing: somebody's DROP may have */
		freed = nr_sweep();
		status = nr_registry_make(def, committed, ref);
	}
	if (status != NR_OK)
		report_no_state(def, status);
}

static void
attach(NrCacheEntry *entry)
{
	NrCache    *cache = &entry->cache;
	NrSession  *session = nr_token();
	NrStatus	status;

	nr_token_follow();
	if (cache->attached && entry->attached_fingerprint == cache->def->fingerprint &&
		nr_registry_confirm(&entry->ref))
		return;

	nr_entry_detach(entry);
	find_state(cache->def, &entry->ref);
	status = nr_group_attach(session, entry->ref.group, &ds_hash_dispatch, &cache->handle);
	if (status != NR_OK)
		elog(ERROR, "could not attach to cache \"%s\": status %d", cache->def->relname, (int) status);
	cache->attached = true;
	cache->group = entry->ref.group;
	cache->seed = entry->ref.seed;
	entry->attached_fingerprint = cache->def->fingerprint;
}

NrCache *
nr_cache_open(Oid relid, LOCKMODE lockmode, AclMode need)
{
	NrCacheEntry *entry;

	nr_require_shmem();
	entry = nr_entry_find(relid);
	check_before_lock(entry, relid, need);
	if (entry == NULL)
		entry = nr_entry(relid);

	if (entry->cache.locked < lockmode)
	{
		bool		first = entry->cache.locked == NoLock;

		nr_entry_lock(entry, lockmode);
		/* a definition that is still valid was not dropped while we waited */
		if (first && !entry->cache.valid && !SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
			nr_entry_unlock(entry); /* dropped; do not hoard such locks */
	}
	open_definition(entry, need);
	/* as relation_open() does: a prepared transaction must not keep the lock */
	if (entry->cache.def->temporary)
		MyXactFlags |= XACT_FLAGS_ACCESSEDTEMPNAMESPACE;
	if (entry->cache.stage != NULL)
		nr_stage_check(&entry->cache);
	attach(entry);
	if (lockmode == RowExclusiveLock)
		nr_take_before_write(&entry->cache);
	return &entry->cache;
}
