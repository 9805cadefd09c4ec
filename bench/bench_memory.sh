#!/usr/bin/env bash
# bench_memory.sh [--entries n] [--large n]: memory for entries of several lengths with one
# copy, two copies, and two copies that share values (aliasing).
#
# First a table of bytes an entry, n entries each (100,000 unless given).  Then one cache of
# two copies with n values of 1 kB (1,000,000 unless given; 0: not at all), in a quota
# that two plain copies exceed: it must fit with aliasing, be right in every row, and stay within its quota while all of it is
# replaced in portions; the same cache without aliasing must report that it is full.
#
# Counts bytes, no time: other work on the machine does not matter.  Judges only the second part.
#
# "make bench" sources this file, having built the extension; started alone, it
# does that itself.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

entries=${NR_BENCH_ENTRIES:-${smoke:+2000}}
entries=${entries:-100000}
large=${NR_BENCH_LARGE:-${smoke:+50000}}
large=${large:-1000000}
if [ "${BASH_SOURCE[0]}" = "$0" ]; then
	while [ $# -gt 0 ]; do
		case $1 in
			--entries) entries=$2 && shift ;;
			--large) large=$2 && shift ;;
			*) nr_die "unknown: $1" ;;
		esac
		shift
	done
	bench_build
fi

# What two plain copies of the large cache need is some 2.2 kB an entry; this is 1.35.
quota=$((large * 1350 / 1048576 + 8))
memory=$((quota + 256 > 2048 ? quota + 256 : 2048))

bench_facts
bench_server memory 1 "nr_cache.memory = '${memory}MB'" || exit 1
psql -Xq -v ON_ERROR_STOP=1 -v entries="$entries" <<-'SQL' || exit 1
	CREATE EXTENSION nr_cache;
	CREATE TABLE result (bytes int, variant text, per_entry numeric);
	CREATE PROCEDURE measure(n int, bytes int, variant text, options text) LANGUAGE plpgsql AS $$
	BEGIN
	    EXECUTE format('CREATE FOREIGN TABLE measured (k bigint, v %s) SERVER nr_cache OPTIONS (visibility ''immediate''%s)',
	                   CASE bytes WHEN 8 THEN 'bigint' ELSE 'bytea' END, options);
	    IF bytes = 8 THEN
	        INSERT INTO measured SELECT i, i FROM generate_series(1, n) i;
	    ELSE
	        -- a bytea of this length, its own header of 1 or 4 bytes included
	        INSERT INTO measured
	            SELECT i, decode(repeat('42', bytes - CASE WHEN bytes < 128 THEN 1 ELSE 4 END), 'hex')
	            FROM generate_series(1, n) i;
	    END IF;
	    PERFORM nr_check('measured');
	    INSERT INTO result SELECT bytes, variant, round((memory_used - memory_free)::numeric / n, 1)
	        FROM nr_caches WHERE relid = 'measured'::regclass;
	    DROP FOREIGN TABLE measured;
	END $$;
	SELECT format('CALL measure(%s, %s, %L, %L)', :entries, bytes, variant, options)
	FROM unnest(ARRAY[8, 32, 64, 128, 256, 512, 1000, 2000, 4000]) bytes,
	     (VALUES ('one copy', ''), ('two copies', ', copies ''2'', aliasing ''off'''),
	             ('two copies, aliased', ', copies ''2''')) v (variant, options) \gexec
SQL
# S10, with ten times as many, lest it be a matter of the last extent
psql -Xq -v ON_ERROR_STOP=1 -v n="$((entries * 10))" <<-'SQL' || exit 1
	CREATE TABLE s10 (what text, payload int, per_entry numeric);
	CREATE PROCEDURE weigh(what text, payload int, n int, type text, keys text, vals text) LANGUAGE plpgsql AS $$
	BEGIN
	    EXECUTE format('CREATE FOREIGN TABLE measured (k %s, v %1$s) SERVER nr_cache OPTIONS (visibility ''immediate'')', type);
	    EXECUTE format('INSERT INTO measured SELECT %s, %s FROM generate_series(1, %s) i', keys, vals, n);
	    IF (SELECT count(*) <> n OR sum(length(k::text || v)) = 0 FROM measured) OR NOT nr_check('measured') THEN
	        RAISE EXCEPTION 'not all are there';
	    END IF;
	    INSERT INTO s10 SELECT what, payload, round((memory_used - memory_free)::numeric / n, 1)
	        FROM nr_caches WHERE relid = 'measured'::regclass;
	    DROP FOREIGN TABLE measured;
	END $$;
	CALL weigh('8 bytes to 8 bytes', 16, :n, 'bigint', 'i', 'i');
	CALL weigh('16 bytes to 64 bytes', 80, :n, 'text', '''customer'' || lpad(i::text, 8, ''0'')', 'repeat(md5(i::text), 2)');
	CREATE VIEW figure AS
	    SELECT 'memory, bigint keys' AS suite, variant, bytes AS x, 'bytes an entry' AS unit, 1 AS n,
	           per_entry AS q1, per_entry AS median, per_entry AS q3 FROM result;
	CREATE VIEW target AS
	    SELECT 'S10' AS target, format('bytes an entry, %s, one copy', what) AS what, per_entry AS measured, '<=' AS comparison,
	           1.5 * payload + 16 AS goal, 'B' AS unit, format('1.5 times %s bytes and 16', payload) AS note
	    FROM s10;
SQL
[ -z "${NR_BENCH_FIGURES:-}" ] || psql -XqAt -F$'\t' -c "TABLE figure" >>"$NR_BENCH_FIGURES" || exit 1
[ -z "${NR_BENCH_TARGETS:-}" ] || psql -XqAt -F$'\t' -c "TABLE target" >>"$NR_BENCH_TARGETS" || exit 1
echo
echo "Bytes an entry, key bigint, $entries entries:"
psql -Xq -P footer=off <<-'SQL'
	SELECT bytes AS value, one AS "one copy", two AS "two copies", aliased AS "two copies, aliased",
	       round(two / one, 2) AS "two : one", round(aliased / one, 2) AS "aliased : one"
	FROM (SELECT bytes, min(per_entry) FILTER (WHERE variant = 'one copy') AS one,
	             min(per_entry) FILTER (WHERE variant = 'two copies') AS two,
	             min(per_entry) FILTER (WHERE variant = 'two copies, aliased') AS aliased
	      FROM result GROUP BY bytes) r
	ORDER BY bytes;
	SELECT what AS "one copy, ten times as many entries", per_entry AS "bytes an entry" FROM s10;
SQL

# large_load OPTIONS: the large cache, loaded, checked, replaced in portions
large_load() {
	psql -Xq -v ON_ERROR_STOP=1 -v n="$large" -v quota="${quota}MB" -v options="$1" <<-'SQL'
		CREATE FOREIGN TABLE large (k bigint, v text) SERVER nr_cache
		    OPTIONS (visibility 'immediate', copies '2', memory :'quota' :options);
		INSERT INTO large SELECT i, repeat(md5(i::text), 32) FROM generate_series(1, :n) i;
		SELECT nr_check('large');
		SELECT 1 / (count(*) = :n)::int AS "all right"
		FROM generate_series(1, :n) i WHERE nr_get('large', i, NULL::text) = repeat(md5(i::text), 32);
		SELECT count(nr_put('large', i, repeat(md5((-i)::text), 32))) AS replaced FROM generate_series(1, :n) i;
		SELECT 1 / (count(*) = :n)::int AS "all right"
		FROM generate_series(1, :n) i WHERE nr_get('large', i, NULL::text) = repeat(md5((-i)::text), 32);
		SELECT nr_check('large');
		SELECT entries, pg_size_pretty(memory_used) AS used, pg_size_pretty(memory_limit) AS quota,
		       round((memory_used - memory_free)::numeric / entries) AS "bytes an entry"
		FROM nr_caches WHERE relid = 'large'::regclass;
	SQL
}

status=0
if [ "$large" -gt 0 ]; then
	echo "$large values of 1 kB, two copies, quota $quota MB, aliasing on:"
	large_load "" || status=1
	psql -Xqc "DROP FOREIGN TABLE large"
	echo "the same, aliasing off:"
	if large_load ", aliasing 'off'" 2>"$nr_work/large.err"; then
		echo "two plain copies fit as well: the proof proves nothing"
		status=1
	else
		grep -m 1 ERROR "$nr_work/large.err"
		grep -q "is full" "$nr_work/large.err" || status=1
	fi
fi
nr_cluster_stop memory
[ "$status" = 0 ]
