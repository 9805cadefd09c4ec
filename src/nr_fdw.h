/*
 * nr_fdw.h
 *		What the foreign data wrapper's files share.
 *
 *	 nr_fdw.c          handler, TRUNCATE, IMPORT
 *	 nr_fdw_plan.c     sizes, paths, plans: full scan or lookup of keys
 *	 nr_fdw_scan.c     running them
 *	 nr_fdw_explain.c  EXPLAIN
 *	 nr_fdw_analyze.c  ANALYZE
 *	 nr_fdw_modify.c   INSERT, UPDATE, DELETE, COPY, tuple routing
 *	 nr_fdw_batch.c    operations collected into requests
 *	 nr_fdw_staged.c   rows of caches of visibility 'commit', as a statement changes them
 *	 nr_fdw_keys.c     sets of keys
 */
#ifndef NR_FDW_H
#define NR_FDW_H

#include "nr_fn.h"

#include "commands/explain.h"
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif
#include "executor/tuptable.h"
#include "foreign/fdwapi.h"
#include "lib/stringinfo.h"
#include "nodes/execnodes.h"
#include "nodes/pathnodes.h"

/* ---- planning (nr_fdw_plan.c) ---- */

/*
 * ForeignScan.fdw_private, a list.  A lookup has its comparison value in
 * fdw_exprs; a full scan has nothing there.
 */
enum
{
	NR_SCAN_VALUES,				/* Integer: are value columns needed at all? */
	NR_SCAN_TYPE,				/* Integer: type of the comparison value (its elements for an array) */
	NR_SCAN_ARRAY,				/* Integer: is the comparison value an array? */
	NR_SCAN_RTINDEX,			/* Integer: range table index when the plan was made */
	NR_SCAN_SHOWN				/* the comparison as EXPLAIN shows it, or NULL */
};

extern void nr_fdw_rel_size(PlannerInfo *root, RelOptInfo *rel, Oid relid);
extern void nr_fdw_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid);
extern ForeignScan *nr_fdw_plan(PlannerInfo *root, RelOptInfo *rel, Oid relid, ForeignPath *path,
								List *tlist, List *clauses, Plan *outer_plan);
extern List *nr_fdw_reparameterize(PlannerInfo *root, List *fdw_private, RelOptInfo *child);

/* ---- scans (nr_fdw_scan.c) ---- */

extern void nr_fdw_scan_begin(ForeignScanState *node, int eflags);
extern TupleTableSlot *nr_fdw_scan_next(ForeignScanState *node);
extern void nr_fdw_scan_again(ForeignScanState *node);
extern void nr_fdw_scan_end(ForeignScanState *node);

/* What a scan has done so far. */
typedef struct NrScanCounts
{
	uint64		lookups;		/* keys looked up */
	uint64		entries;		/* delivered by the cache */
	size_t		copy_bytes;		/* of a full scan's copy */
} NrScanCounts;

/* NULL when it has not begun. */
extern const NrScanCounts *nr_fdw_scan_counts(const ForeignScanState *node);

/* ---- EXPLAIN (nr_fdw_explain.c) ---- */

extern void nr_fdw_scan_explain(ForeignScanState *node, ExplainState *es);
extern void nr_fdw_modify_explain(ModifyTableState *mtstate, ResultRelInfo *rri, List *fdw_private,
								  int subplan_index, ExplainState *es);

/* ---- ANALYZE (nr_fdw_analyze.c) ---- */

extern bool nr_fdw_analyze(Relation rel, AcquireSampleRowsFunc *func, BlockNumber *pages);

/* ---- rows (nr_fdw_scan.c) ---- */

/*
 * Put an entry into a slot of the table's row type; pass-by-reference data goes
 * to the current memory context.  Without "with_values" the value columns
 * are NULL: nobody looks at them.
 */
extern void nr_fdw_store_row(const NrCacheDef *def, TupleTableSlot *slot,
							 const char *key, uint32 key_bytes,
							 const char *value, uint32 value_bytes, bool with_values);

/* ---- operations collected into requests (nr_fdw_batch.c) ---- */

/*
 * Operations encoded back to back.  Memory belongs to the context in which
 * nr_batch_init was called.
 */
typedef struct NrBatch
{
	StringInfoData ops;
	uint32		n;
} NrBatch;

extern void nr_batch_init(NrBatch *batch);
extern void nr_batch_put(NrBatch *batch, const NrKey *key, const char *value, uint32 value_bytes,
						 uint16 flags);
extern void nr_batch_delete(NrBatch *batch, const NrKey *key);

/* Apply as one request and empty the batch, also when it fails.  Returns how many had their flag set. */
extern uint32 nr_batch_apply(NrBatch *batch, NrCache *cache);

/* ---- keys (nr_fdw_keys.c) ---- */

static inline bool
nr_key_equal(const NrKey *a, const NrKey *b)
{
	return a->bytes == b->bytes && memcmp(a->data, b->data, a->bytes) == 0;
}

/* A set of keys, of which it keeps copies; belongs to the context it is made in. */
typedef struct NrKeySet NrKeySet;

extern NrKeySet *nr_keyset_make(MemoryContext context);

/* False when it is a member already. */
extern bool nr_keyset_add(NrKeySet *set, const NrKey *key);

/* False when it is no member. */
extern bool nr_keyset_remove(NrKeySet *set, const NrKey *key);

/* ---- rows of caches of visibility 'commit' (nr_fdw_staged.c) ---- */

/* What a statement has done to a cache so far; for all its parts, and as long as it runs. */
typedef struct NrStagedRows NrStagedRows;

extern NrStagedRows *nr_staged_rows(Oid relid, const EState *estate);

/*
 * Stage the change of a row that the statement's scan delivered.  False when the
 * row has been changed since, or is gone: then nothing is done.
 */
extern bool nr_staged_update(NrStagedRows *rows, NrCache *cache, const NrKey *old_key,
							 const NrKey *key, const char *value, uint32 bytes);
extern bool nr_staged_delete(NrStagedRows *rows, NrCache *cache, const NrKey *key);

/* The value of such a row; as nr_exec_get. */
extern bool nr_staged_get(NrStagedRows *rows, NrCache *cache, const NrKey *key,
						  const char **data, uint32 *bytes);

/* Stage a row; the statement may be yet to change what was there. */
extern void nr_staged_land(NrStagedRows *rows, NrCache *cache, const NrKey *key,
						   const char *value, uint32 bytes);

/* ---- modifications (nr_fdw_modify.c) ---- */

extern void nr_fdw_update_targets(PlannerInfo *root, Index rtindex, RangeTblEntry *rte,
								  Relation rel);
extern List *nr_fdw_modify_plan(PlannerInfo *root, ModifyTable *plan, Index rtindex,
								int subplan_index);
extern void nr_fdw_modify_begin(ModifyTableState *mtstate, ResultRelInfo *rri, List *fdw_private,
								int subplan_index, int eflags);

/*
 * Does INSERT apply each row alone, because somebody may look between two rows?  Known
 * when the executor has made its own preparations.
 */
extern bool nr_fdw_row_by_row(const ResultRelInfo *rri);

extern void nr_fdw_insert_begin(ModifyTableState *mtstate, ResultRelInfo *rri);
extern TupleTableSlot *nr_fdw_insert(EState *estate, ResultRelInfo *rri, TupleTableSlot *slot,
									 TupleTableSlot *plan_slot);
extern TupleTableSlot *nr_fdw_update(EState *estate, ResultRelInfo *rri, TupleTableSlot *slot,
									 TupleTableSlot *plan_slot);
extern TupleTableSlot *nr_fdw_delete(EState *estate, ResultRelInfo *rri, TupleTableSlot *slot,
									 TupleTableSlot *plan_slot);
extern void nr_fdw_modify_end(EState *estate, ResultRelInfo *rri);

#endif							/* NR_FDW_H */
