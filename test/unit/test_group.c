/*
 * test_group.c
 *		Making, destroying and attaching groups: limits of a configuration, what a
 *		group starts with, what it leaves behind.
 */
#include "engine/combine.h"
#include "seats.h"
#include "tap.h"

#include <stdlib.h>

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
	for (uint32_t i = 0; i < 3000; i++)
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
		nr_group_destroy(th_engine(th, i), g, NULL);
		leaks += toy_pool_free(th_engine(th, 0)) != geo.extents;
	}
	tap_ok(bad == 0, "3000 groups made, used and destroyed");
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
	nr_group_destroy(th_engine(th, 1), 2, NULL);
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
		nr_group_destroy(th_engine(th, 0), g, NULL);
	tap_ok(toy_pool_free(th_engine(th, 0)) == geo.extents, "all extents are back");
	th_free(th);
}

/* A config that cannot work is refused before anything happens. */
static void
test_group_limits(void)
{
	NrGeometry	geo = th_geometry(1);
	Th		   *th = th_new(&geo, 1, 0);
	NrGroupConfig config = toy_config(4, 4096, 1024);

	config.extents_max = 0;
	tap_ok(nr_group_create(th_engine(th, 0), 0, &config, &toy_counter_dispatch) == NR_BAD_CONFIG,
		   "a quota of nothing is refused");
	config = toy_config(4, 4096, 1024);
	config.arg_bytes = NR_ARG_BYTES + 1;
	tap_ok(nr_group_create(th_engine(th, 0), 0, &config, &toy_counter_dispatch) == NR_BAD_CONFIG,
		   "too long arguments are refused");
	config = toy_config(4, 4096, 1024);
	tap_ok(nr_group_create(th_engine(th, 0), geo.groups, &config, &toy_counter_dispatch) != NR_OK,
		   "a group past the last is refused");
	tap_ok(!nr_group_exists(th_engine(th, 0), 0) && toy_pool_free(th_engine(th, 0)) == geo.extents,
		   "nothing is used");
	th_free(th);
}

/* ---- limits, white-box ---- */

static Th  *th1;

static NrStatus
make(NrGroupConfig config)
{
	NrStatus	status = nr_group_create(th_engine(th1, 0), 0, &config, &toy_counter_dispatch);

	if (status != NR_OK && toy_pool_free(th_engine(th1, 0)) != th1->geo.extents)
		return NR_DIVERGED;		/* refused, and took something */
	return status;
}

#define WITH(field, x) ({ NrGroupConfig c_ = toy_config(4, 4096, 1024); c_.field = (x); c_; })

static void
test_slots(void)
{
	NrGeometry	geo = th_geometry(1);
	bool		odd = true;
	bool		even = true;

	th1 = th_new(&geo, 1, 0);
	for (uint32_t slots = 1; slots < 40; slots++)
		if ((slots & (slots - 1)) != 0 || slots == 1)
			odd &= make(WITH(log_slots, slots)) == NR_BAD_CONFIG;
	tap_ok(odd, "slots that are no power of two, or one, are refused");
	for (uint32_t slots = 2; slots <= 256; slots *= 2)
	{
		even &= make(WITH(log_slots, slots)) == NR_OK &&
			toy_group_info(th_engine(th1, 0), 0).log_slots == slots;
		nr_group_destroy(th_engine(th1, 0), 0, NULL);
	}
	tap_ok(even, "powers of two are taken");
	for (uint32_t shift = 9; shift < 32; shift++)
		odd &= make(WITH(log_slots, 1u << shift)) == NR_BAD_CONFIG;
	tap_ok(odd, "more slots than fit the first extent are refused, 2^29 and 2^31 of them, too");
	tap_ok(make(WITH(extents_max, geo.extents + 1)) == NR_BAD_CONFIG, "a quota over the pool is refused");
	tap_ok(make(WITH(log_bytes, UINT32_MAX)) == NR_BAD_CONFIG, "a log of 4 GB of such extents is refused");
	tap_ok(make(WITH(log_bytes, 4096 * geo.extents)) == NR_NO_SPACE, "one as large as the pool has no space");
	tap_ok(make(WITH(extents_max, 1)) == NR_OK, "a quota of the root alone will do");
	tap_ok(toy_pool_free(th_engine(th1, 0)) == geo.extents - 2, "root and log are taken from the pool");
	th_free(th1);
}

/* A root extent that does not hold table and structure. */
static void
test_root(void)
{
	NrGeometry	geo = th_geometry(1);
	uint32_t	largest = 0;

	geo.extents = 4096;
	th1 = th_new(&geo, 1, 0);
	for (uint32_t n = 1; n < 1000; n++)
		if (make(WITH(extents_max, n)) == NR_OK)
		{
			largest = n;
			nr_group_destroy(th_engine(th1, 0), 0, NULL);
		}
	tap_ok(largest > 100 && nr_extent_table_bytes(largest) + sizeof(uint64_t) * 257 <= 4096 &&
		   nr_extent_table_bytes(largest + 1) + sizeof(uint64_t) * 257 > 4096,
		   "the quota is what the root extent can name beside the structure (%u)", largest);
	th_free(th1);
}

/* A log of many extents: each of them is used. */
static void
test_long_log(void)
{
	NrGeometry	geo = th_geometry(2);
	NrGroupConfig config = toy_config(4, 40 * 4096, 4096);
	NrResult	res = {.status = NR_OK};
	static Seats b;
	uint64_t	ring;
	bool		ok = true;

	seats_open(&b, geo, 2, &config, &toy_counter_dispatch);
	tap_ok(toy_group_info(b.e, 0).extents_log == 40, "a log of 40 extents");
	ring = 40 * 4096;
	for (uint32_t i = 0; nr_load64_rlx(&b.h[0].replica->ring_tail) < 3 * ring && i < 100000; i++)
		ok &= toy_call_add_row(&b.h[0], 0, 8, 1, &res) == NR_OK && toy_call_get(&b.h[1], 7) == i + 1;
	tap_ok(ok && toy_check(&b.h[1]), "three laps of its ring");
	tap_ok(seats_close(&b), "all extents are back");
}

/* A number used again is a new group, whoever remembers the old one. */
static void
test_made_anew(void)
{
	NrGeometry	geo = th_geometry(2);
	NrGroupConfig config = toy_config(4, 4096, 1024);
	static Seats b;
	NrGroupInfo gi;
	NrReplicaInfo ri;
	NrHandle	old;

	seats_open(&b, geo, 2, &config, &toy_counter_dispatch);
	for (int i = 0; i < 30; i++)
		toy_call_add(&b.h[i % 2], 0, 1, NULL, NULL);
	nr_bit_set(nr_waiters(b.e, b.h[1].replica), 1);
	nr_bit_set(nr_pending(b.e, b.h[1].replica), 1);
	nr_bit_set(nr_space_waiters(b.h[0].group), 1);
	old = b.h[0];
	nr_group_destroy(b.e, 0, NULL);
	config.extents_max = 3;
	th_create(b.th, 0, &config, &toy_counter_dispatch);
	gi = toy_group_info(b.e, 0);
	ri = toy_replica_info(b.e, 0, 1);
	tap_ok(nr_load64_rlx(&nr_readers(b.e, nr_replica(b.e, 0, 0))[0]) == 0 &&
		   nr_load64_rlx(&nr_waiters(b.e, nr_replica(b.e, 0, 1))[0]) == 0 &&
		   nr_load64_rlx(&nr_pending(b.e, nr_replica(b.e, 0, 1))[0]) == 0 &&
		   nr_load64_rlx(&nr_space_waiters(nr_group(b.e, 0))[0]) == 0,
		   "nobody reads, waits or asks in a group made anew");
	tap_ok(gi.tail == 0 && gi.completed == 0 && gi.head == 0 && gi.extents_used == 1 && gi.extents_max == 3,
		   "a group made anew begins at 0");
	tap_ok(ri.applied == 0 && ri.batches == 0 && ri.requests == 0 && ri.ring_used_bytes == 0,
		   "so do its replicas");
	th_attach(&b.s[0], 0, &toy_counter_dispatch, &b.h[0]);
	nr_group_detach(&old);
	tap_ok(nr_load64_rlx(&nr_readers(b.e, nr_replica(b.e, 0, 0))[0]) == 1,
		   "detaching from the old one leaves the new one alone");
	th_attach(&b.s[1], 0, &toy_counter_dispatch, &b.h[1]);
	tap_ok(toy_call_get(&b.h[1], 0) == 0 && toy_call_add(&b.h[0], 0, 5, NULL, NULL) == NR_OK &&
		   toy_call_get(&b.h[1], 0) == 5, "it is empty, and works");
	nr_group_detach(&b.h[0]);
	tap_ok(nr_load64_rlx(&nr_readers(b.e, nr_replica(b.e, 0, 0))[0]) == 0, "detached: writers need not look");
	tap_ok(seats_close(&b), "all extents are back");
}

/*
 * Where the extents of a copy are: how many in each region.  Counts as wrong what is not a
 * number of the group's, or not the extent of the node whose turn it is.
 */
static uint32_t
count_places(NrEngine *e, const NrCopy *copy, uint32_t g, uint32_t *in)
{
	const NrExtentTable *t = copy->table;
	uint32_t	wrong = 0;

	for (uint32_t x = 0; x < t->capacity; x++)
	{
		char	   *at = nr_extent_ptr(copy, x);
		bool		found = false;

		if (x > 0 && t->words[x] == 0)
			continue;
		for (uint32_t r = 0; r < e->geo.replicas; r++)
		{
			size_t		offset = (size_t) (at - e->extents[r]);

			if (at < e->extents[r] || offset >= (size_t) e->geo.extents << e->geo.extent_shift)
				continue;
			found = offset >> e->geo.extent_shift == nr_map_extent(e, t->words[x]) &&
				nr_map_extent(e, t->words[x]) % e->geo.replicas == r;
			in[r]++;
		}
		wrong += !found || nr_extent_group(e, nr_map_extent(e, t->words[x])) != g;
	}
	return wrong;
}

static bool
push_many(NrHandle *h, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i += 10)
	{
		NrResult	res = {.status = NR_OK};

		if (toy_call_push(h, i, 10, &res) != NR_OK)
			return false;
	}
	return true;
}

/* A group with one replica, where there are several: no node has all of it. */
static void
test_interleaved(uint32_t copies)
{
	NrGeometry	geo = th_geometry(3);
	Th		   *th = th_new(&geo, 2, 0);
	NrGroupConfig config = toy_config(30, 8192, 2048);
	NrSession	s[2];
	NrHandle	h[2];
	uint32_t	in[3] = {0};
	uint32_t	wrong = 0;

	config.copies = copies;
	config.replicas = 1;
	th_create(th, 3, &config, &toy_stack_dispatch);
	for (uint32_t i = 0; i < 2; i++)
	{
		th_register(th, i, 2 - i, &s[i]);
		th_attach(&s[i], 3, &toy_stack_dispatch, &h[i]);
	}
	tap_ok(push_many(&h[0], 0, 3000) && push_many(&h[1], 3000, 4500), "%u copies: written from two nodes", copies);
	tap_ok(toy_call_top(&h[0]).depth == 4500 && toy_call_top(&h[1]).depth == 4500 && toy_check(&h[0]), "  and whole");
	for (uint32_t c = 0; c < copies; c++)
		wrong += count_places(th_engine(th, 1), &h[1].copies[c], 3, in);
	tap_ok(wrong == 0, "  each extent is in its turn's region");
	tap_ok(in[0] >= 2 && in[1] >= 2 && in[2] >= 2, "  of all nodes: %u, %u and %u", in[0], in[1], in[2]);
	tap_ok(toy_call_clear(&h[1]) == NR_OK && push_many(&h[0], 0, 6000) && toy_call_top(&h[1]).depth == 6000 && toy_check(&h[1]),
		   "  also with extents that came back");
	for (uint32_t i = 0; i < 2; i++)
	{
		nr_group_detach(&h[i]);
		nr_session_unregister(&s[i]);
	}
	nr_group_destroy(th_engine(th, 0), 3, &toy_stack_dispatch);
	tap_ok(toy_pool_free(th_engine(th, 0)) == geo.extents, "  and all extents are back");
	th_free(th);
}

/* Regions that lie anyhow: everything on node 0. */
static void
test_irregular(void)
{
	NrGeometry	geo = th_geometry(3);
	size_t		extent = (size_t) 1 << geo.extent_shift;
	size_t		region = (nr_engine_region_bytes(&geo) + extent - 1) & ~(extent - 1);
	size_t		control = (nr_engine_control_bytes(&geo) + extent - 1) & ~(extent - 1);
	char	   *memory = aligned_alloc(extent, control + 4 * region + extent);
	void	   *regions[3] = {memory + control, memory + control + region, memory + control + 2 * region + extent};
	NrHost		host = {0};
	NrEngine	e,
				other;

	memset(memory, 0, control + 4 * region + extent);
	tap_ok(nr_engine_init(&e, &geo, &host, memory, regions) == NR_OK && e.stride == 0, "regions at unequal distances");
	regions[2] = memory + control + 2 * region;
	tap_ok(nr_engine_attach(&other, &geo, &host, memory, regions) == NR_BAD_CONFIG,
		   "  for whoever formats: others cannot see them differently");
	tap_ok(nr_engine_init(&e, &geo, &host, memory, regions) == NR_OK && e.stride == region / extent, "at equal distances");
	regions[0] = memory + control + region;
	regions[1] = memory + control;
	tap_ok(nr_engine_init(&e, &geo, &host, memory, regions) == NR_OK && e.stride == 0, "backwards");
	free(memory);
}

/* The stride of regions that nobody has: "extents" from one to the next, and some bytes. */
static uint32_t
stride_of(NrEngine *e, const NrGeometry *geo, uint64_t extents, size_t bytes)
{
	static NrControl blank;
	NrHost		host = {0};
	void	   *regions[NR_REPLICAS_MAX];
	char	   *first = (char *) ((uintptr_t) 1 << 40);

	for (uint32_t r = 0; r < geo->replicas; r++)
		regions[r] = first + r * ((extents << geo->extent_shift) + bytes);
	/* it is not there, but where all lies is found out first */
	(void) nr_engine_attach(e, geo, &host, &blank, regions);
	return e->stride;
}

/* Of all extents: the number leads to the region whose turn it is, and back. */
static bool
numbers_hold(const NrEngine *e)
{
	struct NrGroup group = {.replicas = 1};

	for (uint32_t x = 0; x < e->geo.extents; x++)
	{
		uint32_t	number = nr_map_number(e, &group, x);

		if (nr_copy_physical(e, &group, 0, x) != nr_physical(e, x % e->geo.replicas, x) ||
			nr_physical(e, 0, number) != nr_physical(e, x % e->geo.replicas, x) ||
			nr_map_extent(e, number) != x || number == NR_NO_EXTENT || (number == 0) != (x == 0))
			return false;
	}
	group.replicas = e->geo.replicas;
	return nr_map_number(e, &group, e->geo.extents - 1) == e->geo.extents - 1 &&
		nr_map_extent(e, e->geo.extents - 1) == e->geo.extents - 1;
}

/* As many extents and replicas as there may be, and as far apart as numbers can say. */
static void
test_strides(void)
{
	NrGeometry	geo = th_geometry(NR_REPLICAS_MAX);
	uint64_t	region;
	uint64_t	far = UINT32_MAX / NR_REPLICAS_MAX - 1;
	NrEngine	e;

	geo.extents = 1u << 20;
	region = (nr_engine_region_bytes(&geo) + (1u << geo.extent_shift) - 1) >> geo.extent_shift;
	tap_ok(stride_of(&e, &geo, region, 0) == region && numbers_hold(&e), "64 regions of 2^20 extents");
	tap_ok(stride_of(&e, &geo, far, 0) == far && numbers_hold(&e), "  as far apart as may be");
	tap_ok(stride_of(&e, &geo, far + 1, 0) == 0, "  too far: not interleaved");
	tap_ok(stride_of(&e, &geo, region, NR_CACHE_LINE) == 0, "  at distances of no whole extents: neither");
	tap_ok(stride_of(&e, &geo, geo.extents - 1, 0) == 0, "  nor when they overlap");
	geo.replicas = 2;
	far = UINT32_MAX / 2 - 1;
	tap_ok(stride_of(&e, &geo, far, 0) == far && numbers_hold(&e) && stride_of(&e, &geo, far + 1, 0) == 0, "the same of two regions");
	geo.replicas = 1;
	tap_ok(stride_of(&e, &geo, region, 0) == 0 && numbers_hold(&e), "one region: nothing to interleave");
}

int
main(void)
{
	th_watchdog(60);
	test_cycles();
	test_names();
	test_no_space_create();
	test_group_limits();
	test_slots();
	test_root();
	test_long_log();
	test_made_anew();
	test_interleaved(1);
	test_interleaved(2);
	test_irregular();
	test_strides();
	return tap_done();
}
