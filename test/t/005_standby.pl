# Hot standby: definitions come from the primary, contents are the standby's own.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use NrTest;

my $primary = nr_node('primary', 'nr_cache.replicas = 2');
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

nr_error($standby, "SELECT * FROM nr_take('c', NULL::c)", '25006', qr/cannot execute nr_take\(\) during recovery/,
	'nr_take needs a lock that there is none of');
is($standby->safe_psql('postgres', "SELECT count(*) FROM c"), '499', 'so nothing is taken');

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
foreach my $cache ('c', 'lr')
{
	is( $standby->safe_psql('postgres',
			"SELECT nr_put('$cache', 600, 'a'::text); SELECT nr_swap('$cache', 600, 'b'::text); SELECT nr_cas('$cache', 600, 'b'::text, 'c'::text);
			SELECT nr_get('$cache', 600); SELECT nr_truncate('$cache'); SELECT count(*) FROM $cache"),
		"t\na\nt\nc\n\n0", "$cache: nr_swap, nr_cas, nr_truncate");
}
foreach my $cache ('by_hand', 'by_hand_lr')
{
	nr_error($standby, "SELECT nr_put('$cache', 1, 'x'::text)", '25006', qr/recovery/, "nr_put on $cache");
	is($standby->safe_psql('postgres', "SELECT nr_get('$cache', 1, 'nothing'), nr_pending('$cache')"), 'nothing|0', 'and nothing is pending');
}
nr_nothing_left($standby, 'standby');

# The locks are those that a standby allows, and outlive a savepoint.
is( $standby->safe_psql('postgres', "BEGIN; SAVEPOINT s; SELECT nr_put('lr', 1, 'x'::text); SELECT nr_get('tx', 1, ''); ROLLBACK TO s;
		SELECT relation::regclass, mode FROM pg_locks WHERE relation IN ('lr'::regclass, 'tx'::regclass) ORDER BY 1, 2"),
	"t\n\ntx|AccessShareLock\nlr|RowExclusiveLock", 'locks of the transaction');

# What the startup process replays, no hook of ours hears of.  What nobody has told is found at the first use
# by a session, and when memory or places are short.
my $free = 'SELECT min(bytes_free) FROM nr_memory';
my $caches = 'SELECT count(*) FROM nr_caches';
my $fill = sub { "SELECT count(nr_put('$_[0]', i, repeat('x', 1000))) FROM generate_series(1, $_[1]) i" };

# Runs a statement on the primary that the standby has to replay.
sub replay
{
	my ($sql, $db) = @_;

	$primary->safe_psql($db // 'postgres', $sql);
	$primary->wait_for_catchup($standby);
	return;
}

# Makes a cache on the primary and uses it on the standby: whoever makes a first cache sweeps.
my $sweeps = 0;
sub sweep
{
	$sweeps++;
	replay("CREATE FOREIGN TABLE sweep$sweeps (k int, v text) SERVER nr_cache");
	$standby->safe_psql('postgres', "SELECT nr_get('sweep$sweeps', 1)");
	replay("DROP FOREIGN TABLE sweep$sweeps");
	return;
}

# CREATE, first use, DROP; the same name again.
replay("CREATE FOREIGN TABLE a (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate')");
is($standby->safe_psql('postgres', $fill->('a', 5000)), '5000', 'first use is on the standby');
my $full = $standby->safe_psql('postgres', $free);
replay("DROP FOREIGN TABLE a; CREATE FOREIGN TABLE a (k text, v int) SERVER nr_cache OPTIONS (visibility 'immediate')");
is($standby->safe_psql('postgres', "SELECT nr_get('a', '1', 0)"), '0', 'a cache of the old name is a new cache');
is($standby->safe_psql('postgres', "SELECT nr_put('a', 'a', 5); SELECT nr_get('a', 'a', 0)"), "t\n5", 'that works');
cmp_ok($standby->safe_psql('postgres', $free), '>', $full, 'the memory of the dropped one is free again');

# ALTER that empties: whoever opens the new one frees the old one.
is($standby->safe_psql('postgres', "SELECT count(nr_put('a', 'k' || i, i)) FROM generate_series(1, 50000) i"), '50000', 'filled');
$full = $standby->safe_psql('postgres', $free);
replay("ALTER FOREIGN TABLE a ALTER COLUMN v TYPE bigint");
is($standby->safe_psql('postgres', 'SELECT count(*) FROM a'), '0', 'ALTER on the primary empties on the standby');
cmp_ok($standby->safe_psql('postgres', $free), '>', $full, 'and frees what there was');
is($standby->safe_psql('postgres', "SELECT nr_put('a', 'a', 5::bigint), nr_get('a', 'a')"), 't|5', 'and it can be filled again');
replay("ALTER FOREIGN TABLE a RENAME TO b");
is($standby->safe_psql('postgres', "SELECT nr_get('b', 'a')"), '5', 'one that does not leaves the entries alone');
replay('DROP FOREIGN TABLE b');

# A whole schema; a database.
replay('CREATE SCHEMA s');
replay("CREATE FOREIGN TABLE s.c$_ (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate')") foreach 1 .. 5;
$standby->safe_psql('postgres', $fill->("s.c$_", 500)) foreach 1 .. 5;
replay('DROP SCHEMA s CASCADE');
replay('CREATE DATABASE other');
replay("CREATE EXTENSION nr_cache; CREATE FOREIGN TABLE c (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate')", 'other');
is($standby->safe_psql('other', $fill->('c', 2000)), '2000', 'a cache of another database');
replay('DROP DATABASE other');
cmp_ok($standby->safe_psql('postgres', $caches), '>', 5, 'nobody has missed them yet');
sweep();
# the one that was swept last, by itself, is still there
my $after = $standby->safe_psql('postgres', "$caches WHERE relid NOT IN (SELECT oid FROM pg_class)");
is($after, '1', 'until a session used its first cache');
nr_settled($standby, 'standby');

# A session that has swept already, and needs the memory or the place of orphans.
my $old = $standby->background_psql('postgres', on_error_stop => 0);
replay("CREATE FOREIGN TABLE keeps (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate')");
is($old->query("SELECT nr_put('keeps', 1, 'x'::text)"), 't', 'a session that has swept');
my $mb = int($standby->safe_psql('postgres', $free) / 1024 / 1024);
my $rows = int($mb * 1024 * 0.6);
replay("CREATE FOREIGN TABLE large (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate')");
is($standby->safe_psql('postgres', $fill->('large', $rows)), $rows, 'more than half of the memory');
replay('DROP FOREIGN TABLE large');
is($old->query($fill->('keeps', $rows)), $rows, 'that of a cache that was dropped is there for who needs it');
is($old->query("SELECT count(*) FROM nr_caches WHERE relid NOT IN (SELECT oid FROM pg_class)"), '0', 'it was swept');
$old->query("SELECT nr_truncate('keeps')");
my $places = $standby->safe_psql('postgres', 'SHOW nr_cache.max_caches') - $standby->safe_psql('postgres', $caches);
replay(join(';', map { "CREATE FOREIGN TABLE p$_ (k int, v text) SERVER nr_cache OPTIONS (log_size '64kB')" } 1 .. $places));
$standby->safe_psql('postgres', "SELECT nr_get('p$_', 1)") foreach 1 .. 3;
$old->query("SELECT nr_get('p$_', 1)") foreach 4 .. $places;
replay(join(';', map { "DROP FOREIGN TABLE p$_" } 1 .. $places));
replay("CREATE FOREIGN TABLE p (k int, v text) SERVER nr_cache");
is($old->query("SELECT nr_get('p', 1, 'none')"), 'none', 'and so are their places');
is($old->query("SELECT count(*) FROM nr_caches WHERE relid NOT IN (SELECT oid FROM pg_class)"), '0', 'all were swept');
$old->quit;

# DROP and ALTER replayed while a transaction uses the cache: replay waits for it, ...
$standby->append_conf('postgresql.conf', "max_standby_streaming_delay = -1\n");
$standby->reload;
replay("CREATE FOREIGN TABLE busy (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
	CREATE FOREIGN TABLE busy2 (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate')");
my $user = $standby->background_psql('postgres', on_error_stop => 0);
$user->query("SELECT nr_put('busy', 1, 'mine'::text), nr_put('busy2', 1, 'mine'::text)");
is($user->query("BEGIN; SELECT nr_get('busy', 1), nr_get('busy2', 1)"), 'mine|mine', 'in use');
$primary->safe_psql('postgres', 'DROP FOREIGN TABLE busy; ALTER FOREIGN TABLE busy2 ADD COLUMN w int');
ok( $standby->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted"),
	'replay waits for a transaction that uses the cache');
is($user->query("SELECT nr_get('busy', 1), nr_put('busy', 2, 'still'::text), nr_get('busy', 2)"), 'mine|t|still', 'which goes on');
$user->query('COMMIT');
$primary->wait_for_catchup($standby);
is($user->query("SELECT to_regclass('busy') IS NULL, (SELECT count(*) FROM busy2)"), 't|0', 'then it is gone, and the other one empty');
like(scalar($user->query("SELECT nr_get('busy', 1)")) . $user->{stderr}, qr/"busy" does not exist/, 'for the same session');

# ... or ends it.
$standby->append_conf('postgresql.conf', "max_standby_streaming_delay = 0\n");
$standby->reload;
is($standby->safe_psql('postgres', "SHOW max_standby_streaming_delay"), '0', 'no patience');
replay("CREATE FOREIGN TABLE busy (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
	CREATE FOREIGN TABLE waits (k int, v text) SERVER nr_cache OPTIONS (scheme 'left_right', visibility 'immediate')");
my $running = start_psql($standby, "SELECT nr_put('busy', 1, 'x'::text), nr_put('waits', 1, 'x'::text), pg_sleep(1000)", 'SELECT 1');
my $idle = $standby->background_psql('postgres', on_error_stop => 0);
$idle->query("BEGIN; SELECT nr_put('waits', 2, 'x'::text)");
ok( $standby->poll_query_until('postgres',
		"SELECT count(*) = 3 FROM pg_locks WHERE relation IN ('busy'::regclass, 'waits'::regclass) AND mode = 'RowExclusiveLock'"),
	'two that use caches');
replay('DROP FOREIGN TABLE busy');
my ($out, $err) = finish_psql($running);
like($err, qr/canceling statement due to conflict with recovery/, 'a statement is cancelled');
is($out, '1', 'its session goes on');
replay('DROP FOREIGN TABLE waits');
ok($standby->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE query LIKE '%waits%' AND pid <> pg_backend_pid()"),
	'a session that is idle in its transaction is terminated');
eval { $idle->quit };
sweep();
sweep();
is($standby->safe_psql('postgres', "SELECT count(*) FROM nr_caches WHERE relid NOT IN (SELECT oid FROM pg_class)"), '1',
	'and what they used is swept');
nr_settled($standby, 'after conflicts');
nr_nothing_left($standby, 'after conflicts');

# A restart of the standby.
replay("CREATE FOREIGN TABLE d (k text, v int) SERVER nr_cache OPTIONS (visibility 'immediate')");
$standby->safe_psql('postgres', "SELECT nr_put('d', 'a', 1)");
$standby->restart;
is($standby->safe_psql('postgres', 'SELECT count(*) FROM d'), '0', 'a restart empties');
is($standby->safe_psql('postgres', "SELECT nr_put('d', 'a', 5); SELECT nr_get('d', 'a', 0)"), "t\n5", 'and it can be filled again');
replay("DROP FOREIGN TABLE lr");
nr_error($standby, "SELECT nr_get('lr', 1)", '42P01', qr/does not exist/, 'a cache that was dropped');

# Promotion changes nothing about the contents; sessions and their transactions go on.
my $inside = $standby->background_psql('postgres', on_error_stop => 0);
my $outside = $standby->background_psql('postgres', on_error_stop => 0);
is($outside->query("SELECT nr_get('d', 'a', 0), nr_get('tx', 1, '-'), nr_get('by_hand', 1, '-')"), '5|-|-', 'a session before the promotion');
is($inside->query("BEGIN; SELECT nr_get('d', 'a', 0), nr_get('tx', 1, '-')"), '5|-', 'another one, in a transaction');
my $third = $standby->background_psql('postgres', on_error_stop => 0);
is($third->query("BEGIN; SELECT nr_get('tx', 1, '-')"), '-', 'and a third');
$standby->promote;
$third->query("SELECT nr_put('tx', 1, 'x'::text)");
like($third->{stderr}, qr/ERROR: .*during recovery.*HINT: .*promoted, you can begin another/s, 'what to do is in the hint');
is($third->query("ROLLBACK; SELECT nr_put('tx', 7, 'x'::text)"), 't', 'and works');
$third->quit;
is($inside->query("SELECT nr_get('d', 'a', 0), nr_put('d', 'b', 6), nr_get('d', 'b', 0)"), '5|t|6', 'the transaction goes on, and with it immediate writes');
foreach my $cache ('tx', 'by_hand')
{
	$inside->query("SAVEPOINT s; SELECT nr_put('$cache', 1, 'x'::text)");
	like($inside->{stderr}, qr/ERROR: .*(recovery|read-only)/, "it began on a standby: no write to $cache");
	$inside->query('ROLLBACK TO s');
}
is($inside->query("SELECT nr_get('d', 'b', 0), nr_get('tx', 1, '-'); COMMIT"), '6|-', 'and to its end');
foreach my $session ([ 'inside', $inside ], [ 'outside', $outside ])
{
	my ($name, $p) = @$session;

	is($p->query("SELECT nr_get('d', 'b', 0)"), '6', "$name: the contents are there");
	is($p->query("BEGIN; SELECT nr_put('tx', 1, '$name'::text), nr_put('tx_lr', 1, 'y'::text) IS NOT NULL, nr_put('by_hand', 1, '$name'::text) IS NOT NULL; COMMIT"),
		$name eq 'inside' ? 't|t|t' : 'f|t|t', "$name: the next transaction writes to any cache");
	is($p->query("SELECT nr_publish('by_hand') > 0, nr_get('tx', 1), nr_get('by_hand', 1)"), "t|$name|$name", "$name: and is seen");
	$p->quit;
}
is($standby->safe_psql('postgres', "SELECT nr_get('d', 'a', 0), nr_get('tx', 1)"), '5|outside', 'promotion keeps the contents');
$standby->safe_psql('postgres', "INSERT INTO d VALUES ('c', 7)");
is($standby->safe_psql('postgres', "SELECT nr_get('d', 'c', 0)"), '7', 'and INSERT works then');
$standby->safe_psql('postgres', 'DROP FOREIGN TABLE d, tx, tx_lr');
is($standby->safe_psql('postgres', "SELECT count(*) FROM nr_caches WHERE relid NOT IN (SELECT oid FROM pg_class)"), '0', 'DROP frees at once');
nr_settled($standby, 'promoted');
nr_nothing_left($standby, 'promoted');

done_testing();
