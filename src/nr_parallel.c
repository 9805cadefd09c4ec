/*
 * nr_parallel.c
 *		Parallel plans in a transaction that has staged writes.
 *
 * Workers do not see what their leader has staged.  A plan with parallel parts
 * may come to run in such a transaction: it was made before the write, and kept
 * by a prepared statement or a function; or it is made after it, as a planner
 * does not know.  Such a plan then runs without workers, whatever it reads:
 * what its functions look up cannot be told from outside.
 *
 * This is decided when a plan is run rather than when it is started, because a
 * portal may be bound, wait while others write, and then be executed.  What is
 * staged while a plan runs is none of its workers' concern: writes are refused
 * for as long as workers may be about.
 *
 * The same hook looks for invalidations once a transaction has used a cache: a
 * statement that names a table learns of a REVOKE when it opens it, one that only
 * calls functions would not before the next transaction.
 */
#include "nr_internal.h"

#include "executor/executor.h"
#include "utils/inval.h"

#include "nr_stage.h"

static ExecutorRun_hook_type prev_executor_run = NULL;

/* PostgreSQL 18 took an argument away that had no meaning any more. */
#if PG_VERSION_NUM >= 180000
#define RUN_PARAMETERS	QueryDesc *query, ScanDirection direction, uint64 count
#define RUN_ARGUMENTS	query, direction, count
#else
#define RUN_PARAMETERS	QueryDesc *query, ScanDirection direction, uint64 count, bool once
#define RUN_ARGUMENTS	query, direction, count, once
#endif

static inline void
run_next(RUN_PARAMETERS)
{
	if (prev_executor_run)
		prev_executor_run(RUN_ARGUMENTS);
	else
		standard_ExecutorRun(RUN_ARGUMENTS);
}

/*
 * A Gather that is not in parallel mode runs its plan itself.  The flag is changed
 * in a copy, for as long as this run takes: the plan itself may be in a cache, and
 * be running elsewhere, too.
 */
static void
run_alone(RUN_PARAMETERS)
{
	PlannedStmt *plan = query->plannedstmt;
	PlannedStmt alone = *plan;

	alone.parallelModeNeeded = false;
	query->plannedstmt = &alone;
	PG_TRY();
	{
		run_next(RUN_ARGUMENTS);
	}
	PG_FINALLY();
	{
		query->plannedstmt = plan;
	}
	PG_END_TRY();
}

static void
parallel_executor_run(RUN_PARAMETERS)
{
	if (nr_lifetime_in_use())
		AcceptInvalidationMessages();
	if (unlikely(query->plannedstmt->parallelModeNeeded) && nr_stage_any())
		run_alone(RUN_ARGUMENTS);
	else
		run_next(RUN_ARGUMENTS);
}

void
nr_parallel_init(void)
{
	prev_executor_run = ExecutorRun_hook;
	ExecutorRun_hook = parallel_executor_run;
}
