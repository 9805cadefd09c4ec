--
-- Keys of every type, and the ways in which a key may be written.
--
CREATE SCHEMA t_types;
SET search_path = t_types, public;

CREATE FOREIGN TABLE k2 (k smallint, v text) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
CREATE FOREIGN TABLE k4 (k integer, v text) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
CREATE FOREIGN TABLE k8 (k bigint, v text) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
CREATE FOREIGN TABLE kt (k text, v text) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
CREATE FOREIGN TABLE kv (k varchar(5), v text) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
CREATE FOREIGN TABLE ku (k uuid, v text) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
CREATE FOREIGN TABLE kb (k bytea, v text) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');

-- integers of all widths, for keys of all widths
SELECT nr_put('k2', 1::smallint, 'a'), nr_put('k2', 2, 'b'), nr_put('k2', 3::bigint, 'c'), nr_put('k2', '4', 'd');
SELECT nr_get('k2', 1), nr_get('k2', 2::bigint), nr_get('k2', 3::smallint), nr_get('k2', '4'), nr_get('k2', 5);
SELECT nr_put('k4', 1::smallint, 'a'), nr_put('k4', 2, 'b'), nr_put('k4', 3::bigint, 'c'), nr_put('k4', '4', 'd');
SELECT nr_get('k4', 1::smallint), nr_get('k4', 2::bigint), nr_get('k4', 3), nr_get('k4', ' 4 '), nr_get('k4', 5);
SELECT nr_put('k8', 1::smallint, 'a'), nr_put('k8', 2, 'b'), nr_put('k8', 3::bigint, 'c'), nr_put('k8', '4', 'd');
SELECT nr_get('k8', 1::smallint), nr_get('k8', 2::bigint), nr_get('k8', 3), nr_get('k8', '4'), nr_get('k8', 5);
-- the ends of their ranges
SELECT nr_put('k2', -32768, 'min'), nr_put('k2', 32767, 'max'), nr_put('k2', 0, 'zero'), nr_put('k2', -1, 'minus');
SELECT nr_get('k2', -32768), nr_get('k2', 32767), nr_get('k2', 0), nr_get('k2', -1);
SELECT nr_put('k4', -2147483648, 'min'), nr_put('k4', 2147483647, 'max'), nr_put('k4', 0, 'zero'), nr_put('k4', -1, 'minus');
SELECT nr_get('k4', -2147483648), nr_get('k4', 2147483647), nr_get('k4', 0), nr_get('k4', -1);
SELECT nr_put('k8', -9223372036854775808, 'min'), nr_put('k8', 9223372036854775807, 'max'), nr_put('k8', 0, 'zero'), nr_put('k8', -1, 'minus');
SELECT nr_get('k8', -9223372036854775808), nr_get('k8', 9223372036854775807), nr_get('k8', 0), nr_get('k8', -1);
-- and beyond
SELECT nr_get('k2', 32768);
SELECT nr_get('k2', 4294967297);
SELECT nr_get('k4', 4294967297);
SELECT nr_put('k4', -2147483649, 'x');
SELECT nr_delete('k2', 65537);
SELECT nr_get('k8', 9223372036854775808);
SELECT nr_get('k4', '12x');
SELECT nr_get('k4', '99999999999');
-- other types, by assignment cast
SELECT nr_get('k4', 2.0), nr_get('k4', 2.0::float8), nr_get('k8', 3.0::real);
SELECT nr_get('k4', true);
SELECT nr_get('k4', now());
SELECT nr_get('k4', '2'::varchar);

-- text and varchar
SELECT nr_put('kt', 'a', '1'), nr_put('kt', '', 'empty'), nr_put('kt', 'a ', 'space'), nr_put('kt', 'ä', 'umlaut');
SELECT nr_get('kt', 'a'), nr_get('kt', ''), nr_get('kt', 'a '), nr_get('kt', 'ä'), nr_get('kt', 'A');
SELECT nr_get('kt', 'a'::varchar), nr_get('kt', 'a'::name), nr_get('kt', 'a '::char(3)), nr_get('kt', '"a"'::jsonb);
SELECT nr_get('kt', 'a'::varchar(1));
SELECT nr_put('kt', 42, 'number'), nr_get('kt', '42'), nr_get('kt', 42);
SELECT nr_put('kv', 'abcde', '5'), nr_put('kv', 'ab'::varchar, '2'), nr_put('kv', 'abc'::varchar(10), '3');
SELECT nr_put('kv', 'abcdef', '6');
SELECT nr_put('kv', 'abcdef'::varchar, '6');
SELECT nr_put('kv', ROW('abcdef', '6'));
SELECT nr_put('kv', 'abcde   ', 'spaces are cut');
SELECT nr_get('kv', 'abcde'), nr_get('kv', 'ab'), nr_get('kv', 'abc'::varchar), nr_get('kv', 'abcdef');
-- long keys
SELECT nr_put('kt', repeat('k', n), n::text), nr_get('kt', repeat('k', n)), nr_get('kt', repeat('k', n - 1) || 'l')
  FROM unnest('{10,63,64,126,127,128,255,256,1000,2047,2048}'::int[]) n;
SELECT nr_put('kt', repeat('k', 2049), 'x');
SELECT nr_get('kt', repeat('k', 2049));
SELECT nr_delete('kt', repeat('k', 2049));
-- out of a table's toast, compressed and not
CREATE TABLE long_keys (id int, k text);
ALTER TABLE long_keys ALTER k SET STORAGE EXTERNAL;
INSERT INTO long_keys VALUES (1, repeat('0123456789', 204));
ALTER TABLE long_keys ALTER k SET STORAGE EXTENDED;
INSERT INTO long_keys VALUES (2, repeat('abcdefghij', 204));
SELECT nr_put('kt', k, 'long ' || id) FROM long_keys;
SELECT nr_get('kt', k) FROM long_keys;
SELECT nr_get('kt', repeat('0123456789', 204)), nr_get('kt', repeat('abcdefghij', 204));
DROP TABLE long_keys;

-- uuid
SELECT nr_put('ku', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '1');
SELECT nr_put('ku', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12'::uuid, '2');
SELECT nr_get('ku', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid), nr_get('ku', 'A0EEBC999C0B4EF8BB6D6BB9BD380A12');
SELECT nr_get('ku', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a13'::uuid, 'none');
SELECT nr_get('ku', 'not one');
SELECT nr_get('ku', 5);

-- bytea, zero bytes included
SELECT nr_put('kb', '\x00'::bytea, '00'), nr_put('kb', '\x0000'::bytea, '0000'), nr_put('kb', ''::bytea, 'none'), nr_put('kb', '\xff00', 'ff00');
SELECT nr_get('kb', '\x00'::bytea), nr_get('kb', '\x0000'), nr_get('kb', ''::bytea), nr_get('kb', '\xff00'::bytea), nr_get('kb', '\xff'::bytea);

-- keys that are domains: a put keeps to them, a look-up finds nothing
CREATE DOMAIN country AS text CHECK (VALUE ~ '^[A-Z]{2}$');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE FOREIGN TABLE kd (k country, v text) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
CREATE FOREIGN TABLE kp (k positive, v text) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT nr_put('kd', 'DE', 'Germany'), nr_put('kd', 'FR'::country, 'France'), nr_put('kd', 'IT'::varchar, 'Italy');
SELECT nr_put('kd', 'de', 'x');
SELECT nr_put('kd', 'de'::varchar, 'x');
SELECT nr_put('kd', ROW('de', 'x'));
SELECT nr_get('kd', 'DE'), nr_get('kd', 'FR'::country), nr_get('kd', 'de'), nr_get('kd', 'IT'::varchar);
SELECT nr_put('kp', 1, 'one'), nr_put('kp', 2::bigint, 'two'), nr_put('kp', '3', 'three'), nr_put('kp', 4::positive, 'four');
SELECT nr_put('kp', 0, 'zero');
SELECT nr_put('kp', -1::bigint, 'minus one');
SELECT nr_get('kp', 1), nr_get('kp', 2), nr_get('kp', '3'), nr_get('kp', 4::positive), nr_get('kp', 0), nr_delete('kp', 0), nr_delete('kp', 4::positive);
SELECT nr_get('k4', 1::positive), nr_put('k4', 7::positive, 'seven'), nr_get('k4', 7);

-- the key need not be the first column, and columns may have been dropped
CREATE FOREIGN TABLE later (a int, v text, k int OPTIONS (key 'true'), b int) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT nr_put('later', ROW(1, 'x', 10, 2));
SELECT nr_get('later', 10), nr_get('later', 1);
ALTER FOREIGN TABLE later DROP COLUMN a;
SELECT nr_put('later', ROW('y', 11, 3)), nr_get('later', 11), nr_get('later', 11, NULL::later);
ALTER FOREIGN TABLE later DROP COLUMN b;
SELECT nr_put('later', 12, 'only value'), nr_get('later', 12), nr_put('later', ROW('z', 13)), nr_get('later', 13, 'none'::text);
SELECT nr_put('later', ROW('z', 13, 4));

SELECT c, nr_check(c::regclass) FROM unnest('{k2,k4,k8,kt,kv,ku,kb,kd,kp,later}'::text[]) c;
DROP FOREIGN TABLE k2, k4, kv, ku, kb, kd, kp;
DROP DOMAIN country, positive;
RESET search_path;
