# kill -9 of a backend inside a combine or a commit, more than a hundred times: the
# server comes back each time, with empty and sound caches, and nobody ever reads a
# torn value or a part of a batch.
use strict;
use warnings FATAL => 'all';
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use NrTest;

my $kills = $ENV{NR_KILLS} || 100;
my @points = qw(request_pending request_announced combiner_locked request_taken batch_filled
  batch_appended writer_flag batch_apply batch_applied batch_complete combiner_unlock reader_inside);

# of transactions that commit staged writes
my @commit_points = qw(stage_prepared commit_append prepared_append prepared_appended commit_done);

srand(4711);

# A value says which key and version it is of and follows from the two, so a
# torn one is found out.  Versions of a group of ten keys are written as one
# batch, so they must be seen equal.
my $definitions = <<'SQL';
CREATE FUNCTION make_value(k int, version int) RETURNS text LANGUAGE sql IMMUTABLE AS
$$SELECT version || '|' || repeat(md5(k || ':' || version), 1 + (k * 7 + version) % 30)$$;
CREATE FUNCTION write_some(version int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE g int := version % 20;
BEGIN
	INSERT INTO c SELECT k, make_value(k, version) FROM generate_series(g * 10, g * 10 + 9) k;
	PERFORM nr_put('c', 1000 + version % 50, make_value(1000 + version % 50, version));
	PERFORM nr_delete('c', 1000 + (version * 7) % 50);
END $$;
CREATE FUNCTION wait_for_load() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 3000 LOOP
		EXIT WHEN (SELECT count(*) FROM pg_stat_activity WHERE application_name = 'load') = 4;
		PERFORM pg_sleep(0.01);
		PERFORM pg_stat_clear_snapshot();
	END LOOP;
	PERFORM pg_sleep(0.1);
END $$;
CREATE FUNCTION read_some(g int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	ks int[] := ARRAY(SELECT generate_series(g * 10, g * 10 + 9));
	vs text[] := nr_get_many('c', ks, NULL::text);
	v text;
BEGIN
	IF (SELECT count(DISTINCT coalesce(split_part(x, '|', 1), '')) FROM unnest(vs) x) <> 1 THEN
		RAISE EXCEPTION 'torn batch: %', vs;
	END IF;
	FOR i IN 1 .. 10 LOOP
		IF vs[i] <> make_value(ks[i], split_part(vs[i], '|', 1)::int) THEN
			RAISE EXCEPTION 'torn value of key %: %', ks[i], vs[i];
		END IF;
	END LOOP;
	FOR k IN 1000 .. 1049 LOOP
		v := nr_get('c', k);
		IF v <> make_value(k, split_part(v, '|', 1)::int) THEN
			RAISE EXCEPTION 'torn value of key %: %', k, v;
		END IF;
	END LOOP;
END $$;
SQL

my $dir = PostgreSQL::Test::Utils::tempdir;
append_to_file("$dir/write.sql", "\\set version random(1, 1000000)\nSELECT write_some(:version);\n");
append_to_file("$dir/read.sql", "\\set g random(0, 19)\nSELECT read_some(:g);\n");

# Wait until the server takes connections again.  Not by poll_query_until, which
# breaks its own pipe when psql ends before it has read the query.
sub back
{
	my ($node) = @_;

	foreach (1 .. 20 * $PostgreSQL::Test::Utils::timeout_default)
	{
		my ($out, $err) = ('', '');
		return 1 if IPC::Run::run([ 'psql', '-XAtc', 'SELECT true', '-d', $node->connstr('postgres') ],
			'<', \undef, '>', \$out, '2>', \$err);
		select(undef, undef, undef, 0.05);
	}
	return 0;
}

# One kill; returns: did the victim die, was anything torn, is the server back, is the cache empty and sound.
sub round
{
	my ($node, $point, $passage) = @_;
	my ($out, $err) = ('', '');

	my $load = IPC::Run::start(
		[   'pgbench', '-n', '-c', '4', '-T', '60', '-f', "$dir/write.sql", '-f', "$dir/read.sql",
			$node->connstr('postgres') . ' application_name=load' ],
		'<', \undef, '>', \$out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));

	# the victim writes and reads until it is dead
	my ($rc, $vout, $verr) = $node->psql(
		'postgres', "SELECT wait_for_load();
		SET nr_cache.test_point = '$point:kill9:$passage';
		DO \$\$ BEGIN FOR i IN 1 .. 100000 LOOP
			PERFORM write_some(i); COMMIT; PERFORM read_some(i % 20);
		END LOOP; END \$\$");
	my $died = $rc == 2;

	$load->finish;
	my $torn = "$out$err$verr" =~ /torn/;
	diag("$out$err$verr") if $torn;
	my ($work) = $out =~ /transactions actually processed: (\d+)/;
	my $back = back($node);
	my $sound = $back
	  && $node->safe_psql(
		'postgres', "SELECT count(*), nr_check('c') FROM c") eq '0|t'
	  && $node->safe_psql(
		'postgres', "SELECT write_some(20); SELECT read_some(0); SELECT count(*), nr_check('c') FROM c") =~ /^(10|11)\|t$/m;
	return ($died, $torn, $back, $sound, $work // 0);
}

# replicas, copies, visibility, scheme, share of the kills
foreach my $setup (
	[ 1, 1, 'immediate', 'nr', 0.5 ],
	[ 2, 1, 'immediate', 'nr', 0.5 ],
	[ 2, 2, 'immediate', 'nr', 0.25 ],
	[ 2, 1, 'commit', 'nr', 0.15 ],
	[ 2, 2, 'commit', 'nr', 0.1 ],
	[ 2, 2, 'commit', 'left_right', 0.15 ])
{
	my ($replicas, $copies, $visibility, $scheme, $share) = @$setup;
	my $name = "$scheme, $visibility, replicas $replicas, copies $copies";
	my $node = nr_node("kill$replicas$copies$visibility$scheme", "nr_cache.replicas = $replicas", "nr_cache.memory = '8MB'",
		"shared_buffers = '8MB'", "log_min_messages = warning", "max_connections = 20");
	$node->safe_psql('postgres', "CREATE FOREIGN TABLE c (k int, v text) SERVER nr_cache
		OPTIONS (scheme '$scheme', visibility '$visibility', copies '$copies')");
	$node->safe_psql('postgres', $definitions);
	my ($died, $torn, $back, $sound, $work) = (0, 0, 0, 0, 0);
	my $rounds = int($kills * $share);

	# with two copies nobody keeps readers out, but they are sent to the other one
	my @points = map { $copies == 2 && $_ eq 'writer_flag' ? 'flipped' : $_ } @points;
	# anywhere, every second time
	@points = map { ($_, '*') } @commit_points if $visibility eq 'commit';

	foreach my $i (1 .. $rounds)
	{
		my $point = $points[ $i % @points ];
		my @r = round($node, $point, 1 + int(rand(100)));

		diag("round $i, $point: " . join(' ', map { $_ || 0 } @r)) unless $r[0] && !$r[1] && $r[2] && $r[3];
		$died += $r[0];
		$torn += $r[1] ? 1 : 0;
		$back += $r[2] ? 1 : 0;
		$sound += $r[3] ? 1 : 0;
		$work += $r[4];
		last if !$r[2];
	}
	is($died, $rounds, "$name: $rounds backends were killed");
	is($torn, 0, "$name: no torn value was read");
	is($back, $rounds, "$name: the server came back each time");
	is($sound, $rounds, "$name: with an empty cache that works");
	note("$work transactions of other clients meanwhile");
	cmp_ok($work, '>', 20 * $rounds, "$name: while others read and wrote");
	nr_settled($node, $name);
	$node->stop;
}

done_testing();
