/*
 * stress_stops.c
 *		The faults found in the original node replication, W5 to W8, and what a
 *		stopped reader, a stopped combiner and a cancel may do.
 *
 * Arguments are accepted and ignored: nothing here depends on time or chance.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actor.h"
#include "engine/layout.h"
#include "tap.h"

static Actor actor[ACTORS_MAX];

/* W5: somebody comes when the log has gone round many times: a session, and a whole process. */
static void
test_w5(void)
{
	Th		   *th = actor_engine(1, 3, 16, 4, 0);
	NrEngine	late;
	NrSession	s;
	NrHandle	h;
	uint64_t	value = 0;
	void	   *regions[3];

	actor_open(&actor[0], th, 0, 0);
	actor_run(&actor[0], ACTOR_ADD, 101, false);
	actor_open(&actor[1], th, 1, 1);
	actor_run(&actor[1], ACTOR_GET_ROW, 1, false);
	tap_ok(actor[1].row.value[0] == 101, "W5: the first session ever on replica 1 reads what was written before");
	actor_run(&actor[1], ACTOR_ADD, 7, false);
	tap_ok(actor[1].value == 108, "W5: and writes");

	for (uint32_t r = 0; r < 3; r++)
		regions[r] = th->engine[th->views - 1].region[r];
	if (nr_engine_attach(&late, &th->geo, &th->host, th->engine[th->views - 1].control, regions) != NR_OK)
		th_die("attach");
	late.user = th;
	if (nr_session_register(&late, 2, 1, 1, &s) != NR_OK)
		th_die("register");
	th_attach(&s, 0, &toy_counter_dispatch, &h);
	tap_ok(toy_call_get(&h, 0) == 108, "W5: a process that attaches late reads it on replica 2");
	tap_ok(toy_call_add(&h, 0, 1, &value, NULL) == NR_OK && value == 109, "W5: and writes");
	nr_group_detach(&h);
	nr_session_unregister(&s);
	actor_close_all(actor, th, 2);
}

/* W6: whenever the reader is awake and tries, the writer is inside again, if it can be. */
#define W6_READS 200

static _Atomic uint32_t adversary_came;

static void
adversary(const char *place, uint32_t i)
{
	if (i != 0 || strcmp(place, "writer_flag") != 0)
		return;
	atomic_store(&adversary_came, 1);
	while (atomic_load(&actor[1].done) < W6_READS && !th_is_waiting(actor[1].th, actor[1].session.idx))
		th_sleep_us(20);
}

static void
test_w6(void)
{
	Th		   *th = actor_engine(1, 1, 16, 0, 0);

	actor_open_all(actor, th, 2, 1);
	atomic_store(&actor_on_place, adversary);
	actor_start(&actor[0], ACTOR_ADD_ROW, 3000, false);
	th_until(&adversary_came, 1);
	actor_start(&actor[1], ACTOR_GET_ROW, W6_READS, false);
	actor_join(&actor[1]);
	tap_ok(actor[1].most_sleeps <= 12,
		   "W6: against the worst writer a reader sleeps for at most 12 exclusive sections (%u)",
		   actor[1].most_sleeps);
	tap_ok(actor[1].torn == 0, "W6: no torn row");
	actor_join(&actor[0]);
	atomic_store(&actor_on_place, NULL);

	actor_start(&actor[0], ACTOR_ADD_ROW, 5000, false);
	actor_start(&actor[1], ACTOR_GET_ROW, 100000, false);
	actor_join(&actor[0]);
	actor_join(&actor[1]);
	tap_ok(actor[1].most_sleeps <= 12, "W6: nor against a busy one (%u)", actor[1].most_sleeps);
	tap_ok(toy_replica_info(th_engine(th, 0), 0, 0).reader_sleeps > 0, "W6: these sleeps are counted");
	actor_close_all(actor, th, 2);
}

/*
 * W7: a write looks at active requests only.  The pages that hold the request
 * slots and buffers of idle sessions, and the lines of those that never read
 * this group, are made inaccessible; then a child process writes.
 */
static void
forbid(const void *from, const void *to)
{
	uintptr_t	page = (uintptr_t) sysconf(_SC_PAGESIZE);
	uintptr_t	a = ((uintptr_t) from + page - 1) & ~(page - 1);
	uintptr_t	b = (uintptr_t) to & ~(page - 1);

	if (b > a && mprotect((void *) a, b - a, PROT_NONE) != 0)
		th_die("mprotect");
}

static void
test_w7(void)
{
	enum
	{
		IDLE = 2000
	};
	static NrSession s[IDLE];
	static NrHandle h[IDLE];
	Th		   *th = actor_engine(1, 1, IDLE + 200, 0, 0);
	NrEngine   *e = th_engine(th, 0);
	NrSession	writer;
	NrHandle	wh;
	int			status = -1;
	pid_t		child;

	/* all in one view; the first half only registers, the second half also attaches */
	for (uint32_t i = 0; i < IDLE; i++)
	{
		th_register(th, 0, 0, &s[i]);
		if (i >= IDLE / 2)
			th_attach(&s[i], 0, &toy_counter_dispatch, &h[i]);
	}
	th_register(th, 0, 0, &writer);
	th_attach(&writer, 0, &toy_counter_dispatch, &wh);
	fflush(stdout);
	child = fork();
	if (child == 0)
	{
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		forbid(nr_request_slot(e, 0, s[0].idx), nr_request_slot(e, 0, s[IDLE - 1].idx));
		forbid(nr_session_buffer(e, 0, s[0].idx), nr_session_buffer(e, 0, s[IDLE - 1].idx));
		forbid(nr_reader_line(e, 0, s[0].idx), nr_reader_line(e, 0, s[IDLE / 2 - 1].idx));
		for (int i = 0; i < 100; i++)
			if (toy_call_add(&wh, 0, 1, NULL, NULL) != NR_OK || toy_call_get(&wh, 0) != (uint64_t) i + 1)
				_exit(2);
		_exit(0);
	}
	waitpid(child, &status, 0);
	tap_ok(WIFEXITED(status) && WEXITSTATUS(status) == 0,
		   "W7: a write looks at none of %d idle sessions' requests, and at no line that never read", IDLE);

	for (uint32_t i = IDLE / 2; i < IDLE; i++)
		nr_group_detach(&h[i]);
	fflush(stdout);
	child = fork();
	if (child == 0)
	{
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		forbid(nr_reader_line(e, 0, s[0].idx), nr_reader_line(e, 0, s[IDLE - 1].idx));
		for (int i = 0; i < 100; i++)
			if (toy_call_add(&wh, 0, 1, NULL, NULL) != NR_OK)
				_exit(2);
		_exit(0);
	}
	waitpid(child, &status, 0);
	tap_ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "W7: nor at lines of sessions that detached");
	th_free(th);
}

/*
 * W8: the log is full because a combiner of replica 1 has stopped.  Nobody else
 * is held up but writers, and they can be cancelled.
 */
static void
full_log(const char *place, bool reader)
{
	Th		   *th = actor_engine(1, 3, 16, 4, 0);
	NrSessionInfo si;
	uint64_t	before;
	bool		free_locks = true;

	actor_open_all(actor, th, 6, 3);			/* 0, 3 on replica 0; 1, 4 on replica 1; 2, 5 on replica 2 */
	actor_run(&actor[0], ACTOR_ADD_ROW, 3, false);
	actor_stop_at(place, 1);
	actor_start(&actor[1], reader ? ACTOR_GET_ROW : ACTOR_ADD_ROW, 1, false);
	actor_until_stopped();

	actor_start(&actor[0], ACTOR_ADD_ROW, 20, true);
	actor_until(&actor[0], NR_WAIT_LOG_SPACE);
	tap_ok(true, "W8, %s: a writer of another replica goes on until the log is full", place);
	before = toy_group_info(th_engine(th, 0), 0).tail;
	tap_ok(before - toy_group_info(th_engine(th, 0), 0).head == 4, "W8: it is full");

	actor_run(&actor[3], ACTOR_GET_ROW, 50, false);
	actor_run(&actor[2], ACTOR_GET_ROW, 50, false);
	tap_ok(actor[3].torn + actor[2].torn == 0 && actor[3].row.value[0] == actor[2].row.value[0],
		   "W8: readers of the other replicas notice nothing");
	nr_session_info(th_engine(th, 0), actor[0].session.idx, &si);
	for (int tries = 0; tries < 100 && si.waiting_for != NR_WAIT_LOG_SPACE; tries++)
	{
		th_sleep_us(500);		/* it looks again now and then */
		nr_session_info(th_engine(th, 0), actor[0].session.idx, &si);
	}
	tap_ok(si.waiting_for == NR_WAIT_LOG_SPACE, "W8: the writer says what it waits for");
	if (!reader)
		tap_ok(si.waiting_on_session == actor[1].session.idx, "W8: and for whom");
	for (int tries = 0; tries < 1000; tries++)
	{
		free_locks = toy_replica_info(th_engine(th, 0), 0, 0).combiner == NR_SESSION_NONE;
		if (free_locks)
			break;
		th_sleep_us(100);
	}
	tap_ok(free_locks, "W8: no lock is held while waiting for log space");

	th_cancel(th, actor[0].session.idx);
	actor_join(&actor[0]);
	th_uncancel(th, actor[0].session.idx);
	tap_ok(actor[0].status == NR_CANCELLED && toy_group_info(th_engine(th, 0), 0).tail == before,
		   "W8: it can be cancelled, and nothing happened");
	actor_start(&actor[4], ACTOR_GET_ROW, 1, true);
	while (!th_is_waiting(th, actor[4].session.idx))
		th_sleep_us(200);
	th_cancel(th, actor[4].session.idx);
	actor_join(&actor[4]);
	th_uncancel(th, actor[4].session.idx);
	tap_ok(actor[4].status == NR_CANCELLED, "W8: a new reader of that replica waits, and can be cancelled");

	actor_start(&actor[5], ACTOR_ADD_ROW, 20, false);
	actor_until(&actor[5], NR_WAIT_LOG_SPACE);
	actor_go_on();
	actor_join(&actor[1]);
	actor_join(&actor[5]);
	actor_run(&actor[3], ACTOR_GET_ROW, 1, false);
	tap_ok(actor[3].row.value[0] == before + 20, "W8: then all go on, and nothing is missing");
	actor_close_all(actor, th, 6);
}

static _Atomic uint32_t sampling;

static void *
sample_head(void *arg)
{
	Th		   *th = arg;
	uintptr_t	back = 0;
	uint64_t	head = 0,
				tail = 0,
				completed = 0;

	while (atomic_load(&sampling))
	{
		NrGroupInfo gi = toy_group_info(th_engine(th, 0), 0);

		back += gi.head < head || gi.tail < tail || gi.completed < completed;
		head = gi.head;
		tail = gi.tail;
		completed = gi.completed;
		th_sleep_us(10);
	}
	return (void *) back;
}

static void
test_w8_head(void)
{
	Th		   *th = actor_engine(1, 4, 16, 4, 10);
	pthread_t	sampler;
	void	   *back = NULL;

	actor_open_all(actor, th, 8, 4);
	atomic_store(&sampling, 1);
	sampler = th_start(sample_head, th);
	for (uint32_t i = 0; i < 8; i++)
		actor_start(&actor[i], ACTOR_ADD_ROW, 1500, false);
	for (uint32_t i = 0; i < 8; i++)
		actor_join(&actor[i]);
	atomic_store(&sampling, 0);
	pthread_join(sampler, &back);
	tap_ok(back == NULL, "W8: head, completed and tail never go back");
	actor_run(&actor[0], ACTOR_GET_ROW, 1, false);
	tap_ok(actor[0].row.value[0] == 12000, "W8: eight writers through a log of four batches lose nothing");
	actor_close_all(actor, th, 8);
}

/* A request may be withdrawn until it has been taken; afterwards its answer is awaited. */
static void
test_cancel(void)
{
	static const char *const before[] = {"combiner_locked"};
	static const char *const after[] = {"request_taken", "batch_filled", "batch_appended", "write",
	"batch_complete"};
	Th		   *th = actor_engine(1, 2, 16, 0, 0);
	uint64_t	n = 0;
	bool		ok = true;

	actor_open_all(actor, th, 3, 1);
	for (int i = 0; i < 5; i++)
	{
		actor_stop_at(before[0], 0);
		actor_start(&actor[0], ACTOR_ADD, 1, false);
		actor_until_stopped();
		actor_start(&actor[1], ACTOR_ADD, 1, true);
		actor_until(&actor[1], NR_WAIT_RESPONSE);
		th_cancel(th, actor[1].session.idx);
		actor_join(&actor[1]);
		th_uncancel(th, actor[1].session.idx);
		ok &= actor[1].status == NR_CANCELLED;
		actor_go_on();
		actor_join(&actor[0]);
		ok &= toy_call_get(&actor[2].handle, 0) == ++n;
	}
	tap_ok(ok, "a request nobody has taken is withdrawn, and nothing happens");
	tap_ok(toy_replica_info(th_engine(th, 0), 0, 0).withdrawn == 5, "and counted");

	for (size_t p = 0; p < sizeof(after) / sizeof(after[0]); p++)
	{
		/* 1 is pending before 0 combines, so that 0 takes both */
		actor_stop_at("combiner_locked", 0);
		actor_start(&actor[0], ACTOR_ADD, 1, false);
		actor_until_stopped();
		actor_start(&actor[1], ACTOR_ADD, 1, true);
		actor_until(&actor[1], NR_WAIT_RESPONSE);
		actor_go_on();
		actor_join(&actor[0]);
		actor_join(&actor[1]);
		n += 2;

		actor_stop_at(after[p], 0);
		actor_start(&actor[0], ACTOR_ADD, 1, true);
		actor_until_stopped();
		th_cancel(th, actor[0].session.idx);
		actor_go_on();
		actor_join(&actor[0]);
		th_uncancel(th, actor[0].session.idx);
		ok &= actor[0].status == NR_OK && actor[0].value == ++n;
	}
	tap_ok(ok, "one that was taken is answered all the same");
	actor_close_all(actor, th, 3);
}

/* A cancel when another session's combiner has taken the request. */
static void
test_cancel_taken(void)
{
	Th		   *th = actor_engine(1, 1, 16, 0, 0);

	actor_open_all(actor, th, 2, 1);
	actor_stop_at("request_announced", 1);
	actor_start(&actor[1], ACTOR_ADD, 1, true);
	actor_until_stopped();
	actor_go_on();
	actor_join(&actor[1]);

	/* 1 pends; 0 takes it with its own and stops; then 1 is cancelled */
	actor_stop_at("combiner_locked", 0);
	actor_start(&actor[0], ACTOR_ADD, 1, false);
	actor_until_stopped();
	actor_start(&actor[1], ACTOR_ADD, 1, true);
	actor_until(&actor[1], NR_WAIT_RESPONSE);
	actor_stop_at("write", 0);
	actor_go_on();
	actor_until_stopped();
	th_cancel(th, actor[1].session.idx);
	th_sleep_us(2000);
	tap_ok(atomic_load(&actor[1].done) == 0, "a request taken by another is not given up");
	actor_go_on();
	actor_join(&actor[0]);
	actor_join(&actor[1]);
	th_uncancel(th, actor[1].session.idx);
	tap_ok(actor[1].status == NR_OK && toy_call_get(&actor[0].handle, 0) == 3, "but answered");
	actor_close_all(actor, th, 2);
}

int
main(void)
{
#ifndef NR_TEST_POINTS
	printf("1..0 # SKIP compiled without NR_TEST_POINTS\n");
	return 0;
#endif
	th_watchdog(60);
	actor_setup();
	test_w5();
	test_w6();
	test_w7();
	full_log("batch_apply", false);
	full_log("write", false);
	full_log("read", true);
	test_w8_head();
	test_cancel();
	test_cancel_taken();
	return tap_done();
}
