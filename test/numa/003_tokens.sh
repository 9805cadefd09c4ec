# A process uses the replica of the node that it runs on.
. ./lib.sh

start || exit
q "CREATE FOREIGN TABLE c (k int, v int) SERVER nr_cache OPTIONS (visibility 'immediate')"
for ((n = NR_GUEST_NODES - 1; n >= 0; n--)); do
	is "$(q_on $n "SELECT nr_put('c', $n, $n);
		SELECT t.replica, r.node FROM nr_tokens t JOIN nr_replicas r USING (replica) WHERE t.pid = pg_backend_pid();")" \
		"t"$'\n'"$n|$n" "a process on node $n has a token of replica $n"
done
is "$(q "SELECT replica, operations FROM nr_replicas ORDER BY 1" | tr '\n' ' ')" \
	"$(for ((n = 0; n < NR_GUEST_NODES; n++)); do printf '%d|1 ' $n; done)" "each replica has combined its own node's write"
for ((n = 0; n < NR_GUEST_NODES; n++)); do
	is "$(q_on $n "SELECT sum(v), nr_get('c', $n, NULL::int) FROM c;")" "$((NR_GUEST_NODES * (NR_GUEST_NODES - 1) / 2))|$n" \
		"a process on node $n sees what all have written"
done

# a process that is moved takes its token along, within a transaction and within a statement
cpu() {
	cat "/sys/devices/system/node/node$1/cpulist"
}
is "$(q_on 1 "BEGIN;
	SELECT nr_get('c', 0) \\g /dev/null
	SELECT replica FROM nr_tokens WHERE pid = pg_backend_pid();
	SELECT nr_put('c', 100, 100);
	\\! taskset -cp $(cpu 0) \$PID >/dev/null
	SELECT count(nr_get('c', i, 0)) FROM generate_series(1, 1000) i;
	SELECT replica, node, moves FROM nr_tokens WHERE pid = pg_backend_pid();
	SELECT nr_get('c', 100, 0);
	\\! taskset -cp $(cpu 1) \$PID >/dev/null
	SELECT nr_put('c', 101, 101);
	COMMIT;
	SELECT replica, node, moves, nr_get('c', 101, 0) FROM nr_tokens WHERE pid = pg_backend_pid();")" \
	$'1\nt\n1000\n0|0|1\n100\nt\n1|1|2|101' "a token follows its process"
is "$(q "SELECT nr_check('c')")" t "nr_check holds"
stop

# Fewer replicas than nodes
if [ "$NR_GUEST_NODES" -gt 2 ]; then
	start 'nr_cache.replicas = 2' || exit
	q "CREATE FOREIGN TABLE c (k int, v int) SERVER nr_cache OPTIONS (visibility 'immediate')"
	used=
	for ((n = 0; n < NR_GUEST_NODES; n++)); do
		used+=$(q_on $n "SELECT nr_put('c', $n, $n) \\g /dev/null
			SELECT replica FROM nr_tokens WHERE pid = pg_backend_pid();")
	done
	is "$used" 0101 "two replicas: the nodes without one are divided among them"
	is "$(q "SELECT replica, node, bytes_elsewhere FROM nr_replicas ORDER BY 1" | tr '\n' ' ')" "0|0|0 1|1|0 " "two replicas: where they lie"
	stop
fi

# More
start "nr_cache.replicas = $((2 * NR_GUEST_NODES))" || exit
q "CREATE FOREIGN TABLE c (k int, v int) SERVER nr_cache OPTIONS (visibility 'immediate')"
q "INSERT INTO c SELECT i, i FROM generate_series(1, 1000) i"
is "$(q "SELECT count(*), count(DISTINCT node), sum(bytes_elsewhere), nr_check('c') FROM nr_replicas")" \
	"$((2 * NR_GUEST_NODES))|$NR_GUEST_NODES|0|t" "two replicas on each node"
stop
