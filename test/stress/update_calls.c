/*
 * update_calls.c
 *		Swap, compare and swap, and add on a few keys; see update_calls.h.
 */
#include "update_calls.h"

#include <stdlib.h>

/* Short keys and one that is not kept in a line. */
void
uc_keys(UcKeys *keys, uint64_t seed, uint32_t value_max)
{
	keys->value_max = value_max;
	for (uint32_t i = 0; i < UC_COUNT; i++)
	{
		UcKey	   *k = &keys->key[i];

		memset(k->bytes, '.', sizeof(k->bytes));
		k->bytes[0] = (char) ('A' + i);
		k->n = i == 1 ? UC_KEY_BYTES_MAX : 1 + i * 7;
		k->hash = ds_hash_key(seed, k->bytes, k->n);
	}
}

NrGroupConfig
uc_config(uint64_t seed, uint32_t line_bytes, uint32_t extents_max, uint32_t log_bytes)
{
	DsHashArg	arg = {.seed = seed,.line_bytes = line_bytes};
	NrGroupConfig config = {
		.copies = 1,
		.extents_max = extents_max,
		.log_bytes = log_bytes,
		.batch_bytes_max = 2 * DS_HASH_RESPONSE_MAX,
		.arg_bytes = sizeof(arg),
	};

	memcpy(config.arg, &arg, sizeof(arg));
	return config;
}

NrStatus
uc_add(NrHandle *h, const UcKeys *keys, uint32_t first, uint32_t n, DsHashNumber number, int64_t by,
	   bool cancellable, NrResult *result)
{
	_Alignas(8) char ops[LC_CELLS * (UC_KEY_BYTES_MAX + 128)];
	size_t		bytes = 0;

	for (uint32_t i = first; i < first + n; i++)
	{
		const UcKey *k = &keys->key[i];

		bytes += ds_hash_op_add(ops + bytes, k->hash, k->bytes, k->n, number, &by);
	}
	return nr_execute_mut(h, ops, bytes, n, cancellable, result);
}

NrStatus
uc_read(NrHandle *h, const UcKeys *keys, uint64_t *values)
{
	const void *key[LC_CELLS];
	uint32_t	key_bytes[LC_CELLS];
	uint64_t	hash[LC_CELLS];
	size_t		at[LC_CELLS];
	int64_t		length[LC_CELLS];
	char		out[LC_CELLS * 8];
	DsHashGetMany many = {
		.code = DS_HASH_GET_MANY, .n = LC_CELLS, .key = key, .key_bytes = key_bytes, .hash = hash,
		.out = out, .capacity = sizeof(out), .at = at, .length = length
	};
	NrStatus	st;

	for (uint32_t c = 0; c < LC_CELLS; c++)
	{
		key[c] = keys->key[c].bytes;
		key_bytes[c] = keys->key[c].n;
		hash[c] = keys->key[c].hash;
	}
	st = nr_execute(h, &many, NULL, false);
	for (uint32_t c = 0; c < LC_CELLS && st == NR_OK; c++)
	{
		values[c] = 0;
		if (length[c] >= 0 && length[c] != 8)
			return NR_BAD_OP;
		if (length[c] == 8)
			memcpy(&values[c], out + at[c], 8);
	}
	return st;
}

/* The value under a key, up to "capacity" bytes; *bytes -1: missing. */
static NrStatus
get(NrHandle *h, const UcKey *k, void *out, uint32_t capacity, int64_t *bytes)
{
	DsHashGet	op = {
		.code = DS_HASH_GET, .key = k->bytes, .key_bytes = k->n, .hash = k->hash,
		.out = out, .capacity = capacity
	};
	NrStatus	st = nr_execute(h, &op, NULL, false);

	*bytes = op.found ? (int64_t) op.value_bytes : -1;
	return st;
}

NrStatus
uc_number(NrHandle *h, const UcKeys *keys, uint32_t k, uint32_t bytes, int64_t *value)
{
	int64_t		found;
	NrStatus	st;

	/* none of them is below 0 */
	*value = 0;
	st = get(h, &keys->key[k], value, sizeof(*value), &found);
	if (found < 0)
		*value = UC_MISSING;
	return st == NR_OK && found >= 0 && found != bytes ? NR_BAD_OP : st;
}

NrStatus
uc_cas(NrHandle *h, const UcKeys *keys, int64_t before, int64_t after, bool cancellable, NrResult *result)
{
	_Alignas(8) char op[UC_KEY_BYTES_MAX + 128];
	const UcKey *k = &keys->key[UC_CAS];
	size_t		bytes = ds_hash_op_cas(op, k->hash, k->bytes, k->n, before == UC_MISSING ? NULL : &before, 8, &after, 8);

	return nr_execute_mut(h, op, bytes, 1, cancellable, result);
}

static uint32_t
value_bytes(const UcKeys *keys, uint64_t value)
{
	switch (value % 8)
	{
		case 0:
			return keys->value_max;
		case 1:
			return keys->value_max / 16 * 8;
		default:
			return 8 + (uint32_t) (value % 8) * 8;
	}
}

static void
make_value(char *to, uint64_t value, uint32_t bytes)
{
	for (uint32_t at = 0; at < bytes; at += 8)
	{
		uint64_t	word = value + at;

		memcpy(to + at, &word, 8);
	}
}

static uint64_t
parse_value(const UcKeys *keys, const char *from, uint32_t bytes)
{
	char		whole[DS_HASH_RESPONSE_MAX];
	uint64_t	value;

	if (bytes < 8)
		return UC_TORN;
	memcpy(&value, from, 8);
	if (bytes != value_bytes(keys, value))
		return UC_TORN;
	make_value(whole, value, bytes);
	return memcmp(whole, from, bytes) == 0 ? value : UC_TORN;
}

NrStatus
uc_swap(NrHandle *h, const UcKeys *keys, bool cancellable, UcSwap *swap, NrResult *result)
{
	_Alignas(8) char op[DS_HASH_RESPONSE_MAX + UC_KEY_BYTES_MAX + 128];
	char		value[DS_HASH_RESPONSE_MAX];
	char		before[DS_HASH_RESPONSE_MAX];
	const UcKey *k = &keys->key[UC_SWAP];
	uint32_t	bytes = value_bytes(keys, swap->given);
	NrStatus	st;

	make_value(value, swap->given, bytes);
	memset(before, '?', sizeof(before));
	result->last.data = before;
	result->last.capacity = sizeof(before);
	st = nr_execute_mut(h, op, ds_hash_op_swap(op, k->hash, k->bytes, k->n, value, bytes), 1, cancellable, result);
	result->last.data = NULL;
	swap->seq = result->seq;
	if (st == NR_OK)
		swap->got = result->last.flag ? parse_value(keys, before, result->last.length) : 0;
	return st;
}

NrStatus
uc_swapped(NrHandle *h, const UcKeys *keys, uint64_t *value)
{
	char		out[DS_HASH_RESPONSE_MAX];
	int64_t		bytes;
	NrStatus	st = get(h, &keys->key[UC_SWAP], out, sizeof(out), &bytes);

	*value = bytes < 0 ? 0 : parse_value(keys, out, (uint32_t) bytes);
	return st;
}

static int
by_got(const void *a, const void *b)
{
	const UcSwap *x = a,
			   *y = b;

	return x->got < y->got ? -1 : x->got > y->got;
}

bool
uc_is_chain(UcSwap *swap, size_t n, uint64_t last)
{
	UcSwap		at = {0};

	qsort(swap, n, sizeof(UcSwap), by_got);
	for (size_t walked = 0; walked < n; walked++)
	{
		const UcSwap *next = bsearch(&at, swap, n, sizeof(UcSwap), by_got);

		if (next == NULL || next->seq < at.seq)
			return false;
		at.got = next->given;
		at.seq = next->seq;
	}
	return at.got == last;
}
