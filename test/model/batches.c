/*
 * batches.c
 *		Batches that a scenario writes itself; contract in batches.h.
 */
#include "batches.h"

#include "engine/replay.h"
#include "toy_counter.h"

void
batch_stage(uint32_t replicas, uint32_t sessions, uint32_t slots)
{
	stage_set(&(StageConfig) {.replicas = replicas,.sessions = sessions,.log_slots = slots});
	stage->no_space_polls = true;
}

/* A batch that raises a counter of its own by one; answered in the slot of session i, where nobody looks. */
static void
fill(int i, NrBatch *batch, size_t bytes)
{
	NrBatchRequest *req = (NrBatchRequest *) (batch + 1);

	memset(batch, 0, sizeof(*batch));
	batch->bytes = (uint32_t) bytes;
	batch->replica = stage->s[i].replica;
	batch->requests = batch->ops = 1;
	batch->extent = NR_NO_EXTENT;
	memset(req, 0, sizeof(*req));
	req->session = stage->s[i].idx;
	req->n = 1;
	req->first_extent = NR_NO_EXTENT;
	req->bytes = (uint32_t) toy_add(req + 1, (uint32_t) (BATCHES_MAX * i + stage->note[i][2]++), 1);
	nr_store64_rlx(&batch->seq, UINT64_MAX);
}

/* Append one, of which there is a claim.  The session is its replica's combiner.  False: the ring is full. */
bool
batch_append(int i, size_t bytes)
{
	NrSession  *s = &stage->s[i];
	uint64_t	pos;
	NrBatch    *batch = nr_ring_reserve(s, 0, s->replica, bytes, &pos);

	if (batch == NULL)
		return false;
	fill(i, batch, bytes);
	nr_ring_commit(&stage->e, 0, s->replica, pos, bytes);
	stage->note[i][0] = nr_log_append(s, 0, s->replica, pos);
	nr_store64_rlx(&batch->seq, stage->note[i][0]);
	return true;
}

void
batch_claim_append(int i)
{
	while (!nr_log_claim(&stage->s[i], 0))
		model_poll();
	while (!batch_append(i, BATCH_SMALL))
		model_poll();
}

bool
batch_replay(int i, uint32_t r)
{
	return nr_replay(&stage->s[i], stage->h[i].dispatch, 0, r, NR_PATIENT, false);
}

uint64_t
batch_position(uint32_t r)
{
	return nr_position(nr_replica(&stage->e, 0, r));
}

/* Answers that nobody has asked for. */
void
batch_forget_answers(void)
{
	for (uint32_t r = 0; r < stage->e.geo.replicas; r++)
		for (uint32_t i = 0; i < stage->e.geo.sessions; i++)
			nr_store64_rlx(&nr_request_slot(&stage->e, r, i)->state, 0);
}

/* So many batches were applied, the same ones by all replicas. */
void
batch_settled(uint64_t batches)
{
	batch_forget_answers();
	stage_settled();
	for (uint32_t r = 0; r < stage->e.geo.replicas; r++)
	{
		uint64_t	sum = 0;

		for (uint32_t cell = 0; cell < BATCHES_MAX * STAGE_ACTORS; cell++)
			sum += stage_peek(r, 0, cell);
		model_assert(sum == batches);
	}
}
