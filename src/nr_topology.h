/*
 * nr_topology.h
 *		Which NUMA node each replica lies on, and which replica each node uses.
 *
 * Plain C without PostgreSQL or libnuma: a machine is described by numbers, so
 * that any machine can be tried on any machine (test/unit/test_topology.c).
 * Who reads the real one is nr_numa.c.
 *
 * THE RULES
 *	 - A replica lies where processes run: the home of a node that has processors
 *	   is the node itself when it has memory, else the nearest node with memory.
 *	   Nodes that are nobody's home hold no replica (memory-only nodes).
 *	 - "auto" is a replica on each home.
 *	 - Fewer replicas than homes: the homes are chosen for which the distances of
 *	   all processors to the nearest of them add up to least.
 *	 - More: replica i lies on home i modulo the number of homes.  That is for tests.
 *	 - A node uses the nearest replica; of several that are equally near the one
 *	   with the fewest processors so far.  That goes for all nodes, also for
 *	   those whose processors we may not use now: processes can be let in later.
 *	 - Where there is nothing to choose, replicas lie anywhere (NR_NODE_NONE).
 */
#ifndef NR_TOPOLOGY_H
#define NR_TOPOLOGY_H

#include <stdbool.h>
#include <stdint.h>

#define NR_NODES_MAX		128 /* nodes beyond use replica 0 */
#define NR_PLACES_MAX		64	/* replicas */
#define NR_NODE_NONE		(-1)

typedef struct NrMachineNode
{
	int			number;			/* the system's; may have gaps */
	int			cpus;			/* processors that we may use */
	bool		memory;			/* it has some that we may use */
} NrMachineNode;

typedef struct NrMachine
{
	int			nnodes;			/* 0: there is no NUMA */
	NrMachineNode node[NR_NODES_MAX];	/* numbers ascend */
	uint8_t		distance[NR_NODES_MAX][NR_NODES_MAX];	/* from processors to memory: 10 is near, 0 unknown */
} NrMachine;

typedef struct NrPlacement
{
	int			nreplicas;
	int			nhomes;			/* different nodes that hold replicas, at least 1 */
	int			home[NR_PLACES_MAX];	/* their numbers, ascending; NR_NODE_NONE: no NUMA */
	bool		bind;			/* memory could lie on several nodes */
	int			nnodes;			/* of the machine: */
	struct
	{
		int			number;
		int			home;		/* index into "home" */
	}			node[NR_NODES_MAX];
} NrPlacement;

/* Place "wanted" replicas, or, when that is 0, as many as there are homes; at most "max" (<= NR_PLACES_MAX). */
extern void nr_placement_make(const NrMachine *machine, int wanted, int max, NrPlacement *placement);

/* Number of the node that replica i lies on, or NR_NODE_NONE. */
extern int	nr_placement_node(const NrPlacement *placement, int replica);

/*
 * The replica for a process on this node (NR_NODE_NONE: unknown).  "nth" spreads
 * processes over several replicas of one node: any number that tells them apart.
 */
extern int	nr_placement_replica(const NrPlacement *placement, int node, unsigned nth);

#endif							/* NR_TOPOLOGY_H */
