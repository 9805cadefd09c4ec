-- bench_peers_replicas.sql: nr_get and nr_get_many with several replicas.  Variables: see bench_peers.sh, and replicas.
\ir bench_peers_data.sql

SELECT format('CALL make_table(ROW(%L, %L, 0, %s)::data)', t || '_' || size, ktype, size(size))
FROM (VALUES ('b', 'bigint'), ('t', 'text')) t (t, ktype), unnest(ARRAY['small', 'large']) size \gexec
SELECT format('CALL make_probes(%L, ''u'')', d) FROM data d \gexec
SELECT format('CALL make_caches(%L, ''{nr,nr2,lr}'')', d) FROM data d \gexec
SELECT format('CALL make_suite(%L, %L, ''u'', ''{nr}'', %L, %L)',
              format('%s, %s keys, %s replicas', ktype, label(entries), :replicas), d,
              format('one lookup, %s %s keys, by replicas', label(entries), ktype), :replicas)
FROM data d \gexec

VACUUM ANALYZE;
CHECKPOINT;
SELECT format('CALL run(%L, %s)', suite, :rounds) FROM suite ORDER BY suite \gexec
SELECT report_sql(s) FROM suite s ORDER BY suite \gexec
