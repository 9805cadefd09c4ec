/*
 * stress_alias.c
 *		Two copies that share memory: readers hold on to values where they lie, while
 *		writers overwrite, delete and truncate.
 *
 * Usage: stress_alias [seconds [seed]].  Prints TAP.
 *
 * Each round is a group of one or two replicas, with little memory and a short log, which is
 * written in one of the engine's three ways.  Every byte of a value follows from its
 * key and version, and with test points the engine poisons what it frees: so
 * whoever looks at memory too late notices.  Each key has one writer at a time, so nobody may
 * see a version after a higher one.  At rest each key must be what was written
 * last, accounts and tables must agree, and an emptied group must be small again.
 * What a reader that has stopped may see and hold up is stress_alias_stops.c.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "alias_calls.h"
#include "engine/layout.h"
#include "tap.h"
#include "thread_host.h"
#include "toy_calls.h"

#define WRITERS		3
#define READERS		3
#define SMALL		8			/* extents of each kind that an emptied group may hold: the root, and what it keeps */

typedef enum Way
{
	EXECUTE,					/* nr_execute_mut: all writers at once, each its keys */
	COMMIT,						/* nr_prepare and append or drop, one writer at a time */
	PUBLISH,					/* nr_append and nr_publish, one writer at a time */
	WAYS
} Way;

typedef struct World
{
	Th		   *th;
	AlKeys		keys;
	Way			way;
	_Atomic uint32_t stop;
	_Atomic uint64_t versions;
	_Atomic uint64_t truncated; /* EXECUTE: highest position of a truncate */
	pthread_mutex_t turn;		/* not EXECUTE: one writer at a time */
	AlModel		model;			/* EXECUTE: each writer has its keys; else what is visible ... */
	AlModel		pending;		/* ... and what will be */
	_Atomic uint64_t wrong;
	_Atomic uint64_t written;
	_Atomic uint64_t refused;
	_Atomic uint64_t held;		/* values that were looked at twice */
} World;

typedef struct Party
{
	World	   *w;
	uint32_t	i;
	uint64_t	random;
	uint64_t	last[AL_KEYS];	/* highest version seen */
	NrSession	session;
	NrHandle	h;
} Party;

static uint32_t
pick(Party *p, uint32_t n)
{
	return (uint32_t) ((th_random(&p->random) >> 11) % n);
}

static void
wrong(World *w, const char *what, uint64_t a, uint64_t b)
{
	if (atomic_fetch_add(&w->wrong, 1) < 10)
		printf("# %s (%llx, %llx)\n", what, (unsigned long long) a, (unsigned long long) b);
}

static void
come(Party *p)
{
	th_register(p->w->th, p->i, pick(p, p->w->th->geo.replicas), &p->session);
	th_uncancel(p->w->th, p->session.idx);
	th_attach(&p->session, 0, &ds_hash_dispatch, &p->h);
}

static void
leave(Party *p)
{
	nr_group_detach(&p->h);
	nr_session_unregister(&p->session);
}

/* ---- at the engine's test points: give way, or take a nap ---- */

static _Thread_local uint64_t hook_random;

static void
on_point(const char *name)
{
	uint64_t	x;

	(void) name;
	if (hook_random == 0)
		return;
	x = th_random(&hook_random) >> 16;
	if (x % 400 == 0)
		th_sleep_us((long) (x >> 20) % 150);
	else if (x % 4 == 0)
		sched_yield();
}

/* ---- reading ---- */

static void
note_version(Party *p, uint32_t k, uint64_t version)
{
	if (version == AL_WRONG)
		wrong(p->w, "a value is torn, poisoned or another's", k, 0);
	else if (version != 0 && version < p->last[k])
		wrong(p->w, "a version comes after a higher one", version, p->last[k]);
	else if (version != 0)
		p->last[k] = version;
}

/* Stay inside for a while, with values in hand. */
static void
hold(Party *p)
{
	AlSeen		seen[AL_KEYS];
	uint32_t	step = 2 + pick(p, 8);

	if (nr_enter(&p->h, false) != NR_OK)
		wrong(p->w, "a reader was sent away", 0, 0);
	for (uint32_t k = 0; k < AL_KEYS; k += step)
	{
		al_look(&p->h, &p->w->keys, k, &seen[k]);
		note_version(p, k, seen[k].version);
	}
	if (pick(p, 20) == 0)
		th_sleep_us(pick(p, 300));
	else
		sched_yield();
	for (uint32_t k = 0; k < AL_KEYS; k += step)
		if (!al_unchanged(&p->h, &p->w->keys, k, &seen[k]))
			wrong(p->w, "a value has changed under its reader", k, seen[k].version);
	atomic_fetch_add_explicit(&p->w->held, AL_KEYS / step, memory_order_relaxed);
	nr_leave(&p->h);
}

static void *
read_on(void *arg)
{
	Party	   *p = arg;

	come(p);
	hook_random = p->random | 1;
	while (!atomic_load_explicit(&p->w->stop, memory_order_relaxed))
	{
		uint32_t	k = pick(p, AL_KEYS);

		switch (pick(p, 16))
		{
			case 0:
				leave(p);
				come(p);
				break;
			case 1:
				if (!al_scan(&p->h, &p->w->keys))
					wrong(p->w, "a scan is wrong", 0, 0);
				break;
			case 2:
			case 3:
			case 4:
			case 5:
			case 6:
				note_version(p, k, al_get(&p->h, &p->w->keys, k));
				break;
			default:
				hold(p);
		}
		/* the writers are what we are here for */
		if (pick(p, 3) == 0)
			th_sleep_us(50);
	}
	leave(p);
	return NULL;
}

/* ---- writing ---- */

/* EXECUTE: of own keys only, and a truncate by itself. */
static void
make_batch(Party *p, AlBatch *b)
{
	World	   *w = p->w;
	bool		own = w->way == EXECUTE;

	b->n = 1 + pick(p, AL_BATCH_MAX);
	b->bytes = 0;
	for (uint32_t i = 0; i < b->n; i++)
	{
		uint32_t	k = own ? pick(p, AL_KEYS / WRITERS) * WRITERS + p->i : pick(p, AL_KEYS);
		uint32_t	what = pick(p, 64);

		b->version[i] = 0;
		if (what == 0 && (!own || i == 0))
		{
			k = AL_KEYS;
			b->bytes += ds_hash_op_truncate(b->ops + b->bytes);
			if (own)
				b->n = 1;
		}
		else if (what < 12)
			b->bytes += al_op_delete(b->ops + b->bytes, &w->keys, k);
		else
		{
			b->version[i] = atomic_fetch_add(&w->versions, 1) + 1;
			b->bytes += al_op_put(b->ops + b->bytes, &w->keys, k, b->version[i]);
		}
		b->key[i] = k;
	}
}

static void
count(World *w, NrStatus st)
{
	if (st == NR_OK)
		atomic_fetch_add_explicit(&w->written, 1, memory_order_relaxed);
	else if (st == NR_NO_SPACE)
		atomic_fetch_add_explicit(&w->refused, 1, memory_order_relaxed);
	else
		wrong(w, "a write failed", (uint64_t) st, 0);
}

static void
execute(Party *p, const AlBatch *b)
{
	World	   *w = p->w;
	NrResult	result = {.status = NR_OK};
	NrStatus	st = nr_execute_mut(&p->h, b->ops, b->bytes, b->n, false, &result);
	uint64_t	old = atomic_load(&w->truncated);

	count(w, st == NR_OK ? result.status : st);
	if (st != NR_OK)
		return;
	if (b->key[0] != AL_KEYS)
		al_model_apply(&w->model, b, result.seq + 1, result.status == NR_OK);
	else
		while (old < result.seq + 1 && !atomic_compare_exchange_weak(&w->truncated, &old, result.seq + 1))
			;
}

static void
commit(Party *p, const AlBatch *b, bool drop)
{
	NrPrepared	prepared;
	NrStatus	st = nr_prepare(&p->h, b->ops, b->bytes, b->n, 0, false, &prepared);

	count(p->w, st);
	if (st != NR_OK)
		return;
	if (drop)
	{
		nr_prepared_drop(&p->h, &prepared);
		return;
	}
	nr_prepared_append(&p->h, &prepared);
	al_model_apply(&p->w->model, b, 1, true);
}

static void
append_and_publish(Party *p, AlBatch *b)
{
	World	   *w = p->w;
	NrResult	result = {.status = NR_OK};
	uint64_t	n;
	NrStatus	st = nr_append(&p->h, b->ops, b->bytes, b->n, false, &result);

	if (st == NR_TOO_LARGE)
		st = NR_NO_SPACE;		/* more is pending than may be */
	count(w, st == NR_OK ? result.status : st);
	if (st == NR_OK)
		al_model_apply(&w->pending, b, 1, result.status == NR_OK);
	if (st == NR_OK && pick(p, 3) != 0)
		return;
	st = nr_publish(&p->h, false, &n);
	count(w, st);
	if (st == NR_OK)
		w->model = w->pending;
}

static void
write_one(Party *p, AlBatch *b)
{
	if (p->w->way == EXECUTE)
	{
		make_batch(p, b);
		execute(p, b);
		return;
	}
	pthread_mutex_lock(&p->w->turn);
	make_batch(p, b);
	if (p->w->way == COMMIT)
		commit(p, b, pick(p, 8) == 0);
	else
		append_and_publish(p, b);
	pthread_mutex_unlock(&p->w->turn);
}

static void *
write_on(void *arg)
{
	Party	   *p = arg;
	AlBatch	   *b = malloc(sizeof(*b));

	come(p);
	hook_random = p->random | 1;
	while (!atomic_load_explicit(&p->w->stop, memory_order_relaxed))
	{
		if (pick(p, 40) == 0)
		{
			leave(p);
			come(p);
		}
		write_one(p, b);
	}
	leave(p);
	free(b);
	return NULL;
}

/* ---- at rest ---- */

/* Truncate, and let all follow; then one write more, which finds what may be tidied up. */
static bool
empties(Party *p)
{
	static AlBatch b;
	uint32_t	used[2];
	NrGroupInfo gi;

	for (int lap = 0; lap < 3; lap++)
	{
		b.n = 1;
		b.key[0] = lap == 0 ? AL_KEYS : 0;
		b.version[0] = 0;
		b.bytes = lap == 0 ? ds_hash_op_truncate(b.ops) : al_op_delete(b.ops, &p->w->keys, 0);
		if (p->w->way == EXECUTE)
			execute(p, &b);
		else
			commit(p, &b, false);
		for (uint32_t r = 0; r < p->h.group->replicas; r++)
			nr_group_sync_replica(&p->h, r, false);
	}
	gi = toy_group_info(p->session.engine, 0);
	used[0] = (gi.extents_used - gi.extents_shared) / 2;
	used[1] = gi.extents_shared;
	if (used[0] > SMALL || used[1] > SMALL)
		printf("# emptied: %u extents in each copy, %u shared\n", used[0], used[1]);
	return used[0] <= SMALL && used[1] <= SMALL;
}

/* ---- a round ---- */

typedef struct Totals
{
	uint64_t	rounds;
	uint64_t	wrong;
	uint64_t	written;
	uint64_t	refused;
	uint64_t	held;
	uint64_t	grown;			/* rounds with more in use than an emptied group may hold */
	bool		equal;
	bool		final;
	bool		settled;
	bool		small;
	bool		back;
} Totals;

static void
make(World *w, uint64_t seed, uint64_t *random)
{
	static const uint32_t spins[] = {0, 20, 200};
	NrGeometry	geo = th_geometry(1 + (uint32_t) (seed % 2));
	NrGroupConfig config;
	uint32_t	shared_max = 10 + (uint32_t) (th_random(random) % 40);

	al_keys(&w->keys, seed);
	w->way = (Way) (seed / 2 % WAYS);
	if (w->way == PUBLISH)
		shared_max += 50;
	config = al_config(&w->keys, shared_max / 2 + 6, shared_max);
	config.log_slots = 2u << th_random(random) % 5;
	if (w->way == PUBLISH && seed % 4 < 2)
		config.replicas = 1;	/* then it begins with a load */
	geo.session_buffer_bytes = th_random(random) % 2 == 0 ? 256 : 1024;
	/* what is pending must not become more than can ever be published */
	geo.extents = (w->way == PUBLISH ? 130 : 50) + (uint32_t) (th_random(random) % 60);
	w->th = th_new(&geo, 1 + (uint32_t) (seed % 3), spins[th_random(random) % 3]);
	th_create(w->th, 0, &config, &ds_hash_dispatch);
	th_no_timeouts(w->th);
}

static void
at_rest(World *w, Party *p, Totals *t)
{
	uint64_t	n;

	come(p);
	if (w->way == PUBLISH && nr_publish(&p->h, false, &n) == NR_OK)
		w->model = w->pending;
	t->equal &= toy_check(&p->h);
	t->final &= al_model_holds(&w->model, atomic_load(&w->truncated), &p->h, &w->keys) && al_scan(&p->h, &w->keys);
	if (nr_pending_count(&p->h) == 0)
	{
		t->settled &= al_settled(&p->h);
		t->small &= empties(p);
		t->equal &= toy_check(&p->h);
		t->settled &= al_settled(&p->h);
	}
	leave(p);
	nr_group_destroy(th_engine(w->th, 0), 0, NULL);
	t->back &= toy_pool_free(th_engine(w->th, 0)) == w->th->geo.extents;
}

static void
play(double seconds, uint64_t seed, Totals *t)
{
	static World w;
	static Party party[WRITERS + READERS];
	pthread_t	thread[WRITERS + READERS];
	uint64_t	random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
	uint64_t	end = th_now_ns() + (uint64_t) (seconds * 1e9);
	Totals		before = *t;
	bool		grown = false;

	memset(&w, 0, sizeof(w));
	pthread_mutex_init(&w.turn, NULL);
	make(&w, seed, &random);
	for (uint32_t i = 0; i < WRITERS + READERS; i++)
	{
		party[i] = (Party) {.w = &w,.i = i,.random = random + i * 977};
		thread[i] = th_start(i < WRITERS ? write_on : read_on, &party[i]);
	}
	while (th_now_ns() < end)
	{
		grown |= toy_group_info(th_engine(w.th, 0), 0).extents_shared > SMALL;
		th_sleep_us(2000);
	}
	atomic_store(&w.stop, 1);
	t->grown += grown;
	for (uint32_t i = 0; i < WRITERS + READERS; i++)
		th_join(thread[i]);
	at_rest(&w, &party[0], t);
	t->rounds++;
	t->wrong += w.wrong;
	t->written += w.written;
	t->refused += w.refused;
	t->held += w.held;
	if (t->wrong > before.wrong || t->equal + t->final + t->settled + t->small + t->back <
		before.equal + before.final + before.settled + before.small + before.back)
		printf("# round with seed %llu: way %u, replicas %u\n", (unsigned long long) seed, w.way, w.th->geo.replicas);
	th_free(w.th);
	pthread_mutex_destroy(&w.turn);
}

int
main(int argc, char **argv)
{
	double		seconds = argc > 1 ? atof(argv[1]) : 5;
	uint64_t	seed = argc > 2 ? strtoull(argv[2], NULL, 0) : th_now_ns();
	uint64_t	end = th_now_ns() + (uint64_t) (seconds * 1e9);
	Totals		t = {.equal = true,.final = true,.settled = true,.small = true,.back = true};

	printf("# %g seconds, seed %llu\n", seconds, (unsigned long long) seed);
#ifdef NR_TEST_POINTS
	nr_test_point_hook = on_point;
#endif
	do
	{
		th_watchdog(60);
		play(0.4, seed + t.rounds, &t);
	} while (th_now_ns() < end || t.rounds < 2 * 2 * WAYS);
	printf("# %llu rounds: %llu writes, %llu found no space, %llu values held\n", (unsigned long long) t.rounds,
		   (unsigned long long) t.written, (unsigned long long) t.refused, (unsigned long long) t.held);
	tap_ok(t.wrong == 0, "no value is torn, poisoned, another's, goes back or changes under its reader");
	tap_ok(t.final, "at rest each key is what was written last");
	tap_ok(t.equal, "all copies are equal");
	tap_ok(t.settled, "accounts and tables agree");
	tap_ok(t.small && t.grown > 0, "an emptied group is small again");
	tap_ok(t.back, "every extent came back");
	tap_ok(t.written > 0 && t.refused > 0 && t.held > 0, "memory was used up, and was not for ever");
	return tap_done();
}
