/*
 * ds/hash_key.h
 *		The hash of a key whose length is known when this is compiled.
 */
#ifndef DS_HASH_KEY_H
#define DS_HASH_KEY_H

#include <stdint.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* ds_hash_key of 8 bytes.  "flatten" makes the compiler drop all other cases. */
static inline __attribute__((flatten)) uint64_t
ds_hash_key_8(uint64_t seed, const void *key)
{
	return XXH3_64bits_withSeed(key, 8, seed);
}

#endif							/* DS_HASH_KEY_H */
