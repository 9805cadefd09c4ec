/*
 * rwlock.c
 *		Writer's side of the distributed readers-writer lock; contract in rwlock.h.
 */
#include "engine/rwlock.h"
#include "engine/wait.h"

/*
 * Readers do not wake the writer: that would cost every leaving reader a
 * second locked operation.  The writer polls instead; a reader is inside for
 * less than a microsecond unless it has lost its processor.
 */
bool
nr_wait_for_reader(NrSession *s, uint32_t g, uint32_t r, uint32_t reader, uint64_t word,
				   NrPatience patience)
{
	struct NrReplica *rep = nr_replica(s->engine, g, r);
	const NrReaderLine *line = nr_reader_line(s->engine, r, reader);
	uint32_t	spins = s->engine->host->spins;
	uint32_t	naps = 0;

	if (nr_load64_seq(&line->inside) != word)	/* edge R2, edge F3 */
		return true;
	nr_bump64(&rep->writer_waits, 1);
	nr_store32_rlx(&rep->blocking_reader, reader + 1);
	while (nr_load64_seq(&line->inside) == word)	/* edge R2, edge F3 */
	{
		if (spins > 0)
		{
			spins--;
			nr_pause();
			continue;
		}

		/* Who gives up leaves the name there: that reader is in the way of the next one, too. */
		if (patience == NR_IMPATIENT)
			return false;
		nr_bump64(&rep->writer_sleeps, 1);
		NR_POINT("reader_wait");
		if (!nr_sleep(s, NR_WAIT_READERS, g, reader, nr_nap_us(naps++), patience == NR_CANCELLABLE))
			return false;
	}
	return true;
}

void
nr_reader_announce(NrHandle *h)
{
	nr_and64_seq(&nr_excused(h->session->engine, h->replica)[NR_WORD(h->session->idx)],	/* edge R1, edge R4, edge F1 */
				 ~NR_BIT(h->session->idx));
	h->announced = h->session->excused;
}

uint64_t
nr_reader_look(NrEngine *e, uint32_t g, uint32_t r, uint32_t reader, bool roll)
{
	NrReaderLine *line = nr_reader_line(e, r, reader);
	NrAtomic64 *excused = nr_excused(e, nr_replica(e, g, r)) + NR_WORD(reader);
	uint64_t	word = 0;

	if (!roll)
		return nr_load64_seq(&line->inside);	/* edge R1, edge R2, edge F1, edge F3 */
	nr_or64_seq(excused, NR_BIT(reader));	/* edge R4 */
	/* edge R1, edge R2, edge R4, edge F1, edge F3 */
	if (nr_cas64_seq(&line->inside, &word, NR_EXCUSED) || word == NR_EXCUSED)
		return 0;
	nr_and64_seq(excused, ~NR_BIT(reader)); /* edge R4: it has come back, or never left */
	return word;
}

/*
 * Let readers in that have lost too often.  Bounded, since one of them may
 * itself be stopped: then it is not waited for again.
 */
static void
let_starved_in(NrSession *s, uint32_t g, struct NrReplica *rep, NrPatience patience)
{
	NrAtomic64 *waiters = nr_waiters(s->engine, rep);
	uint32_t	starved = nr_load32_rlx(&rep->starved);
	uint32_t	spins = s->engine->host->spins;

	if (rep->starved_ignored > starved)
		rep->starved_ignored = starved;
	for (uint32_t i = 0; starved > rep->starved_ignored; starved = nr_load32_rlx(&rep->starved))
	{
		if (spins > 0)
		{
			spins--;
			nr_pause();
			continue;
		}
		if (patience == NR_IMPATIENT)
			return;
		if (i == NR_RW_STARVED_WAITS)
		{
			rep->starved_ignored = starved;
			return;
		}
		nr_bit_set(waiters, s->idx);	/* edge Z1 */
		/* relaxed: a wake that is missed costs a nap */
		if (nr_load32_rlx(&rep->starved) >= starved)
			(void) nr_sleep(s, NR_WAIT_READERS, g, NR_SESSION_NONE, nr_nap_us(i++), false);
		nr_bit_clear(waiters, s->idx);
	}
}

bool
nr_rw_writer_enter(NrSession *s, uint32_t g, uint32_t r, NrPatience patience)
{
	NrEngine   *e = s->engine;
	struct NrReplica *rep = nr_replica(e, g, r);
	bool		roll = nr_roll_call(rep);

	if (nr_load32_rlx(&rep->starved) != 0)
		let_starved_in(s, g, rep, patience);
	else if (rep->starved_ignored != 0)
		rep->starved_ignored = 0;	/* who starves from now on is another one */
	nr_xchg32_seq(&rep->writer, 1); /* edge R1 */
	NR_POINT("writer_flag");
	for (uint32_t w = 0; w < e->bitmap_words; w++)
	{
		uint64_t	bits = nr_readers_present(e, rep, w);	/* edge R1 */

		while (bits != 0)
		{
			uint32_t	reader = w * 64 + (uint32_t) __builtin_ctzll(bits);
			uint64_t	word = nr_reader_look(e, g, r, reader, roll);	/* edge R1, edge R2 */

			bits &= bits - 1;

			/* One that has left and comes back sees the flag, and leaves again at once. */
			if (nr_inside_group(word) == g + 1 &&
				!nr_wait_for_reader(s, g, r, reader, word, patience))
			{
				nr_rw_writer_leave(s, g, r);
				return false;
			}
		}
	}
	if (nr_load32_rlx(&rep->blocking_reader) != 0)
		nr_store32_rlx(&rep->blocking_reader, 0);
	return true;
}

void
nr_rw_writer_leave(NrSession *s, uint32_t g, uint32_t r)
{
	struct NrReplica *rep = nr_replica(s->engine, g, r);

	nr_xchg32_seq(&rep->writer, 0); /* edge R3, edge Z1 */
	nr_wake_all(s->engine, nr_waiters(s->engine, rep));
}
