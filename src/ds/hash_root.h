/*
 * ds/hash_root.h
 *		ds_hash inside: its root, and the way from a hash to a line.
 *
 * Only src/ds/hash*.c include this.
 *
 * LAYOUT.  The root extent holds the engine's extent table, DsHashRoot with the
 * segment directory, the heap's state; then spare bytes: the first half is the
 * heap's stretch, the second half are lines.
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
 * leave faster than that, so the table keeps up and catches up.
 */
#define DS_HASH_SPLITS_MAX	2
#define DS_HASH_MERGES_MAX	4

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
	uint32_t	reserved2;

	uint32_t	dir[];			/* extent of segment i */
} DsHashRoot;

_Static_assert(offsetof(DsHashRoot, entries) == NR_CACHE_LINE, "lookups read one line of the root");
_Static_assert(offsetof(DsHashRoot, dir) == 2 * NR_CACHE_LINE, "the directory begins a line");

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

/* An empty table of n_min buckets, all extents but those given back. Used by init, too. */
extern void ds_hash_reset(NrCopy *copy, DsHashRoot *root);

/* Split or merge a bounded number of buckets so that the fill stays in range; best effort. */
extern void ds_hash_adapt(NrCopy *copy, DsHashRoot *root);

/* ---- hash_read.c, hash_op.c, hash_write.c, hash_check.c ---- */

extern NrStatus ds_hash_read(const NrCopy *copy, const void *op, void *resp);
extern NrStatus ds_hash_op_check(const NrCopy *copy, const DsHashRoot *root, const NrOpHeader *op);
extern void ds_hash_prefetch(const NrCopy *copy, const NrOpHeader *op);
extern NrStatus ds_hash_write(NrCopy *copy, const NrOpHeader *op, NrResponse *resp);
extern uint64_t ds_hash_checksum(const NrCopy *copy);
extern const char *ds_hash_verify(const NrCopy *copy);

#endif							/* DS_HASH_ROOT_H */
