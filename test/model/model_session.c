/*
 * model_session.c
 *		Sessions come, go and move while others work: edge S1, faults W2, W3 and W11.
 *
 * From engine/session.c, with rwlock.c, leftright.c, combine.c and publish.c on the other side.  A slot is given back and
 * given out again with what its last owner leaves there: line, bits, request, number of entries.  Threads have sessions
 * of their own; after a slot has changed hands two of them have the same number.
 * Not covered: workers as sessions (model_worker.c); groups that end meanwhile (model_retire.c).
 */
#include "board.h"
#include "engine/combine.h"
#include "engine/leftright.h"
#include "toy_counter.h"

typedef struct Shared
{
	NrAtomic32	flag[2];
	uint64_t	a[2];			/* of each replica: what its writer changes */
	uint64_t	b[2];
} Shared;

static Shared *shared;
static const NrDispatch *dispatch = &toy_counter_dispatch;

static void
set(const StageConfig *config)
{
	stage_set(config);
	shared = model_alloc(sizeof(Shared), NR_CACHE_LINE);
}

static void
wait_for(uint32_t flag)
{
	while (nr_load32_acq(&shared->flag[flag]) == 0)
		model_poll();
}

static void
attach(int i)
{
	model_assert(nr_group_attach(&stage->s[i], 0, dispatch, &stage->h[i]) == NR_OK);
}

static void
leave_for_good(int i)
{
	nr_group_detach(&stage->h[i]);
	nr_session_unregister(&stage->s[i]);
}

/* In the place of session i or, where there is room, in another one. */
static void
come(int i, uint32_t replica)
{
	while (nr_session_register(&stage->e, replica, 7, 0, &stage->s[i]) != NR_OK)
		model_poll();
	attach(i);
}

/* ---- a slot changes hands ---- */

static void
one_slot(void)
{
	set(&(StageConfig) {.sessions = 1,.sessions_max = 1});
}

static void
hand_over(int i)
{
	if (i == 0)
	{
		stage_add(0, 0, 1, NULL);
		model_assert(stage_get(0, 0) == 1);
		leave_for_good(0);
		return;
	}
	come(1, 0);
	model_assert(stage->s[1].idx == 0 && stage->s[1].entries == 1);
	model_assert(stage_get(1, 0) == 1);
	stage_add(1, 0, 1, &stage->note[1][0]);
	model_assert(stage->note[1][0] == 2);
}

static void
two_slots(void)
{
	set(&(StageConfig) {.sessions = 0,.sessions_max = 2});
}

static void
two_come(int i)
{
	come(i, 0);
	stage->note[i][0] = stage->s[i].idx;
}

static void
two_come_check(void)
{
	model_assert(stage->note[0][0] + stage->note[1][0] == 1);
	model_assert(nr_load32_rlx(&nr_session_shared(&stage->e, 0)->generation) == 1);
	model_assert(nr_load32_rlx(&nr_session_shared(&stage->e, 1)->generation) == 1);
}

/* ---- during a combine ---- */

/* Session 0 is about to combine.  Session 1 has a request, and nobody who waits for it. */
static void
abandoned(void)
{
	set(&(StageConfig) {.sessions = 2});
	stage_ask(1, 0, 1);
	model_assert(nr_combiner_try(&stage->s[0], 0, 0));
}

static void
combine(int i)
{
	NrFull		full;

	model_assert(nr_combine(&stage->s[i], stage->h[i].dispatch, 0, NR_PATIENT, &full) == NR_COMBINED);
	nr_combiner_unlock(&stage->s[i], 0, stage->s[i].replica);
}

static void
leave_during_combine(int i)
{
	if (i == 0)
		combine(0);
	else
		leave_for_good(1);
}

/* The next owner of the slot asks for something else at once. */
static void
replaced_during_combine(int i)
{
	leave_during_combine(i);
	if (i == 0)
		return;
	come(1, 0);
	model_assert(stage->s[1].idx == 1);
	stage_add(1, 1, 5, &stage->note[1][0]);
	model_assert(stage->note[1][0] == 5);
}

static void
settled(void)
{
	uint64_t	abandoned_one;

	nr_combiner_handoff(&stage->s[0], 0, 0);
	stage_settled();
	abandoned_one = stage_peek(0, 0, 0);
	model_assert(abandoned_one <= 1);
	model_assert(stage_peek(0, 0, 1) == stage->note[1][0]);
}

static void
room_for_one_more(void)
{
	set(&(StageConfig) {.sessions = 1,.sessions_max = 2});
}

/* Fault W2. */
static void
come_during_combine(int i)
{
	if (i == 1)
		come(1, 0);
	stage_add(i, 0, 1, &stage->note[i][0]);
}

static void
both_answered(void)
{
	model_assert(stage->note[0][0] + stage->note[1][0] == 1 + 2);
	stage_settled();
	model_assert(stage_peek(0, 0, 0) == 2);
}

/* ---- while a writer looks for readers ---- */

static void
write_pair(int i, uint32_t r)
{
	model_assert(nr_rw_writer_enter(&stage->s[i], 0, r, NR_PATIENT));
	shared->a[r]++;
	shared->b[r]++;
	nr_rw_writer_leave(&stage->s[i], 0, r);
}

static void
read_pair(int i)
{
	uint32_t	r = stage->s[i].replica;

	model_assert(nr_enter(&stage->h[i], false) == NR_OK);
	model_assert(shared->a[r] == shared->b[r]);
	nr_leave(&stage->h[i]);
}

static void
reader_and_writer(void)
{
	set(&(StageConfig) {.sessions = 2});
}

/* Fault W3, with the slot of somebody else. */
static void
replaced_during_scan(int i)
{
	if (i == 0)
	{
		write_pair(0, 0);
		return;
	}
	read_pair(1);
	leave_for_good(1);
	come(1, 0);
	read_pair(1);
}

/* Two replicas; both sessions begin on the first. */
static void
on_replica_0(void)
{
	set(&(StageConfig) {.replicas = 2,.sessions = 2});
	nr_group_detach(&stage->h[1]);
	model_assert(nr_session_move(&stage->s[1], 0) == NR_OK);
	attach(1);
}

static void
move(int i, uint32_t replica)
{
	nr_group_detach(&stage->h[i]);
	model_assert(nr_session_move(&stage->s[i], replica) == NR_OK);
	attach(i);
}

/* Fault W11: neither of the two writers misses it. */
static void
move_during_scan(int i)
{
	if (i == 0)
	{
		write_pair(0, 0);
		write_pair(0, 1);
		return;
	}
	read_pair(1);
	move(1, 1);
	read_pair(1);
}

/* ---- while others combine or publish, and back ---- */

static void
move_during_combine(int i)
{
	uint64_t	seen;

	if (i == 0)
	{
		stage_add(0, 0, 1, &stage->note[0][0]);
		return;
	}
	seen = stage_get(1, 0);
	move(1, 1);
	model_assert(stage_get(1, 0) >= seen);
	stage_add(1, 0, 1, &stage->note[1][0]);
	model_assert(stage->note[1][0] > seen);
}

static void
both_moved(void)
{
	model_assert(stage->note[0][0] + stage->note[1][0] == 1 + 2);
	stage_settled();
	model_assert(stage_peek(0, 0, 0) == 2 && stage_peek(1, 0, 0) == 2);
}

/* A request that nobody has taken is withdrawn when its session moves, and not applied twice. */
static void
abandoned_on_replica_0(void)
{
	on_replica_0();
	stage_ask(1, 0, 1);
	model_assert(nr_combiner_try(&stage->s[0], 0, 0));
}

static void
move_with_request(int i)
{
	if (i == 0)
	{
		combine(0);
		return;
	}
	move(1, 1);
	stage_add(1, 1, 5, &stage->note[1][0]);
	model_assert(stage->note[1][0] == 5);
}

static void
moved(void)
{
	stage_settled();
	model_assert(stage_peek(0, 0, 0) <= 1 && stage_peek(0, 0, 1) == 5);
}

/* Two copies in each of two replicas; something is about to be published. */
static void
unpublished(void)
{
	_Alignas(8) char ops[BOARD_OPS_BYTES];
	NrResult	result;

	board_set((StageConfig) {.replicas = 2,.copies = 2,.sessions = 2});
	dispatch = &toy_board_dispatch;
	model_assert(nr_append(&stage->h[0], ops, board_ops(ops, 1), BOARD_CELLS, false, &result) == NR_OK);
}

static void
move_during_publish(int i)
{
	uint64_t	seen;

	if (i == 0)
	{
		model_assert(nr_publish(&stage->h[0], false, &seen) == NR_OK);
		return;
	}
	seen = board_get(1);
	move(1, 0);
	model_assert(board_get(1) >= seen);
}

static void
published(void)
{
	board_settled(1);
}

/* ---- entries of one slot are told apart, whoever has it ---- */

/* One replica, two copies; session 0 is inside. */
static void
inside(void)
{
	set(&(StageConfig) {.copies = 2,.sessions = 2});
	model_assert(nr_enter(&stage->h[0], false) == NR_OK);
}

/* The flip has noted the first owner; the next one, who stays inside of the newer copy, is not waited for. */
static void
replaced_during_flip(int i)
{
	if (i == 1)
	{
		nr_lr_flip(&stage->s[1], 0, 0);
		nr_store32_rel(&shared->flag[0], 1);
		model_assert(nr_lr_drain(&stage->s[1], 0, 0, NR_PATIENT));
		nr_store32_rel(&shared->flag[1], 1);
		return;
	}
	nr_leave(&stage->h[0]);
	leave_for_good(0);
	come(0, 0);
	wait_for(0);
	model_assert(nr_enter(&stage->h[0], false) == NR_OK);
	wait_for(1);
	nr_leave(&stage->h[0]);
}

static const ModelScenario scenarios[] = {
	{"hand_over", "who gets a slot sees what its last owner has left", 2, one_slot, hand_over, NULL, {4, 2}, {6, 3}, false},
	{"two_come", "a slot is given to one", 2, two_slots, two_come, two_come_check, {MODEL_UNBOUNDED, 2}, {MODEL_UNBOUNDED, 4}, false},
	{"leave_during_combine", "a request that its session leaves behind is withdrawn or applied", 2, abandoned, leave_during_combine, settled,
	{4, 1}, {MODEL_UNBOUNDED, 2}, false},
	{"replaced_during_combine", "and is not taken for one of the next session", 2, abandoned, replaced_during_combine, settled,
	{2, 1}, {3, 1}, false},
	{"come_during_combine", "a session that comes during a combine is served", 2, room_for_one_more, come_during_combine, both_answered,
	{2, 1}, {3, 1}, false},
	{"replaced_during_scan", "a writer misses neither the old reader nor the new one", 2, reader_and_writer, replaced_during_scan, stage_settled,
	{3, 1}, {5, 2}, false},
	{"move_during_scan", "nor one that moves", 2, on_replica_0, move_during_scan, stage_settled, {3, 1}, {5, 2}, false},
	{"move_during_combine", "who moves sees what it has seen before", 2, on_replica_0, move_during_combine, both_moved, {2, 1}, {3, 1}, false},
	{"move_with_request", "who moves takes no request along", 2, abandoned_on_replica_0, move_with_request, moved, {2, 1}, {3, 1}, false},
	{"move_during_publish", "nor does a move go back behind what was published", 2, unpublished, move_during_publish, published,
	{3, 1}, {4, 2}, false},
	{"replaced_during_flip", "a flip waits for the reader it has noted, not for the next one in its place", 2, inside, replaced_during_flip,
	stage_settled, {4, 2}, {MODEL_UNBOUNDED, 3}, false},
};

int
main(int argc, char **argv)
{
	return model_main(argc, argv, scenarios, (int) (sizeof(scenarios) / sizeof(scenarios[0])));
}
