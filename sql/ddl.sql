-- ddl: what CREATE, ALTER and DROP do to a cache, and when a change is refused
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS nr_cache;
CREATE SCHEMA ddl;
SET search_path = ddl, public;
RESET client_min_messages;

CREATE FOREIGN TABLE c (k text, v int) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_put('c', 'a', 1);

-- a name, an owner, a schema, a comment, a default: contents stay
ALTER FOREIGN TABLE c RENAME TO d;
ALTER FOREIGN TABLE d RENAME COLUMN v TO w;
ALTER FOREIGN TABLE d ALTER COLUMN w SET DEFAULT 7;
ALTER FOREIGN TABLE d ALTER COLUMN w SET NOT NULL;
COMMENT ON FOREIGN TABLE d IS 'rates';
SELECT nr_get('d', 'a', 0);
ALTER FOREIGN TABLE d ALTER COLUMN w DROP NOT NULL;
ALTER FOREIGN TABLE d RENAME TO c;
ALTER FOREIGN TABLE c RENAME COLUMN w TO v;

-- a change of layout: a new, empty cache
ALTER FOREIGN TABLE c ADD COLUMN note text;
SELECT count(*) FROM c;
SELECT nr_put('c', ROW('a', 1, 'one')::c), (nr_get('c', 'a', NULL::c)).note;
ALTER FOREIGN TABLE c ALTER COLUMN v TYPE bigint;
SELECT count(*) FROM c;
SELECT nr_put('c', ROW('a', 1, 'one')::c);
ALTER FOREIGN TABLE c DROP COLUMN v;
SELECT count(*) FROM c;
SELECT nr_put('c', 'a', 'two'::text), nr_get('c', 'a');
ALTER FOREIGN TABLE c OPTIONS (ADD memory '8MB');
SELECT count(*) FROM c;
SELECT nr_put('c', 'a', 'three'::text);
ALTER FOREIGN TABLE c OPTIONS (SET memory '8MB');
SELECT count(*) FROM c;
ALTER FOREIGN TABLE c OPTIONS (SET memory '8192kB');
SELECT count(*) FROM c;
ALTER FOREIGN TABLE c ALTER COLUMN note OPTIONS (ADD key 'true');
SELECT count(*) FROM c;
ALTER FOREIGN TABLE c ALTER COLUMN note OPTIONS (DROP key);
-- only one state is left of all these
SELECT nr_put('c', 'a', 'four'::text);
SELECT count(*) FROM nr_caches WHERE relid = 'c'::regclass;

-- refused, and nothing has changed
ALTER FOREIGN TABLE c OPTIONS (SET visibility 'sometimes');
ALTER FOREIGN TABLE c OPTIONS (ADD scheme 'left_right', ADD copies '1');
ALTER FOREIGN TABLE c DROP COLUMN note;
ALTER FOREIGN TABLE c ALTER COLUMN k TYPE numeric;
ALTER FOREIGN TABLE c ADD COLUMN g int OPTIONS (key 'true') GENERATED ALWAYS AS (1) STORED;
SELECT nr_get('c', 'a');

-- through a parent, a partitioned table, an imported schema
CREATE TABLE parent (k text, v int);
CREATE FOREIGN TABLE child () INHERITS (parent) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_put('child', 'a', 1);
ALTER TABLE parent ADD COLUMN g int GENERATED ALWAYS AS (v + 1) STORED;
ALTER TABLE parent ALTER COLUMN k TYPE numeric USING 0;
ALTER TABLE parent ADD COLUMN w int;
SELECT count(*) FROM child;
DROP TABLE parent CASCADE;
CREATE TABLE parted (k int, v text) PARTITION BY RANGE (k);
CREATE FOREIGN TABLE low PARTITION OF parted FOR VALUES FROM (0) TO (10) SERVER nr_cache OPTIONS (visibility 'immediate');
INSERT INTO parted VALUES (1, 'one');
SELECT nr_get('low', 1);
DROP TABLE parted;
IMPORT FOREIGN SCHEMA x FROM SERVER nr_cache INTO ddl;

-- a composite type inside: PostgreSQL allows what stored values survive
CREATE TYPE pair AS (a int, b text);
CREATE FOREIGN TABLE pairs (k int, v pair) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_put('pairs', 1, ROW(1, 'x')::pair);
ALTER TYPE pair ALTER ATTRIBUTE a TYPE text;
ALTER TYPE pair RENAME ATTRIBUTE a TO first;
ALTER TYPE pair RENAME ATTRIBUTE first TO a;
-- ... also deep inside, and when it is a table's row type
CREATE DOMAIN pair_list AS pair[];
CREATE TYPE deep AS (p pair_list, n int);
CREATE TABLE plain_row (n int);
CREATE FOREIGN TABLE deeper (k int, v deep, w plain_row) SERVER nr_cache OPTIONS (visibility 'immediate');
DROP FOREIGN TABLE pairs;
ALTER TYPE pair ALTER ATTRIBUTE a TYPE text;
ALTER TABLE plain_row ALTER COLUMN n TYPE text;
ALTER TABLE plain_row ALTER COLUMN n SET DEFAULT 1;
DROP FOREIGN TABLE deeper;
ALTER TABLE plain_row ALTER COLUMN n TYPE text;
DROP TABLE plain_row;
DROP TYPE deep;
DROP DOMAIN pair_list;
CREATE FOREIGN TABLE pairs (k int, v pair) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_put('pairs', 1, ROW(1, 'x')::pair);
ALTER TYPE pair ADD ATTRIBUTE c int;
SELECT nr_get('pairs', 1, NULL::pair);
SELECT nr_put('pairs', 2, ROW(2, 'y', 3)::pair);
ALTER TYPE pair DROP ATTRIBUTE a;
SELECT * FROM pairs ORDER BY k;

-- drop, and the same name again
DROP FOREIGN TABLE c;
SELECT nr_get('c', 'a');
CREATE FOREIGN TABLE c (k int, v int) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_get('c', 1, -1), nr_put('c', 1, 2), nr_get('c', 1, -1);

-- not caches
CREATE TABLE plain (k int, v int);
SELECT nr_get('plain', 1, 0);
SELECT nr_get(0::regclass, 1, 0);
SELECT nr_get(4294967295::oid::regclass, 1, 0);
CREATE VIEW cview AS SELECT * FROM c;
SELECT nr_put('cview', 1, 1);

-- another wrapper's foreign tables are none of ours
CREATE FOREIGN DATA WRAPPER nobody;
CREATE SERVER nobody FOREIGN DATA WRAPPER nobody;
CREATE FOREIGN TABLE theirs (k text) SERVER nobody;
SELECT nr_get('theirs', 'a');

-- nr_default renamed away and back
ALTER FOREIGN TABLE public.nr_default RENAME TO nr_other;
SELECT nr_put('a', 'b');
ALTER FOREIGN TABLE public.nr_other RENAME TO nr_default;
SELECT nr_put('ddl', 'b'), nr_get('ddl'), nr_delete('ddl');

SET client_min_messages = warning;
DROP SCHEMA ddl CASCADE;
DROP FOREIGN DATA WRAPPER nobody CASCADE;
SELECT count(*) FROM nr_caches WHERE cache IS NOT NULL AND cache::text ~ '^[0-9]+$';
