-- alter: each form of ALTER that can meet a cache: what stays, what is emptied and said so, what is refused
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS nr_cache;
CREATE SCHEMA alt;
CREATE SCHEMA alt2;
SET search_path = alt, public;
CREATE ROLE nr_alter_owner;
GRANT ALL ON SCHEMA alt TO nr_alter_owner;
RESET client_min_messages;
\set VERBOSITY default
-- what is in it, in the shared state and not only in the view of somebody
CREATE FUNCTION entries(relid oid) RETURNS bigint LANGUAGE sql AS
$$ SELECT sum(entries)::bigint FROM nr_caches c WHERE c.relid = $1 $$;

CREATE FOREIGN TABLE c (k text, v int, n numeric) SERVER nr_cache;
SELECT 'c'::regclass::oid AS c \gset
INSERT INTO c VALUES ('a', 1, 1.5), ('b', 2, 2.5);

-- ---- entries stay, and nothing is said -------------------------------------------

ALTER FOREIGN TABLE c RENAME COLUMN v TO w;
ALTER FOREIGN TABLE c RENAME k TO key;
ALTER TABLE c RENAME COLUMN w TO v;
ALTER FOREIGN TABLE c RENAME TO d;
ALTER FOREIGN TABLE d SET SCHEMA alt2;
ALTER FOREIGN TABLE alt2.d RENAME TO c;
ALTER TABLE alt2.c SET SCHEMA alt;
ALTER FOREIGN TABLE c OWNER TO nr_alter_owner;
SET ROLE nr_alter_owner;
SELECT nr_get('c', 'a', NULL::c);
ALTER FOREIGN TABLE c RENAME COLUMN key TO k;
RESET ROLE;
ALTER FOREIGN TABLE c OWNER TO CURRENT_USER;
ALTER FOREIGN TABLE c ALTER COLUMN v SET NOT NULL, ALTER COLUMN v SET DEFAULT 7, ALTER COLUMN n SET STATISTICS 50,
    ALTER COLUMN k SET STORAGE EXTERNAL, ALTER COLUMN k SET (n_distinct = 5);
ALTER FOREIGN TABLE c ALTER COLUMN v DROP NOT NULL, ALTER COLUMN v DROP DEFAULT, ALTER COLUMN k RESET (n_distinct);
ALTER FOREIGN TABLE c DISABLE TRIGGER ALL, ENABLE TRIGGER USER;
ALTER FOREIGN TABLE c OPTIONS (ADD scheme 'nr', ADD copies '1', ADD visibility 'commit');
ALTER FOREIGN TABLE c OPTIONS (DROP scheme, DROP copies, DROP visibility);
ALTER FOREIGN TABLE c ALTER COLUMN k OPTIONS (ADD key 'true');
ALTER FOREIGN TABLE c ALTER COLUMN k OPTIONS (SET key 'yes');
ALTER FOREIGN TABLE c ALTER COLUMN v OPTIONS (ADD key 'false');
ALTER FOREIGN TABLE c ALTER COLUMN v OPTIONS (DROP key), ALTER COLUMN k OPTIONS (DROP key);
ALTER FOREIGN TABLE c ALTER COLUMN n TYPE numeric;
SELECT * FROM c ORDER BY k;
SELECT entries(:c);

-- CHECK and NOT NULL hold for what is written from now on; what is there already is not looked at, as with any foreign table
ALTER FOREIGN TABLE c ADD CONSTRAINT big CHECK (v > 1) NOT VALID, ADD CONSTRAINT bigger CHECK (n > 2);
ALTER FOREIGN TABLE c VALIDATE CONSTRAINT big;
SELECT conname, convalidated FROM pg_constraint WHERE conrelid = 'c'::regclass AND contype = 'c' ORDER BY conname;
SELECT nr_put('c', ROW('c', 1, 9)), 'not put';
INSERT INTO c VALUES ('c', 9, 1);
SELECT nr_put('c', ROW('c', 9, 9));
SELECT * FROM c ORDER BY k;
ALTER TABLE c RENAME CONSTRAINT big TO big_v;
ALTER FOREIGN TABLE c DROP CONSTRAINT big_v, DROP CONSTRAINT bigger;
SELECT nr_put('c', ROW('c', 1, 1)), entries(:c);

-- ---- entries do not survive: said once for each command, and only if there are any ----

ALTER FOREIGN TABLE c ADD COLUMN note text, ADD COLUMN more int DEFAULT 3;
SELECT entries(:c), (SELECT count(*) FROM c) AS seen;
ALTER FOREIGN TABLE c DROP COLUMN more;
INSERT INTO c VALUES ('a', 1, 1, 'one');
ALTER FOREIGN TABLE c DROP COLUMN note, ALTER COLUMN v TYPE bigint, ALTER COLUMN n TYPE numeric(10, 2), OPTIONS (ADD memory '8MB');
INSERT INTO c VALUES ('a', 1, 1);
ALTER FOREIGN TABLE c ALTER COLUMN k TYPE varchar(3);
INSERT INTO c VALUES ('a', 1, 1);
ALTER FOREIGN TABLE c ALTER COLUMN k TYPE varchar(5);
INSERT INTO c VALUES ('a', 1, 1);
ALTER FOREIGN TABLE c ALTER COLUMN k TYPE varchar(5) COLLATE "C";
INSERT INTO c VALUES ('a', 1, 1);
ALTER FOREIGN TABLE c ALTER COLUMN v OPTIONS (ADD key 'true');
SELECT nr_put('c', ROW('a', 1, 1)), nr_get('c', 1, NULL::c);
ALTER FOREIGN TABLE c ALTER COLUMN v OPTIONS (DROP key);
INSERT INTO c VALUES ('a', 1, 1);
ALTER FOREIGN TABLE c OPTIONS (SET memory '16MB', ADD log_size '1MB', ADD scheme 'left_right', ADD visibility 'immediate');
INSERT INTO c VALUES ('a', 1, 1);
ALTER FOREIGN TABLE c OPTIONS (DROP memory, DROP log_size, SET scheme 'nr', ADD copies '2');
INSERT INTO c VALUES ('a', 1, 1);
ALTER FOREIGN TABLE c OPTIONS (DROP copies, SET visibility 'manual');
-- what is pending counts
INSERT INTO c VALUES ('a', 1, 1);
SELECT count(*), nr_pending('c') FROM c;
ALTER FOREIGN TABLE c OPTIONS (SET visibility 'immediate');
SELECT nr_put('c', ROW('a', 1, 1)), entries(:c);
-- a default that is written out changes nothing, the server's included
SELECT format('ALTER FOREIGN TABLE c OPTIONS (ADD log_size %L)', current_setting('nr_cache.log_size')) AS ddl \gset
:ddl;
ALTER FOREIGN TABLE c OPTIONS (ADD copies '1');
SELECT entries(:c);
ALTER FOREIGN TABLE c OPTIONS (DROP log_size, DROP copies);
SELECT entries(:c);
-- nobody has used it: nothing to say; nor when it has been emptied before
CREATE FOREIGN TABLE unused (k text, v int) SERVER nr_cache;
ALTER FOREIGN TABLE unused ADD COLUMN w int;
INSERT INTO unused VALUES ('a', 1, 2);
TRUNCATE unused;
ALTER FOREIGN TABLE unused ALTER COLUMN w TYPE bigint;
DROP FOREIGN TABLE unused;

-- a generated column, whose expression goes
CREATE FOREIGN TABLE gen (k int, v int, g int GENERATED ALWAYS AS (v * 2) STORED) SERVER nr_cache;
INSERT INTO gen VALUES (1, 2);
ALTER FOREIGN TABLE gen ALTER COLUMN g DROP EXPRESSION;
SELECT entries('gen'::regclass);
DROP FOREIGN TABLE gen;
-- ... or changes, which PostgreSQL knows from 17 on
CREATE FOREIGN TABLE gen (k int, v int, g int GENERATED ALWAYS AS (v * 2) STORED) SERVER nr_cache;
INSERT INTO gen VALUES (1, 2);
SET client_min_messages = warning;
DO $$
BEGIN
    IF current_setting('server_version_num')::int >= 170000 THEN
        EXECUTE 'ALTER FOREIGN TABLE gen ALTER COLUMN g SET EXPRESSION AS (v * 3)';
    ELSE
        ALTER FOREIGN TABLE gen DROP COLUMN g, ADD COLUMN g int GENERATED ALWAYS AS (v * 3) STORED;
    END IF;
END $$;
RESET client_min_messages;
INSERT INTO gen VALUES (2, 2);
SELECT * FROM gen;
DROP FOREIGN TABLE gen;

-- ---- transactions --------------------------------------------------------------------

INSERT INTO c VALUES ('a', 1, 1);
-- rolled back: everything is as before, also what was put meanwhile is gone
BEGIN;
ALTER FOREIGN TABLE c ADD COLUMN x int;
SELECT count(*) FROM c;
INSERT INTO c VALUES ('b', 2, 2, 2);
ALTER FOREIGN TABLE c DROP COLUMN x;
SELECT count(*) FROM c;
ROLLBACK;
SELECT * FROM c;
BEGIN;
SAVEPOINT s;
ALTER FOREIGN TABLE c DROP COLUMN n, OPTIONS (ADD memory '8MB');
SELECT nr_put('c', 'b', 5);
ROLLBACK TO s;
SELECT * FROM c;
ALTER FOREIGN TABLE c OPTIONS (ADD memory '8MB');
RELEASE s;
COMMIT;
SELECT entries(:c);
-- one that was read, and one that was written, in the same transaction
BEGIN;
SELECT nr_put('c', ROW('a', 1, 1)), count(*) FROM c;
ALTER FOREIGN TABLE c OPTIONS (SET memory '16MB');
SELECT nr_put('c', ROW('b', 2, 2));
ALTER FOREIGN TABLE c OPTIONS (SET memory '8MB');
SELECT * FROM c;
COMMIT;
SELECT * FROM c;
DELETE FROM c;
-- one that fails half way, at once and in a function: no notice comes too late
INSERT INTO c VALUES ('a', 1, 1);
ALTER FOREIGN TABLE c ADD COLUMN x int, ADD COLUMN v int;
DO $$
BEGIN
    ALTER FOREIGN TABLE c ADD COLUMN x int, ADD COLUMN v int;
EXCEPTION WHEN duplicate_column THEN
    ALTER FOREIGN TABLE c RENAME COLUMN v TO w;
    ALTER FOREIGN TABLE c RENAME COLUMN w TO v;
END $$;
SELECT entries(:c);
-- several in a function: each is a command of its own
DO $$
BEGIN
    ALTER FOREIGN TABLE c ADD COLUMN x int;
    ALTER FOREIGN TABLE c ADD COLUMN y int;
    PERFORM nr_put('c', ROW('b', 2, 2, 2, 2));
    ALTER FOREIGN TABLE c DROP COLUMN x, DROP COLUMN y;
    COMMIT;
    ALTER FOREIGN TABLE c RENAME COLUMN n TO m;
END $$;
ALTER FOREIGN TABLE c RENAME COLUMN m TO n;
-- while it is open in this session
INSERT INTO c VALUES ('a', 1, 1);
BEGIN;
DECLARE reader CURSOR FOR SELECT * FROM c;
FETCH reader;
ALTER FOREIGN TABLE c ADD COLUMN x int;
ROLLBACK;
-- writes of this transaction that are not committed yet
ALTER FOREIGN TABLE c OPTIONS (SET visibility 'commit');
INSERT INTO c VALUES ('a', 1, 1);
BEGIN;
INSERT INTO c VALUES ('b', 2, 2);
ALTER FOREIGN TABLE c RENAME COLUMN v TO w;
ALTER FOREIGN TABLE c ALTER COLUMN w SET NOT NULL;
INSERT INTO c VALUES ('c', 3, 3);
COMMIT;
SELECT * FROM c ORDER BY k;
BEGIN;
SELECT nr_put('c', ROW('d', 4, 4));
SAVEPOINT s;
ALTER FOREIGN TABLE c RENAME COLUMN w TO v;
ALTER FOREIGN TABLE c ALTER COLUMN v TYPE int;
ROLLBACK TO s;
COMMIT;
SELECT * FROM c ORDER BY k;
ALTER FOREIGN TABLE c RENAME COLUMN w TO v;
BEGIN;
SAVEPOINT s;
DELETE FROM c;
ROLLBACK TO s;
ALTER FOREIGN TABLE c ALTER COLUMN v TYPE int;
INSERT INTO c VALUES ('e', 5, 5);
COMMIT;
SELECT * FROM c;

-- ---- refused, and nothing has changed --------------------------------------------------

ALTER FOREIGN TABLE c ALTER COLUMN v TYPE bigint USING v;
ALTER FOREIGN TABLE c ALTER COLUMN k TYPE jsonb;
ALTER FOREIGN TABLE c ALTER COLUMN n OPTIONS (ADD key 'true');
ALTER FOREIGN TABLE c ALTER COLUMN k OPTIONS (ADD key 'true'), ALTER COLUMN v OPTIONS (ADD key 'true');
ALTER FOREIGN TABLE c ALTER COLUMN k OPTIONS (ADD key 'maybe');
ALTER FOREIGN TABLE c ALTER COLUMN k OPTIONS (ADD ttl '1h');
ALTER FOREIGN TABLE c DROP COLUMN k;
ALTER FOREIGN TABLE c DROP COLUMN n, DROP COLUMN v;
ALTER FOREIGN TABLE c OPTIONS (SET visibility 'never');
ALTER FOREIGN TABLE c OPTIONS (ADD colour 'red');
ALTER FOREIGN TABLE c OPTIONS (DROP log_size);
ALTER FOREIGN TABLE c OPTIONS (ADD memory '16MB');
ALTER FOREIGN TABLE c OPTIONS (SET memory '1kB');
ALTER FOREIGN TABLE c ADD PRIMARY KEY (k);
ALTER FOREIGN TABLE c ENABLE ROW LEVEL SECURITY;
ALTER FOREIGN TABLE c SET (fillfactor = 10);
ALTER FOREIGN TABLE c SET TABLESPACE pg_default;
ALTER FOREIGN TABLE c ALTER COLUMN k SET COMPRESSION pglz;
SET ROLE nr_alter_owner;
ALTER FOREIGN TABLE c ADD COLUMN x int;
RESET ROLE;
SELECT * FROM c;
-- the key moves first, then its column can go; the key that nobody named is the first column for good
ALTER FOREIGN TABLE c ALTER COLUMN v OPTIONS (ADD key 'true'), DROP COLUMN k;
SELECT nr_put('c', 1, 1.5), nr_get('c', 1, 0.0);
ALTER FOREIGN TABLE c ALTER COLUMN v OPTIONS (DROP key);
ALTER FOREIGN TABLE c ALTER COLUMN v OPTIONS (SET key 'false');
ALTER FOREIGN TABLE c DROP COLUMN v, ADD COLUMN z int;
ALTER FOREIGN TABLE c DROP COLUMN v, ADD COLUMN z int OPTIONS (key 'true');
SELECT nr_put('c', 1, 1.5), nr_get('c', 1, 0.0);
DROP FOREIGN TABLE c;
SELECT count(*) FROM nr_caches WHERE relid = :c;

-- ---- servers -----------------------------------------------------------------------------

ALTER SERVER nr_cache OPTIONS (ADD memory '64MB');
ALTER SERVER nr_cache VERSION '1';
ALTER FOREIGN DATA WRAPPER nr_cache OPTIONS (ADD memory '64MB');
DROP SERVER nr_cache;
CREATE SERVER alt_server FOREIGN DATA WRAPPER nr_cache;
CREATE FOREIGN TABLE c (k int, v text) SERVER alt_server;
INSERT INTO c VALUES (1, 'one');
ALTER SERVER alt_server RENAME TO alt_server2;
ALTER SERVER alt_server2 OWNER TO CURRENT_USER;
SELECT nr_get('c', 1);
DROP SERVER alt_server2;
SELECT 'c'::regclass::oid AS c \gset
DROP SERVER alt_server2 CASCADE;
SELECT count(*) FROM nr_caches WHERE relid = :c;

-- ---- inheritance and partitions --------------------------------------------------------------

CREATE TABLE parent (k int, v text, w int);
CREATE FOREIGN TABLE child1 () INHERITS (parent) SERVER nr_cache;
CREATE FOREIGN TABLE child2 (k int, v text, w int) SERVER nr_cache;
INSERT INTO child1 VALUES (1, 'one', 1);
INSERT INTO child2 VALUES (2, 'two', 2);
ALTER FOREIGN TABLE child2 INHERIT parent;
SELECT * FROM parent ORDER BY k;
ALTER TABLE parent ALTER COLUMN w TYPE bigint;
SELECT * FROM parent;
INSERT INTO child1 VALUES (1, 'one', 1);
ALTER TABLE parent DROP COLUMN w, ADD COLUMN x int;
ALTER TABLE parent RENAME COLUMN x TO y;
ALTER TABLE parent DROP COLUMN k;
ALTER TABLE parent ADD CONSTRAINT not_z CHECK (v <> 'z');
INSERT INTO child1 VALUES (1, 'z');
INSERT INTO child1 VALUES (1, 'one');
INSERT INTO child2 VALUES (2, 'two');
ALTER FOREIGN TABLE child2 NO INHERIT parent;
ALTER TABLE ONLY parent ADD COLUMN z int;
SELECT tableoid::regclass, * FROM parent;
SELECT * FROM child2;
SET client_min_messages = warning;
DROP TABLE parent CASCADE;
DROP FOREIGN TABLE child2;
RESET client_min_messages;

CREATE TABLE parted (k int, v text) PARTITION BY LIST (k);
CREATE FOREIGN TABLE one (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE two PARTITION OF parted FOR VALUES IN (2) SERVER nr_cache OPTIONS (visibility 'immediate');
INSERT INTO one VALUES (1, 'one'), (7, 'not looked at');
ALTER TABLE parted ATTACH PARTITION one FOR VALUES IN (1);
INSERT INTO parted VALUES (2, 'two');
INSERT INTO one VALUES (8, 'eight');
SELECT nr_put('one', 8, 'eight');
SELECT tableoid::regclass, * FROM parted ORDER BY k;
ALTER TABLE parted ALTER COLUMN v TYPE varchar(10);
INSERT INTO parted VALUES (1, 'one');
ALTER TABLE parted DETACH PARTITION one;
SELECT nr_put('one', 8, 'eight');
SELECT * FROM one ORDER BY k;
DROP TABLE parted;
DROP FOREIGN TABLE one;

-- ---- types inside ---------------------------------------------------------------------------

CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN posint AS int CHECK (VALUE > 0);
CREATE FOREIGN TABLE typed (k mood, v posint, m mood) SERVER nr_cache;
SELECT 'typed'::regclass::oid AS c \gset
INSERT INTO typed VALUES ('sad', 1, 'ok');
ALTER TYPE mood ADD VALUE 'happy' BEFORE 'ok';
ALTER TYPE mood RENAME VALUE 'sad' TO 'blue';
INSERT INTO typed VALUES ('happy', 2, 'blue');
SELECT * FROM typed ORDER BY k;
SELECT nr_get('typed', 'blue', NULL::typed);
-- PostgreSQL looks at tables only when a domain gets a constraint: it holds for what is written from now on
ALTER DOMAIN posint ADD CONSTRAINT above_one CHECK (VALUE > 1);
ALTER DOMAIN posint SET NOT NULL;
SELECT * FROM typed ORDER BY k;
SELECT nr_put('typed', ROW('ok', 1, 'ok')::typed);
INSERT INTO typed VALUES ('ok', 1, 'ok');
INSERT INTO typed VALUES ('ok', NULL, 'ok');
ALTER DOMAIN posint DROP CONSTRAINT above_one;
ALTER DOMAIN posint DROP NOT NULL;
INSERT INTO typed VALUES ('ok', 1, NULL);
ALTER TYPE mood RENAME TO feeling;
ALTER TYPE feeling SET SCHEMA alt2;
SELECT entries(:c);

-- a type that is dropped takes its columns along, whoever owns the cache: a value, the key, all values
DROP DOMAIN posint;
DROP DOMAIN posint CASCADE;
SELECT entries(:c);
INSERT INTO typed VALUES ('ok', 'ok');
DROP TYPE alt2.feeling CASCADE;
SELECT * FROM typed;
SELECT nr_put('typed', 'ok', 'ok');
SELECT count(*) FROM nr_caches WHERE relid = :c;
ALTER FOREIGN TABLE typed RENAME TO typed2;
ALTER FOREIGN TABLE typed2 ADD COLUMN k int;
ALTER FOREIGN TABLE typed2 ADD COLUMN k int, ADD COLUMN v int;
ALTER FOREIGN TABLE typed2 ADD COLUMN k int OPTIONS (key 'true'), ADD COLUMN v int;
INSERT INTO typed2 VALUES (1, 2);
SELECT * FROM typed2;
DROP FOREIGN TABLE typed2;

CREATE DOMAIN posint AS int CHECK (VALUE > 0);
CREATE FOREIGN TABLE no_key (k posint, v int, w text) SERVER nr_cache;
CREATE FOREIGN TABLE other_key (v int, k posint OPTIONS (key 'true'), w text) SERVER nr_cache;
CREATE FOREIGN TABLE no_value (k int, v posint) SERVER nr_cache;
INSERT INTO no_key VALUES (1, 2, 'x');
INSERT INTO other_key VALUES (2, 1, 'x');
INSERT INTO no_value VALUES (1, 2);
BEGIN;
SET LOCAL client_min_messages = error;
DROP DOMAIN posint CASCADE;
ROLLBACK;
SELECT (SELECT count(*) FROM no_key), (SELECT count(*) FROM other_key), (SELECT count(*) FROM no_value);
-- together with a cache of its own schema
CREATE SCHEMA gone;
ALTER DOMAIN posint SET SCHEMA gone;
CREATE FOREIGN TABLE gone.with_it (k gone.posint, v int) SERVER nr_cache;
\set VERBOSITY terse
DROP SCHEMA gone CASCADE;
\set VERBOSITY default
SELECT nr_get('no_key', 1);
INSERT INTO no_key VALUES (1, 'x');
SELECT count(*) FROM no_key;
SELECT nr_get('no_value', 1);
SELECT nr_put('other_key', 1, 'x'::text), nr_get('other_key', 1);
ALTER FOREIGN TABLE no_key OWNER TO nr_alter_owner;
ALTER FOREIGN TABLE no_key ALTER COLUMN w OPTIONS (ADD key 'true');
SELECT nr_put('no_key', 'x', 1), nr_get('no_key', 'x');
ALTER FOREIGN TABLE no_value ADD COLUMN v text;
SELECT nr_put('no_value', 1, 'one'::text), nr_get('no_value', 1);
-- dropped while it cannot be used
CREATE DOMAIN posint AS int CHECK (VALUE > 0);
CREATE FOREIGN TABLE broken (k int, v posint) SERVER nr_cache;
SELECT 'broken'::regclass::oid AS c \gset
INSERT INTO broken VALUES (1, 2);
\set VERBOSITY terse
DROP DOMAIN posint CASCADE;
\set VERBOSITY default
TRUNCATE broken;
DELETE FROM broken;
ANALYZE broken, other_key;
SELECT reltuples >= 0 AS analyzed FROM pg_class WHERE oid = 'other_key'::regclass;
DROP FOREIGN TABLE no_key, other_key, no_value, broken;
SELECT count(*) FROM nr_caches WHERE relid = :c;

-- DROP OWNED likewise
SET ROLE nr_alter_owner;
CREATE DOMAIN owned AS int;
RESET ROLE;
CREATE FOREIGN TABLE others (k int, v int, w owned) SERVER nr_cache;
SELECT nr_put('others', ROW(1, 2, 3)), (SELECT count(*) FROM others);
DROP OWNED BY nr_alter_owner CASCADE;
SELECT nr_put('others', 1, 2), nr_get('others', 1);
DROP FOREIGN TABLE others;

-- an event trigger that alters a cache in the middle of another ALTER
CREATE FOREIGN TABLE c (k int, v text) SERVER nr_cache;
CREATE FOREIGN TABLE d (k int, v text) SERVER nr_cache;
INSERT INTO c VALUES (1, 'one');
INSERT INTO d VALUES (1, 'one');
CREATE FUNCTION follow() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'd'::regclass AND attname = 'w') THEN
        ALTER FOREIGN TABLE d ADD COLUMN w int;
    END IF;
END $$;
CREATE EVENT TRIGGER nr_alter_follow ON ddl_command_end WHEN TAG IN ('ALTER FOREIGN TABLE') EXECUTE FUNCTION follow();
ALTER FOREIGN TABLE c ADD COLUMN w int;
DROP EVENT TRIGGER nr_alter_follow;
SELECT entries('c'::regclass), entries('d'::regclass);

SET client_min_messages = warning;
DROP SCHEMA alt, alt2 CASCADE;
DROP ROLE nr_alter_owner;
