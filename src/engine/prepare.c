/*
 * prepare.c
 *		Prepared writes: get everything first, append later; contract in engine.h.
 *
 * A prepared write is a batch of one request that nobody waits for.  Its record
 * lies in an extent that the group's sessions share and not in the ring of a replica:
 * rings are written under the combiner lock, and freed in the order in
 * which they were written, so one write that takes long to be appended would hold
 * up all.  Of the log it holds a claim: a count, not a place (log.h).
 *
 * Sessions share the extent, chunk by chunk, so that small records do not take one
 * each while replicas lag.  It has as many references for each chunk as there are
 * copies that are to apply a record: so the last one that needs any of it frees it,
 * whoever opened it.  Those of chunks that nobody has taken yet belong to the word
 * in which the group notes the open extent, and to who takes it from there.
 */
#include "engine/crossing.h"
#include "engine/grant.h"
#include "engine/leftright.h"
#include "engine/order.h"
#include "engine/prepare.h"

#define NR_CLAIM_TRIES	200		/* times NR_SPACE_POLL_US that others' claims are waited for */
#define NR_TIDIES		2		/* batches that make room, or tidy up behind a commit: reclaim, release */

/* ---- records ---- */

/* group->records: tag << 32 | extent + 1 << 8 | its first free chunk; without extent: 0 in the lower half. */
#define records_chunk(word)		((uint32_t) (word) & 0xff)
#define records_extent(word)	(((uint32_t) (word) >> 8) - 1)
#define records_word(old, extent, chunk) \
	((((old) >> 32) + 1) << 32 | (uint64_t) ((extent) + 1) << 8 | (chunk))
#define records_none(word)		((uint32_t) (word) == 0)

static void
unref_chunks(NrHandle *h, uint32_t extent, uint32_t chunks)
{
	h->session->crossed.pool_updates += chunks > 0;
	nr_pool_unref_many(h->session->engine, extent, chunks * h->group->replicas * h->group->copies);
}

/* If nobody needs any of the open extent, it goes back to the pool. */
static void
records_close(NrHandle *h)
{
	struct NrGroup *group = h->group;
	uint64_t	word = nr_load64_acq(&group->records);	/* edge M1 */
	uint32_t	chunks = NR_RECORD_CHUNKS - records_chunk(word);

	if (!records_none(word) &&
		nr_pool_refs(h->session->engine, records_extent(word)) == chunks * group->replicas * group->copies &&
		nr_cas64_seq(&group->records, &word, ((word >> 32) + 1) << 32)) /* edge M1 */
	{
		h->session->crossed.shared_updates++;
		unref_chunks(h, records_extent(word), chunks);
	}
}

/* Room for a record of so many bytes, with a reference for each copy. */
static bool
record_alloc(NrHandle *h, size_t bytes, NrPrepared *p)
{
	NrEngine   *e = h->session->engine;
	struct NrGroup *group = h->group;
	size_t		chunk_bytes = ((size_t) 1 << e->geo.extent_shift) / NR_RECORD_CHUNKS;
	uint32_t	chunks = (uint32_t) ((bytes + chunk_bytes - 1) / chunk_bytes);
	uint64_t	word = nr_load64_acq(&group->records);	/* edge M1 */

	if (bytes > (size_t) 1 << e->geo.extent_shift)
		return false;
	for (;;)
	{
		uint32_t	chunk = records_chunk(word);
		uint32_t	extent;

		NR_POINT("record_room");
		h->session->crossed.shared_updates++;
		if (!records_none(word) && chunk + chunks <= NR_RECORD_CHUNKS)
		{
			extent = records_extent(word);
			if (!nr_cas64_seq(&group->records, &word, records_word(word, extent, chunk + chunks)))	/* edge M1 */
				continue;
		}
		else
		{
			/* a new one; what is left of the old one nobody will take */
			h->session->crossed.pool_updates++;
			extent = nr_pool_alloc(e, h->g, NR_RECORD_CHUNKS * group->replicas * group->copies);
			if (extent == NR_NO_EXTENT)
				return false;
			if (!nr_cas64_seq(&group->records, &word, records_word(word, extent, chunks)))	/* edge M1 */
			{
				nr_pool_free(e, extent);
				continue;
			}
			if (!records_none(word))
				unref_chunks(h, records_extent(word), NR_RECORD_CHUNKS - chunk);
			chunk = 0;
		}
		unref_chunks(h, extent, chunks - 1);	/* one for each copy is left */
		p->extent = extent;
		p->chunk = chunk;
		p->batch = nr_record_ptr(e, p->replica, extent, chunk);
		return true;
	}
}

static void
record_free(NrHandle *h, NrPrepared *p)
{
	unref_chunks(h, p->extent, 1);
	p->batch = NULL;
	records_close(h);
}

/* ---- two copies: everything that COMMIT would have to wait for ---- */

static void
let_combine(NrSession *s, uint32_t g, uint32_t r)
{
	nr_visit(s, g, r);
	nr_combiner_unlock(s, g, r);
	nr_visit_end(s);
}

void
nr_disown_idle_copies(NrHandle *h)
{
	for (uint32_t r = h->group->replicas; r > 0; r--)
		let_combine(h->session, h->g, r - 1);
}

/* With all combiner locks: both copies at the tail, nobody in the idle one.  False: patience ended. */
static bool
catch_up_idle_copies(NrHandle *h, NrPatience patience)
{
	NrSession  *s = h->session;
	bool		done = true;

	for (uint32_t r = 0; done && r < h->group->replicas; r++)
	{
		nr_visit(s, h->g, r);
		done = nr_replay(s, h->dispatch, h->g, r, patience, true) && nr_lr_drain(s, h->g, r, patience);
		nr_visit_end(s);
	}
	return done;
}

NrStatus
nr_own_idle_copies(NrHandle *h, uint32_t flags, bool cancellable)
{
	NrSession  *s = h->session;
	bool		wait = !(flags & NR_PREPARE_TRY);
	NrPatience	patience = !wait ? NR_IMPATIENT : cancellable ? NR_CANCELLABLE : NR_PATIENT;
	uint32_t	locked = 0;
	bool		owned = true;

	while (owned && locked < h->group->replicas)
	{
		nr_visit(s, h->g, locked);
		owned = wait ? nr_combiner_lock(s, h->g, locked, cancellable, false) == NR_LOCKED :
			nr_combiner_try(s, h->g, locked);
		nr_visit_end(s);
		locked += owned;
	}
	/* first what readers see: none of them may need a lock that we hold while we wait for another replica's */
	for (uint32_t r = 0; owned && r < h->group->replicas; r++)
	{
		nr_visit(s, h->g, r);
		owned = nr_replay(s, h->dispatch, h->g, r, patience, false);
		nr_visit_end(s);
	}
	NR_POINT("copies_locked");
	if (owned && catch_up_idle_copies(h, patience))
		return NR_OK;
	while (locked > 0)
		let_combine(s, h->g, --locked);
	return wait ? NR_CANCELLED : NR_BUSY;
}

/* ---- prepare ---- */

/* Room for one batch in the log. */
static NrStatus
claim_slot(NrHandle *h, uint32_t flags, bool cancellable)
{
	NrSession  *s = h->session;

	while (!nr_log_claim(s, h->g))
	{
		NrFull		full = {.head = nr_log_head(s, h->g),.slots = true};

		nr_add64_rlx(&h->replica->full, 1);
		if (h->group->copies == 1)	/* with two, all are at the tail */
			nr_let_go(h);
		if (nr_log_claim(s, h->g))
			return NR_OK;
		if (flags & NR_PREPARE_TRY)
			return NR_BUSY;
		if (!nr_wait_for_space(h, &full, cancellable))
			return NR_CANCELLED;
	}
	return NR_OK;
}

/* The record with its grants, for a claim of the whole need. */
static NrStatus
fill_record(NrHandle *h, const NrPrepareOps *ops, bool inline_ops, NrPrepared *p)
{
	NrSession  *s = h->session;
	struct NrGroup *group = h->group;
	size_t		extent = (size_t) 1 << s->engine->geo.extent_shift;
	size_t		tail = sizeof(NrBatchRequest) + (inline_ops ? NR_OP_ALIGN(ops->bytes) : 0);
	uint64_t	numbers = nr_grant_numbers(group, ops->need.extents, ops->need.shared);
	NrBatchRequest *req;

	if (numbers > (extent - sizeof(NrBatch) - tail - 8) / sizeof(uint32_t))
		numbers = (extent - sizeof(NrBatch) - tail - 8) / sizeof(uint32_t);
	if (!record_alloc(h, sizeof(NrBatch) + NR_OP_ALIGN(numbers * sizeof(uint32_t)) + tail, p))
		return NR_NO_SPACE;
	if (!nr_grant_all(s, h->g, p->batch, ops->need, (uint32_t) numbers))
	{
		record_free(h, p);
		return NR_NO_SPACE;
	}
	NR_POINT("record_granted");
	p->batch->bytes = (uint32_t) (sizeof(NrBatch) + nr_grant_bytes(group, p->batch) + tail);
	p->batch->replica = p->replica;
	p->batch->requests = 1;
	p->batch->ops = ops->n;
	p->batch->extent = p->extent;
	p->batch->horizon = p->batch->floor = 0;
	nr_store64_rlx(&p->batch->seq, UINT64_MAX); /* nobody looks: it is not in a ring */
	req = (NrBatchRequest *) ((char *) (p->batch + 1) + nr_grant_bytes(group, p->batch));
	req->session = NR_SESSION_NONE;
	req->n = ops->n;
	req->bytes = (uint32_t) ops->bytes;
	req->first_extent = ops->ops == NULL ? ops->chain : NR_NO_EXTENT;
	req->word = 0;
	p->payload = NR_NO_EXTENT;
	if (inline_ops)
		memcpy(req + 1, ops->ops, ops->bytes);
	else if (ops->ops != NULL)
	{
		uint32_t	end;

		if (nr_payload_place(s, h->g, p->replica, ops->ops, ops->bytes, &p->payload, &end) != NR_OK)
		{
			nr_grant_undo(s, h->g, p->batch);
			record_free(h, p);
			return NR_NO_SPACE;
		}
		req->first_extent = p->payload;
	}
	return NR_OK;
}

/*
 * Two copies share memory: is there any that is set aside, or free and of the other kind than what
 * is missing?
 */
static bool
shared_in_the_way(NrHandle *h)
{
	struct NrGroup *group = h->group;

	return nr_shares_deferred(h->session->engine, group, h->g, h->r) ||
		(nr_group_shares(group) && ((int64_t) nr_load64_rlx(&group->headroom) > 0 ||
									(int64_t) nr_load64_rlx(&group->shared_headroom) > 0));
}

/*
 * Then an empty batch, so that what was set aside before it can be used, and what is free is
 * whoever's wants it.  All copies are at the tail and owned, and then so again.
 */
static NrStatus
reclaim_shared(NrHandle *h, uint32_t flags, bool cancellable)
{
	NrSession  *s = h->session;

	if (!nr_append_empty(s, h->dispatch, h->g, true))
		return NR_OK;			/* the log is full: what there is must do */
	nr_replay_all(s, h->dispatch, h->g);
	return catch_up_idle_copies(h, flags & NR_PREPARE_TRY ? NR_IMPATIENT : cancellable ? NR_CANCELLABLE : NR_PATIENT) ?
		NR_OK : flags & NR_PREPARE_TRY ? NR_BUSY : NR_CANCELLED;
}

/*
 * Is there nobody whose memory may come back: who has prepared and not appended, or a batch on its
 * way?  That is so only if it was so before memory was looked for the last time, and nothing has been
 * appended since: otherwise what was missing then may be there by now.
 */
static bool
nobody_to_wait_for(NrHandle *h, bool *alone, uint64_t *tail)
{
	bool		was_alone = *alone;
	uint64_t	old_tail = *tail;

	*tail = nr_log_tail(h->session, h->g);
	*alone = nr_load64_rlx(&h->group->claimed) - *tail <= 1 && nr_log_head(h->session, h->g) >= *tail;
	return was_alone && *alone && *tail == old_tail;
}

/*
 * Memory for all of it.  What others have claimed comes back when they have
 * appended, and what their batches have not used when these have been applied; so they are
 * waited for, a while: one of them may be held up for long.
 */
static NrStatus
claim_memory(NrHandle *h, const NrPrepareOps *ops, uint32_t flags, bool cancellable, NrPrepared *p)
{
	NrSession  *s = h->session;
	bool		inline_ops = ops->ops != NULL && ops->bytes <= s->engine->geo.session_buffer_bytes;
	bool		alone = false;
	uint64_t	tail = 0;

	for (int tries = 0;; tries++)
	{
		NrStatus	status;

		nr_visit(s, h->g, p->replica);
		status = fill_record(h, ops, inline_ops, p);
		nr_visit_end(s);
		if (status != NR_NO_SPACE)
			return status;
		if (tries % 2 == 0 && h->group->copies == 1)
		{
			nr_let_go(h);
			continue;
		}
		if (tries < NR_TIDIES && shared_in_the_way(h) && !nr_grant_impossible(h->group, ops->need))
		{
			status = reclaim_shared(h, flags, cancellable);
			if (status != NR_OK)
				return status;
			continue;
		}
		if ((flags & NR_PREPARE_TRY) || tries >= NR_CLAIM_TRIES ||
			nr_grant_impossible(h->group, ops->need) || nobody_to_wait_for(h, &alone, &tail))
			return NR_NO_SPACE;
		if (!alone && !nr_sleep(s, NR_WAIT_LOG_SPACE, h->g, NR_SESSION_NONE, NR_SPACE_POLL_US, cancellable))
			return NR_CANCELLED;
	}
}

/* Write the number into all operations. */
static void
number_ops(NrHandle *h, NrPrepared *p)
{
	NrBatchRequest *req = (NrBatchRequest *) ((char *) (p->batch + 1) +
											  nr_grant_bytes(h->group, p->batch));
	uint32_t	extent = req->first_extent;
	char	   *ops = (char *) (req + 1);
	uint32_t	bytes = req->bytes;

	for (;;)
	{
		if (extent != NR_NO_EXTENT)
		{
			NrPayload  *payload = (NrPayload *) nr_physical(h->session->engine, p->replica, extent);

			ops = (char *) (payload + 1);
			bytes = payload->bytes;
			extent = payload->next;
		}
		for (uint32_t at = 0; at < bytes; at += ((NrOpHeader *) (ops + at))->bytes)
			((NrOpHeader *) (ops + at))->order_seq = p->order_seq;
		if (extent == NR_NO_EXTENT)
			return;
	}
}

NrStatus
nr_prepare_ops(NrHandle *h, const NrPrepareOps *ops, uint32_t flags, bool cancellable, NrPrepared *p)
{
	NrSession  *s = h->session;
	bool		two = h->group->copies == 2;
	NrStatus	status = NR_OK;

	nr_crossings_of(s, h->g);
	memset(p, 0, sizeof(*p));
	p->replica = ops->ops != NULL ? h->r : 0;	/* a chain is everybody's */
	if (two)
		status = nr_own_idle_copies(h, flags, cancellable);
	if (status != NR_OK)
		return status;
	if (two)
		h->group->loading = false;	/* and only then: others prepare at the same time */
	status = claim_slot(h, flags, cancellable);
	if (status == NR_OK)
	{
		NR_POINT("slot_claimed");
		status = claim_memory(h, ops, flags, cancellable, p);
		if (status != NR_OK)
			nr_log_give_back(s, h->g);
	}
	if (status != NR_OK)
	{
		if (two)
			nr_disown_idle_copies(h);
		return status;
	}
	p->locked = two;
	if (flags & NR_PREPARE_ORDERED)
	{
		p->order_seq = nr_order_draw(s, h->g);
		number_ops(h, p);
	}
	NR_POINT("prepared");
	return NR_OK;
}

NrStatus
nr_prepare(NrHandle *h, const void *ops, size_t bytes, uint32_t n, uint32_t flags, bool cancellable,
		   NrPrepared *p)
{
	struct NrGroup *group = h->group;
	NrPrepareOps what = {.ops = ops,.chain = NR_NO_EXTENT,.bytes = bytes,.n = n};
	bool		ordered = (flags & NR_PREPARE_ORDERED) != 0;
	NrStatus	status;

	memset(p, 0, sizeof(*p));
	if (h->dispatch->need_ops == NULL || (ordered && h->dispatch->ordered == NULL) ||
		group->config.lazy != (group->copies == 1))
		return NR_BAD_CONFIG;
	if (nr_load64_rlx(&group->pending) != 0)
		return NR_BAD_CONFIG;	/* what was appended must not be overtaken */
	if (bytes > group->config.batch_bytes_max)
		return NR_TOO_LARGE;
	status = nr_check_ops(h->session->engine, ops, bytes, n);
	if (status != NR_OK)
		return status;
	what.need = h->dispatch->need_ops(&group->copy_config, ops, bytes, n, ordered);
	return nr_prepare_ops(h, &what, flags, cancellable, p);
}

/* ---- append, or not ---- */

/*
 * With all combiner locks, which are let go of: what is dropped is reclaimed once the older
 * copies have followed, and what is surplus is released, if no reader is in the way.
 */
static void
tidy_up(NrHandle *h)
{
	NrSession  *s = h->session;

	for (int i = 0; i < NR_TIDIES; i++)
	{
		bool		due = nr_tidy_due(s->engine, h->g, h->r);

		nr_disown_idle_copies(h);
		if (!due || nr_own_idle_copies(h, NR_PREPARE_TRY, false) != NR_OK)
			return;
		nr_tidy(s, h->dispatch, h->g);
	}
	nr_disown_idle_copies(h);
}

void
nr_prepared_append(NrHandle *h, NrPrepared *p)
{
	NrSession  *s = h->session;
	NrEngine   *e = s->engine;
	uint64_t	seq;

	nr_crossings_of(s, h->g);
	nr_visit(s, h->g, p->replica);
	if (p->order_seq != 0)
	{
		/*
		 * Not further than itself: a batch with a higher number that was appended
		 * earlier must still be remembered when this one is applied.
		 */
		uint64_t	horizon = nr_order_horizon(e, h->g, s->idx);

		p->batch->horizon = horizon <= p->order_seq ? horizon : p->order_seq + 1;
	}
	if (nr_shares_deferred(e, h->group, h->g, h->r))
		p->batch->floor = nr_log_head(s, h->g);
	nr_visit_end(s);
	NR_POINT("prepared_append");
	seq = nr_log_append_record(s, h->g, p->replica, p->extent, p->chunk);
	NR_POINT("prepared_appended");
	if (p->order_seq != 0)
		nr_order_done(s, h->g);
	p->batch = NULL;			/* whoever applies it last frees it */

	if (p->locked)
	{
		/* drained and caught up when it was prepared: nobody is waited for */
		nr_replay_all(s, h->dispatch, h->g);
		tidy_up(h);
	}
	else
	{
		/* from here on a read that finds it not applied applies it */
		nr_advance_completed(s, h->group, seq + 1);
		NR_POINT("prepared_completed");
		if (nr_combiner_try(s, h->g, h->r))
		{
			(void) nr_replay(s, h->dispatch, h->g, h->r, NR_IMPATIENT, false);
			nr_tidy(s, h->dispatch, h->g);
			nr_combiner_unlock(s, h->g, h->r);
		}
	}
	records_close(h);
}

void
nr_prepared_drop(NrHandle *h, NrPrepared *p)
{
	NrSession  *s = h->session;

	if (p->batch == NULL)
		return;
	nr_crossings_of(s, h->g);
	if (p->order_seq != 0)
		nr_order_done(s, h->g);
	nr_visit(s, h->g, p->replica);
	nr_payload_free(s, p->replica, p->payload);
	NR_POINT("prepared_drop");
	nr_grant_undo(s, h->g, p->batch);
	nr_visit_end(s);
	record_free(h, p);
	nr_log_give_back(s, h->g);
	if (p->locked)
		nr_disown_idle_copies(h);
	memset(p, 0, sizeof(*p));
}
