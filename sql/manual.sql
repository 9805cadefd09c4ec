-- visibility 'manual': writes collect until nr_publish
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS nr_cache;
CREATE SCHEMA man;
SET search_path = man, public;
RESET client_min_messages;
CREATE FOREIGN TABLE nr (k int, v text) SERVER nr_cache OPTIONS (visibility 'manual');
CREATE FOREIGN TABLE lr (k int, v text) SERVER nr_cache OPTIONS (visibility 'manual', scheme 'left_right');

-- nothing pending, nothing published
SELECT c, nr_pending(c), nr_publish(c), nr_try_publish(c), nr_get(c, 1) FROM unnest('{nr,lr}'::regclass[]) c;

-- invisible, also to the writer, and compared with what is published
SELECT c, nr_put(c, 1, 'one'), nr_put(c, 1, 'uno'), nr_put(c, 2, 'two'), nr_pending(c) FROM unnest('{nr,lr}'::regclass[]) c;
SELECT nr_get('nr', 1), nr_get('lr', 1), (SELECT count(*) FROM nr), (SELECT count(*) FROM lr);
SELECT c, nr_publish(c), nr_pending(c), nr_get(c, 1), nr_get(c, 2) FROM unnest('{nr,lr}'::regclass[]) c;
SELECT c, nr_put(c, 1, 'one'), nr_delete(c, 2), nr_delete(c, 3), nr_put(c, 3, 'three'), nr_delete(c, 2), nr_pending(c) FROM unnest('{nr,lr}'::regclass[]) c;
SELECT c, nr_get_many(c, ARRAY[1, 2, 3], '-'::text) FROM unnest('{nr,lr}'::regclass[]) c;
SELECT c, nr_try_publish(c), nr_pending(c), nr_get_many(c, ARRAY[1, 2, 3], '-'::text), nr_check(c) FROM unnest('{nr,lr}'::regclass[]) c;

-- statements: INSERT, COPY, UPDATE, DELETE look at what is published
INSERT INTO nr VALUES (4, 'four') RETURNING *;
INSERT INTO lr SELECT * FROM nr UNION VALUES (4, 'four');
COPY nr FROM STDIN (FORMAT csv);
5,five
\.
UPDATE nr SET v = v || '!';
UPDATE lr SET v = v || '!' WHERE k = 1;
UPDATE lr SET k = 30 WHERE k = 3;
DELETE FROM nr WHERE k >= 3 RETURNING *;
SELECT * FROM nr ORDER BY k;
SELECT * FROM lr ORDER BY k;
SELECT nr_publish('nr'), nr_publish('lr');
SELECT * FROM nr ORDER BY k;
SELECT * FROM lr ORDER BY k;
SELECT nr_check('nr'), nr_check('lr');

-- truncate is collected like any other write
SELECT nr_truncate('nr'), nr_put('nr', 7, 'seven'), nr_truncate('lr'), nr_put('lr', 7, 'seven');
SELECT (SELECT count(*) FROM nr), (SELECT count(*) FROM lr);
SELECT nr_publish('nr'), nr_publish('lr');
SELECT * FROM nr UNION ALL SELECT * FROM lr;

-- ROLLBACK, savepoints and errors undo neither an append nor a publish
BEGIN;
SELECT nr_put('nr', 8, 'eight'), nr_put('lr', 8, 'eight');
SAVEPOINT s;
SELECT nr_put('nr', 9, 'nine'), nr_put('lr', 9, 'nine');
ROLLBACK TO s;
SELECT 1 / 0;
ROLLBACK;
SELECT nr_pending('nr'), nr_pending('lr');
BEGIN;
SELECT nr_publish('nr'), nr_publish('lr');
ROLLBACK;
SELECT nr_get_many('nr', ARRAY[8, 9], '-'::text), nr_get_many('lr', ARRAY[8, 9], '-'::text);

-- a disconnect neither: the next session finds and publishes it
SELECT nr_put('nr', 10, 'ten'), nr_put('lr', 10, 'ten');
\c -
SET search_path = man, public;
SELECT nr_pending('nr'), nr_pending('lr'), nr_get('nr', 10), nr_get('lr', 10);
SELECT nr_put('nr', 11, 'eleven'), nr_put('lr', 11, 'eleven'), nr_publish('nr'), nr_publish('lr');
SELECT nr_get_many('nr', ARRAY[10, 11], '-'::text), nr_get_many('lr', ARRAY[10, 11], '-'::text);

-- published without a transaction that writes: no transaction id is needed
BEGIN;
SELECT nr_put('nr', 12, 'twelve'), nr_publish('nr'), pg_current_xact_id_if_assigned();
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 28279;
COMMIT;

-- READ ONLY
BEGIN READ ONLY;
SELECT nr_get('nr', 12), nr_pending('nr');
SAVEPOINT s;
SELECT nr_put('nr', 13, 'x');
ROLLBACK TO s;
SELECT nr_publish('nr');
ROLLBACK TO s;
SELECT nr_try_publish('nr');
ROLLBACK;

-- more than nr_cache.max_batch: an error, and what is pending stays
SELECT nr_publish('nr');
DO $$
DECLARE
    before bigint;
    n bigint := 0;
BEGIN
    LOOP
        before := nr_pending('nr');
        BEGIN
            PERFORM nr_put('nr', 1000 + n::int, repeat('x', 50000));
        EXCEPTION WHEN program_limit_exceeded THEN
            RAISE NOTICE '%', SQLERRM;
            EXIT;
        END;
        n := n + 1;
    END LOOP;
    RAISE NOTICE 'pending as before: %, each put: %, published: %', nr_pending('nr') = before, before = n, nr_publish('nr') = n;
    RAISE NOTICE 'all there: %', (SELECT count(*) = n FROM nr WHERE k >= 1000);
END $$;
DELETE FROM nr WHERE k >= 1000;
SELECT nr_publish('nr') > 0 AS published, nr_check('nr');

-- a cache without room: nothing that is pending is lost
CREATE FOREIGN TABLE small (k int, v text) SERVER nr_cache OPTIONS (visibility 'manual', memory '1MB');
CREATE FOREIGN TABLE small_lr (k int, v text) SERVER nr_cache OPTIONS (visibility 'manual', memory '2MB', scheme 'left_right');
SELECT c, nr_put(c, 0, 'kept'), nr_publish(c) FROM unnest('{small,small_lr}'::regclass[]) c;
DO $$
DECLARE
    c regclass;
    before bigint;
BEGIN
    FOREACH c IN ARRAY '{small,small_lr}'::regclass[] LOOP
        BEGIN
            FOR i IN 1 .. 40 LOOP
                PERFORM nr_put(c, i, repeat('x', 50000));
            END LOOP;
            before := nr_pending(c);
            PERFORM nr_publish(c);
        EXCEPTION WHEN out_of_memory THEN
            RAISE NOTICE '% ', SQLERRM;
        END;
        BEGIN
            PERFORM nr_try_publish(c);
        EXCEPTION WHEN out_of_memory THEN
            RAISE NOTICE '% ', SQLERRM;
        END;
        RAISE NOTICE 'pending %, before %, published % %', nr_pending(c), before, nr_get(c, 0), nr_get(c, 1);
    END LOOP;
END $$;
-- more memory is another layout, and so an empty cache
ALTER FOREIGN TABLE small OPTIONS (SET memory '8MB');
SELECT nr_pending('small'), nr_get('small', 0);
SELECT nr_check('small'), nr_check('small_lr');

-- other caches, other objects, other people
CREATE FOREIGN TABLE cm (k int, v text) SERVER nr_cache;
CREATE FOREIGN TABLE im (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate', scheme 'left_right');
CREATE TABLE plain (k int);
SELECT nr_publish('cm');
SELECT nr_try_publish('im');
SELECT nr_pending('cm');
SELECT nr_pending('im');
SELECT nr_publish('plain');
SELECT nr_publish(0);
SELECT nr_publish(NULL);
SELECT nr_try_publish(NULL);
SELECT nr_pending(NULL);

CREATE ROLE nr_regress_manual;
GRANT USAGE ON SCHEMA man TO nr_regress_manual;
SET ROLE nr_regress_manual;
SELECT nr_publish('nr');
SELECT nr_try_publish('nr');
SELECT nr_pending('nr');
RESET ROLE;
GRANT SELECT ON nr TO nr_regress_manual;
SET ROLE nr_regress_manual;
SELECT nr_pending('nr');
SELECT nr_publish('nr');
RESET ROLE;
GRANT DELETE ON nr TO nr_regress_manual;
SET ROLE nr_regress_manual;
SELECT nr_delete('nr', 1), nr_publish('nr'), nr_try_publish('nr');
RESET ROLE;

-- what is pending needs room for the worst case; if there is none, all of it still is
CREATE FOREIGN TABLE tight (k int, v text) SERVER nr_cache OPTIONS (visibility 'manual', memory '1MB');
INSERT INTO tight SELECT i, repeat('x', 500) FROM generate_series(1, 1500) i;
SELECT nr_publish('tight');
SELECT nr_try_publish('tight');
SELECT nr_pending('tight'), count(*) FROM tight;

-- What is pending belongs to the cache.  DROP discards it, and a cache of the same name begins anew; a DROP that is
-- rolled back does not.
CREATE FOREIGN TABLE fate (k int, v text) SERVER nr_cache OPTIONS (visibility 'manual');
CREATE FOREIGN TABLE fate2 (k int, v text) SERVER nr_cache OPTIONS (visibility 'manual', copies '2');
CREATE FOREIGN TABLE fate_lr (k int, v text) SERVER nr_cache OPTIONS (visibility 'manual', scheme 'left_right');
INSERT INTO fate VALUES (1, 'x');
INSERT INTO fate2 VALUES (1, 'x');
INSERT INTO fate_lr VALUES (1, 'x');
BEGIN;
DROP FOREIGN TABLE fate, fate2, fate_lr;
ROLLBACK;
SELECT nr_pending('fate'), nr_pending('fate2'), nr_pending('fate_lr');
SELECT nr_publish('fate'), nr_publish('fate2'), nr_publish('fate_lr');
INSERT INTO fate VALUES (2, 'x');
INSERT INTO fate2 VALUES (2, 'x');
INSERT INTO fate_lr VALUES (2, 'x');
DROP FOREIGN TABLE fate, fate2, fate_lr;
CREATE FOREIGN TABLE fate (k int, v text) SERVER nr_cache OPTIONS (visibility 'manual');
CREATE FOREIGN TABLE fate2 (k int, v text) SERVER nr_cache OPTIONS (visibility 'manual', copies '2');
CREATE FOREIGN TABLE fate_lr (k int, v text) SERVER nr_cache OPTIONS (visibility 'manual', scheme 'left_right');
SELECT nr_pending('fate'), nr_pending('fate2'), nr_pending('fate_lr');
SELECT nr_publish('fate'), nr_publish('fate2'), nr_publish('fate_lr');
SELECT (SELECT count(*) FROM fate), (SELECT count(*) FROM fate2), (SELECT count(*) FROM fate_lr);
-- one that is dropped and made again in a transaction that is rolled back is the old one
INSERT INTO fate VALUES (3, 'x');
INSERT INTO fate2 VALUES (3, 'x');
INSERT INTO fate_lr VALUES (3, 'x');
BEGIN;
DROP FOREIGN TABLE fate, fate2, fate_lr;
CREATE FOREIGN TABLE fate (k int, v text) SERVER nr_cache OPTIONS (visibility 'manual');
SELECT nr_pending('fate');
ROLLBACK;
SELECT nr_pending('fate'), nr_pending('fate2'), nr_pending('fate_lr');
SELECT nr_publish('fate'), nr_publish('fate2'), nr_publish('fate_lr');
SELECT (SELECT k FROM fate), (SELECT k FROM fate2), (SELECT k FROM fate_lr);

SET client_min_messages = warning;
DROP SCHEMA man CASCADE;
DROP ROLE nr_regress_manual;
