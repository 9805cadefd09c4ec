#!/usr/bin/env bash
# bench_responses.sh [--rounds n]: one counter, counted up by one session and by
# eight: nr_incr and its kin beside UPDATE of a row of an unlogged table, in one
# private server.
#
# Each call is a transaction of its own, by pgbench, prepared; "SELECT 1" shows what
# the round trip alone costs.  A round has every variant once, in an order shuffled
# anew; round 0 warms up.  Prints medians and ratios within a round ("net time": of a
# call less the round trip, UPDATE's is 1), judges nothing but that no call was lost.
#
# "make bench" sources this file, having built the extension; started alone, it
# does that itself.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

length="-T ${NR_BENCH_SECONDS:-1}"
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

declare -A responses=(
	["SELECT 1"]="SELECT 1"
	["nr_put"]="SELECT nr_put('blind', 1, 1)"
	["nr_swap"]="SELECT nr_swap('swapped', 1, 1::bigint)"
	["nr_incr, bigint"]="SELECT nr_incr('native', 1, 1::bigint)"
	["nr_incr, numeric"]="SELECT nr_incr('checked', 1, 1::numeric)"
	["nr_get, nr_cas"]="SELECT nr_cas('compared', 1, n, n + 1) FROM nr_get('compared', 1, 0::bigint) n"
	["UPDATE"]="UPDATE counter SET n = n + 1 WHERE k = 1 RETURNING n"
)

# responses_run CLIENTS VARIANT: prints calls, calls per second
responses_run() {
	echo "${responses[$2]};" >"$nr_work/run/responses.sql"
	# shellcheck disable=SC2086
	pgbench -n -M prepared -c "$1" -j "$1" $length -f "$nr_work/run/responses.sql" 2>&1 |
		awk '/actually processed/ { n = $NF + 0 } /^tps/ { tps = $3 } END { if (!tps) exit 1; print n "\t" tps }'
}

if [ -n "$smoke" ]; then
	rounds=1 length="-t 20"
fi
bench_facts
bench_server responses 1 "max_connections = 20" || exit 1
psql -Xq -v ON_ERROR_STOP=1 <<-'SQL' || exit 1
	CREATE EXTENSION nr_cache;
	CREATE FOREIGN TABLE blind (k int, n bigint) SERVER nr_cache OPTIONS (visibility 'immediate');
	CREATE FOREIGN TABLE swapped (k int, n bigint) SERVER nr_cache OPTIONS (visibility 'immediate');
	CREATE FOREIGN TABLE native (k int, n bigint) SERVER nr_cache OPTIONS (visibility 'immediate');
	CREATE FOREIGN TABLE checked (k int, n numeric) SERVER nr_cache OPTIONS (visibility 'immediate');
	CREATE FOREIGN TABLE compared (k int, n bigint) SERVER nr_cache OPTIONS (visibility 'immediate');
	CREATE UNLOGGED TABLE counter (k int PRIMARY KEY, n bigint);
	INSERT INTO counter VALUES (1, 0);
	INSERT INTO compared VALUES (1, 0);
	CREATE TABLE result (clients int, round int, variant text, calls bigint, tps float8);
SQL
for ((round = 0; round <= rounds; round++)); do
	for clients in 1 8; do
		while IFS= read -r variant; do
			row=$(responses_run "$clients" "$variant") || nr_die "pgbench failed: $variant"
			printf '%s\t%s\t%s\t%s\n' "$clients" "$round" "$variant" "$row"
		done < <(printf '%s\n' "${!responses[@]}" | shuf)
	done
done >"$nr_work/responses.tsv" &&
	psql -Xq -v ON_ERROR_STOP=1 -c "\copy result FROM '$nr_work/responses.tsv'" &&
	psql -X -v ON_ERROR_STOP=1 -P footer=off <<-'SQL'
		SELECT r.clients, r.variant, round(percentile_cont(0.5) WITHIN GROUP (ORDER BY r.tps)) AS "calls/s",
		       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY r.tps / u.tps)::numeric, 2) AS "x UPDATE",
		       round(percentile_cont(0.25) WITHIN GROUP (ORDER BY r.tps / u.tps)::numeric, 2) AS "from",
		       round(percentile_cont(0.75) WITHIN GROUP (ORDER BY r.tps / u.tps)::numeric, 2) AS "to",
		       round(percentile_cont(0.5) WITHIN GROUP (
		           ORDER BY (1 / r.tps - 1 / trip.tps) / nullif(1 / u.tps - 1 / trip.tps, 0))::numeric, 2) AS "net time"
		FROM result r
		JOIN result u USING (clients, round)
		JOIN result trip USING (clients, round)
		WHERE r.round > 0 AND u.variant = 'UPDATE' AND trip.variant = 'SELECT 1'
		GROUP BY r.clients, r.variant
		ORDER BY r.clients, "x UPDATE";
		-- counted right?
		SELECT nr_get('native', 1, 0::bigint) AS "nr_incr, bigint",
		       nr_get('checked', 1, 0::numeric) AS "nr_incr, numeric", c.n AS "UPDATE"
		FROM counter c;
		SELECT 1 / (count(*) = 3)::int AS "all there"
		FROM (SELECT variant, sum(calls) AS calls FROM result GROUP BY variant) r
		WHERE calls = CASE variant
		          WHEN 'nr_incr, bigint' THEN nr_get('native', 1, 0::bigint)
		          WHEN 'nr_incr, numeric' THEN nr_get('checked', 1, 0::numeric)
		          WHEN 'UPDATE' THEN (SELECT n FROM counter) END;
	SQL
status=$?
nr_cluster_stop responses
[ "$status" = 0 ]
