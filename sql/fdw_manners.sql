--
-- What a table can do in PostgreSQL, and what becomes of it when the table is a cache.
-- Where PostgreSQL versions word it differently, only the SQLSTATE is shown.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS nr_cache;
CREATE SCHEMA t_manners;
SET search_path = t_manners, public;
RESET client_min_messages;

-- SQLSTATE and first line of the error of a statement; "accepted" when there is none
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;

CREATE FOREIGN TABLE c (k int, v text DEFAULT 'none', n int) SERVER nr_cache;
CREATE TABLE t (k int, v text);
INSERT INTO c VALUES (1, 'one', 1), (2, 'two', 2), (3, 'three', 3);
INSERT INTO t VALUES (1, 'uno'), (4, 'quattro');
CREATE TABLE pf (k int, v text) PARTITION BY LIST (k);
CREATE FOREIGN TABLE pf1 PARTITION OF pf FOR VALUES IN (1) SERVER nr_cache;

-- ---- refused ----

SELECT s AS statement, try(s) FROM unnest(ARRAY[
    'INSERT INTO c VALUES (1) ON CONFLICT DO NOTHING',
    'INSERT INTO c VALUES (1) ON CONFLICT (k) DO UPDATE SET v = ''x''',
    'MERGE INTO c USING t ON c.k = t.k WHEN MATCHED THEN UPDATE SET v = t.v',
    'MERGE INTO pf USING t ON pf.k = t.k WHEN MATCHED THEN DELETE',
    'SELECT * FROM c TABLESAMPLE SYSTEM (10)',
    'CREATE INDEX ON c (k)',
    'ALTER TABLE c ADD PRIMARY KEY (k)',
    'ALTER TABLE c ADD UNIQUE (k)',
    'ALTER TABLE t ADD FOREIGN KEY (k) REFERENCES c (k)',
    'ALTER TABLE c ADD FOREIGN KEY (k) REFERENCES t (k)',
    'ALTER TABLE c ENABLE ROW LEVEL SECURITY',
    'CREATE POLICY p ON c USING (true)',
    'CREATE RULE r AS ON INSERT TO c DO INSTEAD NOTHING',
    'LOCK TABLE c',
    'CLUSTER c',
    'REFRESH MATERIALIZED VIEW c',
    'ALTER TABLE c SET UNLOGGED',
    'ALTER TABLE c SET TABLESPACE pg_default',
    'CREATE TRIGGER x AFTER INSERT ON c REFERENCING NEW TABLE AS new FOR EACH STATEMENT EXECUTE FUNCTION suppress_redundant_updates_trigger()',
    'CREATE TRIGGER x INSTEAD OF INSERT ON c FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()',
    'CREATE CONSTRAINT TRIGGER x AFTER INSERT ON c FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()',
    'IMPORT FOREIGN SCHEMA a FROM SERVER nr_cache INTO t_manners',
    'IMPORT FOREIGN SCHEMA a LIMIT TO (x) FROM SERVER nr_cache INTO t_manners',
    'CREATE PUBLICATION p FOR TABLE c',
    'CREATE FOREIGN TABLE bad (k int PRIMARY KEY, v int) SERVER nr_cache',
    'CREATE FOREIGN TABLE bad (k int REFERENCES t (k), v int) SERVER nr_cache']) s;
MERGE INTO c USING t ON c.k = t.k WHEN MATCHED THEN DELETE;
BEGIN;
DECLARE cur CURSOR FOR SELECT * FROM c WHERE k = 1;
FETCH cur;
UPDATE c SET v = 'x' WHERE CURRENT OF cur;
ROLLBACK;

-- COPY FREEZE, also where the table is as new as FREEZE wants it
COPY c FROM '/dev/null' WITH (FREEZE);
BEGIN;
CREATE FOREIGN TABLE fresh (k int, v text) SERVER nr_cache;
COPY fresh FROM '/dev/null' FREEZE;
ROLLBACK;
COPY pf FROM stdin (FREEZE true);
\.
COPY c FROM stdin (FREEZE off);
5	five	5
\.
COPY c (n, k) FROM stdin (FORMAT csv, HEADER);
n,k
6,6
\.
COPY c TO stdout;
COPY (SELECT * FROM c ORDER BY k) TO stdout (FORMAT csv, HEADER);
DELETE FROM c WHERE k > 3;

-- ---- row locks lock nothing, and say nothing; of the other tables' rows they do ----

SELECT * FROM c WHERE k = 1 FOR UPDATE;
SELECT * FROM c WHERE k < 3 ORDER BY k FOR SHARE SKIP LOCKED;
SELECT t.v, c.v FROM t JOIN c USING (k) FOR UPDATE;
SELECT t.v, c.v FROM t JOIN c USING (k) FOR NO KEY UPDATE OF t;
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'c'::regclass;

-- ---- system columns and whole rows ----

SELECT tableoid::regclass, k FROM c WHERE tableoid = 'c'::regclass AND k = 1;
SELECT try('SELECT ctid FROM c WHERE k = 1') IN ('accepted', '0A000') AS ctid, try('SELECT xmin FROM c'), try('UPDATE c SET v = v WHERE ctid = ''(0,1)''') IN ('accepted', '0A000') AS by_ctid;
SELECT c, c.*, row_to_json(c), (c).v FROM c WHERE c.k = 2;
SELECT x FROM (SELECT c FROM c ORDER BY k) x;
SELECT count(c), count(DISTINCT c), max(c::text) FROM c;
SELECT a FROM c a JOIN c b ON a = b ORDER BY a;
SELECT t, c FROM t FULL JOIN c ON c.k = t.k ORDER BY coalesce(t.k, c.k);

-- ---- RETURNING ----

INSERT INTO c VALUES (10, 'ten') RETURNING c, tableoid::regclass, k * 2 AS twice, (SELECT count(*) FROM t);
INSERT INTO c (k) SELECT k + 10 FROM t RETURNING *;
UPDATE c SET v = upper(c.v) || t.v FROM t WHERE t.k = c.k RETURNING c.*, t.*;
UPDATE c SET k = k + 100 WHERE k = 10 RETURNING tableoid::regclass, *;
UPDATE c SET v = 'nobody' WHERE k = 999 RETURNING *;
WITH d AS (DELETE FROM c USING t WHERE c.k = t.k + 10 RETURNING c.k, c.v, c.n, t.k AS tk, c) SELECT * FROM d ORDER BY k;
DELETE FROM c WHERE k = 110 RETURNING tableoid::regclass, v;
WITH d AS (DELETE FROM c WHERE k = 3 RETURNING *) INSERT INTO c SELECT k + 1, v, n FROM d RETURNING *;
DO $$
DECLARE
    x text;
BEGIN
    -- old and new rows came with PostgreSQL 18
    IF current_setting('server_version_num')::int >= 180000 THEN
        EXECUTE 'UPDATE c SET n = n + 1 WHERE k = 2 RETURNING old.n || '' '' || new.n || '' '' || n' INTO STRICT x;
        IF x <> '2 3 3' THEN RAISE 'UPDATE returned %', x; END IF;
        EXECUTE 'UPDATE c SET k = 20 WHERE k = 2 RETURNING old.k || '' '' || new.k' INTO STRICT x;
        IF x <> '2 20' THEN RAISE 'UPDATE of the key returned %', x; END IF;
        EXECUTE 'INSERT INTO c VALUES (20, ''two'', 2) RETURNING (old IS NULL) || '' '' || new.v' INTO STRICT x;
        IF x <> 'true two' THEN RAISE 'INSERT returned %', x; END IF;
        EXECUTE 'UPDATE c SET k = 2 WHERE k = 20';
        EXECUTE 'WITH d AS (DELETE FROM c WHERE k = 2 RETURNING old.v || (new IS NULL) AS r, old.*) INSERT INTO c SELECT k, v, n FROM d RETURNING v' INTO STRICT x;
        IF x <> 'two' THEN RAISE 'DELETE returned %', x; END IF;
    END IF;
END $$;
SELECT * FROM c ORDER BY k;

-- ---- defaults, identity and serial columns: of INSERT and COPY, not of the functions ----

CREATE FOREIGN TABLE ser (k serial, v text DEFAULT 'd') SERVER nr_cache;
INSERT INTO ser DEFAULT VALUES;
INSERT INTO ser (v) VALUES ('two') RETURNING *;
COPY ser (v) FROM stdin;
three
\.
SELECT * FROM ser ORDER BY k;
TRUNCATE ser;
INSERT INTO ser DEFAULT VALUES RETURNING *;
TRUNCATE ser RESTART IDENTITY;
INSERT INTO ser DEFAULT VALUES RETURNING *;
BEGIN;
TRUNCATE ser RESTART IDENTITY;
INSERT INTO ser DEFAULT VALUES RETURNING *;
ROLLBACK;
SELECT * FROM ser;
INSERT INTO ser DEFAULT VALUES RETURNING k;

-- ---- TRUNCATE of several, of parents, with CASCADE, in a transaction ----

CREATE TABLE par (k int, v text) PARTITION BY RANGE (k);
CREATE FOREIGN TABLE par1 PARTITION OF par FOR VALUES FROM (0) TO (10) SERVER nr_cache;
CREATE TABLE par2 PARTITION OF par FOR VALUES FROM (10) TO (20);
CREATE FOREIGN TABLE par3 PARTITION OF par FOR VALUES FROM (20) TO (30) SERVER nr_cache OPTIONS (scheme 'left_right');
INSERT INTO par SELECT i, 'v' || i FROM generate_series(0, 29) i;
BEGIN;
TRUNCATE par, c, t CASCADE;
SELECT (SELECT count(*) FROM par) AS par, (SELECT count(*) FROM c) AS c, (SELECT count(*) FROM t) AS t;
INSERT INTO par VALUES (1, 'new'), (21, 'new');
SELECT * FROM par ORDER BY k;
ROLLBACK;
SELECT (SELECT count(*) FROM par) AS par, (SELECT count(*) FROM c) AS c, (SELECT count(*) FROM t) AS t;
TRUNCATE ONLY par;
TRUNCATE par1, par3;
SELECT count(*), min(k), max(k) FROM par;
TRUNCATE par;
SELECT count(*) FROM par;

-- ---- triggers ----

CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE '% % % %: % -> %', TG_NAME, TG_WHEN, TG_OP, TG_LEVEL, CASE WHEN TG_LEVEL = 'ROW' AND TG_OP <> 'INSERT' THEN OLD END,
        CASE WHEN TG_LEVEL = 'ROW' AND TG_OP <> 'DELETE' THEN NEW END;
    RETURN CASE WHEN TG_LEVEL = 'STATEMENT' OR TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE FOREIGN TABLE trig (k int, v text) SERVER nr_cache;
CREATE TRIGGER a_stmt BEFORE INSERT OR UPDATE OR DELETE ON trig FOR EACH STATEMENT EXECUTE FUNCTION tell();
CREATE TRIGGER b_row BEFORE INSERT OR UPDATE OF v OR DELETE ON trig FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TRIGGER c_row AFTER INSERT OR UPDATE OR DELETE ON trig FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TRIGGER d_row AFTER UPDATE ON trig FOR EACH ROW WHEN (OLD.v IS DISTINCT FROM NEW.v) EXECUTE FUNCTION tell();
CREATE TRIGGER e_stmt AFTER INSERT OR UPDATE OR DELETE ON trig FOR EACH STATEMENT EXECUTE FUNCTION tell();
INSERT INTO trig VALUES (1, 'a'), (2, 'b');
COPY trig FROM stdin;
3	c
\.
UPDATE trig SET v = upper(v) WHERE k = 2;
UPDATE trig SET k = k + 10 WHERE k = 1;
DELETE FROM trig WHERE k = 99;
DELETE FROM trig WHERE k = 2 RETURNING *;
-- functions are not statements: no triggers
SELECT nr_put('trig', ROW(1, 'put')), nr_delete('trig', 3), nr_truncate('trig');
DROP TRIGGER b_row ON trig;
CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
INSERT INTO trig VALUES (1, 'a');
CREATE TRIGGER b_row BEFORE INSERT OR UPDATE OR DELETE ON trig FOR EACH ROW EXECUTE FUNCTION skip();
ALTER FOREIGN TABLE trig DISABLE TRIGGER c_row, DISABLE TRIGGER e_stmt, DISABLE TRIGGER a_stmt, DISABLE TRIGGER d_row;
INSERT INTO trig VALUES (2, 'b');
UPDATE trig SET v = 'x';
DELETE FROM trig;
SELECT * FROM trig;
ALTER FOREIGN TABLE trig DISABLE TRIGGER ALL;
INSERT INTO trig VALUES (2, 'b');
SELECT count(*) FROM trig;
-- triggers of TRUNCATE came with PostgreSQL 16
CREATE TABLE truncated (level text);
CREATE FUNCTION note_truncate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO truncated VALUES (TG_WHEN); RETURN NULL; END $$;
DO $$
BEGIN
    IF current_setting('server_version_num')::int >= 160000 THEN
        EXECUTE 'CREATE TRIGGER f BEFORE TRUNCATE ON trig FOR EACH STATEMENT EXECUTE FUNCTION note_truncate()';
        EXECUTE 'CREATE TRIGGER g AFTER TRUNCATE ON trig FOR EACH STATEMENT EXECUTE FUNCTION note_truncate()';
        EXECUTE 'TRUNCATE trig';
        IF (SELECT array_agg(level) FROM truncated) <> '{BEFORE,AFTER}' THEN
            RAISE 'triggers that ran: %', (SELECT array_agg(level) FROM truncated);
        END IF;
    END IF;
END $$;
TRUNCATE trig;
SELECT count(*) FROM trig;

-- ---- views ----

INSERT INTO c VALUES (7, 'seven', 7), (8, 'eight', 8);
CREATE VIEW odd AS SELECT k, v FROM c WHERE k % 2 = 1 WITH LOCAL CHECK OPTION;
CREATE VIEW odd_small AS SELECT * FROM odd WHERE k < 100 WITH CASCADED CHECK OPTION;
SELECT table_name, is_updatable, is_insertable_into, check_option FROM information_schema.views WHERE table_schema = 't_manners' ORDER BY 1;
INSERT INTO odd_small VALUES (9, 'nine') RETURNING *;
INSERT INTO odd_small VALUES (10, 'ten');
INSERT INTO odd_small VALUES (101, 'large');
UPDATE odd_small SET k = 11 WHERE k = 9 RETURNING *;
UPDATE odd_small SET k = 12 WHERE k = 11;
UPDATE odd_small SET v = 'updated' WHERE k = 8;
DELETE FROM odd_small WHERE k IN (8, 11) RETURNING *;
COPY odd FROM stdin;
\.
SELECT * FROM c ORDER BY k;
CREATE VIEW ruled AS SELECT k, v FROM c;
CREATE RULE r AS ON INSERT TO ruled DO INSTEAD INSERT INTO c VALUES (NEW.k * 10, NEW.v);
INSERT INTO ruled VALUES (5, 'by rule');
SELECT * FROM c WHERE k = 50;
CREATE MATERIALIZED VIEW mat AS SELECT * FROM c WHERE k < 3;
DELETE FROM c WHERE k = 50;
REFRESH MATERIALIZED VIEW mat;
SELECT count(*) FROM mat;

-- ---- what a security barrier hides, neither lookups nor leaky functions see ----

CREATE FOREIGN TABLE secret (k int, owner text, v text) SERVER nr_cache;
INSERT INTO secret SELECT i, CASE WHEN i % 2 = 0 THEN 'me' ELSE 'you' END, 'v' || i FROM generate_series(1, 6) i;
CREATE VIEW mine WITH (security_barrier) AS SELECT * FROM secret WHERE owner = 'me';
-- tells of what is not mine
CREATE FUNCTION leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$
BEGIN
    IF substring($1 FROM '\d+')::int % 2 = 1 THEN
        RAISE NOTICE 'leaked: %', $1;
    END IF;
    RETURN true;
END $$;
SELECT k FROM secret WHERE k = 1 AND leak(v) AND owner = 'me';
SELECT k FROM mine WHERE leak(v) ORDER BY k;
SELECT k FROM mine WHERE k = 1 AND leak(v);
SELECT k FROM mine WHERE k IN (1, 2) AND leak(v);
SELECT m.k FROM t JOIN mine m ON m.k = t.k AND leak(m.v);
SELECT k FROM mine WHERE (k = 1 OR leak(v)) AND leak(k::text) ORDER BY k;
SET enable_hashjoin = off; SET enable_mergejoin = off;
SELECT m.k FROM t JOIN mine m ON m.k = t.k AND leak(m.v);
RESET enable_hashjoin; RESET enable_mergejoin;
UPDATE mine SET v = v || '!' WHERE leak(v) AND k < 3 RETURNING k, v;
DELETE FROM mine WHERE k = 3 AND leak(v);
CREATE ROLE regress_manners;
GRANT USAGE ON SCHEMA t_manners TO regress_manners;
GRANT SELECT, UPDATE, DELETE ON mine TO regress_manners;
SET ROLE regress_manners;
SELECT count(*) FROM mine;
SELECT count(*) FROM secret;
SELECT nr_get('secret', 1, NULL::secret);
RESET ROLE;
CREATE VIEW invoked WITH (security_invoker) AS SELECT * FROM secret;
GRANT SELECT ON invoked TO regress_manners;
SET ROLE regress_manners;
SELECT count(*) FROM invoked;
RESET ROLE;
-- row security of an ordinary table over its cache
CREATE TABLE doc (id int, class int);
INSERT INTO doc SELECT i, i FROM generate_series(1, 6) i;
ALTER TABLE doc ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON doc USING (EXISTS (SELECT FROM mine WHERE mine.k = class));
GRANT SELECT ON doc TO regress_manners;
SET ROLE regress_manners;
SELECT id FROM doc WHERE leak(id::text) ORDER BY id;
RESET ROLE;

-- ---- partitions ----

INSERT INTO par SELECT i, 'v' || i FROM generate_series(0, 29) i;
CREATE TABLE par_b (k int, w text) PARTITION BY RANGE (k);
CREATE FOREIGN TABLE par_b1 PARTITION OF par_b FOR VALUES FROM (0) TO (10) SERVER nr_cache;
CREATE TABLE par_b2 PARTITION OF par_b FOR VALUES FROM (10) TO (20);
CREATE FOREIGN TABLE par_b3 PARTITION OF par_b FOR VALUES FROM (20) TO (30) SERVER nr_cache;
INSERT INTO par_b SELECT i, 'w' || i FROM generate_series(0, 29, 3) i;
-- pruned when planned, and when run
CREATE FUNCTION scanned(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    found text[] := '{}';
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query LOOP
        IF line ~ 'Scan on' AND line !~ 'never executed' THEN
            found := found || substring(line FROM 'Scan on (\w+)');
        END IF;
    END LOOP;
    RETURN array_to_string(ARRAY(SELECT f FROM unnest(found) f ORDER BY f), ' ');
END $$;
SELECT scanned('SELECT * FROM par WHERE k = 5'), scanned('SELECT * FROM par WHERE k BETWEEN 15 AND 25'), scanned('SELECT * FROM par WHERE k = (SELECT 25)');
-- joins partition by partition, also with lookups by the other side
SET enable_partitionwise_join = on;
SELECT count(*), sum(length(v || w)) FROM par JOIN par_b USING (k);
SET enable_hashjoin = off; SET enable_mergejoin = off;
SELECT count(*), sum(length(v || w)) FROM par JOIN par_b USING (k);
SELECT p.k, b.w FROM par p LEFT JOIN LATERAL (SELECT * FROM par_b b WHERE b.k = p.k) b ON true WHERE p.k IN (3, 4, 13, 15, 24, 25) ORDER BY 1;
-- (a lookup in a cache by a column of another one)
SELECT count(*) FROM t x JOIN par p ON p.k = x.k JOIN par_b b ON b.k = p.k - 1;
RESET enable_hashjoin; RESET enable_mergejoin;
RESET enable_partitionwise_join;
-- rows move between caches and tables
UPDATE par SET k = k + 10 WHERE k = 13 RETURNING tableoid::regclass, *;
UPDATE par SET k = 4, v = v || ' moved' WHERE k = 14 RETURNING tableoid::regclass, *;
-- not out of a cache: PostgreSQL moves no rows out of foreign partitions
UPDATE par SET k = 13 WHERE k = 3;
UPDATE par SET k = 3 WHERE k = 23;
INSERT INTO par VALUES (99, 'nowhere');
UPDATE par SET k = 99 WHERE k = 5;
WITH d AS (DELETE FROM par WHERE k > 25 RETURNING tableoid::regclass, k) SELECT * FROM d ORDER BY k;
SELECT tableoid::regclass AS part, count(*), sum(k) FROM par GROUP BY 1 ORDER BY min(k);
-- attached and detached: contents stay, and bounds are enforced from then on
CREATE FOREIGN TABLE par4 (k int, v text) SERVER nr_cache;
INSERT INTO par4 VALUES (35, 'before');
ALTER TABLE par ATTACH PARTITION par4 FOR VALUES FROM (30) TO (40);
SELECT * FROM par WHERE k = 35;
INSERT INTO par4 VALUES (1, 'not here');
SELECT nr_put('par4', 1, 'not here'::text);
ALTER TABLE par DETACH PARTITION par4;
INSERT INTO par4 VALUES (1, 'here');
SELECT * FROM par4 ORDER BY k;
-- UPDATE of the parent with a join, in a plan with both kinds of partitions
WITH u AS (UPDATE par SET v = par.v || '+' FROM t WHERE par.k IN (t.k, t.k + 9, t.k + 20) RETURNING par.tableoid::regclass, par.*) SELECT * FROM u ORDER BY k;
-- a row trigger of the parent is a row trigger of the cache
CREATE TRIGGER p_row AFTER INSERT OR DELETE ON par FOR EACH ROW EXECUTE FUNCTION tell();
INSERT INTO par VALUES (2, 'two'), (12, 'twelve');
DELETE FROM par1 WHERE k = 2;

-- ---- inheritance ----

CREATE TABLE base (k int, v text CHECK (v <> 'bad'));
CREATE FOREIGN TABLE derived (extra int) INHERITS (base) SERVER nr_cache;
CREATE TABLE derived2 () INHERITS (base);
INSERT INTO base VALUES (1, 'base');
INSERT INTO derived VALUES (2, 'cache', 20);
INSERT INTO derived2 VALUES (3, 'table');
INSERT INTO derived VALUES (4, 'bad', 40);
SELECT nr_put('derived', ROW(4, 'bad', 40));
SELECT tableoid::regclass, * FROM base ORDER BY k;
SELECT * FROM ONLY base;
WITH u AS (UPDATE base SET v = v || '!' WHERE k IN (2, 3) RETURNING tableoid::regclass, *) SELECT * FROM u ORDER BY k;
UPDATE base SET k = k + 10;
SELECT * FROM derived;
WITH d AS (DELETE FROM base WHERE k > 11 RETURNING tableoid::regclass, k) SELECT * FROM d ORDER BY k;
SELECT count(*) FROM derived;
ALTER FOREIGN TABLE derived NO INHERIT base;
INSERT INTO derived VALUES (5, 'alone', 50);
SELECT count(*) FROM base;
ALTER FOREIGN TABLE derived INHERIT base;
SELECT count(*) FROM base;

-- ---- UPDATE of keys: swaps, collisions, through joins and subqueries ----

TRUNCATE c;
INSERT INTO c SELECT i, 'v' || i, i FROM generate_series(1, 5) i;
UPDATE c SET k = 6 - k;
SELECT * FROM c ORDER BY k;
UPDATE c SET k = 1 WHERE k IN (1, 2);
SELECT count(*), count(*) FILTER (WHERE k = 1) AS ones FROM c;
UPDATE c SET k = (SELECT max(k) + 1 FROM c x) WHERE k = 3 RETURNING k, v;
WITH u AS (UPDATE c SET k = s.to_k FROM (VALUES (4, 40), (5, 50)) s (from_k, to_k) WHERE c.k = s.from_k RETURNING c.k, c.v) SELECT * FROM u ORDER BY k;
SELECT k FROM c ORDER BY k;

SELECT nr_check('c'), nr_check('par1'), nr_check('par3'), nr_check('par4'), nr_check('derived'), nr_check('secret'), nr_check('trig');
SET client_min_messages = warning;
DROP SCHEMA t_manners CASCADE;
DROP ROLE regress_manners;
RESET client_min_messages;
RESET search_path;
