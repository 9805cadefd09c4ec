/*
 * nr_fdw_scan.c
 *		Running a scan: all entries, or the entries of given keys.
 *
 * No guard is held across an executor call.  A full scan copies everything, as
 * of one position of the log, at its first row, and is done with the cache; a
 * rescan in the same statement reads the same copy again.  A lookup copies the
 * entry.
 *
 * Of what the own transaction has staged a scan sees what the statement's
 * snapshot says: the work of commands before it.
 */
#include "nr_fdw.h"

#include "access/detoast.h"
#include "catalog/pg_type_d.h"
#include "executor/executor.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "nr_stage.h"

typedef struct NrScan
{
	NrSite		site;
	Oid			relid;
	bool		with_values;
	CommandId	before;			/* commands below it are seen */
	MemoryContext context;		/* what outlives a row: the copy, or the array's elements */
	bool		started;

	/* full scan */
	bool		copied;
	char	   *copy;
	uint64		n;
	uint64		next;
	char	   *at;				/* entry "next" of the copy */

	/* lookup */
	ExprState  *value;			/* NULL: full scan */
	Oid			type;			/* of the value or its elements */
	bool		array;
	Datum	   *keys;			/* of the key column's type, distinct */
	int			nkeys;
	int			next_key;
	Datum		single;			/* where keys points for a plain comparison */

	NrScanCounts counts;		/* for EXPLAIN ANALYZE */
} NrScan;

static NrCache *
scan_cache(NrScan *scan)
{
	return nr_site_cache(&scan->site, scan->relid, AccessShareLock, 0);
}

void
nr_fdw_store_row(const NrCacheDef *def, TupleTableSlot *slot, const char *key, uint32 key_bytes,
				 const char *value, uint32 value_bytes, bool with_values)
{
	int			natts = slot->tts_tupleDescriptor->natts;

	ExecClearTuple(slot);
	memset(slot->tts_values, 0, natts * sizeof(Datum));
	memset(slot->tts_isnull, true, natts * sizeof(bool));
	if (with_values)
		nr_value_decode(def, value, value_bytes, slot->tts_values, slot->tts_isnull);
	slot->tts_values[def->key.attnum - 1] = nr_key_decode(def, key, key_bytes);
	slot->tts_isnull[def->key.attnum - 1] = false;
	ExecStoreVirtualTuple(slot);
}

/* ---- lookup ---- */

/*
 * The comparison value as a datum of the key column's type, in the current memory
 * context.  False: it is of another type and no such key can exist, or it is too
 * long to be one.
 */
static bool
key_from_text(const NrCacheDef *def, Oid type, Datum *value)
{
	if (def->key_kind == NR_KEY_VARLENA && type == NAMEOID)
		*value = CStringGetTextDatum(NameStr(*DatumGetName(*value)));
	else if (def->key_kind == NR_KEY_VARLENA)
		return toast_raw_datum_size(*value) - VARHDRSZ <= DS_HASH_KEY_MAX;
	else if (def->key_kind == NR_KEY_BPCHAR)
	{
		*value = PointerGetDatum(PG_DETOAST_DATUM_PACKED(*value));
		return nr_bpchar_bytes((struct varlena *) DatumGetPointer(*value)) <= DS_HASH_KEY_MAX;
	}
	else if (def->key_kind == NR_KEY_NAME && type == TEXTOID)
	{
		struct varlena *text = PG_DETOAST_DATUM_PACKED(*value);
		size_t		bytes = VARSIZE_ANY_EXHDR(text);

		if (bytes >= NAMEDATALEN)
			return false;
		*value = PointerGetDatum(memcpy(palloc0(NAMEDATALEN), VARDATA_ANY(text), bytes));
	}
	return true;
}

static bool
key_from_value(const NrCacheDef *def, Oid type, Datum *value)
{
	int64		v;

	if (nr_int_type_len(type) == 0)
		return key_from_text(def, type, value);

	v = type == INT8OID ? DatumGetInt64(*value) :
		type == INT4OID ? DatumGetInt32(*value) : DatumGetInt16(*value);
	switch (def->key_kind)
	{
		case NR_KEY_INT2:
			*value = Int16GetDatum((int16) v);
			return v >= PG_INT16_MIN && v <= PG_INT16_MAX;
		case NR_KEY_INT4:
			*value = Int32GetDatum((int32) v);
			return v >= PG_INT32_MIN && v <= PG_INT32_MAX;
		default:
			*value = Int64GetDatum(v);
			return true;
	}
}

/* Order of encoded keys: any will do that puts equal ones side by side. */
static int
compare_keys(const void *a, const void *b, void *arg)
{
	NrKey		x,
				y;

	nr_key_encode(arg, *(const Datum *) a, &x);
	nr_key_encode(arg, *(const Datum *) b, &y);
	if (x.hash != y.hash)
		return x.hash < y.hash ? -1 : 1;
	if (x.bytes != y.bytes)
		return x.bytes < y.bytes ? -1 : 1;
	return memcmp(x.data, y.data, x.bytes);
}

/* Distinct keys of an array, in the scan's own context; a row must not come out twice. */
static void
keys_of_array(NrScan *scan, NrCache *cache, Datum array)
{
	MemoryContext old;
	ArrayType  *copy;
	int16		len;
	bool		byval;
	char		align;
	Datum	   *elems;
	bool	   *nulls;
	int			n,
				kept = 0;

	MemoryContextReset(scan->context);
	old = MemoryContextSwitchTo(scan->context);
	copy = DatumGetArrayTypePCopy(array);
	get_typlenbyvalalign(ARR_ELEMTYPE(copy), &len, &byval, &align);
	deconstruct_array(copy, ARR_ELEMTYPE(copy), len, byval, align, &elems, &nulls, &n);
	for (int i = 0; i < n; i++)
		if (!nulls[i] && key_from_value(cache->def, scan->type, &elems[i]))
			elems[kept++] = elems[i];
	MemoryContextSwitchTo(old);

	qsort_arg(elems, kept, sizeof(Datum), compare_keys, cache);
	scan->nkeys = Min(kept, 1);
	for (int i = 1; i < kept; i++)
		if (compare_keys(&elems[i], &elems[scan->nkeys - 1], cache) != 0)
			elems[scan->nkeys++] = elems[i];
	scan->keys = elems;
}

static void
start_lookup(NrScan *scan, ExprContext *econtext)
{
	bool		isnull;
	Datum		value = ExecEvalExpr(scan->value, econtext, &isnull);
	NrCache    *cache = scan_cache(scan);	/* after the expression: that may be anybody's code */

	scan->nkeys = 0;
	if (isnull)
		return;
	if (scan->array)
		keys_of_array(scan, cache, value);
	else if (key_from_value(cache->def, scan->type, &value))
	{
		scan->single = value;
		scan->keys = &scan->single;
		scan->nkeys = 1;
	}
}

static TupleTableSlot *
next_of_lookup(NrScan *scan, TupleTableSlot *slot)
{
	while (scan->next_key < scan->nkeys)
	{
		NrCache    *cache = scan_cache(scan);
		NrKey		key;
		const char *data;
		uint32		bytes;

		nr_key_encode(cache, scan->keys[scan->next_key++], &key);
		scan->counts.lookups++;
		if (nr_exec_get_before(cache, &key, scan->before, &data, &bytes))
		{
			scan->counts.entries++;
			nr_fdw_store_row(cache->def, slot, key.data, key.bytes, data, bytes,
							 scan->with_values);
			return slot;
		}
	}
	return NULL;
}

/* ---- full scan ---- */

static void
start_scan(NrScan *scan)
{
	if (!scan->copied)
	{
		MemoryContext old = MemoryContextSwitchTo(scan->context);

		scan->copy = nr_exec_scan(scan_cache(scan), scan->before, &scan->n,
								  &scan->counts.copy_bytes, NULL);
		MemoryContextSwitchTo(old);
		scan->copied = true;
	}
	scan->next = 0;
	scan->at = scan->copy;
}

static TupleTableSlot *
next_of_scan(NrScan *scan, TupleTableSlot *slot)
{
	const DsHashScanEntry *entry = (const DsHashScanEntry *) scan->at;
	const char *key;

	if (scan->next >= scan->n)
		return NULL;
	scan->next++;
	scan->counts.entries++;
	key = (const char *) (entry + 1);
	nr_fdw_store_row(scan_cache(scan)->def, slot, key, entry->key_bytes,
					 key + entry->key_bytes, entry->value_bytes, scan->with_values);
	scan->at += NR_OP_ALIGN(sizeof(*entry) + entry->key_bytes + entry->value_bytes);
	return slot;
}

/* ---- callbacks ---- */

void
nr_fdw_scan_begin(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	EState	   *estate = node->ss.ps.state;
	NrScan	   *scan;

	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;

	scan = palloc0(sizeof(NrScan));
	scan->relid = RelationGetRelid(node->ss.ss_currentRelation);
	scan->with_values = intVal(list_nth(plan->fdw_private, NR_SCAN_VALUES));
	scan->context = AllocSetContextCreate(estate->es_query_cxt, "nr_cache scan",
										  ALLOCSET_DEFAULT_SIZES);
	if (plan->fdw_exprs != NIL)
	{
		scan->value = ExecInitExpr(linitial(plan->fdw_exprs), &node->ss.ps);
		scan->type = (Oid) intVal(list_nth(plan->fdw_private, NR_SCAN_TYPE));
		scan->array = intVal(list_nth(plan->fdw_private, NR_SCAN_ARRAY));
	}
	node->fdw_state = scan;
	scan->before = NR_STAGE_NEWEST;
	/* errors about the cache belong here, not to the first row */
	if (scan_cache(scan)->def->visibility == NR_VISIBLE_COMMIT)
	{
		scan->before = estate->es_snapshot->curcid;
		nr_stage_scan_open(scan->relid, scan->before, estate->es_query_cxt);
	}
}

/* Called in the memory context of the node's current row. */
TupleTableSlot *
nr_fdw_scan_next(ForeignScanState *node)
{
	NrScan	   *scan = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	TupleTableSlot *row;

	if (!scan->started)
	{
		if (scan->value)
			start_lookup(scan, node->ss.ps.ps_ExprContext);
		else
			start_scan(scan);
		scan->started = true;
	}
	row = scan->value ? next_of_lookup(scan, slot) : next_of_scan(scan, slot);
	return row ? row : ExecClearTuple(slot);
}

void
nr_fdw_scan_again(ForeignScanState *node)
{
	NrScan	   *scan = node->fdw_state;

	scan->started = false;
	scan->next_key = 0;
}

void
nr_fdw_scan_end(ForeignScanState *node)
{
	NrScan	   *scan = node->fdw_state;

	if (scan)
		MemoryContextDelete(scan->context);
}

const NrScanCounts *
nr_fdw_scan_counts(const ForeignScanState *node)
{
	const NrScan *scan = node->fdw_state;

	return scan ? &scan->counts : NULL;
}
