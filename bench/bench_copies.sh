#!/usr/bin/env bash
# bench_copies.sh [--rounds n]: one copy and two, one scheme and the other, the
# three visibilities: memory, writes, reads, and two sessions at a time, in one
# private server.  What docs/CHOOSING.md has in figures.
#
# Always one replica, so that a difference is one of copies.  Needs two processors
# that nobody else uses for its second half; prints medians and ratios, judges
# nothing.  Runs bench_copies.sql, then bench_pairs.sql.
#
# "make bench" sources this file, having built the extension with NR_BENCH=1;
# started alone, it does that itself.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
	while [ $# -gt 0 ]; do
		case $1 in
			--rounds) rounds=$2 && shift ;;
			*) nr_die "unknown: $1" ;;
		esac
		shift
	done
	bench_build
fi

[ -z "$smoke" ] || rounds=1
bench_facts
bench_server copies 1 "synchronous_commit = off" || exit 1
nr_say "writes and reads of one session; fsync off, synchronous_commit off"
psql -X -v rounds="$rounds" -v scale="$scale" -f "$nr_root/bench/bench_copies.sql" 2>&1
status=$?
if [ "$status" = 0 ]; then
	nr_say "two sessions"
	psql -X -v rounds="$rounds" -f "$nr_root/bench/bench_pairs.sql" 2>&1 &
	measured=$!
	# the partner, as soon as there is what it does
	until [ "$(psql -XqAt -c "SELECT to_regprocedure('bench.partner()')")" ] || ! kill -0 "$measured" 2>/dev/null; do
		sleep 0.1
	done
	PGOPTIONS="-c search_path=bench,public" psql -Xq -c "CALL partner()" &
	wait "$measured"
	status=$?
fi
nr_cluster_stop copies
wait
[ "$status" = 0 ]
