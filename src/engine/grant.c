/*
 * grant.c
 *		Which batch may use how much memory of the copies; contract in grant.h.
 */
#include "engine/combine.h"
#include "engine/crossing.h"
#include "engine/grant.h"

#define NR_HEADROOM_KEEP	2	/* free extents that a group keeps */
#define NR_HEADROOM_MAX		6	/* above: the surplus goes back to the pool */

/* Memory of one kind, and what a batch has to do with it. */
typedef struct Account
{
	struct NrGroup *group;
	NrAtomic64 *headroom;
	NrAtomic32 *mapped;
	const NrAtomic32 *mapped_other; /* of the other kind */
	uint32_t	max;			/* of this kind */
	uint32_t	each;			/* physical extents that one grant takes */
	uint32_t	each_other;
	uint32_t   *grants;			/* in the batch */
	uint32_t   *releases;
	uint32_t   *claim;
	uint32_t   *numbers;		/* behind the batch, where the first grant's go */
	uint32_t	numbers_max;
} Account;

static inline void
open_copies(struct NrGroup *group, NrBatch *batch, uint32_t numbers_max, Account *a)
{
	a->group = group;
	a->headroom = &group->headroom;
	a->mapped = &group->mapped;
	a->mapped_other = &group->shared_mapped;
	a->max = group->config.extents_max;
	a->each = group->copies;
	a->each_other = 1;
	a->grants = &batch->grants;
	a->releases = &batch->releases;
	a->claim = &batch->claim;
	a->numbers = (uint32_t *) (batch + 1);
	a->numbers_max = numbers_max;
}

/* When the batch has all its grants of the other kind. */
static inline void
open_shared(struct NrGroup *group, NrBatch *batch, uint32_t numbers_max, Account *a)
{
	uint32_t	taken = (uint32_t) nr_grant_numbers(group, batch->grants, 0);

	a->group = group;
	a->headroom = &group->shared_headroom;
	a->mapped = &group->shared_mapped;
	a->mapped_other = &group->mapped;
	a->max = group->config.shared_max;
	a->each = 1;
	a->each_other = group->copies;
	a->grants = &batch->shared_grants;
	a->releases = &batch->shared_releases;
	a->claim = &batch->shared_claim;
	a->numbers = (uint32_t *) (batch + 1) + taken;
	a->numbers_max = numbers_max > taken ? numbers_max - taken : 0;
}

static bool
surplus(const NrAtomic64 *headroom)
{
	return (int64_t) nr_load64_rlx(headroom) > NR_HEADROOM_MAX;
}

bool
nr_grant_surplus(const struct NrGroup *group)
{
	return surplus(&group->headroom) || (nr_group_shares(group) && surplus(&group->shared_headroom));
}

static uint64_t
quota(const struct NrGroup *group)
{
	return (uint64_t) group->copies * group->config.extents_max;
}

bool
nr_grant_impossible(const struct NrGroup *group, NrNeed need)
{
	uint32_t	roots = nr_group_shares(group) ? 1 : 0;

	return need.extents >= group->config.extents_max || need.shared > group->config.shared_max - roots ||
		nr_grant_numbers(group, need.extents + UINT64_C(1), need.shared + roots) > quota(group);
}

/*
 * Within the quota, with this one as the last of "mapped" of its kind?  Of two of one kind the first has the lower
 * number, whatever becomes of the other.  Of two of different kinds at least one sees the other, so that they do not go
 * beyond the quota together; if both do, neither gets what is left.
 */
static bool
affordable(const Account *a, uint32_t mapped)
{
	return mapped <= a->max && (uint64_t) mapped * a->each +
		(uint64_t) nr_load32_seq(a->mapped_other) * a->each_other <= quota(a->group);	/* edge P2 */
}

/* One extent for each copy, or one for both; or none. */
static bool
alloc_each(NrSession *s, uint32_t g, const Account *a)
{
	NrEngine   *e = s->engine;
	uint32_t   *numbers = a->numbers + *a->grants * a->each;

	for (uint32_t i = 0; i < a->each; i++)
	{
		s->crossed.pool_updates++;
		numbers[i] = nr_pool_alloc(e, g, a->group->replicas);
		if (numbers[i] == NR_NO_EXTENT)
		{
			while (i > 0)
				nr_pool_free(e, numbers[--i]);
			return false;
		}
		NR_POINT("extent_granted");
	}
	return true;
}

static bool
numbers_left(const Account *a)
{
	return (*a->grants + UINT64_C(1)) * a->each <= a->numbers_max;
}

/* One grant more, within the quota. */
static bool
grant_one(NrSession *s, uint32_t g, const Account *a, bool *pool_empty)
{
	s->crossed.shared_updates++;
	if (affordable(a, nr_add32_seq(a->mapped, 1) + 1))	/* edge P2 */
	{
		if (alloc_each(s, g, a))
		{
			++*a->grants;
			nr_add64_rlx(&a->group->granted, 1);
			return true;
		}
		*pool_empty = true;
	}
	nr_sub32_seq(a->mapped, 1); /* edge P2: a count, too high until then */
	return false;
}

/*
 * Extents that "need" lacks, "room" being what it leaves of headroom.  What is below
 * 0 before is somebody's who is about to add grants: not for us to make good, since
 * more grants than claim would be counted on by others before they are there.
 */
static inline uint32_t
missing_extents(int64_t room, uint32_t need)
{
	return room >= 0 ? 0 : (uint64_t) -room < need ? (uint32_t) -room : need;
}

/* Free extents beyond what the group keeps and others have claimed: the batch takes them along. */
static void
release_surplus(const Account *a)
{
	uint64_t	room = nr_load64_rlx(a->headroom);

	while ((int64_t) room > NR_HEADROOM_MAX)
	{
		NR_POINT("surplus_seen");
		if (nr_cas64_seq(a->headroom, &room, NR_HEADROOM_KEEP)) /* edge P1: a count */
		{
			*a->releases = (uint32_t) (room - NR_HEADROOM_KEEP);
			return;
		}
	}
}

/* All that is free and nobody has claimed. */
static void
release_free(const Account *a)
{
	uint64_t	room = nr_load64_rlx(a->headroom);

	while ((int64_t) room > 0)
		if (nr_cas64_seq(a->headroom, &room, 0))	/* edge P1: a count */
		{
			*a->releases += (uint32_t) room;
			return;
		}
}

void
nr_grant_release_free(struct NrGroup *group, NrBatch *batch)
{
	Account		a;

	open_copies(group, batch, 0, &a);
	release_free(&a);
	open_shared(group, batch, 0, &a);
	release_free(&a);
}

/* Claim "need"; returns what is missing of it. */
static inline uint32_t
claim(const Account *a, uint32_t need)
{
	int64_t		room = (int64_t) nr_sub64_seq(a->headroom, need) - need;	/* edge P1: a count */

	*a->claim = need;
	*a->grants = *a->releases = 0;
	return missing_extents(room, need);
}

/*
 * "helped": laggards have been brought forward for this batch.  They hold on to what others
 * have let go of, of the pool and, in shared memory, of the quota.
 */
static void
grant_missing(NrSession *s, const NrDispatch *dispatch, uint32_t g, const Account *a, uint32_t missing, bool *helped)
{
	while (*a->grants < missing && numbers_left(a))
	{
		bool		pool_empty = false;

		if (grant_one(s, g, a, &pool_empty))
			continue;
		if (*helped || !(pool_empty || nr_group_shares(a->group)))
			break;
		*helped = true;
		/* no flip: a reader in what is then the older copy would be waited for with requests in hand */
		if (a->group->copies == 2)
			nr_replay_older(s, dispatch, g, nr_home(s, g));
		else
			(void) nr_replay(s, dispatch, g, nr_home(s, g), NR_IMPATIENT, true);
		nr_help_laggards(s, dispatch, g);
		if (!grant_one(s, g, a, &pool_empty))
			break;
	}

	/* what is not to be had is not claimed, lest the account stay short for ever */
	*a->claim -= missing - *a->grants;
	s->crossed.shared_updates++;
	nr_add64_seq(a->headroom, missing); /* edge P1: a count */
}

static inline void
best(NrSession *s, const NrDispatch *dispatch, uint32_t g, const Account *a, uint32_t need, bool *helped)
{
	uint32_t	missing = claim(a, need);

	s->crossed.shared_updates++;
	if (missing > 0)
		grant_missing(s, dispatch, g, a, missing, helped);
	else if (surplus(a->headroom))
		release_surplus(a);
}

void
nr_grant_best(NrSession *s, const NrDispatch *dispatch, uint32_t g, NrBatch *batch,
			  NrNeed need, uint32_t numbers_max)
{
	struct NrGroup *group = nr_group(s->engine, g);
	bool		helped = false;
	Account		a;

	batch->shared_grants = batch->shared_releases = batch->shared_claim = 0;
	open_copies(group, batch, numbers_max, &a);
	best(s, dispatch, g, &a, need.extents, &helped);
	if (!nr_group_shares(group))
		return;
	open_shared(group, batch, numbers_max, &a);
	best(s, dispatch, g, &a, need.shared, &helped);

	/* the quota is one: what is free of one kind is for the other, from the next batch on */
	if (batch->claim < need.extents)
		release_free(&a);
	if (batch->shared_claim < need.shared)
	{
		open_copies(group, batch, numbers_max, &a);
		release_free(&a);
	}
}

/* All or not; if not, the claim stands with what was granted, to be undone. */
static bool
all(NrSession *s, uint32_t g, const Account *a, uint32_t need)
{
	uint32_t	missing = claim(a, need);
	bool		pool_empty;

	while (*a->grants < missing && numbers_left(a) && grant_one(s, g, a, &pool_empty))
		;
	s->crossed.shared_updates += 2;
	nr_add64_seq(a->headroom, *a->grants);	/* edge P1: a count */
	if (*a->grants < missing)
		return false;
	if (missing == 0)
		release_surplus(a);
	return true;
}

bool
nr_grant_all(NrSession *s, uint32_t g, NrBatch *batch, NrNeed need, uint32_t numbers_max)
{
	struct NrGroup *group = nr_group(s->engine, g);
	Account		a;
	bool		granted;

	batch->shared_grants = batch->shared_releases = batch->shared_claim = 0;
	open_copies(group, batch, numbers_max, &a);
	granted = all(s, g, &a, need.extents);
	if (granted && nr_group_shares(group))
	{
		open_shared(group, batch, numbers_max, &a);
		granted = all(s, g, &a, need.shared);
	}
	if (!granted)
		nr_grant_undo(s, g, batch);
	return granted;
}

static void
undo(NrSession *s, const Account *a)
{
	s->crossed.shared_updates++;
	s->crossed.pool_updates += *a->grants * a->each;
	/* first the account, then the extents: nobody may count on what is on its way back */
	nr_add64_seq(a->headroom,	/* edge P1: a count */
				 (uint64_t) *a->claim + *a->releases - *a->grants);
	for (uint32_t i = 0; i < *a->grants * a->each; i++)
		nr_pool_free(s->engine, a->numbers[i]);
	nr_sub32_seq(a->mapped, *a->grants);	/* edge P2: a count, too high until then */
	nr_add64_rlx(&a->group->granted, -(uint64_t) *a->grants);
	*a->claim = *a->grants = *a->releases = 0;
}

void
nr_grant_undo(NrSession *s, uint32_t g, NrBatch *batch)
{
	struct NrGroup *group = nr_group(s->engine, g);
	Account		copies;
	Account		shared;

	/* its numbers lie behind the others' grants: found before these are forgotten */
	open_shared(group, batch, 0, &shared);
	open_copies(group, batch, 0, &copies);
	undo(s, &shared);
	undo(s, &copies);
}
