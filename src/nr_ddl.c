/*
 * nr_ddl.c
 *		What CREATE and ALTER may say about a cache, checked while they can still
 *		be rolled back; and what DROP leaves to do.
 *
 * The object access hook hears of every relation that is created, altered or
 * dropped, by whatever statement (CREATE SCHEMA, IMPORT, PARTITION OF, ALTER of
 * a parent, ...), but in the middle of it.  So it takes notes, with the layout as
 * it was before the statement's first change, and the ProcessUtility hook looks
 * at the results when the statement is done.
 *
 * Statements nest (functions, event triggers, CREATE SCHEMA with its elements):
 * each has a list of its own.
 */
#include "nr_internal.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_foreign_table.h"
#include "commands/defrem.h"
#include "tcop/utility.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

static object_access_hook_type prev_object_access = NULL;
static ProcessUtility_hook_type prev_process_utility = NULL;

/* A relation to look at when the statement is done. */
typedef struct Noted
{
	Oid			relid;
	bool		changed;		/* created or altered, not only a column dropped */
	bool		was_cache;
	NrLayout	before;			/* if it was */
} Noted;

/* Of the innermost statement; in TopTransactionContext. */
static List *noted = NIL;
static int	statements = 0;		/* that are being executed */
static uint64 transactions = 0; /* so far: whose lists are gone */

/* The layout before the statement, if it is a cache already. */
static void
note_before(Noted *n)
{
	Relation	rel;

	if (!nr_is_cache(n->relid))
		return;
	rel = RelationIdGetRelation(n->relid);
	if (!RelationIsValid(rel))
		return;
	nr_layout_read(rel, &n->before);
	RelationClose(rel);
	n->was_cache = true;
}

static void
note(Oid relid, bool changed)
{
	MemoryContext old;
	Noted	   *n = NULL;
	char		kind = get_rel_relkind(relid);
	ListCell   *lc;

	/* whose row is not there yet, may be one; a statement may concern thousands that are not */
	if (kind != '\0' && kind != RELKIND_FOREIGN_TABLE)
		return;
	foreach(lc, noted)
		if (((Noted *) lfirst(lc))->relid == relid)
			n = lfirst(lc);
	if (n == NULL)
	{
		old = MemoryContextSwitchTo(TopTransactionContext);
		n = palloc0(sizeof(Noted));
		n->relid = relid;
		note_before(n);
		noted = lappend(noted, n);
		MemoryContextSwitchTo(old);
	}
	n->changed |= changed;
}

void
nr_ddl_forget(void)
{
	noted = NIL;
	transactions++;
}

static void
object_access(ObjectAccessType access, Oid classId, Oid objectId, int subId, void *arg)
{
	if (prev_object_access)
		prev_object_access(access, classId, objectId, subId, arg);

	if (!nr_shmem_ready() || IsBinaryUpgrade ||
		(classId != RelationRelationId && classId != ForeignTableRelationId &&
		 ((classId != DatabaseRelationId && classId != AttrDefaultRelationId) || access != OAT_DROP)))
		return;
	switch (access)
	{
		case OAT_DROP:
			if (classId == DatabaseRelationId)
				nr_lifetime_drop_database(objectId);
			else if (classId == AttrDefaultRelationId)	/* SET EXPRESSION has no other hook before it */
				note(GetAttrDefaultColumnAddress(objectId).objectId, false);
			else if (subId != 0)
				note(objectId, false);
			else if (nr_registry_has(objectId))
				nr_lifetime_drop(objectId);
			break;
		case OAT_POST_ALTER:
			if (classId == RelationRelationId && subId > 0)
				nr_ddl_check_attribute(objectId, subId);
			note(objectId, true);
			break;
		case OAT_POST_CREATE:
			note(objectId, true);
			break;
		default:
			break;
	}
}

/*
 * A column went with its type or the like.  Whoever dropped that need not know of
 * the cache, nor own it, so it is not refused.
 */
static void
warn_unless_usable(Relation rel)
{
	ErrorData  *error = nr_def_error(rel);

	if (error == NULL)
		return;
	ereport(WARNING,
			(errmsg("cache \"%s\" cannot be used any more", RelationGetRelationName(rel)),
			 errdetail("The reason is: %s.", error->message),
			 error->hint ? errhint("%s", error->hint) : 0));
}

/*
 * Not when nothing has changed: one that a dropped type has broken may still be
 * renamed, given away, ...  And not yet while a dump is being restored, which says
 * in a statement of its own, after CREATE, which column is the key.
 */
static bool
must_be_usable(const Noted *n, const NrLayout *after)
{
	if (after->keys_marked == 0 && !check_function_bodies)
		return false;
	return !n->was_cache || n->before.fingerprint != after->fingerprint ||
		n->before.keys_marked != after->keys_marked;
}

/* ERROR when the columns or options are not what a cache can have. */
static void
check_relation(const Noted *n, bool altered)
{
	Relation	rel;
	NrLayout	after;

	if (!nr_is_cache(n->relid))
		return;
	rel = try_relation_open(n->relid, AccessShareLock);
	if (rel == NULL)
		return;
	nr_layout_read(rel, &after);
	if (n->was_cache)
		nr_ddl_check_key(rel, &n->before, &after, !altered);
	if (must_be_usable(n, &after))
	{
		if (altered)
			MemoryContextDelete(nr_def_build(rel)->context);
		else
			warn_unless_usable(rel);
	}
	if (n->was_cache)
		nr_ddl_changed(rel, &n->before, &after);
	relation_close(rel, NoLock);
	nr_lifetime_touch(n->relid);
}

static void
check_noted(const Node *statement)
{
	List	   *list = noted;
	ListCell   *lc;

	noted = NIL;
	CommandCounterIncrement();
	foreach(lc, list)
	{
		const Noted *n = lfirst(lc);

		check_relation(n, n->changed || IsA(statement, AlterTableStmt));
	}
	list_free_deep(list);
}

/* Newer versions of PostgreSQL say this themselves, older ones ignore the option. */
static void
refuse_copy_freeze(const CopyStmt *stmt)
{
	bool		freeze = false;
	ListCell   *lc;

	foreach(lc, stmt->options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, "freeze") == 0)
			freeze = defGetBoolean(option);
	}
	if (freeze && stmt->is_from && stmt->relation != NULL &&
		nr_is_cache(RangeVarGetRelid(stmt->relation, NoLock, true)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot perform COPY FREEZE on a foreign table")));
}

static void
process_utility(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *queryEnv, DestReceiver *dest, QueryCompletion *qc)
{
	bool		nested = statements > 0;
	List	   *outer = noted;
	uint64		transaction = transactions;

	if (IsA(pstmt->utilityStmt, CopyStmt))
		refuse_copy_freeze((CopyStmt *) pstmt->utilityStmt);
	if (nested)
		noted = NIL;
	statements++;
	PG_TRY();
	{
		if (prev_process_utility)
			prev_process_utility(pstmt, queryString, readOnlyTree, context, params, queryEnv, dest, qc);
		else
			standard_ProcessUtility(pstmt, queryString, readOnlyTree, context, params, queryEnv, dest, qc);

		if (noted != NIL)
			check_noted(pstmt->utilityStmt);
	}
	PG_FINALLY();
	{
		statements--;
		noted = nested && transaction == transactions ? outer : NIL;
	}
	PG_END_TRY();
}

void
nr_ddl_init(void)
{
	prev_object_access = object_access_hook;
	object_access_hook = object_access;
	prev_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
}
