--
-- COPY into and out of caches
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS nr_cache;
RESET client_min_messages;

CREATE FOREIGN TABLE fdw_c (k text NOT NULL, v numeric CHECK (v < 1000), n int DEFAULT 3)
    SERVER nr_cache OPTIONS (visibility 'immediate');
COPY fdw_c FROM stdin;
USD	1.0842	1
GBP	0.8342	\N
JPY	162.05	2
\.
COPY fdw_c (k, v) FROM stdin CSV HEADER;
code,rate
CHF,0.94
USD,1.1
"",0
\.
SELECT * FROM fdw_c ORDER BY k COLLATE "C";

-- a bad row: rows of its request are dropped, the cache stays usable
COPY fdw_c FROM stdin;
AAA	1	1
BBB	5000	1
\.
COPY fdw_c FROM stdin;
AAA	1	1
\N	5	1
\.
COPY fdw_c FROM stdin;
AAA	1	1
BBB	x	1
\.
SELECT count(*) FROM fdw_c;

COPY fdw_c FROM stdin WHERE v > 1;
NOK	11.5	1
DKK	0.5	1
\.
COPY fdw_c FROM '/dev/null' FREEZE;
COPY fdw_c TO stdout;
COPY (SELECT * FROM fdw_c ORDER BY k COLLATE "C") TO stdout;
BEGIN READ ONLY;
COPY fdw_c FROM '/dev/null';
ROLLBACK;

-- rows are routed through a partitioned table
CREATE TABLE fdw_cp (k int, v text) PARTITION BY LIST (k);
CREATE FOREIGN TABLE fdw_cp1 PARTITION OF fdw_cp FOR VALUES IN (1, 3) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE TABLE fdw_cp2 PARTITION OF fdw_cp FOR VALUES IN (2);
COPY fdw_cp FROM stdin;
1	one
2	two
3	three
1	one again
\.
SELECT tableoid::regclass, * FROM fdw_cp ORDER BY k;
COPY fdw_cp1 FROM stdin;
2	wrong
\.
COPY fdw_cp1 FROM stdin;
3	new
\.
SELECT tableoid::regclass, * FROM fdw_cp ORDER BY k;

-- triggers see each row
CREATE FUNCTION fdw_ctrig() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE '% % entries %', TG_WHEN, TG_LEVEL, (SELECT count(*) FROM fdw_ct);
    RETURN CASE WHEN NEW.k = 2 THEN NULL ELSE NEW END;
END $$;
CREATE FOREIGN TABLE fdw_ct (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE TRIGGER after_stmt AFTER INSERT ON fdw_ct FOR EACH STATEMENT EXECUTE FUNCTION fdw_ctrig();
COPY fdw_ct FROM stdin;
1	a
5	b
\.
CREATE TRIGGER before_row BEFORE INSERT ON fdw_ct FOR EACH ROW EXECUTE FUNCTION fdw_ctrig();
COPY fdw_ct FROM stdin;
2	skipped
3	c
\.
SELECT * FROM fdw_ct ORDER BY k;
SELECT nr_check('fdw_c'), nr_check('fdw_cp1'), nr_check('fdw_ct');
