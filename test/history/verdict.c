/*
 * verdict.c
 *		Is what a round has recorded what world.h says?  Object by object, on all cores; then visits.
 */
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECKERS	2
#define PRINTED_MAX	100			/* calls of a history */

typedef struct Verdict
{
	World	   *w;
	HiCall	   *call;			/* of all clients, by object */
	size_t		n;
	size_t	   *first;			/* of each object that was called */
	size_t		objects;
	_Atomic size_t next;		/* object to look at */
	_Atomic size_t wrong;
	WoSeeded   *seeded;
	pthread_mutex_t lock;		/* of seeded */
} Verdict;

static int
by_object(const void *a, const void *b)
{
	const HiCall *x = a,
			   *y = b;

	if (x->object != y->object)
		return x->object < y->object ? -1 : 1;
	return x->op.inv < y->op.inv ? -1 : x->op.inv > y->op.inv;
}

static int
by_inv(const void *a, const void *b)
{
	const LcOp *x = a,
			   *y = b;

	return x->inv < y->inv ? -1 : x->inv > y->inv;
}

/* Calls to the whole cache that concern an object which was used from "from" to "to". */
static size_t
add_wide(const Verdict *v, uint32_t object, uint64_t from, uint64_t to, LcOp *ops, size_t n)
{
	uint32_t	wide = WO_WIDE + (uint32_t) (wo_cache_of(v->w, object) - v->w->cache);

	for (size_t o = v->objects; o-- > 0;)
	{
		const HiCall *c = &v->call[v->first[o]];

		if (c->object < WO_WIDE)
			break;
		if (c->object != wide)
			continue;
		for (size_t i = v->first[o]; i < v->first[o + 1]; i++)
			if (v->call[i].op.res > from && v->call[i].op.inv < to)
				ops[n++] = v->call[i].op;
	}
	return n;
}

static bool
tells(const LcOp *op, uint64_t value)
{
	if (op->res == LC_FOREVER)
		return false;
	if (op->kind == LC_SWAP || op->kind == LC_CAS)
		return op->out[0] == 1 && op->out[1] == value;
	for (int i = 0; i < LC_CELLS && (op->kind == LC_GET || op->kind == LC_GET_ALL); i++)
		if (op->out[i] == value)
			return true;
	return false;
}

/*
 * A write that was given up, but whose value was read, has come before that read returned: values
 * are put once.  To know that beforehand spares the search most of its guesses.
 */
static void
find_ends(const World *w, LcOp *ops, size_t n)
{
	uint32_t	thread = w->clients;

	for (size_t i = 0; i < n && thread < LC_THREADS_MAX - 1; i++)
	{
		uint64_t	end = LC_FOREVER;

		if (ops[i].res != LC_FOREVER || ops[i].arg < WO_VALUE_STEP || ops[i].kind == LC_DELETE_ALL)
			continue;
		for (size_t k = 0; k < n; k++)
			if (ops[k].res < end && tells(&ops[k], ops[i].arg))
				end = ops[k].res;
		if (end == LC_FOREVER)
			continue;
		ops[i].res = end;
		ops[i].thread = thread++;
	}
}

/* A short history whole, in the order of its calls: one that goes wrong seldom may not come again. */
static void
print_history(const LcModel *model, LcOp *ops, size_t n)
{
	char		text[200];

	if (n > PRINTED_MAX)
		return;
	qsort(ops, n, sizeof(LcOp), by_inv);
	for (size_t i = 0; i < n; i++)
	{
		model->print(text, sizeof(text), &ops[i]);
		printf("#     thread %2u, %" PRIu64 "..%" PRIu64 ": %s\n", ops[i].thread, ops[i].inv, ops[i].res, text);
	}
}

static void
check_object(Verdict *v, size_t o, LcOp *ops)
{
	uint32_t	object = v->call[v->first[o]].object;
	const WoCache *cache = wo_cache_of(v->w, object);
	uint64_t	from = v->call[v->first[o]].op.inv;
	uint64_t	to = from;
	bool		open = false;
	size_t		n = 0;
	LcVerdict	verdict;

	for (size_t i = v->first[o]; i < v->first[o + 1]; i++)
	{
		ops[n++] = v->call[i].op;
		if (v->call[i].op.res == LC_FOREVER)
			open = true;
		else if (v->call[i].op.res > to)
			to = v->call[i].op.res;
	}
	n = add_wide(v, object, from, to, ops, n);
	find_ends(v->w, ops, n);
	verdict = lc_check(wo_model(v->w, object), ops, n, v->w->fault == NULL);
	if (verdict == LC_VIOLATION)
	{
		atomic_fetch_add(&v->wrong, 1);
		printf("# cache %s, keys from %" PRId64 ", %zu calls: not as promised\n", cache->name,
			   wo_key(v->w, object, 0), n);
		if (v->w->fault == NULL)
			print_history(wo_model(v->w, object), ops, n);
	}
	else if (verdict == LC_TOO_LONG)
	{
		atomic_fetch_add(&v->w->too_long, 1);
		printf("# cache %s, keys from %" PRId64 ": the search was given up, %zu calls\n", cache->name,
			   wo_key(v->w, object, 0), n);
	}
	else if (!open && v->seeded != NULL)
	{
		pthread_mutex_lock(&v->lock);
		wo_seed_object(wo_model(v->w, object), ops, n, v->seeded);
		pthread_mutex_unlock(&v->lock);
	}
}

static void *
check_some(void *arg)
{
	Verdict    *v = arg;
	LcOp	   *ops = malloc((v->n + 1) * sizeof(LcOp));
	size_t		o;

	while ((o = atomic_fetch_add(&v->next, 1)) < v->objects && v->call[v->first[o]].object < WO_WIDE)
		check_object(v, o, ops);
	free(ops);
	return NULL;
}

static void
gather(Verdict *v, const History *last)
{
	World	   *w = v->w;

	v->n = last->n;
	for (uint32_t i = 0; i < w->clients; i++)
		v->n += w->client[i].history.n;
	v->call = malloc((v->n + 1) * sizeof(HiCall));
	v->first = malloc((v->n + 1) * sizeof(size_t));
	memcpy(v->call, last->call, last->n * sizeof(HiCall));
	v->n = last->n;
	for (uint32_t i = 0; i < w->clients; i++)
	{
		History    *h = &w->client[i].history;

		memcpy(v->call + v->n, h->call, h->n * sizeof(HiCall));
		v->n += h->n;
	}
	qsort(v->call, v->n, sizeof(HiCall), by_object);
	for (size_t i = 0; i < v->n; i++)
		if (i == 0 || v->call[i].object != v->call[i - 1].object)
			v->first[v->objects++] = i;
	v->first[v->objects] = v->n;
}

/* Families that transactions number, cache by cache. */
static void
check_visits(Verdict *v)
{
	HiCall	   *calls = malloc((v->n + 1) * sizeof(HiCall));

	for (uint32_t i = 0; i < WO_CACHES; i++)
	{
		size_t		n = 0,
					bad;

		if (v->w->cache[i].visibility != WO_COMMIT)
			continue;
		for (size_t k = 0; k < v->n; k++)
			if (v->call[k].object < WO_WIDE && wo_cache_of(v->w, v->call[k].object) == &v->w->cache[i] &&
				wo_model(v->w, v->call[k].object) == &lc_numbered)
				calls[n++] = v->call[k];
		bad = vi_check(calls, n, v->w->fault == NULL);
		if (bad > 0)
			printf("# cache %s: %zu times a transaction is not seen whole\n", v->w->cache[i].name, bad);
		else if (v->seeded != NULL)
			wo_seed_visits(calls, n, v->seeded);
		atomic_fetch_add(&v->wrong, bad);
	}
	free(calls);
}

bool
wo_verdict(World *w, History *last, WoSeeded *seeded)
{
	Verdict		v = {.w = w, .seeded = seeded};
	pthread_t	thread[CHECKERS];

	gather(&v, last);
	pthread_mutex_init(&v.lock, NULL);
	for (int i = 0; i < CHECKERS; i++)
		pthread_create(&thread[i], NULL, check_some, &v);
	for (int i = 0; i < CHECKERS; i++)
		pthread_join(thread[i], NULL);
	check_visits(&v);
	if (w->fault == NULL)
		printf("# round %u: %zu calls on %zu objects\n", w->round, v.n, v.objects);
	free(v.call);
	free(v.first);
	w->objects += v.objects;
	return v.wrong == 0;
}
