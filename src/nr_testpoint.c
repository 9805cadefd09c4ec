/*
 * nr_testpoint.c
 *		Setting nr_cache.test_point: what this backend does at a named place of
 *		the engine (NR_POINT), so that tests can put a fault exactly there.
 *
 * 'name:action' or 'name:action:n': at every n-th passage (default: each) of
 * the point "name", or of any point but the many of a table (table_*) when the name is '*', do
 *
 *		kill9		SIGKILL to itself: the server resets shared memory
 *		quit		SIGQUIT to itself: likewise, as when another backend was killed
 *		stop		SIGSTOP to itself: until somebody sends SIGCONT
 *		sleep		a tenth of a second
 *		nap			a millisecond
 *		cancel		SIGINT to itself: as pg_cancel_backend()
 *		terminate	SIGTERM to itself: as pg_terminate_backend()
 *		error		an error, at points whose names begin with "stage_"
 *
 * Several of these may be given, with commas between them.  Each signal that may end something is
 * a line in the server's log: that it was sent, so that a test knows that the point was reached.
 *
 * A worker (nr_worker.c) has no session: it takes the setting from the server's configuration,
 * and takes it again at "worker_look" after a reload.
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
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "utils/guc.h"

typedef enum NrTestAction
{
	NR_TEST_NONE,
	NR_TEST_KILL9,
	NR_TEST_QUIT,
	NR_TEST_STOP,
	NR_TEST_SLEEP,
	NR_TEST_NAP,
	NR_TEST_CANCEL,
	NR_TEST_TERMINATE,
	NR_TEST_ERROR
} NrTestAction;

/* By NrTestAction. */
static const char *const nr_test_actions[] = {
	"", "kill9", "quit", "stop", "sleep", "nap", "cancel", "terminate", "error"
};

#define POINTS_MAX	4

typedef struct NrTestPoint
{
	char		name[64];
	NrTestAction action;
	uint32		every;
	uint32		passed;
} NrTestPoint;

typedef struct NrTestPoints
{
	int			n;
	NrTestPoint point[POINTS_MAX];
} NrTestPoints;

static char *nr_test_point_text;
static NrTestPoints nr_test_points;
static int	nr_test_point_passed;	/* the first one */

/* Take one 'name:action[:n]' apart; returns what is behind it, or NULL. */
static const char *
test_point_parse(const char *text, NrTestPoint *point)
{
	char		action[16];
	int			end = 0;
	int			fields;

	memset(point, 0, sizeof(*point));
	point->every = 1;
	fields = sscanf(text, "%63[^:,]:%15[a-z0-9]%n:%u%n", point->name, action, &end,
					&point->every, &end);
	if (fields < 2 || (text[end] != '\0' && text[end] != ',') || point->every == 0)
		return NULL;
	for (int i = NR_TEST_KILL9; i < lengthof(nr_test_actions); i++)
	{
		if (strcmp(action, nr_test_actions[i]) == 0)
			point->action = (NrTestAction) i;
	}
	return point->action != NR_TEST_NONE ? text + end : NULL;
}

static bool
test_points_parse(const char *text, NrTestPoints *points)
{
	points->n = 0;
	while (*text != '\0')
	{
		if (points->n == POINTS_MAX)
			return false;
		text = test_point_parse(text, &points->point[points->n++]);
		if (text == NULL || (*text == ',' && *++text == '\0'))
			return false;
	}
	return true;
}

static bool
test_point_check(char **newval, void **extra, GucSource source)
{
	NrTestPoints points;

	if (!test_points_parse(*newval, &points))
	{
		GUC_check_errdetail("Expected \"name:action\" or \"name:action:n\", or up to %d of these.", POINTS_MAX);
		return false;
	}
	*extra = guc_malloc(LOG, sizeof(points));
	if (*extra == NULL)
		return false;
	memcpy(*extra, &points, sizeof(points));
	return true;
}

static void
test_point_assign(const char *newval, void *extra)
{
	bool		announces = false;

	nr_test_points = *(NrTestPoints *) extra;
	for (int i = 0; i < nr_test_points.n; i++)
		announces = announces || nr_test_point_announces(nr_test_points.point[i].name);
	nr_store32_rlx(&nr_test_announces, announces);
	nr_test_point_passed = 0;
}

/* Bare system calls, and no memory. */
static void
send_to_myself(const char *name, NrTestAction action, int signo)
{
	char		line[128] = "nr_cache test point ";

	strlcat(line, name, sizeof(line));
	strlcat(line, ": ", sizeof(line));
	strlcat(line, nr_test_actions[action], sizeof(line));
	strlcat(line, "\n", sizeof(line));
	if (write(STDERR_FILENO, line, strlen(line)) < 0)
		abort();
	kill(getpid(), signo);
}

static void
act(const char *name, NrTestAction action)
{
	switch (action)
	{
		case NR_TEST_NONE:
			break;
		case NR_TEST_KILL9:
			send_to_myself(name, action, SIGKILL);
			break;
		case NR_TEST_QUIT:
			send_to_myself(name, action, SIGQUIT);
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
			send_to_myself(name, action, SIGINT);
			break;
		case NR_TEST_TERMINATE:
			send_to_myself(name, action, SIGTERM);
			break;
		case NR_TEST_ERROR:
			if (strncmp(name, "stage_", 6) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_INTERNAL_ERROR),
						 errmsg("error at test point \"%s\"", name)));
			break;
	}
}

/* A worker's look at the configuration, between two passes over the caches. */
static void
worker_look(void)
{
	static bool hooked = false;

	if (!hooked)
	{
		pqsignal(SIGHUP, SignalHandlerForConfigReload);
		/* or it would be started to die, again and again */
		if (nr_test_points.n > 0 && nr_test_points.point[0].action <= NR_TEST_QUIT)
			nr_test_points.n = 0;
	}
	hooked = true;
	if (!ConfigReloadPending)
		return;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
}

static void
test_point_pass(const char *name)
{
	if (MyBgworkerEntry != NULL && strcmp(name, "worker_look") == 0)
		worker_look();
	for (int i = 0; i < nr_test_points.n; i++)
	{
		NrTestPoint *point = &nr_test_points.point[i];

		if (strcmp(point->name, name) != 0 &&
			(strcmp(point->name, "*") != 0 || strncmp(name, "table_", 6) == 0))
			continue;
		point->passed++;
		if (i == 0)
			nr_test_point_passed = (int) point->passed;
		if (point->passed % point->every == 0)
			act(name, point->action);
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
static char *nr_test_leftovers_text;
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
	DefineCustomStringVariable("nr_cache.test_leftovers",
							   "What was left behind in shared memory by who is gone, while nobody uses it.",
							   NULL,
							   &nr_test_leftovers_text, "",
							   PGC_INTERNAL, GUC_NOT_IN_SAMPLE, NULL, NULL, nr_test_leftovers);
	nr_test_point_hook = test_point_pass;
	nr_far_hook = test_far;
}

#endif							/* NR_TEST_POINTS */
