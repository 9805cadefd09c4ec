--
-- Values of every kind: one column, several, NULLs, domains, constraints, sizes.
--
CREATE SCHEMA t_values;
SET search_path = t_values, public;
SET extra_float_digits = 1;
SET timezone = 'UTC';
SET datestyle = 'ISO';

-- one column of each type: what goes in comes out, as the type and as text
CREATE FUNCTION round_trip(type text, literals text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    literal text;
    same boolean;
    shown text;
BEGIN
    EXECUTE format('CREATE FOREIGN TABLE rt (k int, v %s) SERVER nr_cache OPTIONS (scheme ''nr'', visibility ''immediate'')', type);
    FOREACH literal IN ARRAY literals LOOP
        EXECUTE format('SELECT nr_put(''rt'', 1, %L::%s)', literal, type);
        EXECUTE format('SELECT nr_get(''rt'', 1, NULL::%1$s)::text IS NOT DISTINCT FROM %2$L::%1$s::text AND coalesce(nr_get(''rt'', 1), '''') = format(''%%s'', %2$L::%1$s), nr_get(''rt'', 1)', type, literal)
            INTO same, shown;
        RETURN NEXT format('%s %s %s', type, CASE WHEN same THEN 'same' ELSE 'DIFFERENT' END,
                           CASE WHEN shown IS NULL THEN 'NULL' WHEN length(shown) > 50 THEN md5(shown) ELSE shown END);
    END LOOP;
    -- the literals again, as text
    FOREACH literal IN ARRAY literals LOOP
        CONTINUE WHEN literal IS NULL;
        EXECUTE format('SELECT nr_put(''rt'', 2, %L)', literal);
        EXECUTE format('SELECT nr_get(''rt'', 2) = format(''%%s'', %2$L::%1$s)', type, literal) INTO same;
        IF NOT same THEN
            RETURN NEXT format('%s DIFFERENT as text: %s', type, literal);
        END IF;
    END LOOP;
    DROP FOREIGN TABLE rt;
END $$;

SELECT round_trip('boolean', '{t,f,NULL}');
SELECT round_trip('smallint', '{0,-32768,32767,NULL}');
SELECT round_trip('integer', '{0,-2147483648,2147483647,NULL}');
SELECT round_trip('bigint', '{0,-9223372036854775808,9223372036854775807,NULL}');
SELECT round_trip('real', '{0,-0,1.5,NaN,Infinity,NULL}');
SELECT round_trip('double precision', '{0,-0,1.5e300,NaN,-Infinity,NULL}');
SELECT round_trip('numeric', ARRAY['0', '-1.50', 'NaN', 'Infinity', '3.14159265358979323846', repeat('9', 1000), NULL]);
SELECT round_trip('numeric(10,2)', '{0,1.005,-99999999.99,NULL}');
SELECT round_trip('money', '{1.50,NULL}');
SELECT round_trip('text', ARRAY['', ' ', 'abc', repeat('x', 125), repeat('x', 126), repeat('x', 127), repeat('x', 128), repeat('y', 50000), NULL]);
SELECT round_trip('varchar(3)', '{"",abc,"ab ",NULL}');
SELECT round_trip('char(5)', '{"",abc,"ab ",NULL}');
SELECT round_trip('name', ARRAY['', 'a name', repeat('n', 63), NULL]);
SELECT round_trip('"char"', '{a,"",NULL}');
SELECT round_trip('bytea', ARRAY['', '\x00', '\x0001fe', NULL]);
SELECT round_trip('date', '{2026-11-21,infinity,4713-01-01 BC,NULL}');
SELECT round_trip('time', '{00:00,23:59:59.999999,NULL}');
SELECT round_trip('timetz', '{00:00+14,23:59:59.999999-07,NULL}');
SELECT round_trip('timestamp', '{2026-11-21 22:00:00.123456,-infinity,NULL}');
SELECT round_trip('timestamptz', '{2026-11-21 22:00:00.123456+01,infinity,NULL}');
SELECT round_trip('timestamptz(0)', '{2026-11-21 22:00:00.623456+01,NULL}');
SELECT round_trip('interval', '{1 year -2 days 03:04:05.678,0,NULL}');
SELECT round_trip('interval day to minute', '{3 days 04:05:06,NULL}');
SELECT round_trip('uuid', '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,NULL}');
SELECT round_trip('inet', '{10.0.0.1,2001:db8::/32,NULL}');
SELECT round_trip('macaddr', '{08:00:2b:01:02:03,NULL}');
SELECT round_trip('bit(5)', '{10101,NULL}');
SELECT round_trip('bit varying', '{"",1,10101,NULL}');
SELECT round_trip('json', ARRAY['{"a": [1, 2,  3]}', 'null', NULL]);
SELECT round_trip('jsonb', ARRAY['{"a": [1, 2,  3]}', 'null', '{}', NULL]);
SELECT round_trip('point', '{"(1,2)",NULL}');
SELECT round_trip('polygon', '{"((0,0),(1,1),(1,0))",NULL}');
SELECT round_trip('tsvector', ARRAY['', 'a:1 b:2', NULL]);
SELECT round_trip('int4range', '{empty,"[1,5)","(,)",NULL}');
SELECT round_trip('numrange', '{"[1.5,2.5]",NULL}');
SELECT round_trip('int4multirange', ARRAY['{}', '{[1,5),[7,9)}', NULL]);
SELECT round_trip('int[]', ARRAY['{}', '{1,NULL,3}', '[0:1][2:3]={{1,2},{3,4}}', NULL]);
SELECT round_trip('text[]', ARRAY['{}', '{a,NULL,"",c}', NULL]);
SELECT round_trip('regclass', '{pg_class,NULL}');
SELECT round_trip('oidvector', ARRAY['', '1 2 3', NULL]);
SELECT round_trip('int2vector', ARRAY['1 2 3', NULL]);
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
SELECT round_trip('mood', '{sad,happy,NULL}');
CREATE TYPE pair AS (a int, b text);
SELECT round_trip('pair', ARRAY['(1,x)', '(,)', '(2,"")', NULL]);
SELECT round_trip('pair[]', ARRAY['{"(1,x)","(2,y)"}', '{}', NULL]);
CREATE DOMAIN percent AS numeric(5,2) CHECK (VALUE BETWEEN 0 AND 100);
SELECT round_trip('percent', '{0,12.345,100,NULL}');

-- NULL is not the empty string, and neither is missing
CREATE FOREIGN TABLE t (k int, v text) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT nr_put('t', 1, NULL::text), nr_put('t', 2, '');
SELECT k, nr_get('t', k) IS NULL AS null, nr_get('t', k) = '' AS empty, nr_get('t', k, 'fallback'::text) AS v FROM generate_series(1, 3) k;

-- assignment casts and typmods: what INSERT would do
CREATE FOREIGN TABLE n (k int, v numeric(6,2)) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT nr_put('n', 1, 1.005), nr_put('n', 2, 7), nr_put('n', 3, 2.5::float8), nr_put('n', 4, '3.999'), nr_put('n', 5, 8::bigint);
SELECT k, nr_get('n', k, NULL::numeric) FROM generate_series(1, 5) k;
SELECT nr_put('n', 1, 12345.6);
SELECT nr_put('n', 1, '12345.6');
SELECT nr_put('n', ROW(1, 12345.6));
SELECT nr_put('n', 1, 'abc');
SELECT nr_put('n', 1, true);
SELECT nr_put('n', ROW(1, true));
SELECT nr_put('n', 1, ROW(1, 2));
SELECT nr_put('n', ROW(1));
SELECT nr_put('n', ROW(1, 2, 3));
SELECT nr_put('n', ROW());
SELECT nr_get('n', 1, NULL::numeric);
CREATE FOREIGN TABLE vc (k int, v varchar(3)) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT nr_put('vc', 1, 'abc'), nr_put('vc', 2, 'ab '::varchar), nr_put('vc', 3, 'abc    '), nr_put('vc', 4, 12);
SELECT k, '[' || nr_get('vc', k) || ']' FROM generate_series(1, 4) k;
SELECT nr_put('vc', 1, 'abcd');
SELECT nr_put('vc', 1, 'abcd'::varchar);
SELECT nr_put('vc', 1, 12345);
SELECT nr_get('vc', 1, 'x');
SELECT nr_get('vc', 1, 'x'::varchar);
CREATE FOREIGN TABLE i4 (k int, v int) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT nr_put('i4', 1, 5000000000), nr_put('i4', 2, 1);
SELECT nr_put('i4', 1, 5::smallint), nr_put('i4', 2, 1.5), nr_put('i4', 3, ' 9 ');
SELECT nr_get('i4', 1, 0), nr_get('i4', 2, 0), nr_get('i4', 3, 0), nr_get('i4', 4, 0);
SELECT nr_get('i4', 1, 0::bigint);

-- domains: checked on the way in; a fallback may be of the domain or of what is beneath
CREATE DOMAIN some_text AS text NOT NULL CHECK (VALUE <> 'bad');
CREATE FOREIGN TABLE d (k int, v percent) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
CREATE FOREIGN TABLE dn (k int, v some_text) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT nr_put('d', 1, 50), nr_put('d', 2, '12.345'), nr_put('d', 3, 99.999::percent), nr_put('d', 4, NULL::percent), nr_put('d', 5, NULL);
SELECT nr_put('d', 1, 101);
SELECT nr_put('d', 1, '-1');
SELECT nr_put('d', ROW(1, 200));
SELECT k, nr_get('d', k), nr_get('d', k, NULL::percent), nr_get('d', k, 0.0) FROM generate_series(1, 6) k;
SELECT nr_get('d', 1, 0);
SELECT nr_put('dn', 1, 'good');
SELECT nr_put('dn', 1, 'bad');
SELECT nr_put('dn', 1, NULL::text);
SELECT nr_put('dn', 1, NULL::varchar);
SELECT nr_put('dn', ROW(1, NULL));
SELECT nr_get('dn', 1), nr_get('dn', 2);
-- a domain that is altered is heeded at once
ALTER DOMAIN some_text ADD CHECK (VALUE <> 'good');
SELECT nr_put('dn', 2, 'good');

-- a domain over a composite type
CREATE DOMAIN good_pair AS pair CHECK ((VALUE).a > 0);
CREATE FOREIGN TABLE dp (k int, v good_pair) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT nr_put('dp', 1, ROW(1, 'x')::pair), nr_put('dp', 2, '(2,y)'), nr_put('dp', ROW(3, ROW(3, 'z')::pair));
SELECT nr_put('dp', 1, ROW(-1, 'x')::pair);
SELECT nr_put('dp', 1, '(-1,x)');
SELECT nr_get('dp', 1), nr_get('dp', 2, NULL::good_pair), nr_get('dp', 3, NULL::pair), (nr_get('dp', 3, NULL::good_pair)).b;
SELECT nr_get_many('dp', '{1,2,9}'::int[], NULL::good_pair), nr_get_many('dp', '{1,2,9}'::int[], '(9,none)'::pair);

-- several value columns: a row
CREATE FOREIGN TABLE product (id int, name text, price numeric(8,2), tags text[], flag boolean) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT nr_put('product', ROW(42, 'bolt', 1.255, '{m8,steel}', true));
SELECT nr_put('product', ROW(43, 'nut', '0.10', NULL, NULL)::product);
SELECT nr_put('product', 44, ROW(NULL, 'washer', NULL, '{}', false)::product);
SELECT nr_put('product', 45, ROW(45, NULL, NULL, NULL, NULL)::product);
SELECT nr_put('product', 46, NULL::product);
SELECT k, nr_get('product', k), (nr_get('product', k, NULL::product)).* FROM generate_series(42, 47) k;
SELECT (nr_get('product', 42, NULL::product)).price;
SELECT (nr_get('product', 99, ROW(99, 'none', 0, NULL, NULL)::product)).name;
SELECT nr_get('product', 42) IS NULL AS missing, nr_get('product', 99) IS NULL AS missing;
SELECT nr_put('product', ROW(47, 'unknowns', '1', '{}', 'yes'));
SELECT nr_get('product', 47);
SELECT nr_put('product', 42, ROW(43, 'other', 1, NULL, NULL)::product);
SELECT nr_put('product', 42, 'bolt');
SELECT nr_put('product', 42, ROW('bolt', 1.25, NULL, NULL));
SELECT nr_put('product', ROW(42, 'bolt', 'dear', NULL, NULL));
SELECT nr_put('product', ROW(42, 'bolt', 1234567.5, NULL, NULL));
SELECT nr_put('product', ROW(42, 'bolt'));
SELECT nr_get('product', 42, NULL::numeric);
SELECT nr_get('product', 42, NULL);
SELECT nr_get('product', 42, ROW(1, 2));
-- rows of tables and subqueries
CREATE TABLE goods (id bigint, name varchar, junk int, price float8, tags text[], flag boolean);
INSERT INTO goods VALUES (1, 'one', 0, 1.25, '{a,b}', true), (2, 'two', 0, 2.5, NULL, false);
ALTER TABLE goods DROP COLUMN junk;
SELECT nr_put('product', g) FROM goods g;
SELECT nr_put('product', s) FROM (SELECT id + 10, name || '!', price, tags, flag FROM goods) s;
SELECT nr_get('product', k) FROM unnest('{1,2,11,12}'::int[]) k;
-- rows of the cache itself, also after columns came and went
CREATE FOREIGN TABLE self (k int, a int, b text) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT nr_put('self', ROW(1, 1, 'b'));
SELECT nr_put('self', self), nr_put('self', self.k, self) FROM self;
SELECT nr_put('self', self.k + 10, self) FROM self;
ALTER FOREIGN TABLE self DROP COLUMN a;
ALTER FOREIGN TABLE self ADD COLUMN c int;
SELECT nr_put('self', 5, ROW(5, 'five', 55)::self), nr_get('self', 5), nr_put('self', 6, ROW(NULL, 'six', 66)::self), nr_get('self', 6, NULL::self);
SELECT count(nr_put('self', self)) FROM self;
-- records of changing shape at one call site
CREATE FUNCTION shape(i int) RETURNS record LANGUAGE sql AS
    $$ SELECT CASE WHEN i % 2 = 0 THEN ROW(i, 'even', i, NULL::text[], true) ELSE ROW(i::text, 'odd'::varchar, i::text, '{x}'::text[], false) END $$;
SELECT nr_put('product', shape(i)) FROM generate_series(1000, 1003) i;
SELECT nr_put('product', CASE WHEN i % 2 = 0 THEN ROW(i, 'even', i, NULL::text[], true) ELSE ROW(i, 'odd'::text, i, '{x}'::text[], false) END) FROM generate_series(1000, 1003) i;
SELECT nr_get('product', i) FROM generate_series(1000, 1003) i;

-- more columns than bits in a byte, with NULLs here and there
CREATE FOREIGN TABLE wide (k int, a smallint, b text, c "char", d bigint, e numeric, f boolean, g uuid, h name, i text, j int) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT nr_put('wide', ROW(1, 1, 'b', 'c', 4, 5.5, true, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'name', 'i', 10));
SELECT nr_put('wide', ROW(2, NULL, 'b', NULL, 4, NULL, true, NULL, 'name', NULL, 10));
SELECT nr_put('wide', ROW(3, 1, NULL, 'c', NULL, 5.5, NULL, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', NULL, 'i', NULL));
SELECT nr_put('wide', ROW(4, 1, repeat('b', 1000), 'c', 4, repeat('9', 300), true, NULL, 'name', repeat('i', 126), 10));
SELECT nr_get('wide', 1), nr_get('wide', 2), nr_get('wide', 3), md5(nr_get('wide', 4)) = md5(('(4,1,' || repeat('b', 1000) || ',c,4,' || repeat('9', 300) || ',t,,name,' || repeat('i', 126) || ',10)')) AS same;

-- data from a table's toast: nothing may point back to the table
CREATE TABLE src (id int, a int[], j jsonb, p pair, t text, r numrange);
ALTER TABLE src ALTER t SET STORAGE EXTERNAL;
INSERT INTO src SELECT 1, array_agg(i), jsonb_object_agg(i, md5(i::text)), ROW(1, string_agg(md5(i::text), ''))::pair, string_agg(md5(i::text), ''),
    numrange(repeat('1', 2000)::numeric, repeat('2', 3000)::numeric) FROM generate_series(1, 500) i;
SELECT pg_column_size(t) > 2000 AS big FROM src;
CREATE FOREIGN TABLE ca (k int, v int[]) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
CREATE FOREIGN TABLE cj (k int, v jsonb) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
CREATE FOREIGN TABLE cp (k int, v pair) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
CREATE FOREIGN TABLE ct (k int, v text) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
CREATE FOREIGN TABLE cr (k int, v numrange) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
CREATE FOREIGN TABLE cs (id int, a int[], j jsonb, p pair, t text, r numrange) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
CREATE FOREIGN TABLE cc (k int, v src) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT nr_put('ca', 1, a), nr_put('cj', 1, j), nr_put('cp', 1, p), nr_put('ct', 1, t), nr_put('cr', 1, r) FROM src;
SELECT nr_put('cs', src), nr_put('cc', 1, src) FROM src;
CREATE TABLE sums AS SELECT md5(a::text) AS a, md5(j::text) AS j, md5(p::text) AS p, md5(t) AS t, md5(r::text) AS r, md5(src::text) AS s FROM src;
TRUNCATE src;
VACUUM src;
SELECT md5(nr_get('ca', 1)) = a AS a, md5(nr_get('cj', 1)) = j AS j, md5(nr_get('cp', 1)) = p AS p, md5(nr_get('ct', 1)) = t AS t,
       md5(nr_get('cr', 1)) = r AS r, md5(nr_get('cs', 1)) = s AS s, md5(nr_get('cc', 1)) = s AS c FROM sums;
SELECT md5((nr_get('cs', 1, NULL::cs)).t) = t AS t, md5((nr_get('cp', 1, NULL::pair)).b) = t AS b, (nr_get('ca', 1, NULL::int[]))[500] AS a,
       nr_get('cj', 1, NULL::jsonb) ->> '7' = md5('7') AS j FROM sums;

-- expanded arrays and records, from PL/pgSQL
DO $$
DECLARE
    a int[] := '{}';
    p pair;
    s cs;
BEGIN
    FOR i IN 1..300 LOOP
        a[i] := i;
    END LOOP;
    p.a := 7;
    p.b := repeat('p', 3000);
    s := nr_get('cs', 1, NULL::cs);
    s.id := 2;
    s.a := a;
    s.p := p;
    PERFORM nr_put('ca', 2, a), nr_put('cp', 2, p), nr_put('cs', s), nr_put('cs', 2, s);
END $$;
SELECT (nr_get('ca', 2, NULL::int[]))[300], array_length(nr_get('ca', 2, NULL::int[]), 1), (nr_get('cp', 2, NULL::pair)).a, length((nr_get('cp', 2, NULL::pair)).b);
SELECT (x).id, array_length((x).a, 1), length(((x).p).b), md5((x).t) = sums.t AS t FROM nr_get('cs', 2, NULL::cs) x, sums;
DROP FOREIGN TABLE cc;
DROP TABLE src;

-- sizes: the limit of an entry, key and value together
SHOW nr_cache.max_entry;
CREATE FOREIGN TABLE sized (k bigint, v bytea) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
-- 8 bytes of key and 4 of the value's header
SELECT nr_put('sized', 1, decode(repeat('ab', 65536 - 12), 'hex'));
SELECT nr_put('sized', 2, decode(repeat('ab', 65536 - 11), 'hex'));
SELECT nr_put('sized', ROW(2, decode(repeat('ab', 1000000), 'hex')));
SELECT length(nr_get('sized', 1, NULL::bytea)), nr_get('sized', 1, NULL::bytea) = decode(repeat('ab', 65536 - 12), 'hex') AS same, nr_get('sized', 2, '\x'::bytea);
SELECT bool_and(nr_put('sized', i, decode(repeat('cd', i), 'hex'))) FROM generate_series(100, 1500) i;
SELECT count(*) FROM generate_series(100, 1500) i WHERE nr_get('sized', i, NULL::bytea) = decode(repeat('cd', i), 'hex');
SELECT nr_check('sized');

-- NOT NULL and CHECK, which PostgreSQL leaves to the wrapper
CREATE FOREIGN TABLE strict (k int CHECK (k > 0), v int NOT NULL CONSTRAINT small CHECK (v < 100), w text, CONSTRAINT both_ok CHECK (v > 10 OR w IS NOT NULL)) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT nr_put('strict', ROW(1, 50, NULL)), nr_put('strict', ROW(2, 5, 'x')), nr_put('strict', 3, ROW(NULL, 99, 'y')::strict);
SELECT nr_put('strict', ROW(0, 50, NULL));
SELECT nr_put('strict', ROW(1, 100, NULL));
SELECT nr_put('strict', ROW(1, NULL, 'x'));
SELECT nr_put('strict', ROW(1, 5, NULL));
SELECT nr_put('strict', 1, ROW(NULL, NULL, NULL)::strict);
SELECT nr_put('strict', 1, NULL::strict);
SELECT nr_get('strict', k) FROM generate_series(0, 3) k;
CREATE FOREIGN TABLE strict1 (k int, v int NOT NULL CHECK (v % 2 = 0)) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT nr_put('strict1', 1, 2), nr_put('strict1', 2, '4');
SELECT nr_put('strict1', 1, 3);
SELECT nr_put('strict1', 1, NULL::int);
SELECT count(*) FILTER (WHERE nr_put('strict1', i, i * 2)) FROM generate_series(1, 1000) i;
SELECT sum(nr_get('strict1', i, 0)) FROM generate_series(1, 1001) i;
-- a constraint whose function looks something up, in this very cache and with a subtransaction
CREATE FUNCTION grows(key int, new int) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        PERFORM 1 / (key - 13);
    EXCEPTION WHEN division_by_zero THEN
        NULL;
    END;
    RETURN new > nr_get('ever', key, 0);
END $$;
CREATE FOREIGN TABLE ever (k int, v int CHECK (grows(k, v))) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT nr_put('ever', i % 3 + 12, i) FROM generate_series(1, 9) i;
SELECT nr_put('ever', 13, 5);
SELECT nr_get('ever', i, 0) FROM generate_series(12, 14) i;

SET client_min_messages = warning;
DROP SCHEMA t_values CASCADE;
RESET client_min_messages;
RESET search_path;
