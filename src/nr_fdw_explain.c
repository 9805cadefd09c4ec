/*
 * nr_fdw_explain.c
 *		What EXPLAIN says of scans and modifications of caches.
 *
 * Facts about the cache come from its definition: EXPLAIN alone makes no cache.
 */
#include "nr_fdw.h"

#include "nodes/nodeFuncs.h"
#include "nodes/plannodes.h"
#include "rewrite/rewriteManip.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif

/* ---- scans ---- */

/*
 * What another node of the plan computes, as $n.  Which one that is follows from the nodes above, whom
 * nobody tells this callback, and without them PostgreSQL takes a PARAM_EXEC for a bug (17, with assertions).
 */
static Node *
foreign_params_by_number(Node *node, void *plan)
{
	ListCell   *lc;

	if (node == NULL)
		return NULL;
	if (!IsA(node, Param) || ((Param *) node)->paramkind != PARAM_EXEC)
		return expression_tree_mutator(node, foreign_params_by_number, plan);
	node = copyObject(node);
	foreach(lc, ((Plan *) plan)->initPlan)
	{
		if (list_member_int(((SubPlan *) lfirst(lc))->setParam, ((Param *) node)->paramid))
			return node;
	}
	((Param *) node)->paramkind = PARAM_EXTERN;
	return node;
}

/*
 * The comparison as the query has it.  In the plan's expressions the columns of
 * an outer relation have become parameters already, whose names nobody tells
 * this callback; so the plan also carries the comparison from before, which only
 * lacks the offset that the range table got when the plan was put together.
 */
static char *
lookup_text(ForeignScanState *node, ExplainState *es)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	Node	   *shown = list_nth(plan->fdw_private, NR_SCAN_SHOWN);
	int			rtindex = intVal(list_nth(plan->fdw_private, NR_SCAN_RTINDEX));

	if (shown)
	{
		shown = copyObject(shown);
		OffsetVarNodes(shown, plan->scan.scanrelid - rtindex, 0);
	}
	else
		shown = linitial(plan->fdw_recheck_quals);
	return deparse_expression(foreign_params_by_number(shown, plan),
							  set_deparse_context_plan(es->deparse_cxt, (Plan *) plan, NIL),
							  list_length(es->rtable) > 1 || es->verbose, false);
}

/*
 * What parallel workers count stays with them: PostgreSQL gives shared memory to
 * parallel-aware nodes only.  Rather no numbers than half of them.
 */
static bool
workers_took_part(const ForeignScanState *node)
{
	const WorkerInstrumentation *workers = node->ss.ps.worker_instrument;

	for (int i = 0; workers != NULL && i < workers->num_workers; i++)
		if (workers->instrument[i].nloops > 0)
			return true;
	return false;
}

void
nr_fdw_scan_explain(ForeignScanState *node, ExplainState *es)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	bool		lookup = plan->fdw_exprs != NIL;
	const NrScanCounts *counts = es->analyze ? nr_fdw_scan_counts(node) : NULL;

	if (lookup)
		ExplainPropertyText("Cache Lookup", lookup_text(node, es), es);
	else
		ExplainPropertyText("Cache Scan", "all entries", es);
	if (es->verbose)
	{
		NrCacheDef *def = nr_def_build(node->ss.ss_currentRelation);

		ExplainPropertyText("Scheme", nr_scheme_name(def->scheme), es);
		ExplainPropertyInteger("Copies", NULL, def->copies, es);
		if (def->copies > 1)
			ExplainPropertyText("Aliasing", def->aliased ? "on" : "off", es);
		ExplainPropertyText("Visibility", nr_visibility_name(def->visibility), es);
		MemoryContextDelete(def->context);
	}
	if (counts == NULL || workers_took_part(node))
		return;
	if (lookup)
		ExplainPropertyUInteger("Lookups", NULL, counts->lookups, es);
	else
		ExplainPropertyUInteger("Scan Memory", "kB", (counts->copy_bytes + 1023) / 1024, es);
	ExplainPropertyUInteger("Entries Visited", NULL, counts->entries, es);
}

/* ---- modifications ---- */

/* When what is written becomes visible, and in which portions. */
static const char *
write_text(const ModifyTableState *mtstate, const ResultRelInfo *rri, NrVisibility visibility)
{
	switch (visibility)
	{
		case NR_VISIBLE_COMMIT:
			return "staged until COMMIT";
		case NR_VISIBLE_MANUAL:
			return "pending until nr_publish()";
		case NR_VISIBLE_IMMEDIATE:
			break;
	}
	if (mtstate->operation == CMD_INSERT && !nr_fdw_row_by_row(rri))
		return "immediate, many rows at a time";
	return "immediate, row by row";
}

void
nr_fdw_modify_explain(ModifyTableState *mtstate, ResultRelInfo *rri, List *fdw_private,
					  int subplan_index, ExplainState *es)
{
	NrCacheDef *def = nr_def_build(rri->ri_RelationDesc);

	ExplainPropertyText("Cache Write", write_text(mtstate, rri, def->visibility), es);
	MemoryContextDelete(def->context);
}
