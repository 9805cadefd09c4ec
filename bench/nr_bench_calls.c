/*
 * nr_bench_calls.c
 *		What else the benchmarks call: a function that allocates, one with a saved plan, keys that some
 *		are asked for more often than others, and what arrays sum up to.  Only in builds with NR_BENCH=1.
 */
#include "nr_fn.h"

#include <math.h>

#include "common/pg_prng.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(nr_bench_palloc);
PG_FUNCTION_INFO_V1(nr_bench_spi_get);
PG_FUNCTION_INFO_V1(nr_bench_zipf);
PG_FUNCTION_INFO_V1(nr_bench_array_sum);

/* nr_bench_nothing that allocates 16 bytes, as a short text would be. */
Datum
nr_bench_palloc(PG_FUNCTION_ARGS)
{
	char	   *answer = palloc(16);

	memset(answer, 0, 16);
	if (PG_ARGISNULL(2))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(PG_GETARG_DATUM(2));
}

/* ---- a function that asks a table, by a plan that it keeps ---- */

typedef struct SpiSite
{
	Oid			relid;
	Oid			type;			/* of the answer */
	SPIPlanPtr	plan;
	int16		typlen;
	bool		typbyval;
} SpiSite;

static void
spi_resolve(FunctionCallInfo fcinfo, SpiSite *site)
{
	Oid			relid = PG_GETARG_OID(0);
	Oid			key = get_fn_expr_argtype(fcinfo->flinfo, 1);
	char	   *query = psprintf("SELECT v FROM %s WHERE k = $1",
								 quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
															get_rel_name(relid)));

	site->type = get_fn_expr_argtype(fcinfo->flinfo, 2);
	get_typlenbyval(site->type, &site->typlen, &site->typbyval);
	site->plan = SPI_prepare(query, 1, &key);
	if (site->plan == NULL || SPI_keepplan(site->plan) != 0)
		elog(ERROR, "could not prepare \"%s\"", query);
	site->relid = relid;
}

/* (table with columns k and v, key, fallback) */
Datum
nr_bench_spi_get(PG_FUNCTION_ARGS)
{
	SpiSite    *site = fcinfo->flinfo->fn_extra;
	Datum		key = PG_GETARG_DATUM(1);
	Datum		answer = PG_GETARG_DATUM(2);
	bool		isnull = PG_ARGISNULL(2);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (site == NULL)
		site = fcinfo->flinfo->fn_extra = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(SpiSite));
	if (site->relid != PG_GETARG_OID(0))
		spi_resolve(fcinfo, site);
	if (SPI_execute_plan(site->plan, &key, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute_plan failed");
	if (SPI_processed > 0)
	{
		answer = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
		if (!isnull)
			answer = SPI_datumTransfer(answer, site->typbyval, site->typlen);
	}
	SPI_finish();
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(answer);
}

/* ---- Zipf's distribution ---- */

/* The integral of x^-s, and its inverse; s is not 1. */
static double
area(double x, double s)
{
	return (pow(x, 1 - s) - 1) / (1 - s);
}

static double
area_inverse(double a, double s)
{
	return pow(a * (1 - s) + 1, 1 / (1 - s));
}

/*
 * (i, n, s): a rank from 1 to n, rank r with a probability proportional to r^-s; the same for the
 * same i.  By rejection-inversion: W. Hoermann, G. Derflinger, "Rejection-inversion to generate
 * variates from monotone discrete distributions", ACM TOMACS 6 (1996).
 */
Datum
nr_bench_zipf(PG_FUNCTION_ARGS)
{
	int64		n = PG_GETARG_INT64(1);
	double		s = PG_GETARG_FLOAT8(2);
	double		first = area(1.5, s) - 1;
	double		last = area(n + 0.5, s);
	pg_prng_state state;

	if (n < 1 || s <= 0 || s == 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("no such Zipf distribution")));
	pg_prng_seed(&state, (uint64) PG_GETARG_INT64(0));
	for (;;)
	{
		double		u = last + pg_prng_double(&state) * (first - last);
		double		rank = floor(area_inverse(u, s) + 0.5);

		rank = Min(Max(rank, 1), (double) n);
		if (u >= area(rank + 0.5, s) - pow(rank, -s))
			PG_RETURN_INT64((int64) rank);
	}
}

/* ---- arrays ---- */

/* What a bigint array's elements sum up to, or the lengths of a text array's; no NULLs. */
Datum
nr_bench_array_sum(PG_FUNCTION_ARGS)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	int			n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	const char *at = ARR_DATA_PTR(array);
	int64		sum = 0;

	if (ARR_HASNULL(array))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("a NULL in an array to sum up")));
	if (ARR_ELEMTYPE(array) == INT8OID)
		for (int i = 0; i < n; i++)
			sum += ((const int64 *) at)[i];
	else
		for (int i = 0; i < n; i++)
		{
			at = (const char *) INTALIGN((uintptr_t) at);
			sum += VARSIZE_ANY_EXHDR(at);
			at += VARSIZE_ANY(at);
		}
	PG_RETURN_INT64(sum);
}
