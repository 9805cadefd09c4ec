/*
 * worker.c
 *		Sessions that keep a replica fresh which nobody uses; contract in engine.h.
 *
 * A worker takes part as a session that helps does, but on its own replica; it waits for
 * nobody.  Who appends looks at a word that says which workers rest, and wakes one; that one
 * wakes the next, so a write pays for one wake at most.  Those who only nap, between two
 * looks, are woken in the same way when a good part of the log has been written.
 */
#include "engine/combine.h"
#include "engine/crossing.h"
#include "engine/worker.h"

#define NR_FAR_BEHIND(slots)	((slots) < 8 ? 2 : (slots) / 4)

NrStatus
nr_worker_appoint(NrSession *s)
{
	uint32_t	none = 0;

	if (!nr_cas32_seq(&nr_control(s->engine)->worker[s->replica], &none, s->idx + 1))	/* edge W1 */
		return NR_BUSY;
	nr_store32_rlx(&s->shared->worker, 1);
	s->worker = true;
	return NR_OK;
}

void
nr_worker_dismiss(NrSession *s)
{
	if (!s->worker)
		return;
	nr_worker_rise(s);
	nr_xchg32_seq(&nr_control(s->engine)->worker[s->replica], 0);	/* edge W1 */
	nr_store32_rlx(&s->shared->worker, 0);
	s->worker = false;
}

NrFreshness
nr_worker_refresh(NrSession *s, const NrDispatch *dispatch, uint32_t g)
{
	NrEngine   *e = s->engine;
	struct NrGroup *group = nr_group(e, g);
	uint32_t	r = s->replica;
	uint64_t	before;
	NrFreshness outcome = NR_HELD_UP;

	if (!nr_group_exists(e, g) || group->dispatch_id != dispatch->id ||
		group->replicas == 1 || r >= group->replicas)
		return NR_FRESH;
	nr_crossings_of(s, g);
	before = nr_position(nr_replica(e, g, r));
	if (before >= nr_load64_seq(&group->tail) &&	/* edge W1; what is looked at next is no older */
		before >= nr_log_tail(s, g))
		outcome = NR_FRESH;
	else if (nr_combiner_try(s, g, r))
	{
		uint64_t	step;

		NR_POINT("worker_replay");
		(void) nr_replay(s, dispatch, g, r, NR_IMPATIENT, true);
		nr_combiner_unlock(s, g, r);
		step = nr_position(nr_replica(e, g, r)) - before;
		if (step > 0)
			outcome = step < NR_FAR_BEHIND(group->log_slots) ? NR_REFRESHED : NR_WAS_FAR_BEHIND;
	}
	nr_crossings_flush(s);		/* it has no handle, and does not end transactions */
	return outcome;
}

static void
say_asleep(NrSession *s, NrAtomic64 *word)
{
	s->asleep = word;
	nr_or64_seq(word, (uint64_t) 1 << s->replica);	/* edge W1 */
}

void
nr_worker_rest(NrSession *s)
{
	say_asleep(s, &nr_control(s->engine)->resting);
	NR_POINT("worker_rest");
}

void
nr_worker_nap(NrSession *s)
{
	say_asleep(s, &nr_control(s->engine)->napping);
}

/* Wake one of those who said so in this word; whoever takes the bit away wakes. */
static void
wake_one(NrEngine *e, NrAtomic64 *word)
{
	uint64_t	bits = nr_load64_seq(word); /* edge W1 */

	for (; bits != 0; bits &= bits - 1)
	{
		uint64_t	bit = bits & -bits;
		uint32_t	worker;

		if (!(nr_and64_seq(word, ~bit) & bit))	/* edge W1 */
			continue;
		worker = nr_load32_seq(&nr_control(e)->worker[__builtin_ctzll(bit)]);	/* edge W1 */
		if (worker == 0)
			continue;
		e->host->wake(e, worker - 1);
		return;
	}
}

void
nr_worker_rise(NrSession *s)
{
	NrAtomic64 *word = s->asleep;
	uint64_t	bit = (uint64_t) 1 << s->replica;

	if (word == NULL)
		return;
	s->asleep = NULL;
	if (!(nr_and64_seq(word, ~bit) & bit))	/* edge W1 */
		wake_one(s->engine, word);	/* who woke us has left the others to us */
}

void
nr_workers_notice(NrEngine *e, uint64_t seq, uint32_t slots)
{
	NrControl  *control = nr_control(e);

	if (nr_load64_seq(&control->resting) != 0)	/* edge W1 */
		wake_one(e, &control->resting);
	if (seq % NR_FAR_BEHIND(slots) == 0 && nr_load64_seq(&control->napping) != 0)	/* edge W1 */
		wake_one(e, &control->napping);
}
