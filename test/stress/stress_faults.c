/*
 * stress_faults.c
 *		The faults found in the original node replication, W1 to W4 of the list
 *		in docs/ENGINE.md: lost wake-ups, sessions that come during a combine,
 *		readers that come during a scan of the readers, an empty log; and reads
 *		that follow each other on different replicas.
 *
 * Arguments are accepted and ignored: nothing here depends on time or chance.
 */
#include "actor.h"
#include "tap.h"

/* The combiner's way through one batch. */
static const char *const combiner_places[] = {
	"combiner_locked", "request_taken", "batch_filled", "batch_appended", "writer_flag",
	"batch_apply", "write", "batch_applied", "batch_complete", "combiner_unlock"
};

#define PLACES (sizeof(combiner_places) / sizeof(combiner_places[0]))

static Actor actor[ACTORS_MAX];

/*
 * W1: requests posted during a combine are in that batch or in the very next,
 * whether the combiner comes back at once or never.
 */
static void
test_w1(uint32_t spins, uint32_t times)
{
	Th		   *th = actor_engine(1, 1, 16, 0, spins);
	uint32_t	late = 0;
	uint64_t	n = 0;

	actor_open_all(actor, th, 6, 1);
	th_no_timeouts(th);
	for (size_t p = 0; p < PLACES; p++)
	{
		actor_stop_at(combiner_places[p], 0);
		actor_start(&actor[0], ACTOR_ADD, times, false);
		actor_until_stopped();
		for (uint32_t i = 1; i < 6; i++)
		{
			actor_start(&actor[i], ACTOR_ADD, 1, false);
			actor_until(&actor[i], NR_WAIT_RESPONSE);
		}
		actor_go_on();
		for (uint32_t i = 0; i < 6; i++)
			actor_join(&actor[i]);
		for (uint32_t i = 1; i < 6; i++)
			if (actor[i].seq > actor[0].seq + 1)
			{
				printf("# stopped at %s: batch %d, request in %d\n", combiner_places[p],
					   (int) actor[0].seq, (int) actor[i].seq);
				late++;
			}
		n += times + 5;
	}
	tap_ok(late == 0, "W1: a request is served by the current or the very next combine (%u spins, %u writes)",
		   spins, times);
	tap_ok(toy_call_get(&actor[0].handle, 0) == n, "W1: all of them once");
	actor_close_all(actor, th, 6);
}

/* W1: a requester that has not even looked at the lock is served by whoever combines. */
static void
test_w1_announced(void)
{
	Th		   *th = actor_engine(1, 1, 16, 0, 0);

	actor_open_all(actor, th, 3, 1);
	actor_stop_at("request_announced", 1);
	actor_start(&actor[1], ACTOR_ADD, 1, false);
	actor_until_stopped();
	actor_run(&actor[0], ACTOR_ADD, 1, false);
	tap_ok(actor[0].seq == 0 && toy_call_get(&actor[2].handle, 0) == 2,
		   "W1: both are in the first batch");
	actor_go_on();
	actor_join(&actor[1]);
	tap_ok(actor[1].seq == 0 && actor[1].status == NR_OK, "W1: its answer was there");
	actor_close_all(actor, th, 3);
}

/* W1: many writers, no spinning: whoever sleeps is woken, or this never ends. */
static void
test_w1_crowd(uint32_t replicas)
{
	Th		   *th = actor_engine(1, replicas, 16, 2, 0);
	uint64_t	sum = 0;

	actor_open_all(actor, th, 12, replicas);
	th_no_timeouts(th);
	for (uint32_t i = 0; i < 12; i++)
		actor_start(&actor[i], ACTOR_ADD, 400, false);
	for (uint32_t i = 0; i < 12; i++)
	{
		actor_join(&actor[i]);
		sum += atomic_load(&actor[i].done);
	}
	tap_ok(toy_call_get(&actor[0].handle, 0) == sum && sum == 4800,
		   "W1: twelve writers on %u replicas with a log of two batches: nobody sleeps for ever", replicas);
	actor_close_all(actor, th, 12);
}

/* W2: sessions come and go at every place of a combine; each write counts once. */
static void
test_w2(void)
{
	Th		   *th = actor_engine(1, 2, 16, 0, 0);
	uint64_t	n = 0;
	uint32_t	wrong = 0;

	actor_open_all(actor, th, 4, 2);
	th_no_timeouts(th);
	for (size_t p = 0; p < PLACES; p++)
	{
		uint64_t	seen[6];

		actor_stop_at(combiner_places[p], 0);
		actor_start(&actor[0], ACTOR_ADD, 1, false);
		actor_until_stopped();
		/* one that goes, one that takes its slot on the same replica, two on new slots, one on the other replica */
		actor_close(&actor[2]);
		actor_open(&actor[4], th, 4, 0);
		actor_open(&actor[5], th, 5, 0);
		actor_open(&actor[2], th, 2, 0);
		for (uint32_t i = 1; i < 6; i++)
			if (i != 3)
				actor_start(&actor[i], ACTOR_ADD, 1, false);
		for (uint32_t i = 4; i < 6; i++)
			actor_until(&actor[i], NR_WAIT_RESPONSE);
		actor_go_on();
		for (uint32_t i = 0; i < 6; i++)
		{
			if (i == 3)
				continue;
			actor_join(&actor[i]);
			wrong += actor[i].status != NR_OK || atomic_load(&actor[i].done) != 1;
			seen[i] = actor[i].value;
		}
		n += 5;
		for (uint32_t i = 0; i < 6; i++)	/* answers: n-4 .. n, each once */
			for (uint32_t k = 0; k < i; k++)
				wrong += i != 3 && k != 3 && (seen[i] == seen[k] || seen[i] > n || seen[i] + 5 <= n);
		wrong += toy_call_get(&actor[1].handle, 0) != n || toy_call_get(&actor[3].handle, 0) != n;
		actor_close(&actor[4]);
		actor_close(&actor[5]);
	}
	tap_ok(wrong == 0, "W2: sessions come and go during a combine: nothing lost, nothing doubled");
	actor_close_all(actor, th, 4);
}

/* W2: the same at full speed: writers, while sessions come and go all the time. */
static void
test_w2_speed(void)
{
	Th		   *th = actor_engine(1, 2, 16, 0, 30);
	uint32_t	come = 0;

	actor_open_all(actor, th, 4, 2);
	for (uint32_t i = 1; i < 4; i++)
		actor_start(&actor[i], ACTOR_ADD, 3000, false);
	while (atomic_load(&actor[1].done) < 3000 || atomic_load(&actor[2].done) < 3000 ||
		   atomic_load(&actor[3].done) < 3000)
	{
		actor_open(&actor[8], th, 8, come % 2);
		actor_run(&actor[8], ACTOR_ADD, 1, false);
		actor_close(&actor[8]);
		come++;
	}
	for (uint32_t i = 1; i < 4; i++)
		actor_join(&actor[i]);
	tap_ok(toy_call_get(&actor[0].handle, 0) == 9000 + come,
		   "W2: three writers and %u sessions of one write each", come);
	actor_close_all(actor, th, 4);
}

/* W3: a reader comes at any place of a writer's exclusive section. */
static void
test_w3(void)
{
	static const char *const places[] = {"writer_flag", "batch_apply", "write", "batch_applied", "batch_complete"};
	Th		   *th = actor_engine(1, 1, 16, 0, 0);
	uint32_t	torn = 0,
				wrong = 0;

	actor_open_all(actor, th, 2, 1);
	for (uint32_t p = 0; p < 5; p++)
	{
		actor_stop_at(places[p], 0);
		actor_start(&actor[0], ACTOR_ADD_ROW, 1, false);
		actor_until_stopped();
		actor_open(&actor[5], th, 5, 0);	/* a line that the writer cannot know of yet */
		actor_start(&actor[5], ACTOR_GET_ROW, 1, false);
		actor_until(&actor[5], NR_WAIT_WRITER);
		actor_start(&actor[1], ACTOR_GET_ROW, 1, false);	/* and one that it knows */
		actor_until(&actor[1], NR_WAIT_WRITER);
		actor_go_on();
		for (uint32_t i = 0; i < 6; i += i == 1 ? 4 : 1)
			actor_join(&actor[i]);
		torn += actor[1].torn + actor[5].torn;
		wrong += actor[1].row.value[7] != p + 1 || actor[5].row.value[7] != p + 1;
		actor_close(&actor[5]);
	}
	tap_ok(torn == 0 && wrong == 0, "W3: a reader that comes while a writer is inside sees all of it");
	actor_close_all(actor, th, 2);
}

/* W3: a reader is inside, in the middle of a row, when the writer comes; another comes behind it. */
static void
test_w3_inside(void)
{
	Th		   *th = actor_engine(1, 1, 16, 0, 0);
	bool		ok = true;

	actor_open_all(actor, th, 3, 1);
	for (uint64_t i = 0; i < 10; i++)
	{
		actor_stop_at("read", 1);
		actor_start(&actor[1], ACTOR_GET_ROW, 1, false);
		actor_until_stopped();
		actor_start(&actor[0], ACTOR_ADD_ROW, 1, false);
		actor_until(&actor[0], NR_WAIT_READERS);
		ok &= toy_replica_info(th_engine(th, 2), 0, 0).blocking_reader == actor[1].session.idx;
		actor_start(&actor[2], ACTOR_GET_ROW, 1, false);
		actor_until(&actor[2], NR_WAIT_WRITER);
		actor_go_on();
		for (uint32_t k = 0; k < 3; k++)
			actor_join(&actor[k]);
		ok &= actor[1].torn == 0 && actor[1].row.value[7] == i;
		ok &= actor[2].torn == 0 && actor[2].row.value[7] == i + 1;
	}
	tap_ok(ok, "W3: a writer waits for the reader inside, and is named as waiting for it");
	actor_close_all(actor, th, 3);
}

/* W3: readers come and go while rows are written. */
static void
test_w3_speed(uint32_t replicas)
{
	Th		   *th = actor_engine(1, replicas, 16, 0, 30);
	uint32_t	torn = 0,
				come = 0;

	actor_open_all(actor, th, 4, replicas);
	actor_start(&actor[0], ACTOR_ADD_ROW, 4000, false);
	actor_start(&actor[1], ACTOR_ADD_ROW, 4000, false);
	actor_start(&actor[2], ACTOR_GET_ROW, 20000, false);
	while (atomic_load(&actor[0].done) < 4000)
	{
		actor_open(&actor[8], th, 8, come++ % replicas);
		actor_run(&actor[8], ACTOR_GET_ROW, 3, false);
		torn += actor[8].torn;
		actor_close(&actor[8]);
	}
	for (uint32_t i = 0; i < 3; i++)
		actor_join(&actor[i]);
	tap_ok(torn + actor[2].torn == 0, "W3: %u readers come and go, %u replicas: no torn row", come, replicas);
	actor_close_all(actor, th, 4);
}

/* W4: an empty log, one writer and one reader on two replicas, lap after lap. */
static void
test_w4(void)
{
	Th		   *th = actor_engine(1, 2, 16, 2, 0);
	NrGroupInfo gi;
	bool		ok = true;

	actor_open_all(actor, th, 2, 2);
	actor_run(&actor[1], ACTOR_GET_ROW, 1000, false);
	tap_ok(actor[1].status == NR_OK && actor[1].row.value[0] == 0, "W4: 1000 reads of an empty log");
	for (uint64_t i = 1; i <= 500; i++)
	{
		actor_run(&actor[0], ACTOR_ADD_ROW, 1, false);
		actor_run(&actor[1], ACTOR_GET_ROW, 2, false);
		ok &= actor[1].row.value[3] == i;
		gi = toy_group_info(th_engine(th, 0), 0);
		ok &= gi.tail == i && gi.completed == i;
	}
	tap_ok(ok, "W4: the log empties and fills again, 250 laps");
	actor_start(&actor[0], ACTOR_ADD_ROW, 5000, false);
	actor_start(&actor[1], ACTOR_GET_ROW, 5000, false);
	actor_join(&actor[0]);
	actor_join(&actor[1]);
	tap_ok(actor[1].torn == 0 && actor[0].status == NR_OK, "W4: the same at full speed");
	actor_run(&actor[1], ACTOR_GET_ROW, 1, false);
	tap_ok(actor[1].row.value[0] == 5500, "W4: nothing is missing");
	actor_close_all(actor, th, 2);
}

/*
 * What one read has seen, a later one on another replica sees too: replica 1
 * applies a batch before its producer does, wherever that has stopped.
 */
static void
test_order(void)
{
	Th		   *th = actor_engine(1, 3, 16, 0, 0);
	uint32_t	wrong = 0;
	uint64_t	n = 0;

	actor_open_all(actor, th, 3, 3);
	for (size_t p = 3; p < PLACES; p++)	/* from "batch_appended" on */
	{
		actor_stop_at(combiner_places[p], 0);
		actor_start(&actor[0], ACTOR_ADD_ROW, 1, false);
		actor_until_stopped();
		n++;
		nr_group_sync(&actor[1].handle, false);
		actor_run(&actor[1], ACTOR_GET_ROW, 1, false);
		actor_run(&actor[2], ACTOR_GET_ROW, 1, false);
		wrong += actor[1].row.value[0] != n || actor[2].row.value[0] != n;
		actor_go_on();
		actor_join(&actor[0]);
	}
	tap_ok(wrong == 0, "what a read has seen, a later read on another replica sees too");
	actor_close_all(actor, th, 3);
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
	test_w1(0, 50);
	test_w1(0, 1);
	test_w1(200, 50);
	test_w1(200, 1);
	test_w1_announced();
	test_w1_crowd(1);
	test_w1_crowd(3);
	test_w2();
	test_w2_speed();
	test_w3();
	test_w3_inside();
	test_w3_speed(1);
	test_w3_speed(2);
	test_w4();
	test_order();
	return tap_done();
}
