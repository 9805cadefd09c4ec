-- bench_peers_data.sql: what the scripts of bench_peers.sh share: functions, data, caches and the tables that they are
-- compared with, suites of lookups.  Variables: see bench_peers.sh.
--
-- A set of data has a name: b_10k are 10,000 bigint keys.  Of it there are tab_b_10k, an unlogged table (k, v) with
-- primary key; caches nr_, nr2_ and lr_b_10k; peers dynahash_, dshash_ and open_b_10k; and for each distribution of
-- keys that are looked up (u: uniform, z: Zipf) tables of four sizes.
\ir lib.sql

CREATE EXTENSION hstore;
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET work_mem = '4GB';
SET hash_mem_multiplier = 1;
SET random_page_cost = 1.1;

CREATE TABLE size (what text PRIMARY KEY, n int);
INSERT INTO size VALUES
    ('small', :small), ('large', :large), ('huge', :huge),
    ('probe', :probe),          -- what is quick is asked for so many keys,
    ('probes', :probes),        -- joins with large tables (they build first),
    ('few', :few),              -- joins with small tables, loops, and puts,
    ('slow', :slow);            -- functions with a query in them
CREATE FUNCTION size(what text) RETURNS int LANGUAGE sql AS $$ SELECT n FROM size s WHERE s.what = $1 $$;

-- 10k, 1M
CREATE FUNCTION label(n int) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN n % 1000000 = 0 THEN n / 1000000 || 'M' WHEN n % 1000 = 0 THEN n / 1000 || 'k' ELSE n::text END
$$;

-- ---- functions --------------------------------------------------------------------

CREATE FUNCTION bench_palloc(cache regclass, key text, fallback anycompatible) RETURNS anycompatible
AS '$libdir/nr_cache', 'nr_bench_palloc' LANGUAGE C STABLE PARALLEL SAFE;
CREATE FUNCTION bench_palloc(cache regclass, key anynonarray, fallback anycompatible) RETURNS anycompatible
AS '$libdir/nr_cache', 'nr_bench_palloc' LANGUAGE C STABLE PARALLEL SAFE;
CREATE FUNCTION bench_spi(tab regclass, key text, fallback anycompatible) RETURNS anycompatible
AS '$libdir/nr_cache', 'nr_bench_spi_get' LANGUAGE C STABLE;
CREATE FUNCTION bench_spi(tab regclass, key anynonarray, fallback anycompatible) RETURNS anycompatible
AS '$libdir/nr_cache', 'nr_bench_spi_get' LANGUAGE C STABLE;
CREATE FUNCTION bench_zipf(i bigint, n bigint, s float8) RETURNS bigint
AS '$libdir/nr_cache', 'nr_bench_zipf' LANGUAGE C IMMUTABLE STRICT;
CREATE FUNCTION bench_array_sum(anyarray) RETURNS bigint
AS '$libdir/nr_cache', 'nr_bench_array_sum' LANGUAGE C IMMUTABLE STRICT;
CREATE FUNCTION bench_peer_make(kind text, text_keys bool, value_bytes int, entries int) RETURNS int
AS '$libdir/nr_cache', 'nr_bench_peer_make' LANGUAGE C VOLATILE STRICT;

-- bench_dynahash_get (id, key, fallback), bench_dynahash_put (id, key, value), bench_dynahash_delete (id, key); so too
-- dshash, open, and bare: open without its lock
SELECT format($q$CREATE FUNCTION bench_%1$s_%2$s(peer int, key %3$s, %4$s) RETURNS %5$s
AS '$libdir/nr_cache', 'nr_bench_%1$s_%2$s_%6$s_%7$s' LANGUAGE C %8$s$q$, kind, action, key,
              CASE action WHEN 'get' THEN 'fallback ' ELSE 'value ' END || value,
              CASE action WHEN 'get' THEN value ELSE 'boolean' END,
              CASE key WHEN 'bigint' THEN 'int8' ELSE 'text' END, CASE value WHEN 'bigint' THEN 'int8' ELSE 'text' END,
              CASE action WHEN 'get' THEN 'STABLE PARALLEL SAFE' ELSE 'VOLATILE' END)
FROM unnest(ARRAY['dynahash', 'dshash', 'open', 'bare']) kind, unnest(ARRAY['get', 'put']) action,
     (VALUES ('bigint', 'bigint'), ('text', 'bigint'), ('text', 'text')) t (key, value) \gexec
SELECT format($q$CREATE FUNCTION bench_%s_delete(peer int, key bigint) RETURNS boolean
AS '$libdir/nr_cache', 'nr_bench_%1$s_delete' LANGUAGE C VOLATILE$q$, kind)
FROM unnest(ARRAY['dynahash', 'dshash', 'open']) kind \gexec

-- ---- data -------------------------------------------------------------------------

CREATE TABLE data (
    name text PRIMARY KEY,
    ktype text,                 -- bigint, or text: 16 characters
    value_bytes int,            -- 0: bigint
    entries int
);
CREATE TABLE peer (name text PRIMARY KEY, id int);

-- Key number i, and its value
CREATE FUNCTION key_of(d data, i text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE d.ktype WHEN 'bigint' THEN format('(%s)::bigint', i)
                        ELSE format('(''customer'' || lpad((%s)::text, 8, ''0''))', i) END
$$;
CREATE FUNCTION value_of(d data, i text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE d.value_bytes WHEN 0 THEN format('((%s)::bigint * 7 + 1)', i)
                              ELSE format('rpad(''v'' || lpad((%s)::text, 7, ''0''), %s, ''x'')', i, d.value_bytes) END
$$;
CREATE FUNCTION vtype(d data) RETURNS text LANGUAGE sql AS $$
    SELECT CASE d.value_bytes WHEN 0 THEN 'bigint' ELSE 'text' END
$$;

-- Keys to look up: a random one, or rank r with a probability proportional to r^-0.99, ranks being scattered over the
-- keys (2654435761 is prime to each number of entries).
CREATE FUNCTION pick(d data, dist text) RETURNS text LANGUAGE sql AS $$
    SELECT format(CASE dist WHEN 'u' THEN '(hashint8extended(i, 8) & 9223372036854775807) %% %s + 1'
                            ELSE 'bench_zipf(i, %s, 0.99) * 2654435761 %% %1$s + 1' END, d.entries)
$$;

-- The table is filled in random order, as good as.  Nothing in it is stored compressed or elsewhere: that would be in
-- its disfavour.
CREATE PROCEDURE make_table(d data) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO data SELECT d.*;
    EXECUTE format($q$
        CREATE UNLOGGED TABLE tab_%1$s (k %2$s, v %3$s NOT NULL);
        ALTER TABLE tab_%1$s ALTER v SET STORAGE PLAIN;
        INSERT INTO tab_%1$s SELECT %4$s, %5$s FROM %6$s;
        ALTER TABLE tab_%1$s ADD PRIMARY KEY (k);
        $q$, d.name, d.ktype, vtype(d), key_of(d, 'i'), value_of(d, 'i'),
        format(CASE WHEN d.entries <= size('large') AND d.value_bytes = 0
                    THEN 'generate_series(1, %s) i ORDER BY hashint4(i)'
                    -- sorting takes its time: scattered will do
                    ELSE '(SELECT i::bigint * 2654435761 %% %1$s + 1 AS i FROM generate_series(1, %1$s) i) s' END,
               d.entries));
    COMMIT;
END $$;

-- v is what is to be found, or its length.  Arrays are of 128 keys: as many as fit a page with their values.
-- That there were few distinct keys is said to have the planner take Memoize; no other plan is another one by that.
CREATE PROCEDURE make_probes(d data, dist text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format($q$
        CREATE UNLOGGED TABLE probes_%1$s_%2$s AS
            SELECT %3$s AS v, %4$s AS k
            FROM (SELECT %5$s AS i FROM generate_series(1, %6$s::bigint) i) s;
        CREATE UNLOGGED TABLE probe_%1$s_%2$s AS SELECT * FROM probes_%1$s_%2$s LIMIT %7$s;
        CREATE UNLOGGED TABLE few_%1$s_%2$s AS SELECT * FROM probes_%1$s_%2$s LIMIT %8$s;
        CREATE UNLOGGED TABLE slow_%1$s_%2$s AS SELECT * FROM probes_%1$s_%2$s LIMIT %9$s;
        ALTER TABLE few_%1$s_%2$s ALTER k SET (n_distinct = 100);
        $q$, d.name, dist, CASE d.value_bytes WHEN 0 THEN value_of(d, 'i') ELSE d.value_bytes::text END,
        key_of(d, 'i'), pick(d, dist), size(CASE WHEN d.entries <= size('small') THEN 'probe' ELSE 'probes' END),
        size('probe'), size('few'), size('slow'));
    EXECUTE format($q$
        CREATE UNLOGGED TABLE many_%1$s_%2$s (vs bigint[] NOT NULL, ks %3$s[] NOT NULL);
        ALTER TABLE many_%1$s_%2$s ALTER vs SET STORAGE PLAIN, ALTER ks SET STORAGE PLAIN;
        INSERT INTO many_%1$s_%2$s
            SELECT array_agg(v), array_agg(k)
            FROM (SELECT v, k, row_number() OVER () - 1 AS r FROM probe_%1$s_%2$s) s GROUP BY r / 128;
        $q$, d.name, dist, d.ktype);
    COMMIT;
END $$;

-- Caches of some kinds and peers of some kinds, with the table's rows; each is compared with the table (a million rows
-- at most).
CREATE PROCEDURE make_caches(d data, kinds text[]) LANGUAGE plpgsql AS $$
DECLARE
    kind text;
    wrong bigint;
BEGIN
    FOREACH kind IN ARRAY kinds LOOP
        EXECUTE format('CREATE FOREIGN TABLE %s_%s (k %s OPTIONS (key ''true''), v %s) SERVER nr_cache OPTIONS (%s)',
                       kind, d.name, d.ktype, vtype(d),
                       CASE kind WHEN 'nr' THEN 'scheme ''nr'', visibility ''immediate'''
                                 WHEN 'nr2' THEN 'scheme ''nr'', copies ''2'', visibility ''immediate'''
                                 WHEN 'com' THEN 'scheme ''nr'', visibility ''commit'''
                                 ELSE 'scheme ''left_right'', visibility ''immediate''' END);
        COMMIT;
        -- what a transaction may write to a cache that shows it at COMMIT is bounded
        FOR part IN 0 .. CASE kind WHEN 'com' THEN 7 ELSE 0 END LOOP
            EXECUTE format('INSERT INTO %s_%s SELECT k, v FROM tab_%2$s %s', kind, d.name,
                           CASE kind WHEN 'com' THEN 'WHERE hashtext(k::text) & 7 = ' || part END);
            COMMIT;
        END LOOP;
        EXECUTE format('SELECT count(*) FROM (SELECT * FROM tab_%2$s LIMIT 1000000) t '
                       'WHERE nr_get(''%1$s_%2$s'', k, NULL::%3$s) IS DISTINCT FROM v', kind, d.name, vtype(d)) INTO wrong;
        IF wrong > 0 THEN
            RAISE EXCEPTION '% rows of %_% are wrong', wrong, kind, d.name;
        END IF;
    END LOOP;
END $$;

CREATE PROCEDURE make_peers(d data, kinds text[], room float8 DEFAULT 1) LANGUAGE plpgsql AS $$
DECLARE
    kind text;
    peer int;
    wrong bigint;
BEGIN
    FOREACH kind IN ARRAY kinds LOOP
        peer := bench_peer_make(kind, d.ktype = 'text', d.value_bytes, (d.entries * room)::int);
        INSERT INTO peer VALUES (kind || '_' || d.name, peer);
        EXECUTE format('SELECT count(*) FROM tab_%s WHERE NOT bench_%s_put(%s, k, v)', d.name, kind, peer) INTO wrong;
        IF wrong > 0 THEN
            RAISE EXCEPTION '% keys were in the new %_%', wrong, kind, d.name;
        END IF;
        COMMIT;
        EXECUTE format('SELECT count(*) FROM (SELECT * FROM tab_%s LIMIT 1000000) t '
                       'WHERE bench_%s_get(%s, k, NULL::%s) IS DISTINCT FROM v', d.name, kind, peer, vtype(d)) INTO wrong;
        IF wrong > 0 THEN
            RAISE EXCEPTION '% rows of %_% are wrong', wrong, kind, d.name;
        END IF;
    END LOOP;
END $$;

-- ---- suites -----------------------------------------------------------------------

-- How an answer is summed up; SELECT <call> for each row of the data's table of that size; the fallback.
CREATE FUNCTION agg(d data) RETURNS text LANGUAGE sql AS $$
    SELECT CASE d.value_bytes WHEN 0 THEN 'sum(%s)' ELSE 'sum(octet_length(%s))' END
$$;
CREATE FUNCTION per_row(d data, dist text, size text, call text) RETURNS text LANGUAGE sql AS $$
    SELECT format('SELECT %s, count(p.k) FROM %s_%s_%s p', format(agg(d), call), size, d.name, dist)
$$;
CREATE FUNCTION fallback(d data) RETURNS text LANGUAGE sql AS $$ SELECT 'NULL::' || vtype(d) $$;

CREATE PROCEDURE add_peers(title text, d data, dist text) LANGUAGE sql AS $$
    INSERT INTO variant
        SELECT title, v, 1, size('probe'), NULL, NULL,
               per_row(d, dist, 'probe', format('bench_%s_get(%s, p.k, %s)', f, id, fallback(d)))
        FROM peer p, (VALUES ('dynahash', 'dynahash', 'dynahash, 128 partitions'), ('dshash', 'dshash', 'dshash'),
                             ('open', 'open', 'open addressing, one LWLock'),
                             ('open', 'bare', 'open addressing, no lock')) c (kind, f, v)
        WHERE p.name = kind || '_' || d.name
$$;

CREATE PROCEDURE add_joins(title text, d data, dist text) LANGUAGE sql AS $$
    INSERT INTO variant
        SELECT title, v, 0.25, size(t), NULL,
               'SET LOCAL enable_mergejoin = off; SET LOCAL enable_bitmapscan = off; ' || settings,
               per_row(d, dist, t, 't.v') || format(' JOIN tab_%s t USING (k)', d.name), t
        FROM (VALUES ('hash join with a table', CASE WHEN d.entries <= size('small') THEN 'few' ELSE 'probes' END,
                      'SET LOCAL enable_nestloop = off'),
                     ('nested loop, btree', 'few', 'SET LOCAL enable_hashjoin = off; SET LOCAL enable_memoize = off'),
                     ('nested loop, btree, Memoize', 'few', 'SET LOCAL enable_hashjoin = off')) j (v, t, settings)
$$;

CREATE PROCEDURE add_queries(title text, d data, dist text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format($q$
        CREATE OR REPLACE FUNCTION plpgsql_%1$s(key %2$s) RETURNS %3$s LANGUAGE plpgsql STABLE AS $f$
        DECLARE
            answer %3$s;
        BEGIN
            SELECT t.v INTO answer FROM tab_%1$s t WHERE t.k = key;
            RETURN answer;
        END $f$
        $q$, d.name, d.ktype, vtype(d));
    INSERT INTO variant
        SELECT title, v, 0.25, size('slow'), NULL, NULL, per_row(d, dist, 'slow', call), 'slow'
        FROM (VALUES ('PL/pgSQL function, SELECT INTO', format('plpgsql_%s(p.k)', d.name)),
                     ('C function, saved plan', format('bench_spi(''tab_%s'', p.k, %s)', d.name, fallback(d)))) c (v, call);
END $$;

-- The document is a constant of the query, and read with it.
CREATE PROCEDURE add_documents(title text, d data, dist text) LANGUAGE plpgsql AS $$
DECLARE
    doc text;
BEGIN
    EXECUTE format('SELECT jsonb_object_agg(k, v)::text FROM tab_%s', d.name) INTO doc;
    INSERT INTO variant VALUES
        (title, 'jsonb constant', 0.25, size('few'), NULL, NULL,
         per_row(d, dist, 'few', format('(%L::jsonb ->> p.k::text)::%s', doc, vtype(d))), 'few');
    EXECUTE format('SELECT hstore(array_agg(k::text), array_agg(v::text))::text FROM tab_%s', d.name) INTO doc;
    INSERT INTO variant VALUES
        (title, 'hstore constant', 0.25, size('few'), NULL, NULL,
         per_row(d, dist, 'few', format('(%L::hstore -> p.k::text)::%s', doc, vtype(d))), 'few');
END $$;

-- The query alone, for each size of table.
CREATE PROCEDURE add_bases(title text, d data, dist text) LANGUAGE sql AS $$
    INSERT INTO variant
        SELECT title, CASE t WHEN 'probe' THEN 'the query without the call' ELSE t END, 1, size(t), NULL, NULL,
               format('SELECT sum(p.v), count(p.k) FROM %s_%s_%s p', t, d.name, dist), ''
        FROM (SELECT 'probe' AS t UNION SELECT baseline FROM variant WHERE suite = title) b
        WHERE t IN ('probe', 'probes', 'few', 'slow')
$$;

-- nr_get and nr_get_many of the caches that there are, and of "what": peers, joins, queries (functions that have one),
-- documents.
CREATE PROCEDURE make_suite(title text, d data, dist text, what text[], figure text, x text) LANGUAGE plpgsql AS $$
DECLARE
    base text := 'the query without the call';
BEGIN
    INSERT INTO suite VALUES (title, base, 'ns net per lookup', 'unsynchronised peer', figure, x);
    INSERT INTO variant
        SELECT title, v, 1, size('probe'), NULL, NULL, per_row(d, dist, 'probe', format(call, 'nr_' || d.name))
        FROM (VALUES ('C function that does nothing', 'bench_nothing(''%s'', p.k, p.v)'),
                     ('C function that allocates 16 bytes', 'bench_palloc(''%s'', p.k, p.v)')) c (v, call)
        WHERE d.value_bytes = 0
        UNION ALL
        SELECT title, v, 1, size('probe'), NULL, NULL,
               per_row(d, dist, 'probe', format('%s(''%s_%s'', p.k, %s)', call, kind, d.name, fallback(d)))
        FROM (VALUES ('nr', 'unsynchronised peer', 'bench_get'), ('nr', 'nr_get', 'nr_get'),
                     ('nr2', 'nr_get, two copies', 'nr_get'), ('lr', 'nr_get, left_right', 'nr_get')) c (kind, v, call)
        WHERE to_regclass(kind || '_' || d.name) IS NOT NULL;
    INSERT INTO variant
        SELECT title, 'nr_get_many' || v || cost, 1, size('probe'), NULL, NULL,
               format('SELECT sum(bench_array_sum(nr_get_many(''%s_%s'', ks, %s))), sum(cardinality(ks)) FROM many_%s_%s',
                      kind, d.name, fallback(d), d.name, dist), baseline
        FROM (VALUES ('nr', ''), ('nr2', ', two copies'), ('lr', ', left_right')) k (kind, v),
             (VALUES (', net', 'arrays'), (', gross', '')) c (cost, baseline)
        WHERE to_regclass(kind || '_' || d.name) IS NOT NULL
        UNION ALL
        SELECT title, 'arrays', 1, size('probe'), NULL, NULL,
               format('SELECT sum(bench_array_sum(vs)), sum(cardinality(ks)) FROM many_%s_%s', d.name, dist), '';
    IF 'peers' = ANY (what) THEN
        CALL add_peers(title, d, dist);
    END IF;
    IF 'joins' = ANY (what) THEN
        CALL add_joins(title, d, dist);
    END IF;
    IF 'queries' = ANY (what) THEN
        CALL add_queries(title, d, dist);
    END IF;
    IF 'documents' = ANY (what) THEN
        CALL add_documents(title, d, dist);
    END IF;
    CALL add_bases(title, d, dist);
END $$;

-- How often what is slow takes part; always in a run that has one round only.
CREATE FUNCTION seldom(share float8, rounds int) RETURNS real LANGUAGE sql AS $$
    SELECT CASE WHEN rounds = 1 THEN 1 ELSE greatest(share, 1.0 / rounds) END
$$;

-- Does the planner do what the variant is called by?
CREATE PROCEDURE check_plans() LANGUAGE plpgsql AS $$
DECLARE
    v variant;
    line text;
    plan text;
BEGIN
    FOR v IN SELECT * FROM variant WHERE variant ~ '^(hash join|nested loop)' LOOP
        plan := '';
        EXECUTE v.settings;
        FOR line IN EXECUTE 'EXPLAIN ' || v.query LOOP
            plan := plan || line || E'\n';
        END LOOP;
        COMMIT;
        IF NOT (CASE v.variant WHEN 'hash join with a table' THEN plan ~ 'Hash Join'
                              WHEN 'nested loop, btree'
                              THEN plan ~ 'Nested Loop' AND plan ~ 'Index Scan' AND plan !~ 'Memoize'
                              ELSE plan ~ 'Memoize' AND plan ~ 'Index Scan' END) THEN
            RAISE EXCEPTION '"%" of "%" is none: %', v.variant, v.suite, plan;
        END IF;
    END LOOP;
END $$;
