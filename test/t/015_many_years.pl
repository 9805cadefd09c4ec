# A life of many years: caches are made, filled, used and dropped in every way that PostgreSQL
# knows, 10,000 times, by several sessions at once, while one session has used nearly all of them.
# At the end everything is back: memory, places, tokens, log space; and that session has not grown.
#
# NR_YEARS_CYCLES: how many.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use NrTest;

my $cycles = $ENV{NR_YEARS_CYCLES} || 10_000;
my $workers = 4;
my $batch = 8;     # caches that a worker has at a time

my $node = nr_node('years', 'nr_cache.replicas = 2', 'nr_cache.max_caches = 100', "nr_cache.memory = '160MB'",
	'max_connections = 50', 'autovacuum_naptime = 5s', 'max_wal_size = 4GB', 'max_prepared_transactions = 5');

$node->safe_psql('postgres', <<'SQL');
-- a batch of caches that somebody else is to use before they are dropped
CREATE TABLE batches (worker int, batch int, caches regclass[], used boolean DEFAULT false, PRIMARY KEY (worker, batch));
CREATE TABLE cycles (worker text, n bigint);
CREATE FOREIGN TABLE stays (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE stays_commit (k int, v text) SERVER nr_cache;

-- one of the nine kinds of cache
CREATE FUNCTION make_cache(name text, n int, server text DEFAULT 'nr_cache') RETURNS regclass LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE FOREIGN TABLE %s (k int, v text) SERVER %I OPTIONS (%s, visibility %L)', name, server,
		(ARRAY['copies ''1''', 'copies ''2''', 'scheme ''left_right'''])[1 + n % 3],
		(ARRAY['commit', 'immediate', 'manual'])[1 + n / 3 % 3]);
	RETURN name::regclass;
END $$;

-- now and then so much that it takes several extents more
CREATE FUNCTION fill(cache regclass, n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('INSERT INTO %s SELECT i, repeat(''x'', 300) FROM generate_series(1, %s) i', cache,
		CASE WHEN n % 40 = 0 THEN 4000 ELSE 5 END);
	PERFORM nr_put(cache, 7, 'seven'::text), nr_delete(cache, 2), nr_get(cache, 1);
	IF n / 3 % 3 = 2 AND n % 2 = 0 THEN
		PERFORM nr_publish(cache);
	END IF;
END $$;

-- ROLLBACK of what was created, as a whole and in part; DROP that is rolled back
CREATE PROCEDURE in_vain(name text, n int) LANGUAGE plpgsql AS $$
DECLARE
	cache regclass;
BEGIN
	CASE n % 3
	WHEN 0 THEN
		PERFORM fill(make_cache(name, n), n);
		ROLLBACK;
	WHEN 1 THEN
		BEGIN
			PERFORM fill(make_cache(name, n), n);
			RAISE division_by_zero;
		EXCEPTION WHEN division_by_zero THEN
		END;
		COMMIT;
	WHEN 2 THEN
		cache := make_cache(name, n);
		COMMIT;
		PERFORM fill(cache, n);
		BEGIN
			EXECUTE format('DROP FOREIGN TABLE %s', cache);
			PERFORM fill(make_cache(name, n + 1), n + 1);
			RAISE division_by_zero;
		EXCEPTION WHEN division_by_zero THEN
			PERFORM nr_get(cache, 1);
		END;
		EXECUTE format('DROP FOREIGN TABLE %s', cache);
		COMMIT;
	END CASE;
END $$;

-- ALTER that empties, in its own transaction or with what follows; truncated; then dropped
CREATE PROCEDURE alter_and_drop(cache regclass, n int) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('ALTER FOREIGN TABLE %s ADD COLUMN w int', cache);
	EXECUTE format('INSERT INTO %s VALUES (1, ''one'', 1)', cache);
	IF n % 2 = 0 THEN
		COMMIT;
	END IF;
	IF n % 3 = 0 THEN
		BEGIN
			EXECUTE format('ALTER FOREIGN TABLE %s DROP COLUMN v', cache);
			PERFORM nr_get(cache, 1, 0);
			RAISE division_by_zero;
		EXCEPTION WHEN division_by_zero OR object_in_use THEN
		END;
	ELSE
		EXECUTE format('TRUNCATE %s', cache);
		PERFORM nr_truncate(cache);
	END IF;
	EXECUTE format('DROP FOREIGN TABLE %s', cache);
END $$;

-- a worker: each batch is in a schema, of a server and of an owner of its own
CREATE PROCEDURE work(worker int, number int, size int) LANGUAGE plpgsql AS $$
DECLARE
	me text := 'w' || worker;
	first int := (SELECT coalesce(max(batch), 0) FROM batches b WHERE b.worker = work.worker);
	n int;
	caches regclass[];
	rest regclass[];
BEGIN
	FOR b IN first + 1 .. first + number LOOP
		EXECUTE format('CREATE SCHEMA %I', me);
		EXECUTE format('CREATE SERVER %I FOREIGN DATA WRAPPER nr_cache', me);
		caches := '{}';
		FOR i IN 1 .. size LOOP
			n := b * size + i + worker;
			IF i = size THEN
				COMMIT;
				CALL in_vain(format('%I.in_vain', me), n);
			ELSE
				caches := caches || make_cache(format('%I.c%s', me, i), n, CASE WHEN i < 3 THEN me ELSE 'nr_cache' END);
				IF n % 2 = 0 THEN COMMIT; END IF;
				PERFORM fill(caches[i], n);
				PERFORM nr_put('stays', n % 50, me), nr_put('stays_commit', n % 50, me);
			END IF;
			COMMIT;
		END LOOP;

		INSERT INTO batches VALUES (worker, b, caches);
		COMMIT;
		LOOP
			EXIT WHEN (SELECT used FROM batches t WHERE t.worker = work.worker AND t.batch = b);
			PERFORM pg_sleep(0.002);
		END LOOP;

		EXECUTE format('DROP SERVER %I CASCADE', me);				-- 1 and 2
		COMMIT;
		CALL alter_and_drop(caches[3], b);
		COMMIT;
		EXECUTE format('ALTER FOREIGN TABLE %s OWNER TO %I', caches[4], 'owner_' || me);
		EXECUTE format('ALTER FOREIGN TABLE %s OWNER TO %I', caches[5], 'owner_' || me);
		IF b % 2 = 0 THEN COMMIT; END IF;
		EXECUTE format('DROP OWNED BY %I', 'owner_' || me);
		COMMIT;
		EXECUTE format('DROP FOREIGN TABLE %s', caches[6]);
		EXECUTE format('DROP SCHEMA %I CASCADE', me);				-- what is left
		COMMIT;
	END LOOP;
	INSERT INTO cycles VALUES (me, number * size);
END $$;

-- the one who has used them all
CREATE PROCEDURE use_all(batches int) LANGUAGE plpgsql AS $$
DECLARE
	b record;
	cache regclass;
	n int := 0;
	idle int := 0;
BEGIN
	WHILE n < batches LOOP
		idle := idle + 1;
		FOR b IN SELECT * FROM batches WHERE NOT used LOOP
			FOREACH cache IN ARRAY b.caches LOOP
				PERFORM nr_get(cache, 1), nr_put(cache, 100, 'all'::text), nr_get_many(cache, ARRAY[1, 7], ''::text);
				EXECUTE format('SELECT count(*) FROM %s', cache);
			END LOOP;
			UPDATE batches t SET used = true WHERE (t.worker, t.batch) = (b.worker, b.batch);
			n := n + 1;
			idle := 0;
		END LOOP;
		COMMIT;
		-- a worker has failed
		EXIT WHEN idle > 20000;
		PERFORM pg_sleep(0.002);
	END LOOP;
END $$;
SQL
$node->safe_psql('postgres', "CREATE ROLE owner_w$_") foreach 1 .. $workers;

# In a database of its own: the extension comes and goes.
$node->safe_psql('postgres', 'CREATE DATABASE ext');
$node->safe_psql('ext', <<'SQL');
CREATE PROCEDURE work(rounds int) LANGUAGE plpgsql AS $$
BEGIN
	FOR r IN 1 .. rounds LOOP
		CREATE EXTENSION nr_cache;
		IF r % 2 = 0 THEN COMMIT; END IF;
		FOR i IN 1 .. 4 LOOP
			EXECUTE format('CREATE FOREIGN TABLE c%s (k int, v text) SERVER nr_cache OPTIONS (visibility %L)', i,
				CASE WHEN r % 3 = 0 THEN 'commit' ELSE 'immediate' END);
			EXECUTE format('INSERT INTO c%s SELECT i, ''x'' FROM generate_series(1, 5) i', i);
		END LOOP;
		PERFORM nr_put('a', 'b');
		IF r % 5 = 0 THEN
			ROLLBACK;
			DROP EXTENSION IF EXISTS nr_cache CASCADE;
		ELSE
			COMMIT;
			DROP EXTENSION nr_cache CASCADE;
		END IF;
		COMMIT;
	END LOOP;
END $$;
SQL

# What must come back.  A cache that lives may keep a few extents to grow into.
my %state = (
	memory => 'SELECT node, bytes, bytes_free + (SELECT sum(memory_free) FROM nr_caches) FROM nr_memory ORDER BY replica',
	caches => 'SELECT database, relid, visibility, memory_used - memory_free, log_memory, entries, notes FROM nr_caches ORDER BY 1, 2',
	tokens => 'SELECT count(*) FROM nr_tokens WHERE pid IS NOT NULL AND NOT worker',
	log => 'SELECT relid, tail = completed AND completed = head, slots_used, pending FROM nr_logs ORDER BY database, relid');

sub state
{
	# all replicas where their logs end
	$node->safe_psql('postgres', 'TRUNCATE stays, stays_commit; SELECT nr_check(c) FROM unnest(ARRAY[\'stays\', \'stays_commit\', \'nr_default\']::regclass[]) c');
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM nr_tokens WHERE pid IS NOT NULL AND NOT worker");
	return map { $_ => $node->safe_psql('postgres', "SELECT 1 FROM nr_get('stays', 1); $state{$_}") } keys %state;
}

# An extent in which commits write is free when all replicas have applied them: by the
# commit itself if the other replica's worker was quicker, else with the next one.
sub within_an_extent
{
	my ($got, $expected) = @_;
	my @got = split /[|\n]/, $got;
	my @expected = split /[|\n]/, $expected;

	$got[$_] = $expected[$_] foreach grep { "$got[$_] $expected[$_]" =~ /^\d+ \d+$/ && abs($got[$_] - $expected[$_]) <= 262144 } 0 .. $#expected;
	return "@got" eq "@expected" ? $expected : $got;
}

# Sessions that end with caches of their own; psql makes a new one at each \connect.
sub temporary_caches
{
	my ($sessions) = @_;
	my $script = '';

	foreach my $i (1 .. $sessions)
	{
		$script .= "\\connect -\nSET client_min_messages = warning;\n";
		$script .= "SELECT fill(make_cache('pg_temp.t$_', " . ($i + $_) . '), ' . ($i + $_) . ") \\g /dev/null\n" foreach 1 .. 4;
		$script .= ('', "DISCARD TEMP;\n", "BEGIN; DROP FOREIGN TABLE t1; SELECT nr_get('t2', 1) \\g /dev/null\n")[ $i % 3 ];
	}
	return $script . "\\connect -\nINSERT INTO cycles VALUES ('temporary', 4 * $sessions);\n";
}

# Databases copied from one with caches in it.
sub databases
{
	my ($rounds) = @_;
	my $script = "\\connect postgres\nCREATE DATABASE source;\n\\connect source\nCREATE EXTENSION nr_cache;\n";

	$script .= "CREATE FOREIGN TABLE c$_ (k int, v text) SERVER nr_cache; INSERT INTO c$_ VALUES (1, 'source');\n" foreach 1 .. 3;
	foreach (1 .. $rounds)
	{
		$script .= "\\connect postgres\nCREATE DATABASE copy TEMPLATE source;\n\\connect copy\n"
		  . "SELECT * FROM c1; INSERT INTO c1 VALUES (1, 'copy'); INSERT INTO c2 SELECT i, repeat('x', 500) FROM generate_series(1, 2000) i;\n"
		  . "\\connect postgres\nDROP DATABASE copy;\n";
	}
	return $script . "DROP DATABASE source;\nINSERT INTO cycles VALUES ('databases', 3 * $rounds + 3);\n";
}

my $files = 0;
sub start_script
{
	my ($node, $sql) = @_;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/script" . $files++;

	append_to_file($file, $sql);
	return start_psql_file($node, $file);
}

# One stretch of life.
sub live
{
	my ($watcher, $batches, $others) = @_;
	my $quiet = 'SET client_min_messages = warning';
	my %running = map { ("worker $_" => start_psql($node, $quiet, "CALL work($_, $batches, $batch)")) } 1 .. $workers;

	$running{temporary} = start_script($node, temporary_caches(2 * $others));
	$running{databases} = start_script($node, databases($others / 5));
	$running{extension} = start_script($node, "\\connect ext\nSET client_min_messages = warning;\nCALL work($others);\n"
		  . "\\connect postgres\nINSERT INTO cycles VALUES ('extension', 5 * $others);\n");
	$watcher->query('CALL use_all(' . $workers * $batches . ')');
	foreach my $name (sort keys %running)
	{
		my ($out, $err) = finish_psql($running{$name});

		is($err, '', "$name: no errors");
	}
	foreach my $i (1 .. 4)
	{
		$node->psql('postgres', "SET client_min_messages = warning; SELECT fill(make_cache('pg_temp.t', $i), $i);
			BEGIN; SELECT fill(make_cache('public.t', $i), $i); SELECT pg_terminate_backend(pg_backend_pid())");
	}
	return;
}

# But for PostgreSQL's catalog caches, which remember something of every table that was scanned.
my $contexts = "pg_backend_memory_contexts WHERE name NOT IN ('CacheMemoryContext', 'Type information cache')";
my $used_memory = "SELECT sum(used_bytes) FROM $contexts";
my $watcher = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $watcher->query('SELECT pg_backend_pid()');

sub anonymous_kb
{
	return slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m ? $1 : die 'no RssAnon';
}

# The first of them warm caches and catalogs up.
$watcher->query("SELECT nr_get('stays', 1), nr_get('stays_commit', 1), nr_get('a')");
my %before = state();
live($watcher, 10, 10);
my %warm = state();
is($_ eq 'memory' ? within_an_extent($warm{$_}, $before{$_}) : $warm{$_}, $before{$_}, "after some cycles: $_") foreach sort keys %state;
$watcher->query("CREATE TEMP TABLE contexts AS SELECT name, sum(used_bytes) AS used FROM $contexts GROUP BY name");
my $watcher_used = $watcher->query($used_memory);
my $watcher_kb = anonymous_kb();

my $others = 20;
my $done = $node->safe_psql('postgres', 'SELECT sum(n) FROM cycles');
my $batches = int(($cycles - $done - 13 * $others) / $workers / $batch) + 1;
live($watcher, $batches, $others);
my %after = state();
is($_ eq 'memory' ? within_an_extent($after{$_}, $before{$_}) : $after{$_}, $before{$_}, "after all of them: $_") foreach sort keys %state;
cmp_ok($node->safe_psql('postgres', 'SELECT sum(n) FROM cycles'), '>=', $cycles, 'so many cycles');
nr_settled($node, 'at the end');
nr_nothing_left($node, 'at the end');

# A session that remembered 100 bytes of each cache would have grown by most of a megabyte.
my $grown = $watcher->query($used_memory) - $watcher_used;
my $grown_kb = anonymous_kb() - $watcher_kb;
diag("the session that has used them all has grown by $grown bytes, $grown_kb kB resident");
cmp_ok($grown, '<', 200_000, 'the memory of a session does not grow with the caches that it has used')
  or diag($watcher->query('SELECT name, sum(n.used_bytes) - max(c.used) FROM pg_backend_memory_contexts n
	JOIN contexts c USING (name) GROUP BY 1 ORDER BY 2 DESC LIMIT 8'));
cmp_ok($grown_kb, '<', 16384, 'nor by much else, as the operating system sees it');
$watcher->quit;
$node->stop;

# Orphans, as a prepared DROP leaves them: many sessions make them, run out of places all the time and sweep,
# while others use and alter caches that stay.
my $busy = nr_node('orphans', 'nr_cache.replicas = 2', 'nr_cache.max_caches = 12', "nr_cache.memory = '64MB'",
	'max_connections = 50', 'max_prepared_transactions = 10');
$busy->safe_psql('postgres', <<'SQL');
CREATE FOREIGN TABLE shared (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE alt (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate', copies '1');
SELECT nr_put('shared', 0, 'x'::text);
SQL
my $round = <<'SQL';
CREATE FOREIGN TABLE c_? (k int, v text) SERVER nr_cache;
SELECT nr_put('c_?', 1, 'x'::text), nr_put('shared', ?, 'y'::text) \g /dev/null
BEGIN;
DROP FOREIGN TABLE c_?;
PREPARE TRANSACTION 'c_?';
COMMIT PREPARED 'c_?';
SELECT 'lost' WHERE nr_get('shared', 0) IS NULL OR nr_get('shared', ?) IS NULL;
SQL
my $alter = <<'SQL';
\connect -
SET client_min_messages = warning;
BEGIN;
ALTER FOREIGN TABLE alt OPTIONS (SET copies '2');
SELECT nr_put('alt', 1, 'x'::text) \g /dev/null
ROLLBACK;
SELECT 'there' WHERE nr_get('alt', 1) IS NOT NULL;
SELECT nr_put('shared', 10, 'z'::text), count(*) FROM shared \g /dev/null
SQL
my @running = map { start_script($busy, $round =~ s/\?/$_/gr x 150) } 1 .. 6;
push @running, start_script($busy, $alter x 100);
is(join('', finish_psql($_)), '', 'orphans make room for others, and nothing is lost') foreach @running;
is($busy->safe_psql('postgres', "CREATE FOREIGN TABLE last (k int, v text) SERVER nr_cache; SELECT nr_get('last', 1, 'swept');
	SELECT cache FROM nr_caches ORDER BY cache::text"), "swept\nalt\nlast\nshared", 'all of them are swept');
nr_settled($busy, 'orphans');
nr_nothing_left($busy, 'orphans');

done_testing();
