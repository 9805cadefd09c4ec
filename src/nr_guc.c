/*
 * nr_guc.c
 *		Settings.  Those that size shared memory are fixed at server start.
 *
 * A value out of range here never stops the server: PostgreSQL warns and takes
 * the default.  Combinations that do not fit are put right in nr_shmem.c.
 */
#include "nr_internal.h"

#include <limits.h>

#include "access/parallel.h"
#include "utils/guc.h"

int			nr_guc_memory_mb = 128;
int			nr_guc_replicas = 0;
int			nr_guc_max_caches = 64;
int			nr_guc_max_sessions = 0;
int			nr_guc_log_size_kb = 256;
int			nr_guc_max_entry_bytes = 64 * 1024;
int			nr_guc_max_batch_kb = 4096;
int			nr_guc_scan_memory_kb = 256 * 1024;
int			nr_guc_replica = -1;
bool		nr_guc_workers = true;

static char *nr_guc_replicas_text;

static bool
replicas_check(char **newval, void **extra, GucSource source)
{
	int			n = 0;

	if (pg_strcasecmp(*newval, "auto") != 0 &&
		(!parse_int(*newval, &n, 0, NULL) || n < 1 || n > NR_GUC_REPLICAS_MAX))
	{
		GUC_check_errdetail("Give \"auto\" or a number from 1 to %d.", NR_GUC_REPLICAS_MAX);
		return false;
	}
	*extra = guc_malloc(LOG, sizeof(int));
	if (*extra == NULL)
		return false;
	*(int *) *extra = n;
	return true;
}

static void
replicas_assign(const char *newval, void *extra)
{
	nr_guc_replicas = *(int *) extra;
}

/*
 * What was written down when there were more replicas must not be in anybody's way.  Of roles and
 * databases PostgreSQL makes a warning; a parallel worker takes whatever its leader has, which
 * may come from before the number was known: replica_wanted in nr_token.c passes over it.
 */
static bool
replica_check(int *newval, void **extra, GucSource source)
{
	if (!nr_shmem_ready() || *newval < (int) nr_engine.geo.replicas || InitializingParallelWorker)
		return true;
	GUC_check_errdetail("Replicas are numbered from 0 to %u.", nr_engine.geo.replicas - 1);
	return false;
}

/* Call sites open their caches again, and that is where a token moves. */
static void
replica_assign(int newval, void *extra)
{
	nr_epoch++;
}

static void
define_start_settings(void)
{
	DefineCustomIntVariable("nr_cache.memory",
							"Memory for caches on each NUMA node.",
							"All of it is reserved when the server starts.",
							&nr_guc_memory_mb, 128, 4, 1 << 24,
							PGC_POSTMASTER, GUC_UNIT_MB, NULL, NULL, NULL);
	DefineCustomStringVariable("nr_cache.replicas",
							   "Number of replicas of each cache.",
							   "\"auto\" is one on each NUMA node.",
							   &nr_guc_replicas_text, "auto",
							   PGC_POSTMASTER, 0, replicas_check, replicas_assign, NULL);
	DefineCustomIntVariable("nr_cache.max_caches",
							"Number of caches in use, over all databases.",
							NULL,
							&nr_guc_max_caches, 64, 1, NR_GROUPS_MAX,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("nr_cache.max_sessions",
							"Number of processes that can use caches at the same time.",
							"0 is enough for every process that the server can have.",
							&nr_guc_max_sessions, 0, 0, NR_SESSIONS_MAX,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("nr_cache.log_size",
							"Size of a cache's operation log, unless its option log_size says otherwise.",
							NULL,
							&nr_guc_log_size_kb, 256, 64, 1024 * 1024,
							PGC_POSTMASTER, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("nr_cache.max_entry",
							"Largest key and value together.",
							NULL,
							&nr_guc_max_entry_bytes, 64 * 1024, 64, 16 * 1024 * 1024,
							PGC_POSTMASTER, GUC_UNIT_BYTE, NULL, NULL, NULL);
	DefineCustomIntVariable("nr_cache.max_batch",
							"Largest batch of changes that is applied in one step.",
							"A call, a transaction's changes to a cache, or what awaits nr_publish().",
							&nr_guc_max_batch_kb, 4096, 64, 1024 * 1024,
							PGC_POSTMASTER, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomBoolVariable("nr_cache.workers",
							 "Start a background worker for each replica, if there are several.",
							 "It applies what was written elsewhere when nobody reads or writes on its node.",
							 &nr_guc_workers, true,
							 PGC_POSTMASTER, 0, NULL, NULL, NULL);
}

void
nr_guc_init(bool preloaded)
{
	DefineCustomIntVariable("nr_cache.scan_memory",
							"Memory that a scan of a whole cache may take in its backend.",
							NULL,
							&nr_guc_scan_memory_kb, 256 * 1024, 64, INT_MAX,
							PGC_USERSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("nr_cache.replica",
							"The replica that this session uses.",
							"-1 is the one that serves the NUMA node on which the session runs.",
							&nr_guc_replica, -1, -1, NR_GUC_REPLICAS_MAX - 1,
							PGC_USERSET, 0, replica_check, replica_assign, NULL);
	if (preloaded)
	{
		define_start_settings();
		MarkGUCPrefixReserved("nr_cache");
	}
}
