/*
 * rwlock.h
 *		The distributed readers-writer lock of a replica.  Private to the engine.
 *
 * Calciu et al. 2017, section 5.2 (after Vyukov): a reader writes a cache line
 * of its own, a writer sets one flag and then waits for each reader that is
 * inside.  A reader's line holds the group it is in, so one line serves all
 * groups, and a bitmap tells which sessions read this group on this
 * replica, so a writer looks at no others.
 *
 * ROLL CALL.  Sessions come, read once and stay for hours.  So each NR_ROLL_CALL-th time a
 * writer excuses whoever is outside: it sets a bit, with which it is not looked at any more, and leaves a
 * mark in the line.  Who enters puts its own word there by an exchange, which it does anyway, finds
 * the mark, and takes the bit away before it looks at the writer's flag.  The line serves all groups and
 * the mark does not say whose writer has left it, so from then on each handle does so when it is
 * used next.  The writer sets the bit first and then looks at the line: one that has come
 * in before that look is excused no more, and one that comes later finds the mark (edge R4).
 *
 * Readers: nr_rw_reader_try / nr_rw_reader_leave, inline, no shared line written.
 * Writer: one at a time (the combiner).  The wait for readers sleeps; a reader
 * that stops inside stops it for as long as its patience says.
 * Fairness: readers that had to wait for NR_RW_STARVED_TRIES writers are let in before the next one, as in a
 * phase-fair lock (Brandenburg & Anderson 2010); who comes later does not prolong it, since no flag is set.  It
 * is woken by the last of them, and waits for at most NR_RW_STARVED_WAITS naps, and again when one that is late has lost
 * once more.
 */
#ifndef NR_RWLOCK_H
#define NR_RWLOCK_H

#include "engine/layout.h"

#define NR_RW_STARVED_TRIES		1
#define NR_RW_STARVED_WAITS		20
#define NR_RW_POLL_US			1000
#define NR_ROLL_CALL			64

/* How long a writer waits for readers that are inside. */
typedef enum NrPatience
{
	NR_IMPATIENT,				/* spins only: somebody who helps another replica */
	NR_CANCELLABLE,				/* until the host says so: nothing has been promised to anybody */
	NR_PATIENT					/* for ever: requests have been taken */
} NrPatience;

/*
 * Wait until this reader's line no longer holds "word", which names one entry of
 * that reader.  False: it did for longer than the patience lasts.
 */
extern bool nr_wait_for_reader(NrSession *s, uint32_t g, uint32_t r, uint32_t reader,
							   uint64_t word, NrPatience patience);

/* The handle's session is excused no more. */
extern void nr_reader_announce(NrHandle *h);

/* "word" into the session's line; then writers look for it there. */
static inline void
nr_reader_arrive(NrHandle *h, uint64_t word)
{
	NrSession  *s = h->session;

	if (__builtin_expect(nr_xchg64_seq(&h->reader->inside, word) == NR_EXCUSED, 0)) /* edge R1, edge R4, edge F1 */
		s->excused++;
	if (__builtin_expect(h->announced != s->excused, 0))
		nr_reader_announce(h);
}

/* True: inside, and sees all that the last writer did. */
static inline bool
nr_rw_reader_try(NrHandle *h, uint64_t word)
{
	nr_reader_arrive(h, word);
	if (__builtin_expect(nr_load32_seq(&h->replica->writer) == 0, 1))	/* edge R1, edge R3 */
		return true;
	nr_store64_rel(&h->reader->inside, 0);	/* edge R2, edge F3 */
	return false;
}

static inline void
nr_rw_reader_leave(NrReaderLine *line)
{
	nr_store64_rel(&line->inside, 0);	/* edge R2, edge F3 */
}

/* Is it time to excuse who is outside?  Once for each look at all readers; the combiner lock is held. */
static inline bool
nr_roll_call(struct NrReplica *rep)
{
	return ++rep->calls % NR_ROLL_CALL == 0;
}

/* Readers of the w-th word of the bitmap that are to be looked at. */
static inline uint64_t
nr_readers_present(NrEngine *e, struct NrReplica *rep, uint32_t w)
{
	uint64_t	excused = nr_load64_seq(&nr_excused(e, rep)[w]);	/* edge R1, edge R4, edge F1 */

	/* who changes its bit in either after this has not looked at the flag, or at "current", yet */
	return nr_load64_seq(&nr_readers(e, rep)[w]) & ~excused;	/* edge R1, edge F1 */
}

/* What the line of a reader holds; "roll": if it is outside, it is excused. */
extern uint64_t nr_reader_look(NrEngine *e, uint32_t g, uint32_t r, uint32_t reader, bool roll);

/*
 * s works on replica r of group g; it need not be its own replica.
 * False: a reader stayed inside for longer than the patience lasts; not inside then.
 */
extern bool nr_rw_writer_enter(NrSession *s, uint32_t g, uint32_t r, NrPatience patience);
extern void nr_rw_writer_leave(NrSession *s, uint32_t g, uint32_t r);

#endif							/* NR_RWLOCK_H */
