/*
 * backend.c
 *		Connecting, and statements sent in one go; see backend.h.
 */
#include "backend.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const prepared[][2] = {
	{"get", "SELECT nr_get($1::regclass, $2::bigint)"},
	{"get_n", "SELECT nr_get($1::regclass, $2::bigint, NULL::bigint)"},
	{"get_t", "SELECT nr_get($1::regclass, $2::bigint, NULL::text)"},
	{"many_n", "SELECT nr_get_many($1::regclass, $2::bigint[], NULL::bigint)"},
	{"many_t", "SELECT nr_get_many($1::regclass, $2::bigint[], NULL::text)"},
	{"put", "SELECT nr_put($1::regclass, $2::bigint, $3::text)"},
	{"delete", "SELECT nr_delete($1::regclass, $2::bigint)"},
	{"swap_n", "SELECT nr_swap($1::regclass, $2::bigint, $3::bigint)"},
	{"swap_t", "SELECT nr_swap($1::regclass, $2::bigint, $3::text)"},
	{"cas_n", "SELECT nr_cas($1::regclass, $2::bigint, $3::bigint, $4::bigint)"},
	{"cas_t", "SELECT nr_cas($1::regclass, $2::bigint, $3::text, $4::text)"},
	{"incr_n", "SELECT nr_incr($1::regclass, $2::bigint, $3::bigint)"},
	{"publish", "SELECT nr_publish($1::regclass)"},
	{"truncate", "SELECT nr_truncate($1::regclass)"},
	{"lock", "SELECT count(*) FROM (SELECT FROM family WHERE id = ANY ($1::int[]) ORDER BY id FOR UPDATE) s"},
	{"number", "SELECT nextval('numbers')"},
};

/*
 * What a session does at the engine's test points.  Every other round it is anything; in between all
 * sessions do one of two things that go badly together.
 */
static const char *const points[] = {
	"", "", "commit_append:nap:5", "*:nap:997", "reader_inside:nap:97", "batch_applied:nap:61",
	"half_applied:nap:5", "request_pending:nap:53", "batch_appended:stop:211", "*:stop:9973",
	"reader_inside:stop:503", "half_applied:stop:97", "stage_prepared:nap:17", "flipped:nap:23"
};

static const char *const pairs[][2] = {
	{"reader_inside:nap:4", "half_applied:nap:1"},
	{"commit_append:nap:3", "stage_prepared:nap:7"},
	{"combiner_locked:nap:11", "request_announced:nap:17"},
	{"flipped:nap:5", "reader_inside:nap:17"}
};

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

const char *
bk_point(Client *c)
{
	uint32_t	round = c->w->round;
	uint64_t	x = th_random(&c->random);

	return round % 2 == 0 ? pairs[round / 2 % LENGTH(pairs)][x % 2] : points[x % LENGTH(points)];
}

/* Given up, not refused: anything else is a finding. */
static bool
is_expected_error(const char *state)
{
	static const char *const states[] = {"57014", "57P01", "40P01"};

	for (size_t i = 0; i < LENGTH(states); i++)
		if (state != NULL && strcmp(state, states[i]) == 0)
			return true;
	return false;
}

/* Of caches that come and go: there is one by that name, and not the one whose row type was looked up; or there is none. */
static bool
is_there(const char *state)
{
	return strcmp(state, "42P07") == 0 || strcmp(state, "42710") == 0 || strcmp(state, "23505") == 0 ||
		strcmp(state, "42804") == 0;
}

static bool
is_missing(const char *state)
{
	return strcmp(state, "42P01") == 0 || strcmp(state, "42704") == 0;
}

static void
understand_error(Client *c, BkStep *s, const PGresult *r)
{
	const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);

	const char *function = PQresultErrorField(r, PG_DIAG_SOURCE_FUNCTION);

	if (state == NULL || is_expected_error(state) || (s->life && is_there(state)))
		return;
	/* NULL::cache, TRUNCATE: PostgreSQL looks at types and tables before it locks these, which are gone then, or half of them */
	if (s->life && function != NULL &&
		(strcmp(function, "relation_open") == 0 || strcmp(function, "LookupTypeNameExtended") == 0 ||
		 strcmp(function, "GetForeignServerIdByRelId") == 0))
		return;
	s->missing = s->life && is_missing(state);
	if (!s->missing)
		wo_wrong(c->w, "%s%s (%s of %s)", PQresultErrorMessage(r), s->sql != NULL ? s->sql : s->name,
				 function, PQresultErrorField(r, PG_DIAG_SOURCE_FILE));
}

/* Frees the result. */
static bool
went_well(Client *c, PGresult *r)
{
	const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
	bool		done = PQresultStatus(r) == PGRES_COMMAND_OK || PQresultStatus(r) == PGRES_TUPLES_OK;

	if (!done && state != NULL && !is_expected_error(state))
		wo_wrong(c->w, "%s", PQresultErrorMessage(r));
	PQclear(r);
	return done;
}

static bool
set_up(Client *c)
{
	char		sql[200];

	if (c->w->fault != NULL && !went_well(c, PQexec(c->conn, "SET search_path = faulty, public")))
		return false;
	for (size_t i = 0; i < LENGTH(prepared); i++)
		if (!went_well(c, PQprepare(c->conn, prepared[i][0], prepared[i][1], 0, NULL)))
			return false;
	/* who looks at the end is left in peace */
	if (c->idx == LC_THREADS_MAX - 1)
		return PQenterPipelineMode(c->conn) == 1;
	if (th_random(&c->random) % 3 != 0)
	{
		snprintf(sql, sizeof(sql), "SET nr_cache.replica = %d", (int) (th_random(&c->random) % c->w->replicas));
		if (!went_well(c, PQexec(c->conn, sql)))
			return false;
	}
	if (c->w->points)
	{
		snprintf(sql, sizeof(sql), "SET nr_cache.test_point = '%s'", bk_point(c));
		if (!went_well(c, PQexec(c->conn, sql)))
			return false;
	}
	if (th_random(&c->random) % 8 == 0 && !went_well(c, PQexec(c->conn, "SET statement_timeout = '8ms'")))
		return false;
	return went_well(c, PQexec(c->conn, "SET synchronous_commit = off")) && PQenterPipelineMode(c->conn) == 1;
}

static void
ignore(void *arg, const PGresult *result)
{
	(void) arg;
	(void) result;
}

bool
bk_connect(Client *c)
{
	c->conn = PQconnectdb(c->w->conninfo);
	c->connects++;
	if (PQstatus(c->conn) != CONNECTION_OK)
	{
		wo_wrong(c->w, "cannot connect: %s", PQerrorMessage(c->conn));
		PQfinish(c->conn);
		c->conn = NULL;
		return false;
	}
	PQsetNoticeReceiver(c->conn, ignore, NULL);
	pthread_mutex_lock(&c->lock);
	c->pid = PQbackendPID(c->conn);
	c->cancel = PQgetCancel(c->conn);
	pthread_mutex_unlock(&c->lock);
	if (!set_up(c))
		bk_disconnect(c);
	return c->conn != NULL;
}

void
bk_disconnect(Client *c)
{
	World	   *w = c->w;

	if (c->conn == NULL)
		return;
	pthread_mutex_lock(&c->lock);
	/* it may still be at work, or stopped */
	atomic_store(&w->left_behind[atomic_fetch_add(&w->left_behind_n, 1) % WO_LEFT_BEHIND], c->pid);
	c->pid = 0;
	PQfreeCancel(c->cancel);
	c->cancel = NULL;
	pthread_mutex_unlock(&c->lock);
	PQfinish(c->conn);
	c->conn = NULL;
}

/* ---- what to send ---- */

void
bk_begin(BkBatch *b)
{
	b->n = 0;
	b->used = 0;
}

BkStep *
bk_add(BkBatch *b, const WoCache *cache, const char *name, const char *sql, BkAnswer answer)
{
	BkStep	   *s = &b->step[b->n++];

	if (b->n > BK_STEPS_MAX)
		abort();
	memset(s, 0, sizeof(*s));
	s->name = name;
	s->sql = sql;
	s->cache = cache;
	s->answer = answer;
	return s;
}

static const char *
keep_text(BkBatch *b, const char *format, va_list args)
{
	char	   *to = b->text + b->used;
	int			n = vsnprintf(to, BK_TEXT_BYTES - b->used, format, args);

	b->used += (size_t) n + 1;
	if (b->used > BK_TEXT_BYTES)
		abort();
	return to;
}

const char *
bk_text(BkBatch *b, const char *format, ...)
{
	va_list		args;
	const char *text;

	va_start(args, format);
	text = keep_text(b, format, args);
	va_end(args);
	return text;
}

void
bk_param(BkBatch *b, BkStep *s, const char *format, ...)
{
	va_list		args;

	va_start(args, format);
	s->param[s->nparams++] = keep_text(b, format, args);
	va_end(args);
}

void
bk_param_value(BkBatch *b, BkStep *s, uint64_t value)
{
	char		text[WO_VALUE_BYTES_MAX];

	wo_value_print(text, s->cache, value);
	bk_param(b, s, "%s", text);
}

void
bk_param_keys(World *w, BkBatch *b, BkStep *s)
{
	char		text[BK_VISIT_MAX * LC_CELLS * 24];
	int			n = 0;

	for (uint32_t o = 0; o < s->objects; o++)
		for (uint32_t k = 0; k < LC_CELLS; k++)
			n += sprintf(text + n, "%c%lld", n == 0 ? '{' : ',', (long long) wo_key(w, s->object[o], k));
	bk_param(b, s, "%s}", text);
}

/* ---- answers ---- */

static uint64_t
value_of(Client *c, const BkStep *s, const char *text, size_t bytes)
{
	uint64_t	value = wo_value_parse(s->cache, text, bytes);

	if (value == 0)
		wo_wrong(c->w, "cache %s answers a torn value: %.*s", s->cache->name, (int) bytes, text);
	return value;
}

static void
read_array(Client *c, BkStep *s, const char *text)
{
	for (uint32_t i = 0; i < s->objects * LC_CELLS; i++)
	{
		size_t		n = strcspn(++text, ",}");

		s->cell[i / LC_CELLS][i % LC_CELLS] = strncmp(text, "NULL", 4) == 0 ? 0 : value_of(c, s, text, n);
		text += n;
	}
	if (*text != '}')
		wo_wrong(c->w, "cache %s answers with another number of keys", s->cache->name);
}

static void
read_rows(Client *c, BkStep *s, const PGresult *r)
{
	for (int row = 0; row < PQntuples(r); row++)
	{
		int64_t		key = strtoll(PQgetvalue(r, row, 0), NULL, 10);
		uint32_t	found = 0;

		for (uint32_t i = 0; i < s->objects * LC_CELLS; i++)
			if (wo_key(c->w, s->object[i / LC_CELLS], i % LC_CELLS) == key)
			{
				s->cell[i / LC_CELLS][i % LC_CELLS] =
					value_of(c, s, PQgetvalue(r, row, 1), (size_t) PQgetlength(r, row, 1));
				found++;
			}
		if (found != 1)
			wo_wrong(c->w, "cache %s answers with a key that was not asked for", s->cache->name);
	}
}

static void
understand(Client *c, BkStep *s, const PGresult *r)
{
	LcOp	   *op = &s->call.op;
	bool		null = s->answer >= BK_VALUE && s->answer <= BK_OLD && PQgetisnull(r, 0, 0);

	switch (s->answer)
	{
		case BK_NOTHING:
			snprintf(s->tag, sizeof(s->tag), "%s", PQcmdStatus((PGresult *) r));
			break;
		case BK_VALUE:
			op->out[0] = null ? 0 : value_of(c, s, PQgetvalue(r, 0, 0), (size_t) PQgetlength(r, 0, 0));
			break;
		case BK_FLAG:
			op->out[0] = PQgetvalue(r, 0, 0)[0] == 't';
			break;
		case BK_OLD:
			op->out[0] = !null;
			op->out[1] = null ? 0 : value_of(c, s, PQgetvalue(r, 0, 0), (size_t) PQgetlength(r, 0, 0));
			break;
		case BK_CELLS:
			read_array(c, s, PQgetvalue(r, 0, 0));
			break;
		case BK_ROWS:
			read_rows(c, s, r);
			break;
	}
}

/* Take the result of one step; false when the session is gone. */
static bool
take(Client *c, BkStep *s)
{
	PGresult   *r = PQgetResult(c->conn);
	const char *severity;
	bool		alive = true;

	s->call.op.res = th_now_ns();
	s->outcome = BK_UNKNOWN;
	if (r == NULL)
		return false;
	switch (PQresultStatus(r))
	{
		case PGRES_COMMAND_OK:
		case PGRES_TUPLES_OK:
			s->outcome = BK_ANSWERED;
			understand(c, s, r);
			break;
		case PGRES_PIPELINE_ABORTED:
			s->outcome = BK_NOT_RUN;
			break;
		default:
			severity = PQresultErrorField(r, PG_DIAG_SEVERITY_NONLOCALIZED);
			alive = severity != NULL && strcmp(severity, "ERROR") == 0;
			if (alive)
				s->outcome = BK_FAILED;
			if (severity != NULL)
				understand_error(c, s, r);
			break;
	}
	PQclear(r);
	if (alive && (r = PQgetResult(c->conn)) != NULL)
	{
		wo_wrong(c->w, "a second result");
		PQclear(r);
	}
	return alive && PQstatus(c->conn) == CONNECTION_OK;
}

/* All of them began before anything was sent; within the batch they keep their order. */
static bool
send_all(Client *c, BkBatch *b)
{
	uint64_t	now = th_now_ns();

	for (uint32_t i = 0; i < b->n; i++)
	{
		BkStep	   *s = &b->step[i];

		s->call.op.inv = now - 2 * b->n + 2 * i;
		s->call.op.thread = c->idx;
		s->outcome = BK_UNKNOWN;
	}
	for (uint32_t i = 0; i < b->n; i++)
	{
		BkStep	   *s = &b->step[i];
		int			sent = s->name != NULL ?
			PQsendQueryPrepared(c->conn, s->name, s->nparams, s->param, NULL, NULL, 0) :
			PQsendQueryParams(c->conn, s->sql, s->nparams, NULL, s->param, NULL, NULL, 0);

		if (sent != 1)
			return false;
	}
	return PQpipelineSync(c->conn) == 1;
}

bool
bk_run(Client *c, BkBatch *b, bool away)
{
	bool		alive = send_all(c, b) && !away;
	PGresult   *r;

	for (uint32_t i = 0; i < b->n && alive; i++)
		alive = take(c, &b->step[i]);
	if (alive)
	{
		r = PQgetResult(c->conn);
		alive = PQresultStatus(r) == PGRES_PIPELINE_SYNC;
		PQclear(r);
	}
	if (!alive)
		bk_disconnect(c);
	return alive;
}

/* One call; of a visit one for each family. */
static void
record_step(Client *c, const BkStep *s)
{
	HiCall		call = s->call;

	if (s->aside && call.op.res != LC_FOREVER)
	{
		HiCall		look = call;

		look.write = false;
		look.op.kind = LC_EXISTS;
		look.op.out[0] = (call.op.kind == LC_PUT) != (call.op.out[0] != 0);
		hi_also(&c->history, &look, look.object);
		if (!call.write)
			return;
		call.op.inv++;
		call.op.out[0] = LC_UNTOLD;
	}
	if (s->objects == 0)
	{
		hi_also(&c->history, &call, call.object);
		return;
	}
	for (uint32_t o = 0; o < s->objects; o++)
	{
		memcpy(call.op.out, s->cell[o], sizeof(call.op.out));
		hi_also(&c->history, &call, s->object[o]);
	}
}

void
bk_record(Client *c, const BkBatch *b)
{
	for (uint32_t i = 0; i < b->n; i++)
	{
		BkStep		s = b->step[i];

		if (!s.keep || s.outcome == BK_NOT_RUN)
			continue;
		if (s.outcome != BK_ANSWERED)
		{
			/* what was read is not known, what was written may still come */
			if (!s.call.write)
				continue;
			s.call.op.res = LC_FOREVER;
			s.call.op.out[0] = LC_UNTOLD;
			wo_given_up(c->w, s.call.object);
			c->given_up++;
		}
		record_step(c, &s);
	}
}

bool
bk_rollback(Client *c)
{
	BkBatch    *b;
	bool		alive = true;

	while (alive && PQtransactionStatus(c->conn) != PQTRANS_IDLE)
	{
		b = malloc(sizeof(*b));
		bk_begin(b);
		bk_add(b, NULL, NULL, "ROLLBACK", BK_NOTHING);
		alive = bk_run(c, b, false);
		free(b);
	}
	return alive;
}
