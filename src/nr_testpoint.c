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
 * nr_cache.test_fence = r takes from this backend the memory of all replicas but r.
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

/* This process can no longer touch the memory of any replica but this one; -1: of all again. */
static int	nr_test_fence = -1;

static void
test_fence_assign(int newval, void *extra)
{
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
}

#endif							/* NR_TEST_POINTS */
