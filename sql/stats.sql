-- stats: counters, what sets them back, and what does not
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS nr_cache;
CREATE SCHEMA st;
SET search_path = st, public;
RESET client_min_messages;
CREATE ROLE nr_regress_stat;
GRANT USAGE ON SCHEMA st TO nr_regress_stat;

CREATE FOREIGN TABLE c (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate', memory '4MB', log_size '256kB');
CREATE FOREIGN TABLE d (k int, v text) SERVER nr_cache OPTIONS (memory '4MB', log_size '256kB');
CREATE FOREIGN TABLE lr (k int, v text) SERVER nr_cache OPTIONS (scheme 'left_right', visibility 'manual', memory '4MB', log_size '256kB');
CREATE VIEW counted AS
	SELECT cache, entries, hits, misses, writes, stats_reset IS NOT NULL AS reset
	FROM nr_caches WHERE cache IN ('c'::regclass, 'd'::regclass, 'lr'::regclass) ORDER BY relid;
CREATE VIEW combined AS
	SELECT cache, sum(requests) AS requests, sum(operations) AS operations, sum(batches) > 0 AS batches, sum(mean_batch * batches) / nullif(sum(batches), 0) AS mean_batch,
	       sum(operations_applied) > 0 AS applied, sum(hits) AS hits, sum(misses) AS misses, sum(flips) > 0 AS flips,
	       sum(reader_waits + reader_sleeps + writer_waits + writer_sleeps + response_sleeps + withdrawn + applied_by_others) < 0 AS negative
	FROM nr_replicas WHERE cache IN ('c'::regclass, 'd'::regclass, 'lr'::regclass) GROUP BY cache, relid ORDER BY relid;
CREATE VIEW state AS
	SELECT r.cache, r.replica, r.applied, r.lag, l.tail, l.completed, l.head, l.slots_used, l.bytes_used, l.extents_granted, l.extents_released,
	       l.pending, l.order_number, l.order_horizon, c.entries, c.memory_used, c.memory_free, c.buckets, c.notes
	FROM nr_replicas r JOIN nr_logs l USING (relid) JOIN nr_caches c USING (relid)
	WHERE r.cache IN ('c'::regclass, 'd'::regclass, 'lr'::regclass);

INSERT INTO c SELECT i, 'x' FROM generate_series(1, 100) i;
INSERT INTO d SELECT i, 'x' FROM generate_series(1, 50) i;
INSERT INTO lr SELECT i, 'x' FROM generate_series(1, 10) i;
SELECT nr_publish('lr');
INSERT INTO lr VALUES (11, 'x');
SELECT nr_publish('lr');
INSERT INTO lr VALUES (12, 'pending');
SELECT nr_put('c', 1, 'y'), nr_put('d', 1, 'y'), nr_delete('c', 100);
SELECT count(nr_get('c', i)), count(nr_get('d', i)), count(nr_get('lr', i)) FROM generate_series(1, 200) i;
SELECT nr_check('c'), nr_check('d'), nr_check('lr');
SELECT * FROM counted;
SELECT * FROM combined;

-- set back: the counters of all caches of this database, and nothing else
CREATE TEMP TABLE before AS SELECT * FROM state;
SELECT nr_stat_reset();
SELECT * FROM counted;
SELECT * FROM combined;
SELECT count(*) AS differ FROM ((SELECT * FROM before EXCEPT SELECT * FROM state) UNION ALL (SELECT * FROM state EXCEPT SELECT * FROM before)) x;
SELECT count(*) >= 3 AS compared FROM before;
SELECT sum(full_count), sum(space_waits) FROM nr_logs WHERE cache IN ('c'::regclass, 'd'::regclass, 'lr'::regclass);
SELECT sum(shared_updates) AS shared_updates FROM nr_crossings WHERE cache = 'c'::regclass;
SELECT bool_and(stats_reset < now()) AS before, count(DISTINCT stats_reset) FROM nr_caches WHERE database = current_database();

-- and they count on
INSERT INTO c SELECT i, 'z' FROM generate_series(1, 7) i;
INSERT INTO d SELECT i, 'z' FROM generate_series(1, 5) i;
SELECT nr_publish('lr');
SELECT count(nr_get('c', i)), count(nr_get('d', i)), count(nr_get('lr', i)) FROM generate_series(96, 105) i;
SELECT * FROM counted;
SELECT * FROM combined;

-- what crosses nodes: nothing where there is one replica
SELECT (sum(shared_updates) > 0) = (count(*) > 1) AS between_replicas, bool_or(visits < 0 OR slots < 0 OR bytes < 0) AS negative
  FROM nr_crossings WHERE cache = 'c'::regclass;

-- at once: nothing undoes it; what this transaction has counted itself is past, too
SELECT max(stats_reset) AS last FROM nr_caches WHERE cache = 'c'::regclass \gset
BEGIN READ ONLY;
SELECT nr_get('c', 1);
SELECT nr_stat_reset();
SELECT nr_get('c', 2);
SELECT nr_get('c', 3);
ROLLBACK;
SELECT * FROM counted;
SELECT stats_reset > :'last' AS later FROM nr_caches WHERE cache = 'c'::regclass;

-- a truncate is a write like any other; a transaction that is rolled back has read, and written nothing
SELECT nr_truncate('c');
BEGIN;
INSERT INTO d VALUES (1, 'undone');
SELECT nr_get('d', 1), nr_get('d', -1);
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT nr_get('d', 2);
ROLLBACK TO s;
COMMIT;
SELECT * FROM counted;

-- a new layout is a new state, whose counters begin at 0; a new name is not
SET client_min_messages = warning;
ALTER FOREIGN TABLE c ADD COLUMN w int;
ALTER FOREIGN TABLE d RENAME COLUMN v TO value;
RESET client_min_messages;
SELECT nr_get('d', 3);
SELECT nr_put('c', ROW(1, 'one', 1)::c);
SELECT * FROM counted;
DROP VIEW counted, combined, state;
DROP FOREIGN TABLE lr;
CREATE FOREIGN TABLE lr (k int, v text) SERVER nr_cache OPTIONS (scheme 'left_right', visibility 'immediate', memory '4MB', log_size '256kB');
SELECT nr_put('lr', 1, 'one');
SELECT nr_get('lr', 1);
SELECT hits, misses, writes, stats_reset FROM nr_caches WHERE cache = 'lr'::regclass;
SELECT sum(flips) > 0 AS flips FROM nr_replicas WHERE cache = 'lr'::regclass;

-- who may
SET ROLE nr_regress_stat;
SELECT nr_stat_reset();
RESET ROLE;
GRANT EXECUTE ON FUNCTION nr_stat_reset() TO nr_regress_stat;
SET ROLE nr_regress_stat;
SELECT nr_stat_reset();
-- the time of a reset tells nothing else, so who may see nr_caches needs no more than before
SELECT nr_stat_reset_time(current_database(), 'c'::regclass) IS NOT NULL AS reset,
       nr_stat_reset_time('no_such_database', 'c'::regclass), nr_stat_reset_time(current_database(), 0), nr_stat_reset_time(NULL, 1);
SELECT count(*) FROM nr_caches;
SELECT count(*) FROM nr_crossings;
SELECT count(*) FROM nr_crossings();
RESET ROLE;
REVOKE EXECUTE ON FUNCTION nr_stat_reset() FROM nr_regress_stat;
SELECT hits, misses, writes, stats_reset IS NOT NULL AS reset FROM nr_caches WHERE cache = 'lr'::regclass;

-- other databases keep theirs
SELECT current_database() AS here \gset
CREATE DATABASE nr_regress_stats;
\c nr_regress_stats
CREATE EXTENSION nr_cache VERSION '0.1';
-- made by version 0.1: goes on working with this library, and what was made of it survives the update
CREATE VIEW counted AS SELECT * FROM nr_caches;
CREATE VIEW counted_function AS SELECT * FROM nr_caches();
GRANT SELECT ON nr_caches TO nr_regress_stat;
GRANT EXECUTE ON FUNCTION nr_caches() TO nr_regress_stat;
SELECT nr_put('some', 'thing');
SELECT hits, writes FROM counted WHERE cache IS NOT NULL;
ALTER EXTENSION nr_cache UPDATE TO '0.2';
SET ROLE nr_regress_stat;
SELECT hits, writes, stats_reset FROM nr_caches WHERE cache IS NOT NULL;
RESET ROLE;
SELECT hits, writes FROM counted WHERE cache IS NOT NULL UNION ALL SELECT hits, writes FROM counted_function WHERE cache IS NOT NULL;
SELECT nr_put('other', 'database');
SELECT nr_get('other');
\c :here
SET search_path = st, public;
SELECT nr_stat_reset();
SELECT hits, writes, stats_reset FROM nr_caches WHERE database = 'nr_regress_stats';
\c nr_regress_stats
SELECT nr_stat_reset();
\c :here
SET search_path = st, public;
SELECT hits, writes, stats_reset > (SELECT max(stats_reset) FROM nr_caches WHERE database = current_database()) AS later
FROM nr_caches WHERE database = 'nr_regress_stats';
DROP DATABASE nr_regress_stats;

-- parallel workers' reads count, too
CREATE TABLE t AS SELECT i FROM generate_series(1, 1000) i;
ANALYZE t;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT count(nr_get('d', i)) FROM t;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
SELECT hits + misses AS reads, hits, writes FROM nr_caches WHERE cache = 'd'::regclass;

SET client_min_messages = warning;
DROP SCHEMA st CASCADE;
DROP ROLE nr_regress_stat;
