/*
 * lincheck.h
 *		Is a recorded history linearizable?
 *
 * A history is what each thread asked, what it was told, and two readings of a
 * global clock around each call.  It is linearizable when the calls can be put
 * in one order that a sequential model answers the same way and that keeps two
 * calls in order whenever one returned before the other began (Herlihy & Wing
 * 1990).  The search is Wing & Gong's (1993) with Lowe's memory of visited
 * configurations (2017).  A configuration is how many calls of each thread are
 * ordered already, and the model's state.  Exact: no false alarm, nothing
 * missed.
 *
 * Two things keep it fast.  A call that reads and agrees with the state may be
 * ordered at once: nothing else could be spoilt by it.  And histories of
 * independent objects are checked one by one (linearizability is local), so
 * the caller splits by key.
 *
 * A call that was given up (cancelled, or its process ended) has LC_FOREVER as the time of
 * its return: it may take effect at any time from its invocation on, or never, whatever else its
 * thread does.  Its model must do without its answer.
 */
#ifndef LINCHECK_H
#define LINCHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LC_THREADS_MAX	32
#define LC_GIVEN_UP_MAX	64		/* different calls without an end, at most */
#define LC_CELLS		4

typedef struct LcOp
{
	uint64_t	inv;			/* clock before the call */
	uint64_t	res;			/* clock after it; > inv; or LC_FOREVER */
	uint32_t	thread;			/* < LC_THREADS_MAX; a thread's calls take effect in the order of "inv" */
	uint32_t	kind;			/* the model's */
	uint32_t	cell;
	uint32_t	n;
	uint64_t	arg;
	uint64_t	out[LC_CELLS];	/* the answer */
} LcOp;

#define LC_FOREVER		UINT64_MAX

typedef struct LcModel
{
	size_t		state_bytes;	/* all zeroes at the beginning; at most LC_STATE_MAX */
	/* Apply the call; false when the model would have answered otherwise (state is then rubbish). */
	bool		(*step) (void *state, const LcOp *op);
	bool		(*reads) (const LcOp *op);	/* never changes the state */
	void		(*print) (char *to, size_t bytes, const LcOp *op);
} LcModel;

#define LC_STATE_MAX	640

typedef enum LcVerdict
{
	LC_LINEARIZABLE,
	LC_VIOLATION,
	LC_TOO_LONG					/* gave up: more than the allowed configurations, or calls without an end */
} LcVerdict;

/*
 * Check n calls, in any order.  On a violation prints, as TAP comments, the
 * calls at which the longest order got stuck.
 */
extern LcVerdict lc_check(const LcModel *model, const LcOp *ops, size_t n, bool print);

#endif							/* LINCHECK_H */
