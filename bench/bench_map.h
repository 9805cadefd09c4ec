/*
 * bench_map.h
 *		What the engine's benches share: a map of 64-bit keys and values in group 0, and quantiles.
 */
#ifndef BENCH_MAP_H
#define BENCH_MAP_H

#include <stdlib.h>
#include <unistd.h>

#include "ds/hash_find.h"
#include "ds/hash_key.h"
#include "engine/enter.h"
#include "thread_host.h"

#define BATCH_MAX		256

/* n puts as one request. */
static inline void
put(NrHandle *h, uint64_t seed, uint64_t *key, uint64_t value, uint32_t n)
{
	_Alignas(8) char ops[BATCH_MAX * 72];
	NrResult	result = {.status = NR_OK};
	size_t		bytes = 0;

	for (uint32_t i = 0; i < n; i++)
		bytes += ds_hash_op_put(ops + bytes, ds_hash_key(seed, &key[i], 8), &key[i], 8, &value, 8, 0);
	if (nr_execute_mut(h, ops, bytes, n, false, &result) != NR_OK || result.status != NR_OK)
		th_die("put");
}

/* The value of a key in a line of its copy; compiled for the key's length, as nr_get is. */
static inline bool
find_at(const NrCopy *copy, const DsHashLine *line, uint64_t hash, uint64_t key, uint64_t *value)
{
	DsHashValue at;

	if (!ds_hash_find(copy, line, hash, &key, 8, &at) || at.length != 8)
		return false;
	*value = ds_load64(at.bytes);
	return true;
}

static inline bool
get(NrHandle *h, uint64_t seed, uint64_t key, uint64_t *value)
{
	uint64_t	hash = ds_hash_key_8(seed, &key);
	DsHashGuess guess = ds_hash_guess(h->copy, hash);
	bool		found;

	if (!nr_enter_quick(h) && nr_enter(h, false) != NR_OK)
		return false;
	found = find_at(h->copy, ds_hash_guessed(h->copy, hash, &guess), hash, key, value);
	nr_leave_quick(h);
	return found;
}

/* Keys from "first" on, each with itself as its value, as one request. */
static inline void
put_range(NrHandle *h, uint64_t seed, uint64_t first, uint32_t n)
{
	_Alignas(8) char ops[BATCH_MAX * 72];
	NrResult	result = {.status = NR_OK};
	size_t		bytes = 0;

	for (uint64_t key = first; key < first + n; key++)
		bytes += ds_hash_op_put(ops + bytes, ds_hash_key(seed, &key, 8), &key, 8, &key, 8, 0);
	if (nr_execute_mut(h, ops, bytes, n, false, &result) != NR_OK || result.status != NR_OK)
		th_die("put_range");
}

/* With room for so many keys. */
static inline Th *
make_empty_map(uint32_t replicas, uint32_t copies, uint32_t sessions, uint32_t keys, uint64_t seed)
{
	NrGeometry	geo = {
		.replicas = replicas, .sessions = sessions, .groups = 1,
		.extent_shift = keys > 2000000 ? 18 : 16,	/* the table of extents has to fit one */
		.session_buffer_bytes = 4096
	};
	DsHashArg	arg = {.seed = seed, .line_bytes = 64};
	NrGroupConfig config = {
		.log_bytes = 1 << 20, .batch_bytes_max = 1 << 16, .copies = copies, .arg_bytes = sizeof(arg)
	};
	Th		   *th;

	/* 39 bytes a pair with one copy (docs/PERFORMANCE.md), and some */
	config.extents_max = (uint32_t) (keys / ((UINT64_C(1) << geo.extent_shift) / 56) + 64);
	geo.extents = copies * config.extents_max + 64;
	memcpy(config.arg, &arg, sizeof(arg));
	th = th_new(&geo, 1, 2000);
	th_create(th, 0, &config, &ds_hash_dispatch);
	return th;
}

/* Keys 0 to keys - 1, each with itself as its value. */
static inline Th *
make_map(uint32_t replicas, uint32_t copies, uint32_t sessions, uint32_t keys, uint64_t seed)
{
	Th		   *th = make_empty_map(replicas, copies, sessions, keys, seed);
	NrSession	session;
	NrHandle	handle;

	th_register(th, 0, 0, &session);
	th_attach(&session, 0, &ds_hash_dispatch, &handle);
	for (uint64_t k = 0; k < keys; k += BATCH_MAX)
		put_range(&handle, seed, k, keys - k < BATCH_MAX ? (uint32_t) (keys - k) : BATCH_MAX);
	for (uint32_t r = 0; r < replicas; r++)
		nr_group_sync_replica(&handle, r, false);
	nr_group_detach(&handle);
	nr_session_unregister(&session);
	return th;
}

/* ---- quantiles ---- */

static int
by_value(const void *a, const void *b)
{
	double		x = *(const double *) a,
				y = *(const double *) b;

	return (x > y) - (x < y);
}

static inline double
quantile(const double *values, uint32_t n, double p)
{
	double	   *sorted = malloc(n * sizeof(double));
	double		at = p * (n - 1);
	size_t		i = (size_t) at;
	size_t		next = at > (double) i ? i + 1 : i;
	double		value;

	if (n == 0 || sorted == NULL)
		th_die("no values, or no memory");
	memcpy(sorted, values, n * sizeof(double));
	qsort(sorted, n, sizeof(double), by_value);
	value = sorted[i] + (at - (double) i) * (sorted[next] - sorted[i]);
	free(sorted);
	return value;
}

static inline double
median(const double *values, uint32_t n)
{
	return quantile(values, n, 0.5);
}

#endif							/* BENCH_MAP_H */
