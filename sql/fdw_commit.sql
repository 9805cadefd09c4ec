--
-- Caches of visibility 'commit' as tables: what a transaction staged is seen by
-- the commands after the one that staged it, as with any table.  The same
-- statements run on a plain table and on caches of one copy, of two copies and of
-- scheme left_right; "@" stands for each of them, and answers have to agree.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS nr_cache;
RESET client_min_messages;

CREATE TABLE fdw_x0 (k int, v text, n int DEFAULT 7);
CREATE FOREIGN TABLE fdw_x1 (k int, v text, n int DEFAULT 7) SERVER nr_cache OPTIONS (visibility 'commit');
CREATE FOREIGN TABLE fdw_x2 (k int, v text, n int DEFAULT 7) SERVER nr_cache OPTIONS (visibility 'commit', copies '2');
CREATE FOREIGN TABLE fdw_x3 (k int, v text, n int DEFAULT 7) SERVER nr_cache OPTIONS (visibility 'commit', scheme 'left_right');

-- rows of a query or of RETURNING, sorted; a line more for each cache that differs
CREATE FUNCTION fdw_rows(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    name text;
    r record;
    got text[];
    wanted text[];
BEGIN
    FOREACH name IN ARRAY ARRAY['fdw_x0', 'fdw_x1', 'fdw_x2', 'fdw_x3'] LOOP
        got := '{}';
        FOR r IN EXECUTE replace(query, '@', name) LOOP
            got := got || r::text;
        END LOOP;
        got := ARRAY(SELECT g FROM unnest(got) g ORDER BY g COLLATE "C");
        IF wanted IS NULL THEN
            wanted := got;
            RETURN QUERY SELECT unnest(wanted);
        ELSIF got <> wanted THEN
            RETURN NEXT format('%s differs: %s', name, got);
        END IF;
    END LOOP;
END $$;

-- how many rows a statement touched
CREATE FUNCTION fdw_count(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    name text;
    n bigint;
    counts bigint[] := '{}';
BEGIN
    FOREACH name IN ARRAY ARRAY['fdw_x0', 'fdw_x1', 'fdw_x2', 'fdw_x3'] LOOP
        EXECUTE replace(statement, '@', name);
        GET DIAGNOSTICS n = ROW_COUNT;
        counts := counts || n;
    END LOOP;
    RETURN CASE WHEN counts[1] = ALL (counts) THEN counts[1]::text ELSE 'they differ: ' || counts::text END;
END $$;

-- the same for cursors: c0, c1, c2, c3
CREATE FUNCTION fdw_open(query text, options text DEFAULT '') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 0 .. 3 LOOP
        EXECUTE format('DECLARE c%s %s CURSOR %s FOR %s', i, split_part(options, '/', 1),
                       split_part(options, '/', 2), replace(query, '@', 'fdw_x' || i));
    END LOOP;
END $$;
CREATE FUNCTION fdw_fetch(n int) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    c refcursor;
    r record;
    got text[];
    wanted text[];
BEGIN
    FOREACH c IN ARRAY ARRAY['c0', 'c1', 'c2', 'c3'] LOOP
        got := '{}';
        FOR i IN 1 .. abs(n) LOOP
            IF n > 0 THEN FETCH c INTO r; ELSE FETCH PRIOR FROM c INTO r; END IF;
            EXIT WHEN NOT FOUND;
            got := got || r::text;
        END LOOP;
        got := ARRAY(SELECT g FROM unnest(got) g ORDER BY g COLLATE "C");
        IF wanted IS NULL THEN
            wanted := got;
            RETURN QUERY SELECT unnest(wanted);
        ELSIF got <> wanted THEN
            RETURN NEXT format('%s differs: %s', c, got);
        END IF;
    END LOOP;
END $$;

-- ---- a transaction sees its own writes ----

BEGIN;
SELECT fdw_count($$INSERT INTO @ VALUES (1, 'a', 1), (2, 'b', DEFAULT), (3, NULL, NULL)$$);
SELECT fdw_rows($$SELECT * FROM @$$);
SELECT fdw_rows($$SELECT * FROM @ WHERE k = 2$$);
SELECT fdw_rows($$SELECT * FROM @ WHERE k = ANY (ARRAY[1, 3, 3, 9, NULL])$$);
SELECT fdw_rows($$SELECT g, x.v FROM generate_series(1, 4) g LEFT JOIN LATERAL (SELECT * FROM @ x WHERE x.k = g OFFSET 0) x ON true$$);
SELECT nr_get('fdw_x1', 1, NULL::fdw_x1), nr_get('fdw_x2', 1, NULL::fdw_x2) = nr_get('fdw_x2', 1, NULL::fdw_x2), nr_get('fdw_x3', 4, NULL::fdw_x3);
ROLLBACK;
SELECT fdw_rows($$SELECT * FROM @$$);
BEGIN;
SELECT fdw_count($$INSERT INTO @ SELECT i, 'v' || i, i FROM generate_series(1, 6) i$$);
COMMIT;
SELECT fdw_rows($$SELECT * FROM @$$);

-- over what is committed already
BEGIN;
SELECT fdw_count($$UPDATE @ SET v = v || '!' WHERE k = 2$$);
SELECT fdw_count($$DELETE FROM @ WHERE k IN (3, 4)$$);
SELECT fdw_count($$DELETE FROM @ WHERE k = 3$$);
SELECT fdw_count($$UPDATE @ SET v = 'gone' WHERE k = 3$$);
SELECT fdw_count($$INSERT INTO @ VALUES (4, 'back', 4), (7, 'new', 7)$$);
SELECT fdw_count($$UPDATE @ SET n = n + 100 WHERE n > 4$$);
SELECT fdw_rows($$SELECT * FROM @$$);
SELECT fdw_rows($$SELECT * FROM @ WHERE k IN (2, 3, 4, 7)$$);
ROLLBACK;
SELECT fdw_rows($$SELECT * FROM @$$);

-- RETURNING
BEGIN;
SELECT fdw_rows($$INSERT INTO @ VALUES (8, 'r') RETURNING k, v, n$$);
SELECT fdw_rows($$UPDATE @ SET v = upper(v), n = n * 2 WHERE k > 6 OR k = 1 RETURNING *$$);
SELECT fdw_rows($$UPDATE @ SET k = k + 90 WHERE k = 8 RETURNING *$$);
SELECT fdw_rows($$DELETE FROM @ WHERE k IN (1, 5, 98) RETURNING v, k$$);
SELECT fdw_rows($$SELECT * FROM @$$);
ROLLBACK;

-- COPY
BEGIN;
COPY fdw_x1 FROM stdin;
1	copied	1
70	new	70
\.
COPY fdw_x1 (k) FROM stdin;
71
\.
SELECT * FROM fdw_x1 ORDER BY k;
COPY (SELECT * FROM fdw_x1 WHERE k = 70) TO stdout;
ROLLBACK;
COPY fdw_x1 FROM stdin;
80	one	1
x	bad	1
\.
SELECT count(*) FROM fdw_x1;

-- TRUNCATE; entries of before and of after it
BEGIN;
SELECT fdw_count($$INSERT INTO @ VALUES (9, 'nine', 9)$$);
TRUNCATE fdw_x0, fdw_x1, fdw_x2, fdw_x3;
SELECT fdw_rows($$SELECT * FROM @$$);
SELECT fdw_count($$INSERT INTO @ VALUES (2, 'after', 2)$$);
SELECT fdw_count($$DELETE FROM @ WHERE k = 1$$);
SELECT fdw_rows($$SELECT * FROM @$$);
SAVEPOINT s;
TRUNCATE fdw_x0, fdw_x1, fdw_x2, fdw_x3;
SELECT fdw_rows($$SELECT * FROM @$$);
ROLLBACK TO s;
SELECT fdw_rows($$SELECT * FROM @$$);
ROLLBACK;
SELECT fdw_rows($$SELECT k FROM @$$);

-- savepoints and caught errors
BEGIN;
SELECT fdw_count($$UPDATE @ SET v = 'outer' WHERE k < 3$$);
SAVEPOINT a;
SELECT fdw_count($$UPDATE @ SET v = 'inner' WHERE k < 4$$);
SAVEPOINT b;
SELECT fdw_count($$DELETE FROM @ WHERE k < 5$$);
SELECT fdw_rows($$SELECT k, v FROM @$$);
ROLLBACK TO b;
SELECT fdw_rows($$SELECT k, v FROM @ WHERE k < 5$$);
ROLLBACK TO a;
SELECT fdw_rows($$SELECT k, v FROM @ WHERE k < 5$$);
SELECT fdw_count($$UPDATE @ SET n = 1 / (n - 5)$$);
ROLLBACK TO a;
CREATE FUNCTION fdw_xcaught(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN fdw_count(statement);
EXCEPTION WHEN division_by_zero THEN
    RETURN SQLERRM;
END $$;
SELECT fdw_xcaught($$UPDATE @ SET v = 'lost', n = 10 / (n - 5)$$);
SELECT fdw_xcaught($$UPDATE @ SET v = 'kept' WHERE k = 3$$);
SELECT fdw_rows($$SELECT k, v, n FROM @$$);
COMMIT;
SELECT fdw_rows($$SELECT k, v, n FROM @$$);

-- ---- a command does not see its own writes ----

BEGIN;
SELECT fdw_count($$INSERT INTO @ SELECT k + 10, v, n FROM @$$);
SELECT fdw_count($$INSERT INTO @ SELECT k + 20, v, n FROM @ WHERE k > 10$$);
SELECT fdw_count($$UPDATE @ SET n = n + 1$$);
SELECT fdw_rows($$SELECT count(*), sum(k), sum(n) FROM @$$);
-- lookups of an INSERT that goes on meanwhile
SELECT fdw_count($$INSERT INTO @ SELECT g, coalesce((SELECT x.v FROM @ x WHERE x.k = g - 1), 'none'), 0 FROM generate_series(27, 30) g$$);
SELECT fdw_rows($$SELECT * FROM @ WHERE k >= 27$$);
SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off;
SELECT fdw_count($$UPDATE @ a SET v = 'was ' || b.n, n = b.n + 100 FROM @ b WHERE b.k = a.k - 1$$);
SELECT fdw_rows($$SELECT * FROM @ WHERE k < 17$$);
SELECT fdw_count($$DELETE FROM @ a USING @ b WHERE b.k = a.k - 1 AND a.k > 20$$);
SELECT fdw_rows($$SELECT count(*), sum(k), sum(n) FROM @$$);
RESET enable_hashjoin; RESET enable_mergejoin; RESET enable_material;
-- all parts of a statement see what was before it
SELECT fdw_rows($$WITH i AS (INSERT INTO @ VALUES (200, 'cte', 0) RETURNING k) SELECT i.k, (SELECT count(*) FROM @ WHERE k = 200) FROM i$$);
SELECT fdw_rows($$WITH d AS (DELETE FROM @ WHERE k = 200 RETURNING k) SELECT d.k, x.v FROM d JOIN @ x USING (k)$$);
SELECT fdw_rows($$WITH u AS (UPDATE @ SET v = 'new' WHERE k = 1 RETURNING k, v) SELECT u.v, x.v FROM u JOIN @ x USING (k)$$);
SELECT fdw_count($$WITH d AS (DELETE FROM @ WHERE k < 10 RETURNING *) INSERT INTO @ SELECT k + 1, v || ' moved', n FROM d$$);
SELECT fdw_rows($$WITH d AS (DELETE FROM @ WHERE k < 10 RETURNING *) INSERT INTO @ SELECT k, v || ' twice', n FROM d RETURNING *$$);
SELECT fdw_count($$WITH d AS (DELETE FROM @ WHERE k = 2), e AS (DELETE FROM @ WHERE k IN (2, 3) RETURNING k) SELECT FROM e WHERE k = 3$$);
SELECT fdw_rows($$SELECT k FROM @ WHERE k < 10$$);
-- a function's command sees what the calling one has done by then
CREATE FUNCTION fdw_entries(name text) RETURNS bigint LANGUAGE plpgsql VOLATILE AS
$$ DECLARE n bigint; BEGIN EXECUTE format('SELECT count(*) FROM %I', name) INTO n; RETURN n; END $$;
CREATE FUNCTION fdw_entries_stable(name text) RETURNS bigint LANGUAGE plpgsql STABLE AS
$$ DECLARE n bigint; BEGIN EXECUTE format('SELECT count(*) FROM %I', name) INTO n; RETURN n; END $$;
SELECT fdw_count($$DELETE FROM @$$);
SELECT fdw_rows($$INSERT INTO @ SELECT i, fdw_entries('@'), fdw_entries_stable('@') FROM generate_series(1, 3) i RETURNING *$$);
SELECT fdw_rows($$INSERT INTO @ SELECT k + 10, fdw_entries('@') + k, n FROM @ WHERE k = 1 RETURNING *$$);
ROLLBACK;

-- ---- a row is changed once by a command ----

BEGIN;
SELECT fdw_count($$UPDATE @ SET n = n + 1000 FROM generate_series(1, 3) d WHERE k < 3$$);
SELECT fdw_rows($$SELECT k, n FROM @ WHERE k < 3$$);
SELECT fdw_rows($$UPDATE @ SET n = n + 1000 FROM generate_series(1, 3) d WHERE k < 3 RETURNING k, n$$);
SELECT fdw_count($$DELETE FROM @ USING generate_series(1, 3) d WHERE k < 3$$);
SELECT fdw_rows($$DELETE FROM @ USING generate_series(1, 3) d WHERE k = 4 RETURNING k$$);
SELECT fdw_count($$UPDATE @ SET k = k + 50 FROM generate_series(1, 3) d WHERE k = 5$$);
SELECT fdw_rows($$WITH u AS (UPDATE @ SET v = 'first' WHERE k = 6 RETURNING k) SELECT k FROM u$$);
SELECT fdw_rows($$SELECT * FROM @$$);
ROLLBACK;

-- keys that move onto each other; an entry is whatever came to a key last
BEGIN;
SELECT fdw_count($$UPDATE @ SET k = k + 1$$);
SELECT fdw_rows($$SELECT k, n FROM @$$);
SELECT fdw_count($$UPDATE @ SET k = k - 1$$);
SELECT fdw_count($$UPDATE @ SET k = 7 - k$$);
SELECT fdw_rows($$SELECT k, n FROM @$$);
SELECT fdw_count($$UPDATE @ SET k = k + 1 FROM generate_series(1, 3) d$$);
SELECT fdw_count($$UPDATE @ SET k = CASE WHEN k IN (2, 3) THEN 5 - k ELSE k END, n = n + 10$$);
SELECT fdw_rows($$SELECT k, n FROM @$$);
SAVEPOINT s;
SELECT fdw_count($$UPDATE @ SET k = (k + 3) % 6 + 2, v = 'turned ' || k$$);
SELECT fdw_rows($$SELECT k, v FROM @$$);
ROLLBACK TO s;
SELECT fdw_rows($$UPDATE @ SET k = k * 2 WHERE k < 4 RETURNING k, n$$);
ROLLBACK;
BEGIN;
UPDATE fdw_x1 SET k = 6 WHERE k < 4;
SELECT count(*), count(*) FILTER (WHERE k = 6 AND n < 4) FROM fdw_x1;
UPDATE fdw_x1 SET k = NULL WHERE k = 6;
ROLLBACK;
SELECT fdw_rows($$SELECT k, v, n FROM @$$);

-- many
BEGIN;
SELECT fdw_count($$INSERT INTO @ SELECT i, repeat('x', i % 50), i FROM generate_series(100, 9999) i$$);
SELECT fdw_count($$UPDATE @ SET k = k + 1 FROM generate_series(1, 2) WHERE k >= 100$$);
SELECT fdw_count($$DELETE FROM @ WHERE k % 10 = 0$$);
SELECT fdw_rows($$SELECT count(*), min(k), max(k), sum(k - n), sum(length(v)) FROM @ WHERE k >= 100$$);
COMMIT;
SELECT fdw_rows($$SELECT count(*), min(k), max(k), sum(k - n), sum(length(v)) FROM @ WHERE k >= 100$$);
SELECT fdw_count($$DELETE FROM @ WHERE k >= 100$$);
-- one key again and again: what no scan looks for any more does not count
DO $$
BEGIN
    FOR i IN 1 .. 3000 LOOP
        UPDATE fdw_x1 SET v = repeat('w', 3000), n = i WHERE k = 1;
        UPDATE fdw_x3 SET v = repeat('w', 3000), k = -k WHERE abs(k) = 2;
    END LOOP;
    RAISE NOTICE '% %', (SELECT n FROM fdw_x1 WHERE k = 1), (SELECT length(v) FROM fdw_x3 WHERE k = 2);
    RAISE division_by_zero;
EXCEPTION WHEN division_by_zero THEN
END $$;
-- more than a transaction may stage: an error, and the cache is as before
\set VERBOSITY terse
INSERT INTO fdw_x1 SELECT i, repeat('x', 1000) FROM generate_series(1, 100000) i;
\set VERBOSITY default
SELECT fdw_rows($$SELECT k, v, n FROM @$$);

-- ---- cursors ----

-- declared before anything is staged, and before the first row is fetched
BEGIN;
SELECT fdw_open($$SELECT * FROM @$$);
SELECT fdw_count($$INSERT INTO @ VALUES (50, 'late', 0)$$);
SELECT fdw_count($$UPDATE @ SET v = 'late'$$);
SELECT fdw_count($$DELETE FROM @ WHERE k = 1$$);
SELECT fdw_fetch(100);
SELECT fdw_rows($$SELECT * FROM @$$);
ROLLBACK;

-- over staged rows; changed again and again
BEGIN;
SELECT fdw_count($$UPDATE @ SET v = 'early', n = 0 WHERE k < 4$$);
SELECT fdw_count($$DELETE FROM @ WHERE k = 6$$);
SELECT fdw_count($$INSERT INTO @ VALUES (8, 'early', 0)$$);
SELECT fdw_open($$SELECT * FROM @ ORDER BY k$$);
SELECT fdw_count($$UPDATE @ SET v = 'late', n = n + 1$$);
SELECT fdw_count($$UPDATE @ SET v = 'later', n = n + 1$$);
SELECT fdw_count($$INSERT INTO @ VALUES (6, 'late', 0), (0, 'late', 0)$$);
SELECT fdw_count($$DELETE FROM @ WHERE k IN (1, 8)$$);
SELECT fdw_fetch(2);
SAVEPOINT s;
SELECT fdw_count($$DELETE FROM @$$);
SELECT fdw_fetch(2);
ROLLBACK TO s;
SELECT fdw_fetch(100);
SELECT fdw_rows($$SELECT * FROM @$$);
ROLLBACK;

-- lookups that a cursor comes to after the write
BEGIN;
SELECT fdw_count($$UPDATE @ SET v = 'early' WHERE k = 4$$);
SELECT fdw_open($$SELECT g, (SELECT x.v FROM @ x WHERE x.k = g) FROM generate_series(1, 7) g$$);
SELECT fdw_fetch(2);
SELECT fdw_count($$UPDATE @ SET v = 'late'$$);
SELECT fdw_fetch(1);
SELECT fdw_count($$DELETE FROM @ WHERE k IN (4, 6)$$);
SELECT fdw_count($$INSERT INTO @ VALUES (4, 'late', 0), (7, 'late', 0)$$);
SELECT fdw_fetch(100);
ROLLBACK;

-- several at once, each with its own view; of which one ends before the others
BEGIN;
DECLARE a CURSOR FOR SELECT k, v FROM fdw_x1 WHERE k IN (1, 2) ORDER BY k;
UPDATE fdw_x1 SET v = 'two' WHERE k < 3;
DECLARE b CURSOR FOR SELECT k, v FROM fdw_x1 WHERE k IN (1, 2) ORDER BY k;
UPDATE fdw_x1 SET v = 'three' WHERE k < 3;
DECLARE c CURSOR FOR SELECT k, v FROM fdw_x1 WHERE k IN (1, 2) ORDER BY k;
UPDATE fdw_x1 SET v = 'four' WHERE k < 3;
FETCH a; FETCH b; FETCH c;
CLOSE b;
UPDATE fdw_x1 SET v = 'five' WHERE k < 3;
SELECT nr_put('fdw_x1', ROW(1, 'six', 6));
FETCH a; FETCH c;
SELECT k, v FROM fdw_x1 WHERE k IN (1, 2) ORDER BY k;
ROLLBACK;

-- nr_truncate() beneath a cursor; TRUNCATE is refused there, as with a table
BEGIN;
INSERT INTO fdw_x1 VALUES (9, 'nine', 9);
DECLARE a CURSOR FOR SELECT k FROM fdw_x1 ORDER BY k;
SELECT nr_truncate('fdw_x1');
INSERT INTO fdw_x1 VALUES (10, 'ten', 10);
FETCH ALL FROM a;
SELECT k FROM fdw_x1 ORDER BY k;
TRUNCATE fdw_x1;
ROLLBACK;

-- scrolled, and held over COMMIT
BEGIN;
SELECT fdw_open($$SELECT k, v FROM @ ORDER BY k$$, 'SCROLL');
SELECT fdw_fetch(3);
SELECT fdw_count($$UPDATE @ SET v = 'late'$$);
SELECT fdw_fetch(-2);
SELECT fdw_fetch(100);
ROLLBACK;
BEGIN;
SELECT fdw_count($$INSERT INTO @ VALUES (9, 'early', 9)$$);
SELECT fdw_open($$SELECT k, v FROM @ WHERE k > 4$$, '/WITH HOLD');
SELECT fdw_count($$DELETE FROM @ WHERE k IN (5, 9)$$);
SELECT fdw_count($$INSERT INTO @ VALUES (10, 'late', 10)$$);
COMMIT;
SELECT fdw_fetch(100);
CLOSE ALL;
SELECT fdw_rows($$SELECT k, v FROM @ WHERE k > 4$$);
SELECT fdw_count($$DELETE FROM @ WHERE k = 10$$);
SELECT fdw_count($$INSERT INTO @ VALUES (5, 'v5', 5)$$);

-- loops over a cache that change it
DO $$
DECLARE
    r record;
    seen text := '';
BEGIN
    FOR r IN SELECT k, n FROM fdw_x2 ORDER BY k LOOP
        seen := seen || r.k || ':' || r.n || ' ';
        UPDATE fdw_x2 SET n = n + 1;
        PERFORM nr_delete('fdw_x2', r.k + 1), nr_put('fdw_x2', ROW(r.k + 100, 'loop', 0));
    END LOOP;
    RAISE NOTICE '%', seen;
    seen := (SELECT string_agg(k || ':' || n, ' ' ORDER BY k) FROM fdw_x2);
    RAISE NOTICE '%', seen;
    RAISE division_by_zero;
EXCEPTION WHEN division_by_zero THEN
    seen := (SELECT string_agg(k || ':' || n, ' ' ORDER BY k) FROM fdw_x2);
    RAISE NOTICE '%', seen;
END $$;

-- a prepared statement, executed before and after writes; EXPLAIN alone opens nothing
PREPARE fdw_q(int) AS SELECT v FROM fdw_x1 WHERE k = $1;
SET plan_cache_mode = force_generic_plan;
BEGIN;
EXECUTE fdw_q(1);
EXPLAIN (COSTS OFF) EXECUTE fdw_q(1);
UPDATE fdw_x1 SET v = 'staged' WHERE k = 1;
EXECUTE fdw_q(1);
ROLLBACK;
EXECUTE fdw_q(1);
RESET plan_cache_mode;
DEALLOCATE fdw_q;

-- ---- constraints, views, triggers, partitions, privileges ----

CREATE FOREIGN TABLE fdw_xc (k int NOT NULL, v int NOT NULL CHECK (v < 100)) SERVER nr_cache OPTIONS (visibility 'commit');
INSERT INTO fdw_xc SELECT i, i FROM generate_series(1, 200) i;
SELECT count(*) FROM fdw_xc;
INSERT INTO fdw_xc VALUES (1, 1), (2, 2);
UPDATE fdw_xc SET v = v * 60;
UPDATE fdw_xc SET v = NULL WHERE k = 2;
SELECT * FROM fdw_xc ORDER BY k;
CREATE VIEW fdw_xeven AS SELECT * FROM fdw_xc WHERE k % 2 = 0 WITH CHECK OPTION;
BEGIN;
INSERT INTO fdw_xeven VALUES (4, 4);
SAVEPOINT s;
INSERT INTO fdw_xeven VALUES (6, 6), (7, 7);
ROLLBACK TO s;
UPDATE fdw_xeven SET k = k + 1 WHERE k = 2;
ROLLBACK TO s;
UPDATE fdw_xeven SET k = k + 2;
SELECT * FROM fdw_xc ORDER BY k;
COMMIT;

CREATE FUNCTION fdw_xtrig() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE '% % % old % new % entries %', TG_WHEN, TG_LEVEL, TG_OP,
        CASE WHEN TG_LEVEL = 'ROW' AND TG_OP <> 'INSERT' THEN OLD END,
        CASE WHEN TG_LEVEL = 'ROW' AND TG_OP <> 'DELETE' THEN NEW END, (SELECT count(*) FROM fdw_xt);
    IF TG_WHEN = 'BEFORE' AND TG_LEVEL = 'ROW' AND TG_OP = 'INSERT' THEN NEW.v = NEW.v || ' seen'; END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE FOREIGN TABLE fdw_xt (k int, v text) SERVER nr_cache OPTIONS (visibility 'commit');
CREATE TRIGGER after_stmt AFTER INSERT OR UPDATE OR DELETE ON fdw_xt FOR EACH STATEMENT EXECUTE FUNCTION fdw_xtrig();
CREATE TRIGGER before_row BEFORE INSERT OR UPDATE OR DELETE ON fdw_xt FOR EACH ROW EXECUTE FUNCTION fdw_xtrig();
CREATE TRIGGER after_row AFTER INSERT OR UPDATE OR DELETE ON fdw_xt FOR EACH ROW EXECUTE FUNCTION fdw_xtrig();
INSERT INTO fdw_xt VALUES (1, 'a'), (2, 'b');
UPDATE fdw_xt SET k = k + 1 WHERE k = 2;
COPY fdw_xt FROM stdin;
5	copied
\.
DELETE FROM fdw_xt WHERE k = 1;
SELECT * FROM fdw_xt ORDER BY k;
-- a trigger that fails takes the statement along
CREATE FUNCTION fdw_xfail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
CREATE TRIGGER fails AFTER UPDATE ON fdw_xt FOR EACH ROW EXECUTE FUNCTION fdw_xfail();
ALTER TABLE fdw_xt DISABLE TRIGGER before_row, DISABLE TRIGGER after_row, DISABLE TRIGGER after_stmt;
UPDATE fdw_xt SET v = 'lost';
SELECT * FROM fdw_xt ORDER BY k;

-- rows routed by a partitioned table, also into a cache that the statement updates
CREATE TABLE fdw_xp (k int, v text) PARTITION BY RANGE (k);
CREATE TABLE fdw_xp1 PARTITION OF fdw_xp FOR VALUES FROM (0) TO (10);
CREATE FOREIGN TABLE fdw_xp2 PARTITION OF fdw_xp FOR VALUES FROM (10) TO (30) SERVER nr_cache OPTIONS (visibility 'commit');
INSERT INTO fdw_xp SELECT i, 'r' || i FROM generate_series(5, 20, 5) i;
BEGIN;
UPDATE fdw_xp SET k = k + 5, v = v || ' moved';
SELECT tableoid::regclass, * FROM fdw_xp ORDER BY k;
WITH u AS (UPDATE fdw_xp SET v = 'u' WHERE k IN (10, 15) RETURNING tableoid::regclass, *) SELECT * FROM u ORDER BY k;
DELETE FROM fdw_xp WHERE k = 15;
COPY fdw_xp FROM stdin;
3	copied
13	copied
\.
SELECT tableoid::regclass, * FROM fdw_xp ORDER BY k;
ROLLBACK;
SELECT tableoid::regclass, * FROM fdw_xp ORDER BY k;
UPDATE fdw_xp SET k = k - 10 WHERE k = 15;

CREATE ROLE regress_fdw_xreader;
GRANT SELECT ON fdw_xc TO regress_fdw_xreader;
SET ROLE regress_fdw_xreader;
SELECT k FROM fdw_xc WHERE k = 1;
INSERT INTO fdw_xc VALUES (1, 1);
UPDATE fdw_xc SET v = 2;
DELETE FROM fdw_xc;
TRUNCATE fdw_xc;
RESET ROLE;
DROP OWNED BY regress_fdw_xreader;
DROP ROLE regress_fdw_xreader;
BEGIN READ ONLY;
UPDATE fdw_xc SET v = 1;
ROLLBACK;

-- ---- parallel plans: workers do not know what is staged ----

CREATE FUNCTION fdw_launched(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (ANALYZE, BUFFERS OFF, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query LOOP
        IF line ~ 'Gather|Workers|Aggregate|Scan on' THEN
            RETURN NEXT regexp_replace(line, ' \(actual.*', '');
        END IF;
    END LOOP;
END $$;
-- PostgreSQL 16 gave the setting another name
SELECT set_config(name, 'on', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SET plan_cache_mode = force_generic_plan;
PREPARE fdw_pg AS SELECT nr_get('fdw_x1', 1, NULL::fdw_x1), (SELECT v FROM fdw_x2 WHERE k = 1) AS v2, (SELECT v FROM fdw_x3 WHERE n = 1) AS v3;
PREPARE fdw_ps AS SELECT count(*), max(v) FROM fdw_x1;
EXECUTE fdw_pg;
EXECUTE fdw_ps;
BEGIN;
SELECT nr_put('fdw_x1', ROW(1, 'zz staged', 1)), nr_put('fdw_x2', ROW(1, 'staged', 1)), nr_put('fdw_x3', ROW(1, 'staged', 1));
EXECUTE fdw_pg;
EXECUTE fdw_ps;
SELECT max(v) FROM fdw_x1;
SELECT * FROM fdw_launched('EXECUTE fdw_ps');
ROLLBACK;
EXECUTE fdw_pg;
EXECUTE fdw_ps;
SELECT set_config(name, 'off', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
DROP FUNCTION fdw_launched;
CREATE TABLE fdw_xmany AS SELECT i % 10 AS k FROM generate_series(1, 30000) i;
ANALYZE fdw_xmany;
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2; SET parallel_leader_participation = off;
PREPARE fdw_pj AS SELECT count(*), sum(x.n), sum((nr_get('fdw_x2', m.k, NULL::fdw_x2)).n) FROM fdw_xmany m JOIN fdw_x1 x USING (k);
EXPLAIN (COSTS OFF) EXECUTE fdw_pj;
EXECUTE fdw_pj;
BEGIN;
UPDATE fdw_x1 SET n = n + 1000;
UPDATE fdw_x2 SET n = n + 1000;
EXECUTE fdw_pj;
CREATE FUNCTION fdw_pf() RETURNS bigint LANGUAGE plpgsql AS
$$ DECLARE s bigint; BEGIN SELECT sum(x.n) INTO s FROM fdw_xmany m JOIN fdw_x1 x USING (k); RETURN s; END $$;
SELECT fdw_pf();
ROLLBACK;
EXECUTE fdw_pj;
DEALLOCATE ALL;
RESET plan_cache_mode; RESET parallel_setup_cost; RESET parallel_tuple_cost; RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather; RESET parallel_leader_participation;

SELECT fdw_rows($$SELECT k, v, n FROM @$$);
SELECT nr_check('fdw_x1'), nr_check('fdw_x2'), nr_check('fdw_x3'), nr_check('fdw_xp2'), nr_check('fdw_xt');
