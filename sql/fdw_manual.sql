--
-- Caches of visibility 'manual' as tables: scans see what is published, writes
-- collect until nr_publish().
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS nr_cache;
RESET client_min_messages;

CREATE FOREIGN TABLE fdw_y (k int, v text, CHECK (v <> 'bad')) SERVER nr_cache OPTIONS (visibility 'manual');
CREATE FOREIGN TABLE fdw_z (k int, v text) SERVER nr_cache OPTIONS (visibility 'manual', scheme 'left_right');

INSERT INTO fdw_y VALUES (1, 'a'), (2, 'b'), (3, 'c');
INSERT INTO fdw_z SELECT * FROM fdw_y;
SELECT count(*) FROM fdw_y;
SELECT count(*) FROM fdw_y WHERE k = 1;
SELECT nr_pending('fdw_y') > 0 AS pending, nr_pending('fdw_z') > 0 AS none_was_seen;
WITH u AS (UPDATE fdw_y SET v = 'not there yet' RETURNING k) SELECT count(*) FROM u;
WITH d AS (DELETE FROM fdw_y RETURNING k) SELECT count(*) FROM d;
SELECT nr_publish('fdw_y') > 0 AS published;
SELECT * FROM fdw_y ORDER BY k;
INSERT INTO fdw_z SELECT * FROM fdw_y;
SELECT nr_publish('fdw_z') > 0 AS published;
SELECT * FROM fdw_z ORDER BY k;

-- counts are of what is published
UPDATE fdw_y SET v = v || '!' WHERE k < 3;
DELETE FROM fdw_y WHERE k = 3;
WITH d AS (DELETE FROM fdw_y WHERE k = 3 RETURNING k) SELECT count(*) AS still_published FROM d;
UPDATE fdw_y SET v = 'once more' WHERE k = 3;
UPDATE fdw_y SET v = 'nobody' WHERE k = 4;
WITH d AS (DELETE FROM fdw_y WHERE k = 2 RETURNING *) SELECT * FROM d;
SELECT * FROM fdw_y ORDER BY k;
SELECT nr_publish('fdw_y') > 0 AS published;
SELECT * FROM fdw_y ORDER BY k;

-- published in the middle of a statement: a row that is gone does not come back
INSERT INTO fdw_y VALUES (2, 'b');
SELECT nr_publish('fdw_y') > 0 AS published;
DELETE FROM fdw_y WHERE k = 2;
CREATE FUNCTION fdw_publish(text) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT $1 || nr_publish('fdw_y') $$;
WITH u AS (UPDATE fdw_y SET v = fdw_publish(v) WHERE k = 2 RETURNING k) SELECT count(*) FROM u;
SELECT nr_publish('fdw_y') = 0 AS nothing_was_pending;
SELECT * FROM fdw_y ORDER BY k;

-- ROLLBACK does not undo an append, an error in the middle drops what is not applied
BEGIN;
INSERT INTO fdw_y VALUES (5, 'stays');
ROLLBACK;
INSERT INTO fdw_y VALUES (6, 'dropped'), (7, 'bad');
SELECT nr_publish('fdw_y') > 0 AS published;
SELECT * FROM fdw_y ORDER BY k;

-- keys
SELECT nr_truncate('fdw_z');
INSERT INTO fdw_z SELECT i, 'v' || i FROM generate_series(1, 20000) i;
SELECT count(*) FROM fdw_z;
SELECT nr_publish('fdw_z') > 0 AS published;
SELECT count(*), sum(k) FROM fdw_z;
UPDATE fdw_z SET k = k + 1 WHERE k > 19990;
UPDATE fdw_z SET v = v || '!' WHERE k <= 19990;
SELECT count(*), sum(k), max(length(v)) FROM fdw_z;
SELECT nr_publish('fdw_z') > 0 AS published;
SELECT count(*), sum(k), max(length(v)) FROM fdw_z;
TRUNCATE fdw_z;
SELECT count(*) FROM fdw_z;
SELECT nr_publish('fdw_z') > 0 AS published;
SELECT count(*) FROM fdw_z;
COPY fdw_z FROM stdin;
1	copied
2	copied
\.
SELECT count(*) FROM fdw_z;
SELECT nr_publish('fdw_z') > 0 AS published;
SELECT * FROM fdw_z ORDER BY k;
SELECT nr_check('fdw_y'), nr_check('fdw_z');
