/*
 * test_lincheck.c
 *		The checker itself: what it must reject and what it must not.
 *
 * Besides small histories written down here, long ones are made by playing a
 * model with random overlaps; then one answer is falsified.
 */
#include <stdlib.h>
#include <string.h>

#include "lincheck.h"
#include "models.h"
#include "tap.h"
#include "thread_host.h"
#include "visible.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static void
expect(LcVerdict want, const LcModel *m, const LcOp *ops, size_t n, const char *what)
{
	LcVerdict	got = lc_check(m, ops, n, want == LC_LINEARIZABLE);

	tap_ok(got == want, "%s %s", want == LC_LINEARIZABLE ? "accepts" : "rejects", what);
}

/* inv, res, thread, kind, cell, n, arg, out */
static void
test_family(void)
{
	static const LcOp sequential[] = {
		{1, 2, 0, LC_PUT, 0, 0, 7, {1}},
		{3, 4, 1, LC_GET, 0, 0, 0, {7}},
		{5, 6, 0, LC_DELETE, 0, 0, 0, {1}},
		{7, 8, 1, LC_GET, 0, 0, 0, {0}},
	};
	static const LcOp overlap_old[] = {
		{1, 2, 0, LC_PUT, 0, 0, 7, {1}},
		{3, 9, 0, LC_PUT, 0, 0, 8, {0}},
		{4, 5, 1, LC_GET, 0, 0, 0, {7}},
		{6, 7, 1, LC_GET, 0, 0, 0, {8}},
	};
	static const LcOp went_back[] = {
		{1, 2, 0, LC_PUT, 0, 0, 7, {1}},
		{3, 9, 0, LC_PUT, 0, 0, 8, {0}},
		{4, 5, 1, LC_GET, 0, 0, 0, {8}},
		{6, 7, 2, LC_GET, 0, 0, 0, {7}},
	};
	static const LcOp stale[] = {
		{1, 2, 0, LC_PUT, 0, 0, 7, {1}},
		{3, 4, 0, LC_PUT, 0, 0, 8, {0}},
		{5, 6, 1, LC_GET, 0, 0, 0, {7}},
	};
	static const LcOp never_written[] = {
		{1, 9, 0, LC_PUT, 0, 0, 7, {1}},
		{2, 8, 1, LC_GET, 0, 0, 0, {5}},
	};
	static const LcOp both_new[] = {
		{1, 9, 0, LC_PUT, 0, 0, 7, {1}},
		{2, 8, 1, LC_PUT, 0, 0, 8, {1}},
	};
	static const LcOp lost_put[] = {
		{1, 2, 0, LC_PUT, 0, 0, 7, {1}},
		{3, 4, 1, LC_DELETE, 0, 0, 0, {0}},
	};

	expect(LC_LINEARIZABLE, &lc_family, sequential, N(sequential), "one call after the other");
	expect(LC_LINEARIZABLE, &lc_family, overlap_old, N(overlap_old), "old, then new, during a put");
	expect(LC_VIOLATION, &lc_family, went_back, N(went_back), "new, then old, during a put");
	expect(LC_VIOLATION, &lc_family, stale, N(stale), "a stale read");
	expect(LC_VIOLATION, &lc_family, never_written, N(never_written), "a value that nobody wrote");
	expect(LC_VIOLATION, &lc_family, both_new, N(both_new), "two puts that both found the key missing");
	expect(LC_VIOLATION, &lc_family, lost_put, N(lost_put), "a put that is not there");
	expect(LC_LINEARIZABLE, &lc_family, NULL, 0, "nothing");
}

static void
test_updates(void)
{
	static const LcOp good[] = {
		{1, 9, 0, LC_SWAP, 0, 0, 7, {1, 8}},
		{2, 8, 1, LC_CAS, 0, 0, 8, {1, 0}},
		{3, 7, 2, LC_CAS, 0, 0, 9, {0, 8}},
		{10, 11, 2, LC_CAS, 0, 0, 5, {1, 7}},
		{12, 13, 2, LC_SWAP, 0, 0, 6, {1, LC_UNTOLD}},
	};
	static const LcOp told_twice[] = {
		{1, 2, 0, LC_PUT, 0, 0, 7, {1}},
		{3, 9, 0, LC_SWAP, 0, 0, 8, {1, 7}},
		{4, 8, 1, LC_SWAP, 0, 0, 9, {1, 7}},
	};
	static const LcOp both_won[] = {
		{1, 2, 0, LC_PUT, 0, 0, 7, {1}},
		{3, 9, 0, LC_CAS, 0, 0, 8, {1, 7}},
		{4, 8, 1, LC_CAS, 0, 0, 9, {1, 7}},
	};
	static const LcOp lost_for_nothing[] = {
		{1, 2, 0, LC_PUT, 0, 0, 7, {1}},
		{3, 9, 0, LC_CAS, 0, 0, 8, {0, 7}},
	};
	static const LcOp failed_and_wrote[] = {
		{1, 2, 0, LC_PUT, 0, 0, 7, {1}},
		{3, 4, 0, LC_CAS, 0, 0, 8, {0, 6}},
		{5, 6, 1, LC_GET, 0, 0, 0, {8}},
	};
	static const LcOp untold_missing[] = {
		{1, 2, 0, LC_SWAP, 0, 0, 7, {0, LC_UNTOLD}},
	};

	expect(LC_LINEARIZABLE, &lc_family, good, N(good), "swaps and compares, answered in log order");
	expect(LC_VIOLATION, &lc_family, told_twice, N(told_twice), "two swaps that got the same value");
	expect(LC_VIOLATION, &lc_family, both_won, N(both_won), "two compares that both found the value");
	expect(LC_VIOLATION, &lc_family, lost_for_nothing, N(lost_for_nothing), "a compare that failed with the right value");
	expect(LC_VIOLATION, &lc_family, failed_and_wrote, N(failed_and_wrote), "one that failed and swapped");
	expect(LC_VIOLATION, &lc_family, untold_missing, N(untold_missing), "a value that was not there, too long to be told");
}

static void
test_batches(void)
{
	static const LcOp whole[] = {
		{1, 2, 0, LC_PUT_ALL, 0, 0, 7, {4}},
		{3, 9, 0, LC_PUT_ALL, 0, 0, 8, {0}},
		{4, 5, 1, LC_GET_ALL, 0, 0, 0, {7, 7, 7, 7}},
		{6, 7, 1, LC_GET_ALL, 0, 0, 0, {8, 8, 8, 8}},
	};
	static const LcOp torn[] = {
		{1, 2, 0, LC_PUT_ALL, 0, 0, 7, {4}},
		{3, 9, 0, LC_PUT_ALL, 0, 0, 8, {0}},
		{4, 5, 1, LC_GET_ALL, 0, 0, 0, {8, 8, 7, 7}},
	};
	static const LcOp torn_gets[] = {
		{1, 2, 0, LC_PUT_ALL, 0, 0, 7, {4}},
		{3, 9, 0, LC_PUT_ALL, 0, 0, 8, {0}},
		{4, 5, 1, LC_GET, 0, 0, 0, {8}},
		{6, 7, 1, LC_GET, 3, 0, 0, {7}},
	};

	expect(LC_LINEARIZABLE, &lc_family, whole, N(whole), "batches seen whole");
	expect(LC_VIOLATION, &lc_family, torn, N(torn), "a torn batch");
	expect(LC_VIOLATION, &lc_family, torn_gets, N(torn_gets), "a batch torn between two reads");
}

static void
test_counters(void)
{
	static const LcOp good[] = {
		{1, 6, 0, LC_ADD, 0, 0, 1, {2}},
		{2, 5, 1, LC_ADD, 0, 0, 1, {1}},
		{3, 9, 2, LC_READ, 0, 0, 0, {1}},
	};
	static const LcOp lost[] = {
		{1, 6, 0, LC_ADD, 0, 0, 1, {1}},
		{2, 5, 1, LC_ADD, 0, 0, 1, {1}},
	};
	static const LcOp twice[] = {
		{1, 2, 0, LC_ADD, 0, 0, 1, {1}},
		{3, 4, 1, LC_READ, 0, 0, 0, {2}},
	};

	expect(LC_LINEARIZABLE, &lc_counters, good, N(good), "two additions, answered in log order");
	expect(LC_VIOLATION, &lc_counters, lost, N(lost), "a lost update");
	expect(LC_VIOLATION, &lc_counters, twice, N(twice), "an update applied twice");
}

static void
test_stack(void)
{
	static const LcOp good[] = {
		{1, 8, 0, LC_PUSH, 0, 0, 5, {1}},
		{2, 7, 1, LC_PUSH, 0, 0, 6, {2}},
		{9, 10, 0, LC_POP, 0, 0, 0, {1, 6}},
		{11, 12, 1, LC_TOP, 0, 0, 0, {1, 5}},
	};
	static const LcOp twice[] = {
		{1, 2, 0, LC_PUSH, 0, 0, 5, {1}},
		{3, 8, 0, LC_POP, 0, 0, 0, {1, 5}},
		{4, 7, 1, LC_POP, 0, 0, 0, {1, 5}},
	};

	expect(LC_LINEARIZABLE, &lc_stack, good, N(good), "pushes and pops");
	expect(LC_VIOLATION, &lc_stack, twice, N(twice), "one number popped twice");
}

/* Calls whose answer never came. */
static void
test_given_up(void)
{
	static const LcOp late[] = {
		{1, LC_FOREVER, 0, LC_PUT, 0, 0, 7, {LC_UNTOLD}},
		{2, 3, 1, LC_GET, 0, 0, 0, {0}},
		{4, 5, 0, LC_GET, 0, 0, 0, {0}},
		{6, 7, 1, LC_GET, 0, 0, 0, {7}},
	};
	static const LcOp never[] = {
		{1, LC_FOREVER, 0, LC_PUT, 0, 0, 7, {LC_UNTOLD}},
		{2, 3, 1, LC_PUT, 0, 0, 8, {1}},
		{4, 5, 1, LC_GET, 0, 0, 0, {8}},
	};
	static const LcOp too_early[] = {
		{1, 2, 1, LC_GET, 0, 0, 0, {7}},
		{3, LC_FOREVER, 0, LC_PUT, 0, 0, 7, {LC_UNTOLD}},
	};
	static const LcOp came_twice[] = {
		{1, LC_FOREVER, 0, LC_PUT, 0, 0, 7, {LC_UNTOLD}},
		{2, 3, 1, LC_GET, 0, 0, 0, {7}},
		{4, 5, 1, LC_DELETE, 0, 0, 0, {1}},
		{6, 7, 1, LC_GET, 0, 0, 0, {7}},
	};
	static const LcOp two_alike[] = {
		{1, LC_FOREVER, 0, LC_DELETE, 0, 0, 0, {LC_UNTOLD}},
		{2, 3, 1, LC_PUT, 0, 0, 7, {1}},
		{4, LC_FOREVER, 2, LC_DELETE, 0, 0, 0, {LC_UNTOLD}},
		{5, 6, 1, LC_PUT, 0, 0, 8, {1}},
		{7, 8, 1, LC_PUT, 0, 0, 9, {1}},
	};
	static const LcOp one_too_few[] = {
		{1, LC_FOREVER, 0, LC_DELETE, 0, 0, 0, {LC_UNTOLD}},
		{2, 3, 1, LC_PUT, 0, 0, 7, {1}},
		{5, 6, 1, LC_PUT, 0, 0, 8, {1}},
		{7, 8, 1, LC_PUT, 0, 0, 9, {1}},
	};
	static const LcOp added_or_not[] = {
		{1, 2, 0, LC_INCR, 0, 0, 5, {5}},
		{3, LC_FOREVER, 1, LC_INCR, 0, 0, 2, {LC_UNTOLD}},
		{4, 5, 0, LC_INCR, 0, 0, 5, {10}},
		{6, 7, 0, LC_INCR, 0, 0, 5, {17}},
	};
	static const LcOp added_twice[] = {
		{1, 2, 0, LC_INCR, 0, 0, 5, {5}},
		{3, LC_FOREVER, 1, LC_INCR, 0, 0, 2, {LC_UNTOLD}},
		{4, 5, 0, LC_INCR, 0, 0, 5, {14}},
	};

	expect(LC_LINEARIZABLE, &lc_family, late, N(late), "a put that was given up and came later");
	expect(LC_LINEARIZABLE, &lc_family, never, N(never), "one that never came");
	expect(LC_VIOLATION, &lc_family, too_early, N(too_early), "one that was seen before it was called");
	expect(LC_VIOLATION, &lc_family, came_twice, N(came_twice), "one that came twice");
	expect(LC_LINEARIZABLE, &lc_family, two_alike, N(two_alike), "two alike that both came");
	expect(LC_VIOLATION, &lc_family, one_too_few, N(one_too_few), "one that would have to come twice");
	expect(LC_LINEARIZABLE, &lc_family, added_or_not, N(added_or_not), "an addition that was given up and came");
	expect(LC_VIOLATION, &lc_family, added_twice, N(added_twice), "one that came twice");
}

static void
test_published(void)
{
	static const LcOp good[] = {
		{1, 2, 0, LC_PUT, 0, 0, 7, {1}},
		{3, 4, 1, LC_GET, 0, 0, 0, {0}},
		{5, 6, 0, LC_PUT_ALL, 0, 0, 8, {4}},
		{7, 9, 1, LC_PUBLISH, 0, 0, 0, {LC_UNTOLD}},
		{8, 10, 2, LC_GET_ALL, 0, 0, 0, {8, 8, 8, 8}},
		{11, 12, 0, LC_EXISTS, 3, 0, 0, {1}},
		{13, 14, 0, LC_TRUNCATE, 0, 0, 0, {LC_UNTOLD}},
		{15, 16, 0, LC_GET, 0, 0, 0, {8}},
	};
	static const LcOp early[] = {
		{1, 2, 0, LC_PUT, 0, 0, 7, {1}},
		{3, 4, 1, LC_GET, 0, 0, 0, {7}},
	};
	static const LcOp in_part[] = {
		{1, 2, 0, LC_PUT, 0, 0, 7, {1}},
		{3, 4, 0, LC_PUT, 1, 0, 8, {1}},
		{5, 8, 1, LC_PUBLISH, 0, 0, 0, {LC_UNTOLD}},
		{6, 7, 2, LC_GET_ALL, 0, 0, 0, {7, 0, 0, 0}},
	};
	static const LcOp lost[] = {
		{1, 2, 0, LC_PUT, 0, 0, 7, {1}},
		{3, 4, 1, LC_PUBLISH, 0, 0, 0, {LC_UNTOLD}},
		{5, 6, 2, LC_GET, 0, 0, 0, {0}},
	};

	expect(LC_LINEARIZABLE, &lc_published, good, N(good), "writes that are seen when they are published");
	expect(LC_VIOLATION, &lc_published, early, N(early), "one that is seen before");
	expect(LC_VIOLATION, &lc_published, in_part, N(in_part), "a publish that is seen in part");
	expect(LC_VIOLATION, &lc_published, lost, N(lost), "one that is lost");
}

static void
test_numbered(void)
{
	static const LcOp overtaken[] = {
		{1, 9, 0, LC_PUT_ALL, 0, 0, 100, {LC_UNTOLD}},
		{2, 4, 1, LC_PUT_ALL, 0, 0, 200, {LC_UNTOLD}},
		{5, 6, 2, LC_GET, 1, 0, 0, {200}},
		{10, 11, 2, LC_GET_ALL, 0, 0, 0, {200, 200, 200, 200}},
	};
	static const LcOp went_back[] = {
		{1, 9, 0, LC_PUT_ALL, 0, 0, 100, {LC_UNTOLD}},
		{2, 4, 1, LC_PUT_ALL, 0, 0, 200, {LC_UNTOLD}},
		{5, 6, 2, LC_GET, 1, 0, 0, {200}},
		{10, 11, 2, LC_GET, 1, 0, 0, {100}},
	};
	static const LcOp deleted[] = {
		{1, 9, 0, LC_PUT_ALL, 0, 0, 100, {LC_UNTOLD}},
		{2, 4, 1, LC_DELETE_ALL, 0, 0, 200, {LC_UNTOLD}},
		{10, 11, 2, LC_GET, 1, 0, 0, {0}},
	};
	static const LcOp came_back[] = {
		{1, 9, 0, LC_PUT_ALL, 0, 0, 100, {LC_UNTOLD}},
		{2, 4, 1, LC_DELETE_ALL, 0, 0, 200, {LC_UNTOLD}},
		{10, 11, 2, LC_GET, 1, 0, 0, {100}},
	};
	static const LcOp half[] = {
		{1, 2, 0, LC_PUT_ALL, 0, 0, 100, {LC_UNTOLD}},
		{3, 9, 0, LC_PUT_ALL, 0, 0, 200, {LC_UNTOLD}},
		{4, 5, 1, LC_GET_ALL, 0, 0, 0, {200, 200, 100, 100}},
	};
	static const LcOp rolled_back[] = {
		{1, 2, 0, LC_PUT_ALL, 0, 0, 100, {LC_UNTOLD}},
		{4, 5, 1, LC_GET, 0, 0, 0, {101}},
	};

	expect(LC_LINEARIZABLE, &lc_numbered, overtaken, N(overtaken), "a commit that another one overtook");
	expect(LC_VIOLATION, &lc_numbered, went_back, N(went_back), "one that came through all the same");
	expect(LC_LINEARIZABLE, &lc_numbered, deleted, N(deleted), "one that a delete overtook");
	expect(LC_VIOLATION, &lc_numbered, came_back, N(came_back), "what a later delete has deleted");
	expect(LC_VIOLATION, &lc_numbered, half, N(half), "a commit that is seen in part");
	expect(LC_VIOLATION, &lc_numbered, rolled_back, N(rolled_back), "a write that was rolled back");
}

static HiCall
family_call(uint32_t object, uint32_t group, uint32_t kind, uint64_t number, uint64_t inv)
{
	HiCall		c = {.object = object,.group = group,.write = kind != LC_GET_ALL};

	c.op.kind = kind;
	c.op.inv = inv;
	c.op.res = inv + 10;
	if (c.write)
		c.op.arg = number;
	else
		c.op.out[0] = number;
	return c;
}

/* Transaction 1 writes families 5 and 6, 2 writes 6, 3 deletes 6 and puts 7. */
static void
test_visible(void)
{
	HiCall		c[8] = {
		family_call(5, 1, LC_PUT_ALL, 100, 1), family_call(6, 1, LC_PUT_ALL, 100, 1),
		family_call(6, 2, LC_PUT_ALL, 200, 2), family_call(6, 3, LC_DELETE_ALL, 300, 50),
		family_call(7, 3, LC_PUT_ALL, 300, 50)
	};
	static const struct
	{
		uint64_t	seen[3];	/* of 5, 6, 7 */
		uint64_t	inv;
		size_t		bad;
		const char *what;
	}			visits[] = {
		{{0, 0, 0}, 1, 0, "nothing yet"},
		{{100, 100, 0}, 1, 0, "a transaction seen whole"},
		{{100, 0, 0}, 1, 1, "one seen in part"},
		{{0, 100, 0}, 1, 1, "its other part"},
		{{0, 200, 0}, 2, 0, "a later one that overtook it on another family"},
		{{100, 200, 0}, 2, 0, "both"},
		{{100, 0, 0}, 60, 0, "one of which the rest may be deleted"},
		{{100, 0, 300}, 60, 0, "and is"},
		{{100, 200, 300}, 60, 1, "a delete that is not seen with its put"},
		{{150, 200, 0}, 60, 1, "a number that nobody committed"},
	};

	for (size_t i = 0; i < N(visits); i++)
	{
		size_t		bad;

		for (uint32_t f = 0; f < 3; f++)
			c[5 + f] = family_call(5 + f, 9, LC_GET_ALL, visits[i].seen[f], visits[i].inv);
		bad = vi_check(c, N(c), false);
		tap_ok((bad > 0) == (visits[i].bad > 0), "%s %s", visits[i].bad > 0 ? "rejects" : "accepts", visits[i].what);
	}
}

/* A history of n calls by "threads" threads, each taking effect somewhere between its two times. */
static size_t
play(LcOp *ops, size_t n, uint32_t threads, uint64_t *random)
{
	uint64_t	state[LC_CELLS] = {0};
	uint64_t	last[LC_THREADS_MAX] = {0};
	size_t		made = 0;

	/* call i takes effect at 1000 * (i + 1) */
	for (size_t i = 0; i < n; i++)
	{
		LcOp	   *op = &ops[made];
		uint64_t	now = 1000 * (i + 1);
		uint32_t	t = (uint32_t) (th_random(random) % threads);

		if (last[t] >= now)
			continue;
		memset(op, 0, sizeof(*op));
		op->thread = t;
		op->inv = now - th_random(random) % 5000 % (now - last[t]);
		op->res = now + 1 + th_random(random) % 5000;
		last[t] = op->res;
		op->kind = (uint32_t) (LC_GET + th_random(random) % 9);
		op->cell = (uint32_t) (th_random(random) % LC_CELLS);
		op->arg = i + 1;
		if (op->kind == LC_SWAP || (op->kind == LC_CAS && i % 2 == 0))
			op->out[1] = state[op->cell];
		/* try answers: counts are 0 .. 4, reads are the state itself */
		if (op->kind == LC_GET)
			op->out[0] = state[op->cell];
		else if (op->kind == LC_GET_ALL)
			memcpy(op->out, state, sizeof(state));
		else
			for (uint64_t flags = 0; flags <= LC_CELLS; flags++)
			{
				uint64_t	before[LC_CELLS];

				memcpy(before, state, sizeof(state));
				op->out[0] = flags;
				if (lc_family.step(state, op))
					break;
				memcpy(state, before, sizeof(state));
			}
		made++;
	}
	return made;
}

static void
test_random(void)
{
	uint64_t	random = 4711;
	LcOp	   *ops = malloc(3000 * sizeof(LcOp));
	uint32_t	wrong = 0,
				missed = 0,
				seeded = 0;

	for (int round = 0; round < 60; round++)
	{
		size_t		n = play(ops, 3000, 2 + round % 7, &random);
		size_t		victim;

		wrong += lc_check(&lc_family, ops, n, true) != LC_LINEARIZABLE;
		/* falsify a read: a value that was overwritten long ago, or will only be written later */
		for (victim = n / 2; ops[victim].kind != LC_GET; victim++)
			;
		ops[victim].out[0] = round % 2 ? n / 4 : 3000;
		seeded++;
		missed += lc_check(&lc_family, ops, n, false) != LC_VIOLATION;
	}
	tap_ok(wrong == 0, "accepts 60 long random histories");
	tap_ok(missed == 0, "rejects all %u with one false answer in them", seeded);
	free(ops);
}

int
main(void)
{
	th_watchdog(120);
	test_family();
	test_updates();
	test_batches();
	test_counters();
	test_stack();
	test_given_up();
	test_published();
	test_numbered();
	test_visible();
	test_random();
	return tap_done();
}
