/*
 * ds/hash_note.h
 *		Notes of ds_hash: which order number a key was last written with.
 *
 * A note is there only while an older number may still arrive; there are none
 * at all in a table whose batches are applied in the order of their numbers.  It
 * is a block of the heap.
 *
 * Notes are found by a trie over the high half of the key's hash, four bits in
 * the root and two more at each level (the low half says the bucket, so one
 * who can flood a bucket does not make the trie deep).  The nodes are the notes
 * themselves: a note lies somewhere on the path of its hash.  So there is no index
 * to grow, to shrink or to get memory for, each note costs the same whether there
 * are ten or millions of them, and a step is one of log4 of their number, 16 at most
 * but for equal hashes.  A hash table of its own would save some of these steps
 * when a transaction has been hanging for an hour, and need what hash_grow.c needs.
 *
 * They are also chained by age: the order in which they were left or renewed.
 * The oldest are dropped first, as soon as the horizon has passed them.
 */
#ifndef DS_HASH_NOTE_H
#define DS_HASH_NOTE_H

#include "ds/hash_root.h"

#define DS_NOTE_CHILDREN	4

typedef struct DsHashNote
{
	NrRef		child[DS_NOTE_CHILDREN];
	NrRef		older;
	NrRef		newer;
	uint64_t	order_seq;
	uint32_t	hash;			/* high half */
	uint32_t	key_bytes;
	uint8_t		key[];
} DsHashNote;

_Static_assert(offsetof(DsHashNote, key) == 40, "a key of 16 bytes makes a note of 64");

static inline DsHashNote *
ds_note_at(const NrCopy *copy, NrRef ref)
{
	return ds_heap_payload(copy, ref);
}

/* The key's note, or 0. */
extern NrRef ds_note_find(const NrCopy *copy, const DsHashRoot *root, uint64_t hash,
						  const void *key, uint32_t key_bytes);

/* A note for a key that has none; 0 when there is no memory. */
extern NrRef ds_note_leave(NrCopy *copy, DsHashRoot *root, uint64_t hash, const void *key,
						   uint32_t key_bytes, uint64_t order_seq);

/* The key was written again: its note gets this number and becomes the newest. */
extern void ds_note_renew(NrCopy *copy, DsHashRoot *root, NrRef ref, uint64_t order_seq);

extern void ds_note_drop(NrCopy *copy, DsHashRoot *root, NrRef ref);

/* Drop up to n of the oldest, from the first on that is below "limit". */
extern void ds_note_purge(NrCopy *copy, DsHashRoot *root, uint64_t limit, uint32_t n);

/* Forget all of them; the caller empties the heap. */
extern void ds_note_drop_all(DsHashRoot *root);

/* NULL, or what is broken. The heap has been verified. */
extern const char *ds_note_verify(const NrCopy *copy, DsHashRoot *root);

#endif							/* DS_HASH_NOTE_H */
