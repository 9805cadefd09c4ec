# What counters survive: the end of a session, errors, resets while others count; not a restart.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use NrTest;

my $node = nr_node('counters', 'nr_cache.replicas = 2');
nr_cache($node, 'c', 'k int, v text');
$node->safe_psql('postgres', "INSERT INTO c SELECT i, 'x' FROM generate_series(1, 100) i");

my $hits = "SELECT hits FROM nr_caches WHERE cache = 'c'::regclass";
my $read = sub { "SELECT count(nr_get('c', i)) FROM generate_series(1, $_[0]) i" };
my $s = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $s->query('SELECT pg_backend_pid()');

# A session counts for itself until its transaction ends, however that happens.
$s->query('BEGIN');
is($s->query($read->(10)), '10', 'a transaction reads');
is($node->safe_psql('postgres', $hits), '0', 'others do not see it counted yet');
is($s->query($hits), '10', 'it does itself');
$s->query($read->(5));
$s->query('COMMIT');
is($node->safe_psql('postgres', $hits), '15', 'counted at commit');
$s->query('BEGIN');
$s->query($read->(10));
$s->query('ROLLBACK');
is($node->safe_psql('postgres', $hits), '25', 'counted at rollback');
$s->query("SELECT count(1 / (i - 10)) FROM generate_series(1, 20) i WHERE nr_get('c', i) IS NOT NULL");
is($node->safe_psql('postgres', $hits), '35', 'counted when a statement fails');
$s->query('BEGIN');
$s->query($read->(7));
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
ok($node->poll_query_until('postgres', "SELECT hits = 42 FROM nr_caches WHERE cache = 'c'::regclass"),
	'counted when a session is terminated');
eval { $s->quit };
$node->safe_psql('postgres', $read->(3));
is($node->safe_psql('postgres', $hits), '45', 'counted when a session ends');

# A reset while somebody has counted and not told: told later, counted then.
$s = $node->background_psql('postgres', on_error_stop => 0);
$s->query('BEGIN');
$s->query($read->(11));
$node->safe_psql('postgres', 'SELECT nr_stat_reset()');
is($node->safe_psql('postgres', $hits), '0', 'set back');
$s->query('COMMIT');
is($node->safe_psql('postgres', $hits), '11', 'a transaction that began before counts when it ends');

# Resets beside others who count: nothing is lost or negative, state stays.
$node->safe_psql('postgres', 'SELECT nr_stat_reset()');
my @busy = map { start_psql($node, "SELECT count(nr_put('c', i % 100, 'y'::text)), count(nr_get('c', i % 100)) FROM generate_series(1, 30000) i") } 1 .. 3;
my $bad = 0;
foreach (1 .. 30)
{
	$bad += $node->safe_psql('postgres', "SELECT nr_stat_reset() \\g /dev/null
		SELECT count(*) FROM nr_replicas WHERE least(batches, requests, operations, operations_applied, applied_by_others, hits, misses,
			reader_waits, reader_sleeps, writer_waits, writer_sleeps, response_sleeps, withdrawn, flips) < 0
			OR greatest(batches, requests, operations, hits) > 90000 OR applied = 0");
}
is($bad, 0, 'no counter is negative or out of bounds while others count');
my @answers = map { [ finish_psql($_) ] } @busy;
is_deeply(\@answers, [ map { [ '30000|30000', '' ] } 1 .. 3 ], 'the others went on');
$node->safe_psql('postgres', 'SELECT nr_stat_reset()');
is($node->safe_psql('postgres', "SELECT sum(operations), sum(hits) FROM nr_replicas WHERE cache = 'c'::regclass"),
	'0|0', 'set back after all');
nr_settled($node, 'after resets');

# Nothing survives the server.
$node->restart;
is($node->safe_psql('postgres', "SELECT count(*) FROM nr_caches WHERE cache = 'c'::regclass"), '0', 'after a restart there is nothing to count');
$node->safe_psql('postgres', "SELECT nr_put('c', 1, 'x'::text)");
is($node->safe_psql('postgres', "SELECT hits, misses, writes, stats_reset IS NULL FROM nr_caches WHERE cache = 'c'::regclass"),
	'0|0|1|t', 'counters begin at 0, never set back');
$node->safe_psql('postgres', 'SELECT nr_stat_reset()');
my $victim = $node->background_psql('postgres', on_error_stop => 0);
$pid = $victim->query('SELECT pg_backend_pid()');
kill 'KILL', $pid;
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM nr_caches'), 'nor a crash');
$node->safe_psql('postgres', "SELECT nr_put('c', 1, 'x'::text)");
is($node->safe_psql('postgres', "SELECT hits, misses, writes, stats_reset IS NULL FROM nr_caches WHERE cache = 'c'::regclass"),
	'0|0|1|t', 'and begin at 0 again');

eval { $_->quit } foreach $s, $victim;
done_testing();
