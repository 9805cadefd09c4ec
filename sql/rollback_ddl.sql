-- rollback_ddl: DDL and use in one transaction, in every order.  A driver makes all sequences of three
-- steps, runs each in a transaction with savepoints in all the ways below, and compares what is there
-- with a model.
--
-- Steps: P puts an entry, and compares all that can be read; E alters so that the cache is emptied (and,
-- the second time, back again); K and R alter without that (statistics target of the value, name of the
-- cache); T truncates; D drops; C creates.
--
-- ( is a savepoint; ) releases it; ] rolls back to it.  Each way ends with COMMIT and with ROLLBACK.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS nr_cache;
CREATE SCHEMA rollback_ddl;
SET search_path = rollback_ddl, public;
RESET client_min_messages;

-- THE MODEL, a jsonb.  What obeys transactions:
--	id			of the cache, from one CREATE to its DROP; null: there is none
--	name		of the cache
--	layout		1 or 2, what E changes
--	by			level of the savepoint that has last written the layout's rows, 0: an earlier transaction
--	alone		whether the transaction holds the lock that keeps others out
--	stage		id -> what is staged in it (visibility 'commit'): truncated?, entries
-- and what does not:
--	ids, keys	counters
--	states		"id/layout" -> entries, and "owner": the level with which the state goes away, 0: it stays
--	verdict		what went wrong, or 'impossible'
CREATE FUNCTION state_name(m jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT (m->>'id') || '/' || (m->>'layout') $$;

-- what is staged for the cache as it is
CREATE FUNCTION staged(m jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS
$$ SELECT m->'stage'->(m->>'id') $$;

CREATE FUNCTION model_entries(m jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN CASE WHEN (staged(m)->>'truncated')::boolean THEN '{}'::jsonb
			ELSE coalesce(m->'states'->state_name(m)->'entries', '{}') END || coalesce(staged(m)->'entries', '{}');
END $$;

-- whether a step can be taken; whether it must be an error: what is staged cannot be emptied
CREATE FUNCTION possible(m jsonb, step text) RETURNS boolean LANGUAGE sql IMMUTABLE AS
$$ SELECT (m->>'id' IS NULL) = (step = 'C') $$;
CREATE FUNCTION must_fail(m jsonb, step text) RETURNS boolean LANGUAGE sql IMMUTABLE AS
$$ SELECT step = 'E' AND staged(m) IS NOT NULL $$;

-- the state is made when the cache is used first
CREATE FUNCTION model_use(m jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN CASE WHEN m->'states' ? state_name(m) THEN m
		ELSE jsonb_set(m, ARRAY['states', state_name(m)], jsonb_build_object('entries', '{}'::jsonb,
			'owner', CASE WHEN (m->>'alone')::boolean THEN (m->>'by')::int ELSE 0 END)) END;
END $$;

-- what a write comes to: truncated if "entry" is null
CREATE FUNCTION model_write(m jsonb, visibility text, entry jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	path text[] := ARRAY['states', state_name(m), 'entries'];
BEGIN
	IF visibility = 'immediate' THEN
		RETURN jsonb_set(m, path, CASE WHEN entry IS NULL THEN '{}' ELSE (m #> path) || entry END);
	END IF;
	RETURN jsonb_set(m, ARRAY['stage', m->>'id'], jsonb_build_object(
		'truncated', entry IS NULL OR coalesce((staged(m)->>'truncated')::boolean, false),
		'entries', CASE WHEN entry IS NULL THEN '{}' ELSE coalesce(staged(m)->'entries', '{}') || entry END));
END $$;

-- Back to what was before a savepoint of this level; level 1 is the transaction.  The lock may go as well:
-- then others may use the state from now on.
CREATE FUNCTION model_undo(m jsonb, before jsonb, level int) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN before || jsonb_build_object('ids', m->'ids', 'keys', m->'keys', 'verdict', m->'verdict', 'states',
		(SELECT coalesce(jsonb_object_agg(key, CASE WHEN (before->>'alone')::boolean THEN value ELSE value || '{"owner": 0}' END)
				FILTER (WHERE (value->>'owner')::int < level), '{}')
		   FROM jsonb_each(m->'states')));
END $$;

CREATE FUNCTION model_release(m jsonb, level int) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN m || jsonb_build_object('by', least((m->>'by')::int, level - 1), 'states',
		(SELECT coalesce(jsonb_object_agg(key, value || jsonb_build_object('owner', least((value->>'owner')::int, level - 1))), '{}')
		   FROM jsonb_each(m->'states')));
END $$;

CREATE FUNCTION model_commit(m jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN m || jsonb_build_object('by', 0, 'alone', false, 'stage', '{}'::jsonb, 'states',
		CASE WHEN m->'states' ? state_name(m)
			THEN jsonb_build_object(state_name(m), jsonb_build_object('owner', 0, 'entries', model_entries(m)))
			ELSE '{}' END);
END $$;

-- THE DRIVER
CREATE FUNCTION real_entries(name text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	found jsonb;
BEGIN
	EXECUTE format('SELECT coalesce(jsonb_object_agg(k, v), ''{}'') FROM %I', name) INTO found;
	RETURN found;
END $$;

CREATE FUNCTION make_cache(visibility text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE FOREIGN TABLE c (k int, v text) SERVER nr_cache OPTIONS (copies ''1'', visibility %L)', visibility);
END $$;

-- An error at level 1 is the end of the transaction, which has nothing more to show.
CREATE FUNCTION take_step(m jsonb, step text, visibility text, level int) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	name text := m->>'name';
	key int := (m->>'keys')::int + 1;
	other text;
	got text;
BEGIN
	IF m->>'verdict' IS NOT NULL THEN
		RETURN m;
	ELSIF NOT possible(m, step) OR (level = 1 AND must_fail(m, step)) THEN
		RETURN m || '{"verdict": "impossible"}';
	END IF;
	CASE step
	WHEN 'P' THEN
		EXECUTE format('SELECT nr_put(%L, %s, %L::text)', name, key, 'v' || key);
		EXECUTE format('SELECT nr_get(%L, %s)', name, key) INTO got;
		m := model_write(model_use(m), visibility, jsonb_build_object(key, 'v' || key))
			|| jsonb_build_object('keys', key, 'verdict', CASE WHEN got <> 'v' || key THEN 'nr_get' END);
		IF real_entries(name) <> model_entries(m) THEN
			m := m || jsonb_build_object('verdict', format('put: %s are there, not %s', real_entries(name), model_entries(m)));
		END IF;
	WHEN 'T' THEN
		EXECUTE format('TRUNCATE %I', name);
		m := model_write(model_use(m || '{"alone": true}'), visibility, NULL);
	WHEN 'E' THEN
		other := CASE m->>'layout' WHEN '1' THEN '2' ELSE '1' END;
		EXECUTE format('ALTER FOREIGN TABLE %I OPTIONS (SET copies %L)', name, other);
		m := m || jsonb_build_object('verdict', CASE WHEN must_fail(m, step) THEN 'no error' END, 'layout', other, 'by', level, 'alone', true);
	WHEN 'K' THEN
		EXECUTE format('ALTER FOREIGN TABLE %I ALTER COLUMN v SET STATISTICS %s', name, 10 * level);
		m := m || jsonb_build_object('by', level);
	WHEN 'R' THEN
		other := CASE name WHEN 'c' THEN 'd' ELSE 'c' END;
		EXECUTE format('ALTER FOREIGN TABLE %I RENAME TO %I', name, other);
		m := m || jsonb_build_object('name', other, 'alone', true);
	WHEN 'D' THEN
		EXECUTE format('DROP FOREIGN TABLE %I', name);
		m := m || '{"id": null}';
	WHEN 'C' THEN
		PERFORM make_cache(visibility);
		m := m || jsonb_build_object('ids', (m->>'ids')::int + 1, 'id', (m->>'ids')::int + 1, 'name', 'c', 'layout', '1',
			'by', level, 'alone', true);
	END CASE;
	RETURN m;
END $$;

-- All steps of a sequence, one loop for each level: what a loop has in its variables stays when its
-- savepoint is rolled back.
CREATE FUNCTION take_steps(m jsonb, steps text[], visibility text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	at int := 1;
	before2 jsonb;
	before3 jsonb;
BEGIN
	WHILE at <= cardinality(steps) LOOP
		IF steps[at] <> '(' THEN
			m := take_step(m, steps[at], visibility, 1);
		ELSE
			before2 := m;
			BEGIN
				at := at + 1;
				WHILE steps[at] NOT IN (')', ']') LOOP
					IF steps[at] <> '(' THEN
						m := take_step(m, steps[at], visibility, 2);
					ELSE
						before3 := m;
						BEGIN
							at := at + 1;
							WHILE steps[at] NOT IN (')', ']') LOOP
								m := take_step(m, steps[at], visibility, 3);
								at := at + 1;
							END LOOP;
							IF steps[at] = ']' THEN RAISE EXCEPTION SQLSTATE 'NRBAK'; END IF;
							m := model_release(m, 3);
						EXCEPTION WHEN SQLSTATE 'NRBAK' OR object_in_use THEN
							IF SQLSTATE <> 'NRBAK' AND NOT must_fail(m, steps[at]) THEN RAISE; END IF;
							m := model_undo(m, before3, 3);
							WHILE steps[at] NOT IN (')', ']') LOOP at := at + 1; END LOOP;
						END;
					END IF;
					at := at + 1;
				END LOOP;
				IF steps[at] = ']' THEN RAISE EXCEPTION SQLSTATE 'NRBAK'; END IF;
				m := model_release(m, 2);
			EXCEPTION WHEN SQLSTATE 'NRBAK' OR object_in_use THEN
				IF SQLSTATE <> 'NRBAK' AND NOT must_fail(m, steps[at]) THEN RAISE; END IF;
				m := model_undo(m, before2, 2);
				-- to the end of this savepoint, past those inside
				WHILE steps[at] NOT IN (')', ']') LOOP
					IF steps[at] = '(' THEN
						WHILE steps[at] NOT IN (')', ']') LOOP at := at + 1; END LOOP;
					END IF;
					at := at + 1;
				END LOOP;
			END;
		END IF;
		at := at + 1;
	END LOOP;
	RETURN m;
END $$;

-- Is there a cache for every step but C, and none for that?
CREATE FUNCTION makes_sense(steps text[]) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	there boolean[] := '{t}';		-- now, and at the savepoints around
	step text;
BEGIN
	FOREACH step IN ARRAY steps LOOP
		IF step = '(' THEN there := there[1] || there;
		ELSIF step = ')' THEN there := there[1] || there[3:];
		ELSIF step = ']' THEN there := there[2:];
		ELSIF there[1] = (step = 'C') THEN RETURN false;
		ELSIF step IN ('C', 'D') THEN there[1] := step = 'C';
		END IF;
	END LOOP;
	RETURN true;
END $$;

CREATE FUNCTION sequences(shape text, length int) RETURNS SETOF text LANGUAGE sql AS $$
	WITH RECURSIVE s (sequence, n) AS (
		SELECT shape, 0
		UNION ALL
		SELECT regexp_replace(sequence, '[a-z]', step), n + 1
		  FROM s, unnest(string_to_array('P E K R T D C', ' ')) step WHERE n < length)
	SELECT sequence FROM s WHERE n = length AND makes_sense(string_to_array(sequence, NULL)) $$;

CREATE TABLE result (visibility text, used boolean, sequence text, ending text, difference text);

CREATE FUNCTION states() RETURNS TABLE (caches bigint, free bigint) LANGUAGE sql AS
$$ SELECT count(*), (SELECT min(bytes_free) FROM nr_memory) FROM nr_caches $$;

-- what is there after a sequence, against the model; NULL: the same
CREATE FUNCTION compare(m jsonb, before bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	n bigint := (SELECT caches - before FROM states());
	expected bigint := (SELECT count(*) FROM jsonb_object_keys(m->'states'));
	found jsonb;
BEGIN
	IF n <> expected THEN RETURN format('%s states, not %s', n, expected); END IF;
	IF m->>'id' IS NULL THEN
		RETURN CASE WHEN coalesce(to_regclass('c'), to_regclass('d')) IS NOT NULL THEN 'it is still there' END;
	END IF;
	found := real_entries(m->>'name');
	IF found <> model_entries(m) THEN RETURN format('%s are there, not %s', found, model_entries(m)); END IF;
	RETURN NULL;
END $$;

CREATE PROCEDURE run_sequence(sequence text, ending text, visibility text, used boolean) LANGUAGE plpgsql AS $$
DECLARE
	base record;
	m jsonb := '{"id": 1, "ids": 1, "keys": 0, "name": "c", "layout": "1", "by": 0, "alone": false, "stage": {}, "states": {}, "verdict": null}';
	start jsonb;
	what text;
BEGIN
	SELECT * INTO base FROM states();
	PERFORM make_cache(visibility);
	COMMIT;
	IF used THEN
		m := take_step(m, 'P', visibility, 1);
		COMMIT;
		m := model_commit(m);
	END IF;
	start := m;

	m := take_steps(m, string_to_array(sequence, NULL), visibility);
	what := m->>'verdict';
	IF what IS NULL AND ending = 'COMMIT' THEN
		COMMIT;
		m := model_commit(m);
	ELSE
		ROLLBACK;
		m := model_undo(m, start, 1);
	END IF;
	IF what IS NULL THEN
		what := compare(m, base.caches);
	END IF;

	DROP FOREIGN TABLE IF EXISTS c, d;
	COMMIT;
	-- what a worker was just looking at is freed when it leaves
	FOR i IN 1 .. 200 LOOP
		EXIT WHEN base IS NOT DISTINCT FROM (SELECT s FROM states() s);
		PERFORM pg_sleep(0.01);
	END LOOP;
	IF what IS NULL AND base IS DISTINCT FROM (SELECT s FROM states() s) THEN
		what := 'something is left over';
	END IF;
	INSERT INTO result VALUES (visibility, used, sequence, ending, what);
	COMMIT;
END $$;

CREATE PROCEDURE run_shapes(shapes text[], length int, visibility text, used boolean) LANGUAGE plpgsql AS $$
DECLARE
	sequence text;
	ending text;
	shape text;
BEGIN
	FOREACH shape IN ARRAY shapes LOOP
		FOREACH sequence IN ARRAY ARRAY(SELECT sequences(shape, length)) LOOP
			FOREACH ending IN ARRAY ARRAY['COMMIT', 'ROLLBACK'] LOOP
				CALL run_sequence(sequence, ending, visibility, used);
			END LOOP;
		END LOOP;
	END LOOP;
END $$;

SET client_min_messages = warning;
CALL run_shapes('{aaa, (aa]a, a(a(a]), (a(a)a]}', 3, 'commit', true);
CALL run_shapes('{aaa, (aa]a, a(a(a]), (a(a)a]}', 3, 'immediate', true);
-- nobody has used the cache before: then the state is made in the middle of it
CALL run_shapes('{a(a(a])}', 3, 'immediate', false);

SELECT visibility, used, count(*) AS sequences, count(difference) AS differences
  FROM result WHERE difference IS DISTINCT FROM 'impossible' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT * FROM result WHERE difference <> 'impossible' ORDER BY visibility, used, sequence, ending LIMIT 20;
RESET client_min_messages;

-- ON COMMIT DROP comes after everything else that a commit does
-- (a replica that lags holds on to requests that others have applied: not memory of ours)
SELECT bool_and(nr_check(relid)) AS level FROM nr_caches WHERE cache IS NOT NULL;
CREATE TABLE before AS SELECT * FROM states();
CREATE FUNCTION left_over() RETURNS TABLE (caches bigint, memory bigint) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 200 LOOP
		SELECT s.caches - b.caches, b.free - s.free INTO caches, memory FROM states() s, before b;
		EXIT WHEN memory <= 0 OR caches > 0;
		PERFORM pg_sleep(0.01);
	END LOOP;
	RETURN NEXT;
END $$;
BEGIN;
CREATE TEMP TABLE parent (k int, v text) PARTITION BY LIST (k) ON COMMIT DROP;
CREATE FOREIGN TABLE pg_temp.child PARTITION OF parent FOR VALUES IN (1) SERVER nr_cache;
INSERT INTO parent VALUES (1, 'x');
SELECT * FROM parent;
COMMIT;
SELECT to_regclass('child'), l.* FROM left_over() l;

-- made by a parallel worker, in a transaction that is rolled back
CREATE TABLE big AS SELECT i FROM generate_series(1, 10000) i;
ANALYZE big;
BEGIN;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL parallel_leader_participation = off;
CREATE FOREIGN TABLE c (k int, v text) SERVER nr_cache;
SELECT count(nr_get('c', i)) FROM big;
SELECT caches FROM left_over();
ROLLBACK;
SELECT * FROM left_over();

-- What a prepared transaction wrote under a definition of its own goes with it; else another ALTER to the
-- same definition would find it again.
CREATE FOREIGN TABLE c (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
SELECT nr_put('c', 1, 'one');
BEGIN;
ALTER FOREIGN TABLE c OPTIONS (ADD copies '2');
SELECT nr_put('c', 2, 'ghost');
PREPARE TRANSACTION 'nr_ddl';
ROLLBACK PREPARED 'nr_ddl';
SELECT * FROM c;
ALTER FOREIGN TABLE c OPTIONS (ADD copies '2');
SELECT * FROM c;
BEGIN;
ALTER FOREIGN TABLE c OPTIONS (DROP copies);
SELECT nr_put('c', 3, 'three');
PREPARE TRANSACTION 'nr_ddl';
COMMIT PREPARED 'nr_ddl';
SELECT * FROM c;
SELECT nr_put('c', 4, 'four');
SELECT caches FROM left_over();

-- A prepared DROP leaves an orphan.  Nobody misses it until a session makes its first cache.
BEGIN;
DROP FOREIGN TABLE c;
PREPARE TRANSACTION 'nr_ddl';
COMMIT PREPARED 'nr_ddl';
SELECT caches FROM left_over();
\c -
SET search_path = rollback_ddl, public;
SELECT caches FROM left_over();
CREATE FOREIGN TABLE c (k int, v text) SERVER nr_cache;
SELECT nr_get('c', 1);
SELECT caches FROM left_over();
DROP FOREIGN TABLE c;
SELECT * FROM left_over();

-- Not every change of a column is one of the definition: where the others are not kept out, what is made is
-- everybody's, and stays.
CREATE FOREIGN TABLE c (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
BEGIN;
ALTER FOREIGN TABLE c ALTER COLUMN v SET STATISTICS 10;
SELECT nr_put('c', 1, 'one');
ALTER FOREIGN TABLE c RENAME TO d;
SELECT nr_put('d', 2, 'two');
ROLLBACK;
SELECT * FROM c ORDER BY k;

SET client_min_messages = warning;
DROP SCHEMA rollback_ddl CASCADE;
