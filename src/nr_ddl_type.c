/*
 * nr_ddl_type.c
 *		Keeps the attributes of a composite type as they are while a cache has
 *		values of it.
 *
 * A stored row is taken apart by the type's attributes as they are now.  That
 * allows for attributes that were added or dropped since, but not for one whose
 * type has changed.  For columns of tables PostgreSQL refuses the change; for
 * foreign tables, which keep nothing in most wrappers, old minor versions do
 * not (find_composite_type_dependencies).
 *
 * This is asked in the middle of the statement, from the object access hook,
 * which hears of every way to change a column.  The new row of pg_attribute is
 * there but not visible yet, so both types can be seen.
 */
#include "nr_internal.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_type.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* Has the column another type than before this command? */
static bool
type_changed(Oid relid, AttrNumber attnum)
{
	Relation	attributes;
	SysScanDesc scan;
	ScanKeyData key[2];
	HeapTuple	tuple;
	Oid			old_type;
	int32		old_typmod;
	Oid			old_collation;
	bool		changed = false;

	/* of the caller's snapshot: as it was */
	get_atttypetypmodcoll(relid, attnum, &old_type, &old_typmod, &old_collation);

	attributes = table_open(AttributeRelationId, AccessShareLock);
	ScanKeyInit(&key[0], Anum_pg_attribute_attrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	ScanKeyInit(&key[1], Anum_pg_attribute_attnum, BTEqualStrategyNumber, F_INT2EQ,
				Int16GetDatum(attnum));
	scan = systable_beginscan(attributes, AttributeRelidNumIndexId, true, SnapshotSelf, 2, key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_attribute att = (Form_pg_attribute) GETSTRUCT(tuple);

		changed = att->atttypid != old_type || att->attcollation != old_collation;
	}
	systable_endscan(scan);
	table_close(attributes, AccessShareLock);
	return changed;
}

/* ERROR when a cache has a column of this type, or of one that contains it. */
static void
refuse_if_cached(Oid altered, Oid type)
{
	Relation	depend;
	SysScanDesc scan;
	ScanKeyData key[2];
	HeapTuple	tuple;

	check_stack_depth();
	depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyInit(&key[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(TypeRelationId));
	ScanKeyInit(&key[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(type));
	scan = systable_beginscan(depend, DependReferenceIndexId, true, NULL, 2, key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend dep = (Form_pg_depend) GETSTRUCT(tuple);
		Oid			rowtype;

		/* arrays, domains and ranges of it */
		if (dep->classid == TypeRelationId)
			refuse_if_cached(altered, dep->objid);
		if (dep->classid != RelationRelationId || dep->objsubid <= 0 ||
			get_atttype(dep->objid, dep->objsubid) != type)
			continue;
		if (nr_is_cache(dep->objid))
		{
			char		kind = get_rel_relkind(altered);
			char	   *name = get_rel_name(altered);
			char	   *cache = get_rel_name(dep->objid);
			char	   *column = get_attname(dep->objid, dep->objsubid, false);

			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 kind == RELKIND_COMPOSITE_TYPE
					 ? errmsg("cannot alter type \"%s\" because column \"%s.%s\" uses it",
							  name, cache, column)
					 : errmsg("cannot alter table \"%s\" because column \"%s.%s\" uses its row type",
							  name, cache, column)));
		}
		rowtype = get_rel_type_id(dep->objid);
		if (OidIsValid(rowtype))
			refuse_if_cached(altered, rowtype);
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
}

void
nr_ddl_check_attribute(Oid relid, AttrNumber attnum)
{
	Oid			rowtype = get_rel_type_id(relid);

	if (OidIsValid(rowtype) && type_changed(relid, attnum))
		refuse_if_cached(relid, rowtype);
}
