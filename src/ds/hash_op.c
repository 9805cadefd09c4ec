/*
 * ds/hash_op.c
 *		ds_hash's operations as bytes: encode them, and believe none of them.
 *
 * An operation comes from another process by way of the log, so each length is
 * checked against the bytes that are there, and the hash against the key: a
 * wrong one would put an entry where no lookup finds it.
 */
#include "ds/hash_key.h"
#include "ds/hash_line.h"

uint64_t
ds_hash_key(uint64_t seed, const void *key, size_t key_bytes)
{
	if (key_bytes == 8)
		return ds_hash_key_8(seed, key);
	return XXH3_64bits_withSeed(key, key_bytes, seed);
}

size_t
ds_hash_entry_max(uint32_t extent_shift)
{
	/* a block is at most one extent: tag, two lengths, key, value; when it is shared, some more */
	return ((size_t) 1 << extent_shift) - DS_HEAP_TAG_BYTES - 2 * sizeof(uint32_t) - DS_VALUE_TAIL_BYTES;
}

static NrOpHeader *
op_header(void *to, uint16_t code, size_t payload_bytes)
{
	NrOpHeader *op = to;

	memset(op, 0, sizeof(*op));
	op->bytes = (uint32_t) NR_OP_ALIGN(sizeof(*op) + payload_bytes);
	op->code = code;
	op->payload_bytes = (uint32_t) payload_bytes;
	return op;
}

/* "value" NULL: the caller writes its bytes.  Inline, since most of it is known to who calls. */
static inline __attribute__((always_inline)) size_t
op_encode(void *to, uint16_t code, uint64_t hash, const void *key, size_t key_bytes,
		  const void *value, size_t value_bytes, uint16_t flags)
{
	size_t		payload_bytes = sizeof(DsHashOp) + key_bytes + value_bytes;
	NrOpHeader *op = op_header(to, code, payload_bytes);
	DsHashOp   *body = (DsHashOp *) (op + 1);
	char	   *at = (char *) (body + 1);

	/* what is left of the last word: before anything else is in it */
	memset((char *) to + op->bytes - 8, 0, 8);
	op->flags = flags;
	body->hash = hash;
	body->key_bytes = (uint32_t) key_bytes;
	body->value_bytes = (uint32_t) value_bytes;
	ds_bytes_copy(at, key, key_bytes);
	if (value)
		ds_bytes_copy(at + key_bytes, value, value_bytes);
	return op->bytes;
}

size_t
ds_hash_op_put(void *to, uint64_t hash, const void *key, size_t key_bytes,
			   const void *value, size_t value_bytes, uint16_t flags)
{
	return op_encode(to, DS_HASH_PUT, hash, key, key_bytes, value, value_bytes, flags);
}

size_t
ds_hash_op_delete(void *to, uint64_t hash, const void *key, size_t key_bytes)
{
	return op_encode(to, DS_HASH_DELETE, hash, key, key_bytes, NULL, 0, 0);
}

size_t
ds_hash_op_truncate(void *to)
{
	return op_header(to, DS_HASH_TRUNCATE, 0)->bytes;
}

size_t
ds_hash_op_swap(void *to, uint64_t hash, const void *key, size_t key_bytes,
				const void *value, size_t value_bytes)
{
	return op_encode(to, DS_HASH_SWAP, hash, key, key_bytes, value, value_bytes, 0);
}

size_t
ds_hash_op_cas(void *to, uint64_t hash, const void *key, size_t key_bytes,
			   const void *expected, size_t expected_bytes,
			   const void *value, size_t value_bytes)
{
	uint32_t	length = expected ? (uint32_t) expected_bytes : 0;
	size_t		bytes = op_encode(to, DS_HASH_CAS, hash, key, key_bytes, NULL,
								  sizeof(length) + length + value_bytes,
								  expected ? 0 : DS_HASH_IF_ABSENT);
	char	   *at = (char *) to + sizeof(NrOpHeader) + sizeof(DsHashOp) + key_bytes;

	memcpy(at, &length, sizeof(length));
	at += sizeof(length);
	if (length > 0)
		memcpy(at, expected, length);
	at += length;
	if (value_bytes > 0)
		memcpy(at, value, value_bytes);
	return bytes;
}

size_t
ds_hash_op_add(void *to, uint64_t hash, const void *key, size_t key_bytes,
			   DsHashNumber number, const void *by)
{
	return op_encode(to, DS_HASH_ADD, hash, key, key_bytes, by, sizeof(int64_t), (uint16_t) number);
}

/* 0: there is no such number. */
static uint32_t
number_bytes(uint16_t number)
{
	switch (number)
	{
		case DS_HASH_INT2:
			return sizeof(int16_t);
		case DS_HASH_INT4:
			return sizeof(int32_t);
		case DS_HASH_INT8:
			return sizeof(int64_t);
		case DS_HASH_FLOAT8:
			return sizeof(double);
		default:
			return 0;
	}
}

bool
ds_hash_op_parts(const NrOpHeader *op, DsHashParts *parts)
{
	const DsHashOp *body = nr_op_payload(op);
	uint32_t	expected_bytes;

	if (op->payload_bytes < sizeof(*body) ||
		op->payload_bytes != sizeof(*body) + (uint64_t) body->key_bytes + body->value_bytes)
		return false;
	parts->hash = body->hash;
	parts->key = (const uint8_t *) (body + 1);
	parts->key_bytes = body->key_bytes;
	parts->value = parts->key + body->key_bytes;
	parts->value_bytes = body->value_bytes;
	parts->expected = NULL;
	parts->expected_bytes = 0;
	if (op->code == DS_HASH_ADD)
	{
		parts->value_bytes = number_bytes(op->flags);
		return body->value_bytes == sizeof(int64_t);
	}
	if (op->code != DS_HASH_CAS)
		return true;
	if (body->value_bytes < sizeof(expected_bytes))
		return false;
	memcpy(&expected_bytes, parts->value, sizeof(expected_bytes));
	if (expected_bytes > body->value_bytes - sizeof(expected_bytes))
		return false;
	parts->expected = parts->value + sizeof(expected_bytes);
	parts->expected_bytes = expected_bytes;
	parts->value = parts->expected + expected_bytes;
	parts->value_bytes = body->value_bytes - (uint32_t) sizeof(expected_bytes) - expected_bytes;
	return true;
}

/* The limits, and the hash: "longest" is the longest value that the operation has to do with. */
static inline NrStatus
check_key(const NrCopy *copy, const DsHashRoot *root, const DsHashOp *body, uint64_t longest)
{
	if (body->key_bytes > DS_HASH_KEY_MAX || body->key_bytes + longest > ds_hash_entry_max(copy->extent_shift))
		return NR_TOO_LARGE;
	if (body->hash != ds_hash_key(root->seed, body + 1, body->key_bytes))
		return NR_BAD_OP;
	return NR_OK;
}

/* Put and delete, which come most often: without a detour by the parts. */
static NrStatus
check_body(const NrCopy *copy, const DsHashRoot *root, const NrOpHeader *op)
{
	const DsHashOp *body = nr_op_payload(op);

	if (op->payload_bytes < sizeof(*body) ||
		op->payload_bytes != sizeof(*body) + (uint64_t) body->key_bytes + body->value_bytes)
		return NR_BAD_OP;
	if (op->code == DS_HASH_DELETE && body->value_bytes != 0)
		return NR_BAD_OP;
	return check_key(copy, root, body, body->value_bytes);
}

static NrStatus
check_update(const NrCopy *copy, const DsHashRoot *root, const NrOpHeader *op)
{
	DsHashParts parts;

	if (op->order_seq != 0 || !ds_hash_op_parts(op, &parts))
		return NR_BAD_OP;
	switch (op->code)
	{
		case DS_HASH_SWAP:
			if (op->flags != 0)
				return NR_BAD_OP;
			break;
		case DS_HASH_CAS:
			if (op->flags != 0 && (op->flags != DS_HASH_IF_ABSENT || parts.expected_bytes != 0))
				return NR_BAD_OP;
			break;
		default:
			if (number_bytes(op->flags) == 0)
				return NR_BAD_OP;
	}
	return check_key(copy, root, nr_op_payload(op),
					 parts.value_bytes > parts.expected_bytes ? parts.value_bytes : parts.expected_bytes);
}

/* Whoever hands in an operation vouches for op->bytes readable bytes, and 40 at least. */
NrStatus
ds_hash_op_check(const NrCopy *copy, const DsHashRoot *root, const NrOpHeader *op)
{
	if (op->bytes != NR_OP_ALIGN(sizeof(*op) + (uint64_t) op->payload_bytes) || op->reserved != 0)
		return NR_BAD_OP;
	switch (op->code)
	{
		case DS_HASH_PUT:
			if (op->flags != 0 && op->flags != DS_HASH_IF_PRESENT && op->flags != DS_HASH_IF_ABSENT)
				return NR_BAD_OP;
			return check_body(copy, root, op);
		case DS_HASH_DELETE:
			return op->flags == 0 ? check_body(copy, root, op) : NR_BAD_OP;
		case DS_HASH_TRUNCATE:
			return op->flags == 0 && op->payload_bytes == 0 ? NR_OK : NR_BAD_OP;
		case DS_HASH_SWAP:
		case DS_HASH_CAS:
		case DS_HASH_ADD:
			return check_update(copy, root, op);
		default:
			return NR_BAD_OP;
	}
}
