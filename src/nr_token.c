/*
 * nr_token.c
 *		This process's token: its session of the engine, taken at first use, and moved
 *		when the process runs on another node.
 */
#include "nr_internal.h"

#include "nr_numa.h"

#include "storage/ipc.h"
#include "storage/proc.h"
#include "utils/memdebug.h"

static NrSession token;
static bool token_taken = false;
static bool token_held = false;

#ifdef USE_VALGRIND
/*
 * Bytes that this process wrote without having set them are an error under Valgrind, which
 * tells their origin; only some of them, one is enough.
 */
static void
check_defined(char *from, Size bytes)
{
	char	   *end = from + bytes;

	for (int i = 0; i < 10 && from < end; i++)
	{
		char	   *bad = (char *) (uintptr_t) VALGRIND_CHECK_MEM_IS_DEFINED(from, end - from);

		if (bad == NULL)
			return;
		from = Min(bad + 64, end);
	}
}

static void
check_shared_memory(void)
{
	check_defined(nr_engine.control, nr_engine_control_bytes(&nr_engine.geo));
	for (uint32 r = 0; r < nr_engine.geo.replicas; r++)
		check_defined(nr_engine.region[r], nr_engine_region_bytes(&nr_engine.geo));
}
#endif

/*
 * Exits begin in CHECK_FOR_INTERRUPTS or at top level, never inside the engine,
 * so the request slot is idle, or withdrawn, or about to be answered.  A
 * transaction may still be open; it is aborted after this, without a token.
 */
static void
token_return(int code, Datum arg)
{
	if (!token_taken)
		return;
	nr_lifetime_detach_all();
	token_taken = false;
	nr_session_unregister(&token);
#ifdef USE_VALGRIND
	check_shared_memory();
#endif
}

static uint32
replica_wanted(void)
{
	if (nr_guc_replica >= 0 && (uint32) nr_guc_replica < nr_engine.geo.replicas)
		return nr_guc_replica;
	return nr_numa_replica_here(MyProcNumber);
}

void
nr_token_hold(bool hold)
{
	token_held = hold;
}

void
nr_token_follow(void)
{
	uint32		wanted;

	if (!token_taken || token_held || nr_engine.geo.replicas == 1)
		return;
	wanted = replica_wanted();
	if (wanted != token.replica && nr_session_move(&token, wanted) == NR_OK)
		nr_lifetime_move(&token);
}

NrSession *
nr_token(void)
{
	static bool exit_hooked = false;
	NrStatus	status;

	if (likely(token_taken))
		return &token;

	nr_require_shmem();
	if (!exit_hooked)
	{
		before_shmem_exit(token_return, (Datum) 0);
		exit_hooked = true;
	}
	status = nr_session_register(&nr_engine, replica_wanted(), MyProcPid, MyProcNumber, &token);
	if (status != NR_OK)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many processes use caches at the same time"),
				 errdetail("All %u tokens are taken.", nr_engine.geo.sessions),
				 errhint("Raise \"%s\", or set it to 0, and restart the server.",
						 "nr_cache.max_sessions")));
	pg_atomic_write_u32(&nr_latch_owner[token.idx], MyProcNumber);
	token_taken = true;
	return &token;
}
