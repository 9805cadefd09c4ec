/*
 * test_alias_grant.c
 *		Claims of a group whose copies share memory: one quota for both kinds, all or nothing of
 *		both, what is undone; configurations.
 */
#include "alias_seats.h"
#include "engine/grant.h"
#include "engine/pool.h"

#define GRANTS		64

typedef struct Room
{
	_Alignas(8) char bytes[sizeof(NrBatch) + 3 * GRANTS * sizeof(uint32_t)];
} Room;

static NrBatch *
room_of(Room *room)
{
	return (NrBatch *) room->bytes;
}

static bool
all_of(Room *room, uint32_t extents, uint32_t shared, uint32_t numbers_max)
{
	return nr_grant_all(&b.s[0], G, room_of(room), (NrNeed) {extents, shared}, numbers_max);
}

static uint32_t
mapped(void)
{
	return nr_load32_rlx(&group->mapped);
}

static void
test_claims(uint32_t replicas)
{
	static Room one, two, three;
	SeatsBooks	before;
	SeatsBooks	empty;
	uint32_t   *number = (uint32_t *) (room_of(&one) + 1);

	/* twelve in all, three roots */
	open_seats(replicas, 6, 8, 64);
	empty = seats_books(&b);
	tap_ok(empty.mapped == 1 && empty.shared_mapped == 1 && used() == 3 && seats_settled(&b),
		   "%u replicas: a new group has a root for each copy, and one for what they share", replicas);
	tap_ok(all_of(&one, 2, 3, GRANTS) && room_of(&one)->grants == 2 && room_of(&one)->shared_grants == 3 &&
		   mapped() == 3 && shared_mapped() == 4 && empty.pool_free - toy_pool_free(b.e) == 7, "a grant is two extents of one kind, one of the other");
	tap_ok(nr_pool_refs(b.e, number[0]) == replicas && nr_pool_refs(b.e, number[6]) == replicas &&
		   nr_grant_bytes(group, room_of(&one)) == 32, "in this order behind the batch");
	before = seats_books(&b);
	tap_ok(!all_of(&two, 1, 1, GRANTS) && seats_same(&b, before), "ten are used: one of each would be thirteen, so none is had");
	tap_ok(!all_of(&two, 0, 3, GRANTS) && seats_same(&b, before), "nor three shared ones");
	tap_ok(all_of(&two, 0, 2, GRANTS) && used() == 12, "but two");
	before = seats_books(&b);
	tap_ok(!all_of(&three, 1, 0, GRANTS) && !all_of(&three, 0, 1, GRANTS) && seats_same(&b, before), "then nothing");
	nr_grant_undo(&b.s[0], G, room_of(&two));
	tap_ok(all_of(&two, 1, 0, GRANTS) && used() == 12, "or one for each copy instead");
	nr_grant_undo(&b.s[0], G, room_of(&one));
	nr_grant_undo(&b.s[0], G, room_of(&two));
	tap_ok(seats_same(&b, empty), "undone in any order, it is as if they had never been");
	tap_ok(!all_of(&one, 2, 3, 6) && seats_same(&b, empty) && all_of(&one, 2, 3, 7), "all of them or none also where there is room for numbers");
	nr_grant_undo(&b.s[0], G, room_of(&one));
	tap_ok(all_of(&one, 0, 7, GRANTS) && used() == 10, "shared ones have a bound of their own");
	before = seats_books(&b);
	tap_ok(!all_of(&two, 0, 1, GRANTS) && seats_same(&b, before), "which holds within the quota");
	nr_grant_undo(&b.s[0], G, room_of(&one));
	tap_ok(nr_grant_impossible(group, (NrNeed) {5, 0}) && nr_grant_impossible(group, (NrNeed) {4, 2}) &&
		   nr_grant_impossible(group, (NrNeed) {0, 8}) && nr_grant_impossible(group, (NrNeed) {UINT32_MAX, UINT32_MAX}) &&
		   !nr_grant_impossible(group, (NrNeed) {4, 1}) && !nr_grant_impossible(group, (NrNeed) {0, 7}),
		   "what no batch can have is known in advance");
	tap_ok(seats_same(&b, empty) && seats_close(&b), "all extents are back");
}

static void
test_pool_short(void)
{
	static Room one;
	SeatsBooks	before;

	open_seats(1, 20, 20, 64);
	while (toy_pool_free(b.e) > 6)
		nr_pool_alloc(b.e, 1, 1);
	before = seats_books(&b);
	tap_ok(before.pool_free == 6 && !all_of(&one, 2, 3, GRANTS) && seats_same(&b, before),
		   "the pool has six: two for each copy and three shared are not had, nor any of them");
	tap_ok(all_of(&one, 2, 2, GRANTS) && toy_pool_free(b.e) == 0, "two and two are");
	nr_grant_undo(&b.s[0], G, room_of(&one));
	nr_grant_best(&b.s[0], &ds_hash_dispatch, G, room_of(&one), (NrNeed) {2, 5}, GRANTS);
	tap_ok(room_of(&one)->grants == 2 && room_of(&one)->shared_grants == 2 && room_of(&one)->shared_claim == 2,
		   "a combiner gets what there is");
	nr_grant_undo(&b.s[0], G, room_of(&one));
	tap_ok(seats_same(&b, before), "undone, there are six again");
	nr_pool_free_owner(b.e, 1);
	tap_ok(seats_close(&b), "all extents are back");
}

static void
test_surplus(void)
{
	static Room one;
	SeatsBooks	before;

	open_seats(1, 40, 40, 128);
	nr_add64_seq(&group->shared_headroom, 20);	/* as if a reclaim had freed them */
	before = seats_books(&b);
	tap_ok(nr_grant_surplus(group), "free shared extents are surplus, too");
	tap_ok(all_of(&one, 0, 3, GRANTS) && room_of(&one)->shared_releases == 15 && room_of(&one)->releases == 0 &&
		   nr_load64_rlx(&group->shared_headroom) == 2, "the batch that finds them takes them along, but for two");
	nr_grant_undo(&b.s[0], G, room_of(&one));
	tap_ok(seats_same(&b, before), "undone, they are there again");
	tap_ok(!all_of(&one, 40, 0, GRANTS) && seats_same(&b, before), "and when the other kind is not had");
	nr_grant_best(&b.s[0], &ds_hash_dispatch, G, room_of(&one), (NrNeed) {50, 1}, GRANTS);
	tap_ok(room_of(&one)->grants < 50 && room_of(&one)->shared_releases == 19 && nr_load64_rlx(&group->shared_headroom) == 0,
		   "who comes short of one kind lets go of all that is free of the other");
	nr_grant_undo(&b.s[0], G, room_of(&one));
	nr_sub64_seq(&group->shared_headroom, 20);
	tap_ok(seats_close(&b), "all extents are back");
}

static void
test_config(void)
{
	NrGeometry	geo = th_geometry(2);
	NrGroupConfig config;
	uint32_t	largest = 0;
	NrEngine   *e;
	Th		   *th;

	geo.extents = 1000;
	th = th_new(&geo, 1, 0);
	e = th_engine(th, 0);
	config = hash_config(8, geo.extents + 1);
	tap_ok(nr_group_create(e, 0, &config, &ds_hash_dispatch) == NR_BAD_CONFIG, "more shared extents than there are: refused");
	config = hash_config(1, 4);
	tap_ok(nr_group_create(e, 0, &config, &ds_hash_dispatch) == NR_BAD_CONFIG, "a quota of two, with three roots: refused");
	for (uint32_t n = 1; n <= geo.extents; n++)
	{
		config = hash_config(8, n);
		if (nr_group_create(e, 0, &config, &ds_hash_dispatch) == NR_OK)
		{
			largest = n;
			nr_group_destroy(e, 0, &ds_hash_dispatch);
		}
	}
	config = hash_config(8, largest);
	tap_ok(largest >= 100 && largest < geo.extents && toy_pool_free(e) == geo.extents &&
		   nr_extent_table_bytes(largest + 1) + ds_hash_dispatch.shared_size(
				&(NrCopyConfig) {.extent_shift = 12,.shared_max = largest + 1}) > 4096,
		   "as many as the root of shared memory can name (%u)", largest);
	config = hash_config(8, 8);
	config.copies = 1;
	tap_ok(nr_group_create(e, 0, &config, &ds_hash_dispatch) == NR_OK && !toy_group_info(e, 0).aliased &&
		   toy_group_info(e, 0).extents_used == 1, "one copy shares nothing");
	nr_group_destroy(e, 0, NULL);
	config = toy_config(8, 4096, 1024);
	config.copies = 2;
	config.shared_max = 8;
	tap_ok(nr_group_create(e, 0, &config, &toy_stack_dispatch) == NR_OK && !toy_group_info(e, 0).aliased &&
		   toy_group_info(e, 0).extents_used == 2 && toy_pool_free(e) == geo.extents - 3, "nor does a structure that cannot");
	nr_group_destroy(e, 0, NULL);
	tap_ok(toy_pool_free(e) == geo.extents, "all extents are back");
	th_free(th);
}

int
main(void)
{
	th_watchdog(60);
	test_claims(1);
	test_claims(2);
	test_pool_short();
	test_surplus();
	test_config();
	return tap_done();
}
