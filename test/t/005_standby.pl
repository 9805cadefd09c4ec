# Hot standby: definitions come from the primary, contents are the standby's own.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use NrTest;

my $primary = nr_node('primary');
nr_cache($primary, 'c', 'k int, v text');
$primary->safe_psql('postgres', "SELECT nr_put('c', 1, 'primary'::text)");

$primary->backup('b');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'b', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);

is($standby->safe_psql('postgres', "SELECT nr_get('c', 1) IS NULL"), 't', 'the standby starts empty');
is($standby->safe_psql('postgres', "SELECT nr_put('c', 1, 'standby'::text)"), 't', 'immediate writes work there');
is($standby->safe_psql('postgres', "SELECT nr_get('c', 1)"), 'standby', 'and are seen');
is($standby->safe_psql('postgres', "SELECT * FROM c"), '1|standby', 'by a scan too');
is($standby->safe_psql('postgres', "SELECT count(nr_put('c', i, 'x'::text)) FROM generate_series(1, 500) i"),
	'500', 'many of them');
is($standby->safe_psql('postgres', "SELECT nr_delete('c', 1)"), 't', 'nr_delete');
is($standby->safe_psql('postgres', "SELECT nr_check('c')"), 't', 'nr_check');
is($primary->safe_psql('postgres', "SELECT nr_get('c', 1), count(*) FROM c"), 'primary|1',
	'the primary has its own contents');
nr_error($standby, "INSERT INTO c VALUES (7, 'x')", '25006', qr/read-only transaction/,
	'INSERT is a write to PostgreSQL');

# Drops and new definitions arrive by replication.
$standby->safe_psql('postgres', "SELECT count(nr_put('c', i, repeat('x', 1000))) FROM generate_series(1, 5000) i");
my $free = 'SELECT min(bytes_free) FROM nr_memory';
my $full = $standby->safe_psql('postgres', $free);
$primary->safe_psql('postgres', 'DROP FOREIGN TABLE c');
nr_cache($primary, 'c', 'k text, v int');
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', "SELECT nr_get('c', '1', 0)"), '0', 'a cache of the old name is a new cache');
is($standby->safe_psql('postgres', "SELECT nr_put('c', 'a', 5); SELECT nr_get('c', 'a', 0)"), "t\n5", 'that works');
cmp_ok($standby->safe_psql('postgres', $free), '>', $full, 'the memory of the dropped one is free again');
nr_settled($standby, 'standby');

# Promotion changes nothing about the contents.
$standby->promote;
is($standby->safe_psql('postgres', "SELECT nr_get('c', 'a', 0)"), '5', 'promotion keeps the contents');
$standby->safe_psql('postgres', "INSERT INTO c VALUES ('b', 6)");
is($standby->safe_psql('postgres', "SELECT nr_get('c', 'b', 0)"), '6', 'and INSERT works then');

done_testing();
