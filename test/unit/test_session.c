/*
 * test_session.c
 *		Tokens: dense and reused, what they leave behind, requests that are on
 *		their way when a session ends, moves to another replica.
 */
#include "engine/combine.h"
#include "seats.h"
#include "tap.h"

#include <stdlib.h>

static void
test_sessions(void)
{
	NrGeometry	geo = th_geometry(2);
	Th		   *th = th_new(&geo, 2, 0);
	NrSession	s[17];
	NrSessionInfo before,
				info;
	bool		dense = true;

	for (uint32_t i = 0; i < geo.sessions; i++)
	{
		dense &= nr_session_register(th_engine(th, i), i % 2, 1000 + i, 77 + i, &s[i]) == NR_OK;
		dense &= s[i].idx == i && s[i].replica == i % 2;
	}
	tap_ok(dense, "sessions are numbered densely from 0");
	tap_ok(nr_session_register(th_engine(th, 0), 0, 1, 1, &s[16]) == NR_NO_SESSION,
		   "one session more than there are slots is refused");
	nr_session_info(th_engine(th, 1), 5, &info);
	tap_ok(info.used && info.replica == 1 && info.owner_pid == 1005 && info.owner_data == 82 &&
		   info.waiting_for == NR_WAIT_NONE, "a session's owner is shown");

	nr_session_info(th_engine(th, 0), 5, &before);
	nr_session_unregister(&s[5]);
	nr_session_info(th_engine(th, 0), 5, &info);
	tap_ok(!info.used, "a session given back is free");
	nr_session_unregister(&s[11]);
	tap_ok(nr_session_register(th_engine(th, 0), 0, 1, 1, &s[5]) == NR_OK && s[5].idx == 5,
		   "the lowest free slot is used again");
	nr_session_info(th_engine(th, 0), 5, &info);
	tap_ok(info.generation > before.generation, "with a new generation");
	tap_ok(info.replica == 0 && info.owner_pid == 1 && info.waits == 0, "and a new owner");
	tap_ok(nr_session_register(th_engine(th, 1), 1, 1, 1, &s[11]) == NR_OK && s[11].idx == 11,
		   "so is the other");
	tap_ok(nr_session_register(th_engine(th, 0), 0, 1, 1, &s[16]) == NR_NO_SESSION,
		   "then all are taken again");
	for (uint32_t i = 0; i < geo.sessions; i++)
		nr_session_unregister(&s[i]);
	th_free(th);
}

/* Tokens come back: far more sessions than slots, one after the other, each doing something. */
static void
test_session_turnover(void)
{
	NrGeometry	geo = th_geometry(2);
	Th		   *th = th_new(&geo, 2, 0);
	NrGroupConfig config = toy_config(4, 4096, 1024);
	uint64_t	value = 0;
	uint32_t	bad = 0;

	th_create(th, 0, &config, &toy_counter_dispatch);
	for (uint32_t i = 0; i < 20000; i++)
	{
		NrSession	s;
		NrHandle	h;

		th_register(th, i, i % 2, &s);
		th_attach(&s, 0, &toy_counter_dispatch, &h);
		if (s.idx != 0 || toy_call_add(&h, 0, 1, &value, NULL) != NR_OK || value != i + 1)
			bad++;
		nr_group_detach(&h);
		nr_session_unregister(&s);
	}
	tap_ok(bad == 0, "20000 sessions in turn: one slot, each write counted once");
	th_free(th);
}

typedef struct Racer
{
	Th		   *th;
	uint32_t	i;
	_Atomic uint32_t *owner;	/* by session */
	uint32_t	clashes;
	uint32_t	refused;
} Racer;

static void *
race(void *arg)
{
	Racer	   *r = arg;

	for (int i = 0; i < 3000; i++)
	{
		NrSession	s;

		if (nr_session_register(th_engine(r->th, r->i), r->i % 2, r->i, 0, &s) != NR_OK)
		{
			r->refused++;
			continue;
		}
		if (atomic_exchange(&r->owner[s.idx], r->i + 1) != 0)
			r->clashes++;
		if (atomic_exchange(&r->owner[s.idx], 0) != r->i + 1)
			r->clashes++;
		nr_session_unregister(&s);
	}
	return NULL;
}

static void
test_session_race(void)
{
	NrGeometry	geo = th_geometry(2);
	Th		   *th;
	Racer		racer[6];
	pthread_t	thread[6];
	_Atomic uint32_t owner[16] = {0};
	uint32_t	clashes = 0,
				refused_n = 0;

	geo.sessions = 6;
	th = th_new(&geo, 4, 0);
	for (uint32_t i = 0; i < 6; i++)
	{
		racer[i] = (Racer) {th, i, owner, 0, 0};
		thread[i] = th_start(race, &racer[i]);
	}
	for (uint32_t i = 0; i < 6; i++)
	{
		th_join(thread[i]);
		clashes += racer[i].clashes;
		refused_n += racer[i].refused;
	}
	tap_ok(clashes == 0, "six threads coming and going: no slot has two owners");
	tap_ok(refused_n == 0, "and nobody is refused while there are enough slots");
	th_free(th);
}

/* ---- ending with something on its way ---- */

static Seats b;

static void
open_seats(uint32_t n)
{
	NrGroupConfig config = toy_config(4, 8192, 8192);

	seats_open(&b, th_geometry(2), n, &config, &toy_counter_dispatch);
}

static uint32_t
request_no(uint32_t i)
{
	return nr_req_no(nr_load64_rlx(&b.h[i].slot->state));
}

/* Session i asks for a large request and is gone before anybody takes it. */
static void
ask_large(uint32_t i)
{
	uint32_t	x[3];

	for (int k = 0; k < 3; k++)
		x[k] = nr_pool_alloc(b.e, 0, 1);
	for (int k = 0; k < 3; k++)
	{
		NrPayload  *payload = (NrPayload *) nr_physical(b.e, b.s[i].replica, x[k]);

		payload->next = k < 2 ? x[k + 1] : NR_NO_EXTENT;
		payload->bytes = (uint32_t) toy_add(payload + 1, 0, 1000);
	}
	nr_store32_rlx(&b.h[i].slot->bytes, 3 * TOY_ADD_BYTES);
	nr_store32_rlx(&b.h[i].slot->first_extent, x[0]);
	nr_store32_rlx(&b.h[i].slot->n, 3);
	nr_xchg64_seq(&b.h[i].slot->state, nr_req_word(request_no(i) + 1, 0, NR_REQ_PENDING));
	nr_bit_set(nr_pending(b.e, b.h[i].replica), b.s[i].idx);
}

static void
test_withdraws(void)
{
	uint32_t	free_before,
				number;
	NrReplicaInfo ri;

	open_seats(4);
	free_before = toy_pool_free(b.e);
	ask_large(2);
	number = request_no(2);
	tap_ok(toy_pool_free(b.e) == free_before - 3, "a large request pends");
	nr_session_unregister(&b.s[2]);
	ri = toy_replica_info(b.e, 0, 0);
	tap_ok(toy_pool_free(b.e) == free_before, "its session ends: the extents are back");
	tap_ok(ri.withdrawn == 1 && nr_load64_rlx(&nr_pending(b.e, nr_replica(b.e, 0, 0))[0]) == 0,
		   "it is withdrawn");
	toy_call_add(&b.h[0], 0, 1, NULL, NULL);
	tap_ok(toy_call_get(&b.h[1], 0) == 1, "and never applied");
	nr_group_detach(&b.h[2]);
	th_register(b.th, 2, 0, &b.s[2]);
	th_attach(&b.s[2], 0, &toy_counter_dispatch, &b.h[2]);
	tap_ok(b.s[2].idx == 2 && request_no(2) == number, "its successor's request numbers go on");
	nr_store32_rlx(&nr_test_announces, 1);
	tap_ok(toy_call_add(&b.h[2], 0, 1, NULL, NULL) == NR_OK && request_no(2) == number + 1 &&
		   toy_call_get(&b.h[1], 0) == 2, "and its requests work");
	nr_store32_rlx(&nr_test_announces, 0);
	tap_ok(seats_close(&b), "all extents are back");
}

static bool
answer_third(NrSession *session, NrWaitReason why, long timeout_us, bool cancellable)
{
	if (why == NR_WAIT_RESPONSE && timeout_us > 0 && !cancellable && script.waits == 3)
		nr_xchg64_seq(&b.h[session->idx].slot->state, nr_req_word(request_no(session->idx), 0, NR_REQ_DONE));
	return true;
}

static void
test_taken(void)
{
	open_seats(4);
	nr_xchg64_seq(&b.h[1].slot->state, nr_req_word(request_no(1) + 1, 0, NR_REQ_TAKEN));
	script_begin(b.th, answer_third);
	nr_session_unregister(&b.s[1]);
	tap_ok(script.waits == 3 && script.waits_for[NR_WAIT_RESPONSE] == 3,
		   "a request that was taken is waited for");
	tap_ok(nr_req_phase(nr_load64_rlx(&nr_request_slot(b.e, 1, 1)->state)) == NR_REQ_FREE,
		   "then the slot is free");
	th_register(b.th, 1, 1, &b.s[1]);
	nr_xchg64_seq(&b.h[1].slot->state, nr_req_word(request_no(1) + 1, 0, NR_REQ_DONE));
	script_begin(b.th, NULL);
	nr_session_unregister(&b.s[1]);
	tap_ok(script.waits == 0, "one that was answered is not");
	th_register(b.th, 1, 1, &b.s[1]);
	tap_ok(seats_close(&b), "all extents are back");
}

/* Bits that tell writers to look for a session go with it, in all groups. */
static void
test_bits(void)
{
	NrGroupConfig config = toy_config(4, 4096, 1024);
	NrHandle	other;
	uint64_t	bit = UINT64_C(1) << 3;
	bool		set = true;
	bool		left = false;

	open_seats(4);
	th_create(b.th, 5, &config, &toy_counter_dispatch);
	th_attach(&b.s[3], 5, &toy_counter_dispatch, &other);
	for (uint32_t g = 0; g <= 5; g += 5)
	{
		nr_bit_set(nr_waiters(b.e, nr_replica(b.e, g, 1)), 3);
		set &= (nr_load64_rlx(&nr_readers(b.e, nr_replica(b.e, g, 1))[0]) & bit) != 0;
	}
	nr_session_unregister(&b.s[3]);
	for (uint32_t g = 0; g <= 5; g += 5)
		left |= ((nr_load64_rlx(&nr_readers(b.e, nr_replica(b.e, g, 1))[0]) |
				  nr_load64_rlx(&nr_waiters(b.e, nr_replica(b.e, g, 1))[0])) & bit) != 0;
	tap_ok(set && !left, "a session that ends takes its bits with it");
	tap_ok(nr_load64_rlx(&nr_readers(b.e, nr_replica(b.e, 0, 1))[0]) == UINT64_C(1) << 1, "and no other's");
	th_register(b.th, 3, 1, &b.s[3]);
	th_attach(&b.s[3], 0, &toy_counter_dispatch, &other);
	nr_bit_set(nr_readers(b.e, nr_replica(b.e, 0, 1)), 3);
	b.h[3].session->shared = NULL;
	nr_group_detach(&b.h[3]);
	tap_ok(nr_load64_rlx(&nr_readers(b.e, nr_replica(b.e, 0, 1))[0]) & bit,
		   "a handle of a session that has ended leaves its successor's alone");
	b.s[3].shared = nr_session_shared(b.e, 3);
	nr_group_destroy(b.e, 5, NULL);
	tap_ok(seats_close(&b), "all extents are back");
}

static void
test_refuses(void)
{
	NrSession	s;

	open_seats(1);
	tap_ok(nr_session_register(b.e, 2, 1, 1, &s) == NR_BAD_CONFIG, "a replica past the last is refused");
	tap_ok(seats_close(&b), "all extents are back");
}

/* ---- going on with another replica ---- */

static void
test_move(void)
{
	NrGeometry	geo = th_geometry(2);
	Th		   *th = th_new(&geo, 1, 0);
	NrGroupConfig config = toy_config(4, 4096, 1024);
	NrSession	s;
	NrHandle	h;
	NrSessionInfo info;
	uint64_t	value = 0;

	th_create(th, 0, &config, &toy_counter_dispatch);
	th_register(th, 0, 0, &s);
	th_attach(&s, 0, &toy_counter_dispatch, &h);
	toy_call_add(&h, 0, 1, &value, NULL);
	tap_ok(nr_enter(&h, false) == NR_OK && nr_session_move(&s, 1) == NR_BUSY && s.replica == 0,
		   "no move between enter and leave");
	nr_leave(&h);
	tap_ok(nr_session_move(&s, 2) == NR_BAD_CONFIG && s.replica == 0, "nor to a replica that there is not");
	tap_ok(nr_session_move(&s, 0) == NR_OK, "to where it is already");
	nr_session_info(th_engine(th, 0), s.idx, &info);
	tap_ok(info.moves == 0, "  is no move");

	tap_ok(nr_session_move(&s, 1) == NR_OK, "from replica 0 to 1");
	nr_group_detach(&h);
	tap_ok(nr_load64_rlx(&nr_readers(th_engine(th, 0), nr_replica(th_engine(th, 0), 0, 0))[0]) == 0,
		   "  writers of replica 0 look for it no more");
	th_attach(&s, 0, &toy_counter_dispatch, &h);
	tap_ok(h.r == 1 && toy_call_get(&h, 0) == 1, "  where it sees what it has seen");
	tap_ok(toy_call_add(&h, 0, 1, &value, NULL) == NR_OK && value == 2, "  and writes");
	nr_session_info(th_engine(th, 0), s.idx, &info);
	tap_ok(info.moves == 1 && info.replica == 1, "  and is shown");
	tap_ok(toy_replica_info(th_engine(th, 0), 0, 0).ops == 1 && toy_replica_info(th_engine(th, 0), 0, 1).ops == 1,
		   "  each replica has combined one of its writes");
	nr_group_detach(&h);
	nr_session_unregister(&s);
	th_register(th, 0, 0, &s);
	nr_session_info(th_engine(th, 0), s.idx, &info);
	tap_ok(info.moves == 0, "the slot's next owner has not moved");
	nr_session_unregister(&s);
	th_free(th);
}

typedef struct Mover
{
	Th		   *th;
	uint32_t	i;
	uint32_t	backwards;
	uint32_t	failed;
} Mover;

/* Add to one's own counter and to a common one; neither may ever be seen to go back. */
static void *
move_about(void *arg)
{
	Mover	   *m = arg;
	unsigned	seed = m->i + 1;
	uint64_t	seen = 0;
	NrSession	s;
	NrHandle	h;

	th_register(m->th, m->i, m->i % 2, &s);
	th_attach(&s, 0, &toy_counter_dispatch, &h);
	for (uint32_t n = 1; n <= 2000; n++)
	{
		uint64_t	value = 0;
		uint64_t	common;

		if (toy_call_add(&h, 0, 1, &value, NULL) != NR_OK || toy_call_add(&h, 1 + m->i, 1, &value, NULL) != NR_OK ||
			value != n)
			m->failed++;
		if (rand_r(&seed) % 3 == 0)
		{
			if (nr_session_move(&s, 1 - s.replica) != NR_OK)
				m->failed++;
			nr_group_detach(&h);
			th_attach(&s, 0, &toy_counter_dispatch, &h);
		}
		common = toy_call_get(&h, 0);
		if (common < seen || toy_call_get(&h, 1 + m->i) != n)
			m->backwards++;
		seen = common;
	}
	nr_group_detach(&h);
	nr_session_unregister(&s);
	return NULL;
}

static void
test_movers(uint32_t copies)
{
	NrGeometry	geo = th_geometry(2);
	Th		   *th = th_new(&geo, 2, 100);
	NrGroupConfig config = toy_config(4, 4096, 1024);
	Mover		mover[4];
	pthread_t	thread[4];
	uint32_t	backwards = 0,
				failed_n = 0;
	NrSession	s;
	NrHandle	h;

	config.copies = copies;
	th_create(th, 0, &config, &toy_counter_dispatch);
	for (uint32_t i = 0; i < 4; i++)
	{
		mover[i] = (Mover) {th, i, 0, 0};
		thread[i] = th_start(move_about, &mover[i]);
	}
	for (uint32_t i = 0; i < 4; i++)
	{
		th_join(thread[i]);
		backwards += mover[i].backwards;
		failed_n += mover[i].failed;
	}
	th_register(th, 0, 0, &s);
	th_attach(&s, 0, &toy_counter_dispatch, &h);
	tap_ok(failed_n == 0, "%u copies: four threads that move between replicas: each write counts once", copies);
	tap_ok(backwards == 0, "  and nobody sees a counter go back");
	tap_ok(toy_call_get(&h, 0) == 8000 && toy_check(&h), "  the replicas are equal and have all of it");
	nr_group_detach(&h);
	nr_session_unregister(&s);
	th_free(th);
}

int
main(void)
{
	th_watchdog(60);
	test_sessions();
	test_session_turnover();
	test_session_race();
	test_withdraws();
	test_taken();
	test_bits();
	test_refuses();
	test_move();
	test_movers(1);
	test_movers(2);
	return tap_done();
}
