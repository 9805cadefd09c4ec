# Tokens: running out names the setting; they come back however a backend ends.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use NrTest;

my $node = nr_node('sessions', 'nr_cache.max_sessions = 3');
nr_cache($node, 'c', 'k int, v int');

my @psql = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 4;
foreach my $i (0 .. 2)
{
	like($psql[$i]->query("SELECT nr_put('c', $i, 10)"), qr/^[tf]$/, "session $i has a token");
}
nr_error($node, "SELECT nr_get('c', 1)", '53400', qr/HINT:.*nr_cache\.max_sessions/s, 'no token left: a read');
nr_error($node, "SELECT nr_put('c', 1, 2)", '53400', qr/HINT:.*nr_cache\.max_sessions/s, 'no token left: a write');
nr_error($node, "SELECT * FROM c", '53400', qr/HINT:.*nr_cache\.max_sessions/s, 'no token left: a scan');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_class"), $node->safe_psql('postgres', 'SELECT count(*) FROM pg_class'),
	'whoever uses no cache needs no token');
is($node->safe_psql('postgres', "SELECT count(*) FROM nr_tokens WHERE pid IS NOT NULL"), '3', 'nr_tokens shows who has them');
is($psql[0]->query("SELECT nr_get('c', 2, 0)"), '10', 'the others go on');

# quit, terminate, FATAL: a token each
$psql[0]->quit;
ok($node->poll_query_until('postgres', "SELECT count(*) = 2 FROM nr_tokens WHERE pid IS NOT NULL"), 'quit gives it back');
is($psql[3]->query("SELECT nr_get('c', 2, 0)"), '10', 'for the next one');
my $pid = $psql[1]->query('SELECT pg_backend_pid()');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid, 10000)");
ok($node->poll_query_until('postgres', "SELECT count(*) = 2 FROM nr_tokens WHERE pid IS NOT NULL"), 'so does termination');
is($node->safe_psql('postgres', "SELECT nr_get('c', 2, 0)"), '10', 'and again for the next one');
foreach my $i (1 .. 40)
{
	$node->safe_psql('postgres', "SELECT nr_put('c', $i, $i)");
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM c'), '41', 'forty sessions, one after the other, through three tokens');
cmp_ok( $node->safe_psql(
		'postgres', "SELECT nr_get('c', 1) \\g /dev/null
		SELECT generation FROM nr_tokens WHERE pid = pg_backend_pid()"),
	'>', 40, 'the same one again and again');
eval { $psql[1]->quit };
$psql[2]->quit;
$psql[3]->quit;
nr_settled($node, 'at the end');

# The default is enough for all processes that there can be.
my $all = nr_node('all', 'max_connections = 30', 'max_worker_processes = 8');
nr_cache($all, 'c', 'k int, v int');
@psql = map { $all->background_psql('postgres', on_error_stop => 0) } 1 .. 26;
my $ok = 0;
foreach my $p (@psql)
{
	$ok++ if $p->query("SELECT nr_get('c', 1, 7)") eq '7';
}
is($ok, 26, 'every connection has a token with the default');
$_->quit foreach @psql;

done_testing();
