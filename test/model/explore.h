/*
 * explore.h
 *		What the explorer, the memory and the program of a model know of each other; see model.h.
 */
#ifndef EXPLORE_H
#define EXPLORE_H

#include "model.h"

typedef enum ExploreVerdict
{
	EXPLORE_HOLDS,
	EXPLORE_FAILS,
	EXPLORE_STOPPED				/* at the number of executions that was asked for */
} ExploreVerdict;

extern ModelBound explore_bound;
extern bool explore_brute;		/* without reduction: each thread that can go on is an alternative */
extern void (*explore_ended) (void);	/* called after each execution's check */
extern int	explore_executions;
extern int	explore_stale_used; /* in this execution */

extern ExploreVerdict explore_scenario(const ModelScenario *s, uint64_t executions_max);

/* 0 .. n - 1: what the current path of decisions says. */
extern int	explore_decide(int n);

/* Who runs; 0: the director, for whom memory is memory. */
extern int	explore_current(void);

/* Returns when it is this thread's turn to read or write the word. */
extern void explore_step(uint32_t w, bool write);

/* A poll ends when this word changes. */
extern void explore_look(uint32_t w);

/* What happens is only printed when a failed execution is shown. */
extern bool explore_tracing(void);
extern void explore_trace(const char *fmt,...) __attribute__((format(printf, 1, 2)));

extern const char *model_base_name(const char *file);

/* ---- for entry.c ---- */

extern void explore_plain(const void *at, size_t bytes, bool write);
extern void *model_memcpy(void *to, const void *from, size_t bytes);
extern void *model_memmove(void *to, const void *from, size_t bytes);
extern void *model_memset(void *to, int byte, size_t bytes);
extern int	model_memcmp(const void *a, const void *b, size_t bytes);

#endif							/* EXPLORE_H */
