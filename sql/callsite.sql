--
-- What is remembered at a call site, and what makes it forget: plans, roles,
-- privileges, policies, parallel workers.
--
CREATE SCHEMA t_site;
SET search_path = t_site, public;

CREATE FOREIGN TABLE kv (k bigint, v text) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT count(*) FILTER (WHERE nr_put('kv', i, 'v' || i)) FROM generate_series(1, 1000) i;

-- generic and custom plans
PREPARE one(bigint) AS SELECT nr_get('kv', $1), nr_get('kv', $1, 'none');
SET plan_cache_mode = force_generic_plan;
EXECUTE one(1);
EXECUTE one(2000);
SET plan_cache_mode = force_custom_plan;
EXECUTE one(3);
EXECUTE one(2000);
RESET plan_cache_mode;
PREPARE two(text, text) AS SELECT nr_put('kv', $1, $2), nr_get('kv', $1);
EXECUTE two('77', 'seventy-seven');
EXECUTE two('x', 'y');
PREPARE three(regclass, int) AS SELECT nr_get($1, $2);
SET plan_cache_mode = force_generic_plan;
EXECUTE three('kv', 1);
CREATE FOREIGN TABLE kv2 (k text, v int) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT nr_put('kv2', '1', 111);
EXECUTE three('kv2', 1);
EXECUTE three('kv', 1);
-- after DROP and CREATE of the same name
DROP FOREIGN TABLE kv2;
CREATE FOREIGN TABLE kv2 (k int, v date) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
EXECUTE three('kv2', 1);
SELECT nr_put('kv2', 1, '2026-11-21');
EXECUTE three('kv2', 1);
PREPARE four AS SELECT nr_get('kv2', 1, NULL::date);
EXECUTE four;
DROP FOREIGN TABLE kv2;
EXECUTE four;
CREATE FOREIGN TABLE kv2 (k int, v text) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
EXECUTE four;
PREPARE five AS SELECT nr_put('kv2', 1, '42'), nr_get('kv2', 1);
EXECUTE five;
RESET plan_cache_mode;
DEALLOCATE ALL;

-- several caches at one site, one after the other
CREATE FOREIGN TABLE kv3 (k text, v bigint) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT nr_put('kv3', i::text, i) FROM generate_series(1, 3) i;
SELECT c, i, nr_get(c, i) FROM generate_series(1, 3) i, unnest('{kv,kv2,kv3}'::regclass[]) c ORDER BY i, c::text;
SELECT c, nr_put(c, 9, '9'), nr_get(c, 9), nr_delete(c, 9), nr_get(c, 9) FROM unnest('{kv,kv2,kv3,kv}'::regclass[]) WITH ORDINALITY AS u(c, o) ORDER BY o;

-- user code inside a call: casts, domains and constraints may do anything
CREATE TYPE code AS ENUM ('x', 'y');
CREATE FUNCTION code_int(code) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    IF $1 = 'y' THEN
        RETURN NULL;
    END IF;
    BEGIN
        PERFORM 1 / 0;
    EXCEPTION WHEN division_by_zero THEN
        RETURN 1;
    END;
END $$;
CREATE CAST (code AS int) WITH FUNCTION code_int(code) AS ASSIGNMENT;
CREATE FOREIGN TABLE coded (k int, v text) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT nr_put('coded', 'x'::code, 'one'), nr_get('coded', 'x'::code), nr_get('coded', 'y'::code, 'none'::text);
SELECT nr_put('coded', 'y'::code, 'null');
SELECT nr_delete('coded', 'y'::code);
SELECT nr_get_many('coded', '{x,y,x}'::code[], 'none'::text);
SELECT count(nr_get('coded', 'x'::code)) FROM generate_series(1, 1000);
-- The planner sees no cast inside a call, which may run in a parallel worker, but one that the statement has.
CREATE TYPE drawn AS ENUM ('x');
CREATE SEQUENCE draws;
CREATE FUNCTION drawn_int(drawn) RETURNS int LANGUAGE sql AS $$ SELECT nextval('draws')::int $$;
CREATE CAST (drawn AS int) WITH FUNCTION drawn_int(drawn) AS ASSIGNMENT;
SELECT set_config(name, 'on', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
\set SHOW_CONTEXT never
SELECT nr_get('coded', 'x'::drawn);
\set SHOW_CONTEXT errors
SELECT nr_get('coded', 'x'::drawn::int);
SELECT set_config(name, 'off', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
-- a constraint that writes into its own cache
CREATE FUNCTION nest(key int) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF key < 5 THEN
        PERFORM nr_put('nested', key + 1, key);
    END IF;
    RETURN key <> 7;
END $$;
CREATE FOREIGN TABLE nested (k int CHECK (nest(k)), v int) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT nr_put('nested', 1, 100);
SELECT nr_put('nested', i, 200) FROM generate_series(5, 9) i;
SELECT nr_get_many('nested', '{1,2,3,4,5,6,7,8}'::int[], -1);
-- ones that alter or drop it
CREATE FUNCTION execute(command text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN EXECUTE command; RETURN true; END $$;
CREATE FOREIGN TABLE alters (k int CHECK (execute('ALTER FOREIGN TABLE alters ADD COLUMN w int')), v int) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT nr_put('alters', 1, 2);
CREATE DOMAIN alterer AS int CHECK (execute('ALTER FOREIGN TABLE alters2 ADD COLUMN w int'));
CREATE FOREIGN TABLE alters2 (k int, v alterer) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT nr_put('alters2', 1, 2);
SELECT nr_put('alters2', 1, '2');
CREATE DOMAIN dropper AS int CHECK (execute('DROP FOREIGN TABLE drops'));
CREATE FOREIGN TABLE drops (k int, v dropper) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
\set VERBOSITY sqlstate
SELECT nr_put('drops', 1, 2);
\set VERBOSITY default
SELECT nr_get('drops', 1), nr_get('alters2', 1), nr_get('alters', 1);

-- index conditions: nr_get is STABLE
CREATE TABLE items (id bigint PRIMARY KEY, name text);
INSERT INTO items SELECT i, 'v' || i FROM generate_series(1, 5000) i;
CREATE INDEX ON items (name);
ANALYZE items;
EXPLAIN (COSTS OFF) SELECT * FROM items WHERE name = nr_get('kv', 5);
SELECT * FROM items WHERE name = nr_get('kv', 5);
SELECT count(*) FROM items WHERE name = nr_get('kv', id);

-- roles: a plan is run as another user, whose privileges count
CREATE ROLE regress_nr_a;
CREATE ROLE regress_nr_b;
GRANT USAGE ON SCHEMA t_site TO regress_nr_a, regress_nr_b;
GRANT SELECT ON kv TO regress_nr_a;
PREPARE p AS SELECT nr_get('kv', 1);
EXECUTE p;
SET ROLE regress_nr_a;
EXECUTE p;
SET ROLE regress_nr_b;
EXECUTE p;
RESET ROLE;
EXECUTE p;
REVOKE SELECT ON kv FROM regress_nr_a;
SET ROLE regress_nr_a;
EXECUTE p;
RESET ROLE;
-- in one statement
CREATE FUNCTION as_role(r text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('role', r, true);
    RETURN nr_get('kv', 1);
EXCEPTION WHEN insufficient_privilege THEN
    RETURN sqlerrm;
END $$;
GRANT SELECT ON kv TO regress_nr_a;
SELECT r, as_role(r) FROM unnest('{none,regress_nr_a,none,regress_nr_b,regress_nr_a,none}'::text[]) WITH ORDINALITY AS u(r, o) ORDER BY o;
RESET ROLE;
-- in one transaction, with the privilege withdrawn in between
BEGIN;
SET LOCAL ROLE regress_nr_a;
SELECT nr_get('kv', 1);
RESET ROLE;
REVOKE SELECT ON kv FROM regress_nr_a;
SAVEPOINT s;
SET LOCAL ROLE regress_nr_a;
SELECT nr_get('kv', 1);
ROLLBACK TO s;
SELECT nr_get('kv', 1);
ROLLBACK;

-- row security: a policy that looks up who may see what
CREATE FOREIGN TABLE may_see (who text, dept int) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
CREATE TABLE secrets (dept int, secret text);
INSERT INTO secrets SELECT i % 3, 'secret ' || i FROM generate_series(1, 6) i;
ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
CREATE POLICY by_dept ON secrets USING (dept = nr_get('may_see', current_user::text, -1));
GRANT SELECT ON secrets TO regress_nr_a, regress_nr_b;
GRANT SELECT ON may_see TO regress_nr_a, regress_nr_b;
SELECT nr_put('may_see', 'regress_nr_a', 0), nr_put('may_see', 'regress_nr_b', 1);
PREPARE mine AS SELECT * FROM secrets ORDER BY secret;
SET plan_cache_mode = force_generic_plan;
SET ROLE regress_nr_a;
EXECUTE mine;
SET ROLE regress_nr_b;
EXECUTE mine;
RESET ROLE;
SELECT nr_put('may_see', 'regress_nr_b', 2);
SET ROLE regress_nr_b;
EXECUTE mine;
RESET ROLE;
SELECT nr_delete('may_see', 'regress_nr_b');
SET ROLE regress_nr_b;
EXECUTE mine;
RESET ROLE;
RESET plan_cache_mode;
DEALLOCATE ALL;

-- parallel workers
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT count(nr_get('kv', id)), sum(length(nr_get('kv', id, 'none'))) FROM items;
SELECT count(nr_get('kv', id)), sum(length(nr_get('kv', id, 'none'))) FROM items;
SELECT count(*) FROM items WHERE nr_get_many('kv', ARRAY[id, id + 1], '') = ARRAY['v' || id, 'v' || id + 1];
SET parallel_leader_participation = off;
SELECT count(nr_get('kv', id)) FROM items;
BEGIN;
SELECT nr_put('kv', 1000000, 'new');
SELECT count(nr_get('kv', id + 995000)) FROM items;
ROLLBACK;
-- a role's privileges travel to the workers
SET ROLE regress_nr_b;
SELECT count(nr_get('kv', i)) FROM generate_series(1, 10) i;
RESET ROLE;
GRANT SELECT ON kv, items TO regress_nr_b;
SET ROLE regress_nr_b;
SELECT count(nr_get('kv', id)) FROM items;
RESET ROLE;
-- writes are not for workers: the plan has none
EXPLAIN (COSTS OFF) SELECT count(nr_put('kv', id, 'w')) FROM items;
CREATE FUNCTION sneaky(k bigint) RETURNS boolean LANGUAGE plpgsql PARALLEL SAFE AS $$ BEGIN RETURN nr_put('kv', k, 'w'); END $$;
\set SHOW_CONTEXT never
SELECT count(sneaky(id)) FROM items;
\set SHOW_CONTEXT errors
RESET parallel_leader_participation;
RESET max_parallel_workers_per_gather;
RESET min_parallel_table_scan_size;
RESET parallel_tuple_cost;
RESET parallel_setup_cost;

-- cursors do not hold a cache up
BEGIN;
DECLARE c CURSOR FOR SELECT nr_get('kv', id) FROM items ORDER BY id;
FETCH 2 FROM c;
SELECT nr_put('kv', 3, 'changed'), nr_delete('kv', 4);
FETCH 2 FROM c;
SAVEPOINT s;
FETCH 1 FROM c;
ROLLBACK TO s;
FETCH 1 FROM c;
SELECT nr_truncate('kv');
FETCH 1 FROM c;
COMMIT;

DROP OWNED BY regress_nr_a, regress_nr_b;
DROP ROLE regress_nr_a, regress_nr_b;
SELECT nr_check('kv');
SET client_min_messages = warning;
DROP SCHEMA t_site CASCADE;
RESET client_min_messages;
RESET search_path;
