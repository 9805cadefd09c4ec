/*
 * nr_views.c
 *		Set-returning functions behind the views: what is going on.
 *
 * They must answer although somebody is stopped in the middle of something:
 * they read counters, and the few numbers of nr_caches that have to enter a
 * copy are NULL when that cannot be done in a moment.
 */
#include "nr_internal.h"

#include "nr_numa.h"
#include "nr_row.h"

#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#define PATIENCE_MS		200

/* ---- nr_caches ---- */

/*
 * A session has one reader's mark in a group, so where this transaction's cache is
 * attached already its handle is used: detaching a second one would take the mark
 * away.
 */
bool
nr_state_stat(const NrRegRef *ref, Oid relid, DsHashStat *stat)
{
	NrCacheEntry *entry = nr_entry_find(relid);
	NrHandle	own;
	NrHandle   *handle = &own;
	NrStatus	status;

	if (!nr_registry_confirm(ref))
		return false;
	if (entry != NULL && entry->cache.attached && entry->ref.generation == ref->generation)
		handle = &entry->cache.handle;
	else if (nr_group_attach(nr_token(), ref->group, &ds_hash_dispatch, &own) != NR_OK)
		return false;

	stat->code = DS_HASH_STAT;
	nr_host_patience_until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), PATIENCE_MS);
	status = nr_execute(handle, stat, NULL, true);
	nr_host_patience_until = 0;
	if (handle == &own)
		nr_group_detach(&own);
	if (status == NR_GONE)		/* taken: readers find nothing */
		memset(stat, 0, sizeof(*stat));
	return status == NR_OK || status == NR_GONE;
}

/* Its relation's lock keeps the state from going away; where that is not to be had, there is no answer. */
static bool
stat_of_entry(uint32 group, const NrRegEntry *entry, DsHashStat *stat)
{
	NrRegRef	ref = {.group = group,.seed = entry->seed};
	bool		ok;

	ref.generation = pg_atomic_read_u64(unconstify(pg_atomic_uint64 *, &entry->state)) >> 1;
	if (entry->dboid != MyDatabaseId || !ConditionalLockRelationOid(entry->relid, AccessShareLock))
		return false;
	ok = nr_state_stat(&ref, entry->relid, stat);
	UnlockRelationOid(entry->relid, AccessShareLock);
	return ok;
}

PG_FUNCTION_INFO_V1(nr_caches);

Datum
nr_caches(PG_FUNCTION_ARGS)
{
	Row			row;
	uint64		extent;

	row_begin(&row, fcinfo);
	extent = UINT64CONST(1) << nr_engine.geo.extent_shift;
	nr_lifetime_flush_counters();
	for (uint32 i = 0; i < nr_shared->nentries; i++)
	{
		NrRegEntry	entry;
		NrGroupInfo group;
		NrReplicaInfo replicas[NR_GUC_REPLICAS_MAX];
		DsHashStat	stat;
		bool		known;
		uint64		hits = 0,
					misses = 0,
					writes = 0;

		if (!nr_registry_read(i, &entry, &group, replicas))
			continue;
		known = stat_of_entry(i, &entry, &stat);
		for (uint32 r = 0; r < nr_entry_replicas(&entry); r++)
		{
			const NrReplicaInfo *info = &replicas[r];

			hits += info->reads_hit;
			misses += info->reads_missed;
			writes += info->ops;
		}

		put_cache(&row, &entry);
		put_text(&row, nr_scheme_name(entry.scheme));
		put_int4(&row, group.copies);
		put_text(&row, nr_visibility_name(entry.visibility));
		known ? put_int8(&row, stat.entries) : put_null(&row);
		known ? put_int8(&row, stat.key_bytes) : put_null(&row);
		known ? put_int8(&row, stat.value_bytes) : put_null(&row);
		put_int8(&row, group.extents_max * extent);
		put_int8(&row, group.extents_used * extent);
		put_int8(&row, group.extents_free * extent);
		put_int8(&row, group.extents_log * extent);
		known ? put_int8(&row, stat.buckets) : put_null(&row);
		known ? put_int8(&row, stat.overflow_lines) : put_null(&row);
		known ? put_int8(&row, stat.heap_used_bytes) : put_null(&row);
		known ? put_int8(&row, stat.heap_free_bytes) : put_null(&row);
		known ? put_int8(&row, stat.notes) : put_null(&row);
		put_int8(&row, hits);
		put_int8(&row, misses);
		put_int8(&row, writes);
		row_end(&row);
	}
	return (Datum) 0;
}

/* ---- nr_replicas ---- */

static void
put_replica(Row *row, const NrGroupInfo *group, const NrReplicaInfo *info, uint32 r)
{
	put_int4(row, r);
	put_int8(row, info->applied);
	put_int8(row, group->tail > info->applied ? group->tail - info->applied : 0);
	put_int8(row, info->batches);
	put_int8(row, info->requests);
	put_int8(row, info->ops);
	if (info->batches > 0)
		put_datum(row, Float8GetDatum((double) info->ops / info->batches));
	else
		put_null(row);
	put_int8(row, info->ops_applied);
	put_int8(row, info->helped);
	put_int8(row, info->reads_hit);
	put_int8(row, info->reads_missed);
	put_int8(row, info->reader_waits);
	put_int8(row, info->reader_sleeps);
	put_int8(row, info->writer_waits);
	put_int8(row, info->writer_sleeps);
	put_int8(row, info->response_sleeps);
	put_int8(row, info->withdrawn);
	put_int8(row, info->flips);
	put_pid(row, info->combiner);
	put_pid(row, info->blocking_reader);
}

PG_FUNCTION_INFO_V1(nr_replicas);

Datum
nr_replicas(PG_FUNCTION_ARGS)
{
	Row			row;

	row_begin(&row, fcinfo);
	nr_lifetime_flush_counters();
	for (uint32 i = 0; i < nr_shared->nentries; i++)
	{
		NrRegEntry	entry;
		NrGroupInfo group;
		NrReplicaInfo replicas[NR_GUC_REPLICAS_MAX];

		if (!nr_registry_read(i, &entry, &group, replicas))
			continue;
		for (uint32 r = 0; r < nr_entry_replicas(&entry); r++)
		{
			const NrReplicaInfo *info = &replicas[r];

			put_cache(&row, &entry);
			put_replica(&row, &group, info, r);
			row_end(&row);
		}
	}
	return (Datum) 0;
}

/* ---- nr_logs ---- */

/* Order numbers are drawn where commits may overtake one another: with two copies they do not. */
static void
put_order(Row *row, const NrRegEntry *entry, const NrGroupInfo *group)
{
	if (entry->visibility != NR_VISIBLE_COMMIT || group->copies != 1)
	{
		put_null(row);
		put_null(row);
		return;
	}
	put_int8(row, group->order_seq);
	put_int8(row, group->order_horizon);
}

/* Who holds a replica up: a reader in the way of the combiner, else the combiner. */
static uint32
in_the_way(const NrReplicaInfo *info)
{
	return info->blocking_reader != NR_SESSION_NONE ? info->blocking_reader : info->combiner;
}

/*
 * How far a replica is; the older of two copies is always behind, and counts only if somebody is
 * in the way, who may be a reader in that one while the other one is at the tail.
 */
static uint64
position_held(const NrReplicaInfo *info)
{
	return in_the_way(info) == NR_SESSION_NONE ? info->applied : Min(info->applied, info->applied_idle);
}

PG_FUNCTION_INFO_V1(nr_logs);

Datum
nr_logs(PG_FUNCTION_ARGS)
{
	Row			row;

	row_begin(&row, fcinfo);
	for (uint32 i = 0; i < nr_shared->nentries; i++)
	{
		NrRegEntry	entry;
		NrGroupInfo group;
		NrReplicaInfo replicas[NR_GUC_REPLICAS_MAX];
		uint32		laggard = 0;
		uint64		used = 0;

		if (!nr_registry_read(i, &entry, &group, replicas))
			continue;
		for (uint32 r = 0; r < nr_entry_replicas(&entry); r++)
		{
			used = Max(used, replicas[r].ring_used_bytes);
			if (position_held(&replicas[r]) < position_held(&replicas[laggard]))
				laggard = r;
		}

		put_cache(&row, &entry);
		put_int8(&row, group.tail);
		put_int8(&row, group.completed);
		put_int8(&row, group.head);
		put_int4(&row, group.log_slots);
		put_int4(&row, group.tail > group.head ? group.tail - group.head : 0);
		put_int4(&row, group.promised);
		put_int8(&row, group.log_bytes);
		put_int8(&row, used);
		put_int8(&row, group.no_log_space);
		put_int8(&row, group.log_space_waits);
		put_int8(&row, group.granted);
		put_int8(&row, group.released);
		put_int8(&row, group.pending);
		put_order(&row, &entry, &group);
		if (position_held(&replicas[laggard]) < group.tail)
		{
			put_int4(&row, laggard);
			put_pid(&row, in_the_way(&replicas[laggard]));
		}
		else
		{
			put_null(&row);
			put_null(&row);
		}
		row_end(&row);
	}
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(nr_log_commit_pid);

/* The process whose commit, of those with an order number, has been under way for longest; NULL: there is none. */
Datum
nr_log_commit_pid(PG_FUNCTION_ARGS)
{
	Oid			dboid = get_database_oid(NameStr(*PG_GETARG_NAME(0)), true);

	nr_require_shmem();
	for (uint32 i = 0; i < nr_shared->nentries; i++)
	{
		NrRegEntry	entry;
		NrGroupInfo group;
		NrReplicaInfo replicas[NR_GUC_REPLICAS_MAX];
		NrSessionInfo info;

		if (!nr_registry_read(i, &entry, &group, replicas) || entry.dboid != dboid ||
			entry.relid != PG_GETARG_OID(1) || group.order_oldest == NR_SESSION_NONE)
			continue;
		nr_session_info(&nr_engine, group.order_oldest, &info);
		if (info.used && info.owner_pid != 0)
			PG_RETURN_INT32(info.owner_pid);
	}
	PG_RETURN_NULL();
}

/* ---- nr_tokens ---- */

/*
 * Who keeps the log from getting on, or somebody else's lock from being free:
 * for a wait that is not for one process in particular.  The replica that is
 * furthest behind comes first, and there a reader in the way of the combiner.
 */
static uint32
culprit(const NrRegEntry *entry, const NrReplicaInfo *replicas, uint32 waiter)
{
	uint32		found = NR_SESSION_NONE;
	uint64		oldest = PG_UINT64_MAX;

	for (uint32 r = 0; r < nr_entry_replicas(entry); r++)
	{
		const NrReplicaInfo *info = &replicas[r];
		uint32		session = in_the_way(info);
		uint64		applied = Min(info->applied, info->applied_idle);

		if (session == NR_SESSION_NONE || session == waiter || applied >= oldest)
			continue;
		found = session;
		oldest = applied;
	}
	return found;
}

/* waiting_for, waiting_cache, waiting_on */
static void
put_wait(Row *row, uint32 session_idx, const NrSessionInfo *info)
{
	NrRegEntry	entry;
	NrGroupInfo group;
	NrReplicaInfo replicas[NR_GUC_REPLICAS_MAX];
	uint32		on = info->waiting_on_session;

	put_text(row, nr_wait_name(info->waiting_for));
	if (info->waiting_for == NR_WAIT_NONE || info->waiting_group >= nr_shared->nentries ||
		!nr_registry_read(info->waiting_group, &entry, &group, replicas))
	{
		put_null(row);
		put_null(row);
		return;
	}
	/* a wait for the log names the combiner at most, which may itself wait for a reader */
	if (on == NR_SESSION_NONE || info->waiting_for == NR_WAIT_LOG_SPACE)
	{
		uint32		behind = culprit(&entry, replicas, session_idx);

		on = behind != NR_SESSION_NONE ? behind : on;
	}
	put_datum(row, ObjectIdGetDatum(entry.relid));
	put_pid(row, on);
}

PG_FUNCTION_INFO_V1(nr_tokens);

Datum
nr_tokens(PG_FUNCTION_ARGS)
{
	Row			row;

	row_begin(&row, fcinfo);
	for (uint32 i = 0; i < nr_engine.geo.sessions; i++)
	{
		NrSessionInfo info;

		nr_session_info(&nr_engine, i, &info);
		if (!info.used)
			continue;
		put_int4(&row, i);
		put_int4(&row, info.owner_pid);
		put_int4(&row, info.replica);
		put_int8(&row, info.generation);
		put_wait(&row, i, &info);
		put_int8(&row, info.waits);
		row_end(&row);
	}
	return (Datum) 0;
}

/* ---- nr_memory ---- */

PG_FUNCTION_INFO_V1(nr_memory);

Datum
nr_memory(PG_FUNCTION_ARGS)
{
	Row			row;
	NrPoolInfo	pool;

	row_begin(&row, fcinfo);
	nr_pool_info(&nr_engine, &pool);
	for (uint32 r = 0; r < nr_engine.geo.replicas; r++)
	{
		int			node = nr_placement_node(nr_numa_placement(), r);

		put_int4(&row, r);
		if (node >= 0)
			put_int4(&row, node);
		else
			put_null(&row);
		put_int8(&row, (uint64) pool.extents * pool.extent_bytes);
		put_int8(&row, (uint64) pool.free * pool.extent_bytes);
		put_int4(&row, pool.extent_bytes);
		row_end(&row);
	}
	return (Datum) 0;
}

/* ---- CREATE EXTENSION ---- */

PG_FUNCTION_INFO_V1(nr_require_preload);

/* Called by the extension's script, so that CREATE EXTENSION fails with the hint. */
Datum
nr_require_preload(PG_FUNCTION_ARGS)
{
	nr_require_shmem();
	PG_RETURN_VOID();
}
