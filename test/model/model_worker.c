/*
 * model_worker.c
 *		Workers: edge W1, so that no append is left unnoticed by one who rests.
 *
 * From engine/worker.c and log.c.  A thread appends one batch; others do what engine.h asks of a worker, until their
 * replica has applied it.  Their sleep has no timeout: one that is not woken is found as a thread that cannot go on.
 * Not covered: how often a worker looks, which is its process's affair (nr_worker.c).
 */
#include "engine/combine.h"
#include "engine/worker.h"
#include "stage.h"

static uint64_t
position(int i)
{
	return nr_position(nr_replica(&stage->e, 0, stage->s[i].replica));
}

static NrFreshness
refresh(int i)
{
	return nr_worker_refresh(&stage->s[i], stage->h[i].dispatch, 0);
}

/* A worker on each replica but the first, where a batch without operations is about to be appended. */
static void
set(uint32_t replicas)
{
	NrBatch    *batch;

	stage_set(&(StageConfig) {.replicas = replicas,.sessions = replicas});
	for (uint32_t i = 1; i < replicas; i++)
		model_assert(nr_worker_appoint(&stage->s[i]) == NR_OK);
	model_assert(nr_log_claim(&stage->s[0], 0));
	batch = nr_ring_reserve(&stage->s[0], 0, 0, sizeof(NrBatch), &stage->note[0][0]);
	memset(batch, 0, sizeof(*batch));
	batch->bytes = (uint32_t) NR_LINE_UP(sizeof(NrBatch));
	batch->extent = NR_NO_EXTENT;
	nr_ring_commit(&stage->e, 0, 0, stage->note[0][0], batch->bytes);
}

static void
append(void)
{
	model_assert(nr_log_append(&stage->s[0], 0, 0, stage->note[0][0]) == 0);
}

/* From "nothing to do" on, until there was something. */
static void
work(int i, void (*say) (NrSession *))
{
	while (position(i) == 0)
	{
		NrFreshness found;

		say(&stage->s[i]);
		found = refresh(i);
		if (found == NR_FRESH)
			model_sleep(stage->s[i].idx);
		nr_worker_rise(&stage->s[i]);
		if (found == NR_FRESH)
			found = refresh(i);
		if (found == NR_HELD_UP)
			model_poll();
	}
}

static void
all_awake(void)
{
	model_assert(nr_load64_rlx(&nr_control(&stage->e)->resting) == 0);
	model_assert(nr_load64_rlx(&nr_control(&stage->e)->napping) == 0);
	for (uint32_t i = 1; i < stage->e.geo.replicas; i++)
		model_assert(position((int) i) == 1);
	stage_settled();
}

/* ---- one worker ---- */

static void
one(void)
{
	set(2);
}

static void
rest(int i)
{
	if (i == 0)
		append();
	else
		work(i, nr_worker_rest);
}

static void
nap(int i)
{
	if (i == 0)
		append();
	else
		work(i, nr_worker_nap);
}

/* The whole way of a write. */
static void
one_writer(void)
{
	stage_set(&(StageConfig) {.replicas = 2,.sessions = 2});
	model_assert(nr_worker_appoint(&stage->s[1]) == NR_OK);
}

static void
write_and_rest(int i)
{
	if (i == 0)
		model_assert(stage_add(0, 0, 1, NULL) == NR_OK);
	else
		work(i, nr_worker_rest);
}

/* A fault of the scenario: it looks before it says that it rests. */
static void
hasty(int i)
{
	if (i == 0)
		append();
	else if (refresh(1) == NR_FRESH)
	{
		nr_worker_rest(&stage->s[1]);
		model_sleep(stage->s[1].idx);
		nr_worker_rise(&stage->s[1]);
	}
}

/* ---- two workers, of which a write wakes one ---- */

static void
two_rest(void)
{
	set(3);
	for (int i = 1; i < 3; i++)
		nr_worker_rest(&stage->s[i]);
}

static void
sleep_and_work(int i)
{
	if (i == 0)
	{
		append();
		return;
	}
	if (refresh(i) == NR_FRESH)
		model_sleep(stage->s[i].idx);
	nr_worker_rise(&stage->s[i]);
	while (position(i) == 0)
		if (refresh(i) == NR_HELD_UP)
			model_poll();
}

/* One leaves while the other one sleeps. */
static void
dismiss(int i)
{
	if (i == 1)
		nr_worker_dismiss(&stage->s[1]);
	else
		sleep_and_work(i);
}

static void
dismiss_check(void)
{
	model_assert(nr_load64_rlx(&nr_control(&stage->e)->resting) == 0);
	model_assert(nr_load32_rlx(&nr_control(&stage->e)->worker[1]) == 0);
	stage_settled();
}

/* The place of a worker is given to one at a time, and to the next one with it what was said there. */
static void
none(void)
{
	stage_set(&(StageConfig) {.replicas = 1,.sessions = 2});
}

static void
appoint(int i)
{
	if (nr_worker_appoint(&stage->s[i]) != NR_OK)
		return;
	stage->note[2][0]++;
	nr_worker_rest(&stage->s[i]);
	nr_worker_dismiss(&stage->s[i]);
}

static void
appoint_check(void)
{
	model_assert(stage->note[2][0] > 0);
	model_assert(nr_load64_rlx(&nr_control(&stage->e)->resting) == 0);
	model_assert(nr_load32_rlx(&nr_control(&stage->e)->worker[0]) == 0);
}

static const ModelScenario scenarios[] = {
	{"rest", "a worker that rests is woken by an append, or has seen it", 2, one, rest, all_awake, {3, 4}, {5, 5}, false},
	{"nap", "so is one that naps, by the first batch of a log", 2, one, nap, all_awake, {3, 4}, {5, 5}, false},
	{"write_and_rest", "so it is by a write", 2, one_writer, write_and_rest, all_awake, {3, 1}, {4, 2}, false},
	{"hasty", "one that looks first is not", 2, one, hasty, NULL, {3, 1}, {3, 1}, true},
	{"two_rest", "of two, each is woken", 3, two_rest, sleep_and_work, all_awake, {1, 1}, {2, 1}, false},
	{"dismiss", "one that leaves passes the wake on", 3, two_rest, dismiss, dismiss_check, {2, 1}, {3, 2}, false},
	{"appoint", "a replica has one worker at a time", 2, none, appoint, appoint_check, {MODEL_UNBOUNDED, 3}, {MODEL_UNBOUNDED, 5}, false},
};

int
main(int argc, char **argv)
{
	return model_main(argc, argv, scenarios, (int) (sizeof(scenarios) / sizeof(scenarios[0])));
}
