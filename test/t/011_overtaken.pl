# Another transaction may update a row after T1's commit record and publish before
# T1 does.  T1 is stopped at just that place: T2's later row stays, on every replica
# and copy.  And who else is stopped while committing or reading holds up whom.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use NrTest;

my $node = nr_node('overtaken', 'nr_cache.replicas = 2', 'max_connections = 30');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (k int PRIMARY KEY, v text);
CREATE FOREIGN TABLE one (k int, v text) SERVER nr_cache OPTIONS (log_size '64kB');
CREATE FOREIGN TABLE two (k int, v text) SERVER nr_cache OPTIONS (copies '2');
CREATE FOREIGN TABLE lr (k int, v text) SERVER nr_cache OPTIONS (scheme 'left_right');
-- a row and the caches; v NULL: delete
CREATE FUNCTION write(key int, value text, VARIADIC caches regclass[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO t VALUES (key, value) ON CONFLICT (k) DO UPDATE SET v = value;
	FOR i IN 1 .. cardinality(caches) LOOP
		IF value IS NULL THEN
			PERFORM nr_delete(caches[i], key);
		ELSE
			PERFORM nr_put(caches[i], key, value);
		END IF;
	END LOOP;
END $$;
-- each write in its own transaction
CREATE PROCEDURE write_many(n int, VARIADIC caches regclass[]) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. n LOOP
		PERFORM write(100 + i % 50, i::text, VARIADIC caches);
		COMMIT;
	END LOOP;
END $$;
SQL

# Sessions: T1 and readers on both replicas.
my (@psql, %pid, %err);
sub session
{
	my $p = $node->background_psql('postgres', on_error_stop => 0);
	push @psql, $p;
	$pid{$p} = $p->query("SELECT nr_get('one', 0) \\g /dev/null\nSELECT pg_backend_pid()");
	return $p;
}

# Output and errors of a query.
sub ask
{
	my ($p, $sql) = @_;
	$p->{stderr} = '';
	my $out = $p->query($sql);
	return $out . $p->{stderr};
}

# Send a query and do not wait for its end.
sub send_query
{
	my ($p, $sql) = @_;
	$p->{stderr} = '';
	$p->query_until(qr/sent/, "\\echo sent\n$sql;\n");
	return;
}

# Stop a session where it commits $sql.
sub stop_at
{
	my ($p, $point, $sql, $name) = @_;

	ask($p, "SET nr_cache.test_point = '$point:stop'; BEGIN; $sql");
	send_query($p, 'COMMIT');
	ok(stopped($pid{$p}), "$name: it is stopped at $point");
	return;
}

sub go_on
{
	my ($p) = @_;
	kill 'CONT', $pid{$p};
	ask($p, 'RESET nr_cache.test_point');
	return;
}

# Wait until a session waits for a lock.
sub waits_for_lock
{
	my ($p) = @_;
	return $node->poll_query_until('postgres',
		"SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $pid{$p}");
}

my ($t1, $t2, $r) = (session(), session(), session());
my $see = "SELECT coalesce(nr_get('one', 1), '-') || coalesce(nr_get('one', 2), '-') || coalesce(nr_get('one', 3), '-')";

# T1 writes keys 1 and 2, T2 keys 1 and 3: what is seen meanwhile and in the end.
foreach my $case (
	[ 'put, put', "write(1, 'a', 'one'), write(2, 'a', 'one')",
		"SELECT write(1, 'b', 'one'), write(3, 'b', 'one')", 'b0b', 'bab' ],
	[ 'put, delete', "write(1, 'a', 'one'), write(2, 'a', 'one')",
		"SELECT write(1, NULL, 'one'), write(3, 'b', 'one')", '-0b', '-ab' ],
	[ 'delete, put', "write(1, NULL, 'one'), write(2, NULL, 'one')",
		"SELECT write(1, 'b', 'one'), write(3, 'b', 'one')", 'b0b', 'b-b' ],
	[ 'truncate, put', "nr_truncate('one'), write(2, 'a', 'one')", "SELECT write(1, 'b', 'one')", 'b00', 'ba-' ],
	[ 'put, truncate', "write(1, 'a', 'one'), write(2, 'a', 'one')",
		"SELECT nr_truncate('one'), write(3, 'b', 'one')", '--b', '--b' ],
	[ 'truncate, truncate', "nr_truncate('one'), write(1, 'a', 'one')",
		"SELECT nr_truncate('one'), write(3, 'b', 'one')", '--b', '--b' ])
{
	my ($name, $first, $second, $meanwhile, $in_the_end) = @$case;

	$node->safe_psql('postgres', "SELECT write(k, '0', 'one') FROM generate_series(1, 3) k");
	stop_at($t1, 'commit_append', "SELECT $first;", $name);
	is($node->safe_psql('postgres', $see), '000', "$name: T1's commit record is written, nothing is seen yet");
	ask($t2, $second);
	is(ask($r, $see), $meanwhile, "$name: T2 is seen first");
	is(ask($t2, $see), $meanwhile, "$name: by itself, too");
	go_on($t1);
	is(ask($_, $see), $in_the_end, "$name: what T1 wrote earlier does not take its place") foreach $t1, $t2, $r, session();
	nr_settled($node, $name);
	nr_nothing_left($node, $name);
}

# A committer that is stopped has a slot of the log promised, and holds up nobody, however long it takes
foreach my $point (qw(stage_prepared commit_append))
{
	$node->safe_psql('postgres', "SELECT write(k, '0', 'one') FROM generate_series(1, 3) k");
	stop_at($t1, $point, "SELECT write(1, 'a', 'one');", $point);
	is(ask($t2, "CALL write_many(5000, 'one')"), '', "$point: thousands of others commit");
	is(ask($t2, "SELECT nr_get('one', 100)"), '5000', "$point: and are seen");
	is($node->safe_psql('postgres', "SELECT slots_promised FROM nr_logs WHERE cache = 'one'::regclass"), '1',
		"$point: nr_logs shows the promise");
	go_on($t1);
	is(ask($r, $see), 'a00', "$point: after SIGCONT its batch is seen");
	nr_nothing_left($node, $point);
}

# Two copies: who commits meanwhile waits, readers do not
foreach my $case ([ 'lr', 'stage_prepared' ], [ 'lr', 'commit_append' ], [ 'two', 'stage_prepared' ], [ 'two', 'commit_append' ])
{
	my ($cache, $point) = @$case;
	my $name = "$cache, $point";
	my $get = "SELECT nr_get('$cache', 1), nr_get('$cache', 2), nr_get('$cache', 3)";

	$node->safe_psql('postgres', "SELECT write(k, '0', '$cache') FROM generate_series(1, 3) k");
	stop_at($t1, $point, "SELECT write(1, 'a', '$cache'), write(2, 'a', '$cache');", $name);
	# before the commit record T1 still has its row locks
	my $second = $point eq 'stage_prepared' ? "SELECT write(3, 'b', '$cache')" : "SELECT write(1, 'b', '$cache'), write(3, 'b', '$cache')";
	like(ask($t2, "SET lock_timeout = '10ms';\n$second"), qr/canceling statement due to lock timeout/,
		"$name: who waits to commit may time out");
	ask($t2, 'RESET lock_timeout');
	send_query($t2, $second);
	ok(waits_for_lock($t2), "$name: another committer waits");
	is( $node->safe_psql('postgres',
			"SELECT array_agg(pid ORDER BY granted) = ARRAY[$pid{$t2}, $pid{$t1}] FROM pg_locks
			  WHERE locktype = 'advisory' AND objsubid = 28279 AND classid = '$cache'::regclass"),
		't', "$name: which shows in pg_locks");
	is(ask($r, $get), '0|0|0', "$name: readers go on");
	go_on($t1);
	ask($t2, '');
	is(ask($r, $get), $point eq 'stage_prepared' ? 'a|a|b' : 'b|a|b', "$name: after SIGCONT both are seen");
	nr_settled($node, $name);
	nr_nothing_left($node, $name);
}

# Two copies: a reader stopped inside delays the next commit and nobody else
foreach my $cache ('lr', 'two')
{
	my $name = "$cache, reader";

	$node->safe_psql('postgres', "SELECT write(k, '0', '$cache') FROM generate_series(1, 3) k");
	ask($r, "SET nr_cache.test_point = 'reader_inside:stop'");
	send_query($r, "SELECT nr_get('$cache', 1)");
	ok(stopped($pid{$r}), "$name: it is stopped inside");
	# the first commit after it may still find the other copy free
	ask($t1, "SELECT write(1, 'first', '$cache')");
	foreach my $try ('cancelled', 'done')
	{
		send_query($t2, "SELECT write(1, '$try', '$cache')");
		ok( $node->poll_query_until('postgres', "SELECT waiting_for IS NOT NULL FROM nr_tokens WHERE pid = $pid{$t2}"),
			"$name: a commit that needs the copy it reads waits, and nr_tokens says so");
		ok( $node->poll_query_until('postgres',
				"SELECT bool_or(blocking_reader_pid = $pid{$r}) FROM nr_replicas WHERE cache = '$cache'::regclass"),
			"$name: and nr_replicas for whom");
		next if $try eq 'done';
		$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid{$t2})");
		ok( $node->poll_query_until('postgres', "SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $pid{$t2}"),
			"$name: it can be cancelled");
		ask($t2, '');
		is(ask($t1, "SELECT nr_get('$cache', 1)"), 'first', "$name: the cache is as before");
	}
	is(ask($t1, "SELECT nr_get('$cache', 1), count(*) FROM $cache"), 'first|' . ask($t1, "SELECT count(*) FROM $cache"),
		"$name: other readers go on");
	kill 'CONT', $pid{$r};
	ask($r, 'RESET nr_cache.test_point');
	ask($t2, '');
	is(ask($t1, "SELECT nr_get('$cache', 1)"), 'done', "$name: after SIGCONT it commits");
	nr_settled($node, $name);
	nr_nothing_left($node, $name);
}

kill 'CONT', $pid{$_} foreach @psql;
$_->quit foreach @psql;
done_testing();
