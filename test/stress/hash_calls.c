/*
 * hash_calls.c
 *		Families of keys in ds_hash; see hash_calls.h.
 */
#include "hash_calls.h"

#include <stdio.h>
#include <stdlib.h>

/* Short keys and long ones: in the line, and in the heap. */
void
hc_keys(HcKeys *keys, uint64_t seed)
{
	static const uint32_t length[HC_FAMILIES] = {8, 8, 16, 24, 60, HC_KEY_BYTES_MAX};

	memset(keys, 0, sizeof(*keys));
	for (uint32_t f = 0; f < HC_FAMILIES; f++)
		for (uint32_t c = 0; c < LC_CELLS; c++)
		{
			HcKey	   *k = &keys->key[f][c];

			memset(k->bytes, '.', sizeof(k->bytes));
			k->bytes[0] = (char) ('A' + f);
			k->bytes[length[f] - 1] = (char) ('0' + c);
			k->n = length[f];
			k->hash = ds_hash_key(seed, k->bytes, k->n);
		}
}

NrGroupConfig
hc_config(uint64_t seed, uint32_t line_bytes, uint32_t extents_max, uint32_t log_bytes)
{
	DsHashArg	arg = {.seed = seed, .line_bytes = line_bytes};
	NrGroupConfig config = {
		.copies = 1,
		.extents_max = extents_max,
		.log_bytes = log_bytes,
		.batch_bytes_max = 8192,
		.arg_bytes = sizeof(arg),
	};

	memcpy(config.arg, &arg, sizeof(arg));
	return config;
}

/* Length of the value that stands for a number: mostly short, sometimes long. */
static uint32_t
value_bytes(uint64_t value)
{
	switch (value % 16)
	{
		case 0:
			return 400;
		case 1:
			return HC_VALUE_BYTES_MAX;
		default:
			return 8 + (uint32_t) (value % 5) * 8;
	}
}

static void
make_value(char *to, uint64_t value)
{
	for (uint32_t at = 0; at < value_bytes(value); at += 8)
	{
		uint64_t	word = value + at;

		memcpy(to + at, &word, 8);
	}
}

static uint64_t
parse_value(const char *from, uint64_t bytes)
{
	uint64_t	value;

	if (bytes < 8)
		return HC_TORN;
	memcpy(&value, from, 8);
	if (bytes != value_bytes(value))
		return HC_TORN;
	for (uint32_t at = 8; at < bytes; at += 8)
	{
		uint64_t	word;

		memcpy(&word, from + at, 8);
		if (word != value + at)
			return HC_TORN;
	}
	return value;
}

size_t
hc_ops(char *ops, const HcKeys *keys, uint32_t family, uint32_t first, uint32_t n, uint64_t value)
{
	char		bytes[HC_VALUE_BYTES_MAX];
	size_t		at = 0;

	make_value(bytes, value);
	for (uint32_t c = first; c < first + n; c++)
	{
		const HcKey *k = &keys->key[family][c];

		if (value == 0)
			at += ds_hash_op_delete(ops + at, k->hash, k->bytes, k->n);
		else
			at += ds_hash_op_put(ops + at, k->hash, k->bytes, k->n, bytes, value_bytes(value), 0);
	}
	return at;
}

NrStatus
hc_put(NrHandle *h, const HcKeys *keys, uint32_t family, uint32_t first, uint32_t n,
	   uint64_t value, bool cancellable, NrResult *result)
{
	_Alignas(8) char ops[HC_OPS_BYTES_MAX];

	return nr_execute_mut(h, ops, hc_ops(ops, keys, family, first, n, value), n, cancellable, result);
}

NrStatus
hc_swap(NrHandle *h, const HcKeys *keys, uint32_t family, uint32_t cell, uint64_t value,
		bool cancellable, uint64_t *before, NrResult *result)
{
	_Alignas(8) char op[HC_KEY_BYTES_MAX + HC_VALUE_BYTES_MAX + 128];
	char		bytes[HC_VALUE_BYTES_MAX];
	char		out[HC_VALUE_BYTES_MAX];
	const HcKey *k = &keys->key[family][cell];
	NrStatus	st;

	make_value(bytes, value);
	result->last.data = out;
	result->last.capacity = sizeof(out);
	st = nr_execute_mut(h, op, ds_hash_op_swap(op, k->hash, k->bytes, k->n, bytes, value_bytes(value)), 1,
						cancellable, result);
	if (st != NR_OK || !result->last.flag)
		*before = 0;
	else if (result->last.length > h->session->engine->geo.session_buffer_bytes)
		*before = LC_UNTOLD;
	else
		*before = parse_value(out, result->last.length);
	return st;
}

NrStatus
hc_cas(NrHandle *h, const HcKeys *keys, uint32_t family, uint32_t cell, uint64_t expected,
	   uint64_t value, bool cancellable, NrResult *result)
{
	_Alignas(8) char op[HC_KEY_BYTES_MAX + 2 * HC_VALUE_BYTES_MAX + 128];
	char		bytes[2][HC_VALUE_BYTES_MAX];
	const HcKey *k = &keys->key[family][cell];

	make_value(bytes[0], expected);
	make_value(bytes[1], value);
	return nr_execute_mut(h, op, ds_hash_op_cas(op, k->hash, k->bytes, k->n, expected != 0 ? bytes[0] : NULL,
												value_bytes(expected), bytes[1], value_bytes(value)), 1,
						  cancellable, result);
}

NrStatus
hc_truncate(NrHandle *h, bool cancellable, NrResult *result)
{
	_Alignas(8) char op[sizeof(NrOpHeader)];
	size_t		bytes = ds_hash_op_truncate(op);

	return nr_execute_mut(h, op, bytes, 1, cancellable, result);
}

NrStatus
hc_get(NrHandle *h, const HcKeys *keys, uint32_t family, uint32_t cell, bool cancellable,
	   uint64_t *value)
{
	const HcKey *k = &keys->key[family][cell];
	char		out[HC_VALUE_BYTES_MAX];
	DsHashGet	get = {
		.code = DS_HASH_GET, .key = k->bytes, .key_bytes = k->n, .hash = k->hash,
		.out = out, .capacity = sizeof(out)
	};
	NrStatus	st = nr_execute(h, &get, NULL, cancellable);

	if (st == NR_OK)
		*value = get.found ? parse_value(out, get.value_bytes) : 0;
	return st;
}

NrStatus
hc_get_all(NrHandle *h, const HcKeys *keys, uint32_t family, bool cancellable, uint64_t *values)
{
	char		out[LC_CELLS * HC_VALUE_BYTES_MAX];
	const void *key[LC_CELLS];
	uint32_t	key_bytes[LC_CELLS];
	uint64_t	hash[LC_CELLS];
	size_t		at[LC_CELLS];
	int64_t		length[LC_CELLS];
	DsHashGetMany many = {
		.code = DS_HASH_GET_MANY, .n = LC_CELLS, .key = key, .key_bytes = key_bytes, .hash = hash,
		.out = out, .capacity = sizeof(out), .at = at, .length = length
	};
	NrStatus	st;

	for (uint32_t c = 0; c < LC_CELLS; c++)
	{
		key[c] = keys->key[family][c].bytes;
		key_bytes[c] = keys->key[family][c].n;
		hash[c] = keys->key[family][c].hash;
	}
	st = nr_execute(h, &many, NULL, cancellable);
	for (uint32_t c = 0; c < LC_CELLS && st == NR_OK; c++)
		values[c] = length[c] < 0 ? 0 : parse_value(out + at[c], (uint64_t) length[c]);
	return st;
}

NrStatus
hc_scan(NrHandle *h, const HcKeys *keys, bool cancellable, uint64_t values[HC_FAMILIES][LC_CELLS])
{
	size_t		capacity = HC_FAMILIES * LC_CELLS * (16 + HC_KEY_BYTES_MAX + HC_VALUE_BYTES_MAX);
	char	   *out = malloc(capacity);
	DsHashScan	scan = {.code = DS_HASH_SCAN, .out = out, .capacity = capacity};
	NrStatus	st = nr_execute(h, &scan, NULL, cancellable);
	size_t		at = 0;

	memset(values, 0, sizeof(uint64_t) * HC_FAMILIES * LC_CELLS);
	for (uint64_t i = 0; i < scan.n && st == NR_OK; i++)
	{
		DsHashScanEntry entry;
		const char *key = out + at + sizeof(entry);
		uint32_t	f = 0,
					c = 0;

		memcpy(&entry, out + at, sizeof(entry));
		f = (uint32_t) (key[0] - 'A');
		c = (uint32_t) (key[entry.key_bytes - 1] - '0');
		if (f >= HC_FAMILIES || c >= LC_CELLS || keys->key[f][c].n != entry.key_bytes ||
			memcmp(key, keys->key[f][c].bytes, entry.key_bytes) != 0)
		{
			values[0][0] = HC_TORN;
			break;
		}
		/* twice the same key is as bad as a torn value */
		values[f][c] = values[f][c] != 0 ? HC_TORN : parse_value(key + entry.key_bytes, entry.value_bytes);
		at += (sizeof(entry) + entry.key_bytes + entry.value_bytes + 7) / 8 * 8;
	}
	free(out);
	return st;
}
