/*
 * toy_board.h
 *		A row of cells that obeys order numbers, as a replicated structure: tests only.
 *
 * It offers all that a structure may offer: need_ops, ordered, absorb_first,
 * absorb_second, drop_first, drop_second, sync_with; and it notes who called what
 * for which copy.
 */
#ifndef TOY_BOARD_H
#define TOY_BOARD_H

#include "engine/engine.h"

#define TOY_BOARD_ID	103
#define TOY_CELLS		64

extern const NrDispatch toy_board_dispatch;

enum
{
	TOY_SET = 1,				/* payload ToySet; flag: it was applied, and not overtaken by a higher number */
	TOY_STAMP					/* the same, but the value is the next of toy_board_stamp: absorb_first makes a TOY_SET of it */
};

typedef struct ToySet
{
	uint64_t	cell;
	uint64_t	value;
} ToySet;

#define TOY_SET_BYTES	(sizeof(NrOpHeader) + sizeof(ToySet))

/* Encode at "to", 8-byte aligned; returns the bytes written. */
extern size_t toy_set(void *to, uint64_t cell, uint64_t value);
extern size_t toy_stamp(void *to, uint64_t cell);

/* The answer of a read; there is one kind, "op" is not looked at. */
typedef struct ToyBoard
{
	uint64_t	writes;
	uint64_t	horizon;		/* highest that was announced */
	uint64_t	before;			/* what it was before the last batch */
	uint64_t	broken;			/* operations that came behind a horizon above their number */
	uint64_t	value[TOY_CELLS];
	uint64_t	order_seq[TOY_CELLS];
} ToyBoard;

extern ToyBoard toy_board_read(NrHandle *handle);

/* What was called, in this order; tests of one thread only, which begin with toy_board_listen. */
typedef enum ToyCall
{
	TOY_MUT,
	TOY_FIRST,
	TOY_SECOND,
	TOY_DROP_FIRST,
	TOY_DROP_SECOND,
	TOY_SYNC,
	TOY_ORDERED,
	TOY_CALLS
} ToyCall;

#define TOY_HEARD_MAX	256

typedef struct ToyHeard
{
	ToyCall		call;
	const char *root;			/* of the copy: tells which */
	uint64_t	value;			/* that was set, or the horizon */
} ToyHeard;

extern ToyHeard toy_heard[TOY_HEARD_MAX];
extern uint32_t toy_heard_n;

extern void toy_board_listen(bool on);

/* How often was this called, for a copy or (NULL) for any? */
extern uint32_t toy_board_calls(ToyCall call, const char *root);

/* What need_ops answers, for each operation; 0 at first. */
extern uint32_t toy_board_need;
extern uint64_t toy_board_stamp;

#endif							/* TOY_BOARD_H */
