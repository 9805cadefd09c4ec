/*
 * copy_reference.h
 *		A map of byte strings, as plain as can be, to compare ds_hash with.
 */
#ifndef COPY_REFERENCE_H
#define COPY_REFERENCE_H

#include "copy_harness.h"

typedef struct RefEntry
{
	struct RefEntry *next;
	uint32_t	key_bytes;
	uint32_t	value_bytes;
	char		bytes[];		/* key, value */
} RefEntry;

#define REF_BUCKETS 8192

typedef struct RefMap
{
	RefEntry   *bucket[REF_BUCKETS];
	uint64_t	entries;
	uint64_t	bytes;			/* of keys and values */
} RefMap;

/* The entry or NULL. */
extern const RefEntry *ref_get(const RefMap *map, const void *key, size_t key_bytes);
extern void ref_put(RefMap *map, const void *key, size_t key_bytes, const void *value, size_t value_bytes);
extern bool ref_delete(RefMap *map, const void *key, size_t key_bytes);
extern void ref_clear(RefMap *map);

/*
 * A sound swap, compare and swap, or add: do it, and say what the answer must be.
 * "resp" is such as dispatch_mut gets.
 */
extern NrStatus ref_update(RefMap *map, const NrOpHeader *op, NrResponse *resp);

/* Is everything the same, by single gets, by scan and by get_many?  NULL, or what is not. */
extern const char *ref_compare(const RefMap *map, const CopyHarness *h);

#endif							/* COPY_REFERENCE_H */
