/*
 * session.c
 *		Tokens: who takes part, on which replica; contracts in engine.h.
 *
 * Slots are dense (the lowest free one is given out), because bitmaps over
 * sessions are scanned.  Registering changes no state that a combiner holds in
 * its hands (fault W2): a session without a pending bit does not exist for it.
 */
#include "engine/crossing.h"
#include "engine/space.h"

NrStatus
nr_session_register(NrEngine *e, uint32_t replica, uint32_t owner_pid, uint64_t owner_data,
					NrSession *s)
{
	if (replica >= e->geo.replicas)
		return NR_BAD_CONFIG;
	for (uint32_t i = 0; i < e->geo.sessions; i++)
	{
		NrSessionShared *shared = nr_session_shared(e, i);
		uint32_t	unused = 0;

		if (nr_load32_rlx(&shared->used) != 0 ||
			!nr_cas32_seq(&shared->used, &unused, 1))	/* edge S1 */
			continue;
		NR_POINT("session_taken");
		nr_store32_rlx(&shared->generation, nr_load32_rlx(&shared->generation) + 1);
		nr_store32_rlx(&shared->replica, replica);
		nr_store32_rlx(&shared->owner_pid, owner_pid);
		nr_store64_rlx(&shared->owner_data, owner_data);
		nr_store64_rlx(&shared->waits, 0);
		nr_store64_rlx(&shared->moves, 0);
		nr_store32_rlx(&shared->worker, 0);
		nr_store32_rlx(&shared->waiting_for, NR_WAIT_NONE);

		memset(s, 0, sizeof(*s));
		s->engine = e;
		s->idx = i;
		s->replica = replica;
		s->shared = shared;
		s->crossed_group = NR_NO_CROSSINGS;
		/* entries go on where the last owner stopped: a writer may still have one in its notes */
		s->entries = nr_load32_rlx(&shared->entries);
		return NR_OK;
	}
	return NR_NO_SESSION;
}

/* Nobody may work on a request of ours any more. */
static void
settle_request(NrSession *s, uint32_t r)
{
	NrEngine   *e = s->engine;
	NrRequestSlot *slot = nr_request_slot(e, r, s->idx);
	uint64_t	word = nr_load64_acq(&slot->state); /* edge Q2 */

	if (nr_req_phase(word) == NR_REQ_PENDING && nr_request_withdraw(s, nr_req_group(word)))
		nr_payload_free(s, r, nr_load32_rlx(&slot->first_extent));
	else if (nr_req_phase(word) != NR_REQ_FREE)
	{
		while (nr_req_phase(nr_load64_acq(&slot->state)) != NR_REQ_DONE)	/* edge Q2 */
			(void) nr_sleep(s, NR_WAIT_RESPONSE, nr_req_group(word), NR_SESSION_NONE,
							NR_RW_POLL_US, false);
	}
	nr_store64_rlx(&slot->state, nr_req_word(nr_req_no(word), 0, NR_REQ_FREE));
}

static void
forget_bits(NrSession *s, uint32_t g, uint32_t r)
{
	struct NrReplica *rep = nr_replica(s->engine, g, r);

	nr_bit_clear(nr_readers(s->engine, rep), s->idx);
	nr_bit_clear(nr_waiters(s->engine, rep), s->idx);
}

void
nr_session_unregister(NrSession *s)
{
	NrEngine   *e = s->engine;

	settle_request(s, s->replica);
	if (s->replica != 0)
	{
		NR_FAR_REGION(e, 0);
		settle_request(s, 0);	/* groups that have only one replica */
		NR_FAR_END(e);
	}

	for (uint32_t g = 0; g < e->geo.groups; g++)
	{
		if (!nr_group_exists(e, g))
			continue;
		/* wherever it may have been: how many replicas the group has is not ours to look at */
		forget_bits(s, g, s->replica);
		NR_FAR_REGION(e, 0);
		forget_bits(s, g, 0);
		NR_FAR_END(e);
	}
	NR_POINT("session_leaving");
	nr_store32_rlx(&s->shared->owner_pid, 0);
	nr_store32_rlx(&s->shared->entries, s->entries);
	nr_crossings_flush(s);
	nr_xchg32_seq(&s->shared->used, 0); /* edge S1 */
	s->shared = NULL;
}

/*
 * What the old replica knows of us is nothing by then: our line there says that we are outside,
 * our slot is free, and bits of readers go with the handles.  A bit among its waiters may
 * stay, which costs a wake.
 */
NrStatus
nr_session_move(NrSession *s, uint32_t replica)
{
	if (replica >= s->engine->geo.replicas)
		return NR_BAD_CONFIG;
	if (s->inside > 0)
		return NR_BUSY;
	if (replica == s->replica)
		return NR_OK;
	settle_request(s, s->replica);
	NR_POINT("session_moving");
	nr_crossings_flush(s);
	s->replica = replica;
	nr_store32_rlx(&s->shared->replica, replica);
	nr_add64_rlx(&s->shared->moves, 1);
	return NR_OK;
}

void
nr_session_info(NrEngine *e, uint32_t idx, NrSessionInfo *info)
{
	NrSessionShared *shared = nr_session_shared(e, idx);

	memset(info, 0, sizeof(*info));
	info->used = nr_load32_acq(&shared->used) != 0; /* edge S1 */
	info->replica = nr_load32_rlx(&shared->replica);
	info->owner_pid = nr_load32_rlx(&shared->owner_pid);
	info->owner_data = nr_load64_rlx(&shared->owner_data);
	info->generation = nr_load32_rlx(&shared->generation);
	info->waiting_for = nr_load32_rlx(&shared->waiting_for);
	info->waiting_group = nr_load32_rlx(&shared->waiting_group);
	info->waiting_on_session = info->waiting_for == NR_WAIT_NONE ? NR_SESSION_NONE :
		nr_load32_rlx(&shared->waiting_on);
	info->waits = nr_load64_rlx(&shared->waits);
	info->moves = nr_load64_rlx(&shared->moves);
	info->worker = nr_load32_rlx(&shared->worker) != 0;
}
