#!/usr/bin/env bash
# bench_clients.sh [--rounds n]: transactions of one statement, by 1 to 32 clients, 100 to 50 % of
# them reads: caches of several kinds beside a function that does nothing, an unlogged table, Redis
# and memcached, these from SQL and by clients of their own.
#
# PostgreSQL's clients are pgbench with prepared statements.  All servers are private ones, talked
# to over Unix sockets.  A round has every variant once, in an order shuffled anew, each for less than
# half a second; round 0 finds out how many transactions that are.  Prints medians and quartiles
# over rounds, ratios within a round; the servers' processor time is that of all their processes. Judges
# nothing but that no transaction failed and that at the end all values are right.
#
# "make bench" sources this file, having built the extension with NR_BENCH=1; started alone, it
# does that itself.  Redis and memcached are left out where they are not installed.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

client_rounds=${NR_BENCH_CLIENT_ROUNDS:-4}
if [ "${BASH_SOURCE[0]}" = "$0" ]; then
	while [ $# -gt 0 ]; do
		case $1 in
			--rounds) client_rounds=$2 && shift ;;
			*) nr_die "unknown: $1" ;;
		esac
		shift
	done
	bench_build
fi

few=10000 many=1000000 slice_ms=350 put_slice_ms=1000 put_rounds=$((client_rounds + 3)) first_n=1500 first_round=0
all_clients="1 2 8 32" all_reads="100 99 90 50"
if [ -n "${NR_BENCH_SMOKE:-}" ]; then
	few=200 many=2000 slice_ms=1 put_slice_ms=1 client_rounds=1 put_rounds=1 first_n=60 first_round=1
	all_clients="1 2" all_reads="100 50"
fi

# ---- the other servers -----------------------------------------------------------------

redis_socket=$nr_work/run/redis.sock memcached_socket=$nr_work/run/memcached.sock
redis_pid='' memcached_pid=''

# await NAME: until a server that was started is there; prints its process id
await() {
	local i
	for ((i = 0; i < 200; i++)); do
		if [ -S "$nr_work/run/$1.sock" ] && [ -s "$nr_work/run/$1.pid" ]; then
			cat "$nr_work/run/$1.pid"
			return
		fi
		sleep 0.05
	done
	echo "$1 did not start" >&2
	return 1
}

peers_start() {
	if command -v redis-server >/dev/null && grep -q nr_bench_redis_get "$("$nr_pg_config" --pkglibdir)/nr_cache.so"; then
		nr_as redis-server --port 0 --unixsocket "$redis_socket" --unixsocketperm 777 --save '' --appendonly no \
			--dir "$nr_work/run" --pidfile "$nr_work/run/redis.pid" --daemonize yes >"$nr_work/redis.log" 2>&1
		redis_pid=$(await redis) || exit 1
	else
		nr_say "no Redis with its client library: left out"
	fi
	if command -v memcached >/dev/null && [ -e "$("$nr_pg_config" --pkglibdir)/pgmemcache.so" ] &&
		gcc -O2 -Wall -Wextra -pthread -o "$nr_work/plain_memcached" "$nr_root/bench/clients/plain_memcached.c" \
			-lmemcached 2>"$nr_work/plain_memcached.log"; then
		nr_as memcached -d -s "$memcached_socket" -a 777 -m 512 -t 4 -P "$nr_work/run/memcached.pid" >"$nr_work/memcached.log" 2>&1
		memcached_pid=$(await memcached) || exit 1
	else
		nr_say "no memcached with pgmemcache and libmemcached: left out"
	fi
}

peers_stop() {
	local pid
	for pid in $redis_pid $memcached_pid; do
		kill "$pid" 2>/dev/null
	done
	redis_pid='' memcached_pid=''
}

# peers_load: the keys of both suites, as the tables have them
peers_load() {
	local pairs=$nr_work/pairs.tsv
	psql -XqAt -F$'\t' -c "SELECT k::text, v::text FROM bench.table_bigint_few UNION ALL SELECT k, v FROM bench.table_text_many" >"$pairs"
	if [ -n "$redis_pid" ]; then
		awk '{ printf "SET %s %s\r\n", $1, $2 }' "$pairs" | redis-cli -s "$redis_socket" --pipe >/dev/null &&
			awk -v n="$few" 'BEGIN { for (i = 0; i < n; i++) printf "SET key:%012d 12345678\r\n", i }' |
			redis-cli -s "$redis_socket" --pipe >/dev/null || return
	fi
	if [ -n "$memcached_pid" ]; then
		perl -MIO::Socket::UNIX -e '
			my $s = IO::Socket::UNIX->new(Peer => shift) or die "no connection: $!";
			while (<>) {
				chomp;
				my ($k, $v) = split /\t/;
				print $s "set $k 0 0 " . length($v) . " noreply\r\n$v\r\n";
			}
			print $s "get 1\r\n";
			while (<$s>) { exit 0 if /^END/ }
			exit 1' "$memcached_socket" "$pairs" || return
	fi
}

# ---- variants ------------------------------------------------------------------------------

# For a suite: what its keys and values are in SQL.
declare -A key=([bigint_few]=":k::bigint" [text_many]="'customer' || lpad(:k::text, 8, '0')" [puts]=":k::bigint")
declare -A value=([bigint_few]=":v::bigint" [text_many]="'value' || :v::text" [puts]=":v::bigint")
declare -A type=([bigint_few]=bigint [text_many]=text [puts]=bigint)
declare -A keys=([bigint_few]=$few [text_many]=$many [puts]=$((many < 100000 ? many : 100000)))
declare -A dynahash=() # ids of tables
declare -A options=(
	["Redis, from SQL"]="-c bench.redis_socket=$redis_socket"
	["memcached, from SQL"]="-c session_preload_libraries=pgmemcache -c pgmemcache.default_servers=$memcached_socket"
)

# script VARIANT SUITE: pgbench's script, to stdout
script() {
	local s=$2 k=${key[$2]} v=${value[$2]} t=${type[$2]} cache= read= write=
	case $1 in
		"a function that does nothing")
			[ "$s" = puts ] && cache=commit_puts || cache=immediate_$s
			read="SELECT nothing('$cache', $k, $v)" write=$read
			;;
		"repeat of "*" letters, shares nothing")
			read="SELECT nothing('commit_puts', $k, length(repeat(($k % 10)::text, ${1//[!0-9]/}))::bigint)" write=$read
			;;
		"nr, commit") cache=commit_$s ;;
		"nr, immediate") cache=immediate_$s ;;
		"nr, two copies, commit") cache=two_$s ;;
		"left_right, immediate") cache=left_right_$s ;;
		"dynahash, 128 partitions")
			read="SELECT dynahash_get(${dynahash[$s]}, $k, NULL::$t)"
			write="SELECT dynahash_put(${dynahash[$s]}, $k, $v)"
			;;
		"unlogged table, UPDATE")
			read="SELECT v FROM table_$s WHERE k = $k"
			write="UPDATE table_$s SET v = $v WHERE k = $k"
			;;
		"unlogged table, INSERT ... ON CONFLICT")
			read="SELECT v FROM table_$s WHERE k = $k"
			write="INSERT INTO table_$s VALUES ($k, $v) ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v"
			;;
		"Redis, from SQL")
			read="SELECT redis_get(($k)::text)::$t"
			write="SELECT redis_put(($k)::text, ($v)::text)"
			;;
		"memcached, from SQL")
			read="SELECT memcache_get(($k)::text)::$t"
			write="SELECT memcache_set(($k)::text, ($v)::text)"
			;;
		*) nr_die "no such variant: $1" ;;
	esac
	[ -n "$read" ] || read="SELECT nr_get('$cache', $k, NULL::$t)" write="SELECT nr_put('$cache', $k, $v)"
	R=$read W=$write awk '{ if ($0 == "READ;") print ENVIRON["R"] ";"; else if ($0 == "WRITE;") print ENVIRON["W"] ";"; else print }' \
		"$nr_root/bench/clients/mix.pgb"
}

# ---- one run -------------------------------------------------------------------------------

# ticks PID...: processor time of these processes and those they have waited for, in ticks
ticks() {
	local pid
	for pid; do cat "/proc/$pid/stat"; done | sed 's/.*) //' | awk '{ n += $12 + $13 + $14 + $15 } END { print n + 0 }'
}

# Backends of clients that have left are gone.
settled() {
	local i children
	for ((i = 0; i < 500; i++)); do
		read -r -a children <"/proc/$postmaster/task/$postmaster/children"
		[ ${#children[@]} -gt "$own_children" ] || return 0
		sleep 0.01
	done
}

# run_pgbench SUITE CLIENTS READS VARIANT TRANSACTIONS: prints transactions per second, p50, p99
run_pgbench() {
	local out=$nr_work/pgbench.out log=$nr_work/pgbench_log each=$((($5 + $2 - 1) / $2))
	script "$4" "$1" >"$nr_work/script.pgb"
	rm -f "$log".*
	PGOPTIONS="-c search_path=bench,public ${options[$4]:-}" pgbench -n -M prepared -c "$2" -j $(($2 < 2 ? 1 : 2)) -t "$each" \
		--log --log-prefix="$log" --sampling-rate=$([ "$5" -gt 5000 ] && echo 0.1 || echo 1) \
		-D keys="${keys[$1]}" -D reads="$3" -f "$nr_work/script.pgb" >"$out" 2>&1 &&
		grep -q "actually processed: $((each * $2))/$((each * $2))" "$out" || {
		cat "$out" >&2
		return 1
	}
	awk '/^tps/ { printf "%s\t", $3 }' "$out"
	cat "$log".* | awk '{ print $3 }' | sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] "\t" a[int((NR + 1) * 0.99)] }'
}

# The same of a variant that is no client of PostgreSQL.
run_plain() {
	case $4 in
		redis-benchmark)
			redis-benchmark -s "$redis_socket" -P 1 -c "$2" -n "$5" -r "$few" -d 8 -t "$([ "$3" = 100 ] && echo get || echo set)" --csv 2>/dev/null |
				awk -F'","|"' 'END { if (NR < 2) exit 1; printf "%s\t%s\t%s\n", $3, $6 * 1000, $8 * 1000 }'
			;;
		"memcached, libmemcached") "$nr_work/plain_memcached" "$memcached_socket" "$2" "$3" "$5" "$few" ;;
	esac
}

declare -A rate=()

# one SUITE CLIENTS READS VARIANT ROUND MS: a line of the table "result"
one() {
	local cell="$1|$2|$3|$4" n=$first_n servers="$postmaster $redis_pid $memcached_pid" runner=run_pgbench before row took
	local TIMEFORMAT='%U %S'
	if [ "$1" = plain ]; then
		runner=run_plain
		[ "$n" -ge 2000 ] || n=2000	# fewer take redis-benchmark no time
	fi
	[ "$5" = $first_round ] || n=$(awk -v r="${rate[$cell]}" -v ms="$6" -v least="$first_n" 'BEGIN { n = int(r * ms / 1000); print n < least ? least : n }')
	settled
	before=$(ticks $servers)
	{ time $runner "$1" "$2" "$3" "$4" "$n" >"$nr_work/row"; } 2>"$nr_work/took" || {
		cat "$nr_work/took" >&2
		nr_die "failed: $4, $1, $2 clients, $3 % reads"
	}
	settled
	read -r row <"$nr_work/row"
	took=$(tail -n 1 "$nr_work/took")
	rate[$cell]=${row%%$'\t'*}
	awk -v s="$1" -v c="$2" -v r="$3" -v v="$4" -v round="$5" -v n="$n" -v row="$row" -v took="$took" -v hz="$(getconf CLK_TCK)" \
		-v ticks=$(($(ticks $servers) - before)) 'BEGIN {
			split(took, t, " ")
			printf "%s\t%s\t%s\t%s\t%s\t%s\t%.3f\t%.3f\n", s, c, r, v, round, row, ticks * 1e6 / hz / n, (t[1] + t[2]) * 1e6 / n
		}'
}

# run_cells FILE ROUNDS MS: its lines (SUITE|CLIENTS|READS|VARIANT), round after round
run_cells() {
	local round suite clients reads variant
	for ((round = first_round; round <= $2; round++)); do
		while IFS='|' read -r suite clients reads variant <&3; do
			one "$suite" "$clients" "$reads" "$variant" "$round" "$3" </dev/null || return 1
		done 3< <(shuf "$1")
	done
}

# ---- all --------------------------------------------------------------------------------

bench_facts
echo "rounds:      $client_rounds; of puts $put_rounds"
bench_server clients 1 "max_connections = 60" "synchronous_commit = off" "nr_bench.memory = '384MB'" || exit 1
psql -X -v few="$few" -v many="$many" -f "$nr_root/bench/bench_clients.sql" || exit 1
trap 'peers_stop; nr_stop_clusters' EXIT
[ "${BASH_SOURCE[0]}" != "$0" ] || trap 'peers_stop; nr_cleanup' EXIT
peers_start
peers_load || nr_die "could not load Redis or memcached"
variants=("a function that does nothing" "nr, commit" "nr, immediate" "nr, two copies, commit" "left_right, immediate" "unlogged table, UPDATE")
variants+=("dynahash, 128 partitions")
for s in bigint_few text_many; do
	dynahash[$s]=$(psql -XqAt -c "SELECT id FROM bench.dynahash WHERE suite = '$s'") && [ -n "${dynahash[$s]}" ] || exit 1
done
[ -z "$redis_pid" ] || {
	variants+=("Redis, from SQL")
	psql -Xq -c "CREATE FUNCTION bench.redis_get(text) RETURNS text AS '\$libdir/nr_cache', 'nr_bench_redis_get' LANGUAGE C STRICT;
		CREATE FUNCTION bench.redis_put(text, text) RETURNS bool AS '\$libdir/nr_cache', 'nr_bench_redis_put' LANGUAGE C STRICT" || exit 1
}
[ -z "$memcached_pid" ] || {
	variants+=("memcached, from SQL")
	psql -Xq -c "CREATE EXTENSION pgmemcache SCHEMA bench" || exit 1
}
postmaster=$(nr_as head -n 1 "$nr_work/run/clients/postmaster.pid")
read -r -a children <"/proc/$postmaster/task/$postmaster/children"
own_children=${#children[@]}

{
	for v in "${variants[@]}"; do
		for c in $all_clients; do echo "bigint_few|$c|90|$v"; done
		for r in $all_reads; do [ "$r" = 90 ] || echo "bigint_few|2|$r|$v"; done
		echo "text_many|2|90|$v"
	done
	echo "bigint_few|2|50|unlogged table, INSERT ... ON CONFLICT"
	for c in $all_clients; do
		[ "$c" = 2 ] || printf 'bigint_few|%s|100|%s\n' "$c" "${variants[0]}" "$c" "${variants[2]}" "$c" "${variants[5]}"
		[ -z "$redis_pid" ] || printf 'plain|%s|%s|redis-benchmark\n' "$c" 100 "$c" 0
		[ -z "$memcached_pid" ] || printf 'plain|%s|%s|memcached, libmemcached\n' "$c" 100 "$c" 90
	done
} >"$nr_work/cells"
# Two of them take about as long as a put does, with 2 clients: what do these lose with 32?
for v in "a function that does nothing" "nr, commit" "nr, immediate" "repeat of "{120,360}" letters, shares nothing"; do
	for c in 2 32; do echo "puts|$c|0|$v"; done
done >"$nr_work/put_cells"

nr_say "puts: $(wc -l <"$nr_work/put_cells") runs in each of $put_rounds rounds"
run_cells "$nr_work/put_cells" "$put_rounds" "$put_slice_ms" >"$nr_work/clients.tsv" || exit 1
nr_say "mixes: $(wc -l <"$nr_work/cells") runs in each of $client_rounds rounds"
run_cells "$nr_work/cells" "$client_rounds" "$slice_ms" >>"$nr_work/clients.tsv" || exit 1
psql -Xq -v ON_ERROR_STOP=1 -c "\copy bench.result FROM '$nr_work/clients.tsv'" || exit 1
nr_say "results"
psql -X -P footer=off -v ON_ERROR_STOP=1 -v redis="${redis_pid:+1}" -v memcached="${memcached_pid:+1}" -v redis_socket="$redis_socket" \
	-v memcached_socket="$memcached_socket" -f "$nr_root/bench/clients/report.sql" || exit 1
for f in figure target; do
	case $f in figure) to=${NR_BENCH_FIGURES:-} ;; target) to=${NR_BENCH_TARGETS:-} ;; esac
	[ -z "$to" ] || psql -XqAt -F$'\t' -v ON_ERROR_STOP=1 -c "SET search_path = bench; SELECT * FROM $f" >>"$to" || exit 1
done
peers_stop
nr_cluster_stop clients
