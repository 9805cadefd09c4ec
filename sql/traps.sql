--
-- Literals, casts and names: calls that look right and are not, and what is said
-- about them.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS nr_cache;
CREATE SCHEMA t_traps;
SET search_path = t_traps, public;
RESET client_min_messages;
SET timezone = 'UTC';

CREATE FOREIGN TABLE fx (code text, rate numeric) SERVER nr_cache;
CREATE FOREIGN TABLE small (k int, v int) SERVER nr_cache;
CREATE FOREIGN TABLE big (k bigint, v bigint) SERVER nr_cache;
CREATE FOREIGN TABLE days (k date, v text) SERVER nr_cache;
CREATE FOREIGN TABLE product (id int, name text, price numeric(6,2)) SERVER nr_cache;
SELECT nr_put('fx', 'USD', 1.0842), nr_put('small', 1, 10), nr_put('big', 1, 10), nr_put('days', '2026-11-22', 'today'), nr_put('product', ROW(1, 'lamp', 19.9));

-- ---- fallbacks: exactly the value's type ------------------------------------------
SELECT nr_get('fx', 'USD', NULL);
SELECT nr_get('fx', 'USD', '0');
SELECT nr_get('fx', 'USD', 0);
SELECT nr_get('small', 1, 0.0);
SELECT nr_get('small', 1, 0::bigint);
SELECT nr_get('small', 1, NULL);
SELECT nr_get('big', 1, 0);
SELECT nr_get('days', '2026-11-22', 'none');
SELECT nr_get('product', 1, NULL);
SELECT nr_get('product', 1, ROW(1, 'none', 0));
SELECT nr_get('product', 1, NULL::fx);
SELECT nr_get_many('fx', ARRAY['USD'], NULL);
SELECT nr_get_many('fx', ARRAY['USD'], 0);
SELECT nr_get_many('product', ARRAY[1], NULL);
-- as the hints have it
SELECT nr_get('fx', 'USD', NULL::numeric), nr_get('big', 2, 0::bigint), nr_get('product', 1, NULL::product), nr_get_many('fx', ARRAY['USD', 'X'], 0::numeric);

-- ---- two arguments: key and value, or key, of nr_default -----------------------------
-- who may not use it is told
CREATE ROLE nr_regress_trapped;
GRANT USAGE ON SCHEMA t_traps TO nr_regress_trapped;
GRANT ALL ON fx TO nr_regress_trapped;
SET ROLE nr_regress_trapped;
SELECT nr_put('fx', 'USD');
SELECT nr_get('fx');
SELECT nr_delete('fx');
DO $$
DECLARE
    c text := 'fx';
BEGIN
    PERFORM nr_put(c, 'USD');
END $$;
RESET ROLE;
-- who may is told when there is a cache of that name
SELECT nr_put('fx', 'USD');
SELECT nr_get('fx');
SELECT nr_delete('fx');
DO $$
DECLARE
    c text := 'fx';
BEGIN
    PERFORM nr_put(c, 'USD');
    PERFORM nr_delete(c);
END $$;
-- but not for other keys, nor for keys that are computed
SELECT nr_put('fy', 'USD'), nr_put('FX', 'x'), nr_put('fx ', 'x'), nr_put('', 'x'), nr_put('pg_class', 'x'), nr_put('select', 'x');
SELECT nr_get(k), nr_delete(k) FROM unnest('{fx,fy,FX,"fx ",pg_class,select,""}'::text[]) k;
SELECT nr_put(NULL, 'USD');
SELECT nr_put('fx'::regclass, 'USD');
SELECT nr_put('fx'::regclass, 'USD'::text);
SELECT nr_put('fx'::regclass, '(USD,1)');
SELECT nr_put(NULL::regclass, 'USD');
SELECT nr_put('fx', 1.0);
SELECT nr_get('fx'::regclass);
SELECT nr_delete('fx'::regclass);

-- ---- caches that are none ------------------------------------------------------------
CREATE TABLE tab (a int PRIMARY KEY);
CREATE TABLE parent (a int, b int) PARTITION BY LIST (a);
CREATE VIEW vw AS SELECT 1 AS x;
CREATE MATERIALIZED VIEW matv AS SELECT 1 AS x;
CREATE SEQUENCE seq;
CREATE FOREIGN DATA WRAPPER nr_regress_other_fdw;
CREATE SERVER nr_regress_other FOREIGN DATA WRAPPER nr_regress_other_fdw;
CREATE FOREIGN TABLE other (a int, b int) SERVER nr_regress_other;
CREATE FUNCTION tried(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text;
    hint text;
    state text;
BEGIN
    EXECUTE 'SELECT ' || call;
    RETURN 'nothing was said';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT, state = RETURNED_SQLSTATE;
    RETURN concat_ws(' | ', state, message, nullif(hint, ''));
END $$;
SELECT r, tried(format('nr_get(%L, 1)', r)) FROM unnest('{tab,tab_pkey,parent,vw,matv,seq,other,pg_class}'::text[]) r;
SELECT f, tried(format(f, 'tab')) FROM unnest(ARRAY['nr_get(%L, 1, 0)', 'nr_get_many(%L, ARRAY[1], 0)', 'nr_put(%L, 1, 1)', 'nr_put(%L, ROW(1, 1))', 'nr_delete(%L, 1)',
    'nr_truncate(%L)', 'nr_swap(%L, 1, 1)', 'nr_cas(%L, 1, 1, 1)', 'nr_incr(%L, 1, 1)', 'nr_check(%L)', 'nr_publish(%L)', 'nr_pending(%L)']) f;
SELECT nr_get(0::regclass, 1);
SELECT nr_get(4294967295::regclass, 1);
SELECT nr_get(NULL, 1);
SELECT nr_get('nope', 1);
SELECT nr_put('nope', 'a', 1);
SELECT nr_get(fx, 'USD');
-- a name in a variable
DO $$
DECLARE
    c text := 'fx';
BEGIN
    RAISE NOTICE '% %', nr_get(c, 'USD'), nr_get(c, 'USD', NULL::numeric);
    c := 'tab';
    RAISE NOTICE '%', nr_get(c, 'USD');
END $$;

-- ---- names with capitals and blanks --------------------------------------------------
CREATE FOREIGN TABLE "My Cache" (k int, v int) SERVER nr_cache;
SELECT nr_get('My Cache', 1, 0);
SELECT nr_get('MyCache', 1, 0);
SELECT nr_get("My Cache", 1, 0);
SELECT nr_put('"My Cache"', 1, 5), nr_get('"My Cache"', 1, 0);
SELECT nr_get('"My Cache"', 1, 0.0);
SELECT nr_put('"My Cache"'::regclass, 'x');
CREATE SCHEMA "Else where";
CREATE FOREIGN TABLE "Else where"."it's" (k int, v int) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_get('"Else where"."it''s"', 1, 0.0);
SELECT nr_incr('"Else where"."it''s"', 1, 1.0);
SELECT nr_get('"Else where"."it''s"', 1, NULL::integer), nr_incr('"Else where"."it''s"', 1, 1::integer);

-- ---- rows -------------------------------------------------------------------------
SELECT nr_put('product', ROW(1, 'x'));
SELECT nr_put('product', ROW(1, 'x', 2, 3));
SELECT nr_put('product', 1, 'x');
SELECT nr_put('product', 1, 'x', 2);
SELECT nr_put('product', 1, ROW('x', 2));
SELECT nr_put('product', 1, ROW(1, 'x', 2));
SELECT nr_put('product', ROW('x', 1, 2));
SELECT nr_put('product', ROW(1, 'x', 'cheap'));
SELECT nr_put('product', ROW(1, 'x', 12345));
SELECT nr_put('product', ROW(1, 'x', date '2026-11-22'));
SELECT nr_put('product', ROW(5000000000, 'x', 2));
SELECT nr_put('product', ROW(NULL, 'x', 2));
SELECT nr_put('product', NULL::product);
SELECT nr_put('small', (SELECT p FROM product p));
SELECT nr_put('fx', 'USD', ROW(1));
SELECT nr_put('fx', ROW('USD'));
-- another cache's row fits when its columns do
SELECT nr_put('big', (SELECT s FROM small s)), nr_put('product', ROW(2, 'x', 3)::product), nr_get('product', 2);

-- ---- keys and values: assignment casts, and text through the input function ------------
-- where it goes wrong, the column is said
SELECT nr_get('days', 5);
SELECT nr_get('days', 'someday');
SELECT nr_get('small', date '2026-11-22');
SELECT nr_get('small', 5000000000);
SELECT nr_get('small', '5000000000');
SELECT nr_get('small', 'abc');
SELECT nr_get('small', '');
SELECT nr_get('small', true);
SELECT nr_get('small', ARRAY[1]);
SELECT nr_get('fx', repeat('x', 3000));
SELECT nr_put('small', 'abc', 1);
SELECT nr_put('small', 1, 'abc');
SELECT nr_put('small', 1, 5000000000);
SELECT nr_put('small', 1, now());
SELECT nr_put('small', NULL::int, 1);
SELECT nr_put('small', NULL, 1);
SELECT nr_put('product', ROW(1, 'x', ''));
SELECT nr_delete('small', now());
SELECT nr_delete('days', '2026-02-30');
SELECT nr_delete('small', NULL::int);
SELECT nr_swap('small', 1, 1);
SELECT nr_get_many('small', ARRAY['a'], 0);
SELECT nr_get_many('small', ARRAY['1', '2'], 0), nr_get_many('small', ARRAY[1::bigint, 2], 0);
SELECT nr_get_many('small', ARRAY[5000000000], 0);
SELECT nr_get_many('small', ARRAY[now()], 0);
SELECT nr_get_many('small', '{1}', 0);
SELECT nr_get_many('small', 1, 0);
-- these are what they look like
SELECT nr_get('small', '1'), nr_get('small', 1.2), nr_get('small', 1::bigint), nr_get('days', '22 Nov 2026'), nr_get('days', timestamp '2026-11-22 10:00'), nr_get('small', NULL::int), nr_get('small', NULL);
-- nothing was changed by all this
SELECT * FROM small;
SELECT * FROM product ORDER BY id;

SET client_min_messages = warning;
DROP OWNED BY nr_regress_trapped;
DROP ROLE nr_regress_trapped;
DROP SCHEMA t_traps, "Else where" CASCADE;
DROP FOREIGN DATA WRAPPER nr_regress_other_fdw CASCADE;
