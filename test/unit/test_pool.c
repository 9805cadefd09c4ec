/*
 * test_pool.c
 *		The pool of extents: every number given out once, references, owners, the
 *		tag against ABA, threads.
 */
#include "engine/pool.h"
#include "seats.h"
#include "tap.h"

#define EXTENTS	256

/* Is each extent given out exactly once until there is none?  All belong to g then. */
static bool
takes_all(NrEngine *e, uint32_t g, uint32_t n)
{
	bool		seen[EXTENTS] = {false};
	bool		ok = true;

	for (uint32_t i = 0; i < n; i++)
	{
		uint32_t	x = nr_pool_alloc(e, g, 7);

		if (x >= EXTENTS || seen[x])
			return false;
		seen[x] = true;
		ok &= nr_load32_rlx(&nr_pool_entry(e, x)->owner) == g + 1 &&
			nr_load32_rlx(&nr_pool_entry(e, x)->refs) == 7 && nr_pool_refs(e, x) == 7;
	}
	return ok && nr_pool_alloc(e, g, 1) == NR_NO_EXTENT && toy_pool_free(e) == 0;
}

static void
test_all(void)
{
	NrGeometry	geo = th_geometry(2);
	Th		   *th = th_new(&geo, 2, 0);
	NrEngine   *e = th_engine(th, 0);
	uint64_t	random = 7;
	bool		ok = true;

	tap_ok(toy_pool_free(e) == EXTENTS, "a new pool is whole");
	tap_ok(takes_all(e, 3, EXTENTS), "each extent is given out once, then none");
	tap_ok(nr_pool_alloc(th_engine(th, 1), 0, 1) == NR_NO_EXTENT && toy_pool_free(e) == 0,
		   "nor in another view, and the count stays");
	for (uint32_t lap = 0; lap < 20; lap++)
	{
		uint32_t	first = (uint32_t) (th_random(&random) % EXTENTS);

		/* all numbers in some order: steps of an odd length in a power of two */
		for (uint32_t i = 0; i < EXTENTS; i++)
			nr_pool_free(e, (first + i * (2 * lap + 1)) % EXTENTS);
		ok &= toy_pool_free(e) == EXTENTS && takes_all(e, lap % 8, EXTENTS);
	}
	tap_ok(ok, "freed in any order, all can be had again");
	th_free(th);
}

static void
test_refs(void)
{
	NrGeometry	geo = th_geometry(3);
	Th		   *th = th_new(&geo, 1, 0);
	NrEngine   *e = th_engine(th, 0);
	uint32_t	x = nr_pool_alloc(e, 0, 3);
	uint32_t	y = nr_pool_alloc(e, 0, 3);

	nr_pool_unref(e, x);
	nr_pool_unref(e, x);
	tap_ok(toy_pool_free(e) == EXTENTS - 2 && nr_load32_rlx(&nr_pool_entry(e, x)->owner) == 1,
		   "let go by two of three copies, an extent is in use");
	nr_pool_unref(e, y);
	nr_pool_unref(e, x);
	tap_ok(toy_pool_free(e) == EXTENTS - 1 && nr_load32_rlx(&nr_pool_entry(e, x)->owner) == 0,
		   "let go by the third, it is free");
	tap_ok(nr_pool_alloc(e, 5, 2) == x && nr_pool_refs(e, x) == 2, "given out again, it has as many as it was asked for");
	nr_pool_unref_many(e, x, 0);
	nr_pool_unref(e, x);
	nr_pool_unref(e, x);
	tap_ok(nr_pool_alloc(e, 5, 40) == x, "or for other purposes");
	nr_pool_unref_many(e, x, 39);
	tap_ok(nr_pool_refs(e, x) == 1 && toy_pool_free(e) == EXTENTS - 2, "several may be let go of at once");
	nr_pool_unref_many(e, x, 1);
	tap_ok(toy_pool_free(e) == EXTENTS - 1 && nr_pool_alloc(e, 5, 3) == x, "the last of them frees it");
	nr_pool_free(e, y);
	tap_ok(toy_pool_free(e) == EXTENTS - 1, "free takes what references are left");
	th_free(th);
}

static void
test_owner(void)
{
	NrGeometry	geo = th_geometry(2);
	Th		   *th = th_new(&geo, 1, 0);
	NrEngine   *e = th_engine(th, 0);
	uint32_t	of[3] = {0};

	for (uint32_t i = 0; i < 90; i++)
		of[i % 3] += nr_pool_alloc(e, i % 3, 1) != NR_NO_EXTENT;
	nr_pool_free_owner(e, 7);
	tap_ok(toy_pool_free(e) == EXTENTS - 90, "a group that has nothing frees nothing");
	nr_pool_free_owner(e, 1);
	tap_ok(toy_pool_free(e) == EXTENTS - 60, "a group's extents are freed, and no other's");
	nr_pool_free_owner(e, 1);
	tap_ok(toy_pool_free(e) == EXTENTS - 60, "once");
	nr_pool_free_owner(e, 0);
	nr_pool_free_owner(e, 2);
	tap_ok(toy_pool_free(e) == EXTENTS && takes_all(e, 2, EXTENTS), "then all are back, each once");
	th_free(th);
}

/*
 * Who has read head and next, and sleeps while both extents are taken and the
 * first comes back, would put the second, which is in use, on top: the tag is
 * what makes that CAS fail.
 */
static void
test_tag(void)
{
	NrGeometry	geo = th_geometry(1);
	Th		   *th = th_new(&geo, 1, 0);
	NrEngine   *e = th_engine(th, 0);
	NrAtomic64 *head = &nr_control(e)->pool_head;
	uint64_t	old = nr_load64_rlx(head);
	uint32_t	next = nr_load32_rlx(&nr_pool_entry(e, (uint32_t) old - 1)->next);
	uint64_t	then = old;
	uint32_t	x = nr_pool_alloc(e, 0, 1);
	uint32_t	y = nr_pool_alloc(e, 0, 1);

	nr_pool_free(e, x);
	tap_ok((uint32_t) nr_load64_rlx(head) == (uint32_t) old && next == y + 1,
		   "the same extent is on top again");
	tap_ok(!nr_cas64_seq(head, &then, ((old >> 32) + 1) << 32 | next),
		   "a CAS that began before fails");
	tap_ok(nr_load64_rlx(head) >> 32 == (old >> 32) + 3, "each change moves the tag");
	nr_store64_rlx(head, (uint64_t) UINT32_MAX << 32 | (x + 1));
	tap_ok(nr_pool_alloc(e, 0, 1) == x && nr_load64_rlx(head) >> 32 == 0,
		   "the tag wraps, the number stays whole");
	nr_pool_free(e, x);
	nr_pool_free(e, y);
	tap_ok(takes_all(e, 0, EXTENTS), "nothing was lost");
	th_free(th);
}

/* ---- threads ---- */

#define HELD	3

typedef struct Taker
{
	NrEngine   *e;
	uint32_t	i;
	uint32_t	clashes;
} Taker;

static void *
take_and_free(void *arg)
{
	Taker	   *t = arg;
	uint32_t	held[HELD];
	uint32_t	n = 0;
	uint64_t	random = t->i + 1;

	for (uint32_t i = 0; i < 100000 || n > 0; i++)
	{
		uint64_t   *mark;

		if (i < 100000 && n < HELD && th_random(&random) % 2)
		{
			uint32_t	x = nr_pool_alloc(t->e, t->i, 1);

			if (x == NR_NO_EXTENT)
				continue;
			/* a plain word in the extent: whose it is, and no atomic orders it but the pool's */
			mark = (uint64_t *) nr_physical(t->e, 0, x);
			t->clashes += *mark != 0;
			*mark = t->i + 1;
			held[n++] = x;
		}
		else if (n > 0)
		{
			uint32_t	x = held[--n];

			mark = (uint64_t *) nr_physical(t->e, 0, x);
			t->clashes += *mark != t->i + 1;
			*mark = 0;
			if (i % 2)
				nr_pool_free(t->e, x);
			else
				nr_pool_unref(t->e, x);
		}
	}
	return NULL;
}

static void
test_threads(void)
{
	NrGeometry	geo = th_geometry(1);
	Th		   *th;
	Taker		taker[4];
	pthread_t	thread[4];
	uint32_t	clashes = 0;

	geo.extents = 8;
	th = th_new(&geo, 2, 0);
	for (uint32_t i = 0; i < geo.extents; i++)
		*(uint64_t *) nr_physical(th_engine(th, 0), 0, i) = 0;
	for (uint32_t i = 0; i < 4; i++)
	{
		taker[i] = (Taker) {th_engine(th, i), i, 0};
		thread[i] = th_start(take_and_free, &taker[i]);
	}
	for (uint32_t i = 0; i < 4; i++)
	{
		th_join(thread[i]);
		clashes += taker[i].clashes;
	}
	tap_ok(clashes == 0, "four threads, eight extents: none has two owners");
	tap_ok(toy_pool_free(th_engine(th, 0)) == 8 && takes_all(th_engine(th, 0), 0, 8),
		   "nothing was lost");
	th_free(th);
}

int
main(void)
{
	th_watchdog(60);
	test_all();
	test_refs();
	test_owner();
	test_tag();
	test_threads();
	return tap_done();
}
