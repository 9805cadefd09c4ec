/*
 * hash_model.c
 *		See hash_model.h.
 */
#include "hash_model.h"

#include <stdlib.h>

#define SEEDS		2
#define TWIN_FIRST	248			/* from here on keys come in pairs: 248 and 249, ... */
#define TWIN_BYTES	130			/* never short enough for a line */
#define TWIN_SLOTS	(1u << 18)

static char value[1 << 17];

/* ---- keys ---- */

static uint32_t twin[SEEDS][2][2];	/* by seed and half of the hash: the numbers in two keys whose halves are equal */

static uint32_t
half_of(uint64_t hash, uint32_t high)
{
	return (uint32_t) (high ? hash >> 32 : hash);
}

static uint32_t
twin_key(uint32_t number, char *key)
{
	memset(key, 0x55, TWIN_BYTES);
	memcpy(key, &number, sizeof(number));
	return TWIN_BYTES;
}

/* Two keys with the same half of the hash; among 2^17 of them there are two such pairs. */
static void
find_twins(uint32_t which, uint32_t high)
{
	uint32_t   *seen = calloc(TWIN_SLOTS, 2 * sizeof(uint32_t));
	uint32_t   *found = twin[which][high];

	for (uint32_t i = 1; found[0] == 0; i++)
	{
		char		key[TWIN_BYTES];
		uint32_t	half = half_of(ds_hash_key(model_seed(which), key, twin_key(i, key)), high);
		uint32_t   *slot = &seen[2 * (half % TWIN_SLOTS)];

		if (slot[1] != 0 && slot[0] == half)
		{
			found[0] = slot[1];
			found[1] = i;
		}
		slot[0] = half;
		slot[1] = i;
	}
	free(seen);
}

uint64_t
model_seed(uint32_t which)
{
	return which % SEEDS == 0 ? 0 : UINT64_C(0x9e3779b97f4a7c15);
}

uint32_t
model_key(uint64_t seed, uint32_t number, char *key)
{
	static const uint16_t lengths[] = {
		8, 8, 4, 8, 16, 8, 11, 8, 0, 1, 8, 2, 3, 8, 5, 7, 9, 8, 12, 15, 17, 8, 24, 40, 53, 54, 55, 100, 200, 600, 4, 2048
	};
	uint64_t	random = number + 1;
	uint32_t	bytes = lengths[number % (sizeof(lengths) / sizeof(lengths[0]))];

	number %= MODEL_KEYS;
	if (number >= TWIN_FIRST)
	{
		uint32_t	which = seed != model_seed(0);
		uint32_t	high = number / 2 % 2;

		if (twin[which][high][0] == 0)
			find_twins(which, high);
		return twin_key(twin[which][high][number % 2], key);
	}
	for (uint32_t i = 0; i < bytes; i++)
		key[i] = (char) harness_random(&random);
	return bytes;
}

/* ---- the model ---- */

/* What is empty is not walked: this is done for each input. */
static void
map_clear(RefMap *map)
{
	if (map->entries > 0)
		ref_clear(map);
}

void
model_open(HashModel *m, uint32_t extent_shift, uint64_t seed)
{
	m->truncate_seq = 0;
	m->extent_shift = extent_shift;
	m->seed = seed;
}

void
model_close(HashModel *m)
{
	map_clear(&m->map);
	map_clear(&m->order);
}

static void
map_copy(RefMap *to, const RefMap *from)
{
	map_clear(to);
	for (uint32_t b = 0; b < REF_BUCKETS && to->entries < from->entries; b++)
		for (const RefEntry *e = from->bucket[b]; e; e = e->next)
			ref_put(to, e->bytes, e->key_bytes, e->bytes + e->key_bytes, e->value_bytes);
}

void
model_copy(HashModel *to, const HashModel *from)
{
	map_copy(&to->map, &from->map);
	map_copy(&to->order, &from->order);
	to->truncate_seq = from->truncate_seq;
	to->extent_shift = from->extent_shift;
	to->seed = from->seed;
}

const DsHashOp *
model_body(const NrOpHeader *op)
{
	return op->code == DS_HASH_TRUNCATE ? NULL : nr_op_payload(op);
}

static uint64_t
order_of(const HashModel *m, const void *key, size_t key_bytes)
{
	const RefEntry *e = ref_get(&m->order, key, key_bytes);
	uint64_t	seq = 0;

	if (e)
		memcpy(&seq, e->bytes + e->key_bytes, sizeof(seq));
	return seq;
}

/* hash.h: what an operation's payload is. */
static bool
lengths_agree(const NrOpHeader *op, uint64_t *longest)
{
	const DsHashOp *body = nr_op_payload(op);
	const char *rest = (const char *) (body + 1);
	uint32_t	expected;

	if (op->payload_bytes < sizeof(*body) ||
		op->payload_bytes != sizeof(*body) + (uint64_t) body->key_bytes + body->value_bytes)
		return false;
	*longest = body->value_bytes;
	switch (op->code)
	{
		case DS_HASH_PUT:
			return op->flags <= 2;
		case DS_HASH_DELETE:
			return op->flags == 0 && body->value_bytes == 0;
		case DS_HASH_SWAP:
			return op->flags == 0 && op->order_seq == 0;
		case DS_HASH_ADD:
			*longest = op->flags == DS_HASH_INT2 ? 2 : op->flags == DS_HASH_INT4 ? 4 : 8;
			return op->flags >= 1 && op->flags <= 4 && op->order_seq == 0 && body->value_bytes == 8;
		default:
			if ((op->flags != 0 && op->flags != DS_HASH_IF_ABSENT) || op->order_seq != 0 || body->value_bytes < 4)
				return false;
			memcpy(&expected, rest + body->key_bytes, 4);
			if (expected > body->value_bytes - 4 || (op->flags != 0 && expected != 0))
				return false;
			*longest = body->value_bytes - 4 - expected;
			if (expected > *longest)
				*longest = expected;
			return true;
	}
}

NrStatus
model_check(const HashModel *m, const NrOpHeader *op)
{
	const DsHashOp *body = nr_op_payload(op);
	uint64_t	longest;

	if (op->bytes != (sizeof(*op) + (uint64_t) op->payload_bytes + 7) / 8 * 8 || op->reserved != 0)
		return NR_BAD_OP;
	if (op->code == DS_HASH_TRUNCATE)
		return op->flags == 0 && op->payload_bytes == 0 ? NR_OK : NR_BAD_OP;
	if (op->code < DS_HASH_PUT || op->code > DS_HASH_ADD || !lengths_agree(op, &longest))
		return NR_BAD_OP;
	if (body->key_bytes > DS_HASH_KEY_MAX || body->key_bytes + longest > ds_hash_entry_max(m->extent_shift))
		return NR_TOO_LARGE;
	return body->hash == ds_hash_key(m->seed, body + 1, body->key_bytes) ? NR_OK : NR_BAD_OP;
}

static bool
truncate(HashModel *m, uint64_t seq)
{
	bool		any = m->map.entries > 0;

	if (seq == 0)
	{
		map_clear(&m->map);
		map_clear(&m->order);
		return any;
	}
	m->truncate_seq = seq;
	for (uint32_t b = 0; b < REF_BUCKETS && m->map.entries > 0; b++)
		for (RefEntry *e = m->map.bucket[b], *next; e; e = next)
		{
			next = e->next;
			if (order_of(m, e->bytes, e->key_bytes) <= seq)
				ref_delete(&m->map, e->bytes, e->key_bytes);
		}
	return any;
}

static uint64_t
sum_of(const void *data, size_t bytes)
{
	return bytes == 0 ? 0 : ds_hash_key(0, data, bytes);
}

HashAnswer
model_answer(NrStatus status, const NrResponse *resp)
{
	HashAnswer	a = {.status = status,.flag = resp->flag,.length = resp->length};

	if (resp->length <= resp->capacity)
		a.sum = sum_of(resp->data, resp->length);
	return a;
}

static HashAnswer
apply_update(HashModel *m, const NrOpHeader *op)
{
	static char data[DS_HASH_RESPONSE_MAX];
	NrResponse	resp = {.data = data,.capacity = sizeof(data)};
	NrStatus	status = ref_update(&m->map, op, &resp);

	return model_answer(status, &resp);
}

HashAnswer
model_apply(HashModel *m, const NrOpHeader *op)
{
	const DsHashOp *body = nr_op_payload(op);
	const char *key = (const char *) (body + 1);
	HashAnswer	a = {.status = model_check(m, op)};
	uint64_t	seq = op->order_seq;
	bool		there;

	/* too late: something newer has been here */
	if (a.status != NR_OK || (seq != 0 && seq < m->truncate_seq))
		return a;
	if (op->code == DS_HASH_TRUNCATE)
	{
		a.flag = truncate(m, seq);
		return a;
	}
	if (op->code >= DS_HASH_SWAP)
		return apply_update(m, op);
	if (seq != 0 && seq < order_of(m, key, body->key_bytes))
		return a;
	if (seq != 0)
		ref_put(&m->order, key, body->key_bytes, &seq, sizeof(seq));
	there = ref_get(&m->map, key, body->key_bytes) != NULL;
	if (op->code == DS_HASH_DELETE)
		a.flag = ref_delete(&m->map, key, body->key_bytes);
	else if (op->flags == 0 || there == (op->flags == DS_HASH_IF_PRESENT))
	{
		a.flag = op->flags == DS_HASH_IF_PRESENT || !there;
		ref_put(&m->map, key, body->key_bytes, key + body->key_bytes, body->value_bytes);
	}
	return a;
}

void
model_expect(HashAnswer is, HashAnswer must, const char *who)
{
	if (is.status != must.status || is.flag != must.flag || is.length != must.length || is.sum != must.sum)
		fz_fail(who);
}

void
model_look(const HashModel *m, const NrDispatch *dispatch, const NrCopy *copy, const NrOpHeader *op)
{
	static char out[1 << 17];
	const DsHashOp *body = op ? model_body(op) : NULL;
	DsHashStat	stat = {.code = DS_HASH_STAT};
	DsHashGet	get = {.code = DS_HASH_GET,.out = out,.capacity = sizeof(out)};
	const RefEntry *e;

	dispatch->dispatch(copy, &stat, NULL);
	if (stat.entries != m->map.entries || stat.key_bytes + stat.value_bytes != m->map.bytes)
		fz_fail("the number of entries, or of their bytes");
	if (body == NULL)
		return;
	get.key = body + 1;
	get.key_bytes = body->key_bytes;
	get.hash = ds_hash_key(m->seed, get.key, get.key_bytes);
	dispatch->dispatch(copy, &get, NULL);
	e = ref_get(&m->map, get.key, get.key_bytes);
	if (get.found != (e != NULL) || get.value_bytes != (e ? e->value_bytes : 0) ||
		(e && e->value_bytes > 0 && memcmp(out, e->bytes + e->key_bytes, e->value_bytes) != 0))
		fz_fail("what has just been written is not what is read");
}

/* ---- operations ---- */

static uint32_t
draw_length(const HashModel *m, uint32_t key_bytes, uint32_t flags)
{
	uint32_t	what = fz_take(1);
	uint32_t	most = (uint32_t) ds_hash_entry_max(m->extent_shift);
	uint32_t	longest = flags & MODEL_SHORT ? 1500 : most;
	uint32_t	bytes;

	if (what < 140)
		bytes = what % 80;
	else if (what < 170)
		bytes = 2u << what % 3;
	else if (what < 220)
		bytes = (what - 170) * 33;
	else if (what < 246)
		bytes = fz_below(m->extent_shift > 15 ? 65536 : 2u << m->extent_shift);
	else						/* about the limit */
		bytes = most - key_bytes + (what - 253);
	return flags & MODEL_SHORT && bytes > longest ? longest : bytes;
}

static const char *
draw_value(uint32_t bytes)
{
	uint32_t	what = fz_take(1);

	memset(value, (int) what, bytes);
	/* values of one byte over and over are too easy */
	for (uint32_t i = 0; what & 1 && i < bytes; i += 3)
		value[i] = (char) i;
	return value;
}

static int64_t
draw_number(DsHashNumber number)
{
	static const int64_t edge[] = {1, -1, INT16_MAX, INT32_MAX, INT64_MAX, INT16_MIN, INT32_MIN, INT64_MIN};
	static const double real[] = {0.5, -0.0, 1.7976931348623157e308, 1e-300};
	uint32_t	what = fz_take(1);
	int64_t		bits;

	if (what < 230 && number == DS_HASH_FLOAT8)
	{
		memcpy(&bits, &real[what % 4], sizeof(bits));
		return bits;
	}
	if (what < 230)
		return edge[what % 8];
	return (int64_t) ((uint64_t) fz_take(4) << 32 | fz_take(4));
}

/* "expected" is what is there, by preference. */
static size_t
draw_cas(const HashModel *m, void *op, uint64_t hash, const char *key, uint32_t key_bytes, uint32_t flags)
{
	static char other[1 << 17];
	const RefEntry *e = ref_get(&m->map, key, key_bytes);
	uint32_t	what = fz_take(1);
	uint32_t	expected;
	uint32_t	bytes = draw_length(m, key_bytes, flags);

	draw_value(bytes);
	if (what < 30)
		return ds_hash_op_cas(op, hash, key, key_bytes, NULL, 0, value, bytes);
	if (what < 200 && e)
	{
		expected = e->value_bytes - (what < 40 && e->value_bytes > 0);
		memcpy(other, e->bytes + e->key_bytes, expected);
		other[0] = (char) (other[0] ^ (what < 50));
		return ds_hash_op_cas(op, hash, key, key_bytes, other, expected, value, bytes);
	}
	expected = draw_length(m, key_bytes, flags);
	memset(other, what, expected);
	return ds_hash_op_cas(op, hash, key, key_bytes, other, expected, value, bytes);
}

size_t
model_draw(const HashModel *m, void *op, uint32_t flags)
{
	static char key[DS_HASH_KEY_MAX];
	/* more often than all others: some of each length, and those that are alike in half of their hash */
	static const uint8_t often[] = {0, 1, 2, 4, 6, 8, 11, 23, 31, TWIN_FIRST, TWIN_FIRST + 1, TWIN_FIRST + 2, TWIN_FIRST + 3};
	uint32_t	what = fz_take(1);
	uint32_t	number = fz_take(1);
	uint32_t	key_bytes = model_key(m->seed, number < 150 ? often[number % sizeof(often)] : number, key);
	uint64_t	hash = ds_hash_key(m->seed, key, key_bytes);
	uint32_t	bytes;
	int64_t		by;

	if (what < 60)
		return ds_hash_op_delete(op, hash, key, key_bytes);
	if (what < 64)
		return ds_hash_op_truncate(op);
	if (!(flags & MODEL_ORDERED) && what < 90)
	{
		by = draw_number((DsHashNumber) (1 + what % 4));
		return ds_hash_op_add(op, hash, key, key_bytes, (DsHashNumber) (1 + what % 4), &by);
	}
	if (!(flags & MODEL_ORDERED) && what < 110)
		return draw_cas(m, op, hash, key, key_bytes, flags);
	bytes = draw_length(m, key_bytes, flags);
	draw_value(bytes);
	if (!(flags & MODEL_ORDERED) && what < 130)
		return ds_hash_op_swap(op, hash, key, key_bytes, value, bytes);
	return ds_hash_op_put(op, hash, key, key_bytes, value, bytes, (uint16_t) (what < 160 ? what % 3 : 0));
}

size_t
model_draw_put(const HashModel *m, void *op, uint64_t key, uint32_t value_bytes)
{
	memset(value, (int) (key * 31 + 1), value_bytes);
	return ds_hash_op_put(op, ds_hash_key(m->seed, &key, sizeof(key)), &key, sizeof(key), value, value_bytes, 0);
}

size_t
model_draw_delete(const HashModel *m, void *op, uint64_t key)
{
	return ds_hash_op_delete(op, ds_hash_key(m->seed, &key, sizeof(key)), &key, sizeof(key));
}

NrOpHeader *
model_draw_raw(const HashModel *m)
{
	uint32_t	bytes = 40 + fz_below(48) * 8;
	uint8_t    *op = malloc(bytes);
	NrOpHeader *header = (NrOpHeader *) op;
	DsHashOp   *body = (DsHashOp *) (header + 1);
	uint32_t	mend = fz_take(1);

	for (uint32_t i = 0; i < bytes; i++)
		op[i] = (uint8_t) fz_take(1);
	header->bytes = bytes;
	header->order_seq = 0;
	/* most of them get past the first checks */
	if (mend >= 64)
		mend |= 31;
	if (mend & 1)
		header->code = (uint16_t) (header->code % 8);
	if (mend & 2)
		header->flags = (uint16_t) (header->flags % 5);
	if (mend & 4)
		header->reserved = 0;
	if (mend & 8)
		header->payload_bytes = bytes - 40 - (mend >> 5) % 8;
	if ((mend & 16) && bytes >= 40 + sizeof(*body))
	{
		uint32_t	room = header->payload_bytes - (uint32_t) sizeof(*body);
		uint32_t	expected;

		body->key_bytes = header->code == DS_HASH_ADD ? room - 8 : body->key_bytes % 64;
		body->value_bytes = room - body->key_bytes;
		if (sizeof(*body) + (uint64_t) body->key_bytes <= bytes - 40 && !fz_often(50))
			body->hash = ds_hash_key(m->seed, body + 1, body->key_bytes);
		/* the length of what a compare and swap expects: about all there is, or any */
		expected = fz_often(100) ? body->value_bytes - fz_below(9) : fz_below(100);
		if (header->code == DS_HASH_CAS && bytes >= 40 + sizeof(*body) + 68)
			memcpy((char *) (body + 1) + body->key_bytes, &expected, sizeof(expected));
	}
	return header;
}
