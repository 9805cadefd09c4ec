/*
 * stage.c
 *		An engine on stage; contract in stage.h.
 */
#include "stage.h"

#include "engine/combine.h"
#include "engine/wait.h"
#include "toy_counter.h"

Stage	   *stage;

/* ---- the host ---- */

static bool
stage_wait(NrSession *session, NrWaitReason why, long timeout_us, bool cancellable)
{
	int			i = model_thread();

	if (i < 0)
		model_fail("the director waits, and nobody else is there");
	if (why == NR_WAIT_RESPONSE && stage->tail_at_sleep[i] == UINT64_MAX)
		stage->tail_at_sleep[i] = model_newest(&nr_group(&stage->e, 0)->tail, 8);
	if (cancellable && stage->cancels[i] > 0)
	{
		stage->cancels[i]--;
		if (model_choose(2) == 1)
		{
			model_pause();		/* the signal comes at any later time */
			return false;
		}
	}
	if (timeout_us == NR_POLL_US || (why == NR_WAIT_LOG_SPACE && stage->no_space_polls))
		model_sleep(session->idx);
	else
		model_poll();
	return true;
}

static void
stage_wake(NrEngine *engine, uint32_t session_idx)
{
	(void) engine;
	model_wake(session_idx);
}

static const NrHost stage_host = {.wait = stage_wait,.wake = stage_wake,.spins = 0};

/* ---- making it ---- */

#define IGNORE(field)	model_ignore(&(field), sizeof(field))

static void
ignore_replica(struct NrReplica *rep)
{
	IGNORE(rep->blocking_reader);
	model_ignore(&rep->batches, (size_t) ((char *) rep->bitmaps - (char *) &rep->batches));
}

static void
ignore_counters(uint32_t g)
{
	NrEngine   *e = &stage->e;
	struct NrGroup *group = nr_group(e, g);

	IGNORE(nr_control(e)->pool_free);
	IGNORE(group->log_space_waits);
	IGNORE(group->granted);
	IGNORE(group->released);
	for (uint32_t i = 0; i < e->geo.sessions; i++)
	{
		NrSessionShared *shared = nr_session_shared(e, i);

		IGNORE(shared->waits);
		IGNORE(shared->waiting_for);
		IGNORE(shared->waiting_group);
		IGNORE(shared->waiting_on);
		IGNORE(shared->moves);
	}
	for (uint32_t r = 0; r < e->geo.replicas; r++)
		ignore_replica(nr_replica(e, g, r));
}

static uint32_t
or_else(uint32_t value, uint32_t otherwise)
{
	return value != 0 ? value : otherwise;
}

void
stage_set(const StageConfig *config)
{
	const NrDispatch *dispatch = config->dispatch != NULL ? config->dispatch : &toy_counter_dispatch;
	NrGeometry	geo = {
		.replicas = or_else(config->replicas, 1),
		.sessions = or_else(config->sessions_max, or_else(config->sessions, 1)),
		.groups = config->groups == 0 ? 1 : config->groups,
		.extents = or_else(config->extents, 12),
		.extent_shift = NR_EXTENT_SHIFT_MIN,
		.session_buffer_bytes = 256
	};
	NrGroupConfig group = {
		.extents_max = or_else(config->extents_max, 4),
		.shared_max = config->shared_max,
		.log_bytes = 1,
		.batch_bytes_max = 256,
		.copies = config->copies,
		.lazy = config->lazy,
		.log_slots = or_else(config->log_slots, 2)
	};
	void	   *regions[STAGE_ACTORS];
	size_t		extent = (size_t) 1 << geo.extent_shift;
	void	   *control;

	stage = model_alloc(sizeof(Stage), NR_CACHE_LINE);
	control = model_alloc(nr_engine_control_bytes(&geo), extent);
	for (uint32_t r = 0; r < geo.replicas; r++)
		regions[r] = model_alloc(nr_engine_region_bytes(&geo), extent);
	if (nr_engine_init(&stage->e, &geo, &stage_host, control, regions) != NR_OK ||
		nr_group_create(&stage->e, 0, &group, dispatch) != NR_OK)
		model_fail("the stage could not be set");
	for (uint32_t i = 0; i < config->sessions; i++)
		if (nr_session_register(&stage->e, i % geo.replicas, i + 1, 0, &stage->s[i]) != NR_OK ||
			nr_group_attach(&stage->s[i], 0, dispatch, &stage->h[i]) != NR_OK)
			model_fail("an actor could not be registered");
	for (uint32_t i = 0; i < STAGE_ACTORS; i++)
		stage->tail_at_sleep[i] = UINT64_MAX;
	ignore_counters(0);
}

/* ---- what actors do ---- */

NrStatus
stage_add(int i, uint32_t cell, int64_t by, uint64_t *answer)
{
	_Alignas(8) char op[TOY_ADD_BYTES + 8];
	uint64_t	value = 0;
	NrResult	result = {.last = {.data = (char *) &value,.capacity = sizeof(value)}};
	NrStatus	status = nr_execute_mut(&stage->h[i], op, toy_add(op, cell, by), 1, stage->cancels[i] > 0, &result);

	if (status == NR_OK)
	{
		model_assert(result.status == NR_OK && result.done == 1);
		model_assert(result.last.length == sizeof(value));
		if (answer != NULL)
			*answer = value;
	}
	else
		model_assert(status == NR_CANCELLED);
	return status;
}

void
stage_ask(int i, uint32_t cell, int64_t by)
{
	const NrHandle *h = &stage->h[i];

	nr_store32_rlx(&h->slot->bytes, (uint32_t) toy_add(h->buffer, cell, by));
	nr_store32_rlx(&h->slot->first_extent, NR_NO_EXTENT);
	nr_store32_rlx(&h->slot->n, 1);
	nr_store64_rlx(&h->slot->state, nr_req_word(1, 0, NR_REQ_PENDING));
	nr_bit_set(nr_pending(&stage->e, h->replica), stage->s[i].idx);
}

uint64_t
stage_get(int i, uint32_t cell)
{
	ToyRead		read = {.first = cell,.n = 1};
	ToyRead		answer;

	model_assert(nr_execute(&stage->h[i], &read, &answer, false) == NR_OK);
	return answer.value[0];
}

uint64_t
stage_peek(uint32_t r, uint32_t c, uint32_t cell)
{
	ToyRead		read = {.first = cell,.n = 1};
	ToyRead		answer;
	NrCopy		copy;

	nr_copy_view(&stage->e, 0, r, c, &copy);
	model_assert(stage->h[0].dispatch->dispatch(&copy, &read, &answer) == NR_OK);
	return answer.value[0];
}

static void
nobody_left(uint32_t r)
{
	NrEngine   *e = &stage->e;
	struct NrReplica *rep = nr_replica(e, 0, r);

	model_assert(nr_load32_rlx(&rep->writer) == 0);
	model_assert(nr_load32_rlx(&rep->combiner) == 0);
	model_assert(nr_load32_rlx(&rep->starved) == 0);
	for (uint32_t i = 0; i < e->geo.sessions; i++)
	{
		model_assert(nr_is_outside(nr_load64_rlx(&nr_reader_line(e, r, i)->inside)));
		model_assert(nr_req_phase(nr_load64_rlx(&nr_request_slot(e, r, i)->state)) == NR_REQ_FREE);
		model_assert((nr_load64_rlx(&nr_pending(e, rep)[NR_WORD(i)]) & NR_BIT(i)) == 0);
	}
}

void
stage_settled(void)
{
	struct NrGroup *group = nr_group(&stage->e, 0);
	const char *why = NULL;
	uint32_t	replica = 0;

	for (uint32_t r = 0; r < group->replicas; r++)
		nobody_left(r);
	model_assert(nr_load32_rlx(&group->space_waiting) == 0);
	if (nr_group_check(&stage->h[0], false, &replica, &why) != NR_OK)
		model_fail("replica %u: %s", replica, why);
	model_assert(nr_load64_rlx(&group->claimed) == nr_log_tail(&stage->s[0], 0));
	model_assert(nr_load64_rlx(&group->completed) == nr_log_tail(&stage->s[0], 0));
}
