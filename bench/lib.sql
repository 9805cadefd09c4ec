-- lib.sql: what the benchmarks through SQL share: suites of variants, running
-- them, summing up.
--
-- The variants of a suite answer the same question and are run in a shuffled
-- order, round after round, in one backend, so that whatever else the machine does
-- meets all of them.  Round 0 warms up and does not count.  Times are the
-- backend's own processor time.
\set QUIET on
\set ON_ERROR_STOP on
\pset footer off
SET client_min_messages = warning;

CREATE EXTENSION nr_cache;
CREATE SCHEMA bench;
SET search_path = bench, public;

-- What there is to do of so much, which is a multiple of 1000: the variable scale is 100 when it is only to be seen
-- that all works.
\if :{?scale}
\else
    \set scale 1
\endif
CREATE FUNCTION scaled(n int) RETURNS int LANGUAGE sql IMMUTABLE RETURN n / :scale;

CREATE FUNCTION bench_cpu() RETURNS bigint
AS '$libdir/nr_cache', 'nr_bench_cpu' LANGUAGE C VOLATILE;
CREATE FUNCTION bench_wall() RETURNS bigint
AS '$libdir/nr_cache', 'nr_bench_wall' LANGUAGE C VOLATILE;
-- What each row of a query took: {laps, NULLs, and in ns: sum, median, 99 %, 99.9 %, largest, 99.99 %}.
CREATE FUNCTION bench_lap(internal, bigint) RETURNS internal
AS '$libdir/nr_cache', 'nr_bench_lap' LANGUAGE C VOLATILE;
CREATE FUNCTION bench_laps_final(internal) RETURNS bigint[]
AS '$libdir/nr_cache', 'nr_bench_laps' LANGUAGE C VOLATILE;
CREATE AGGREGATE bench_laps(bigint) (SFUNC = bench_lap, STYPE = internal, FINALFUNC = bench_laps_final);
-- labels and signatures as nr_get has them
CREATE FUNCTION bench_get(cache regclass, key text, fallback anycompatible) RETURNS anycompatible
AS '$libdir/nr_cache', 'nr_bench_peer_get_typed' LANGUAGE C STABLE PARALLEL SAFE;
CREATE FUNCTION bench_get(cache regclass, key anynonarray, fallback anycompatible) RETURNS anycompatible
AS '$libdir/nr_cache', 'nr_bench_peer_get_typed' LANGUAGE C STABLE PARALLEL SAFE;
CREATE FUNCTION bench_nothing(cache regclass, key text, fallback anycompatible) RETURNS anycompatible
AS '$libdir/nr_cache', 'nr_bench_nothing' LANGUAGE C STABLE PARALLEL SAFE;
CREATE FUNCTION bench_nothing(cache regclass, key anynonarray, fallback anycompatible) RETURNS anycompatible
AS '$libdir/nr_cache', 'nr_bench_nothing' LANGUAGE C STABLE PARALLEL SAFE;

CREATE TABLE suite (
    suite text PRIMARY KEY,
    baseline text,              -- variant whose cost is taken off; NULL: costs are gross
    unit text,
    than text,                  -- variant that the others are compared with
    figure text,                -- plot that it is part of; NULL: its own name
    x text,                     -- where on the plot's axis
    with_commit bool NOT NULL DEFAULT false -- costs are those of the transaction, not only of the query
);
CREATE TABLE variant (
    suite text REFERENCES suite,
    variant text,
    per_round real,             -- 1: every round; 0.5: every other one
    n int,                      -- lookups or rows
    prepare text,               -- before, not timed, a transaction of its own
    settings text,              -- SET LOCAL ...
    query text,
    baseline text,              -- where it is not the suite's; '': costs are gross
    PRIMARY KEY (suite, variant)
);
-- What the issue asks for: the median, over rounds, of over / under.
CREATE TABLE target (
    id text,
    what text,
    suite text,
    over text,                  -- variant, or a number of ns
    under text,                 -- variant; NULL: 1
    comparison text,            -- <= or >=
    target numeric,
    unit text,
    note text
);
CREATE TABLE result (suite text, variant text, round int, n int, cpu_ns bigint, wall_ns bigint, answer text);

-- ---- running --------------------------------------------------------------------

CREATE PROCEDURE run(which text, rounds int) LANGUAGE plpgsql AS $$
DECLARE
    with_commit bool := (SELECT s.with_commit FROM suite s WHERE suite = which);
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
            answer := NULL;
            IF v.query ~ '^(INSERT|UPDATE)' THEN
                EXECUTE v.query;
            ELSE
                EXECUTE v.query INTO answer;
            END IF;
            IF with_commit THEN
                COMMIT;
            END IF;
            cpu := bench_cpu() - cpu;
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
    FROM result r JOIN suite s USING (suite) JOIN variant v USING (suite, variant)
    LEFT JOIN result b ON b.suite = r.suite AND b.round = r.round AND b.variant <> r.variant
        AND b.variant = coalesce(v.baseline,
                                 CASE WHEN r.variant LIKE '%arrays of%' THEN 'arrays without the call' END, s.baseline);

CREATE VIEW summary AS
    SELECT suite, variant,
           percentile_cont(0.25) WITHIN GROUP (ORDER BY ns) AS q1,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY ns) AS median,
           percentile_cont(0.75) WITHIN GROUP (ORDER BY ns) AS q3,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY wall_ns) AS wall,
           count(*) AS rounds
    FROM cost GROUP BY suite, variant;

-- How often what the suite compares with: medians of the ratios within rounds, so
-- that minutes in which the machine is slow do not count; of medians, where the
-- two have no round in common.
CREATE VIEW compared AS
    SELECT s.suite, m.variant,
           coalesce((SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY c.ns / t.ns)
                     FROM cost c JOIN cost t USING (suite, round)
                     WHERE suite = s.suite AND c.variant = m.variant AND t.variant = s.than),
                    m.median / than.median) AS x
    FROM suite s JOIN summary m USING (suite)
    JOIN summary than ON than.suite = s.suite AND than.variant = s.than;

-- Variants that are only there to be taken off from others'.
CREATE VIEW taken_off AS
    SELECT v.suite, v.variant FROM variant v JOIN suite s USING (suite)
    WHERE v.variant = s.baseline OR v.variant LIKE 'arrays without%'
        OR EXISTS (SELECT FROM variant o WHERE o.suite = v.suite AND o.baseline = v.variant);

-- The query that prints a suite.
CREATE FUNCTION report_sql(suite suite) RETURNS text LANGUAGE sql AS $$
    SELECT format($q$
        SELECT variant AS %1$I, round(median::numeric, 1) AS %2$I,
               format('%%s .. %%s', round(q1::numeric, 1), round(q3::numeric, 1)) AS quartiles,
               round(wall::numeric, 1) AS "wall clock", round(x::numeric, 2) AS %3$I, rounds
        FROM summary JOIN compared USING (suite, variant)
        WHERE suite = %1$L AND variant NOT IN (SELECT t.variant FROM taken_off t WHERE t.suite = %1$L)
        ORDER BY median
        $q$, suite.suite, suite.unit, 'x ' || suite.than)
$$;

-- What plots and tables are made from: see bench_emit in lib.sh.
CREATE VIEW figures AS
    SELECT coalesce(s.figure, s.suite) AS figure, m.variant, coalesce(s.x, '') AS x, s.unit, m.rounds,
           round(m.q1::numeric, 2) AS q1, round(m.median::numeric, 2) AS median, round(m.q3::numeric, 2) AS q3
    FROM summary m JOIN suite s USING (suite)
    WHERE (m.suite, m.variant) NOT IN (TABLE taken_off)
    ORDER BY figure, s.suite, m.median;
CREATE VIEW targets AS
    SELECT t.id, t.what,
           round((SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY coalesce(o.ns, substring(t.over from '^[0-9.]+$')::float8) / coalesce(u.ns, 1))
                  FROM generate_series(1, (SELECT max(round) FROM cost)) r (round)
                  LEFT JOIN cost o ON o.suite = t.suite AND o.variant = t.over AND o.round = r.round
                  LEFT JOIN cost u ON u.suite = t.suite AND u.variant = t.under AND u.round = r.round
                  WHERE (o.ns IS NOT NULL OR t.over ~ '^[0-9.]+$') AND (u.ns IS NOT NULL OR t.under IS NULL))::numeric, 3) AS measured,
           t.comparison, t.target, t.unit, coalesce(t.note, '') AS note
    FROM target t ORDER BY t.id, t.what;
