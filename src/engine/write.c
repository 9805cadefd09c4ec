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

/* Ask, and do what it takes until the answer is there.  False: withdrawn. */
static bool
request(NrHandle *h, bool cancellable)
{
	NrSession  *s = h->session;
	NrRequestSlot *slot = h->slot;

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
	while (nr_req_phase(nr_load64_acq(&slot->state)) != NR_REQ_DONE)	/* edge Q2 */
	{
		NrFull		full;
		NrCombined	combined;
		bool		go_on = true;

		if (nr_combiner_try(s, h->g, h->r))
		{
			NR_POINT("combiner_locked");
			combined = nr_combine(s, h->dispatch, h->g, cancellable ? NR_CANCELLABLE : NR_PATIENT, &full);
			nr_combiner_unlock(s, h->g, h->r);
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
	return true;
}

NrStatus
nr_execute_mut(NrHandle *h, const void *ops, size_t bytes, uint32_t n, bool cancellable,
			   NrResult *result)
{
	NrSession  *s = h->session;
	NrRequestSlot *slot = h->slot;
	uint32_t	first = NR_NO_EXTENT;
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
	if (bytes <= s->engine->geo.session_buffer_bytes)
		memcpy(h->buffer, ops, bytes);
	else
	{
		status = nr_payload_place(s, h->g, h->r, ops, bytes, &first, &end);
		if (status == NR_NO_SPACE)
		{
			nr_let_go(h);
			status = nr_payload_place(s, h->g, h->r, ops, bytes, &first, &end);
		}
		if (status != NR_OK)
			return status;
	}
	nr_store32_rlx(&slot->bytes, (uint32_t) bytes); /* published by the state word, edge Q1 */
	nr_store32_rlx(&slot->first_extent, first);
	nr_store32_rlx(&slot->n, n);

	if (!request(h, cancellable))
	{
		nr_payload_free(s, h->r, first);
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
	nr_store64_rlx(&slot->state, nr_req_word(nr_req_no(nr_load64_rlx(&slot->state)), 0, NR_REQ_FREE));	/* ours: nobody looks */
	return NR_OK;
}
