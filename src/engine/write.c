/*
 * write.c
 *		A session's side of a write: check, place, ask, wait; contract in engine.h.
 */
#include "engine/combine.h"

#define NR_SPACE_POLL_US	5000

/*
 * Do the lengths add up?  The structure checks its own payloads; this is what
 * the engine itself relies on.
 */
static NrStatus
check_ops(const NrEngine *e, const char *ops, size_t bytes, uint32_t n)
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
nr_payload_free(NrSession *s, uint32_t extent)
{
	while (extent != NR_NO_EXTENT)
	{
		uint32_t	next = ((NrPayload *) nr_physical(s->engine, s->replica, extent))->next;

		nr_pool_free(s->engine, extent);
		extent = next;
	}
}

/*
 * Put operations that do not fit the session's buffer into extents, as many
 * whole operations in each as fit.  The replicas read them there, so a large
 * request is copied once.
 */
static NrStatus
place_in_extents(NrSession *s, uint32_t g, const char *ops, size_t bytes, uint32_t *first)
{
	NrEngine   *e = s->engine;
	size_t		room = nr_op_bytes_max(&e->geo);
	NrPayload  *last = NULL;
	size_t		at = 0;

	*first = NR_NO_EXTENT;
	while (at < bytes)
	{
		uint32_t	extent = nr_pool_alloc(e, g, nr_group(e, g)->copies);
		NrPayload  *payload;
		size_t		take = 0;

		if (extent == NR_NO_EXTENT)
		{
			nr_payload_free(s, *first);
			return NR_NO_SPACE;
		}
		while (at + take < bytes)
		{
			uint32_t	op = ((const NrOpHeader *) (ops + at + take))->bytes;

			if (take + op > room)
				break;
			take += op;
		}
		payload = (NrPayload *) nr_physical(e, s->replica, extent);
		payload->next = NR_NO_EXTENT;
		payload->bytes = (uint32_t) take;
		payload->reserved = 0;
		memcpy(payload + 1, ops + at, take);
		if (last == NULL)
			*first = extent;
		else
			last->next = extent;
		last = payload;
		at += take;
	}
	return NR_OK;
}

/*
 * Replicas that lag hold on to payloads that they have not applied, and an idle
 * one lags until the log is full: bring them forward before we say "no space".
 */
static void
let_go(NrHandle *h)
{
	NrSession  *s = h->session;

	if (nr_combiner_try(s, h->g, s->replica))
	{
		(void) nr_replay(s, h->dispatch, h->g, s->replica, NR_IMPATIENT, true);
		nr_combiner_unlock(s, h->g, s->replica);
	}
	nr_help_laggards(s, h->dispatch, h->g);
}

/* Sleep until the log may have room.  False: cancelled. */
static bool
wait_for_space(NrHandle *h, const NrFull *full, bool cancellable)
{
	NrSession  *s = h->session;
	NrEngine   *e = s->engine;
	struct NrGroup *group = h->group;
	NrAtomic64 *waiters = nr_space_waiters(group);
	uint32_t	laggard = 0;
	uint32_t	holder;
	bool		go_on = true;

	nr_add32_seq(&group->space_waiting, 1); /* edge Z1 */
	nr_bit_set(waiters, s->idx);	/* edge Z1 */
	if (nr_log_head(e, h->g) == full->head &&
		nr_req_phase(nr_load64_acq(&s->slot->state)) != NR_REQ_DONE &&	/* edge Q2 */
		(!full->slots ||
		 nr_load64_seq(&group->claimed) - full->head >= group->log_slots))	/* edge Z1 */
	{
		for (uint32_t r = 1; r < e->geo.replicas; r++)
			if (nr_position_oldest(e, h->g, r) < nr_position_oldest(e, h->g, laggard))
				laggard = r;
		holder = nr_load32_rlx(&nr_replica(e, h->g, laggard)->combiner);
		nr_add64_rlx(&group->log_space_waits, 1);

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

/* Wait for the response to be written by whoever combines.  False: cancelled. */
static bool
wait_for_response(NrHandle *h, bool cancellable)
{
	NrSession  *s = h->session;
	uint64_t	word = nr_load64_acq(&s->slot->state);	/* edge Q2 */
	uint32_t	holder;
	bool		go_on = true;

	for (uint32_t spins = s->engine->host->spins; spins > 0; spins--)
	{
		if (nr_req_phase(word) == NR_REQ_DONE || nr_load32_rlx(&h->replica->combiner) == 0)
			return true;
		nr_pause();
		word = nr_load64_acq(&s->slot->state);	/* edge Q2 */
	}
	while (nr_req_phase(word) != NR_REQ_DONE && !(word & NR_REQ_SLEEPING))
		nr_cas64_seq(&s->slot->state, &word, word | NR_REQ_SLEEPING);	/* edge Q3, edge Q2 */

	/*
	 * Now that everybody can see that we sleep, look at the lock once more: its
	 * last holder may have looked at us before.
	 */
	word = nr_load64_acq(&s->slot->state);	/* edge Q2 */
	holder = nr_load32_seq(&h->replica->combiner);	/* edge Q3 */
	if (nr_req_phase(word) != NR_REQ_DONE &&
		(holder != 0 || nr_req_phase(word) == NR_REQ_TAKEN))
	{
		nr_add64_rlx(&h->replica->response_sleeps, 1);
		go_on = nr_sleep(s, NR_WAIT_RESPONSE, h->g, holder == 0 ? NR_SESSION_NONE : holder - 1,
						 NR_POLL_US, cancellable && nr_req_phase(word) == NR_REQ_PENDING);
	}
	word = nr_load64_acq(&s->slot->state);	/* edge Q2 */
	while (nr_req_phase(word) != NR_REQ_DONE && (word & NR_REQ_SLEEPING))
		nr_cas64_seq(&s->slot->state, &word, word & ~(uint64_t) NR_REQ_SLEEPING);	/* edge Q2 */
	return go_on;
}

/* Ask, and do what it takes until the answer is there.  False: withdrawn. */
static bool
request(NrHandle *h, bool cancellable)
{
	NrSession  *s = h->session;
	NrRequestSlot *slot = s->slot;

	s->request_no++;
	nr_xchg64_seq(&slot->state, nr_req_word(s->request_no, h->g, NR_REQ_PENDING));	/* edge Q1 */
	NR_POINT("request_pending");
	nr_bit_set(nr_pending(s->engine, h->replica), s->idx);	/* edge Q3 */
	NR_POINT("request_announced");
	while (nr_req_phase(nr_load64_acq(&slot->state)) != NR_REQ_DONE)	/* edge Q2 */
	{
		NrFull		full;
		NrCombined	combined;
		bool		go_on = true;

		if (nr_combiner_try(s, h->g, s->replica))
		{
			NR_POINT("combiner_locked");
			combined = nr_combine(s, h->dispatch, h->g, cancellable ? NR_CANCELLABLE : NR_PATIENT, &full);
			nr_combiner_unlock(s, h->g, s->replica);
			if (combined == NR_COMBINED || nr_req_phase(nr_load64_acq(&slot->state)) == NR_REQ_DONE)	/* edge Q2 */
				continue;
			go_on = combined == NR_COMBINE_FULL && wait_for_space(h, &full, cancellable);
		}
		else
			go_on = wait_for_response(h, cancellable);
		if (!go_on)
		{
			if (nr_request_withdraw(s, h->g))
				return false;
			cancellable = false;	/* it was taken: the answer is on its way */
		}
	}
	return true;
}

NrStatus
nr_execute_mut(NrHandle *h, const void *ops, size_t bytes, uint32_t n, bool cancellable,
			   NrResult *result)
{
	NrSession  *s = h->session;
	NrRequestSlot *slot = s->slot;
	uint32_t	first = NR_NO_EXTENT;
	NrStatus	status;

	if (bytes > h->group->config.batch_bytes_max)
		return NR_TOO_LARGE;
	status = check_ops(s->engine, ops, bytes, n);
	if (status != NR_OK)
		return status;
	if (bytes <= s->engine->geo.session_buffer_bytes)
		memcpy(s->buffer, ops, bytes);
	else
	{
		status = place_in_extents(s, h->g, ops, bytes, &first);
		if (status == NR_NO_SPACE)
		{
			let_go(h);
			status = place_in_extents(s, h->g, ops, bytes, &first);
		}
		if (status != NR_OK)
			return status;
	}
	nr_store32_rlx(&slot->bytes, (uint32_t) bytes); /* published by the state word, edge Q1 */
	nr_store32_rlx(&slot->first_extent, first);
	nr_store32_rlx(&slot->n, n);

	if (!request(h, cancellable))
	{
		nr_payload_free(s, first);
		return NR_CANCELLED;
	}
	result->status = (NrStatus) slot->status;
	result->done = slot->done;
	result->flagged = slot->flagged;
	result->seq = slot->seq;
	result->last.flag = slot->last_flag != 0;
	result->last.length = slot->last_length;
	if (slot->last_length > 0 && slot->last_length <= result->last.capacity &&
		slot->last_length <= s->engine->geo.session_buffer_bytes)
		memcpy(result->last.data, s->buffer, slot->last_length);
	nr_store64_rlx(&slot->state, nr_req_word(s->request_no, 0, NR_REQ_FREE));	/* ours: nobody looks */
	return NR_OK;
}
