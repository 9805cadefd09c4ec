# 100,000 statements of one session: its memory and shared memory do not grow.
#
# Each kind of statement is repeated by itself, so that a leak of a few bytes at each stands
# out and has a name; what belongs to warming up came before, in a round of every kind.
# NR_GROWTH_STATEMENTS: how many in all; NR_GROWTH_KINDS: a pattern, only these.
use strict;
use warnings FATAL => 'all';
use List::Util qw(max sum);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use NrTest;

my $statements = $ENV{NR_GROWTH_STATEMENTS} || 100_000;
my $warm_up = 20;

# The least that a statement can leak is a chunk of 24 bytes; what a kind may gain in all, an
# entry of the server's catalogue caches, must be less than it would leak in all.
my $least_leak = 24;
my $noise = 1024;
# Extents: a cache keeps a few that are free, and the least leak is one for each transaction.
my $extents = 16;

my $node = nr_node('growth', 'nr_cache.replicas = 2', "nr_cache.memory = '64MB'", 'max_prepared_transactions = 5',
	'log_min_messages = fatal', 'log_min_error_statement = panic', 'autovacuum = off', 'jit = off',
	'max_parallel_workers = 2', 'deadlock_timeout = 10ms');
my $columns = 'k int, v text';

nr_cache($node, 'i', $columns);
nr_cache($node, 'one', $columns, "copies '1'");
nr_cache($node, 'n', 'k text, v bigint');
nr_cache($node, 'strict', 'k int, v int NOT NULL CHECK (v > 0)');
nr_cache($node, 'wide', 'k uuid, a int, b text, c numeric[]', "log_size '64kB'");
$node->safe_psql('postgres', <<"SQL");
CREATE FOREIGN TABLE c ($columns) SERVER nr_cache;
CREATE FOREIGN TABLE c2 (k int, v text COLLATE "C") SERVER nr_cache OPTIONS (copies '2');
CREATE FOREIGN TABLE m ($columns) SERVER nr_cache OPTIONS (visibility 'manual');
CREATE FOREIGN TABLE l ($columns) SERVER nr_cache OPTIONS (scheme 'left_right', visibility 'immediate');
CREATE FOREIGN TABLE lc ($columns) SERVER nr_cache OPTIONS (scheme 'left_right');
CREATE TABLE plain AS SELECT k, md5(k::text) v FROM generate_series(1, 2000) k;
ALTER TABLE plain SET (parallel_workers = 2);
CREATE TABLE plain2 (k int, v text);
ANALYZE plain;
INSERT INTO i SELECT k, v FROM plain WHERE k <= 100;
INSERT INTO c SELECT k, v FROM plain WHERE k <= 100;
INSERT INTO one SELECT k, v FROM plain WHERE k <= 100;
CREATE FUNCTION looks(a int) RETURNS int LANGUAGE plpgsql STABLE AS \$\$
DECLARE found int := 0;
BEGIN
	FOR x IN 1 .. 5 LOOP found := found + length(nr_get('i', a + x, '')); END LOOP;
	RETURN found;
END \$\$;
CREATE FUNCTION writes(a int) RETURNS void LANGUAGE plpgsql AS \$\$
BEGIN
	PERFORM nr_put('c', a, 'plpgsql'), nr_put('i', a, 'plpgsql');
	BEGIN
		PERFORM nr_put('c', a + 1, 'lost'), nr_put('strict', a, -1);
	EXCEPTION WHEN check_violation THEN
		PERFORM nr_delete('c', a + 2);
	END;
END \$\$;
CREATE FUNCTION dynamic(t text, a int) RETURNS text LANGUAGE plpgsql AS \$\$
DECLARE r text;
BEGIN
	EXECUTE format('SELECT v FROM %I WHERE k = \$1', t) INTO r USING a;
	RETURN r;
END \$\$;
CREATE FUNCTION in_sql(a int) RETURNS text LANGUAGE sql STABLE AS \$\$ SELECT nr_get('i', a) \$\$;
CREATE FUNCTION on_insert() RETURNS trigger LANGUAGE plpgsql AS \$\$
BEGIN PERFORM nr_put('c2', NEW.k, NEW.v); RETURN NEW; END \$\$;
CREATE TRIGGER t BEFORE INSERT ON plain2 FOR EACH ROW EXECUTE FUNCTION on_insert();
SQL

# ---- kinds ----------------------------------------------------------------------------

# [name, lines of SQL, each a statement; %d is a small number], and how many errors it makes.
# "share": how much more often than others; less than 1 for what is slow, or rare in practice.
my @kinds;

sub kind
{
	my ($name, $lines, %more) = @_;
	my @lines = grep { /\S/ } split /\n/, $lines;

	push @kinds, { name => $name, lines => \@lines, errors => 0, share => 1, %more };
	return;
}

my %expressions = (
	get => "nr_get('i', %d)",
	get_missing => "nr_get('i', -%d)",
	get_typed => "nr_get('i', %d, 'none')",
	get_cast => "nr_get('i', '%d'), nr_get('n', %d), nr_get('wide', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid)",
	get_commit => "nr_get('c', %d), nr_get('lc', %d), nr_get('c2', %d)",
	get_many => "nr_get_many('i', ARRAY[%d, 2, 3, NULL, -1], '')",
	put => "nr_put('i', %d, repeat('x', %d))",
	put_one => "nr_put('one', %d, 'one copy')",
	put_long => "nr_put('i', 1, repeat('long %d', 200)), nr_put('i', 1, 'short')",
	put_commit => "nr_put('c', %d, 'value %d'), nr_put('c2', %d, 'w'), nr_put('lc', %d, 'x')",
	put_row => "nr_put('wide', ROW('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, %d, 'b', '{1,2.5}'::numeric[]))",
	put_left_right => "nr_put('l', %d, 'value %d')",
	put_manual => "nr_put('m', %d, 'value %d'), nr_publish('m')",
	pending => "nr_put('m', %d, 'p'), nr_pending('m'), nr_try_publish('m')",
	delete => "nr_put('i', %d, 'y'), nr_delete('i', %d), nr_delete('i', -5)",
	delete_commit => "nr_delete('c', %d), nr_delete('lc', %d)",
	swap => "nr_swap('i', %d, 'swapped'::text), nr_swap('l', %d, NULL::text)",
	cas => "nr_cas('i', %d, 'no', 'yes'), nr_cas('n', 'cas', NULL, 1::bigint), nr_cas('n', 'cas', 1::bigint, NULL)",
	incr => "nr_incr('n', 'total', 1::bigint)",
	truncate => "nr_truncate('one'), nr_put('one', 1, 'z'), nr_truncate('c2')",
	default => "nr_put('key %d', 'value'), nr_get('key %d'), nr_delete('key 7')",
	check => "nr_check('i'), nr_check('l')",
	reset => "nr_stat_reset()",
	sql_function => "in_sql(%d), dynamic('i', %d)",
	plpgsql => "looks(%d)",
	plpgsql_writes => "writes(%d)");
kind($_, "SELECT $expressions{$_}") foreach sort keys %expressions;

my %errors = (
	no_cache => "SELECT nr_get('nowhere', 1)",
	null_cache => "SELECT nr_get(NULL::regclass, 1)",
	not_a_cache => "SELECT nr_get('plain', 1)",
	bad_key => "SELECT nr_get('i', 'one')",
	key_range => "SELECT nr_put('i', 5000000000, 'x')",
	wrong_type => "SELECT nr_get('i', 1, 7)",
	swap_type => "SELECT nr_swap('n', 'x', 'y'::text)",
	not_null => "SELECT nr_put('strict', 1, NULL::int)",
	check => "SELECT nr_put('strict', 1, -%d)",
	check_dml => "INSERT INTO strict VALUES (%d, 1), (%d, -1)",
	row_type => "SELECT nr_put('wide', ROW(1, 2))",
	too_large => "SELECT nr_put('i', 1, repeat('x', 200000))",
	overflow => "SELECT nr_put('n', 'most', 9223372036854775807), nr_incr('n', 'most', 1::bigint)",
	not_manual => "SELECT nr_publish('i')",
	conflict => "INSERT INTO i VALUES (1, 'x') ON CONFLICT DO NOTHING",
	in_a_scan => "SELECT 1 / (k - k) FROM i",
	in_a_lookup => "SELECT 1 / (k - k) FROM i WHERE k = %d",
	in_a_cast => "SELECT nr_put('c', %d, 'x'), nr_get('i', v) FROM plain WHERE k = 1",
	options => "CREATE FOREIGN TABLE bad (k int, v int) SERVER nr_cache OPTIONS (ttl '5min')",
	row_lost => "INSERT INTO c SELECT k, (1 / (3 - k))::text FROM generate_series(1, 5) k",
	taken_row => "SELECT * FROM nr_take('i', NULL::m)");
kind("error $_", $errors{$_}, errors => 1) foreach sort keys %errors;

my %dml = (
	insert => "INSERT INTO i VALUES (%d, 'a'), (1%d, 'b')",
	insert_commit => "INSERT INTO c VALUES (%d, 'a') RETURNING v",
	insert_select => "INSERT INTO c SELECT k, v FROM plain WHERE k <= 30",
	insert_manual => "INSERT INTO m SELECT k, v FROM plain WHERE k <= 5",
	insert_trigger => "INSERT INTO plain2 VALUES (%d, 'trigger')",
	update => "UPDATE i SET v = v || '' WHERE k = %d",
	update_key => "UPDATE c SET k = k + 0, v = 'u' WHERE k IN (%d, 7)",
	update_all => "UPDATE one SET v = 'z%d'",
	delete => "DELETE FROM i WHERE k = %d RETURNING *",
	delete_scan => "DELETE FROM c WHERE k > 25",
	truncate => "TRUNCATE lc",
	copy_from => "COPY i FROM STDIN\n%d\tcopied\n2\tcopied\n\\.",
	copy_to => "COPY (SELECT * FROM i WHERE k < 20) TO STDOUT",
	scan => "SELECT count(*) FROM i",
	lookup => "SELECT v FROM i WHERE k = %d",
	lookup_many => "SELECT * FROM c WHERE k = ANY ('{%d,2,3}')",
	join => "SELECT count(*) FROM plain p JOIN i USING (k) WHERE p.k < 5",
	subquery => "SELECT (SELECT v FROM c WHERE c.k = p.k) FROM plain p WHERE k <= 4",
	explain => "EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM i WHERE k = %d",
	take => "SELECT count(*) FROM nr_take('one', NULL::one)",
	views => "SELECT * FROM nr_caches, nr_memory",
	more_views => "SELECT count(*) FROM nr_replicas, nr_logs l, nr_tokens WHERE l.cache = 'i'::regclass AND pid IS NOT NULL",
	crossings => "SELECT count(*) FROM nr_crossings");
my %share = (scan => .5, update_all => .5, insert_select => .5, explain => .5, views => .1, more_views => .1, take => .2,
	truncate => .3, copy_to => .5);
kind("statement $_", $dml{$_}, share => $share{$_} // 1) foreach sort keys %dml;

kind('savepoints', <<'SQL', errors => 2, share => .3);
BEGIN
SELECT nr_put('c', %d, 'one'), nr_put('c2', 1, 'one')
SAVEPOINT a
SELECT nr_put('c', %d, 'two')
SAVEPOINT b
SELECT nr_put('lc', %d, repeat('three', 100))
SELECT 1 / 0
ROLLBACK TO b
SELECT nr_get('c', %d), count(*) FROM c
RELEASE b
SELECT nr_put('strict', 1, -1)
ROLLBACK TO a
SELECT nr_truncate('c2')
SELECT nr_put('c', 3, 'four')
COMMIT
SQL
kind('rollback', <<'SQL', share => .5);
BEGIN
INSERT INTO c SELECT k, v FROM plain WHERE k <= 20
SELECT nr_truncate('lc'), nr_put('m', 1, 'stays')
UPDATE c2 SET v = v
ROLLBACK
SELECT nr_publish('m')
SQL
kind('failed transaction', <<'SQL', errors => 3, share => .5);
BEGIN
SELECT nr_put('c', %d, 'x')
SELECT nr_get('i', 'bad')
SELECT nr_get('i', 1)
COMMIT
BEGIN
SELECT nr_put('c', %d, 'x')
PREPARE TRANSACTION 'x'
SQL
kind('cursors', <<'SQL', share => .5);
BEGIN
DECLARE a CURSOR FOR SELECT * FROM i
FETCH 3 FROM a
DECLARE b CURSOR WITH HOLD FOR SELECT * FROM c WHERE k = %d
DECLARE d CURSOR FOR SELECT * FROM i WHERE k = 3
FETCH ALL FROM d
SELECT nr_put('c', 1, 'under a cursor')
COMMIT
FETCH ALL FROM b
CLOSE b
BEGIN
DECLARE a CURSOR FOR SELECT * FROM one
FETCH 1 FROM a
ROLLBACK
SQL
kind('prepared', <<'SQL');
EXECUTE lookup(%d)
EXECUTE reads(%d)
EXECUTE store(%d, 'prepared')
EXECUTE changes(%d)
SQL
kind('prepare', <<'SQL', share => .5);
PREPARE p(int) AS SELECT nr_get('i', $1), (SELECT v FROM c WHERE k = $1)
EXECUTE p(%d)
DEALLOCATE p
SQL
kind('plan invalidation', <<'SQL', share => .3);
DISCARD PLANS
EXECUTE lookup(%d)
EXECUTE store(%d, 'replanned')
SELECT looks(%d)
ALTER FOREIGN TABLE i OPTIONS (SET visibility 'immediate')
EXECUTE reads(%d)
EXECUTE changes(%d)
SQL
kind('do block', "DO \$\$ BEGIN PERFORM nr_get('i', %d), nr_put('c', %d, 'do'); END \$\$", share => .5);
kind('parallel', <<'SQL', share => .06);
SET parallel_setup_cost = 0
SELECT count(nr_get('i', k)), count(c.v) FROM plain LEFT JOIN c USING (k)
RESET parallel_setup_cost
SQL
kind('parallel after a write', <<'SQL', share => .06);
BEGIN
SET LOCAL parallel_setup_cost = 0
SELECT nr_put('c', %d, 'staged')
SELECT count(nr_get('c', k)) FROM plain
COMMIT
SQL
kind('ddl', <<'SQL', share => .1);
CREATE FOREIGN TABLE new (k int, v int) SERVER nr_cache OPTIONS (visibility 'immediate')
SELECT nr_put('new', %d, 1)
ALTER FOREIGN TABLE new RENAME v TO w
ALTER FOREIGN TABLE new ADD x int
INSERT INTO new VALUES (1, 2, 3)
DROP FOREIGN TABLE new
SQL
kind('ddl rolled back', <<'SQL', share => .1);
BEGIN
CREATE FOREIGN TABLE new (k int, v int) SERVER nr_cache
INSERT INTO new VALUES (%d, 1)
SAVEPOINT a
DROP FOREIGN TABLE c2
ROLLBACK TO a
ALTER FOREIGN TABLE c2 ADD y int
ROLLBACK
SQL

@kinds = grep { $_->{name} =~ /$ENV{NR_GROWTH_KINDS}/ } @kinds if $ENV{NR_GROWTH_KINDS};

# ---- the session -------------------------------------------------------------------------

# All contexts of the backend by name, and what is free in each replica.  Batches that a replica
# has yet to apply have extents, and the next writes give back what has become free, which is when all replicas have
# applied these: so all are brought to one position before, between and after.
my $follow = "SELECT bool_and(nr_check(ftrelid::regclass)) FROM pg_foreign_table;\n";
my $settle = $follow
  . ("SELECT nr_put('m', 1, 'm'), nr_publish('m');\n"
	  . join('', map { "SELECT nr_put('$_', 1, '$_');\n" } qw(i one c c2 l lc)) . $follow) x 2;
my $measure = $settle . <<'SQL';
SELECT sum(used_bytes) AS used, sum(total_bytes) AS total FROM pg_backend_memory_contexts \gset
SELECT string_agg(name || '=' || used, ';') AS detail
  FROM (SELECT name, sum(used_bytes) AS used FROM pg_backend_memory_contexts GROUP BY name) c \gset
SELECT string_agg(bytes_free / extent_bytes || '', ',' ORDER BY replica) AS free FROM nr_memory \gset
SQL

# The lines of a file with so many repetitions of a kind; then what the session has.
sub repeated
{
	my ($kind, $n, $phase) = @_;
	my $text = '';

	foreach my $i (1 .. $n)
	{
		foreach my $line (@{ $kind->{lines} })
		{
			my $sql = $line;
			my $d = 1 + $i % 50;

			$sql =~ s/%d/$d/g;
			# data of COPY is not ended by a semicolon
			$text .= $sql . ($kind->{copy} ? "\n" : ";\n");
		}
	}
	return $text . "\\warn end $phase $kind->{name}\n" . $measure
	  . "\\echo measured $phase|$kind->{name}|:used|:total|:free|:detail\n"
	  . "\\! grep RssAnon /proc/\$NR_PID/status\n";
}

# COPY ... FROM STDIN is a statement of several lines
foreach my $kind (@kinds)
{
	next if $kind->{name} ne 'statement copy_from';
	$kind->{copy} = 1;
	$kind->{lines}[0] .= ';';
}

sub count_of
{
	my ($kind) = @_;
	return $kind->{copy} ? 1 : scalar @{ $kind->{lines} };
}

my $unit = sum(map { $_->{share} * count_of($_) } @kinds);
my $script = <<'SQL';
SELECT pg_backend_pid() AS pid \gset
\setenv NR_PID :pid
PREPARE lookup(int) AS SELECT v FROM i WHERE k = $1;
PREPARE reads(int) AS SELECT nr_get('i', $1), nr_get('c', $1, '');
PREPARE store(int, text) AS INSERT INTO c VALUES ($1, $2);
PREPARE changes(int) AS UPDATE i SET v = 'changed' WHERE k = $1;
SQL
my $planned = 0;
foreach my $kind (@kinds)
{
	$kind->{n} = 1 + int($statements * $kind->{share} / $unit);
	$planned += $kind->{n} * count_of($kind);
}
$script .= repeated($_, $warm_up, 'first') foreach @kinds;
foreach my $kind (@kinds)
{
	# again, since other kinds were in between
	$script .= repeated($kind, 3, 'before') . repeated($kind, $kind->{n}, 'after');
}
my $file = $node->basedir . '/growth.sql';
append_to_file($file, $script);
my ($out, $err) = ('', '');
IPC::Run::run([ 'psql', '-XAtq', '-o', '/dev/null', '-v', 'ON_ERROR_STOP=0', '-d', $node->connstr('postgres'), '-f', $file ],
	'<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(5 * $PostgreSQL::Test::Utils::timeout_default))
  or BAIL_OUT("psql did not come to its end: $err");

# ---- what came out -------------------------------------------------------------------------

my (%at, @rss, $last);
foreach my $line (split /\n/, $out)
{
	if ($line =~ /^measured (\w+)\|([^|]*)\|(\d+)\|(\d+)\|([\d,]+)\|(.*)$/)
	{
		$last = $at{$2}{$1} = { used => $3, total => $4, free => [ split /,/, $5 ], detail => { map { split /=/ } split /;/, $6 } };
	}
	elsif ($line =~ /^RssAnon:\s+(\d+) kB/)
	{
		$last->{rss} = $1;
		push @rss, $last;
	}
}
my %errors_of;
my $errors = 0;
foreach my $line (split /\n/, $err)
{
	if ($line =~ /^end (\w+) (.*)$/)
	{
		$errors_of{"$1 $2"} = $errors;
		$errors = 0;
	}
	$errors++ if $line =~ /ERROR:/;
}

my (%grown, $most_held);
foreach my $kind (@kinds)
{
	my ($before, $after) = map { $at{ $kind->{name} }{$_} } qw(before after);
	my $name = $kind->{name};
	my $gain = $after->{used} - $before->{used};
	# PostgreSQL's statistics wait there until some time has passed
	my $waiting = ($after->{detail}{'PgStat Pending'} // 0) - ($before->{detail}{'PgStat Pending'} // 0);
	$gain -= $waiting if $waiting > 0;

	is($errors_of{"after $name"}, $kind->{errors} * $kind->{n}, "$name: $kind->{n} times, and as many errors as it makes");
	cmp_ok($gain, '<', $noise, "$name: used memory of the backend")
	  or diag(join "\n", map { sprintf('%s: %d', $_, $after->{detail}{$_} - ($before->{detail}{$_} // 0)) }
		  grep { $after->{detail}{$_} > ($before->{detail}{$_} // 0) } sort keys %{ $after->{detail} });
	cmp_ok($kind->{n} * $least_leak, '>', $noise, "$name: a leak would show") unless $ENV{NR_GROWTH_STATEMENTS};
	foreach my $r (0, 1)
	{
		cmp_ok($before->{free}[$r] - $after->{free}[$r], '<=', $extents, "$name: extents of replica $r");
	}
	$grown{$name} = $gain;
	$most_held = max($most_held // 0, map { $before->{free}[$_] - $after->{free}[$_] } 0, 1);
}

my ($first, $end) = ($at{ $kinds[-1]{name} }{first}, $at{ $kinds[-1]{name} }{after});
diag(sprintf '%d statements: contexts %d to %d bytes, blocks %d to %d, RssAnon %d to %d kB, free extents %s to %s, at most %d fewer after a kind; most by a kind: %s',
	$planned, $first->{used}, $end->{used}, $first->{total}, $end->{total}, $first->{rss}, $end->{rss},
	join('+', @{ $first->{free} }), join('+', @{ $end->{free} }), $most_held,
	join(', ', map { "$_ $grown{$_}" } (sort { $grown{$b} <=> $grown{$a} } keys %grown)[ 0 .. 4 ]));
cmp_ok($planned, '>=', $statements, 'as many statements as were wanted');
cmp_ok($end->{total} - $first->{total}, '<', 256 * 1024, 'blocks of all contexts, from the warm-up to the end');
cmp_ok($end->{rss} - $first->{rss}, '<', 2048, 'anonymous memory of the process');
cmp_ok($first->{free}[$_] - $end->{free}[$_], '<=', 2 * $extents, "extents of replica $_") foreach 0, 1;
nr_settled($node, 'at the end');
nr_nothing_left($node, 'at the end');

done_testing();
