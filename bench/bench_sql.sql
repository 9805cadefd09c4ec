-- bench_sql.sql: what bench/bench_sql.sh runs.  Variables: replicas, rounds, scale.
--
-- Each suite is one set of keys.
\ir lib.sql

CREATE TABLE gate (
    gate text PRIMARY KEY,
    suite text, variant text,   -- what is judged: ratio of medians, variant / than
    than text,
    at_most numeric
);

-- ---- data -------------------------------------------------------------------

-- Key number i as a key of that type, and a value for it.
CREATE FUNCTION key_sql(type text, i text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE type WHEN 'bigint' THEN format('(%s)::bigint', i)
                     ELSE format('(''customer'' || lpad((%s)::text, 8, ''0''))', i) END
$$;
CREATE FUNCTION value_sql(type text, i text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE type WHEN 'bigint' THEN format('((%s)::bigint * 7 + 1)', i)
                     ELSE format('(''value'' || (%s)::text)', i) END
$$;

-- Cache and plain table with n keys; keys to look up in random order: a million, a
-- quarter of them for what is quick (short runs in turn even out a busy machine
-- better than long ones), and the same in arrays of 128.
CREATE PROCEDURE make_data(name text, ktype text, vtype text, n int) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format($q$
        CREATE FOREIGN TABLE cache_%1$s (k %2$s OPTIONS (key 'true'), v %3$s)
            SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
        CREATE UNLOGGED TABLE tab_%1$s (k %2$s, v %3$s NOT NULL);
        INSERT INTO tab_%1$s SELECT %4$s, %5$s FROM generate_series(1, %6$s) i ORDER BY hashint4(i);
        ALTER TABLE tab_%1$s ADD PRIMARY KEY (k);
        INSERT INTO cache_%1$s SELECT k, v FROM tab_%1$s;
        CREATE UNLOGGED TABLE probes_%1$s (v %3$s NOT NULL, k %2$s NOT NULL);
        INSERT INTO probes_%1$s
            SELECT %7$s, %8$s FROM generate_series(1, scaled(1000000)) i ORDER BY hashint4(i + 17);
        CREATE UNLOGGED TABLE probe_%1$s AS SELECT * FROM probes_%1$s LIMIT scaled(256000);
        CREATE UNLOGGED TABLE many_%1$s (vs %3$s[] NOT NULL, ks %2$s[] NOT NULL);
        ALTER TABLE many_%1$s ALTER vs SET STORAGE PLAIN, ALTER ks SET STORAGE PLAIN;
        INSERT INTO many_%1$s
            SELECT array_agg(v), array_agg(k)
            FROM (SELECT v, k, row_number() OVER () - 1 AS r FROM probe_%1$s) s
            GROUP BY r / 128;
        $q$, name, ktype, vtype, key_sql(ktype, 'i'), value_sql(vtype, 'i'), n,
        value_sql(vtype, format('i %% %s + 1', n)), key_sql(ktype, format('i %% %s + 1', n)));
END $$;

-- ---- lookups ------------------------------------------------------------------

CREATE PROCEDURE make_lookup_suite(title text, name text, vtype text, others bool) LANGUAGE plpgsql AS $$
DECLARE
    -- how an answer is summed up
    agg text := CASE vtype WHEN 'bigint' THEN 'sum(%s)' ELSE 'sum(length(%s))' END;
    one text := replace(format('SELECT <>, count(p.k) FROM probe_%s p', name), '<>', agg);
    few text := format('(SELECT * FROM probe_%s LIMIT scaled(100000)) p', name);
BEGIN
    INSERT INTO suite VALUES (title, 'the query without the call', 'ns net per lookup', 'unsynchronised peer');
    INSERT INTO variant VALUES
        (title, 'the query without the call', 1, scaled(256000), NULL, NULL, format(one, 'p.v')),
        (title, 'C function that does nothing', 1, scaled(256000), NULL, NULL,
         format(one, format('bench_nothing(%L, p.k, p.v)', 'cache_' || name))),
        (title, 'unsynchronised peer', 1, scaled(256000), NULL, NULL,
         format(one, format('bench_get(%L, p.k, NULL::%s)', 'cache_' || name, vtype))),
        (title, 'nr_get', 1, scaled(256000), NULL, NULL,
         format(one, format('nr_get(%L, p.k, NULL::%s)', 'cache_' || name, vtype)));
    IF NOT others THEN
        RETURN;
    END IF;
    INSERT INTO variant VALUES
        (title, 'nr_get_many, arrays of 128', 1, scaled(256000), NULL, NULL,
         format('SELECT %s, count(a) FROM many_%s, unnest(nr_get_many(%L, ks, NULL::%s)) a',
                format(agg, 'a'), name, 'cache_' || name, vtype)),
        (title, 'arrays without the call', 1, scaled(256000), NULL, NULL,
         format('SELECT %s, count(a) FROM many_%s, unnest(vs) a WHERE ks IS NOT NULL',
                format(agg, 'a'), name)),
        (title, 'hash join with a table', 0.2, scaled(1000000), NULL,
         'SET LOCAL enable_nestloop = off; SET LOCAL enable_mergejoin = off',
         format('SELECT %s, count(p.k) FROM probes_%s p JOIN tab_%2$s t USING (k)', format(agg, 't.v'), name)),
        (title, 'hash join with the cache as a foreign table', 0.2, scaled(1000000), NULL,
         'SET LOCAL enable_nestloop = off; SET LOCAL enable_mergejoin = off',
         format('SELECT %s, count(p.k) FROM probes_%s p JOIN cache_%2$s t USING (k)', format(agg, 't.v'), name)),
        (title, 'nested loop, btree', 0.2, scaled(100000), NULL,
         'SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_memoize = off',
         format('SELECT %s, count(p.k) FROM %s JOIN tab_%s t USING (k)', format(agg, 't.v'), few, name)),
        (title, 'nested loop, the cache as a foreign table', 0.2, scaled(100000), NULL,
         'SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_memoize = off',
         format('SELECT %s, count(p.k) FROM %s JOIN cache_%s t USING (k)', format(agg, 't.v'), few, name));
END $$;

-- ---- bulk writes --------------------------------------------------------------

CREATE PROCEDURE make_insert_suite(title text, name text, ktype text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format($q$
        CREATE FOREIGN TABLE into_cache_%1$s (k %2$s OPTIONS (key 'true'), v bigint)
            SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
        CREATE UNLOGGED TABLE into_tab_%1$s (k %2$s PRIMARY KEY, v bigint);
        $q$, name, ktype);
    INSERT INTO suite VALUES (title, NULL, 'ns per row', 'unlogged table with primary key');
    INSERT INTO variant VALUES
        (title, 'unlogged table with primary key', 0.5, scaled(1000000), format('TRUNCATE into_tab_%s', name), NULL,
         format('INSERT INTO into_tab_%s SELECT k, v FROM tab_%1$s', name)),
        (title, 'cache', 0.5, scaled(1000000), format('SELECT nr_truncate(''into_cache_%s'')', name), NULL,
         format('INSERT INTO into_cache_%s SELECT k, v FROM tab_%1$s', name)),
        (title, 'cache that has these keys', 0.2, scaled(1000000),
         format('INSERT INTO into_cache_%s SELECT k, v FROM tab_%1$s', name), NULL,
         format('INSERT INTO into_cache_%s SELECT k, v FROM tab_%1$s', name)),
        (title, 'nr_put, row by row', 0.2, scaled(1000000), format('SELECT nr_truncate(''into_cache_%s'')', name), NULL,
         format('SELECT count(nr_put(''into_cache_%s'', k, v)) FROM tab_%1$s', name)),
        (title, 'only the query', 0.5, scaled(1000000), NULL, NULL,
         format('SELECT count(k), sum(v) FROM tab_%s', name));
END $$;

-- ---- what is run ------------------------------------------------------------------

CALL make_data('b_10k', 'bigint', 'bigint', scaled(10000));
CALL make_data('b_1m', 'bigint', 'bigint', scaled(1000000));
CALL make_data('t_10k', 'text', 'bigint', scaled(10000));
CALL make_data('t_1m', 'text', 'bigint', scaled(1000000));
CALL make_data('tt_1m', 'text', 'text', scaled(1000000));
CALL make_lookup_suite('bigint, 10k keys', 'b_10k', 'bigint', true);
CALL make_lookup_suite('bigint, 1M keys', 'b_1m', 'bigint', true);
CALL make_lookup_suite('text, 10k keys', 't_10k', 'bigint', true);
CALL make_lookup_suite('text, 1M keys', 't_1m', 'bigint', true);
CALL make_lookup_suite('text to text, 1M keys', 'tt_1m', 'text', false);
CALL make_insert_suite('INSERT ... SELECT, 1M bigint keys', 'b_1m', 'bigint');
CALL make_insert_suite('INSERT ... SELECT, 1M text keys', 't_1m', 'text');

INSERT INTO gate VALUES
    ('nr_get, 10k bigint keys', 'bigint, 10k keys', 'nr_get', 'unsynchronised peer', 2.0),
    ('nr_get, 1M text keys', 'text, 1M keys', 'nr_get', 'unsynchronised peer', 1.2),
    ('INSERT ... SELECT, 1M bigint keys', 'INSERT ... SELECT, 1M bigint keys', 'cache',
     'unlogged table with primary key', 1.0 / 3),
    ('INSERT ... SELECT, 1M text keys', 'INSERT ... SELECT, 1M text keys', 'cache',
     'unlogged table with primary key', 1.0 / 3);

VACUUM ANALYZE;
CHECKPOINT;

SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET work_mem = '512MB';
SET hash_mem_multiplier = 2;

SELECT format('CALL run(%L, %s)', suite, :rounds) FROM suite ORDER BY suite LIKE 'INSERT%', suite \gexec

SELECT report_sql(s) FROM suite s ORDER BY suite LIKE 'INSERT%', suite \gexec

-- every cache is as it should be after all this
SELECT count(nr_check(c.oid::regclass)) AS "caches that nr_check found whole"
FROM pg_class c WHERE relkind = 'f' AND relnamespace = 'bench'::regnamespace;

\pset tuples_only on
\pset format unaligned
-- judged by medians; other people's load only ever adds, so lower quartiles are shown beside them
SELECT format('%s: %s (replicas = %s): %s times the %s (lower quartiles: %s); at most %s',
              CASE WHEN ratio <= at_most THEN 'PASS' ELSE 'FAIL' END, gate, :'replicas',
              round(ratio::numeric, 2), than, round(low::numeric, 2), round(at_most, 2))
FROM (SELECT g.*, a.median / b.median AS ratio, a.q1 / b.q1 AS low
      FROM gate g LEFT JOIN summary a USING (suite, variant)
      LEFT JOIN summary b ON b.suite = g.suite AND b.variant = g.than) s
ORDER BY gate;
