/*
 * ds/hash_read.c
 *		Reads of ds_hash: one key, many keys, everything, statistics.
 *
 * A lookup's loads: the root's first line, the directory, the copy's extent map
 * (all three warm), the line.  The search within a line is compiled for keys
 * of 8, 4, 9 to 16 bytes, and for any.
 */
#include "ds/hash_line.h"

/* Keys whose lines are on their way at the same time in DS_HASH_GET_MANY. */
#define PREFETCH_AHEAD	16

/* What is known of a key's length when the search is compiled. */
typedef enum KeyWidth
{
	KEY_8,
	KEY_4,
	KEY_9_TO_16,
	KEY_ANY
} KeyWidth;

typedef struct HashValue
{
	const uint8_t *bytes;
	uint32_t	length;
} HashValue;

static inline __attribute__((always_inline)) bool
key_equal(const uint8_t *a, const uint8_t *b, uint32_t key_bytes, KeyWidth width)
{
	switch (width)
	{
		case KEY_8:
			return ds_load64(a) == ds_load64(b);
		case KEY_4:
			return ds_load32(a) == ds_load32(b);
		case KEY_9_TO_16:
			return ((ds_load64(a) ^ ds_load64(b)) |
					(ds_load64(a + key_bytes - 8) ^ ds_load64(b + key_bytes - 8))) == 0;
		default:
			return ds_bytes_equal(a, b, key_bytes);
	}
}

/*
 * Search a line whose entries all have step and klen of the line's header, and
 * klen is the key's: four keys at a time, the last of the line once more when
 * there are fewer.
 */
static inline __attribute__((always_inline)) const uint8_t *
find_alike(const DsHashLine *line, const uint8_t *key, uint32_t key_bytes, KeyWidth width)
{
	const uint8_t *first = line->entry + DS_HASH_HEAD_BYTES;
	uint32_t	step = line->step;
	uint32_t	last = (line->n - 1u) * step;

	for (uint32_t at = 0; at <= last; at += 4 * step)
	{
		uint32_t	at1 = at + step < last ? at + step : last;
		uint32_t	at2 = at1 + step < last ? at1 + step : last;
		uint32_t	at3 = at2 + step < last ? at2 + step : last;
		uint32_t	equal = (uint32_t) key_equal(first + at, key, key_bytes, width) |
			(uint32_t) key_equal(first + at1, key, key_bytes, width) << 1 |
			(uint32_t) key_equal(first + at2, key, key_bytes, width) << 2 |
			(uint32_t) key_equal(first + at3, key, key_bytes, width) << 3;

		if (equal != 0)
			return first + at + (uint32_t) __builtin_ctz(equal) * step;
	}
	return NULL;
}

/* Search a line of any entries. */
static inline __attribute__((always_inline)) bool
find_mixed(const NrCopy *copy, const DsHashLine *line, uint32_t hash,
		   const uint8_t *key, uint32_t key_bytes, KeyWidth width, HashValue *value)
{
	const uint8_t *entry = line->entry;
	const uint8_t *end = entry + line->used;

	for (; entry < end; entry += entry[0])
	{
		if (ds_entry_is_long(entry))
		{
			const DsHashLong *block;

			if (ds_entry_long_hash(entry) != hash)
				continue;
			block = ds_value_at(copy, ds_entry_long_ref(entry));
			if (block->key_bytes == key_bytes && key_equal(block->bytes, key, key_bytes, width))
			{
				value->bytes = block->bytes + key_bytes;
				value->length = block->value_bytes;
				return true;
			}
		}
		else if (entry[1] == key_bytes && key_equal(entry + DS_HASH_HEAD_BYTES, key, key_bytes, width))
		{
			value->bytes = entry + DS_HASH_HEAD_BYTES + key_bytes;
			value->length = (uint32_t) entry[0] - DS_HASH_HEAD_BYTES - key_bytes;
			return true;
		}
	}
	return false;
}

static inline __attribute__((always_inline)) bool
find_in_chain(const NrCopy *copy, const DsHashLine *line, uint32_t hash,
			  const uint8_t *key, uint32_t key_bytes, KeyWidth width, HashValue *value)
{
	do
	{
		if (width != KEY_ANY && line->step != 0 && line->klen == key_bytes)
		{
			const uint8_t *at = find_alike(line, key, key_bytes, width);

			if (at)
			{
				value->bytes = at + key_bytes;
				value->length = (uint32_t) line->step - DS_HASH_HEAD_BYTES - key_bytes;
				return true;
			}
		}
		else if (find_mixed(copy, line, hash, key, key_bytes, width, value))
			return true;
		line = ds_hash_line_next(copy, line);
	} while (__builtin_expect(line != NULL, 0));
	return false;
}

/*
 * One function for each width.  What a first line with entries alike cannot
 * answer is left to it, so that the common path is short and has all registers.
 */
typedef bool (*FindInChain) (const NrCopy *copy, const DsHashLine *line, uint32_t hash,
							 const uint8_t *key, uint32_t key_bytes, HashValue *value);

static __attribute__((noinline)) bool
chain_8(const NrCopy *copy, const DsHashLine *line, uint32_t hash,
		const uint8_t *key, uint32_t key_bytes, HashValue *value)
{
	(void) key_bytes;
	return find_in_chain(copy, line, hash, key, 8, KEY_8, value);
}

static __attribute__((noinline)) bool
chain_4(const NrCopy *copy, const DsHashLine *line, uint32_t hash,
		const uint8_t *key, uint32_t key_bytes, HashValue *value)
{
	(void) key_bytes;
	return find_in_chain(copy, line, hash, key, 4, KEY_4, value);
}

static __attribute__((noinline)) bool
chain_9_to_16(const NrCopy *copy, const DsHashLine *line, uint32_t hash,
			  const uint8_t *key, uint32_t key_bytes, HashValue *value)
{
	return find_in_chain(copy, line, hash, key, key_bytes, KEY_9_TO_16, value);
}

static __attribute__((noinline)) bool
chain_any(const NrCopy *copy, const DsHashLine *line, uint32_t hash,
		  const uint8_t *key, uint32_t key_bytes, HashValue *value)
{
	return find_in_chain(copy, line, hash, key, key_bytes, KEY_ANY, value);
}

static inline __attribute__((always_inline)) bool
find_first(const NrCopy *copy, const DsHashLine *line, uint64_t hash, const uint8_t *key,
		   uint32_t key_bytes, KeyWidth width, FindInChain chain, HashValue *value)
{
	const uint8_t *at;

	if (line->step == 0 || line->klen != key_bytes)
		return chain(copy, line, (uint32_t) hash, key, key_bytes, value);
	at = find_alike(line, key, key_bytes, width);
	if (at)
	{
		value->bytes = at + key_bytes;
		value->length = (uint32_t) line->step - DS_HASH_HEAD_BYTES - key_bytes;
		return true;
	}
	if (line->next == 0)
		return false;
	return chain(copy, ds_hash_line_next(copy, line), (uint32_t) hash, key, key_bytes, value);
}

static inline __attribute__((always_inline)) bool
find(const NrCopy *copy, const DsHashLine *line, uint64_t hash,
	 const void *key, uint32_t key_bytes, HashValue *value)
{
	if (key_bytes == 8)
		return find_first(copy, line, hash, key, 8, KEY_8, chain_8, value);
	if (key_bytes == 4)
		return find_first(copy, line, hash, key, 4, KEY_4, chain_4, value);
	if (key_bytes > 8 && key_bytes <= 16)
		return find_first(copy, line, hash, key, key_bytes, KEY_9_TO_16, chain_9_to_16, value);
	return chain_any(copy, line, (uint32_t) hash, key, key_bytes, value);
}

static NrStatus
read_get(const NrCopy *copy, DsHashGet *get)
{
	const DsHashRoot *root = ds_hash_root(copy);
	const DsHashLine *line = ds_hash_line(copy, root, ds_hash_bucket(root, get->hash));
	HashValue	value;

	get->found = find(copy, line, get->hash, get->key, get->key_bytes, &value);
	if (!get->found)
	{
		get->value_bytes = 0;
		return NR_OK;
	}
	get->value_bytes = value.length;
	if (value.length <= get->capacity)
	{
		/* the commonest length first: one load, one store */
		if (value.length == 8)
			memcpy(get->out, value.bytes, 8);
		else
			ds_bytes_copy(get->out, value.bytes, value.length);
	}
	return NR_OK;
}

static __attribute__((noinline)) NrStatus
read_get_many(const NrCopy *copy, DsHashGetMany *get)
{
	const DsHashRoot *root = ds_hash_root(copy);
	const DsHashLine *line[PREFETCH_AHEAD];

	get->found = 0;
	get->needed_bytes = 0;
	for (uint32_t from = 0; from < get->n; from += PREFETCH_AHEAD)
	{
		uint32_t	n = get->n - from < PREFETCH_AHEAD ? get->n - from : PREFETCH_AHEAD;

		for (uint32_t i = 0; i < n; i++)
		{
			line[i] = ds_hash_line(copy, root, ds_hash_bucket(root, get->hash[from + i]));
			for (uint32_t at = 0; at < 1u << root->line_shift; at += NR_CACHE_LINE)
				__builtin_prefetch((const char *) line[i] + at);
		}
		for (uint32_t i = from; i < from + n; i++)
		{
			HashValue	value;

			get->at[i] = get->needed_bytes;
			get->length[i] = -1;
			if (!find(copy, line[i - from], get->hash[i], get->key[i], get->key_bytes[i], &value))
				continue;
			get->found++;
			get->length[i] = value.length;
			get->needed_bytes += value.length;
			if (get->needed_bytes <= get->capacity && value.length > 0)
				ds_bytes_copy(get->out + get->at[i], value.bytes, value.length);
		}
	}
	return NR_OK;
}

/* One entry for the caller, padding zeroed: nothing of another cache may leak out in it. */
static char *
scan_put(char *out, const DsHashEntry *e)
{
	DsHashScanEntry head = {.key_bytes = e->key_bytes, .value_bytes = e->value_bytes};
	size_t		bytes = (size_t) e->key_bytes + e->value_bytes;
	size_t		padded = (bytes + 7) & ~(size_t) 7;

	memcpy(out, &head, sizeof(head));
	out += sizeof(head);
	if (padded > bytes)
		memset(out + padded - 8, 0, 8);
	memcpy(out, e->key, bytes);
	return out + padded;
}

static __attribute__((noinline)) NrStatus
read_scan(const NrCopy *copy, DsHashScan *scan)
{
	const DsHashRoot *root = ds_hash_root(copy);
	char	   *out = scan->out;

	scan->n = root->entries;
	scan->needed_bytes = root->scan_bytes;
	if (scan->needed_bytes > scan->capacity || root->entries == 0)
		return NR_OK;
	for (uint32_t b = 0; b < root->n_buckets; b++)
	{
		if (b == root->n_buckets / 2)
			NR_POINT("scan_copy");
		for (DsHashLine *line = ds_hash_line(copy, root, b); line; line = ds_hash_line_next(copy, line))
			for (uint8_t *entry = line->entry; entry < ds_line_end(line); entry += entry[0])
			{
				DsHashEntry e = ds_entry_read(copy, entry);

				out = scan_put(out, &e);
			}
	}
	return NR_OK;
}

static __attribute__((noinline)) NrStatus
read_stat(const NrCopy *copy, DsHashStat *stat)
{
	DsHashRoot *root = ds_hash_root(copy);
	DsHeap	   *heap = ds_hash_heap(root);

	stat->entries = root->entries;
	stat->key_bytes = root->key_bytes;
	stat->value_bytes = root->value_bytes;
	stat->buckets = root->n_buckets;
	stat->overflow_lines = root->overflow_lines;
	stat->heap_used_bytes = (heap->used_units + root->value_units) << NR_REF_UNIT_SHIFT;
	stat->heap_free_bytes = ds_heap_free_bytes(copy, heap);
	stat->extents_segments = root->segments;
	stat->extents_heap = heap->extents;
	stat->scan_bytes = root->scan_bytes;
	stat->notes = root->notes;
	return NR_OK;
}

NrStatus
ds_hash_read(const NrCopy *copy, const void *op, void *resp)
{
	/* "op" carries its own answer; the engine passes it through as const */
	void	   *read = (void *) (uintptr_t) op;

	(void) resp;
	if (__builtin_expect(*(const DsHashReadCode *) op == DS_HASH_GET, 1))
		return read_get(copy, read);
	switch (*(const DsHashReadCode *) op)
	{
		case DS_HASH_GET_MANY:
			return read_get_many(copy, read);
		case DS_HASH_SCAN:
			return read_scan(copy, read);
		case DS_HASH_STAT:
			return read_stat(copy, read);
		default:
			return NR_BAD_OP;
	}
}
