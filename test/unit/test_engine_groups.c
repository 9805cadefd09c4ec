/*
 * test_engine_groups.c
 *		Making and destroying groups; extents: quota, accounting, sharing the
 *		pool; copies compared; replicas that lag.
 */
#include <stdlib.h>

#include "tap.h"
#include "thread_host.h"
#include "toy_calls.h"

/* ---- making and destroying ---- */

static void
test_cycles(void)
{
	NrGeometry	geo = th_geometry(2);
	Th		   *th = th_new(&geo, 2, 0);
	NrSession	s;
	uint32_t	bad = 0,
				leaks = 0,
				generation = 0;

	th_register(th, 1, 1, &s);
	for (uint32_t i = 0; i < 10000; i++)
	{
		NrGroupConfig config = toy_config(2 + i % 20, 4096 * (1 + i % 3), 2048);
		const NrDispatch *d = i % 2 ? &toy_stack_dispatch : &toy_counter_dispatch;
		uint32_t	g = i % 3;
		NrHandle	h;
		NrResult	res = {.status = NR_OK};

		th_create(th, g, &config, d);
		th_attach(&s, g, d, &h);
		if (i % 2 ? toy_call_push(&h, i, 30, &res) != NR_OK || toy_call_top(&h).depth != 30
			: toy_call_add(&h, 0, i, NULL, NULL) != NR_OK || toy_call_get(&h, 0) != i)
			bad++;
		if (g == 0)
		{
			bad += toy_group_info(th_engine(th, 0), 0).generation <= generation;
			generation = toy_group_info(th_engine(th, 0), 0).generation;
		}
		nr_group_detach(&h);
		nr_group_destroy(th_engine(th, i), g);
		leaks += toy_pool_free(th_engine(th, 0)) != geo.extents;
	}
	tap_ok(bad == 0, "10000 groups made, used and destroyed");
	tap_ok(leaks == 0, "each gave everything back");
	nr_session_unregister(&s);
	th_free(th);
}

static void
test_names(void)
{
	NrGeometry	geo = th_geometry(2);
	Th		   *th = th_new(&geo, 2, 0);
	NrGroupConfig config = toy_config(4, 4096, 1024);
	NrSession	s;
	NrHandle	h;

	th_register(th, 1, 1, &s);
	tap_ok(nr_group_attach(&s, 2, &toy_counter_dispatch, &h) == NR_GONE, "no such group yet");
	tap_ok(nr_group_attach(&s, geo.groups, &toy_counter_dispatch, &h) == NR_GONE,
		   "nor one past the last");
	th_create(th, 2, &config, &toy_counter_dispatch);
	tap_ok(nr_group_exists(th_engine(th, 1), 2) && !nr_group_exists(th_engine(th, 1), 1),
		   "a group is seen in another view");
	tap_ok(nr_group_create(th_engine(th, 0), 2, &config, &toy_counter_dispatch) == NR_NO_GROUP,
		   "a number in use is refused");
	tap_ok(nr_group_attach(&s, 2, &toy_stack_dispatch, &h) == NR_BAD_CONFIG,
		   "another structure is refused");
	tap_ok(nr_group_attach(&s, 2, &toy_counter_dispatch, &h) == NR_OK, "its own is not");
	nr_group_detach(&h);
	nr_group_destroy(th_engine(th, 1), 2);
	tap_ok(nr_group_attach(&s, 2, &toy_counter_dispatch, &h) == NR_GONE, "destroyed: gone");
	nr_session_unregister(&s);
	th_free(th);
}

static void
test_no_space_create(void)
{
	NrGeometry	geo = th_geometry(2);
	Th		   *th;
	NrGroupConfig config = toy_config(4, 4096 * 16, 1024);
	uint32_t	g = 0,
				before;

	geo.extents = 40;
	th = th_new(&geo, 1, 0);
	while (g < geo.groups && nr_group_create(th_engine(th, 0), g, &config, &toy_counter_dispatch) == NR_OK)
		g++;
	before = toy_pool_free(th_engine(th, 0));
	tap_ok(g >= 1 && g < geo.groups, "groups are made until the pool is used up (%u)", g);
	tap_ok(nr_group_create(th_engine(th, 0), g, &config, &toy_counter_dispatch) == NR_NO_SPACE,
		   "then no space");
	tap_ok(toy_pool_free(th_engine(th, 0)) == before && !nr_group_exists(th_engine(th, 0), g),
		   "and nothing was taken");
	while (g-- > 0)
		nr_group_destroy(th_engine(th, 0), g);
	tap_ok(toy_pool_free(th_engine(th, 0)) == geo.extents, "all extents are back");
	th_free(th);
}

/* ---- extents ---- */

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
	nr_group_destroy(th_engine(th, 0), 0);
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
	nr_group_destroy(th_engine(th, 0), 0);
	nr_group_destroy(th_engine(th, 1), 1);
	tap_ok(toy_pool_free(th_engine(th, 1)) == geo.extents, "all extents are back");
	th_free(th);
}

/* Pushes and pops around the edges of extents, against a plain array. */
static void
test_stack_random(void)
{
	NrGeometry	geo = th_geometry(3);
	Th		   *th = th_new(&geo, 4, 0);
	NrGroupConfig config = toy_config(20, 4096, 2048);
	NrSession	s[3];
	NrHandle	h[3];
	static uint64_t model[10000];
	uint64_t	depth = 0,
				random = 88172645463325252u;
	uint32_t	bad = 0;

	th_create(th, 0, &config, &toy_stack_dispatch);
	for (uint32_t i = 0; i < 3; i++)
	{
		th_register(th, i, i, &s[i]);
		th_attach(&s[i], 0, &toy_stack_dispatch, &h[i]);
	}
	for (uint64_t i = 0; i < 60000; i++)
	{
		NrHandle   *hh = &h[th_random(&random) % 3];
		uint32_t	n = 1 + th_random(&random) % 8;
		bool		up = (i / 3000) % 2 == 0 ? th_random(&random) % 8 : th_random(&random) % 16 == 0;
		NrResult	res = {.status = NR_OK};

		if (up && depth + n <= 19 * 512)
		{
			bad += toy_call_push(hh, i, n, &res) != NR_OK;
			for (uint32_t k = 0; k < n; k++)
				model[depth++] = i + k;
		}
		else
			for (uint32_t k = 0; k < n; k++)
			{
				bool		found;
				uint64_t	value;

				bad += toy_call_pop(hh, &found, &value) != NR_OK || found != (depth > 0);
				if (depth > 0)
					bad += value != model[--depth];
			}
	}
	tap_ok(bad == 0, "a stack over three replicas does what an array does");
	tap_ok(toy_check(&h[0]), "the replicas are equal");
	nr_group_destroy(th_engine(th, 0), 0);
	tap_ok(toy_pool_free(th_engine(th, 0)) == geo.extents, "all extents are back");
	th_free(th);
}

/* ---- lagging and differing replicas ---- */

static void
test_lag(void)
{
	NrGeometry	geo = th_geometry(4);
	Th		   *th = th_new(&geo, 2, 0);
	NrGroupConfig config = toy_config(4, 1, 512);
	NrSession	s[2];
	NrHandle	h[2];
	uint32_t	slots,
				bad = 0;
	uint64_t	n;
	NrGroupInfo gi;

	th_create(th, 0, &config, &toy_counter_dispatch);
	for (uint32_t i = 0; i < 2; i++)
	{
		th_register(th, i, i * 3, &s[i]);	/* nobody ever works on replicas 1 and 2 */
		th_attach(&s[i], 0, &toy_counter_dispatch, &h[i]);
	}
	slots = toy_group_info(th_engine(th, 0), 0).log_slots;
	n = 20 * (uint64_t) slots + 5;
	for (uint64_t i = 1; i <= n; i++)
	{
		uint64_t	value;

		bad += toy_call_add(&h[0], 0, 1, &value, NULL) != NR_OK || value != i;
	}
	gi = toy_group_info(th_engine(th, 0), 0);
	tap_ok(bad == 0, "one writer, three idle replicas: 20 laps of the log");
	tap_ok(gi.tail - gi.head <= slots && gi.no_log_space > 0, "they were helped along");
	for (uint32_t r = 1; r < 4; r++)
		bad += toy_replica_info(th_engine(th, 0), 0, r).helped == 0;
	tap_ok(bad == 0, "and that is counted");
	tap_ok(toy_call_get(&h[1], 0) == n, "a read on an idle replica is up to date");
	tap_ok(toy_replica_info(th_engine(th, 0), 0, 3).applied == n, "as the replica now is");
	tap_ok(nr_group_sync_replica(&h[0], 2, false) == NR_OK &&
		   toy_replica_info(th_engine(th, 0), 0, 2).applied == n, "any replica can be brought up to date");
	tap_ok(toy_check(&h[0]), "the replicas are equal");
	tap_ok(toy_group_info(th_engine(th, 0), 0).head <= n, "head is at most the tail");
	th_free(th);
}

static void
test_check_finds(void)
{
	NrGeometry	geo = th_geometry(3);
	Th		   *th = th_new(&geo, 1, 0);
	NrGroupConfig config = toy_config(4, 4096, 512);
	NrSession	s[3];
	NrHandle	h[3];
	uint32_t	replica = 99;
	const char *why = NULL;

	th_create(th, 0, &config, &toy_counter_dispatch);
	for (uint32_t i = 0; i < 3; i++)
	{
		th_register(th, i, i, &s[i]);
		th_attach(&s[i], 0, &toy_counter_dispatch, &h[i]);
		toy_call_add(&h[i], 5, 10, NULL, NULL);
	}
	tap_ok(toy_check(&h[1]), "equal copies pass the check");
	h[2].copy.root[200] ^= 1;
	tap_ok(nr_group_check(&h[0], false, &replica, &why) == NR_DIVERGED && replica == 2 && why != NULL,
		   "one changed bit in replica 2 is found there: %s", why ? why : "");
	h[2].copy.root[200] ^= 1;
	tap_ok(toy_check(&h[2]), "changed back, the check passes");
	tap_ok(toy_call_add(&h[1], 5, 1, NULL, NULL) == NR_OK && toy_call_get(&h[2], 5) == 31,
		   "and work goes on");
	th_free(th);
}

int
main(void)
{
	th_watchdog(120);
	test_cycles();
	test_names();
	test_no_space_create();
	test_quota();
	test_partial();
	test_shared_pool();
	test_stack_random();
	test_lag();
	test_check_finds();
	return tap_done();
}
