# lib.sh: what the tests of test/numa share; they run in a guest (tools/numa-guest.sh), started by run.sh.
#
# From the environment: NR_BIN, the server's programs; NR_TEMPLATE, a tar file of
# a new cluster; NR_USER, who runs it; NR_FORBID, a program that forbids system calls;
# NR_GUEST_NODES, nodes with processors; NR_GUEST_MEMORY_ONLY, further ones without.

here=$(mktemp -d /run/nr.XXXXXX)
data=$here/data
log=$here/log
chmod 755 "$here"
export PGHOST=$here PGPORT=54321 PGUSER=postgres PGDATABASE=postgres
export PATH=$NR_BIN:$PATH
checks=0
trap finish EXIT

finish() {
	[ ! -f "$data/postmaster.pid" ] || stop
	rm -rf "$here"
	printf '1..%d\n' "$checks"
}

# is GOT WANTED NAME
is() {
	checks=$((checks + 1))
	if [ "$1" = "$2" ]; then
		printf 'ok %d - %s\n' "$checks" "$3"
	else
		printf 'not ok %d - %s\n#      got: %s\n# expected: %s\n' "$checks" "$3" "$1" "$2"
	fi
}

# like GOT PATTERN NAME
like() {
	checks=$((checks + 1))
	if grep -qE -- "$2" <<<"$1"; then
		printf 'ok %d - %s\n' "$checks" "$3"
	else
		printf 'not ok %d - %s\n# no match for: %s\n' "$checks" "$3" "$2"
		sed 's/^/# /' <<<"$1" | tail -15
	fi
}

# at_least GOT LEAST NAME
at_least() {
	is "$([ -n "$1" ] && [ "$1" -ge "$2" ] && echo "at least $2" || echo "$1")" "at least $2" "$3"
}

as_user() {
	setpriv --reuid="$NR_USER" --regid="$(id -g "$NR_USER")" --clear-groups "$@"
}

# cpus_of NODE: its processors, as in "0-3"
cpus_of() {
	cat "/sys/devices/system/node/node$1/cpulist"
}

# start [setting...]: a new cluster.  The array "through" is a command that starts it, such as taskset.
through=()
start() {
	local s
	mkdir "$data"
	tar -C "$data" -xf "$NR_TEMPLATE"
	{
		printf "listen_addresses = ''\nunix_socket_directories = '%s'\nport = %s\n" "$here" "$PGPORT"
		printf "fsync = off\nautovacuum = off\nshared_preload_libraries = 'nr_cache'\n"
		printf "shared_buffers = 8MB\nmax_connections = 20\nnr_cache.memory = 24MB\nnr_cache.max_caches = 8\n"
		for s in "$@"; do echo "$s"; done
	} >>"$data/postgresql.conf"
	: >"$log"
	chown -R "$NR_USER" "$here"
	chmod 700 "$data"
	as_user ${through[@]+"${through[@]}"} "$NR_BIN/pg_ctl" -D "$data" -l "$log" -w -t 300 start >/dev/null || {
		is "no start" "a start" "the server starts with: $*"
		sed 's/^/# /' "$log"
		return 1
	}
	q 'CREATE EXTENSION nr_cache'
}

stop() {
	as_user "$NR_BIN/pg_ctl" -D "$data" -m fast -w -t 300 stop >/dev/null
	rm -rf "$data"
}

q() {
	psql -XAtq -v ON_ERROR_STOP=1 -c "$1" 2>&1
}

# q_on NODE SQL: in a session that may run on that node only, before it has used a cache
q_on() {
	psql -XAtq -v ON_ERROR_STOP=1 2>&1 <<-SQL
		SELECT pg_backend_pid() AS pid \gset
		\setenv PID :pid
		\! taskset -cp $(cpus_of "$1") \$PID >/dev/null
		$2
	SQL
}

# A cache "c" of some megabytes in each replica, written from all nodes.
fill() {
	local n
	q "CREATE FOREIGN TABLE c (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate')"
	for ((n = 0; n < NR_GUEST_NODES; n++)); do
		q_on "$n" "INSERT INTO c SELECT i, repeat('x', 600) FROM generate_series($((n * 2000)), $((n * 2000 + 1999))) i;"
	done
	is "$(q "SELECT count(*), nr_check('c') FROM c")" "$((NR_GUEST_NODES * 2000))|t" \
		"$1: all nodes have written, nr_check holds"
}

# The rows of /proc/PID/numa_maps of a session that has looked at all pages, to $here/maps, and those
# of the postmaster, to $here/maps.postmaster: a process's rows count what it has touched itself.
look() {
	psql -XAtq >/dev/null 2>&1 <<-SQL
		SELECT pg_backend_pid() AS pid \gset
		\setenv PID :pid
		SELECT * FROM nr_memory, nr_replicas;
		\! cat /proc/\$PID/numa_maps >$here/maps
	SQL
	cat "/proc/$(head -1 "$data/postmaster.pid")/numa_maps" >"$here/maps.postmaster"
}

# pages POLICY NODE [FILE...]: how many pages of that node there are where the kernel has this policy
pages() {
	local policy=$1 node=N$2
	shift 2
	[ $# -gt 0 ] || set -- "$here/maps"
	awk -v policy="$policy" -v node="$node" '
		$2 == policy { for (i = 3; i <= NF; i++) if (split($i, f, "=") == 2 && f[1] == node) sum += f[2] }
		END { print sum + 0 }' "$@"
}

# placed_right NAME SETTING...: every page of every replica is on its node, whoever wrote it, in small pages
placed_right() {
	local name=$1 n o others spread=0
	shift
	start 'huge_pages = off' "$@" || return
	like "$(cat "$log")" "nr_cache: replicas: $NR_GUEST_NODES, NUMA nodes: $NR_GUEST_NODES" \
		"$name: a replica on each node that has processors"
	fill "$name"

	is "$(q "SELECT replica, node FROM nr_replicas WHERE cache = 'c'::regclass ORDER BY 1" | tr '\n' ' ')" \
		"$(for ((n = 0; n < NR_GUEST_NODES; n++)); do printf '%d|%d ' $n $n; done)" "$name: each on its own"
	is "$(q "SELECT count(*) FROM nr_replicas WHERE bytes_on_node > 1000000 AND bytes_elsewhere = 0")" \
		"$NR_GUEST_NODES" "$name: all that the cache has touched is there"
	is "$(q "SELECT count(*) FROM nr_memory m JOIN nr_replicas r USING (replica)
			WHERE m.bytes_on_node > r.bytes_on_node AND m.bytes_elsewhere = 0")" \
		"$NR_GUEST_NODES" "$name: so is all of the replica's memory"

	# what the kernel says
	look
	for ((n = 0; n < NR_GUEST_NODES; n++)); do
		at_least "$(pages "prefer:$n" "$n")" 250 "$name: the kernel has pages of replica $n on node $n"
		others=0
		for ((o = 0; o < NR_GUEST_NODES + NR_GUEST_MEMORY_ONLY; o++)); do
			[ $o = $n ] || others=$((others + $(pages "prefer:$n" "$o")))
		done
		is "$others" 0 "$name: and nowhere else"
		[ "$(pages "interleave:0-$((NR_GUEST_NODES - 1))" "$n" "$here"/maps*)" = 0 ] || spread=$((spread + 1))
	done
	at_least "$spread" 2 "$name: the control block is spread"
	# so does PostgreSQL 18, which touches all pages for that
	if [ "$(q 'SHOW server_version_num')" -ge 180000 ] && [ "$(q 'SELECT pg_numa_available()')" = t ]; then
		for ((n = 0; n < NR_GUEST_NODES; n++)); do
			at_least "$(q "SELECT sum(size) FROM pg_shmem_allocations_numa WHERE name = 'nr_cache' AND numa_node = $n")" \
				"$(q "SELECT bytes FROM nr_memory WHERE replica = $n")" "$name: node $n by pg_shmem_allocations_numa"
		done
		is "$(q "SELECT count(*) FROM nr_memory WHERE bytes_elsewhere > 0")" 0 "$name: still all of it is where it should be"
	fi
	is "$(grep -c 'WARNING\|could not' "$log")" 0 "$name: nothing to complain about"
	stop
}
