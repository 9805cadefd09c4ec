/*
 * test_crossing.c
 *		What leaves a node: the numbers that docs/NUMA.md gives for each operation, and that
 *		whatever is declared (NR_FAR) is counted, and nothing else.
 *
 * The log of group 0 lies with replica 0: "near" is a session there, "far" one of replica 1.
 */
#include "engine/crossing.h"
#include "engine/log.h"
#include "seats.h"
#include "tap.h"
#include "toy_board.h"

#define NEAR		0
#define FAR			1
#define DEPTH_MAX	8

static Seats b;
static _Alignas(8) char ops[16 * 1024];

/* What the hook heard, of other replicas than "home". */
static NrCrossings heard;
static uint32_t home;
static bool far_at[DEPTH_MAX];
static uint32_t depth;
static uint32_t deepest;

static bool
is_far(const void *start)
{
	size_t		bytes = nr_engine_region_bytes(&b.e->geo);

	for (uint32_t v = 0; v < b.th->views; v++)
		for (uint32_t r = 0; r < b.e->geo.replicas; r++)
		{
			const char *region = b.th->engine[v].region[r];

			if ((const char *) start >= region && (const char *) start < region + bytes)
				return r != home;
		}
	th_die("declared is what lies in no region");
	return false;
}

static void
hear(const NrEngine *e, NrFar what, const void *start, size_t bytes, bool write)
{
	(void) e;
	if (what == NR_FAR_DONE)
	{
		if (depth-- == 0)
			th_die("an end without a beginning");
		return;
	}
	if (what == NR_FAR_MORE_OF_IT)
	{
		if (depth == 0 || is_far(start) != far_at[depth - 1])
			th_die("more of something else");
		heard.bytes += far_at[depth - 1] ? bytes : 0;
		return;
	}
	if (depth == DEPTH_MAX)
		th_die("beginnings without an end");
	far_at[depth++] = is_far(start);
	deepest = depth > deepest ? depth : deepest;
	if (!far_at[depth - 1])
		return;
	heard.slots += what == NR_FAR_SLOT;
	heard.positions += what == NR_FAR_POSITION;
	heard.batches += what == NR_FAR_BATCH;
	heard.visits += what == NR_FAR_VISIT;
	if (what == NR_FAR_VISIT && !write)
		th_die("a visit that may not write");
}

static void
open_seats(uint32_t replicas, uint32_t copies, bool lazy)
{
	NrGroupConfig config = toy_config(40, 4 * 4096, 8192);

	config.copies = copies;
	config.lazy = lazy;
	nr_far_hook = NULL;
	seats_open(&b, th_geometry(replicas), replicas, &config, &toy_board_dispatch);
	script_begin(b.th, NULL);
	nr_far_hook = hear;
}

/* From here on session i, alone. */
static NrCrossings before;

static void
watch(uint32_t i)
{
	home = i;
	nr_far_hook = NULL;
	nr_handle_flush_counters(&b.h[i]);
	before = toy_replica_info(b.e, 0, i).crossings;
	nr_far_hook = hear;
	memset(&heard, 0, sizeof(heard));
}

/* What it has counted since. */
static NrCrossings
counted(void)
{
	NrCrossings c;
	bool		same;

	nr_far_hook = NULL;
	nr_handle_flush_counters(&b.h[home]);
	c = toy_replica_info(b.e, 0, home).crossings;
	c.shared_updates -= before.shared_updates;
	c.pool_updates -= before.pool_updates;
	c.slots -= before.slots;
	c.positions -= before.positions;
	c.batches -= before.batches;
	c.bytes -= before.bytes;
	c.visits -= before.visits;
	same = c.slots == heard.slots && c.positions == heard.positions && c.batches == heard.batches &&
		c.bytes == heard.bytes && c.visits == heard.visits && depth == 0;
	if (!same)
		tap_note("heard: slots %lu positions %lu batches %lu bytes %lu visits %lu", (unsigned long) heard.slots,
				 (unsigned long) heard.positions, (unsigned long) heard.batches, (unsigned long) heard.bytes,
				 (unsigned long) heard.visits);
	tap_ok(same, "what is counted is what is declared");
	return c;
}

static void
expect(const char *what, NrCrossings want)
{
	NrCrossings c = counted();
	bool		ok = memcmp(&c, &want, sizeof(c)) == 0;

	if (!ok)
		tap_note("shared_updates %lu pool_updates %lu slots %lu positions %lu batches %lu bytes %lu visits %lu",
				 (unsigned long) c.shared_updates, (unsigned long) c.pool_updates, (unsigned long) c.slots,
				 (unsigned long) c.positions, (unsigned long) c.batches, (unsigned long) c.bytes,
				 (unsigned long) c.visits);
	tap_ok(ok, "%u replicas: %s", b.e->geo.replicas, what);
}

static size_t
sets(uint32_t n)
{
	size_t		at = 0;

	for (uint32_t i = 0; i < n; i++)
		at += toy_set(ops + at, i % TOY_CELLS, i);
	return at;
}

static void
write_now(uint32_t i, uint32_t n)
{
	NrResult	res = {.status = NR_OK};

	if (nr_execute_mut(&b.h[i], ops, sets(n), n, false, &res) != NR_OK || res.done != n)
		th_die("a write failed");
}

static void
commit(uint32_t i, uint32_t n, uint32_t flags)
{
	NrPrepared	p;

	if (nr_prepare(&b.h[i], ops, sets(n), n, flags, true, &p) != NR_OK)
		th_die("nothing could be prepared");
	nr_prepared_append(&b.h[i], &p);
}

static void
read_all(void)
{
	for (uint32_t i = 0; i < b.n; i++)
		(void) toy_board_read(&b.h[i]);
}

/* Bytes in the ring of a batch of one request with n operations. */
static uint64_t
batch_bytes(uint32_t n)
{
	return NR_LINE_UP(sizeof(NrBatch) + sizeof(NrBatchRequest) + n * TOY_SET_BYTES);
}

/* ---- one copy ---- */

static void
test_immediate(uint32_t replicas)
{
	uint32_t	others = replicas - 1;
	uint32_t	slots;
	NrCrossings nothing = {0};
	NrCrossings c;

	open_seats(replicas, 1, false);
	slots = b.h[0].group->log_slots;
	for (uint32_t n = 1; n <= 8; n *= 8)
	{
		read_all();
		watch(FAR);
		for (int i = 0; i < 100; i++)
			(void) toy_board_read(&b.h[FAR]);
		expect("reads of what is there: nothing", nothing);
		watch(FAR);
		write_now(FAR, n);
		expect("a batch, whatever is in it: five updates, two slots", (NrCrossings) {.shared_updates = 5,.slots = 2});
		nr_store32_rlx(&nr_test_announces, 1);
		watch(FAR);
		write_now(FAR, n);
		expect("of who combines: one slot more, the next one", (NrCrossings) {.shared_updates = 5,.slots = 3});
		nr_store32_rlx(&nr_test_announces, 0);
		watch(FAR);
		(void) toy_board_read(&b.h[FAR]);
		expect("a read on the replica that wrote: nothing", nothing);
		watch(NEAR);
		(void) toy_board_read(&b.h[NEAR]);
		expect("the first read on another one fetches the batches",
			   (NrCrossings) {.batches = 2,.bytes = 2 * batch_bytes(n)});
		watch(NEAR);
		(void) toy_board_read(&b.h[NEAR]);
		expect("the second one nothing", nothing);

		write_now(NEAR, n);
		write_now(NEAR, n);
		watch(FAR);
		(void) toy_board_read(&b.h[FAR]);
		expect("two batches from where the slots are",
			   (NrCrossings) {.slots = 3,.batches = 2,.bytes = 2 * batch_bytes(n)});
		write_now(FAR, n);
		watch(NEAR);
		write_now(NEAR, n);
		expect("a write brings along what others have written",
			   (NrCrossings) {.shared_updates = 5,.batches = 1,.bytes = batch_bytes(n)});
	}
	read_all();
	nr_log_head(&b.s[NEAR], 0);
	watch(FAR);
	for (uint32_t i = 0; i < slots; i++)
		write_now(FAR, 1);
	expect("a lap of the log, and nobody looks at positions", (NrCrossings) {.shared_updates = 5 * slots,.slots = 2 * slots});
	watch(FAR);
	write_now(FAR, 1);
	c = counted();
	tap_ok(c.positions >= others && c.visits > 0, "until it is full");
	nr_far_hook = NULL;
	tap_ok(seats_close(&b), "all extents are back");
}

static void
test_payload(void)
{
	uint32_t	n = 4096 / TOY_SET_BYTES + 1;	/* two extents */
	uint64_t	bytes = n * TOY_SET_BYTES + 2 * sizeof(NrPayload);
	NrCrossings c;

	open_seats(2, 1, false);
	watch(FAR);
	write_now(FAR, n);
	c = counted();
	tap_ok(c.pool_updates == 4 && c.batches == 0, "a large request: its extents are taken from the pool, and let go of");
	watch(NEAR);
	(void) toy_board_read(&b.h[NEAR]);
	expect("large requests are read where they are",
		   (NrCrossings) {.pool_updates = 2,.batches = 1,
						  .bytes = NR_LINE_UP(sizeof(NrBatch) + sizeof(NrBatchRequest)) + bytes});
	nr_far_hook = NULL;
	tap_ok(seats_close(&b), "all extents are back");
}

static void
test_commit(uint32_t replicas)
{
	NrCrossings c;

	open_seats(replicas, 1, true);
	commit(FAR, 1, NR_PREPARE_ORDERED);
	for (uint32_t n = 1; n <= 4; n *= 4)
	{
		read_all();
		watch(FAR);
		commit(FAR, n, NR_PREPARE_ORDERED);
		c = counted();
		tap_ok(c.shared_updates == 11 && c.slots == 3 && c.positions == 0 && c.batches == 0 && c.visits == 0 &&
			   c.pool_updates >= 1 && c.pool_updates <= 3, "%u replicas: a commit of %u", replicas, n);
		watch(NEAR);
		(void) toy_board_read(&b.h[NEAR]);
		expect("the first read elsewhere", (NrCrossings) {.pool_updates = 1,.batches = 1,
			   .bytes = sizeof(NrBatch) + sizeof(NrBatchRequest) + n * TOY_SET_BYTES});
	}
	nr_far_hook = NULL;
	tap_ok(seats_close(&b), "all extents are back");
}

/* ---- two copies ---- */

static void
test_two(uint32_t replicas)
{
	NrCrossings nothing = {0};
	NrCrossings c;

	open_seats(replicas, 2, false);
	write_now(FAR, 1);
	for (uint32_t i = 0; i < 4; i++)
	{
		nr_store32_rlx(&nr_test_announces, i % 2);
		watch(FAR);
		write_now(FAR, 1);
		c = counted();
		tap_ok(c.slots == 3 + i % 2 && c.positions == 0 && c.visits == 0 && c.batches == 0,
			   "two copies: one slot more, of the batch before");
	}
	nr_store32_rlx(&nr_test_announces, 0);
	read_all();
	write_now(FAR, 1);
	watch(NEAR);
	(void) toy_board_read(&b.h[NEAR]);
	expect("a batch is fetched for each copy", (NrCrossings) {.batches = 6,.bytes = 6 * batch_bytes(1)});
	watch(NEAR);
	(void) toy_board_read(&b.h[NEAR]);
	expect("and only once", nothing);
	nr_far_hook = NULL;
	tap_ok(seats_close(&b), "all extents are back");

	open_seats(replicas, 2, false);
	for (int i = 0; i < 4; i++)
	{
		watch(FAR);
		commit(FAR, 1, 0);
		c = counted();
		tap_ok(i == 0 || (c.shared_updates == 7 && c.slots == 4 * replicas + 2 && c.visits == 6 * (replicas - 1) && c.batches == 0),
			   "%u replicas: a commit visits each of the others six times", replicas);
	}
	watch(NEAR);
	(void) toy_board_read(&b.h[NEAR]);
	expect("nothing is left to do for readers there", nothing);
	nr_far_hook = NULL;
	tap_ok(seats_close(&b), "all extents are back");
}

static void
test_growth(uint32_t copies)
{
	NrCrossings c;

	open_seats(2, copies, copies == 1);
	toy_board_need = 3;
	watch(FAR);
	commit(FAR, 1, copies == 1 ? NR_PREPARE_ORDERED : 0);
	c = counted();
	tap_ok(c.shared_updates == (copies == 1 ? 11 : 7) + 3 && c.pool_updates >= 3 * copies,
		   "extents that are granted: one update each, and as many from the pool as there are copies");
	toy_board_need = 0;
	nr_far_hook = NULL;
	tap_ok(seats_close(&b), "all extents are back");
}

/* ---- append, publish; help; checks ---- */

static void
test_others(uint32_t copies)
{
	NrResult	res = {.status = NR_OK};
	uint32_t	replica;
	const char *why;
	uint64_t	n;
	NrCrossings c;

	open_seats(4, copies, copies == 1);
	watch(FAR);
	nr_append(&b.h[FAR], ops, sets(1), 1, false, &res);
	expect("what awaits nr_publish lies with replica 0",
		   (NrCrossings) {.shared_updates = 1,.pool_updates = 1,.visits = 1});
	watch(FAR);
	nr_publish(&b.h[FAR], false, &n);
	c = counted();
	tap_ok(n == 1 && c.shared_updates == (copies == 1 ? 7 : 8) && c.visits == (copies == 1 ? 3 : 3 + 6 * 3) && c.batches >= 1,
		   "and is read there");
	watch(NEAR);
	nr_append(&b.h[NEAR], ops, sets(1), 1, false, &res);
	c = counted();
	tap_ok(c.visits == 0, "by who is there it is no visit");
	watch(NEAR);
	(void) toy_board_read(&b.h[NEAR]);
	c = counted();
	tap_ok(c.shared_updates == (copies == 1 ? 1 : 0), "memory of what was published from elsewhere is settled there");
	watch(NEAR);
	nr_publish(&b.h[NEAR], false, &n);
	c = counted();
	tap_ok(n == 1 && c.shared_updates == 8 && c.visits == (copies == 1 ? 0 : 6 * 3), "published there, either");
	nr_append(&b.h[NEAR], ops, sets(1), 1, false, &res);
	watch(FAR);
	nr_publish(&b.h[FAR], false, &n);
	nr_group_sync_replica(&b.h[FAR], 3, false);
	tap_ok(nr_group_check(&b.h[FAR], false, &replica, &why) == NR_OK, "checked");
	c = counted();
	tap_ok(c.visits >= 10, "nr_group_check visits all");
	watch(FAR);
	tap_ok(nr_group_retire(&b.h[FAR], false) == NR_OK && nr_group_own(&b.h[FAR], false) == NR_OK, "retired");
	nr_group_clear(&b.h[FAR]);
	nr_group_disown(&b.h[FAR]);
	nr_group_restore(&b.h[FAR]);
	(void) counted();
	nr_far_hook = NULL;
	tap_ok(seats_close(&b), "all extents are back");
}

/* The log is full, and the others lag. */
static void
test_help(void)
{
	NrCrossings c;

	open_seats(4, 1, false);
	watch(FAR);
	for (int i = 0; i < 400; i++)
		write_now(FAR, 1);
	c = counted();
	tap_ok(c.visits >= 3 && c.visits % 3 == 0 && c.batches == 0 && toy_replica_info(b.e, 0, 2).helped > 0,
		   "who brings others forward visits them, %lu times", (unsigned long) c.visits);
	tap_ok(deepest >= 2, "within a visit, slots and batches are declared again");
	nr_far_hook = NULL;
	tap_ok(seats_close(&b), "all extents are back");
}

static void
test_flush(void)
{
	NrGroupConfig config = toy_config(40, 4096, 8192);
	NrHandle	second;
	NrResult	res = {.status = NR_OK};
	NrCrossings a;
	NrCrossings c;

	open_seats(2, 1, false);
	nr_far_hook = NULL;
	th_create(b.th, 1, &config, &toy_board_dispatch);
	th_attach(&b.s[0], 1, &toy_board_dispatch, &second);
	write_now(0, 1);
	tap_ok(toy_replica_info(b.e, 0, 0).crossings.shared_updates == 0, "until it is flushed, only the session knows");
	nr_execute_mut(&second, ops, sets(1), 1, false, &res);
	a = toy_replica_info(b.e, 0, 0).crossings;
	tap_ok(a.shared_updates == 5 && a.slots == 0, "when it works for another group, the first one's are added");
	nr_handle_flush_counters(&b.h[0]);
	tap_ok(toy_replica_info(b.e, 1, 0).crossings.slots == 0, "a handle flushes its own group's");
	nr_group_detach(&second);
	c = toy_replica_info(b.e, 1, 0).crossings;
	tap_ok(c.shared_updates == 5 && c.slots == 2 && toy_replica_info(b.e, 1, 1).crossings.slots == 0,
		   "and when it is detached; the second group's log is with replica 1");
	write_now(0, 1);
	nr_session_move(&b.s[0], 1);
	tap_ok(toy_replica_info(b.e, 0, 0).crossings.shared_updates == 10 &&
		   toy_replica_info(b.e, 0, 1).crossings.shared_updates == 0, "who moves leaves them where they were made");
	nr_session_move(&b.s[0], 0);
	write_now(0, 1);
	nr_group_destroy(b.e, 1, NULL);
	th_create(b.th, 1, &config, &toy_board_dispatch);
	tap_ok(toy_replica_info(b.e, 1, 0).crossings.shared_updates == 0, "a new group begins at 0");
	nr_group_destroy(b.e, 1, NULL);
	tap_ok(seats_close(&b), "all extents are back");

	open_seats(1, 1, false);
	nr_far_hook = NULL;
	write_now(0, 1);
	nr_handle_flush_counters(&b.h[0]);
	a = toy_replica_info(b.e, 0, 0).crossings;
	tap_ok(a.shared_updates == 0 && a.slots == 0 && a.positions == 0, "with one replica, nothing crosses");
	tap_ok(seats_close(&b), "all extents are back");
}

int
main(void)
{
	for (uint32_t replicas = 2; replicas <= 4; replicas += 2)
	{
		test_immediate(replicas);
		test_commit(replicas);
		test_two(replicas);
	}
	test_payload();
	test_growth(1);
	test_growth(2);
	test_others(1);
	test_others(2);
	test_help();
	test_flush();
	return tap_done();
}
