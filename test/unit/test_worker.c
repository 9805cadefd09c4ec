/*
 * test_worker.c
 *		Workers: what they apply and what they leave alone, who wakes them, that no
 *		append goes unnoticed.
 */
#include "engine/combine.h"
#include "seats.h"
#include "tap.h"

#define G			0
#define REPLICAS	3

static Seats b;

static void
open_group(uint32_t replicas, uint32_t copies, uint32_t slots)
{
	NrGroupConfig config = toy_config(4, 4096, 1024);

	config.copies = copies;
	config.replicas = replicas;
	config.log_slots = slots;
	seats_open(&b, th_geometry(REPLICAS), REPLICAS, &config, &toy_counter_dispatch);
	script_begin(b.th, script_give_up);
}

static bool
write_some(uint32_t i, uint32_t n)
{
	bool		ok = true;
	uint64_t	value;

	while (n-- > 0)
		ok &= toy_call_add(&b.h[i], 0, 1, &value, NULL) == NR_OK;
	return ok;
}

static NrFreshness
refresh_session(NrSession *s)
{
	return nr_worker_refresh(s, &toy_counter_dispatch, G);
}

static NrFreshness
refresh(uint32_t i)
{
	return refresh_session(&b.s[i]);
}

static void
test_office(void)
{
	NrSession	second;
	NrSessionInfo info;

	open_group(0, 1, 0);
	th_register(b.th, 0, 1, &second);
	tap_ok(nr_worker_appoint(&b.s[1]) == NR_OK, "a session becomes its replica's worker");
	nr_session_info(b.e, b.s[1].idx, &info);
	tap_ok(info.worker, "which is shown");
	tap_ok(nr_worker_appoint(&second) == NR_BUSY, "a replica has one");
	nr_worker_dismiss(&second);
	tap_ok(nr_worker_appoint(&second) == NR_BUSY, "to dismiss another than the worker changes nothing");
	nr_worker_rest(&b.s[1]);
	nr_worker_dismiss(&b.s[1]);
	tap_ok(write_some(0, 1) && script.wakes == 0, "one that rested and was dismissed is not woken");
	tap_ok(nr_worker_appoint(&second) == NR_OK, "after that it is another's turn");
	nr_worker_dismiss(&second);
	nr_session_unregister(&second);
	th_register(b.th, 0, 1, &second);
	nr_session_info(b.e, second.idx, &info);
	tap_ok(!info.worker, "who gets its token is no worker");
	nr_session_unregister(&second);
	tap_ok(seats_close(&b), "closed");
}

static void
test_refresh(uint32_t copies)
{
	NrReplicaInfo info;

	open_group(0, copies, 16);
	nr_worker_appoint(&b.s[1]);
	tap_ok(refresh(1) == NR_FRESH, "%u: nothing was written, nothing to do", copies);
	tap_ok(write_some(0, 3) && refresh(1) == NR_REFRESHED, "%u: it applies what was written", copies);
	info = toy_replica_info(b.e, G, 1);
	tap_ok(info.applied == 3 && info.applied_idle == 3, "%u: to all copies", copies);
	tap_ok(info.ops_applied == 3 && info.ops_by_worker == 3 && info.ops_by_strangers == 0, "%u: and that is counted",
		   copies);
	tap_ok(refresh(1) == NR_FRESH && nr_position(b.h[2].replica) == 0, "%u: another replica is not its business", copies);
	tap_ok(write_some(0, 4) && refresh(1) == NR_WAS_FAR_BEHIND, "%u: a quarter of the log is much", copies);
	tap_ok(toy_call_get(&b.h[1], 0) == 7, "%u: readers there find all of it", copies);

	/* the log holds 16: replica 2 has a stranger who applies for it, replica 1 its worker */
	for (int i = 0; i < 30; i++)
	{
		write_some(0, 1);
		refresh(1);
	}
	info = toy_replica_info(b.e, G, 1);
	tap_ok(info.applied == 37 && info.ops_by_worker == 37 && info.helped == 0, "%u: a replica with a worker needs no help",
		   copies);
	info = toy_replica_info(b.e, G, 2);
	tap_ok(info.helped > 0 && info.ops_by_strangers == info.helped && info.ops_by_worker == 0 &&
		   info.ops_applied == info.ops_by_strangers, "%u: one without does, and it is counted as that", copies);
	tap_ok(toy_call_get(&b.h[2], 0) == 37, "%u: its own reader applies the rest", copies);
	info = toy_replica_info(b.e, G, 2);
	tap_ok(info.ops_applied == 37 && info.ops_by_strangers < 37, "%u: which counts as its own", copies);
	tap_ok(toy_check(&b.h[0]), "%u: all copies are equal", copies);
	nr_worker_dismiss(&b.s[1]);
	tap_ok(seats_close(&b), "%u: closed", copies);
}

static void
test_held_up(void)
{
	NrSession	reader;
	NrHandle	h;

	open_group(0, 1, 0);
	th_register(b.th, 0, 1, &reader);
	th_attach(&reader, G, &toy_counter_dispatch, &h);
	nr_worker_appoint(&b.s[1]);
	tap_ok(nr_enter(&h, true) == NR_OK && write_some(0, 1), "somebody reads, another replica writes");
	script_begin(b.th, script_give_up);
	tap_ok(refresh(1) == NR_HELD_UP && script.waits == 0, "the reader is not waited for");
	tap_ok(toy_replica_info(b.e, G, 1).combiner == NR_SESSION_NONE, "and no lock is kept");
	nr_leave(&h);
	tap_ok(nr_combiner_try(&reader, G, 1) && refresh(1) == NR_HELD_UP && script.waits == 0, "nor is a combiner");
	nr_combiner_unlock(&reader, G, 1);
	tap_ok(refresh(1) == NR_REFRESHED && refresh(1) == NR_FRESH, "then it is done");
	nr_group_detach(&h);
	nr_session_unregister(&reader);
	nr_worker_dismiss(&b.s[1]);
	tap_ok(seats_close(&b), "closed");

	open_group(0, 2, 0);
	th_register(b.th, 0, 1, &reader);
	th_attach(&reader, G, &toy_counter_dispatch, &h);
	nr_worker_appoint(&b.s[1]);
	tap_ok(nr_enter(&h, true) == NR_OK && write_some(0, 1) && refresh(1) == NR_REFRESHED,
		   "with two copies readers do not hold it up");
	tap_ok(write_some(0, 1) && refresh(1) == NR_HELD_UP, "but a second time, when they stay");
	nr_leave(&h);
	tap_ok(refresh(1) == NR_REFRESHED && toy_call_get(&h, 0) == 2, "until they leave");
	nr_group_detach(&h);
	nr_session_unregister(&reader);
	nr_worker_dismiss(&b.s[1]);
	tap_ok(seats_close(&b), "closed");
}

static void
test_not_ours(void)
{
	NrDispatch	other = toy_counter_dispatch;

	open_group(0, 1, 0);
	nr_worker_appoint(&b.s[1]);
	write_some(0, 1);
	other.id++;
	tap_ok(nr_worker_refresh(&b.s[1], &other, G) == NR_FRESH && nr_position(b.h[1].replica) == 0,
		   "a group of another structure is left alone");
	tap_ok(nr_worker_refresh(&b.s[1], &toy_counter_dispatch, G + 1) == NR_FRESH, "so is one that does not exist");
	nr_worker_dismiss(&b.s[1]);
	tap_ok(seats_close(&b), "closed");

	open_group(1, 1, 0);
	nr_worker_appoint(&b.s[0]);
	nr_worker_rest(&b.s[0]);
	tap_ok(write_some(1, 1) && script.wakes == 0 && refresh(0) == NR_FRESH, "a group with one replica needs no worker");
	nr_worker_dismiss(&b.s[0]);
	tap_ok(seats_close(&b), "closed");
}

/* A group that takes another's place begins to count anew. */
static void
test_counts_anew(void)
{
	NrGroupConfig config = toy_config(4, 4096, 1024);
	NrReplicaInfo info;

	open_group(0, 1, 16);
	nr_worker_appoint(&b.s[1]);
	for (int i = 0; i < 30; i++)
	{
		write_some(0, 1);
		refresh(1);
	}
	tap_ok(toy_replica_info(b.e, G, 1).ops_by_worker > 0 && toy_replica_info(b.e, G, 2).ops_by_strangers > 0,
		   "a worker and strangers have been at work");
	for (uint32_t i = 0; i < REPLICAS; i++)
		nr_group_detach(&b.h[i]);
	nr_group_destroy(b.e, G, &toy_counter_dispatch);
	th_create(b.th, G, &config, &toy_counter_dispatch);
	for (uint32_t i = 0; i < REPLICAS; i++)
		th_attach(&b.s[i], G, &toy_counter_dispatch, &b.h[i]);
	for (uint32_t r = 0; r < REPLICAS; r++)
	{
		info = toy_replica_info(b.e, G, r);
		tap_ok(info.ops_by_worker == 0 && info.ops_by_strangers == 0 && info.ops_applied == 0,
			   "the next group there knows nothing of it, replica %u", r);
	}
	nr_worker_dismiss(&b.s[1]);
	tap_ok(seats_close(&b), "closed");
}

static void
test_wakes(void)
{
	open_group(0, 1, 0);
	for (uint32_t r = 0; r < REPLICAS; r++)
		nr_worker_appoint(&b.s[r]);
	tap_ok(write_some(0, 1) && script.wakes == 0, "workers that do not rest are not woken");
	nr_worker_rest(&b.s[1]);
	nr_worker_rest(&b.s[2]);
	tap_ok(write_some(0, 1) && script.wakes == 1 && script.woken[b.s[1].idx] == 1, "an append wakes one of those that do");
	nr_worker_rise(&b.s[1]);
	tap_ok(script.wakes == 2 && script.woken[b.s[2].idx] == 1, "and that one the next");
	nr_worker_rise(&b.s[2]);
	tap_ok(write_some(0, 1) && script.wakes == 2, "nobody is woken twice");
	nr_worker_rest(&b.s[2]);
	nr_worker_rest(&b.s[1]);
	nr_worker_rise(&b.s[1]);
	tap_ok(script.wakes == 2, "who was not woken wakes nobody");
	tap_ok(write_some(0, 1) && script.wakes == 3 && script.woken[b.s[2].idx] == 2, "who has risen is awake, who rests is woken again");
	nr_worker_rise(&b.s[2]);
	for (uint32_t r = 0; r < REPLICAS; r++)
		nr_worker_dismiss(&b.s[r]);
	tap_ok(seats_close(&b), "closed");
}

static void
test_naps(void)
{
	open_group(0, 1, 16);		/* a quarter: 4 */
	for (uint32_t r = 0; r < REPLICAS; r++)
		nr_worker_appoint(&b.s[r]);
	write_some(0, 1);
	for (uint32_t r = 1; r < REPLICAS; r++)
		nr_worker_nap(&b.s[r]);
	tap_ok(write_some(0, 3) && script.wakes == 0, "workers that nap are not woken for a few writes");
	tap_ok(write_some(0, 1) && script.wakes == 1 && script.woken[b.s[1].idx] == 1, "a quarter of the log wakes one");
	nr_worker_rise(&b.s[1]);
	tap_ok(script.wakes == 2 && script.woken[b.s[2].idx] == 1, "and that one the next");
	nr_worker_rise(&b.s[2]);
	tap_ok(write_some(0, 5) && script.wakes == 2, "nobody is woken twice");
	nr_worker_nap(&b.s[1]);
	nr_worker_rise(&b.s[1]);
	nr_worker_rise(&b.s[1]);
	tap_ok(script.wakes == 2 && write_some(0, 5) && script.wakes == 2, "who has risen does not nap, and was not woken");
	for (uint32_t r = 0; r < REPLICAS; r++)
		nr_worker_dismiss(&b.s[r]);
	tap_ok(seats_close(&b), "closed");
}

/* ---- threads: workers that never look without having been woken ---- */

static _Atomic uint32_t over;

static void *
work(void *arg)
{
	NrSession  *s = arg;

	while (atomic_load(&over) == 0)
	{
		while (refresh_session(s) != NR_FRESH)
			;
		nr_worker_rest(s);
		if (refresh_session(s) == NR_FRESH && atomic_load(&over) == 0)
			(void) s->engine->host->wait(s, NR_WAIT_NONE, -1, false);
		nr_worker_rise(s);
	}
	return NULL;
}

static void
test_no_append_unnoticed(void)
{
	NrGroupConfig config = toy_config(4, 4096, 1024);
	pthread_t	thread[REPLICAS];
	uint64_t	value = 0;

	seats_open(&b, th_geometry(REPLICAS), REPLICAS, &config, &toy_counter_dispatch);
	for (uint32_t r = 1; r < REPLICAS; r++)
	{
		nr_worker_appoint(&b.s[r]);
		thread[r] = th_start(work, &b.s[r]);
	}
	for (uint32_t i = 1; i <= 3000; i++)
	{
		th_watchdog(60);
		if (toy_call_add(&b.h[0], 0, 1, &value, NULL) != NR_OK)
			th_die("a write failed");
		for (uint32_t r = 1; r < REPLICAS; r++)
			while (nr_position(nr_replica(b.e, G, r)) < i)
				th_sleep_us(20);
	}
	tap_ok(value == 3000, "3000 writes: both workers have noticed each by being woken");
	atomic_store(&over, 1);
	for (uint32_t r = 1; r < REPLICAS; r++)
		b.e->host->wake(b.e, b.s[r].idx);
	for (uint32_t r = 1; r < REPLICAS; r++)
	{
		th_join(thread[r]);
		nr_worker_dismiss(&b.s[r]);
		tap_ok(toy_replica_info(b.e, G, r).ops_by_worker == 3000, "replica %u: nobody else had anything to do", r);
	}
	tap_ok(toy_check(&b.h[0]), "all copies are equal");
	tap_ok(seats_close(&b), "closed");
}

int
main(void)
{
	test_office();
	test_refresh(1);
	test_refresh(2);
	test_held_up();
	test_not_ours();
	test_counts_anew();
	test_wakes();
	test_naps();
	test_no_append_unnoticed();
	return tap_done();
}
