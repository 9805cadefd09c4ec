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

-- visibility has to be written
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache;
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (visibility 'commit');
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (visibility 'manual');
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (visibility 'sometimes');

-- not yet, and not at all
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (visibility 'immediate', scheme 'left_right');
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
CREATE FOREIGN TABLE opt (k char(4), v text) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE opt (k text[], v text) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE opt (k text, v int, w int GENERATED ALWAYS AS (v + 1) STORED) SERVER nr_cache OPTIONS (visibility 'immediate');
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
SET nr_cache.scan_memory = '1kB';
RESET nr_cache.scan_memory;
SET nr_cache.memory = '1GB';
SET nr_cache.replicas = 2;
SET nr_cache.unheard_of = 1;
