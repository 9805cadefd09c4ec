/*
 * ds/hash_root.h
 *		ds_hash inside: its root, and the way from a hash to a line.
 *
 * Only src/ds/hash*.c include this.
 *
 * LAYOUT.  The root extent holds the engine's extent table, DsHashRoot with the
 * segment directory, the heap's state; then spare bytes: the first half is the
 * heap's stretch, the second half are lines.  Long entries may be in memory that two
 * copies share: value.h.
 *
 * LINES are counted through all segments.  Line i lies in segment i >> seg_shift;
 * one segment is one extent, and segment 0 is the root extent, of which only the
 * lines from "base" on are lines.  Bucket b is line base + b.  So a small table
 * needs no extent but the root, and a lookup need not know where it began.
 *
 * BUCKETS (Litwin 1980).  With n buckets and mask = 2^ceil(log2 n) - 1, a hash
 * belongs to h & mask, or when there is no such bucket yet, to h & mask >> 1.
 * Only the low 32 bits of the hash take part; long entries keep them in the
 * line, so that a split need not visit their blocks.
 */
#ifndef DS_HASH_ROOT_H
#define DS_HASH_ROOT_H

#include "ds/hash.h"
#include "ds/heap.h"

#define DS_HASH_MAGIC		0x6873686eu

/*
 * Fill, as inline bytes over line capacity: above GROW the table splits a
 * bucket, below SHRINK it merges one.  The gap keeps a table that breathes from
 * doing both in turn.  It is narrower while no extent is left: values that have
 * outgrown their lines need the memory that those lines hold.
 *
 * 5/8 in 64-byte lines of 18-byte entries (bigint to bigint) is 1.94 entries a
 * bucket: 1 lookup in 8 leaves its first line, 38 bytes an entry all in all.
 */
#define DS_HASH_GROW_NUM	10
#define DS_HASH_SHRINK_NUM	5
#define DS_HASH_SHRINK_TIGHT_NUM	8
#define DS_HASH_FILL_DEN	16

/*
 * Splits and merges per write.  One line's worth of entries cannot arrive or
 * leave faster than that, so the table keeps up and catches up.  See
 * DsHashBudget in hash_line.h for what splits may take.
 */
#define DS_HASH_SPLITS_MAX	2
#define DS_HASH_MERGES_MAX	4

/* What a block of shared memory has besides the entry: value.h. */
#define DS_VALUE_TAIL_BYTES	16

/* Heads of the trie of notes: hash_note.h. */
#define DS_NOTE_HEADS		16

typedef struct DsHashRoot
{
	/* what a lookup reads: one cache line */
	uint32_t	magic;
	uint32_t	n_buckets;
	uint32_t	mask;			/* 2^ceil(log2 n_buckets) - 1 */
	uint32_t	base;			/* line of bucket 0 */
	uint8_t		line_shift;
	uint8_t		seg_shift;		/* log2 of lines in a segment */
	uint16_t	line_capacity;	/* entry bytes in the first line of a bucket */
	uint32_t	inline_max;		/* longest entry that is kept in a line */
	uint32_t	n_min;			/* buckets of an empty table */
	uint32_t	heap_at;		/* DsHeap's offset from here */
	uint64_t	seed;
	uint64_t	reserved_line[3];

	/* what writes keep up to date */
	uint64_t	entries;
	uint64_t	key_bytes;
	uint64_t	value_bytes;
	uint64_t	inline_bytes;	/* of entries in lines, heads included */
	uint64_t	scan_bytes;
	uint64_t	overflow_lines;
	uint64_t	long_entries;
	uint32_t	segments;		/* extents taken for lines; the root is not counted */
	NrRef		spare;			/* empty overflow lines, chained, for the next split */

	/* order numbers: hash_order.c, hash_note.h */
	uint64_t	horizon;		/* batches with numbers below it have all been applied */
	uint64_t	truncate_seq;	/* highest number of a truncate */
	uint64_t	notes;			/* how many there are */
	uint64_t	note_max;		/* no note has a higher number; 0: none */
	NrRef		note_oldest;	/* as they were left */
	NrRef		note_newest;

	/* long entries in memory that two copies share: value.h */
	uint64_t	value_units;	/* of those that this copy refers to */
	uint32_t	value_number;	/* how often memory was asked for */
	uint32_t	value_drops;
	uint64_t	reserved_value;
	NrRef		note_heads[DS_NOTE_HEADS];

	uint32_t	dir[];			/* extent of segment i */
} DsHashRoot;

/* How a table is laid out in its root extent, by extents and lines. */
typedef struct DsHashLayout
{
	uint32_t	heap_at;		/* from the root's begin */
	size_t		root_bytes;
	uint32_t	root_lines;		/* at the end of the root extent; 0: the first segment is an extent */
	uint32_t	base;			/* as DsHashRoot has them */
	uint32_t	n_min;
} DsHashLayout;

extern DsHashLayout ds_hash_layout(uint32_t extent_shift, uint32_t extents_max, uint32_t line_shift);

_Static_assert(offsetof(DsHashRoot, entries) == NR_CACHE_LINE, "lookups read one line of the root");
_Static_assert(offsetof(DsHashRoot, dir) == 4 * NR_CACHE_LINE, "the directory begins a line");

/* A line: entries one after the other, see hash_line.h. 8-byte aligned. */
typedef struct DsHashLine
{
	NrRef		next;			/* overflow line: a block of the heap; 0: none */
	uint8_t		used;			/* bytes of entries */
	uint8_t		n;				/* entries */
	uint8_t		step;			/* when all entries have this step and klen; 0: mixed or none, */
	uint8_t		klen;			/* or mixed once, and not empty since */
	uint8_t		entry[];
} DsHashLine;

static inline DsHashRoot *
ds_hash_root(const NrCopy *copy)
{
	return (DsHashRoot *) copy->root;
}

static inline DsHeap *
ds_hash_heap(DsHashRoot *root)
{
	return (DsHeap *) ((char *) root + root->heap_at);
}

static inline uint32_t
ds_hash_bucket(const DsHashRoot *root, uint64_t hash)
{
	uint32_t	b = (uint32_t) hash & root->mask;

	/* a shift, not a branch: which side a hash takes cannot be predicted */
	return b & (root->mask >> (b >= root->n_buckets));
}

static inline DsHashLine *
ds_hash_line(const NrCopy *copy, const DsHashRoot *root, uint32_t bucket)
{
	uint32_t	line = root->base + bucket;
	uint32_t	in_segment = line & ((1u << root->seg_shift) - 1);

	return (DsHashLine *) ((char *) nr_extent_ptr(copy, root->dir[line >> root->seg_shift]) +
						   ((size_t) in_segment << root->line_shift));
}

static inline DsHashLine *
ds_hash_line_next(const NrCopy *copy, const DsHashLine *line)
{
	return line->next != 0 ? (DsHashLine *) ds_heap_payload(copy, line->next) : NULL;
}

/* ---- hash_grow.c ---- */

/*
 * A table of n_min empty buckets, all other segments given back.  There are no
 * notes, and the heap is emptied, too; or there are no entries, and notes stay.
 * Used by init, too.
 */
extern void ds_hash_reset(NrCopy *copy, DsHashRoot *root);

/* What a write may do besides its own work. */
typedef struct DsHashBudget
{
	uint32_t	splits;
	uint32_t	lines;			/* overflow lines that splits and merges may append */
} DsHashBudget;

/* Split or merge a bounded number of buckets so that the fill stays in range; best effort. */
extern void ds_hash_adapt(NrCopy *copy, DsHashRoot *root, DsHashBudget *budget);

/*
 * Give up what is kept for later, and merge: for a write that has found no
 * memory.  Notes below "purge_limit" may go.
 */
extern void ds_hash_make_room(NrCopy *copy, DsHashRoot *root, uint64_t purge_limit);

/* Remove all entries whose last write is no newer than this number, as the notes say. */
extern void ds_hash_retain(NrCopy *copy, DsHashRoot *root, uint64_t order_seq);

/* ---- hash_need.c ---- */

extern NrNeed ds_hash_need(const NrCopyConfig *config, uint32_t n, uint64_t bytes);
extern NrNeed ds_hash_need_ops(const NrCopyConfig *config, const void *ops, size_t bytes, uint32_t n,
								 bool ordered);

/* ---- hash_order.c ---- */

extern void ds_hash_ordered(NrCopy *copy, uint64_t horizon);

/* Notes below this may be dropped while an operation with this number (0: none) is applied. */
static inline uint64_t
ds_hash_purge_limit(const DsHashRoot *root, uint64_t order_seq)
{
	return order_seq != 0 && order_seq < root->horizon ? order_seq : root->horizon;
}

extern NrStatus ds_hash_write_ordered(NrCopy *copy, DsHashRoot *root, const NrOpHeader *op, NrResponse *resp);

/* ---- hash_update.c ---- */

/* A checked swap, compare and swap, or add. */
extern NrStatus ds_hash_update(NrCopy *copy, DsHashRoot *root, const NrOpHeader *op, NrResponse *resp);

/* ---- hash_read.c, hash_op.c, hash_write.c, hash_check.c ---- */

/* A checked operation, whatever its number. */
extern NrStatus ds_hash_apply(NrCopy *copy, DsHashRoot *root, const NrOpHeader *op, NrResponse *resp);

extern NrStatus ds_hash_read(const NrCopy *copy, const void *op, void *resp);

/* Where the parts of an operation on a key are, and how long. */
typedef struct DsHashParts
{
	uint64_t	hash;
	const uint8_t *key;
	const uint8_t *value;		/* put, swap, cas: the new one; add: the operand */
	const uint8_t *expected;	/* cas only */
	uint32_t	key_bytes;
	uint32_t	value_bytes;	/* of the value that may be stored: of add, of the number */
	uint32_t	expected_bytes;
} DsHashParts;

/* False: they do not add up to the payload, whose bytes are there.  Nothing else is checked. */
extern bool ds_hash_op_parts(const NrOpHeader *op, DsHashParts *parts);

extern NrStatus ds_hash_op_check(const NrCopy *copy, const DsHashRoot *root, const NrOpHeader *op);
extern void ds_hash_prefetch(const NrCopy *copy, const NrOpHeader *op);
extern NrStatus ds_hash_write(NrCopy *copy, const NrOpHeader *op, NrResponse *resp);
/* A block of the copy's heap that is in use, as far as a look at its tag tells. For verify. */
extern bool ds_hash_block_sound(const NrCopy *copy, DsHashRoot *root, NrRef ref);
extern uint64_t ds_hash_checksum(const NrCopy *copy);
extern const char *ds_hash_verify(const NrCopy *copy);

#endif							/* DS_HASH_ROOT_H */
