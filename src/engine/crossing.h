/*
 * crossing.h
 *		What a session touches outside of its own replica's memory: counted, and declared.
 *		Private to the engine.
 *
 * Of another replica's region, a session may touch what lies between NR_FAR and NR_FAR_END
 * (engine.h), and nothing else: a test takes the rest away from it.  What is written at
 * such a place is said there too, by a count:
 *
 *	 slots		looks at a slot of the log, whose array lies in the region of one replica of the group
 *	 positions	looks at how far each of the others is
 *	 batches	batches of other replicas that were applied, read where their producers put them;
 *				with "bytes", large requests included
 *	 visits		work in another replica: bringing it forward, its lock, its copies, what awaits
 *				nr_publish
 *
 * The control block belongs to nobody, and needs no declaration.  Its lines that several replicas write are
 * counted as well: shared_updates (of a group: positions of the log, accounts of memory,
 * order numbers), pool_updates (extents taken from the pool, and let go of).
 *
 * Counting costs an instruction: the session has the numbers, of one group at a time, and adds them
 * to its replica's now and then (nr_crossings_flush).  So a read that finds its replica
 * where it must be counts nothing, and has nothing to count.
 */
#ifndef NR_CROSSING_H
#define NR_CROSSING_H

#include "engine/layout.h"

#define NR_NO_CROSSINGS		UINT32_MAX

/* Add what the session has counted to the counters of its replica. */
extern void nr_crossings_flush(NrSession *s);

/* From now on it counts for this group; wherever work for a group begins. */
static inline void
nr_crossings_of(NrSession *s, uint32_t g)
{
	if (__builtin_expect(s->crossed_group != g, 0))
	{
		nr_crossings_flush(s);
		s->crossed_group = g;
	}
}

/* Around work in replica r, wherever that is; it may change anything there. */
static inline void
nr_visit(NrSession *s, uint32_t g, uint32_t r)
{
	s->crossed.visits += r != nr_home(s, g);
	NR_FAR(s->engine, NR_FAR_VISIT, s->engine->region[r], nr_engine_region_bytes(&s->engine->geo), true);
}

static inline void
nr_visit_end(NrSession *s)
{
	(void) s;
	NR_FAR_END(s->engine);
}

#endif							/* NR_CROSSING_H */
