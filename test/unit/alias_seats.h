/*
 * alias_seats.h
 *		Seats at a ds_hash table whose two copies share memory; for tests, which are one
 *		file each.
 */
#ifndef ALIAS_SEATS_H
#define ALIAS_SEATS_H

#include "ds/hash.h"
#include "engine/combine.h"
#include "engine/replay.h"
#include "engine/space.h"
#include "seats.h"
#include "tap.h"

#define G			0
#define SEED		7
#define LONG		1200		/* three to an extent */

static Seats b;
static struct NrGroup *group;
static NrPrepared p;
static NrResult res;
static _Alignas(8) char ops[256 * 1024];
static char value[32 * 1024];

static inline NrGroupConfig
hash_config(uint32_t extents_max, uint32_t shared_max)
{
	NrGroupConfig config = toy_config(extents_max, 4096, sizeof(ops));
	DsHashArg	arg = {.seed = SEED,.line_bytes = 64};

	config.copies = 2;
	config.shared_max = shared_max;
	config.log_slots = 8;
	config.arg_bytes = sizeof(arg);
	memcpy(config.arg, &arg, sizeof(arg));
	return config;
}

static inline void
open_seats(uint32_t replicas, uint32_t extents_max, uint32_t shared_max, uint32_t extents)
{
	NrGeometry	geo = th_geometry(replicas);
	NrGroupConfig config = hash_config(extents_max, shared_max);

	geo.extents = extents;
	seats_open(&b, geo, 4, &config, &ds_hash_dispatch);
	group = nr_group(b.e, G);
	memset(&p, 0, sizeof(p));
	script_begin(b.th, script_give_up);
}

/* ---- writing and reading ---- */

static inline size_t
make_put(char *to, uint64_t key, size_t bytes)
{
	memset(value, (int) key + 1, bytes);
	return ds_hash_op_put(to, ds_hash_key(SEED, &key, sizeof(key)), &key, sizeof(key), value, bytes, 0);
}

static inline size_t
make_delete(char *to, uint64_t key)
{
	return ds_hash_op_delete(to, ds_hash_key(SEED, &key, sizeof(key)), &key, sizeof(key));
}

/* How a write gets in. */
typedef enum Way
{
	REQUEST,
	COMMIT,
	WAYS
} Way;

static const char *const way_name[WAYS] = {"requests", "commits"};

static inline NrStatus
prepare(uint32_t i, size_t bytes, uint32_t n, uint32_t flags)
{
	return nr_prepare(&b.h[i], ops, bytes, n, flags, true, &p);
}

static inline NrStatus
write_op(Way way, uint32_t i, size_t bytes)
{
	NrStatus	status;

	if (way == REQUEST)
	{
		status = nr_execute_mut(&b.h[i], ops, bytes, 1, true, &res);
		return status != NR_OK ? status : res.status;
	}
	status = prepare(i, bytes, 1, NR_PREPARE_TRY);
	if (status == NR_OK)
		nr_prepared_append(&b.h[i], &p);
	return status;
}

static inline NrStatus
put(Way way, uint64_t key, size_t bytes)
{
	return write_op(way, key % b.n, make_put(ops, key, bytes));
}

static inline NrStatus
delete(Way way, uint64_t key)
{
	return write_op(way, key % b.n, make_delete(ops, key));
}

static inline NrStatus
truncate(Way way)
{
	return write_op(way, 0, ds_hash_op_truncate(ops));
}

static inline int64_t
get(uint32_t i, uint64_t key)
{
	static char out[sizeof(value)];
	DsHashGet	read = {.code = DS_HASH_GET,.key = &key,.key_bytes = sizeof(key),.hash = ds_hash_key(SEED, &key, sizeof(key)),
	.out = out,.capacity = sizeof(out)};

	if (nr_execute(&b.h[i], &read, NULL, true) != NR_OK || !read.found)
		return -1;
	for (uint32_t k = 0; k < read.value_bytes; k++)
		if (out[k] != (char) (key + 1))
			return -2;
	return read.value_bytes;
}

static inline uint32_t
used(void)
{
	return toy_group_info(b.e, G).extents_used;
}

static inline uint32_t
deferred(void)
{
	return nr_shared_deferred(b.e, G, 0);
}

static inline void
sync_all(void)
{
	for (uint32_t r = 0; r < group->replicas; r++)
		nr_group_sync_replica(&b.h[0], r, true);
}

static inline uint64_t
fill(Way way, size_t bytes, uint32_t *most)
{
	uint64_t	n = 0;

	while (put(way, n, bytes) == NR_OK)
	{
		n++;
		*most = used() > *most ? used() : *most;
	}
	*most = used() > *most ? used() : *most;
	return n;
}

static inline uint32_t
shared_mapped(void)
{
	return nr_load32_rlx(&group->shared_mapped);
}

#endif							/* ALIAS_SEATS_H */
