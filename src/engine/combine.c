/*
 * combine.c
 *		Flat combining; contract in combine.h.
 */
#include "engine/combine.h"
#include "engine/leftright.h"

#define NR_COMBINE_ROUNDS	8	/* batches one combiner makes before it hands over */
#define NR_BATCH_REQUESTS	256 /* requests in one batch */
#define NR_BATCH_GRANTS		16	/* extents granted in one batch beyond what it may need itself */
#define NR_LOCK_TRIES		5	/* sleeps that a brief wait for the lock takes */
#define NR_HEADROOM_KEEP	2	/* free extents that a group keeps */
#define NR_HEADROOM_MAX		6	/* above: the surplus goes back to the pool */

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

/* ---- extents ---- */

/* One extent for each copy, or none. */
static bool
alloc_for_copies(NrEngine *e, uint32_t g, uint32_t copies, uint32_t *extents)
{
	for (uint32_t c = 0; c < copies; c++)
	{
		extents[c] = nr_pool_alloc(e, g, 1);
		if (extents[c] == NR_NO_EXTENT)
		{
			while (c > 0)
				nr_pool_free(e, extents[--c]);
			return false;
		}
	}
	return true;
}

/*
 * Claim what this batch may use from the group's headroom; get from the pool
 * what is missing, and put into the batch what the copies shall get or let go.
 * When the pool or the quota has no more, the batch goes without: its operations
 * then answer "no space" where they must, the same in every copy.
 */
static void
claim_extents(NrSession *s, const NrDispatch *dispatch, uint32_t g, NrBatch *batch,
			  uint64_t op_bytes, uint32_t grants_max)
{
	NrEngine   *e = s->engine;
	struct NrGroup *group = nr_group(e, g);
	uint32_t   *grants = (uint32_t *) (batch + 1);
	uint32_t	copies = group->copies;
	uint32_t	need = batch->ops > 0 ? dispatch->need(&group->copy_config, batch->ops, op_bytes) : 0;
	int64_t		room = (int64_t) nr_sub64_seq(&group->headroom, need) - need;	/* edge P1: a count */
	bool		helped = false;

	batch->claim = need;
	batch->grants = batch->releases = 0;
	for (; room < 0 && batch->grants < grants_max; room++)
	{
		uint32_t   *grant = grants + batch->grants * copies;
		bool		granted = false;

		if (nr_add32_seq(&group->mapped, 1) < group->config.extents_max)	/* edge P1: a count */
		{
			granted = alloc_for_copies(e, g, copies, grant);
			if (!granted && !helped)
			{
				/* replicas that lag hold on to what others have let go of */
				helped = true;
				(void) nr_replay(s, dispatch, g, s->replica, NR_IMPATIENT, true);
				nr_help_laggards(s, dispatch, g);
				granted = alloc_for_copies(e, g, copies, grant);
			}
		}
		if (!granted)
		{
			nr_sub32_seq(&group->mapped, 1);	/* edge P1: a count */
			break;
		}
		batch->grants++;
	}
	if (batch->grants > 0)
	{
		nr_add64_rlx(&group->granted, batch->grants);
		nr_add64_rlx(&group->headroom, batch->grants);
	}
	if (room < 0)
	{
		/* not to be had: claim less, lest the account stay short for ever */
		uint32_t	less = (uint64_t) -room < need ? (uint32_t) -room : need;

		batch->claim -= less;
		nr_add64_rlx(&group->headroom, less);
	}
	else if (room > NR_HEADROOM_MAX)
	{
		batch->releases = (uint32_t) (room - NR_HEADROOM_KEEP);
		nr_sub64_seq(&group->headroom, batch->releases);	/* edge P1: a count */
	}
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

/* Room in the ring for what was collected, and for the extents it may be granted. */
static NrBatch *
reserve(NrEngine *e, const NrDispatch *dispatch, uint32_t g, uint32_t r, const Collected *c,
		uint32_t *grants_max, size_t *fixed, uint64_t *pos)
{
	struct NrGroup *group = nr_group(e, g);
	size_t		max = nr_ring_batch_max(e, group);
	size_t		room;

	*grants_max = NR_BATCH_GRANTS;
	if (c->ops > 0)
		*grants_max += dispatch->need(&group->copy_config, c->ops, c->op_bytes);
	room = (max - sizeof(NrBatch) - c->inline_bytes) / (sizeof(uint32_t) * group->copies);
	if (*grants_max > room)
		*grants_max = (uint32_t) room;
	*fixed = NR_OP_ALIGN(sizeof(NrBatch) + *grants_max * group->copies * sizeof(uint32_t));
	if (*fixed + c->inline_bytes > max)
		*fixed -= 8;			/* rounded up past the end */
	return nr_ring_reserve(e, g, r, *fixed + c->inline_bytes, pos);
}

/* Give the claim back; somebody may wait for just that. */
static void
unclaim(NrEngine *e, uint32_t g)
{
	struct NrGroup *group = nr_group(e, g);

	nr_log_unclaim(e, g);
	if (nr_load32_seq(&group->space_waiting) != 0)	/* edge Z1 */
		nr_wake_all(e, nr_space_waiters(group));
}

/*
 * Collect and append one batch.  A batch without requests is made when only
 * surplus extents are to be released.  Room is had, in the ring and in the log,
 * before any request is taken.
 */
static Round
append_batch(NrSession *s, const NrDispatch *dispatch, uint32_t g, bool surplus, NrFull *full)
{
	NrEngine   *e = s->engine;
	uint32_t	r = s->replica;
	struct NrGroup *group = nr_group(e, g);
	struct NrReplica *rep = nr_replica(e, g, r);
	size_t		fixed;
	uint32_t	grants_max;
	Collected	c;
	NrBatch    *batch;
	uint64_t	pos;
	uint64_t	op_bytes = 0;
	uint64_t	seq;
	size_t		request_bytes;
	size_t		grant_bytes;

	collect(e, g, r, nr_ring_batch_max(e, group) - sizeof(NrBatch) -
			NR_BATCH_GRANTS * group->copies * sizeof(uint32_t), &c);
	if (c.n == 0 && !surplus)
		return ROUND_NOTHING;
	batch = reserve(e, dispatch, g, r, &c, &grants_max, &fixed, &pos);
	if (batch == NULL && c.n > 1)
	{
		collect_only_first(e, g, r, &c);
		batch = reserve(e, dispatch, g, r, &c, &grants_max, &fixed, &pos);
	}
	full->slots = batch != NULL && !nr_log_claim(e, g);
	if (batch == NULL || full->slots)
		return c.n > 0 ? ROUND_FULL : ROUND_NOTHING;

	/* requests go behind room for all grants; then they move up to where grants end */
	batch->replica = r;
	batch->requests = batch->ops = batch->reserved = 0;
	request_bytes = (size_t) (take(e, g, r, &c, batch, (char *) batch + fixed, &op_bytes) -
							  ((char *) batch + fixed));
	if (batch->requests == 0 && !surplus)
	{
		unclaim(e, g);
		return ROUND_NOTHING;
	}
	claim_extents(s, dispatch, g, batch, op_bytes, grants_max);
	grant_bytes = nr_grant_bytes(group, batch);
	memmove((char *) (batch + 1) + grant_bytes, (char *) batch + fixed, request_bytes);
	batch->bytes = (uint32_t) NR_LINE_UP(sizeof(NrBatch) + grant_bytes + request_bytes);
	nr_ring_commit(e, g, r, pos, batch->bytes);
	NR_POINT("batch_filled");
	nr_store64_rlx(&batch->seq, UINT64_MAX);	/* published by the append, edge L1 */
	seq = nr_log_append(e, g, r, pos);
	nr_store64_rlx(&batch->seq, seq);	/* read by combiners of this replica only, edge K1 */
	NR_POINT("batch_appended");

	nr_bump64(&rep->batches, batch->requests > 0);
	nr_bump64(&rep->requests, batch->requests);
	nr_bump64(&rep->ops, batch->ops);
	nr_bump64(&rep->bytes, op_bytes);
	return ROUND_BATCH;
}

NrCombined
nr_combine(NrSession *s, const NrDispatch *dispatch, uint32_t g, NrPatience patience, NrFull *full)
{
	struct NrGroup *group = nr_group(s->engine, g);
	bool		may_release = true;
	bool		helped = false;

	for (int round = 0; round < NR_COMBINE_ROUNDS; round++)
	{
		bool		surplus = may_release &&
			(int64_t) nr_load64_rlx(&group->headroom) > NR_HEADROOM_MAX;
		Round		result;

		if (group->copies == 2 &&
			!nr_lr_drain(s, g, s->replica, round == 0 ? patience : NR_IMPATIENT))
			return round == 0 ? NR_COMBINE_HELD_UP : NR_COMBINED;
		full->head = nr_log_head(s->engine, g);
		result = append_batch(s, dispatch, g, surplus, full);
		if (result == ROUND_NOTHING)
			return NR_COMBINED;
		if (result == ROUND_BATCH)
		{
			/* requests of ours are in it: no way back */
			(void) nr_replay(s, dispatch, g, s->replica, NR_PATIENT, false);
			may_release = may_release && !surplus;
			helped = false;
			continue;
		}
		nr_bump64(&nr_replica(s->engine, g, s->replica)->full, 1);
		if (helped && full->head == nr_log_head(s->engine, g))
			return NR_COMBINE_FULL;
		(void) nr_replay(s, dispatch, g, s->replica, NR_IMPATIENT, true);
		nr_help_laggards(s, dispatch, g);
		helped = true;
	}
	return helped ? NR_COMBINE_FULL : NR_COMBINED;
}

void
nr_help_laggards(NrSession *s, const NrDispatch *dispatch, uint32_t g)
{
	NrEngine   *e = s->engine;
	uint64_t	tail = nr_log_tail(e, g);

	for (uint32_t r = 0; r < e->geo.replicas; r++)
	{
		if (r == s->replica || nr_position_oldest(e, g, r) >= tail || !nr_combiner_try(s, g, r))
			continue;
		(void) nr_replay(s, dispatch, g, r, NR_IMPATIENT, true);
		nr_combiner_unlock(s, g, r);
	}
}

bool
nr_request_withdraw(NrSession *s, uint32_t g)
{
	struct NrReplica *rep = nr_replica(s->engine, g, s->replica);
	uint64_t	word = nr_load64_acq(&s->slot->state);	/* edge Q1 */

	while (nr_req_phase(word) == NR_REQ_PENDING)
	{
		if (!nr_cas64_seq(&s->slot->state, &word,	/* edge Q1: the combiner's CAS then fails */
						  nr_req_word(s->request_no, g, NR_REQ_FREE)))
			continue;
		nr_and64_seq(&nr_pending(s->engine, rep)[NR_WORD(s->idx)], ~NR_BIT(s->idx));	/* edge Q3 */
		nr_add64_rlx(&rep->withdrawn, 1);

		/* We may have been the one that an unlocking combiner woke: pass it on. */
		nr_combiner_handoff(s, g, s->replica);
		return true;
	}
	return false;
}
