/*
 * models.c
 *		Sequential models for the checker; see models.h.
 */
#include "models.h"

#include <stdio.h>
#include <string.h>

/* ---- a family of keys ---- */

static uint64_t
put(uint64_t *cell, uint64_t value)
{
	uint64_t	flag = (*cell == 0) != (value == 0);

	*cell = value;
	return flag;
}

static bool
untold(const LcOp *op)
{
	return op->out[0] == LC_UNTOLD;
}

static bool
get_all(const uint64_t *cell, const LcOp *op)
{
	for (int i = 0; i < LC_CELLS; i++)
		if (cell[i] != op->out[i])
			return false;
	return true;
}

static bool
family_update(uint64_t *cell, const LcOp *op)
{
	bool		hit;

	switch (op->kind)
	{
		case LC_SWAP:
			if (!untold(op) && (op->out[0] != (*cell != 0) ||
								(op->out[1] != *cell && (*cell == 0 || op->out[1] != LC_UNTOLD))))
				return false;
			*cell = op->arg;
			return true;
		case LC_CAS:
			hit = *cell == op->out[1];
			if (!untold(op) && op->out[0] != hit)
				return false;
			if (hit)
				*cell = op->arg;
			return true;
		case LC_INCR:
			*cell += op->arg;
			return untold(op) || *cell == op->out[0];
		default:
			return false;
	}
}

static bool
family_step(void *state, const LcOp *op)
{
	uint64_t   *cell = state;
	uint64_t	flags = 0;

	switch (op->kind)
	{
		case LC_GET:
			return cell[op->cell] == op->out[0];
		case LC_EXISTS:
			return (cell[op->cell] != 0) == op->out[0];
		case LC_GET_ALL:
			return get_all(cell, op);
		case LC_PUT:
		case LC_DELETE:
			flags = put(&cell[op->cell], op->kind == LC_PUT ? op->arg : 0);
			return untold(op) || flags == op->out[0];
		case LC_PUT_ALL:
		case LC_DELETE_ALL:
			for (int i = 0; i < LC_CELLS; i++)
				flags += put(&cell[i], op->kind == LC_PUT_ALL ? op->arg : 0);
			return untold(op) || flags == op->out[0];
		case LC_TRUNCATE:
			for (int i = 0; i < LC_CELLS; i++)
				cell[i] = 0;
			return true;
		default:
			return family_update(&cell[op->cell], op);
	}
}

static bool
family_reads(const LcOp *op)
{
	return op->kind == LC_GET || op->kind == LC_GET_ALL || op->kind == LC_EXISTS || (op->kind == LC_CAS && op->out[0] == 0);
}

static void
print_op(char *to, size_t bytes, const char *name, const LcOp *op)
{
	snprintf(to, bytes, "%s cell %u arg %llu -> %llu %llu %llu %llu", name, op->cell,
			 (unsigned long long) op->arg, (unsigned long long) op->out[0],
			 (unsigned long long) op->out[1], (unsigned long long) op->out[2],
			 (unsigned long long) op->out[3]);
}

static void
family_print(char *to, size_t bytes, const LcOp *op)
{
	static const char *const name[] = {
		"?", "get", "get all", "put", "put all", "delete", "delete all", "truncate", "swap",
		"compare and swap", "increment", "exists", "publish"
	};

	print_op(to, bytes, name[op->kind <= LC_PUBLISH ? op->kind : 0], op);
}

const LcModel lc_family = {
	LC_CELLS * sizeof(uint64_t), family_step, family_reads, family_print
};

/* ---- a family that is published ---- */

typedef struct PublishedState
{
	uint64_t	visible[LC_CELLS];
	uint64_t	pending[LC_CELLS];
} PublishedState;

static bool
published_step(void *state, const LcOp *op)
{
	PublishedState *s = state;
	uint64_t	arg = op->kind == LC_PUT || op->kind == LC_PUT_ALL ? op->arg : 0;
	uint64_t	flags = 0;

	switch (op->kind)
	{
		case LC_GET:
			return s->visible[op->cell] == op->out[0];
		case LC_EXISTS:
			return (s->visible[op->cell] != 0) == op->out[0];
		case LC_GET_ALL:
			return get_all(s->visible, op);
		case LC_PUT:
		case LC_DELETE:
			s->pending[op->cell] = arg;
			return untold(op) || op->out[0] == ((s->visible[op->cell] == 0) != (arg == 0));
		case LC_PUT_ALL:
		case LC_DELETE_ALL:
		case LC_TRUNCATE:
			for (int i = 0; i < LC_CELLS; i++)
			{
				s->pending[i] = arg;
				flags += (s->visible[i] == 0) != (arg == 0);
			}
			return op->kind == LC_TRUNCATE || untold(op) || flags == op->out[0];
		case LC_PUBLISH:
			memcpy(s->visible, s->pending, sizeof(s->visible));
			return true;
		default:
			return false;
	}
}

const LcModel lc_published = {
	sizeof(PublishedState), published_step, family_reads, family_print
};

/* ---- a family that transactions write ---- */

typedef struct NumberedState
{
	uint64_t	number;
	uint64_t	gone;
} NumberedState;

static bool
numbered_step(void *state, const LcOp *op)
{
	NumberedState *s = state;
	uint64_t	value = s->gone ? 0 : s->number;

	switch (op->kind)
	{
		case LC_GET:
			return value == op->out[0];
		case LC_EXISTS:
			return (value != 0) == op->out[0];
		case LC_GET_ALL:
			for (int i = 0; i < LC_CELLS; i++)
				if (value != op->out[i])
					return false;
			return true;
		case LC_PUT_ALL:
		case LC_DELETE_ALL:
			if (op->arg > s->number)
			{
				s->number = op->arg;
				s->gone = op->kind == LC_DELETE_ALL;
			}
			return true;
		default:
			return false;
	}
}

const LcModel lc_numbered = {
	sizeof(NumberedState), numbered_step, family_reads, family_print
};

/* ---- counters ---- */

static bool
counters_step(void *state, const LcOp *op)
{
	uint64_t   *cell = state;

	switch (op->kind)
	{
		case LC_ADD:
			cell[op->cell] += op->arg;
			return cell[op->cell] == op->out[0];
		case LC_ADD_ALL:
			for (int i = 0; i < LC_CELLS; i++)
				cell[i] += op->arg;
			return cell[LC_CELLS - 1] == op->out[0];
		case LC_READ:
			for (int i = 0; i < LC_CELLS; i++)
				if (cell[i] != op->out[i])
					return false;
			return true;
		default:
			return false;
	}
}

static bool
counters_reads(const LcOp *op)
{
	return op->kind == LC_READ;
}

static void
counters_print(char *to, size_t bytes, const LcOp *op)
{
	static const char *const name[] = {"?", "add", "add all", "read"};

	print_op(to, bytes, name[op->kind <= LC_READ ? op->kind : 0], op);
}

const LcModel lc_counters = {
	LC_CELLS * sizeof(uint64_t), counters_step, counters_reads, counters_print
};

/* ---- a stack ---- */

typedef struct StackState
{
	uint64_t	depth;
	uint64_t	value[LC_STACK_MAX];
} StackState;

_Static_assert(sizeof(StackState) <= LC_STATE_MAX, "state fits");

static bool
stack_step(void *state, const LcOp *op)
{
	StackState *s = state;
	uint64_t	value = 0;

	switch (op->kind)
	{
		case LC_PUSH:
			if (s->depth == LC_STACK_MAX)
				return false;
			s->value[s->depth++] = op->arg;
			return s->depth == op->out[0];
		case LC_POP:
			if (s->depth == 0)
				return op->out[0] == 0;
			value = s->value[--s->depth];
			s->value[s->depth] = 0; /* equal stacks are equal bytes */
			return op->out[0] == 1 && op->out[1] == value;
		case LC_TOP:
			value = s->depth > 0 ? s->value[s->depth - 1] : 0;
			return op->out[0] == s->depth && op->out[1] == value;
		default:
			return false;
	}
}

static bool
stack_reads(const LcOp *op)
{
	return op->kind == LC_TOP;
}

static void
stack_print(char *to, size_t bytes, const LcOp *op)
{
	static const char *const name[] = {"?", "push", "pop", "top"};

	print_op(to, bytes, name[op->kind <= LC_TOP ? op->kind : 0], op);
}

const LcModel lc_stack = {
	sizeof(StackState), stack_step, stack_reads, stack_print
};
