/*
 * ds/hash.h
 *		ds_hash: a hash table of byte strings that lives in extents.
 *
 * Linear hashing (Litwin, VLDB 1980; Larson, CACM 1988): the table grows and
 * shrinks by one bucket at a time, so a write does a bounded amount of work and
 * nobody ever waits for a rehash.  A bucket is one line of 64, 128 or 256
 * bytes that holds several short entries packed one after the other, so that a
 * lookup of a short key and value touches one line.  Longer entries are blocks
 * of the heap (ds/heap.h) and the line holds their hash and reference.  A full
 * bucket continues in an overflow line, a block of the heap.
 *
 * Deterministic: see engine/dispatch.h.  The seed and the line width are drawn
 * once by whoever makes the group and travel in its arguments.
 *
 * WRITES are the log's operations, built by ds_hash_op_*; each is all or
 * nothing.  READS are structs below, given to NrDispatch.dispatch.
 *
 * ORDER NUMBERS (NrDispatch.ordered).  A key whose batch may still be overtaken
 * by an older one has a note that keeps its number, besides its entry if it has
 * one.  A truncate counts as a write of every key.  An operation with number 0
 * is applied in any case and leaves no note; a truncate with number 0 removes the
 * notes.
 *
 * LIMITS.  Keys 0 .. DS_HASH_KEY_MAX bytes.  Key + value at most
 * ds_hash_entry_max(extent_shift) bytes; of a compare and swap either value, and
 * all of it must fit an operation (nr_op_bytes_max) besides.
 */
#ifndef DS_HASH_H
#define DS_HASH_H

#include "engine/dispatch.h"

#define DS_HASH_ID			1
#define DS_HASH_KEY_MAX		2048

extern const NrDispatch ds_hash_dispatch;

/* The structure's parameters, as NrCopyConfig.arg. */
typedef struct DsHashArg
{
	uint64_t	seed;			/* drawn once per group */
	uint32_t	line_bytes;		/* 64, 128 or 256 */
	uint32_t	reserved;
} DsHashArg;

/* Hash of a key under the group's seed: computed once by the caller and carried. XXH3. */
extern uint64_t ds_hash_key(uint64_t seed, const void *key, size_t key_bytes);

/* Largest key + value that fits, in bytes. */
extern size_t ds_hash_entry_max(uint32_t extent_shift);

/* ---- writes ---- */

enum
{
	DS_HASH_PUT = 1,			/* insert or replace; flag: the key was new */
	DS_HASH_DELETE,				/* flag: there was such a key */
	DS_HASH_TRUNCATE,			/* flag: there was anything */
	DS_HASH_SWAP,				/* put that answers the value before; flag: there was one */
	DS_HASH_CAS,				/* put if the value is as expected; flag: it was, and is replaced */
	DS_HASH_ADD					/* arithmetic; answers the new value; flag: the key was new */
};

/*
 * RESPONSES.  Swap and add answer a value in NrResponse.data, computed where the operation
 * stands in the log.  It has at most DS_HASH_RESPONSE_MAX bytes; a swap of a longer one
 * changes nothing and is NR_TOO_LARGE (read it, then compare and swap).  These
 * three carry no order number (NR_BAD_OP): their answer would be a guess.
 */
#define DS_HASH_RESPONSE_MAX	8192

/* NrOpHeader.flags of DS_HASH_PUT */
#define DS_HASH_IF_PRESENT	1	/* replace only; flag: replaced; a missing key is NR_OK with flag false */
#define DS_HASH_IF_ABSENT	2	/* insert only; flag: inserted */

/*
 * Payload of put, delete and swap: this, key, value, without padding between.
 *
 * Of cas: this, key, expected bytes as uint32_t, expected value, new value ("value_bytes" counts
 * these three); with flag DS_HASH_IF_ABSENT the key is expected not to be there, and
 * the expected value has no bytes.
 *
 * Of add: this, key, 8 bytes: an int64_t, or a double.  NrOpHeader.flags is a
 * DsHashNumber, the form in which the value is stored, native-endian.  A missing key and a value of
 * no bytes count as 0.  NR_OUT_OF_RANGE: overflow (of a double: from finite to
 * infinite).  NR_BAD_OP: the value that is there has another length.
 */
typedef enum DsHashNumber
{
	DS_HASH_INT2 = 1,
	DS_HASH_INT4,
	DS_HASH_INT8,
	DS_HASH_FLOAT8
} DsHashNumber;

typedef struct DsHashOp
{
	uint64_t	hash;			/* ds_hash_key of the key */
	uint32_t	key_bytes;
	uint32_t	value_bytes;	/* 0 for delete */
} DsHashOp;

/* Bytes that an operation takes in a request, header and padding included. */
static inline size_t
ds_hash_op_bytes(size_t key_bytes, size_t value_bytes)
{
	return NR_OP_ALIGN(sizeof(NrOpHeader) + sizeof(DsHashOp) + key_bytes + value_bytes);
}

/*
 * Encode at "to", which has at least ds_hash_op_bytes(...) bytes (for truncate
 * NR_OP_ALIGN(sizeof(NrOpHeader))) and is 8-byte aligned; padding is zeroed.
 * Returns the bytes written.
 */
extern size_t ds_hash_op_put(void *to, uint64_t hash, const void *key, size_t key_bytes,
							 const void *value, size_t value_bytes, uint16_t flags);
extern size_t ds_hash_op_delete(void *to, uint64_t hash, const void *key, size_t key_bytes);
extern size_t ds_hash_op_truncate(void *to);

/* Bytes as ds_hash_op_put; with "value" the new one. */
extern size_t ds_hash_op_swap(void *to, uint64_t hash, const void *key, size_t key_bytes,
							  const void *value, size_t value_bytes);

/* "expected" NULL: no such key.  Takes ds_hash_op_bytes(key_bytes, sizeof(uint32_t) + expected_bytes + value_bytes). */
extern size_t ds_hash_op_cas(void *to, uint64_t hash, const void *key, size_t key_bytes,
							 const void *expected, size_t expected_bytes,
							 const void *value, size_t value_bytes);

/* "by" points to an int64_t, or for DS_HASH_FLOAT8 to a double.  Takes ds_hash_op_bytes(key_bytes, 8). */
extern size_t ds_hash_op_add(void *to, uint64_t hash, const void *key, size_t key_bytes,
							 DsHashNumber number, const void *by);

/* ---- reads: "op" of NrDispatch.dispatch begins with one of these codes; "resp" is unused (NULL) ---- */

typedef enum DsHashReadCode
{
	DS_HASH_GET = 1,
	DS_HASH_GET_MANY,
	DS_HASH_GET_FIXED,
	DS_HASH_SCAN,
	DS_HASH_STAT
} DsHashReadCode;

/*
 * One key.  The value is copied into "out" when it fits; "value_bytes" is set
 * in any case, so a caller whose buffer was too small tries again.
 */
typedef struct DsHashGet
{
	DsHashReadCode code;
	uint32_t	key_bytes;
	const void *key;
	uint64_t	hash;
	void	   *out;
	uint32_t	capacity;
	/* answer */
	bool		found;
	uint32_t	value_bytes;
} DsHashGet;

/*
 * Many keys in one visit, prefetched.  Values are packed one after the other
 * into "out"; at[i] / length[i] say where (length -1: missing).  When they do
 * not fit, "needed_bytes" > capacity tells how much is needed and nothing in
 * "out" counts.
 */
typedef struct DsHashGetMany
{
	DsHashReadCode code;
	uint32_t	n;
	const void *const *key;
	const uint32_t *key_bytes;
	const uint64_t *hash;
	char	   *out;
	size_t		capacity;
	/* answer; arrays by the caller */
	size_t	   *at;
	int64_t    *length;
	uint32_t	found;
	size_t		needed_bytes;
} DsHashGetMany;

/*
 * Many keys whose values, if not empty, all have "width" bytes, 1 to 8, each straight to its place: out +
 * i * width.  "state" tells what there was; where nothing was found "out" is left alone.
 */
typedef enum DsHashFixed
{
	DS_HASH_FIXED_FOUND,
	DS_HASH_FIXED_EMPTY,		/* a value, of no bytes */
	DS_HASH_FIXED_MISSING
} DsHashFixed;

typedef struct DsHashKeyRef
{
	const void *key;
	uint64_t	hash;
	uint32_t	key_bytes;
} DsHashKeyRef;

typedef struct DsHashGetFixed
{
	DsHashReadCode code;
	uint32_t	n;
	const DsHashKeyRef *key;
	uint32_t	width;
	char	   *out;
	/* answer; array by the caller */
	uint8_t    *state;			/* DsHashFixed of each */
	uint32_t	empty;
	uint32_t	missing;
} DsHashGetFixed;

/*
 * All entries, in a deterministic order, packed into "out": DsHashScanEntry,
 * key, value, padding to 8 bytes, one after the other.  When they do not fit,
 * "needed_bytes" > capacity and nothing in "out" counts.
 */
typedef struct DsHashScanEntry
{
	uint32_t	key_bytes;
	uint32_t	value_bytes;
} DsHashScanEntry;

typedef struct DsHashScan
{
	DsHashReadCode code;
	char	   *out;
	size_t		capacity;
	/* answer */
	uint64_t	n;
	size_t		needed_bytes;	/* kept by the table, so known without a walk */
} DsHashScan;

typedef struct DsHashStat
{
	DsHashReadCode code;
	/* answer */
	uint64_t	entries;
	uint64_t	key_bytes;		/* of all entries */
	uint64_t	value_bytes;
	uint64_t	buckets;
	uint64_t	overflow_lines;
	uint64_t	heap_used_bytes;	/* long entries that two copies share included */
	uint64_t	heap_free_bytes;	/* in extents that the copy's own heap has taken */
	uint32_t	extents_segments;
	uint32_t	extents_heap;
	uint64_t	scan_bytes;		/* what DS_HASH_SCAN needs */
	uint64_t	notes;			/* keys whose order number is remembered; they count as used by the heap */
} DsHashStat;

#endif							/* DS_HASH_H */
