/*
 * ds/hash_order.c
 *		Writes that carry an order number: per key the highest number wins.
 *
 * WHY NOTES SUFFICE.  Of a number at or above the horizon it is not known that
 * all lower ones have been applied, so the key gets a note (hash_note.h), be
 * it put or deleted.  A number below it can be overtaken no more.  A note may be
 * dropped when the horizon has passed it.  So at any time: whoever was written by
 * a number that some number in flight is below, has a note of it.  What has no note is
 * older than all that may still come.
 *
 * A truncate is a write of all keys at once and is remembered as one number.  It
 * spares the entries whose notes are newer.  That is rare: a truncate that
 * nobody has overtaken makes the table anew as ever.  Otherwise all of the table
 * is walked, which takes the time of a scan.
 *
 * The horizon that a batch brings may lie above its own number: then it leaves no
 * notes.  But while it is applied it is not yet older than everything, and must find
 * the notes that are newer than it: it only drops older ones.
 *
 * Notes below the horizon go in bounded steps: a few with each operation, more
 * than it leaves.
 */
#include "ds/hash_line.h"
#include "ds/hash_note.h"

/* Notes dropped: with an operation; at a batch's begin. */
#define PURGE_OP		4
#define PURGE_BATCH		16

void
ds_hash_ordered(NrCopy *copy, uint64_t horizon)
{
	DsHashRoot *root = ds_hash_root(copy);

	/* up to the former one: the new one may count the batch to come as applied */
	ds_note_purge(copy, root, root->horizon, PURGE_BATCH);
	if (horizon > root->horizon)
		root->horizon = horizon;
}

static NrStatus
truncate_ordered(NrCopy *copy, DsHashRoot *root, const NrOpHeader *op, NrResponse *resp)
{
	root->truncate_seq = op->order_seq;
	/* all notes are older: the truncate's number says as much as they do */
	if (root->note_max <= op->order_seq)
		return ds_hash_apply(copy, root, op, resp);
	resp->flag = root->entries != 0;
	ds_hash_retain(copy, root, op->order_seq);
	return NR_OK;
}

/*
 * The note first: nothing can fail after the operation is applied.  A note that
 * says nothing any more goes at once, so the one that is held here outlives
 * whatever is purged to make room.
 */
static NrStatus
apply_noted(NrCopy *copy, DsHashRoot *root, const NrOpHeader *op, NrResponse *resp)
{
	const DsHashOp *body = nr_op_payload(op);
	NrRef		note = ds_note_find(copy, root, body->hash, body + 1, body->key_bytes);
	bool		fresh;
	NrStatus	status;

	if (note != 0 && ds_note_at(copy, note)->order_seq > op->order_seq)
		return NR_OK;
	if (note != 0 && ds_note_at(copy, note)->order_seq < root->horizon)
	{
		ds_note_drop(copy, root, note);
		note = 0;
	}
	fresh = note == 0 && op->order_seq >= root->horizon;
	if (fresh)
	{
		note = ds_note_leave(copy, root, body->hash, body + 1, body->key_bytes, op->order_seq);
		if (note == 0)
		{
			ds_hash_make_room(copy, root, ds_hash_purge_limit(root, op->order_seq));
			note = ds_note_leave(copy, root, body->hash, body + 1, body->key_bytes, op->order_seq);
		}
		if (note == 0)
			return NR_NO_SPACE;
	}
	status = ds_hash_apply(copy, root, op, resp);
	if (fresh && status != NR_OK)
		ds_note_drop(copy, root, note);
	else if (!fresh && note != 0 && status == NR_OK)
		ds_note_renew(copy, root, note, op->order_seq);
	return status;
}

NrStatus
ds_hash_write_ordered(NrCopy *copy, DsHashRoot *root, const NrOpHeader *op, NrResponse *resp)
{
	ds_note_purge(copy, root, ds_hash_purge_limit(root, op->order_seq), PURGE_OP);
	if (op->order_seq < root->truncate_seq)
		return NR_OK;
	if (op->code == DS_HASH_TRUNCATE)
		return truncate_ordered(copy, root, op, resp);
	return apply_noted(copy, root, op, resp);
}
