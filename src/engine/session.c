/*
 * session.c
 *		Tokens: who takes part, on which replica; contracts in engine.h.
 *
 * Slots are dense (the lowest free one is given out), because bitmaps over
 * sessions are scanned.  Registering changes no state that a combiner holds in
 * its hands (fault W2): a session without a pending bit does not exist for it.
 */
#include "engine/combine.h"

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
		nr_store32_rlx(&shared->generation, nr_load32_rlx(&shared->generation) + 1);
		nr_store32_rlx(&shared->replica, replica);
		nr_store32_rlx(&shared->owner_pid, owner_pid);
		nr_store64_rlx(&shared->owner_data, owner_data);
		nr_store64_rlx(&shared->waits, 0);
		nr_store32_rlx(&shared->waiting_for, NR_WAIT_NONE);

		memset(s, 0, sizeof(*s));
		s->engine = e;
		s->idx = i;
		s->replica = replica;
		s->shared = shared;
		s->reader = nr_reader_line(e, replica, i);
		s->slot = nr_request_slot(e, replica, i);
		s->buffer = nr_session_buffer(e, replica, i);
		/* request numbers go on where the slot's last owner stopped: they must not repeat soon */
		s->request_no = (uint32_t) (nr_load64_rlx(&s->slot->state) >> 32);
		/* and so do entries: a writer may still have the last owner's in its notes */
		s->entries = nr_load32_rlx(&shared->entries);
		return NR_OK;
	}
	return NR_NO_SESSION;
}

void
nr_session_unregister(NrSession *s)
{
	NrEngine   *e = s->engine;
	uint64_t	word = nr_load64_acq(&s->slot->state);	/* edge Q2 */

	if (nr_req_phase(word) == NR_REQ_PENDING && nr_request_withdraw(s, nr_req_group(word)))
		nr_payload_free(s, nr_load32_rlx(&s->slot->first_extent));
	else if (nr_req_phase(word) != NR_REQ_FREE)
	{
		while (nr_req_phase(nr_load64_acq(&s->slot->state)) != NR_REQ_DONE) /* edge Q2 */
			(void) nr_sleep(s, NR_WAIT_RESPONSE, nr_req_group(word), NR_SESSION_NONE,
							NR_RW_POLL_US, false);
	}
	nr_store64_rlx(&s->slot->state, nr_req_word(s->request_no, 0, NR_REQ_FREE));

	for (uint32_t g = 0; g < e->geo.groups; g++)
	{
		if (!nr_group_exists(e, g))
			continue;
		nr_bit_clear(nr_readers(e, nr_replica(e, g, s->replica)), s->idx);
		nr_bit_clear(nr_waiters(e, nr_replica(e, g, s->replica)), s->idx);
	}
	nr_store32_rlx(&s->shared->owner_pid, 0);
	nr_store32_rlx(&s->shared->entries, s->entries);
	nr_xchg32_seq(&s->shared->used, 0); /* edge S1 */
	s->shared = NULL;
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
}
