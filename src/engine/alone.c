/*
 * alone.c
 *		A request that is applied without the log; contract in alone.h.
 */
#include "engine/alone.h"
#include "engine/grant.h"

#define GRANTS_MAX	32

bool
nr_apply_own(NrSession *s, const NrDispatch *dispatch, uint32_t g, const NrOwn *own)
{
	struct NrGroup *group = nr_group(s->engine, g);
	struct NrReplica *rep = nr_replica(s->engine, g, 0);
	struct
	{
		NrBatch		batch;
		uint32_t	numbers[GRANTS_MAX];
	}			room;
	NrNeed		need;

	/* relaxed: only the lock's holder appends and applies; a reader may help the tail to where he moves it, too */
	if (!nr_log_alone(group) || own->first_extent != NR_NO_EXTENT ||
		nr_load64_rlx(&group->tail) != nr_load64_rlx(&rep->applied[0]))
		return false;
	need = dispatch->need(&group->copy_config, own->n, own->bytes);
	if (need.extents > GRANTS_MAX)
		return false;
	room.batch.ops = own->n;
	if (nr_grant_spare(group, need))
		room.batch.grants = room.batch.releases = room.batch.claim = 0;
	else
		nr_grant_best(s, dispatch, g, &room.batch, need, GRANTS_MAX);
	NR_POINT("granted");
	nr_apply_alone(s, dispatch, g, &room.batch, own->ops, own->bytes);
	nr_bump64(&rep->batches, 1);
	nr_bump64(&rep->requests, 1);
	nr_bump64(&rep->ops, own->n);
	nr_bump64(&rep->bytes, own->bytes);
	return true;
}
