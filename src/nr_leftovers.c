/*
 * nr_leftovers.c
 *		Setting nr_cache.test_leftovers: what is in shared memory that belongs to nobody, so
 *		that a test which has ended processes in all ways can see whether they gave everything back.
 *
 * For a server at rest: no session but the one that asks uses a cache, and nr_check has brought all copies to the
 * tail of their logs.  Then everything follows from the caches as they are, and whatever does
 * not is told: a promise of log space, a credit or an extent that no table has, an order number in flight, a lock,
 * a request, a reader that is inside, a worker, a bit of a session that has ended.
 *
 * Test builds only, and nothing but reads.
 */
#include "postgres.h"

#ifdef NR_TEST_POINTS

#include "nr_internal.h"
#include "nr_testpoint.h"

#include "engine/layout.h"
#include "engine/pool.h"
#include "engine/replay.h"

static char found[2000];

static void tell(const char *format,...) pg_attribute_printf(1, 2);

static void
tell(const char *format,...)
{
	size_t		at = strlen(found);
	va_list		args;

	if (at > 0 && at < sizeof(found) - 3)
	{
		strcpy(found + at, ", ");
		at += 2;
	}
	va_start(args, format);
	vsnprintf(found + at, sizeof(found) - at, format, args);
	va_end(args);
}

/* Bits of sessions that are no more, or all bits. */
static void
look_at_bits(const char *what, uint32 g, int r, const NrAtomic64 *bitmap, bool any)
{
	for (uint32 i = 0; i < nr_engine.geo.sessions; i++)
		if ((nr_load64_rlx(&bitmap[NR_WORD(i)]) & NR_BIT(i)) &&
			(any || nr_load32_rlx(&nr_session_shared(&nr_engine, i)->used) == 0))
			tell("cache %u, replica %d: %s of session %u", g, r, what, i);
}

static void
look_at_replica(uint32 g, uint32 r)
{
	struct NrReplica *rep = nr_replica(&nr_engine, g, r);

	if (nr_load32_rlx(&rep->combiner) != 0)
		tell("cache %u, replica %u: combiner lock of session %u", g, r, nr_load32_rlx(&rep->combiner) - 1);
	if (nr_load32_rlx(&rep->writer) == 1)
		tell("cache %u, replica %u: writer flag", g, r);
	if (nr_load32_rlx(&rep->starved) != 0)
		tell("cache %u, replica %u: starved readers", g, r);
	look_at_bits("pending request", g, r, nr_pending(&nr_engine, rep), true);
	look_at_bits("reader", g, r, nr_readers(&nr_engine, rep), false);
}

static bool
is_lagging(const struct NrGroup *group, uint32 g)
{
	for (uint32 r = 0; r < group->replicas; r++)
		if (nr_position_oldest(&nr_engine, g, r) < nr_load64_rlx(&group->tail))
			return true;
	return false;
}

/* The account of one kind of memory against a table of it. */
static void
look_at_account(const char *what, uint32 g, const NrExtentTable *t, int64 headroom, uint32 mapped)
{
	if (headroom != t->free_count)
		tell("cache %u: %s: credit for %lld extents, %u are free", g, what, (long long) headroom, t->free_count);
	if (mapped != t->mapped_count)
		tell("cache %u: %s: account of %u extents, %u are there", g, what, mapped, t->mapped_count);
}

/* Extents that the pool says the group has, and those that it knows of. */
static void
look_at_extents(struct NrGroup *group, uint32 g)
{
	uint32		known = nr_load32_rlx(&group->mapped) * group->copies +
		nr_load32_rlx(&group->shared_mapped) + group->log_extents;
	uint32		owned = 0;

	/* that of which chunks are to be had: no record has a reference to it */
	if ((uint32) nr_load64_rlx(&group->records) != 0 &&
		((uint32) nr_load64_rlx(&group->records) & 0xff) < NR_RECORD_CHUNKS)
		known++;
	for (uint32 x = group->pending_first; x != NR_NO_EXTENT;
		 x = ((NrPayload *) nr_physical(&nr_engine, 0, x))->next)
		known++;
	for (uint32 x = 0; x < nr_engine.geo.extents; x++)
		owned += nr_load32_rlx(&nr_pool_entry(&nr_engine, x)->owner) == g + 1;
	if (owned != known)
		tell("cache %u: %u extents, known are %u", g, owned, known);
}

static void
look_at_group(uint32 g)
{
	struct NrGroup *group = nr_group(&nr_engine, g);
	int64		promised = (int64) (nr_load64_rlx(&group->claimed) - nr_load64_rlx(&group->tail));
	NrCopy		copy;

	if (promised != 0)
		tell("cache %u: %lld slots of the log are promised", g, (long long) promised);
	if (nr_load32_rlx(&group->space_waiting) != 0)
		tell("cache %u: waiters for log space", g);
	look_at_bits("order number", g, -1, nr_committers(&nr_engine, group), true);
	look_at_bits("wait for log space", g, -1, nr_space_waiters(group), true);
	for (uint32 r = 0; r < group->replicas; r++)
		look_at_replica(g, r);
	if (is_lagging(group, g))
	{
		tell("cache %u: a copy lags", g);
		return;
	}
	look_at_extents(group, g);
	if (group->loading && nr_load64_rlx(&group->pending) > 0)
		return;					/* the two copies differ */
	nr_copy_view(&nr_engine, g, 0, nr_load32_rlx(&nr_replica(&nr_engine, g, 0)->current) & 1, &copy);
	look_at_account("copies", g, copy.table, (int64) nr_load64_rlx(&group->headroom), nr_load32_rlx(&group->mapped));
	if (nr_group_shares(group))
		look_at_account("shared memory", g, copy.shared, (int64) nr_load64_rlx(&group->shared_headroom),
						nr_load32_rlx(&group->shared_mapped));
}

static void
look_at_session(uint32 i)
{
	for (uint32 r = 0; r < nr_engine.geo.replicas; r++)
	{
		if (nr_req_phase(nr_load64_rlx(&nr_request_slot(&nr_engine, r, i)->state)) != NR_REQ_FREE)
			tell("replica %u: request of session %u", r, i);
		if (!nr_is_outside(nr_load64_rlx(&nr_reader_line(&nr_engine, r, i)->inside)))
			tell("replica %u: session %u is inside", r, i);
	}
}

/* Who is the worker of a replica, or rests as such, has a token that says so. */
static void
look_at_worker(uint32 r)
{
	NrControl  *control = nr_control(&nr_engine);
	uint32		worker = nr_load32_rlx(&control->worker[r]);
	uint64		asleep = nr_load64_rlx(&control->resting) | nr_load64_rlx(&control->napping);

	if (worker == 0 && (asleep >> r & 1) != 0)
		tell("replica %u: nobody rests as its worker", r);
	if (worker != 0 && (nr_load32_rlx(&nr_session_shared(&nr_engine, worker - 1)->used) == 0 ||
						nr_load32_rlx(&nr_session_shared(&nr_engine, worker - 1)->worker) == 0))
		tell("replica %u: session %u is gone, and its worker", r, worker - 1);
}

const char *
nr_test_leftovers(void)
{
	uint32		unowned = 0;

	found[0] = '\0';
	if (!nr_shmem_ready())
		return found;
	for (uint32 g = 0; g < nr_engine.geo.groups; g++)
	{
		if (pg_atomic_read_u64(&nr_shared->entries[g].state) == NR_REG_LEFT)
			tell("cache %u: dropped and not freed", g);
		if (nr_group_exists(&nr_engine, g))
			look_at_group(g);
	}
	for (uint32 i = 0; i < nr_engine.geo.sessions; i++)
		look_at_session(i);
	for (uint32 r = 0; r < nr_engine.geo.replicas; r++)
		look_at_worker(r);
	for (uint32 x = 0; x < nr_engine.geo.extents; x++)
		unowned += nr_load32_rlx(&nr_pool_entry(&nr_engine, x)->owner) == 0;
	if (unowned != nr_load32_rlx(&nr_control(&nr_engine)->pool_free))
		tell("%u extents are nobody's, %u are free", unowned, nr_load32_rlx(&nr_control(&nr_engine)->pool_free));
	return found;
}

#endif							/* NR_TEST_POINTS */
