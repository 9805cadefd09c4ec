# A transaction with staged writes that ends badly: terminated, cancelled, timed
# out or failed, from the first write to the end of the commit, and there at every
# passage of a test point.  All of it happened or none, nobody sees a part, nothing is left behind,
# and the next writer commits at once.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use NrTest;

my $node = nr_node('faults', 'nr_cache.replicas = 2', 'max_prepared_transactions = 2', 'log_min_messages = fatal',
	'log_min_error_statement = panic', 'max_connections = 30');
my $memory = 'SELECT min(bytes_free) FROM nr_memory';
$node->safe_psql('postgres', "SELECT nr_get('makes nr_default')");
my $empty = $node->safe_psql('postgres', $memory);

$node->safe_psql('postgres', <<'SQL');
CREATE FOREIGN TABLE one (k int, v int, filler text) SERVER nr_cache;
CREATE FOREIGN TABLE two (k int, v int, filler text) SERVER nr_cache OPTIONS (copies '2');
CREATE FOREIGN TABLE lr (k int, v int, filler text) SERVER nr_cache OPTIONS (scheme 'left_right');
CREATE TABLE t (v int);
CREATE TABLE control (stop boolean);
INSERT INTO control VALUES (false);

-- Keys 1 to 200 of one version, some by a savepoint that stays; what the others staged is undone.
CREATE FUNCTION write(cache regclass, version int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	INSERT INTO t VALUES (version);
	PERFORM nr_put(cache, (1, version, 'x'));
	PERFORM nr_put(cache, (1000, version, 'x'));
	BEGIN
		PERFORM nr_put(cache, (1, -1, 'x'));
		EXECUTE format('INSERT INTO %s SELECT i, -1, repeat(''y'', 100) FROM generate_series(100, 300) i', cache);
		RAISE EXCEPTION 'undo';
	EXCEPTION WHEN raise_exception THEN
		EXECUTE format('INSERT INTO %s SELECT i, %s, repeat(''x'', 100) FROM generate_series(2, 200) i', cache, version);
	END;
	PERFORM nr_delete(cache, 1000);
END $$;

-- fails unless the cache holds one version of all keys
CREATE FUNCTION whole(cache regclass, OUT version int) LANGUAGE plpgsql AS $$
DECLARE
	n int;
	versions int;
BEGIN
	EXECUTE format('SELECT count(*), count(DISTINCT v), min(v) FROM %s', cache) INTO n, versions, version;
	IF n <> 200 OR versions <> 1 OR version < 1 THEN
		RAISE EXCEPTION '% is torn: % keys, % versions, %', cache, n, versions, version;
	END IF;
END $$;
CREATE PROCEDURE watch() LANGUAGE plpgsql AS $$
DECLARE
	caches regclass[] := '{one, two, lr}';
	n int := 0;
BEGIN
	WHILE NOT (SELECT stop FROM control) LOOP
		FOR i IN 1 .. 3 LOOP
			PERFORM whole(caches[i]);
			n := n + 1;
		END LOOP;
		COMMIT;
		PERFORM pg_sleep(0.01);
	END LOOP;
	RAISE NOTICE 'after %', n;
END $$;
SELECT write('one', 1), write('two', 1), write('lr', 1);
SQL

my @watchers = map { start_psql($node, 'CALL watch()') } 1 .. 2;
my $asker = $node->background_psql('postgres', on_error_stop => 0);
# its time limit is for one query: all of them take longer on a slow machine
$asker->set_query_timer_restart;

# Everything that must hold after a transaction ended; one row.
my $state = "SELECT whole('%1\$s'), (SELECT max(v) FROM t),
	(SELECT sum(slots_promised) FROM nr_logs), (SELECT count(*) FROM nr_logs WHERE order_horizon <= order_number),
	(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 28279),
	(SELECT count(*) FROM nr_tokens t LEFT JOIN pg_stat_activity a USING (pid)
	  WHERE t.pid IS NOT NULL AND a.pid IS NULL AND NOT t.worker)";

my $version = 1;

# One transaction with a fault; returns whether it failed, what is wrong now, its errors.
sub faulty
{
	my ($cache, $setting, @more) = @_;
	my $free = $asker->query($memory);

	$version++;
	my ($out, $err) = finish_psql(start_psql($node, "SET nr_cache.test_point = '$setting'", @more,
			'BEGIN', "SELECT write('$cache', $version)", 'COMMIT'));
	my $failed = $err =~ /ERROR|FATAL/;
	my ($got, $committed, @left, $free_now);

	foreach (1 .. 500)
	{
		($got, $committed, @left) = split /\|/, $asker->query(sprintf($state, $cache));
		$free_now = $asker->query($memory);
		last if defined $got && join('', @left) eq '0000' && ($committed == $version || $free_now >= $free);
		select(undef, undef, undef, 0.01);
	}
	my $bad = '';
	$bad .= "left behind: @left; " if !@left || join('', @left) ne '0000';
	$bad .= 'memory is missing: ' . ($free - $free_now) . '; ' if $committed != $version && $free_now < $free;
	$bad .= 'the cache has not what the table has; ' if !defined $got || $got != $committed;
	$bad .= 'it was told of success, but nothing happened; ' if !$failed && $committed != $version;
	# who was terminated is not told
	$bad .= 'it was told of an error, but it happened; ' if $err =~ /ERROR/ && $committed == $version;
	$version = $committed;
	return ($failed, $bad, $err);
}

# Once every replica has caught up.
sub free_memory
{
	my ($cache) = @_;
	return (split /\n/, $asker->query("SELECT nr_check('$cache'); $memory"))[1];
}

my $extent = $asker->query('SELECT max(extent_bytes) FROM nr_memory');
my %fired;
foreach my $cache (qw(one two lr))
{
	# how many points such a transaction passes: before COMMIT, which are reads, and in all
	my ($staging, $passages) = (split /\n/, (finish_psql(start_psql($node, "SET nr_cache.test_point = '*:nap:1000000000'",
				'BEGIN', "SELECT 'x' FROM write('$cache', " . ++$version . ')', 'SHOW nr_cache.test_point_passed', 'COMMIT',
				'SHOW nr_cache.test_point_passed')))[0])[1, 2];
	cmp_ok($passages, '>', $staging + 3, "$cache: a transaction passes $staging points, and COMMIT those up to $passages");
	my $free = free_memory($cache);
	my @at = (1, 2, int($staging / 3), int($staging / 2), $staging - 1 .. $passages);

	foreach my $action (qw(terminate cancel error sleep))
	{
		my @more = $action eq 'sleep' ? "SET statement_timeout = '30ms'" : ();
		my @bad;

		$fired{$action} = 0;
		foreach my $n (@at)
		{
			my ($failed, $bad, $err) = faulty($cache, "*:$action:$n", @more);
			push @bad, "passage $n: $bad\n$err" if $bad;
			$fired{$action}++ if $failed;
			# the next one, at once
			my $next = $version + 1;
			my $said = $asker->query("SET statement_timeout = '20s'; SELECT write('$cache', $next); SELECT whole('$cache')");
			push @bad, "passage $n: the next transaction: $said" if $said !~ /^$next$/m;
			$version = $next;
			last if @bad > 3;
		}
		is(join("\n", @bad), '', "$cache, $action: all or nothing each time, and nothing left");
		cmp_ok($fired{$action}, '>', 0, "$cache, $action: $fired{$action} of " . @at . " transactions failed");
	}
	nr_nothing_left($node, $cache);
	# room to spare is kept, but not more with each fault
	cmp_ok(free_memory($cache), '>=', $free - 4 * $extent, "$cache: no memory has gone");
}

# Ended for certain between our PRE_COMMIT and the commit record: there a transaction
# empties its temporary table, which another session has locked.
foreach my $case (map { ([ $_, 'cancel' ], [ $_, 'terminate' ]) } qw(one two lr))
{
	my ($cache, $how) = @$case;
	my $psql = $node->background_psql('postgres', on_error_stop => 0);
	my ($pid, $schema) = split /\|/, $psql->query("CREATE TEMP TABLE paused (x int) ON COMMIT DELETE ROWS;
		SELECT pg_backend_pid(), pg_my_temp_schema()::regnamespace");

	$asker->query("BEGIN; LOCK TABLE $schema.paused IN ACCESS SHARE MODE");
	$psql->query("BEGIN; INSERT INTO paused VALUES (1); SELECT write('$cache', 1000000)");
	$psql->query_until(qr/sent/, "\\echo sent\nCOMMIT;\n");
	ok( $node->poll_query_until('postgres',
			"SELECT count(*) = 1 FROM pg_locks WHERE pid = $pid AND mode = 'AccessExclusiveLock' AND NOT granted"),
		"$cache, $how: it has prepared and waits");
	is($node->safe_psql('postgres', 'SELECT sum(slots_promised) FROM nr_logs'), '1', "$cache, $how: with a slot promised");
	$node->safe_psql('postgres', "SELECT pg_${how}_backend($pid)");
	ok($node->poll_query_until('postgres', 'SELECT sum(slots_promised) = 0 FROM nr_logs'), "$cache, $how: it gives up");
	# who ends drops its temporary tables
	$asker->query('COMMIT');
	ok( $node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid AND state <> 'idle'"),
		"$cache, $how: and ends");
	nr_nothing_left($node, "$cache, $how");
	is($asker->query("SELECT whole('$cache') < 1000000"), 't', "$cache, $how: nothing happened");
	$version++;
	is($asker->query("SELECT 'done' FROM write('$cache', $version); SELECT whole('$cache')"), "done\n$version",
		"$cache, $how: the next transaction commits");
	eval { $psql->quit };
}

# A prepared transaction
nr_error($node, "BEGIN; SELECT write('lr', 7); PREPARE TRANSACTION 'p';", '0A000', qr/prepare/i, 'PREPARE TRANSACTION');
nr_error($node, "BEGIN; SELECT write('one', 7); PREPARE TRANSACTION 'p';", '0A000', qr/prepare/i, 'PREPARE TRANSACTION');
is($node->safe_psql('postgres', "SELECT whole('one') > 7, whole('lr') > 7"), 't|t', 'discards what was staged');
is( $node->safe_psql('postgres',
		"BEGIN; SELECT whole('one') > 7; INSERT INTO t VALUES (0); PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p'"),
	't', 'one that only reads is fine');
nr_error($node, "BEGIN READ ONLY; SELECT nr_put('one', (1, 1, 'x'));", '25006', qr/read-only transaction/, 'READ ONLY');
nr_error($node, "BEGIN READ ONLY; SELECT nr_delete('lr', 1);", '25006', qr/read-only transaction/, 'READ ONLY');

# In the end all memory comes back.
$node->safe_psql('postgres', 'UPDATE control SET stop = true');
foreach (@watchers)
{
	my ($out, $err) = finish_psql($_);
	like($err, qr/^\S*\s*NOTICE:  after [1-9]\d+$/, 'nobody saw a part');
}
$asker->quit;
nr_settled($node, 'in the end');
$node->safe_psql('postgres', 'DROP FOREIGN TABLE one, two, lr');
ok($node->poll_query_until('postgres', "SELECT min(bytes_free) = $empty FROM nr_memory"), 'all memory is free again')
  or diag($node->safe_psql('postgres', $memory) . " of $empty");
ok(!$node->log_contains('PANIC|was terminated by signal'), 'nothing crashed');
done_testing();
