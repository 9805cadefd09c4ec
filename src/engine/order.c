/*
 * order.c
 *		Order numbers; contract in order.h.
 */
#include "engine/crossing.h"
#include "engine/order.h"

uint64_t
nr_order_draw(NrSession *s, uint32_t g)
{
	NrEngine   *e = s->engine;
	struct NrGroup *group = nr_group(e, g);
	uint64_t	bound = nr_load64_seq(&group->order_seq) + 1;	/* edge O1: any earlier value will do */

	s->crossed.shared_updates += 3;
	/* who sees this bound sees also that the batch of the last one was appended */
	nr_store64_rel(&nr_order_bounds(e, group)[s->idx], bound);	/* edge O2 */
	nr_or64_seq(&nr_committers(e, group)[NR_WORD(s->idx)], NR_BIT(s->idx)); /* edge O1 */
	NR_POINT("order_announced");
	return nr_add64_seq(&group->order_seq, 1) + 1;	/* edge O1 */
}

void
nr_order_done(NrSession *s, uint32_t g)
{
	NrEngine   *e = s->engine;

	s->crossed.shared_updates++;
	nr_and64_seq(&nr_committers(e, nr_group(e, g))[NR_WORD(s->idx)], ~NR_BIT(s->idx));	/* edge O2 */
}

/* The lowest bound but that of "except", at most "horizon"; *who announced it, unchanged if none is lower. */
static uint64_t
lowest_bound(NrEngine *e, uint32_t g, uint32_t except, uint64_t horizon, uint32_t *who)
{
	struct NrGroup *group = nr_group(e, g);

	for (uint32_t w = 0; w < e->bitmap_words; w++)
	{
		uint64_t	bits = nr_load64_seq(&nr_committers(e, group)[w]);	/* edge O1, edge O2 */

		for (; bits != 0; bits &= bits - 1)
		{
			uint32_t	session = w * 64 + (uint32_t) __builtin_ctzll(bits);
			uint64_t	bound;

			if (session == except)
				continue;
			bound = nr_load64_acq(&nr_order_bounds(e, group)[session]); /* edge O2 */
			if (bound < horizon)
			{
				horizon = bound;
				*who = session;
			}
		}
	}
	return horizon;
}

uint64_t
nr_order_horizon(NrEngine *e, uint32_t g, uint32_t except)
{
	uint64_t	horizon = nr_load64_seq(&nr_group(e, g)->order_seq) + 1;	/* edge O1: before the bounds */
	uint32_t	who;

	NR_POINT("order_counted");
	return lowest_bound(e, g, except, horizon, &who);
}

uint32_t
nr_order_oldest(NrEngine *e, uint32_t g)
{
	uint32_t	who = NR_SESSION_NONE;

	(void) lowest_bound(e, g, NR_SESSION_NONE, UINT64_MAX, &who);
	return who;
}
