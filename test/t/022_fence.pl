# Reads touch no stranger's memory: with that of all other replicas made
# inaccessible to the reading backend, it reads on.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use NrTest;

my $node = nr_node('fence', 'nr_cache.replicas = 3');
my $reads = $ENV{NR_FENCE_READS} || 1000000;
my %caches = (im => "visibility 'immediate'", co => "visibility 'commit'", two => "visibility 'immediate', copies '2'", co2 => "copies '2'");

foreach my $c (sort keys %caches)
{
	$node->safe_psql('postgres', "CREATE FOREIGN TABLE $c (k int, v text) SERVER nr_cache OPTIONS ($caches{$c})");
	foreach my $r (0 .. 2)
	{
		$node->safe_psql('postgres', "SET nr_cache.replica = $r;
			INSERT INTO $c SELECT i, repeat('x', i % 100) FROM generate_series($r * 1000, $r * 1000 + 999) i");
	}
}

foreach my $r (0 .. 2)
{
	my $s = $node->background_psql('postgres', on_error_stop => 0);

	$s->query("SET nr_cache.replica = $r");
	# what was written is replayed by who reads first: that is no plain read yet
	$s->query("SELECT nr_get('$_', 1, '')") foreach keys %caches;
	$s->query("SET nr_cache.test_fence = $r");
	foreach my $c (sort keys %caches)
	{
		is($s->query("SELECT count(nr_get('$c', i % 4000, NULL::text)), sum(length(nr_get('$c', i % 4000, ''))) FROM generate_series(1, $reads / 8) i"),
			$s->query("SELECT count(*) FILTER (WHERE k < 3000), sum(k % 100) FILTER (WHERE k < 3000) FROM (SELECT i % 4000 AS k FROM generate_series(1, $reads / 8) i) x"),
			"replica $r, cache $c: nr_get");
		is($s->query("SELECT cardinality(array_remove(nr_get_many('$c', array_agg(i), NULL::text), NULL)) FROM generate_series(0, 3999) i"),
			'3000', "replica $r, cache $c: nr_get_many");
		is($s->query("SELECT count(*), sum(length(v)) FROM $c"), '3000|148500', "replica $r, cache $c: a scan");
		is($s->query("SELECT v FROM $c WHERE k = 2003"), 'xxx', "replica $r, cache $c: a lookup");
		is($s->query("SELECT count(*) FROM generate_series(0, 3999) i JOIN $c ON k = i"), '3000', "replica $r, cache $c: a join");
	}
	$s->query('SET nr_cache.test_fence = -1');
	$s->quit;
}
nr_settled($node, 'after reads behind the fence');

# the fence is one
my ($rc) = $node->psql('postgres', "SET nr_cache.replica = 0; SELECT nr_get('im', 1, ''); SET nr_cache.test_fence = 1; SELECT nr_get('im', 1, '')");
isnt($rc, 0, 'who reads through another replica than the fence leaves it does not survive');
ok($node->poll_query_until('postgres', 'SELECT true'), 'the server comes back');

done_testing();
