/*
 * ds/value.h
 *		Memory of long entries: in the copy's heap; or, when the two copies of a
 *		replica share memory, once for both.
 *
 * Shared, this is left-right's aliasing (the crate's "aliasing": a value lives until the
 * second copy drops it).  Both copies' lines refer to the same block:
 *
 *	 first pass		allocates the block, writes it, and appends it to the list "taken";
 *					what it drops goes to the list "dropped", with the batch's position
 *	 second pass	asks for the same blocks in the same order, and takes them from "taken"
 *	 reclaim		frees blocks that were dropped before a position that both copies of all
 *					replicas have passed, and whose readers have left
 *
 * A block's bytes do not change between these.  So a reader inside the older copy may
 * use what the newer one has dropped.  A table that is emptied drops whole extents.
 *
 * Whether there was memory is decided in the first pass; the second one
 * learns it by number: each copy counts what it has asked for, and a block in "taken"
 * carries the number that it was asked for under.
 *
 * Lists, heap and tags are the writer's (combiner lock), whatever copy it works on; readers
 * look at the lengths, key and value in a block, and at nothing else.
 */
#ifndef DS_VALUE_H
#define DS_VALUE_H

#include "ds/hash_root.h"

/* A long entry. */
typedef struct DsHashLong
{
	uint32_t	key_bytes;
	uint32_t	value_bytes;
	uint8_t		bytes[];
} DsHashLong;

/* At the end of a shared block. */
typedef struct DsValueTail
{
	NrRef		next_taken;
	NrRef		next_dropped;	/* DS_VALUE_LIVE: it is not dropped */
	uint32_t	dropped_seq;	/* low half of the batch's position */
	uint32_t	number;			/* as it was asked for */
} DsValueTail;

#define DS_VALUE_LIVE	UINT32_MAX

_Static_assert(sizeof(DsValueTail) == DS_VALUE_TAIL_BYTES, "hash_root.h reckons with it");

/* Root of shared memory; the heap follows. */
typedef struct DsValueRoot
{
	uint32_t	magic;
	NrRef		taken_first;	/* by the first pass, not yet by the second */
	NrRef		taken_last;
	NrRef		dropped_first;
	NrRef		dropped_last;
	uint32_t	gone_first;		/* extents of tables that were emptied, through the table's next[] */
	uint32_t	gone_last;
	uint32_t	gone;			/* how many */
	uint64_t	dropped_units;
	uint32_t	number;			/* what the first pass last asked for, and how often it dropped */
	uint32_t	drops;
	uint64_t	reserved[2];
} DsValueRoot;

_Static_assert(sizeof(DsValueRoot) == NR_CACHE_LINE, "the heap begins a line");

extern size_t ds_value_root_bytes(const NrCopyConfig *config);
extern void ds_value_init(NrCopy *copy);

/* A block for so many bytes of DsHashLong, or 0, with nothing changed. */
extern NrRef ds_value_alloc(NrCopy *copy, DsHashRoot *root, size_t bytes);

/* The copy's lines do not refer to it any more. */
extern void ds_value_drop(NrCopy *copy, DsHashRoot *root, NrRef ref);

/* The same for all blocks of the table; in the copy's own heap they go with the heap. */
extern void ds_value_drop_all(NrCopy *copy, DsHashRoot *root);

extern void ds_value_reclaim(NrCopy *copy, uint64_t floor);

/* Whether a block that ds_value_alloc gave is to be written; else it has been. */
static inline bool
ds_value_fresh(const NrCopy *copy)
{
	return copy->shared == NULL || copy->pass != NR_PASS_SECOND;
}

static inline DsHashLong *
ds_value_at(const NrCopy *copy, NrRef ref)
{
	return (DsHashLong *) ((char *) nr_shared_ptr(copy, ref) + DS_HEAP_TAG_BYTES);
}

/* Bytes that a block has for DsHashLong; for writers. */
static inline size_t
ds_value_capacity(const NrCopy *copy, const DsHashLong *block)
{
	return ds_heap_capacity(block) - (copy->shared != NULL ? sizeof(DsValueTail) : 0);
}

/* Is there a block?  Recompute every invariant; "live": blocks that the copy's lines refer to. */
extern bool ds_value_sound(const NrCopy *copy, DsHashRoot *root, NrRef ref);
extern const char *ds_value_verify(const NrCopy *copy, const DsHashRoot *root, uint64_t live);

#endif							/* DS_VALUE_H */
