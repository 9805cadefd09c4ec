-- bench_peers_pages.sql: text keys in a server with pages of one size.  Variables: see bench_peers.sh, and pages
-- ("4 kB").
\ir bench_peers_data.sql

CALL make_table(ROW('t_large', 'text', 0, size('large'))::data);
SELECT format('CALL make_probes(%L, ''u'')', d) FROM data d \gexec
SELECT format('CALL make_caches(%L, ''{nr}'')', d) FROM data d \gexec
SELECT format('CALL make_peers(%L, ''{dynahash,dshash,open}'')', d) FROM data d \gexec
SELECT format('CALL make_suite(%L, %L, ''u'', ''{nr,peers}'', %L, %L)',
              format('text, %s keys, pages of %s', label(entries), :'pages'), d,
              'one lookup, text keys, pages of ' || :'pages', entries)
FROM data d \gexec
INSERT INTO target
    SELECT 'S2', format('nr_get of %s text keys, pages of %s', label(size('large')), :'pages'), suite, 'nr_get', NULL,
           '<=', CASE :'pages' WHEN '4 kB' THEN 280 ELSE 225 END, 'ns', NULL
    FROM suite;

-- A backend's first lookups, and others when it has touched all there is to touch.  In between, and before the
-- next backend, all probes are looked up, so that both find as much in the processor's caches.  What is taken off
-- is the same query without the call, run twice before: so the pages of the table that has the keys are not counted.
INSERT INTO suite VALUES ('fresh backend, pages of ' || :'pages', 'the query without the call', 'ns net per lookup',
                          'the same in a warm backend', 'fresh backend', left(:'pages', 1));
INSERT INTO variant
    SELECT suite, v, 1, size('few'), NULL, NULL, format('SELECT sum(%s), count(k) FROM few_t_large_u', what)
    FROM suite, (VALUES ('the query without the call', 'v'),
                        ('first lookups of a fresh backend', 'nr_get(''nr_t_large'', k, NULL::bigint)'),
                        ('the same in a warm backend', 'nr_get(''nr_t_large'', k, NULL::bigint)')) v (v, what)
    WHERE suite LIKE 'fresh%';
INSERT INTO target
    SELECT 'S11', format('first %s lookups of a fresh backend / of a warm one, pages of %s', label(size('few')), :'pages'),
           suite, 'first lookups of a fresh backend', 'the same in a warm backend', '<=', 1.3, 'x',
           CASE :'pages' WHEN '4 kB' THEN 'not asked for: huge pages are' END
    FROM suite WHERE suite LIKE 'fresh%';

CREATE PROCEDURE fresh_round(round int) LANGUAGE plpgsql AS $$
DECLARE
    v variant;
    cpu bigint;
    wall bigint;
    answer record;
BEGIN
    PERFORM sum(few.v), count(few.k) FROM few_t_large_u few;
    FOR v IN SELECT * FROM variant WHERE suite LIKE 'fresh%'
             ORDER BY array_position('{the query without the call,first lookups of a fresh backend}', variant) LOOP
        wall := bench_wall();
        cpu := bench_cpu();
        EXECUTE v.query INTO answer;
        cpu := bench_cpu() - cpu;
        wall := bench_wall() - wall;
        IF round > 0 THEN
            INSERT INTO result VALUES (v.suite, v.variant, round, v.n, cpu, wall, answer::text);
        END IF;
        IF v.variant <> 'the query without the call' THEN
            PERFORM sum(nr_get('nr_t_large', k, NULL::bigint)) FROM probes_t_large_u OFFSET 0;
        END IF;
    END LOOP;
    IF (SELECT count(DISTINCT r.answer) FROM result r WHERE suite LIKE 'fresh%') > 1 THEN
        RAISE EXCEPTION 'a fresh backend and a warm one do not agree';
    END IF;
END $$;

VACUUM ANALYZE;
CHECKPOINT;
SELECT format('CALL run(%L, %s)', suite, :rounds) FROM suite WHERE suite NOT LIKE 'fresh%' \gexec
SELECT report_sql(s) FROM suite s WHERE suite NOT LIKE 'fresh%' \gexec
