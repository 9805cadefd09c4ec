--
-- Last of the suites: the caches that the others left behind are sound.  All
-- copies of each are brought to one position and compared, byte by byte of
-- what counts, and every invariant is recomputed.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS nr_cache;
RESET client_min_messages;
SELECT bool_and(nr_check(c.oid::regclass)) AS all_sound, count(*) > 0 AS there_are_some
  FROM pg_class c
  JOIN pg_foreign_table t ON t.ftrelid = c.oid
  JOIN pg_foreign_server s ON s.oid = t.ftserver
  JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
 WHERE w.fdwname = 'nr_cache';
-- nobody in this database is waiting or combining, and every replica is where its log is
SELECT count(*) AS waiting
  FROM nr_tokens t JOIN pg_stat_activity a USING (pid)
 WHERE a.datname = current_database() AND t.waiting_for IS NOT NULL;
SELECT count(*) FILTER (WHERE combiner_pid IS NOT NULL) AS combining, count(*) FILTER (WHERE lag > 0) AS lagging
  FROM nr_replicas WHERE database = current_database();
