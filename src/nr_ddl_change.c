/*
 * nr_ddl_change.c
 *		What a change of definition means for what is in the cache.
 *
 * Whatever gives stored bytes their meaning is part of the layout, and a new
 * layout begins with an empty cache.  Nobody should find that out from missing
 * entries, so it is said when the statement is done, while it can still be rolled
 * back.
 */
#include "nr_internal.h"

#include "utils/builtins.h"
#include "utils/rel.h"

/* ---- what has changed, in words ---- */

static void
add_change(StringInfo list, const char *format, const char *name)
{
	if (list->len > 0)
		appendStringInfoString(list, ", ");
	appendStringInfo(list, format, name);
}

/* Column number i + 1, NULL when there is none (any more). */
static Form_pg_attribute
column_of(const NrLayout *layout, int i)
{
	if (i >= layout->desc->natts || TupleDescAttr(layout->desc, i)->attisdropped)
		return NULL;
	return TupleDescAttr(layout->desc, i);
}

static void
list_columns(StringInfo list, const NrLayout *before, const NrLayout *after)
{
	for (int i = 0; i < after->desc->natts; i++)
	{
		Form_pg_attribute old = column_of(before, i);
		Form_pg_attribute new = column_of(after, i);

		if (old == NULL && new != NULL)
			add_change(list, "column \"%s\" added", NameStr(new->attname));
		else if (old != NULL && new == NULL)
			add_change(list, "column \"%s\" dropped", NameStr(old->attname));
		else if (old == NULL)
			continue;
		else if (old->atttypid != new->atttypid || old->atttypmod != new->atttypmod)
			add_change(list, "type of column \"%s\"", NameStr(new->attname));
		else if (old->attcollation != new->attcollation)
			add_change(list, "collation of column \"%s\"", NameStr(new->attname));
	}
}

static void
list_options(StringInfo list, const NrTableOptions *before, const NrTableOptions *after)
{
	if (before->scheme != after->scheme)
		add_change(list, "option \"%s\"", "scheme");
	if (before->copies != after->copies && before->scheme == after->scheme)
		add_change(list, "option \"%s\"", "copies");
	if (before->aliased != after->aliased && before->copies == after->copies)
		add_change(list, "option \"%s\"", "aliasing");
	if (before->visibility != after->visibility)
		add_change(list, "option \"%s\"", "visibility");
	if (before->memory_kb != after->memory_kb)
		add_change(list, "option \"%s\"", "memory");
	if (before->log_size_kb != after->log_size_kb)
		add_change(list, "option \"%s\"", "log_size");
}

static char *
changes(const NrLayout *before, const NrLayout *after)
{
	StringInfoData list;

	initStringInfo(&list);
	list_columns(&list, before, after);
	if (before->key != after->key)
		add_change(&list, "%s", "key");
	list_options(&list, &before->options, &after->options);
	if (list.len == 0)
		add_change(&list, "%s", "expression of a generated column");
	return list.data;
}

/* ---- what is lost ---- */

/* Whether something would be missed.  A state that does not answer counts as full. */
static bool
has_contents(Oid relid, uint64 fingerprint)
{
	NrRegRef	ref;
	NrRegEntry	entry;
	NrGroupInfo group;
	NrReplicaInfo replicas[NR_GUC_REPLICAS_MAX];
	DsHashStat	stat;

	if (!nr_registry_find(relid, fingerprint, &ref))
		return false;
	if (nr_registry_read(ref.group, &entry, &group, replicas) && group.pending > 0)
		return true;
	return !nr_state_stat(&ref, relid, &stat) || stat.entries > 0;
}

void
nr_ddl_changed(Relation rel, const NrLayout *before, const NrLayout *after)
{
	Oid			relid = RelationGetRelid(rel);
	NrCacheEntry *entry = nr_entry_find(relid);

	if (before->fingerprint == after->fingerprint)
		return;
	if (entry != NULL && entry->cache.stage != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot alter cache \"%s\" because this transaction has written to it",
						RelationGetRelationName(rel)),
				 errdetail("A cache starts empty after this change: %s.", changes(before, after)),
				 errhint("Alter it before the transaction's first write to it, or in a transaction of its own.")));
	if (has_contents(relid, before->fingerprint))
		ereport(NOTICE,
				(errmsg("cache \"%s\" will be emptied when this is committed",
						RelationGetRelationName(rel)),
				 errdetail("Its entries do not survive this change: %s.", changes(before, after))));
}

void
nr_ddl_check_key(Relation rel, const NrLayout *before, const NrLayout *after, bool cascaded)
{
	const char *name = RelationGetRelationName(rel);
	char	   *old;

	if (before->key == 0 || after->keys_marked > 0 || column_of(after, before->key - 1) != NULL)
		return;
	old = NameStr(TupleDescAttr(before->desc, before->key - 1)->attname);
	if (!cascaded)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("cannot drop key column \"%s\" of cache \"%s\"", old, name),
				 errhint("First make another column the key: ALTER FOREIGN TABLE %s ALTER COLUMN ... OPTIONS (ADD key 'true').",
						 quote_identifier(name))));
	if (after->key != 0)
		ereport(WARNING,
				(errmsg("cache \"%s\" has lost its key column \"%s\"", name, old),
				 errdetail("Its key is now column \"%s\".",
						   NameStr(TupleDescAttr(after->desc, after->key - 1)->attname))));
}
