/*
 * work.c
 *		What a client does by single calls: a few in one go, on caches of all kinds; see world.h.
 */
#include "backend.h"

#include <stdlib.h>
#include <string.h>

#define CALLS_MAX	8			/* in one batch */

static uint32_t
chance(Client *c, uint32_t n)
{
	return (uint32_t) (th_random(&c->random) % n);
}

/* Some families are used more than others, so that several sessions meet. */
static uint32_t
pick_family(Client *c)
{
	uint32_t	a = chance(c, WO_FAMILIES),
				b = chance(c, WO_FAMILIES);

	return a < b ? a : b;
}

static BkStep *
call(Client *c, BkBatch *b, WoCache *cache, uint32_t kind, const char *name, const char *sql, BkAnswer answer)
{
	BkStep	   *s = bk_add(b, cache, name, sql, answer);

	s->keep = true;
	s->call.op.kind = kind;
	s->call.op.cell = chance(c, LC_CELLS);
	s->aside = cache->visibility == WO_MANUAL && (kind == LC_PUT || kind == LC_DELETE);
	s->call.object = wo_object(cache, c->w, pick_family(c));
	if (name != NULL)
		bk_param(b, s, "%s", cache->name);
	return s;
}

static void
param_key(Client *c, BkBatch *b, BkStep *s)
{
	bk_param(b, s, "%lld", (long long) wo_key(c->w, s->call.object, s->call.op.cell));
}

static void
param_new_value(Client *c, BkBatch *b, BkStep *s)
{
	s->call.op.arg = wo_value(c->w);
	bk_param_value(b, s, s->call.op.arg);
}

/* ---- reads ---- */

static void
get(Client *c, BkBatch *b, WoCache *cache)
{
	static const char *const names[2][2] = {{"get", "get_t"}, {"get", "get_n"}};
	uint32_t	how = chance(c, 12);
	BkStep	   *s;

	if (how == 0)
		s = call(c, b, cache, LC_GET, NULL,
				 bk_text(b, "SELECT (SELECT v FROM %s WHERE k = $1::bigint)", cache->name), BK_VALUE);
	else
		s = call(c, b, cache, LC_GET, names[cache->number][how > 2], NULL, BK_VALUE);
	param_key(c, b, s);
}

/* Several keys, of several families, in one visit: looked up, or found in a scan. */
static void
visit(Client *c, BkBatch *b, WoCache *cache)
{
	uint32_t	n = 1 + chance(c, BK_VISIT_MAX);
	BkStep	   *s;

	if (chance(c, 4) == 0)
		s = call(c, b, cache, LC_GET_ALL, NULL,
				 bk_text(b, "SELECT k, v FROM %s WHERE k + 0 = ANY ($1::bigint[])", cache->name), BK_ROWS);
	else
		s = call(c, b, cache, LC_GET_ALL, cache->number ? "many_n" : "many_t", NULL, BK_CELLS);
	for (uint32_t i = 0; i < n; i++)
	{
		uint32_t	object = wo_object(cache, c->w, (chance(c, 2) + 2 * i) % WO_FAMILIES);
		uint32_t	k = 0;

		while (k < s->objects && wo_family_of(s->object[k]) != wo_family_of(object))
			k++;
		if (k == s->objects)
			s->object[s->objects++] = object;
	}
	s->call.group = atomic_fetch_add(&c->w->groups, 1) + 1;
	bk_param_keys(c->w, b, s);
}

/* ---- writes ---- */

static void
put(Client *c, BkBatch *b, WoCache *cache)
{
	BkStep	   *s = call(c, b, cache, LC_PUT, "put", NULL, BK_FLAG);

	param_key(c, b, s);
	param_new_value(c, b, s);
	s->call.write = true;
}

static void
put_all(Client *c, BkBatch *b, WoCache *cache)
{
	BkStep	   *s = call(c, b, cache, LC_PUT_ALL, NULL,
						 bk_text(b, "INSERT INTO %s VALUES ($1, $2), ($3, $4), ($5, $6), ($7, $8)", cache->name),
						 BK_NOTHING);

	s->call.op.arg = wo_value(c->w);
	for (uint32_t k = 0; k < LC_CELLS; k++)
	{
		bk_param(b, s, "%lld", (long long) wo_key(c->w, s->call.object, k));
		bk_param_value(b, s, s->call.op.arg);
	}
	s->call.op.cell = 0;
	s->call.op.out[0] = LC_UNTOLD;
	s->call.write = true;
}

static void
erase(Client *c, BkBatch *b, WoCache *cache)
{
	BkStep	   *s = call(c, b, cache, LC_DELETE, "delete", NULL, BK_FLAG);

	param_key(c, b, s);
	s->call.write = true;
}

static void
swap(Client *c, BkBatch *b, WoCache *cache)
{
	BkStep	   *s = call(c, b, cache, LC_SWAP, cache->number ? "swap_n" : "swap_t", NULL, BK_OLD);

	param_key(c, b, s);
	param_new_value(c, b, s);
	s->call.write = true;
}

/* Expected is what this client has seen last, if anything. */
static void
compare_and_swap(Client *c, BkBatch *b, WoCache *cache)
{
	BkStep	   *s = call(c, b, cache, LC_CAS, cache->number ? "cas_n" : "cas_t", NULL, BK_FLAG);
	uint32_t	i = (uint32_t) (cache - c->w->cache);
	uint32_t	f = wo_family_of(s->call.object);
	uint64_t	expected = 0;

	if (c->seen[i][f].object == s->call.object)
		expected = c->seen[i][f].value[s->call.op.cell];
	param_key(c, b, s);
	s->call.op.out[1] = expected;
	if (expected == 0)
		s->param[s->nparams++] = NULL;
	else
		bk_param_value(b, s, expected);
	param_new_value(c, b, s);
	s->call.write = true;
}

static void
increment(Client *c, BkBatch *b, WoCache *cache)
{
	BkStep	   *s = call(c, b, cache, LC_INCR, "incr_n", NULL, BK_VALUE);

	param_key(c, b, s);
	s->call.op.arg = 1 + chance(c, 15);
	bk_param(b, s, "%u", (unsigned) s->call.op.arg);
	s->call.write = true;
}

/* Of the whole cache. */
static void
wide(Client *c, BkBatch *b, WoCache *cache, uint32_t kind, const char *name)
{
	BkStep	   *s = bk_add(b, cache, name, NULL, BK_NOTHING);

	s->keep = true;
	s->call.op.kind = kind;
	s->call.object = WO_WIDE + (uint32_t) (cache - c->w->cache);
	s->call.write = true;
	bk_param(b, s, "%s", cache->name);
}

static void
one_call(Client *c, BkBatch *b, WoCache *cache)
{
	uint32_t	x = chance(c, 1000);

	if (cache->visibility == WO_COMMIT)
	{
		if (x < 600)
			get(c, b, cache);
		else
			visit(c, b, cache);
	}
	else if (x < 340)
		get(c, b, cache);
	else if (x < 440)
		visit(c, b, cache);
	else if (x < 640)
		put(c, b, cache);
	else if (x < 700)
		erase(c, b, cache);
	else if (x < 760)
		put_all(c, b, cache);
	else if (x < 762)
		wide(c, b, cache, LC_TRUNCATE, "truncate");
	else if (cache->visibility == WO_MANUAL)
	{
		if (x < 900)
			put(c, b, cache);
		else
			wide(c, b, cache, LC_PUBLISH, "publish");
	}
	else if (x < 840)
		swap(c, b, cache);
	else if (x < 900)
		compare_and_swap(c, b, cache);
	else if (cache->number)
		increment(c, b, cache);
	else
		put(c, b, cache);
}

/* ---- a batch ---- */

/* Remember what is there, for compare and swap. */
static void
remember(Client *c, const BkBatch *b)
{
	for (uint32_t i = 0; i < b->n; i++)
	{
		const BkStep *s = &b->step[i];
		uint32_t	kind = s->call.op.kind;
		uint64_t	value = kind == LC_GET || kind == LC_INCR ? s->call.op.out[0] : s->call.op.arg;
		uint32_t	cache,
					f;

		if (!s->keep || s->objects > 0 || s->call.object >= WO_WIDE || s->outcome != BK_ANSWERED)
			continue;
		cache = (uint32_t) (s->cache - c->w->cache);
		f = wo_family_of(s->call.object);
		if (c->seen[cache][f].object != s->call.object)
			memset(&c->seen[cache][f], 0, sizeof(c->seen[cache][f]));
		c->seen[cache][f].object = s->call.object;
		if (kind != LC_CAS && kind != LC_PUT_ALL)
			c->seen[cache][f].value[s->call.op.cell] = value;
	}
}

bool
wo_work(Client *c)
{
	BkBatch    *b = malloc(sizeof(*b));
	uint32_t	n = 1 + chance(c, CALLS_MAX);
	uint32_t	calls = 0;
	bool		wrapped = chance(c, 8) == 0;
	bool		alive;

	bk_begin(b);
	if (chance(c, 20) == 0)
		bk_add(b, NULL, NULL, bk_text(b, "SET nr_cache.replica = %u", chance(c, c->w->replicas)), BK_NOTHING);
	if (c->w->points && chance(c, 60) == 0)
		bk_add(b, NULL, NULL, bk_text(b, "SET nr_cache.test_point = '%s'", bk_point(c)), BK_NOTHING);
	if (wrapped)
		bk_add(b, NULL, NULL, "BEGIN", BK_NOTHING);
	for (uint32_t i = 0; i < n; i++)
		one_call(c, b, &c->w->cache[chance(c, WO_CACHES)]);
	if (wrapped)
		bk_add(b, NULL, NULL, chance(c, 2) == 0 ? "ROLLBACK" : "COMMIT", BK_NOTHING);

	alive = bk_run(c, b, chance(c, 700) == 0);
	bk_record(c, b);
	remember(c, b);
	for (uint32_t i = 0; i < b->n; i++)
		calls += b->step[i].keep && b->step[i].outcome != BK_NOT_RUN;
	c->calls += calls;
	atomic_fetch_add(&c->w->calls, calls);
	free(b);
	return alive && bk_rollback(c);
}
