/*
 * nr_sweep.c
 *		Frees shared state that nobody freed: orphans.
 *
 * They come from DROP DATABASE, from DDL in prepared transactions, and on a
 * standby from every DROP and ALTER, since those are replayed by a process that
 * runs no hooks.
 *
 * An entry is freed when nobody else holds a lock on its relation and the
 * catalogs, read after that was seen, do not have its relation or have it with
 * another layout.  Whoever holds no lock now and takes one later finds the mark
 * (nr_registry.c).  No lock is taken that a standby could not take.
 */
#include "nr_internal.h"

#include "access/xact.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#define SWEEP_LOCK	0x6e72		/* field4 of an advisory lock; the SQL functions use 1 and 2 */

/* An entry that looks like an orphan, as it was when it was marked. */
typedef struct Suspect
{
	uint32		place;
	NrRegEntry	entry;
} Suspect;

/*
 * Anybody but us, of any kind: backends, prepared transactions, the startup process.
 *
 * From the lock table itself.  GetLockConflicts tells whom to wait for, and leaves out transactions that have
 * committed or rolled back but for their callbacks: their locks are still held, they are still at work
 * on the state, and nobody has been told what they did to the catalogs.
 */
static bool
locked_by_others(const LockData *locks, Oid dboid, Oid relid)
{
	LOCKTAG		tag;

	SET_LOCKTAG_RELATION(tag, dboid, relid);
	for (int i = 0; i < locks->nelements; i++)
	{
		const LockInstanceData *lock = &locks->locks[i];

		if (lock->holdMask != 0 && lock->pid != MyProcPid &&
			memcmp(&lock->locktag, &tag, sizeof(tag)) == 0)
			return true;
	}
	return false;
}

static bool
locked_by_us(Oid relid)
{
	LOCKTAG		tag;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, relid);
	for (LOCKMODE mode = AccessShareLock; mode <= AccessExclusiveLock; mode++)
		if (nr_lock_held(&tag, mode))
			return true;
	return false;
}

/* Does the catalog still have this relation with this layout? */
static bool
layout_exists(const NrRegEntry *entry)
{
	Relation	rel;
	bool		exists;

	if (!nr_is_cache(entry->relid))
		return false;
	if (!ConditionalLockRelationOid(entry->relid, AccessShareLock))
		return true;
	rel = RelationIdGetRelation(entry->relid);
	exists = RelationIsValid(rel) && nr_layout_fingerprint(rel, NULL) == entry->fingerprint;
	if (RelationIsValid(rel))
		RelationClose(rel);
	UnlockRelationOid(entry->relid, AccessShareLock);
	return exists;
}

static bool
is_orphan(const NrRegEntry *entry)
{
	if (entry->dboid != MyDatabaseId)
		return !SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum(entry->dboid));
	return !layout_exists(entry);
}

/* A parallel worker's leader, or another worker of the same one: the lock manager keeps these apart from others only. */
static bool
in_our_lock_group(int pid)
{
	PGPROC	   *proc = pid == MyProcPid ? NULL : BackendPidGetProc(pid);

	return proc != NULL && MyProc->lockGroupLeader != NULL && proc->lockGroupLeader == MyProc->lockGroupLeader;
}

/*
 * One at a time: a sweep must not find another one's mark and take it for its own.  The lock keeps
 * everybody out but members of our lock group; among these the pid does.  Any other pid was left there by
 * a FATAL error.
 */
static void
begin_sweep(LOCKTAG *tag)
{
	uint32		sweeper = 0;

	SET_LOCKTAG_ADVISORY(*tag, InvalidOid, 0, 0, SWEEP_LOCK);
	(void) LockAcquire(tag, ExclusiveLock, false, false);
	while (!pg_atomic_compare_exchange_u32(&nr_shared->sweeper, &sweeper, (uint32) MyProcPid))
	{
		if (!in_our_lock_group((int) sweeper))
			continue;			/* take his place */
		CHECK_FOR_INTERRUPTS();
		pg_usleep(1000L);
		sweeper = 0;
	}
}

static void
end_sweep(LOCKTAG *tag)
{
	pg_atomic_write_u32(&nr_shared->sweeper, 0);
	LockRelease(tag, ExclusiveLock, false);
}

/* Mark what looks like orphans; returns copies of their entries. */
static List *
mark_suspects(void)
{
	List	   *suspects = NIL;

	for (uint32 i = 0; i < nr_shared->nentries; i++)
	{
		NrRegEntry	entry;
		Suspect    *suspect;

		if (!nr_registry_read(i, &entry, NULL, NULL))
			continue;
		/* what we use ourselves, or dropped and may yet roll back, is no orphan */
		if (entry.dboid == MyDatabaseId && locked_by_us(entry.relid))
			continue;
		if (!is_orphan(&entry) || !nr_registry_mark(i, pg_atomic_read_u64(&entry.state) >> 1))
			continue;
		suspect = palloc(sizeof(Suspect));
		suspect->place = i;
		suspect->entry = entry;
		suspects = lappend(suspects, suspect);
	}
	return suspects;
}

/* Now in earnest: they are marked, nobody has them, and the catalogs are as they are after that. */
static void
free_suspects(List *suspects)
{
	LockData   *locks;
	ListCell   *lc;

	if (suspects == NIL)
		return;
	locks = GetLockStatusData();
	NR_POINT("sweep_marked");
	AcceptInvalidationMessages();
	InvalidateCatalogSnapshot();
	foreach(lc, suspects)
	{
		Suspect    *suspect = lfirst(lc);
		NrRegEntry *entry = &suspect->entry;

		if (!locked_by_others(locks, entry->dboid, entry->relid) && is_orphan(entry))
			(void) nr_registry_free_marked(suspect->place, pg_atomic_read_u64(&entry->state) >> 1);
	}
	pfree(locks->locks);
	pfree(locks);
	list_free_deep(suspects);
}

int
nr_sweep(void)
{
	uint64		before = pg_atomic_read_u64(&nr_shared->swept);
	LOCKTAG		sweep;

	begin_sweep(&sweep);
	PG_TRY();
	{
		NR_POINT("sweep_locked");
		AcceptInvalidationMessages();
		free_suspects(mark_suspects());
	}
	PG_CATCH();
	{
		pg_atomic_write_u32(&nr_shared->sweeper, 0);	/* the lock ends with the transaction */
		PG_RE_THROW();
	}
	PG_END_TRY();
	end_sweep(&sweep);
	nr_registry_await_left();
	return (int) (pg_atomic_read_u64(&nr_shared->swept) - before);
}

void
nr_sweep_once(void)
{
	static bool done = false;

	if (done)
		return;
	done = true;
	nr_sweep();
}
