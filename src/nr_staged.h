/*
 * nr_staged.h
 *		What a stage is made of; for nr_stage*.c only.
 *
 * A stage is a stack of tables; TRUNCATE puts a new, empty one on top.  A table
 * maps a key to a chain of versions, newest first.  Each table and each version
 * carries the command and the nesting level (of subtransactions) that made it.
 */
#ifndef NR_STAGED_H
#define NR_STAGED_H

#include "nr_stage.h"

#include "lib/ilist.h"
#include "utils/memutils.h"

typedef struct NrStagedKey NrStagedKey;
typedef struct NrVersion NrVersion;

struct NrStagedKey
{
	uint64		hash;
	const char *data;
	uint32		bytes;
	NrVersion  *newest;			/* never NULL once it is in a table */
};

struct NrVersion
{
	dlist_node	node;			/* of NrStageTable.versions */
	dlist_node	replaced_node;	/* of NrStageTable.replaced, when "replaces" */
	NrVersion  *prev;			/* older one of this key, in this table */
	NrStagedKey *key;
	CommandId	cid;
	int			level;
	bool		gone;			/* a deletion */
	bool		replaces;		/* the one before it, which is kept for who may look for it */
	CommandId	floor;			/* of the oldest version dropped between prev and this; else invalid */
	uint32		bytes;
	char		data[FLEXIBLE_ARRAY_MEMBER];
};

typedef struct NrStageSlot
{
	NrStagedKey *key;
	uint32		hash;
	char		status;
} NrStageSlot;

static inline bool
same_key(const NrStagedKey *a, const NrStagedKey *b)
{
	return a->hash == b->hash && a->bytes == b->bytes && memcmp(a->data, b->data, a->bytes) == 0;
}

#define SH_PREFIX stagekeys
#define SH_ELEMENT_TYPE NrStageSlot
#define SH_KEY_TYPE NrStagedKey *
#define SH_KEY key
#define SH_HASH_KEY(table, key) ((uint32) (key)->hash)
#define SH_EQUAL(table, a, b) same_key(a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(table, slot) (slot)->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct NrStageTable
{
	struct NrStageTable *prev;
	MemoryContext context;		/* all of this */
	stagekeys_hash *keys;
	dlist_head	versions;		/* as made, so that their levels never decrease */
	dlist_head	replaced;		/* versions with the flag "replaces" */
	bool		truncated;		/* hides the tables below, and what is shared */
	CommandId	floor;			/* of the oldest table dropped between prev and this; else invalid */
	CommandId	cid;			/* of the truncation */
	int			level;
	size_t		bytes;			/* of the operations that all its versions would be */
} NrStageTable;

struct NrStage
{
	dlist_node	node;
	NrCache    *cache;
	uint64		fingerprint;	/* of the layout that the bytes have */
	uint64		epoch;			/* nr_epoch when it was last written to */
	NrStageTable *top;
	size_t		bytes;			/* sum over the tables */
	CommandId	command;		/* the last one that wrote */
	CommandId	trimmed;		/* the oldest view when replaced versions were dropped last */
};

static inline NrStagedKey *
nr_staged_key(const NrStageTable *table, const NrKey *key)
{
	NrStagedKey wanted = {.hash = key->hash, .data = key->data, .bytes = key->bytes};
	NrStageSlot *slot = stagekeys_lookup(table->keys, &wanted);

	return slot == NULL ? NULL : slot->key;
}

/* Bytes of the operation that a version would be. */
static inline size_t
nr_version_bytes(const NrVersion *version)
{
	return ds_hash_op_bytes(version->key->bytes, version->bytes);
}

/* ---- what is kept (nr_stage_keep.c); none of it can fail ---- */

/* Take a version out of its chain, whose link to it is given. */
extern void nr_version_drop(NrStage *stage, NrStageTable *table, NrVersion **link);

/* Drop what nobody needs below this version / table, as of command "now". */
extern void nr_version_trim(NrStage *stage, NrStageTable *table, NrVersion *version, CommandId now);
extern void nr_stage_table_trim(NrStage *stage, NrStageTable *table, CommandId now);

/* Remember a version that replaces another of its level, until nobody may look for that. */
extern void nr_version_note_replaced(NrStageTable *table, NrVersion *version);

/* A new command writes: drop what only earlier ones, or scans closed since, might have looked for. */
extern void nr_stage_trim(NrStage *stage, CommandId now);

#endif							/* NR_STAGED_H */
