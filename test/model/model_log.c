/*
 * model_log.c
 *		The operation log: edges L1 and L2, claims, head.
 *
 * From engine/log.c and replay.c.  The log has two slots, or four and a ring that two large batches fill.  Threads
 * append batches that they write themselves, and replay them by nr_replay; what was applied is checked by
 * counters, and the explorer reports a race when the bytes of a batch are read and written together.
 * A slot's word is atomic: that it is read before it is written over is not the explorer's to check.
 * Not covered: prepared writes in the log, and two copies (model_prepare.c, model_leftright.c).
 */
#include "batches.h"
#include "engine/replay.h"
#include "engine/space.h"

typedef struct Shared
{
	NrAtomic32	holders;
} Shared;

static Shared *shared;

static void
set(uint32_t replicas, uint32_t sessions, uint32_t slots)
{
	batch_stage(replicas, sessions, slots);
	shared = model_alloc(sizeof(Shared), NR_CACHE_LINE);
}

static struct NrGroup *
group(void)
{
	return nr_group(&stage->e, 0);
}

/* ---- one appends, another replica replays ---- */

static void
empty(void)
{
	set(2, 2, 2);
}

static void
append_replay(int i)
{
	if (i == 0)
	{
		batch_claim_append(0);
		return;
	}
	(void) batch_replay(1, 1);
	stage->note[1][1] = batch_position(1);
	model_assert(stage_peek(1, 0, 0) == stage->note[1][1]);
}

static void
one_check(void)
{
	batch_settled(1);
}

/* ---- a full log: slots, ring ---- */

/* Replica 0 has applied what it appended, replica 1 nothing. */
static void
full_slots(void)
{
	set(2, 2, 2);
	batch_claim_append(0);
	batch_claim_append(0);
	(void) batch_replay(0, 0);
	batch_forget_answers();
}

static void
slots_wrap(int i)
{
	if (i == 0)
		batch_claim_append(0);
	else
		(void) batch_replay(1, 1);
}

static void
three_check(void)
{
	batch_settled(3);
}

static void
full_ring(void)
{
	set(2, 2, 4);
	for (int n = 0; n < 2; n++)
		if (!nr_log_claim(&stage->s[0], 0) || !batch_append(0, BATCH_LARGE))
			model_fail("the ring is too small");
	(void) batch_replay(0, 0);
}

static void
ring_wrap(int i)
{
	if (i == 1)
	{
		(void) batch_replay(1, 1);
		return;
	}
	model_assert(nr_log_claim(&stage->s[0], 0));
	while (!batch_append(0, BATCH_LARGE))
		model_poll();
}

/* That all have applied it is known from a third one, who has looked at the positions. */
static void
full_ring_of_three(void)
{
	set(3, 3, 4);
	for (int n = 0; n < 2; n++)
		model_assert(nr_log_claim(&stage->s[0], 0) && batch_append(0, BATCH_LARGE));
	(void) batch_replay(0, 0);
	(void) batch_replay(2, 2);
	model_assert(nr_log_claim(&stage->s[0], 0));
}

static void
ring_wrap_by_head(int i)
{
	if (i == 0)
		stage->note[0][1] = batch_append(0, BATCH_LARGE);
	else if (i == 1)
		(void) batch_replay(1, 1);
	else
		(void) nr_log_head(&stage->s[2], 0);
}

static void
by_head_check(void)
{
	if (stage->note[0][1] == 0)
		nr_log_unclaim(&stage->s[0], 0);
	batch_settled(2 + stage->note[0][1]);
}

/* It writes over what replica 1 has not read yet. */
static void
careless(int i)
{
	if (i == 1)
		(void) batch_replay(1, 1);
	else
	{
		uint64_t	end = nr_load64_rlx(&nr_replica(&stage->e, 0, 0)->ring_tail);

		nr_store64_rlx(&nr_replica(&stage->e, 0, 0)->ring_head, end - BATCH_LARGE);
		model_assert(batch_append(0, BATCH_LARGE));
	}
}

/* ---- two append ---- */

static void
both_claim(void)
{
	model_assert(nr_log_claim(&stage->s[0], 0) && nr_log_claim(&stage->s[1], 0));
}

static void
two_promised(void)
{
	set(2, 2, 2);
	both_claim();
}

static void
two_appenders(int i)
{
	model_assert(batch_append(i, BATCH_SMALL));
	model_assert(nr_log_tail(&stage->s[i], 0) > stage->note[i][0]);
}

static void
two_check(void)
{
	model_assert(stage->note[0][0] + stage->note[1][0] == 1);
	batch_settled(2);
}

/* One batch has been applied: one of the two goes to the second slot, the other one to the first of the next lap. */
static void
at_the_wrap(void)
{
	set(2, 2, 2);
	batch_claim_append(0);
	(void) batch_replay(0, 0);
	(void) batch_replay(0, 1);
	both_claim();
}

static void
wrap_check(void)
{
	model_assert(stage->note[0][0] + stage->note[1][0] == 3);
	batch_settled(3);
}

static void
three_replicas(void)
{
	set(3, 3, 2);
	both_claim();
}

/* The third one looks at the tail while one of the others may have stopped between its two CAS. */
static void
appenders_and_tail(int i)
{
	uint64_t	tail;

	if (i < 2)
	{
		model_assert(batch_append(i, BATCH_SMALL));
		return;
	}
	tail = nr_log_tail(&stage->s[2], 0);
	for (uint64_t seq = 0; seq < tail; seq++)
		model_assert(nr_log_batch(&stage->s[2], 0, 2, seq)->ops == 1);
}

static void
tail_check(void)
{
	batch_settled(2);
}

/* Session 0 has stopped between its two CAS, and now goes on. */
static void
stopped(void)
{
	two_promised();
	model_assert(batch_append(0, BATCH_SMALL));
	nr_store64_rlx(&group()->tail, 0);
}

static void
stopped_appender(int i)
{
	uint64_t	tail = 0;

	if (i == 0)
	{
		nr_cas64_seq(&group()->tail, &tail, 1);
		return;
	}
	model_assert(nr_log_tail(&stage->s[1], 0) == 1);
	model_assert(batch_append(1, BATCH_SMALL) && stage->note[1][0] == 1);
	(void) batch_replay(1, 1);
	model_assert(batch_position(1) == 2);
}

/* ---- head, claims ---- */

static void
advance(uint64_t to)
{
	for (uint32_t r = 0; r < 2; r++)
		nr_xchg64_seq(&nr_replica(&stage->e, 0, r)->applied[0], to);
}

static void
head(int i)
{
	uint64_t	first;

	if (i == 0)
	{
		first = nr_log_head(&stage->s[0], 0);
		model_assert(nr_log_head(&stage->s[0], 0) >= first);
		return;
	}
	advance(1);
	model_assert(nr_log_head(&stage->s[1], 0) == 1);
	advance(2);
	model_assert(nr_log_head(&stage->s[1], 0) == 2);
}

static void
head_check(void)
{
	model_assert(nr_load64_rlx(&group()->head) == 2);
}

/* Room for one. */
static void
room_for_one(void)
{
	set(2, 2, 2);
	batch_claim_append(0);
	(void) batch_replay(0, 0);
}

static void
claim(int i)
{
	if (!nr_log_claim(&stage->s[i], 0))
		return;
	model_assert(nr_add32_seq(&shared->holders, 1) == 0);
	stage->note[i][1] = 1;
	nr_sub32_seq(&shared->holders, 1);
	nr_log_give_back(&stage->s[i], 0);
}

static void
claim_check(void)
{
	model_assert(stage->note[0][1] + stage->note[1][1] > 0);
	batch_settled(1);
}

static void
one_replica(void)
{
	set(1, 2, 2);
}

/* There is always room: one is never refused because others were there first. */
static void
claim_room(int i)
{
	if (i == 0)
	{
		model_assert(nr_log_claim(&stage->s[0], 0));
		nr_log_give_back(&stage->s[0], 0);
		return;
	}
	batch_claim_append(1);
	(void) batch_replay(1, 0);
	(void) nr_log_head(&stage->s[1], 0);
}

static const ModelScenario scenarios[] = {
	{"append_replay", "a replica applies a batch as it was written, or does not see it", 2, empty, append_replay, one_check,
	{MODEL_UNBOUNDED, 2}, {MODEL_UNBOUNDED, 4}, false},
	{"slots_wrap", "a slot is used again when all replicas have applied what is in it", 2, full_slots, slots_wrap, three_check,
	{4, 2}, {6, 3}, false},
	{"ring_wrap", "the bytes of a batch are written again when all replicas have applied it", 2, full_ring, ring_wrap, three_check,
	{4, 2}, {6, 3}, false},
	{"ring_wrap_by_head", "also when it is another who has seen that", 3, full_ring_of_three, ring_wrap_by_head, by_head_check,
	{2, 1}, {4, 2}, false},
	{"careless", "who writes over them earlier is noticed", 2, full_ring, careless, NULL, {3, 1}, {3, 1}, true},
	{"two_appenders", "two append, in an order", 2, two_promised, two_appenders, two_check, {4, 2}, {6, 3}, false},
	{"appenders_wrap", "also from the last slot to the first", 2, at_the_wrap, two_appenders, wrap_check, {4, 2}, {6, 3}, false},
	{"appenders_and_tail", "below the tail there is no hole", 3, three_replicas, appenders_and_tail, tail_check, {2, 1}, {3, 1}, false},
	{"stopped_appender", "one that has stopped on its way to push the tail holds up nobody", 2, stopped, stopped_appender, tail_check,
	{4, 2}, {MODEL_UNBOUNDED, 3}, false},
	{"head", "head never goes back", 2, empty, head, head_check, {MODEL_UNBOUNDED, 2}, {MODEL_UNBOUNDED, 4}, false},
	{"claim", "no more is claimed than there is", 2, room_for_one, claim, claim_check, {4, 2}, {MODEL_UNBOUNDED, 3}, false},
	{"claim_room", "no claim is refused while there is room", 2, one_replica, claim_room, one_check, {4, 2}, {6, 3}, false},
};

int
main(int argc, char **argv)
{
	return model_main(argc, argv, scenarios, (int) (sizeof(scenarios) / sizeof(scenarios[0])));
}
