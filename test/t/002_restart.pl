# A restart empties caches and keeps everything that is in the catalogs.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use NrTest;

my $node = nr_node('restart');
nr_cache($node, 'c', "k int, v text, w int[]");
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE reader;
GRANT SELECT ON c TO reader;
COMMENT ON FOREIGN TABLE c IS 'kept';
INSERT INTO c SELECT i, 'value ' || i, ARRAY[i] FROM generate_series(1, 1000) i;
SELECT nr_put('a', 'b');
SQL
is($node->safe_psql('postgres', 'SELECT count(*) FROM c'), '1000', 'filled');
is($node->safe_psql('postgres', "SELECT nr_get('a')"), 'b', 'nr_default filled');

foreach my $how ('fast', 'immediate')
{
	$node->stop($how);
	$node->start;
	is($node->safe_psql('postgres', 'SELECT count(*) FROM c'), '0', "$how stop: the cache is empty");
	is($node->safe_psql('postgres', "SELECT nr_get('a') IS NULL"), 't', "$how stop: nr_default is empty");
	is( $node->safe_psql(
			'postgres',
			"SELECT has_table_privilege('reader', 'c', 'SELECT'), obj_description('c'::regclass)"),
		't|kept', "$how stop: grants and comments are there");
	$node->safe_psql('postgres', "SET ROLE reader; SELECT nr_get('c', 1)");
	$node->safe_psql('postgres', "INSERT INTO c SELECT i, 'again', NULL FROM generate_series(1, 10) i");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM c'), '10', "$how stop: it can be filled again");
	nr_settled($node, $how);
}

# A dump carries the definition, and nothing of the contents.
my ($dump) = run_command([ 'pg_dump', '-d', $node->connstr('postgres') ]);
like($dump, qr/CREATE FOREIGN TABLE public\.c .*scheme 'nr'/s, 'the definition is dumped');
unlike($dump, qr/again/, 'the contents are not');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->safe_psql('copy', $dump);
is($node->safe_psql('copy', "SELECT nr_put('c', ROW(1, 'x', NULL)::c)"), 't', 'the dump restores to a working cache');
is($node->safe_psql('postgres', "SELECT v FROM c WHERE k = 1"), 'again', 'and the two databases are apart');

# DROP DATABASE: what its caches used comes back.
my $free = "SELECT min(bytes_free) FROM nr_memory";
my $before = $node->safe_psql('postgres', $free);
$node->safe_psql('copy', "INSERT INTO c SELECT i, repeat('x', 1000), NULL FROM generate_series(1, 5000) i");
cmp_ok($node->safe_psql('postgres', $free), '<', $before, 'a full cache takes memory');
$node->safe_psql('postgres', 'DROP DATABASE copy');
nr_cache($node, 'd', 'k int, v text');
$node->safe_psql('postgres', "SELECT nr_put('d', 1, 'x'::text)");
cmp_ok($node->safe_psql('postgres', $free), '>=', $before - 2 * 1024 * 1024,
	'the caches of a dropped database are swept');
is($node->safe_psql('postgres', "SELECT count(*) FROM nr_caches WHERE database IS NULL"), '0',
	'and not shown any more');

done_testing();
