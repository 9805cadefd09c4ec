/*
 * model_order.c
 *		Order numbers (order.c, O1 and O2), and what may be forgotten because of them.
 *
 * The first scenarios draw numbers and look at the horizon; a plain word for each number stands for its
 * batch, so a horizon that passes a number too early reads what is still to be written.  The others are commits of
 * a lazy group, appended in any order: on toy_board, which notices when a number comes behind a horizon above it,
 * and on ds_hash, which must not forget that a key was deleted while an older put of it is still to come.
 *
 * Not covered: more than two numbers in flight at a time.
 */
#include "board.h"

#include "ds/hash.h"
#include "engine/order.h"

#define ALL		MODEL_UNBOUNDED

/* ---- numbers and horizons: stage->note[i][n] is 1 once thread i has "appended" the batch with number n ---- */

static void
lazy(uint32_t replicas)
{
	board_set((StageConfig) {.lazy = true,.replicas = replicas,.sessions = 3,.log_slots = 4});
	toy_board_need = 0;
}

static void
lazy_one(void)
{
	lazy(1);
}

static void
lazy_two(void)
{
	lazy(2);
}

static void
draw(int i)
{
	uint64_t	number = nr_order_draw(&stage->s[i], 0);

	stage->note[i][number] = 1;
	nr_order_done(&stage->s[i], 0);
}

static void
look(int i, uint32_t except)
{
	uint64_t	horizon = nr_order_horizon(&stage->e, 0, except);

	for (uint64_t number = 1; number < horizon; number++)
	{
		uint64_t	appended = 0;

		for (int other = 0; other < i; other++)
			appended += stage->note[other][number];
		model_assert(appended == 1);
	}
}

static void
draw_twice_and_look(int i)
{
	if (i == 0)
	{
		draw(0);
		draw(0);
	}
	else
		look(i, NR_SESSION_NONE);
}

static void
draw_both_and_look(int i)
{
	if (i < 2)
		draw(i);
	else
		look(i, NR_SESSION_NONE);
}

static void
look_twice(int i)
{
	if (i == 0)
		draw(0);
	else
	{
		look(i, 1);
		look(i, NR_SESSION_NONE);
	}
}

static void
draw_check(void)
{
	uint64_t	drawn = nr_load64_rlx(&nr_group(&stage->e, 0)->order_seq);

	model_assert(nr_order_horizon(&stage->e, 0, NR_SESSION_NONE) == drawn + 1);
	model_assert(nr_order_oldest(&stage->e, 0) == NR_SESSION_NONE);
}

/* ---- commits on a board ---- */

static void
prepared(uint32_t replicas)
{
	lazy(replicas);
	board_prepare(0, 1, NR_PREPARE_ORDERED);
	board_prepare(1, 2, NR_PREPARE_ORDERED);
}

static void
prepared_one(void)
{
	prepared(1);
}

static void
prepared_two(void)
{
	prepared(2);
}

static void
older_prepared(void)
{
	lazy(1);
	board_prepare(0, 1, NR_PREPARE_ORDERED);
}

static void
append_own(int i)
{
	board_append(i);
	/* whoever comes last, the higher number has won or is still to come */
	model_assert(board_get(i) >= (uint64_t) i + 1);
}

static void
append_or_drop(int i)
{
	if (i == 0 && model_choose(2) == 1)
		board_drop(0);
	else
		board_append(i);
}

static void
commit(int i)
{
	board_prepare(i, (uint64_t) i + 1, NR_PREPARE_ORDERED);
	stage->note[i][0] = board->p[i].order_seq;
	board_append(i);
}

static void
commit_behind(int i)
{
	if (i == 0)
		board_append(0);
	else
	{
		board_prepare(1, 2, NR_PREPARE_ORDERED);
		board_append(1);
		board_prepare(1, 3, NR_PREPARE_ORDERED);
		board_append(1);
	}
}

static void
commit_with_reader(int i)
{
	uint64_t	first;

	if (i < 2)
	{
		board_append(i);
		return;
	}
	first = board_get(2);
	model_assert(board_get(2) >= first);
}

static void
is_2(void)
{
	board_settled(2);
	board_no_leaks();
}

static void
is_3(void)
{
	board_settled(3);
	board_no_leaks();
}

static void
committed_check(void)
{
	model_assert(stage->note[0][0] + stage->note[1][0] == 3);
	board_settled(stage->note[0][0] == 2 ? 1 : 2);
	board_no_leaks();
}

/* ---- a deleted key of ds_hash ---- */

#define HASH	ds_hash_key(0, "k", 1)

typedef struct Hashed
{
	NrPrepared	p[STAGE_ACTORS];
} Hashed;

static Hashed *hashed;

static void
hash_prepare(int i, const void *ops, size_t bytes)
{
	model_assert(nr_prepare(&stage->h[i], ops, bytes, 1, NR_PREPARE_ORDERED, false, &hashed->p[i]) == NR_OK);
}

static void
hash_prepare_put(int i, const char *key, const char *value)
{
	_Alignas(8) char ops[128];

	hash_prepare(i, ops, ds_hash_op_put(ops, ds_hash_key(0, key, 1), key, 1, value, 1, 0));
}

static void
hash_prepare_delete(int i)
{
	_Alignas(8) char ops[128];

	hash_prepare(i, ops, ds_hash_op_delete(ops, HASH, "k", 1));
}

static void
hash_append(int i)
{
	nr_prepared_append(&stage->h[i], &hashed->p[i]);
}

static bool
hash_found(int i)
{
	char		value;
	DsHashGet	get = {.code = DS_HASH_GET,.key = "k",.key_bytes = 1,.hash = HASH,.out = &value,.capacity = 1};

	model_assert(nr_execute(&stage->h[i], &get, NULL, false) == NR_OK);
	model_assert(!get.found || (get.value_bytes == 1 && (value == '0' || value == '1')));
	return get.found;
}

/* The key is there; a put of it is older than a delete, and neither is appended. */
static void
hash_setup(uint32_t replicas)
{
	stage_set(&(StageConfig) {.lazy = true,.replicas = replicas,.sessions = 2,.log_slots = 8,.extents = 20,.extents_max = 8,
			  .dispatch = &ds_hash_dispatch});
	hashed = model_alloc(sizeof(Hashed), NR_CACHE_LINE);
	hash_prepare_put(0, "k", "0");
	hash_append(0);
	hash_prepare_put(0, "k", "1");
	hash_prepare_delete(1);
}

static void
hash_one(void)
{
	hash_setup(1);
}

static void
hash_two(void)
{
	hash_setup(2);
}

/* The delete is followed by a commit of its writer, which might take the delete's note away. */
static void
late_put(int i)
{
	hash_append(i);
	if (i == 0)
		return;
	hash_prepare_put(1, "x", "2");
	hash_append(1);
	model_assert(!hash_found(1));
}

static void
late_put_check(void)
{
	DsHashStat	stat = {.code = DS_HASH_STAT};

	/* nothing is in flight: two commits later nothing is remembered of the key */
	for (int n = 0; n < 2; n++)
	{
		hash_prepare_put(0, "y", "3");
		hash_append(0);
	}
	stage_settled();
	model_assert(!hash_found(0) && !hash_found(1));
	model_assert(nr_execute(&stage->h[0], &stat, NULL, false) == NR_OK);
	model_assert(stat.entries == 2 && stat.notes == 0);
}

static const ModelScenario scenarios[] = {
	{"draw_twice_and_look", "a number below the horizon was appended; one who draws again", 2, lazy_one, draw_twice_and_look, draw_check,
	{ALL, 3}, {ALL, 6}, false},
	{"draw_both_and_look", "the same, two who draw", 3, lazy_one, draw_both_and_look, draw_check, {3, 1}, {ALL, 2}, false},
	{"look_twice", "the same, with and without oneself", 2, lazy_one, look_twice, draw_check, {ALL, 3}, {ALL, 6}, false},
	{"append_either_first", "the last by number wins, whoever is appended first", 2, prepared_one, append_own, is_2, {2, 1}, {3, 1},
	false},
	{"append_in_two_replicas", "the same in two replicas", 2, prepared_two, append_own, is_2, {2, 1}, {3, 1}, false},
	{"append_or_drop", "a number that is given up holds nobody back", 2, prepared_one, append_or_drop, is_2, {2, 1}, {4, 1}, false},
	{"append_with_reader", "what readers see has ever higher numbers", 3, prepared_one, commit_with_reader, is_2, {1, 1}, {2, 1}, false},
	{"commit_both", "no number comes behind a horizon above it", 2, lazy_one, commit, committed_check, {2, 1}, {3, 1}, false},
	{"commit_in_two_replicas", "the same in two replicas", 2, lazy_two, commit, committed_check, {2, 1}, {3, 1}, false},
	{"commit_behind", "an older commit holds the horizon back for all that follow", 2, older_prepared, commit_behind, is_3, {2, 1}, {3, 1},
	false},
	{"late_put", "a delete is remembered until no older put may come, and no longer", 2, hash_one, late_put, late_put_check, {2, 0}, {3, 1},
	false},
	{"late_put_two", "the same in two replicas", 2, hash_two, late_put, late_put_check, {2, 0}, {3, 1}, false},
};

int
main(int argc, char **argv)
{
	return model_main(argc, argv, scenarios, (int) (sizeof(scenarios) / sizeof(scenarios[0])));
}
