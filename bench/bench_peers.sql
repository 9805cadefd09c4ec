-- bench_peers.sql: one lookup in a query, one replica: all peers; uniform and Zipf; values of 8 bytes to 4 kB.
\ir bench_peers_data.sql

SELECT format('CALL make_table(ROW(%L, %L, 0, %s)::data)', t || '_' || size, ktype, size(size))
FROM (VALUES ('b', 'bigint'), ('t', 'text')) t (t, ktype), unnest(ARRAY['small', 'large']) size \gexec
SELECT format('CALL make_table(ROW(%L, ''text'', %s, %s)::data)', 'v' || bytes, bytes, size(size))
FROM (VALUES (8, 'large'), (64, 'large'), (512, 'large'), (4096, 'small')) v (bytes, size) \gexec

SELECT format('CALL make_probes(%L, %L)', d, dist)
FROM data d, unnest(ARRAY['u', 'z']) dist WHERE dist = 'u' OR value_bytes = 0 \gexec
VACUUM ANALYZE;
SELECT format('CALL make_caches(%L, %L)', d,
              CASE value_bytes WHEN 0 THEN '{nr,nr2,lr}' ELSE '{nr}' END) FROM data d \gexec
SELECT format('CALL make_peers(%L, %L)', d,
              CASE value_bytes WHEN 0 THEN '{dynahash,dshash,open}' ELSE '{dynahash}' END) FROM data d \gexec

SELECT format('CALL make_suite(%L, %L, %L, %L, %L, %L)',
              format('%s, %s keys, %s', ktype, label(entries), w.dist), d, left(lower(w.dist), 1),
              CASE WHEN w.dist = 'Zipf' THEN '{nr,peers,joins}'
                   WHEN entries = size('small') THEN '{nr,peers,joins,queries,documents}'
                   ELSE '{nr,peers,joins,queries}' END,
              format('one lookup, %s keys, %s', ktype, w.dist), entries)
FROM data d, (VALUES ('uniform'), ('Zipf')) w (dist) WHERE value_bytes = 0 \gexec
SELECT format('CALL make_suite(%L, %L, ''u'', ''{nr,peers,joins}'', %L, %L)',
              format('text, %s keys, values of %s bytes', label(entries), value_bytes), d,
              'one lookup, values of many lengths', value_bytes)
FROM data d WHERE value_bytes > 0 \gexec
-- large tables take their time, and only hash joins are wanted here
DELETE FROM variant WHERE suite LIKE '%values of%' AND variant LIKE 'nested loop%';
DELETE FROM variant v
WHERE variant = 'few' AND NOT EXISTS (SELECT FROM variant o WHERE o.suite = v.suite AND o.baseline = v.variant);
CREATE FUNCTION rounds_of(suite text, rounds int) RETURNS int LANGUAGE sql AS $$
    SELECT CASE WHEN suite ~ 'Zipf|values' THEN (rounds + 1) / 2 ELSE rounds END
$$;
UPDATE variant SET per_round = seldom(per_round, rounds_of(suite, :rounds)) WHERE per_round < 1;

\set small 'label(size(''small''))'
\set large 'label(size(''large''))'
INSERT INTO target
    SELECT 'S1', format('nr_get of %s %s keys / unsynchronised peer', :small, type),
           format('%s, %s keys, uniform', type, :small), 'nr_get', 'unsynchronised peer', '<=', 1.2, 'x', NULL
    FROM unnest(ARRAY['bigint', 'text']) type;
INSERT INTO target
    SELECT id, format(what, :large), format('text, %s keys, uniform', :large), over, under, comparison, target, unit, note
    FROM (VALUES
        ('S2', 'nr_get of %s text keys / unsynchronised peer',
         'nr_get', 'unsynchronised peer', '<=', 1.05, 'x', NULL),
        ('S3', 'nr_get_many of %s text keys, array to array, gross, per key',
         'nr_get_many, gross', NULL, '<=', 70, 'ns', 'with summing up the answers'),
        ('S3', 'hash join with a table of %s text keys / nr_get_many',
         'hash join with a table', 'nr_get_many, gross', '>=', 10, 'x', 'join net, nr_get_many gross'))
        t (id, what, over, under, comparison, target, unit, note);
INSERT INTO target
    SELECT 'S4', format(what, :small), format('bigint, %s keys, uniform', :small), over, 'nr_get', '>=', target, 'x', note
    FROM (VALUES
        ('hash join with a table of %s bigint keys, build included / nr_get',
         'hash join with a table', 3, label(size('few')) || ' probes'),
        ('pg_local_cache / nr_get of %s bigint keys', '650', 15, 'against 650 ns, measured elsewhere'))
        t (what, over, target, note);

CALL check_plans();
CHECKPOINT;
SELECT format('CALL run(%L, %s)', suite, rounds_of(suite, :rounds)) FROM suite ORDER BY suite \gexec
SELECT report_sql(s) FROM suite s ORDER BY figure, x::int, suite \gexec
SELECT count(nr_check(c.oid::regclass)) AS "caches that nr_check found whole"
FROM pg_class c WHERE relkind = 'f' AND relnamespace = 'bench'::regnamespace;
