/*
 * model_combine.c
 *		Flat combining: edges K1, Q1, Q2, Q3, A1, C1, and Z1 for the combiner lock.  Fault W1: a late request.
 *
 * From engine/combine.c and write.c: whole writes of two or three sessions of one replica; the end of a combine against
 * requests that come just then; withdrawal; helping another replica; reads on it.  A session that waits for
 * its response sleeps until it is woken, so one that nobody serves is found as a thread that cannot go on.
 * Not covered: more requests than a batch has room for (test_combine.c); large ones, in extents.
 */
#include "engine/combine.h"
#include "stage.h"
#include "toy_counter.h"

typedef struct Shared
{
	NrAtomic32	flag[2];
	uint64_t	plain;
} Shared;

static Shared *shared;

static void
set(uint32_t replicas, uint32_t sessions)
{
	stage_set(&(StageConfig) {.replicas = replicas,.sessions = sessions});
	shared = model_alloc(sizeof(Shared), NR_CACHE_LINE);
}

static void
two(void)
{
	set(1, 2);
}

static void
three(void)
{
	set(1, 3);
}

/* ---- who is answered, and how ---- */

static void
add_one(int i)
{
	stage_add(i, 0, 1, &stage->note[i][0]);
}

static void
add_check(void)
{
	model_assert(stage->note[0][0] + stage->note[1][0] == 1 + 2);
	stage_settled();
	model_assert(stage_peek(0, 0, 0) == 2);
}

static void
three_check(void)
{
	uint64_t	seen = 0;

	for (int i = 0; i < 3; i++)
		seen |= 1u << stage->note[i][0];
	model_assert(seen == (1 << 1 | 1 << 2 | 1 << 3));
	stage_settled();
	model_assert(stage_peek(0, 0, 0) == 3);
}

/* Each raises a counter of its own, in two requests. */
static void
add_own(int i)
{
	uint64_t	answer;

	stage_add(i, (uint32_t) i, 10 + i, &answer);
	model_assert(answer == 10 + (uint64_t) i);
	stage_add(i, (uint32_t) i, 10 + i, &answer);
	model_assert(answer == 2 * (10 + (uint64_t) i));
}

/* Fault W1: who sleeps for a response is in the batch that is being made, or in the next one. */
static void
late(int i)
{
	_Alignas(8) char op[TOY_ADD_BYTES + 8];
	NrResult	result = {.last = {.data = NULL}};

	if (i == 1)
	{
		stage_add(1, 1, 1, NULL);
		stage_add(1, 1, 1, NULL);
		return;
	}
	model_assert(nr_execute_mut(&stage->h[0], op, toy_add(op, 0, 1), 1, false, &result) == NR_OK);
	model_assert(stage->tail_at_sleep[0] == UINT64_MAX || result.seq <= stage->tail_at_sleep[0] + 1);
}

/* ---- the end of a combine ---- */

static bool
lock(int i)
{
	return nr_combiner_try(&stage->s[i], 0, stage->s[i].replica);
}

static void
unlock(int i)
{
	nr_combiner_unlock(&stage->s[i], 0, stage->s[i].replica);
}

static void
one_combines(void)
{
	two();
	model_assert(lock(0));
}

static void
one_of_three_combines(void)
{
	three();
	model_assert(lock(0));
}

/* Counters that use up an extent with each operation. */
static NrNeed
greedy_need(const NrCopyConfig *config, uint32_t n, uint64_t bytes)
{
	(void) config;
	(void) bytes;
	return (NrNeed) {.extents = n};
}

static NrStatus
greedy_mut(NrCopy *copy, const NrOpHeader *op, NrResponse *resp)
{
	return nr_extent_take(copy) == NR_NO_EXTENT ? NR_NO_SPACE : toy_counter_dispatch.dispatch_mut(copy, op, resp);
}

static void
greedy_combines(void)
{
	static NrDispatch greedy;

	greedy = toy_counter_dispatch;
	greedy.need = greedy_need;
	greedy.dispatch_mut = greedy_mut;
	stage_set(&(StageConfig) {.sessions = 2,.dispatch = &greedy});
	model_assert(lock(0));
}

/* It has looked for the last time. */
static void
unlock_late(int i)
{
	if (i == 0)
		unlock(0);
	else
		stage_add(i, 0, 1, &stage->note[i][0]);
}

static void
combine_late(int i)
{
	NrFull		full;

	if (i == 0)
		model_assert(nr_combine(&stage->s[0], stage->h[0].dispatch, 0, NR_PATIENT, &full) == NR_COMBINED);
	unlock_late(i);
}

/* A fault of the scenario: the lock is freed, and nobody looks who pends. */
static void
unlock_blind(int i)
{
	if (i == 0)
		nr_xchg32_seq(&nr_replica(&stage->e, 0, 0)->combiner, 0);
	else
		unlock_late(i);
}

static void
others_check(void)
{
	uint64_t	sum = stage->note[1][0] + stage->note[2][0];

	stage_settled();
	model_assert(stage_peek(0, 0, 0) == (stage->s[2].engine == NULL ? 1 : 2));
	model_assert(sum == (stage->s[2].engine == NULL ? 1 : 1 + 2));
}

/* ---- the lock itself ---- */

static void
try_lock(int i)
{
	if (!lock(i))
		return;
	shared->plain++;
	unlock(i);
}

static void
wait_for_lock(int i)
{
	model_assert(nr_combiner_lock(&stage->s[i], 0, 0, false, false) == NR_LOCKED);
	shared->plain++;
	unlock(i);
}

static void
unlock_or_wait(int i)
{
	if (i == 0)
		unlock(0);
	else
		wait_for_lock(i);
}

/* ---- withdrawing ---- */

static void
one_cancels(void)
{
	one_combines();
	stage->cancels[1] = 1;
}

static void
greedy_cancels(void)
{
	greedy_combines();
	stage->cancels[1] = 1;
}

static void
one_of_three_cancels(void)
{
	one_of_three_combines();
	stage->cancels[1] = 1;
}

static void
cancel(int i)
{
	if (i == 0)
		unlock(0);
	else
		stage->note[i][1] = stage_add(i, 0, 1, &stage->note[i][0]);
}

static void
cancel_taken(int i)
{
	NrFull		full;

	if (i == 0)
		model_assert(nr_combine(&stage->s[0], stage->h[0].dispatch, 0, NR_PATIENT, &full) == NR_COMBINED);
	cancel(i);
}

/* What was withdrawn is not applied, and what was taken is answered. */
static void
cancel_check(void)
{
	uint64_t	applied = 0;

	stage_settled();
	for (int i = 1; i < 3; i++)
	{
		if (stage->s[i].engine == NULL)
			continue;
		model_assert((stage->note[i][1] == NR_OK) == (stage->note[i][0] > 0));
		applied += stage->note[i][1] == NR_OK;
	}
	model_assert(stage_peek(0, 0, 0) == applied);
}

/* The next request is in the same place, and larger: a combiner that looked at the first cannot take it as that. */
static void
cancel_again(int i)
{
	_Alignas(8) char op[2 * (TOY_ADD_BYTES + 8)];
	NrResult	result = {.last = {.data = NULL}};
	size_t		bytes;

	if (i == 0)
	{
		cancel_taken(0);
		return;
	}
	stage->note[1][1] = stage_add(1, 0, 1, NULL);
	bytes = toy_add(op, 1, 1);
	bytes += toy_add(op + bytes, 2, 1);
	model_assert(nr_execute_mut(&stage->h[1], op, bytes, 2, false, &result) == NR_OK);
	model_assert(result.done == 2);
}

static void
cancel_again_check(void)
{
	stage_settled();
	model_assert(stage_peek(0, 0, 0) == (stage->note[1][1] == NR_OK ? 1 : 0));
	model_assert(stage_peek(0, 0, 1) == 1 && stage_peek(0, 0, 2) == 1);
}

/* ---- two replicas ---- */

static void
two_replicas(void)
{
	set(2, 2);
}

static void
move(int i, uint32_t replica)
{
	nr_group_detach(&stage->h[i]);
	model_assert(nr_session_move(&stage->s[i], replica) == NR_OK);
	model_assert(nr_group_attach(&stage->s[i], 0, &toy_counter_dispatch, &stage->h[i]) == NR_OK);
}

/* Replica 1 has not heard of a batch of replica 0, in which is a request of a session that is now on replica 1. */
static void
behind(void)
{
	set(2, 2);
	move(1, 0);
	stage_add(1, 0, 1, NULL);
	move(1, 1);
}

static void
help(int i)
{
	if (i == 0)
		nr_help_laggards(&stage->s[0], stage->h[0].dispatch, 0);
	else
	{
		stage_add(1, 0, 1, &stage->note[1][0]);
		model_assert(stage->note[1][0] == 2);
	}
}

static void
help_check(void)
{
	stage_settled();
	model_assert(stage_peek(0, 0, 0) == 2 && stage_peek(1, 0, 0) == 2);
}

/* A helper and a reader that catches up. */
static void
help_reader(int i)
{
	if (i == 0)
		nr_help_laggards(&stage->s[0], stage->h[0].dispatch, 0);
	else
		model_assert(stage_get(1, 0) == 1);
}

/* Each applies what the other one appends; nobody has seen anything that is not complete. */
static void
both_applied(void)
{
	for (uint32_t r = 0; r < 2; r++)
		model_assert(nr_position(nr_replica(&stage->e, 0, r)) <= nr_load64_rlx(&nr_group(&stage->e, 0)->completed));
	add_check();
	model_assert(stage_peek(1, 0, 0) == 2);
}

/* Whoever hears of a write, by whatever way, sees it on its own replica. */
static void
write_then_read(int i)
{
	if (i == 0)
	{
		stage_add(0, 0, 1, NULL);
		nr_store32_rel(&shared->flag[0], 1);
	}
	else
	{
		bool		heard = nr_load32_acq(&shared->flag[0]) == 1;
		uint64_t	seen = stage_get(1, 0);

		model_assert(seen == 1 || !heard);
	}
}

/* So does who hears of it from a reader, before it has been answered. */
static void
one_of_two_replicas_writes(void)
{
	set(2, 3);
}

static void
read_then_read(int i)
{
	if (i == 0)
		stage_add(0, 0, 1, NULL);
	else if (i == 2)
	{
		if (stage_get(2, 0) == 1)
			nr_store32_rel(&shared->flag[0], 1);
	}
	else if (nr_load32_acq(&shared->flag[0]) == 1)
		model_assert(stage_get(1, 0) == 1);
}

static const ModelScenario scenarios[] = {
	{"two_writers", "both are answered, in an order", 2, two, add_one, add_check, {3, 1}, {4, 2}, false},
	{"own_answers", "each gets the answer to its own request", 2, two, add_own, stage_settled, {2, 1}, {2, 2}, false},
	{"three_writers", "three are answered, in an order", 3, three, add_one, three_check, {1, 1}, {2, 0}, false},
	{"late", "who sleeps for a response is in the current batch or the next", 2, two, late, stage_settled, {2, 1}, {3, 2}, false},
	{"unlock_late", "a request that comes when the combiner ends is served", 2, one_combines, unlock_late, others_check,
	{5, 2}, {MODEL_UNBOUNDED, 3}, false},
	{"combine_late", "and one that comes at any time before", 2, one_combines, combine_late, others_check, {3, 1}, {4, 2}, false},
	{"greedy", "a batch gets as much memory as its requests need", 2, greedy_combines, combine_late, others_check, {3, 1}, {4, 2}, false},
	{"unlock_blind", "a combiner that does not look leaves somebody asleep", 2, one_combines, unlock_blind, NULL, {3, 1}, {3, 1}, true},
	{"two_late", "two that come when it ends are served", 3, one_of_three_combines, unlock_late, others_check, {1, 1}, {2, 0}, false},
	{"try_lock", "one at a time has the lock, and sees what was done under it", 2, two, try_lock, stage_settled,
	{MODEL_UNBOUNDED, 2}, {MODEL_UNBOUNDED, 4}, false},
	{"wait_for_lock", "who waits for the lock is woken", 2, two, wait_for_lock, stage_settled, {4, 2}, {MODEL_UNBOUNDED, 3}, false},
	{"two_wait_for_lock", "so are two", 3, one_of_three_combines, unlock_or_wait, stage_settled, {2, 1}, {3, 2}, false},
	{"cancel", "a request that is withdrawn at the end of a combine is not applied", 2, one_cancels, cancel, cancel_check,
	{5, 2}, {MODEL_UNBOUNDED, 3}, false},
	{"cancel_taken", "a request is withdrawn or taken", 2, one_cancels, cancel_taken, cancel_check, {3, 1}, {4, 2}, false},
	{"cancel_again", "the next request is not taken for the one that was withdrawn", 2, greedy_cancels, cancel_again, cancel_again_check,
	{2, 1}, {3, 0}, false},
	{"cancel_passes_on", "who withdraws passes the wake on", 3, one_of_three_cancels, cancel, cancel_check, {1, 1}, {2, 0}, false},
	{"two_replicas", "writes of two replicas are answered, in an order", 2, two_replicas, add_one, both_applied, {2, 1}, {3, 1}, false},
	{"help", "a batch is applied once, by the helper or the own combiner", 2, behind, help, help_check, {3, 1}, {4, 2}, false},
	{"help_reader", "a read sees what completed before, whoever applies it", 2, behind, help_reader, stage_settled, {3, 1}, {5, 2}, false},
	{"write_then_read", "a read that starts after a write on another replica sees it", 2, two_replicas, write_then_read, stage_settled,
	{3, 1}, {4, 2}, false},
	{"read_then_read", "and so does one that starts after a read has seen it", 3, one_of_two_replicas_writes, read_then_read, stage_settled,
	{1, 1}, {2, 1}, false},
};

int
main(int argc, char **argv)
{
	return model_main(argc, argv, scenarios, (int) (sizeof(scenarios) / sizeof(scenarios[0])));
}
