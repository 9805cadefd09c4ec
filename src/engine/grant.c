/*
 * grant.c
 *		Which batch may use how much memory of the copies; contract in grant.h.
 */
#include "engine/combine.h"
#include "engine/grant.h"

#define NR_HEADROOM_KEEP	2	/* free extents that a group keeps */
#define NR_HEADROOM_MAX		6	/* above: the surplus goes back to the pool */

bool
nr_grant_surplus(const struct NrGroup *group)
{
	return (int64_t) nr_load64_rlx(&group->headroom) > NR_HEADROOM_MAX;
}

/* One extent for each copy, or none. */
static bool
alloc_for_copies(NrEngine *e, uint32_t g, uint32_t *extents)
{
	struct NrGroup *group = nr_group(e, g);

	for (uint32_t c = 0; c < group->copies; c++)
	{
		extents[c] = nr_pool_alloc(e, g, group->replicas);
		if (extents[c] == NR_NO_EXTENT)
		{
			while (c > 0)
				nr_pool_free(e, extents[--c]);
			return false;
		}
	}
	return true;
}

/* One extent more for the copies, within the quota. */
static bool
grant_one(NrEngine *e, uint32_t g, NrBatch *batch, bool *pool_empty)
{
	struct NrGroup *group = nr_group(e, g);

	if (nr_add32_seq(&group->mapped, 1) < group->config.extents_max)	/* edge P1: a count */
	{
		if (alloc_for_copies(e, g, (uint32_t *) (batch + 1) + batch->grants * group->copies))
		{
			batch->grants++;
			nr_add64_rlx(&group->granted, 1);
			return true;
		}
		*pool_empty = true;
	}
	nr_sub32_seq(&group->mapped, 1);	/* edge P1: a count */
	return false;
}

/*
 * Extents that "need" lacks, "room" being what it leaves of headroom.  What is below
 * 0 before is somebody's who is about to add grants: not for us to make good, since
 * more grants than claim would be counted on by others before they are there.
 */
static uint32_t
missing_extents(int64_t room, uint32_t need)
{
	return room >= 0 ? 0 : (uint64_t) -room < need ? (uint32_t) -room : need;
}

/* Free extents beyond what the group keeps and others have claimed: the batch takes them along. */
static void
release_surplus(struct NrGroup *group, NrBatch *batch)
{
	uint64_t	room = nr_load64_rlx(&group->headroom);

	while ((int64_t) room > NR_HEADROOM_MAX)
	{
		NR_POINT("surplus_seen");
		if (nr_cas64_seq(&group->headroom, &room, NR_HEADROOM_KEEP))	/* edge P1: a count */
		{
			batch->releases = (uint32_t) (room - NR_HEADROOM_KEEP);
			return;
		}
	}
}

void
nr_grant_best(NrSession *s, const NrDispatch *dispatch, uint32_t g, NrBatch *batch,
			  uint32_t need, uint32_t grants_max)
{
	NrEngine   *e = s->engine;
	struct NrGroup *group = nr_group(e, g);
	int64_t		room = (int64_t) nr_sub64_seq(&group->headroom, need) - need;	/* edge P1: a count */
	uint32_t	missing = missing_extents(room, need);
	bool		helped = false;

	batch->claim = need;
	batch->grants = batch->releases = 0;
	while (batch->grants < missing && batch->grants < grants_max)
	{
		bool		pool_empty = false;

		if (grant_one(e, g, batch, &pool_empty))
			continue;
		if (helped || !pool_empty)
			break;
		/* replicas that lag hold on to what others have let go of */
		helped = true;
		(void) nr_replay(s, dispatch, g, nr_home(s, g), NR_IMPATIENT, true);
		nr_help_laggards(s, dispatch, g);
		if (!grant_one(e, g, batch, &pool_empty))
			break;
	}

	/* what is not to be had is not claimed, lest the account stay short for ever */
	batch->claim -= missing - batch->grants;
	if (missing > 0)
		nr_add64_seq(&group->headroom, missing);	/* edge P1: a count */
	else
		release_surplus(group, batch);
}

bool
nr_grant_all(NrEngine *e, uint32_t g, NrBatch *batch, uint32_t need, uint32_t grants_max)
{
	struct NrGroup *group = nr_group(e, g);
	int64_t		room = (int64_t) nr_sub64_seq(&group->headroom, need) - need;	/* edge P1: a count */
	uint32_t	missing = missing_extents(room, need);
	bool		pool_empty;

	batch->claim = need;
	batch->grants = batch->releases = 0;
	while (batch->grants < missing)
	{
		if (batch->grants < grants_max && grant_one(e, g, batch, &pool_empty))
			continue;
		nr_add64_seq(&group->headroom, batch->grants);	/* edge P1: a count */
		nr_grant_undo(e, g, batch);
		return false;
	}
	nr_add64_seq(&group->headroom, batch->grants);	/* edge P1: a count */
	if (missing == 0)
		release_surplus(group, batch);
	return true;
}

void
nr_grant_undo(NrEngine *e, uint32_t g, NrBatch *batch)
{
	struct NrGroup *group = nr_group(e, g);
	const uint32_t *grants = (const uint32_t *) (batch + 1);

	/* first the account, then the extents: nobody may count on what is on its way back */
	nr_add64_seq(&group->headroom,	/* edge P1: a count */
				 (uint64_t) batch->claim + batch->releases - batch->grants);
	for (uint32_t i = 0; i < batch->grants * group->copies; i++)
		nr_pool_free(e, grants[i]);
	nr_sub32_seq(&group->mapped, batch->grants);	/* edge P1: a count */
	nr_add64_rlx(&group->granted, -(uint64_t) batch->grants);
	batch->claim = batch->grants = batch->releases = 0;
}
