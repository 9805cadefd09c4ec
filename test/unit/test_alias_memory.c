/*
 * test_alias_memory.c
 *		Groups whose copies share memory: one quota for both kinds, all of which can be used; the
 *		account is right after anything; prepared writes that find all of it set aside.
 */
#include "alias_seats.h"

/* ---- the quota ---- */

static uint32_t
mapped(void)
{
	return nr_load32_rlx(&group->mapped);
}

static void
test_quota(Way way, uint32_t replicas, uint32_t extents_max)
{
	uint32_t	quota = 2 * extents_max;
	uint32_t	most = 0;
	uint32_t	of_long = 0;
	uint64_t	longs = 0;
	uint64_t	shorts = 0;
	bool		ok = true;

	open_seats(replicas, extents_max, quota, 256);
	for (int lap = 0; lap < 3; lap++)
	{
		uint64_t	n = fill(way, LONG, &most);

		ok &= lap == 0 || n == longs;
		longs = n;
		of_long = shared_mapped();
		for (uint64_t key = 0; key < n; key++)
			ok &= get(key % b.n, key) == LONG;
		for (uint64_t key = 0; key < n; key++)
			ok &= delete(way, key) == NR_OK;
		n = fill(way, 8, &most);
		ok &= lap == 0 || n + n / 50 >= shorts;
		shorts = n;
		ok &= shared_mapped() <= 2;
		ok &= truncate(way) == NR_OK;
	}
	sync_all();
	tap_ok(ok && seats_settled(&b) && toy_check(&b.h[0]), "%s, %u replicas, %u extents: three times full of long values, then of short ones",
		   way_name[way], replicas, quota);
	tap_ok(most <= quota && most + 3 >= quota && 4 * of_long + 8 >= 3 * quota, "all of the quota can be used, by either (%u at most, %u of them for %u long values; %u short)",
		   most, of_long, (uint32_t) longs, (uint32_t) shorts);
	tap_ok(seats_close(&b), "all extents are back");
}

/* Random writes of all kinds: the account is what the copies have, at any time. */
static void
test_account(Way way, uint32_t replicas)
{
	uint64_t	random = 11 + way;
	uint32_t	refused = 0;
	bool		ok = true;

	open_seats(replicas, 12, 16, 64);
	for (int k = 0; k < 1500; k++)
	{
		uint32_t	what = th_random(&random) % 100;
		uint64_t	key = th_random(&random) % 40;
		size_t		bytes = th_random(&random) % 3 ? th_random(&random) % 3800 : th_random(&random) % 50;
		NrStatus	status = what == 0 ? truncate(way) : what < 30 ? delete(way, key) : put(way, key, bytes);

		refused += status == NR_NO_SPACE;
		ok &= status == NR_OK || status == NR_NO_SPACE;
		ok &= used() <= 24 && (k % 10 != 0 || seats_settled(&b));
	}
	tap_ok(ok && refused > 5 && toy_check(&b.h[0]), "%s, %u replicas: after anything, what is free is what the account says (%u refused)",
		   way_name[way], replicas, refused);
	tap_ok(seats_close(&b), "all extents are back");
}

/* ---- prepared writes ---- */

static size_t
make_long(uint64_t first, uint32_t n, size_t bytes)
{
	size_t		at = 0;

	for (uint32_t i = 0; i < n; i++)
		at += make_put(ops + at, first + i, bytes);
	return at;
}

/* All of shared memory is set aside by a truncate, and a reader keeps it from being tidied. */
static void
fill_and_empty(uint32_t reader)
{
	size_t		bytes = make_long(0, 10, 3800);

	if (prepare(0, bytes, 10, 0) != NR_OK)
		th_die("ten long values are not had");
	nr_prepared_append(&b.h[0], &p);
	sync_all();
	nr_enter(&b.h[reader], true);
	if (truncate(COMMIT) != NR_OK)
		th_die("a truncate failed");
}

static void
test_set_aside(uint32_t replicas)
{
	SeatsBooks	before;
	size_t		bytes;

	open_seats(replicas, 9, 12, 64);
	fill_and_empty(1);
	tap_ok(deferred() >= 10 && get(2, 3) == -1, "%u replicas: emptied, with a reader in the older copy: ten extents are set aside", replicas);
	before = seats_books(&b);
	bytes = make_long(100, 10, 3800);
	tap_ok(prepare(2, bytes, 10, NR_PREPARE_TRY) == NR_BUSY && seats_same(&b, before), "who never waits is told that somebody is in the way");
	tap_ok(prepare(2, bytes, 10, 0) == NR_CANCELLED && seats_same(&b, before), "who waits can be cancelled");
	nr_leave(&b.h[1]);
	bytes = make_long(100, 10, 3800);
	tap_ok(prepare(2, bytes, 10, NR_PREPARE_TRY) == NR_OK && p.batch->shared_claim == 10, "when it has left, all of it can be claimed");
	nr_prepared_append(&b.h[2], &p);
	tap_ok(get(3, 104) == 3800 && used() <= 18, "and used");
	sync_all();
	tap_ok(seats_settled(&b) && toy_check(&b.h[0]) && seats_close(&b), "all extents are back");
}

/* A reader that is inside the newer copy when memory is reclaimed is in the older one then. */
static void
test_reader_stays(uint32_t replicas)
{
	SeatsBooks	before;
	size_t		bytes;
	uint64_t	tail;

	open_seats(replicas, 9, 12, 64);
	fill_and_empty(1);
	nr_leave(&b.h[1]);
	nr_enter(&b.h[3], true);
	bytes = make_long(100, 10, 3800);
	tail = nr_log_tail(&b.s[0], G);
	tap_ok(prepare(2, bytes, 10, NR_PREPARE_TRY) == NR_BUSY && nr_log_tail(&b.s[0], G) == tail + 1 && deferred() == 0,
		   "%u replicas: what was set aside is reclaimed, with a reader inside", replicas);
	before = seats_books(&b);
	tap_ok(before.locked == 0 && before.promised == 0, "who then is in the way: nothing is held");
	tap_ok(prepare(2, bytes, 10, NR_PREPARE_TRY) == NR_BUSY && nr_log_tail(&b.s[0], G) == tail + 1 && seats_same(&b, before),
		   "the next attempt does not append anything");
	nr_leave(&b.h[3]);
	tap_ok(prepare(2, bytes, 10, NR_PREPARE_TRY) == NR_OK, "until it leaves");
	nr_prepared_drop(&b.h[2], &p);
	sync_all();
	tap_ok(seats_settled(&b) && seats_close(&b), "all extents are back");
}

/* What was long becomes short: set aside, then free, then the other kind's. */
static void
test_other_kind(void)
{
	size_t		at = 0;
	uint32_t	n = 0;

	open_seats(1, 9, 18, 64);
	fill_and_empty(1);
	nr_leave(&b.h[1]);
	/* as many as the quota lets be promised: 18, less three roots */
	while (ds_hash_dispatch.need_ops(&group->copy_config, ops, at, n, false).extents < 7)
		at += make_put(ops + at, n++, 4);
	tap_ok(prepare(0, at, n, NR_PREPARE_TRY) == NR_OK && used() >= 2 * 8 + 1 && shared_mapped() <= 2,
		   "extents of what was emptied are granted to the copies, all of them (for %u values)", n);
	nr_prepared_append(&b.h[0], &p);
	sync_all();
	tap_ok(get(1, n - 1) == 4 && seats_settled(&b) && toy_check(&b.h[0]), "and used");
	tap_ok(seats_close(&b), "all extents are back");
}

static void
test_no_space(void)
{
	SeatsBooks	before;
	size_t		bytes;
	uint64_t	tail;
	bool		ok = true;

	open_seats(1, 9, 12, 64);
	bytes = make_long(0, 10, 3800);
	prepare(0, bytes, 10, 0);
	nr_prepared_append(&b.h[0], &p);
	sync_all();
	bytes = make_long(100, 3, 3800);
	(void) prepare(0, bytes, 3, NR_PREPARE_TRY);	/* lets go of what is free */
	sync_all();
	before = seats_books(&b);
	tail = nr_log_tail(&b.s[0], G);
	tap_ok(prepare(0, bytes, 3, NR_PREPARE_TRY) == NR_NO_SPACE && nr_log_tail(&b.s[0], G) == tail && seats_same(&b, before),
		   "nothing is set aside, nothing free: no space, and nothing has happened");
	tap_ok(prepare(0, bytes, 3, 0) == NR_NO_SPACE && script.waits == 0, "nor is it waited for");
	bytes = make_long(100, 20, 3800);
	tap_ok(prepare(0, bytes, 20, 0) == NR_NO_SPACE && nr_log_tail(&b.s[0], G) == tail, "what can never be had is refused at once");
	nr_enter(&b.h[1], true);
	tap_ok(prepare(0, bytes, 20, NR_PREPARE_TRY) == NR_NO_SPACE && seats_same(&b, before), "with a reader inside, too");
	nr_leave(&b.h[1]);
	for (uint64_t key = 0; key < 10; key++)
		ok &= get(2, key) == 3800;
	tap_ok(ok && seats_settled(&b) && seats_close(&b), "what was there is there, and all extents are back");
}

/* The log has no slot for a batch that reclaims. */
static void
test_log_full(void)
{
	size_t		bytes;
	uint32_t	claimed = 0;

	open_seats(1, 9, 12, 64);
	fill_and_empty(1);
	nr_leave(&b.h[1]);
	sync_all();
	while (claimed < 7 && nr_log_claim(&b.s[0], G))
		claimed++;
	bytes = make_long(100, 10, 3800);
	tap_ok(claimed == 7 && prepare(0, bytes, 10, NR_PREPARE_TRY) == NR_NO_SPACE && deferred() >= 10,
		   "one slot is left, for the write itself: no space");
	nr_log_give_back(&b.s[0], G);
	tap_ok(prepare(0, bytes, 10, NR_PREPARE_TRY) == NR_OK, "two will do");
	nr_prepared_append(&b.h[0], &p);
	while (--claimed > 0)
		nr_log_give_back(&b.s[0], G);
	sync_all();
	tap_ok(get(3, 109) == 3800 && seats_settled(&b) && seats_close(&b), "all extents are back");
}

/* Nothing is lost by writes that are prepared and dropped, nor by loads. */
static void
test_drop_and_load(void)
{
	SeatsBooks	before;
	uint64_t	n;
	bool		ok = true;

	open_seats(1, 12, 16, 64);
	for (uint64_t k = 0; k < 40; k++)
		ok &= nr_append(&b.h[0], ops, make_put(ops, k % 8, 3000), 1, true, &res) == NR_OK && res.status == NR_OK;
	tap_ok(ok && deferred() == 0 && shared_mapped() <= 1 + 8 + 6, "a load that replaces its values uses their memory again (%u)", shared_mapped());
	tap_ok(nr_publish(&b.h[0], true, &n) == NR_OK && n == 40 && get(1, 7) == 3000, "published, it is there");
	for (uint64_t k = 0; k < 40 && ok; k++)
		ok = nr_append(&b.h[0], ops, make_put(ops, k % 8, 500 + k), 1, true, &res) == NR_OK && nr_publish(&b.h[0], true, &n) == NR_OK &&
			get(k % b.n, k % 8) == 500 + (int64_t) k && (k % 4 != 0 || (sync_all(), seats_settled(&b)));
	tap_ok(ok && toy_check(&b.h[0]), "and goes on as any other");
	prepare(0, make_long(0, 3, 2000), 3, 0);
	nr_prepared_drop(&b.h[0], &p);
	sync_all();
	before = seats_books(&b);
	for (int k = 0; k < 5; k++)
	{
		ok &= prepare(0, make_long(0, 3, 2000), 3, 0) == NR_OK;
		nr_prepared_drop(&b.h[0], &p);
	}
	tap_ok(ok && seats_same(&b, before) && seats_close(&b), "prepared and dropped, it has not been");
}

/* A request stands for something to lose: what is appended then does not go straight to a copy. */
static void
test_no_load(void)
{
	uint64_t	n;

	open_seats(1, 12, 16, 64);
	put(REQUEST, 1, 3000);
	nr_enter(&b.h[1], true);
	tap_ok(get(1, 1) == 3000 && nr_append(&b.h[0], ops, make_delete(ops, 1), 1, true, &res) == NR_OK &&
		   nr_append(&b.h[0], ops, make_put(ops, 2, 3000), 1, true, &res) == NR_OK, "after a request something is appended");
	tap_ok(get(1, 1) == 3000 && get(2, 1) == 3000 && get(2, 2) == -1, "and what readers see is as it was");
	nr_leave(&b.h[1]);
	tap_ok(nr_publish(&b.h[0], true, &n) == NR_OK && n == 2 && get(1, 1) == -1 && get(1, 2) == 3000, "until it is published");
	sync_all();
	tap_ok(seats_settled(&b) && toy_check(&b.h[0]) && seats_close(&b), "all extents are back");
}

/* ---- groups ---- */

/* A group is emptied with all that is set aside, or that only one copy has had. */
static void
test_clear(uint32_t replicas)
{
	uint32_t	pool_free;
	uint64_t	n;
	bool		ok = true;

	open_seats(replicas, 9, 12, 64);
	pool_free = toy_pool_free(b.e);
	for (int lap = 0; lap < 3; lap++)
	{
		fill_and_empty(1);
		nr_leave(&b.h[1]);
		ok &= deferred() > 0;
		for (uint64_t k = 0; k < 3 && lap == 1; k++)
			ok &= put(REQUEST, k, 3000) == NR_OK;
		ok &= nr_group_retire(&b.h[0], true) == NR_OK && nr_group_own(&b.h[0], true) == NR_OK;
		nr_group_clear(&b.h[0]);
		nr_group_disown(&b.h[0]);
		nr_group_restore(&b.h[0]);
		tap_ok(ok && deferred() == 0 && used() == 3 && pool_free - toy_pool_free(b.e) <= 1 && get(1, 2) == -1 && toy_check(&b.h[1]),
			   "%u replicas: emptied by the engine, it has three roots and nothing set aside", replicas);
		for (uint64_t k = 0; k < 3 && lap == 2; k++)
			ok &= nr_append(&b.h[0], ops, make_put(ops, k, 3000), 1, true, &res) == NR_OK && res.status == NR_OK;
	}
	ok &= nr_publish(&b.h[0], true, &n) == NR_OK && n == 3 && get(2, 2) == 3000 && delete(COMMIT, 2) == NR_OK && get(3, 2) == -1;
	sync_all();
	tap_ok(ok && toy_check(&b.h[0]) && seats_settled(&b), "and is loaded anew");
	tap_ok(seats_close(&b), "all extents are back");
}

static void
test_info(void)
{
	NrGroupInfo gi;
	bool		ok = true;

	open_seats(2, 12, 16, 64);
	gi = toy_group_info(b.e, G);
	tap_ok(gi.aliased && gi.extents_max == 24 && gi.extents_used == 3 && gi.extents_shared == 1 && gi.extents_free == 0,
		   "a new group: three roots, of which one is shared");
	for (uint64_t k = 0; k < 3; k++)
		put(COMMIT, k, 3800);
	sync_all();
	gi = toy_group_info(b.e, G);
	tap_ok(gi.extents_shared >= 1 + 3 && gi.extents_used == 2 * mapped() + gi.extents_shared &&
		   gi.extents_free == 2 * nr_load64_rlx(&group->headroom) + nr_load64_rlx(&group->shared_headroom) &&
		   gi.granted == gi.released + mapped() - 1 + shared_mapped() - 1, "shared ones count once");
	for (int k = 0; k < 100; k++)
		ok &= put(COMMIT, 0, 3000) == NR_OK;
	sync_all();
	tap_ok(ok && seats_settled(&b) && shared_mapped() <= 1 + 3 + 6 + 6, "values that are replaced again and again take no more (%u)", shared_mapped());
	tap_ok(seats_close(&b), "and all go with the group");
}

int
main(void)
{
	th_watchdog(120);
	for (Way way = 0; way < WAYS; way++)
		for (uint32_t replicas = 1; replicas <= 2; replicas++)
		{
			test_quota(way, replicas, 8);
			test_quota(way, replicas, 20);
			test_account(way, replicas);
		}
	for (uint32_t replicas = 1; replicas <= 2; replicas++)
	{
		test_set_aside(replicas);
		test_reader_stays(replicas);
	}
	test_other_kind();
	test_no_space();
	test_log_full();
	test_drop_and_load();
	test_no_load();
	test_clear(1);
	test_clear(2);
	test_info();
	return tap_done();
}
