/*
 * test_write.c
 *		Requests: lengths that do not add up, limits, chains of extents, what a
 *		response may be, requests given up.
 */
#include <stdlib.h>

#include "engine/combine.h"
#include "seats.h"
#include "tap.h"

static void
test_requests(void)
{
	NrGroupConfig config = toy_config(4, 4096, 4096);
	Seats		b;
	_Alignas(8) char ops[1024];
	uint64_t	answer = 0;
	NrResult	res = {.last = {.data = &answer, .capacity = 8}};
	ToyRead		row = {.first = 0, .n = 64};
	bool		equal = true;
	size_t		at;

	seats_open(&b, th_geometry(2), 2, &config, &toy_counter_dispatch);
	tap_ok(toy_call_add_row(&b.h[0], 0, 64, 3, &res) == NR_OK && res.done == 64 && res.flagged == 64,
		   "a request of 64 operations: all done, flags counted");
	tap_ok(res.last.length == 8 && answer == 3 && res.last.flag, "the last response is given");
	nr_execute(&b.h[1], &row, &row, false);
	for (int i = 0; i < 64; i++)
		equal &= row.value[i] == 3;
	tap_ok(equal, "all of it is seen on the other replica");
	tap_ok(toy_group_info(b.e, 0).tail == res.seq + 1 ||
		   toy_group_info(b.e, 0).tail == res.seq, "as one batch");

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
	tap_ok(seats_close(&b), "all extents are back");
}

static void
test_bad_lengths(void)
{
	NrGroupConfig config = toy_config(4, 4096, 4096);
	Seats		b;
	_Alignas(8) char ops[512];
	NrOpHeader *second = (NrOpHeader *) (ops + TOY_ADD_BYTES);
	NrResult	res = {.status = NR_OK};
	size_t		bytes = 2 * TOY_ADD_BYTES;

#define TRY(n) nr_execute_mut(&b.h[0], ops, bytes, n, false, &res)
#define RESET() (toy_add(ops, 0, 1), toy_add(second, 0, 1))
	seats_open(&b, th_geometry(1), 1, &config, &toy_counter_dispatch);
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
	tap_ok(toy_call_get(&b.h[0], 0) == 0 && toy_group_info(b.e, 0).tail == 0,
		   "nothing of all this happened");
	RESET();
	tap_ok(TRY(2) == NR_OK && toy_call_get(&b.h[0], 0) == 2, "the same, correct, is taken");
	tap_ok(seats_close(&b), "all extents are back");
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
	Seats		b;
	char	   *ops = malloc(65536);
	NrResult	res = {.status = NR_OK};
	uint64_t	value = 0,
				expect;
	size_t		at = 0;
	uint32_t	n = 0;

	seats_open(&b, geo, geo.replicas, &config, &toy_counter_dispatch);
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
	tap_ok(seats_close(&b), "all extents are back");
}

/* Far more payload than there is memory goes through extents that come back. */
static void
test_large_payloads(void)
{
	NrGeometry	geo = th_geometry(3);
	NrGroupConfig config = toy_config(2, 8192, 12288);
	Seats		b;
	uint64_t	expect = 0,
				value = 0;
	uint32_t	i;

	geo.extents = 24;
	seats_open(&b, geo, geo.replicas, &config, &toy_counter_dispatch);
	for (i = 0; i < 3000; i++)
	{
		size_t		p = 600 + i * 37 % 3000;

		expect += p * (i % 5);
		if (toy_call_sum(&b.h[i % 3], p, (unsigned char) (i % 5), &value) != NR_OK || value != expect)
			break;
	}
	tap_ok(i == 3000, "3000 large payloads through 24 extents (%u done)", i);
	tap_ok(toy_check(&b.h[1]) && toy_call_get(&b.h[2], 0) == expect, "the replicas are equal");
	tap_ok(seats_close(&b), "all extents are back");
}

/* ---- white-box ---- */

static Seats seats;

static void
open_seats(const NrDispatch *d)
{
	NrGroupConfig config = toy_config(4, 16384, 65536);

	seats_open(&seats, th_geometry(2), 2, &config, d);
}

static void
test_no_operations(void)
{
	_Alignas(8) char ops[4 * TOY_ADD_BYTES];
	NrResult	res = {.status = NR_OK};
	NrHandle   *h = &seats.h[0];
	uint32_t	refused = 0;

	open_seats(&toy_counter_dispatch);
	toy_add(ops, 0, 1);
	tap_ok(nr_execute_mut(h, ops, 0, 0, false, &res) == NR_BAD_OP, "a request of nothing is refused");
	tap_ok(nr_execute_mut(h, ops, TOY_ADD_BYTES, 0, false, &res) == NR_BAD_OP, "so is one of no operations");
	for (size_t bytes = 1; bytes < TOY_ADD_BYTES + 8; bytes++)
		refused += bytes != TOY_ADD_BYTES && nr_execute_mut(h, ops, bytes, 1, false, &res) == NR_BAD_OP;
	tap_ok(refused == TOY_ADD_BYTES + 6, "so is one of any length but its own");
	toy_sum(ops + TOY_ADD_BYTES, TOY_ADD_BYTES + 8 - sizeof(NrOpHeader), 0);
	tap_ok(nr_execute_mut(h, ops, 2 * TOY_ADD_BYTES, 2, false, &res) == NR_BAD_OP,
		   "so is a last operation that ends past the end");
	tap_ok(toy_group_info(seats.e, 0).tail == 0 && nr_load64_rlx(&seats.h[0].slot->state) == 0,
		   "nothing of this was asked for");
	tap_ok(seats_close(&seats), "all extents are back");
}

/* What a large request looks like when it pends. */
static uint32_t chain_extents;
static uint32_t chain_bytes;
static bool chain_sane;

static void
look_at_chain(const char *point)
{
	NrRequestSlot *slot = seats.h[0].slot;
	size_t		room = nr_op_bytes_max(&seats.e->geo);
	uint32_t	x = nr_load32_rlx(&slot->first_extent);

	if (strcmp(point, "request_announced") != 0)
		return;
	chain_extents = chain_bytes = 0;
	chain_sane = nr_req_phase(nr_load64_rlx(&slot->state)) == NR_REQ_PENDING;
	while (x != NR_NO_EXTENT)
	{
		NrPayload  *payload = (NrPayload *) nr_physical(seats.e, 0, x);
		const NrOpHeader *op = (const NrOpHeader *) (payload + 1);

		chain_extents++;
		chain_bytes += payload->bytes;
		x = payload->next;

		/* as many whole operations as fit; here all have one size */
		chain_sane &= payload->bytes % op->bytes == 0 && payload->bytes <= room &&
			(x == NR_NO_EXTENT || payload->bytes + op->bytes > room);
	}
	chain_sane &= chain_bytes == 0 || chain_bytes == nr_load32_rlx(&slot->bytes);
}

static void
test_chain(void)
{
	char	   *ops = malloc(65536);
	NrResult	res = {.status = NR_OK};
	uint32_t	before;
	bool		ok = true;

	open_seats(&toy_counter_dispatch);
	before = toy_pool_free(seats.e);
	nr_test_point_hook = look_at_chain;
	nr_store32_rlx(&nr_test_announces, 1);
	for (uint32_t op_bytes = 48; op_bytes <= nr_op_bytes_max(&seats.e->geo); op_bytes += 8 * 17)
	{
		uint32_t	per_extent = (uint32_t) nr_op_bytes_max(&seats.e->geo) / op_bytes;
		uint32_t	n = 3 * per_extent + 1;
		size_t		at = 0;

		for (uint32_t i = 0; i < n; i++)
			at += toy_sum(ops + at, op_bytes - sizeof(NrOpHeader), 0);
		ok &= nr_execute_mut(&seats.h[0], ops, at, n, false, &res) == NR_OK && res.done == n &&
			chain_sane && chain_extents == 4 && chain_bytes == at;
		nr_group_sync(&seats.h[1], false);
		ok &= toy_pool_free(seats.e) == before;
	}
	tap_ok(ok, "each extent of a large request holds as many whole operations as fit");
	toy_call_sum(&seats.h[0], 512 - sizeof(NrOpHeader), 0, NULL);
	tap_ok(chain_extents == 0, "what fits the session's buffer needs no extent");
	toy_call_sum(&seats.h[0], 512 - sizeof(NrOpHeader) + 1, 0, NULL);
	tap_ok(chain_extents == 1, "what does not, one");
	nr_test_point_hook = NULL;
	nr_store32_rlx(&nr_test_announces, 0);
	ok = true;
	for (uint32_t extents = 1; extents <= 4; extents++)
	{
		size_t		at = 0;

		for (uint32_t i = 0; i < extents; i++)
			at += toy_sum(ops + at, nr_op_bytes_max(&seats.e->geo) - sizeof(NrOpHeader), 0);
		ok &= nr_execute_mut(&seats.h[0], ops, at, extents, false, &res) == NR_OK && res.done == extents;
		nr_group_sync(&seats.h[1], false);
		ok &= toy_pool_free(seats.e) == before;
	}
	tap_ok(ok, "who is alone has extents of its own, too");
	free(ops);
	tap_ok(seats_close(&seats), "all extents are back");
}

/* The counter, but a TOY_SUM answers as many bytes 'x' as are asked for by its payload's length. */
static NrStatus
answer_long(NrCopy *copy, const NrOpHeader *op, NrResponse *resp)
{
	NrStatus	status = toy_counter_dispatch.dispatch_mut(copy, op, resp);

	resp->length = op->payload_bytes;
	if (resp->data != NULL && resp->capacity >= resp->length)
		memset(resp->data, 'x', resp->length);
	return status;
}

static NrStatus
ask(uint32_t length, uint32_t capacity, char *data, NrResult *res)
{
	_Alignas(8) char op[2048];

	memset(data, '-', 2048);
	*res = (NrResult) {.last = {.data = data, .capacity = capacity}};
	return nr_execute_mut(&seats.h[0], op, toy_sum(op, length, 0), 1, false, res);
}

static bool
holds(const char *data, uint32_t n)
{
	for (uint32_t i = 0; i < 2048; i++)
		if (data[i] != (i < n ? 'x' : '-'))
			return false;
	return true;
}

static void
test_responses(void)
{
	NrDispatch	d = toy_counter_dispatch;
	char		data[2048];
	NrResult	res;

	d.dispatch_mut = answer_long;
	open_seats(&d);
	tap_ok(ask(511, 2000, data, &res) == NR_OK && res.last.length == 511 && holds(data, 511), "a long response");
	tap_ok(ask(512, 512, data, &res) == NR_OK && res.last.length == 512 && holds(data, 512),
		   "one as long as the session's buffer");
	tap_ok(ask(513, 2000, data, &res) == NR_OK && res.last.length == 513 && holds(data, 0),
		   "of one longer than that, the length only");
	tap_ok(ask(100, 99, data, &res) == NR_OK && res.last.length == 100 && holds(data, 0),
		   "as of one longer than the caller has room for");
	tap_ok(ask(0, 2000, data, &res) == NR_OK && res.last.length == 0 && holds(data, 0), "an empty one");
	res = (NrResult) {.status = NR_GONE,.done = 7,.flagged = 7};
	toy_call_add_row(&seats.h[0], 0, 2, 2, &res);
	tap_ok(res.status == NR_OK && res.done == 2 && res.flagged == 0 && res.seq == 5,
		   "nothing of the caller's former result, nor of the slot's, stays");
	tap_ok(seats_close(&seats), "all extents are back");
}

/* Given up while the combiner lock is another's. */
static void
test_cancelled(void)
{
	NrResult	res = {.status = NR_OK};
	uint64_t	value = 0;
	uint32_t	before;
	static char ops[8192];
	size_t		at = 0;

	open_seats(&toy_counter_dispatch);
	before = toy_pool_free(seats.e);
	nr_store32_rlx(&nr_replica(seats.e, 0, 0)->combiner, 9);
	script_begin(seats.th, script_give_up);
	for (int i = 0; i < 2; i++)
		at += toy_sum(ops + at, 3000, 1);
	tap_ok(nr_execute_mut(&seats.h[0], ops, at, 2, true, &res) == NR_CANCELLED &&
		   script.waits_for[NR_WAIT_RESPONSE] == 1, "a request that nobody took is given up");
	tap_ok(toy_pool_free(seats.e) == before, "its extents are back");
	tap_ok(nr_load64_rlx(&nr_pending(seats.e, seats.h[0].replica)[0]) == 0 &&
		   nr_req_phase(nr_load64_rlx(&seats.h[0].slot->state)) == NR_REQ_FREE &&
		   toy_replica_info(seats.e, 0, 0).withdrawn == 1, "nothing of it pends");
	nr_store32_rlx(&nr_replica(seats.e, 0, 0)->combiner, 0);
	tap_ok(toy_call_add(&seats.h[0], 0, 1, &value, NULL) == NR_OK && value == 1, "it never happened");
	tap_ok(seats_close(&seats), "all extents are back");
}

/* Payloads that a lagging replica holds on to are had by helping it. */
static void
test_lets_go(void)
{
	NrGeometry	geo = th_geometry(2);
	NrGroupConfig config = toy_config(1, 8192, 8192);
	bool		ok = true;

	geo.extents = 6;			/* root, two of log, three of payload */
	seats_open(&seats, geo, 1, &config, &toy_counter_dispatch);
	for (int i = 0; i < 50; i++)
		ok &= toy_call_sum(&seats.h[0], 3000, 1, NULL) == NR_OK;
	tap_ok(ok && toy_replica_info(seats.e, 0, 1).helped > 0,
		   "a replica that lags does not use up the memory for requests");
	nr_combiner_try(&seats.s[0], 0, 1);	/* as if its combiner had stopped */
	for (int i = 0; i < 5; i++)
		ok = toy_call_sum(&seats.h[0], 3000, 1, NULL) == NR_OK;
	tap_ok(!ok && toy_pool_free(seats.e) == 0, "one whose combiner has stopped does: no space");
	tap_ok(toy_call_add(&seats.h[0], 0, 1, NULL, NULL) == NR_OK, "small requests go on");
	nr_combiner_unlock(&seats.s[0], 0, 1);
	tap_ok(toy_call_sum(&seats.h[0], 3000, 1, NULL) == NR_OK, "so do large ones when it goes on");
	tap_ok(seats_close(&seats), "all extents are back");
}

int
main(void)
{
	th_watchdog(60);
	test_requests();
	test_bad_lengths();
	test_limits();
	test_large_payloads();
	test_no_operations();
	test_chain();
	test_responses();
	test_cancelled();
	test_lets_go();
	return tap_done();
}
