/*
 * lives.c
 *		What a client does with caches that come and go: CREATE, DROP, ALTER, TRUNCATE, nr_take, and uses of caches
 *		that others make, empty and drop meanwhile; see world.h.
 *
 * Sessions end often: one that is fresh frees what others have left before it makes its first cache (nr_sweep.c).
 */
#include "backend.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GATHER_NS_MAX	200000000
#define GONE_NS_MAX		UINT64_C(60000000000)

/* One that commits and one that looks for what others have left take their time. */
static const char *const points = "committing:nap:1,commit_append:nap:1,commit_done:nap:1,sweep_locked:nap:1";

typedef enum Deed
{
	CREATE,
	RECREATE,					/* DROP IF EXISTS, CREATE */
	DROP,
	ALTER,						/* so that the cache is empty */
	TRUNCATE,
	WRITE,
	TAKE
} Deed;

typedef struct Life
{
	WoCache    *cache;
	uint32_t	object;
	char		name[WO_NAME_BYTES];
	uint64_t	id;				/* of the transaction */
	bool		crowd;			/* see wo_live_together */
	Deed		deed;
	Deed		then;			/* after TAKE: also DROP, ALTER; else TAKE */
	uint64_t	value;			/* what is written behind it; 0: nothing */
	bool		published;
	bool		commit;
	bool		committed;
	uint64_t	ended;			/* the clock when nothing was left of it */
	int			pid;
	const BkStep *take;
	const BkStep *truncate;
	const BkStep *write;
	const BkStep *publish;
	const BkStep *end;
} Life;

static uint32_t
chance(Client *c, uint32_t n)
{
	return (uint32_t) (th_random(&c->random) % n);
}

/* ---- what to send ---- */

static BkStep *
add(BkBatch *b, const Life *l, const char *name, const char *sql, BkAnswer answer)
{
	BkStep	   *s = bk_add(b, l->cache, name, sql, answer);

	s->life = true;
	s->call.object = l->object;
	return s;
}

static BkStep *
add_read(Client *c, BkBatch *b, const Life *l)
{
	BkStep	   *s;

	if (chance(c, 4) == 0)
		s = add(b, l, NULL, bk_text(b, "SELECT k, v FROM %s WHERE k + 0 = ANY ($1::bigint[])", l->name), BK_ROWS);
	else
	{
		s = add(b, l, "many_t", NULL, BK_CELLS);
		bk_param(b, s, "%s", l->name);
	}
	s->object[s->objects++] = l->object;
	s->call.op.kind = LC_GET_ALL;
	bk_param_keys(c->w, b, s);
	return s;
}

/* All keys, in one statement, or in one for each where nobody can look in between. */
static const BkStep *
add_write(Client *c, BkBatch *b, const Life *l, bool alone)
{
	BkStep	   *s = NULL;
	bool		apart = alone && chance(c, 2) == 0;

	if (!apart)
		s = add(b, l, NULL, bk_text(b, "INSERT INTO %s VALUES ($1, $2), ($3, $4), ($5, $6), ($7, $8)", l->name), BK_NOTHING);
	for (uint32_t k = 0; k < LC_CELLS; k++)
	{
		if (apart)
		{
			s = add(b, l, "put", NULL, BK_FLAG);
			bk_param(b, s, "%s", l->name);
		}
		bk_param(b, s, "%lld", (long long) wo_key(c->w, l->object, k));
		bk_param_value(b, s, l->value);
	}
	return s;
}

/* A limit that the cache has never had. */
static const char *
new_limit(Client *c, BkBatch *b, const char *format)
{
	return bk_text(b, format, (unsigned) (10240 + wo_value(c->w) / WO_VALUE_STEP % 1000000));
}

static void
add_create(Client *c, BkBatch *b, const Life *l)
{
	char		sql[WO_CREATE_BYTES];

	wo_create_sql(sql, l->cache, l->name, new_limit(c, b, ", log_size '64kB', memory '%ukB'"));
	add(b, l, NULL, bk_text(b, "%s", sql), BK_NOTHING);
}

static void
add_deed(Client *c, BkBatch *b, Life *l, Deed deed)
{
	switch (deed)
	{
		case CREATE:
			add_create(c, b, l);
			break;
		case RECREATE:
			add(b, l, NULL, bk_text(b, "DROP FOREIGN TABLE IF EXISTS %s", l->name), BK_NOTHING);
			add_create(c, b, l);
			break;
		case DROP:
			add(b, l, NULL, bk_text(b, "DROP FOREIGN TABLE %s", l->name), BK_NOTHING);
			break;
		case ALTER:
			add(b, l, NULL, bk_text(b, "ALTER FOREIGN TABLE %s OPTIONS (SET memory '%s')", l->name,
									new_limit(c, b, "%ukB")), BK_NOTHING);
			break;
		case TRUNCATE:
			l->truncate = add(b, l, NULL, bk_text(b, "TRUNCATE %s", l->name), BK_NOTHING);
			break;
		case TAKE:
			{
				BkStep	   *s = add(b, l, NULL, bk_text(b, "SELECT k, v FROM nr_take('%s', NULL::%s)", l->name, l->name),
									BK_ROWS);

				s->object[s->objects++] = l->object;
				l->take = s;
				break;
			}
		case WRITE:
			break;
	}
}

/* ---- what becomes visible at its COMMIT, and what at once ---- */

static bool
defines(Deed deed)
{
	return deed == CREATE || deed == RECREATE || deed == ALTER;
}

static bool
at_commit(const Life *l)
{
	return l->cache->visibility == WO_COMMIT || defines(l->deed) || l->then == ALTER;
}

/* Does the transaction know what it must see by now? */
static bool
knows(const Life *l)
{
	return at_commit(l) || (l->deed == TRUNCATE && l->cache->visibility == WO_IMMEDIATE);
}

static void
add_own_read(Client *c, BkBatch *b, const Life *l)
{
	BkStep	   *s = add_read(c, b, l);

	s->expected = true;
	s->call.op.arg = l->published || l->cache->visibility != WO_MANUAL ? l->value : 0;
}

static void
add_values(Client *c, BkBatch *b, Life *l)
{
	if (l->value != 0)
		l->write = add_write(c, b, l, at_commit(l));
	if (l->value != 0 && l->published)
	{
		BkStep	   *s = add(b, l, "publish", NULL, BK_NOTHING);

		bk_param(b, s, "%s", l->name);
		l->publish = s;
	}
}

static void
check_own(Client *c, const BkBatch *b)
{
	for (uint32_t i = 0; i < b->n; i++)
	{
		const BkStep *s = &b->step[i];

		for (uint32_t k = 0; k < LC_CELLS && s->expected && s->outcome == BK_ANSWERED; k++)
			if (s->cell[0][k] != s->call.op.arg)
				wo_wrong(c->w, "cache %s, object %u: a transaction sees %llu and has written %llu", s->cache->name, s->object[0],
						 (unsigned long long) s->cell[0][k], (unsigned long long) s->call.op.arg);
	}
}

/* ---- what is recorded ---- */

static void
record(Client *c, const Life *l, uint32_t kind, uint64_t arg, uint64_t inv, uint64_t res)
{
	HiCall		call = {.object = l->object,.write = true};

	call.op.thread = c->idx;
	call.op.kind = kind;
	call.op.arg = arg;
	call.op.inv = inv;
	call.op.res = res;
	call.op.out[0] = LC_UNTOLD;
	call.op.n = l->cache->visibility == WO_MANUAL && !l->published && (kind == WO_CREATE || kind == WO_EMPTY);
	call.op.n |= kind == WO_DROP && l->deed == RECREATE;
	hi_also(&c->history, &call, l->object);
}

/* What takes effect by itself, whatever becomes of the transaction. */
static void
record_at_once(Client *c, const Life *l, const BkStep *s, uint32_t kind)
{
	if (s == NULL || s->outcome == BK_NOT_RUN || s->missing || at_commit(l))
		return;
	if (s->outcome == BK_ANSWERED)
		record(c, l, kind, kind == LC_PUT_ALL ? l->value : 0, s->call.op.inv, s->call.op.res);
	else
	{
		record(c, l, kind, kind == LC_PUT_ALL ? l->value : 0, s->call.op.inv, LC_FOREVER);
		wo_given_up(c->w, l->object);
		c->given_up++;
	}
}

static void
record_take(Client *c, const Life *l)
{
	const BkStep *s = l->take;
	HiCall		call = s->call;

	if (s->outcome == BK_NOT_RUN || s->missing)
		return;
	call.op.kind = WO_TAKE;
	call.op.arg = l->id;
	call.write = true;
	memcpy(call.op.out, s->cell[0], sizeof(call.op.out));
	if (s->outcome != BK_ANSWERED)
	{
		call.op.out[0] = LC_UNTOLD;
		call.op.res = l->ended;
	}
	/* it publishes first: for a moment what was pending can be read */
	if (l->cache->visibility == WO_MANUAL)
		record(c, l, LC_PUBLISH, 0, call.op.inv, s->outcome == BK_ANSWERED ? call.op.res : LC_FOREVER);
	call.op.inv++;
	hi_also(&c->history, &call, l->object);
	if (!l->committed)
		record(c, l, WO_TAKE_UNDONE, l->id, call.op.inv + 1, l->ended);
}

static void
record_committed(Client *c, const Life *l)
{
	uint64_t	inv = l->end->call.op.inv;
	uint64_t	res = l->end->outcome == BK_ANSWERED ? l->end->call.op.res : l->ended;
	Deed		deed = l->deed == TAKE ? l->then : l->deed;

	if (l->deed == TAKE)
		record(c, l, WO_TAKE_DONE, l->id, inv, res);
	if (deed == DROP || deed == RECREATE)
		record(c, l, WO_DROP, 0, inv + (l->deed == TAKE), res);
	if (deed == CREATE || deed == RECREATE)
		record(c, l, WO_CREATE, l->value, inv + 1, res);
	if (deed == ALTER || (deed == TRUNCATE && at_commit(l)))
		record(c, l, WO_EMPTY, l->value, inv + 1, res);
	if (deed == WRITE && at_commit(l))
		record(c, l, LC_PUT_ALL, l->value, inv, res);
}

/* A name that was not found. */
static void
record_missing(Client *c, const BkBatch *b)
{
	for (uint32_t i = 0; i < b->n; i++)
		if (b->step[i].missing)
		{
			HiCall		call = b->step[i].call;

			call.op.kind = WO_MISSING;
			hi_also(&c->history, &call, call.object);
		}
}

/* ---- how it ended ---- */

/* The session is gone, or soon will be: did its transaction commit? */
static bool
was_committed(Client *c, const Life *l)
{
	uint64_t	begun = th_now_ns();
	BkBatch    *b = malloc(sizeof(*b));
	BkOutcome	outcome = BK_UNKNOWN;
	bool		found = false;

	while (kill(l->pid, 0) == 0)
	{
		th_sleep_us(500);
		if (th_now_ns() - begun > GONE_NS_MAX)
		{
			wo_wrong(c->w, "a session whose client has left does not end");
			break;
		}
	}
	while (outcome != BK_ANSWERED && th_now_ns() - begun < 2 * GONE_NS_MAX)
	{
		BkStep	   *s;

		bk_rollback(c);
		if (c->conn == NULL && !bk_connect(c))
			continue;
		bk_begin(b);
		s = bk_add(b, NULL, NULL, "SELECT EXISTS (SELECT FROM lived WHERE id = $1)", BK_FLAG);
		bk_param(b, s, "%llu", (unsigned long long) l->id);
		bk_run(c, b, false);
		outcome = s->outcome;
		found = s->call.op.out[0] != 0;
	}
	free(b);
	return found;
}

/* Nothing is left of it when this returns. */
static void
settle(Client *c, Life *l)
{
	const BkStep *end = l->end;
	bool		gone = c->conn == NULL || !bk_rollback(c);

	if (end != NULL && end->outcome == BK_ANSWERED)
		l->committed = strcmp(end->tag, "COMMIT") == 0;
	else if (gone)
		l->committed = was_committed(c, l);
	l->ended = th_now_ns();
	if (l->committed && !l->commit)
		wo_wrong(c->w, "a transaction that was to be rolled back has been committed");
	c->rolled_back += !l->committed;
	c->committed += l->committed;
	c->lives += l->committed && l->deed != WRITE;
}

/* ---- all of it ---- */

static void
count(Client *c, const BkBatch *b)
{
	uint32_t	calls = 0;

	for (uint32_t i = 0; i < b->n; i++)
		calls += b->step[i].cache != NULL && b->step[i].outcome != BK_NOT_RUN;
	c->calls += calls;
	atomic_fetch_add(&c->w->calls, calls);
}

/* Reads, each in a transaction of its own or two in one. */
static void
look(Client *c, BkBatch *b, const Life *l)
{
	uint32_t	n = 1 + chance(c, 2);

	bk_begin(b);
	for (uint32_t i = 0; i < n; i++)
		add_read(c, b, l)->keep = true;
	bk_run(c, b, false);
	record_missing(c, b);
	bk_record(c, b);
	count(c, b);
	if (c->conn != NULL)
		bk_rollback(c);
}

static void
choose(Client *c, Life *l)
{
	static const Deed often[] = {
		CREATE, RECREATE, RECREATE, RECREATE, RECREATE, DROP, ALTER, ALTER, TRUNCATE, WRITE, WRITE, TAKE, TAKE, TAKE, TAKE
	};
	static const Deed then[] = {TAKE, TAKE, TAKE, DROP, ALTER};

	l->deed = l->crowd ? RECREATE : often[chance(c, sizeof(often) / sizeof(often[0]))];
	l->then = TAKE;
	if (l->deed == TAKE)
		l->then = then[chance(c, sizeof(then) / sizeof(then[0]))];
	if (l->deed == WRITE || defines(l->deed) || (l->deed == TRUNCATE && chance(c, 2) == 0))
		l->value = wo_value(c->w);
	l->published = l->cache->visibility == WO_MANUAL && l->value != 0 && chance(c, 3) > 0;
	l->commit = l->crowd || chance(c, 5) > 0;
	l->id = wo_value(c->w);
	l->pid = c->pid;
}

/* A take is sent by itself, so that others have time to find nothing. */
static bool
begin(Client *c, BkBatch *b, Life *l)
{
	BkStep	   *s;

	bk_begin(b);
	bk_add(b, NULL, NULL, "BEGIN", BK_NOTHING);
	s = bk_add(b, NULL, NULL, "INSERT INTO lived VALUES ($1)", BK_NOTHING);
	bk_param(b, s, "%llu", (unsigned long long) l->id);
	if (c->w->points && (l->crowd || chance(c, 2) == 0))
		bk_add(b, NULL, NULL, bk_text(b, "SET LOCAL nr_cache.test_point = '%s'", points), BK_NOTHING);
	add_deed(c, b, l, l->deed);
	if (l->deed != TAKE)
		return true;
	if (!bk_run(c, b, chance(c, 100) == 0) || l->take->outcome != BK_ANSWERED)
		return false;
	if (chance(c, 4) == 0)
		th_sleep_us(1500);
	return true;
}

static void
act(Client *c, BkBatch *first, BkBatch *second, Life *l)
{
	BkBatch    *b = first;

	second->n = 0;
	if (begin(c, first, l))
	{
		if (l->deed == TAKE)
		{
			b = second;
			bk_begin(b);
			if (l->then != TAKE)
				add_deed(c, b, l, l->then);
		}
		add_values(c, b, l);
		/* a server that does wrong is left to the checkers */
		if (c->w->fault == NULL && l->deed != DROP && l->then != DROP && knows(l) && chance(c, 2) == 0)
			add_own_read(c, b, l);
		l->end = bk_add(b, NULL, NULL, l->commit ? "COMMIT" : "ROLLBACK", BK_NOTHING);
		bk_run(c, b, chance(c, 60) == 0);
	}
	settle(c, l);

	check_own(c, first);
	check_own(c, second);
	record_missing(c, first);
	record_at_once(c, l, l->truncate, LC_TRUNCATE);
	record_at_once(c, l, l->write, LC_PUT_ALL);
	record_at_once(c, l, l->publish, LC_PUBLISH);
	if (l->take != NULL)
		record_take(c, l);
	if (l->committed)
		record_committed(c, l);
	count(c, first);
	count(c, second);
}

static Life
life_of(World *w, uint32_t object)
{
	Life		l = {.cache = &w->cache[wo_cache_of(w, object) - w->cache],.object = object};

	wo_life_name(l.name, w, object);
	return l;
}

void
wo_look_at_life(Client *c, uint32_t object)
{
	BkBatch    *b = malloc(sizeof(*b));
	Life		l = life_of(c->w, object);

	look(c, b, &l);
	free(b);
}

bool
wo_live(Client *c)
{
	World	   *w = c->w;
	BkBatch    *b = malloc(2 * sizeof(*b));
	Life		l = life_of(w, wo_object(&w->cache[WO_CACHES + chance(c, WO_LIVES)], w, 0));

	if (chance(c, 5) < 2)
		look(c, b, &l);
	else
	{
		choose(c, &l);
		act(c, &b[0], &b[1], &l);
	}
	free(b);
	if (c->conn != NULL && chance(c, 3) == 0)
		bk_disconnect(c);
	return c->conn != NULL;
}

/*
 * Sessions that have just begun make caches at the same time, so that each looks for what others have left while
 * others commit; some more read them.
 */
bool
wo_live_together(Client *c)
{
	World	   *w = c->w;
	BkBatch    *b;
	uint32_t	i = c->idx % (WO_LIVES + WO_LIVES / 2) % WO_LIVES;
	Life		l = life_of(w, wo_object(&w->cache[WO_CACHES + i], w, 0));

	bk_disconnect(c);
	while (!bk_connect(c))
		;
	b = malloc(2 * sizeof(*b));
	atomic_fetch_add(&w->gathered, 1);
	for (uint64_t begun = th_now_ns(); th_now_ns() - begun < GATHER_NS_MAX;)
	{
		if (atomic_load(&w->gathered) >= c->crowds * w->clients || atomic_load(&w->stop) != 0)
			break;
		th_sleep_us(100);
	}
	if (c->idx % (WO_LIVES + WO_LIVES / 2) >= WO_LIVES)
		look(c, b, &l);
	else
	{
		l.crowd = true;
		choose(c, &l);
		act(c, &b[0], &b[1], &l);
	}
	free(b);
	return c->conn != NULL;
}
