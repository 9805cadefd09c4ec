/*
 * stress_update.c
 *		Threads swap, compare and swap, and add on the same few keys; every answer is
 *		checked.
 *
 * Usage: stress_update [seconds [seed [threads]]].  Prints TAP.
 *
 * Rounds, each with an engine of random sizes (1 to 4 replicas of one or two copies, tiny
 * logs, answers that fill a session's buffer or hardly any of it).  Threads change
 * replicas and are cancelled at random.  Afterwards
 *
 *	- the history of four counters must be linearizable;
 *	- the answers about one of them must follow one another without gap or overlap,
 *	  and each must hold the sum of all that was added;
 *	- the values that swaps put into one key must form one chain, from "missing" to the value that
 *	  is there, each of them answered once and with all its bytes;
 *	- a counter that is raised by compare and swap must hold as many as were told that they did,
 *	  and one of them must have found it missing;
 *	- of additions to a short number exactly those that fit must have been taken.
 */
#include <stdlib.h>

#include "history.h"
#include "tap.h"
#include "thread_host.h"
#include "toy_calls.h"
#include "update_calls.h"

#define THREADS_MAX		(LC_THREADS_MAX - 1)	/* the last is the main thread's */
#define CALLS			220		/* of each thread, in a round */
#define SMALL_STEP		1000	/* what is added to the int2 */
#define SMALL_STEPS		(INT16_MAX / SMALL_STEP)

typedef struct Round
{
	Th		   *th;
	UcKeys		keys;
	_Atomic uint32_t go;
	_Atomic uint32_t finished;
} Round;

typedef struct Worker
{
	Round	   *round;
	uint32_t	i;
	uint64_t	random;
	History		history;
	NrSession	session;
	NrHandle	handle;
	UcSwap		swap[CALLS];
	uint32_t	swaps;
	uint32_t	raised;			/* by compare and swap */
	uint32_t	found_missing;	/* of these */
	uint32_t	small_taken;
	uint32_t	small_refused;
	/* of all rounds */
	uint64_t	calls;
	uint64_t	cancelled;
	uint64_t	cas_failed;
	uint64_t	errors;
	uint64_t	torn;
} Worker;

static uint32_t
pick(Worker *w, uint32_t n)
{
	return (uint32_t) (th_random(&w->random) % n);
}

static void
come(Worker *w)
{
	Th		   *th = w->round->th;

	/* an earlier owner's cancel flag may be up: that only means one more cancel */
	th_register(th, pick(w, 64), pick(w, th->geo.replicas), &w->session);
	th_attach(&w->session, 0, &ds_hash_dispatch, &w->handle);
}

static void
leave(Worker *w)
{
	nr_group_detach(&w->handle);
	nr_session_unregister(&w->session);
}

/* ---- calls ---- */

/* What became of a write; false: it was withdrawn. */
static bool
done(Worker *w, NrStatus st)
{
	w->calls++;
	if (st == NR_CANCELLED)
	{
		w->cancelled++;
		th_uncancel(w->round->th, w->session.idx);
	}
	else
		w->errors += st != NR_OK;
	return st == NR_OK;
}

static void
call_add(Worker *w)
{
	NrResult	result = {.status = NR_OK};
	HiCall		call;
	uint32_t	first = 0;
	uint32_t	n = LC_CELLS;

	hi_begin(&call, w->i, 0, pick(w, 3) > 0 ? LC_ADD : LC_ADD_ALL);
	call.op.cell = pick(w, LC_CELLS);
	call.op.arg = 1 + pick(w, 1000);
	if (call.op.kind == LC_ADD)
		first = call.op.cell, n = 1;
	result.last.data = &call.op.out[0];
	result.last.capacity = sizeof(call.op.out[0]);
	if (!done(w, uc_add(&w->handle, &w->round->keys, first, n, DS_HASH_INT8, (int64_t) call.op.arg, pick(w, 2), &result)))
		return;
	w->errors += result.status != NR_OK || result.last.length != 8;
	call.write = true;
	call.seq = result.seq;
	hi_end(&w->history, &call);
}

static void
call_read(Worker *w)
{
	HiCall		call;

	hi_begin(&call, w->i, 0, LC_READ);
	w->errors += uc_read(&w->handle, &w->round->keys, call.op.out) != NR_OK;
	hi_end(&w->history, &call);
}

static void
call_swap(Worker *w)
{
	UcSwap	   *s = &w->swap[w->swaps];
	NrResult	result = {.status = NR_OK};

	s->given = (uint64_t) (w->i + 1) << 32 | (w->swaps * 8 + pick(w, 8));
	if (!done(w, uc_swap(&w->handle, &w->round->keys, pick(w, 2), s, &result)))
		return;
	w->swaps++;
	w->errors += result.status != NR_OK || result.last.flag != (result.last.length > 0);
	w->torn += s->got == UC_TORN;
}

static void
call_cas(Worker *w)
{
	int64_t		before;
	NrResult	result = {.status = NR_OK};

	w->errors += uc_number(&w->handle, &w->round->keys, UC_CAS, 8, &before) != NR_OK;
	if (!done(w, uc_cas(&w->handle, &w->round->keys, before, before == UC_MISSING ? 1 : before + 1, pick(w, 2), &result)))
		return;
	w->errors += result.status != NR_OK || result.last.length != 0;
	w->raised += result.last.flag;
	w->found_missing += result.last.flag && before == UC_MISSING;
	w->cas_failed += !result.last.flag;
}

static void
call_small(Worker *w)
{
	int16_t		answer = 0;
	NrResult	result = {.last = {.data = &answer,.capacity = sizeof(answer)}};

	if (!done(w, uc_add(&w->handle, &w->round->keys, UC_SMALL, 1, DS_HASH_INT2, SMALL_STEP, pick(w, 2), &result)))
		return;
	w->small_taken += result.status == NR_OK;
	w->small_refused += result.status == NR_OUT_OF_RANGE;
	w->errors += result.status == NR_OK ? answer <= 0 || answer % SMALL_STEP != 0 || result.last.length != 2 :
		result.status != NR_OUT_OF_RANGE || result.last.length != 0;
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
		switch (pick(w, 8))
		{
			case 0:
				call_read(w);
				break;
			case 1:
				call_small(w);
				break;
			case 2:
			case 3:
				call_swap(w);
				break;
			case 4:
			case 5:
				call_cas(w);
				break;
			default:
				call_add(w);
		}
		if (pick(w, 30) == 0)
		{
			leave(w);
			come(w);
		}
	}
	leave(w);
	atomic_fetch_add(&w->round->finished, 1);
	return NULL;
}

/* ---- what must be true in the end ---- */

typedef struct Totals
{
	uint64_t	rounds;
	uint64_t	two_copies;		/* of these */
	uint64_t	full_answers;	/* of these: an answer may fill the session's buffer */
	uint64_t	small_full;		/* of these: the short number was filled up */
	uint64_t	swaps;
	uint64_t	raised;
	uint64_t	errors;
	uint64_t	not_linearizable;
	uint64_t	too_long;
	uint64_t	bad_seqs;
	uint64_t	bad_sums;
	uint64_t	bad_chains;
	uint64_t	bad_cas;
	uint64_t	bad_small;
	uint64_t	different;
	uint64_t	leaked;
} Totals;

static int
by_first(const void *a, const void *b)
{
	const uint64_t *x = a,
			   *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Do the answers about the last counter follow one another, and does each counter hold the sum? */
static bool
sums_hold(Worker *workers, uint32_t n)
{
	uint64_t	sum[LC_CELLS] = {0};
	uint64_t (*step)[2] = malloc(n * CALLS * sizeof(*step) + 1);
	size_t		steps = 0;
	uint64_t	upto = 0;
	bool		good = true;

	for (uint32_t t = 0; t < n; t++)
		for (size_t i = 0; i < workers[t].history.n; i++)
		{
			const LcOp *op = &workers[t].history.call[i].op;

			if (op->kind == LC_READ)
				continue;
			for (uint32_t c = 0; c < LC_CELLS; c++)
				sum[c] += op->kind == LC_ADD_ALL || c == op->cell ? op->arg : 0;
			if (op->kind != LC_ADD_ALL && op->cell != LC_CELLS - 1)
				continue;
			step[steps][0] = op->out[0];
			step[steps++][1] = op->arg;
		}
	qsort(step, steps, sizeof(*step), by_first);
	for (size_t i = 0; i < steps; i++)
	{
		good &= step[i][0] - step[i][1] == upto;
		upto = step[i][0];
	}
	for (uint32_t c = 0; c < LC_CELLS; c++)
	{
		int64_t		value;

		good &= uc_number(&workers[n - 1].handle, &workers[0].round->keys, c, 8, &value) == NR_OK &&
			(value == UC_MISSING ? 0 : (uint64_t) value) == sum[c];
	}
	free(step);
	return good;
}

/* From "missing" by way of all values to the one that is there? */
static bool
chain_holds(Worker *workers, uint32_t n, Totals *totals)
{
	UcSwap	   *swap = malloc(n * CALLS * sizeof(UcSwap) + 1);
	size_t		swaps = 0;
	uint64_t	last;
	bool		good;

	for (uint32_t t = 0; t < n; t++)
	{
		memcpy(swap + swaps, workers[t].swap, workers[t].swaps * sizeof(UcSwap));
		swaps += workers[t].swaps;
	}
	totals->swaps += swaps;
	good = uc_swapped(&workers[n - 1].handle, &workers[0].round->keys, &last) == NR_OK &&
		uc_is_chain(swap, swaps, last);
	free(swap);
	return good;
}

static void
check_round(Worker *workers, uint32_t n, Totals *totals)
{
	History    *h[THREADS_MAX + 1];
	const UcKeys *keys = &workers[0].round->keys;
	LcVerdict	verdict;
	uint32_t	raised = 0,
				missing = 0,
				taken = 0,
				tried = 0;
	int64_t		value;

	come(&workers[n - 1]);
	for (uint32_t t = 0; t < n; t++)
	{
		h[t] = &workers[t].history;
		raised += workers[t].raised;
		missing += workers[t].found_missing;
		taken += workers[t].small_taken;
		tried += workers[t].small_taken + workers[t].small_refused;
	}
	verdict = hi_check(h, n, &lc_counters, 0);
	totals->not_linearizable += verdict == LC_VIOLATION;
	totals->too_long += verdict == LC_TOO_LONG;
	totals->bad_seqs += hi_check_seqs(h, n, 0);
	totals->bad_sums += !sums_hold(workers, n);
	totals->bad_chains += !chain_holds(workers, n, totals);
	totals->errors += uc_number(&workers[n - 1].handle, keys, UC_CAS, 8, &value) != NR_OK;
	totals->raised += raised;
	totals->bad_cas += value != (raised > 0 ? (int64_t) raised : UC_MISSING) || missing != (raised > 0);
	totals->errors += uc_number(&workers[n - 1].handle, keys, UC_SMALL, 2, &value) != NR_OK;
	totals->small_full += tried > SMALL_STEPS;
	totals->bad_small += taken != (tried < SMALL_STEPS ? tried : SMALL_STEPS) ||
		value != (taken > 0 ? (int64_t) taken * SMALL_STEP : UC_MISSING);
	totals->different += !toy_check(&workers[n - 1].handle);
	leave(&workers[n - 1]);
}

/* ---- a round ---- */

static void
make_engine(Round *round, uint64_t *random, uint32_t threads, Totals *totals)
{
	static const uint32_t spins[] = {0, 30, 1000};
	NrGeometry	geo = th_geometry(1 + (uint32_t) (th_random(random) % 4));
	uint64_t	seed = th_random(random);
	NrGroupConfig config = uc_config(seed, 64u << (th_random(random) % 3), 60, 1u << (th_random(random) % 3 * 7));
	bool		full = th_random(random) % 3 == 0;

	config.copies = 1 + (uint32_t) (th_random(random) >> 40) % 2;
	config.shared_max = th_random(random) % 4 > 0 ? 60 : 0;	/* with two copies: long values are there once */
	config.log_slots = 2u << (th_random(random) % 5);	/* 2 to 32 */
	geo.sessions = threads + 1;
	geo.extent_shift = full ? 14 : 12;
	geo.session_buffer_bytes = full ? DS_HASH_RESPONSE_MAX : th_random(random) % 2 ? 256 : 2048;
	round->th = th_new(&geo, th_random(random) % 2 ? 1 : 3, spins[th_random(random) % 3]);
	if (th_random(random) % 2)
		th_no_timeouts(round->th);
	uc_keys(&round->keys, seed, geo.session_buffer_bytes);
	th_create(round->th, 0, &config, &ds_hash_dispatch);
	totals->two_copies += config.copies == 2;
	totals->full_answers += full;
}

static void
play_round(Worker *workers, uint32_t threads, uint64_t seed, Totals *totals)
{
	Round		round = {.go = 0};
	uint64_t	random = seed | 1;
	pthread_t	thread[THREADS_MAX];
	uint64_t	bad = totals->not_linearizable + totals->bad_seqs + totals->bad_sums + totals->bad_chains +
		totals->bad_cas + totals->bad_small + totals->different + totals->leaked;

	make_engine(&round, &random, threads, totals);
	for (uint32_t t = 0; t <= threads; t++)
	{
		Worker	   *w = &workers[t];

		w->round = &round;
		w->i = t;
		w->random = th_random(&random) | 1;
		w->swaps = w->raised = w->found_missing = w->small_taken = w->small_refused = 0;
		hi_clear(&w->history);
		if (t < threads)
			thread[t] = th_start(work, w);
	}
	atomic_store(&round.go, 1);
	while (atomic_load(&round.finished) < threads)
	{
		th_cancel(round.th, (uint32_t) (th_random(&random) % (threads + 1)));
		th_sleep_us((long) (th_random(&random) % 300));
	}
	for (uint32_t t = 0; t < threads; t++)
		th_join(thread[t]);
	check_round(workers, threads + 1, totals);
	nr_group_destroy(th_engine(round.th, 0), 0, NULL);
	totals->leaked += toy_pool_free(th_engine(round.th, 0)) != round.th->geo.extents;
	if (totals->not_linearizable + totals->bad_seqs + totals->bad_sums + totals->bad_chains + totals->bad_cas +
		totals->bad_small + totals->different + totals->leaked > bad)
		printf("# round with seed %llu: replicas %u, extents of 2^%u, views %u, spins %u\n", (unsigned long long) seed,
			   round.th->geo.replicas, round.th->geo.extent_shift, round.th->views, round.th->host.spins);
	th_free(round.th);
	totals->rounds++;
}

int
main(int argc, char **argv)
{
	double		seconds = argc > 1 ? atof(argv[1]) : 10;
	uint64_t	seed = argc > 2 ? strtoull(argv[2], NULL, 0) : th_now_ns();
	uint32_t	threads = argc > 3 ? (uint32_t) atoi(argv[3]) : 8;
	uint64_t	end = th_now_ns() + (uint64_t) (seconds * 1e9);
	Worker		sum = {0};
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
		sum.calls += workers[t].calls;
		sum.cancelled += workers[t].cancelled;
		sum.cas_failed += workers[t].cas_failed;
		sum.errors += workers[t].errors;
		sum.torn += workers[t].torn;
		free(workers[t].history.call);
	}
	free(workers);
	printf("# %llu rounds (%llu with two copies, %llu with answers as long as may be, %llu filled the short number), "
		   "%llu calls, %llu withdrawn, %llu swaps\n", (unsigned long long) totals.rounds,
		   (unsigned long long) totals.two_copies, (unsigned long long) totals.full_answers,
		   (unsigned long long) totals.small_full, (unsigned long long) sum.calls,
		   (unsigned long long) sum.cancelled, (unsigned long long) totals.swaps);
	tap_ok(sum.errors + totals.errors == 0, "no call failed (%llu did)",
		   (unsigned long long) (sum.errors + totals.errors));
	tap_ok(totals.not_linearizable == 0, "every history of the counters is linearizable");
	tap_ok(totals.too_long * 20 <= totals.rounds, "hardly any was too long to be decided (%llu)",
		   (unsigned long long) totals.too_long);
	tap_ok(totals.bad_seqs == 0, "log positions agree with real time");
	tap_ok(totals.bad_sums == 0, "sums are exact, and no two additions answered alike");
	tap_ok(totals.bad_chains == 0 && sum.torn == 0, "swaps form one chain of whole values");
	tap_ok(totals.bad_cas == 0, "compare and swap raised a counter as often as it said");
	tap_ok(totals.bad_small == 0, "no addition beyond the range, and none missing");
	tap_ok(totals.different == 0, "copies were always equal");
	tap_ok(totals.leaked == 0, "every extent came back");
	tap_ok(sum.cancelled > 0 && sum.cas_failed > 0 && totals.raised > 0,
		   "there were cancels, and compares that failed (%llu)",
		   (unsigned long long) sum.cas_failed);
	return tap_done();
}
