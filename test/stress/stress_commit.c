/*
 * stress_commit.c
 *		Prepared writes: transactions that prepare, commit and append, each in
 *		its own time, and writers that append and publish; commit_model.h says what must be seen.
 *
 * Usage: stress_commit [seconds [seed]].  Prints TAP.
 *
 * Each round is a world of four groups, of one copy and of two, on one to three
 * replicas, with little room in memory and log.  Transactions write one or two
 * groups; some let go of their row locks before they append, and are overtaken.
 */
#include <sched.h>
#include <stdlib.h>

#include "commit_party.h"
#include "engine/combine.h"
#include "tap.h"
#include "toy_calls.h"

#define READERS			3
#define THREADS			(CM_WRITERS + READERS)

/* ---- at the engine's test points: give way, or take a nap ---- */

static _Thread_local uint64_t hook_random;

static void
on_point(const char *name)
{
	bool		ours = strncmp(name, "prepared", 8) == 0 || strncmp(name, "order", 5) == 0;
	uint64_t	x;

	if (hook_random == 0)
		return;
	x = th_random(&hook_random) >> 16;
	if (x % (ours ? 12 : 300) == 0)
		th_sleep_us((long) (x >> 20) % 150);
	else if (x % 4 == 0)
		sched_yield();
}

/* ---- threads ---- */

static void *
write_on(void *arg)
{
	CmParty	   *p = arg;
	CmPart	   *parts = cm_parts_new();

	hook_random = p->random * 3 + 1;
	while (!atomic_load(&p->w->stop))
	{
		uint64_t	x = cm_chance(p, 64);

		if (x == 0)
		{
			cm_leave(p);
			cm_come(p);
		}
		else if (x < 16)
			cm_append_or_publish(p, &p->w->group[CM_MANUAL_ONE + x % 2]);
		else if (x < 24)
			cm_read(p->w, &p->w->group[x % CM_GROUPS], &p->handle[x % CM_GROUPS], false, 0);
		else
			cm_transact(p, parts);
	}
	free(parts);
	return NULL;
}

static void *
read_on(void *arg)
{
	CmParty	   *p = arg;

	hook_random = p->random * 5 + 1;
	while (!atomic_load_explicit(&p->w->stop, memory_order_relaxed))
	{
		uint32_t	g = (uint32_t) cm_chance(p, CM_GROUPS);
		long		linger = cm_chance(p, 200) == 0 ? (long) cm_chance(p, 400) : 0;

		if (cm_chance(p, 500) == 0)
		{
			cm_leave(p);
			cm_come(p);
		}
		cm_read(p->w, &p->w->group[g], &p->handle[g], p->blind, linger);
		/* the writers are what we are here for */
		if (cm_chance(p, 4) == 0)
			th_sleep_us(50);
	}
	return NULL;
}

/* ---- overtaken, step by step ---- */

/* Session i prepares a put of one family. */
static void
prepare_one(CmParty *p, NrPrepared *prepared, uint64_t stamp)
{
	_Alignas(8) char ops[CM_OPS_BYTES_MAX];
	CmGroup    *cg = &p->w->group[CM_COMMIT_ONE];
	size_t		bytes = cm_ops_family(ops, &cg->family[0], stamp, 1, false);

	if (nr_prepare(&p->handle[CM_COMMIT_ONE], ops, bytes, CM_KEYS, NR_PREPARE_ORDERED, false, prepared) != NR_OK)
		th_die("nr_prepare refused");
	cm_begin(p->w, cg, stamp, 1, false);
}

/* Three prepare in one order and append in any other: the last to prepare wins, from its append on. */
static void
overtake(CmWorld *w, CmParty *party, bool *right)
{
	static const uint8_t order[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
	CmGroup    *cg = &w->group[CM_COMMIT_ONE];

	if (toy_group_info(th_engine(w->th, 0), CM_COMMIT_ONE).log_slots < 4)
		return;					/* there is not room for three promises */
	for (uint32_t lap = 0; lap < 24; lap++)
	{
		NrPrepared	prepared[3];
		uint64_t	stamp[3];

		for (uint32_t i = 0; i < 3; i++)
			prepare_one(&party[i], &prepared[i], stamp[i] = cm_stamp(w));
		for (uint32_t k = 0; k < 3; k++)
		{
			uint32_t	i = order[lap % 6][k];

			nr_prepared_append(&party[i].handle[CM_COMMIT_ONE], &prepared[i]);
			cm_visible(cg, stamp[i], 1);
			for (uint32_t r = 0; r < 3; r++)
				cm_read(w, cg, &party[r].handle[CM_COMMIT_ONE], false, 0);
		}
		*right &= atomic_load(&w->wrong) == 0 && cm_final(w, cg, &party[0].handle[CM_COMMIT_ONE]);
	}
}

/* ---- one world ---- */

static Th *
make(uint64_t seed, uint64_t *random)
{
	static const uint32_t spins[] = {0, 20, 200};
	NrGeometry	geo = th_geometry(1 + (uint32_t) (seed % 3));
	DsHashArg	arg = {.seed = seed, .line_bytes = 64u << th_random(random) % 2};
	uint32_t	quota[CM_GROUPS] = {40, 40, 30, 30};
	Th		   *th;

	quota[CM_COMMIT_ONE] += (uint32_t) (th_random(random) % 100);
	quota[CM_COMMIT_TWO] += (uint32_t) (th_random(random) % 60);
	geo.session_buffer_bytes = th_random(random) % 2 == 0 ? 512 : 1024;
	geo.extents = 200 + (uint32_t) (th_random(random) % 200);
	th = th_new(&geo, 1 + (uint32_t) (seed % 2), spins[th_random(random) % 3]);
	for (uint32_t g = 0; g < CM_GROUPS; g++)
	{
		NrGroupConfig config = toy_config(quota[g], 4096, CM_OPS_BYTES_MAX);

		config.copies = g == CM_COMMIT_TWO || g == CM_MANUAL_TWO ? 2 : 1;
		config.lazy = config.copies == 1;
		config.replicas = g == CM_MANUAL_TWO || (g == CM_COMMIT_TWO && geo.replicas == 3) ? 1 : 0;
		config.shared_max = th_random(random) % 4 > 0 ? quota[g] : 0;	/* with two copies: long values are there once */
		config.log_slots = 2u << th_random(random) % 4;
		config.arg_bytes = sizeof(arg);
		memcpy(config.arg, &arg, sizeof(arg));
		th_create(th, g, &config, &ds_hash_dispatch);
	}
	th_no_timeouts(th);
	return th;
}

/* Every now and then somebody is told to give up. */
static void
cancel_some(CmWorld *w, CmParty *party, uint64_t until_ns, uint64_t *random)
{
	while (th_now_ns() < until_ns && !atomic_load(&w->stop))
	{
		uint32_t	idx = atomic_load(&party[th_random(random) % CM_WRITERS].session_idx);

		th_sleep_us(2000);
		th_cancel(w->th, idx);
		th_sleep_us(100);
		th_uncancel(w->th, idx);
	}
	atomic_store(&w->stop, 1);
}

/* With nobody at work: no promise, no number in flight, and each extent is accounted for. */
static bool
nothing_held(CmWorld *w)
{
	NrEngine   *e = th_engine(w->th, 0);
	uint32_t	used = 0;
	bool		ok = true;

	for (uint32_t g = 0; g < CM_GROUPS; g++)
	{
		struct NrGroup *group = nr_group(e, g);
		NrGroupInfo gi = toy_group_info(e, g);
		uint32_t	open;
		bool		good = gi.promised == 0 && gi.pending == 0 && gi.order_horizon == gi.order_seq + 1;

		for (uint32_t i = 0; i < group->replicas * group->copies; i++)
		{
			NrCopy		copy;

			nr_copy_view(e, g, i / group->copies, i % group->copies, &copy);
			good &= nr_load64_rlx(&group->headroom) == copy.table->free_count &&
				nr_load32_rlx(&group->mapped) == copy.table->mapped_count;
			good &= copy.shared == NULL || (nr_load64_rlx(&group->shared_headroom) == copy.shared->free_count &&
											nr_load32_rlx(&group->shared_mapped) == copy.shared->mapped_count);
		}
		if (!good)
			printf("# group %u: promised %llu, pending %llu, order %llu, horizon %llu, headroom %lld, mapped %u\n", g,
				   (unsigned long long) gi.promised, (unsigned long long) gi.pending, (unsigned long long) gi.order_seq,
				   (unsigned long long) gi.order_horizon, (long long) nr_load64_rlx(&group->headroom), gi.extents_used);
		ok &= good;
		used += nr_load32_rlx(&group->mapped) * group->copies + nr_load32_rlx(&group->shared_mapped) + group->log_extents;
		/* and the one that is open for records, unless all of it was given out */
		open = (uint32_t) nr_load64_rlx(&group->records);
		used += open != 0 && (open & 0xff) < NR_RECORD_CHUNKS;
	}
	if (used + toy_pool_free(e) != w->th->geo.extents)
	{
		printf("# %u extents in use, %u free, of %u\n", used, toy_pool_free(e), w->th->geo.extents);
		ok = false;
	}
	return ok;
}

/* Empty a group by a transaction: it needs no memory but its record's. */
static void
empty(CmParty *p, uint32_t g)
{
	_Alignas(8) char op[sizeof(NrOpHeader)];
	NrPrepared	prepared;
	size_t		bytes = ds_hash_op_truncate(op);
	uint32_t	flags = p->w->group[g].ordered ? NR_PREPARE_ORDERED : 0;
	NrStatus	st = nr_prepare(&p->handle[g], op, bytes, 1, flags, false, &prepared);

	if (st != NR_OK)
		cm_wrong(p->w, &p->w->group[g], 0, "a truncate was refused at the end", st, 0);
	else
		nr_prepared_append(&p->handle[g], &prepared);
}

/* What is left to publish, and then all that must hold of a world at rest. */
static void
at_rest(CmWorld *w, CmParty *party, bool *equal, bool *final, bool *held)
{
	CmParty	   *p = &party[0];

	for (uint32_t g = CM_COMMIT_ONE; g <= CM_COMMIT_TWO; g++)
	{
		*equal &= toy_check(&p->handle[g]);
		*final &= cm_final(w, &w->group[g], &p->handle[g]);
		empty(p, g);
		*equal &= toy_check(&p->handle[g]);
	}
	for (uint32_t g = CM_MANUAL_ONE; g <= CM_MANUAL_TWO; g++)
	{
		CmGroup    *cg = &w->group[g];

		while (cg->plan != 0 && cg->plan_left != 0 && atomic_load(&w->wrong) == 0)
			cm_append_or_publish(p, cg);
		if (cg->plan != 0)
			cm_publish(p, cg, true);
		*equal &= toy_check(&p->handle[g]);
		*final &= cm_final(w, cg, &p->handle[g]);
	}
	for (uint32_t i = 0; i < THREADS; i++)
		cm_leave(&party[i]);
	*held &= nothing_held(w);
}

typedef struct Totals
{
	uint64_t	rounds;
	uint64_t	wrong;
	uint64_t	committed;
	uint64_t	dropped;
	uint64_t	refused;
	uint64_t	overtaken;
	uint64_t	published;
	uint64_t	reads;
	bool		equal;
	bool		final;
	bool		held;
	bool		back;
} Totals;

static void
play(double seconds, uint64_t seed, Totals *t)
{
	static CmWorld w;
	static CmParty party[THREADS];
	pthread_t	thread[THREADS];
	uint64_t	random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;

	cm_init(&w, make(seed, &random), seed);
	for (uint32_t i = 0; i < THREADS; i++)
	{
		memset(&party[i], 0, sizeof(party[i]));
		party[i].w = &w;
		party[i].i = i;
		party[i].random = random + i * 977;
		party[i].blind = i == THREADS - 1;
		cm_come(&party[i]);
	}
	overtake(&w, party, &t->final);
	for (uint32_t i = 0; i < THREADS; i++)
		thread[i] = th_start(i < CM_WRITERS ? write_on : read_on, &party[i]);
	cancel_some(&w, party, th_now_ns() + (uint64_t) (seconds * 1e9), &random);
	for (uint32_t i = 0; i < THREADS; i++)
		th_join(thread[i]);
	at_rest(&w, party, &t->equal, &t->final, &t->held);

	t->rounds++;
	t->wrong += w.wrong;
	t->committed += w.committed;
	t->dropped += w.dropped;
	t->refused += w.refused;
	t->overtaken += w.overtaken;
	t->published += w.published;
	t->reads += w.reads;
	for (uint32_t g = 0; g < CM_GROUPS; g++)
		nr_group_destroy(th_engine(w.th, 0), g, NULL);
	t->back &= toy_pool_free(th_engine(w.th, 0)) == w.th->geo.extents;
	cm_free(&w);
	th_free(w.th);
}

int
main(int argc, char **argv)
{
	double		seconds = argc > 1 ? atof(argv[1]) : 5;
	uint64_t	seed = argc > 2 ? strtoull(argv[2], NULL, 0) : th_now_ns();
	uint64_t	end = th_now_ns() + (uint64_t) (seconds * 1e9);
	Totals		t = {.equal = true,.final = true,.held = true,.back = true};

	printf("# %g seconds, seed %llu\n", seconds, (unsigned long long) seed);
#ifdef NR_TEST_POINTS
	nr_test_point_hook = on_point;
#endif
	do
	{
		th_watchdog(60);
		play(0.4, seed + t.rounds, &t);
	} while (th_now_ns() < end || t.rounds < 6);
	printf("# %llu rounds: %llu committed, %llu overtaken, %llu dropped, %llu refused, %llu published, %llu reads\n",
		   (unsigned long long) t.rounds, (unsigned long long) t.committed, (unsigned long long) t.overtaken,
		   (unsigned long long) t.dropped, (unsigned long long) t.refused, (unsigned long long) t.published,
		   (unsigned long long) t.reads);
	tap_ok(t.wrong == 0, "each read sees whole batches, nothing before its append and all after it");
	tap_ok(t.final, "at the end each key is what was committed last");
	tap_ok(t.equal, "all copies are equal");
	tap_ok(t.held, "nothing is held: no claim, no promise, no order number, no extent");
	tap_ok(t.back, "every extent came back");
	tap_ok(t.committed > 0 && t.overtaken > 0 && t.dropped > 0 && t.published > 0, "all of it took place");
	return tap_done();
}
