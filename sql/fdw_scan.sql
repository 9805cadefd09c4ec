--
-- Scans of caches: full scans, lookups by key, joins, plans
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS nr_cache;
RESET client_min_messages;

CREATE FOREIGN TABLE fdw_fx (code text, rate numeric) SERVER nr_cache OPTIONS (visibility 'immediate');
INSERT INTO fdw_fx VALUES ('USD', 1.0842), ('GBP', 0.8342), ('JPY', 162.05), ('CHF', NULL), ('', 0);
SELECT * FROM fdw_fx ORDER BY code COLLATE "C";
SELECT count(*), sum(rate) FROM fdw_fx;
SELECT tableoid::regclass, code FROM fdw_fx WHERE code = 'USD';
SELECT fdw_fx FROM fdw_fx WHERE code = 'USD';
SELECT xmin FROM fdw_fx WHERE code = 'USD';

-- what is looked up by key, and what is not
EXPLAIN (COSTS OFF) SELECT * FROM fdw_fx;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_fx WHERE code = 'USD';
EXPLAIN (COSTS OFF) SELECT * FROM fdw_fx WHERE 'USD' = code;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_fx WHERE code = 'USD' AND rate > 1;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_fx WHERE code = lower('USD')::varchar;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_fx WHERE code IN ('USD', 'GBP');
EXPLAIN (COSTS OFF) SELECT * FROM fdw_fx WHERE code <> 'USD';
EXPLAIN (COSTS OFF) SELECT * FROM fdw_fx WHERE code > 'A';
EXPLAIN (COSTS OFF) SELECT * FROM fdw_fx WHERE upper(code) = 'USD';
EXPLAIN (COSTS OFF) SELECT * FROM fdw_fx WHERE code = random()::text;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_fx WHERE code = 'USD' OR rate = 1;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_fx WHERE code = 'USD'::bpchar;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_fx WHERE code = 'USD'::name;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_fx WHERE code <> ALL ('{USD,GBP}');
EXPLAIN (COSTS OFF) SELECT * FROM fdw_fx WHERE code = rate::text;
EXPLAIN (COSTS OFF, VERBOSE) SELECT rate FROM fdw_fx WHERE code = 'USD';
-- PostgreSQL 18 prints rows with decimals, and buffers
CREATE FUNCTION fdw_explain(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (ANALYZE, BUFFERS OFF, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query LOOP
        RETURN NEXT regexp_replace(line, 'rows=(\d+)\.\d+', 'rows=\1');
    END LOOP;
END $$;
SELECT * FROM fdw_explain($$SELECT * FROM fdw_fx WHERE code IN ('USD', 'ZZZ')$$);
SELECT * FROM fdw_explain($$SELECT * FROM fdw_fx WHERE rate > 1$$);
DROP FUNCTION fdw_explain;

SELECT * FROM fdw_fx WHERE code = 'USD';
SELECT * FROM fdw_fx WHERE code = 'CHF';
SELECT * FROM fdw_fx WHERE code = '';
SELECT * FROM fdw_fx WHERE code = 'ZZZ';
SELECT * FROM fdw_fx WHERE code = NULL;
SELECT * FROM fdw_fx WHERE code IS NULL;
SELECT * FROM fdw_fx WHERE code = 'USD' AND rate > 2;
SELECT * FROM fdw_fx WHERE code = 'USD' AND code = 'GBP';
SELECT * FROM fdw_fx WHERE code = repeat('x', 5000);
SELECT * FROM fdw_fx WHERE code IN ('USD', 'USD', NULL, 'ZZZ', 'JPY') ORDER BY code;
SELECT * FROM fdw_fx WHERE code = ANY ('{}'::text[]);
SELECT * FROM fdw_fx WHERE code = ANY (NULL::text[]);
SELECT * FROM fdw_fx WHERE code = ANY (ARRAY['JPY', repeat('x', 5000)]);
SELECT * FROM fdw_fx WHERE code = 'USD'::name;

-- collations
CREATE COLLATION fdw_ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
EXPLAIN (COSTS OFF) SELECT * FROM fdw_fx WHERE code = 'usd' COLLATE fdw_ci;
SELECT * FROM fdw_fx WHERE code = 'usd' COLLATE fdw_ci;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_fx WHERE code = 'USD' COLLATE "C";
SELECT * FROM fdw_fx WHERE code = 'USD' COLLATE "C";

-- parameters, generic and custom plans
PREPARE fdw_get(text) AS SELECT rate FROM fdw_fx WHERE code = $1;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE fdw_get('USD');
EXECUTE fdw_get('USD');
EXECUTE fdw_get('GBP');
EXECUTE fdw_get(NULL);
RESET plan_cache_mode;
DEALLOCATE fdw_get;

-- integer keys compared with other integer types
CREATE FOREIGN TABLE fdw_i2 (k int2, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE fdw_i4 (k int4, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE fdw_i8 (k int8, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
INSERT INTO fdw_i2 VALUES (-1, 'm'), (1, 'one'), (32767, 'max'), (-32768, 'min');
INSERT INTO fdw_i4 VALUES (-1, 'm'), (1, 'one'), (2147483647, 'max'), (-2147483648, 'min');
INSERT INTO fdw_i8 VALUES (-1, 'm'), (1, 'one'), (9223372036854775807, 'max'), (4294967297, 'wraps to 1');
EXPLAIN (COSTS OFF) SELECT * FROM fdw_i8 WHERE k = 1;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_i2 WHERE k = 1;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_i4 WHERE 1::int8 = k;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_i4 WHERE k = 1.0;
SELECT 2 AS b, * FROM fdw_i2 WHERE k = 1 UNION ALL
SELECT 2, * FROM fdw_i2 WHERE k = -1::int8 UNION ALL
SELECT 2, * FROM fdw_i2 WHERE k = 65537 UNION ALL
SELECT 2, * FROM fdw_i2 WHERE k = 4294967297 UNION ALL
SELECT 4, * FROM fdw_i4 WHERE k = 1::int2 UNION ALL
SELECT 4, * FROM fdw_i4 WHERE k = (-1)::int8 UNION ALL
SELECT 4, * FROM fdw_i4 WHERE k = 4294967297 UNION ALL
SELECT 8, * FROM fdw_i8 WHERE k = (-1)::int2 UNION ALL
SELECT 8, * FROM fdw_i8 WHERE k = 1 UNION ALL
SELECT 8, * FROM fdw_i8 WHERE k = 9223372036854775807;
SELECT * FROM fdw_i4 WHERE k IN (1, 1, -1, 7) ORDER BY k;
SELECT * FROM fdw_i4 WHERE k = ANY ('{1,4294967297,-1}'::int8[]) ORDER BY k;
SELECT * FROM fdw_i4 WHERE k = 1.0;

-- other types of keys
CREATE DOMAIN fdw_code AS varchar(8) CHECK (VALUE <> 'bad');
CREATE FOREIGN TABLE fdw_vc (v int, k fdw_code OPTIONS (key 'true')) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE fdw_uu (k uuid, v int) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE fdw_by (k bytea, v int) SERVER nr_cache OPTIONS (visibility 'immediate');
INSERT INTO fdw_vc VALUES (1, 'a'), (2, 'b');
INSERT INTO fdw_uu VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 1), ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12', 2);
INSERT INTO fdw_by VALUES ('\x00', 1), ('\x', 2), ('\x0000', 3);
EXPLAIN (COSTS OFF) SELECT * FROM fdw_vc WHERE k = 'b';
SELECT * FROM fdw_vc WHERE k = 'b';
SELECT * FROM fdw_vc WHERE k = 'b'::fdw_code;
SELECT * FROM fdw_vc WHERE k IN ('a', 'b') ORDER BY k;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_uu WHERE k = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12';
SELECT * FROM fdw_uu WHERE k = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12';
EXPLAIN (COSTS OFF) SELECT * FROM fdw_by WHERE k = '\x0000';
SELECT * FROM fdw_by WHERE k = '\x0000';
SELECT * FROM fdw_by WHERE k = '\x';

-- joins: lookup by the other side's columns, or a hash of everything
CREATE TABLE fdw_orders (id int PRIMARY KEY, code text, amount numeric, n int8);
INSERT INTO fdw_orders SELECT i, (ARRAY['USD', 'GBP', 'ZZZ', NULL])[i % 4 + 1], i, i % 3 FROM generate_series(1, 40) i;
ANALYZE fdw_orders;
EXPLAIN (COSTS OFF) SELECT o.id, o.amount * f.rate FROM fdw_orders o JOIN fdw_fx f ON f.code = o.code WHERE o.id < 6;
SELECT o.id, o.amount * f.rate FROM fdw_orders o JOIN fdw_fx f ON f.code = o.code WHERE o.id < 6 ORDER BY 1;
EXPLAIN (COSTS OFF) SELECT o.id, f.rate FROM fdw_orders o LEFT JOIN fdw_fx f ON f.code = o.code AND f.rate > 1 WHERE o.id < 6;
SELECT o.id, f.rate FROM fdw_orders o LEFT JOIN fdw_fx f ON f.code = o.code AND f.rate > 1 WHERE o.id < 6 ORDER BY 1;
EXPLAIN (COSTS OFF) SELECT o.id, i.v FROM fdw_orders o JOIN fdw_i4 i ON i.k = o.n WHERE o.id < 6;
SELECT o.id, i.v FROM fdw_orders o JOIN fdw_i4 i ON i.k = o.n WHERE o.id < 6 ORDER BY 1;
EXPLAIN (COSTS OFF) SELECT o.id, (SELECT f.rate FROM fdw_fx f WHERE f.code = o.code) FROM fdw_orders o;
SELECT o.id, (SELECT f.rate FROM fdw_fx f WHERE f.code = o.code) AS rate FROM fdw_orders o WHERE o.id < 6 ORDER BY 1;
SELECT o.id, l.rate FROM fdw_orders o, LATERAL (SELECT rate FROM fdw_fx f WHERE f.code = o.code LIMIT 1) l WHERE o.id < 6 ORDER BY 1;
SELECT count(*) FROM fdw_orders o WHERE EXISTS (SELECT FROM fdw_fx f WHERE f.code = o.code);
SELECT count(*) FROM fdw_orders o WHERE NOT EXISTS (SELECT FROM fdw_fx f WHERE f.code = o.code);
SELECT o.id, i.k, i.v FROM fdw_orders o JOIN fdw_i4 i ON i.k = ANY (ARRAY[o.n, -1]) WHERE o.id < 4 ORDER BY 1, 2;
SELECT a.code, b.rate FROM fdw_fx a JOIN fdw_fx b USING (code) WHERE a.rate > 1 ORDER BY 1;

-- forced into each kind of join the answer is the same
SET enable_hashjoin = off; SET enable_mergejoin = off;
SELECT count(*), sum(f.rate) FROM fdw_orders o JOIN fdw_fx f ON f.code = o.code;
SET enable_nestloop = off; RESET enable_hashjoin;
SELECT count(*), sum(f.rate) FROM fdw_orders o JOIN fdw_fx f ON f.code = o.code;
SET enable_hashjoin = off; RESET enable_mergejoin;
SELECT count(*), sum(f.rate) FROM fdw_orders o JOIN fdw_fx f ON f.code = o.code;
RESET enable_hashjoin; RESET enable_nestloop;

-- a full scan under a nested loop is one consistent copy, read again
SET enable_material = off;
SELECT count(*) FROM generate_series(1, 100) g, fdw_i4 i WHERE i.v <> g::text;
RESET enable_material;

-- two members of one equivalence class in the cache
CREATE FOREIGN TABLE fdw_two (k int, other int) SERVER nr_cache OPTIONS (visibility 'immediate');
INSERT INTO fdw_two SELECT i, i / 2 * 2 FROM generate_series(1, 10) i;
SELECT o.id, t.* FROM fdw_orders o JOIN fdw_two t ON t.k = o.id AND t.other = o.id ORDER BY 1;
EXPLAIN (COSTS OFF) SELECT o.id, t.* FROM fdw_orders o JOIN fdw_two t ON t.k = o.id AND t.other = o.id WHERE o.id < 5;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_two WHERE k = 4 AND other = 4;
SELECT * FROM fdw_two WHERE k = 4 AND other = 4;
SELECT * FROM fdw_two WHERE k = 5 AND other = 5;

-- the comparison as EXPLAIN shows it in other query levels
EXPLAIN (COSTS OFF) WITH x AS MATERIALIZED (SELECT o.id, f.rate FROM fdw_orders o JOIN fdw_fx f ON f.code = o.code WHERE o.id < 3) SELECT * FROM x;
EXPLAIN (COSTS OFF) SELECT a.id, f.rate FROM fdw_orders a LEFT JOIN (SELECT id, coalesce(code, 'USD') AS c FROM fdw_orders) b ON a.id = b.id
    LEFT JOIN LATERAL (SELECT * FROM fdw_fx f WHERE f.code = b.c) f ON true WHERE a.id < 3;
SELECT a.id, f.rate FROM fdw_orders a LEFT JOIN (SELECT id, coalesce(code, 'USD') AS c FROM fdw_orders) b ON a.id = b.id
    LEFT JOIN LATERAL (SELECT * FROM fdw_fx f WHERE f.code = b.c) f ON true WHERE a.id < 3 ORDER BY 1;

-- views, security barriers, row locks, cursors
CREATE VIEW fdw_strong AS SELECT * FROM fdw_fx WHERE rate > 1;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_strong WHERE code = 'USD';
SELECT * FROM fdw_strong WHERE code IN ('USD', 'GBP');
CREATE VIEW fdw_barrier WITH (security_barrier) AS SELECT * FROM fdw_fx WHERE rate > 1;
CREATE FUNCTION fdw_leak(text) RETURNS text LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RAISE NOTICE 'saw %', $1; RETURN $1; END $$;
SELECT code FROM fdw_barrier WHERE code = 'USD' AND fdw_leak(code) = 'USD';
SELECT code FROM fdw_barrier WHERE code = 'GBP' AND fdw_leak(code) = 'GBP';
SELECT code FROM fdw_fx WHERE code = 'USD' FOR UPDATE;
BEGIN;
DECLARE fdw_c CURSOR FOR SELECT * FROM fdw_i4 ORDER BY k;
FETCH 1 FROM fdw_c;
INSERT INTO fdw_i4 VALUES (0, 'later');
FETCH 1 FROM fdw_c;
FETCH ALL FROM fdw_c;
SAVEPOINT s;
DECLARE fdw_d CURSOR FOR SELECT count(*) FROM fdw_i4;
FETCH fdw_d;
ROLLBACK TO s;
SELECT v FROM fdw_i4 WHERE k = 1;
COMMIT;
BEGIN;
DECLARE fdw_s SCROLL CURSOR FOR SELECT k FROM fdw_i4 ORDER BY k;
FETCH 2 FROM fdw_s;
FETCH BACKWARD 1 FROM fdw_s;
COMMIT;
DELETE FROM fdw_i4 WHERE k = 0;

-- PL/pgSQL, where plans are kept
CREATE FUNCTION fdw_rate(c text) RETURNS numeric LANGUAGE plpgsql STABLE AS
$$ DECLARE r numeric; BEGIN SELECT rate INTO r FROM fdw_fx WHERE code = c; RETURN r; END $$;
SELECT fdw_rate(c) FROM unnest(ARRAY['USD', 'GBP', 'ZZZ', 'USD', 'USD', 'USD', 'USD', 'JPY']) WITH ORDINALITY u(c, i) ORDER BY i;
CREATE FUNCTION fdw_caught(c text) RETURNS numeric LANGUAGE plpgsql STABLE AS
$$ BEGIN PERFORM 1 / 0; EXCEPTION WHEN division_by_zero THEN RETURN fdw_rate(c); END $$;
SELECT code, fdw_caught(code) FROM fdw_fx WHERE rate IS NOT NULL AND fdw_caught(code) = rate ORDER BY code COLLATE "C";

-- parallel workers
CREATE TABLE fdw_many AS SELECT i, (ARRAY['USD', 'GBP', 'ZZZ'])[i % 3 + 1] AS code FROM generate_series(1, 30000) i;
ANALYZE fdw_many;
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2; SET parallel_leader_participation = off;
SELECT count(*), sum(f.rate) FROM fdw_many m JOIN fdw_fx f ON f.code = m.code;
SET enable_hashjoin = off; SET enable_mergejoin = off;
SELECT count(*), sum(f.rate) FROM fdw_many m JOIN fdw_fx f ON f.code = m.code;
RESET enable_hashjoin; RESET enable_mergejoin;
-- PostgreSQL 16 gave the setting another name
SELECT set_config(name, 'on', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SELECT count(*) FROM fdw_fx;
SELECT set_config(name, 'off', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
RESET parallel_setup_cost; RESET parallel_tuple_cost; RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather; RESET parallel_leader_participation;

-- bounded memory: larger scans are refused, lookups are not
CREATE FOREIGN TABLE fdw_big (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
INSERT INTO fdw_big SELECT i, repeat('x', 1000) FROM generate_series(1, 200) i;
SET nr_cache.scan_memory = '64kB';
\set VERBOSITY terse
SELECT count(*) FROM fdw_big;
\set VERBOSITY default
SELECT length(v) FROM fdw_big WHERE k = 7;
RESET nr_cache.scan_memory;
SELECT count(*), sum(length(v)) FROM fdw_big;
SELECT k FROM fdw_big ORDER BY k LIMIT 1;

-- dropped and added columns
CREATE FOREIGN TABLE fdw_alter (a int, k int OPTIONS (key 'true'), b text) SERVER nr_cache OPTIONS (visibility 'immediate');
ALTER FOREIGN TABLE fdw_alter DROP COLUMN a;
ALTER FOREIGN TABLE fdw_alter ADD COLUMN c int;
INSERT INTO fdw_alter VALUES (1, 'b', 3);
SELECT * FROM fdw_alter;
SELECT fdw_alter, c FROM fdw_alter WHERE k = 1;

-- values of every kind
CREATE TYPE fdw_pair AS (x int, y text);
CREATE FOREIGN TABLE fdw_wide (k int, a int[], j jsonb, p fdw_pair, n numeric, t timestamptz, s "char", c char(5), d fdw_code, nm name, b bool)
    SERVER nr_cache OPTIONS (visibility 'immediate');
INSERT INTO fdw_wide VALUES
    (1, '{1,2,NULL}', '{"a": [1, 2]}', (7, 'y'), 12345678901234567890.5, '2024-01-02 03:04:05+00', 'x', 'ab', 'dom', 'nam', true),
    (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (3, NULL, 'null', (NULL, NULL), 'NaN', 'infinity', '', '', '', '', false);
SET timezone = 'UTC';
SELECT * FROM fdw_wide ORDER BY k;
SELECT k, p, d FROM fdw_wide WHERE k = 1;
SELECT a[2], j -> 'a' ->> 1 AS j, (p).y, n FROM fdw_wide WHERE k = 1;
SELECT k FROM fdw_wide WHERE p IS NULL ORDER BY k;
RESET timezone;

-- not supported
IMPORT FOREIGN SCHEMA s FROM SERVER nr_cache INTO public;
SELECT nr_check('fdw_fx'), nr_check('fdw_i8'), nr_check('fdw_big');
