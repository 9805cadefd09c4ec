/*
 * publish.c
 *		append ... publish, left-right's way of writing; contract in engine.h.
 *
 * What is appended and not published lies in a chain of extents that belongs to
 * the group.  nr_publish makes a prepared write of the whole chain: so it is
 * visible at once or not at all, and when something stands in the way all of it is
 * still there.
 *
 * Before the first publish, in a group of one replica with two copies, operations go
 * straight to the copy that nobody reads (the crate left_right does so, too): a load
 * needs no log and no second application.  The first publish flips; before the other
 * copy is changed for the first time, it becomes a copy of the first (replay.c).
 */
#include "engine/crossing.h"
#include "engine/grant.h"
#include "engine/leftright.h"
#include "engine/prepare.h"

#define NR_GRANTS_STRAIGHT	2048	/* physical extents that one call may take at most */

static NrStatus
append_straight(NrHandle *h, void *ops, size_t bytes, uint32_t n, bool cancellable,
				NrResult *result)
{
	NrSession  *s = h->session;
	NrNeed		need = h->dispatch->need_ops(&h->group->copy_config, ops, bytes, n, false);
	NrStatus	status = nr_own_idle_copies(h, 0, cancellable);
	_Alignas(8) char space[sizeof(NrBatch) + sizeof(uint32_t) * NR_GRANTS_STRAIGHT];
	NrBatch    *batch = (NrBatch *) space;

	if (status != NR_OK)
		return status;
	if (nr_grant_all(s, h->g, batch, need, NR_GRANTS_STRAIGHT))
	{
		batch->claim += batch->releases;	/* nothing is released now: it stays headroom */
		batch->shared_claim += batch->shared_releases;
		nr_apply_idle(s, h->dispatch, h->g, batch, ops, bytes, n, result);
		nr_bump64(&h->group->pending, n);
	}
	else
		status = NR_NO_SPACE;
	nr_disown_idle_copies(h);
	return status;
}

/* Behind what is pending: into the rest of its last extent, then into new ones.  All or nothing. */
static NrStatus
append_pending(NrHandle *h, const char *ops, size_t bytes)
{
	NrSession  *s = h->session;
	NrEngine   *e = s->engine;
	struct NrGroup *group = h->group;
	NrPayload  *last = NULL;
	size_t		fits = 0;
	uint32_t	first = NR_NO_EXTENT;
	uint32_t	end = NR_NO_EXTENT;

	if (group->pending_last != NR_NO_EXTENT)
	{
		last = (NrPayload *) nr_physical(e, 0, group->pending_last);
		while (fits < bytes &&
			   last->bytes + fits + ((const NrOpHeader *) (ops + fits))->bytes <= nr_op_bytes_max(&e->geo))
			fits += ((const NrOpHeader *) (ops + fits))->bytes;
	}
	if (fits < bytes &&
		nr_payload_place(s, h->g, 0, ops + fits, bytes - fits, &first, &end) != NR_OK)
		return NR_NO_SPACE;
	NR_POINT("append_pending");
	if (last != NULL)
	{
		memcpy((char *) (last + 1) + last->bytes, ops, fits);
		last->bytes += (uint32_t) fits;
		last->next = first;
	}
	else
		group->pending_first = first;
	if (end != NR_NO_EXTENT)
		group->pending_last = end;
	group->pending_bytes += bytes;
	return NR_OK;
}

/* It lies in the region of replica 0, whoever appends to it. */
static NrStatus
visit_pending(NrHandle *h, const char *ops, size_t bytes)
{
	NrStatus	status;

	nr_visit(h->session, h->g, 0);
	status = append_pending(h, ops, bytes);
	nr_visit_end(h->session);
	h->session->crossed.shared_updates++;
	return status;
}

NrStatus
nr_append(NrHandle *h, void *ops, size_t bytes, uint32_t n, bool cancellable, NrResult *result)
{
	NrEngine   *e = h->session->engine;
	struct NrGroup *group = h->group;
	NrStatus	status;

	if (h->dispatch->need_ops == NULL || group->config.lazy != (group->copies == 1))
		return NR_BAD_CONFIG;
	status = nr_check_ops(e, ops, bytes, n);
	if (status != NR_OK)
		return status;
	if (bytes > group->config.batch_bytes_max)
		return NR_TOO_LARGE;
	if (group->loading)
		return append_straight(h, ops, bytes, n, cancellable, result);

	if (group->pending_bytes + bytes > group->config.batch_bytes_max)
		return NR_TOO_LARGE;
	nr_crossings_of(h->session, h->g);
	status = visit_pending(h, ops, bytes);
	if (status == NR_NO_SPACE)
	{
		if (group->copies == 1)
			nr_let_go(h);
		status = visit_pending(h, ops, bytes);
	}
	if (status != NR_OK)
		return status;
	nr_bump64(&group->pending, n);
	result->status = NR_OK;
	result->done = n;
	result->flagged = 0;
	result->last.flag = false;
	result->last.length = 0;
	return NR_OK;
}

uint64_t
nr_pending_count(NrHandle *h)
{
	return nr_load64_rlx(&h->group->pending);
}

/* The first publish: what was loaded straight into the idle copy is what readers enter from now on. */
static NrStatus
publish_load(NrHandle *h, uint32_t flags, bool cancellable, uint64_t *n)
{
	struct NrGroup *group = h->group;
	NrStatus	status = nr_own_idle_copies(h, flags, cancellable);

	if (status != NR_OK)
		return status;
	*n = nr_load64_rlx(&group->pending);
	NR_POINT("publish_load");
	nr_lr_flip(h->session, h->g, 0);
	/* not in the log, but for who counts writes it is one batch */
	nr_bump64(&h->replica->batches, 1);
	nr_bump64(&h->replica->requests, 1);
	nr_bump64(&h->replica->ops, *n);
	nr_bump64(&h->replica->ops_applied, *n);
	group->loading = false;
	group->unsynced = true;
	nr_store64_rlx(&group->pending, 0);
	nr_disown_idle_copies(h);
	return NR_OK;
}

static uint32_t
add_need(uint32_t a, uint32_t b)
{
	return a <= UINT32_MAX - b ? a + b : UINT32_MAX;
}

/* Extents that the pending operations need at most: each extent of the chain by itself. */
static NrNeed
pending_need(NrHandle *h)
{
	struct NrGroup *group = h->group;
	NrNeed		need = {0};

	nr_visit(h->session, h->g, 0);
	for (uint32_t x = group->pending_first; x != NR_NO_EXTENT;)
	{
		NrPayload  *payload = (NrPayload *) nr_physical(h->session->engine, 0, x);
		uint32_t	n = 0;
		NrNeed		more;

		for (uint32_t at = 0; at < payload->bytes; n++)
			at += ((NrOpHeader *) ((char *) (payload + 1) + at))->bytes;
		more = h->dispatch->need_ops(&group->copy_config, payload + 1, payload->bytes, n, false);
		need.extents = add_need(need.extents, more.extents);
		need.shared = add_need(need.shared, more.shared);
		x = payload->next;
	}
	nr_visit_end(h->session);
	return need;
}

static NrStatus
publish(NrHandle *h, uint32_t flags, bool cancellable, uint64_t *n)
{
	struct NrGroup *group = h->group;
	NrPrepareOps what = {.ops = NULL,.chain = group->pending_first,.bytes = group->pending_bytes};
	NrPrepared	prepared;
	NrStatus	status;

	*n = 0;
	if (nr_load64_rlx(&group->pending) == 0)
		return NR_OK;
	nr_crossings_of(h->session, h->g);
	if (group->loading)
		return publish_load(h, flags, cancellable, n);
	what.n = (uint32_t) nr_load64_rlx(&group->pending);
	what.need = pending_need(h);
	status = nr_prepare_ops(h, &what, flags, cancellable, &prepared);
	if (status != NR_OK)
		return status;
	*n = what.n;
	h->session->crossed.shared_updates++;
	group->pending_first = group->pending_last = NR_NO_EXTENT;
	group->pending_bytes = 0;
	nr_store64_rlx(&group->pending, 0);
	NR_POINT("publish_detached");
	nr_prepared_append(h, &prepared);
	return NR_OK;
}

NrStatus
nr_publish(NrHandle *h, bool cancellable, uint64_t *n)
{
	return publish(h, 0, cancellable, n);
}

NrStatus
nr_publish_try(NrHandle *h, uint64_t *n)
{
	return publish(h, NR_PREPARE_TRY, true, n);
}

NrStatus
nr_flush(NrHandle *h, bool cancellable)
{
	uint64_t	n;

	return publish(h, 0, cancellable, &n);
}
