/*
 * test_value.c
 *		ds_hash whose two copies share their long entries, without the engine: against a
 *		model, with any lag between the copies and with memory so short that writes are
 *		refused all the time.
 *
 * Whichever copy is ahead applies a batch for the first time, the other one follows when it
 * likes.  Watched besides: what has been dropped keeps its bytes until a batch says
 * that everybody has passed it.  NR_TEST_LONG=n multiplies the runs.
 */
#include "copy_reference.h"
#include "copy_watch.h"
#include "tap.h"

#include <stdlib.h>

#define SEED		42
#define KEYS		60
#define OPS_MAX		4
#define OP_BYTES	9216
#define LAG_MAX		48
#define ANSWER_MAX	256

typedef struct Answer
{
	NrStatus	status;
	bool		flag;
	uint32_t	length;
	uint64_t	sum;			/* of the bytes that fit */
} Answer;

/* What the engine puts into the log. */
typedef struct Batch
{
	uint64_t	floor;
	uint64_t	order_seq;
	uint64_t	horizon;
	uint32_t	grants;
	uint32_t	releases;
	uint32_t	n;
	Answer		answer[OPS_MAX];	/* of the first pass */
	_Alignas(8) char ops[OPS_MAX][OP_BYTES];
} Batch;

/* What a table must hold, order numbers included. */
typedef struct Model
{
	RefMap		map;
	uint64_t	last_seq[KEYS];
	uint64_t	truncate_seq;
} Model;

typedef struct Run
{
	CopyPair	pair;
	Model		model[2];
	uint64_t	applied[2];
	Batch		log[LAG_MAX];
	CopyWatch	watch;
	uint64_t	random;
	uint64_t	horizon;
	uint32_t	value_max;
	bool		ordered;
	bool		lagged;			/* floors lie behind, as other replicas do */
	const char *broken;
	/* what happened */
	uint32_t	refused;
	uint32_t	stored;
	uint32_t	truncates;
	uint32_t	spared;
	uint32_t	held;			/* blocks that were watched over a batch */
	uint32_t	older_read;		/* entries of the older copy that were dropped by the newer one */
} Run;

static Run	run;

static uint64_t
below(uint64_t n)
{
	return harness_random(&run.random) % n;
}

static void
fail(const char *what)
{
	if (!run.broken)
		run.broken = what;
}

static size_t
make_key(uint32_t number, char *key)
{
	uint64_t	random = number + 1;
	size_t		bytes = number % 4 == 0 ? 8 : number % 4 == 1 ? 100 : 8 + number;

	memcpy(key, &(uint64_t) {number}, 8);
	for (size_t i = 8; i < bytes; i++)
		key[i] = (char) harness_random(&random);
	return bytes;
}

static uint32_t
key_number(const NrOpHeader *op)
{
	uint64_t	number;

	memcpy(&number, (const DsHashOp *) nr_op_payload(op) + 1, 8);
	return (uint32_t) number;
}

/* ---- the model ---- */

static bool
too_late(const Model *m, const NrOpHeader *op)
{
	return op->order_seq != 0 &&
		(op->order_seq < m->truncate_seq ||
		 (op->code != DS_HASH_TRUNCATE && op->order_seq < m->last_seq[key_number(op)]));
}

static Answer
model_truncate(Model *m, uint64_t order_seq)
{
	Answer		a = {.flag = m->map.entries > 0};

	for (uint32_t k = 0; k < KEYS; k++)
	{
		char		key[256];
		size_t		key_bytes = make_key(k, key);

		if (order_seq == 0 || m->last_seq[k] <= order_seq)
		{
			ref_delete(&m->map, key, key_bytes);
			m->last_seq[k] = 0;
		}
		else
			run.spared += ref_get(&m->map, key, key_bytes) != NULL;
	}
	if (order_seq != 0)
		m->truncate_seq = order_seq;
	return a;
}

/* The answer of one operation that has the memory. */
static Answer
model_apply(Model *m, const NrOpHeader *op)
{
	const DsHashOp *body = nr_op_payload(op);
	const char *key = (const char *) (body + 1);
	char		data[ANSWER_MAX];
	NrResponse	resp = {.data = data,.capacity = sizeof(data)};
	Answer		a = {0};
	bool		there;

	if (too_late(m, op))
		return a;
	if (op->code == DS_HASH_TRUNCATE)
		return model_truncate(m, op->order_seq);
	if (op->code >= DS_HASH_SWAP)
	{
		a.status = ref_update(&m->map, op, &resp);
		a.flag = resp.flag;
		a.length = resp.length;
		a.sum = resp.length <= sizeof(data) ? ds_hash_key(0, data, resp.length) : 0;
		return a;
	}
	there = ref_get(&m->map, key, body->key_bytes) != NULL;
	if (op->order_seq != 0)
		m->last_seq[key_number(op)] = op->order_seq;
	if (op->code == DS_HASH_DELETE)
	{
		a.flag = ref_delete(&m->map, key, body->key_bytes);
		return a;
	}
	if (there ? op->flags == DS_HASH_IF_ABSENT : op->flags == DS_HASH_IF_PRESENT)
		return a;
	a.flag = op->flags == DS_HASH_IF_PRESENT || !there;
	ref_put(&m->map, key, body->key_bytes, key + body->key_bytes, body->value_bytes);
	return a;
}

static bool
same_answer(Answer a, Answer b)
{
	return a.status == b.status && a.flag == b.flag && a.length == b.length && a.sum == b.sum;
}

/* ---- operations ---- */

static void
make_op(char *to)
{
	static char value[OP_BYTES];
	char		key[256];
	size_t		key_bytes = make_key((uint32_t) below(below(3) ? 8 : KEYS), key);
	size_t		value_bytes = below(3) ? below(run.value_max) : below(60);
	uint64_t	hash = ds_hash_key(SEED, key, key_bytes);
	int64_t		by = 1;

	for (size_t i = 0; i < value_bytes; i += 8)
		*(uint64_t *) (value + i) = harness_random(&run.random);
	switch (below(run.ordered ? 14 : 20))
	{
		case 0:
		case 1:
		case 2:
			ds_hash_op_delete(to, hash, key, key_bytes);
			break;
		case 3:
			if (below(6) == 0)
				ds_hash_op_truncate(to);
			else
				ds_hash_op_delete(to, hash, key, key_bytes);
			break;
		case 4:
			ds_hash_op_put(to, hash, key, key_bytes, value, value_bytes, (uint16_t) (1 + below(2)));
			break;
		case 14:
		case 15:
			ds_hash_op_swap(to, hash, key, key_bytes, value, value_bytes);
			break;
		case 16:
			ds_hash_op_cas(to, hash, key, key_bytes, NULL, 0, value, value_bytes);
			break;
		case 17:
			ds_hash_op_add(to, hash, key, key_bytes, DS_HASH_INT8, &by);
			break;
		default:
			ds_hash_op_put(to, hash, key, key_bytes, value, value_bytes, 0);
	}
}

static uint64_t
older(void)
{
	return run.applied[0] < run.applied[1] ? run.applied[0] : run.applied[1];
}

/* The next batch; "seq" is its place in the log. */
static Batch *
make_batch(uint64_t seq)
{
	Batch	   *b = &run.log[seq % LAG_MAX];
	uint64_t	behind = run.lagged ? below(20) : 0;
	uint64_t	first = run.horizon;

	*b = (Batch) {.n = 1 + (uint32_t) below(OPS_MAX)};
	b->floor = below(4) == 0 ? 0 : older() > behind ? older() - behind : 0;
	b->grants = below(3) == 0 ? (uint32_t) below(3) : 0;
	b->releases = below(8) == 0 ? (uint32_t) below(4) : 0;
	if (run.ordered && below(10) > 0)
	{
		b->order_seq = first + below(12);
		run.horizon += below(8);
		b->horizon = run.horizon <= b->order_seq ? run.horizon : b->order_seq + 1;
		run.horizon = b->horizon;
	}
	for (uint32_t i = 0; i < b->n; i++)
	{
		make_op(b->ops[i]);
		((NrOpHeader *) b->ops[i])->order_seq = b->order_seq;
	}
	return b;
}

/* ---- applying ---- */

static Answer
apply_op(CopyHarness *h, const char *op)
{
	char		data[ANSWER_MAX];
	NrResponse	resp = {.data = data,.capacity = sizeof(data)};
	Answer		a = {.status = h->dispatch->dispatch_mut(&h->copy, (const NrOpHeader *) op, &resp)};

	a.flag = resp.flag;
	a.length = resp.length;
	if (((const NrOpHeader *) op)->code >= DS_HASH_SWAP)
		a.sum = resp.length <= sizeof(data) ? ds_hash_key(0, data, resp.length) : 0;
	return a;
}

static void
apply(uint32_t c, Batch *b, uint64_t seq, NrPass pass)
{
	CopyHarness *h = &run.pair.copy[c];

	watch_begin(&run.watch, &h->copy);
	h->copy.pass = pass;
	h->copy.seq = seq;
	harness_grant(h, b->grants);
	harness_release(h, b->releases);
	if (pass != NR_PASS_SECOND)
	{
		harness_grant(&run.pair.shared, b->grants);
		harness_release(&run.pair.shared, b->releases);
	}
	if (pass == NR_PASS_FIRST && b->floor > 0)
		h->dispatch->reclaim(&h->copy, b->floor);
	if (b->order_seq != 0)
		h->dispatch->ordered(&h->copy, b->horizon);
	for (uint32_t i = 0; i < b->n; i++)
	{
		const NrOpHeader *op = (const NrOpHeader *) b->ops[i];
		Answer		a = apply_op(h, b->ops[i]);

		if (pass == NR_PASS_SECOND && !same_answer(a, b->answer[i]))
			fail("the second pass answers something else");
		b->answer[i] = a;
		run.truncates += op->code == DS_HASH_TRUNCATE;
		if (a.status == NR_NO_SPACE)
			run.refused++;
		else if (!same_answer(a, model_apply(&run.model[c], op)))
			fail("the answer is not the model's");
		else
			run.stored++;
	}
	if (pass == NR_PASS_FIRST)
		watch_end(&run.watch, &h->copy, seq);
	if (!watch_holds(&run.watch, pass == NR_PASS_FIRST ? b->floor : 0))
		fail("what was dropped has changed before everybody had passed it");
	run.held += run.watch.n;
}

/* The copy that is level or ahead applies a new batch, the other one the next of those that it has missed. */
static void
step(uint32_t c)
{
	uint64_t	seq = run.applied[c];
	bool		second = seq < run.applied[1 - c];

	apply(c, second ? &run.log[seq % LAG_MAX] : make_batch(seq), seq, second ? NR_PASS_SECOND : NR_PASS_FIRST);
	run.applied[c]++;
}

/* Both copies hold what their models do, the older one what the newer one has dropped; all is sound. */
static void
check_all(void)
{
	uint32_t	ahead = run.applied[1] > run.applied[0];
	const char *broken;

	run.older_read += watch_dropped(&run.pair.copy[1 - ahead].copy, &run.pair.copy[ahead].copy);
	for (uint32_t c = 0; c < 2; c++)
	{
		CopyHarness *h = &run.pair.copy[c];

		broken = h->dispatch->verify(&h->copy);
		fail(broken ? broken : ref_compare(&run.model[c].map, h));
	}
	if (run.applied[0] == run.applied[1] &&
		ds_hash_dispatch.checksum(&run.pair.copy[0].copy) != ds_hash_dispatch.checksum(&run.pair.copy[1].copy))
		fail("the copies are at one position and differ");
}

/* A load: only one copy, and what is dropped can be used again at once. */
static void
load(uint32_t batches)
{
	for (uint32_t i = 0; i < batches && !run.broken; i++)
	{
		Batch	   *b = make_batch(run.applied[0]);
		const char *broken;

		b->releases = 0;
		b->order_seq = b->horizon = 0;
		for (uint32_t o = 0; o < b->n; o++)
			((NrOpHeader *) b->ops[o])->order_seq = 0;
		apply(0, b, 0, NR_PASS_ONLY);
		harness_grant(&run.pair.copy[1], b->grants);
		broken = ds_hash_dispatch.verify(&run.pair.copy[0].copy);
		fail(broken ? broken : ref_compare(&run.model[0].map, &run.pair.copy[0]));
		if (run.pair.copy[0].copy.shared->deferred != 0)
			fail("a load sets something aside");
	}
	pair_sync(&run.pair);
	for (uint32_t bucket = 0; bucket < REF_BUCKETS; bucket++)
		for (const RefEntry *e = run.model[0].map.bucket[bucket]; e; e = e->next)
			ref_put(&run.model[1].map, e->bytes, e->key_bytes, e->bytes + e->key_bytes, e->value_bytes);
	check_all();
}

/* Empty it, let both copies pass that, and reclaim: nothing is left in use. */
static void
empty(void)
{
	uint32_t	ahead = run.applied[1] > run.applied[0];
	const DsHeap *heap = (const DsHeap *) (run.pair.shared.copy.root + sizeof(DsValueRoot));

	for (int lap = 0; lap < 2 && !run.broken; lap++)
	{
		Batch	   *b = make_batch(run.applied[ahead]);

		b->n = 1;
		b->order_seq = b->horizon = 0;
		ds_hash_op_truncate(b->ops[0]);
		if (lap == 1)
		{
			if (run.pair.shared.copy.table->deferred == 0 && run.watch.block[0].seq == run.applied[0] - 1)
				fail("what was dropped is not reckoned as set aside");
			b->floor = run.applied[0];
		}
		apply(ahead, b, run.applied[ahead]++, NR_PASS_FIRST);
		while (run.applied[1 - ahead] < run.applied[ahead] && !run.broken)
			step(1 - ahead);
		check_all();
	}
	if (harness_in_use(&run.pair.shared) != 1 || heap->used_blocks != 0 || run.pair.shared.copy.table->deferred != 0)
		fail("a block or an extent is lost");
}

/* All numbers begin so far below where 32 bits end. */
static void
begin_near_the_end(uint32_t left)
{
	DsValueRoot *v = (DsValueRoot *) run.pair.shared.copy.root;

	v->number = v->drops = UINT32_MAX - left;
	for (uint32_t c = 0; c < 2; c++)
	{
		ds_hash_root(&run.pair.copy[c].copy)->value_number = v->number;
		ds_hash_root(&run.pair.copy[c].copy)->value_drops = v->drops;
		run.applied[c] = UINT32_MAX - left;
	}
}

static void
open_run(uint64_t seed, uint32_t extent_shift, uint32_t extents, uint32_t shared)
{
	NrCopyConfig config = {.extent_shift = extent_shift,.extents_max = extents,.shared_max = shared};
	DsHashArg	arg = {.seed = SEED,.line_bytes = 64u << seed % 3};

	memset(&run, 0, sizeof(run));
	run.random = seed;
	run.horizon = 1;
	config.arg_bytes = sizeof(arg);
	memcpy(config.arg, &arg, sizeof(arg));
	pair_make(&run.pair, &ds_hash_dispatch, &config, seed);
}

static void
close_run(void)
{
	ref_clear(&run.model[0].map);
	ref_clear(&run.model[1].map);
	pair_free(&run.pair);
}

static void
test_random(uint32_t seed, uint32_t steps)
{
	uint32_t	extent_shift = 12 + seed % 3;
	uint32_t	shared = 2 + seed % 7;
	bool		loaded = seed % 3 == 1;
	bool		wraps = seed % 5 == 2;

	open_run(seed, extent_shift, 4 + seed % 5, shared);
	run.value_max = (seed % 2 ? 800 : 2000) << (extent_shift - 12);
	run.ordered = seed % 4 == 3;
	run.lagged = seed % 6 == 4;
	if (loaded)
		load(60);
	if (wraps)
		begin_near_the_end(300);
	for (uint32_t i = 0; i < steps && !run.broken; i++)
	{
		uint32_t	c = (uint32_t) below(2);

		/* now and then one copy follows far behind, or both go side by side */
		if (i / 100 % 3 == 1)
			c = i / 300 % 2;
		if (run.applied[c] >= older() + LAG_MAX - 1)
			c = 1 - c;
		step(c);
		if (below(8) == 0)
			check_all();
	}
	if (!run.broken)
		empty();
	tap_ok(!run.broken && run.refused > steps / 100 && run.stored > steps && run.older_read > 0 && run.held > 0,
		   "seed %u, %u extents of 2^%u shared, values to %u%s%s%s%s: %s (%u refused, %u not, %u truncates, %u spared; %u times a block was "
		   "held, %u in the older copy only)", seed, shared, extent_shift, run.value_max, run.ordered ? ", ordered" : "",
		   run.lagged ? ", others lag" : "", loaded ? ", loaded" : "", wraps ? ", numbers wrap" : "",
		   run.broken ? run.broken : "as the model", run.refused, run.stored, run.truncates, run.spared, run.held, run.older_read);
	close_run();
}

int
main(void)
{
	const char *more = getenv("NR_TEST_LONG");
	uint32_t	times = more && atoi(more) > 0 ? (uint32_t) atoi(more) : 1;

	for (uint32_t seed = 1; seed <= 60 * times; seed++)
		test_random(seed, 1500);
	return tap_done();
}
