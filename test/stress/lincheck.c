/*
 * lincheck.c
 *		Is a recorded history linearizable?  See lincheck.h.
 */
#include "lincheck.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIGS_MAX	2000000u
#define ORDERS_MAX	(LC_THREADS_MAX + LC_GIVEN_UP_MAX)

/* How far each thread is, "threads" numbers; the model's state follows. */
typedef uint32_t Config;

typedef struct Search
{
	const LcModel *model;
	LcOp	   *op;				/* by thread, then time */
	uint32_t	first[ORDERS_MAX + 1];
	uint32_t	threads;		/* highest + 1 */
	uint32_t	threads_told;	/* from here on: calls that nobody knows the end of */
	uint32_t	n_told;			/* calls that must be ordered */
	size_t		state_at;		/* in a configuration */
	size_t		config_bytes;
	char	   *config;			/* all configurations ever reached */
	uint32_t	configs;
	uint32_t	configs_cap;
	uint32_t   *table;			/* open addressing; 0 = empty, else index + 1 */
	uint32_t	table_mask;
	uint32_t   *stack;
	uint32_t	depth;
	uint32_t	best;			/* the one with most calls ordered */
	uint64_t	best_done;
} Search;

static Config *
config_at(Search *s, uint32_t i)
{
	return (Config *) (s->config + i * s->config_bytes);
}

static uint64_t
hash_bytes(const char *p, size_t n)
{
	uint64_t	h = 1469598103934665603u;

	for (size_t i = 0; i + 4 <= n; i += 4)
	{
		uint32_t	w;

		memcpy(&w, p + i, 4);
		h = (h ^ w) * UINT64_C(0x9E3779B97F4A7C15);
		h ^= h >> 29;
	}
	return h;
}

static void
grow(Search *s)
{
	s->configs_cap *= 2;
	s->config = realloc(s->config, s->configs_cap * s->config_bytes);
	s->stack = realloc(s->stack, s->configs_cap * sizeof(uint32_t));
	free(s->table);
	s->table_mask = s->configs_cap * 2 - 1;
	s->table = calloc(s->table_mask + 1, sizeof(uint32_t));
	for (uint32_t i = 0; i < s->configs; i++)
	{
		uint32_t	at = (uint32_t) hash_bytes((char *) config_at(s, i), s->config_bytes) & s->table_mask;

		while (s->table[at] != 0)
			at = (at + 1) & s->table_mask;
		s->table[at] = i + 1;
	}
}

/* Remember the configuration at config_at(configs), and visit it later, unless it is known. */
static void
push_if_new(Search *s)
{
	const Config *c = config_at(s, s->configs);
	uint32_t	at = (uint32_t) hash_bytes((const char *) c, s->config_bytes) & s->table_mask;
	uint64_t	done = 0;

	for (; s->table[at] != 0; at = (at + 1) & s->table_mask)
		if (memcmp(config_at(s, s->table[at] - 1), c, s->config_bytes) == 0)
			return;
	s->table[at] = s->configs + 1;
	for (uint32_t t = 0; t < s->threads_told; t++)
		done += c[t];
	if (done >= s->best_done)
	{
		s->best_done = done;
		s->best = s->configs;
	}
	s->stack[s->depth++] = s->configs++;
	if (s->configs + 1 >= s->configs_cap)
		grow(s);
}

/* Next call of each thread that nothing unordered precedes; returns how many. */
static uint32_t
candidates(Search *s, const Config *c, const LcOp **out)
{
	uint64_t	min_res = UINT64_MAX;
	uint32_t	n = 0;

	for (uint32_t t = 0; t < s->threads; t++)
	{
		uint32_t	i = s->first[t] + c[t];

		if (i < s->first[t + 1] && s->op[i].res < min_res)
			min_res = s->op[i].res;
	}
	for (uint32_t t = 0; t < s->threads; t++)
	{
		uint32_t	i = s->first[t] + c[t];

		if (i < s->first[t + 1] && s->op[i].inv < min_res)
		{
			uint32_t	k = n++;

			/* the one that returned first last, so that it is visited first */
			for (; k > 0 && out[k - 1]->res < s->op[i].res; k--)
				out[k] = out[k - 1];
			out[k] = &s->op[i];
		}
	}
	return n;
}

/*
 * Configuration after "op", made at config_at(configs); false when the model disagrees.  What need
 * not take effect is of no use where it changes nothing.
 */
static bool
advance(Search *s, uint32_t from, const LcOp *op)
{
	char	   *was = s->config + from * s->config_bytes;
	char	   *to = s->config + s->configs * s->config_bytes;

	memcpy(to, was, s->config_bytes);
	((Config *) to)[op->thread]++;
	if (!s->model->step(to + s->state_at, op))
		return false;
	return op->res != LC_FOREVER || memcmp(to + s->state_at, was + s->state_at, s->model->state_bytes) != 0;
}

static void
visit(Search *s, uint32_t i)
{
	const LcOp *next[ORDERS_MAX];
	uint32_t	n = candidates(s, config_at(s, i), next);

	for (uint32_t k = 0; k < n; k++)
		if (s->model->reads(next[k]) && advance(s, i, next[k]))
		{
			push_if_new(s);
			return;
		}
	for (uint32_t k = 0; k < n; k++)
		if (!s->model->reads(next[k]) && advance(s, i, next[k]))
			push_if_new(s);
}

static int
by_thread(const void *a, const void *b)
{
	const LcOp *x = a,
			   *y = b;

	if (x->thread != y->thread)
		return x->thread < y->thread ? -1 : 1;
	return x->inv < y->inv ? -1 : x->inv > y->inv;
}

static void
print_stuck(Search *s)
{
	const LcOp *next[ORDERS_MAX];
	uint32_t	n = candidates(s, config_at(s, s->best), next);
	char		text[200];

	printf("# not linearizable; after %llu calls none of these fits:\n",
		   (unsigned long long) s->best_done);
	for (uint32_t k = 0; k < n; k++)
	{
		s->model->print(text, sizeof(text), next[k]);
		printf("#   thread %u, %llu..%llu: %s\n", next[k]->thread,
			   (unsigned long long) next[k]->inv, (unsigned long long) next[k]->res, text);
	}
}

/* Those without an end last, those that do the same beside each other. */
static int
by_end(const void *a, const void *b)
{
	const LcOp *x = a,
			   *y = b;

	if ((x->res == LC_FOREVER) != (y->res == LC_FOREVER))
		return x->res == LC_FOREVER ? 1 : -1;
	if (x->res != LC_FOREVER)
		return 0;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->cell != y->cell)
		return x->cell < y->cell ? -1 : 1;
	return x->arg < y->arg ? -1 : x->arg > y->arg;
}

/*
 * Calls without an end get threads of their own, but those that do the same share one: which of
 * them takes effect makes no difference, so it is the first.  Reads among them are left out.  False when these are too many.
 */
static bool
take_threads(Search *s, size_t *n)
{
	size_t		kept = 0;

	for (size_t i = 0; i < *n; i++)
		if (s->op[i].res != LC_FOREVER || !s->model->reads(&s->op[i]))
			s->op[kept++] = s->op[i];
	*n = kept;
	qsort(s->op, *n, sizeof(LcOp), by_end);
	for (; s->n_told < *n && s->op[s->n_told].res != LC_FOREVER; s->n_told++)
		if (s->op[s->n_told].thread >= s->threads_told)
			s->threads_told = s->op[s->n_told].thread + 1;
	s->threads = s->threads_told;
	for (size_t i = s->n_told; i < *n; i++)
	{
		if (i == s->n_told || by_end(&s->op[i - 1], &s->op[i]) != 0)
			s->threads++;
		s->op[i].thread = s->threads - 1;
	}
	if (s->threads > ORDERS_MAX)
		return false;
	qsort(s->op, *n, sizeof(LcOp), by_thread);
	for (uint32_t t = 0, i = 0; t <= s->threads; t++)
	{
		s->first[t] = i;
		while (i < *n && s->op[i].thread == t)
			i++;
	}
	return true;
}

static void
search_free(Search *s)
{
	free(s->op);
	free(s->config);
	free(s->stack);
	free(s->table);
}

LcVerdict
lc_check(const LcModel *model, const LcOp *ops, size_t n, bool print)
{
	Search		s = {.model = model, .configs_cap = 1024};
	LcVerdict	verdict = LC_VIOLATION;

	if (n == 0)
		return LC_LINEARIZABLE;
	s.op = malloc((n + 1) * sizeof(LcOp));
	memcpy(s.op, ops, n * sizeof(LcOp));
	if (!take_threads(&s, &n))
	{
		search_free(&s);
		return LC_TOO_LONG;
	}
	s.state_at = (s.threads * sizeof(Config) + 7) / 8 * 8;
	s.config_bytes = s.state_at + (model->state_bytes + 7) / 8 * 8;
	s.config = calloc(s.configs_cap, s.config_bytes);
	memset(s.config, 0, s.config_bytes);
	s.stack = malloc(s.configs_cap * sizeof(uint32_t));
	s.table_mask = s.configs_cap * 2 - 1;
	s.table = calloc(s.table_mask + 1, sizeof(uint32_t));

	push_if_new(&s);
	while (s.depth > 0 && verdict == LC_VIOLATION)
	{
		visit(&s, s.stack[--s.depth]);
		if (s.best_done == s.n_told)
			verdict = LC_LINEARIZABLE;
		else if (s.configs > CONFIGS_MAX)
			verdict = LC_TOO_LONG;
	}
	if (verdict == LC_VIOLATION && print)
		print_stuck(&s);
	search_free(&s);
	return verdict;
}
