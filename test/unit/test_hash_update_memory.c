/*
 * test_hash_update_memory.c
 *		ds_hash: swap, compare and swap, add, compared with a reference, without memory,
 *		and what they say they need.
 */
#include "copy_harness.h"
#include "copy_reference.h"
#include "ds/hash_root.h"
#include "tap.h"

#include <stdlib.h>

#define SEED	42

static CopyHarness h;
static RefMap ref;
static uint64_t op_words[1 << 15];
static NrOpHeader *const op = (NrOpHeader *) op_words;
static char answer[DS_HASH_RESPONSE_MAX];
static NrResponse resp;

static uint64_t
hash_of(const void *key, size_t key_bytes)
{
	return ds_hash_key(SEED, key, key_bytes);
}

/* What is in "op", with an answer of up to "capacity" bytes. */
static NrStatus
apply(uint32_t capacity)
{
	resp = (NrResponse) {.flag = true,.length = 77,.data = answer,.capacity = capacity};
	memset(answer, '?', sizeof(answer));
	return harness_apply(&h, op, &resp);
}

/* An operation on one of "keys" keys; its bytes. */
static size_t
make_any(void *to, uint64_t *random, uint32_t keys, uint32_t value_max, bool fresh)
{
	static char value[2][4096];
	uint64_t	key = harness_random(random) % keys;
	size_t		key_bytes = 8 + key % 5 * 13;
	char		bytes[64] = {0};
	uint64_t	r = harness_random(random);
	uint64_t	hash;
	const RefEntry *e;
	int64_t		by = (int64_t) harness_random(random) >> r % 64;

	memcpy(bytes, &key, 8);
	hash = hash_of(bytes, key_bytes);
	memset(value, (int) (r >> 8 & 3), sizeof(value));
	switch (r % 8)
	{
		case 0:
		case 1:
		case 2:
			return ds_hash_op_swap(to, hash, bytes, key_bytes, value[0], (r >> 20) % (value_max + 1));
		case 3:
		case 4:
		case 5:
			e = ref_get(&ref, bytes, key_bytes);
			if (r >> 60 < 3)
				return ds_hash_op_cas(to, hash, bytes, key_bytes, value[1], (r >> 40) % 9, value[0], (r >> 20) % 9);
			return ds_hash_op_cas(to, hash, bytes, key_bytes, e && !fresh ? e->bytes + e->key_bytes : NULL,
								  e ? e->value_bytes : 0, value[0], (r >> 20) % (value_max + 1));
		case 6:
			return ds_hash_op_add(to, hash, bytes, key_bytes, 1 + (r >> 20) % 4, &by);
		default:
			/* such as can be added to */
			return ds_hash_op_swap(to, hash, bytes, key_bytes, value[0], 8 >> (r >> 20) % 4 & ~1);
	}
}

static bool
same_content(const CopyHarness *harness)
{
	const char *differs = ref_compare(&ref, harness);

	if (differs)
		tap_note("differs: %s", differs);
	return differs == NULL;
}

/*
 * Two copies with other places and garbage, of which only one has somebody who waits
 * for answers, and the reference.
 */
static void
test_random(uint32_t extent_shift, uint32_t extents, uint32_t line_bytes, uint32_t keys, uint32_t value_max)
{
	CopyHarness other;
	static char expect[DS_HASH_RESPONSE_MAX];
	uint64_t	random = extents + line_bytes;
	uint32_t	seen[NR_OUT_OF_RANGE + 1] = {0};
	uint32_t	flags = 0;
	bool		good = true;

	harness_make_hash(&h, extent_shift, extents, line_bytes, SEED, 1);
	harness_make_hash(&other, extent_shift, extents, line_bytes, SEED, 2);
	for (uint32_t i = 0; i < 30000 && good; i++)
	{
		NrResponse	blind = {0};
		NrResponse	wanted = {.data = expect};
		NrStatus	status;
		uint64_t	r = harness_random(&random);

		if (r % 8 == 0)
		{
			/* a write of the other kind, now and then, so that the table shrinks as well */
			uint64_t	key = harness_random(&random) % keys;
			char		bytes[64] = {0};
			size_t		key_bytes = 8 + key % 5 * 13;

			memcpy(bytes, &key, 8);
			harness_delete(&h, bytes, key_bytes, NULL);
			harness_delete(&other, bytes, key_bytes, NULL);
			ref_delete(&ref, bytes, key_bytes);
			continue;
		}
		make_any(op, &random, keys, value_max, false);
		status = apply(wanted.capacity = r >> 32 & 1 ? 7 : sizeof(answer));
		good &= harness_apply(&other, op, &blind) == status && blind.flag == resp.flag && blind.length == resp.length;
		memset(expect, '?', sizeof(expect));
		if (status == NR_NO_SPACE)
			good &= !resp.flag && resp.length == 0;
		else
			good &= ref_update(&ref, op, &wanted) == status && wanted.flag == resp.flag &&
				wanted.length == resp.length && memcmp(answer, expect, sizeof(expect)) == 0;
		seen[status]++;
		flags += resp.flag;
		if (i % 16 == 0)
		{
			harness_reclaim(&h);
			harness_reclaim(&other);
		}
		if (i % 4096 == 0)
			good &= same_content(&h) && harness_sound(&h) &&
				h.dispatch->checksum(&h.copy) == other.dispatch->checksum(&other.copy);
	}
	tap_ok(good && same_content(&h) && harness_sound(&h) && h.dispatch->checksum(&h.copy) == other.dispatch->checksum(&other.copy) &&
		   h.granted_max <= h.dispatch->need(&h.config, 1, 100).extents,
		   "random, 2^%u x %u, lines of %u, values to %u: %u done, %u with their flag, "
		   "%u out of range, %u of another length, %u without memory",
		   extent_shift, extents, line_bytes, value_max, seen[NR_OK], flags, seen[NR_OUT_OF_RANGE], seen[NR_BAD_OP],
		   seen[NR_NO_SPACE]);
	tap_ok(seen[NR_OUT_OF_RANGE] > 50 && seen[NR_BAD_OP] > 50 && flags > 1000 && seen[NR_OK] > flags + 1000,
		   "... all of which happened");
	harness_free(&h);
	harness_free(&other);
	ref_clear(&ref);
}

/* Fill up to refusal.  Whoever is refused leaves all as it was, and who needs no memory is not. */
static void
test_exhaustion(uint32_t extents, uint32_t line_bytes, uint32_t value_bytes)
{
	static char value[4096];
	uint64_t	n = 0;
	uint32_t	refusals[3] = {0};
	int64_t		one = 1;
	bool		good = true;

	harness_make_hash(&h, 12, extents, line_bytes, SEED, extents);
	for (; harness_put(&h, &n, 8, value, value_bytes, 0, NULL) == NR_OK; n++)
		ref_put(&ref, &n, 8, value, value_bytes);
	for (uint64_t i = 0; i < 400 && good; i++)
	{
		uint64_t	key = i % 2 ? i % n : n + i;
		const char *expected = i % 2 ? value : NULL;
		NrStatus	status;
		uint32_t	what = (uint32_t) (i / 2 % 3);
		NrResponse	wanted = {.data = answer,.capacity = sizeof(answer)};

		if (what == 0)
			ds_hash_op_swap(op, hash_of(&key, 8), &key, 8, value, value_bytes + 200);
		else if (what == 1)
			ds_hash_op_cas(op, hash_of(&key, 8), &key, 8, expected, value_bytes, value, value_bytes + 200);
		else
		{
			key = n + i;
			ds_hash_op_add(op, hash_of(&key, 8), &key, 8, DS_HASH_INT8, &one);
		}
		status = apply(sizeof(answer));
		if (status == NR_NO_SPACE)
			good &= !resp.flag && resp.length == 0;
		else
			good &= ref_update(&ref, op, &wanted) == status;
		refusals[what] += status == NR_NO_SPACE;
		good &= same_content(&h) && harness_sound(&h);
	}
	tap_ok(good && refusals[0] > 5 && refusals[1] > 5,
		   "2^12 x %u, lines of %u, values of %u: %u swaps, %u cas, %u adds refused, with nothing changed",
		   extents, line_bytes, value_bytes, refusals[0], refusals[1], refusals[2]);
	for (uint64_t key = 0; key < n && good; key++)
	{
		static char before[4096];
		uint32_t	bytes = ref_get(&ref, &key, 8)->value_bytes;

		memset(before, 'x', bytes);
		ds_hash_op_swap(op, hash_of(&key, 8), &key, 8, before, bytes);
		good &= apply(sizeof(answer)) == NR_OK && resp.flag && resp.length == bytes;
		ds_hash_op_cas(op, hash_of(&key, 8), &key, 8, before, bytes, value, bytes);
		good &= apply(sizeof(answer)) == NR_OK && resp.flag;
		ref_put(&ref, &key, 8, value, bytes);
	}
	tap_ok(good && same_content(&h) && harness_sound(&h), "... a value of the same length needs no memory");
	harness_free(&h);
	ref_clear(&ref);
}

/*
 * No memory but for who merges buckets until a segment is free.  The key that gets a value of
 * a whole extent is in a bucket that is merged: its entry is no more where it was found.
 */
static void
test_room_made(uint32_t what)
{
	static const char *const name[] = {"put", "swap", "compare and swap"};
	static char big[4096];
	size_t		big_bytes = ds_hash_entry_max(12) - 8;
	DsHashRoot *root;
	uint64_t	keys = 0;
	uint64_t	moved = 0;
	uint32_t	before;
	NrStatus	status;

	harness_make_hash(&h, 12, 40, 64, SEED, 1);
	root = (DsHashRoot *) h.copy.root;
	/* two buckets in the third segment */
	while (root->base + root->n_buckets < 3 * 64 + 2)
	{
		harness_put(&h, &keys, 8, &keys, 8, 0, NULL);
		ref_put(&ref, &keys, 8, &keys, 8);
		keys++;
	}
	before = root->n_buckets;
	for (uint64_t key = 0; key < keys && root->inline_bytes * 16 > (uint64_t) before * root->line_capacity * 7; key++)
		if (ds_hash_bucket(root, hash_of(&key, 8)) < before - 2)
		{
			harness_delete(&h, &key, 8, NULL);
			ref_delete(&ref, &key, 8);
		}
	while (moved < keys && (!ref_get(&ref, &moved, 8) || ds_hash_bucket(root, hash_of(&moved, 8)) != before - 1))
		moved++;
	tap_ok(root->n_buckets == before && moved < keys && harness_sound(&h), "%u buckets, and one with an entry that will move", before);
	harness_reclaim(&h);
	memset(big, 'b', sizeof(big));
	if (what == 0)
		ds_hash_op_put(op, hash_of(&moved, 8), &moved, 8, big, big_bytes, 0);
	else if (what == 1)
		ds_hash_op_swap(op, hash_of(&moved, 8), &moved, 8, big, big_bytes);
	else
		ds_hash_op_cas(op, hash_of(&moved, 8), &moved, 8, &moved, 8, big, big_bytes);
	resp = (NrResponse) {.data = answer,.capacity = sizeof(answer)};
	status = h.dispatch->dispatch_mut(&h.copy, op, &resp);
	ref_put(&ref, &moved, 8, big, big_bytes);
	tap_ok(status == NR_OK && resp.flag == (what > 0) && resp.length == (what == 1 ? 8 : 0) && root->n_buckets < before &&
		   (what != 1 || memcmp(answer, &moved, 8) == 0) && same_content(&h) && harness_sound(&h),
		   "... %s makes room, and finds its entry again", name[what]);
	harness_free(&h);
	ref_clear(&ref);
}

/* What a value needs does not depend on the operation that stores it. */
static void
test_need(void)
{
	char		key[128] = {0};
	static char value[3000];
	bool		equal = true;
	bool		longer = true;
	int64_t		one = 1;

	harness_make_hash(&h, 12, 200, 64, SEED, 1);
	for (uint32_t k = 0; k < 100; k++)
		for (uint32_t v = 0; v < 3000; v += v < 100 ? 1 : 371)
		{
			uint32_t	need[3];

			for (uint32_t what = 0; what < 3; what++)
			{
				char	   *at = (char *) op_words;

				for (int i = 0; i < 40; i++)
					if (what == 0)
						at += ds_hash_op_put(at, 0, key, k, value, v, 0);
					else if (what == 1)
						at += ds_hash_op_swap(at, 0, key, k, value, v);
					else
						at += ds_hash_op_cas(at, 0, key, k, value, v % 7 * 100, value, v);
				need[what] = h.dispatch->need_ops(&h.config, op_words, (size_t) (at - (char *) op_words), 40, false).extents;
				longer &= h.dispatch->need(&h.config, 40, (uint64_t) (at - (char *) op_words)).extents >= need[what];
			}
			equal &= need[0] == need[1] && need[0] == need[2] && need[0] > 0;
		}
	tap_ok(equal && longer, "swap and cas need what a put needs");
	equal = true;
	for (uint32_t k = 0; k < 128; k++)
		for (uint32_t number = DS_HASH_INT2; number <= DS_HASH_FLOAT8; number++)
		{
			char	   *at = (char *) op_words;
			uint32_t	need[2];

			for (int i = 0; i < 300; i++)
				at += ds_hash_op_add(at, 0, key, k, (DsHashNumber) number, &one);
			need[0] = h.dispatch->need_ops(&h.config, op_words, (size_t) (at - (char *) op_words), 300, false).extents;
			at = (char *) op_words;
			for (int i = 0; i < 300; i++)
				at += ds_hash_op_put(at, 0, key, k, value, number == DS_HASH_INT2 ? 2 : number == DS_HASH_INT4 ? 4 : 8, 0);
			need[1] = h.dispatch->need_ops(&h.config, op_words, (size_t) (at - (char *) op_words), 300, false).extents;
			equal &= need[0] == need[1];
		}
	tap_ok(equal, "add needs what a put of the number needs");
	ds_hash_op_cas(op, 0, key, 8, "first", 5, "value", 5);
	((char *) (op + 1))[sizeof(DsHashOp) + 8] = 11;	/* expected bytes */
	tap_ok(h.dispatch->need_ops(&h.config, op, op->bytes, 1, false).extents == 0, "bytes that are no operation need nothing");
	harness_free(&h);
}

int
main(void)
{
	test_random(12, 60, 64, 3000, 40);
	test_random(12, 60, 128, 1000, 300);
	test_random(16, 32, 256, 500, 3900);
	test_random(20, 16, 64, 9000, 100);
	test_exhaustion(4, 64, 8);
	test_exhaustion(4, 256, 8);
	test_exhaustion(4, 64, 700);
	test_exhaustion(64, 64, 20);
	test_room_made(0);
	test_room_made(1);
	test_room_made(2);
	test_need();
	return tap_done();
}
