-- recipes: what the documentation tells about privileges, row security, triggers and constraints
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS nr_cache;
CREATE SCHEMA rec;
SET search_path = rec, public;
RESET client_min_messages;
CREATE ROLE nr_regress_owner;
CREATE ROLE nr_regress_alice;
CREATE ROLE nr_regress_bob;
GRANT USAGE ON SCHEMA rec TO PUBLIC;
GRANT CREATE ON SCHEMA rec TO nr_regress_owner;
GRANT USAGE ON FOREIGN SERVER nr_cache TO nr_regress_owner;

-- lines of a plan that say what is scanned and by which condition
CREATE FUNCTION plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		IF line ~ 'Scan|Cond|Filter' THEN
			RETURN NEXT line;
		END IF;
	END LOOP;
END $$;

-- ---- single keys only: a function that runs as its owner ------------------------------

SET ROLE nr_regress_owner;
CREATE FOREIGN TABLE fx (code text, rate numeric) SERVER nr_cache OPTIONS (visibility 'immediate');
INSERT INTO fx VALUES ('USD', 1.0842), ('XSECRETX', 4711);
-- its names are looked up now, and never again
CREATE FUNCTION rate(code text) RETURNS numeric LANGUAGE sql STABLE SECURITY DEFINER
    RETURN nr_get('fx', code, NULL::numeric);
-- faster: PL/pgSQL, which looks names up in each session, so all have their schema
CREATE FUNCTION rate_fast(code text) RETURNS numeric LANGUAGE plpgsql STABLE SECURITY DEFINER
    AS $$ BEGIN RETURN public.nr_get('rec.fx', code, NULL::pg_catalog.numeric); END $$;
-- slower: a path of its own; each schema in it must be one where nobody else may create
CREATE FUNCTION rate_text(code text) RETURNS numeric LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
    AS $$ SELECT nr_get('rec.fx', code, NULL::numeric) $$;
REVOKE ALL ON FUNCTION rate(text), rate_fast(text), rate_text(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rate(text), rate_fast(text), rate_text(text) TO nr_regress_alice;
RESET ROLE;
ANALYZE fx;
SELECT count(*) > 0 AS statistics FROM pg_stats WHERE schemaname = 'rec' AND tablename = 'fx';

SET ROLE nr_regress_alice;
SELECT rate('USD'), rate('none'), rate(NULL), rate_fast('USD'), rate_text('USD');
SELECT sum(rate(c)) FROM unnest(ARRAY['USD', 'none', 'USD']) c;
-- and no other way
SELECT nr_get('fx', 'USD', NULL::numeric);
SELECT nr_get_many('fx', ARRAY['USD'], NULL::numeric);
SELECT * FROM fx;
SELECT rate FROM fx WHERE code = 'USD';
SELECT nr_put('fx', 'USD', 1.0);
SELECT nr_delete('fx', 'USD');
SELECT nr_truncate('fx');
SELECT nr_check('fx');
INSERT INTO fx VALUES ('EUR', 1);
COPY fx TO STDOUT;
-- nothing leaks: not by plans,
EXPLAIN (COSTS OFF, VERBOSE) SELECT rate('XSECRETX');
EXPLAIN (COSTS OFF) SELECT * FROM fx WHERE rate = 4711;
-- not by errors,
SELECT rate(repeat('x', 5000)) IS NULL AS too_long;
-- not by statistics,
SELECT count(*) FROM pg_stats WHERE schemaname = 'rec' AND tablename = 'fx';
SELECT count(*) FROM pg_statistic;
-- not by views,
SELECT * FROM nr_caches;
-- not by names of one's own that come first
CREATE TEMP TABLE fx (code text, rate numeric);
CREATE FUNCTION pg_temp.nr_get(regclass, text, numeric) RETURNS numeric LANGUAGE sql AS 'SELECT 0.0';
CREATE DOMAIN pg_temp.numeric AS pg_catalog.numeric CHECK (value < 1);
SET search_path = pg_temp, rec, public, pg_catalog;
SELECT rate('USD'), rate_fast('USD'), rate_text('USD');
SET search_path = rec, public;
DROP TABLE pg_temp.fx;
DROP FUNCTION pg_temp.nr_get(regclass, text, numeric);
DROP DOMAIN pg_temp.numeric;
RESET ROLE;
-- nor to somebody who may not call it
SET ROLE nr_regress_bob;
SELECT rate('USD');
RESET ROLE;
-- what the function names cannot be dropped under it
SET client_min_messages = warning;
DROP FOREIGN TABLE fx;
RESET client_min_messages;

-- ---- row security of one's own tables ------------------------------------------------

SET ROLE nr_regress_owner;
CREATE FOREIGN TABLE perms (who_where text, may boolean) SERVER nr_cache;
CREATE FOREIGN TABLE tenant_of (who text, tenant text) SERVER nr_cache;
CREATE TABLE docs (id int, tenant text, body text);
INSERT INTO docs SELECT i, (ARRAY['red', 'green', 'blue', 'grey'])[1 + i % 4], 'body ' || i FROM generate_series(1, 1000) i;
CREATE INDEX docs_tenant ON docs (tenant);
ANALYZE docs;
GRANT SELECT, INSERT, UPDATE, DELETE ON docs TO nr_regress_alice, nr_regress_bob;
INSERT INTO perms VALUES ('nr_regress_alice:red', true), ('nr_regress_alice:blue', true), ('nr_regress_bob:blue', true);
INSERT INTO tenant_of VALUES ('nr_regress_alice', 'red'), ('nr_regress_bob', 'blue');
ALTER TABLE docs ENABLE ROW LEVEL SECURITY;
CREATE POLICY by_perm ON docs USING (nr_get('perms', current_user || ':' || tenant, false));

-- the policy's functions are called by whoever reads the table, so that one needs the privilege
SET ROLE nr_regress_alice;
SELECT count(*) FROM docs;
SET ROLE nr_regress_owner;
GRANT SELECT ON perms, tenant_of TO nr_regress_alice, nr_regress_bob;
SET ROLE nr_regress_alice;
SELECT tenant, count(*) FROM docs GROUP BY tenant ORDER BY tenant;
PREPARE tenants AS SELECT string_agg(DISTINCT tenant, ' ' ORDER BY tenant) FROM docs;
EXECUTE tenants;
SET ROLE nr_regress_bob;
EXECUTE tenants;
INSERT INTO docs VALUES (0, 'red', 'not mine');
UPDATE docs SET tenant = 'red' WHERE tenant = 'blue';
WITH gone AS (DELETE FROM docs WHERE id <= 20 RETURNING tenant) SELECT tenant, count(*) FROM gone GROUP BY tenant;
-- what changes is seen by the next statement
SET ROLE nr_regress_owner;
SELECT nr_put('perms', 'nr_regress_bob:red', true), nr_delete('perms', 'nr_regress_bob:blue');
SET ROLE nr_regress_bob;
EXECUTE tenants;
INSERT INTO docs VALUES (0, 'red', 'mine now');
SET ROLE nr_regress_owner;
BEGIN;
SELECT nr_put('perms', 'nr_regress_bob:grey', true);
SET LOCAL ROLE nr_regress_bob;
EXECUTE tenants;
ROLLBACK;
SET ROLE nr_regress_bob;
EXECUTE tenants;
-- the owner is not subject to it unless that is forced
SET ROLE nr_regress_owner;
EXECUTE tenants;
ALTER TABLE docs FORCE ROW LEVEL SECURITY;
EXECUTE tenants;
SELECT nr_put('perms', 'nr_regress_owner:green', true);
EXECUTE tenants;
ALTER TABLE docs NO FORCE ROW LEVEL SECURITY;

-- by a setting
DROP POLICY by_perm ON docs;
CREATE POLICY by_setting ON docs USING (nr_get('perms', current_setting('app.who', true) || ':' || tenant, false));
SET ROLE nr_regress_alice;
EXECUTE tenants;
SET app.who = 'nr_regress_alice';
EXECUTE tenants;
SET app.who = 'nr_regress_bob';
EXECUTE tenants;
RESET app.who;

-- one look-up for the statement: as an index condition, since nr_get is STABLE, ...
-- (current_user is of type name, whose collation would not be the index's)
SET ROLE nr_regress_owner;
DROP POLICY by_setting ON docs;
CREATE POLICY by_tenant ON docs USING (tenant = nr_get('tenant_of', current_user, NULL::text) COLLATE "default");
SET ROLE nr_regress_alice;
EXECUTE tenants;
SET enable_bitmapscan = off;
SET enable_seqscan = off;
SELECT plan('SELECT * FROM docs');
RESET enable_seqscan;
-- ... or, without an index, in a subquery of its own; otherwise it is called for each row
SET enable_indexscan = off;
SET enable_indexonlyscan = off;
SELECT plan('SELECT * FROM docs');
RESET ROLE;
SELECT nr_stat_reset();
SET ROLE nr_regress_alice;
SELECT count(*) FROM docs;
RESET ROLE;
SELECT hits >= (SELECT count(*) FROM docs) AS each_row FROM nr_caches WHERE cache = 'tenant_of'::regclass;
ALTER POLICY by_tenant ON docs USING (tenant = (SELECT nr_get('tenant_of', current_user, NULL::text)));
SELECT nr_stat_reset();
SET ROLE nr_regress_alice;
SELECT count(*) FROM docs;
RESET ROLE;
SELECT hits AS once FROM nr_caches WHERE cache = 'tenant_of'::regclass;
RESET enable_indexscan;
RESET enable_indexonlyscan;
RESET enable_bitmapscan;
RESET ROLE;

-- without SELECT on the cache: a function of the owner's, which is told who asks, since in it current_user is the owner
SET ROLE nr_regress_owner;
REVOKE SELECT ON perms, tenant_of FROM nr_regress_alice, nr_regress_bob;
CREATE FUNCTION may(who name, tenant text) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
    RETURN nr_get('perms', who || ':' || tenant, false);
ALTER POLICY by_tenant ON docs USING (may(current_user, tenant));
SET ROLE nr_regress_alice;
EXECUTE tenants;
SELECT * FROM perms;
-- it answers about others, too; session_user, which is the same in such a function, does not let itself be told
SELECT may('nr_regress_bob', 'red');
SET ROLE nr_regress_bob;
EXECUTE tenants;
RESET ROLE;

-- ---- functions are not leakproof ------------------------------------------------------

-- what others select with sees only the rows that the policy lets through
SELECT proname FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
 WHERE d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'nr_cache') AND d.deptype = 'e' AND p.proleakproof;
CREATE FUNCTION tell(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN IF $1 <> 'red' THEN RAISE NOTICE 'seen: %', $1; END IF; RETURN true; END $$;
GRANT SELECT ON perms TO nr_regress_bob;
SET ROLE nr_regress_bob;
SELECT count(*) > 0 AS some, bool_and(tenant = 'red') AS red FROM docs WHERE tell(tenant);
SELECT plan('SELECT * FROM docs WHERE tell(body)');
SELECT plan('SELECT * FROM docs WHERE nr_get(''perms'', body, true)');
RESET ROLE;
CREATE VIEW red WITH (security_barrier) AS SELECT * FROM docs WHERE tenant = 'red';
SELECT plan('SELECT * FROM red WHERE nr_get(''perms'', body, true)');
-- nor is anything but a look-up done below a barrier over a cache
CREATE VIEW public_rates WITH (security_barrier) AS SELECT * FROM fx WHERE rate < 1000;
SELECT * FROM public_rates WHERE code = 'XSECRETX';
CREATE FUNCTION tell_rate(numeric) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RAISE NOTICE 'seen: %', $1; RETURN true; END $$;
SELECT * FROM public_rates WHERE code IN ('USD', 'XSECRETX') AND tell_rate(rate);
SELECT * FROM public_rates WHERE tell_rate(rate);
DEALLOCATE tenants;

-- ---- index conditions ----------------------------------------------------------------

CREATE TABLE orders AS SELECT i AS id, i % 100 AS product FROM generate_series(1, 10000) i;
CREATE INDEX orders_product ON orders (product);
ANALYZE orders;
CREATE FOREIGN TABLE best (what text, product int) SERVER nr_cache;
INSERT INTO best VALUES ('lamp', 42);
SET enable_bitmapscan = off;
SET enable_seqscan = off;
SELECT plan($$ SELECT * FROM orders WHERE product = nr_get('best', 'lamp', NULL::int) $$);
SELECT plan($$ SELECT * FROM orders WHERE product BETWEEN nr_get('best', 'lamp', 0) AND nr_get('best', 'lamp', 0) + 1 $$);
SELECT plan($$ SELECT * FROM orders WHERE product = ANY (nr_get_many('best', ARRAY['lamp', 'none'], NULL::int)) $$);
SELECT count(*) FROM orders WHERE product = nr_get('best', 'lamp', NULL::int);
SELECT count(*) FROM orders WHERE product = ANY (nr_get_many('best', ARRAY['lamp', 'none'], NULL::int));
RESET enable_bitmapscan;
RESET enable_seqscan;

-- ---- constraints, defaults, triggers ---------------------------------------------------

-- a CHECK constraint is looked at when a row is written, and never again
CREATE FOREIGN TABLE codes (code text, title text) SERVER nr_cache;
INSERT INTO codes VALUES ('a', 'first'), ('b', 'second');
CREATE TABLE items (id int, code text CHECK (nr_get('codes', code) IS NOT NULL), title text DEFAULT nr_get('rec.codes', 'a'));
INSERT INTO items VALUES (1, 'a'), (2, 'b');
INSERT INTO items VALUES (3, 'c');
SELECT nr_delete('codes', 'b');
INSERT INTO items VALUES (4, 'b');
UPDATE items SET id = 5 WHERE code = 'b';
SELECT * FROM items ORDER BY id;
-- in one transaction with what it looks at
BEGIN;
SELECT nr_put('codes', 'd', 'fourth'::text);
INSERT INTO items VALUES (6, 'd');
ROLLBACK;
-- the name is that of the cache, whatever it is called now
ALTER FOREIGN TABLE codes RENAME TO item_codes;
INSERT INTO items VALUES (7, 'a');
DROP FOREIGN TABLE item_codes;
-- what PostgreSQL wants to be immutable is refused
CREATE INDEX ON items (nr_get('item_codes', code));
CREATE TABLE generated (code text, title text GENERATED ALWAYS AS (nr_get('rec.item_codes', code)) STORED);

-- a trigger looks when it runs
CREATE FUNCTION title() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.title := nr_get('rec.item_codes', NEW.code); RETURN NEW; END $$;
CREATE TRIGGER title BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION title();
INSERT INTO items VALUES (8, 'a', 'typed') RETURNING *;
SELECT nr_put('item_codes', 'a', 'changed'::text);
UPDATE items SET id = 9 WHERE id = 8 RETURNING *;
-- one that keeps a cache in step with a table
CREATE FUNCTION keep_codes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP <> 'INSERT' THEN
		PERFORM nr_delete('rec.item_codes', OLD.code);
	END IF;
	IF TG_OP <> 'DELETE' THEN
		PERFORM nr_put('rec.item_codes', NEW.code, NEW.title);
	END IF;
	RETURN NULL;
END $$;
CREATE TABLE code_table (code text PRIMARY KEY, title text);
CREATE TRIGGER keep_codes AFTER INSERT OR UPDATE OR DELETE ON code_table FOR EACH ROW EXECUTE FUNCTION keep_codes();
INSERT INTO code_table VALUES ('x', 'ex'), ('y', 'why');
UPDATE code_table SET code = 'z' WHERE code = 'y';
BEGIN;
DELETE FROM code_table WHERE code = 'x';
SELECT nr_get('item_codes', 'x');
ROLLBACK;
SELECT * FROM item_codes WHERE code IN ('x', 'y', 'z') ORDER BY code;

SET client_min_messages = warning;
DROP SCHEMA rec CASCADE;
REVOKE USAGE ON FOREIGN SERVER nr_cache FROM nr_regress_owner;
DROP ROLE nr_regress_owner, nr_regress_alice, nr_regress_bob;
