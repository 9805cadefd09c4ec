/* nr_cache--0.1.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION nr_cache" to load this file. \quit

-- Fails with a hint when the library is not in shared_preload_libraries.
CREATE FUNCTION nr_require_preload() RETURNS void
AS 'MODULE_PATHNAME' LANGUAGE C;
SELECT nr_require_preload();
DROP FUNCTION nr_require_preload();

CREATE FUNCTION nr_cache_fdw_handler() RETURNS fdw_handler
AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
CREATE FUNCTION nr_cache_fdw_validator(text[], oid) RETURNS void
AS 'MODULE_PATHNAME' LANGUAGE C STRICT;

CREATE FOREIGN DATA WRAPPER nr_cache
    HANDLER nr_cache_fdw_handler VALIDATOR nr_cache_fdw_validator;
CREATE SERVER nr_cache FOREIGN DATA WRAPPER nr_cache;

-- ---- reads -----------------------------------------------------------------
-- STABLE: as VOLATILE they could not be an index condition, and policies would
-- call them for each row.  Not STRICT: a NULL key answers the fallback.

CREATE FUNCTION nr_get(cache regclass, key text) RETURNS text
AS 'MODULE_PATHNAME', 'nr_get_text' LANGUAGE C STABLE PARALLEL SAFE;
CREATE FUNCTION nr_get(cache regclass, key anynonarray) RETURNS text
AS 'MODULE_PATHNAME', 'nr_get_text' LANGUAGE C STABLE PARALLEL SAFE;
CREATE FUNCTION nr_get(cache regclass, key text, fallback anycompatible) RETURNS anycompatible
AS 'MODULE_PATHNAME', 'nr_get_typed' LANGUAGE C STABLE PARALLEL SAFE;
CREATE FUNCTION nr_get(cache regclass, key anynonarray, fallback anycompatible) RETURNS anycompatible
AS 'MODULE_PATHNAME', 'nr_get_typed' LANGUAGE C STABLE PARALLEL SAFE;
CREATE FUNCTION nr_get_many(cache regclass, keys anyarray, fallback anycompatible) RETURNS anycompatiblearray
AS 'MODULE_PATHNAME', 'nr_get_many' LANGUAGE C STABLE PARALLEL SAFE;

-- ---- writes ----------------------------------------------------------------

CREATE FUNCTION nr_put(cache regclass, key text, value anycompatible) RETURNS boolean
AS 'MODULE_PATHNAME', 'nr_put' LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION nr_put(cache regclass, key anynonarray, value anycompatible) RETURNS boolean
AS 'MODULE_PATHNAME', 'nr_put' LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION nr_put(cache regclass, entry record) RETURNS boolean
AS 'MODULE_PATHNAME', 'nr_put_row' LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION nr_delete(cache regclass, key text) RETURNS boolean
AS 'MODULE_PATHNAME', 'nr_delete' LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION nr_delete(cache regclass, key anynonarray) RETURNS boolean
AS 'MODULE_PATHNAME', 'nr_delete' LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION nr_truncate(cache regclass) RETURNS void
AS 'MODULE_PATHNAME', 'nr_truncate' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
CREATE FUNCTION nr_check(cache regclass) RETURNS boolean
AS 'MODULE_PATHNAME', 'nr_check' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

-- ---- visibility 'manual' --------------------------------------------------------

CREATE FUNCTION nr_publish(cache regclass) RETURNS bigint
AS 'MODULE_PATHNAME', 'nr_fn_publish' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
CREATE FUNCTION nr_try_publish(cache regclass) RETURNS boolean
AS 'MODULE_PATHNAME', 'nr_fn_try_publish' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
CREATE FUNCTION nr_pending(cache regclass) RETURNS bigint
AS 'MODULE_PATHNAME', 'nr_fn_pending' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

-- ---- nr_default: text to text, granted to nobody ----------------------------

CREATE FOREIGN TABLE nr_default (
    key text OPTIONS (key 'true') NOT NULL,
    value text
) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
REVOKE ALL ON nr_default FROM PUBLIC;

CREATE FUNCTION nr_get(key text) RETURNS text
AS 'MODULE_PATHNAME', 'nr_default_get' LANGUAGE C STABLE PARALLEL SAFE;
CREATE FUNCTION nr_put(key text, value text) RETURNS boolean
AS 'MODULE_PATHNAME', 'nr_default_put' LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION nr_delete(key text) RETURNS boolean
AS 'MODULE_PATHNAME', 'nr_default_delete' LANGUAGE C VOLATILE PARALLEL UNSAFE;

-- ---- views -------------------------------------------------------------------

CREATE FUNCTION nr_caches(
    OUT database name, OUT cache regclass, OUT relid oid, OUT scheme text, OUT copies integer, OUT visibility text,
    OUT entries bigint, OUT key_bytes bigint, OUT value_bytes bigint,
    OUT memory_limit bigint, OUT memory_used bigint, OUT memory_free bigint, OUT log_memory bigint,
    OUT buckets bigint, OUT overflow_lines bigint, OUT heap_used bigint, OUT heap_free bigint, OUT notes bigint,
    OUT hits bigint, OUT misses bigint, OUT writes bigint
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nr_caches' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
CREATE FUNCTION nr_replicas(
    OUT database name, OUT cache regclass, OUT relid oid, OUT replica integer,
    OUT applied bigint, OUT lag bigint, OUT batches bigint, OUT requests bigint, OUT operations bigint,
    OUT mean_batch double precision, OUT operations_applied bigint, OUT applied_by_others bigint,
    OUT hits bigint, OUT misses bigint, OUT reader_waits bigint, OUT reader_sleeps bigint,
    OUT writer_waits bigint, OUT writer_sleeps bigint, OUT response_sleeps bigint, OUT withdrawn bigint, OUT flips bigint,
    OUT combiner_pid integer, OUT blocking_reader_pid integer
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nr_replicas' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
CREATE FUNCTION nr_logs(
    OUT database name, OUT cache regclass, OUT relid oid,
    OUT tail bigint, OUT completed bigint, OUT head bigint, OUT slots integer, OUT slots_used integer, OUT slots_promised integer,
    OUT bytes bigint, OUT bytes_used bigint, OUT full_count bigint, OUT space_waits bigint,
    OUT extents_granted bigint, OUT extents_released bigint,
    OUT pending bigint, OUT order_number bigint, OUT order_horizon bigint,
    OUT laggard integer, OUT laggard_pid integer
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nr_logs' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
CREATE FUNCTION nr_tokens(
    OUT token integer, OUT pid integer, OUT replica integer, OUT generation bigint,
    OUT waiting_for text, OUT waiting_cache oid, OUT waiting_on integer, OUT waits bigint
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nr_tokens' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
CREATE FUNCTION nr_memory(
    OUT replica integer, OUT node integer, OUT bytes bigint, OUT bytes_free bigint, OUT extent_bytes integer
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nr_memory' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

CREATE VIEW nr_caches AS SELECT * FROM nr_caches();
CREATE VIEW nr_replicas AS SELECT * FROM nr_replicas();
CREATE VIEW nr_logs AS SELECT * FROM nr_logs();
CREATE VIEW nr_tokens AS SELECT * FROM nr_tokens();
CREATE VIEW nr_memory AS SELECT * FROM nr_memory();

REVOKE ALL ON FUNCTION nr_caches(), nr_replicas(), nr_logs(), nr_tokens(), nr_memory() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION nr_caches(), nr_replicas(), nr_logs(), nr_tokens(), nr_memory() TO pg_read_all_stats;
REVOKE ALL ON nr_caches, nr_replicas, nr_logs, nr_tokens, nr_memory FROM PUBLIC;
GRANT SELECT ON nr_caches, nr_replicas, nr_logs, nr_tokens, nr_memory TO pg_read_all_stats;
