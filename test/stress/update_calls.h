/*
 * update_calls.h
 *		Swap, compare and swap, and add on a few keys of ds_hash, for the stress test of them.
 */
#ifndef UPDATE_CALLS_H
#define UPDATE_CALLS_H

#include "ds/hash.h"
#include "engine/engine.h"
#include "lincheck.h"

/* The keys: counters of 8 bytes are 0 .. LC_CELLS - 1. */
enum
{
	UC_SWAP = LC_CELLS,			/* a value that is swapped */
	UC_CAS,						/* a counter of 8 bytes, raised by compare and swap */
	UC_SMALL,					/* a counter of 2 bytes */
	UC_COUNT
};

#define UC_KEY_BYTES_MAX	120
#define UC_TORN		UINT64_MAX	/* a value that nobody can have swapped in */
#define UC_MISSING	INT64_MIN	/* a number that no counter reaches */

typedef struct UcKey
{
	char		bytes[UC_KEY_BYTES_MAX];
	uint32_t	n;
	uint64_t	hash;
} UcKey;

typedef struct UcKeys
{
	UcKey		key[UC_COUNT];
	uint32_t	value_max;		/* longest value that is swapped */
} UcKeys;

/* value_max: what a session's buffer has room for. */
extern void uc_keys(UcKeys *keys, uint64_t seed, uint32_t value_max);

/* One copy, unless the caller changes that. */
extern NrGroupConfig uc_config(uint64_t seed, uint32_t line_bytes, uint32_t extents_max, uint32_t log_bytes);

/* Add to the keys "first" .. first + n - 1, as one request. */
extern NrStatus uc_add(NrHandle *h, const UcKeys *keys, uint32_t first, uint32_t n, DsHashNumber number, int64_t by,
					   bool cancellable, NrResult *result);

/* All counters at once; 0: missing. */
extern NrStatus uc_read(NrHandle *h, const UcKeys *keys, uint64_t *values);

/* One number; NR_BAD_OP: it has not so many bytes. */
extern NrStatus uc_number(NrHandle *h, const UcKeys *keys, uint32_t k, uint32_t bytes, int64_t *value);

/* UC_CAS from "before", maybe UC_MISSING, to "after". */
extern NrStatus uc_cas(NrHandle *h, const UcKeys *keys, int64_t before, int64_t after, bool cancellable,
					   NrResult *result);

/*
 * The value of UC_SWAP is a number that its length, to value_max, and all its bytes follow
 * from.  0: there is none.
 */
typedef struct UcSwap
{
	uint64_t	got;			/* the answer */
	uint64_t	given;
	uint64_t	seq;			/* log position */
} UcSwap;

extern NrStatus uc_swap(NrHandle *h, const UcKeys *keys, bool cancellable, UcSwap *swap, NrResult *result);
extern NrStatus uc_swapped(NrHandle *h, const UcKeys *keys, uint64_t *value);

/* Do all swaps, sorted by this, lead from 0 to "last", in the order of the log? */
extern bool uc_is_chain(UcSwap *swap, size_t n, uint64_t last);

#endif							/* UPDATE_CALLS_H */
