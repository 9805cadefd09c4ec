/*
 * nr_bench.c
 *		What the benchmarks compare nr_get with.  Only in builds with NR_BENCH=1.
 *
 * THE PEER is nr_get without synchronisation: not a second program that looks
 * alike, but the very source of nr_fn_read.c and nr_exec.c, compiled once more
 * under other names with nr_enter and nr_leave as nothing.  So call site,
 * handle, privilege check, coercion, hash, layout, codec and result are the
 * same by construction, in the same copy in the same memory, and the difference
 * between bench_get and nr_get is what node replication's readers pay: the
 * reader's flag, the writer's flag, the completed tail.
 *
 * It is right only while nobody writes.
 */
/* What the two files export, so that the headers declare it under the other names, too. */
#define nr_exec_read		nr_bench_exec_read
#define nr_exec_get			nr_bench_exec_get
#define nr_exec_scan		nr_bench_exec_scan
#define nr_exec_write		nr_bench_exec_write
#define nr_exec_put			nr_bench_exec_put
#define nr_exec_delete		nr_bench_exec_delete
#define nr_exec_truncate	nr_bench_exec_truncate
#define nr_require_writable nr_bench_require_writable
#define nr_get_text			nr_bench_get_text
#define nr_get_typed		nr_bench_get_typed
#define nr_default_get		nr_bench_default_get
#define nr_check			nr_bench_check

#include "nr_fn.h"

#include <time.h>

/* In the extension this one is in a file of its own, so it is not inlined there. */
extern pg_noinline bool nr_bench_exec_get(NrCache *cache, const NrKey *key, const char **data,
										  uint32 *bytes);

#define nr_enter(handle, cancellable)	((void) (handle), NR_OK)
#define nr_leave(handle)				((void) (handle))

#include "../src/nr_exec.c"
#include "../src/nr_fn_read.c"

PG_FUNCTION_INFO_V1(nr_bench_nothing);
PG_FUNCTION_INFO_V1(nr_bench_cpu);

/* What the call of a C function with three arguments costs. */
Datum
nr_bench_nothing(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(2))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(PG_GETARG_DATUM(2));
}

/* Processor time of this backend, in ns. */
Datum
nr_bench_cpu(PG_FUNCTION_ARGS)
{
	struct timespec t;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0)
		elog(ERROR, "could not read the processor time: %m");
	PG_RETURN_INT64((int64) t.tv_sec * 1000000000 + t.tv_nsec);
}
