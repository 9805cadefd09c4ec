/*
 * crossing.c
 *		What sessions touch on other nodes, summed up by replica; contract in crossing.h.
 */
#include "engine/crossing.h"

static void
add(NrAtomic64 *counter, uint64_t n)
{
	if (n != 0)
		nr_add64_rlx(counter, n);
}

void
nr_crossings_flush(NrSession *s)
{
	uint32_t	g = s->crossed_group;
	NrCrossings c = s->crossed;
	struct NrGroup *group;
	struct NrReplica *rep;
	uint32_t	home;

	memset(&s->crossed, 0, sizeof(s->crossed));
	s->crossed_group = NR_NO_CROSSINGS;
	/* with one replica there is nobody who would write the other end of a line */
	if (g == NR_NO_CROSSINGS || s->engine->geo.replicas == 1 || !nr_group_exists(s->engine, g))
		return;
	group = nr_group(s->engine, g);
	home = nr_home(s, g);
	rep = nr_replica(s->engine, g, home);
	add(&rep->shared_updates, c.shared_updates);
	add(&rep->pool_updates, c.pool_updates);
	if (group->log_replica != home)
		add(&rep->far_slots, c.slots);
	add(&rep->far_positions, c.positions * (group->replicas - 1));
	add(&rep->far_batches, c.batches);
	add(&rep->far_bytes, c.bytes);
	add(&rep->far_visits, c.visits);
}
