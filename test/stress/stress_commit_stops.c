/*
 * stress_commit_stops.c
 *		What a session that has stopped at any place of a commit can hold up, and
 *		what not: the table in docs/ENGINE.md, for prepared writes.
 *
 * Arguments are accepted and ignored: nothing here depends on time or chance.
 *
 * Who would have to wait is told to give up beforehand, so "waits" is an answer.
 */
#include <stdlib.h>

#include "commit_party.h"
#include "tap.h"
#include "toy_calls.h"

#define PARTIES		6			/* party i is on replica i modulo their number */

/* ---- stopping at a test point ---- */

static const char *_Atomic stop_place;
static _Atomic bool stop_early; /* while it prepares; else from "prepared" on */
static _Atomic uint32_t stop_turn;	/* pass the place so often before */
static ThGate *gate;
static _Thread_local bool may_stop;
static _Thread_local bool is_prepared;

static void
on_point(const char *name)
{
	const char *place = atomic_load(&stop_place);

	is_prepared |= strcmp(name, "prepared") == 0;
	if (!may_stop || place == NULL || strcmp(name, place) != 0 || is_prepared == atomic_load(&stop_early))
		return;
	if (atomic_load(&stop_turn) > 0)
	{
		atomic_fetch_sub(&stop_turn, 1);
		return;
	}
	atomic_store(&stop_place, NULL);
	th_gate_pass(gate);
}

/* ---- a world, and who plays in it ---- */

static CmWorld world;
static CmParty party[PARTIES];

static void
open_world(uint32_t replicas, uint32_t two_replicas)
{
	NrGeometry	geo = th_geometry(replicas);
	DsHashArg	arg = {.seed = 1,.line_bytes = 64};
	Th		   *th;

	geo.extents = 400;
	th = th_new(&geo, 2, 0);
	for (uint32_t g = 0; g < CM_GROUPS; g++)
	{
		NrGroupConfig config = toy_config(60, 4096, CM_OPS_BYTES_MAX);

		config.copies = g == CM_COMMIT_TWO || g == CM_MANUAL_TWO ? 2 : 1;
		config.lazy = config.copies == 1;
		config.replicas = g == CM_MANUAL_TWO ? 1 : g == CM_COMMIT_TWO ? two_replicas : 0;
		config.log_slots = 32;
		config.arg_bytes = sizeof(arg);
		memcpy(config.arg, &arg, sizeof(arg));
		th_create(th, g, &config, &ds_hash_dispatch);
	}
	cm_init(&world, th, 1);
	for (uint32_t i = 0; i < PARTIES; i++)
	{
		memset(&party[i], 0, sizeof(party[i]));
		party[i].w = &world;
		party[i].i = i;
		party[i].random = i + 1;
		cm_come(&party[i]);
	}
}

static void
close_world(const char *name)
{
	bool		equal = true;
	bool		final = true;

	for (uint32_t g = CM_COMMIT_ONE; g <= CM_COMMIT_TWO; g++)
	{
		equal &= toy_check(&party[0].handle[g]);
		final &= cm_final(&world, &world.group[g], &party[0].handle[g]);
	}
	tap_ok(equal && final && world.wrong == 0, "%s: all went on, and each key is what was committed last", name);
	for (uint32_t i = 0; i < PARTIES; i++)
		cm_leave(&party[i]);
	cm_free(&world);
	th_free(world.th);
}

/* Prepare and append a put of one family; false: the one would wait, or the other did. */
static bool
commit_one(CmParty *p, uint32_t g, uint32_t f, bool cancellable)
{
	_Alignas(8) char ops[CM_FAMILY_BYTES_MAX];
	CmGroup    *cg = &world.group[g];
	uint64_t	stamp = cm_stamp(&world);
	size_t		bytes = cm_ops_family(ops, &cg->family[f], stamp, 1u << f, false);
	NrPrepared	prepared;
	uint32_t	sleeps;

	if (nr_prepare(&p->handle[g], ops, bytes, CM_KEYS, cg->ordered ? NR_PREPARE_ORDERED : 0, cancellable,
				   &prepared) != NR_OK)
		return false;
	cm_begin(&world, cg, stamp, 1u << f, false);
	sleeps = atomic_load(&world.th->slot[p->session.idx].sleeps);
	nr_prepared_append(&p->handle[g], &prepared);
	cm_visible(cg, stamp, 1u << f);
	return atomic_load(&world.th->slot[p->session.idx].sleeps) == sleeps;
}

static bool
writes(uint32_t i, uint32_t g)
{
	bool		freely;

	th_cancel(world.th, party[i].session.idx);
	freely = commit_one(&party[i], g, i, true);
	th_uncancel(world.th, party[i].session.idx);
	return freely;
}

/* Does a read have to wait?  What it sees is checked when it need not. */
static bool
reads(uint32_t i, uint32_t g)
{
	NrHandle   *h = &party[i].handle[g];
	bool		freely;

	th_cancel(world.th, party[i].session.idx);
	freely = nr_enter(h, true) == NR_OK;
	if (freely)
		nr_leave(h);
	th_uncancel(world.th, party[i].session.idx);
	if (freely)
		cm_read(&world, &world.group[g], h, false, 0);
	return freely;
}

typedef struct Job
{
	uint32_t	g;
} Job;

static void *
commit_and_stop(void *arg)
{
	Job		   *job = arg;

	may_stop = true;
	if (!commit_one(&party[0], job->g, 0, false))
		cm_wrong(&world, &world.group[job->g], 0, "an append has waited", 0, 0);
	return NULL;
}

/* What goes on freely while party 0, on replica 0, has stopped. */
typedef struct Place
{
	const char *name;
	bool		read_same;		/* a read on replica 0, which has nothing new to see */
	bool		read_other;		/* on replica 1 */
	bool		write_same;
	bool		write_other;
	bool		read_own;		/* a read on replica 0 of what was written there just now */
	bool		early;			/* it has stopped while it prepares */
	uint32_t	turn;			/* how often it passed before */
} Place;

static void
stop_at(const Place *place, uint32_t g, const char *what)
{
	ThGate		here = {0};
	Job			job = {.g = g};
	pthread_t	thread;
	bool		read_same,
				read_other,
				write_same,
				write_other,
				read_own,
				read_there = true;

	gate = &here;
	atomic_store(&stop_early, place->early);
	atomic_store(&stop_turn, place->turn);
	atomic_store(&stop_place, place->name);
	thread = th_start(commit_and_stop, &job);
	th_until(&here.arrived, 1);
	read_same = reads(2, g);
	read_other = reads(1, g);
	write_same = writes(2, g);
	if (write_same)
		read_there = reads(3, g);
	write_other = writes(1, g);
	read_own = reads(4, g);
	tap_ok(read_same == place->read_same && read_other == place->read_other &&
		   write_same == place->write_same && write_other == place->write_other &&
		   read_own == place->read_own && read_there,
		   "%s, stopped at %s%s: reads go on %d, on another replica %d, writes %d, there %d, reads of these %d", what,
		   place->name, place->early ? " (preparing)" : place->turn > 0 ? " (the second)" : "", read_same, read_other, write_same, write_other, read_own);
	th_gate_open(&here);
	th_join(thread);
}

/* ---- one copy ---- */

static const Place one_copy[] = {
	/* nothing is held but a promise */
	{"order_announced", true, true, true, true, true, true, 0},
	{"prepared", true, true, true, true, true, false, 0},
	{"order_counted", true, true, true, true, true, false, 0},
	{"prepared_append", true, true, true, true, true, false, 0},
	{"prepared_appended", true, true, true, true, true, false, 0},
	{"prepared_completed", true, true, true, true, true, false, 0},
	/* inside the copy of replica 0 */
	{"writer_flag", false, true, true, true, false, false, 0},
	{"batch_apply", false, true, true, true, false, false, 0},
	{"batch_applied", false, true, true, true, false, false, 0},
	{"batch_complete", false, true, true, true, false, false, 0},
	/* out of it, with the combiner lock */
	{"combiner_unlock", true, true, true, true, false, false, 0},
};

static void
test_one_copy(void)
{
	open_world(2, 0);
	for (size_t i = 0; i < sizeof(one_copy) / sizeof(one_copy[0]); i++)
		stop_at(&one_copy[i], CM_COMMIT_ONE, "one copy");
	close_world("one copy");
}

/* ---- two copies ---- */

/* Several replicas: nobody else writes, and reads never wait. */
static const Place two_copies[] = {
	{"batch_apply", true, true, false, false, true, true, 0},
	{"batch_complete", true, true, false, false, true, true, 0},
	{"prepared", true, true, false, false, true, false, 0},
	{"prepared_append", true, true, false, false, true, false, 0},
	{"prepared_appended", true, true, false, false, true, false, 0},
	{"batch_apply", true, true, false, false, true, false, 0},
	{"batch_applied", true, true, false, false, true, false, 0},
	{"batch_apply", true, true, false, false, true, false, 1},
	{"batch_applied", true, true, false, false, true, false, 1},
	/* all replicas have it: readers go there, sent or not */
	{"batch_complete", true, true, false, false, true, false, 0},
	{"flipped", true, true, false, false, true, false, 0},
	{"flipped", true, true, false, false, true, false, 1},
	{"combiner_unlock", true, true, false, false, true, false, 0},
};

/* One replica: reads never wait. */
static const char *const one_replica[] = {
	"prepared", "prepared_append", "prepared_appended", "batch_apply", "batch_applied", "batch_complete", "flipped",
	"combiner_unlock"
};

static void
test_two_copies(void)
{
	open_world(2, 0);
	commit_one(&party[0], CM_COMMIT_TWO, 0, false); /* something for the older copies to take */
	for (size_t i = 0; i < sizeof(two_copies) / sizeof(two_copies[0]); i++)
		stop_at(&two_copies[i], CM_COMMIT_TWO, "two copies, two replicas");
	close_world("two copies, two replicas");
	open_world(2, 1);
	for (size_t i = 0; i < sizeof(one_replica) / sizeof(one_replica[0]); i++)
	{
		Place		place = {one_replica[i], true, true, false, false, true, false, 0};

		stop_at(&place, CM_COMMIT_TWO, "two copies, one replica");
	}
	close_world("two copies, one replica");
}

/* A reader that has stopped in the older copy of one replica is no matter of another one's readers. */
static void
test_reader_of_another(void)
{
	_Alignas(8) char ops[CM_FAMILY_BYTES_MAX];
	CmGroup    *cg = &world.group[CM_COMMIT_TWO];
	NrResult	result = {.status = NR_OK};
	Job			job = {.g = CM_COMMIT_TWO};
	pthread_t	thread;
	uint64_t	stamp;
	size_t		bytes;

	open_world(2, 0);
	stamp = cm_stamp(&world);
	bytes = cm_ops_family(ops, &cg->family[5], stamp, 1u << 5, false);
	cm_begin(&world, cg, stamp, 1u << 5, false);
	nr_enter(&party[2].handle[CM_COMMIT_TWO], false);
	/* a write that replica 1 has not yet applied */
	if (nr_execute_mut(&party[4].handle[CM_COMMIT_TWO], ops, bytes, CM_KEYS, false, &result) != NR_OK)
		th_die("write refused");
	cm_visible(cg, stamp, 1u << 5);
	thread = th_start(commit_and_stop, &job);
	th_until_waiting(world.th, party[0].session.idx, NR_WAIT_READERS);
	tap_ok(reads(1, CM_COMMIT_TWO) && reads(4, CM_COMMIT_TWO),
		   "a commit waits for a reader that stopped on replica 0: readers of replica 1 go on, and others of replica 0");
	nr_leave(&party[2].handle[CM_COMMIT_TWO]);
	th_join(thread);
	close_world("a reader stopped");
}

int
main(void)
{
#ifndef NR_TEST_POINTS
	printf("1..0 # SKIP compiled without NR_TEST_POINTS\n");
	return 0;
#else
	nr_test_point_hook = on_point;
#endif
	th_watchdog(60);
	test_one_copy();
	test_two_copies();
	test_reader_of_another();
	return tap_done();
}
