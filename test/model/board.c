/*
 * board.c
 *		Prepared writes on stage; contract in board.h.
 */
#include "board.h"

#include "engine/replay.h"
#include "thread_host.h"

Board	   *board;

/* toy_board.c's last word. */
void
th_die(const char *what)
{
	model_fail("%s", what);
}

void
board_set(StageConfig config)
{
	config.dispatch = &toy_board_dispatch;
	stage_set(&config);
	board = model_alloc(sizeof(Board), NR_CACHE_LINE);
	board->pool_free = nr_load32_rlx(&nr_control(&stage->e)->pool_free);
}

size_t
board_ops(void *to, uint64_t value)
{
	size_t		bytes = 0;

	for (uint32_t cell = 0; cell < BOARD_CELLS; cell++)
		bytes += toy_set((char *) to + bytes, cell, value);
	return bytes;
}

NrStatus
board_prepare(int session, uint64_t value, uint32_t flags)
{
	_Alignas(8) char ops[BOARD_OPS_BYTES];
	bool		cancellable = model_thread() >= 0 && stage->cancels[model_thread()] > 0;
	NrStatus	status = nr_prepare(&stage->h[session], ops, board_ops(ops, value), BOARD_CELLS, flags, cancellable,
									&board->p[session]);

	model_assert(status == NR_OK || (cancellable && status == NR_CANCELLED) ||
				 ((flags & NR_PREPARE_TRY) && status == NR_BUSY));
	return status;
}

void
board_append(int session)
{
	nr_prepared_append(&stage->h[session], &board->p[session]);
}

void
board_drop(int session)
{
	nr_prepared_drop(&stage->h[session], &board->p[session]);
}

uint64_t
board_value(const ToyBoard *read)
{
	for (uint32_t cell = 1; cell < BOARD_CELLS; cell++)
		model_assert(read->value[cell] == read->value[0]);
	return read->value[0];
}

uint64_t
board_get(int session)
{
	ToyBoard	read = toy_board_read(&stage->h[session]);

	return board_value(&read);
}

uint64_t
board_peek(uint32_t r, uint32_t c)
{
	NrCopy		copy;

	nr_copy_view(&stage->e, 0, r, c, &copy);
	return board_value((ToyBoard *) copy.root);
}

void
board_settled(uint64_t value)
{
	struct NrGroup *group = nr_group(&stage->e, 0);

	stage_settled();
	for (uint32_t r = 0; r < group->replicas; r++)
		for (uint32_t c = 0; c < group->copies; c++)
		{
			NrCopy		copy;

			model_assert(board_peek(r, c) == value);
			nr_copy_view(&stage->e, 0, r, c, &copy);
			model_assert(nr_load64_rlx(&group->headroom) == copy.table->free_count);
			model_assert(nr_load32_rlx(&group->mapped) == copy.table->mapped_count);
		}
	model_assert(nr_load64_rlx(nr_committers(&stage->e, group)) == 0);
}

void
board_no_leaks(void)
{
	uint64_t	records = nr_load64_rlx(&nr_group(&stage->e, 0)->records);
	uint32_t	free = nr_load32_rlx(&nr_control(&stage->e)->pool_free);

	/* at most one extent is open for records */
	model_assert(free + ((uint32_t) records != 0) == board->pool_free);
	for (uint32_t x = 0; x < stage->e.geo.extents; x++)
		free -= nr_load32_rlx(&nr_pool_entry(&stage->e, x)->owner) == 0;
	model_assert(free == 0);
}
