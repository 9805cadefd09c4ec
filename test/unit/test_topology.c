/*
 * test_topology.c
 *		Placing replicas on machines that we do not have: rules in nr_topology.h.
 */
#include "nr_topology.h"
#include "tap.h"

#include <stdlib.h>
#include <string.h>

static NrMachine machine;
static NrPlacement placed;

static void
machine_begin(void)
{
	memset(&machine, 0, sizeof(machine));
}

static void
add_node(int number, int cpus, bool memory)
{
	machine.node[machine.nnodes++] = (NrMachineNode) {
		.number = number, .cpus = cpus, .memory = memory
	};
}

/* Both ways; by index. */
static void
set_distance(int a, int b, int d)
{
	machine.distance[a][b] = machine.distance[b][a] = (uint8_t) d;
}

static void
all_distances(int d)
{
	for (int a = 0; a < machine.nnodes; a++)
		for (int b = 0; b < machine.nnodes; b++)
			machine.distance[a][b] = (uint8_t) (a == b ? 10 : d);
}

/* n equal nodes, all as far from one another. */
static void
even_machine(int n, int cpus)
{
	machine_begin();
	for (int i = 0; i < n; i++)
		add_node(i, cpus, true);
	all_distances(20);
}

/* Replicas lie on these nodes, in this order. */
static void
lie_on(const char *what, int n, const int *nodes)
{
	bool		ok = placed.nreplicas == n;

	for (int i = 0; ok && i < n; i++)
		ok = nr_placement_node(&placed, i) == nodes[i];
	tap_ok(ok, "%s", what);
	for (int i = 0; !ok && i < placed.nreplicas; i++)
		tap_note("replica %d is on node %d", i, nr_placement_node(&placed, i));
}

#define LIE_ON(what, ...) \
	lie_on(what, sizeof((int[]) {__VA_ARGS__}) / sizeof(int), (int[]) {__VA_ARGS__})

static void
uses(int node, int replica)
{
	int			got = nr_placement_replica(&placed, node, 0);

	tap_ok(got == replica, "  a process on node %d uses replica %d", node, got);
}

static void
test_plain_machines(void)
{
	machine_begin();
	nr_placement_make(&machine, 0, 16, &placed);
	LIE_ON("no NUMA: one replica, anywhere", NR_NODE_NONE);
	tap_ok(!placed.bind, "  and nothing is bound");
	uses(0, 0);
	nr_placement_make(&machine, 3, 16, &placed);
	LIE_ON("no NUMA, three wanted", NR_NODE_NONE, NR_NODE_NONE, NR_NODE_NONE);
	tap_ok(nr_placement_replica(&placed, 0, 1) == 1 && nr_placement_replica(&placed, NR_NODE_NONE, 5) == 2,
		   "  processes are spread over them");

	even_machine(1, 8);
	nr_placement_make(&machine, 0, 16, &placed);
	LIE_ON("one node: one replica", 0);
	tap_ok(!placed.bind, "  and nothing is bound");

	even_machine(4, 8);
	nr_placement_make(&machine, 0, 16, &placed);
	LIE_ON("four nodes: one replica on each", 0, 1, 2, 3);
	tap_ok(placed.bind, "  bound");
	uses(2, 2);
	uses(99, 0);
	uses(NR_NODE_NONE, 0);

	nr_placement_make(&machine, 6, 16, &placed);
	LIE_ON("more replicas than nodes", 0, 1, 2, 3, 0, 1);
	tap_ok(nr_placement_replica(&placed, 1, 0) == 1 && nr_placement_replica(&placed, 1, 1) == 5 &&
		   nr_placement_replica(&placed, 1, 2) == 1 && nr_placement_replica(&placed, 3, 1) == 3,
		   "  those of one node share its processes");
}

static void
test_gaps(void)
{
	/* two sockets, and the memory of accelerators with numbers far up */
	machine_begin();
	add_node(0, 16, true);
	add_node(8, 16, true);
	add_node(252, 0, true);
	add_node(255, 0, true);
	all_distances(80);
	set_distance(0, 1, 40);
	nr_placement_make(&machine, 0, 16, &placed);
	LIE_ON("sparse numbers, memory-only nodes", 0, 8);
	uses(8, 1);

	/* no processor of ours has memory of its own */
	machine_begin();
	add_node(0, 4, false);
	add_node(1, 4, false);
	add_node(2, 0, true);
	add_node(3, 0, true);
	all_distances(30);
	set_distance(0, 2, 15);
	set_distance(1, 3, 15);
	nr_placement_make(&machine, 0, 16, &placed);
	LIE_ON("processors here, memory there", 2, 3);
	uses(0, 0);
	uses(1, 1);

	/* a cpuset: processors of node 0, memory of node 1 */
	machine_begin();
	add_node(0, 4, false);
	add_node(1, 0, true);
	all_distances(20);
	nr_placement_make(&machine, 0, 16, &placed);
	LIE_ON("a cpuset with memory elsewhere", 1);
	tap_ok(!placed.bind, "  which is the only memory there is");
	uses(0, 0);

	/* CPU-only node beside two complete ones */
	even_machine(2, 8);
	add_node(2, 8, false);
	all_distances(30);
	set_distance(2, 1, 12);
	nr_placement_make(&machine, 0, 16, &placed);
	LIE_ON("a node without memory uses its neighbour's", 0, 1);
	uses(2, 1);

	/* node 1 belongs to others, but its processes may be let in one day */
	machine_begin();
	add_node(0, 8, true);
	add_node(1, 0, true);
	add_node(2, 8, true);
	all_distances(20);
	set_distance(1, 2, 12);
	nr_placement_make(&machine, 0, 16, &placed);
	LIE_ON("no replica where we have no processors", 0, 2);
	uses(1, 1);

	machine_begin();
	add_node(0, 8, false);
	nr_placement_make(&machine, 0, 16, &placed);
	LIE_ON("nonsense (no memory at all) is no NUMA", NR_NODE_NONE);
}

/* Sockets of "each" nodes: near within, far between. */
static void
socket_machine(int sockets, int each)
{
	even_machine(sockets * each, 8);
	for (int a = 0; a < machine.nnodes; a++)
		for (int b = 0; b < a; b++)
			set_distance(a, b, a / each == b / each ? 12 : 32);
}

static void
test_sharing(void)
{
	even_machine(4, 8);
	nr_placement_make(&machine, 2, 16, &placed);
	LIE_ON("two replicas on four nodes, all equally far", 0, 1);
	tap_ok(nr_placement_replica(&placed, 2, 0) != nr_placement_replica(&placed, 3, 0),
		   "  the other two are divided among them");

	socket_machine(2, 2);
	nr_placement_make(&machine, 2, 16, &placed);
	LIE_ON("two sockets of two nodes: one replica on each socket", 0, 2);
	uses(1, 0);
	uses(3, 1);

	socket_machine(4, 4);
	nr_placement_make(&machine, 4, 16, &placed);
	LIE_ON("four sockets of four nodes", 0, 4, 8, 12);
	uses(7, 1);
	uses(15, 3);

	/* a ring of eight, in which distance grows with each step */
	even_machine(8, 8);
	for (int a = 0; a < 8; a++)
		for (int b = 0; b < a; b++)
			set_distance(a, b, 10 + 10 * (a - b < 5 ? a - b : 8 - (a - b)));
	nr_placement_make(&machine, 2, 16, &placed);
	tap_ok(placed.home[1] - placed.home[0] >= 3 && placed.home[1] - placed.home[0] <= 5, "a ring: far from each other");

	/* most of our processors are on node 3 */
	even_machine(4, 1);
	machine.node[3].cpus = 30;
	nr_placement_make(&machine, 1, 16, &placed);
	LIE_ON("one replica goes where the processors are", 3);

	even_machine(24, 4);
	nr_placement_make(&machine, 0, 16, &placed);
	tap_ok(placed.nreplicas == 16, "no more than the most that there may be");

	even_machine(4, 8);
	memset(machine.distance, 0, sizeof(machine.distance));
	nr_placement_make(&machine, 2, 16, &placed);
	LIE_ON("distances that nobody knows", 0, 1);
	uses(1, 1);
}

static int
far(int a, int b)
{
	return a == b ? 10 : machine.distance[a][b] == 0 ? 255 : machine.distance[a][b];
}

static int
index_of(int number)
{
	for (int a = 0; a < machine.nnodes; a++)
		if (machine.node[a].number == number)
			return a;
	return -1;
}

static long
total(const int *homes, int n)
{
	long		sum = 0;

	for (int a = 0; a < machine.nnodes; a++)
	{
		int			best = 255;

		for (int i = 0; i < n; i++)
			best = far(a, homes[i]) < best ? far(a, homes[i]) : best;
		sum += (long) best * machine.node[a].cpus;
	}
	return sum;
}

/* What must hold on any machine; NULL, or what does not. */
static const char *
wrong_with(int wanted, int max)
{
	int			homes[NR_PLACES_MAX];
	int			n = placed.nhomes;

	if (placed.nreplicas < 1 || placed.nreplicas > max || (wanted > 0 && placed.nreplicas != wanted))
		return "number of replicas";
	if (placed.home[0] == NR_NODE_NONE)
		return n == 1 ? NULL : "no home";
	for (int i = 0; i < n; i++)
	{
		homes[i] = index_of(placed.home[i]);
		if (homes[i] < 0 || !machine.node[homes[i]].memory || (i > 0 && homes[i] <= homes[i - 1]))
			return "homes have memory and ascend";
	}
	for (int a = 0; a < machine.nnodes; a++)
	{
		bool		seen[NR_PLACES_MAX] = {false};
		int			mine = 0;

		for (int nth = 0; nth < 2 * placed.nreplicas; nth++)
		{
			int			r = nr_placement_replica(&placed, machine.node[a].number, nth);

			if (r < 0 || r >= placed.nreplicas)
				return "a replica that there is not";
			seen[r] = true;
			mine = index_of(nr_placement_node(&placed, r));
			if (nr_placement_replica(&placed, placed.home[r % n], nth) % n != r % n)
				return "a home uses another's replica";
		}
		for (int r = 0; r < placed.nreplicas; r++)
			if (seen[r] != (index_of(nr_placement_node(&placed, r)) == mine))
				return "all replicas of one home are used, and no other";
		for (int i = 0; i < n; i++)
			if (far(a, homes[i]) < far(a, mine))
				return "another replica is nearer";
	}
	for (int i = 0; i < n && placed.nreplicas == n; i++)
	{
		int			kept = homes[i];
		long		best = total(homes, n);

		for (int b = 0; b < machine.nnodes; b++)
		{
			bool		taken = !machine.node[b].memory || machine.node[b].cpus == 0;

			for (int k = 0; k < n; k++)
				taken |= placed.home[k] == machine.node[b].number;
			homes[i] = b;
			if (!taken && total(homes, n) < best)
				return "exchanging a home helps";
		}
		homes[i] = kept;
	}
	return NULL;
}

static void
test_random(void)
{
	srand(6);
	for (int round = 0; round < 3000; round++)
	{
		int			n = rand() % 12;
		int			number = 0;
		int			max = 1 + rand() % NR_PLACES_MAX;
		int			wanted = rand() % 2 == 0 ? 0 : 1 + rand() % max;
		const char *why;

		machine_begin();
		for (int i = 0; i < n; i++)
		{
			number += rand() % 3 == 0 ? 1 + rand() % 50 : 1;
			add_node(number, rand() % 4 == 0 ? 0 : rand() % 64, rand() % 4 != 0);
		}
		for (int a = 0; a < n; a++)
			for (int b = 0; b < n; b++)
				machine.distance[a][b] = rand() % 20 == 0 ? 0 : (uint8_t) (10 + rand() % 4 * 10);
		nr_placement_make(&machine, wanted, max, &placed);
		why = wrong_with(wanted, max);
		if (why != NULL)
		{
			tap_ok(false, "random machine %d: %s", round, why);
			return;
		}
	}
	tap_ok(true, "3000 random machines");
}

/* Dozens of nodes, more than there may be replicas. */
static void
test_many_nodes(void)
{
	const char *why = NULL;

	for (int max = 1; max <= NR_PLACES_MAX && why == NULL; max *= 4)
	{
		machine_begin();
		for (int a = 0; a < NR_NODES_MAX; a++)
			add_node(3 * a, 1 + rand() % 8, true);
		for (int a = 0; a < NR_NODES_MAX; a++)
			for (int b = 0; b < a; b++)
				set_distance(a, b, 12 + rand() % 10);
		nr_placement_make(&machine, 0, max, &placed);
		why = placed.nreplicas != max ? "number of replicas" : wrong_with(0, max);
	}
	tap_ok(why == NULL, "%d nodes%s%s", NR_NODES_MAX, why == NULL ? "" : ": ", why == NULL ? "" : why);
}

int
main(void)
{
	test_plain_machines();
	test_gaps();
	test_sharing();
	test_random();
	test_many_nodes();
	return tap_done();
}
