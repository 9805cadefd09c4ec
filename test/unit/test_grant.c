/*
 * test_grant.c
 *		The account of extents by itself: claims, grants, quota, what is undone, and
 *		claims of several at a time.
 */
#include <sched.h>

#include "engine/grant.h"
#include "engine/replay.h"
#include "seats.h"
#include "tap.h"

#define G			0
#define PER_EXTENT	512			/* numbers of the stack in an extent of 4 kB */
#define GRANTS		64

static Seats b;
static struct NrGroup *group;

/* A batch with room for grants behind it. */
typedef struct Room
{
	_Alignas(8) char bytes[sizeof(NrBatch) + 2 * GRANTS * sizeof(uint32_t)];
} Room;

static NrBatch *
room_of(Room *room)
{
	return (NrBatch *) room->bytes;
}

static void
open_seats(uint32_t replicas, uint32_t copies, uint32_t quota, uint32_t extents)
{
	NrGeometry	geo = th_geometry(replicas);
	NrGroupConfig config = toy_config(quota, 4096, 1024);

	geo.extents = extents;
	config.copies = copies;
	seats_open(&b, geo, 2, &config, &toy_stack_dispatch);
	group = nr_group(b.e, G);
}

/* So many free extents in the copies. */
static void
make_headroom(uint32_t n)
{
	NrResult	res = {.status = NR_OK};

	/* what a clear frees is surplus for the next batch, not for its own */
	for (uint32_t k = 0; k < n * PER_EXTENT; k += 8)
		toy_call_push(&b.h[0], k, 8, &res);
	toy_call_clear(&b.h[0]);
}

/* Extents that n pushes may take. */
static NrNeed
stack_need(uint32_t n)
{
	return toy_stack_dispatch.need(&nr_group(b.e, G)->copy_config, n, (uint64_t) n * TOY_PUSH_BYTES);
}

/* A claim of n extents for each copy. */
static bool
all_of(NrBatch *batch, uint32_t n, uint32_t numbers_max)
{
	return nr_grant_all(&b.s[0], G, batch, (NrNeed) {.extents = n}, numbers_max);
}

static int64_t
headroom(void)
{
	return (int64_t) nr_load64_rlx(&group->headroom);
}

static void
test_all_or_nothing(void)
{
	static Room one, two, three;
	SeatsBooks	before;
	uint32_t	free_before;

	open_seats(2, 1, 12, 32);
	before = seats_books(&b);
	free_before = before.pool_free;
	tap_ok(all_of(room_of(&one), 3, GRANTS) && room_of(&one)->grants == 3 && room_of(&one)->claim == 3,
		   "a claim that finds nothing free is granted all of it");
	tap_ok(headroom() == 0 && nr_load32_rlx(&group->mapped) == 4 && toy_pool_free(b.e) == free_before - 3,
		   "by the pool, within the quota");
	tap_ok(nr_pool_refs(b.e, ((uint32_t *) (room_of(&one) + 1))[2]) == 2, "to each of two replicas");
	tap_ok(all_of(room_of(&two), 8, GRANTS) && nr_load32_rlx(&group->mapped) == 12, "up to the quota");
	before = seats_books(&b);
	tap_ok(!all_of(room_of(&three), 1, GRANTS) && seats_same(&b, before), "beyond it nothing");
	nr_grant_undo(&b.s[0], G, room_of(&one));
	tap_ok(headroom() == 0 && nr_load32_rlx(&group->mapped) == 9 && toy_pool_free(b.e) == free_before - 8 &&
		   nr_load64_rlx(&group->granted) == 8, "undone, it is as if it had never been");
	before = seats_books(&b);
	tap_ok(!all_of(room_of(&three), 4, GRANTS) && seats_same(&b, before),
		   "one more than there is: what was got on the way is given back");
	tap_ok(!all_of(room_of(&three), 3, 2) && seats_same(&b, before), "the same without room for all grants");
	tap_ok(all_of(room_of(&three), 0, 0) && room_of(&three)->grants == 0 && seats_same(&b, before),
		   "who needs nothing gets nothing");
	nr_grant_undo(&b.s[0], G, room_of(&two));
	tap_ok(headroom() == 0 && nr_load32_rlx(&group->mapped) == 1 && toy_pool_free(b.e) == free_before, "all undone");
	tap_ok(seats_close(&b), "all extents are back");
}

static void
test_headroom(void)
{
	static Room one, two, three;
	SeatsBooks	before;
	int64_t		had;

	open_seats(2, 1, 40, 64);
	make_headroom(5);
	nr_group_sync_replica(&b.h[0], 1, false);
	had = headroom();
	before = seats_books(&b);
	tap_ok(had >= 4 && had <= 6, "some extents are free (%d)", (int) had);
	tap_ok(all_of(room_of(&one), 3, GRANTS) && room_of(&one)->grants == 0 && headroom() == had - 3,
		   "a claim takes them first");
	tap_ok(all_of(room_of(&two), (uint32_t) had, GRANTS) && room_of(&two)->grants == 3 && headroom() == 0,
		   "then what is missing is granted");
	tap_ok(all_of(room_of(&three), 2, GRANTS) && room_of(&three)->grants == 2,
		   "what one has claimed another does not get");
	nr_grant_undo(&b.s[0], G, room_of(&two));
	nr_grant_undo(&b.s[0], G, room_of(&one));
	nr_grant_undo(&b.s[0], G, room_of(&three));
	tap_ok(seats_same(&b, before), "undone in any order, the account is what it was");

	/* as if somebody were about to add grants */
	nr_sub64_seq(&group->headroom, (uint64_t) had + 5);
	tap_ok(all_of(room_of(&one), 2, GRANTS) && room_of(&one)->grants == 2 && headroom() == -5,
		   "what another one lacks is not ours to make good");
	nr_grant_undo(&b.s[0], G, room_of(&one));
	room_of(&one)->ops = 1;
	nr_grant_best(&b.s[0], &toy_stack_dispatch, G, room_of(&one), stack_need(1), GRANTS);
	tap_ok(room_of(&one)->grants == 1 && room_of(&one)->claim == 1 && headroom() == -5, "nor is it a combiner's");
	nr_grant_undo(&b.s[0], G, room_of(&one));
	nr_add64_seq(&group->headroom, (uint64_t) had + 5);
	tap_ok(seats_same(&b, before) && seats_close(&b), "all extents are back");
}

static void
test_surplus(void)
{
	static Room one, two;
	SeatsBooks	before;
	uint32_t	n;

	open_seats(1, 1, 40, 64);
	make_headroom(5);
	nr_add64_seq(&group->headroom, 20); /* as if a clear had been applied and nothing released */
	before = seats_books(&b);
	n = (uint32_t) headroom();
	tap_ok(nr_grant_surplus(group), "many free extents are surplus");
	tap_ok(all_of(room_of(&one), n - 6, GRANTS) && room_of(&one)->releases == 0 && !nr_grant_surplus(group),
		   "not what is claimed");
	nr_grant_undo(&b.s[0], G, room_of(&one));
	tap_ok(all_of(room_of(&one), 3, GRANTS) && room_of(&one)->releases == n - 3 - 2 && headroom() == 2,
		   "the batch that finds a surplus takes it along, but for two");
	tap_ok(all_of(room_of(&two), 4, GRANTS) && room_of(&two)->grants == 2 && room_of(&two)->releases == 0,
		   "the next one cannot claim what is to be released");
	nr_grant_undo(&b.s[0], G, room_of(&one));
	nr_grant_undo(&b.s[0], G, room_of(&two));
	tap_ok(seats_same(&b, before), "undone, the surplus is there again");
	nr_sub64_seq(&group->headroom, 20);
	tap_ok(seats_close(&b), "all extents are back");
}

/* Who claims what another one is about to release. */
static Room rival;

static void
claim_all(const char *point)
{
	if (strcmp(point, "surplus_seen") != 0)
		return;
	nr_test_point_hook = NULL;
	if (!all_of(room_of(&rival), (uint32_t) headroom(), GRANTS))
		th_die("a claim of what is free was refused");
}

static void
test_surplus_race(void)
{
	static Room one;
	SeatsBooks	before;

	open_seats(1, 1, 40, 64);
	nr_add64_seq(&group->headroom, 20);
	before = seats_books(&b);
	nr_test_point_hook = claim_all;
	all_of(room_of(&one), 3, GRANTS);
	tap_ok(nr_test_point_hook == NULL && room_of(&rival)->claim == 17 && headroom() == 0 && room_of(&one)->releases == 0,
		   "what was surplus a moment ago, and has been claimed since, is not released");
	nr_grant_undo(&b.s[0], G, room_of(&one));
	nr_grant_undo(&b.s[0], G, room_of(&rival));
	tap_ok(seats_same(&b, before), "all undone");
	nr_sub64_seq(&group->headroom, 20);
	tap_ok(seats_close(&b), "all extents are back");
}

static void
test_two_copies(void)
{
	static Room one, two;
	SeatsBooks	before;
	uint32_t   *grant = (uint32_t *) (room_of(&one) + 1);
	uint32_t	hoard;

	/* 2 roots and a log; 9 extents are left for 2 copies: 4 each, and an odd one */
	open_seats(1, 2, 12, 12);
	before = seats_books(&b);
	tap_ok(before.pool_free == 9 && all_of(room_of(&one), 2, GRANTS) && toy_pool_free(b.e) == 5,
		   "with two copies each grant is two extents");
	tap_ok(grant[0] != grant[1] && grant[2] != grant[3] && nr_pool_refs(b.e, grant[0]) == 1, "of one reference each");
	tap_ok(all_of(room_of(&two), 2, GRANTS) && toy_pool_free(b.e) == 1, "as many as there are");
	hoard = nr_load32_rlx(&group->mapped);
	tap_ok(!all_of((NrBatch *) (Room[1]){0}, 1, GRANTS) && toy_pool_free(b.e) == 1 &&
		   nr_load32_rlx(&group->mapped) == hoard, "for a single extent there is no use");
	nr_grant_undo(&b.s[0], G, room_of(&one));
	nr_grant_undo(&b.s[0], G, room_of(&two));
	tap_ok(seats_same(&b, before) && seats_close(&b), "all extents are back");
}

/* What combiners get: less, rather than nothing. */
static void
test_best(void)
{
	static Room one;
	SeatsBooks	before;

	open_seats(2, 1, 3, 32);
	before = seats_books(&b);
	room_of(&one)->ops = 3 * PER_EXTENT;
	nr_grant_best(&b.s[0], &toy_stack_dispatch, G, room_of(&one), stack_need(3 * PER_EXTENT), GRANTS);
	tap_ok(room_of(&one)->grants == 2 && room_of(&one)->claim == 2 && headroom() == 0,
		   "a combiner that needs four and may have two claims two");
	nr_grant_undo(&b.s[0], G, room_of(&one));
	tap_ok(seats_same(&b, before), "undone, the account is what it was");
	nr_grant_best(&b.s[0], &toy_stack_dispatch, G, room_of(&one), stack_need(3 * PER_EXTENT), 1);
	tap_ok(room_of(&one)->grants == 1 && room_of(&one)->claim == 1, "one when there is room for one grant");
	nr_grant_undo(&b.s[0], G, room_of(&one));
	room_of(&one)->ops = 0;
	nr_grant_best(&b.s[0], &toy_stack_dispatch, G, room_of(&one), (NrNeed) {0}, GRANTS);
	tap_ok(room_of(&one)->grants == 0 && room_of(&one)->claim == 0 && seats_same(&b, before), "without operations nothing");
	tap_ok(seats_close(&b), "all extents are back");
}

/* ---- at the same time ---- */

#define THREADS	3
#define ROUNDS	800

static _Atomic uint32_t arrived;
static _Atomic uint32_t round_no;
static uint32_t short_rounds;
static uint32_t wrong_grants;

/* All wait for the last, who looks at the account. */
static void
meet(bool look)
{
	uint32_t	now = atomic_load(&round_no);

	if (atomic_fetch_add(&arrived, 1) + 1 == THREADS)
	{
		if (look)
			short_rounds += headroom() < 0;
		atomic_store(&arrived, 0);
		atomic_store(&round_no, now + 1);
	}
	while (atomic_load(&round_no) == now)
		sched_yield();
}

static void *
claim_and_undo(void *arg)
{
	uint32_t	i = (uint32_t) (uintptr_t) arg;
	uint64_t	random = i + 1;
	Room		room;
	NrBatch    *batch = room_of(&room);

	for (int k = 0; k < ROUNDS; k++)
	{
		bool		got;

		meet(false);
		got = nr_grant_all(&b.s[i % 2], G, batch, (NrNeed) {.extents = (uint32_t) (th_random(&random) % 9)}, GRANTS);
		meet(true);
		if (got && batch->grants > batch->claim)
			wrong_grants++;
		if (got)
			nr_grant_undo(&b.s[i % 2], G, batch);
	}
	return NULL;
}

static void
test_threads(void)
{
	pthread_t	thread[THREADS];
	SeatsBooks	before;

	open_seats(1, 1, 40, 64);
	nr_add64_seq(&group->headroom, 10); /* a surplus, which one of them releases while others claim it */
	before = seats_books(&b);
	for (uint32_t i = 0; i < THREADS; i++)
		thread[i] = th_start(claim_and_undo, (void *) (uintptr_t) i);
	for (uint32_t i = 0; i < THREADS; i++)
		th_join(thread[i]);
	tap_ok(short_rounds == 0, "three at a time: nothing is promised twice (%u times)", short_rounds);
	tap_ok(wrong_grants == 0, "nor granted beyond a claim");
	tap_ok(seats_same(&b, before), "and nothing is lost");
	nr_sub64_seq(&group->headroom, 10);
	tap_ok(seats_close(&b), "all extents are back");
}

int
main(void)
{
	th_watchdog(60);
	test_all_or_nothing();
	test_headroom();
	test_surplus();
	test_surplus_race();
	test_two_copies();
	test_best();
	test_threads();
	return tap_done();
}
