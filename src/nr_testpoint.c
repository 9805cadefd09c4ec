/*
 * nr_testpoint.c
 *		Setting nr_cache.test_point: what this backend does at a named place of
 *		the engine (NR_POINT), so that tests can put a fault exactly there.
 *
 * 'name:action' or 'name:action:n': at every n-th passage (default: each) of
 * the point "name", or of any point when the name is '*', do
 *
 *		kill9		SIGKILL to itself: the server resets shared memory
 *		stop		SIGSTOP to itself: until somebody sends SIGCONT
 *		sleep		a tenth of a second
 *		nap			a millisecond
 *		cancel		SIGINT to itself: as pg_cancel_backend()
 *		terminate	SIGTERM to itself: as pg_terminate_backend()
 *		error		an error, at points whose names begin with "stage_"
 *
 * nr_cache.test_fence = r takes from this backend the memory of all replicas but r.  What the
 * engine declares (NR_FAR) it gets back for the time of that access, to read or to write, page by page;
 * anything else is a SIGSEGV.  nr_cache.test_crossed counts what was declared.
 *
 * A point may lie inside a combine, where nothing may be allocated or raised:
 * so the text is taken apart when it is set, and the actions are bare system
 * calls.  The points stage_* are those where an error is allowed: in a
 * transaction's own code, before its commit record.
 */
#include "postgres.h"

#ifdef NR_TEST_POINTS

#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "nr_cache.h"
#include "nr_testpoint.h"
#include "utils/guc.h"

typedef enum NrTestAction
{
	NR_TEST_NONE,
	NR_TEST_KILL9,
	NR_TEST_STOP,
	NR_TEST_SLEEP,
	NR_TEST_NAP,
	NR_TEST_CANCEL,
	NR_TEST_TERMINATE,
	NR_TEST_ERROR
} NrTestAction;

/* By NrTestAction. */
static const char *const nr_test_actions[] = {
	"", "kill9", "stop", "sleep", "nap", "cancel", "terminate", "error"
};

typedef struct NrTestPoint
{
	char		name[64];
	NrTestAction action;
	uint32		every;
} NrTestPoint;

static char *nr_test_point_text;
static NrTestPoint nr_test_point;
static int	nr_test_point_passed;

/* Take 'name:action[:n]' apart.  False when it is something else. */
static bool
test_point_parse(const char *text, NrTestPoint *point)
{
	char		action[16];
	int			end = 0;
	int			fields;

	memset(point, 0, sizeof(*point));
	if (text[0] == '\0')
		return true;
	point->every = 1;
	fields = sscanf(text, "%63[^:]:%15[a-z0-9]%n:%u%n", point->name, action, &end,
					&point->every, &end);
	if (fields < 2 || text[end] != '\0' || point->every == 0)
		return false;
	for (int i = NR_TEST_KILL9; i < lengthof(nr_test_actions); i++)
	{
		if (strcmp(action, nr_test_actions[i]) == 0)
			point->action = (NrTestAction) i;
	}
	return point->action != NR_TEST_NONE;
}

static bool
test_point_check(char **newval, void **extra, GucSource source)
{
	NrTestPoint point;

	if (!test_point_parse(*newval, &point))
	{
		GUC_check_errdetail("Expected \"name:action\" or \"name:action:n\".");
		return false;
	}
	*extra = guc_malloc(LOG, sizeof(point));
	if (*extra == NULL)
		return false;
	memcpy(*extra, &point, sizeof(point));
	return true;
}

static void
test_point_assign(const char *newval, void *extra)
{
	nr_test_point = *(NrTestPoint *) extra;
	nr_test_point_passed = 0;
}

static void
test_point_pass(const char *name)
{
	if (likely(nr_test_point.action == NR_TEST_NONE))
		return;
	if (strcmp(nr_test_point.name, "*") != 0 && strcmp(nr_test_point.name, name) != 0)
		return;
	if (++nr_test_point_passed % nr_test_point.every != 0)
		return;

	switch (nr_test_point.action)
	{
		case NR_TEST_NONE:
			break;
		case NR_TEST_KILL9:
			kill(getpid(), SIGKILL);
			break;
		case NR_TEST_STOP:
			kill(getpid(), SIGSTOP);
			break;
		case NR_TEST_SLEEP:
			usleep(100000);
			break;
		case NR_TEST_NAP:
			usleep(1000);
			break;
		case NR_TEST_CANCEL:
			kill(getpid(), SIGINT);
			break;
		case NR_TEST_TERMINATE:
			kill(getpid(), SIGTERM);
			break;
		case NR_TEST_ERROR:
			if (strncmp(name, "stage_", 6) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_INTERNAL_ERROR),
						 errmsg("error at test point \"%s\"", name)));
			break;
	}
}

/* ---- the fence ---- */

/* This process can no longer touch the memory of any replica but this one; -1: of all again. */
static int	nr_test_fence = -1;

#define LIFTS_MAX	1024

/* A place that is accessible for the time of an access; the last one ends first. */
typedef struct Lift
{
	char	   *start;			/* pages; NULL: nothing was done, they are our own or accessible anyway */
	Size		bytes;
	bool		fenced;
	bool		write;
	bool		more;			/* of the one before: ends with it */
} Lift;

static char *nr_test_crossed_text;
static int	nr_test_undeclared = -1;
static Lift lifts[LIFTS_MAX];
static int	nlifts;
static NrCrossings crossed;

static void
protect(const Lift *lift, int protection)
{
	if (lift->start != NULL && mprotect(lift->start, lift->bytes, protection) != 0)
		abort();				/* in the middle of the engine nothing can be reported */
}

/* Does another replica have it? */
static bool
is_fenced(const char *start)
{
	Size		bytes = nr_engine_region_bytes(&nr_engine.geo);

	for (uint32 r = 0; r < nr_engine.geo.replicas; r++)
		if (start >= nr_engine.region[r] && start < nr_engine.region[r] + bytes)
			return r != (uint32) nr_test_fence;
	abort();
}

/* Within a visit everything is accessible. */
static bool
is_open(const char *start)
{
	for (int i = 0; i < nlifts; i++)
		if (lifts[i].write && lifts[i].start != NULL &&
			start >= lifts[i].start && start < lifts[i].start + lifts[i].bytes)
			return true;
	return false;
}

static void
lift_begin(const char *start, Size bytes, bool write, bool more)
{
	uintptr_t	page = sysconf(_SC_PAGESIZE);
	uintptr_t	from = (uintptr_t) start & ~(page - 1);
	Lift	   *lift = &lifts[nlifts];

	if (nlifts == LIFTS_MAX)
		abort();
	lift->fenced = is_fenced(start);
	lift->start = lift->fenced && !is_open(start) ? (char *) from : NULL;
	lift->bytes = (((uintptr_t) start + bytes + page - 1) & ~(page - 1)) - from;
	lift->write = write;
	lift->more = more;
	protect(lift, write ? PROT_READ | PROT_WRITE : PROT_READ);
	nlifts++;
}

static void
lift_end(void)
{
	bool		more;

	do
	{
		protect(&lifts[--nlifts], PROT_NONE);
		more = lifts[nlifts].more;
	} while (more);
}

/* See NR_FAR. */
static void
test_far(const NrEngine *engine, NrFar what, const void *start, size_t bytes, bool write)
{
	bool		far;

	if (nr_test_fence < 0)
		return;
	if (what == NR_FAR_DONE)
	{
		lift_end();
		return;
	}
	lift_begin(start, bytes, write, what == NR_FAR_MORE_OF_IT);
	far = lifts[nlifts - 1].fenced;
	if (what == (NrFar) nr_test_undeclared)
		protect(&lifts[nlifts - 1], PROT_NONE);
	if (what == NR_FAR_MORE_OF_IT)
		crossed.bytes += far ? bytes : 0;
	crossed.slots += far && what == NR_FAR_SLOT;
	crossed.positions += far && what == NR_FAR_POSITION;
	crossed.batches += far && what == NR_FAR_BATCH;
	crossed.visits += far && what == NR_FAR_VISIT;
}

static const char *
test_crossed_show(void)
{
	static char text[128];

	snprintf(text, sizeof(text), UINT64_FORMAT "|" UINT64_FORMAT "|" UINT64_FORMAT "|" UINT64_FORMAT "|" UINT64_FORMAT,
			 crossed.slots, crossed.positions, crossed.batches, crossed.bytes, crossed.visits);
	return text;
}

static void
test_fence_assign(int newval, void *extra)
{
	memset(&crossed, 0, sizeof(crossed));
	for (uint32 r = 0; nr_shmem_ready() && r < nr_engine.geo.replicas; r++)
		if (mprotect(nr_engine.region[r], nr_engine_region_bytes(&nr_engine.geo),
					 newval < 0 || (uint32) newval == r ? PROT_READ | PROT_WRITE : PROT_NONE) != 0)
			elog(WARNING, "could not fence replica %u: %m", r);
}

void
nr_test_point_init(void)
{
	DefineCustomIntVariable("nr_cache.test_fence",
							"The only replica whose memory this backend may touch.",
							NULL,
							&nr_test_fence, -1, -1, NR_REPLICAS_MAX - 1,
							PGC_USERSET, GUC_NOT_IN_SAMPLE, NULL, test_fence_assign, NULL);
	DefineCustomIntVariable("nr_cache.test_undeclared",
							"Accesses of this kind (NrFar) are treated as if they were not declared.",
							NULL,
							&nr_test_undeclared, -1, -1, NR_FAR_WHOLE,
							PGC_USERSET, GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
	DefineCustomStringVariable("nr_cache.test_crossed",
							   "Declared accesses to other replicas since the fence was set: slots, positions, batches, bytes, visits.",
							   NULL,
							   &nr_test_crossed_text, "",
							   PGC_INTERNAL, GUC_NOT_IN_SAMPLE, NULL, NULL, test_crossed_show);
	DefineCustomStringVariable("nr_cache.test_point",
							   "Does something to this backend at a named place of the engine.",
							   NULL,
							   &nr_test_point_text,
							   "",
							   PGC_USERSET,
							   GUC_NOT_IN_SAMPLE,
							   test_point_check,
							   test_point_assign,
							   NULL);
	DefineCustomIntVariable("nr_cache.test_point_passed",
							"How often this backend has passed the point since it was set.",
							NULL,
							&nr_test_point_passed, 0, 0, INT_MAX,
							PGC_INTERNAL, GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
	nr_test_point_hook = test_point_pass;
	nr_far_hook = test_far;
}

#endif							/* NR_TEST_POINTS */
