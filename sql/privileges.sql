-- privileges: the foreign table's, for functions as for statements
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS nr_cache;
CREATE SCHEMA priv;
SET search_path = priv, public;
RESET client_min_messages;
CREATE ROLE nr_regress_reader;
CREATE ROLE nr_regress_writer;
CREATE ROLE nr_regress_group;
GRANT USAGE ON SCHEMA priv TO PUBLIC;

CREATE FOREIGN TABLE c (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_put('c', 1, 'one');

-- nothing is granted
SET ROLE nr_regress_reader;
SELECT nr_get('c', 1);
SELECT nr_get_many('c', ARRAY[1], NULL::text);
SELECT nr_put('c', 1, 'x');
SELECT nr_delete('c', 1);
SELECT nr_truncate('c');
SELECT nr_check('c');
SELECT * FROM c;
-- and no lock was taken by asking
BEGIN;
DO $$ BEGIN PERFORM nr_put('c', 1, 'x'); EXCEPTION WHEN insufficient_privilege THEN RAISE NOTICE 'refused'; END $$;
SELECT count(*) FROM pg_locks WHERE relation = 'priv.c'::regclass;
COMMIT;
RESET ROLE;

-- each function by its own privilege
GRANT SELECT ON c TO nr_regress_reader;
GRANT INSERT, UPDATE ON c TO nr_regress_writer;
SET ROLE nr_regress_reader;
SELECT nr_get('c', 1), nr_get_many('c', ARRAY[1, 2], NULL::text);
SELECT nr_put('c', 1, 'x');
SET ROLE nr_regress_writer;
SELECT nr_get('c', 1);
SELECT nr_put('c', 2, 'two');
SELECT nr_delete('c', 2);
RESET ROLE;
REVOKE UPDATE ON c FROM nr_regress_writer;
SET ROLE nr_regress_writer;
SELECT nr_put('c', 2, 'zwei');
RESET ROLE;
GRANT DELETE ON c TO nr_regress_writer;
SET ROLE nr_regress_writer;
SELECT nr_delete('c', 2);
SELECT nr_truncate('c');
RESET ROLE;

-- a call site that was allowed is asked again when roles or privileges change
CREATE FUNCTION look() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN nr_get('priv.c', 1); END $$;
SELECT look();
SET ROLE nr_regress_writer;
SELECT look();
SET ROLE nr_regress_reader;
SELECT look();
RESET ROLE;
DO $$
BEGIN
	SET LOCAL ROLE nr_regress_reader;
	RAISE NOTICE '%', look();
	RESET ROLE;
	REVOKE SELECT ON priv.c FROM nr_regress_reader;
	SET LOCAL ROLE nr_regress_reader;
	RAISE NOTICE '%', look();
END $$;
RESET ROLE;
-- through membership
GRANT SELECT ON c TO nr_regress_group;
GRANT nr_regress_group TO nr_regress_writer;
SET ROLE nr_regress_writer;
SELECT look();
RESET ROLE;
REVOKE nr_regress_group FROM nr_regress_writer;
SET ROLE nr_regress_writer;
SELECT look();
RESET ROLE;
-- granted, used and rolled back
BEGIN;
GRANT SELECT ON c TO nr_regress_writer;
SET LOCAL ROLE nr_regress_writer;
SELECT look();
RESET ROLE;
ROLLBACK;
SET ROLE nr_regress_writer;
SELECT look();
RESET ROLE;

-- look-ups of single keys only: a function that runs as its owner
CREATE FUNCTION one_key(k int) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = priv, public AS $$ SELECT nr_get('priv.c', k) $$;
SET ROLE nr_regress_writer;
SELECT one_key(1);
SELECT count(*) FROM c;
RESET ROLE;

-- ---- columns ----------------------------------------------------------------
-- in statements as PostgreSQL has it; the functions read and write all columns, so they
-- need the table's privilege or that of every column
CREATE ROLE nr_regress_columns;
CREATE FOREIGN TABLE cols (k int, v text, w int) SERVER nr_cache OPTIONS (visibility 'immediate');
INSERT INTO cols VALUES (1, 'one', 10);
CREATE FUNCTION look_cols() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN nr_get('priv.cols', 1); END $$;
GRANT SELECT (k, v) ON cols TO nr_regress_columns;
SET ROLE nr_regress_columns;
SELECT k, v FROM cols WHERE k = 1;
SELECT count(*) FROM cols;
SELECT w FROM cols;
SELECT * FROM cols;
SELECT k FROM cols WHERE w = 10;
SELECT look_cols();
SELECT nr_get('cols', 1, NULL::cols);
SELECT nr_get_many('cols', ARRAY[1], NULL::cols);
-- any column will do where no column is read
SELECT nr_check('cols');
RESET ROLE;
GRANT SELECT (w) ON cols TO nr_regress_columns;
SET ROLE nr_regress_columns;
SELECT look_cols();
SELECT nr_get('cols', 1, NULL::cols), nr_get_many('cols', ARRAY[1, 2], NULL::cols);
PREPARE look_cols AS SELECT nr_get('cols', 1, NULL::cols);
EXECUTE look_cols;
RESET ROLE;
-- taken away, in the middle of a session: from the next call on
REVOKE SELECT (k) ON cols FROM nr_regress_columns;
SET ROLE nr_regress_columns;
SELECT look_cols();
EXECUTE look_cols;
RESET ROLE;
-- some from one role and some from another, or from everybody
GRANT SELECT (k) ON cols TO nr_regress_group;
GRANT nr_regress_group TO nr_regress_columns;
SET ROLE nr_regress_columns;
EXECUTE look_cols;
RESET ROLE;
REVOKE SELECT (k) ON cols FROM nr_regress_group;
SET ROLE nr_regress_columns;
EXECUTE look_cols;
RESET ROLE;
GRANT SELECT (k) ON cols TO PUBLIC;
SET ROLE nr_regress_columns;
EXECUTE look_cols;
RESET ROLE;
-- a new column is nobody's; one that is dropped does not count
SET client_min_messages = warning;
ALTER FOREIGN TABLE cols ADD COLUMN x int;
INSERT INTO cols VALUES (1, 'one', 10, 100);
SET ROLE nr_regress_columns;
SELECT look_cols();
SELECT k, v, w FROM cols;
RESET ROLE;
ALTER FOREIGN TABLE cols DROP COLUMN x;
RESET client_min_messages;
INSERT INTO cols VALUES (1, 'one', 10);
SET ROLE nr_regress_columns;
SELECT look_cols();
-- writes
SELECT nr_put('cols', ROW(2, 'two', 20)::cols);
RESET ROLE;
GRANT INSERT (k, v, w), UPDATE (k, v) ON cols TO nr_regress_columns;
SET ROLE nr_regress_columns;
INSERT INTO cols VALUES (2, 'two', 20);
UPDATE cols SET v = 'zwei' WHERE k = 2;
UPDATE cols SET w = 21 WHERE k = 2;
SELECT nr_put('cols', ROW(2, 'due', 20)::cols);
SELECT nr_put('cols', 2, ROW(2, 'due', 20)::cols);
RESET ROLE;
GRANT UPDATE (w) ON cols TO nr_regress_columns;
SET ROLE nr_regress_columns;
SELECT nr_put('cols', ROW(2, 'due', 20)::cols);
SELECT nr_put('cols', 2, ROW(2, 'deux', 20)::cols);
RESET ROLE;
REVOKE INSERT (v) ON cols FROM nr_regress_columns;
SET ROLE nr_regress_columns;
SELECT nr_put('cols', ROW(2, 'never', 20)::cols);
INSERT INTO cols VALUES (2, 'never', 20);
RESET ROLE;
GRANT INSERT ON cols TO nr_regress_columns;
SET ROLE nr_regress_columns;
SELECT nr_put('cols', ROW(3, 'three', 30)::cols);
-- there is no DELETE or TRUNCATE of columns
SELECT nr_delete('cols', 3);
SELECT nr_truncate('cols');
SELECT * FROM cols ORDER BY k;
RESET ROLE;
DEALLOCATE look_cols;

-- what answers with the old value reads it, too
CREATE FOREIGN TABLE counts (k int, n int) SERVER nr_cache OPTIONS (visibility 'immediate');
INSERT INTO counts VALUES (1, 10);
GRANT INSERT (k, n), UPDATE (k, n), SELECT (k) ON counts TO nr_regress_columns;
SET ROLE nr_regress_columns;
SELECT nr_put('counts', 2, 20);
SELECT nr_incr('counts', 1, 1);
SELECT nr_swap('counts', 1, 1);
SELECT nr_cas('counts', 1, 10, 1);
RESET ROLE;
GRANT SELECT (n) ON counts TO nr_regress_columns;
SET ROLE nr_regress_columns;
SELECT nr_incr('counts', 1, 1), nr_swap('counts', 2, 21), nr_cas('counts', 3, 30, 31);
RESET ROLE;
REVOKE UPDATE ON counts FROM nr_regress_columns;
SET ROLE nr_regress_columns;
SELECT nr_incr('counts', 1, 1);
RESET ROLE;

-- what is pending: any privilege to write publishes it, any to read counts it
CREATE FOREIGN TABLE man (k int, v text) SERVER nr_cache OPTIONS (visibility 'manual');
INSERT INTO man VALUES (1, 'one');
SET ROLE nr_regress_columns;
SELECT nr_pending('man');
SELECT nr_publish('man');
SELECT nr_try_publish('man');
RESET ROLE;
GRANT SELECT (k) ON man TO nr_regress_columns;
SET ROLE nr_regress_columns;
SELECT nr_pending('man');
SELECT nr_publish('man');
RESET ROLE;
REVOKE SELECT (k) ON man FROM nr_regress_columns;
GRANT UPDATE (v) ON man TO nr_regress_columns;
SET ROLE nr_regress_columns;
SELECT nr_pending('man');
SELECT nr_publish('man');
SELECT nr_try_publish('man');
RESET ROLE;

-- ---- other ways to a privilege, and out of it ---------------------------------------
CREATE ROLE nr_regress_other;
PREPARE one AS SELECT nr_get('c', 1);
SET ROLE nr_regress_other;
EXECUTE one;
RESET ROLE;
GRANT pg_read_all_data TO nr_regress_other;
SET ROLE nr_regress_other;
EXECUTE one;
SELECT look_cols() IS NOT NULL AS also, nr_get('a') IS NULL AS nr_default;
SELECT nr_put('c', 1, 'x');
RESET ROLE;
REVOKE pg_read_all_data FROM nr_regress_other;
GRANT pg_write_all_data TO nr_regress_other;
SET ROLE nr_regress_other;
EXECUTE one;
SELECT nr_put('c', 2, 'two'), nr_delete('c', 2);
SELECT nr_truncate('c');
RESET ROLE;
REVOKE pg_write_all_data FROM nr_regress_other;
SET ROLE nr_regress_other;
SELECT nr_put('c', 2, 'two');
RESET ROLE;
-- a superuser, while it lasts
ALTER ROLE nr_regress_other SUPERUSER;
SET ROLE nr_regress_other;
EXECUTE one;
SELECT nr_get('a') IS NULL AS nr_default;
RESET ROLE;
ALTER ROLE nr_regress_other NOSUPERUSER;
SET ROLE nr_regress_other;
EXECUTE one;
RESET ROLE;
-- the owner, while it lasts; what an owner has revoked from itself it does not have
CREATE FOREIGN TABLE own (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
ALTER FOREIGN TABLE own OWNER TO nr_regress_other;
SELECT nr_put('own', 1, 'mine');
SET ROLE nr_regress_other;
SELECT nr_get('own', 1);
REVOKE SELECT ON own FROM nr_regress_other;
SELECT nr_get('own', 1);
GRANT SELECT ON own TO nr_regress_other;
SELECT nr_get('own', 1);
RESET ROLE;
ALTER FOREIGN TABLE own OWNER TO nr_regress_group;
SET ROLE nr_regress_other;
SELECT nr_get('own', 1);
SET ROLE nr_regress_group;
SELECT nr_get('own', 1);
RESET ROLE;
-- SET SESSION AUTHORIZATION and SECURITY DEFINER, at one call site
CREATE FUNCTION look_as_owner() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN RETURN look(); END $$;
SET SESSION AUTHORIZATION nr_regress_other;
SELECT look();
SELECT look_as_owner();
SELECT look();
RESET SESSION AUTHORIZATION;
SELECT look();

-- ---- schemas, views -----------------------------------------------------------------
-- a name in a literal is looked up, for which its schema must be open to the user; an OID is not, as with nextval()
CREATE SCHEMA priv_closed;
CREATE FOREIGN TABLE priv_closed.c (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_put('priv_closed.c', 1, 'closed');
GRANT SELECT ON priv_closed.c TO nr_regress_other;
SELECT 'priv_closed.c'::regclass::oid AS closed \gset
SET ROLE nr_regress_other;
SELECT nr_get('priv_closed.c', 1);
SELECT nr_get(:closed, 1);
SELECT * FROM priv_closed.c;
RESET ROLE;
REVOKE SELECT ON priv_closed.c FROM nr_regress_other;
SET ROLE nr_regress_other;
SELECT nr_get(:closed, 1);
RESET ROLE;

-- a view over a cache reads it with the view owner's privileges; a function in a view is the caller's
CREATE TABLE keys AS SELECT 1 AS k;
CREATE VIEW over_cache AS SELECT * FROM c;
CREATE VIEW over_function AS SELECT k, nr_get('c', k) AS v FROM keys;
CREATE VIEW over_cache_invoker WITH (security_invoker = true) AS SELECT * FROM c;
GRANT SELECT ON over_cache, over_function, over_cache_invoker TO nr_regress_other;
SET ROLE nr_regress_other;
SELECT * FROM over_cache;
SELECT * FROM over_cache WHERE k = 1;
SELECT * FROM over_function;
SELECT * FROM over_cache_invoker;
RESET ROLE;
GRANT SELECT ON c TO nr_regress_other;
SET ROLE nr_regress_other;
SELECT * FROM over_function;
SELECT * FROM over_cache_invoker;
RESET ROLE;
REVOKE SELECT ON c FROM nr_regress_other;
-- a trigger's function, too
CREATE TABLE orders (k int, v text);
CREATE FUNCTION fill_in() RETURNS trigger LANGUAGE plpgsql SET search_path = priv, public AS $$ BEGIN NEW.v := nr_get('c', NEW.k); RETURN NEW; END $$;
CREATE TRIGGER fill_in BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION fill_in();
GRANT INSERT, SELECT ON orders TO nr_regress_other;
SET ROLE nr_regress_other;
INSERT INTO orders VALUES (1);
RESET ROLE;
ALTER FUNCTION fill_in() SECURITY DEFINER;
SET ROLE nr_regress_other;
INSERT INTO orders VALUES (1) RETURNING v;
RESET ROLE;
DEALLOCATE one;

-- nr_default is granted to nobody
SET ROLE nr_regress_reader;
SELECT nr_get('a');
SELECT nr_put('a', 'b');
SELECT nr_delete('a');
RESET ROLE;
GRANT SELECT (key, value) ON nr_default TO nr_regress_reader;
SET ROLE nr_regress_reader;
SELECT nr_get('no such key') IS NULL AS missing;
SELECT nr_put('a', 'b');
RESET ROLE;
REVOKE SELECT (value) ON nr_default FROM nr_regress_reader;
SET ROLE nr_regress_reader;
SELECT nr_get('no such key');
RESET ROLE;
REVOKE SELECT (key) ON nr_default FROM nr_regress_reader;
SET ROLE nr_regress_reader;
-- and the views to who may read all statistics
SELECT count(*) FROM nr_caches;
SELECT count(*) FROM nr_tokens();
RESET ROLE;
GRANT pg_read_all_stats TO nr_regress_reader;
SET ROLE nr_regress_reader;
SELECT count(*) > 0 FROM nr_caches;
SELECT count(*) > 0 FROM nr_tokens();
RESET ROLE;

SET client_min_messages = warning;
DROP SCHEMA priv, priv_closed CASCADE;
DROP ROLE nr_regress_reader, nr_regress_writer, nr_regress_group, nr_regress_columns, nr_regress_other;
