/*
 * stress_move.c
 *		Sessions that move from replica to replica while all write and read.
 *
 * Usage: stress_move [seconds [seed]].  Prints TAP.
 *
 * Rounds.  In each, an engine with random sizes (2 to 5 replicas, tiny logs, one or several
 * views of its memory) carries four groups: of one copy, of two, of one copy with prepared writes, and
 * a single replica of two copies, interleaved over the regions.  Each thread raises the number of a family of keys
 * of its own in each group, all of its keys at once, and moves at any moment, its handles with it.
 *
 * Whoever looks must see one number in all keys of a family: never less than it has seen before, wherever
 * that was, nor less than its owner has told; and owners their own last.  Half of the rounds are without
 * telling, so that nothing but the engine orders the threads.
 *
 * At the end the copies must be equal, every extent back, and of the sessions nothing left in any replica.
 */
#include <stdlib.h>

#include "engine/layout.h"
#include "hash_calls.h"
#include "tap.h"
#include "thread_host.h"
#include "toy_calls.h"

#define THREADS			HC_FAMILIES
#define CALLS			400		/* of each thread, in a round */

enum
{
	G_ONE,
	G_TWO,
	G_LAZY,						/* prepared writes */
	G_SINGLE,					/* one replica */
	G_COUNT
};

typedef struct Round
{
	Th		   *th;
	HcKeys		keys;
	bool		tell;
	_Atomic uint64_t told[G_COUNT][HC_FAMILIES];
	_Atomic uint32_t go;
	_Atomic uint32_t finished;
} Round;

typedef struct Mover
{
	Round	   *round;
	uint32_t	i;
	uint64_t	random;
	NrSession	session;
	NrHandle	handle[G_COUNT];
	uint64_t	own[G_COUNT];	/* of its family */
	uint64_t	seen[G_COUNT][HC_FAMILIES];
	/* in all rounds */
	uint64_t	reads;
	uint64_t	writes;
	uint64_t	withdrawn;
	uint64_t	moves;
	uint64_t	errors;
	uint64_t	backwards;
	uint64_t	torn;
	uint64_t	bad_moves;
} Mover;

static uint32_t
pick(Mover *m, uint32_t n)
{
	return (uint32_t) (th_random(&m->random) % n);
}

static void
attach_all(Mover *m)
{
	for (uint32_t g = 0; g < G_COUNT; g++)
		th_attach(&m->session, g, &ds_hash_dispatch, &m->handle[g]);
}

static void
detach_all(Mover *m)
{
	for (uint32_t g = 0; g < G_COUNT; g++)
		nr_group_detach(&m->handle[g]);
}

static void
come(Mover *m)
{
	th_register(m->round->th, pick(m, 64), pick(m, m->round->th->geo.replicas), &m->session);
	attach_all(m);
}

static void
leave(Mover *m)
{
	detach_all(m);
	nr_session_unregister(&m->session);
}

/* Elsewhere, with all handles; not from inside a read. */
static void
move(Mover *m)
{
	uint32_t	to = pick(m, m->round->th->geo.replicas);

	if (pick(m, 8) == 0)
	{
		while (nr_enter(&m->handle[G_ONE], false) != NR_OK)
			;
		m->bad_moves += nr_session_move(&m->session, to) != NR_BUSY;
		nr_leave(&m->handle[G_ONE]);
	}
	/* handles may go before or after */
	if (pick(m, 2) == 0)
		detach_all(m);
	m->bad_moves += nr_session_move(&m->session, to) != NR_OK || m->session.replica != to;
	detach_all(m);
	attach_all(m);
	m->moves++;
}

static void
look(Mover *m, uint32_t g, uint32_t family)
{
	_Atomic uint64_t *told = &m->round->told[g][family];
	uint64_t	least = m->round->tell ? atomic_load_explicit(told, memory_order_acquire) : 0;
	uint64_t	value[LC_CELLS];
	NrStatus	st = hc_get_all(&m->handle[g], &m->round->keys, family, pick(m, 2) == 0, value);

	if (st == NR_CANCELLED)
	{
		th_uncancel(m->round->th, m->session.idx);
		m->withdrawn++;
		return;
	}
	m->errors += st != NR_OK;
	for (uint32_t c = 0; c < LC_CELLS; c++)
		m->torn += value[c] != value[0];
	if (value[0] < m->seen[g][family] || value[0] < least || (family == m->i && value[0] != m->own[g]))
		m->backwards++;
	m->seen[g][family] = value[0];
	m->reads++;
}

/* All keys of its family get the next number. */
static NrStatus
raise_now(Mover *m, uint32_t g, bool cancellable)
{
	NrResult	result = {.status = NR_OK};
	NrStatus	st = hc_put(&m->handle[g], &m->round->keys, m->i, 0, LC_CELLS, m->own[g] + 1, cancellable, &result);

	return st != NR_OK ? st : result.status;
}

static NrStatus
raise_prepared(Mover *m, uint32_t g, bool cancellable)
{
	_Alignas(8) char ops[HC_OPS_BYTES_MAX];
	size_t		bytes = hc_ops(ops, &m->round->keys, m->i, 0, LC_CELLS, m->own[g] + 1);
	NrPrepared	prepared;
	NrStatus	st = nr_prepare(&m->handle[g], ops, bytes, LC_CELLS, NR_PREPARE_ORDERED, cancellable, &prepared);

	if (st != NR_OK)
		return st;
	if (pick(m, 8) == 0)
	{
		nr_prepared_drop(&m->handle[g], &prepared);
		return NR_CANCELLED;
	}
	nr_prepared_append(&m->handle[g], &prepared);
	return NR_OK;
}

static void
raise_own(Mover *m, uint32_t g)
{
	bool		cancellable = pick(m, 2) == 0;
	NrStatus	st = g == G_LAZY ? raise_prepared(m, g, cancellable) : raise_now(m, g, cancellable);

	if (st == NR_CANCELLED)
	{
		th_uncancel(m->round->th, m->session.idx);
		m->withdrawn++;
		return;
	}
	m->errors += st != NR_OK;
	m->writes++;
	m->own[g]++;
	if (m->round->tell)
		atomic_store_explicit(&m->round->told[g][m->i], m->own[g], memory_order_release);
}

static void *
work(void *arg)
{
	Mover	   *m = arg;

	come(m);
	while (atomic_load_explicit(&m->round->go, memory_order_relaxed) == 0)
		th_sleep_us(50);
	for (uint32_t i = 0; i < CALLS; i++)
	{
		uint32_t	g = pick(m, G_COUNT);

		if (pick(m, 5) == 0)
			move(m);
		if (pick(m, 60) == 0)
		{
			leave(m);
			come(m);
		}
		if (pick(m, 3) == 0)
			raise_own(m, g);
		else
			look(m, g, pick(m, 2) == 0 ? m->i : pick(m, HC_FAMILIES));
	}
	leave(m);
	atomic_fetch_add(&m->round->finished, 1);
	return NULL;
}

/* ---- a round ---- */

typedef struct Totals
{
	uint64_t	rounds;
	uint64_t	different;
	uint64_t	leaked;
	uint64_t	leftovers;
} Totals;

static void
make_engine(Round *round, uint64_t *random)
{
	static const uint32_t spins[] = {0, 30, 1000};
	NrGeometry	geo = th_geometry(2 + (uint32_t) (th_random(random) % 4));
	uint64_t	seed = th_random(random);
	NrGroupConfig config = hc_config(seed, 64u << (th_random(random) % 3), 100, 1u << (th_random(random) % 3 * 7));

	config.log_slots = 2u << (th_random(random) % 5);	/* 2 to 32 */
	geo.sessions = THREADS + 1;
	geo.extents = 512;
	geo.session_buffer_bytes = th_random(random) % 2 ? 256 : 2048;
	round->th = th_new(&geo, th_random(random) % 2 ? 1 : 3, spins[th_random(random) % 3]);
	if (th_random(random) % 2)
		th_no_timeouts(round->th);
	round->tell = th_random(random) % 2 == 0;
	hc_keys(&round->keys, seed);
	for (uint32_t g = 0; g < G_COUNT; g++)
	{
		config.copies = g == G_TWO || g == G_SINGLE ? 2 : 1;
		config.replicas = g == G_SINGLE;
		config.lazy = g == G_LAZY;
		config.shared_max = config.copies == 2 && th_random(random) % 3 > 0 ? 100 : 0;
		th_create(round->th, g, &config, &ds_hash_dispatch);
	}
}

static bool
bitmap_empty(const NrEngine *e, NrAtomic64 *bitmap)
{
	for (uint32_t w = 0; w < e->bitmap_words; w++)
		if (nr_load64_rlx(&bitmap[w]) != 0)
			return false;
	return true;
}

/* What sessions that are gone have left in a group, wherever they have been. */
static uint32_t
left_in(NrEngine *e, uint32_t g)
{
	struct NrGroup *group = nr_group(e, g);
	uint32_t	n = 0;

	for (uint32_t r = 0; r < group->replicas; r++)
	{
		struct NrReplica *rep = nr_replica(e, g, r);

		n += !bitmap_empty(e, nr_readers(e, rep)) + !bitmap_empty(e, nr_pending(e, rep)) +
			!bitmap_empty(e, nr_waiters(e, rep));
		n += nr_load32_rlx(&rep->starved) != 0 || nr_load32_rlx(&rep->combiner) != 0 || nr_load32_rlx(&rep->writer) != 0;
	}
	n += !bitmap_empty(e, nr_space_waiters(group)) + !bitmap_empty(e, nr_committers(e, group));
	return n + (nr_load32_rlx(&group->space_waiting) != 0);
}

static uint32_t
left_in_regions(NrEngine *e)
{
	uint32_t	n = 0;

	for (uint32_t r = 0; r < e->geo.replicas; r++)
		for (uint32_t s = 0; s < e->geo.sessions; s++)
			n += !nr_is_outside(nr_load64_rlx(&nr_reader_line(e, r, s)->inside)) ||
				nr_req_phase(nr_load64_rlx(&nr_request_slot(e, r, s)->state)) != NR_REQ_FREE;
	return n;
}

static void
check_end(Mover *m, Totals *totals)
{
	NrEngine   *e = th_engine(m->round->th, 0);

	come(m);
	for (uint32_t g = 0; g < G_COUNT; g++)
	{
		for (uint32_t f = 0; f < HC_FAMILIES; f++)
			look(m, g, f);
		totals->different += !toy_check(&m->handle[g]);
	}
	leave(m);
	totals->leftovers += left_in_regions(e);
	for (uint32_t g = 0; g < G_COUNT; g++)
	{
		totals->leftovers += left_in(e, g);
		nr_group_destroy(e, g, &ds_hash_dispatch);
	}
	totals->leaked += toy_pool_free(e) != e->geo.extents;
}

static uint64_t
wrong(const Mover *movers, const Totals *totals)
{
	uint64_t	n = totals->different + totals->leaked + totals->leftovers;

	for (uint32_t t = 0; t < THREADS; t++)
		n += movers[t].errors + movers[t].backwards + movers[t].torn + movers[t].bad_moves;
	return n;
}

static void
play_round(Mover *movers, uint64_t seed, Totals *totals)
{
	Round		round = {.go = 0};
	uint64_t	random = seed | 1;
	uint64_t	before = wrong(movers, totals);
	pthread_t	thread[THREADS];

	make_engine(&round, &random);
	for (uint32_t t = 0; t < THREADS; t++)
	{
		movers[t].round = &round;
		movers[t].i = t;
		movers[t].random = th_random(&random) | 1;
		memset(movers[t].own, 0, sizeof(movers[t].own));
		memset(movers[t].seen, 0, sizeof(movers[t].seen));
		thread[t] = th_start(work, &movers[t]);
	}
	atomic_store(&round.go, 1);
	while (atomic_load(&round.finished) < THREADS)
	{
		th_cancel(round.th, (uint32_t) (th_random(&random) % THREADS));
		th_sleep_us((long) (th_random(&random) % 300));
	}
	for (uint32_t t = 0; t < THREADS; t++)
		th_join(thread[t]);
	check_end(&movers[0], totals);
	if (wrong(movers, totals) > before)
		printf("# round with seed %llu: replicas %u, views %u, spins %u, %s\n", (unsigned long long) seed,
			   round.th->geo.replicas, round.th->views, round.th->host.spins, round.tell ? "told" : "not told");
	th_free(round.th);
	totals->rounds++;
}

int
main(int argc, char **argv)
{
	double		seconds = argc > 1 ? atof(argv[1]) : 10;
	uint64_t	seed = argc > 2 ? strtoull(argv[2], NULL, 0) : th_now_ns();
	uint64_t	end = th_now_ns() + (uint64_t) (seconds * 1e9);
	Mover		sum = {0};
	Mover	   *movers = calloc(THREADS, sizeof(Mover));
	Totals		totals = {0};

	printf("# %g seconds, seed %llu\n", seconds, (unsigned long long) seed);
	do
	{
		th_watchdog(60);
		play_round(movers, seed + totals.rounds, &totals);
	} while (th_now_ns() < end);

	for (uint32_t t = 0; t < THREADS; t++)
	{
		sum.reads += movers[t].reads;
		sum.writes += movers[t].writes;
		sum.withdrawn += movers[t].withdrawn;
		sum.moves += movers[t].moves;
		sum.errors += movers[t].errors;
		sum.backwards += movers[t].backwards;
		sum.torn += movers[t].torn;
		sum.bad_moves += movers[t].bad_moves;
	}
	free(movers);
	printf("# %llu rounds, %llu reads, %llu writes, %llu withdrawn\n", (unsigned long long) totals.rounds,
		   (unsigned long long) sum.reads, (unsigned long long) sum.writes, (unsigned long long) sum.withdrawn);
	tap_ok(sum.errors == 0, "no call failed (%llu did)", (unsigned long long) sum.errors);
	tap_ok(sum.backwards == 0, "nobody saw an older state than before, or than it was told of (%llu did)",
		   (unsigned long long) sum.backwards);
	tap_ok(sum.torn == 0, "nor half of a write");
	tap_ok(sum.bad_moves == 0, "sessions moved when they could, and not from inside a read");
	tap_ok(totals.different == 0, "copies were always equal");
	tap_ok(totals.leaked == 0, "every extent came back");
	tap_ok(totals.leftovers == 0, "nothing of the sessions was left, wherever they had been (%llu)",
		   (unsigned long long) totals.leftovers);
	tap_ok(sum.moves > 0 && sum.withdrawn > 0, "they did move (%llu times), and some gave up", (unsigned long long) sum.moves);
	return tap_done();
}
