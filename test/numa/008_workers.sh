# Each replica has a worker, which runs on its node and keeps the replica fresh when nobody there does anything.
. ./lib.sh

# The answer of a query as soon as it is the one that is wanted; after a minute or two whatever it is.
becomes() {
	local got i
	for ((i = 0; i < 300; i++)); do
		got=$(q "$1")
		[ "$got" != "$2" ] || break
		sleep 0.3
	done
	is "$got" "$2" "$3"
}

each=$(for ((n = 0; n < NR_GUEST_NODES; n++)); do echo "$n|$n"; done)
others=$((NR_GUEST_NODES - 1))
write="CREATE FOREIGN TABLE c (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
	INSERT INTO c SELECT i, repeat('x', 600) FROM generate_series(1, 2000) i;
	SELECT nr_put('c', 0, 'last');"

start || exit
becomes 'SELECT replica, node FROM nr_tokens WHERE worker ORDER BY 1' "$each" "each replica has a worker, and it knows where"
for ((n = 0; n < NR_GUEST_NODES; n++)); do
	is "$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' "/proc/$(q "SELECT pid FROM nr_tokens WHERE worker AND replica = $n")/status")" \
		"$(cpus_of $n)" "the worker of replica $n may run on processors of node $n only"
done

is "$(q_on 0 "$write")" t "a process on node 0 writes"
becomes "SELECT count(*) FROM nr_replicas r WHERE r.applied = (SELECT tail FROM nr_logs l WHERE l.relid = r.relid)" \
	"$NR_GUEST_NODES" "all replicas come to the end of the log"
is "$(q "SELECT count(*), sum(hits + misses), bool_and(operations_by_worker > 0 AND operations_by_own = 0) FROM nr_replicas WHERE replica > 0")" \
	"$others|0|t" "where nobody has read or written: the workers did that"
is "$(q "SELECT count(*) FROM nr_replicas WHERE bytes_on_node > 1000000 AND bytes_elsewhere = 0")" "$NR_GUEST_NODES" \
	"what the workers have written is on the replicas' nodes"
for ((n = NR_GUEST_NODES - 1; n >= 0; n--)); do
	is "$(q_on $n "SELECT nr_get('c', 0, ''), nr_get('c', 2, '') = repeat('x', 600);")" 'last|t' "a process on node $n reads it"
done
# also when they rest, which they do after half a second without work
sleep 2
is "$(q_on 0 "SELECT nr_put('c', -1, 'once more');")" t "a process on node 0 writes once more"
becomes "SELECT count(*) FROM nr_replicas WHERE lag > 0" 0 "a write wakes them"

# one that ends is replaced, after ten seconds
last=$(q "SELECT pid FROM nr_tokens WHERE worker AND replica = $others")
kill "$last"
becomes "SELECT count(*), count(*) FILTER (WHERE pid = $last) FROM nr_tokens WHERE worker" "$NR_GUEST_NODES|0" \
	"a worker that was terminated is started again"
is "$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' "/proc/$(q "SELECT pid FROM nr_tokens WHERE worker AND replica = $others")/status")" \
	"$(cpus_of $others)" "on the same node"
is "$(grep -c 'WARNING\|ERROR\|could not' "$log")" 0 "nothing to complain about"
stop

# It is the workers: without them an idle replica stays where it is.
start 'nr_cache.workers = off' || exit
is "$(q_on 0 "$write")" t "a process on node 0 writes, and there are no workers"
sleep 2
is "$(q 'SELECT replica FROM nr_replicas WHERE lag > 0 ORDER BY 1')" "$(seq 1 $others)" "the others are behind"
is "$(q_on 1 "SELECT nr_get('c', 0, '');")" last "until somebody reads there"
is "$(q 'SELECT lag FROM nr_replicas WHERE replica = 1')" 0 "who catches up"
stop
