/*
 * nr_fdw.c
 *		The foreign data wrapper's handler, and what is too short for a file of
 *		its own: TRUNCATE, IMPORT FOREIGN SCHEMA, parallel safety.
 *
 * A cache is a foreign table, so that it has everything that a table has in
 * PostgreSQL but storage.
 */
#include "nr_fdw.h"

#include "utils/rel.h"

PG_FUNCTION_INFO_V1(nr_cache_fdw_handler);

static int
nr_fdw_updatable(Relation rel)
{
	return (1 << CMD_INSERT) | (1 << CMD_UPDATE) | (1 << CMD_DELETE);
}

/* Any process may read; a worker that scans has a copy of its own. */
static bool
nr_fdw_parallel_safe(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte)
{
	return true;
}

/* PostgreSQL itself restarts sequences; CASCADE has nothing to act upon. */
static void
nr_fdw_truncate(List *rels, DropBehavior behavior, bool restart_seqs)
{
	ListCell   *lc;

	nr_require_writable("TRUNCATE");
	foreach(lc, rels)
		nr_exec_truncate(nr_cache_open(RelationGetRelid((Relation) lfirst(lc)),
									   RowExclusiveLock, 0));
}

static List *
nr_fdw_import(ImportForeignSchemaStmt *stmt, Oid server)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("IMPORT FOREIGN SCHEMA is not supported by nr_cache"),
			 errhint("There is nothing to import: a cache is made by CREATE FOREIGN TABLE.")));
	return NIL;					/* not reached */
}

Datum
nr_cache_fdw_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	routine->GetForeignRelSize = nr_fdw_rel_size;
	routine->GetForeignPaths = nr_fdw_paths;
	routine->GetForeignPlan = nr_fdw_plan;
	routine->ReparameterizeForeignPathByChild = nr_fdw_reparameterize;
	routine->IsForeignScanParallelSafe = nr_fdw_parallel_safe;

	routine->BeginForeignScan = nr_fdw_scan_begin;
	routine->IterateForeignScan = nr_fdw_scan_next;
	routine->ReScanForeignScan = nr_fdw_scan_again;
	routine->EndForeignScan = nr_fdw_scan_end;
	routine->ExplainForeignScan = nr_fdw_scan_explain;
	routine->AnalyzeForeignTable = nr_fdw_analyze;

	routine->IsForeignRelUpdatable = nr_fdw_updatable;
	routine->AddForeignUpdateTargets = nr_fdw_update_targets;
	routine->PlanForeignModify = nr_fdw_modify_plan;
	routine->BeginForeignModify = nr_fdw_modify_begin;
	routine->ExecForeignInsert = nr_fdw_insert;
	routine->ExecForeignUpdate = nr_fdw_update;
	routine->ExecForeignDelete = nr_fdw_delete;
	routine->EndForeignModify = nr_fdw_modify_end;
	routine->BeginForeignInsert = nr_fdw_insert_begin;
	routine->EndForeignInsert = nr_fdw_modify_end;
	routine->ExplainForeignModify = nr_fdw_modify_explain;
	routine->ExecForeignTruncate = nr_fdw_truncate;

	routine->ImportForeignSchema = nr_fdw_import;

	PG_RETURN_POINTER(routine);
}
