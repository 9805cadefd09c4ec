-- Extreme values of every type that there is: as value they come back byte by byte, as key they are found
-- again and refused otherwise.  The types are pg_type's, so that a new one cannot be forgotten.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS nr_cache;
CREATE SCHEMA hostile_types;
SET search_path = hostile_types, public;
SET timezone = 'UTC';
SET extra_float_digits = 3;
CREATE TYPE mood AS ENUM ('sad', '', 'ok');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN pairs AS pair[];
CREATE TYPE text_range AS RANGE (subtype = text);
RESET client_min_messages;

-- Tried for each type; what its input function does not take is passed over.
CREATE TABLE literals (n int GENERATED ALWAYS AS IDENTITY, literal text);
INSERT INTO literals (literal) VALUES (''), (' '), ('a'), ('0'), ('-0'), ('1'), ('-1'), ('127'), ('-128'), ('255'), ('32767'), ('-32768'), ('2147483647'), ('-2147483648'), ('4294967295'),
	('9223372036854775807'), ('-9223372036854775808'), ('18446744073709551615'), ('NaN'), ('Infinity'), ('-Infinity'), ('3.4028235e38'), ('-1.4e-45'), ('1.7976931348623157e308'), ('4.9e-324'),
	('1e400'), ('0.000'), ('1.50'), ('-92233720368547758.08'), ('t'), ('f'), ('infinity'), ('-infinity'), ('4714-11-24 BC'), ('5874897-12-31'), ('294276-12-31 23:59:59.999999'),
	('4714-11-24 00:00:00 BC'), ('24:00:00'), ('00:00:00+15:59:59'), ('23:59:59.999999-15:59:59'), ('178000000 years'), ('-178000000 years'), ('1 mon -31 days 24:00:00.000001'),
	('00000000-0000-0000-0000-000000000000'), ('ffffffff-ffff-ffff-ffff-ffffffffffff'), ('00:00:00:00:00:00'), ('ff:ff:ff:ff:ff:ff'), ('ff:ff:ff:ff:ff:ff:ff:ff'), ('0.0.0.0/0'), ('255.255.255.255'), ('::'),
	('ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'), ('10.0.0.0/8'), ('::/0'), ('\x'), ('\x00'), ('\x00ff00'), ('sad'), ('ok'), ('{}'), ('[]'), ('null'), ('{"a":[1,null,{"b":""}]}'), ('"\u00e4"'), ('1.0e-999'),
	('(0,0)'), ('(NaN,-Infinity)'), ('((0,0),(1,1),(1,0))'), ('[(0,0),(1,1)]'), ('<(0,0),1>'), ('{1,-1,0}'), ('((0,0),(1,1))'), ('(1,)'), ('(,)'), ('(-1,"a,""b")'), ('empty'), ('[,]'), ('[1,5)'), ('(,1]'), ('{[1,2),[5,6)}'), ('[a,b)'),
	('["2000-01-01","infinity"]'), ('0/0'), ('FFFFFFFF/FFFFFFFF'), ('10:20:10,14,15'), ('(4294967295,65535)'), ('1 2 3'), ('{NULL,NULL}'), ('{{1,2},{3,NULL}}'), ('[-5:-4]={1,2}'), ('a & !b'), ('a:1A b:2'), ('$.a[*] ? (@ > 1)'), ('=r/postgres'), ('pg_class'), ('int4'), ('int4in'), ('lower(text)'),
	('now'), ('=(int4,int4)'), ('pg_catalog'), ('C'), ('simple'), ('english'), ('english_stem'), ('UTC'), (repeat('x', 63)), (repeat('x', 126)), (repeat('x', 127)), (repeat(U&'\+01F600', 500)), (repeat('x', 15000)), (repeat('9', 1000)), (repeat('1', 4096));
-- which "now" is must not depend on when
DELETE FROM literals WHERE literal = 'now';

CREATE TABLE tried (type text, keys int, same int, wrong text);
CREATE FUNCTION try_type(type text, cache_options text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	l record;
	same int := 0;
	keys int := 0;
	wrong text;
	shown text;
	ok boolean;
	can_key boolean := true;
	single boolean := type ~ '\[\]$|vector$|^pairs$' OR (SELECT typarray = 0 FROM pg_type WHERE oid = type::regtype);	-- no array of it
BEGIN
	EXECUTE format('CREATE FOREIGN TABLE tv (k int, v %s) SERVER nr_cache OPTIONS (%s)', type, cache_options);
	EXECUTE format('CREATE FOREIGN TABLE tr (k int, v %1$s, a %1$s%2$s, w %1$s) SERVER nr_cache OPTIONS (%3$s)', type, CASE WHEN single THEN '' ELSE '[]' END, cache_options);
	BEGIN
		EXECUTE format('CREATE FOREIGN TABLE tk (k %s, v int) SERVER nr_cache OPTIONS (%s)', type, cache_options);
	EXCEPTION WHEN feature_not_supported THEN
		can_key := false;
	END;
	FOR l IN SELECT * FROM literals ORDER BY n LOOP
		BEGIN
			EXECUTE format('SELECT %L::%s IS NOT NULL', l.literal, type) INTO ok;
		EXCEPTION WHEN OTHERS THEN
			CONTINUE;		-- not of this type
		END;
		BEGIN
			EXECUTE format('SELECT nr_put(''tv'', %s, %L::%s)', l.n, l.literal, type);
			EXECUTE format('SELECT ROW(nr_get(''tv'', %1$s, NULL::%2$s))::record *= ROW(%3$L::%2$s)::record AND ROW(v)::record *= ROW(%3$L::%2$s)::record AND nr_get(''tv'', %1$s) = format(''%%s'', v)%4$s FROM tv WHERE k = %1$s',
				l.n, type, l.literal, CASE WHEN NOT single THEN format(' AND (nr_get_many(''tv'', ARRAY[%s], NULL::%s))::text = (ARRAY[v])::text', l.n, type) END) INTO ok;
			IF ok IS NOT TRUE THEN
				wrong := concat_ws(', ', wrong, 'value ' || left(l.literal, 30));
			END IF;
			EXECUTE format('INSERT INTO tr VALUES (%1$s, %2$L::%3$s, %4$s, NULL)', l.n, l.literal, type, CASE WHEN single THEN 'NULL' ELSE format('ARRAY[NULL, %L::%s, NULL]', l.literal, type) END);
			EXECUTE format('SELECT ROW(v, a, w)::record *= ROW(%2$L::%3$s, %4$s::%5$s, NULL::%3$s)::record FROM tr WHERE k = %1$s', l.n, l.literal, type,
				CASE WHEN single THEN 'NULL' ELSE format('ARRAY[NULL, %L::%s, NULL]', l.literal, type) END, type || CASE WHEN single THEN '' ELSE '[]' END) INTO ok;
			IF ok IS NOT TRUE THEN
				wrong := concat_ws(', ', wrong, 'in a row ' || left(l.literal, 30));
			END IF;
			same := same + 1;
			IF can_key AND octet_length(l.literal) <= 2048 THEN
				EXECUTE format('SELECT %L::%s::text', l.literal, type) INTO shown;
				EXECUTE format('SELECT nr_put(''tk'', %1$L::text, %2$s)', shown, l.n);
				EXECUTE format('SELECT nr_get(''tk'', %1$L::text, -1) = %3$s AND (SELECT count(*) = 1 FROM tk WHERE ROW(k)::record *= ROW(%1$L::%2$s)::record AND v = %3$s)%4$s', shown, type, l.n,
					CASE WHEN type IN ('positive') THEN '' ELSE format(' AND (SELECT v = %s FROM tk WHERE k = %L::%s)', l.n, l.literal, type) END) INTO ok;
				IF ok IS NOT TRUE THEN
					wrong := concat_ws(', ', wrong, 'key ' || left(l.literal, 30));
				END IF;
				keys := keys + 1;
			END IF;
		EXCEPTION WHEN OTHERS THEN
			wrong := concat_ws(', ', wrong, format('%s: %s %s', left(l.literal, 30), SQLSTATE, SQLERRM));
		END;
	END LOOP;
	IF NOT (nr_check('tv') AND nr_check('tr')) THEN
		wrong := concat_ws(', ', wrong, 'nr_check');
	END IF;
	INSERT INTO tried VALUES (type, keys, same, wrong);
	DROP FOREIGN TABLE tv, tr;
	DROP FOREIGN TABLE IF EXISTS tk;
END $$;

SET client_min_messages = error;
DO $$
DECLARE
	t record;
BEGIN
	-- base types, and one of each of the other kinds; arrays are tried within
	FOR t IN SELECT format_type(oid, NULL) AS type, typtype, row_number() OVER (ORDER BY oid) AS n FROM pg_type
		WHERE (typtype = 'b' AND typcategory <> 'A' OR typtype IN ('r', 'm')) AND typnamespace = 'pg_catalog'::regnamespace
		UNION ALL SELECT u, 'u', 0 FROM unnest(ARRAY['mood', 'pair', 'positive', 'pairs', 'text_range', 'text_multirange', 'int4[]', 'text[]', 'int2vector', 'oidvector', 'char(10)', 'varchar(500)', 'numeric(20,3)', 'bit(1)', 'interval second(0)']) u LOOP
		PERFORM try_type(CASE t.type WHEN 'character' THEN 'bpchar' ELSE t.type END, (ARRAY['visibility ''immediate''', 'visibility ''immediate'', copies ''2''', 'visibility ''commit''', 'visibility ''commit'', scheme ''left_right'''])[1 + t.n % 4]);
		COMMIT;				-- a cache that was dropped has its place until then
	END LOOP;
END $$;
RESET client_min_messages;

-- nothing came back in another way
SELECT type, left(wrong, 300) AS wrong FROM tried WHERE wrong IS NOT NULL ORDER BY type COLLATE "C";
-- those of which no value can be written down, but for some of PostgreSQL's own
SELECT type FROM tried WHERE same = 0 AND type !~ '^(pg_|gtsvector)'
  AND (type <> 'xml' OR (SELECT setting ~ 'with-libxml' FROM pg_config WHERE name = 'CONFIGURE')) ORDER BY type COLLATE "C";
SELECT count(*) > 75 AS types, sum(same) > 900 AS "values", count(*) FILTER (WHERE keys > 0) >= 22 AS keys FROM tried;
SELECT type FROM tried WHERE keys > 0 ORDER BY type COLLATE "C";

-- values that only catalogs have
SET client_min_messages = error;
CREATE TABLE measured (a int, b int);
INSERT INTO measured SELECT i, i % 7 FROM generate_series(1, 1000) i;
CREATE STATISTICS measured_stat (ndistinct, dependencies, mcv) ON a, b FROM measured;
ANALYZE measured;
CREATE FOREIGN TABLE odd (k int, n pg_ndistinct, d pg_dependencies, m pg_mcv_list, t pg_node_tree, acl aclitem[]) SERVER nr_cache;
INSERT INTO odd SELECT 1, stxdndistinct, stxddependencies, stxdmcv, (SELECT adbin FROM pg_attrdef LIMIT 1), (SELECT relacl FROM pg_class WHERE relname = 'pg_authid') FROM pg_statistic_ext_data;
SELECT ROW(n, d, m)::record *= ROW(stxdndistinct, stxddependencies, stxdmcv)::record AS same FROM odd, pg_statistic_ext_data;

-- compressed, external, and expanded: what is stored points nowhere
CREATE TABLE big (v text, x text, l text);
ALTER TABLE big ALTER x SET STORAGE EXTERNAL;
INSERT INTO big VALUES (repeat('compressed ', 2500), repeat('external ', 3000), repeat('y', 3000));
CREATE FOREIGN TABLE fetched (k int, v text, x text, l text) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE fetched_one (k text, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
INSERT INTO fetched SELECT 1, b.* FROM big b;
SELECT nr_put('fetched', ROW(2, v, x, l)) FROM big;
SELECT nr_put('fetched_one', substr(x, 1, 2000), x), nr_put('fetched_one', 'v', v) FROM big;
DROP TABLE big;
SELECT k, v = repeat('compressed ', 2500) AS v, x = repeat('external ', 3000) AS x, l = repeat('y', 3000) AS l FROM fetched ORDER BY k;
SELECT nr_get('fetched_one', substr(repeat('external ', 3000), 1, 2000)) = repeat('external ', 3000) AS x, nr_get('fetched_one', 'v') = repeat('compressed ', 2500) AS v;
DROP SCHEMA hostile_types CASCADE;
