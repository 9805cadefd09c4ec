-- views: what an operator sees
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS nr_cache;
CREATE SCHEMA vw;
SET search_path = vw, public;
RESET client_min_messages;

CREATE FOREIGN TABLE c (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate', memory '4MB', log_size '256kB');
-- made at first use
SELECT count(*) FROM nr_caches WHERE relid = 'c'::regclass;
INSERT INTO c SELECT i, repeat('x', 10) FROM generate_series(1, 1000) i;
SELECT nr_get('c', 1), nr_get('c', 2), nr_get('c', -1);
SELECT database = current_database() AS here, cache, scheme, visibility, entries, key_bytes,
       value_bytes >= 10000 AS value_bytes, memory_limit, memory_used > 0 AS used,
       memory_used <= memory_limit AS within, log_memory > 0 AS log, buckets > 0 AS buckets,
       hits, misses, writes
FROM nr_caches WHERE relid = 'c'::regclass;

SELECT cache, count(*) = (SELECT count(*) FROM nr_memory) AS each_replica, max(applied) > 0 AS applied,
       sum(operations) AS operations, sum(batches) <= sum(requests) AS combined,
       max(mean_batch) >= 1 AS mean, max(operations_applied) AS operations_applied,
       sum(hits) AS hits, sum(misses) AS misses, count(combiner_pid) FILTER (WHERE combiner_pid NOT IN (SELECT pid FROM nr_tokens WHERE worker)) AS combiners,
       count(blocking_reader_pid) AS blocked
FROM nr_replicas WHERE relid = 'c'::regclass GROUP BY cache;

-- all replicas at the end of the log
SELECT nr_check('c');
SELECT cache, tail > 0 AS tail, completed = tail AS completed, head = tail AS head, slots > 0 AS slots,
       slots_used, bytes > 0 AS bytes, full_count >= 0 AS full, laggard, laggard_pid
FROM nr_logs WHERE relid = 'c'::regclass;
SELECT slots_promised, pending, order_number, order_horizon FROM nr_logs WHERE relid = 'c'::regclass;
SELECT max(lag) AS lag FROM nr_replicas WHERE relid = 'c'::regclass;

SELECT pid = pg_backend_pid() AS me, generation > 0 AS generation, waiting_for, waiting_cache, waiting_on, waits >= 0 AS waits
FROM nr_tokens WHERE pid = pg_backend_pid();

SELECT bool_and(bytes > bytes_free) AS used, bool_and(bytes_free > 0) AS free, bool_and(extent_bytes >= 262144) AS extent
FROM nr_memory;

-- while the relation is locked by somebody else the structure is not asked; by ourselves it is
BEGIN;
ALTER FOREIGN TABLE c RENAME TO d;
SELECT entries FROM nr_caches WHERE relid = 'd'::regclass;
ROLLBACK;

-- truncate and delete
SELECT nr_truncate('c');
SELECT entries, key_bytes, value_bytes FROM nr_caches WHERE relid = 'c'::regclass;

-- each scheme and visibility: one row for each replica, what is pending, order numbers
CREATE FOREIGN TABLE nr_c (k int, v text) SERVER nr_cache;
CREATE FOREIGN TABLE nr_m (k int, v text) SERVER nr_cache OPTIONS (visibility 'manual');
CREATE FOREIGN TABLE lr_c (k int, v text) SERVER nr_cache OPTIONS (scheme 'left_right');
CREATE FOREIGN TABLE lr_m (k int, v text) SERVER nr_cache OPTIONS (scheme 'left_right', visibility 'manual');
INSERT INTO nr_c VALUES (1, 'one');
INSERT INTO nr_m VALUES (1, 'one');
INSERT INTO lr_c VALUES (1, 'one');
INSERT INTO lr_m VALUES (1, 'one');
SELECT nr_publish('nr_m'), nr_publish('lr_m');
INSERT INTO nr_m VALUES (1, 'uno'), (2, 'due');
INSERT INTO lr_m VALUES (1, 'uno'), (2, 'due'), (3, 'tre');
INSERT INTO nr_c VALUES (2, 'two');
SELECT cache, scheme, visibility, copies, entries, notes FROM nr_caches WHERE relid::regclass::text IN ('nr_c', 'nr_m', 'lr_c', 'lr_m') ORDER BY relid;
SELECT cache, count(*) = CASE WHEN cache::text LIKE 'nr%' THEN (SELECT count(*) FROM nr_memory) ELSE 1 END AS replicas, min(replica)
FROM nr_replicas WHERE relid::regclass::text IN ('nr_c', 'nr_m', 'lr_c', 'lr_m') GROUP BY cache ORDER BY cache;
SELECT cache, slots_promised, pending, order_number > 1 AS order_number, order_horizon <= order_number + 1 AS order_horizon
FROM nr_logs WHERE relid::regclass::text IN ('nr_c', 'nr_m', 'lr_c', 'lr_m') ORDER BY relid;
-- what a transaction has staged is its own: the views do not count it
BEGIN;
INSERT INTO nr_c VALUES (3, 'three');
SELECT (SELECT count(*) FROM nr_c) AS seen, entries FROM nr_caches WHERE relid = 'nr_c'::regclass;
ROLLBACK;

SET client_min_messages = warning;
DROP SCHEMA vw CASCADE;
