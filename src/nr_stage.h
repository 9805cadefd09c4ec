/*
 * nr_stage.h
 *		A transaction's writes to caches of visibility 'commit', before COMMIT.
 *
 * Writes are staged in the backend, one stage for each cache.  The transaction
 * sees them at once, others when it commits; savepoints are respected: ROLLBACK
 * TO, an error caught by PL/pgSQL.
 *
 * WHO SEES WHAT.  The functions (nr_get, nr_get_many, nr_put's answer) see the
 * newest state.  A statement that scans the cache as a table sees what commands
 * before it have staged, not what it stages itself, as with any table: each
 * version carries the command that made it, and an older one is kept while a scan
 * is open that may look for it, or the command that replaced it still runs.
 *
 * MEMORY is the transaction's and bounded by nr_cache.max_batch: a write beyond
 * it is an error.
 */
#ifndef NR_STAGE_H
#define NR_STAGE_H

#include "nr_cache.h"

/* As a CommandId: everything staged so far. */
#define NR_STAGE_NEWEST		InvalidCommandId

typedef struct NrStage NrStage;

typedef enum NrStaged
{
	NR_STAGED_NOT,				/* nothing is staged: what the shared cache says holds */
	NR_STAGED_VALUE,
	NR_STAGED_GONE				/* deleted, or truncated away */
} NrStaged;

/*
 * What the stage says about a key, as seen by a command: versions with a
 * CommandId below "before" count.  data/bytes are set for NR_STAGED_VALUE and good
 * until the next write to the stage.
 */
extern NrStaged nr_stage_find(const NrStage *stage, const NrKey *key, CommandId before,
							  const char **data, uint32 *bytes);

/* True when a command sees nothing of what is shared, since the transaction has truncated it. */
extern bool nr_stage_hides_shared(const NrStage *stage, CommandId before);

/*
 * Stage a write; makes the stage when there is none.  The caller has called
 * nr_require_writable.  ERROR program_limit_exceeded over nr_cache.max_batch;
 * object_in_use when the cache's definition has changed since this transaction's
 * first write, or when the transaction is committing already;
 * read_only_sql_transaction on a standby.  After an error all is as it was.  Key and
 * value are copied; they must not be what a find gave, which may go first.
 */
extern void nr_stage_put(NrCache *cache, const NrKey *key, const char *value, uint32 bytes);
extern void nr_stage_delete(NrCache *cache, const NrKey *key);
extern void nr_stage_truncate(NrCache *cache);

/*
 * Shared entries (as DS_HASH_SCAN gives them; NULL when there are none) become what
 * a command sees: staged entries take the place of shared ones.  Changes the buffer
 * and returns it, or a larger one.  The cache has a stage.
 */
extern char *nr_stage_overlay(const NrCache *cache, CommandId before, char *entries,
							  uint64 *n, size_t *bytes);

/*
 * While a scan is open, versions that it may look for are kept; it sees the
 * commands below "before".  Closed when the memory context ends.
 */
extern void nr_stage_scan_open(Oid relid, CommandId before, MemoryContext context);

/* Whether this transaction has staged anything, for any cache. */
extern bool nr_stage_any(void);

#endif							/* NR_STAGE_H */
