/*
 * toy_stack.h
 *		A stack of numbers that lives in extents, as a replicated structure: tests only.
 */
#ifndef TOY_STACK_H
#define TOY_STACK_H

#include "engine/dispatch.h"

#define TOY_STACK_ID	102

extern const NrDispatch toy_stack_dispatch;

enum
{
	TOY_PUSH = 1,				/* payload uint64_t; answer: the new depth; NR_NO_SPACE when no extent is left */
	TOY_POP,					/* flag: there was one; answer: the number, when there was one */
	TOY_CLEAR					/* gives all extents back; flag: there was anything */
};

#define TOY_PUSH_BYTES	(sizeof(NrOpHeader) + sizeof(uint64_t))

/* Encode at "to", 8-byte aligned; returns the bytes written. */
extern size_t toy_push(void *to, uint64_t value);
extern size_t toy_pop(void *to);
extern size_t toy_clear(void *to);

typedef struct ToyTop
{
	uint64_t	depth;
	uint64_t	top;			/* 0 when empty */
} ToyTop;						/* the answer of a read; there is one kind, "op" is not looked at */

#endif							/* TOY_STACK_H */
