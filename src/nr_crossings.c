/*
 * nr_crossings.c
 *		The view nr_crossings: what sessions touch outside of their replica's memory.
 */
#include "nr_internal.h"

#include "nr_row.h"

PG_FUNCTION_INFO_V1(nr_crossings);

/* A row for each cache in use and each of its replicas. */
Datum
nr_crossings(PG_FUNCTION_ARGS)
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
			const NrCrossings *c = &replicas[r].crossings;

			put_cache(&row, &entry);
			put_int4(&row, r);
			put_int8(&row, c->shared_updates);
			put_int8(&row, c->pool_updates);
			put_int8(&row, c->slots);
			put_int8(&row, c->positions);
			put_int8(&row, c->batches);
			put_int8(&row, c->bytes);
			put_int8(&row, c->visits);
			row_end(&row);
		}
	}
	return (Datum) 0;
}
