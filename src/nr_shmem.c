/*
 * nr_shmem.c
 *		Shared memory: how much, where what lies, formatting, finding it again.
 *
 * Sizes that do not fit together must not keep the server from starting: they
 * are put right with a message in the log, or the extension stays off, says why
 * in the log and says it again in each of its functions.
 */
#include "nr_internal.h"

#include "nr_numa.h"

#include <sys/mman.h>
#include <unistd.h>

#include "port/pg_bitutils.h"
#include "storage/bufmgr.h"
#include "storage/ipc.h"
#include "storage/pg_shmem.h"
#include "storage/proc.h"
#include "storage/shmem.h"

#define SHARED_MAGIC			UINT64CONST(0x6e725f7368617265)
#define SHARED_NAME				"nr_cache"
#define EXTENT_SHIFT_MIN		18	/* 256 kB: log and structure take whole extents */
#define EXTENTS_WANTED_MAX		8192	/* larger memory gets larger extents */
#define SESSION_BUFFER_BYTES	(16 * 1024)
#define HUGE_PAGE_BYTES			(2 * 1024 * 1024)
#define HUGE_PAGES_MIN			8	/* of a replica, to align to pages larger than that */
#define OTHER_SHARED_BYTES		(32 * 1024 * 1024)	/* the server's own, besides buffers: roughly */

static shmem_request_hook_type prev_shmem_request = NULL;
static shmem_startup_hook_type prev_shmem_startup = NULL;

NrEngine	nr_engine;
NrShared   *nr_shared = NULL;
LWLock	   *nr_registry_lock = NULL;
pg_atomic_uint32 *nr_latch_owner = NULL;
char	   *nr_stat_bases = NULL;

/* Made in the postmaster, inherited by every process. */
static NrGeometry geometry;
static bool preloaded = false;
static bool ready = false;
static const char *why_off = NULL;	/* a whole sentence */

/* ---- sizes ---- */

uint32
nr_extents_for_kb(int64 kb)
{
	uint64		extent_kb = (uint64) 1 << (nr_engine.geo.extent_shift - 10);

	return (uint32) Min((kb + extent_kb - 1) / extent_kb, (uint64) nr_engine.geo.extents);
}

static void
plan_geometry(NrGeometry *geo)
{
	uint64		bytes = (uint64) nr_guc_memory_mb << 20;

	memset(geo, 0, sizeof(*geo));
	geo->extent_shift = EXTENT_SHIFT_MIN;
	while (geo->extent_shift < NR_EXTENT_SHIFT_MAX &&
		   (bytes >> geo->extent_shift) > EXTENTS_WANTED_MAX)
		geo->extent_shift++;
	geo->extents = (uint32) Min(bytes >> geo->extent_shift, (uint64) 1 << 20);
	geo->replicas = nr_numa_place(nr_guc_replicas, NR_GUC_REPLICAS_MAX)->nreplicas;
	geo->sessions = nr_guc_max_sessions == 0 ?
		MaxBackends + NUM_AUXILIARY_PROCS :
		nr_guc_max_sessions + (nr_guc_workers && geo->replicas > 1 ? geo->replicas : 0);
	geo->sessions = Min(geo->sessions, NR_SESSIONS_MAX);
	geo->groups = nr_guc_max_caches;
	geo->session_buffer_bytes = SESSION_BUFFER_BYTES;
}

/* Settings that have to fit an extent or each other. */
static void
fit_settings(const NrGeometry *geo)
{
	size_t		entry_max = Min(ds_hash_entry_max(geo->extent_shift),
								nr_op_bytes_max(geo) - ds_hash_op_bytes(0, 0));
	int			log_kb_max = Min(nr_guc_memory_mb, 1 << 20) * 128;	/* an eighth */
	size_t		batch_min;

	if (nr_guc_log_size_kb > log_kb_max)
	{
		ereport(LOG,
				(errmsg("\"%s\" is lowered from %d to %d kB", "nr_cache.log_size",
						nr_guc_log_size_kb, log_kb_max),
				 errhint("The log of one cache should not take more than an eighth of \"%s\".",
						 "nr_cache.memory")));
		nr_guc_log_size_kb = log_kb_max;
	}
	if ((size_t) nr_guc_max_entry_bytes > entry_max)
	{
		ereport(LOG,
				(errmsg("\"%s\" is lowered from %d to %zu bytes", "nr_cache.max_entry",
						nr_guc_max_entry_bytes, entry_max),
				 errhint("An entry must fit an extent of %d kB; extents grow with \"%s\".",
						 1 << (geo->extent_shift - 10), "nr_cache.memory")));
		nr_guc_max_entry_bytes = (int) entry_max;
	}

	if (nr_guc_replica >= (int) geo->replicas)
	{
		ereport(LOG,
				(errmsg("\"%s\" is set to -1 instead of %d", "nr_cache.replica", nr_guc_replica),
				 errdetail("Replicas are numbered from 0 to %u.", geo->replicas - 1)));
		nr_guc_replica = -1;
	}

	batch_min = ds_hash_op_bytes(0, nr_guc_max_entry_bytes) + 1023;
	if ((size_t) nr_guc_max_batch_kb * 1024 < batch_min)
	{
		ereport(LOG,
				(errmsg("\"%s\" is raised from %d to %zu kB", "nr_cache.max_batch",
						nr_guc_max_batch_kb, batch_min / 1024),
				 errhint("A batch must have room for one entry of \"%s\".", "nr_cache.max_entry")));
		nr_guc_max_batch_kb = (int) (batch_min / 1024);
	}
}

/*
 * What blocks begin and end at: whole pages, so that they can be bound to nodes.  Huge
 * pages of a gigabyte would waste too much where a replica has few of them.
 */
static Size
block_align(const NrGeometry *geo)
{
	Size		align = Max((Size) 1 << geo->extent_shift, (Size) HUGE_PAGE_BYTES);
	Size		huge = 0;

	if (huge_pages != HUGE_PAGES_OFF)
		GetHugePageSize(&huge, NULL);
	if (huge > align && ((Size) geo->extents << geo->extent_shift) / HUGE_PAGES_MIN >= huge)
		align = huge;
	return align;
}

static Size
latch_owner_offset(const NrGeometry *geo)
{
	return MAXALIGN(offsetof(NrShared, entries) + (Size) geo->groups * sizeof(NrRegEntry));
}

static Size
stat_base_offset(const NrGeometry *geo)
{
	return MAXALIGN(latch_owner_offset(geo) + (Size) geo->sessions * sizeof(pg_atomic_uint32));
}

static Size
head_bytes(const NrGeometry *geo)
{
	return stat_base_offset(geo) + (Size) geo->groups * nr_stat_base_bytes(geo->replicas);
}

/* Everything, with room to align; 0 when the engine refuses the geometry. */
static Size
total_bytes(const NrGeometry *geo)
{
	Size		align = block_align(geo);
	Size		control = nr_engine_control_bytes(geo);
	Size		region = nr_engine_region_bytes(geo);

	if (control == 0 || region == 0)
		return 0;
	return head_bytes(geo) + align + TYPEALIGN64(align, control) +
		geo->replicas * TYPEALIGN64(align, region);
}

/*
 * Would the system give us that much?  A mapping that it refuses would keep the
 * server from starting, so try one of that size together with the shared
 * buffers and a little for everything else.
 */
static bool
memory_is_there(Size bytes)
{
	long		pages = sysconf(_SC_PHYS_PAGES);
	Size		all = TYPEALIGN64(HUGE_PAGE_BYTES, bytes + (Size) NBuffers * BLCKSZ + OTHER_SHARED_BYTES);
	int			flags = MAP_SHARED | MAP_ANONYMOUS;
	void	   *trial;

	if (pages > 0 && bytes / sysconf(_SC_PAGESIZE) >= (Size) pages)
		return false;
#ifdef MAP_HUGETLB
	if (huge_pages == HUGE_PAGES_ON)
		flags |= MAP_HUGETLB;
#endif
	trial = mmap(NULL, all, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (trial == MAP_FAILED)
		return false;
	munmap(trial, all);
	return true;
}

static void
stay_off(const char *why, const char *hint)
{
	why_off = why;
	ereport(LOG,
			(errmsg("nr_cache is off"),
			 errdetail("%s", why),
			 errhint("%s", hint)));
}

/* ---- hooks ---- */

static void
request_memory(void)
{
	Size		bytes;

	plan_geometry(&geometry);
	bytes = total_bytes(&geometry);
	if (bytes == 0)
	{
		stay_off("The sizes in the settings do not fit together.",
				 "Look at nr_cache.memory, nr_cache.max_caches and nr_cache.max_sessions.");
		return;
	}
	if (!memory_is_there(bytes))
	{
		stay_off("There is not enough memory for nr_cache.memory times the number of replicas.",
				 "Lower nr_cache.memory and restart the server.");
		return;
	}
	fit_settings(&geometry);
	RequestAddinShmemSpace(bytes);
	RequestNamedLWLockTranche(SHARED_NAME, 1);
}

static void
shmem_request(void)
{
	if (prev_shmem_request)
		prev_shmem_request();
	request_memory();
}

/* Entries, latch owners: everything but the engine.  A base of counters means nothing before its entry's stats_reset does. */
static void
format_head(NrShared *shared)
{
	shared->magic = SHARED_MAGIC;
	shared->last_generation = 0;
	pg_atomic_init_u64(&shared->swept, 0);
	pg_atomic_init_u32(&shared->sweeper, 0);
	shared->nentries = geometry.groups;
	pg_atomic_init_u64(&shared->misplaced, 0);
	for (uint32 r = 0; r < NR_GUC_REPLICAS_MAX; r++)
		pg_atomic_init_u32(&shared->worker_at[r], 0);
	for (uint32 i = 0; i < geometry.groups; i++)
		pg_atomic_init_u64(&shared->entries[i].state, 0);
	for (uint32 i = 0; i < geometry.sessions; i++)
		pg_atomic_init_u32(&nr_latch_owner[i], PG_UINT32_MAX);
}

/* Find, and format if nobody has, what lies behind the head. */
static bool
map_engine(char *base, bool format)
{
	Size		align = block_align(&geometry);
	Size		control_bytes = TYPEALIGN64(align, nr_engine_control_bytes(&geometry));
	Size		region_bytes = TYPEALIGN64(align, nr_engine_region_bytes(&geometry));
	char	   *control = (char *) TYPEALIGN64(align, base + head_bytes(&geometry));
	char	   *regions[NR_REPLICAS_MAX];

	for (uint32 i = 0; i < geometry.replicas; i++)
		regions[i] = control + control_bytes + i * region_bytes;
	if (!format)
		return nr_engine_attach(&nr_engine, &geometry, &nr_host, control, (void **) regions) == NR_OK;
	nr_numa_bind(control, control_bytes, regions, geometry.replicas, region_bytes);
	return nr_engine_init(&nr_engine, &geometry, &nr_host, control, (void **) regions) == NR_OK;
}

/* Also after a crash: the postmaster has made a new, zeroed segment then. */
static void
shmem_startup(void)
{
	NrShared   *shared;
	bool		found;

	if (prev_shmem_startup)
		prev_shmem_startup();

	ready = false;
	if (why_off != NULL)
		return;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct(SHARED_NAME, total_bytes(&geometry), &found);
	nr_latch_owner = (pg_atomic_uint32 *) ((char *) shared + latch_owner_offset(&geometry));
	nr_stat_bases = (char *) shared + stat_base_offset(&geometry);
	if (!found)
		format_head(shared);
	ready = shared->magic == SHARED_MAGIC && map_engine((char *) shared, !found);
	LWLockRelease(AddinShmemInitLock);

	if (!ready)
	{
		stay_off("The sizes in the settings were refused.",
				 "Look at nr_cache.memory, nr_cache.max_caches and nr_cache.max_sessions.");
		return;
	}
	nr_shared = shared;
	nr_registry_lock = &GetNamedLWLockTranche(SHARED_NAME)->lock;
	nr_host_name_waits();
	if (found)
		return;
	ereport(LOG,
			(errmsg("nr_cache: replicas: %u, NUMA nodes: %d, memory of each replica: %d MB, extent: %d kB",
					geometry.replicas, nr_numa_placement()->nhomes, nr_guc_memory_mb,
					1 << (geometry.extent_shift - 10)),
			 errdetail("%s", nr_numa_describe())));
	nr_placed_verify();
}

void
nr_shmem_install(void)
{
	preloaded = true;
	prev_shmem_request = shmem_request_hook;
	shmem_request_hook = shmem_request;
	prev_shmem_startup = shmem_startup_hook;
	shmem_startup_hook = shmem_startup;
}

/* ---- is it there? ---- */

bool
nr_shmem_ready(void)
{
	return ready;
}

void
nr_require_shmem(void)
{
	if (likely(ready))
		return;
	if (preloaded && why_off != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("nr_cache is off"),
				 errdetail("%s", why_off),
				 errhint("Change the settings and restart the server.")));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("nr_cache must be loaded with \"%s\"", "shared_preload_libraries"),
			 errhint("Add nr_cache to \"%s\" and restart the server.", "shared_preload_libraries")));
}
