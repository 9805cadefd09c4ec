/*
 * ds/hash_update.c
 *		Swap, compare and swap, add: writes that look at the value before.
 *
 * Each decides and answers first, and stores last, as a put of the value that it
 * comes to; so what ds_hash_need_ops says of that put holds here.
 */
#include "ds/hash_write.h"

#include <math.h>

/* The length does not depend on the capacity, which only one of all copies has. */
static void
respond(NrResponse *resp, const void *data, uint32_t bytes)
{
	resp->length = bytes;
	if (bytes > 0 && bytes <= resp->capacity)
		memcpy(resp->data, data, bytes);
}

/* The value before; one that is too long for a response stays. */
static NrStatus
swap(const DsHashEntry *old, bool found, NrResponse *resp)
{
	if (old->value_bytes > DS_HASH_RESPONSE_MAX)
		return NR_TOO_LARGE;
	respond(resp, old->value, old->value_bytes);
	resp->flag = found;
	return NR_OK;
}

static bool
as_expected(const DsHashEntry *old, bool found, const DsHashParts *parts, bool absent)
{
	if (absent || !found)
		return absent && !found;
	return old->value_bytes == parts->expected_bytes &&
		ds_bytes_equal(old->value, parts->expected, parts->expected_bytes);
}

/* Native-endian, as the values are stored; "none" reads as 0. */
static int64_t
load_int(const uint8_t *from, uint32_t bytes)
{
	int16_t		i2;
	int32_t		i4;
	int64_t		i8 = 0;

	if (bytes == sizeof(i2))
	{
		memcpy(&i2, from, sizeof(i2));
		return i2;
	}
	if (bytes == sizeof(i4))
	{
		memcpy(&i4, from, sizeof(i4));
		return i4;
	}
	if (bytes == sizeof(i8))
		memcpy(&i8, from, sizeof(i8));
	return i8;
}

/* The sum at "to", in the form in which "number" is stored. */
static NrStatus
add_int(DsHashNumber number, const DsHashEntry *old, const uint8_t *operand, uint8_t *to)
{
	int64_t		value = load_int(old->value, old->value_bytes);
	int64_t		by = load_int(operand, sizeof(by));
	int16_t		i2;
	int32_t		i4;
	int64_t		i8;

	/* the builtin adds without bounds and looks whether the sum fits the result's type */
	switch (number)
	{
		case DS_HASH_INT2:
			if (__builtin_add_overflow(value, by, &i2))
				return NR_OUT_OF_RANGE;
			memcpy(to, &i2, sizeof(i2));
			return NR_OK;
		case DS_HASH_INT4:
			if (__builtin_add_overflow(value, by, &i4))
				return NR_OUT_OF_RANGE;
			memcpy(to, &i4, sizeof(i4));
			return NR_OK;
		default:
			if (__builtin_add_overflow(value, by, &i8))
				return NR_OUT_OF_RANGE;
			memcpy(to, &i8, sizeof(i8));
			return NR_OK;
	}
}

/* Any sum that is no number has the same bytes, so that it can be compared and swapped. */
static NrStatus
add_float(const DsHashEntry *old, const uint8_t *operand, uint8_t *to)
{
	double		value = 0;
	double		by;
	double		sum;

	if (old->value_bytes > 0)
		memcpy(&value, old->value, sizeof(value));
	memcpy(&by, operand, sizeof(by));
	sum = value + by;
	if (isinf(sum) && !isinf(value) && !isinf(by))
		return NR_OUT_OF_RANGE;
	if (isnan(sum))
		sum = (double) NAN;
	memcpy(to, &sum, sizeof(sum));
	return NR_OK;
}

/* The new value at "to", and the answer. */
static NrStatus
add(DsHashPut *put, const DsHashEntry *old, const NrOpHeader *op, uint8_t *to, NrResponse *resp)
{
	const uint8_t *operand = put->value;
	NrStatus	status;

	if (old->value_bytes != 0 && old->value_bytes != put->value_bytes)
		return NR_BAD_OP;
	status = op->flags == DS_HASH_FLOAT8 ? add_float(old, operand, to) :
		add_int((DsHashNumber) op->flags, old, operand, to);
	if (status != NR_OK)
		return status;
	put->value = to;
	respond(resp, to, put->value_bytes);
	resp->flag = !put->found;
	return NR_OK;
}

NrStatus
ds_hash_update(NrCopy *copy, DsHashRoot *root, const NrOpHeader *op, NrResponse *resp)
{
	DsHashBudget budget = {0};
	NrStatus	status = NR_OK;
	DsHashParts parts;
	DsHashPut	put;
	DsHashEntry old = {0};		/* a missing value has no bytes */
	uint8_t		sum[sizeof(int64_t)];

	if (!ds_hash_op_parts(op, &parts))
		return NR_BAD_OP;
	put.hash = parts.hash;
	put.key = parts.key;
	put.key_bytes = parts.key_bytes;
	put.value = parts.value;
	put.value_bytes = parts.value_bytes;
	ds_hash_seek(copy, root, &put);
	if (put.found)
		old = ds_entry_read(copy, put.spot.entry);
	if (op->code == DS_HASH_SWAP)
		status = swap(&old, put.found, resp);
	else if (op->code == DS_HASH_ADD)
		status = add(&put, &old, op, sum, resp);
	else
	{
		resp->flag = as_expected(&old, put.found, &parts, (op->flags & DS_HASH_IF_ABSENT) != 0);
		if (!resp->flag)
			return NR_OK;
	}
	if (status == NR_OK)
		status = ds_hash_store(copy, root, &put, ds_hash_purge_limit(root, 0), &budget);
	if (status != NR_OK)
	{
		resp->flag = false;
		resp->length = 0;
		return status;
	}
	ds_hash_adapt(copy, root, &budget);
	return NR_OK;
}
