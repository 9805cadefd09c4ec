-- bench_clients.sql: what bench/bench_clients.sh compares.  Variables: few, many (keys).
--
-- Key k has the value 7 k + 6 at first; what is written later is 7 k + 0 to 5.  So one can tell
-- at the end that nothing is wrong, and that something was written.
\set QUIET on
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION nr_cache;
CREATE SCHEMA bench;
SET search_path = bench, public;

CREATE FUNCTION nothing(cache regclass, key text, fallback anycompatible) RETURNS anycompatible
AS '$libdir/nr_cache', 'nr_bench_nothing' LANGUAGE C STABLE PARALLEL SAFE;
CREATE FUNCTION nothing(cache regclass, key anynonarray, fallback anycompatible) RETURNS anycompatible
AS '$libdir/nr_cache', 'nr_bench_nothing' LANGUAGE C STABLE PARALLEL SAFE;

-- What key k and the value v of it are in a suite.
CREATE TABLE suite (suite text, type text, keys int, key_sql text, value_sql text);
INSERT INTO suite VALUES
    ('bigint_few', 'bigint', :few, 'k', 'v'),
    ('text_many', 'text', :many, $$'customer' || lpad(k::text, 8, '0')$$, $$'value' || v$$),
    ('puts', 'bigint', least(100000, :many), 'k', 'v');

CREATE FUNCTION dynahash_make(kind text, text_keys bool, value_bytes int, entries int) RETURNS int
AS '$libdir/nr_cache', 'nr_bench_peer_make' LANGUAGE C VOLATILE STRICT;
CREATE FUNCTION dynahash_get(peer int, key bigint, fallback bigint) RETURNS bigint
AS '$libdir/nr_cache', 'nr_bench_dynahash_get_int8_int8' LANGUAGE C STABLE;
CREATE FUNCTION dynahash_get(peer int, key text, fallback text) RETURNS text
AS '$libdir/nr_cache', 'nr_bench_dynahash_get_text_text' LANGUAGE C STABLE;
CREATE FUNCTION dynahash_put(peer int, key bigint, value bigint) RETURNS bool
AS '$libdir/nr_cache', 'nr_bench_dynahash_put_int8_int8' LANGUAGE C VOLATILE;
CREATE FUNCTION dynahash_put(peer int, key text, value text) RETURNS bool
AS '$libdir/nr_cache', 'nr_bench_dynahash_put_text_text' LANGUAGE C VOLATILE;
CREATE TABLE dynahash (suite text, id int);

CREATE TABLE kind (name text, options text);
INSERT INTO kind VALUES
    ('commit', $$visibility 'commit'$$),
    ('immediate', $$visibility 'immediate'$$),
    ('two', $$visibility 'commit', copies '2'$$),
    ('left_right', $$visibility 'immediate', scheme 'left_right'$$);

-- In portions, because a transaction's changes are bounded.
CREATE PROCEDURE load(target text, s suite) LANGUAGE plpgsql AS $$
BEGIN
    FOR at IN 1 .. s.keys BY 20000 LOOP
        EXECUTE format('INSERT INTO %I SELECT %s, %s FROM (SELECT k::bigint, k::bigint * 7 + 6 AS v FROM generate_series(%s, %s) k) s',
                       target, s.key_sql, s.value_sql, at, least(at + 19999, s.keys));
        COMMIT;
    END LOOP;
END $$;

CREATE PROCEDURE make(s suite, kinds text[]) LANGUAGE plpgsql AS $$
DECLARE
    kind kind;
BEGIN
    FOR kind IN SELECT * FROM kind WHERE name = ANY (kinds) LOOP
        EXECUTE format('CREATE FOREIGN TABLE %I (k %s OPTIONS (key ''true''), v %2$s) SERVER nr_cache OPTIONS (%s)',
                       kind.name || '_' || s.suite, s.type, kind.options);
        COMMIT;
        CALL load(kind.name || '_' || s.suite, s);
    END LOOP;
    IF s.suite <> 'puts' THEN
        EXECUTE format('CREATE UNLOGGED TABLE %I (k %s PRIMARY KEY, v %2$s NOT NULL) WITH (fillfactor = 50)', 'table_' || s.suite, s.type);
        COMMIT;
        CALL load('table_' || s.suite, s);
    END IF;
END $$;

SELECT format('CALL make(%L::suite, %L)', s, CASE suite WHEN 'puts' THEN '{commit,immediate}' ELSE '{commit,immediate,two,left_right}' END)
FROM suite s \gexec
INSERT INTO dynahash SELECT suite, dynahash_make('dynahash', type = 'text', CASE type WHEN 'text' THEN 16 ELSE 0 END, keys)
    FROM suite WHERE suite <> 'puts';
\o /dev/null
SELECT format('SELECT count(dynahash_put(%s, k, v)) FROM table_%s', id, suite) FROM dynahash \gexec
\o
VACUUM ANALYZE;
CHECKPOINT;

-- one row for each run; NULL: not known
CREATE TABLE result (
    suite text, clients int, reads int, variant text, round int,
    tps float8, p50_us float8, p99_us float8, server_us float8, client_us float8
);

-- ---- what came out ----------------------------------------------------------------

-- Each figure with that of "nothing" and of the table in the same round.
CREATE VIEW compared AS
    SELECT r.*, r.tps / n.tps AS x_nothing, r.tps / t.tps AS x_table
    FROM result r
    LEFT JOIN result n ON (n.suite, n.clients, n.reads, n.round, n.variant) = (r.suite, r.clients, r.reads, r.round, 'a function that does nothing')
    LEFT JOIN result t ON (t.suite, t.clients, t.reads, t.round, t.variant) = (r.suite, r.clients, r.reads, r.round, 'unlogged table, UPDATE')
    WHERE r.round > 0;

CREATE VIEW summary AS
    SELECT suite, clients, reads, variant, count(*) AS n,
           percentile_cont('{0.25,0.5,0.75}'::float8[]) WITHIN GROUP (ORDER BY tps) AS tps,
           percentile_cont('{0.25,0.5,0.75}'::float8[]) WITHIN GROUP (ORDER BY x_nothing) AS x,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY x_table) AS x_table,
           percentile_cont('{0.25,0.5,0.75}'::float8[]) WITHIN GROUP (ORDER BY p50_us) AS p50,
           percentile_cont('{0.25,0.5,0.75}'::float8[]) WITHIN GROUP (ORDER BY p99_us) AS p99,
           percentile_cont('{0.25,0.5,0.75}'::float8[]) WITHIN GROUP (ORDER BY server_us) AS server,
           percentile_cont('{0.25,0.5,0.75}'::float8[]) WITHIN GROUP (ORDER BY client_us) AS client
    FROM compared GROUP BY suite, clients, reads, variant;

CREATE VIEW titled AS
    SELECT s.*, CASE suite WHEN 'bigint_few' THEN 'bigint, 10k keys' WHEN 'text_many' THEN 'text, 1M keys'
                           WHEN 'puts' THEN 'puts, bigint, 100k keys' ELSE 'plain clients, 10k keys' END AS title
    FROM summary s;

-- The lines of the file of figures; by clients, and by share of reads with two of them.
CREATE VIEW figure AS
    SELECT format(CASE WHEN by_clients THEN 'clients: %s, %s %% reads' ELSE 'shares: %s, 2 clients' END, title, reads) AS suite,
           variant, CASE WHEN by_clients THEN clients ELSE 100 - reads END AS x, unit, n, q[1] AS q1, q[2] AS median, q[3] AS q3
    FROM titled, (VALUES (true), (false)) b (by_clients),
         LATERAL (VALUES ('transactions/s', tps), ('us, median', p50), ('us, 99 %', p99), ('us of the servers'' processor time', server),
                         ('x nothing', x)) f (unit, q)
    WHERE (by_clients OR clients = 2) AND q[2] IS NOT NULL;

CREATE VIEW target AS
    SELECT 'S6' AS target,
           format('puts by pgbench, visibility %s, %s clients, against calls of an empty function',
                  substr(variant, strpos(variant, ', ') + 2), clients) AS what,
           round(x[2]::numeric, 3) AS measured, '>=' AS comparison, 0.9 AS goal, 'x' AS unit,
           format('quartiles %s to %s; %s us against %s of the server''s processor time', round(x[1]::numeric, 3), round(x[3]::numeric, 3),
                  round(server[2]::numeric, 1),
                  (SELECT round(n.server[2]::numeric, 1) FROM summary n
                   WHERE (n.suite, n.clients, n.variant) = ('puts', s.clients, 'a function that does nothing'))) AS note
    FROM summary s WHERE suite = 'puts' AND variant LIKE 'nr, %' AND clients > 1
    ORDER BY variant, clients;
