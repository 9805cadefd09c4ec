--
-- visibility 'commit' and savepoints: ROLLBACK TO, RELEASE, errors that are caught.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS nr_cache;
RESET client_min_messages;
CREATE SCHEMA t_savepoint;
SET search_path = t_savepoint, public;

CREATE FOREIGN TABLE c (k int, v text) SERVER nr_cache;
CREATE FUNCTION seen() RETURNS text LANGUAGE sql AS
$$ SELECT coalesce(string_agg(k || '=' || coalesce(v, 'NULL'), ' ' ORDER BY k), 'nothing') FROM t_savepoint.c $$;
SELECT nr_put('c', i, 'v' || i) FROM generate_series(1, 3) i;

-- each level takes back what it has made, and nothing else
BEGIN;
SELECT nr_put('c', 1, 'a');
SAVEPOINT one;
SELECT nr_put('c', 1, 'b'), nr_delete('c', 2), nr_put('c', 4, 'b');
SAVEPOINT two;
SELECT nr_put('c', 1, 'c'), nr_put('c', 2, 'c'), nr_delete('c', 4), nr_put('c', 5, 'c');
SELECT seen();
ROLLBACK TO two;
SELECT seen(), nr_put('c', 5, 'd'), nr_delete('c', 4);
ROLLBACK TO two;
SELECT seen(), nr_get_many('c', '{1,2,3,4,5}'::int[], '-'::text);
ROLLBACK TO one;
SELECT seen(), nr_get_many('c', '{1,2,3,4,5}'::int[], '-'::text);
SELECT nr_put('c', 4, 'e');
RELEASE one;
SELECT seen();
COMMIT;
SELECT seen();

-- RELEASE gives it to the parent, with which it goes
BEGIN;
SAVEPOINT one;
SELECT nr_put('c', 1, 'f');
SAVEPOINT two;
SELECT nr_put('c', 1, 'g'), nr_put('c', 2, 'g');
SAVEPOINT three;
SELECT nr_put('c', 1, 'h'), nr_delete('c', 3);
RELEASE three;
SELECT seen();
RELEASE two;
SELECT nr_put('c', 2, 'i');
ROLLBACK TO one;
SELECT seen();
COMMIT;
SELECT seen();

-- TRUNCATE in between
BEGIN;
SELECT nr_put('c', 1, 'j'), nr_put('c', 6, 'j');
SAVEPOINT one;
SELECT nr_truncate('c');
SELECT nr_put('c', 1, 'k');
SAVEPOINT two;
SELECT nr_put('c', 1, 'l'), nr_put('c', 2, 'l');
SELECT nr_truncate('c');
SELECT seen();
SELECT nr_put('c', 7, 'm');
SELECT seen(), nr_get('c', 1);
ROLLBACK TO two;
SELECT seen(), nr_get('c', 6);
SELECT nr_truncate('c'), nr_put('c', 8, 'n');
RELEASE two;
SELECT seen();
ROLLBACK TO one;
SELECT seen();
SAVEPOINT four;
SELECT nr_truncate('c'), nr_put('c', 9, 'o');
RELEASE four;
SELECT seen();
COMMIT;
SELECT seen();

-- rolled back to the beginning, and begun again
BEGIN;
SAVEPOINT one;
SELECT nr_put('c', 1, 'p'), nr_truncate('c');
ROLLBACK TO one;
SELECT nr_put('c', 1, 'q');
COMMIT;
SELECT seen();

-- a cache that a savepoint made, dropped, or altered
BEGIN;
SAVEPOINT one;
CREATE FOREIGN TABLE d (k int, v text) SERVER nr_cache;
SELECT nr_put('d', 1, 'a'), nr_put('c', 1, 'r');
ROLLBACK TO one;
SELECT seen();
CREATE FOREIGN TABLE d (k int, v text) SERVER nr_cache;
SAVEPOINT two;
SELECT nr_put('d', 1, 'b');
SAVEPOINT three;
DROP FOREIGN TABLE d;
SELECT nr_put('c', 1, 's');
ROLLBACK TO three;
SELECT nr_get('d', 1), nr_put('d', 2, 'c'), seen();
RELEASE three;
COMMIT;
SELECT nr_get('d', 1), nr_get('d', 2);
BEGIN;
SELECT nr_put('d', 1, 'd');
SAVEPOINT one;
DROP FOREIGN TABLE d;
RELEASE one;
COMMIT;
CREATE FOREIGN TABLE d (k int, v text) SERVER nr_cache;
BEGIN;
SAVEPOINT one;
ALTER FOREIGN TABLE d ADD COLUMN w int;
SELECT nr_put('d', ROW(1, 'wide', 1)::d);
ROLLBACK TO one;
SELECT nr_get('d', 1), nr_put('d', 1, 'narrow');
COMMIT;
SELECT nr_get('d', 1);

-- cursors: of before the savepoint, and of within
BEGIN;
SELECT nr_put('c', i, 'x') FROM generate_series(1, 4) i;
DECLARE before CURSOR FOR SELECT s.i, nr.v FROM generate_series(1, 4) s(i) JOIN c nr ON nr.k = s.i;
FETCH 1 FROM before;
SAVEPOINT one;
SELECT nr_put('c', i, 'y') FROM generate_series(1, 4) i;
DECLARE within CURSOR FOR SELECT s.i, nr.v FROM generate_series(1, 4) s(i) JOIN c nr ON nr.k = s.i;
FETCH 1 FROM within;
SELECT nr_put('c', i, 'z') FROM generate_series(1, 4) i;
FETCH 1 FROM within;
FETCH 1 FROM before;
RELEASE one;
SELECT nr_put('c', 3, 'zz'), nr_delete('c', 4);
FETCH 1 FROM within;
FETCH 2 FROM before;
SELECT seen();
ROLLBACK;

-- errors that are caught, deeply
CREATE FUNCTION deep(n int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM nr_put('c', n, 'deep');
	BEGIN
		IF n > 1 THEN
			PERFORM t_savepoint.deep(n - 1);
		END IF;
		IF n % 2 = 0 THEN
			PERFORM 1 / 0;
		END IF;
	EXCEPTION WHEN division_by_zero THEN
		PERFORM nr_put('c', 100 + n, 'caught');
	END;
	RETURN t_savepoint.seen();
END $$;
BEGIN;
SELECT nr_truncate('c');
SELECT deep(9);
ROLLBACK;
-- many of them, with nothing left over
DO $$
BEGIN
	FOR i IN 1 .. 3000 LOOP
		BEGIN
			PERFORM nr_put('t_savepoint.c', i, repeat('x', 10000));
			PERFORM nr_truncate('t_savepoint.c') WHERE i % 7 = 0;
			IF i % 3 <> 0 OR i > 30 THEN
				RAISE division_by_zero;
			END IF;
			PERFORM nr_put('t_savepoint.c', i, 'kept');
		EXCEPTION WHEN division_by_zero THEN
			NULL;
		END;
	END LOOP;
END $$;
SELECT seen();

-- at random, beside a table
CREATE TABLE t (k int PRIMARY KEY, v text);
CREATE FUNCTION compare(what text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	bad int;
BEGIN
	SELECT count(*) INTO bad FROM t_savepoint.t FULL JOIN t_savepoint.c USING (k)
		WHERE t.k IS NULL OR c.k IS NULL OR t.v IS DISTINCT FROM c.v;
	bad := bad + (SELECT count(*) FROM generate_series(1, 12) i
		WHERE nr_get('c', i) IS DISTINCT FROM (SELECT v FROM t_savepoint.t WHERE k = i));
	IF bad > 0 THEN
		RAISE EXCEPTION '%: % differences', what, bad;
	END IF;
END $$;
CREATE FUNCTION mutate(depth int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	key int;
	dice float8;
	done int := 0;
	old text;
	r record;
	cur refcursor;
BEGIN
	FOR i IN 1 .. 6 LOOP
		key := 1 + floor(random() * 12);
		dice := random();
		done := done + 1;
		IF dice < 0.45 THEN
			old := NULL;
			SELECT v INTO old FROM t_savepoint.t WHERE k = key;
			IF nr_put('c', key, depth || '/' || dice) <> (old IS NULL) THEN
				RAISE EXCEPTION 'wrong answer of nr_put';
			END IF;
			-- no UPDATE: of a row that a savepoint updated in vain, it can fail an assertion of PostgreSQL's own
			DELETE FROM t_savepoint.t WHERE k = key;
			INSERT INTO t_savepoint.t VALUES (key, depth || '/' || dice);
		ELSIF dice < 0.65 THEN
			IF nr_delete('c', key) <> EXISTS (SELECT FROM t_savepoint.t WHERE k = key) THEN
				RAISE EXCEPTION 'wrong answer of nr_delete';
			END IF;
			DELETE FROM t_savepoint.t WHERE k = key;
		ELSIF dice < 0.72 THEN
			PERFORM nr_truncate('c');
			DELETE FROM t_savepoint.t;
		ELSIF dice < 0.78 AND depth < 6 THEN
			-- while a scan is open, which must go on as it began
			cur := NULL;
			OPEN cur FOR SELECT t.k, t.v, nr.v AS w FROM t_savepoint.t
				LEFT JOIN LATERAL (SELECT v FROM t_savepoint.c WHERE c.k = t.k OFFSET 0) nr ON true;
			LOOP
				FETCH cur INTO r;
				EXIT WHEN NOT FOUND;
				IF r.v IS DISTINCT FROM r.w THEN
					RAISE EXCEPTION 'the scan changed its mind: % % %', r.k, r.v, r.w;
				END IF;
				done := done + t_savepoint.mutate(depth + 2);
				EXIT WHEN random() < 0.4;
			END LOOP;
			IF random() < 0.5 THEN
				CLOSE cur;
			END IF;
		ELSIF depth < 6 THEN
			BEGIN
				done := done + t_savepoint.mutate(depth + 1);
				IF random() < 0.5 THEN
					RAISE division_by_zero;
				END IF;
			EXCEPTION WHEN division_by_zero THEN
				NULL;
			END;
		END IF;
		IF random() < 0.1 THEN
			PERFORM t_savepoint.compare('within');
		END IF;
	END LOOP;
	RETURN done;
END $$;
CREATE PROCEDURE rounds(n int) LANGUAGE plpgsql AS $$
DECLARE
	done int := 0;
BEGIN
	PERFORM setseed(0.25);
	PERFORM nr_truncate('c');
	COMMIT;
	FOR i IN 1 .. n LOOP
		done := done + t_savepoint.mutate(0);
		PERFORM t_savepoint.compare('before the end');
		IF random() < 0.2 THEN
			ROLLBACK;
		ELSE
			COMMIT;
		END IF;
		PERFORM t_savepoint.compare('after the end');
	END LOOP;
	RAISE NOTICE 'enough was done: %', done > 10 * n;
END $$;
CALL rounds(60);
SELECT nr_check('c');

SET client_min_messages = warning;
DROP SCHEMA t_savepoint CASCADE;
