/*
 * space.c
 *		What writes need before they are in the log; contracts in space.h.
 */
#include "engine/combine.h"
#include "engine/crossing.h"
#include "engine/space.h"

NrStatus
nr_check_ops(const NrEngine *e, const char *ops, size_t bytes, uint32_t n)
{
	size_t		at = 0;
	size_t		max = nr_op_bytes_max(&e->geo);
	uint32_t	count = 0;

	while (at < bytes)
	{
		const NrOpHeader *op = (const NrOpHeader *) (ops + at);

		if (bytes - at < sizeof(NrOpHeader) || op->bytes < sizeof(NrOpHeader) ||
			op->bytes > bytes - at || op->bytes % 8 != 0 ||
			op->bytes != NR_OP_ALIGN(sizeof(NrOpHeader) + (size_t) op->payload_bytes))
			return NR_BAD_OP;
		if (op->bytes > max)
			return NR_TOO_LARGE;
		at += op->bytes;
		count++;
	}
	return n > 0 && count == n ? NR_OK : NR_BAD_OP;
}

void
nr_payload_free(NrSession *s, uint32_t r, uint32_t extent)
{
	while (extent != NR_NO_EXTENT)
	{
		uint32_t	next = ((NrPayload *) nr_physical(s->engine, r, extent))->next;

		s->crossed.pool_updates++;
		nr_pool_free(s->engine, extent);
		extent = next;
	}
}

NrStatus
nr_payload_place(NrSession *s, uint32_t g, uint32_t r, const char *ops, size_t bytes,
				 uint32_t *first, uint32_t *end)
{
	NrEngine   *e = s->engine;
	struct NrGroup *group = nr_group(e, g);
	size_t		room = nr_op_bytes_max(&e->geo);
	NrPayload  *last = NULL;
	size_t		at = 0;

	*first = *end = NR_NO_EXTENT;
	while (at < bytes)
	{
		uint32_t	extent = nr_pool_alloc(e, g, group->replicas * group->copies);
		NrPayload  *payload;
		size_t		take = 0;

		s->crossed.pool_updates++;
		if (extent == NR_NO_EXTENT)
		{
			nr_payload_free(s, r, *first);
			return NR_NO_SPACE;
		}
		while (at + take < bytes)
		{
			uint32_t	op = ((const NrOpHeader *) (ops + at + take))->bytes;

			if (take + op > room)
				break;
			take += op;
		}
		payload = (NrPayload *) nr_physical(e, r, extent);
		payload->next = NR_NO_EXTENT;
		payload->bytes = (uint32_t) take;
		payload->reserved = 0;
		memcpy(payload + 1, ops + at, take);
		NR_POINT("payload_placed");
		if (last == NULL)
			*first = extent;
		else
			last->next = extent;
		last = payload;
		*end = extent;
		at += take;
	}
	return NR_OK;
}

void
nr_let_go(NrHandle *h)
{
	NrSession  *s = h->session;

	if (nr_combiner_try(s, h->g, h->r))
	{
		(void) nr_replay(s, h->dispatch, h->g, h->r, NR_IMPATIENT, true);
		nr_combiner_unlock(s, h->g, h->r);
	}
	nr_help_laggards(s, h->dispatch, h->g);
}

void
nr_log_give_back(NrSession *s, uint32_t g)
{
	struct NrGroup *group = nr_group(s->engine, g);

	nr_log_unclaim(s, g);
	if (nr_load32_seq(&group->space_waiting) != 0)	/* edge Z1 */
		nr_wake_all(s->engine, nr_space_waiters(group));
}

static uint32_t
furthest_behind(NrSession *s, uint32_t g)
{
	NrEngine   *e = s->engine;
	uint32_t	laggard = 0;
	uint64_t	least = UINT64_MAX;

	s->crossed.positions++;
	for (uint32_t r = 0; r < nr_group(e, g)->replicas; r++)
	{
		uint64_t	position;

		NR_FAR(e, NR_FAR_POSITION, nr_replica(e, g, r), NR_CACHE_LINE, false);
		position = nr_position_oldest(e, g, r);
		NR_FAR_END(e);
		if (position >= least)
			continue;
		least = position;
		laggard = r;
	}
	return laggard;
}

bool
nr_wait_for_space(NrHandle *h, const NrFull *full, bool cancellable)
{
	NrSession  *s = h->session;
	NrEngine   *e = s->engine;
	struct NrGroup *group = h->group;
	NrAtomic64 *waiters = nr_space_waiters(group);
	uint32_t	laggard;
	uint32_t	holder;
	bool		go_on = true;

	s->crossed.shared_updates += 4; /* the bit is set and cleared, too */
	nr_add32_seq(&group->space_waiting, 1); /* edge Z1 */
	nr_bit_set(waiters, s->idx);	/* edge Z1 */
	if (nr_log_head(s, h->g) == full->head &&
		nr_req_phase(nr_load64_seq(&h->slot->state)) != NR_REQ_DONE &&	/* edge Q2, edge Z1 */
		(!full->slots ||
		 nr_load64_seq(&group->claimed) - full->head >= group->log_slots))	/* edge Z1 */
	{
		laggard = furthest_behind(s, h->g);
		nr_visit(s, h->g, laggard);
		holder = nr_load32_rlx(&nr_replica(e, h->g, laggard)->combiner);
		nr_visit_end(s);
		nr_add64_rlx(&group->log_space_waits, 1);
		NR_POINT("log_full");

		/*
		 * With a timeout: a laggard whose reader was inside when we tried to help
		 * is nobody's business once that reader has left.
		 */
		go_on = nr_sleep(s, NR_WAIT_LOG_SPACE, h->g, holder == 0 ? NR_SESSION_NONE : holder - 1,
						 NR_SPACE_POLL_US, cancellable);
	}
	nr_bit_clear(waiters, s->idx);
	nr_sub32_seq(&group->space_waiting, 1); /* edge Z1 */
	return go_on;
}
