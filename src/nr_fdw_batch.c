/*
 * nr_fdw_batch.c
 *		Operations collected into requests.
 */
#include "nr_fdw.h"

void
nr_batch_init(NrBatch *batch)
{
	initStringInfo(&batch->ops);
	batch->n = 0;
}

/* Room for an operation; a StringInfo keeps it aligned, as all operations are multiples of 8 bytes. */
static char *
batch_room(NrBatch *batch, size_t bytes)
{
	if (unlikely(bytes >= (size_t) (batch->ops.maxlen - batch->ops.len)))
		enlargeStringInfo(&batch->ops, bytes);
	batch->n++;
	return batch->ops.data + batch->ops.len;
}

void
nr_batch_put(NrBatch *batch, const NrKey *key, const char *value, uint32 value_bytes, uint16 flags)
{
	char	   *to = batch_room(batch, ds_hash_op_bytes(key->bytes, value_bytes));

	batch->ops.len += ds_hash_op_put(to, key->hash, key->data, key->bytes, value, value_bytes, flags);
}

void
nr_batch_delete(NrBatch *batch, const NrKey *key)
{
	char	   *to = batch_room(batch, ds_hash_op_bytes(key->bytes, 0));

	batch->ops.len += ds_hash_op_delete(to, key->hash, key->data, key->bytes);
}

uint32
nr_batch_apply(NrBatch *batch, NrCache *cache)
{
	NrResult	result = {0};
	uint32		n = batch->n;
	size_t		bytes = batch->ops.len;

	if (n == 0)
		return 0;
	batch->n = 0;
	batch->ops.len = 0;
	nr_exec_write(cache, batch->ops.data, bytes, n, &result);
	return result.flagged;
}
