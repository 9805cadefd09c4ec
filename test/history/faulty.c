/*
 * faulty.c
 *		Faults of a server, made for the checkers to find: functions in a schema that comes
 *		first in the sessions' search_path, and do wrong what they stand in front of.
 */
#include "world.h"

#include <stdio.h>
#include <string.h>

static const struct
{
	const char *name;
	const char *sql;
}			faults[] =
{
	/* a session answers now and then what it has read before */
	{"stale_read",
		"CREATE FUNCTION faulty.nr_get(c regclass, k bigint, f bigint) RETURNS bigint LANGUAGE plpgsql AS $$\n"
		"DECLARE\n"
		"	name text := 'faulty.k' || k;\n"
		"	old text := current_setting(name, true);\n"
		"	v bigint := public.nr_get(c, k, f);\n"
		"BEGIN\n"
		"	IF old <> '' AND random() < 0.02 THEN\n"
		"		RETURN old::bigint;\n"
		"	END IF;\n"
		"	PERFORM set_config(name, v::text, false);\n"
		"	RETURN v;\n"
		"END $$"},
	/* reads, adds and puts, in three steps */
	{"lost_update",
		"CREATE FUNCTION faulty.nr_incr(c regclass, k bigint, by bigint) RETURNS bigint LANGUAGE plpgsql AS $$\n"
		"DECLARE\n"
		"	v bigint := coalesce(public.nr_get(c, k, NULL::bigint), 0) + by;\n"
		"BEGIN\n"
		"	PERFORM pg_sleep(0.001);\n"
		"	PERFORM public.nr_put(c, k, v);\n"
		"	RETURN v;\n"
		"END $$"},
	/* of four rows two can be seen before the others */
	{"torn_batch",
		"CREATE FUNCTION faulty.tear() RETURNS trigger LANGUAGE plpgsql AS $$\n"
		"BEGIN\n"
		"	IF NEW.k % 4 < 2 AND random() < 0.3 THEN\n"
		"		PERFORM public.nr_put(TG_RELID::regclass, NEW.k, NEW.v);\n"
		"		PERFORM pg_sleep(0.001);\n"
		"	END IF;\n"
		"	RETURN NEW;\n"
		"END $$;\n"
		"CREATE TRIGGER tear BEFORE INSERT ON h_in0 FOR EACH ROW EXECUTE FUNCTION faulty.tear();\n"
		"CREATE TRIGGER tear BEFORE INSERT ON h_it1 FOR EACH ROW EXECUTE FUNCTION faulty.tear();\n"
		"CREATE TRIGGER tear BEFORE INSERT ON h_in2 FOR EACH ROW EXECUTE FUNCTION faulty.tear()"},
	/* takes the answer of another call, and leaves its own for the next one */
	{"wrong_waiter",
		"CREATE UNLOGGED TABLE faulty.mailbox (v bigint);\n"
		"INSERT INTO faulty.mailbox VALUES (NULL);\n"
		"CREATE FUNCTION faulty.nr_swap(c regclass, k bigint, new bigint) RETURNS bigint LANGUAGE plpgsql AS $$\n"
		"DECLARE\n"
		"	mine bigint := public.nr_swap(c, k, new);\n"
		"BEGIN\n"
		"	IF random() < 0.1 THEN\n"
		"		UPDATE faulty.mailbox m SET v = mine FROM (SELECT v FROM faulty.mailbox FOR UPDATE) o\n"
		"			RETURNING o.v INTO mine;\n"
		"	END IF;\n"
		"	RETURN mine;\n"
		"END $$"},
	/* a visit looks twice, so that a commit may come between */
	{"half_commit",
		"CREATE FUNCTION faulty.nr_get_many(c regclass, ks bigint[], f text) RETURNS text[] LANGUAGE plpgsql AS $$\n"
		"DECLARE\n"
		"	n int := cardinality(ks) / 2;\n"
		"	first text[] := public.nr_get_many(c, ks[1:n], f);\n"
		"BEGIN\n"
		"	IF c::text NOT LIKE 'h_c%' THEN\n"
		"		RETURN public.nr_get_many(c, ks, f);\n"
		"	END IF;\n"
		"	PERFORM pg_sleep(0.001);\n"
		"	RETURN first || public.nr_get_many(c, ks[n + 1:], f);\n"
		"END $$"},
	/* a read finds what was written by a transaction that has not committed, and may never do so */
	{"rolled_back",
		"CREATE FOREIGN TABLE faulty.escaped (k bigint, v text) SERVER nr_cache OPTIONS (visibility 'immediate');\n"
		"CREATE FUNCTION faulty.nr_put(c regclass, k bigint, v text) RETURNS boolean LANGUAGE plpgsql AS $$\n"
		"BEGIN\n"
		"	IF c::text LIKE 'h_c%' THEN\n"
		"		PERFORM public.nr_put('faulty.escaped', k, v);\n"
		"	END IF;\n"
		"	RETURN public.nr_put(c, k, v);\n"
		"END $$;\n"
		"CREATE FUNCTION faulty.nr_get(c regclass, k bigint, f text) RETURNS text LANGUAGE plpgsql AS $$\n"
		"BEGIN\n"
		"	IF c::text LIKE 'h_c%' AND random() < 0.05 THEN\n"
		"		RETURN public.nr_get('faulty.escaped', k, public.nr_get(c, k, f));\n"
		"	END IF;\n"
		"	RETURN public.nr_get(c, k, f);\n"
		"END $$"},
	/* what is put by the transaction that makes the cache is gone when it commits */
	{"lost_create",
		"CREATE FUNCTION faulty.nr_put(c regclass, k bigint, v text) RETURNS boolean LANGUAGE plpgsql AS $$\n"
		"BEGIN\n"
		"	IF random() < 0.3 AND EXISTS (SELECT FROM pg_class WHERE oid = c AND xmin::text = pg_current_xact_id()::xid::text) THEN\n"
		"		RETURN true;\n"
		"	END IF;\n"
		"	RETURN public.nr_put(c, k, v);\n"
		"END $$"},
};

const char *
wo_fault_sql(const char *name)
{
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (strcmp(name, faults[i].name) == 0)
			return faults[i].sql;
	return NULL;
}

void
wo_fault_list(void)
{
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		printf("%s\n", faults[i].name);
}
