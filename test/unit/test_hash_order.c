/*
 * test_hash_order.c
 *		ds_hash: batches with order numbers, applied in another order than the
 *		numbers were drawn in.
 *
 * NR_TEST_LONG=n multiplies the random part.
 */
#include "copy_harness.h"
#include "copy_reference.h"
#include "ds/hash_root.h"
#include "tap.h"

#include <stdlib.h>

#define SEED 42

static CopyHarness h;

static bool
sound(const CopyHarness *harness)
{
	const char *broken = harness->dispatch->verify(&harness->copy);

	if (broken)
		tap_note("verify: %s", broken);
	return broken == NULL;
}

/* ---- single operations ---- */

static void
horizon(uint64_t to)
{
	h.dispatch->ordered(&h.copy, to);
}

/* Apply one operation under a number; its flag, or -1 when it was refused. */
static int
apply(void *bytes, uint64_t order_seq)
{
	NrOpHeader *op = bytes;
	NrResponse	resp = {0};
	NrStatus	status;

	op->order_seq = order_seq;
	status = harness_apply(&h, op, &resp);
	return status == NR_OK ? resp.flag : -1;
}

static int
put(uint64_t key, uint64_t value, uint64_t order_seq)
{
	uint64_t	op[16];

	harness_grant(&h, 2);
	ds_hash_op_put(op, ds_hash_key(SEED, &key, 8), &key, 8, &value, 8, 0);
	return apply(op, order_seq);
}

static int
delete(uint64_t key, uint64_t order_seq)
{
	uint64_t	op[16];

	harness_grant(&h, 1);
	ds_hash_op_delete(op, ds_hash_key(SEED, &key, 8), &key, 8);
	return apply(op, order_seq);
}

static int
truncate(uint64_t order_seq)
{
	uint64_t	op[16];

	ds_hash_op_truncate(op);
	return apply(op, order_seq);
}

/* The key's value, or -1. */
static int64_t
get(uint64_t key)
{
	int64_t		value = -1;

	return harness_get(&h, &key, 8, &value, 8) == 8 ? value : -1;
}

static uint64_t
notes(void)
{
	return harness_stat(&h).notes;
}

static void
test_rules(void)
{
	harness_make_hash(&h, 16, 64, 64, SEED, 1);
	horizon(1);
	tap_ok(put(1, 50, 5) == 1 && put(1, 30, 3) == 0 && get(1) == 50, "an older put comes too late");
	tap_ok(put(1, 60, 6) == 0 && get(1) == 60 && notes() == 1, "a newer one replaces, and the note, too");
	tap_ok(put(1, 55, 5) == 0 && get(1) == 60, "... which counts from then on");
	tap_ok(delete(1, 4) == 0 && get(1) == 60, "an older delete comes too late");
	tap_ok(delete(1, 7) == 1 && get(1) == -1 && notes() == 1, "a newer delete");
	tap_ok(put(1, 60, 6) == 0 && get(1) == -1, "a deleted key is remembered");
	tap_ok(delete(2, 7) == 0 && put(2, 5, 5) == 0 && get(2) == -1, "so is a key that was not there when deleted");
	tap_ok(put(1, 80, 8) == 1 && get(1) == 80 && sound(&h), "a newer put brings it back");
	tap_ok(put(1, 90, 9) == 0 && put(1, 91, 9) == 0 && get(1) == 91, "the same number: in order");
	tap_ok(put(1, 1, 0) == 0 && get(1) == 1 && notes() == 2, "without a number: in any case");
	harness_free(&h);
}

static void
test_truncate(void)
{
	harness_make_hash(&h, 16, 64, 64, SEED, 1);
	horizon(1);
	put(1, 70, 7);
	put(2, 20, 2);
	put(3, 30, 0);
	delete(4, 9);
	tap_ok(truncate(5) == 1 && get(1) == 70 && get(2) == -1 && get(3) == -1 && harness_stat(&h).entries == 1 &&
		   sound(&h), "truncate spares what is newer");
	tap_ok(put(2, 40, 4) == 0 && get(2) == -1, "an older put comes too late for it");
	tap_ok(put(4, 80, 8) == 0 && get(4) == -1, "a newer delete is still known");
	tap_ok(put(2, 60, 6) == 1 && get(2) == 60, "a newer put");
	tap_ok(truncate(3) == 0 && get(1) == 70 && get(2) == 60, "an older truncate comes too late");
	tap_ok(put(2, 51, 5) == 0 && get(2) == 60, "... and moves nothing back");
	tap_ok(put(5, 51, 5) == 1 && get(5) == 51, "the truncate's own batch goes on after it");
	tap_ok(truncate(5) == 1 && get(5) == -1 && get(2) == 60, "... and may truncate again");
	tap_ok(truncate(20) == 1 && harness_stat(&h).entries == 0 && notes() == 0 && sound(&h),
		   "newer than all: nothing is left, notes included");
	tap_ok(put(1, 190, 19) == 0 && put(1, 200, 20) == 1 && get(1) == 200, "... and older puts still come too late");
	horizon(30);
	put(1, 290, 29);
	tap_ok(notes() == 0 && truncate(0) == 1 && put(6, 60, 31) == 1 && notes() == 1 && truncate(0) == 1 &&
		   notes() == 0 && harness_in_use(&h) == 1 && sound(&h), "truncate without a number removes notes");
	harness_free(&h);
}

static void
test_horizon(void)
{
	uint64_t	most = 0;
	uint64_t	before;
	uint64_t	steps = 0;
	bool		good = true;

	harness_make_hash(&h, 16, 64, 64, SEED, 1);
	horizon(10);
	tap_ok(put(1, 9, 9) == 1 && notes() == 0, "a number below the horizon leaves no note");
	tap_ok(put(1, 10, 10) == 0 && notes() == 1, "one at the horizon does");
	horizon(5);
	tap_ok(put(1, 11, 9) == 0 && get(1) == 10 && notes() == 1, "the horizon never goes back");
	for (uint64_t key = 0; key < 5000; key++)
		good &= put(key, key, 100 + key) >= 0;
	tap_ok(good && notes() == 5000 && sound(&h), "5000 notes");
	/* one key is written again and again: it must not keep others from going */
	for (uint64_t i = 0; i < 100; i++)
		put(2500, i, 6000 + i);
	before = notes();
	horizon(5500);
	for (; notes() > 1 && steps < 2000; steps++)
	{
		uint64_t	now = notes();

		most = before - now > most ? before - now : most;
		before = now;
		put(2500, steps, 7000 + steps);
	}
	tap_ok(notes() == 1 && most <= 16 && steps >= 5000 / 16 && steps < 2000,
		   "they go when the horizon has passed: %llu at a time, in %llu writes",
		   (unsigned long long) most, (unsigned long long) steps);
	tap_ok(get(2500) == (int64_t) steps - 1 && put(2500, 1, 6500) == 0 && sound(&h), "the key that goes on has its own");
	for (uint64_t key = 0; key < 5000; key++)
		good &= delete(key, 20000 + key) == 1;
	tap_ok(good && harness_stat(&h).entries == 0 && notes() == 5000 && sound(&h), "the last entry goes, notes stay");
	good = true;
	for (uint64_t key = 0; key < 5000; key++)
		good &= put(key, 1, 15000 + key % 4999) == 0 && get(key) == -1;
	tap_ok(good, "... and are heeded");
	horizon(40000);
	for (uint64_t i = 0; i < 400; i++)
		horizon(40000);
	tap_ok(notes() == 0 && harness_in_use(&h) == 1 && sound(&h), "and nothing is left of them");
	harness_free(&h);
}

/* ---- keys whose hashes are alike where the trie looks ---- */

typedef struct HighHash
{
	uint32_t	high;
	uint32_t	key;
} HighHash;

static int
by_hash(const void *a, const void *b)
{
	const HighHash *x = a;
	const HighHash *y = b;

	return x->high != y->high ? (x->high < y->high ? -1 : 1) : (x->key < y->key ? -1 : x->key > y->key);
}

static void
test_alike(void)
{
	enum
	{
		N = 500000
	};
	HighHash   *all = malloc(N * sizeof(*all));
	uint32_t	pairs = 0;
	uint32_t	same_path = 0;
	bool		good = true;

	for (uint32_t i = 0; i < N; i++)
	{
		uint64_t	key = i;

		all[i] = (HighHash) {(uint32_t) (ds_hash_key(SEED, &key, 8) >> 32), i};
	}
	qsort(all, N, sizeof(*all), by_hash);
	harness_make_hash(&h, 16, 64, 64, SEED, 1);
	horizon(1);
	for (uint32_t i = 0; i + 1 < N; i++)
	{
		if (all[i].high != all[i + 1].high)
			continue;
		pairs++;
		put(all[i].key, 1, 1000 + i);
		good &= put(all[i + 1].key, 2, 500) == 1 && put(all[i + 1].key, 3, 400) == 0;
		good &= get(all[i + 1].key) == 2 && get(all[i].key) == 1;
	}
	/* one long path, left and dropped in both orders */
	for (uint32_t i = 0; i < N && same_path < 60; i++)
		if (all[i].high >> 20 == 0x123)
			good &= put(all[i].key, 1, 600000 + same_path++) == 1;
	good &= sound(&h);
	for (uint64_t to = 600000; to <= 600000 + same_path; to += 5)
	{
		horizon(to);
		good &= sound(&h);
	}
	for (uint32_t i = 0; i < 20; i++)
		horizon(700000);
	tap_ok(good && pairs > 5 && same_path == 60, "keys of equal hashes (%u pairs), and of hashes that begin alike", pairs);
	tap_ok(notes() == 0, "... drop out of the trie in any order");
	harness_free(&h);
	free(all);
}

/* A refused write changes nothing, notes included. */
static void
test_refused(void)
{
	uint64_t	key = 0;
	uint64_t	sum;
	uint64_t	op[16];
	NrResponse	resp = {0};

	harness_make_hash(&h, 12, 3, 64, SEED, 1);
	horizon(1);
	while (put(key, key, 1000 + key) == 1)
		key++;
	sum = h.dispatch->checksum(&h.copy);
	tap_ok(key > 20 && put(key, 0, 5000) == -1 && h.dispatch->checksum(&h.copy) == sum && sound(&h),
		   "no memory for a note: refused, nothing changed (%llu keys)", (unsigned long long) key);
	ds_hash_op_delete(op, ds_hash_key(SEED, &key, 8), &key, 8);
	((NrOpHeader *) op)->order_seq = 5000;
	tap_ok(h.dispatch->dispatch_mut(&h.copy, (NrOpHeader *) op, &resp) == NR_NO_SPACE, "... a delete as well");
	tap_ok(put(3, 7, 6000) == 0 && get(3) == 7, "a key that has a note needs no other");
	h.dispatch->ordered(&h.copy, 1000);
	tap_ok(put(key, 0, 5000) == -1, "... and still none");
	((DsHashRoot *) h.copy.root)->horizon = 1020;
	tap_ok(put(key, 0, 5000) == 1 && sound(&h), "notes that say nothing make room");
	harness_free(&h);
}

/* ---- random batches ---- */

#define KEYS		400
#define OPS_MAX		40
#define FLIGHT_MAX	12
#define HISTORY_MAX	256

typedef struct Batch
{
	uint64_t	order_seq;
	uint32_t	n;
	size_t		bytes;
	uint64_t	ops[OPS_MAX * 64];
} Batch;

typedef struct Run
{
	CopyHarness copy[2];
	RefMap		base;			/* when nothing was in flight the last time */
	RefMap		now;
	Batch	   *flight[FLIGHT_MAX];
	uint32_t	flights;
	Batch	   *applied[HISTORY_MAX];	/* since then, by number */
	uint32_t	history;
	uint64_t	next_seq;
	uint64_t	random;
	uint64_t	refused;
	uint64_t	notes_max;
	uint64_t	overtaken;
	uint64_t	spared;			/* truncates that had to spare something */
} Run;

static uint64_t
below(Run *run, uint64_t n)
{
	return harness_random(&run->random) % n;
}

static size_t
make_key(uint64_t number, char *key)
{
	uint64_t	random = number + 1;
	size_t		bytes = number % 3 == 0 ? 8 : number % 40;

	memcpy(key, &number, 8);
	for (size_t i = 8; i < bytes; i++)
		key[i] = (char) harness_random(&random);
	return bytes < 2 ? 2 : bytes;
}

static Batch *
draw(Run *run)
{
	Batch	   *b = calloc(1, sizeof(*b));
	uint32_t	n = 1 + (uint32_t) below(run, OPS_MAX);

	b->order_seq = run->next_seq++;
	while (b->n < n)
	{
		char		key[48];
		char		value[200];
		uint64_t	what = below(run, 1000);
		/* few keys are hot, so that batches meet */
		size_t		key_bytes = make_key(below(run, below(run, 2) ? 10 : KEYS), key);
		size_t		value_bytes = below(run, 4) ? below(run, 20) : below(run, 200);
		uint64_t	hash = ds_hash_key(SEED, key, key_bytes);
		char	   *at = (char *) b->ops + b->bytes;

		memset(value, (int) b->order_seq, value_bytes);
		if (what < 8)
			b->bytes += ds_hash_op_truncate(at);
		else if (what < 350)
			b->bytes += ds_hash_op_delete(at, hash, key, key_bytes);
		else
			b->bytes += ds_hash_op_put(at, hash, key, key_bytes, value, value_bytes, 0);
		b->n++;
	}
	return b;
}

static void
ref_apply(RefMap *map, const Batch *b)
{
	const char *at = (const char *) b->ops;

	for (uint32_t i = 0; i < b->n; i++)
	{
		const NrOpHeader *op = (const NrOpHeader *) at;
		const DsHashOp *body = nr_op_payload(op);
		const char *key = (const char *) (body + 1);

		if (op->code == DS_HASH_TRUNCATE)
			ref_clear(map);
		else if (op->code == DS_HASH_DELETE)
			ref_delete(map, key, body->key_bytes);
		else
			ref_put(map, key, body->key_bytes, key + body->key_bytes, body->value_bytes);
		at += op->bytes;
	}
}

/* What has been applied, in the order of the numbers, is what the table must hold. */
static const char *
compare(Run *run)
{
	ref_clear(&run->now);
	for (uint32_t b = 0; b < REF_BUCKETS; b++)
		for (const RefEntry *e = run->base.bucket[b]; e; e = e->next)
			ref_put(&run->now, e->bytes, e->key_bytes, e->bytes + e->key_bytes, e->value_bytes);
	for (uint32_t i = 0; i < run->history; i++)
		ref_apply(&run->now, run->applied[i]);
	return ref_compare(&run->now, &run->copy[0]);
}

/* Apply one of those in flight. */
static const char *
land(Run *run, uint32_t which)
{
	Batch	   *b = run->flight[which];
	uint64_t	low = run->next_seq;
	uint32_t	at = run->history++;
	NrStatus	status[2];
	bool		had_entries = harness_stat(&run->copy[0]).entries > 0;
	bool		has_truncate = false;
	const char *broken;

	run->flight[which] = run->flight[--run->flights];
	for (uint32_t i = 0; i < run->flights; i++)
		low = run->flight[i]->order_seq < low ? run->flight[i]->order_seq : low;
	/* whether the batch itself counts is the engine's choice */
	if (below(run, 2) && b->order_seq < low)
		low = b->order_seq;
	for (; at > 0 && run->applied[at - 1]->order_seq > b->order_seq; at--)
		run->applied[at] = run->applied[at - 1];
	run->overtaken += at + 1 < run->history;
	run->applied[at] = b;
	for (size_t o = 0; o < b->bytes; o += ((NrOpHeader *) ((char *) b->ops + o))->bytes)
		has_truncate |= ((NrOpHeader *) ((char *) b->ops + o))->code == DS_HASH_TRUNCATE;
	for (int i = 0; i < 2; i++)
		if (!harness_batch(&run->copy[i], b->ops, b->bytes, b->n, b->order_seq, low, &status[i]))
			return "the quota is too small for this test";
	run->spared += has_truncate && had_entries && at + 1 < run->history && harness_stat(&run->copy[0]).entries > 0;
	if (status[0] != NR_OK || status[1] != NR_OK)
		return "a batch was refused";
	for (int i = 0; i < 2; i++)
		if ((broken = run->copy[i].dispatch->verify(&run->copy[i].copy)) != NULL)
			return broken;
	if (run->copy[0].dispatch->checksum(&run->copy[0].copy) != run->copy[1].dispatch->checksum(&run->copy[1].copy))
		return "checksums differ";
	if (harness_stat(&run->copy[0]).notes > run->notes_max)
		run->notes_max = harness_stat(&run->copy[0]).notes;
	return below(run, 4) == 0 ? compare(run) : NULL;
}

/* Nothing is in flight: compare, and begin anew from here. */
static const char *
settle(Run *run)
{
	const char *broken = compare(run);

	for (uint32_t i = 0; i < run->history; i++)
	{
		ref_apply(&run->base, run->applied[i]);
		free(run->applied[i]);
	}
	run->history = 0;
	for (int i = 0; i < 2; i++)
		for (int step = 0; step < 200; step++)
			run->copy[i].dispatch->ordered(&run->copy[i].copy, run->next_seq);
	if (!broken && harness_stat(&run->copy[0]).notes != 0)
		broken = "notes are left";
	return broken;
}

static void
test_random(uint64_t seed, uint32_t extent_shift, uint32_t line_bytes, uint32_t batches)
{
	static Run	run;
	const char *broken = NULL;

	memset(&run, 0, sizeof(run));
	run.random = seed;
	run.next_seq = 1;
	for (int i = 0; i < 2; i++)
		harness_make_hash(&run.copy[i], extent_shift, 200, line_bytes, SEED, 1 + (uint64_t) i);
	for (uint32_t i = 0; i < batches && !broken; i++)
	{
		if (run.history + run.flights < HISTORY_MAX && run.flights < FLIGHT_MAX && below(&run, 3) > 0)
			run.flight[run.flights++] = draw(&run);
		else if (run.flights > 0)
			broken = land(&run, (uint32_t) below(&run, run.flights));
		if (run.history + run.flights == HISTORY_MAX || below(&run, 100) == 0)
		{
			while (run.flights > 0 && !broken)
				broken = land(&run, (uint32_t) below(&run, run.flights));
			if (!broken)
				broken = settle(&run);
		}
	}
	while (run.flights > 0 && !broken)
		broken = land(&run, (uint32_t) below(&run, run.flights));
	if (!broken)
		broken = settle(&run);
	tap_ok(!broken && run.overtaken > batches / 10 && run.spared > 0 && run.notes_max > 50,
		   "batches out of order, seed %llu, 2^%u, lines of %u: %s (%llu overtaken, %llu truncates spared keys, up to %llu notes)",
		   (unsigned long long) seed, extent_shift, line_bytes, broken ? broken : "as in order",
		   (unsigned long long) run.overtaken, (unsigned long long) run.spared, (unsigned long long) run.notes_max);
	ref_clear(&run.base);
	ref_clear(&run.now);
	while (run.history > 0)
		free(run.applied[--run.history]);
	while (run.flights > 0)
		free(run.flight[--run.flights]);
	for (int i = 0; i < 2; i++)
		harness_free(&run.copy[i]);
}

int
main(void)
{
	const char *more = getenv("NR_TEST_LONG");
	uint32_t	times = more && atoi(more) > 0 ? (uint32_t) atoi(more) : 1;

	test_rules();
	test_truncate();
	test_horizon();
	test_alike();
	test_refused();
	for (uint32_t i = 0; i < 4 * times; i++)
	{
		test_random(1 + i, 12, 64, 1500);
		test_random(1001 + i, 14, 128, 1500);
		test_random(2001 + i, 16, 256, 1500);
	}
	return tap_done();
}
