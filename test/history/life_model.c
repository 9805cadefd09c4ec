/*
 * life_model.c
 *		What a family of keys in a cache that comes and goes must answer; see world.h.
 *
 * A take keeps what it has taken until its transaction has ended: nobody can write meanwhile.  Which of its two
 * ends comes is told by a call of its own; that of another take changes nothing.
 */
#include "world.h"

#include <stdio.h>
#include <string.h>

typedef struct LifeState
{
	uint64_t	exists;
	uint64_t	taken;			/* by which take, which has not ended */
	uint64_t	visible[LC_CELLS];
	uint64_t	pending[LC_CELLS];	/* what publish would make visible */
} LifeState;

static void
fill(uint64_t *cell, uint64_t value)
{
	for (int i = 0; i < LC_CELLS; i++)
		cell[i] = value;
}

/* A cache that is new, or as good as that. */
static bool
begin(LifeState *s, const LcOp *op)
{
	s->exists = 1;
	s->taken = 0;
	fill(s->visible, op->n == 1 ? 0 : op->arg);
	fill(s->pending, op->arg);
	return true;
}

static bool
look(const LifeState *s, const LcOp *op)
{
	static const uint64_t none[LC_CELLS];

	return memcmp(s->taken != 0 ? none : s->visible, op->out, sizeof(s->visible)) == 0;
}

static bool
take(LifeState *s, const LcOp *op)
{
	if (op->out[0] == LC_UNTOLD)
	{
		if (s->exists && s->taken == 0)
			s->taken = op->arg;
		return true;
	}
	/* it has published before, and nobody can write in between */
	if (!s->exists || s->taken != 0 || memcmp(s->visible, op->out, sizeof(s->visible)) != 0 ||
		memcmp(s->pending, op->out, sizeof(s->pending)) != 0)
		return false;
	s->taken = op->arg;
	return true;
}

static bool
take_ends(LifeState *s, const LcOp *op)
{
	if (s->taken != op->arg)
		return true;
	s->taken = 0;
	if (op->kind == WO_TAKE_DONE)
	{
		fill(s->visible, 0);
		fill(s->pending, 0);
	}
	return true;
}

static bool
life_step(void *state, const LcOp *op, bool published)
{
	LifeState  *s = state;

	switch (op->kind)
	{
		case LC_GET_ALL:
			return s->exists && look(s, op);
		case WO_MISSING:
			return !s->exists;
		case LC_PUT_ALL:
		case LC_TRUNCATE:
			fill(s->pending, op->kind == LC_TRUNCATE ? 0 : op->arg);
			if (!published)
				memcpy(s->visible, s->pending, sizeof(s->visible));
			return s->exists && s->taken == 0;
		case LC_PUBLISH:
			memcpy(s->visible, s->pending, sizeof(s->visible));
			return s->exists && s->taken == 0;
		case WO_CREATE:
			return !s->exists && begin(s, op);
		case WO_EMPTY:
			return s->exists && begin(s, op);
		case WO_DROP:
			if (!s->exists && op->n == 0)
				return false;
			memset(s, 0, sizeof(*s));
			return true;
		case WO_TAKE:
			return take(s, op);
		case WO_TAKE_UNDONE:
		case WO_TAKE_DONE:
			return take_ends(s, op);
		default:
			return false;
	}
}

static bool
step_at_once(void *state, const LcOp *op)
{
	return life_step(state, op, false);
}

static bool
step_published(void *state, const LcOp *op)
{
	return life_step(state, op, true);
}

static bool
life_reads(const LcOp *op)
{
	return op->kind == LC_GET_ALL || op->kind == WO_MISSING;
}

static void
life_print(char *to, size_t bytes, const LcOp *op)
{
	static const char *const name[] = {"create", "drop", "empty", "missing", "take", "take undone", "take done"};

	if (op->kind < WO_CREATE)
		lc_family.print(to, bytes, op);
	else
		snprintf(to, bytes, "%s arg %llu%s -> %llu %llu %llu %llu", name[op->kind - WO_CREATE],
				 (unsigned long long) op->arg, op->n == 1 ? " (1)" : "", (unsigned long long) op->out[0],
				 (unsigned long long) op->out[1], (unsigned long long) op->out[2], (unsigned long long) op->out[3]);
}

const LcModel wo_life = {sizeof(LifeState), step_at_once, life_reads, life_print};
const LcModel wo_life_published = {sizeof(LifeState), step_published, life_reads, life_print};
