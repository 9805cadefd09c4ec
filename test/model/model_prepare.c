/*
 * model_prepare.c
 *		Prepared writes (prepare.c): what is acknowledged is seen (C1, A1), records are shared (M1) and nothing that was
 *		promised is lost, whether a write is appended, dropped or given up.
 *
 * Lazy groups: an append waits for nobody, and a read that finds it not applied applies it.  Where two sessions of
 * different replicas take part there are two replicas, otherwise one.  Commits of two copies: model_leftright.
 *
 * Not covered: requests larger than a session's buffer; a chain that is handed over (model_publish); what two copies share.
 */
#include "board.h"

#include "engine/combine.h"
#include "engine/grant.h"
#include "engine/log.h"
#include "engine/pool.h"

#define ALL		MODEL_UNBOUNDED

static void
lazy(uint32_t replicas, uint32_t log_slots)
{
	board_set((StageConfig) {.lazy = true,.replicas = replicas,.sessions = 3,.log_slots = log_slots,.extents = 16});
	toy_board_need = 0;
}

/* ---- an append and a reader ---- */

static void
prepared_one(void)
{
	lazy(1, 4);
	board_prepare(0, 1, 0);
}

static void
prepared_two(void)
{
	lazy(2, 4);
	board_prepare(0, 1, 0);
}

static NrAtomic64 *
acknowledged(void)
{
	return (NrAtomic64 *) &stage->note[0][0];
}

/* Sessions 0 and 2 are on replica 0, session 1 on the other, if there is one. */
static void
append_and_get(int i)
{
	uint64_t	seen;

	if (i == 0)
	{
		board_append(0);
		nr_store64_rel(acknowledged(), 1);
		return;
	}
	seen = nr_load64_acq(acknowledged());
	for (int session = 1; session <= 2; session++)
	{
		uint64_t	value = board_get(session);

		model_assert(value >= seen);
		seen = value;
	}
}

static void
append_and_get_own(int i)
{
	if (i == 0)
	{
		board_append(0);
		model_assert(board_get(0) == 1);
	}
	else
		(void) board_get(1);
}

/* It is appended while another has the combiner lock, or is inside, and so it is not applied at once. */
static void
combiner_busy(void)
{
	prepared_one();
	model_assert(nr_combiner_try(&stage->s[1], 0, 0));
}

static void
append_beside_combiner(int i)
{
	if (i == 0)
	{
		board_append(0);
		model_assert(board_get(0) == 1);
	}
	else
		nr_combiner_unlock(&stage->s[1], 0, 0);
}

static void
reader_inside(void)
{
	prepared_one();
	model_assert(nr_enter(&stage->h[1], false) == NR_OK);
}

static void
append_beside_reader(int i)
{
	uint64_t	seen;

	if (i == 0)
	{
		board_append(0);
		nr_store64_rel(acknowledged(), 1);
		return;
	}
	model_assert(board_get(1) == 0);
	nr_leave(&stage->h[1]);
	seen = nr_load64_acq(acknowledged());
	model_assert(board_get(1) >= seen);
}

static void
is_1(void)
{
	board_settled(1);
	board_no_leaks();
}

/* ---- two at a time: numbers are not drawn, so either may be the last ---- */

static void
both_prepared(void)
{
	prepared_one();
	board_prepare(1, 2, 0);
}

static void
append_one_each(int i)
{
	board_append(i);
}

static void
append_or_drop_each(int i)
{
	if (model_choose(2) == 0)
		board_append(i);
	else
		board_drop(i);
}

static void
prepare_and_drop(int i)
{
	board_prepare(i, (uint64_t) i + 1, 0);
	board_drop(i);
}

static void
prepare_and_append(int i)
{
	if (board_prepare(i, (uint64_t) i + 1, 0) == NR_OK)
	{
		board_append(i);
		stage->note[i][1] = 1;
	}
}

static void
append_beside_prepare(int i)
{
	if (i == 0)
		board_append(0);
	else
		prepare_and_drop(1);
}

static void
either(void)
{
	uint64_t	value;

	stage_settled();			/* brings what is behind to the tail */
	value = board_peek(0, 0);
	model_assert(value <= 2);
	board_settled(value);
	board_no_leaks();
}

static void
either_appended(void)
{
	uint64_t	value;

	stage_settled();
	value = board_peek(0, 0);
	model_assert(value == 0 ? stage->note[0][1] + stage->note[1][1] == 0 : stage->note[value - 1][1] == 1);
	either();
}

static void
nothing(void)
{
	board_settled(0);
	board_no_leaks();
}

/* ---- records: the open extent is nearly used up, and session 2 still needs some of it ---- */

/* A record that takes one chunk; others take two. */
static void
small_record(void)
{
	_Alignas(8) char op[TOY_SET_BYTES];
	NrPrepared	small;

	model_assert(nr_prepare(&stage->h[0], op, toy_set(op, 0, 1), 1, 0, false, &small) == NR_OK);
	nr_prepared_drop(&stage->h[0], &small);
}

/* So many chunks of the open extent are left. */
static void
chunks_left(uint32_t left)
{
	struct NrGroup *group;

	lazy(1, 4);
	board_prepare(2, 3, 0);
	group = nr_group(&stage->e, 0);
	if (left % 2 == 1)
		small_record();
	for (uint32_t chunk = 2 + left % 2; chunk + left < NR_RECORD_CHUNKS; chunk += 2)
	{
		board_prepare(0, 1, 0);
		board_drop(0);
	}
	model_assert(((uint32_t) nr_load64_rlx(&group->records) & 0xff) == NR_RECORD_CHUNKS - left);
}

static void
extent_nearly_full(void)
{
	chunks_left(1);
}

static void
one_record_fits(void)
{
	chunks_left(2);
}

static void
dropped_at_last(void)
{
	board_drop(2);
	nothing();
}

/* Somebody takes the next extent, writes in it and gives it back. */
static void
another_life(void)
{
	uint32_t	extent = nr_pool_alloc(&stage->e, 0, 1);

	memset(nr_physical(&stage->e, 0, extent), 1, (size_t) 1 << stage->e.geo.extent_shift);
	nr_pool_free(&stage->e, extent);
}

/* The extent had another life: what was written there then was before what session 1 writes. */
static void
extent_again(int i)
{
	if (i == 0)
	{
		another_life();
		prepare_and_drop(0);
	}
	else
		prepare_and_drop(1);
}

/*
 * Somebody has seen room in the open extent; before he takes it, that is used up and another one opened, in which
 * there is room, too.  That one had another life.
 */
static void
extent_next(int i)
{
	if (i == 0)
	{
		another_life();
		prepare_and_drop(0);
		board_prepare(0, 1, 0);
	}
	else
		prepare_and_drop(1);
}

static void
both_dropped_at_last(void)
{
	board_drop(0);
	dropped_at_last();
}

static void
lazy_one(void)
{
	lazy(1, 4);
}

/* ---- the log is full ---- */

static void
one_slot_left(void)
{
	lazy(1, 2);
	board_prepare(2, 3, 0);
}

static void
one_slot_left_cancel(void)
{
	one_slot_left();
	stage->cancels[1] = 1;
}

static void
full(void)
{
	lazy(1, 2);
	board_prepare(0, 1, 0);
	board_prepare(2, 3, 0);
}

static void
drop_beside_prepare(int i)
{
	if (i == 0)
		board_drop(0);
	else
		prepare_and_append(1);
}

static void
is_2_dropped(void)
{
	board_drop(2);
	board_settled(2);
	board_no_leaks();
}

static void
either_dropped(void)
{
	board_drop(2);
	either_appended();
}

/* ---- memory for the worst case: enough for one at a time ---- */

static void
memory_for_one(void)
{
	board_set((StageConfig) {.lazy = true,.sessions = 2,.log_slots = 4,.extents = 16,.extents_max = 6});
	toy_board_need = 1;
}

static void
memory_check(void)
{
	uint64_t	value;

	model_assert(stage->note[0][1] == 1 && stage->note[1][1] == 1);
	stage_settled();
	value = board_peek(0, 0);
	model_assert(value == 1 || value == 2);
	board_settled(value);
}

static const ModelScenario scenarios[] = {
	{"append_and_get", "what was acknowledged is seen, for good; one replica", 2, prepared_one, append_and_get, is_1, {3, 1}, {5, 2}, false},
	{"append_and_get_two", "the same in two replicas", 2, prepared_two, append_and_get, is_1, {3, 1}, {4, 2}, false},
	{"append_and_get_own", "the writer sees it, whoever else is there", 2, prepared_one, append_and_get_own, is_1, {3, 1}, {5, 2}, false},
	{"append_beside_combiner", "the same while another has the combiner lock", 2, combiner_busy, append_beside_combiner, is_1, {ALL, 1},
	{ALL, 3}, false},
	{"append_beside_reader", "the same while a reader is inside", 2, reader_inside, append_beside_reader, is_1, {3, 1}, {5, 2}, false},
	{"append_both", "both are applied, once", 2, both_prepared, append_one_each, either, {2, 1}, {3, 1}, false},
	{"append_or_drop", "each is appended or leaves nothing", 2, both_prepared, append_or_drop_each, either, {1, 1}, {3, 1}, false},
	{"prepare_and_drop", "two who share an extent for records give all of it back", 2, one_slot_left, prepare_and_drop, dropped_at_last,
	{4, 1}, {ALL, 1}, false},
	{"append_beside_prepare", "an extent is closed, or somebody takes room in it", 2, prepared_one, append_beside_prepare, is_1, {3, 1},
	{5, 2}, false},
	{"extent_nearly_full", "two open one extent", 2, extent_nearly_full, prepare_and_drop, dropped_at_last, {2, 1}, {4, 1}, false},
	{"extent_again", "an extent that is opened is nobody else's any more", 2, lazy_one, extent_again, nothing, {2, 1}, {4, 1}, false},
	{"extent_next", "nor is the one that is opened instead of the one that was looked at", 2, one_record_fits, extent_next,
	both_dropped_at_last, {2, 1}, {4, 1}, false},
	{"one_slot_left", "who finds no slot waits for one, and no promise is lost", 2, one_slot_left, prepare_and_append, either_dropped,
	{2, 1}, {3, 1}, false},
	{"one_slot_left_cancel", "who waits for a slot may give up", 2, one_slot_left_cancel, prepare_and_append, either_dropped, {2, 1},
	{3, 1}, false},
	{"drop_beside_prepare", "what is dropped makes room for who waits", 2, full, drop_beside_prepare, is_2_dropped, {4, 1}, {4, 1}, false},
	{"memory_for_one", "claims for the worst case hold together", 2, memory_for_one, prepare_and_append, memory_check, {2, 0}, {3, 0},
	false},
};

int
main(int argc, char **argv)
{
	return model_main(argc, argv, scenarios, (int) (sizeof(scenarios) / sizeof(scenarios[0])));
}
