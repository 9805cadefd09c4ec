/*
 * weak.h
 *		Memory of a model: histories of atomic words, and races between plain accesses.  See model.h.
 *
 * A thread's view says of each word from which store on it may still read, and its clock which steps of
 * other threads happened before.  A release store carries both to whoever acquires it; a
 * read-modify-write passes on what the store that it read has carried (release sequence, C++20).
 */
#ifndef WEAK_H
#define WEAK_H

#include "model.h"

extern char weak_arena[MODEL_ARENA];

#define WEAK_NOWHERE	0		/* number of a word that is not tracked */

static inline bool
weak_inside(const void *at)
{
	return (size_t) ((const char *) at - weak_arena) < MODEL_ARENA;
}

/* Setup has ended: what lies in the arena now is where each execution begins. */
extern void weak_begin(void);
extern void weak_reset(void);

/* Number of the atomic word, given out when it is first used; WEAK_NOWHERE: ignored, or not in the arena. */
extern uint32_t weak_word(const void *at, int bytes);
extern int	weak_words(void);

/* How many stores may thread t read, the newest among them; with "not", only those of another value or the newest. */
extern int	weak_choices(int t, uint32_t word, ModelOrder order, const uint64_t *not);

/* Read the one that is "back" choices older than the newest. */
extern uint64_t weak_read(int t, uint32_t word, ModelOrder order, int back, const uint64_t *not);
extern void weak_write(int t, uint32_t word, ModelOrder order, uint64_t x);

/* Read the newest and write behind it. */
extern uint64_t weak_update(int t, uint32_t word, ModelOrder order, ModelRmw what, uint64_t x);

/* Has the word a newer store than the one that t has read? */
extern bool weak_changed(int t, uint32_t word);

extern void weak_plain(int t, const void *at, size_t bytes, bool write);

/* The director writes: it is not watched, but the next execution begins without that. */
extern void weak_touch(const void *at, size_t bytes);

/* Latches, and the director who has waited for all. */
extern void weak_send(int t, uint32_t latch);
extern void weak_receive(int t, uint32_t latch);
extern void weak_join_all(void);

#endif							/* WEAK_H */
