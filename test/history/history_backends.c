/*
 * history_backends.c
 *		Histories of single calls and of commits from many sessions on a real server, checked.
 *
 * Usage: history_backends [name=value]...
 *
 *	conninfo=...	default: the environment's
 *	replicas=n		of the server
 *	clients=n		sessions, each a thread; default 12
 *	calls=n			operations in all; or seconds=n
 *	round=n			operations after which what was recorded is checked; default 30000
 *	seed=n			what a run has printed, to make the same choices again
 *	lives=n			of 1000 things that a session does, so many concern caches that come and go; default 6
 *	crowd=n			after so many operations all sessions begin anew and make caches together; default 10000, 0: never
 *	points=1		the server has test points: let sessions sleep and stop there
 *	fault=name		let the server do this wrong (faulty.c): the run succeeds when that is found
 *	faults			print their names, and do nothing else
 *
 * Prints TAP.  What is done and what is promised stands in world.h.
 */
#include <inttypes.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "backend.h"
#include "tap.h"

typedef struct Options
{
	uint64_t	calls;
	uint64_t	seconds;
	uint64_t	round;
} Options;

static void *
client_main(void *arg)
{
	Client	   *c = arg;
	World	   *w = c->w;

	c->crowds = 0;
	while (!atomic_load(&w->stop))
	{
		if (c->conn == NULL && !bk_connect(c))
			continue;
		if (w->crowd != 0 && c->crowds < atomic_load(&w->calls) / w->crowd)
		{
			c->crowds++;
			wo_live_together(c);
		}
		else if (th_random(&c->random) % 1000 < w->lives)
			wo_live(c);
		else if (th_random(&c->random) % 5 == 0)
			wo_transact(c);
		else
			wo_work(c);
		if (th_random(&c->random) % 2000 == 0)
			bk_disconnect(c);
		if (atomic_load(&w->calls) >= w->calls_max)
			atomic_store(&w->stop, 1);
	}
	return NULL;
}

/* ---- the end of a round ---- */

static bool
plain(World *w, PGconn *conn, const char *sql)
{
	PGresult   *r = PQexec(conn, sql);
	bool		right = PQresultStatus(r) == PGRES_TUPLES_OK || PQresultStatus(r) == PGRES_COMMAND_OK;

	if (!right)
		wo_wrong(w, "%s: %s", sql, PQerrorMessage(conn));
	PQclear(r);
	return right;
}

#define LOOKED_AT		(WO_CACHES * WO_FAMILIES * WO_GENERATIONS)

/* Publish, and read every key of the round: what was lost shows by now. */
static void
last_look(World *w, Client *c)
{
	BkBatch    *b = malloc(sizeof(*b));

	bk_begin(b);
	for (uint32_t i = 0; i < WO_CACHES; i++)
	{
		BkStep	   *s;

		if (w->cache[i].visibility != WO_MANUAL)
			continue;
		s = bk_add(b, &w->cache[i], "publish", NULL, BK_NOTHING);
		bk_param(b, s, "%s", w->cache[i].name);
		s->call.op.kind = LC_PUBLISH;
		s->call.object = WO_WIDE + i;
		s->call.write = s->keep = true;
	}
	for (uint32_t o = 0; o <= LOOKED_AT; o++)
	{
		WoCache    *cache = &w->cache[o / WO_GENERATIONS / WO_FAMILIES];
		BkStep	   *s;

		if (b->n == BK_STEPS_MAX || o == LOOKED_AT)
		{
			if (!bk_run(c, b, false))
				wo_wrong(w, "the session that looks at the end is gone");
			bk_record(c, b);
			bk_begin(b);
		}
		if (o == LOOKED_AT || c->conn == NULL)
			break;
		if (o % WO_GENERATIONS > atomic_load(&cache->family[wo_family_of(o)].generation))
		{
			o += WO_GENERATIONS - o % WO_GENERATIONS - 1;	/* the next family */
			if (o + 1 < LOOKED_AT)
				continue;
			o = LOOKED_AT - 1;
			continue;
		}
		s = bk_add(b, cache, cache->number ? "many_n" : "many_t", NULL, BK_CELLS);
		bk_param(b, s, "%s", cache->name);
		s->object[s->objects++] = o;
		s->call.op.kind = LC_GET_ALL;
		s->keep = true;
		bk_param_keys(w, b, s);
	}
	free(b);
}

/* Of the caches that come and go each is there or is not. */
static void
last_look_at_lives(World *w, Client *c)
{
	for (uint32_t i = WO_CACHES; i < WO_ALL; i++)
		for (uint32_t g = 0; g <= atomic_load(&w->cache[i].family[0].generation); g++)
			if (c->conn != NULL)
				wo_look_at_life(c, i * WO_FAMILIES * WO_GENERATIONS + g);
}

/* Nothing of a round is needed in the next one. */
static void
clear(World *w, PGconn *conn)
{
	char		sql[100];

	plain(w, conn, "SELECT nr_check(ftrelid::regclass) FROM pg_foreign_table");
	plain(w, conn, "TRUNCATE lived");
	plain(w, conn, "DO $$ DECLARE c text; BEGIN FOR c IN SELECT oid::regclass FROM pg_class WHERE relname ~ '^l_' AND relkind = 'f'\n"
		  "	LOOP EXECUTE 'DROP FOREIGN TABLE ' || c; END LOOP; END $$");
	for (uint32_t i = 0; i < WO_CACHES; i++)
	{
		snprintf(sql, sizeof(sql), "SELECT nr_truncate('%s')", w->cache[i].name);
		plain(w, conn, sql);
		if (w->cache[i].visibility == WO_MANUAL)
		{
			snprintf(sql, sizeof(sql), "SELECT nr_publish('%s')", w->cache[i].name);
			plain(w, conn, sql);
		}
	}
}

static bool
play_round(World *w, Client *last, PGconn *conn, WoSeeded *seeded)
{
	pthread_t	nemesis,
				thread[WO_CLIENTS_MAX];
	bool		right;

	wo_begin_round(w);
	pthread_create(&nemesis, NULL, wo_nemesis, w);
	for (uint32_t i = 0; i < w->clients; i++)
		pthread_create(&thread[i], NULL, client_main, &w->client[i]);
	for (uint32_t i = 0; i < w->clients; i++)
		pthread_join(thread[i], NULL);
	last_look(w, last);
	last_look_at_lives(w, last);
	atomic_store(&w->over, 1);
	pthread_join(nemesis, NULL);

	right = wo_verdict(w, &last->history, seeded);
	clear(w, conn);
	for (uint32_t i = 0; i < w->clients; i++)
		hi_clear(&w->client[i].history);
	hi_clear(&last->history);
	return right;
}

/* ---- memory ---- */

#define WARM_ROUNDS		4

typedef struct Memory
{
	uint64_t	own_kb;
	uint64_t	cache_kb;		/* of all caches of the server, taken */
	uint64_t	backend_kb;		/* private memory of the largest session */
} Memory;

static uint64_t
status_kb(int pid, const char *field)
{
	char		path[64],
				line[200];
	uint64_t	kb = 0;
	FILE	   *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if ((f = fopen(path, "r")) == NULL)
		return 0;
	while (fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, field, strlen(field)) == 0)
			kb = strtoull(line + strlen(field), NULL, 10);
	fclose(f);
	return kb;
}

static Memory
memory_now(World *w, PGconn *conn)
{
	Memory		m = {0};
	PGresult   *r = PQexec(conn, "SELECT sum(bytes - bytes_free) / 1024 FROM nr_memory");

	/* a long search has freed much, which malloc has kept */
	malloc_trim(0);
	m.own_kb = status_kb(getpid(), "RssAnon:");
	if (PQntuples(r) == 1)
		m.cache_kb = strtoull(PQgetvalue(r, 0, 0), NULL, 10);
	PQclear(r);
	for (uint32_t i = 0; i < w->clients; i++)
	{
		uint64_t	kb = w->client[i].pid != 0 ? status_kb(w->client[i].pid, "RssAnon:") : 0;

		m.backend_kb = kb > m.backend_kb ? kb : m.backend_kb;
	}
	return m;
}

/* After the first rounds nothing grows by more than a half and some. */
static bool
memory_bounded(World *w, PGconn *conn, uint32_t round, Memory *first)
{
	Memory		now = memory_now(w, conn);
	bool		right = true;

	if (round <= WARM_ROUNDS)
	{
		first->own_kb = now.own_kb > first->own_kb ? now.own_kb : first->own_kb;
		first->cache_kb = now.cache_kb > first->cache_kb ? now.cache_kb : first->cache_kb;
		first->backend_kb = now.backend_kb > first->backend_kb ? now.backend_kb : first->backend_kb;
	}
	else
		right = now.own_kb < first->own_kb * 3 / 2 + 65536 && now.cache_kb < first->cache_kb * 3 / 2 + 8192 &&
			now.backend_kb < first->backend_kb * 3 / 2 + 16384;
	if (!right || round % 50 == WARM_ROUNDS)
		printf("# memory after round %u: program %" PRIu64 " kB, caches %" PRIu64 " kB, largest session %" PRIu64 " kB\n",
			   round, now.own_kb, now.cache_kb, now.backend_kb);
	return right;
}

/* ---- all of it ---- */

static void
parse(World *w, Options *o, int argc, char **argv)
{
	*o = (Options){.round = 30000};
	w->clients = 12;
	w->lives = 6;
	w->crowd = 10000;
	w->conninfo = "";
	w->replicas = 1;
	w->seed = (uint64_t) time(NULL) * 1000 + (uint64_t) getpid() % 1000;
	for (int i = 1; i < argc; i++)
	{
		char	   *value = strchr(argv[i], '=');
		uint64_t	number = value != NULL ? strtoull(value + 1, NULL, 10) : 0;
		size_t		n = value != NULL ? (size_t) (value - argv[i]) : 0;

#define IS(name) (n == strlen(name) && strncmp(argv[i], name, n) == 0)
		if (IS("conninfo"))
			w->conninfo = value + 1;
		else if (IS("replicas") && number > 0)
			w->replicas = (uint32_t) number;
		else if (IS("clients") && number > 0 && number <= WO_CLIENTS_MAX)
			w->clients = (uint32_t) number;
		else if (IS("calls"))
			o->calls = number;
		else if (IS("seconds"))
			o->seconds = number;
		else if (IS("round") && number > 0)
			o->round = number;
		else if (IS("seed") && number > 0)
			w->seed = number;
		else if (IS("lives") && number <= 1000)
			w->lives = (uint32_t) number;
		else if (IS("crowd"))
			w->crowd = (uint32_t) number;
		else if (IS("points"))
			w->points = number != 0;
		else if (IS("fault") && wo_fault_sql(value + 1) != NULL)
			w->fault = value + 1;
		else if (strcmp(argv[i], "faults") == 0)
		{
			wo_fault_list();
			exit(0);
		}
		else
		{
			printf("Bail out! what is \"%s\"?\n", argv[i]);
			exit(2);
		}
#undef IS
	}
}

static uint64_t
report(const World *w, const WoSeeded *seeded, uint64_t rounds, bool bounded)
{
	Client		sum = {0};

	for (uint32_t i = 0; i < w->clients; i++)
	{
		const Client *c = &w->client[i];

		sum.calls += c->calls;
		sum.committed += c->committed;
		sum.rolled_back += c->rolled_back;
		sum.given_up += c->given_up;
		sum.connects += c->connects;
		sum.lives += c->lives;
	}
	printf("# %" PRIu64 " operations in %" PRIu64 " rounds, %" PRIu64 " commits, %" PRIu64 " rolled back, %" PRIu64
		   " of unknown end; %" PRIu64 " cancels, %" PRIu64 " terminations, %" PRIu64 " stops, %" PRIu64 " connections, %" PRIu64 " DDL and takes\n",
		   sum.calls, rounds, sum.committed, sum.rolled_back, sum.given_up, w->cancels, w->terminations, w->stops,
		   sum.connects, sum.lives);
	if (w->fault != NULL)
		return sum.calls;
	for (int k = 0; k < WO_SEEDED_KINDS; k++)
		tap_ok(seeded->made[k] > 0 && seeded->found[k] == seeded->made[k],
			   "%s, put into what was recorded: found %" PRIu64 " times of %" PRIu64, wo_seeded_name[k],
			   seeded->found[k], seeded->made[k]);
	tap_ok(sum.given_up > 0 && w->cancels > 0 && w->stops > 0 && sum.rolled_back > 0 && sum.committed > 0,
		   "sessions were cancelled, terminated and stopped");
	tap_ok(w->too_long * 200 <= w->objects, "%" PRIu64 " of %" PRIu64 " searches were given up", w->too_long, w->objects);
	tap_ok(bounded, "memory did not grow with the time");
	return sum.calls;
}

int
main(int argc, char **argv)
{
	World	   *w = calloc(1, sizeof(*w));
	Client		last = {.w = w, .idx = LC_THREADS_MAX - 1, .random = 1};
	WoSeeded	seeded = {0};
	Memory		first = {0};
	Options		o;
	uint64_t	begun = th_now_ns(),
				calls = 0,
				rounds = 0;
	bool		right = true,
				bounded = true;
	PGconn	   *conn;

	setvbuf(stdout, NULL, _IOLBF, 0);
	parse(w, &o, argc, argv);
	printf("# replicas=%u clients=%u seed=%" PRIu64 "%s%s\n", w->replicas, w->clients, w->seed,
		   w->fault != NULL ? " fault=" : "", w->fault != NULL ? w->fault : "");
	wo_init(w);
	conn = PQconnectdb(w->conninfo);
	wo_create(w, conn);
	pthread_mutex_init(&last.lock, NULL);
	w->client = calloc(w->clients, sizeof(Client));
	for (uint32_t i = 0; i < w->clients; i++)
	{
		w->client[i] = (Client){.w = w, .idx = i, .random = w->seed * 1000003 + i + 1};
		pthread_mutex_init(&w->client[i].lock, NULL);
	}
	w->calls_max = o.round;
	if (!bk_connect(&last))
		return 1;
	while (right && atomic_load(&w->wrong) == 0 && (o.seconds > 0 ? th_now_ns() - begun < o.seconds * 1000000000u : calls < o.calls))
	{
		right = play_round(w, &last, conn, &seeded);
		bounded &= memory_bounded(w, conn, (uint32_t) ++rounds, &first);
		calls += atomic_load(&w->calls);
	}
	tap_ok(atomic_load(&w->wrong) == 0, "nothing but what must be expected went wrong");
	if (w->fault != NULL)
		tap_ok(!right, "the server's fault %s is found", w->fault);
	else
		tap_ok(right, "all that was recorded is as promised (seed=%" PRIu64 ")", w->seed);
	report(w, &seeded, rounds, bounded);
	for (uint32_t i = 0; i < w->clients; i++)
		bk_disconnect(&w->client[i]);
	bk_disconnect(&last);
	PQfinish(conn);
	return tap_done();
}
