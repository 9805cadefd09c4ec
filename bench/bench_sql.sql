-- bench_sql.sql: what bench/bench_sql.sh runs.  Variables: replicas, rounds.
--
-- Each suite is one set of keys; its variants answer the same question and are
-- run in a shuffled order, round after round, in one backend, so that whatever
-- else the machine does meets all of them.  Round 0 warms up and does not count.
-- Times are the backend's own processor time.
\set QUIET on
\set ON_ERROR_STOP on
\pset footer off
SET client_min_messages = warning;

CREATE EXTENSION nr_cache;
CREATE SCHEMA bench;
SET search_path = bench, public;

CREATE FUNCTION bench_cpu() RETURNS bigint
AS '$libdir/nr_cache', 'nr_bench_cpu' LANGUAGE C VOLATILE;
-- labels and signatures as nr_get has them
CREATE FUNCTION bench_get(cache regclass, key text, fallback anycompatible) RETURNS anycompatible
AS '$libdir/nr_cache', 'nr_bench_get_typed' LANGUAGE C STABLE PARALLEL SAFE;
CREATE FUNCTION bench_get(cache regclass, key anynonarray, fallback anycompatible) RETURNS anycompatible
AS '$libdir/nr_cache', 'nr_bench_get_typed' LANGUAGE C STABLE PARALLEL SAFE;
CREATE FUNCTION bench_nothing(cache regclass, key text, fallback anycompatible) RETURNS anycompatible
AS '$libdir/nr_cache', 'nr_bench_nothing' LANGUAGE C STABLE PARALLEL SAFE;
CREATE FUNCTION bench_nothing(cache regclass, key anynonarray, fallback anycompatible) RETURNS anycompatible
AS '$libdir/nr_cache', 'nr_bench_nothing' LANGUAGE C STABLE PARALLEL SAFE;

CREATE TABLE suite (
    suite text PRIMARY KEY,
    baseline text,              -- variant whose cost is taken off; NULL: costs are gross
    unit text
);
CREATE TABLE variant (
    suite text REFERENCES suite,
    variant text,
    per_round real,             -- 1: every round; 0.5: every other one
    n int,                      -- lookups or rows
    prepare text,               -- before, not timed, a transaction of its own
    settings text,              -- SET LOCAL ...
    query text,
    PRIMARY KEY (suite, variant)
);
CREATE TABLE result (suite text, variant text, round int, n int, cpu_ns bigint, wall_ns bigint, answer text);
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
            SELECT %7$s, %8$s FROM generate_series(1, 1000000) i ORDER BY hashint4(i + 17);
        CREATE UNLOGGED TABLE probe_%1$s AS SELECT * FROM probes_%1$s LIMIT 128 * 2000;
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
    few text := format('(SELECT * FROM probe_%s LIMIT 100000) p', name);
BEGIN
    INSERT INTO suite VALUES (title, 'the query without the call', 'ns net per lookup');
    INSERT INTO variant VALUES
        (title, 'the query without the call', 1, 256000, NULL, NULL, format(one, 'p.v')),
        (title, 'C function that does nothing', 1, 256000, NULL, NULL,
         format(one, format('bench_nothing(%L, p.k, p.v)', 'cache_' || name))),
        (title, 'unsynchronised peer', 1, 256000, NULL, NULL,
         format(one, format('bench_get(%L, p.k, NULL::%s)', 'cache_' || name, vtype))),
        (title, 'nr_get', 1, 256000, NULL, NULL,
         format(one, format('nr_get(%L, p.k, NULL::%s)', 'cache_' || name, vtype)));
    IF NOT others THEN
        RETURN;
    END IF;
    INSERT INTO variant VALUES
        (title, 'nr_get_many, arrays of 128', 1, 256000, NULL, NULL,
         format('SELECT %s, count(a) FROM many_%s, unnest(nr_get_many(%L, ks, NULL::%s)) a',
                format(agg, 'a'), name, 'cache_' || name, vtype)),
        (title, 'arrays without the call', 1, 256000, NULL, NULL,
         format('SELECT %s, count(a) FROM many_%s, unnest(vs) a WHERE ks IS NOT NULL',
                format(agg, 'a'), name)),
        (title, 'hash join with a table', 0.2, 1000000, NULL,
         'SET LOCAL enable_nestloop = off; SET LOCAL enable_mergejoin = off',
         format('SELECT %s, count(p.k) FROM probes_%s p JOIN tab_%2$s t USING (k)', format(agg, 't.v'), name)),
        (title, 'hash join with the cache as a foreign table', 0.2, 1000000, NULL,
         'SET LOCAL enable_nestloop = off; SET LOCAL enable_mergejoin = off',
         format('SELECT %s, count(p.k) FROM probes_%s p JOIN cache_%2$s t USING (k)', format(agg, 't.v'), name)),
        (title, 'nested loop, btree', 0.2, 100000, NULL,
         'SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_memoize = off',
         format('SELECT %s, count(p.k) FROM %s JOIN tab_%s t USING (k)', format(agg, 't.v'), few, name)),
        (title, 'nested loop, the cache as a foreign table', 0.2, 100000, NULL,
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
    INSERT INTO suite VALUES (title, NULL, 'ns per row');
    INSERT INTO variant VALUES
        (title, 'unlogged table with primary key', 0.5, 1000000, format('TRUNCATE into_tab_%s', name), NULL,
         format('INSERT INTO into_tab_%s SELECT k, v FROM tab_%1$s', name)),
        (title, 'cache', 0.5, 1000000, format('SELECT nr_truncate(''into_cache_%s'')', name), NULL,
         format('INSERT INTO into_cache_%s SELECT k, v FROM tab_%1$s', name)),
        (title, 'cache that has these keys', 0.2, 1000000,
         format('INSERT INTO into_cache_%s SELECT k, v FROM tab_%1$s', name), NULL,
         format('INSERT INTO into_cache_%s SELECT k, v FROM tab_%1$s', name)),
        (title, 'nr_put, row by row', 0.2, 1000000, format('SELECT nr_truncate(''into_cache_%s'')', name), NULL,
         format('SELECT count(nr_put(''into_cache_%s'', k, v)) FROM tab_%1$s', name)),
        (title, 'only the query', 0.5, 1000000, NULL, NULL,
         format('SELECT count(k), sum(v) FROM tab_%s', name));
END $$;

-- ---- running --------------------------------------------------------------------

CREATE PROCEDURE run(which text, rounds int) LANGUAGE plpgsql AS $$
DECLARE
    v variant;
    r int;
    cpu bigint;
    wall timestamptz;
    answer record;
BEGIN
    FOR r IN 0 .. rounds LOOP
        FOR v IN
            SELECT * FROM variant
            WHERE suite = which AND (r = 0 OR floor(r * per_round) > floor((r - 1) * per_round))
            ORDER BY random()
        LOOP
            IF v.prepare IS NOT NULL THEN
                EXECUTE v.prepare;
                COMMIT;
            END IF;
            IF v.settings IS NOT NULL THEN
                EXECUTE v.settings;
            END IF;
            wall := clock_timestamp();
            cpu := bench_cpu();
            IF v.query LIKE 'INSERT%' THEN
                EXECUTE v.query;
                cpu := bench_cpu() - cpu;
                answer := NULL;
            ELSE
                EXECUTE v.query INTO answer;
                cpu := bench_cpu() - cpu;
            END IF;
            IF r > 0 THEN
                INSERT INTO result VALUES (which, v.variant, r, v.n, cpu,
                    extract(epoch FROM clock_timestamp() - wall) * 1e9, answer::text);
            END IF;
            COMMIT;
        END LOOP;
    END LOOP;
    IF EXISTS (SELECT FROM result JOIN suite USING (suite) WHERE suite = which AND baseline IS NOT NULL
               GROUP BY n HAVING count(DISTINCT result.answer) > 1) THEN
        RAISE EXCEPTION 'the variants of "%" do not agree', which;
    END IF;
END $$;

-- Cost of one lookup or row in each round, net of the suite's baseline in that round.
CREATE VIEW cost AS
    SELECT r.suite, r.variant, r.round,
           r.cpu_ns::float8 / r.n - coalesce(b.cpu_ns::float8 / b.n, 0) AS ns,
           r.wall_ns::float8 / r.n - coalesce(b.wall_ns::float8 / b.n, 0) AS wall_ns
    FROM result r JOIN suite s USING (suite)
    LEFT JOIN result b ON b.suite = r.suite AND b.round = r.round AND b.variant <> r.variant
        AND b.variant = CASE WHEN r.variant LIKE '%arrays of%' THEN 'arrays without the call' ELSE s.baseline END;

CREATE VIEW summary AS
    SELECT suite, variant,
           percentile_cont(0.25) WITHIN GROUP (ORDER BY ns) AS q1,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY ns) AS median,
           percentile_cont(0.75) WITHIN GROUP (ORDER BY ns) AS q3,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY wall_ns) AS wall
    FROM cost GROUP BY suite, variant;

-- ---- what is run ------------------------------------------------------------------

CALL make_data('b_10k', 'bigint', 'bigint', 10000);
CALL make_data('b_1m', 'bigint', 'bigint', 1000000);
CALL make_data('t_10k', 'text', 'bigint', 10000);
CALL make_data('t_1m', 'text', 'bigint', 1000000);
CALL make_data('tt_1m', 'text', 'text', 1000000);
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

SELECT format($q$
    SELECT variant AS %1$I, round(median::numeric, 1) AS %2$I,
           format('%%s .. %%s', round(q1::numeric, 1), round(q3::numeric, 1)) AS quartiles,
           round(wall::numeric, 1) AS "wall clock",
           round((median / (SELECT median FROM summary
                            WHERE suite = %1$L AND variant = %3$L))::numeric, 2) AS %4$I
    FROM summary WHERE suite = %1$L AND variant IS DISTINCT FROM %5$L AND variant NOT LIKE 'arrays without%%'
    ORDER BY median
    $q$, suite, unit, than, 'x ' || than, baseline)
FROM suite, LATERAL (SELECT CASE WHEN baseline IS NULL THEN 'unlogged table with primary key'
                            ELSE 'unsynchronised peer' END AS than) t
ORDER BY suite LIKE 'INSERT%', suite \gexec

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
