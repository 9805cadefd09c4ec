# A cache of scheme left_right has one replica, which is interleaved over the nodes.
. ./lib.sh

start 'huge_pages = off' || exit
q "CREATE FOREIGN TABLE c (k int, v text) SERVER nr_cache OPTIONS (scheme 'left_right', visibility 'immediate')"
for ((n = 0; n < NR_GUEST_NODES; n++)); do
	q_on $n "INSERT INTO c SELECT i, repeat('x', 600) FROM generate_series($((n * 2000)), $((n * 2000 + 1999))) i;"
done
is "$(q "SELECT count(*), nr_check('c') FROM c")" "$((NR_GUEST_NODES * 2000))|t" "all nodes have written, nr_check holds"
for ((n = 0; n < NR_GUEST_NODES; n++)); do
	is "$(q_on $n "SELECT count(nr_get('c', i, NULL::text)) FROM generate_series(1, 1000) i;")" 1000 "a process on node $n reads it"
done
is "$(q 'SELECT replica, node IS NULL, bytes_on_node > 1000000, bytes_elsewhere FROM nr_replicas')" '0|t|t|0' \
	"one replica, on no node in particular, and all of it where it should be"
look
for ((n = 0; n < NR_GUEST_NODES; n++)); do
	at_least "$(pages "prefer:$n" "$n")" $((250 / NR_GUEST_NODES)) "some of it is on node $n"
done
is "$(q 'SELECT sum(bytes_elsewhere) FROM nr_memory')" 0 "each region is on its node"
stop
