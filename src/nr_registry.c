/*
 * nr_registry.c
 *		Shared table: (database, relation, layout) -> the engine's group.
 *
 * Entry i belongs to group i.  Who uses an entry holds a relation lock until
 * the transaction ends, so whoever frees one must know that nobody does:
 *
 *	 - a transaction that dropped the relation, or changed its layout, holds
 *	   AccessExclusiveLock while it frees the old states at its commit, or at its
 *	   end those that it made under a layout that nobody else will ever see;
 *	 - whoever makes the state of a committed layout under a lock of its own
 *	   frees those of other layouts: their users held locks that had to go
 *	   before the layout could change;
 *	 - the sweep (nr_sweep.c) marks an entry, then looks whether anybody holds a
 *	   lock on the relation and whether the relation is gone, and frees the entry
 *	   if the mark is still there.  Users take the lock first and then remove
 *	   marks, so one of the two sees the other: the mark is set by an atomic
 *	   operation that is a full barrier, and locks are taken and looked at under
 *	   a lightweight lock.
 *
 * Workers (nr_worker.c) hold no lock: each says at which group it is and then looks whether the
 * entry is in use; who frees an entry says so and then looks at the workers.  A full barrier
 * stands between the two on both sides.  If a worker is there, the group is left to it.
 *
 * Lookups are scans: each backend keeps what it found and only confirms it.
 */
#include "nr_internal.h"

#include "access/transam.h"
#include "access/xact.h"

#define AWAIT_LEFT_MS	100		/* a worker is done in less, unless somebody has stopped it */

static inline bool
entry_is(const NrRegEntry *entry, Oid relid)
{
	return entry->relid == relid && entry->dboid == MyDatabaseId;
}

/* Take a mark away; false when the state is another one by now. */
static bool
entry_claim(NrRegEntry *entry, uint64 generation)
{
	uint64		state = pg_atomic_read_u64(&entry->state);

	while (state >> 1 == generation)
	{
		if ((state & NR_REG_SWEEP) == 0 ||
			pg_atomic_compare_exchange_u64(&entry->state, &state, generation << 1))
			return true;
	}
	return false;
}

/* The caller holds the registry lock. */
static bool
find_locked(Oid relid, uint64 fingerprint, NrRegRef *ref)
{
	for (uint32 i = 0; i < nr_shared->nentries; i++)
	{
		NrRegEntry *entry = &nr_shared->entries[i];
		uint64		state;

		if (!entry_is(entry, relid) || entry->fingerprint != fingerprint)
			continue;
		state = pg_atomic_read_u64(&entry->state);
		if (state == 0 || !entry_claim(entry, state >> 1))
			continue;
		/* whoever else finds it shows that it is not private; all who are here would store the same */
		if (entry->xact != InvalidTransactionId && entry->xact != GetTopTransactionIdIfAny())
			entry->xact = InvalidTransactionId;
		ref->group = i;
		ref->generation = state >> 1;
		ref->seed = entry->seed;
		return true;
	}
	return false;
}

static bool
worker_is_at(uint32 i)
{
	for (uint32 r = 0; r < nr_engine.geo.replicas; r++)
		if (pg_atomic_read_u32(&nr_shared->worker_at[r]) == i + 1)
			return true;
	return false;
}

/* Destroy the group of an entry that was freed, unless a worker is there.  The caller holds the registry lock exclusively. */
static void
destroy_left(uint32 i)
{
	pg_atomic_uint64 *state = &nr_shared->entries[i].state;

	if (pg_atomic_read_u64(state) != NR_REG_LEFT || worker_is_at(i))
		return;
	nr_group_destroy(&nr_engine, i, &ds_hash_dispatch);
	pg_atomic_write_u64(state, 0);
}

/* The caller holds the registry lock exclusively, and no session uses the entry. */
static void
free_locked(uint32 i)
{
	NrRegEntry *entry = &nr_shared->entries[i];

	entry->dboid = InvalidOid;
	entry->relid = InvalidOid;
	entry->xact = InvalidTransactionId;
	entry->layout_xid = InvalidTransactionId;
	pg_atomic_write_u64(&entry->state, NR_REG_LEFT);
	pg_memory_barrier();		/* before the look at workers */
	destroy_left(i);
}

static void
free_relation_locked(Oid relid, bool keep_one, uint64 keep_fingerprint)
{
	for (uint32 i = 0; i < nr_shared->nentries; i++)
	{
		NrRegEntry *entry = &nr_shared->entries[i];

		if (pg_atomic_read_u64(&entry->state) != 0 && entry_is(entry, relid) &&
			!(keep_one && entry->fingerprint == keep_fingerprint))
			free_locked(i);
	}
}

bool
nr_registry_find(Oid relid, uint64 fingerprint, NrRegRef *ref)
{
	bool		found;

	LWLockAcquire(nr_registry_lock, LW_SHARED);
	found = find_locked(relid, fingerprint, ref);
	LWLockRelease(nr_registry_lock);
	return found;
}

/*
 * Slots of the log: 0 lets the engine choose one for each 256 bytes, but the
 * slots of a large log would not fit the extent in which they have to be.
 */
static uint32
log_slots(uint32 log_bytes)
{
	uint32		most = (1u << nr_engine.geo.extent_shift) / 16;

	return log_bytes / 256 >= most ? most : 0;
}

static NrStatus
make_locked(const NrCacheDef *def, bool committed, uint64 seed, NrRegRef *ref)
{
	NrGroupConfig config;
	DsHashArg	arg = {.seed = seed,.line_bytes = def->line_bytes};
	uint32		i = 0;
	NrRegEntry *entry;
	NrStatus	status;

	for (; i < nr_shared->nentries; i++)
	{
		destroy_left(i);
		if (pg_atomic_read_u64(&nr_shared->entries[i].state) == 0)
			break;
	}
	if (i == nr_shared->nentries)
		return NR_NO_GROUP;

	memset(&config, 0, sizeof(config));
	config.copies = def->copies;
	config.replicas = def->scheme == NR_SCHEME_LEFT_RIGHT ? 1 : 0;
	config.lazy = def->copies == 1 && def->visibility != NR_VISIBLE_IMMEDIATE;
	config.extents_max = def->memory_extents;
	config.shared_max = def->aliased ? def->shared_extents : 0;
	config.log_bytes = def->log_bytes;
	config.log_slots = log_slots(def->log_bytes);
	config.batch_bytes_max = (uint32) nr_guc_max_batch_kb * 1024;
	config.arg_bytes = sizeof(arg);
	memcpy(config.arg, &arg, sizeof(arg));
	status = nr_group_create(&nr_engine, i, &config, &ds_hash_dispatch);
	if (status != NR_OK)
		return status;

	entry = &nr_shared->entries[i];
	entry->dboid = MyDatabaseId;
	entry->relid = def->relid;
	entry->fingerprint = def->fingerprint;
	entry->seed = seed;
	entry->scheme = def->scheme;
	entry->visibility = def->visibility;
	entry->xact = committed ? InvalidTransactionId : GetTopTransactionIdIfAny();
	entry->layout_xid = committed ? InvalidTransactionId : def->layout_xid;
	entry->stats_reset = 0;
	ref->group = i;
	ref->generation = ++nr_shared->last_generation;
	ref->seed = seed;
	pg_write_barrier();			/* workers look at it without the lock */
	pg_atomic_write_u64(&entry->state, ref->generation << 1);
	return NR_OK;
}

NrStatus
nr_registry_make(const NrCacheDef *def, bool committed, NrRegRef *ref)
{
	NrStatus	status = NR_OK;
	uint64		seed;

	if (!pg_strong_random(&seed, sizeof(seed)))
		elog(ERROR, "could not generate a random hash seed");

	LWLockAcquire(nr_registry_lock, LW_EXCLUSIVE);
	NR_POINT("registry_locked");
	if (!find_locked(def->relid, def->fingerprint, ref))
	{
		if (committed)
			free_relation_locked(def->relid, false, 0);
		status = make_locked(def, committed, seed, ref);
	}
	LWLockRelease(nr_registry_lock);
	return status;
}

bool
nr_registry_confirm(const NrRegRef *ref)
{
	return entry_claim(&nr_shared->entries[ref->group], ref->generation);
}

bool
nr_registry_has(Oid relid)
{
	bool		found = false;

	LWLockAcquire(nr_registry_lock, LW_SHARED);
	for (uint32 i = 0; i < nr_shared->nentries && !found; i++)
		found = entry_is(&nr_shared->entries[i], relid);
	LWLockRelease(nr_registry_lock);
	return found;
}

void
nr_registry_free_relation(Oid relid, bool keep_one, uint64 keep_fingerprint)
{
	LWLockAcquire(nr_registry_lock, LW_EXCLUSIVE);
	free_relation_locked(relid, keep_one, keep_fingerprint);
	LWLockRelease(nr_registry_lock);
}

void
nr_registry_settle(bool (*gone) (Oid relid, TransactionId layout_xid))
{
	TransactionId xact = GetTopTransactionIdIfAny();

	if (!TransactionIdIsValid(xact))
		return;
	LWLockAcquire(nr_registry_lock, LW_EXCLUSIVE);
	for (uint32 i = 0; i < nr_shared->nentries; i++)
	{
		NrRegEntry *entry = &nr_shared->entries[i];

		if (entry->xact != xact)
			continue;
		if (gone == NULL)
			entry->xact = InvalidTransactionId;
		else if (gone(entry->relid, entry->layout_xid))
			free_locked(i);
	}
	LWLockRelease(nr_registry_lock);
}

void
nr_registry_free_database(Oid dboid)
{
	LWLockAcquire(nr_registry_lock, LW_EXCLUSIVE);
	for (uint32 i = 0; i < nr_shared->nentries; i++)
		if (nr_shared->entries[i].dboid == dboid)
			free_locked(i);
	LWLockRelease(nr_registry_lock);
}

bool
nr_registry_read(uint32 i, NrRegEntry *entry, NrGroupInfo *group, NrReplicaInfo *replicas)
{
	NrRegEntry *from = &nr_shared->entries[i];
	uint64		state;

	LWLockAcquire(nr_registry_lock, LW_SHARED);
	state = pg_atomic_read_u64(&from->state);
	pg_atomic_init_u64(&entry->state, state);
	entry->dboid = from->dboid;
	entry->relid = from->relid;
	entry->fingerprint = from->fingerprint;
	entry->seed = from->seed;
	entry->scheme = from->scheme;
	entry->visibility = from->visibility;
	entry->stats_reset = from->stats_reset;

	/* the lock keeps the group from being dropped and made anew meanwhile */
	if (nr_reg_in_use(state) && group != NULL)
	{
		nr_group_info(&nr_engine, i, group);
		for (uint32 r = 0; r < nr_entry_replicas(entry); r++)
			nr_replica_info(&nr_engine, i, r, &replicas[r]);
		nr_stat_since_reset(i, group, replicas);
	}
	LWLockRelease(nr_registry_lock);
	return nr_reg_in_use(state);
}

/* ---- workers ---- */

bool
nr_registry_visit(uint32 r, uint32 i)
{
	pg_atomic_uint64 *state = &nr_shared->entries[i].state;

	if (!nr_reg_in_use(pg_atomic_read_u64(state)))
		return false;
	pg_atomic_write_u32(&nr_shared->worker_at[r], i + 1);
	pg_memory_barrier();		/* before the look at the state; also after nr_worker_rest */
	if (nr_reg_in_use(pg_atomic_read_u64(state)))
	{
		pg_read_barrier();		/* what the group is comes after that it is in use */
		return true;
	}
	nr_registry_leave(r, i);
	return false;
}

void
nr_registry_leave(uint32 r, uint32 i)
{
	pg_memory_barrier();		/* what was done there is done */
	pg_atomic_write_u32(&nr_shared->worker_at[r], 0);
	pg_memory_barrier();
	if (pg_atomic_read_u64(&nr_shared->entries[i].state) != NR_REG_LEFT)
		return;
	LWLockAcquire(nr_registry_lock, LW_EXCLUSIVE);
	destroy_left(i);
	LWLockRelease(nr_registry_lock);
}

static bool
any_left(void)
{
	for (uint32 i = 0; i < nr_shared->nentries; i++)
		if (pg_atomic_read_u64(&nr_shared->entries[i].state) == NR_REG_LEFT)
			return true;
	return false;
}

void
nr_registry_await_left(void)
{
	for (int i = 0; i < AWAIT_LEFT_MS && any_left(); i++)
		pg_usleep(1000L);
}

/* ---- sweep ---- */

bool
nr_registry_mark(uint32 i, uint64 generation)
{
	uint64		state = generation << 1;

	return pg_atomic_compare_exchange_u64(&nr_shared->entries[i].state, &state,
										  state | NR_REG_SWEEP) ||
		state == ((generation << 1) | NR_REG_SWEEP);
}

bool
nr_registry_free_marked(uint32 i, uint64 generation)
{
	uint64		state = (generation << 1) | NR_REG_SWEEP;
	bool		freed;

	LWLockAcquire(nr_registry_lock, LW_EXCLUSIVE);
	freed = pg_atomic_compare_exchange_u64(&nr_shared->entries[i].state, &state, NR_REG_LEFT);
	if (freed)
	{
		free_locked(i);
		pg_atomic_fetch_add_u64(&nr_shared->swept, 1);
	}
	LWLockRelease(nr_registry_lock);
	return freed;
}
