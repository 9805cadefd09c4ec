# Everything that has a bound: right up to it, a clean error beyond it, right afterwards, and
# nothing has leaked.  The table below lists every bound; a setting, an option or a message
# about a limit that is not in it, or that no test has met, is a failure.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use NrTest;

# Settings: what pg_settings says of them, smallest and largest value.
my %settings = (
	'nr_cache.log_size' => '64..1048576 kB',
	'nr_cache.max_batch' => '64..1048576 kB',
	'nr_cache.max_caches' => '1..65000 ',
	'nr_cache.max_entry' => '64..16777216 B',
	'nr_cache.max_sessions' => '0..65000 ',
	'nr_cache.memory' => '4..16777216 MB',
	'nr_cache.replica' => '-1..15 ',
	'nr_cache.replicas' => '.. ',    # auto, 1 to 16
	'nr_cache.scan_memory' => '64..2147483647 kB',
	'nr_cache.workers' => '.. ');    # on, off; without max_worker_processes: 024_workers

# Options of a cache, and what is the least that each takes.
my %options = (
	scheme => undef, copies => undef, aliasing => undef, visibility => undef,
	memory => 64, log_size => 64);

# What is said beyond a bound: SQLSTATE, what the hint names, the parts of the message.  "guard": a
# check behind another one, which nothing that a user can say gets to.
my %limits = (
	'key of # bytes is too long for cache "#"' => [ '54000', qr/md5/ ],
	'entry of # bytes is too large for cache "#"' => [ '54000', qr/nr_cache\.max_entry|DETAIL:.*together/ ],
	'old and new value are too large to be compared and replaced in cache "#"' => [ '54000', qr/nr_put|max_batch/ ],
	'transaction writes too much to cache "#"' => [ '54000', qr/nr_cache\.max_batch/ ],
	'too much is pending for cache "#"' => [ '54000', qr/nr_publish.*nr_cache\.max_batch/ ],
	'UPDATE changes too many keys of cache "#"' => [ '54000', qr/nr_cache\.max_batch/ ],
	'batch of # kB is too large for cache "#"' => 'guard',
	'# bytes in one step are too many for cache "#"' => 'guard',
	'too many keys for nr_get_many(): #' => [ '54000', qr/several calls/ ],
	'result of nr_get_many() would be larger than # MB' => [ '54000', qr/fewer keys/ ],
	'scan of cache "#" needs # kB of memory' => [ '54000', qr/nr_cache\.scan_memory/ ],
	'no sample was taken of cache "#": a copy of it needs # kB of memory' => [ '54000', qr/nr_cache\.scan_memory/ ],
	'cache "#" is full' => [ '53200', qr/option "memory"|smaller portions/ ],
	'no memory is left for cache "#"' => [ '53200', qr/nr_cache\.memory/ ],
	'not enough cache memory to set up cache "#"' => [ '53200', qr/log_size.*nr_cache\.memory/ ],
	'too many caches are in use' => [ '53400', qr/nr_cache\.max_caches/ ],
	'too many processes use caches at the same time' => [ '53400', qr/nr_cache\.max_sessions/ ]);

my %met;
my $node;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# A statement that goes beyond; "level" for what is a warning.
sub beyond
{
	my ($sql, $limit, $name, $level) = @_;
	my ($state, $hint) = @{ $limits{$limit} };
	my $message = join '[^\n]*', map { quotemeta } split /#/, $limit, -1;
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");

	$level ||= 'ERROR';
	like($err // '', qr/$level:  $state: $message\n/, "$name: $state");
	like($err // '', qr/$hint/s, "$name: what to do");
	$met{$limit}++;
	return;
}

# The largest n up to "most" for which the statement goes well; it must leave nothing behind.
sub largest
{
	my ($most, $statement) = @_;
	my ($low, $high) = (0, $most + 1);

	while ($high - $low > 1)
	{
		my $n = int(($low + $high) / 2);
		my ($rc, $out, $err) = $node->psql('postgres', $statement->($n));
		if ($rc == 0 && $err !~ /ERROR/) { $low = $n } else { $high = $n }
	}
	return $low;
}

# What is taken of the memory, when only nr_default is left (which may be in use).
sub all_free
{
	my ($name) = @_;
	my $caches = sql("SELECT string_agg(ftrelid::regclass::text, ', ') FROM pg_foreign_table WHERE ftrelid <> 'nr_default'::regclass");

	nr_settled($node, $name);
	nr_nothing_left($node, $name);
	sql("SET client_min_messages = warning; DROP FOREIGN TABLE $caches") if $caches ne '';
	ok( $node->poll_query_until('postgres',
			'SELECT bool_and(bytes - bytes_free = (SELECT coalesce(sum(memory_used + log_memory), 0) FROM nr_caches)) FROM nr_memory'),
		"$name: everything is free again");
	return;
}

# ---- entry, key, batch: settings that just go together ------------------------------------

$node = nr_node('tight', "nr_cache.memory = '24MB'", "nr_cache.max_entry = '64kB'", "nr_cache.max_batch = '64kB'", 'nr_cache.replicas = 2', 'max_prepared_transactions = 2');
my %kinds = (im => "visibility 'immediate'", co => "visibility 'commit'", ma => "visibility 'manual'", two => "copies '2', visibility 'commit'", lr => "scheme 'left_right', visibility 'immediate'");

is( sql("SELECT string_agg(name || ' ' || coalesce(min_val, '') || '..' || coalesce(max_val, '') || ' ' || coalesce(unit, ''), ', ' ORDER BY name COLLATE \"C\") FROM pg_settings
	   WHERE name LIKE 'nr\\_cache.%' AND name !~ 'test_'"),
	join(', ', map { "$_ $settings{$_}" } sort keys %settings), 'the table has every setting, with its bounds');
my ($rc, $out, $err) = $node->psql('postgres', 'CREATE FOREIGN TABLE c (k int, v int) SERVER nr_cache OPTIONS (nosuch $$1$$)');
is(join(', ', sort split /, /, $err =~ /in this context are: ([^.]*)\./ ? $1 : $err), join(', ', sort keys %options), 'the table has every option');
foreach my $option (grep { defined $options{$_} } sort keys %options)
{
	sql("CREATE FOREIGN TABLE least (k int, v int) SERVER nr_cache OPTIONS ($option '$options{$option}kB', visibility 'immediate'); INSERT INTO least SELECT i, i FROM generate_series(1, 1000) i;
		SELECT 1 / (count(*) = 1000)::int FROM least; DROP FOREIGN TABLE least");
	nr_error($node, "CREATE FOREIGN TABLE least (k int, v int) SERVER nr_cache OPTIONS ($option '" . ($options{$option} - 1) . "kB')", '22023', qr/HINT:.*$options{$option}kB/, "option $option, less than the least");
	nr_error($node, "CREATE FOREIGN TABLE least (k int, v int) SERVER nr_cache OPTIONS ($option '3TB')", '22023', qr/invalid value/, "option $option, more than the most");
	sql("CREATE FOREIGN TABLE most_$option (k int, v int) SERVER nr_cache OPTIONS ($option '2147483647kB')");
}
beyond("SELECT nr_put('most_log_size', 1, 1)", 'not enough cache memory to set up cache "#"', 'a log of 2 TB');
sql("ALTER FOREIGN TABLE most_log_size OPTIONS (SET log_size '64kB')");
is(sql("SELECT nr_put('most_log_size', 1, 1)"), 't', 'with a smaller log it is set up');

my $entry = 65536;
foreach my $kind (sort keys %kinds)
{
	my $show = $kind eq 'ma' ? "SELECT nr_publish('$kind') > 0 \\g /dev/null\n" : '';

	sql("CREATE FOREIGN TABLE $kind (k text, v text) SERVER nr_cache OPTIONS ($kinds{$kind})");
	foreach my $key (1, 7, 8, 9, 1000, 2048)
	{
		my $length = $entry - $key - 4;
		is(sql("SELECT nr_put('$kind', repeat('k', $key), repeat('v', $length)) \\g /dev/null\n$show SELECT length(nr_get('$kind', repeat('k', $key)))"), $length, "$kind: the largest entry with a key of $key bytes");
		beyond("SELECT nr_put('$kind', repeat('k', $key), repeat('w', $length + 1))", 'entry of # bytes is too large for cache "#"', "$kind: one byte more");
		beyond("INSERT INTO $kind VALUES (repeat('k', $key), repeat('w', $length + 1))", 'entry of # bytes is too large for cache "#"', "$kind: one byte more, INSERT") if $key == 8;
		is(sql("SELECT nr_get('$kind', repeat('k', $key)) = repeat('v', $length)"), 't', "$kind: and the entry stays");
	}
	beyond("SELECT nr_put('$kind', repeat('k', 2049), 'x'::text)", 'key of # bytes is too long for cache "#"', "$kind: a longer key");
	beyond("SELECT nr_get('$kind', repeat('k', 2049))", 'key of # bytes is too long for cache "#"', "$kind: a longer key is looked up") if $kind eq 'im';
	is(sql("SELECT count(*) FROM $kind WHERE k = repeat('k', 2049)"), '0', "$kind: and found by no query");
	is(sql("SELECT nr_delete('$kind', repeat('k', 2048)), nr_delete('$kind', 'k') \\g /dev/null\n$show SELECT count(*), nr_check('$kind') FROM $kind"), '4|t', "$kind: they can be deleted");
}

# what becomes one batch
foreach my $kind (qw(co two))
{
	my $put = sub { "INSERT INTO $kind SELECT 'key ' || i, repeat('x', 100) FROM generate_series(1, $_[0]) i" };
	my $n = largest(5000, sub { 'BEGIN; ' . $put->($_[0]) . '; ROLLBACK' });

	cmp_ok($n, '>', 100, "$kind: $n entries in a transaction");
	is(sql($put->($n) . "; SELECT count(*) FROM $kind WHERE k LIKE 'key %'"), $n, "$kind: they commit");
	beyond($put->($n + 1), 'transaction writes too much to cache "#"', "$kind: one more");
	beyond('BEGIN; ' . $put->($n) . "; SAVEPOINT s; SELECT nr_put('$kind', 'more', repeat('x', 100)); ROLLBACK TO s; COMMIT", 'transaction writes too much to cache "#"', "$kind: one more in a savepoint");
	is(sql("SELECT count(*) FROM $kind WHERE k LIKE 'key %'"), $n, "$kind: what was before it committed");

	# versions that savepoints may need count, until they are gone
	my $version = "SAVEPOINT s; SELECT nr_put('$kind', 'again', repeat('x', 5000))";
	beyond('BEGIN; ' . "$version; " x 30, 'transaction writes too much to cache "#"', "$kind: versions");
	is(sql("BEGIN; SAVEPOINT a; " . "$version; " x 10 . 'ROLLBACK TO a; ' . "$version; ROLLBACK TO s; " x 30 . "$version; COMMIT; SELECT length(nr_get('$kind', 'again'))") =~ s/.*\n//sr, '5000', "$kind: rolled back, they do not");
	sql("DELETE FROM $kind WHERE k LIKE 'key %' OR k = 'again'");
}
my $pending = 0;
$node->psql('postgres', "SELECT nr_put('ma', 'key ' || i, repeat('x', 100)) FROM generate_series(1, 5000) i");
$pending = sql("SELECT nr_pending('ma')");
cmp_ok($pending, '>', 100, "ma: $pending pending");
beyond("SELECT nr_put('ma', 'one more', repeat('x', 100))", 'too much is pending for cache "#"', 'ma: one more');
is(sql("SELECT nr_pending('ma')"), $pending, 'ma: what is pending stays');
is(sql("SELECT nr_publish('ma')"), $pending, 'ma: and is published');
is(sql("SELECT nr_put('ma', 'one more', 'x'::text), nr_publish('ma')"), 't|1', 'ma: after which there is room');
sql("DELETE FROM ma WHERE k LIKE 'key %'; SELECT nr_publish('ma')");

foreach my $kind (qw(im lr))
{
	my $move = sub { "INSERT INTO $kind SELECT 'key ' || i, repeat('x', 100) FROM generate_series(1, 2000) i; UPDATE $kind SET k = 'moved ' || k WHERE k IN (SELECT 'key ' || i FROM generate_series(1, $_[0]) i)" };
	my $n = largest(2000, $move);

	cmp_ok($n, '>', 10, "$kind: an UPDATE of $n keys");
	sql("SELECT nr_truncate('$kind')");
	is(sql($move->($n) . "; SELECT count(*) FILTER (WHERE k LIKE 'moved%'), count(*) FROM $kind"), "$n|2000", "$kind: all of them move");
	sql("SELECT nr_truncate('$kind')");
	beyond($move->($n + 1), 'UPDATE changes too many keys of cache "#"', "$kind: one more");
	is(sql("SELECT count(*) FILTER (WHERE k LIKE 'moved%'), count(*), nr_check('$kind') FROM $kind"), '0|2000|t', "$kind: none has moved");
	sql("SELECT nr_truncate('$kind')");
}

# ---- savepoints, prepared transactions, columns -----------------------------------------------

my $deep = 2000;
is( sql("BEGIN; " . join('', map { "SAVEPOINT s$_; SELECT nr_put('co', 'deep $_', 'x'::text) \\g /dev/null\n" } 1 .. $deep / 10) . 'ROLLBACK TO s' . ($deep / 20) . "; COMMIT; SELECT count(*) FROM co WHERE k LIKE 'deep%'"),
	$deep / 20 - 1, 'savepoints in one another');
is( sql("CREATE FUNCTION deep(n int) RETURNS int LANGUAGE plpgsql AS \$\$ BEGIN PERFORM nr_put('co', 'level ' || n, 'x'::text); IF n > 1 THEN PERFORM deep(n - 1); END IF; IF n = 100 THEN RAISE 'enough'; END IF; RETURN 1; EXCEPTION WHEN raise_exception THEN RETURN 0; END \$\$;
		SELECT deep(300); SELECT count(*) FROM co WHERE k LIKE 'level%'"), "1\n200", 'savepoints of functions that call themselves');
nr_error($node, "SELECT deep(1000000)", '54001', qr/max_stack_depth/, 'until the stack is full');
is(sql("SELECT count(*) FROM co WHERE k LIKE 'level%'"), '200', 'which rolls back');

nr_error($node, "BEGIN; SELECT nr_put('co', 'prepared', 'x'::text); PREPARE TRANSACTION 'x'", '0A000', qr/PREPARE|prepare/, 'what is staged cannot be prepared');
sql("BEGIN; SELECT nr_get('co', 'x'); PREPARE TRANSACTION 'p$_'") foreach 1 .. 2;
nr_error($node, "BEGIN; SELECT nr_get('co', 'x'); PREPARE TRANSACTION 'p3'", '53200', qr/max_prepared_transactions/, 'prepared transactions that have read');
is(sql("SELECT nr_put('co', 'prepared', 'x'::text); COMMIT PREPARED 'p1'; ROLLBACK PREPARED 'p2'; SELECT nr_get('co', 'prepared')"), "t\nx", 'others write meanwhile and after');

sql('CREATE FOREIGN TABLE wide (k int, ' . join(', ', map { "c$_ int" } 1 .. 1599) . ") SERVER nr_cache OPTIONS (visibility 'immediate')");
is(sql('INSERT INTO wide VALUES (1' . ', 7' x 1599 . "); SELECT (nr_get('wide', 1, NULL::wide)).c1599, nr_check('wide')"), '7|t', '1600 columns');

# ---- keys per call, size of an answer, scans -----------------------------------------------------

sql("CREATE FOREIGN TABLE many (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate'); INSERT INTO many SELECT i, 'x' || i FROM generate_series(1, 1000) i");
my $keys = sub { "nr_get_many('many', (SELECT array_agg(i) FROM generate_series(1, $_[0]) i), NULL::text)" };
is(sql('SELECT cardinality(a), a[1000] FROM (SELECT ' . $keys->(1_000_000) . ' AS a) s'), '1000000|x1000', 'as many keys in a call as there may be');
beyond('SELECT ' . $keys->(1_000_001), 'too many keys for nr_get_many(): #', 'one key more');
my $answer = sub { "SELECT cardinality(nr_get_many('many', (SELECT array_agg(-i) FROM generate_series(1, $_[0]) i), repeat('x', 60000)))" };
is(sql($answer->(500)), '500', 'an answer of 30 MB');
beyond($answer->(18000), 'result of nr_get_many() would be larger than # MB', 'an answer of 1 GB');

my $scan = sub { "SET nr_cache.scan_memory = '$_[0]kB'; SELECT count(*) FROM many" };
sql("INSERT INTO many SELECT i, repeat('x', 100) FROM generate_series(1, 5000) i");
my $refused = largest(100_000, sub { "DO \$\$ BEGIN PERFORM set_config('nr_cache.scan_memory', (64 + $_[0]) || 'kB', false); PERFORM count(*) FROM many; RAISE 'fits' USING ERRCODE = 'ZZZZZ'; EXCEPTION WHEN program_limit_exceeded THEN NULL; END \$\$" }) + 64;
cmp_ok($refused, '>', 100, "a scan is refused $refused kB");
is(sql($scan->($refused + 1)), '5000', 'with one more it has enough');
beyond($scan->($refused), 'scan of cache "#" needs # kB of memory', 'not with one less');
beyond("SET nr_cache.scan_memory = '${refused}kB'; ANALYZE many", 'no sample was taken of cache "#": a copy of it needs # kB of memory', 'ANALYZE', 'WARNING');
is(sql("SET nr_cache.scan_memory = '64kB'; SELECT v = repeat('x', 100) FROM many WHERE k = 5000"), 't', 'lookups need none');
sql('DELETE FROM many WHERE k > 4990');
is(sql($scan->($refused)), '4990', 'and after some are deleted it fits');
all_free('entries and batches');
$node->stop;

# ---- two values in one operation -------------------------------------------------------------------

$node = nr_node('wide', "nr_cache.memory = '24MB'", "nr_cache.max_entry = '16MB'", 'nr_cache.replicas = 1');
my ($lowered) = slurp_file($node->logfile) =~ /"nr_cache.max_entry" is lowered from 16777216 to (\d+) bytes/;
ok($lowered, 'an entry must fit an extent');
foreach my $kind (sort keys %kinds)
{
	my $show = $kind eq 'ma' ? "SELECT nr_publish('$kind') > 0 \\g /dev/null\n" : '';

	sql("CREATE FOREIGN TABLE $kind (k text, v text) SERVER nr_cache OPTIONS ($kinds{$kind})");
	foreach my $key (1, 4, 7, 8, 9, 15, 16, 17)
	{
		my $length = $lowered - $key - 4;
		is( sql("SELECT nr_put('$kind', repeat('k', $key), repeat('v', $length)) \\g /dev/null\n$show SELECT length(nr_get('$kind', repeat('k', $key)))"),
			$length, "$kind: an entry as large as an extent lets it be, key of $key bytes");
		beyond("SELECT nr_put('$kind', repeat('k', $key), repeat('w', $length + 1))", 'entry of # bytes is too large for cache "#"', "$kind: one byte more");
	}
}
my $cas = sub { "SELECT nr_put('im', 'c', repeat('a', $_[0])) \\g /dev/null\nSELECT nr_cas('im', 'c', repeat('a', $_[0]), repeat('b', $_[0]))" };
my $half = largest(200_000, $cas);
is(sql($cas->($half)), 't', "two values of $half bytes can be compared and replaced");
beyond($cas->($half + 1), 'old and new value are too large to be compared and replaced in cache "#"', 'one byte more each');
is(sql("SELECT nr_get('im', 'c') = repeat('a', $half + 1)"), 't', 'and nothing has changed');
is(sql("SELECT nr_put('im', 'c', 'small'::text), nr_swap('im', 'c', repeat('b', $half)), nr_cas('im', 'c', repeat('b', $half), 'x')"), 'f|small|t', 'smaller ones can');
all_free('large entries');
$node->stop;

# ---- quota, region, places, tokens, logs ----------------------------------------------------------------

$node = nr_node('full', "nr_cache.memory = '16MB'", 'nr_cache.replicas = 2', 'nr_cache.max_caches = 4', 'nr_cache.max_sessions = 3', 'nr_cache.workers = off', "nr_cache.max_batch = '1MB'");
foreach my $kind (sort keys %kinds)
{
	my $publish = $kind eq 'ma' ? "PERFORM nr_publish('$kind');" : '';
	my $fill = "DO \$\$ DECLARE i int; BEGIN SELECT count(*) INTO i FROM $kind; LOOP i := i + 1; PERFORM nr_put('$kind', 'key ' || i, repeat(chr(97 + i % 26), 3000)); $publish COMMIT; END LOOP; END \$\$";
	my $sound = "SELECT count(*) = max(substr(k, 5)::int), bool_and(v = repeat(chr(97 + substr(k, 5)::int % 26), 3000)), nr_check('$kind'),
		(SELECT memory_used <= memory_limit FROM nr_caches WHERE cache = '$kind'::regclass) FROM $kind";

	sql("CREATE FOREIGN TABLE $kind (k text, v text) SERVER nr_cache OPTIONS ($kinds{$kind}, memory '3MB')");
	beyond($fill, 'cache "#" is full', "$kind: until it is full");
	my $n = sql("SELECT count(*) FROM $kind");
	cmp_ok($n, '>', 100, "$kind: $n entries");
	is(sql($sound), 't|t|t|t', "$kind: all that fitted is there, and sound");

	# what is pending can only be dropped
	if ($kind ne 'ma')
	{
		sql("DELETE FROM $kind WHERE k IN (SELECT 'key ' || i FROM generate_series($n - 50, $n) i)");
		sql("SELECT nr_put('$kind', 'key ' || $n - 50, repeat(chr(97 + ($n - 50) % 26), 3000))");
		is(sql($sound), 't|t|t|t', "$kind: what is deleted makes room");
		beyond($fill, 'cache "#" is full', "$kind: until it is full again");
		cmp_ok(sql("SELECT count(*) FROM $kind"), '>', $n - 60, "$kind: with about as much as before");
		sql("SELECT nr_truncate('$kind')");
		beyond($fill, 'cache "#" is full', "$kind: also after nr_truncate");
		cmp_ok(sql("SELECT count(*) FROM $kind"), '>', $n - 60, "$kind: with about as much as before");
	}
	sql("DROP FOREIGN TABLE $kind");
}
all_free('full caches');

sql("CREATE FOREIGN TABLE $_ (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate')") foreach qw(a b);
sql("INSERT INTO a SELECT i, repeat('a', 1000) FROM generate_series(1, 2000) i");
beyond("INSERT INTO b SELECT i, repeat('b', 1000) FROM generate_series(1, 100000) i", 'no memory is left for cache "#"', 'until all memory is taken');
my $b = sql('SELECT count(*) FROM b');
beyond("SELECT nr_put('a', -i, repeat('a', 1000)) FROM generate_series(1, 5000) i", 'no memory is left for cache "#"', 'for the other cache, too');
is(sql("SELECT count(*) FILTER (WHERE k > 0), nr_check('a') FROM a"), '2000|t', 'which has lost nothing');
is(sql("SELECT count(*) = $b AND bool_and(v = repeat('b', 1000)), nr_check('b') FROM b"), 't|t', 'nor has this one');
is(sql("BEGIN; CREATE FOREIGN TABLE c (k int, v text) SERVER nr_cache; SAVEPOINT s; DROP FOREIGN TABLE b; ROLLBACK TO s; COMMIT; SELECT count(*) FROM b"), $b, 'a DROP that is rolled back frees nothing');
sql('DROP FOREIGN TABLE b');
is(sql("SELECT count(nr_put('a', -i, repeat('a', 1000))) FROM generate_series(1, 2000) i"), '2000', 'one that commits makes room');

# places
sql("CREATE FOREIGN TABLE $_ (k int, v text) SERVER nr_cache; SELECT nr_get('$_', 1)") foreach qw(d e);
sql("SELECT nr_get('x')");
is(sql('SELECT count(*) FROM nr_caches'), '4', 'all places are taken');
beyond("SELECT nr_get('c', 1)", 'too many caches are in use', 'one cache more');
beyond("BEGIN; SELECT nr_get('d', 1); SAVEPOINT s; SELECT nr_put('c', 1, 'x'::text)", 'too many caches are in use', 'and in a transaction');
is(sql("DROP FOREIGN TABLE e; SELECT nr_put('c', 1, 'x'::text)"), 't', 'DROP makes a place');

# tokens
my @psql = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 3;
is($psql[$_]->query("SELECT nr_put('c', 10 + $_, 'x'::text)"), 't', 'token ' . ($_ + 1)) foreach 1 .. 2;
is($psql[0]->query("SELECT count(*) FROM c"), '3', 'token 1');
beyond("SELECT nr_get('c', 1)", 'too many processes use caches at the same time', 'one session more');
beyond("BEGIN; INSERT INTO c VALUES (9, 'x')", 'too many processes use caches at the same time', 'and one that writes');
$psql[0]->quit;
ok($node->poll_query_until('postgres', 'SELECT count(*) = 2 FROM nr_tokens'), 'a session ends');
is(sql("SELECT nr_get('c', 9) IS NULL, nr_get('c', 12)"), 't|x', 'and its token is there for another');

# the log, while a reader on replica 0 is stopped inside
sql("DROP FOREIGN TABLE d; CREATE FOREIGN TABLE busy (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate', log_size '64kB')");
my ($stop, $write) = @psql[ 1, 2 ];
$write->query("SET nr_cache.replica = 1; SELECT nr_put('busy', 0, 'x'::text)");
$stop->query("SET nr_cache.replica = 0; SELECT nr_get('busy', 0)");
my $pid = $stop->query('SELECT pg_backend_pid()');
my $stopped = { psql => $stop };
nr_send($stopped, "SET nr_cache.test_point = 'reader_inside:stop'; SELECT nr_get('busy', 0)");
ok(stopped($pid), 'a reader has stopped inside a replica');
my $writer = { psql => $write };
my (undef, $full) = nr_ask($writer, "SET statement_timeout = '2s'; SELECT count(nr_put('busy', i, repeat('x', 10000))) FROM generate_series(1, 1000) i; RESET statement_timeout");
like($full, qr/ERROR:.*statement timeout/, 'writers go on until the log is full, and wait, which ends with a timeout');
is($write->query("SELECT full_count > 0, space_waits > 0, laggard, laggard_pid = $pid FROM nr_logs WHERE cache = 'busy'::regclass"), 't|t|0|t', 'nr_logs says who holds it up');
my $held = $write->query("SELECT bytes_used > bytes / 2 OR slots_used > slots / 2 FROM nr_logs WHERE cache = 'busy'::regclass");
is($held, 't', 'and that it is full');
kill 'CONT', $pid;
is((nr_ask($writer, "SELECT count(nr_put('busy', i, repeat('y', 10000))) FROM generate_series(1, 300) i"))[0], '300', 'when the reader has gone on, so do they');
is($write->query("SELECT nr_check('busy')"), 't', 'and both replicas are equal');
$stop->query("RESET nr_cache.test_point");
$_->quit foreach $stop, $write;
all_free('places, tokens, log');
$node->stop;

# ---- at the start of the server -----------------------------------------------------------------------------

# Lines of configuration; what the log must say; whether caches work.
my @starts = (
	[ "nr_cache.memory = '8TB'", qr/nr_cache is off.*not enough memory/s, 0 ],
	[ "nr_cache.memory = '16TB'\nnr_cache.replicas = 16", qr/nr_cache is off.*not enough memory/s, 0 ],
	[ "nr_cache.memory = '17TB'", qr/outside the valid range/, 1 ],
	[ "nr_cache.memory = '3MB'", qr/outside the valid range/, 1 ],
	[ "nr_cache.memory = '4MB'\nnr_cache.log_size = '1GB'\nnr_cache.max_entry = '16MB'\nnr_cache.max_batch = '64kB'", qr/log_size" is lowered.*max_entry" is lowered.*max_batch" is raised/s, 1 ],
	[ "nr_cache.max_entry = '64B'\nnr_cache.max_batch = '64kB'\nnr_cache.log_size = '64kB'", qr/extent: 256 kB/, 1 ],
	[ "nr_cache.max_caches = 65000\nnr_cache.max_sessions = 65000\nnr_cache.replicas = 16", qr/nr_cache is off/, 0 ],
	[ "nr_cache.max_caches = 1\nnr_cache.max_sessions = 1\nnr_cache.replicas = 16\nnr_cache.memory = '4MB'", qr/replicas: 16/, 1 ],
	[ "nr_cache.replicas = 17", qr/invalid value for parameter "nr_cache.replicas"/, 1 ],
	[ "nr_cache.replicas = 2\nnr_cache.replica = 2", qr/"nr_cache.replica" is set to -1 instead of 2/, 1 ],
	[ "nr_cache.scan_memory = '2TB'", qr/invalid value for parameter "nr_cache.scan_memory"/, 1 ],
	[ "nr_cache.memory = '9GB'", qr/extent: 2048 kB|nr_cache is off/, 1 ]);

$node = nr_node('start', 'huge_pages = off');
my $conf = $node->data_dir . '/postgresql.conf';
my $plain = slurp_file($conf);
foreach my $start (@starts)
{
	my ($lines, $pattern, $works) = @$start;
	my $name = join ', ', split /\n/, $lines;

	$node->stop;
	open(my $f, '>', $conf) or die $!;
	print $f $plain =~ s/^nr_cache.*//gmr, $lines, "\n";
	close $f;
	my $from = -s $node->logfile;
	$node->start;
	my $log = substr(slurp_file($node->logfile), $from);
	like($log, $pattern, "$name: the log says it");
	if ($log =~ /nr_cache is off/)
	{
		ok($works == 0 || $name =~ /9GB/, "$name: off");
		nr_error($node, "SELECT nr_get('x')", '55000', qr/nr_cache is off.*HINT:.*restart the server/s, $name);
		nr_error($node, 'SELECT count(*) FROM nr_default', '55000', qr/nr_cache is off/, "$name, a query");
		is(sql('SELECT count(*) > 0 FROM pg_class'), 't', "$name: the server does without");
		next;
	}
	is(sql("SELECT nr_put('x', 'y'), nr_get('x'), nr_check('nr_default')"), 't|y|t', "$name: caches work");
	next unless $name =~ /9GB/;

	# a log as large as it can be: its size in bytes must not wrap around
	sql("CREATE FOREIGN TABLE log$_ (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate', log_size '$_')") foreach qw(1GB 2GB 4GB);
	is(sql("SELECT nr_put('log$_', 1, 'x'::text), nr_check('log$_')"), 't|t', "a log of $_") foreach qw(1GB 2GB 4GB);
	is(sql("SELECT count(*) FROM nr_logs WHERE bytes > 900 * 1024 * 1024"), '3', 'each is as large as a log can be');
}
$node->stop;

# Without huge pages "on" is an error of PostgreSQL's own, whatever is preloaded.
SKIP:
{
	skip 'this machine has huge pages', 2 if slurp_file('/proc/meminfo') !~ /HugePages_Total:\s+0\b/;
	open(my $f, '>', $conf) or die $!;
	print $f $plain, "huge_pages = on\n";
	close $f;
	ok(!$node->start(fail_ok => 1), 'huge_pages = on without huge pages: no server');
	like(slurp_file($node->logfile), qr/nr_cache is off.*could not map anonymous shared memory/s, 'and the log says why');
}

# ---- nothing was left out ---------------------------------------------------------------------------------------

# TROUBLESHOOTING.md has every message of the source (lint sees to that) with its SQLSTATE.
my $docs = slurp_file("$ENV{NR_TEST_SOURCE}/docs/TROUBLESHOOTING.md");
my @documented;
while ($docs =~ /^### `([^\n]*)`\n\n`(53\d{3}|54\d{3})`/gm)
{
	push @documented, $1 =~ s/\.\.\./#/gr;
}
is(join("\n", sort @documented), join("\n", sort keys %limits), 'the table has every message about a limit');
is(join(', ', grep { $limits{$_} ne 'guard' && !$met{$_} } sort keys %limits), '', 'and each of them was met');

done_testing();
