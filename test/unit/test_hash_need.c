/*
 * test_hash_need.c
 *		ds_hash: a batch that gets the extents that need_ops asks for is never
 *		refused, whatever happened to the table before.
 *
 * Before each batch the table is put into a state that is hard on it: written
 * without memory until nothing is taken any more, emptied, flooded with keys of
 * one bucket, full of notes.  NR_TEST_LONG=n multiplies the configurations.
 */
#include "copy_harness.h"
#include "ds/hash_line.h"
#include "tap.h"

#include <stdlib.h>

#define SEED		42
#define FLOOD_KEYS	3000
#define OPS_BYTES	(4u << 20)

static CopyHarness h;
static uint64_t random_state;
static uint64_t flood[FLOOD_KEYS];
static char *ops;

static uint64_t
below(uint64_t n)
{
	return harness_random(&random_state) % n;
}

/* How one configuration writes. */
typedef struct Load
{
	uint32_t	extent_shift;
	uint32_t	extents;
	uint32_t	line_bytes;
	bool		flooded;
	bool		ordered;
	uint32_t	keys;
	uint32_t	value_max;
	uint32_t	value_big;		/* 1 value in 50 is as long as this */
	uint64_t	order_seq;
	uint64_t	horizon;
	/* what happened */
	uint32_t	batches;
	uint32_t	over_quota;
	uint32_t	spare_seen;
	uint32_t	over_budget;	/* single writes that added more buckets or lines than need_ops reckons with */
	double		closest;		/* most used of what was asked for, 0 to 1, of batches that asked for 4 at least */
} Load;

/* A swap, compare and swap (which hardly ever does anything) or add. */
static size_t
make_update(char *to, uint64_t hash, const char *key, size_t key_bytes, const char *value, size_t value_bytes)
{
	int64_t		by = 1;

	switch (below(4))
	{
		case 0:
			return ds_hash_op_add(to, hash, key, key_bytes, (DsHashNumber) (1 + below(4)), &by);
		case 1:
			return ds_hash_op_cas(to, hash, key, key_bytes, NULL, 0, value, value_bytes);
		default:
			return ds_hash_op_swap(to, hash, key, key_bytes, value, value_bytes);
	}
}

/* One operation at "to": mostly puts; its bytes. */
static size_t
make_op(const Load *load, char *to, uint32_t deletes)
{
	static char value[1 << 17];
	char		key[64];
	uint64_t	number = below(load->keys);
	uint64_t	random = number;
	size_t		key_bytes = load->flooded || number % 3 > 0 ? 8 : 8 + number % 50;
	size_t		value_bytes;
	uint64_t	hash;

	if (load->flooded)
		number = flood[number % FLOOD_KEYS];
	memcpy(key, &number, 8);
	for (size_t i = 8; i < key_bytes; i++)
		key[i] = (char) harness_random(&random);
	hash = ds_hash_key(SEED, key, key_bytes);
	if (below(100) < deletes)
		return below(400) == 0 ? ds_hash_op_truncate(to) : ds_hash_op_delete(to, hash, key, key_bytes);
	value_bytes = load->value_big && below(50) == 0 ? below(load->value_big) : below(load->value_max + 1);
	if (key_bytes + value_bytes > ds_hash_entry_max(load->extent_shift))
		value_bytes = ds_hash_entry_max(load->extent_shift) - key_bytes;
	if (!load->ordered && below(3) == 0)
		return make_update(to, hash, key, key_bytes, value, value_bytes);
	return ds_hash_op_put(to, hash, key, key_bytes, value, value_bytes, (uint16_t) (below(20) == 0 ? 1 + below(2) : 0));
}

/* One write; counts it when it is over what it may do besides its own work. */
static void
write_watched(Load *load, const NrOpHeader *op)
{
	const DsHashRoot *root = (const DsHashRoot *) h.copy.root;
	DsHashRoot	before = *root;
	DsHashParts parts;
	DsHashBudget budget = {0};
	NrResponse	resp = {0};
	NrStatus	status = h.dispatch->dispatch_mut(&h.copy, op, &resp);

	if (status == NR_OK && op->code != DS_HASH_DELETE && ds_hash_op_parts(op, &parts))
	{
		uint32_t	bytes = DS_HASH_HEAD_BYTES + parts.key_bytes + parts.value_bytes;

		budget = ds_hash_budget(root->line_capacity, bytes <= root->inline_max ? bytes : DS_HASH_LONG_STEP);
	}
	else if (status == NR_NO_SPACE)
		budget.lines = 1;		/* it has merged to make room */
	load->over_budget += root->n_buckets > before.n_buckets + budget.splits ||
		root->overflow_lines > before.overflow_lines + budget.lines;
}

/* Writes that may be refused, with no more extents than these. */
static void
without_memory(Load *load, uint32_t n, uint32_t extents, uint32_t deletes)
{
	harness_reclaim(&h);
	harness_grant(&h, extents);
	for (uint32_t i = 0; i < n; i++)
	{
		make_op(load, ops, deletes);
		if (load->ordered && below(4) > 0)
			((NrOpHeader *) ops)->order_seq = ++load->order_seq;
		write_watched(load, (NrOpHeader *) ops);
	}
}

static void
prepare_state(Load *load)
{
	switch (below(8))
	{
		case 0:
		case 1:
			without_memory(load, (uint32_t) below(2000), 0, 5);
			break;
		case 2:
			without_memory(load, (uint32_t) below(2000), (uint32_t) below(load->extents), 5);
			break;
		case 3:
			without_memory(load, (uint32_t) below(3000), 0, 90);
			break;
		case 4:
			without_memory(load, (uint32_t) below(200), 0, 100);
			break;
		case 5:
			load->horizon = load->order_seq - below(load->order_seq + 1);
			break;
		default:
			break;
	}
	load->spare_seen += ((DsHashRoot *) h.copy.root)->spare != 0;
}

/* One batch; false: something is wrong. */
static bool
batch(Load *load)
{
	uint32_t	n = 1 + (uint32_t) below(below(2) ? 20 : 800);
	uint32_t	deletes = below(3) == 0 ? 50 : 5;
	size_t		bytes = 0;
	uint32_t	made = 0;
	NrStatus	status;
	const char *broken;

	while (made < n && bytes + (1u << 18) < OPS_BYTES)
	{
		bytes += make_op(load, ops + bytes, deletes);
		made++;
	}
	if (!harness_batch(&h, ops, bytes, made, load->ordered ? ++load->order_seq : 0, load->horizon, &status))
	{
		load->over_quota++;
		return true;
	}
	load->batches++;
	if (h.batch_need >= 4 && h.batch_used / (double) h.batch_need > load->closest)
		load->closest = h.batch_used / (double) h.batch_need;
	broken = h.dispatch->verify(&h.copy);
	/* what the value before forbids, whatever the memory */
	if (status == NR_BAD_OP || status == NR_TOO_LARGE)
		status = load->ordered ? status : NR_OK;
	if (status != NR_OK || broken)
		tap_note("batch %u of %u operations, %u extents asked for: status %d, %s", load->batches, made, h.batch_need,
				 (int) status, broken ? broken : "sound");
	return status == NR_OK && !broken;
}

static void
test_strict(uint32_t number)
{
	Load		load = {0};
	bool		good = true;

	random_state = number;
	load.extent_shift = 12 + (uint32_t) below(5);
	load.extents = 20 + (uint32_t) below(load.extent_shift == 12 ? 200 : 400);
	load.line_bytes = 64u << below(3);
	load.flooded = below(3) == 0;
	load.ordered = below(3) > 0;
	load.keys = 50 + (uint32_t) below(load.flooded ? FLOOD_KEYS : 20000);
	load.value_max = below(3) == 0 ? 8 : below(2) ? 60 : 600;
	load.value_big = below(2) ? 1u << load.extent_shift : 0;
	harness_make_hash(&h, load.extent_shift, load.extents, load.line_bytes, SEED, number);
	for (uint32_t i = 0; i < 60 && good; i++)
	{
		prepare_state(&load);
		good = batch(&load);
	}
	tap_ok(good && load.over_budget == 0, "2^%u x %u, lines of %u, values to %u%s%s%s: %u batches, %u over quota, %.0f%% used; spare lines before %u, over budget %u",
		   load.extent_shift, load.extents, load.line_bytes, load.value_max, load.value_big ? " and some larger" : "",
		   load.flooded ? ", flooded" : "", load.ordered ? ", ordered" : "", load.batches, load.over_quota,
		   100 * load.closest, load.spare_seen, load.over_budget);
	harness_free(&h);
}

/* What a batch of rows asks for, in bytes a row, and that it is enough for a new table. */
static void
test_rows(const char *name, uint32_t extent_shift, uint32_t line_bytes, uint32_t key_bytes, uint32_t value_bytes,
		  double row_max)
{
	const uint32_t n = 10000;
	char	   *at = malloc(n * ds_hash_op_bytes(key_bytes, value_bytes));
	char	   *batch_ops = at;
	char		key[64] = {0};
	static char value[4096];
	NrStatus	status;
	double		row[2];
	uint32_t	plain;

	for (uint64_t i = 0; i < n; i++)
	{
		memcpy(key, &i, 8);
		at += ds_hash_op_put(at, ds_hash_key(SEED, key, key_bytes), key, key_bytes, value, value_bytes, 0);
	}
	harness_make_hash(&h, extent_shift, (64u << 20) >> extent_shift, line_bytes, SEED, 1);
	plain = h.dispatch->need_ops(&h.config, batch_ops, (size_t) (at - batch_ops), n, false).extents;
	if (!harness_batch(&h, batch_ops, (size_t) (at - batch_ops), n, 7, 1, &status))
		status = NR_NO_SPACE;
	row[0] = (double) ((uint64_t) h.batch_need << extent_shift) / n;
	row[1] = (double) ((uint64_t) h.batch_used << extent_shift) / n;
	tap_ok(status == NR_OK && row[0] <= row_max, "%s, 2^%u, lines of %u: %.0f bytes a row asked for with order numbers, "
		   "%.0f without; %.0f used by a new table", name, extent_shift, line_bytes, row[0],
		   (double) ((uint64_t) plain << extent_shift) / n, row[1]);
	harness_free(&h);
	free(batch_ops);
}

/*
 * A table that could not split for long, because what memory there was went to
 * overflow lines, catches up as soon as there is some.
 */
static void
test_long_chains(uint32_t line_bytes, uint32_t value_bytes, uint32_t lines_max)
{
	const uint64_t n = 15000;
	static char value[64];
	uint64_t	before;
	uint64_t	most = 0;
	uint64_t	steps = 0;
	bool		good = true;
	DsHashStat	stat;

	harness_make_hash(&h, 16, 400, line_bytes, SEED, 1);
	for (uint64_t key = 0; key < n; key++)
	{
		uint64_t	op[32];
		NrResponse	resp = {0};

		ds_hash_op_put(op, ds_hash_key(SEED, &key, 8), &key, 8, value, value_bytes, 0);
		while (h.dispatch->dispatch_mut(&h.copy, (NrOpHeader *) op, &resp) == NR_NO_SPACE)
			harness_grant(&h, 1);
	}
	stat = harness_stat(&h);
	tap_ok(stat.overflow_lines > 8 * stat.buckets, "lines of %u, values of %u: %llu overflow lines in %llu buckets", line_bytes,
		   value_bytes, (unsigned long long) stat.overflow_lines, (unsigned long long) stat.buckets);
	/* every write may do something about it; new keys, so that some need lines themselves */
	harness_grant(&h, 300);
	do
	{
		uint64_t	key = n + steps;

		before = harness_stat(&h).overflow_lines;
		good &= harness_put(&h, &key, 8, value, value_bytes, 0, NULL) == NR_OK;
		stat = harness_stat(&h);
		if (stat.overflow_lines > before && stat.overflow_lines - before > most)
			most = stat.overflow_lines - before;
		if (steps % 500 == 0)
			good &= h.dispatch->verify(&h.copy) == NULL;
		steps++;
	} while (good && steps < 200000 && stat.overflow_lines > stat.buckets / 2);
	tap_ok(good && most <= lines_max && steps < 2 * n && h.dispatch->verify(&h.copy) == NULL,
		   "... it catches up in %llu puts, at most %llu lines each",
		   (unsigned long long) steps, (unsigned long long) most);
	for (uint64_t key = 0; key < n + steps && good; key++)
		good &= harness_delete(&h, &key, 8, NULL) == NR_OK;
	tap_ok(good && h.dispatch->verify(&h.copy) == NULL && harness_in_use(&h) == 1, "... and is empty at the end");
	harness_free(&h);
}

#define MISFITS	120

/* A write without memory but what it cannot do without, number 0 or more. */
static NrStatus
write_tight(void *op, uint64_t order_seq)
{
	NrResponse	resp = {0};
	NrStatus	status;

	((NrOpHeader *) op)->order_seq = order_seq;
	while ((status = h.dispatch->dispatch_mut(&h.copy, op, &resp)) == NR_NO_SPACE && harness_grant(&h, 1) == 1)
		;
	return status;
}

static void
put_tight(uint64_t key, size_t value_bytes)
{
	static char value[128];
	uint64_t	op[32];

	ds_hash_op_put(op, ds_hash_key(SEED, &key, 8), &key, 8, value, value_bytes, 0);
	write_tight(op, 0);
}

/*
 * Entries of two lengths that fill their lines together and cannot when they are
 * split by length: fills the bucket that is split next with them, and leaves room in
 * the heap.
 */
static uint32_t
make_misfits(uint64_t *key)
{
	DsHashRoot *root;
	uint32_t	buckets;
	uint32_t	mask;
	uint64_t	next[2] = {0, 0};

	harness_make_hash(&h, 12, 180, 64, SEED, 1);
	root = (DsHashRoot *) h.copy.root;
	for (uint64_t k = 1u << 30; root->inline_bytes * 4 < root->n_buckets * (uint64_t) root->line_capacity * 3; k++)
		put_tight(k, 8);
	buckets = root->n_buckets;
	mask = UINT32_MAX >> __builtin_clz(buckets);
	for (uint32_t i = 0; i < MISFITS; i++)
	{
		uint32_t	moves = i % 2 == 0;

		while ((ds_hash_key(SEED, &next[moves], 8) & mask) != (moves ? buckets : buckets & mask >> 1))
			next[moves]++;
		key[i] = next[moves]++;
		put_tight(key[i], moves ? 13 : 15);
	}
	for (uint64_t k = 1u << 29; harness_stat(&h).heap_free_bytes < 3500; k++)
	{
		harness_reclaim(&h);
		put_tight(k, 100);
	}
	return root->n_buckets == buckets && h.dispatch->verify(&h.copy) == NULL ? buckets : 0;
}

static void
test_misfits(bool fresh)
{
	uint64_t	key[MISFITS];
	uint32_t	buckets = make_misfits(key);
	DsHashRoot *root = (DsHashRoot *) h.copy.root;
	uint64_t	most = 0;
	uint32_t	writes = 0;
	bool		good = buckets > 0;

	harness_grant(&h, 100);
	/* writes that need nothing themselves, or such that need a line now and then */
	for (; root->n_buckets == buckets && writes < MISFITS && good; writes++)
	{
		uint64_t	before = root->overflow_lines;

		put_tight(fresh ? (1u << 28) + writes : key[0], fresh ? 8 : 13);
		good = h.dispatch->verify(&h.copy) == NULL;
		if (root->overflow_lines > before && root->overflow_lines - before > most)
			most = root->overflow_lines - before;
	}
	tap_ok(good && writes > 5 && writes < MISFITS && most == 1 && root->spare == 0,
		   "a split that needs lines of its own gets them in %u writes%s", writes, fresh ? " of new keys" : "");
	harness_free(&h);
}

/* Spare lines are given up when nothing is to be split any more. */
static void
test_spare(void)
{
	uint64_t	key[MISFITS];
	uint64_t	op[32];
	bool		good = make_misfits(key) > 0;
	DsHashRoot *root = (DsHashRoot *) h.copy.root;

	harness_grant(&h, 100);
	for (int i = 0; i < 6; i++)
		put_tight(key[0], 13);
	good &= root->spare != 0;
	for (uint32_t i = 0; i < MISFITS; i++)
	{
		ds_hash_op_delete(op, ds_hash_key(SEED, &key[i], 8), &key[i], 8);
		good &= write_tight(op, 0) == NR_OK && h.dispatch->verify(&h.copy) == NULL;
	}
	/* and those that were there before, but one */
	for (uint64_t k = (1u << 30) + 1; k < (1u << 30) + 1000; k++)
	{
		ds_hash_op_delete(op, ds_hash_key(SEED, &k, 8), &k, 8);
		good &= write_tight(op, 0) == NR_OK;
	}
	tap_ok(good && root->entries > 0 && root->spare == 0 && h.dispatch->verify(&h.copy) == NULL,
		   "spare lines go when entries do");
	harness_free(&h);

	good = make_misfits(key) > 0;
	root = (DsHashRoot *) h.copy.root;
	harness_grant(&h, 100);
	for (int i = 0; i < 6; i++)
		put_tight(key[0], 13);
	good &= root->spare != 0;
	/* one entry is newer than a truncate, and deleted later: its note keeps the heap as it is */
	h.dispatch->ordered(&h.copy, 1);
	ds_hash_op_put(op, ds_hash_key(SEED, &key[0], 8), &key[0], 8, key, 13, 0);
	good &= write_tight(op, 7) == NR_OK;
	ds_hash_op_truncate(op);
	good &= write_tight(op, 5) == NR_OK && root->entries == 1 && root->spare != 0;
	good &= h.dispatch->verify(&h.copy) == NULL;
	ds_hash_op_delete(op, ds_hash_key(SEED, &key[0], 8), &key[0], 8);
	good &= write_tight(op, 8) == NR_OK;
	tap_ok(good && root->entries == 0 && root->notes == 1 && root->spare == 0 && h.dispatch->verify(&h.copy) == NULL,
		   "... and with the last one, notes or not");
	harness_free(&h);
}

int
main(void)
{
	const char *more = getenv("NR_TEST_LONG");
	uint32_t	times = more && atoi(more) > 0 ? (uint32_t) atoi(more) : 1;
	uint32_t	n = 0;

	ops = malloc(OPS_BYTES);
	for (uint64_t key = 0; n < FLOOD_KEYS; key++)
		if ((ds_hash_key(SEED, &key, 8) & 0x7ff) < 2)
			flood[n++] = key;
	test_misfits(false);
	test_misfits(true);
	test_spare();
	for (uint32_t i = 1; i <= 30 * times; i++)
		test_strict(i);
	test_rows("bigint to bigint", 16, 64, 8, 8, 230);
	test_rows("bigint to bigint", 18, 64, 8, 8, 240);
	test_rows("20 bytes to 100", 16, 128, 20, 100, 540);
	test_rows("20 bytes to 100", 18, 256, 20, 100, 640);
	test_rows("20 bytes to 1000", 16, 128, 20, 1000, 1500);
	test_rows("20 bytes to 1000", 18, 128, 20, 1000, 1500);
	test_long_chains(64, 8, 1);
	test_long_chains(64, 40, 2);
	test_long_chains(128, 40, 1);
	test_long_chains(256, 30, 1);
	free(ops);
	return tap_done();
}
