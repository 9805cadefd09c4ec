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

# DROP DATABASE: what its caches used is back at once; a failing one loses nothing.
my $free = "SELECT min(bytes_free) FROM nr_memory";
my $before = $node->safe_psql('postgres', $free);
$node->safe_psql('copy', "INSERT INTO c SELECT i, repeat('x', 1000), NULL FROM generate_series(1, 5000) i");
cmp_ok($node->safe_psql('postgres', $free), '<', $before, 'a full cache takes memory');
my $inside = $node->background_psql('copy');
is($inside->query("SELECT count(*) FROM c"), '5000', 'somebody is in the database');
nr_error($node, 'DROP DATABASE copy', '55006', qr/being accessed by other users/, 'so it cannot be dropped');
is($inside->query("SELECT count(*) FROM c"), '5000', 'and has lost nothing');
$inside->quit;
$before = $node->safe_psql('postgres', "$free; SELECT sum((memory_used + log_memory)) FROM nr_caches WHERE database = 'copy'");
my ($then, $used) = split /\n/, $before;
$node->safe_psql('postgres', 'DROP DATABASE copy');
is($node->safe_psql('postgres', $free), $then + $used, 'a dropped database gives back all that its caches had');
is($node->safe_psql('postgres', "SELECT count(*) FROM nr_caches WHERE database IS NULL"), '0', 'and nothing is shown any more');

# A copy of a database has the same caches under the same OIDs, empty, and apart.
$node->safe_psql('postgres', 'CREATE DATABASE source');
$node->safe_psql('source', <<'SQL');
CREATE EXTENSION nr_cache;
CREATE FOREIGN TABLE a (k int, v text) SERVER nr_cache;
CREATE FOREIGN TABLE b (k int, v text) SERVER nr_cache OPTIONS (scheme 'left_right', visibility 'immediate');
INSERT INTO a VALUES (1, 'source');
INSERT INTO b VALUES (1, 'source');
SELECT nr_put('d', 'source');
SQL
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE source');
my $oids = "SELECT 'a'::regclass::oid, 'b'::regclass::oid";
is($node->safe_psql('copy', $oids), $node->safe_psql('source', $oids), 'a copied database has caches of the same OIDs');
is($node->safe_psql('copy', "SELECT count(*) FROM a; SELECT count(*) FROM b; SELECT nr_get('d') IS NULL"), "0\n0\nt", 'they are empty');
$node->safe_psql('copy', "INSERT INTO a VALUES (1, 'copy'); INSERT INTO b VALUES (2, 'copy'); SELECT nr_put('d', 'copy')");
is($node->safe_psql('source', "SELECT * FROM a; SELECT * FROM b; SELECT nr_get('d')"), "1|source\n1|source\nsource", 'those of the source are its own');
is($node->safe_psql('copy', "SELECT * FROM a; SELECT * FROM b; SELECT nr_get('d')"), "1|copy\n2|copy\ncopy", 'and those of the copy');
$node->safe_psql('source', 'ALTER FOREIGN TABLE a ADD COLUMN w int; DROP FOREIGN TABLE b');
is($node->safe_psql('copy', "SELECT * FROM a; SELECT * FROM b"), "1|copy\n2|copy", 'ALTER and DROP in the one do not touch the other');
# the writer's lock is a database's own as well
my $writer = $node->background_psql('copy');
$writer->query("BEGIN; SELECT nr_put('b', 3, 'x'::text)");
$node->safe_psql('source', "SET lock_timeout = '60s'; CREATE FOREIGN TABLE b (k int, v text) SERVER nr_cache OPTIONS (copies '2'); INSERT INTO b VALUES (1, 'x')");
$writer->query('COMMIT');
$writer->quit;

# DROP of the source, RENAME of the copy
$node->safe_psql('postgres', 'DROP DATABASE source');
is($node->safe_psql('copy', "SELECT * FROM a; SELECT nr_get('d')"), "1|copy\ncopy", 'the copy outlives its source');
$node->safe_psql('postgres', 'ALTER DATABASE copy RENAME TO renamed');
is($node->safe_psql('renamed', "SELECT * FROM a; SELECT count(*) FROM b"), "1|copy\n2", 'and being renamed');
is($node->safe_psql('renamed', "SELECT DISTINCT database FROM nr_caches WHERE cache IS NOT NULL"), 'renamed', 'which the views know');
$node->safe_psql('postgres', 'DROP DATABASE renamed');
is($node->safe_psql('postgres', $free), $then + $used, 'all of it comes back');
nr_settled($node, 'at the end');

done_testing();
