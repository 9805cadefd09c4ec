/*
 * hash_model.h
 *		ds_hash's operations, drawn from a fuzz input, and what must come of them.
 *
 * The reference says what hash.h and dispatch.h say, with a map of byte strings
 * (copy_reference.h) and another one of order numbers: nothing is ever forgotten in it.
 */
#ifndef HASH_MODEL_H
#define HASH_MODEL_H

#include "copy_reference.h"
#include "input.h"

/* Longest operation: a compare and swap of two values of an extent each, at 2^16. */
#define MODEL_OP_MAX	(3u << 16)

typedef struct HashModel
{
	RefMap		map;
	RefMap		order;			/* key -> highest order number */
	uint64_t	truncate_seq;
	uint32_t	extent_shift;
	uint64_t	seed;
} HashModel;

typedef struct HashAnswer
{
	NrStatus	status;
	bool		flag;
	uint32_t	length;
	uint64_t	sum;			/* over the bytes of the answer */
} HashAnswer;

/* Keys by number: of all lengths, some of them alike in half of their hash.  Returns the length. */
#define MODEL_KEYS	256
extern uint32_t model_key(uint64_t seed, uint32_t number, char *key);

/* One of a few: "which" is any number. */
extern uint64_t model_seed(uint32_t which);

/* An empty one; "m" is all zeroes, or was closed. */
extern void model_open(HashModel *m, uint32_t extent_shift, uint64_t seed);
extern void model_close(HashModel *m);
extern void model_copy(HashModel *to, const HashModel *from);

/*
 * Draw a sound operation.  MODEL_ORDERED: only such as may carry an order number, which the caller
 * fills in.  Returns its bytes.
 */
#define MODEL_ORDERED	1
#define MODEL_SHORT		2		/* values that an operation of this engine has room for: 1500 bytes at most */
#define MODEL_SHORT_MAX	8192	/* longest operation of these */
extern size_t model_draw(const HashModel *m, void *op, uint32_t flags);

/* The same for a number of one's own, a put or a delete: for many at a time. */
extern size_t model_draw_put(const HashModel *m, void *op, uint64_t key, uint32_t value_bytes);
extern size_t model_draw_delete(const HashModel *m, void *op, uint64_t key);

/* Bytes of the input, some of them mended so that they come further; exactly as long as they say.  free() it. */
extern NrOpHeader *model_draw_raw(const HashModel *m);

/* Is this an operation at all, and within the limits?  NR_OK, NR_BAD_OP, NR_TOO_LARGE. */
extern NrStatus model_check(const HashModel *m, const NrOpHeader *op);

/* Do it, if there is memory enough, and say what the answer is. */
extern HashAnswer model_apply(HashModel *m, const NrOpHeader *op);

/* What a write has answered. */
extern HashAnswer model_answer(NrStatus status, const NrResponse *resp);

/* Ends the program when the answers differ. */
extern void model_expect(HashAnswer is, HashAnswer must, const char *who);

/* The key of a sound operation, or NULL (truncate). */
extern const DsHashOp *model_body(const NrOpHeader *op);

/* Does the copy hold what the model does: counts, and this operation's key (NULL: none)? */
extern void model_look(const HashModel *m, const NrDispatch *dispatch, const NrCopy *copy, const NrOpHeader *op);

#endif							/* HASH_MODEL_H */
