# NrTest: what the server tests share.
package NrTest;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(nr_node nr_cache nr_error nr_settled nr_nothing_left nr_state start_psql start_psql_file finish_psql
	nr_sessions nr_ask nr_send stopped %nr_kinds);

# Options of caches of all kinds that differ in who waits for whom.
our %nr_kinds = (
	im1 => "visibility 'immediate'",
	im2 => "visibility 'immediate', copies '2'",
	co1 => "visibility 'commit'",
	co2 => "visibility 'commit', copies '2'",
	lri => "visibility 'immediate', scheme 'left_right'",
	lrc => "visibility 'commit', scheme 'left_right'",
	lrm => "visibility 'manual', scheme 'left_right'");

# A running node with nr_cache preloaded; further arguments are lines of configuration.
sub nr_node
{
	my ($name, @conf) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(allows_streaming => 1);
	$node->append_conf(
		'postgresql.conf', join("\n",
			"shared_preload_libraries = 'nr_cache'",
			"nr_cache.memory = '32MB'",
			"fsync = off", "restart_after_crash = on", @conf, ''));
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION nr_cache');
	return $node;
}

# Make a cache of that name and these columns; further options as given.
sub nr_cache
{
	my ($node, $name, $columns, $more) = @_;

	$more = defined $more ? ", $more" : '';
	$node->safe_psql('postgres',
		"CREATE FOREIGN TABLE $name ($columns) SERVER nr_cache "
		  . "OPTIONS (scheme 'nr', visibility 'immediate'$more)");
	return;
}

# A statement must fail with that SQLSTATE and messages (message, detail and hint together) like these.
sub nr_error
{
	my ($node, $sql, $state, $pattern, $name) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");

	like($err // '', qr/ERROR:  $state:/, "$name: SQLSTATE $state");
	like($err // '', $pattern, "$name: message");
	return $err;
}

# After trouble: every token belongs to a live process and waits for nothing,
# no combiner is left, and all caches are sound.
sub nr_settled
{
	my ($node, $name) = @_;

	ok( $node->poll_query_until(
			'postgres',
			"SELECT count(*) = 0 FROM nr_tokens t LEFT JOIN pg_stat_activity a USING (pid)
			  WHERE t.pid IS NOT NULL AND a.pid IS NULL AND NOT t.worker"),
		"$name: tokens of processes that are gone came back");
	is( $node->safe_psql(
			'postgres',
			"SELECT count(*) FROM nr_tokens WHERE waiting_for IS NOT NULL AND pid <> pg_backend_pid()"),
		'0', "$name: nobody waits");
	free_of_combiners($node, $name);
	is( $node->safe_psql(
			'postgres',
			"SELECT coalesce(bool_and(nr_check(ftrelid::regclass)), true) FROM pg_foreign_table"),
		't', "$name: nr_check holds for every cache");
	return;
}

# A worker may be at work for a moment.
sub free_of_combiners
{
	my ($node, $name) = @_;

	ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM nr_replicas WHERE combiner_pid IS NOT NULL'),
		"$name: no combiner lock is held");
	return;
}

# After every transaction has ended: no log slot is promised, no writer lock and no
# combiner lock held, no order number in flight.
sub nr_nothing_left
{
	my ($node, $name) = @_;

	is($node->safe_psql('postgres', 'SELECT coalesce(sum(slots_promised), 0) FROM nr_logs'),
		'0', "$name: no log slot is promised");
	is($node->safe_psql('postgres', "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 28279"),
		'0', "$name: no writer lock is held");
	free_of_combiners($node, $name);
	is($node->safe_psql('postgres', 'SELECT count(*) FROM nr_logs WHERE order_horizon <= order_number'),
		'0', "$name: no order number is in flight");
	return;
}

# What the views say, for diag when something is not as it should be.
sub nr_state
{
	my ($node) = @_;

	return join("\n", map { $node->safe_psql('postgres', "\\x\nSELECT * FROM $_") } qw(nr_logs nr_replicas nr_tokens));
}

# A psql that runs statements in the background; give the result to finish_psql.
# Each of @sql goes in a -c of its own, so that they are statements of their own.
sub start_psql
{
	my ($node, @sql) = @_;

	return psql_in_background($node, map { ('-c', $_) } @sql);
}

# The same with the statements of a file.
sub start_psql_file
{
	my ($node, $file) = @_;

	return psql_in_background($node, '-f', $file);
}

sub psql_in_background
{
	my ($node, @args) = @_;
	my $p = { out => '', err => '', timer => IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default) };

	$p->{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=0', '-d', $node->connstr('postgres'), @args ],
		'<', \undef, '>', \$p->{out}, '2>', \$p->{err}, $p->{timer});
	return $p;
}

# Wait for its end, however long it has run by now; returns what it printed and its errors.
sub finish_psql
{
	my ($p) = @_;

	$p->{timer}->start;
	$p->{run}->finish;
	chomp $p->{out};
	return ($p->{out}, $p->{err});
}

# Sessions that have used a cache, by replica, "n" of each: { psql, pid }; and all that it took.
sub nr_sessions
{
	my ($node, $cache, $n) = @_;
	my @on = ([], []);
	my @all;

	while (@{ $on[0] } < $n || @{ $on[1] } < $n)
	{
		my $p = $node->background_psql('postgres', on_error_stop => 0);
		my ($pid, $replica) = split /\|/, $p->query(
			"SELECT nr_get('$cache', 1) \\g /dev/null\nSELECT pid, replica FROM nr_tokens WHERE pid = pg_backend_pid()");
		push @{ $on[$replica] }, { psql => $p, pid => $pid };
		push @all, $p;
		BAIL_OUT('sessions do not spread over replicas') if @all > 20;
	}
	return (\@on, \@all);
}

# Run a query in one of them; returns output and errors.
sub nr_ask
{
	my ($s, $sql) = @_;
	$s->{psql}{stderr} = '';
	my $out = $s->{psql}->query($sql);
	return ($out, $s->{psql}{stderr});
}

# Send a query and do not wait for its end.
sub nr_send
{
	my ($s, $sql) = @_;
	$s->{psql}{stderr} = '';
	$s->{psql}->query_until(qr/sent/, "\\echo sent\n$sql;\n");
	return;
}

# Wait until a process is stopped (SIGSTOP).
sub stopped
{
	my ($pid) = @_;

	foreach (1 .. 100 * $PostgreSQL::Test::Utils::timeout_default)
	{
		open(my $f, '<', "/proc/$pid/stat") or return 0;
		my $stat = <$f>;
		close $f;
		return 1 if $stat =~ /\) T /;
		select(undef, undef, undef, 0.01);
	}
	return 0;
}

1;
