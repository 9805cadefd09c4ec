/*
 * toy_calls.h
 *		One-line calls of the toys through the engine, for tests.
 *
 * Each returns what nr_execute or nr_execute_mut returned, or, when that was
 * NR_OK, the status of the operation.
 */
#ifndef TOY_CALLS_H
#define TOY_CALLS_H

#include "engine/engine.h"
#include "toy_counter.h"
#include "toy_stack.h"

/* Requests of this many bytes and more must be avoided by users of these calls. */
#define TOY_REQUEST_MAX	8192

extern NrStatus toy_call_add(NrHandle *handle, uint32_t cell, int64_t by, uint64_t *value, uint64_t *seq);

/* n additions of "by" to the counters first .. first+n-1, as one request. */
extern NrStatus toy_call_add_row(NrHandle *handle, uint32_t first, uint32_t n, int64_t by, NrResult *result);

/* One request with one TOY_SUM of this many payload bytes. */
extern NrStatus toy_call_sum(NrHandle *handle, size_t payload_bytes, unsigned char fill, uint64_t *value);

/* Value of one counter; aborts unless it could be read. */
extern uint64_t toy_call_get(NrHandle *handle, uint32_t cell);

/* n pushes of value, value+1, ... as one request. */
extern NrStatus toy_call_push(NrHandle *handle, uint64_t value, uint32_t n, NrResult *result);
extern NrStatus toy_call_pop(NrHandle *handle, bool *found, uint64_t *value);
extern NrStatus toy_call_clear(NrHandle *handle);
extern ToyTop toy_call_top(NrHandle *handle);

/* A configuration: quota, log and largest request; one copy, unless the caller changes that. */
extern NrGroupConfig toy_config(uint32_t extents_max, uint32_t log_bytes, uint32_t batch_bytes_max);

/* True when nr_group_check holds; prints the difference otherwise. */
extern bool toy_check(NrHandle *handle);

extern uint32_t toy_pool_free(NrEngine *engine);
extern NrGroupInfo toy_group_info(NrEngine *engine, uint32_t g);
extern NrReplicaInfo toy_replica_info(NrEngine *engine, uint32_t g, uint32_t r);

#endif							/* TOY_CALLS_H */
