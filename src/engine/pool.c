/*
 * pool.c
 *		The pool of extents; contract in pool.h.
 */
#include "engine/pool.h"

void
nr_pool_init(NrEngine *e)
{
	uint32_t	n = e->geo.extents;

	for (uint32_t i = 0; i < n; i++)
	{
		nr_store32_rlx(&nr_pool_entry(e, i)->next, i + 1 < n ? i + 2 : 0);
		nr_store32_rlx(&nr_pool_entry(e, i)->owner, 0);
	}
	nr_store64_rlx(&nr_control(e)->pool_head, n > 0 ? 1 : 0);
	nr_store32_rlx(&nr_control(e)->pool_free, n);
}

uint32_t
nr_pool_alloc(NrEngine *e, uint32_t g, uint32_t refs)
{
	NrControl  *c = nr_control(e);
	uint64_t	head = nr_load64_acq(&c->pool_head);	/* edge P1 */

	for (;;)
	{
		uint32_t	top = (uint32_t) head;
		uint64_t	next;

		if (top == 0)
			return NR_NO_EXTENT;

		/*
		 * Relaxed: "next" of an extent that another has taken meanwhile may be
		 * anything, but then the tag has changed and the CAS fails.
		 */
		next = nr_load32_rlx(&nr_pool_entry(e, top - 1)->next);
		next |= ((head >> 32) + 1) << 32;
		if (nr_cas64_seq(&c->pool_head, &head, next))	/* edge P1 */
		{
			NrPoolEntry *entry = nr_pool_entry(e, top - 1);

			nr_store32_rlx(&entry->owner, g + 1);
			nr_store32_rlx(&entry->refs, refs);
			nr_add32_rlx(&c->pool_free, -1u);
			return top - 1;
		}
	}
}

void
nr_pool_free(NrEngine *e, uint32_t extent)
{
	NrControl  *c = nr_control(e);
	NrPoolEntry *entry = nr_pool_entry(e, extent);
	uint64_t	head = nr_load64_acq(&c->pool_head);	/* edge P1 */

	nr_store32_rlx(&entry->owner, 0);
	do
		nr_store32_rlx(&entry->next, (uint32_t) head);
	while (!nr_cas64_seq(&c->pool_head, &head,	/* edge P1 */
						 (((head >> 32) + 1) << 32) | (extent + 1)));
	nr_add32_rlx(&c->pool_free, 1);
}

uint32_t
nr_pool_refs(NrEngine *e, uint32_t extent)
{
	return nr_load32_rlx(&nr_pool_entry(e, extent)->refs);
}

void
nr_pool_unref(NrEngine *e, uint32_t extent)
{
	nr_pool_unref_many(e, extent, 1);
}

void
nr_pool_unref_many(NrEngine *e, uint32_t extent, uint32_t refs)
{
	/* edge P1: what every copy did with the extent comes before its next use */
	if (refs > 0 && nr_sub32_seq(&nr_pool_entry(e, extent)->refs, refs) == refs)
		nr_pool_free(e, extent);
}

void
nr_pool_free_owner(NrEngine *e, uint32_t g)
{
	for (uint32_t i = 0; i < e->geo.extents; i++)
		if (nr_load32_rlx(&nr_pool_entry(e, i)->owner) == g + 1)
			nr_pool_free(e, i);
}
