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

# To write a cache that obeys transactions, or collects changes, is to write.
# What takes the writer's lock works, though a standby gives out no transaction ids.
$primary->safe_psql('postgres', <<'SQL');
CREATE FOREIGN TABLE tx (k int, v text) SERVER nr_cache;
CREATE FOREIGN TABLE tx_lr (k int, v text) SERVER nr_cache OPTIONS (scheme 'left_right');
CREATE FOREIGN TABLE lr (k int, v text) SERVER nr_cache OPTIONS (scheme 'left_right', visibility 'immediate');
CREATE FOREIGN TABLE by_hand (k int, v text) SERVER nr_cache OPTIONS (visibility 'manual');
CREATE FOREIGN TABLE by_hand_lr (k int, v text) SERVER nr_cache OPTIONS (scheme 'left_right', visibility 'manual');
INSERT INTO tx VALUES (1, 'primary');
SQL
$primary->wait_for_catchup($standby);
foreach my $cache ('tx', 'tx_lr')
{
	is($standby->safe_psql('postgres', "SELECT nr_get('$cache', 1, 'nothing')"), 'nothing', "$cache can be read");
	nr_error($standby, "SELECT nr_put('$cache', 1, 'x'::text)", '25006', qr/(recovery|read-only)/, "nr_put on $cache");
	nr_error($standby, "SELECT nr_delete('$cache', 1)", '25006', qr/(recovery|read-only)/, "nr_delete on $cache");
	nr_error($standby, "SELECT nr_truncate('$cache')", '25006', qr/(recovery|read-only)/, "nr_truncate on $cache");
	is($standby->safe_psql('postgres', "SELECT count(*) FROM $cache"), '0', 'and nothing was written');
}
is($standby->safe_psql('postgres', "SELECT nr_put('lr', 1, 'standby'::text); SELECT nr_get('lr', 1)"), "t\nstandby",
	'immediate writes of one writer');
foreach my $cache ('by_hand', 'by_hand_lr')
{
	nr_error($standby, "SELECT nr_put('$cache', 1, 'x'::text)", '25006', qr/recovery/, "nr_put on $cache");
	is($standby->safe_psql('postgres', "SELECT nr_get('$cache', 1, 'nothing'), nr_pending('$cache')"), 'nothing|0', 'and nothing is pending');
}
nr_nothing_left($standby, 'standby');

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
$primary->safe_psql('postgres', 'DROP FOREIGN TABLE lr');
$primary->wait_for_catchup($standby);
nr_error($standby, "SELECT nr_get('lr', 1)", '42P01', qr/does not exist/, 'a cache that was dropped');

# Promotion changes nothing about the contents.
$standby->promote;
is($standby->safe_psql('postgres', "SELECT nr_get('c', 'a', 0)"), '5', 'promotion keeps the contents');
$standby->safe_psql('postgres', "INSERT INTO c VALUES ('b', 6)");
is($standby->safe_psql('postgres', "SELECT nr_get('c', 'b', 0)"), '6', 'and INSERT works then');
is($standby->safe_psql('postgres', "BEGIN; SELECT nr_put('tx', 1, 'x'::text), nr_put('tx_lr', 1, 'y'::text); COMMIT;
	SELECT nr_get('tx', 1), nr_get('tx_lr', 1)"), "t|t\nx|y", 'so do transactions');

done_testing();
