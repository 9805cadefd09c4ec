# Processes ended at named points: kill -9, SIGQUIT, SIGTERM, SIGINT, at each NR_POINT of the source, while
# others read and write caches of all schemes and visibilities, with 1 to 4 replicas and workers.
#
# Each point is reached, or this fails.  Nobody hangs; nobody reads a torn value or a part of a batch or of a
# transaction; after SIGTERM and SIGINT nothing that was committed is lost and nothing that was not
# is there; after kill -9 and SIGQUIT, which make the server reset its shared memory, all caches are
# empty and work.  Nothing is left behind: see at_rest().
#
# KILLS: how many; SEED: what a run printed, to choose the same again; KILL_POINTS, KILL_SIGNALS: only these.
use strict;
use warnings FATAL => 'all';
use IPC::Run;
use List::Util qw(shuffle);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes;
use NrTest;

my $kills = $ENV{KILLS} || 100;
my $seed = $ENV{SEED} || time % 1_000_000 * 100 + $$ % 100;
my $chunk = 25;		# so many soft kills between two looks at what is left

my %options = %nr_kinds;
my @caches = sort keys %options;

# What a victim does, CACHE being one of those allowed.  ARM: from here on the point is set.
my $own = "DROP FOREIGN TABLE IF EXISTS own;\nCREATE FOREIGN TABLE own (k int, v text) SERVER nr_cache OPTIONS (OPTIONS_OF_CACHE);\n";
my $fill = "INSERT INTO own SELECT i, make_value(i, i) FROM generate_series(1, 300) i;\n";
my %scripts = (
	churn => "ARM CALL churn('CACHE', 60);\n",
	both => "ARM CALL churn_all(30);\n",
	scan => "CALL churn('CACHE', 5);\nARM SELECT sum(whole('CACHE')) FROM generate_series(1, 5);\n",
	parallel => "SET parallel_setup_cost = 0;\nSET parallel_tuple_cost = 0;\nSET min_parallel_table_scan_size = 0;\n"
	  . "SET parallel_leader_participation = off;\nARM SELECT count(nr_get('CACHE', k)) FROM many;\n",
	create => "ARM " . "$own${fill}DROP FOREIGN TABLE own;\n" x 3,
	bulk => "${own}ARM " . ("INSERT INTO own SELECT i, repeat('x', 700) FROM generate_series(1, 4000) i;\n"
	  . "SELECT nr_truncate('own');\nSELECT nr_put('own', i, 'x') FROM generate_series(1, 3) i;\n") x 3,
	shrink => "${own}INSERT INTO own SELECT i, 'x' FROM generate_series(1, 4000) i;\nARM DELETE FROM own;\nSELECT nr_put('own', i, 'x') FROM generate_series(1, 300) i;\n",
	large => "${own}ARM " . "INSERT INTO own SELECT i, repeat('x', 60000) FROM generate_series(1, 5) i;\n" x 3,
	take => "$own${fill}ARM " . ("BEGIN;\nSELECT count(*) FROM nr_take('own', NULL::own);\nROLLBACK;\n"
	  . "BEGIN;\nSELECT count(*) FROM nr_take('own', NULL::own);\nCOMMIT;\n$fill") x 2,
	publish => "${own}ARM " . "SELECT nr_put('own', i, make_value(i, i)) FROM generate_series(1, 5) i;\nSELECT nr_publish('own');\n" x 3,
	move => "ARM " . ("SET nr_cache.replica = 0;\nSELECT nr_put('CACHE', 1000, make_value(1000, 1));\nSET nr_cache.replica = 1;\n"
	  . "SELECT nr_get('CACHE', 1000);\n") x 3,
	check => "ARM " . "SELECT nr_check('CACHE');\n" x 2,
	first => "ARM SELECT nr_get('CACHE', 1);\n",
	last => "SELECT nr_get('CACHE', 1);\nARM\n",
	failed => "${own}ARM INSERT INTO own VALUES (1, 'x');\n",
	orphan => "$own${fill}BEGIN;\nDROP FOREIGN TABLE own;\nPREPARE TRANSACTION 'orphan';\nCOMMIT PREPARED 'orphan';\nNEXT\n"
	  . "ARM ${own}SELECT nr_put('own', 1, 'x');\n",
	# NEXT: in another session, while this one (HELP) goes on; who has the combiner lock sleeps; a reader inside sleeps
	withdraw => "${own}HELP SET nr_cache.replica = 0; SET nr_cache.test_point = 'combiner_locked:sleep'; "
	  . "SELECT nr_put('own', i, 'x') FROM generate_series(1, 300) i\nNEXT\nSET nr_cache.replica = 0;\nSET statement_timeout = '30ms';\nARM "
	  . ("SELECT nr_put('own', 1, 'y') FROM generate_series(1, 100);\n"
	  . "SELECT nr_put('own', 1, repeat('y', 60000)) FROM generate_series(1, 100);\n") x 3,
	wait => "$own${fill}HELP SET nr_cache.replica = 0; SET nr_cache.test_point = 'reader_inside:sleep'; "
	  . "SELECT nr_get('own', i) FROM generate_series(1, 300) i\nNEXT\nSET nr_cache.replica = 0;\nARM " . "SELECT nr_put('own', 1, 'y');\n" x 100,
	full => "$own${fill}HELP SET nr_cache.replica = 1; SET nr_cache.test_point = 'reader_inside:sleep'; "
	  . "SELECT nr_get('own', i) FROM generate_series(1, 300) i\nNEXT\nSET nr_cache.replica = 0;\nARM SELECT count(nr_put('own', 1, 'y')) FROM generate_series(1, 30000);\n");

# Each point: the script, the caches, at which passage at most, with how many replicas at least.
my %matrix = (
	(map { $_ => [ 'churn', 'im1 im2 lri', 30 ] } qw(request_pending request_announced combiner_locked request_taken
		half_written log_claimed granted batch_filled batch_appended answered)),
	(map { $_ => [ 'churn', 'im1 im2 lri co1 co2 lrc lrm', 30 ] } qw(half_applied batch_apply batch_applied batch_complete
		combiner_unlock combiner_unlocked)),
	reader_inside => [ 'churn parallel', 'im1 im2 lri co1 co2 lrc lrm', 30 ],
	writer_flag => [ 'churn', 'im1 co1', 30 ],
	flipped => [ 'churn', 'im2 co2 lri lrc lrm', 30 ],
	reader_wait => [ 'wait', 'im1 im2 co2 lri lrc', 1 ],
	request_withdrawn => [ 'withdraw', 'im1 im2', 1 ],
	log_full => [ 'full', 'im1', 1, 2 ],
	helping => [ 'full', 'im1 im2', 1, 2 ],
	extent_granted => [ 'bulk', 'im1 im2 co1 co2 lri lrc', 10 ],
	surplus_seen => [ 'bulk', 'im1 im2 co1 co2 lri lrc', 1 ],
	table_grows => [ 'bulk', 'im1 im2 co2 lri lrc lrm', 300 ],
	table_shrinks => [ 'shrink', 'im1 im2 co2 lri lrc', 20 ],
	payload_placed => [ 'large', 'im1 im2 co1 co2 lri lrc', 1 ],
	(map { $_ => [ 'churn both', 'co1 co2 lrc', 20 ] } qw(stage_write stage_prepare stage_prepared commit_append commit_done
		slot_claimed record_room record_granted prepared prepared_append prepared_appended)),
	(map { $_ => [ 'churn both', 'co1', 20 ] } qw(order_announced order_counted prepared_completed)),
	copies_locked => [ 'churn', 'co2 lrc lrm', 20 ],
	writer_locked => [ 'churn', 'lri lrc lrm', 20 ],
	prepared_drop => [ 'failed', 'co1 co2 lrc', 1 ],
	rolling_back => [ 'failed', 'co1 co2 lrc', 1 ],
	committing => [ 'churn both', 'co1 im1 lrm', 20 ],
	publish_load => [ 'publish', 'lrm', 1 ],
	append_pending => [ 'publish', 'lrm', 5 ],
	publish_detached => [ 'publish', 'lrm', 2 ],
	(map { $_ => [ 'take', 'im1 im2 co1 co2 lri lrc lrm', 2 ] } qw(retire_marked stage_taken restore_mark)),
	(map { $_ => [ 'take', 'im1 im2 co1 co2 lri lrc lrm', 2 ] } qw(stage_take_own stage_take_owned take_clear group_half_cleared)),
	check_frozen => [ 'check', 'im1 im2 co1 co2 lri lrc lrm', 2 ],
	scan_copy => [ 'scan', 'im1 im2 co1 co2 lri lrc lrm', 5 ],
	registry_locked => [ 'create', 'im1 im2 co1 co2 lri lrc lrm', 3 ],
	group_half_made => [ 'create', 'im1 im2 co1 co2 lri lrc lrm', 3 ],
	group_half_dropped => [ 'create', 'im1 im2 co1 co2 lri lrc lrm', 3 ],
	sweep_locked => [ 'create', 'im1 co2 lrm', 1 ],
	sweep_marked => [ 'orphan', 'im1 im2 co1 co2 lri lrc lrm', 1 ],
	session_taken => [ 'first', 'im1 co1', 1 ],
	session_leaving => [ 'last', 'im1 co1', 1 ],
	session_moving => [ 'move', 'im1 co2', 2, 2 ],
	# background workers; they have no session: see worker()
	(map { $_ => [ 'worker', 'im1', 5, 2 ] } qw(worker_look worker_replay)),
	worker_rest => [ 'worker', 'im1', 1, 2 ],
	# wherever it is by then
	'*' => [ 'churn both bulk take create', 'im1 im2 co1 co2 lri lrc lrm', 200 ]);

# ---- what all write, and what must hold ----

# A value says its version, and follows from it and the key.  The ten keys of a group are written as one
# batch.  truth has the version that was committed last: unlogged, so it is emptied with the caches.
my $definitions = <<'SQL';
CREATE SEQUENCE versions;
CREATE UNLOGGED TABLE truth (cache text, g int, version bigint, PRIMARY KEY (cache, g)) WITH (fillfactor = 10);
CREATE TABLE many AS SELECT k % 250 AS k FROM generate_series(1, 3000) k;
CREATE FUNCTION make_value(k int, version bigint) RETURNS text LANGUAGE sql IMMUTABLE AS
$$SELECT version || '|' || repeat(md5(k || ':' || version), 1 + ((k * 7 + version) % 30)::int)$$;

CREATE FUNCTION write_group(c text, group_no int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	ver bigint;
	k int := 1000 + (random() * 50)::int;
BEGIN
	INSERT INTO truth AS t VALUES (c, group_no, nextval('versions'))
		ON CONFLICT (cache, g) DO UPDATE SET version = nextval('versions') RETURNING version INTO ver;
	EXECUTE format('INSERT INTO %I SELECT k, make_value(k, $1) FROM generate_series($2, $2 + 9) k', c) USING ver, group_no * 10;
	PERFORM nr_put(c::regclass, k, make_value(k, ver));
	PERFORM nr_delete(c::regclass, 1000 + (random() * 50)::int);
	IF c = 'lrm' THEN
		PERFORM nr_publish(c::regclass);
	END IF;
END $$;

CREATE FUNCTION read_group(c text, group_no int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	ks int[] := ARRAY(SELECT generate_series(group_no * 10, group_no * 10 + 9));
	vs text[] := nr_get_many(c::regclass, ks, NULL::text);
	v text;
BEGIN
	IF (SELECT count(DISTINCT coalesce(split_part(x, '|', 1), '')) FROM unnest(vs) x) <> 1 THEN
		RAISE EXCEPTION 'torn batch in %: %', c, vs;
	END IF;
	FOR i IN 1 .. 10 LOOP
		IF vs[i] <> make_value(ks[i], split_part(vs[i], '|', 1)::bigint) THEN
			RAISE EXCEPTION 'torn value of key % in %: %', ks[i], c, vs[i];
		END IF;
	END LOOP;
	FOR k IN 1000 .. 1050 LOOP
		v := nr_get(c::regclass, k);
		IF v <> make_value(k, split_part(v, '|', 1)::bigint) THEN
			RAISE EXCEPTION 'torn value of key % in %: %', k, c, v;
		END IF;
	END LOOP;
	RETURN split_part(vs[1], '|', 1)::bigint;
END $$;

-- all groups, in one scan; how many there are
CREATE FUNCTION whole(c text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	bad text;
	n bigint;
BEGIN
	EXECUTE format($q$
		WITH s AS MATERIALIZED (SELECT k, v, split_part(v, '|', 1)::bigint AS version FROM %I),
		g AS (SELECT k / 10 AS g, count(*) AS n, count(DISTINCT version) AS versions FROM s WHERE k < 1000 GROUP BY 1)
		SELECT coalesce((SELECT 'value: ' || k || ': ' || v FROM s WHERE v <> make_value(k, version) LIMIT 1),
			(SELECT format('batch: group %%s: %%s keys, %%s versions', g, n, versions) FROM g WHERE n <> 10 OR versions <> 1 LIMIT 1)),
			(SELECT count(*) FROM g)$q$, c) INTO bad, n;
	IF bad IS NOT NULL THEN
		RAISE EXCEPTION 'torn in a scan of %: %', c, bad;
	END IF;
	RETURN n;
END $$;

CREATE PROCEDURE churn(c text, rounds int) LANGUAGE plpgsql AS $$
DECLARE
	g int;
BEGIN
	FOR i IN 1 .. rounds LOOP
		g := (random() * 19)::int;
		PERFORM write_group(c, g);
		COMMIT;
		PERFORM read_group(c, (g + i) % 20);
	END LOOP;
END $$;

-- three caches in a transaction, of which some roll back to a savepoint
CREATE FUNCTION write_all(g int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM write_group('co1', g), write_group('co2', g), write_group('lrc', g);
	BEGIN
		PERFORM write_group('co1', g), write_group('lrc', g);
		IF random() < 0.5 THEN
			RAISE EXCEPTION 'undo';
		END IF;
	EXCEPTION WHEN raise_exception THEN
		NULL;
	END;
END $$;
CREATE PROCEDURE churn_all(rounds int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. rounds LOOP
		PERFORM write_all((random() * 19)::int);
		COMMIT;
	END LOOP;
END $$;

-- With nobody else there: caches against truth.  Where ROLLBACK does not undo, a cache may be ahead.
CREATE FUNCTION differences(OUT what text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT format('%s, group %s: cache %s, committed %s', cache, g, got, version)
	  FROM (SELECT *, read_group(cache, g) AS got FROM truth) t
	 WHERE CASE WHEN cache LIKE '%c%' THEN got IS DISTINCT FROM version ELSE got IS NULL OR got < version END $$;
SQL

my $node;
my $connstr;
my $dir = PostgreSQL::Test::Utils::tempdir;
append_to_file("$dir/$_.sql", "\\set g random(0, 19)\nSELECT write_group('$_', :g);\nSELECT read_group('$_', :g);\n") foreach @caches;
append_to_file("$dir/all.sql", "\\set g random(0, 19)\nSELECT write_all(:g);\n");
append_to_file("$dir/scan.sql", join('', map { "SELECT whole('$_');\n" } @caches));


# ---- processes ----

# Statements in one session; returns exit status, output and errors.  One that hangs is given up.
sub sql
{
	my ($text, $name) = @_;
	my ($out, $err) = ('', '');
	my $run = IPC::Run::harness(
		[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=0', '-d', $connstr . ' application_name=' . ($name // 'test'), '-f', '-' ],
		'<', \$text, '>', \$out, '2>', \$err, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));

	if (!eval { $run->run; 1 } && $@ =~ /timeout/)
	{
		$run->kill_kill;
		$err .= "\nit hangs";
	}
	return ($run->result(0), join("\n", grep { $_ ne '' } split /\n/, $out), $err);
}

# What the log has from there on.
my $log_at = 0;
sub logged
{
	open(my $f, '<', $node->logfile) or die "log: $!";
	seek($f, $log_at, 0);
	local $/;
	return <$f> // '';
}

# Until it says so.
sub log_says
{
	my ($pattern, $seconds) = @_;

	foreach (1 .. 100 * $seconds)
	{
		return 1 if logged() =~ $pattern;
		select(undef, undef, undef, 0.01);
	}
	return 0;
}

my $load;
my $work = 0;

sub start_load
{
	$load = { out => '', err => '' };
	$load->{run} = IPC::Run::start(
		[   'pgbench', '-n', '-c', '5', '-R', '200', '-T', '3600', (map { ('-f', "$dir/$_.sql") } @caches),
			'-f', "$dir/all.sql", '-f', "$dir/scan.sql", "$connstr application_name=load" ],
		'<', \undef, '>', \$load->{out}, '2>', \$load->{err});
	return;
}

# Let go of it; returns what was wrong with it.
sub stop_load
{
	my ($crashed) = @_;
	my $wrong = '';

	return '' if !$load;
	eval { $load->{run}->pump_nb };
	$wrong .= "the load ended: $load->{err}" if !$crashed && !$load->{run}->pumpable;
	$load->{run}->signal('TERM');
	eval { $load->{run}->finish };
	$wrong .= "the load: $load->{err}" if $load->{err} =~ /torn|ERROR/ && $load->{err} !~ /$wrong/;
	$load = undef;
	return $wrong;
}

# ---- what is left ----

# One column, one row; empty is as it should be.  own is what the last victim did on its own.
my $rest = <<'SQL';
SELECT concat_ws('; ',
	(SELECT 'a process that is gone has a token' FROM nr_tokens t LEFT JOIN pg_stat_activity a USING (pid)
	  WHERE a.pid IS NULL AND NOT t.worker LIMIT 1),
	(SELECT 'a process waits for ' || waiting_for FROM nr_tokens WHERE waiting_for IS NOT NULL LIMIT 1),
	(SELECT 'promised slots: ' || sum(slots_promised) FROM nr_logs HAVING sum(slots_promised) <> 0),
	(SELECT 'an order number is in flight' FROM nr_logs WHERE order_horizon <= order_number LIMIT 1),
	(SELECT 'a combiner: ' || combiner_pid FROM nr_replicas WHERE combiner_pid IS NOT NULL LIMIT 1),
	(SELECT format('%s locks: %s', count(*), min(concat_ws(' ', l.locktype, l.mode, l.relation::regclass, a.application_name)))
	   FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid) WHERE l.pid IS DISTINCT FROM pg_backend_pid() HAVING count(*) > 0),
	(SELECT 'sessions: ' || count(*) FROM pg_stat_activity
	  WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() HAVING count(*) > 0),
	nullif(current_setting('nr_cache.test_leftovers'), ''));
SQL
my $all_checked = "SELECT string_agg(ftrelid::regclass || ': ' || nr_check(ftrelid::regclass), ', ') FILTER (WHERE NOT nr_check(ftrelid::regclass))
	FROM pg_foreign_table WHERE ftrelid <> 'nr_default'::regclass;\n";
my $create = join('', map { "CREATE FOREIGN TABLE $_ (k int, v text) SERVER nr_cache OPTIONS ($options{$_});\n" } @caches);
my $free;		# memory, with no cache in use

# Ask until the answer is empty, since sessions may still be about to end; returns the last one.
sub settles
{
	my ($text) = @_;
	my $until = time + 20;
	my $said = 'nothing was asked';

	while (time <= $until)
	{
		my ($rc, $out, $err) = sql($text);
		$said = $out . $err;
		return '' if $said eq '';
		last if $said =~ /it hangs/;
		select(undef, undef, undef, 0.05);
	}
	return $said;
}

# Somebody waits for what will not come: say who, and begin anew.
sub begin_anew
{
	diag(nr_state($node));
	$node->stop('immediate');
	stop_load(1);
	$node->start;
	return;
}

# Nobody but us: all that was committed is there and nothing else, all copies are equal, nothing
# belongs to nobody; and when all caches are dropped the memory is as it was before there were any.
my $groups_seen = 0;
sub at_rest
{
	my $wrong = stop_load(0);
	my $whole = join(' + ', map { "whole('$_')" } @caches);
	my ($rc, $out, $err) = sql("SELECT count(*) FROM truth; SELECT $whole; SELECT what FROM differences();\n$all_checked");
	my ($true, $groups, @more) = split /\n/, $out;

	$wrong .= "; caches: @more $err" if @more || $err || $rc;
	$groups_seen += $true // 0;
	$work += $true // 0;
	$wrong .= '; ' . $_ foreach grep { $_ } settles("$all_checked$rest");
	begin_anew() if $wrong =~ /it hangs/;
	sql(join('', map { "DROP FOREIGN TABLE IF EXISTS $_;\n" } @caches, 'own') . "TRUNCATE truth;\n");
	$wrong .= '; after DROP: ' . $_ foreach grep { $_ } settles("$rest
		SELECT 'memory: ' || string_agg(bytes_free::text, ' ') || ' of $free' FROM nr_memory HAVING min(bytes_free) <> $free;
		SELECT 'tokens: ' || count(*) FROM nr_tokens WHERE NOT worker HAVING count(*) > 1;
		SELECT 'caches: ' || count(*) FROM nr_caches HAVING count(*) > 0;");
	sql($create);
	return $wrong;
}

# After a reset: caches are there, empty and sound, and nothing else is.
sub after_reset
{
	my ($written) = @_;
	my $wrong = '';
	my $counts = join(' + ', map { "(SELECT count(*) FROM $_)" } @caches);

	return 'the server did not come back' if !log_says(qr/database system is ready to accept connections/, $PostgreSQL::Test::Utils::timeout_default);
	$wrong .= stop_load(1);
	my ($rc, $out, $err) = sql("SELECT $counts, (SELECT count(*) FROM truth);\n$all_checked");
	$wrong .= "; after the reset: $out $err" if ($out ne '0|0' && !$written) || $err;
	$wrong .= '; after the reset: ' . $_ foreach grep { $_ } settles($rest);
	($rc, $out, $err) = sql(join('', map { "SELECT write_group('$_', 1);\nSELECT 'none' WHERE coalesce(read_group('$_', 1), 0) = 0;\n" } @caches));
	$out =~ s/\n//g;
	$wrong .= "; afterwards: $out $err" if $out || $err;
	return $wrong;
}

# ---- one kill ----

# The script in parts: what is done before, and who helps meanwhile, if there are such; the rest.
sub script
{
	my ($name, $cache, $arm) = @_;
	my $text = $scripts{$name};

	$text =~ s/OPTIONS_OF_CACHE/$options{$cache}/g;
	$text =~ s/CACHE/$cache/g;
	$text =~ s/ARM ?\n?/SET nr_cache.test_point = '$arm';\n/g;
	return $text =~ /^(.*?)(?:HELP (.*?)\n)?NEXT\n(.*)$/s ? ($1, $2, $3) : (undef, undef, $text);
}

# What the log says then.
sub reached
{
	my ($kill) = @_;
	my $point = $kill->{point} eq '*' ? '\w+' : $kill->{point};

	return qr/^nr_cache test point $point: $kill->{action}$/m;
}

# A session does it to itself; returns what is wrong.
sub victim
{
	my ($kill, $name, $cache, $n) = @_;
	my $hard = $kill->{action} =~ /kill9|quit/;
	# who is alone does not announce its request, unless it wants to be at a point where one does, and on one replica needs no log
	my $log = $kill->{replicas} == 1 && $kill->{point} =~ /^(log_claimed|half_written|batch_filled|batch_appended)$/;
	my $announces = $n % 2 || $log ? ',request_pending:nap:1000000' : '';
	my $arm = ($name eq 'failed' ? 'stage_prepared:error,' : '') . "$kill->{point}:$kill->{action}:$n$announces";
	my ($before, $help, $text) = script($name, $cache, $arm);
	my $settings = "SET client_min_messages = error;\nSET statement_timeout = '60s';\n";
	my $wrong = '';
	my $helper;

	sql($settings . $before) if $before;
	if ($help)
	{
		$helper = start_psql($node, "SET application_name = 'helper'", split /; /, $help);
		settles("SELECT 'helper: ' || count(*) FROM pg_stat_activity WHERE application_name = 'helper' AND query LIKE '%own%' HAVING count(*) = 0");
	}
	$text .= "RESET nr_cache.test_point;\n" if $name ne 'last';
	my ($rc, $out, $err) = sql("$settings${text}SELECT 'alive';\n", 'victim');
	my $alive = $out =~ /^alive$/m;

	if ($helper)
	{
		sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'helper'");
		eval { finish_psql($helper) };
	}
	return "it was not reached: $err" if !log_says(reached($kill), $hard && !$alive ? 5 : 0.1);
	$wrong .= '; the victim lives' if $alive && $kill->{action} ne 'cancel' && $name ne 'last' && !($name eq 'parallel' && !$hard);
	$wrong .= "; the victim died: $err" if !$alive && $kill->{action} eq 'cancel';
	$wrong .= "; the victim says: $err" if $err =~ /torn|hangs|PANIC/ || ($err =~ /statement timeout/ && $name ne 'withdraw');
	if ($name eq 'take' && !$hard)
	{
		sql("SELECT nr_publish('own')") if $cache eq 'lrm';
		($rc, $out, $err) = sql("SELECT count(*), count(*) FILTER (WHERE v <> make_value(k, k)) FROM own");
		# gone after COMMIT only; the next write, which brings the cache back, may be what was ended
		my $there = $kill->{point} eq '*' ? '\d+' : $kill->{point} eq 'restore_mark' ? '0|300' : $kill->{point} =~ /clear/ && $kill->{action} eq 'terminate' ? '0' : '300';
		$wrong .= "; of what was taken there is: $out $err" if $out !~ /^($there)\|0$/;
	}
	return $wrong;
}

# A background worker, by the server's configuration; sessions have a setting of their own.
sub worker
{
	my ($kill, $n) = @_;
	my $wrong = '';

	for (my $i = 0; $i < 400; $i++)
	{
		last if (sql('SELECT count(*) FROM nr_tokens WHERE worker'))[1] > 0;
		select(undef, undef, undef, 0.05);
	}
	sql("ALTER SYSTEM SET nr_cache.test_point = '$kill->{point}:$kill->{action}:$n';\nSELECT pg_reload_conf()");
	$wrong .= stop_load(0) if $kill->{point} eq 'worker_rest';
	for (my $i = 0; $i < 300; $i++)
	{
		last if log_says(reached($kill), 0.1);
		# for who rests
		sql("SELECT write_group('im1', 1)") if !$load && $i % 20 == 0;
	}
	$wrong .= 'it was not reached' if logged() !~ reached($kill);
	if ($kill->{action} =~ /kill9|quit/)
	{
		log_says(qr/database system is ready to accept connections/, 60);
	}
	sql("ALTER SYSTEM RESET nr_cache.test_point;\nSELECT pg_reload_conf()");
	return $wrong;
}

sub one_kill
{
	my ($kill) = @_;
	my ($scripts, $caches, $passages) = @{ $matrix{ $kill->{point} } };
	my $name = (split / /, $scripts)[ int(rand(scalar(my @a = split / /, $scripts))) ];
	my $cache = (split / /, $caches)[ int(rand(scalar(my @b = split / /, $caches))) ];
	my $n = 1 + int(rand($passages));
	my $hard = $kill->{action} =~ /kill9|quit/;
	my $wrong = '';

	$log_at = -s $node->logfile;
	my $begun = Time::HiRes::time();
	start_load() if !$load;
	foreach my $try (1 .. 3)
	{
		$wrong = $name eq 'worker' ? worker($kill, $n) : victim($kill, $name, $cache, $n);
		last if $wrong !~ /not reached/;
		# others may have done what leads there, or there was less of it
		note("$kill->{point} ($name, $cache) $n: $wrong");
		$n = 1;
	}
	# worker_rest: what makes the worker rest may have been written in the server's next life
	$wrong .= '; ' . after_reset($kill->{point} eq 'worker_rest') if $hard && $wrong !~ /not reached/;
	$wrong .= '; the server was reset: ' . logged() if !$hard && logged() =~ /terminated by signal|PANIC|exit code 2/;
	$wrong =~ s/^(; )+//;
	begin_anew() if $wrong =~ /it hangs/;
	$kill->{what} = "$kill->{point}:$kill->{action}:$n ($name, $cache)";
	note(sprintf('%.1f s: %s', Time::HiRes::time() - $begun, $kill->{what}));
	return $wrong eq '' ? '' : "$kill->{what}: $wrong";
}

# ---- all of them ----

# Each point with a signal of its own first, then all of all, until there are enough.
sub plan_kills
{
	my @points = grep { !$ENV{KILL_POINTS} || " $ENV{KILL_POINTS} " =~ / \Q$_\E / } sort keys %matrix;
	my @actions = split / /, $ENV{KILL_SIGNALS} || 'kill9 quit terminate cancel';
	my @plan;
	my %left = map { my $p = $_; map { ("$p $_" => 1) } @actions } @points;

	foreach my $p (@points)
	{
		my $a = $actions[ int(rand(@actions)) ];
		push @plan, { point => $p, action => $a };
		delete $left{"$p $a"};
	}
	while (@plan < $kills)
	{
		%left = map { my $p = $_; map { ("$p $_" => 1) } @actions } @points if !%left;
		my ($pick) = rand() < 0.2 && grep({ $_ eq '*' } @points) ? "* $actions[ int(rand(@actions)) ]" : shuffle(sort keys %left);
		my ($p, $a) = split / /, $pick;
		push @plan, { point => $p, action => $a };
		delete $left{$pick};
	}
	$_->{replicas} = ($matrix{ $_->{point} }[3] // 1) + int(rand(5 - ($matrix{ $_->{point} }[3] // 1))) foreach @plan;
	return @plan;
}

diag("SEED=$seed KILLS=$kills");
srand($seed);
my @plan = plan_kills();

$node = nr_node('kills', 'max_connections = 40', 'autovacuum = off', 'log_min_messages = log', 'log_min_error_statement = panic',
	'max_prepared_transactions = 2', 'deadlock_timeout = 100ms', "shared_buffers = '16MB'");
$connstr = $node->connstr('postgres');
$node->safe_psql('postgres', "ALTER DATABASE postgres SET nr_cache.test_point = ''");
$node->safe_psql('postgres', $definitions);

my ($made, $failures, %by) = (0, 0);
REPLICAS:
foreach my $replicas (1 .. 4)
{
	my @these = grep { $_->{replicas} == $replicas } @plan;
	my @soft = grep { $_->{action} !~ /kill9|quit/ } @these;
	my @hard = grep { $_->{action} =~ /kill9|quit/ } @these;
	my @wrong;
	my $begun = time;

	next if !@these;
	# one whose worker is gone for a while comes last
	@soft = sort { ($matrix{ $a->{point} }[0] eq 'worker') <=> ($matrix{ $b->{point} }[0] eq 'worker') } @soft;
	$node->append_conf('postgresql.conf', "nr_cache.replicas = $replicas");
	$node->restart;
	$free = $node->safe_psql('postgres', 'SELECT min(bytes_free) FROM nr_memory');
	sql($create);

	while (my @some = splice(@soft, 0, $chunk))
	{
		foreach my $kill (@some)
		{
			my $wrong = one_kill($kill);
			push @wrong, $wrong if $wrong;
			$by{ $kill->{action} }++;
		}
		my $wrong = at_rest();
		push @wrong, "after " . join(', ', map { $_->{what} } @some) . ": $wrong" if $wrong;
	}
	foreach my $kill (@hard)
	{
		my $wrong = one_kill($kill);
		push @wrong, $wrong if $wrong;
		$by{ $kill->{action} }++;
		last REPLICAS if @wrong > 20;
	}
	push @wrong, grep { $_ } at_rest();
	is(join("\n", @wrong), '', "$replicas replicas: " . @these . ' kills');
	note("in " . (time - $begun) . ' seconds');
	sql(join('', map { "DROP FOREIGN TABLE IF EXISTS $_;\n" } @caches, 'own'));
}
note(join(', ', map { "$by{$_} $_" } sort keys %by));
cmp_ok($groups_seen, '>', 20, 'there was something to lose');
$node->stop;
done_testing();
