/*
 * seeded.c
 *		Falsify a recorded history that was found right, and see whether that is found; see world.h.
 *
 * Each error is put where it cannot be right whatever the order of calls is: so a checker that does not
 * find it has missed something.
 */
#include "world.h"

#include <stdlib.h>
#include <string.h>

enum
{
	STALE_READ,
	LOST_UPDATE,
	TORN_BATCH,
	WRONG_WAITER,
	HALF_COMMIT,
	ROLLED_BACK,
	LOST_CREATE,
	TAKEN_AGAIN
};

const char *const wo_seeded_name[WO_SEEDED_KINDS] = {
	"a stale read", "a lost update", "a torn batch", "an answer handed to the wrong waiter",
	"a commit seen in part", "a rolled-back write seen", "a lost create", "taken entries found again"
};

#define EACH_MAX	60			/* errors of a kind in a round */

static bool
puts_cell(const LcOp *op, uint32_t cell)
{
	return op->res != LC_FOREVER && (op->kind == LC_PUT_ALL || (op->kind == LC_PUT && op->cell == cell));
}

/* The value that the cell had before one that was itself put before "until"; 0: none. */
static uint64_t
overwritten(const LcOp *ops, size_t n, uint32_t cell, uint64_t until, const LcOp *by)
{
	const LcOp *last = by;

	for (size_t i = 0; i < n && by == NULL; i++)
		if (puts_cell(&ops[i], cell) && ops[i].res < until && (last == NULL || ops[i].inv > last->inv))
			last = &ops[i];
	for (size_t i = 0; i < n && last != NULL; i++)
		if (puts_cell(&ops[i], cell) && ops[i].res < last->inv && ops[i].arg < last->arg)
			return ops[i].arg;
	return 0;
}

/* Make op say something else. */
static bool
falsify_read(const LcOp *ops, size_t n, LcOp *op, int what)
{
	uint64_t	old;

	if (op->kind == LC_GET && what == STALE_READ)
	{
		old = overwritten(ops, n, op->cell, op->inv, NULL);
		op->out[0] = old != 0 ? old : op->out[0];
		return old != 0;
	}
	if (op->kind == LC_GET && what == ROLLED_BACK && op->out[0] != 0)
	{
		op->out[0] = op->out[0] / WO_VALUE_STEP * WO_VALUE_STEP + WO_VALUE_STEP - 1;
		return true;
	}
	if (op->kind != LC_GET_ALL || what != TORN_BATCH || op->out[0] == 0)
		return false;
	for (uint32_t k = 1; k < LC_CELLS; k++)
		if (op->out[k] != op->out[0])
			return false;
	for (size_t i = 0; i < n; i++)
		if (ops[i].kind == LC_PUT_ALL && ops[i].arg == op->out[0] && ops[i].res < op->inv)
		{
			old = overwritten(ops, n, LC_CELLS - 1, 0, &ops[i]);
			op->out[LC_CELLS - 1] = old != 0 ? old : op->out[0];
			return old != 0;
		}
	return false;
}

static bool
answered(const LcOp *op, uint32_t kind, uint32_t cell)
{
	return op->kind == kind && op->cell == cell && op->res != LC_FOREVER;
}

/* Make the answers of two calls say something else. */
static bool
falsify_update(LcOp *ops, size_t n, LcOp *op, int what)
{
	uint32_t	kind = what == LOST_UPDATE ? LC_INCR : LC_SWAP;

	if (op->kind != kind || op->res == LC_FOREVER)
		return false;
	for (size_t i = 0; i < n; i++)
	{
		LcOp	   *other = &ops[i];

		if (other == op || !answered(other, kind, op->cell))
			continue;
		/* it did not see the one before */
		if (what == LOST_UPDATE && op->res < other->inv && other->out[0] == op->out[0] + other->arg &&
			op->out[0] != op->arg)
		{
			other->out[0] -= op->arg;
			return true;
		}
		/* each gets the other's */
		if (what == WRONG_WAITER && other->out[0] == 1 && other->out[1] == op->arg)
		{
			uint64_t	out[2] = {op->out[0], op->out[1]};

			memcpy(op->out, other->out, sizeof(out));
			memcpy(other->out, out, sizeof(out));
			return true;
		}
	}
	return false;
}

/* Could this call leave the cache without what it was made with, and come between that and the read? */
static bool
may_empty(const LcOp *op, const LcOp *create, const LcOp *read)
{
	if (op == create || op->kind == WO_MISSING || (op->kind < WO_CREATE && op->kind != LC_TRUNCATE))
		return false;
	return op->res > create->inv && op->inv < read->res && !(op->thread == create->thread && op->inv < create->inv);
}

/* The first read that must see what a cache was made with says that there is nothing. */
static bool
falsify_create(LcOp *ops, size_t n, const LcOp *create)
{
	if (create->kind != WO_CREATE || create->arg == 0 || create->n == 1)
		return false;
	for (size_t i = 0; i < n; i++)
	{
		LcOp	   *read = &ops[i];
		bool		sure = read->kind == LC_GET_ALL && read->inv > create->res && read->out[0] == create->arg;

		for (size_t k = 0; k < n && sure; k++)
			sure = !may_empty(&ops[k], create, read);
		if (sure)
		{
			memset(read->out, 0, sizeof(read->out));
			return true;
		}
	}
	return false;
}

/* A read or another take finds what nobody has written again. */
static bool
falsify_take(LcOp *ops, size_t n, const LcOp *take)
{
	if (take->kind != WO_TAKE || take->out[0] == 0 || take->out[0] == LC_UNTOLD)
		return false;
	for (size_t i = 0; i < n; i++)
	{
		bool		committed = false;

		for (size_t k = 0; k < n && !committed; k++)
			committed = ops[k].kind == WO_TAKE_DONE && ops[k].arg == take->arg && ops[k].res < ops[i].inv;
		if (committed && (ops[i].kind == WO_TAKE || ops[i].kind == LC_GET_ALL) && ops[i].out[0] != take->out[0])
		{
			memcpy(ops[i].out, take->out, sizeof(take->out));
			return true;
		}
	}
	return false;
}

static bool
is_life(const LcModel *model)
{
	return model == &wo_life || model == &wo_life_published;
}

/* Put an error of this kind where this call allows it. */
static bool
falsify(const LcOp *ops, LcOp *copy, size_t n, LcOp *op, int what)
{
	switch (what)
	{
		case LOST_UPDATE:
		case WRONG_WAITER:
			return falsify_update(copy, n, op, what);
		case LOST_CREATE:
			return falsify_create(copy, n, op);
		case TAKEN_AGAIN:
			return falsify_take(copy, n, op);
		default:
			return falsify_read(ops, n, op, what);
	}
}

void
wo_seed_object(const LcModel *model, const LcOp *ops, size_t n, WoSeeded *seeded)
{
	LcOp	   *copy = malloc((n + 1) * sizeof(LcOp));

	for (int what = 0; what < WO_SEEDED_KINDS; what++)
	{
		bool		done = false;

		if (seeded->made[what] >= EACH_MAX || what == HALF_COMMIT)
			continue;
		if (is_life(model) ? what < LOST_CREATE : what >= LOST_CREATE || (model != &lc_family && what != ROLLED_BACK))
			continue;
		memcpy(copy, ops, n * sizeof(LcOp));
		/* from the middle on */
		for (size_t i = 0; i < n && !done; i++)
			done = falsify(ops, copy, n, &copy[(n / 2 + i) % n], what);
		if (!done)
			continue;
		seeded->made[what]++;
		seeded->found[what] += lc_check(model, copy, n, false) == LC_VIOLATION;
	}
	free(copy);
}

/* Let one family of a visit have an older number than another one that the same transaction wrote. */
static bool
falsify_visit(HiCall *calls, size_t n, size_t i)
{
	const HiCall *here = &calls[i];

	if (here->op.kind != LC_GET_ALL || here->group == 0 || here->op.out[0] == 0)
		return false;
	for (size_t k = 0; k < n; k++)
	{
		HiCall	   *there = &calls[k];

		if (k == i || there->op.kind != LC_GET_ALL || there->group != here->group ||
			there->op.out[0] != here->op.out[0])
			continue;
		for (size_t w = 0; w < n; w++)
			if (calls[w].write && calls[w].object == there->object && calls[w].op.kind == LC_PUT_ALL &&
				calls[w].op.arg < there->op.out[0])
			{
				there->op.out[0] = calls[w].op.arg;
				return true;
			}
	}
	return false;
}

void
wo_seed_visits(const HiCall *calls, size_t n, WoSeeded *seeded)
{
	HiCall	   *copy = malloc((n + 1) * sizeof(HiCall));

	for (size_t tries = 0; tries < 3; tries++)
	{
		bool		done = false;

		memcpy(copy, calls, n * sizeof(HiCall));
		for (size_t i = n * (tries + 1) / 5; i < n && !done; i++)
			done = falsify_visit(copy, n, i);
		if (!done)
			continue;
		seeded->made[HALF_COMMIT]++;
		seeded->found[HALF_COMMIT] += vi_check(copy, n, false) > 0;
	}
	free(copy);
}
