/*
 * replay.c
 *		Applying the log to a copy; contract in replay.h.
 */
#include "engine/crossing.h"
#include "engine/leftright.h"
#include "engine/replay.h"
#include "engine/wait.h"

/* What one replay works on; process-local. */
typedef struct Replay
{
	NrSession  *s;
	NrEngine   *e;
	const NrDispatch *dispatch;
	struct NrGroup *group;
	struct NrReplica *rep;
	uint32_t	g;
	uint32_t	r;
	uint32_t	home;			/* the session's own replica */
	uint32_t	c;				/* number of the copy */
	NrCopy		copy;
	uint64_t	visible;		/* what comes before it has been answered and accounted for */
	bool		second;			/* the other copy has had the operations already */
	bool		ahead;			/* readers are let in later, when all replicas have come so far */
} Replay;

/* Its copy is to be viewed when it is known which; a whole struct of zeros would cost more than the rest. */
static inline void
replay_begin(Replay *p, NrSession *s, const NrDispatch *dispatch, uint32_t g, uint32_t r)
{
	p->s = s;
	p->e = s->engine;
	p->dispatch = dispatch;
	p->group = nr_group(s->engine, g);
	p->rep = nr_replica(s->engine, g, r);
	p->g = g;
	p->r = r;
	p->home = nr_home(s, g);
	p->c = 0;
	p->visible = 0;
	p->second = p->ahead = false;
}

/*
 * Operations that are announced to the structure before their turn: in a large
 * one each touches memory that is in no cache, and the misses may overlap.
 */
#define PREFETCH_AHEAD	8

/* One operation into the copy: with one replica of two copies, left-right's absorb. */
static inline NrStatus
absorb(Replay *p, NrOpHeader *op, NrResponse *resp)
{
	const NrDispatch *d = p->dispatch;

	if (__builtin_expect(d->absorb_first == NULL || p->group->copies != 2 || p->group->replicas != 1, 1))
		return d->dispatch_mut(&p->copy, op, resp);
	if (p->second && d->absorb_second != NULL)
		return d->absorb_second(&p->copy, op, resp);
	return d->absorb_first(&p->copy, op, resp);
}

/* Announce the operation at "at"; returns where the next one is. */
static inline uint32_t
announce(Replay *p, const char *ops, uint32_t at)
{
	const NrOpHeader *op = (const NrOpHeader *) (ops + at);

	p->dispatch->prefetch(&p->copy, op);
	return at + op->bytes;
}

/* Apply operations that lie back to back; "slot" gets the answers, or is NULL. */
static void
apply_ops(Replay *p, char *ops, uint32_t bytes, uint32_t *left, NrRequestSlot *slot,
		  char *buffer)
{
	uint32_t	at = 0;
	uint32_t	ahead = p->dispatch->prefetch != NULL && *left > 1 ? 0 : bytes;

	for (int i = 0; i < PREFETCH_AHEAD && ahead < bytes; i++)
		ahead = announce(p, ops, ahead);
	while (at < bytes)
	{
		NrOpHeader *op = (NrOpHeader *) (ops + at);
		NrResponse	resp = {0};
		NrStatus	status;
		bool		last = --*left == 0;

		if (slot != NULL && last)
		{
			resp.data = buffer;
			resp.capacity = buffer != NULL ? p->e->geo.session_buffer_bytes : 0;
		}
		if (ahead < bytes)
			ahead = announce(p, ops, ahead);
		if (last && at > 0)
			NR_POINT("half_applied");
		status = absorb(p, op, &resp);
		at += op->bytes;
		if (slot == NULL)
			continue;
		if (status == NR_OK)
		{
			slot->done++;
			slot->flagged += resp.flag;
		}
		else if (slot->status == NR_OK)
			slot->status = status;
		if (last)
		{
			slot->last_flag = resp.flag;
			slot->last_length = resp.length;
		}
	}
}

static inline void
answer_begin(NrRequestSlot *slot, uint64_t seq)
{
	slot->seq = seq;
	slot->status = NR_OK;
	slot->done = slot->flagged = slot->last_flag = slot->last_length = 0;
}

/* Apply one request of a batch that replica "producer" appended. */
static void
apply_request(Replay *p, NrBatchRequest *req, uint32_t producer, uint64_t seq)
{
	NrRequestSlot *slot = NULL;
	char	   *buffer = NULL;
	uint32_t	left = req->n;

	if (producer == p->r && seq >= p->visible && req->session != NR_SESSION_NONE)
	{
		slot = nr_request_slot(p->e, p->r, req->session);
		buffer = nr_session_buffer(p->e, p->r, req->session);
		answer_begin(slot, seq);
	}
	if (req->first_extent == NR_NO_EXTENT)
	{
		apply_ops(p, (char *) (req + 1), req->bytes, &left, slot, buffer);
		return;
	}
	for (uint32_t x = req->first_extent; x != NR_NO_EXTENT;)
	{
		NrPayload  *payload = (NrPayload *) nr_physical(p->e, producer, x);
		uint32_t	next;

		NR_FAR_MORE(p->e, payload, sizeof(*payload));
		NR_FAR_MORE(p->e, payload + 1, payload->bytes);
		if (producer != p->home)
			p->s->crossed.bytes += sizeof(*payload) + payload->bytes;
		next = payload->next;
		apply_ops(p, (char *) (payload + 1), payload->bytes, &left, slot, buffer);
		p->s->crossed.pool_updates++;
		nr_pool_unref(p->e, x);
		x = next;
	}
}

/* What a batch found in memory of one kind. */
typedef struct Stock
{
	uint32_t	free_before;	/* free extents, before its operations */
	uint32_t	released;
} Stock;

/* Grants first, so that the batch's own operations may use them, then releases of what was surplus before it. */
static inline Stock
stock_up(Replay *p, NrCopy *copy, const uint32_t *grants, uint32_t n, uint32_t each, uint32_t releases)
{
	Stock		stock = {0};

	for (uint32_t i = 0; i < n; i++)
		nr_copy_grant(copy, nr_map_number(p->e, p->group, grants[i * each]));
	while (stock.released < releases && nr_copy_release(p->e, copy))
		stock.released++;
	p->s->crossed.pool_updates += stock.released;
	stock.free_before = copy->table->free_count;
	return stock;
}

/*
 * The producer settles the account: what it claimed for this batch and did not
 * use or could not release is headroom again, and so is what the operations
 * freed.  So nothing gets lost: with no batch on its way, headroom is the number
 * of free extents.
 */
static void
settle(struct NrGroup *group, NrAtomic64 *headroom, NrAtomic32 *mapped, const NrExtentTable *t,
	   Stock stock, uint32_t claim, uint32_t releases)
{
	int64_t		back = (int64_t) claim - ((int64_t) stock.free_before - (int64_t) t->free_count) +
		(int64_t) (releases - stock.released);

	if (back != 0)
		nr_add64_rlx(headroom, (uint64_t) back);
	if (stock.released > 0)
	{
		nr_sub32_seq(mapped, stock.released);	/* edge P2: a count, too high until then */
		nr_add64_rlx(&group->released, stock.released);
	}
}

/* Prepared writes are counted when they are applied, others when they are appended. */
static void
count_prepared(Replay *p, const NrBatch *batch)
{
	nr_bump64(&p->rep->batches, 1);
	nr_bump64(&p->rep->requests, batch->requests);
	nr_bump64(&p->rep->ops, batch->ops);
	nr_bump64(&p->rep->bytes, batch->bytes);
}

/* By whom: a session of this replica, its worker, or somebody from another one. */
static inline void
count_applied(Replay *p, uint32_t ops)
{
	nr_bump64(&p->rep->ops_applied, ops);
	if (p->s->worker)
		nr_bump64(&p->rep->ops_by_worker, ops);
	else if (p->home != p->r)
		nr_bump64(&p->rep->ops_by_strangers, ops);
}

static void
apply_requests(Replay *p, NrBatch *batch, uint64_t seq)
{
	char	   *at = (char *) (batch + 1) + nr_grant_bytes(p->group, batch);

	for (uint32_t i = 0; i < batch->requests; i++)
	{
		NrBatchRequest *req = (NrBatchRequest *) at;

		apply_request(p, req, batch->replica, seq);
		at += sizeof(NrBatchRequest) +
			(req->first_extent == NR_NO_EXTENT ? NR_OP_ALIGN(req->bytes) : 0);
	}
}

/* Apply one batch.  A prepared write may be gone when this returns. */
static void
apply_batch(Replay *p, NrBatch *batch, uint64_t seq)
{
	struct NrGroup *group = p->group;
	const uint32_t *grants = (const uint32_t *) (batch + 1);
	bool		shares = p->copy.shared != NULL;
	NrCopy		shared;
	Stock		stock;
	Stock		shared_stock = {0};

	p->second = seq < p->visible;
	p->copy.pass = p->second ? NR_PASS_SECOND : NR_PASS_FIRST;
	p->copy.seq = seq;
	stock = stock_up(p, &p->copy, grants + p->c, batch->grants, group->copies, batch->releases);
	if (shares && !p->second)
	{
		shared = nr_copy_shared(&p->copy);
		shared_stock = stock_up(p, &shared, grants + (size_t) batch->grants * group->copies, batch->shared_grants,
								1, batch->shared_releases);
		if (batch->floor != 0)
			p->dispatch->reclaim(&p->copy, batch->floor);
	}
	if (batch->horizon != 0)
		p->dispatch->ordered(&p->copy, batch->horizon);
	apply_requests(p, batch, seq);
	/* for the second of two copies all else was done with the first */
	if (!p->second)
	{
		count_applied(p, batch->ops);
		if (batch->replica == p->r)
		{
			p->s->crossed.shared_updates++;
			settle(group, &group->headroom, &group->mapped, p->copy.table, stock, batch->claim, batch->releases);
			if (shares)
				settle(group, &group->shared_headroom, &group->shared_mapped, p->copy.shared, shared_stock,
					   batch->shared_claim, batch->shared_releases);
			if (batch->extent != NR_NO_EXTENT)
				count_prepared(p, batch);
		}
		else if (p->home != p->r)
			nr_bump64(&p->rep->helped, 1);
	}
	if (batch->extent != NR_NO_EXTENT)
	{
		p->s->crossed.pool_updates++;
		nr_pool_unref(p->e, batch->extent);
	}
}

/* Hand out the responses of an own batch. */
static void
deliver(Replay *p, const NrBatch *batch)
{
	const char *at = (const char *) (batch + 1) + nr_grant_bytes(p->group, batch);

	for (uint32_t i = 0; i < batch->requests; i++)
	{
		const NrBatchRequest *req = (const NrBatchRequest *) at;
		NrRequestSlot *slot = nr_request_slot(p->e, p->r, req->session);
		uint32_t	session = req->session;
		uint64_t	done = (req->word & ~(uint64_t) (NR_REQ_PHASE | NR_REQ_SLEEPING)) | NR_REQ_DONE;
		uint64_t	word;

		at += sizeof(NrBatchRequest) +
			(req->first_extent == NR_NO_EXTENT ? NR_OP_ALIGN(req->bytes) : 0);
		if (nr_req_phase(req->word) == NR_REQ_FREE)
			continue;			/* the combiner's own: nr_combine_alone */
		word = nr_xchg64_seq(&slot->state, done);	/* edge Q2, edge Z1 */
		NR_POINT("answered");
		if (word & NR_REQ_SLEEPING)
			p->e->host->wake(p->e, session);
	}
}

/*
 * Apply batches from seq on, as many as one step takes; returns how far it came.
 * It ends with an own batch, whose answers are due, at *own.
 */
static uint64_t
apply_step(Replay *p, uint64_t seq, uint64_t upto, NrBatch **own)
{
	size_t		bytes = 0;

	*own = NULL;
	do
	{
		NrBatch    *batch = nr_log_batch(p->s, p->g, p->home, seq);
		uint32_t	producer;

		NR_POINT("batch_apply");
		NR_FAR(p->e, NR_FAR_BATCH, batch, sizeof(*batch), false);
		/* the shortest one has three lines: let them come at the same time */
		__builtin_prefetch((const char *) batch + NR_CACHE_LINE);
		__builtin_prefetch((const char *) batch + 2 * NR_CACHE_LINE);
		NR_FAR_MORE(p->e, batch, batch->bytes);
		producer = batch->replica;
		bytes += batch->bytes;
		if (producer != p->home)
		{
			p->s->crossed.batches++;
			p->s->crossed.bytes += batch->bytes;
		}
		if (producer == p->r && seq >= p->visible && batch->extent == NR_NO_EXTENT)
			*own = batch;
		apply_batch(p, batch, seq);
		NR_FAR_END(p->e);
		seq++;
	} while (seq < upto && bytes < NR_REPLAY_CHUNK && *own == NULL);
	NR_POINT("batch_applied");

	/*
	 * Before any reader can see them, whoever produced them: what one read has
	 * seen, a later one on another replica must see too.
	 */
	if (!p->ahead)
	{
		nr_advance_completed(p->s, p->group, seq);
		NR_POINT("batch_complete");
	}

	/* From here on another replica's batch may be overwritten; our own not, its ring is ours. */
	nr_xchg64_seq(&p->rep->applied[p->c], seq); /* edge A1, edge L2, edge Z1 */
	return seq;
}

/* What is due after a step: answers, and whoever waits for log space. */
static void
after_step(Replay *p, const NrBatch *own)
{
	if (own != NULL)
		deliver(p, own);
	if (nr_load32_seq(&p->group->space_waiting) != 0)	/* edge Z1 */
		nr_wake_all(p->e, nr_space_waiters(p->group));
}

/* One copy: readers are kept out while it changes. */
static bool
replay_one(Replay *p, uint64_t upto, NrPatience patience)
{
	uint64_t	seq = nr_load64_rlx(&p->rep->applied[0]);	/* only the combiner lock's holder writes it */

	nr_copy_view(p->e, p->g, p->r, 0, &p->copy);
	while (seq < upto)
	{
		NrBatch    *own;

		if (!nr_rw_writer_enter(p->s, p->g, p->r, patience))
			return false;
		p->visible = seq;
		seq = apply_step(p, seq, upto, &own);
		nr_rw_writer_leave(p->s, p->g, p->r);
		after_step(p, own);
		if (own != NULL)
			patience = NR_IMPATIENT;	/* what is left is others' */
	}
	return true;
}

/*
 * Two copies: bring the idle one up to date and flip.  Its first batches are
 * those that the current one has had already.  "both": then the other one too.
 */
static bool
replay_two(Replay *p, uint64_t upto, NrPatience patience, bool both)
{
	for (;;)
	{
		uint32_t	current = nr_load32_rlx(&p->rep->current) & 1;
		uint64_t	seq;
		NrBatch    *own = NULL;

		p->c = 1 - current;
		p->visible = nr_load64_rlx(&p->rep->applied[current]);
		seq = nr_load64_rlx(&p->rep->applied[p->c]);
		if (p->visible >= upto && (!both || (seq >= upto && !p->group->unsynced)))
			return true;
		if (!nr_lr_drain(p->s, p->g, p->r, patience))
			return false;
		nr_copy_view(p->e, p->g, p->r, p->c, &p->copy);
		if (p->group->unsynced)
		{
			NrCopy		current_copy;

			nr_copy_view(p->e, p->g, p->r, 1 - p->c, &current_copy);
			nr_lr_sync(p->dispatch, &p->copy, &current_copy);
			p->group->unsynced = false;
		}
		while (seq < upto && own == NULL)
			seq = apply_step(p, seq, upto, &own);
		if (seq > p->visible)
		{
			nr_lr_flip(p->s, p->g, p->r);
			nr_wake_all(p->e, nr_waiters(p->e, p->rep));
		}
		after_step(p, own);
		if (own != NULL)
			patience = NR_IMPATIENT;	/* whom we made promises has been answered; the rest can wait */
	}
}

bool
nr_replay_to(NrSession *s, const NrDispatch *dispatch, uint32_t g, uint32_t r, uint64_t upto,
			 NrPatience patience, bool both)
{
	Replay		p;

	replay_begin(&p, s, dispatch, g, r);
	if (p.group->copies == 1)
		return replay_one(&p, upto, patience);
	return replay_two(&p, upto, patience, both);
}

bool
nr_replay(NrSession *s, const NrDispatch *dispatch, uint32_t g, uint32_t r,
		  NrPatience patience, bool both)
{
	return nr_replay_to(s, dispatch, g, r, nr_log_tail(s, g), patience, both);
}

void
nr_replay_older(NrSession *s, const NrDispatch *dispatch, uint32_t g, uint32_t r)
{
	Replay		p;

	replay_begin(&p, s, dispatch, g, r);
	(void) replay_two(&p, nr_position(p.rep), NR_IMPATIENT, true);
}

void
nr_replay_all(NrSession *s, const NrDispatch *dispatch, uint32_t g)
{
	NrEngine   *e = s->engine;
	struct NrGroup *group = nr_group(e, g);
	uint64_t	upto = nr_log_tail(s, g);

	for (uint32_t r = 0; r < group->replicas; r++)
	{
		struct NrReplica *rep = nr_replica(e, g, r);
		Replay		p;
		uint32_t	current;
		uint64_t	seq;
		NrBatch    *own;

		nr_visit(s, g, r);
		replay_begin(&p, s, dispatch, g, r);
		p.ahead = true;
		current = nr_load32_rlx(&rep->current); /* all combiner locks are ours */
		p.c = 1 - current;
		p.visible = nr_load64_rlx(&rep->applied[current]);
		seq = nr_load64_rlx(&rep->applied[p.c]);
		nr_copy_view(e, g, r, p.c, &p.copy);
		while (seq < upto)
			seq = apply_step(&p, seq, upto, &own);
		nr_store64_rel(&rep->ahead, upto);	/* edge F4: from here on readers need not wait for the flip */
		nr_visit_end(s);
	}
	nr_advance_completed(s, group, upto);
	NR_POINT("batch_complete");
	for (uint32_t r = 0; r < group->replicas; r++)
	{
		nr_visit(s, g, r);
		nr_lr_flip(s, g, r);
		nr_wake_all(e, nr_waiters(e, nr_replica(e, g, r)));
		nr_visit_end(s);
	}
	if (nr_load32_seq(&group->space_waiting) != 0)	/* edge Z1 */
		nr_wake_all(e, nr_space_waiters(group));
}

void
nr_apply_idle(NrSession *s, const NrDispatch *dispatch, uint32_t g, const NrBatch *batch,
			  void *ops, size_t bytes, uint32_t n, NrResult *result)
{
	Replay		p;
	const uint32_t *grants = (const uint32_t *) (batch + 1);
	NrRequestSlot answers = {.status = NR_OK};
	Stock		stock;
	Stock		shared_stock = {0};
	NrCopy		shared;
	NrCopy		other;

	replay_begin(&p, s, dispatch, g, 0);
	p.c = 1 - nr_load32_rlx(&p.rep->current);	/* only the combiner lock's holder changes it */
	nr_copy_view(p.e, g, 0, p.c, &p.copy);
	nr_copy_view(p.e, g, 0, 1 - p.c, &other);
	p.copy.pass = NR_PASS_ONLY;
	/* readers of the other one look at numbers that are in use only */
	(void) stock_up(&p, &other, grants + 1 - p.c, batch->grants, 2, 0);
	stock = stock_up(&p, &p.copy, grants + p.c, batch->grants, 2, 0);
	if (p.copy.shared != NULL)
	{
		shared = nr_copy_shared(&p.copy);
		shared_stock = stock_up(&p, &shared, grants + (size_t) batch->grants * 2, batch->shared_grants, 1, 0);
	}
	apply_ops(&p, ops, (uint32_t) bytes, &n, &answers, NULL);
	settle(p.group, &p.group->headroom, &p.group->mapped, p.copy.table, stock, batch->claim, 0);
	if (p.copy.shared != NULL)
		settle(p.group, &p.group->shared_headroom, &p.group->shared_mapped, p.copy.shared, shared_stock,
			   batch->shared_claim, 0);
	result->status = (NrStatus) answers.status;
	result->done = answers.done;
	result->flagged = answers.flagged;
	result->last.flag = answers.last_flag != 0;
	result->last.length = 0;
}

void
nr_apply_alone(NrSession *s, const NrDispatch *dispatch, uint32_t g, const NrBatch *batch, const void *ops, uint32_t bytes)
{
	Replay		p;
	NrRequestSlot *slot = nr_request_slot(s->engine, 0, s->idx);
	uint32_t	left = batch->ops;
	uint64_t	seq;
	Stock		stock;

	replay_begin(&p, s, dispatch, g, 0);
	seq = nr_load64_rlx(&p.rep->applied[0]);	/* only the combiner lock's holder writes it */
	nr_copy_view(p.e, g, 0, 0, &p.copy);
	p.copy.seq = seq;
	(void) nr_rw_writer_enter(s, g, 0, NR_PATIENT);
	NR_POINT("batch_apply");
	stock = stock_up(&p, &p.copy, (const uint32_t *) (batch + 1), batch->grants, 1, batch->releases);
	answer_begin(slot, seq);
	apply_ops(&p, (char *) ops, bytes, &left, slot, nr_session_buffer(p.e, 0, s->idx));
	NR_POINT("batch_applied");
	count_applied(&p, batch->ops);
	settle(p.group, &p.group->headroom, &p.group->mapped, p.copy.table, stock, batch->claim, batch->releases);
	nr_log_skip(s, g, seq);
	nr_advance_completed(s, p.group, seq + 1);
	NR_POINT("batch_complete");
	/* all was applied before: nobody waits for room that this makes */
	nr_store64_rel(&p.rep->applied[0], seq + 1);	/* edge A1, edge L2 */
	nr_rw_writer_leave(s, g, 0);
}
