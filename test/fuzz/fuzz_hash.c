/*
 * fuzz_hash.c
 *		ds_hash against the reference map, and against raw bytes as operations.
 *
 * libFuzzer: clang -DNR_LIBFUZZER -fsanitize=fuzzer,address,undefined, with
 * src/ds/ (all .c), test/unit/copy_harness.c and copy_reference.c.  Without
 * NR_LIBFUZZER: fuzz_hash [inputs [first seed]] runs seeded random inputs.
 *
 * Two copies with other garbage and places take each operation, so that a
 * divergence is found as well as a wrong answer.  Half of the puts and deletes have
 * order numbers, in any order from the horizon on.
 */
#include "copy_harness.h"
#include "copy_reference.h"

#include <stdio.h>
#include <stdlib.h>

#define OP_BYTES_MAX 8192

typedef struct Input
{
	const uint8_t *at;
	size_t		left;
} Input;

static RefMap ref;
static RefMap order;			/* key -> highest order number */
static uint64_t truncate_seq;
static uint64_t horizon;
static CopyHarness copy[2];

static void
fail(const char *what)
{
	fprintf(stderr, "fuzz_hash: %s\n", what);
	abort();
}

static uint32_t
take(Input *in, uint32_t bytes)
{
	uint32_t	v = 0;

	while (bytes-- > 0 && in->left > 0)
	{
		v = v << 8 | *in->at++;
		in->left--;
	}
	return v;
}

static char answer[DS_HASH_RESPONSE_MAX];
static NrResponse answered;

/* Only the first copy has somebody who waits for an answer. */
static NrStatus
apply_both(const void *op, bool *flag)
{
	NrResponse	resp[2] = {{.data = answer, .capacity = sizeof(answer)}, {0}};
	NrStatus	status = harness_apply(&copy[0], op, &resp[0]);

	if (harness_apply(&copy[1], op, &resp[1]) != status || resp[0].flag != resp[1].flag ||
		resp[0].length != resp[1].length)
		fail("copies answer differently");
	answered = resp[0];
	*flag = resp[0].flag;
	return status;
}

/* None, or one that may be in flight. */
static uint64_t
make_order(Input *in)
{
	uint32_t	what = take(in, 1);

	if (what < 128)
		return 0;
	if (what > 250)
	{
		horizon += what - 250;
		copy[0].dispatch->ordered(&copy[0].copy, horizon);
		copy[1].dispatch->ordered(&copy[1].copy, horizon);
	}
	return horizon + what % 16;
}

static uint64_t
order_of(const void *key, size_t key_bytes)
{
	const RefEntry *e = ref_get(&order, key, key_bytes);
	uint64_t	seq = 0;

	if (e)
		memcpy(&seq, e->bytes + e->key_bytes, sizeof(seq));
	return seq;
}

/* Does a write with this number come too late? */
static bool
outdated(const void *key, size_t key_bytes, uint64_t seq)
{
	return seq != 0 && (seq < truncate_seq || seq < order_of(key, key_bytes));
}

static void
keep_order(const void *key, size_t key_bytes, uint64_t seq)
{
	if (seq != 0)
		ref_put(&order, key, key_bytes, &seq, sizeof(seq));
}

static void
ref_truncate(uint64_t seq)
{
	if (seq == 0)
	{
		ref_clear(&ref);
		ref_clear(&order);
		return;
	}
	if (seq < truncate_seq)
		return;
	truncate_seq = seq;
	for (uint32_t b = 0; b < REF_BUCKETS; b++)
		for (RefEntry *e = ref.bucket[b], *next; e; e = next)
		{
			next = e->next;
			if (order_of(e->bytes, e->key_bytes) <= seq)
				ref_delete(&ref, e->bytes, e->key_bytes);
		}
}

/* Keys from a small space and of all lengths; which bytes they have follows from their number. */
static size_t
make_key(Input *in, char *key)
{
	uint64_t	seed = take(in, 1);
	size_t		bytes = take(in, 1);

	if (bytes > 250)
		bytes = (bytes - 250) * 500 > DS_HASH_KEY_MAX ? DS_HASH_KEY_MAX : (bytes - 250) * 500;
	else
		bytes %= 20;
	for (size_t i = 0; i < bytes; i++)
		key[i] = (char) harness_random(&seed);
	return bytes;
}

static void
put(Input *in, void *op, uint64_t seed)
{
	static char key[DS_HASH_KEY_MAX];
	static char value[OP_BYTES_MAX];
	size_t		key_bytes = make_key(in, key);
	size_t		value_bytes = take(in, 2);
	uint16_t	flags = (uint16_t) (take(in, 1) % 8);
	uint64_t	seq = make_order(in);
	bool		present = ref_get(&ref, key, key_bytes) != NULL;
	bool		flag;
	bool		expect;
	NrStatus	status;

	if (flags > 2)
		flags = 0;
	value_bytes = value_bytes > 0xf000 ? value_bytes % 5000 : value_bytes % 70;
	memset(value, (int) take(in, 1), value_bytes);
	ds_hash_op_put(op, ds_hash_key(seed, key, key_bytes), key, key_bytes, value, value_bytes, flags);
	((NrOpHeader *) op)->order_seq = seq;
	status = apply_both(op, &flag);
	if (key_bytes + value_bytes > ds_hash_entry_max(copy[0].config.extent_shift))
	{
		if (status != NR_TOO_LARGE)
			fail("too large, and taken");
		return;
	}
	if (status == NR_NO_SPACE)
		return;
	expect = flags == DS_HASH_IF_PRESENT ? present : !present;
	if (outdated(key, key_bytes, seq))
	{
		if (status != NR_OK || flag)
			fail("an outdated put");
		return;
	}
	if (status != NR_OK || flag != expect)
		fail("put");
	keep_order(key, key_bytes, seq);
	if (flags == 0 || flag)
		ref_put(&ref, key, key_bytes, value, value_bytes);
}

static void
delete(Input *in, void *op, uint64_t seed)
{
	static char key[DS_HASH_KEY_MAX];
	size_t		key_bytes = make_key(in, key);
	uint64_t	seq = make_order(in);
	bool		flag;
	NrStatus	status;

	ds_hash_op_delete(op, ds_hash_key(seed, key, key_bytes), key, key_bytes);
	((NrOpHeader *) op)->order_seq = seq;
	status = apply_both(op, &flag);
	if (status == NR_NO_SPACE && seq != 0)
		return;
	if (status != NR_OK || flag != (!outdated(key, key_bytes, seq) && ref_delete(&ref, key, key_bytes)))
		fail("delete");
	if (!outdated(key, key_bytes, seq))
		keep_order(key, key_bytes, seq);
}

/* The answer to a swap, compare and swap, or add that was taken must be the reference's. */
static void
check_update(const NrOpHeader *op, NrStatus status)
{
	static char expect[DS_HASH_RESPONSE_MAX];
	NrResponse	resp = {.data = expect,.capacity = sizeof(expect)};

	if (status == NR_NO_SPACE)
		return;
	if (ref_update(&ref, op, &resp) != status || resp.flag != answered.flag || resp.length != answered.length ||
		memcmp(answer, expect, resp.length) != 0)
		fail("update");
}

/* Values of 2, 4 and 8 bytes are more frequent: they may be numbers. */
static void
update(Input *in, void *op, uint64_t seed)
{
	static char key[DS_HASH_KEY_MAX];
	static char value[OP_BYTES_MAX];
	size_t		key_bytes = make_key(in, key);
	uint64_t	hash = ds_hash_key(seed, key, key_bytes);
	const RefEntry *e = ref_get(&ref, key, key_bytes);
	size_t		value_bytes = take(in, 2);
	size_t		longest;
	uint32_t	what = take(in, 1);
	NrStatus	status;
	int64_t		by = (int64_t) ((uint64_t) take(in, 4) << (what & 63) ^ take(in, 4));
	bool		flag;

	value_bytes = value_bytes > 0xf000 ? value_bytes % 1500 :
		value_bytes > 0x8000 ? (size_t) 2 << value_bytes % 3 : value_bytes % 70;
	memset(value, (int) by, value_bytes);
	longest = value_bytes;
	if (what < 80)
		ds_hash_op_swap(op, hash, key, key_bytes, value, value_bytes);
	else if (what < 100)
		ds_hash_op_cas(op, hash, key, key_bytes, NULL, 0, value, value_bytes);
	else if (what < 160 && e)
		ds_hash_op_cas(op, hash, key, key_bytes, e->bytes + e->key_bytes, e->value_bytes, value, value_bytes);
	else if (what < 170)
	{
		ds_hash_op_cas(op, hash, key, key_bytes, value, value_bytes, key, key_bytes);
		longest = key_bytes > value_bytes ? key_bytes : value_bytes;
	}
	else
	{
		longest = 8;
		ds_hash_op_add(op, hash, key, key_bytes, (DsHashNumber) (1 + what % 4), &by);
	}
	status = apply_both(op, &flag);
	if ((status == NR_TOO_LARGE) != (key_bytes + longest > ds_hash_entry_max(copy[0].config.extent_shift)))
		fail("the limit of an update");
	if (status != NR_TOO_LARGE)
		check_update(op, status);
}

/* Bytes of the input as an operation, exactly as many as it says it has. */
static void
raw(Input *in, uint64_t seed)
{
	uint32_t	bytes = 40 + take(in, 1) % 64 * 8;
	uint8_t    *op = malloc(bytes);
	NrOpHeader *header = (NrOpHeader *) op;
	DsHashOp   *body = (DsHashOp *) (header + 1);
	uint32_t	mend = take(in, 1);
	bool		flag;
	NrStatus	status;

	for (uint32_t i = 0; i < bytes; i++)
		op[i] = (uint8_t) take(in, 1);
	header->bytes = bytes;
	header->order_seq = make_order(in);
	/* mend some fields, or hardly any input would get past the first check */
	if (mend & 1)
		header->code = (uint16_t) (header->code % 8);
	if (mend & 2)
		header->flags = (uint16_t) (header->flags % 5);
	if (mend & 4)
		header->reserved = 0;
	if ((mend & 1) && header->code >= DS_HASH_SWAP)
		header->order_seq = mend & 32 ? header->order_seq : 0;
	if (mend & 8)
		header->payload_bytes = bytes - 40 - (mend >> 5) % 8;
	if ((mend & 16) && bytes >= 40 + sizeof(*body))
	{
		body->key_bytes = header->code == DS_HASH_ADD ? header->payload_bytes - (uint32_t) sizeof(*body) - 8 :
			body->key_bytes % 64;
		body->value_bytes = header->payload_bytes - (uint32_t) sizeof(*body) - body->key_bytes;
		if (sizeof(*body) + (uint64_t) body->key_bytes <= bytes - 40)
			body->hash = ds_hash_key(seed, body + 1, body->key_bytes);
	}
	if ((mend & 16) && header->code == DS_HASH_CAS && bytes >= 40 + sizeof(*body) + 68)
	{
		/* the length of what a compare and swap expects */
		uint32_t	expected = take(in, 1) % 100;

		memcpy((char *) (body + 1) + body->key_bytes, &expected, sizeof(expected));
	}
	status = apply_both(op, &flag);
	if (header->code >= DS_HASH_SWAP)
	{
		if (status == NR_OK || status == NR_OUT_OF_RANGE)
			check_update(header, status);
		if (status == NR_OK && header->order_seq != 0)
			fail("an update with an order number");
	}
	else if (status == NR_OK && header->code == DS_HASH_TRUNCATE)
		ref_truncate(header->order_seq);
	else if (status == NR_OK && !outdated(body + 1, body->key_bytes, header->order_seq))
	{
		keep_order(body + 1, body->key_bytes, header->order_seq);
		if (header->code == DS_HASH_DELETE)
			ref_delete(&ref, body + 1, body->key_bytes);
		else if (header->flags == 0 || flag)
			ref_put(&ref, body + 1, body->key_bytes, (char *) (body + 1) + body->key_bytes, body->value_bytes);
	}
	free(op);
}

static void
check(void)
{
	const char *broken = copy[0].dispatch->verify(&copy[0].copy);

	if (!broken)
		broken = ref_compare(&ref, &copy[0]);
	if (!broken && copy[0].dispatch->checksum(&copy[0].copy) != copy[1].dispatch->checksum(&copy[1].copy))
		broken = "checksums differ";
	if (broken)
		fail(broken);
}

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint64_t op[(OP_BYTES_MAX + DS_HASH_KEY_MAX) / 8 + 16];
	Input		in = {data, size};
	uint32_t	shape = take(&in, 1);
	uint32_t	extents = 2 + shape / 16 * 8;
	uint64_t	seed = take(&in, 1);

	horizon = 1;
	truncate_seq = 0;
	for (int i = 0; i < 2; i++)
		harness_make_hash(&copy[i], 12, extents, 64u << shape % 3, seed, 1 + (uint64_t) i);
	while (in.left > 0)
	{
		uint32_t	what = take(&in, 1);
		bool		flag;

		if (what < 100)
			put(&in, op, seed);
		else if (what < 160)
			update(&in, op, seed);
		else if (what < 225)
			delete(&in, op, seed);
		else if (what < 250)
			raw(&in, seed);
		else if (what < 253)
		{
			harness_reclaim(&copy[0]);
			harness_reclaim(&copy[1]);
		}
		else if (what < 254)
			check();
		else if (what < 255 && (in.left & 7) == 0)
		{
			uint64_t	seq = make_order(&in);
			bool		expect = ref.entries > 0 && (seq == 0 || seq >= truncate_seq);

			ds_hash_op_truncate(op);
			((NrOpHeader *) op)->order_seq = seq;
			if (apply_both(op, &flag) != NR_OK || flag != expect)
				fail("truncate");
			ref_truncate(seq);
		}
	}
	check();
	for (int i = 0; i < 2; i++)
		harness_free(&copy[i]);
	ref_clear(&ref);
	ref_clear(&order);
	return 0;
}

#ifndef NR_LIBFUZZER
int
main(int argc, char **argv)
{
	uint64_t	inputs = argc > 1 ? strtoull(argv[1], NULL, 10) : 300;
	uint64_t	first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;

	for (uint64_t i = first; i < first + inputs; i++)
	{
		static uint8_t data[1 << 15];
		uint64_t	random = i;
		size_t		size = harness_random(&random) % sizeof(data);

		for (size_t b = 0; b < size; b++)
			data[b] = (uint8_t) harness_random(&random);
		LLVMFuzzerTestOneInput(data, size);
	}
	printf("fuzz_hash: %llu inputs from seed %llu, all well\n",
		   (unsigned long long) inputs, (unsigned long long) first);
	return 0;
}
#endif
