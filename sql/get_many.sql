--
-- nr_get_many: many keys in one visit.
--
CREATE SCHEMA t_many;
SET search_path = t_many, public;

CREATE FOREIGN TABLE n8 (k bigint, v bigint) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
CREATE FOREIGN TABLE tt (k text, v text) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
CREATE FOREIGN TABLE row2 (k int, a int, b text) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT count(*) FILTER (WHERE nr_put('n8', i, i * i)) FROM generate_series(1, 1000) i;
SELECT count(*) FILTER (WHERE nr_put('tt', 'k' || i, repeat('v', i))) FROM generate_series(0, 300) i;
SELECT count(*) FILTER (WHERE nr_put('row2', ROW(i, -i, 'r' || i))) FROM generate_series(1, 10) i;
SELECT nr_put('tt', 'null', NULL::text), nr_put('n8', 5000, NULL::bigint);

-- aligned with the keys; missing and NULL keys answer the fallback
SELECT nr_get_many('n8', ARRAY[3, 1, 2000, 2, 3]::bigint[], -1::bigint);
SELECT nr_get_many('n8', ARRAY[3, NULL, 2000, 5000]::bigint[], -1::bigint);
SELECT nr_get_many('n8', ARRAY[3, NULL, 2000, 5000]::bigint[], NULL::bigint);
SELECT nr_get_many('tt', ARRAY['k0', 'k3', 'x', 'null', NULL], 'none'::text);
SELECT nr_get_many('tt', ARRAY['k0', 'k3', 'x', 'null', NULL], 'none');
SELECT nr_get_many('row2', ARRAY[1, 99, NULL, 2], NULL::row2);
SELECT nr_get_many('row2', ARRAY[1, 99], ROW(0, 0, 'no')::row2);
SELECT pg_typeof(nr_get_many('n8', ARRAY[3]::bigint[], -1::bigint)), pg_typeof(nr_get_many('row2', ARRAY[1], NULL::row2));

-- no keys at all
SELECT nr_get_many('n8', '{}'::bigint[], 0::bigint);
SELECT nr_get_many('n8', NULL::bigint[], 0::bigint) IS NULL AS is_null;
SELECT nr_get_many('tt', ARRAY[NULL, NULL]::text[], 'none'::text);
SELECT nr_get_many('n8', ARRAY[-1, -2]::bigint[], NULL::bigint);

-- shapes stay
SELECT nr_get_many('n8', '[5:7]={1,2,3}'::bigint[], 0::bigint);
SELECT nr_get_many('n8', '{{1,2},{3,4000}}'::bigint[], 0::bigint);
SELECT nr_get_many('tt', '[0:1][2:3]={{k1,k2},{NULL,k4}}'::text[], '-'::text);

-- keys of other types are coerced as in nr_get
SELECT nr_get_many('n8', ARRAY[1, 2]::int[], 0::bigint), nr_get_many('n8', ARRAY[1, 2]::smallint[], 0::bigint),
       nr_get_many('n8', ARRAY['1', ' 2'], 0::bigint), nr_get_many('n8', ARRAY[1.0, 2.4]::numeric[], 0::bigint);
SELECT nr_get_many('tt', ARRAY['k1', 'k2']::varchar[], '-'::text), nr_get_many('tt', ARRAY['k1', 'k2']::name[], '-'::text);
SELECT nr_get_many('row2', ARRAY[1, 99999999999], NULL::row2);
SELECT nr_get_many('n8', ARRAY['x'], 0::bigint);
SELECT nr_get_many('n8', ARRAY[now()], 0::bigint);

-- the fallback is strict
SELECT nr_get_many('n8', ARRAY[1], 0);
SELECT nr_get_many('row2', ARRAY[1], 'x');
SELECT nr_get_many('tt', ARRAY['k1'], 0);

-- the same as one by one, for values of all lengths
SELECT nr_get_many('tt', array_agg('k' || i ORDER BY i), 'none') = array_agg(nr_get('tt', 'k' || i, 'none') ORDER BY i) AS same FROM generate_series(-50, 350) i;
SELECT nr_get_many('n8', array_agg(i ORDER BY i), 0::bigint) = array_agg(nr_get('n8', i, 0::bigint) ORDER BY i) AS same FROM generate_series(-500, 1500) i;
SELECT nr_get_many('row2', array_agg(i ORDER BY i), NULL::row2) = array_agg(nr_get('row2', i, NULL::row2) ORDER BY i) AS same FROM generate_series(-5, 15) i;
-- more bytes than were guessed
SELECT length(array_to_string(nr_get_many('tt', array_agg('k300'::text), ''), '')) FROM generate_series(1, 5000) i;
-- each type by value and by reference
CREATE FOREIGN TABLE nb (k int, v boolean) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
CREATE FOREIGN TABLE n2 (k int, v smallint) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
CREATE FOREIGN TABLE nn (k int, v numeric) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
CREATE FOREIGN TABLE nu (k uuid, v uuid) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
CREATE FOREIGN TABLE ni (k smallint, v interval) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
CREATE FOREIGN TABLE nm (k bytea, v name) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT nr_put('nb', i, i % 2 = 0), nr_put('n2', i, i), nr_put('nn', i, i + 0.5), nr_put('nu', md5(i::text)::uuid, md5('v' || i)::uuid),
       nr_put('ni', i, make_interval(secs => i)), nr_put('nm', decode(md5(i::text), 'hex'), 'n' || i) FROM generate_series(1, 3) i;
SELECT nr_get_many('nb', '{1,2,3,4}'::int[], NULL::boolean), nr_get_many('n2', '{1,2,3,4}'::int[], 0::smallint),
       nr_get_many('nn', '{1,2,3,4}'::int[], NULL::numeric), nr_get_many('ni', '{1,2,3,4}'::int[], NULL::interval);
SELECT nr_get_many('nu', array_agg(md5(i::text)::uuid ORDER BY i), NULL::uuid) = array_agg(CASE WHEN i < 4 THEN md5('v' || i)::uuid END ORDER BY i) AS same,
       nr_get_many('nm', array_agg(decode(md5(i::text), 'hex') ORDER BY i), ''::name) FROM generate_series(1, 4) i;
SELECT nr_get_many('n2', '{1}'::int[], 0);

-- values that are arrays: their arrays would have another dimension
CREATE FOREIGN TABLE na (k int, v int[]) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT nr_put('na', 1, ARRAY[1, 2]);
SELECT nr_get_many('na', ARRAY[1], NULL::int[]);

-- how many keys one call takes
SELECT cardinality(nr_get_many('n8', array_agg(i), 0::bigint)) FROM generate_series(1, 1000000) i;
SELECT nr_get_many('n8', array_agg(i), 0::bigint) FROM generate_series(1, 1000001) i;

-- different element types and caches at one call site
CREATE FOREIGN TABLE n8b (k bigint, v bigint) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT nr_put('n8b', 1, -1);
SELECT c, nr_get_many(c::regclass, ARRAY[1, 2]::bigint[], 0::bigint) FROM unnest('{n8,n8b,n8,n8b}'::text[]) c;

SET client_min_messages = warning;
DROP SCHEMA t_many CASCADE;
RESET client_min_messages;
RESET search_path;
