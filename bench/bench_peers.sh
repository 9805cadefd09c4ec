#!/usr/bin/env bash
# bench_peers.sh [--rounds n] [--only "lookups replicas pages puts huge"] [--huge-keys "bigint text"]: what a query
# pays for a lookup or a put of nr_cache, and of what one would take instead of it in a backend: dynahash, dshash, open
# addressing under an LWLock, joins, functions with queries, jsonb and hstore.
#
#   lookups    10k and 1M keys, uniform and Zipf, values of 8 bytes to 4 kB; one replica (bench_peers.sql)
#   replicas   two and four (bench_peers_replicas.sql); NR_BENCH_REPLICAS="2 4" chooses
#   pages      4 kB and, where they can be had, 2 MB; and a fresh backend's first lookups (bench_peers_pages.sql)
#   puts       of 100k keys in one statement, filling a cache with 1M rows (bench_peers_puts.sql)
#   huge       10M keys, bigint unless --huge-keys says otherwise (bench_peers_huge.sql)
#
# Prints medians, quartiles and ratios, judges nothing, but fails where answers are wrong.  Needs up to 8 GB of memory
# for "huge", 4 GB for the others.
#
# "make bench" sources this file, having built the extension with NR_BENCH=1;
# started alone, it does that itself.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

peers_only=${NR_BENCH_PEERS:-lookups replicas pages puts huge}
huge_keys=bigint
if [ "${BASH_SOURCE[0]}" = "$0" ]; then
	while [ $# -gt 0 ]; do
		case $1 in
			--rounds) rounds=$2 && shift ;;
			--only) peers_only=$2 && shift ;;
			--huge-keys) huge_keys=$2 && shift ;;
			*) nr_die "unknown: $1" ;;
		esac
		shift
	done
	bench_build
fi

if [ -n "$smoke" ]; then
	peers_rounds=1
	sizes=(-v small=1000 -v large=4000 -v huge=8000 -v probe=1280 -v probes=4000 -v few=500 -v slow=100)
else
	peers_rounds=$rounds
	sizes=(-v small=10000 -v large=1000000 -v huge=10000000 -v probe=256000 -v probes=1000000 -v few=100000
		-v slow=20000)
fi

# peers_psql [argument...]: what follows a script
peers_psql() {
	PGOPTIONS="-c search_path=bench,public" psql -Xq -v ON_ERROR_STOP=1 "$@"
}

# peers_run SCRIPT ROUNDS [argument...]
peers_run() {
	local script=$1 n=$2
	shift 2
	psql -X -v ON_ERROR_STOP=1 "${sizes[@]}" -v rounds="$n" "$@" -f "$nr_root/bench/$script.sql" 2>&1
}

# peers_server NAME REPLICAS PEERS-MB CACHES-MB [setting...]
peers_server() {
	local name=$1 n=$2 peers=$3 caches=$4
	shift 4
	if [ -n "$smoke" ]; then
		peers=192 caches=256
		set -- "$@" "shared_buffers = '128MB'"
	fi
	bench_server "$name" "$n" "nr_bench.memory = '${peers}MB'" "nr_cache.memory = '${caches}MB'" \
		"min_dynamic_shared_memory = '$((peers / 3))MB'" "nr_cache.max_batch = '64MB'" "max_locks_per_transaction = 256" "$@"
}

# ---- pages --------------------------------------------------------------------

# What "pages" needs in all, in pages of 2 MB: caches, peers, buffers, and some.
huge_pages_wanted=1400
[ -z "$smoke" ] || huge_pages_wanted=380
huge_pages_file=/proc/sys/vm/nr_hugepages
huge_pages_before=

# Does a server start with huge pages?  Reserves them where that is allowed.
huge_pages_reserve() {
	local size free
	size=$(awk '/^Hugepagesize/ { print $2 }' /proc/meminfo)
	free=$(awk '/^HugePages_Free/ { print $2 }' /proc/meminfo)
	[ "$size" = 2048 ] || { nr_say "no huge pages of 2 MB here"; return 1; }
	[ "$free" -lt $huge_pages_wanted ] || return 0
	if [ ! -w $huge_pages_file ]; then
		nr_say "no huge pages: $huge_pages_wanted are needed, $free are free, and only root may reserve them"
		return 1
	fi
	huge_pages_before=$(cat $huge_pages_file)
	exit_trap=$(trap -p EXIT | sed -E "s/^trap -- '(.*)' EXIT\$/\1/")
	# shellcheck disable=SC2064
	trap "$exit_trap; huge_pages_restore" EXIT
	echo 1 2>/dev/null >/proc/sys/vm/compact_memory
	echo $((huge_pages_before + huge_pages_wanted - free)) >$huge_pages_file
	free=$(awk '/^HugePages_Free/ { print $2 }' /proc/meminfo)
	[ "$free" -lt $huge_pages_wanted ] || return 0
	nr_say "no huge pages: $huge_pages_wanted are needed, and the system could not find more than $free"
	huge_pages_restore
	return 1
}

huge_pages_restore() {
	[ -n "$huge_pages_before" ] || return 0
	echo "$huge_pages_before" >$huge_pages_file
	huge_pages_before=
	# shellcheck disable=SC2064
	trap "$exit_trap" EXIT
}

# peers_pages "4 kB" off|on
peers_pages() {
	local pages=$1 name=pages-${2} r
	nr_say "pages of $pages"
	peers_server "$name" 1 640 640 "huge_pages = $2" "shared_buffers = '512MB'" || return
	peers_run bench_peers_pages "$peers_rounds" -v pages="$pages" || return
	for ((r = 0; r <= peers_rounds; r++)); do
		peers_psql -c "CALL fresh_round($r)" || return
	done
	peers_psql -P footer=off <<<"SELECT report_sql(s) FROM suite s WHERE suite LIKE 'fresh%' \gexec" || return
	bench_emit
	nr_cluster_stop "$name"
}

pages() {
	local status
	peers_pages "4 kB" off || return
	huge_pages_reserve || return 0
	peers_pages "2 MB" on
	status=$?
	[ $status = 0 ] || nr_stop_clusters
	huge_pages_restore
	return $status
}

# ---- the others -----------------------------------------------------------------

lookups() {
	nr_say "lookups, one replica"
	peers_server peers 1 1900 2400 "huge_pages = off" || return
	peers_run bench_peers "$peers_rounds" || return
	bench_emit
	nr_cluster_stop peers
}

replicas() {
	local n
	for n in ${NR_BENCH_REPLICAS:-2 4}; do
		[ "$n" != 1 ] || continue	# is in "lookups"
		nr_say "lookups, $n replicas"
		peers_server "peers$n" "$n" 0 800 "huge_pages = off" "min_dynamic_shared_memory = 0" || return
		peers_run bench_peers_replicas $(((peers_rounds + 1) / 2)) -v replicas="$n" || return
		bench_emit
		nr_cluster_stop "peers$n"
	done
}

puts() {
	nr_say "puts"
	peers_server puts 1 640 1200 "huge_pages = off" || return
	peers_run bench_peers_puts $(((peers_rounds + 1) / 2)) || return
	bench_emit
	nr_cluster_stop puts
}

huge() {
	nr_say "many entries"
	peers_server huge 1 2400 6000 "huge_pages = off" || return
	peers_run bench_peers_huge $(((peers_rounds + 1) / 2)) -v huge_keys="$huge_keys" || return
	bench_emit
	nr_cluster_stop huge
}

peers_status=0
[ -n "$smoke" ] || bench_facts
for part in $peers_only; do
	case $part in
		lookups | replicas | pages | puts | huge) "$part" || peers_status=1 ;;
		*) nr_die "unknown: $part" ;;
	esac
	[ $peers_status = 0 ] || break
done
[ $peers_status = 0 ]
