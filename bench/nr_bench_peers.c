/*
 * nr_bench_peers.c
 *		Where the tables of nr_bench_peers.h are: shared memory, their ids, call sites.
 *
 * A file of its own asks for shared memory while nr_cache is loaded, so that nr_cache need not know of
 * benchmarks: "nr_bench.memory", nothing unless it is set.
 */
#include "nr_bench_peers.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/guc.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(nr_bench_peer_make);

typedef struct PeerRegistry
{
	int			ntables;
	int			tranche;
	PeerTable	table[PEER_TABLES_MAX];
} PeerRegistry;

static int	peer_memory_mb = 0;
static PeerRegistry *registry = NULL;
static PeerSite *known[PEER_TABLES_MAX];
static shmem_request_hook_type prev_shmem_request = NULL;
static shmem_startup_hook_type prev_shmem_startup = NULL;

static void
peers_request(void)
{
	if (prev_shmem_request)
		prev_shmem_request();
	RequestAddinShmemSpace((Size) peer_memory_mb * 1024 * 1024);
}

static void
peers_startup(void)
{
	bool		found;

	if (prev_shmem_startup)
		prev_shmem_startup();
	if (peer_memory_mb == 0)
		return;
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	registry = ShmemInitStruct("nr_bench peers", sizeof(PeerRegistry), &found);
	if (!found)
	{
		memset(registry, 0, sizeof(PeerRegistry));
		registry->tranche = LWLockNewTrancheId();
	}
	LWLockRelease(AddinShmemInitLock);
}

/* When the library is loaded, before _PG_init. */
static void __attribute__((constructor))
peers_load(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	DefineCustomIntVariable("nr_bench.memory", "Memory for what nr_cache is compared with.", NULL,
							&peer_memory_mb, 0, 0, INT_MAX / 2, PGC_POSTMASTER, GUC_UNIT_MB, NULL, NULL, NULL);
	prev_shmem_request = shmem_request_hook;
	shmem_request_hook = peers_request;
	prev_shmem_startup = shmem_startup_hook;
	shmem_startup_hook = peers_startup;
}

static void
need_registry(void)
{
	static bool tranche_known = false;

	if (registry == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there is no memory for tables to compare with"),
				 errhint("Set \"nr_bench.memory\".")));
	if (!tranche_known)
		LWLockRegisterTranche(registry->tranche, "NrBenchPeer");
	tranche_known = true;
}

int
nr_bench_peer_tranche(void)
{
	return registry->tranche;
}

LWLockPadded *
nr_bench_peer_locks(int n)
{
	LWLockPadded *locks = ShmemAlloc(n * sizeof(LWLockPadded));

	for (int i = 0; i < n; i++)
		LWLockInitialize(&locks[i].lock, registry->tranche);
	return locks;
}

void
nr_bench_peer_missing(void)
{
	ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("tables to compare with have no NULLs")));
}

void
nr_bench_peer_too_long(void)
{
	ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("key or value does not fit the table")));
}

/* This backend's way to table "id". */
static PeerSite *
peer_open(int id)
{
	PeerTable  *table = &registry->table[id];
	PeerSite   *site = MemoryContextAllocZero(TopMemoryContext, sizeof(PeerSite));

	site->id = id;
	site->table = table;
	if (table->kind == PEER_DYNAHASH)
		nr_bench_dynahash_open(id, table, site);
	else if (table->kind == PEER_DSHASH)
		nr_bench_dshash_open(table, site);
	return known[id] = site;
}

PeerSite *
nr_bench_peer_resolve(FunctionCallInfo fcinfo, PeerKind kind, bool text_key, bool text_value)
{
	int			id = PG_ARGISNULL(0) ? -1 : PG_GETARG_INT32(0);
	PeerTable  *table;

	need_registry();
	if (id < 0 || id >= registry->ntables)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("there is no table %d to compare with", id)));
	table = &registry->table[id];
	if (table->kind != kind || table->text_key != text_key || table->text_value != text_value)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH), errmsg("table %d is of another kind or has other types", id)));
	return fcinfo->flinfo->fn_extra = known[id] != NULL ? known[id] : peer_open(id);
}

/* (kind, text keys, most bytes of a text value or 0 for bigint, entries): its id.  One at a time. */
Datum
nr_bench_peer_make(PG_FUNCTION_ARGS)
{
	char	   *kind = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int			id;
	PeerTable  *table;

	need_registry();
	id = registry->ntables;
	if (id == PEER_TABLES_MAX)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("too many tables to compare with")));
	table = &registry->table[id];
	table->kind = strcmp(kind, "dynahash") == 0 ? PEER_DYNAHASH : strcmp(kind, "dshash") == 0 ? PEER_DSHASH : PEER_OPEN;
	table->text_key = PG_GETARG_BOOL(1);
	table->text_value = PG_GETARG_INT32(2) > 0;
	table->key_bytes = table->text_key ? sizeof(PeerText) : sizeof(int64);
	table->value_bytes = table->text_value ? PG_GETARG_INT32(2) : sizeof(int64);
	table->entries = PG_GETARG_INT32(3);
	if (table->kind == PEER_DYNAHASH)
		table->locks = nr_bench_peer_locks(PEER_PARTITIONS);
	else if (table->kind == PEER_DSHASH)
		nr_bench_dshash_make(table);
	else
		nr_bench_open_make(table);
	registry->ntables++;
	peer_open(id);
	PG_RETURN_INT32(id);
}
