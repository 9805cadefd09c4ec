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

-- nr_default is granted to nobody
SET ROLE nr_regress_reader;
SELECT nr_get('a');
SELECT nr_put('a', 'b');
SELECT nr_delete('a');
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
DROP SCHEMA priv CASCADE;
DROP ROLE nr_regress_reader, nr_regress_writer, nr_regress_group;
