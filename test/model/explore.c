/*
 * explore.c
 *		Depth-first search over all decisions of a scenario; contract in model.h.
 *
 * An execution is a path of decisions.  The next one repeats the path up to the last decision that has
 * an alternative left, takes that, and decides anew from there on.
 *
 * Which threads are alternatives of a switch is found out by races: a step that conflicts with an earlier step of
 * another thread, and is not ordered after it by what lies between, might have come first; so its thread is added
 * where the earlier one was chosen (Flanagan & Godefroid 2005, figure 3, at each step for each other
 * thread).  With few preemptions left it may be allowed to begin only where the earlier thread was switched
 * to, so it is added there as well (Coons, Musuvathi & McKinley 2013).
 */
#include "explore.h"
#include "weak.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define DECISIONS_MAX	6000
#define STACK_BYTES		((size_t) 256 << 10)
#define LATCHES			64
#define WORDS_MAX		1500
#define PLACES			(WORDS_MAX + LATCHES)
#define LOOKED_MAX		128		/* words that a thread has looked at since its last poll */

typedef enum DecisionKind
{
	DECIDE_THREAD,
	DECIDE_OTHER				/* which store to read, and model_choose */
} DecisionKind;

typedef struct Decision
{
	DecisionKind kind;
	int			chosen;
	int			n;				/* alternatives: 0 .. n - 1 */
	/* of threads: bits */
	unsigned	enabled;
	unsigned	backtrack;		/* to be tried */
	unsigned	tried;
	int			before;			/* who ran before, and could go on: to switch is a preemption; -1 */
	int			preemptions;	/* up to here */
	int			block;			/* decision at which the chosen thread was switched to */
} Decision;

typedef enum StepKind
{
	STEP_WORD,
	STEP_WAKE,
	STEP_SLEEP,
	STEP_POLL,
	STEP_PAUSE,
	STEP_BEGIN
} StepKind;

typedef struct Actor
{
	ucontext_t	context;
	char	   *stack;
	bool		done;
	StepKind	next;			/* what it is about to do */
	int			place;
	int			clock[MODEL_THREADS];	/* decisions + 1 of others that its last step depends on */
	int			looked_n;
	uint32_t	looked[LOOKED_MAX];
} Actor;

/* Who was last here, by decision + 1. */
typedef struct Place
{
	int			execution;
	int			wrote[MODEL_THREADS];
	int			read[MODEL_THREADS];
	int			wrote_clock[MODEL_THREADS];
	int			read_clock[MODEL_THREADS];
} Place;

static Decision path[DECISIONS_MAX];
static int	path_length;
static int	at_decision;
static int	last_switch;		/* decision that chose who runs, or -1 */
static Actor actors[MODEL_THREADS];
static Place places[PLACES];
static bool latch_set[LATCHES];
int			explore_executions;
static int	current;			/* who runs; 0: the director */
static const ModelScenario *scenario;
ModelBound	explore_bound;
bool		explore_brute;
void		(*explore_ended) (void);
int			explore_stale_used;
static uint64_t writes;
static uint64_t writes_at_timeout;
static bool timed_out[MODEL_THREADS];
static bool running;
static bool tracing;
static char failure[1024];
static jmp_buf director_env;

/* ---- failing ---- */

void
model_fail(const char *fmt,...)
{
	va_list		args;

	va_start(args, fmt);
	vsnprintf(failure, sizeof(failure), fmt, args);
	va_end(args);
	if (!running)
	{
		printf("Bail out! %s\n", failure);
		exit(2);
	}
	if (current == 0)
		longjmp(director_env, 1);
	setcontext(&actors[0].context);
	abort();
}

void
explore_trace(const char *fmt,...)
{
	va_list		args;

	if (!tracing)
		return;
	va_start(args, fmt);
	printf("#   thread %d: ", current - 1);
	vprintf(fmt, args);
	printf("\n");
	va_end(args);
}

/* ---- decisions ---- */

static Decision *
decide_new(DecisionKind kind, int n)
{
	Decision   *d;

	if (path_length == DECISIONS_MAX)
		model_fail("an execution without end");
	d = &path[path_length++];
	memset(d, 0, sizeof(*d));
	d->kind = kind;
	d->n = n;
	return d;
}

int
explore_decide(int n)
{
	if (n == 1)
		return 0;
	if (at_decision == path_length)
		decide_new(DECIDE_OTHER, n);
	return path[at_decision++].chosen;
}

uint32_t
model_choose(uint32_t n)
{
	return (uint32_t) explore_decide((int) n);
}

int
model_thread(void)
{
	return current - 1;
}

/* ---- who may run ---- */

static bool
can_go_on(int t)
{
	Actor	   *a = &actors[t];

	if (a->done)
		return false;
	if (a->next == STEP_SLEEP)
		return latch_set[a->place - WORDS_MAX];
	if (a->next != STEP_POLL || timed_out[t] || a->looked_n == LOOKED_MAX)
		return true;
	for (int i = 0; i < a->looked_n; i++)
		if (weak_changed(t, a->looked[i]))
			return true;
	return false;
}

static unsigned
who_can(void)
{
	unsigned	enabled = 0;

	for (int t = 1; t <= scenario->threads; t++)
		enabled |= (unsigned) can_go_on(t) << t;
	return enabled;
}

/* Polls end after a time; but if nothing has happened since they last did, nothing ever will. */
static unsigned
time_out(void)
{
	bool		any = false;

	for (int t = 1; t <= scenario->threads; t++)
		if (!actors[t].done && actors[t].next == STEP_POLL)
			any = timed_out[t] = true;
	if (!any || writes == writes_at_timeout)
	{
		char		who[200] = "";

		for (int t = 1; t <= scenario->threads; t++)
			if (!actors[t].done)
				snprintf(who + strlen(who), sizeof(who) - strlen(who), " thread %d %s", t - 1,
						 actors[t].next == STEP_SLEEP ? "sleeps" : "polls");
		model_fail("nobody can go on:%s", who);
	}
	writes_at_timeout = writes;
	return who_can();
}

static bool
all_done(void)
{
	for (int t = 1; t <= scenario->threads; t++)
		if (!actors[t].done)
			return false;
	return true;
}

static int
lowest(unsigned bits)
{
	return __builtin_ctz(bits);
}

/* Who takes the next step; 0: all have ended. */
static int
choose_thread(void)
{
	unsigned	enabled;
	Decision   *d;

	if (all_done())
		return 0;
	enabled = who_can();
	if (enabled == 0)
		enabled = time_out();
	if (at_decision == path_length)
	{
		int			before = last_switch < 0 ? 0 : path[last_switch].chosen;
		bool		could = (enabled >> before) & 1;
		bool		willing = could && actors[before].next <= STEP_WAKE;

		d = decide_new(DECIDE_THREAD, 0);
		d->enabled = enabled;
		d->before = willing ? before : -1;
		if (willing)
			d->chosen = before;
		else
			d->chosen = lowest(could && enabled != 1u << before ? enabled & ~(1u << before) : enabled);
		if (last_switch >= 0)
		{
			const Decision *last = &path[last_switch];

			d->preemptions = last->preemptions + (last->before >= 0 && last->chosen != last->before);
		}
		d->tried = 1u << d->chosen;
		d->backtrack = explore_brute ? enabled : d->tried;
	}
	d = &path[at_decision];
	d->block = last_switch >= 0 && path[last_switch].chosen == d->chosen ? path[last_switch].block : at_decision;
	last_switch = at_decision++;
	return d->chosen;
}

static void
run_thread(int t)
{
	int			from = current;

	if (t == from)
		return;
	current = t;
	swapcontext(&actors[from].context, &actors[t].context);
}

/* ---- steps ---- */

static void
add_at(int decision, int t)
{
	Decision   *d = &path[decision];

	d->backtrack |= d->enabled >> t & 1 ? 1u << t : d->enabled;
}

static void
take_max(int *to, const int *from)
{
	for (int t = 0; t < MODEL_THREADS; t++)
		if (to[t] < from[t])
			to[t] = from[t];
}

/* The current thread's step at "place" is decision last_switch: what might have come after it instead? */
static void
conflicts(int where, bool write)
{
	Actor	   *me = &actors[current];
	Place	   *p = &places[where];

	if (p->execution != explore_executions)
	{
		memset(p, 0, sizeof(*p));
		p->execution = explore_executions;
	}
	for (int t = 1; t <= scenario->threads; t++)
	{
		int			other = p->wrote[t];

		if (write && p->read[t] > other)
			other = p->read[t];
		if (t == current || other == 0 || me->clock[t] >= other)
			continue;
		add_at(other - 1, current);
		if (explore_bound.preemptions < MODEL_UNBOUNDED)
			add_at(path[other - 1].block, current);
	}
	take_max(me->clock, p->wrote_clock);
	if (write)
		take_max(me->clock, p->read_clock);
	me->clock[current] = last_switch + 1;
	(write ? p->wrote : p->read)[current] = last_switch + 1;
	take_max(write ? p->wrote_clock : p->read_clock, me->clock);
	writes += write;
}

/* Come to a step; returns when it is this thread's turn to take it. */
static void
step(StepKind kind, int place, bool write)
{
	Actor	   *me = &actors[current];

	me->next = kind;
	me->place = place;
	run_thread(choose_thread());
	if (place != 0)
		conflicts(place, write);
	else
		me->clock[current] = last_switch + 1;
}

void
model_pause(void)
{
	step(STEP_PAUSE, 0, false);
}

void
model_poll(void)
{
	Actor	   *me = &actors[current];

	step(STEP_POLL, 0, false);
	timed_out[current] = false;
	me->looked_n = 0;
	explore_trace("polls again");
}

void
model_sleep(uint32_t latch)
{
	step(STEP_SLEEP, WORDS_MAX + (int) latch, true);
	latch_set[latch] = false;
	weak_receive(current, latch);
	explore_trace("latch %u was set", latch);
}

void
model_wake(uint32_t latch)
{
	step(STEP_WAKE, WORDS_MAX + (int) latch, true);
	latch_set[latch] = true;
	weak_send(current, latch);
	explore_trace("sets latch %u", latch);
}

/* ---- for access.c ---- */

int
explore_current(void)
{
	return running ? current : 0;
}

bool
explore_tracing(void)
{
	return tracing;
}

void
explore_step(uint32_t w, bool write)
{
	step(STEP_WORD, (int) w, write);
}

void
explore_look(uint32_t w)
{
	Actor	   *me = &actors[current];

	if (me->looked_n < LOOKED_MAX)
		me->looked[me->looked_n++] = w;
}

/* ---- executions ---- */

static void
thread_main(int t)
{
	step(STEP_BEGIN, 0, false);
	scenario->thread(t - 1);
	actors[t].done = true;
	explore_trace("ends");
	run_thread(choose_thread());
	abort();					/* it is never chosen again */
}

static void
make_threads(void)
{
	for (int t = 1; t <= scenario->threads; t++)
	{
		Actor	   *a = &actors[t];

		if (a->stack == NULL)
			a->stack = malloc(STACK_BYTES);
		memset(a->clock, 0, sizeof(a->clock));
		a->done = false;
		a->looked_n = 0;
		a->next = STEP_BEGIN;
		a->place = 0;
		timed_out[t] = false;
		getcontext(&a->context);
		a->context.uc_stack.ss_sp = a->stack;
		a->context.uc_stack.ss_size = STACK_BYTES;
		a->context.uc_link = NULL;
		makecontext(&a->context, (void (*) (void)) thread_main, 1, t);
	}
}

/* One execution along the path.  False: it failed. */
static bool
execute(void)
{
	explore_executions++;
	at_decision = 0;
	last_switch = -1;
	explore_stale_used = 0;
	writes = 0;
	writes_at_timeout = UINT64_MAX;
	failure[0] = '\0';
	memset(latch_set, 0, sizeof(latch_set));
	weak_reset();
	make_threads();
	current = 0;
	running = true;
	if (setjmp(director_env) == 0)
	{
		run_thread(choose_thread());
		current = 0;
		if (failure[0] == '\0' && scenario->check != NULL)
		{
			weak_join_all();
			scenario->check();
		}
		if (failure[0] == '\0' && explore_ended != NULL)
			explore_ended();
	}
	current = 0;
	running = false;
	return failure[0] == '\0';
}

/* Has the switch an alternative that is to be tried and allowed? */
static bool
next_thread(Decision *d)
{
	unsigned	left = d->backtrack & ~d->tried;

	while (left != 0)
	{
		int			t = lowest(left);

		left &= ~(1u << t);
		d->tried |= 1u << t;
		if (d->preemptions + (d->before >= 0 && t != d->before) > explore_bound.preemptions)
			continue;
		d->chosen = t;
		return true;
	}
	return false;
}

/* The path to try next.  False: there is none. */
static bool
backtrack(void)
{
	while (path_length > 0)
	{
		Decision   *d = &path[path_length - 1];

		if (d->kind == DECIDE_THREAD ? next_thread(d) : d->chosen + 1 < d->n)
		{
			if (d->kind == DECIDE_OTHER)
				d->chosen++;
			return true;
		}
		path_length--;
	}
	return false;
}

ExploreVerdict
explore_scenario(const ModelScenario *s, uint64_t executions_max)
{
	scenario = s;
	path_length = 0;
	explore_executions = 0;
	do
	{
		if (!execute())
		{
			printf("# execution %d failed: %s\n", explore_executions, failure);
			tracing = true;
			explore_executions--;
			(void) execute();
			return EXPLORE_FAILS;
		}
		if ((uint64_t) explore_executions == executions_max)
			return EXPLORE_STOPPED;
	} while (backtrack());
	return EXPLORE_HOLDS;
}
