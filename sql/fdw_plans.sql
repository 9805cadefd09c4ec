--
-- Plans of queries over caches, what EXPLAIN says of them, and ANALYZE.  Only what
-- does not depend on the version of PostgreSQL is printed.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS nr_cache;
CREATE SCHEMA t_plans;
SET search_path = t_plans, public;
RESET client_min_messages;

-- the nodes of a plan, and what the wrapper adds to them
CREATE FUNCTION nodes(node json, depth int) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text := repeat('  ', depth) || (node ->> 'Node Type') || coalesce(' on ' || (node ->> 'Alias'), '');
    target json;
    name text;
    part json;
BEGIN
    FOREACH name IN ARRAY ARRAY['Cache Lookup', 'Cache Scan', 'Cache Write', 'Scheme', 'Copies', 'Visibility', 'Lookups', 'Entries Visited'] LOOP
        line := line || coalesce(', ' || name || ': ' || (node ->> name), '');
    END LOOP;
    IF (node ->> 'Scan Memory')::int >= 0 THEN
        line := line || ', memory known';
    END IF;
    FOR target IN SELECT * FROM json_array_elements(node -> 'Target Tables') LOOP
        line := line || coalesce(', of ' || (target ->> 'Alias') || ': ' || (target ->> 'Cache Write'), '');
    END LOOP;
    RETURN NEXT line;
    FOR part IN SELECT * FROM json_array_elements(node -> 'Plans') LOOP
        RETURN QUERY SELECT nodes(part, depth + 1);
    END LOOP;
END $$;
CREATE FUNCTION plan(query text, options text DEFAULT 'costs off') RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE format('EXPLAIN (FORMAT json, %s) %s', options, query) INTO plan;
    RETURN QUERY SELECT nodes(plan -> 0 -> 'Plan', 0);
END $$;
CREATE FUNCTION estimate(query text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
    RETURN plan -> 0 -> 'Plan' ->> 'Plan Rows';
END $$;

CREATE FOREIGN TABLE c (k int, quarter int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE one (k text, v numeric) SERVER nr_cache OPTIONS (scheme 'left_right');
CREATE FOREIGN TABLE two (k text, v numeric) SERVER nr_cache OPTIONS (copies '2', visibility 'manual');
CREATE TABLE small (id int, k int, w text);
CREATE TABLE big (id int, k int, w text);
INSERT INTO small SELECT i, i * 1000, 'w' || i FROM generate_series(1, 10) i;
INSERT INTO big SELECT i, i % 20000 + 1, 'w' || i FROM generate_series(1, 100000) i;
ANALYZE small, big;

-- ---- before there is anything in it ----

-- an empty cache is not believed to stay empty
SELECT estimate('SELECT * FROM c'), estimate('SELECT * FROM c WHERE k = 1'), estimate('SELECT * FROM c WHERE quarter = 1');
SELECT plan('SELECT * FROM small JOIN c USING (k)');
SELECT plan('SELECT * FROM big JOIN c USING (k)');

-- ---- filled, not analyzed: live counts, and keys are unique ----

INSERT INTO c SELECT i, i % 4, 'v' || i FROM generate_series(1, 20000) i;
SELECT reltuples FROM pg_class WHERE oid = 'c'::regclass;
SELECT estimate('SELECT * FROM c'), estimate('SELECT * FROM c WHERE k = 1'), estimate('SELECT * FROM c WHERE k IN (1, 2, 3)'),
       round(estimate('SELECT * FROM big JOIN c USING (k)'), -4) AS big, estimate('SELECT * FROM small JOIN c USING (k)');
-- lookups for a small outer side, a hash of everything for a large one
CREATE FUNCTION joins() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    query text;
BEGIN
    FOREACH query IN ARRAY ARRAY[
        'SELECT * FROM small JOIN c USING (k)',
        'SELECT * FROM big JOIN c USING (k)',
        'SELECT * FROM small LEFT JOIN c USING (k) WHERE small.id < 3',
        'SELECT * FROM small s, LATERAL (SELECT v FROM c WHERE c.k = s.k + s.id OFFSET 0) l',
        'SELECT s.id, (SELECT v FROM c WHERE c.k = s.k) FROM small s',
        'SELECT * FROM small s, c WHERE c.k = ANY (ARRAY[s.k, s.id])'] LOOP
        RETURN NEXT query;
        RETURN QUERY SELECT '  ' || regexp_replace(line, '(Lookup|Scan): .*', '\1') FROM plan(query) line;
    END LOOP;
END $$;
SELECT joins();
-- semi-joins, anti-joins: the outer side decides
CREATE FUNCTION uses(query text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(regexp_replace(line, '^ *([^,]*), (Cache \w+).*', '\1: \2'), '; ' ORDER BY ltrim(line) COLLATE "C")
    FROM plan(query) line WHERE line ~ 'Cache'
$$;
SELECT uses('SELECT * FROM small s WHERE EXISTS (SELECT FROM c WHERE c.k = s.k)') AS semi_small,
       uses('SELECT * FROM big b WHERE EXISTS (SELECT FROM c WHERE c.k = b.k)') AS semi_big,
       uses('SELECT * FROM small s WHERE NOT EXISTS (SELECT FROM c WHERE c.k = s.k)') AS anti_small,
       uses('SELECT * FROM big b WHERE NOT EXISTS (SELECT FROM c WHERE c.k = b.k)') AS anti_big,
       uses('SELECT * FROM c WHERE k IN (SELECT k FROM small)') AS in_small,
       uses('SELECT * FROM c WHERE k IN (SELECT k FROM big)') AS in_big;
-- arrays: a few keys are looked up, half of them are not
SELECT uses('SELECT * FROM c WHERE k = ANY (''{1,2,3}'')') AS few,
       uses(format('SELECT * FROM c WHERE k = ANY (%L)', ARRAY(SELECT generate_series(1, 10000)))) AS many,
       uses('SELECT * FROM c a JOIN c b USING (k) WHERE a.k = 7') AS itself,
       uses('SELECT * FROM c a JOIN c b USING (k)') AS all_of_itself;
PREPARE q(int) AS SELECT * FROM big JOIN c ON c.k = big.k WHERE big.id = $1;
SET plan_cache_mode = force_generic_plan;
SELECT uses('EXECUTE q(1)');
RESET plan_cache_mode;
DEALLOCATE q;
-- writes by key are lookups, too
SELECT uses('UPDATE c SET v = s.w FROM small s WHERE c.k = s.k'), uses('DELETE FROM c USING small s WHERE c.k = s.k');

-- ---- ANALYZE ----

-- without statistics of the value column: one of 200
SELECT estimate('SELECT * FROM c WHERE quarter = 1'), estimate('SELECT * FROM c WHERE quarter < 1 AND v > ''v5''');
ANALYZE c;
SELECT reltuples, relpages > 1 AS pages FROM pg_class WHERE oid = 'c'::regclass;
SELECT attname, n_distinct, null_frac, avg_width > 0 AS width, most_common_freqs, array_length(histogram_bounds, 1) AS bounds
    FROM pg_stats WHERE tablename = 'c' AND schemaname = 't_plans' ORDER BY attname;
SELECT estimate('SELECT * FROM c WHERE quarter = 1'), estimate('SELECT * FROM c WHERE quarter = 9') < 10 AS few, estimate('SELECT * FROM c WHERE k = 1'),
       estimate('SELECT * FROM c WHERE k <= 5000') BETWEEN 4900 AND 5100 AS range, round(estimate('SELECT * FROM big JOIN c USING (k)'), -4) AS big;
-- the same joins as before
SELECT joins();
-- statistics of the value decide which side is looked up
SELECT uses('SELECT * FROM c JOIN one ON one.k = c.v WHERE c.quarter = 9') AS few_of_c, uses('SELECT * FROM c JOIN one ON one.k = c.v WHERE c.quarter = 1') AS many_of_c;

-- statistics over several columns: the fourth of a quarter is the whole of it
SELECT estimate('SELECT * FROM c WHERE quarter = 1 AND k % 4 = 1');
CREATE STATISTICS c_quarter ON quarter, (k % 4) FROM c;
ANALYZE c;
SELECT estimate('SELECT * FROM c WHERE quarter = 1 AND k % 4 = 1');

-- counts are live, also after ANALYZE; few entries are believed once it has seen few
DELETE FROM c WHERE k > 500;
SELECT estimate('SELECT * FROM c');
ANALYZE c (quarter);
SELECT estimate('SELECT * FROM c');
INSERT INTO c SELECT i FROM generate_series(1, 3000) i;
SELECT estimate('SELECT * FROM c');
TRUNCATE c;
SELECT estimate('SELECT * FROM c');
ANALYZE c;
SELECT reltuples, estimate('SELECT * FROM c') FROM pg_class WHERE oid = 'c'::regclass;

-- a sample is a sample
INSERT INTO c SELECT i, (i <= 25000)::int, CASE WHEN i % 2 = 0 THEN 'v' END FROM generate_series(1, 50000) i;
SET default_statistics_target = 10;
ANALYZE c;
RESET default_statistics_target;
SELECT reltuples FROM pg_class WHERE oid = 'c'::regclass;
SELECT attname, n_distinct, null_frac BETWEEN 0.4 AND 0.6 AS half_null, most_common_freqs[1] BETWEEN 0.4 AND 0.6 AS half
    FROM pg_stats WHERE tablename = 'c' AND schemaname = 't_plans' AND attname <> 'k' ORDER BY attname;
SELECT n_distinct, histogram_bounds::text::int[] @> '{}' AND (histogram_bounds::text::int[])[6] BETWEEN 20000 AND 30000 AS middle
    FROM pg_stats WHERE tablename = 'c' AND schemaname = 't_plans' AND attname = 'k';

-- too large to be copied: the count is kept honest, a warning tells, nothing fails
INSERT INTO c SELECT i FROM generate_series(50001, 60000) i;
SET nr_cache.scan_memory = '64kB';
\set VERBOSITY terse
ANALYZE c;
\set VERBOSITY default
SELECT reltuples FROM pg_class WHERE oid = 'c'::regclass;
SELECT attname, n_distinct FROM pg_stats WHERE tablename = 'c' AND schemaname = 't_plans' ORDER BY attname;
BEGIN;
INSERT INTO one SELECT i::text, i FROM generate_series(1, 5000) i;
\set VERBOSITY terse
ANALYZE one;
\set VERBOSITY default
ROLLBACK;
RESET nr_cache.scan_memory;

-- what a transaction has staged counts in its own ANALYZE; what is pending does not
BEGIN;
INSERT INTO one SELECT i::text, i FROM generate_series(1, 100) i;
ANALYZE one;
COMMIT;
SELECT count(*) FROM one;
INSERT INTO two SELECT i::text, i FROM generate_series(1, 100) i;
ANALYZE two;
SELECT relname, reltuples FROM pg_class WHERE oid IN ('one'::regclass, 'two'::regclass) ORDER BY 1;
SELECT nr_publish('two') > 0 AS published;
VACUUM ANALYZE two;
ANALYZE two;
SELECT relname, reltuples FROM pg_class WHERE oid IN ('one'::regclass, 'two'::regclass) ORDER BY 1;
-- dropped and generated columns, rows and arrays
CREATE FOREIGN TABLE odd (gone int, k int OPTIONS (key 'true'), a int[], r small, j jsonb, g int GENERATED ALWAYS AS (k % 2) STORED) SERVER nr_cache;
ALTER FOREIGN TABLE odd DROP COLUMN gone;
INSERT INTO odd SELECT i, ARRAY[i % 3], ROW(i, i, 'w')::small, '{"a": 1}' FROM generate_series(1, 100) i;
ANALYZE odd;
SELECT attname, n_distinct, most_common_elems FROM pg_stats WHERE tablename = 'odd' ORDER BY attname;
-- partitions and children: with the parent, and by themselves
CREATE TABLE parted (k int, v text) PARTITION BY RANGE (k);
CREATE FOREIGN TABLE parted1 PARTITION OF parted FOR VALUES FROM (0) TO (1000) SERVER nr_cache;
CREATE FOREIGN TABLE parted2 PARTITION OF parted FOR VALUES FROM (1000) TO (2000) SERVER nr_cache;
CREATE TABLE parted3 PARTITION OF parted FOR VALUES FROM (2000) TO (3000);
INSERT INTO parted SELECT i, 'v' || i % 10 FROM generate_series(0, 2999) i;
ANALYZE parted;
SELECT relname, reltuples FROM pg_class WHERE relname ~ '^parted' AND relnamespace = 't_plans'::regnamespace ORDER BY 1;
SELECT tablename, inherited, attname, n_distinct FROM pg_stats WHERE tablename ~ '^parted' AND schemaname = 't_plans' AND attname = 'v' ORDER BY 1;

-- joined partition by partition, the lookup is all there is to evaluate
CREATE TABLE other (k int, v text) PARTITION BY RANGE (k);
CREATE TABLE other1 PARTITION OF other FOR VALUES FROM (0) TO (1000);
CREATE TABLE other2 PARTITION OF other FOR VALUES FROM (1000) TO (2000);
CREATE TABLE other3 PARTITION OF other FOR VALUES FROM (2000) TO (3000);
INSERT INTO other SELECT i FROM generate_series(0, 2999, 100) i;
ANALYZE other;
CREATE FUNCTION filters(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        IF line ~ '(Lookup|Filter|Scan on parted)' THEN
            RETURN NEXT ltrim(line);
        END IF;
    END LOOP;
END $$;
SET enable_partitionwise_join = on; SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off;
SELECT filters('SELECT * FROM other o LEFT JOIN parted p ON p.k = o.k WHERE o.k < 2000');
SELECT filters('SELECT * FROM other o JOIN parted p ON p.k = o.k AND p.v <> o.v WHERE o.k < 2000');
SELECT count(p.k) FROM other o LEFT JOIN parted p ON p.k = o.k;
RESET enable_partitionwise_join; RESET enable_hashjoin; RESET enable_mergejoin; RESET enable_material;

-- ---- EXPLAIN ----

TRUNCATE c;
INSERT INTO c SELECT i, i % 4, 'v' || i FROM generate_series(1, 1000) i;
SELECT plan('SELECT * FROM c WHERE k = 7', 'verbose, costs off');
SELECT plan('SELECT * FROM one', 'verbose, costs off');
SELECT plan('SELECT v FROM two WHERE k IN (''1'', ''2'')', 'verbose, costs off');
SELECT plan('SELECT * FROM c WHERE k IN (7, 8, 8, 5000, NULL)', 'analyze, costs off, timing off, summary off');
SELECT plan('SELECT * FROM c WHERE k = NULL::int', 'analyze, costs off, timing off, summary off');
SELECT plan('SELECT * FROM c WHERE quarter = 1', 'analyze, costs off, timing off, summary off');
SELECT plan('SELECT * FROM small s CROSS JOIN LATERAL (SELECT * FROM c WHERE c.k = s.id * 150 OFFSET 0) c', 'analyze, costs off, timing off, summary off');
SELECT plan('SELECT * FROM c WHERE k = 1 OR k = 2 OR quarter = 9', 'analyze, costs off, timing off, summary off');
-- what parallel workers visit is not counted: no numbers then
SELECT set_config(name, 'on', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SET max_parallel_workers_per_gather = 1;
SELECT ltrim(p) FROM plan('SELECT * FROM c WHERE quarter = 1', 'analyze, costs off, timing off, summary off') p WHERE p ~ 'Cache';
SELECT ltrim(p) FROM plan('SELECT * FROM c WHERE k = 1', 'analyze, costs off, timing off, summary off') p WHERE p ~ 'Cache';
RESET max_parallel_workers_per_gather;
SELECT set_config(name, 'off', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
-- writes
SELECT plan('INSERT INTO c VALUES (1)'), plan('INSERT INTO c VALUES (1) RETURNING k'), plan('INSERT INTO one VALUES (1)'), plan('INSERT INTO two VALUES (1)');
SELECT plan('UPDATE c SET v = ''x'' WHERE k = 5', 'analyze, costs off, timing off, summary off');
SELECT plan('DELETE FROM c WHERE quarter = 2', 'analyze, costs off, timing off, summary off');
SELECT plan('UPDATE one SET v = 0 WHERE k = ''5''', 'verbose, costs off');
SELECT plan('UPDATE parted SET v = ''x'' WHERE k IN (7, 1007, 2007)');
SELECT count(*), count(*) FILTER (WHERE v = 'x') AS updated FROM c;
-- EXPLAIN as text, of all formats at least something
DO $$
DECLARE
    f text;
    line text;
    n int;
BEGIN
    FOREACH f IN ARRAY ARRAY['text', 'xml', 'yaml', 'json'] LOOP
        n := 0;
        FOR line IN EXECUTE format('EXPLAIN (ANALYZE, VERBOSE, FORMAT %s) UPDATE c SET v = NULL WHERE k = 7', f) LOOP
            n := n + (line ~ 'Cache[ -]Lookup')::int + (line ~ 'Cache[ -]Write')::int + (line ~ 'Entries[ -]Visited')::int + (line ~ 'Visibility')::int;
        END LOOP;
        RAISE NOTICE '% %', f, n >= CASE WHEN f = 'text' THEN 4 ELSE 1 END;
    END LOOP;
END $$;

SET client_min_messages = warning;
DROP SCHEMA t_plans CASCADE;
RESET client_min_messages;
RESET search_path;
