/*
 * nr_def.c
 *		A cache's definition, read from the catalogs: which column is the key,
 *		which are the values, how large, and the fingerprint of its layout.
 *
 * The rules about columns are here and not in the FDW's validator, which is
 * shown options only.  nr_ddl.c runs this after CREATE and ALTER, and
 * nr_open.c before first use.
 */
#include "nr_internal.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "foreign/foreign.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/syscache.h"

#define LAYOUT_VERSION		1	/* of the codec's bytes */
#define EXTENTS_MIN			4	/* root, a segment, a heap extent, one to grow */
#define EXTENTS_MIN_ALIASED	5	/* of both copies, two more: root and heap of what they share */
#define LOG_EXTENTS_MAX		2048	/* below what the engine can list */
#define LOG_BYTES_MAX		(UINT64CONST(1) << 30)	/* and number, by lines of a ring; as nr_cache.log_size */
#define EXTENTS_MAX_BYTES	(UINT64CONST(1) << 36)	/* what references reach */

/* ---- fingerprint ---- */

/* What of one column gives stored bytes their meaning. */
typedef struct LayoutColumn
{
	Oid			typid;
	int32		typmod;
	Oid			collation;
	int16		attnum;
	int16		dropped;
	uint32		generated;		/* hash of its expression; 0: none */
} LayoutColumn;

/* Remember a catalog row that our own transaction, not committed yet, has written. */
static void
note_own_xid(TransactionId *newest, HeapTuple tuple)
{
	TransactionId xid = HeapTupleHeaderGetXmin(tuple->t_data);

	if (TransactionIdIsCurrentTransactionId(xid) &&
		(!TransactionIdIsValid(*newest) || TransactionIdFollows(xid, *newest)))
		*newest = xid;
}

/*
 * What a generated column is computed from.  PostgreSQL rewrites tables, but not
 * foreign tables, when that changes, and a cache with values of both would be none
 * that anybody can make sense of.
 */
static uint32
hash_generated(Relation rel, AttrNumber attnum)
{
	const TupleConstr *constr = RelationGetDescr(rel)->constr;

	if (TupleDescAttr(RelationGetDescr(rel), attnum - 1)->attgenerated == '\0' || constr == NULL)
		return 0;
	for (int i = 0; i < constr->num_defval; i++)
	{
		const AttrDefault *expr = &constr->defval[i];

		if (expr->adnum == attnum && expr->adbin != NULL)
			return hash_bytes((const unsigned char *) expr->adbin, strlen(expr->adbin)) | 1;
	}
	return 1;
}

/*
 * Composite types inside a column do not count: PostgreSQL lets attributes be
 * added and dropped, which stored values survive, and refuses other changes
 * while a foreign table uses the type.
 */
static void
append_columns(StringInfo bytes, TransactionId *own_xid, Relation rel)
{
	for (AttrNumber attnum = 1; attnum <= RelationGetDescr(rel)->natts; attnum++)
	{
		HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(RelationGetRelid(rel)),
											Int16GetDatum(attnum));
		Form_pg_attribute att;
		LayoutColumn column;

		if (!HeapTupleIsValid(tuple))
			continue;
		att = (Form_pg_attribute) GETSTRUCT(tuple);
		memset(&column, 0, sizeof(column));
		column.attnum = attnum;
		column.dropped = att->attisdropped;
		if (!att->attisdropped)
		{
			column.typid = att->atttypid;
			column.typmod = att->atttypmod;
			column.collation = att->attcollation;
			column.generated = hash_generated(rel, attnum);
		}
		appendBinaryStringInfo(bytes, (char *) &column, sizeof(column));
		note_own_xid(own_xid, tuple);
		ReleaseSysCache(tuple);
	}
}

/*
 * The column that is the key.  0: there is none, since no column says that it is,
 * and the first one was dropped.  The next one does not step in: it would take a
 * name for the key that was never meant to be one.  *marked: how many say so.
 */
static AttrNumber
find_key(Relation rel, int *marked)
{
	TupleDesc	desc = RelationGetDescr(rel);
	AttrNumber	key = 0;

	*marked = 0;
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped &&
			nr_column_is_key(GetForeignColumnOptions(RelationGetRelid(rel), att->attnum)))
		{
			key = att->attnum;
			++*marked;
		}
	}
	if (*marked == 0 && desc->natts > 0 && !TupleDescAttr(desc, 0)->attisdropped)
		key = 1;
	return key;
}

/*
 * The scheme and the visibility count whole: they decide how the log is kept, who
 * may append to it and what may be pending in it, and nobody has to think about
 * what a change of them in mid-air would mean.
 */
uint64
nr_layout_fingerprint(Relation rel, TransactionId *own_xid)
{
	Oid			relid = RelationGetRelid(rel);
	TransactionId newest = InvalidTransactionId;
	StringInfoData bytes;
	NrTableOptions options;
	HeapTuple	tuple;
	int			marked;
	int32		head[9];
	uint64		fingerprint;

	nr_table_options(GetForeignTable(relid)->options, &options);
	head[0] = LAYOUT_VERSION;
	head[1] = find_key(rel, &marked);
	head[2] = options.memory_kb;
	head[3] = options.log_size_kb;
	head[4] = RelationGetDescr(rel)->natts;
	head[5] = options.copies;
	head[6] = options.scheme;
	head[7] = options.visibility;
	head[8] = options.aliased;

	initStringInfo(&bytes);
	appendBinaryStringInfo(&bytes, (char *) head, sizeof(head));
	append_columns(&bytes, &newest, rel);

	tuple = SearchSysCache1(FOREIGNTABLEREL, ObjectIdGetDatum(relid));
	if (HeapTupleIsValid(tuple))
	{
		note_own_xid(&newest, tuple);
		ReleaseSysCache(tuple);
	}

	fingerprint = hash_bytes_extended((unsigned char *) bytes.data, bytes.len, LAYOUT_VERSION);
	pfree(bytes.data);
	if (own_xid)
		*own_xid = newest;
	return fingerprint;
}

void
nr_layout_read(Relation rel, NrLayout *layout)
{
	layout->fingerprint = nr_layout_fingerprint(rel, NULL);
	layout->key = find_key(rel, &layout->keys_marked);
	nr_table_options(GetForeignTable(RelationGetRelid(rel))->options, &layout->options);
	layout->desc = CreateTupleDescCopy(RelationGetDescr(rel));
}

/* ---- columns ---- */

static void
fill_column(NrColumn *column, Form_pg_attribute att)
{
	column->attnum = att->attnum;
	column->typid = att->atttypid;
	column->basetypid = getBaseType(att->atttypid);
	column->typmod = att->atttypmod;
	column->collation = att->attcollation;
	column->typlen = att->attlen;
	column->typbyval = att->attbyval;
	column->typalign = att->attalign;
}

/* ERROR for a generated column that a cache cannot have. */
static void
check_generated(const NrCacheDef *def, Form_pg_attribute att, bool is_key)
{
	if (is_key)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("key column \"%s\" of cache \"%s\" must not be a generated column",
						NameStr(att->attname), def->relname),
				 errdetail("Entries are looked up and deleted by a key that the caller gives."),
				 errhint("Make it an ordinary column, or give option \"key\" to another one.")));
	if (att->attgenerated != ATTRIBUTE_GENERATED_STORED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("virtual generated column \"%s\" is not supported in cache \"%s\"",
						NameStr(att->attname), def->relname),
				 errdetail("nr_get() answers with what is stored."),
				 errhint("Write GENERATED ALWAYS AS (...) STORED.")));
}

/* ERROR: there is no column at all, or just no key. */
static void
no_key(const NrCacheDef *def)
{
	for (int i = 0; i < def->tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(def->tupdesc, i);

		if (!att->attisdropped)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
					 errmsg("cache \"%s\" has no key column", def->relname),
					 errdetail("Its first column, which was the key, has been dropped."),
					 errhint("Make another column the key: ALTER FOREIGN TABLE %s ALTER COLUMN %s OPTIONS (ADD key 'true').",
							 quote_identifier(def->relname), quote_identifier(NameStr(att->attname)))));
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
			 errmsg("cache \"%s\" has no columns", def->relname),
			 errhint("A cache needs a key column and at least one value column.")));
}

/* Key and value columns from def->tupdesc. */
static void
fill_columns(NrCacheDef *def, AttrNumber key)
{
	TupleDesc	desc = def->tupdesc;

	if (key == 0)
		no_key(def);
	def->values = palloc0(desc->natts * sizeof(NrColumn));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
			continue;
		if (att->attgenerated != '\0')
			check_generated(def, att, att->attnum == key);
		def->not_null |= att->attnotnull;
		def->checks |= att->attgenerated != '\0' || get_typtype(att->atttypid) == TYPTYPE_DOMAIN;
		if (att->attnum == key)
		{
			fill_column(&def->key, att);
			nr_key_type(def, att);
		}
		else
			fill_column(&def->values[def->nvalues++], att);
	}
	if (def->nvalues == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cache \"%s\" has no value column", def->relname),
				 errhint("A cache needs at least one column beside its key.")));
	if (desc->constr != NULL && desc->constr->num_check > 0)
		def->checks = true;
}

/* ---- sizes ---- */

/*
 * A line should hold a few entries: two or three short fixed ones in 64 bytes,
 * a typical word or number as text in 128; 256 for rows.
 */
static uint32
line_bytes(const NrCacheDef *def)
{
	int			bytes = def->key.typlen;

	if (def->key.typlen < 0 || def->key_kind == NR_KEY_NAME)
		return def->nvalues == 1 ? 128 : 256;
	for (int i = 0; i < def->nvalues; i++)
	{
		if (def->values[i].typlen < 0)
			return def->nvalues == 1 ? 128 : 256;
		bytes += def->values[i].typlen;
	}
	return bytes <= 18 ? 64 : bytes <= 48 ? 128 : 256;
}

static void
fill_sizes(NrCacheDef *def, const NrTableOptions *options)
{
	uint64		extents_max = EXTENTS_MAX_BYTES >> nr_engine.geo.extent_shift;
	uint32		extents_min = options->aliased ? EXTENTS_MIN_ALIASED : EXTENTS_MIN;
	uint32		extents = nr_engine.geo.extents;

	if (options->memory_kb > 0)
		extents = nr_extents_for_kb(options->memory_kb);
	def->scheme = options->scheme;
	def->visibility = options->visibility;
	def->copies = options->copies;
	def->aliased = options->aliased;
	def->memory_extents = (uint32) Min(Max(extents / def->copies, extents_min), extents_max);
	def->shared_extents = (uint32) Min((uint64) def->memory_extents * def->copies, extents_max);
	def->log_bytes = (uint32) Min((uint64) options->log_size_kb * 1024,
								  Min((uint64) LOG_EXTENTS_MAX << nr_engine.geo.extent_shift, LOG_BYTES_MAX));
	def->line_bytes = line_bytes(def);
}

/* ---- all of it ---- */

NrCacheDef *
nr_def_build(Relation rel)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "nr_cache definition",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	NrCacheDef *def = palloc0(sizeof(NrCacheDef));
	NrTableOptions options;
	AttrNumber	key;
	int			marked;

	def->context = context;
	def->relid = RelationGetRelid(rel);
	def->relname = pstrdup(RelationGetRelationName(rel));
	def->rowtypid = rel->rd_rel->reltype;
	def->partition = rel->rd_rel->relispartition;
	def->temporary = rel->rd_rel->relpersistence == RELPERSISTENCE_TEMP;
	MemoryContextSetIdentifier(context, def->relname);
	def->tupdesc = BlessTupleDesc(CreateTupleDescCopyConstr(RelationGetDescr(rel)));

	nr_table_options(GetForeignTable(def->relid)->options, &options);
	key = find_key(rel, &marked);
	if (marked > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("cache \"%s\" has more than one key column", def->relname),
				 errhint("Give the option \"key\" to one column only.")));
	fill_columns(def, key);
	fill_sizes(def, &options);

	def->fingerprint = nr_layout_fingerprint(rel, &def->layout_xid);

	MemoryContextSwitchTo(old);
	return def;
}

ErrorData *
nr_def_error(Relation rel)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		MemoryContextDelete(nr_def_build(rel)->context);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		if (error->sqlerrcode != ERRCODE_FEATURE_NOT_SUPPORTED &&
			error->sqlerrcode != ERRCODE_INVALID_TABLE_DEFINITION)
			ReThrowError(error);
		return error;
	}
	PG_END_TRY();
	return NULL;
}
