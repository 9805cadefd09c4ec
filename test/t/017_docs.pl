# The examples of the docs: each page's SQL is run in a database of its own, and
# what psql prints is compared with the page.
#
# A ```sql block followed by an ```output block must print just that, errors
# included; one without must run without an error.  "```sql B" is a second session,
# B, that lasts as long as the page.  Blanks at line ends do not count.
#
# NR_DOCS_RESULTS=folder: put the pages there as they would be right.
use strict;
use warnings FATAL => 'all';
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use NrTest;

my $source = $ENV{NR_TEST_SOURCE} // '.';
my @reference = sort map { s|^\Q$source/\E||r } glob("$source/docs/reference/*.md");

# A page as a list of { lang, session, line, text } for fenced blocks, and of { text } for what is between.
sub parts
{
	my ($page) = @_;
	my @parts = ({ text => '' });
	my $n = 0;

	foreach my $line (split /^/, slurp_file("$source/$page"))
	{
		$n++;
		if (!defined $parts[-1]{lang} && $line =~ /^```(\w+)(?: (\w+))?\s*$/)
		{
			push @parts, { lang => $1, session => $2 // 'A', line => $n, text => '' };
		}
		elsif (defined $parts[-1]{lang} && $line =~ /^```\s*$/)
		{
			push @parts, { text => '' };
		}
		else
		{
			$parts[-1]{text} .= $line;
		}
	}
	die "$page: a block has no end" if defined $parts[-1]{lang};
	return @parts;
}

# Give each sql part its output part, if the next block is one.
sub pair_output
{
	my ($page, @parts) = @_;

	foreach my $i (grep { ($parts[$_]{lang} // '') eq 'output' } 0 .. $#parts)
	{
		my $of = $i >= 2 ? $parts[$i - 2] : {};

		ok(($of->{lang} // '') eq 'sql' && $parts[$i - 1]{text} =~ /^\s*$/,
			"$page:$parts[$i]{line}: output follows the SQL that prints it");
		$of->{output} = $parts[$i];
	}
	return;
}

sub trim
{
	my ($text) = @_;

	$text =~ s/[ \t]+$//mg;
	$text =~ s/\n+\z//;
	return $text;
}

# ---- sessions ------------------------------------------------------------------

sub session
{
	my ($node, $database) = @_;
	my $s = { in => '', out => '' };

	local $ENV{PSQL_PAGER} = '';
	$s->{timer} = IPC::Run::timer($PostgreSQL::Test::Utils::timeout_default);
	$s->{run} = IPC::Run::start([ 'psql', '-Xq', '-d', $node->connstr($database) ],
		'<', \$s->{in}, '>&', \$s->{out}, $s->{timer});
	return $s;
}

# Run statements; returns what psql prints.
sub run
{
	my ($s, $sql) = @_;

	die "a statement without end: $sql" unless $sql =~ /(?:;|^|^\\[^\n]*)[ ]*(?:--[^\n]*)?\s*\z/m;
	$s->{out} = '';
	$s->{in} .= "$sql\n\\echo *end of block*\n";
	$s->{timer}->start;
	while ($s->{out} !~ /^\*end of block\*\n/m)
	{
		die "psql is gone: $s->{out}" unless $s->{run}->pumpable;
		die "no answer in time: $sql" if $s->{timer}->is_expired;
		$s->{run}->pump;
	}
	$s->{timer}->reset;
	return trim($s->{out} =~ s/^\*end of block\*\n.*//msr);
}

sub finish
{
	my ($s) = @_;

	$s->{in} .= "\\q\n";
	$s->{run}->finish;
	return;
}

# Run one part of a page and compare.
sub run_part
{
	my ($s, $page, $part) = @_;
	my $got = run($s, $part->{text});

	if ($part->{output})
	{
		is($got, trim($part->{output}{text}), "$page:$part->{line}: prints what the page says");
		$part->{output}{text} = "$got\n";
	}
	else
	{
		unlike($got, qr/^(ERROR|FATAL|PANIC):|invalid command/m, "$page:$part->{line}: runs without an error")
		  or diag($got);
	}
	return;
}

# ---- databases -----------------------------------------------------------------

sub in_database
{
	my ($node, $code) = @_;

	$node->safe_psql('postgres', 'CREATE DATABASE docs');
	$code->();
	$node->safe_psql('postgres', 'DROP DATABASE docs');
	# roles that examples have made
	$node->safe_psql('postgres',
		"SELECT format('DROP ROLE %I', rolname) FROM pg_roles WHERE oid > 16383 \\gexec");
	return;
}

# A page whose blocks build upon each other.
sub run_page
{
	my ($node, $page) = @_;
	my @parts = parts($page);
	my %sessions;

	pair_output($page, @parts);
	in_database(
		$node,
		sub {
			$node->safe_psql('docs', 'CREATE EXTENSION nr_cache');
			foreach my $part (grep { ($_->{lang} // '') eq 'sql' } @parts)
			{
				my $s = $sessions{ $part->{session} } //= session($node, 'docs');

				run_part($s, $page, $part);
			}
			finish($_) foreach values %sessions;
		});
	keep_result($page, @parts);
	return scalar grep { $_->{output} } @parts;
}

# A block of the README: what a comment behind a call says is its (first) answer, "-- 1.0842: ...".
sub run_readme_part
{
	my ($s, $part) = @_;
	my $line = $part->{line};

	foreach my $piece (grep { /\S/ } split /^(SELECT nr_[^\n]*;[ ]+-- (?:[tf]|[0-9.]+)(?![\w.])[^\n]*\n)/m, $part->{text})
	{
		my ($says) = $piece =~ /^SELECT nr_[^\n]*;[ ]+-- ([tf]|[0-9.]+)(?![\w.])[^\n]*\n\z/;
		my $got = run($s, $piece);

		unlike($got, qr/^(ERROR|FATAL|PANIC):|invalid command/m, "README.md:$line: runs without an error")
		  or diag($got);
		like($got, qr/^.*\n-.*\n *\Q$says\E *(\||\n)/, "README.md:$line: answers $says") if defined $says;
		$line += $piece =~ tr/\n//;
	}
	return;
}

# The README, whose blocks stand alone: each in a database with the tables that it may assume.
sub run_readme
{
	my ($node) = @_;

	foreach my $part (grep { ($_->{lang} // '') eq 'sql' } parts('README.md'))
	{
		in_database(
			$node,
			sub {
				my $s = session($node, 'docs');
				my $before = '';

				$before .= "CREATE EXTENSION nr_cache; CREATE FOREIGN TABLE fx (code text, rate numeric) SERVER nr_cache;"
				  unless $part->{text} =~ /CREATE EXTENSION/;
				$before .= "CREATE TABLE orders (id int, amount numeric, currency text);"
				  unless $part->{text} =~ /CREATE TABLE orders/;
				is(run($s, $before), '', "README.md:$part->{line}: what the block assumes is there");
				run_readme_part($s, $part);
				finish($s);
			});
	}
	return;
}

sub keep_result
{
	my ($page, @parts) = @_;
	my $folder = $ENV{NR_DOCS_RESULTS} or return;
	my $text = '';

	foreach my $part (@parts)
	{
		my $name = !defined $part->{lang} || $part->{session} eq 'A' ? '' : " $part->{session}";

		$text .= defined $part->{lang} ? "```$part->{lang}$name\n$part->{text}```\n" : $part->{text};
	}
	(my $to = $page) =~ s|/|.|g;
	open(my $f, '>', "$folder/$to") or die "$folder/$to: $!";
	print $f $text;
	close $f;
	return;
}

# ---- what must be there ----------------------------------------------------------

# Everything that the extension makes has its place, and every column of its views.
sub check_complete
{
	my ($node) = @_;
	my $settings = slurp_file("$source/docs/reference/settings.md");
	my %view = map { /^(\w+)\n/ ? ($1 => $_) : () } split /^## /m, slurp_file("$source/docs/reference/views.md");
	my $member = "EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid AND d.deptype = 'e' AND e.extname = 'nr_cache' AND d.objid =";
	my @lines = split /\n/, $node->safe_psql(
		'postgres',
		# but the wrapper's own, and those that views call
		"SELECT DISTINCT proname, NULL, NULL FROM pg_proc p WHERE $member p.oid)
		    AND NOT EXISTS (SELECT FROM pg_depend w WHERE w.refobjid = p.oid AND w.classid IN ('pg_rewrite'::regclass, 'pg_foreign_data_wrapper'::regclass));
		 SELECT NULL, name, NULL FROM pg_settings WHERE name ~ '^nr_cache[.]' AND name !~ 'test_';
		 SELECT NULL, c.relname, attname FROM pg_class c JOIN pg_attribute ON attrelid = c.oid AND attnum > 0
		  WHERE relkind = 'v' AND $member c.oid)");

	cmp_ok(scalar @lines, '>', 70, 'there is something to look for');
	foreach (@lines)
	{
		my ($function, $name, $column) = split /\|/, $_, -1;

		if ($function)
		{
			ok(-f "$source/docs/reference/$function.md", "function $function has a page");
		}
		elsif ($column)
		{
			like($view{$name} // '', qr/^\|[^|]*`\Q$column\E`[^|]*\|/m, "views.md: $name.$column");
		}
		else
		{
			like($settings, qr/^## \Q$name\E$/m, "settings.md: $name");
		}
	}
	return;
}

# Tables of errors in the reference: "| 53200 | message; message | cause |".  Each message
# is on the page with all of them, perhaps longer there, with that code.
sub check_error_tables
{
	my $all = slurp_file("$source/docs/TROUBLESHOOTING.md");
	my @known = map { [ $_->[0], join('.*', map { quotemeta } split /\.\.\./, $_->[1], -1), $_->[1] ] } (
		(map { my ($m, $text) = @$_; map { [ $_, $m ] } $text =~ /`(\w{5})` \(/g }
			  map { /^`(.*)`\n\n(.*)$/m ? [ $1, $2 ] : () } split /^### /m, $all),
		(map { my ($codes, $m) = @$_; map { my $c = $_; map { [ $c, $_ ] } split /; /, $m } split /, /, $codes }
			  map { [ /^\| ([0-9A-Z]{5}[^|]*?) \| ([^|]*?) \|/ ] } $all =~ /^(\| [0-9A-Z]{5}[ ,].*)$/mg));

	foreach my $page (@reference)
	{
		foreach (slurp_file("$source/$page") =~ /^(\| [0-9A-Z]{5}[ ,].*)$/mg)
		{
			my ($codes, $messages, $cause) = /^\| ([^|]*?) \| ([^|]*?) \| ([^|]*?) ?\|$/;

			next if $messages =~ /^those of/;
			foreach my $m (split /; /, $messages)
			{
				(my $start = $m) =~ s/ \.\.\.$//;
				my @found = grep { $m =~ /^$_->[1]$/ || index($_->[2], $start) == 0 } @known;

				ok((grep { $codes =~ /\b$_->[0]\b/ } @found) > 0, "$page: $codes $m")
				  or diag(@found ? "has other codes: " . join(' ', map { $_->[0] } @found) : 'is not in TROUBLESHOOTING.md');
			}
		}
	}
	return;
}

# ---- pages ---------------------------------------------------------------------

# "`53200` (out_of_memory)": the code and its name belong together.
sub check_states
{
	my ($node, $page) = @_;
	my %state = slurp_file("$source/$page") =~ /`([0-9A-Z]{5})` \((\w+)\)/g;

	foreach my $code (sort keys %state)
	{
		my ($rc, $out, $err) = $node->psql('postgres',
			"\\set VERBOSITY verbose\nDO \$\$ BEGIN RAISE 'x' USING ERRCODE = '$state{$code}'; END \$\$");

		like($err, qr/ERROR:  $code: x/, "$page: $code is $state{$code}");
	}
	return scalar keys %state;
}

# ---- "It hangs": the page's queries, while something does ---------------------------

sub send_sql
{
	my ($s, $sql) = @_;

	$s->{in} .= "$sql\n";
	$s->{run}->pump_nb while length $s->{in};
	return;
}

# The query must come to say this.
sub shows
{
	my ($node, $query, $row, $name) = @_;
	my $out = '';

	foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		$out = $node->safe_psql('docs', $query);
		last if $out =~ $row;
		select(undef, undef, undef, 0.1);
	}
	like($out, $row, "TROUBLESHOOTING.md, it hangs: $name");
	return;
}

sub check_hangs
{
	my ($node) = @_;
	my ($text) = slurp_file("$source/docs/TROUBLESHOOTING.md") =~ /^### It hangs\n(.*?)^### /ms;
	my ($table, $writer, $inside) = $text =~ /^```sql\n(.*?)^```$/msg;
	my @s = map { session($node, 'docs') } 0 .. 2;
	my @pid = map { run($_, "SELECT pg_backend_pid() AS pid \\gset\n\\echo :pid") } @s;

	run($s[0], "CREATE EXTENSION nr_cache;
		CREATE FOREIGN TABLE lr (k int, v int) SERVER nr_cache OPTIONS (scheme 'left_right');
		CREATE FOREIGN TABLE im (k int, v int) SERVER nr_cache OPTIONS (visibility 'immediate', copies '2');
		CREATE TEMP TABLE paused (i int) ON COMMIT DELETE ROWS;");

	run($s[0], 'BEGIN; ALTER FOREIGN TABLE lr ADD COLUMN w int;');
	send_sql($s[1], "SELECT nr_get('lr', 1);");
	shows($node, $table, qr/^$pid[1]\|active\|SELECT nr_get.*\|lr\|AccessShareLock\|\{$pid[0]\}$/m, 'for the table');
	run($s[0], 'ROLLBACK;');
	run($s[1], '');

	# a commit that waits between the writer's lock and its end
	my $paused = run($s[0], "SELECT 'paused'::regclass::oid::text AS oid \\gset\n\\echo :oid");
	my $name = $node->safe_psql('docs', "SELECT relnamespace::regnamespace || '.paused' FROM pg_class WHERE oid = $paused");
	run($s[2], "BEGIN; LOCK TABLE $name IN ACCESS SHARE MODE;");
	send_sql($s[0], "BEGIN; INSERT INTO paused VALUES (1); SELECT nr_put('lr', 1, 1); COMMIT;");
	shows($node, "SELECT wait_event FROM pg_stat_activity WHERE pid = $pid[0]", qr/^relation$/, 'a commit under way');
	is($node->safe_psql('docs', $writer), '', 'nobody waits for its writer lock yet');
	send_sql($s[1], "SELECT nr_put('lr', 1, 2);");
	shows($node, $writer, qr/^lr\|$pid[1]\|$pid[0]\|active\|relation$/m, 'for the writer lock');
	run($s[2], 'ROLLBACK;');
	run($_, '') foreach @s[0, 1];

	SKIP:
	{
		skip 'no test points in this build', 3 if run($s[0], "SHOW nr_cache.test_point;") =~ /ERROR/;
		run($s[1], "SELECT nr_put('im', 1, 1);");
		run($s[0], "SET nr_cache.test_point = 'reader_inside:stop';");
		send_sql($s[0], "SELECT nr_get('im', 1);");
		ok(stopped($pid[0]), 'a process is stopped');
		send_sql($s[1], "SELECT nr_put('im', 1, 2); SELECT nr_put('im', 1, 3); SELECT nr_put('im', 1, 4);");
		shows($node, $inside, qr/^$pid[1]\|readers\|im\|$pid[0]\|active\|SELECT nr_put/m, 'inside the cache');
		shows($node, $inside, qr/^im\|\d\|$pid[1]\|$pid[0]$/m, 'the combiner and the reader in its way');
		kill 'CONT', $pid[0];
		run($_, '') foreach @s[0, 1];
	}
	finish($_) foreach @s;
	return;
}

foreach my $replicas (1, 2)
{
	my $node = nr_node("replicas$replicas", "nr_cache.replicas = $replicas", "nr_cache.memory = '128MB'",
		'max_prepared_transactions = 5');

	note("nr_cache.replicas = $replicas");
	foreach my $page (@reference)
	{
		my $outputs = run_page($node, $page);

		ok($outputs > 0, "$page: has an example that prints something") unless $page =~ /README/;
	}
	run_page($node, 'docs/TROUBLESHOOTING.md');
	run_readme($node);
	if ($replicas == 1)
	{
		cmp_ok(check_states($node, 'docs/TROUBLESHOOTING.md'), '>', 5, 'codes were checked');
		check_complete($node);
		in_database($node, sub { check_hangs($node) });
	}
	$node->stop;
}
cmp_ok(scalar @reference, '>', 20, 'the pages were found');
check_error_tables();

done_testing();
