/*
 * test_combine.c
 *		Flat combining: who is taken, in which order and how many; withdrawing;
 *		waking; the account of extents: grants, quota, surplus.
 *
 * Requests of many sessions pend by hand, so that one thread decides what a
 * combiner finds.
 */
#include <stdlib.h>

#include "engine/combine.h"
#include "seats.h"
#include "tap.h"

#define G	0

static Seats b;

/* ---- requests by hand ---- */

/* Of the session's last request. */
static uint32_t
number(uint32_t i)
{
	return nr_req_no(nr_load64_rlx(&b.h[i].slot->state));
}

/* A request for one addition to counter 0, padded to be of this many bytes. */
static void
post(uint32_t i, size_t bytes)
{
	NrHandle   *h = &b.h[i];

	if (bytes <= TOY_ADD_BYTES)
		bytes = toy_add(h->buffer, 0, 1);
	else
	{
		NrOpHeader *op = (NrOpHeader *) h->buffer;

		toy_sum(op, bytes - sizeof(NrOpHeader), 0);
		*(unsigned char *) (op + 1) = 1;
	}
	nr_store32_rlx(&h->slot->bytes, (uint32_t) bytes);
	nr_store32_rlx(&h->slot->first_extent, NR_NO_EXTENT);
	nr_store32_rlx(&h->slot->n, 1);
	nr_xchg64_seq(&h->slot->state, nr_req_word(number(i) + 1, G, NR_REQ_PENDING));
	nr_bit_set(nr_pending(b.e, h->replica), h->session->idx);
}

static uint32_t
phase(uint32_t i)
{
	return nr_req_phase(nr_load64_rlx(&b.h[i].slot->state));
}

/* The counter's value that the request of session i was answered. */
static uint64_t
answer(uint32_t i)
{
	return phase(i) == NR_REQ_DONE && b.h[i].slot->last_length == 8 ? *(uint64_t *) b.h[i].buffer : 0;
}

static void
set_free(uint32_t i)
{
	nr_store64_rlx(&b.h[i].slot->state, nr_req_word(number(i), 0, NR_REQ_FREE));
}

static void
open_many(uint32_t sessions, uint32_t replicas, uint32_t extent_shift, uint32_t slots)
{
	NrGeometry	geo = th_geometry(replicas);
	NrGroupConfig config = toy_config(4, 1, 4096);

	geo.sessions = sessions;
	geo.extent_shift = extent_shift;
	geo.extents = 16;
	config.log_slots = slots;
	seats_open(&b, geo, sessions, &config, &toy_counter_dispatch);
	script_begin(b.th, NULL);
}

static bool
combine(uint32_t i, NrFull *full)
{
	bool		all;

	if (!nr_combiner_try(&b.s[i], G, b.s[i].replica))
		return false;
	all = nr_combine(&b.s[i], &toy_counter_dispatch, G, NR_PATIENT, full) == NR_COMBINED;
	nr_combiner_unlock(&b.s[i], G, b.s[i].replica);
	return all;
}

static NrReplicaInfo
info(void)
{
	return toy_replica_info(b.e, G, 0);
}

/* ---- collecting ---- */

/* Wherever the scan begins, each request is taken once, in order from there. */
static void
test_scan_from(void)
{
	static const uint32_t from[] = {0, 1, 62, 63, 64, 65, 127, 128, 129};
	NrFull		full;
	uint64_t	sum = 0;
	bool		ok = true;

	open_many(130, 1, 16, 16);
	for (size_t k = 0; k < sizeof(from) / sizeof(from[0]); k++)
	{
		for (uint32_t i = 0; i < 130; i++)
			post(i, 0);
		b.h[0].replica->scan_from = from[k];
		ok &= combine(129, &full);
		for (uint32_t i = 0; i < 130; i++)
			ok &= answer((from[k] + i) % 130) == sum + i + 1;
		for (uint32_t i = 0; i < 130; i++)
			set_free(i);
		sum += 130;
	}
	tap_ok(ok, "wherever a collection begins, each request is taken once, in order");
	tap_ok(info().batches == 9 && info().requests == 9 * 130, "all of them as one batch");
	tap_ok(seats_close(&b), "all extents are back");
}

static void
test_batch_limit(void)
{
	NrFull		full;
	uint64_t	pending = 0;
	uint64_t	sum = 0;

	open_many(300, 1, 16, 16);
	for (uint32_t i = 0; i < 300; i++)
		post(i, 0);
	tap_ok(combine(7, &full) && info().batches == 2 && info().requests == 300,
		   "300 requests are two batches");
	for (uint32_t i = 0; i < 300; i++)
		sum += answer(i) == i + 1;
	for (uint32_t w = 0; w < b.e->bitmap_words; w++)
		pending |= nr_load64_rlx(&nr_pending(b.e, b.h[0].replica)[w]);
	tap_ok(sum == 300 && pending == 0, "each has its answer, none pends");
	tap_ok(b.h[0].replica->scan_from == 256, "the second began where the first was full");
	for (uint32_t i = 0; i < 300; i++)
		set_free(i);
	tap_ok(seats_close(&b), "all extents are back");
}

/*
 * More than one combine can serve, and who is served asks again at once:
 * everybody must get a turn all the same.
 */
static void
test_fairness(void)
{
	static uint32_t served[SEATS_MAX];
	NrFull		full;
	uint32_t	least = UINT32_MAX,
				most = 0;
	bool		all = true;

	open_many(200, 1, 12, 16);
	memset(served, 0, sizeof(served));
	for (uint32_t i = 0; i < 200; i++)
		post(i, 512);
	for (int lap = 0; lap < 100; lap++)
	{
		all &= combine(0, &full) && info().requests >= 200 * ((uint64_t) lap + 1);
		for (uint32_t i = 0; i < 200; i++)
			if (phase(i) == NR_REQ_DONE)
			{
				served[i]++;
				set_free(i);
				post(i, 512);
			}
	}
	for (uint32_t i = 0; i < 200; i++)
	{
		if (served[i] < least)
			least = served[i];
		if (served[i] > most)
			most = served[i];
	}
	tap_ok(!all, "one combine does not serve 200 large requests");
	tap_ok(least > 10 && most - least <= 1, "everybody gets a turn: %u to %u of them", least, most);
	for (uint32_t i = 0; i < 200; i++)
		nr_request_withdraw(&b.s[i], G);
	tap_ok(seats_close(&b), "all extents are back");
}

/* ---- a full log ---- */

static void
test_no_slot(void)
{
	NrFull		full;
	uint64_t	claimed;

	open_many(4, 2, 12, 4);		/* even sessions on replica 0 */
	nr_combiner_try(&b.s[1], G, 1);		/* nobody can help replica 1 */
	for (int i = 0; i < 4; i++)
		toy_call_add(&b.h[0], 0, 1, NULL, NULL);
	claimed = nr_load64_rlx(&b.h[0].group->claimed);
	post(0, 0);
	post(2, 0);
	tap_ok(!combine(0, &full) && full.slots && full.head == 0, "without a slot a combiner says so");
	tap_ok(phase(0) == NR_REQ_PENDING && phase(2) == NR_REQ_PENDING &&
		   nr_load64_rlx(&nr_pending(b.e, b.h[0].replica)[0]) == 5, "it has taken nothing");
	tap_ok(nr_load64_rlx(&b.h[0].group->claimed) == claimed && nr_load64_rlx(&b.h[0].group->tail) == 4,
		   "nor claimed anything");
	tap_ok(nr_request_withdraw(&b.s[2], G), "a request can be withdrawn still");
	nr_combiner_unlock(&b.s[1], G, 1);
	tap_ok(combine(0, &full) && answer(0) == 5 && phase(2) == NR_REQ_FREE,
		   "when replica 1 can be helped, it is, and the other is served");
	tap_ok(toy_replica_info(b.e, G, 1).helped > 0, "which is counted");
	set_free(0);
	tap_ok(seats_close(&b), "all extents are back");
}

/* The ring has room for one, not for all: that one is not kept waiting. */
static void
test_only_first(void)
{
	NrFull		full;
	uint64_t	ring;

	open_many(8, 2, 12, 64);
	ring = nr_ring_batch_max(b.e, b.h[0].group);
	nr_combiner_try(&b.s[1], G, 1);
	while (ring - (nr_load64_rlx(&b.h[0].replica->ring_tail) - b.h[0].group->log_head_bytes) > 1024)
		toy_call_add(&b.h[0], 0, 1, NULL, NULL);
	for (uint32_t i = 0; i < 6; i += 2)
		post(i, 512);
	tap_ok(!combine(6, &full) && !full.slots, "a ring without room for all");
	tap_ok(phase(0) == NR_REQ_DONE && phase(2) == NR_REQ_PENDING && phase(4) == NR_REQ_PENDING,
		   "the first is served");
	tap_ok(b.h[0].replica->scan_from == 2, "the second is the next one's first");
	nr_combiner_unlock(&b.s[1], G, 1);
	tap_ok(combine(6, &full) && phase(2) == NR_REQ_DONE && phase(4) == NR_REQ_DONE,
		   "with room, the others are");
	for (uint32_t i = 0; i < 6; i += 2)
		set_free(i);
	tap_ok(seats_close(&b), "all extents are back");
}

/* ---- withdrawing between looking and taking ---- */

static void (*between) (void);

static void
once_between(uint32_t n)
{
	void		(*run) (void) = between;

	(void) n;
	between = NULL;
	if (run != NULL)
		run();
}

static void
withdraw_0(void)
{
	nr_request_withdraw(&b.s[0], G);
}

static void
withdraw_0_ask_more(void)
{
	nr_request_withdraw(&b.s[0], G);
	post(0, 512);
}

static void
sleep_0(void)
{
	nr_or64_seq(&b.h[0].slot->state, NR_REQ_SLEEPING);
}

static bool taken_seen;

static void
try_withdraw(const char *point)
{
	if (strcmp(point, "request_taken") == 0)
		taken_seen = phase(0) == NR_REQ_TAKEN && !nr_request_withdraw(&b.s[0], G) &&
			phase(0) == NR_REQ_TAKEN;
}

static void
test_withdraw(void)
{
	NrFull		full;

	open_many(4, 1, 12, 16);
	atomic_store(&toy_hook_need, once_between);
	between = withdraw_0;
	post(0, 0);
	tap_ok(combine(1, &full) && phase(0) == NR_REQ_FREE && nr_load64_rlx(&b.h[0].group->tail) == 0,
		   "withdrawn after it was looked at: no batch");
	tap_ok(nr_load64_rlx(&b.h[0].group->claimed) == 0, "and the claim is given back");
	between = withdraw_0;
	post(0, 0);
	post(2, 0);
	tap_ok(combine(1, &full) && phase(0) == NR_REQ_FREE && answer(2) == 1, "the other is served");
	set_free(2);
	between = withdraw_0_ask_more;
	post(0, 0);
	post(2, 0);
	tap_ok(combine(1, &full) && answer(2) == 2 && answer(0) == 3 && info().batches == 3,
		   "a new, larger request is not taken for the old one: it is in the next batch");
	set_free(0);
	set_free(2);
	between = sleep_0;
	post(0, 0);
	tap_ok(combine(1, &full) && answer(0) == 4 && script.woken[0] == 1,
		   "who went to sleep meanwhile is served and woken");
	set_free(0);
	nr_test_point_hook = try_withdraw;
	post(0, 0);
	tap_ok(combine(1, &full) && taken_seen && answer(0) == 5, "taken, it cannot be withdrawn");
	nr_test_point_hook = NULL;
	atomic_store(&toy_hook_need, NULL);
	set_free(0);
	tap_ok(seats_close(&b), "all extents are back");
}

/* ---- the lock ---- */

/* ---- who is alone ---- */

/* One more by session i; what it was answered, or 0: nothing was done. */
static uint64_t
alone(uint32_t i)
{
	_Alignas(8) char op[TOY_ADD_BYTES];
	NrOwn		own = {.ops = op,.bytes = (uint32_t) toy_add(op, 0, 1),.first_extent = NR_NO_EXTENT,.n = 1};
	bool		done;

	if (!nr_combiner_try(&b.s[i], G, b.s[i].replica))
		return 0;
	done = nr_combine_alone(&b.s[i], &toy_counter_dispatch, G, &own);
	nr_combiner_unlock(&b.s[i], G, b.s[i].replica);
	return done && b.h[i].slot->last_length == 8 ? *(uint64_t *) b.h[i].buffer : 0;
}

static void
post_1_when_complete(const char *point)
{
	if (strcmp(point, "batch_complete") == 0 && phase(1) == NR_REQ_FREE)
		post(1, 0);
}

static void
test_alone(void)
{
	NrFull		full;
	uint32_t	before;
	uint64_t	ring;

	open_many(4, 1, 12, 16);
	before = number(0);
	tap_ok(alone(0) == 1 && phase(0) == NR_REQ_FREE && number(0) == before, "who is alone is served, and its slot was never used");
	tap_ok(info().batches == 1 && info().requests == 1 && info().ops == 1, "as a batch of one request");
	post(2, 0);
	tap_ok(alone(0) == 0 && phase(2) == NR_REQ_PENDING && info().batches == 1, "somebody pends: nobody is alone, nothing is done");
	tap_ok(combine(0, &full) && answer(2) == 2, "they are served together");
	set_free(2);
	nr_test_point_hook = post_1_when_complete;
	tap_ok(alone(0) == 3 && answer(1) == 4 && info().batches == 4, "who asks meanwhile is served, too");
	nr_test_point_hook = NULL;
	set_free(1);
	tap_ok(seats_close(&b), "all extents are back");

	/* replica 1 does not follow */
	open_many(4, 2, 16, 4);
	for (uint32_t i = 0; i < 4; i++)
		tap_ok(alone(0) == i + 1, "there is room in the log");
	ring = nr_load64_rlx(&b.h[0].replica->ring_tail);
	tap_ok(alone(0) == 0 && nr_load64_rlx(&b.h[0].group->claimed) == 4 && nr_load64_rlx(&b.h[0].group->tail) == 4 &&
		   nr_load64_rlx(&b.h[0].replica->ring_tail) == ring, "none: nothing is done, nothing claimed");
	nr_group_sync(&b.h[1], false);
	nr_log_head(&b.s[0], G);
	tap_ok(alone(0) == 5, "and there is again, when all have followed");
	tap_ok(seats_close(&b), "all extents are back");
}

static void
test_lock(void)
{
	open_many(6, 1, 12, 16);
	tap_ok(nr_combiner_try(&b.s[0], G, 0) && !nr_combiner_try(&b.s[1], G, 0) && info().combiner == 0,
		   "one combines");
	tap_ok(nr_combiner_lock(&b.s[1], G, 0, true, true) == NR_LOCK_BUSY &&
		   script.waits_for[NR_WAIT_COMBINER] == 5, "a brief wait for the lock ends by itself");
	script_begin(b.th, script_give_up);
	tap_ok(nr_combiner_lock(&b.s[1], G, 0, true, false) == NR_LOCK_CANCELLED && script.waits == 1,
		   "a long one can be cancelled");
	tap_ok(nr_load64_rlx(&nr_waiters(b.e, b.h[0].replica)[0]) == 0, "who gave up waits no more");

	nr_bit_set(nr_waiters(b.e, b.h[0].replica), 5);
	post(1, 0);					/* pends, and does not sleep yet */
	post(2, 0);
	post(3, 0);
	nr_or64_seq(&b.h[2].slot->state, NR_REQ_SLEEPING);
	nr_or64_seq(&b.h[3].slot->state, NR_REQ_SLEEPING);
	nr_store64_rlx(&b.h[2].slot->state, nr_req_word(1, G + 1, NR_REQ_PENDING | NR_REQ_SLEEPING));
	nr_bit_set(nr_pending(b.e, b.h[0].replica), 4);
	script_begin(b.th, NULL);
	nr_combiner_unlock(&b.s[0], G, 0);
	tap_ok(info().combiner == NR_SESSION_NONE && script.woken[5] == 1, "unlocking wakes who waits for the lock");
	tap_ok(script.woken[3] == 1 && script.wakes == 2,
		   "and of the requests one that sleeps for this group");
	for (uint32_t i = 1; i < 4; i++)
	{
		set_free(i);
		nr_bit_clear(nr_pending(b.e, b.h[0].replica), i);
	}
	nr_bit_clear(nr_pending(b.e, b.h[0].replica), 4);
	nr_bit_clear(nr_waiters(b.e, b.h[0].replica), 5);

	post(1, 0);
	post(3, 0);
	nr_or64_seq(&b.h[1].slot->state, NR_REQ_SLEEPING);
	nr_or64_seq(&b.h[3].slot->state, NR_REQ_SLEEPING);
	nr_combiner_handoff(&b.s[0], G, 0);
	nr_request_withdraw(&b.s[1], G);
	tap_ok(script.woken[1] == 1 && script.woken[3] == 2, "who was woken to combine and gives up passes it on");
	nr_request_withdraw(&b.s[3], G);
	tap_ok(seats_close(&b), "all extents are back");
}

int
main(void)
{
	th_watchdog(60);
	test_scan_from();
	test_batch_limit();
	test_fairness();
	test_no_slot();
	test_only_first();
	test_withdraw();
	test_alone();
	test_lock();
	return tap_done();
}
