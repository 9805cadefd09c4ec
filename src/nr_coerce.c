/*
 * nr_coerce.c
 *		From the type of an argument to the type of a column.
 *
 * What INSERT would do is an assignment cast, and so is this, with one addition:
 * text for a column of another type goes through that type's input function, so
 * that the literals of nr_put('fx', '42', '1.5') mean what they look like.
 * (A literal whose type nobody knows reaches a function as text, and inside of
 * ROW(...) as type unknown, which is a C string.)
 */
#include "nr_fn.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/primnodes.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

int16
nr_int_type_len(Oid type)
{
	switch (type)
	{
		case INT2OID:
			return 2;
		case INT4OID:
			return 4;
		case INT8OID:
			return 8;
		default:
			return 0;
	}
}

static bool
is_text_like(Oid type)
{
	return type == TEXTOID || type == VARCHAROID;
}

static void
no_way(Oid from, Oid to, const NrCacheDef *def, AttrNumber column)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" of cache \"%s\" is of type %s but the argument is of type %s",
					NameStr(TupleDescAttr(def->tupdesc, column - 1)->attname), def->relname,
					format_type_be(to), format_type_be(from)),
			 errhint("You will need to cast the argument to type %s.", format_type_be(to))));
}

/*
 * An assignment cast as an expression over one value, which is handed in as the
 * "case" value (PL/pgSQL casts its variables in the same way).
 */
static void
init_expr(NrCoerce *coerce, MemoryContext context, Oid from, Oid to, int32 typmod,
		  const NrCacheDef *def, AttrNumber column)
{
	CaseTestExpr *placeholder = makeNode(CaseTestExpr);
	Node	   *expr;
	Node	   *inner;
	MemoryContext old;

	placeholder->typeId = from;
	placeholder->typeMod = -1;
	placeholder->collation = get_typcollation(from);

	/* coerce_to_target_type would complain of these in terms of a query that nobody wrote */
	if (from == RECORDOID && to != RECORDOID)
		no_way(from, to, def, column);
	expr = coerce_to_target_type(NULL, (Node *) placeholder, from, to, typmod,
								 COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
	if (expr == NULL)
		no_way(from, to, def, column);

	/* varchar to text and the like: another name for the same bytes */
	for (inner = expr; IsA(inner, RelabelType); inner = (Node *) ((RelabelType *) inner)->arg)
		;
	if (inner == (Node *) placeholder)
	{
		coerce->kind = NR_COERCE_DIRECT;
		return;
	}

	coerce->kind = NR_COERCE_EXPR;
	expr = (Node *) expression_planner((Expr *) expr);
	old = MemoryContextSwitchTo(context);
	coerce->econtext = CreateStandaloneExprContext();
	coerce->expr = ExecInitExpr(copyObject((Expr *) expr), NULL);
	MemoryContextSwitchTo(old);
}

void
nr_coerce_init(NrCoerce *coerce, MemoryContext context, Oid from, Oid to, int32 typmod,
			   const NrCacheDef *def, AttrNumber column)
{
	if (from == to && typmod < 0)
		coerce->kind = NR_COERCE_DIRECT;
	else if (is_text_like(from) && is_text_like(to) && typmod < 0)
		coerce->kind = NR_COERCE_DIRECT;
	else if (nr_int_type_len(from) > 0 && nr_int_type_len(to) > 0)
	{
		coerce->kind = NR_COERCE_INT;
		coerce->from_len = nr_int_type_len(from);
		coerce->to_len = nr_int_type_len(to);
	}
	else if (from == TEXTOID || from == UNKNOWNOID)
	{
		Oid			function;

		getTypeInputInfo(to, &function, &coerce->ioparam);
		fmgr_info_cxt(function, &coerce->input, context);
		coerce->typmod = typmod;
		coerce->from_cstring = (from == UNKNOWNOID);
		coerce->kind = NR_COERCE_INPUT;
	}
	else
		init_expr(coerce, context, from, to, typmod, def, column);

	if (coerce->kind != NR_COERCE_DIRECT)
	{
		coerce->column = MemoryContextStrdup(context, NameStr(TupleDescAttr(def->tupdesc, column - 1)->attname));
		coerce->cache = MemoryContextStrdup(context, def->relname);
	}
}

/* Input functions and casts know the value only; a row or a statement may have many. */
static void
coerce_error_context(void *arg)
{
	const NrCoerce *coerce = arg;

	errcontext("column \"%s\" of cache \"%s\"", coerce->column, coerce->cache);
}

static void
int_out_of_range(const NrCoerce *coerce, const char *type)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("%s out of range", type),
			 errcontext("column \"%s\" of cache \"%s\"", coerce->column, coerce->cache)));
}

/* Among integers; ERROR numeric_value_out_of_range in the words of int4(int8). */
static Datum
coerce_int(const NrCoerce *coerce, Datum value)
{
	int64		v;

	if (coerce->from_len == 8)
		v = DatumGetInt64(value);
	else if (coerce->from_len == 4)
		v = DatumGetInt32(value);
	else
		v = DatumGetInt16(value);

	if (coerce->to_len == 8)
		return Int64GetDatum(v);
	if (coerce->to_len == 4)
	{
		if (v < PG_INT32_MIN || v > PG_INT32_MAX)
			int_out_of_range(coerce, "integer");
		return Int32GetDatum((int32) v);
	}
	if (v < PG_INT16_MIN || v > PG_INT16_MAX)
		int_out_of_range(coerce, "smallint");
	return Int16GetDatum((int16) v);
}

/* By user code. */
static Datum
coerce_foreign(NrCoerce *coerce, Datum value, bool *isnull)
{
	char	   *literal = NULL;

	if (coerce->kind == NR_COERCE_EXPR)
	{
		coerce->econtext->caseValue_datum = value;
		coerce->econtext->caseValue_isNull = *isnull;
		return ExecEvalExpr(coerce->expr, coerce->econtext, isnull);
	}
	if (!*isnull)
		literal = coerce->from_cstring ? DatumGetCString(value) : TextDatumGetCString(value);
	return InputFunctionCall(&coerce->input, literal, coerce->ioparam, coerce->typmod);
}

/* NULLs too: a domain may be NOT NULL. */
Datum
nr_coerce_slow(NrCoerce *coerce, Datum value, bool *isnull)
{
	ErrorContextCallback callback = {
		.previous = error_context_stack, .callback = coerce_error_context, .arg = coerce
	};

	if (coerce->kind == NR_COERCE_DIRECT)
		return value;
	if (coerce->kind == NR_COERCE_INT)
		return *isnull ? (Datum) 0 : coerce_int(coerce, value);
	error_context_stack = &callback;
	value = coerce_foreign(coerce, value, isnull);
	error_context_stack = callback.previous;
	return value;
}
