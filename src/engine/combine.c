/*
 * combine.c
 *		Flat combining; contract in combine.h.
 */
#include "engine/combine.h"
#include "engine/crossing.h"
#include "engine/grant.h"
#include "engine/leftright.h"
#include "engine/space.h"

#define NR_COMBINE_ROUNDS	8	/* batches one combiner makes before it hands over */
#define NR_BATCH_REQUESTS	256 /* requests in one batch */
#define NR_BATCH_GRANTS		16	/* extents granted in one batch beyond what it may need itself */
#define NR_LOCK_TRIES		5	/* sleeps that a brief wait for the lock takes */
#define NR_DEFERRED_MAX		4	/* extents' worth of dropped shared memory that may await the next write */
#define NR_COMBINE_TIDIES	2	/* batches of one combiner that tidy up: reclaim, then release */

/* ---- the combiner lock ---- */

bool
nr_combiner_try(NrSession *s, uint32_t g, uint32_t r)
{
	struct NrReplica *rep = nr_replica(s->engine, g, r);
	uint32_t	unlocked = 0;

	return nr_load32_rlx(&rep->combiner) == 0 &&
		nr_cas32_seq(&rep->combiner, &unlocked, s->idx + 1);	/* edge K1, edge Q3 */
}

void
nr_combiner_handoff(NrSession *s, uint32_t g, uint32_t r)
{
	NrEngine   *e = s->engine;
	struct NrReplica *rep = nr_replica(e, g, r);
	NrAtomic64 *pending = nr_pending(e, rep);

	for (uint32_t w = 0; w < e->bitmap_words; w++)
	{
		uint64_t	bits = nr_load64_seq(&pending[w]);	/* edge Q3 */

		while (bits != 0)
		{
			uint32_t	session = w * 64 + (uint32_t) __builtin_ctzll(bits);
			uint64_t	word = nr_load64_seq(&nr_request_slot(e, r, session)->state);	/* edge Q3 */

			bits &= bits - 1;

			/*
			 * One that does not sleep yet will look at the lock before it does: it
			 * needs no wake, but neither may it be relied on, since its wait may be
			 * for log space.  So go on until one sleeps.
			 */
			if (nr_req_phase(word) == NR_REQ_PENDING && nr_req_group(word) == g &&
				(word & NR_REQ_SLEEPING))
			{
				e->host->wake(e, session);
				return;
			}
		}
	}
}

void
nr_combiner_unlock(NrSession *s, uint32_t g, uint32_t r)
{
	struct NrReplica *rep = nr_replica(s->engine, g, r);

	NR_POINT("combiner_unlock");
	nr_xchg32_seq(&rep->combiner, 0);	/* edge K1, edge Q3, edge Z1 */
	NR_POINT("combiner_unlocked");
	nr_combiner_handoff(s, g, r);
	nr_wake_all(s->engine, nr_waiters(s->engine, rep));
}

NrLocked
nr_combiner_lock(NrSession *s, uint32_t g, uint32_t r, bool cancellable, bool brief)
{
	struct NrReplica *rep = nr_replica(s->engine, g, r);
	NrAtomic64 *waiters = nr_waiters(s->engine, rep);
	NrLocked	outcome = NR_LOCK_BUSY;

	for (uint32_t spins = s->engine->host->spins; spins > 0 && nr_load32_rlx(&rep->combiner) != 0; spins--)
		nr_pause();
	for (int tries = 0; !brief || tries < NR_LOCK_TRIES; tries++)
	{
		uint32_t	holder;

		if (nr_combiner_try(s, g, r))
		{
			outcome = NR_LOCKED;
			break;
		}
		nr_bit_set(waiters, s->idx);	/* edge Z1 */
		holder = nr_load32_seq(&rep->combiner); /* edge Z1 */
		if (holder != 0 &&
			!nr_sleep(s, NR_WAIT_COMBINER, g, holder - 1, NR_POLL_US, cancellable))
		{
			outcome = NR_LOCK_CANCELLED;
			break;
		}
	}
	nr_bit_clear(waiters, s->idx);
	return outcome;
}

/* ---- collecting ---- */

typedef struct Collected
{
	uint32_t	n;
	uint32_t	session[NR_BATCH_REQUESTS];
	uint64_t	word[NR_BATCH_REQUESTS];	/* as pending */
	uint64_t	inline_bytes;	/* ring bytes that the requests need */
	uint64_t	op_bytes;		/* of all operations, wherever they lie */
	uint32_t	ops;
	NrNeed		need;			/* extents that they may use; set by reserve() */
} Collected;

static size_t
request_ring_bytes(NrRequestSlot *slot)
{
	return sizeof(NrBatchRequest) +
		(nr_load32_rlx(&slot->first_extent) == NR_NO_EXTENT ? NR_OP_ALIGN(nr_load32_rlx(&slot->bytes)) : 0);
}

static void
collect_add(Collected *c, uint32_t session, uint64_t word, NrRequestSlot *slot)
{
	c->session[c->n] = session;
	c->word[c->n++] = word;
	c->inline_bytes += request_ring_bytes(slot);
	c->op_bytes += nr_load32_rlx(&slot->bytes);
	c->ops += nr_load32_rlx(&slot->n);
}

/*
 * Look at who is pending, without taking: as many as fit max_bytes.  Bits of
 * requests that are looked at stay set until they are taken.  Who does not fit
 * is first in the next batch.
 */
static void
collect(NrEngine *e, uint32_t g, uint32_t r, size_t max_bytes, Collected *c)
{
	struct NrReplica *rep = nr_replica(e, g, r);
	NrAtomic64 *pending = nr_pending(e, rep);
	uint32_t	first = NR_WORD(rep->scan_from);
	uint64_t	below = NR_BIT(rep->scan_from) - 1;

	c->n = c->ops = 0;
	c->inline_bytes = c->op_bytes = 0;
	for (uint32_t i = 0; i <= e->bitmap_words; i++)
	{
		uint32_t	w = (first + i) % e->bitmap_words;
		uint64_t	bits = nr_load64_seq(&pending[w]);	/* edge Q3 */

		/* the word that we begin in is looked at twice: its upper part first, the rest last */
		if (i == 0)
			bits &= ~below;
		else if (i == e->bitmap_words)
			bits &= below;
		while (bits != 0)
		{
			uint32_t	session = w * 64 + (uint32_t) __builtin_ctzll(bits);
			NrRequestSlot *slot = nr_request_slot(e, r, session);
			uint64_t	word = nr_load64_acq(&slot->state); /* edge Q1 */

			bits &= bits - 1;
			if (nr_req_phase(word) != NR_REQ_PENDING || nr_req_group(word) != g)
				continue;
			if (c->n == NR_BATCH_REQUESTS || c->inline_bytes + request_ring_bytes(slot) > max_bytes)
			{
				rep->scan_from = session;
				return;
			}
			collect_add(c, session, word, slot);
		}
	}
}

/* Room for all is not to be had: only the first, the others begin the next batch. */
static void
collect_only_first(NrEngine *e, uint32_t g, uint32_t r, Collected *c)
{
	uint32_t	session = c->session[0];

	nr_replica(e, g, r)->scan_from = c->session[1];
	c->n = c->ops = 0;
	c->inline_bytes = c->op_bytes = 0;
	collect_add(c, session, c->word[0], nr_request_slot(e, r, session));
}

/*
 * Take what was collected and still pends, into the batch at "at".  Returns
 * where it ends; *op_bytes: of all operations, wherever they lie.
 */
static char *
take(NrEngine *e, uint32_t g, uint32_t r, const Collected *c, NrBatch *batch, char *at,
	 uint64_t *op_bytes)
{
	NrAtomic64 *pending = nr_pending(e, nr_replica(e, g, r));

	*op_bytes = 0;
	for (uint32_t i = 0; i < c->n; i++)
	{
		uint32_t	session = c->session[i];
		NrRequestSlot *slot = nr_request_slot(e, r, session);
		uint64_t	word = c->word[i];
		NrBatchRequest *req = (NrBatchRequest *) at;
		bool		taken = false;

		/*
		 * The number in the word makes sure that this is the request whose size
		 * we looked at.  Only the sleeping flag may have changed meanwhile.
		 */
		while (nr_req_phase(word) == NR_REQ_PENDING &&
			   (word | NR_REQ_SLEEPING) == (c->word[i] | NR_REQ_SLEEPING) && !taken)
			taken = nr_cas64_seq(&slot->state, &word,	/* edge Q1 */
								 (word & ~(uint64_t) NR_REQ_PHASE) | NR_REQ_TAKEN);
		if (!taken)
			continue;
		NR_POINT("request_taken");
		nr_and64_seq(&pending[NR_WORD(session)], ~NR_BIT(session)); /* edge Q3: none pends behind it now */
		req->session = session;
		req->n = nr_load32_rlx(&slot->n);
		req->bytes = nr_load32_rlx(&slot->bytes);
		req->first_extent = nr_load32_rlx(&slot->first_extent);
		req->word = c->word[i];
		at += sizeof(NrBatchRequest);
		NR_POINT("half_written");
		if (req->first_extent == NR_NO_EXTENT)
		{
			memcpy(at, nr_session_buffer(e, r, session), req->bytes);
			at += NR_OP_ALIGN(req->bytes);
		}
		*op_bytes += req->bytes;
		batch->ops += req->n;
		batch->requests++;
	}
	return at;
}

/* ---- one batch ---- */

typedef enum Round
{
	ROUND_NOTHING,				/* nobody pends */
	ROUND_BATCH,				/* a batch was appended */
	ROUND_FULL					/* somebody pends and the log has no room */
} Round;

/* May a batch have no requests, and what does it let go of? */
typedef enum Tidy
{
	TIDY_NOT,
	TIDY_SURPLUS,
	TIDY_ALL					/* free extents of either kind: both copies share memory */
} Tidy;

/* Room in the ring for what was collected, and for the extents it may be granted. */
static NrBatch *
reserve(NrSession *s, const NrDispatch *dispatch, uint32_t g, uint32_t r, Collected *c,
		uint32_t *numbers_max, size_t *fixed, uint64_t *pos)
{
	struct NrGroup *group = nr_group(s->engine, g);
	size_t		max = nr_ring_batch_max(s->engine, group);
	size_t		room = (max - sizeof(NrBatch) - c->inline_bytes) / sizeof(uint32_t);
	uint64_t	numbers;

	c->need = c->ops > 0 ? dispatch->need(&group->copy_config, c->ops, c->op_bytes) : (NrNeed) {0};
	numbers = nr_grant_numbers(group, (uint64_t) NR_BATCH_GRANTS + c->need.extents, c->need.shared);
	*numbers_max = (uint32_t) (numbers < room ? numbers : room);
	*fixed = NR_OP_ALIGN(sizeof(NrBatch) + *numbers_max * sizeof(uint32_t));
	if (*fixed + c->inline_bytes > max)
		*fixed -= 8;			/* rounded up past the end */
	return nr_ring_reserve(s, g, r, *fixed + c->inline_bytes, pos);
}

/*
 * Collect and append one batch ("serve": of requests).  A batch without requests is made when only
 * surplus extents are to be released.  Room is had, in the ring and in the log,
 * before any request is taken.
 */
static Round
append_batch(NrSession *s, const NrDispatch *dispatch, uint32_t g, bool serve, Tidy tidy, NrFull *full)
{
	NrEngine   *e = s->engine;
	uint32_t	r = nr_home(s, g);
	struct NrGroup *group = nr_group(e, g);
	struct NrReplica *rep = nr_replica(e, g, r);
	size_t		fixed;
	uint32_t	numbers_max;
	Collected	c;
	NrBatch    *batch;
	uint64_t	pos;
	uint64_t	op_bytes = 0;
	uint64_t	seq;
	size_t		request_bytes;
	size_t		grant_bytes;

	c.n = c.ops = 0;
	c.inline_bytes = c.op_bytes = 0;
	if (serve)
		collect(e, g, r, nr_ring_batch_max(e, group) - sizeof(NrBatch) -
				NR_BATCH_GRANTS * group->copies * sizeof(uint32_t), &c);
	if (c.n == 0 && tidy == TIDY_NOT)
		return ROUND_NOTHING;
	batch = reserve(s, dispatch, g, r, &c, &numbers_max, &fixed, &pos);
	if (batch == NULL && c.n > 1)
	{
		collect_only_first(e, g, r, &c);
		batch = reserve(s, dispatch, g, r, &c, &numbers_max, &fixed, &pos);
	}
	full->slots = batch != NULL && !nr_log_claim(s, g);
	if (batch == NULL || full->slots)
		return c.n > 0 ? ROUND_FULL : ROUND_NOTHING;
	NR_POINT("log_claimed");

	/* requests go behind room for all grants; then they move up to where grants end */
	batch->replica = r;
	batch->requests = batch->ops = 0;
	batch->extent = NR_NO_EXTENT;
	batch->horizon = 0;
	request_bytes = (size_t) (take(e, g, r, &c, batch, (char *) batch + fixed, &op_bytes) -
							  ((char *) batch + fixed));
	if (batch->requests == 0 && tidy == TIDY_NOT)
	{
		nr_log_give_back(s, g);
		return ROUND_NOTHING;
	}
	if (group->loading && batch->requests > 0)
		group->loading = false; /* readers have something to lose */
	/* of all that were collected: who has withdrawn since makes it no more than needed */
	nr_grant_best(s, dispatch, g, batch, batch->ops > 0 ? c.need : (NrNeed) {0}, numbers_max);
	NR_POINT("granted");
	if (tidy == TIDY_ALL)
		nr_grant_release_free(group, batch);
	grant_bytes = nr_grant_bytes(group, batch);
	memmove((char *) (batch + 1) + grant_bytes, (char *) batch + fixed, request_bytes);
	batch->bytes = (uint32_t) NR_LINE_UP(sizeof(NrBatch) + grant_bytes + request_bytes);
	nr_ring_commit(e, g, r, pos, batch->bytes);
	NR_POINT("batch_filled");
	batch->floor = nr_shares_deferred(e, group, g, r) ? nr_log_head(s, g) : 0;
	nr_store64_rlx(&batch->seq, UINT64_MAX);	/* published by the append, edge L1 */
	seq = nr_log_append(s, g, r, pos);
	nr_store64_rlx(&batch->seq, seq);	/* read by combiners of this replica only, edge K1 */
	NR_POINT("batch_appended");

	nr_bump64(&rep->batches, batch->requests > 0);
	nr_bump64(&rep->requests, batch->requests);
	nr_bump64(&rep->ops, batch->ops);
	nr_bump64(&rep->bytes, op_bytes);
	return ROUND_BATCH;
}

static bool
anybody_pends(NrEngine *e, struct NrReplica *rep)
{
	NrAtomic64 *pending = nr_pending(e, rep);

	for (uint32_t w = 0; w < e->bitmap_words; w++)
		if (nr_load64_seq(&pending[w]) != 0)	/* edge Q3 */
			return true;
	return false;
}

/* So much was dropped that its memory should not wait for the next write. */
static inline bool
reclaim_due(NrEngine *e, uint32_t g, uint32_t r)
{
	return nr_shared_deferred(e, g, r) > NR_DEFERRED_MAX;
}

/* Bring all copies to the tail as far as nobody need be waited for; are they there? */
static bool
all_follow(NrSession *s, const NrDispatch *dispatch, uint32_t g)
{
	nr_replay_older(s, dispatch, g, nr_home(s, g));
	nr_help_laggards(s, dispatch, g);
	return nr_log_head(s, g) == nr_log_tail(s, g);
}

bool
nr_tidy_due(NrEngine *e, uint32_t g, uint32_t r)
{
	return nr_grant_surplus(nr_group(e, g)) || reclaim_due(e, g, r);
}

bool
nr_append_empty(NrSession *s, const NrDispatch *dispatch, uint32_t g, bool all)
{
	NrFull		full;

	return append_batch(s, dispatch, g, false, all ? TIDY_ALL : TIDY_SURPLUS, &full) == ROUND_BATCH;
}

NrCombined
nr_combine(NrSession *s, const NrDispatch *dispatch, uint32_t g, NrPatience patience, NrFull *full)
{
	struct NrGroup *group = nr_group(s->engine, g);
	uint32_t	home = nr_home(s, g);
	int			tidies = 0;
	bool		helped = false;

	for (int round = 0; round < NR_COMBINE_ROUNDS; round++)
	{
		bool		reclaim = tidies < NR_COMBINE_TIDIES && nr_group_shares(group) &&
			reclaim_due(s->engine, g, home);
		Tidy		tidy;
		Round		result;

		if (group->copies == 2 &&
			!nr_lr_drain(s, g, home, round == 0 ? patience : NR_IMPATIENT))
			return round == 0 ? NR_COMBINE_HELD_UP : NR_COMBINED;
		if (reclaim && !all_follow(s, dispatch, g))
		{
			reclaim = false;
			if (round > 0)		/* before, it may be only ourselves who lag */
				tidies = NR_COMBINE_TIDIES;
		}
		tidy = reclaim || (tidies < NR_COMBINE_TIDIES && nr_grant_surplus(group)) ? TIDY_SURPLUS : TIDY_NOT;
		if (round > 0 && tidy == TIDY_NOT && !anybody_pends(s->engine, nr_replica(s->engine, g, home)))
			return NR_COMBINED;
		/* how far others are is looked at by who finds no room; relaxed: a number to compare with */
		full->head = nr_load64_rlx(&group->head);
		result = append_batch(s, dispatch, g, true, tidy, full);
		if (result == ROUND_NOTHING)
			return NR_COMBINED;
		if (result == ROUND_BATCH)
		{
			/* requests of ours are in it: no way back */
			(void) nr_replay(s, dispatch, g, home, NR_PATIENT, false);
			tidies += tidy != TIDY_NOT;
			helped = false;
			continue;
		}
		nr_add64_rlx(&nr_replica(s->engine, g, home)->full, 1);
		if (helped && full->head == nr_log_head(s, g))
			return NR_COMBINE_FULL;
		(void) nr_replay(s, dispatch, g, home, NR_IMPATIENT, true);
		nr_help_laggards(s, dispatch, g);
		helped = true;
	}
	return helped ? NR_COMBINE_FULL : NR_COMBINED;
}

void
nr_help_laggards(NrSession *s, const NrDispatch *dispatch, uint32_t g)
{
	NrEngine   *e = s->engine;
	uint64_t	tail = nr_log_tail(s, g);

	s->crossed.positions++;
	for (uint32_t r = 0; r < nr_group(e, g)->replicas; r++)
	{
		bool		lags;

		if (r == nr_home(s, g))
			continue;
		NR_FAR(e, NR_FAR_POSITION, nr_replica(e, g, r), NR_CACHE_LINE, false);
		lags = nr_position_oldest(e, g, r) < tail;
		NR_FAR_END(e);
		if (!lags)
			continue;
		nr_visit(s, g, r);
		if (nr_combiner_try(s, g, r))
		{
			NR_POINT("helping");
			(void) nr_replay(s, dispatch, g, r, NR_IMPATIENT, true);
			nr_combiner_unlock(s, g, r);
		}
		nr_visit_end(s);
	}
}

void
nr_tidy(NrSession *s, const NrDispatch *dispatch, uint32_t g)
{
	struct NrGroup *group = nr_group(s->engine, g);

	if (!nr_tidy_due(s->engine, g, nr_home(s, g)) || !nr_append_empty(s, dispatch, g, false))
		return;
	if (group->copies == 2)
		nr_replay_all(s, dispatch, g);
	else
		(void) nr_replay(s, dispatch, g, nr_home(s, g), NR_IMPATIENT, false);
}

bool
nr_request_withdraw(NrSession *s, uint32_t g)
{
	uint32_t	r = nr_home(s, g);
	struct NrReplica *rep = nr_replica(s->engine, g, r);
	NrRequestSlot *slot = nr_request_slot(s->engine, r, s->idx);
	uint64_t	word = nr_load64_acq(&slot->state); /* edge Q1 */

	while (nr_req_phase(word) == NR_REQ_PENDING)
	{
		if (!nr_cas64_seq(&slot->state, &word,	/* edge Q1: the combiner's CAS then fails */
						  nr_req_word(nr_req_no(word), g, NR_REQ_FREE)))
			continue;
		NR_POINT("request_withdrawn");
		nr_and64_seq(&nr_pending(s->engine, rep)[NR_WORD(s->idx)], ~NR_BIT(s->idx));	/* edge Q3 */
		nr_add64_rlx(&rep->withdrawn, 1);

		/* We may have been the one that an unlocking combiner woke: pass it on. */
		nr_combiner_handoff(s, g, r);
		return true;
	}
	return false;
}
