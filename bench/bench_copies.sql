-- bench_copies.sql: what bench/bench_copies.sh runs first, in one session: memory,
-- writes of each visibility, and reads of each scheme while nobody writes.
-- Variables: rounds, scale.
\ir lib.sql

-- ---- data -------------------------------------------------------------------

-- What is compared: bigint pairs (i, 7 i + 1) in caches cache_<name>_10k and cache_<name>_1m.
CREATE TABLE kind (kind text PRIMARY KEY, name text, options text, sizes text[], loaded_by text);
INSERT INTO kind VALUES
    ('nr, one copy, immediate',   'nr1_imm', $$scheme 'nr', visibility 'immediate'$$, '{10k,1m}'),
    ('nr, one copy, commit',      'nr1_com', $$scheme 'nr', visibility 'commit'$$, '{10k,1m}'),
    ('nr, one copy, manual',      'nr1_man', $$scheme 'nr', visibility 'manual'$$, '{10k}'),
    ('nr, two copies, immediate', 'nr2_imm', $$scheme 'nr', visibility 'immediate', copies '2'$$, '{10k,1m}'),
    ('nr, two copies, commit',    'nr2_com', $$scheme 'nr', visibility 'commit', copies '2'$$, '{10k,1m}'),
    ('left_right, immediate',     'lr_imm',  $$scheme 'left_right', visibility 'immediate'$$, '{10k,1m}'),
    ('left_right, commit',        'lr_com',  $$scheme 'left_right', visibility 'commit'$$, '{10k,1m}'),
    ('left_right, manual',        'lr_man',  $$scheme 'left_right', visibility 'manual'$$, '{10k}');

CREATE FUNCTION size_rows(size text) RETURNS int LANGUAGE sql AS
    $$ SELECT CASE size WHEN '10k' THEN 10000 ELSE scaled(1000000) END $$;

-- Keys in random order: to load (part is a transaction's portion), and to look up; dice: for mixes.
CREATE PROCEDURE make_data(size text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format($q$
        CREATE UNLOGGED TABLE load_%1$s AS
            SELECT i::bigint AS k, i::bigint * 7 + 1 AS v, abs(hashint4(i)) %% 50 AS part
            FROM generate_series(1, %2$s) i ORDER BY part, hashint4(i);
        CREATE INDEX ON load_%1$s (part);
        CREATE UNLOGGED TABLE probe_%1$s AS
            SELECT k, k * 7 + 1 AS v, dice
            FROM (SELECT abs(hashint4(i + 17)::bigint) %% %2$s + 1 AS k, abs(hashint4(i + 5)) %% 100 AS dice
                  FROM generate_series(1, scaled(256000)) i) s;
        $q$, size, size_rows(size));
END $$;

-- In portions, because a transaction's changes are bounded; a cache with "manual" is published after each.
CREATE PROCEDURE make_cache(kind kind, size text) LANGUAGE plpgsql AS $$
DECLARE
    cache text := format('cache_%s_%s', kind.name, size);
BEGIN
    EXECUTE format('CREATE FOREIGN TABLE %I (k bigint OPTIONS (key ''true''), v bigint) SERVER nr_cache OPTIONS (%s)',
                   cache, kind.options);
    COMMIT;
    FOR p IN 0 .. 49 LOOP
        EXECUTE format('INSERT INTO %I SELECT k, v FROM load_%s WHERE part = %s', cache, size, p);
        COMMIT;
        IF kind.name LIKE '%man' THEN
            PERFORM nr_publish(cache::regclass);
            COMMIT;
        END IF;
    END LOOP;
END $$;

-- ---- reads, nobody writes -------------------------------------------------------

CREATE PROCEDURE make_read_suite(title text, size text) LANGUAGE plpgsql AS $$
DECLARE
    query text := format('SELECT sum(<>), count(p.k) FROM probe_%s p', size);
BEGIN
    INSERT INTO suite VALUES (title, 'the query without the call', 'ns net per nr_get', 'nr, one copy, immediate');
    INSERT INTO variant VALUES
        (title, 'the query without the call', 1, scaled(256000), NULL, NULL, replace(query, '<>', 'p.v')),
        (title, 'C function that does nothing', 1, scaled(256000), NULL, NULL,
         replace(query, '<>', format('bench_nothing(%L, p.k, p.v)', 'cache_nr1_imm_' || size)));
    INSERT INTO variant
        SELECT title, kind || w.what, 1, scaled(256000), NULL,
               CASE WHEN w.what <> '' THEN format('SELECT nr_put(%L, 1::bigint, 8::bigint)', cache) END,
               replace(query, '<>', format('nr_get(%L, p.k, NULL::bigint)', cache))
        FROM kind, format('cache_%s_%s', name, size) cache, (VALUES (''), (', after a write')) w (what)
        WHERE size = ANY (sizes) AND name NOT LIKE '%man' AND (w.what = '' OR name LIKE '%com');
END $$;

-- ---- writes ---------------------------------------------------------------------

/*
 * Each variant is a procedure: 1,000 statements, each its own transaction or all of
 * them one, keys that are there.  No round trips between client and server: a
 * procedure's COMMIT is an ordinary one.  "finish" runs once at the end and counts.
 */
CREATE TABLE put_variant (
    variant text PRIMARY KEY,
    statement text,             -- PL/pgSQL; "key" and "val" are what to write
    prepare text,               -- not timed
    finish text
);
INSERT INTO put_variant
    SELECT kind, format('PERFORM nr_put(%L, key, val)', cache), 'NULL', 'NULL'
    FROM kind, format('cache_%s_10k', name) cache WHERE name NOT LIKE '%man'
    UNION ALL
    SELECT kind || ', one nr_publish after 1,000', format('PERFORM nr_put(%L, key, val)', cache), 'NULL',
           format('PERFORM nr_publish(%L)', cache)
    FROM kind, format('cache_%s_10k', name) cache WHERE name LIKE '%man'
    UNION ALL
    SELECT kind || ', nr_publish after each', format('PERFORM nr_put(%L, key, val); PERFORM nr_publish(%1$L)', cache),
           'NULL', 'NULL'
    FROM kind, format('cache_%s_10k', name) cache WHERE name LIKE '%man'
    UNION ALL VALUES
    ('UPDATE of an unlogged table', 'UPDATE rows_10k SET v = val WHERE k = key', 'NULL', 'NULL'),
    ('INSERT into an unlogged table', 'INSERT INTO new_rows VALUES (key, val)', 'TRUNCATE new_rows', 'NULL'),
    ('C function that does nothing', 'PERFORM bench_nothing(''cache_nr1_imm_10k'', key, val)', 'NULL', 'NULL');

CREATE PROCEDURE make_put_suites() LANGUAGE plpgsql AS $$
DECLARE
    p record;
BEGIN
    -- room in each page for the new version of a row, so that its index entry stays as it is
    CREATE UNLOGGED TABLE rows_10k (k bigint PRIMARY KEY, v bigint NOT NULL) WITH (fillfactor = 50);
    INSERT INTO rows_10k SELECT k, v FROM load_10k;
    CREATE UNLOGGED TABLE new_rows (k bigint PRIMARY KEY, v bigint NOT NULL);
    INSERT INTO suite VALUES
        ('a write that is its own transaction', NULL, 'ns per write', 'UPDATE of an unlogged table'),
        ('1,000 writes in one transaction', NULL, 'ns per write', 'UPDATE of an unlogged table');
    FOR p IN SELECT row_number() OVER () AS n, * FROM put_variant LOOP
        EXECUTE format($q$
            CREATE PROCEDURE put_%1$s(suite text, round int, each bool) LANGUAGE plpgsql AS $body$
            DECLARE
                wall timestamptz;
                cpu bigint;
                key bigint;
                val bigint;
            BEGIN
                %2$s;
                COMMIT;
                wall := clock_timestamp();
                cpu := bench_cpu();
                FOR i IN 1 .. scaled(1000) LOOP
                    key := (i * 7919 + round) %% 10000 + 1;
                    val := key * 7 + 1;
                    %3$s;
                    IF each THEN
                        COMMIT;
                    END IF;
                END LOOP;
                %4$s;
                COMMIT;
                cpu := bench_cpu() - cpu;
                IF round > 0 THEN
                    INSERT INTO result VALUES (suite, %5$L, round, scaled(1000), cpu,
                        extract(epoch FROM clock_timestamp() - wall) * 1e9);
                END IF;
            END $body$
            $q$, p.n, p.prepare, p.statement, p.finish, p.variant);
    END LOOP;
END $$;

-- ---- what is run ------------------------------------------------------------------

CALL make_data('10k');
CALL make_data('1m');
SELECT format('CALL make_cache(%L, %L)', k, size) FROM kind k, unnest(sizes) size \gexec

SELECT kind, round(memory_used / 1048576.0, 1) AS "MB for 1,000,000 bigint pairs",
       round(memory_used::numeric / entries, 1) AS "bytes per pair",
       round(memory_used::numeric / first_value(memory_used) OVER (ORDER BY name <> 'nr1_imm'), 2) AS "x nr, one copy, immediate"
FROM kind JOIN nr_caches ON cache = to_regclass(format('cache_%s_1m', name)) ORDER BY memory_used, kind;

CALL make_put_suites();
CALL make_read_suite('nobody writes, 10k keys', '10k');
CALL make_read_suite('nobody writes, 1M keys', '1m');
VACUUM ANALYZE;
CHECKPOINT;

SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET work_mem = '512MB';

-- what is quick has three times the rounds
SELECT format('CALL put_%s(%L, %s, %L)', n, suite, round, suite LIKE 'a %')
FROM generate_series(0, 3 * :rounds) round, suite, (SELECT row_number() OVER () AS n FROM put_variant) p
WHERE baseline IS NULL
ORDER BY round, random() \gexec
SELECT format('CALL run(%L, %s)', suite, 3 * :rounds) FROM suite WHERE baseline IS NOT NULL ORDER BY suite \gexec

SELECT report_sql(s) FROM suite s ORDER BY suite \gexec
