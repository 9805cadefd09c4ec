--
-- Two copies in each replica: everything works as with one, readers never wait.
--
CREATE FOREIGN TABLE two (k int, v text) SERVER nr_cache
    OPTIONS (visibility 'immediate', copies '2', memory '8MB');
CREATE FOREIGN TABLE two_row (k text, a int, b jsonb, c numeric(6,2)) SERVER nr_cache
    OPTIONS (visibility 'immediate', copies '2');
SELECT nr_put('two', 1, 'one'), nr_put('two', 1, 'uno'), nr_get('two', 1), nr_get('two', 2, 'none'::text);
SELECT nr_put('two_row', ROW('x', 1, '{"y": 2}', 3.456)), nr_get('two_row', 'x');
SELECT (nr_get('two_row', 'x', NULL::two_row)).c;

-- bulk loads, updates, deletes; each copy gets every one of them
INSERT INTO two SELECT i, repeat(i::text, 1 + i % 20) FROM generate_series(1, 20000) i;
SELECT count(*), sum(length(v)) FROM two;
UPDATE two SET v = v || '!' WHERE k % 1000 = 0;
UPDATE two SET k = -k WHERE k % 5000 = 0;
DELETE FROM two WHERE k % 3 = 0;
SELECT count(*), sum(length(v)), min(k), max(k) FROM two;
SELECT nr_get_many('two', ARRAY[1, 2, 3, -5000, 20000], NULL::text) = ARRAY[nr_get('two', 1), nr_get('two', 2), NULL, nr_get('two', -5000), NULL] AS same;
SELECT nr_check('two'), nr_check('two_row');
-- large values travel outside the log, and are let go of by both copies
SELECT count(nr_put('two', 100000 + i % 7, repeat(md5(i::text), 1500))) FROM generate_series(1, 500) i;
SELECT count(*), sum(length(v)) FROM two WHERE k >= 100000;
SELECT nr_check('two');

-- full: an error in each copy alike, nothing is lost, and there is room again afterwards
DO $$
BEGIN
    FOR i IN 1 .. 1000 LOOP
        PERFORM nr_put('two', 200000 + i, repeat('x', 60000));
    END LOOP;
EXCEPTION WHEN out_of_memory THEN
    RAISE NOTICE '%', SQLERRM;
END $$;
SELECT count(*) > 20 AS some, bool_and(length(v) = 60000) AS whole FROM two WHERE k > 200000;
SELECT nr_check('two');
SELECT nr_truncate('two');
SELECT nr_put('two', 1, 'again'), count(*) FROM two;
SELECT nr_check('two');
SELECT copies, entries, memory_used < 0.6 * memory_limit AS given_back FROM nr_caches WHERE cache = 'two'::regclass;
SELECT bool_or(flips > 0) AS flipped FROM nr_replicas WHERE cache = 'two'::regclass;

-- the number of copies is part of the layout
ALTER FOREIGN TABLE two OPTIONS (SET copies '1');
SELECT count(*) FROM two;
SELECT nr_put('two', 1, 'one'), nr_check('two');
SELECT copies FROM nr_caches WHERE cache = 'two'::regclass;
ALTER FOREIGN TABLE two OPTIONS (SET copies '0');

-- in transactions, too: one batch to both copies at COMMIT
CREATE FOREIGN TABLE two_commit (k int, v text) SERVER nr_cache OPTIONS (copies '2');
BEGIN;
INSERT INTO two_commit SELECT i, i::text FROM generate_series(1, 1000) i;
SAVEPOINT s;
DELETE FROM two_commit WHERE k > 10;
SELECT count(*) FROM two_commit;
ROLLBACK TO s;
SELECT count(*) FROM two_commit;
COMMIT;
SELECT count(*), nr_check('two_commit') FROM two_commit;
BEGIN;
SELECT nr_truncate('two_commit'), nr_put('two_commit', 1, 'lost');
ROLLBACK;
SELECT count(*), nr_check('two_commit') FROM two_commit;
-- and by hand
CREATE FOREIGN TABLE two_manual (k int, v text) SERVER nr_cache OPTIONS (copies '2', visibility 'manual');
INSERT INTO two_manual SELECT i, i::text FROM generate_series(1, 1000) i;
SELECT count(*), nr_pending('two_manual'), nr_check('two_manual') FROM two_manual;
SELECT nr_publish('two_manual');
SELECT count(*), nr_pending('two_manual'), nr_check('two_manual') FROM two_manual;
DROP FOREIGN TABLE two_manual;
