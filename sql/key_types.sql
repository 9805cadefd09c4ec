--
-- Every type that a key can have, compared with a primary key of that type;
-- and those that it cannot have.
--
CREATE SCHEMA t_key_types;
SET search_path = t_key_types, public;
SET datestyle = 'ISO, YMD';
SET timezone = 'UTC';
SET plan_cache_mode = force_custom_plan;

CREATE TYPE mood AS ENUM ('sad', 'so so', 'happy', '');
CREATE DOMAIN good_mood AS mood CHECK (VALUE <> 'sad');
CREATE DOMAIN code4 AS char(4);

-- name of its cache and table; extreme and other values; a random one from the number r
CREATE TABLE kinds (name text PRIMARY KEY, type text, samples text[], generator text);
INSERT INTO kinds VALUES
('bool', 'boolean', '{t,f}', 'r % 2 = 0'),
('char1', '"char"', '{"",a,A," ",~}', 'chr(33 + r % 90)'),
('int2', 'smallint', '{-32768,-1,0,32767}', 'r * 163 - 32768'),
('int4', 'integer', '{-2147483648,-1,0,2147483647}', 'r * 10000019::bigint - 2000000000'),
('int8', 'bigint', '{-9223372036854775808,-1,0,9223372036854775807}', 'r * 20000000000000000 - 4000000000000000000'),
('oid', 'oid', '{0,1,2147483647,2147483648,4294967295}', '(r::bigint * 10737418)::oid'),
('text', 'text', ARRAY['', ' ', 'a', 'a ', 'ä', repeat('x', 2048)], 'repeat(chr(97 + r % 26), r % 7) || r % 13'),
('varchar', 'varchar(8)', '{"",a,"a ",ääääääää}', 'repeat(chr(97 + r % 26), r % 7) || r % 10'),
('char6', 'char(6)', '{"",a," a",ä,ääääää,abcdef}', 'substr(md5((r % 150)::text), 1, r % 6) || repeat('' '', r % 3)'),
('bpchar', 'bpchar', ARRAY['', 'a', ' a', 'ä', repeat('x', 2048)], 'substr(md5((r % 150)::text), 1, r % 6) || repeat('' '', r % 3)'),
('name', 'name', ARRAY['', 'a', 'a ', repeat('x', 62), repeat('x', 63)], 'md5((r % 150)::text)'),
('bytea', 'bytea', '{"",\\x00,\\x0000,\\xff}', 'substr(decode(md5((r % 150)::text), ''hex''), 1, r % 6)'),
('uuid', 'uuid', '{00000000-0000-0000-0000-000000000000,ffffffff-ffff-ffff-ffff-ffffffffffff,a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}', 'md5((r % 150)::text)::uuid'),
('date', 'date', '{-infinity,"4714-11-24 BC",1999-12-31,2000-01-01,5874897-12-31,infinity}', 'date ''2000-01-01'' + (r - 200) * 1000'),
('time', 'time', '{00:00:00,00:00:00.000001,12:34:56.789012,24:00:00}', 'time ''00:00'' + r % 150 * interval ''3 min 17.000001 s'''),
('timetz', 'timetz', '{00:00:00+15:59:59,12:00:00+00,13:00:00+01,11:00:00-01,24:00:00-15:59:59}',
	'(lpad((r % 24)::text, 2, ''0'') || '':00'' || (ARRAY[''+00'', ''+02'', ''-05:30''])[1 + r % 3])::timetz'),
('timestamp', 'timestamp', '{-infinity,"4714-11-24 00:00:00 BC","2000-01-01 00:00:00","1999-12-31 23:59:59.999999","294276-12-31 23:59:59.999999",infinity}',
	'timestamp ''2000-01-01'' + (r - 200) * interval ''1000 hours 0.000001 s'''),
('timestamptz', 'timestamptz', '{-infinity,"4714-11-24 00:00:00+00 BC","2000-01-01 00:00:00+00","1999-12-31 23:59:59.999999+00","294276-12-31 23:59:59.999999+00",infinity}',
	'timestamptz ''2000-01-01'' + (r - 200) * interval ''1000 hours 0.000001 s'''),
('inet', 'inet', '{0.0.0.0/0,0.0.0.0,10.0.0.1,10.0.0.1/24,10.0.0.0/24,255.255.255.255,::/0,::,::10.0.0.1,ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff}',
	'CASE WHEN r % 4 = 0 THEN ''2001:db8::'' || to_hex(r % 16) || ''/'' || 120 + r % 9
	 ELSE ''10.0.'' || r % 3 || ''.'' || r % 16 || ''/'' || 24 + r % 9 END::inet'),
('cidr', 'cidr', '{0.0.0.0/0,0.0.0.0/32,10.0.0.0/8,10.0.0.0/24,255.255.255.255/32,::/0,::/128,2001:db8::/32}',
	'network((''10.'' || r % 9 || ''.'' || r % 16 || ''.0/'' || 8 + r % 17)::inet)'),
('macaddr', 'macaddr', '{00:00:00:00:00:00,08:00:2b:01:02:03,ff:ff:ff:ff:ff:ff}', '(''08:00:2b:01:02:'' || lpad(to_hex(r % 150), 2, ''0''))::macaddr'),
('macaddr8', 'macaddr8', '{00:00:00:00:00:00:00:00,08:00:2b:01:02:03:04:05,ff:ff:ff:ff:ff:ff:ff:ff}', '(''08:00:2b:01:02:03:04:'' || lpad(to_hex(r % 150), 2, ''0''))::macaddr8'),
('enum', 'mood', '{sad,so so,happy,""}', '(enum_range(NULL::mood))[1 + r % 4]'),
('char_domain', 'code4', '{"",a," a",ä,ääää}', 'substr(md5((r % 150)::text), 1, r % 4) || repeat('' '', r % 3)');

DO $$
DECLARE kind kinds;
BEGIN
	FOR kind IN SELECT * FROM kinds LOOP
		EXECUTE format('CREATE TABLE t_%s (k %s PRIMARY KEY, v text)', kind.name, kind.type);
	END LOOP;
END $$;

-- a cache of each kind
CREATE PROCEDURE make_caches(options text, columns text DEFAULT '(k %s, v text)') LANGUAGE plpgsql AS $$
DECLARE kind kinds;
BEGIN
	FOR kind IN SELECT * FROM kinds LOOP
		EXECUTE format('CREATE FOREIGN TABLE c_%s ' || columns || ' SERVER nr_cache OPTIONS (%s)', kind.name, kind.type, options);
	END LOOP;
END $$;

CREATE PROCEDURE drop_caches() LANGUAGE plpgsql AS $$
DECLARE kind kinds;
BEGIN
	FOR kind IN SELECT * FROM kinds LOOP
		EXECUTE format('DROP FOREIGN TABLE c_%s', kind.name);
	END LOOP;
END $$;

-- ---- each way to use a key, with the extreme values ----

CREATE FUNCTION is_lookup(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		IF line ~ 'Cache Lookup' THEN RETURN true; END IF;
	END LOOP;
	RETURN false;
END $$;

CREATE FUNCTION is_true(query text, VARIADIC args text[]) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE ok boolean;
BEGIN
	EXECUTE format(query, VARIADIC args) INTO ok;
	RETURN coalesce(ok, false);
END $$;

CREATE FUNCTION fails_with(state text, query text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE query;
	RETURN false;
EXCEPTION WHEN OTHERS THEN
	RETURN sqlstate = state;
END $$;

-- With a "char", PostgreSQL cannot decide between nr_get(regclass, text) and nr_get(regclass, anynonarray).
CREATE FUNCTION argument_type(kind kinds) RETURNS text LANGUAGE sql AS $$
	SELECT kind.type || CASE kind.type WHEN '"char"' THEN '::text' ELSE '' END $$;

-- What is wrong with the cache of this kind.
CREATE FUNCTION misbehaviour(kind kinds) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	c text := 'c_' || kind.name;
	s text;
	n int := cardinality(kind.samples);
	all_keys text := format('%L::%s[]', kind.samples, kind.type);
	typed text := argument_type(kind);	-- of a key that is given to a function
BEGIN
	FOREACH s IN ARRAY kind.samples LOOP
		IF NOT is_true('SELECT nr_put(%1$L, %2$L, %2$L)', c, s) THEN RETURN NEXT 'put new ' || s; END IF;
		IF is_true('SELECT nr_put(%1$L, %2$L::%3$s, %2$L)', c, s, typed) THEN RETURN NEXT 'put again ' || s; END IF;
		IF NOT is_true('SELECT nr_get(%1$L, %2$L) = %2$L', c, s) THEN RETURN NEXT 'get by text ' || s; END IF;
		IF NOT is_true('SELECT nr_get(%1$L, %2$L::%3$s, NULL::text) = %2$L', c, s, typed) THEN RETURN NEXT 'get ' || s; END IF;
		IF NOT is_true('SELECT count(*) = 1 AND min(v) = %2$L FROM %1$s WHERE k = %2$L', c, s) THEN RETURN NEXT 'k = literal ' || s; END IF;
		IF NOT is_true('SELECT count(*) = 1 AND min(v) = %2$L FROM %1$s, (SELECT %2$L::%3$s AS x OFFSET 0) o WHERE k = x', c, s, kind.type) THEN RETURN NEXT 'k = value ' || s; END IF;
		IF NOT is_lookup(format('SELECT * FROM %s WHERE k = %L', c, s)) THEN RETURN NEXT 'k = literal is no look-up'; END IF;
		IF NOT is_true('SELECT k::text = (%2$L::%3$s)::text FROM %1$s WHERE k = %2$L', c, s, kind.type) THEN RETURN NEXT 'key looks otherwise ' || s; END IF;
	END LOOP;

	IF NOT is_true('SELECT array_agg(k ORDER BY k) = (SELECT array_agg(x ORDER BY x) FROM unnest(%2$s) x) FROM %1$s', c, all_keys) THEN RETURN NEXT 'scan'; END IF;
	IF NOT is_true('SELECT array_agg(k ORDER BY k) = (SELECT array_agg(x ORDER BY x) FROM unnest(%2$s) x) FROM %1$s WHERE k = ANY (%2$s || %2$s || NULL)', c, all_keys) THEN RETURN NEXT 'any'; END IF;
	IF NOT is_lookup(format('SELECT * FROM %s WHERE k = ANY (%s)', c, all_keys)) THEN RETURN NEXT 'any is no look-up'; END IF;
	IF NOT is_true('SELECT nr_get_many(%1$L, %2$s, NULL::text) = %3$L::text[]', c, all_keys, kind.samples::text) THEN RETURN NEXT 'get_many'; END IF;
	IF NOT is_true('SELECT nr_get_many(%1$L, %2$L::text[], NULL::text) = %2$L', c, kind.samples::text) THEN RETURN NEXT 'get_many by text'; END IF;
	IF NOT is_true('SELECT nr_get_many(%1$L, ARRAY[NULL, %2$L, NULL]::%3$s[], ''none''::text) = ARRAY[''none'', %2$L, ''none'']', c, kind.samples[1], kind.type) THEN RETURN NEXT 'get_many of null'; END IF;
	IF NOT is_true('SELECT count(*) = %2$s FROM %1$s a JOIN %1$s b USING (k)', c, n::text) THEN RETURN NEXT 'join'; END IF;

	-- a row, and another one's key
	IF is_true('SELECT nr_put(%1$L, r) FROM (SELECT r FROM %1$s r WHERE k = %2$L) x', c, kind.samples[1]) THEN RETURN NEXT 'put row'; END IF;
	EXECUTE format('UPDATE %s SET v = ''updated'' WHERE k = %L', c, kind.samples[1]);
	IF NOT is_true('SELECT nr_get(%1$L, %2$L) = ''updated''', c, kind.samples[1]) THEN RETURN NEXT 'update of value'; END IF;
	EXECUTE format('UPDATE %s SET k = %L WHERE k = %L', c, kind.samples[2], kind.samples[1]);
	IF NOT is_true('SELECT nr_get(%1$L, %2$L) IS NULL AND nr_get(%1$L, %3$L) = ''updated''', c, kind.samples[1], kind.samples[2]) THEN RETURN NEXT 'update of key'; END IF;
	EXECUTE format('INSERT INTO %s (k, v) VALUES (%L, ''inserted'')', c, kind.samples[1]);
	IF NOT is_true('SELECT count(*) = %2$s FROM %1$s', c, n::text) THEN RETURN NEXT 'insert'; END IF;
	EXECUTE format('DELETE FROM %s WHERE k = %L', c, kind.samples[1]);
	IF NOT is_true('SELECT nr_delete(%1$L, %2$L)', c, kind.samples[2]) THEN RETURN NEXT 'delete'; END IF;
	IF is_true('SELECT nr_delete(%1$L, %2$L::%3$s)', c, kind.samples[2], typed) THEN RETURN NEXT 'delete again'; END IF;
	IF NOT is_true('SELECT count(*) = %2$s - 2 FROM %1$s', c, n::text) THEN RETURN NEXT 'count'; END IF;

	-- NULL
	IF NOT is_true('SELECT nr_get(%1$L, NULL::%2$s, ''none''::text) = ''none''', c, typed) THEN RETURN NEXT 'get null'; END IF;
	IF NOT is_true('SELECT count(*) = 0 FROM %1$s WHERE k = NULL::%2$s', c, kind.type) THEN RETURN NEXT 'k = null'; END IF;
	IF NOT fails_with('22004', format('SELECT nr_put(%L, NULL::%s, ''x'')', c, typed)) THEN RETURN NEXT 'put null'; END IF;
	IF NOT fails_with('22004', format('SELECT nr_delete(%L, NULL::%s)', c, typed)) THEN RETURN NEXT 'delete null'; END IF;
	IF NOT fails_with('22004', format('INSERT INTO %s (k, v) VALUES (NULL, ''x'')', c)) THEN RETURN NEXT 'insert null'; END IF;
	IF NOT fails_with('22004', format('UPDATE %s SET k = NULL', c)) AND n > 2 THEN RETURN NEXT 'update null'; END IF;
	PERFORM nr_truncate(c);
END $$;

-- ---- random keys: the cache does what a table with such a primary key does ----

CREATE FUNCTION contents_differ(kind kinds) RETURNS boolean LANGUAGE sql AS $$
	SELECT NOT is_true('SELECT count(*) = 0 FROM c_%1$s c FULL JOIN t_%1$s t ON c.k = t.k
		WHERE c.v IS DISTINCT FROM t.v OR c.k::text <> t.k::text', kind.name) $$;

-- Calls that answered otherwise, of n random ones.
CREATE FUNCTION differences(kind kinds, n int) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	c text := 'c_' || kind.name;
	t text := 't_' || kind.name;
	keys text[];
	a text;
	b text;
	old text;
	was boolean;
BEGIN
	EXECUTE format('DELETE FROM %s', t);
	EXECUTE format('SELECT array_agg((%s)::%s::text) FROM (SELECT floor(random() * 400)::int AS r FROM generate_series(0, %s) OFFSET 0) x',
		kind.generator, kind.type, n) INTO keys;
	FOR i IN 1 .. n LOOP
		a := keys[i];
		b := keys[i + 1];
		EXECUTE format('SELECT v, true FROM %s WHERE k = %L', t, a) INTO old, was;
		was := coalesce(was, false);
		IF NOT is_true('SELECT nr_get(%L, %L) IS NOT DISTINCT FROM %L', c, a, old) THEN RETURN NEXT 'get ' || a; END IF;
		CASE i % 4
			WHEN 0 THEN
				EXECUTE format('DELETE FROM %s WHERE k = %L', t, a);
				IF is_true('SELECT nr_delete(%L, %L)', c, a) <> was THEN RETURN NEXT 'delete ' || a; END IF;
			WHEN 1 THEN
				EXECUTE format('INSERT INTO %s VALUES (%L, %L) ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v', t, a, i);
				EXECUTE format('INSERT INTO %s (k, v) VALUES (%L, %L)', c, a, i);
			WHEN 2 THEN
				EXECUTE format('INSERT INTO %s VALUES (%L, %L) ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v', t, a, i);
				IF is_true('SELECT nr_put(%L, %L::%s, %L)', c, a, argument_type(kind), i::text) = was THEN RETURN NEXT 'put ' || a; END IF;
			ELSE
				IF was THEN
					EXECUTE format('DELETE FROM %s WHERE k = %L AND k <> %L', t, b, a);
				END IF;
				EXECUTE format('UPDATE %s SET k = %L, v = %L WHERE k = %L', t, b, i, a);
				EXECUTE format('UPDATE %s SET k = %L, v = %L WHERE k = %L', c, b, i, a);
		END CASE;
	END LOOP;
	IF contents_differ(kind) THEN RETURN NEXT 'contents'; END IF;
END $$;

SELECT setseed(0.4);
CALL make_caches($$visibility 'immediate'$$);
SELECT name, problem FROM kinds k, misbehaviour(k) problem ORDER BY 1, 2;
SELECT name, problem FROM kinds k, differences(k, 100) problem ORDER BY 1, 2;
SELECT name FROM kinds k WHERE contents_differ(k) ORDER BY name;	-- now that it is committed
SELECT count(nr_check(('c_' || name)::regclass)) > 0 FROM kinds;
CALL drop_caches();

CALL make_caches($$visibility 'commit'$$);
SELECT name, problem FROM kinds k, misbehaviour(k) problem ORDER BY 1, 2;
SELECT name, problem FROM kinds k, differences(k, 250) problem ORDER BY 1, 2;
SELECT name FROM kinds k WHERE contents_differ(k) ORDER BY name;	-- now that it is committed
SELECT count(nr_check(('c_' || name)::regclass)) > 0 FROM kinds;
CALL drop_caches();

CALL make_caches($$scheme 'left_right'$$, $$(v text, k %s OPTIONS (key 'true'))$$);
SELECT name, problem FROM kinds k, misbehaviour(k) problem ORDER BY 1, 2;
CALL drop_caches();
DROP TABLE kinds CASCADE;

-- ---- equality that is looked up, and the one that is not ----

CREATE FOREIGN TABLE flags (k boolean, v text) SERVER nr_cache;
INSERT INTO flags VALUES (true, 'yes'), (false, 'no');
EXPLAIN (COSTS OFF) SELECT v FROM flags WHERE k;
EXPLAIN (COSTS OFF) SELECT v FROM flags WHERE NOT k;
EXPLAIN (COSTS OFF) SELECT v FROM flags WHERE k = true;
EXPLAIN (COSTS OFF) SELECT v FROM flags WHERE k <> true AND v <> '';
EXPLAIN (COSTS OFF) SELECT v FROM flags WHERE k IS FALSE;
EXPLAIN (COSTS OFF) SELECT v FROM flags WHERE k IS NOT TRUE;
SELECT (SELECT v FROM flags WHERE k) AS k, (SELECT v FROM flags WHERE NOT k) AS not_k, (SELECT v FROM flags WHERE k = true) AS is_true,
       (SELECT v FROM flags WHERE k <> true) AS not_true, (SELECT v FROM flags WHERE k IS FALSE) AS is_false,
       (SELECT v FROM flags WHERE k IS NOT TRUE) AS is_not_true, (SELECT v FROM flags WHERE k IS UNKNOWN) AS is_unknown;
SELECT count(*) FROM flags WHERE k AND NOT k;
SELECT b, v FROM (VALUES (true), (false), (NULL)) o(b) LEFT JOIN flags ON k = b ORDER BY b;
UPDATE flags SET k = NOT k;
SELECT * FROM flags ORDER BY k;
DROP FOREIGN TABLE flags;

-- char(n): blanks at the end do not count, and come back
CREATE FOREIGN TABLE c5 (k char(5), v text) SERVER nr_cache;
INSERT INTO c5 VALUES ('ab', '1'), ('', 'none');
SELECT nr_put('c5', 'ab   ', '2'), nr_put('c5', 'ab'::text, '3'), nr_put('c5', 'ab '::char(3), '4'), nr_put('c5', 'ä  ', 'umlaut');
SELECT k || '|' AS text, octet_length(k) AS octets, char_length(k) AS chars, format('%s|', k) AS as_is, v FROM c5 ORDER BY k;
SELECT nr_get('c5', 'ab'), nr_get('c5', 'ab' || repeat(' ', 3000)), nr_get('c5', ' ab'), nr_get('c5', '   '), nr_get('c5', 'ab'::name), nr_get('c5', 'abcdefgh');
EXPLAIN (COSTS OFF) SELECT v FROM c5 WHERE k = 'ab ';
SELECT v FROM c5 WHERE k = ('ab' || repeat(' ', 3000))::bpchar;
SELECT v FROM c5 WHERE k = repeat('x', 3000)::bpchar OR k = 'ab' ORDER BY v;
SELECT v FROM c5 WHERE k = repeat('x', 3000)::bpchar;
-- as text they count
EXPLAIN (COSTS OFF) SELECT v FROM c5 WHERE k::text = 'ab';
SELECT (SELECT v FROM c5 WHERE k::text = 'ab'), (SELECT v FROM c5 WHERE k::text = 'ab ');
SELECT nr_put('c5', 'abcdef', 'too long');
SELECT (nr_get('c5', 'ab', NULL::text));
ALTER FOREIGN TABLE c5 ADD w int;
SELECT nr_put('c5', ROW('xy', 'v', 1)), nr_get('c5', 'xy  ', NULL::c5), nr_put('c5', 'xy', ROW('xy ', 'v', 2)::c5);
SELECT nr_put('c5', 'xy', ROW('xz', 'v', 2)::c5);
ALTER FOREIGN TABLE c5 DROP w, ALTER k TYPE char(7);
SELECT count(*) FROM c5;
INSERT INTO c5 VALUES ('ab', 'longer');
SELECT octet_length(k), v FROM c5;
DROP FOREIGN TABLE c5;

-- name and text
CREATE FOREIGN TABLE names (k name, v text) SERVER nr_cache;
CREATE FOREIGN TABLE texts (k text, v text) SERVER nr_cache;
INSERT INTO names VALUES ('pg_class', 'catalog'), (repeat('x', 63), 'long');
INSERT INTO texts SELECT k::text, v FROM names;
EXPLAIN (COSTS OFF) SELECT v FROM names WHERE k = 'pg_class'::text;
EXPLAIN (COSTS OFF) SELECT v FROM names WHERE k = ANY ('{pg_class,x}'::text[]);
EXPLAIN (COSTS OFF) SELECT v FROM texts WHERE k = current_user;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
EXPLAIN (COSTS OFF) SELECT v FROM pg_class c JOIN texts ON k = relname WHERE c.oid = 'pg_class'::regclass;
SELECT v FROM pg_class c JOIN texts ON k = relname WHERE c.oid = 'pg_class'::regclass;
SELECT v FROM (SELECT relname::text AS t FROM pg_class c WHERE c.oid = 'pg_class'::regclass OFFSET 0) c JOIN names ON k = t;
RESET enable_hashjoin;
RESET enable_mergejoin;
SELECT (SELECT v FROM names WHERE k = 'pg_class'::text), (SELECT v FROM texts WHERE k = 'pg_class'::name),
       (SELECT v FROM names WHERE k = repeat('x', 63)), (SELECT v FROM names WHERE k = repeat('x', 64)),
       (SELECT v FROM texts WHERE k = repeat('x', 63)::name), (SELECT count(*) FROM names WHERE k = ANY (ARRAY['pg_class', repeat('x', 64), repeat('x', 3000)]));
SELECT nr_get('names', 'pg_class'::name), nr_get('names', 'pg_class'::text), nr_get('texts', 'pg_class'::name);
DROP FOREIGN TABLE names, texts;

-- "char" must be given as text
CREATE FOREIGN TABLE kinds (k "char", v text) SERVER nr_cache;
INSERT INTO kinds VALUES ('r', 'table'), ('i', 'index'), ('', 'none');
SELECT nr_get('kinds', relkind) FROM pg_class WHERE oid = 'pg_class'::regclass;
SELECT nr_get('kinds', relkind::text) FROM pg_class WHERE oid = 'pg_class'::regclass;
SELECT v FROM pg_class c JOIN kinds ON k = relkind WHERE c.oid IN ('pg_class'::regclass, 'pg_class_oid_index'::regclass) ORDER BY v;
SELECT nr_get('kinds', ''), nr_get('kinds', 'r'), nr_get('kinds', 'x');
DROP FOREIGN TABLE kinds;

-- date and time
CREATE FOREIGN TABLE days (k date, v text) SERVER nr_cache;
CREATE FOREIGN TABLE moments (k timestamptz(0), v text) SERVER nr_cache;
INSERT INTO days VALUES ('2024-02-29', 'leap'), ('infinity', 'never');
EXPLAIN (COSTS OFF) SELECT v FROM days WHERE k = '2024-02-29';
EXPLAIN (COSTS OFF) SELECT v FROM days WHERE k = timestamp '2024-02-29 00:00';
SELECT (SELECT v FROM days WHERE k = timestamp '2024-02-29 00:00'), (SELECT v FROM days WHERE k = timestamp '2024-02-29 00:01'),
       (SELECT v FROM days WHERE k = timestamptz 'infinity');
SELECT nr_get('days', '2024-02-29'), nr_get('days', timestamp '2024-02-29 12:00'), nr_get('days', 'infinity');
SELECT nr_get('days', '2024-02-30');
SELECT nr_get('days', 8825);
SELECT nr_put('moments', '2024-02-29 12:00:00.4+01', 'rounded'), nr_put('moments', '2024-02-29 12:00', 'noon in London');
SELECT nr_get('moments', '2024-02-29 11:00'), nr_get('moments', '2024-02-29 12:00+01'), nr_get('moments', '2024-02-29 12:00:00.4+01');
SET timezone = 'Europe/Berlin';
SELECT nr_get('moments', '2024-02-29 12:00'), nr_get('moments', '2024-02-29 12:00'::timestamp), nr_get('moments', '2024-02-29 11:00+00'::timestamptz), nr_get('moments', '2024-02-29 13:00');
SELECT * FROM moments ORDER BY k;
EXPLAIN (COSTS OFF) SELECT v FROM moments WHERE k = '2024-02-29 11:00+00'::timestamptz;
EXPLAIN (COSTS OFF) SELECT v FROM moments WHERE k = '2024-02-29 12:00'::timestamp;
SELECT v FROM moments WHERE k = '2024-02-29 12:00'::timestamp;
SET timezone = 'UTC';
DROP FOREIGN TABLE days, moments;

-- inet and cidr: the netmask counts
CREATE FOREIGN TABLE hosts (k inet, v text) SERVER nr_cache;
CREATE FOREIGN TABLE nets (k cidr, v text) SERVER nr_cache;
INSERT INTO hosts VALUES ('10.0.0.1', 'host'), ('10.0.0.1/24', 'in a net'), ('10.0.0.0/24', 'net');
INSERT INTO nets VALUES ('10.0.0.0/24', 'net'), ('10.0.0.1', 'host');
EXPLAIN (COSTS OFF) SELECT v FROM hosts WHERE k = cidr '10.0.0.0/24';
EXPLAIN (COSTS OFF) SELECT v FROM nets WHERE k = inet '10.0.0.1/24';
SELECT (SELECT v FROM hosts WHERE k = cidr '10.0.0.0/24'), (SELECT v FROM hosts WHERE k = '10.0.0.1/32'), (SELECT v FROM hosts WHERE k = '10.0.0.1/24'),
       (SELECT v FROM nets WHERE k = inet '10.0.0.1/24'), (SELECT v FROM nets WHERE k = inet '10.0.0.0/24'), (SELECT v FROM nets WHERE k = '10.0.0.0/24');
SELECT nr_get('hosts', inet '10.0.0.1/24'), nr_get('nets', cidr '10.0.0.0/24'), nr_get('nets', inet '10.0.0.1/24'), nr_get('nets', '10.0.0/24');
SELECT v FROM hosts WHERE k << '10.0.0.0/8' ORDER BY v;
DROP FOREIGN TABLE hosts, nets;

-- oid, with the types that stand for one
CREATE FOREIGN TABLE rels (k oid, v text) SERVER nr_cache;
INSERT INTO rels VALUES ('pg_class'::regclass, 'classes'), (4294967295, 'last'), (7, 'seven');
SELECT nr_get('rels', 7), nr_get('rels', 7::bigint), nr_get('rels', 4294967295), nr_get('rels', '4294967295'), nr_get('rels', 'pg_class'::regclass);
SELECT nr_get('rels', 4294967296);
EXPLAIN (COSTS OFF) SELECT v FROM rels WHERE k = 'pg_class'::regclass;
SELECT (SELECT v FROM rels WHERE k = 'pg_class'::regclass), (SELECT v FROM rels WHERE k = 7), (SELECT v FROM rels WHERE k = 4294967295);
DROP FOREIGN TABLE rels;

-- enum: a value keeps its entry under a new name
CREATE FOREIGN TABLE moods (k mood, v text) SERVER nr_cache;
CREATE FOREIGN TABLE good_moods (k good_mood, v text) SERVER nr_cache;
INSERT INTO moods SELECT e, 'is ' || e FROM unnest(enum_range(NULL::mood)) e;
ALTER TYPE mood RENAME VALUE 'happy' TO 'glad';
ALTER TYPE mood ADD VALUE 'angry' BEFORE 'sad';
SELECT nr_put('moods', 'angry', 'is angry');
SELECT * FROM moods ORDER BY k;
SELECT nr_get('moods', 'glad'), nr_get('moods', 'glad'::mood, 'none'::text);
SELECT nr_get('moods', 'happy');
EXPLAIN (COSTS OFF) SELECT v FROM moods WHERE k = 'glad';
SELECT nr_put('good_moods', 'glad', 'is good'), nr_put('good_moods', 'so so'::mood, 'is not bad');
SELECT nr_put('good_moods', 'sad', 'is bad');
SELECT nr_get('good_moods', 'glad'), nr_get('good_moods', 'glad'::good_mood), nr_get('good_moods', 'sad');
EXPLAIN (COSTS OFF) SELECT v FROM good_moods WHERE k::mood = 'glad';
SELECT v FROM good_moods WHERE k::mood = 'glad';
DROP FOREIGN TABLE moods, good_moods;

-- ---- COPY, in and out, one of each way in which keys are stored ----

CREATE FOREIGN TABLE copied (k char(4), v text) SERVER nr_cache;
COPY copied FROM STDIN;
a	1
b   	2
a  	3
	4
\.
COPY (SELECT * FROM copied ORDER BY k) TO STDOUT (FORMAT csv, FORCE_QUOTE *);
ALTER FOREIGN TABLE copied ALTER k TYPE boolean;
COPY copied FROM STDIN;
t	1
no	2
true	3
\.
COPY (SELECT * FROM copied ORDER BY k) TO STDOUT;
ALTER FOREIGN TABLE copied ALTER k TYPE timestamptz;
COPY copied FROM STDIN;
2024-02-29 12:00:00+01	1
2024-02-29 11:00:00+00	2
-infinity	3
\.
COPY (SELECT * FROM copied ORDER BY k) TO STDOUT;
ALTER FOREIGN TABLE copied ALTER k TYPE timetz;
COPY copied FROM STDIN;
12:00:00+01	1
11:00:00+00	2
12:00+01	3
\.
COPY (SELECT * FROM copied ORDER BY k) TO STDOUT;
ALTER FOREIGN TABLE copied ALTER k TYPE inet;
COPY copied FROM STDIN;
10.0.0.1	1
::1/128	2
10.0.0.1/32	3
\.
COPY (SELECT * FROM copied ORDER BY k) TO STDOUT;
ALTER FOREIGN TABLE copied ALTER k TYPE macaddr;
COPY copied FROM STDIN;
08:00:2b:01:02:03	1
08002b010204	2
08-00-2B-01-02-03	3
\.
COPY (SELECT * FROM copied ORDER BY k) TO STDOUT;
ALTER FOREIGN TABLE copied ALTER k TYPE mood;
COPY copied FROM STDIN;
sad	1
so so	2
sad	3
\.
COPY (SELECT * FROM copied ORDER BY k) TO STDOUT;
COPY copied FROM STDIN;
merry	1
\.
COPY copied FROM STDIN;
\N	1
\.
ALTER FOREIGN TABLE copied ALTER k TYPE name;
COPY copied FROM STDIN;
pg_class	1
pg_type	2
pg_class	3
\.
COPY (SELECT * FROM copied ORDER BY k) TO STDOUT;

-- ---- what cannot be a key, and why ----

ALTER FOREIGN TABLE copied ALTER k TYPE float8;
SELECT count(*) FROM copied;
DROP FOREIGN TABLE copied;
CREATE FOREIGN TABLE bad (k real, v text) SERVER nr_cache;
CREATE FOREIGN TABLE bad (k double precision, v text) SERVER nr_cache;
CREATE FOREIGN TABLE bad (k numeric(10, 2), v text) SERVER nr_cache;
CREATE FOREIGN TABLE bad (k interval, v text) SERVER nr_cache;
CREATE FOREIGN TABLE bad (k json, v text) SERVER nr_cache;
CREATE FOREIGN TABLE bad (k jsonb, v text) SERVER nr_cache;
CREATE FOREIGN TABLE bad (k point, v text) SERVER nr_cache;
CREATE FOREIGN TABLE bad (k money, v text) SERVER nr_cache;
CREATE FOREIGN TABLE bad (k integer[], v text) SERVER nr_cache;
CREATE FOREIGN TABLE bad (k int4range, v text) SERVER nr_cache;
CREATE FOREIGN TABLE bad (k int4multirange, v text) SERVER nr_cache;
CREATE TYPE pair AS (a int, b int);
CREATE FOREIGN TABLE bad (k pair, v text) SERVER nr_cache;
CREATE DOMAIN price AS numeric CHECK (VALUE >= 0);
CREATE FOREIGN TABLE bad (k price, v text) SERVER nr_cache;

-- a type like citext: stored as a text, but with an equality of its own
SET client_min_messages = warning;
CREATE TYPE any_case;
CREATE FUNCTION any_case_in(cstring) RETURNS any_case LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION any_case_out(any_case) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE any_case (INPUT = any_case_in, OUTPUT = any_case_out, LIKE = text, COLLATABLE = true);
CREATE CAST (any_case AS text) WITHOUT FUNCTION AS IMPLICIT;
CREATE FUNCTION any_case_eq(any_case, any_case) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS 'SELECT lower($1::text) = lower($2::text)';
CREATE FUNCTION any_case_hash(any_case) RETURNS integer LANGUAGE sql IMMUTABLE STRICT AS 'SELECT hashtext(lower($1::text))';
CREATE OPERATOR = (LEFTARG = any_case, RIGHTARG = any_case, FUNCTION = any_case_eq);
CREATE OPERATOR CLASS any_case_ops DEFAULT FOR TYPE any_case USING hash AS OPERATOR 1 =, FUNCTION 1 any_case_hash(any_case);
RESET client_min_messages;
CREATE FOREIGN TABLE bad (k any_case, v text) SERVER nr_cache;

-- collations: any, unless it says itself that different texts are equal
CREATE COLLATION strict_order (provider = icu, locale = 'de-u-kn');
CREATE COLLATION no_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE FOREIGN TABLE bad (k text COLLATE no_case, v text) SERVER nr_cache;
CREATE FOREIGN TABLE bad (k char(4) COLLATE no_case, v text) SERVER nr_cache;
CREATE FOREIGN TABLE bad (k name COLLATE no_case, v text) SERVER nr_cache;
CREATE DOMAIN no_case_text AS text COLLATE no_case;
CREATE FOREIGN TABLE bad (k no_case_text, v text) SERVER nr_cache;
CREATE FOREIGN TABLE sorted (k text COLLATE strict_order, c char(4) COLLATE strict_order, v text) SERVER nr_cache;
INSERT INTO sorted VALUES ('a10', 'a10', '1'), ('a9', 'a9', '2'), ('A9', 'A9', '3');
SELECT k FROM sorted ORDER BY k;
EXPLAIN (COSTS OFF) SELECT v FROM sorted WHERE k = 'a9';
EXPLAIN (COSTS OFF) SELECT v FROM sorted WHERE k = 'a9' COLLATE no_case;
SELECT v FROM sorted WHERE k = 'a9' COLLATE no_case ORDER BY v;
ALTER FOREIGN TABLE sorted ALTER k OPTIONS (ADD key 'false'), ALTER c OPTIONS (ADD key 'true');
INSERT INTO sorted VALUES ('a10', 'a10', '1'), ('a9', 'a9', '2'), ('A9', 'A9', '3');
SELECT c FROM sorted ORDER BY c;
EXPLAIN (COSTS OFF) SELECT v FROM sorted WHERE c = 'a9 ';
EXPLAIN (COSTS OFF) SELECT v FROM sorted WHERE c = 'a9' COLLATE no_case;
SELECT v FROM sorted WHERE c = 'a9' COLLATE no_case ORDER BY v;

SET client_min_messages = warning;
DROP SCHEMA t_key_types CASCADE;
