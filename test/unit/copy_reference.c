/*
 * copy_reference.c
 *		See copy_reference.h.
 */
#include "copy_reference.h"

#include <math.h>
#include <stdlib.h>

static RefEntry **
place(const RefMap *map, const void *key, size_t key_bytes)
{
	RefEntry  **at = (RefEntry **) &map->bucket[ds_hash_key(1, key, key_bytes) % REF_BUCKETS];

	while (*at && ((*at)->key_bytes != key_bytes ||
				   (key_bytes > 0 && memcmp((*at)->bytes, key, key_bytes) != 0)))
		at = &(*at)->next;
	return at;
}

const RefEntry *
ref_get(const RefMap *map, const void *key, size_t key_bytes)
{
	return *place(map, key, key_bytes);
}

bool
ref_delete(RefMap *map, const void *key, size_t key_bytes)
{
	RefEntry  **at = place(map, key, key_bytes);
	RefEntry   *e = *at;

	if (!e)
		return false;
	map->entries--;
	map->bytes -= e->key_bytes + e->value_bytes;
	*at = e->next;
	free(e);
	return true;
}

void
ref_put(RefMap *map, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
	RefEntry  **at;
	RefEntry   *e = malloc(sizeof(*e) + key_bytes + value_bytes);

	ref_delete(map, key, key_bytes);
	at = place(map, key, key_bytes);
	e->next = *at;
	e->key_bytes = (uint32_t) key_bytes;
	e->value_bytes = (uint32_t) value_bytes;
	if (key_bytes > 0)
		memcpy(e->bytes, key, key_bytes);
	if (value_bytes > 0)
		memcpy(e->bytes + key_bytes, value, value_bytes);
	*at = e;
	map->entries++;
	map->bytes += key_bytes + value_bytes;
}

void
ref_clear(RefMap *map)
{
	for (uint32_t b = 0; b < REF_BUCKETS; b++)
		while (map->bucket[b])
		{
			RefEntry   *e = map->bucket[b];

			map->bucket[b] = e->next;
			free(e);
		}
	map->entries = 0;
	map->bytes = 0;
}

/* By arithmetic that has room for any sum of two; then it must fit the type. */
static bool
ref_sum(uint16_t number, const void *old, size_t old_bytes, const void *operand, void *to)
{
	__int128	sum;
	int64_t		by;
	int64_t		value = 0;

	if (number == DS_HASH_FLOAT8)
	{
		double		a = 0;
		double		b;
		double		c;

		memcpy(&a, old, old_bytes);
		memcpy(&b, operand, sizeof(b));
		c = a + b;
		if (c != c)
			memcpy(&c, "\0\0\0\0\0\0\xf8\x7f", sizeof(c));
		memcpy(to, &c, sizeof(c));
		return !(fabs(c) > 1.7976931348623157e308) || fabs(a) > 1.7976931348623157e308 ||
			fabs(b) > 1.7976931348623157e308;
	}
	/* little-endian: the lower bytes, and the sign above them */
	memcpy(&value, old, old_bytes);
	if (old_bytes > 0 && old_bytes < 8)
		value = (int64_t) ((uint64_t) value << (64 - 8 * old_bytes)) >> (64 - 8 * old_bytes);
	memcpy(&by, operand, sizeof(by));
	sum = (__int128) value + by;
	value = (int64_t) sum;
	memcpy(to, &value, sizeof(value));
	switch (number)
	{
		case DS_HASH_INT2:
			return sum >= INT16_MIN && sum <= INT16_MAX;
		case DS_HASH_INT4:
			return sum >= INT32_MIN && sum <= INT32_MAX;
		default:
			return sum >= INT64_MIN && sum <= INT64_MAX;
	}
}

/* Answer with these bytes. */
static void
ref_answer(NrResponse *resp, const void *data, size_t bytes)
{
	resp->length = (uint32_t) bytes;
	if (bytes > 0 && bytes <= resp->capacity)
		memcpy(resp->data, data, bytes);
}

NrStatus
ref_update(RefMap *map, const NrOpHeader *op, NrResponse *resp)
{
	static const uint32_t number_bytes[] = {0, 2, 4, 8, 8};
	const DsHashOp *body = nr_op_payload(op);
	const char *key = (const char *) (body + 1);
	const char *rest = key + body->key_bytes;
	const RefEntry *e = ref_get(map, key, body->key_bytes);
	uint32_t	old_bytes = e ? e->value_bytes : 0;
	const char *old = e ? e->bytes + e->key_bytes : rest;
	uint32_t	bytes;
	char		sum[8];

	resp->flag = false;
	resp->length = 0;
	switch (op->code)
	{
		case DS_HASH_SWAP:
			if (old_bytes > DS_HASH_RESPONSE_MAX)
				return NR_TOO_LARGE;
			resp->flag = e != NULL;
			ref_answer(resp, old, old_bytes);
			ref_put(map, key, body->key_bytes, rest, body->value_bytes);
			return NR_OK;
		case DS_HASH_CAS:
			memcpy(&bytes, rest, sizeof(bytes));
			rest += sizeof(bytes);
			if (op->flags == DS_HASH_IF_ABSENT ? e != NULL :
				!e || old_bytes != bytes || (bytes > 0 && memcmp(old, rest, bytes) != 0))
				return NR_OK;
			resp->flag = true;
			ref_put(map, key, body->key_bytes, rest + bytes, body->value_bytes - sizeof(bytes) - bytes);
			return NR_OK;
		default:
			bytes = number_bytes[op->flags];
			if (old_bytes != 0 && old_bytes != bytes)
				return NR_BAD_OP;
			if (!ref_sum(op->flags, old, old_bytes, rest, sum))
				return NR_OUT_OF_RANGE;
			resp->flag = e == NULL;
			ref_answer(resp, sum, bytes);
			ref_put(map, key, body->key_bytes, sum, bytes);
			return NR_OK;
	}
}

static bool
same_value(const RefEntry *e, const void *value, uint64_t value_bytes)
{
	return e && e->value_bytes == value_bytes &&
		(value_bytes == 0 || memcmp(e->bytes + e->key_bytes, value, value_bytes) == 0);
}

static const char *
compare_scan(const RefMap *map, const CopyHarness *h)
{
	DsHashScan	scan = {.code = DS_HASH_SCAN};
	const char *at;
	const char *broken = NULL;

	h->dispatch->dispatch(&h->copy, &scan, NULL);
	if (scan.n != map->entries)
		return "number of entries";
	scan.capacity = scan.needed_bytes;
	scan.out = malloc(scan.capacity + 1);
	h->dispatch->dispatch(&h->copy, &scan, NULL);
	at = scan.out;
	for (uint64_t i = 0; i < scan.n && !broken; i++)
	{
		DsHashScanEntry e;

		memcpy(&e, at, sizeof(e));
		at += sizeof(e);
		if (!same_value(ref_get(map, at, e.key_bytes), at + e.key_bytes, e.value_bytes))
			broken = "scan";
		at += ((size_t) e.key_bytes + e.value_bytes + 7) & ~(size_t) 7;
	}
	if (!broken && (size_t) (at - scan.out) != scan.needed_bytes)
		broken = "scan length";
	free(scan.out);
	return broken;
}

#define MANY	100

static const char *
compare_many(const CopyHarness *h, const RefEntry *const *entry, uint32_t n)
{
	static char out[1 << 16];
	const void *key[MANY];
	uint32_t	key_bytes[MANY];
	uint64_t	hash[MANY];
	size_t		at[MANY];
	int64_t		length[MANY];
	DsHashArg	arg;
	DsHashGetMany get = {.code = DS_HASH_GET_MANY, .n = n, .key = key, .key_bytes = key_bytes,
		.hash = hash, .out = out, .capacity = sizeof(out), .at = at, .length = length};

	memcpy(&arg, h->config.arg, sizeof(arg));
	for (uint32_t i = 0; i < n; i++)
	{
		key[i] = entry[i]->bytes;
		key_bytes[i] = entry[i]->key_bytes;
		hash[i] = ds_hash_key(arg.seed, key[i], key_bytes[i]);
	}
	h->dispatch->dispatch(&h->copy, &get, NULL);
	if (get.found != n)
		return "get_many missed a key";
	for (uint32_t i = 0; i < n && get.needed_bytes <= get.capacity; i++)
		if (!same_value(entry[i], out + at[i], (uint64_t) length[i]))
			return "get_many value";
	return NULL;
}

/* All of them with values of this width at least, or shorter, and behind them one key that is not there. */
static const char *
compare_fixed(const CopyHarness *h, const RefEntry *const *entry, uint32_t n, uint32_t width)
{
	static const char nowhere[DS_HASH_KEY_MAX] = "not there";
	char		out[(MANY + 1) * 8];
	uint8_t		state[MANY + 1];
	DsHashKeyRef key[MANY + 1];
	uint32_t	short_ones = 0;
	DsHashArg	arg;
	DsHashGetFixed get = {.code = DS_HASH_GET_FIXED, .n = n + 1, .key = key, .width = width, .out = out, .state = state};

	memcpy(&arg, h->config.arg, sizeof(arg));
	memset(out, '?', sizeof(out));
	for (uint32_t i = 0; i <= n; i++)
	{
		key[i].key = i < n ? (const void *) entry[i]->bytes : nowhere;
		key[i].key_bytes = i < n ? entry[i]->key_bytes : sizeof(nowhere);
		key[i].hash = ds_hash_key(arg.seed, key[i].key, key[i].key_bytes);
	}
	h->dispatch->dispatch(&h->copy, &get, NULL);
	for (uint32_t i = 0; i < n; i++)
	{
		bool		is_short = entry[i]->value_bytes < width;
		const char *want = is_short ? "????????" : (const char *) entry[i]->bytes + entry[i]->key_bytes;

		short_ones += is_short;
		if (state[i] != (is_short ? DS_HASH_FIXED_EMPTY : DS_HASH_FIXED_FOUND) ||
			memcmp(out + i * width, want, width) != 0)
			return "get_fixed value";
	}
	if (state[n] != DS_HASH_FIXED_MISSING || memcmp(out + n * width, "????????", width) != 0)
		return "get_fixed found what is not there";
	return get.missing == 1 && get.empty == short_ones ? NULL : "get_fixed counts";
}

/* One visit for many keys, in each form. */
static const char *
compare_visits(const CopyHarness *h, const RefEntry *const *entry, uint32_t n)
{
	const char *broken = compare_many(h, entry, n);

	for (uint32_t width = 1; width <= 8 && !broken; width *= 2)
		broken = compare_fixed(h, entry, n, width);
	return broken;
}

const char *
ref_compare(const RefMap *map, const CopyHarness *h)
{
	static char value[1 << 24];
	const RefEntry *many[MANY];
	uint32_t	n = 0;
	const char *broken = compare_scan(map, h);

	for (uint32_t b = 0; b < REF_BUCKETS && !broken; b++)
		for (const RefEntry *e = map->bucket[b]; e && !broken; e = e->next)
		{
			int64_t		length = harness_get(h, e->bytes, e->key_bytes, value, sizeof(value));

			if (length < 0)
				return "a key is missing";
			if (!same_value(e, value, (uint64_t) length))
				return "a value differs";
			many[n++] = e;
			if (n == MANY)
			{
				broken = compare_visits(h, many, n);
				n = 0;
			}
		}
	return broken || n == 0 ? broken : compare_visits(h, many, n);
}
