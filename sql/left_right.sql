-- scheme 'left_right': one replica of two copies, one writer at a time
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS nr_cache;
CREATE SCHEMA lr;
SET search_path = lr, public;
RESET client_min_messages;

-- the default visibility is commit here, too
CREATE FOREIGN TABLE fx (code text, rate numeric) SERVER nr_cache OPTIONS (scheme 'left_right');
SELECT nr_get('fx', 'USD');
SELECT scheme, visibility, copies FROM nr_caches WHERE relid = 'fx'::regclass;
SELECT nr_put('fx', 'USD', 1.0842), nr_put('fx', 'USD', 1.0850);
SELECT nr_get('fx', 'USD', NULL::numeric), nr_get('fx', 'ZZZ', 1.0), nr_get('fx', 'USD'), nr_get('fx', NULL);
INSERT INTO fx VALUES ('CHF', 0.9612), ('JPY', 163.2) RETURNING *;
COPY fx FROM STDIN (FORMAT csv);
GBP,0.8571
SEK,11.42
\.
SELECT * FROM fx ORDER BY code;
UPDATE fx SET rate = rate * 2 WHERE code = 'GBP' RETURNING *;
UPDATE fx SET code = 'ISK' WHERE code = 'SEK';
DELETE FROM fx WHERE code = 'JPY';
SELECT nr_delete('fx', 'CHF'), nr_delete('fx', 'CHF');
SELECT nr_get_many('fx', ARRAY[['USD', 'GBP'], ['ISK', 'CHF']], NULL::numeric);
SELECT f.code, o.n * f.rate AS amount FROM (VALUES ('USD', 10), ('GBP', 20), ('JPY', 30)) o(code, n) JOIN fx f USING (code) ORDER BY 1;
SELECT nr_check('fx');

-- two copies that take turns
CREATE FOREIGN TABLE c (k int, v text) SERVER nr_cache OPTIONS (scheme 'left_right', visibility 'immediate', memory '8MB');
SELECT count(nr_put('c', i, repeat('x', i))) FROM generate_series(1, 100) i;
SELECT flips >= 99 AS flips, applied = tail AS applied, replica, copies
FROM nr_replicas JOIN nr_logs USING (relid) JOIN nr_caches USING (relid) WHERE relid = 'c'::regclass;
SELECT count(*), sum(length(v)) FROM c;
SELECT nr_check('c');

-- commit: staged, seen by its own transaction, all at once or not at all
BEGIN;
SELECT nr_put('fx', 'NOK', 11.7), nr_put('fx', 'USD', 2);
SELECT nr_get('fx', 'NOK'), nr_get('fx', 'USD'), (SELECT count(*) FROM fx);
SAVEPOINT s;
SELECT nr_truncate('fx'), nr_get('fx', 'USD');
ROLLBACK TO s;
SELECT nr_get('fx', 'NOK'), (SELECT count(*) FROM fx);
ROLLBACK;
SELECT nr_get('fx', 'NOK'), nr_get('fx', 'USD'), (SELECT count(*) FROM fx);
DO $$
BEGIN
    PERFORM nr_put('fx', 'A', 1);
    BEGIN
        PERFORM nr_put('fx', 'A', 2), nr_put('fx', 'B', 2);
        RAISE division_by_zero;
    EXCEPTION WHEN division_by_zero THEN
        RAISE NOTICE 'A %, B %', nr_get('fx', 'A'), nr_get('fx', 'B');
    END;
END $$;
SELECT nr_get('fx', 'A'), nr_get('fx', 'B');
-- the writer lock: not before COMMIT, and not after
BEGIN;
SELECT nr_put('fx', 'A', 3);
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 28279;
COMMIT;
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 28279;
-- several caches in one transaction
BEGIN;
SELECT nr_put('fx', 'A', 4), nr_put('c', 1, 'at once');
INSERT INTO fx SELECT 'k' || i, i FROM generate_series(1, 1000) i;
COMMIT;
SELECT count(*), sum(rate) FROM fx WHERE code LIKE 'k%';
SELECT nr_check('fx'), nr_check('c');

-- immediate: ROLLBACK does not undo, and the writer lock is let go of, errors included
BEGIN;
SELECT nr_put('c', 1, 'rolled back');
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 28279;
ROLLBACK;
SELECT nr_get('c', 1);
DO $$
BEGIN
    FOR i IN 1 .. 1000 LOOP
        PERFORM nr_put('c', 1000 + i, repeat('x', 60000));
    END LOOP;
EXCEPTION WHEN out_of_memory THEN
    RAISE NOTICE '%', SQLERRM;
    RAISE NOTICE 'locks: %', (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 28279);
    PERFORM nr_truncate('c');
END $$;
SELECT count(*), nr_put('c', 1, 'one'), nr_check('c') FROM c;
-- a full cache makes COMMIT fail, and nothing of the transaction is left
CREATE FOREIGN TABLE small (k int, v text) SERVER nr_cache OPTIONS (scheme 'left_right', memory '2MB');
INSERT INTO small SELECT i, 'kept' FROM generate_series(1, 10) i;
BEGIN;
INSERT INTO small SELECT i, repeat('x', 50000) FROM generate_series(1, 40) i;
SELECT count(*) FROM small;
\set VERBOSITY sqlstate
COMMIT;
\set VERBOSITY default
SELECT count(*), min(v), max(v), nr_check('small') FROM small;
INSERT INTO small VALUES (11, 'room');
SELECT count(*), nr_check('small') FROM small;

-- manual, with the load before the first publish of any size: see manual.sql for the rest
CREATE FOREIGN TABLE m (k int, v text) SERVER nr_cache OPTIONS (scheme 'left_right', visibility 'manual');
INSERT INTO m SELECT i, repeat(md5(i::text), 4) FROM generate_series(1, 60000) i;
SELECT count(*), nr_get('m', 1), nr_pending('m') FROM m;
SELECT nr_publish('m');
SELECT count(*), count(DISTINCT v), length(nr_get('m', 1)), nr_pending('m') FROM m;
SELECT nr_check('m');
-- what comes after it goes to both
UPDATE m SET v = 'changed' WHERE k % 100 = 0;
DELETE FROM m WHERE k % 100 = 1;
SELECT count(*), count(*) FILTER (WHERE v = 'changed') AS changed, nr_pending('m') FROM m;
SELECT nr_publish('m');
SELECT count(*), count(*) FILTER (WHERE v = 'changed') AS changed, nr_pending('m') FROM m;
SELECT nr_put('m', 0, 'zero'), nr_publish('m'), nr_put('m', 0, 'null'), nr_publish('m'), nr_get('m', 0), nr_check('m');

-- a load that does not fit: an error, what came before stays pending
CREATE FOREIGN TABLE full_m (k int, v text) SERVER nr_cache OPTIONS (scheme 'left_right', visibility 'manual', memory '4MB');
\set VERBOSITY terse
INSERT INTO full_m SELECT i, repeat('x', 5000) FROM generate_series(1, 10000) i;
\set VERBOSITY default
SELECT count(*), nr_pending('full_m') BETWEEN 100 AND 1000 AS pending, nr_check('full_m') FROM full_m;
SELECT nr_publish('full_m') = (SELECT count(*) FROM full_m WHERE length(v) = 5000) AS published, nr_check('full_m');
SELECT nr_truncate('full_m'), nr_publish('full_m'), nr_put('full_m', 1, 'room'), nr_publish('full_m'), nr_check('full_m');
DROP FOREIGN TABLE full_m;

-- rows
CREATE TYPE colour AS ENUM ('red', 'green');
CREATE FOREIGN TABLE product (id int, name text, price numeric(8,2), c colour, tags text[]) SERVER nr_cache OPTIONS (scheme 'left_right');
SELECT nr_put('product', ROW(42, 'lamp', 19.90, 'green', '{light,desk}'));
SELECT nr_get('product', 42), (nr_get('product', 42, NULL::product)).price;
SELECT nr_check('product');

SET client_min_messages = warning;
DROP SCHEMA lr CASCADE;
