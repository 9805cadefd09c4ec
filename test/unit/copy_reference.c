/*
 * copy_reference.c
 *		See copy_reference.h.
 */
#include "copy_reference.h"

#include <stdlib.h>

static RefEntry **
place(const RefMap *map, const void *key, size_t key_bytes)
{
	RefEntry  **at = (RefEntry **) &map->bucket[ds_hash_key(1, key, key_bytes) % REF_BUCKETS];

	while (*at && ((*at)->key_bytes != key_bytes ||
				   (key_bytes > 0 && memcmp((*at)->bytes, key, key_bytes) != 0)))
		at = &(*at)->next;
	return at;
}

const RefEntry *
ref_get(const RefMap *map, const void *key, size_t key_bytes)
{
	return *place(map, key, key_bytes);
}

bool
ref_delete(RefMap *map, const void *key, size_t key_bytes)
{
	RefEntry  **at = place(map, key, key_bytes);
	RefEntry   *e = *at;

	if (!e)
		return false;
	map->entries--;
	map->bytes -= e->key_bytes + e->value_bytes;
	*at = e->next;
	free(e);
	return true;
}

void
ref_put(RefMap *map, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
	RefEntry  **at;
	RefEntry   *e = malloc(sizeof(*e) + key_bytes + value_bytes);

	ref_delete(map, key, key_bytes);
	at = place(map, key, key_bytes);
	e->next = *at;
	e->key_bytes = (uint32_t) key_bytes;
	e->value_bytes = (uint32_t) value_bytes;
	if (key_bytes > 0)
		memcpy(e->bytes, key, key_bytes);
	if (value_bytes > 0)
		memcpy(e->bytes + key_bytes, value, value_bytes);
	*at = e;
	map->entries++;
	map->bytes += key_bytes + value_bytes;
}

void
ref_clear(RefMap *map)
{
	for (uint32_t b = 0; b < REF_BUCKETS; b++)
		while (map->bucket[b])
		{
			RefEntry   *e = map->bucket[b];

			map->bucket[b] = e->next;
			free(e);
		}
	map->entries = 0;
	map->bytes = 0;
}

static bool
same_value(const RefEntry *e, const void *value, uint64_t value_bytes)
{
	return e && e->value_bytes == value_bytes &&
		(value_bytes == 0 || memcmp(e->bytes + e->key_bytes, value, value_bytes) == 0);
}

static const char *
compare_scan(const RefMap *map, const CopyHarness *h)
{
	DsHashScan	scan = {.code = DS_HASH_SCAN};
	const char *at;
	const char *broken = NULL;

	h->dispatch->dispatch(&h->copy, &scan, NULL);
	if (scan.n != map->entries)
		return "number of entries";
	scan.capacity = scan.needed_bytes;
	scan.out = malloc(scan.capacity + 1);
	h->dispatch->dispatch(&h->copy, &scan, NULL);
	at = scan.out;
	for (uint64_t i = 0; i < scan.n && !broken; i++)
	{
		DsHashScanEntry e;

		memcpy(&e, at, sizeof(e));
		at += sizeof(e);
		if (!same_value(ref_get(map, at, e.key_bytes), at + e.key_bytes, e.value_bytes))
			broken = "scan";
		at += ((size_t) e.key_bytes + e.value_bytes + 7) & ~(size_t) 7;
	}
	if (!broken && (size_t) (at - scan.out) != scan.needed_bytes)
		broken = "scan length";
	free(scan.out);
	return broken;
}

#define MANY	100

static const char *
compare_many(const CopyHarness *h, const RefEntry *const *entry, uint32_t n)
{
	static char out[1 << 16];
	const void *key[MANY];
	uint32_t	key_bytes[MANY];
	uint64_t	hash[MANY];
	size_t		at[MANY];
	int64_t		length[MANY];
	DsHashArg	arg;
	DsHashGetMany get = {.code = DS_HASH_GET_MANY, .n = n, .key = key, .key_bytes = key_bytes,
		.hash = hash, .out = out, .capacity = sizeof(out), .at = at, .length = length};

	memcpy(&arg, h->config.arg, sizeof(arg));
	for (uint32_t i = 0; i < n; i++)
	{
		key[i] = entry[i]->bytes;
		key_bytes[i] = entry[i]->key_bytes;
		hash[i] = ds_hash_key(arg.seed, key[i], key_bytes[i]);
	}
	h->dispatch->dispatch(&h->copy, &get, NULL);
	if (get.found != n)
		return "get_many missed a key";
	for (uint32_t i = 0; i < n && get.needed_bytes <= get.capacity; i++)
		if (!same_value(entry[i], out + at[i], (uint64_t) length[i]))
			return "get_many value";
	return NULL;
}

const char *
ref_compare(const RefMap *map, const CopyHarness *h)
{
	static char value[1 << 24];
	const RefEntry *many[MANY];
	uint32_t	n = 0;
	const char *broken = compare_scan(map, h);

	for (uint32_t b = 0; b < REF_BUCKETS && !broken; b++)
		for (const RefEntry *e = map->bucket[b]; e && !broken; e = e->next)
		{
			int64_t		length = harness_get(h, e->bytes, e->key_bytes, value, sizeof(value));

			if (length < 0)
				return "a key is missing";
			if (!same_value(e, value, (uint64_t) length))
				return "a value differs";
			many[n++] = e;
			if (n == MANY)
			{
				broken = compare_many(h, many, n);
				n = 0;
			}
		}
	return broken || n == 0 ? broken : compare_many(h, many, n);
}
