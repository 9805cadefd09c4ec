# Memory: a full cache, a full region, too many caches.  Nothing is lost, the
# error says which limit it was, and there is room again after DROP.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use NrTest;

foreach my $replicas (1, 2)
{
	my $node = nr_node("full$replicas", "nr_cache.replicas = $replicas", "nr_cache.memory = '16MB'",
		'nr_cache.max_caches = 4');
	my $free = 'SELECT min(bytes_free) FROM nr_memory';
	my $empty = $node->safe_psql('postgres', $free);

	# a full cache
	nr_cache($node, 'small', 'k int, v text', "memory '2MB'");
	my $err = nr_error($node,
		"INSERT INTO small SELECT i, repeat('x', 1000) FROM generate_series(1, 100000) i",
		'53200', qr/HINT:.*memory/s, 'cache full');
	my $n = $node->safe_psql('postgres', 'SELECT count(*) FROM small');
	cmp_ok($n, '>', 500, 'what fitted is there');
	cmp_ok($n, '<', 3000, 'and no more than the quota');
	is($node->safe_psql('postgres', "SELECT count(*) FROM small WHERE nr_get('small', k) <> v OR length(v) <> 1000"),
		'0', 'every entry can be looked up');
	is($node->safe_psql('postgres', "SELECT nr_check('small')"), 't', 'and the cache is sound');
	cmp_ok($node->safe_psql('postgres', "SELECT memory_used FROM nr_caches WHERE cache = 'small'::regclass"),
		'<=', 2 * 1024 * 1024, 'memory_used stays within the quota');
	nr_error($node,
		"SELECT count(nr_put('small', -i, repeat('y', 1000))) FROM generate_series(1, 1000) i",
		'53200', qr/HINT:.*memory/s, 'a put into the full cache');
	$node->safe_psql('postgres', 'DELETE FROM small WHERE k % 2 = 0');
	is($node->safe_psql('postgres', "SELECT nr_put('small', -1000000, repeat('z', 1000))"), 't',
		'deleting makes room');
	$node->safe_psql('postgres', "SELECT nr_truncate('small')");
	is( $node->safe_psql('postgres',
			"INSERT INTO small SELECT i, repeat('x', 1000) FROM generate_series(1, $n / 2) i; SELECT count(*) FROM small"),
		int($n / 2), 'so does truncate');

	# overwriting for a long time with values of changing size needs no more memory
	$node->safe_psql('postgres', "SELECT nr_truncate('small')");
	foreach my $round (1 .. 20)
	{
		$node->safe_psql('postgres',
			"INSERT INTO small SELECT i, repeat('x', 100 + (i * 37 + $round * 211) % 1500) FROM generate_series(1, 500) i");
	}
	is($node->safe_psql('postgres', "SELECT count(*), nr_check('small') FROM small"), '500|t',
		'twenty rounds of overwriting fit');

	# a full region
	nr_cache($node, 'big', 'k int, v text');
	nr_error($node,
		"INSERT INTO big SELECT i, repeat('x', 1000) FROM generate_series(1, 100000) i",
		'53200', qr/HINT:.*nr_cache\.memory/s, 'region full');
	is($node->safe_psql('postgres', "SELECT nr_check('big') AND nr_check('small')"), 't', 'all caches are sound');
	is($node->safe_psql('postgres', "SELECT count(*) FROM small"), '500', 'the other cache lost nothing');
	$node->safe_psql('postgres', 'DROP FOREIGN TABLE big');
	nr_cache($node, 'next', 'k int, v text');
	is( $node->safe_psql('postgres',
			"INSERT INTO next SELECT i, repeat('x', 1000) FROM generate_series(1, 5000) i; SELECT count(*) FROM next"),
		'5000', 'DROP makes room');

	# what a dropped database left behind is freed by the write that needs it
	$node->safe_psql('postgres', 'CREATE DATABASE other');
	$node->safe_psql('other',
		"CREATE EXTENSION nr_cache; CREATE FOREIGN TABLE left_over (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate'); INSERT INTO left_over SELECT i, repeat('x', 1000) FROM generate_series(1, 5000) i");
	is( $node->safe_psql('postgres',
			"DROP DATABASE other; SELECT count(nr_put('next', -i, repeat('x', 1000))) FROM generate_series(1, 5000) i"),
		'5000', 'so does DROP DATABASE');

	# ... and by a parallel worker, whose leader may be at it, too
	$node->safe_psql('postgres', 'DROP FOREIGN TABLE next; CREATE DATABASE other');
	$node->psql('other',
		"CREATE EXTENSION nr_cache; CREATE FOREIGN TABLE left_over (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate'); INSERT INTO left_over SELECT i, repeat('x', 1000) FROM generate_series(1, 100000) i");
	nr_cache($node, 'next', 'k int, v text');
	my $parallel = "SELECT set_config(name, 'on', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');";
	nr_error($node, "$parallel SELECT nr_get('next', 1)", '53200', qr/not enough cache memory/, 'no room for another cache');
	is( $node->safe_psql('postgres', "DROP DATABASE other; $parallel SELECT nr_get('next', 1)"),
		"on\n", 'a parallel worker makes room');

	# too many caches
	nr_cache($node, "more$_", 'k int, v int') foreach 1 .. 3;
	$node->safe_psql('postgres', "SELECT nr_put('more1', 1, 1)");
	$node->safe_psql('postgres', "SELECT nr_put('more2', 1, 1)");
	nr_error($node, "SELECT nr_put('more3', 1, 1)", '53400', qr/HINT:.*nr_cache\.max_caches/s, 'too many caches');
	$node->safe_psql('postgres', 'BEGIN; DROP FOREIGN TABLE more1; ROLLBACK');
	nr_error($node, "SELECT nr_put('more3', 1, 1)", '53400', qr/HINT:.*nr_cache\.max_caches/s, 'a DROP that was rolled back frees nothing');
	is($node->safe_psql('postgres', "SELECT nr_get('more1', 1, 0)"), '1', 'and loses nothing');
	$node->safe_psql('postgres', 'DROP FOREIGN TABLE more1');
	is($node->safe_psql('postgres', "SELECT nr_put('more3', 1, 1)"), 't', 'DROP makes room for another');

	$node->safe_psql('postgres', 'DROP FOREIGN TABLE small, next, more2, more3');
	is($node->safe_psql('postgres', $free), $empty, 'after all are dropped everything is free');
	nr_settled($node, "replicas = $replicas");
	$node->stop;
}

done_testing();
