/*
 * model_pool.c
 *		The pool of extents: edge P1, and the tag against ABA.
 *
 * From engine/pool.c, with two or three free extents.  Whoever has an extent writes into it without atomics, so the explorer
 * reports a race when it is given to two, or to one who does not see what the last owner did.
 * Not covered: accounts of grants (model_grant.c), nr_pool_free_owner, which runs while nobody uses the group.
 */
#include "engine/pool.h"
#include "stage.h"

static uint32_t first;			/* extents that are in the pool at the beginning: from this one on */

static void
set(uint32_t n)
{
	stage_set(&(StageConfig) {.sessions = 3,.extents = 2 + n,.extents_max = 1});
	first = 2;					/* the log and the root are the group's */
}

static uint64_t *
bytes_of(uint32_t extent)
{
	return (uint64_t *) nr_physical(&stage->e, 0, extent);
}

/* It is ours, and of nobody else. */
static uint32_t
take(int i)
{
	uint32_t	extent = nr_pool_alloc(&stage->e, 0, 1);

	if (extent == NR_NO_EXTENT)
		return extent;
	model_assert(extent >= first && extent < stage->e.geo.extents);
	*bytes_of(extent) = (uint64_t) i + 1;
	return extent;
}

static void
give(int i, uint32_t extent)
{
	if (extent == NR_NO_EXTENT)
		return;
	model_assert(*bytes_of(extent) == (uint64_t) i + 1);
	nr_pool_free(&stage->e, extent);
}

/* Each extent is once in the pool, but for "held" of them. */
static void
pool_holds_all_but(uint32_t held)
{
	bool		seen[8] = {false};
	uint32_t	n = 0;
	uint32_t	top = (uint32_t) nr_load64_rlx(&nr_control(&stage->e)->pool_head);

	for (; top != 0; top = nr_load32_rlx(&nr_pool_entry(&stage->e, top - 1)->next))
	{
		model_assert(top - 1 >= first && top - 1 < stage->e.geo.extents && !seen[top - 1]);
		model_assert(nr_load32_rlx(&nr_pool_entry(&stage->e, top - 1)->owner) == 0);
		seen[top - 1] = true;
		n++;
	}
	model_assert(n + held == stage->e.geo.extents - first);
}

static void
two(void)
{
	set(2);
}

static void
three(void)
{
	set(3);
}

static void
take_and_give(int i)
{
	give(i, take(i));
}

static void
nothing_held(void)
{
	pool_holds_all_but(0);
}

static void
take_all(int i)
{
	uint32_t	a = take(i);
	uint32_t	b = take(i);

	if (a != NR_NO_EXTENT && b != NR_NO_EXTENT)
		model_assert(a != b);
	give(i, a);
	give(i, b);
}

/* While one is about to take the first, another takes two and gives the first back: the second is not free. */
static void
aba(int i)
{
	uint32_t	a = take(i);
	uint32_t	b = take(i);

	if (i == 1)
	{
		give(1, a);
		a = NR_NO_EXTENT;
	}
	stage->note[i][0] = a;
	stage->note[i][1] = b;
}

static void
aba_check(void)
{
	uint32_t	held = 0;

	for (int i = 0; i < 2; i++)
		for (int k = 0; k < 2; k++)
		{
			uint32_t	extent = (uint32_t) stage->note[i][k];

			if (extent == NR_NO_EXTENT)
				continue;
			held++;
			model_assert(*bytes_of(extent) == (uint64_t) i + 1);
			model_assert(nr_load32_rlx(&nr_pool_entry(&stage->e, extent)->owner) == 1);
		}
	pool_holds_all_but(held);
}

/* ---- references ---- */

/* All are used up; one has two references. */
static void
referred(void)
{
	uint32_t	x;

	set(2);
	x = nr_pool_alloc(&stage->e, 0, 2);
	*bytes_of(x) = 7;
	stage->note[0][0] = x;
	(void) nr_pool_alloc(&stage->e, 0, 1);
}

static void
let_go(int i)
{
	uint32_t	x = (uint32_t) stage->note[0][0];

	if (i < 2)
	{
		model_assert(*bytes_of(x) == 7);
		nr_pool_unref(&stage->e, x);
		return;
	}
	x = take(2);
	stage->note[2][0] = x != NR_NO_EXTENT;
}

/* The last one to let go takes it again at once. */
static void
let_go_and_take(int i)
{
	let_go(i);
	stage->note[i][1] = take(i) != NR_NO_EXTENT;
}

static void
one_has_it(void)
{
	model_assert(stage->note[0][1] + stage->note[1][1] == 1);
	pool_holds_all_but(2);
}

static void
one_may_have_it(void)
{
	pool_holds_all_but(stage->note[2][0] != 0 ? 2 : 1);
}

/* A fault of the scenario: freed by the first who lets go. */
static void
freed_early(int i)
{
	uint32_t	x = (uint32_t) stage->note[0][0];

	if (i == 0)
		nr_pool_free(&stage->e, x);
	else if (i == 1)
		model_assert(*bytes_of(x) == 7);
	else
		(void) take(2);
}

static const ModelScenario scenarios[] = {
	{"take_and_give", "an extent has one owner, who sees what the last one did", 2, two, take_and_give, nothing_held,
	{MODEL_UNBOUNDED, 2}, {MODEL_UNBOUNDED, 4}, false},
	{"take_all", "also when the pool runs empty", 2, two, take_all, nothing_held, {3, 2}, {5, 3}, false},
	{"take_three", "also with three who take", 3, two, take_and_give, nothing_held, {1, 1}, {2, 1}, false},
	{"aba", "the first is there again, and the second is not", 2, three, aba, aba_check, {4, 2}, {MODEL_UNBOUNDED, 3}, false},
	{"let_go", "what is let go of by all is free, and not before", 3, referred, let_go, one_may_have_it, {3, 1}, {MODEL_UNBOUNDED, 2}, false},
	{"let_go_and_take", "it is free for one", 2, referred, let_go_and_take, one_has_it, {MODEL_UNBOUNDED, 2}, {MODEL_UNBOUNDED, 4}, false},
	{"freed_early", "whoever frees it before that is noticed", 3, referred, freed_early, NULL, {2, 1}, {2, 1}, true},
};

int
main(int argc, char **argv)
{
	return model_main(argc, argv, scenarios, (int) (sizeof(scenarios) / sizeof(scenarios[0])));
}
