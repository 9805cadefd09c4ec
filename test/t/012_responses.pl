# nr_swap, nr_cas and nr_incr under many clients, while statements are cancelled all
# the time.  A cancelled call has happened or it has not, and every call that was
# answered has happened exactly once:
#	nr_incr   no two answers are alike, and the total is the number of calls
#	nr_cas    nobody replaces what somebody else has replaced
#	nr_swap   each value is handed out once
use strict;
use warnings FATAL => 'all';
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use NrTest;

my $clients = 32;
my $rounds = $ENV{NR_RESPONSE_ROUNDS} || 40;
my $dir = PostgreSQL::Test::Utils::tempdir;

my @sets = ("copies '1'", "copies '2'", "scheme 'left_right'");

# What is counted, and in what: numbers that the structure adds up, and those that PostgreSQL does.
my %numbers = (
	i => 'bigint',
	f => 'double precision',
	n => 'numeric',
	d => 'small_number');
my @caches = ((map { [ $_, $numbers{$_} ] } sort keys %numbers), [ 'c', 'numeric' ], [ 's', 'text' ]);

# The statements of a client, one a line: [kind, cache, key, what is given].
sub statements
{
	my ($client) = @_;
	my @lines;

	foreach my $round (1 .. $rounds)
	{
		foreach my $set (1 .. @sets)
		{
			my $key = 1 + ($round + $client) % 2;
			my $token = "$client:$round";

			push @lines, [ 'incr', "$_$set", $key, '', "nr_incr('$_$set', $key, 1::$numbers{$_})" ] foreach sort keys %numbers;
			push @lines, [ 'own', "i$set", 1000 + $client, '', "nr_incr('i$set', 1000 + $client, 1::bigint)" ];
			push @lines, [ 'cas', "c$set", $key, '', "CASE WHEN nr_cas('c$set', $key, now, now + 1) THEN now END
				FROM (SELECT nr_get('c$set', $key, NULL::numeric) AS now OFFSET 0) s" ];
			# every fourth is too long to be answered in one step
			push @lines, [ 'swap', "s$set", $key, $token,
				"rtrim(nr_swap('s$set', $key, '$token' || repeat(' ', " . ($round % 4 == 0 ? 9000 : 0) . ")))" ];
		}
	}
	return @lines;
}

# Cancels some of those who are at work, until there is a row in "stop".
my $shoot = <<'SQL';
CREATE TABLE stop ();
CREATE PROCEDURE shoot(INOUT shots bigint) LANGUAGE plpgsql AS $$
BEGIN
	WHILE NOT EXISTS (SELECT FROM stop) LOOP
		PERFORM pg_stat_clear_snapshot();
		shots := shots + (SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity
		                   WHERE application_name = 'client' AND state = 'active' AND random() < 0.3);
		COMMIT;
		PERFORM pg_sleep(0.001);
	END LOOP;
END $$;
SQL

# What the clients printed: {kind}{cache}{key} -> { given, answers, doubts }, lists of what
# was given by calls that were answered, their answers, and what was given by those that were cancelled.
sub collect
{
	my ($replicas) = @_;
	my %calls;
	my $doubts = 0;

	foreach my $client (1 .. $clients)
	{
		my @lines = statements($client);
		my %failed;
		my $err = slurp_file("$dir/err$replicas.$client");

		foreach (split /\n/, $err)
		{
			next unless /:(\d+): ERROR:  (.*)/;
			die "client $client: $_" if $2 ne 'canceling statement due to user request';
			$failed{$1} = 1;
			$doubts++;
		}
		my @out = split /\n/, slurp_file("$dir/out$replicas.$client"), -1;
		foreach my $n (1 .. @lines)
		{
			my ($kind, $cache, $key, $given) = @{ $lines[ $n - 1 ] };
			my $call = $calls{$kind}{$cache}{$key} ||= { given => [], answers => [], doubts => [] };

			if ($failed{$n})
			{
				push @{ $call->{doubts} }, $given;
				next;
			}
			my $line = shift @out;
			die "client $client printed \"$line\" for line $n" unless $line =~ /^$n\|(.*)$/;
			push @{ $call->{given} }, $given;
			push @{ $call->{answers} }, $1;
		}
	}
	return (\%calls, $doubts);
}

sub twice
{
	my %seen;
	return grep { $seen{$_}++ == 1 } @_;
}

# A counter that began with nothing and went up by 1 with each call.
sub check_counter
{
	my ($name, $call, $total, @answers) = @_;
	my $doubts = @{ $call->{doubts} };
	my @wrong = grep { $_ < 1 || $_ > $total } @answers;

	is_deeply([ twice(@answers) ], [], "$name: no two answers are alike");
	is_deeply(\@wrong, [], "$name: they are numbers that the counter went through");
	ok(@answers <= $total && $total <= @answers + $doubts,
		"$name: total $total of " . scalar(@answers) . " answers and $doubts cancelled calls");
	return;
}

# Every value that was put in is handed out once, or is there at the end.
sub check_swaps
{
	my ($name, $call, $last) = @_;
	my @out = grep { $_ ne '' } (@{ $call->{answers} }, $last);
	my %given = map { $_ => 1 } (@{ $call->{given} }, @{ $call->{doubts} });
	my %out = map { $_ => 1 } @out;
	my @nobodys = grep { !$given{$_} } @out;
	my @lost = grep { !$out{$_} } @{ $call->{given} };
	my $doubts = @{ $call->{doubts} };

	is_deeply([ twice(@out) ], [], "$name: no value is handed out twice");
	is_deeply(\@nobodys, [], "$name: each was given by somebody");
	ok(@lost <= $doubts, "$name: " . scalar(@lost) . " values went to one of $doubts cancelled calls");
	is(scalar(grep { $_ eq '' } @{ $call->{answers} }) <= 1, 1, "$name: at most one found nothing");
	return;
}

foreach my $replicas (1, 2)
{
	my $node = nr_node("responses$replicas", "nr_cache.replicas = $replicas", "nr_cache.memory = '96MB'", 'max_connections = 60',
		'log_min_messages = fatal', 'log_min_error_statement = panic');

	$node->safe_psql('postgres', 'CREATE DOMAIN small_number AS int CHECK (VALUE < 1000000)');
	$node->safe_psql('postgres', $shoot);
	foreach my $set (1 .. @sets)
	{
		$node->safe_psql('postgres', "CREATE FOREIGN TABLE $_->[0]$set (k int, v $_->[1]) SERVER nr_cache
			OPTIONS (visibility 'immediate', $sets[$set - 1])") foreach @caches;
		$node->safe_psql('postgres', "SELECT nr_put('c$set', 1, 0), nr_put('c$set', 2, 0)");
	}

	my ($shots, $err) = ('', '');
	my $shooter = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', 'CALL shoot(0)' ],
		'<', \undef, '>', \$shots, '2>', \$err);
	my @running;
	foreach my $client (1 .. $clients)
	{
		my $n = 0;
		append_to_file("$dir/client$replicas.$client",
			join('', map { my $sql = $_->[4]; $sql =~ s/\s+/ /g; $n++; "SELECT $n, $sql;\n" } statements($client)));
		push @running,
		  IPC::Run::start(
			[   'psql', '-XAtq', '-d', $node->connstr('postgres') . ' application_name=client',
				'-f', "$dir/client$replicas.$client" ],
			'<', \undef, '>', "$dir/out$replicas.$client", '2>', "$dir/err$replicas.$client");
	}
	$_->finish foreach @running;
	$node->safe_psql('postgres', 'INSERT INTO stop DEFAULT VALUES');
	$shooter->finish;
	chomp $shots;

	my ($calls, $doubts) = collect($replicas);
	my %last = map { /^(.*)\|(.*)$/ } split /\n/, $node->safe_psql(
		'postgres',
		join(' UNION ALL ',
			map { my $set = $_; map { "SELECT '$_->[0]$set', k, rtrim(v::text) FROM $_->[0]$set" } @caches } 1 .. @sets));
	note("replicas = $replicas: $shots shots, $doubts calls cancelled");
	cmp_ok($doubts, '>', 0, 'calls were cancelled');
	foreach my $kind (sort keys %$calls)
	{
		foreach my $cache (sort keys %{ $calls->{$kind} })
		{
			foreach my $key (sort keys %{ $calls->{$kind}{$cache} })
			{
				my $call = $calls->{$kind}{$cache}{$key};
				my $name = "replicas = $replicas, $kind of key $key in $cache";
				my $last = $last{"$cache|$key"} // '';

				if ($kind eq 'swap')
				{
					check_swaps($name, $call, $last);
				}
				elsif ($kind eq 'cas')
				{
					# who was too late has no answer
					check_counter($name, $call, $last, map { $_ + 1 } grep { $_ ne '' } @{ $call->{answers} });
				}
				else
				{
					check_counter($name, $call, $last eq '' ? 0 : $last, @{ $call->{answers} });
				}
			}
		}
	}
	nr_settled($node, "replicas = $replicas");
	nr_nothing_left($node, "replicas = $replicas");
	ok(!$node->log_contains('PANIC|was terminated by signal'), 'nothing crashed');

	# two long values do not fit one operation
	if ($replicas == 1)
	{
		$node->append_conf('postgresql.conf', "nr_cache.max_entry = '240kB'");
		$node->restart;
		is($node->safe_psql('postgres', "SELECT nr_swap('s1', 1, repeat('a', 150000)) IS NULL, length(nr_swap('s1', 1, repeat('b', 100000)))"),
			't|150000', 'long values are swapped');
		foreach my $call ("nr_swap('s1', 1, repeat('c', 170000))", "nr_cas('s1', 1, repeat('b', 100000), repeat('c', 170000))")
		{
			nr_error($node, "SELECT $call", '54000', qr/too large to be compared and replaced/, $call);
		}
		is($node->safe_psql('postgres', "SELECT nr_get('s1', 1) = repeat('b', 100000), nr_put('s1', 1, repeat('c', 170000)), nr_swap('s1', 1, 'd') = repeat('c', 170000)"),
			't|f|t', 'what is refused changes nothing, and short ones take their place');
		nr_settled($node, 'long values');
	}

	# a standby's caches are its own
	if ($replicas == 2)
	{
		my $standby = PostgreSQL::Test::Cluster->new('responses_standby');

		$node->backup('backup');
		$standby->init_from_backup($node, 'backup', has_streaming => 1);
		$standby->start;
		$node->wait_for_catchup($standby);
		is( $standby->safe_psql(
				'postgres', "SELECT nr_incr('i$_', 1, 5::bigint), nr_incr('n$_', 1, 0.5), nr_incr('d$_', 1, 3), nr_swap('s$_', 1, 'x'), nr_cas('s$_', 1, 'x', 'y'), nr_get('s$_', 1)"),
			'5|0.5|3||t|y', "on a standby, $sets[$_ - 1]")
		  foreach 1 .. @sets;
		$standby->stop;
	}
	$node->stop;
}

done_testing();
