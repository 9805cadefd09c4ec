/*
 * nr_constraint.c
 *		Generated columns, NOT NULL and CHECK constraints, and bounds of partitions,
 *		for writers that are not the executor.
 */
#include "nr_fn.h"

#include "access/table.h"
#include "catalog/pg_attribute.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "utils/rel.h"

struct NrCheckState
{
	Oid			relid;
	TupleDesc	desc;			/* our own: the definition's may go away under a constraint's function */
	bool		not_null;
	bool		generated;		/* there are generated columns */
	bool		partition;
	EState	   *estate;			/* NULL when there is nothing but NOT NULL */
	ResultRelInfo *rri;
	TupleTableSlot *slot;
};

NrCheckState *
nr_check_begin(const NrCacheDef *def, MemoryContext context)
{
	TupleConstr *constr = def->tupdesc->constr;
	bool		generated = constr != NULL && constr->has_generated_stored;
	bool		checks = def->partition || generated || (constr != NULL && constr->num_check > 0);
	NrCheckState *state;
	MemoryContext old;

	if (!checks && !def->not_null)
		return NULL;

	old = MemoryContextSwitchTo(context);
	state = palloc0(sizeof(NrCheckState));
	state->relid = def->relid;
	state->not_null = def->not_null;
	state->generated = generated;
	state->partition = def->partition;
	state->desc = CreateTupleDescCopyConstr(def->tupdesc);
	if (checks)
	{
		state->estate = CreateExecutorState();
		state->rri = makeNode(ResultRelInfo);
		state->slot = MakeSingleTupleTableSlot(state->desc, &TTSOpsVirtual);
	}
	MemoryContextSwitchTo(old);
	return state;
}

static void
check_not_null(const NrCheckState *state, const bool *isnull)
{
	for (int i = 0; i < state->desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(state->desc, i);

		if (att->attnotnull && !att->attisdropped && isnull[i])
		{
			Relation	rel = table_open(state->relid, NoLock);

			ereport(ERROR,
					(errcode(ERRCODE_NOT_NULL_VIOLATION),
					 errmsg("null value in column \"%s\" of relation \"%s\" violates not-null constraint",
							NameStr(att->attname), RelationGetRelationName(rel)),
					 errtablecol(rel, att->attnum)));
		}
	}
}

/*
 * What the caller's row has in generated columns is replaced by what belongs
 * there, in the slot and in the row; the slot owns the memory.
 */
static void
fill_generated(NrCheckState *state, Datum *values, bool *isnull)
{
	ExecComputeStoredGenerated(state->rri, state->estate, state->slot, CMD_INSERT);
	for (int i = 0; i < state->desc->natts; i++)
		if (TupleDescAttr(state->desc, i)->attgenerated == ATTRIBUTE_GENERATED_STORED)
		{
			values[i] = state->slot->tts_values[i];
			isnull[i] = state->slot->tts_isnull[i];
		}
}

void
nr_check_row(NrCheckState *state, Datum *values, bool *isnull)
{
	Relation	rel = NULL;

	if (state->estate != NULL)
	{
		ExecClearTuple(state->slot);
		memcpy(state->slot->tts_values, values, state->desc->natts * sizeof(Datum));
		memcpy(state->slot->tts_isnull, isnull, state->desc->natts * sizeof(bool));
		ExecStoreVirtualTuple(state->slot);
		state->slot->tts_tableOid = state->relid;	/* expressions may mention it */

		/* the relation stays open meanwhile, so no function that is called can alter it */
		rel = table_open(state->relid, NoLock);
		state->rri->ri_RelationDesc = rel;
		if (state->generated)
			fill_generated(state, values, isnull);
	}
	if (state->not_null)
		check_not_null(state, isnull);
	if (state->estate == NULL)
		return;

	if (state->desc->constr)
		ExecConstraints(state->rri, state->slot, state->estate);
	if (state->partition)
		ExecPartitionCheck(state->rri, state->slot, state->estate, true);
	state->rri->ri_RelationDesc = NULL;
	ResetPerTupleExprContext(state->estate);
	table_close(rel, NoLock);
}
