/*
 * model_retire.c
 *		The end of a group while others read, and its return (retire.c, group.c): take against enter.
 *
 * A cell has the value OLD; who has retired the group restores it, or clears it first.  A reader finds OLD, then
 * nothing, then OLD or the value of an empty cell, and goes through these in this order.
 *
 * Not covered: writers that retire has to wait for, which the caller rules out; sessions that come and go meanwhile.
 */
#include "stage.h"

#include "toy_counter.h"

#define OLD		5
#define ALL		MODEL_UNBOUNDED

/* What a read has found; later ones are greater. */
typedef enum Found
{
	FOUND_OLD,
	FOUND_NOTHING,
	FOUND_EMPTY
} Found;

static Found
found(int i)
{
	ToyRead		read = {.first = 0,.n = 1};
	ToyRead		answer;
	NrStatus	status = nr_execute(&stage->h[i], &read, &answer, false);

	if (status == NR_GONE)
		return FOUND_NOTHING;
	model_assert(status == NR_OK);
	if (answer.value[0] == 0)
		return FOUND_EMPTY;
	model_assert(answer.value[0] == OLD);
	return FOUND_OLD;
}

static void
set_old(uint32_t copies, uint32_t replicas)
{
	stage_set(&(StageConfig) {.copies = copies,.replicas = replicas,.sessions = 3,.log_slots = 4});
	stage_add(0, 0, OLD, NULL);
}

static void
one_copy(void)
{
	set_old(1, 1);
}

static void
two_copies(void)
{
	set_old(2, 1);
}

/* Replica 1 has not seen the write yet: a reader there brings it up to date. */
static void
behind(void)
{
	set_old(1, 2);
}

static void
behind_two(void)
{
	set_old(2, 2);
}

static void
look_at_retired(void)
{
	ToyRead		read = {.first = 0,.n = 1};
	ToyRead		answer;

	model_assert(nr_group_retired(&stage->h[0]));
	model_assert(nr_execute_retired(&stage->h[0], &read, &answer) == NR_OK && answer.value[0] == OLD);
}

static void
clear_and_restore(void)
{
	model_assert(nr_group_own(&stage->h[0], false) == NR_OK);
	nr_group_clear(&stage->h[0]);
	nr_group_disown(&stage->h[0]);
	nr_group_restore(&stage->h[0]);
}

/* ---- taken for good ---- */

static void
take(int i)
{
	if (i == 0)
	{
		model_assert(nr_group_retire(&stage->h[0], false) == NR_OK);
		look_at_retired();
		clear_and_restore();
		nr_store64_rel((NrAtomic64 *) &stage->note[0][0], FOUND_EMPTY);
	}
	else
	{
		Found		least = (Found) nr_load64_acq((NrAtomic64 *) &stage->note[0][0]);
		Found		first = found(i);

		model_assert(first >= least);
		model_assert(found(i) >= first);
	}
}

/* Nobody comes back: a reader that waits for something must hear of it. */
static void
take_for_good(int i)
{
	if (i == 0)
	{
		model_assert(nr_group_retire(&stage->h[0], false) == NR_OK);
		look_at_retired();
	}
	else
		model_assert(found(i) != FOUND_EMPTY);
}

static void
gone_check(void)
{
	for (int i = 0; i < 3; i++)
		model_assert(found(i) == FOUND_NOTHING);
}

/* The reader attaches meanwhile: it is sent away, or waited for. */
static void
detached(uint32_t copies)
{
	set_old(copies, 1);
	nr_group_detach(&stage->h[1]);
}

static void
detached_one(void)
{
	detached(1);
}

static void
detached_two(void)
{
	detached(2);
}

static void
take_late_reader(int i)
{
	if (i == 1)
		model_assert(nr_group_attach(&stage->s[1], 0, &toy_counter_dispatch, &stage->h[1]) == NR_OK);
	take(i);
}

static void
taken_check(void)
{
	for (int i = 0; i < 3; i++)
		model_assert(found(i) == FOUND_EMPTY);
	stage_settled();
}

/* ---- taken, and rolled back ---- */

static void
take_and_restore(int i)
{
	if (i == 0)
	{
		model_assert(nr_group_retire(&stage->h[0], false) == NR_OK);
		look_at_retired();
		nr_group_restore(&stage->h[0]);
		nr_store64_rel((NrAtomic64 *) &stage->note[0][0], 1);
	}
	else
	{
		uint64_t	restored = nr_load64_acq((NrAtomic64 *) &stage->note[0][0]);
		Found		what = found(i);

		model_assert(what == FOUND_OLD || (what == FOUND_NOTHING && !restored));
	}
}

static void
restored_check(void)
{
	for (int i = 0; i < 3; i++)
		model_assert(found(i) == FOUND_OLD);
	stage_settled();
}

/* ---- a reader is inside ---- */

static void
reader_inside(uint32_t copies)
{
	set_old(copies, 1);
	model_assert(nr_enter(&stage->h[1], false) == NR_OK);
	stage->cancels[0] = 1;
}

static void
reader_inside_one(void)
{
	reader_inside(1);
}

static void
reader_inside_two(void)
{
	reader_inside(2);
}

static void
cancel(int i)
{
	if (i == 0)
	{
		NrStatus	status = nr_group_retire(&stage->h[0], true);

		model_assert(status == NR_OK || status == NR_CANCELLED);
		model_assert(nr_group_retired(&stage->h[0]) == (status == NR_OK));
		/* what the reader did inside was before */
		model_assert(status == NR_CANCELLED || stage->note[1][0] == 1);
		if (status == NR_OK)
			clear_and_restore();
		stage->note[0][0] = status;
	}
	else
	{
		Found		then;

		model_assert(found(1) == FOUND_OLD);
		stage->note[1][0] = 1;
		nr_leave(&stage->h[1]);
		then = found(1);
		stage->note[1][1] = then;
	}
}

static void
cancel_check(void)
{
	if (stage->note[0][0] == NR_OK)
		taken_check();
	else
	{
		model_assert(stage->note[1][1] != FOUND_EMPTY);
		restored_check();
	}
}

/* ---- two that restore: one is done with it, and writes, before the other has begun ---- */

static void
retired(uint32_t copies)
{
	set_old(copies, 1);
	model_assert(nr_group_retire(&stage->h[0], false) == NR_OK);
}

static void
retired_one(void)
{
	retired(1);
}

static void
retired_two(void)
{
	retired(2);
}

static void
restore_both(int i)
{
	nr_group_restore(&stage->h[i]);
	if (i == 1)
	{
		stage_add(1, 0, 1, NULL);
		model_assert(stage_get(1, 0) == OLD + 1);
	}
	else
	{
		uint64_t	value = stage_get(0, 0);

		model_assert(value == OLD || value == OLD + 1);
	}
}

static void
restore_both_check(void)
{
	stage_settled();
	for (uint32_t c = 0; c < nr_group(&stage->e, 0)->copies; c++)
		model_assert(stage_peek(0, c, 0) == OLD + 1);
}

/* ---- seeded: the mark is set, and who is inside is not waited for ---- */

static void
take_without_waiting(int i)
{
	struct NrReplica *rep = stage->h[0].replica;

	if (i > 0)
	{
		(void) found(i);
		return;
	}
	if (nr_group(&stage->e, 0)->copies == 1)
		nr_xchg32_seq(&rep->writer, NR_RETIRED);
	else
		nr_xchg32_seq(&rep->current, nr_load32_rlx(&rep->current) | NR_RETIRED);
	clear_and_restore();
}

static const ModelScenario scenarios[] = {
	{"take_one", "a reader is before and undisturbed, or sent away; one copy", 2, one_copy, take, taken_check, {4, 1}, {ALL, 2}, false},
	{"take_two", "the same with two copies", 2, two_copies, take, taken_check, {4, 1}, {ALL, 2}, false},
	{"take_from_two_readers", "the same with two readers", 3, one_copy, take_and_restore, restored_check, {2, 1}, {3, 1}, false},
	{"take_behind", "a replica that lags is brought up to date first; one copy", 2, behind, take, taken_check, {2, 1}, {3, 2}, false},
	{"take_behind_two", "the same with two copies", 2, behind_two, take, taken_check, {2, 1}, {3, 2}, false},
	{"take_late_reader", "the same with a reader that attaches meanwhile; one copy", 2, detached_one, take_late_reader, taken_check, {3, 1},
	{5, 2}, false},
	{"take_late_reader_two", "the same with two copies", 2, detached_two, take_late_reader, taken_check, {3, 1}, {5, 2}, false},
	{"take_for_good", "nobody sleeps at a group that is gone; one copy", 2, one_copy, take_for_good, gone_check, {ALL, 1}, {ALL, 2}, false},
	{"take_for_good_behind", "the same in a replica that lags", 2, behind, take_for_good, gone_check, {3, 1}, {4, 2}, false},
	{"take_for_good_behind_two", "the same with two copies", 2, behind_two, take_for_good, gone_check, {3, 1}, {4, 2}, false},
	{"rollback_one", "what is restored is found as it was; one copy", 2, one_copy, take_and_restore, restored_check, {ALL, 1},
	{ALL, 2}, false},
	{"rollback_two", "the same with two copies", 2, two_copies, take_and_restore, restored_check, {ALL, 1}, {ALL, 2}, false},
	{"cancel_one", "given up, nothing has happened; else the reader has left; one copy", 2, reader_inside_one, cancel, cancel_check,
	{3, 1}, {5, 2}, false},
	{"cancel_two", "the same with two copies", 2, reader_inside_two, cancel, cancel_check, {3, 1}, {5, 2}, false},
	{"restore_both_one", "who restores late takes nobody's lock away; one copy", 2, retired_one, restore_both, restore_both_check, {3, 1},
	{ALL, 2}, false},
	{"restore_both_two", "the same with two copies", 2, retired_two, restore_both, restore_both_check, {3, 1}, {ALL, 2}, false},
	{"take_without_waiting_one", "a reader reads what is being cleared; one copy", 2, one_copy, take_without_waiting, NULL, {1, 0},
	{1, 0}, true},
	{"take_without_waiting_two", "the same with two copies", 2, two_copies, take_without_waiting, NULL, {1, 0}, {1, 0}, true},
};

int
main(int argc, char **argv)
{
	return model_main(argc, argv, scenarios, (int) (sizeof(scenarios) / sizeof(scenarios[0])));
}
