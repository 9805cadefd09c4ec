-- A role without any rights against everything that the extension has, taken from the catalogs so that
-- nothing can be forgotten: each function, view and column either refuses with 42501 or reveals nothing
-- of somebody else's cache.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS nr_cache;
CREATE SCHEMA hostile_roles;
SET search_path = hostile_roles, public;
CREATE ROLE nr_regress_nobody;
GRANT USAGE, CREATE ON SCHEMA hostile_roles TO nr_regress_nobody;
RESET client_min_messages;

-- secrets of all visibilities and schemes: the keys, the values and their number occur nowhere else
CREATE FOREIGN TABLE s_immediate (k text, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE s_commit (k text, v text) SERVER nr_cache;
CREATE FOREIGN TABLE s_two (k text, v text) SERVER nr_cache OPTIONS (copies '2', visibility 'immediate');
CREATE FOREIGN TABLE s_manual (k text, v text) SERVER nr_cache OPTIONS (visibility 'manual');
CREATE FOREIGN TABLE s_left_right (k text, v text) SERVER nr_cache OPTIONS (scheme 'left_right');
CREATE FOREIGN TABLE s_count (k text, v int) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE TABLE targets AS SELECT ftrelid AS relid, ftrelid::regclass::text AS name FROM pg_foreign_table
	WHERE ftrelid::regclass::text ~ '^s_' OR ftrelid = 'nr_default'::regclass;
DO $$
DECLARE
	c text;
BEGIN
	FOR c IN SELECT name FROM targets WHERE name <> 's_count' LOOP
		EXECUTE format('INSERT INTO %s SELECT ''sesame '' || i, ''swordfish '' || i FROM generate_series(1, 1009) i', c);
	END LOOP;
	INSERT INTO s_count SELECT 'sesame ' || i, 1009 FROM generate_series(1, 1009) i;
	PERFORM nr_publish('s_manual');
	INSERT INTO s_manual SELECT 'sesame ' || i, 'swordfish ' || i FROM generate_series(1, 1009) i;
END $$;

-- Run as nobody: what it answers, row by row as text, or its SQLSTATE and messages.
CREATE TABLE said (what text, state text, words text);
CREATE FUNCTION as_nobody(what text, command text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	answer text := '';
	state text := '00000';
	r record;
	d text;
	h text;
	m text;
BEGIN
	BEGIN
		SET LOCAL ROLE nr_regress_nobody;
		IF command ~ '^(SELECT|TABLE|EXPLAIN|WITH|VALUES)' THEN
			FOR r IN EXECUTE command LOOP
				answer := left(answer || r::text || E'\n', 100000);
			END LOOP;
		ELSE
			EXECUTE command;
		END IF;
		RAISE EXCEPTION USING ERRCODE = 'NR000', MESSAGE = answer;	-- whatever it did is undone
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT, state = RETURNED_SQLSTATE;
		answer := concat_ws(E'\n', m, d, h);
	END;
	INSERT INTO said VALUES (what, state, answer);
END $$;

-- ---- functions: each signature, with arguments that it takes, of each cache -----------------------
CREATE FUNCTION argument(type oid, at bigint, relid oid) RETURNS text LANGUAGE sql AS $$
	SELECT CASE
		WHEN format_type(type, NULL) = 'regclass' THEN relid || '::oid'
		WHEN format_type(type, NULL) = 'oid' THEN relid || '::oid'
		WHEN format_type(type, NULL) = 'name' THEN 'current_database()'
		WHEN format_type(type, NULL) = 'integer' THEN '0'
		WHEN format_type(type, NULL) = 'boolean' THEN 'true'
		WHEN format_type(type, NULL) = 'text[]' THEN '''{memory=1MB}'''
		WHEN format_type(type, NULL) = 'record' THEN 'ROW(''sesame 1'', ''x'')'
		WHEN format_type(type, NULL) = 'anyarray' THEN 'ARRAY[''sesame 1'', ''sesame 2'']'
		WHEN format_type(type, NULL) = 'anynonarray' THEN '''sesame 1''::varchar'
		WHEN format_type(type, NULL) = 'text' AND at = 4 THEN '''own'''
		WHEN format_type(type, NULL) = 'text' THEN '''sesame 1''::text'
		WHEN format_type(type, NULL) = 'anycompatible' THEN '''x''::text'
		END $$;
CREATE TABLE functions AS
	SELECT p.oid::regprocedure AS f, p.proname, p.proargtypes::oid[] AS types
	  FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	  JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'nr_cache';
SELECT f AS "no argument for" FROM functions, unnest(types) t WHERE argument(t, 1, 0) IS NULL;
DO $$
DECLARE
	fn record;
	c record;
BEGIN
	FOR c IN SELECT * FROM targets LOOP
		FOR fn IN SELECT f, proname, (SELECT string_agg(argument(t, n, c.relid), ', ' ORDER BY n) FROM unnest(types) WITH ORDINALITY a (t, n)) AS args FROM functions LOOP
			PERFORM as_nobody(fn.f::text, format('SELECT %s(%s)', fn.proname, fn.args));
			PERFORM as_nobody(fn.f::text, format('SELECT * FROM %s(%s) AS x', fn.proname, fn.args));
		END LOOP;
		-- with types that are right, and rows of the cache's own
		PERFORM as_nobody('nr_take', format('SELECT * FROM nr_take(%s::oid, NULL::%s)', c.relid, c.name));
		PERFORM as_nobody('nr_incr', format('SELECT nr_incr(%s::oid, ''sesame 1''::text, 1)', c.relid));
		PERFORM as_nobody('nr_put', format('SELECT nr_put(%s::oid, ''sesame 1''::text, 1)', c.relid));
	END LOOP;
END $$;

-- what takes a cache is refused, whatever else would be wrong about it; the others are few
SELECT f AS "answers, although it takes a cache" FROM functions f JOIN said ON said.what = f::text
 WHERE 'regclass'::regtype = ANY (types) AND state <> '42501' GROUP BY 1;
SELECT DISTINCT f::text COLLATE "C" AS "answers anybody" FROM functions f JOIN said ON said.what = f::text
 WHERE state = 'NR000' ORDER BY 1;
-- pseudo types and trigger-like functions aside, all that is no answer is "permission denied"
SELECT DISTINCT what COLLATE "C" AS what, state FROM said WHERE state NOT IN ('42501', 'NR000') ORDER BY 1, 2;

-- ---- views: whole, and column by column --------------------------------------------------------------
DO $$
DECLARE
	v record;
BEGIN
	FOR v IN SELECT c.oid::regclass AS rel, a.attname FROM pg_class c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
		JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'nr_cache' JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped LOOP
		PERFORM as_nobody('column of ' || v.rel, format('SELECT %I FROM %s', v.attname, v.rel));
		PERFORM as_nobody('column of ' || v.rel, format('SELECT count(*) FROM %s WHERE %I IS NOT NULL', v.rel, v.attname));
		PERFORM as_nobody('column of ' || v.rel, format('SELECT count(*) FROM %s', v.rel));
		PERFORM as_nobody('column of ' || v.rel, format('EXPLAIN ANALYZE SELECT %I FROM %s', v.attname, v.rel));
	END LOOP;
END $$;
SELECT what COLLATE "C" AS what, count(DISTINCT state) AS states, min(state) AS state FROM said WHERE what ~ '^column of' GROUP BY 1 ORDER BY 1;

-- ---- statements ----------------------------------------------------------------------------------------
DO $$
DECLARE
	c text;
	s text;
BEGIN
	FOR c IN SELECT name FROM targets WHERE name <> 'nr_default' LOOP
		FOREACH s IN ARRAY ARRAY['SELECT * FROM %s', 'SELECT count(*) FROM %s', 'SELECT 1 FROM %s', 'SELECT * FROM %s WHERE k = ''sesame 1''', 'SELECT ctid, tableoid FROM %s', 'TABLE %s',
			'EXPLAIN SELECT * FROM %s', 'EXPLAIN ANALYZE SELECT * FROM %s WHERE k = ''sesame 1''', 'INSERT INTO %s VALUES (''sesame 1'', ''1'')', 'UPDATE %s SET v = v', 'DELETE FROM %s',
			'DELETE FROM %s WHERE k = ''sesame 1'' RETURNING v', 'TRUNCATE %s', 'DROP FOREIGN TABLE %s', 'ALTER FOREIGN TABLE %s OPTIONS (ADD memory ''1MB'')',
			'ALTER FOREIGN TABLE %s ADD x int', 'ALTER FOREIGN TABLE %s RENAME TO mine', 'ALTER FOREIGN TABLE %s OWNER TO CURRENT_USER', 'COMMENT ON FOREIGN TABLE %s IS ''x''', 'CREATE TRIGGER t BEFORE INSERT ON %s EXECUTE FUNCTION suppress_redundant_updates_trigger()',
			'CREATE VIEW mine AS SELECT * FROM %1$s; SELECT * FROM mine', 'CREATE STATISTICS st ON k, v FROM %s', 'GRANT ALL ON %s TO PUBLIC', 'ALTER FOREIGN TABLE %s SET SCHEMA pg_temp', 'CREATE TABLE mine () INHERITS (%s)'] LOOP
			PERFORM as_nobody(s, format(s, c));
		END LOOP;
	END LOOP;
	FOREACH s IN ARRAY ARRAY['CREATE FOREIGN TABLE mine (k int, v int) SERVER nr_cache', 'ALTER SERVER nr_cache OPTIONS (ADD x ''1'')', 'DROP SERVER nr_cache CASCADE', 'DROP EXTENSION nr_cache CASCADE', 'ALTER EXTENSION nr_cache UPDATE',
		'ALTER FUNCTION nr_caches() SECURITY DEFINER', 'CREATE SERVER mine FOREIGN DATA WRAPPER nr_cache', 'CREATE EXTENSION nr_cache SCHEMA hostile_roles'] LOOP
		PERFORM as_nobody(s, s);
	END LOOP;
END $$;
SELECT DISTINCT what COLLATE "C" AS what, state FROM said WHERE state NOT IN ('42501', 'NR000') AND what ~ '%s|^[A-Z]' ORDER BY 1, 2;
SELECT DISTINCT what COLLATE "C" AS "was allowed" FROM said WHERE state = 'NR000' AND what ~ '%s|^[A-Z]' ORDER BY 1;

-- those that PL/pgSQL cannot run
SET ROLE nr_regress_nobody;
COPY (SELECT * FROM s_immediate) TO STDOUT;
ALTER SYSTEM SET nr_cache.scan_memory = '1GB';
RESET ROLE;

-- ---- what all of that gave away --------------------------------------------------------------------------
SELECT what, state, words FROM said WHERE words ~ 'sesame|swordfish|\m1009\M' ORDER BY 1, 2, 3;
SELECT count(*) > 1000 AS asked, count(*) FILTER (WHERE state = '42501') > 900 AS refused FROM said;
-- and what it changed
SELECT count(*), bool_and(v = 'swordfish ' || substr(k, 8))::text FROM (SELECT k, v::text FROM s_immediate UNION ALL SELECT k, v FROM s_commit UNION ALL SELECT k, v FROM s_two UNION ALL SELECT k, v FROM s_manual UNION ALL SELECT k, v FROM s_left_right) s;

-- members of pg_read_all_stats may
GRANT pg_read_all_stats TO nr_regress_nobody;
SET ROLE nr_regress_nobody;
SELECT sum(nr_replica_operations(current_database(), relid, 0, 'own') + nr_replica_operations(current_database(), relid, 0, 'worker')
		+ nr_replica_operations(current_database(), relid, 0, 'strangers')) = 1009 AS counted
  FROM nr_caches WHERE cache = 's_immediate'::regclass;
SELECT nr_get('s_immediate', 'sesame 1');
RESET ROLE;

SET client_min_messages = error;
DROP OWNED BY nr_regress_nobody;
DROP ROLE nr_regress_nobody;
DROP SCHEMA hostile_roles CASCADE;
