/*
 * nr_topology.c
 *		Placing replicas on the nodes of a machine; rules in nr_topology.h.
 *
 * The choice of homes is the k-median problem: add the best home until there are
 * enough, then exchange one for another while that helps (Teitz & Bart 1968).
 * With the few nodes of a machine that ends at once.
 */
#include "nr_topology.h"

#include <string.h>

#define NEAR		10			/* a node to itself, as the firmware's tables have it */
#define UNKNOWN		255

static int
distance(const NrMachine *machine, int from, int to)
{
	int			d = machine->distance[from][to];

	if (from == to)
		return NEAR;			/* whatever the table says */
	return d == 0 ? UNKNOWN : d;
}

/* Distance from a node to the nearest of these homes. */
static int
to_nearest(const NrMachine *machine, int from, const int *homes, int n)
{
	int			best = UNKNOWN;

	for (int i = 0; i < n; i++)
	{
		int			d = distance(machine, from, homes[i]);

		if (d < best)
			best = d;
	}
	return best;
}

static int64_t
cost(const NrMachine *machine, const int *homes, int n)
{
	int64_t		sum = 0;

	for (int a = 0; a < machine->nnodes; a++)
		sum += (int64_t) machine->node[a].cpus * to_nearest(machine, a, homes, n);
	return sum;
}

/* Indexes of the nodes that are somebody's home, ascending. */
static int
find_homes(const NrMachine *machine, int *homes)
{
	bool		is_home[NR_NODES_MAX] = {false};
	int			n = 0;

	for (int a = 0; a < machine->nnodes; a++)
	{
		int			best = machine->node[a].memory ? a : -1;

		if (machine->node[a].cpus <= 0)
			continue;
		for (int b = 0; b < machine->nnodes; b++)
			if (machine->node[b].memory &&
				(best < 0 || distance(machine, a, b) < distance(machine, a, best)))
				best = b;
		if (best >= 0)
			is_home[best] = true;
	}
	for (int a = 0; a < machine->nnodes; a++)
		if (is_home[a])
			homes[n++] = a;
	return n;
}

static bool
contains(const int *list, int n, int x)
{
	for (int i = 0; i < n; i++)
		if (list[i] == x)
			return true;
	return false;
}

/* The one that makes place "at" of "chosen" best; -1: none is better than "limit". */
static int
best_for(const NrMachine *machine, const int *all, int nall, int *chosen, int n, int at, int64_t *limit)
{
	int			kept = chosen[at];
	int			best = -1;

	for (int i = 0; i < nall; i++)
	{
		int64_t		c;

		chosen[at] = kept;
		if (contains(chosen, n, all[i]))
			continue;
		chosen[at] = all[i];
		c = cost(machine, chosen, n);
		if (c < *limit)
		{
			*limit = c;
			best = all[i];
		}
	}
	chosen[at] = kept;
	return best;
}

/* Choose n of the homes, n < nall; left in place of "all", ascending. */
static void
choose_homes(const NrMachine *machine, int *all, int nall, int n)
{
	int			chosen[NR_PLACES_MAX];
	int64_t		least = INT64_MAX;
	bool		again = true;
	int			found = 0;

	for (int k = 0; k < n; k++)
	{
		chosen[k] = -1;
		least = INT64_MAX;
		for (int i = 0; i < nall; i++)
		{
			int			kept = chosen[k];
			int64_t		c;

			if (contains(chosen, k, all[i]))
				continue;
			chosen[k] = all[i];
			c = cost(machine, chosen, k + 1);
			if (c < least)
				least = c;
			else
				chosen[k] = kept;
		}
	}
	while (again)
	{
		again = false;
		for (int k = 0; k < n; k++)
		{
			int			other = best_for(machine, all, nall, chosen, n, k, &least);

			if (other < 0)
				continue;
			chosen[k] = other;
			again = true;
		}
	}
	for (int i = 0; i < nall; i++)
		if (contains(chosen, n, all[i]))
			all[found++] = all[i];
}

/* Whom each node uses; homes first, since they have no choice. */
static void
assign_nodes(const NrMachine *machine, const int *homes, int n, NrPlacement *p)
{
	int			load[NR_NODES_MAX] = {0};

	p->nnodes = machine->nnodes;
	for (int i = 0; i < n; i++)
		load[i] = machine->node[homes[i]].cpus;
	for (int a = 0; a < machine->nnodes; a++)
	{
		int			best = 0;

		for (int i = 1; i < n; i++)
		{
			int			closer = distance(machine, a, homes[best]) - distance(machine, a, homes[i]);

			if (closer > 0 || (closer == 0 && load[i] < load[best]))
				best = i;
		}
		for (int i = 0; i < n; i++)
			if (homes[i] == a)
				best = i;
		p->node[a].number = machine->node[a].number;
		p->node[a].home = best;
		if (homes[best] != a)
			load[best] += machine->node[a].cpus;
	}
}

void
nr_placement_make(const NrMachine *machine, int wanted, int max, NrPlacement *p)
{
	int			homes[NR_NODES_MAX];
	int			memories = 0;
	int			n = find_homes(machine, homes);
	int			places = wanted > 0 && wanted < max ? wanted : max;

	memset(p, 0, sizeof(*p));
	if (n > places)
	{
		choose_homes(machine, homes, n, places);
		n = places;
	}
	p->nreplicas = wanted > 0 ? places : n;
	if (n == 0)
	{
		p->nreplicas = wanted > 0 ? places : 1;
		p->nhomes = 1;
		p->home[0] = NR_NODE_NONE;
		return;
	}
	for (int a = 0; a < machine->nnodes; a++)
		memories += machine->node[a].memory;
	p->bind = memories > 1;
	p->nhomes = n;
	for (int i = 0; i < n; i++)
		p->home[i] = machine->node[homes[i]].number;
	assign_nodes(machine, homes, n, p);
}

int
nr_placement_node(const NrPlacement *p, int replica)
{
	return p->home[replica % p->nhomes];
}

int
nr_placement_replica(const NrPlacement *p, int node, unsigned nth)
{
	int			home = 0;
	unsigned	here;

	for (int a = 0; a < p->nnodes; a++)
		if (p->node[a].number == node)
			home = p->node[a].home;
	here = (unsigned) (p->nreplicas - home + p->nhomes - 1) / p->nhomes;
	return home + p->nhomes * (int) (nth % here);
}
