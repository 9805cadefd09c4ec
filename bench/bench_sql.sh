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
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

gate=${NR_BENCH_GATE:-}
replicas=${NR_BENCH_REPLICAS:-1} # "make bench" has bench_peers.sh for more
if [ "${BASH_SOURCE[0]}" = "$0" ]; then
	replicas=${NR_BENCH_REPLICAS:-1 2}
	while [ $# -gt 0 ]; do
		case $1 in
			--gate) gate=1 ;;
			--rounds) rounds=$2 && shift ;;
			--replicas) replicas=$2 && shift ;;
			*) nr_die "unknown: $1" ;;
		esac
		shift
	done
	bench_build
fi

bench_facts
failed_gates=0
for n in $replicas; do
	nr_say "nr_cache.replicas = $n"
	bench_server "bench$n" "$n" || exit 1
	psql -X -v replicas="$n" -v rounds="$rounds" -v scale="$scale" -f "$nr_root/bench/bench_sql.sql" 2>&1 |
		tee "$nr_work/bench$n.out"
	status=${PIPESTATUS[0]}
	nr_cluster_stop "bench$n"
	[ "$status" = 0 ] || exit 1
	failed_gates=$((failed_gates + $(grep -c '^FAIL:' "$nr_work/bench$n.out" || true)))
done
[ -z "$gate" ] || [ "$failed_gates" = 0 ]
