/*
 * test_hash.c
 *		ds_hash: what each operation does, at all lengths, with bad bytes and
 *		without memory.  test_hash_scale.c has size and endurance.
 */
#include "copy_harness.h"
#include "copy_reference.h"
#include "ds/hash_root.h"
#include "tap.h"

#include <stdlib.h>

static RefMap ref;
static CopyHarness h;
static char buffer[1 << 16];

static bool
sound(const CopyHarness *harness)
{
	const char *broken = harness->dispatch->verify(&harness->copy);

	if (broken)
		tap_note("verify: %s", broken);
	return broken == NULL;
}

static bool
same(void)
{
	const char *differs = ref_compare(&ref, &h);

	if (differs)
		tap_note("differs: %s", differs);
	return differs == NULL && sound(&h);
}

static void
test_basics(void)
{
	bool		flag;
	char		out[16];

	harness_make_hash(&h, 16, 16, 64, 42, 1);
	tap_ok(harness_in_use(&h) == 1 && sound(&h), "an empty table needs no extent but the root");
	tap_ok(harness_get(&h, "a", 1, out, 16) == -1, "nothing there");
	tap_ok(harness_put(&h, "a", 1, "one", 3, 0, &flag) == NR_OK && flag, "put a new key");
	tap_ok(harness_get(&h, "a", 1, out, 16) == 3 && memcmp(out, "one", 3) == 0, "get it");
	tap_ok(harness_put(&h, "a", 1, "three", 5, 0, &flag) == NR_OK && !flag, "replace");
	out[0] = 'x';
	tap_ok(harness_get(&h, "a", 1, out, 4) == 5 && out[0] == 'x', "buffer too small: length only");
	tap_ok(harness_put(&h, "a", 1, "no", 2, DS_HASH_IF_ABSENT, &flag) == NR_OK && !flag &&
		   harness_get(&h, "a", 1, out, 16) == 5, "if absent: not replaced");
	tap_ok(harness_put(&h, "b", 1, "no", 2, DS_HASH_IF_PRESENT, &flag) == NR_OK && !flag &&
		   harness_get(&h, "b", 1, out, 16) == -1, "if present: not inserted");
	tap_ok(harness_put(&h, "b", 1, "yes", 3, DS_HASH_IF_ABSENT, &flag) == NR_OK && flag, "if absent: inserted");
	tap_ok(harness_put(&h, "b", 1, "si", 2, DS_HASH_IF_PRESENT, &flag) == NR_OK && flag, "if present: replaced");
	tap_ok(harness_put(&h, NULL, 0, NULL, 0, 0, &flag) == NR_OK && flag &&
		   harness_get(&h, NULL, 0, NULL, 0) == 0, "the empty key with the empty value");
	tap_ok(harness_stat(&h).entries == 3, "three entries");
	tap_ok(harness_delete(&h, "a", 1, &flag) == NR_OK && flag, "delete");
	tap_ok(harness_delete(&h, "a", 1, &flag) == NR_OK && !flag, "delete again");
	tap_ok(harness_truncate(&h, &flag) == NR_OK && flag && harness_stat(&h).entries == 0, "truncate");
	tap_ok(harness_truncate(&h, &flag) == NR_OK && !flag && sound(&h), "truncate again");
	harness_free(&h);
}

/* Put into table and reference; lengths and bytes follow from the seed. */
static NrStatus
put_both(uint64_t seed, size_t key_bytes, size_t value_bytes)
{
	uint64_t	random = seed;
	bool		present;
	bool		flag;
	NrStatus	status;

	for (size_t i = 0; i < key_bytes; i++)
		buffer[i] = (char) harness_random(&random);
	for (size_t i = 0; i < value_bytes; i += 8)
		buffer[4096 + i] = (char) harness_random(&random);
	present = ref_get(&ref, buffer, key_bytes) != NULL;
	status = harness_put(&h, buffer, key_bytes, buffer + 4096, value_bytes, 0, &flag);
	if (status == NR_OK)
	{
		ref_put(&ref, buffer, key_bytes, buffer + 4096, value_bytes);
		if (flag == present)
			tap_ok(false, "the flag says whether the key was new");
	}
	return status;
}

static void
test_lengths(uint32_t line_bytes)
{
	static const uint32_t value_bytes[] = {0, 1, 4, 7, 8, 9, 16, 17, 30, 54, 100, 245, 246, 247, 1000, 20000};
	bool		all = true;

	harness_make_hash(&h, 16, 512, line_bytes, 42, line_bytes);
	for (uint32_t v = 0; v < sizeof(value_bytes) / sizeof(value_bytes[0]); v++)
	{
		for (uint32_t k = 0; k < 600; k++)
			all &= put_both(k, k, value_bytes[v]) == NR_OK;
		all &= put_both(1, DS_HASH_KEY_MAX - 1, value_bytes[v]) == NR_OK;
		all &= put_both(2, DS_HASH_KEY_MAX, value_bytes[v]) == NR_OK;
		if (!tap_ok(all && same(), "lines of %u: keys of all lengths with values of %u", line_bytes, value_bytes[v]))
			break;
	}
	harness_free(&h);
	ref_clear(&ref);
}

static void
test_random(uint32_t extent_shift, uint32_t extents, uint32_t line_bytes, uint32_t keys, uint32_t value_max)
{
	uint64_t	random = extents + line_bytes;
	uint32_t	full = 0;
	bool		good = true;

	harness_make_hash(&h, extent_shift, extents, line_bytes, 42, extents);
	for (uint32_t i = 0; i < 60000 && good; i++)
	{
		uint64_t	r = harness_random(&random);
		uint64_t	key = harness_random(&random) % keys;
		size_t		key_bytes = 4 + (size_t) key % 13 * (key % 13);
		bool		flag;

		if (r % 10000 == 0)
		{
			good &= harness_truncate(&h, &flag) == NR_OK && flag == (ref.entries > 0);
			ref_clear(&ref);
		}
		/* phases of growth and of decay */
		else if (r % 8 < (i / 8192 % 2 == 0 ? 6u : 2u))
		{
			NrStatus	status = put_both(key, key_bytes, (r >> 32) % (value_max + 1));

			full += status == NR_NO_SPACE;
			good &= status == NR_OK || status == NR_NO_SPACE;
		}
		else
		{
			uint64_t	seed = key;

			for (size_t b = 0; b < key_bytes; b++)
				buffer[b] = (char) harness_random(&seed);
			good &= harness_delete(&h, buffer, key_bytes, &flag) == NR_OK;
			good &= flag == ref_delete(&ref, buffer, key_bytes);
		}
		if (r % 16 == 0)
			harness_reclaim(&h);
		if (i % 4096 == 4095)
			good &= same();
	}
	tap_ok(good && same() && h.granted_max <= h.dispatch->need(&h.config, 1, 100).extents,
		   "random, 2^%u x %u, lines of %u, values to %u (%u refused)",
		   extent_shift, extents, line_bytes, value_max, full);
	harness_free(&h);
	ref_clear(&ref);
}

/* Encode, spoil, apply: the status, with nothing changed. */
static NrOpHeader *
fresh_op(void)
{
	DsHashArg	arg;

	memcpy(&arg, h.config.arg, sizeof(arg));
	memset(buffer, 0xee, 512);
	ds_hash_op_put(buffer, ds_hash_key(arg.seed, "key", 3), "key", 3, "value", 5, 0);
	return (NrOpHeader *) buffer;
}

static void
bad_op(NrOpHeader *op, NrStatus expect, const char *name)
{
	NrResponse	resp = {0};
	uint64_t	sum = h.dispatch->checksum(&h.copy);
	NrStatus	status = h.dispatch->dispatch_mut(&h.copy, op, &resp);

	tap_ok(status == expect && h.dispatch->checksum(&h.copy) == sum, "%s", name);
}

static void
test_bad_ops(void)
{
	NrOpHeader *op;
	DsHashOp   *body = (DsHashOp *) (buffer + sizeof(NrOpHeader));
	size_t		max = ds_hash_entry_max(12);
	static char big[8192];

	harness_make_hash(&h, 12, 16, 64, 42, 1);
	harness_grant(&h, 8);
	harness_put(&h, "key", 3, "first", 5, 0, NULL);
	for (uint16_t code = 0; code < 12; code = code == 0 ? DS_HASH_ADD + 1 : code + 1)
	{
		op = fresh_op();
		op->code = code;
		bad_op(op, NR_BAD_OP, "unknown code");
	}
	op = fresh_op(), op->flags = 3, bad_op(op, NR_BAD_OP, "both flags");
	op = fresh_op(), op->flags = 4, bad_op(op, NR_BAD_OP, "unknown flag");
	op = fresh_op(), op->reserved = 1, bad_op(op, NR_BAD_OP, "reserved field");
	op = fresh_op(), op->bytes += 8, bad_op(op, NR_BAD_OP, "bytes too long");
	op = fresh_op(), op->bytes -= 8, bad_op(op, NR_BAD_OP, "bytes too short");
	op = fresh_op(), op->bytes = 0, bad_op(op, NR_BAD_OP, "no bytes");
	op = fresh_op(), op->payload_bytes = 0, bad_op(op, NR_BAD_OP, "no payload");
	op = fresh_op(), op->payload_bytes = UINT32_MAX, bad_op(op, NR_BAD_OP, "payload too long");
	op = fresh_op(), op->payload_bytes = UINT32_MAX, op->bytes = 40, bad_op(op, NR_BAD_OP, "payload wraps around");
	op = fresh_op(), op->payload_bytes--, bad_op(op, NR_BAD_OP, "payload shorter than key and value");
	op = fresh_op(), body->key_bytes++, bad_op(op, NR_BAD_OP, "key too long for the payload");
	op = fresh_op(), body->value_bytes = UINT32_MAX, bad_op(op, NR_BAD_OP, "value too long for the payload");
	op = fresh_op(), body->key_bytes = UINT32_MAX, body->value_bytes = 9, bad_op(op, NR_BAD_OP, "lengths wrap around");
	op = fresh_op(), body->hash++, bad_op(op, NR_BAD_OP, "a hash that is not the key's");
	op = fresh_op(), op->code = DS_HASH_DELETE, bad_op(op, NR_BAD_OP, "delete with a value");
	op = fresh_op(), op->code = DS_HASH_TRUNCATE, bad_op(op, NR_BAD_OP, "truncate with a payload");
	ds_hash_op_truncate(buffer);
	op->flags = 1, bad_op(op, NR_BAD_OP, "truncate with a flag");
	ds_hash_op_put(buffer, ds_hash_key(42, big, DS_HASH_KEY_MAX + 1), big, DS_HASH_KEY_MAX + 1, "", 0, 0);
	bad_op(op, NR_TOO_LARGE, "key too large");
	ds_hash_op_put(buffer, ds_hash_key(42, big, 8), big, 8, big, max - 7, 0);
	bad_op(op, NR_TOO_LARGE, "entry too large");
	tap_ok(harness_put(&h, big, 8, big, max - 8, 0, NULL) == NR_OK && sound(&h), "the largest entry");
	harness_free(&h);
}

/* The grants of a whole batch at once, as need() asks for them. */
static void
test_need(uint32_t extent_shift, uint32_t line_bytes, uint32_t n, uint32_t value_bytes)
{
	uint64_t	batch_bytes = n * (uint64_t) ds_hash_op_bytes(8, value_bytes);
	bool		good = true;
	uint32_t	need;

	harness_make_hash(&h, extent_shift, 250, line_bytes, 42, 1);
	need = h.dispatch->need(&h.config, n, batch_bytes).extents;
	for (uint64_t key = 0; good && harness_in_use(&h) + need < 250;)
	{
		harness_reclaim(&h);
		harness_grant(&h, need);
		for (uint32_t i = 0; i < n && good; i++, key++)
		{
			NrResponse	resp = {0};

			ds_hash_op_put(buffer, ds_hash_key(42, &key, 8), &key, 8, buffer + 32768, value_bytes, 0);
			good &= h.dispatch->dispatch_mut(&h.copy, (NrOpHeader *) buffer, &resp) == NR_OK;
		}
	}
	tap_ok(good && sound(&h), "need for %u puts of %u bytes in 2^%u, lines of %u: %u extents suffice",
		   n, value_bytes, extent_shift, line_bytes, need);
	harness_free(&h);
}

static void
test_determinism(void)
{
	CopyHarness a;
	CopyHarness b;
	uint64_t	random = 99;
	bool		good = true;
	uint32_t	refused = 0;

	harness_make_hash(&a, 12, 40, 64, 42, 1);
	harness_make_hash(&b, 12, 40, 64, 42, 2);
	for (uint32_t i = 0; i < 100000 && good; i++)
	{
		uint64_t	r = harness_random(&random);
		uint64_t	key = r >> 40 & 0x3ff;
		size_t		value_bytes = (r >> 16 & 0xff) * (r & 1);
		NrStatus	status[2];
		bool		flag[2] = {false, false};

		memset(buffer, (int) r, value_bytes);
		if (r % 8 < 5)
		{
			status[0] = harness_put(&a, &key, 8, buffer, value_bytes, 0, &flag[0]);
			status[1] = harness_put(&b, &key, 8, buffer, value_bytes, 0, &flag[1]);
		}
		else
		{
			status[0] = harness_delete(&a, &key, 8, &flag[0]);
			status[1] = harness_delete(&b, &key, 8, &flag[1]);
		}
		refused += status[0] == NR_NO_SPACE;
		good &= status[0] == status[1] && flag[0] == flag[1];
		if (i % 1000 == 0)
			good &= a.dispatch->checksum(&a.copy) == b.dispatch->checksum(&b.copy);
	}
	tap_ok(good && a.dispatch->checksum(&a.copy) == b.dispatch->checksum(&b.copy) && sound(&a) && sound(&b),
		   "two copies with other garbage and places agree (%u refused)", refused);
	((DsHashRoot *) a.copy.root)->entries++;
	tap_ok(a.dispatch->checksum(&a.copy) != b.dispatch->checksum(&b.copy) && a.dispatch->verify(&a.copy),
		   "damage is seen by checksum and verify");
	harness_free(&a);
	harness_free(&b);
}

/* Keys whose hashes share their low 14 bits: one bucket takes them all. */
static void
test_flood(void)
{
	uint32_t	n = 0;
	bool		good = true;
	uint64_t	key;
	bool		flag;

	harness_make_hash(&h, 16, 64, 64, 42, 1);
	for (key = 0; n < 1000 && good; key++)
		if ((ds_hash_key(42, &key, 8) & 0x3fff) == 5)
		{
			size_t		value_bytes = n++ % 3 == 0 ? 100 : 8;

			good &= harness_put(&h, &key, 8, buffer, value_bytes, 0, NULL) == NR_OK;
			ref_put(&ref, &key, 8, buffer, value_bytes);
		}
	tap_ok(good && same(), "a flood of one bucket");
	while (key-- > 0 && good)
		if (ref_delete(&ref, &key, 8))
			good &= harness_delete(&h, &key, 8, &flag) == NR_OK && flag && (key % 64 != 0 || sound(&h));
	tap_ok(good && same() && harness_in_use(&h) == 1, "and its end");
	harness_free(&h);
	ref_clear(&ref);
}

/* Fill up to refusal; then everything that needs no memory must still work. */
static void
test_exhaustion(uint32_t extent_shift, uint32_t extents, uint32_t line_bytes, uint32_t value_bytes)
{
	uint64_t	n = 0;
	bool		good = true;
	bool		flag;
	uint32_t	in_use;
	char		out[8];

	harness_make_hash(&h, extent_shift, extents, line_bytes, 42, extents);
	in_use = harness_in_use(&h);
	memset(buffer, 'v', value_bytes);
	while (harness_put(&h, &n, 8, buffer, value_bytes, 0, NULL) == NR_OK)
		ref_put(&ref, &n, 8, buffer, value_bytes), n++;
	tap_ok(n > 0 && same(), "2^%u x %u, lines of %u, %u-byte values: full at %llu", extent_shift, extents,
		   line_bytes, value_bytes, (unsigned long long) n);
	good = harness_get(&h, &n, 8, out, 8) == -1;
	buffer[0] = 'w';
	for (uint64_t k = 0; k < n && good; k++)
	{
		good &= harness_put(&h, &k, 8, buffer, value_bytes, 0, &flag) == NR_OK && !flag;
		ref_put(&ref, &k, 8, buffer, value_bytes);
	}
	tap_ok(good && same(), "... replace by the same length needs no memory");
	for (uint64_t k = 0; k < n && good; k += 7)
	{
		NrStatus	status = harness_put(&h, &k, 8, buffer, value_bytes + 300, 0, &flag);

		good &= status == NR_OK || status == NR_NO_SPACE;
		if (status == NR_OK)
			ref_put(&ref, &k, 8, buffer, value_bytes + 300);
	}
	tap_ok(good && same(), "... a refused replace leaves the old value");
	for (uint64_t k = 0; k < n && good; k++)
	{
		good &= harness_delete(&h, &k, 8, &flag) == NR_OK && flag && ref_delete(&ref, &k, 8);
		if (k % (n / 4 + 1) == 0)
			good &= same();
	}
	tap_ok(good && same() && harness_in_use(&h) == in_use, "... delete always works and gives all back");
	harness_free(&h);
	ref_clear(&ref);
}

int
main(void)
{
	test_basics();
	test_lengths(0);			/* not said, and wrong: as 64 */
	test_lengths(100);
	test_lengths(64);
	test_lengths(128);
	test_lengths(256);
	test_random(12, 60, 64, 5000, 40);
	test_random(12, 60, 128, 3000, 200);
	test_random(16, 32, 256, 3000, 2000);
	test_random(20, 16, 64, 20000, 100);
	test_bad_ops();
	test_need(12, 64, 1, 8);
	test_need(12, 64, 100, 8);
	test_need(12, 256, 100, 8);
	test_need(12, 64, 50, 100);
	test_need(12, 128, 20, 1500);
	test_need(12, 64, 7, 4000);
	test_need(16, 64, 500, 300);
	test_determinism();
	test_flood();
	test_exhaustion(12, 4, 64, 8);
	test_exhaustion(12, 4, 256, 8);
	test_exhaustion(12, 4, 64, 1000);
	test_exhaustion(12, 64, 64, 20);
	test_exhaustion(16, 16, 64, 8);
	test_exhaustion(16, 16, 128, 500);
	test_exhaustion(24, 1, 64, 100);
	return tap_done();
}
