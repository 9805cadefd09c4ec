/*
 * hash_calls.h
 *		Families of keys in ds_hash, for the stress tests: a number per key,
 *		stored as a value whose length and bytes follow from the number, so that
 *		a torn value is recognised.
 */
#ifndef HASH_CALLS_H
#define HASH_CALLS_H

#include "ds/hash.h"
#include "engine/engine.h"
#include "models.h"

#define HC_FAMILIES			6
#define HC_KEY_BYTES_MAX	160
#define HC_VALUE_BYTES_MAX	1200
#define HC_OPS_BYTES_MAX	8192	/* of a whole family */
#define HC_TORN				UINT64_MAX	/* a value that nobody can have written */

typedef struct HcKey
{
	char		bytes[HC_KEY_BYTES_MAX];
	uint32_t	n;
	uint64_t	hash;
} HcKey;

/* The keys of all families under this seed. */
typedef struct HcKeys
{
	HcKey		key[HC_FAMILIES][LC_CELLS];
} HcKeys;

extern void hc_keys(HcKeys *keys, uint64_t seed);

/* One copy, unless the caller changes that. */
extern NrGroupConfig hc_config(uint64_t seed, uint32_t line_bytes, uint32_t extents_max,
							   uint32_t log_bytes);

/* Cells "first" .. first+n-1 of one family, one request.  value 0: delete.  hc_ops only encodes it; bytes. */
extern size_t hc_ops(char *ops, const HcKeys *keys, uint32_t family, uint32_t first, uint32_t n, uint64_t value);
extern NrStatus hc_put(NrHandle *h, const HcKeys *keys, uint32_t family, uint32_t first, uint32_t n,
					   uint64_t value, bool cancellable, NrResult *result);

/* Of one cell: the answer as the model's LC_SWAP has it; LC_CAS from "expected", 0: missing. */
extern NrStatus hc_swap(NrHandle *h, const HcKeys *keys, uint32_t family, uint32_t cell, uint64_t value,
						bool cancellable, uint64_t *before, NrResult *result);
extern NrStatus hc_cas(NrHandle *h, const HcKeys *keys, uint32_t family, uint32_t cell, uint64_t expected,
					   uint64_t value, bool cancellable, NrResult *result);

extern NrStatus hc_truncate(NrHandle *h, bool cancellable, NrResult *result);

/* 0: missing. */
extern NrStatus hc_get(NrHandle *h, const HcKeys *keys, uint32_t family, uint32_t cell,
					   bool cancellable, uint64_t *value);
extern NrStatus hc_get_all(NrHandle *h, const HcKeys *keys, uint32_t family, bool cancellable,
						   uint64_t *values);

/* All families at once, by a scan. */
extern NrStatus hc_scan(NrHandle *h, const HcKeys *keys, bool cancellable,
						uint64_t values[HC_FAMILIES][LC_CELLS]);

#endif							/* HASH_CALLS_H */
