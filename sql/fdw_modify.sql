--
-- INSERT, UPDATE, DELETE, TRUNCATE of caches
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS nr_cache;
RESET client_min_messages;

CREATE FOREIGN TABLE fdw_m (k int, v text, n int DEFAULT 7) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT is_insertable_into FROM information_schema.tables WHERE table_name = 'fdw_m';
EXPLAIN (COSTS OFF) INSERT INTO fdw_m VALUES (1, 'a');
EXPLAIN (COSTS OFF) UPDATE fdw_m SET v = 'x' WHERE k = 1;
EXPLAIN (COSTS OFF) DELETE FROM fdw_m WHERE k = 1;
SELECT count(*) FROM fdw_m;

-- INSERT means put
INSERT INTO fdw_m VALUES (1, 'a', 1), (2, 'b', DEFAULT), (3, NULL, NULL);
INSERT INTO fdw_m (v, k) VALUES ('second', 2);
INSERT INTO fdw_m VALUES (4, 'first'), (4, 'last');
SELECT * FROM fdw_m ORDER BY k;
INSERT INTO fdw_m VALUES (5, 'five') RETURNING *, tableoid::regclass, fdw_m;
INSERT INTO fdw_m VALUES (5, 'x') ON CONFLICT DO NOTHING;
INSERT INTO fdw_m VALUES (5, 'x') ON CONFLICT (k) DO UPDATE SET v = 'y';
INSERT INTO fdw_m VALUES (NULL, 'x');
INSERT INTO fdw_m SELECT k + 100, v FROM fdw_m ORDER BY k;
WITH i AS (INSERT INTO fdw_m VALUES (200, 'cte') RETURNING k) SELECT * FROM i;
SELECT * FROM fdw_m ORDER BY k;

-- ROLLBACK does not undo it
BEGIN;
INSERT INTO fdw_m VALUES (300, 'stays');
ROLLBACK;
SELECT * FROM fdw_m WHERE k = 300;

-- UPDATE
UPDATE fdw_m SET v = 'updated' WHERE k = 1;
WITH u AS (UPDATE fdw_m SET v = v || '!', n = n + 1 WHERE k IN (2, 4) RETURNING *) SELECT * FROM u ORDER BY k;
UPDATE fdw_m SET v = 'nothing' WHERE k = 999;
UPDATE fdw_m SET n = -1 WHERE k > 100;
UPDATE fdw_m SET (v, n) = (SELECT 'sub', 5) WHERE k = 3;
SELECT * FROM fdw_m ORDER BY k;

-- UPDATE of the key: all of the statement at once
TRUNCATE fdw_m;
INSERT INTO fdw_m SELECT i, 'v' || i, i FROM generate_series(1, 5) i;
UPDATE fdw_m SET k = k + 1;
SELECT * FROM fdw_m ORDER BY k;
WITH u AS (UPDATE fdw_m SET k = 7 - k WHERE k IN (3, 4) RETURNING *) SELECT * FROM u ORDER BY k;
SELECT * FROM fdw_m ORDER BY k;
UPDATE fdw_m SET k = 10, v = 'moved' WHERE k = 2;
UPDATE fdw_m SET k = 6 WHERE k = 10;
UPDATE fdw_m SET k = NULL WHERE k = 6;
SELECT * FROM fdw_m ORDER BY k;
BEGIN;
UPDATE fdw_m SET k = k * 10 WHERE k = 3;
SELECT k FROM fdw_m WHERE k = 30;
COMMIT;
WITH u AS (UPDATE fdw_m SET k = 31 WHERE k = 30 RETURNING k, v) SELECT * FROM u;
SELECT * FROM fdw_m ORDER BY k;

-- UPDATE and DELETE with joins
CREATE TABLE fdw_src (k int, v text);
INSERT INTO fdw_src VALUES (4, 'from4'), (5, 'from5'), (99, 'from99');
UPDATE fdw_m m SET v = s.v FROM fdw_src s WHERE m.k = s.k;
SELECT * FROM fdw_m ORDER BY k;
UPDATE fdw_m m SET k = m.k + d FROM generate_series(100, 102) d WHERE m.k = 4;
SELECT count(*) FROM fdw_m WHERE k >= 100;
DELETE FROM fdw_m WHERE k >= 100;
DELETE FROM fdw_m m USING fdw_src s WHERE m.k = s.k RETURNING m.k, m.v, s.v;
DELETE FROM fdw_m m USING generate_series(1, 3) g WHERE m.k = 6;
SELECT * FROM fdw_m ORDER BY k;
INSERT INTO fdw_m SELECT k, v FROM fdw_src;
UPDATE fdw_src s SET v = m.v || '+' FROM fdw_m m WHERE m.k = s.k AND s.k < 10;
DELETE FROM fdw_src s USING fdw_m m WHERE m.k = s.k AND s.k = 99;
SELECT * FROM fdw_src ORDER BY k;

-- DELETE
DELETE FROM fdw_m WHERE k = 31 RETURNING v, fdw_m;
DELETE FROM fdw_m WHERE k = 31;
DELETE FROM fdw_m WHERE v LIKE 'from%';
DELETE FROM fdw_m;
SELECT count(*) FROM fdw_m;

-- what PostgreSQL does not offer for foreign tables
MERGE INTO fdw_m USING fdw_src s ON fdw_m.k = s.k WHEN MATCHED THEN DELETE;
BEGIN;
INSERT INTO fdw_m VALUES (1, 'c');
DECLARE fdw_cur CURSOR FOR SELECT * FROM fdw_m WHERE k = 1 FOR UPDATE;
FETCH fdw_cur;
DELETE FROM fdw_m WHERE CURRENT OF fdw_cur;
ROLLBACK;
DELETE FROM fdw_m;

-- writes from functions, and what a function reads while rows are inserted
CREATE FUNCTION fdw_put(i int) RETURNS void LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO fdw_m VALUES (i, 'put ' || i); PERFORM 1 / (i - 3); EXCEPTION WHEN division_by_zero THEN UPDATE fdw_m SET v = 'caught' WHERE k = i; END $$;
SELECT count(fdw_put(i)) FROM generate_series(1, 4) i;
CREATE FUNCTION fdw_sql(i int) RETURNS text LANGUAGE sql AS
$$ INSERT INTO fdw_m VALUES (i, 'sql ' || i) RETURNING v $$;
SELECT fdw_sql(i) FROM generate_series(5, 6) i;
DO $$ DECLARE r record; BEGIN
    FOR r IN UPDATE fdw_m SET k = k + 10 WHERE k < 3 RETURNING k, v LOOP
        RAISE NOTICE 'moved: %', (SELECT count(*) FROM fdw_m WHERE k > 10);
    END LOOP;
END $$;
INSERT INTO fdw_m SELECT k + 100, fdw_sql(k + 20) FROM fdw_m;
SELECT k, v FROM fdw_m ORDER BY k;
DELETE FROM fdw_m;

-- TRUNCATE
INSERT INTO fdw_m SELECT i FROM generate_series(1, 1000) i;
SELECT count(*) FROM fdw_m;
TRUNCATE fdw_m;
SELECT count(*) FROM fdw_m;
INSERT INTO fdw_m VALUES (1);
TRUNCATE fdw_m, fdw_src RESTART IDENTITY CASCADE;
SELECT count(*) FROM fdw_m;

-- constraints are enforced, and before anything is changed
CREATE DOMAIN fdw_positive AS int CHECK (VALUE > 0);
CREATE FOREIGN TABLE fdw_con (k text NOT NULL, v int NOT NULL, d fdw_positive, CONSTRAINT small CHECK (v < 100))
    SERVER nr_cache OPTIONS (visibility 'immediate');
INSERT INTO fdw_con VALUES ('a', 1, 1);
INSERT INTO fdw_con VALUES ('b', NULL);
INSERT INTO fdw_con VALUES ('b', 100);
INSERT INTO fdw_con VALUES ('b', 1, 0);
INSERT INTO fdw_con VALUES (NULL, 1);
UPDATE fdw_con SET v = 100;
UPDATE fdw_con SET v = NULL;
UPDATE fdw_con SET k = NULL;
INSERT INTO fdw_con VALUES (repeat('k', 3000), 1);
SELECT * FROM fdw_con;

-- views with a check option
CREATE VIEW fdw_even AS SELECT * FROM fdw_m WHERE k % 2 = 0 WITH CHECK OPTION;
INSERT INTO fdw_even VALUES (2, 'even');
INSERT INTO fdw_even VALUES (3, 'odd');
UPDATE fdw_even SET k = 5;
UPDATE fdw_even SET v = 'still even';
SELECT * FROM fdw_m ORDER BY k;

-- triggers
CREATE FUNCTION fdw_trig() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE '% % % old % new % entries %', TG_WHEN, TG_LEVEL, TG_OP,
        CASE WHEN TG_LEVEL = 'ROW' AND TG_OP <> 'INSERT' THEN OLD END,
        CASE WHEN TG_LEVEL = 'ROW' AND TG_OP <> 'DELETE' THEN NEW END, (SELECT count(*) FROM fdw_t);
    IF TG_WHEN = 'BEFORE' AND TG_LEVEL = 'ROW' AND TG_OP = 'INSERT' THEN NEW.v = NEW.v || ' seen'; END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE FOREIGN TABLE fdw_t (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE TRIGGER after_stmt AFTER INSERT OR UPDATE OR DELETE ON fdw_t FOR EACH STATEMENT EXECUTE FUNCTION fdw_trig();
INSERT INTO fdw_t VALUES (1, 'a'), (2, 'b');
CREATE TRIGGER before_row BEFORE INSERT OR UPDATE OR DELETE ON fdw_t FOR EACH ROW EXECUTE FUNCTION fdw_trig();
CREATE TRIGGER after_row AFTER INSERT OR UPDATE OR DELETE ON fdw_t FOR EACH ROW EXECUTE FUNCTION fdw_trig();
INSERT INTO fdw_t VALUES (3, 'c'), (4, 'd');
UPDATE fdw_t SET v = 'u' WHERE k = 3;
UPDATE fdw_t SET k = 5 WHERE k = 4;
DELETE FROM fdw_t WHERE k = 1;
SELECT * FROM fdw_t ORDER BY k;

-- partitions and inheritance
CREATE TABLE fdw_p (k int, v text) PARTITION BY RANGE (k);
CREATE TABLE fdw_p1 PARTITION OF fdw_p FOR VALUES FROM (0) TO (10);
CREATE FOREIGN TABLE fdw_p2 PARTITION OF fdw_p FOR VALUES FROM (10) TO (20) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE fdw_p3 (v text, k int OPTIONS (key 'true')) SERVER nr_cache OPTIONS (visibility 'immediate');
ALTER TABLE fdw_p ATTACH PARTITION fdw_p3 FOR VALUES FROM (20) TO (30);
INSERT INTO fdw_p SELECT i, 'r' || i FROM generate_series(5, 25, 5) i;
INSERT INTO fdw_p VALUES (11, 'x'), (21, 'y') RETURNING tableoid::regclass, *;
INSERT INTO fdw_p VALUES (12, 'x') ON CONFLICT DO NOTHING;
INSERT INTO fdw_p2 VALUES (25, 'elsewhere');
UPDATE fdw_p2 SET k = 25 WHERE k = 10;
SELECT nr_put('fdw_p2', 25, 'elsewhere');
SELECT nr_put('fdw_p3', ROW('elsewhere', 10));
SELECT nr_put('fdw_p2', 10, 'r10');
EXPLAIN (COSTS OFF) SELECT * FROM fdw_p WHERE k = 10;
EXPLAIN (COSTS OFF) UPDATE fdw_p SET v = 'u' WHERE k IN (5, 10, 25);
UPDATE fdw_p SET v = 'u' WHERE k IN (5, 10, 25);
SELECT tableoid::regclass, * FROM fdw_p ORDER BY k;
UPDATE fdw_p SET k = 12 WHERE k = 5;
UPDATE fdw_p SET k = 7 WHERE k = 10;
INSERT INTO fdw_p VALUES (6, 'row');
UPDATE fdw_p SET k = k + 10 WHERE k < 20;
UPDATE fdw_p SET k = k + 10 WHERE k = 6;
WITH d AS (DELETE FROM fdw_p WHERE v = 'u' RETURNING tableoid::regclass, *) SELECT * FROM d ORDER BY k;
SELECT tableoid::regclass, * FROM fdw_p ORDER BY k;
SET enable_partitionwise_join = on;
SELECT a.k, b.v FROM fdw_p a JOIN fdw_p b USING (k) ORDER BY 1;
RESET enable_partitionwise_join;
TRUNCATE fdw_p;
SELECT count(*) FROM fdw_p;
CREATE TABLE fdw_parent (k int, v text);
CREATE FOREIGN TABLE fdw_child () INHERITS (fdw_parent) SERVER nr_cache OPTIONS (visibility 'immediate');
INSERT INTO fdw_parent VALUES (1, 'p');
INSERT INTO fdw_child VALUES (2, 'c');
UPDATE fdw_parent SET v = v || 'u' RETURNING tableoid::regclass, *;
DELETE FROM fdw_parent WHERE k = 2;
SELECT * FROM fdw_parent ORDER BY k;

-- privileges and read only transactions
CREATE ROLE regress_fdw_reader;
GRANT SELECT ON fdw_con TO regress_fdw_reader;
SET ROLE regress_fdw_reader;
SELECT k FROM fdw_con WHERE k = 'a';
INSERT INTO fdw_con VALUES ('c', 1);
UPDATE fdw_con SET v = 2;
DELETE FROM fdw_con;
TRUNCATE fdw_con;
SELECT count(*) FROM fdw_m;
RESET ROLE;
BEGIN READ ONLY;
SELECT count(*) FROM fdw_con;
INSERT INTO fdw_con VALUES ('c', 1);
ROLLBACK;
BEGIN READ ONLY;
TRUNCATE fdw_con;
ROLLBACK;
SELECT k, v FROM fdw_con;
DROP OWNED BY regress_fdw_reader;
DROP ROLE regress_fdw_reader;
SELECT nr_check('fdw_m'), nr_check('fdw_con'), nr_check('fdw_t'), nr_check('fdw_p2');
