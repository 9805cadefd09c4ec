/*
 * info.c
 *		What is going on, for operators; contracts in engine.h.
 *
 * Numbers are read one by one while others work: each is right, together they
 * may be a moment apart.
 */
#include "engine/crossing.h"
#include "engine/log.h"
#include "engine/order.h"

static uint64_t
distance(uint64_t to, uint64_t from)
{
	return to > from ? to - from : 0;
}

/* An account may be short for a moment: then nothing is free. */
static uint32_t
account_free(const NrAtomic64 *headroom)
{
	int64_t		free = (int64_t) nr_load64_rlx(headroom);

	return free > 0 ? (uint32_t) free : 0;
}

static bool
group_retired(NrEngine *e, uint32_t g)
{
	const struct NrReplica *rep = nr_replica(e, g, 0);
	bool		retired;

	NR_FAR_REGION(e, 0);
	retired = nr_load32_rlx(&rep->writer) == NR_RETIRED || (nr_load32_rlx(&rep->current) & NR_RETIRED) != 0;
	NR_FAR_END(e);
	return retired;
}

void
nr_pool_info(NrEngine *e, NrPoolInfo *info)
{
	info->extents = e->geo.extents;
	info->free = nr_load32_rlx(&nr_control(e)->pool_free);
	info->extent_bytes = 1u << e->geo.extent_shift;
}

bool
nr_group_interleaved(NrEngine *e, uint32_t g)
{
	return e->stride != 0 && nr_group_exists(e, g) && nr_group(e, g)->replicas == 1;
}

uint32_t
nr_extent_group(NrEngine *e, uint32_t extent)
{
	uint32_t	owner = extent < e->geo.extents ? nr_load32_rlx(&nr_pool_entry(e, extent)->owner) : 0;

	return owner == 0 ? NR_EXTENT_FREE : owner - 1;
}

void
nr_group_info(NrEngine *e, uint32_t g, NrGroupInfo *info)
{
	struct NrGroup *group = nr_group(e, g);

	memset(info, 0, sizeof(*info));
	info->exists = nr_group_exists(e, g);
	if (!info->exists)
		return;
	info->generation = nr_load32_rlx(&group->generation);
	info->copies = group->copies;
	info->aliased = nr_group_shares(group);
	info->extents_max = group->config.extents_max * group->copies;
	info->extents_shared = nr_load32_rlx(&group->shared_mapped);
	info->extents_used = nr_load32_rlx(&group->mapped) * group->copies + info->extents_shared;
	info->extents_free = account_free(&group->headroom) * group->copies + account_free(&group->shared_headroom);
	info->retired = group_retired(e, g);
	info->extents_log = group->log_extents;

	/*
	 * Loads only: nobody keeps the group from being dropped and made anew while
	 * we look, and a position of the old one must not get into the new one.
	 */
	info->head = UINT64_MAX;
	for (uint32_t r = 0; r < group->replicas; r++)
	{
		NR_FAR_REGION(e, r);
		for (uint32_t c = 0; c < group->copies; c++)
		{
			uint64_t	applied = nr_load64_rlx(&nr_replica(e, g, r)->applied[c]);

			if (applied < info->head)
				info->head = applied;
		}
		info->no_log_space += nr_load64_rlx(&nr_replica(e, g, r)->full);
		NR_FAR_END(e);
	}
	info->completed = nr_load64_rlx(&group->completed);
	info->tail = nr_load64_rlx(&group->tail);
	info->promised = distance(nr_load64_rlx(&group->claimed), info->tail);
	info->pending = nr_load64_rlx(&group->pending);
	info->order_seq = nr_load64_rlx(&group->order_seq);
	info->order_horizon = nr_order_horizon(e, g, NR_SESSION_NONE);
	info->order_oldest = nr_order_oldest(e, g);
	info->log_slots = group->log_slots;
	info->log_bytes = (group->log_extents << e->geo.extent_shift) - group->log_head_bytes;
	info->log_space_waits = nr_load64_rlx(&group->log_space_waits);
	info->granted = nr_load64_rlx(&group->granted);
	info->released = nr_load64_rlx(&group->released);
}

static void
crossings(const struct NrReplica *rep, NrCrossings *c)
{
	c->shared_updates = nr_load64_rlx(&rep->shared_updates);
	c->pool_updates = nr_load64_rlx(&rep->pool_updates);
	c->slots = nr_load64_rlx(&rep->far_slots);
	c->positions = nr_load64_rlx(&rep->far_positions);
	c->batches = nr_load64_rlx(&rep->far_batches);
	c->bytes = nr_load64_rlx(&rep->far_bytes);
	c->visits = nr_load64_rlx(&rep->far_visits);
}

void
nr_replica_info(NrEngine *e, uint32_t g, uint32_t r, NrReplicaInfo *info)
{
	struct NrReplica *rep = nr_replica(e, g, r);
	uint32_t	current;

	memset(info, 0, sizeof(*info));
	info->combiner = info->blocking_reader = NR_SESSION_NONE;
	if (!nr_group_exists(e, g))
		return;
	NR_FAR_REGION(e, r);
	current = nr_load32_rlx(&rep->current) & 1;
	info->applied = nr_load64_rlx(&rep->applied[current]);
	info->applied_idle = nr_load64_rlx(&rep->applied[nr_group(e, g)->copies - 1 - current]);
	info->flips = nr_load64_rlx(&rep->flips);
	info->batches = nr_load64_rlx(&rep->batches);
	info->requests = nr_load64_rlx(&rep->requests);
	info->ops = nr_load64_rlx(&rep->ops);
	info->ops_by_worker = nr_load64_rlx(&rep->ops_by_worker);	/* parts first: the whole is no smaller, as a rule */
	info->ops_by_strangers = nr_load64_rlx(&rep->ops_by_strangers);
	info->ops_applied = nr_load64_rlx(&rep->ops_applied);
	info->helped = nr_load64_rlx(&rep->helped);
	info->bytes = nr_load64_rlx(&rep->bytes);
	info->ring_used_bytes = distance(nr_load64_rlx(&rep->ring_tail), nr_load64_rlx(&rep->ring_head));
	info->reads_hit = nr_load64_rlx(&rep->hits);
	info->reads_missed = nr_load64_rlx(&rep->misses);
	info->reader_waits = nr_load64_rlx(&rep->reader_waits);
	info->reader_sleeps = nr_load64_rlx(&rep->reader_sleeps);
	info->writer_waits = nr_load64_rlx(&rep->writer_waits);
	info->writer_sleeps = nr_load64_rlx(&rep->writer_sleeps);
	info->response_sleeps = nr_load64_rlx(&rep->response_sleeps);
	info->withdrawn = nr_load64_rlx(&rep->withdrawn);
	info->combiner = nr_load32_rlx(&rep->combiner) - 1;
	info->blocking_reader = nr_load32_rlx(&rep->blocking_reader) - 1;
	if (info->blocking_reader != NR_SESSION_NONE &&
		nr_inside_group(nr_load64_rlx(&nr_reader_line(e, r, info->blocking_reader)->inside)) != g + 1)
		info->blocking_reader = NR_SESSION_NONE;	/* it has left since */
	crossings(rep, &info->crossings);
	NR_FAR_END(e);
}

void
nr_handle_flush_counters(NrHandle *h)
{
	if (h->hits != 0)
		nr_add64_rlx(&h->replica->hits, h->hits);
	if (h->misses != 0)
		nr_add64_rlx(&h->replica->misses, h->misses);
	h->hits = h->misses = 0;
	if (h->session->crossed_group == h->g)
		nr_crossings_flush(h->session);
}
