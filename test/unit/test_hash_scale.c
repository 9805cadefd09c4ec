/*
 * test_hash_scale.c
 *		ds_hash at size and over time: a million entries and back, bytes per
 *		entry, and long churn at the quota.
 *
 * NR_TEST_LONG=n multiplies the churn.
 */
#include "copy_harness.h"
#include "ds/hash_root.h"
#include "tap.h"

#include <stdlib.h>

static CopyHarness h;

static uint64_t
value_of(uint64_t key)
{
	return key * UINT64_C(0x9e3779b97f4a7c15);
}

static bool
all_there(uint64_t from, uint64_t to)
{
	for (uint64_t key = from; key < to; key++)
	{
		uint64_t	value = 0;

		if (harness_get(&h, &key, 8, &value, 8) != 8 || value != value_of(key))
			return false;
	}
	return true;
}

static void
test_million(uint32_t line_bytes, double bytes_max)
{
	const uint64_t n = 1000000;
	DsHashStat	stat;
	double		bytes;
	bool		good = true;

	harness_make_hash(&h, 16, 1000, line_bytes, 42, 1);
	for (uint64_t key = 0; key < n && good; key++)
	{
		uint64_t	value = value_of(key);

		good &= harness_put(&h, &key, 8, &value, 8, 0, NULL) == NR_OK;
	}
	tap_ok(good && harness_sound(&h) && all_there(0, n), "lines of %u: a million entries", line_bytes);
	stat = harness_stat(&h);
	harness_reclaim(&h);
	bytes = (double) ((uint64_t) harness_in_use(&h) << 16) / (double) n;
	tap_ok(bytes <= bytes_max, "... %.1f bytes an entry, all told; %.1f%% overflow lines", bytes,
		   100.0 * (double) stat.overflow_lines / (double) stat.buckets);
	for (uint64_t key = 0; key < n && good; key++)
	{
		bool		flag;

		good &= harness_delete(&h, &key, 8, &flag) == NR_OK && flag;
		if (key == n / 2)
		{
			good &= harness_sound(&h) && all_there(key + 1, n);
			bytes = (double) ((uint64_t) harness_in_use(&h) << 16) / (double) (n - key);
			tap_note("half deleted: %.1f bytes an entry", bytes);
		}
	}
	tap_ok(good && harness_sound(&h) && harness_in_use(&h) == 1, "... and back to the root extent alone");
	harness_free(&h);
}

/* The most buckets that one write adds or takes away. */
static void
test_bounded(void)
{
	uint32_t	most = 0;
	uint64_t	before;
	bool		good = true;
	char		value[60] = {0};

	harness_make_hash(&h, 16, 64, 64, 42, 1);
	before = harness_stat(&h).buckets;
	for (uint64_t i = 0; i < 40000; i++)
	{
		uint64_t	key = i % 20000;
		uint64_t	after;

		if (i < 20000)
			good &= harness_put(&h, &key, 8, value, key % 46, 0, NULL) == NR_OK;
		else if (i < 39999)
			good &= harness_delete(&h, &key, 8, NULL) == NR_OK;
		after = harness_stat(&h).buckets;
		if ((after > before ? after - before : before - after) > most)
			most = (uint32_t) (after > before ? after - before : before - after);
		before = after;
	}
	tap_ok(good && most <= DS_HASH_MERGES_MAX, "a write changes the number of buckets by %u at most", most);
	harness_free(&h);
}

/*
 * What a long entry takes besides key and value: its place in a line that is
 * 5/8 full, boundary tag, lengths, rounding up.
 */
#define OVERHEAD_BYTES	40

/*
 * A week of overwrites: sizes drift up and down, keys come and go, live data
 * with their overhead stays near "share" of the quota.  Nothing may be refused.
 */
static void
test_churn(uint32_t extent_shift, uint32_t extents, uint32_t line_bytes, uint32_t value_max,
		   uint32_t keys, double share, uint32_t steps)
{
	static char value[8192];
	uint64_t	quota = (uint64_t) extents << extent_shift;
	uint64_t	random = value_max;
	uint64_t	refused = 0;
	uint64_t	peak = 0;
	bool		good = true;

	harness_make_hash(&h, extent_shift, extents, line_bytes, 42, 1);
	for (uint32_t i = 0; i < steps && good; i++)
	{
		uint64_t	r = harness_random(&random);
		/* the window of keys wanders, the usual size swings between a quarter and all */
		uint64_t	key = i / 64 + r % keys;
		uint64_t	swing = i / 5000 % 200;
		uint64_t	usual = value_max / 4 + value_max * 3 / 4 * (swing < 100 ? swing : 200 - swing) / 100;
		DsHashStat	stat = harness_stat(&h);
		NrStatus	status;

		if ((double) (stat.key_bytes + stat.value_bytes + OVERHEAD_BYTES * stat.entries) > share * (double) quota || r >> 60 == 0)
		{
			/* what left the window is deleted first */
			key = i / 64 > keys ? i / 64 - keys + r % (2 * keys) : key;
			status = harness_delete(&h, &key, 8, NULL);
		}
		else
			status = harness_put(&h, &key, 8, value, (size_t) ((r >> 24) % (usual + 1)), 0, NULL);
		refused += status == NR_NO_SPACE;
		good &= status == NR_OK || status == NR_NO_SPACE;
		if (stat.key_bytes + stat.value_bytes > peak)
			peak = stat.key_bytes + stat.value_bytes;
		if (i % 1024 == 0)
			harness_reclaim(&h);
		if (i % 500000 == 0)
			good &= harness_sound(&h);
	}
	tap_ok(good && harness_sound(&h) && refused == 0, "%u overwrites, values to %u, 2^%u x %u, lines of %u: "
		   "%llu refused with keys and values up to %.0f%% of the quota", steps, value_max, extent_shift, extents,
		   line_bytes, (unsigned long long) refused, 100.0 * (double) peak / (double) quota);
	harness_free(&h);
}

int
main(void)
{
	const char *more = getenv("NR_TEST_LONG");
	uint32_t	times = more && atoi(more) > 0 ? (uint32_t) atoi(more) : 1;

	test_million(64, 40.5);
	test_million(128, 40.0);
	test_million(256, 40.0);
	test_bounded();
	test_churn(16, 64, 64, 300, 60000, 0.7, 2000000 * times);
	test_churn(16, 64, 128, 4000, 4000, 0.7, 2000000 * times);
	test_churn(20, 8, 64, 1000, 20000, 0.7, 2000000 * times);
	test_churn(12, 250, 256, 400, 5000, 0.7, 2000000 * times);
	return tap_done();
}
