/*
 * seats.h
 *		A group and some sessions in it, all played by one thread; for tests.
 */
#ifndef SEATS_H
#define SEATS_H

#include "thread_host.h"
#include "toy_calls.h"

#define SEATS_MAX	320

typedef struct Seats
{
	Th		   *th;
	NrEngine   *e;				/* first view */
	NrSession	s[SEATS_MAX];
	NrHandle	h[SEATS_MAX];
	uint32_t	n;
} Seats;

/* Group 0 and n sessions attached to it; session i is on replica i modulo their number. */
extern void seats_open(Seats *b, NrGeometry geo, uint32_t n, const NrGroupConfig *config,
					   const NrDispatch *d);

/* Destroys and frees all; were all extents back in the pool then? */
extern bool seats_close(Seats *b);

/*
 * What group 0 holds and has promised, for a comparison: a write that comes to
 * nothing must leave it as it was.
 */
typedef struct SeatsBooks
{
	uint64_t	headroom;
	uint64_t	promised;		/* slots of the log */
	uint64_t	granted;
	uint64_t	pending;
	uint64_t	shared_headroom;
	uint32_t	mapped;
	uint32_t	shared_mapped;
	uint32_t	pool_free;
	uint32_t	committers;		/* sessions with an order number in flight */
	uint32_t	locked;			/* combiner locks */
} SeatsBooks;

extern SeatsBooks seats_books(Seats *b);

/* Are they what they were?  Says what is not. */
extern bool seats_same(Seats *b, SeatsBooks before);

/*
 * With nothing on its way: are headroom and mapped what each copy has, and is the
 * rest of the pool free but for one extent that prepared writes share?
 */
extern bool seats_settled(Seats *b);

/*
 * A host without clock, for tests that are one thread: a wait returns at once,
 * after having called "on_wait", whose answer it gives (none: go on).
 */
typedef struct Script
{
	bool		(*on_wait) (NrSession *session, NrWaitReason why, long timeout_us, bool cancellable);
	uint32_t	waits;
	uint32_t	waits_for[TH_REASONS];
	uint32_t	wakes;
	uint32_t	woken[SEATS_MAX];	/* by session */
} Script;

extern Script script;

/* From now on all views of this engine use the script, which begins anew. */
extern void script_begin(Th *th, bool (*on_wait) (NrSession *, NrWaitReason, long, bool));

/* For on_wait: give up. */
extern bool script_give_up(NrSession *session, NrWaitReason why, long timeout_us, bool cancellable);

#endif							/* SEATS_H */
