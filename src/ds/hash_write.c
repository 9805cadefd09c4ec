/*
 * ds/hash_write.c
 *		Put, delete and truncate.
 *
 * A put first gets all the memory it needs, then changes anything: block for a
 * long entry, line with room.  So NR_NO_SPACE leaves the old value where it
 * was.  A value of the same length as the inline one before, or one that fits
 * into the block before, is written in place and needs no memory; neither does
 * a delete.
 *
 * What a put may take is promised to ds_hash_need_ops: change both together.
 */
#include "ds/hash_note.h"
#include "ds/hash_write.h"

static size_t
long_bytes(const DsHashPut *put)
{
	return sizeof(DsHashLong) + put->key_bytes + put->value_bytes;
}

/* Key and value, and zeroes to the end: the checksum reads whole blocks. */
static void
block_fill(const NrCopy *copy, const DsHashPut *put)
{
	DsHashLong *block = ds_value_at(copy, put->block);
	size_t		capacity = ds_value_capacity(copy, block);
	size_t		bytes = long_bytes(put);

	if (!ds_value_fresh(copy))
		return;
	block->key_bytes = put->key_bytes;
	block->value_bytes = put->value_bytes;
	memcpy(block->bytes, put->key, put->key_bytes);
	memcpy(block->bytes + put->key_bytes, put->value, put->value_bytes);
	memset((char *) block + bytes, 0, capacity - bytes);
}

static void
entry_write(DsHashLine *line, const DsHashPut *put)
{
	uint32_t	klen = put->block != 0 ? DS_HASH_LONG : put->key_bytes;
	uint8_t    *entry = ds_line_push(line, put->step, klen);

	entry[0] = (uint8_t) put->step;
	entry[1] = (uint8_t) klen;
	if (put->block != 0)
	{
		ds_store32(entry + 2, (uint32_t) put->hash);
		ds_store32(entry + 6, put->block);
	}
	else
	{
		ds_bytes_copy(entry + DS_HASH_HEAD_BYTES, put->key, klen);
		ds_bytes_copy(entry + DS_HASH_HEAD_BYTES + klen, put->value, put->value_bytes);
	}
}

static uint64_t
scan_bytes(uint64_t key_bytes, uint64_t value_bytes)
{
	return (sizeof(DsHashScanEntry) + key_bytes + value_bytes + 7) & ~UINT64_C(7);
}

void
ds_hash_forget(DsHashRoot *root, const uint8_t *entry, const DsHashEntry *e)
{
	root->entries--;
	root->key_bytes -= e->key_bytes;
	root->value_bytes -= e->value_bytes;
	root->inline_bytes -= entry[0];
	root->scan_bytes -= scan_bytes(e->key_bytes, e->value_bytes);
	root->long_entries -= ds_entry_is_long(entry);
}

static void
remember(DsHashRoot *root, const DsHashPut *put)
{
	root->entries++;
	root->key_bytes += put->key_bytes;
	root->value_bytes += put->value_bytes;
	root->inline_bytes += put->step;
	root->scan_bytes += scan_bytes(put->key_bytes, put->value_bytes);
	root->long_entries += put->block != 0;
}

/* Replace without moving anything, when the entry keeps its form and length. */
static bool
put_in_place(NrCopy *copy, DsHashRoot *root, DsHashPut *put, const DsHashEntry *old)
{
	uint8_t    *entry = put->spot.entry;

	if (!ds_entry_is_long(entry) && put->block == 0 && old->value_bytes == put->value_bytes)
	{
		ds_bytes_copy(entry + DS_HASH_HEAD_BYTES + put->key_bytes, put->value, put->value_bytes);
		return true;
	}
	if (!ds_entry_is_long(entry) || put->block == 0 || put->block != ds_entry_long_ref(entry))
		return false;
	ds_hash_forget(root, entry, old);
	remember(root, put);
	block_fill(copy, put);
	return true;
}

/*
 * The block of a long entry: the one that its key has when the new value fits,
 * else a new one.  A block somewhat too long is kept as it is, so that sizes
 * that go up and down by little do not leave slivers behind.  One that two copies
 * share does not change.
 */
static bool
put_block(NrCopy *copy, DsHashRoot *root, DsHashPut *put, NrRef old)
{
	size_t		bytes = long_bytes(put);

	if (old != 0 && copy->shared == NULL)
	{
		size_t		capacity = ds_heap_capacity(ds_heap_payload(copy, old));

		if (capacity >= bytes)
		{
			if (capacity - bytes > bytes / 16)
				ds_heap_shrink(copy, ds_hash_heap(root), old, bytes);
			put->block = old;
			return true;
		}
	}
	put->block = ds_value_alloc(copy, root, bytes);
	return put->block != 0;
}

/*
 * A line of the bucket with room for the entry, the old entry's bytes taken as
 * free; a new overflow line if need be, with room for two where that is a matter
 * of a few bytes.
 */
static DsHashLine *
put_line(NrCopy *copy, DsHashRoot *root, DsHashPut *put, const DsHashSpot *old)
{
	uint32_t	room = 2 * put->step <= root->line_capacity ? 2 * put->step : put->step;
	DsHashLine *line = ds_hash_line(copy, root, ds_hash_bucket(root, put->hash));
	DsHashLine *tail = NULL;

	for (; line; tail = line, line = ds_hash_line_next(copy, line))
	{
		uint32_t	used = line->used;

		if (old && line == old->line)
			used -= old->entry[0];
		if (used + put->step <= ds_line_capacity(root, line, tail == NULL))
			return line;
	}
	put->appended = true;
	return ds_line_append(copy, root, tail, room, true);
}

void
ds_hash_seek(const NrCopy *copy, DsHashRoot *root, DsHashPut *put)
{
	put->found = ds_line_seek(copy, root, put->hash, put->key, put->key_bytes, &put->spot);
}

/* All or nothing; NR_NO_SPACE: with the memory that there is. */
static NrStatus
store(NrCopy *copy, DsHashRoot *root, DsHashPut *put)
{
	DsHashSpot *spot = put->found ? &put->spot : NULL;
	NrRef		old_block = spot && ds_entry_is_long(spot->entry) ? ds_entry_long_ref(spot->entry) : 0;
	DsHashEntry old = {0};
	DsHashLine *line;

	if (spot)
		old = ds_entry_read(copy, spot->entry);
	put->block = 0;
	put->appended = false;
	put->step = DS_HASH_LONG_STEP;
	if (DS_HASH_HEAD_BYTES + (uint64_t) put->key_bytes + put->value_bytes <= root->inline_max)
		put->step = DS_HASH_HEAD_BYTES + put->key_bytes + put->value_bytes;
	else if (!put_block(copy, root, put, old_block))
		return NR_NO_SPACE;
	if (spot && put_in_place(copy, root, put, &old))
		return NR_OK;
	line = put_line(copy, root, put, spot);
	if (!line)
	{
		if (put->block != 0)
			ds_value_drop(copy, root, put->block);
		return NR_NO_SPACE;
	}
	if (spot)
	{
		ds_hash_forget(root, spot->entry, &old);
		ds_line_cut(spot->line, spot->entry);
		if (old_block != 0)
			ds_value_drop(copy, root, old_block);
	}
	if (put->block != 0)
		block_fill(copy, put);
	entry_write(line, put);
	remember(root, put);
	if (spot && spot->prev && spot->line->used == 0)
		ds_line_unlink_next(copy, root, spot->prev);
	return NR_OK;
}

NrStatus
ds_hash_store(NrCopy *copy, DsHashRoot *root, DsHashPut *put, uint64_t purge_limit, DsHashBudget *budget)
{
	NrStatus	status = store(copy, root, put);

	if (status != NR_OK)
	{
		/* no entry changes by this, but may move */
		ds_hash_make_room(copy, root, purge_limit);
		ds_hash_seek(copy, root, put);
		status = store(copy, root, put);
		if (status != NR_OK)
			return status;
	}
	*budget = ds_hash_budget(root->line_capacity, put->step);
	budget->lines -= put->appended;
	return NR_OK;
}

static NrStatus
hash_put(NrCopy *copy, DsHashRoot *root, const NrOpHeader *op, bool *flag, DsHashBudget *budget)
{
	const DsHashOp *body = nr_op_payload(op);
	DsHashPut	put;
	NrStatus	status;

	put.hash = body->hash;
	put.key = (const uint8_t *) (body + 1);
	put.key_bytes = body->key_bytes;
	put.value = put.key + body->key_bytes;
	put.value_bytes = body->value_bytes;
	ds_hash_seek(copy, root, &put);
	if (put.found ? op->flags == DS_HASH_IF_ABSENT : op->flags == DS_HASH_IF_PRESENT)
		return NR_OK;
	*flag = op->flags == DS_HASH_IF_PRESENT || !put.found;
	status = ds_hash_store(copy, root, &put, ds_hash_purge_limit(root, op->order_seq), budget);
	if (status != NR_OK)
		*flag = false;
	return status;
}

static bool
hash_delete(NrCopy *copy, DsHashRoot *root, const NrOpHeader *op)
{
	const DsHashOp *body = nr_op_payload(op);
	DsHashSpot	spot;
	DsHashEntry old;
	NrRef		block = 0;

	if (!ds_line_seek(copy, root, body->hash, (const uint8_t *) (body + 1), body->key_bytes, &spot))
		return false;
	old = ds_entry_read(copy, spot.entry);
	if (ds_entry_is_long(spot.entry))
		block = ds_entry_long_ref(spot.entry);
	ds_hash_forget(root, spot.entry, &old);
	ds_line_cut(spot.line, spot.entry);
	if (block != 0)
		ds_value_drop(copy, root, block);
	ds_line_pull(copy, root, spot.line, spot.prev == NULL);
	if (spot.prev && spot.line->used == 0)
		ds_line_unlink_next(copy, root, spot.prev);
	return true;
}

/* The first cache line of the bucket: nearly all that a write of a short entry touches. */
void
ds_hash_prefetch(const NrCopy *copy, const NrOpHeader *op)
{
	const DsHashRoot *root = ds_hash_root(copy);
	const DsHashOp *body = nr_op_payload(op);

	if (op->payload_bytes >= sizeof(*body))
		__builtin_prefetch(ds_hash_line(copy, root, ds_hash_bucket(root, body->hash)), 1);
}

/*
 * An empty table is made anew: no walk over its buckets, no extent kept back.
 */
NrStatus
ds_hash_apply(NrCopy *copy, DsHashRoot *root, const NrOpHeader *op, NrResponse *resp)
{
	DsHashBudget budget = {0};
	NrStatus	status;

	switch (op->code)
	{
		case DS_HASH_PUT:
			status = hash_put(copy, root, op, &resp->flag, &budget);
			if (status != NR_OK)
				return status;
			break;
		case DS_HASH_DELETE:
			resp->flag = hash_delete(copy, root, op);
			if (resp->flag && root->entries == 0)
			{
				ds_hash_reset(copy, root);
				return NR_OK;
			}
			break;
		case DS_HASH_TRUNCATE:
			resp->flag = root->entries != 0;
			ds_note_drop_all(root);
			ds_hash_reset(copy, root);
			return NR_OK;
		case DS_HASH_SWAP:
		case DS_HASH_CAS:
		case DS_HASH_ADD:
			return ds_hash_update(copy, root, op, resp);
		default:
			return NR_BAD_OP;
	}
	ds_hash_adapt(copy, root, &budget);
	return NR_OK;
}

NrStatus
ds_hash_write(NrCopy *copy, const NrOpHeader *op, NrResponse *resp)
{
	DsHashRoot *root = ds_hash_root(copy);
	NrStatus	status = ds_hash_op_check(copy, root, op);

	resp->flag = false;
	resp->length = 0;
	if (status != NR_OK)
		return status;
	if (op->order_seq != 0)
		return ds_hash_write_ordered(copy, root, op, resp);
	return ds_hash_apply(copy, root, op, resp);
}
