-- aliasing: two copies of a cache have long values once, and share them
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS nr_cache;
CREATE SCHEMA al;
SET search_path = al, public;
RESET client_min_messages;
\set VERBOSITY default

-- ---- what may be said, and what is then the case -----------------------------------

-- memory_shared is NULL where copies share nothing
DO $$
DECLARE
    options text;
    shown record;
BEGIN
    FOREACH options IN ARRAY ARRAY['', $o$copies '2'$o$, $o$scheme 'left_right'$o$, $o$copies '2', aliasing 'on'$o$, $o$aliasing 'true', copies '2'$o$,
        $o$copies '2', aliasing 'off'$o$, $o$scheme 'left_right', aliasing 'OFF'$o$, $o$scheme 'left_right', aliasing '1'$o$, $o$copies '2', aliasing 'no'$o$,
        $o$aliasing 'false'$o$, $o$copies '1', aliasing 'off'$o$] LOOP
        EXECUTE 'CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache' || CASE WHEN options <> '' THEN ' OPTIONS (' || options || ')' ELSE '' END;
        PERFORM nr_get('opt', 'k');
        SELECT copies, memory_shared IS NOT NULL AS shared INTO shown FROM nr_caches WHERE relid = 'opt'::regclass;
        RAISE NOTICE '% -> copies %, aliasing %', rpad(options, 40), shown.copies, shown.shared;
        DROP FOREIGN TABLE opt;
    END LOOP;
END $$;
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (copies '2', aliasing 'perhaps');
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (copies '2', aliasing '');
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (copies '2', aliasing '2');
CREATE FOREIGN TABLE opt (k text OPTIONS (aliasing 'on'), v text) SERVER nr_cache OPTIONS (copies '2');
-- one copy has nobody to share with
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (aliasing 'on');
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (aliasing 'on', copies '1', scheme 'nr');
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (copies '1', aliasing 'on', scheme 'left_right');
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (copies '2', aliasing 'on');
ALTER FOREIGN TABLE opt OPTIONS (SET copies '1');
ALTER FOREIGN TABLE opt OPTIONS (DROP copies);
ALTER FOREIGN TABLE opt OPTIONS (DROP copies, ADD scheme 'left_right');
ALTER FOREIGN TABLE opt OPTIONS (DROP scheme, DROP aliasing);
ALTER FOREIGN TABLE opt OPTIONS (ADD aliasing 'on');
ALTER FOREIGN TABLE opt OPTIONS (ADD aliasing 'off');
ALTER FOREIGN TABLE opt OPTIONS (SET aliasing 'on');
DROP FOREIGN TABLE opt;

-- EXPLAIN says it where there are two copies
CREATE FUNCTION explained(cache regclass) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM ' || cache LOOP
        IF line ~ 'Scheme|Copies|Aliasing|Visibility' THEN
            RETURN NEXT trim(line);
        END IF;
    END LOOP;
END $$;
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (scheme 'left_right');
SELECT * FROM explained('opt');
ALTER FOREIGN TABLE opt OPTIONS (DROP scheme, ADD copies '2', ADD aliasing 'off');
SELECT * FROM explained('opt');
ALTER FOREIGN TABLE opt OPTIONS (DROP copies);
SELECT * FROM explained('opt');
DROP FOREIGN TABLE opt;

-- it is part of the layout: another value empties the cache, the same in other words does not
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (copies '2');
INSERT INTO opt VALUES ('k', repeat('kept', 500));
ALTER FOREIGN TABLE opt OPTIONS (ADD aliasing 'on');
ALTER FOREIGN TABLE opt OPTIONS (SET aliasing 'TRUE');
SELECT length(nr_get('opt', 'k'));
BEGIN;
ALTER FOREIGN TABLE opt OPTIONS (SET aliasing 'off');
SELECT nr_get('opt', 'k');
ROLLBACK;
SELECT length(nr_get('opt', 'k')), memory_shared > 0 AS shared FROM nr_caches WHERE cache = 'opt'::regclass;
ALTER FOREIGN TABLE opt OPTIONS (SET aliasing 'off');
SELECT nr_get('opt', 'k');
SELECT copies, memory_shared FROM nr_caches WHERE cache = 'opt'::regclass;
INSERT INTO opt VALUES ('k', repeat('kept', 500));
ALTER FOREIGN TABLE opt OPTIONS (DROP aliasing);
SELECT nr_get('opt', 'k');
INSERT INTO opt VALUES ('k', repeat('kept', 500));
-- of one copy nobody asks: "copies" says all
ALTER FOREIGN TABLE opt OPTIONS (SET copies '1');
INSERT INTO opt VALUES ('k', repeat('kept', 500));
ALTER FOREIGN TABLE opt OPTIONS (ADD aliasing 'off');
SELECT length(nr_get('opt', 'k'));
BEGIN;
INSERT INTO opt VALUES ('k', 'staged');
ALTER FOREIGN TABLE opt OPTIONS (DROP aliasing);
SELECT nr_get('opt', 'k');
ROLLBACK;
DROP FOREIGN TABLE opt;
CREATE FOREIGN TABLE opt (k text, v text) SERVER nr_cache OPTIONS (scheme 'left_right');
BEGIN;
INSERT INTO opt VALUES ('k', 'staged');
ALTER FOREIGN TABLE opt OPTIONS (ADD aliasing 'off');
ROLLBACK;
DROP FOREIGN TABLE opt;

-- ---- what is in it: each visibility and scheme against a table ---------------------------

-- Lengths on both sides of those from which on copies share.
CREATE FUNCTION value(k int, round int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT left(repeat(md5(k::text || ':' || round::text), 700),
        CASE (k + round) % 10 WHEN 0 THEN 3 WHEN 1 THEN 40 + k % 30 WHEN 2 THEN 110 + k % 20 WHEN 3 THEN 9000 + k % 9000 ELSE 1000 + k % 50 END)
$$;
CREATE TABLE model (k int PRIMARY KEY, v text);
CREATE TABLE caches (name text, aliased boolean, manual boolean);
DO $$
DECLARE
    scheme text;
    visibility text;
    aliasing text;
    name text;
BEGIN
    FOREACH scheme IN ARRAY ARRAY['copies ''2''', 'scheme ''left_right'''] LOOP
        FOREACH visibility IN ARRAY ARRAY['commit', 'immediate', 'manual'] LOOP
            FOREACH aliasing IN ARRAY ARRAY['on', 'off'] LOOP
                CONTINUE WHEN aliasing = 'off' AND visibility <> 'immediate';
                name := CASE WHEN scheme ~ 'left' THEN 'lr' ELSE 'two' END || '_' || visibility || CASE aliasing WHEN 'off' THEN '_off' ELSE '' END;
                EXECUTE format('CREATE FOREIGN TABLE %I (k int, v text) SERVER nr_cache OPTIONS (%s, visibility %L, aliasing %L)',
                    name, scheme, visibility, aliasing);
                INSERT INTO caches VALUES (name, aliasing = 'on', visibility = 'manual');
            END LOOP;
        END LOOP;
    END LOOP;
END $$;

-- Each statement in a transaction of its own for each cache, and for the model; then all are compared, in three ways.
CREATE PROCEDURE step(what text, of_cache text, of_model text) LANGUAGE plpgsql AS $$
DECLARE
    c record;
    bad record;
BEGIN
    EXECUTE of_model;
    COMMIT;
    FOR c IN SELECT * FROM caches ORDER BY name LOOP
        EXECUTE replace(of_cache, 'CACHE', c.name);
        COMMIT;
        IF c.manual THEN
            PERFORM nr_publish(c.name::regclass);
            COMMIT;
        END IF;
        EXECUTE format('SELECT count(*) AS scanned FROM model m FULL JOIN (SELECT * FROM %I) c USING (k) WHERE m.v IS DISTINCT FROM c.v', c.name) INTO bad;
        IF bad.scanned > 0 THEN
            RAISE WARNING '%, %: % differences', what, c.name, bad.scanned;
        END IF;
        EXECUTE format('SELECT count(*) AS looked_up FROM model WHERE v IS DISTINCT FROM nr_get(%L, k)', c.name) INTO bad;
        IF bad.looked_up > 0 THEN
            RAISE WARNING '%, %: % differences when looked up', what, c.name, bad.looked_up;
        END IF;
        IF (SELECT array_agg(v ORDER BY k) FROM model) IS DISTINCT FROM nr_get_many(c.name::regclass, ARRAY(SELECT k FROM model ORDER BY k), NULL::text)
            AND EXISTS (SELECT FROM model) THEN
            RAISE WARNING '%, %: nr_get_many differs', what, c.name;
        END IF;
        PERFORM nr_check(c.name::regclass);
        COMMIT;
    END LOOP;
    RAISE NOTICE '%: % entries', what, (SELECT count(*) FROM model);
END $$;

CALL step('load', 'INSERT INTO CACHE SELECT i, value(i, 0) FROM generate_series(1, 500) i',
    'INSERT INTO model SELECT i, value(i, 0) FROM generate_series(1, 500) i');
SELECT name, aliased, memory_shared > 500000 AS shared, memory_used > memory_shared AS more_than_that, memory_used <= memory_limit AS within
FROM caches JOIN nr_caches ON cache = name::regclass ORDER BY name;
-- shorter, longer, from one side of the limit to the other and back
DO $$
BEGIN
    FOR round IN 1 .. 4 LOOP
        CALL step('overwrite ' || round, format('INSERT INTO CACHE SELECT i, value(i, %s) FROM generate_series(1, 500) i', round),
            format('UPDATE model SET v = value(k, %s)', round));
    END LOOP;
END $$;
CALL step('the same once more', 'UPDATE CACHE SET v = v', 'UPDATE model SET v = v');
CALL step('update', 'UPDATE CACHE SET v = v || ''!'' WHERE k % 3 = 0', 'UPDATE model SET v = v || ''!'' WHERE k % 3 = 0');
CALL step('other keys', 'UPDATE CACHE SET k = -k WHERE k % 7 = 0', 'UPDATE model SET k = -k WHERE k % 7 = 0');
CALL step('delete', 'DELETE FROM CACHE WHERE k % 2 = 0', 'DELETE FROM model WHERE k % 2 = 0');
CALL step('delete by calls', 'DO ''BEGIN PERFORM nr_delete(''''CACHE'''', i) FROM generate_series(1, 500, 5) i; END''', 'DELETE FROM model WHERE k % 5 = 1');
CALL step('put back', 'DO ''BEGIN PERFORM nr_put(''''CACHE'''', i, value(i, 5)) FROM generate_series(1, 500, 5) i; END''',
    'INSERT INTO model SELECT i, value(i, 5) FROM generate_series(1, 500, 5) i');
-- a key many times in one transaction; of what is dropped again at once, too
CALL step('one key', 'DO ''BEGIN FOR i IN 1 .. 50 LOOP PERFORM nr_put(''''CACHE'''', 1000, value(i, 0)), nr_put(''''CACHE'''', 1001, value(i, 1)), nr_delete(''''CACHE'''', 1001); END LOOP; END''',
    'INSERT INTO model VALUES (1000, value(50, 0))');
CALL step('truncate and refill', 'DO ''BEGIN PERFORM nr_truncate(''''CACHE''''); INSERT INTO CACHE SELECT i, value(i, 6) FROM generate_series(1, 300) i; END''',
    'DO ''BEGIN DELETE FROM model; INSERT INTO model SELECT i, value(i, 6) FROM generate_series(1, 300) i; END''');
CALL step('truncate', 'TRUNCATE CACHE', 'DELETE FROM model');
CALL step('refill', 'INSERT INTO CACHE SELECT i, value(i, 7) FROM generate_series(1, 300) i', 'INSERT INTO model SELECT i, value(i, 7) FROM generate_series(1, 300) i');
CALL step('refill, truncate and refill', 'DO ''BEGIN INSERT INTO CACHE SELECT i, value(i, 8) FROM generate_series(200, 400) i; PERFORM nr_truncate(''''CACHE'''');
    INSERT INTO CACHE SELECT i, value(i, 9) FROM generate_series(300, 500) i; END''',
    'DO ''BEGIN DELETE FROM model; INSERT INTO model SELECT i, value(i, 9) FROM generate_series(300, 500) i; END''');

-- what is rolled back leaves nothing
BEGIN;
INSERT INTO two_commit SELECT i, value(i, 10) FROM generate_series(1, 500) i;
SAVEPOINT s;
SELECT nr_truncate('two_commit'), nr_put('lr_commit', 300, repeat('x', 2000));
ROLLBACK TO s;
SELECT count(*), count(nr_get('lr_commit', k)) FROM two_commit;
ROLLBACK;
CALL step('nothing', 'DO ''BEGIN END''', 'DO ''BEGIN END''');

-- operations with an answer: long values before and after
SELECT c.name, nr_swap(c.name::regclass, 1, repeat('a', 3000)) IS NULL AS nothing, length(nr_swap(c.name::regclass, 1, repeat('b', 5000))) AS a,
    nr_swap(c.name::regclass, 1, 'c'::text) = repeat('b', 5000) AS b, nr_swap(c.name::regclass, 1, repeat('d', 2000)) AS c
FROM caches c WHERE c.name ~ 'immediate' ORDER BY 1;
SELECT c.name, nr_cas(c.name::regclass, 1, repeat('x', 2000), 'no'::text) AS no, nr_cas(c.name::regclass, 1, repeat('d', 2000), repeat('e', 4000)) AS yes,
    nr_cas(c.name::regclass, 1, repeat('e', 4000), 'f'::text) AS short, nr_cas(c.name::regclass, 1, 'f'::text, repeat('g', 60)) AS border,
    nr_cas(c.name::regclass, 1, repeat('g', 60), repeat('h', 1000)) AS long
FROM caches c WHERE c.name ~ 'immediate' ORDER BY 1;
SELECT c.name, nr_get(c.name::regclass, 1) = repeat('h', 1000) AS swapped, nr_check(c.name::regclass) FROM caches c ORDER BY 1;

-- long keys: an entry counts as a whole
CREATE FOREIGN TABLE keys (k text, v int) SERVER nr_cache OPTIONS (copies '2', visibility 'immediate');
INSERT INTO keys SELECT repeat(md5(i::text), 30), i FROM generate_series(1, 3000) i;
SELECT count(*), sum(v), count(*) FILTER (WHERE nr_get('keys', repeat(md5(v::text), 30), -1) = v) AS found FROM keys;
SELECT nr_incr('keys', repeat(md5('1'), 30), 5), nr_incr('keys', repeat('k', 1000), 5), nr_delete('keys', repeat(md5('2'), 30));
SELECT memory_shared > 2500000 AS shared, nr_check('keys') FROM nr_caches WHERE cache = 'keys'::regclass;
DROP FOREIGN TABLE keys;

-- ---- memory -------------------------------------------------------------------------------

CREATE FOREIGN TABLE one (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE plain (k int, v text) SERVER nr_cache OPTIONS (copies '2', aliasing 'off', visibility 'immediate');
CREATE FOREIGN TABLE alias (k int, v text) SERVER nr_cache OPTIONS (copies '2', visibility 'immediate');
CREATE FOREIGN TABLE alias_lr (k int, v text) SERVER nr_cache OPTIONS (scheme 'left_right', visibility 'commit');
CREATE VIEW used AS SELECT cache, entries, memory_used, memory_shared, memory_limit FROM nr_caches
    WHERE cache::text IN ('one', 'plain', 'alias', 'alias_lr');
INSERT INTO one SELECT i, repeat('x', 1000) FROM generate_series(1, 6000) i;
INSERT INTO plain SELECT * FROM one;
INSERT INTO alias SELECT * FROM one;
DO $$
BEGIN
    FOR part IN 0 .. 5 LOOP
        INSERT INTO alias_lr SELECT i, repeat('x', 1000) FROM generate_series(part * 1000 + 1, part * 1000 + 1000) i;
        COMMIT;
    END LOOP;
END $$;
SELECT a.cache, a.entries, a.memory_used < 0.7 * plain.memory_used AS less_than_plain, a.memory_used >= one.memory_used AS not_less_than_one,
    a.memory_shared > 6000000 AS shared, a.memory_shared < a.memory_used AS within, a.memory_limit = plain.memory_limit AS limit
FROM used a, used one, used plain WHERE a.cache::text ~ 'alias' AND one.cache::text = 'one' AND plain.cache::text = 'plain' ORDER BY a.cache::text;
SELECT cache, memory_shared IS NULL AS nothing_shared FROM used WHERE cache::text IN ('one', 'plain') ORDER BY 1;
-- short entries are in each copy
CREATE FOREIGN TABLE short (k int, v int) SERVER nr_cache OPTIONS (copies '2', visibility 'immediate');
INSERT INTO short SELECT i, i FROM generate_series(1, 20000) i;
SELECT memory_shared < 0.5 * memory_used AS most_is_not_shared FROM nr_caches WHERE cache = 'short'::regclass;
DROP FOREIGN TABLE short;
-- the view is for whoever may look at it; the function behind the column tells as much as pg_relation_size does
SELECT nr_memory_shared(current_database(), 'alias'::regclass) = memory_shared AS same, nr_memory_shared('no_such_database', 'alias'::regclass),
    nr_memory_shared(current_database(), 0), nr_memory_shared(NULL, 0)
FROM nr_caches WHERE cache = 'alias'::regclass;

-- overwritten again and again: no more memory in the end than at the beginning
CREATE TEMP TABLE was AS SELECT * FROM used LIMIT 0;
DO $$
BEGIN
    FOR round IN 1 .. 9 LOOP
        FOR part IN 0 .. 5 LOOP
            INSERT INTO alias SELECT i, repeat(chr(97 + round), 900 + (i * 7 + round * 31) % 200) FROM generate_series(part * 1000 + 1, part * 1000 + 1000) i;
            INSERT INTO alias_lr SELECT i, repeat(chr(97 + round), 900 + (i * 7 + round * 31) % 200) FROM generate_series(part * 1000 + 1, part * 1000 + 1000) i;
            COMMIT;
        END LOOP;
        DELETE FROM alias WHERE k % 4 = round % 4;
        DELETE FROM alias_lr WHERE k % 4 = round % 4;
        COMMIT;
        IF round = 3 THEN
            INSERT INTO was SELECT * FROM used;
            COMMIT;
        END IF;
    END LOOP;
END $$;
SELECT cache, used.entries, used.memory_used <= 1.1 * was.memory_used AS no_more_memory, nr_check(cache)
FROM used JOIN was USING (cache) WHERE cache::text ~ 'alias' ORDER BY cache::text;
-- truncated: given back, with the next write at the latest
TRUNCATE alias, alias_lr;
INSERT INTO alias VALUES (1, 'one');
INSERT INTO alias_lr VALUES (1, 'one');
INSERT INTO alias VALUES (2, 'two');
INSERT INTO alias_lr VALUES (2, 'two');
SELECT cache, used.entries, used.memory_used < 0.6 * was.memory_used AS given_back, nr_check(cache)
FROM used JOIN was USING (cache) WHERE cache::text ~ 'alias' ORDER BY cache::text;
DROP FOREIGN TABLE one, plain, alias, alias_lr CASCADE;

-- ---- full --------------------------------------------------------------------------------

CREATE FOREIGN TABLE full_two (k int, v text) SERVER nr_cache OPTIONS (copies '2', visibility 'immediate', memory '8MB');
CREATE FOREIGN TABLE full_lr (k int, v text) SERVER nr_cache OPTIONS (scheme 'left_right', visibility 'immediate', memory '8MB');
CREATE FOREIGN TABLE full_off (k int, v text) SERVER nr_cache OPTIONS (copies '2', aliasing 'off', visibility 'immediate', memory '8MB');
\set VERBOSITY terse
INSERT INTO full_two SELECT i, repeat('x', 1000) FROM generate_series(1, 20000) i;
INSERT INTO full_lr SELECT i, repeat('x', 1000) FROM generate_series(1, 20000) i;
INSERT INTO full_off SELECT i, repeat('x', 1000) FROM generate_series(1, 20000) i;
\set VERBOSITY default
SELECT cache, memory_limit, memory_used <= memory_limit AS within FROM nr_caches WHERE cache::text ~ '^full' ORDER BY cache::text;
SELECT (SELECT count(*) FROM full_two) > 1.4 * (SELECT count(*) FROM full_off) AS more_fit, (SELECT count(*) FROM full_lr) > 1.4 * (SELECT count(*) FROM full_off) AS more_fit_lr,
    nr_check('full_two') AND nr_check('full_lr') AND nr_check('full_off') AS sound;
SELECT bool_and(v = repeat('x', 1000)) AS whole, bool_and(nr_get('full_two', k) = v) AS found, max(k) = count(*) AS in_order FROM full_two;
-- what is deleted is room for the next statement, be it one entry; a new value needs room beside the old one
SELECT nr_delete('full_two', 1), nr_delete('full_lr', 1);
SELECT nr_put('full_two', -1, repeat('y', 1000)), nr_put('full_lr', -1, repeat('y', 1000));
\set VERBOSITY sqlstate
SELECT nr_put('full_two', -2, repeat('y', 1000));
SELECT nr_put('full_lr', 2, repeat('y', 1000));
\set VERBOSITY default
DELETE FROM full_two WHERE k % 2 = 0;
DELETE FROM full_lr WHERE k % 2 = 0;
INSERT INTO full_two SELECT i, repeat('z', 1000) FROM generate_series(30001, 31500) i;
INSERT INTO full_lr SELECT i, repeat('z', 1000) FROM generate_series(30001, 31500) i;
SELECT count(*) FILTER (WHERE k > 30000) AS two, (SELECT count(*) FROM full_lr WHERE k > 30000) AS lr, nr_check('full_two'), nr_check('full_lr') FROM full_two;
-- so is what is truncated
SELECT nr_truncate('full_two'), nr_truncate('full_lr');
INSERT INTO full_two SELECT i, repeat('t', 1000) FROM generate_series(1, 4000) i;
INSERT INTO full_lr SELECT i, repeat('t', 1000) FROM generate_series(1, 4000) i;
SELECT count(*), (SELECT count(*) FROM full_lr) AS lr, nr_check('full_two'), nr_check('full_lr') FROM full_two;
DROP FOREIGN TABLE full_two, full_lr, full_off;

-- visibility commit: nothing of a transaction that does not fit; truncate and refill in one transaction, and in two
CREATE FOREIGN TABLE full_commit (k int, v text) SERVER nr_cache OPTIONS (copies '2', memory '4MB');
CREATE PROCEDURE fill(cache regclass, letter text, size int, most int) LANGUAGE plpgsql AS $$
BEGIN
    FOR part IN 0 .. most / size - 1 LOOP
        EXECUTE format('INSERT INTO %s SELECT i, repeat(%L, 1000) FROM generate_series(%s, %s) i', cache, letter, part * size + 1, part * size + size);
        COMMIT;
    END LOOP;
END $$;
\set VERBOSITY terse
CALL fill('full_commit', 'x', 100, 10000);
\set VERBOSITY default
SELECT count(*) > 1000 AS many, count(*) % 100 AS torn, nr_check('full_commit') FROM full_commit;
-- room for the worst case is whole extents
DELETE FROM full_commit WHERE k <= 1000;
SELECT nr_put('full_commit', 10001, repeat('y', 1000));
TRUNCATE full_commit;
CALL fill('full_commit', 'z', 100, 1000);
SELECT count(*), min(v) = repeat('z', 1000) AS new, nr_check('full_commit') FROM full_commit;
BEGIN;
TRUNCATE full_commit;
INSERT INTO full_commit SELECT i, repeat('t', 1000) FROM generate_series(1, 500) i;
COMMIT;
SELECT count(*), min(v) = repeat('t', 1000) AS new, nr_check('full_commit') FROM full_commit;
DROP FOREIGN TABLE full_commit;

-- the least memory: still a cache
CREATE FOREIGN TABLE least (k int, v text) SERVER nr_cache OPTIONS (copies '2', visibility 'immediate', memory '64kB');
CREATE FOREIGN TABLE least_off (k int, v text) SERVER nr_cache OPTIONS (copies '2', visibility 'immediate', memory '64kB', aliasing 'off');
\set VERBOSITY terse
INSERT INTO least SELECT i, repeat('x', 1000) FROM generate_series(1, 10000) i;
INSERT INTO least_off SELECT i, 'short' FROM generate_series(1, 100000) i;
TRUNCATE least;
INSERT INTO least SELECT i, 'short' FROM generate_series(1, 100000) i;
\set VERBOSITY default
SELECT count(*) > 1000 AS short_ones FROM least;
SELECT l.memory_limit > o.memory_limit AS more_for_what_is_shared, l.memory_used <= l.memory_limit AS within, nr_check('least')
FROM nr_caches l, nr_caches o WHERE l.cache = 'least'::regclass AND o.cache = 'least_off'::regclass;
DROP FOREIGN TABLE least, least_off;

SET client_min_messages = warning;
DROP SCHEMA al CASCADE;
