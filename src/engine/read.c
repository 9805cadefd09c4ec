/*
 * read.c
 *		Reads, catching up, checking; contracts in engine.h.
 *
 * A read is linearizable because it looks at the completed tail first and does
 * not begin before its replica has come so far (Calciu et al. 2017, section
 * 5.3): whatever completed before the read began is in the copy.
 */
#include "engine/combine.h"
#include "engine/crossing.h"
#include "engine/enter.h"

/* Bring the session's replica to position "need", or wait until somebody has.  False: cancelled. */
static bool
catch_up(NrHandle *h, uint64_t need, bool cancellable)
{
	NrSession  *s = h->session;
	struct NrReplica *rep = h->replica;
	NrAtomic64 *waiters = nr_waiters(s->engine, rep);
	bool		go_on = true;
	uint32_t	holder;

	nr_crossings_of(s, h->g);
	if (nr_combiner_try(s, h->g, h->r))
	{
		go_on = nr_replay(s, h->dispatch, h->g, h->r,
						  cancellable ? NR_CANCELLABLE : NR_PATIENT, false);
		nr_combiner_unlock(s, h->g, h->r);
		return go_on;
	}
	for (uint32_t spins = s->engine->host->spins; spins > 0; spins--)
	{
		if (nr_position(rep) >= need || nr_load32_rlx(&rep->combiner) == 0)
			return true;
		nr_pause();
	}
	nr_bit_set(waiters, s->idx);	/* edge Z1 */
	holder = nr_load32_seq(&rep->combiner); /* edge Z1 */
	if (nr_load64_seq(&rep->applied[nr_load32_seq(&rep->current) & 1]) < need && holder != 0)	/* edge A1, edge Z1 */
	{
		nr_add64_rlx(&rep->reader_sleeps, 1);
		go_on = nr_sleep(s, NR_WAIT_CATCH_UP, h->g, holder - 1, NR_POLL_US, cancellable);
	}
	nr_bit_clear(waiters, s->idx);
	return go_on;
}

/* Wait until no writer is inside the session's replica.  False: cancelled. */
static bool
wait_for_writer(NrHandle *h, bool cancellable)
{
	NrSession  *s = h->session;
	struct NrReplica *rep = h->replica;
	NrAtomic64 *waiters = nr_waiters(s->engine, rep);
	bool		go_on = true;
	uint32_t	writer;

	for (uint32_t spins = s->engine->host->spins; spins > 0; spins--)
	{
		if (nr_load32_rlx(&rep->writer) == 0)	/* the lock itself is looked at again */
			return true;
		nr_pause();
	}
	nr_bit_set(waiters, s->idx);	/* edge Z1 */
	writer = nr_load32_seq(&rep->writer);	/* edge Z1 */
	if (writer != 0 && writer != NR_RETIRED)	/* from a group that is retired nobody comes to wake us */
	{
		uint32_t	holder = nr_load32_rlx(&rep->combiner);

		nr_add64_rlx(&rep->reader_sleeps, 1);
		go_on = nr_sleep(s, NR_WAIT_WRITER, h->g, holder == 0 ? NR_SESSION_NONE : holder - 1,
						 NR_POLL_US, cancellable);
	}
	nr_bit_clear(waiters, s->idx);
	return go_on;
}

/* The way in when somebody is in the way. */
static NrStatus
enter_slow(NrHandle *h, uint64_t need, bool cancellable)
{
	struct NrReplica *rep = h->replica;
	NrStatus	status = NR_OK;
	uint32_t	starved = 0;

	nr_add64_rlx(&rep->reader_waits, 1);
	for (uint32_t tries = 0;; tries++)
	{
		bool		go_on;

		if (nr_group_retired(h))
		{
			status = NR_GONE;
			break;
		}
		if (nr_position(rep) < need)
			go_on = catch_up(h, need, cancellable);
		else if (nr_enter_try(h, need))
			break;
		else if (h->ncopies == 2)
			continue;			/* only the position was in the way */
		else
		{
			/* each time: a writer that has stopped waiting for us, as we did not come, waits again */
			if (tries >= NR_RW_STARVED_TRIES)
			{
				nr_add32_seq(&rep->starved, 1); /* edge R1: a hint, bounded on the other side */
				starved++;
			}
			go_on = wait_for_writer(h, cancellable);
		}
		if (!go_on)
		{
			status = NR_CANCELLED;
			break;
		}
	}
	if (starved > 0)
	{
		nr_sub32_seq(&rep->starved, starved);	/* edge R1 */
		nr_wake_all(h->session->engine, nr_waiters(h->session->engine, rep));
	}
	return status;
}

NrStatus
nr_enter(NrHandle *h, bool cancellable)
{
	NrSession  *s = h->session;
	uint64_t	need;
	NrStatus	status;

	/* A nested read sees what the outer one sees: the copy does not change under it. */
	if (s->inside > 0)
	{
		s->inside++;
		return NR_OK;
	}

	need = nr_enter_need(h);
	if (__builtin_expect(nr_enter_try(h, need), 1))
	{
		s->inside = 1;
		return NR_OK;
	}
	status = enter_slow(h, need, cancellable);
	if (status == NR_OK)
		s->inside = 1;
	return status;
}

void
nr_leave(NrHandle *h)
{
	if (--h->session->inside == 0)
		nr_rw_reader_leave(h->reader);
}

NrStatus
nr_execute(NrHandle *h, const void *op, void *resp, bool cancellable)
{
	NrStatus	status;

	if (!nr_enter_quick(h))
	{
		status = nr_enter(h, cancellable);
		if (status != NR_OK)
			return status;
	}
	NR_POINT("reader_inside");
	status = h->dispatch->dispatch(h->copy, op, resp);
	nr_leave(h);
	return status;
}

NrStatus
nr_group_sync(NrHandle *h, bool cancellable)
{
	uint64_t	need;

	nr_crossings_of(h->session, h->g);
	need = nr_log_tail(h->session, h->g);
	while (nr_position(h->replica) < need)
		if (!catch_up(h, need, cancellable))
			return NR_CANCELLED;
	return NR_OK;
}

NrStatus
nr_group_sync_replica(NrHandle *h, uint32_t r, bool cancellable)
{
	bool		synced = false;

	if (r >= h->group->replicas)
		return NR_BAD_CONFIG;
	nr_crossings_of(h->session, h->g);
	nr_visit(h->session, h->g, r);
	if (nr_combiner_lock(h->session, h->g, r, cancellable, false) == NR_LOCKED)
	{
		synced = nr_replay(h->session, h->dispatch, h->g, r, cancellable ? NR_CANCELLABLE : NR_PATIENT, true);
		nr_combiner_unlock(h->session, h->g, r);
	}
	nr_visit_end(h->session);
	return synced ? NR_OK : NR_CANCELLED;
}

/* All combiner locks are held: no copy changes. */
static NrStatus
compare_copies(NrHandle *h, uint32_t *replica, const char **why)
{
	NrEngine   *e = h->session->engine;
	bool		loaded = h->group->loading && nr_load64_rlx(&h->group->pending) > 0;
	uint64_t	first = 0;

	for (uint32_t i = 0; i < h->group->replicas * h->ncopies; i++)
	{
		NrCopy		copy;
		uint64_t	sum;

		*replica = i / h->ncopies;
		nr_copy_view(e, h->g, *replica, i % h->ncopies, &copy);
		nr_visit(h->session, h->g, *replica);
		*why = h->dispatch->verify(&copy);
		sum = *why == NULL ? h->dispatch->checksum(&copy) : 0;
		nr_visit_end(h->session);
		if (*why != NULL)
			return NR_DIVERGED;
		if (i == 0 || loaded)	/* before the first publish one copy is ahead of the other */
			first = sum;
		else if (sum != first)
		{
			*why = *replica == 0 ? "its two copies differ" : "checksum differs from that of replica 0";
			return NR_DIVERGED;
		}
	}
	return NR_OK;
}

/* Let go of the first "locked" combiner locks. */
static void
thaw(NrSession *s, uint32_t g, uint32_t locked)
{
	while (locked > 0)
	{
		nr_visit(s, g, --locked);
		nr_combiner_unlock(s, g, locked);
		nr_visit_end(s);
	}
}

/*
 * Take all combiner locks, in replica order, and bring all replicas to one
 * position.  Whoever holds one is given a while; a reader that stays inside and
 * a combiner that has stopped are not waited for with locks in hand, so they
 * hold up nobody but us.
 */
static NrLocked
freeze(NrHandle *h, bool cancellable)
{
	NrSession  *s = h->session;
	uint32_t	n = h->group->replicas;
	NrLocked	outcome = NR_LOCKED;
	uint32_t	locked = 0;
	uint64_t	upto;

	while (locked < n && outcome == NR_LOCKED)
	{
		nr_visit(s, h->g, locked);
		outcome = nr_combiner_lock(s, h->g, locked, cancellable, true);
		nr_visit_end(s);
		locked += outcome == NR_LOCKED;
	}
	/* one tail for all: a lazy group's grows without these locks */
	upto = nr_log_tail(s, h->g);
	for (uint32_t r = 0; r < n && outcome == NR_LOCKED; r++)
	{
		nr_visit(s, h->g, r);
		if (!nr_replay_to(s, h->dispatch, h->g, r, upto, NR_IMPATIENT, true))
			outcome = NR_LOCK_BUSY;
		nr_visit_end(s);
	}
	if (outcome != NR_LOCKED)
		thaw(s, h->g, locked);
	return outcome;
}

NrStatus
nr_group_check(NrHandle *h, bool cancellable, uint32_t *replica, const char **why)
{
	NrSession  *s = h->session;
	NrLocked	outcome;
	NrStatus	status;

	nr_crossings_of(s, h->g);
	while ((outcome = freeze(h, cancellable)) == NR_LOCK_BUSY)
		if (!nr_sleep(s, NR_WAIT_COMBINER, h->g, NR_SESSION_NONE, NR_RW_POLL_US, cancellable))
			return NR_CANCELLED;
	if (outcome == NR_LOCK_CANCELLED)
		return NR_CANCELLED;
	NR_POINT("check_frozen");
	status = compare_copies(h, replica, why);
	thaw(s, h->g, h->group->replicas);
	return status;
}
