/*
 * test_combine_extents.c
 *		Combining: the account of extents.  What a batch is granted, the quota, an
 *		empty pool, surplus that goes back, extents that lagging replicas hold.
 */
#include "engine/combine.h"
#include "seats.h"
#include "tap.h"

#define PER_EXTENT	512			/* numbers of the stack in an extent of 4 kB */

/* With nothing on its way, are headroom and mapped what each copy has? */
static bool
settled(Seats *b)
{
	struct NrGroup *group = nr_group(b->e, 0);
	bool		ok = true;

	for (uint32_t r = 0; r < b->e->geo.replicas; r++)
	{
		NrCopy		copy;

		nr_group_sync_replica(&b->h[0], r, false);
		nr_copy_view(b->e, 0, r, 0, &copy);
		ok &= nr_load64_rlx(&group->headroom) == copy.table->free_count &&
			nr_load32_rlx(&group->mapped) == copy.table->mapped_count;
	}
	return ok && nr_load64_rlx(&group->granted) - nr_load64_rlx(&group->released) + 1 ==
		nr_load32_rlx(&group->mapped);
}

static NrStatus
push(Seats *b, uint32_t n)
{
	NrResult	res = {.status = NR_OK};
	NrStatus	status = NR_OK;

	/* eight at a time fit the session's buffer: no extents but the stack's */
	for (; n > 0 && status == NR_OK; n -= n < 8 ? n : 8)
		status = toy_call_push(&b->h[n / 8 % b->n], n, n < 8 ? n : 8, &res);
	return status;
}

static void
test_account(void)
{
	NrGeometry	geo = th_geometry(2);
	NrGroupConfig config = toy_config(40, 4096, 1024);
	static Seats b;
	struct NrGroup *group;
	uint64_t	random = 3;
	bool		ok = true;
	bool		found;
	uint64_t	value;

	seats_open(&b, geo, 2, &config, &toy_stack_dispatch);
	group = nr_group(b.e, 0);
	tap_ok(settled(&b) && nr_load32_rlx(&group->mapped) == 1, "a new group has its root");
	push(&b, 1);
	tap_ok(settled(&b) && nr_load32_rlx(&group->mapped) == 2 && nr_load64_rlx(&group->headroom) == 0,
		   "what is needed is granted, no more");
	push(&b, 1);
	tap_ok(settled(&b) && nr_load32_rlx(&group->mapped) == 3 && nr_load64_rlx(&group->headroom) == 1,
		   "what might have been needed is headroom afterwards");
	for (int i = 0; i < 40; i++)
		push(&b, 1);
	tap_ok(settled(&b) && nr_load32_rlx(&group->mapped) == 3, "and serves the next ones");
	push(&b, 20 * PER_EXTENT);
	tap_ok(settled(&b) && nr_load32_rlx(&group->mapped) <= 1 + 21 + 2, "grants follow what is used");
	toy_call_clear(&b.h[0]);
	tap_ok(settled(&b) && nr_load32_rlx(&group->mapped) == 1 + 2 && nr_load64_rlx(&group->headroom) == 2,
		   "cleared: all but two free extents are surplus, and released");
	tap_ok(toy_pool_free(b.e) == geo.extents - 1 - 1 - 2, "into the pool, when all replicas have let go");
	push(&b, 6 * PER_EXTENT);
	toy_call_clear(&b.h[1]);
	tap_ok(settled(&b) && nr_load64_rlx(&group->headroom) <= 7 && nr_load64_rlx(&group->headroom) >= 2,
		   "a few free ones are kept");
	for (int i = 0; i < 1000; i++)
	{
		uint32_t	what = th_random(&random) % 64;

		if (what == 0)
			toy_call_clear(&b.h[i % 2]);
		else if (what < 40)
			push(&b, 1 + th_random(&random) % 100);
		else
			for (uint32_t k = 0; k < what; k++)
				toy_call_pop(&b.h[k % 2], &found, &value);
		ok &= settled(&b);
	}
	tap_ok(ok, "after anything, headroom is the number of free extents in each copy");
	tap_ok(seats_close(&b), "all extents are back");
}

/* Two groups, one pool: what cannot be had is not claimed, so nothing is short for ever. */
static void
test_best_effort(void)
{
	NrGeometry	geo = th_geometry(2);
	NrGroupConfig config = toy_config(16, 4096, 1024);
	static Seats b;
	uint32_t	hoard[64];
	uint32_t	n = 0;
	bool		ok = true;

	geo.extents = 16;
	seats_open(&b, geo, 2, &config, &toy_stack_dispatch);
	push(&b, 2 * PER_EXTENT);
	ok &= settled(&b);
	while ((hoard[n] = nr_pool_alloc(b.e, 1, 1)) != NR_NO_EXTENT)
		n++;
	tap_ok(push(&b, 2 * PER_EXTENT) == NR_NO_SPACE && push(&b, 1) == NR_NO_SPACE && settled(&b),
		   "an empty pool: no space, and the account is right");
	tap_ok(toy_call_top(&b.h[1]).depth % PER_EXTENT == 0, "what was there could be used to the last");
	while (n > 0)
		nr_pool_free(b.e, hoard[--n]);
	tap_ok(push(&b, 2 * PER_EXTENT) == NR_OK && settled(&b) && ok, "when there is some again, it is granted");
	tap_ok(seats_close(&b), "all extents are back");
}

/* Replica 1 is idle, and holds on to what it has not yet released: it is helped before "no space". */
static void
test_laggard_holds(void)
{
	NrGeometry	geo = th_geometry(2);
	NrGroupConfig config = toy_config(12, 48 * 4096, 1024);
	static Seats b;
	uint64_t	lag;

	config.log_slots = 256;
	seats_open(&b, geo, 1, &config, &toy_stack_dispatch);
	push(&b, 8 * PER_EXTENT);
	settled(&b);
	toy_call_clear(&b.h[0]);
	while (nr_pool_alloc(b.e, 1, 1) != NR_NO_EXTENT)
		;
	lag = toy_replica_info(b.e, 0, 1).applied;
	tap_ok(push(&b, PER_EXTENT) == NR_OK && toy_replica_info(b.e, 0, 1).applied == lag,
		   "what is free in the copy is used first");
	tap_ok(push(&b, 3 * PER_EXTENT) == NR_OK && toy_replica_info(b.e, 0, 1).applied > lag,
		   "then a lagging replica is helped to let go of what it holds");
	nr_pool_free_owner(b.e, 1);
	tap_ok(settled(&b), "the account is right");
	tap_ok(seats_close(&b), "all extents are back");
}

static void
test_quota(void)
{
	NrGeometry	geo = th_geometry(2);
	Th		   *th = th_new(&geo, 2, 0);
	NrGroupConfig config = toy_config(6, 4096, 1024);
	NrSession	s[2];
	NrHandle	h[2];
	NrGroupInfo start,
				full,
				again;
	NrResult	res = {.status = NR_OK};
	NrStatus	st = NR_OK;
	ToyTop		top;
	uint64_t	pushed = 0;
	uint32_t	refused = 0;

	for (uint32_t i = 0; i < 2; i++)
		th_register(th, i, i, &s[i]);
	th_create(th, 0, &config, &toy_stack_dispatch);
	for (uint32_t i = 0; i < 2; i++)
		th_attach(&s[i], 0, &toy_stack_dispatch, &h[i]);
	start = toy_group_info(th_engine(th, 0), 0);
	for (int lap = 0; lap < 50; lap++)
	{
		pushed = 0;
		while ((st = toy_call_push(&h[pushed % 2], pushed, 1, &res)) == NR_OK)
			pushed++;
		full = toy_group_info(th_engine(th, 0), 0);
		top = toy_call_top(&h[lap % 2]);
		if (st != NR_NO_SPACE || top.depth != pushed || top.top != pushed - 1 || res.done != 0 ||
			pushed < 4 * 512 || pushed > 5 * 512 || full.extents_used > config.extents_max)
			break;
		for (int i = 0; i < 20; i++)	/* stays refused, changes nothing */
			refused += toy_call_push(&h[i % 2], 1, 1, &res) == NR_NO_SPACE;
		if (lap == 0)
			tap_ok(toy_check(&h[0]), "the replicas are equal when the quota is used up");
		if (toy_call_top(&h[0]).depth != pushed || toy_call_clear(&h[1]) != NR_OK)
			break;
		again = toy_group_info(th_engine(th, 0), 0);
		if (again.extents_used - again.extents_free > start.extents_used)
			break;
	}
	tap_ok(refused == 50 * 20, "fill to the quota, refuse, empty: 50 times (%u refusals)", refused);
	tap_ok(full.extents_used == config.extents_max && pushed == 5 * 512,
		   "the whole quota can be used (%u extents, %u values)", full.extents_used, (unsigned) pushed);
	tap_ok(toy_check(&h[0]), "the replicas are equal");
	nr_group_destroy(th_engine(th, 0), 0, NULL);
	tap_ok(toy_pool_free(th_engine(th, 0)) == geo.extents, "all extents are back");
	th_free(th);
}

/* A request half of which finds no space: the first half stands. */
static void
test_partial(void)
{
	NrGeometry	geo = th_geometry(2);
	Th		   *th = th_new(&geo, 2, 0);
	NrGroupConfig config = toy_config(2, 4096, 8192);
	NrSession	s;
	NrHandle	h;
	NrResult	res = {.status = NR_OK};
	NrStatus	st;

	th_register(th, 1, 1, &s);
	th_create(th, 0, &config, &toy_stack_dispatch);
	th_attach(&s, 0, &toy_stack_dispatch, &h);
	for (int i = 0; i < 5; i++)
		toy_call_push(&h, i * 100, 100, &res);
	st = toy_call_push(&h, 500, 100, &res);
	tap_ok(st == NR_NO_SPACE && res.done == 12 && res.flagged == 12,
		   "of 100 pushes the 12 that fit are done (%u)", res.done);
	tap_ok(toy_call_top(&h).depth == 512 && toy_call_top(&h).top == 511, "the others changed nothing");
	tap_ok(toy_check(&h), "the replicas are equal");
	th_free(th);
}

/* What one group lets go of, another can use. */
static void
test_shared_pool(void)
{
	NrGeometry	geo = th_geometry(2);
	Th		   *th;
	NrGroupConfig config = toy_config(32, 4096, 4096);
	NrSession	s[2];
	NrHandle	a[2],
				b[2];
	NrResult	res = {.status = NR_OK};
	uint64_t	first = 0,
				second = 0,
				after = 0;
	uint32_t	free_at_start;

	geo.extents = 32;
	th = th_new(&geo, 2, 0);
	th_create(th, 0, &config, &toy_stack_dispatch);
	th_create(th, 1, &config, &toy_stack_dispatch);
	free_at_start = toy_pool_free(th_engine(th, 0));
	for (uint32_t i = 0; i < 2; i++)
	{
		th_register(th, i, i, &s[i]);
		th_attach(&s[i], 0, &toy_stack_dispatch, &a[i]);
		th_attach(&s[i], 1, &toy_stack_dispatch, &b[i]);
	}
	while (toy_call_push(&a[first % 2], first, 50, &res) == NR_OK)
		first += 50;
	while (toy_call_push(&b[0], second, 50, &res) == NR_OK)
		second += 50;
	tap_ok(first > (free_at_start - 4) * 512 && toy_pool_free(th_engine(th, 0)) == 0,
		   "one group takes the whole pool (%u values)", (unsigned) first);
	tap_ok(second == 0, "the other gets nothing");
	tap_ok(toy_check(&a[0]) && toy_check(&b[0]), "the replicas are equal");
	toy_call_clear(&a[0]);
	/* replicas let go of extents as they apply, so bring all of them up */
	for (int i = 0; i < 4; i++)
	{
		nr_group_sync_replica(&a[0], 0, false);
		nr_group_sync_replica(&a[0], 1, false);
		toy_call_clear(&a[i % 2]);
	}
	while (toy_call_push(&b[1], after, 50, &res) == NR_OK)
		after += 50;
	tap_ok(after > 10 * 512, "after the first is cleared, the other goes on (%u values)", (unsigned) after);
	tap_ok(toy_check(&a[0]) && toy_check(&b[0]), "the replicas are equal");
	nr_group_destroy(th_engine(th, 0), 0, NULL);
	nr_group_destroy(th_engine(th, 1), 1, NULL);
	tap_ok(toy_pool_free(th_engine(th, 1)) == geo.extents, "all extents are back");
	th_free(th);
}

int
main(void)
{
	th_watchdog(60);
	test_account();
	test_best_effort();
	test_laggard_holds();
	test_quota();
	test_partial();
	test_shared_pool();
	return tap_done();
}
