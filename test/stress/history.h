/*
 * history.h
 *		Recording what threads ask and are told, and checking it afterwards.
 *
 * Each thread writes its own record.  A call belongs to one object (a family of
 * keys, a row of counters, a stack); one that concerned several is recorded once
 * for each.
 */
#ifndef HISTORY_H
#define HISTORY_H

#include <stdatomic.h>

#include "lincheck.h"
#include "models.h"

typedef struct HiCall
{
	LcOp		op;
	uint32_t	object;
	uint32_t	group;			/* writes: whose log */
	bool		write;
	uint64_t	seq;			/* of writes: the log position */
} HiCall;

typedef struct History
{
	HiCall	   *call;
	size_t		n;
	size_t		cap;
} History;

/*
 * The clock: one more at each look.  Its own ordering must not help the engine,
 * so under ThreadSanitizer, which believes what it is told, it is relaxed (on
 * x86 the instruction is the same).
 */
extern uint64_t hi_clock(void);

/* Fill a call and stamp its beginning; nothing is recorded yet. */
extern void hi_begin(HiCall *call, uint32_t thread, uint32_t object, uint32_t kind);

/* Stamp the end of a call, and record it; once more for another object, with the same times. */
extern void hi_end(History *h, HiCall *call);
extern void hi_also(History *h, const HiCall *call, uint32_t object);
extern void hi_clear(History *h);

/* Is the history of one object, taken from n records, linearizable? */
extern LcVerdict hi_check(History *const *h, size_t n, const LcModel *model, uint32_t object);

/*
 * Do log positions agree with real time: of two writes to one log, one that
 * returned before the other began has a lower position?  Returns violations.
 */
extern size_t hi_check_seqs(History *const *h, size_t n, uint32_t group);

#endif							/* HISTORY_H */
