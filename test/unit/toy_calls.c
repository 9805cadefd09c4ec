/*
 * toy_calls.c
 *		One-line calls of the toys through the engine; see toy_calls.h.
 */
#include "toy_calls.h"

#include <stdio.h>
#include <stdlib.h>

#include "thread_host.h"

static NrStatus
call(NrHandle *handle, const void *ops, size_t bytes, uint32_t n, NrResult *result)
{
	NrStatus	st = nr_execute_mut(handle, ops, bytes, n, true, result);

	return st != NR_OK ? st : result->status;
}

NrStatus
toy_call_add(NrHandle *handle, uint32_t cell, int64_t by, uint64_t *value, uint64_t *seq)
{
	_Alignas(8) char op[TOY_ADD_BYTES];
	uint64_t	answer = 0;
	NrResult	result = {.last = {.data = &answer, .capacity = sizeof(answer)}};
	NrStatus	st = call(handle, op, toy_add(op, cell, by), 1, &result);

	if (value != NULL)
		*value = answer;
	if (seq != NULL)
		*seq = result.seq;
	return st;
}

NrStatus
toy_call_add_row(NrHandle *handle, uint32_t first, uint32_t n, int64_t by, NrResult *result)
{
	_Alignas(8) char ops[TOY_REQUEST_MAX];
	size_t		at = 0;

	for (uint32_t i = 0; i < n; i++)
		at += toy_add(ops + at, first + i, by);
	return call(handle, ops, at, n, result);
}

NrStatus
toy_call_sum(NrHandle *handle, size_t payload_bytes, unsigned char fill, uint64_t *value)
{
	uint64_t	answer = 0;
	NrResult	result = {.last = {.data = &answer, .capacity = sizeof(answer)}};
	void	   *op = malloc(sizeof(NrOpHeader) + payload_bytes + 8);
	NrStatus	st = call(handle, op, toy_sum(op, payload_bytes, fill), 1, &result);

	free(op);
	if (value != NULL)
		*value = answer;
	return st;
}

uint64_t
toy_call_get(NrHandle *handle, uint32_t cell)
{
	ToyRead		read = {.first = cell, .n = 1};

	if (nr_execute(handle, &read, &read, false) != NR_OK)
		th_die("a counter could not be read");
	return read.value[0];
}

NrStatus
toy_call_push(NrHandle *handle, uint64_t value, uint32_t n, NrResult *result)
{
	_Alignas(8) char ops[TOY_REQUEST_MAX];
	size_t		at = 0;

	for (uint32_t i = 0; i < n; i++)
		at += toy_push(ops + at, value + i);
	return call(handle, ops, at, n, result);
}

NrStatus
toy_call_pop(NrHandle *handle, bool *found, uint64_t *value)
{
	_Alignas(8) char op[sizeof(NrOpHeader)];
	uint64_t	answer = 0;
	NrResult	result = {.last = {.data = &answer, .capacity = sizeof(answer)}};
	NrStatus	st = call(handle, op, toy_pop(op), 1, &result);

	*found = result.last.flag;
	*value = answer;
	return st;
}

NrStatus
toy_call_clear(NrHandle *handle)
{
	_Alignas(8) char op[sizeof(NrOpHeader)];
	NrResult	result = {.status = NR_OK};

	return call(handle, op, toy_clear(op), 1, &result);
}

ToyTop
toy_call_top(NrHandle *handle)
{
	ToyTop		top = {0, 0};

	if (nr_execute(handle, NULL, &top, false) != NR_OK)
		th_die("a stack could not be read");
	return top;
}

NrGroupConfig
toy_config(uint32_t extents_max, uint32_t log_bytes, uint32_t batch_bytes_max)
{
	NrGroupConfig config = {
		.copies = 1,
		.extents_max = extents_max,
		.log_bytes = log_bytes,
		.batch_bytes_max = batch_bytes_max,
	};

	return config;
}

bool
toy_check(NrHandle *handle)
{
	uint32_t	replica = 0;
	const char *why = "";
	NrStatus	st = nr_group_check(handle, false, &replica, &why);

	if (st != NR_OK)
		printf("# nr_group_check: status %d, replica %u: %s\n", st, replica, why ? why : "(null)");
	return st == NR_OK;
}

uint32_t
toy_pool_free(NrEngine *engine)
{
	NrPoolInfo	pi;

	nr_pool_info(engine, &pi);
	return pi.free;
}

NrGroupInfo
toy_group_info(NrEngine *engine, uint32_t g)
{
	NrGroupInfo gi;

	nr_group_info(engine, g, &gi);
	return gi;
}

NrReplicaInfo
toy_replica_info(NrEngine *engine, uint32_t g, uint32_t r)
{
	NrReplicaInfo ri;

	nr_replica_info(engine, g, r, &ri);
	return ri;
}
