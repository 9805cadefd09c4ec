-- search_path: operators, functions, types and relations that shadow PostgreSQL's own must not be picked up by
-- the extension, and a SECURITY DEFINER function over nr_get as README.md shows it cannot be led astray.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS nr_cache;
CREATE SCHEMA hostile_path;
CREATE SCHEMA hostile_evil;
CREATE ROLE nr_regress_mallory;
GRANT USAGE ON SCHEMA hostile_path TO nr_regress_mallory;
GRANT ALL ON SCHEMA hostile_evil TO nr_regress_mallory;
RESET client_min_messages;
SELECT nspname AS ext FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'nr_cache' \gset

SET search_path = hostile_path, :ext;
CREATE FOREIGN TABLE p_int (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE p_text (k text, v numeric) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE p_row (k int, a text, b int, g int GENERATED ALWAYS AS (b + 1) STORED CHECK (b < 100)) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE p_commit (k name, v timestamptz) SERVER nr_cache;
CREATE FOREIGN TABLE p_manual (k bigint, v int[]) SERVER nr_cache OPTIONS (visibility 'manual', scheme 'left_right');
CREATE VIEW p_view AS SELECT k, v FROM p_int WHERE k = 1;

-- All that the functions do, in a function whose own names are resolved by the path that there is.
CREATE TABLE results (run text, n int, answer text);
CREATE FUNCTION work(run text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	calls text[] := ARRAY[
		$q$nr_put('hostile_path.p_int'::pg_catalog.regclass, 1, 'one'::pg_catalog.text)$q$,
		$q$nr_put('hostile_path.p_int'::pg_catalog.regclass, '2'::pg_catalog.text, 'two'::pg_catalog.text)$q$,
		$q$nr_get('hostile_path.p_int'::pg_catalog.regclass, 1)$q$,
		$q$nr_get('hostile_path.p_int'::pg_catalog.regclass, '1'::pg_catalog.text, 'x'::pg_catalog.text)$q$,
		$q$nr_get_many('hostile_path.p_int'::pg_catalog.regclass, ARRAY[1, 2, 3], 'x'::pg_catalog.text)$q$,
		$q$nr_get_many('hostile_path.p_int'::pg_catalog.regclass, ARRAY['1', '2']::pg_catalog.text[], 'x'::pg_catalog.text)$q$,
		$q$nr_cas('hostile_path.p_int'::pg_catalog.regclass, 1, 'one'::pg_catalog.text, 'uno'::pg_catalog.text)$q$,
		$q$nr_swap('hostile_path.p_int'::pg_catalog.regclass, 1, 'eins'::pg_catalog.text)$q$,
		$q$nr_put('hostile_path.p_text'::pg_catalog.regclass, 'a'::pg_catalog.text, 1.50)$q$,
		$q$nr_cas('hostile_path.p_text'::pg_catalog.regclass, 'a'::pg_catalog.text, 1.5, 2.0)$q$,
		$q$nr_incr('hostile_path.p_text'::pg_catalog.regclass, 'a'::pg_catalog.text, 0.25)$q$,
		$q$nr_put('hostile_path.p_row'::pg_catalog.regclass, ROW(1, 'x', 41, 0))$q$,
		$q$nr_get('hostile_path.p_row'::pg_catalog.regclass, 1)$q$,
		$q$nr_cas('hostile_path.p_row'::pg_catalog.regclass, 1, ROW(1, 'x', 41, 42)::hostile_path.p_row, ROW(1, 'y', 5, 0)::hostile_path.p_row)$q$,
		$q$nr_put('hostile_path.p_commit'::pg_catalog.regclass, 'n'::pg_catalog.name, '2026-01-01 00:00:00+00'::pg_catalog.timestamptz)$q$,
		$q$nr_get('hostile_path.p_commit'::pg_catalog.regclass, 'n'::pg_catalog.text) IS NOT NULL$q$,
		$q$nr_put('hostile_path.p_manual'::pg_catalog.regclass, 7, '{1,2}'::pg_catalog.text)$q$,
		$q$nr_publish('hostile_path.p_manual'::pg_catalog.regclass)$q$,
		$q$nr_get('hostile_path.p_manual'::pg_catalog.regclass, 7)$q$,
		$q$nr_check('hostile_path.p_row'::pg_catalog.regclass)$q$,
		$q$(SELECT v FROM hostile_path.p_view)$q$,
		$q$(SELECT pg_catalog.count(stats_reset) OPERATOR(pg_catalog.+) pg_catalog.count(operations_by_own) FROM nr_caches, nr_replicas WHERE nr_caches.relid OPERATOR(pg_catalog.=) nr_replicas.relid AND nr_caches.cache OPERATOR(pg_catalog.=) 'hostile_path.p_int'::pg_catalog.regclass) OPERATOR(pg_catalog.>) 0$q$,
		$q$nr_delete('hostile_path.p_int'::pg_catalog.regclass, 2)$q$,
		$q$nr_put('key', 'value')$q$,
		$q$nr_get('key')$q$];
	i int;
	answer text;
BEGIN
	FOR i IN array_lower(calls, 1) .. array_upper(calls, 1) LOOP
		EXECUTE 'SELECT (' OPERATOR(pg_catalog.||) calls[i] OPERATOR(pg_catalog.||) ')::pg_catalog.text' INTO answer;
		INSERT INTO hostile_path.results VALUES (run, i, answer);
	END LOOP;
	UPDATE hostile_path.p_int SET v = v WHERE k OPERATOR(pg_catalog.=) 1;
	DELETE FROM hostile_path.p_commit;
END $$;
SELECT work('plain');
SELECT n, answer FROM results WHERE n <> 22 ORDER BY n;

-- ---- the shadows: all leave a trace and answer something else --------------------------------
CREATE TABLE hostile_evil.trap (who name, what text);
GRANT ALL ON hostile_evil.trap TO PUBLIC;
CREATE FUNCTION hostile_evil.trapped(what text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO hostile_evil.trap VALUES (current_user, what); RETURN false; END $$;
DO $$
DECLARE
	t text;
	u text;
	o text;
BEGIN
	FOREACH t IN ARRAY ARRAY['int4', 'int8', 'text', 'name', 'numeric', 'timestamptz', 'oid', 'regclass', 'bool', 'anyarray', 'record'] LOOP
		FOREACH u IN ARRAY ARRAY['int4', 'int8', 'text', 'name', 'numeric', 'timestamptz', 'oid', 'regclass', 'bool', 'anyarray', 'record'] LOOP
			CONTINUE WHEN (t = 'anyarray') <> (u = 'anyarray');
			EXECUTE format('CREATE FUNCTION hostile_evil.op(%1$s, %2$s) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN RETURN hostile_evil.trapped(''operator %1$s %2$s''); END $f$', t, u);
			FOREACH o IN ARRAY ARRAY['=', '<>', '<', '>', '+', '||'] LOOP
				EXECUTE format('CREATE OPERATOR hostile_evil.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = hostile_evil.op)', o, t, u);
			END LOOP;
		END LOOP;
		CONTINUE WHEN t IN ('anyarray', 'record');
		EXECUTE format('CREATE FUNCTION hostile_evil.text(%1$s) RETURNS text LANGUAGE sql AS $f$ SELECT hostile_evil.trapped(''text(%1$s)'')::text $f$', t);
	END LOOP;
	-- functions of the same name and arguments as PostgreSQL's that are behind the types used
	FOR t IN SELECT p.oid::regprocedure FROM pg_proc p WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f'
		AND proname IN ('int4eq', 'texteq', 'hashtext', 'hashint4', 'numeric_add', 'numeric_eq', 'nameeq', 'int4pl', 'has_table_privilege', 'lower', 'count', 'replace', 'nextval', 'pg_extension_config_dump')
		AND NOT proargtypes::oid[] && ARRAY['internal'::regtype::oid, 'cstring'::regtype::oid] LOOP
		EXECUTE format('CREATE FUNCTION hostile_evil.%s RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN RETURN hostile_evil.trapped(%L); END $f$', t, t);
	END LOOP;
END $$;
CREATE DOMAIN hostile_evil.numeric AS pg_catalog.text CHECK (hostile_evil.trapped('domain numeric') IS NOT NULL);
CREATE DOMAIN hostile_evil.int4 AS pg_catalog.text CHECK (hostile_evil.trapped('domain int4') IS NOT NULL);
CREATE DOMAIN hostile_evil.regclass AS pg_catalog.text CHECK (hostile_evil.trapped('domain regclass') IS NOT NULL);
CREATE TABLE hostile_evil.nr_default (key pg_catalog.text, value pg_catalog.text);
CREATE TABLE hostile_evil.p_int (k pg_catalog.int4, v pg_catalog.text);
CREATE TABLE hostile_evil.pg_class (relname pg_catalog.name);
CREATE TABLE hostile_evil.pg_extension (extname pg_catalog.name);

SET search_path = hostile_evil, pg_catalog, :ext, hostile_path;
SELECT 1 = 1 AS trapped;
SELECT pg_catalog.count(*) FROM hostile_evil.trap;
TRUNCATE hostile_evil.trap;
SELECT hostile_path.work('evil');
SELECT * FROM hostile_evil.trap;
SET search_path = hostile_path, :ext;
SELECT n, a.answer, b.answer AS evil FROM results a FULL JOIN results b USING (n) WHERE a.run = 'plain' AND b.run = 'evil' AND n NOT IN (1, 2, 8, 9, 12, 15, 17, 24) AND a.answer IS DISTINCT FROM b.answer;
SELECT count(*) FROM results WHERE run = 'evil';

-- an operator of one's own is what one asked for: it is called, and no lookup takes its place
SELECT nr_put('p_int', 1, 'one'::text);
SET search_path = hostile_evil, pg_catalog, :ext, hostile_path;
SELECT * FROM hostile_path.p_int WHERE k = 1;
SELECT DISTINCT what FROM hostile_evil.trap;
TRUNCATE hostile_evil.trap;

-- ---- temporary objects, which come before everything -------------------------------------------------
SET search_path = hostile_path, :ext;
CREATE TEMP TABLE nr_default (key text, value text);
CREATE TEMP TABLE p_int (k int, v text);
SELECT nr_put('key', 'other');
SELECT nr_get('key');
SELECT nr_get('p_int', 1);
SELECT nr_get('hostile_path.p_int', 1);
DROP TABLE pg_temp.nr_default, pg_temp.p_int;

-- ---- SECURITY DEFINER, as README.md has it --------------------------------------------------------------
CREATE FUNCTION rate_sql(code text) RETURNS numeric LANGUAGE sql STABLE SECURITY DEFINER RETURN nr_get('hostile_path.p_text', code, NULL::numeric);
CREATE FUNCTION rate_plpgsql(code text) RETURNS numeric LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$ BEGIN RETURN public.nr_get('hostile_path.p_text', code, NULL::pg_catalog.numeric); END $$;
SET ROLE nr_regress_mallory;
SET search_path = hostile_evil, pg_catalog;
CREATE TEMP TABLE p_text (k pg_catalog.text, v pg_catalog.numeric);
CREATE FUNCTION hostile_evil.nr_get(pg_catalog.regclass, pg_catalog.text, pg_catalog.numeric) RETURNS pg_catalog.numeric LANGUAGE plpgsql AS $$ BEGIN PERFORM hostile_evil.trapped('nr_get'); RETURN 666; END $$;
CREATE FUNCTION hostile_evil.nr_get(pg_catalog.text, pg_catalog.text, pg_catalog.numeric) RETURNS pg_catalog.numeric LANGUAGE plpgsql AS $$ BEGIN PERFORM hostile_evil.trapped('nr_get'); RETURN 666; END $$;
SELECT hostile_path.rate_sql('a') AS sql, hostile_path.rate_plpgsql('a') AS plpgsql;
SELECT hostile_path.rate_sql('a'::pg_catalog.text), hostile_path.rate_plpgsql('zzz');
SELECT nr_get('hostile_path.p_text'::pg_catalog.regclass, 'a'::pg_catalog.text, 1.0::pg_catalog.numeric) AS hers;
SELECT * FROM hostile_evil.trap;
RESET ROLE;
TRUNCATE hostile_evil.trap;

DROP TABLE pg_temp.p_text;
SET search_path = hostile_path, :ext;
SELECT nr_check(ftrelid::regclass) FROM pg_foreign_table WHERE ftrelid::regclass::text ~ '^p_' ORDER BY ftrelid::regclass::text;
SET client_min_messages = error;
DROP SCHEMA hostile_evil CASCADE;
DROP SCHEMA hostile_path CASCADE;
SELECT nr_delete('key');
DROP OWNED BY nr_regress_mallory;
DROP ROLE nr_regress_mallory;
