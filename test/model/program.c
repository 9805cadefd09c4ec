/*
 * program.c
 *		A program of scenarios; model_main of model.h.
 */
#include "explore.h"
#include "weak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern ModelSite __start_model_sites[];
extern ModelSite __stop_model_sites[];

static uint64_t executions_max = UINT64_MAX;

static void
usage(const char *program)
{
	printf("usage: %s [option...] [scenario...]\n"
		   "  --large            the bounds of \"make proof\"\n"
		   "  --preemptions N, --stale N   other bounds\n"
		   "  --executions N     stop after so many, which proves nothing\n"
		   "  --weaken FILE:LINE:OP=ORDER  an atomic operation with a weaker order: rlx acq rel acq_rel\n"
		   "  --sites            afterwards, the atomic operations that were passed\n"
		   "  --list             only the names\n", program);
	exit(2);
}

static const char *const order_names[] = {"rlx", "acq", "rel", "acq_rel", "seq"};

static void
weaken(char *text, const char *program)
{
	char	   *equals = strchr(text, '=');
	char		name[300];
	int			found = 0;
	int			order = 0;

	if (equals == NULL)
		usage(program);
	*equals++ = '\0';
	while (order < 5 && strcmp(order_names[order], equals) != 0)
		order++;
	if (order == 5)
		usage(program);
	for (ModelSite *s = __start_model_sites; s < __stop_model_sites; s++)
	{
		snprintf(name, sizeof(name), "%s:%d:%s", model_base_name(s->file), s->line, s->op);
		if (strcmp(name, text) == 0)
		{
			s->now = (ModelOrder) order;
			found++;
		}
	}
	if (found == 0)
	{
		printf("Bail out! no such operation: %s\n", text);
		exit(2);
	}
}

static void
print_sites(const char *name)
{
	for (ModelSite *s = __start_model_sites; s < __stop_model_sites; s++)
		if (s->passed > 0)
			printf("# site %s %s:%d:%s %s %s\n", name, model_base_name(s->file), s->line, s->op, s->func,
				   order_names[s->order]);
}

/* How far the search went. */
static const char *
extent(ExploreVerdict verdict)
{
	static char text[100];
	char		preemptions[30] = "any";
	char		stale[30] = "any";

	if (verdict == EXPLORE_STOPPED)
		return "stopped, not exhaustive";
	if (explore_bound.preemptions < MODEL_UNBOUNDED)
		snprintf(preemptions, sizeof(preemptions), "%d", explore_bound.preemptions);
	if (explore_bound.stale < MODEL_UNBOUNDED)
		snprintf(stale, sizeof(stale), "%d", explore_bound.stale);
	snprintf(text, sizeof(text), "all with preemptions: %s, stale reads: %s", preemptions, stale);
	return text;
}

/* A scenario in a process of its own: setups start from an empty arena. */
static ExploreVerdict
run_scenario(const ModelScenario *s, int number, bool sites)
{
	ExploreVerdict verdict;

	s->setup();
	weak_begin();
	verdict = explore_scenario(s, executions_max);
	if (s->must_fail)
		verdict = verdict == EXPLORE_FAILS ? EXPLORE_HOLDS : EXPLORE_FAILS;
	printf("%sok %d - %s: %s (%d executions; %s)\n", verdict == EXPLORE_FAILS ? "not " : "", number, s->name, s->says,
		   explore_executions, s->must_fail ? "found" : extent(verdict));
	if (sites)
		print_sites(s->name);
	return verdict;
}

static bool
wanted(const char *name, char **names, int n)
{
	for (int i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return n == 0;
}

int
model_main(int argc, char **argv, const ModelScenario *scenarios, int n)
{
	bool		large = false;
	bool		sites = false;
	int			preemptions = -1;
	int			stale = -1;
	int			at = 1;
	int			ran = 0;
	int			failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (; at < argc && argv[at][0] == '-'; at++)
	{
		bool		more = at + 1 < argc;

		if (strcmp(argv[at], "--large") == 0)
			large = true;
		else if (strcmp(argv[at], "--sites") == 0)
			sites = true;
		else if (strcmp(argv[at], "--list") == 0)
		{
			for (int i = 0; i < n; i++)
				printf("%s\n", scenarios[i].name);
			return 0;
		}
		else if (more && strcmp(argv[at], "--preemptions") == 0)
			preemptions = atoi(argv[++at]);
		else if (more && strcmp(argv[at], "--stale") == 0)
			stale = atoi(argv[++at]);
		else if (more && strcmp(argv[at], "--executions") == 0)
			executions_max = strtoull(argv[++at], NULL, 10);
		else if (more && strcmp(argv[at], "--weaken") == 0)
			weaken(argv[++at], argv[0]);
		else
			usage(argv[0]);
	}
	for (int i = 0; i < n; i++)
	{
		pid_t		child;
		int			status = 0;

		if (!wanted(scenarios[i].name, argv + at, argc - at))
			continue;
		explore_bound = large ? scenarios[i].large : scenarios[i].small;
		if (preemptions >= 0)
			explore_bound.preemptions = preemptions;
		if (stale >= 0)
			explore_bound.stale = stale;
		fflush(stdout);
		child = fork();
		if (child == 0)
			exit(run_scenario(&scenarios[i], ran + 1, sites) == EXPLORE_FAILS);
		if (child < 0 || waitpid(child, &status, 0) != child)
			abort();
		if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
			printf("not ok %d - %s: ended by itself (%d)\n", ran + 1, scenarios[i].name, status);
		ran++;
		failed += status != 0;
	}
	printf("1..%d\n", ran);
	return ran == 0 || failed > 0;
}
