/*
 * rwlock.h
 *		The distributed readers-writer lock of a replica.  Private to the engine.
 *
 * Calciu et al. 2017, section 5.2 (after Vyukov): a reader writes a cache line
 * of its own, a writer sets one flag and then waits for each reader that is
 * inside.  A reader's line holds the group it is in, so one line serves all
 * groups, and a bitmap tells which sessions ever read this group on this
 * replica, so a writer looks at no others.
 *
 * Readers: nr_rw_reader_try / nr_rw_reader_leave, inline, no shared line written.
 * Writer: one at a time (the combiner).  The wait for readers sleeps; a reader
 * that stops inside stops it for as long as its patience says.
 * Fairness: a reader that lost NR_RW_STARVED_TRIES times is let in before the
 * next writer, which waits for it at most NR_RW_STARVED_WAITS sleeps.
 */
#ifndef NR_RWLOCK_H
#define NR_RWLOCK_H

#include "engine/layout.h"

#define NR_RW_STARVED_TRIES		4
#define NR_RW_STARVED_WAITS		10
#define NR_RW_POLL_US			1000

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

/* True: inside, and sees all that the last writer did.  The session's bit in readers is set. */
static inline bool
nr_rw_reader_try(NrReaderLine *line, struct NrReplica *rep, uint64_t word)
{
	nr_xchg64_seq(&line->inside, word); /* edge R1 */
	if (__builtin_expect(nr_load32_seq(&rep->writer) == 0, 1))	/* edge R1, edge R3 */
		return true;
	nr_store64_rel(&line->inside, 0);	/* edge R2, edge F3 */
	return false;
}

static inline void
nr_rw_reader_leave(NrReaderLine *line)
{
	nr_store64_rel(&line->inside, 0);	/* edge R2, edge F3 */
}

/*
 * s works on replica r of group g; it need not be its own replica.
 * False: a reader stayed inside for longer than the patience lasts; not inside then.
 */
extern bool nr_rw_writer_enter(NrSession *s, uint32_t g, uint32_t r, NrPatience patience);
extern void nr_rw_writer_leave(NrSession *s, uint32_t g, uint32_t r);

#endif							/* NR_RWLOCK_H */
