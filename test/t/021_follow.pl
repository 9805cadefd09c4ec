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
$s->quit;
nr_settled($node, 'one session');

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
		BEGIN
			FOR n IN 1 .. $rounds LOOP
				PERFORM set_config('nr_cache.replica', (random() < 0.5)::int::text, false);
				IF coalesce(nr_get('im', own, NULL::int), 0) <> n - 1 OR coalesce(nr_get('co', own, NULL::int), 0) <> n - 1
					OR coalesce(nr_get('co2', own, NULL::int), 0) <> n - 1 THEN
					bad := bad + 1;
				END IF;
				PERFORM nr_put('im', own, n), nr_put('co', own, n), nr_put('co2', own, n), nr_incr('two', 7, 1);
				IF n % 3 = 0 THEN
					PERFORM set_config('nr_cache.replica', (random() < 0.5)::int::text, false);
				END IF;
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
	AND nr_get('co', i, 1) = $rounds AND nr_get('co2', i, 1) = $rounds"), '6', 'six sessions that move: each saw its own writes, and all of them');
is($node->safe_psql('postgres', "SELECT nr_get('two', 7, 0) - $before"), 6 * $rounds, 'and each counted once');
cmp_ok($node->safe_psql('postgres', 'SELECT sum(moves) FROM nr_tokens'), '>', 200, 'they did move');
$_->{psql}->quit foreach @many;
nr_settled($node, 'at the end');

done_testing();
