-- demo.sql: the registry of MAC address prefixes in a cache, and a million
-- look-ups three ways.  Run by tools/demo.sh, which sets :csv.
\set ON_ERROR_STOP on
\set QUIET on
\pset footer off
\pset pager off
SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;
SET jit = off;

CREATE EXTENSION nr_cache;

\echo
\echo '-- the registry, as a plain table and as a cache'
CREATE TABLE oui_csv (registry text, assignment text, organisation text, address text);
COPY oui_csv FROM :'csv' CSV HEADER;
-- the registry has a few prefixes twice: the first one counts
CREATE TABLE oui_table (prefix text PRIMARY KEY, organisation text);
INSERT INTO oui_table
SELECT DISTINCT ON (assignment) assignment, organisation FROM oui_csv ORDER BY assignment, organisation;
ANALYZE oui_table;

\set ECHO queries
CREATE FOREIGN TABLE oui (prefix text, organisation text)
    SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
INSERT INTO oui SELECT prefix, organisation FROM oui_table;
SELECT nr_get('oui', '00000C');
SELECT cache, entries, pg_size_pretty(memory_used) AS memory FROM nr_caches WHERE cache = 'oui'::regclass;
\set ECHO none

\echo
\echo '-- a million MAC addresses, nine in ten of a known manufacturer'
SELECT setseed(0.42) \g /dev/null
CREATE TABLE seen AS
WITH known AS MATERIALIZED (
         SELECT row_number() OVER (ORDER BY prefix) AS n, prefix FROM oui_table),
     drawn AS MATERIALIZED (
         SELECT i, random() < 0.9 AS of_known, random() AS which, floor(random() * 16777216)::int AS low
           FROM generate_series(1, 1000000) AS i),
     prefixed AS (
         SELECT i, low, CASE WHEN of_known THEN k.prefix
                             ELSE upper(lpad(to_hex(floor(which * 16777216)::int), 6, '0')) END AS prefix
           FROM drawn d
           LEFT JOIN known k ON k.n = 1 + floor(d.which * (SELECT count(*) FROM known)))
SELECT i AS id, (prefix || lpad(to_hex(low), 6, '0'))::macaddr AS mac, prefix
  FROM prefixed ORDER BY i;
VACUUM ANALYZE seen;
SELECT count(*) AS addresses, count(DISTINCT prefix) AS prefixes FROM seen;

\echo
\echo '-- do the three answers agree, address by address?'
CREATE TABLE answers AS
SELECT s.id, s.mac,
       nr_get('oui', s.prefix) AS by_function,
       (SELECT o.organisation FROM oui o WHERE o.prefix = s.prefix) AS by_foreign_table,
       t.organisation AS by_join
  FROM seen s LEFT JOIN oui_table t ON t.prefix = s.prefix;
SELECT count(*) AS lookups,
       count(by_join) AS known,
       count(*) FILTER (WHERE by_function IS DISTINCT FROM by_join
                           OR by_foreign_table IS DISTINCT FROM by_join) AS disagreements
  FROM answers;
DO $$
BEGIN
    IF (SELECT count(*) FROM answers) <> 1000000
       OR EXISTS (SELECT FROM answers WHERE by_function IS DISTINCT FROM by_join
                                         OR by_foreign_table IS DISTINCT FROM by_join) THEN
        RAISE 'the three answers differ';
    END IF;
END $$;

\echo '-- and what did each cost?  (medians of three runs, in turn; one backend, no workers)'
CREATE TEMP TABLE timing (run int, how text, ms double precision);
DO $$
DECLARE
    started timestamptz;
    q record;
BEGIN
    FOR run IN 1..3 LOOP
        FOR q IN
            SELECT * FROM (VALUES
                ('reading the addresses only', 'SELECT count(s.prefix) FROM seen s'),
                ('nr_get', 'SELECT count(nr_get(''oui'', s.prefix)) FROM seen s'),
                ('SQL on the foreign table, key by key',
                 'SELECT count((SELECT o.organisation FROM oui o WHERE o.prefix = s.prefix)) FROM seen s'),
                ('SQL on the foreign table, joined',
                 'SELECT count(o.organisation) FROM seen s LEFT JOIN oui o ON o.prefix = s.prefix'),
                ('join to the plain table',
                 'SELECT count(t.organisation) FROM seen s LEFT JOIN oui_table t ON t.prefix = s.prefix'),
                ('index look-up in the plain table, key by key',
                 'SELECT count((SELECT t.organisation FROM oui_table t WHERE t.prefix = s.prefix)) FROM seen s')
            ) AS v (how, query)
        LOOP
            started := clock_timestamp();
            EXECUTE q.query;
            INSERT INTO timing VALUES (run, q.how, 1000 * extract(epoch FROM clock_timestamp() - started));
        END LOOP;
    END LOOP;
END $$;
WITH m AS (SELECT how, percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) AS ms FROM timing GROUP BY how),
     net AS (SELECT how, ms, ms - (SELECT ms FROM m WHERE how LIKE 'reading%') AS net FROM m)
SELECT how, round(ms::numeric) AS ms,
       round(net::numeric) AS "ns per look-up, net",
       CASE WHEN how NOT LIKE 'reading%'
            THEN round((net / greatest((SELECT net FROM net WHERE how = 'nr_get'), 0.001))::numeric, 1) END AS "times nr_get"
  FROM net ORDER BY ms;
SELECT nr_check('oui');
