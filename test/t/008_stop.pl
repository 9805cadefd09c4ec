# What a stopped process can do (docs/ENGINE.md): it holds up its own replica,
# never another replica's readers; their writers go on until the log is full
# and then wait, cancellable, with the culprit's pid in nr_logs.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use NrTest;

my $node = nr_node('stop', 'nr_cache.replicas = 2', 'max_connections = 40');
nr_cache($node, 'c', 'k int, v text', "log_size '64kB'");
$node->safe_psql('postgres', "INSERT INTO c SELECT i, 'old' FROM generate_series(1, 100) i");

# Three sessions on each replica.
my ($on, $all) = nr_sessions($node, 'c', 3);

my $canceled = qr/canceling statement due to statement timeout/;
my ($victim, $r0, $w0) = @{ $on->[0] };
my ($r1, $w1, $x1) = @{ $on->[1] };
nr_ask($_, 'SET statement_timeout = 2000') foreach $r0, $w0, $r1, $w1, $x1;

foreach my $case (
	[ 'a reader stopped inside', 'reader_inside', "SELECT nr_get('c', 1)" ],
	[ 'a combiner stopped mid-batch', 'batch_apply', "SELECT nr_put('c', 0, 'new'::text)" ])
{
	my ($name, $point, $sql) = @$case;
	my ($out, $err);

	nr_ask($victim, "SET nr_cache.test_point = '$point:stop'");
	nr_send($victim, $sql);
	ok(stopped($victim->{pid}), "$name: it is stopped");

	# the other replica
	($out, $err) = nr_ask($r1, "SELECT count(nr_get('c', i)) FROM generate_series(1, 100) i");
	is("$out$err", '100', "$name: the other replica's readers go on");
	($out, $err) = nr_ask($w1, "SELECT nr_put('c', 1, '$point'::text)");
	is("$out$err", 'f', "$name: so do its writers");
	($out, $err) = nr_ask($r1, "SELECT nr_get('c', 1)");
	is("$out$err", $point, "$name: and its readers see what they write");

	# until the log is full
	nr_ask($w1, 'SET statement_timeout = 0');
	nr_send($w1, "SELECT count(nr_put('c', 10 + i % 50, 'full$point'::text)) FROM generate_series(1, 1000000) i");
	ok( $node->poll_query_until('postgres',
			"SELECT waiting_for IS NOT NULL FROM nr_tokens WHERE pid = $w1->{pid}"),
		"$name: they wait once the log is full");
	ok( $node->poll_query_until('postgres',
			"SELECT laggard = 0 AND laggard_pid = $victim->{pid} FROM nr_logs WHERE cache = 'c'::regclass"),
		"$name: nr_logs names the culprit")
	  or diag(nr_state($node));
	($out, $err) = nr_ask($r1, "SELECT count(nr_get('c', i)) FROM generate_series(1, 100) i");
	is("$out$err", '100', "$name: readers beside them still go on");
	($out, $err) = nr_ask($x1, "SELECT nr_put('c', 2, 'never'::text)");
	like($err, $canceled, "$name: a writer that waits for log space can be cancelled");
	($out, $err) = nr_ask($r1, "SELECT nr_get('c', 2)");
	is("$out$err", 'old', "$name: and then nothing happened");

	# the same replica
	($out, $err) = nr_ask($r0, "SELECT nr_get('c', 1)");
	like($err, $canceled, "$name: new readers of its replica wait, and can be cancelled");
	($out, $err) = nr_ask($w0, "SELECT nr_put('c', 3, 'never'::text)");
	like($err, $canceled, "$name: writers of its replica wait, and can be cancelled");

	$node->safe_psql('postgres', "SELECT pg_cancel_backend($w1->{pid})");
	ok( $node->poll_query_until('postgres',
			"SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $w1->{pid}"),
		"$name: so can the one that filled the log");

	kill 'CONT', $victim->{pid};
	nr_ask($victim, "RESET nr_cache.test_point");
	nr_ask($w1, 'SET statement_timeout = 2000');
	foreach my $s ($victim, $r0, $w0, $r1, $w1)
	{
		($out, $err) = nr_ask($s, "SELECT nr_get('c', 1), nr_get('c', 3)");
		$out =~ s/.*\n//s;
		is($out, "$point|old", "$name: after SIGCONT everybody goes on");
	}
	($out, $err) = nr_ask($w0, "SELECT nr_put('c', 4, '$point'::text)");
	is("$out$err", 'f', "$name: writers too");
	nr_settled($node, $name);
}

kill 'CONT', $victim->{pid};
$_->quit foreach @$all;
done_testing();
