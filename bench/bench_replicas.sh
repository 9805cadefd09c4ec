#!/usr/bin/env bash
# bench_replicas.sh [--gate] [--rounds n]: what several replicas cost on a machine that
# has one node: reads of two against one, following a process that moves, and a
# writer beside seven replicas that nobody uses, with workers and without.
#
# The servers that are compared run at the same time and are measured in turn: one,
# two, two, one.  Prints medians, quartiles and ratios within a turn, and PASS or FAIL for the
# gate (reads of 10k keys: two replicas at most 1.05 times one); fails for
# a FAIL only with --gate (or NR_BENCH_GATE=1): other people's load must not break a build.
# Three minutes.  Needs two processors.  With valgrind there, instructions are counted, too.
#
# "make bench" sources this file, having built the extension with NR_BENCH=1 and run
# bench_replica_reads; started alone, it does that itself.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

gate=${NR_BENCH_GATE:-}
if [ "${BASH_SOURCE[0]}" = "$0" ]; then
	while [ $# -gt 0 ]; do
		case $1 in
			--gate) gate=1 ;;
			--rounds) rounds=$2 && shift ;;
			*) nr_die "unknown: $1" ;;
		esac
		shift
	done
	bench_build
	make -s -f "$nr_root/tools/ctests.mk" KIND=bench MODE=bench OUT="$nr_build/c-bench" \
		"$nr_build/c-bench/bin/bench_replica_reads" || exit 1
	bench_facts
	nr_say "the engine alone"
	"$nr_build/c-bench/bin/bench_replica_reads" "$rounds" || exit 1
else
	bench_facts
fi

caches=$(echo cache_{1..6})
if [ -n "$smoke" ]; then
	rounds=1 caches=cache_1
fi

# ---- servers and sessions ------------------------------------------------------

declare -A port=()

# server NAME REPLICAS [setting...]: start one more, with what there is to measure
server() {
	local name=$1 replicas=$2
	port[$name]=$((54330 + ${#port[@]}))
	shift 2
	bench_server "$name" "$replicas" "port = ${port[$name]}" "nr_cache.memory = '32MB'" \
		"shared_buffers = '64MB'" "max_worker_processes = 16" "synchronous_commit = off" "$@" &&
		PGPORT=${port[$name]} psql -Xq -v scale="$scale" -f "$nr_root/bench/bench_replicas.sql"
}

sql() {
	PGPORT=${port[$1]} PGOPTIONS="-c search_path=bench,public" psql -XqAt -v ON_ERROR_STOP=1 -F$'\t' -c "$2"
}

# Sessions that stay: each is told what to do, and later asked what came of it.
declare -A to=() from=()

# session_open NAME SERVER [options]
session_open() {
	local in=$nr_work/$1.in out=$nr_work/$1.out r w
	mkfifo "$in" "$out" || exit 1
	PGPORT=${port[$2]} PGOPTIONS="-c search_path=bench,public -c jit=off -c max_parallel_workers_per_gather=0 ${3:-}" \
		psql -XqAt -v ON_ERROR_STOP=1 <"$in" >"$out" &
	exec {w}>"$in" {r}<"$out"
	to[$1]=$w from[$1]=$r
	rm "$in" "$out"
}

tell() {
	echo "$2" >&"${to[$1]}"
}

answer() {
	local line
	IFS= read -r -t 300 -u "${from[$1]}" line || nr_die "the session $1 has ended"
	printf '%s\n' "$line"
}

session_close() {
	local w=${to[$1]} r=${from[$1]}
	tell "$1" "\\q"			# servers that were started later have the pipe open
	exec {w}>&- {r}<&-
}

# ---- reads: two replicas and one -------------------------------------------------

# reads_measure REPLICAS SESSION...: ns of processor time for a read of $cache, mean of the sessions
reads_measure() {
	local replicas=$1 i
	shift
	for i; do tell "read${replicas}_$i" "SELECT get_ns('$cache');"; done
	for i; do answer "read${replicas}_$i"; done | awk '{ ns += $1 } END { print ns / NR }'
}

# Sessions 0 and 2 use replica 0, session 1 replica 1 if there is one.  Each cache has new
# sessions: where their memory lies is another matter of luck.
reads_all() {
	local cache round sessions replicas i ns
	for cache in $caches; do
		for replicas in 1 2; do
			for i in 0 1 2; do
				session_open "read${replicas}_$i" "r$replicas" "-c nr_cache.replica=$((i % replicas))"
			done
			reads_measure "$replicas" 0 1 2 >/dev/null
		done
		for ((round = 1; round <= rounds; round++)); do
			for sessions in "0" "0 2" "0 1"; do
				ns=
				for replicas in 1 2 2 1; do
					# shellcheck disable=SC2086
					ns+=$'\t'$(reads_measure "$replicas" $sessions)
				done
				printf '%s%s\n' "$sessions" "$ns"
			done
		done
		for replicas in 1 2; do
			for i in 0 1 2; do session_close "read${replicas}_$i"; done
		done
		wait
	done
}

nr_say "reads through SQL: two servers in turn"
server r1 1 "nr_cache.workers = off" && server r2 2 "nr_cache.workers = off" || exit 1
reads_all >"$nr_work/reads.tsv"
sql r1 "CREATE TABLE reads (sessions text, one float8, two float8, two_again float8, one_again float8)"
sql r1 "\copy reads FROM '$nr_work/reads.tsv'"
PGPORT=${port[r1]} psql -X -P footer=off -v ON_ERROR_STOP=1 <<'SQL' | tee "$nr_work/reads.out" || exit 1
	\set QUIET on
	SET search_path = bench;
	CREATE VIEW judged AS
	    SELECT CASE sessions WHEN '0' THEN 'one session' WHEN '0 1' THEN 'two sessions, each its own replica'
	                         ELSE 'two sessions, the same replica' END AS who,
	           sessions <> '0 2' AS gate, count(*) AS turns,
	           percentile_cont('{0.25,0.5,0.75}'::float8[]) WITHIN GROUP (ORDER BY (two + two_again) / (one + one_again)) AS x,
	           percentile_cont(0.5) WITHIN GROUP (ORDER BY (one + one_again) / 2) AS one,
	           percentile_cont(0.5) WITHIN GROUP (ORDER BY (two + two_again) / 2) AS two
	    FROM reads GROUP BY sessions;
	SELECT who AS "nr_get, 10k keys", turns, round(one::numeric, 1) AS "ns net, one replica", round(two::numeric, 1) AS "two replicas",
	       round(x[2]::numeric, 3) AS x, format('%s to %s', round(x[1]::numeric, 3), round(x[3]::numeric, 3)) AS quartiles
	FROM judged ORDER BY who;
	\pset tuples_only on
	\pset format unaligned
	SELECT format('%s: reads of 10k keys, %s: two replicas cost %s times what one does (quartiles %s to %s); at most 1.05',
	              CASE WHEN x[2] <= 1.05 THEN 'PASS' ELSE 'FAIL' END, who, round(x[2]::numeric, 3),
	              round(x[1]::numeric, 3), round(x[3]::numeric, 3))
	FROM judged WHERE gate ORDER BY who;
SQL
failed_gates=$(grep -c '^FAIL:' "$nr_work/reads.out" || true)

# ---- following -------------------------------------------------------------------

nr_say "following: reads that ask now and then on which node they run, as on a machine with two"
PGPORT=${port[r2]} psql -X -P footer=off -v ON_ERROR_STOP=1 -v rounds="$((rounds * 4))" <<'SQL' || exit 1
	\set QUIET on
	SET search_path = bench, public;
	SET jit = off;
	SET max_parallel_workers_per_gather = 0;
	CALL ask(1 + :rounds / 4);
	CALL run('follow', :rounds);
	CREATE VIEW more AS
	    SELECT variant, asks_every, percentile_cont(0.5) WITHIN GROUP (ORDER BY ns) AS ns,
	           percentile_cont('{0.25,0.5,0.75}'::float8[]) WITHIN GROUP (ORDER BY ns - still) AS more
	    FROM cost JOIN (SELECT round, ns AS still FROM cost WHERE variant = 'does not follow') s USING (round)
	    LEFT JOIN follow ON variant = what
	    WHERE suite = 'follow' AND variant <> 'the query without the call'
	    GROUP BY variant, asks_every;
	SELECT variant AS "nr_get that ...", round(ns::numeric, 1) AS "ns net", round(more[2]::numeric, 1) AS "ns more",
	       format('%s to %s', round(more[1]::numeric, 1), round(more[3]::numeric, 1)) AS quartiles,
	       CASE asks_every WHEN 1 THEN round(more[2]::numeric / 64, 3) END AS "a 64th of it"
	FROM more ORDER BY asks_every NULLS FIRST, variant;
	SELECT coalesce(round(percentile_cont(0.5) WITHIN GROUP (ORDER BY rseq)::numeric, 2)::text, 'not there') AS "ns to ask by rseq",
	       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY getcpu)::numeric, 2) AS "by getcpu"
	FROM asked;
SQL
nr_cluster_stop r1
nr_cluster_stop r2

# ---- instructions ------------------------------------------------------------------

variants="nr_get bench.get_twin bench.get_still bench.get_rseq bench.get_getcpu"

# counted REPLICAS: instructions of a call of each variant with all that it calls, a mean; one
# process.  Each query's are in a file: of 64 calls twice, then of 1088.
counted() {
	local v n file=2 out=$nr_work/run/counted$1
	{
		echo "INSERT INTO bench.cache_1 SELECT k, v FROM bench.load"
		for v in $variants; do
			for n in 64 64 1088; do
				echo "SELECT sum($v('bench.cache_1', k, NULL::bigint)) FROM (SELECT k FROM bench.probe LIMIT $n) p"
			done
		done
		echo "SELECT 1"
	} | nr_as valgrind --tool=callgrind --callgrind-out-file="$out" --toggle-collect=nr_get_typed \
		--toggle-collect='nr_bench_*_get_typed' --dump-before=pg_parse_query \
		"$nr_bin/postgres" --single -D "$nr_work/run/r$1" postgres >"$out.log" 2>&1 ||
		{ tail -n 5 "$out.log" >&2; return 1; }
	for v in $variants; do
		file=$((file + 3))
		cat "$out.$((file - 1))" "$out.$file" | awk '/^totals:/ { n = $2 - n } END { printf "%.2f\n", n / 1024 }'
	done
}

if [ -n "$smoke" ]; then
	nr_say "instructions are not counted now"
elif command -v valgrind >/dev/null && nr_as valgrind --version >/dev/null 2>&1; then
	nr_say "instructions of nr_get, counted by callgrind, in which there is no rseq and getcpu is a system call"
	counted 1 >"$nr_work/counted1" &
	counted 2 >"$nr_work/counted2" && wait $! || exit 1
	echo "one replica, two"
	paste <(tr ' ' '\n' <<<"$variants") "$nr_work/counted1" "$nr_work/counted2"
else
	nr_say "no valgrind: instructions are not counted"
fi

# ---- a writer, and replicas that nobody uses ------------------------------------------

# wN: N replicas; wNw: with a worker for each
writers="w1 w2 w2w w8 w8w"

# One stream of puts in each server, there and back
writers_stream() {
	local round s
	for ((round = 0; round <= (rounds + 1) / 2; round++)); do
		for s in $writers $(tr ' ' '\n' <<<"$writers" | tac); do
			tell "put_$s" "SELECT put_stream(); CALL settle(); SELECT 'settled';"
			printf '%s\t%s\t%s\n' "$s" "$round" "$(answer "put_$s")"
			answer "put_$s" >/dev/null
		done
	done
}

# wake_ups: how often w8w's workers have run so far, each time that they had slept
wake_ups() {
	local pid
	for pid in $(sql w8w "SELECT pid FROM nr_tokens WHERE worker"); do
		awk '/^voluntary_ctxt_switches/ { print $2 }' "/proc/$pid/status"
	done | awk '{ n += $1 } END { print n + 0 }'
}

nr_say "put after put by one session through replica 0, nobody uses the others"
for s in $writers; do
	[[ $s = *w ]] && workers=on || workers=off
	server "$s" "${s:1:1}" "nr_cache.workers = $workers" || exit 1
	session_open "put_$s" "$s" "-c nr_cache.replica=0"
	tell "put_$s" "SELECT nr_stat_reset() IS NULL;"
	answer "put_$s" >/dev/null
done
writers_stream >"$nr_work/stream.tsv"
sql w1 "CREATE TABLE stream_result (server text, round int, n int, ns bigint, p50 int, p99 int, p999 int, p9999 int, most bigint)"
sql w1 "\copy stream_result FROM '$nr_work/stream.tsv'"
PGPORT=${port[w1]} psql -X -P footer=off -v ON_ERROR_STOP=1 <<'SQL' || exit 1
	\set QUIET on
	SET search_path = bench;
	CREATE VIEW turn AS
	    SELECT server, round, what, CASE what WHEN 'longest' THEN max(v.ns) ELSE avg(v.ns) END AS ns
	    FROM stream_result r, LATERAL (VALUES ('mean', r.ns::float8 / n), ('median', p50), ('99 %', p99), ('99.9 %', p999),
	                                          ('99.99 %', p9999), ('longest', most)) v (what, ns)
	    WHERE round > 0 GROUP BY server, round, what;
	CREATE VIEW figure AS
	    SELECT t.server, t.what, percentile_cont(0.5) WITHIN GROUP (ORDER BY t.ns) / 1000 AS us,
	           percentile_cont('{0.25,0.5,0.75}'::float8[]) WITHIN GROUP (ORDER BY t.ns / o.ns) AS x
	    FROM turn t JOIN turn o USING (round, what) WHERE o.server = 'w1' GROUP BY t.server, t.what;
	SELECT substr(server, 2, 1) AS replicas, CASE WHEN server LIKE '%w' THEN 'on' ELSE 'off' END AS workers, unit AS "a put",
	       max(shown) FILTER (WHERE what = 'mean') AS mean, max(shown) FILTER (WHERE what = 'median') AS median,
	       max(shown) FILTER (WHERE what = '99 %') AS "99 %", max(shown) FILTER (WHERE what = '99.9 %') AS "99.9 %",
	       max(shown) FILTER (WHERE what = '99.99 %') AS "99.99 %", max(shown) FILTER (WHERE what = 'longest') AS longest
	FROM figure, LATERAL (VALUES (1, 'us', round(us::numeric, 1)::text), (2, 'x', round(x[2]::numeric, 2)::text),
	                             (3, 'quartiles', format('%s to %s', round(x[1]::numeric, 2), round(x[3]::numeric, 2)))) v (i, unit, shown)
	GROUP BY server, i, unit ORDER BY i, server;
SQL
echo "operations applied to replicas that nobody uses:"
for s in ${writers#w1 }; do
	sql "$s" "SELECT format('%s replicas, workers %s: by workers %s %%, by sessions of other replicas %s %%, by own sessions %s %%',
	              current_setting('nr_cache.replicas'), current_setting('nr_cache.workers'),
	              round(100 * sum(operations_by_worker) / sum(operations_applied), 1),
	              round(100 * sum(operations_by_strangers) / sum(operations_applied), 1),
	              round(100 * sum(operations_by_own) / sum(operations_applied), 1))
	          FROM nr_replicas WHERE cache = 'stream'::regclass AND replica > 0"
done

nr_say "single puts with pauses, in all servers at the same time"
sleep 0.5
before=$(wake_ups)
sleep 2
echo "eight workers were awake $(($(wake_ups) - before)) times in two seconds in which nobody wrote"
for pause in 0.1 1; do
	n=$([ "$pause" = 1 ] && echo "$rounds" || echo $((rounds * 5)))
	before=$(wake_ups)
	for s in $writers; do
		tell "put_$s" "CALL put_lone($pause, $n); SELECT 'done';"
		sleep 0.02
	done
	for s in $writers; do answer "put_$s" >/dev/null; done
	echo "eight workers were awake $((($(wake_ups) - before) / (n + 1))) times for each write with a pause of $pause s"
done
for s in $writers; do
	sql "$s" "SELECT '$s', * FROM lone_result"
	session_close "put_$s"
done >"$nr_work/lone.tsv"
wait
sql w1 "CREATE TABLE lone_results (server text, pause float8, cpu_ns bigint, wall_ns bigint)"
sql w1 "\copy lone_results FROM '$nr_work/lone.tsv'"
PGPORT=${port[w1]} psql -X -P footer=off -v ON_ERROR_STOP=1 <<'SQL' || exit 1
	\set QUIET on
	SET search_path = bench;
	SELECT pause AS "pause, s", substr(server, 2, 1) AS replicas, CASE WHEN server LIKE '%w' THEN 'on' ELSE 'off' END AS workers,
	       count(*) AS puts, round(percentile_cont(0.5) WITHIN GROUP (ORDER BY cpu_ns)::numeric / 1000, 1) AS "us of processor time",
	       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY wall_ns)::numeric / 1000, 1) AS "us",
	       round(percentile_cont(0.9) WITHIN GROUP (ORDER BY wall_ns)::numeric / 1000, 1) AS "us, 90 %"
	FROM lone_results GROUP BY pause, server ORDER BY pause, server;
SQL
for s in $writers; do nr_cluster_stop "$s"; done

[ -z "$gate" ] || [ "$failed_gates" = 0 ]
