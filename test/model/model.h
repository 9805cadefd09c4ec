/*
 * model.h
 *		Every interleaving of a few threads, and every value that C11 lets an atomic load see.
 *
 * A scenario is a setup, two or three threads and a check.  The explorer (explore.c)
 * runs it again and again, each time with other decisions: which thread takes the next step, which
 * of the stores that are still possible a load reads, and what model_choose answers.  The engine
 * is the one that ships: engine/atomic.h hands its operations over when NR_MODEL is defined, and the
 * compiler's instrumentation for ThreadSanitizer, with entry points of our own (entry.c), hands over
 * all other accesses.
 *
 * MEMORY (weak.c).  Each atomic word has a history of stores.  A relaxed or acquire load may read any store that
 * is not hidden by coherence or happens-before; so store buffers, late invalidation and the lack of an
 * acquire or a release all show.  A sequentially consistent load reads the last sequentially
 * consistent store of the word or a later one.  Plain accesses are checked for races with vector clocks.
 * Not covered: loads that are executed before the stores they depend on (load buffering), stores that
 * overtake stores in the order of one word's modifications, consume, fences (the engine has none).  The one order of
 * all sequentially consistent operations is that in which they are taken here: such a load never misses a store
 * of that kind which a relaxed access says was earlier (O1 has both, so mutants.pl
 * tries it without the one order).
 *
 * STEPS.  Threads are switched before atomic operations, sleeps and wakes only: with races excluded nothing else
 * can be observed.  Orders of operations that do not conflict are not tried twice (dynamic partial
 * order reduction, Flanagan & Godefroid 2005; with a bound on preemptions the further points of Coons,
 * Musuvathi & McKinley 2013).
 *
 * BOUNDS.  "preemptions": how often a thread that could go on is interrupted; "stale": how often in one execution
 * a load reads something else than the newest.  Within them the search is complete; a scenario's end says so.
 */
#ifndef MODEL_H
#define MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_THREADS	4		/* 0 is the director: it sets up and checks */
#define MODEL_ARENA		((size_t) 2 << 20)
#define MODEL_UNBOUNDED	1000

/* By strength within each kind. */
typedef enum ModelOrder
{
	MODEL_RLX,
	MODEL_ACQ,
	MODEL_REL,
	MODEL_ACQ_REL,
	MODEL_SEQ
} ModelOrder;

/* A place in the source that does an atomic operation; the linker collects them. */
typedef struct ModelSite
{
	const char *file;
	const char *func;
	const char *op;
	int			line;
	ModelOrder	order;			/* as written */
	ModelOrder	now;			/* as weakened */
	uint64_t	passed;
} ModelSite;

typedef struct ModelBound
{
	int			preemptions;	/* MODEL_UNBOUNDED: any number */
	int			stale;
} ModelBound;

typedef struct ModelScenario
{
	const char *name;
	const char *says;			/* what holds in every execution */
	int			threads;
	void		(*setup) (void);	/* once, before all executions; by the director */
	void		(*thread) (int i);	/* 0 .. threads - 1 */
	void		(*check) (void);	/* after each execution; by the director */
	ModelBound	small;			/* of CI */
	ModelBound	large;			/* of "make proof" */
	bool		must_fail;		/* a fault is in it: the search is to find it */
} ModelScenario;

/* Runs the scenarios that argv names (default: all) and prints TAP; see usage() there. */
extern int	model_main(int argc, char **argv, const ModelScenario *scenarios, int n);

/* ---- for scenarios ---- */

/* Zeroed memory that is restored before each execution; only in setup.  Aligned to "align". */
extern void *model_alloc(size_t bytes, size_t align);

/* What nothing depends on, such as counters: no steps, no histories. */
extern void model_ignore(const void *start, size_t bytes);

extern void model_fail(const char *fmt,...) __attribute__((format(printf, 1, 2), noreturn));

#define model_assert(cond) \
	do { if (!(cond)) model_fail("%s:%d: %s", __FILE__, __LINE__, #cond); } while (0)

/* 0 .. n - 1; all are tried. */
extern uint32_t model_choose(uint32_t n);

/* 0 .. threads - 1, or -1: the director. */
extern int	model_thread(void);

/*
 * Latches, one for each number below 64.  sleep returns once the latch has been set and resets it; what came
 * before model_wake is seen then.  poll: until something that this thread has looked at since its last poll has
 * changed; nothing else is promised.  A state in which nobody can go on is a failure.
 */
extern void model_sleep(uint32_t latch);
extern void model_poll(void);
extern void model_wake(uint32_t latch);

/* The next step may be delayed for as long as one likes without being a preemption. */
extern void model_pause(void);

/* What memory holds now, whatever this thread may know of it; no step.  For assertions. */
extern uint64_t model_newest(const void *at, int bytes);

/* ---- for atomic.h ---- */

extern uint64_t model_load(const void *at, int bytes, ModelSite *site);
extern void model_store(void *at, int bytes, uint64_t x, ModelSite *site);

typedef enum ModelRmw
{
	MODEL_XCHG,
	MODEL_ADD,
	MODEL_OR,
	MODEL_AND
} ModelRmw;

extern uint64_t model_rmw(void *at, int bytes, ModelRmw what, uint64_t x, ModelSite *site);
extern bool model_cas(void *at, int bytes, uint64_t *expected, uint64_t x, ModelSite *site);

#endif							/* MODEL_H */
