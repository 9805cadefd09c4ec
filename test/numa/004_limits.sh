# What the server may not use, it does not use; what it may not do is a line in the log.
. ./lib.sh

cache() {
	q "CREATE FOREIGN TABLE c (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate')"
	q "INSERT INTO c SELECT i, repeat('x', 600) FROM generate_series(1, 1000) i"
}

through=(taskset -c "$(cat /sys/devices/system/node/node1/cpulist)")
start && {
	cache
	is "$(q 'SELECT replica, node, bytes_on_node > 0, bytes_elsewhere FROM nr_replicas')" '0|1|t|0' \
		"processors of node 1 only: one replica, there"
	stop
}

through=(numactl --cpunodebind=0 --membind=1)
start && {
	cache
	is "$(q 'SELECT replica, node, bytes_on_node > 0, bytes_elsewhere FROM nr_replicas')" '0|1|t|0' \
		"processors of node 0, memory of node 1: one replica, on node 1"
	stop
}

# The policy that the server was started with is for what has none of its own.
through=(numactl --interleave=all)
start && {
	cache
	is "$(q 'SELECT sum(bytes_elsewhere) FROM nr_replicas')" 0 "numactl --interleave does not reach the replicas"
	stop
}

through=("$NR_FORBID" mbind)
start && {
	like "$(cat "$log")" 'LOG:  could not bind memory of nr_cache to NUMA nodes: Operation not permitted' \
		"mbind forbidden: a line in the log"
	cache
	is "$(q "SELECT count(*), nr_check('c') FROM c")" '1000|t' "mbind forbidden: caches work"
	is "$(q 'SELECT count(*) FROM nr_replicas')" "$NR_GUEST_NODES" "mbind forbidden: with all replicas"
	q 'SELECT * FROM nr_memory' >/dev/null
	is "$(grep -c 'could not bind' "$log") $(grep -c WARNING "$log")" '1 0' "mbind forbidden: it is said once, and no more"
	stop
}

through=("$NR_FORBID" move_pages)
start && {
	cache
	is "$(q 'SELECT count(*), count(bytes_on_node), count(bytes_elsewhere) FROM nr_replicas')" "$NR_GUEST_NODES|0|0" \
		"move_pages forbidden: NULL, since nobody knows"
	is "$(grep -c 'WARNING' "$log")" 0 "move_pages forbidden: nothing to complain about"
	look
	at_least "$(pages prefer:1 1)" 100 "move_pages forbidden: replica 1 is on node 1 all the same"
	is "$(pages prefer:1 0)" 0 "move_pages forbidden: and nowhere else"
	stop
}

# What the default profile of container runtimes forbids
through=("$NR_FORBID" get_mempolicy mbind set_mempolicy move_pages)
start && {
	like "$(cat "$log")" 'DETAIL:  The system has no NUMA, or keeps the server from using it.' "all of NUMA forbidden: a line in the log"
	cache
	is "$(q "SELECT count(*), nr_check('c') FROM c")" '1000|t' "all of NUMA forbidden: caches work"
	is "$(q 'SELECT count(*), count(node), count(bytes_on_node) FROM nr_replicas')" '1|0|0' \
		"all of NUMA forbidden: one replica on no node in particular"
	stop
}
