/*
 * test_value_need.c
 *		ds_hash with shared memory: a batch that gets the extents of either kind that need_ops
 *		asks for is never refused, whatever happened before, and whatever is set aside.
 *
 * The second copy follows each batch.  NR_TEST_LONG=n multiplies the configurations.
 */
#include "copy_harness.h"
#include "ds/value.h"
#include "tap.h"

#include <stdlib.h>

#define SEED		42
#define OPS_BYTES	(1u << 20)

typedef struct Load
{
	uint32_t	extent_shift;
	uint32_t	keys;
	uint32_t	value_max;
	bool		ordered;
	uint64_t	order_seq;
	/* what happened */
	uint32_t	batches;
	uint32_t	over_quota;
	uint32_t	truncates;		/* with puts before and behind them in the batch */
	uint32_t	set_aside;		/* extents' worth, before a batch, at most */
	double		closest;		/* most used of the shared extents that were asked for */
} Load;

static CopyPair pair;
static uint64_t random_state;
static uint64_t seq;
static char *ops;

static uint64_t
below(uint64_t n)
{
	return harness_random(&random_state) % n;
}

static size_t
make_op(const Load *load, char *to, uint32_t truncates)
{
	static char value[1 << 16];
	char		key[128] = {0};
	uint64_t	number = below(load->keys);
	size_t		key_bytes = number % 5 == 0 ? 100 : 8;
	size_t		value_bytes = below(load->value_max);
	uint64_t	hash;

	memcpy(key, &number, 8);
	hash = ds_hash_key(SEED, key, key_bytes);
	if (key_bytes + value_bytes > ds_hash_entry_max(load->extent_shift))
		value_bytes = ds_hash_entry_max(load->extent_shift) - key_bytes;
	if (below(100) < truncates)
		return ds_hash_op_truncate(to);
	if (below(6) == 0)
		return ds_hash_op_delete(to, hash, key, key_bytes);
	if (!load->ordered && below(4) == 0)
		return ds_hash_op_cas(to, hash, key, key_bytes, NULL, 0, value, value_bytes);
	return ds_hash_op_put(to, hash, key, key_bytes, value, value_bytes, 0);
}

/* All of a batch into one copy; how many were refused for want of memory. */
static uint32_t
apply(uint32_t c, size_t bytes, uint64_t order_seq, uint64_t floor)
{
	CopyHarness *h = &pair.copy[c];
	uint32_t	refused = 0;

	h->copy.pass = c == 0 ? NR_PASS_FIRST : NR_PASS_SECOND;
	h->copy.seq = seq;
	if (c == 0)
		h->dispatch->reclaim(&h->copy, floor);
	if (order_seq != 0)
		h->dispatch->ordered(&h->copy, order_seq > 30 ? order_seq - 30 : 1);
	for (size_t at = 0; at < bytes; at += ((NrOpHeader *) (ops + at))->bytes)
	{
		NrResponse	resp = {0};

		((NrOpHeader *) (ops + at))->order_seq = order_seq;
		refused += h->dispatch->dispatch_mut(&h->copy, (NrOpHeader *) (ops + at), &resp) == NR_NO_SPACE;
	}
	return refused;
}

static void
stock(NrNeed have)
{
	for (uint32_t c = 0; c < 2; c++)
	{
		harness_reclaim(&pair.copy[c]);
		harness_grant(&pair.copy[c], have.extents);
	}
	harness_reclaim(&pair.shared);
	harness_grant(&pair.shared, have.shared);
}

/* Writes that may be refused. */
static void
without_memory(Load *load, uint32_t n, uint32_t truncates)
{
	stock((NrNeed) {(uint32_t) below(4), (uint32_t) below(4)});
	for (uint32_t i = 0; i < n; i++)
	{
		size_t		bytes = make_op(load, ops, truncates);
		uint64_t	order_seq = load->ordered && below(4) > 0 ? ++load->order_seq : 0;
		uint64_t	floor = below(40) == 0 && seq > 20 ? seq - below(20) : 0;

		apply(0, bytes, order_seq, floor);
		apply(1, bytes, order_seq, 0);
		seq++;
	}
}

static bool
batch(Load *load)
{
	uint32_t	n = 1 + (uint32_t) below(below(2) ? 12 : 200);
	uint32_t	truncates = below(3) == 0 ? 10 : 0;
	uint64_t	order_seq = load->ordered ? ++load->order_seq : 0;
	uint64_t	floor = below(2) ? 0 : seq;
	size_t		bytes = 0;
	uint32_t	refused;
	NrNeed		need;
	const char *broken;

	for (uint32_t i = 0; i < n; i++)
		bytes += make_op(load, ops + bytes, truncates);
	need = ds_hash_dispatch.need_ops(&pair.copy[0].config, ops, bytes, n, load->ordered);
	stock((NrNeed) {0});
	if (need.extents > pair.copy[0].config.extents_max - pair.copy[0].copy.table->mapped_count ||
		need.shared > pair.shared.config.shared_max - pair.shared.copy.table->mapped_count)
	{
		load->over_quota++;
		return true;
	}
	stock(need);
	load->batches++;
	load->truncates += truncates > 0 && n > 30;
	if (pair.shared.copy.table->deferred > load->set_aside)
		load->set_aside = pair.shared.copy.table->deferred;
	refused = apply(0, bytes, order_seq, floor);
	if (need.shared >= 4 && floor == 0 &&
		(need.shared - pair.shared.copy.table->free_count) / (double) need.shared > load->closest)
		load->closest = (need.shared - pair.shared.copy.table->free_count) / (double) need.shared;
	refused += apply(1, bytes, order_seq, 0);
	seq++;
	broken = ds_hash_dispatch.verify(&pair.copy[0].copy);
	if (refused > 0 || broken)
		tap_note("batch %u of %u operations, %u + %u extents asked for: %u refused, %s", load->batches, n, need.extents,
				 need.shared, refused, broken ? broken : "sound");
	return refused == 0 && !broken &&
		ds_hash_dispatch.checksum(&pair.copy[0].copy) == ds_hash_dispatch.checksum(&pair.copy[1].copy);
}

static void
test_strict(uint32_t number)
{
	Load		load = {0};
	NrCopyConfig config = {0};
	DsHashArg	arg = {.seed = SEED,.line_bytes = 64u << number % 3};
	bool		good = true;

	random_state = number;
	seq = 1;
	load.extent_shift = 12 + number % 4;
	load.ordered = number % 3 == 0;
	load.keys = 20 + (uint32_t) below(200);
	load.value_max = number % 2 ? 600 : 1u << load.extent_shift;
	config.extent_shift = load.extent_shift;
	config.extents_max = 150;
	config.shared_max = 60 + (uint32_t) below(200);
	config.arg_bytes = sizeof(arg);
	memcpy(config.arg, &arg, sizeof(arg));
	pair_make(&pair, &ds_hash_dispatch, &config, number);
	for (uint32_t i = 0; i < 60 && good; i++)
	{
		if (below(2))
			without_memory(&load, (uint32_t) below(300), below(4) == 0 ? 10 : 0);
		good = batch(&load);
	}
	tap_ok(good && load.batches > 10 && load.set_aside > 0 && load.truncates > 0,
		   "2^%u, values to %u%s: %u batches, %u over quota, %u with truncates, up to %u extents set aside, %.0f%% used",
		   load.extent_shift, load.value_max, load.ordered ? ", ordered" : "", load.batches, load.over_quota,
		   load.truncates, load.set_aside, 100 * load.closest);
	pair_free(&pair);
}

/* What is needed of either kind, in numbers. */
static void
test_kinds(void)
{
	NrCopyConfig config = {.extent_shift = 12,.extents_max = 100};
	DsHashArg	arg = {.seed = SEED,.line_bytes = 64};
	static char value[4000];
	uint64_t	key = 1;
	size_t		bytes = 0;
	NrNeed		own;
	NrNeed		need;

	config.arg_bytes = sizeof(arg);
	memcpy(config.arg, &arg, sizeof(arg));
	for (uint32_t i = 0; i < 10; i++)
		bytes += ds_hash_op_put(ops + bytes, 0, &key, 8, value, 3900, 0);
	own = ds_hash_dispatch.need_ops(&config, ops, bytes, 10, false);
	config.shared_max = 100;
	need = ds_hash_dispatch.need_ops(&config, ops, bytes, 10, false);
	tap_ok(own.shared == 0 && own.extents >= 10, "without shared memory long values need extents of each copy (%u)", own.extents);
	tap_ok(need.shared == 10 && need.extents < own.extents, "with it they need shared ones (%u), and few others (%u)",
		   need.shared, need.extents);
	need = ds_hash_dispatch.need(&config, 10, bytes);
	tap_ok(need.shared >= 10 && need.shared < 100, "the same by number and bytes (%u)", need.shared);
	bytes = 0;
	for (uint32_t i = 0; i < 10; i++)
		bytes += ds_hash_op_put(ops + bytes, 0, &key, 8, value, 8, 0);
	tap_ok(ds_hash_dispatch.need_ops(&config, ops, bytes, 10, false).shared == 0 &&
		   ds_hash_dispatch.need(&config, 10, bytes).shared <= 1, "short ones none");
	/* two blocks of 120 units and their rounding fit into an extent of 256, 121 do not */
	for (uint32_t longer = 0; longer < 2; longer++)
	{
		bytes = 0;
		for (uint32_t i = 0; i < 2; i++)
			bytes += ds_hash_op_put(ops + bytes, 0, &key, 8, value, 120 * 16 - DS_HEAP_TAG_BYTES - 16 - DS_VALUE_TAIL_BYTES + longer, 0);
		tap_ok(ds_hash_dispatch.need_ops(&config, ops, bytes, 2, false).shared == 1 + longer,
			   "what is added to a shared block counts: %u", 1 + longer);
	}
	config.shared_max = 5;
	tap_ok(ds_hash_dispatch.need(&config, 1000, 4000000).shared == 4, "best effort asks for no more than there can be");
	bytes = 0;
	for (uint32_t i = 0; i < 3; i++)
	{
		bytes += ds_hash_op_put(ops + bytes, 0, &key, 8, value, 500, 0);
		bytes += ds_hash_op_truncate(ops + bytes);
	}
	bytes += ds_hash_op_put(ops + bytes, 0, &key, 8, value, 500, 0);
	tap_ok(ds_hash_dispatch.need_ops(&config, ops, bytes, 7, false).shared == 4,
		   "what comes behind a truncate cannot use what was taken before it");
}

int
main(void)
{
	const char *more = getenv("NR_TEST_LONG");
	uint32_t	times = more && atoi(more) > 0 ? (uint32_t) atoi(more) : 1;

	ops = malloc(OPS_BYTES * 8);
	test_kinds();
	for (uint32_t i = 1; i <= 24 * times; i++)
		test_strict(i);
	free(ops);
	return tap_done();
}
