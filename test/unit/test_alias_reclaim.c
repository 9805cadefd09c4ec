/*
 * test_alias_reclaim.c
 *		Groups whose copies share memory: what was set aside comes back, whoever writes next,
 *		and without another write when it is much.
 */
#include "alias_seats.h"

/* With a little room left each value can be replaced at the first attempt, though the older copy has the one before. */
static void
test_replace(void)
{
	uint32_t	most = 0;
	uint64_t	n;
	bool		ok = true;

	open_seats(1, 9, 18, 64);
	n = fill(REQUEST, LONG, &most);
	ok &= put(REQUEST, 1, LONG) == NR_NO_SPACE && delete(REQUEST, 0) == NR_OK;
	for (uint64_t k = 1; k < 3 * n; k++)
		ok &= k % n == 0 || put(REQUEST, k % n, LONG) == NR_OK;
	tap_ok(ok && n > 20, "room for one value is enough to replace all of %u", (uint32_t) n);
	sync_all();
	tap_ok(seats_settled(&b) && toy_check(&b.h[0]) && seats_close(&b), "all extents are back");
}

/* A commit reclaims what the one before has dropped, however little. */
static void
test_commit_reclaims(uint32_t replicas)
{
	open_seats(replicas, 9, 12, 64);
	tap_ok(put(COMMIT, 1, 3000) == NR_OK && put(COMMIT, 1, 3100) == NR_OK && deferred() == 1 && put(COMMIT, 2, 3000) == NR_OK && deferred() == 0,
		   "%u replicas: a commit reclaims what was dropped before", replicas);
	sync_all();
	tap_ok(seats_settled(&b) && seats_close(&b), "all extents are back");
}

/* A load keeps what it has emptied: none of it is lost to the account. */
static void
test_load_surplus(void)
{
	uint64_t	n;
	bool		ok = true;

	open_seats(1, 12, 16, 64);
	for (uint64_t k = 0; k < 10; k++)
		ok &= nr_append(&b.h[0], ops, make_put(ops, k, 3800), 1, true, &res) == NR_OK && res.status == NR_OK;
	ok &= nr_append(&b.h[0], ops, ds_hash_op_truncate(ops), 1, true, &res) == NR_OK;
	for (uint64_t k = 0; k < 2; k++)
		ok &= nr_append(&b.h[0], ops, make_put(ops, k, 3800), 1, true, &res) == NR_OK && res.status == NR_OK;
	ok &= nr_publish(&b.h[0], true, &n) == NR_OK && n == 13;
	sync_all();
	tap_ok(ok && seats_settled(&b) && toy_check(&b.h[0]), "a load that empties what it has loaded: the account is right");
	tap_ok(seats_close(&b), "all extents are back");
}

static uint64_t
heap_used(void)
{
	DsHashStat	stat = {.code = DS_HASH_STAT};

	return nr_execute(&b.h[0], &stat, NULL, true) == NR_OK ? stat.heap_used_bytes : UINT64_MAX;
}

/* What much was dropped of goes back to the pool without another write, and is counted out. */
static void
test_tidied(Way way, uint32_t replicas)
{
	uint64_t	used_before;
	uint64_t	tail;
	bool		ok = true;

	open_seats(replicas, 12, 24, 64);
	for (int lap = 0; lap < 2; lap++)
	{
		used_before = heap_used();
		for (uint64_t k = 0; k < 10; k++)
			ok &= put(way, k, 3800) == NR_OK;
		sync_all();
		ok &= heap_used() >= used_before + 10 * 3800;
		tail = nr_log_tail(&b.s[0], G);
		for (uint64_t k = 0; k < 10 && lap == 0; k++)
			ok &= delete(way, k) == NR_OK;
		if (lap == 1)
			ok &= truncate(way) == NR_OK && nr_log_tail(&b.s[0], G) <= tail + 3;
		tap_ok(ok && deferred() <= 4 && shared_mapped() <= (lap == 0 ? 1 + 6 + 4 : 1 + 2) && heap_used() == used_before, "%s, %u replicas: %s ten long values is tidied up (%u extents set aside, %u there)",
			   way_name[way], replicas, lap == 0 ? "what is left of" : "a truncate of", deferred(), shared_mapped());
	}
	sync_all();
	tap_ok(seats_settled(&b) && seats_close(&b), "all extents are back");
}

int
main(void)
{
	th_watchdog(120);
	test_replace();
	test_commit_reclaims(1);
	test_commit_reclaims(2);
	test_load_surplus();
	for (Way way = REQUEST; way < WAYS; way++)
		for (uint32_t replicas = 1; replicas <= 2; replicas++)
			test_tidied(way, replicas);
	return tap_done();
}
