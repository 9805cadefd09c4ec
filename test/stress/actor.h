/*
 * actor.h
 *		Threads that do one thing and can be stopped at a named place of it.
 *
 * A scenario starts actors one by one, stops them at test points of the engine
 * (NR_POINT) or inside the structure, waits until others sleep for the reason
 * it expects, and lets them go on.  Nothing depends on time.
 *
 * All actors use the counters (toy_counter), group 0.
 */
#ifndef ACTOR_H
#define ACTOR_H

#include "thread_host.h"
#include "toy_calls.h"

#define ACTORS_MAX		32
#define ACTOR_ROW		8		/* a row write and a row read concern counters 0 .. 7 */

typedef enum ActorJob
{
	ACTOR_ADD,					/* adds 1 to counter 0, "times" times */
	ACTOR_ADD_ROW,				/* adds 1 to each of the row, one request, "times" times */
	ACTOR_GET_ROW				/* reads the row, "times" times */
} ActorJob;

typedef struct Actor
{
	uint32_t	i;				/* < ACTORS_MAX; also the view */
	Th		   *th;
	NrSession	session;
	NrHandle	handle;
	bool		open;
	ActorJob	job;
	uint32_t	times;
	bool		cancellable;
	pthread_t	thread;
	/* what came of it */
	_Atomic uint32_t done;		/* calls that returned */
	NrStatus	status;			/* first that was not NR_OK */
	uint64_t	seq;			/* of the first write */
	uint64_t	value;			/* last answer */
	ToyRead		row;			/* last read */
	uint32_t	torn;			/* reads that saw a half-applied row */
	uint32_t	back;			/* reads that saw less than an earlier one */
	uint32_t	most_sleeps;	/* in one call */
} Actor;

/* Call once, before any thread is started: installs the hooks. */
extern void actor_setup(void);

/* Counters in group 0; slots 0: as many as the engine thinks right. */
extern Th  *actor_engine(uint32_t copies, uint32_t replicas, uint32_t sessions, uint32_t log_slots,
						uint32_t spins);

/* Register and attach; close does the reverse. */
extern void actor_open(Actor *a, Th *th, uint32_t i, uint32_t replica);
extern void actor_close(Actor *a);

/* All of an array, actor i on replica i modulo their number; closing also checks the copies and what is given back, and frees th. */
extern void actor_open_all(Actor *actors, Th *th, uint32_t n, uint32_t replicas);
extern void actor_close_all(Actor *actors, Th *th, uint32_t n);

/* Start the job in a thread / in this thread; wait for its end. */
extern void actor_start(Actor *a, ActorJob job, uint32_t times, bool cancellable);
extern void actor_run(Actor *a, ActorJob job, uint32_t times, bool cancellable);
extern void actor_join(Actor *a);

/* Wait until the actor sleeps for this reason. */
extern void actor_until(Actor *a, NrWaitReason why);

/*
 * The next time that actor i comes to the place, it stops.  Places: the
 * engine's test points, "write" and "read" in the structure.  One at a time, but
 * the next stop may be named while the actor still is at the last.
 */
extern void actor_stop_at(const char *place, uint32_t i);
extern void actor_until_stopped(void);
extern void actor_go_on(void);

/* Called, when set, at each passage of a place by an actor's thread, stopped or not. */
extern void (*_Atomic actor_on_place) (const char *place, uint32_t i);

#endif							/* ACTOR_H */
