/*
 * fuzz_value.c
 *		Memory that two copies share (ds/value.h), without a table around it: a list of
 *		blocks for each copy is the reference.
 *
 * Whichever copy is ahead asks for blocks, writes them and drops them; the other one follows when the
 * input says so, and must be given the same blocks in the same order, or none where there was none.
 * Blocks that somebody may still look at do not overlap and keep their bytes: live
 * ones, and dropped ones until both copies have passed and "reclaim" has said so.  In the end everything
 * comes back.
 */
#include "copy_harness.h"
#include "ds/value.h"
#include "input.h"

#include <stdlib.h>

#define LIVE_MAX	200
#define HELD_MAX	2000
#define LAG_MAX		24
#define STEPS_MAX	6

typedef enum Kind
{
	TAKE,
	DROP,
	DROP_ALL
} Kind;

/* One call, the same for both copies. */
typedef struct Step
{
	Kind		kind;
	size_t		bytes;
	uint32_t	i;				/* of those that are live */
	NrRef		ref;			/* as it came out in the first pass */
} Step;

typedef struct Batch
{
	uint64_t	floor;
	uint32_t	grants;
	uint32_t	releases;
	uint32_t	n;
	Step		step[STEPS_MAX];
} Batch;

/* A block that is or has been in use, until it is reclaimed. */
typedef struct Held
{
	NrRef		ref;
	const char *at;
	size_t		bytes;
	uint8_t		fill;
	bool		dropped;
	uint64_t	seq;			/* of the batch that dropped it */
} Held;

static CopyPair pair;
static NrRef live[2][LIVE_MAX];
static uint32_t n_live[2];
static uint64_t applied[2];
static Batch batches[LAG_MAX];
static Held held[HELD_MAX];
static uint32_t n_held;

static DsHashRoot *
root_of(uint32_t c)
{
	return ds_hash_root(&pair.copy[c].copy);
}

/* ---- the blocks that somebody may look at ---- */

static void
hold(NrRef ref, size_t bytes)
{
	Held	   *h = &held[n_held];
	char	   *at = (char *) ds_value_at(&pair.copy[0].copy, ref);

	if (n_held == HELD_MAX)
		fz_fail("too many blocks");
	for (uint32_t i = 0; i < n_held; i++)
		if (at < held[i].at + held[i].bytes && held[i].at < at + bytes)
			fz_fail("a block is given that somebody may still look at");
	*h = (Held) {.ref = ref,.at = at,.bytes = bytes,.fill = (uint8_t) (fz_step() * 5 + 1)};
	memset(at, h->fill, bytes);
	n_held++;
}

static Held *
held_live(NrRef ref)
{
	for (uint32_t i = 0; i < n_held; i++)
		if (held[i].ref == ref && !held[i].dropped)
			return &held[i];
	fz_fail("a block is live that nobody has taken");
}

/* What was dropped before "floor" may be anything; the rest is as it was written. */
static void
check_held(uint64_t floor)
{
	uint32_t	kept = 0;

	for (uint32_t i = 0; i < n_held; i++)
	{
		const Held	h = held[i];

		if (h.dropped && h.seq < floor)
			continue;
		if (!fz_all(h.at, h.bytes, h.fill))
			fz_fail("a block has changed that somebody may still look at");
		held[kept++] = h;
	}
	n_held = kept;
}

/* ---- steps ---- */

static void
take(uint32_t c, Step *s, NrPass pass)
{
	CopyHarness *h = &pair.copy[c];
	const CopyHarness *shared = &pair.shared;
	size_t		most = ((size_t) 1 << h->config.extent_shift) - DS_HEAP_TAG_BYTES - DS_VALUE_TAIL_BYTES;
	bool		room = shared->copy.table->free_count > 0 && s->bytes <= most;
	NrRef		ref = ds_value_alloc(&h->copy, root_of(c), s->bytes);

	if (pass == NR_PASS_SECOND)
	{
		if (ref != s->ref)
			fz_fail("the second pass is given another block");
	}
	else
	{
		if (ref == 0 && room)
			fz_fail("there is room, and yet no block");
		s->ref = ref;
		if (ref != 0)
			hold(ref, s->bytes);
	}
	if (ref == 0)
		return;
	if (ds_value_capacity(&h->copy, ds_value_at(&h->copy, ref)) < s->bytes)
		fz_fail("a block is too short");
	live[c][n_live[c]++] = ref;
}

static void
mark_dropped(NrRef ref, uint64_t seq, NrPass pass)
{
	Held	   *h;

	if (pass == NR_PASS_SECOND)
		return;
	h = held_live(ref);
	h->dropped = true;
	h->seq = seq;
	/* nobody reads while one copy is loaded */
	if (pass == NR_PASS_ONLY)
		*h = held[--n_held];
}

static void
apply_step(uint32_t c, Step *s, uint64_t seq, NrPass pass)
{
	CopyHarness *h = &pair.copy[c];

	if (s->kind == TAKE && n_live[c] < LIVE_MAX)
		take(c, s, pass);
	else if (s->kind == DROP && n_live[c] > 0)
	{
		uint32_t	i = s->i % n_live[c];

		mark_dropped(live[c][i], seq, pass);
		ds_value_drop(&h->copy, root_of(c), live[c][i]);
		live[c][i] = live[c][--n_live[c]];
	}
	else if (s->kind == DROP_ALL)
	{
		while (n_live[c] > 0)
			mark_dropped(live[c][--n_live[c]], seq, pass);
		ds_value_drop_all(&h->copy, root_of(c));
	}
}

static void
check(uint32_t c)
{
	const char *broken = ds_value_verify(&pair.copy[c].copy, root_of(c), n_live[c]);
	uint64_t	units = 0;

	if (broken)
		fz_fail(broken);
	for (uint32_t i = 0; i < n_live[c]; i++)
	{
		if (!ds_value_sound(&pair.copy[c].copy, root_of(c), live[c][i]))
			fz_fail("a live block is not sound");
		units += (ds_heap_capacity(ds_value_at(&pair.copy[c].copy, live[c][i])) + DS_HEAP_TAG_BYTES) >> NR_REF_UNIT_SHIFT;
	}
	if (root_of(c)->value_units != units)
		fz_fail("the copy's count of units");
}

static uint64_t
older(void)
{
	return applied[0] < applied[1] ? applied[0] : applied[1];
}

static size_t
draw_bytes(void)
{
	uint32_t	what = fz_take(1);
	size_t		extent = (size_t) 1 << pair.shared.config.extent_shift;

	if (what < 200)
		return 1 + what * (1 + what % 13);
	return what < 250 ? fz_take(2) % extent : extent - DS_HEAP_TAG_BYTES - DS_VALUE_TAIL_BYTES + what - 253;
}

static Batch *
draw_batch(uint64_t seq)
{
	Batch	   *b = &batches[seq % LAG_MAX];
	uint32_t	what = fz_take(1);
	uint32_t	behind = what & 1 ? fz_below(10) : 0;

	*b = (Batch) {.n = 1 + what / 4 % STEPS_MAX};
	b->floor = (what & 2) == 0 && older() > behind ? older() - behind : 0;
	if (what >= 160)
		b->grants = what % 4;
	else if (what >= 130)
		b->releases = what % 4;
	for (uint32_t i = 0; i < b->n; i++)
	{
		uint32_t	kind = fz_take(1);

		b->step[i].kind = kind < 140 ? TAKE : kind < 250 ? DROP : DROP_ALL;
		b->step[i].i = kind;
		if (b->step[i].kind == TAKE)
			b->step[i].bytes = draw_bytes();
	}
	return b;
}

static void
apply(uint32_t c, Batch *b, uint64_t seq, NrPass pass)
{
	NrCopy	   *copy = &pair.copy[c].copy;
	uint32_t	before;

	copy->pass = pass;
	copy->seq = seq;
	if (pass != NR_PASS_SECOND)
	{
		harness_grant(&pair.shared, b->grants);
		harness_release(&pair.shared, b->releases);
	}
	before = copy->shared->deferred;
	if (pass == NR_PASS_FIRST && b->floor > 0)
		ds_value_reclaim(copy, b->floor);
	if (copy->shared->deferred > before)
		fz_fail("more is set aside after it was reclaimed");
	/* first what may be used again, then who is given it */
	check_held(pass == NR_PASS_FIRST ? b->floor : 0);
	for (uint32_t i = 0; i < b->n; i++)
		apply_step(c, &b->step[i], seq, pass);
	check_held(0);
	check(c);
}

static void
step(uint32_t c)
{
	bool		second;

	if (applied[c] >= older() + LAG_MAX - 1)
		c = 1 - c;
	second = applied[c] < applied[1 - c];
	apply(c, second ? &batches[applied[c] % LAG_MAX] : draw_batch(applied[c]), applied[c],
		  second ? NR_PASS_SECOND : NR_PASS_FIRST);
	applied[c]++;
	if (applied[0] == applied[1] && (n_live[0] != n_live[1] || memcmp(live[0], live[1], n_live[0] * sizeof(NrRef)) != 0))
		fz_fail("the copies refer to different blocks");
}

static void
load(uint32_t n)
{
	for (; n > 0; n--)
	{
		Batch	   *b = draw_batch(0);

		apply(0, b, 0, NR_PASS_ONLY);
		if (pair.copy[0].copy.shared->deferred != 0)
			fz_fail("a load sets something aside");
	}
	pair_sync(&pair);
	memcpy(live[1], live[0], sizeof(live[0]));
	n_live[1] = n_live[0];
	check(1);
}

/* Everything is dropped, both copies pass, and all of it is reclaimed. */
static void
empty(void)
{
	static Batch drop = {.n = 1,.step = {{.kind = DROP_ALL}}};
	static Batch nothing;

	while (applied[0] != applied[1])
		step(applied[0] < applied[1] ? 0 : 1);
	apply(0, &drop, applied[0]++, NR_PASS_FIRST);
	apply(1, &drop, applied[1]++, NR_PASS_SECOND);
	nothing.floor = applied[0];
	apply(0, &nothing, applied[0], NR_PASS_FIRST);
	if (n_held != 0 || harness_in_use(&pair.shared) != 1 || pair.copy[0].copy.shared->deferred != 0)
		fz_fail("a block or an extent is lost");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t shared[] = {1, 2, 3, 4, 6, 10, 30, 80};
	NrCopyConfig config = {.extents_max = 2,.arg_bytes = sizeof(DsHashArg)};
	DsHashArg	arg = {.line_bytes = 64};
	uint32_t	shape;

	fz_begin(data, size);
	shape = fz_take(1);
	config.extent_shift = 12 + fz_below(4);
	config.shared_max = shared[shape % 8];
	memcpy(config.arg, &arg, sizeof(arg));
	pair_make(&pair, &ds_hash_dispatch, &config, shape);
	applied[0] = applied[1] = (shape & 128) != 0 ? UINT32_MAX - 20 : 0;
	n_live[0] = n_live[1] = n_held = 0;
	harness_grant(&pair.shared, shape / 8 % 8);
	if (shape & 64)
		load(fz_below(16));
	while (fz_left() > 0)
	{
		uint32_t	what = fz_take(1);

		step(what % 5 < 2 ? 0 : what % 5 < 4 ? 1 : applied[0] < applied[1]);
	}
	empty();
	pair_free(&pair);
	return 0;
}

#ifndef NR_FUZZER
int
main(int argc, char **argv)
{
	return fz_main("fuzz_value", 1, argc, argv);
}
#endif
