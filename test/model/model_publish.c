/*
 * model_publish.c
 *		append ... publish (publish.c, replay.c, leftright.c) against readers that nest.
 *
 * A group of one replica is loading until its first publish: what is appended goes straight to the copy that
 * nobody reads, and the second publish makes the other copy equal to it first (nr_lr_sync).  Two replicas, and
 * all later publishes, go through the log.
 *
 * Not covered: more than one writer at a time, which the caller rules out; ends of memory and of the log.
 */
#include "board.h"

/* ---- what writer and reader do ---- */

static void
append(uint64_t value)
{
	_Alignas(8) char ops[BOARD_OPS_BYTES];
	NrResult	result;

	model_assert(nr_append(&stage->h[0], ops, board_ops(ops, value), BOARD_CELLS, false, &result) == NR_OK);
	model_assert(result.status == NR_OK && result.done == BOARD_CELLS);
}

static void
publish(void)
{
	uint64_t	n;

	model_assert(nr_publish(&stage->h[0], false, &n) == NR_OK && n == BOARD_CELLS);
	model_assert(nr_pending_count(&stage->h[0]) == 0);
}

/* One state for as long as the outer one is inside; returns it. */
static uint64_t
nested_get(int session)
{
	uint64_t	value;

	model_assert(nr_enter(&stage->h[session], false) == NR_OK);
	value = board_get(session);
	model_assert(board_get(session) == value);
	nr_leave(&stage->h[session]);
	return value;
}

static void
nested_twice(int session, uint64_t least, uint64_t most)
{
	uint64_t	first = nested_get(session);
	uint64_t	second = nested_get(session);

	model_assert(least <= first && first <= second && second <= most);
}

/* ---- loading ---- */

static void
empty(void)
{
	board_set((StageConfig) {.copies = 2,.sessions = 2,.log_slots = 4,.extents = 16,.extents_max = 6});
	toy_board_need = 0;
}

static void
loaded(void)
{
	empty();
	append(1);
}

/* Every operation is granted an extent, in the reader's copy as well. */
static void
empty_with_grants(void)
{
	empty();
	toy_board_need = 1;
}

static void
load(int i)
{
	if (i == 0)
		append(1);
	else
		nested_twice(1, 0, 0);
}

static void
publish_load(int i)
{
	if (i == 0)
		publish();
	else
		nested_twice(1, 0, 1);
}

static void
load_and_publish(int i)
{
	if (i == 0)
	{
		append(1);
		publish();
	}
	else
		nested_twice(1, 0, 1);
}

/* The reader may still be in the copy that readers saw before the first publish: it must not become the other. */
static void
publish_twice(int i)
{
	if (i == 0)
	{
		publish();
		append(2);
		publish();
	}
	else
		nested_twice(1, 0, 2);
}

/* ---- later ---- */

static void
synced_not_yet(void)
{
	loaded();
	publish();
	append(2);
}

static void
in_two_replicas(void)
{
	board_set((StageConfig) {.copies = 2,.replicas = 2,.sessions = 3,.log_slots = 4});
	toy_board_need = 0;
	append(1);
}

static void
publish_later(int i)
{
	if (i == 0)
		publish();
	else
		nested_twice(1, 1, 2);
}

static void
publish_in_two(int i)
{
	uint64_t	there;

	if (i == 0)
	{
		publish();
		return;
	}
	there = nested_get(1);
	model_assert(nested_get(2) >= there);
}

/* The reader was inside at the flip of the first publish, and is still. */
static void
reader_inside(void)
{
	loaded();
	model_assert(nr_enter(&stage->h[1], false) == NR_OK);
	publish();
	append(2);
}

static void
reader_goes_on(void)
{
	model_assert(board_get(1) == 0);
	nr_leave(&stage->h[1]);
	nested_twice(1, 1, 2);
}

static void
try_again(int i)
{
	uint64_t	n = 7;
	NrStatus	status;

	if (i == 1)
	{
		reader_goes_on();
		return;
	}
	status = nr_publish_try(&stage->h[0], &n);
	model_assert(status == NR_OK || (status == NR_BUSY && n == 0 && nr_pending_count(&stage->h[0]) == BOARD_CELLS));
	if (status == NR_BUSY)
		publish();
}

static void
reader_inside_cancel(void)
{
	reader_inside();
	stage->cancels[0] = 1;
}

static void
cancel_and_publish(int i)
{
	uint64_t	n = 7;
	NrStatus	status;

	if (i == 1)
	{
		reader_goes_on();
		return;
	}
	status = nr_publish(&stage->h[0], true, &n);
	model_assert(status == NR_OK || (status == NR_CANCELLED && n == 0 && nr_pending_count(&stage->h[0]) == BOARD_CELLS));
	if (status == NR_CANCELLED)
		publish();
}

/* Nobody holds the copy in between: there must be an execution in which it changes. */
static void
two_states(int i)
{
	uint64_t	first;

	if (i == 0)
	{
		publish();
		return;
	}
	first = board_get(1);
	model_assert(board_get(1) == first);
}

/* ---- checks ---- */

static void
nothing_yet(void)
{
	model_assert(board_get(1) == 0);
	publish();
	model_assert(board_get(1) == 1);
	board_settled(1);
}

static void
published_1(void)
{
	board_settled(1);
	board_no_leaks();
}

static void
published_2(void)
{
	board_settled(2);
	board_no_leaks();
}

#define ALL		MODEL_UNBOUNDED

static const ModelScenario scenarios[] = {
	{"load", "what is loaded is in nobody's way, and nobody sees it", 2, empty, load, nothing_yet, {ALL, 2}, {ALL, 4}, false},
	{"load_with_grants", "nor is what it is granted", 2, empty_with_grants, load, nothing_yet, {ALL, 2}, {ALL, 4}, false},
	{"publish_load", "a nested reader sees the first publish whole, or not yet", 2, loaded, publish_load, published_1, {ALL, 2},
	{ALL, 4}, false},
	{"load_and_publish", "the same, from nothing", 2, empty, load_and_publish, published_1, {ALL, 2}, {ALL, 4}, false},
	{"publish_twice", "a reader of what came before the first publish holds up the second", 2, loaded, publish_twice, published_2, {4, 1},
	{ALL, 2}, false},
	{"publish_later", "the copies become equal before the second publish, and a nested reader sees one state", 2, synced_not_yet,
	publish_later, published_2, {4, 1}, {ALL, 2}, false},
	{"publish_in_two", "a publish that was seen in one replica is seen in the other", 2, in_two_replicas, publish_in_two, published_1,
	{3, 1}, {ALL, 2}, false},
	{"try_again", "a publish that would have to wait changes nothing", 2, reader_inside, try_again, published_2, {3, 1}, {ALL, 2}, false},
	{"cancel_and_publish", "a publish that is given up changes nothing", 2, reader_inside_cancel, cancel_and_publish, published_2, {3, 1},
	{ALL, 2}, false},
	{"two_states", "two reads that do not nest see two states", 2, loaded, two_states, published_1, {2, 0}, {2, 0}, true},
};

int
main(int argc, char **argv)
{
	return model_main(argc, argv, scenarios, (int) (sizeof(scenarios) / sizeof(scenarios[0])));
}
