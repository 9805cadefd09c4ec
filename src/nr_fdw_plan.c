/*
 * nr_fdw_plan.c
 *		Planning of a scan: all entries, or the entries of given keys.
 *
 * A comparison becomes a lookup when it is "key = value" or "key = ANY (array)"
 * with the equality of the key type's own btree operator family, under a
 * deterministic input collation (then equal means equal bytes, which is how a
 * cache compares), and the value neither depends on the scanned row nor changes
 * from row to row.  Values of the other integer types, and text for a name and
 * the other way round, are converted at run time.  So are the forms that the
 * planner gives to "key = true".  The lookup is exact, so the comparison is not
 * evaluated again.
 * Anything else is evaluated by the executor on the rows that come out.
 */
#include "nr_fdw.h"

#include "access/stratnum.h"
#include "access/sysattr.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_type_d.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/appendinfo.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"
#include "utils/typcache.h"

/* Copying an entry out of the cache, in units of cpu_operator_cost; decoding it is cpu_tuple_cost. */
#define COPY_COST	0.5

/*
 * One lookup, likewise: start the node anew, evaluate and hash the value, read a
 * line or two.  With this, a million outer rows are hashed against ten thousand
 * entries but looked up in a million, which is where the two are equally fast.
 */
#define LOOKUP_COST 10.0

/* Fewer entries than this are not believed before ANALYZE. */
#define ENTRIES_MIN 1000

/* A clause that can be a lookup. */
typedef struct NrMatch
{
	Expr	   *value;
	Oid			type;			/* of the value, or of the array's elements */
	bool		array;
} NrMatch;

/* RelOptInfo.fdw_private; a lookup's ForeignPath.fdw_private is a list of its clause */
typedef struct NrPlanRel
{
	AttrNumber	key;
	Oid			opfamily;		/* btree family with the key type's own equality */
	RestrictInfo *lookup;		/* of baserestrictinfo, or NULL */
	NrMatch		match;			/* of "lookup" */
} NrPlanRel;

static bool
is_key(const RelOptInfo *rel, Node *expr)
{
	const NrPlanRel *info = rel->fdw_private;

	while (expr && IsA(expr, RelabelType))
		expr = (Node *) ((RelabelType *) expr)->arg;
	return expr && IsA(expr, Var) &&
		((Var *) expr)->varno == rel->relid &&
		((Var *) expr)->varattno == info->key &&
		((Var *) expr)->varlevelsup == 0;
}

static bool
is_text_or_name(Oid type)
{
	return type == TEXTOID || type == NAMEOID;
}

/* Is this the key type's equality, or one whose other side we can convert? */
static bool
is_key_equality(const NrPlanRel *info, Oid op, Oid collation, Oid *left, Oid *right)
{
	if (get_op_opfamily_strategy(op, info->opfamily) != BTEqualStrategyNumber)
		return false;
	if (OidIsValid(collation) && !get_collation_isdeterministic(collation))
		return false;
	op_input_types(op, left, right);
	return *left == *right ||
		(nr_int_type_len(*left) > 0 && nr_int_type_len(*right) > 0) ||
		(is_text_or_name(*left) && is_text_or_name(*right));
}

/* A value that is the same for all rows of the scan. */
static bool
is_fixed(PlannerInfo *root, const RelOptInfo *rel, Node *expr)
{
	return !bms_is_member(rel->relid, pull_varnos(root, expr)) && !contain_volatile_functions(expr);
}

/* "key", "NOT key", "key IS TRUE", "key IS FALSE" for a boolean key, which is not NULL. */
static bool
match_boolean(const RelOptInfo *rel, Node *clause, NrMatch *match)
{
	bool		wanted = true;

	if (is_notclause(clause))
	{
		wanted = false;
		clause = (Node *) get_notclausearg((Expr *) clause);
	}
	else if (IsA(clause, BooleanTest))
	{
		BoolTestType test = ((BooleanTest *) clause)->booltesttype;

		if (test != IS_TRUE && test != IS_FALSE)
			return false;
		wanted = test == IS_TRUE;
		clause = (Node *) ((BooleanTest *) clause)->arg;
	}
	if (!is_key(rel, clause))
		return false;
	match->value = (Expr *) makeBoolConst(wanted, false);
	match->type = BOOLOID;
	match->array = false;
	return true;
}

static bool
match_clause(PlannerInfo *root, const RelOptInfo *rel, Expr *clause, NrMatch *match)
{
	const NrPlanRel *info = rel->fdw_private;
	Oid			left,
				right;

	if (IsA(clause, OpExpr) && list_length(((OpExpr *) clause)->args) == 2)
	{
		OpExpr	   *op = (OpExpr *) clause;
		Node	   *a = linitial(op->args);
		Node	   *b = lsecond(op->args);
		bool		commuted = !is_key(rel, a);

		if (commuted && !is_key(rel, b))
			return false;
		match->value = (Expr *) (commuted ? a : b);
		match->array = false;
		if (!is_key_equality(info, op->opno, op->inputcollid, &left, &right))
			return false;
		match->type = commuted ? left : right;
	}
	else if (IsA(clause, ScalarArrayOpExpr))
	{
		ScalarArrayOpExpr *op = (ScalarArrayOpExpr *) clause;

		if (!op->useOr || !is_key(rel, linitial(op->args)))
			return false;
		match->value = lsecond(op->args);
		match->array = true;
		if (!is_key_equality(info, op->opno, op->inputcollid, &left, &right))
			return false;
		match->type = right;
	}
	else
		return match_boolean(rel, (Node *) clause, match);
	return is_fixed(root, rel, (Node *) match->value);
}

/* ---- sizes ---- */

/*
 * Entries of the cache.  Caches begin empty and plans are kept, so a small
 * number is not taken at its word, as PostgreSQL does with small new tables: a
 * nested loop over "one row" would be a disaster once the cache is full.  Unless
 * ANALYZE has found as few: "analyzed" is pg_class.reltuples, negative when unknown.
 */
static double
count_entries(NrCache *cache, double analyzed)
{
	DsHashStat	stat = {.code = DS_HASH_STAT};
	double		least = analyzed > 0 ? Min(analyzed, ENTRIES_MIN) : ENTRIES_MIN;

	if (nr_execute(&cache->handle, &stat, NULL, true) != NR_OK)
		return Max(least, analyzed);
	return Max((double) stat.entries, least);
}

/*
 * Tell the selectivity functions that keys are unique, in the only language
 * that they know: a unique index.  It is marked as hypothetical, so nobody
 * tries to read it, and as not immediate, so it proves nothing.  Without it
 * every join on the key would be taken for one on a column of 200 values.
 */
static void
note_unique_key(RelOptInfo *rel, const NrPlanRel *info)
{
	IndexOptInfo *index = makeNode(IndexOptInfo);

	index->rel = rel;
	index->tuples = rel->tuples;
	index->tree_height = -1;
	index->ncolumns = index->nkeycolumns = 1;
	index->indexkeys = palloc(sizeof(int));
	index->indexkeys[0] = info->key;
	index->indexcollations = palloc0(sizeof(Oid));
	index->opfamily = palloc(sizeof(Oid));
	index->opfamily[0] = info->opfamily;
	index->opcintype = palloc0(sizeof(Oid));
	index->relam = HASH_AM_OID;
	index->unique = true;
	index->immediate = false;
	index->hypothetical = true;
	rel->indexlist = lappend(rel->indexlist, index);
}

/* A comparison that makes the scan a lookup; the security barrier of a view must not be overtaken. */
static void
find_lookup(PlannerInfo *root, RelOptInfo *rel, NrPlanRel *info)
{
	ListCell   *lc;

	foreach(lc, rel->baserestrictinfo)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);
		NrMatch		match;

		if (!restriction_is_securely_promotable(rinfo, rel) ||
			!match_clause(root, rel, rinfo->clause, &match))
			continue;
		if (info->lookup == NULL || (info->match.array && !match.array))
		{
			info->lookup = rinfo;
			info->match = match;
		}
	}
}

static double
array_length(PlannerInfo *root, Node *array)
{
#if PG_VERSION_NUM >= 170000
	return estimate_array_length(root, array);
#else
	return estimate_array_length(array);
#endif
}

static double
lookup_rows(PlannerInfo *root, const RelOptInfo *rel, const NrMatch *match)
{
	double		rows = match->array ? array_length(root, (Node *) match->value) : 1;

	return clamp_row_est(Min(rows, rel->tuples));
}

void
nr_fdw_rel_size(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	NrPlanRel  *info = palloc0(sizeof(NrPlanRel));
	NrCache    *cache = nr_cache_open(relid, AccessShareLock, 0);

	info->key = cache->def->key.attnum;
	info->opfamily = lookup_type_cache(cache->def->key.basetypid,
									   TYPECACHE_BTREE_OPFAMILY)->btree_opf;
	rel->fdw_private = info;
	rel->tuples = count_entries(cache, rel->tuples);
	note_unique_key(rel, info);

	set_baserel_size_estimates(root, rel);
	find_lookup(root, rel, info);
	if (info->lookup)
		rel->rows = Min(rel->rows, lookup_rows(root, rel, &info->match));
}

/* ---- paths ---- */

static void
add_foreign_path(PlannerInfo *root, RelOptInfo *rel, double rows, Cost startup, Cost total,
				 Relids outer, List *fdw_private)
{
	add_path(rel, (Path *)
			 create_foreignscan_path(root, rel, NULL, rows,
#if PG_VERSION_NUM >= 180000
									 0,
#endif
									 startup, total, NIL, outer, NULL,
#if PG_VERSION_NUM >= 170000
									 NIL,
#endif
									 fdw_private));
}

static void
add_scan_path(PlannerInfo *root, RelOptInfo *rel)
{
	Cost		startup = rel->baserestrictcost.startup + rel->reltarget->cost.startup +
		cpu_operator_cost * COPY_COST * rel->tuples;
	Cost		total = startup +
		(cpu_tuple_cost + rel->baserestrictcost.per_tuple) * rel->tuples +
		rel->reltarget->cost.per_tuple * rel->rows;

	add_foreign_path(root, rel, rel->rows, startup, total, rel->lateral_relids, NIL);
}

static void
add_lookup_path(PlannerInfo *root, RelOptInfo *rel, RestrictInfo *clause, const NrMatch *match,
				double rows, Relids outer)
{
	double		found = lookup_rows(root, rel, match);	/* before other conditions */
	Cost		startup = rel->baserestrictcost.startup + rel->reltarget->cost.startup;
	Cost		total = startup +
		(cpu_operator_cost * LOOKUP_COST + cpu_tuple_cost +
		 rel->baserestrictcost.per_tuple) * found +
		rel->reltarget->cost.per_tuple * rows;

	add_foreign_path(root, rel, rows, startup, total, outer, list_make1(clause));
}

static bool
ec_member_is_key(PlannerInfo *root, RelOptInfo *rel, EquivalenceClass *ec, EquivalenceMember *em,
				 void *arg)
{
	return is_key(rel, (Node *) em->em_expr);
}

/* A lookup for each set of other relations that can supply the key. */
static void
add_join_paths(PlannerInfo *root, RelOptInfo *rel)
{
	List	   *clauses = NIL;
	List	   *seen = NIL;
	ListCell   *lc;

	foreach(lc, rel->joininfo)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);

		if (join_clause_is_movable_to(rinfo, rel))
			clauses = lappend(clauses, rinfo);
	}
	if (rel->has_eclass_joins)
		clauses = list_concat(clauses,
							  generate_implied_equalities_for_column(root, rel, ec_member_is_key,
																	 NULL, rel->lateral_referencers));
	foreach(lc, clauses)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);
		ParamPathInfo *param;
		Relids		outer;
		NrMatch		match;

		if (!restriction_is_securely_promotable(rinfo, rel) ||
			!match_clause(root, rel, rinfo->clause, &match))
			continue;
		outer = bms_del_member(bms_union(rinfo->clause_relids, rel->lateral_relids), rel->relid);
		if (bms_is_empty(outer))
			continue;
		param = get_baserel_parampathinfo(root, rel, outer);
		if (list_member_ptr(seen, param))
			continue;
		seen = lappend(seen, param);
		param->ppi_rows = Min(param->ppi_rows, lookup_rows(root, rel, &match));
		add_lookup_path(root, rel, rinfo, &match, param->ppi_rows, outer);
	}
}

void
nr_fdw_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	NrPlanRel  *info = rel->fdw_private;

	if (info->lookup)
		add_lookup_path(root, rel, info->lookup, &info->match, rel->rows, rel->lateral_relids);
	if (info->lookup == NULL || info->match.array)
	{
		add_scan_path(root, rel);
		add_join_paths(root, rel);
	}
}

/* ---- plan ---- */

/* Does anything that the scan must deliver or test involve a value column? */
static bool
needs_values(const RelOptInfo *rel, List *clauses)
{
	const NrPlanRel *info = rel->fdw_private;
	Bitmapset  *attrs = NULL;
	int			at = -1;

	pull_varattnos((Node *) rel->reltarget->exprs, rel->relid, &attrs);
	pull_varattnos((Node *) clauses, rel->relid, &attrs);
	while ((at = bms_next_member(attrs, at)) >= 0)
	{
		AttrNumber	attnum = at + FirstLowInvalidHeapAttributeNumber;

		if (attnum >= 0 && attnum != info->key)
			return true;		/* 0 is the whole row */
	}
	return false;
}

static bool
has_placeholder(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, PlaceHolderVar))
		return true;
	return expression_tree_walker(node, has_placeholder, context);
}

/*
 * The clauses that the executor still has to evaluate when this one is a lookup.
 * Not its copies, which joins of partitions make, nor those that follow from it: of an equivalence class the path's own clause
 * may be another than ours, or the same one the other way round.
 */
static List *
other_clauses(List *clauses, RestrictInfo *lookup)
{
	List	   *taken = list_make1(lookup);
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, clauses)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);

		if (!equal(rinfo->clause, lookup->clause) && !is_redundant_derived_clause(rinfo, taken))
			result = lappend(result, rinfo);
	}
	return result;
}

/* A comparison with the key on its left, where there is an operator for that: for EXPLAIN. */
static Expr *
key_first(const RelOptInfo *rel, Expr *clause)
{
	if (IsA(clause, OpExpr) && !is_key(rel, linitial(((OpExpr *) clause)->args)) &&
		OidIsValid(get_commutator(((OpExpr *) clause)->opno)))
	{
		clause = copyObject(clause);
		CommuteOpExpr((OpExpr *) clause);
	}
	return clause;
}

ForeignScan *
nr_fdw_plan(PlannerInfo *root, RelOptInfo *rel, Oid relid, ForeignPath *path,
			List *tlist, List *clauses, Plan *outer_plan)
{
	NrMatch		match = {0};
	List	   *exprs = NIL;
	List	   *recheck = NIL;
	Node	   *shown = NULL;

	if (path->fdw_private != NIL)
	{
		RestrictInfo *rinfo = linitial_node(RestrictInfo, path->fdw_private);

		if (!match_clause(root, rel, rinfo->clause, &match))
			elog(ERROR, "cache lookup path without a comparison of the key");
		clauses = other_clauses(clauses, rinfo);
		exprs = list_make1(match.value);
		recheck = list_make1(key_first(rel, rinfo->clause));
		if (!has_placeholder(linitial(recheck), NULL))
			shown = copyObject(linitial(recheck));
	}
	clauses = extract_actual_clauses(clauses, false);

	return make_foreignscan(tlist, clauses, rel->relid, exprs,
							list_make5(makeInteger(needs_values(rel, clauses)),
									   makeInteger((int) match.type),
									   makeInteger(match.array),
									   makeInteger(rel->relid),
									   shown),
							NIL, recheck, outer_plan);
}

/* A path's clause, when a join of partitioned tables is done partition by partition. */
List *
nr_fdw_reparameterize(PlannerInfo *root, List *fdw_private, RelOptInfo *child)
{
#if PG_VERSION_NUM >= 160000
	return (List *) adjust_appendrel_attrs_multilevel(root, (Node *) fdw_private, child,
													  child->top_parent);
#else
	return (List *) adjust_appendrel_attrs_multilevel(root, (Node *) fdw_private, child->relids,
													  child->top_parent_relids);
#endif
}
