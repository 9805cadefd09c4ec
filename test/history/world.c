/*
 * world.c
 *		Caches, objects, keys and values; see world.h.
 */
#include "world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const scheme[3] = {"copies '1'", "copies '2'", "scheme 'left_right'"};
static const char *const visibility[3] = {"immediate", "commit", "manual"};

void
wo_init(World *w)
{
	for (uint32_t i = 0; i < WO_CACHES; i++)
	{
		WoCache    *c = &w->cache[i];
		static const WoVisibility of[4] = {WO_IMMEDIATE, WO_IMMEDIATE, WO_COMMIT, WO_MANUAL};

		c->visibility = of[i / 3];
		c->number = i / 3 == 0;
		snprintf(c->name, sizeof(c->name), "h_%c%c%u", visibility[c->visibility][0], c->number ? 'n' : 't', i % 3);
	}
	for (uint32_t i = 0; i < WO_LIVES; i++)
	{
		WoCache    *c = &w->cache[WO_CACHES + i];
		static const WoVisibility of[3] = {WO_COMMIT, WO_IMMEDIATE, WO_MANUAL};

		c->visibility = of[i / 3];
		snprintf(c->name, sizeof(c->name), "l_%ct%u", visibility[c->visibility][0], i % 3);
	}
}

static void
run(PGconn *conn, const char *sql)
{
	PGresult   *r = PQexec(conn, sql);

	if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
	{
		printf("Bail out! %s: %s\n", sql, PQerrorMessage(conn));
		exit(1);
	}
	PQclear(r);
}

void
wo_create_sql(char *to, const WoCache *c, const char *name, const char *more)
{
	snprintf(to, WO_CREATE_BYTES, "CREATE FOREIGN TABLE %s (k bigint, v %s) SERVER nr_cache OPTIONS (visibility '%s', %s%s)",
			 name, c->number ? "bigint" : "text", visibility[c->visibility], scheme[c->name[4] - '0'], more);
}

void
wo_life_name(char *name, const World *w, uint32_t object)
{
	snprintf(name, WO_NAME_BYTES, "%s_%u", wo_cache_of(w, object)->name, object % WO_GENERATIONS);
}

void
wo_create(World *w, PGconn *conn)
{
	char		sql[WO_CREATE_BYTES];

	run(conn, "SET client_min_messages = warning; DROP EXTENSION IF EXISTS nr_cache CASCADE; CREATE EXTENSION nr_cache");
	run(conn, "DROP SCHEMA IF EXISTS faulty CASCADE; DROP TABLE IF EXISTS family, lived; DROP SEQUENCE IF EXISTS numbers; CREATE SEQUENCE numbers;"
		" CREATE UNLOGGED TABLE family (id int PRIMARY KEY); CREATE UNLOGGED TABLE lived (id bigint PRIMARY KEY)");
	snprintf(sql, sizeof(sql), "INSERT INTO family SELECT generate_series(0, %u)", WO_CACHES * WO_FAMILIES - 1);
	run(conn, sql);
	for (uint32_t i = 0; i < WO_CACHES; i++)
	{
		wo_create_sql(sql, &w->cache[i], w->cache[i].name, "");
		run(conn, sql);
	}
	if (w->fault != NULL)
	{
		run(conn, "CREATE SCHEMA faulty");
		run(conn, wo_fault_sql(w->fault));
	}
}

void
wo_begin_round(World *w)
{
	for (uint32_t i = 0; i < WO_ALL; i++)
		for (uint32_t f = 0; f < WO_FAMILIES; f++)
		{
			atomic_store(&w->cache[i].family[f].generation, 0);
			atomic_store(&w->cache[i].family[f].calls, 0);
			atomic_store(&w->cache[i].family[f].given_up, 0);
		}
	w->round++;
	atomic_store(&w->calls, 0);
	atomic_store(&w->gathered, 0);
	atomic_store(&w->stop, 0);
	atomic_store(&w->over, 0);
	atomic_store(&w->groups, 0);
}

/* ---- objects ---- */

static void
next_generation(WoFamily *f)
{
	if (atomic_load(&f->generation) + 1 >= WO_GENERATIONS)
		return;
	atomic_store(&f->calls, 0);
	atomic_store(&f->given_up, 0);
	atomic_fetch_add(&f->generation, 1);
}

uint32_t
wo_object(WoCache *c, World *w, uint32_t family)
{
	WoFamily   *f = &c->family[family];

	if (atomic_fetch_add(&f->calls, 1) == WO_CALLS_MAX)
		next_generation(f);
	return ((uint32_t) (c - w->cache) * WO_FAMILIES + family) * WO_GENERATIONS + atomic_load(&f->generation);
}

void
wo_given_up(World *w, uint32_t object)
{
	WoFamily   *f;

	if (object >= WO_OBJECTS)
		return;
	f = &w->cache[object / WO_GENERATIONS / WO_FAMILIES].family[wo_family_of(object)];
	if (atomic_load(&f->generation) == object % WO_GENERATIONS &&
		atomic_fetch_add(&f->given_up, 1) == WO_GIVEN_UP_MAX)
		next_generation(f);
}

const WoCache *
wo_cache_of(const World *w, uint32_t object)
{
	return &w->cache[object >= WO_WIDE ? object - WO_WIDE : object / WO_GENERATIONS / WO_FAMILIES];
}

uint32_t
wo_family_of(uint32_t object)
{
	return object / WO_GENERATIONS % WO_FAMILIES;
}

int64_t
wo_key(const World *w, uint32_t object, uint32_t cell)
{
	return ((int64_t) w->round * WO_OBJECTS + object) * LC_CELLS + cell;
}

const LcModel *
wo_model(const World *w, uint32_t object)
{
	const WoCache *c = wo_cache_of(w, object);

	if (c >= &w->cache[WO_CACHES])
		return c->visibility == WO_MANUAL ? &wo_life_published : &wo_life;
	switch (c->visibility)
	{
		case WO_COMMIT:
			return wo_family_of(object) < WO_NUMBERED ? &lc_numbered : &lc_family;
		case WO_MANUAL:
			return &lc_published;
		default:
			return &lc_family;
	}
}

/* ---- values ---- */

uint64_t
wo_value(World *w)
{
	return (atomic_fetch_add(&w->values, 1) + 1) * WO_VALUE_STEP;
}

/* Mostly short; some are long enough for two copies to share them. */
static size_t
filler_bytes(uint64_t value)
{
	uint64_t	x = value * UINT64_C(0x9E3779B97F4A7C15) >> 40;

	return x % 4 == 0 ? x / 4 % 800 : x / 4 % 30;
}

size_t
wo_value_print(char *to, const WoCache *c, uint64_t value)
{
	size_t		n = (size_t) sprintf(to, "%" PRIu64, value);
	size_t		filler = filler_bytes(value);

	if (c->number)
		return n;
	memset(to + n, 'a' + (int) (value / 3 % 26), filler);
	to[n + filler] = '\0';
	return n + filler;
}

uint64_t
wo_value_parse(const WoCache *c, const char *text, size_t bytes)
{
	char		right[WO_VALUE_BYTES_MAX];
	uint64_t	value = strtoull(text, NULL, 10);

	/* what was added to a number is not known here */
	if (c->number)
		return value;
	return wo_value_print(right, c, value) == bytes && memcmp(right, text, bytes) == 0 ? value : 0;
}

/* ---- all sorts ---- */

void
wo_wrong(World *w, const char *format, ...)
{
	va_list		args;

	if (atomic_fetch_add(&w->wrong, 1) >= 10)
		return;
	va_start(args, format);
	printf("# seed %" PRIu64 ", round %u: ", w->seed, w->round);
	vprintf(format, args);
	printf("\n");
	va_end(args);
}
