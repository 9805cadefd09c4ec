/*
 * group.c
 *		Making, dropping and attaching groups; contracts in engine.h.
 */
#include "engine/combine.h"
#include "engine/crossing.h"

#define NR_LOG_EXTENTS_MAX	4096

/* Slots of a log of that many bytes: one for each 256, since a batch takes at least two lines. */
static uint32_t
default_slots(uint64_t log_bytes, size_t extent)
{
	uint32_t	slots = 2;

	/* they lie in the first extent, and must leave most of it to the ring */
	while ((uint64_t) slots * 2 * 256 <= log_bytes && slots * 2 * sizeof(NrAtomic64) <= extent / 8)
		slots *= 2;
	return slots;
}

/* Fill in what follows from the configuration; nothing shared is touched yet. */
static NrStatus
plan(NrEngine *e, const NrGroupConfig *config, const NrDispatch *dispatch, struct NrGroup *plan,
	 uint32_t *init_extents)
{
	size_t		extent = (size_t) 1 << e->geo.extent_shift;
	uint64_t	log_bytes = config->log_bytes > extent ? config->log_bytes : extent;

	memset(plan, 0, sizeof(*plan));
	plan->config = *config;
	plan->dispatch_id = dispatch->id;
	plan->copy_config.extent_shift = e->geo.extent_shift;
	plan->copy_config.extents_max = config->extents_max;
	plan->copy_config.arg_bytes = config->arg_bytes;
	plan->copies = config->copies == 0 ? 1 : config->copies;
	plan->replicas = config->replicas == 0 ? e->geo.replicas : config->replicas;
	if ((plan->replicas != 1 && plan->replicas != e->geo.replicas) ||
		(config->lazy && plan->copies != 1))
		return NR_BAD_CONFIG;
	if (plan->copies > 2 || config->arg_bytes > NR_ARG_BYTES || config->extents_max < 1 ||
		config->extents_max > e->geo.extents ||
		(config->log_slots & (config->log_slots - 1)) != 0 || config->log_slots == 1)
		return NR_BAD_CONFIG;
	memcpy(plan->copy_config.arg, config->arg, config->arg_bytes);

	plan->log_extents = (uint32_t) ((log_bytes + extent - 1) / extent);
	plan->log_slots = config->log_slots != 0 ? config->log_slots :
		default_slots((uint64_t) plan->log_extents * extent, extent);
	if (plan->log_extents > NR_LOG_EXTENTS_MAX ||
		plan->log_extents * (extent / NR_CACHE_LINE) > NR_RING_LINES_MAX)
		return NR_BAD_CONFIG;
	/* the largest request that comes inline must fit beside the batch's own headers */
	if (nr_log_head_bytes(plan->log_slots, plan->log_extents) + e->geo.session_buffer_bytes + 1024 > extent)
		return NR_BAD_CONFIG;
	plan->log_head_bytes = (uint32_t) nr_log_head_bytes(plan->log_slots, plan->log_extents);

	plan->shared_root = NR_NO_EXTENT;
	if (config->shared_max > 0 && plan->copies == 2 && dispatch->shared_size != NULL)
	{
		plan->copy_config.shared_max = config->shared_max;
		plan->shared_root = 0;	/* there is to be one */
		if (config->shared_max > e->geo.extents ||
			nr_extent_table_bytes(config->shared_max) + dispatch->shared_size(&plan->copy_config) > extent)
			return NR_BAD_CONFIG;
	}
	plan->config.shared_max = plan->copy_config.shared_max;
	*init_extents = dispatch->init_extents(&plan->copy_config);
	if (nr_extent_table_bytes(config->extents_max) + dispatch->size(&plan->copy_config) > extent ||
		1 + *init_extents + (plan->shared_root != NR_NO_EXTENT ? 1 : 0) > config->extents_max)
		return NR_BAD_CONFIG;
	return NR_OK;
}

/* A table of extents with nothing mapped but the root, whose first bytes it is; the structure's root is zeroed. */
static void
format_table(NrEngine *e, const struct NrGroup *group, uint32_t r, uint32_t root, uint32_t capacity,
			 size_t root_bytes)
{
	NrExtentTable *t = (NrExtentTable *) nr_copy_physical(e, group, r, root);

	memset(t, 0, nr_extent_table_bytes(capacity));
	t->capacity = capacity;
	t->root_bytes = (uint32_t) root_bytes;
	t->words[0] = nr_map_number(e, group, root);
	t->words[capacity] = NR_NO_EXTENT;
	t->mapped_count = 1;
	t->free_head = NR_NO_EXTENT;
	t->unused_head = capacity > 1 ? 1 : NR_NO_EXTENT;
	for (uint32_t i = 1; i < capacity; i++)
		t->words[capacity + i] = i + 1 < capacity ? i + 1 : NR_NO_EXTENT;
	memset((char *) t + nr_extent_table_bytes(capacity), 0, root_bytes);
}

/* An empty copy on node r; with the first one goes what two copies share. */
static void
format_copy(NrEngine *e, uint32_t g, uint32_t r, uint32_t c, const NrDispatch *dispatch,
			const uint32_t *init_extents, uint32_t n)
{
	struct NrGroup *group = nr_group(e, g);
	const NrCopyConfig *config = &group->copy_config;
	NrCopy		copy;

	format_table(e, group, r, group->root_extent[c], config->extents_max, dispatch->size(config));
	if (c == 0 && nr_group_shares(group))
		format_table(e, group, r, group->shared_root, config->shared_max, dispatch->shared_size(config));
	nr_copy_view(e, g, r, c, &copy);
	copy.pass = c == 0 ? NR_PASS_FIRST : NR_PASS_SECOND;
	for (uint32_t i = 0; i < n; i++)
		nr_copy_grant(&copy, nr_map_number(e, group, init_extents[i]));
	dispatch->init(&copy, config);
}

/* The accounts of a group whose copies have just been formatted: "per_copy" extents in each. */
static void
format_accounts(NrEngine *e, uint32_t g, uint32_t per_copy)
{
	struct NrGroup *group = nr_group(e, g);
	NrCopy		copy;

	nr_copy_view(e, g, 0, 0, &copy);
	nr_store32_rlx(&group->mapped, per_copy);
	NR_FAR_REGION(e, 0);
	nr_store64_rlx(&group->headroom, copy.table->free_count);
	NR_FAR_END(e);
	nr_store32_rlx(&group->shared_mapped, nr_group_shares(group) ? 1 : 0);
	nr_store64_rlx(&group->shared_headroom, 0);
	group->loading = group->copies == 2 && group->replicas == 1;
	group->unsynced = false;
}

static void
zero_bitmap(NrEngine *e, NrAtomic64 *bitmap)
{
	for (uint32_t w = 0; w < e->bitmap_words; w++)
		nr_store64_rlx(&bitmap[w], 0);
}

/*
 * A replica without history.  Atomics are stored one by one: operators may be
 * looking, and sessions that end clear bits of groups that they never heard of.
 */
static void
format_replica(NrEngine *e, uint32_t g, uint32_t r)
{
	struct NrReplica *rep = nr_replica(e, g, r);
	NrAtomic64 *counter[] = {
		&rep->applied[0], &rep->applied[1], &rep->ahead, &rep->flips, &rep->ring_head, &rep->ring_tail, &rep->batches, &rep->requests, &rep->ops,
		&rep->ops_applied, &rep->helped, &rep->ops_by_worker, &rep->ops_by_strangers, &rep->bytes, &rep->writer_waits, &rep->writer_sleeps,
		&rep->full, &rep->hits, &rep->misses, &rep->reader_waits, &rep->reader_sleeps,
		&rep->response_sleeps, &rep->withdrawn, &rep->shared_updates, &rep->pool_updates, &rep->far_slots,
		&rep->far_positions, &rep->far_batches, &rep->far_bytes, &rep->far_visits
	};

	for (size_t i = 0; i < sizeof(counter) / sizeof(counter[0]); i++)
		nr_store64_rlx(counter[i], 0);
	nr_store32_rlx(&rep->writer, 0);
	nr_store32_rlx(&rep->starved, 0);
	nr_store32_rlx(&rep->combiner, 0);
	nr_store32_rlx(&rep->blocking_reader, 0);
	rep->ring_look_at = 0;
	rep->scan_from = rep->starved_ignored = rep->calls = 0;
	zero_bitmap(e, nr_pending(e, rep));
	zero_bitmap(e, nr_readers(e, rep));
	zero_bitmap(e, nr_waiters(e, rep));
	zero_bitmap(e, nr_flip_readers(e, rep));
	zero_bitmap(e, nr_excused(e, rep));
	nr_store32_rlx(&rep->current, 0);
}

/* The group's own part, from the plan. */
static void
format_group(NrEngine *e, struct NrGroup *group, const struct NrGroup *planned)
{
	nr_store32_rlx(&group->generation, nr_load32_rlx(&group->generation) + 1);
	group->dispatch_id = planned->dispatch_id;
	group->copies = planned->copies;
	group->replicas = planned->replicas;
	memcpy(group->root_extent, planned->root_extent, sizeof(group->root_extent));
	group->shared_root = planned->shared_root;
	group->log_slots = planned->log_slots;
	group->log_extents = planned->log_extents;
	group->log_first = planned->log_first;
	group->log_replica = planned->log_replica;
	group->log_head_bytes = planned->log_head_bytes;
	group->config = planned->config;
	group->copy_config = planned->copy_config;
	nr_store32_rlx(&group->space_waiting, 0);
	nr_store64_rlx(&group->log_space_waits, 0);
	nr_store64_rlx(&group->granted, 0);
	nr_store64_rlx(&group->released, 0);
	nr_store64_rlx(&group->order_seq, 0);
	nr_store64_rlx(&group->records, 0);
	nr_store64_rlx(&group->pending, 0);
	group->pending_bytes = 0;
	group->pending_first = group->pending_last = NR_NO_EXTENT;
	zero_bitmap(e, nr_space_waiters(group));
	zero_bitmap(e, nr_committers(e, group));
}

NrStatus
nr_group_create(NrEngine *e, uint32_t g, const NrGroupConfig *config, const NrDispatch *dispatch)
{
	struct NrGroup *group;
	struct NrGroup planned;
	uint32_t	extents[NR_LOG_EXTENTS_MAX];
	uint32_t	init_extents;
	uint32_t	per_copy;
	uint32_t	copies_end;
	uint32_t	log_at;
	uint32_t	n;
	NrStatus	status;

	if (g >= e->geo.groups)
		return NR_NO_GROUP;
	group = nr_group(e, g);
	if (nr_load32_acq(&group->exists))	/* edge G1 */
		return NR_NO_GROUP;
	status = plan(e, config, dispatch, &planned, &init_extents);
	if (status != NR_OK)
		return status;
	per_copy = 1 + init_extents;
	copies_end = planned.copies * per_copy;
	log_at = copies_end + (planned.shared_root != NR_NO_EXTENT ? 1 : 0);
	n = log_at + planned.log_extents;
	if (n > NR_LOG_EXTENTS_MAX)
		return NR_BAD_CONFIG;
	for (uint32_t i = 0; i < n; i++)
	{
		extents[i] = nr_pool_alloc(e, g, planned.replicas);
		if (extents[i] == NR_NO_EXTENT)
		{
			while (i > 0)
				nr_pool_free(e, extents[--i]);
			return NR_NO_SPACE;
		}
	}
	for (uint32_t c = 0; c < planned.copies; c++)
		planned.root_extent[c] = extents[c * per_copy];
	if (log_at > copies_end)
		planned.shared_root = extents[copies_end];
	planned.log_first = extents[log_at];
	planned.log_replica = g % planned.replicas;
	format_group(e, group, &planned);
	nr_log_init(e, group, extents + log_at);
	for (uint32_t r = 0; r < planned.replicas; r++)
	{
		NR_FAR_REGION(e, r);
		format_replica(e, g, r);
		NR_POINT("group_half_made");
		for (uint32_t c = 0; c < planned.copies; c++)
			format_copy(e, g, r, c, dispatch, extents + c * per_copy + 1, init_extents);
		NR_FAR_END(e);
	}
	format_accounts(e, g, per_copy);
	nr_store32_rel(&group->exists, 1);	/* edge G1 */
	return NR_OK;
}

/* The structure lets go of its copies: in each replica the one that readers saw comes last. */
static void
drop_copies(NrEngine *e, uint32_t g, const NrDispatch *dispatch)
{
	struct NrGroup *group = nr_group(e, g);

	for (uint32_t r = 0; r < group->replicas; r++)
	{
		uint32_t	current;
		NrCopy		copy;

		NR_FAR_REGION(e, r);
		current = nr_load32_rlx(&nr_replica(e, g, r)->current) & 1; /* nobody is attached */
		if (group->copies == 2 && dispatch->drop_first != NULL)
		{
			nr_copy_view(e, g, r, 1 - current, &copy);
			dispatch->drop_first(&copy);
		}
		if (dispatch->drop_second != NULL)
		{
			nr_copy_view(e, g, r, current, &copy);
			dispatch->drop_second(&copy);
		}
		NR_FAR_END(e);
	}
}

void
nr_group_destroy(NrEngine *e, uint32_t g, const NrDispatch *dispatch)
{
	if (!nr_group_exists(e, g))
		return;
	if (dispatch != NULL && dispatch->id == nr_group(e, g)->dispatch_id)
		drop_copies(e, g, dispatch);
	nr_store32_rel(&nr_group(e, g)->exists, 0); /* edge G1 */
	NR_POINT("group_half_dropped");
	nr_pool_free_owner(e, g);
}

/*
 * Let go of all extents that a table maps, but of the root and of the first "n" others, whose
 * physical numbers are left in "kept"; on each node they are the same.  The table is of no use then.
 */
static void
unmap_all(NrEngine *e, NrExtentTable *t, uint32_t *kept, uint32_t n)
{
	for (uint32_t x = t->unused_head; x != NR_NO_EXTENT; x = t->words[t->capacity + x])
		t->words[x] = NR_NO_EXTENT;
	for (uint32_t x = 1, i = 0; x < t->capacity; x++)
	{
		if (t->words[x] == NR_NO_EXTENT)
			continue;
		if (i < n)
			kept[i++] = nr_map_extent(e, t->words[x]);
		else
			nr_pool_unref(e, nr_map_extent(e, t->words[x]));
	}
}

void
nr_group_clear(NrHandle *h)
{
	NrEngine   *e = h->session->engine;
	struct NrGroup *group = h->group;
	uint32_t	n = h->dispatch->init_extents(&group->copy_config);
	uint32_t	kept[NR_LOG_EXTENTS_MAX];

	drop_copies(e, h->g, h->dispatch);
	nr_crossings_of(h->session, h->g);
	for (uint32_t r = 0; r < group->replicas; r++)
	{
		nr_visit(h->session, h->g, r);
		for (uint32_t c = 0; c < group->copies; c++)
		{
			NrCopy		copy;

			nr_copy_view(e, h->g, r, c, &copy);
			if (c == 0 && copy.shared != NULL)
				unmap_all(e, copy.shared, NULL, 0);
			unmap_all(e, copy.table, kept, n);
			NR_POINT("group_half_cleared");
			format_copy(e, h->g, r, c, h->dispatch, kept, n);
		}
		nr_visit_end(h->session);
	}
	nr_add64_rlx(&group->released, nr_load32_rlx(&group->mapped) - (1 + n) +
				 (nr_group_shares(group) ? nr_load32_rlx(&group->shared_mapped) - 1 : 0));
	format_accounts(e, h->g, 1 + n);
}

bool
nr_group_exists(NrEngine *e, uint32_t g)
{
	return g < e->geo.groups && nr_load32_acq(&nr_group(e, g)->exists) != 0;	/* edge G1 */
}

NrStatus
nr_group_attach(NrSession *s, uint32_t g, const NrDispatch *dispatch, NrHandle *h)
{
	if (!nr_group_exists(s->engine, g))
		return NR_GONE;
	if (nr_group(s->engine, g)->dispatch_id != dispatch->id)
		return NR_BAD_CONFIG;
	memset(h, 0, sizeof(*h));
	h->session = s;
	h->dispatch = dispatch;
	h->group = nr_group(s->engine, g);
	h->r = nr_home(s, g);
	h->replica = nr_replica(s->engine, g, h->r);
	h->reader = nr_reader_line(s->engine, h->r, s->idx);
	h->slot = nr_request_slot(s->engine, h->r, s->idx);
	h->buffer = nr_session_buffer(s->engine, h->r, s->idx);
	h->look = nr_group_looks(h->group);
	h->g = g;
	h->generation = nr_load32_rlx(&h->group->generation);
	h->ncopies = h->group->copies;
	h->plain = h->ncopies == 1 && !h->look;
	for (uint32_t c = 0; c < h->ncopies; c++)
		nr_copy_view(s->engine, g, h->r, c, &h->copies[c]);
	h->copy = &h->copies[0];

	/*
	 * Now writers look at our line.  One that looked at the bits before cannot
	 * have missed us: we have not looked at its flag yet (fault W3).
	 */
	nr_reader_announce(h);
	nr_bit_set(nr_readers(s->engine, h->replica), s->idx);	/* edge R1 */
	return NR_OK;
}

void
nr_group_detach(NrHandle *h)
{
	NrEngine   *e = h->session->engine;

	if (h->group == NULL)
		return;					/* detached already */

	/* a token that was given back took its bits with it; the number may be another's by now */
	if (h->session->shared != NULL && nr_group_exists(e, h->g) &&
		nr_load32_rlx(&h->group->generation) == h->generation)
	{
		nr_handle_flush_counters(h);
		nr_bit_clear(nr_readers(e, h->replica), h->session->idx);
	}
	h->group = NULL;
}
