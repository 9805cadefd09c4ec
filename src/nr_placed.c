/*
 * nr_placed.c
 *		On which NUMA nodes memory lies, and tokens: columns of the views nr_replicas,
 *		nr_memory and nr_tokens, and a look at the start of the server.
 *
 * Only what has been touched is anywhere.  A look at a page maps it into this
 * process; that takes half a second for each gigabyte of small pages, so the functions
 * are called only for queries that want these columns.
 */
#include "nr_internal.h"

#include "nr_numa.h"

#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(nr_replica_node);
PG_FUNCTION_INFO_V1(nr_cache_node);
PG_FUNCTION_INFO_V1(nr_replica_bytes);
PG_FUNCTION_INFO_V1(nr_memory_bytes);
PG_FUNCTION_INFO_V1(nr_replica_operations);
PG_FUNCTION_INFO_V1(nr_token_moves);
PG_FUNCTION_INFO_V1(nr_token_worker);

/* A look takes time and memory, and tells of others' caches. */
static inline bool
may_look(void)
{
	return has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
}

/* Of the extents of a replica's region, those of a group, or of all groups. */
static bool
count_extents(uint32 r, uint32 group, bool all, NrNumaCount *count)
{
	int			node = nr_placement_node(nr_numa_placement(), r);
	uint32		n = nr_engine.geo.extents;
	uint32		first = 0;

	/* ranges of neighbours, which take fewer system calls */
	for (uint32 x = 0; x <= n; x++)
	{
		uint32		owner = x < n ? nr_extent_group(&nr_engine, x) : NR_EXTENT_FREE;
		bool		wanted = all ? owner != NR_EXTENT_FREE : owner == group && x < n;

		if (wanted)
			continue;
		if (first < x &&
			!nr_numa_count(nr_engine.extents[r] + ((Size) first << nr_engine.geo.extent_shift),
						   (Size) (x - first) << nr_engine.geo.extent_shift, node, count))
			return false;
		first = x + 1;
	}
	return true;
}

/*
 * Of a cache that is interleaved: in the region whose turn it is, or, of its log and of large requests, in the
 * first one, where small pages tell whether there is something.
 */
static bool
count_interleaved(uint32 group, NrNumaCount *count)
{
	uint32		n = nr_engine.geo.replicas;

	for (uint32 x = 0; x < nr_engine.geo.extents; x++)
	{
		if (nr_extent_group(&nr_engine, x) != group)
			continue;
		for (uint32 r = 0; r < n; r++)
			if ((r == x % n || (r == 0 && nr_numa_small_pages())) &&
				!nr_numa_count(nr_engine.extents[r] + ((Size) x << nr_engine.geo.extent_shift),
							   (Size) 1 << nr_engine.geo.extent_shift,
							   nr_placement_node(nr_numa_placement(), r), count))
				return false;
	}
	return true;
}

/* What all caches use of a region, and what comes before their extents. */
static bool
count_region(uint32 r, NrNumaCount *count)
{
	return nr_numa_count(nr_engine.region[r], nr_engine.extents[r] - nr_engine.region[r],
						 nr_placement_node(nr_numa_placement(), r), count) &&
		count_extents(r, 0, true, count);
}

static inline void
warn_if_misplaced(uint32 r, const NrNumaCount *count)
{
	nr_numa_warn(&nr_shared->misplaced, (int) r, count);
}

void
nr_placed_verify(void)
{
	for (uint32 r = 0; r < nr_engine.geo.replicas; r++)
	{
		NrNumaCount count = {0};

		if (count_region(r, &count))
			warn_if_misplaced(r, &count);
	}
}

static inline bool
no_such_replica(int32 r)
{
	return r < 0 || (uint32) r >= nr_engine.geo.replicas;
}

/* The node that a replica is to lie on; NULL without NUMA. */
Datum
nr_replica_node(PG_FUNCTION_ARGS)
{
	int32		r = PG_GETARG_INT32(0);

	nr_require_shmem();
	if (no_such_replica(r) || nr_placement_node(nr_numa_placement(), r) == NR_NODE_NONE)
		PG_RETURN_NULL();
	PG_RETURN_INT32(nr_placement_node(nr_numa_placement(), r));
}

/* The state of a cache; -1: it has none.  Views ask for the same one again, or for one behind it. */
static int64
group_of(const char *database, Oid relid)
{
	static uint32 last = 0;
	Oid			dboid = get_database_oid(database, true);

	for (uint32 n = 0; n < nr_shared->nentries; n++)
	{
		uint32		i = (last + n) % nr_shared->nentries;
		NrRegEntry	entry;

		if (!nr_registry_read(i, &entry, NULL, NULL) || entry.dboid != dboid || entry.relid != relid)
			continue;
		last = i;
		return i;
	}
	return -1;
}

/* The same of a cache's replica; NULL also when the cache is interleaved. */
Datum
nr_cache_node(PG_FUNCTION_ARGS)
{
	int64		group;
	int			node;
	int32		r = PG_GETARG_INT32(2);

	nr_require_shmem();
	group = group_of(NameStr(*PG_GETARG_NAME(0)), PG_GETARG_OID(1));
	if (group < 0 || no_such_replica(r) || nr_group_interleaved(&nr_engine, group))
		PG_RETURN_NULL();
	node = nr_placement_node(nr_numa_placement(), r);
	if (node == NR_NODE_NONE)
		PG_RETURN_NULL();
	PG_RETURN_INT32(node);
}

/* Bytes of a cache's replica that have been touched and are where they should be, or are not; NULL for who may not look, or when the system does not tell. */
Datum
nr_replica_bytes(PG_FUNCTION_ARGS)
{
	int64		group;
	int32		r = PG_GETARG_INT32(2);
	NrNumaCount count = {0};

	nr_require_shmem();
	if (!may_look())
		PG_RETURN_NULL();
	group = group_of(NameStr(*PG_GETARG_NAME(0)), PG_GETARG_OID(1));
	if (group < 0 || no_such_replica(r))
		PG_RETURN_NULL();
	if (nr_group_interleaved(&nr_engine, group) ? !count_interleaved(group, &count) :
		!count_extents(r, group, false, &count))
		PG_RETURN_NULL();
	if (!nr_group_interleaved(&nr_engine, group))
		warn_if_misplaced(r, &count);
	PG_RETURN_INT64((int64) (PG_GETARG_BOOL(3) ? count.on_node : count.elsewhere));
}

/* The same of all memory of a replica. */
Datum
nr_memory_bytes(PG_FUNCTION_ARGS)
{
	int32		r = PG_GETARG_INT32(0);
	NrNumaCount count = {0};

	nr_require_shmem();
	if (!may_look() || no_such_replica(r) || !count_region(r, &count))
		PG_RETURN_NULL();
	warn_if_misplaced(r, &count);
	PG_RETURN_INT64((int64) (PG_GETARG_BOOL(1) ? count.on_node : count.elsewhere));
}

/*
 * Operations that a replica of a cache has applied, by whom: "own" backends, its "worker", "strangers" from other
 * replicas.  NULL for who may not look: it counts what others write.
 */
Datum
nr_replica_operations(PG_FUNCTION_ARGS)
{
	int64		group;
	int32		r = PG_GETARG_INT32(2);
	char	   *by = text_to_cstring(PG_GETARG_TEXT_PP(3));
	NrRegEntry	entry;
	NrGroupInfo info;
	NrReplicaInfo replicas[NR_GUC_REPLICAS_MAX];
	NrReplicaInfo *replica;
	uint64		others;

	nr_require_shmem();
	if (!may_look())
		PG_RETURN_NULL();
	group = group_of(NameStr(*PG_GETARG_NAME(0)), PG_GETARG_OID(1));
	if (group < 0 || no_such_replica(r) || !nr_registry_read(group, &entry, &info, replicas) ||
		entry.relid != PG_GETARG_OID(1) || r >= nr_entry_replicas(&entry))
		PG_RETURN_NULL();
	replica = &replicas[r];
	others = replica->ops_by_worker + replica->ops_by_strangers;
	if (strcmp(by, "own") == 0)	/* counted while we looked: not below 0 */
		PG_RETURN_INT64((int64) (replica->ops_applied - Min(others, replica->ops_applied)));
	if (strcmp(by, "worker") == 0)
		PG_RETURN_INT64((int64) replica->ops_by_worker);
	if (strcmp(by, "strangers") == 0)
		PG_RETURN_INT64((int64) replica->ops_by_strangers);
	PG_RETURN_NULL();
}

static bool
token_info(int32 token, NrSessionInfo *info)
{
	nr_require_shmem();
	memset(info, 0, sizeof(*info));
	if (token >= 0 && (uint32) token < nr_engine.geo.sessions)
		nr_session_info(&nr_engine, (uint32) token, info);
	return info->used;
}

/* How often a token has followed its process to another replica; NULL: nobody has it. */
Datum
nr_token_moves(PG_FUNCTION_ARGS)
{
	NrSessionInfo info;

	if (!token_info(PG_GETARG_INT32(0), &info))
		PG_RETURN_NULL();
	PG_RETURN_INT64((int64) info.moves);
}

/* Is it a background worker's?  NULL: nobody has it. */
Datum
nr_token_worker(PG_FUNCTION_ARGS)
{
	NrSessionInfo info;

	if (!token_info(PG_GETARG_INT32(0), &info))
		PG_RETURN_NULL();
	PG_RETURN_BOOL(info.worker);
}
