/*
 * nr_numa.h
 *		NUMA: the nodes of this machine, binding memory to them, looking where it
 *		lies.  Nothing here fails: what cannot be done is said once in the server
 *		log, and the server goes on with memory wherever the kernel puts it.
 *
 * WHERE MEMORY LIES
 *	 - A replica's region (copies, its ring of the log, its requests, its readers'
 *	   lines): on the replica's node.  The kernel prefers that node and takes
 *	   another when it is full; the alternative, MPOL_BIND, would have the kernel
 *	   kill processes then, and with huge pages raise SIGBUS.  So what it did has to be
 *	   looked at: nr_numa_count.
 *	 - The control block (what all nodes write: tails, pool, tokens): interleaved
 *	   over the nodes that hold replicas.
 *	 - Registry and counters: as the rest of PostgreSQL's shared memory.
 *
 * Which replica a process uses follows from the node it runs on (nr_topology.h).
 */
#ifndef NR_NUMA_H
#define NR_NUMA_H

#include "port/atomics.h"

#include "nr_topology.h"

/* In the postmaster: read the machine and place replicas; "wanted" 0: one on each node. */
extern const NrPlacement *nr_numa_place(int wanted, int max);

/* The same again, in all its children; in a sentence, for a message's detail. */
extern const NrPlacement *nr_numa_placement(void);
extern const char *nr_numa_describe(void);

/* The replica for a process that runs where this one does; see nr_placement_replica. */
extern int	nr_numa_replica_here(unsigned nth);

/*
 * This process runs on the processors of the nodes that use this replica from now on, as far as it may.
 * Where that is not possible, it goes on where it is.
 */
extern void nr_numa_run_on(int replica);

/*
 * In the postmaster, before anybody has touched it: bind the regions and interleave the
 * control block.  All are aligned to the pages that they are made of.
 */
extern void nr_numa_bind(char *control, Size control_bytes, char *const *regions,
						 int nregions, Size region_bytes);

/* Is the memory that was given to nr_numa_bind made of the system's small pages? */
extern bool nr_numa_small_pages(void);

/* Where memory lies: bytes of pages that have been touched, and where those were found that are elsewhere. */
typedef struct NrNumaCount
{
	uint64		on_node;
	uint64		elsewhere;
	int			other_node;		/* one of those; only when elsewhere > 0 */
} NrNumaCount;

/*
 * Add the pages of a range to "count", for a replica of that node.  Small pages that nobody
 * has touched do not count and stay so.  Of huge pages the kernel does not tell: they
 * are touched.  False: the system does not say where pages are.
 */
extern bool nr_numa_count(char *start, Size bytes, int node, NrNumaCount *count);

/*
 * WARNING if memory of a replica was found elsewhere, once in the life of the shared
 * memory that "said" (a bit for each replica) is part of.  Not when nothing could be bound.
 */
extern void nr_numa_warn(pg_atomic_uint64 *said, int replica, const NrNumaCount *count);

#endif							/* NR_NUMA_H */
