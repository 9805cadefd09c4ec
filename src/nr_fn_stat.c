/*
 * nr_fn_stat.c
 *		nr_stat_reset: counters begin anew; and what the view nr_caches has beside its
 *		function's columns.
 *
 * The engine's counters only grow, and others count while we reset: so nothing
 * of them is written.  What they were is remembered beside the registry and taken
 * away again from what the views show.  A cache that is emptied by an ALTER gets a
 * new state, whose counters begin at 0 anyway.
 */
#include "nr_internal.h"

#include "commands/dbcommands.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(nr_stat_reset);
PG_FUNCTION_INFO_V1(nr_stat_reset_time);
PG_FUNCTION_INFO_V1(nr_memory_shared);
PG_FUNCTION_INFO_V1(nr_cache_taken);

static inline NrStatBase *
stat_base(uint32 i)
{
	return (NrStatBase *) (nr_stat_bases + i * nr_stat_base_bytes(nr_engine.geo.replicas));
}

static void
subtract_crossings(NrCrossings *crossings, const NrCrossings *base)
{
	crossings->shared_updates -= base->shared_updates;
	crossings->pool_updates -= base->pool_updates;
	crossings->slots -= base->slots;
	crossings->positions -= base->positions;
	crossings->batches -= base->batches;
	crossings->bytes -= base->bytes;
	crossings->visits -= base->visits;
}

/* What is counted; positions, sizes, extents and order numbers are state. */
static void
subtract_replica(NrReplicaInfo *info, const NrReplicaInfo *base)
{
	info->flips -= base->flips;
	info->batches -= base->batches;
	info->requests -= base->requests;
	info->ops -= base->ops;
	info->ops_applied -= base->ops_applied;
	info->helped -= base->helped;
	info->ops_by_worker -= base->ops_by_worker;
	info->ops_by_strangers -= base->ops_by_strangers;
	info->bytes -= base->bytes;
	info->reads_hit -= base->reads_hit;
	info->reads_missed -= base->reads_missed;
	info->reader_waits -= base->reader_waits;
	info->reader_sleeps -= base->reader_sleeps;
	info->writer_waits -= base->writer_waits;
	info->writer_sleeps -= base->writer_sleeps;
	info->response_sleeps -= base->response_sleeps;
	info->withdrawn -= base->withdrawn;
	subtract_crossings(&info->crossings, &base->crossings);
}

void
nr_stat_since_reset(uint32 i, NrGroupInfo *group, NrReplicaInfo *replicas)
{
	const NrRegEntry *entry = &nr_shared->entries[i];
	const NrStatBase *base = stat_base(i);

	if (entry->stats_reset == 0)
		return;
	group->no_log_space -= base->group.no_log_space;
	group->log_space_waits -= base->group.log_space_waits;
	for (uint32 r = 0; r < nr_entry_replicas(entry); r++)
		subtract_replica(&replicas[r], &base->replicas[r]);
}

/* All caches of this database.  At once, whatever becomes of the transaction. */
Datum
nr_stat_reset(PG_FUNCTION_ARGS)
{
	TimestampTz now = GetCurrentTimestamp();

	nr_require_shmem();
	nr_lifetime_flush_counters();	/* what we have counted ourselves is past, too */
	LWLockAcquire(nr_registry_lock, LW_EXCLUSIVE);
	for (uint32 i = 0; i < nr_shared->nentries; i++)
	{
		NrRegEntry *entry = &nr_shared->entries[i];
		NrStatBase *base = stat_base(i);

		if (!nr_reg_in_use(pg_atomic_read_u64(&entry->state)) || entry->dboid != MyDatabaseId)
			continue;
		nr_group_info(&nr_engine, i, &base->group);
		for (uint32 r = 0; r < nr_entry_replicas(entry); r++)
			nr_replica_info(&nr_engine, i, r, &base->replicas[r]);
		entry->stats_reset = now;
	}
	LWLockRelease(nr_registry_lock);
	PG_RETURN_VOID();
}

/* When the counters of a cache were set back; NULL: never since it was made or emptied. */
Datum
nr_stat_reset_time(PG_FUNCTION_ARGS)
{
	Oid			dboid = get_database_oid(NameStr(*PG_GETARG_NAME(0)), true);
	Oid			relid = PG_GETARG_OID(1);
	TimestampTz reset = 0;

	nr_require_shmem();
	LWLockAcquire(nr_registry_lock, LW_SHARED);
	for (uint32 i = 0; i < nr_shared->nentries; i++)
	{
		const NrRegEntry *entry = &nr_shared->entries[i];

		if (entry->dboid == dboid && entry->relid == relid)
			reset = Max(reset, entry->stats_reset);
	}
	LWLockRelease(nr_registry_lock);
	if (reset == 0)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(reset);
}

/*
 * What the states of a cache are, by the arguments of the two functions below: the larger number where
 * an ALTER is under way and there are two.
 */
static void
look_at_groups(FunctionCallInfo fcinfo, NrGroupInfo *all)
{
	Oid			dboid = get_database_oid(NameStr(*PG_GETARG_NAME(0)), true);
	Oid			relid = PG_GETARG_OID(1);

	memset(all, 0, sizeof(*all));
	nr_require_shmem();
	LWLockAcquire(nr_registry_lock, LW_SHARED);
	for (uint32 i = 0; i < nr_shared->nentries; i++)
	{
		NrRegEntry *entry = &nr_shared->entries[i];
		NrGroupInfo group;

		if (!nr_reg_in_use(pg_atomic_read_u64(&entry->state)) || entry->dboid != dboid || entry->relid != relid)
			continue;
		nr_group_info(&nr_engine, i, &group);
		all->aliased |= group.aliased;
		all->extents_shared = Max(all->extents_shared, group.extents_shared);
		all->retired |= group.retired;
	}
	LWLockRelease(nr_registry_lock);
}

/* Bytes of a cache's memory that two copies share; NULL: they share nothing, or there is one copy. */
Datum
nr_memory_shared(PG_FUNCTION_ARGS)
{
	NrGroupInfo group;

	look_at_groups(fcinfo, &group);
	if (!group.aliased)
		PG_RETURN_NULL();
	PG_RETURN_INT64((int64) group.extents_shared << nr_engine.geo.extent_shift);
}

/* Whether readers of a cache are sent away, since its entries are taken. */
Datum
nr_cache_taken(PG_FUNCTION_ARGS)
{
	NrGroupInfo group;

	look_at_groups(fcinfo, &group);
	PG_RETURN_BOOL(group.retired);
}
