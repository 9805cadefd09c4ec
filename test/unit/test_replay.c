/*
 * test_replay.c
 *		Applying the log to copies: answers, payloads and grants, whole batches in
 *		chunks, readers that stay inside; what has been read stays read.
 */
#include <stdlib.h>

#include "engine/combine.h"
#include "seats.h"
#include "tap.h"

/* Pushes and pops around the edges of extents, against a plain array. */
static void
test_stack_random(void)
{
	NrGeometry	geo = th_geometry(3);
	Th		   *th = th_new(&geo, 4, 0);
	NrGroupConfig config = toy_config(20, 4096, 2048);
	NrSession	s[3];
	NrHandle	h[3];
	static uint64_t model[10000];
	uint64_t	depth = 0,
				random = 88172645463325252u;
	uint32_t	bad = 0;

	th_create(th, 0, &config, &toy_stack_dispatch);
	for (uint32_t i = 0; i < 3; i++)
	{
		th_register(th, i, i, &s[i]);
		th_attach(&s[i], 0, &toy_stack_dispatch, &h[i]);
	}
	for (uint64_t i = 0; i < 40000; i++)
	{
		NrHandle   *hh = &h[th_random(&random) % 3];
		uint32_t	n = 1 + th_random(&random) % 8;
		bool		up = (i / 3000) % 2 == 0 ? th_random(&random) % 8 : th_random(&random) % 16 == 0;
		NrResult	res = {.status = NR_OK};

		if (up && depth + n <= 19 * 512)
		{
			bad += toy_call_push(hh, i, n, &res) != NR_OK;
			for (uint32_t k = 0; k < n; k++)
				model[depth++] = i + k;
		}
		else
			for (uint32_t k = 0; k < n; k++)
			{
				bool		found;
				uint64_t	value;

				bad += toy_call_pop(hh, &found, &value) != NR_OK || found != (depth > 0);
				if (depth > 0)
					bad += value != model[--depth];
			}
	}
	tap_ok(bad == 0, "a stack over three replicas does what an array does");
	tap_ok(toy_check(&h[0]), "the replicas are equal");
	nr_group_destroy(th_engine(th, 0), 0, NULL);
	tap_ok(toy_pool_free(th_engine(th, 0)) == geo.extents, "all extents are back");
	th_free(th);
}

static void
test_lag(void)
{
	NrGeometry	geo = th_geometry(4);
	Th		   *th = th_new(&geo, 2, 0);
	NrGroupConfig config = toy_config(4, 1, 512);
	NrSession	s[2];
	NrHandle	h[2];
	uint32_t	slots,
				bad = 0;
	uint64_t	n;
	NrGroupInfo gi;

	th_create(th, 0, &config, &toy_counter_dispatch);
	for (uint32_t i = 0; i < 2; i++)
	{
		th_register(th, i, i * 3, &s[i]);	/* nobody ever works on replicas 1 and 2 */
		th_attach(&s[i], 0, &toy_counter_dispatch, &h[i]);
	}
	slots = toy_group_info(th_engine(th, 0), 0).log_slots;
	n = 20 * (uint64_t) slots + 5;
	for (uint64_t i = 1; i <= n; i++)
	{
		uint64_t	value;

		bad += toy_call_add(&h[0], 0, 1, &value, NULL) != NR_OK || value != i;
	}
	gi = toy_group_info(th_engine(th, 0), 0);
	tap_ok(bad == 0, "one writer, three idle replicas: 20 laps of the log");
	tap_ok(gi.tail - gi.head <= slots && gi.no_log_space > 0, "they were helped along");
	for (uint32_t r = 1; r < 4; r++)
		bad += toy_replica_info(th_engine(th, 0), 0, r).helped == 0;
	tap_ok(bad == 0, "and that is counted");
	tap_ok(toy_call_get(&h[1], 0) == n, "a read on an idle replica is up to date");
	tap_ok(toy_replica_info(th_engine(th, 0), 0, 3).applied == n, "as the replica now is");
	tap_ok(nr_group_sync_replica(&h[0], 2, false) == NR_OK &&
		   toy_replica_info(th_engine(th, 0), 0, 2).applied == n, "any replica can be brought up to date");
	tap_ok(toy_check(&h[0]), "the replicas are equal");
	tap_ok(toy_group_info(th_engine(th, 0), 0).head <= n, "head is at most the tail");
	th_free(th);
}

/* ---- white-box ---- */

static Seats b;

static void
open_seats(uint32_t replicas, uint32_t n, uint32_t log_bytes, uint32_t slots, const NrDispatch *d)
{
	NrGroupConfig config = toy_config(8, log_bytes, 65536);

	config.log_slots = slots;
	seats_open(&b, th_geometry(replicas), n, &config, d);
}

static void
test_answers(void)
{
	_Alignas(8) char ops[4 * TOY_ADD_BYTES];
	uint64_t	answer = 0;
	NrResult	res = {.last = {.data = &answer,.capacity = 8}};
	size_t		at;

	open_seats(2, 2, 4096, 0, &toy_counter_dispatch);
	at = toy_add(ops, 1, 5);
	at += toy_add(ops + at, 2, 7);
	at += toy_add(ops + at, 1, 1);
	tap_ok(nr_execute_mut(&b.h[1], ops, at, 3, false, &res) == NR_OK && answer == 6 && res.last.length == 8 &&
		   !res.last.flag && res.done == 3 && res.flagged == 2, "the answer is the last operation's, flags are counted");
	at = toy_add(ops, 9999, 5);
	at += toy_add(ops + at, 2, 1);
	answer = 0;
	tap_ok(nr_execute_mut(&b.h[0], ops, at, 2, false, &res) == NR_OK && res.status == NR_BAD_OP &&
		   answer == 8 && res.done == 1 && res.seq == 1, "the first status that is not OK, the last answer");
	at = toy_add(ops, 2, 1);
	at += toy_add(ops + at, 9999, 5);
	answer = 77;
	tap_ok(nr_execute_mut(&b.h[0], ops, at, 2, false, &res) == NR_OK && res.last.length == 0 &&
		   !res.last.flag && answer == 77, "of a last operation that failed there is no answer");
	tap_ok(nr_load64_rlx(&b.h[1].replica->applied[0]) == 1 && toy_replica_info(b.e, 0, 1).ops_applied == 3,
		   "another replica's requests are not replayed before they must be");
	nr_group_sync(&b.h[1], false);
	tap_ok(toy_replica_info(b.e, 0, 1).ops_applied == 7 && toy_replica_info(b.e, 0, 1).helped == 0 &&
		   b.h[1].slot->seq == 0, "then they are counted, and nobody is answered there");
	tap_ok(seats_close(&b), "all extents are back");
}

/* Two operations that fail, each with its own status. */
static void
test_first_status(void)
{
	_Alignas(8) char ops[3 * TOY_PUSH_BYTES];
	NrGroupConfig config = toy_config(1, 4096, 1024);	/* no extent for the stack */
	NrResult	res = {.status = NR_OK};
	size_t		at = toy_pop(ops);

	seats_open(&b, th_geometry(1), 1, &config, &toy_stack_dispatch);
	at += toy_push(ops + at, 1);
	((NrOpHeader *) (ops + at))[0] = (NrOpHeader) {.bytes = sizeof(NrOpHeader),.code = 99};
	at += sizeof(NrOpHeader);
	tap_ok(nr_execute_mut(&b.h[0], ops, at, 3, false, &res) == NR_OK && res.status == NR_NO_SPACE && res.done == 1,
		   "of two that fail, the first one's status");
	tap_ok(seats_close(&b), "all extents are back");
}

static void
test_payload(void)
{
	uint32_t	before;

	open_seats(3, 3, 4096, 0, &toy_counter_dispatch);
	before = toy_pool_free(b.e);
	toy_call_sum(&b.h[1], 3000, 1, NULL);
	tap_ok(toy_pool_free(b.e) == before - 1, "a payload stays while replicas lag");
	nr_group_sync_replica(&b.h[1], 0, false);
	nr_group_sync_replica(&b.h[1], 0, false);
	tap_ok(toy_pool_free(b.e) == before - 1, "applied by two of three");
	nr_group_sync_replica(&b.h[1], 2, false);
	tap_ok(toy_pool_free(b.e) == before, "and is free when the last has applied it");
	tap_ok(toy_replica_info(b.e, 0, 0).helped == 1 && toy_replica_info(b.e, 0, 2).helped == 1, "both were helped");
	tap_ok(toy_check(&b.h[0]) && seats_close(&b), "all extents are back");
}

/* ---- chunks ---- */

static uint32_t sections;
static uint32_t applied_in[64];	/* batches, by section */

static void
count_sections(const char *point)
{
	if (strcmp(point, "writer_flag") == 0)
		sections++;
	if (strcmp(point, "batch_apply") == 0)
		applied_in[sections % 64]++;
}

static void
test_chunks(void)
{
	const uint32_t n = 250;
	uint32_t	each,
				per_section;
	bool		ok = true;

	open_seats(2, 2, 48 * 4096, 256, &toy_counter_dispatch);
	for (uint32_t i = 0; i < n; i++)
		toy_call_sum(&b.h[0], 512 - sizeof(NrOpHeader), 1, NULL);
	each = nr_log_batch(&b.s[0], 0, 0, 0)->bytes;
	per_section = (NR_REPLAY_CHUNK + each - 1) / each;
	sections = 0;
	memset(applied_in, 0, sizeof(applied_in));
	nr_test_point_hook = count_sections;
	nr_group_sync(&b.h[1], false);
	nr_test_point_hook = NULL;
	tap_ok(n > 2 * per_section && sections == (n + per_section - 1) / per_section,
		   "%u batches of %u bytes are applied in %u sections", n, each, sections);
	for (uint32_t i = 1; i < sections; i++)
		ok &= applied_in[i] == per_section;
	tap_ok(ok && applied_in[sections] == n - (sections - 1) * per_section && applied_in[0] == 0,
		   "each of as many whole batches as a chunk has");
	tap_ok(toy_call_get(&b.h[1], 0) == n * (512 - sizeof(NrOpHeader)), "none is missed");
	tap_ok(seats_close(&b), "all extents are back");
}

/* A reader comes in between two sections: what was applied stands. */
static void
enter_after_first(const char *point)
{
	count_sections(point);
	if (strcmp(point, "batch_complete") == 0 && sections == 1)
		nr_xchg64_seq(&b.h[3].reader->inside, nr_inside_word(1, 0));
}

static void
test_reader_stays(void)
{
	uint64_t	applied;

	open_seats(2, 4, 48 * 4096, 256, &toy_counter_dispatch);
	for (uint32_t i = 0; i < 250; i++)
		toy_call_sum(&b.h[0], 512 - sizeof(NrOpHeader), 1, NULL);
	nr_combiner_try(&b.s[0], 0, 1);
	nr_xchg64_seq(&b.h[3].reader->inside, nr_inside_word(1, 0));
	tap_ok(!nr_replay(&b.s[0], &toy_counter_dispatch, 0, 1, NR_IMPATIENT, false) &&
		   nr_load64_rlx(&b.h[1].replica->applied[0]) == 0, "who is impatient does nothing while a reader is inside");
	nr_store64_rlx(&b.h[3].reader->inside, 0);
	sections = 0;
	nr_test_point_hook = enter_after_first;
	tap_ok(!nr_replay(&b.s[0], &toy_counter_dispatch, 0, 1, NR_IMPATIENT, false), "one comes in after the first section");
	nr_test_point_hook = NULL;
	applied = nr_load64_rlx(&b.h[1].replica->applied[0]);
	tap_ok(applied > 0 && applied < 250, "what was applied stands (%u batches)", (unsigned) applied);
	nr_store64_rlx(&b.h[3].reader->inside, 0);
	tap_ok(nr_replay(&b.s[0], &toy_counter_dispatch, 0, 1, NR_IMPATIENT, false) &&
		   nr_load64_rlx(&b.h[1].replica->applied[0]) == 250, "when it has left, the rest is");
	nr_combiner_unlock(&b.s[0], 0, 1);
	tap_ok(toy_check(&b.h[0]) && toy_call_get(&b.h[1], 0) == 250 * (512 - sizeof(NrOpHeader)), "each once");
	tap_ok(seats_close(&b), "all extents are back");
}

/* ---- grants ---- */

static bool
same_tables(void)
{
	NrCopy		copy[3];
	bool		ok = true;

	for (uint32_t r = 0; r < 3; r++)
	{
		nr_group_sync_replica(&b.h[0], r, false);
		nr_copy_view(b.e, 0, r, 0, &copy[r]);
		ok &= memcmp(copy[r].table, copy[0].table, nr_extent_table_bytes(copy[0].table->capacity)) == 0;
	}
	return ok;
}

static void
test_grants(void)
{
	NrResult	res = {.status = NR_OK};
	NrCopy		copy;
	uint32_t	x;
	bool		ok = true;

	open_seats(3, 3, 4096, 0, &toy_stack_dispatch);
	nr_copy_view(b.e, 0, 0, 0, &copy);
	x = nr_pool_alloc(b.e, 0, 1);
	nr_copy_grant(&copy, x);
	tap_ok(copy.table->mapped_count == 2 && copy.table->free_count == 1 && copy.map[copy.table->free_head] == x,
		   "a grant is a free extent of the copy");
	for (uint32_t r = 1; r < 3; r++)
	{
		nr_copy_view(b.e, 0, r, 0, &copy);
		nr_copy_grant(&copy, x);
	}
	nr_add32_seq(&nr_group(b.e, 0)->mapped, 1);
	nr_add64_rlx(&nr_group(b.e, 0)->headroom, 1);
	for (int i = 0; i < 200; i++)
	{
		ok &= toy_call_push(&b.h[i % 3], i, 40, &res) == NR_OK;
		if (i % 80 == 79)
			toy_call_clear(&b.h[1]);
		ok &= same_tables();
	}
	tap_ok(ok, "grants and releases leave the same table of extents in each copy");
	tap_ok(toy_check(&b.h[2]) && seats_close(&b), "all extents are back");
}

/* ---- what was read once, is read by all afterwards ---- */

static __thread bool stops;
static ThGate gate;

static void
stop_at_appended(const char *point)
{
	if (stops && strcmp(point, "batch_appended") == 0)
		th_gate_pass(&gate);
}

static void *
write_and_stop(void *arg)
{
	stops = true;
	toy_call_add(arg, 0, 1, NULL, NULL);
	return NULL;
}

/*
 * The producer has appended and stops before it applies.  Another replica
 * replays, and somebody reads the new value there: who reads after that on the
 * producer's replica must not get the old one.
 */
static void
test_no_stale_read(void)
{
	pthread_t	thread;
	ToyRead		read = {.first = 0,.n = 1};

	open_seats(2, 4, 4096, 0, &toy_counter_dispatch);
	gate = (ThGate) {0, 0};
	nr_test_point_hook = stop_at_appended;
	thread = th_start(write_and_stop, &b.h[0]);
	th_until(&gate.arrived, 1);
	tap_ok(toy_call_get(&b.h[2], 0) == 0 && toy_call_get(&b.h[1], 0) == 0,
		   "appended, applied nowhere: the old value on both replicas");
	tap_ok(nr_group_sync(&b.h[1], false) == NR_OK && toy_group_info(b.e, 0).completed == 1,
		   "another replica applies it: it is complete then");
	tap_ok(toy_call_get(&b.h[1], 0) == 1, "and read there");
	th_cancel(b.th, 2);
	tap_ok(nr_execute(&b.h[2], &read, &read, true) == NR_CANCELLED,
		   "a read on the producer's replica waits for it");
	th_uncancel(b.th, 2);
	th_gate_open(&gate);
	tap_ok(toy_call_get(&b.h[2], 0) == 1, "and gets the new value");
	th_join(thread);
	nr_test_point_hook = NULL;
	tap_ok(seats_close(&b), "all extents are back");
}

/* Nothing is shown that is not complete: at the moment readers are let in, completed is there. */
static uint32_t early;

static void
look_at_completed(const char *point)
{
	struct NrGroup *group = nr_group(b.e, 0);

	if (strcmp(point, "batch_complete") == 0)
		for (uint32_t r = 0; r < b.e->geo.replicas; r++)
			early += nr_load64_rlx(&nr_replica(b.e, 0, r)->applied[0]) > nr_load64_rlx(&group->completed);
	if (strcmp(point, "batch_applied") == 0)
		early += nr_load64_rlx(&group->completed) > nr_load64_rlx(&group->tail);
	if (strcmp(point, "combiner_unlock") == 0)
		for (uint32_t r = 0; r < b.e->geo.replicas; r++)
			early += nr_load64_rlx(&nr_replica(b.e, 0, r)->applied[0]) > nr_load64_rlx(&group->completed);
}

static void
test_completed_first(void)
{
	open_seats(3, 3, 4096, 0, &toy_counter_dispatch);
	early = 0;
	nr_test_point_hook = look_at_completed;
	for (int i = 0; i < 300; i++)
	{
		toy_call_add(&b.h[i % 3], 0, 1, NULL, NULL);
		early += toy_call_get(&b.h[i * 7 % 3], 0) != (uint64_t) i + 1;
	}
	nr_test_point_hook = NULL;
	tap_ok(early == 0, "no replica is ever ahead of what is complete");
	tap_ok(seats_close(&b), "all extents are back");
}

int
main(void)
{
	th_watchdog(60);
	test_stack_random();
	test_lag();
	test_answers();
	test_first_status();
	test_payload();
	test_chunks();
	test_reader_stays();
	test_grants();
	test_no_stale_read();
	test_completed_first();
	return tap_done();
}
