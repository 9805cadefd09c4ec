#!/usr/bin/env bash
# bench_sql.sh [--gate] [--rounds n] [--replicas "1 2"]: nr_get, bulk writes and
# what there is to compare them with, side by side in one private server.
#
# Prints medians, quartiles and ratios, and PASS or FAIL for each gate; fails
# for a FAIL only with --gate (or NR_BENCH_GATE=1): other people's load must not
# break a build.  Reads bench_sql.sql.
#
# "make bench" sources this file, having built the extension with NR_BENCH=1;
# started alone, it does that itself.
set -uo pipefail
declare -F nr_cluster >/dev/null || . "$(dirname "${BASH_SOURCE[0]}")/../tools/lib.sh"

gate=${NR_BENCH_GATE:-}
rounds=${NR_BENCH_ROUNDS:-10}
replicas=${NR_BENCH_REPLICAS:-1 2}
if [ "${BASH_SOURCE[0]}" = "$0" ]; then
	while [ $# -gt 0 ]; do
		case $1 in
			--gate) gate=1 ;;
			--rounds) rounds=$2 && shift ;;
			--replicas) replicas=$2 && shift ;;
			*) nr_die "unknown: $1" ;;
		esac
		shift
	done
	nr_make_work
	nr_build_dir
	nr_say "building the extension with what it is compared to"
	nr_install bench NR_BENCH=1 WERROR=1 || exit 1
fi

[ "$rounds" -ge 5 ] 2>/dev/null || nr_die "give a number of rounds, 5 at least: slow variants take part in every fifth only"

# What the numbers depend on.
machine_facts() {
	echo "processor:   $(lscpu | sed -n 's/^Model name: *//p'), $(nproc) online," \
		"L3 $(lscpu | sed -n 's/^L3 cache: *//p')"
	echo "memory:      $(awk '/^MemTotal/ { printf "%.1f GiB", $2 / 1048576 }' /proc/meminfo), huge pages:" \
		"$(awk '/^HugePages_Total/ { print $2 }' /proc/meminfo) reserved," \
		"shared memory $(sed 's/.*\[\(.*\)\].*/\1/' /sys/kernel/mm/transparent_hugepage/shmem_enabled 2>/dev/null)"
	echo "kernel:      $(uname -r); load $(cut -d' ' -f1-3 /proc/loadavg)"
	echo "PostgreSQL:  $("$nr_bin/postgres" --version | sed 's/.*) //'); $rounds rounds; one backend"
}

machine_facts
failed_gates=0
for n in $replicas; do
	nr_say "nr_cache.replicas = $n"
	nr_cluster "bench$n" "nr_cache.replicas = $n" "nr_cache.memory = '1GB'" "shared_buffers = '1GB'" \
		"huge_pages = try" "max_wal_size = '8GB'" "checkpoint_timeout = '1h'" "autovacuum = off" || exit 1
	psql -X -v replicas="$n" -v rounds="$rounds" -f "$nr_root/bench/bench_sql.sql" 2>&1 |
		tee "$nr_work/bench$n.out"
	status=${PIPESTATUS[0]}
	nr_cluster_stop "bench$n"
	[ "$status" = 0 ] || exit 1
	failed_gates=$((failed_gates + $(grep -c '^FAIL:' "$nr_work/bench$n.out" || true)))
done
[ -z "$gate" ] || [ "$failed_gates" = 0 ]
