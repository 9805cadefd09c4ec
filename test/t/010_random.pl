# The same random transactions against caches and plain tables, in more sessions
# than there are cores, under READ COMMITTED.  Each write of a key is made under the
# lock of its row and carries the row's version, drawn under that lock.  Whenever
# all sessions are idle, cache and table must be equal.  Meanwhile observers check
# what they see: no key goes back to an older version, every value was committed, and
# each transaction is seen whole.  Values are of lengths that two copies share
# (option aliasing) and that they do not; the seed decides which cache shares none.
#
# NR_RANDOM_OPS: operations in all; NR_RANDOM_SEED: what a run printed, to repeat it.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use NrTest;

my $ops = $ENV{NR_RANDOM_OPS} || 1_000_000;
my $seed = $ENV{NR_RANDOM_SEED} || time % 1_000_000 * 100 + $$ % 100;
my $sessions = 8;
my $rounds = 5;
my $keys = 60;
my $call = 200;    # operations of one CALL, which an error may end

diag("$ops operations, NR_RANDOM_SEED=$seed");
srand($seed);

my $node = nr_node('random', 'nr_cache.replicas = 2', 'synchronous_commit = off', 'deadlock_timeout = 10ms',
	'log_min_messages = fatal', 'log_min_error_statement = panic', 'max_wal_size = 4GB');

# What all sets share.  A value says its version, and follows from it.
$node->safe_psql('postgres', <<'SQL');
CREATE SEQUENCE versions;
CREATE UNLOGGED TABLE history (set int, tx xid8, k int, version bigint, live boolean);
CREATE UNLOGGED TABLE seen (snap int, set int, k int, version bigint);
CREATE SEQUENCE snaps;
CREATE TABLE control (stop boolean);
INSERT INTO control VALUES (false);
CREATE FUNCTION make_value(version bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT version::text || ':' || repeat(chr(97 + (version % 26)::int),
		(CASE WHEN version % 501 = 0 THEN 5000 WHEN version % 3 = 0 THEN 50 + version % 400 ELSE version % 40 END)::int) $$;
SQL

# A set: a table, a cache, and functions that write both.  k is NULL in the history of a truncate.
my $set = <<'SQL';
CREATE UNLOGGED TABLE t_N (k int PRIMARY KEY, version bigint, live boolean) WITH (fillfactor = 20);
CREATE FOREIGN TABLE c_N (k int, v text) SERVER nr_cache OPTIONS (OPTIONS_N);

CREATE FUNCTION write_N(key int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	r float := random();
	stays boolean := r < 0.75;
	ver bigint;
BEGIN
	INSERT INTO t_N AS t VALUES (key, nextval('versions'), stays)
		ON CONFLICT (k) DO UPDATE SET version = nextval('versions'), live = stays RETURNING version INTO ver;
	INSERT INTO history VALUES (N, pg_current_xact_id(), key, ver, stays);
	IF r < 0.6 THEN
		PERFORM nr_put('c_N', key, make_value(ver));
	ELSIF stays THEN
		INSERT INTO c_N VALUES (key, make_value(ver));
	ELSE
		PERFORM nr_delete('c_N', key);
	END IF;
END $$;

CREATE FUNCTION truncate_N() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	TRUNCATE t_N;
	PERFORM nr_truncate('c_N');
	INSERT INTO history VALUES (N, pg_current_xact_id(), NULL, nextval('versions'), false);
END $$;

-- what this transaction has written, as it sees it itself
CREATE FUNCTION check_own_N(ks int[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	FOR r IN SELECT t.k, CASE WHEN t.live THEN make_value(t.version) END AS v, nr_get('c_N', t.k) AS got, c.v AS scanned
			   FROM t_N t LEFT JOIN c_N c USING (k) WHERE t.k = ANY (ks)
	LOOP
		IF r.v IS DISTINCT FROM r.got OR r.v IS DISTINCT FROM r.scanned THEN
			RAISE EXCEPTION 'cache N does not show the own write of key %: % % %', r.k, r.v, r.got, r.scanned;
		END IF;
	END LOOP;
END $$;

-- Keys in order, so that transactions seldom deadlock.  Blocks that are undone
-- write keys around the one whose turn it is.
CREATE FUNCTION transaction_N(size int, keys int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	ks int[] := ARRAY(SELECT 1 + floor(random() * keys)::int AS k FROM generate_series(1, size) ORDER BY k);
	own int[] := '{}';
	key int;
	done int := 0;
	r float;
BEGIN
	IF random() < 0.02 THEN
		ks := ARRAY(SELECT k FROM unnest(ks) k ORDER BY random());
	END IF;
	IF random() < 0.002 THEN
		PERFORM truncate_N();
	END IF;
	FOREACH key IN ARRAY ks LOOP
		r := random();
		IF r < 0.85 THEN
			PERFORM write_N(key);
			own := own || key;
			done := done + 1;
			CONTINUE;
		END IF;
		BEGIN
			PERFORM write_N(key);
			done := done + 1;
			IF r < 0.90 THEN
				BEGIN
					PERFORM write_N(key);
					IF random() < 0.01 THEN
						PERFORM truncate_N();
						PERFORM write_N(key);
					END IF;
					PERFORM write_N(least(key + 1, keys));
					done := done + 2;
					IF r < 0.88 THEN
						RAISE EXCEPTION 'inner';
					END IF;
				EXCEPTION WHEN raise_exception OR deadlock_detected THEN
					PERFORM write_N(key);
				END;
			END IF;
			IF r > 0.97 OR r < 0.87 THEN
				RAISE EXCEPTION 'outer';
			END IF;
			own := own || key;
		EXCEPTION WHEN raise_exception OR deadlock_detected THEN
			NULL;
		END;
	END LOOP;
	IF random() < 0.1 THEN
		PERFORM check_own_N(own);
	END IF;
	RETURN done;
END $$;

-- All keys, in three ways; the first two see one moment.
CREATE FUNCTION sample_N(how int, keys int) RETURNS text[] LANGUAGE plpgsql AS $$
BEGIN
	IF how = 0 THEN
		-- one scan, and not a lookup of each key
		RETURN (WITH c AS MATERIALIZED (SELECT * FROM c_N)
			SELECT array_agg(c.v ORDER BY k) FROM generate_series(1, keys) k LEFT JOIN c USING (k));
	ELSIF how = 1 THEN
		RETURN nr_get_many('c_N', ARRAY(SELECT generate_series(1, keys)), NULL::text);
	END IF;
	RETURN ARRAY(SELECT nr_get('c_N', k) FROM generate_series(1, keys) k);
END $$;

-- After a round, with everybody idle.
CREATE FUNCTION differences_N() RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM (SELECT k, make_value(version) AS v FROM t_N WHERE live) t FULL JOIN c_N c USING (k)
	 WHERE t.v IS DISTINCT FROM c.v $$;
SQL

my @sets = ("copies '1'", "copies '2'", "scheme 'left_right'");
my $plain = $seed % 3;
$sets[$plain] .= ", aliasing 'off'";
diag("without aliasing: $sets[$plain]");
foreach my $n (1 .. @sets)
{
	(my $sql = $set) =~ s/OPTIONS_N/$sets[$n - 1]/;
	$sql =~ s/_N\b/_$n/g;
	$sql =~ s/\bN\b/$n/g;
	$node->safe_psql('postgres', $sql);
}

$node->safe_psql('postgres', <<'SQL');
-- one transaction after another, of which some roll back, until one fails or there were enough
CREATE PROCEDURE work(seed float, ops int, keys int) LANGUAGE plpgsql AS $$
DECLARE
	done int := 0;
	size int;
	which float;
BEGIN
	PERFORM setseed(seed);
	WHILE done < ops LOOP
		size := 1 + floor(random() * random() * 20)::int;
		which := random();
		IF which < 0.4 OR which > 0.9 THEN
			done := done + transaction_1(size, keys);
		END IF;
		IF which BETWEEN 0.4 AND 0.65 OR which > 0.9 THEN
			done := done + transaction_2(size, keys);
		END IF;
		IF which BETWEEN 0.65 AND 1 THEN
			done := done + transaction_3(size, keys);
		END IF;
		IF random() < 0.002 THEN
			RAISE EXCEPTION 'not caught, after %', done;
		ELSIF random() < 0.03 THEN
			ROLLBACK;
		ELSE
			COMMIT;
		END IF;
	END LOOP;
	RAISE NOTICE 'after %', done;
END $$;

-- at_least: what a key's next version must not be below
CREATE PROCEDURE observe(seed float, keys int) LANGUAGE plpgsql AS $$
DECLARE
	at_least bigint[] := array_fill(0::bigint, ARRAY[3 * keys]);
	samples int := 0;
	set int;
	how int;
	vs text[];
	versions bigint[];
	ver bigint;
	at int;
BEGIN
	PERFORM setseed(seed);
	WHILE NOT (SELECT stop FROM control) LOOP
		FOR i IN 1 .. 10 LOOP
			set := 1 + floor(random() * 3)::int;
			how := floor(random() * 3)::int;
			IF set = 1 THEN
				vs := sample_1(how, keys);
			ELSIF set = 2 THEN
				vs := sample_2(how, keys);
			ELSE
				vs := sample_3(how, keys);
			END IF;
			versions := '{}';
			FOR k IN 1 .. keys LOOP
				at := (set - 1) * keys + k;
				ver := split_part(vs[k], ':', 1);
				versions[k] := ver;
				IF ver IS NULL THEN
					CONTINUE WHEN at_least[at] % 2 = 1;
					at_least[at] := at_least[at] + 1;
					CONTINUE;
				END IF;
				IF vs[k] <> make_value(ver) THEN
					RAISE EXCEPTION 'cache %, key %: no value of version %: %', set, k, ver, vs[k];
				END IF;
				IF 2 * ver < at_least[at] THEN
					RAISE EXCEPTION 'cache %, key % (%): version % after version % (%)', set, k, how, ver,
						at_least[at] / 2, CASE at_least[at] % 2 WHEN 1 THEN 'deleted' ELSE 'there' END;
				END IF;
				at_least[at] := 2 * ver;
			END LOOP;
			samples := samples + 1;
			IF how < 2 AND samples % 20 = 0 THEN
				INSERT INTO seen SELECT n, set, k, versions[k] FROM nextval('snaps') n, generate_series(1, keys) k;
			END IF;
		END LOOP;
		COMMIT;
		PERFORM pg_sleep(0.05);
	END LOOP;
	RAISE NOTICE 'after %', samples;
END $$;

-- A round's transactions: each key's last version, unless truncated away again.  No tx: of an earlier round.
CREATE VIEW truncates AS SELECT set, tx, max(version) AS version FROM history WHERE k IS NULL GROUP BY set, tx;
CREATE VIEW writes AS
	SELECT w.* FROM (SELECT DISTINCT ON (set, tx, k) * FROM history WHERE k IS NOT NULL
					  ORDER BY set, tx, k, version DESC) w
	  LEFT JOIN truncates t USING (set, tx) WHERE t.version IS NULL OR t.version < w.version;

-- Before questions are asked.
CREATE TABLE written (LIKE history);
CREATE INDEX ON written (set, k, version);
CREATE INDEX ON written (set, tx);
CREATE INDEX ON seen (snap, k);
CREATE FUNCTION reckon() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	TRUNCATE written;
	INSERT INTO written SELECT * FROM writes;
	ANALYZE written, seen, history;
END $$;

-- Prepares for the next round.
CREATE FUNCTION forget() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	TRUNCATE history, seen;
	INSERT INTO history SELECT 1, NULL::xid8, k, version, live FROM t_1 UNION ALL
		SELECT 2, NULL, k, version, live FROM t_2 UNION ALL SELECT 3, NULL, k, version, live FROM t_3;
	UPDATE control SET stop = false;
END $$;
SQL

# Values that were seen and no transaction left behind.
my $uncommitted = <<'SQL';
SELECT s.* FROM seen s LEFT JOIN written w ON w.set = s.set AND w.k = s.k AND w.version = s.version AND w.live
 WHERE s.version IS NOT NULL AND w.k IS NULL LIMIT 10
SQL

# Where one write of a transaction is seen, each other one is: or something later on that key.
my $torn = <<'SQL';
WITH gone AS MATERIALIZED (
	SELECT w.set, w.k, greatest(max(w.version) FILTER (WHERE NOT live),
		(SELECT max(version) FROM truncates t WHERE t.set = w.set)) AS version FROM written w GROUP BY w.set, w.k)
SELECT s1.snap, s1.set, w1.tx, s1.k, s1.version, w2.k, w2.version, w2.live, s2.version
  FROM seen s1 JOIN written w1 ON w1.set = s1.set AND w1.k = s1.k AND w1.version = s1.version
  JOIN written w2 ON w2.set = w1.set AND w2.tx = w1.tx AND w2.k <> w1.k
  JOIN seen s2 ON s2.snap = s1.snap AND s2.set = s1.set AND s2.k = w2.k
  LEFT JOIN gone g ON g.set = w2.set AND g.k = w2.k
 WHERE CASE WHEN s2.version IS NOT NULL THEN s2.version < w2.version
			ELSE w2.live AND coalesce(g.version < w2.version, true) END
UNION ALL
SELECT s1.snap, s1.set, w1.tx, s1.k, s1.version, NULL, t.version, NULL, s2.version
  FROM seen s1 JOIN written w1 ON w1.set = s1.set AND w1.k = s1.k AND w1.version = s1.version
  JOIN truncates t ON t.set = w1.set AND t.tx = w1.tx
  JOIN seen s2 ON s2.snap = s1.snap AND s2.set = s1.set AND s2.version < t.version
 LIMIT 10
SQL

my $dir = PostgreSQL::Test::Utils::tempdir;
my %count = (ops => 0, samples => 0, 'not caught' => 0, deadlock => 0, committed => 0, snaps => 0);

# Sum up what a session says; returns the errors that should not be there.
sub count_of
{
	my ($what, $err) = @_;
	my @bad;

	foreach my $line (split /\n/, $err)
	{
		$count{$what} += $1 if $line =~ /after (\d+)$/;
		$count{'not caught'}++ if $line =~ /not caught/;
		$count{deadlock}++ if $line =~ /deadlock detected/;
		push @bad, $line if $line =~ /ERROR|FATAL|server closed/ && $line !~ /not caught|deadlock detected/;
	}
	return @bad;
}

foreach my $round (1 .. $rounds)
{
	my (@workers, @observers, @bad);
	my $calls = 1 + int(1.2 * $ops / $rounds / $sessions / $call);	# some end early

	$node->safe_psql('postgres', 'SELECT forget()');
	foreach my $i (1 .. 2)
	{
		push @observers, start_psql($node, 'CALL observe(' . rand() . ", $keys)");
	}
	foreach my $i (1 .. $sessions)
	{
		# some sessions are slow where another transaction may overtake them
		my $slow = $i == 1 ? 'commit_append:nap:5' : $i == 2 ? '*:nap:500' : '';
		my $file = "$dir/work_${round}_$i.sql";
		append_to_file($file,
			"SET nr_cache.test_point = '$slow';\n"
			  . join('', map { 'CALL work(' . rand() . ", $call, $keys);\n" } 1 .. $calls));
		push @workers, start_psql_file($node, $file);
	}
	push @bad, count_of('ops', (finish_psql($_))[1]) foreach @workers;
	$node->safe_psql('postgres', 'UPDATE control SET stop = true');
	push @bad, count_of('samples', (finish_psql($_))[1]) foreach @observers;

	is(join("\n", @bad), '', "round $round: no error but those that were raised");
	foreach my $n (1 .. @sets)
	{
		is($node->safe_psql('postgres', "SELECT differences_$n()"), '0', "round $round: table and cache $n are equal")
		  or diag($node->safe_psql('postgres',
			"SELECT k, version, live, left(c.v, 30) FROM t_$n FULL JOIN c_$n c USING (k) ORDER BY k"));
		is($node->safe_psql('postgres', "SELECT nr_check('c_$n')"), 't', "round $round: cache $n is sound");
	}
	$node->safe_psql('postgres', 'SELECT reckon()');
	is($node->safe_psql('postgres', $uncommitted), '', "round $round: all that was seen was committed");
	is($node->safe_psql('postgres', $torn), '', "round $round: every transaction was seen whole");
	$count{committed} += $node->safe_psql('postgres', 'SELECT count(*) FROM history WHERE tx IS NOT NULL');
	$count{snaps} += $node->safe_psql('postgres', 'SELECT count(DISTINCT snap) FROM seen');
	nr_nothing_left($node, "round $round");
	last unless Test::More->builder->is_passing;
}

diag(join(', ', map { "$count{$_} $_" } sort keys %count));
cmp_ok($count{ops}, '>=', $ops, 'all operations were made');
cmp_ok($count{committed}, '>', 0.7 * $ops, 'and most committed');
cmp_ok($count{snaps}, '>', 20, 'observers were there');
nr_settled($node, 'in the end');
ok(!$node->log_contains('PANIC|was terminated by signal'), 'nothing crashed');

done_testing();
