/*
 * transact.c
 *		What a client does in a transaction on caches of visibility 'commit'; see world.h.
 */
#include "backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARTS_MAX	3			/* families of one transaction */

typedef struct Part
{
	WoCache    *cache;
	uint32_t	object;
	uint64_t	own;			/* what the transaction itself sees; 0: deleted */
	bool		written;
	bool		gone;			/* what it leaves behind is a delete */
} Part;

typedef struct Tx
{
	uint64_t	number;			/* value of its puts, and arg of its calls */
	uint32_t	group;
	uint32_t	parts;
	Part		part[PARTS_MAX];
	uint32_t	calls;
	bool		commit;
} Tx;

static uint32_t
chance(Client *c, uint32_t n)
{
	return (uint32_t) (th_random(&c->random) % n);
}

static WoCache *
pick_cache(Client *c)
{
	WoCache    *cache;

	do
		cache = &c->w->cache[chance(c, WO_CACHES)];
	while (cache->visibility != WO_COMMIT);
	return cache;
}

/* Which families: numbered ones of one cache, or of two now and then; or one loose one. */
static bool
choose(Client *c, Tx *tx)
{
	WoCache    *cache = pick_cache(c);
	bool		numbered = chance(c, 4) > 0;
	uint32_t	n = numbered ? 1 + chance(c, PARTS_MAX) : 1;

	while (tx->parts < n)
	{
		Part	   *p = &tx->part[tx->parts];
		uint32_t	family = numbered ? chance(c, WO_NUMBERED) : WO_NUMBERED + chance(c, WO_FAMILIES - WO_NUMBERED);
		uint32_t	k = 0;

		if (tx->parts > 0 && chance(c, 8) == 0)
			cache = pick_cache(c);
		while (k < tx->parts && (tx->part[k].cache != cache || wo_family_of(tx->part[k].object) != family))
			k++;
		if (k < tx->parts)
			continue;
		p->cache = cache;
		p->object = wo_object(cache, c->w, family);
		tx->parts++;
	}
	return numbered;
}

/* Lock the rows of all, then draw the number. */
static bool
lock(Client *c, BkBatch *b, Tx *tx)
{
	char		ids[PARTS_MAX * 12];
	int			n = 0;
	BkStep	   *s;

	for (uint32_t i = 0; i < tx->parts; i++)
		n += sprintf(ids + n, "%c%u", i == 0 ? '{' : ',', tx->part[i].object / WO_GENERATIONS);
	bk_begin(b);
	bk_add(b, NULL, NULL, "BEGIN", BK_NOTHING);
	s = bk_add(b, NULL, "lock", NULL, BK_NOTHING);
	bk_param(b, s, "%s}", ids);
	s = bk_add(b, NULL, "number", NULL, BK_FLAG);
	s->answer = BK_VALUE;
	s->cache = &c->w->cache[0]; /* a plain number */
	if (!bk_run(c, b, false))
		return false;
	tx->number = s->outcome == BK_ANSWERED ? s->call.op.out[0] * WO_VALUE_STEP : 0;
	return true;
}

/* All keys of the family, with nr_put, nr_delete or INSERT. */
static void
write_part(Client *c, BkBatch *b, Part *p, uint64_t value)
{
	if (value != 0 && chance(c, 2) == 0)
	{
		BkStep	   *s = bk_add(b, p->cache, NULL, bk_text(b, "INSERT INTO %s VALUES ($1, $2), ($3, $4), ($5, $6), ($7, $8)",
														   p->cache->name), BK_NOTHING);

		for (uint32_t k = 0; k < LC_CELLS; k++)
		{
			bk_param(b, s, "%lld", (long long) wo_key(c->w, p->object, k));
			bk_param_value(b, s, value);
		}
	}
	else
		for (uint32_t k = 0; k < LC_CELLS; k++)
		{
			BkStep	   *s = bk_add(b, p->cache, value != 0 ? "put" : "delete", NULL, BK_FLAG);

			/* was the key there?  As the transaction sees it; at first, as everybody does. */
			s->call.object = p->object;
			s->call.op.cell = k;
			s->call.op.kind = value != 0 ? LC_PUT : LC_DELETE;
			s->expected = p->written;
			s->call.op.arg = (p->own != 0) == (value == 0);
			s->keep = s->aside = !p->written;
			bk_param(b, s, "%s", p->cache->name);
			bk_param(b, s, "%lld", (long long) wo_key(c->w, p->object, k));
			if (value != 0)
				bk_param_value(b, s, value);
		}
	p->own = value;
	p->written = true;
}

/* What it has written itself it must see; what it has not is read like by anybody else. */
static void
read_part(Client *c, BkBatch *b, const Part *p)
{
	BkStep	   *s;

	if (chance(c, 4) == 0)
		s = bk_add(b, p->cache, NULL,
				   bk_text(b, "SELECT k, v FROM %s WHERE k + 0 = ANY ($1::bigint[])", p->cache->name), BK_ROWS);
	else
	{
		s = bk_add(b, p->cache, "many_t", NULL, BK_CELLS);
		bk_param(b, s, "%s", p->cache->name);
	}
	s->call.op.kind = LC_GET_ALL;
	s->object[s->objects++] = s->call.object = p->object;
	s->keep = !p->written;
	s->expected = p->written;
	s->call.op.arg = p->own;
	bk_param_keys(c->w, b, s);
}

/* Writes, savepoints, reads; what is undone has values that nobody else may ever see. */
static void
fill(Client *c, BkBatch *b, Tx *tx)
{
	for (uint32_t i = 0; i < tx->parts; i++)
	{
		Part	   *p = &tx->part[i];
		Part		before = *p;
		uint32_t	x = chance(c, 10);

		/* a batch has room for so many */
		if (b->n + 14 + 5 * (tx->parts - i) > BK_STEPS_MAX)
			x = 9;
		if (x == 0)
			read_part(c, b, p);
		if (x <= 2)
		{
			bk_add(b, NULL, NULL, "SAVEPOINT s", BK_NOTHING);
			write_part(c, b, p, chance(c, 4) == 0 ? 0 : tx->number + 1 + chance(c, 1000));
			if (chance(c, 2) == 0)
				read_part(c, b, p);
			bk_add(b, NULL, NULL, "ROLLBACK TO s", BK_NOTHING);
			if (chance(c, 2) == 0)
				bk_add(b, NULL, NULL, "RELEASE s", BK_NOTHING);
			*p = before;
			if (x == 2)
				read_part(c, b, p);
		}
		p->gone = chance(c, 6) == 0;
		write_part(c, b, p, p->gone ? 0 : tx->number);
		if (x == 3)
			read_part(c, b, p);
	}
}

/* Did it see what it had written itself? */
static void
check_own(Client *c, const BkBatch *b)
{
	for (uint32_t i = 0; i < b->n; i++)
	{
		const BkStep *s = &b->step[i];

		if (!s->expected || s->outcome != BK_ANSWERED)
			continue;
		if (s->answer == BK_FLAG && s->call.op.out[0] != s->call.op.arg)
			wo_wrong(c->w, "cache %s: a transaction is told wrong whether a key was there that it had written", s->cache->name);
		for (uint32_t k = 0; k < LC_CELLS && s->answer != BK_FLAG; k++)
			if (s->cell[0][k] != s->call.op.arg)
				wo_wrong(c->w, "cache %s, key %lld: a transaction sees %llu and has written %llu", s->cache->name,
						 (long long) wo_key(c->w, s->object[0], k), (unsigned long long) s->cell[0][k],
						 (unsigned long long) s->call.op.arg);
	}
}

/* "end" is its COMMIT: what may or must be seen from now on. */
static void
record_commit(Client *c, const Tx *tx, const BkStep *end)
{
	bool		known = end->outcome == BK_ANSWERED;

	if (!tx->commit || end->outcome == BK_NOT_RUN || end->outcome == BK_FAILED ||
		(known && strcmp(end->tag, "COMMIT") != 0))
	{
		c->rolled_back++;
		return;
	}
	c->committed += known;
	c->given_up += !known;
	for (uint32_t i = 0; i < tx->parts; i++)
	{
		const Part *p = &tx->part[i];
		HiCall		call = end->call;

		/* of one cache: two do not change at the same moment */
		call.group = tx->group * PARTS_MAX;
		for (uint32_t k = 0; tx->part[k].cache != p->cache; k++)
			call.group++;
		call.write = true;
		call.op.kind = p->gone ? LC_DELETE_ALL : LC_PUT_ALL;
		call.op.arg = p->gone && wo_family_of(p->object) >= WO_NUMBERED ? 0 : tx->number;
		call.op.out[0] = LC_UNTOLD;
		if (!known)
		{
			call.op.res = LC_FOREVER;
			wo_given_up(c->w, p->object);
		}
		hi_also(&c->history, &call, p->object);
	}
}

bool
wo_transact(Client *c)
{
	BkBatch    *b = malloc(sizeof(*b));
	Tx			tx = {.commit = chance(c, 8) > 0};
	BkStep	   *end;
	bool		numbered = choose(c, &tx);
	bool		alive = !numbered || lock(c, b, &tx);

	if (alive && (!numbered || tx.number != 0))
	{
		tx.group = atomic_fetch_add(&c->w->groups, 1) + 1;
		bk_begin(b);
		if (!numbered)
		{
			tx.number = wo_value(c->w);
			bk_add(b, NULL, NULL, "BEGIN", BK_NOTHING);
		}
		fill(c, b, &tx);
		end = bk_add(b, NULL, NULL, tx.commit ? "COMMIT" : "ROLLBACK", BK_NOTHING);
		alive = bk_run(c, b, chance(c, 300) == 0);
		check_own(c, b);
		bk_record(c, b);
		record_commit(c, &tx, end);
		for (uint32_t i = 0; i < b->n; i++)
			tx.calls += b->step[i].cache != NULL && b->step[i].outcome != BK_NOT_RUN;
		c->calls += tx.calls;
		atomic_fetch_add(&c->w->calls, tx.calls);
	}
	free(b);
	return alive && bk_rollback(c);
}
