/*
 * nr_exec_update.c
 *		Operations with an answer: swap, compare and swap, add.  Each is one
 *		operation of the log, which answers where it stands there; so they are for
 *		caches of visibility immediate.
 */
#include "nr_exec.h"

#include "miscadmin.h"

/* Lost races after which one queues. */
#define RACES_MAX	8

static NrScratch answer_scratch;	/* the value before a swap */
static NrScratch update_scratch;	/* the operation */

static void *
reserve_op(size_t bytes)
{
	if (unlikely(bytes > update_scratch.bytes))
		nr_scratch_reserve(&update_scratch, bytes);
	return update_scratch.data;
}

/* ---- races ---- */

/*
 * A value that changed between the read and the swap was changed by somebody who
 * got ahead, so the cache as a whole goes on and no lock is needed for the answer
 * to be right.  But each of many clients would on average read and compute as
 * often as there are clients, with all processors busy, so those who lose wait
 * for each other instead.  Who does not lose takes no lock.
 */
void
nr_race_lost(NrRace *race, const NrCache *cache)
{
	CHECK_FOR_INTERRUPTS();
	if (++race->lost == RACES_MAX)
		race->queued = nr_writer_lock(cache->relid, false, true);
}

void
nr_race_over(NrRace *race, const NrCache *cache)
{
	if (unlikely(race->queued))
		nr_writer_unlock(cache->relid);
	race->queued = false;
}

/* ---- operations ---- */

/* Old and new value travel in one operation, which must fit an extent and be a batch. */
static void
check_cas_bytes(const NrCache *cache, size_t bytes)
{
	size_t		batch = (size_t) nr_guc_max_batch_kb * 1024;
	size_t		limit = Min(nr_op_bytes_max(&nr_engine.geo), batch);

	if (likely(bytes <= limit))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("old and new value are too large to be compared and replaced in cache \"%s\"",
					cache->def->relname),
			 errdetail("One operation with key and both values would have %zu bytes; it may have %zu.",
					   bytes, limit),
			 limit == batch ? errhint("Raise \"%s\" and restart the server.", "nr_cache.max_batch") :
			 errhint("Use nr_put(), which needs no old value, or split the value.")));
}

bool
nr_exec_cas(NrCache *cache, const NrKey *key, const char *expected, uint32 expected_bytes,
			const char *value, uint32 value_bytes)
{
	size_t		bytes = ds_hash_op_bytes(key->bytes,
										 sizeof(uint32_t) + (size_t) expected_bytes + value_bytes);
	NrResult	result = {0};
	NrStatus	status;
	void	   *op;

	check_cas_bytes(cache, bytes);
	op = reserve_op(bytes);
	bytes = ds_hash_op_cas(op, key->hash, key->data, key->bytes, expected, expected_bytes,
						   value, value_bytes);
	status = nr_exec_request(cache, op, bytes, 1, &result);
	if (unlikely(status != NR_OK))
		nr_exec_failed(cache, status, bytes);
	return result.flagged > 0;
}

/* A value that is too long for a response: read it, and swap if it is still there. */
static bool
swap_long(NrCache *cache, const NrKey *key, const char *value, uint32 value_bytes,
		  const char **old, uint32 *old_bytes)
{
	NrRace		race = {0};
	bool		found;

	for (;;)
	{
		found = nr_exec_get(cache, key, old, old_bytes);
		if (nr_exec_cas(cache, key, found ? *old : NULL, found ? *old_bytes : 0, value, value_bytes))
			break;
		nr_race_lost(&race, cache);
	}
	nr_race_over(&race, cache);
	return found;
}

bool
nr_exec_swap(NrCache *cache, const NrKey *key, const char *value, uint32 value_bytes,
			 const char **old, uint32 *old_bytes)
{
	size_t		bytes = ds_hash_op_bytes(key->bytes, value_bytes);
	NrResult	result = {0};
	NrStatus	status;
	void	   *op = reserve_op(bytes);

	if (unlikely(answer_scratch.bytes < DS_HASH_RESPONSE_MAX))
		nr_scratch_reserve(&answer_scratch, DS_HASH_RESPONSE_MAX);
	result.last.data = answer_scratch.data;
	result.last.capacity = answer_scratch.bytes;
	bytes = ds_hash_op_swap(op, key->hash, key->data, key->bytes, value, value_bytes);
	status = nr_exec_request(cache, op, bytes, 1, &result);
	if (status == NR_TOO_LARGE)
		return swap_long(cache, key, value, value_bytes, old, old_bytes);
	if (unlikely(status != NR_OK))
		nr_exec_failed(cache, status, bytes);
	*old = answer_scratch.data;
	*old_bytes = result.last.length;
	return result.last.flag;
}

bool
nr_exec_add(NrCache *cache, const NrKey *key, DsHashNumber number, const void *by, void *sum)
{
	size_t		bytes = ds_hash_op_bytes(key->bytes, sizeof(int64));
	NrResult	result = {.last = {.data = sum, .capacity = sizeof(int64)}};
	NrStatus	status;
	void	   *op = reserve_op(bytes);

	bytes = ds_hash_op_add(op, key->hash, key->data, key->bytes, number, by);
	status = nr_exec_request(cache, op, bytes, 1, &result);
	if (status == NR_OUT_OF_RANGE)
		return false;
	if (unlikely(status != NR_OK))
		nr_exec_failed(cache, status, bytes);
	return true;
}
