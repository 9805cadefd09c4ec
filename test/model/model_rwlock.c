/*
 * model_rwlock.c
 *		The distributed readers-writer lock of a replica: edges R1, R2, R3, and Z1 for readers that wait.
 *
 * From engine/rwlock.c, rwlock.h, wait.c and the way in of read.c.  Most scenarios call the lock itself and protect two
 * plain words; the explorer reports a race whenever reader and writer are inside together, or
 * one of them does not see what the other has done.  The last ones go through
 * nr_enter and nr_execute, with sleeping readers.
 * Not covered: that a stopped reader which starves is given up after ten sleeps (test_rwlock.c).
 */
#include "engine/combine.h"
#include "stage.h"
#include "toy_counter.h"

typedef struct Pair
{
	uint64_t	a;
	uint64_t	b;
} Pair;

static Pair *pair;

static void
set(uint32_t sessions)
{
	stage_set(&(StageConfig) {.sessions = sessions});
	pair = model_alloc(sizeof(Pair), NR_CACHE_LINE);
}

static struct NrReplica *
replica(void)
{
	return nr_replica(&stage->e, 0, 0);
}

static void
look(int i)
{
	stage->note[i][0]++;
	stage->note[i][1] = pair->a;
	model_assert(pair->a == pair->b);
}

/* One try; was it inside? */
static bool
read_once(int i)
{
	NrReaderLine *line = nr_reader_line(&stage->e, 0, i);

	if (!nr_rw_reader_try(&stage->h[i], nr_inside_word(++stage->s[i].entries, 0)))
		return false;
	look(i);
	nr_rw_reader_leave(line);
	return true;
}

static bool
write_once(int i, NrPatience patience)
{
	if (!nr_rw_writer_enter(&stage->s[i], 0, 0, patience))
		return false;
	pair->a++;
	pair->b++;
	nr_rw_writer_leave(&stage->s[i], 0, 0);
	return true;
}

static void
outside(void)
{
	model_assert(pair->a == pair->b);
	stage_settled();
}

/* ---- one reader, one writer ---- */

static void
two(void)
{
	set(2);
}

static void
once(int i)
{
	if (i == 1)
		model_assert(write_once(1, NR_PATIENT));
	else if (!read_once(0))
		stage->note[0][2] = 1;
}

static void
again(int i)
{
	if (i == 1)
	{
		model_assert(write_once(1, NR_PATIENT));
		model_assert(write_once(1, NR_PATIENT));
		return;
	}
	(void) read_once(0);
	(void) read_once(0);
}

/* It begins inside. */
static void
inside(void)
{
	set(2);
	stage->s[0].entries = 1;
	nr_store64_rlx(&nr_reader_line(&stage->e, 0, 0)->inside, nr_inside_word(1, 0));
}

static void
leave_and_write(int i)
{
	if (i == 0)
	{
		look(0);
		nr_rw_reader_leave(nr_reader_line(&stage->e, 0, 0));
		(void) read_once(0);
	}
	else
		model_assert(write_once(1, NR_PATIENT));
}

/* Two entries cannot be told apart: the writer may wait for the second as if it were the first, but not for ever. */
static void
impatient(int i)
{
	if (i == 0)
		leave_and_write(0);
	else
	{
		stage->note[1][0] = write_once(1, NR_IMPATIENT);
		model_assert(write_once(1, NR_PATIENT));
	}
}

/* A session that attaches while a writer comes: its bit is not set when that one looks. */
static void
one_is_new(void)
{
	set(2);
	nr_group_detach(&stage->h[0]);
}

static void
attach_and_read(int i)
{
	if (i == 0)
	{
		model_assert(nr_group_attach(&stage->s[0], 0, &toy_counter_dispatch, &stage->h[0]) == NR_OK);
		(void) read_once(0);
	}
	else
		model_assert(write_once(1, NR_PATIENT));
}

/* A fault of the scenario: the writer believes that nobody is there. */
static void
careless(int i)
{
	if (i == 0)
		(void) read_once(0);
	else
	{
		nr_xchg32_seq(&replica()->writer, 1);
		pair->a++;
		pair->b++;
		nr_rw_writer_leave(&stage->s[1], 0, 0);
	}
}

/* ---- two readers ---- */

static void
three(void)
{
	set(3);
}

static void
two_readers(int i)
{
	if (i == 2)
		model_assert(write_once(2, NR_PATIENT));
	else
		(void) read_once(i);
}

/* ---- roll call: who is outside is excused ---- */

/* The next writer of this group calls the roll. */
static void
roll_call(uint32_t g)
{
	nr_replica(&stage->e, g, 0)->calls = NR_ROLL_CALL - 1;
}

static void
excuse(void)
{
	set(2);
	roll_call(0);
}

/* It has been excused before, and reads while the writer comes that excuses it once more. */
static void
excused(void)
{
	set(2);
	roll_call(0);
	(void) nr_rw_writer_enter(&stage->s[1], 0, 0, NR_PATIENT);
	nr_rw_writer_leave(&stage->s[1], 0, 0);
	model_assert((nr_readers_present(&stage->e, replica(), 0) & NR_BIT(0)) == 0);
}

static void
excused_again(void)
{
	excused();
	roll_call(0);
}

/* Of two groups, the reader is excused by a writer of each: it finds one mark. */
static void
two_groups(void)
{
	NrGroupConfig config = {.extents_max = 4,.log_bytes = 1,.log_slots = 2,.batch_bytes_max = 256};

	stage_set(&(StageConfig) {.sessions = 3,.groups = 2,.extents = 8});
	pair = model_alloc(2 * sizeof(Pair), NR_CACHE_LINE);
	model_assert(nr_group_create(&stage->e, 1, &config, &toy_counter_dispatch) == NR_OK);
	nr_group_detach(&stage->h[1]);
	model_assert(nr_group_attach(&stage->s[0], 1, &toy_counter_dispatch, &stage->h[1]) == NR_OK);
	roll_call(0);
	roll_call(1);
}

static void
read_group(uint32_t g)
{
	NrHandle   *h = &stage->h[g];	/* session 0's, both */

	if (!nr_rw_reader_try(h, nr_inside_word(++stage->s[0].entries, g)))
		return;
	model_assert(pair[g].a == pair[g].b);
	nr_rw_reader_leave(h->reader);
}

static void
write_group(int i, uint32_t g)
{
	model_assert(nr_rw_writer_enter(&stage->s[i], g, 0, NR_PATIENT));
	pair[g].a++;
	pair[g].b++;
	nr_rw_writer_leave(&stage->s[i], g, 0);
}

static void
both_groups(int i)
{
	if (i == 0)
	{
		read_group(1);
		read_group(0);
		return;
	}
	write_group(i, (uint32_t) i - 1);
	write_group(i, (uint32_t) i - 1);
}

static void
both_checked(void)
{
	model_assert(pair[0].a == 2 && pair[0].b == 2 && pair[1].a == 2 && pair[1].b == 2);
	stage_settled();
}

/* ---- letting in who starves ---- */

static void
starving(void)
{
	set(2);
	nr_store32_rlx(&replica()->starved, 1);
}

static void
starve(int i)
{
	if (i == 0)
	{
		while (!read_once(0))
			model_poll();
		nr_sub32_seq(&replica()->starved, 1);
		return;
	}
	model_assert(nr_rw_writer_enter(&stage->s[1], 0, 0, NR_PATIENT));
	model_assert(stage->note[0][0] == 1);
	nr_rw_writer_leave(&stage->s[1], 0, 0);
}

/* ---- readers that sleep: nr_enter ---- */

static void
enter(int i)
{
	model_assert(nr_enter(&stage->h[i], false) == NR_OK);
	look(i);
	nr_leave(&stage->h[i]);
}

static void
sleep_and_read(int i)
{
	if (i < 1)
		enter(i);
	else
		model_assert(write_once(i, NR_PATIENT));
}

static void
two_sleep(int i)
{
	if (i < 2)
		enter(i);
	else
		model_assert(write_once(i, NR_PATIENT));
}

/* One reader makes the writer give up, who has sent the other one to sleep. */
static void
give_up(int i)
{
	if (i < 2)
		enter(i);
	else
		(void) write_once(2, NR_IMPATIENT);
}

static void
read_check(void)
{
	model_assert(stage->note[0][0] == 1);
	outside();
}

/* ---- with a structure, through the front door ---- */

static void
raise_both(int i)
{
	_Alignas(8) char op[2 * (TOY_ADD_BYTES + 8)];
	uint64_t	value;
	NrResult	result = {.last = {.data = (char *) &value,.capacity = sizeof(value)}};
	size_t		bytes = toy_add(op, 0, 1);

	bytes += toy_add(op + bytes, 1, 1);
	model_assert(nr_execute_mut(&stage->h[i], op, bytes, 2, false, &result) == NR_OK);
	model_assert(result.done == 2);
}

static void
execute(int i)
{
	ToyRead		read = {.first = 0,.n = 2};
	ToyRead		answer;

	if (i == 1)
	{
		raise_both(1);
		return;
	}
	model_assert(nr_execute(&stage->h[i], &read, &answer, false) == NR_OK);
	model_assert(answer.value[0] == answer.value[1]);
}

static const ModelScenario scenarios[] = {
	{"once", "reader and writer are never inside together", 2, two, once, outside,
	{MODEL_UNBOUNDED, 3}, {MODEL_UNBOUNDED, 6}, false},
	{"again", "nor when both come twice", 2, two, again, outside, {4, 2}, {MODEL_UNBOUNDED, 3}, false},
	{"inside", "who is inside is waited for, and who comes back is not let in", 2, inside, leave_and_write, outside,
	{MODEL_UNBOUNDED, 2}, {MODEL_UNBOUNDED, 4}, false},
	{"impatient", "a writer that gives up leaves the lock as it was", 2, inside, impatient, outside, {4, 2}, {MODEL_UNBOUNDED, 3}, false},
	{"attach", "a reader is not missed when it has just attached", 2, one_is_new, attach_and_read, outside,
	{MODEL_UNBOUNDED, 2}, {MODEL_UNBOUNDED, 4}, false},
	{"careless", "a writer that does not look at the lines meets a reader", 2, two, careless, outside, {3, 1}, {3, 1}, true},
	{"two_readers", "one writer, two readers", 3, three, two_readers, outside, {2, 1}, {4, 2}, false},
	{"excuse", "a reader that is being excused is not missed", 2, excuse, again, outside, {4, 2}, {MODEL_UNBOUNDED, 3}, false},
	{"excused", "nor one that has been", 2, excused, again, outside, {4, 2}, {MODEL_UNBOUNDED, 3}, false},
	{"excused_again", "nor one that is excused again while it comes back", 2, excused_again, again, outside, {4, 2}, {MODEL_UNBOUNDED, 3}, false},
	{"two_groups", "nor by writers of two groups, who leave one mark", 3, two_groups, both_groups, both_checked, {2, 1}, {3, 2}, false},
	{"starve", "a reader that starves is in before the next writer", 2, starving, starve, outside, {4, 2}, {MODEL_UNBOUNDED, 4}, false},
	{"sleep", "a reader that sleeps is woken", 2, two, sleep_and_read, read_check, {4, 2}, {MODEL_UNBOUNDED, 3}, false},
	{"two_sleep", "two readers that sleep are woken", 3, three, two_sleep, read_check, {2, 1}, {3, 2}, false},
	{"give_up", "a writer that gives up wakes whom it has sent to sleep", 3, three, give_up, read_check, {2, 1}, {3, 2}, false},
	{"execute", "a read sees all of a request or nothing", 2, two, execute, stage_settled, {3, 1}, {4, 2}, false},
};

int
main(int argc, char **argv)
{
	return model_main(argc, argv, scenarios, (int) (sizeof(scenarios) / sizeof(scenarios[0])));
}
