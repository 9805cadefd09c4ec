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
    PRIMARY KEY (suite, kind, variant)
);
CREATE TABLE pair_result (suite text, variant text, kind text, round int, laps bigint[]);

-- ---- variants -----------------------------------------------------------------

-- Other keys than those that are measured.
CREATE UNLOGGED TABLE others_1m AS
    SELECT k, k * 7 + 1 AS v, dice
    FROM (SELECT abs(hashint4(i + 23)::bigint) % 1000000 + 1 AS k, abs(hashint4(i + 11)) % 100 AS dice
          FROM generate_series(300001, 556000) i) s;
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
           CASE writer WHEN 'nr_put; COMMIT' THEN cache END
    FROM kind, format('cache_%s_1m', name) cache,
         unnest('{nobody,nr_put,INSERT ... SELECT,nr_put; COMMIT}'::text[]) writer
    WHERE '1m' = ANY (sizes)
      AND CASE WHEN name LIKE '%imm' THEN writer <> 'nr_put; COMMIT' ELSE writer IN ('nobody', 'nr_put; COMMIT') END
    UNION ALL
    SELECT 'reads', 'nobody', 'the query without the call', 'SELECT bench_laps(p.v) FROM probe_1m p', NULL, NULL;

-- Both sessions do the same.
INSERT INTO pair_variant
    SELECT 'mixes', percent, kind, query, replace(query, 'probe_1m', 'others_1m'), NULL
    FROM kind, unnest('{0,1,10,50}'::text[]) percent, format('cache_%s_1m', name) cache,
         format($q$ SELECT bench_laps(CASE WHEN p.dice < %s THEN nr_put(%L, p.k, p.v)::int
                                           ELSE nr_get(%2$L, p.k, NULL::bigint) END) FROM probe_1m p $q$,
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
            FOR i IN 1 .. 1000 LOOP
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
    answer bigint[];
BEGIN
    FOR r IN 0 .. rounds LOOP
        FOR v IN SELECT * FROM pair_variant WHERE suite = which ORDER BY random() LOOP
            CALL give_job(v.partner, v.cache);
            -- once for the processor's caches
            EXECUTE v.query;
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

-- Medians over the rounds.
CREATE VIEW pair_summary AS
    SELECT suite, variant, kind,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY laps[1] * 1e9 / laps[3]) AS per_second,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY laps[4]) AS p50,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY laps[5]) AS p99,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY laps[6]) AS p999
    FROM pair_result GROUP BY suite, variant, kind;

-- ---- what is run --------------------------------------------------------------------

SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET work_mem = '512MB';

CALL run_pairs('reads', :rounds);
CALL run_pairs('mixes', :rounds);
UPDATE job SET query = 'stop';

-- wall clock; net of what the median row of the query takes without the call
SELECT s.kind AS "reads beside a writer, 1M keys", s.variant AS "it does",
       s.p50 - b.p50 AS "median, ns net", round(((s.p50 - b.p50) / nullif(a.p50 - b.p50, 0))::numeric, 2) AS x,
       s.p99 - b.p50 AS "99 %", round(((s.p99 - b.p50) / nullif(a.p99 - b.p50, 0))::numeric, 2) AS x,
       s.p999 - b.p50 AS "99.9 %", round((s.per_second / 1e6)::numeric, 2) AS "M/s gross"
FROM pair_summary s JOIN pair_summary b ON b.kind = 'the query without the call'
LEFT JOIN pair_summary a ON a.suite = s.suite AND a.kind = s.kind AND a.variant = 'nobody'
WHERE s.suite = 'reads' ORDER BY s.kind, s.p50;

-- wall clock, gross; of both: twice the rate of the one that is measured
SELECT s.variant || ' %' AS "writes of two sessions, 1M keys", s.kind,
       round((2 * s.per_second / 1e6)::numeric, 2) AS "M/s of both",
       round((s.per_second / a.per_second)::numeric, 2) AS "x nr, one copy, immediate",
       s.p50 AS "median, ns", s.p99 AS "99 %", s.p999 AS "99.9 %"
FROM pair_summary s JOIN pair_summary a ON a.suite = s.suite AND a.variant = s.variant AND a.kind = 'nr, one copy, immediate'
WHERE s.suite = 'mixes' ORDER BY s.variant::int, s.kind;

SELECT count(nr_check(c.oid::regclass)) AS "caches that nr_check found whole"
FROM pg_class c WHERE relkind = 'f' AND relnamespace = 'bench'::regnamespace;
