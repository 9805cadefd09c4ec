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
#include "ds/hash_line.h"
#include "ds/hash_note.h"

typedef struct HashPut
{
	const DsHashOp *body;
	const uint8_t *key;
	const uint8_t *value;
	uint32_t	step;			/* of its entry in a line */
	NrRef		block;			/* of a long entry; 0: inline */
	bool		appended;		/* it has an overflow line of its own making */
} HashPut;

static size_t
long_bytes(const DsHashOp *body)
{
	return sizeof(DsHashLong) + body->key_bytes + body->value_bytes;
}

/* Key and value, and zeroes to the end: the checksum reads whole blocks. */
static void
block_fill(const NrCopy *copy, const HashPut *put)
{
	DsHashLong *block = ds_heap_payload(copy, put->block);
	size_t		capacity = ds_heap_capacity(block);
	size_t		bytes = long_bytes(put->body);

	block->key_bytes = put->body->key_bytes;
	block->value_bytes = put->body->value_bytes;
	memcpy(block->bytes, put->key, put->body->key_bytes);
	memcpy(block->bytes + put->body->key_bytes, put->value, put->body->value_bytes);
	memset((char *) block + bytes, 0, capacity - bytes);
}

static void
entry_write(DsHashLine *line, const HashPut *put)
{
	uint32_t	klen = put->block != 0 ? DS_HASH_LONG : put->body->key_bytes;
	uint8_t    *entry = ds_line_push(line, put->step, klen);

	entry[0] = (uint8_t) put->step;
	entry[1] = (uint8_t) klen;
	if (put->block != 0)
	{
		ds_store32(entry + 2, (uint32_t) put->body->hash);
		ds_store32(entry + 6, put->block);
	}
	else
	{
		ds_bytes_copy(entry + DS_HASH_HEAD_BYTES, put->key, klen);
		ds_bytes_copy(entry + DS_HASH_HEAD_BYTES + klen, put->value, put->body->value_bytes);
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
remember(DsHashRoot *root, const HashPut *put)
{
	root->entries++;
	root->key_bytes += put->body->key_bytes;
	root->value_bytes += put->body->value_bytes;
	root->inline_bytes += put->step;
	root->scan_bytes += scan_bytes(put->body->key_bytes, put->body->value_bytes);
	root->long_entries += put->block != 0;
}

/* Replace without moving anything, when the entry keeps its form and length. */
static bool
put_in_place(NrCopy *copy, DsHashRoot *root, HashPut *put, const DsHashSpot *spot, const DsHashEntry *old)
{
	bool		was_long = ds_entry_is_long(spot->entry);
	bool		is_long = put->step == DS_HASH_LONG_STEP && put->block != 0;
	uint32_t	value_bytes = put->body->value_bytes;

	if (!was_long && !is_long && old->value_bytes == value_bytes)
	{
		ds_bytes_copy(spot->entry + DS_HASH_HEAD_BYTES + old->key_bytes, put->value, value_bytes);
		return true;
	}
	if (!was_long || !is_long || put->block != ds_entry_long_ref(spot->entry))
		return false;
	ds_hash_forget(root, spot->entry, old);
	remember(root, put);
	block_fill(copy, put);
	return true;
}

/*
 * The block of a long entry: the one that its key has when the new value fits,
 * else a new one.  A block somewhat too long is kept as it is, so that sizes
 * that go up and down by little do not leave slivers behind.
 */
static bool
put_block(NrCopy *copy, DsHashRoot *root, HashPut *put, NrRef old)
{
	size_t		bytes = long_bytes(put->body);

	if (old != 0)
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
	put->block = ds_heap_alloc(copy, ds_hash_heap(root), bytes, true);
	return put->block != 0;
}

/*
 * A line of the bucket with room for the entry, the old entry's bytes taken as
 * free; a new overflow line if need be, with room for two where that is a matter
 * of a few bytes.
 */
static DsHashLine *
put_line(NrCopy *copy, DsHashRoot *root, HashPut *put, const DsHashSpot *old)
{
	uint32_t	room = 2 * put->step <= root->line_capacity ? 2 * put->step : put->step;
	DsHashLine *line = ds_hash_line(copy, root, ds_hash_bucket(root, put->body->hash));
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

/* "budget" is what is left to do besides. */
static NrStatus
hash_put(NrCopy *copy, DsHashRoot *root, const NrOpHeader *op, bool *flag, DsHashBudget *budget)
{
	const DsHashOp *body = nr_op_payload(op);
	HashPut		put = {.body = body, .key = (const uint8_t *) (body + 1)};
	DsHashSpot	spot = {0};
	DsHashEntry old = {0};
	bool		found = ds_line_seek(copy, root, body->hash, put.key, body->key_bytes, &spot);
	NrRef		old_block = 0;
	DsHashLine *line;

	*flag = false;
	*budget = (DsHashBudget) {0};
	if (found ? op->flags == DS_HASH_IF_ABSENT : op->flags == DS_HASH_IF_PRESENT)
		return NR_OK;
	put.value = put.key + body->key_bytes;
	if (found)
	{
		old = ds_entry_read(copy, spot.entry);
		if (ds_entry_is_long(spot.entry))
			old_block = ds_entry_long_ref(spot.entry);
	}
	if (DS_HASH_HEAD_BYTES + (uint64_t) body->key_bytes + body->value_bytes <= root->inline_max)
		put.step = DS_HASH_HEAD_BYTES + body->key_bytes + body->value_bytes;
	else
	{
		put.step = DS_HASH_LONG_STEP;
		if (!put_block(copy, root, &put, old_block))
			return NR_NO_SPACE;
	}
	if (!found || !put_in_place(copy, root, &put, &spot, &old))
	{
		line = put_line(copy, root, &put, found ? &spot : NULL);
		if (!line)
		{
			if (put.block != 0)
				ds_heap_free(copy, ds_hash_heap(root), put.block);
			return NR_NO_SPACE;
		}
		if (found)
		{
			ds_hash_forget(root, spot.entry, &old);
			ds_line_cut(spot.line, spot.entry);
			if (old_block != 0)
				ds_heap_free(copy, ds_hash_heap(root), old_block);
		}
		if (put.block != 0)
			block_fill(copy, &put);
		entry_write(line, &put);
		remember(root, &put);
		if (found && spot.prev && spot.line->used == 0)
			ds_line_unlink_next(copy, root, spot.prev);
	}
	*flag = op->flags == DS_HASH_IF_PRESENT || !found;
	*budget = ds_hash_budget(root->line_capacity, put.step);
	budget->lines -= put.appended;
	return NR_OK;
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
		ds_heap_free(copy, ds_hash_heap(root), block);
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
			if (status == NR_NO_SPACE)
			{
				/* no entry changes by this */
				ds_hash_make_room(copy, root, ds_hash_purge_limit(root, op->order_seq));
				status = hash_put(copy, root, op, &resp->flag, &budget);
			}
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
		default:
			resp->flag = root->entries != 0;
			ds_note_drop_all(root);
			ds_hash_reset(copy, root);
			return NR_OK;
	}
	ds_hash_adapt(copy, root, budget);
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
