# Tokens move from one replica to another (as when the kernel moves a process to
# another NUMA node, here by a setting): at any moment, but never inside something.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use NrTest;

my $me = 'FROM nr_tokens WHERE pid = pg_backend_pid()';
my $node = nr_node('follow', "nr_cache.replicas = 2", "nr_cache.max_sessions = 40", 'max_prepared_transactions = 2');

nr_cache($node, 'im', 'k int, v int');
nr_cache($node, 'two', 'k int, v int', "copies '2'");
$node->safe_psql('postgres', "CREATE FOREIGN TABLE co (k int, v int) SERVER nr_cache;
	CREATE FOREIGN TABLE co2 (k int, v int) SERVER nr_cache OPTIONS (copies '2');
	CREATE FOREIGN TABLE lr (k int, v int) SERVER nr_cache OPTIONS (scheme 'left_right', visibility 'manual');
	CREATE TABLE t (a int)");
my @caches = qw(im two co co2 lr);

# ---- one session, everything that may be open while it moves ----

my $s = $node->background_psql('postgres', on_error_stop => 0);
sub on { my ($r) = @_; $s->query("SET nr_cache.replica = $r"); return; }

on(0);
$s->query("INSERT INTO $_ SELECT i, i FROM generate_series(1, 100) i") foreach @caches;
$s->query("SELECT nr_publish('lr')");
is($s->query("SELECT replica, moves $me"), '0|' . $s->query("SELECT moves $me"), 'pinned to replica 0');
my $moves = $s->query("SELECT moves $me");

$s->query('BEGIN');
$s->query("SELECT nr_put('$_', 1, 2)") foreach @caches;
$s->query('DECLARE c CURSOR FOR SELECT k, v FROM co');
my $first = $s->query('FETCH 40 FROM c');
on(1);
is($s->query("SELECT nr_get('im', 1, 0), nr_get('two', 1, 0), nr_get('co', 1, 0), nr_get('co2', 1, 0), nr_get('lr', 1, 0)"),
	'2|2|2|2|1', 'own writes are seen after a move, and what is not published is not');
is($s->query("SELECT replica, moves - $moves $me"), '1|1', 'that was one move');
my %seen = map { $_ => 1 } split(/\n/, $first), split(/\n/, $s->query('FETCH ALL FROM c'));
is(scalar(keys %seen), 100, 'a cursor goes on where it was');
$s->query('SAVEPOINT a');
$s->query("SELECT nr_put('co', 2, 7)");
on(0);
$s->query('ROLLBACK TO a');
is($s->query("SELECT nr_get('co', 2, 0), nr_get('co', 1, 0), (SELECT sum(v) FROM co2)"), '2|2|5051', 'moves across savepoints');
is($s->query("SELECT replica $me"), '1', 'ROLLBACK TO also takes the setting back');
$s->query('COMMIT');
$s->query("SELECT nr_publish('lr')");
is($node->safe_psql('postgres', 'SELECT ' . join(', ', map { "(SELECT sum(v) FROM $_)" } @caches)), '5051|5051|5051|5051|5051',
	'all of it arrived');

# a statement that moves itself, in the middle of its reads
on(-1);
my $start = $s->query("SELECT moves $me");
is( $s->query("SELECT sum(CASE WHEN i % 1000 = 0 THEN length(set_config('nr_cache.replica', (i / 1000 % 2)::text, false)) - 1 ELSE 0 END
			+ nr_get('im', i % 100 + 1, 0)) FROM generate_series(1, 20000) i"),
	200 * 5051, 'reads of a statement that moves twenty times');
cmp_ok($s->query("SELECT moves - $start $me"), '>=', 18, 'it did');

# deferred triggers run while a transaction commits
$s->query(q{CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM set_config('nr_cache.replica', (NEW.a % 2)::text, false);
		PERFORM nr_put('co', 200 + NEW.a, nr_get('im', 5, 0)), nr_put('im', 300 + NEW.a, 1);
		RETURN NULL;
	END $$;
	CREATE CONSTRAINT TRIGGER tr AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION at_commit()});
$s->query("BEGIN; SELECT nr_put('co2', 150, 1); INSERT INTO t SELECT generate_series(1, 9); COMMIT");
is($s->query("SELECT count(*), sum(v) FROM co WHERE k > 200"), '9|45', 'moves while a transaction is about to commit');
$s->query("BEGIN; SELECT nr_put('im', 400, 1); SET nr_cache.replica = 0; SELECT nr_get('im', 1); PREPARE TRANSACTION 'p'");
$s->query("COMMIT PREPARED 'p'");
is($s->query("SELECT nr_get('im', 400, 0)"), '1', 'and is about to be prepared');

# an error inside a call leaves nothing behind
on(1);
$s->query("SELECT nr_put('im', 1, 'x')");
on(0);
is($s->query("SELECT nr_get('im', 1, 0)"), '2', 'after an error');
$s->query("SELECT count(*) FROM nr_take('lr', NULL::lr)");
on(1);
is($s->query("SELECT nr_get('lr', 1, 0)"), '0', 'after a take');
on(0);
$s->query("SET nr_cache.test_point = 'stage_prepared:error'");
$s->query("BEGIN; SELECT nr_put('co', 1, 77); COMMIT");
$s->query('RESET nr_cache.test_point');
on(1);
is($s->query("SELECT nr_get('co', 1, 0)"), '2', 'after an error when all was prepared');
is($s->query("SELECT replica $me"), '1', 'the token is not held any more');
$s->query("BEGIN; SELECT nr_take('two', NULL::two)");
on(0);
$s->query('SAVEPOINT a; SELECT nr_take(\'co2\', NULL::co2)');
on(1);
$s->query("ROLLBACK TO a; COMMIT");
is($s->query("SELECT nr_get('two', 1, 0), (SELECT count(*) FROM co2) > 0"), '0|t', 'takes that end where they did not begin');
$s->quit;
nr_settled($node, 'one session');

# ---- a state that went with a savepoint, whose place another cache has since ----

$node->safe_psql('postgres', "CREATE FOREIGN TABLE heir (k int, v int) SERVER nr_cache OPTIONS (visibility 'immediate')");
my ($reader, $writer) = map { { psql => $node->background_psql('postgres', on_error_stop => 0) } } 1 .. 2;
$_->{pid} = (nr_ask($_, 'SELECT pg_backend_pid()'))[0] foreach $reader, $writer;
nr_ask($reader, $_) foreach ('SET nr_cache.replica = 0', 'BEGIN', 'SAVEPOINT a',
	"CREATE FOREIGN TABLE gone (k int, v int) SERVER nr_cache OPTIONS (visibility 'immediate')", "SELECT nr_put('gone', 1, 1)",
	'ROLLBACK TO a', "SELECT nr_put('heir', 1, 1)", 'SET nr_cache.replica = 1', "SELECT nr_get('heir', 1)", 'COMMIT');
is((nr_ask($reader, "SELECT nr_get('heir', 1), replica $me"))[0], '1|1', 'a session that has moved since a ROLLBACK TO');
nr_ask($writer, 'SET nr_cache.replica = 1');
nr_ask($reader, "SET nr_cache.test_point = 'reader_inside:stop'");
nr_send($reader, "SELECT nr_get('heir', 1)");
ok(stopped($reader->{pid}), 'it is stopped inside a read');
nr_send($writer, "SELECT nr_put('heir', 1, 2)");
ok( $node->poll_query_until('postgres', "SELECT coalesce((SELECT waiting_for = 'readers' FROM nr_tokens WHERE pid = $writer->{pid}), false) OR operations_applied = 2
		FROM nr_replicas WHERE cache = 'heir'::regclass AND replica = 1"),
	'somebody writes');
is($node->safe_psql('postgres', "SELECT waiting_on FROM nr_tokens WHERE pid = $writer->{pid}"), $reader->{pid}, 'and waits for it');
kill 'CONT', $reader->{pid};
$_->{psql}->quit foreach $reader, $writer;
nr_settled($node, 'after that');

# ---- many, that move all the time ----

my $rounds = 300;
my @many = map { { psql => $node->background_psql("postgres", on_error_stop => 0) } } 1 .. 6;
foreach my $i (0 .. $#many)
{
	# each adds to counters of its own, and looks whether its last write is there
	$many[$i]{psql}->query(qq{CREATE PROCEDURE pg_temp.run() LANGUAGE plpgsql AS \$\$
		DECLARE
			own int := 1000 + $i;
			bad int := 0;
			common int := 0;
			last int := 0;
		BEGIN
			FOR n IN 1 .. $rounds LOOP
				PERFORM set_config('nr_cache.replica', (random() < 0.5)::int::text, false);
				IF coalesce(nr_get('im', own, NULL::int), 0) <> n - 1 OR coalesce(nr_get('co', own, NULL::int), 0) <> n - 1
					OR coalesce(nr_get('co2', own, NULL::int), 0) <> n - 1 THEN
					bad := bad + 1;
				END IF;
				PERFORM nr_put('im', own, n), nr_put('co', own, n), nr_put('co2', own, n), nr_incr('two', 7, 1);
				FOR i IN 1 .. 3 LOOP
					common := nr_get('two', 7, 0);
					IF common < last THEN
						bad := bad + 1;
					END IF;
					last := common;
					PERFORM set_config('nr_cache.replica', (random() < 0.5)::int::text, false);
				END LOOP;
				IF nr_get('co', own, NULL::int) <> n THEN
					bad := bad + 1;
				END IF;
				COMMIT;
			END LOOP;
			PERFORM nr_put('im', own, -bad);
		END \$\$});
}
my $before = $node->safe_psql('postgres', "SELECT nr_get('two', 7, 0)");
nr_send($_, 'CALL pg_temp.run()') foreach @many;
nr_ask($_, 'SELECT 1') foreach @many;
is($node->safe_psql('postgres', "SELECT count(*) FROM generate_series(1000, 1005) i WHERE nr_get('im', i, 1) = 0
	AND nr_get('co', i, 1) = $rounds AND nr_get('co2', i, 1) = $rounds"), '6', 'six sessions that move: each saw its own writes, all of them, and nothing go back');
is($node->safe_psql('postgres', "SELECT nr_get('two', 7, 0) - $before"), 6 * $rounds, 'and each counted once');
cmp_ok($node->safe_psql('postgres', 'SELECT sum(moves) FROM nr_tokens'), '>', 200, 'they did move');
$_->{psql}->quit foreach @many;
nr_settled($node, 'at the end');

# ---- who may look where memory lies ----

$node->safe_psql('postgres', 'CREATE ROLE looker; GRANT SELECT ON nr_memory, nr_replicas TO looker;
	GRANT EXECUTE ON FUNCTION nr_memory(), nr_replicas() TO looker');
my $look = 'SELECT (SELECT count(*) > 0 FROM nr_memory), (SELECT count(bytes_on_node + bytes_elsewhere) > 0 FROM nr_memory),
	(SELECT count(*) > 0 FROM nr_replicas), (SELECT count(bytes_on_node + bytes_elsewhere) > 0 FROM nr_replicas)';
is($node->safe_psql('postgres', "SET ROLE looker; $look"), 't|f|t|f', 'who is no member of pg_read_all_stats has no pages looked at');
is($node->safe_psql('postgres', "GRANT pg_read_all_stats TO looker; SET ROLE looker; $look"), $node->safe_psql('postgres', $look), 'a member has');

# ---- a replica's number that was written down when there were more of them ----

my $parallel = $node->safe_psql('postgres', "SELECT name FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query')");
$node->safe_psql('postgres', 'CREATE ROLE pinned LOGIN; ALTER ROLE pinned SET nr_cache.replica = 1');
$node->safe_psql('postgres', 'CREATE DATABASE pinned');
$node->safe_psql('postgres', 'ALTER DATABASE pinned SET nr_cache.replica = 1');
$node->append_conf('postgresql.conf', "nr_cache.replicas = 1\nnr_cache.replica = 1");
$node->restart;
like(slurp_file($node->logfile), qr/LOG:  "nr_cache.replica" is set to -1 instead of 1\n.*DETAIL:  Replicas are numbered from 0 to 0\./,
	'postgresql.conf: a line in the server log');
foreach my $where ([ 'postgresql.conf', 'postgres', 'postgres' ], [ 'ALTER ROLE', 'postgres', 'pinned' ], [ 'ALTER DATABASE', 'pinned', 'postgres' ])
{
	my ($what, $db, $user) = @$where;
	my $as = $user eq 'pinned' ? ' user=pinned' : '';

	foreach my $first ('SHOW nr_cache.replica', 'RESET nr_cache.replica')
	{
		my ($rc, $out, $err) = $node->psql($db, "$first; SET $parallel = on; SELECT count(*) > 0 FROM pg_class", connstr => $node->connstr($db) . $as);

		is($out, $first =~ /SHOW/ ? "-1\nt" : 't', "$what: everybody can connect, and query in parallel; $first");
		is($err =~ /WARNING:  invalid value for parameter "nr_cache.replica": 1/ ? 1 : 0, $what =~ /ALTER/ ? 1 : 0, "$what: warnings")
			if $first =~ /SHOW/;
	}
}
nr_error($node, 'SET nr_cache.replica = 1', '22023', qr/DETAIL:  Replicas are numbered from 0 to 0\./, 'SET');
is($node->safe_psql('postgres', "SELECT nr_put('im', 1, 1); SELECT replica $me"), "t\n0", 'and caches work');

done_testing();
