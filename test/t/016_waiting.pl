# Who waits for whom: nr_tokens, pg_stat_activity and pg_locks, while somebody is stopped.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use NrTest;

my $node = nr_node('waiting', 'nr_cache.replicas = 2', 'nr_cache.workers = off', 'max_connections = 40');
my $named = $node->safe_psql('postgres', 'SHOW server_version_num') >= 170000;

nr_cache($node, 'c', 'k int, v text', "log_size '64kB'");
$node->safe_psql('postgres', "
	CREATE FOREIGN TABLE tx (k int, v text) SERVER nr_cache OPTIONS (log_size '64kB');
	CREATE FOREIGN TABLE lr (k int, v text) SERVER nr_cache OPTIONS (scheme 'left_right');
	INSERT INTO c SELECT i, 'old' FROM generate_series(1, 100) i;
	INSERT INTO tx SELECT i, 'old' FROM generate_series(1, 100) i;
	INSERT INTO lr VALUES (1, 'old')");

# Three sessions on each replica.
my ($on, $all) = nr_sessions($node, 'c', 3);

# Have a session stop at a point of the engine within this statement.
sub stop_at
{
	my ($s, $point, $sql) = @_;
	nr_ask($s, "SET nr_cache.test_point = '$point:stop'");
	nr_send($s, $sql);
	ok(stopped($s->{pid}), "stopped at $point");
	return;
}

# Let it go on, and everybody who waited; then nobody waits any more.
sub go_on
{
	my ($name, @sessions) = @_;
	kill 'CONT', $sessions[0]{pid};
	nr_ask($sessions[0], 'RESET nr_cache.test_point');
	nr_ask($_, 'SELECT 1') foreach @sessions;
	nr_settled($node, $name);
	return;
}

# The views must come to say that this session waits like this for that process.
sub waits
{
	my ($name, $s, $for, $cache, $on, $event) = @_;
	my $pid = $s->{pid};

	ok( $node->poll_query_until('postgres',
			"SELECT waiting_for = '$for' AND waiting_cache = '$cache'::regclass AND waiting_on = $on->{pid} AND waits > 0
			   FROM nr_tokens WHERE pid = $pid"),
		"$name: nr_tokens says \"$for\" and on whom")
	  or diag(nr_state($node));
	$event = 'Extension' if !$named;
	ok( $node->poll_query_until('postgres',
			"SELECT wait_event_type = 'Extension' AND wait_event = '$event' FROM pg_stat_activity WHERE pid = $pid"),
		"$name: pg_stat_activity says $event");
	return;
}

my ($victim, $r0, $w0) = @{ $on->[0] };
my ($blocker1, $r1, $w1) = @{ $on->[1] };

# A combiner that is about to take requests: writers wait for their response, nr_check for
# the lock.  Nothing has changed in the copy, so readers go on.
stop_at($victim, 'combiner_locked', "SELECT nr_put('c', 1, 'new'::text)");
nr_send($w0, "SELECT nr_put('c', 2, 'new'::text)");
waits('a writer', $w0, 'response', 'c', $victim, 'NrCacheResponse');
nr_send($r1, "SELECT nr_check('c')");
waits('nr_check', $r1, 'combiner', 'c', $victim, 'NrCacheCombiner');
is( $node->safe_psql('postgres', "SELECT combiner_pid FROM nr_replicas WHERE cache = 'c'::regclass AND replica = 0"),
	$victim->{pid}, 'nr_replicas says who combines');
my ($out, $err) = nr_ask($r0, "SELECT nr_get('c', 2)");
is("$out$err", 'old', 'readers go on');
go_on('combiner', $victim, $w0, $r1);

# One in the middle of a batch: readers wait for the writer.
stop_at($victim, 'batch_apply', "SELECT nr_put('c', 1, 'new'::text)");
nr_send($r0, "SELECT nr_get('c', 1)");
waits('a reader', $r0, 'writer', 'c', $victim, 'NrCacheWriter');
go_on('writer', $victim, $r0);

# A reader inside: the combiner waits for it, and a writer beside it for the combiner.
stop_at($victim, 'reader_inside', "SELECT nr_get('c', 1)");
nr_send($w0, "SELECT nr_put('c', 3, 'new'::text)");
waits('a combiner', $w0, 'readers', 'c', $victim, 'NrCacheReaders');
is( $node->safe_psql('postgres', "SELECT blocking_reader_pid FROM nr_replicas WHERE cache = 'c'::regclass AND replica = 0"),
	$victim->{pid}, 'nr_replicas says which reader is in the way');
nr_send($r0, "SELECT nr_put('c', 4, 'new'::text)");
waits('a writer beside it', $r0, 'response', 'c', $w0, 'NrCacheResponse');
go_on('readers', $victim, $w0, $r0);

# A combiner that has not come as far as what has completed elsewhere: its readers have to
# catch up.
stop_at($blocker1, 'combiner_locked', "SELECT nr_put('c', 1, 'other'::text)");
nr_ask($w0, "SELECT nr_put('c', 5, 'new'::text)");
nr_send($r1, "SELECT nr_get('c', 5)");
waits('a reader', $r1, 'catch up', 'c', $blocker1, 'NrCacheCatchUp');
go_on('catch up', $blocker1, $r1);

# The log is full: of a cache that is written at once, behind a reader and behind a
# combiner; and of one that is written at commit.
stop_at($victim, 'reader_inside', "SELECT nr_get('c', 1)");
nr_send($w1, "SELECT count(nr_put('c', 10 + i % 50, 'full'::text)) FROM generate_series(1, 1000000) i");
waits('a writer behind a reader', $w1, 'log space', 'c', $victim, 'NrCacheLogSpace');
$node->safe_psql('postgres', "SELECT pg_cancel_backend($w1->{pid})");
go_on('log space behind a reader', $victim, $w1);

stop_at($victim, 'batch_apply', "SELECT nr_put('c', 1, 'newer'::text)");
nr_send($w1, "SELECT count(nr_put('c', 10 + i % 50, 'fuller'::text)) FROM generate_series(1, 1000000) i");
waits('a writer behind a combiner', $w1, 'log space', 'c', $victim, 'NrCacheLogSpace');
$node->safe_psql('postgres', "SELECT pg_cancel_backend($w1->{pid})");
go_on('log space behind a combiner', $victim, $w1);

$node->safe_psql('postgres',
	"CREATE PROCEDURE fill() LANGUAGE plpgsql AS 'BEGIN LOOP PERFORM nr_put(''tx'', 1, ''full''::text); COMMIT; END LOOP; END'");
stop_at($victim, 'reader_inside', "SELECT nr_get('tx', 1)");
nr_send($w1, 'CALL fill()');
waits('a commit', $w1, 'log space', 'tx', $victim, 'NrCacheLogSpace');
$node->safe_psql('postgres', "SELECT pg_cancel_backend($w1->{pid})");
go_on('log space at commit', $victim, $w1);

# The writer lock is PostgreSQL's own: an advisory lock, and whoever holds it blocks.
stop_at($victim, 'commit_append', "SELECT nr_put('lr', 1, 'new'::text)");
nr_send($w1, "SELECT nr_put('lr', 1, 'last'::text)");
ok( $node->poll_query_until('postgres',
		"SELECT wait_event_type = 'Lock' AND wait_event = 'advisory' FROM pg_stat_activity WHERE pid = $w1->{pid}"),
	'the writer lock: pg_stat_activity says Lock, advisory');
is($node->safe_psql('postgres', "SELECT pg_blocking_pids($w1->{pid})"),
	"{$victim->{pid}}", 'the writer lock: pg_blocking_pids says who has it');
is( $node->safe_psql('postgres', "
		SELECT w.classid::regclass, w.pid, h.pid
		  FROM pg_locks w JOIN pg_locks h USING (locktype, database, classid, objsubid)
		 WHERE w.locktype = 'advisory' AND w.objsubid = 28279 AND NOT w.granted AND h.granted"),
	"lr|$w1->{pid}|$victim->{pid}", 'the writer lock: so does pg_locks');
is($node->safe_psql('postgres', "SELECT waiting_for IS NULL FROM nr_tokens WHERE pid = $w1->{pid}"),
	't', 'the writer lock: not a wait of the engine');
($out, $err) = nr_ask($r0, "SELECT nr_get('lr', 1)");
is("$out$err", 'old', 'the writer lock: readers go on');
go_on('writer lock', $victim, $w1);
($out, $err) = nr_ask($r0, "SELECT nr_get('lr', 1)");
is("$out$err", 'last', 'the writer lock: the one who waited came last');

SKIP:
{
	skip 'custom wait events are of PostgreSQL 17', 1 if !$named;
	is( $node->safe_psql('postgres',
			"SELECT string_agg(name, ' ' ORDER BY name) FROM pg_wait_events WHERE type = 'Extension' AND name LIKE 'NrCache%'"),
		'NrCacheCatchUp NrCacheCombiner NrCacheLogSpace NrCacheReaders NrCacheResponse NrCacheWriter',
		'pg_wait_events lists them');
}

nr_nothing_left($node, 'at the end');
$_->quit foreach @$all;
done_testing();
