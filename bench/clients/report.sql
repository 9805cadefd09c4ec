-- report.sql: what bench/bench_clients.sh says at its end, and is it right?  Variables: redis,
-- memcached (empty: left out), redis_socket, memcached_socket.
\set QUIET on
SET search_path = bench, public;
SET extra_float_digits = 0;

-- ---- are all values right, and has something been written? ------------------------------

CREATE TABLE checked (store text, keys bigint, right_values bigint, written bigint);

-- "got": how the value of key k is read; every so manieth key is looked at.
CREATE PROCEDURE look(store text, s suite, got text, every bigint) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format($q$
        INSERT INTO checked
        SELECT %L, count(*), count(*) FILTER (WHERE v / 7 = n), count(*) FILTER (WHERE v %% 7 <> 6)
        FROM (SELECT n, ltrim((%s)::text, 'value')::bigint AS v
              FROM (SELECT k AS n, %s AS k FROM generate_series(1, %s, %s) k) t OFFSET 0) s
        $q$, store, got, s.key_sql, s.keys, every);
END $$;

SELECT format('CALL look(%L, %L::suite, %L, 1)', cache, s, format('nr_get(%L, k::%s, NULL::%2$s)', cache, type))
FROM suite s, kind, format('%s_%s', name, suite) cache
WHERE suite <> 'puts' OR name IN ('commit', 'immediate') \gexec
SELECT format('CALL look(%L, %L::suite, %L, 1)', 'dynahash ' || suite, s, format('dynahash_get(%s, k::%s, NULL::%2$s)', id, type))
FROM suite s JOIN dynahash USING (suite) \gexec
INSERT INTO checked SELECT 'table_bigint_few', count(*), count(*) FILTER (WHERE v / 7 = k), count(*) FILTER (WHERE v % 7 <> 6) FROM table_bigint_few;
INSERT INTO checked
    SELECT 'table_text_many', count(*), count(*) FILTER (WHERE substr(v, 6)::bigint / 7 = substr(k, 9)::bigint),
           count(*) FILTER (WHERE substr(v, 6)::bigint % 7 <> 6)
    FROM table_text_many;
SELECT set_config('bench.redis_socket', :'redis_socket', false) \g /dev/null
SELECT format('CALL look(%L, %L::suite, %L, %s)', 'Redis ' || suite, s, 'redis_get(k::text)', keys / 50000 + 1)
FROM suite s WHERE suite <> 'puts' AND :'redis' <> '' \gexec
\o /dev/null
SELECT format('SELECT memcache_server_add(%L)', :'memcached_socket') WHERE :'memcached' <> '' \gexec
\o
SELECT format('CALL look(%L, %L::suite, %L, %s)', 'memcached ' || suite, s, 'memcache_get(k::text)', keys / 50000 + 1)
FROM suite s WHERE suite <> 'puts' AND :'memcached' <> '' \gexec

SELECT count(*) FILTER (WHERE keys <> right_values OR written = 0) > 0 AS wrong FROM checked \gset
\if :wrong
    SELECT * FROM checked WHERE keys <> right_values OR written = 0;
    DO $$ BEGIN RAISE EXCEPTION 'wrong values, or nothing was written'; END $$;
\endif
SELECT count(*) AS "stores looked at", sum(keys) AS "values, all right" FROM checked;

-- ---- figures --------------------------------------------------------------------------------

SELECT format($q$
    SELECT variant AS %I, round(tps[2]) AS "transactions/s", format('%%s to %%s', round(tps[1]), round(tps[3])) AS quartiles,
           round(x[2]::numeric, 2) AS "x nothing", round(x_table::numeric, 2) AS "x UPDATE",
           round(p50[2]::numeric, 1) AS "us, median", round(p99[2]::numeric, 1) AS "us, 99 %%",
           round(server[2]::numeric, 1) AS "us, servers", round(client[2]::numeric, 1) AS "us, clients"
    FROM titled WHERE title = %L AND clients = %s AND reads = %s ORDER BY tps[2] DESC $q$,
    format('%s, %s clients, %s %% reads', title, clients, reads), title, clients, reads)
FROM (SELECT DISTINCT title, suite, clients, reads FROM titled) t
ORDER BY title, reads DESC, clients \gexec
SELECT target, what, measured AS x, comparison || ' ' || goal AS target, CASE WHEN measured >= goal THEN 'met' ELSE 'not met' END AS result, note FROM target;
