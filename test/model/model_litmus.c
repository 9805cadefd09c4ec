/*
 * model_litmus.c
 *		The explorer on programs whose outcomes are known: what C11 forbids never shows, what it allows is found.
 *
 * Each comes in two forms: with the orders that it needs, and one step weaker, where the search must find the
 * outcome.  The names are those of the literature on memory models.
 */
#include "engine/atomic.h"
#include "model.h"

typedef struct Litmus
{
	NrAtomic64	x;
	NrAtomic64	y;
	NrAtomic64	lock;
	uint64_t	plain;
	uint64_t	seen[4];
} Litmus;

static Litmus *l;

static void
setup(void)
{
	l = model_alloc(sizeof(Litmus), 64);
}

/* ---- message passing ---- */

static void
mp(int i)
{
	if (i == 0)
	{
		l->plain = 1;
		nr_store64_rel(&l->x, 1);
	}
	else if (nr_load64_acq(&l->x) == 1)
		model_assert(l->plain == 1);
}

static void
mp_relaxed_store(int i)
{
	if (i == 0)
	{
		l->plain = 1;
		nr_store64_rlx(&l->x, 1);
	}
	else if (nr_load64_acq(&l->x) == 1)
		model_assert(l->plain == 1);
}

static void
mp_relaxed_load(int i)
{
	if (i == 0)
	{
		l->plain = 1;
		nr_store64_rel(&l->x, 1);
	}
	else if (nr_load64_rlx(&l->x) == 1)
		model_assert(l->plain == 1);
}

/* The flag is raised by another thread in between: a read-modify-write goes on with the release. */
static void
mp_through_rmw(int i)
{
	if (i == 0)
	{
		l->plain = 1;
		nr_store64_rel(&l->x, 1);
	}
	else if (i == 1)
		nr_add64_rlx(&l->x, 1);
	else if (nr_load64_acq(&l->x) == 2)
		model_assert(l->plain == 1);
}

/* ---- store buffering ---- */

static void
sb(int i)
{
	nr_xchg64_seq(i == 0 ? &l->x : &l->y, 1);
	l->seen[i] = nr_load64_seq(i == 0 ? &l->y : &l->x);
}

static void
sb_acquire(int i)
{
	nr_xchg64_seq(i == 0 ? &l->x : &l->y, 1);
	l->seen[i] = nr_load64_acq(i == 0 ? &l->y : &l->x);
}

static void
sb_release(int i)
{
	nr_store64_rel(i == 0 ? &l->x : &l->y, 1);
	l->seen[i] = nr_load64_seq(i == 0 ? &l->y : &l->x);
}

static void
sb_check(void)
{
	model_assert(l->seen[0] == 1 || l->seen[1] == 1);
}

/* ---- coherence: a word never goes back ---- */

static void
corr(int i)
{
	if (i == 0)
	{
		nr_store64_rlx(&l->x, 1);
		nr_store64_rlx(&l->x, 2);
	}
	else
	{
		uint64_t	first = nr_load64_rlx(&l->x);

		model_assert(nr_load64_rlx(&l->x) >= first);
	}
}

/* ---- a lock by CAS; without acquire and release what it protects is raced for ---- */

static void
cas_lock(int i)
{
	uint64_t	expected = 0;

	(void) i;
	if (!nr_cas64_seq(&l->lock, &expected, 1))
		return;
	l->plain++;
	nr_store64_rel(&l->lock, 0);
}

static void
cas_lock_relaxed(int i)
{
	uint64_t	expected = 0;

	(void) i;
	if (!nr_cas64_seq(&l->lock, &expected, 1))
		return;
	l->plain++;
	nr_store64_rlx(&l->lock, 0);
}

/* ---- two loads and two stores are not one addition ---- */

static void
lost_update(int i)
{
	(void) i;
	nr_store64_rel(&l->x, nr_load64_acq(&l->x) + 1);
}

static void
addition(int i)
{
	(void) i;
	nr_add64_rlx(&l->x, 1);
}

static void
two_check(void)
{
	model_assert(nr_load64_rlx(&l->x) == 2);
}

/* ---- what a check writes is not there in the next execution ---- */

static void
restored_check(void)
{
	two_check();
	model_assert(l->plain == 0 && nr_load64_rlx(&l->y) == 0);
	l->plain = 1;
	nr_store64_rlx(&l->y, 1);
}

/* ---- sleeping ---- */

static void
sleep_then_look(int i)
{
	if (i == 0)
	{
		nr_xchg64_seq(&l->x, 1);	/* I sleep */
		if (nr_load64_seq(&l->y) == 0)
			model_sleep(0);
		model_assert(nr_load64_acq(&l->y) == 1);
	}
	else
	{
		nr_xchg64_seq(&l->y, 1);
		if (nr_load64_seq(&l->x) == 1)
			model_wake(0);
	}
}

/* It looks whether somebody sleeps before it has something to tell. */
static void
lost_wake(int i)
{
	if (i == 0)
		sleep_then_look(0);
	else
	{
		bool		sleeps = nr_load64_seq(&l->x) == 1;

		nr_xchg64_seq(&l->y, 1);
		if (sleeps)
			model_wake(0);
	}
}

static void
poll(int i)
{
	if (i == 0)
		while (nr_load64_acq(&l->x) == 0)
			model_poll();
	else
		nr_store64_rel(&l->x, 1);
}

/* ---- three threads: independent reads of independent writes need one order of all ---- */

static void
wrc(int i)
{
	if (i == 0)
		nr_store64_rlx(&l->x, 1);
	else if (i == 1)
	{
		if (nr_load64_acq(&l->x) == 1)
			nr_store64_rel(&l->y, 1);
	}
	else if (nr_load64_acq(&l->y) == 1)
		model_assert(nr_load64_rlx(&l->x) == 1);
}

#define ALL		{MODEL_UNBOUNDED, MODEL_UNBOUNDED}
#define HOLDS(name, n, thread, check, says) {name, says, n, setup, thread, check, ALL, ALL, false}
#define MUST_FAIL(name, n, thread, check, says) {name, says, n, setup, thread, check, ALL, ALL, true}

static const ModelScenario scenarios[] = {
	HOLDS("mp", 2, mp, NULL, "what is released is seen"),
	MUST_FAIL("mp_relaxed_store", 2, mp_relaxed_store, NULL, "a relaxed store publishes nothing"),
	MUST_FAIL("mp_relaxed_load", 2, mp_relaxed_load, NULL, "a relaxed load sees nothing else"),
	HOLDS("mp_through_rmw", 3, mp_through_rmw, NULL, "a release sequence"),
	HOLDS("sb", 2, sb, sb_check, "one of two sees the other"),
	MUST_FAIL("sb_acquire", 2, sb_acquire, sb_check, "an acquire load overtakes"),
	MUST_FAIL("sb_release", 2, sb_release, sb_check, "a release store is overtaken"),
	HOLDS("corr", 2, corr, NULL, "a word never goes back"),
	HOLDS("cas_lock", 3, cas_lock, NULL, "a lock excludes"),
	MUST_FAIL("cas_lock_relaxed", 2, cas_lock_relaxed, NULL, "a relaxed unlock does not publish"),
	MUST_FAIL("lost_update", 2, lost_update, two_check, "an update is lost"),
	HOLDS("addition", 2, addition, two_check, "no addition is lost"),
	HOLDS("restored", 2, addition, restored_check, "each execution begins from the setup"),
	HOLDS("sleep_then_look", 2, sleep_then_look, NULL, "nobody sleeps for ever"),
	MUST_FAIL("lost_wake", 2, lost_wake, NULL, "somebody sleeps for ever"),
	{"poll", "a poll ends", 2, setup, poll, NULL, {MODEL_UNBOUNDED, 3}, {MODEL_UNBOUNDED, 6}, false},
	HOLDS("wrc", 3, wrc, NULL, "what was seen is passed on")
};

int
main(int argc, char **argv)
{
	return model_main(argc, argv, scenarios, (int) (sizeof(scenarios) / sizeof(scenarios[0])));
}
