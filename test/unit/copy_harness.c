/*
 * copy_harness.c
 *		See copy_harness.h.
 */
#include "copy_harness.h"

#include <stdio.h>
#include <stdlib.h>

/* Longest operation that the ds_hash helpers build. */
#define OP_BYTES_MAX	(DS_HASH_KEY_MAX + (17u << 20))

uint64_t
harness_random(uint64_t *state)
{
	uint64_t	z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static void
garbage(CopyHarness *h, char *at, size_t bytes)
{
	uint64_t	word = harness_random(&h->random) | 1;

	for (size_t i = 0; i + sizeof(word) <= bytes; i += sizeof(word))
	{
		memcpy(at + i, &word, sizeof(word));
		word = word * UINT64_C(6364136223846793005) + 1442695040888963407u;
	}
}

/* The next unmapped logical number gets the next physical extent. */
static uint32_t
map_one(CopyHarness *h)
{
	NrExtentTable *t = h->copy.table;
	uint32_t	e = t->unused_head;

	if (e == NR_NO_EXTENT)
		return e;
	t->unused_head = t->words[t->capacity + e];
	t->words[e] = h->physical[--h->physical_count];
	t->mapped_count++;
	garbage(h, nr_extent_ptr(&h->copy, e), nr_extent_bytes(&h->copy));
	return e;
}

bool
harness_sound(const CopyHarness *h)
{
	const char *broken = h->dispatch->verify(&h->copy);

	if (broken)
		printf("# verify: %s\n", broken);
	return broken == NULL;
}

uint32_t
harness_grant(CopyHarness *h, uint32_t n)
{
	NrExtentTable *t = h->copy.table;
	uint32_t	i;

	for (i = 0; i < n; i++)
	{
		uint32_t	e = map_one(h);

		if (e == NR_NO_EXTENT)
			break;
		t->words[t->capacity + e] = t->free_head;
		t->free_head = e;
		t->free_count++;
	}
	return i;
}

void
harness_release(CopyHarness *h, uint32_t n)
{
	NrExtentTable *t = h->copy.table;

	for (; n > 0 && t->free_head != NR_NO_EXTENT; n--)
	{
		uint32_t	e = t->free_head;

		t->free_head = t->words[t->capacity + e];
		t->free_count--;
		t->mapped_count--;
		h->physical[h->physical_count++] = t->words[e];
		t->words[t->capacity + e] = t->unused_head;
		t->unused_head = e;
	}
}

void
harness_reclaim(CopyHarness *h)
{
	harness_release(h, UINT32_MAX);
}

uint32_t
harness_in_use(const CopyHarness *h)
{
	return h->copy.table->mapped_count - h->copy.table->free_count;
}

/* n extents of memory, and their numbers in an order that depends on "random". */
static char *
make_memory(uint32_t n, uint32_t extent_shift, uint32_t *numbers, uint64_t *random)
{
	size_t		extent_bytes = (size_t) 1 << extent_shift;
	void	   *memory;

	if (posix_memalign(&memory, extent_bytes < 4096 ? 4096 : extent_bytes, extent_bytes * n) != 0)
		abort();
	for (uint32_t i = 0; i < n; i++)
		numbers[i] = i;
	for (uint32_t i = n - 1; i > 0; i--)
	{
		uint32_t	j = (uint32_t) (harness_random(random) % (i + 1));
		uint32_t	x = numbers[i];

		numbers[i] = numbers[j];
		numbers[j] = x;
	}
	return memory;
}

/* All of h->physical are its extents: the table in the root extent, and the root bytes zeroed. */
static void
make_table(CopyHarness *h, char *region, uint32_t n, size_t root_bytes)
{
	size_t		extent_bytes = (size_t) 1 << h->config.extent_shift;
	NrExtentTable *t;

	if (nr_extent_table_bytes(n) + root_bytes > extent_bytes)
		abort();
	h->physical_count = n - 1;
	t = (NrExtentTable *) (region + extent_bytes * h->physical[n - 1]);
	garbage(h, (char *) t, extent_bytes);
	memset(t, 0, nr_extent_table_bytes(n));
	t->capacity = n;
	t->words[0] = h->physical[n - 1];
	t->unused_head = n > 1 ? 1 : NR_NO_EXTENT;
	for (uint32_t e = 1; e < n; e++)
		t->words[n + e] = e + 1 < n ? e + 1 : NR_NO_EXTENT;
	t->free_head = NR_NO_EXTENT;
	t->mapped_count = 1;
	t->root_bytes = (uint32_t) root_bytes;
	h->copy.region = region;
	h->copy.extent_shift = h->config.extent_shift;
	h->copy.ref_shift = h->config.extent_shift - NR_REF_UNIT_SHIFT;
	h->copy.table = t;
	h->copy.map = h->copy.shared_map = t->words;
	h->copy.root = (char *) t + nr_extent_table_bytes(n);
	memset(h->copy.root, 0, root_bytes);
}

void
harness_make(CopyHarness *h, const NrDispatch *dispatch, const NrCopyConfig *config,
			 size_t root_bytes, uint64_t shuffle)
{
	memset(h, 0, sizeof(*h));
	h->config = *config;
	h->dispatch = dispatch;
	h->random = shuffle;
	h->physical = malloc(config->extents_max * sizeof(uint32_t));
	h->memory = make_memory(config->extents_max, config->extent_shift, h->physical, &h->random);
	make_table(h, h->memory, config->extents_max, dispatch ? dispatch->size(config) : root_bytes);
	if (dispatch)
	{
		harness_grant(h, dispatch->init_extents(config));
		dispatch->init(&h->copy, &h->config);
	}
}

void
pair_make(CopyPair *pair, const NrDispatch *dispatch, const NrCopyConfig *config, uint64_t shuffle)
{
	uint32_t	n = 2 * config->extents_max + config->shared_max;
	uint32_t   *numbers = malloc(n * sizeof(uint32_t));
	CopyHarness *shared = &pair->shared;

	memset(pair, 0, sizeof(*pair));
	pair->memory = make_memory(n, config->extent_shift, numbers, &shuffle);
	shared->config = *config;
	shared->random = shuffle + 2;
	shared->physical = malloc(config->shared_max * sizeof(uint32_t));
	memcpy(shared->physical, numbers + 2 * config->extents_max, config->shared_max * sizeof(uint32_t));
	make_table(shared, pair->memory, config->shared_max, dispatch->shared_size(config));
	for (uint32_t c = 0; c < 2; c++)
	{
		CopyHarness *h = &pair->copy[c];

		h->config = *config;
		h->dispatch = dispatch;
		h->random = shuffle + c;
		h->physical = malloc(config->extents_max * sizeof(uint32_t));
		memcpy(h->physical, numbers + c * config->extents_max, config->extents_max * sizeof(uint32_t));
		make_table(h, pair->memory, config->extents_max, dispatch->size(config));
		h->copy.shared = shared->copy.table;
		h->copy.shared_map = shared->copy.map;
		h->copy.shared_root = shared->copy.root;
		h->copy.pass = c == 0 ? NR_PASS_FIRST : NR_PASS_SECOND;
		harness_grant(h, dispatch->init_extents(config));
		dispatch->init(&h->copy, &h->config);
	}
	free(numbers);
}

void
pair_free(CopyPair *pair)
{
	harness_free(&pair->copy[0]);
	harness_free(&pair->copy[1]);
	harness_free(&pair->shared);
	free(pair->memory);
}

void
pair_sync(CopyPair *pair)
{
	NrCopy	   *from = &pair->copy[0].copy;
	NrCopy	   *to = &pair->copy[1].copy;
	uint32_t	n = from->table->capacity;
	size_t		root_at = nr_extent_table_bytes(n);

	to->table->unused_head = from->table->unused_head;
	to->table->free_head = from->table->free_head;
	to->table->free_count = from->table->free_count;
	memcpy(to->table->words + n, from->table->words + n, sizeof(uint32_t) * n);
	memcpy((char *) to->table + root_at, (char *) from->table + root_at, nr_extent_bytes(from) - root_at);
	for (uint32_t x = 1; x < n; x++)
		if (to->map[x] != from->map[x])
			memcpy(nr_extent_ptr(to, x), nr_extent_ptr(from, x), nr_extent_bytes(from));
}

void
harness_make_hash(CopyHarness *h, uint32_t extent_shift, uint32_t extents_max,
				  uint32_t line_bytes, uint64_t seed, uint64_t shuffle)
{
	NrCopyConfig config = {.extent_shift = extent_shift, .extents_max = extents_max};
	DsHashArg	arg = {.seed = seed, .line_bytes = line_bytes};

	config.arg_bytes = line_bytes == 0 ? sizeof(arg.seed) : sizeof(arg);
	memcpy(config.arg, &arg, config.arg_bytes);
	harness_make(h, &ds_hash_dispatch, &config, 0, shuffle);
}

void
harness_free(CopyHarness *h)
{
	free(h->memory);
	free(h->physical);
}

NrStatus
harness_apply(CopyHarness *h, const NrOpHeader *op, NrResponse *resp)
{
	uint32_t	need = op->order_seq == 0 ? h->dispatch->need(&h->config, 1, op->bytes).extents :
		h->dispatch->need_ops(&h->config, op, op->bytes, 1, true).extents;
	uint32_t	before = harness_in_use(h);
	uint32_t	after;
	NrStatus	status;

	if (h->copy.table->free_count < need)
		harness_grant(h, need - h->copy.table->free_count);
	status = h->dispatch->dispatch_mut(&h->copy, op, resp);
	after = harness_in_use(h);
	if (after > before && after - before > h->granted_max)
		h->granted_max = after - before;
	return status;
}

bool
harness_batch(CopyHarness *h, void *ops, size_t bytes, uint32_t n,
			  uint64_t order_seq, uint64_t horizon, NrStatus *status)
{
	char	   *at = ops;
	uint32_t	need = h->dispatch->need_ops(&h->config, ops, bytes, n, order_seq != 0).extents;

	h->batch_need = need;
	h->batch_used = 0;
	*status = NR_OK;
	harness_reclaim(h);
	if (need > h->config.extents_max - h->copy.table->mapped_count)
		return false;
	harness_grant(h, need);
	if (order_seq != 0)
		h->dispatch->ordered(&h->copy, horizon);
	for (uint32_t i = 0; i < n; i++)
	{
		NrOpHeader *op = (NrOpHeader *) at;
		NrResponse	resp = {0};
		NrStatus	one;

		op->order_seq = order_seq;
		one = h->dispatch->dispatch_mut(&h->copy, op, &resp);
		if (one == NR_NO_SPACE || *status == NR_OK)
			*status = one;
		if (h->copy.table->free_count < need && need - h->copy.table->free_count > h->batch_used)
			h->batch_used = need - h->copy.table->free_count;
		at += op->bytes;
	}
	return true;
}

static void *
op_buffer(void)
{
	static void *buffer;

	if (!buffer)
		buffer = malloc(OP_BYTES_MAX);
	return buffer;
}

static uint64_t
hash_of(const CopyHarness *h, const void *key, size_t key_bytes)
{
	DsHashArg	arg;

	memcpy(&arg, h->config.arg, sizeof(arg));
	return ds_hash_key(arg.seed, key, key_bytes);
}

static NrStatus
apply_buffer(CopyHarness *h, bool *flag)
{
	NrResponse	resp = {0};
	NrStatus	status = harness_apply(h, op_buffer(), &resp);

	if (flag)
		*flag = resp.flag;
	return status;
}

NrStatus
harness_put(CopyHarness *h, const void *key, size_t key_bytes,
			const void *value, size_t value_bytes, uint16_t flags, bool *flag)
{
	ds_hash_op_put(op_buffer(), hash_of(h, key, key_bytes), key, key_bytes, value, value_bytes, flags);
	return apply_buffer(h, flag);
}

NrStatus
harness_delete(CopyHarness *h, const void *key, size_t key_bytes, bool *flag)
{
	ds_hash_op_delete(op_buffer(), hash_of(h, key, key_bytes), key, key_bytes);
	return apply_buffer(h, flag);
}

NrStatus
harness_truncate(CopyHarness *h, bool *flag)
{
	ds_hash_op_truncate(op_buffer());
	return apply_buffer(h, flag);
}

int64_t
harness_get(const CopyHarness *h, const void *key, size_t key_bytes, void *out, uint32_t capacity)
{
	DsHashGet	get = {.code = DS_HASH_GET, .key = key, .key_bytes = (uint32_t) key_bytes};

	get.hash = hash_of(h, key, key_bytes);
	get.out = out;
	get.capacity = capacity;
	h->dispatch->dispatch(&h->copy, &get, NULL);
	return get.found ? (int64_t) get.value_bytes : -1;
}

DsHashStat
harness_stat(const CopyHarness *h)
{
	DsHashStat	stat = {.code = DS_HASH_STAT};

	h->dispatch->dispatch(&h->copy, &stat, NULL);
	return stat;
}
