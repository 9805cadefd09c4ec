/*
 * ds/hash_op.c
 *		ds_hash's operations as bytes: encode them, and believe none of them.
 *
 * An operation comes from another process by way of the log, so each length is
 * checked against the bytes that are there, and the hash against the key: a
 * wrong one would put an entry where no lookup finds it.
 */
#include "ds/hash_root.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Compiled for its length alone: "flatten" makes the compiler drop all other cases. */
static __attribute__((flatten)) uint64_t
hash_8(uint64_t seed, const void *key)
{
	return XXH3_64bits_withSeed(key, 8, seed);
}

uint64_t
ds_hash_key(uint64_t seed, const void *key, size_t key_bytes)
{
	if (key_bytes == 8)
		return hash_8(seed, key);
	return XXH3_64bits_withSeed(key, key_bytes, seed);
}

size_t
ds_hash_entry_max(uint32_t extent_shift)
{
	/* a block is at most one extent: tag, two lengths, key, value */
	return ((size_t) 1 << extent_shift) - DS_HEAP_TAG_BYTES - 2 * sizeof(uint32_t);
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

static size_t
op_encode(void *to, uint16_t code, uint64_t hash, const void *key, size_t key_bytes,
		  const void *value, size_t value_bytes, uint16_t flags)
{
	size_t		payload_bytes = sizeof(DsHashOp) + key_bytes + value_bytes;
	NrOpHeader *op = op_header(to, code, payload_bytes);
	DsHashOp   *body = (DsHashOp *) (op + 1);
	char	   *at = (char *) (body + 1);

	op->flags = flags;
	body->hash = hash;
	body->key_bytes = (uint32_t) key_bytes;
	body->value_bytes = (uint32_t) value_bytes;
	if (key_bytes > 0)
		memcpy(at, key, key_bytes);
	at += key_bytes;
	if (value_bytes > 0)
		memcpy(at, value, value_bytes);
	at += value_bytes;
	memset(at, 0, op->bytes - sizeof(*op) - payload_bytes);
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

static NrStatus
check_body(const NrCopy *copy, const DsHashRoot *root, const NrOpHeader *op)
{
	const DsHashOp *body = nr_op_payload(op);

	if (op->payload_bytes < sizeof(*body) ||
		op->payload_bytes != sizeof(*body) + (uint64_t) body->key_bytes + body->value_bytes)
		return NR_BAD_OP;
	if (op->code == DS_HASH_DELETE && body->value_bytes != 0)
		return NR_BAD_OP;
	if (body->key_bytes > DS_HASH_KEY_MAX ||
		(uint64_t) body->key_bytes + body->value_bytes > ds_hash_entry_max(copy->extent_shift))
		return NR_TOO_LARGE;
	if (body->hash != ds_hash_key(root->seed, body + 1, body->key_bytes))
		return NR_BAD_OP;
	return NR_OK;
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
		default:
			return NR_BAD_OP;
	}
}
