/*
 * test_hash_response.c
 *		The answers to swap and add on their way through the engine: of all lengths, with one
 *		and two copies and several replicas, whoever serves the request.
 */
#include "ds/hash.h"
#include "engine/combine.h"
#include "seats.h"
#include "tap.h"

#define SEATS	6

static Seats b;
static char value[2][20000];
static char answer[20000];
static _Alignas(8) char op[24000];
static uint64_t hash;

static void
open_seats(uint32_t replicas, uint32_t copies, uint32_t buffer_bytes)
{
	NrGeometry	geo = th_geometry(replicas);
	DsHashArg	arg = {.seed = 42,.line_bytes = 64};
	NrGroupConfig config = {.copies = copies,.extents_max = 20,.log_bytes = 1,.batch_bytes_max = 32768};

	config.arg_bytes = sizeof(arg);
	memcpy(config.arg, &arg, sizeof(arg));
	geo.extent_shift = 15;
	geo.session_buffer_bytes = buffer_bytes;
	seats_open(&b, geo, SEATS, &config, &ds_hash_dispatch);
	hash = ds_hash_key(42, "key", 3);
}

static size_t
make_swap(void *to, uint32_t which, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		value[which][i] = (char) (i * 7 + i / 256 + which + bytes);
	return ds_hash_op_swap(to, hash, "key", 3, value[which], bytes);
}

/* Swap by seat i, with room for "capacity" bytes; the answer is "expect", of which "told" are told. */
static bool
swap(uint32_t i, uint32_t which, uint32_t bytes, uint32_t capacity, const char *expect, uint32_t expect_bytes,
	 uint32_t told)
{
	size_t		op_bytes = make_swap(op, which, bytes);
	NrResult	res = {.last = {.data = answer,.capacity = capacity}};

	memset(answer, '?', sizeof(answer));
	return nr_execute_mut(&b.h[i], op, op_bytes, 1, false, &res) == NR_OK && res.status == NR_OK &&
		res.last.flag && res.last.length == expect_bytes && memcmp(answer, expect, told) == 0 &&
		answer[told] == '?';
}

/* Each seat in turn gets what the one before it has put there, of these and of all shorter lengths. */
static void
test_lengths(uint32_t replicas, uint32_t copies, uint32_t buffer_bytes)
{
	uint32_t	bytes = 1;
	uint32_t	before;
	bool		good;

	open_seats(replicas, copies, buffer_bytes);
	good = nr_execute_mut(&b.h[0], op, make_swap(op, 0, bytes), 1, false, &(NrResult) {0}) == NR_OK;
	for (uint32_t i = 1; good && bytes < DS_HASH_RESPONSE_MAX; i++)
	{
		before = bytes;
		bytes = i < 40 ? 17 * i : bytes + bytes / 3;
		if (bytes > DS_HASH_RESPONSE_MAX)
			bytes = DS_HASH_RESPONSE_MAX;
		good = swap(i % SEATS, i % 2, bytes, sizeof(answer), value[1 - i % 2], before, before <= buffer_bytes ? before : 0);
		before = bytes;
		if (i % 5 == 0)
		{
			i++;
			/* exactly enough room, and one byte less */
			good &= swap(i % SEATS, i % 2, bytes, before, value[1 - i % 2], before, before <= buffer_bytes ? before : 0);
			i++;
			good &= swap(i % SEATS, i % 2, bytes, before - 1, value[1 - i % 2], before, 0);
		}
	}
	tap_ok(good && bytes == DS_HASH_RESPONSE_MAX && toy_check(&b.h[0]),
		   "%u replicas of %u copies, buffers of %u: answers of 1 to %u bytes", replicas, copies, buffer_bytes, bytes);
	tap_ok(seats_close(&b), "all extents are back");
}

/* ---- a request that another session serves ---- */

typedef struct Asker
{
	uint32_t	i;
	NrResult	res;
	char		got[DS_HASH_RESPONSE_MAX];
} Asker;

static void *
ask(void *arg)
{
	Asker	   *a = arg;
	_Alignas(8) static __thread char bytes[DS_HASH_RESPONSE_MAX + 128];
	int64_t		by = 5;
	char		fresh[8] = {(char) ('0' + a->i)};

	a->res.last.data = a->got;
	a->res.last.capacity = sizeof(a->got);
	if (a->i % 2 == 0)
		nr_execute_mut(&b.h[a->i], bytes, ds_hash_op_swap(bytes, hash, "key", 3, fresh, 8), 1, false, &a->res);
	else
		nr_execute_mut(&b.h[a->i], bytes, ds_hash_op_add(bytes, ds_hash_key(42, "n", 1), "n", 1, DS_HASH_INT8, &by), 1,
					   false, &a->res);
	return NULL;
}

/*
 * All seats of replica 0 ask while one of them holds its combiner lock, which then serves all
 * of them in one batch, each with its own answer.
 */
static void
test_served(uint32_t replicas, uint32_t copies)
{
	static Asker asker[SEATS];
	pthread_t	thread[SEATS];
	NrFull		full;
	uint64_t	sum = 0;
	uint64_t	expect = 0;
	uint32_t	swaps = 0;
	uint32_t	whole = 0;
	bool		good;

	open_seats(replicas, copies, DS_HASH_RESPONSE_MAX);
	good = nr_execute_mut(&b.h[1], op, make_swap(op, 0, DS_HASH_RESPONSE_MAX), 1, false, &(NrResult) {0}) == NR_OK;
	memset(asker, 0, sizeof(asker));
	good &= nr_combiner_try(&b.s[0], 0, 0);
	for (uint32_t i = replicas; i < SEATS; i += replicas)
	{
		asker[i].i = i;
		thread[i] = th_start(ask, &asker[i]);
		th_until_waiting(b.th, b.s[i].idx, NR_WAIT_RESPONSE);
	}
	good &= nr_combine(&b.s[0], &ds_hash_dispatch, 0, NR_PATIENT, &full) == NR_COMBINED;
	nr_combiner_unlock(&b.s[0], 0, 0);
	for (uint32_t i = replicas, adds = 0; i < SEATS; i += replicas)
	{
		Asker	   *a = &asker[i];
		uint64_t	number;

		th_join(thread[i]);
		good &= a->res.status == NR_OK;
		memcpy(&number, a->got, sizeof(number));
		if (i % 2 == 1)
		{
			good &= a->res.last.length == 8;
			expect += 5 * ++adds;
			sum += number;
			continue;
		}
		swaps++;
		if (a->res.last.length == DS_HASH_RESPONSE_MAX)
			whole += memcmp(a->got, value[0], DS_HASH_RESPONSE_MAX) == 0;
		else
			good &= a->res.last.length == 8 && a->got[0] >= '0' && a->got[0] < '0' + SEATS && a->got[0] != (char) ('0' + i);
	}
	tap_ok(good && sum == expect && swaps > 0 && whole == 1,
		   "%u replicas of %u copies: one serves others, and each gets its own answer", replicas, copies);
	tap_ok(toy_check(&b.h[SEATS - 1]) && seats_close(&b), "copies are equal, and all extents are back");
}

int
main(void)
{
	th_watchdog(60);
	for (uint32_t copies = 1; copies <= 2; copies++)
	{
		test_lengths(1, copies, DS_HASH_RESPONSE_MAX);
		test_lengths(3, copies, 16384);
		test_lengths(2, copies, 1024);
		test_served(1, copies);
		test_served(2, copies);
	}
	return tap_done();
}
