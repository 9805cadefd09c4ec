/*
 * nr_fdw.h
 *		What the foreign data wrapper's files share.
 *
 *	 nr_fdw.c          handler, TRUNCATE, IMPORT
 *	 nr_fdw_plan.c     sizes, paths, plans: full scan or lookup of keys
 *	 nr_fdw_scan.c     running them, EXPLAIN
 *	 nr_fdw_modify.c   INSERT, UPDATE, DELETE, COPY, tuple routing
 *	 nr_fdw_batch.c    operations collected into requests
 */
#ifndef NR_FDW_H
#define NR_FDW_H

#include "nr_fn.h"

#include "commands/explain.h"
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
extern void nr_fdw_scan_explain(ForeignScanState *node, ExplainState *es);

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

/* ---- modifications (nr_fdw_modify.c) ---- */

extern void nr_fdw_update_targets(PlannerInfo *root, Index rtindex, RangeTblEntry *rte,
								  Relation rel);
extern List *nr_fdw_modify_plan(PlannerInfo *root, ModifyTable *plan, Index rtindex,
								int subplan_index);
extern void nr_fdw_modify_begin(ModifyTableState *mtstate, ResultRelInfo *rri, List *fdw_private,
								int subplan_index, int eflags);
extern void nr_fdw_insert_begin(ModifyTableState *mtstate, ResultRelInfo *rri);
extern TupleTableSlot *nr_fdw_insert(EState *estate, ResultRelInfo *rri, TupleTableSlot *slot,
									 TupleTableSlot *plan_slot);
extern TupleTableSlot *nr_fdw_update(EState *estate, ResultRelInfo *rri, TupleTableSlot *slot,
									 TupleTableSlot *plan_slot);
extern TupleTableSlot *nr_fdw_delete(EState *estate, ResultRelInfo *rri, TupleTableSlot *slot,
									 TupleTableSlot *plan_slot);
extern void nr_fdw_modify_end(EState *estate, ResultRelInfo *rri);

#endif							/* NR_FDW_H */
