/*
 * nr_lifetime.c
 *		What this backend has open, and what happens to shared state when
 *		transactions end.
 *
 * LOCKS.  A cache in use is protected by a relation lock under
 * TopTransactionResourceOwner: a lock taken under a savepoint's owner would be
 * gone after ROLLBACK TO while NrCache.locked still said that we have it.
 *
 * DROP, ALTER and ROLLBACK.  While a transaction runs, nothing is freed but what
 * was made under a layout that a ROLLBACK TO takes away.  It remembers the
 * relations whose right layout it may change (created, altered, dropped, opened
 * under an uncommitted layout) and, at PRE_COMMIT, where catalogs can still be
 * read and errors are allowed, looks up what became of each.  COMMIT then frees
 * the states of all other layouts, and ABORT those that were made under layouts
 * which nobody else will ever see; all under the AccessExclusiveLock that DDL
 * holds until after that.
 *
 * PREPARE TRANSACTION is the last that a transaction hears of itself, so states
 * under its own layouts go before it: were it rolled back, another ALTER to the same
 * layout would find what they hold.  What COMMIT PREPARED makes superfluous is
 * left to whoever opens the relation next, or to the sweep.
 *
 * STAGED WRITES (nr_stage.c, nr_commit.c) and takes (nr_take.c) are prepared last at
 * PRE_COMMIT, and done or undone before any state is freed.
 *
 * DEFINITIONS that were replaced live on until the transaction ends, since
 * somebody up the stack may be using one.
 */
#include "nr_internal.h"

#include "access/transam.h"
#include "access/xact.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/syscache.h"

/* A relation whose layout this transaction may change. */
typedef struct NrTouched
{
	Oid			relid;
	bool		exists;			/* settled at PRE_COMMIT, or dropped after that: */
	uint64		fingerprint;
} NrTouched;

uint64		nr_epoch = 1;		/* 0 means "never" at a call site */
uint64		nr_catalog_epoch = 1;	/* 0 means "never" in an entry */

static HTAB *entries = NULL;
static dlist_head in_use = DLIST_STATIC_INIT(in_use);	/* by this transaction */
static bool some_invalid = false;

/* in TopTransactionContext */
static NrTouched *touched = NULL;
static int	ntouched = 0;
static int	touched_room = 0;

static Oid	dropped_database = InvalidOid;

/* ---- entries ---- */

NrCacheEntry *
nr_entry(Oid relid)
{
	NrCacheEntry *entry;
	bool		found;

	if (entries == NULL)
	{
		HASHCTL		ctl = {.keysize = sizeof(Oid),.entrysize = sizeof(NrCacheEntry),.hcxt = TopMemoryContext};

		entries = hash_create("nr_cache caches", 32, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	entry = hash_search(entries, &relid, HASH_ENTER, &found);
	if (!found)
	{
		memset(entry, 0, sizeof(*entry));
		entry->cache.relid = relid;
	}
	return entry;
}

NrCacheEntry *
nr_entry_find(Oid relid)
{
	return entries == NULL ? NULL : hash_search(entries, &relid, HASH_FIND, NULL);
}

void
nr_entry_set_def(NrCacheEntry *entry, NrCacheDef *def)
{
	NrCacheDef *old = entry->cache.def;

	MemoryContextSetParent(def->context, TopMemoryContext);
	if (old != NULL)
		MemoryContextSetParent(old->context, TopTransactionContext);
	entry->cache.def = def;
	entry->cache.valid = true;
}

void
nr_entry_detach(NrCacheEntry *entry)
{
	if (!entry->cache.attached)
		return;
	nr_group_detach(&entry->cache.handle);
	entry->cache.attached = false;
}

/* ---- locks ---- */

/*
 * As LockRelationOid, but the lock's owner is the transaction.  Invalidations
 * are processed under the current owner, which keeps what an error there would
 * leave behind away from the transaction's.
 */
static void
lock_for_transaction(Oid relid, LOCKMODE lockmode)
{
	ResourceOwner owner = CurrentResourceOwner;
	LockAcquireResult result = LOCKACQUIRE_NOT_AVAIL;
	LOCALLOCK  *locallock = NULL;
	LOCKTAG		tag;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, relid);
	PG_TRY();
	{
		CurrentResourceOwner = TopTransactionResourceOwner;
		result = nr_lock_acquire(&tag, lockmode, &locallock);
	}
	PG_FINALLY();
	{
		CurrentResourceOwner = owner;
	}
	PG_END_TRY();

	if (result != LOCKACQUIRE_ALREADY_CLEAR)
	{
		AcceptInvalidationMessages();
		MarkLockClear(locallock);
	}
}

void
nr_entry_lock(NrCacheEntry *entry, LOCKMODE lockmode)
{
	if (!entry->in_use)
	{
		dlist_push_head(&in_use, &entry->node);
		entry->in_use = true;
	}
	lock_for_transaction(entry->cache.relid, lockmode);
	entry->cache.locked = Max(entry->cache.locked, lockmode);
}

void
nr_entry_unlock(NrCacheEntry *entry)
{
	ResourceOwner owner = CurrentResourceOwner;
	LOCKTAG		tag;

	/* only a first lock can turn out to be in vain, so there is one to give up */
	SET_LOCKTAG_RELATION(tag, MyDatabaseId, entry->cache.relid);
	CurrentResourceOwner = TopTransactionResourceOwner;
	LockRelease(&tag, entry->cache.locked, false);
	CurrentResourceOwner = owner;
	entry->cache.locked = NoLock;
}

/* ---- what this transaction may change ---- */

static NrTouched *
touch(Oid relid)
{
	for (int i = 0; i < ntouched; i++)
		if (touched[i].relid == relid)
			return &touched[i];
	if (touched == NULL)
	{
		touched_room = 8;
		touched = MemoryContextAlloc(TopTransactionContext, touched_room * sizeof(NrTouched));
	}
	else if (ntouched == touched_room)
	{
		touched = repalloc_huge(touched, 2 * touched_room * sizeof(NrTouched));
		touched_room *= 2;
	}
	memset(&touched[ntouched], 0, sizeof(NrTouched));
	touched[ntouched].relid = relid;
	return &touched[ntouched++];
}

void
nr_lifetime_touch(Oid relid)
{
	(void) touch(relid);
}

/* ON COMMIT DROP comes after PRE_COMMIT, where the relation was still there. */
void
nr_lifetime_drop(Oid relid)
{
	touch(relid)->exists = false;
}

/* The hook is called before DROP DATABASE has checked whether it can be done, but its errors cannot be caught. */
void
nr_lifetime_drop_database(Oid dboid)
{
	dropped_database = dboid;
}

bool
nr_locked_exclusively(Oid relid)
{
	LOCKTAG		tag;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, relid);
	return nr_lock_held(&tag, AccessExclusiveLock);
}

/* PRE_COMMIT: what became of each?  May ERROR. */
static void
settle_touched(void)
{
	for (int i = 0; i < ntouched; i++)
	{
		Relation	rel;

		if (!nr_locked_exclusively(touched[i].relid) || !nr_is_cache(touched[i].relid))
			continue;
		rel = RelationIdGetRelation(touched[i].relid);
		if (!RelationIsValid(rel))
			continue;
		touched[i].exists = true;
		touched[i].fingerprint = nr_layout_fingerprint(rel, NULL);
		RelationClose(rel);
	}
}

/* ---- end of transaction ---- */

bool
nr_lifetime_in_use(void)
{
	return !dlist_is_empty(&in_use);
}

void
nr_lifetime_flush_counters(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &in_use)
	{
		NrCacheEntry *entry = dlist_container(NrCacheEntry, node, iter.cur);

		if (entry->cache.attached)
			nr_handle_flush_counters(&entry->cache.handle);
	}
}

void
nr_lifetime_move(NrSession *session)
{
	HASH_SEQ_STATUS scan;
	NrCacheEntry *entry;

	if (entries == NULL)
		return;
	hash_seq_init(&scan, entries);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		NrCache    *cache = &entry->cache;

		if (!cache->attached)
			continue;
		nr_group_detach(&cache->handle);
		/* no lock, no telling what the group is by now; nor when a ROLLBACK TO has freed it, lock or not */
		cache->attached = cache->locked != NoLock && nr_registry_confirm(&entry->ref) &&
			nr_group_attach(session, entry->ref.group, &ds_hash_dispatch, &cache->handle) == NR_OK;
	}
}

void
nr_lifetime_detach_all(void)
{
	HASH_SEQ_STATUS scan;
	NrCacheEntry *entry;

	nr_commit_drop();
	nr_take_rollback();
	nr_lifetime_flush_counters();
	nr_epoch++;
	if (entries == NULL)
		return;
	hash_seq_init(&scan, entries);
	while ((entry = hash_seq_search(&scan)) != NULL)
		nr_entry_detach(entry);
}

/* Forget caches whose definition is out of date: dropped ones would pile up. */
static void
purge_invalid(void)
{
	HASH_SEQ_STATUS scan;
	NrCacheEntry *entry;

	some_invalid = false;
	hash_seq_init(&scan, entries);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (entry->cache.valid)
			continue;
		nr_entry_detach(entry);
		if (entry->cache.def != NULL)
			MemoryContextDelete(entry->cache.def->context);
		hash_search(entries, &entry->cache.relid, HASH_REMOVE, NULL);
	}
}

/* May not fail. */
static void
end_transaction(void)
{
	dlist_mutable_iter iter;

	nr_epoch++;
	nr_ddl_forget();
	nr_stage_forget();
	touched = NULL;
	ntouched = touched_room = 0;
	dropped_database = InvalidOid;
	nr_token_hold(false);

	dlist_foreach_modify(iter, &in_use)
	{
		NrCacheEntry *entry = dlist_container(NrCacheEntry, node, iter.cur);

		entry->in_use = false;
		entry->cache.locked = NoLock;
		if (entry->cache.def == NULL || TransactionIdIsValid(entry->cache.def->layout_xid))
			entry->cache.valid = false; /* the layout is committed now, or gone */
		some_invalid |= !entry->cache.valid;
	}
	dlist_init(&in_use);
	if (some_invalid && entries != NULL)
		purge_invalid();
}

static void
commit(void)
{
	/* a SET of where to stop is a transaction, too */
	if (ntouched > 0 || nr_lifetime_in_use())
		NR_POINT("committing");
	nr_commit_append();
	nr_take_commit();
	nr_lifetime_flush_counters();
	for (int i = 0; i < ntouched; i++)
		if (nr_locked_exclusively(touched[i].relid))
			nr_registry_free_relation(touched[i].relid, touched[i].exists, touched[i].fingerprint);
	if (ntouched > 0)
		nr_registry_settle(NULL);
	/* which nobody is in, nor can enter before we are done */
	if (OidIsValid(dropped_database))
		nr_registry_free_database(dropped_database);
	end_transaction();
}

/* Without the lock of our DDL, the layout may be everybody's. */
static bool
layout_is_ours(Oid relid, TransactionId layout_xid)
{
	return nr_locked_exclusively(relid);
}

/* It went away with the subtransaction that made it. */
static bool
layout_is_gone(Oid relid, TransactionId layout_xid)
{
	return layout_is_ours(relid, layout_xid) && !TransactionIdIsCurrentTransactionId(layout_xid);
}

static void
rollback(void)
{
	NR_POINT("rolling_back");
	nr_commit_drop();
	nr_take_rollback();
	nr_lifetime_flush_counters();
	if (ntouched > 0)
	{
		nr_registry_settle(layout_is_ours);
		nr_registry_settle(NULL);
	}
	end_transaction();
}

/* Whatever comes after this may still be an error. */
static void
before_prepare(void)
{
	nr_commit_refuse_prepare();
	nr_take_refuse_prepare();
	nr_lifetime_flush_counters();
	if (ntouched > 0)
	{
		nr_epoch++;
		nr_registry_settle(layout_is_ours);
		nr_registry_settle(NULL);
	}
}

/* Locks are still held at every one of these events but PREPARE. */
static void
xact_callback(XactEvent event, void *arg)
{
	if (!nr_shmem_ready())
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			nr_commit_check();
			settle_touched();
			nr_token_hold(true);
			nr_commit_prepare();
			nr_take_prepare();
			break;
		case XACT_EVENT_PRE_PREPARE:
			before_prepare();
			break;
		case XACT_EVENT_COMMIT:
			commit();
			break;
		case XACT_EVENT_ABORT:
			rollback();
			break;
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PARALLEL_ABORT:
			/* what a worker made, its leader may be using */
			nr_lifetime_flush_counters();
			end_transaction();
			break;
		case XACT_EVENT_PREPARE:
			end_transaction();
			break;
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
			break;
	}
}

/*
 * Savepoints matter for staged writes and takes, and for one thing more: states made under
 * a layout that goes away with one have to be freed now, while its lock is held.
 * (At this event an aborting subtransaction's xid is not "current" any more.  Of
 * several xids that a layout needs, the latest is the first to go.)
 */
static void
subxact_callback(SubXactEvent event, SubTransactionId mySubid, SubTransactionId parentSubid, void *arg)
{
	bool		commit = event == SUBXACT_EVENT_COMMIT_SUB;

	if (!commit && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	nr_stage_end_level(commit);
	nr_take_end_level(commit);
	if (commit)
		return;
	nr_epoch++;
	if (ntouched > 0)
		nr_registry_settle(layout_is_gone);
}

/* ---- invalidation ---- */

static void
invalidate(NrCacheEntry *entry)
{
	entry->cache.valid = false;
	some_invalid = true;
	nr_epoch++;
	nr_catalog_epoch++;
}

static void
relcache_callback(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS scan;
	NrCacheEntry *entry;

	nr_default_forget(relid);
	if (entries == NULL)
		return;
	if (OidIsValid(relid))
	{
		entry = hash_search(entries, &relid, HASH_FIND, NULL);
		if (entry != NULL)
			invalidate(entry);
		return;
	}
	hash_seq_init(&scan, entries);
	while ((entry = hash_seq_search(&scan)) != NULL)
		invalidate(entry);
}

/* Roles and memberships, which privilege checks rest on. */
static void
role_callback(Datum arg, int cacheid, uint32 hashvalue)
{
	nr_epoch++;
	nr_catalog_epoch++;
}

void
nr_lifetime_init(void)
{
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
	CacheRegisterRelcacheCallback(relcache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, role_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, role_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMMEMROLE, role_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(DATABASEOID, role_callback, (Datum) 0);
}
