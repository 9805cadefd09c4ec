/*
 * nr_worker.c
 *		A background worker for each replica: it applies what other nodes have written
 *		when nobody who runs on this node does (nr_worker_refresh in engine.h).
 *
 * A worker has no database connection, takes no heavyweight lock, and waits for nobody; all that
 * works without it works with it stopped or missing, too.  While there is something to do it
 * naps for REST_MIN_MS between two passes, after one without work twice as long each time, unless a
 * writer that uses a log up wakes it; and after REST_MAX_MS it goes to rest, without a timeout: the
 * next append wakes it.
 */
#include "nr_internal.h"

#include "nr_numa.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/wait_event.h"

#define REST_MIN_MS		1
#define REST_MAX_MS		64
#define RESTART_SECONDS	10		/* after an error or SIGTERM; after a crash of another process at once */

extern PGDLLEXPORT void nr_worker_main(Datum arg);

/*
 * How many there will be is asked here already, before memory is: it depends on
 * the machine and on settings that have been read.
 */
void
nr_worker_install(void)
{
	int			replicas = nr_numa_place(nr_guc_replicas, NR_GUC_REPLICAS_MAX)->nreplicas;

	if (!nr_guc_workers || replicas == 1)
		return;
	for (int r = 0; r < replicas; r++)
	{
		BackgroundWorker worker = {
			.bgw_flags = BGWORKER_SHMEM_ACCESS,
			.bgw_start_time = BgWorkerStart_ConsistentState,
			.bgw_restart_time = RESTART_SECONDS,
			.bgw_main_arg = Int32GetDatum(r),
		};

		snprintf(worker.bgw_name, BGW_MAXLEN, "nr_cache worker %d", r);
		snprintf(worker.bgw_type, BGW_MAXLEN, "nr_cache worker");
		snprintf(worker.bgw_library_name, BGW_MAXLEN, "nr_cache");
		snprintf(worker.bgw_function_name, BGW_MAXLEN, "nr_worker_main");
		RegisterBackgroundWorker(&worker);
	}
}

/* As SIGTERM for other workers, and it also ends a wait of the engine. */
static void
shutdown_handler(SIGNAL_ARGS)
{
	InterruptPending = true;
	SignalHandlerForShutdownRequest(postgres_signal_arg);
}

static void
dismiss(int code, Datum arg)
{
	nr_worker_dismiss((NrSession *) DatumGetPointer(arg));
}

/* Take the token of this replica, wherever we run, and go there. */
static NrSession *
take_office(uint32 replica)
{
	char		value[16];
	NrSession  *session;

	snprintf(value, sizeof(value), "%u", replica);
	SetConfigOption("nr_cache.replica", value, PGC_SUSET, PGC_S_OVERRIDE);
	session = nr_token();
	if (nr_worker_appoint(session) != NR_OK)
		elog(ERROR, "replica %u of nr_cache has a worker already", replica);
	before_shmem_exit(dismiss, PointerGetDatum(session));	/* before the token is returned */
	pg_atomic_write_u32(&nr_shared->worker_at[replica], 0);
	nr_numa_run_on(replica);
	return session;
}

/* Look at all groups once; of what was found, that after which to come back soonest. */
static NrFreshness
look_around(NrSession *session)
{
	NrFreshness outcome = NR_FRESH;

	for (uint32 i = 0; i < nr_shared->nentries; i++)
	{
		NrFreshness one;

		if (!nr_registry_visit(session->replica, i))
			continue;
		one = nr_worker_refresh(session, &ds_hash_dispatch, i);
		nr_registry_leave(session->replica, i);
		outcome = Max(outcome, one);
	}
	return outcome;
}

static void
sleep_ms(long ms)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (ms >= 0 ? WL_TIMEOUT : 0), ms, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

static void
keep_fresh(NrSession *session)
{
	long		ms = REST_MIN_MS;

	while (!ShutdownRequestPending)
	{
		NrFreshness outcome;

		NR_POINT("worker_look");
		outcome = look_around(session);
		if (outcome == NR_WAS_FAR_BEHIND)
		{
			CHECK_FOR_INTERRUPTS();
			continue;
		}
		if (outcome == NR_REFRESHED)
			ms = REST_MIN_MS;
		else if (ms < REST_MAX_MS)
			ms *= 2;
		else if (outcome == NR_FRESH)
		{
			nr_worker_rest(session);
			if (look_around(session) == NR_FRESH)
				sleep_ms(-1);
			nr_worker_rise(session);
			ms = REST_MIN_MS;
			continue;
		}
		nr_worker_nap(session);
		sleep_ms(ms);
		nr_worker_rise(session);
	}
}

/*
 * Exit status 1 has the postmaster start it again, unless that is going down itself.  Without shared
 * memory for caches there is nothing to do, ever.
 */
void
nr_worker_main(Datum arg)
{
	uint32		replica = (uint32) DatumGetInt32(arg);

	pqsignal(SIGTERM, shutdown_handler);
	BackgroundWorkerUnblockSignals();
	if (!nr_shmem_ready() || replica >= nr_engine.geo.replicas)
		proc_exit(0);
	keep_fresh(take_office(replica));
	proc_exit(1);
}
