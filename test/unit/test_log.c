/*
 * test_log.c
 *		The operation log: claims, slots and laps, the tail past a slot whose
 *		producer stopped, head; the ring of bytes against a model of it.
 *
 * The log is played without replay: positions of replicas are set by hand.
 */
#include <stdlib.h>

#include "engine/log.h"
#include "seats.h"
#include "tap.h"

#define G		0
#define EXTENT	4096
#define LINE	NR_CACHE_LINE

typedef struct Log
{
	Th		   *th;
	NrEngine   *e;
	NrSession	s;
	struct NrGroup *group;
} Log;

static Log
log_open(uint32_t replicas, uint32_t slots, uint32_t log_extents)
{
	NrGeometry	geo = th_geometry(replicas);
	NrGroupConfig config = toy_config(4, log_extents * EXTENT, 1024);
	Log			l = {.th = th_new(&geo, 1, 0)};

	config.log_slots = slots;
	th_create(l.th, G, &config, &toy_counter_dispatch);
	l.e = th_engine(l.th, 0);
	th_register(l.th, 0, 0, &l.s);
	l.group = nr_group(l.e, G);
	return l;
}

static void
set_applied(Log *l, uint32_t r, uint64_t seq)
{
	nr_store64_rlx(&nr_replica(l->e, G, r)->applied[0], seq);
}

static NrAtomic64 *
slot_of(Log *l, uint64_t seq)
{
	return (NrAtomic64 *) nr_physical(l->e, 0, l->group->log_first) + seq % l->group->log_slots;
}

/* Where ring position pos of replica r lies, by the extents that the group owns. */
static char *
place_of(Log *l, uint32_t r, uint64_t pos)
{
	uint32_t   *extents = (uint32_t *) (slot_of(l, 0) + l->group->log_slots);
	uint64_t	at = pos % ((uint64_t) EXTENT * l->group->log_extents);

	return nr_physical(l->e, r, extents[at / EXTENT]) + at % EXTENT;
}

/* ---- claims ---- */

static void
test_claim(void)
{
	Log			l = log_open(2, 4, 1);
	uint32_t	n = 0;

	while (n < 10 && nr_log_claim(&l.s, G))
		n++;
	tap_ok(n == 4, "as many batches can be claimed as there are slots");
	nr_log_unclaim(&l.s, G);
	tap_ok(nr_log_claim(&l.s, G) && !nr_log_claim(&l.s, G), "one given back can be had once");
	for (uint64_t i = 0; i < 4; i++)
		nr_log_append(&l.s, G, 0, l.group->log_head_bytes + i * LINE);
	set_applied(&l, 0, 4);
	tap_ok(!nr_log_claim(&l.s, G), "what one replica has not applied is not free");
	set_applied(&l, 1, 1);
	tap_ok(nr_log_claim(&l.s, G) && !nr_log_claim(&l.s, G), "what all have applied is");
	set_applied(&l, 1, 4);
	for (n = 0; n < 10 && nr_log_claim(&l.s, G); n++)
		;
	tap_ok(n == 3, "claims and appended batches together are never more than slots");
	th_free(l.th);
}

static void
test_head(void)
{
	Log			l = log_open(3, 8, 1);

	tap_ok(nr_log_head(&l.s, G) == 0, "head begins at 0");
	for (uint32_t r = 0; r < 3; r++)
		set_applied(&l, r, 5 + r);
	tap_ok(nr_log_head(&l.s, G) == 5, "head is the least position");
	set_applied(&l, 0, 9);
	tap_ok(nr_load64_rlx(&l.group->head) == 5 && nr_log_head(&l.s, G) == 6, "computed anew when asked");
	set_applied(&l, 1, 2);		/* as somebody sees it who loaded it long ago */
	tap_ok(nr_log_head(&l.s, G) == 6 && nr_load64_rlx(&l.group->head) == 6, "head never goes back");
	th_free(l.th);
}

/* ---- slots ---- */

/* n batches, by changing replicas at changing places, from the given sequence number on. */
static bool
appends(Log *l, uint64_t from, uint32_t n)
{
	uint32_t	replicas = l->e->geo.replicas;
	uint64_t	ring = (uint64_t) EXTENT * l->group->log_extents;
	bool		ok = true;

	for (uint64_t i = from; i < from + n; i++)
	{
		uint32_t	r = (uint32_t) (i % replicas);
		uint64_t	pos = i * 3 * LINE;

		if (pos % ring < l->group->log_head_bytes)
			pos += l->group->log_head_bytes;
		ok &= nr_log_claim(&l->s, G) && nr_log_append(&l->s, G, r, pos) == i &&
			nr_log_tail(&l->s, G) == i + 1 &&
			(char *) nr_log_batch(&l->s, G, 0, i) == place_of(l, r, pos) &&
			nr_load64_rlx(slot_of(l, i)) >> 32 == (uint32_t) (i / l->group->log_slots + 1);
		for (uint32_t k = 0; k < replicas && i % 2 == 1; k++)
			set_applied(l, k, i + 1);
	}
	return ok;
}

static void
test_laps(void)
{
	for (uint32_t extents = 1; extents <= 3; extents += 2)
		for (uint32_t slots = 2; slots <= 32; slots *= 4)
		{
			Log			l = log_open(3, slots, extents);

			tap_ok(appends(&l, 0, 50 * slots), "50 laps of %u slots, ring of %u extents", slots, extents);
			th_free(l.th);
		}
}

/* Tags are 32 bits of the lap: around where they wrap. */
static void
test_tag_wrap(void)
{
	Log			l = log_open(2, 4, 3);
	uint64_t	from = ((UINT64_C(1) << 32) - 3) * 4;

	for (uint64_t i = 0; i < 4; i++)
		nr_store64_rlx(slot_of(&l, i), (uint64_t) (UINT32_MAX - 2) << 32);
	nr_store64_rlx(&l.group->tail, from);
	nr_store64_rlx(&l.group->claimed, from);
	set_applied(&l, 0, from);
	set_applied(&l, 1, from);
	tap_ok(nr_log_tail(&l.s, G) == from, "what is from the lap before is not taken for a batch");
	tap_ok(appends(&l, from, 24), "6 laps around the wrap of the tags");
	th_free(l.th);
}

static uint64_t
word_of(Log *l, uint64_t seq, uint32_t r, uint64_t pos)
{
	return (seq / l->group->log_slots + 1) << 32 | (uint64_t) r << 24 | pos / LINE;
}

/* A producer that fills its slot and stops before it has moved the tail. */
static void
test_stopped_producer(void)
{
	Log			l = log_open(2, 4, 1);
	uint64_t	pos = NR_LINE_UP(l.group->log_head_bytes);
	uint64_t	seq;

	appends(&l, 0, 6);
	nr_log_claim(&l.s, G);
	nr_store64_rlx(slot_of(&l, 6), word_of(&l, 6, 1, pos));
	tap_ok(nr_load64_rlx(&l.group->tail) == 6 && nr_log_tail(&l.s, G) == 7 &&
		   nr_load64_rlx(&l.group->tail) == 7, "who asks for the tail moves it for one that stopped");
	tap_ok((char *) nr_log_batch(&l.s, G, 0, 6) == place_of(&l, 1, pos), "the batch is in the log");
	nr_log_claim(&l.s, G);
	nr_store64_rlx(slot_of(&l, 7), word_of(&l, 7, 0, pos + LINE));
	for (uint32_t r = 0; r < 2; r++)
		set_applied(&l, r, 7);
	tap_ok(nr_log_claim(&l.s, G), "with room for one more");
	seq = nr_log_append(&l.s, G, 1, pos + 2 * LINE);
	tap_ok(seq == 8 && nr_load64_rlx(&l.group->tail) == 9, "an append goes behind it, and moves the tail past both");
	tap_ok((char *) nr_log_batch(&l.s, G, 0, 7) == place_of(&l, 0, pos + LINE) &&
		   (char *) nr_log_batch(&l.s, G, 0, 8) == place_of(&l, 1, pos + 2 * LINE), "neither is lost");
	th_free(l.th);
}

/* ---- the ring, against a model ---- */

#define LIVE_MAX	128

typedef struct Model
{
	struct
	{
		NrBatch    *batch;
		uint64_t	pos;
		uint32_t	bytes;
	}			live[LIVE_MAX]; /* batches first .. last-1, by sequence number */
	uint64_t	first;
	uint64_t	last;
} Model;

/* Is the reservation inside one extent, behind the log's head, and clear of every live batch? */
static bool
clear_of_all(Log *l, const Model *m, const NrBatch *batch, uint64_t pos, size_t bytes)
{
	uint64_t	ring = (uint64_t) EXTENT * l->group->log_extents;
	uint64_t	at = pos % ring;

	if ((char *) batch != place_of(l, 1, pos) || at % EXTENT + NR_LINE_UP(bytes) > EXTENT ||
		at < l->group->log_head_bytes || pos % LINE != 0)
		return false;
	for (uint64_t i = m->first; i < m->last; i++)
	{
		uint64_t	other = m->live[i % LIVE_MAX].pos % ring;

		if (at < other + m->live[i % LIVE_MAX].bytes && other < at + NR_LINE_UP(bytes))
			return false;
	}
	return true;
}

/* Reserve, commit "used" of it, fill it with something; false: no room.  *ok: no rule was broken. */
static bool
put(Log *l, Model *m, size_t bytes, size_t used, bool *ok)
{
	uint64_t	pos;
	NrBatch    *batch = m->last - m->first < LIVE_MAX ? nr_ring_reserve(&l->s, G, 1, bytes, &pos) : NULL;
	struct NrReplica *rep = nr_replica(l->e, G, 1);

	if (batch == NULL)
		return false;
	*ok &= clear_of_all(l, m, batch, pos, bytes);
	used = NR_LINE_UP(used);
	memset(batch, (char) m->last, used);
	batch->bytes = (uint32_t) used;
	nr_ring_commit(l->e, G, 1, pos, used);
	nr_store64_rlx(&batch->seq, m->last);
	m->live[m->last % LIVE_MAX].batch = batch;
	m->live[m->last % LIVE_MAX].pos = pos;
	m->live[m->last++ % LIVE_MAX].bytes = (uint32_t) used;
	*ok &= nr_load64_rlx(&rep->ring_tail) - nr_load64_rlx(&rep->ring_head) <=
		(uint64_t) EXTENT * l->group->log_extents;
	return true;
}

/* All replicas apply the oldest batch: is it as it was written? */
static bool
apply_oldest(Log *l, Model *m)
{
	const NrBatch *batch = m->live[m->first % LIVE_MAX].batch;
	const char *p = (const char *) (batch + 1);
	bool		ok = batch->bytes == m->live[m->first % LIVE_MAX].bytes;

	for (size_t i = 0; ok && i < batch->bytes - sizeof(NrBatch); i++)
		ok = p[i] == (char) m->first;
	m->first++;
	for (uint32_t r = 0; r < l->e->geo.replicas; r++)
		set_applied(l, r, m->first);
	return ok;
}

static void
test_ring_random(uint32_t extents)
{
	Log			l = log_open(2, 64, extents);
	size_t		max = nr_ring_batch_max(l.e, l.group);
	Model		m = {.first = 0};
	uint64_t	random = extents;
	uint32_t	full = 0;
	bool		ok = true;
	bool		fits = true;

	for (uint32_t i = 0; i < 12000; i++)
	{
		size_t		small = sizeof(NrBatch) + th_random(&random) % (i % 1000 < 500 ? 300 : max - sizeof(NrBatch));
		size_t		used = sizeof(NrBatch) + th_random(&random) % (small - sizeof(NrBatch) + 1);

		if (!put(&l, &m, small, used, &ok))
		{
			full++;
			fits &= m.first != m.last;	/* an empty ring has room for any batch */
			if (m.first != m.last)
				ok &= apply_oldest(&l, &m);
		}
		else if (th_random(&random) % 64 == 0)
			while (m.first != m.last)
				ok &= apply_oldest(&l, &m);
	}
	tap_ok(ok, "ring of %u: no batch touches another, crosses an extent, or changes", extents);
	tap_ok(fits && full > 100, "ring of %u: it fills up, and when empty has room", extents);
	th_free(l.th);
}

/* The largest batch, after the ring was emptied at each offset. */
static void
test_ring_largest(uint32_t extents)
{
	Log			l = log_open(2, 64, extents);
	size_t		max = nr_ring_batch_max(l.e, l.group);
	size_t		smallest = NR_LINE_UP(sizeof(NrBatch));
	struct NrReplica *rep = nr_replica(l.e, G, 1);
	Model		m = {.first = 0};
	uint64_t	pos = 0;
	bool		ok = true;
	bool		fits = true;

	for (uint32_t at = 0; at < 2 * extents * EXTENT; at += LINE)
	{
		fits &= put(&l, &m, smallest, smallest, &ok);
		ok &= apply_oldest(&l, &m);
		fits &= nr_ring_reserve(&l.s, G, 1, max, &pos) != NULL;
		ok &= clear_of_all(&l, &m, nr_ring_reserve(&l.s, G, 1, max, &pos), pos, max);
		if (at / EXTENT % 2 == 0)
			continue;			/* reserving takes nothing */
		fits &= put(&l, &m, max, max, &ok);
		if (extents == 1)
			fits &= nr_ring_reserve(&l.s, G, 1, LINE, &pos) == NULL;
		ok &= apply_oldest(&l, &m);
	}
	tap_ok(fits, "ring of %u: the largest batch fits at each offset", extents);
	tap_ok(ok, "ring of %u: and breaks no rule there", extents);
	for (int i = 0; i < 3; i++)
	{
		nr_log_head(&l.s, G);	/* else only when there is no room */
		put(&l, &m, LINE, LINE, &ok);
		apply_oldest(&l, &m);
	}
	tap_ok(nr_load64_rlx(&rep->ring_tail) - nr_load64_rlx(&rep->ring_head) == LINE,
		   "ring of %u: what was applied is let go of", extents);
	th_free(l.th);
}

/* What has no sequence number yet, or one that not all have applied, stays. */
static void
test_ring_keeps(void)
{
	Log			l = log_open(2, 64, 1);
	size_t		half = nr_ring_batch_max(l.e, l.group) / 2 / LINE * LINE;
	Model		m = {.first = 0};
	uint64_t	pos;
	bool		ok = true;

	put(&l, &m, half, half, &ok);
	put(&l, &m, half, half, &ok);
	tap_ok(nr_ring_reserve(&l.s, G, 1, half, &pos) == NULL, "two halves fill the ring");
	set_applied(&l, 0, 1);
	tap_ok(nr_ring_reserve(&l.s, G, 1, half, &pos) == NULL, "applied by one replica: still full");
	nr_store64_rlx(&m.live[0].batch->seq, UINT64_MAX);
	set_applied(&l, 1, 1);
	tap_ok(nr_ring_reserve(&l.s, G, 1, half, &pos) == NULL, "without a sequence number: still full");
	nr_store64_rlx(&m.live[0].batch->seq, 0);
	tap_ok(nr_ring_reserve(&l.s, G, 1, half, &pos) == m.live[0].batch, "applied by all: room for one");
	tap_ok(nr_load64_rlx(&nr_replica(l.e, G, 0)->ring_tail) == 0, "another replica's ring is another");
	th_free(l.th);
}

/* ---- through the whole engine ---- */

/* Many laps of the smallest log, with records of changing size. */
static void
test_engine_laps(void)
{
	NrGroupConfig config = toy_config(4, 1, 2048);
	Seats		b;
	uint64_t	expect[8] = {0};
	bool		ok = true,
				sane = true;

	seats_open(&b, th_geometry(3), 3, &config, &toy_counter_dispatch);
	for (uint32_t i = 0; i < 10000; i++)
	{
		NrResult	res = {.status = NR_OK};
		uint32_t	n = 1 + i % 7;
		NrGroupInfo gi;

		ok &= toy_call_add_row(&b.h[i % 3], 0, n, 1, &res) == NR_OK && res.done == n;
		for (uint32_t k = 0; k < n; k++)
			expect[k]++;
		if (i % 100 == 0)
		{
			ToyRead		row = {.first = 0, .n = 8};

			nr_execute(&b.h[(i / 100) % 3], &row, &row, false);
			ok &= memcmp(row.value, expect, sizeof(expect)) == 0;
		}
		gi = toy_group_info(b.e, 0);
		sane &= gi.head <= gi.completed && gi.completed <= gi.tail && gi.tail - gi.head <= gi.log_slots;
	}
	tap_ok(ok, "10000 requests through the smallest log");
	tap_ok(sane, "head <= completed <= tail <= head + slots at each step");
	tap_ok(toy_check(&b.h[0]), "the replicas are equal");
	tap_ok(seats_close(&b), "all extents are back");
}

/* Empty, one entry, one short of full, full, wrapped: an idle replica reads right after each. */
static void
test_fill_levels(void)
{
	NrGroupConfig config = toy_config(4, 1, 512);
	Seats		b;
	uint64_t	expect = 0;
	bool		ok = true;
	uint32_t	slots;

	seats_open(&b, th_geometry(2), 2, &config, &toy_counter_dispatch);
	slots = toy_group_info(b.e, 0).log_slots;
	tap_ok(toy_call_get(&b.h[1], 0) == 0, "an empty log is not a stuck one");
	for (uint32_t k = 0; k <= 2 * slots + 3; k++)
	{
		uint32_t	writer = k % 2;

		for (uint32_t i = 0; i < k; i++)
			ok &= toy_call_add(&b.h[writer], 0, 1, NULL, NULL) == NR_OK;
		expect += k;
		ok &= toy_call_get(&b.h[1 - writer], 0) == expect;
		ok &= toy_call_get(&b.h[writer], 0) == expect;
	}
	tap_ok(ok, "every fill level from empty to twice the log (%u slots)", slots);
	tap_ok(toy_check(&b.h[0]), "the replicas are equal");
	tap_ok(seats_close(&b), "all extents are back");
}

int
main(void)
{
	th_watchdog(60);
	test_claim();
	test_head();
	test_laps();
	test_tag_wrap();
	test_stopped_producer();
	test_ring_random(1);
	test_ring_random(3);
	test_ring_largest(1);
	test_ring_largest(3);
	test_ring_keeps();
	test_engine_laps();
	test_fill_levels();
	return tap_done();
}
