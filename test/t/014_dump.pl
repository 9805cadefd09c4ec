# pg_dump and pg_restore: definitions with everything that belongs to them come back,
# and entries where they are asked for.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use NrTest;

my $node = nr_node('dump', 'nr_cache.memory = 64MB');
my $dir = $node->basedir;

# ---- what is dumped -----------------------------------------------------------------

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE nr_owner;
CREATE ROLE nr_reader;
CREATE DATABASE source;
SQL
$node->safe_psql('source', <<'SQL');
CREATE EXTENSION nr_cache;
CREATE SERVER "My server" FOREIGN DATA WRAPPER nr_cache;
CREATE SCHEMA app;
GRANT ALL ON SCHEMA app TO nr_owner;
CREATE TYPE app.mood AS ENUM ('sad', 'ok');
CREATE DOMAIN app.posint AS int CHECK (VALUE > 0);
CREATE FOREIGN TABLE plain (k text, v int) SERVER nr_cache;
CREATE FOREIGN TABLE app."All of it" (
	"The value" numeric(10, 2) DEFAULT 1.5 CONSTRAINT small CHECK ("The value" < 1000),
	"The key" varchar(20) OPTIONS (key 'true') COLLATE "C" NOT NULL,
	mood app.mood, n app.posint, tags text[] NOT NULL DEFAULT '{}',
	twice numeric GENERATED ALWAYS AS ("The value" * 2) STORED,
	CONSTRAINT key_is_low CHECK ("The key" = lower("The key"))
) SERVER "My server" OPTIONS (scheme 'nr', copies '2', visibility 'immediate', memory '8MB', log_size '512kB');
COMMENT ON FOREIGN TABLE app."All of it" IS 'with everything';
COMMENT ON COLUMN app."All of it"."The key" IS 'its key';
ALTER FOREIGN TABLE app."All of it" OWNER TO nr_owner;
ALTER FOREIGN TABLE app."All of it" ALTER COLUMN n SET STATISTICS 7;
GRANT SELECT, UPDATE ("The value", n) ON app."All of it" TO nr_reader;
GRANT INSERT ON app."All of it" TO nr_reader WITH GRANT OPTION;
CREATE FOREIGN TABLE lr (k uuid, v app.mood, w app."All of it") SERVER nr_cache OPTIONS (scheme 'left_right', visibility 'manual');
CREATE TABLE parted (k int, v text) PARTITION BY RANGE (k);
CREATE FOREIGN TABLE low PARTITION OF parted FOR VALUES FROM (0) TO (100) SERVER nr_cache OPTIONS (visibility 'immediate');
CREATE FOREIGN TABLE rest PARTITION OF parted (CONSTRAINT not_x CHECK (v <> 'x')) DEFAULT SERVER nr_cache;
CREATE TABLE parent (k int, v text NOT NULL);
CREATE FOREIGN TABLE child (w int) INHERITS (parent) SERVER nr_cache OPTIONS (memory '4MB');
CREATE FOREIGN TABLE "tömporär" (a int, b int, c int) SERVER nr_cache;
ALTER FOREIGN TABLE "tömporär" ALTER COLUMN b OPTIONS (ADD key 'true'), DROP COLUMN a;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.v := NEW.v || '!'; RETURN NEW; END $$;
CREATE TRIGGER note BEFORE INSERT ON low FOR EACH ROW EXECUTE FUNCTION note();
CREATE VIEW rates AS SELECT k, v, nr_get('plain', k, 0) AS again FROM plain;
CREATE FUNCTION plain_of(k text) RETURNS int STABLE BEGIN ATOMIC SELECT nr_get('plain'::regclass, k, 0); END;
GRANT SELECT, INSERT, UPDATE ON nr_default TO nr_reader;
GRANT USAGE ON FOREIGN SERVER nr_cache TO nr_owner;
GRANT SELECT ON nr_caches TO nr_reader;
REVOKE EXECUTE ON FUNCTION nr_truncate(regclass) FROM PUBLIC;

INSERT INTO plain VALUES ('a', 1), ('b', NULL), (E'c\t\\', 3);
INSERT INTO app."All of it" VALUES (DEFAULT, 'x', 'ok', 5, DEFAULT), (2, 'y', NULL, NULL, '{a,"b,c"}');
INSERT INTO lr SELECT '00000000-0000-0000-0000-000000000001', 'sad', t FROM app."All of it" t LIMIT 1;
SELECT nr_publish('lr');
INSERT INTO parted VALUES (1, 'one'), (1000, 'thousand');
INSERT INTO child VALUES (1, 'v', 2);
INSERT INTO "tömporär" SELECT i, i * 2 FROM generate_series(1, 5000) i;
SELECT nr_put('default', 'kept');
SQL

# Definitions, as the catalogs have them.
my $definitions = <<'SQL';
SELECT c.oid::regclass, s.srvname, array(SELECT unnest(ftoptions) ORDER BY 1), pg_get_userbyid(relowner), relacl, obj_description(c.oid, 'pg_class'),
       pg_get_expr(relpartbound, c.oid), array(SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = c.oid)
  FROM pg_foreign_table JOIN pg_class c ON c.oid = ftrelid JOIN pg_foreign_server s ON s.oid = ftserver ORDER BY c.oid::regclass::text COLLATE "C";
SELECT attrelid::regclass, attname, format_type(atttypid, atttypmod), attcollation::regcollation, attnotnull, attfdwoptions, attgenerated,
       pg_get_expr(adbin, adrelid), attacl, NULLIF(attstattarget, -1), col_description(attrelid, attnum)
  FROM pg_foreign_table JOIN pg_attribute ON attrelid = ftrelid AND attnum > 0 AND NOT attisdropped
  LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum ORDER BY attrelid::regclass::text COLLATE "C", attnum;
SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint
 WHERE contype = 'c' AND conrelid IN (SELECT ftrelid FROM pg_foreign_table) ORDER BY conrelid::regclass::text COLLATE "C", conname;
SELECT tgrelid::regclass, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid IN (SELECT ftrelid FROM pg_foreign_table) AND NOT tgisinternal;
SELECT srvname, srvacl FROM pg_foreign_server ORDER BY 1;
SELECT oid::regprocedure, proacl FROM pg_proc WHERE proname ~ '^nr_' ORDER BY oid::regprocedure::text COLLATE "C";
SELECT pg_get_viewdef('rates'), pg_get_functiondef('plain_of'::regproc);
SQL
my $entries = <<'SQL';
SELECT * FROM plain ORDER BY k COLLATE "C";
SELECT * FROM app."All of it" ORDER BY 2;
SELECT nr_publish('lr') >= 0;
SELECT * FROM lr;
SELECT tableoid::regclass, * FROM parted ORDER BY k;
SELECT * FROM child;
SELECT count(*), sum(b), sum(c) FROM "tömporär";
SQL
my $all_there = $node->safe_psql('source', $definitions);
my $all_entries = $node->safe_psql('source', $entries);

my $made = 0;

# An empty database; with the extension if asked for.
sub target
{
	my ($extension) = @_;
	my $db = 'target' . ++$made;

	$node->safe_psql('postgres', "CREATE DATABASE $db TEMPLATE template0");
	$node->safe_psql($db, 'CREATE EXTENSION nr_cache') if $extension;
	return $db;
}

sub dump_source
{
	my ($file, @options) = @_;

	command_ok([ 'pg_dump', '-d', $node->connstr('source'), '-f', "$dir/$file", @options ], "pg_dump @options");
	return;
}

sub restore_plain
{
	my ($db, $file) = @_;

	command_ok([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($db), '-f', "$dir/$file" ], "psql restores $file");
	return;
}

sub restore
{
	my ($db, $file, @options) = @_;

	command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr($db), @options, "$dir/$file" ], "pg_restore @options $file");
	return;
}

# The definitions are those of the source, the caches work, and are empty or are not.
sub like_source
{
	my ($db, $full, $name) = @_;

	is($node->safe_psql($db, $definitions), $all_there, "$name: the definitions are the same");
	if ($full)
	{
		is($node->safe_psql($db, $entries), $all_entries, "$name: the entries are the same");
	}
	else
	{
		is($node->safe_psql($db, 'SELECT (SELECT count(*) FROM plain), (SELECT count(*) FROM parted), (SELECT count(*) FROM lr)'),
			'0|0|0', "$name: the caches are empty");
	}
	is($node->safe_psql($db, "SELECT nr_put('plain', 'new', 7); SELECT plain_of('new'), (SELECT again FROM rates WHERE k = 'new'); DELETE FROM plain WHERE k = 'new'"),
		"t\n7|7", "$name: they can be used");
	$node->safe_psql($db, "SET ROLE nr_reader; SELECT nr_put('by', 'reader')");
	is($node->safe_psql($db, "SET ROLE nr_reader; SELECT nr_get('by')"), 'reader', "$name: grants on nr_default came along");
	return;
}

# ---- definitions ----------------------------------------------------------------------

dump_source('plain.sql');
my $text = slurp_file("$dir/plain.sql");
unlike($text, qr/thousand/, 'no entry is dumped unless asked for');
unlike($text, qr/CREATE FOREIGN TABLE \S*nr_default/, 'nr_default comes with the extension');
my $db = target();
restore_plain($db, 'plain.sql');
like_source($db, 0, 'plain');

# what is restored gives the same dump; newer versions begin and end it with a random word
command_ok([ 'pg_dump', '-d', $node->connstr($db), '-f', "$dir/again.sql" ], 'pg_dump of what was restored');
my $again = slurp_file("$dir/again.sql");
s/^\\(un)?restrict .*\n//mg foreach $text, $again;
is($again, $text, 'a dump of what was restored is the same dump');

dump_source('custom', '-Fc');
$db = target();
restore($db, 'custom');
like_source($db, 0, 'custom format');
# once more over it: everything is dropped, the extension too
restore($db, 'custom', '--clean', '--if-exists');
like_source($db, 0, 'custom format with --clean');
$db = target();
restore($db, 'custom', '-j', '2');
like_source($db, 0, 'two jobs');
$db = target(1);
restore($db, 'custom', '--schema-only');
like_source($db, 0, 'into a database that has the extension');

dump_source('one.sql', '-t', 'plain');
$db = target(1);
restore_plain($db, 'one.sql');
is($node->safe_psql($db, "SELECT nr_put('plain', 'x', 1), nr_get('plain', 'x')"), 't|1', 'a single cache, where the extension is');

# ---- with the entries -------------------------------------------------------------------

my @with = ('--include-foreign-data=nr_cache', '--include-foreign-data="My server"');
dump_source('data.sql', @with);
$db = target();
restore_plain($db, 'data.sql');
is($node->safe_psql($db, "SELECT nr_pending('lr'), (SELECT count(*) FROM lr)"), '1|0', 'what was restored into visibility manual awaits nr_publish');
is($node->safe_psql($db, "SELECT nr_get('default')"), 'kept', 'the entries of nr_default came along');
like_source($db, 1, 'plain with entries');
dump_source('data', '-Fc', @with);
$db = target();
restore($db, 'data', '-j', '2');
like_source($db, 1, 'custom format with entries');
# over what is there: entries are replaced
$node->safe_psql($db, "UPDATE plain SET v = 99; DELETE FROM child");
restore($db, 'data', '--data-only', '--disable-triggers');
like_source($db, 1, 'entries only');
dump_source('inserts.sql', '--inserts', @with);
$db = target();
restore_plain($db, 'inserts.sql');
like_source($db, 1, 'INSERTs');

# ---- what PostgreSQL does not dump of an extension's members ---------------------------------

$node->safe_psql('source', "ALTER FOREIGN TABLE nr_default OPTIONS (ADD memory '4MB'); COMMENT ON FOREIGN TABLE nr_default IS 'mine'");
dump_source('default.sql');
$db = target();
restore_plain($db, 'default.sql');
is($node->safe_psql($db, "SELECT ftoptions FROM pg_foreign_table WHERE ftrelid = 'nr_default'::regclass"),
	$node->safe_psql('postgres', "SELECT ftoptions FROM pg_foreign_table WHERE ftrelid = 'nr_default'::regclass"),
	'options of nr_default are those of the extension again');

# ---- a cache that a dropped type has made unusable ---------------------------------------------

$node->safe_psql('source', <<'SQL');
CREATE DOMAIN gone AS int;
CREATE FOREIGN TABLE broken (k int, v gone) SERVER nr_cache;
SET client_min_messages = error;
DROP DOMAIN gone CASCADE;
SQL
dump_source('broken.sql');
$db = target();
restore_plain($db, 'broken.sql');
my ($rc, $out, $err) = $node->psql($db, "SELECT nr_get('broken', 1)");
like($err, qr/cache "broken" has no value column\nHINT:/, 'one that could not be used is restored, and cannot be used');

# What is put off while a dump is restored: which column is the key.  By hand it is not.
my $late = "CREATE FOREIGN TABLE late (n numeric, k int) SERVER nr_cache;";
($rc, $out, $err) = $node->psql($db, $late);
like($err, qr/column "n" of type numeric cannot be the key of a cache/, 'a key that cannot be one is refused');
($rc, $out, $err) = $node->psql($db, "SET check_function_bodies = off; $late SELECT nr_put('late', 1, 1.5)");
like($err, qr/column "n" of type numeric cannot be the key of a cache/, '... at the first use at the latest');
is($node->safe_psql($db, "ALTER FOREIGN TABLE ONLY late ALTER COLUMN k OPTIONS (key 'true'); SELECT nr_put('late', 1, 1.5), nr_get('late', 1, 0.0)"),
	't|1.5', '... and the restored ALTER says which one it is');
($rc, $out, $err) = $node->psql($db, "SET check_function_bodies = off; CREATE FOREIGN TABLE never (n numeric OPTIONS (key 'true'), k int) SERVER nr_cache");
like($err, qr/column "n" of type numeric cannot be the key of a cache/, '... one that is said to be the key is refused at once');
$node->safe_psql('source', 'DROP FOREIGN TABLE broken');

# ---- servers without the library -----------------------------------------------------------------

dump_source('plain.sql');
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
command_ok([ 'pg_dump', '-d', $node->connstr('source'), '-f', "$dir/bare.sql" ], 'not preloaded: definitions can be dumped');
my $bare = slurp_file("$dir/bare.sql");
$text = slurp_file("$dir/plain.sql");
s/^\\(un)?restrict .*\n//mg foreach $text, $bare;
is($bare, $text, '... and are the same');
my $how = qr/shared_preload_libraries.*HINT:  .*shared_preload_libraries.*restart/s;
command_fails_like([ 'pg_dump', '-d', $node->connstr('source'), '-f', "$dir/bare2.sql", @with ], $how, '... and entries cannot');
$db = target();
command_fails_like([ 'pg_restore', '--exit-on-error', '-d', $node->connstr($db), "$dir/custom" ], $how, '... and a dump is not restored there');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'nr_cache'");
$node->restart;
restore($db, 'custom', '--clean', '--if-exists');
like_source($db, 0, 'preloaded again');

nr_settled($node, 'after all');
done_testing();
