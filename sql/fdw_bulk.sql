--
-- Many rows: requests of more than one chunk, wide rows, limits
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS nr_cache;
RESET client_min_messages;

CREATE FOREIGN TABLE fdw_b (k int8, v int8) SERVER nr_cache OPTIONS (visibility 'immediate');
INSERT INTO fdw_b SELECT i * 7919 % 100003, i FROM generate_series(1, 100002) i;
SELECT count(*), sum(k), sum(v) FROM fdw_b;
SELECT count(*) FROM generate_series(1, 100002) i JOIN fdw_b b ON b.k = i * 7919 % 100003 AND b.v = i;
SELECT sum(nr_get('fdw_b', i::int8, 0::int8)) FROM generate_series(1, 100002) i;

-- rows put twice: the last one stays, in one statement and in the next
INSERT INTO fdw_b SELECT i % 1000, i FROM generate_series(200000, 299999) i;
SELECT count(*), min(v), max(v) FROM fdw_b WHERE k < 1000;

-- inserting what is being read
INSERT INTO fdw_b SELECT k + 1000000, v FROM fdw_b;
SELECT count(*), count(*) FILTER (WHERE k >= 1000000) FROM fdw_b;
UPDATE fdw_b SET v = -1 WHERE k % 3 = 0;
SELECT v = -1 AS updated, count(*) FROM fdw_b GROUP BY 1 ORDER BY 1;
DELETE FROM fdw_b WHERE k >= 1000000;
SELECT count(*) FROM fdw_b;

-- an error in the middle: what was applied by then stays, and all of it is whole
CREATE FOREIGN TABLE fdw_e (k int, v int CHECK (v <> 50000)) SERVER nr_cache OPTIONS (visibility 'immediate');
INSERT INTO fdw_e SELECT i, i FROM generate_series(1, 100000) i;
SELECT count(*) BETWEEN 40000 AND 49999 AS chunks, count(*) = max(k) AS whole, count(*) FILTER (WHERE k <> v) AS bad FROM fdw_e;

-- moving many keys is one batch
TRUNCATE fdw_e;
INSERT INTO fdw_e SELECT i, -i FROM generate_series(1, 1000) i;
UPDATE fdw_e SET k = k + 1;
SELECT count(*), min(k), max(k), bool_and(k = 1 - v) FROM fdw_e;
UPDATE fdw_e SET k = 2003 - k;
SELECT count(*), min(k), max(k), bool_and(k = 2002 + v) FROM fdw_e;

-- wide rows, some larger than a chunk, toasted where they come from
CREATE TABLE fdw_wsrc (k text, v text);
ALTER TABLE fdw_wsrc ALTER v SET STORAGE EXTERNAL;
INSERT INTO fdw_wsrc SELECT 'key' || i, repeat(md5(i::text), i * i / 4) FROM generate_series(0, 60) i;
CREATE FOREIGN TABLE fdw_w (k text, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
INSERT INTO fdw_w SELECT * FROM fdw_wsrc;
SELECT count(*), sum(length(v)), max(length(v)) FROM fdw_w;
SELECT count(*) FROM fdw_w w JOIN fdw_wsrc s USING (k) WHERE w.v IS DISTINCT FROM s.v;
UPDATE fdw_w SET v = v || 'x', k = upper(k) WHERE length(v) > 10000;
SELECT count(*) FROM fdw_w w JOIN fdw_wsrc s ON upper(s.k) = w.k AND w.v = s.v || 'x';
\set VERBOSITY terse
INSERT INTO fdw_w SELECT 'huge', repeat(md5('x'), 1000000);
\set VERBOSITY default
SELECT count(*) FROM fdw_w;

-- COPY of many rows
TRUNCATE fdw_b;
COPY fdw_b FROM PROGRAM $$awk 'BEGIN { for (i = 0; i < 100003; i++) printf "%d\t%d\n", i * 7919 % 100003, i }'$$;
SELECT count(*), sum(k), sum(v) FROM fdw_b;
SELECT count(*) FROM generate_series(0, 100002) i JOIN fdw_b b ON b.k = i * 7919 % 100003 AND b.v = i;

-- a full cache says so and stays whole
CREATE FOREIGN TABLE fdw_full (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate', memory '1MB');
\set VERBOSITY terse
INSERT INTO fdw_full SELECT i, repeat('x', 100) FROM generate_series(1, 1000000) i;
\set VERBOSITY default
SELECT count(*) > 1000 AS some, count(*) FILTER (WHERE v <> repeat('x', 100)) AS bad FROM fdw_full;
SELECT nr_check('fdw_full');
DELETE FROM fdw_full WHERE k % 2 = 0;
INSERT INTO fdw_full VALUES (2, 'room again');
SELECT * FROM fdw_full WHERE k = 2;
TRUNCATE fdw_full;
INSERT INTO fdw_full SELECT i, repeat('x', 100) FROM generate_series(1, 1000) i;
SELECT count(*) FROM fdw_full;
SELECT nr_check('fdw_b'), nr_check('fdw_e'), nr_check('fdw_w'), nr_check('fdw_full');
