/*
 * visible.c
 *		Are transactions seen whole?  See visible.h.
 */
#include "visible.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct Visible
{
	const HiCall **by_number;	/* writes, by object and number */
	const HiCall **by_group;	/* writes, by transaction and object */
	const HiCall **visit;		/* reads, by visit and object */
	size_t		nwrites;
	size_t		nreads;
	size_t		bad;
	bool		print;
} Visible;

static int
compare(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int
by_number(const void *a, const void *b)
{
	const HiCall *const *x = a,
			   *const *y = b;
	int			c = compare((*x)->object, (*y)->object);

	return c != 0 ? c : compare((*x)->op.arg, (*y)->op.arg);
}

static int
by_group(const void *a, const void *b)
{
	const HiCall *const *x = a,
			   *const *y = b;
	int			c = compare((*x)->group, (*y)->group);

	return c != 0 ? c : compare((*x)->object, (*y)->object);
}

/* The first in "list" that is not below "key". */
static size_t
lower(const HiCall **list, size_t n, const HiCall *key, int (*order) (const void *, const void *))
{
	size_t		from = 0;

	while (n > 0)
	{
		size_t		half = n / 2;

		if (order(&list[from + half], &key) < 0)
		{
			from += half + 1;
			n -= half + 1;
		}
		else
			n = half;
	}
	return from;
}

/* Had a delete of this family with a higher number begun when the visit ended? */
static bool
may_be_gone(const Visible *v, uint32_t object, uint64_t number, uint64_t res)
{
	HiCall		key = {.object = object, .op.arg = number + 1};

	for (size_t i = lower(v->by_number, v->nwrites, &key, by_number);
		 i < v->nwrites && v->by_number[i]->object == object; i++)
		if (v->by_number[i]->op.kind == LC_DELETE_ALL && v->by_number[i]->op.inv < res)
			return true;
	return false;
}

static void
wrong(Visible *v, const char *what, const HiCall *here, const HiCall *there)
{
	if (v->bad++ < 5 && v->print)
		printf("# %s: thread %u, %llu..%llu, sees %llu on object %u and %llu on object %u\n", what,
			   here->op.thread, (unsigned long long) here->op.inv, (unsigned long long) here->op.res,
			   (unsigned long long) here->op.out[0], here->object, (unsigned long long) there->op.out[0],
			   there->object);
}

/* The visit [from, to) has seen a number on one of its families: is the rest of that transaction there? */
static void
check_seen(Visible *v, const HiCall *here, size_t from, size_t to)
{
	HiCall		key = {.object = here->object, .op.arg = here->op.out[0]};
	size_t		w = lower(v->by_number, v->nwrites, &key, by_number);

	if (w == v->nwrites || by_number(&v->by_number[w], &(const HiCall *){&key}) != 0 ||
		v->by_number[w]->op.kind != LC_PUT_ALL)
	{
		wrong(v, "nobody committed this", here, here);
		return;
	}
	key.group = v->by_number[w]->group;
	key.object = 0;
	for (w = lower(v->by_group, v->nwrites, &key, by_group); w < v->nwrites && v->by_group[w]->group == key.group; w++)
	{
		const HiCall *also = v->by_group[w];

		for (size_t i = from; i < to; i++)
		{
			const HiCall *there = v->visit[i];
			uint64_t	seen = there->op.out[0];

			if (there->object != also->object)
				continue;
			if (seen == 0 ? also->op.kind != LC_DELETE_ALL && !may_be_gone(v, there->object, also->op.arg, there->op.res) :
				also->op.kind == LC_DELETE_ALL ? seen <= also->op.arg : seen < also->op.arg)
				wrong(v, "a transaction is seen in part", here, there);
		}
	}
}

size_t
vi_check(const HiCall *calls, size_t n, bool print)
{
	Visible		v = {.print = print};

	v.by_number = malloc((n + 1) * sizeof(*v.by_number));
	v.by_group = malloc((n + 1) * sizeof(*v.by_group));
	v.visit = malloc((n + 1) * sizeof(*v.visit));
	for (size_t i = 0; i < n; i++)
	{
		const HiCall *c = &calls[i];

		if (c->write && (c->op.kind == LC_PUT_ALL || c->op.kind == LC_DELETE_ALL))
			v.by_number[v.nwrites] = v.by_group[v.nwrites] = c, v.nwrites++;
		else if (c->op.kind == LC_GET_ALL && c->group != 0)
			v.visit[v.nreads++] = c;
	}
	qsort(v.by_number, v.nwrites, sizeof(*v.by_number), by_number);
	qsort(v.by_group, v.nwrites, sizeof(*v.by_group), by_group);
	qsort(v.visit, v.nreads, sizeof(*v.visit), by_group);
	for (size_t from = 0, to; from < v.nreads; from = to)
	{
		for (to = from; to < v.nreads && v.visit[to]->group == v.visit[from]->group; to++)
			;
		for (size_t i = from; i < to; i++)
			if (v.visit[i]->op.out[0] != 0)
				check_seen(&v, v.visit[i], from, to);
	}
	free(v.by_number);
	free(v.by_group);
	free(v.visit);
	return v.bad;
}
