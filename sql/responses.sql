--
-- nr_swap, nr_cas, nr_incr: writes with an answer.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS nr_cache;
CREATE SCHEMA t_resp;
SET search_path = t_resp, public;
RESET client_min_messages;
SET extra_float_digits = 1;
SET timezone = 'UTC';

-- ---- nr_swap: the value before ------------------------------------------------
CREATE FOREIGN TABLE t (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_swap('t', 1, 'one');
SELECT nr_swap('t', 1, 'uno');
SELECT nr_get('t', 1);
-- NULL is put like any value, and answered like a missing key
SELECT nr_swap('t', 1, NULL);
SELECT nr_swap('t', 1, 'eins') IS NULL AS was_null, nr_get('t', 1);
SELECT count(*) FROM t;
SELECT nr_swap('t', 1, ''), nr_swap('t', 1, 'x') = '' AS was_empty;
-- keys by literal, cast or assignment, as for nr_put
SELECT nr_swap('t', '1', 'a'), nr_swap('t', 1::bigint, 'b'), nr_swap('t', 1.2, 'c'), nr_swap('t', 1::smallint, 'd');
SELECT nr_swap('t', NULL::int, 'x');
SELECT nr_swap('t', 5000000000, 'x');
SELECT nr_swap('t', 'one', 'x');
SELECT nr_swap(NULL, 1, 'x');

-- any length, on both sides: up to 8 kB in one step, above that by comparing
SELECT nr_swap('t', 2, repeat('a', 8188)) IS NULL AS was_missing;
SELECT length(nr_swap('t', 2, repeat('b', 8189)));
SELECT length(nr_swap('t', 2, repeat('c', 8192)));
SELECT length(nr_swap('t', 2, repeat('d', 9000)));
SELECT v = repeat('d', 9000) FROM nr_swap('t', 2, repeat('e', 60000)) v;
SELECT v = repeat('e', 60000) FROM nr_swap('t', 2, repeat('f', 60000)) v;
SELECT v = repeat('f', 60000) FROM nr_swap('t', 2, 'short') v;
SELECT nr_swap('t', 2, NULL);
SELECT nr_swap('t', 2, repeat('g', 70000));
SELECT nr_swap('t', 3, repeat('h', 30000)) IS NULL AS was_missing, length(nr_swap('t', 3, NULL)), nr_swap('t', 3, 'i') IS NULL AS was_null;
SELECT nr_check('t');

-- every type, by every value: what was put comes back
CREATE FUNCTION swap_all(type text, literals text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    literal text;
    before text;
    answer text;
    answers text[] := '{}';
BEGIN
    EXECUTE format('CREATE FOREIGN TABLE s (k text, v %s) SERVER nr_cache OPTIONS (visibility ''immediate'')', type);
    FOREACH literal IN ARRAY literals || ARRAY[NULL] LOOP
        EXECUTE format('SELECT nr_swap(''s'', ''k'', %L::%s)', literal, type) INTO answer;
        EXECUTE format('SELECT %L::%s', before, type) INTO before;
        IF answer IS DISTINCT FROM before THEN
            RAISE EXCEPTION '% instead of %', answer, before;
        END IF;
        answers := answers || answer;
        before := literal;
    END LOOP;
    DROP FOREIGN TABLE s;
    RETURN type || ' ' || answers::text;
END $$;
SELECT swap_all('boolean', '{t,f}');
SELECT swap_all('smallint', '{-32768,32767}');
SELECT swap_all('integer', '{-2147483648,2147483647}');
SELECT swap_all('bigint', '{-9223372036854775808,9223372036854775807}');
SELECT swap_all('real', '{-0,1.5,NaN,Infinity}');
SELECT swap_all('double precision', '{-0,1.5e300,NaN,-Infinity}');
SELECT swap_all('numeric', '{0,-1.50,NaN,Infinity,3.14159265358979323846}');
SELECT swap_all('numeric(6,2)', '{0,1.10}');
SELECT swap_all('varchar(3)', '{"",abc}');
SELECT swap_all('char(5)', '{"",abc}');
SELECT swap_all('name', '{"",abc}');
SELECT swap_all('bytea', '{"","\\x00ff"}');
SELECT swap_all('date', '{2026-11-22,infinity}');
SELECT swap_all('timestamptz', '{2026-11-22 05:00:00.123456+00,-infinity}');
SELECT swap_all('interval', '{1 year -2 days 03:04:05.678}');
SELECT swap_all('uuid', '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}');
SELECT swap_all('json', ARRAY['{"a": [1,  2]}', 'null']);
SELECT swap_all('jsonb', ARRAY['{"a": [1,  2]}', 'null']);
SELECT swap_all('point', '{"(1,2)"}');
SELECT swap_all('int4range', '{empty,"[1,5)"}');
SELECT swap_all('text[]', ARRAY['{}', '{a,NULL,""}']);
-- typmods as in an assignment
CREATE FOREIGN TABLE nm (k int, v numeric(6,2)) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_swap('nm', 1, 1.006), nr_swap('nm', 1, 2.0);
SELECT nr_swap('nm', 1, 12345.6);
SELECT nr_get('nm', 1);

-- the type must be the column's, since it is the answer's: the hint shows the cast
SELECT nr_swap('nm', 1, 2);
SELECT nr_swap('nm', 1, '2');
SELECT nr_swap('nm', 1, NULL);
SELECT nr_swap('t', 1, 5);
CREATE FOREIGN TABLE vc (k int, v varchar) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_swap('vc', 1, 'x');
SELECT nr_swap('vc', 1, 'x'::varchar), nr_swap('vc', 1, 'y'::varchar), pg_typeof(nr_swap('vc', 1, NULL::varchar));

-- several value columns: rows
CREATE FOREIGN TABLE product (id int, name text, price numeric(8,2), tags text[]) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_swap('product', 1, ROW(1, 'lamp', 19.9, '{light}')::product);
SELECT nr_swap('product', 1, ROW(NULL, 'desk', 120, NULL)::product);
SELECT (nr_swap('product', 1, ROW(1, 'chair', 35, '{}')::product)).name;
SELECT nr_swap('product', 1, NULL::product);
SELECT nr_swap('product', 1, ROW(1, repeat('n', 20000), 1, '{}')::product);
SELECT length((nr_swap('product', 1, ROW(1, 'table', 80, '{wood}')::product)).name), nr_get('product', 1);
SELECT nr_swap('product', 1, ROW(2, 'other', 1, '{}')::product);
SELECT nr_swap('product', 1, ROW(1, 'x', 1, '{}'));
SELECT nr_swap('product', 1, 'x');
SELECT nr_get('product', 1);

-- ---- constraints: as for nr_put -------------------------------------------------
CREATE DOMAIN percent AS numeric(5,2) CHECK (VALUE BETWEEN 0 AND 100);
CREATE DOMAIN code AS text CHECK (VALUE ~ '^[a-z]+$');
CREATE FOREIGN TABLE pc (k code, v percent) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_swap('pc', 'a', 50.005), nr_swap('pc', 'a', 60::percent), nr_swap('pc', 'a', NULL::percent);
SELECT nr_swap('pc', 'a', 101.0);
SELECT nr_swap('pc', 'A', 1.0);
SELECT nr_cas('pc', 'a', NULL, 101.0);
SELECT nr_cas('pc', 'A', NULL, 1.0);
SELECT nr_incr('pc', 'a', 99.996), nr_incr('pc', 'a', -99.0::percent);
SELECT nr_incr('pc', 'a', 99.996);
SELECT nr_incr('pc', 'a', 0.004);
SELECT nr_incr('pc', 'a', 0.1);
SELECT nr_incr('pc', 'a', -100.01);
SELECT nr_incr('pc', 'A', 1.0);
SELECT * FROM pc;
CREATE FOREIGN TABLE ck (k int, v int NOT NULL CHECK (v + k < 10)) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_swap('ck', 1, 8), nr_swap('ck', 1, 7), nr_incr('ck', 1, 1), nr_incr('ck', 2, -3);
SELECT nr_swap('ck', 1, 9);
SELECT nr_swap('ck', 1, NULL::int);
SELECT nr_cas('ck', 1, 8, 9);
SELECT nr_cas('ck', 1, 8, NULL);
SELECT nr_incr('ck', 1, 1);
SELECT nr_incr('ck', 1, 2147483647);
SELECT * FROM ck ORDER BY k;
CREATE TABLE part (k int, v int) PARTITION BY RANGE (v);
CREATE FOREIGN TABLE part_low PARTITION OF part FOR VALUES FROM (0) TO (10) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_incr('part_low', 1, 9), nr_swap('part_low', 2, 1), nr_cas('part_low', 2, 1, 2);
SELECT nr_incr('part_low', 1, 1);
SELECT nr_swap('part_low', 1, 10);
SELECT nr_cas('part_low', 2, 2, 10);
SELECT * FROM part ORDER BY k;
-- a generated column is computed, whatever the row has in it
CREATE FOREIGN TABLE gen (k int, v int, w int GENERATED ALWAYS AS (v * 10) STORED) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_swap('gen', 1, ROW(1, 2, 3)::gen), nr_swap('gen', 1, ROW(1, 4, NULL)::gen);
SELECT nr_cas('gen', 1, nr_get('gen', 1, NULL::gen), ROW(1, 5, 0)::gen), nr_get('gen', 1);
CREATE FOREIGN TABLE gen1 (k int, w int GENERATED ALWAYS AS (k * 10) STORED) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_swap('gen1', 2, 5), nr_swap('gen1', 2, 6), nr_cas('gen1', 2, 20, 7), nr_get('gen1', 2);
SELECT nr_incr('gen1', 2, 1);

-- ---- nr_cas: replace what is expected -------------------------------------------
TRUNCATE t;
SELECT nr_cas('t', 1, 'a', 'b') AS missing, nr_get('t', 1);
SELECT nr_cas('t', 1, NULL, 'a') AS was_missing, nr_cas('t', 1, NULL, 'b') AS is_there, nr_get('t', 1);
SELECT nr_cas('t', 1, 'b', 'c') AS another, nr_cas('t', 1, 'a', 'c') AS same, nr_get('t', 1);
-- NULL and missing are one, as nr_get answers them; a NULL is put, not deleted
SELECT nr_cas('t', 1, 'c', NULL), count(*) FROM t;
SELECT nr_cas('t', 1, '', 'd') AS empty, nr_cas('t', 1, NULL, 'd') AS was_null, nr_get('t', 1);
SELECT nr_cas('t', 9, NULL, NULL), nr_cas('t', 9, NULL, NULL);
SELECT count(*) FROM t WHERE k = 9;
-- long values
SELECT nr_cas('t', 1, 'd', repeat('x', 30000)), nr_cas('t', 1, repeat('x', 29999), 'y'), nr_cas('t', 1, repeat('x', 30000), repeat('y', 40000)),
       nr_cas('t', 1, repeat('y', 40000), repeat('z', 65000)), nr_cas('t', 1, repeat('z', 65000), 'e'), nr_get('t', 1);
SELECT nr_cas('t', 1, 'e', repeat('x', 70000));
SELECT nr_get('t', 1);
-- both arguments are coerced as nr_put does
SELECT nr_put('nm', 1, 1.5), nr_cas('nm', 1, '1.5', '2'), nr_cas('nm', 1, 2, 3), nr_cas('nm', '1', 3::bigint, 4.006), nr_cas('nm', 1, 4.01::float8, 5), nr_get('nm', 1);
SELECT nr_cas('nm', 1, 5, 12345.6);
SELECT nr_cas('nm', 1, 5, 'abc'::text);
SELECT nr_cas('nm', 1, 'abc', '5');
SELECT nr_cas('nm', 1, true, false);
SELECT nr_cas('nm', NULL::int, 5, 6);
-- what is expected need not fit the column; it is not there, then
SELECT nr_cas('nm', 1, 99999.123, 6), nr_cas('nm', 1, 5.004, 6), nr_cas('pc', 'a', 500, 1), nr_get('nm', 1);

-- the type's own equality
CREATE FUNCTION cas_equal(type text, there text, expected text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    answer boolean;
BEGIN
    EXECUTE format('CREATE FOREIGN TABLE s (k int, v %s) SERVER nr_cache OPTIONS (visibility ''immediate'')', type);
    EXECUTE format('SELECT nr_put(''s'', 1, %L)', there);
    EXECUTE format('SELECT nr_cas(''s'', 1, %L, NULL)', expected) INTO answer;
    IF answer <> (nr_get('s', 1) IS NULL) THEN
        RAISE EXCEPTION 'answered % but left %', answer, nr_get('s', 1);
    END IF;
    DROP FOREIGN TABLE s;
    RETURN answer;
END $$;
-- (one statement for each, since a cache's place is free again at COMMIT)
\t
\a
SELECT format('SELECT cas_equal(%L, %L, %L)', type, there, expected) FROM (VALUES
    ('numeric', '1.0', '1.00'), ('numeric', 'NaN', 'NaN'), ('numeric', '1.0', '1.01'),
    ('double precision', '-0', '0'), ('double precision', 'NaN', 'NaN'), ('real', '0.1', '0.1'),
    ('char(5)', 'ab', 'ab   '), ('text', 'ab', 'ab '), ('varchar(3)', 'abc', 'abcd'),
    ('boolean', 't', 'yes'), ('date', '2026-11-22', '20261122'), ('interval', '1 day', '24 hours'),
    ('timestamptz', '2026-11-22 00:00+00', '2026-11-22 01:00+01'),
    ('jsonb', '{"a": 1, "b": 2}', '{"b": 2, "a": 1.0}'), ('jsonb', 'null', '{}'),
    ('bit(3)', '101', '101'), ('bit(3)', '101', '1010'), ('"char"', 'a', 'a'), ('name', 'abc', 'abc'),
    ('int[]', '{1,NULL}', '{1,NULL}'), ('int[]', '{1,NULL}', '{1,2}'), ('numeric[]', '{1.0}', '{1.00}'),
    ('numrange', '[1.0,2.0)', '[1.00,2.00)'), ('inet', '10.0.0.1', '10.0.0.1/32'), ('pc', '(a,1.0)', '(a,1.00)')
  ) AS v (type, there, expected) \gexec
\a
\t
-- under the column's collation
CREATE FOREIGN TABLE col_c (k int, v text COLLATE "C") SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_put('col_c', 1, 'a'), nr_cas('col_c', 1, 'A', 'b'), nr_cas('col_c', 1, 'a', 'b');
-- types without equality
CREATE FOREIGN TABLE js (k int, v json) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_put('js', 1, '{}');
SELECT nr_cas('js', 1, '{}', '[]');
SELECT nr_cas('js', 1, NULL::json, '[]');
CREATE FOREIGN TABLE pt (k int, v point, w int) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_cas('pt', 1, NULL, ROW(1, '(1,2)', 3)::pt);
CREATE FOREIGN TABLE jsa (k int, v json[]) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_cas('jsa', 1, NULL, '{}'::json[]);

-- rows
TRUNCATE product;
SELECT nr_cas('product', 1, NULL, ROW(1, 'lamp', 19.9, '{a,b}')::product), nr_cas('product', 1, NULL, ROW(1, 'x', 1, '{}')::product);
SELECT nr_cas('product', 1, ROW(1, 'lamp', 19.900, '{a}')::product, ROW(1, 'x', 1, '{}')::product),
       nr_cas('product', 1, ROW(1, 'lamp', 19.900, '{a,b}')::product, ROW(1, 'desk', NULL, '{}')::product), nr_get('product', 1);
SELECT nr_cas('product', 1, ROW(NULL, 'desk', 0, '{}')::product, NULL), nr_cas('product', 1, ROW(NULL, 'desk', NULL, '{}')::product, NULL), nr_get('product', 1);
SELECT nr_cas('product', 1, NULL, ROW(1, 'x', 1, '{}')::product) AS a_row_of_nulls_is_there, nr_cas('product', 1, ROW(1, NULL, NULL, NULL)::product, ROW(1, 'y', 1, '{}')::product);
SELECT nr_cas('product', 1, nr_get('product', 1, NULL::product), ROW(1, 'z', 2, '{}')::product), nr_get('product', 1);
SELECT nr_cas('product', 1, ROW(2, 'z', 2, '{}')::product, ROW(1, 'z', 2, '{}')::product);
SELECT nr_cas('product', 1, ROW(1, 'z', 2, '{}'), ROW(1, 'z', 2, '{}'));
SELECT nr_cas('product', 1, 'x', 'y');

-- a loop as clients write it
CREATE FUNCTION append(key int, more text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    now text;
BEGIN
    LOOP
        now := nr_get('t', key);
        EXIT WHEN nr_cas('t', key, now, concat(now, more));
    END LOOP;
    RETURN nr_get('t', key);
END $$;
SELECT append(20, 'a'), append(20, 'b'), append(20, 'c');

-- ---- nr_incr: the value after -----------------------------------------------------
CREATE FUNCTION incr_all(type text, bys text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    literal text;
    answer text;
    answers text[] := '{}';
BEGIN
    EXECUTE format('CREATE FOREIGN TABLE s (k text, v %s) SERVER nr_cache OPTIONS (visibility ''immediate'')', type);
    FOREACH literal IN ARRAY bys LOOP
        BEGIN
            EXECUTE format('SELECT nr_incr(''s'', ''k'', %L::%s)', literal, type) INTO answer;
            IF answer IS DISTINCT FROM nr_get('s', 'k') THEN
                RAISE EXCEPTION 'answered % but left %', answer, nr_get('s', 'k');
            END IF;
        EXCEPTION WHEN numeric_value_out_of_range THEN
            -- and nothing changed
            IF answer IS DISTINCT FROM nr_get('s', 'k') THEN
                RAISE EXCEPTION '% became %', answer, nr_get('s', 'k');
            END IF;
            answers := answers || SQLERRM;
            CONTINUE;
        END;
        answers := answers || answer;
    END LOOP;
    DROP FOREIGN TABLE s;
    RETURN type || ' ' || answers::text;
END $$;
SELECT incr_all('smallint', '{1,32766,1,0,-32767,-32768,-1,32767}');
SELECT incr_all('smallint', '{-32768,-1,-32768,32767}');
SELECT incr_all('integer', '{1,2147483646,1,0,-2147483647,-2147483648,-1,2147483647}');
SELECT incr_all('bigint', '{1,9223372036854775806,1,0,-9223372036854775807,-9223372036854775808,-1,9223372036854775807}');
SELECT incr_all('double precision', '{0.1,0.2,-0.3,1e308,1e308,-1e308,-1e308,-1e308,1e308,Infinity,5,-Infinity,1}');
SELECT incr_all('double precision', '{-0,-0,NaN,1,Infinity}');
SELECT incr_all('numeric', '{0.1,0.2,-0.30,1e-20,12345678901234567890123456789,Infinity,1,-Infinity,1}');
SELECT incr_all('numeric', '{0,9e131071,9e131071}') LIKE '%value overflows numeric format%' AS overflow;
SELECT incr_all('numeric(6,2)', '{1,0.004,0.006,9998,0.99,0.01,-19999,-20000}');
-- the same with checks, which PostgreSQL computes itself
CREATE DOMAIN d2 AS smallint;
CREATE DOMAIN d4 AS int;
CREATE DOMAIN d8 AS bigint;
CREATE DOMAIN df AS double precision;
SELECT incr_all('d2', '{1,32766,1,0,-32767,-32768,-1,32767}');
SELECT incr_all('d4', '{1,2147483646,1,0,-2147483647,-2147483648,-1,2147483647}');
SELECT incr_all('d8', '{1,9223372036854775806,1,0,-9223372036854775807,-9223372036854775808,-1,9223372036854775807}');
SELECT incr_all('df', '{0.1,0.2,-0.3,1e308,1e308,-1e308,-1e308,-1e308,1e308,Infinity,5,-Infinity,1}');
SELECT incr_all('df', '{-0,-0,NaN,1,Infinity}');

CREATE FOREIGN TABLE hits (k text, v bigint) SERVER nr_cache OPTIONS (visibility 'immediate');
-- the errors
SELECT nr_put('hits', 'max', 9223372036854775807);
SELECT nr_incr('hits', 'max', 1::bigint);
SELECT nr_incr('hits', 'max', 1);
SELECT nr_incr('hits', 'max', '1');
SELECT nr_incr('hits', 'max', 1.0);
SELECT nr_incr('hits', 'max', NULL);
SELECT nr_incr('hits', 'max', NULL::bigint);
SELECT nr_incr('hits', NULL::text, 1::bigint);
SELECT nr_incr('t', 1, 1);
SELECT nr_incr('t', 1, 'x');
SELECT nr_incr('product', 1, 1);
CREATE FOREIGN TABLE re (k int, v real) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_incr('re', 1, 1::real);
-- missing and NULL count as 0; a row of it is made
SELECT nr_put('hits', 'null', NULL::bigint), nr_incr('hits', 'null', 5::bigint), nr_incr('hits', 'new', 7::bigint), nr_incr('hits', 'zero', 0::bigint);
SELECT nr_put('nm', 7, NULL), nr_incr('nm', 7, 1.5), nr_incr('nm', 8, 0.0);
SELECT * FROM hits ORDER BY k;
SELECT pg_typeof(nr_incr('hits', 'new', 1::bigint)), pg_typeof(nr_incr('nm', 7, 1.0)), pg_typeof(nr_incr('pc', 'b', 1::percent));
-- many in one statement
SELECT max(nr_incr('hits', 'many', i::bigint)) FROM generate_series(1, 1000) i;
SELECT nr_get('hits', 'many', 0::bigint), sum(nr_incr('hits', 'k' || i % 10, 1::bigint)) FROM generate_series(1, 100) i;
SELECT count(*) FILTER (WHERE v = 10) FROM hits WHERE k ~ '^k';
-- different call sites, caches and types at one site
SELECT c, nr_incr(c, 'site', 1::bigint) FROM unnest('{hits,hits}'::regclass[]) c;
SELECT c, nr_incr(c, 'site', 1::bigint) FROM unnest('{hits,nm}'::regclass[]) c;

-- ---- not undone, not to be had elsewhere ---------------------------------------------
BEGIN;
SELECT nr_incr('hits', 'kept', 1::bigint), nr_swap('t', 30, 'kept'), nr_cas('t', 31, NULL, 'kept');
ROLLBACK;
SELECT nr_get('hits', 'kept'), nr_get('t', 30), nr_get('t', 31);
CREATE FOREIGN TABLE atc (k int, v int) SERVER nr_cache;
CREATE FOREIGN TABLE atm (k int, v int) SERVER nr_cache OPTIONS (visibility 'manual');
SELECT nr_swap('atc', 1, 1);
SELECT nr_cas('atc', 1, 1, 1);
SELECT nr_incr('atc', 1, 1);
SELECT nr_swap('atm', 1, 1);
SELECT nr_cas('atm', 1, 1, 1);
SELECT nr_incr('atm', 1, 1);
-- what the hint proposes
CREATE TABLE guard (k int PRIMARY KEY);
INSERT INTO guard VALUES (1);
BEGIN;
SELECT k FROM guard WHERE k = 1 FOR UPDATE;
SELECT nr_put('atc', 1, nr_get('atc', 1, 0) + 1);
COMMIT;
SELECT nr_get('atc', 1);

BEGIN READ ONLY;
SELECT nr_swap('t', 1, 'x');
ROLLBACK;
BEGIN READ ONLY;
SELECT nr_cas('t', 1, 'x', 'y');
ROLLBACK;
BEGIN READ ONLY;
SELECT nr_incr('hits', 'new', 1::bigint);
ROLLBACK;

-- SELECT, INSERT and UPDATE, all three
CREATE ROLE nr_regress_responder;
GRANT USAGE ON SCHEMA t_resp TO nr_regress_responder;
CREATE FUNCTION who_may(privileges text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    call text;
    may text := '';
BEGIN
    REVOKE ALL ON hits FROM nr_regress_responder;
    EXECUTE format('GRANT %s ON hits TO nr_regress_responder', privileges);
    FOREACH call IN ARRAY ARRAY['nr_swap(''hits'', ''p'', 1::bigint)', 'nr_cas(''hits'', ''p'', 1, 1)', 'nr_incr(''hits'', ''p'', 1::bigint)'] LOOP
        BEGIN
            SET LOCAL ROLE nr_regress_responder;
            EXECUTE 'SELECT ' || call;
            may := may || substring(call FROM '\w+') || ' ';
        EXCEPTION WHEN insufficient_privilege THEN
            may := may || '- ';
        END;
        RESET ROLE;
    END LOOP;
    RETURN may;
END $$;
SELECT p, who_may(p) FROM unnest('{"INSERT, UPDATE","SELECT, INSERT","SELECT, UPDATE","SELECT","SELECT, INSERT, UPDATE"}'::text[]) p;
DROP OWNED BY nr_regress_responder;
DROP ROLE nr_regress_responder;

-- ---- every scheme ----------------------------------------------------------------------
CREATE FUNCTION with_options(options text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answers text;
BEGIN
    EXECUTE format('CREATE FOREIGN TABLE s (k int, v int) SERVER nr_cache OPTIONS (visibility ''immediate'', %s)', options);
    EXECUTE format('CREATE FOREIGN TABLE st (k int, v text) SERVER nr_cache OPTIONS (visibility ''immediate'', %s)', options);
    EXECUTE format('CREATE FOREIGN TABLE sn (k int, v numeric) SERVER nr_cache OPTIONS (visibility ''immediate'', %s)', options);
    PERFORM nr_incr('s', i % 7, i), nr_incr('sn', i % 7, i + 0.5), nr_swap('st', i % 7, repeat(i::text, i)),
            nr_cas('st', -1, CASE WHEN i > 1 THEN (i - 1)::text END, i::text)
       FROM generate_series(1, 3000) i;
    SELECT concat_ws(' ', (SELECT sum(v) FROM s), (SELECT sum(v) FROM sn),
                     (SELECT bool_and(v = repeat((2994 + (k + 2) % 7)::text, 2994 + (k + 2) % 7)) FROM st WHERE k >= 0),
                     nr_get('st', -1), nr_check('s'), nr_check('st'), nr_check('sn')) INTO answers;
    BEGIN
        PERFORM nr_incr('s', 1, 2147483647);
    EXCEPTION WHEN numeric_value_out_of_range THEN
        answers := concat_ws(' ', answers, SQLERRM, (SELECT sum(v) FROM s), nr_check('s'));
    END;
    DROP FOREIGN TABLE s, st, sn;
    RETURN answers;
END $$;
SELECT with_options('scheme ''nr''');
SELECT with_options('copies ''2''');
SELECT with_options('scheme ''left_right''');
-- locks are given up again
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 28279 AND pid = pg_backend_pid();

-- ---- user code inside: constraints and equality that use the cache themselves -------------
CREATE FUNCTION looks(int) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nr_incr('t_resp.hits', 'looks', 1::bigint), nr_get('t_resp.t', 1), length(nr_swap('t_resp.t', 40, repeat('l', 20000)));
    RETURN $1 < 100;
END $$;
CREATE FOREIGN TABLE lk (k int, v int CHECK (looks(v))) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_incr('lk', 1, 50), nr_incr('lk', 1, 49), nr_swap('lk', 1, 7), nr_cas('lk', 1, 7, 8), nr_get('lk', 1);
SELECT nr_incr('lk', 1, 92);
SELECT nr_get('lk', 1), nr_get('hits', 'looks');
-- A constraint that changes the very value: it is read again.  Who has lost some of these
-- races takes the lock of writers, until the race is over, or an error ends it.
CREATE FUNCTION meddles(key int, new int) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    n bigint := nr_incr('t_resp.hits', 'meddles', 1::bigint);
    locks bigint := (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 28279 AND pid = pg_backend_pid());
BEGIN
    IF n IN (1, 8, 9, 10) THEN
        RAISE NOTICE 'attempt %: %, % locks', n, new, locks;
    END IF;
    IF n < 10 THEN
        PERFORM nr_put('t_resp.meddled', key, nr_get('t_resp.meddled', key, 0) + 100);
    END IF;
    RETURN new < 2000;
END $$;
CREATE FOREIGN TABLE meddled (k int, v int CHECK (v % 100 = 0 OR meddles(k, v))) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_incr('meddled', 1, 1);
SELECT nr_get('meddled', 1), nr_get('hits', 'meddles');
SELECT nr_put('hits', 'meddles', 0::bigint), nr_put('meddled', 2, 1100);
DO $$
BEGIN
    PERFORM nr_incr('meddled', 2, 1);
EXCEPTION WHEN check_violation THEN
    RAISE NOTICE '%, % locks', SQLERRM, (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 28279 AND pid = pg_backend_pid());
END $$;
SELECT nr_get('meddled', 2), nr_get('hits', 'meddles');

-- An equality function that reads and writes caches, and makes us look the cache up anew, between the read and the swap.
CREATE TYPE box_id AS (id int, note text);
CREATE FOREIGN TABLE bx (k int, v box_id) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FUNCTION same_id(a box_id, b box_id) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM length(nr_swap('t_resp.t', 41, repeat('s', 20000))), nr_put('t_resp.t', 42, repeat('p', 40000)), length(nr_get('t_resp.t', 42));
    EXECUTE coalesce(current_setting('t_resp.inside', true), '');
    RETURN a.id = b.id;
END $$;
CREATE FUNCTION less_id(a box_id, b box_id) RETURNS boolean LANGUAGE sql AS 'SELECT a.id < b.id';
CREATE FUNCTION compare_id(a box_id, b box_id) RETURNS int LANGUAGE sql AS 'SELECT a.id - b.id';
CREATE OPERATOR === (LEFTARG = box_id, RIGHTARG = box_id, FUNCTION = same_id);
CREATE OPERATOR <<< (LEFTARG = box_id, RIGHTARG = box_id, FUNCTION = less_id);
CREATE OPERATOR CLASS by_id DEFAULT FOR TYPE box_id USING btree AS OPERATOR 1 <<<, OPERATOR 3 ===, FUNCTION 1 compare_id(box_id, box_id);
SET t_resp.inside = $$ COMMENT ON FOREIGN TABLE t_resp.bx IS 'seen'; GRANT SELECT ON t_resp.bx TO PUBLIC; REVOKE SELECT ON t_resp.bx FROM PUBLIC $$;
SELECT nr_put('bx', 1, ROW(1, repeat('n', 5000))::box_id);
SELECT nr_cas('bx', 1, ROW(1, 'other')::box_id, ROW(2, repeat('m', 12000))::box_id), nr_cas('bx', 1, ROW(1, 'other')::box_id, NULL);
SELECT (v).id, length((v).note) FROM nr_get('bx', 1, NULL::box_id) v;
-- the value goes away under it: looked at again, it is not as expected
SET t_resp.inside = $$ SELECT nr_truncate('t_resp.bx') $$;
SELECT nr_cas('bx', 1, ROW(2, '')::box_id, ROW(3, '')::box_id), nr_get('bx', 1) IS NULL AS gone;
-- the layout changes: an error, and nothing is lost
SET t_resp.inside = $$ ALTER FOREIGN TABLE t_resp.bx ADD COLUMN w int $$;
SELECT nr_put('bx', 1, ROW(4, '')::box_id);
SET client_min_messages = warning;
SELECT nr_cas('bx', 1, ROW(4, '')::box_id, ROW(5, '')::box_id);
RESET client_min_messages;
SELECT nr_get('bx', 1);
RESET t_resp.inside;

-- a full cache is an error as for nr_put, and what is there stays
CREATE FOREIGN TABLE small (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate', memory '1MB');
CREATE FUNCTION fill() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    n int := 0;
BEGIN
    LOOP
        BEGIN
            PERFORM nr_swap('small', n, repeat('x', 5000));
            n := n + 1;
        EXCEPTION WHEN out_of_memory THEN
            IF n > 20 AND count(*) = n FROM small THEN
                RETURN regexp_replace(SQLERRM, '[0-9]+', 'N');
            END IF;
            RETURN 'after ' || n;
        END;
    END LOOP;
END $$;
SELECT fill();
SELECT nr_cas('small', -1, NULL, repeat('y', 5000));
SELECT nr_cas('small', 0, repeat('x', 5000), 'less'), nr_swap('small', 0, 'still less'), nr_get('small', 0), nr_check('small');

-- nr_default has no short forms, but is a cache like others
SELECT nr_incr('a', 1);
SELECT nr_swap('nr_default', 'resp', 'x'), nr_swap('nr_default', 'resp', 'y'), nr_cas('nr_default', 'resp', 'y', 'z'), nr_delete('resp');

SELECT bool_and(nr_check(c)) FROM unnest('{t,nm,vc,product,pc,ck,part_low,gen,gen1,hits,lk,meddled,bx,small}'::regclass[]) c;
SET client_min_messages = warning;
DROP SCHEMA t_resp CASCADE;
