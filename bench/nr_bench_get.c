/*
 * nr_bench_get.c
 *		What the benchmarks compare nr_get with: nr_get itself with something left out
 *		or put in.  Only in builds with NR_BENCH=1, once for each variant: the
 *		Makefile says -DNR_BENCH_AS=variant.
 *
 * Not programs that look alike, but the very source of nr_fn_read.c and nr_exec.c
 * under other names.  So call site, handle, privilege check, coercion, hash, layout,
 * codec and result are the same by construction, in the same copy in the same memory.
 *
 *	 peer      no synchronisation: nr_enter and nr_leave are nothing.  The difference to
 *	           nr_get is what node replication's readers pay: the reader's flag, the
 *	           writer's flag, the completed tail.  Right only while nobody writes.
 *	 twin      nothing left out: what it differs from nr_get by is the place in memory
 *	           that its code happens to have.  The others are compared with this one.
 *	 still     does not follow: never asks where it runs.
 *	 each      follows, at each read and not at each 64th.
 *	 rseq, getcpu
 *	           ask as on a machine with two nodes, by rseq, by getcpu(2).  With one
 *	           node nr_get does not ask at all.
 *	 rseq_each, getcpu_each
 *	           the same at each read.
 */
#define NR_BENCH_PASTE(a, b)	nr_bench_ ## a ## _ ## b
#define NR_BENCH_NAME_OF(a, b)	NR_BENCH_PASTE(a, b)
#define NR_BENCH_NAME(name)		NR_BENCH_NAME_OF(NR_BENCH_AS, name)
#define NR_BENCH_IS_(a)			NR_BENCH_IS_ ## a
#define NR_BENCH_IS_OF(a)		NR_BENCH_IS_(a)

#define NR_BENCH_IS_peer		1
#define NR_BENCH_IS_twin		2
#define NR_BENCH_IS_still		3
#define NR_BENCH_IS_each		4
#define NR_BENCH_IS_rseq		5
#define NR_BENCH_IS_getcpu		6
#define NR_BENCH_IS_rseq_each	7
#define NR_BENCH_IS_getcpu_each	8
#define NR_BENCH_IS				NR_BENCH_IS_OF(NR_BENCH_AS)

/* What the files export, so that the headers declare it under the other names, too. */
#define nr_exec_read		NR_BENCH_NAME(exec_read)
#define nr_exec_get			NR_BENCH_NAME(exec_get)
#define nr_exec_get_before	NR_BENCH_NAME(exec_get_before)
#define nr_exec_exists		NR_BENCH_NAME(exec_exists)
#define nr_exec_enter		NR_BENCH_NAME(exec_enter)
#define nr_exec_fetch		NR_BENCH_NAME(exec_fetch)
#define nr_exec_scan		NR_BENCH_NAME(exec_scan)
#define nr_exec_scan_retired	NR_BENCH_NAME(exec_scan_retired)
#define nr_scratch_reserve	NR_BENCH_NAME(scratch_reserve)
#define nr_get_text			NR_BENCH_NAME(get_text)
#define nr_get_typed		NR_BENCH_NAME(get_typed)
#define nr_default_get		NR_BENCH_NAME(default_get)
#define nr_check			NR_BENCH_NAME(check)

#include "nr_fn.h"

#include "ds/hash_find.h"
#include "engine/enter.h"

#include "storage/proc.h"

/* In the extension this one is in a file of its own, so it is not inlined there. */
extern pg_noinline bool nr_exec_get(NrCache *cache, const NrKey *key, const char **data, uint32 *bytes);

#if NR_BENCH_IS == NR_BENCH_IS_peer
#define nr_enter(handle, cancellable)	((void) (handle), NR_OK)
#define nr_leave(handle)				((void) (handle))
#define nr_enter_quick(handle)			((void) (handle), true)
#define nr_leave_quick(handle)			((void) (handle))
#define ds_hash_guess(copy, hash)		(DsHashGuess) {0}
#define ds_hash_guessed(copy, hash, guess)	((void) *(guess), ds_hash_line_of(copy, hash))
#endif
#if NR_BENCH_IS == NR_BENCH_IS_peer || NR_BENCH_IS == NR_BENCH_IS_still
#define nr_token_follow()				((void) 0)
#endif

#if NR_BENCH_IS >= NR_BENCH_IS_rseq

#define nr_numa_place			NR_BENCH_NAME(numa_place)
#define nr_numa_placement		NR_BENCH_NAME(numa_placement)
#define nr_numa_describe		NR_BENCH_NAME(numa_describe)
#define nr_numa_replica_here	NR_BENCH_NAME(numa_replica_here)
#define nr_numa_run_on			NR_BENCH_NAME(numa_run_on)
#define nr_numa_bind			NR_BENCH_NAME(numa_bind)
#define nr_numa_small_pages		NR_BENCH_NAME(numa_small_pages)
#define nr_numa_count			NR_BENCH_NAME(numa_count)
#define nr_numa_warn			NR_BENCH_NAME(numa_warn)
#if NR_BENCH_IS == NR_BENCH_IS_getcpu || NR_BENCH_IS == NR_BENCH_IS_getcpu_each
#include <sys/auxv.h>
#define getauxval(type)			0UL /* a kernel that does not say where the node is */
#endif
#include "../src/nr_numa.c"

static uint64 moves = 0;

/*
 * As nr_token_follow in a session that "nr_cache.replica" does not pin, with two
 * nodes; this one is the first of them, so there is nothing to be moved.
 */
static pg_noinline void
follow(void)
{
	NrSession  *token = nr_token();

	if (placement.nhomes < 2)
		placement = (NrPlacement)
	{
		.nreplicas = 2,.nhomes = 2,.nnodes = 1
	};
	if (nr_numa_replica_here(MyProcNumber) != (int) token->replica)
		moves++;
}
#define nr_token_follow()		follow()

/* Ask so many times: whether the system tells by rseq. */
PG_FUNCTION_INFO_V1(NR_BENCH_NAME(ask));

Datum
NR_BENCH_NAME(ask)(PG_FUNCTION_ARGS)
{
	int			n = PG_GETARG_INT32(0);

	while (n-- > 0)
		follow();
	PG_RETURN_BOOL(find_rseq_node() != NULL);
}
#endif

#if NR_BENCH_IS == NR_BENCH_IS_each || NR_BENCH_IS >= NR_BENCH_IS_rseq_each
#undef NR_FOLLOW_EVERY
#define NR_FOLLOW_EVERY			1
#endif

#include "../src/nr_exec.c"
#include "../src/nr_fn_read.c"
