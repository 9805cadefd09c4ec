/*
 * nr_numa.c
 *		NUMA: nodes, binding, looking where memory lies; contract in nr_numa.h.
 *
 * A policy that mbind gives to a shared mapping belongs to the memory, not to the
 * process: it holds for whoever touches a page first (mbind(2), "shared memory
 * policy"), in System V and anonymous mappings alike.
 */
#include "postgres.h"

#include "nr_numa.h"

#include <sched.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifndef NR_NO_NUMA
#include <numa.h>
#include <numaif.h>
#endif

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/fd.h"

#define NODE_NUMBERS	1024	/* the kernel has no higher ones */
#define CHUNK_PAGES		1024	/* that are looked at in one system call */

/* Made in the postmaster, inherited by every process. */
static NrPlacement placement;
static bool bound = false;
static Size page_bytes = 0;

const NrPlacement *
nr_numa_placement(void)
{
	return &placement;
}

/* ---- the machine ---- */

#ifndef NR_NO_NUMA
static int
processors_of(int node, struct bitmask *cpus)
{
	int			n = 0;

	if (numa_node_to_cpus(node, cpus) != 0)
		return 0;
	for (unsigned i = 0; i < cpus->size; i++)
		n += numa_bitmask_isbitset(cpus, i) && numa_bitmask_isbitset(numa_all_cpus_ptr, i);
	return n;
}

/* May we have memory there?  A cpuset may forbid it, and so may the policy that the server was started with. */
static bool
memory_of(int node, struct bitmask *allowed, struct bitmask *policy)
{
	return numa_bitmask_isbitset(allowed, node) && numa_bitmask_isbitset(policy, node) &&
		numa_node_size64(node, NULL) > 0;
}

static void
read_machine(NrMachine *machine)
{
	struct bitmask *allowed = numa_get_mems_allowed();
	struct bitmask *policy = numa_get_membind();
	struct bitmask *cpus = numa_allocate_cpumask();

	for (int n = 0; n <= numa_max_node() && n < NODE_NUMBERS; n++)
	{
		NrMachineNode node = {.number = n};

		if (!numa_bitmask_isbitset(numa_nodes_ptr, n) || machine->nnodes == NR_NODES_MAX)
			continue;
		node.cpus = processors_of(n, cpus);
		node.memory = memory_of(n, allowed, policy);
		machine->node[machine->nnodes++] = node;
	}
	for (int a = 0; a < machine->nnodes; a++)
		for (int b = 0; b < machine->nnodes; b++)
			machine->distance[a][b] =
				(uint8_t) Min(numa_distance(machine->node[a].number, machine->node[b].number), 255);
	numa_free_cpumask(cpus);
	numa_bitmask_free(policy);
	numa_bitmask_free(allowed);
}
#endif

const NrPlacement *
nr_numa_place(int wanted, int max)
{
	static NrMachine machine;

	memset(&machine, 0, sizeof(machine));
#ifndef NR_NO_NUMA
	if (numa_available() >= 0)
		read_machine(&machine);
#endif
	nr_placement_make(&machine, wanted, max, &placement);
	return &placement;
}

const char *
nr_numa_describe(void)
{
	static char text[64 + NR_PLACES_MAX * 6];
	int			n;

#ifdef NR_NO_NUMA
	return "It was built without NUMA support.";
#endif
	if (placement.home[0] == NR_NODE_NONE)
		return "The system has no NUMA, or keeps the server from using it.";
	n = snprintf(text, sizeof(text), "Nodes that hold replicas:");
	for (int i = 0; i < placement.nhomes; i++)
		n += snprintf(text + n, sizeof(text) - n, "%s %d", i == 0 ? "" : ",", placement.home[i]);
	snprintf(text + n, sizeof(text) - n, ".");
	return text;
}

/* ---- where this process runs ---- */

/*
 * The kernel writes the node into each thread's rseq area (from 6.3 on, where it says that
 * the area is long enough for that); glibc 2.35 and later tells where it is.  Else ask.
 */
#if defined(__has_include)
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif
#endif

#define RSEQ_NODE_AT	20		/* offset of node_id: linux/rseq.h of today has it, older ones not */
#ifndef AT_RSEQ_FEATURE_SIZE
#define AT_RSEQ_FEATURE_SIZE 27
#endif

static const pg_atomic_uint32 *
find_rseq_node(void)
{
#ifdef RSEQ_SIG
	if (__rseq_size > 0 && getauxval(AT_RSEQ_FEATURE_SIZE) >= RSEQ_NODE_AT + sizeof(uint32))
		return (const pg_atomic_uint32 *) ((char *) __builtin_thread_pointer() + __rseq_offset + RSEQ_NODE_AT);
#endif
	return NULL;
}

/* glibc has getcpu from 2.29 on, which needs no system call; others have none. */
#ifdef __GLIBC_PREREQ
#if __GLIBC_PREREQ(2, 29)
#define ask_node(node) getcpu(NULL, node)
#endif
#endif
#ifndef ask_node
#define ask_node(node) syscall(SYS_getcpu, NULL, node, NULL)
#endif

static int
current_node(void)
{
	static const pg_atomic_uint32 *rseq_node = NULL;
	static bool looked = false;
	unsigned	node;

	if (unlikely(!looked))
	{
		rseq_node = find_rseq_node();
		looked = true;
	}
	if (rseq_node != NULL)
		return (int) pg_atomic_read_u32(unconstify(pg_atomic_uint32 *, rseq_node));
	return ask_node(&node) == 0 ? (int) node : NR_NODE_NONE;
}

/* nr_placement_replica, but for the search when nothing has changed. */
int
nr_numa_replica_here(unsigned nth)
{
	static int	last_node = NR_NODE_NONE;
	static unsigned last_nth = 0;
	static int	last_replica = -1;
	int			node = placement.nhomes > 1 ? current_node() : NR_NODE_NONE;

	if (likely(node == last_node && nth == last_nth && last_replica >= 0))
		return last_replica;
	last_node = node;
	last_nth = nth;
	last_replica = nr_placement_replica(&placement, node, nth);
	return last_replica;
}

void
nr_numa_run_on(int replica)
{
#ifndef NR_NO_NUMA
	struct bitmask *allowed;
	struct bitmask *wanted;
	struct bitmask *cpus;

	if (placement.nhomes == 1)
		return;
	allowed = numa_allocate_cpumask();
	wanted = numa_allocate_cpumask();
	cpus = numa_allocate_cpumask();
	if (numa_sched_getaffinity(0, allowed) >= 0)
	{
		for (int a = 0; a < placement.nnodes; a++)
		{
			if (placement.node[a].home != replica % placement.nhomes ||
				numa_node_to_cpus(placement.node[a].number, cpus) != 0)
				continue;
			for (unsigned i = 0; i < cpus->size; i++)
				if (numa_bitmask_isbitset(cpus, i) && numa_bitmask_isbitset(allowed, i))
					numa_bitmask_setbit(wanted, i);
		}
		if (numa_bitmask_weight(wanted) > 0 && numa_sched_setaffinity(0, wanted) != 0)
			ereport(LOG, (errmsg("could not let a worker of nr_cache run on its NUMA node: %m")));
	}
	numa_free_cpumask(cpus);
	numa_free_cpumask(wanted);
	numa_free_cpumask(allowed);
#endif
}

/* ---- pages ---- */

/* Of the mapping that holds this address, as the kernel says; without that small ones. */
static Size
page_bytes_at(const char *address)
{
	FILE	   *file = AllocateFile("/proc/self/smaps", "r");
	char		line[512];
	bool		here = false;
	unsigned long kb = 0;

	while (file != NULL && kb == 0 && fgets(line, sizeof(line), file) != NULL)
	{
		unsigned long from,
					to;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = (uintptr_t) address >= from && (uintptr_t) address < to;
		else if (here && sscanf(line, "KernelPageSize: %lu kB", &kb) != 1)
			kb = 0;
	}
	if (file != NULL)
		FreeFile(file);
	return kb > 0 ? (Size) kb * 1024 : (Size) sysconf(_SC_PAGESIZE);
}

#ifndef NR_NO_NUMA

#define MASK_WORDS	(NODE_NUMBERS / (8 * sizeof(unsigned long)))

static inline void
mask_add(unsigned long *mask, int node)
{
	mask[node / (8 * sizeof(*mask))] |= 1UL << (node % (8 * sizeof(*mask)));
}

/* One bit more: the kernel takes one off. */
static bool
set_policy(char *start, Size bytes, int policy, const unsigned long *mask)
{
	return mbind(start, bytes, policy, mask, NODE_NUMBERS + 1, 0) == 0;
}

static bool
bind_all(char *control, Size control_bytes, char *const *regions, int nregions, Size region_bytes)
{
	unsigned long all[MASK_WORDS] = {0};

	for (int i = 0; i < placement.nhomes; i++)
		mask_add(all, placement.home[i]);
	if (!set_policy(control, control_bytes, MPOL_INTERLEAVE, all))
		return false;
	for (int r = 0; r < nregions; r++)
	{
		unsigned long mask[MASK_WORDS] = {0};

		mask_add(mask, nr_placement_node(&placement, r));
		if (!set_policy(regions[r], region_bytes, MPOL_PREFERRED, mask))
			return false;
	}
	return true;
}

/* Free huge pages of that node; -1: the system does not tell. */
static long
free_huge_pages(int node)
{
	char		path[MAXPGPATH];
	FILE	   *file;
	long		n = -1;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/hugepages/hugepages-%zukB/free_hugepages",
			 node, page_bytes / 1024);
	file = AllocateFile(path, "r");
	if (file == NULL)
		return -1;
	if (fscanf(file, "%ld", &n) != 1)
		n = -1;
	FreeFile(file);
	return n;
}

/*
 * The server has got enough huge pages in all, but each node has a pool of its
 * own.  Where that is too small, the kernel will take pages of another node.
 */
static void
check_huge_pages(int nregions, Size region_bytes)
{
	for (int i = 0; i < placement.nhomes && i < nregions; i++)
	{
		int			here = (nregions - i + placement.nhomes - 1) / placement.nhomes;
		long		wanted = (long) (here * (region_bytes / page_bytes));
		long		have = free_huge_pages(placement.home[i]);

		if (have >= 0 && have < wanted)
			ereport(WARNING,
					(errmsg("NUMA node %d has not enough free huge pages for its replicas of nr_cache",
							placement.home[i]),
					 errdetail("It has %ld, and %ld of %zu kB are wanted.", have, wanted, page_bytes / 1024),
					 errhint("Reserve huge pages on each node before the server starts: "
							 "/sys/devices/system/node/node%d/hugepages/hugepages-%zukB/nr_hugepages.",
							 placement.home[i], page_bytes / 1024)));
	}
}
#endif

void
nr_numa_bind(char *control, Size control_bytes, char *const *regions, int nregions, Size region_bytes)
{
	bound = false;
	page_bytes = page_bytes_at(regions[0]);
#ifndef NR_NO_NUMA
	if (!placement.bind)
		return;
	bound = bind_all(control, control_bytes, regions, nregions, region_bytes);
	if (!bound)
	{
		bool		size = errno == EINVAL && !nr_numa_small_pages();

		ereport(LOG,
				(errmsg("could not bind memory of nr_cache to NUMA nodes: %m"),
				 size ? errhint("Huge pages of this size are too large: a replica should have at least eight of them.") :
				 errhint("Containers often forbid it: let the server use the system calls mbind and move_pages.")));
		return;
	}
	if (!nr_numa_small_pages())
		check_huge_pages(nregions, region_bytes);
#endif
}

/* ---- looking ---- */

bool
nr_numa_small_pages(void)
{
	return page_bytes == (Size) sysconf(_SC_PAGESIZE);
}

#ifndef NR_NO_NUMA

/*
 * Look at some pages.  The kernel tells where a page is only to a process that has it in
 * its page table: so read from it first, but not from one that nobody has
 * touched, which would make one.
 */
static bool
count_chunk(char *start, const char *end, Size step, int node, bool small, NrNumaCount *count)
{
	int			n = (int) ((end - start + step - 1) / step);
	unsigned char there[CHUNK_PAGES];
	void	   *page[CHUNK_PAGES];
	int			status[CHUNK_PAGES];
	int			npages = 0;

	if (small && mincore(start, end - start, there) != 0)
		return false;
	for (int i = 0; i < n; i++)
	{
		if (small && !(there[i] & 1))
			continue;
		page[npages] = start + i * step;
		(void) pg_atomic_read_u32((pg_atomic_uint32 *) page[npages]);
		npages++;
	}
	if (npages == 0)
		return true;
	if (move_pages(0, npages, page, NULL, status, 0) != 0)
		return false;
	for (int i = 0; i < npages; i++)
	{
		Size		bytes = Min(step, (Size) (end - (char *) page[i]));

		if (status[i] == node)
			count->on_node += bytes;
		else if (status[i] >= 0)
		{
			count->elsewhere += bytes;
			count->other_node = status[i];
		}
	}
	return true;
}
#endif

bool
nr_numa_count(char *start, Size bytes, int node, NrNumaCount *count)
{
#ifndef NR_NO_NUMA
	bool		small = nr_numa_small_pages();
	Size		step = Min(page_bytes, (uintptr_t) start & -(uintptr_t) start);	/* it may begin within a large page */
	char	   *end = start + bytes;

	if (node == NR_NODE_NONE)
		return false;
	for (; start < end; start += Min(CHUNK_PAGES * step, (Size) (end - start)))
	{
		CHECK_FOR_INTERRUPTS();
		if (!count_chunk(start, start + Min(CHUNK_PAGES * step, (Size) (end - start)), step, node, small, count))
			return false;
	}
	return true;
#else
	return false;
#endif
}

void
nr_numa_warn(pg_atomic_uint64 *said, int replica, const NrNumaCount *count)
{
	uint64		bit = UINT64CONST(1) << replica;

	if (!bound || count->elsewhere == 0 || (pg_atomic_fetch_or_u64(said, bit) & bit) != 0)
		return;
	ereport(WARNING,
			(errmsg("memory of replica %d of nr_cache is not on its NUMA node", replica),
			 errdetail("Of %zu kB that were looked at, %zu kB are not on node %d but on others, node %d for one.",
					   (Size) (count->on_node + count->elsewhere) / 1024, (Size) count->elsewhere / 1024,
					   nr_placement_node(&placement, replica), count->other_node),
			 errhint("That node had no free memory, or no free huge pages. "
					 "Make room there and restart the server, or lower \"%s\".", "nr_cache.memory")));
}
