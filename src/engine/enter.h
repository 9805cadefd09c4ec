/*
 * enter.h
 *		A reader's way in and out, inline, for who reads one key at a time.
 *
 * nr_enter and nr_leave (engine.h) are made of this and say what it means.  What is here is
 * the common case alone: nobody is in the way and nothing has to be caught up.
 */
#ifndef NR_ENTER_H
#define NR_ENTER_H

#include "engine/leftright.h"

/*
 * One step in.  False, and outside: with one copy, a writer is inside; or the
 * copy is not as far as "need".
 *
 * Of two copies the older one will do, if a commit has brought it there and is about to flip.  That
 * flip finds us inside, so neither copy changes before we have left.
 */
static inline __attribute__((always_inline)) bool
nr_enter_try(NrHandle *h, uint64_t need)
{
	NrSession  *s = h->session;
	struct NrReplica *rep = h->replica;
	uint64_t	word = nr_inside_word(++s->entries, h->g);
	uint32_t	c = 0;

	if (__builtin_expect(h->ncopies == 2, 0))
	{
		c = nr_lr_enter(h, word);
		if (__builtin_expect(c > 1, 0))
		{
			nr_rw_reader_leave(h->reader);
			return false;
		}
	}
	else if (__builtin_expect(!nr_rw_reader_try(h, word), 0))
		return false;
	if (__builtin_expect(nr_load64_acq(&rep->applied[c]) < need, 0))	/* edge A1 */
	{
		if (h->ncopies == 1 || nr_load64_acq(&rep->ahead) < need)	/* edge F4 */
		{
			nr_rw_reader_leave(h->reader);
			return false;
		}
		c = 1 - c;
	}
	h->copy = &h->copies[c];
	return true;
}

/*
 * What must be in the copy before one reads.  If the handle does not look, all that has completed is
 * in it anyway: no line to look at.
 */
static inline uint64_t
nr_enter_need(NrHandle *h)
{
	return h->look ? nr_load64_acq(&h->group->completed) : 0;	/* edge C1 */
}

/* nr_enter that waits for nobody.  False: not inside, or it would be nested; nr_enter sees to either. */
static inline __attribute__((always_inline)) bool
nr_enter_quick(NrHandle *h)
{
	NrSession  *s = h->session;

	if (__builtin_expect(s->inside > 0, 0))
		return false;
	if (__builtin_expect(h->plain, 1))
	{
		/* h->copy is the only one that there is */
		if (__builtin_expect(!nr_rw_reader_try(h, nr_inside_word(++s->entries, h->g)), 0))
			return false;
	}
	else if (!nr_enter_try(h, nr_enter_need(h)))
		return false;
	s->inside = 1;
	return true;
}

/* nr_leave, for who came in by nr_enter_quick. */
static inline void
nr_leave_quick(NrHandle *h)
{
	h->session->inside = 0;
	nr_rw_reader_leave(h->reader);
}

#endif							/* NR_ENTER_H */
