/*
 * ds/hash_find.h
 *		The search for one key, inline, so that who knows how long keys are has it
 *		compiled for that.
 *
 * A lookup's loads: the root's first line, the directory, the copy's extent map
 * (all three warm), the line.  Between nr_enter and nr_leave only.
 */
#ifndef DS_HASH_FIND_H
#define DS_HASH_FIND_H

#include "ds/hash_line.h"
#include "engine/atomic.h"

/* What is known of a key's length when the search is compiled. */
typedef enum DsKeyWidth
{
	DS_KEY_8,
	DS_KEY_4,
	DS_KEY_9_TO_16,
	DS_KEY_ANY
} DsKeyWidth;

typedef struct DsHashValue
{
	const uint8_t *bytes;
	uint32_t	length;
} DsHashValue;

static inline __attribute__((always_inline)) bool
ds_key_equal(const uint8_t *a, const uint8_t *b, uint32_t key_bytes, DsKeyWidth width)
{
	switch (width)
	{
		case DS_KEY_8:
			return ds_load64(a) == ds_load64(b);
		case DS_KEY_4:
			return ds_load32(a) == ds_load32(b);
		case DS_KEY_9_TO_16:
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
ds_find_alike(const DsHashLine *line, const uint8_t *key, uint32_t key_bytes, DsKeyWidth width)
{
	const uint8_t *first = line->entry + DS_HASH_HEAD_BYTES;
	uint32_t	step = line->step;
	uint32_t	last = (line->n - 1u) * step;

	for (uint32_t at = 0; at <= last; at += 4 * step)
	{
		uint32_t	at1 = at + step < last ? at + step : last;
		uint32_t	at2 = at1 + step < last ? at1 + step : last;
		uint32_t	at3 = at2 + step < last ? at2 + step : last;
		uint32_t	equal = (uint32_t) ds_key_equal(first + at, key, key_bytes, width) |
			(uint32_t) ds_key_equal(first + at1, key, key_bytes, width) << 1 |
			(uint32_t) ds_key_equal(first + at2, key, key_bytes, width) << 2 |
			(uint32_t) ds_key_equal(first + at3, key, key_bytes, width) << 3;

		if (equal != 0)
			return first + at + (uint32_t) __builtin_ctz(equal) * step;
	}
	return NULL;
}

/*
 * What a first line with entries alike cannot answer: one function for each width, out of
 * line, so that the common path is short and has all registers.
 */
typedef bool (*DsFindInChain) (const NrCopy *copy, const DsHashLine *line, uint32_t hash,
							   const uint8_t *key, uint32_t key_bytes, DsHashValue *value);

extern bool ds_hash_chain_8(const NrCopy *copy, const DsHashLine *line, uint32_t hash,
							const uint8_t *key, uint32_t key_bytes, DsHashValue *value);
extern bool ds_hash_chain_4(const NrCopy *copy, const DsHashLine *line, uint32_t hash,
							const uint8_t *key, uint32_t key_bytes, DsHashValue *value);
extern bool ds_hash_chain_9_to_16(const NrCopy *copy, const DsHashLine *line, uint32_t hash,
								  const uint8_t *key, uint32_t key_bytes, DsHashValue *value);
extern bool ds_hash_chain_any(const NrCopy *copy, const DsHashLine *line, uint32_t hash,
							  const uint8_t *key, uint32_t key_bytes, DsHashValue *value);

/*
 * The same of a bucket's first line, where bytes beyond its entries may be read: how many
 * fit is the same for all lines of a table, so these branches can be predicted.
 */
static inline __attribute__((always_inline)) const uint8_t *
ds_find_alike_first(const DsHashLine *line, uint32_t capacity, const uint8_t *key, uint32_t key_bytes,
					DsKeyWidth width)
{
	const uint8_t *first = line->entry + DS_HASH_HEAD_BYTES;
	uint32_t	step = line->step;
	uint32_t	there = (1u << line->n) - 1;	/* what was an entry may still look like one */
	uint32_t	equal;

	if (4 * step <= capacity)
		return ds_find_alike(line, key, key_bytes, width);
	equal = ds_key_equal(first, key, key_bytes, width);
	if (2 * step <= capacity)
		equal |= (uint32_t) ds_key_equal(first + step, key, key_bytes, width) << 1;
	if (3 * step <= capacity)
		equal |= (uint32_t) ds_key_equal(first + 2 * step, key, key_bytes, width) << 2;
	equal &= there;
	return equal != 0 ? first + (uint32_t) __builtin_ctz(equal) * step : NULL;
}

/* "more" as in ds_hash_find_here. */
static inline __attribute__((always_inline)) bool
ds_find_first(const NrCopy *copy, const DsHashLine *line, uint64_t hash, const uint8_t *key,
			  uint32_t key_bytes, DsKeyWidth width, DsFindInChain chain, DsHashValue *value,
			  const DsHashLine **more)
{
	const uint8_t *at;

	if (__builtin_expect(line->step == 0 || line->klen != key_bytes, 0))
		return chain(copy, line, (uint32_t) hash, key, key_bytes, value);
	at = ds_find_alike_first(line, ds_hash_root(copy)->line_capacity, key, key_bytes, width);
	if (__builtin_expect(at != NULL, 1))
	{
		value->bytes = at + key_bytes;
		value->length = (uint32_t) line->step - DS_HASH_HEAD_BYTES - key_bytes;
		return true;
	}
	if (line->next == 0)
		return false;
	line = ds_hash_line_next(copy, line);
	if (more == NULL)
		return chain(copy, line, (uint32_t) hash, key, key_bytes, value);
	*more = line;
	return false;
}

/* The line of a hash. */
static inline const DsHashLine *
ds_hash_line_of(const NrCopy *copy, uint64_t hash)
{
	const DsHashRoot *root = ds_hash_root(copy);

	return ds_hash_line(copy, root, ds_hash_bucket(root, hash));
}

/*
 * THE LINE, FETCHED BEFORE ONE ENTERS.  A locked instruction lets no later load begin, so a miss that
 * begins behind nr_enter waits for it.  ds_hash_guess looks at the table from outside, where a writer may be
 * at work: what it finds is good for a prefetch, and remembered.  Once inside, ds_hash_guessed compares
 * what it was computed from with what is there now, which takes independent loads and no chain of them; if
 * all of it is the same, so is the line.
 */
typedef struct DsHashGuess
{
	const DsHashLine *line;		/* NULL: no guess */
	const DsHashRoot *root;		/* of which copy, of which replica */
	uint64_t	sizes;			/* what ds_hash_line and ds_hash_bucket read of the root, */
	uint64_t	places;
	uint64_t	shifts;
	uint32_t	segment;
	uint32_t	extent;			/* directory */
	uint32_t	physical;		/* and map */
} DsHashGuess;

/* These are read as three words. */
_Static_assert(offsetof(DsHashRoot, n_buckets) == 4 && offsetof(DsHashRoot, mask) == 8 &&
			   offsetof(DsHashRoot, base) == 12 && offsetof(DsHashRoot, line_shift) == 16 &&
			   offsetof(DsHashRoot, seg_shift) == 17, "layout");

static inline __attribute__((always_inline)) DsHashGuess
ds_hash_guess(const NrCopy *copy, uint64_t hash)
{
	const DsHashRoot *root = ds_hash_root(copy);
	DsHashGuess g = {.root = root,.sizes = nr_peek64(&root->magic), .places = nr_peek64(&root->mask), .shifts = nr_peek64(&root->line_shift)};
	uint32_t	capacity = nr_peek32(&copy->table->capacity);
	uint32_t	sizes[2];		/* magic, buckets */
	uint32_t	places[2];		/* mask, base */
	uint8_t		shifts[8];		/* of lines, of segments, ... */
	uint32_t	line;

	memcpy(sizes, &g.sizes, sizeof(sizes));
	memcpy(places, &g.places, sizeof(places));
	memcpy(shifts, &g.shifts, sizeof(shifts));
	line = (uint32_t) hash & places[0];
	line = places[1] + (line & (places[0] >> (line >= sizes[1])));

	/* in the midst of being made anew a root may hold anything that it has held, and zeros */
	g.segment = line >> (shifts[1] & 31);
	if (__builtin_expect(g.segment >= capacity, 0))
		return g;
	g.extent = nr_peek32(&root->dir[g.segment]);
	if (__builtin_expect(g.extent >= capacity, 0))
		return g;
	g.physical = nr_peek32(&copy->map[g.extent]);
	g.line = (const DsHashLine *) (copy->region + ((size_t) g.physical << copy->extent_shift) +
								   ((size_t) (line & ((1u << (shifts[1] & 31)) - 1)) << (shifts[0] & 31)));
	__builtin_prefetch(g.line);
	return g;
}

static inline __attribute__((always_inline)) const DsHashLine *
ds_hash_guessed(const NrCopy *copy, uint64_t hash, const DsHashGuess *g)
{
	const DsHashRoot *root = ds_hash_root(copy);

	if (__builtin_expect(root == g->root && g->line != NULL &&
						 ((nr_peek64(&root->magic) ^ g->sizes) | (nr_peek64(&root->mask) ^ g->places) |
						  (nr_peek64(&root->line_shift) ^ g->shifts) | (root->dir[g->segment] ^ g->extent) |
						  (copy->map[g->extent] ^ g->physical)) == 0, 1))
		return g->line;
	return ds_hash_line_of(copy, hash);
}

/*
 * Is the key in a bucket's first line?  If that is not known yet, *more is the line to go on at, by
 * ds_hash_find_behind; who has other keys to look for may fetch it meanwhile.  "value" is good until the
 * copy is left.  With more NULL all lines are searched.
 */
static inline __attribute__((always_inline)) bool
ds_hash_find_here(const NrCopy *copy, const DsHashLine *line, uint64_t hash,
				  const void *key, uint32_t key_bytes, DsHashValue *value, const DsHashLine **more)
{
	if (key_bytes == 8)
		return ds_find_first(copy, line, hash, key, 8, DS_KEY_8, ds_hash_chain_8, value, more);
	if (key_bytes == 4)
		return ds_find_first(copy, line, hash, key, 4, DS_KEY_4, ds_hash_chain_4, value, more);
	if (key_bytes > 8 && key_bytes <= 16)
		return ds_find_first(copy, line, hash, key, key_bytes, DS_KEY_9_TO_16, ds_hash_chain_9_to_16, value, more);
	return ds_hash_chain_any(copy, line, (uint32_t) hash, key, key_bytes, value);
}

/* Is the key in this line or those behind it? */
static inline __attribute__((always_inline)) bool
ds_hash_find(const NrCopy *copy, const DsHashLine *line, uint64_t hash,
			 const void *key, uint32_t key_bytes, DsHashValue *value)
{
	return ds_hash_find_here(copy, line, hash, key, key_bytes, value, NULL);
}

static inline bool
ds_hash_find_behind(const NrCopy *copy, const DsHashLine *line, uint64_t hash,
					const void *key, uint32_t key_bytes, DsHashValue *value)
{
	DsFindInChain chain = key_bytes == 8 ? ds_hash_chain_8 : key_bytes == 4 ? ds_hash_chain_4 : ds_hash_chain_9_to_16;

	return chain(copy, line, (uint32_t) hash, key, key_bytes, value);
}

#endif							/* DS_HASH_FIND_H */
