/*
 * bench_time.h
 *		What the engine's benches share in measuring: processors, clocks, percentiles, and where results go.
 */
#ifndef BENCH_TIME_H
#define BENCH_TIME_H

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#include "bench_map.h"

#define NEAR_NS		150			/* a line's round trip: below, processors are near each other */

/* ---- processors ---- */

/* This thread onto the i-th of the processors that we may use. */
static inline void
pin(uint32_t i)
{
	cpu_set_t	all,
				one;
	int			left;

	if (sched_getaffinity(getpid(), sizeof(all), &all) != 0 || CPU_COUNT(&all) == 0)
		return;
	left = (int) i % CPU_COUNT(&all);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &all) && left-- == 0)
		{
			CPU_ZERO(&one);
			CPU_SET(cpu, &one);
			(void) pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
			return;
		}
}

typedef struct PingPong
{
	_Alignas(128) _Atomic uint32_t ball;
	_Alignas(128) _Atomic uint32_t stop;
} PingPong;

static void *
pong(void *arg)
{
	PingPong   *p = arg;

	pin(1);
	while (!atomic_load_explicit(&p->stop, memory_order_relaxed))
		if (atomic_load_explicit(&p->ball, memory_order_acquire) & 1)
			atomic_fetch_add_explicit(&p->ball, 1, memory_order_acq_rel);
	return NULL;
}

static void *
ping(void *arg)
{
	enum
	{
		TRIPS = 2000
	};
	PingPong	p = {0};
	pthread_t	thread = th_start(pong, &p);
	double	   *best = arg;

	pin(0);
	*best = 1e9;
	for (int attempt = 0; attempt < 5; attempt++)
	{
		uint64_t	from = th_now_ns();
		double		ns;

		for (int i = 0; i < TRIPS; i++)
		{
			atomic_fetch_add_explicit(&p.ball, 1, memory_order_acq_rel);
			while (atomic_load_explicit(&p.ball, memory_order_acquire) & 1)
				nr_pause();
		}
		ns = (double) (th_now_ns() - from) / TRIPS;
		if (ns < *best)
			*best = ns;
	}
	atomic_store(&p.stop, 1);
	th_join(thread);
	return NULL;
}

/* Nanoseconds from sending a line to having it back; the best of several tries. */
static inline double
round_trip_ns(void)
{
	double		ns;

	th_join(th_start(ping, &ns));
	return ns;
}

/* ---- clocks ---- */

static inline uint64_t
thread_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t) t.tv_sec * 1000000000u + (uint64_t) t.tv_nsec;
}

/*
 * A thread's time off its processor that it has not asked for.  The kernel gave the processor to another one:
 * then the thread was ready to run, and the kernel tells for how long, also at the end of a sleep.  Or
 * who runs this machine took it away: the kernel leaves that out of the thread's processor time.
 */
typedef struct Watch
{
	int			file;
	uint64_t	wall_ns;
	uint64_t	thread_ns;
	uint64_t	ready_ns;
	long		slept;
} Watch;

static inline void
watch_mark(Watch *w)
{
	struct rusage usage;
	char		line[128] = "";
	unsigned long long ran,
				ready = 0;

	if (pread(w->file, line, sizeof(line) - 1, 0) > 0 && sscanf(line, "%llu %llu", &ran, &ready) == 2)
		w->ready_ns = ready;
	getrusage(RUSAGE_THREAD, &usage);
	w->slept = usage.ru_nvcsw;
	w->thread_ns = thread_ns();
	w->wall_ns = th_now_ns();
}

/* Of the thread that calls it; for its lifetime. */
static inline Watch
watch_begin(void)
{
	Watch		w = {.file = open("/proc/thread-self/schedstat", O_RDONLY)};

	if (w.file < 0)
		th_die("no /proc/thread-self/schedstat");
	watch_mark(&w);
	return w;
}

/* Since the last mark; marks. */
static inline uint64_t
watch_off_ns(Watch *w)
{
	Watch		before = *w;
	int64_t		off;

	watch_mark(w);
	off = (int64_t) (w->wall_ns - before.wall_ns) - (int64_t) (w->thread_ns - before.thread_ns);
	if (w->slept != before.slept)
		off = (int64_t) (w->ready_ns - before.ready_ns);
	return off > 0 ? (uint64_t) off : 0;
}

/* ---- percentiles ---- */

#define BUCKETS			(64 * 16)	/* 16 for each power of two of ns */

typedef struct Histogram
{
	uint64_t	n[BUCKETS];
} Histogram;

static inline void
histogram_add(Histogram *h, uint64_t ns)
{
	uint32_t	log = ns < 16 ? 0 : 63 - (uint32_t) __builtin_clzll(ns);

	h->n[ns < 16 ? ns : (log - 3) * 16 + (ns >> (log - 4) & 15)]++;
}

static inline void
histogram_merge(Histogram *to, const Histogram *from)
{
	for (uint32_t b = 0; b < BUCKETS; b++)
		to->n[b] += from->n[b];
}

static inline uint64_t
histogram_count(const Histogram *h)
{
	uint64_t	n = 0;

	for (uint32_t b = 0; b < BUCKETS; b++)
		n += h->n[b];
	return n;
}

static inline double
percentile(const Histogram *h, double p)
{
	double		total = (double) histogram_count(h);
	uint64_t	seen = 0;

	for (uint32_t b = 0; b < BUCKETS && total > 0; b++)
	{
		seen += h->n[b];
		if ((double) seen >= p * total)
			return b < 16 ? b : (double) ((16 + b % 16) * (UINT64_C(1) << (b / 16 - 1)));
	}
	return 0;
}

/* ---- results, for who makes tables and plots of them ---- */

static inline bool
smoke(void)
{
	return getenv("NR_BENCH_SMOKE") != NULL;
}

static inline FILE *
results(const char *variable)
{
	const char *path = getenv(variable);

	return path != NULL && *path != 0 ? fopen(path, "a") : NULL;
}

/* "x" on an axis; empty: none. */
static inline void
figure(const char *suite, const char *variant, const char *x, const char *unit, const double *values, uint32_t n)
{
	FILE	   *to = results("NR_BENCH_FIGURES");

	if (to == NULL)
		return;
	fprintf(to, "%s\t%s\t%s\t%s\t%u\t%.4g\t%.4g\t%.4g\n", suite, variant, x, unit, n,
			quantile(values, n, 0.25), median(values, n), quantile(values, n, 0.75));
	fclose(to);
}

static inline void
target(const char *id, const char *what, double measured, const char *comparison, double limit,
	   const char *unit, const char *note)
{
	FILE	   *to = results("NR_BENCH_TARGETS");

	if (to == NULL)
		return;
	fprintf(to, "%s\t%s\t%.4g\t%s\t%.4g\t%s\t%s\n", id, what, measured, comparison, limit, unit, note);
	fclose(to);
}

#endif							/* BENCH_TIME_H */
