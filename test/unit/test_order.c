/*
 * test_order.c
 *		Order numbers and the horizon: below it nothing is in flight, whoever draws,
 *		appends and stops, and when.
 */
#include "engine/order.h"
#include "seats.h"
#include "tap.h"

#define G	0

static Seats b;

static void
open_seats(uint32_t n)
{
	NrGeometry	geo = th_geometry(2);
	NrGroupConfig config = toy_config(4, 4096, 1024);

	geo.sessions = n < 16 ? 16 : n;
	config.lazy = true;
	seats_open(&b, geo, n, &config, &toy_counter_dispatch);
}

static uint64_t
draw(uint32_t i)
{
	return nr_order_draw(&b.s[i], G);
}

static void
done(uint32_t i)
{
	nr_order_done(&b.s[i], G);
}

static uint64_t
horizon(void)
{
	return nr_order_horizon(b.e, G, NR_SESSION_NONE);
}

static void
test_numbers(void)
{
	NrGroupConfig config = toy_config(4, 4096, 1024);

	open_seats(140);
	tap_ok(horizon() == 1, "at first nothing is in flight, and no number below 1 ever was");
	tap_ok(draw(0) == 1 && draw(1) == 2 && draw(139) == 3, "numbers are drawn in order, from 1 on");
	tap_ok(horizon() == 1, "the lowest in flight is the horizon");
	tap_ok(nr_order_horizon(b.e, G, 0) == 2, "but for the caller's own");
	tap_ok(nr_order_oldest(b.e, G) == 0, "whose session is named");
	tap_ok(nr_order_horizon(b.e, G, 5) == 1, "who has none excepts nothing");
	done(1);
	tap_ok(horizon() == 1, "when a higher one is done, it stays");
	done(0);
	tap_ok(horizon() == 3, "when the lowest is done, it moves to the next, in the last word of the bitmap");
	tap_ok(nr_order_oldest(b.e, G) == 139 && toy_group_info(b.e, G).order_oldest == 139, "and its session is named");
	tap_ok(nr_order_horizon(b.e, G, 139) == 4, "which is its own business");
	tap_ok(toy_group_info(b.e, G).order_seq == 3 && toy_group_info(b.e, G).order_horizon == 3, "operators see both");
	tap_ok(draw(0) == 4 && horizon() == 3, "drawn again");
	done(139);
	tap_ok(horizon() == 4 && seats_books(&b).committers == 1, "its bound is a new one");
	done(0);
	done(0);
	tap_ok(horizon() == 5 && seats_books(&b).committers == 0, "all are done; twice is once");
	tap_ok(nr_order_oldest(b.e, G) == NR_SESSION_NONE, "and nobody is named");

	th_create(b.th, 1, &config, &toy_counter_dispatch);
	tap_ok(nr_order_draw(&b.s[0], 1) == 1 && nr_order_horizon(b.e, 1, NR_SESSION_NONE) == 1 && horizon() == 5,
		   "each group counts by itself");
	nr_group_destroy(b.e, 1, NULL);
	th_create(b.th, 1, &config, &toy_counter_dispatch);
	tap_ok(nr_order_horizon(b.e, 1, NR_SESSION_NONE) == 1 && toy_group_info(b.e, 1).order_seq == 0,
		   "a group made anew begins from 1");
	for (uint32_t i = 1; i < 4; i++)
	{
		nr_order_draw(&b.s[i], 1);
		nr_order_done(&b.s[i], 1);
	}
	tap_ok(nr_order_horizon(b.e, 1, NR_SESSION_NONE) == 4, "and has nothing in flight, whatever the old one had");
	nr_group_destroy(b.e, 1, NULL);
	tap_ok(seats_close(&b), "all extents are back");
}

/* ---- who stops between the announcement and the number ---- */

static uint64_t seen_between;
static uint64_t drawn_between;

static void
look_between(const char *point)
{
	if (strcmp(point, "order_announced") != 0)
		return;
	nr_test_point_hook = NULL;
	drawn_between = draw(1);
	done(1);
	seen_between = horizon();
}

static void
test_announced(void)
{
	uint64_t	mine;

	open_seats(2);
	draw(0);
	done(0);
	nr_test_point_hook = look_between;
	mine = draw(0);
	tap_ok(drawn_between == 2 && mine == 3, "somebody else draws between my bound and my number");
	tap_ok(seen_between == 2, "a horizon of that time is not above my bound");
	tap_ok(horizon() == 2, "and mine is in flight still, under its bound");
	done(0);
	tap_ok(horizon() == 4, "until it is done");
	seats_close(&b);
}

/* ---- who draws between the look at the counter and that at the bounds ---- */

static uint32_t done_there;

static void
draw_there(const char *point)
{
	if (strcmp(point, "order_counted") != 0)
		return;
	nr_test_point_hook = NULL;
	drawn_between = draw(1);
	if (done_there)
		done(1);
}

static void
test_counted(void)
{
	open_seats(2);
	for (done_there = 0; done_there < 2; done_there++)
	{
		uint64_t	seen;

		draw(0);
		done(0);
		nr_test_point_hook = draw_there;
		seen = horizon();
		tap_ok(nr_test_point_hook == NULL && seen <= drawn_between,
			   "a number drawn while the horizon is computed is not below it, %s", done_there ? "done or not" : "in flight");
		done(1);
	}
	seats_close(&b);
}

/* ---- any order ---- */

/* Sessions draw, compute a horizon, append and are done, in any order of these steps. */
static void
test_any_order(void)
{
	enum
	{
		SESSIONS = 5, STEPS = 20000
	};
	uint64_t	random = 11;
	uint64_t	number[SESSIONS] = {0};
	uint64_t	above[SESSIONS] = {0};	/* horizon that it will be appended with */
	bool		appended[SESSIONS] = {false};
	uint64_t	highest = 0;	/* of the horizons that have been appended */
	uint64_t	wrong = 0;
	uint64_t	useful = 0;
	uint64_t	batches = 0;

	open_seats(SESSIONS);
	for (int step = 0; step < STEPS; step++)
	{
		uint32_t	i = th_random(&random) % SESSIONS;

		if (number[i] == 0)
			number[i] = draw(i);
		else if (above[i] == 0)
			above[i] = nr_order_horizon(b.e, G, i);
		else if (!appended[i])
		{
			wrong += number[i] < highest;
			highest = above[i] > highest ? above[i] : highest;
			useful += above[i] > number[i];
			batches++;
			appended[i] = true;
		}
		else
		{
			done(i);
			number[i] = above[i] = 0;
			appended[i] = false;
		}
	}
	tap_ok(wrong == 0 && batches > 1000, "no number comes behind a horizon above it");
	tap_ok(useful > batches / 100, "and some need not be remembered at all");
	seats_close(&b);
}

/* ---- at the same time ---- */

#define THREADS	4
#define TIMES	4000

typedef struct Batch
{
	uint64_t	number;
	uint64_t	horizon;
} Batch;

static Batch log_of[THREADS * TIMES];
static _Atomic uint64_t log_tail;

static void *
draw_and_append(void *arg)
{
	uint32_t	i = (uint32_t) (uintptr_t) arg;

	for (int k = 0; k < TIMES; k++)
	{
		Batch		batch = {.number = nr_order_draw(&b.s[i], G)};

		batch.horizon = nr_order_horizon(b.s[i].engine, G, b.s[i].idx);
		log_of[atomic_fetch_add(&log_tail, 1)] = batch;
		nr_order_done(&b.s[i], G);
	}
	return NULL;
}

static void
test_threads(void)
{
	pthread_t	thread[THREADS];
	uint64_t	highest = 0;
	uint64_t	wrong = 0;

	open_seats(THREADS);
	for (uint32_t i = 0; i < THREADS; i++)
		thread[i] = th_start(draw_and_append, (void *) (uintptr_t) i);
	for (uint32_t i = 0; i < THREADS; i++)
		th_join(thread[i]);
	for (uint32_t k = 0; k < THREADS * TIMES; k++)
	{
		wrong += log_of[k].number < highest;
		highest = log_of[k].horizon > highest ? log_of[k].horizon : highest;
	}
	tap_ok(wrong == 0, "four threads: none comes behind a horizon above it");
	tap_ok(horizon() == THREADS * TIMES + 1, "and all are done");
	seats_close(&b);
}

int
main(void)
{
	th_watchdog(60);
	test_numbers();
	test_announced();
	test_counted();
	test_any_order();
	test_threads();
	return tap_done();
}
