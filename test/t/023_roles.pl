# What a stopped process can do (docs/ENGINE.md): the table there, row by row.
#
# For each role that a process can have in a cache, one is stopped in it (SIGSTOP at a named point),
# and then it is seen who goes on, who waits, for what and for whom, that whoever
# waits can be cancelled and has then done nothing, and that the views say whose fault it
# is.  After SIGCONT everything goes on, all replicas are equal, and what was
# acknowledged is there, and nothing else.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use NrTest;

# Workers are a role of their own, at the end: with them, others would be brought up to date sooner or later.
my @conf = ('nr_cache.replicas = 3', 'nr_cache.memory = 64MB', 'max_connections = 40');
my %options = %nr_kinds;
my $procedures = <<'SQL';
CREATE SEQUENCE filled;
-- write until cancelled; the sequence says what was acknowledged
CREATE PROCEDURE fill(cache regclass) LANGUAGE plpgsql AS $$
BEGIN
	FOR n IN 1 .. 1000000 LOOP
		EXECUTE format('INSERT INTO %s VALUES (-1, %L)', cache, n);
		COMMIT;
		PERFORM setval('filled', n);
	END LOOP;
END $$;
-- so many batches
CREATE PROCEDURE batches(cache regclass, count int) LANGUAGE plpgsql AS $$
BEGIN
	FOR n IN 1 .. count LOOP
		EXECUTE format('INSERT INTO %s VALUES (-2, %L)', cache, n);
		COMMIT;
	END LOOP;
END $$;
SQL
my $node;
my $monitor;	# who looks at the views
my %s;			# readers and writers of each replica, and whoever is to be stopped; the letter says what one does

# A session whose queries have each as long as the test may wait.
sub session
{
	my $psql = $node->background_psql('postgres', on_error_stop => 0);
	$psql->set_query_timer_restart;
	return $psql;
}

# A server with these caches and sessions.
sub open_node
{
	my ($name, @more) = @_;

	$node = nr_node($name, @conf, @more);
	$node->safe_psql('postgres', "ALTER DATABASE postgres SET nr_cache.test_point = ''");
	$node->safe_psql('postgres', "CREATE FOREIGN TABLE $_ (k int, v text) SERVER nr_cache OPTIONS ($options{$_}, log_size '64kB')")
	  foreach sort keys %options;
	$node->safe_psql('postgres', $procedures);
	$monitor = session();
	foreach my $name (qw(victim r0 w0 u0 r1 w1 u1 r2 w2))
	{
		my $replica = $name eq 'victim' ? 0 : substr($name, 1);
		my $psql = session();

		$s{$name} = { name => $name, replica => $replica, psql => $psql, pid => scalar $psql->query('SELECT pg_backend_pid()') };
		$psql->query("SET nr_cache.replica = $replica; SET statement_timeout = '120s'");
	}
	return;
}

sub close_node
{
	nr_settled($node, 'in the end');
	foreach (values %s)
	{
		$_->{psql}->query('SELECT 1');
		$_->{psql}->quit;
	}
	$monitor->quit;
	$node->stop;
	return;
}

open_node('roles', 'nr_cache.workers = off');

# ---- one case ----

my ($case, $cache, $key);	# what is being looked at; the last key that was given out
my %present;		# keys that must be there in the end, and no others above 0
my $filled;			# the log was: the sequence says how many writes to key -1 were acknowledged
my %pending;		# keys that were appended to a manual cache when its publishing was cancelled: somebody else will
my %outstanding;	# statements that were sent and have not ended: their keys

# Ask until it is so.
sub comes_true
{
	my ($sql) = @_;
	foreach (1 .. 50 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return 1 if $monitor->query("SELECT coalesce(($sql), false)") eq 't';
		select(undef, undef, undef, 0.02);
	}
	diag(nr_state($node));
	return 0;
}

# The statement that writes an entry, and nothing but writes it.
sub put
{
	my ($k, $v) = @_;
	return $cache eq 'lrm' ? "SELECT nr_put('$cache', $k, '$v'::text), nr_publish('$cache')" : "INSERT INTO $cache VALUES ($k, '$v')";
}

# What a reader or writer of this name does; the key it writes.
sub statement
{
	my ($name) = @_;
	return ("SELECT v FROM $cache WHERE k = " . (sort { $b <=> $a } keys %present)[0], undef) if $name =~ /^r/;
	$key++;
	return (put($key, 'new'), $key);
}

# The end of a statement that was sent: its errors.
sub ends
{
	my ($s) = @_;
	my ($out, $err) = nr_ask($s, "SELECT 'end'");
	return $err;
}

sub is_waiting
{
	my ($s, $for, $on) = @_;
	my $sql = $for eq 'lock' ? "SELECT $on->{pid} = ANY(pg_blocking_pids($s->{pid}))" :
	  "SELECT waiting_for = '$for' AND waiting_cache = '$cache'::regclass AND waiting_on = $on->{pid} FROM nr_tokens WHERE pid = $s->{pid}";
	return ok(comes_true($sql), "$case: $s->{name} waits for $for, on $on->{name}");
}

sub cancel
{
	my ($s) = @_;
	$monitor->query("SELECT pg_cancel_backend($s->{pid})");
	like(ends($s), qr/canceling statement due to user request/, "$case: and can be cancelled");
	return;
}

# After a cancel it wakes and sleeps again.
sub is_uncancellable
{
	my ($s) = @_;
	my $waits = $monitor->query("SELECT waits FROM nr_tokens WHERE pid = $s->{pid}");
	$monitor->query("SELECT pg_cancel_backend($s->{pid})");
	ok(comes_true("SELECT waits > $waits + 3 AND waiting_for IS NOT NULL FROM nr_tokens WHERE pid = $s->{pid}"),
		"$case: $s->{name} cannot be cancelled");
	return;
}

# By what a step says.
my %steps;
%steps = (
	# it does its read or write, and a read sees the last write that was acknowledged
	goes => sub {
		my ($s) = @_;
		my ($sql, $k) = statement($s->{name});
		my ($out, $err) = nr_ask($s, $sql);
		$present{$k} = 1 if defined $k;
		is($err . ($k ? '' : $out), $k ? '' : 'new', "$case: $s->{name} goes on");
	},
	# through another replica
	evades => sub {
		my ($s) = @_;
		nr_ask($s, 'SET nr_cache.replica = 1');
		$steps{goes}->($s);
		nr_ask($s, "SET nr_cache.replica = $s->{replica}");
	},
	# it waits, and can be cancelled
	waits => sub {
		my ($s, $for, $on) = @_;
		my ($sql, $k) = statement($s->{name});
		nr_send($s, $sql);
		is_waiting($s, $for, $on);
		cancel($s);
		$pending{$k} = 1 if $cache eq 'lrm' && $for ne 'lock';
	},
	# as a writer it waits where it reads first: to answer whether the key is new
	puts => sub {
		my ($s, $for, $on) = @_;
		nr_send($s, "SELECT nr_put('$cache', -3, 'new'::text)");
		is_waiting($s, $for, $on);
		cancel($s);
	},
	# its wait cannot be cancelled: a cancel does not end it, and it does what it has begun
	stays => sub {
		my ($s, $for, $on) = @_;
		my ($sql, $k) = statement($s->{name});
		nr_send($s, $sql);
		is_waiting($s, $for, $on);
		is_uncancellable($s);
		$outstanding{ $s->{name} } = $k;
	},
	# it writes until the log is full, where another writer waits as well
	fills => sub {
		my ($s, $for, $on, $other) = @_;
		nr_send($s, "CALL fill('$cache')");
		is_waiting($s, $for, $on);
		$filled = 1;
		ok(comes_true("SELECT slots_used + slots_promised >= slots AND full_count > 0 AND space_waits > 0 FROM nr_logs WHERE cache = '$cache'::regclass"),
			"$case: and the log is full");
	},
	# it writes, and the log never becomes full
	flows => sub {
		my ($s) = @_;
		my $slots = $monitor->query("SELECT slots FROM nr_logs WHERE cache = '$cache'::regclass");
		my ($out, $err) = nr_ask($s, "CALL batches('$cache', 2 * $slots)");
		is($err, '', "$case: $s->{name} writes on and on");
	},
	cancelled => sub { cancel($_[0]); },
	# nr_logs says which replica is behind, and whose fault that is
	blames => sub {
		my ($s, $replica) = @_;
		ok(comes_true("SELECT laggard = $replica AND laggard_pid = $s->{pid} FROM nr_logs WHERE cache = '$cache'::regclass"),
			"$case: nr_logs names replica $replica and $s->{name}");
	},
	sees => sub {
		my ($s) = @_;
		my ($out) = nr_ask($s, "SELECT v FROM $cache WHERE k = 0");
		is($out, 'seen', "$case: $s->{name} sees what the victim has written");
	},
	misses => sub {
		my ($s) = @_;
		my ($out) = nr_ask($s, "SELECT v FROM $cache WHERE k = 0");
		isnt($out, 'seen', "$case: $s->{name} does not see what the victim has written");
	},
	# it asks for a write and waits, as yet cancellable; later it is not
	asks => sub {
		my ($s, $for, $on) = @_;
		my ($sql, $k) = statement($s->{name});
		nr_send($s, $sql);
		is_waiting($s, $for, $on);
		$outstanding{ $s->{name} } = $k;
	},
	remains => sub { is_uncancellable($_[0]); },
	# from one point to the next
	steps => sub {
		my ($s) = @_;
		kill 'CONT', $s->{pid};
		ok(stopped($s->{pid}), "$case: at the next point");
	},
	# until it holds the combiner lock
	locks => sub {
		my ($s) = @_;
		my $is = "SELECT combiner_pid = $s->{pid} FROM nr_replicas WHERE cache = '$cache'::regclass AND replica = 0";
		foreach (1 .. 20)
		{
			last if $monitor->query($is) eq 't';
			kill 'CONT', $s->{pid};
			stopped($s->{pid});
		}
		is($monitor->query($is), 't', "$case: it holds the combiner lock");
	},
	promises => sub {
		my ($s) = @_;
		is($monitor->query("SELECT slots_promised, order_horizon <= order_number, commit_pid FROM nr_logs WHERE cache = '$cache'::regclass"),
			"1|t|$s->{pid}", "$case: nr_logs says that a commit is under way, and whose");
	},
	alters => sub {
		my ($s, $on) = @_;
		nr_send($s, "ALTER FOREIGN TABLE $cache OPTIONS (SET log_size '128kB')");
		is_waiting($s, 'lock', $on);
		cancel($s);
	},
	takes => sub {
		my ($s, $for, $on) = @_;
		nr_send($s, "SELECT count(*) FROM nr_take('$cache', NULL::$cache)");
		is_waiting($s, $for, $on);
		cancel($s);
	},
	finds_nothing => sub {
		my ($s) = @_;
		my ($out, $err) = nr_ask($s, "SELECT count(*), nr_get('$cache', 1) IS NULL FROM $cache");
		is($out . $err, '0|t', "$case: $s->{name} finds nothing");
	});

# Let the victim go on, as often as it is stopped, until it has done what it was to do.
sub go_on
{
	my $victim = $s{victim};
	do
	{
		kill 'CONT', $victim->{pid};
		select(undef, undef, undef, 0.01);
	} until $monitor->query("SELECT state LIKE 'idle%' FROM pg_stat_activity WHERE pid = $victim->{pid}") eq 't';
	return ends($victim);
}

# What is in the cache, as each replica sees it; and everybody can go on.
sub afterwards
{
	foreach my $name (sort keys %outstanding)
	{
		ends($s{$name});
		$present{ $outstanding{$name} } = 1 if defined $outstanding{$name};
	}
	$steps{goes}->($s{$_}) foreach qw(w0 w1 w2 r0 r1 r2);
	%present = (%present, %pending);
	my $expected = join(' ', sort { $a <=> $b } keys %present);
	foreach my $name (qw(r0 r1 r2 victim))
	{
		my ($out) = nr_ask($s{$name}, "SELECT string_agg(k::text, ' ' ORDER BY k) FROM $cache WHERE k > 0");
		is($out, $expected, "$case: $name finds what was acknowledged, and nothing else");
	}
	if ($filled)
	{
		my ($out) = nr_ask($s{r1}, "SELECT v::int - last_value IN (0, 1) FROM $cache, filled WHERE k = -1");
		is($out, 't', "$case: the last write before the log was full is there, and none that came before it");
	}
	ok(comes_true("SELECT count(*) = 0 FROM nr_tokens WHERE waiting_for IS NOT NULL") &&
		  comes_true("SELECT bool_and(combiner_pid IS NULL) FROM nr_replicas") &&
		  comes_true("SELECT sum(slots_promised) = 0 AND coalesce(bool_and(order_horizon > order_number), true) FROM nr_logs") &&
		  comes_true("SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory'"), "$case: nobody waits or holds anything");
	is($monitor->query("SELECT nr_check('$cache')"), 't', "$case: nr_check holds");
	return;
}

# What the victim does.
my %sql = (
	read => sub { "SELECT nr_get('$cache', 1)" },
	write => sub { put(0, 'seen') },
	many => sub { "CALL batches('$cache', 5000)" },
	check => sub { "SELECT nr_check('$cache')" },
	take => sub { "BEGIN; SELECT count(*) FROM nr_take('$cache', NULL::$cache); ROLLBACK" },
	clear => sub { "SELECT count(*) FROM nr_take('$cache', NULL::$cache)" },
	move => sub { "SET nr_cache.replica = 1; SELECT nr_get('$cache', 1)" });

# A cache with one entry, which all replicas have.
sub begin
{
	my ($role) = @_;
	$case = $role;
	%outstanding = %pending = ();
	$filled = 0;
	%present = (1 => 1);
	$key = 1;
	nr_ask($s{w0}, "TRUNCATE $cache");
	nr_ask($s{w0}, put(1, 'new'));
	nr_ask($s{$_}, "SELECT nr_get('$cache', 1)") foreach qw(r0 r1 r2 victim);
	nr_ask($s{w0}, "SELECT nr_check('$cache')");
	return;
}

sub steps
{
	foreach my $step (@_)
	{
		my ($name, $does, @more) = split / /, $step;
		$steps{$does}->($s{$name}, map { exists $s{$_} ? $s{$_} : s/_/ /gr } @more);
	}
	return;
}

# A case for each of these caches: where the victim stops, doing what; then steps.
sub role
{
	my ($role, $caches, $point, $what, @then) = @_;
	foreach (split / /, $caches)
	{
		$cache = $_;
		begin("$role, $cache at $point");
		steps('w1 goes') if $what eq 'follow';
		nr_ask($s{victim}, "SET nr_cache.test_point = '$point:stop'");
		nr_send($s{victim}, $sql{ $what eq 'follow' ? 'read' : $what }->());
		ok(stopped($s{victim}{pid}), "$case: stopped");
		steps(@then);
		is(go_on(), '', "$case: it ends as if nothing had been");
		nr_ask($s{victim}, 'RESET nr_cache.test_point; SET nr_cache.replica = 0');
		%present = () if $what eq 'clear';
		afterwards();
	}
	return;
}

my @others = map { "$_ goes" } qw(r1 w1 r1 r2 w2 r1);
my @fill = ('w1 fills log_space victim', 'victim blames 0', 'u1 waits log_space victim', 'r1 goes', 'r2 goes', 'w1 cancelled');

# ---- readers ----

role('a reader', 'im1', 'reader_inside', 'read',
	'r0 goes', 'w0 stays readers victim', 'u0 waits response w0', 'r0 waits writer w0', @others, @fill, 'r0 waits catch_up w0');
role('a reader, first written elsewhere', 'im1', 'reader_inside', 'read',
	'u1 takes readers victim', 'r1 goes', 'r0 goes', @others, 'r0 waits readers victim', @fill, 'w0 waits log_space victim', 'u1 alters victim');
role('a reader', 'co1', 'reader_inside', 'read',
	'r0 goes', 'w0 goes', 'r0 waits readers victim', 'u0 goes', 'u0 puts readers victim', @others, @fill, 'u0 waits log_space victim');
role('a reader', 'im2', 'reader_inside', 'read',
	'r0 goes', 'w0 goes', 'r0 goes', 'w0 waits readers victim', 'r0 goes', @others, 'r0 waits readers victim', @fill);
role('a reader, first written elsewhere', 'im2', 'reader_inside', 'read',
	'w1 goes', 'r0 goes', 'r1 goes', 'w1 goes', 'r0 waits readers victim', 'w0 waits readers victim', @fill);
role('a reader, written elsewhere until the log is full', 'im2', 'reader_inside', 'read',
	@fill, 'r0 goes', 'w0 waits readers victim', 'r0 goes');
role('a reader', 'co2 lri lrc lrm', 'reader_inside', 'read',
	'r0 goes', 'w1 goes', 'r0 goes', 'w1 waits readers victim', 'w0 waits readers victim', 'victim blames 0',
	'r0 goes', 'r1 goes', 'r2 goes');
role('a reader that brings its replica up to date', 'im1 im2', 'batch_apply', 'follow',
	'r0 waits catch_up victim', 'w0 waits response victim', @others, @fill);
role('a reader that brings its replica up to date', 'co1', 'batch_apply', 'follow',
	'r0 waits catch_up victim', 'w0 goes', @others, @fill, 'w0 waits log_space victim');

# ---- combiners ----

role('a combiner, before it appends', 'im1 im2', $_, 'write',
	'r0 goes', 'w0 waits response victim', 'r0 goes', @others, 'r0 waits catch_up victim', @fill, 'w0 waits response victim')
  foreach qw(combiner_locked batch_filled);
role('a combiner that has taken a request', 'im1', '*', 'write',
	'victim locks', 'w0 asks response victim', 'victim steps', 'victim steps', 'w0 remains', 'u0 waits response victim',
	'r0 goes', @others, 'r0 waits catch_up victim');
role('a combiner that has appended', 'im1 im2', 'batch_appended', 'write',
	'r0 goes', 'w0 waits response victim', 'r0 misses', 'w1 goes', 'r1 sees', 'r2 sees', 'r0 waits catch_up victim', @fill);
role('a combiner that applies', 'im1', $_, 'write',
	'r0 waits writer victim', 'w0 waits response victim', 'w0 evades', 'r0 evades', @others, 'r1 sees', 'r0 waits catch_up victim', @fill)
  foreach qw(writer_flag batch_apply);
role('a combiner that applies', 'im2', 'batch_apply', 'write',
	'r0 goes', 'w0 waits response victim', 'r0 goes', @others, 'r1 sees', 'r0 waits catch_up victim', @fill);
role('a combiner that has applied', 'im1 im2', 'batch_complete', 'write',
	'r1 sees', 'r0 waits catch_up victim', 'w0 waits response victim', @others, @fill);
role('a combiner that is done', 'im1 im2', 'combiner_unlock', 'write',
	'r0 sees', 'w0 waits response victim', 'r0 goes', @others, 'r0 waits catch_up victim', @fill);
role('a combiner that has let go', 'im1 im2', 'combiner_unlocked', 'write',
	'r0 sees', 'w0 goes', 'r0 goes', @others, 'r0 goes', 'w1 flows', 'r0 goes', 'w0 goes');
role('the writer of left_right', 'lri', $_, 'write',
	'r0 goes', 'w0 waits lock victim', 'w1 waits lock victim', 'r1 goes')
  foreach qw(request_pending combiner_locked batch_appended batch_apply batch_complete flipped combiner_unlock);

# ---- requests, helpers ----

role('a request that nobody knows of', 'im1 im2', 'request_pending', 'write',
	'r0 goes', 'w0 goes', 'r0 misses', @others, 'r0 goes', 'w1 flows', 'r0 misses');
role('a request', 'im1 im2', 'request_announced', 'write',
	'r0 goes', 'w0 goes', 'r0 sees', 'r1 sees', @others, 'r0 goes', 'w1 flows');
role('a helper', 'im1 im2', 'helping', 'many',
	'r0 goes', 'w0 waits response victim', 'r1 waits catch_up victim', 'w1 waits response victim',
	'r2 goes', 'w2 waits log_space victim', 'victim blames 1', 'r0 goes', 'r2 goes');
role('a helper', 'co1', 'helping', 'many',
	'r0 goes', 'w0 waits log_space victim', 'r1 waits catch_up victim', 'w1 waits log_space victim',
	'r2 goes', 'w2 waits log_space victim', 'victim blames 1', 'r0 goes', 'r2 goes');

# ---- commits ----

role('a commit, prepared', 'co1', $_, 'write',
	'r0 goes', 'w0 goes', 'r0 misses', 'r1 misses', 'victim promises', @others, 'w1 flows', 'r0 goes', 'r0 misses')
  foreach qw(order_announced prepared stage_prepared commit_append prepared_append);
role('a commit, appended', 'co1', 'prepared_appended', 'write',
	'r0 goes', 'w0 goes', 'r0 sees', 'r1 sees', @others, 'r0 goes', 'w1 flows');
role('a commit, appended', 'co1', 'prepared_completed', 'write',
	'r0 sees', 'r1 sees', 'w0 goes', 'r0 goes', @others, 'r0 goes', 'w1 flows');
role('a commit that applies', 'co1', 'batch_apply', 'write',
	'r0 waits catch_up victim', 'r1 sees', 'w0 goes', @others, 'r0 waits catch_up victim', @fill, 'w0 waits log_space victim');
role('a commit that has applied', 'co1', 'combiner_unlock', 'write',
	'r0 sees', 'w0 goes', 'r0 waits catch_up victim', @others, @fill);
role('a commit, two copies', 'co2 lrc lrm', $_, 'write',
	'r0 goes', 'w0 waits lock victim', 'w1 waits lock victim', 'r0 misses', 'r1 misses', 'r0 goes', 'r1 goes', 'r2 goes')
  foreach qw(prepared prepared_append prepared_appended batch_apply batch_applied);
role('a commit, two copies, applied', 'co2', $_, 'write',
	'r0 sees', 'r1 sees', 'r2 sees', 'w0 waits lock victim', 'w1 waits lock victim', 'r0 goes', 'r1 goes', 'r2 goes')
  foreach qw(batch_complete flipped);
role('a commit, two copies, applied', 'lrc lrm', 'flipped', 'write',
	'r0 sees', 'r1 sees', 'w0 waits lock victim', 'w1 waits lock victim', 'r0 goes');

# ---- all replicas at once ----

role('nr_check', 'im1 im2', 'check_frozen', 'check',
	'r0 goes', 'w0 waits response victim', 'w1 waits response victim', 'r0 goes', 'r1 goes');
role('nr_check', 'co1', 'check_frozen', 'check',
	'r0 goes', 'w0 goes', 'r0 waits catch_up victim', 'r1 waits catch_up victim', 'w1 goes', 'r2 waits catch_up victim', 'victim blames 0');
role('nr_check', 'co2 lrc lrm', 'check_frozen', 'check',
	'r0 goes', 'w0 waits combiner victim', 'w1 waits combiner victim', 'r0 goes', 'r1 goes');
role('nr_check', 'lri', 'check_frozen', 'check',
	'r0 goes', 'w0 waits response victim', 'w1 waits response victim', 'r0 goes', 'r1 goes');
role('nr_take', 'im1 im2 co1 co2', $_, 'take',
	'r0 finds_nothing', 'r1 finds_nothing', 'w0 waits lock victim', 'w1 waits lock victim', 'r0 finds_nothing')
  foreach qw(retire_marked stage_taken restore_mark);
role('nr_take', 'im1 co1 co2', 'take_clear', 'clear',
	'r0 finds_nothing', 'r1 finds_nothing', 'w0 waits lock victim', 'w1 waits lock victim');

# ---- tokens that move ----

role('a session between two replicas', 'im1 co1 im2', 'session_moving', 'move',
	'r0 goes', 'w0 goes', 'r0 goes', @others, 'r0 goes', 'w1 flows', 'w0 flows');
role('a reader that has moved', 'im1', 'reader_inside', 'move',
	'r1 goes', 'w0 goes', 'r0 goes', 'r1 waits readers victim', 'w2 goes', 'r0 goes', 'w0 fills log_space victim', 'victim blames 1',
	'w1 waits log_space victim', 'r0 goes', 'r2 goes', 'w0 cancelled');

# ---- who sleeps, and is to be woken ----

# The one that a combiner wakes when it lets go is stopped: another one, who sleeps too, looks by itself, and serves both.
$cache = 'im1';
begin('one that was woken, to combine');
nr_ask($s{u0}, "SET nr_cache.test_point = 'combiner_unlock:stop'");
nr_send($s{u0}, put(2, 'new'));
ok(stopped($s{u0}{pid}), "$case: somebody combines");
foreach my $name (qw(victim w0))
{
	nr_send($s{$name}, put($name eq 'victim' ? 0 : 3, 'seen'));
	is_waiting($s{$name}, 'response', $s{u0});
	kill 'STOP', $s{victim}{pid};
}
kill 'CONT', $s{u0}{pid};
is(ends($s{$_}), '', "$case: $_ goes on") foreach qw(u0 w0);
nr_ask($s{u0}, 'RESET nr_cache.test_point');
steps('r0 sees', 'r1 sees', 'w0 goes', 'w1 goes');
is(go_on(), '', "$case: it ends as if nothing had been");
$present{$_} = 1 foreach 2, 3;
afterwards();

# ---- the list of caches ----

# Whoever has a cache open does not look there; others wait, as they do for any process that is stopped with
# one of PostgreSQL's own locks.
foreach my $point (qw(sweep_locked registry_locked))
{
	my $new = session();
	my $newer = session();
	my %pid = map { $_ => scalar $_->query('SELECT pg_backend_pid()') } $new, $newer;
	$node->safe_psql('postgres', "CREATE FOREIGN TABLE ${_}_$point (k int, v text) SERVER nr_cache") foreach qw(one other);

	begin("first use of a cache, at $point");
	$new->query("SET nr_cache.test_point = '$point:stop'");
	$new->query_until(qr/sent/, "\\echo sent\nSELECT nr_get('one_$point', 1);\n");
	ok(stopped($pid{$new}), "$case: stopped");
	steps('r0 goes', 'w0 goes', 'r1 goes', 'w1 goes', 'r0 goes');
	$newer->query_until(qr/sent/, "\\echo sent\nSELECT nr_get('other_$point', 1);\n");
	ok(comes_true($point eq 'sweep_locked' ? "SELECT $pid{$new} = ANY(pg_blocking_pids($pid{$newer}))" :
		"SELECT wait_event_type = 'LWLock' AND wait_event = 'nr_cache' FROM pg_stat_activity WHERE pid = $pid{$newer}"),
		"$case: who uses another one for the first time waits for it");
	steps('r0 goes', 'w0 goes');
	$monitor->query("SELECT pg_cancel_backend($pid{$newer})") if $point eq 'sweep_locked';
	kill 'CONT', $pid{$new};
	$new->query('RESET nr_cache.test_point');
	$newer->query("SELECT nr_get('other_$point', 1)");
	is($_->{stderr} =~ s/.*canceling statement due to user request//r, '', "$case: both go on") foreach $new, $newer;
	$_->quit foreach $new, $newer;
	afterwards();
}

close_node();

# ---- workers ----

# One worker only, that of replica 0, which stops whenever it has applied something and not yet said so.
open_node('workers', 'max_logical_replication_workers = 0', 'max_worker_processes = 1', "nr_cache.test_point = 'batch_applied:stop'");
my $worker = $monitor->query('SELECT pid FROM nr_tokens WHERE worker AND replica = 0');
my $session = $s{victim};
$s{victim} = { name => 'the worker', pid => $worker, psql => $session->{psql} };
like($worker, qr/^\d+$/, 'there is one worker');

# Somebody who lets it go on as often as it stops; until all replicas have everything, so it will find nothing to do.
my $continuer;
sub continue_worker
{
	$continuer = IPC::Run::start([ 'sh', '-c', "while kill -CONT $worker; do sleep 0.01; done" ], '<', \undef, '>', \my $out, '2>', \my $err);
	return;
}

sub leave_worker
{
	nr_ask($s{w0}, "SELECT nr_check(ftrelid::regclass) FROM pg_foreign_table");
	$continuer->kill_kill;
	return;
}

# What has to do with the list of caches goes on as well.
sub ddl_goes_on
{
	my ($new) = @_;
	my $psql = session();

	is($psql->query("SET statement_timeout = '120s'; CREATE FOREIGN TABLE $new (k int, v text) SERVER nr_cache; SELECT nr_put('$new', 1, 'x'::text);
		SELECT nr_get('$new', 1); ALTER FOREIGN TABLE $new OPTIONS (ADD log_size '128kB'); SELECT nr_get('$new', 1) IS NULL; DROP FOREIGN TABLE $new"),
		"t\nx\nt", "$case: CREATE, first use, ALTER, DROP of another cache");
	$psql->quit;
	return;
}

$cache = 'im1';
continue_worker();
begin('a worker that rests');
leave_worker();
kill 'STOP', $worker;
steps('r0 goes', 'w0 goes', 'r0 goes', @others, 'r0 goes', 'w1 flows', 'w0 flows', 'r0 goes');
ddl_goes_on('n');
continue_worker();
afterwards();

foreach ([ 'im1', 'w0 waits response victim' ], [ 'co1', 'w0 goes' ], [ 'im2', 'w0 waits response victim' ])
{
	($cache, my $write) = @$_;
	begin("a worker that applies, $cache");
	leave_worker();
	steps('w1 goes');
	ok(stopped($worker), "$case: stopped");
	steps('r0 waits catch_up victim', $write, @others, @fill);
	ddl_goes_on("n_$cache");
	if ($cache eq 'im1')
	{
		# this one, too: the new one has nothing to do with the old one, where it is
		unlike((nr_ask($s{w1}, "ALTER FOREIGN TABLE im1 OPTIONS (SET log_size '128kB')"))[1], qr/ERROR/, "$case: ALTER of this cache");
		%present = ();
		$filled = 0;
		steps('w0 goes', 'r0 goes', 'w1 goes', 'r1 goes', 'r0 goes', 'w0 goes');
	}
	elsif ($cache eq 'im2')
	{
		is((nr_ask($s{w1}, 'DROP FOREIGN TABLE im2'))[1], '', "$case: DROP of this cache");
	}
	my $free = $monitor->query('SELECT min(bytes_free) FROM nr_memory');
	continue_worker();
	if ($cache eq 'co1')
	{
		ok(comes_true("SELECT lag = 0 FROM nr_replicas WHERE cache = 'co1'::regclass AND replica = 0"), "$case: it goes on");
	}
	else
	{
		ok(comes_true("SELECT min(bytes_free) > $free FROM nr_memory"), "$case: it goes on, and what it was at is freed");
	}
	afterwards() if $cache ne 'im2';
	nr_settled($node, $case);
}
close_node();
$continuer->kill_kill;
done_testing();
