-- bench_peers_huge.sql: tables and caches that are much larger than any processor's cache.  Variables: see bench_peers.sh.
\ir bench_peers_data.sql

SELECT format('CALL make_table(ROW(%L, %L, 0, %s)::data)', t, ktype, size('huge'))
FROM (VALUES ('b', 'bigint'), ('t', 'text')) t (t, ktype) WHERE ktype = ANY (string_to_array(:'huge_keys', ' ')) \gexec
SELECT format('CALL make_probes(%L, ''u'')', d) FROM data d \gexec
VACUUM ANALYZE;
SELECT format('CALL make_caches(%L, ''{nr,nr2,lr}'')', d) FROM data d \gexec
SELECT format('CALL make_peers(%L, ''{dynahash,dshash}'')', d) FROM data d \gexec
SELECT format('CALL make_suite(%L, %L, ''u'', ''{nr,peers,joins}'', %L, %L)',
              format('%s, %s keys, uniform', ktype, label(entries)), d,
              format('one lookup, %s keys, uniform', ktype), entries)
FROM data d \gexec
UPDATE variant SET per_round = seldom(0, :rounds) WHERE variant ~ '^(hash join|nested loop)';

CALL check_plans();
CHECKPOINT;
SELECT format('CALL run(%L, %s)', suite, :rounds) FROM suite ORDER BY suite \gexec
SELECT report_sql(s) FROM suite s ORDER BY suite \gexec
