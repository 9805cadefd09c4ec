# Cancels, timeouts and terminations during puts: each request happened or it
# did not, tokens come back, everybody else goes on.
use strict;
use warnings FATAL => 'all';
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use NrTest;

my $seconds = $ENV{NR_STORM_SECONDS} || 12;
my $dir = PostgreSQL::Test::Utils::tempdir;

# Caches that obey transactions; a transaction writes twenty keys, and more that a savepoint undoes.
my @commit_caches = ("copies '1'", "copies '2'", "scheme 'left_right'");
my @transactions = map {
	'DO $$ BEGIN
		WITH s AS MATERIALIZED (SELECT (random() * 300)::int AS b, random() AS r)
		INSERT INTO t' . $_ . ' SELECT b * 20 + i, b || \':\' || r || repeat(\'x\', (r * 400)::int) FROM s, generate_series(0, 19) i;
		BEGIN
			INSERT INTO t' . $_ . ' SELECT i, \'undone\' FROM generate_series(1, 500) i;
			RAISE EXCEPTION \'undo\';
		EXCEPTION WHEN raise_exception THEN
			NULL;
		END;
	END $$;'
} 1 .. @commit_caches;

# A batch of twenty keys is one request: all of it or nothing.
append_to_file(
	"$dir/storm.sql", join("\n",
		map {
			(   "SET statement_timeout = '" . (1 + $_ % 4) . "ms';" x ($_ % 3 == 0),
				"WITH s AS MATERIALIZED (SELECT (random() * 300)::int AS b, random() AS r)
				 INSERT INTO c SELECT b * 20 + i, b || ':' || r || repeat('x', (r * 400)::int)
				   FROM s, generate_series(0, 19) i;",
				"SELECT count(nr_put('d', i % 50, i)) FROM generate_series(1, 200) i;",
				@transactions,
				"RESET statement_timeout;")
		} 1 .. 60));
append_to_file("$dir/steady.sql",
	"\\set k random(1, 100000)\nSELECT nr_put('e', :k::int, :k::int * 2), nr_get('e', :k::int, 0);\n");

# Cancels, or terminates, a third of the storm's backends every few milliseconds.
my $shoot = <<'SQL';
CREATE FUNCTION shoot(seconds float, OUT cancels bigint, OUT terminations bigint) LANGUAGE plpgsql AS $$
DECLARE
	until timestamptz := clock_timestamp() + seconds * interval '1 second';
	n bigint;
BEGIN
	cancels := 0;
	terminations := 0;
	WHILE clock_timestamp() < until LOOP
		PERFORM pg_stat_clear_snapshot();
		IF random() < 0.7 THEN
			SELECT count(pg_cancel_backend(pid)) INTO n FROM pg_stat_activity
			 WHERE application_name = 'storm' AND state = 'active' AND random() < 0.3;
			cancels := cancels + n;
		ELSE
			SELECT count(pg_terminate_backend(pid)) INTO n FROM pg_stat_activity
			 WHERE application_name = 'storm' AND state = 'active' AND random() < 0.3;
			terminations := terminations + n;
		END IF;
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;
SQL

foreach my $replicas (1, 2)
{
	my $node = nr_node("cancel$replicas", "nr_cache.replicas = $replicas", "max_connections = 80",
		"log_min_messages = fatal", "log_min_error_statement = panic");
	nr_cache($node, 'c', 'k int, v text', "copies '$replicas'");
	nr_cache($node, 'd', 'k int, v int', "log_size '64kB'");
	nr_cache($node, 'e', 'k int, v int');
	$node->safe_psql('postgres', "CREATE FOREIGN TABLE t$_ (k int, v text) SERVER nr_cache OPTIONS ($commit_caches[$_ - 1])")
	  foreach 1 .. @commit_caches;
	$node->safe_psql('postgres', $shoot);

	my ($out, $err) = ('', '');
	my $steady = IPC::Run::start(
		[   'pgbench', '-n', '-c', '12', '-T', $seconds, '-f', "$dir/steady.sql",
			$node->connstr('postgres') . ' application_name=steady' ],
		'<', \undef, '>', \$out, '2>', \$err);

	# twenty clients that are shot at, and start again; not for ever, should this test die
	my $give_up = time + 10 * $seconds + 60;
	my $connstr = $node->connstr('postgres') . ' application_name=storm';
	my @storm = map {
		IPC::Run::start(
			[   'sh', '-c',
				"until [ -e '$dir/stop$replicas' ] || [ \$(date +%s) -gt $give_up ]; do psql -Xq -d \"\$0\" -f '$dir/storm.sql' >/dev/null 2>&1; done",
				$connstr ], '<', \undef)
	} 1 .. 20;

	my %shots;
	@shots{'cancel', 'terminate'} = split /\|/, $node->safe_psql('postgres', 'SELECT * FROM shoot(' . ($seconds - 1) . ')');
	append_to_file("$dir/stop$replicas", '');
	$_->finish foreach @storm;
	$steady->finish;

	note("replicas = $replicas: $shots{cancel} cancels, $shots{terminate} terminations");
	cmp_ok($shots{cancel}, '>', 5, 'there were cancels');
	cmp_ok($shots{terminate}, '>', 2, 'there were terminations');
	is($steady->result(0), 0, 'the others ended well') or diag($err);
	my ($tps) = $out =~ /tps = ([0-9.]+)/;
	note("the others: $tps transactions a second");
	cmp_ok($tps, '>', 50, 'and went on all the time');

	foreach my $cache ('c', map { "t$_" } 1 .. @commit_caches)
	{
		is( $node->safe_psql('postgres',
				"SELECT count(*) FROM (SELECT k / 20 FROM $cache GROUP BY 1
				   HAVING count(*) <> 20 OR count(DISTINCT v) <> 1 OR min(v) NOT LIKE k / 20 || ':%') s"),
			'0', "each batch of $cache happened or it did not");
		cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM $cache"), '>', 0, 'and some did');
	}
	nr_settled($node, "replicas = $replicas");
	nr_nothing_left($node, "replicas = $replicas");
	is( $node->safe_psql('postgres', "SELECT nr_put('d', 1, -1), nr_get('d', 1, 0)"),
		($node->safe_psql('postgres', 'SELECT false') . '|-1'), 'a put works afterwards');
	ok(!$node->log_contains('PANIC|was terminated by signal'), 'nothing crashed');
	$node->stop;
}

done_testing();
