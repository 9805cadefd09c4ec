/*
 * ds/hash_line.h
 *		Lines of ds_hash: entries packed one after the other.
 *
 * An entry begins with two bytes:
 *
 *		u8 step		all bytes of the entry, these two included
 *		u8 klen		length of the key, or DS_HASH_LONG
 *
 * inline:	key, value; the value's length is step - 2 - klen.
 * long:	the hash's low 32 bits, NrRef of a block: DsHashLong, key, value.
 *
 * With 8 bytes of line header, a line of 64 bytes holds three entries of two
 * bigints.  An entry is inline up to half a line, so that lines fill well, or
 * DS_HASH_INLINE_MIN: a line of 64 bytes takes whatever fits.
 *
 * A line knows when its entries are all alike, as they are in a table of fixed
 * widths.  Then a lookup compares several keys at computed places without a
 * branch between them: which entry it is cannot be predicted, and a wrong guess
 * costs more than all of the comparisons.
 *
 * An overflow line is a block of the heap that is as long as a line in whole,
 * tag included, or up to 16 bytes longer when who asks for it needs more room.
 */
#ifndef DS_HASH_LINE_H
#define DS_HASH_LINE_H

#include "ds/value.h"

#define DS_HASH_LONG		255
#define DS_HASH_HEAD_BYTES	2
#define DS_HASH_LONG_STEP	10
#define DS_HASH_INLINE_MIN	56
#define DS_HASH_USED_MAX	248	/* no line holds more, so a step fits a byte and no klen is DS_HASH_LONG */

/* Where an entry is, for a writer. */
typedef struct DsHashSpot
{
	DsHashLine *line;
	DsHashLine *prev;			/* NULL: "line" is the bucket's first */
	uint8_t    *entry;
} DsHashSpot;

static inline uint32_t
ds_load32(const void *p)
{
	uint32_t	v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t
ds_load64(const void *p)
{
	uint64_t	v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline void
ds_store32(void *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

/* Equality of n bytes without a call for short ones: two loads that may overlap. */
static inline bool
ds_bytes_equal(const uint8_t *a, const uint8_t *b, size_t n)
{
	if (n > 16)
		return memcmp(a, b, n) == 0;
	if (n >= 8)
		return ((ds_load64(a) ^ ds_load64(b)) | (ds_load64(a + n - 8) ^ ds_load64(b + n - 8))) == 0;
	if (n >= 4)
		return ((ds_load32(a) ^ ds_load32(b)) | (ds_load32(a + n - 4) ^ ds_load32(b + n - 4))) == 0;
	return n == 0 ||
		((a[0] ^ b[0]) | (a[n / 2] ^ b[n / 2]) | (a[n - 1] ^ b[n - 1])) == 0;
}

/* 16 bytes, all of them read before any is written. */
static inline void
ds_copy_16(uint8_t *to, const uint8_t *from)
{
	uint64_t	a = ds_load64(from);
	uint64_t	b = ds_load64(from + 8);

	memcpy(to, &a, 8);
	memcpy(to + 8, &b, 8);
}

/*
 * memcpy for short lengths, without a call and without "rep movs", which gcc makes of one with a bounded length and which
 * takes longer to begin than all this; the ranges do not overlap. "to" may be NULL when n is 0.
 */
static inline void
ds_bytes_copy(void *to_bytes, const void *from_bytes, size_t n)
{
	uint8_t    *to = to_bytes;
	const uint8_t *from = from_bytes;

	if (n > 64)
		memcpy(to, from, n);
	else if (n > 16)
	{
		for (size_t i = 0; i + 16 < n; i += 16)
			ds_copy_16(to + i, from + i);
		ds_copy_16(to + n - 16, from + n - 16);
	}
	else if (n >= 8)
	{
		uint64_t	a = ds_load64(from);
		uint64_t	b = ds_load64(from + n - 8);

		memcpy(to, &a, 8);
		memcpy(to + n - 8, &b, 8);
	}
	else if (n >= 4)
	{
		uint32_t	a = ds_load32(from);
		uint32_t	b = ds_load32(from + n - 4);

		memcpy(to, &a, 4);
		memcpy(to + n - 4, &b, 4);
	}
	else if (n > 0)
	{
		uint8_t		a = from[0];
		uint8_t		b = from[n / 2];
		uint8_t		c = from[n - 1];

		to[0] = a;
		to[n / 2] = b;
		to[n - 1] = c;
	}
}

static inline bool
ds_entry_is_long(const uint8_t *entry)
{
	return entry[1] == DS_HASH_LONG;
}

static inline uint32_t
ds_entry_long_hash(const uint8_t *entry)
{
	return ds_load32(entry + 2);
}

static inline NrRef
ds_entry_long_ref(const uint8_t *entry)
{
	return ds_load32(entry + 6);
}

/* A line's configured bytes; a wrong number must only not be deadly. */
static inline uint32_t
ds_line_bytes(const NrCopyConfig *config)
{
	uint32_t	bytes = 0;

	if (config->arg_bytes >= offsetof(DsHashArg, line_bytes) + sizeof(bytes))
		memcpy(&bytes, config->arg + offsetof(DsHashArg, line_bytes), sizeof(bytes));
	return bytes == 128 || bytes == 256 ? bytes : 64;
}

static inline uint32_t
ds_line_inline_max(uint32_t line_capacity)
{
	return line_capacity / 2 > DS_HASH_INLINE_MIN ? line_capacity / 2 : DS_HASH_INLINE_MIN;
}

/*
 * What a put may do besides, by the length of its own entry in a line, so that
 * ds_hash_need_ops can tell in advance.
 *
 * Splits: one, unless the entry takes more than 4/5 of the fill that a split
 * makes room for; so a table that is behind catches up.
 *
 * Lines: the put's own overflow line counts.  Entries up to half a line share
 * overflow lines, so at the latest every other put appends none for itself and
 * leaves its line to the splits.
 */
static inline DsHashBudget
ds_hash_budget(uint32_t line_capacity, uint32_t step)
{
	DsHashBudget budget = {.splits = DS_HASH_SPLITS_MAX, .lines = 2};

	if (step * 5 * DS_HASH_FILL_DEN <= line_capacity * 4 * DS_HASH_GROW_NUM)
		budget.splits = 1;
	if (2 * step <= line_capacity)
		budget.lines = 1;
	return budget;
}

/* An entry's key and value, wherever they are. */
typedef struct DsHashEntry
{
	const uint8_t *key;
	const uint8_t *value;
	uint32_t	key_bytes;
	uint32_t	value_bytes;
} DsHashEntry;

static inline DsHashEntry
ds_entry_read(const NrCopy *copy, const uint8_t *entry)
{
	DsHashEntry e;

	if (ds_entry_is_long(entry))
	{
		const DsHashLong *block = ds_value_at(copy, ds_entry_long_ref(entry));

		e.key_bytes = block->key_bytes;
		e.value_bytes = block->value_bytes;
		e.key = block->bytes;
	}
	else
	{
		e.key_bytes = entry[1];
		e.value_bytes = (uint32_t) entry[0] - DS_HASH_HEAD_BYTES - entry[1];
		e.key = entry + DS_HASH_HEAD_BYTES;
	}
	e.value = e.key + e.key_bytes;
	return e;
}

/* Low 32 bits of the hash, without visiting a block. */
static inline uint32_t
ds_entry_hash(const DsHashRoot *root, const uint8_t *entry)
{
	if (ds_entry_is_long(entry))
		return ds_entry_long_hash(entry);
	return (uint32_t) ds_hash_key(root->seed, entry + DS_HASH_HEAD_BYTES, entry[1]);
}

/* Entry bytes that fit into a line; "first": the bucket's own line. */
static inline uint32_t
ds_line_capacity(const DsHashRoot *root, const DsHashLine *line, bool first)
{
	size_t		bytes;

	if (first)
		return root->line_capacity;
	bytes = ds_heap_capacity(line) - sizeof(DsHashLine);
	return bytes < DS_HASH_USED_MAX ? (uint32_t) bytes : DS_HASH_USED_MAX;
}

static inline uint8_t *
ds_line_end(DsHashLine *line)
{
	return line->entry + line->used;
}

/* Find a key in its bucket. */
extern bool ds_line_seek(const NrCopy *copy, DsHashRoot *root, uint64_t hash,
						 const uint8_t *key, uint32_t key_bytes, DsHashSpot *spot);

/* Room for one more entry at the end of a line that has it; the caller writes its bytes. */
static inline uint8_t *
ds_line_push(DsHashLine *line, uint32_t step, uint32_t klen)
{
	uint8_t    *entry = ds_line_end(line);

	if (line->n == 0)
	{
		line->step = (uint8_t) step;
		line->klen = (uint8_t) klen;
	}
	else if (line->step != step || line->klen != klen)
		line->step = line->klen = 0;
	line->n++;
	line->used = (uint8_t) (line->used + step);
	return entry;
}

/* So many bytes and entries are left in a line, in its front. */
static inline void
ds_line_keep(DsHashLine *line, size_t used, uint32_t n)
{
	line->used = (uint8_t) used;
	line->n = (uint8_t) n;
	if (n == 0)
		line->step = line->klen = 0;
}

/* Take an entry's bytes out of its line; the entries behind it move up. */
extern void ds_line_cut(DsHashLine *line, uint8_t *entry);

/*
 * A new, empty overflow line with room for "step" bytes behind "tail", which
 * has none yet.  NULL when there is no room.
 */
extern DsHashLine *ds_line_append(NrCopy *copy, DsHashRoot *root, DsHashLine *tail,
								  uint32_t step, bool may_take);

/* Count an entry out of the table; its bytes stay where they are. */
extern void ds_hash_forget(DsHashRoot *root, const uint8_t *entry, const DsHashEntry *e);

/* Unchain the line behind "prev" and free it. */
extern void ds_line_unlink_next(NrCopy *copy, DsHashRoot *root, DsHashLine *prev);

/* Move entries from the next line into this one as they fit; free the next when it is empty. */
extern bool ds_line_pull(NrCopy *copy, DsHashRoot *root, DsHashLine *line, bool first);

#endif							/* DS_HASH_LINE_H */
