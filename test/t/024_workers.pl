# A worker for each replica: it brings idle replicas up to date, comes back, goes away
# promptly, costs nothing while nothing is written, is in nobody's way, and can be done without.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use NrTest;

my $node = nr_node('workers', 'nr_cache.replicas = 3', 'max_connections = 40', 'log_min_messages = log');

# Their pids, by replica; once there are as many as wanted.
sub workers
{
	my ($n, $of) = @_;

	$n //= 3;
	$of //= $node;
	$of->poll_query_until('postgres', "SELECT count(*) = $n FROM nr_tokens WHERE worker") or BAIL_OUT('workers are missing');
	return split /\n/, $of->safe_psql('postgres', 'SELECT pid FROM nr_tokens WHERE worker ORDER BY replica');
}

# How often processes have slept, voluntarily.
sub switches
{
	return join ' ', map { slurp_file("/proc/$_/status") =~ /^voluntary_ctxt_switches:\s+(\d+)/m ? $1 : 'gone' } @_;
}

# All replicas of these caches are at the end of the log.
sub all_fresh
{
	my ($name) = @_;

	ok($node->poll_query_until('postgres', 'SELECT bool_and(lag = 0) FROM nr_replicas'), $name) or diag(nr_state($node));
	return;
}

my @pid = workers();
is(scalar(@pid), 3, 'a worker for each replica');
is($node->safe_psql('postgres', 'SELECT string_agg(DISTINCT replica::text, $$ $$ ORDER BY replica::text) FROM nr_tokens WHERE worker'),
	'0 1 2', 'each on its own');

# ---- what they do ----

nr_cache($node, 'im', 'k int, v int', "log_size '64kB'");
nr_cache($node, 'two', 'k int, v int', "copies '2'");
$node->safe_psql('postgres', "CREATE FOREIGN TABLE co (k int, v int) SERVER nr_cache;
	CREATE FOREIGN TABLE co2 (k int, v int) SERVER nr_cache OPTIONS (copies '2');
	CREATE FOREIGN TABLE lr (k int, v int) SERVER nr_cache OPTIONS (scheme 'left_right')");
foreach my $c (qw(im two co co2 lr))
{
	$node->safe_psql('postgres', "SET nr_cache.replica = 0; INSERT INTO $c SELECT i, i FROM generate_series(1, 100) i; SELECT nr_put('$c', 1, 2)");
}
all_fresh('what was written through one replica is soon applied to all, though nobody reads there');
is($node->safe_psql('postgres', "SELECT count(*) FROM nr_replicas WHERE cache = 'im'::regclass AND replica > 0 AND operations_by_worker > 0
	AND operations_by_own = 0 AND operations_by_own + operations_by_worker + operations_by_strangers = operations_applied"), '2',
	'by workers, and that is counted');

# ---- no cost ----

# they rest when they have found nothing for a while; wait for that
my $slept = '';
my $quiet = 0;
foreach (1 .. 300)
{
	my $now = switches(@pid);

	$quiet = $now eq $slept ? $quiet + 1 : 0;
	$slept = $now;
	last if $quiet == 10;
	select(undef, undef, undef, 0.1);
}
cmp_ok($quiet, '==', 10, 'a second without writes, and they do not wake up once');
$node->safe_psql('postgres', "SET nr_cache.replica = 2; SELECT nr_get('im', 1), count(*) FROM im");
is(switches(@pid), $slept, 'reads do not wake them either');
$node->safe_psql('postgres', "SET nr_cache.replica = 2; SELECT nr_put('im', 1, 3)");
all_fresh('a single write does');
$node->safe_psql('postgres', 'CREATE DATABASE d; DROP DATABASE d');
# which a template must not have
$node->safe_psql('template1', 'CREATE DATABASE copy TEMPLATE postgres; DROP DATABASE copy');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_stat_activity WHERE pid IN (' . join(',', @pid) . ')'), '0', 'they have no database connection');

# ---- they come back ----

kill 'TERM', $pid[1];
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM nr_tokens WHERE pid = $pid[1]"), 'a worker is terminated: its token comes back');
$node->safe_psql('postgres', "SET nr_cache.replica = 0; INSERT INTO im SELECT i % 500, i FROM generate_series(1, 20000) i");
is($node->safe_psql('postgres', "SET nr_cache.replica = 1; SELECT count(*) FROM im"), '500', 'all goes on without it');
my @again = workers();
isnt($again[1], $pid[1], 'it comes back');
$node->safe_psql('postgres', "SET nr_cache.replica = 0; SELECT nr_put('im', 1, 5)");
all_fresh('and works');

my $before = $node->safe_psql('postgres', 'SELECT count(*) FROM im');
kill 'KILL', $again[2];
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM im"), 'a worker is killed: caches come back empty');
@pid = workers();
$node->safe_psql('postgres', "SET nr_cache.replica = 1; SELECT nr_put('im', 1, 5)");
all_fresh('and with workers');
nr_settled($node, 'after a crash');
my $offset = -s $node->logfile;

# ---- in nobody's way: caches come and go beneath them ----

# while two sessions write through replica 0, so that the workers always have something to do
$node->safe_psql('postgres', q{
	CREATE PROCEDURE come_and_go(name text, rounds int) LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM set_config('nr_cache.replica', '0', false), set_config('client_min_messages', 'warning', false);
		FOR i IN 1 .. rounds LOOP
			EXECUTE format('CREATE FOREIGN TABLE %I (k int, v text) SERVER nr_cache OPTIONS (visibility %L)', name,
				(ARRAY['immediate', 'commit'])[i % 2 + 1]);
			EXECUTE format('INSERT INTO %I SELECT i, repeat(''x'', 50) FROM generate_series(1, 200) i', name);
			COMMIT;
			IF i % 3 = 0 THEN
				EXECUTE format('ALTER FOREIGN TABLE %I OPTIONS (ADD copies ''2'')', name);
				COMMIT;
				EXECUTE format('INSERT INTO %I SELECT i, repeat(''y'', 50) FROM generate_series(1, 200) i', name);
				COMMIT;
			END IF;
			EXECUTE format('DROP FOREIGN TABLE %I', name);
			COMMIT;
		END LOOP;
	END $$;
	CREATE PROCEDURE aborted(name text, rounds int) LANGUAGE plpgsql AS $$
	BEGIN
		FOR i IN 1 .. rounds LOOP
			EXECUTE format('CREATE FOREIGN TABLE %I (k int, v text) SERVER nr_cache OPTIONS (visibility ''immediate'')', name);
			EXECUTE format('INSERT INTO %I SELECT i, repeat(''x'', 50) FROM generate_series(1, 200) i', name);
			ROLLBACK;
		END LOOP;
	END $$});
all_fresh('before that');
my $free = $node->safe_psql('postgres', 'SELECT sum(bytes_free) FROM nr_memory');
my @p = map { start_psql($node, "CALL come_and_go('x$_', 200)") } 1 .. 2;
push @p, start_psql($node, "CALL aborted('y', 200)");
push @p, start_psql($node, "SET nr_cache.replica = 0; SELECT count(nr_put('im', i % 100, i)) FROM generate_series(1, 300000) i");
$node->safe_psql('postgres', 'CREATE DATABASE d');
foreach (1 .. 5)
{
	$node->safe_psql('postgres', 'DROP DATABASE IF EXISTS d');
	$node->safe_psql('postgres', 'CREATE DATABASE d');
	$node->safe_psql('d', "CREATE EXTENSION nr_cache; CREATE FOREIGN TABLE c (k int, v int) SERVER nr_cache OPTIONS (visibility 'immediate');
		SET nr_cache.replica = 0; INSERT INTO c SELECT i, i FROM generate_series(1, 1000) i");
	$node->safe_psql('postgres', 'DROP DATABASE d');
}
foreach (@p)
{
	my ($out, $err) = finish_psql($_);
	is($err, '', 'no ALTER, DROP or ROLLBACK met a worker');
}
ok($node->poll_query_until('postgres', "SELECT sum(bytes_free) = $free FROM nr_memory"), 'all their memory is free again')
  or diag($node->safe_psql('postgres', 'SELECT * FROM nr_memory'));
nr_settled($node, 'after that');

# ---- promptly gone ----

my $s = $node->background_psql('postgres', on_error_stop => 0);
nr_send({ psql => $s }, "SET nr_cache.replica = 0; SELECT count(nr_put('im', i % 100, i)) FROM generate_series(1, 100000000) i");
$node->stop('fast');
ok(1, 'a server with busy workers stops');
$s->{run}->finish;
# lines of processes that are not sessions
unlike(slurp_file($node->logfile, $offset), qr/\] (?:ERROR|FATAL|PANIC):/, 'without an error of theirs');

# ---- without them ----

foreach my $case ([ 'no worker processes are left', 'max_worker_processes = 0' ], [ 'they are switched off', 'nr_cache.workers = off' ])
{
	my ($name, $conf) = @$case;
	$offset = -s $node->logfile;
	$node->append_conf('postgresql.conf', $conf);
	$node->start;
	is($node->safe_psql('postgres', 'SELECT count(*) FROM nr_tokens WHERE worker'), '0', "$name: there is none");
	$node->safe_psql('postgres', "SET nr_cache.replica = 0; SELECT count(nr_put('im', i % 100, i)) FROM generate_series(1, 5000) i");
	is($node->safe_psql('postgres', "SELECT count(*) FROM nr_replicas WHERE cache = 'im'::regclass AND replica > 0
		AND operations_by_strangers > 0 AND operations_by_worker = 0 AND lag > 0"), '2', "$name: writers work for idle replicas, but no more than they must");
	is($node->safe_psql('postgres', "SET nr_cache.replica = 1; SELECT sum(v) FROM im"), '495050', "$name: who reads there finds all of it");
	is($node->safe_psql('postgres', "SELECT count(*) FROM nr_replicas WHERE cache = 'im'::regclass AND replica = 1 AND operations_by_own > 0
		AND lag = 0"), '1', "$name: and has applied the rest itself");
	if ($conf =~ /^max_worker/)
	{
		like(slurp_file($node->logfile, $offset), qr/too many background workers/, "$name: the log says so");
		$node->append_conf('postgresql.conf', 'max_worker_processes = 8');
	}
	nr_settled($node, $name);
	$node->stop;
}

# one replica needs none
$node->append_conf('postgresql.conf', "nr_cache.workers = on\nnr_cache.replicas = 1");
$node->start;
is($node->safe_psql('postgres', 'SELECT count(*) FROM nr_tokens WHERE worker'), '0', 'with one replica there is none');

done_testing();
