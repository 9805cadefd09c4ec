# Reads touch no stranger's memory: with that of all other replicas made
# inaccessible to the reading backend, it reads on.  Writes touch what is
# documented: each such access is declared in the source, and then, for its time
# alone, the fence has a gap; and each is counted in nr_crossings.
use strict;
use warnings FATAL => 'all';
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use NrTest;

my $node = nr_node('fence', 'nr_cache.replicas = 3', 'nr_cache.memory = 192MB', 'nr_cache.max_batch = 16MB', 'nr_cache.workers = off', 'huge_pages = off');
my $reads = $ENV{NR_FENCE_READS} || 1000000;
my $writes = $ENV{NR_FENCE_WRITES} || 1000000;
my %caches = (
	im => "visibility 'immediate'",
	co => "visibility 'commit'",
	two => "visibility 'immediate', copies '2'",
	co2 => "copies '2'",
	man => "visibility 'manual'",
	man2 => "visibility 'manual', copies '2'");

sub publish
{
	my ($c) = @_;
	return $c =~ /^man/ ? "SELECT nr_publish('$c')" : 'SELECT 1';
}

foreach my $c (sort keys %caches)
{
	$node->safe_psql('postgres', "CREATE FOREIGN TABLE $c (k int, v text) SERVER nr_cache OPTIONS ($caches{$c})");
	foreach my $r (0 .. 2)
	{
		$node->safe_psql('postgres', "SET nr_cache.replica = $r;
			INSERT INTO $c SELECT i, repeat('x', i % 100) FROM generate_series($r * 1000, $r * 1000 + 999) i; " . publish($c));
	}
}

# ---- reads

foreach my $r (0 .. 2)
{
	my $s = $node->background_psql('postgres', on_error_stop => 0);
	my $n = int($reads / 3 / 2 / keys %caches) + 1;

	$s->query("SET nr_cache.replica = $r");
	# what was written is replayed by who reads first: that is no plain read yet
	$s->query("SELECT nr_get('$_', 1, '')") foreach keys %caches;
	$s->query("SET nr_cache.test_fence = $r");
	foreach my $c (sort keys %caches)
	{
		is($s->query("SELECT count(nr_get('$c', i % 4000, NULL::text)), sum(length(nr_get('$c', i % 4000, ''))) FROM generate_series(1, $n) i"),
			$s->query("SELECT count(*) FILTER (WHERE k < 3000), sum(k % 100) FILTER (WHERE k < 3000) FROM (SELECT i % 4000 AS k FROM generate_series(1, $n) i) x"),
			"replica $r, cache $c: nr_get");
		is($s->query("SELECT cardinality(array_remove(nr_get_many('$c', array_agg(i), NULL::text), NULL)) FROM generate_series(0, 3999) i"),
			'3000', "replica $r, cache $c: nr_get_many");
		is($s->query("SELECT count(*), sum(length(v)) FROM $c"), '3000|148500', "replica $r, cache $c: a scan");
		is($s->query("SELECT v FROM $c WHERE k = 2003"), 'xxx', "replica $r, cache $c: a lookup");
		is($s->query("SELECT count(*) FROM generate_series(0, 3999) i JOIN $c ON k = i"), '3000', "replica $r, cache $c: a join");
	}
	is($s->query('SHOW nr_cache.test_crossed'), '0|0|0|0|0', "replica $r: reads declare nothing");
	$s->query('SET nr_cache.test_fence = -1');
	$s->quit;
}
nr_settled($node, 'after reads behind the fence');

# ---- writes

# What sessions of replica $r have counted, in the order of nr_cache.test_crossed.
sub counted
{
	my ($s, $r) = @_;

	return split /\|/,
	  $s->query("SELECT sum(slots), sum(positions), sum(batches), sum(bytes), sum(visits) FROM nr_crossings WHERE replica = $r");
}

# What must not be an error; returns what it prints.
sub ask
{
	my ($s, $sql, $name) = @_;

	$s->{stderr} = '';
	my $out = $s->query($sql);
	is($s->{stderr}, '', $name);
	return $out;
}

my $mode_writes = int($writes / 3 / keys %caches) + 1;

foreach my $r (0 .. 2)
{
	my $s = $node->background_psql('postgres', on_error_stop => 0);
	my $other = $node->background_psql('postgres', on_error_stop => 0);

	$s->query("SET nr_cache.replica = $r");
	$other->query('SET nr_cache.replica = ' . ($r + 1) % 3);
	$s->query("SELECT nr_get('$_', 1, '')") foreach keys %caches;
	my @before = counted($s, $r);
	$s->query("SET nr_cache.test_fence = $r");
	foreach my $c (sort keys %caches)
	{
		my $at = "replica $r, cache $c";

		ask($s, "INSERT INTO $c SELECT 10000 + i % 20000, repeat(chr(65 + i % 26), i % 60) FROM generate_series(1, $mode_writes) i; " . publish($c),
			"$at: $mode_writes operations in bulk, and the table grows");
		ask($s, "SELECT nr_put('$c', i, 'p') FROM generate_series(10000, 10499) i; " . publish($c), "$at: nr_put");
		ask($s, "DO \$\$BEGIN FOR i IN 1..200 LOOP PERFORM nr_put('$c', i, 'q'); COMMIT; END LOOP; END\$\$; " . publish($c), "$at: two hundred transactions");
		ask($s, "SELECT nr_delete('$c', i) FROM generate_series(10000, 10499) i; " . publish($c), "$at: nr_delete");
		ask($s, "UPDATE $c SET v = v || 'u' WHERE k BETWEEN 11000 AND 11999; " . publish($c), "$at: UPDATE");
		ask($s, "DELETE FROM $c WHERE k BETWEEN 12000 AND 12999; " . publish($c), "$at: DELETE");
		ask($s, "BEGIN; SELECT nr_put('$c', 1, 'gone'); ROLLBACK", "$at: ROLLBACK") unless $c =~ /^man/;
		# requests of more than one extent
		ask($s, "SELECT nr_put('$c', 20000 + i, repeat('l', 60000)) FROM generate_series(1, 20) i; " . publish($c), "$at: large values");
		ask($s, "INSERT INTO $c SELECT 20000 + i, repeat('m', 5000) FROM generate_series(1, 500) i; " . publish($c), "$at: a large batch");
		if ($caches{$c} =~ /immediate/)
		{
			ask($s, "SELECT nr_swap('$c', i, 's') FROM generate_series(1, 100) i", "$at: nr_swap");
			ask($s, "SELECT nr_cas('$c', i, 's', 't') FROM generate_series(1, 100) i", "$at: nr_cas");
		}
		# what another replica writes meanwhile is brought along, by writes and by reads
		foreach my $way ("SELECT nr_put('$c', 2, 'mine')", "SELECT nr_get('$c', 3, '')")
		{
			$other->query("INSERT INTO $c SELECT i, 'other ' || i FROM generate_series(3, 500) i;
				INSERT INTO $c SELECT 30000 + i, repeat('n', 3000) FROM generate_series(1, 200) i; " . publish($c));
			ask($s, "$way; " . publish($c), "$at: after another replica has written: $way");
		}
		is($s->query("SELECT nr_get('$c', 7, '')"), 'other 7', "$at: and is seen");
		ask($s, "SELECT nr_truncate('$c'); " . publish($c), "$at: nr_truncate");
		ask($s, "INSERT INTO $c SELECT i, 'again' FROM generate_series(1, 2000) i; " . publish($c), "$at: and a new beginning");
		is($s->query("SELECT nr_check('$c')"), 't', "$at: nr_check");
	}
	ask($s, 'CREATE FOREIGN TABLE made (k int, n bigint) SERVER nr_cache OPTIONS (visibility \'immediate\')', "replica $r: a cache is made");
	is(ask($s, "SELECT sum(nr_incr('made', i % 10, 1::bigint)) FROM generate_series(1, 1000) i", "replica $r: nr_incr"), '50500', "replica $r: counts");
	ask($s, "BEGIN; SELECT count(*) FROM nr_take('made', NULL::made); COMMIT", "replica $r: nr_take");
	my @after = counted($s, $r);
	my $heard = $s->query('SHOW nr_cache.test_crossed');
	is(join('|', map { $after[$_] - $before[$_] } 0 .. 4), $heard, "replica $r: what is counted is what was declared");
	like($heard, qr/^[1-9]\d*\|[1-9]\d*\|[1-9]\d*\|[1-9]\d*\|[1-9]\d*$/, "replica $r: each kind has happened");
	note("slots, positions, batches, bytes, visits: $heard");
	is(ask($s, 'SELECT count(*) > 0 FROM nr_replicas', "replica $r: the views"), 't', "replica $r: behind the fence");
	ask($s, 'DROP FOREIGN TABLE made', "replica $r: it is dropped");
	$other->quit;
	$s->quit;					# with the fence
}
nr_settled($node, 'after writes behind the fence');

# ---- the fence is one

# Not by poll_query_until, which breaks its own pipe when psql ends before it has read the query.
sub back
{
	foreach (1 .. 20 * $PostgreSQL::Test::Utils::timeout_default)
	{
		my ($out, $err) = ('', '');
		return 1 if IPC::Run::run([ 'psql', '-XAtc', 'SELECT true', '-d', $node->connstr('postgres') ],
			'<', \undef, '>', \$out, '2>', \$err);
		select(undef, undef, undef, 0.05);
	}
	return 0;
}

sub does_not_survive
{
	my ($sql, $name) = @_;
	my ($rc) = $node->psql('postgres', $sql);

	isnt($rc, 0, $name);
	ok(back(), "$name: the server comes back");
	return;
}

does_not_survive("SET nr_cache.replica = 0; SELECT nr_get('im', 1, ''); SET nr_cache.test_fence = 1; SELECT nr_get('im', 1, '')",
	'who reads through another replica than the fence leaves it does not survive');
does_not_survive("SET nr_cache.replica = 0; SELECT nr_put('im', 1, ''); SET nr_cache.test_fence = 1; SELECT nr_put('im', 1, '')",
	'nor does who writes');
# caches are spread, so the log of one of these two is not with replica 0
does_not_survive("SET nr_cache.replica = 0; SELECT nr_put('im', 1, ''), nr_put('two', 1, ''); SET nr_cache.test_fence = 0;
	SET nr_cache.test_undeclared = $_->[0]; $_->[1]", "a write of which $_->[2] are not declared")
  foreach (
	[ 0, "SELECT nr_put('im', 1, ''), nr_put('two', 1, '')", 'looks at the log' ],
	[ 1, "SELECT nr_put('im', 1, '') FROM generate_series(1, 20000)", 'looks at positions' ],
	[ 3, "SELECT nr_put('co2', 1, '')", 'visits' ]);
$node->safe_psql('postgres', "SET nr_cache.replica = 1; SELECT nr_put('im', 1, '')");
does_not_survive("SET nr_cache.replica = 0; SET nr_cache.test_fence = 0; SET nr_cache.test_undeclared = 2; SELECT nr_get('im', 1, '')",
	'a read of which batches of others are not declared');

done_testing();
