/*
 * model_space.c
 *		Writers that find the log full: Z1 for those that wait for room, and claims that are given back.
 *
 * From engine/space.c, log.c and replay.c.  The log has two slots.  Some scenarios have nothing but the wait
 * (nr_wait_for_space), others whole writes; sleeps end by wakes only.
 * Not covered: a laggard that a reader holds up, and which nobody wakes us for: that wait has a timeout.
 */
#include "batches.h"
#include "engine/combine.h"
#include "engine/space.h"

/* Replica 0 has applied what it appended, replica 1 nothing. */
static void
full_slots(void)
{
	batch_stage(2, 2, 2);
	batch_claim_append(0);
	batch_claim_append(0);
	(void) batch_replay(0, 0);
	batch_forget_answers();
}

static void
three_check(void)
{
	batch_settled(3);
}

static void
two_check(void)
{
	batch_settled(2);
}

static void
claim_or_wait(int i)
{
	for (;;)
	{
		NrFull		full = {.head = nr_log_head(&stage->s[i], 0),.slots = true};

		if (nr_log_claim(&stage->s[i], 0))
			return;
		model_assert(nr_wait_for_space(&stage->h[i], &full, false));
	}
}

/* Nothing but the wait. */
static void
wait_for_replay(int i)
{
	if (i == 0)
		claim_or_wait(0);
	else
		(void) batch_replay(1, 1);
}

static void
wait_for_unclaim(int i)
{
	if (i == 0)
		claim_or_wait(0);
	else
		nr_log_give_back(&stage->s[1], 0);
}

static void
claimed_check(void)
{
	nr_log_unclaim(&stage->s[0], 0);
	batch_settled(2);
}

static void
all_claimed_check(void)
{
	nr_log_unclaim(&stage->s[0], 0);
	nr_log_unclaim(&stage->s[1], 0);
	batch_settled(0);
}

/* Replica 1 is behind, and its combiner at work. */
static void
laggard(void)
{
	batch_stage(2, 2, 2);
	model_assert(stage_add(0, 0, 1, NULL) == NR_OK);
	model_assert(stage_add(0, 0, 1, NULL) == NR_OK);
	model_assert(nr_combiner_try(&stage->s[1], 0, 1));
}

static void
wait_for_laggard(int i)
{
	uint64_t	answer;

	if (i == 0)
	{
		stage_add(0, 0, 1, &answer);
		model_assert(answer == 3);
		return;
	}
	(void) batch_replay(1, 1);
	nr_combiner_unlock(&stage->s[1], 0, 1);
}

/* Somebody has promised to append, and changes his mind. */
static void
promised(void)
{
	batch_stage(2, 2, 2);
	model_assert(nr_log_claim(&stage->s[1], 0));
	model_assert(nr_log_claim(&stage->s[1], 0));
}

static void
wait_for_claim(int i)
{
	uint64_t	answer;

	if (i == 0)
	{
		stage_add(0, 0, 1, &answer);
		model_assert(answer == 1);
	}
	else
		nr_log_give_back(&stage->s[1], 0);
}

static void
unused_claim_check(void)
{
	nr_log_unclaim(&stage->s[1], 0);
	batch_settled(1);
}

/* While one waits for the place, another combiner of its replica gets it, and serves the one who waits. */
static void
promised_to_another(void)
{
	batch_stage(2, 3, 2);
	model_assert(nr_log_claim(&stage->s[1], 0));
	model_assert(nr_log_claim(&stage->s[1], 0));
	stage_ask(0, 0, 1);
	model_assert(nr_combiner_try(&stage->s[2], 0, 0));
}

static void
served_meanwhile(int i)
{
	NrFull		full = {.head = 0,.slots = true};

	if (i == 0)
	{
		for (;;)
		{
			model_assert(nr_wait_for_space(&stage->h[0], &full, false));
			if (nr_req_phase(nr_load64_acq(&stage->h[0].slot->state)) == NR_REQ_DONE)
				return;
			model_poll();		/* where it would try to combine */
		}
	}
	nr_log_give_back(&stage->s[1], 0);
	model_assert(nr_combine(&stage->s[2], stage->h[2].dispatch, 0, NR_PATIENT, &full) == NR_COMBINED);
	nr_combiner_unlock(&stage->s[2], 0, 0);
}

static void
served_check(void)
{
	nr_log_unclaim(&stage->s[1], 0);
	batch_settled(1);
}

/* It gives back and tells nobody. */
static void
silent_claim(int i)
{
	if (i == 0)
		wait_for_claim(0);
	else
		nr_log_unclaim(&stage->s[1], 0);
}

/* Two wait for a third replica, which makes room for both. */
static void
laggard_of_three(void)
{
	batch_stage(3, 3, 2);
	batch_claim_append(0);
	batch_claim_append(0);
	(void) batch_replay(0, 0);
	(void) batch_replay(1, 1);
	batch_forget_answers();
}

static void
two_wait(int i)
{
	NrFull		full = {.head = 0,.slots = false};

	if (i == 2)
		(void) batch_replay(2, 2);
	else
		while (nr_log_head(&stage->s[i], 0) == 0)
			model_assert(nr_wait_for_space(&stage->h[i], &full, false));
}

static const ModelScenario scenarios[] = {
	{"wait_for_replay", "nobody sleeps for room that there is: a replica has advanced", 2, full_slots, wait_for_replay, claimed_check,
	{5, 2}, {MODEL_UNBOUNDED, 3}, false},
	{"wait_for_unclaim", "nor when a claim was given back", 2, promised, wait_for_unclaim, all_claimed_check,
	{5, 2}, {MODEL_UNBOUNDED, 3}, false},
	{"laggard", "a writer that waits for a laggard is woken by it", 2, laggard, wait_for_laggard, three_check, {3, 1}, {4, 2}, false},
	{"claim_back", "a claim that is given back wakes who waits for it", 2, promised, wait_for_claim, unused_claim_check,
	{3, 1}, {4, 2}, false},
	{"silent_claim", "one that is given back in silence wakes nobody", 2, promised, silent_claim, NULL, {3, 1}, {3, 1}, true},
	{"served_meanwhile", "who is served while it waits does not sleep on", 2, promised_to_another, served_meanwhile, served_check,
	{3, 1}, {5, 2}, false},
	{"two_wait", "two who wait for the same replica are both woken", 3, laggard_of_three, two_wait, two_check, {1, 1}, {2, 1}, false},
};

int
main(int argc, char **argv)
{
	return model_main(argc, argv, scenarios, (int) (sizeof(scenarios) / sizeof(scenarios[0])));
}
