/*
 * stress_leftright.c
 *		Replicas of two copies: what a stopped reader, a stopped writer, and
 *		sessions that come and go at any moment of a publish may do.
 *
 * Usage: stress_leftright [seconds [seed]].  Prints TAP.  Only the last test,
 * everything at full speed, takes time and chance.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actor.h"
#include "engine/leftright.h"
#include "tap.h"

/* The combiner's way through one batch; from "flipped" on readers see it. */
static const char *const places[] = {
	"combiner_locked", "request_taken", "batch_filled", "batch_appended", "batch_apply", "write",
	"batch_applied", "batch_complete", "flipped", "combiner_unlock"
};

#define PLACES	(sizeof(places) / sizeof(places[0]))
#define FLIPPED	8

static Actor actor[ACTORS_MAX];

/* Sleeps of this actor's session so far, and waits of all readers of its replica. */
static uint64_t
effort(Actor *a)
{
	NrReplicaInfo ri = toy_replica_info(th_engine(a->th, 0), 0, a->session.replica);

	return atomic_load(&a->th->slot[a->session.idx].sleeps) + ri.reader_waits + ri.reader_sleeps;
}

/* Actor i reads "times" times: without a wait, a torn or an older row; the last is this. */
static bool
reads_freely(uint32_t i, uint32_t times, uint64_t value)
{
	uint64_t	before = effort(&actor[i]);

	actor_run(&actor[i], ACTOR_GET_ROW, times, false);
	return effort(&actor[i]) == before && actor[i].torn == 0 && actor[i].back == 0 &&
		actor[i].row.value[0] == value;
}

/* What is in the copy that this session is inside of. */
static uint64_t
nested_read(Actor *a)
{
	ToyRead		read = {.first = 0, .n = 1};

	if (nr_execute(&a->handle, &read, &read, false) != NR_OK)
		th_die("a nested read failed");
	return read.value[0];
}

/* Actor i is stopped inside a read. */
static void
stop_inside(uint32_t i)
{
	actor_stop_at("read", i);
	actor_start(&actor[i], ACTOR_GET_ROW, 1, false);
	actor_until_stopped();
}

/* ---- a stopped reader ---- */

static void
test_stopped_reader(void)
{
	Th		   *th = actor_engine(2, 1, 16, 0, 0);
	NrSessionInfo si;

	actor_open_all(actor, th, 6, 1);
	stop_inside(0);
	actor_run(&actor[1], ACTOR_ADD_ROW, 1, false);
	tap_ok(actor[1].most_sleeps == 0, "the first write after a reader stopped inside waits for nothing");
	tap_ok(reads_freely(2, 50, 1), "others read it without a wait");
	actor_start(&actor[1], ACTOR_ADD_ROW, 1, false);
	actor_until(&actor[1], NR_WAIT_READERS);
	nr_session_info(th_engine(th, 0), actor[1].session.idx, &si);
	tap_ok(si.waiting_for != NR_WAIT_READERS || si.waiting_on_session == actor[0].session.idx,
		   "the second waits for that reader");
	tap_ok(toy_replica_info(th_engine(th, 0), 0, 0).blocking_reader == actor[0].session.idx, "which all can see");
	tap_ok(reads_freely(2, 50, 1) && reads_freely(3, 50, 1), "others go on without a wait");
	actor_open(&actor[6], th, 6, 0);
	tap_ok(reads_freely(6, 50, 1), "so does one that comes only now");
	actor_close(&actor[6]);

	actor_start(&actor[4], ACTOR_ADD_ROW, 1, true);
	actor_until(&actor[4], NR_WAIT_RESPONSE);
	th_cancel(th, actor[4].session.idx);
	actor_join(&actor[4]);
	th_uncancel(th, actor[4].session.idx);
	tap_ok(actor[4].status == NR_CANCELLED, "a write that waits behind it can be cancelled");
	tap_ok(atomic_load(&actor[1].done) == 0 && toy_replica_info(th_engine(th, 0), 0, 0).flips == 1, "nothing was published");
	actor_go_on();
	actor_join(&actor[0]);
	actor_join(&actor[1]);
	tap_ok(actor[0].torn == 0 && actor[0].row.value[0] == 0, "the reader saw one whole row: the old one");
	tap_ok(reads_freely(2, 1, 2), "it left: the second write is done");
	actor_close_all(actor, th, 6);
}

/* The reader's own replica is held up; others write until the log is full, and read on. */
static void
test_other_replicas(void)
{
	Th		   *th = actor_engine(2, 2, 16, 4, 0);
	uint64_t	tail;

	actor_open_all(actor, th, 6, 2);			/* 0, 2, 4 on replica 0; 1, 3, 5 on replica 1 */
	stop_inside(0);
	actor_run(&actor[2], ACTOR_ADD_ROW, 1, false);
	actor_run(&actor[1], ACTOR_ADD_ROW, 1, false);
	tap_ok(reads_freely(3, 50, 2), "a reader stopped on replica 0: nobody on replica 1 notices");

	actor_start(&actor[4], ACTOR_GET_ROW, 1, true);
	while (!th_is_waiting(th, actor[4].session.idx))
		th_sleep_us(200);
	th_cancel(th, actor[4].session.idx);
	actor_join(&actor[4]);
	th_uncancel(th, actor[4].session.idx);
	tap_ok(actor[4].status == NR_CANCELLED && actor[4].session.inside == 0,
		   "a read on replica 0 that must see what was written there waits, and can be cancelled");

	actor_start(&actor[1], ACTOR_ADD_ROW, 50, true);
	actor_until(&actor[1], NR_WAIT_LOG_SPACE);
	tail = toy_group_info(th_engine(th, 0), 0).tail;
	tap_ok(tail - toy_group_info(th_engine(th, 0), 0).head == 4, "a writer on replica 1 goes on until the log is full");
	tap_ok(reads_freely(3, 50, tail), "and is read there");
	th_cancel(th, actor[1].session.idx);
	actor_join(&actor[1]);
	th_uncancel(th, actor[1].session.idx);
	tap_ok(actor[1].status == NR_CANCELLED, "it can be cancelled");
	actor_start(&actor[5], ACTOR_ADD_ROW, 20, false);
	actor_until(&actor[5], NR_WAIT_LOG_SPACE);
	actor_go_on();
	actor_join(&actor[0]);
	actor_join(&actor[5]);
	actor_run(&actor[2], ACTOR_GET_ROW, 1, false);
	tap_ok(actor[2].row.value[0] == tail + 20, "then all go on, and nothing is missing");
	actor_close_all(actor, th, 6);
}

/* What others appended behind a write's batch is no reason to wait for readers once it is answered. */
static void
test_answered_returns(void)
{
	Th		   *th = actor_engine(2, 2, 16, 0, 0);

	actor_open_all(actor, th, 4, 2);
	nr_enter(&actor[0].handle, false);
	actor_stop_at("batch_appended", 2);
	actor_start(&actor[2], ACTOR_ADD_ROW, 1, false);
	actor_until_stopped();
	actor_run(&actor[1], ACTOR_ADD_ROW, 1, false);
	tap_ok(reads_freely(3, 1, 2), "another replica's batch follows that of a write, while a reader is inside");
	actor_go_on();
	actor_join(&actor[2]);
	tap_ok(actor[2].status == NR_OK && actor[2].most_sleeps == 0, "the write is answered and returns");
	nr_leave(&actor[0].handle);
	actor_close_all(actor, th, 4);
}

/* ---- sessions that come and go ---- */

static void
test_come_and_go(void)
{
	Th		   *th = actor_engine(2, 1, 16, 0, 0);
	bool		freely = true;
	bool		exact = true;
	uint64_t	n = 0;

	actor_open_all(actor, th, 3, 1);
	for (size_t p = 0; p < PLACES; p++)
	{
		uint64_t	seen;

		actor_stop_at(places[p], 0);
		actor_start(&actor[0], ACTOR_ADD_ROW, 1, false);
		actor_until_stopped();
		seen = p < FLIPPED ? n : n + 1;
		for (uint32_t lap = 0; lap < 3; lap++)
		{
			actor_open(&actor[4], th, 4, 0);
			actor_open(&actor[5], th, 5, 0);
			freely &= effort(&actor[4]) == effort(&actor[5]) && reads_freely(4, 2, seen) && reads_freely(1, 2, seen);

			/* 4 leaves while 5 is inside; then its number is 5's neighbour's again */
			nr_enter(&actor[5].handle, false);
			actor_close(&actor[4]);
			actor_open(&actor[4], th, 6, 0);
			nr_leave(&actor[5].handle);
			freely &= reads_freely(5, 1, seen);
			actor_close(&actor[5]);
			actor_close(&actor[4]);
		}
		/* one stays inside from here, until the write has come back: it is in its way, or not */
		actor_open(&actor[4], th, 4, 0);
		nr_enter(&actor[4].handle, false);
		actor_go_on();
		actor_join(&actor[0]);
		n++;
		exact &= nested_read(&actor[4]) == seen;
		nr_leave(&actor[4].handle);
		actor_close(&actor[4]);
		exact &= actor[0].status == NR_OK && toy_call_get(&actor[1].handle, 0) == n;
	}
	tap_ok(freely, "at %d places of a publish, who comes, reads and goes never waits", (int) PLACES);
	tap_ok(exact, "and sees the row as it was before, or from the flip on the new one");
	actor_close_all(actor, th, 3);
}

/* A reader's number is given out again while a writer waits for the reader's leave: it waits for no other. */
static void
test_number_reused(void)
{
	Th		   *th = actor_engine(2, 1, 16, 0, 0);
	uint32_t	idx;

	actor_open_all(actor, th, 3, 1);
	nr_enter(&actor[1].handle, false);
	actor_run(&actor[0], ACTOR_ADD_ROW, 1, false);
	actor_start(&actor[0], ACTOR_ADD_ROW, 1, false);
	actor_until(&actor[0], NR_WAIT_READERS);
	idx = actor[1].session.idx;
	nr_leave(&actor[1].handle);
	actor_close(&actor[1]);
	actor_open(&actor[1], th, 1, 0);
	nr_enter(&actor[1].handle, false);
	actor_join(&actor[0]);
	tap_ok(actor[1].session.idx == idx, "the next owner of a reader's number is inside, and in nobody's way");
	nr_leave(&actor[1].handle);
	tap_ok(reads_freely(2, 1, 2), "nothing is missing");
	actor_close_all(actor, th, 3);
}

static void
test_nested(void)
{
	Th		   *th = actor_engine(2, 1, 16, 0, 0);
	const NrCopy *copy;

	actor_open_all(actor, th, 3, 1);
	nr_enter(&actor[1].handle, false);
	copy = actor[1].handle.copy;
	actor_run(&actor[0], ACTOR_ADD_ROW, 1, false);
	nr_enter(&actor[1].handle, false);
	tap_ok(actor[1].handle.copy == copy && nested_read(&actor[1]) == 0,
		   "a nested read sees what the outer one does");
	actor_start(&actor[0], ACTOR_ADD_ROW, 1, false);
	actor_until(&actor[0], NR_WAIT_READERS);
	nr_leave(&actor[1].handle);
	th_sleep_us(5000);
	tap_ok(atomic_load(&actor[0].done) == 0 && nested_read(&actor[1]) == 0, "its leave does not let the writer in");
	nr_leave(&actor[1].handle);
	actor_join(&actor[0]);
	tap_ok(reads_freely(2, 1, 2), "the outer one's does");
	actor_close_all(actor, th, 3);
}

/* ---- cost ---- */

/* Make the whole pages between two addresses inaccessible. */
static void
forbid(const void *from, const void *to)
{
	uintptr_t	page = (uintptr_t) sysconf(_SC_PAGESIZE);
	uintptr_t	a = ((uintptr_t) from + page - 1) & ~(page - 1);
	uintptr_t	b = (uintptr_t) to & ~(page - 1);

	if (b > a && mprotect((void *) a, b - a, PROT_NONE) != 0)
		th_die("mprotect");
}

enum
{
	W12_IDLE = 2000
};
static NrSession idle[W12_IDLE];
static NrHandle idle_handle[W12_IDLE];

/* In a child process: does the job come through without the lines of the idle ones? */
static bool
without_idle_lines(bool (*job) (NrSession *, NrHandle *), NrSession *s, NrHandle *h)
{
	int			status = -1;
	pid_t		child;

	fflush(stdout);
	child = fork();
	if (child == 0)
	{
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		forbid(idle_handle[0].reader + 1, idle_handle[W12_IDLE - 1].reader);
		_exit(job(s, h) ? 0 : 2);
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool
drain(NrSession *s, NrHandle *h)
{
	(void) h;
	return nr_lr_drain(s, 0, 0, NR_IMPATIENT);
}

static bool
write_some(NrSession *s, NrHandle *h)
{
	(void) s;
	for (uint64_t i = 1; i <= 100; i++)
		if (toy_call_add(h, 0, 1, NULL, NULL) != NR_OK || toy_call_get(h, 0) != i)
			return false;
	return true;
}

/* W12: a drain looks at who was inside at the flip; a flip at who is attached. */
static void
test_w12(void)
{
	Th		   *th = actor_engine(2, 1, W12_IDLE + 200, 0, 0);
	NrSession	writer;
	NrHandle	h;

	for (uint32_t i = 0; i < W12_IDLE; i++)
	{
		th_register(th, 0, 0, &idle[i]);
		th_attach(&idle[i], 0, &toy_counter_dispatch, &idle_handle[i]);
	}
	th_register(th, 0, 0, &writer);
	th_attach(&writer, 0, &toy_counter_dispatch, &h);
	nr_enter(&idle_handle[0], false);
	nr_enter(&idle_handle[W12_IDLE - 1], false);
	nr_lr_flip(&writer, 0, 0);
	tap_ok(!drain(&writer, &h), "W12: of %d readers two are inside", W12_IDLE);
	nr_leave(&idle_handle[0]);
	nr_leave(&idle_handle[W12_IDLE - 1]);
	tap_ok(without_idle_lines(drain, &writer, &h), "W12: a drain looks at no other");
	for (uint32_t i = 0; i < W12_IDLE; i++)
		nr_group_detach(&idle_handle[i]);
	tap_ok(without_idle_lines(write_some, &writer, &h), "W12: nor a write at those that have detached");
	nr_group_detach(&h);
	th_free(th);
}

/* ---- at full speed ---- */

#define WRITERS	2
#define READERS	4

static _Atomic uint32_t over;

/* Reads until all is over, and is another session every now and then. */
static void *
read_on(void *arg)
{
	Actor	   *a = arg;
	uint32_t	i = a->i;
	Th		   *th = a->th;
	uint64_t	random = i * 77 + 5;
	uint64_t	torn = 0;
	uint64_t	last = 0;

	while (atomic_load(&over) == 0)
	{
		actor_open(a, th, i, (uint32_t) (th_random(&random) % th->geo.replicas));
		a->row.value[0] = last;
		actor_run(a, ACTOR_GET_ROW, 1 + (uint32_t) (th_random(&random) % 2000), false);
		torn += a->torn + a->back + (a->status != NR_OK);
		/* with one replica there is nothing to wait for: not once */
		torn += th->geo.replicas == 1 && a->most_sleeps > 0;
		last = a->row.value[0];
		actor_close(a);
	}
	return (void *) (uintptr_t) torn;
}

static void
round_at_speed(uint64_t seed, uint64_t *wrong, uint64_t *waits)
{
	static const uint32_t spins[] = {0, 30, 1000};
	uint32_t	replicas = 1 + (uint32_t) (seed % 3);
	uint32_t	times = 1500;
	Th		   *th = actor_engine(2, replicas, 16, 2u << (seed / 3 % 4), spins[seed / 12 % 3]);
	pthread_t	reader[READERS];
	uint64_t	sum = *wrong;

	th_no_timeouts(th);
	atomic_store(&over, 0);
	actor_open_all(actor, th, WRITERS, replicas);
	for (uint32_t i = 0; i < READERS; i++)
	{
		actor[WRITERS + i].i = WRITERS + i;
		actor[WRITERS + i].th = th;
		reader[i] = th_start(read_on, &actor[WRITERS + i]);
	}
	for (uint32_t i = 0; i < WRITERS; i++)
		actor_start(&actor[i], ACTOR_ADD_ROW, times, false);
	for (uint32_t i = 0; i < WRITERS; i++)
		actor_join(&actor[i]);
	atomic_store(&over, 1);
	for (uint32_t i = 0; i < READERS; i++)
	{
		void	   *torn = NULL;

		pthread_join(reader[i], &torn);
		*wrong += (uintptr_t) torn;
	}
	if (replicas == 1)
		*waits += toy_replica_info(th_engine(th, 0), 0, 0).reader_waits;
	*wrong += toy_call_get(&actor[0].handle, 0) != WRITERS * times || !toy_check(&actor[0].handle);
	for (uint32_t i = 0; i < WRITERS; i++)
		actor_close(&actor[i]);
	nr_group_destroy(th_engine(th, 0), 0, NULL);
	*wrong += toy_pool_free(th_engine(th, 0)) != th->geo.extents;
	if (*wrong > sum)
		printf("# round with seed %llu: replicas %u, spins %u\n", (unsigned long long) seed, replicas, th->host.spins);
	th_free(th);
}

static void
test_speed(double seconds, uint64_t seed)
{
	uint64_t	end = th_now_ns() + (uint64_t) (seconds * 1e9);
	uint64_t	wrong = 0;
	uint64_t	waits = 0;
	uint64_t	rounds = 0;

	do
	{
		th_watchdog(60);
		round_at_speed(seed + rounds++, &wrong, &waits);
	} while (th_now_ns() < end || rounds < 3);
	tap_ok(wrong == 0, "writers flat out: no row is torn, none goes back, nothing is lost (%llu rounds)",
		   (unsigned long long) rounds);
	tap_ok(waits == 0, "with one replica no reader ever waits");
}

int
main(int argc, char **argv)
{
	double		seconds = argc > 1 ? atof(argv[1]) : 5;
	uint64_t	seed = argc > 2 ? strtoull(argv[2], NULL, 0) : th_now_ns();

#ifndef NR_TEST_POINTS
	printf("1..0 # SKIP compiled without NR_TEST_POINTS\n");
	return 0;
#endif
	printf("# %g seconds, seed %llu\n", seconds, (unsigned long long) seed);
	th_watchdog(60);
	actor_setup();
	test_stopped_reader();
	test_other_replicas();
	test_answered_returns();
	test_come_and_go();
	test_number_reused();
	test_nested();
	test_w12();
	test_speed(seconds, seed);
	return tap_done();
}
