# Hostile input: every function of the extension with every kind of nasty value, options and
# settings made of rubbish, and CREATE EXTENSION into a schema that somebody has prepared.
# Whatever is said, the answer is a result or an error with an SQLSTATE that means something:
# no crash, no hang, no "internal error", and afterwards nothing is left of it.
#
# HOSTILE_ROUNDS: how much of it (1 is what CI does); HOSTILE_SEED: what a run printed, for the
# same statements again.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use NrTest;

my $rounds = $ENV{HOSTILE_ROUNDS} || 1;
my $seed = $ENV{HOSTILE_SEED} || time % 1_000_000 * 100 + $$ % 100;
my $each = 130 * $rounds;    # random calls of each function
my $ddl = 250 * $rounds;     # statements with options, and with settings

diag("HOSTILE_SEED=$seed HOSTILE_ROUNDS=$rounds");
srand($seed);

my $node = nr_node(
	'hostile',
	"nr_cache.replicas = 2",
	"nr_cache.memory = '64MB'",
	'max_prepared_transactions = 3',
	'log_min_messages = fatal',
	'log_min_error_statement = panic');

sub any { return $_[ int(rand(@_)) ]; }

# ---- a world to be nasty in ----------------------------------------------------------

$node->safe_psql('postgres', <<'SQL');
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS plpgsql;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE renamed AS ENUM ('before', 'b');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN given AS text NOT NULL;
CREATE DOMAIN pair_dom AS pair CHECK ((VALUE).a > 0);
CREATE TYPE text_range AS RANGE (subtype = text);
CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE plain (k int PRIMARY KEY, v text, big text);
ALTER TABLE plain ALTER v SET STORAGE EXTERNAL;
INSERT INTO plain VALUES (1, repeat('external ', 3000), repeat('compressed ', 4000)), (2, NULL, NULL);
CREATE TABLE changed (a int, b text, c numeric, d int[]);
ALTER TABLE changed DROP COLUMN b;
INSERT INTO changed VALUES (1, 2.5, '{3}');
CREATE VIEW a_view AS SELECT 1 AS k, 'x'::text AS v;
CREATE MATERIALIZED VIEW a_matview AS SELECT 1 AS k;
CREATE SEQUENCE a_sequence;
CREATE TABLE parted (k int, v text) PARTITION BY RANGE (k);
CREATE FOREIGN TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (100) SERVER nr_cache;
CREATE FOREIGN DATA WRAPPER dummy;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER dummy;
CREATE FOREIGN TABLE not_ours (k int, v text) SERVER elsewhere;
CREATE FUNCTION expanded(n int) RETURNS int[] LANGUAGE plpgsql AS $$ DECLARE a int[] := '{}'; BEGIN FOR i IN 1..n LOOP a := a || i; END LOOP; RETURN a; END $$;
CREATE FUNCTION expanded_row() RETURNS pair LANGUAGE plpgsql AS $$ DECLARE p pair; BEGIN p.a := 1; p.b := repeat('y', 5000); RETURN p; END $$;
CREATE FUNCTION some_record() RETURNS record LANGUAGE sql AS 'SELECT 1, ''two''::text, NULL::int';
CREATE FUNCTION raises(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE 'raised' USING ERRCODE = 'NRRRR'; END $$;

CREATE FOREIGN TABLE c_int (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE c_text (k text, v int) SERVER nr_cache;
CREATE FOREIGN TABLE c_two (k bigint, v text) SERVER nr_cache OPTIONS (copies '2', visibility 'immediate', memory '4MB');
CREATE FOREIGN TABLE c_left (k bytea, v bytea) SERVER nr_cache OPTIONS (scheme 'left_right');
CREATE FOREIGN TABLE c_manual (k uuid, v numeric) SERVER nr_cache OPTIONS (visibility 'manual', memory '2MB');
CREATE FOREIGN TABLE c_mood (k mood, v mood) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE c_dom (k positive, v given) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE c_pair (k "char", v pair) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE c_pair_dom (k name, v pair_dom) SERVER nr_cache;
CREATE FOREIGN TABLE c_array (k char(5), v int[]) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE c_json (k timestamptz, v json) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE c_float (k inet, v float8) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE c_row (k int, a text, b int[], c pair) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE c_dropped (x int, k int OPTIONS (key 'true'), y text, z int) SERVER nr_cache OPTIONS (visibility 'immediate');
ALTER FOREIGN TABLE c_dropped DROP COLUMN x;
CREATE FOREIGN TABLE c_gen (k int, v int, g int GENERATED ALWAYS AS (100 / v) STORED) SERVER nr_cache;
CREATE FOREIGN TABLE c_check (k int CHECK (raises(k) > 0), v int) SERVER nr_cache;
CREATE FOREIGN TABLE "c odd""name" (k int, v varchar(3) COLLATE any_case) SERVER nr_cache OPTIONS (visibility 'immediate');
SQL

my @caches = split /\n/, $node->safe_psql('postgres',
	"SELECT ftrelid::regclass FROM pg_foreign_table WHERE ftserver = (SELECT oid FROM pg_foreign_server WHERE srvname = 'nr_cache') ORDER BY 1::text COLLATE \"C\"");
cmp_ok(scalar @caches, '>', 15, 'caches of many kinds');

# Each is used, so that what they hold from now on is the baseline; none of them can grow beyond it for good.
my $look = join '; ', map { "SELECT count(*) FROM $_" } grep { !/c_check/ } @caches;
$node->safe_psql('postgres', $look);

# ---- values --------------------------------------------------------------------------

my @numbers = (
	'0', '1', '-1', '32767::int2', "'-32768'::int2", '2147483647', "'-2147483648'::int4",
	'9223372036854775807', "'-9223372036854775808'::int8", '1.5', '1e400', "'NaN'::numeric", "'-Infinity'::numeric",
	'1e-300::numeric', "'NaN'::float8", "'-0'::float8", "'Infinity'::float4", '1e-310::float8', '0::oid', '4294967295::oid',
	"1::money", '1::positive', 'NULL::positive', "3::\"char\"");
my @texts = (
	"''", "'x'", "'x'::text", "repeat('x', 2048)", "repeat('x', 2049)", "repeat('x', 65000)", "repeat('x', 70000)", "repeat('x', 1000000)",
	"'x'::varchar", "'x  '::char(5)", "repeat('n', 63)::name", "'\\u00e4'", "U&'\\FFFF'", "'x'::given", "'x'::cstring", "'x' COLLATE any_case",
	"E'\\\\x00'::bytea", "''::bytea", "'\\xff00'::bytea", "NULL::text", "E'a\\nb\\t''\"\\\\'", "'sad'", "'sad'::mood", "'happy'",
	"(SELECT v FROM plain WHERE k = 1)", "(SELECT big FROM plain WHERE k = 1)", "(SELECT substr(v, 1, 100) FROM plain WHERE k = 1)");
my @others = (
	'NULL', 'true', "'infinity'::date", "'-infinity'::timestamptz", "'4714-11-24 BC'::date", "'24:00'::time", "'23:59:60.999999+15:59'::timetz",
	"'-178000000 years'::interval", "gen_random_uuid()", "'::/0'::inet", "'10.0.0.1/8'::inet", "'10/8'::cidr", "'ff:ff:ff:ff:ff:ff'::macaddr",
	"B''::varbit", "B'1'::bit(1)", "'{}'::jsonb", "'{\"a\":[1,null]}'::json", "'(NaN,Infinity)'::point", "'((0,0),(1,1))'::polygon",
	"''::tsvector", "'a & !b'::tsquery", "'empty'::int4range", "'[,]'::numrange", "'[a,b]'::text_range", "'{[1,2),[5,6)}'::int4multirange",
	"'0/0'::pg_lsn", "'0'::xid", "'0'::xid8", "'(0,0)'::tid", "'10:20:10,14'::pg_snapshot", "'pg_class'::regclass", "'int4'::regtype", "'1'::regproc",
	"'=r/postgres'::aclitem", "''::refcursor", "'1 2'::int2vector", "'1 2'::oidvector", "'\$.a'::jsonpath", "'now'::timestamptz",
	'ROW()', 'ROW(1)', 'ROW(NULL)', "ROW(1, 'x')", "ROW(1, NULL, NULL, NULL)", "ROW(1, 'x', ARRAY[1], ROW(1, 'y'))", "ROW(1, ROW(2, ROW(3)))", "ROW(-1, 'x')::pair",
	'NULL::pair', "ROW(1, 'b')::pair::pair_dom", 'NULL::record', 'some_record()', 'expanded_row()', '(SELECT p FROM plain p WHERE k = 1)', '(SELECT c FROM changed c)',
	'(SELECT p FROM pg_class p LIMIT 1)', "ROW(7, 'x', '{1,2}', ROW(1, repeat('z', 3000)))::c_row", 'NULL::c_row', 'NULL::c_dropped', 'NULL::c_gen', "ROW(1, 0, 5)::c_gen",
	"ROW(repeat('x', 70000), 1)", "(SELECT c FROM c_int c LIMIT 1)", "pg_notify('a', '')");
my @arrays = (
	"'{}'::int[]", "ARRAY[1]", 'ARRAY[NULL]::int[]', 'ARRAY[1, NULL, 3]', "'{{1,2},{3,NULL}}'::int[]", "'[-5:-3]={1,2,3}'::int[]", "'[2147483645:2147483646]={1,2}'::int[]",
	"'{{{{{{1}}}}}}'::int[]", "ARRAY['x', '', NULL]", "array_fill(1, ARRAY[1000])", "array_fill('x'::text, ARRAY[10, 10, 10])", 'ARRAY[ROW(1, 2), NULL]', "ARRAY['sad'::mood]",
	'expanded(50)', 'ARRAY[1::positive]', "ARRAY[repeat('x', 3000)]", "'1 2'::int2vector", "ARRAY['a' COLLATE any_case]", 'NULL::int[]', 'NULL::bytea[]', "ARRAY['NaN'::float8, 0]",
	"ARRAY['{}'::jsonb]", "ARRAY[ROW(1, 'x')::pair]", '(SELECT array_agg(g) FROM generate_series(1, 3000) g)', "ARRAY[gen_random_uuid()]", "ARRAY['empty'::int4range]");
my @relations = (
	(map { "'" . s/'/''/gr . "'" } @caches), (map { "'" . s/'/''/gr . "'::regclass" } @caches),
	"'nr_default'", 'NULL', '0', '0::oid', '4294967295::oid', "'plain'", "'plain_pkey'", "'a_view'", "'a_matview'", "'a_sequence'", "'pair'", "'parted'", "'not_ours'", "'pg_class'",
	"'nr_caches'", "(SELECT reltoastrelid FROM pg_class WHERE relname = 'plain')::regclass", "'pg_catalog.nosuch'", "''", "'a.b.c.d.e'", "'\"'", "repeat('x', 100)", "'c_int'::text", "1.5",
	"(SELECT 'c_int'::regclass FROM generate_series(1, 2))");

# By what a function says it takes.
sub value_for
{
	my ($type) = @_;

	# now and then anything at all
	return any(@numbers, @texts, @others, @arrays) if rand() < 0.1;
	return any(@relations) if $type eq 'regclass';
	return any(@arrays) if $type =~ /array|\[\]/;
	return any(@texts, 'NULL') . any('', '::text') if $type eq 'text';
	return any("current_database()", "'no such database'::name", "''::name", 'NULL') if $type eq 'name';
	return any("'c_int'::regclass", "'c_left'::regclass", 0, 1, '4294967295', 'NULL') . '::oid' if $type eq 'oid';
	return any(0, 1, 2, 15, 16, 31, 32, 65535, 65536, 2147483647, "'-2147483648'::int4", -1, 'NULL') if $type =~ /^(integer|bigint)$/;
	return any('true', 'false', 'NULL') if $type eq 'boolean';
	return any(grep { /ROW|record|row|SELECT|NULL::/ } @others) if $type eq 'record';
	return any(@numbers, @texts, @others);
}

# What fits a cache's columns, or nearly so.
my %fit = (
	c_int => [ [ 0, -1, 2147483647, "'5'", 7, '1.7', 'NULL', '2147483648', "'12x'" ], [ "'x'", "repeat('x', 60000)", "''", 'NULL', '5', '(SELECT v FROM plain WHERE k = 1)' ] ],
	c_text => [ [ "''", "'a'", "repeat('k', 2048)", "repeat('k', 2049)", '5', "'sad'::mood" ], [ 0, 2147483647, "'1'", '2147483648', "''", '1.5' ] ],
	c_two => [ [ 0, '9223372036854775807', 7 ], [ "'x'", "repeat('x', 60000)", "repeat('y', 100)", 'NULL::text' ] ],
	c_left => [ [ "'\\x'::bytea", "'\\x00ff'::bytea" ], [ "'\\x'::bytea", "repeat('x', 200)::bytea", 'NULL::bytea' ] ],
	c_manual => [ [ "gen_random_uuid()", "'00000000-0000-0000-0000-000000000001'" ], [ "'NaN'::numeric", '1e1000', '-0.000', 'NULL::numeric' ] ],
	c_mood => [ [ "'sad'", "'ok'::mood", "'no such'" ], [ "'sad'::mood", "'ok'", 'NULL::mood' ] ],
	c_dom => [ [ 1, 0, -5, "'7'", '7::positive' ], [ "'x'", "'x'::given", 'NULL::text', 'NULL::given' ] ],
	c_pair => [ [ "'a'", "''", "'\377'" ], [ "ROW(1, 'x')::pair", 'NULL::pair', 'expanded_row()', "ROW(1, 'b')::pair::pair_dom", "'(1,2)'" ] ],
	c_array => [ [ "'ab'", "'ab   '::char(5)", "'abcdef'" ], [ "'{}'::int[]", 'expanded(1000)', "'[5:6]={1,NULL}'::int[]", 'NULL::int[]', "'{1,2'", "array_fill(1, ARRAY[20000])" ] ],
	c_float => [ [ "'10.0.0.1'", "'::/0'::inet", "'10/8'::cidr" ], [ "'-0'::float8", "'NaN'::float8", "'1e-310'::float8", 'NULL::float8', '1' ] ],
	c_row => [ [ 7, "'7'" ], [ "ROW(7, 'x', '{1,2}', ROW(1, repeat('z', 3000)))::c_row", 'NULL::c_row', "ROW(NULL, NULL, NULL, NULL)::c_row", "ROW(8, 'x', NULL, NULL)::c_row" ] ],
	c_dropped => [ [ 7, 8 ], [ "ROW(7, 'x', 1)::c_dropped", 'NULL::c_dropped' ] ],
	c_gen => [ [ 7, 8 ], [ "ROW(7, 5, NULL)::c_gen", "ROW(7, 0, NULL)::c_gen" ] ],
	part => [ [ 0, 99, 100, -1 ], [ "'x'", 'NULL::text' ] ]);
my @fitting = ('nr_get(%1$s, %2$s)', 'nr_get(%1$s, %2$s, %3$s)', 'nr_put(%1$s, %2$s, %3$s)', 'nr_put(%1$s, ROW(%2$s, %3$s))', 'nr_put(%1$s, %3$s)', 'nr_delete(%1$s, %2$s)', 'nr_swap(%1$s, %2$s, %3$s)',
	'nr_cas(%1$s, %2$s, %4$s, %3$s)', 'nr_cas(%1$s, %2$s, NULL, %3$s)', 'nr_incr(%1$s, %2$s, %3$s)', 'nr_get_many(%1$s, ARRAY[%2$s, %2$s], %3$s)', 'nr_truncate(%1$s)', 'nr_take(%1$s, %4$s)', 'nr_publish(%1$s)');

# ---- a batch of statements, and what came of it ---------------------------------------

my %seen;

# Each is a statement of its own; a session ends on its own only if the server has crashed.
sub run_all
{
	my ($name, @sql) = @_;
	my $file = $node->basedir . '/' . ($name =~ s/\W/_/gr) . '.sql';
	my @bad;

	open(my $f, '>', $file) or die $!;
	print $f "\\set VERBOSITY sqlstate\n\\set ON_ERROR_STOP 0\n\\o /dev/null\nSET statement_timeout = '60s'; SET client_min_messages = error;\n";
	print $f "$_;\n" foreach @sql;
	close $f;
	my $first = 5;
	my ($out, $err) = finish_psql(start_psql_file($node, $file));
	foreach my $line (split /\n/, $err)
	{
		my ($at, $state) = $line =~ /:(\d+): ERROR:\s+([0-9A-Z]{5})/;

		$seen{$state}++ if defined $state;
		next if defined $state && $state !~ /^(XX|57)/;
		next if $line =~ /^\s*$/ || $line =~ /WARNING|NOTICE|LINE \d|^\s*\^/;
		push @bad, $line . (defined $at ? " in: " . ($sql[ $at - $first ] // '?') : '');
	}
	is(join("\n", @bad[ 0 .. ($#bad > 20 ? 20 : $#bad) ]), '', "$name: " . @sql . ' statements, each with a result or an error that means something');
	is($node->safe_psql('postgres', 'SELECT 1'), '1', "$name: the server is there");
	return;
}

# ---- functions -------------------------------------------------------------------------

my @functions = map { [ split /\|/ ] } split /\n/, $node->safe_psql('postgres', <<'SQL');
SELECT p.proname, coalesce((SELECT string_agg(format_type(t, NULL), ',' ORDER BY n) FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY a (t, n)), ''), p.proretset
  FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
  JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'nr_cache'
 ORDER BY p.oid::regprocedure::text COLLATE "C"
SQL
cmp_ok(scalar @functions, '>', 35, 'functions of the extension: ' . scalar @functions);

my @calls;
foreach my $function (@functions)
{
	my ($name, $types, $set) = @$function;
	my @types = split /,/, $types;
	my $at = grep { $_ eq 'regclass' } @types;

	foreach my $i (1 .. (@types ? $each : 1))
	{
		my @args = map { value_for($_) } @types;
		my $call = "$name(" . join(', ', @args) . ')';

		# as a caller writes it, and as it comes with types that are known
		push @calls, any("SELECT $call", "SELECT * FROM $call", "SELECT count(*) FROM (SELECT $call FROM generate_series(1, 3)) s",
			"DO \$do\$ BEGIN PERFORM $call; EXCEPTION WHEN division_by_zero THEN NULL; END \$do\$", "BEGIN; SELECT $call; ROLLBACK",
			"BEGIN; SAVEPOINT s; SELECT $call; ROLLBACK TO s; SELECT $call; COMMIT", "SELECT $call WHERE $call IS NULL");
	}
}

# Every value at every place of the functions that take a cache, which is a good one: this is where the types matter.
foreach my $cache (map { "'" . s/'/''/gr . "'" } @caches)
{
	my @all = (@numbers, @texts, @others, @arrays);
	my @some = $rounds > 1 ? @all : map { any(@all) } 1 .. 20;

	push @calls, map { my $v = $_; map { sprintf("SELECT $_", $cache, $v) }
		  any('nr_get(%s, %s)', 'nr_delete(%s, %s)'), any('nr_put(%s, %s)', 'nr_put(%s, ROW(1, %2$s))', 'nr_put(%1$s, %2$s, %2$s)'),
		any("nr_get(%s, '1', %s)", 'nr_get_many(%s, %s, NULL::text)', "nr_swap(%s, '1', %s)", "nr_cas(%s, '1', NULL, %s)", 'nr_cas(%1$s, %2$s, %2$s, %2$s)', "nr_incr(%s, '1', %s)"),
		any('nr_take(%s, %s)', "nr_get_many(%s, ARRAY['1'], %s)", 'nr_get_many(%1$s, ARRAY[%2$s], %2$s)') } @some;
}

# What nearly fits goes deeper.
foreach my $i (1 .. $each * 20)
{
	my $cache = any(sort keys %fit);
	my ($keys, $values) = @{ $fit{$cache} };

	push @calls, sprintf(any('SELECT %s', 'BEGIN; SELECT %s; ROLLBACK', 'BEGIN; SAVEPOINT s; SELECT %s; RELEASE s; SELECT %1$s; COMMIT'),
		sprintf(any(@fitting), "'$cache'", any(@$keys), any(@$values), any(@$values)));
	push @calls, any("INSERT INTO $cache VALUES (" . any(@$keys) . ', ' . any(@$values) . ')', "SELECT * FROM $cache", "DELETE FROM $cache WHERE k = " . any(@$keys), "UPDATE $cache SET k = " . any(@$keys), "TRUNCATE $cache",
		"SELECT nr_put('c_row', $i, ROW($i, 'a', '{}', NULL)::c_row)", "SELECT count(*) FROM $cache a JOIN $cache b USING (k)") if rand() < 0.2;
}

# What goes away, or becomes something else, in the transaction that uses it.
foreach my $use ("nr_get(%s, 1)", "nr_put(%s, 1, '1')", "nr_delete(%s, 1)", 'nr_truncate(%s)', 'nr_check(%s)', 'nr_publish(%s)', 'nr_pending(%s)', "nr_take(%s, NULL::c_int)",
	'nr_get_many(%s, ARRAY[1], NULL::text)', "nr_swap(%s, 1, '2'::text)", "nr_cas(%s, 1, NULL, '1')", 'nr_incr(%s, 1, 1)')
{
	foreach my $what ('DROP FOREIGN TABLE %s', 'DROP FOREIGN TABLE %s; CREATE FOREIGN TABLE %1$s (k text, v int) SERVER nr_cache', 'ALTER FOREIGN TABLE %s DROP COLUMN v',
		'ALTER FOREIGN TABLE %s ALTER k TYPE bigint', 'ALTER FOREIGN TABLE %s RENAME TO other', 'ALTER FOREIGN TABLE %s OPTIONS (ADD copies $$2$$)', 'ALTER FOREIGN TABLE %s ADD w pair')
	{
		foreach my $cache ('c_int', 'c_text')
		{
			my $call = sprintf $use, "$cache.oid";
			my $from = "FROM (SELECT '$cache'::regclass AS oid OFFSET 0) $cache";
			my $prepared = "PREPARE p AS SELECT $call $from; EXECUTE p";
			push @calls, 'BEGIN; ' . any("SELECT $call $from", $prepared, "SAVEPOINT s; SELECT $call $from; ROLLBACK TO s") . '; ' . sprintf($what, $cache) . "; SELECT nr_get('$cache', '1')"
			  . any('; ROLLBACK', "; SAVEPOINT t; SELECT $call $from; ROLLBACK TO t; ROLLBACK", "; EXECUTE p; ROLLBACK"), 'ROLLBACK', 'DEALLOCATE ALL';
		}
	}
}

# Enums whose labels change under the entries, in the same transaction and before.
push @calls, 'CREATE FOREIGN TABLE c_ren (k renamed, v renamed) SERVER nr_cache OPTIONS (visibility $$immediate$$)', "SELECT nr_put('c_ren', 'before', 'b')",
  "ALTER TYPE renamed RENAME VALUE 'before' TO 'after'", "SELECT nr_get('c_ren', 'before')", "SELECT nr_get('c_ren', 'after')", 'SELECT * FROM c_ren',
  "BEGIN; ALTER TYPE renamed ADD VALUE 'new'; SELECT nr_put('c_ren', 'new', 'new'); ROLLBACK", "SELECT nr_put('c_ren', 'b', 'after'), nr_check('c_ren')", 'TABLE c_ren',
  'BEGIN; DROP TYPE renamed CASCADE; SELECT nr_get(\'c_ren\', \'b\'); ROLLBACK', 'DROP FOREIGN TABLE c_ren';

run_all('functions', @calls);
cmp_ok(scalar keys %seen, '>', 15, 'many kinds of errors: ' . join(' ', map { "$_=$seen{$_}" } sort keys %seen));
$node->safe_psql('postgres', 'DROP FOREIGN TABLE not_ours');    # which nr_check rightly refuses
nr_settled($node, 'after the calls');
nr_nothing_left($node, 'after the calls');

# ---- options -----------------------------------------------------------------------------

my @names = (qw(scheme copies aliasing visibility memory log_size structure on_full ttl read logs key nosuch Memory), '""', '"memory "', '"' . 'x' x 70 . '"', '"sch=eme"');
my @option_values = ('nr', 'left_right', 'NR', '1', '2', '0', '-1', '3', 'on', 'off', 'true', 'maybe', 'commit', 'immediate', 'manual', '', ' ', '64kB', '63kB', '1MB', '1 MB', '1e3kB', '0.5GB',
	'2147483647', '2147483648', '2147483647kB', '2TB', '1023TB', '99999999999999999999', '1PB', '-64MB', 'NaN', 'inf', '0x100000', '1MB1', "''''", 'x' x 5000, '65536B', '1_000', '64KB', 'default');
my @columns = ('k int', 'v text', 'f float8', 'k2 mood', 'arr int[]', 'd positive', 'g int GENERATED ALWAYS AS (1) STORED', 't text COLLATE any_case', 'j json', 'p pair', 'n numeric NOT NULL', 'r c_row');

sub options
{
	my ($verb) = @_;
	return join ', ', map { ($verb ? any('', 'ADD ', 'SET ', 'DROP ') : '') . any(@names) . " '" . any(@option_values) . "'" } 1 .. int(rand(4)) + 1;
}

# DROP takes no value
sub alter_options { return options(1) =~ s/(DROP \S+) '[^']*'/$1/gr; }

my @ddl;
foreach (1 .. $ddl)
{
	my $columns = join ', ', map { any(@columns) . (rand() < 0.2 ? ' OPTIONS (' . any('key', 'nosuch', 'memory') . " '" . any(@option_values) . "')" : '') } 1 .. int(rand(4));
	push @ddl, any("CREATE FOREIGN TABLE f_new ($columns) SERVER nr_cache OPTIONS (" . options() . ')', "CREATE FOREIGN TABLE f_new (k int, v text) SERVER nr_cache OPTIONS (" . options() . ')'),
	  "SELECT nr_put('f_new', 1, '1'), nr_get('f_new', 1)", 'SELECT * FROM f_new', 'ALTER FOREIGN TABLE f_new OPTIONS (' . alter_options() . ')',
	  any("SELECT nr_put('f_new', 1, '1')", 'INSERT INTO f_new VALUES (1)', 'ALTER FOREIGN TABLE f_new ALTER v OPTIONS (' . alter_options() . ')',
		'ALTER FOREIGN TABLE f_new ADD ' . any(@columns) . ', DROP ' . any('k', 'v'), 'ALTER FOREIGN TABLE f_new ALTER v TYPE ' . any('int', 'pair', 'text[]', 'positive', 'c_row')),
	  "SELECT nr_get('f_new', 1)", 'SELECT nr_check($$f_new$$)', 'DROP FOREIGN TABLE IF EXISTS f_new';
	push @ddl, any('ALTER SERVER nr_cache OPTIONS (' . alter_options() . ')', 'ALTER FOREIGN DATA WRAPPER nr_cache OPTIONS (' . alter_options() . ')',
		'CREATE USER MAPPING FOR CURRENT_USER SERVER nr_cache OPTIONS (' . options() . ')', 'CREATE SERVER more FOREIGN DATA WRAPPER nr_cache OPTIONS (' . options() . ')',
		'IMPORT FOREIGN SCHEMA x FROM SERVER nr_cache INTO public OPTIONS (' . options() . ')', "SELECT nr_cache_fdw_validator(ARRAY['" . any(@names) . "=" . any(grep { !/'/ } @option_values) . "', '" . any('', '=', 'x', 'memory', '=1MB') . "'], "
		  . any('0', "'pg_foreign_table'::regclass", "'pg_foreign_server'::regclass", "'pg_attribute'::regclass", '1', 'NULL') . ')')
	  if rand() < 0.3;
}
push @ddl, 'DROP SERVER IF EXISTS more CASCADE', 'DROP USER MAPPING IF EXISTS FOR CURRENT_USER SERVER nr_cache';
run_all('options', @ddl);

# ---- CREATE EXTENSION where somebody was before ------------------------------------------------

# Everything that a script could take for PostgreSQL's own by mistake; whoever runs it leaves a trace.
my @types = qw(oid regclass name text "char" regproc boolean integer bigint);
my $trap = join "\n", 'CREATE TABLE trap (who name, what text)',
  "; CREATE FUNCTION trapped(what text) RETURNS void LANGUAGE plpgsql SECURITY INVOKER AS \$f\$ BEGIN INSERT INTO evil.trap VALUES (current_user, what); EXCEPTION WHEN OTHERS THEN NULL; END \$f\$",
  (map { my $l = $_; map { my $r = $_; "; CREATE FUNCTION same($l, $r) RETURNS boolean LANGUAGE plpgsql AS \$f\$ BEGIN PERFORM evil.trapped('$l = $r'); RETURN true; END \$f\$"
		  . join('', map { "; CREATE OPERATOR $_ (LEFTARG = $l, RIGHTARG = $r, FUNCTION = same)" } qw(= <> ||)) } @types } @types),
  (map { "; CREATE FUNCTION nr_replica_operations(name, oid, integer, $_) RETURNS bigint LANGUAGE sql AS 'SELECT evil.trapped(''overload'')::text::bigint'" } 'varchar', 'name', '"char"', 'anyelement'),
  "; CREATE DOMAIN pg_catalog_text AS text; CREATE TABLE pg_depend (objid oid); CREATE TABLE pg_extension (oid oid); CREATE FUNCTION pg_extension_config_dump(regclass, text) RETURNS void LANGUAGE sql AS 'SELECT evil.trapped(''config'')'";
foreach my $how ('CREATE EXTENSION nr_cache SCHEMA evil', "CREATE EXTENSION nr_cache SCHEMA evil VERSION '0.1'; ALTER EXTENSION nr_cache UPDATE",
	'SET search_path = evil, pg_catalog; CREATE EXTENSION nr_cache')
{
	$node->safe_psql('postgres', 'CREATE DATABASE attacked');
	$node->safe_psql('attacked', "CREATE ROLE mallory; CREATE SCHEMA evil AUTHORIZATION mallory; SET ROLE mallory; SET search_path = evil; $trap");
	$node->safe_psql('attacked', $how);
	is($node->safe_psql('attacked', 'SELECT DISTINCT who, what FROM evil.trap'), '', "$how: nothing of Mallory's has run");
	$node->safe_psql('attacked', 'SET ROLE mallory; SELECT evil.same(1, 1)');
	is($node->safe_psql('attacked', 'SELECT who, what FROM evil.trap'), 'mallory|integer = integer', "$how: and it would have been noticed");
	is( $node->safe_psql(
			'attacked', "SELECT count(*) FILTER (WHERE e.objid IS NULL), count(*) > 10 FROM pg_rewrite r JOIN pg_depend v ON v.classid = 'pg_class'::regclass AND v.objid = r.ev_class AND v.deptype = 'e'
			JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass)
			LEFT JOIN pg_depend e ON e.classid = d.refclassid AND e.objid = d.refobjid AND e.deptype = 'e'"),
		'0|t', "$how: views use the extension's functions only");
	$node->safe_psql('attacked', 'SET search_path = evil; CREATE FOREIGN TABLE c (k text, v int) SERVER nr_cache; INSERT INTO c VALUES ($$a$$, 1); ' . join('; ', map { "SELECT count(*) FROM nr_$_ v WHERE v IS DISTINCT FROM NULL" } qw(caches replicas logs tokens memory crossings)));
	$node->safe_psql('postgres', 'DROP DATABASE attacked; DROP ROLE mallory');
}

# ---- nothing is left ------------------------------------------------------------------------------

$node->safe_psql('postgres', "SET client_min_messages = warning; DROP FOREIGN TABLE $_ CASCADE") foreach grep { $_ ne "nr_default" } @caches;
is($node->safe_psql('postgres', 'SELECT string_agg(cache::text, $$, $$) FROM nr_caches'), 'nr_default', 'all other caches are gone');
ok( $node->poll_query_until('postgres',
		'SELECT bool_and(bytes - bytes_free = (SELECT sum(memory_used + log_memory) FROM nr_caches)) FROM nr_memory'),
	'and so is what they had of memory')
  or diag($node->safe_psql('postgres', 'TABLE nr_memory; SELECT cache, memory_used, log_memory FROM nr_caches'));

# ---- settings ------------------------------------------------------------------------------

my @settings = split /\n/, $node->safe_psql('postgres', "SELECT name FROM pg_settings WHERE name LIKE 'nr\\_cache.%' AND name !~ 'test_' ORDER BY 1");
cmp_ok(scalar @settings, '>=', 10, 'settings of the extension: ' . scalar @settings);
$node->safe_psql('postgres', "CREATE FOREIGN TABLE c_int (k int, v text) SERVER nr_cache; CREATE FOREIGN TABLE c_two (k bigint, v text) SERVER nr_cache OPTIONS (copies '2')");
my @set;
foreach my $name (@settings, 'nr_cache.nosuch', 'nr_cache.', 'nr_cache.memory.more')
{
	foreach my $value (@option_values, (1 .. int($ddl / 50)))
	{
		$value = any(@option_values, int(rand(2**32)) - 2**31) if $value =~ /^\d+$/ && rand() < 0.5;
		my $quoted = "'" . $value . "'";

		push @set, any("SET $name = $quoted", "SET LOCAL $name = $quoted", "BEGIN; SET LOCAL $name = $quoted; SELECT nr_get('c_int', 1); TABLE c_int; ROLLBACK", "SELECT set_config('$name', $quoted, false)",
			"ALTER SYSTEM SET $name = $quoted", "ALTER ROLE CURRENT_USER SET $name = $quoted", "ALTER DATABASE postgres SET $name = $quoted",
			"CREATE OR REPLACE FUNCTION with_setting() RETURNS bigint LANGUAGE sql SET $name = $quoted AS 'SELECT count(*) FROM c_int'", 'SELECT with_setting()'),
		  any("SELECT nr_get('c_int', 1)", 'SELECT count(*) FROM c_int', "SELECT nr_put('c_two', 1, 'x')", "RESET $name", 'SELECT pg_reload_conf()');
	}
	push @set, "RESET $name", "ALTER SYSTEM RESET $name", "ALTER ROLE CURRENT_USER RESET $name", "ALTER DATABASE postgres RESET $name";
}
run_all('settings', @set);

# What ALTER SYSTEM took must start.
foreach my $round (1 .. 2 * $rounds)
{
	my @sql = map { "ALTER SYSTEM SET $_ = '" . any(@option_values) . "'" } @settings;
	run_all("ALTER SYSTEM, round $round", @sql);
	my $conf = $node->safe_psql('postgres', "SELECT string_agg(name || '=' || setting, ' ') FROM pg_file_settings WHERE sourcefile ~ 'auto.conf'");
	$node->restart;
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY sqlstate\nSELECT nr_put('c_int', 1, 'x'), nr_get('c_int', 1)");
	ok($out =~ /^[tf]\|x$/ || $err =~ /ERROR:  (55000|53200|53400)/, "started with $conf") or diag($out, $err);
	$node->safe_psql('postgres', 'ALTER SYSTEM RESET ALL');
}
$node->restart;
is($node->safe_psql('postgres', "SELECT nr_put('c_int', 1, 'x')"), 't', 'and with what it had');
nr_settled($node, 'in the end');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal|Failed assertion/, 'no crash in the log');

done_testing();
