/*
 * stress_engine.c
 *		Threads do everything at once; every answer is checked.
 *
 * Usage: stress_engine [seconds [seed [threads]]].  Prints TAP.
 *
 * Rounds.  In each, an engine with random sizes (1 to 4 replicas of one or two
 * copies, tiny logs, one or several views of its memory) carries three groups: ds_hash, counters,
 * a stack.  Threads read and write all three, come and go as sessions on
 * changing replicas, and are cancelled at random.  Everything is recorded; then
 * the histories must be linearizable, log positions must agree with real time,
 * the copies must be equal, and every extent must be back.  All the time another
 * group is made, used and destroyed beside them.
 */
#include <stdlib.h>

#include "hash_calls.h"
#include "history.h"
#include "tap.h"
#include "thread_host.h"
#include "toy_calls.h"

#define THREADS_MAX		(LC_THREADS_MAX - 1)	/* the last is the main thread's */
#define CALLS			220		/* of each thread, in a round */

enum
{
	G_HASH,
	G_COUNTERS,
	G_STACK,
	G_COUNT,
	G_CHURN = G_COUNT			/* comes and goes */
};

/* objects: families of keys are 0 .. HC_FAMILIES-1 */
#define O_COUNTERS		HC_FAMILIES
#define O_STACK			(HC_FAMILIES + 1)

static const NrDispatch *const dispatch[G_COUNT] = {
	&ds_hash_dispatch, &toy_counter_dispatch, &toy_stack_dispatch
};

typedef struct Round
{
	Th		   *th;
	uint32_t	copies;
	HcKeys		keys;
	_Atomic uint32_t go;
	_Atomic uint32_t finished;
	_Atomic uint32_t stack_depth;	/* about: keeps the stack within the model's limit */
} Round;

typedef struct Worker
{
	Round	   *round;
	uint32_t	i;
	uint64_t	random;
	uint64_t	value;			/* last value made; unique */
	History		history;
	NrSession	session;
	NrHandle	handle[G_COUNT];
	uint64_t	calls;
	uint64_t	cancelled;
	uint64_t	moves;
	uint64_t	errors;
} Worker;

static uint32_t
pick(Worker *w, uint32_t n)
{
	return (uint32_t) (th_random(&w->random) % n);
}

/* ---- sessions ---- */

static void
come(Worker *w)
{
	Th		   *th = w->round->th;

	/* an earlier owner's cancel flag may be up: that only means one more cancel */
	th_register(th, pick(w, 64), pick(w, th->geo.replicas), &w->session);
	for (uint32_t g = 0; g < G_COUNT; g++)
		th_attach(&w->session, g, dispatch[g], &w->handle[g]);
}

static void
leave(Worker *w)
{
	for (uint32_t g = 0; g < G_COUNT; g++)
		nr_group_detach(&w->handle[g]);
	nr_session_unregister(&w->session);
}

/* ---- calls ---- */

/* What became of a call: recorded, forgotten because it was withdrawn, or an error. */
static void
conclude(Worker *w, HiCall *call, NrStatus st, const NrResult *result)
{
	w->calls++;
	if (st == NR_CANCELLED)
	{
		w->cancelled++;
		th_uncancel(w->round->th, w->session.idx);
		return;
	}
	if (result != NULL && st == NR_OK)
	{
		st = result->status;
		call->write = true;
		call->seq = result->seq;
	}
	if (st != NR_OK)
	{
		w->errors++;
		printf("# group %u: call %u failed with %d\n", call->group, call->op.kind, (int) st);
		return;
	}
	hi_end(&w->history, call);
}

/* Calls on all families: recorded for each. */
static void
call_all_families(Worker *w, bool scan, bool cancellable)
{
	NrHandle   *h = &w->handle[G_HASH];
	uint64_t	values[HC_FAMILIES][LC_CELLS];
	NrResult	result = {.status = NR_OK};
	HiCall		call;
	size_t		before = w->history.n;
	NrStatus	st;

	hi_begin(&call, w->i, 0, scan ? LC_GET_ALL : LC_TRUNCATE);
	if (scan)
	{
		st = hc_scan(h, &w->round->keys, cancellable, values);
		memcpy(call.op.out, values[0], sizeof(call.op.out));
		conclude(w, &call, st, NULL);
	}
	else
	{
		st = hc_truncate(h, cancellable, &result);
		conclude(w, &call, st, &result);
	}
	if (w->history.n == before)
		return;
	for (uint32_t f = 1; f < HC_FAMILIES; f++)
	{
		if (scan)
			memcpy(call.op.out, values[f], sizeof(call.op.out));
		hi_also(&w->history, &call, f);
	}
}

static void
call_hash(Worker *w, bool cancellable)
{
	NrHandle   *h = &w->handle[G_HASH];
	const HcKeys *keys = &w->round->keys;
	uint32_t	f = pick(w, HC_FAMILIES);
	uint32_t	c = pick(w, LC_CELLS);
	uint32_t	what = pick(w, 100);
	bool		all;
	NrResult	result = {.status = NR_OK};
	HiCall		call;
	NrStatus	st;

	if (what < 3)
	{
		call_all_families(w, what > 0, cancellable);
		return;
	}
	hi_begin(&call, w->i, f, what < 35 ? LC_GET : what < 50 ? LC_GET_ALL : what < 63 ? LC_PUT : what < 70 ? LC_SWAP :
			 what < 77 ? LC_CAS : what < 86 ? LC_PUT_ALL : what < 95 ? LC_DELETE : LC_DELETE_ALL);
	call.group = G_HASH;
	call.op.cell = c;
	if (call.op.kind != LC_DELETE && call.op.kind != LC_DELETE_ALL)
		call.op.arg = ++w->value;
	if (call.op.kind == LC_GET || call.op.kind == LC_GET_ALL)
	{
		st = call.op.kind == LC_GET ? hc_get(h, keys, f, c, cancellable, &call.op.out[0]) :
			hc_get_all(h, keys, f, cancellable, call.op.out);
		conclude(w, &call, st, NULL);
		return;
	}
	switch (call.op.kind)
	{
		case LC_SWAP:
			st = hc_swap(h, keys, f, c, call.op.arg, cancellable, &call.op.out[1], &result);
			break;
		case LC_CAS:
			st = hc_get(h, keys, f, c, cancellable, &call.op.out[1]);
			if (st == NR_OK)
				st = hc_cas(h, keys, f, c, call.op.out[1], call.op.arg, cancellable, &result);
			break;
		default:
			all = call.op.kind != LC_PUT && call.op.kind != LC_DELETE;
			st = hc_put(h, keys, f, all ? 0 : c, all ? LC_CELLS : 1, call.op.arg, cancellable, &result);
	}
	call.op.out[0] = result.flagged;
	conclude(w, &call, st, &result);
}

static void
call_counters(Worker *w, bool cancellable)
{
	NrHandle   *h = &w->handle[G_COUNTERS];
	_Alignas(8) char ops[LC_CELLS * TOY_ADD_BYTES];
	uint32_t	what = pick(w, 3);
	NrResult	result = {.status = NR_OK};
	ToyRead		read = {.first = 0, .n = LC_CELLS};
	HiCall		call;
	NrStatus	st;
	size_t		bytes = 0;

	hi_begin(&call, w->i, O_COUNTERS, what == 0 ? LC_ADD : what == 1 ? LC_ADD_ALL : LC_READ);
	call.group = G_COUNTERS;
	if (call.op.kind == LC_READ)
	{
		st = nr_execute(h, &read, &read, cancellable);
		memcpy(call.op.out, read.value, sizeof(call.op.out));
		conclude(w, &call, st, NULL);
		return;
	}
	call.op.arg = 1 + pick(w, 1000);
	call.op.cell = pick(w, LC_CELLS);
	result.last.data = &call.op.out[0];
	result.last.capacity = sizeof(uint64_t);
	if (call.op.kind == LC_ADD)
		bytes = toy_add(ops, call.op.cell, (int64_t) call.op.arg);
	else
		for (uint32_t c = 0; c < LC_CELLS; c++)
			bytes += toy_add(ops + bytes, c, (int64_t) call.op.arg);
	st = nr_execute_mut(h, ops, bytes, (uint32_t) (bytes / TOY_ADD_BYTES), cancellable, &result);
	conclude(w, &call, st, &result);
}

static void
call_stack(Worker *w, bool cancellable)
{
	NrHandle   *h = &w->handle[G_STACK];
	_Atomic uint32_t *depth = &w->round->stack_depth;
	_Alignas(8) char op[TOY_PUSH_BYTES];
	uint32_t	what = pick(w, 3);
	uint64_t	answer = 0;
	NrResult	result = {.last = {.data = &answer, .capacity = sizeof(answer)}};
	ToyTop		top = {0, 0};
	HiCall		call;
	NrStatus	st;
	size_t		bytes;

	if (what == 0 && atomic_load_explicit(depth, memory_order_relaxed) > LC_STACK_MAX / 4)
		what = 1;
	hi_begin(&call, w->i, O_STACK, what == 0 ? LC_PUSH : what == 1 ? LC_POP : LC_TOP);
	call.group = G_STACK;
	if (call.op.kind == LC_TOP)
	{
		st = nr_execute(h, NULL, &top, cancellable);
		call.op.out[0] = top.depth;
		call.op.out[1] = top.top;
		atomic_store_explicit(depth, (uint32_t) top.depth, memory_order_relaxed);
		conclude(w, &call, st, NULL);
		return;
	}
	call.op.arg = ++w->value;
	bytes = what == 0 ? toy_push(op, call.op.arg) : toy_pop(op);
	st = nr_execute_mut(h, op, bytes, 1, cancellable, &result);
	call.op.out[0] = what == 0 ? answer : result.last.flag;
	call.op.out[1] = what == 0 ? 0 : answer;
	if (st == NR_OK && what == 0)
		atomic_store_explicit(depth, (uint32_t) answer, memory_order_relaxed);
	conclude(w, &call, st, &result);
}

static void *
work(void *arg)
{
	Worker	   *w = arg;

	come(w);
	while (atomic_load_explicit(&w->round->go, memory_order_relaxed) == 0)
		th_sleep_us(50);
	for (uint32_t i = 0; i < CALLS; i++)
	{
		bool		cancellable = pick(w, 2) == 0;

		switch (pick(w, 6))
		{
			case 0:
				call_counters(w, cancellable);
				break;
			case 1:
				call_stack(w, cancellable);
				break;
			default:
				call_hash(w, cancellable);
		}
		if (pick(w, 30) == 0)
		{
			leave(w);
			come(w);
			w->moves++;
		}
	}
	leave(w);
	atomic_fetch_add(&w->round->finished, 1);
	return NULL;
}

/* ---- a round ---- */

typedef struct Totals
{
	uint64_t	rounds;
	uint64_t	two_copies;		/* of these */
	uint64_t	calls;
	uint64_t	cancelled;
	uint64_t	moves;
	uint64_t	errors;
	uint64_t	not_linearizable;
	uint64_t	too_long;
	uint64_t	bad_seqs;
	uint64_t	different;
	uint64_t	leaked;
} Totals;

static Th *
make_engine(uint64_t *random, uint32_t threads, uint32_t copies, HcKeys *keys)
{
	static const uint32_t spins[] = {0, 30, 1000};
	NrGeometry	geo = th_geometry(1 + (uint32_t) (th_random(random) % 4));
	uint64_t	seed = th_random(random);
	uint32_t	log_bytes = 1u << (th_random(random) % 3 * 7);	/* to 16 kB; rounded up to an extent */
	NrGroupConfig hash = hc_config(seed, 64u << (th_random(random) % 3), 200, log_bytes);
	NrGroupConfig toy = toy_config(32, log_bytes, 1024);
	Th		   *th;

	hash.copies = toy.copies = copies;
	hash.log_slots = toy.log_slots = 2u << (th_random(random) % 5);	/* 2 to 32 */
	if (copies == 2 && th_random(random) % 4 > 0)
		hash.shared_max = 200;	/* long values are there once for both */

	geo.sessions = threads + 1;
	geo.extents = 512;
	geo.session_buffer_bytes = th_random(random) % 2 ? 256 : 2048;
	th = th_new(&geo, th_random(random) % 2 ? 1 : 3, spins[th_random(random) % 3]);
	if (th_random(random) % 2)
		th_no_timeouts(th);
	hc_keys(keys, seed);
	th_create(th, G_HASH, &hash, dispatch[G_HASH]);
	th_create(th, G_COUNTERS, &toy, dispatch[G_COUNTERS]);
	th_create(th, G_STACK, &toy, dispatch[G_STACK]);
	return th;
}

/* The last reads, after all threads are done, and the copies compared. */
static void
final_reads(Worker *w, Totals *totals)
{
	come(w);
	call_all_families(w, true, false);
	for (uint32_t f = 0; f < HC_FAMILIES; f++)
	{
		HiCall		call;

		hi_begin(&call, w->i, f, LC_GET_ALL);
		conclude(w, &call, hc_get_all(&w->handle[G_HASH], &w->round->keys, f, false, call.op.out), NULL);
	}
	for (uint32_t g = 0; g < G_COUNT; g++)
		totals->different += !toy_check(&w->handle[g]);
	leave(w);
}

static void
check_histories(Worker *workers, uint32_t n, Totals *totals)
{
	History    *h[THREADS_MAX + 1];

	for (uint32_t t = 0; t < n; t++)
		h[t] = &workers[t].history;
	for (uint32_t o = 0; o <= O_STACK; o++)
	{
		const LcModel *m = o == O_COUNTERS ? &lc_counters : o == O_STACK ? &lc_stack : &lc_family;
		LcVerdict	verdict = hi_check(h, n, m, o);

		if (verdict == LC_VIOLATION)
			printf("# in the history of object %u\n", o);
		totals->not_linearizable += verdict == LC_VIOLATION;
		totals->too_long += verdict == LC_TOO_LONG;
	}
	for (uint32_t g = 0; g < G_COUNT; g++)
		totals->bad_seqs += hi_check_seqs(h, n, g);
}

/* Make a group, use it, destroy it. */
static void
churn(Worker *w, uint64_t *random)
{
	Th		   *th = w->round->th;
	NrGroupConfig config = toy_config(8, 1, 1024);
	NrHandle	h;
	NrResult	result = {.status = NR_OK};

	config.copies = 1 + (uint32_t) (th_random(random) % 2);
	th_create(th, G_CHURN, &config, &toy_stack_dispatch);
	th_attach(&w->session, G_CHURN, &toy_stack_dispatch, &h);
	for (uint64_t i = th_random(random) % 100; i > 0; i--)
	{
		NrStatus	status = toy_call_push(&h, i, 5, &result);

		if (status != NR_OK)
			printf("# the group that comes and goes: a push failed with %d\n", (int) status);
		w->errors += status != NR_OK;
	}
	nr_group_detach(&h);
	nr_group_destroy(th_engine(th, 1), G_CHURN, NULL);
}

static void
play_round(Worker *workers, uint32_t threads, uint64_t seed, Totals *totals)
{
	Round		round = {.go = 0};
	uint64_t	random = seed | 1;
	pthread_t	thread[THREADS_MAX];
	Totals		before = *totals;

	round.copies = 1 + (uint32_t) (th_random(&random) >> 40) % 2;
	round.th = make_engine(&random, threads, round.copies, &round.keys);
	for (uint32_t t = 0; t <= threads; t++)
	{
		workers[t].round = &round;
		workers[t].i = t;
		workers[t].random = th_random(&random) | 1;
		workers[t].value = (uint64_t) (t + 1) << 32;
		hi_clear(&workers[t].history);
		if (t < threads)
			thread[t] = th_start(work, &workers[t]);
	}
	come(&workers[threads]);
	atomic_store(&round.go, 1);
	while (atomic_load(&round.finished) < threads)
	{
		uint32_t	victim = (uint32_t) (th_random(&random) % (threads + 1));

		if (victim != workers[threads].session.idx)
			th_cancel(round.th, victim);
		churn(&workers[threads], &random);
		th_sleep_us((long) (th_random(&random) % 300));
	}
	for (uint32_t t = 0; t < threads; t++)
		th_join(thread[t]);
	leave(&workers[threads]);
	final_reads(&workers[threads], totals);
	check_histories(workers, threads + 1, totals);
	for (uint32_t g = 0; g < G_COUNT; g++)
		nr_group_destroy(th_engine(round.th, g), g, NULL);
	totals->leaked += toy_pool_free(th_engine(round.th, 0)) != round.th->geo.extents;
	if (totals->not_linearizable + totals->bad_seqs + totals->different + totals->leaked >
		before.not_linearizable + before.bad_seqs + before.different + before.leaked)
		printf("# round with seed %llu: replicas %u, copies %u, views %u, spins %u\n",
			   (unsigned long long) seed, round.th->geo.replicas, round.copies, round.th->views, round.th->host.spins);
	th_free(round.th);
	totals->rounds++;
	totals->two_copies += round.copies == 2;
}

int
main(int argc, char **argv)
{
	double		seconds = argc > 1 ? atof(argv[1]) : 10;
	uint64_t	seed = argc > 2 ? strtoull(argv[2], NULL, 0) : th_now_ns();
	uint32_t	threads = argc > 3 ? (uint32_t) atoi(argv[3]) : 8;
	uint64_t	end = th_now_ns() + (uint64_t) (seconds * 1e9);
	Worker	   *workers;
	Totals		totals = {0};

	if (threads < 1 || threads > THREADS_MAX)
		threads = 8;
	workers = calloc(threads + 1, sizeof(Worker));
	printf("# %g seconds, seed %llu, %u threads\n", seconds, (unsigned long long) seed, threads);
	do
	{
		th_watchdog(60);
		play_round(workers, threads, seed + totals.rounds, &totals);
	} while (th_now_ns() < end);

	for (uint32_t t = 0; t <= threads; t++)
	{
		totals.calls += workers[t].calls;
		totals.cancelled += workers[t].cancelled;
		totals.moves += workers[t].moves;
		totals.errors += workers[t].errors;
		free(workers[t].history.call);
	}
	free(workers);
	printf("# %llu rounds (%llu with two copies), %llu calls, %llu withdrawn, %llu changes of session\n",
		   (unsigned long long) totals.rounds, (unsigned long long) totals.two_copies, (unsigned long long) totals.calls,
		   (unsigned long long) totals.cancelled, (unsigned long long) totals.moves);
	tap_ok(totals.errors == 0, "no call failed (%llu did)", (unsigned long long) totals.errors);
	tap_ok(totals.not_linearizable == 0, "every history is linearizable");
	tap_ok(totals.too_long * 20 <= totals.rounds, "hardly any was too long to be decided (%llu)",
		   (unsigned long long) totals.too_long);
	tap_ok(totals.bad_seqs == 0, "log positions agree with real time");
	tap_ok(totals.different == 0, "copies were always equal");
	tap_ok(totals.leaked == 0, "every extent came back");
	tap_ok(totals.cancelled > 0 && totals.moves > 0, "there were cancels and changes of session");
	return tap_done();
}
