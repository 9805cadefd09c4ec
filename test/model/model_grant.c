/*
 * model_grant.c
 *		The quota of a group (grant.c): two who take what is left of it at the same time.
 *
 * Combiners of two replicas, each with its lock, and who prepares a write, with none.  A batch that has its grants is
 * not appended: what it has is in the accounts, and is given back at the end.
 *
 * What two copies share has an account of its own, and the quota is one: who adds to one account must see what the other
 * one adds to the other (P2).  Both may see each other then, and neither get anything: "no space" a moment too early.
 *
 * Not covered: who applies a batch gives back what it let go of (replay.c): that makes an account too high, not too low.
 */
#include "stage.h"

#include "ds/hash.h"
#include "engine/combine.h"
#include "engine/grant.h"
#include "engine/pool.h"

#define ALL			MODEL_UNBOUNDED
#define QUOTA		4			/* extents of each copy */
#define NUMBERS		(2 * QUOTA)
#define SURPLUS		8			/* more than a group keeps */

/* A batch with room for grants behind it. */
typedef struct Room
{
	NrBatch		batch;
	uint32_t	numbers[NUMBERS];
} Room;

/* In the arena: of each session, and of one that came before. */
typedef struct Rooms
{
	Room		of[STAGE_ACTORS];
	Room		before;
	uint32_t	pool_free;		/* when that had its grants */
} Rooms;

static Rooms *rooms;

static struct NrGroup *
group(void)
{
	return nr_group(&stage->e, 0);
}

/* Physical extents of one replica that are granted. */
static uint64_t
used(void)
{
	return nr_grant_numbers(group(), nr_load32_rlx(&group()->mapped), nr_load32_rlx(&group()->shared_mapped));
}

static uint64_t
quota(void)
{
	return (uint64_t) group()->copies * QUOTA;
}

/* ---- setups: nothing is free, and "left" physical extents of the quota ---- */

static bool
all_of(int i, Room *room, NrNeed need)
{
	return nr_grant_all(&stage->s[i], 0, &room->batch, need, NUMBERS);
}

static void
set(uint32_t copies, uint32_t shared_max, bool lazy, uint32_t left)
{
	NrNeed		need = {0};
	uint64_t	taken;

	stage_set(&(StageConfig) {.replicas = 2,.copies = copies,.sessions = 2,.extents = 20,.extents_max = QUOTA,
			  .shared_max = shared_max,.lazy = lazy,.dispatch = &ds_hash_dispatch});
	rooms = model_alloc(sizeof(Rooms), NR_CACHE_LINE);
	need.extents = (uint32_t) nr_load64_rlx(&group()->headroom);
	taken = quota() - used() - left;
	need.extents += (uint32_t) taken / copies;
	need.shared = (uint32_t) taken % copies;
	model_assert(all_of(0, &rooms->before, need));
	model_assert(used() + left == quota() && nr_load64_rlx(&group()->headroom) == 0);
	rooms->pool_free = nr_load32_rlx(&nr_control(&stage->e)->pool_free);
}

static void
lock_both(void)
{
	for (int i = 0; i < 2; i++)
		model_assert(nr_combiner_try(&stage->s[i], 0, stage->s[i].replica));
}

/* Two copies that share memory: room for one extent for each copy, or for two that both share. */
static void
two_left(void)
{
	set(2, QUOTA, false, 2);
	model_assert(nr_group_shares(group()));
	lock_both();
}

static void
one_left(void)
{
	set(1, 0, false, 1);
	lock_both();
}

static void
three_left_lazy(void)
{
	set(1, 0, true, 3);
}

/* So many extents are free besides, and nobody has claimed them. */
static void
free_lazy(uint64_t n)
{
	set(1, 0, true, 3);
	nr_store64_rlx(&group()->headroom, n);
}

static void
one_free_lazy(void)
{
	free_lazy(1);
}

static void
surplus_lazy(void)
{
	free_lazy(SURPLUS);
}

/* ---- what actors do ---- */

/* As a combiner does for a batch: what is to be had.  The lock is held, and let go of. */
static void
grant_best(int i, NrNeed need)
{
	Room	   *room = &rooms->of[i];

	nr_grant_best(&stage->s[i], stage->h[i].dispatch, 0, &room->batch, need, NUMBERS);
	model_assert(room->batch.grants <= need.extents && room->batch.shared_grants <= need.shared);
	model_assert(room->batch.claim == room->batch.grants && room->batch.shared_claim == room->batch.shared_grants);
	nr_combiner_unlock(&stage->s[i], 0, stage->s[i].replica);
}

static void
one_of_each_kind(int i)
{
	grant_best(i, i == 0 ? (NrNeed) {.extents = 1} : (NrNeed) {.shared = 1});
}

static void
both_shared(int i)
{
	grant_best(i, (NrNeed) {.shared = 1 + (uint32_t) i});
}

static void
one_extent(int i)
{
	grant_best(i, (NrNeed) {.extents = 1});
}

static void
two_extents(int i)
{
	(void) all_of(i, &rooms->of[i], (NrNeed) {.extents = 2});
}

/* There is enough. */
static void
two_extents_each(int i)
{
	model_assert(all_of(i, &rooms->of[i], (NrNeed) {.extents = 2}));
}

/* One takes surplus extents along, to be released; the other one needs three. */
static void
release_or_claim(int i)
{
	model_assert(all_of(i, &rooms->of[i], (NrNeed) {.extents = i == 0 ? 0 : 3}));
}

/* One has it and gives it back; the other one takes it, or comes too early. */
static void
take_and_give_back(int i)
{
	grant_best(i, i == 0 ? (NrNeed) {.extents = 1} : (NrNeed) {.shared = 1});
	nr_grant_undo(&stage->s[i], 0, &rooms->of[i].batch);
}

/* Seeded: the quota is looked at first, and what is granted is counted then. */
static void
look_then_add(int i)
{
	if (used() + (i == 0 ? 2 : 1) > quota())
		return;
	nr_add32_seq(i == 0 ? &group()->mapped : &group()->shared_mapped, 1);
}

/* ---- what holds then ---- */

static uint32_t
granted(int i)
{
	return (uint32_t) nr_grant_numbers(group(), rooms->of[i].batch.grants, rooms->of[i].batch.shared_grants);
}

static void
not_beyond(void)
{
	model_assert(used() <= quota());
}

/* All that was granted is within the quota and in the accounts; given back, all is as it was before. */
static void
within_quota(void)
{
	uint64_t	at_first = quota() - used() + granted(0) + granted(1);

	not_beyond();
	model_assert(rooms->pool_free - granted(0) - granted(1) == nr_load32_rlx(&nr_control(&stage->e)->pool_free));
	for (int i = 0; i < 2; i++)
		nr_grant_undo(&stage->s[i], 0, &rooms->of[i].batch);
	model_assert(quota() - used() == at_first);
	model_assert(rooms->pool_free == nr_load32_rlx(&nr_control(&stage->e)->pool_free));
	model_assert(nr_load64_rlx(&group()->headroom) == 0 && nr_load64_rlx(&group()->shared_headroom) == 0);
	nr_grant_undo(&stage->s[0], 0, &rooms->before.batch);
	stage_settled();
}

static void
one_has_it(void)
{
	model_assert(granted(0) + granted(1) == 1);
	within_quota();
}

static void
both_are_had(void)
{
	model_assert(granted(0) + granted(1) == 2);
	within_quota();
}

/* Who has nothing has lost it to the other one's try. */
static void
two_or_nothing(void)
{
	for (int i = 0; i < 2; i++)
		model_assert(granted(i) == 0 || granted(i) == 2);
	model_assert(granted(0) + granted(1) <= 2);
	within_quota();
}

/* With what was free, which was not in the pool. */
static void
given_back(uint64_t n)
{
	for (int i = 0; i < 2; i++)
		nr_grant_undo(&stage->s[i], 0, &rooms->of[i].batch);
	model_assert(nr_load64_rlx(&group()->headroom) == n);
	nr_store64_rlx(&group()->headroom, 0);
	within_quota();
}

/* The free one is for one of them. */
static void
three_are_granted(void)
{
	model_assert(granted(0) + granted(1) == 3);
	model_assert(rooms->of[0].batch.claim == 2 && rooms->of[1].batch.claim == 2);
	given_back(1);
}

static void
released_or_claimed(void)
{
	model_assert(rooms->of[0].batch.releases + rooms->of[1].batch.claim <= SURPLUS + granted(1));
	given_back(SURPLUS);
}

static const ModelScenario scenarios[] = {
	{"one_of_each_kind", "two who take the last of the quota, each of another kind, do not go beyond it", 2, two_left, one_of_each_kind,
	within_quota, {ALL, 2}, {ALL, 4}, false},
	{"both_shared", "of one kind all that is left is had by two who want more", 2, two_left, both_shared, both_are_had, {3, 1}, {ALL, 2}, false},
	{"last_of_one_kind", "the last extent of the only kind goes to one of two", 2, one_left, one_extent, one_has_it, {ALL, 2}, {ALL, 4},
	false},
	{"two_of_three", "two who each need two of three get them or nothing", 2, three_left_lazy, two_extents, two_or_nothing, {3, 1},
	{ALL, 2}, false},
	{"one_free", "an extent that is free is claimed once", 2, one_free_lazy, two_extents_each, three_are_granted, {3, 1}, {ALL, 2}, false},
	{"surplus", "what is free is released or claimed", 2, surplus_lazy, release_or_claim, released_or_claimed, {ALL, 2}, {ALL, 4}, false},
	{"take_and_give_back", "what is given back while others look is counted once", 2, two_left, take_and_give_back, within_quota, {3, 1},
	{ALL, 2}, false},
	{"look_then_add", "who looks before it adds goes beyond the quota", 2, two_left, look_then_add, not_beyond, {2, 0}, {2, 0}, true},
};

int
main(int argc, char **argv)
{
	return model_main(argc, argv, scenarios, (int) (sizeof(scenarios) / sizeof(scenarios[0])));
}
