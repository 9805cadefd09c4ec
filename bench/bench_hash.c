/*
 * bench_hash.c
 *		ds_hash alone, in one thread: ns per operation and bytes per entry.
 *
 * Numbers of different machines say nothing; ratios within one run do.  Keys
 * are visited in random order; the loop that only makes keys and hashes is
 * timed, too, and printed for comparison.
 */
#include "ds/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* With NR_BENCH_SMOKE in the environment all ways are gone once, with a hundredth to do. */
static uint32_t scale = 1;

#define EXTENT_SHIFT	18
#define EXTENTS			(scale > 1 ? 64u : 1024u)
#define SEED			42

typedef struct Bench
{
	NrCopy		copy;
	NrCopyConfig config;
	uint32_t	n;
	uint32_t	key_bytes;
	char	  (*key)[16];
	char	  (*no_key)[16];	/* others, none of them in the table */
	uint64_t	seq;			/* last order number */
	uint32_t   *order;			/* ORDER_MAX random key numbers */
} Bench;

#define GETS		(4000000 / scale)
#define ORDER_MAX	(1u << 20)
/* few for small tables, so that the order itself stays in the cache */
#define ORDER_MASK	(b->n > 100000 ? 0xfffffu : 0x3fffu)

static double
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double) t.tv_sec * 1e9 + (double) t.tv_nsec;
}

/* A copy with all its extents granted at once. */
static void
make_copy(Bench *b, uint32_t line_bytes)
{
	size_t		bytes = (size_t) EXTENTS << EXTENT_SHIFT;
	DsHashArg	arg = {.seed = SEED, .line_bytes = line_bytes};
	NrExtentTable *t;
	char	   *region = aligned_alloc(1 << 21, bytes);

	memset(region, 1, bytes);
	memset(region, 0, (size_t) 1 << EXTENT_SHIFT);
	b->config = (NrCopyConfig) {.extent_shift = EXTENT_SHIFT, .extents_max = EXTENTS, .arg_bytes = sizeof(arg)};
	memcpy(b->config.arg, &arg, sizeof(arg));
	t = (NrExtentTable *) region;
	t->capacity = EXTENTS;
	t->free_head = 1;
	t->free_count = EXTENTS - 1;
	t->mapped_count = EXTENTS;
	t->unused_head = NR_NO_EXTENT;
	t->root_bytes = (uint32_t) ds_hash_dispatch.size(&b->config);
	for (uint32_t e = 0; e < EXTENTS; e++)
	{
		t->words[e] = e;
		t->words[EXTENTS + e] = e + 1 < EXTENTS ? e + 1 : NR_NO_EXTENT;
	}
	b->copy = (NrCopy) {.region = region, .extent_shift = EXTENT_SHIFT,
		.ref_shift = EXTENT_SHIFT - NR_REF_UNIT_SHIFT, .table = t, .map = t->words,
		.root = region + nr_extent_table_bytes(EXTENTS)};
	ds_hash_dispatch.init(&b->copy, &b->config);
}

/* What order numbers the puts of bench_put have. */
typedef enum Order
{
	ORDER_NONE,
	ORDER_ALONE,				/* nothing older is in flight: no notes */
	ORDER_FEW,					/* four batches are in flight: a note each, and one dropped */
	ORDER_HANGING				/* one batch never ends: a note each, and all are kept */
} Order;

#define BATCH 100

static double
bench_put(Bench *b, Order order)
{
	uint64_t	stays = b->seq + 1;
	uint64_t	op[32];
	uint64_t	value = 7;
	NrResponse	resp = {0};
	double		t = now_ns();

	for (uint32_t i = 0; i < b->n; i++)
	{
		ds_hash_op_put(op, ds_hash_key(SEED, b->key[i], b->key_bytes), b->key[i], b->key_bytes, &value, 8, 0);
		if (order != ORDER_NONE)
		{
			if (i % BATCH == 0)
				ds_hash_dispatch.ordered(&b->copy, order == ORDER_HANGING ? stays :
										 order == ORDER_FEW ? b->seq - 3 : b->seq + 2);
			b->seq += i % BATCH == 0;
			((NrOpHeader *) op)->order_seq = b->seq;
		}
		if (ds_hash_dispatch.dispatch_mut(&b->copy, (NrOpHeader *) op, &resp) != NR_OK)
			abort();
	}
	return (now_ns() - t) / b->n;
}

/* Independent gets. */
static double
bench_get(Bench *b, bool missing)
{
	const char (*keys)[16] = (const char (*)[16]) (missing ? b->no_key : b->key);
	uint64_t	out = 0;
	uint64_t	sum = 0;
	double		t = now_ns();

	for (uint32_t i = 0; i < GETS; i++)
	{
		const char *key = keys[b->order[i & ORDER_MASK]];
		DsHashGet	get = {.code = DS_HASH_GET, .key_bytes = b->key_bytes, .key = key, .out = &out, .capacity = 8};

		get.hash = ds_hash_key(SEED, key, b->key_bytes);
		ds_hash_dispatch.dispatch(&b->copy, &get, NULL);
		sum += get.found;
	}
	if (sum != (missing ? 0 : GETS))
		abort();
	return (now_ns() - t) / GETS;
}

/* Key and hash only: what bench_get costs without a table. */
static double
bench_loop(Bench *b)
{
	volatile uint64_t sink;
	uint64_t	sum = 0;
	double		t = now_ns();

	for (uint32_t i = 0; i < GETS; i++)
	{
		sum += ds_hash_key(SEED, b->key[b->order[i & ORDER_MASK]], b->key_bytes);
	}
	sink = sum;
	(void) sink;
	return (now_ns() - t) / GETS;
}

#define MANY 256

static double
bench_get_many(Bench *b)
{
	static char out[MANY * 8];
	const void *key[MANY];
	uint32_t	key_bytes[MANY];
	uint64_t	hash[MANY];
	size_t		at[MANY];
	int64_t		length[MANY];
	DsHashGetMany get = {.code = DS_HASH_GET_MANY, .n = MANY, .key = key, .key_bytes = key_bytes,
		.hash = hash, .out = out, .capacity = sizeof(out), .at = at, .length = length};
	double		t = now_ns();

	for (uint32_t i = 0; i < GETS / MANY * MANY; i += MANY)
	{
		for (uint32_t k = 0; k < MANY; k++)
		{
			key[k] = b->key[b->order[(i + k) & ORDER_MASK]];
			key_bytes[k] = b->key_bytes;
			hash[k] = ds_hash_key(SEED, key[k], b->key_bytes);
		}
		ds_hash_dispatch.dispatch(&b->copy, &get, NULL);
		if (get.found != MANY)
			abort();
	}
	return (now_ns() - t) / GETS;
}

static double
bench_delete(Bench *b)
{
	uint64_t	op[32];
	NrResponse	resp = {0};
	double		t = now_ns();

	for (uint32_t i = 0; i < b->n; i++)
	{
		ds_hash_op_delete(op, ds_hash_key(SEED, b->key[i], b->key_bytes), b->key[i], b->key_bytes);
		ds_hash_dispatch.dispatch_mut(&b->copy, (NrOpHeader *) op, &resp);
		if (!resp.flag)
			abort();
	}
	return (now_ns() - t) / b->n;
}

static void
bench(const char *name, uint32_t n, uint32_t key_bytes, uint32_t line_bytes)
{
	Bench		b = {.n = n, .key_bytes = key_bytes};
	DsHashStat	stat = {.code = DS_HASH_STAT};
	double		put;
	double		replace;
	double		hit;
	uint64_t	random = 1;

	make_copy(&b, line_bytes);
	b.key = calloc(n, 16);
	b.no_key = calloc(n, 16);
	b.order = calloc(ORDER_MAX, sizeof(uint32_t));
	for (uint32_t i = 0; i < n; i++)
	{
		if (key_bytes == 8)
			memcpy(b.key[i], &(uint64_t) {i}, 8);
		else
		{
			char		text[32];

			snprintf(text, sizeof(text), "customer%08u", i);
			memcpy(b.key[i], text, 16);
		}
		memcpy(b.no_key[i], b.key[i], 16);
		b.no_key[i][7] ^= 64;
	}
	for (uint32_t i = 0; i < ORDER_MAX; i++)
	{
		random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
		b.order[i] = (uint32_t) ((random >> 33) % n);
	}
	put = bench_put(&b, ORDER_NONE);
	replace = bench_put(&b, ORDER_NONE);
	ds_hash_dispatch.dispatch(&b.copy, &stat, NULL);
	hit = bench_get(&b, false);
	hit = bench_get(&b, false) < hit ? bench_get(&b, false) : hit;
	printf("%-8s %8u keys, lines of %3u: get %5.1f  miss %5.1f  many %5.1f  (loop %4.1f)  put new %5.1f  replace %5.1f",
		   name, n, line_bytes, hit, bench_get(&b, true), bench_get_many(&b), bench_loop(&b), put, replace);
	printf("  delete %5.1f ns; %.1f bytes/entry, %.1f%% overflow lines\n", bench_delete(&b),
		   (double) (stat.buckets * line_bytes + stat.heap_used_bytes) / (double) stat.entries,
		   100.0 * (double) stat.overflow_lines / (double) stat.buckets);
	free(b.key);
	free(b.no_key);
	free(b.order);
	free(b.copy.region);
}

/* Replacing puts with order numbers over those without, each the best of three. */
static void
bench_order(uint32_t n, uint32_t line_bytes)
{
	static const char *const name[] = {"without", "nothing older", "few in flight", "one hangs"};
	Bench		b = {.n = n, .key_bytes = 8, .seq = 1000};
	double		best[4] = {1e9, 1e9, 1e9, 1e9};

	make_copy(&b, line_bytes);
	b.key = calloc(n, 16);
	for (uint64_t i = 0; i < n; i++)
	{
		/* in no order that the table has, too */
		uint64_t	key = i * UINT64_C(0x9e3779b97f4a7c15);

		memcpy(b.key[i], &key, 8);
	}
	bench_put(&b, ORDER_NONE);
	for (int round = 0; round < 3; round++)
		for (Order order = ORDER_NONE; order <= ORDER_HANGING; order++)
		{
			double		t = bench_put(&b, order);

			best[order] = t < best[order] ? t : best[order];
			/* no notes for the next */
			for (uint32_t i = 0; i <= n / 16 + 1; i++)
				ds_hash_dispatch.ordered(&b.copy, b.seq + 1);
		}
	printf("order    %8u keys, lines of %3u: put", n, line_bytes);
	for (Order order = ORDER_NONE; order <= ORDER_HANGING; order++)
		printf("  %s %5.1f ns (%.2f)", name[order], best[order], best[order] / best[ORDER_NONE]);
	printf("\n");
	free(b.key);
	free(b.copy.region);
}

int
main(void)
{
	if (getenv("NR_BENCH_SMOKE") != NULL)
		scale = 100;
	for (uint32_t line_bytes = 64; line_bytes <= 256; line_bytes *= 2)
	{
		bench("bigint", 10000, 8, line_bytes);
		bench("bigint", 1000000 / scale, 8, line_bytes);
		bench("text16", 10000, 16, line_bytes);
		bench("text16", 1000000 / scale, 16, line_bytes);
	}
	bench_order(1000, 64);
	bench_order(10000, 64);
	bench_order(1000000 / scale, 64);
	return 0;
}
