/*
 * test_engine_ops.c
 *		Reads and writes through 1 to 16 replicas, requests of many operations,
 *		limits, large payloads, the log's laps.
 *
 * One thread plays all sessions, so everything here is deterministic.
 */
#include <stdlib.h>

#include "tap.h"
#include "thread_host.h"
#include "toy_calls.h"

#define SEATS_MAX 16

/* One session on each replica, each in its own view. */
typedef struct Bench
{
	Th		   *th;
	NrSession	s[SEATS_MAX];
	NrHandle	h[SEATS_MAX];
	uint32_t	n;
} Bench;

static void
open_bench(Bench *b, NrGeometry geo, const NrGroupConfig *config, const NrDispatch *d)
{
	b->n = geo.replicas;
	b->th = th_new(&geo, b->n < 4 ? b->n + 1 : 4, 0);
	th_create(b->th, 0, config, d);
	for (uint32_t i = 0; i < b->n; i++)
	{
		th_register(b->th, i, i, &b->s[i]);
		th_attach(&b->s[i], 0, d, &b->h[i]);
	}
}

static void
close_bench(Bench *b)
{
	for (uint32_t i = 0; i < b->n; i++)
	{
		nr_group_detach(&b->h[i]);
		nr_session_unregister(&b->s[i]);
	}
	nr_group_destroy(th_engine(b->th, 0), 0);
	tap_ok(toy_pool_free(th_engine(b->th, 0)) == b->th->geo.extents, "all extents are back");
	th_free(b->th);
}

static void
test_replicas(uint32_t replicas)
{
	NrGroupConfig config = toy_config(4, 4096, 2048);
	Bench		b;
	bool		order = true,
				seen = true,
				seqs = true;
	uint64_t	last_seq = 0;

	open_bench(&b, th_geometry(replicas), &config, &toy_counter_dispatch);
	for (uint32_t i = 1; i <= 300; i++)
	{
		uint64_t	value,
					seq;

		order &= toy_call_add(&b.h[i % b.n], 3, 1, &value, &seq) == NR_OK && value == i;
		seqs &= i == 1 || seq == last_seq + 1;
		last_seq = seq;
		seen &= toy_call_get(&b.h[i * 7 % b.n], 3) == i;
	}
	tap_ok(order, "%u replicas: responses in log order", replicas);
	tap_ok(seqs, "%u replicas: log positions follow each other", replicas);
	tap_ok(seen, "%u replicas: each read sees the last write", replicas);
	tap_ok(toy_check(&b.h[0]), "%u replicas are equal", replicas);
	for (uint32_t r = 0; r < replicas; r++)
		seen &= toy_replica_info(th_engine(b.th, 1), 0, r).applied ==
			toy_group_info(th_engine(b.th, 0), 0).tail;
	tap_ok(seen, "%u replicas: the check brought all to the tail", replicas);
	close_bench(&b);
}

static void
test_requests(void)
{
	NrGroupConfig config = toy_config(4, 4096, 4096);
	Bench		b;
	_Alignas(8) char ops[1024];
	uint64_t	answer = 0;
	NrResult	res = {.last = {.data = &answer, .capacity = 8}};
	ToyRead		row = {.first = 0, .n = 64};
	bool		equal = true;
	size_t		at;

	open_bench(&b, th_geometry(2), &config, &toy_counter_dispatch);
	tap_ok(toy_call_add_row(&b.h[0], 0, 64, 3, &res) == NR_OK && res.done == 64 && res.flagged == 64,
		   "a request of 64 operations: all done, flags counted");
	tap_ok(res.last.length == 8 && answer == 3 && res.last.flag, "the last response is given");
	nr_execute(&b.h[1], &row, &row, false);
	for (int i = 0; i < 64; i++)
		equal &= row.value[i] == 3;
	tap_ok(equal, "all of it is seen on the other replica");
	tap_ok(toy_group_info(th_engine(b.th, 0), 0).tail == res.seq + 1 ||
		   toy_group_info(th_engine(b.th, 0), 0).tail == res.seq, "as one batch");

	at = toy_add(ops, 100, 1);
	at += toy_add(ops + at, 9999, 1);	/* no such counter */
	at += toy_add(ops + at, 101, 1);
	res = (NrResult) {.status = NR_OK};
	tap_ok(nr_execute_mut(&b.h[0], ops, at, 3, false, &res) == NR_OK && res.status == NR_BAD_OP &&
		   res.done == 2, "one operation refused by the structure: the others stand");
	tap_ok(toy_call_get(&b.h[1], 100) == 1 && toy_call_get(&b.h[1], 101) == 1, "and are seen");

	answer = 42;
	res = (NrResult) {.last = {.data = &answer, .capacity = 4}};
	at = toy_add(ops, 7, 5);
	tap_ok(nr_execute_mut(&b.h[0], ops, at, 1, false, &res) == NR_OK && res.last.length == 8 &&
		   answer == 42, "a response that does not fit says its length and writes nothing");
	close_bench(&b);
}

static void
test_bad_lengths(void)
{
	NrGroupConfig config = toy_config(4, 4096, 4096);
	Bench		b;
	_Alignas(8) char ops[512];
	NrOpHeader *second = (NrOpHeader *) (ops + TOY_ADD_BYTES);
	NrResult	res = {.status = NR_OK};
	size_t		bytes = 2 * TOY_ADD_BYTES;

#define TRY(n) nr_execute_mut(&b.h[0], ops, bytes, n, false, &res)
#define RESET() (toy_add(ops, 0, 1), toy_add(second, 0, 1))
	open_bench(&b, th_geometry(1), &config, &toy_counter_dispatch);
	memset(ops, 0, sizeof(ops));
	RESET();
	tap_ok(TRY(1) == NR_BAD_OP, "bytes left over are refused");
	tap_ok(TRY(3) == NR_BAD_OP, "too few bytes are refused");
	second->bytes -= 4;
	tap_ok(TRY(2) == NR_BAD_OP, "an odd length is refused");
	RESET();
	second->bytes = 0;
	tap_ok(TRY(2) == NR_BAD_OP, "a length of 0 is refused");
	RESET();
	second->bytes = UINT32_MAX - 7;
	tap_ok(TRY(2) != NR_OK, "a length past the end is refused");
	RESET();
	second->payload_bytes += 8;
	tap_ok(TRY(2) == NR_BAD_OP, "a payload longer than its operation is refused");
	RESET();
	second->payload_bytes = UINT32_MAX;
	tap_ok(TRY(2) == NR_BAD_OP, "a payload of 4 GB is refused");
	tap_ok(toy_call_get(&b.h[0], 0) == 0 && toy_group_info(th_engine(b.th, 0), 0).tail == 0,
		   "nothing of all this happened");
	RESET();
	tap_ok(TRY(2) == NR_OK && toy_call_get(&b.h[0], 0) == 2, "the same, correct, is taken");
	close_bench(&b);
#undef TRY
#undef RESET
}

/* Right at each limit, and one step over it. */
static void
test_limits(void)
{
	NrGeometry	geo = th_geometry(2);
	size_t		op_max = nr_op_bytes_max(&geo);
	NrGroupConfig config = toy_config(4, 65536, 16384);
	Bench		b;
	char	   *ops = malloc(65536);
	NrResult	res = {.status = NR_OK};
	uint64_t	value = 0,
				expect;
	size_t		at = 0;
	uint32_t	n = 0;

	open_bench(&b, geo, &config, &toy_counter_dispatch);
	tap_ok(op_max % 8 == 0 && op_max > 2048 && op_max <= 4096,
		   "the largest operation (%zu bytes) is most of an extent", op_max);
	expect = op_max - sizeof(NrOpHeader);
	tap_ok(toy_call_sum(&b.h[0], expect, 1, &value) == NR_OK && value == expect,
		   "the largest operation is taken");
	tap_ok(toy_call_sum(&b.h[0], expect + 1, 1, NULL) == NR_TOO_LARGE, "a larger one is refused");
	tap_ok(toy_call_get(&b.h[1], 0) == expect, "nothing happened then");

	/* 16384 = 8 * 2048 */
	for (n = 0; n < 8; n++)
		at += toy_sum(ops + at, 2048 - sizeof(NrOpHeader), 1);
	expect += 8 * (2048 - sizeof(NrOpHeader));
	tap_ok(at == config.batch_bytes_max && nr_execute_mut(&b.h[0], ops, at, n, false, &res) == NR_OK &&
		   res.done == 8, "the largest request is taken");
	tap_ok(toy_call_get(&b.h[1], 0) == expect, "and seen whole");
	at += toy_sum(ops + at, 0, 0);
	tap_ok(nr_execute_mut(&b.h[0], ops, at, n + 1, false, &res) == NR_TOO_LARGE,
		   "a larger one is refused");
	tap_ok(toy_call_get(&b.h[1], 0) == expect, "nothing happened then");

	/* around the session buffer, byte by byte of payload */
	for (size_t p = 400; p < 560; p++)
	{
		expect += p;
		if (toy_call_sum(&b.h[p % 2], p, 1, &value) != NR_OK || value != expect)
			break;
	}
	tap_ok(value == expect && toy_call_get(&b.h[0], 0) == expect,
		   "sizes around the session buffer");
	tap_ok(toy_check(&b.h[0]), "the replicas are equal");
	free(ops);
	close_bench(&b);
}

/* A config that cannot work is refused before anything happens. */
static void
test_group_limits(void)
{
	NrGeometry	geo = th_geometry(1);
	Th		   *th = th_new(&geo, 1, 0);
	NrGroupConfig config = toy_config(4, 4096, 1024);

	config.extents_max = 0;
	tap_ok(nr_group_create(th_engine(th, 0), 0, &config, &toy_counter_dispatch) == NR_BAD_CONFIG,
		   "a quota of nothing is refused");
	config = toy_config(4, 4096, 1024);
	config.arg_bytes = NR_ARG_BYTES + 1;
	tap_ok(nr_group_create(th_engine(th, 0), 0, &config, &toy_counter_dispatch) == NR_BAD_CONFIG,
		   "too long arguments are refused");
	config = toy_config(4, 4096, 1024);
	tap_ok(nr_group_create(th_engine(th, 0), geo.groups, &config, &toy_counter_dispatch) != NR_OK,
		   "a group past the last is refused");
	tap_ok(!nr_group_exists(th_engine(th, 0), 0) && toy_pool_free(th_engine(th, 0)) == geo.extents,
		   "nothing is used");
	th_free(th);
}

/* Far more payload than there is memory goes through extents that come back. */
static void
test_large_payloads(void)
{
	NrGeometry	geo = th_geometry(3);
	NrGroupConfig config = toy_config(2, 8192, 12288);
	Bench		b;
	uint64_t	expect = 0,
				value = 0;
	uint32_t	i;

	geo.extents = 24;
	open_bench(&b, geo, &config, &toy_counter_dispatch);
	for (i = 0; i < 3000; i++)
	{
		size_t		p = 600 + i * 37 % 3000;

		expect += p * (i % 5);
		if (toy_call_sum(&b.h[i % 3], p, (unsigned char) (i % 5), &value) != NR_OK || value != expect)
			break;
	}
	tap_ok(i == 3000, "3000 large payloads through 24 extents (%u done)", i);
	tap_ok(toy_check(&b.h[1]) && toy_call_get(&b.h[2], 0) == expect, "the replicas are equal");
	close_bench(&b);
}

/* Many laps of the smallest log, with records of changing size. */
static void
test_laps(void)
{
	NrGroupConfig config = toy_config(4, 1, 2048);
	Bench		b;
	uint64_t	expect[8] = {0};
	bool		ok = true,
				sane = true;

	open_bench(&b, th_geometry(3), &config, &toy_counter_dispatch);
	for (uint32_t i = 0; i < 30000; i++)
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
		gi = toy_group_info(th_engine(b.th, 0), 0);
		sane &= gi.head <= gi.completed && gi.completed <= gi.tail && gi.tail - gi.head <= gi.log_slots;
	}
	tap_ok(ok, "30000 requests through the smallest log");
	tap_ok(sane, "head <= completed <= tail <= head + slots at each step");
	tap_ok(toy_check(&b.h[0]), "the replicas are equal");
	close_bench(&b);
}

/* Empty, one entry, one short of full, full, wrapped: an idle replica reads right after each. */
static void
test_fill_levels(void)
{
	NrGroupConfig config = toy_config(4, 1, 512);
	Bench		b;
	uint64_t	expect = 0;
	bool		ok = true;
	uint32_t	slots;

	open_bench(&b, th_geometry(2), &config, &toy_counter_dispatch);
	slots = toy_group_info(th_engine(b.th, 0), 0).log_slots;
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
	close_bench(&b);
}

static void
test_enter(void)
{
	NrGroupConfig config = toy_config(4, 4096, 512);
	Bench		b;
	NrReplicaInfo ri;

	open_bench(&b, th_geometry(2), &config, &toy_counter_dispatch);
	tap_ok(nr_enter(&b.h[1], true) == NR_OK && nr_enter(&b.h[1], true) == NR_OK, "enter nests");
	nr_leave(&b.h[1]);
	tap_ok(toy_call_add(&b.h[0], 0, 1, NULL, NULL) == NR_OK,
		   "a reader inside one replica does not hold a writer of another up");
	nr_leave(&b.h[1]);
	tap_ok(toy_call_get(&b.h[1], 0) == 1, "after leaving the write is seen");
	b.h[1].hits = 3;
	b.h[1].misses = 4;
	nr_handle_flush_counters(&b.h[1]);
	ri = toy_replica_info(th_engine(b.th, 0), 0, 1);
	tap_ok(ri.reads_hit == 3 && ri.reads_missed == 4 && b.h[1].hits == 0 && b.h[1].misses == 0,
		   "hits and misses are added to the replica's");
	close_bench(&b);
}

int
main(void)
{
	static const uint32_t replicas[] = {1, 2, 3, 4, 8, 16};

	th_watchdog(120);
	for (size_t i = 0; i < sizeof(replicas) / sizeof(replicas[0]); i++)
		test_replicas(replicas[i]);
	test_requests();
	test_bad_lengths();
	test_limits();
	test_group_limits();
	test_large_payloads();
	test_laps();
	test_fill_levels();
	test_enter();
	return tap_done();
}
