/*
 * alias_calls.c
 *		Long values in ds_hash for the stress of shared memory; see alias_calls.h.
 */
#include "alias_calls.h"
#include "ds/hash_line.h"
#include "engine/replay.h"
#include "thread_host.h"
#include "toy_calls.h"

#include <stdio.h>
#include <stdlib.h>

/* Long keys and short ones. */
void
al_keys(AlKeys *keys, uint64_t seed)
{
	memset(keys, 0, sizeof(*keys));
	keys->seed = seed;
	for (uint32_t k = 0; k < AL_KEYS; k++)
	{
		keys->n[k] = k % 4 == 3 ? AL_KEY_MAX : 8;
		memset(keys->bytes[k], 'A' + (int) k, keys->n[k]);
		keys->hash[k] = ds_hash_key(seed, keys->bytes[k], keys->n[k]);
	}
}

NrGroupConfig
al_config(const AlKeys *keys, uint32_t extents_max, uint32_t shared_max)
{
	DsHashArg	arg = {.seed = keys->seed,.line_bytes = 64};
	NrGroupConfig config = toy_config(extents_max, 4096, 8 * AL_OP_MAX);

	config.copies = 2;
	config.shared_max = shared_max;
	config.arg_bytes = sizeof(arg);
	memcpy(config.arg, &arg, sizeof(arg));
	return config;
}

static uint64_t
mix(uint64_t x)
{
	x = (x ^ x >> 31) * UINT64_C(0x9E3779B97F4A7C15);
	return x ^ x >> 29;
}

uint32_t
al_value_bytes(uint64_t version)
{
	uint64_t	x = mix(version);

	switch (x % 16)
	{
		case 0:
			return 16 + 8 * (uint32_t) (x >> 8 & 1);
		case 1:
		case 2:
			return 1024 + (uint32_t) (x >> 8) % (AL_VALUE_MAX - 1024);
		default:
			return 60 + (uint32_t) (x >> 8) % 700;
	}
}

/* The word at "at" of the value; the first one is the version. */
static uint64_t
word_at(uint32_t k, uint64_t version, uint32_t at)
{
	return at == 0 ? version : mix(version * AL_KEYS + k + ((uint64_t) at << 40));
}

static void
make_value(uint8_t *to, uint32_t k, uint64_t version, uint32_t bytes)
{
	for (uint32_t at = 0; at < bytes; at += 8)
	{
		uint64_t	word = word_at(k, version, at);

		memcpy(to + at, &word, bytes - at < 8 ? bytes - at : 8);
	}
}

static uint64_t
parse_value(const uint8_t *from, uint32_t k, uint32_t bytes)
{
	uint8_t		expected[AL_VALUE_MAX];
	uint64_t	version;

	if (bytes < sizeof(version) || bytes > AL_VALUE_MAX)
		return AL_WRONG;
	memcpy(&version, from, sizeof(version));
	if (version == 0 || bytes != al_value_bytes(version))
		return AL_WRONG;
	make_value(expected, k, version, bytes);
	return memcmp(expected, from, bytes) == 0 ? version : AL_WRONG;
}

size_t
al_op_put(void *to, const AlKeys *keys, uint32_t k, uint64_t version)
{
	uint8_t		value[AL_VALUE_MAX];
	uint32_t	bytes = al_value_bytes(version);

	make_value(value, k, version, bytes);
	return ds_hash_op_put(to, keys->hash[k], keys->bytes[k], keys->n[k], value, bytes, 0);
}

size_t
al_op_delete(void *to, const AlKeys *keys, uint32_t k)
{
	return ds_hash_op_delete(to, keys->hash[k], keys->bytes[k], keys->n[k]);
}

/* ---- reading ---- */

void
al_look(NrHandle *h, const AlKeys *keys, uint32_t k, AlSeen *seen)
{
	DsHashSpot	spot;
	DsHashEntry e;

	memset(seen, 0, sizeof(*seen));
	if (!ds_line_seek(h->copy, ds_hash_root(h->copy), keys->hash[k], (const uint8_t *) keys->bytes[k],
					  keys->n[k], &spot))
		return;
	e = ds_entry_read(h->copy, spot.entry);
	seen->key = e.key;
	seen->value = e.value;
	seen->bytes = e.value_bytes;
	seen->version = parse_value(e.value, k, e.value_bytes);
}

bool
al_unchanged(NrHandle *h, const AlKeys *keys, uint32_t k, const AlSeen *seen)
{
	AlSeen		again;

	/* where it was, without the help of the copy's lines */
	if (seen->value != NULL &&
		(memcmp(seen->key, keys->bytes[k], keys->n[k]) != 0 ||
		 parse_value(seen->value, k, seen->bytes) != seen->version))
		return false;
	al_look(h, keys, k, &again);
	return again.value == seen->value && again.bytes == seen->bytes && again.version == seen->version;
}

uint64_t
al_get(NrHandle *h, const AlKeys *keys, uint32_t k)
{
	uint8_t		out[AL_VALUE_MAX];
	DsHashGet	get = {
		.code = DS_HASH_GET,.key = keys->bytes[k],.key_bytes = keys->n[k],.hash = keys->hash[k],
		.out = out,.capacity = sizeof(out)
	};

	if (nr_execute(h, &get, NULL, false) != NR_OK)
		return AL_WRONG;
	return get.found ? parse_value(out, k, get.value_bytes) : 0;
}

static bool
scan_entry(const AlKeys *keys, const DsHashScanEntry *entry)
{
	const uint8_t *key = (const uint8_t *) (entry + 1);
	uint32_t	k = key[0] - 'A';

	return k < AL_KEYS && entry->key_bytes == keys->n[k] && memcmp(key, keys->bytes[k], keys->n[k]) == 0 &&
		parse_value(key + entry->key_bytes, k, entry->value_bytes) != AL_WRONG;
}

bool
al_scan(NrHandle *h, const AlKeys *keys)
{
	_Alignas(8) static _Thread_local char out[AL_KEYS * (AL_KEY_MAX + AL_VALUE_MAX + 16)];
	DsHashScan	scan = {.code = DS_HASH_SCAN,.out = out,.capacity = sizeof(out)};
	DsHashStat	stat = {.code = DS_HASH_STAT};
	uint64_t	bytes = 0;
	uint64_t	n = 0;
	bool		right = true;

	if (nr_enter(h, false) != NR_OK)
		return false;
	right &= nr_execute(h, &scan, NULL, false) == NR_OK && nr_execute(h, &stat, NULL, false) == NR_OK;
	nr_leave(h);
	for (size_t at = 0; right && at < scan.needed_bytes; n++)
	{
		const DsHashScanEntry *entry = (const DsHashScanEntry *) (out + at);

		right = scan_entry(keys, entry);
		bytes += entry->value_bytes;
		at += (sizeof(*entry) + (size_t) entry->key_bytes + entry->value_bytes + 7) & ~(size_t) 7;
	}
	return right && n == scan.n && n == stat.entries && bytes == stat.value_bytes;
}

/* ---- at rest ---- */

void
al_model_apply(AlModel *m, const AlBatch *b, uint64_t seq, bool ok)
{
	for (uint32_t i = 0; i < b->n; i++)
		for (uint32_t k = 0; k < AL_KEYS; k++)
		{
			if (b->key[i] != k && b->key[i] != AL_KEYS)
				continue;
			m->version[k] = b->version[i];
			m->seq[k] = seq;
			m->unsure[k] = !ok;
		}
}

bool
al_model_holds(const AlModel *m, uint64_t truncated, NrHandle *h, const AlKeys *keys)
{
	bool		right = true;

	for (uint32_t k = 0; k < AL_KEYS; k++)
	{
		uint64_t	version = al_get(h, keys, k);
		bool		as_written = version == m->version[k] && m->seq[k] >= truncated;
		bool		as_emptied = version == 0 && m->seq[k] <= truncated;

		if (version != AL_WRONG && (as_written || as_emptied || m->unsure[k]))
			continue;
		printf("# key %u: version %llx is there, not %llx; truncated at %llu, written at %llu\n", k,
			   (unsigned long long) version, (unsigned long long) m->version[k],
			   (unsigned long long) truncated, (unsigned long long) m->seq[k]);
		right = false;
	}
	return right;
}

static bool
account_settled(const char *what, uint32_t i, const NrAtomic64 *headroom, const NrAtomic32 *mapped,
				const NrExtentTable *t)
{
	int64_t		free = (int64_t) nr_load64_rlx(headroom);

	if (free == t->free_count && nr_load32_rlx(mapped) == t->mapped_count)
		return true;
	printf("# %s %u: headroom %lld for %u free, %u mapped for %u\n", what, i, (long long) free, t->free_count,
		   nr_load32_rlx(mapped), t->mapped_count);
	return false;
}

bool
al_settled(NrHandle *h)
{
	NrEngine   *e = h->session->engine;
	struct NrGroup *group = h->group;
	uint32_t	open = (uint32_t) nr_load64_rlx(&group->records);
	uint32_t	used = nr_load32_rlx(&group->mapped) * group->copies + nr_load32_rlx(&group->shared_mapped) +
		group->log_extents;
	bool		settled = toy_group_info(e, h->g).promised == 0;

	for (uint32_t i = 0; i < group->replicas * group->copies; i++)
	{
		NrCopy		copy;

		nr_copy_view(e, h->g, i / group->copies, i % group->copies, &copy);
		settled &= account_settled("copy", i, &group->headroom, &group->mapped, copy.table);
		settled &= copy.shared != NULL &&
			account_settled("shared by copy", i, &group->shared_headroom, &group->shared_mapped, copy.shared);
	}
	/* one may be open for records, unless all of it was given out */
	used += open != 0 && (open & 0xff) < NR_RECORD_CHUNKS;
	if (used + toy_pool_free(e) != e->geo.extents)
		printf("# %u extents in use, %u free, of %u\n", used, toy_pool_free(e), e->geo.extents);
	return settled && used + toy_pool_free(e) == e->geo.extents;
}
