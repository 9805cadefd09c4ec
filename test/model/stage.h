/*
 * stage.h
 *		An engine in the arena of a model, and its host; see model.h.
 *
 * Session i belongs to thread i.  It sleeps on latch i.  A wait that polls (NR_RW_POLL_US, NR_SPACE_POLL_US) ends when
 * something has changed; every other wait ends by a wake only, whatever its timeout is: timeouts hide lost wakes.
 */
#ifndef STAGE_H
#define STAGE_H

#include "engine/layout.h"
#include "model.h"

#define STAGE_ACTORS	3

typedef struct Stage
{
	NrEngine	e;
	NrSession	s[STAGE_ACTORS];
	NrHandle	h[STAGE_ACTORS];
	uint32_t	cancels[STAGE_ACTORS];	/* waits that the thread may give up; each is tried both ways */
	bool		no_space_polls; /* waits for log space end by a wake only, too: no reader holds up a laggard */
	uint64_t	tail_at_sleep[STAGE_ACTORS];	/* when it began to wait for a response; UINT64_MAX: it has not */
	uint64_t	note[STAGE_ACTORS][16]; /* the scenario's */
} Stage;

/* In the arena; process-local parts are restored before each execution as well. */
extern Stage *stage;

typedef struct StageConfig
{
	uint32_t	replicas;		/* 0 means 1 */
	uint32_t	copies;			/* 0 means 1 */
	uint32_t	sessions;		/* registered and attached; session i is on replica i modulo their number */
	uint32_t	sessions_max;	/* 0: as many */
	uint32_t	groups;			/* 0 means 1; only the first is made */
	uint32_t	log_slots;		/* 0 means 2 */
	uint32_t	extents;		/* of the pool; 0 means 12 */
	uint32_t	extents_max;	/* quota of each copy; 0 means 4 */
	uint32_t	shared_max;		/* of what two copies share; 0: nothing */
	bool		lazy;
	const NrDispatch *dispatch; /* NULL: counters */
} StageConfig;

/* Format memory, make group 0, register sessions and attach them. */
extern void stage_set(const StageConfig *config);

/* Counters: raise, read.  model_assert that the engine says NR_OK, unless cancelled. */
extern NrStatus stage_add(int i, uint32_t cell, int64_t by, uint64_t *answer);
extern uint64_t stage_get(int i, uint32_t cell);

/* By the director: session i has asked for this, and nobody waits for the answer. */
extern void stage_ask(int i, uint32_t cell, int64_t by);

/* By the director: the counter in copy c of replica r, as far as that has come. */
extern uint64_t stage_peek(uint32_t r, uint32_t c, uint32_t cell);

/* By the director: all replicas brought to the tail, nr_group_check is NR_OK, and no lock, request or reader is left. */
extern void stage_settled(void);

#endif							/* STAGE_H */
