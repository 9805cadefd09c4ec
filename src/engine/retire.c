/*
 * retire.c
 *		The end of a group while others still read; contract in engine.h.
 *
 * As in left-right, whose readers find a null pointer once the writer is gone:
 * a mark stands where readers look anyway, at the writer flag or at the number of the
 * current copy, so it costs a reader nothing until it is there.  Nothing but
 * nr_group_restore changes these two words afterwards, since every copy is at the tail and
 * nobody writes.
 */
#include "engine/crossing.h"
#include "engine/leftright.h"
#include "engine/prepare.h"

bool
nr_group_retired(const NrHandle *h)
{
	/* edge R1, edge F1: the mark is set as a writer's flag is, or a flip */
	return h->ncopies == 2 ? nr_load32_seq(&h->replica->current) > 1 :
		nr_load32_seq(&h->replica->writer) == NR_RETIRED;
}

static void
set_mark(NrHandle *h, uint32_t r)
{
	struct NrReplica *rep = nr_replica(h->session->engine, h->g, r);

	if (h->ncopies == 2)
		nr_xchg32_seq(&rep->current, nr_load32_rlx(&rep->current) | NR_RETIRED);	/* edge F1, edge Z1 */
	else
		nr_xchg32_seq(&rep->writer, NR_RETIRED);	/* edge R1, edge Z1 */
	nr_wake_all(h->session->engine, nr_waiters(h->session->engine, rep));
}

/*
 * Somebody else may do the same, be done with it, and write: so the mark is taken away only
 * where it still is, and nothing is stored over what a writer has put in its place.
 */
static void
take_mark(NrHandle *h, uint32_t r)
{
	struct NrReplica *rep = nr_replica(h->session->engine, h->g, r);
	bool		taken = false;

	if (h->ncopies == 2)
	{
		uint32_t	current = nr_load32_seq(&rep->current); /* edge F2 */

		NR_POINT("restore_mark");
		while (current > 1 && !taken)
			taken = nr_cas32_seq(&rep->current, &current, current & 1); /* edge F2, edge Z1 */
	}
	else
	{
		uint32_t	writer = nr_load32_seq(&rep->writer);	/* edge R3 */

		NR_POINT("restore_mark");
		while (writer == NR_RETIRED && !taken)
			taken = nr_cas32_seq(&rep->writer, &writer, 0); /* edge R3, edge Z1 */
	}
	if (taken)
		nr_wake_all(h->session->engine, nr_waiters(h->session->engine, rep));
}

void
nr_group_restore(NrHandle *h)
{
	nr_crossings_of(h->session, h->g);
	for (uint32_t r = 0; r < h->group->replicas; r++)
	{
		nr_visit(h->session, h->g, r);
		take_mark(h, r);
		nr_visit_end(h->session);
	}
}

/* Until whoever was inside when the mark was set has left. */
static bool
wait_for_readers(NrHandle *h, uint32_t r, NrPatience patience)
{
	NrEngine   *e = h->session->engine;
	NrAtomic64 *readers = nr_readers(e, nr_replica(e, h->g, r));

	for (uint32_t w = 0; w < e->bitmap_words; w++)
	{
		uint64_t	bits = nr_load64_seq(&readers[w]);	/* edge R1, edge F1 */

		for (; bits != 0; bits &= bits - 1)
		{
			uint32_t	reader = w * 64 + (uint32_t) __builtin_ctzll(bits);
			uint64_t	word = nr_load64_seq(&nr_reader_line(e, r, reader)->inside);	/* edge R1, edge F1, edge F3 */

			if (nr_inside_group(word) == h->g + 1 &&
				!nr_wait_for_reader(h->session, h->g, r, reader, word, patience))
				return false;
		}
	}
	return true;
}

NrStatus
nr_group_retire(NrHandle *h, bool cancellable)
{
	NrPatience	patience = cancellable ? NR_CANCELLABLE : NR_PATIENT;
	NrStatus	status;

	nr_crossings_of(h->session, h->g);
	status = nr_own_idle_copies(h, 0, cancellable);
	if (status != NR_OK)
		return status;
	for (uint32_t r = 0; r < h->group->replicas; r++)
	{
		nr_visit(h->session, h->g, r);
		set_mark(h, r);
		nr_visit_end(h->session);
	}
	NR_POINT("retire_marked");
	for (uint32_t r = 0; r < h->group->replicas && status == NR_OK; r++)
	{
		nr_visit(h->session, h->g, r);
		if (!wait_for_readers(h, r, patience))
			status = NR_CANCELLED;
		nr_visit_end(h->session);
	}
	if (status != NR_OK)
		nr_group_restore(h);
	nr_disown_idle_copies(h);
	return status;
}

NrStatus
nr_execute_retired(NrHandle *h, const void *op, void *resp)
{
	uint32_t	current = h->ncopies == 2 ? nr_load32_seq(&h->replica->current) & 1 : 0;	/* edge F2 */

	if (!nr_group_retired(h))
		return NR_BAD_CONFIG;
	return h->dispatch->dispatch(&h->copies[current], op, resp);
}

NrStatus
nr_group_own(NrHandle *h, bool cancellable)
{
	nr_crossings_of(h->session, h->g);
	return nr_own_idle_copies(h, 0, cancellable);
}

void
nr_group_disown(NrHandle *h)
{
	nr_disown_idle_copies(h);
}
