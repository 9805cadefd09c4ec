-- lifetime: shared state lives and dies with its relation, whatever transactions do
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS nr_cache;
CREATE SCHEMA lifetime;
SET search_path = lifetime, public;
RESET client_min_messages;

-- the first cache that a session makes sweeps what dropped databases have left
CREATE FOREIGN TABLE first (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_put('first', 1, 'x');
DROP FOREIGN TABLE first;
-- states and free memory as they were; there is nobody else in this test
CREATE FUNCTION states() RETURNS TABLE (caches bigint, memory bigint) LANGUAGE sql AS
$$ SELECT count(*), (SELECT min(bytes_free) FROM nr_memory) FROM nr_caches $$;
SELECT pg_sleep(0.1) \g /dev/null
CREATE TABLE before AS SELECT * FROM states();
-- what a worker was just looking at is freed when it leaves
CREATE FUNCTION left_over() RETURNS TABLE (caches bigint, memory bigint) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 200 LOOP
		SELECT s.caches - b.caches, b.memory - s.memory INTO caches, memory FROM states() s, before b;
		EXIT WHEN memory <= 0 OR caches > 0;
		PERFORM pg_sleep(0.01);
	END LOOP;
	RETURN NEXT;
END $$;

-- rollback of CREATE
BEGIN;
CREATE FOREIGN TABLE c (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_put('c', 1, 'one'), nr_get('c', 1);
ROLLBACK;
SELECT * FROM left_over();

-- of CREATE in a savepoint, then COMMIT
BEGIN;
SAVEPOINT s;
CREATE FOREIGN TABLE c (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_put('c', 1, 'one');
ROLLBACK TO s;
SELECT nr_get('c', 1);
COMMIT;
CREATE FOREIGN TABLE c (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_get('c', 1);

-- immediate: a put survives the rollback of its transaction, and of its savepoint
BEGIN;
SELECT nr_put('c', 1, 'one');
ROLLBACK;
SELECT nr_get('c', 1);
BEGIN;
SAVEPOINT s;
SELECT nr_put('c', 1, 'two');
ROLLBACK TO s;
SELECT nr_get('c', 1);
COMMIT;

-- a lock taken in a savepoint is not gone after ROLLBACK TO
BEGIN;
SAVEPOINT s;
SELECT nr_get('c', 1);
ROLLBACK TO s;
SELECT mode FROM pg_locks WHERE relation = 'c'::regclass AND pid = pg_backend_pid();
SAVEPOINT s;
SELECT nr_put('c', 1, 'three');
ROLLBACK TO s;
SELECT mode FROM pg_locks WHERE relation = 'c'::regclass AND pid = pg_backend_pid() ORDER BY 1;
COMMIT;
SELECT mode FROM pg_locks WHERE relation = 'c'::regclass AND pid = pg_backend_pid();

-- DROP rolled back, in whole and in part; DROP committed
BEGIN;
DROP FOREIGN TABLE c;
ROLLBACK;
SELECT nr_get('c', 1);
BEGIN;
SAVEPOINT s;
DROP FOREIGN TABLE c;
ROLLBACK TO s;
SELECT nr_get('c', 1);
COMMIT;
SELECT nr_get('c', 1);
BEGIN;
SAVEPOINT s;
DROP FOREIGN TABLE c;
RELEASE s;
COMMIT;
SELECT caches FROM left_over();

-- ALTER, use, rollback
CREATE FOREIGN TABLE c (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_put('c', 1, 'one');
BEGIN;
SELECT nr_get('c', 1);
ALTER FOREIGN TABLE c ADD COLUMN w int;
SELECT nr_put('c', ROW(1, 'wide', 2)::c), nr_get('c', 1, NULL::c);
SAVEPOINT s;
ALTER FOREIGN TABLE c DROP COLUMN v;
SELECT nr_put('c', 1, 3), nr_get('c', 1, 0);
ROLLBACK TO s;
SELECT nr_get('c', 1, NULL::c);
ROLLBACK;
SELECT nr_get('c', 1);
SELECT caches FROM left_over();
-- ALTER, use, commit: the old state goes
BEGIN;
ALTER FOREIGN TABLE c ADD COLUMN w int;
SELECT nr_put('c', ROW(1, 'wide', 2)::c);
COMMIT;
SELECT nr_get('c', 1, NULL::c);
SELECT caches FROM left_over();
-- ALTER without use: nothing is left but what is made again
ALTER FOREIGN TABLE c DROP COLUMN w;
SELECT caches FROM left_over();
SELECT nr_get('c', 1);
SELECT caches FROM left_over();
-- ALTER and DROP in one transaction
BEGIN;
ALTER FOREIGN TABLE c ADD COLUMN w int;
SELECT nr_put('c', ROW(1, 'wide', 2)::c);
DROP FOREIGN TABLE c;
COMMIT;
SELECT * FROM left_over();

-- a call site that has seen one cache of that name meets the next one
CREATE FUNCTION peek(k int) RETURNS text LANGUAGE plpgsql AS
$$ BEGIN RETURN nr_get('c'::text::regclass, k); END $$;
CREATE FOREIGN TABLE c (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_put('c', 1, 'first'), peek(1);
DROP FOREIGN TABLE c;
CREATE FOREIGN TABLE c (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT peek(1), nr_put('c', 1, 'second'), peek(1);
ALTER FOREIGN TABLE c ALTER COLUMN v TYPE varchar;
SELECT peek(1);
PREPARE by_plan AS SELECT nr_get('c', 1);
SELECT nr_put('c', 1, 'third'::varchar);
EXECUTE by_plan;
ALTER FOREIGN TABLE c ALTER COLUMN v TYPE text;
EXECUTE by_plan;
DEALLOCATE by_plan;

-- over commits inside a procedure
CREATE PROCEDURE rounds() LANGUAGE plpgsql AS $$
DECLARE t text;
BEGIN
	FOR i IN 1 .. 3 LOOP
		PERFORM nr_put('c', i, i::text);
		COMMIT;
		PERFORM nr_put('c', i, nr_get('c', i) || '!');
		ROLLBACK;
		t := concat(t, nr_get('c', i));
	END LOOP;
	RAISE NOTICE '%', t;
END $$;
CALL rounds();

-- over errors that are caught
DO $$
BEGIN
	FOR i IN 1 .. 3 LOOP
		BEGIN
			PERFORM nr_put('c', i, 'caught ' || i);
			RAISE division_by_zero;
		EXCEPTION WHEN division_by_zero THEN
			RAISE NOTICE '%', nr_get('c', i);
		END;
	END LOOP;
END $$;

-- a cursor over a cache that is held over the end of its transaction
BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT * FROM c ORDER BY k;
FETCH 1 FROM held;
COMMIT;
DROP FOREIGN TABLE c;
FETCH 1 FROM held;
CLOSE held;
SELECT * FROM left_over();

-- many caches come and go in one session
DO $$
BEGIN
	FOR i IN 1 .. 200 LOOP
		EXECUTE 'CREATE FOREIGN TABLE many (k int, v text) SERVER nr_cache OPTIONS (visibility ''immediate'')';
		PERFORM nr_put('many'::text::regclass, 1, 'x'::text);
		EXECUTE 'DROP FOREIGN TABLE many';
		COMMIT;
	END LOOP;
END $$;
SELECT * FROM left_over();

-- a prepared transaction must not keep the lock of a temporary cache, for which its session would wait at its end
CREATE FOREIGN TABLE pg_temp.mine (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_put('mine', 1, 'x');
BEGIN;
SELECT nr_get('mine', 1);
PREPARE TRANSACTION 'nr_temporary';
DROP FOREIGN TABLE mine;
SELECT * FROM left_over();

SET client_min_messages = warning;
DROP SCHEMA lifetime CASCADE;
