/*
 * combine.h
 *		Flat combining.  Private to the engine.
 *
 * Hendler, Incze, Shavit & Tzafrir 2010, as used by Calciu et al. 2017, section
 * 5.2: who gets the combiner lock of a replica collects the pending requests of
 * its sessions, appends them to the log as one batch, brings the copy up to
 * date and hands out the responses.
 *
 * A request waits for the combine that is running and at most one more (fault
 * W1): it sets its bit before it looks at the lock, and a combiner looks at the
 * bits after it has freed the lock and wakes one requester that sleeps, which
 * then combines (edge Q3).
 *
 * A combiner looks at sessions whose bit is set, so a write costs by what is
 * pending, not by who ever registered (fault W7).
 */
#ifndef NR_COMBINE_H
#define NR_COMBINE_H

#include "engine/replay.h"
#include "engine/rwlock.h"
#include "engine/wait.h"

/* The combiner lock of replica r.  Unlock wakes whoever waits for what it protected. */
extern bool nr_combiner_try(NrSession *s, uint32_t g, uint32_t r);
extern void nr_combiner_unlock(NrSession *s, uint32_t g, uint32_t r);

/* Wait for it; "brief": for a few times NR_POLL_US only, then it counts as busy. */
typedef enum NrLocked
{
	NR_LOCKED,
	NR_LOCK_BUSY,
	NR_LOCK_CANCELLED
} NrLocked;

extern NrLocked nr_combiner_lock(NrSession *s, uint32_t g, uint32_t r, bool cancellable, bool brief);

/* Why the log had no room, so that a waiter can tell when to look again. */
typedef struct NrFull
{
	uint64_t	head;			/* head at that time */
	bool		slots;			/* no slot; else no room in the replica's ring */
} NrFull;

typedef enum NrCombined
{
	NR_COMBINED,				/* served, or somebody else is going to */
	NR_COMBINE_FULL,			/* the log is full and something is left */
	NR_COMBINE_HELD_UP			/* two copies: readers did not leave the older one; nothing was taken */
} NrCombined;

/*
 * With the combiner lock of the session's own replica (nr_home): serve what is pending.
 * "patience" is for readers inside the older of two copies, who are waited for
 * before anything is taken; with one copy they are waited for afterwards.
 */
extern NrCombined nr_combine(NrSession *s, const NrDispatch *dispatch, uint32_t g,
							 NrPatience patience, NrFull *full);

/* A request of who has the combiner lock. */
typedef struct NrOwn
{
	const void *ops;
	uint32_t	bytes;			/* of all operations */
	uint32_t	first_extent;	/* physical; NR_NO_EXTENT: they are at "ops" */
	uint32_t	n;
} NrOwn;

/*
 * The same lock: serve this one, if nobody pends.  It is a batch of its own, and needs neither a slot in which others would
 * find it nor an answer that wakes: the answer is in the session's slot when this returns.  False: nothing
 * was done, nr_combine will.  Whoever asks meanwhile is served, too.
 */
extern bool nr_combine_alone(NrSession *s, const NrDispatch *dispatch, uint32_t g, const NrOwn *own);

/* Without it: if nobody combines and somebody sleeps on a pending request, wake them. */
extern void nr_combiner_handoff(NrSession *s, uint32_t g, uint32_t r);

/* Take back the own pending request.  False: a combiner has taken it. */
extern bool nr_request_withdraw(NrSession *s, uint32_t g);

/*
 * With the combiner lock of the session's own replica (two copies: as nr_replay_all
 * wants it): is there memory to be tidied up, because free extents are surplus, or because much
 * shared memory awaits NrDispatch.reclaim?  If so, append a batch that does it, if the
 * log has room.  Waits for nobody.  What is reclaimed may be surplus for the next one.
 */
extern bool nr_tidy_due(NrEngine *e, uint32_t g, uint32_t r);
extern void nr_tidy(NrSession *s, const NrDispatch *dispatch, uint32_t g);

/*
 * The same locks: append a batch without requests.  "all": with all free extents, of a group whose
 * copies share memory, not only the surplus.  False: the log has no room.
 */
extern bool nr_append_empty(NrSession *s, const NrDispatch *dispatch, uint32_t g, bool all);

/* Bring lagging replicas forward whose combiner lock is free. */
extern void nr_help_laggards(NrSession *s, const NrDispatch *dispatch, uint32_t g);

#endif							/* NR_COMBINE_H */
