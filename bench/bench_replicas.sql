-- bench_replicas.sql: what bench/bench_replicas.sh needs in each of its servers.
-- The same in all of them, whatever number of replicas they have.
\ir lib.sql

-- ---- data -------------------------------------------------------------------

-- Where pages happen to lie makes one cache quicker than another: so there are several alike.
CREATE TABLE load AS
    SELECT i::bigint AS k, i::bigint * 7 + 1 AS v FROM generate_series(1, 10000) i ORDER BY hashint4(i);
SELECT format($q$
    CREATE FOREIGN TABLE cache_%1$s (k bigint, v bigint) SERVER nr_cache OPTIONS (visibility 'immediate');
    INSERT INTO cache_%1$s SELECT k, v FROM load;
    $q$, i)
FROM generate_series(1, 6) i \gexec

-- Random keys: to read, to write.
CREATE UNLOGGED TABLE probe AS
    SELECT k, k * 7 + 1 AS v
    FROM (SELECT abs(hashint4(i + 17)::bigint) % 10000 + 1 AS k FROM generate_series(1, scaled(100000)) i) s;
CREATE UNLOGGED TABLE puts AS SELECT * FROM probe UNION ALL SELECT * FROM probe;

-- ---- reads, nobody writes ---------------------------------------------------

-- Processor time of one nr_get, in ns: of a query, less the same without the call.
CREATE FUNCTION get_ns(cache text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
    began bigint;
    spent bigint;
    without record;
    answer record;
BEGIN
    began := bench_cpu();
    EXECUTE 'SELECT sum(v), count(k) FROM probe' INTO without;
    spent := bench_cpu() - began;
    began := bench_cpu();
    EXECUTE format('SELECT sum(nr_get(%L, k, NULL::bigint)), count(k) FROM probe', cache) INTO answer;
    spent := bench_cpu() - began - spent;
    IF answer IS DISTINCT FROM without THEN
        RAISE EXCEPTION 'nr_get is wrong: % instead of %', answer, without;
    END IF;
    RETURN spent::float8 / answer.count;
END $$;

-- ---- what it costs to follow ------------------------------------------------

-- The variants of bench/nr_bench_get.c.
CREATE TABLE follow (what text PRIMARY KEY, symbol text, asks_every int);
INSERT INTO follow VALUES
    ('the same once more', 'twin', NULL),
    ('does not follow', 'still', NULL),
    ('follows each time: one node', 'each', 1),
    ('asks every 64th time: rseq', 'rseq', 64),
    ('asks every 64th time: getcpu', 'getcpu', 64),
    ('asks each time: rseq', 'rseq_each', 1),
    ('asks each time: getcpu', 'getcpu_each', 1);
SELECT format($q$
    CREATE FUNCTION %1$I(cache regclass, key anynonarray, fallback anycompatible) RETURNS anycompatible
    AS '$libdir/nr_cache', 'nr_bench_%2$s_get_typed' LANGUAGE C STABLE PARALLEL SAFE
    $q$, 'get_' || symbol, symbol) FROM follow \gexec
CREATE FUNCTION ask_rseq(times int) RETURNS bool
AS '$libdir/nr_cache', 'nr_bench_rseq_ask' LANGUAGE C VOLATILE;
CREATE FUNCTION ask_getcpu(times int) RETURNS bool
AS '$libdir/nr_cache', 'nr_bench_getcpu_ask' LANGUAGE C VOLATILE;

INSERT INTO suite VALUES ('follow', 'the query without the call', 'ns net per nr_get', 'does not follow');
INSERT INTO variant
    SELECT 'follow', what, 1, scaled(100000), NULL, NULL, format('SELECT sum(%s), count(k) FROM probe', call)
    FROM (SELECT 'the query without the call' AS what, 'v' AS call
          UNION ALL SELECT 'nr_get', $$nr_get('cache_1', k, NULL::bigint)$$
          UNION ALL SELECT what, format('get_%s(%L, k, NULL::bigint)', symbol, 'cache_1') FROM follow) s;

-- ns to ask once, by rseq (NULL: the system does not tell that way) and by getcpu
CREATE TABLE asked (rseq float8, getcpu float8);
CREATE PROCEDURE ask(rounds int) LANGUAGE plpgsql AS $$
DECLARE
    began bigint;
    by_rseq float8;
BEGIN
    FOR i IN 1 .. rounds LOOP
        began := bench_cpu();
        by_rseq := CASE WHEN ask_rseq(scaled(1000000)) THEN (bench_cpu() - began)::float8 / scaled(1000000) END;
        began := bench_cpu();
        PERFORM ask_getcpu(scaled(1000000));
        INSERT INTO asked VALUES (by_rseq, (bench_cpu() - began)::float8 / scaled(1000000));
        COMMIT;
    END LOOP;
END $$;

-- ---- a writer, and replicas that nobody uses --------------------------------

CREATE FOREIGN TABLE stream (k bigint, v bigint) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE lone (k bigint, v bigint) SERVER nr_cache OPTIONS (visibility 'immediate');
INSERT INTO stream SELECT k, v FROM load;
INSERT INTO lone SELECT k, v FROM load;

-- Put after put: writes, ns in all, and of single ones the median, 99 %, 99.9 %, 99.99 %, the longest.
CREATE FUNCTION put_stream() RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(E'\t', l[1], l[3], l[4], l[5], l[6], l[8], l[7])
    FROM (SELECT bench_laps(nr_put('stream', k, v)::int) AS l FROM puts) s
$$;

-- What workers do after a write belongs to it: until every replica is as far.  Without workers nothing happens.
CREATE PROCEDURE settle() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 2000 LOOP
        EXIT WHEN NOT EXISTS (SELECT FROM nr_tokens WHERE worker)
            OR NOT EXISTS (SELECT FROM nr_replicas() WHERE lag > 0);
        PERFORM pg_sleep(0.001);
    END LOOP;
END $$;

-- Single writes with pauses between: processor time and time of each.
CREATE UNLOGGED TABLE lone_result (pause float8, cpu_ns bigint, wall_ns bigint);
CREATE PROCEDURE put_lone(pause float8, n int) LANGUAGE plpgsql AS $$
DECLARE
    cpu bigint;
    wall bigint;
BEGIN
    FOR i IN 0 .. n LOOP
        PERFORM pg_sleep(pause);
        wall := bench_wall();
        cpu := bench_cpu();
        PERFORM nr_put('lone', i + 1::bigint, 0::bigint);
        cpu := bench_cpu() - cpu;
        wall := bench_wall() - wall;
        IF i > 0 THEN
            INSERT INTO lone_result VALUES (pause, cpu, wall);
        END IF;
        COMMIT;
    END LOOP;
END $$;

VACUUM ANALYZE;
CHECKPOINT;
