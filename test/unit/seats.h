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
