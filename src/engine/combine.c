/*
 * combine.c
 *		Flat combining; contract in combine.h.
 */
#include "engine/alone.h"
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

static bool
anybody_pends(NrEngine *e, struct NrReplica *rep)
{
	NrAtomic64 *pending = nr_pending(e, rep);

	for (uint32_t w = 0; w < e->bitmap_words; w++)
		if (nr_load64_seq(&pending[w]) != 0)	/* edge Q3 */
			return true;
	return false;
}

/* What requests need. */
typedef struct Amount
{
	uint64_t	inline_bytes;	/* of the ring */
	uint64_t	op_bytes;		/* of all operations, wherever they lie */
	uint32_t	ops;
} Amount;

typedef struct Collected
{
	Amount		sum;
	uint32_t	n;
	uint32_t	session[NR_BATCH_REQUESTS];
	uint64_t	word[NR_BATCH_REQUESTS];	/* as pending */
} Collected;

static size_t
ring_bytes(uint32_t first_extent, uint32_t bytes)
{
	return sizeof(NrBatchRequest) + (first_extent == NR_NO_EXTENT ? NR_OP_ALIGN(bytes) : 0);
}

static size_t
request_ring_bytes(NrRequestSlot *slot)
{
	return ring_bytes(nr_load32_rlx(&slot->first_extent), nr_load32_rlx(&slot->bytes));
}

static void
collect_add(Collected *c, uint32_t session, uint64_t word, NrRequestSlot *slot)
{
	c->session[c->n] = session;
	c->word[c->n++] = word;
	c->sum.inline_bytes += request_ring_bytes(slot);
	c->sum.op_bytes += nr_load32_rlx(&slot->bytes);
	c->sum.ops += nr_load32_rlx(&slot->n);
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

	c->n = 0;
	c->sum = (Amount) {0};
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
			if (c->n == NR_BATCH_REQUESTS || c->sum.inline_bytes + request_ring_bytes(slot) > max_bytes)
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
	c->n = 0;
	c->sum = (Amount) {0};
	collect_add(c, session, c->word[0], nr_request_slot(e, r, session));
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

/* A batch that is being made. */
typedef struct Draft
{
	NrBatch    *batch;
	uint64_t	pos;			/* in the ring */
	NrNeed		need;			/* extents that its requests may use */
	uint32_t	numbers_max;	/* physical numbers that there is room for */
	char	   *requests;		/* where they are put, behind room for all grants ... */
	char	   *end;			/* ... and end there */
	uint64_t	op_bytes;		/* of all operations, wherever they lie */
} Draft;

/* Room in the ring for so much, and for the extents it may be granted. */
static bool
reserve(NrSession *s, const NrDispatch *dispatch, uint32_t g, uint32_t r, Amount amount, Draft *d)
{
	struct NrGroup *group = nr_group(s->engine, g);
	size_t		max = nr_ring_batch_max(s->engine, group);
	size_t		room = (max - sizeof(NrBatch) - amount.inline_bytes) / sizeof(uint32_t);
	uint64_t	numbers;
	size_t		fixed;

	d->need = amount.ops > 0 ? dispatch->need(&group->copy_config, amount.ops, amount.op_bytes) : (NrNeed) {0};
	numbers = nr_grant_numbers(group, (uint64_t) NR_BATCH_GRANTS + d->need.extents, d->need.shared);
	d->numbers_max = (uint32_t) (numbers < room ? numbers : room);
	fixed = NR_OP_ALIGN(sizeof(NrBatch) + d->numbers_max * sizeof(uint32_t));
	if (fixed + amount.inline_bytes > max)
		fixed -= 8;				/* rounded up past the end */
	d->batch = nr_ring_reserve(s, g, r, fixed + amount.inline_bytes, &d->pos);
	if (d->batch == NULL)
		return false;
	d->requests = d->end = (char *) d->batch + fixed;
	d->op_bytes = 0;
	d->batch->replica = r;
	d->batch->requests = d->batch->ops = 0;
	d->batch->extent = NR_NO_EXTENT;
	d->batch->horizon = 0;
	return true;
}

/* The request, and its operations if they are not in extents, behind those that the batch has. */
static void
put_request(Draft *d, NrBatchRequest request, const void *ops)
{
	NrBatchRequest *req = (NrBatchRequest *) d->end;

	*req = request;
	d->end += sizeof(NrBatchRequest);
	NR_POINT("half_written");
	if (req->first_extent == NR_NO_EXTENT)
	{
		memcpy(d->end, ops, req->bytes);
		d->end += NR_OP_ALIGN(req->bytes);
	}
	d->op_bytes += req->bytes;
	d->batch->ops += req->n;
	d->batch->requests++;
}

/* Take what was collected and still pends, into the batch. */
static void
take(NrEngine *e, uint32_t g, uint32_t r, const Collected *c, Draft *d)
{
	NrAtomic64 *pending = nr_pending(e, nr_replica(e, g, r));

	for (uint32_t i = 0; i < c->n; i++)
	{
		uint32_t	session = c->session[i];
		NrRequestSlot *slot = nr_request_slot(e, r, session);
		uint64_t	word = c->word[i];
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
		put_request(d, (NrBatchRequest) {
					.session = session,.n = nr_load32_rlx(&slot->n),.bytes = nr_load32_rlx(&slot->bytes),
					.first_extent = nr_load32_rlx(&slot->first_extent),.word = c->word[i]}, nr_session_buffer(e, r, session));
	}
}

/* Memory for its requests, which then move to where the grants end; and into the log.  Returns where it is. */
static uint64_t
append_draft(NrSession *s, const NrDispatch *dispatch, uint32_t g, uint32_t r, Draft *d, Tidy tidy)
{
	NrEngine   *e = s->engine;
	struct NrGroup *group = nr_group(e, g);
	struct NrReplica *rep = nr_replica(e, g, r);
	NrBatch    *batch = d->batch;
	size_t		bytes = (size_t) (d->end - d->requests);
	char	   *requests;
	uint64_t	seq;

	if (group->loading && batch->requests > 0)
		group->loading = false; /* readers have something to lose */
	/* of all that were collected: who has withdrawn since makes it no more than needed */
	nr_grant_best(s, dispatch, g, batch, batch->ops > 0 ? d->need : (NrNeed) {0}, d->numbers_max);
	NR_POINT("granted");
	if (tidy == TIDY_ALL)
		nr_grant_release_free(group, batch);
	requests = (char *) (batch + 1) + nr_grant_bytes(group, batch);
	if (requests != d->requests)
		memmove(requests, d->requests, bytes);
	batch->bytes = (uint32_t) NR_LINE_UP((size_t) (requests - (char *) batch) + bytes);
	nr_ring_commit(e, g, r, d->pos, batch->bytes);
	NR_POINT("batch_filled");
	batch->floor = nr_shares_deferred(e, group, g, r) ? nr_log_head(s, g) : 0;
	nr_store64_rlx(&batch->seq, UINT64_MAX);	/* published by the append, edge L1 */
	seq = nr_log_append(s, g, r, d->pos);
	nr_store64_rlx(&batch->seq, seq);	/* read by combiners of this replica only, edge K1 */
	NR_POINT("batch_appended");

	nr_bump64(&rep->batches, batch->requests > 0);
	nr_bump64(&rep->requests, batch->requests);
	nr_bump64(&rep->ops, batch->ops);
	nr_bump64(&rep->bytes, d->op_bytes);
	return seq;
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
	Collected	c;
	Draft		d;
	bool		room;

	c.n = 0;
	c.sum = (Amount) {0};
	if (serve)
		collect(e, g, r, nr_ring_batch_max(e, group) - sizeof(NrBatch) -
				NR_BATCH_GRANTS * group->copies * sizeof(uint32_t), &c);
	if (c.n == 0 && tidy == TIDY_NOT)
		return ROUND_NOTHING;
	room = reserve(s, dispatch, g, r, c.sum, &d);
	if (!room && c.n > 1)
	{
		collect_only_first(e, g, r, &c);
		room = reserve(s, dispatch, g, r, c.sum, &d);
	}
	full->slots = room && !nr_log_claim(s, g);
	if (!room || full->slots)
		return c.n > 0 ? ROUND_FULL : ROUND_NOTHING;
	NR_POINT("log_claimed");
	take(e, g, r, &c, &d);
	if (d.batch->requests == 0 && tidy == TIDY_NOT)
	{
		nr_log_give_back(s, g);
		return ROUND_NOTHING;
	}
	(void) append_draft(s, dispatch, g, r, &d, tidy);
	return ROUND_BATCH;
}

/* A batch of one request, which need not be taken.  False: no room, nothing was done. */
static bool
append_own(NrSession *s, const NrDispatch *dispatch, uint32_t g, const NrOwn *own, uint64_t *seq)
{
	uint32_t	r = nr_home(s, g);
	Amount		amount = {.inline_bytes = ring_bytes(own->first_extent, own->bytes),.op_bytes = own->bytes,.ops = own->n};
	Draft		d;

	if (!reserve(s, dispatch, g, r, amount, &d))
		return false;
	/* nobody waits for the answer: its word is that of no request */
	put_request(&d, (NrBatchRequest) {.session = s->idx,.n = own->n,.bytes = own->bytes,.first_extent = own->first_extent,
				.word = 0}, own->ops);
	if (!nr_log_claim(s, g))
		return false;
	NR_POINT("log_claimed");
	*seq = append_draft(s, dispatch, g, r, &d, TIDY_NOT);
	return true;
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

/* What is rare is left to the other way: a reader in the older of two copies, a full log. */
bool
nr_combine_alone(NrSession *s, const NrDispatch *dispatch, uint32_t g, const NrOwn *own)
{
	struct NrGroup *group = nr_group(s->engine, g);
	uint32_t	home = nr_home(s, g);
	struct NrReplica *rep = nr_replica(s->engine, g, home);
	NrFull		full;
	uint64_t	seq;

	if (anybody_pends(s->engine, rep))
		return false;
	if (!nr_apply_own(s, dispatch, g, own))
	{
		if ((group->copies == 2 && !nr_lr_drain(s, g, home, NR_IMPATIENT)) || !append_own(s, dispatch, g, own, &seq))
			return false;
		/* our request is in it: no way back */
		(void) nr_replay_to(s, dispatch, g, home, seq + 1, NR_PATIENT, false);
	}
	if (anybody_pends(s->engine, rep) || nr_tidy_due(s->engine, g, home))
		(void) nr_combine(s, dispatch, g, NR_IMPATIENT, &full);
	return true;
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
