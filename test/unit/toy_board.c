/*
 * toy_board.c
 *		Cells that obey order numbers; see toy_board.h.
 */
#include "toy_board.h"

#include <stdlib.h>

#include "thread_host.h"

ToyHeard	toy_heard[TOY_HEARD_MAX];
uint32_t	toy_heard_n;
uint32_t	toy_board_need;
uint64_t	toy_board_stamp;

static bool listening;

void
toy_board_listen(bool on)
{
	toy_heard_n = 0;
	listening = on;
}

static void
hear(ToyCall call, const NrCopy *copy, uint64_t value)
{
	if (!listening)
		return;
	if (toy_heard_n == TOY_HEARD_MAX)
		th_die("the board was called too often");
	toy_heard[toy_heard_n++] = (ToyHeard) {call, copy->root, value};
}

uint32_t
toy_board_calls(ToyCall call, const char *root)
{
	uint32_t	n = 0;

	for (uint32_t i = 0; i < toy_heard_n; i++)
		n += toy_heard[i].call == call && (root == NULL || toy_heard[i].root == root);
	return n;
}

/* ---- the structure ---- */

static size_t
board_size(const NrCopyConfig *config)
{
	(void) config;
	return sizeof(ToyBoard);
}

static uint32_t
board_init_extents(const NrCopyConfig *config)
{
	(void) config;
	return 0;
}

static void
board_init(NrCopy *copy, const NrCopyConfig *config)
{
	(void) copy;
	(void) config;
}

static NrStatus
board_dispatch(const NrCopy *copy, const void *op, void *resp)
{
	(void) op;
	memcpy(resp, copy->root, sizeof(ToyBoard));
	return NR_OK;
}

static NrStatus
set(NrCopy *copy, const NrOpHeader *op, NrResponse *resp)
{
	ToyBoard   *board = (ToyBoard *) copy->root;
	const ToySet *set = nr_op_payload(op);

	if (op->code != TOY_SET || op->payload_bytes != sizeof(ToySet) || set->cell >= TOY_CELLS)
		return NR_BAD_OP;
	board->writes++;
	if (op->order_seq != 0)
	{
		board->broken += op->order_seq < board->before;
		if (op->order_seq < board->order_seq[set->cell])
			return NR_OK;
		board->order_seq[set->cell] = op->order_seq;
	}
	board->value[set->cell] = set->value;
	resp->flag = true;
	return NR_OK;
}

static NrStatus
board_mut(NrCopy *copy, const NrOpHeader *op, NrResponse *resp)
{
	hear(TOY_MUT, copy, ((const ToySet *) nr_op_payload(op))->value);
	return set(copy, op, resp);
}

static NrStatus
board_first(NrCopy *copy, NrOpHeader *op, NrResponse *resp)
{
	ToySet	   *payload = (ToySet *) (op + 1);

	if (op->code == TOY_STAMP)
	{
		payload->value = ++toy_board_stamp;
		op->code = TOY_SET;
	}
	hear(TOY_FIRST, copy, payload->value);
	return set(copy, op, resp);
}

static NrStatus
board_second(NrCopy *copy, const NrOpHeader *op, NrResponse *resp)
{
	hear(TOY_SECOND, copy, ((const ToySet *) nr_op_payload(op))->value);
	return set(copy, op, resp);
}

static void
board_drop_first(NrCopy *copy)
{
	hear(TOY_DROP_FIRST, copy, ((ToyBoard *) copy->root)->value[0]);
}

static void
board_drop_second(NrCopy *copy)
{
	hear(TOY_DROP_SECOND, copy, ((ToyBoard *) copy->root)->value[0]);
}

static void
board_sync(NrCopy *to, const NrCopy *from)
{
	if (memcmp(to->root, from->root, sizeof(ToyBoard)) != 0)
		th_die("the engine has not copied the root");
	hear(TOY_SYNC, to, 0);
}

static void
board_ordered(NrCopy *copy, uint64_t horizon)
{
	ToyBoard   *board = (ToyBoard *) copy->root;

	hear(TOY_ORDERED, copy, horizon);
	board->before = board->horizon;
	if (horizon > board->horizon)
		board->horizon = horizon;
}

static NrNeed
board_need(const NrCopyConfig *config, uint32_t n, uint64_t bytes)
{
	(void) config;
	(void) n;
	(void) bytes;
	return (NrNeed) {0};
}

static NrNeed
board_need_ops(const NrCopyConfig *config, const void *ops, size_t bytes, uint32_t n, bool ordered)
{
	(void) config;
	(void) ops;
	(void) bytes;
	(void) ordered;
	return (NrNeed) {.extents = n * toy_board_need};
}

static uint64_t
board_checksum(const NrCopy *copy)
{
	const uint64_t *word = (const uint64_t *) copy->root;
	uint64_t	h = 0;

	for (size_t i = 0; i < sizeof(ToyBoard) / sizeof(uint64_t); i++)
		h = (h ^ word[i]) * UINT64_C(0x9E3779B97F4A7C15);
	return h;
}

static const char *
board_verify(const NrCopy *copy)
{
	return ((const ToyBoard *) copy->root)->broken > 0 ? "board: a number came behind a horizon above it" : NULL;
}

const NrDispatch toy_board_dispatch = {
	.name = "toy_board",
	.id = TOY_BOARD_ID,
	.size = board_size,
	.init_extents = board_init_extents,
	.init = board_init,
	.dispatch = board_dispatch,
	.dispatch_mut = board_mut,
	.need = board_need,
	.need_ops = board_need_ops,
	.ordered = board_ordered,
	.checksum = board_checksum,
	.verify = board_verify,
	.absorb_first = board_first,
	.absorb_second = board_second,
	.drop_first = board_drop_first,
	.drop_second = board_drop_second,
	.sync_with = board_sync,
};

/* ---- calls ---- */

static size_t
encode(void *to, uint16_t code, uint64_t cell, uint64_t value)
{
	NrOpHeader	op = {.bytes = TOY_SET_BYTES,.code = code,.payload_bytes = sizeof(ToySet)};
	ToySet		payload = {cell, value};

	memcpy(to, &op, sizeof(op));
	memcpy((char *) to + sizeof(op), &payload, sizeof(payload));
	return TOY_SET_BYTES;
}

size_t
toy_set(void *to, uint64_t cell, uint64_t value)
{
	return encode(to, TOY_SET, cell, value);
}

size_t
toy_stamp(void *to, uint64_t cell)
{
	return encode(to, TOY_STAMP, cell, 0);
}

ToyBoard
toy_board_read(NrHandle *handle)
{
	ToyBoard	board;

	if (nr_execute(handle, NULL, &board, false) != NR_OK)
		th_die("a board could not be read");
	return board;
}
