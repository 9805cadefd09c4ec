/* nr_cache--0.1--0.2.sql */

-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION nr_cache UPDATE TO '0.2'" to load this file. \quit

-- ---- operations with an answer: visibility 'immediate' -------------------------

CREATE FUNCTION nr_swap(cache regclass, key text, value anycompatible) RETURNS anycompatible
AS 'MODULE_PATHNAME', 'nr_swap' LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION nr_swap(cache regclass, key anynonarray, value anycompatible) RETURNS anycompatible
AS 'MODULE_PATHNAME', 'nr_swap' LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION nr_cas(cache regclass, key text, expected anycompatible, value anycompatible) RETURNS boolean
AS 'MODULE_PATHNAME', 'nr_cas' LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION nr_cas(cache regclass, key anynonarray, expected anycompatible, value anycompatible) RETURNS boolean
AS 'MODULE_PATHNAME', 'nr_cas' LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION nr_incr(cache regclass, key text, by anycompatible) RETURNS anycompatible
AS 'MODULE_PATHNAME', 'nr_incr' LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION nr_incr(cache regclass, key anynonarray, by anycompatible) RETURNS anycompatible
AS 'MODULE_PATHNAME', 'nr_incr' LANGUAGE C VOLATILE PARALLEL UNSAFE;

-- ---- everything, and the cache is left without it ---------------------------------

CREATE FUNCTION nr_take(cache regclass, row_type anycompatible) RETURNS SETOF anycompatible
AS 'MODULE_PATHNAME', 'nr_take' LANGUAGE C VOLATILE PARALLEL UNSAFE;

-- ---- a call that would be taken for nr_put(cache, row) ----------------------------

CREATE FUNCTION nr_put(cache regclass, key text) RETURNS boolean
AS 'MODULE_PATHNAME', 'nr_put_no_value' LANGUAGE C VOLATILE PARALLEL UNSAFE;

-- ---- a NULL cache is an error, not an answer ----------------------------------------

ALTER FUNCTION nr_truncate(regclass) CALLED ON NULL INPUT;
ALTER FUNCTION nr_check(regclass) CALLED ON NULL INPUT;
ALTER FUNCTION nr_publish(regclass) CALLED ON NULL INPUT;
ALTER FUNCTION nr_try_publish(regclass) CALLED ON NULL INPUT;
ALTER FUNCTION nr_pending(regclass) CALLED ON NULL INPUT;

-- ---- counters ---------------------------------------------------------------------

CREATE FUNCTION nr_stat_reset() RETURNS void
AS 'MODULE_PATHNAME', 'nr_stat_reset' LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION nr_stat_reset() FROM PUBLIC;

-- nr_caches gets columns at its end: what others have made of the view stays as it is.
-- Everybody may call the functions, so that whoever was granted the view goes on using it; they
-- tell a time, a size (as pg_relation_size does) and whether a cache is taken, and nothing of what it holds.
CREATE FUNCTION nr_stat_reset_time(database name, cache oid) RETURNS timestamptz
AS 'MODULE_PATHNAME', 'nr_stat_reset_time' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
CREATE FUNCTION nr_memory_shared(database name, cache oid) RETURNS bigint
AS 'MODULE_PATHNAME', 'nr_memory_shared' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
CREATE FUNCTION nr_cache_taken(database name, cache oid) RETURNS boolean
AS 'MODULE_PATHNAME', 'nr_cache_taken' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
CREATE OR REPLACE VIEW nr_caches AS
    SELECT c.*, nr_stat_reset_time(c.database, c.relid) AS stats_reset,
           nr_memory_shared(c.database, c.relid) AS memory_shared,
           nr_cache_taken(c.database, c.relid) AS taken
      FROM nr_caches() c;

-- ---- where memory lies -------------------------------------------------------------

-- Stable and dear, so that the pages are looked at only when a query asks for these columns, and
-- of the rows that it wants.  Who is no member of pg_read_all_stats gets NULL instead of a look.
CREATE FUNCTION nr_replica_node(replica integer) RETURNS integer
AS 'MODULE_PATHNAME', 'nr_replica_node' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
CREATE FUNCTION nr_cache_node(database name, cache oid, replica integer) RETURNS integer
AS 'MODULE_PATHNAME', 'nr_cache_node' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
CREATE FUNCTION nr_replica_bytes(database name, cache oid, replica integer, on_node boolean) RETURNS bigint
AS 'MODULE_PATHNAME', 'nr_replica_bytes' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 100000;
CREATE FUNCTION nr_memory_bytes(replica integer, on_node boolean) RETURNS bigint
AS 'MODULE_PATHNAME', 'nr_memory_bytes' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 100000;
CREATE FUNCTION nr_replica_operations(database name, cache oid, replica integer, by text) RETURNS bigint
AS 'MODULE_PATHNAME', 'nr_replica_operations' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
CREATE OR REPLACE VIEW nr_replicas AS
    SELECT r.*, nr_cache_node(r.database, r.relid, r.replica) AS node,
           nr_replica_bytes(r.database, r.relid, r.replica, true) AS bytes_on_node,
           nr_replica_bytes(r.database, r.relid, r.replica, false) AS bytes_elsewhere,
           nr_replica_operations(r.database, r.relid, r.replica, 'own') AS operations_by_own,
           nr_replica_operations(r.database, r.relid, r.replica, 'worker') AS operations_by_worker,
           nr_replica_operations(r.database, r.relid, r.replica, 'strangers') AS operations_by_strangers
      FROM nr_replicas() r;
CREATE FUNCTION nr_token_moves(token integer) RETURNS bigint
AS 'MODULE_PATHNAME', 'nr_token_moves' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
CREATE FUNCTION nr_token_worker(token integer) RETURNS boolean
AS 'MODULE_PATHNAME', 'nr_token_worker' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
CREATE OR REPLACE VIEW nr_tokens AS
    SELECT t.*, nr_replica_node(t.replica) AS node, nr_token_moves(t.token) AS moves,
           nr_token_worker(t.token) AS worker
      FROM nr_tokens() t;
CREATE OR REPLACE VIEW nr_memory AS
    SELECT m.*, nr_memory_bytes(m.replica, true) AS bytes_on_node,
           nr_memory_bytes(m.replica, false) AS bytes_elsewhere
      FROM nr_memory() m;

-- ---- who holds the numbers of commits back -----------------------------------------

CREATE FUNCTION nr_log_commit_pid(database name, cache oid) RETURNS integer
AS 'MODULE_PATHNAME', 'nr_log_commit_pid' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
CREATE OR REPLACE VIEW nr_logs AS
    SELECT l.*, nr_log_commit_pid(l.database, l.relid) AS commit_pid
      FROM nr_logs() l;

-- ---- what leaves a node ------------------------------------------------------------

CREATE FUNCTION nr_crossings(
    OUT database name, OUT cache regclass, OUT relid oid, OUT replica integer,
    OUT shared_updates bigint, OUT pool_updates bigint, OUT slots bigint, OUT positions bigint,
    OUT batches bigint, OUT bytes bigint, OUT visits bigint
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nr_crossings' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
CREATE VIEW nr_crossings AS SELECT * FROM nr_crossings();
REVOKE ALL ON FUNCTION nr_crossings() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION nr_crossings() TO pg_read_all_stats;
REVOKE ALL ON nr_crossings FROM PUBLIC;
GRANT SELECT ON nr_crossings TO pg_read_all_stats;

-- ---- dumps --------------------------------------------------------------------------

-- With pg_dump --include-foreign-data=nr_cache, which asks for the entries of all
-- caches, those of nr_default come along too.  Without it nothing changes.  It may
-- have another name by now, or not belong to the extension any more.
-- (Operators with their schema: the extension's schema may belong to somebody who made a
-- better match, and it would run as whoever makes the extension.)
SELECT pg_catalog.pg_extension_config_dump(d.objid, '')
  FROM pg_catalog.pg_depend d
  JOIN pg_catalog.pg_extension e ON e.oid OPERATOR(pg_catalog.=) d.refobjid
  JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) d.objid
 WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
   AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
   AND d.deptype OPERATOR(pg_catalog.=) 'e'
   AND e.extname OPERATOR(pg_catalog.=) 'nr_cache'
   AND c.relkind OPERATOR(pg_catalog.=) 'f';
