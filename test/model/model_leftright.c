/*
 * model_leftright.c
 *		Two copies in a replica: flip against enter (F1, F2, F3), and readers before a commit's flip (F4, A1, C1).
 *
 * The first scenarios call leftright.c and leftright.h themselves, with a word for each copy; the others write by
 * nr_execute_mut (one or two replicas) and by nr_prepared_append (replay.c, nr_replay_all).
 *
 * Not covered: three writers; more than two entries of a reader; log and memory that are full (model_space, model_log).
 */
#include "board.h"

#include "engine/combine.h"
#include "engine/leftright.h"

/* ---- narrow: the words that stand for the copies are stage->note[0][0] and [1] ---- */

static void
pair_of_words(uint32_t sessions)
{
	stage_set(&(StageConfig) {.copies = 2,.sessions = sessions});
}

static void
one_reader(void)
{
	pair_of_words(2);
}

static void
two_readers(void)
{
	pair_of_words(3);
}

/* The combiner lock is thread 0's all the time. */
static void
write_word(uint64_t value)
{
	uint32_t	idle = 1 - nr_load32_rlx(&stage->h[0].replica->current);

	model_assert(nr_lr_drain(&stage->s[0], 0, 0, NR_PATIENT));
	stage->note[0][idle] = value;
	nr_lr_flip(&stage->s[0], 0, 0);
}

static uint64_t
read_word(int i)
{
	NrHandle   *h = &stage->h[i];
	uint32_t	c = nr_lr_enter(h, nr_inside_word(++stage->s[i].entries, 0));
	uint64_t	value = stage->note[0][c];

	nr_rw_reader_leave(h->reader);
	return value;
}

static void
read_twice(int i)
{
	uint64_t	first = read_word(i);

	model_assert(read_word(i) >= first);
}

static void
flip_once(int i)
{
	if (i == 0)
	{
		write_word(1);
		write_word(2);
	}
	else
		read_word(i);
}

static void
flip_twice(int i)
{
	if (i > 0)
		read_twice(i);
	else
		for (uint64_t value = 1; value <= 3; value++)
			write_word(value);
}

static void
flip_late_reader(int i)
{
	if (i == 0)
		flip_once(0);
	else
	{
		model_assert(nr_group_attach(&stage->s[i], 0, stage->h[0].dispatch, &stage->h[i]) == NR_OK);
		read_word(i);
	}
}

static void
late_reader(void)
{
	one_reader();
	nr_group_detach(&stage->h[1]);
}

/* The first flip excuses who is outside. */
static void
excuse(void)
{
	one_reader();
	stage->h[0].replica->calls = NR_ROLL_CALL - 1;
}

/* With one word for both: whoever is in the current copy is not waited for. */
static void
flip_one_word(int i)
{
	NrHandle   *h = &stage->h[i];

	if (i == 0)
	{
		model_assert(nr_lr_drain(&stage->s[0], 0, 0, NR_PATIENT));
		stage->note[0][0]++;
		nr_lr_flip(&stage->s[0], 0, 0);
	}
	else
	{
		(void) nr_lr_enter(h, nr_inside_word(++stage->s[i].entries, 0));
		model_assert(stage->note[0][0] < 2);
		nr_rw_reader_leave(h->reader);
	}
}

/* A drain that gives up, and goes on later: the reader that it met must still be waited for. */
static void
drain_in_parts(int i)
{
	uint32_t	idle = 1 - nr_load32_rlx(&stage->h[0].replica->current);

	if (i > 0)
	{
		read_word(i);
		return;
	}
	write_word(1);
	idle = 1 - idle;
	if (!nr_lr_drain(&stage->s[0], 0, 0, NR_IMPATIENT))
		model_assert(nr_lr_drain(&stage->s[0], 0, 0, NR_PATIENT));
	stage->note[0][idle] = 2;
}

/* Who entered after the flip is in the newer copy, in the slot of one that was waited for, and may stay. */
static void
flip_stays(int i)
{
	NrHandle   *h = &stage->h[i];
	NrAtomic64 *written = (NrAtomic64 *) &stage->note[0][2];

	if (i == 0)
		for (uint64_t value = 1; value <= 2; value++)
		{
			write_word(value);
			nr_store64_rel(written, value);
		}
	else
	{
		read_word(i);
		while (nr_load64_acq(written) < 1)
			model_poll();
		(void) nr_lr_enter(h, nr_inside_word(++stage->s[i].entries, 0));
		while (nr_load64_acq(written) < 2)
			model_poll();
		nr_rw_reader_leave(h->reader);
	}
}

/* ---- nr_execute_mut and nr_execute ---- */

static void
pair_written(uint32_t replicas)
{
	stage_set(&(StageConfig) {.copies = 2,.replicas = replicas,.sessions = 3,.log_slots = 4});
	stage_add(0, 0, 1, NULL);	/* from here on it is not loading */
}

static void
pair(void)
{
	pair_written(1);
}

static void
two_pairs(void)
{
	pair_written(2);
}

static void
add_and_get(int i)
{
	if (i == 0)
		stage_add(0, 0, 1, NULL);
	else
	{
		uint64_t	first = stage_get(1, 0);

		model_assert(first >= 1);
		model_assert(stage_get(1, 0) >= first);
	}
}

/* Of two writes the first has ended: who sees the second sees both, and who comes after one sees it. */
static void
add_twice_and_get(int i)
{
	NrAtomic64 *done = (NrAtomic64 *) &stage->note[0][0];

	if (i == 0)
	{
		stage_add(0, 0, 1, NULL);
		nr_store64_rel(done, 1);
		stage_add(0, 0, 1, NULL);
	}
	else
	{
		uint64_t	ended = nr_load64_acq(done);

		model_assert(stage_get(1, 0) >= 1 + ended);
	}
}

static void
get_there_and_here(int i)
{
	if (i == 0)
		stage_add(0, 0, 1, NULL);
	else
	{
		uint64_t	there = stage_get(1, 0);

		model_assert(stage_get(2, 0) >= there);
	}
}

static void
get_here_and_there(int i)
{
	if (i == 0)
		stage_add(0, 0, 1, NULL);
	else
	{
		uint64_t	here = stage_get(2, 0);

		model_assert(stage_get(1, 0) >= here);
	}
}

static void
added_check(void)
{
	stage_settled();
	for (uint32_t r = 0; r < stage->e.geo.replicas; r++)
		for (uint32_t c = 0; c < 2; c++)
			model_assert(stage_peek(r, c, 0) == (uint64_t) (nr_log_tail(&stage->s[0], 0)));
}

/* ---- commits: both replicas are ready before readers are sent to either ---- */

static void
commit_setup(uint32_t replicas)
{
	board_set((StageConfig) {.copies = 2,.replicas = replicas,.sessions = 3,.log_slots = 4});
	board_prepare(0, 1, 0);
}

static void
commit_one_replica(void)
{
	commit_setup(1);
}

static void
commit_two_replicas(void)
{
	commit_setup(2);
}

/* Sessions 0 and 2 are on replica 0, session 1 on the other, if there is one. */
static void
commit_and_get(int i)
{
	static const int order[3][3] = {{0}, {1, 2, 1}, {2, 1, 2}};
	uint64_t	seen = 0;

	if (i == 0)
	{
		board_append(0);
		nr_store64_rel((NrAtomic64 *) &stage->note[0][0], 1);
		return;
	}
	seen = nr_load64_acq((NrAtomic64 *) &stage->note[0][0]);
	for (int n = 0; n < 2; n++)
	{
		uint64_t	value = board_get(order[i][n]);

		model_assert(value >= seen);
		seen = value;
	}
}

static void
commit_and_get_elsewhere(int i)
{
	commit_and_get(i == 0 ? 0 : 2);
}

/* The second commit must wait for a reader that the first one let into the older copy. */
static void
commit_twice(int i)
{
	if (i == 0)
	{
		board_append(0);
		model_assert(board_prepare(0, 2, 0) == NR_OK);
		board_append(0);
	}
	else
		model_assert(board_get(i) <= 2);
}

/* What was prepared is given up, and readers have noticed nothing. */
static void
drop_and_commit(int i)
{
	if (i == 0)
	{
		board_drop(0);
		model_assert(board_prepare(0, 2, 0) == NR_OK);
		board_append(0);
	}
	else
	{
		uint64_t	value = board_get(i);

		model_assert(value == 0 || value == 2);
	}
}

static void
commit_once_check(void)
{
	for (uint32_t r = 0; r < stage->e.geo.replicas; r++)
		model_assert(nr_load64_rlx(&nr_replica(&stage->e, 0, r)->reader_sleeps) == 0);
	board_settled(1);
	board_no_leaks();
}

static void
commit_twice_check(void)
{
	board_settled(2);
	board_no_leaks();
}

#define ALL		MODEL_UNBOUNDED

static const ModelScenario scenarios[] = {
	{"flip_once", "no reader is inside a copy that is being changed", 2, one_reader, flip_once, NULL, {ALL, 2}, {ALL, 4}, false},
	{"flip_twice", "a reader that comes again in the same slot is told from one that stayed; reads never go back", 2, one_reader,
	flip_twice, NULL, {4, 1}, {ALL, 3}, false},
	{"flip_excuse", "nor is one that a flip excuses", 2, excuse, flip_twice, NULL, {ALL, 2}, {ALL, 4}, false},
	{"flip_two_readers", "the same with two readers", 3, two_readers, flip_once, NULL, {2, 1}, {4, 1}, false},
	{"flip_late_reader", "a reader that attaches during a flip is in the newer copy, or waited for", 2, late_reader, flip_late_reader,
	NULL, {ALL, 2}, {ALL, 4}, false},
	{"flip_one_word", "copies that are the same word: a reader is inside while it changes", 2, one_reader, flip_one_word, NULL,
	{2, 1}, {2, 1}, true},
	{"flip_stays", "nobody waits for a reader that came after the flip", 2, one_reader, flip_stays, NULL, {4, 1}, {ALL, 2}, false},
	{"drain_in_parts", "a drain that was given up forgets no reader", 3, two_readers, drain_in_parts, NULL, {2, 1}, {4, 1}, false},
	{"pair_add_and_get", "reads of two copies never go back", 2, pair, add_and_get, added_check, {3, 1}, {5, 2}, false},
	{"pair_acknowledged", "what was answered is seen in either copy", 2, pair, add_twice_and_get, added_check, {3, 1}, {4, 2}, false},
	{"pairs_there_and_here", "what was seen in a replica is seen in that of the writer", 2, two_pairs, get_there_and_here, added_check,
	{3, 1}, {4, 2}, false},
	{"pairs_here_and_there", "what was seen in the replica of the writer is seen in the other", 2, two_pairs, get_here_and_there,
	added_check, {3, 1}, {4, 2}, false},
	{"commit_and_get", "a commit of one replica is seen whole, and for good, and nobody sleeps", 2, commit_one_replica, commit_and_get,
	commit_once_check, {ALL, 1}, {ALL, 3}, false},
	{"commit_and_get_two", "a commit that was seen in one replica is seen in the other, and nobody sleeps", 2, commit_two_replicas,
	commit_and_get, commit_once_check, {3, 2}, {ALL, 2}, false},
	{"commit_and_get_here", "the same, the writer's replica first", 2, commit_two_replicas, commit_and_get_elsewhere, commit_once_check,
	{3, 1}, {ALL, 2}, false},
	{"commit_twice", "a reader that was let in before the flip is waited for by the next commit", 2, commit_two_replicas, commit_twice,
	commit_twice_check, {3, 1}, {5, 2}, false},
	{"drop_and_commit", "a commit that is given up holds nothing", 2, commit_two_replicas, drop_and_commit, commit_twice_check, {3, 1},
	{5, 2}, false},
};

int
main(int argc, char **argv)
{
	return model_main(argc, argv, scenarios, (int) (sizeof(scenarios) / sizeof(scenarios[0])));
}
