/*
 * alias_calls.h
 *		Long values in ds_hash for the stress of shared memory: every byte follows from
 *		key and version, and a reader may hold on to a value where it lies.
 */
#ifndef ALIAS_CALLS_H
#define ALIAS_CALLS_H

#include "ds/hash.h"
#include "engine/engine.h"

#define AL_KEYS			60
#define AL_KEY_MAX		80
#define AL_VALUE_MAX	3700
#define AL_OP_MAX		3904
#define AL_BATCH_MAX	6
#define AL_WRONG		UINT64_MAX	/* bytes that nobody has written */

typedef struct AlKeys
{
	uint64_t	seed;
	char		bytes[AL_KEYS][AL_KEY_MAX];
	uint32_t	n[AL_KEYS];
	uint64_t	hash[AL_KEYS];
} AlKeys;

extern void al_keys(AlKeys *keys, uint64_t seed);

/* Two copies; extents of 4 kB. */
extern NrGroupConfig al_config(const AlKeys *keys, uint32_t extents_max, uint32_t shared_max);

/* Length of the value that stands for a version: of 16 one is short, two of several kB. */
extern uint32_t al_value_bytes(uint64_t version);

/* Encode; return the bytes written. */
extern size_t al_op_put(void *to, const AlKeys *keys, uint32_t k, uint64_t version);
extern size_t al_op_delete(void *to, const AlKeys *keys, uint32_t k);

/* What a reader has found, and where. */
typedef struct AlSeen
{
	const uint8_t *key;
	const uint8_t *value;		/* NULL: missing */
	uint32_t	bytes;
	uint64_t	version;		/* 0: missing; AL_WRONG */
} AlSeen;

/* Between nr_enter and nr_leave: look at the value where it lies / look again: is it there, and the same? */
extern void al_look(NrHandle *h, const AlKeys *keys, uint32_t k, AlSeen *seen);
extern bool al_unchanged(NrHandle *h, const AlKeys *keys, uint32_t k, const AlSeen *seen);

/* By a lookup; AL_WRONG also when that failed. */
extern uint64_t al_get(NrHandle *h, const AlKeys *keys, uint32_t k);

/* By a scan: all that is there is right, and as many entries and bytes as the statistics say; else false. */
extern bool al_scan(NrHandle *h, const AlKeys *keys);

/* Operations that are written at once. */
typedef struct AlBatch
{
	_Alignas(8) char ops[AL_BATCH_MAX * AL_OP_MAX];
	size_t		bytes;
	uint32_t	n;
	uint32_t	key[AL_BATCH_MAX];	/* AL_KEYS: a truncate */
	uint64_t	version[AL_BATCH_MAX];
} AlBatch;

/* What a key must be: the version that was written last, 0: missing. */
typedef struct AlModel
{
	uint64_t	version[AL_KEYS];
	uint64_t	seq[AL_KEYS];	/* when it was written, for who knows truncates by their number only */
	bool		unsure[AL_KEYS];	/* the last write of it found no space, or others of its batch did */
} AlModel;

/* "ok": all operations were applied; else each of them was or was not. */
extern void al_model_apply(AlModel *m, const AlBatch *b, uint64_t seq, bool ok);

/* Each key is what was written last, or missing when a truncate was later or in the same step. */
extern bool al_model_holds(const AlModel *m, uint64_t truncated, NrHandle *h, const AlKeys *keys);

/* With nobody at work: accounts and tables agree, and nothing but the group holds extents. */
extern bool al_settled(NrHandle *h);

#endif							/* ALIAS_CALLS_H */
