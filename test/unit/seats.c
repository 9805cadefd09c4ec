/*
 * seats.c
 *		A group, its sessions and a scripted host; see seats.h.
 */
#include "seats.h"

#include <stdio.h>

#include "engine/replay.h"

#define WAITS_MAX	100000		/* a test that waits so often waits for ever */

Script		script;

void
seats_open(Seats *b, NrGeometry geo, uint32_t n, const NrGroupConfig *config, const NrDispatch *d)
{
	if (n > SEATS_MAX)
		th_die("too many seats");
	b->n = n;
	b->th = th_new(&geo, n < 4 ? n + 1 : 4, 0);
	b->e = th_engine(b->th, 0);
	th_create(b->th, 0, config, d);
	for (uint32_t i = 0; i < n; i++)
	{
		th_register(b->th, i, i % geo.replicas, &b->s[i]);
		th_attach(&b->s[i], 0, d, &b->h[i]);
	}
}

bool
seats_close(Seats *b)
{
	bool		all_back;

	for (uint32_t i = 0; i < b->n; i++)
	{
		if (b->h[i].group != NULL)
			nr_group_detach(&b->h[i]);
		nr_session_unregister(&b->s[i]);
	}
	nr_group_destroy(b->e, 0, NULL);
	all_back = toy_pool_free(b->e) == b->th->geo.extents;
	th_free(b->th);
	return all_back;
}

SeatsBooks
seats_books(Seats *b)
{
	struct NrGroup *group = nr_group(b->e, 0);
	SeatsBooks	books = {
		.headroom = nr_load64_rlx(&group->headroom),
		.promised = nr_load64_rlx(&group->claimed) - nr_log_tail(&b->s[0], 0),
		.granted = nr_load64_rlx(&group->granted),
		.pending = nr_load64_rlx(&group->pending),
		.mapped = nr_load32_rlx(&group->mapped),
		.shared_headroom = nr_load64_rlx(&group->shared_headroom),
		.shared_mapped = nr_load32_rlx(&group->shared_mapped),
		.pool_free = toy_pool_free(b->e),
	};

	for (uint32_t w = 0; w < b->e->bitmap_words; w++)
		books.committers += (uint32_t) __builtin_popcountll(nr_load64_rlx(&nr_committers(b->e, group)[w]));
	for (uint32_t r = 0; r < group->replicas; r++)
		books.locked += nr_load32_rlx(&nr_replica(b->e, 0, r)->combiner) != 0;
	return books;
}

/* 1 when they differ, and says so. */
static int
differ(const char *what, uint64_t before, uint64_t now)
{
	if (before != now)
		printf("# %s: %lld before, %lld now\n", what, (long long) before, (long long) now);
	return before != now;
}

bool
seats_same(Seats *b, SeatsBooks before)
{
	SeatsBooks	now = seats_books(b);
	int			differences = differ("headroom", before.headroom, now.headroom);

	differences += differ("promised", before.promised, now.promised);
	differences += differ("granted", before.granted, now.granted);
	differences += differ("pending", before.pending, now.pending);
	differences += differ("mapped", before.mapped, now.mapped);
	differences += differ("shared headroom", before.shared_headroom, now.shared_headroom);
	differences += differ("shared mapped", before.shared_mapped, now.shared_mapped);
	differences += differ("pool", before.pool_free, now.pool_free);
	differences += differ("committers", before.committers, now.committers);
	differences += differ("locked", before.locked, now.locked);
	return differences == 0;
}

bool
seats_settled(Seats *b)
{
	struct NrGroup *group = nr_group(b->e, 0);
	uint32_t	mapped = nr_load32_rlx(&group->mapped);
	uint32_t	shared = 0;
	uint32_t	word;
	bool		records;
	int			differences = 0;

	for (uint32_t r = 0; r < group->replicas; r++)
	{
		nr_group_sync_replica(&b->h[0], r, false);
		mapped = nr_load32_rlx(&group->mapped);
		for (uint32_t c = 0; c < group->copies; c++)
		{
			NrCopy		copy;

			nr_copy_view(b->e, 0, r, c, &copy);
			differences += differ("free extents", copy.table->free_count, nr_load64_rlx(&group->headroom));
			differences += differ("mapped", copy.table->mapped_count, mapped);
			if (copy.shared == NULL)
				continue;
			shared = copy.shared->mapped_count;
			differences += differ("shared free extents", copy.shared->free_count, nr_load64_rlx(&group->shared_headroom));
			differences += differ("shared mapped", shared, nr_load32_rlx(&group->shared_mapped));
		}
	}
	word = (uint32_t) nr_load64_rlx(&group->records);
	records = word != 0 && (word & 0xff) < NR_RECORD_CHUNKS;
	differences += differ("granted", mapped - 1u + (shared > 0 ? shared - 1 : 0),
						  nr_load64_rlx(&group->granted) - nr_load64_rlx(&group->released));
	differences += differ("promised", 0, nr_load64_rlx(&group->claimed) - nr_log_tail(&b->s[0], 0));
	differences += differ("pool", b->e->geo.extents - group->log_extents - group->copies * mapped - shared - records,
						  toy_pool_free(b->e));
	return differences == 0;
}

static bool
script_wait(NrSession *session, NrWaitReason why, long timeout_us, bool cancellable)
{
	script.waits_for[why]++;
	if (++script.waits > WAITS_MAX)
		th_die("waits for ever");
	return script.on_wait == NULL || script.on_wait(session, why, timeout_us, cancellable);
}

static void
script_wake(NrEngine *engine, uint32_t session_idx)
{
	(void) engine;
	script.wakes++;
	script.woken[session_idx]++;
}

bool
script_give_up(NrSession *session, NrWaitReason why, long timeout_us, bool cancellable)
{
	(void) session;
	(void) why;
	(void) timeout_us;
	return !cancellable;
}

void
script_begin(Th *th, bool (*on_wait) (NrSession *, NrWaitReason, long, bool))
{
	static const NrHost host = {script_wait, script_wake, 0};

	script = (Script) {.on_wait = on_wait};
	for (uint32_t v = 0; v < th->views; v++)
		th->engine[v].host = &host;
}
