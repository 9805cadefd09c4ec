# ALTER EXTENSION UPDATE, from the first version on: nothing that was made with an
# old version is lost or in the way, a session that uses caches does not notice, and
# what one gets is what CREATE EXTENSION makes.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use NrTest;

my $node = nr_node('upgrade', 'max_prepared_transactions = 5');

# ---- the scripts: every released version leads to the default one -----------------

my ($default) = $node->safe_psql('postgres',
	"SELECT default_version FROM pg_available_extensions WHERE name = 'nr_cache'");
my @old = split /\n/, $node->safe_psql('postgres',
	"SELECT version FROM pg_available_extension_versions
	  WHERE name = 'nr_cache' AND version <> '$default' ORDER BY string_to_array(version, '.')::int[]");
is($node->safe_psql('postgres', "SELECT extversion FROM pg_extension WHERE extname = 'nr_cache'"),
	$default, 'CREATE EXTENSION makes the default version');
cmp_ok(scalar @old, '>=', 1, 'old versions can be installed');
is($old[0], '0.1', 'the first version is still there');
is( $node->safe_psql('postgres',
		"SELECT string_agg(source, ', ') FROM pg_extension_update_paths('nr_cache')
		  WHERE target = '$default' AND path IS NULL"),
	'', 'a path leads from every version to the default one');
is( $node->safe_psql('postgres',
		"SELECT string_agg(source, ', ') FROM pg_extension_update_paths('nr_cache')
		  WHERE source = '$default' AND path IS NOT NULL"),
	'', 'none leads away from it');

# what the Makefile installs is what is there
my ($data) = slurp_file("$ENV{NR_TEST_SOURCE}/Makefile") =~ /^DATA = (.*)$/m;
my ($share) = run_command([ 'pg_config', '--sharedir' ]);
my @scripts = map { s{.*/}{}r } glob("$share/extension/nr_cache--*.sql");
is_deeply([ sort split / /, $data ], [ sort @scripts ], 'the Makefile lists every script');
my @versions = (@old, $default);
foreach my $i (1 .. $#versions)
{
	my $step = "nr_cache--$versions[$i - 1]--$versions[$i].sql";
	ok((grep { $_ eq $step } @scripts), "$step: a script for each step");
}

# ---- an old version, used in every way ----------------------------------------------

sub in_db
{
	my ($db, $sql) = @_;
	return $node->safe_psql($db, $sql);
}

sub fill
{
	my ($db, $version) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $db");
	in_db($db, <<"SQL");
CREATE EXTENSION nr_cache VERSION '$version';
CREATE FOREIGN TABLE fx (code text, rate numeric) SERVER nr_cache;
CREATE FOREIGN TABLE now (k int, v text) SERVER nr_cache OPTIONS (visibility 'immediate', memory '4MB');
CREATE FOREIGN TABLE flags (name text, enabled boolean) SERVER nr_cache OPTIONS (scheme 'left_right', visibility 'manual');
CREATE FOREIGN TABLE product (price numeric, id uuid OPTIONS (key 'true') NOT NULL, tags text[] CHECK (array_length(tags, 1) < 5))
	SERVER nr_cache OPTIONS (copies '2', log_size '512kB');
CREATE TABLE parted (k int, v text) PARTITION BY LIST (k);
CREATE FOREIGN TABLE part PARTITION OF parted FOR VALUES IN (1, 2) SERVER nr_cache;
CREATE VIEW rates AS SELECT code, rate, nr_get('fx', code, 0.0) AS again FROM fx;
CREATE VIEW used AS SELECT cache, entries, writes FROM nr_caches;
CREATE VIEW used_all AS SELECT * FROM nr_caches;
CREATE FUNCTION rate(code text) RETURNS numeric LANGUAGE sql STABLE SECURITY DEFINER
	AS \$\$ SELECT nr_get('fx', code, NULL::numeric) \$\$;
CREATE FUNCTION rate_new(code text) RETURNS numeric LANGUAGE sql STABLE
	BEGIN ATOMIC SELECT nr_get('fx'::regclass, code, NULL::numeric); END;
CREATE MATERIALIZED VIEW tokens AS SELECT count(*) AS n FROM nr_tokens;
GRANT SELECT ON fx, rates, nr_default, used TO nr_reader;
GRANT EXECUTE ON FUNCTION nr_caches() TO nr_reader;
GRANT SELECT (cache, entries) ON nr_caches TO nr_reader;
REVOKE EXECUTE ON FUNCTION nr_truncate(regclass) FROM PUBLIC;
ALTER FOREIGN TABLE nr_default OPTIONS (ADD memory '4MB');
INSERT INTO fx VALUES ('USD', 1.08), ('CHF', 0.96);
INSERT INTO now SELECT i, 'value ' || i FROM generate_series(1, 1000) i;
INSERT INTO flags VALUES ('a', true), ('b', false);
SELECT nr_publish('flags');
INSERT INTO flags VALUES ('c', true);
SELECT nr_put('product', ROW(1.5, '00000000-0000-0000-0000-000000000001', '{x}')::product);
INSERT INTO parted VALUES (1, 'one'), (2, 'two');
SELECT nr_put('short', 'form');
SQL
	return;
}

# What is in it; the same before and after.
my $contents = <<'SQL';
SELECT * FROM fx ORDER BY code;
SELECT count(*), sum(k), max(v) FROM now;
SELECT name, enabled, nr_pending('flags') FROM flags ORDER BY name;
SELECT * FROM product;
SELECT tableoid::regclass, * FROM parted ORDER BY k;
SELECT nr_get('short');
SELECT * FROM rates ORDER BY code;
SELECT rate('USD'), rate_new('CHF');
SELECT cache, entries FROM used WHERE cache IS NOT NULL ORDER BY cache::text;
SELECT sum(writes) > 0 FROM used_all WHERE cache IS NOT NULL;
SELECT has_table_privilege('nr_reader', c, 'SELECT') FROM unnest(ARRAY['fx', 'rates', 'nr_default', 'used', 'product']) c;
SELECT has_column_privilege('nr_reader', 'nr_caches', 'entries', 'SELECT');
SELECT has_function_privilege('nr_reader', f, 'EXECUTE') FROM unnest(ARRAY['nr_caches()', 'nr_logs()', 'nr_truncate(regclass)']) f;
SELECT relname, reloptions, ftoptions FROM pg_foreign_table JOIN pg_class c ON c.oid = ftrelid ORDER BY relname;
SET ROLE nr_reader;
SELECT nr_get('fx', 'USD', 0.0), nr_get('short'), (SELECT count(*) FROM rates);
RESET ROLE;
SQL

# Every function that there was in 0.1, through the new library.
my $functions = <<'SQL';
SELECT nr_get('fx', 'USD'), nr_get('now', 1), nr_get('fx', 'USD', 0.0), nr_get('now', 1, 'x'::text);
SELECT nr_get_many('now', ARRAY[1, 2, -1], '?'::text);
SELECT nr_put('fx', 'JPY', 163.2), nr_put('now', -1, 'minus'::text), nr_put('now', ROW(-2, 'minus'));
SELECT nr_delete('fx', 'JPY'), nr_delete('now', -1), nr_delete('now', -2);
SELECT nr_put('a', 'b'), nr_get('a'), nr_delete('a');
CREATE FOREIGN TABLE f (k int, v int) SERVER nr_cache OPTIONS (visibility 'manual');
SELECT nr_put('f', 1, 1), nr_pending('f');
SELECT nr_publish('f'), nr_try_publish('f'), nr_pending('f'), nr_check('f');
SELECT nr_truncate('f'), nr_publish('f');
DROP FOREIGN TABLE f;
SELECT count(*) > 0 FROM nr_caches;
SELECT count(*) > 0 FROM nr_replicas;
SELECT count(*) > 0 FROM nr_logs;
SELECT count(*) > 0 FROM nr_tokens;
SELECT count(*) > 0 FROM nr_memory;
SQL

$node->safe_psql('postgres', 'CREATE ROLE nr_reader');

# ---- what one gets --------------------------------------------------------------------

# All members of the extension, with what defines them.  Names of NOT NULL constraints and the like are PostgreSQL's.
my $members = <<'SQL';
SELECT pg_describe_object(classid, objid, 0),
       coalesce(CASE classid
           WHEN 'pg_proc'::regclass THEN (SELECT pg_get_functiondef(p.oid) || coalesce(array(SELECT a::text FROM unnest(proacl) a ORDER BY 1)::text, 'default')
               FROM pg_proc p WHERE p.oid = objid)
           WHEN 'pg_class'::regclass THEN (SELECT relkind::text || coalesce(array(SELECT a::text FROM unnest(relacl) a ORDER BY 1)::text, 'default') ||
               CASE relkind WHEN 'v' THEN pg_get_viewdef(c.oid) ELSE '' END ||
               coalesce((SELECT ftoptions::text FROM pg_foreign_table WHERE ftrelid = c.oid), '') ||
               (SELECT string_agg(concat_ws(' ', attname, format_type(atttypid, atttypmod), attnotnull, attfdwoptions, attacl), ', ' ORDER BY attnum)
                FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)
               FROM pg_class c WHERE c.oid = objid)
           WHEN 'pg_foreign_data_wrapper'::regclass THEN (SELECT concat_ws(' ', fdwhandler::regproc, fdwvalidator::regproc, fdwacl, fdwoptions)
               FROM pg_foreign_data_wrapper w WHERE w.oid = objid)
           WHEN 'pg_foreign_server'::regclass THEN (SELECT concat_ws(' ', srvacl, srvoptions) FROM pg_foreign_server s WHERE s.oid = objid)
       END, ''),
       (SELECT array(SELECT a::text FROM unnest(initprivs) a ORDER BY 1) FROM pg_init_privs i WHERE i.objoid = d.objid AND i.classoid = d.classid AND objsubid = 0),
       obj_description(objid, (SELECT relname FROM pg_class WHERE oid = classid))
  FROM pg_depend d
 WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
   AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'nr_cache')
 ORDER BY 1;
SELECT extrelocatable, array(SELECT unnest(extconfig)::regclass), extcondition FROM pg_extension WHERE extname = 'nr_cache';
SQL

sub members
{
	my ($db) = @_;
	return in_db($db, $members);
}

$node->safe_psql('postgres', 'CREATE DATABASE fresh');
in_db('fresh', 'CREATE EXTENSION nr_cache');
my $fresh = members('fresh');
like($fresh, qr/^function nr_incr\(/m, 'the members of a new extension are listed');

foreach my $version (@old)
{
	(my $plain = "plain_$version") =~ s/\./_/g;
	$node->safe_psql('postgres', "CREATE DATABASE $plain");
	in_db($plain, "CREATE EXTENSION nr_cache VERSION '$version'");
	isnt(members($plain), $fresh, "$version: has other members than $default");
	in_db($plain, 'ALTER EXTENSION nr_cache UPDATE');
	is(members($plain), $fresh, "$version -> $default: its members are those of a new extension");
	in_db($plain, 'DROP EXTENSION nr_cache CASCADE');
	is( in_db($plain, "SELECT count(*) FROM pg_proc WHERE proname ~ '^nr_'"), '0',
		"$version -> $default: DROP EXTENSION leaves nothing");
}

# ---- the update, with data ----------------------------------------------------------------

my $first;
foreach my $version (@old)
{
	(my $db = "from_$version") =~ s/\./_/g;

	fill($db, $version);
	my $before = in_db($db, $contents);
	$first //= $before;
	is($before, $first, "$version: filled");
	my $answers = in_db($db, $functions);
	is(in_db($db, $contents), $before, "$version: its functions work with the new library");

	# a session that goes on during the update, with plans made before and a transaction that is open
	my $timer = IPC::Run::timer($PostgreSQL::Test::Utils::timeout_default);
	my ($in, $out, $err) = ('', '', '');
	my $session = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr($db) ], '<', \$in, '>', \$out, '2>', \$err, $timer);
	$in .= <<'SQL';
SET plan_cache_mode = force_generic_plan;
PREPARE g(text) AS SELECT nr_get('fx', $1, 0.0), nr_get('fx', $1);
PREPARE j AS SELECT count(*), sum(nr_get('fx', code, 0.0)) FROM fx WHERE code = ANY ('{USD,CHF}');
PREPARE p(int, text) AS SELECT nr_put('now', $1, $2);
PREPARE s AS SELECT entries FROM nr_caches WHERE cache = 'fx'::regclass;
PREPARE d AS SELECT nr_get('short');
DO $$ BEGIN FOR i IN 1 .. 20 LOOP PERFORM rate('USD'); END LOOP; END $$;
EXECUTE g('USD'); EXECUTE j; EXECUTE p(5001, 'x'); EXECUTE s; EXECUTE d;
BEGIN;
SELECT nr_put('fx', 'NOK', 11.5);
DECLARE c CURSOR FOR SELECT * FROM fx ORDER BY code;
FETCH c;
\echo half way
SQL
	ok(pump_until($session, $timer, \$out, qr/half way\n/), "$version: a session is half way") or diag($err);
	is($out, "1.08|1.08\n2|2.04\nt\n2\nform\nt\nCHF|0.96\nhalf way\n", "$version: ... with the right answers");
	$out = '';

	# rolled back, and then for good
	is(in_db($db, 'BEGIN; ALTER EXTENSION nr_cache UPDATE; ROLLBACK; ' . "SELECT extversion FROM pg_extension WHERE extname = 'nr_cache'"),
		$version, "$version: an update that is rolled back");
	is(in_db($db, $functions), $answers, "$version: ... has changed nothing");
	in_db($db, 'ALTER EXTENSION nr_cache UPDATE');
	$in .= <<'SQL';
EXECUTE g('NOK');
FETCH c;
COMMIT;
EXECUTE g('USD'); EXECUTE j; EXECUTE p(5001, 'y'); EXECUTE s; EXECUTE d;
SELECT rate('NOK'), rate_new('NOK');
DELETE FROM fx WHERE code = 'NOK';
DELETE FROM now WHERE k = 5001;
\q
SQL
	$session->finish;
	is($err, '', "$version: the session has seen no error during the update");
	is($out, "11.5|11.5\nNOK|11.5\n1.08|1.08\n2|2.04\nf\n3\nform\n11.5|11.5\n", "$version: ... and the right answers after it");

	is(in_db($db, "SELECT extversion FROM pg_extension WHERE extname = 'nr_cache'"), $default, "$version: updated");
	is(in_db($db, $contents), $before, "$version -> $default: entries, grants, options and views are as before");
	is(in_db($db, $functions), $answers, "$version -> $default: the old functions answer as before");
	in_db($db, "CREATE FOREIGN TABLE counter (k int, v int) SERVER nr_cache OPTIONS (visibility 'immediate')");
	is( in_db($db, "SELECT nr_put('counter', 1, 5); SELECT nr_incr('counter', 1, 2), nr_get('counter', 1)"),
		"t\n7|7", "$version -> $default: the new functions are there");
}

# ---- nr_default, which one may rename, or take out of the extension and drop ----------------

foreach my $case (
	[ 'renamed', 'ALTER FOREIGN TABLE nr_default RENAME TO other', '{other}' ],
	[ 'dropped', 'ALTER EXTENSION nr_cache DROP FOREIGN TABLE nr_default; DROP FOREIGN TABLE nr_default', '' ],
	[ 'made_again', 'ALTER EXTENSION nr_cache DROP FOREIGN TABLE nr_default; DROP FOREIGN TABLE nr_default;
		CREATE FOREIGN TABLE nr_default (key text, value text) SERVER nr_cache', '' ])
{
	my ($db, $sql, $config) = @$case;

	$node->safe_psql('postgres', "CREATE DATABASE $db");
	in_db($db, "CREATE EXTENSION nr_cache VERSION '0.1'; $sql; ALTER EXTENSION nr_cache UPDATE");
	is(in_db($db, "SELECT extversion, array(SELECT unnest(extconfig)::regclass) FROM pg_extension WHERE extname = 'nr_cache'"),
		"$default|" . ($config || '{}'), "updated with nr_default $db");
}

# ---- what is not possible --------------------------------------------------------------------

my ($rc, $out, $err) = $node->psql('fresh', "ALTER EXTENSION nr_cache UPDATE TO '0.1'");
like($err, qr/extension "nr_cache" has no update path from version "$default" to version "0\.1"/,
	'there is no way back');
($rc, $out, $err) = $node->psql('fresh', "ALTER EXTENSION nr_cache UPDATE TO '99.9'");
like($err, qr/has no update path/, 'nor to a version that does not exist');
$node->safe_psql('postgres', 'CREATE DATABASE old');
($rc, $out, $err) = $node->psql('old', "CREATE EXTENSION nr_cache VERSION '99.9'");
like($err, qr/version "99\.9"/, 'which cannot be created either');
($rc, $out, $err) = $node->psql('fresh', "\\i $share/extension/nr_cache--0.1--0.2.sql\nSELECT 1;");
like($out, qr/^Use "ALTER EXTENSION nr_cache UPDATE TO '0\.2'" to load this file\.$/m, 'a script that is run by hand says what to do');

nr_settled($node, 'after all');
done_testing();
