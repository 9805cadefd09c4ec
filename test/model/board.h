/*
 * board.h
 *		Prepared writes on stage: cells that obey order numbers (toy_board.h), and what actors do with them.
 *
 * A write sets the first cells, all to one value, so a reader that finds them different has seen part of a batch.
 */
#ifndef BOARD_H
#define BOARD_H

#include "stage.h"
#include "toy_board.h"

#define BOARD_CELLS		4		/* that a write sets: its record takes two chunks (prepare.c) */

typedef struct Board
{
	NrPrepared	p[STAGE_ACTORS];	/* one for each session */
	uint32_t	pool_free;		/* at the beginning */
} Board;

/* In the arena. */
extern Board *board;

/* stage_set with a board in place of counters. */
extern void board_set(StageConfig config);

/* What may be cancelled is: stage->cancels; then, or if "flags" has NR_PREPARE_TRY, other answers than NR_OK. */
extern NrStatus board_prepare(int session, uint64_t value, uint32_t flags);
extern void board_append(int session);
extern void board_drop(int session);

/* The operations of such a write; returns their bytes.  "to" has room for BOARD_OPS_BYTES. */
#define BOARD_OPS_BYTES	(BOARD_CELLS * TOY_SET_BYTES)

extern size_t board_ops(void *to, uint64_t value);

/* The value of all cells of a board that was read. */
extern uint64_t board_value(const ToyBoard *read);

/* By a session; by the director: of copy c of replica r. */
extern uint64_t board_get(int session);
extern uint64_t board_peek(uint32_t r, uint32_t c);

/* By the director: stage_settled, all copies have "value", and no number is in flight. */
extern void board_settled(uint64_t value);

/* Then: as much memory is free as at the beginning. */
extern void board_no_leaks(void);

#endif							/* BOARD_H */
