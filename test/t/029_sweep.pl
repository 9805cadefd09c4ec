# A sweep frees the state of caches that nobody has: not of those whose maker is stopped at the very end of
# its transaction, when it is in no snapshot any more, still has its locks and its work in shared memory,
# and has told nobody what it did to the catalogs.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use NrTest;

my $node = nr_node('sweep', 'nr_cache.replicas = 2', 'nr_cache.max_caches = 3');

sub session
{
	my $psql = $node->background_psql('postgres', on_error_stop => 0);

	return { psql => $psql, pid => scalar $psql->query('SELECT pg_backend_pid()') };
}

$node->safe_psql('postgres', 'CREATE FOREIGN TABLE stays (k int, v text) SERVER nr_cache');
is($node->safe_psql('postgres', "SELECT nr_get('stays', 1, 'none'), nr_get('any') IS NULL"), 'none|t', 'two of three places are taken');

foreach my $options ("visibility 'commit'", "visibility 'commit', copies '2'", "visibility 'commit', scheme 'left_right'", "visibility 'immediate'")
{
	my $commits = $options =~ /commit/;

	foreach my $end ('COMMIT', $commits ? 'COMMIT that is cancelled' : (), 'ROLLBACK')
	{
		my $case = "$options, $end";
		my $committed = $end eq 'COMMIT' ? 1 : 0;
		my $point = $committed ? 'committing' : 'rolling_back';
		my $maker = session();
		my $sweeper = session();

		$node->safe_psql('postgres', 'CREATE FOREIGN TABLE next (k int, v text) SERVER nr_cache');
		nr_ask($maker, "BEGIN; CREATE FOREIGN TABLE made (k int, v text) SERVER nr_cache OPTIONS ($options); SELECT nr_put('made', 1, 'kept'::text)");
		# there is nothing of that name, and it remembers that
		like((nr_ask($sweeper, "SELECT nr_get('next', 1)"))[1], qr/too many caches/, "$case: no place is left");
		nr_ask($maker, "SET nr_cache.test_point = '$point:stop" . ($end =~ /cancelled/ ? ',stage_prepared:cancel' : '') . "'");
		nr_send($maker, $end eq 'ROLLBACK' ? $end : 'COMMIT');
		ok(stopped($maker->{pid}), "$case: its maker is stopped");
		like((nr_ask($sweeper, "SELECT nr_get('next', 1)"))[1], qr/too many caches/, "$case: nor now");
		kill 'CONT', $maker->{pid};
		$maker->{psql}->query('RESET nr_cache.test_point');
		like($maker->{psql}{stderr}, $end =~ /cancelled/ ? qr/canceling/ : qr/^$/, "$case: it ends");
		is((nr_ask($sweeper, $committed ? "SELECT nr_get('made', 1, 'lost')" : "SELECT nr_get('next', 1, 'a place')"))[0],
			$committed ? 'kept' : 'a place', $committed ? "$case: nothing is lost" : "$case: then there is a place");
		$_->{psql}->quit foreach $maker, $sweeper;
		$node->safe_psql('postgres', 'DROP FOREIGN TABLE IF EXISTS made');
		nr_settled($node, $case);
		nr_nothing_left($node, $case);
		$node->safe_psql('postgres', 'DROP FOREIGN TABLE next');
	}
}
# Nor is it said of a cache that it is none: who has looked at it knows part of it from before.
$node->safe_psql('postgres', "CREATE FOREIGN TABLE gone (k int, v text) SERVER nr_cache; SELECT nr_put('gone', 1, 'x'::text)");
my ($owner, $user) = (session(), session());
my $oid = $node->safe_psql('postgres', "SELECT 'gone'::regclass::oid");
nr_ask($user, "SELECT has_table_privilege($oid, 'SELECT')");
nr_ask($owner, 'BEGIN; DROP FOREIGN TABLE gone');
nr_ask($owner, "SET nr_cache.test_point = 'committing:stop'");
nr_send($owner, 'COMMIT');
ok(stopped($owner->{pid}), 'a DROP stops before it tells anybody');
like((nr_ask($user, "SELECT nr_get($oid, 1)"))[1], qr/cache with OID $oid does not exist/, 'it is gone, for who remembers part of it');
kill 'CONT', $owner->{pid};
$owner->{psql}->query('RESET nr_cache.test_point');
like((nr_ask($user, "SELECT nr_get($oid, 1)"))[1], qr/cache with OID $oid does not exist/, 'and for all, then');
$_->{psql}->quit foreach $owner, $user;

$node->stop;
done_testing();
