/*
 * ds/hash_write.h
 *		Storing a value under a key, in two steps: look, store.
 *
 * For those who decide by the value that is there: hash_update.c.
 */
#ifndef DS_HASH_WRITE_H
#define DS_HASH_WRITE_H

#include "ds/hash_line.h"

typedef struct DsHashPut
{
	/* by the caller */
	uint64_t	hash;
	const uint8_t *key;
	const uint8_t *value;
	uint32_t	key_bytes;
	uint32_t	value_bytes;

	/* by ds_hash_seek; "spot" counts when there is such a key */
	bool		found;
	DsHashSpot	spot;

	/* hash_write.c's own */
	uint32_t	step;			/* of its entry in a line */
	NrRef		block;			/* of a long entry; 0: inline */
	bool		appended;		/* it has an overflow line of its own making */
} DsHashPut;

extern void ds_hash_seek(const NrCopy *copy, DsHashRoot *root, DsHashPut *put);

/*
 * Insert or replace, after ds_hash_seek; "value" lies outside the copy.  If need be, room is
 * made as ds_hash_make_room does; NR_NO_SPACE: every entry is as it was.  "budget" is what
 * is left to do besides.
 */
extern NrStatus ds_hash_store(NrCopy *copy, DsHashRoot *root, DsHashPut *put, uint64_t purge_limit,
							  DsHashBudget *budget);

#endif							/* DS_HASH_WRITE_H */
