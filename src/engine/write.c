/*
 * write.c
 *		A session's side of a write: check, place, ask, wait; contract in engine.h.
 */
#include "engine/combine.h"
#include "engine/crossing.h"
#include "engine/space.h"

/* Wait for the response to be written by whoever combines.  False: cancelled. */
static bool
wait_for_response(NrHandle *h, bool cancellable)
{
	NrSession  *s = h->session;
	uint64_t	word = nr_load64_acq(&h->slot->state);	/* edge Q2 */
	uint32_t	holder;
	bool		go_on = true;

	for (uint32_t spins = s->engine->host->spins; spins > 0; spins--)
	{
		if (nr_req_phase(word) == NR_REQ_DONE || nr_load32_rlx(&h->replica->combiner) == 0)
			return true;
		nr_pause();
		word = nr_load64_acq(&h->slot->state);	/* edge Q2 */
	}
	while (nr_req_phase(word) != NR_REQ_DONE && !(word & NR_REQ_SLEEPING))
		nr_cas64_seq(&h->slot->state, &word, word | NR_REQ_SLEEPING);	/* edge Q3, edge Q2 */

	/*
	 * Now that everybody can see that we sleep, look at the lock once more: its
	 * last holder may have looked at us before.
	 */
	word = nr_load64_acq(&h->slot->state);	/* edge Q2 */
	holder = nr_load32_seq(&h->replica->combiner);	/* edge Q3 */
	if (nr_req_phase(word) != NR_REQ_DONE &&
		(holder != 0 || nr_req_phase(word) == NR_REQ_TAKEN))
	{
		nr_add64_rlx(&h->replica->response_sleeps, 1);
		go_on = nr_sleep(s, NR_WAIT_RESPONSE, h->g, holder == 0 ? NR_SESSION_NONE : holder - 1,
						 NR_POLL_US, cancellable && nr_req_phase(word) == NR_REQ_PENDING);
	}
	word = nr_load64_acq(&h->slot->state);	/* edge Q2 */
	while (nr_req_phase(word) != NR_REQ_DONE && (word & NR_REQ_SLEEPING))
		nr_cas64_seq(&h->slot->state, &word, word & ~(uint64_t) NR_REQ_SLEEPING);	/* edge Q2 */
	return go_on;
}

/* Where others find the request, and that they find it. */
static void
announce(NrHandle *h, const NrOwn *own)
{
	NrSession  *s = h->session;
	NrRequestSlot *slot = h->slot;

	if (own->first_extent == NR_NO_EXTENT)
		memcpy(h->buffer, own->ops, own->bytes);
	nr_store32_rlx(&slot->bytes, own->bytes); /* published by the state word, edge Q1 */
	nr_store32_rlx(&slot->first_extent, own->first_extent);
	nr_store32_rlx(&slot->n, own->n);

	/* relaxed: while it is free, the slot is ours; its number makes this request's words unique */
	nr_xchg64_seq(&slot->state, nr_req_word(nr_req_no(nr_load64_rlx(&slot->state)) + 1, h->g,	/* edge Q1 */
											NR_REQ_PENDING));
	NR_POINT("request_pending");
	nr_bit_set(nr_pending(s->engine, h->replica), s->idx);	/* edge Q3 */

	/*
	 * Whoever saw the bit of a request that we have withdrawn may have taken this one before its
	 * bit was set; then nobody else will clear that.  Relaxed: who has cleared the bit, and so no
	 * longer will, has told us by the bit's word that the request is taken.
	 */
	if (nr_req_phase(nr_load64_rlx(&slot->state)) != NR_REQ_PENDING)
		nr_bit_clear(nr_pending(s->engine, h->replica), s->idx);
	NR_POINT("request_announced");
}

static bool
become_combiner(NrHandle *h)
{
	if (!nr_combiner_try(h->session, h->g, h->r))
		return false;
	NR_POINT("combiner_locked");
	return true;
}

/*
 * Ask, and do what it takes until the answer is there.  False: withdrawn.
 * Nobody combines and nobody asks, most times: then the request is spared the way by its slot.
 */
static bool
request(NrHandle *h, const NrOwn *own, bool cancellable)
{
	NrSession  *s = h->session;
	NrRequestSlot *slot = h->slot;
	bool		locked = !NR_ANNOUNCES && become_combiner(h);

	if (locked && nr_combine_alone(s, h->dispatch, h->g, own))
	{
		nr_combiner_unlock(s, h->g, h->r);
		return true;
	}
	announce(h, own);
	while (nr_req_phase(nr_load64_acq(&slot->state)) != NR_REQ_DONE)	/* edge Q2 */
	{
		NrFull		full;
		NrCombined	combined;
		bool		go_on = true;

		if (locked || become_combiner(h))
		{
			combined = nr_combine(s, h->dispatch, h->g, cancellable ? NR_CANCELLABLE : NR_PATIENT, &full);
			nr_combiner_unlock(s, h->g, h->r);
			locked = false;
			if (combined == NR_COMBINED || nr_req_phase(nr_load64_acq(&slot->state)) == NR_REQ_DONE)	/* edge Q2 */
				continue;
			go_on = combined == NR_COMBINE_FULL && nr_wait_for_space(h, &full, cancellable);
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
	nr_store64_rlx(&slot->state, nr_req_word(nr_req_no(nr_load64_rlx(&slot->state)), 0, NR_REQ_FREE));	/* ours: nobody looks */
	return true;
}

NrStatus
nr_execute_mut(NrHandle *h, const void *ops, size_t bytes, uint32_t n, bool cancellable,
			   NrResult *result)
{
	NrSession  *s = h->session;
	const NrRequestSlot *slot = h->slot;
	NrOwn		own = {.ops = ops,.bytes = (uint32_t) bytes,.n = n,.first_extent = NR_NO_EXTENT};
	uint32_t	end;
	NrStatus	status;

	if (nr_load64_rlx(&h->group->pending) != 0)
		return NR_BAD_CONFIG;	/* what was appended must not be overtaken */
	if (bytes > h->group->config.batch_bytes_max)
		return NR_TOO_LARGE;
	status = nr_check_ops(s->engine, ops, bytes, n);
	if (status != NR_OK)
		return status;
	nr_crossings_of(s, h->g);
	if (bytes > s->engine->geo.session_buffer_bytes)
	{
		status = nr_payload_place(s, h->g, h->r, ops, bytes, &own.first_extent, &end);
		if (status == NR_NO_SPACE)
		{
			nr_let_go(h);
			status = nr_payload_place(s, h->g, h->r, ops, bytes, &own.first_extent, &end);
		}
		if (status != NR_OK)
			return status;
	}
	if (!request(h, &own, cancellable))
	{
		nr_payload_free(s, h->r, own.first_extent);
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
		memcpy(result->last.data, h->buffer, slot->last_length);
	return NR_OK;
}
