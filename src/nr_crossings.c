/*
 * nr_crossings.c
 *		The view nr_crossings: what sessions touch outside of their replica's memory.
 */
#include "nr_internal.h"

#include "commands/dbcommands.h"
#include "funcapi.h"
#include "utils/builtins.h"

#define COLUMNS		11

PG_FUNCTION_INFO_V1(nr_crossings);

static void
put_row(ReturnSetInfo *rsinfo, const NrRegEntry *entry, uint32 replica, const NrCrossings *c)
{
	char	   *database = get_database_name(entry->dboid);
	Datum		values[COLUMNS] = {0};
	bool		nulls[COLUMNS] = {0};
	int			n = 0;

	nulls[0] = database == NULL;
	if (database != NULL)
		values[0] = DirectFunctionCall1(namein, CStringGetDatum(database));
	nulls[1] = entry->dboid != MyDatabaseId;
	values[1] = values[2] = ObjectIdGetDatum(entry->relid);
	n = 3;
	values[n++] = Int32GetDatum((int32) replica);
	values[n++] = Int64GetDatum((int64) c->shared_updates);
	values[n++] = Int64GetDatum((int64) c->pool_updates);
	values[n++] = Int64GetDatum((int64) c->slots);
	values[n++] = Int64GetDatum((int64) c->positions);
	values[n++] = Int64GetDatum((int64) c->batches);
	values[n++] = Int64GetDatum((int64) c->bytes);
	values[n++] = Int64GetDatum((int64) c->visits);
	Assert(n == COLUMNS);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* A row for each cache in use and each of its replicas. */
Datum
nr_crossings(PG_FUNCTION_ARGS)
{
	nr_require_shmem();
	InitMaterializedSRF(fcinfo, 0);
	nr_lifetime_flush_counters();
	for (uint32 i = 0; i < nr_shared->nentries; i++)
	{
		NrRegEntry	entry;
		NrGroupInfo group;
		NrReplicaInfo replicas[NR_GUC_REPLICAS_MAX];

		if (!nr_registry_read(i, &entry, &group, replicas))
			continue;
		for (uint32 r = 0; r < nr_entry_replicas(&entry); r++)
			put_row((ReturnSetInfo *) fcinfo->resultinfo, &entry, r, &replicas[r].crossings);
		CHECK_FOR_INTERRUPTS();
	}
	return (Datum) 0;
}
