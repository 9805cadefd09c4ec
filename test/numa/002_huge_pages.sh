# Huge pages: each node has a pool of its own; an empty one is a warning, never SIGBUS.
. ./lib.sh

# pool NODE PAGES
pool() {
	local file=/sys/devices/system/node/node$1/hugepages/hugepages-2048kB/nr_hugepages
	echo "$2" >"$file"
	[ "$(cat "$file")" = "$2" ] || printf '# node %d: %d huge pages, %d wanted\n' "$1" "$(cat "$file")" "$2"
}

for ((n = 0; n < NR_GUEST_NODES; n++)); do pool $n 32; done
start 'huge_pages = on' 'shared_buffers = 4MB' || exit
fill 'huge pages'
is "$(q "SELECT count(*) FROM nr_replicas WHERE bytes_on_node > 1000000 AND bytes_elsewhere = 0")" \
	"$NR_GUEST_NODES" "huge pages: all that the cache has touched is on its node"
is "$(q "SELECT count(*) FROM nr_memory WHERE bytes_on_node > 1000000 AND bytes_elsewhere = 0")" \
	"$NR_GUEST_NODES" "huge pages: so is all of the replica's memory"
look
for ((n = 0; n < NR_GUEST_NODES; n++)); do
	at_least "$(pages "prefer:$n" "$n")" 2 "huge pages: the kernel has pages of replica $n on node $n"
	others=0
	for ((o = 0; o < NR_GUEST_NODES; o++)); do
		[ $o = $n ] || others=$((others + $(pages "prefer:$n" "$o")))
	done
	is "$others" 0 "huge pages: and nowhere else"
done
is "$(grep -c 'prefer:.* huge .*kernelpagesize_kB=2048' "$here/maps")" "$NR_GUEST_NODES" "huge pages they are"
is "$(grep -c 'WARNING' "$log")" 0 "huge pages: nothing to complain about"
stop

# The last node has none; together there are enough.
last=$((NR_GUEST_NODES - 1))
pool $last 0
pool 0 $((32 + 20 * NR_GUEST_NODES))
start 'huge_pages = on' 'shared_buffers = 4MB' || exit
like "$(cat "$log")" "WARNING:  NUMA node $last has not enough free huge pages" "an empty pool: a warning that says so"
like "$(cat "$log")" "WARNING:  memory of replica $last of nr_cache is not on its NUMA node" "an empty pool: what came of it"
fill 'an empty pool'
is "$(q "SELECT bytes_on_node = 0, bytes_elsewhere > 1000000 FROM nr_replicas WHERE replica = $last")" "t|t" \
	"an empty pool: the memory is elsewhere, and the view says so"
is "$(q "SELECT count(*) FROM nr_replicas WHERE replica < $last AND bytes_elsewhere = 0")" "$last" \
	"an empty pool: the others are where they should be"
is "$(grep -c 'WARNING:  memory of replica' "$log")" 1 "an empty pool: it is said once"

# While the server runs, pools are made as small as the kernel lets them: what is promised to the server stays.
echo 0 >/proc/sys/vm/nr_hugepages
is "$(awk '/^HugePages_Free/ { free = $2 } /^HugePages_Rsvd/ { rsvd = $2 } END { print (free == rsvd), (rsvd > 8) }' /proc/meminfo)" "1 1" \
	"smaller pools: what is left is what the server has yet to use"
like "$(q "INSERT INTO c SELECT i, repeat('x', 600) FROM generate_series(100000, 160000) i")" 'ERROR:  (no memory is left for cache|cache "c" is full)' \
	"smaller pools: all memory is used up"
is "$(q "SELECT count(*) > 20000, nr_check('c') FROM c")" 't|t' "smaller pools: and all of it is there"
is "$(grep -cE 'signal|PANIC' "$log")" 0 "smaller pools: nobody was killed"
stop
for ((n = 0; n < NR_GUEST_NODES; n++)); do pool $n 0; done
