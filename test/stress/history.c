/*
 * history.c
 *		Recording what threads ask and are told; see history.h.
 */
#include "history.h"

#include <stdlib.h>
#include <string.h>

#include "thread_host.h"

static _Atomic uint64_t ticks;

uint64_t
hi_clock(void)
{
#ifdef TH_TSAN
	atomic_signal_fence(memory_order_seq_cst);
	uint64_t	now = atomic_fetch_add_explicit(&ticks, 1, memory_order_relaxed) + 1;

	atomic_signal_fence(memory_order_seq_cst);
	return now;
#else
	return atomic_fetch_add(&ticks, 1) + 1;
#endif
}

void
hi_begin(HiCall *call, uint32_t thread, uint32_t object, uint32_t kind)
{
	memset(call, 0, sizeof(*call));
	call->object = object;
	call->op.thread = thread;
	call->op.kind = kind;
	call->op.inv = hi_clock();
}

void
hi_also(History *h, const HiCall *call, uint32_t object)
{
	if (h->n == h->cap)
	{
		h->cap = h->cap == 0 ? 256 : 2 * h->cap;
		h->call = realloc(h->call, h->cap * sizeof(HiCall));
	}
	h->call[h->n] = *call;
	h->call[h->n++].object = object;
}

void
hi_end(History *h, HiCall *call)
{
	call->op.res = hi_clock();
	hi_also(h, call, call->object);
}

void
hi_clear(History *h)
{
	h->n = 0;
}

LcVerdict
hi_check(History *const *h, size_t n, const LcModel *model, uint32_t object)
{
	size_t		cap = 0,
				ops_n = 0;
	LcOp	   *ops;
	LcVerdict	verdict;

	for (size_t t = 0; t < n; t++)
		cap += h[t]->n;
	ops = malloc((cap + 1) * sizeof(LcOp));
	for (size_t t = 0; t < n; t++)
		for (size_t i = 0; i < h[t]->n; i++)
		{
			const HiCall *c = &h[t]->call[i];

			if (c->object == object)
				ops[ops_n++] = c->op;
		}
	verdict = lc_check(model, ops, ops_n, true);
	free(ops);
	return verdict;
}

static int
by_inv(const void *a, const void *b)
{
	const HiCall *const *x = a,
			   *const *y = b;

	return (*x)->op.inv < (*y)->op.inv ? -1 : (*x)->op.inv > (*y)->op.inv;
}

static int
by_res(const void *a, const void *b)
{
	const HiCall *const *x = a,
			   *const *y = b;

	return (*x)->op.res < (*y)->op.res ? -1 : (*x)->op.res > (*y)->op.res;
}

size_t
hi_check_seqs(History *const *h, size_t n, uint32_t group)
{
	size_t		cap = 0,
				m = 0,
				done = 0,
				bad = 0;
	uint64_t	highest = 0;
	bool		any = false;
	const HiCall **inv,
			  **res;

	for (size_t t = 0; t < n; t++)
		cap += h[t]->n;
	inv = malloc((cap + 1) * sizeof(*inv));
	res = malloc((cap + 1) * sizeof(*res));
	for (size_t t = 0; t < n; t++)
		for (size_t i = 0; i < h[t]->n; i++)
			if (h[t]->call[i].write && h[t]->call[i].group == group)
				inv[m++] = &h[t]->call[i];
	memcpy(res, inv, m * sizeof(*inv));
	qsort(inv, m, sizeof(*inv), by_inv);
	qsort(res, m, sizeof(*res), by_res);
	for (size_t i = 0; i < m; i++)
	{
		for (; done < m && res[done]->op.res < inv[i]->op.inv; done++)
			if (!any || res[done]->seq > highest)
			{
				highest = res[done]->seq;
				any = true;
			}
		bad += any && inv[i]->seq <= highest;
	}
	free(inv);
	free(res);
	return bad;
}
