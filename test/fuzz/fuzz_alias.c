/*
 * fuzz_alias.c
 *		ds_hash whose two copies share their long entries, each at its own position of one log,
 *		against a reference for each.
 *
 * The input decides what is written, which copy goes on (the one ahead with a new batch, the
 * other one with the next of those it has missed), how far what was dropped may be reclaimed, how
 * much memory of each kind there is and when it comes and goes, whether a load came first, and whether numbers
 * are about to wrap.  After each batch: both copies are verified and have their model's counts,
 * answers of the second pass are those of the first, what was dropped keeps its bytes
 * until it may be reclaimed, and copies at one position have the same checksum.
 */
#include "copy_watch.h"
#include "hash_model.h"

#include <stdlib.h>

#define OPS_MAX		4
#define LAG_MAX		32

/* What the engine puts into the log. */
typedef struct Batch
{
	uint64_t	floor;
	uint64_t	order_seq;
	uint64_t	horizon;
	uint32_t	grants;
	uint32_t	releases;
	uint32_t	shared_grants;
	uint32_t	shared_releases;
	uint32_t	n;
	size_t		bytes;
	HashAnswer	answer[OPS_MAX];	/* of the first pass */
	char	   *ops;
} Batch;

static CopyPair pair;
static HashModel model[2];
static uint64_t applied[2];
static Batch batches[LAG_MAX];
static CopyWatch watch;
static uint64_t horizon;
static bool starving;

/* ---- checks ---- */

static void
check(bool all)
{
	for (uint32_t c = 0; c < 2; c++)
	{
		CopyHarness *h = &pair.copy[c];
		const char *broken = h->dispatch->verify(&h->copy);

		if (!broken && all)
			broken = ref_compare(&model[c].map, h);
		if (broken)
			fz_fail(broken);
		model_look(&model[c], h->dispatch, &h->copy, NULL);
	}
	if (applied[0] == applied[1] &&
		ds_hash_dispatch.checksum(&pair.copy[0].copy) != ds_hash_dispatch.checksum(&pair.copy[1].copy))
		fz_fail("the copies are at one position and differ");
}

/* ---- the log ---- */

static uint64_t
older(void)
{
	return applied[0] < applied[1] ? applied[0] : applied[1];
}

static uint32_t
lacking(uint32_t need, const CopyHarness *h)
{
	return need > h->copy.table->free_count ? need - h->copy.table->free_count : 0;
}

/* The next batch, for a copy that is ahead or level. */
static Batch *
draw_batch(uint32_t c)
{
	static char ops[OPS_MAX * MODEL_OP_MAX];
	Batch	   *b = &batches[applied[c] % LAG_MAX];
	uint32_t	what = fz_take(1);
	uint32_t	behind = what % 4 == 0 ? fz_below(20) : 0;
	NrNeed		need;

	free(b->ops);
	*b = (Batch) {.n = 1 + what / 8 % OPS_MAX};
	b->floor = (what & 4) == 0 && older() > behind ? older() - behind : 0;
	if (what >= 140)
	{
		uint32_t	how = fz_take(1);

		b->order_seq = horizon + how % 12;
		horizon += how >> 4;
		b->horizon = horizon;
	}
	for (uint32_t i = 0; i < b->n; i++)
	{
		NrOpHeader *op = (NrOpHeader *) (ops + b->bytes);

		b->bytes += model_draw(&model[c], op, b->order_seq != 0 ? MODEL_ORDERED : 0);
		op->order_seq = b->order_seq;
	}
	b->ops = malloc(b->bytes);
	memcpy(b->ops, ops, b->bytes);
	need = ds_hash_dispatch.need_ops(&pair.copy[c].config, b->ops, b->bytes, b->n, b->order_seq != 0);
	b->grants = starving ? fz_below(6) / 4 : lacking(need.extents, &pair.copy[c]);
	b->shared_grants = starving ? fz_below(6) / 4 : lacking(need.shared, &pair.shared);
	if (fz_often(20))
	{
		b->grants = b->shared_grants = 0;
		b->releases = fz_below(4);
		b->shared_releases = fz_below(4);
	}
	return b;
}

/* ---- applying ---- */

static void
apply_op(uint32_t c, Batch *b, uint32_t i, const NrOpHeader *op, NrPass pass, bool enough)
{
	static char data[DS_HASH_RESPONSE_MAX];
	CopyHarness *h = &pair.copy[c];
	NrResponse	resp = {.data = data,.capacity = sizeof(data)};
	HashAnswer	a = model_answer(h->dispatch->dispatch_mut(&h->copy, op, &resp), &resp);

	fz_step();
	if (pass == NR_PASS_SECOND)
		model_expect(a, b->answer[i], "the second pass answers something else");
	b->answer[i] = a;
	if (a.status == NR_NO_SPACE && enough)
		fz_fail("no space, with all that may be needed");
	if (a.status != NR_NO_SPACE)
		model_expect(a, model_apply(&model[c], op), "the answer is not the reference's");
	model_look(&model[c], h->dispatch, &h->copy, op);
}

static void
apply(uint32_t c, Batch *b, uint64_t seq, NrPass pass)
{
	CopyHarness *h = &pair.copy[c];
	NrNeed		need = h->dispatch->need_ops(&h->config, b->ops, b->bytes, b->n, b->order_seq != 0);
	const char *at = b->ops;
	bool		enough;

	watch_begin(&watch, &h->copy);
	h->copy.pass = pass;
	h->copy.seq = seq;
	harness_grant(h, b->grants);
	harness_release(h, b->releases);
	if (pass != NR_PASS_SECOND)
	{
		harness_grant(&pair.shared, b->shared_grants);
		harness_release(&pair.shared, b->shared_releases);
	}
	if (pass == NR_PASS_FIRST && b->floor > 0)
		h->dispatch->reclaim(&h->copy, b->floor);
	if (b->order_seq != 0)
		h->dispatch->ordered(&h->copy, b->horizon);
	enough = pass != NR_PASS_SECOND && h->copy.table->free_count >= need.extents &&
		pair.shared.copy.table->free_count >= need.shared;
	for (uint32_t i = 0; i < b->n; i++)
	{
		apply_op(c, b, i, (const NrOpHeader *) at, pass, enough);
		at += ((const NrOpHeader *) at)->bytes;
	}
	if (pass == NR_PASS_FIRST)
		watch_end(&watch, &h->copy, seq);
	if (!watch_holds(&watch, pass == NR_PASS_FIRST ? b->floor : 0))
		fz_fail("what was dropped has changed before everybody had passed it");
}

/* The copy that is level or ahead applies a new batch, the other one the next of those that it has missed. */
static void
step(uint32_t c)
{
	uint64_t	seq = applied[c];
	bool		second;

	if (seq >= older() + LAG_MAX - 1)
	{
		c = 1 - c;
		seq = applied[c];
	}
	second = seq < applied[1 - c];
	apply(c, second ? &batches[seq % LAG_MAX] : draw_batch(c), seq, second ? NR_PASS_SECOND : NR_PASS_FIRST);
	applied[c]++;
	check(false);
}

/* Only one copy, and what is dropped can be used again at once. */
static void
load(uint32_t n)
{
	for (; n > 0; n--)
	{
		Batch	   *b = draw_batch(0);
		char	   *at = b->ops;
		const char *broken;

		b->releases = b->shared_releases = 0;
		b->order_seq = b->horizon = 0;
		for (uint32_t i = 0; i < b->n; i++, at += ((NrOpHeader *) at)->bytes)
			((NrOpHeader *) at)->order_seq = 0;
		apply(0, b, 0, NR_PASS_ONLY);
		harness_grant(&pair.copy[1], b->grants);
		broken = ds_hash_dispatch.verify(&pair.copy[0].copy);
		if (broken)
			fz_fail(broken);
		if (pair.shared.copy.table->deferred != 0)
			fz_fail("a load sets something aside");
	}
	pair_sync(&pair);
	model_copy(&model[1], &model[0]);
	check(true);
}

/* All numbers begin so far below where 32 bits end. */
static void
begin_near_the_end(uint32_t left)
{
	DsValueRoot *v = (DsValueRoot *) pair.shared.copy.root;

	v->number = v->drops = UINT32_MAX - left;
	for (uint32_t c = 0; c < 2; c++)
	{
		ds_hash_root(&pair.copy[c].copy)->value_number = v->number;
		ds_hash_root(&pair.copy[c].copy)->value_drops = v->drops;
		applied[c] = UINT32_MAX - left;
	}
}

/* Empty it, let both copies pass that, and reclaim: nothing is left in use. */
static void
empty(void)
{
	const DsHeap *heap = (const DsHeap *) (pair.shared.copy.root + sizeof(DsValueRoot));

	while (applied[0] != applied[1])
		step(applied[0] < applied[1] ? 0 : 1);
	check(true);
	for (int lap = 0; lap < 2; lap++)
	{
		Batch	   *b = draw_batch(0);

		*b = (Batch) {.n = 1,.ops = b->ops,.floor = lap == 1 ? applied[0] : 0};
		b->bytes = ds_hash_op_truncate(b->ops);
		apply(0, b, applied[0]++, NR_PASS_FIRST);
		step(1);
	}
	if (harness_in_use(&pair.shared) != 1 || heap->used_blocks != 0 || pair.shared.copy.table->deferred != 0)
		fz_fail("a block or an extent is lost");
}

static bool
open_pair(void)
{
	static const uint32_t extents[] = {2, 3, 4, 5, 6, 8, 12, 40};
	static const uint32_t shared[] = {1, 2, 3, 4, 5, 8, 16, 60};
	NrCopyConfig config = {.arg_bytes = sizeof(DsHashArg)};
	uint32_t	shape = fz_take(1);
	uint32_t	more = fz_take(1);
	DsHashArg	arg = {.seed = model_seed(more),.line_bytes = 64u << more / 2 % 3};

	config.extent_shift = 12 + fz_below(4);
	config.extents_max = extents[shape % 8];
	config.shared_max = shared[shape / 8 % 8];
	starving = (shape & 64) != 0;
	memcpy(config.arg, &arg, sizeof(arg));
	if (nr_extent_table_bytes(config.extents_max) + ds_hash_dispatch.size(&config) > (size_t) 1 << config.extent_shift ||
		nr_extent_table_bytes(config.shared_max) + ds_hash_dispatch.shared_size(&config) > (size_t) 1 << config.extent_shift)
		return false;
	pair_make(&pair, &ds_hash_dispatch, &config, shape + 1);
	model_open(&model[0], config.extent_shift, arg.seed);
	model_open(&model[1], config.extent_shift, arg.seed);
	memset(batches, 0, sizeof(batches));
	applied[0] = applied[1] = watch.n = 0;
	horizon = 1;
	if (more >= 192)
		load(more % 16);
	if (more % 64 >= 48)
		begin_near_the_end(more % 16);
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fz_begin(data, size);
	if (!open_pair())
		return 0;
	while (fz_left() > 0)
	{
		uint32_t	what = fz_take(1);

		if (what < 250)
			step(what % 5 < 2 ? 0 : what % 5 < 4 ? 1 : applied[0] < applied[1]);
		else
			check(true);
	}
	empty();
	for (uint32_t i = 0; i < LAG_MAX; i++)
		free(batches[i].ops);
	model_close(&model[0]);
	model_close(&model[1]);
	pair_free(&pair);
	return 0;
}

#ifndef NR_FUZZER
int
main(int argc, char **argv)
{
	return fz_main("fuzz_alias", 1, argc, argv);
}
#endif
