/*
 * test_hash_update.c
 *		ds_hash: swap, compare and swap, add: what each answers and does, at the
 *		limits of its type, and with bad bytes.  test_hash_update_memory.c compares
 *		them with a reference, and lets them run out of memory.
 */
#include "copy_harness.h"
#include "ds/hash_root.h"
#include "tap.h"

#include <float.h>
#include <math.h>

#define SEED	42

static CopyHarness h;
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

/* ... which changes nothing and answers nothing. */
static bool
refused(NrStatus expect)
{
	uint64_t	sum = h.dispatch->checksum(&h.copy);
	NrStatus	status = apply(sizeof(answer));

	if (status != expect)
		tap_note("status %d", (int) status);
	return status == expect && !resp.flag && resp.length == 0 && answer[0] == '?' &&
		h.dispatch->checksum(&h.copy) == sum && harness_sound(&h);
}

static NrStatus
swap(const char *key, const void *value, size_t value_bytes)
{
	ds_hash_op_swap(op, hash_of(key, strlen(key)), key, strlen(key), value, value_bytes);
	return apply(sizeof(answer));
}

static bool
answered(bool flag, const void *data, size_t bytes)
{
	return resp.flag == flag && resp.length == bytes && memcmp(answer, data, bytes) == 0 &&
		(bytes == sizeof(answer) || answer[bytes] == '?');
}

static bool
holds(const char *key, const void *value, int64_t bytes)
{
	static char out[1 << 16];

	return harness_get(&h, key, strlen(key), out, sizeof(out)) == bytes &&
		(bytes <= 0 || memcmp(out, value, (size_t) bytes) == 0);
}

static void
test_swap(void)
{
	static char big[20000];

	memset(big, 'b', sizeof(big));
	harness_make_hash(&h, 16, 16, 64, SEED, 1);
	tap_ok(swap("a", "one", 3) == NR_OK && answered(false, "", 0) && holds("a", "one", 3),
		   "swap of a missing key: put, and says so");
	tap_ok(swap("a", "three", 5) == NR_OK && answered(true, "one", 3) && holds("a", "three", 5),
		   "swap answers the value before");
	tap_ok(swap("a", "", 0) == NR_OK && answered(true, "three", 5) && holds("a", "", 0), "by a value of no bytes");
	tap_ok(swap("a", "x", 1) == NR_OK && answered(true, "", 0), "and of one: there was such a key");
	ds_hash_op_swap(op, hash_of("a", 1), "a", 1, "yy", 2);
	tap_ok(apply(0) == NR_OK && resp.flag && resp.length == 1 && answer[0] == '?' && holds("a", "yy", 2),
		   "no room for the answer: its length only");
	ds_hash_op_swap(op, hash_of("a", 1), "a", 1, "zz", 2);
	tap_ok(apply(1) == NR_OK && resp.length == 2 && answer[0] == '?' && holds("a", "zz", 2), "nor half of it");
	ds_hash_op_swap(op, hash_of("a", 1), "a", 1, big, DS_HASH_RESPONSE_MAX);
	resp = (NrResponse) {0};
	tap_ok(harness_apply(&h, op, &resp) == NR_OK && resp.flag && resp.length == 2, "nobody to answer");
	tap_ok(swap("a", "now short", 9) == NR_OK && answered(true, big, DS_HASH_RESPONSE_MAX),
		   "the longest answer");
	tap_ok(swap("a", big, DS_HASH_RESPONSE_MAX + 1) == NR_OK && answered(true, "now short", 9), "a longer value ...");
	ds_hash_op_swap(op, hash_of("a", 1), "a", 1, "no", 2);
	tap_ok(refused(NR_TOO_LARGE) && holds("a", big, DS_HASH_RESPONSE_MAX + 1), "... cannot be swapped");
	ds_hash_op_cas(op, hash_of("a", 1), "a", 1, big, DS_HASH_RESPONSE_MAX + 1, "yes", 3);
	tap_ok(apply(sizeof(answer)) == NR_OK && resp.flag && holds("a", "yes", 3), "... but compared and swapped");
	tap_ok(swap("", "", 0) == NR_OK && answered(false, "", 0) && harness_get(&h, "", 0, NULL, 0) == 0 && harness_sound(&h),
		   "the empty key with the empty value");
	harness_free(&h);
}

/* Compare and swap; the flag, when nothing else is wrong. "expected" NULL: absent. */
static bool
cas(const char *key, const char *expected, const char *value)
{
	ds_hash_op_cas(op, hash_of(key, strlen(key)), key, strlen(key), expected, expected ? strlen(expected) : 0,
				   value, strlen(value));
	return apply(sizeof(answer)) == NR_OK && resp.flag && resp.length == 0 && harness_sound(&h);
}

static bool
cas_fails(const char *key, const char *expected)
{
	ds_hash_op_cas(op, hash_of(key, strlen(key)), key, strlen(key), expected, expected ? strlen(expected) : 0, "no", 2);
	return refused(NR_OK);
}

static void
test_cas(uint32_t line_bytes)
{
	static char lang[3000];
	bool		all = true;

	harness_make_hash(&h, 16, 16, line_bytes, SEED, 1);
	tap_ok(cas_fails("k", "") && cas_fails("k", "x") && holds("k", "", -1),
		   "lines of %u: a missing key is no value", line_bytes);
	tap_ok(cas("k", NULL, "v") && holds("k", "v", 1), "expected to be missing: inserted");
	tap_ok(cas_fails("k", NULL) && holds("k", "v", 1), "and not again");
	tap_ok(cas_fails("k", "") && cas_fails("k", "w") && cas_fails("k", "vv") && holds("k", "v", 1), "other values");
	tap_ok(cas("k", "v", "") && holds("k", "", 0), "to a value of no bytes");
	tap_ok(cas_fails("k", NULL) && cas_fails("k", "x"), "which is not missing, and not another");
	tap_ok(cas("k", "", "w") && holds("k", "w", 1), "and back");
	memset(lang, 'l', sizeof(lang) - 1);
	/* all lengths, in the line and in a block; wrong in one byte, or one byte short */
	for (size_t n = sizeof(lang) - 1; n > 0; n -= n > 300 ? 297 : 1)
	{
		char		last = lang[n - 1];

		lang[n] = 0;
		harness_put(&h, "k", 1, lang, n, 0, NULL);
		all &= cas_fails("k", lang + 1);
		lang[n - 1] = 'm';
		all &= cas_fails("k", lang);
		lang[n - 1] = last;
		lang[0] = 'm';
		all &= cas_fails("k", lang);
		lang[0] = 'l';
		all &= cas("k", lang, "short") && cas("k", "short", lang) && holds("k", lang, (int64_t) n);
	}
	tap_ok(all, "values of all lengths, and such as differ in their first or last byte");
	harness_free(&h);
}

static NrStatus
add(const char *key, DsHashNumber number, int64_t by)
{
	ds_hash_op_add(op, hash_of(key, strlen(key)), key, strlen(key), number, &by);
	return apply(sizeof(answer));
}

static bool
add_refused(const char *key, DsHashNumber number, int64_t by, NrStatus status)
{
	ds_hash_op_add(op, hash_of(key, strlen(key)), key, strlen(key), number, &by);
	return refused(status);
}

/* The number that was answered is the one that is there. */
static bool
is_int(const char *key, bool fresh, int64_t value, size_t bytes)
{
	return answered(fresh, &value, bytes) && holds(key, &value, (int64_t) bytes);
}

static void
test_add_int(DsHashNumber number, size_t bytes, int64_t min, int64_t max)
{
	char		other[10] = "123456789";
	const int64_t one = 1;
	bool		all = true;

	harness_make_hash(&h, 16, 16, 64, SEED, 1);
	tap_ok(add("n", number, 5) == NR_OK && is_int("n", true, 5, bytes), "int%zu: a missing key counts as 0", bytes);
	tap_ok(add("n", number, -7) == NR_OK && is_int("n", false, -2, bytes), "down below 0");
	tap_ok(add("n", number, 0) == NR_OK && is_int("n", false, -2, bytes), "by 0: a look");
	tap_ok(add("n", number, max) == NR_OK && is_int("n", false, max - 2, bytes), "up");
	tap_ok(add("n", number, 2) == NR_OK && is_int("n", false, max, bytes), "up to the largest");
	tap_ok(add_refused("n", number, 1, NR_OUT_OF_RANGE) && holds("n", &max, (int64_t) bytes), "not beyond");
	tap_ok(add("n", number, min) == NR_OK && is_int("n", false, -1, bytes), "down by the smallest");
	tap_ok(add("n", number, -max) == NR_OK && is_int("n", false, min, bytes), "down to the smallest");
	tap_ok(add_refused("n", number, -1, NR_OUT_OF_RANGE) && holds("n", &min, (int64_t) bytes), "not beyond");
	tap_ok(add_refused("n", number, INT64_MIN, NR_OUT_OF_RANGE), "nor far beyond");
	tap_ok(bytes == 8 ? add("big", number, INT64_MAX) == NR_OK : add_refused("big", number, max + 1, NR_OUT_OF_RANGE) &&
		   add_refused("big", number, min - 1, NR_OUT_OF_RANGE) && holds("big", "", -1),
		   "an operand that is no int%zu makes no key", bytes);
	/* of a number below 0, an operand that is out of range may yet lead into it */
	if (bytes < 8)
		tap_ok(add("n", number, max - min) == NR_OK && is_int("n", false, max, bytes), "unless the sum is one");
	harness_put(&h, "empty", 5, "", 0, 0, NULL);
	tap_ok(add("empty", number, 3) == NR_OK && is_int("empty", false, 3, bytes), "no bytes count as 0, and are a key");
	for (size_t n = 1; n < 10; n++)
		if (n != bytes)
		{
			harness_put(&h, "text", 4, other, n, 0, NULL);
			all &= add_refused("text", number, 1, NR_BAD_OP) && holds("text", other, (int64_t) n);
		}
	tap_ok(all, "values of other lengths are no int%zu", bytes);
	ds_hash_op_add(op, hash_of("empty", 5), "empty", 5, number, &one);
	tap_ok(apply((uint32_t) bytes - 1) == NR_OK && resp.length == bytes && answer[0] == '?' &&
		   add("empty", number, 1) == NR_OK && is_int("empty", false, 5, bytes), "no room for the answer: its length only");
	harness_free(&h);
}

static NrStatus
add_double(const char *key, double by)
{
	ds_hash_op_add(op, hash_of(key, strlen(key)), key, strlen(key), DS_HASH_FLOAT8, &by);
	return apply(sizeof(answer));
}

static bool
is_double(const char *key, bool fresh, double value)
{
	return answered(fresh, &value, sizeof(value)) && holds(key, &value, sizeof(value));
}

static void
test_add_float(void)
{
	double		by = DBL_MAX;

	harness_make_hash(&h, 16, 16, 64, SEED, 1);
	tap_ok(add_double("f", 0.5) == NR_OK && is_double("f", true, 0.5), "float8: a missing key counts as 0");
	tap_ok(add_double("f", 0.25) == NR_OK && is_double("f", false, 0.75), "sum");
	tap_ok(add_double("f", DBL_MAX) == NR_OK && is_double("f", false, DBL_MAX), "to the largest");
	ds_hash_op_add(op, hash_of("f", 1), "f", 1, DS_HASH_FLOAT8, &by);
	tap_ok(refused(NR_OUT_OF_RANGE) && holds("f", &by, 8), "from finite to infinite is out of range");
	tap_ok(add_double("f", -DBL_MAX) == NR_OK && is_double("f", false, 0.0), "back to 0");
	by = -DBL_MAX;
	harness_put(&h, "f", 1, &by, 8, 0, NULL);
	ds_hash_op_add(op, hash_of("f", 1), "f", 1, DS_HASH_FLOAT8, &by);
	tap_ok(refused(NR_OUT_OF_RANGE) && holds("f", &by, 8), "to the other side, too");
	tap_ok(add_double("f", INFINITY) == NR_OK && is_double("f", false, INFINITY), "infinity is a number to add");
	tap_ok(add_double("f", INFINITY) == NR_OK && add_double("f", DBL_MAX) == NR_OK && is_double("f", false, INFINITY),
		   "and to be added to");
	tap_ok(add_double("f", -INFINITY) == NR_OK && is_double("f", false, (double) NAN), "no number");
	tap_ok(add_double("f", 1) == NR_OK && is_double("f", false, (double) NAN), "stays none");
	tap_ok(add_double("g", -(double) NAN) == NR_OK && is_double("g", true, (double) NAN),
		   "there is one such, by its bytes");
	harness_put(&h, "empty", 5, "", 0, 0, NULL);
	tap_ok(add_double("empty", 1.5) == NR_OK && is_double("empty", false, 1.5), "no bytes count as 0");
	harness_free(&h);
}

/* ---- bytes ---- */

static DsHashOp *
body(void)
{
	return (DsHashOp *) (op + 1);
}

/* The expected bytes of the cas that is in "op". */
static void
expect_bytes(uint32_t n)
{
	memcpy((char *) (body() + 1) + body()->key_bytes, &n, sizeof(n));
}

static void
make_swap(void)
{
	ds_hash_op_swap(op, hash_of("key", 3), "key", 3, "value", 5);
}

static void
make_cas(const char *expected)
{
	ds_hash_op_cas(op, hash_of("key", 3), "key", 3, expected, expected ? strlen(expected) : 0, "value", 5);
}

/* To a key that is missing: there is no value that could be of another length. */
static void
make_add(void)
{
	int64_t		one = 1;

	ds_hash_op_add(op, hash_of("num", 3), "num", 3, DS_HASH_INT8, &one);
}

static void
test_bad_bytes(void)
{
	static char big[8192];
	size_t		max = ds_hash_entry_max(12);
	int64_t		one = 1;
	bool		all = true;

#define BAD(what) tap_ok(refused(NR_BAD_OP), what)
#define LARGE(what) tap_ok(refused(NR_TOO_LARGE), what)
	harness_make_hash(&h, 12, 16, 64, SEED, 1);
	harness_grant(&h, 8);
	harness_put(&h, "key", 3, "first", 5, 0, NULL);
	for (uint16_t flags = 1; flags != 0; flags = (uint16_t) (flags * 2))
	{
		make_swap(), op->flags = flags, all &= refused(NR_BAD_OP);
		make_cas("first"), op->flags = flags, all &= flags == DS_HASH_IF_ABSENT || refused(NR_BAD_OP);
		make_add(), op->flags = flags, all &= flags <= DS_HASH_FLOAT8 || refused(NR_BAD_OP);
	}
	tap_ok(all, "unknown flags");
	make_add(), op->flags = 0, BAD("add of no number");
	make_add(), op->flags = DS_HASH_FLOAT8 + 1, BAD("add of an unknown number");
	make_swap(), op->order_seq = 1, BAD("swap with an order number");
	make_cas("first"), op->order_seq = 1, BAD("cas with an order number");
	make_add(), op->order_seq = 1, BAD("add with an order number");
	make_swap(), body()->hash++, BAD("swap: a hash that is not the key's");
	make_cas("first"), body()->hash++, BAD("cas: a hash that is not the key's");
	make_add(), body()->hash++, BAD("add: a hash that is not the key's");
	make_cas("first"), op->flags = DS_HASH_IF_ABSENT, BAD("cas: absent, and yet of 5 bytes");
	make_cas("first"), expect_bytes(11), BAD("cas: more is expected than there is");
	make_cas("first"), expect_bytes(UINT32_MAX), BAD("cas: far more");
	make_cas("first"), expect_bytes(UINT32_MAX - 3), BAD("cas: so much that it wraps around");
	make_cas("first"), expect_bytes(10), tap_ok(refused(NR_OK), "cas: all of it is expected");
	for (uint32_t n = 0; n < 4; n++)
	{
		make_cas("first");
		body()->value_bytes = n;
		op->payload_bytes = (uint32_t) sizeof(DsHashOp) + 3 + n;
		op->bytes = (uint32_t) NR_OP_ALIGN(sizeof(*op) + op->payload_bytes);
		all &= refused(NR_BAD_OP);
	}
	tap_ok(all, "cas: no room for a length");
	for (uint32_t n = 0; n < 17; n += n == 7 ? 2 : 1)
	{
		make_add();
		body()->value_bytes = n;
		op->payload_bytes = (uint32_t) sizeof(DsHashOp) + 3 + n;
		op->bytes = (uint32_t) NR_OP_ALIGN(sizeof(*op) + op->payload_bytes);
		all &= refused(NR_BAD_OP);
	}
	tap_ok(all, "add: an operand that has not 8 bytes");
	make_swap(), op->payload_bytes--, BAD("swap: the payload is shorter");
	make_cas("first"), op->payload_bytes = 15, op->bytes = 56, BAD("cas: the payload is no operation");
	make_add(), op->payload_bytes = UINT32_MAX, op->bytes = 40, BAD("add: the payload wraps around");

	ds_hash_op_swap(op, hash_of(big, 2049), big, 2049, "", 0), LARGE("swap: key too large");
	ds_hash_op_cas(op, hash_of(big, 2049), big, 2049, "", 0, "", 0), LARGE("cas: key too large");
	ds_hash_op_add(op, hash_of(big, 2049), big, 2049, DS_HASH_INT8, &one), LARGE("add: key too large");
	ds_hash_op_swap(op, hash_of(big, 8), big, 8, big, max - 7), LARGE("swap: entry too large");
	ds_hash_op_cas(op, hash_of(big, 8), big, 8, "", 0, big, max - 7), LARGE("cas: entry too large");
	ds_hash_op_cas(op, hash_of(big, 8), big, 8, "x", 1, big, max - 7), LARGE("cas: and so from a short one");
	ds_hash_op_cas(op, hash_of(big, 8), big, 8, big, max - 7, "", 0), LARGE("cas: what is expected is too large");
	ds_hash_op_swap(op, hash_of(big, 8), big, 8, big, max - 8);
	tap_ok(apply(sizeof(answer)) == NR_OK && !resp.flag && harness_sound(&h), "swap: the largest entry");
	ds_hash_op_cas(op, hash_of(big, 8), big, 8, big, max - 8, big, max - 8);
	tap_ok(apply(sizeof(answer)) == NR_OK && resp.flag && harness_sound(&h), "cas: from and to the largest");
	ds_hash_op_swap(op, hash_of(big, 8), big, 8, "", 0);
	tap_ok(apply(sizeof(answer)) == NR_OK && resp.length == max - 8 && memcmp(answer, big, max - 8) == 0,
		   "and it is answered");
	ds_hash_op_add(op, hash_of(big, DS_HASH_KEY_MAX), big, DS_HASH_KEY_MAX, DS_HASH_INT2, &one);
	tap_ok(apply(sizeof(answer)) == NR_OK && resp.flag && harness_sound(&h), "add: the largest key");
	harness_free(&h);
#undef BAD
#undef LARGE
}

int
main(void)
{
	test_swap();
	test_cas(64);
	test_cas(256);
	test_add_int(DS_HASH_INT2, 2, INT16_MIN, INT16_MAX);
	test_add_int(DS_HASH_INT4, 4, INT32_MIN, INT32_MAX);
	test_add_int(DS_HASH_INT8, 8, INT64_MIN, INT64_MAX);
	test_add_float();
	test_bad_bytes();
	return tap_done();
}
