# Cancels, timeouts and terminations during puts: each request happened or it
# did not, tokens come back, everybody else goes on.
use strict;
use warnings FATAL => 'all';
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);
use NrTest;

my $seconds = $ENV{NR_STORM_SECONDS} || 12;
my $dir = PostgreSQL::Test::Utils::tempdir;

# A batch of twenty keys is one request: all of it or nothing.
append_to_file(
	"$dir/storm.sql", join("\n",
		map {
			(   "SET statement_timeout = '" . (1 + $_ % 4) . "ms';" x ($_ % 3 == 0),
				"INSERT INTO c SELECT b * 20 + i, b || ':' || repeat('x', 10 + b % 3000)
				   FROM (SELECT (random() * 100000)::int AS b) s, generate_series(0, 19) i;",
				"SELECT count(nr_put('d', i % 50, i)) FROM generate_series(1, 200) i;",
				"RESET statement_timeout;")
		} 1 .. 60));
append_to_file("$dir/steady.sql",
	"\\set k random(1, 100000)\nSELECT nr_put('e', :k::int, :k::int * 2), nr_get('e', :k::int, 0);\n");

srand(815);
foreach my $replicas (1, 2)
{
	my $node = nr_node("cancel$replicas", "nr_cache.replicas = $replicas", "max_connections = 80",
		"log_min_messages = fatal", "log_min_error_statement = panic");
	nr_cache($node, 'c', 'k int, v text');
	nr_cache($node, 'd', 'k int, v int', "log_size '64kB'");
	nr_cache($node, 'e', 'k int, v int');

	my ($out, $err) = ('', '');
	my $steady = IPC::Run::start(
		[   'pgbench', '-n', '-c', '12', '-T', $seconds, '-f', "$dir/steady.sql",
			'-d', $node->connstr('postgres') . ' application_name=steady' ],
		'<', \undef, '>', \$out, '2>', \$err);

	# twenty clients that are shot at, and start again
	my $connstr = $node->connstr('postgres') . ' application_name=storm';
	my @storm = map {
		IPC::Run::start(
			[   'sh', '-c',
				"while [ ! -e '$dir/stop$replicas' ]; do psql -Xq -d \"\$0\" -f '$dir/storm.sql' >/dev/null 2>&1; done",
				$connstr ], '<', \undef)
	} 1 .. 20;

	my $until = time() + $seconds - 1;
	my %shots = (cancel => 0, terminate => 0);
	my $gun = $node->background_psql('postgres', on_error_stop => 0);
	while (time() < $until)
	{
		my $how = rand() < 0.7 ? 'cancel' : 'terminate';
		my $n = $gun->query(
			"SELECT count(pg_${how}_backend(pid)) FROM pg_stat_activity
			  WHERE application_name = 'storm' AND state = 'active' AND random() < 0.3");
		$shots{$how} += $n;
		sleep(0.005);
	}
	append_to_file("$dir/stop$replicas", '');
	$_->finish foreach @storm;
	$steady->finish;
	$gun->quit;

	note("replicas = $replicas: $shots{cancel} cancels, $shots{terminate} terminations");
	cmp_ok($shots{cancel}, '>', 50, 'there were cancels');
	cmp_ok($shots{terminate}, '>', 20, 'there were terminations');
	is($steady->result(0), 0, 'the others ended well') or diag($err);
	my ($tps) = $out =~ /tps = ([0-9.]+)/;
	note("the others: $tps transactions a second");
	cmp_ok($tps, '>', 100, 'and went on all the time');

	is( $node->safe_psql('postgres',
			"SELECT count(*) FROM (SELECT k / 20 FROM c GROUP BY 1
			   HAVING count(*) <> 20 OR count(DISTINCT v) <> 1 OR min(v) NOT LIKE k / 20 || ':%') s"),
		'0', 'each batch happened or it did not');
	cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM c'), '>', 0, 'and some did');
	nr_settled($node, "replicas = $replicas");
	is( $node->safe_psql('postgres', "SELECT nr_put('d', 1, -1), nr_get('d', 1, 0)"),
		($node->safe_psql('postgres', 'SELECT false') . '|-1'), 'a put works afterwards');
	ok(!$node->log_contains('PANIC|was terminated by signal'), 'nothing crashed');
	$node->stop;
}

done_testing();
