# What two copies that share their values take (option aliasing), and that it stays so:
# with 1 kB values less than 1.3 times the memory of one copy, also after rounds of
# overwrites, deletes and truncates by several sessions, while others read.
#
# NR_MEMORY_SECONDS: how long the rounds go on; NR_MEMORY_ROWS: entries of the large
# cache at the end; NR_MEMORY_SEED: what a run printed, for the same statements again.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use List::Util 'max';
use Test::More;
use NrTest;

my $seconds = $ENV{NR_MEMORY_SECONDS} || 8;
my $rows = $ENV{NR_MEMORY_ROWS} || 40_000;
my $seed = $ENV{NR_MEMORY_SEED} || time % 1_000_000 * 100 + $$ % 100;
my $round_ms = $seconds < 60 ? 1500 : 20_000;
my $keys = 20_000;
my $most = 1.3;

diag("NR_MEMORY_SEED=$seed");
srand($seed);

# A value follows from its key and a version, which it begins with; some end there.
my $functions = <<'SQL';
CREATE FUNCTION make_value(k int, version int) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
	SELECT left(version || ':' || repeat(md5(k || ':' || version), 33), 960 + (k * 7 + version) % 80) $$;
CREATE FUNCTION wrong(k int, v text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
	SELECT v <> ALL (ARRAY[make_value(k, split_part(v, ':', 1)::int), split_part(v, ':', 1) || ':']) $$;
SQL

# ---- rounds -------------------------------------------------------------------------

my %caches = (
	one => "copies '1', visibility 'immediate'",
	two => "copies '2', visibility 'immediate'",
	two_commit => "copies '2', visibility 'commit'",
	left_right => "scheme 'left_right', visibility 'immediate'",
	left_right_manual => "scheme 'left_right', visibility 'manual'");
my @two = grep { $_ ne 'one' } sort keys %caches;

my $node = nr_node('memory', 'nr_cache.replicas = 2', "nr_cache.memory = '256MB'", 'log_min_messages = fatal',
	'log_min_error_statement = panic', 'deadlock_timeout = 10ms', 'max_connections = 30');
$node->safe_psql('postgres', $functions);
$node->safe_psql('postgres', "CREATE FOREIGN TABLE $_ (k int, v text) SERVER nr_cache OPTIONS ($caches{$_})")
  foreach sort keys %caches;
$node->safe_psql('postgres', <<'SQL');
-- all keys have a value of about 1 kB, and what others let go of is free again
CREATE PROCEDURE fill(cache regclass, version int, keys int) LANGUAGE plpgsql AS $$
DECLARE
	manual boolean := cache::text ~ 'manual';
BEGIN
	FOR part IN 0 .. keys / 1000 - 1 LOOP
		EXECUTE format('INSERT INTO %s SELECT k, make_value(k, $1) FROM generate_series($2 + 1, $2 + 1000) k', cache) USING version, part * 1000;
		COMMIT;
		IF manual THEN
			PERFORM nr_publish(cache);
		END IF;
	END LOOP;
	FOR i IN 1 .. 3 LOOP
		PERFORM nr_put(cache, 1, make_value(1, version));
		COMMIT;
		IF manual THEN
			PERFORM nr_publish(cache);
		END IF;
	END LOOP;
END $$;

-- Overwrites, deletes and perhaps truncates for so many milliseconds.
CREATE PROCEDURE churn(cache regclass, seed float, keys int, ms int, truncating boolean) LANGUAGE plpgsql AS $$
DECLARE
	ends timestamptz := clock_timestamp() + ms * interval '1 ms';
	manual boolean := cache::text ~ 'manual';
	r float;
	k int;
	done int := 0;
	truncates int := 0;
BEGIN
	PERFORM setseed(seed);
	WHILE clock_timestamp() < ends LOOP
		r := random();
		k := 1 + floor(random() * keys);
		IF r < 0.6 THEN
			PERFORM nr_put(cache, k, make_value(k, floor(random() * 1000000)::int));
		ELSIF r < 0.75 THEN
			PERFORM nr_delete(cache, k);
		ELSIF r < 0.8 THEN
			PERFORM nr_put(cache, k, make_value(k, 7)), nr_delete(cache, k), nr_put(cache, k, make_value(k, 8)), nr_put(cache, k, done || ':');
		ELSIF r < 0.83 THEN
			EXECUTE format('INSERT INTO %s SELECT i, make_value(i, $1) FROM generate_series($2, $2 + 50) i', cache) USING done, least(k, keys - 50);
		ELSIF r < 0.85 THEN
			EXECUTE format('DELETE FROM %s WHERE k = ANY ($1)', cache) USING ARRAY(SELECT generate_series(k, k + 50));
		ELSIF r < 0.851 AND truncating THEN
			PERFORM nr_truncate(cache);
			truncates := truncates + 1;
		END IF;
		done := done + 1;
		IF done % 20 = 0 THEN
			COMMIT;
			IF manual THEN
				PERFORM nr_publish(cache);
			END IF;
		END IF;
	END LOOP;
	COMMIT;
	IF manual THEN
		PERFORM nr_publish(cache);
	END IF;
	RAISE NOTICE 'done % truncated %', done, truncates;
END $$;

-- What is read is a value that was put, of its key.
CREATE PROCEDURE look(seed float, keys int, ms int) LANGUAGE plpgsql AS $$
DECLARE
	ends timestamptz := clock_timestamp() + ms * interval '1 ms';
	bad bigint;
	done int := 0;
	cache text;
BEGIN
	PERFORM setseed(seed);
	WHILE clock_timestamp() < ends LOOP
		FOREACH cache IN ARRAY ARRAY['one', 'two', 'two_commit', 'left_right', 'left_right_manual'] LOOP
			SELECT count(*) INTO bad FROM (SELECT k, nr_get(cache::regclass, k) AS v
				FROM (SELECT 1 + floor(random() * keys)::int AS k FROM generate_series(1, 300) OFFSET 0) ks OFFSET 0) got WHERE wrong(k, v);
			IF bad > 0 THEN
				RAISE EXCEPTION '%: % wrong values', cache, bad;
			END IF;
			done := done + 1;
			COMMIT;
		END LOOP;
		IF done % 20 = 0 THEN
			FOREACH cache IN ARRAY ARRAY['two', 'left_right'] LOOP
				EXECUTE format('SELECT count(*) FROM %I WHERE wrong(k, v)', cache) INTO bad;
				IF bad > 0 THEN
					RAISE EXCEPTION '%: % wrong values in a scan', cache, bad;
				END IF;
				COMMIT;
			END LOOP;
		END IF;
	END LOOP;
	RAISE NOTICE 'looked %', done;
END $$;
SQL

# Memory of each cache.
sub used
{
	my %used = map { split /\|/ } split /\n/, $node->safe_psql('postgres',
		'SELECT cache, memory_used FROM nr_caches WHERE cache IS NOT NULL');
	return \%used;
}

my @rounds;
my %count = (done => 0, truncated => 0, looked => 0);
my $ends = time + $seconds;
for (my $round = 0; $round < 3 || time < $ends; $round++)
{
	my @bad;

	# The first only fills.  Every third one truncates, too: in the others what is left of space adds up.
	if ($round > 0)
	{
		my $truncating = $round % 3 == 2 ? 'true' : 'false';
		my @running = map { my $c = $_; map { start_psql($node, "CALL churn('$c', " . rand() . ", $keys, $round_ms, $truncating)") } 1 .. 2 }
		  sort keys %caches;
		push @running, start_psql($node, 'CALL look(' . rand() . ", $keys, $round_ms)") foreach 1 .. 2;
		foreach my $p (@running)
		{
			my ($out, $err) = finish_psql($p);
			$count{$1} += $2 while $err =~ /(done|truncated|looked) (\d+)/g;
			push @bad, grep { /ERROR|FATAL|server closed/ } split /\n/, $err;
		}
	}
	my @filling = map { start_psql($node, "CALL fill('$_', $round, $keys)") } sort keys %caches;
	push @bad, grep { /ERROR|FATAL/ } split /\n/, (finish_psql($_))[1] foreach @filling;
	is(join("\n", @bad), '', "round $round: no error");
	is( $node->safe_psql(
			'postgres',
			'SELECT * FROM (' . join(' UNION ALL ',
				map { "SELECT '$_', count(*), count(*) FILTER (WHERE v IS DISTINCT FROM make_value(k, $round)) FROM $_" } sort keys %caches)
			  . ') u (c) ORDER BY c COLLATE "C"'),
		join("\n", map { "$_|$keys|0" } sort keys %caches),
		"round $round: all entries are there");
	is($node->safe_psql('postgres', "SELECT bool_and(nr_check(c::regclass)) FROM unnest('{" . join(',', sort keys %caches) . "}'::text[]) c"),
		't', "round $round: all caches are sound");

	my $used = used();
	foreach my $c (@two)
	{
		my $ratio = $used->{$c} / $used->{one};
		cmp_ok($ratio, '<', $most, sprintf('round %d: %s takes %.3f times the memory of one copy', $round, $c, $ratio));
	}
	push @rounds, $used;
	nr_nothing_left($node, "round $round");
	last unless Test::More->builder->is_passing;
}
diag(scalar(@rounds) . ' rounds: ' . join(', ', map { "$count{$_} $_" } sort keys %count));
cmp_ok($count{truncated}, '>', 0, 'there were truncates');
cmp_ok($count{done}, '>', 5000, 'and a lot else');
cmp_ok($count{looked}, '>', 10, 'and readers');

# What the first rounds need, the last ones do not exceed.
foreach my $c (sort keys %caches)
{
	my $first = max(map { $_->{$c} } @rounds[ 0 .. 2 ]);
	my $last = max(map { $_->{$c} } @rounds[ -2 .. -1 ]);

	cmp_ok($last, '<=', 1.1 * $first, sprintf('%s: %.1f MB in the end, %.1f in the beginning', $c, $last / 1048576, $first / 1048576));
}
nr_settled($node, 'after all rounds');
ok(!$node->log_contains('PANIC|was terminated by signal'), 'nothing crashed');
$node->stop;

# ---- where two copies of everything do not fit -----------------------------------------

my $quota = int($rows * 1.6);    # in kB, for $rows values of 1 kB
my $server = int(($quota + 65_536) / 1024);
$node = nr_node('large', "nr_cache.memory = '${server}MB'", "nr_cache.scan_memory = '${server}MB'");
$node->safe_psql('postgres', $functions);

my $load = "SELECT k, make_value(k, 1) FROM generate_series(1, $rows) k";
nr_cache($node, 'plain', 'k int, v text', "copies '2', aliasing 'off', memory '${quota}kB'");
nr_error($node, "INSERT INTO plain $load", '53200', qr/cache "plain" is full/, "$rows values of 1 kB, two plain copies");
cmp_ok($node->safe_psql('postgres', "SELECT entries FROM nr_caches WHERE cache = 'plain'::regclass"),
	'<', 0.9 * $rows, 'they do not fit');
$node->safe_psql('postgres', 'DROP FOREIGN TABLE plain');

foreach my $options ("copies '2', visibility 'immediate'", "scheme 'left_right', visibility 'manual'")
{
	my $publish = $options =~ /manual/ ? "SELECT nr_publish('aliased');" : '';
	my $right = "SELECT count(*) FROM generate_series(1, $rows) k WHERE nr_get('aliased', k) = make_value(k, CASE WHEN k %% 10 = 3 THEN %d ELSE 1 END)";

	$node->safe_psql('postgres',
		"CREATE FOREIGN TABLE aliased (k int, v text) SERVER nr_cache OPTIONS ($options, memory '${quota}kB')");
	$node->safe_psql('postgres', "INSERT INTO aliased $load; $publish");
	is($node->safe_psql('postgres', sprintf($right, 1)), $rows, "$options: they fit, and every value is right");
	is( $node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT k), count(*) FILTER (WHERE v <> make_value(k, 1)) FROM aliased'),
		"$rows|$rows|0", "$options: and so it is in a scan");
	is( $node->safe_psql('postgres',
			"SELECT memory_used <= memory_limit, memory_limit < 2.1 * (key_bytes + value_bytes), nr_check('aliased')
			   FROM nr_caches WHERE cache = 'aliased'::regclass"),
		't|t|t', "$options: within the quota, and sound");

	# in portions: what they replace is free when the next one comes
	foreach my $version (2, 3)
	{
		my $n = 1000;
		for (my $at = 0; $at < $rows; $at += 10 * $n)
		{
			$node->safe_psql('postgres',
				"INSERT INTO aliased SELECT k, make_value(k, $version) FROM generate_series($at + 3, least($at + 10 * $n, $rows), 10) k; $publish");
		}
	}
	is($node->safe_psql('postgres', sprintf($right, 3)), $rows, "$options: a tenth is replaced, twice");
	is($node->safe_psql('postgres', "SELECT nr_check('aliased')"), 't', "$options: and all is sound");
	$node->safe_psql('postgres', 'DROP FOREIGN TABLE aliased');
}
nr_settled($node, 'in the end');
$node->stop;

done_testing();
