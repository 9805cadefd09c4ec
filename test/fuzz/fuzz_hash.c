/*
 * fuzz_hash.c
 *		ds_hash against the reference map, operation by operation.
 *
 * Two copies with other garbage and places take each operation.  After each, both are verified, their
 * checksums are compared, and counts and the key's value are looked up; everything is
 * compared now and then and at the end.  The input decides how much memory there is, from a root
 * that holds nothing else to more than is needed, and how it is granted: what the operation may
 * need, as the engine does, or too little.  What was promised (need, need_ops) must suffice.
 */
#include "ds/hash_root.h"
#include "hash_model.h"

#include <stdlib.h>

#define OPS_MAX		8

static CopyHarness copy[2];
static HashModel model;
static uint64_t horizon;
static bool starving;			/* grants are the input's, not what is needed */
static uint32_t in_use_empty;
static char ops[OPS_MAX * MODEL_OP_MAX];

/* ---- checks ---- */

static void
check_soon(const NrOpHeader *op)
{
	for (uint32_t c = 0; c < 2; c++)
	{
		const char *broken = copy[c].dispatch->verify(&copy[c].copy);

		if (broken)
			fz_fail(broken);
		model_look(&model, copy[c].dispatch, &copy[c].copy, op);
	}
	if (copy[0].dispatch->checksum(&copy[0].copy) != copy[1].dispatch->checksum(&copy[1].copy))
		fz_fail("checksums differ");
}

static void
check_all(void)
{
	for (uint32_t c = 0; c < 2; c++)
	{
		const char *broken = ref_compare(&model.map, &copy[c]);

		if (broken)
			fz_fail(broken);
	}
	check_soon(NULL);
}

/* ---- writes ---- */

static uint32_t
need_of(const void *op, uint64_t bytes, uint32_t n, bool ordered)
{
	return copy[0].dispatch->need_ops(&copy[0].config, op, bytes, n, ordered).extents;
}

static void
grant_both(uint32_t n)
{
	harness_grant(&copy[0], n);
	harness_grant(&copy[1], n);
}

/* Apply it to both; only the first copy has somebody who waits for an answer. */
static HashAnswer
apply_both(const NrOpHeader *op, uint32_t need)
{
	static char data[DS_HASH_RESPONSE_MAX];
	HashAnswer	answer = {0};

	for (uint32_t c = 0; c < 2; c++)
	{
		NrResponse	resp = {.data = data,.capacity = c == 0 ? sizeof(data) : 0};
		uint32_t	before = harness_in_use(&copy[c]);
		bool		enough = copy[c].copy.table->free_count >= need;
		NrStatus	status;

		if (op->payload_bytes <= op->bytes - sizeof(*op))
			copy[c].dispatch->prefetch(&copy[c].copy, op);
		status = copy[c].dispatch->dispatch_mut(&copy[c].copy, op, &resp);
		if (status == NR_NO_SPACE && enough)
			fz_fail("no space, with all that may be needed");
		if (harness_in_use(&copy[c]) > before + need)
			fz_fail("more memory was used than may be needed");
		if (c == 0)
			answer = model_answer(status, &resp);
		else if (status != answer.status || resp.flag != answer.flag || resp.length != answer.length)
			fz_fail("the copies answer differently");
	}
	return answer;
}

static void
apply_one(const NrOpHeader *op)
{
	uint32_t	need = need_of(op, op->bytes, 1, op->order_seq != 0);
	uint32_t	counted = copy[0].dispatch->need(&copy[0].config, 1, op->bytes).extents;
	HashAnswer	answer;

	fz_step();
	if (op->order_seq == 0 && counted < need && counted < copy[0].config.extents_max - 1)
		fz_fail("need says less than need_ops");
	if (starving)
		grant_both(fz_often(30) ? fz_below(3) : 0);
	else if (copy[0].copy.table->free_count < need)
		grant_both(need - copy[0].copy.table->free_count);
	answer = apply_both(op, need);
	if (answer.status == NR_NO_SPACE && (answer.flag || answer.length != 0))
		fz_fail("no space, and yet an answer");
	if (answer.status != NR_NO_SPACE)
		model_expect(answer, model_apply(&model, op), "the answer is not the reference's");
	else if (model_check(&model, op) != NR_OK)
		fz_fail("no space for what is no operation");
}

/* None, or one that may be in flight; announces a horizon now and then, which may lie above this number. */
static uint64_t
draw_order(void)
{
	uint32_t	what = fz_take(1);
	uint64_t	seq = horizon + what % 16;

	if (what < 100)
		return 0;
	if (what > 200)
	{
		horizon += (what - 200) % 24;
		for (uint32_t c = 0; c < 2; c++)
			copy[c].dispatch->ordered(&copy[c].copy, horizon);
	}
	return seq;
}

static void
write_one(void)
{
	uint64_t	seq = draw_order();

	model_draw(&model, ops, seq != 0 ? MODEL_ORDERED : 0);
	((NrOpHeader *) ops)->order_seq = seq;
	apply_one((NrOpHeader *) ops);
}

static void
write_raw(void)
{
	uint64_t	seq = draw_order();
	NrOpHeader *op = model_draw_raw(&model);

	op->order_seq = seq;
	apply_one(op);
	check_soon(NULL);
	free(op);
}

/* Of one length, or of all that lines hold. */
static uint32_t
length_of(uint32_t what, uint64_t key)
{
	switch (what % 4)
	{
		case 0:
			return 8;
		case 1:
			return what % 60;
		case 2:
			return (uint32_t) (key * 37 + what) % 52;
		default:
			return (uint32_t) (key * 37 + what) % 118;
	}
}

/* Many puts or deletes of keys in a row: a table that grows and shrinks. */
static void
write_many(void)
{
	uint32_t	what = fz_take(1);
	uint64_t	from = fz_take(1) * 16;
	uint64_t	n = 1 + fz_take(1);
	uint64_t	seq = what & 128 ? draw_order() : 0;

	for (uint64_t key = from; key < from + n; key++)
	{
		if (what & 64)
			model_draw_delete(&model, ops, key);
		else
			model_draw_put(&model, ops, key, length_of(what, key));
		((NrOpHeader *) ops)->order_seq = seq;
		apply_one((NrOpHeader *) ops);
		if (key % 32 == 0)
			check_soon((NrOpHeader *) ops);
	}
}

/* A few operations of any kind, or many puts. */
static size_t
draw_batch(uint64_t seq, uint32_t *n)
{
	bool		many = fz_often(100);
	uint32_t	what = fz_take(1);
	uint64_t	from = what * 16;
	size_t		bytes = 0;

	*n = many ? 1 + fz_take(1) : 1 + fz_below(OPS_MAX);
	for (uint32_t i = 0; i < *n; i++)
	{
		NrOpHeader *op = (NrOpHeader *) (ops + bytes);

		bytes += many ? model_draw_put(&model, op, from + i, length_of(what, from + i)) :
			model_draw(&model, op, seq != 0 ? MODEL_ORDERED : 0);
		op->order_seq = seq;
	}
	return bytes;
}

/* A prepared batch: no extent is free but exactly what need_ops has asked for, and nothing may fail. */
static void
write_batch(void)
{
	uint64_t	seq = draw_order();
	uint32_t	n;
	size_t		bytes = draw_batch(seq, &n);
	uint32_t	need = need_of(ops, bytes, n, seq != 0);
	char	   *at = ops;
	uint32_t	before;

	harness_reclaim(&copy[0]);
	harness_reclaim(&copy[1]);
	if (need > copy[0].config.extents_max - copy[0].copy.table->mapped_count)
		return;
	grant_both(need);
	before = harness_in_use(&copy[0]);
	for (uint32_t i = 0; i < n; i++)
	{
		NrOpHeader *op = (NrOpHeader *) at;
		HashAnswer	answer;

		fz_step();
		answer = apply_both(op, need);
		if (answer.status == NR_NO_SPACE)
			fz_fail("a batch has no space, with all that it may need");
		if (harness_in_use(&copy[0]) > before + need)
			fz_fail("a batch has used more memory than it may need");
		model_expect(answer, model_apply(&model, op), "the answer in a batch is not the reference's");
		if (n <= OPS_MAX || i % 32 == 0)
			check_soon(op);
		at += op->bytes;
	}
}

#define UNKNOWN_NEED	(1u << 30)

/* Apply what is in "ops"; grant one extent at a time, and only when it cannot do without, or none. */
static void
apply_tight(uint64_t order_seq, bool grant)
{
	NrOpHeader *op = (NrOpHeader *) ops;
	HashAnswer	answer;

	fz_step();
	op->order_seq = order_seq;
	while ((answer = apply_both(op, UNKNOWN_NEED)).status == NR_NO_SPACE && grant &&
		   copy[0].copy.table->mapped_count < copy[0].config.extents_max)
		grant_both(1);
	if (answer.status != NR_NO_SPACE)
		model_expect(answer, model_apply(&model, op), "the answer is not the reference's");
}

static void
put_tight(uint64_t key, uint32_t bytes)
{
	model_draw_put(&model, ops, key, bytes);
	apply_tight(0, true);
}

#define FILL_FIRST		(UINT64_C(1) << 30)
#define FILL_MAX		1000
#define MISFITS_MAX		160

/* What becomes of lines that were collected for a split. */
static void
after_misfits(const uint64_t *key, uint32_t n, uint32_t filled)
{
	switch (fz_take(1) % 4)
	{
		case 0:					/* there is less and less to split */
			for (uint32_t i = 0; i < n + filled; i++)
			{
				model_draw_delete(&model, ops, i < n ? key[i] : FILL_FIRST + i - n);
				apply_tight(0, false);
			}
			break;
		case 1:					/* memory ends */
			for (uint32_t i = 0; i < 90; i++)
			{
				model_draw_put(&model, ops, (1u << 27) + i, i % 2 == 0 ? 100 : 40);
				apply_tight(0, false);
			}
			break;
		case 2:					/* an ordered truncate spares one entry, which goes later and leaves its note */
			horizon += 8;
			model_draw_put(&model, ops, key[0], 13);
			apply_tight(horizon + 2, true);
			ds_hash_op_truncate(ops);
			apply_tight(horizon, false);
			model_draw_delete(&model, ops, key[0]);
			apply_tight(horizon + 3, false);
			break;
		default:
			break;
	}
}

/*
 * A split that lacks lines: a table is filled until it cannot split for want of an extent, then the bucket that is
 * to be split next gets entries of two lengths, which fill lines together and do not when they are told apart.  When
 * extents come, several writes have to collect what the split needs.  (test_hash_need has it too.)
 */
static void
write_misfits(void)
{
	const DsHashRoot *root = ds_hash_root(&copy[0].copy);
	uint32_t	what = fz_take(1);
	uint32_t	n = MISFITS_MAX - fz_take(1) % MISFITS_MAX / 2;
	uint32_t	filled = 0;
	uint32_t	buckets;
	uint32_t	mask;
	uint64_t	next[2] = {1u << 28, 1u << 28};
	uint64_t	key[MISFITS_MAX];

	/* elsewhere it takes too many entries */
	if (root->line_shift > 6 || copy[0].config.extent_shift > 14)
		return;
	harness_reclaim(&copy[0]);
	harness_reclaim(&copy[1]);
	for (; filled < FILL_MAX && root->inline_bytes * 4 < root->n_buckets * (uint64_t) root->line_capacity * 3; filled++)
		put_tight(FILL_FIRST + filled, 8);
	buckets = root->n_buckets;
	mask = UINT32_MAX >> __builtin_clz(buckets);
	for (uint32_t i = 0; i < n; i++)
	{
		uint32_t	moves = i % 2;

		while ((ds_hash_key(model.seed, &next[moves], 8) & mask) != (moves ? buckets : buckets & mask >> 1))
			next[moves]++;
		key[i] = next[moves]++;
		put_tight(key[i], moves ? 13 : 15);
	}
	/* blocks of the heap are free */
	for (uint32_t i = 0; i <= what % 4; i++)
	{
		harness_reclaim(&copy[0]);
		harness_reclaim(&copy[1]);
		put_tight((1u << 29) + fz_take(1), 100);
	}
	check_all();
	grant_both(1 + what / 4 % 8);
	for (uint32_t i = 0; i < what / 32; i++)
	{
		put_tight(key[n > 1], 13);
		check_soon((NrOpHeader *) ops);
	}
	after_misfits(key, n, filled);
}

/* ---- reads besides those of the checks ---- */

#define OVERRUN			64

/* A buffer that holds the values of so many keys to the byte; or about that, or any other one. */
static size_t
capacity_for(const void *const *key, const uint32_t *key_bytes, uint32_t keys, uint32_t how)
{
	size_t		bytes = 0;

	for (uint32_t i = 0; i < keys; i++)
	{
		const RefEntry *e = ref_get(&model.map, key[i], key_bytes[i]);

		bytes += e ? e->value_bytes : 0;
	}
	if (how % 4 == 3)
		return how * 4;
	return how % 4 == 0 && bytes > 0 ? bytes - 1 : bytes + (how % 4 == 1);
}

/* Present and missing keys, and a buffer that may be too small for their values. */
static void
read_many(void)
{
	static char keys[OPS_MAX][DS_HASH_KEY_MAX];
	static char out[(1 << 17) + OVERRUN];
	const void *key[OPS_MAX];
	uint32_t	key_bytes[OPS_MAX];
	uint64_t	hash[OPS_MAX];
	size_t		at[OPS_MAX];
	int64_t		length[OPS_MAX];
	DsHashGetMany get = {.code = DS_HASH_GET_MANY,.n = fz_below(OPS_MAX + 1),.key = key,.key_bytes = key_bytes,
	.hash = hash,.out = out,.capacity = sizeof(out) - OVERRUN,.at = at,.length = length};
	size_t		bytes = 0;
	uint32_t	short_of = fz_take(1);

	for (uint32_t i = 0; i < get.n; i++)
	{
		key_bytes[i] = model_key(model.seed, fz_take(1), keys[i]);
		key[i] = keys[i];
		hash[i] = ds_hash_key(model.seed, key[i], key_bytes[i]);
	}
	if (short_of < 200 && get.n > 0)
		get.capacity = capacity_for(key, key_bytes, 1 + short_of % get.n, short_of / 8);
	memset(out + get.capacity, 0x7e, OVERRUN);
	copy[0].dispatch->dispatch(&copy[0].copy, &get, NULL);
	for (uint32_t i = 0; i < get.n; i++)
	{
		const RefEntry *e = ref_get(&model.map, key[i], key_bytes[i]);

		if (length[i] != (e ? (int64_t) e->value_bytes : -1))
			fz_fail("get_many: a length");
		bytes += e ? e->value_bytes : 0;
		if (e && bytes <= get.capacity && e->value_bytes > 0 &&
			memcmp(out + at[i], e->bytes + e->key_bytes, e->value_bytes) != 0)
			fz_fail("get_many: a value");
	}
	if (get.needed_bytes != bytes)
		fz_fail("get_many: bytes needed");
	if (!fz_all(out + get.capacity, OVERRUN, 0x7e))
		fz_fail("get_many: more is written than fits");
}

/* Buffers that are too small are not touched, and what is no read is refused. */
static void
read_little(void)
{
	static char key[DS_HASH_KEY_MAX];
	char		out[16];
	uint32_t	capacity = fz_below(sizeof(out));
	uint32_t	no_code = DS_HASH_STAT + 1 + fz_below(9);
	DsHashGet	get = {.code = DS_HASH_GET,.key = key,.out = out,.capacity = capacity};
	DsHashScan	scan = {.code = DS_HASH_SCAN,.out = out,.capacity = capacity};

	memset(out, 0x7e, sizeof(out));
	get.key_bytes = model_key(model.seed, fz_take(1), key);
	get.hash = ds_hash_key(model.seed, key, get.key_bytes);
	copy[1].dispatch->dispatch(&copy[1].copy, &get, NULL);
	if (get.found && get.value_bytes > capacity && out[0] != 0x7e)
		fz_fail("a value is written that does not fit");
	memset(out, 0x7e, sizeof(out));
	copy[1].dispatch->dispatch(&copy[1].copy, &scan, NULL);
	for (uint32_t i = 0; i < sizeof(out); i++)
		if (scan.needed_bytes > capacity && out[i] != 0x7e)
			fz_fail("a scan is written that does not fit");
	if (copy[0].dispatch->dispatch(&copy[0].copy, &no_code, NULL) != NR_BAD_OP)
		fz_fail("a read that there is not");
}

/* ---- an input ---- */

static void
step(void)
{
	uint32_t	what = fz_take(1);

	if (what < 150)
	{
		write_one();
		check_soon((NrOpHeader *) ops);
		return;
	}
	if (what < 170)
		write_raw();
	else if (what < 200)
		write_batch();
	else if (what < 220)
		write_many();
	else if (what < 230)
		read_many();
	else if (what < 235)
		read_little();
	else if (what < 238)
		write_misfits();
	else if (what < 245)
	{
		uint32_t	n = fz_below(4);

		harness_release(&copy[0], n);
		harness_release(&copy[1], n);
	}
	else
		check_all();
	check_soon(NULL);
}

/* Does the root extent hold all that must be in it? */
static bool
fits(const NrCopyConfig *config)
{
	return nr_extent_table_bytes(config->extents_max) + ds_hash_dispatch.size(config) <=
		(size_t) 1 << config->extent_shift &&
		ds_hash_dispatch.init_extents(config) < config->extents_max;
}

/* As many extents as the root can name, or a few less: little or nothing is left in it for the table. */
static uint32_t
most_extents(NrCopyConfig config, uint32_t less)
{
	config.extents_max = 1;
	while (fits(&config))
		config.extents_max++;
	return config.extents_max - 1 - less;
}

static void
close_copies(void)
{
	ds_hash_op_truncate(ops);
	for (uint32_t c = 0; c < 2; c++)
	{
		NrResponse	resp = {0};

		if (copy[c].dispatch->dispatch_mut(&copy[c].copy, (NrOpHeader *) ops, &resp) != NR_OK)
			fz_fail("the table cannot be emptied");
		if (harness_in_use(&copy[c]) != in_use_empty)
			fz_fail("an extent is lost");
		harness_free(&copy[c]);
	}
	model_close(&model);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t extents[] = {1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 48, 64, 100, 0};
	NrCopyConfig config = {.arg_bytes = sizeof(DsHashArg)};
	DsHashArg	arg = {0};
	uint32_t	shape;

	fz_begin(data, size);
	shape = fz_take(1);
	config.extents_max = extents[shape % 16];
	config.extent_shift = 12 + fz_below(config.extents_max == 0 ? 1 : 5);
	starving = (shape & 16) != 0;
	arg.line_bytes = 64u << fz_below(4);	/* the last is not one of those that there are */
	arg.seed = model_seed(shape >> 5);
	memcpy(config.arg, &arg, sizeof(arg));
	if (config.extents_max == 0)
		config.extents_max = most_extents(config, fz_below(8));
	if (!fits(&config))
		return 0;
	if (ds_hash_dispatch.need(&config, 0, 0).extents != 0)
		fz_fail("nothing needs something");
	horizon = 1;
	model_open(&model, config.extent_shift, arg.seed);
	for (uint32_t c = 0; c < 2; c++)
		harness_make(&copy[c], &ds_hash_dispatch, &config, 0, c + 1);
	in_use_empty = harness_in_use(&copy[0]);
	while (fz_left() > 0)
		step();
	check_all();
	close_copies();
	return 0;
}

#ifndef NR_FUZZER
int
main(int argc, char **argv)
{
	return fz_main("fuzz_hash", 1, argc, argv);
}
#endif
