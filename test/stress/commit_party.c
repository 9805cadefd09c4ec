/*
 * commit_party.c
 *		Transactions, and writers that append and publish; see commit_party.h.
 */
#include "commit_party.h"

#include <stdlib.h>

#define BALLAST_MOST	6		/* ballast keys in a batch */

/* A transaction's part in one group. */
struct CmPart
{
	CmGroup    *cg;
	NrHandle   *h;
	NrPrepared	prepared;
	uint32_t	mask;			/* families that it puts or deletes */
	uint32_t	rows;			/* families that it has locked */
	bool		gone;			/* deletes */
	bool		truncate;
	uint32_t	n;
	size_t		bytes;
	uint32_t	ballast[BALLAST_MOST];
	uint32_t	nballast;
	uint32_t	ballast_gone;	/* bits */
	_Alignas(8) char ops[CM_OPS_BYTES_MAX];
};

uint64_t
cm_chance(CmParty *p, uint64_t n)
{
	return (th_random(&p->random) >> 16) % n;
}

/* ---- who takes part ---- */

void
cm_come(CmParty *p)
{
	th_register(p->w->th, p->i, p->i % p->w->th->geo.replicas, &p->session);
	for (uint32_t g = 0; g < CM_GROUPS; g++)
		th_attach(&p->session, g, &ds_hash_dispatch, &p->handle[g]);
	atomic_store(&p->session_idx, p->session.idx);
	p->here = true;
}

void
cm_leave(CmParty *p)
{
	for (uint32_t g = 0; g < CM_GROUPS; g++)
		nr_group_detach(&p->handle[g]);
	nr_session_unregister(&p->session);
	p->here = false;
}

/* ---- transactions ---- */

static void
lock_rows(CmPart *t, bool lock)
{
	for (uint32_t f = 0; f < CM_FAMILIES; f++)
	{
		if (!(t->rows >> f & 1))
			continue;
		if (lock)
			pthread_mutex_lock(&t->cg->family[f].row);
		else
			pthread_mutex_unlock(&t->cg->family[f].row);
	}
	if (!lock)
		t->rows = 0;
}

static void
add_ballast(CmParty *p, CmPart *t, uint64_t stamp)
{
	uint32_t	first = (uint32_t) cm_chance(p, CM_BALLAST);
	uint32_t	n = (uint32_t) cm_chance(p, BALLAST_MOST + 1);

	t->ballast_gone = cm_chance(p, 3) == 0 ? UINT32_MAX : 0;
	for (t->nballast = 0; t->nballast < n; t->nballast++)
	{
		uint32_t	k = (first + t->nballast) % CM_BALLAST;
		const CmKey *key = &t->cg->ballast[p->i][k].key;

		t->ballast[t->nballast] = k;
		t->bytes += t->ballast_gone ? cm_op_delete(t->ops + t->bytes, key) :
			cm_op_put(t->ops + t->bytes, key, stamp, 0);
		t->n++;
	}
}

static void
choose(CmParty *p, CmPart *t, uint32_t g)
{
	uint64_t	kind = cm_chance(p, 100);

	t->cg = &p->w->group[g];
	t->h = &p->handle[g];
	t->prepared.batch = NULL;
	t->truncate = kind == 0;
	t->gone = kind >= 1 && kind < 12;
	t->mask = 1u << cm_chance(p, CM_FAMILIES) | (cm_chance(p, 2) == 0 ? 1u << cm_chance(p, CM_FAMILIES) : 0);
	t->rows = t->truncate ? CM_ALL : t->mask;
}

static void
build(CmParty *p, CmPart *t, uint64_t stamp)
{
	t->bytes = t->n = 0;
	if (t->truncate)
	{
		t->bytes = ds_hash_op_truncate(t->ops);
		t->n = 1;
	}
	for (uint32_t f = 0; f < CM_FAMILIES; f++)
	{
		if (!(t->mask >> f & 1))
			continue;
		t->bytes += cm_ops_family(t->ops + t->bytes, &t->cg->family[f], stamp, t->truncate ? CM_ALL : t->mask,
								  t->gone);
		t->n += CM_KEYS;
	}
	add_ballast(p, t, stamp);
}

static bool
prepare(CmParty *p, CmPart *t, uint64_t stamp)
{
	uint32_t	flags = (t->cg->ordered ? NR_PREPARE_ORDERED : 0) | (cm_chance(p, 16) == 0 ? NR_PREPARE_TRY : 0);
	NrStatus	st;

	build(p, t, stamp);
	st = nr_prepare(t->h, t->ops, t->bytes, t->n, flags, cm_chance(p, 2) == 0, &t->prepared);
	if (st == NR_OK)
		return true;
	if (t->prepared.batch != NULL || (st != NR_NO_SPACE && st != NR_BUSY && st != NR_CANCELLED))
		cm_wrong(p->w, t->cg, 0, "nr_prepare went wrong", st, 0);
	atomic_fetch_add(&p->w->refused, 1);
	return false;
}

/* The commit record: from here on it must become visible. */
static void
commit(CmParty *p, CmPart *t, uint64_t stamp)
{
	CmGroup    *cg = t->cg;

	for (uint32_t f = 0; f < CM_FAMILIES; f++)
	{
		if (!(t->rows >> f & 1))
			continue;
		if (cg->ordered && t->prepared.order_seq <= cg->family[f].order_seq)
			cm_wrong(p->w, cg, f, "order numbers do not follow row locks", t->prepared.order_seq, cg->family[f].order_seq);
		cg->family[f].order_seq = t->prepared.order_seq;
	}
	if (t->truncate)
	{
		cm_begin(p->w, cg, stamp, CM_ALL, true);
		cg->truncated = stamp - 1;	/* what comes in the same batch stays */
	}
	cm_begin(p->w, cg, stamp, t->mask, t->gone);
	for (uint32_t i = 0; i < t->nballast; i++)
		cg->ballast[p->i][t->ballast[i]].stamp = t->ballast_gone ? 0 : stamp;
	for (uint32_t f = 0; f < CM_FAMILIES; f++)
		if ((t->mask >> f & 1) && atomic_load(&cg->family[f].floor) > stamp)
			cm_wrong(p->w, cg, f, "a row lock was held and a higher stamp is there", stamp, 0);
}

static void
append(CmParty *p, CmPart *t, uint64_t stamp)
{
	uint32_t	mask = t->truncate ? CM_ALL : t->mask;
	bool		late = false;

	for (uint32_t f = 0; f < CM_FAMILIES; f++)
		late |= (mask >> f & 1) && atomic_load(&t->cg->family[f].floor) > stamp;
	if (late)
		atomic_fetch_add(&p->w->overtaken, 1);
	nr_prepared_append(t->h, &t->prepared);
	cm_visible(t->cg, stamp, mask);
}

CmPart *
cm_parts_new(void)
{
	return calloc(2, sizeof(CmPart));
}

void
cm_transact(CmParty *p, CmPart *parts)
{
	uint64_t	which = cm_chance(p, 4);
	uint32_t	n = which == 0 ? 2 : 1;
	uint32_t	ready = 0;
	uint64_t	stamp;
	bool		early;

	choose(p, &parts[0], which == 1 ? CM_COMMIT_TWO : CM_COMMIT_ONE);
	if (n == 2)
		choose(p, &parts[1], CM_COMMIT_TWO);
	for (uint32_t i = 0; i < n; i++)
		lock_rows(&parts[i], true);
	stamp = cm_stamp(p->w);
	while (ready < n && prepare(p, &parts[ready], stamp))
		ready++;
	if (ready == n && cm_chance(p, 10) != 0)
	{
		for (uint32_t i = 0; i < n; i++)
			commit(p, &parts[i], stamp);
		early = cm_chance(p, 3) != 0;
		for (uint32_t i = 0; i < n && early; i++)
			lock_rows(&parts[i], false);
		if (cm_chance(p, early ? 3 : 20) == 0)
			th_sleep_us((long) cm_chance(p, 400));
		for (uint32_t i = 0; i < n; i++)
			append(p, &parts[i], stamp);
		atomic_fetch_add(&p->w->committed, 1);
	}
	else
	{
		while (ready > 0)
			nr_prepared_drop(parts[ready - 1].h, &parts[ready - 1].prepared), ready--;
		atomic_fetch_add(&p->w->dropped, 1);
	}
	for (uint32_t i = 0; i < n; i++)
		lock_rows(&parts[i], false);
}

/* ---- append, publish ---- */

void
cm_publish(CmParty *p, CmGroup *cg, bool must)
{
	NrHandle   *h = &p->handle[cg->g];
	bool		try = !must && cm_chance(p, 4) == 0;
	uint64_t	n = 0;
	uint64_t	pending = nr_pending_count(h);
	NrStatus	st;

	cm_begin(p->w, cg, cg->plan, cg->plan_mask, cg->plan_gone);
	st = try ? nr_publish_try(h, &n) : nr_publish(h, !must && cm_chance(p, 2) == 0, &n);
	if (st == NR_OK && n == pending && nr_pending_count(h) == 0)
	{
		cm_visible(cg, cg->plan, cg->plan_mask);
		cg->plan = 0;
		atomic_fetch_add(&p->w->published, 1);
	}
	else if (st == NR_OK || must || (st != NR_NO_SPACE && st != NR_BUSY && st != NR_CANCELLED) ||
			 nr_pending_count(h) != pending)
		cm_wrong(p->w, cg, 0, "nr_publish went wrong", st, n);
}

void
cm_append_or_publish(CmParty *p, CmGroup *cg)
{
	_Alignas(8) char ops[CM_FAMILY_BYTES_MAX];
	NrHandle   *h = &p->handle[cg->g];
	NrResult	result = {.status = NR_OK};
	uint32_t	f;
	size_t		bytes;
	NrStatus	st;

	pthread_mutex_lock(&cg->writer);
	if (cg->plan == 0)
	{
		cg->plan = cm_stamp(p->w);
		cg->plan_mask = cg->plan_left = 1 + (uint32_t) cm_chance(p, CM_ALL);
		cg->plan_gone = cm_chance(p, 8) == 0;
	}
	if (cg->plan_left == 0)
		cm_publish(p, cg, false);
	else
	{
		f = (uint32_t) __builtin_ctz(cg->plan_left);
		bytes = cm_ops_family(ops, &cg->family[f], cg->plan, cg->plan_mask, cg->plan_gone);
		st = nr_append(h, ops, bytes, CM_KEYS, cm_chance(p, 2) == 0, &result);
		if (st == NR_OK && result.status == NR_OK && result.done == CM_KEYS)
			cg->plan_left &= cg->plan_left - 1;
		else if (st != NR_NO_SPACE && st != NR_CANCELLED)
			cm_wrong(p->w, cg, f, "nr_append went wrong", st, result.status);
	}
	pthread_mutex_unlock(&cg->writer);
}

