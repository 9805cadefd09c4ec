-- nr_take: all entries as rows, and from then on readers find nothing, until somebody writes.

CREATE FOREIGN TABLE tk_commit (k int, v text) SERVER nr_cache;
CREATE FOREIGN TABLE tk_commit2 (k int, v text) SERVER nr_cache OPTIONS (copies '2');
CREATE FOREIGN TABLE tk_commit_lr (k int, v text) SERVER nr_cache OPTIONS (scheme 'left_right');
CREATE FOREIGN TABLE tk_now (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE tk_now2 (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate', copies '2');
CREATE FOREIGN TABLE tk_now_lr (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate', scheme 'left_right');
CREATE FOREIGN TABLE tk_manual (k int, v text) SERVER nr_cache OPTIONS (visibility 'manual');
CREATE FOREIGN TABLE tk_manual2 (k int, v text) SERVER nr_cache OPTIONS (visibility 'manual', copies '2');
CREATE FOREIGN TABLE tk_manual_lr (k int, v text) SERVER nr_cache OPTIONS (visibility 'manual', scheme 'left_right');

-- What a reader sees of a cache of that kind, in every way there is.
CREATE FUNCTION tk_seen(which regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
	looked_up bigint;
	joined bigint;
	entries bigint;
	is_taken boolean;
BEGIN
	EXECUTE format('SELECT count(*) FROM %s', which) INTO n;
	EXECUTE format('SELECT count(*) FROM %s WHERE k IN (1, 2, 3)', which) INTO looked_up;
	EXECUTE format('SELECT count(*) FROM generate_series(1, 3) i JOIN %s ON k = i', which) INTO joined;
	SELECT c.entries, c.taken FROM nr_caches c WHERE relid = which::oid INTO entries, is_taken;
	RETURN concat_ws(' ', n, looked_up, joined, nr_get(which, 1), nr_get(which, 2, 'fallback'::text),
		nr_get_many(which, ARRAY[1, 9, 3], 'f'::text), entries, CASE WHEN is_taken THEN 'taken' END,
		nr_check(which));
END $$;

-- Three entries, visible.
CREATE FUNCTION tk_fill(cache regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('INSERT INTO %s VALUES (1, ''one''), (2, ''two''), (3, NULL)', cache);
	IF cache::text LIKE 'tk_manual%' THEN
		PERFORM nr_publish(cache);
	END IF;
END $$;

-- nr_take() of a cache whose name is computed
CREATE FUNCTION tk_take(cache regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	EXECUTE format('SELECT string_agg(t::text, '' '' ORDER BY k) FROM nr_take(%L, NULL::%s) t', cache, cache) INTO answer;
	RETURN coalesce(answer, 'nothing');
END $$;

CREATE TABLE tk_kinds AS
	SELECT cache::regclass FROM unnest('{tk_commit,tk_commit2,tk_commit_lr,tk_now,tk_now2,tk_now_lr,tk_manual,tk_manual2,tk_manual_lr}'::text[]) cache;

-- ---- every kind: put back by ROLLBACK, gone at COMMIT, back at the next write -----

SELECT count(tk_fill(cache)) FROM tk_kinds;
SELECT cache, tk_seen(cache) FROM tk_kinds;

BEGIN;
SELECT cache, tk_take(cache) FROM tk_kinds;
SELECT cache, tk_seen(cache) FROM tk_kinds;
-- once more in the same transaction
SELECT cache, tk_take(cache) FROM tk_kinds;
ROLLBACK;
SELECT cache, tk_seen(cache) FROM tk_kinds;

BEGIN;
SELECT cache, tk_take(cache) FROM tk_kinds;
COMMIT;
SELECT cache, tk_seen(cache) FROM tk_kinds;
-- once more in another one
SELECT cache, tk_take(cache) FROM tk_kinds;
SELECT cache, tk_seen(cache) FROM tk_kinds;
SELECT count(tk_fill(cache)) FROM tk_kinds;
SELECT cache, tk_seen(cache) FROM tk_kinds;

-- and all of it again, with what was pending
SELECT nr_put('tk_manual', 4, 'four'), nr_put('tk_manual2', 4, 'four'), nr_put('tk_manual_lr', 4, 'four');
BEGIN;
SELECT cache, tk_take(cache) FROM tk_kinds WHERE cache::text LIKE 'tk_manual%';
ROLLBACK;
-- it was published, which is not undone
SELECT nr_pending('tk_manual'), nr_pending('tk_manual2'), nr_pending('tk_manual_lr');
SELECT cache, tk_take(cache) FROM tk_kinds;
SELECT cache, tk_seen(cache) FROM tk_kinds;

-- what is pending brings a cache back, and is seen when it is published
SELECT nr_put('tk_manual', 1, 'x'), nr_put('tk_manual2', 1, 'x'), nr_put('tk_manual_lr', 1, 'x');
SELECT cache, tk_seen(cache) FROM tk_kinds WHERE cache::text LIKE 'tk_manual%';
SELECT nr_publish('tk_manual'), nr_publish('tk_manual2'), nr_publish('tk_manual_lr');
SELECT cache, tk_seen(cache) FROM tk_kinds WHERE cache::text LIKE 'tk_manual%';
SELECT cache, tk_take(cache) FROM tk_kinds;

-- the memory went back, too: as much is in use as by caches that were never written to
CREATE FOREIGN TABLE tk_fresh (k int, v text) SERVER nr_cache;
CREATE FOREIGN TABLE tk_fresh2 (k int, v text) SERVER nr_cache OPTIONS (copies '2');
SELECT nr_get('tk_fresh', 1), nr_get('tk_fresh2', 1);
INSERT INTO tk_now SELECT i, repeat('x', 500) FROM generate_series(1, 5000) i;
INSERT INTO tk_now2 SELECT i, repeat('x', 500) FROM generate_series(1, 5000) i;
SELECT count(*), sum(length(v)) FROM nr_take('tk_now', NULL::tk_now);
SELECT count(*), sum(length(v)) FROM nr_take('tk_now2', NULL::tk_now2);
SELECT t.cache, t.memory_used = f.memory_used AS as_fresh
  FROM nr_caches t JOIN nr_caches f ON f.cache = CASE t.copies WHEN 1 THEN 'tk_fresh'::regclass ELSE 'tk_fresh2' END
 WHERE t.cache IN ('tk_now'::regclass, 'tk_now2'::regclass) ORDER BY 1;
DROP FOREIGN TABLE tk_fresh, tk_fresh2;

-- ---- each kind of write brings a cache back ----------------------------------------

CREATE FOREIGN TABLE tk_n (k int, n int) SERVER nr_cache OPTIONS (visibility 'immediate');
-- Take, write, look.
CREATE PROCEDURE tk_back(which regclass, write text) LANGUAGE plpgsql AS $$
DECLARE
	before boolean;
	after boolean;
	content text;
BEGIN
	PERFORM tk_take(which);
	COMMIT;
	SELECT taken FROM nr_caches WHERE relid = which::oid INTO before;
	EXECUTE write;
	COMMIT;
	SELECT taken FROM nr_caches WHERE relid = which::oid INTO after;
	EXECUTE format('SELECT array_agg(c::text) FROM %s c', which) INTO content;
	RAISE INFO '%: taken %, then %: %', write, before, after, content;
END $$;
SELECT nr_put('tk_n', 1, 1);
CALL tk_back('tk_n', 'SELECT nr_put(''tk_n'', 1, 5)');
CALL tk_back('tk_n', 'SELECT nr_put(''tk_n'', ROW(1, 6))');
CALL tk_back('tk_n', 'SELECT nr_delete(''tk_n'', 1)');
SELECT nr_put('tk_n', 1, 1);
CALL tk_back('tk_n', 'SELECT nr_truncate(''tk_n'')');
SELECT nr_put('tk_n', 1, 1);
CALL tk_back('tk_n', 'SELECT nr_swap(''tk_n'', 1, 7)');
CALL tk_back('tk_n', 'SELECT nr_cas(''tk_n'', 1, NULL::int, 8)');
CALL tk_back('tk_n', 'SELECT nr_incr(''tk_n'', 1, 9)');
CALL tk_back('tk_n', 'INSERT INTO tk_n VALUES (1, 10)');
CALL tk_back('tk_n', 'UPDATE tk_n SET n = 11');
SELECT nr_put('tk_n', 1, 1);
CALL tk_back('tk_n', 'DELETE FROM tk_n');
SELECT nr_put('tk_n', 1, 1);
CALL tk_back('tk_n', 'TRUNCATE tk_n');
SELECT nr_put('tk_n', 1, 1);
SELECT * FROM nr_take('tk_n', NULL::tk_n);
COPY tk_n FROM STDIN;
1	12
\.
TABLE tk_n;
-- what only reads or looks does not
SELECT tk_take('tk_n');
SELECT nr_get('tk_n', 1, -1), nr_check('tk_n'), tk_seen('tk_commit');
ANALYZE tk_n;
SELECT reltuples FROM pg_class WHERE oid = 'tk_n'::regclass;
SELECT taken, entries, memory_used > 0 AS memory FROM nr_caches WHERE cache = 'tk_n'::regclass;
-- commit: also when nothing comes of it
SELECT tk_fill('tk_commit');
SELECT tk_take('tk_commit');
BEGIN;
SELECT nr_put('tk_commit', 1, 'x');
SELECT * FROM tk_commit;
ROLLBACK;
SELECT tk_seen('tk_commit');
SELECT nr_put('tk_commit', 1, 'y');
SELECT tk_take('tk_commit');

-- ---- rows ------------------------------------------------------------------------

CREATE TYPE tk_pair AS (a int, b text);
CREATE FOREIGN TABLE tk_wide (gone int, price numeric(10, 2), id int OPTIONS (key 'true'), tags text[], pair tk_pair,
	twice numeric GENERATED ALWAYS AS (price * 2) STORED, "Long" text) SERVER nr_cache;
ALTER FOREIGN TABLE tk_wide DROP COLUMN gone;
INSERT INTO tk_wide VALUES (19.9, 1, '{a,b}', ROW(1, 'x'), DEFAULT, repeat('long ', 2000)), (NULL, 2, NULL, NULL, DEFAULT, NULL);
BEGIN;
SELECT id, price, tags, pair, twice, length("Long") FROM nr_take('tk_wide', NULL::tk_wide) ORDER BY id;
ROLLBACK;
BEGIN;
SELECT ((row).pair).b, length((row)."Long") FROM (SELECT nr_take('tk_wide', NULL::tk_wide) AS row) t ORDER BY 1;
ROLLBACK;
BEGIN;
SELECT count(*), sum(price), sum(id) FROM (SELECT (nr_take('tk_wide', NULL::tk_wide)).*) t;
ROLLBACK;
-- LIMIT takes them all
BEGIN;
SELECT id > 0 FROM nr_take('tk_wide', NULL::tk_wide) LIMIT 1;
SELECT count(*) FROM tk_wide;
ROLLBACK;
-- so does a cursor, at its first FETCH
BEGIN;
DECLARE tk_cursor CURSOR FOR SELECT id > 0 FROM nr_take('tk_wide', NULL::tk_wide);
SELECT count(*) FROM tk_wide;
FETCH 1 FROM tk_cursor;
SELECT count(*) FROM tk_wide;
FETCH ALL FROM tk_cursor;
ROLLBACK;
-- a cursor that is held runs at COMMIT
BEGIN;
DECLARE tk_cursor CURSOR WITH HOLD FOR SELECT id FROM nr_take('tk_wide', NULL::tk_wide) ORDER BY id;
COMMIT;
FETCH ALL FROM tk_cursor;
CLOSE tk_cursor;
SELECT count(*) FROM tk_wide;
-- into a table, and back
INSERT INTO tk_wide (price, id) SELECT i, i FROM generate_series(1, 1000) i;
CREATE TABLE tk_table AS SELECT * FROM nr_take('tk_wide', NULL::tk_wide);
SELECT count(*), sum(twice) FROM tk_table;
INSERT INTO tk_wide (price, id) SELECT price, id FROM tk_table;
SELECT count(*), sum(twice) FROM nr_take('tk_wide', NULL::tk_wide);
DROP TABLE tk_table;
-- a trigger that is deferred, at COMMIT
CREATE TABLE tk_deferred (id int);
CREATE FUNCTION tk_deferred() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE INFO 'taken: %', (SELECT count(*) FROM nr_take('tk_wide', NULL::tk_wide));
	RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER tk_deferred AFTER INSERT ON tk_deferred DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION tk_deferred();
INSERT INTO tk_wide (price, id) VALUES (1, 1), (2, 2);
BEGIN;
INSERT INTO tk_deferred VALUES (1);
SELECT count(*) FROM tk_wide;
COMMIT;
SELECT count(*) FROM tk_wide;
DROP TABLE tk_deferred;
DROP FUNCTION tk_deferred();

-- a copy that nr_cache.scan_memory does not allow: nothing is taken
SELECT tk_fill('tk_now');
INSERT INTO tk_now SELECT i, repeat('x', 100) FROM generate_series(10, 2000) i;
SET nr_cache.scan_memory = '64kB';
SELECT count(*) FROM nr_take('tk_now', NULL::tk_now);
RESET nr_cache.scan_memory;
SELECT count(*) FROM tk_now;
SELECT count(*) FROM nr_take('tk_now', NULL::tk_now);

-- ---- transactions --------------------------------------------------------------

SELECT tk_fill('tk_commit'), tk_fill('tk_now'), tk_fill('tk_manual_lr');
-- savepoints
BEGIN;
SELECT tk_take('tk_commit');
SAVEPOINT a;
SELECT tk_take('tk_now');
SAVEPOINT b;
SELECT tk_take('tk_manual_lr');
SELECT count(*) FROM nr_caches WHERE taken AND cache IN ('tk_commit'::regclass, 'tk_now'::regclass, 'tk_manual_lr'::regclass);
ROLLBACK TO b;
SELECT tk_seen('tk_commit'), tk_seen('tk_now'), tk_seen('tk_manual_lr');
SELECT tk_take('tk_manual_lr');
RELEASE b;
ROLLBACK TO a;
SELECT tk_seen('tk_commit'), tk_seen('tk_now'), tk_seen('tk_manual_lr');
SAVEPOINT c;
SELECT tk_take('tk_now');
RELEASE c;
RELEASE a;
SELECT tk_seen('tk_commit'), tk_seen('tk_now'), tk_seen('tk_manual_lr');
COMMIT;
SELECT tk_seen('tk_commit'), tk_seen('tk_now'), tk_seen('tk_manual_lr');
-- after ROLLBACK TO the transaction may write
BEGIN;
SAVEPOINT a;
SELECT tk_take('tk_manual_lr');
ROLLBACK TO a;
SELECT nr_put('tk_manual_lr', 9, 'nine');
ROLLBACK;
SELECT nr_publish('tk_manual_lr');
SELECT tk_seen('tk_manual_lr');
-- errors that are caught
SELECT tk_fill('tk_commit'), tk_fill('tk_now');
DO $$
BEGIN
	BEGIN
		RAISE INFO '%', tk_take('tk_commit');
		PERFORM 1 / 0;
	EXCEPTION WHEN division_by_zero THEN
		RAISE INFO 'caught: %', tk_seen('tk_commit');
	END;
	BEGIN
		RAISE INFO '%', tk_take('tk_now');
	EXCEPTION WHEN division_by_zero THEN
		NULL;
	END;
END $$;
SELECT tk_seen('tk_commit'), tk_seen('tk_now');
-- an error in the same statement
SELECT 1 / (length(v) - 3) FROM nr_take('tk_commit', NULL::tk_commit);
SELECT tk_seen('tk_commit');
-- at COMMIT
CREATE TABLE tk_unique (id int UNIQUE DEFERRABLE INITIALLY DEFERRED);
BEGIN;
SELECT tk_take('tk_commit');
INSERT INTO tk_unique VALUES (1), (1);
COMMIT;
SELECT tk_seen('tk_commit');
DROP TABLE tk_unique;
-- with staged writes to another cache: both or none
BEGIN;
INSERT INTO tk_commit2 SELECT * FROM nr_take('tk_commit', NULL::tk_commit);
SELECT tk_seen('tk_commit'), tk_seen('tk_commit2');
ROLLBACK;
SELECT tk_seen('tk_commit'), tk_seen('tk_commit2');
INSERT INTO tk_commit2 SELECT * FROM nr_take('tk_commit', NULL::tk_commit);
SELECT tk_seen('tk_commit'), tk_seen('tk_commit2');
-- what this transaction has written at once can be taken by it
BEGIN;
SELECT nr_put('tk_now', 1, 'x');
SELECT tk_take('tk_now');
ROLLBACK;
SELECT tk_take('tk_now');
-- a cache that it makes
BEGIN;
CREATE FOREIGN TABLE tk_new (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_put('tk_new', 1, 'x');
SELECT * FROM nr_take('tk_new', NULL::tk_new);
SAVEPOINT a;
SELECT * FROM nr_take('tk_new', NULL::tk_new);
ROLLBACK TO a;
COMMIT;
SELECT * FROM tk_new;
DROP FOREIGN TABLE tk_new;
BEGIN;
CREATE FOREIGN TABLE tk_new (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_put('tk_new', 1, 'x');
SELECT * FROM nr_take('tk_new', NULL::tk_new);
ROLLBACK;

-- ---- definitions -------------------------------------------------------------------

SELECT count(tk_fill(cache)) FROM tk_kinds;
-- dropped
BEGIN;
SELECT tk_take('tk_now'), tk_take('tk_now2');
DROP FOREIGN TABLE tk_now, tk_now2;
ROLLBACK;
SELECT tk_seen('tk_now'), tk_seen('tk_now2');
BEGIN;
SELECT tk_take('tk_now'), tk_take('tk_now2');
DROP FOREIGN TABLE tk_now, tk_now2;
COMMIT;
SELECT tk_take('tk_now_lr');
DROP FOREIGN TABLE tk_now_lr;
-- altered
BEGIN;
SELECT tk_take('tk_commit2');
ALTER FOREIGN TABLE tk_commit2 ADD COLUMN more int;
SELECT * FROM tk_commit2;
SELECT * FROM nr_take('tk_commit2', NULL::tk_commit2);
SAVEPOINT a;
INSERT INTO tk_commit2 VALUES (1, 'x', 1);
ROLLBACK TO a;
ROLLBACK;
SELECT tk_seen('tk_commit2');
BEGIN;
SELECT tk_take('tk_commit2');
ALTER FOREIGN TABLE tk_commit2 ADD COLUMN more int;
COMMIT;
INSERT INTO tk_commit2 VALUES (1, 'x', 1);
SELECT * FROM nr_take('tk_commit2', NULL::tk_commit2);
-- nothing is lost with what is gone already
ALTER FOREIGN TABLE tk_commit2 DROP COLUMN more;
SELECT tk_take('tk_commit');
ALTER FOREIGN TABLE tk_commit RENAME TO tk_renamed;
SELECT taken FROM nr_caches WHERE cache = 'tk_renamed'::regclass;
ALTER FOREIGN TABLE tk_renamed RENAME TO tk_commit;
SELECT tk_fill('tk_commit'), tk_fill('tk_commit2');
SELECT tk_seen('tk_commit'), tk_seen('tk_commit2');

-- ---- refused ------------------------------------------------------------------------

SELECT * FROM nr_take(NULL, NULL::tk_commit);
SELECT * FROM nr_take('pg_class', NULL::pg_class);
SELECT * FROM nr_take('tk_commit', NULL);
SELECT * FROM nr_take('tk_commit', 1);
SELECT * FROM nr_take('tk_commit', NULL::tk_commit2);
SELECT * FROM nr_take('tk_commit', NULL::text);
SELECT nr_take('tk_commit', NULL::record);
SELECT 1 WHERE nr_take('tk_commit', NULL::tk_commit) IS NULL;
SELECT * FROM nr_take('tk_commit', NULL::tk_commit) a, nr_take('tk_commit', NULL::tk_commit) b;
SELECT * FROM nr_take('tk_commit', NULL::tk_commit) UNION ALL SELECT * FROM nr_take('tk_commit', NULL::tk_commit);
START TRANSACTION READ ONLY;
SELECT * FROM nr_take('tk_commit', NULL::tk_commit);
ROLLBACK;
-- staged writes
BEGIN;
SAVEPOINT a;
SELECT nr_delete('tk_commit', 1);
SELECT * FROM nr_take('tk_commit', NULL::tk_commit);
ROLLBACK TO a;
SELECT tk_take('tk_commit');
ROLLBACK;
INSERT INTO tk_commit SELECT * FROM nr_take('tk_commit', NULL::tk_commit);
-- writes after it
SELECT tk_fill('tk_manual'), nr_put('tk_n', 1, 1);
CREATE FUNCTION tk_refused(write text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE write;
	RAISE INFO '% was not refused', write;
EXCEPTION WHEN object_in_use THEN
	RAISE INFO '%: %', write, sqlerrm;
END $$;
BEGIN;
SELECT tk_take('tk_commit'), tk_take('tk_n'), tk_take('tk_manual');
SELECT tk_refused('SELECT nr_put(''tk_commit'', 1, ''x'')');
SELECT tk_refused('INSERT INTO tk_commit VALUES (1, ''x'')');
SELECT tk_refused('UPDATE tk_commit SET v = ''x'' WHERE k = 1');
SELECT tk_refused('DELETE FROM tk_commit');
SELECT tk_refused('TRUNCATE tk_commit');
SELECT tk_refused('SELECT nr_put(''tk_n'', ROW(1, 2))');
SELECT tk_refused('SELECT nr_swap(''tk_n'', 1, 2)');
SELECT tk_refused('SELECT nr_cas(''tk_n'', 1, 1, 2)');
SELECT tk_refused('SELECT nr_incr(''tk_n'', 1, 2)');
SELECT tk_refused('SELECT nr_delete(''tk_n'', 1)');
SELECT tk_refused('SELECT nr_truncate(''tk_manual'')');
SELECT tk_refused('SELECT nr_put(''tk_manual'', 1, ''x'')');
SELECT tk_refused('SELECT nr_publish(''tk_manual'')');
SELECT tk_refused('SELECT nr_try_publish(''tk_manual'')');
SELECT nr_pending('tk_manual');
SELECT nr_put('tk_commit', 1, 'x');
ROLLBACK;
SELECT tk_seen('tk_commit'), tk_seen('tk_manual'), nr_get('tk_n', 1);
-- what an INSERT has collected when the take comes
INSERT INTO tk_n SELECT i, CASE i WHEN 3 THEN length(tk_take('tk_n')) ELSE i + 100 END FROM generate_series(1, 3) i;
SELECT nr_get('tk_n', 1), nr_get('tk_n', 2);
-- in two phases
BEGIN;
SELECT tk_take('tk_commit');
PREPARE TRANSACTION 'tk';
SELECT tk_seen('tk_commit');

-- ---- privileges ----------------------------------------------------------------------

CREATE ROLE regress_tk;
SET ROLE regress_tk;
SELECT * FROM nr_take('tk_commit', NULL::tk_commit);
RESET ROLE;
GRANT SELECT, INSERT, UPDATE, DELETE ON tk_commit TO regress_tk;
SET ROLE regress_tk;
SELECT * FROM nr_take('tk_commit', NULL::tk_commit);
RESET ROLE;
REVOKE ALL ON tk_commit FROM regress_tk;
GRANT TRUNCATE, SELECT (k) ON tk_commit TO regress_tk;
SET ROLE regress_tk;
SELECT * FROM nr_take('tk_commit', NULL::tk_commit);
RESET ROLE;
GRANT SELECT (v) ON tk_commit TO regress_tk;
SET ROLE regress_tk;
SELECT count(*) FROM nr_take('tk_commit', NULL::tk_commit);
-- what the operator's views show is not for everybody
SELECT * FROM nr_caches;
RESET ROLE;
SELECT nr_get('tk_commit', 1);

-- ---- a statement that has written already, and whose trigger takes -------------------

CREATE FOREIGN TABLE tk_fired (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE TABLE tk_got (k int, v text);
CREATE FUNCTION tk_take_fired() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO tk_got SELECT * FROM nr_take('tk_fired', NULL::tk_fired);
	RETURN NULL;
END $$;
CREATE TRIGGER tk_fired AFTER INSERT ON tk_fired FOR EACH STATEMENT EXECUTE FUNCTION tk_take_fired();
INSERT INTO tk_fired SELECT i, 'x' FROM generate_series(1, 201) i;
SELECT (SELECT count(*) FROM tk_got) AS taken, (SELECT count(*) FROM tk_fired) AS "left";
DROP FOREIGN TABLE tk_fired;
DROP TABLE tk_got;
DROP FUNCTION tk_take_fired();

-- ---- counters -----------------------------------------------------------------------

SELECT tk_fill('tk_commit');
SELECT nr_stat_reset();
SELECT tk_take('tk_commit');
SELECT nr_get('tk_commit', 1), nr_get('tk_commit', 2);
SELECT hits, misses, writes FROM nr_caches WHERE cache = 'tk_commit'::regclass;
SELECT nr_put('tk_commit', 1, 'x');
SELECT nr_get('tk_commit', 1);
SELECT hits, misses, writes, taken FROM nr_caches WHERE cache = 'tk_commit'::regclass;

DROP OWNED BY regress_tk;
DROP ROLE regress_tk;
DROP FOREIGN TABLE tk_commit, tk_commit2, tk_commit_lr, tk_manual, tk_manual2, tk_manual_lr, tk_n, tk_wide;
DROP TABLE tk_kinds;
DROP TYPE tk_pair;
DROP FUNCTION tk_seen(regclass), tk_fill(regclass), tk_take(regclass), tk_refused(text);
DROP PROCEDURE tk_back(regclass, text);
