/*
 * order.c
 *		Order numbers; contract in order.h.
 */
#include "engine/order.h"

uint64_t
nr_order_draw(NrSession *s, uint32_t g)
{
	NrEngine   *e = s->engine;
	struct NrGroup *group = nr_group(e, g);
	uint64_t	bound = nr_load64_seq(&group->order_seq) + 1;	/* edge O1: any earlier value will do */

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

	nr_and64_seq(&nr_committers(e, nr_group(e, g))[NR_WORD(s->idx)], ~NR_BIT(s->idx));	/* edge O2 */
}

uint64_t
nr_order_horizon(NrEngine *e, uint32_t g, uint32_t except)
{
	struct NrGroup *group = nr_group(e, g);
	uint64_t	horizon = nr_load64_seq(&group->order_seq) + 1; /* edge O1: before the bounds */

	NR_POINT("order_counted");
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
				horizon = bound;
		}
	}
	return horizon;
}
