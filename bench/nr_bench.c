/*
 * nr_bench.c
 *		Clocks for the benchmarks, and a function that does nothing.  Only in builds
 *		with NR_BENCH=1, as nr_bench_get.c.
 */
#include "nr_fn.h"

#include "catalog/pg_type.h"
#include "utils/array.h"

#include <time.h>

PG_FUNCTION_INFO_V1(nr_bench_nothing);
PG_FUNCTION_INFO_V1(nr_bench_cpu);
PG_FUNCTION_INFO_V1(nr_bench_wall);
PG_FUNCTION_INFO_V1(nr_bench_lap);
PG_FUNCTION_INFO_V1(nr_bench_laps);

/* What the call of a C function with three arguments costs. */
Datum
nr_bench_nothing(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(2))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(PG_GETARG_DATUM(2));
}

static int64
clock_ns(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t) != 0)
		elog(ERROR, "could not read a clock: %m");
	return (int64) t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Processor time of this backend, in ns. */
Datum
nr_bench_cpu(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(clock_ns(CLOCK_PROCESS_CPUTIME_ID));
}

/* The clock on the wall, in ns since some time. */
Datum
nr_bench_wall(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(clock_ns(CLOCK_MONOTONIC));
}

/* ---- the aggregate bench_laps(): the time that each row of a query took ---- */

/*
 * One aggregation at a time, and no allocation: what the clock sees is the query.
 * Its state is a dummy.
 */
#define LAPS_MAX	(1 << 20)

static uint32 laps[LAPS_MAX];
static uint32 nlaps;
static uint32 nnulls;
static int64 lap_began;

/* Transition: the time since the row before; the first row starts the clock. */
Datum
nr_bench_lap(PG_FUNCTION_ARGS)
{
	int64		now = clock_ns(CLOCK_MONOTONIC);

	if (PG_ARGISNULL(0))
		nlaps = nnulls = 0;
	else if (nlaps == LAPS_MAX)
		elog(ERROR, "more than %d rows", LAPS_MAX);
	else
		laps[nlaps++] = (uint32) Min(now - lap_began, (int64) PG_UINT32_MAX);
	nnulls += PG_ARGISNULL(1);
	lap_began = now;
	PG_RETURN_POINTER(laps);
}

static int
compare_laps(const void *a, const void *b)
{
	uint32		x = *(const uint32 *) a,
				y = *(const uint32 *) b;

	return (x > y) - (x < y);
}

/* Final: laps, NULLs among the rows, and in ns their sum, median, 99 %, 99.9 %, largest, 99.99 %. */
Datum
nr_bench_laps(PG_FUNCTION_ARGS)
{
	Datum		answer[8];
	int64		sum = 0;

	if (PG_ARGISNULL(0) || nlaps == 0)
		PG_RETURN_NULL();
	qsort(laps, nlaps, sizeof(laps[0]), compare_laps);
	for (uint32 i = 0; i < nlaps; i++)
		sum += laps[i];
	answer[0] = Int64GetDatum(nlaps);
	answer[1] = Int64GetDatum(nnulls);
	answer[2] = Int64GetDatum(sum);
	answer[3] = Int64GetDatum(laps[(uint64) nlaps * 500 / 1000]);
	answer[4] = Int64GetDatum(laps[(uint64) nlaps * 990 / 1000]);
	answer[5] = Int64GetDatum(laps[(uint64) nlaps * 999 / 1000]);
	answer[6] = Int64GetDatum(laps[nlaps - 1]);
	answer[7] = Int64GetDatum(laps[(uint64) nlaps * 9999 / 10000]);
	PG_RETURN_ARRAYTYPE_P(construct_array(answer, lengthof(answer), INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}
