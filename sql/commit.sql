--
-- visibility 'commit': a transaction's writes are its own until it commits.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS nr_cache;
RESET client_min_messages;
CREATE SCHEMA t_commit;
SET search_path = t_commit, public;

-- it is the default; the same for each kind of cache
CREATE FOREIGN TABLE one (k int, v text) SERVER nr_cache;
CREATE FOREIGN TABLE two (k int, v text) SERVER nr_cache OPTIONS (copies '2', visibility 'commit');
CREATE FOREIGN TABLE lr (k int, v text) SERVER nr_cache OPTIONS (scheme 'left_right');

-- by name, so that a changed definition does not matter
CREATE FUNCTION shown(cache text) RETURNS TABLE (k int, v text) LANGUAGE plpgsql AS
$$ BEGIN RETURN QUERY EXECUTE format('SELECT k, v FROM %I ORDER BY k', cache); END $$;

-- seen by the transaction at once; answers are those of its own view
CREATE PROCEDURE own_writes(c regclass) LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE '% put: % % %', c, nr_put(c, 1, 'one'::text), nr_put(c, 2, 'two'::text), nr_put(c, 1, 'uno'::text);
	RAISE NOTICE '% get: % % %', c, nr_get(c, 1), nr_get(c, 2), nr_get(c, 3);
	RAISE NOTICE '% delete: % % %', c, nr_delete(c, 2), nr_delete(c, 2), nr_delete(c, 3);
	RAISE NOTICE '% again: % %', c, nr_put(c, 2, 'zwei'::text), nr_get_many(c, '{1,2,3}'::int[], 'none'::text);
	ROLLBACK;
	RAISE NOTICE '% rolled back: %', c, nr_get_many(c, '{1,2,3}'::int[], 'none'::text);
	PERFORM nr_put(c, 1, 'one'::text), nr_put(c, 2, 'two'::text);
	COMMIT;
	RAISE NOTICE '% committed: %', c, nr_get_many(c, '{1,2,3}'::int[], 'none'::text);
	RAISE NOTICE '% now old: % %', c, nr_put(c, 1, 'uno'::text), nr_delete(c, 2);
	RAISE NOTICE '% mixed: % %', c, nr_get_many(c, '{1,2,3,NULL}'::int[], 'none'::text), nr_put(c, 3, NULL::text);
	RAISE NOTICE '% a NULL: %', c, nr_get_many(c, '{3,2,1,3}'::int[], 'none'::text);
	PERFORM nr_truncate(c);
	RAISE NOTICE '% truncated: % %', c, nr_get_many(c, '{1,2,3}'::int[], 'none'::text), nr_put(c, 1, 'eins'::text);
	RAISE NOTICE '% delete: % %', c, nr_delete(c, 1), nr_delete(c, 2);
	PERFORM nr_put(c, 4, 'four'::text);
	COMMIT;
	RAISE NOTICE '% at last: % %', c, nr_get_many(c, '{1,2,3,4}'::int[], 'none'::text), nr_check(c);
END $$;
CALL own_writes('one');
CALL own_writes('two');
CALL own_writes('lr');

-- several value columns
CREATE FOREIGN TABLE wide (k text, a int, b numeric) SERVER nr_cache;
BEGIN;
SELECT nr_put('wide', ROW('x', 1, 1.5)), nr_put('wide', 'y', ROW(NULL, 2, 2.5)::wide);
SELECT nr_get('wide', 'x', NULL::wide), (nr_get('wide', 'y', NULL::wide)).b,
	nr_get_many('wide', ARRAY['y', 'z', 'x'], NULL::wide);
COMMIT;
SELECT nr_get('wide', 'x', NULL::wide), nr_get('wide', 'y');

-- a table scan sees what commands before it have written, and not what its own does
SELECT * FROM shown('one');
BEGIN;
SELECT nr_put('one', 1, 'new'), nr_put('one', 4, 'vier'), (SELECT string_agg(v, ',' ORDER BY k) FROM one);
SELECT nr_put('one', 1, 'newer'), nr_delete('one', 4), (SELECT string_agg(v, ',' ORDER BY k) FROM one);
SELECT nr_put('one', 1, 'newest'), nr_truncate('one'), nr_put('one', 5, 'five'),
	(SELECT string_agg(v, ',' ORDER BY k) FROM one);
SELECT string_agg(v, ',' ORDER BY k), nr_get_many('one', '{1,4,5}'::int[], 'none'::text) FROM one;
SELECT v FROM one WHERE k = 5;
ROLLBACK;
SELECT * FROM shown('one');

-- also through a function that runs with the statement's snapshot
CREATE FUNCTION seen() RETURNS text LANGUAGE sql STABLE AS
$$ SELECT string_agg(v, ',' ORDER BY k) FROM t_commit.one $$;
BEGIN;
SELECT nr_put('one', 1, 'a');
SELECT nr_put('one', 1, 'b'), nr_put('one', 1, 'c'), seen(), nr_get('one', 1);
SELECT seen(), nr_truncate('one'), nr_truncate('one'), seen();
SELECT seen();
ROLLBACK;

-- a cursor goes on seeing what there was
BEGIN;
SELECT nr_put('one', i, 'v' || i) FROM generate_series(1, 5) i;
DECLARE whole CURSOR FOR SELECT k, v FROM one ORDER BY k;
DECLARE point CURSOR FOR SELECT s.i, one.v FROM generate_series(1, 3) s(i) JOIN one ON one.k = s.i;
FETCH 1 FROM point;
SELECT nr_put('one', i, 'w' || i) FROM generate_series(1, 4) i;
SELECT nr_put('one', i, 'x' || i) FROM generate_series(1, 3) i;
SELECT nr_truncate('one');
SELECT nr_put('one', 2, 'y2');
FETCH 2 FROM point;
FETCH ALL FROM whole;
SELECT * FROM shown('one');
CLOSE whole;
CLOSE point;
SELECT nr_put('one', 2, 'z2');
SELECT * FROM shown('one');
COMMIT;
SELECT * FROM shown('one');

-- one that is held over the commit has what the transaction saw
BEGIN;
SELECT nr_put('one', 8, 'held');
DECLARE held CURSOR WITH HOLD FOR SELECT k, v FROM one ORDER BY k;
SELECT nr_put('one', 8, 'later'), nr_put('one', 9, 'later');
COMMIT;
FETCH ALL FROM held;
CLOSE held;
SELECT nr_delete('one', 8), nr_delete('one', 9), nr_delete('one', 10);

-- several statements in one message are one transaction; DISCARD and chained ones
SELECT nr_put('one', 1, 'first') \; SELECT 1 / 0;
SELECT nr_get('one', 1);
SELECT nr_put('one', 1, 'first') \; SELECT nr_put('one', 1, 'second');
SELECT nr_get('one', 1);
BEGIN;
SELECT nr_put('one', 1, 'third');
ROLLBACK AND CHAIN;
SELECT nr_get('one', 1), nr_delete('one', 1);
COMMIT AND CHAIN;
SELECT nr_get('one', 1), nr_put('one', 1, 'fourth');
ROLLBACK;
SELECT nr_get('one', 1);
DISCARD ALL;
SET search_path = t_commit, public;
SELECT nr_get('one', 1);

-- cache and table in step: an error, a rollback, a deferred constraint
CREATE TABLE t (k int PRIMARY KEY, v text, r int REFERENCES t DEFERRABLE INITIALLY DEFERRED);
BEGIN;
INSERT INTO t VALUES (1, 'in both');
SELECT nr_put('one', 1, 'in both');
INSERT INTO t VALUES (1, 'twice');
COMMIT;
SELECT nr_get('one', 1);
BEGIN;
INSERT INTO t VALUES (1, 'no such', 2);
SELECT nr_put('one', 1, 'no such');
COMMIT;
SELECT nr_get('one', 1), count(*) FROM t;
BEGIN;
INSERT INTO t VALUES (1, 'in both');
SELECT nr_put('one', 1, 'in both');
COMMIT;
SELECT nr_get('one', 1), v FROM t;

-- written by a trigger, deferred until the commit
CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM nr_put('t_commit.one', NEW.k, NEW.v); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER follow AFTER INSERT OR UPDATE ON t DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION follow();
BEGIN;
INSERT INTO t VALUES (7, 'seven');
SELECT nr_get('one', 7);
COMMIT;
SELECT nr_get('one', 7);

-- several caches at a time; one of them is dropped, or made, by the same transaction
BEGIN;
SELECT nr_put('one', 1, 'A'), nr_put('two', 1, 'B'), nr_put('lr', 1, 'C');
COMMIT;
SELECT nr_get('one', 1), nr_get('two', 1), nr_get('lr', 1);
BEGIN;
CREATE FOREIGN TABLE fresh (k int, v text) SERVER nr_cache;
SELECT nr_put('fresh', 1, 'D'), nr_put('lr', 1, 'D');
DROP FOREIGN TABLE two;
COMMIT;
SELECT nr_get('fresh', 1), nr_get('lr', 1);
BEGIN;
CREATE FOREIGN TABLE fresh2 (k int, v text) SERVER nr_cache;
SELECT nr_put('fresh2', 1, 'D'), nr_put('lr', 1, 'E');
ROLLBACK;
SELECT nr_get('lr', 1);
BEGIN;
SELECT nr_put('fresh', 1, 'gone'), nr_put('lr', 1, 'F');
DROP FOREIGN TABLE fresh;
COMMIT;
SELECT nr_get('lr', 1);

-- the single writer's lock comes at the commit and goes with it
BEGIN;
SELECT nr_put('lr', 1, 'G');
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory';
COMMIT;
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory';

-- ALTER after writing
BEGIN;
SELECT nr_put('one', 1, 'narrow');
SAVEPOINT s;
ALTER FOREIGN TABLE one ADD COLUMN w int;
SELECT nr_get('one', 1, NULL::one);
ROLLBACK TO s;
SELECT nr_get('one', 1);
ALTER FOREIGN TABLE one RENAME COLUMN v TO value;
SELECT nr_get('one', 1);
ALTER FOREIGN TABLE one RENAME COLUMN value TO v;
ALTER FOREIGN TABLE one OPTIONS (ADD visibility 'immediate');
COMMIT;
SELECT nr_get('one', 1);
-- and before
BEGIN;
ALTER FOREIGN TABLE one ADD COLUMN w int;
SELECT nr_put('one', ROW(1, 'wide', 2)::one);
COMMIT;
SELECT nr_get('one', 1, NULL::one);
ALTER FOREIGN TABLE one DROP COLUMN w;

-- READ ONLY; PREPARE TRANSACTION, unless nothing is left of what was written
BEGIN READ ONLY;
SELECT nr_get('one', 1);
SELECT nr_put('one', 1, 'x');
ROLLBACK;
BEGIN;
SELECT nr_put('one', 1, 'prepared');
PREPARE TRANSACTION 'nr_staged';
SELECT nr_get('one', 1);
BEGIN;
SAVEPOINT s;
SELECT nr_put('one', 1, 'prepared');
ROLLBACK TO s;
PREPARE TRANSACTION 'nr_not_staged';
ROLLBACK PREPARED 'nr_not_staged';

-- the bound: an error before the commit, after which the savepoint goes on
BEGIN;
SELECT nr_put('one', 1, 'small');
SAVEPOINT s;
SELECT count(nr_put('one', i, repeat('x', 1000))) FROM generate_series(1, 10000) i;
ROLLBACK TO s;
SELECT count(nr_put('one', i, repeat('x', 100))) FROM generate_series(1, 10000) i;
COMMIT;
SELECT count(*) FROM one;
-- writing the same keys over and over is no more than writing them once
BEGIN;
DO $$
BEGIN
	FOR i IN 1 .. 50 LOOP
		PERFORM nr_put('t_commit.one', k, repeat('y', 900)) FROM generate_series(1, 2000) k;
		PERFORM nr_truncate('t_commit.one') WHERE i % 10 = 0;
	END LOOP;
	FOR i IN 1 .. 20000 LOOP
		PERFORM nr_put('t_commit.one', 1, repeat('y', 900));
	END LOOP;
END $$;
SELECT count(*) FROM one;
COMMIT;
SELECT count(*) FROM one;
SELECT nr_check('one');

-- a batch of a size that needs extents of its own, and deletions
BEGIN;
SELECT count(nr_put('lr', i, repeat('z', 200))) FROM generate_series(1, 10000) i;
SELECT count(*) FILTER (WHERE nr_delete('lr', i)) FROM generate_series(1, 20000, 2) i;
COMMIT;
SELECT count(*), sum(length(v)), nr_check('lr') FROM lr;

-- memory of a cache that is too small for the batch: an error at COMMIT, and nothing has changed
CREATE FOREIGN TABLE tiny (k int, v text) SERVER nr_cache OPTIONS (memory '1MB');
SELECT nr_put('tiny', 0, 'before');
BEGIN;
SELECT count(nr_put('tiny', i, repeat('x', 1000))) FROM generate_series(1, 3000) i;
\set VERBOSITY terse
COMMIT;
\set VERBOSITY default
SELECT k, v FROM tiny;

SET client_min_messages = warning;
DROP SCHEMA t_commit CASCADE;
