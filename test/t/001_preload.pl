# Not preloaded: every way in says what to do.  Wrong settings: the server
# starts all the same.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use NrTest;

my $node = PostgreSQL::Test::Cluster->new('bare');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\n");
$node->start;

my $how = qr/shared_preload_libraries.*HINT:  .*shared_preload_libraries.*restart/s;
nr_error($node, 'CREATE EXTENSION nr_cache', '55000', $how, 'CREATE EXTENSION without preload');
$node->safe_psql('postgres', "LOAD 'nr_cache'");
nr_error(
	$node,
	"CREATE FUNCTION f(regclass, text) RETURNS text AS '\$libdir/nr_cache', 'nr_get_text' LANGUAGE C;
	 SELECT f('pg_class', 'a')",
	'55000', $how, 'a function without preload');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_extension WHERE extname = 'nr_cache'"),
	'0', 'nothing was created');

# The library is taken away from a database that has caches.
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'nr_cache'\nnr_cache.memory = '16MB'\n");
$node->restart;
$node->safe_psql('postgres', 'CREATE EXTENSION nr_cache');
nr_cache($node, 'c', 'k text, v text');
is($node->safe_psql('postgres', "SELECT nr_put('c', 'k', 'v'::text)"), 't', 'preloaded: a put works');
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->restart;
nr_error($node, "SELECT nr_get('c', 'k')", '55000', $how, 'nr_get after preload was taken away');
nr_error($node, "SELECT * FROM c", '55000', $how, 'a scan after preload was taken away');
nr_error($node, "SELECT * FROM nr_caches", '55000', $how, 'a view after preload was taken away');
$node->safe_psql('postgres', 'DROP FOREIGN TABLE c');
pass('DROP works without preload');
$node->safe_psql('postgres', 'DROP EXTENSION nr_cache CASCADE');
$node->stop;

# Wrong sizes: the server starts, and either works or says why not.
my $wrong = PostgreSQL::Test::Cluster->new('wrong');
$wrong->init;
$wrong->append_conf('postgresql.conf',
	"fsync = off\nshared_preload_libraries = 'nr_cache'\ninclude 'wrong.conf'\n");
foreach my $conf (
	"nr_cache.memory = '1kB'",
	"nr_cache.memory = '4MB'",
	"nr_cache.memory = '100TB'",
	"nr_cache.memory = '15TB'",
	"nr_cache.memory = 'plenty'",
	"nr_cache.replicas = 'banana'",
	"nr_cache.replicas = -1",
	"nr_cache.replicas = 100000",
	"nr_cache.replicas = 16",
	"nr_cache.max_caches = 0",
	"nr_cache.max_caches = 65000",
	"nr_cache.max_caches = 100000000",
	"nr_cache.max_sessions = 1",
	"nr_cache.max_sessions = 65000",
	"nr_cache.max_sessions = -5",
	"nr_cache.log_size = '1kB'",
	"nr_cache.log_size = '1GB'",
	"nr_cache.max_entry = '1GB'",
	"nr_cache.max_entry = 1",
	"nr_cache.max_entry = '16MB'",
	"nr_cache.max_batch = '1GB'",
	"nr_cache.max_batch = '1kB'",
	"nr_cache.max_entry = '16MB'\nnr_cache.max_batch = '64kB'\nnr_cache.memory = '4MB'",
	"nr_cache.no_such_thing = 1")
{
	(my $name = $conf) =~ s/\n/, /g;
	unlink $wrong->data_dir . '/wrong.conf';
	$wrong->append_conf('wrong.conf', "$conf\n");
	is($wrong->start(fail_ok => 1), 1, "the server starts with $name");
	my ($rc, $out, $err) = $wrong->psql(
		'postgres', "\\set VERBOSITY verbose
CREATE EXTENSION IF NOT EXISTS nr_cache;
CREATE FOREIGN TABLE IF NOT EXISTS c (k text, v text) SERVER nr_cache
	OPTIONS (scheme 'nr', visibility 'immediate');
SELECT 'put:' || nr_put('c', 'k', 'v'::text);
SELECT 'get:' || nr_get('c', 'k');", on_error_stop => 1);
	ok( ($out // '') =~ /get:v/ || ($err // '') =~ /ERROR:  \w{5}: .*HINT:/s,
		"$name: it works, or an error gives a hint")
	  or diag("out: $out\nerr: $err");
	$wrong->stop('fast');
}

done_testing();
