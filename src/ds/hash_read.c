/*
 * ds/hash_read.c
 *		Reads of ds_hash: one key, many keys, everything, statistics.
 *
 * The search within a line is in hash_find.h; here it is compiled for keys of 8, 4, 9 to 16
 * bytes, and for any.
 */
#include "ds/hash_find.h"

/* Keys whose lines are on their way at the same time when there are many. */
#define PREFETCH_AHEAD	16

/* Search a line of any entries. */
static inline __attribute__((always_inline)) bool
ds_find_mixed(const NrCopy *copy, const DsHashLine *line, uint32_t hash,
		   const uint8_t *key, uint32_t key_bytes, DsKeyWidth width, DsHashValue *value)
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
			if (block->key_bytes == key_bytes && ds_key_equal(block->bytes, key, key_bytes, width))
			{
				value->bytes = block->bytes + key_bytes;
				value->length = block->value_bytes;
				return true;
			}
		}
		else if (entry[1] == key_bytes && ds_key_equal(entry + DS_HASH_HEAD_BYTES, key, key_bytes, width))
		{
			value->bytes = entry + DS_HASH_HEAD_BYTES + key_bytes;
			value->length = (uint32_t) entry[0] - DS_HASH_HEAD_BYTES - key_bytes;
			return true;
		}
	}
	return false;
}

static inline __attribute__((always_inline)) bool
ds_find_in_chain(const NrCopy *copy, const DsHashLine *line, uint32_t hash,
			  const uint8_t *key, uint32_t key_bytes, DsKeyWidth width, DsHashValue *value)
{
	do
	{
		if (width != DS_KEY_ANY && line->step != 0 && line->klen == key_bytes)
		{
			const uint8_t *at = ds_find_alike(line, key, key_bytes, width);

			if (at)
			{
				value->bytes = at + key_bytes;
				value->length = (uint32_t) line->step - DS_HASH_HEAD_BYTES - key_bytes;
				return true;
			}
		}
		else if (ds_find_mixed(copy, line, hash, key, key_bytes, width, value))
			return true;
		line = ds_hash_line_next(copy, line);
	} while (__builtin_expect(line != NULL, 0));
	return false;
}

bool
ds_hash_chain_8(const NrCopy *copy, const DsHashLine *line, uint32_t hash,
		const uint8_t *key, uint32_t key_bytes, DsHashValue *value)
{
	(void) key_bytes;
	return ds_find_in_chain(copy, line, hash, key, 8, DS_KEY_8, value);
}

bool
ds_hash_chain_4(const NrCopy *copy, const DsHashLine *line, uint32_t hash,
		const uint8_t *key, uint32_t key_bytes, DsHashValue *value)
{
	(void) key_bytes;
	return ds_find_in_chain(copy, line, hash, key, 4, DS_KEY_4, value);
}

bool
ds_hash_chain_9_to_16(const NrCopy *copy, const DsHashLine *line, uint32_t hash,
			  const uint8_t *key, uint32_t key_bytes, DsHashValue *value)
{
	return ds_find_in_chain(copy, line, hash, key, key_bytes, DS_KEY_9_TO_16, value);
}

bool
ds_hash_chain_any(const NrCopy *copy, const DsHashLine *line, uint32_t hash,
		  const uint8_t *key, uint32_t key_bytes, DsHashValue *value)
{
	return ds_find_in_chain(copy, line, hash, key, key_bytes, DS_KEY_ANY, value);
}

static NrStatus
read_get(const NrCopy *copy, DsHashGet *get)
{
	DsHashValue value;

	get->found = ds_hash_find(copy, ds_hash_line_of(copy, get->hash), get->hash, get->key, get->key_bytes, &value);
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
			DsHashValue	value;

			get->at[i] = get->needed_bytes;
			get->length[i] = -1;
			if (!ds_hash_find(copy, line[i - from], get->hash[i], get->key[i], get->key_bytes[i], &value))
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

/* A value of "width" bytes to its place.  Widths are those of types, so a branch and no call. */
static inline __attribute__((always_inline)) uint8_t
fixed_answer(bool found, const DsHashValue *value, uint32_t width, char *to)
{
	if (!found)
		return DS_HASH_FIXED_MISSING;
	if (value->length < width)
		return DS_HASH_FIXED_EMPTY;
	if (width == 8)
		memcpy(to, value->bytes, 8);
	else
		ds_bytes_copy(to, value->bytes, width);
	return DS_HASH_FIXED_FOUND;
}

/* Fetch the lines of a block of keys. */
static inline uint32_t
fixed_fetch(const NrCopy *copy, const DsHashGetFixed *get, uint32_t from, const DsHashLine **line)
{
	const DsHashRoot *root = ds_hash_root(copy);
	uint32_t	n = get->n - from < PREFETCH_AHEAD ? get->n - from : PREFETCH_AHEAD;

	for (uint32_t i = 0; i < n; i++)
	{
		line[i] = ds_hash_line_of(copy, get->key[from + i].hash);
		__builtin_prefetch(line[i]);
		if (root->line_shift > 6)
			__builtin_prefetch((const char *) line[i] + NR_CACHE_LINE);
		for (uint32_t at = 2 * NR_CACHE_LINE; at < 1u << root->line_shift; at += NR_CACHE_LINE)
			__builtin_prefetch((const char *) line[i] + at);
	}
	return n;
}

/* A key that was not in its bucket's first line. */
typedef struct FixedLater
{
	uint32_t	i;
	const DsHashLine *line;
} FixedLater;

static inline void
fixed_note(DsHashGetFixed *get, uint32_t i, bool found, const DsHashValue *value)
{
	uint8_t		state = fixed_answer(found, value, get->width, get->out + (size_t) i * get->width);

	get->state[i] = state;
	get->empty += state == DS_HASH_FIXED_EMPTY;
	get->missing += state == DS_HASH_FIXED_MISSING;
}

/* Look for a block of keys in the first lines.  Returns how many must be looked for in the next one, whose lines are fetched. */
static uint32_t
fixed_block(const NrCopy *copy, DsHashGetFixed *get, uint32_t from, uint32_t n, const DsHashLine *const *line,
			FixedLater *later)
{
	uint32_t	nlater = 0;

	for (uint32_t i = 0; i < n; i++)
	{
		const DsHashKeyRef *key = &get->key[from + i];
		const DsHashLine *more = NULL;
		DsHashValue value;
		bool		found = ds_hash_find_here(copy, line[i], key->hash, key->key, key->key_bytes, &value, &more);

		if (__builtin_expect(more != NULL, 0))
		{
			__builtin_prefetch(more);
			later[nlater++] = (FixedLater) {.i = from + i, .line = more};
		}
		else
			fixed_note(get, from + i, found, &value);
	}
	return nlater;
}

static void
fixed_rest(const NrCopy *copy, DsHashGetFixed *get, const FixedLater *later, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
	{
		const DsHashKeyRef *key = &get->key[later[i].i];
		DsHashValue value;
		bool		found = ds_hash_find_behind(copy, later[i].line, key->hash, key->key, key->key_bytes, &value);

		fixed_note(get, later[i].i, found, &value);
	}
}

/*
 * While one block of keys is looked for, the lines of the next one are on their way, and the second lines for
 * the one before.
 */
static __attribute__((noinline)) NrStatus
read_get_fixed(const NrCopy *copy, DsHashGetFixed *get)
{
	const DsHashLine *line[2][PREFETCH_AHEAD];
	FixedLater	later[2][PREFETCH_AHEAD];
	uint32_t	nlater[2] = {0, 0};
	uint32_t	n = fixed_fetch(copy, get, 0, line[0]);
	uint32_t	now = 0;

	get->empty = get->missing = 0;
	for (uint32_t from = 0; n > 0; now = 1 - now)
	{
		uint32_t	next = fixed_fetch(copy, get, from + n, line[1 - now]);

		nlater[now] = fixed_block(copy, get, from, n, line[now], later[now]);
		fixed_rest(copy, get, later[1 - now], nlater[1 - now]);
		from += n;
		n = next;
	}
	fixed_rest(copy, get, later[1 - now], nlater[1 - now]);
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
		case DS_HASH_GET_FIXED:
			return read_get_fixed(copy, read);
		case DS_HASH_SCAN:
			return read_scan(copy, read);
		case DS_HASH_STAT:
			return read_stat(copy, read);
		default:
			return NR_BAD_OP;
	}
}
