/*
 * retire.c
 *		The end of a group while others still read; contract in engine.h.
 *
 * As in left-right, whose readers find a null pointer once the writer is gone:
 * a mark stands where readers look anyway, at the writer flag or at the number of the
 * current copy, so it costs a reader nothing until it is there.  Nothing changes
 * these two words afterwards, since every copy is at the tail and nobody writes.
 */
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
set_mark(NrHandle *h, uint32_t r, bool retired)
{
	struct NrReplica *rep = nr_replica(h->session->engine, h->g, r);
	uint32_t	current = nr_load32_rlx(&rep->current) & 1;

	if (h->ncopies == 2)
		nr_xchg32_seq(&rep->current, retired ? current | NR_RETIRED : current); /* edge F1, edge Z1 */
	else
		nr_xchg32_seq(&rep->writer, retired ? NR_RETIRED : 0);	/* edge R1, edge Z1 */
	nr_wake_all(h->session->engine, nr_waiters(h->session->engine, rep));
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
	NrStatus	status = nr_own_idle_copies(h, 0, cancellable);

	if (status != NR_OK)
		return status;
	for (uint32_t r = 0; r < h->group->replicas; r++)
		set_mark(h, r, true);
	NR_POINT("retire_marked");
	for (uint32_t r = 0; r < h->group->replicas && status == NR_OK; r++)
		if (!wait_for_readers(h, r, patience))
			status = NR_CANCELLED;
	if (status != NR_OK)
		for (uint32_t r = 0; r < h->group->replicas; r++)
			set_mark(h, r, false);
	nr_disown_idle_copies(h);
	return status;
}
