-- options: what may be said when a cache is made, and how the rest is refused
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS nr_cache;
RESET client_min_messages;
\set VERBOSITY default

-- all that there is
CREATE FOREIGN TABLE opt_all (v text, k text OPTIONS (key 'true')) SERVER nr_cache
    OPTIONS (scheme 'nr', copies '1', visibility 'immediate', memory '4MB', log_size '512kB');
SELECT nr_put('opt_all', 'key', 'value');
SELECT * FROM opt_all;
DROP FOREIGN TABLE opt_all;

-- scheme, visibility and copies: what holds when nothing is said, and each of them
DO $$
DECLARE
    options text;
    shown record;
    nodes bigint := (SELECT count(*) FROM nr_memory);
BEGIN
    FOREACH options IN ARRAY ARRAY['', $o$scheme 'nr'$o$, $o$copies '2'$o$, $o$visibility 'commit'$o$, $o$visibility 'immediate'$o$,
        $o$visibility 'manual'$o$, $o$scheme 'left_right'$o$, $o$scheme 'left_right', copies '2'$o$,
        $o$scheme 'left_right', visibility 'commit'$o$, $o$scheme 'left_right', visibility 'immediate'$o$,
        $o$visibility 'manual', scheme 'left_right'$o$] LOOP
        EXECUTE 'CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache' || CASE WHEN options <> '' THEN ' OPTIONS (' || options || ')' ELSE '' END;
        PERFORM nr_put('opt', 'k', 'v');
        SELECT c.*, (SELECT count(*) FROM nr_replicas r WHERE r.relid = c.relid) AS replicas, nr_get('opt', 'k') AS answer
        INTO shown FROM nr_caches c WHERE relid = 'opt'::regclass;
        RAISE NOTICE '% -> %, %, % copies, replicas %, %', rpad(options, 45), shown.scheme, shown.visibility, shown.copies,
            CASE shown.replicas WHEN nodes THEN CASE shown.scheme WHEN 'nr' THEN 'on each node' ELSE 'one' END WHEN 1 THEN 'one' END, shown.answer;
        DROP FOREIGN TABLE opt;
    END LOOP;
END $$;
SELECT nr_get('a') IS NULL AS used;
SELECT scheme, visibility FROM nr_caches WHERE relid = 'nr_default'::regclass;

-- what does not go together, however it is said
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (scheme 'left_right', copies '1');
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (copies '1', scheme 'left_right');
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (copies '1');
ALTER FOREIGN TABLE opt OPTIONS (ADD scheme 'left_right');
ALTER FOREIGN TABLE opt OPTIONS (ADD scheme 'left_right', DROP copies);
ALTER FOREIGN TABLE opt OPTIONS (ADD copies '1');
ALTER FOREIGN TABLE opt OPTIONS (DROP scheme, ADD copies '1');
DROP FOREIGN TABLE opt;

-- scheme, visibility and copies are part of the layout: another one empties the cache; the same in other words does not
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache;
INSERT INTO opt VALUES ('k', 'kept');
ALTER FOREIGN TABLE opt OPTIONS (ADD scheme 'nr', ADD visibility 'commit', ADD copies '1');
SELECT nr_get('opt', 'k');
ALTER FOREIGN TABLE opt OPTIONS (SET visibility 'immediate');
SELECT nr_get('opt', 'k');
INSERT INTO opt VALUES ('k', 'kept');
ALTER FOREIGN TABLE opt OPTIONS (DROP copies);
SELECT nr_get('opt', 'k');
ALTER FOREIGN TABLE opt OPTIONS (SET scheme 'left_right');
SELECT nr_get('opt', 'k');
INSERT INTO opt VALUES ('k', 'kept');
ALTER FOREIGN TABLE opt OPTIONS (ADD copies '2');
SELECT nr_get('opt', 'k');
-- what is pending goes with the rest, and comes back with it
ALTER FOREIGN TABLE opt OPTIONS (SET visibility 'manual');
INSERT INTO opt VALUES ('k', 'published');
SELECT nr_publish('opt');
INSERT INTO opt VALUES ('k', 'pending');
SELECT nr_get('opt', 'k'), nr_pending('opt');
BEGIN;
ALTER FOREIGN TABLE opt OPTIONS (SET visibility 'immediate');
SELECT nr_get('opt', 'k'), nr_put('opt', 'k', 'rolled back');
ROLLBACK;
SELECT nr_get('opt', 'k'), nr_pending('opt');
ALTER FOREIGN TABLE opt OPTIONS (SET scheme 'nr');
SELECT nr_get('opt', 'k'), nr_pending('opt');
DROP FOREIGN TABLE opt;

-- not at all, and not yet
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (visibility 'sometimes');
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (visibility 'immediate', scheme 'raft');
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (visibility 'immediate', copies '3');
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (visibility 'immediate', structure 'ordered');
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (visibility 'immediate', on_full 'evict');
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (visibility 'immediate', ttl '1h');
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (visibility 'immediate', read 'local');
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (visibility 'immediate', logs '4');
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (visibility 'immediate', colour 'red');

-- sizes
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (visibility 'immediate', memory 'much');
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (visibility 'immediate', memory '1 furlong');
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (visibility 'immediate', memory '0');
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (visibility 'immediate', log_size '-1MB');
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (visibility 'immediate', memory '99999999999999GB');

-- servers, users and columns
CREATE SERVER opt_server FOREIGN DATA WRAPPER nr_cache OPTIONS (memory '1MB');
CREATE SERVER opt_server FOREIGN DATA WRAPPER nr_cache;
CREATE USER MAPPING FOR CURRENT_USER SERVER opt_server OPTIONS (password 'x');
CREATE FOREIGN TABLE opt_elsewhere (k int, v int) SERVER opt_server OPTIONS (visibility 'immediate');
SELECT nr_put('opt_elsewhere', 1, 2), nr_get('opt_elsewhere', 1, 0);
DROP SERVER opt_server CASCADE;
CREATE FOREIGN TABLE opt (k text OPTIONS (key 'perhaps'), v text) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE opt (k text OPTIONS (lock 'true'), v text) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE opt (k text OPTIONS (key 'true'), v text OPTIONS (key 'true')) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE opt (k text OPTIONS (key 'false'), v text) SERVER nr_cache OPTIONS (visibility 'immediate');
DROP FOREIGN TABLE opt;

-- columns: the key's type, and at least one value
CREATE FOREIGN TABLE opt () SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE opt (k text) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE opt (k numeric, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE opt (k json, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE opt (k text[], v text) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE opt (k text GENERATED ALWAYS AS (v::text) STORED, v int) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE COLLATION opt_any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE FOREIGN TABLE opt (k text COLLATE opt_any_case, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
DROP COLLATION opt_any_case;
CREATE DOMAIN opt_key AS varchar(10) CHECK (VALUE <> '');
CREATE FOREIGN TABLE opt (k opt_key, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_put('opt', 'a', 'b'), nr_get('opt', 'a');
DROP FOREIGN TABLE opt;
DROP DOMAIN opt_key;

-- settings of the session; the others are fixed
SET nr_cache.scan_memory = '1MB';
SHOW nr_cache.scan_memory;
DO $$ BEGIN
    SET nr_cache.scan_memory = '1kB';
EXCEPTION WHEN invalid_parameter_value THEN
    RAISE NOTICE '%', regexp_replace(SQLERRM, '\(.*\)', '(...)');
END $$;
RESET nr_cache.scan_memory;
SET nr_cache.memory = '1GB';
SET nr_cache.replicas = 2;
SET nr_cache.unheard_of = 1;
