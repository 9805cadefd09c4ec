/*
 * test_value_pass.c
 *		Long values that two copies share, one thing at a time: what the first pass takes and
 *		drops, what the second one finds, when memory comes back, what verify sees.
 */
#include "copy_harness.h"
#include "ds/hash_line.h"
#include "tap.h"

#define SEED		42

static CopyPair pair;

static void
open_pair(uint32_t extent_shift, uint32_t extents, uint32_t shared)
{
	NrCopyConfig config = {.extent_shift = extent_shift,.extents_max = extents,.shared_max = shared};
	DsHashArg	arg = {.seed = SEED,.line_bytes = 64};

	config.arg_bytes = sizeof(arg);
	memcpy(config.arg, &arg, sizeof(arg));
	pair_make(&pair, &ds_hash_dispatch, &config, 1);
}

static NrStatus
put_at(uint32_t c, NrPass pass, uint64_t seq, uint32_t number, size_t value_bytes)
{
	static char value[1 << 16];
	static _Alignas(8) char op[1 << 17];
	uint64_t	key = number;
	NrResponse	resp = {0};
	CopyHarness *h = &pair.copy[c];

	memset(value, (int) seq + 1, value_bytes);
	ds_hash_op_put(op, ds_hash_key(SEED, &key, 8), &key, 8, value, value_bytes, 0);
	h->copy.pass = pass;
	h->copy.seq = seq;
	return h->dispatch->dispatch_mut(&h->copy, (NrOpHeader *) op, &resp);
}

static void
truncate_at(uint32_t c, NrPass pass, uint64_t seq)
{
	_Alignas(8) char op[64];
	NrResponse	resp = {0};
	CopyHarness *h = &pair.copy[c];

	ds_hash_op_truncate(op);
	h->copy.pass = pass;
	h->copy.seq = seq;
	h->dispatch->dispatch_mut(&h->copy, (NrOpHeader *) op, &resp);
}

/* Is the key's value in this copy all of the byte that seq gave it? */
static bool
has(uint32_t c, uint32_t number, size_t value_bytes, uint64_t seq)
{
	char		out[8192];
	uint64_t	key = number;
	bool		ok = harness_get(&pair.copy[c], &key, 8, out, sizeof(out)) == (int64_t) value_bytes;

	for (size_t i = 0; i < value_bytes && ok; i++)
		ok = out[i] == (char) (seq + 1);
	return ok;
}

static void
reclaim(uint64_t floor)
{
	pair.copy[0].copy.pass = NR_PASS_FIRST;
	ds_hash_dispatch.reclaim(&pair.copy[0].copy, floor);
}

static void
test_once(void)
{
	const NrExtentTable *t;

	open_pair(12, 8, 8);
	t = pair.shared.copy.table;
	harness_grant(&pair.shared, 7);
	tap_ok(put_at(0, NR_PASS_FIRST, 0, 0, 3500) == NR_OK && put_at(0, NR_PASS_FIRST, 0, 4, 3500) == NR_OK &&
		   harness_in_use(&pair.shared) == 3, "two long values take an extent each");
	tap_ok(put_at(1, NR_PASS_SECOND, 0, 0, 3500) == NR_OK && put_at(1, NR_PASS_SECOND, 0, 4, 3500) == NR_OK &&
		   harness_in_use(&pair.shared) == 3 && harness_in_use(&pair.copy[0]) == 1 && harness_in_use(&pair.copy[1]) == 1,
		   "once for both copies, and none of their own");
	tap_ok(has(0, 0, 3500, 0) && has(1, 4, 3500, 0), "both find them");
	put_at(0, NR_PASS_FIRST, 1, 0, 3500);
	tap_ok(harness_in_use(&pair.shared) == 4 && t->deferred == 1 && has(0, 0, 3500, 1) && has(1, 0, 3500, 0),
		   "replaced in the first: the second still has the old one");
	reclaim(1);
	tap_ok(harness_in_use(&pair.shared) == 4 && has(1, 0, 3500, 0), "which is not reclaimed by what comes before");
	put_at(1, NR_PASS_SECOND, 1, 0, 3500);
	tap_ok(harness_in_use(&pair.shared) == 4 && has(1, 0, 3500, 1), "nor when the second follows");
	reclaim(2);
	tap_ok(harness_in_use(&pair.shared) == 3 && t->deferred == 0, "but when all have passed it");
	put_at(0, NR_PASS_FIRST, 2, 8, 20);
	tap_ok(harness_in_use(&pair.shared) == 3, "a short value takes nothing of what is shared");
	truncate_at(0, NR_PASS_FIRST, 2);
	tap_ok(t->deferred == 2 && harness_in_use(&pair.shared) == 3 && has(1, 0, 3500, 1) && has(1, 4, 3500, 0),
		   "emptied, its extents are set aside as they are");
	put_at(0, NR_PASS_FIRST, 3, 0, 3500);
	put_at(1, NR_PASS_SECOND, 2, 8, 20);
	tap_ok(has(1, 0, 3500, 1) && has(1, 4, 3500, 0) && has(0, 0, 3500, 3), "new ones go elsewhere");
	truncate_at(1, NR_PASS_SECOND, 2);
	put_at(1, NR_PASS_SECOND, 3, 0, 3500);
	reclaim(3);
	tap_ok(t->deferred == 0 && harness_in_use(&pair.shared) == 2 && has(0, 0, 3500, 3) && has(1, 0, 3500, 3),
		   "until all have passed that, too");
	tap_ok(harness_sound(&pair.copy[0]) && harness_sound(&pair.copy[1]), "all is sound");
	pair_free(&pair);
}

/* Something dropped is never reckoned as nothing: a claim that needs it would not know. */
static void
test_deferred(void)
{
	const NrExtentTable *t;

	open_pair(16, 8, 8);
	t = pair.shared.copy.table;
	harness_grant(&pair.shared, 7);
	put_at(0, NR_PASS_FIRST, 0, 0, 100);
	put_at(0, NR_PASS_FIRST, 1, 0, 100);
	tap_ok(t->deferred == 1, "a small block that was dropped counts as an extent's worth");
	for (uint64_t seq = 2; seq < 400; seq++)
		put_at(0, NR_PASS_FIRST, seq, 0, 1000);
	tap_ok(t->deferred > 1 && t->deferred <= 400 * 1136 / 65536 + 1 && t->deferred + 1 >= harness_in_use(&pair.shared) - 1,
		   "many count as many (%u)", t->deferred);
	reclaim(399);
	tap_ok(t->deferred == 1, "until they can be used: the last one is left");
	pair_free(&pair);
}

/* Whatever number is broken, verify says so. */
static void
test_damage(void)
{
	DsValueRoot *v;
	uint32_t    *field[8];
	bool		seen = true;

	open_pair(12, 8, 8);
	harness_grant(&pair.shared, 7);
	v = (DsValueRoot *) pair.shared.copy.root;
	for (uint32_t k = 0; k < 40; k += 4)
		put_at(0, NR_PASS_FIRST, 0, k, 500);
	truncate_at(0, NR_PASS_FIRST, 1);
	for (uint32_t k = 0; k < 20; k += 4)
		put_at(0, NR_PASS_FIRST, 2, k, 500);
	put_at(0, NR_PASS_FIRST, 3, 0, 500);
	put_at(0, NR_PASS_FIRST, 3, 4, 500);
	tap_ok(harness_sound(&pair.copy[0]) && v->taken_first != 0 && v->dropped_first != 0 && v->gone > 0,
		   "blocks that await the second pass, blocks and extents that were dropped");
	field[0] = &v->magic;
	field[1] = &v->taken_last;
	field[2] = &v->dropped_first;
	field[3] = &v->dropped_last;
	field[4] = &v->gone_first;
	field[5] = &v->gone_last;
	field[6] = &v->gone;
	field[7] = (uint32_t *) &v->dropped_units;
	for (uint32_t i = 0; i < 8; i++)
	{
		uint32_t	was = *field[i];

		*field[i] ^= 1;
		if (ds_hash_dispatch.verify(&pair.copy[0].copy) == NULL)
		{
			seen = false;
			tap_note("field %u", i);
		}
		*field[i] = was;
	}
	tap_ok(seen && harness_sound(&pair.copy[0]), "a wrong number in the root of what is shared is seen");
	for (uint32_t k = 0; k < 40; k += 4)
		put_at(1, NR_PASS_SECOND, 0, k, 500);
	truncate_at(1, NR_PASS_SECOND, 1);
	for (uint32_t k = 0; k < 20; k += 4)
		put_at(1, NR_PASS_SECOND, 2, k, 500);
	put_at(1, NR_PASS_SECOND, 3, 0, 500);
	put_at(1, NR_PASS_SECOND, 3, 4, 500);
	tap_ok(harness_sound(&pair.copy[1]) && v->taken_first == 0, "the second pass has taken all of them");
	pair.copy[0].dispatch->reclaim(&pair.copy[0].copy, 4);
	tap_ok(harness_sound(&pair.copy[0]) && v->dropped_first == 0 && v->gone == 0, "nothing is set aside any more");
	{
		NrCopy		shared = nr_copy_shared(&pair.copy[0].copy);

		ds_heap_alloc(&shared, (DsHeap *) (v + 1), 100, true);
		tap_ok(ds_hash_dispatch.verify(&pair.copy[0].copy) != NULL, "a block that belongs to nobody is seen");
	}
	pair_free(&pair);
}

int
main(void)
{
	test_once();
	test_deferred();
	test_damage();
	return tap_done();
}
