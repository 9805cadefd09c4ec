-- bench_peers_puts.sql: puts of many keys in one statement, and filling an empty cache.  Variables: see bench_peers.sh.
\ir bench_peers_data.sql

CREATE SEQUENCE run_number;
CALL make_table(ROW('b', 'bigint', 0, size('large'))::data);
CALL make_table(ROW('t', 'text', 0, size('large'))::data);
-- keys that are there and keys that are not, each once, in random order
CREATE UNLOGGED TABLE old_keys AS
    SELECT k * 11 + 5 AS v, k FROM tab_b ORDER BY hashint8extended(k, 1) LIMIT size('few');
CREATE UNLOGGED TABLE new_keys AS SELECT k * 11 + 5 AS v, k FROM (SELECT k + size('large') AS k FROM old_keys) s
    ORDER BY hashint8extended(k, 2);
ALTER TABLE old_keys ALTER k SET NOT NULL;
ALTER TABLE new_keys ALTER k SET NOT NULL;
-- room in each page for the new version of a row, so that its index entry stays as it is
CREATE UNLOGGED TABLE rows (k bigint PRIMARY KEY, v bigint NOT NULL) WITH (fillfactor = 50);
INSERT INTO rows TABLE tab_b;
VACUUM ANALYZE;
SELECT format('CALL make_caches(%L, ''{nr,nr2,lr,com}'')', d) FROM data d WHERE name = 'b' \gexec
SELECT format('CALL make_peers(%L, ''{dynahash,dshash,open}'', 1.2)', d) FROM data d WHERE name = 'b' \gexec

-- ---- nr_put and the like ----------------------------------------------------------

-- Costs are those of the statement and its COMMIT.  What was new is taken away again, but for the table, whose
-- rows would not be gone by that: it gets other keys each time.
INSERT INTO suite
    SELECT format('put of %s %s in one statement', label(size('few')), what), 'the query without the call',
           'ns net per put', 'open addressing, one LWLock', format('put of %s in one statement', what),
           size('few')::text, true
    FROM unnest(ARRAY['keys that are there', 'new keys']) what;
INSERT INTO variant
    SELECT s.suite, v.variant, 1, size('few'),
           CASE WHEN keys = 'new_keys' THEN format('SELECT count(%s) FROM new_keys', v.remove) END, NULL,
           format('SELECT count(%s) FROM %s', v.put, keys)
    FROM suite s, LATERAL (SELECT CASE WHEN s.suite LIKE '%new%' THEN 'new_keys' ELSE 'old_keys' END AS keys) k,
         LATERAL (SELECT 'the query without the call' AS variant, 'k' AS put, 'k' AS remove
                  UNION ALL SELECT 'C function that does nothing', 'bench_nothing(''nr_b'', k, v)', 'k'
                  UNION ALL
                  SELECT format('nr_put, %s', v), format('nr_put(''%s_b'', k, v)', kind),
                         format('nr_delete(''%s_b'', k)', kind)
                  FROM (VALUES ('nr', 'immediate'), ('com', 'commit'), ('nr2', 'two copies, immediate'),
                               ('lr', 'left_right, immediate')) c (kind, v)
                  UNION ALL
                  SELECT v, format('bench_%s_put(%s, k, v)', kind, id), format('bench_%s_delete(%s, k)', kind, id)
                  FROM peer, (VALUES ('dynahash', 'dynahash, 128 partitions'), ('dshash', 'dshash'),
                                     ('open', 'open addressing, one LWLock')) c (kind, v)
                  WHERE peer.name = kind || '_b') v;
INSERT INTO variant
    SELECT suite, v.variant, 0.5, size('few'), prepare, NULL, query
    FROM suite JOIN (VALUES
        ('keys that are there', 'UPDATE of an unlogged table', NULL,
         'UPDATE rows SET v = p.v FROM old_keys p WHERE rows.k = p.k'),
        ('keys that are there', 'INSERT ... ON CONFLICT, unlogged table', NULL,
         'INSERT INTO rows SELECT k, v FROM old_keys ON CONFLICT (k) DO UPDATE SET v = excluded.v'),
        ('new keys', 'INSERT ... ON CONFLICT, unlogged table', 'SELECT nextval(''run_number'')',
         'INSERT INTO rows SELECT k + (SELECT last_value FROM run_number) * size(''large''), v FROM new_keys '
         'ON CONFLICT (k) DO UPDATE SET v = excluded.v')) v (keys, variant, prepare, query)
    ON position(keys IN suite) > 0;
INSERT INTO target
    SELECT 'S5', format('%s of %s / open addressing under an LWLock', variant, substring(suite FROM 'of (.*) in one')),
           suite, variant, than, '<=', 1.3, 'x', NULL
    FROM suite JOIN variant USING (suite) WHERE variant IN ('nr_put, immediate', 'nr_put, commit');

-- ---- filling an empty cache -------------------------------------------------------

CREATE UNLOGGED TABLE sorted_b AS SELECT * FROM tab_b ORDER BY k;
CREATE UNLOGGED TABLE sorted_t AS SELECT * FROM tab_t ORDER BY k;
CREATE UNLOGGED TABLE into_tab_b (k bigint PRIMARY KEY, v bigint);
CREATE UNLOGGED TABLE into_tab_t (k text PRIMARY KEY, v bigint);
CREATE FOREIGN TABLE into_nr_b (k bigint OPTIONS (key 'true'), v bigint)
    SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
CREATE FOREIGN TABLE into_nr_t (k text OPTIONS (key 'true'), v bigint)
    SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
INSERT INTO suite
    SELECT format('INSERT ... SELECT of %s %s keys, %s', label(size('large')), type, ordered), NULL, 'ns per row',
           'unlogged table with primary key', format('INSERT ... SELECT, %s keys, %s', type, ordered),
           size('large')::text, true
    FROM unnest(ARRAY['bigint', 'text']) type, unnest(ARRAY['random', 'sorted']) ordered;
INSERT INTO variant
    SELECT suite, variant, 1, size('large'), format(prepare, name), NULL, format(query, name, source)
    FROM suite, LATERAL (SELECT CASE WHEN suite LIKE '%bigint%' THEN 'b' ELSE 't' END AS name) n,
         LATERAL (SELECT CASE WHEN suite LIKE '%sorted' THEN 'sorted' ELSE 'tab' END AS source) o,
         (VALUES ('unlogged table with primary key', 'TRUNCATE into_tab_%s',
                  'INSERT INTO into_tab_%1$s SELECT k, v FROM %2$s_%1$s'),
                 ('cache', 'SELECT nr_truncate(''into_nr_%s'')', 'INSERT INTO into_nr_%1$s SELECT k, v FROM %2$s_%1$s'),
                 ('only the query', NULL, 'SELECT count(k), sum(v) FROM %2$s_%1$s')) v (variant, prepare, query)
    WHERE suite LIKE 'INSERT%';
INSERT INTO target
    SELECT 'S5', format('%s: unlogged table with primary key / cache', suite), suite, than, 'cache', '>=',
           CASE WHEN suite LIKE '%random' THEN 5 ELSE 2.5 END, 'x', NULL
    FROM suite WHERE suite LIKE 'INSERT%';

UPDATE variant SET per_round = seldom(per_round, :rounds) WHERE per_round < 1;
VACUUM ANALYZE;
CHECKPOINT;
SELECT format('CALL run(%L, %s)', suite, CASE WHEN suite LIKE 'INSERT%' THEN (:rounds + 1) / 2 ELSE :rounds END)
FROM suite ORDER BY suite \gexec
SELECT report_sql(s) FROM suite s ORDER BY suite LIKE 'INSERT%', suite \gexec

-- Is everything where it belongs?
CREATE PROCEDURE check_contents() LANGUAGE plpgsql AS $$
DECLARE
    c record;
    wrong bigint;
BEGIN
    CREATE TEMPORARY TABLE expected AS
        SELECT t.k, coalesce(o.v, t.v) AS v FROM tab_b t LEFT JOIN old_keys o USING (k)
        UNION ALL SELECT k, v FROM new_keys;
    FOR c IN
        SELECT kind || '_b' AS name, format('FROM expected WHERE nr_get(''%s_b'', k, NULL::bigint)', kind) AS is
        FROM unnest(ARRAY['nr', 'com', 'nr2', 'lr']) kind
        UNION ALL
        SELECT name, format('FROM expected WHERE bench_%s_get(%s, k, NULL::bigint)', kind, id)
        FROM peer, unnest(ARRAY['dynahash', 'dshash', 'open']) kind WHERE name = kind || '_b'
        UNION ALL
        SELECT 'rows', 'FROM (SELECT r.v AS was, e.v FROM expected e LEFT JOIN rows r USING (k) '
                       'WHERE k <= size(''large'')) e WHERE was'
        UNION ALL
        SELECT 'into_nr_' || t, format('FROM tab_%s WHERE nr_get(''into_nr_%1$s'', k, NULL::bigint)', t)
        FROM unnest(ARRAY['b', 't']) t
    LOOP
        EXECUTE format('SELECT count(*) %s IS DISTINCT FROM v', c.is) INTO wrong;
        IF wrong > 0 THEN
            RAISE EXCEPTION '% rows of % are wrong', wrong, c.name;
        END IF;
    END LOOP;
END $$;
CALL check_contents();
