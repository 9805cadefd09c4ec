-- bench_pairs.sql: what bench/bench_copies.sh runs second: a session that is
-- measured, and its partner, another one, that does something all the while.
-- Variables: rounds.
\set QUIET on
\set ON_ERROR_STOP on
\pset footer off
SET client_min_messages = warning;
SET search_path = bench, public;

CREATE TABLE pair_variant (
    suite text,
    variant text,
    kind text,                  -- of cache; NULL: no call
    query text,                 -- what is measured: bench_laps(...) over rows
    partner text,               -- what the partner does over and over; NULL: nothing
    cache text,                 -- or: one nr_put after the other into it, each a transaction
    warm text,                  -- before, not counted: for the processor's caches
    PRIMARY KEY (suite, kind, variant)
);
CREATE TABLE pair_result (suite text, variant text, kind text, round int, laps bigint[]);

-- ---- variants -----------------------------------------------------------------

-- Other keys than those that are measured.
CREATE UNLOGGED TABLE others_1m AS
    SELECT k, k * 7 + 1 AS v, dice
    FROM (SELECT abs(hashint4(i + 23)::bigint) % scaled(1000000) + 1 AS k, abs(hashint4(i + 11)) % 100 AS dice
          FROM generate_series(300001, 300000 + scaled(256000)) i) s;
VACUUM ANALYZE others_1m;

-- A reader, and who writes: put after put, or chunk after chunk (16 kB), or a transaction for each put.
INSERT INTO pair_variant
    SELECT 'reads', writer, kind,
           format('SELECT bench_laps(nr_get(%L, p.k, NULL::bigint)) FROM probe_1m p', cache),
           CASE writer
               WHEN 'nr_put' THEN
                   format('SELECT count(nr_put(%L, p.k, p.v)) FROM (SELECT * FROM others_1m LIMIT 50000) p', cache)
               WHEN 'INSERT ... SELECT' THEN
                   format('INSERT INTO %I SELECT k, v FROM load_1m WHERE part IN (7, 8)', cache) END,
           CASE writer WHEN 'nr_put; COMMIT' THEN cache END, warm
    FROM kind, format('cache_%s_1m', name) cache,
         format('SELECT count(nr_get(%L, k, NULL::bigint)) FROM probe_1m', cache) warm,
         unnest('{nobody,nr_put,INSERT ... SELECT,nr_put; COMMIT}'::text[]) writer
    WHERE '1m' = ANY (sizes)
      AND CASE WHEN name LIKE '%imm' THEN writer <> 'nr_put; COMMIT' ELSE writer IN ('nobody', 'nr_put; COMMIT') END
    UNION ALL
    SELECT 'reads', 'nobody', 'the query without the call', 'SELECT bench_laps(p.v) FROM probe_1m p', NULL, NULL,
           'SELECT count(v) FROM probe_1m';

-- Both sessions do the same.
INSERT INTO pair_variant
    SELECT 'mixes', percent, kind, query, replace(query, 'probe_1m', 'others_1m'), NULL,
           format('SELECT count(nr_get(%L, k, NULL::bigint)) FROM probe_1m', cache)
    FROM kind, unnest('{0,1,10,50}'::text[]) percent, format('cache_%s_1m', name) cache,
         format($q$ SELECT bench_laps(CASE WHEN p.dice < %s THEN nr_put(%L, p.k, p.v)::int
                                           ELSE nr_get(%2$L, p.k, NULL::bigint) END)
                    FROM (SELECT * FROM probe_1m LIMIT 64000) p $q$,
                percent, cache) query
    WHERE name LIKE '%imm';

-- ---- the two sessions -------------------------------------------------------------

CREATE UNLOGGED TABLE job (serial int, query text, cache regclass);
CREATE UNLOGGED TABLE begun (serial int);
INSERT INTO job VALUES (0);
INSERT INTO begun VALUES (0);

-- The partner: does its job until it has another one, 'stop' at the end.
CREATE PROCEDURE partner() LANGUAGE plpgsql AS $$
DECLARE
    j job;
BEGIN
    LOOP
        SELECT * INTO j FROM job;
        EXIT WHEN j.query = 'stop';
        IF j.cache IS NOT NULL THEN
            FOR i IN 1 .. scaled(1000) LOOP
                PERFORM nr_put(j.cache, i * 977::bigint, i * 977::bigint * 7 + 1);
                COMMIT;
            END LOOP;
        ELSIF j.query IS NOT NULL THEN
            EXECUTE j.query;
        ELSE
            PERFORM pg_sleep(0.001);
        END IF;
        UPDATE begun SET serial = j.serial WHERE serial <> j.serial;
        COMMIT;
    END LOOP;
END $$;

-- Give it a job, and wait until it has been at it once.
CREATE PROCEDURE give_job(what text, into_cache regclass) LANGUAGE plpgsql AS $$
DECLARE
    patience timestamptz := clock_timestamp() + '1 minute';
BEGIN
    UPDATE job SET serial = serial + 1, query = what, cache = into_cache;
    COMMIT;
    WHILE EXISTS (SELECT FROM job, begun WHERE job.serial <> begun.serial) LOOP
        IF clock_timestamp() > patience THEN
            RAISE EXCEPTION 'the partner is not there';
        END IF;
        COMMIT;
        PERFORM pg_sleep(0.001);
    END LOOP;
END $$;

CREATE PROCEDURE run_pairs(which text, rounds int) LANGUAGE plpgsql AS $$
DECLARE
    v pair_variant;
    r int;
    salt text;
    answer bigint[];
BEGIN
    FOR r IN 0 .. rounds LOOP
        salt := random();
        -- what is compared one right after the other
        FOR v IN
            SELECT * FROM pair_variant WHERE suite = which
            ORDER BY hashtext(salt || CASE which WHEN 'reads' THEN kind ELSE variant END), random()
        LOOP
            CALL give_job(v.partner, v.cache);
            EXECUTE v.warm;
            EXECUTE v.query INTO answer;
            IF answer[2] > 0 THEN
                RAISE EXCEPTION '% (%): % keys were not found', v.kind, v.variant, answer[2];
            END IF;
            IF r > 0 THEN
                INSERT INTO pair_result VALUES (which, v.variant, v.kind, r, answer);
            END IF;
            CALL give_job(NULL, NULL);
        END LOOP;
    END LOOP;
END $$;

-- Of each round; ns of "reads" are net of what the median row takes without a call.
CREATE VIEW pair_cost AS
    SELECT r.*, laps[1] * 1e9 / laps[3] AS per_second,
           laps[4]::float8 - base AS p50, laps[5]::float8 - base AS p99, laps[6]::float8 - base AS p999
    FROM pair_result r
    JOIN (SELECT suite, round, coalesce(max(laps[4]) FILTER (WHERE kind = 'the query without the call'), 0) AS base
          FROM pair_result GROUP BY suite, round) b USING (suite, round);
-- Medians over the rounds, also of the ratios to what each is compared with.
CREATE VIEW pair_summary AS
    SELECT c.suite, c.variant, c.kind,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY c.per_second) AS per_second,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY c.p50) AS p50,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY c.p99) AS p99,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY c.p999) AS p999,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY c.per_second / t.per_second) AS x_per_second,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY c.p50 / nullif(t.p50, 0)) AS x_p50,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY c.p99 / nullif(t.p99, 0)) AS x_p99
    FROM pair_cost c JOIN pair_cost t
        ON t.suite = c.suite AND t.round = c.round
        AND CASE c.suite WHEN 'reads' THEN t.kind = c.kind AND t.variant = 'nobody'
                         ELSE t.variant = c.variant AND t.kind = 'nr, one copy, immediate' END
    GROUP BY c.suite, c.variant, c.kind;

-- ---- what is run --------------------------------------------------------------------

SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET work_mem = '512MB';

CALL run_pairs('reads', :rounds);
CALL run_pairs('mixes', :rounds);
UPDATE job SET query = 'stop';

-- wall clock
SELECT kind AS "reads beside a writer, 1M keys", variant AS "it does",
       p50 AS "median, ns net", round(x_p50::numeric, 2) AS "x nobody writes",
       p99 AS "99 %", round(x_p99::numeric, 2) AS "x", p999 AS "99.9 %",
       round((per_second / 1e6)::numeric, 2) AS "M/s gross", round(x_per_second::numeric, 2) AS "x"
FROM pair_summary WHERE suite = 'reads' ORDER BY kind, variant <> 'nobody', variant;

-- of both: twice the rate of the one that is measured
SELECT variant || ' %' AS "writes of two sessions, 1M keys", kind,
       round((2 * per_second / 1e6)::numeric, 2) AS "M/s of both, gross",
       round(x_per_second::numeric, 2) AS "x nr, one copy, immediate",
       p50 AS "median, ns", p99 AS "99 %", p999 AS "99.9 %"
FROM pair_summary WHERE suite = 'mixes' ORDER BY variant::int, kind;

SELECT count(nr_check(c.oid::regclass)) AS "caches that nr_check found whole"
FROM pg_class c WHERE relkind = 'f' AND relnamespace = 'bench'::regnamespace;
