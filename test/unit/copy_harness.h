/*
 * copy_harness.h
 *		A copy of a sequential structure without the engine: extents in malloc'd
 *		memory, grants as the engine makes them.
 *
 * Logical extents are mapped to physical ones in an order that depends on the
 * shuffle seed, and every extent is filled with garbage that depends on it when
 * it is granted: two copies that get the same operations and still agree
 * cannot depend on either.
 *
 * A CopyPair is two copies of one replica that share memory.
 */
#ifndef COPY_HARNESS_H
#define COPY_HARNESS_H

#include "ds/hash.h"
#include "engine/dispatch.h"

typedef struct CopyHarness
{
	NrCopy		copy;
	NrCopyConfig config;
	const NrDispatch *dispatch;	/* NULL: the test uses the extents itself */
	char	   *memory;
	uint32_t   *physical;		/* stack of physical extents that are not mapped */
	uint32_t	physical_count;
	uint64_t	random;
	uint32_t	granted_max;	/* most extents one apply took; must stay within need() */
	uint32_t	batch_need;		/* of the last harness_batch, and the most it had in use of that */
	uint32_t	batch_used;
} CopyHarness;

/* Deterministic random numbers (splitmix64). */
extern uint64_t harness_random(uint64_t *state);

/* A fresh copy, made by dispatch->init. "root_bytes" is used when dispatch is NULL. */
extern void harness_make(CopyHarness *h, const NrDispatch *dispatch, const NrCopyConfig *config,
						 size_t root_bytes, uint64_t shuffle);
extern void harness_free(CopyHarness *h);

/* A ds_hash table; line_bytes 0: its parameters do not say. */
extern void harness_make_hash(CopyHarness *h, uint32_t extent_shift, uint32_t extents_max,
							  uint32_t line_bytes, uint64_t seed, uint64_t shuffle);

/* Does verify find nothing?  What it finds is printed. */
extern bool harness_sound(const CopyHarness *h);

/* Map so many extents as free ones; fewer when the quota is used up. Returns how many. */
extern uint32_t harness_grant(CopyHarness *h, uint32_t n);

/* Unmap all extents that are free; or so many of them at most. */
extern void harness_reclaim(CopyHarness *h);
extern void harness_release(CopyHarness *h, uint32_t n);

/* Extents in use, root included. */
extern uint32_t harness_in_use(const CopyHarness *h);

/* Grant what the operation needs, and apply it. */
extern NrStatus harness_apply(CopyHarness *h, const NrOpHeader *op, NrResponse *resp);

/*
 * A batch as prepared writes are applied: leave no extent free but exactly as many as
 * need_ops asks for, and apply all of it under this order number (0: none).  Returns
 * false when the quota does not allow it, with nothing applied.  "status":
 * NR_NO_SPACE if there was one, else the first that is not NR_OK.
 */
extern bool harness_batch(CopyHarness *h, void *ops, size_t bytes, uint32_t n,
						  uint64_t order_seq, uint64_t horizon, NrStatus *status);

/* ds_hash operations; "flag" may be NULL. */
extern NrStatus harness_put(CopyHarness *h, const void *key, size_t key_bytes,
							const void *value, size_t value_bytes, uint16_t flags, bool *flag);
extern NrStatus harness_delete(CopyHarness *h, const void *key, size_t key_bytes, bool *flag);
extern NrStatus harness_truncate(CopyHarness *h, bool *flag);

/* Value length, or -1: missing. Up to "capacity" bytes of it are in "out". */
extern int64_t harness_get(const CopyHarness *h, const void *key, size_t key_bytes, void *out, uint32_t capacity);
extern DsHashStat harness_stat(const CopyHarness *h);

/*
 * Two copies that share memory: config->shared_max is not 0.  "shared" is that memory as if it were a copy, for
 * harness_grant, harness_release and harness_in_use; its dispatch is NULL.  copy[0] was made first.
 * Who applies writes sets NrCopy.pass and NrCopy.seq.
 */
typedef struct CopyPair
{
	CopyHarness copy[2];
	CopyHarness shared;
	char	   *memory;
} CopyPair;

extern void pair_make(CopyPair *pair, const NrDispatch *dispatch, const NrCopyConfig *config, uint64_t shuffle);
extern void pair_free(CopyPair *pair);

/* Make copy[1] equal to copy[0], as the engine does after a load; the same logical extents are mapped in both. */
extern void pair_sync(CopyPair *pair);

#endif							/* COPY_HARNESS_H */
