/*
 * nr_ddl.c
 *		What CREATE and ALTER may say about a cache, checked while they can still
 *		be rolled back; and what DROP leaves to do.
 *
 * The object access hook hears of every relation that is created, altered or
 * dropped, by whatever statement (CREATE SCHEMA, IMPORT, PARTITION OF, ALTER of
 * a parent, ...), but in the middle of it.  So it takes notes, and the
 * ProcessUtility hook looks at the results when the statement is done.
 */
#include "nr_internal.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_table.h"
#include "tcop/utility.h"
#include "utils/memutils.h"
#include "utils/rel.h"

static object_access_hook_type prev_object_access = NULL;
static ProcessUtility_hook_type prev_process_utility = NULL;

/* Relations to look at when the statement is done; in TopTransactionContext. */
static List *noted = NIL;

static void
note(Oid relid)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);

	noted = list_append_unique_oid(noted, relid);
	MemoryContextSwitchTo(old);
}

void
nr_ddl_forget(void)
{
	noted = NIL;
}

static void
object_access(ObjectAccessType access, Oid classId, Oid objectId, int subId, void *arg)
{
	if (prev_object_access)
		prev_object_access(access, classId, objectId, subId, arg);

	if (!nr_shmem_ready() ||
		(classId != RelationRelationId && classId != ForeignTableRelationId))
		return;
	switch (access)
	{
		case OAT_DROP:
			if (subId == 0 && nr_registry_has(objectId))
				nr_lifetime_touch(objectId);
			if (subId != 0)
				note(objectId);
			break;
		case OAT_POST_ALTER:
			if (classId == RelationRelationId && subId > 0)
				nr_ddl_check_attribute(objectId, subId);
			note(objectId);
			break;
		case OAT_POST_CREATE:
			note(objectId);
			break;
		default:
			break;
	}
}

/* ERROR when the columns or options are not what a cache can have. */
static void
check_relation(Oid relid)
{
	Relation	rel;
	NrCacheDef *def;

	if (!nr_is_cache(relid))
		return;
	rel = try_relation_open(relid, AccessShareLock);
	if (rel == NULL)
		return;
	def = nr_def_build(rel);
	MemoryContextDelete(def->context);
	relation_close(rel, NoLock);
	if (nr_registry_has(relid))
		nr_lifetime_touch(relid);
}

static void
check_noted(void)
{
	List	   *relids = noted;
	ListCell   *lc;

	noted = NIL;
	CommandCounterIncrement();
	foreach(lc, relids)
		check_relation(lfirst_oid(lc));
}

static void
process_utility(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *queryEnv, DestReceiver *dest, QueryCompletion *qc)
{
	if (prev_process_utility)
		prev_process_utility(pstmt, queryString, readOnlyTree, context, params, queryEnv, dest, qc);
	else
		standard_ProcessUtility(pstmt, queryString, readOnlyTree, context, params, queryEnv, dest, qc);

	if (noted != NIL)
		check_noted();
}

void
nr_ddl_init(void)
{
	prev_object_access = object_access_hook;
	object_access_hook = object_access;
	prev_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
}
