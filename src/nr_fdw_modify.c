/*
 * nr_fdw_modify.c
 *		INSERT, UPDATE, DELETE, COPY and tuple routing.
 *
 * INSERT and COPY mean put.
 *
 * VISIBILITY 'commit': each row is staged as it comes (nr_fdw_staged.c).
 *
 * VISIBILITY 'immediate' and 'manual': INSERT and COPY encode rows into a
 * request of one session buffer, which is applied when it is full and at the
 * end of the statement.  After an error the rows of the last, unfinished
 * request are dropped; earlier ones stay.  Who could look between two rows of
 * the statement (triggers) or wants an answer for each row (RETURNING, WITH
 * CHECK OPTION) gets each row applied alone.
 *
 * There, UPDATE replaces the entry if it is still there.  Rows whose key changes
 * are kept until the end of the statement and then applied as one request, first
 * all deletions, then all puts: row by row, "SET key = key + 1" would overwrite
 * and then delete rows that are yet to be moved.  A put replaces whatever had
 * the new key, and of two rows with the same new key the later one stays.
 *
 * Constraints are checked here, before anything is applied: PostgreSQL itself
 * does not enforce them on foreign tables, and what was applied stays.
 */
#include "nr_fdw.h"

#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "optimizer/appendinfo.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "nr_stage.h"

/* ResultRelInfo.ri_FdwState */
typedef struct NrModify
{
	NrSite		site;
	Relation	rel;
	uint64		fingerprint;	/* of the layout that the encoded rows have */
	AttrNumber	junk_key;		/* UPDATE, DELETE: the old key in the plan's rows */
	MemoryContext context;		/* all of this */
	MemoryContext row_context;	/* of the row being encoded */

	/* one row, encoded */
	Datum	   *values;			/* detoasted */
	NrKey		key;
	StringInfoData value;

	bool		known;			/* what is found out at the first row, is known */

	/* visibility 'commit' */
	NrStagedRows *staged;
	bool		lands;			/* the statement also updates or deletes */

	/* other visibilities */
	NrBatch		batch;			/* puts that are yet to be applied */
	bool		each_row;		/* apply each row alone */

	/* UPDATE with changed keys: applied at the end of the statement */
	NrBatch		moved_from;
	NrBatch		moved_to;
	NrKeySet   *moved;			/* their old keys; NULL until there is one */
} NrModify;

static inline NrCache *
modify_cache(NrModify *mod)
{
	NrCache    *cache = nr_site_cache(&mod->site, RelationGetRelid(mod->rel), RowExclusiveLock, 0);

	/* our lock keeps the table as it is, but not a composite type that it uses */
	if (unlikely(cache->def->fingerprint != mod->fingerprint))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("definition of cache \"%s\" changed while a statement was using it",
						cache->def->relname)));
	return cache;
}

/* ---- planning ---- */

/*
 * Name of the plan's column with the old key.  Partitions that are updated
 * together share a column when the name is the same, which is right only when
 * it is the same column.
 */
static char *
junk_key_name(const NrColumn *key)
{
	return psprintf("nr_key_%d_%u_%d_%u", key->attnum, key->typid, key->typmod, key->collation);
}

void
nr_fdw_update_targets(PlannerInfo *root, Index rtindex, RangeTblEntry *rte, Relation rel)
{
	const NrColumn *key = &nr_cache_open(RelationGetRelid(rel), AccessShareLock, 0)->def->key;
	Var		   *var = makeVar(rtindex, key->attnum, key->typid, key->typmod, key->collation, 0);

	add_row_identity_var(root, var, rtindex, junk_key_name(key));
}

static void
refuse_on_conflict(const ModifyTable *plan)
{
	if (plan->onConflictAction != ONCONFLICT_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("ON CONFLICT is not supported for a cache"),
				 errhint("INSERT into a cache replaces the entry that has the same key.")));
}

List *
nr_fdw_modify_plan(PlannerInfo *root, ModifyTable *plan, Index rtindex, int subplan_index)
{
	refuse_on_conflict(plan);
	return NIL;
}

/* ---- begin ---- */

static NrModify *
modify_begin(ModifyTableState *mtstate, ResultRelInfo *rri, const char *what)
{
	EState	   *estate = mtstate->ps.state;
	MemoryContext context = AllocSetContextCreate(estate->es_query_cxt, "nr_cache modify",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	NrModify   *mod = palloc0(sizeof(NrModify));
	const NrCacheDef *def;

	nr_require_writable(what);
	mod->rel = rri->ri_RelationDesc;
	mod->context = context;
	mod->row_context = AllocSetContextCreate(context, "nr_cache modify row", ALLOCSET_DEFAULT_SIZES);
	mod->values = palloc(RelationGetDescr(mod->rel)->natts * sizeof(Datum));
	initStringInfo(&mod->value);
	nr_batch_init(&mod->batch);
	/* errors about the cache belong here, not to the first row */
	def = nr_cache_open(RelationGetRelid(mod->rel), RowExclusiveLock, 0)->def;
	mod->fingerprint = def->fingerprint;
	if (def->visibility == NR_VISIBLE_COMMIT)
		mod->staged = nr_staged_rows(def->relid, estate);
	MemoryContextSwitchTo(old);
	rri->ri_FdwState = mod;
	return mod;
}

void
nr_fdw_modify_begin(ModifyTableState *mtstate, ResultRelInfo *rri, List *fdw_private,
					int subplan_index, int eflags)
{
	NrModify   *mod;
	char	   *name;

	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	mod = modify_begin(mtstate, rri,
					   mtstate->operation == CMD_INSERT ? "INSERT" :
					   mtstate->operation == CMD_UPDATE ? "UPDATE" : "DELETE");
	if (mtstate->operation == CMD_INSERT)
		return;

	name = junk_key_name(&modify_cache(mod)->def->key);
	mod->junk_key = ExecFindJunkAttributeInTlist(outerPlanState(mtstate)->plan->targetlist, name);
	if (!AttributeNumberIsValid(mod->junk_key))
		elog(ERROR, "could not find the key of cache \"%s\" in the plan",
			 RelationGetRelationName(mod->rel));
}

/* COPY, and rows that a partitioned table routes here. */
void
nr_fdw_insert_begin(ModifyTableState *mtstate, ResultRelInfo *rri)
{
	ModifyTable *plan = (ModifyTable *) mtstate->ps.plan;

	if (plan != NULL)
		refuse_on_conflict(plan);

	/*
	 * The statement updates this table, too.  Unless rows are staged, the scan
	 * of it may be yet to come and would update the row once more.
	 */
	if (rri->ri_FdwState != NULL)
	{
		if (((NrModify *) rri->ri_FdwState)->staged)
			return;
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot move a row into cache \"%s\", which the same statement updates",
						RelationGetRelationName(rri->ri_RelationDesc)),
				 errhint("Exclude the partition from the UPDATE, or update one partition at a time.")));
	}
	modify_begin(mtstate, rri, plan == NULL ? "COPY FROM" : "INSERT");
}

/* ---- a row ---- */

static void
check_row(NrModify *mod, EState *estate, ResultRelInfo *rri, TupleTableSlot *slot, bool update)
{
	const TriggerDesc *triggers = rri->ri_TrigDesc;

	if (RelationGetDescr(mod->rel)->constr)
		ExecConstraints(rri, slot, estate);

	/* routing found this partition, unless a trigger changed the row since */
	if (mod->rel->rd_rel->relispartition &&
		(update || rri->ri_RootResultRelInfo == NULL || (triggers && triggers->trig_insert_before_row)))
		ExecPartitionCheck(rri, slot, estate, true);

	if (rri->ri_WithCheckOptions != NIL)
		ExecWithCheckOptions(WCO_VIEW_CHECK, rri, slot, estate);
}

/* mod->key and mod->value from a slot, in row_context.  The row must pass before anything is applied. */
static void
encode_row(NrModify *mod, NrCache *cache, TupleTableSlot *slot)
{
	const NrCacheDef *def = cache->def;
	int			key_at = def->key.attnum - 1;
	size_t		bytes;

	slot_getallattrs(slot);
	if (slot->tts_isnull[key_at])
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("key of cache \"%s\" must not be null", def->relname)));
	nr_key_encode(cache, slot->tts_values[key_at], &mod->key);

	memcpy(mod->values, slot->tts_values, slot->tts_tupleDescriptor->natts * sizeof(Datum));
	bytes = nr_value_measure(def, mod->values, slot->tts_isnull);
	nr_check_entry_bytes(def, mod->key.bytes, bytes);
	if (unlikely(bytes >= (size_t) mod->value.maxlen))
	{
		resetStringInfo(&mod->value);
		enlargeStringInfo(&mod->value, bytes);
	}
	nr_value_store(def, mod->values, slot->tts_isnull, mod->value.data);
	mod->value.len = bytes;
}

/* The old key of the row that the plan delivered. */
static void
encode_old_key(NrModify *mod, NrCache *cache, TupleTableSlot *plan_slot, NrKey *key)
{
	bool		isnull;
	Datum		old = ExecGetJunkAttribute(plan_slot, mod->junk_key, &isnull);

	if (isnull)
		elog(ERROR, "old key of cache \"%s\" is null", cache->def->relname);
	nr_key_encode(cache, old, key);
}

/* ---- INSERT ---- */

static bool
has_observer(const TriggerDesc *triggers)
{
	return triggers && (triggers->trig_insert_before_row || triggers->trig_insert_after_row ||
						triggers->trig_insert_after_statement);
}

bool
nr_fdw_row_by_row(const ResultRelInfo *rri)
{
	const ResultRelInfo *root = rri->ri_RootResultRelInfo;

	return rri->ri_projectReturning != NULL || rri->ri_WithCheckOptions != NIL ||
		has_observer(rri->ri_TrigDesc) || (root && has_observer(root->ri_TrigDesc));
}

/* Known only after the executor has finished its own preparations, so at the first row. */
static void
find_out(NrModify *mod, const EState *estate, const ResultRelInfo *rri)
{
	mod->each_row = nr_fdw_row_by_row(rri);
	mod->lands = AttributeNumberIsValid(mod->junk_key) || estate->es_auxmodifytables != NIL;
	mod->known = true;
}

static size_t
chunk_bytes(void)
{
	return Min((size_t) nr_engine.geo.session_buffer_bytes, (size_t) nr_guc_max_batch_kb * 1024);
}

/* Add the encoded row to the request; apply that when there is no room, or now.  Returns the last row's answer. */
static bool
collect_row(NrModify *mod, NrCache *cache, uint16 flags, bool now)
{
	if (mod->batch.ops.len + ds_hash_op_bytes(mod->key.bytes, mod->value.len) > chunk_bytes())
		nr_batch_apply(&mod->batch, cache);
	nr_batch_put(&mod->batch, &mod->key, mod->value.data, mod->value.len, flags);
	return now && nr_batch_apply(&mod->batch, cache) > 0;
}

TupleTableSlot *
nr_fdw_insert(EState *estate, ResultRelInfo *rri, TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
	NrModify   *mod = rri->ri_FdwState;
	NrCache    *cache;
	MemoryContext old;

	if (unlikely(!mod->known))
		find_out(mod, estate, rri);
	check_row(mod, estate, rri, slot, false);

	cache = modify_cache(mod);	/* after the constraints: these may be anybody's code */
	old = MemoryContextSwitchTo(mod->row_context);
	encode_row(mod, cache, slot);
	if (mod->staged == NULL)
		collect_row(mod, cache, 0, mod->each_row);
	else if (mod->lands)
		nr_staged_land(mod->staged, cache, &mod->key, mod->value.data, mod->value.len);
	else
		nr_stage_put(cache, &mod->key, mod->value.data, mod->value.len);
	MemoryContextSwitchTo(old);
	MemoryContextReset(mod->row_context);
	return slot;
}

/* ---- UPDATE ---- */

/* Remember an old key; false when it was moved before (a join may deliver a row twice). */
static bool
first_move(NrModify *mod, const NrKey *key)
{
	if (mod->moved == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(mod->context);

		nr_batch_init(&mod->moved_from);
		nr_batch_init(&mod->moved_to);
		mod->moved = nr_keyset_make(mod->context);
		MemoryContextSwitchTo(old);
	}
	return nr_keyset_add(mod->moved, key);
}

/* A row whose key changes.  False: the row is not there any more. */
static bool
move_row(NrModify *mod, NrCache *cache, const NrKey *old_key)
{
	size_t		limit = (size_t) nr_guc_max_batch_kb * 1024;

	if (!nr_exec_exists(cache, old_key) || !first_move(mod, old_key))
		return false;
	nr_batch_delete(&mod->moved_from, old_key);
	nr_batch_put(&mod->moved_to, &mod->key, mod->value.data, mod->value.len, 0);
	if (mod->moved_from.ops.len + mod->moved_to.ops.len > limit)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("UPDATE changes too many keys of cache \"%s\"", cache->def->relname),
				 errdetail("Changes of keys take effect as one batch, which may have %d kB.",
						   nr_guc_max_batch_kb),
				 errhint("Change fewer keys in one statement, or raise \"%s\" and restart the server.",
						 "nr_cache.max_batch")));
	return true;
}

/*
 * A row whose key stays.  What is pending in a cache of visibility 'manual' has
 * no answer yet, so it is what readers see that counts.
 */
static bool
replace_row(NrModify *mod, NrCache *cache)
{
	if (cache->def->visibility == NR_VISIBLE_IMMEDIATE)
		return collect_row(mod, cache, DS_HASH_IF_PRESENT, true);
	if (!nr_exec_exists(cache, &mod->key))
		return false;
	collect_row(mod, cache, DS_HASH_IF_PRESENT, false);
	return true;
}

TupleTableSlot *
nr_fdw_update(EState *estate, ResultRelInfo *rri, TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
	NrModify   *mod = rri->ri_FdwState;
	NrCache    *cache;
	NrKey		old_key;
	MemoryContext old;
	bool		done;

	check_row(mod, estate, rri, slot, true);

	cache = modify_cache(mod);
	old = MemoryContextSwitchTo(mod->row_context);
	encode_row(mod, cache, slot);
	encode_old_key(mod, cache, plan_slot, &old_key);
	if (mod->staged)
		done = nr_staged_update(mod->staged, cache, &old_key, &mod->key, mod->value.data,
								mod->value.len);
	else if (nr_key_equal(&old_key, &mod->key))
		done = replace_row(mod, cache);
	else
		done = move_row(mod, cache, &old_key);
	MemoryContextSwitchTo(old);
	MemoryContextReset(mod->row_context);
	return done ? slot : NULL;
}

/* ---- DELETE ---- */

TupleTableSlot *
nr_fdw_delete(EState *estate, ResultRelInfo *rri, TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
	NrModify   *mod = rri->ri_FdwState;
	NrCache    *cache = modify_cache(mod);
	MemoryContext old = MemoryContextSwitchTo(mod->row_context);
	NrKey		key;
	bool		done = true;

	encode_old_key(mod, cache, plan_slot, &key);
	if (rri->ri_projectReturning != NULL)
	{
		const char *data;
		uint32		bytes;

		/* the plan's row has the columns that the query needs, not those that RETURNING wants */
		MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));
		done = mod->staged ? nr_staged_get(mod->staged, cache, &key, &data, &bytes) :
			nr_exec_get(cache, &key, &data, &bytes);
		if (done)
			nr_fdw_store_row(cache->def, slot, key.data, key.bytes, data, bytes, true);
		MemoryContextSwitchTo(mod->row_context);
	}
	if (done)
		done = mod->staged ? nr_staged_delete(mod->staged, cache, &key) :
			nr_exec_delete(cache, &key);
	MemoryContextSwitchTo(old);
	MemoryContextReset(mod->row_context);
	return done ? slot : NULL;
}

/* ---- end ---- */

/* Not called after an error: what was not applied by then is dropped. */
void
nr_fdw_modify_end(EState *estate, ResultRelInfo *rri)
{
	NrModify   *mod = rri->ri_FdwState;

	if (mod == NULL)
		return;
	/* a trigger may have taken the entries meanwhile, which is an error only to who still has some */
	if (mod->batch.n > 0)
		nr_batch_apply(&mod->batch, modify_cache(mod));
	if (mod->moved)
	{
		appendBinaryStringInfo(&mod->moved_from.ops, mod->moved_to.ops.data, mod->moved_to.ops.len);
		mod->moved_from.n += mod->moved_to.n;
		nr_batch_apply(&mod->moved_from, modify_cache(mod));
	}
	rri->ri_FdwState = NULL;
	MemoryContextDelete(mod->context);
}
