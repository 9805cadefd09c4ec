# A commit that stands still at injection points of the server: before its commit record,
# when the caches have been prepared, and after nr_cache has appended it, before the locks go.
# What others see there, what they can do, and what is left after an error there.
# The server must have been built with --enable-injection-points.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use NrTest;

# where a temporary table with an index is emptied, after PRE_COMMIT, and what comes after COMMIT
my ($before, $after) = ('inplace-before-pin', 'transaction-end-process-inval');
my $node = nr_node('injection', 'nr_cache.replicas = 2', 'autovacuum = off', 'max_prepared_transactions = 2');

$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION injection_points;
CREATE FOREIGN TABLE one (k int, v int) SERVER nr_cache;
CREATE FOREIGN TABLE two (k int, v int) SERVER nr_cache OPTIONS (copies '2');
CREATE FOREIGN TABLE lr (k int, v int) SERVER nr_cache OPTIONS (scheme 'left_right');
CREATE TABLE t (v int);
INSERT INTO t VALUES (1);
SELECT nr_put('one', 1, 1), nr_put('two', 1, 1), nr_put('lr', 1, 1);
SQL

my $version = 1;

# A session that is about to commit the next version, with an action at a point; its pid.
sub armed
{
	my ($cache, $point, $action) = @_;
	my $psql = $node->background_psql('postgres', on_error_stop => 0);

	$version++;
	# the first run of an action loads what it needs: not within a commit
	my $pid = $psql->query("CREATE TEMP TABLE paused (x int PRIMARY KEY) ON COMMIT DELETE ROWS;
		SELECT injection_points_set_local() \\g /dev/null
		SELECT injection_points_wakeup('none') \\g /dev/null
		SELECT injection_points_attach('$point', '$action') \\g /dev/null
		SELECT pg_backend_pid()");
	$psql->{stderr} = '';
	$psql->query("BEGIN; INSERT INTO paused VALUES (1); CREATE TABLE made_$version (); INSERT INTO t VALUES ($version);
		SELECT nr_put('$cache', 1, $version), nr_put('$cache', $version, $version)");
	return ($psql, $pid);
}

sub commit_sent
{
	my ($psql) = @_;
	$psql->query_until(qr/sent/, "\\echo sent\nCOMMIT;\n");
	return;
}

sub waits
{
	my ($pid, $point, $name) = @_;
	ok( $node->poll_query_until('postgres',
			"SELECT wait_event_type = 'InjectionPoint' AND wait_event = '$point' FROM pg_stat_activity WHERE pid = $pid"),
		"$name: it stands at $point");
	return;
}

# by a call, by the foreign table, and from the table
sub seen
{
	my ($cache) = @_;
	return $node->safe_psql('postgres',
		"SELECT nr_get('$cache', 1, 0), (SELECT max(v) FROM $cache), (SELECT max(v) FROM t)");
}

# the same without a stop
sub committed
{
	my ($cache) = @_;
	$node->safe_psql('postgres', "SET statement_timeout = '60s'; BEGIN; INSERT INTO t VALUES ($version);
		SELECT nr_put('$cache', 1, $version), nr_put('$cache', $version, $version); COMMIT");
	return;
}

my $promised = 'SELECT sum(slots_promised) FROM nr_logs';

foreach my $cache (qw(one two lr))
{
	my $old = $version;
	committed($cache);
	my ($psql, $pid) = armed($cache, $before, 'wait');

	commit_sent($psql);
	waits($pid, $before, "$cache, prepared");
	is($node->safe_psql('postgres', $promised), '1', "$cache, prepared: with a slot promised");
	is(seen($cache), "$old|$old|$old", "$cache, prepared: nobody sees it");
	is($node->safe_psql('postgres', "SET statement_timeout = '60s'; SELECT nr_put('one', -$version, -1); SELECT nr_get('one', -$version, 0)"),
		"t\n-1", "$cache, prepared: another writer of a cache with one copy does not wait");
	$node->safe_psql('postgres', "SELECT injection_points_detach('$before'), injection_points_wakeup('$before')");
	$psql->query('SELECT 1');
	is(seen($cache), "$version|$version|$version", "$cache, prepared: then all of it is there");
	$psql->quit;

	($psql, $pid) = armed($cache, $after, 'wait');
	commit_sent($psql);
	waits($pid, $after, "$cache, committed");
	is(seen($cache), "$version|$version|$version", "$cache, committed: everybody sees it before its locks go");
	is($node->safe_psql('postgres', $promised), '0', "$cache, committed: no slot is promised");
	$node->safe_psql('postgres', "SELECT injection_points_detach('$after'), injection_points_wakeup('$after')");
	$psql->quit;
	nr_nothing_left($node, $cache);
}

# Who is ended while it waits keeps its place among the waiting, and there are eight.
foreach my $case (map { ([ $_, 'error' ], [ $_, 'cancel' ], [ $_, 'terminate' ]) } qw(one two lr))
{
	my ($cache, $how) = @$case;
	my $old = $version;
	my $name = "$cache, $how";
	committed($cache);
	my ($psql, $pid) = armed($cache, $before, $how eq 'error' ? 'error' : 'wait');

	if ($how eq 'error')
	{
		$psql->query('COMMIT');
		like($psql->{stderr}, qr/error triggered for injection point/, "$name: COMMIT failed");
	}
	else
	{
		commit_sent($psql);
		waits($pid, $before, $name);
		$node->safe_psql('postgres', "SELECT pg_${how}_backend($pid)");
		ok( $node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid AND state <> 'idle'"),
			"$name: it gave up");
	}
	is(seen($cache), "$old|$old|$old", "$name: nothing happened");
	# not when it ends, but now
	nr_nothing_left($node, $name);
	eval { $psql->quit };
	ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid"), "$name: the session ends");
	$version++;
	committed($cache);
	is(seen($cache), "$version|$version|$version", "$name: the next transaction commits");
}

nr_settled($node, 'in the end');
done_testing();
