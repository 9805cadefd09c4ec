--
-- The functions on a cache of one key and one value, and nr_default.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS nr_cache;
RESET client_min_messages;
CREATE SCHEMA t_basic;
SET search_path = t_basic, public;

CREATE FOREIGN TABLE fx (code text, rate numeric) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');

-- a cache starts empty
SELECT nr_get('fx', 'USD');
SELECT nr_get('fx', 'USD', NULL::numeric);
SELECT nr_get('fx', 'USD', 1.0);
SELECT nr_delete('fx', 'USD');

-- put: true when the key is new
SELECT nr_put('fx', 'USD', 1.0842);
SELECT nr_get('fx', 'USD');
SELECT nr_get('fx', 'USD', NULL::numeric);
SELECT pg_typeof(nr_get('fx', 'USD', NULL::numeric)), pg_typeof(nr_get('fx', 'USD'));
SELECT nr_put('fx', 'USD', 1.09);
SELECT nr_get('fx', 'USD', NULL::numeric);
SELECT nr_get('fx', 'ZZZ', 1.0);
SELECT nr_put('fx', ROW('GBP', 0.86));
SELECT nr_put('fx', ROW('GBP', 0.87));
SELECT nr_put('fx', ROW('JPY', 163)::fx);
SELECT nr_get('fx', c, 0.0) FROM unnest('{USD,GBP,JPY,ZZZ}'::text[]) AS c;

-- delete
SELECT nr_delete('fx', 'USD');
SELECT nr_delete('fx', 'USD');
SELECT nr_get('fx', 'USD', 1.0);

-- a NULL value is an entry, a missing key is not
SELECT nr_put('fx', 'CHF', NULL::numeric);
SELECT nr_get('fx', 'CHF', 1.0) IS NULL AS is_null;
SELECT nr_put('fx', 'CHF', NULL::numeric);
SELECT nr_delete('fx', 'CHF');

-- NULL keys: reads answer the fallback, writes refuse
SELECT nr_get('fx', NULL, 7.0);
SELECT nr_get('fx', NULL::text);
SELECT nr_put('fx', NULL, 1.0);
SELECT nr_put('fx', ROW(NULL, 1.0));
SELECT nr_put('fx', NULL::fx);
SELECT nr_delete('fx', NULL);

-- a NULL cache
SELECT nr_get(NULL::regclass, 'USD');
SELECT nr_get(NULL::regclass, 'USD', 1.0);
SELECT nr_get_many(NULL::regclass, '{USD}'::text[], 1.0);
SELECT nr_put(NULL::regclass, 'USD', 1.0);
SELECT nr_put(NULL::regclass, ROW('USD', 1.0));
SELECT nr_delete(NULL::regclass, 'USD');
SELECT nr_truncate(NULL);
SELECT nr_check(NULL);

-- a fallback is strict, and the hint shows the call
SELECT nr_get('fx', 'USD', 1);
SELECT nr_get('fx', 'USD', NULL);
SELECT nr_get('fx', 'USD', 1.0::float8);
SELECT nr_get_many('fx', '{USD}'::text[], 1);
CREATE FOREIGN TABLE "My cache" (k text, v text) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT nr_get('"My cache"', 'a', 1);
SELECT nr_get('"My cache"', 'a', 'none');
SET search_path = public;
SELECT nr_get('t_basic."My cache"', 'a', 1);
SET search_path = t_basic, public;

-- not a cache, and no such thing
CREATE TABLE plain (k text, v text);
SELECT nr_get('plain', 'a');
SELECT nr_put('plain', 'a', 'b');
SELECT nr_delete('plain', 'a');
SELECT nr_truncate('plain');
SELECT nr_check('plain');
SELECT nr_get(1::oid::regclass, 'a');
SELECT nr_get('nowhere', 'a', 'b');

-- truncate and check
SELECT nr_put('fx', 'k' || i, i) FROM generate_series(1, 5) i;
SELECT nr_check('fx');
SELECT nr_truncate('fx');
SELECT nr_get('fx', 'k1', -1.0), nr_get('fx', 'GBP', -1.0);
SELECT nr_truncate('fx');
SELECT nr_check('fx');

-- ROLLBACK does not undo what is visible immediately
BEGIN;
SELECT nr_put('fx', 'USD', 1.1);
ROLLBACK;
SELECT nr_get('fx', 'USD', NULL::numeric);

-- savepoints: a cache first used in one is good afterwards
BEGIN;
SAVEPOINT s;
SELECT nr_put('"My cache"', 'a', '1');
ROLLBACK TO s;
SELECT nr_get('"My cache"', 'a');
SELECT nr_put('"My cache"', 'a', '2');
COMMIT;
SELECT nr_get('"My cache"', 'a');

-- READ ONLY transactions
BEGIN READ ONLY;
SELECT nr_get('fx', 'USD');
SAVEPOINT s;
SELECT nr_put('fx', 'USD', 2.0);
ROLLBACK TO s;
SELECT nr_put('fx', ROW('USD', 2.0));
ROLLBACK TO s;
SELECT nr_delete('fx', 'USD');
ROLLBACK TO s;
SELECT nr_truncate('fx');
ROLLBACK TO s;
SELECT nr_put('USD', '2.0');
ROLLBACK TO s;
SELECT nr_check('fx');
COMMIT;
SELECT nr_get('fx', 'USD', NULL::numeric);

-- many keys, growth, overwrites of changing size
CREATE FOREIGN TABLE big (k int, v text) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT count(*) FILTER (WHERE nr_put('big', i, repeat(chr(97 + i % 26), i % 200))) FROM generate_series(1, 20000) i;
SELECT count(*) FROM generate_series(1, 20000) i WHERE nr_get('big', i) = repeat(chr(97 + i % 26), i % 200);
SELECT count(*) FILTER (WHERE nr_put('big', i, repeat('x', (i * 7) % 300))) FROM generate_series(1, 20000) i;
SELECT count(*) FROM generate_series(1, 20000) i WHERE nr_get('big', i) = repeat('x', (i * 7) % 300);
SELECT count(*) FILTER (WHERE nr_delete('big', i)) FROM generate_series(1, 20000, 2) i;
SELECT count(nr_get('big', i)) FROM generate_series(1, 20000) i;
SELECT nr_check('big');
SELECT nr_truncate('big');
SELECT count(nr_get('big', i)) FROM generate_series(1, 20000) i;

-- nr_default
SELECT nr_put('color', 'blue');
SELECT nr_put('color', 'red');
SELECT nr_get('color');
SELECT nr_get('nothing');
SELECT nr_get(NULL);
SELECT nr_get('nr_default', 'color'), nr_get('nr_default', 'color', 'none');
SELECT nr_put('empty', '');
SELECT nr_get('empty') = '' AS is_empty;
SELECT nr_put('null', NULL);
SELECT nr_get('null') IS NULL AS is_null, nr_delete('null') AS was_there;
SELECT nr_put(NULL, 'x');
SELECT nr_delete(NULL);
-- the cache's name alone is a key of nr_default
SELECT nr_put('fx', 'USD');
SELECT nr_get('fx');
SELECT nr_delete('fx'), nr_delete('color'), nr_delete('color'), nr_delete('empty');

-- privileges: what each function needs
CREATE ROLE regress_nr_basic;
GRANT USAGE ON SCHEMA t_basic TO regress_nr_basic;
SET ROLE regress_nr_basic;
SELECT nr_get('fx', 'USD');
SELECT nr_get('fx', 'USD', 1.0);
SELECT nr_get_many('fx', '{USD}'::text[], 1.0);
SELECT nr_put('fx', 'USD', 1.0);
SELECT nr_delete('fx', 'USD');
SELECT nr_truncate('fx');
SELECT nr_check('fx');
SELECT nr_get('a');
SELECT nr_put('a', 'b');
SELECT nr_delete('a');
RESET ROLE;
GRANT SELECT, INSERT ON fx TO regress_nr_basic;
SET ROLE regress_nr_basic;
SELECT nr_get('fx', 'USD'), nr_get('fx', 'USD', 1.0), nr_get_many('fx', '{USD}'::text[], 1.0), nr_check('fx');
SELECT nr_put('fx', 'USD', 1.2);
SELECT nr_put('fx', ROW('USD', 1.2));
RESET ROLE;
GRANT UPDATE, DELETE, TRUNCATE ON fx TO regress_nr_basic;
SET ROLE regress_nr_basic;
SELECT nr_put('fx', 'USD', 1.2), nr_put('fx', ROW('USD', 1.3));
SELECT nr_delete('fx', 'USD');
SELECT nr_truncate('fx');
RESET ROLE;
GRANT SELECT, INSERT, UPDATE, DELETE ON nr_default TO regress_nr_basic;
SET ROLE regress_nr_basic;
SELECT nr_put('a', 'b'), nr_get('a'), nr_delete('a');
RESET ROLE;
REVOKE ALL ON nr_default FROM regress_nr_basic;
DROP OWNED BY regress_nr_basic;
DROP ROLE regress_nr_basic;

DROP TABLE plain;
RESET search_path;
