#!/usr/bin/env perl
#
# mutants.pl BUILT-FOLDER WORK-FOLDER: does the model notice when an edge is weaker than it should be?
#
# BUILT-FOLDER is what tools/ctests.mk made of KIND=model MODE=model.  Two kinds of mutants:
#
#	orders	each atomic operation of the engine that a scenario passes, one step weaker than its edge needs:
#			a load or store as relaxed (or, at edges that are store-then-load on both sides, as acquire); a
#			read-modify-write without its release, without its acquire, or, at those edges, without the
#			place in the one order of all
#	checks	a piece of source replaced by another, as test/model/mutants.txt says
#
# A mutant is killed when a scenario fails within its small bounds.  mutants.txt also says which
# mutants are equivalent (the edge does not need that side) or survive, and why; a survivor that it does
# not name fails, and so does a line of it that no longer fits the source.
#
# MUTANTS=pattern chooses; MUTANTS_TABLE=file receives the table for docs/EDGES.md; MUTANTS_TRUST=1 does not try again
# what mutants.txt excuses, which takes most of the time.
use strict;
use warnings FATAL => 'all';
use File::Basename;
use File::Path qw(make_path remove_tree);
use Time::HiRes qw(time);

my ($built, $work) = @ARGV;
my $root = dirname(dirname(dirname(Cwd::abs_path($0))));
my $dekker = qr/^(P2|R1|F1|Q3|W1|Z1)$/;
my $message = qr/^O1$/;	# a message whose sites are all sequentially consistent, though it needs release and acquire only
my $pattern = $ENV{MUTANTS} // '.';
my $jobs = $ENV{MUTANTS_JOBS} // (`nproc` + 0);
use Cwd ();

make_path($work);

# ---- what mutants.txt says ----

# [equivalent | survives] file:function:op=order reason
# check EDGE file <tab> old <tab> new <tab> [why it survives]
my (%excused, @checks);
open(my $list, '<', "$root/test/model/mutants.txt") or die "mutants.txt: $!";
while (<$list>)
{
	chomp;
	next if /^\s*(#|$)/;
	if (/^(equivalent|survives) (\S+) (.+)$/)
	{
		$excused{$2} = { kind => $1, why => $3, used => 0 };
	}
	elsif (/^check (\S+) (\S+)\t(.+?)\t([^\t]*)(?:\t(.+))?$/)
	{
		push @checks, { edge => $1, file => $2, old => $3, new => $4, why => $5 };
	}
	else
	{
		die "mutants.txt line $.: what is this?\n";
	}
}
close($list);

# ---- running scenarios ----

# Scenarios of a build: program, name, seconds, sites passed
sub scenarios
{
	my ($bin) = @_;
	my @found;
	for my $program (sort glob("$bin/model_*"))
	{
		next if $program =~ /model_litmus$/;
		chomp(my @names = `$program --list`);
		push @found, map { { program => basename($program), name => $_ } } @names;
	}
	return @found;
}

# In parallel: call work(item) for each item in a child; it returns a line of text.
sub parallel
{
	my ($work_on, @items) = @_;
	my (%child, @results);
	for my $i (0 .. $#items, undef)
	{
		while (%child && (!defined $i || keys %child >= $jobs))
		{
			my $pid = wait;
			my $ended = $?;
			my $n = delete $child{$pid};
			next unless defined $n;
			die "a child failed\n" if $ended != 0;
			open(my $fh, '<', "$work/result.$n") or die "a child left no result";
			local $/;
			$results[$n] = <$fh>;
			print STDERR '.' if -t STDERR;
		}
		last unless defined $i;
		my $pid = fork // die "fork: $!";
		if ($pid == 0)
		{
			open(my $fh, '>', "$work/result.$i") or die;
			print $fh $work_on->($items[$i], $i);
			close($fh);
			exec 'true';		# without what END blocks would do
		}
		$child{$pid} = $i;
	}
	return @results;
}

# Name of the first of these scenarios that fails, with what it said.  One that takes too long says nothing.
sub killer
{
	my ($bin, $options, @order) = @_;
	my @slow;
	for my $s (@order)
	{
		my $out = `timeout -k 5 300 $bin/$s->{program} $options $s->{name} 2>&1`;
		next if $? == 0;
		my ($how) = $out =~ /^# execution \d+ failed: (.*)/m;
		if (!defined $how && ($? >> 8) == 124)
		{
			push @slow, $s->{name};
			last if @slow == 2;
			next;
		}
		if (!defined $how && $out =~ /^Bail out! (.*)/m)
		{
			return "?\t?\t$1" if $options ne '';	# there is no such operation
			$how = "its setup: $1";
		}
		$how //= 'it crashed';
		$how =~ s/^((?:its setup: )?)\S*\//$1/;
		return "$s->{program}\t$s->{name}\t$how";
	}
	return @slow ? "?\t?\t@slow: no end" : '';
}

my @scenarios = scenarios("$built/bin");
print '# ', scalar @scenarios, " scenarios, as they are\n";
my @base = parallel(
	sub {
		my ($s) = @_;
		my $from = time;
		my $out = `timeout -k 5 300 $built/bin/$s->{program} --sites $s->{name} 2>&1`;
		return "FAILED $s->{name}" . (($? >> 8) == 124 ? ": no end" : "") . "\n$out" if $? != 0;
		return (time - $from) . "\n$out";
	},
	@scenarios);
my (%site, %by_site);
for my $i (0 .. $#scenarios)
{
	die $base[$i] if $base[$i] =~ /^FAILED/;
	($scenarios[$i]{seconds}) = $base[$i] =~ /^(\S+)/;
	$scenarios[$i]{must_fail} = $base[$i] =~ /^# execution \d+ failed/m;
	next if $scenarios[$i]{must_fail};
	while ($base[$i] =~ /^# site \S+ ((\S+):(\d+):(\S+)) (\S+) (\S+)$/mg)
	{
		next if -e "$root/test/model/$2";	# the scenarios' own
		$site{$1} = { file => $2, line => $3, op => $4, func => $5, order => $6, at => $1 };
		push @{ $by_site{$1} }, $scenarios[$i];
	}
}
my @able = sort { $a->{seconds} <=> $b->{seconds} } grep { !$_->{must_fail} } @scenarios;

# ---- orders ----

my %text;

# The edges that the source cites at this operation: on its line, before the statement ends, or just above.
sub edges_of
{
	my ($s) = @_;
	my ($path) = grep { -f } map { "$root/src/$_/$s->{file}" } qw(engine ds .);
	return () unless defined $path;
	$text{$path} //= do { open(my $fh, '<', $path) or die; [<$fh>] };
	my @lines = @{ $text{$path} };
	my $at = $s->{line} - 1;
	for my $n ($at .. $at + 3, reverse($at - 6 .. $at - 1))
	{
		next if $n < 0 || $n > $#lines;
		my @edges = $lines[$n] =~ /edge ([A-Z][0-9])/g;
		# what the source calls a count or a hint orders nothing
		return () if @edges && $lines[$n] =~ /edge [A-Z][0-9]: a (count|hint)\b/;
		return @edges if @edges;
	}
	return ();
}

sub weaker
{
	my ($s, @edges) = @_;
	return ('rlx') if $s->{order} eq 'acq' || $s->{order} eq 'rel';
	return () if $s->{order} eq 'rlx';
	return ((grep { /$dekker/ } @edges) ? 'acq' : 'rlx') if $s->{op} =~ /^load/;
	my @orders;
	push @orders, 'acq_rel' if grep { /$dekker/ } @edges;
	push @orders, 'rel', 'acq' if grep { !/$dekker/ } @edges or !@edges;
	return @orders;
}

# Such an edge is tried with no more than it needs at its other sites: the one order of all would stand in for it.
my %plainly;
for my $s (values %site)
{
	next if $s->{order} ne 'seq' || !grep { /$message/ } edges_of($s);
	$plainly{ $s->{at} } = $s->{op} =~ /^load/ ? 'acq' : 'acq_rel';
}

sub others_plainly
{
	my ($s) = @_;
	return '' if !exists $plainly{ $s->{at} };
	return join('', map { "--weaken $_=$plainly{$_} " } grep { $_ ne $s->{at} } sort keys %plainly);
}

my @mutants;
for my $s (sort { $a->{file} cmp $b->{file} || $a->{line} <=> $b->{line} } values %site)
{
	my @edges = edges_of($s);
	next if !@edges;
	for my $order (weaker($s, @edges))
	{
		my $name = "$s->{file}:$s->{func}:$s->{op}=$order";
		push @mutants,
		  {
			kind => 'order',
			edges => "@edges",
			name => $name,
			label => $name,
			options => others_plainly($s) . "--weaken $s->{at}=$order",
			scenarios => [ sort { $a->{seconds} <=> $b->{seconds} } @{ $by_site{ $s->{at} } } ]
		  };
	}
}

# Operations of the same name in one function are told apart by a number.
my (%count, %seen);
$count{ $_->{name} }++ for @mutants;
for (@mutants)
{
	$_->{name} .= '#' . ++$seen{ $_->{name} } if $count{ $_->{name} } > 1;
}

# ---- checks ----

sub slurp
{
	my ($file) = @_;
	open(my $fh, '<', $file) or die "$file: $!";
	local $/;
	return <$fh>;
}

sub spew
{
	my ($file, $content) = @_;
	open(my $fh, '>', $file) or die "$file: $!";
	print $fh $content;
	close($fh) or die;
}

for my $c (@checks)
{
	my ($old, $new) = map { s/\\n/\n/gr =~ s/\\t/\t/gr } $c->{old}, $c->{new};
	my $source = slurp("$root/$c->{file}");
	my $times = () = $source =~ /\Q$old\E/g;
	die "mutants.txt: \"$c->{old}\" is $times times in $c->{file}\n" if $times != 1;
	my $label = basename($c->{file}) . ": " . ($c->{new} eq '' ? "without" : "`$c->{new}` for") . " `$c->{old}`";
	push @mutants,
	  {
		kind => 'check',
		edges => $c->{edge},
		name => $label,
		label => $label,
		file => $c->{file},
		source => $source =~ s/\Q$old\E/$new/r,
		why => $c->{why},
		scenarios => \@able
	  };
}

# A tree of its own with the mutant in it, compiled; all else is taken from what was built, which may lie below the root.
sub build_mutant
{
	my ($m, $n) = @_;
	my ($tree, $out) = ("$work/tree.$n", "$work/out.$n");
	remove_tree($tree, $out);
	make_path($tree);
	system("cp -a $root/src $root/test $root/tools $tree/ && cp -a $built $out") == 0 or die;
	system("find $out -name '*.d' -exec sed -i 's#\Q$built\E/#$out/#g; s#\Q$root\E/#$tree/#g' {} +") == 0 or die;
	spew("$tree/$m->{file}", $m->{source});
	my $log = `make -s -f $tree/tools/ctests.mk KIND=model MODE=model OUT=$out 2>&1`;
	return $? == 0 ? $out : die "$m->{name} does not compile:\n$log";
}

@mutants = grep { "$_->{edges} $_->{name}" =~ /$pattern/ } @mutants;
print '# ', scalar @mutants, " mutants\n";
my @killers = parallel(
	sub {
		my ($m, $n) = @_;
		return '' if $ENV{MUTANTS_TRUST} && ($excused{ $m->{name} } || $m->{why});
		return killer("$built/bin", $m->{options}, @{ $m->{scenarios} }) if $m->{kind} eq 'order';
		my $out = eval { build_mutant($m, $n) } // return "?\t?\t$@";
		my $result = killer("$out/bin", '', @{ $m->{scenarios} });
		remove_tree("$work/tree.$n", $out);
		return $result;
	},
	@mutants);

# ---- what came out ----

my ($killed, $excused, $failed, $number) = (0, 0, 0, 0);
my @table;
for my $i (0 .. $#mutants)
{
	my $m = $mutants[$i];
	my ($program, $scenario, $how) = split /\t/, $killers[$i];
	my $excuse = $excused{ $m->{name} } // ($m->{why} ? { kind => 'survives', why => $m->{why} } : undef);
	my ($verdict, $says) = ('ok', '');

	$number++;
	$excuse->{used} = 1 if $excuse;
	if (defined $program && $program eq '?')
	{
		($verdict, $says) = ('not ok', $how);
	}
	elsif (defined $program && $excuse)
	{
		($verdict, $says) = ('not ok', "is said to be \"$excuse->{kind}\", but $scenario kills it: $how");
	}
	elsif (defined $program)
	{
		$killed++;
		$says = "killed by $scenario: $how";
		push @table, [ $m->{edges}, $m->{label}, "`$scenario`" ];
	}
	elsif ($excuse)
	{
		$excused{total}{ $excuse->{kind} }++;
		$says = "$excuse->{kind}: $excuse->{why}";
		push @table, [ $m->{edges}, $m->{label}, "$excuse->{kind}: $excuse->{why}" ];
	}
	else
	{
		($verdict, $says) = ('not ok', 'survives ' . scalar(@{ $m->{scenarios} }) . ' scenarios');
	}
	$failed++ if $verdict ne 'ok';
	print "$verdict $number - $m->{edges} $m->{name}: $says\n";
}
for my $name (sort keys %excused)
{
	next if $name eq 'total' || $excused{$name}{used} || $pattern ne '.';
	$number++;
	$failed++;
	print "not ok $number - mutants.txt names $name, which there is not\n";
}
my $equivalent = $excused{total}{equivalent} // 0;
my $counted = @mutants - $equivalent;
printf "# %d mutants, %d of them equivalent; %d of %d killed (%.1f %%)\n", scalar @mutants, $equivalent, $killed, $counted,
  $counted > 0 ? 100 * $killed / $counted : 0;
print "1..$number\n";
if ($ENV{MUTANTS_TABLE})
{
	spew($ENV{MUTANTS_TABLE},
		"| Edge | Mutant | Killed by |\n|---|---|---|\n" . join('', map { my @cells = map { s/\|/\\|/gr } @$_; "| $cells[0] | $cells[1] | $cells[2] |\n" } @table));
}
exit($failed > 0);
