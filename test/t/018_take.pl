# nr_take: whatever ends it before its COMMIT, everything is there again; afterwards nothing is, and the
# memory is free.  Under load each row is taken once, or left.  And what becomes of pending operations when sessions
# end and the server stops.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use NrTest;

my $node = nr_node('take', 'nr_cache.replicas = 2', 'log_min_messages = fatal', 'log_min_error_statement = panic',
	'max_connections = 40');
my $memory = 'SELECT min(bytes_free) FROM nr_memory';
my %options = (
	one => "visibility 'commit'",
	now => "visibility 'immediate'",
	two => "visibility 'immediate', copies '2'",
	lr => "visibility 'manual', scheme 'left_right'");
my @caches = sort keys %options;

$node->safe_psql('postgres', "CREATE FOREIGN TABLE $_ (k int, v text) SERVER nr_cache OPTIONS ($options{$_})") foreach @caches;
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE control (stop boolean);
INSERT INTO control VALUES (false);
-- entries 1 to 300, visible
CREATE FUNCTION fill(cache regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('INSERT INTO %s SELECT i, repeat(''x'', i) FROM generate_series(1, 300) i', cache);
	IF cache = 'lr'::regclass THEN
		PERFORM nr_publish(cache);
	END IF;
END $$;
-- how many there are, as one finds them
CREATE FUNCTION there(cache regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	n int;
BEGIN
	EXECUTE format('SELECT count(*) FROM %s WHERE length(v) = k', cache) INTO n;
	RETURN n || CASE WHEN nr_get(cache, 7) IS NOT NULL THEN ' found' ELSE '' END ||
		CASE WHEN (SELECT taken FROM nr_caches WHERE relid = there.cache::oid) THEN ' taken' ELSE '' END;
END $$;
SQL
$node->safe_psql('postgres', 'SELECT ' . join(', ', map { "nr_get('$_', 1)" } @caches));
my $empty = $node->safe_psql('postgres', $memory);
my $asker = $node->background_psql('postgres', on_error_stop => 0);
$asker->set_query_timer_restart;

# ---- faults ---------------------------------------------------------------------

# One transaction that takes, with a fault at every $n-th passage of a point; what it says.
sub take
{
	my ($cache, $setting, @more) = @_;
	return finish_psql(start_psql($node, "SET nr_cache.test_point = '$setting'", @more, 'BEGIN',
			"SELECT count(*) FROM nr_take('$cache', NULL::$cache)", 'SHOW nr_cache.test_point_passed', 'COMMIT',
			'SHOW nr_cache.test_point_passed'));
}

sub is_there
{
	my ($cache) = @_;
	foreach (1 .. 1000)
	{
		# who was terminated may be on the way
		last if $asker->query(
			"SELECT count(*) FROM nr_tokens t LEFT JOIN pg_stat_activity a USING (pid) WHERE t.pid IS NOT NULL AND a.pid IS NULL AND NOT t.worker") eq '0';
		select(undef, undef, undef, 0.01);
	}
	return $asker->query("SELECT there('$cache'), (SELECT count(*) FROM nr_replicas WHERE combiner_pid NOT IN (SELECT pid FROM nr_tokens WHERE worker))");
}

foreach my $cache (@caches)
{
	my (%fired, %ended, @bad);

	$asker->query("SELECT fill('$cache')");
	my (undef, $taken, $open, $passages) = (0, split /\n/, (take($cache, '*:nap:1000000000'))[0]);
	cmp_ok($passages, '>=', $open + 3, "$cache: a take passes $open points, and COMMIT those up to $passages");
	is($taken, 300, "$cache: it takes everything");
	is(is_there($cache), '0 taken|0', "$cache: nothing is left");
	foreach my $action (qw(terminate cancel error sleep))
	{
		my @more = $action eq 'sleep' ? "SET statement_timeout = '30ms'" : ();

		foreach my $n (1 .. $passages)
		{
			$asker->query("SELECT fill('$cache')");
			my ($out, $err) = take($cache, "*:$action:$n", @more);
			my $failed = $err =~ /ERROR|FATAL/;
			my $there = is_there($cache);

			$fired{$action}++ if $failed;
			$ended{$there}++;
			push @bad, "$action at $n: $there after $err" if $there ne '300 found|0' && $there ne '0 taken|0';
			push @bad, "$action at $n: an error, but $there" if $err =~ /ERROR/ && $there ne '300 found|0';
			push @bad, "$action at $n: no error, but $there" if !$failed && $there ne '0 taken|0';
		}
	}
	is(join("\n", @bad), '', "$cache: taken or not, whatever happened");
	cmp_ok($fired{$_} // 0, '>=', 2, "$cache: some takes ended by $_") foreach qw(terminate cancel error);
	is(join(',', sort keys %ended), '0 taken|0,300 found|0', "$cache: both ends were seen");
	nr_settled($node, "$cache after the faults");
	nr_nothing_left($node, "$cache after the faults");
}

# Sessions that end with a take uncommitted
foreach my $how (qw(terminate cancel))
{
	my $psql = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $psql->query('SELECT pg_backend_pid()');

	$asker->query(join(';', map { "SELECT fill('$_')" } @caches));
	$psql->query("BEGIN; SAVEPOINT s; SELECT count(*) FROM nr_take('$_', NULL::$_); RELEASE s") foreach @caches;
	is($asker->query("SELECT there('$_')"), '0 taken', "$how: $_ is taken") foreach @caches;
	if ($how eq 'terminate')
	{
		$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
		ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid"), "$how: it ends");
	}
	else
	{
		$psql->query_until(qr/sent/, "\\echo sent\nSELECT pg_sleep(1000);\n");
		$node->poll_query_until('postgres', "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $pid");
		$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
		ok($node->poll_query_until('postgres', "SELECT state LIKE 'idle in transaction (aborted)' FROM pg_stat_activity WHERE pid = $pid"),
			"$how: its transaction is aborted");
	}
	is(is_there($_), '300 found|0', "$how: everything is there again in $_") foreach @caches;
	eval { $psql->quit };
}
nr_nothing_left($node, 'after these');

# In the end all memory is free but that of empty caches.
$asker->query("SELECT count(*) FROM nr_take('$_', NULL::$_)") foreach @caches;
cmp_ok($asker->query($memory), '>=', $empty - @caches * $asker->query('SELECT max(extent_bytes) FROM nr_memory'),
	'the memory is free, but for what commits share');

# ---- a stopped reader ------------------------------------------------------------

$asker->query("SELECT fill('now')");
my ($on, $all) = nr_sessions($node, 'now', 2);
my ($victim, $beside) = @{ $on->[0] };
my ($taker, $other) = @{ $on->[1] };
nr_ask($victim, "SET nr_cache.test_point = 'reader_inside:stop'");
nr_send($victim, "SELECT length(nr_get('now', 7))");
ok(stopped($victim->{pid}), 'a reader is stopped inside');
nr_ask($taker, 'SET statement_timeout = 2000');
nr_send($taker, "SELECT count(*) FROM nr_take('now', NULL::now)");
ok( $node->poll_query_until('postgres',
		"SELECT waiting_on = $victim->{pid} FROM nr_tokens WHERE pid = $taker->{pid} AND waiting_for IS NOT NULL"),
	'a take waits for it, as nr_tokens shows');
is((nr_ask($other, "SELECT nr_get('now', 7, 'fallback')"))[0], 'fallback', 'readers wait for nobody: they get their fallback');
is((nr_ask($beside, "SELECT nr_get('now', 7, 'fallback')"))[0], 'fallback', 'those of the same replica, too');
ok($node->poll_query_until('postgres', "SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $taker->{pid}"),
	'statement_timeout ends the wait');
is((nr_ask($other, "SELECT there('now')"))[0], '300 found', 'everything is there again');
is((nr_ask($beside, "SELECT there('now')"))[0], '300 found', 'everywhere');
nr_ask($taker, 'SET statement_timeout = 0');
nr_send($taker, "SELECT count(*) FROM nr_take('now', NULL::now)");
$node->poll_query_until('postgres', "SELECT waiting_on = $victim->{pid} FROM nr_tokens WHERE pid = $taker->{pid} AND waiting_for IS NOT NULL");
kill 'CONT', $victim->{pid};
nr_ask($victim, 'RESET nr_cache.test_point');
is((nr_ask($victim, "SELECT there('now')"))[0] =~ s/.*\n//sr, '0 taken', 'when it goes on, so does the take');
like((nr_ask($taker, 'SELECT 1'))[0], qr/^300\n/, 'and gets everything');
$_->quit foreach @$all;
nr_settled($node, 'after the stopped reader');

# ---- readers, writers and takes at the same time -----------------------------------

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE put (cache text, k int);
CREATE TABLE got (cache text, k int, v text);
-- Keys of its own, each once.  What was put is noted whatever becomes of the cache's own transaction.
CREATE PROCEDURE writes(cache regclass, first int, n int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 0 .. n - 1 LOOP
		PERFORM nr_put(cache, first + i, repeat('x', (first + i) % 200));
		IF cache = 'lr'::regclass AND i % 10 = 0 THEN
			PERFORM nr_publish(cache);
		END IF;
		INSERT INTO put VALUES (cache::text, first + i);
		COMMIT;
	END LOOP;
END $$;
CREATE PROCEDURE takes(cache regclass) LANGUAGE plpgsql AS $$
DECLARE
	n int := 0;
	rows bigint;
BEGIN
	WHILE NOT (SELECT stop FROM control) LOOP
		n := n + 1;
		EXECUTE format('INSERT INTO got SELECT %L, k, v FROM nr_take(%L, NULL::%s)', cache, cache, cache);
		GET DIAGNOSTICS rows = ROW_COUNT;
		IF n % 3 = 0 THEN
			ROLLBACK;
		ELSE
			COMMIT;
		END IF;
		PERFORM pg_sleep(0.002);
	END LOOP;
END $$;
-- no reader may see a value that is not its key's
CREATE PROCEDURE reads(cache regclass) LANGUAGE plpgsql AS $$
DECLARE
	wrong bigint := 0;
	found bigint := 0;
	n bigint;
	m bigint;
BEGIN
	WHILE NOT (SELECT stop FROM control) LOOP
		EXECUTE format('SELECT count(*), count(*) FILTER (WHERE length(v) <> k %% 200) FROM %s', cache) INTO n, m;
		wrong := wrong + m;
		found := found + n;
		SELECT count(*) FROM generate_series(1, 3000, 17) i WHERE length(nr_get(cache, i)) <> i % 200 INTO m;
		wrong := wrong + m;
		COMMIT;
	END LOOP;
	RAISE NOTICE 'found %, wrong %', found > 0, wrong;
END $$;
SQL
my $each = $ENV{NR_TAKE_ROWS} || 1500;
foreach my $cache (@caches)
{
	$node->safe_psql('postgres', 'UPDATE control SET stop = false; TRUNCATE put, got');
	my @others = map { start_psql($node, "CALL $_('$cache')") } qw(takes takes reads reads);
	my @writers = map { start_psql($node, "CALL writes('$cache', " . (1 + $_ * $each) . ", $each)") } 0 .. 1;
	is((finish_psql($_))[1], '', "$cache: a writer ends without an error") foreach @writers;
	$node->safe_psql('postgres', 'UPDATE control SET stop = true');
	my @said = map { (finish_psql($_))[1] } @others;
	is("$said[0]$said[1]", '', "$cache: so do those who take");
	like($said[$_], qr/found t, wrong 0$/, "$cache: and those who read, and found only what was put") foreach 2, 3;
	my $taken = $node->safe_psql('postgres', 'SELECT count(*) FROM got');
	cmp_ok($taken, '>', 0, "$cache: $taken were taken");
	$node->safe_psql('postgres', "INSERT INTO got SELECT '$cache', k, v FROM nr_take('$cache', NULL::$cache)");
	is( $node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT k), count(*) FILTER (WHERE length(v) = k % 200) FROM got'),
		join('|', (2 * $each) x 3), "$cache: each was taken once");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM put JOIN got USING (cache, k)'), 2 * $each, "$cache: and none is lost");
	nr_settled($node, "$cache after that");
	nr_nothing_left($node, "$cache after that");
}

# ---- pending operations: they are the cache's, until it is dropped or the server stops ----

$node->safe_psql('postgres', "CREATE FOREIGN TABLE m1 (k int, v text) SERVER nr_cache OPTIONS (visibility 'manual');
	CREATE FOREIGN TABLE m2 (k int, v text) SERVER nr_cache OPTIONS (visibility 'manual', copies '2')");
my @manual = qw(lr m1 m2);
my $pending = 'SELECT ' . join(', ', map { "nr_pending('$_')" } @manual);
my $visible = 'SELECT ' . join(', ', map { "(SELECT count(*) FROM $_)" } @manual);
my $append = join('; ', map { "INSERT INTO $_ VALUES (1, 'x'), (2, 'x')" } @manual);

# before the first publish, and after it
foreach my $published (0, 1)
{
	my $n = 2 * $published;
	my $psql = $node->background_psql('postgres', on_error_stop => 0);

	$psql->query("BEGIN; $append; COMMIT");
	$psql->quit;
	is($node->safe_psql('postgres', "$pending; $visible"), "2|2|2\n$n|$n|$n", 'a session ends: what it has appended still pends');
	$psql = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $psql->query('SELECT pg_backend_pid()');
	$psql->query("BEGIN; " . $append =~ s/\(1, 'x'\), \(2/(3/gr);
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
	ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid"), 'another one is terminated');
	eval { $psql->quit };
	is($node->safe_psql('postgres', "$pending; $visible"), "3|3|3\n$n|$n|$n", 'what it has appended in an open transaction, too');
	is($node->safe_psql('postgres', 'SELECT ' . join(', ', map { "nr_publish('$_')" } @manual) . "; $pending; $visible"),
		"3|3|3\n0|0|0\n3|3|3", 'anybody else publishes all of it');
	$node->safe_psql('postgres', 'SELECT ' . join(', ', map { "nr_delete('$_', 3)" } @manual) . '; SELECT ' .
		  join(', ', map { "nr_publish('$_')" } @manual));
}
$asker->quit;
foreach my $how (qw(fast immediate kill9))
{
	$node->safe_psql('postgres', $append);
	is($node->safe_psql('postgres', $pending), '2|2|2', "$how: some operations pend");
	if ($how eq 'kill9')
	{
		$node->safe_psql('postgres', join('; ', map { "SELECT fill('$_')" } @caches));
		my ($out, $err) = finish_psql(start_psql($node, "SET nr_cache.test_point = 'stage_taken:kill9:4'", 'BEGIN',
				map { "SELECT count(*) FROM nr_take('$_', NULL::$_)" } @caches));
		like($err, qr/server closed the connection unexpectedly|terminating connection/, "$how: a session dies with caches taken");
		ok($node->poll_query_until('postgres', 'SELECT true'), "$how: the server comes back");
	}
	else
	{
		$node->stop($how);
		$node->start;
	}
	is($node->safe_psql('postgres', "$pending; $visible"), "0|0|0\n0|0|0", "$how: nothing pends any more, and the caches are empty");
	is($node->safe_psql('postgres', join('; ', map { "SELECT there('$_')" } @caches)), join("\n", ('0') x @caches),
		"$how: none of them is taken");
	is($node->safe_psql('postgres', join('; ', map { "SELECT fill('$_')" } @caches) . '; ' . join('; ', map { "SELECT there('$_')" } @caches)),
		join("\n", ('') x @caches, ('300 found') x @caches), "$how: they can be filled");
	is($node->safe_psql('postgres', join('; ', map { "SELECT count(*) FROM nr_take('$_', NULL::$_)" } @caches)),
		join("\n", ('300') x @caches), "$how: and taken");
}
nr_settled($node, 'in the end');
done_testing();
