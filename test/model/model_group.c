/*
 * model_group.c
 *		A group that is made while others look for it (group.c, G1), and sessions that end or come back meanwhile.
 *
 * Who makes and destroys groups is one at a time, and nobody is attached to one that is destroyed: the caller sees to
 * both.  Others may attach at any time, look at bits of a group that they have never heard of when they end, and
 * detach a handle of a group that is gone.
 *
 * Not covered: two groups that are made at the same time (their only common ground is the pool: model_pool).
 */
#include "stage.h"

#include "toy_counter.h"

#define ALL		MODEL_UNBOUNDED

static NrGroupConfig config;	/* fixed by the setup */

/* A group that is gone, and has left its traces; session 1 still has a handle of it. */
static void
gone(uint32_t copies, uint32_t replicas)
{
	stage_set(&(StageConfig) {.copies = copies,.replicas = replicas,.sessions = 2,.extents = 12});
	for (int i = 0; i < 3; i++)
		stage_add(i % 2, 0, 1, NULL);
	(void) stage_get(0, 0);
	(void) stage_get(1, 0);
	config = nr_group(&stage->e, 0)->config;
	nr_group_detach(&stage->h[0]);
	nr_group_destroy(&stage->e, 0, &toy_counter_dispatch);
}

static void
gone_one(void)
{
	gone(1, 1);
}

static void
gone_two(void)
{
	gone(2, 1);
}

static void
gone_replicas(void)
{
	gone(1, 2);
}

/* It is still there, but nobody is attached. */
static void
abandoned(void)
{
	stage_set(&(StageConfig) {.sessions = 2});
	stage_add(0, 0, 1, NULL);
	config = nr_group(&stage->e, 0)->config;
	nr_group_detach(&stage->h[0]);
	nr_group_detach(&stage->h[1]);
}

static void
create(void)
{
	model_assert(nr_group_create(&stage->e, 0, &config, &toy_counter_dispatch) == NR_OK);
}

/* False: there is no such group. */
static bool
attach(int i)
{
	NrStatus	status = nr_group_attach(&stage->s[i], 0, &toy_counter_dispatch, &stage->h[i]);

	model_assert(status == NR_OK || status == NR_GONE);
	return status == NR_OK;
}

static void
attach_and_add(int i)
{
	uint64_t	answer;

	if (!attach(i))
		return;
	stage_add(i, 0, 1, &answer);
	model_assert(answer <= 2);
	stage->note[i][0] = 1;
}

static void
create_and_attach(int i)
{
	if (i == 0)
		create();
	attach_and_add(i);
}

/* The reader's bit is there from then on: the next writer must see it. */
static void
create_and_read(int i)
{
	if (i == 0)
	{
		create();
		attach_and_add(0);
	}
	else if (attach(1))
	{
		model_assert(stage_get(1, 0) <= 1);
		model_assert(nr_load64_rlx(nr_readers(&stage->e, stage->h[1].replica)) & NR_BIT(stage->s[1].idx));
	}
}

/* The old handle goes when the new one is there already: writers must go on looking for this reader. */
static void
detach_old(int i)
{
	NrHandle	old = stage->h[1];
	bool		attached;

	if (i == 0)
	{
		create();
		attach_and_add(0);
		return;
	}
	attached = attach(1);
	nr_group_detach(&old);
	if (attached)
		model_assert(stage_get(1, 0) <= 1);
}

static void
end_and_come_back(int i)
{
	if (i == 0)
	{
		create();
		attach_and_add(0);
		return;
	}
	nr_session_unregister(&stage->s[1]);
	model_assert(nr_session_register(&stage->e, 0, 2, 0, &stage->s[1]) == NR_OK);
	attach_and_add(1);
}

static void
destroy_beside_end(int i)
{
	if (i == 0)
	{
		nr_group_destroy(&stage->e, 0, &toy_counter_dispatch);
		create();
		attach_and_add(0);
	}
	else
		nr_session_unregister(&stage->s[1]);
}

/* Seeded: the group is said to be there before it is. */
static void
exists_too_early(int i)
{
	if (i == 0)
	{
		nr_store32_rel(&nr_group(&stage->e, 0)->exists, 1);
		nr_store32_rlx(&nr_group(&stage->e, 0)->exists, 0);
		create();
	}
	else if (attach(1))
		stage_get(1, 0);
}

static void
check(void)
{
	uint64_t	sum = stage->note[0][0] + stage->note[1][0];

	model_assert(nr_load32_rlx(&nr_group(&stage->e, 0)->generation) == 2);
	model_assert(stage->note[0][0] == 1);
	stage_settled();
	for (uint32_t r = 0; r < stage->e.geo.replicas; r++)
		model_assert(stage_peek(r, 0, 0) == sum);
}

static const ModelScenario scenarios[] = {
	{"create_and_attach", "who finds the group finds it made; one copy", 2, gone_one, create_and_attach, check, {2, 1}, {4, 1}, false},
	{"create_and_attach_two", "the same with two copies", 2, gone_two, create_and_attach, check, {2, 1}, {4, 1}, false},
	{"create_and_attach_replicas", "the same with two replicas", 2, gone_replicas, create_and_attach, check, {2, 1}, {4, 1}, false},
	{"create_and_read", "a reader that attached in time is seen by writers", 2, gone_one, create_and_read, check, {3, 1}, {5, 2}, false},
	{"detach_old", "a handle of the group that was there before does nothing to this one", 2, gone_one, detach_old, check, {3, 1},
	{5, 2}, false},
	{"end_and_come_back", "a session that ends has been in no group that is made meanwhile", 2, gone_one, end_and_come_back, check, {2, 1},
	{4, 1}, false},
	{"destroy_beside_end", "the same, one that is destroyed", 2, abandoned, destroy_beside_end, check, {3, 1}, {5, 2}, false},
	{"exists_too_early", "who finds a group that is not made yet reads what is being written", 2, gone_one, exists_too_early, NULL, {2, 1},
	{2, 1}, true},
};

int
main(int argc, char **argv)
{
	return model_main(argc, argv, scenarios, (int) (sizeof(scenarios) / sizeof(scenarios[0])));
}
