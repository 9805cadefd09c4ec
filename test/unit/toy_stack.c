/*
 * toy_stack.c
 *		A stack that lives in extents; see toy_stack.h.
 *
 * The root lists the extents in use; each holds a fixed number of values.  An
 * extent is given back as soon as it holds nothing, so pushes and pops around
 * an edge take and give all the time.
 */
#include "toy_stack.h"

typedef struct StackRoot
{
	uint64_t	depth;
	uint32_t	per_extent;
	uint32_t	chunks;			/* extents in use */
	uint32_t	chunks_max;
	uint32_t	reserved;
	uint32_t	chunk[];
} StackRoot;

static size_t
stack_size(const NrCopyConfig *config)
{
	return sizeof(StackRoot) + sizeof(uint32_t) * config->extents_max;
}

static uint32_t
stack_init_extents(const NrCopyConfig *config)
{
	(void) config;
	return 0;
}

static void
stack_init(NrCopy *copy, const NrCopyConfig *config)
{
	StackRoot  *root = (StackRoot *) copy->root;

	root->per_extent = (uint32_t) (nr_extent_bytes(copy) / sizeof(uint64_t));
	root->chunks_max = config->extents_max;
}

static uint64_t *
slot_of(const NrCopy *copy, uint64_t i)
{
	const StackRoot *root = (const StackRoot *) copy->root;
	NrRef		ref = nr_ref_make(copy, root->chunk[i / root->per_extent], 0);

	return (uint64_t *) nr_ref_ptr(copy, ref) + i % root->per_extent;
}

static NrStatus
stack_dispatch(const NrCopy *copy, const void *op, void *resp)
{
	const StackRoot *root = (const StackRoot *) copy->root;
	ToyTop	   *top = resp;

	(void) op;
	top->depth = root->depth;
	top->top = root->depth > 0 ? *slot_of(copy, root->depth - 1) : 0;
	return NR_OK;
}

static void
respond(NrResponse *resp, uint64_t value)
{
	resp->length = sizeof(value);
	if (resp->data != NULL && resp->capacity >= sizeof(value))
		memcpy(resp->data, &value, sizeof(value));
}

static NrStatus
push(NrCopy *copy, uint64_t value, NrResponse *resp)
{
	StackRoot  *root = (StackRoot *) copy->root;

	if (root->depth == (uint64_t) root->chunks * root->per_extent)
	{
		uint32_t	e = root->chunks < root->chunks_max ? nr_extent_take(copy) : NR_NO_EXTENT;

		if (e == NR_NO_EXTENT)
			return NR_NO_SPACE;
		root->chunk[root->chunks++] = e;
	}
	*slot_of(copy, root->depth++) = value;
	resp->flag = true;
	respond(resp, root->depth);
	return NR_OK;
}

static NrStatus
pop(NrCopy *copy, NrResponse *resp)
{
	StackRoot  *root = (StackRoot *) copy->root;

	resp->flag = root->depth > 0;
	resp->length = 0;
	if (root->depth == 0)
		return NR_OK;
	respond(resp, *slot_of(copy, --root->depth));
	if (root->depth == (uint64_t) (root->chunks - 1) * root->per_extent)
		nr_extent_give(copy, root->chunk[--root->chunks]);
	return NR_OK;
}

static NrStatus
stack_mut(NrCopy *copy, const NrOpHeader *op, NrResponse *resp)
{
	StackRoot  *root = (StackRoot *) copy->root;
	uint64_t	value;

	switch (op->code)
	{
		case TOY_PUSH:
			if (op->payload_bytes != sizeof(value))
				return NR_BAD_OP;
			memcpy(&value, nr_op_payload(op), sizeof(value));
			return push(copy, value, resp);
		case TOY_POP:
			return pop(copy, resp);
		case TOY_CLEAR:
			resp->flag = root->depth > 0;
			resp->length = 0;
			while (root->chunks > 0)
				nr_extent_give(copy, root->chunk[--root->chunks]);
			root->depth = 0;
			return NR_OK;
		default:
			return NR_BAD_OP;
	}
}

static NrNeed
stack_need(const NrCopyConfig *config, uint32_t n, uint64_t bytes)
{
	uint32_t	per_extent = (uint32_t) (((size_t) 1 << config->extent_shift) / sizeof(uint64_t));

	(void) bytes;
	return (NrNeed) {.extents = n / per_extent + 1};
}

/* Pushes may find the last extent full, whatever was pushed and popped before. */
static NrNeed
stack_need_ops(const NrCopyConfig *config, const void *ops, size_t bytes, uint32_t n, bool ordered)
{
	(void) ops;
	(void) ordered;
	return stack_need(config, n, bytes);
}

static uint64_t
stack_checksum(const NrCopy *copy)
{
	const StackRoot *root = (const StackRoot *) copy->root;
	uint64_t	h = root->depth;

	for (uint32_t i = 0; i < root->chunks; i++)
		h = (h ^ root->chunk[i]) * UINT64_C(0x9E3779B97F4A7C15);
	for (uint64_t i = 0; i < root->depth; i++)
		h = (h ^ *slot_of(copy, i)) * UINT64_C(0x9E3779B97F4A7C15);
	return h;
}

static const char *
stack_verify(const NrCopy *copy)
{
	const StackRoot *root = (const StackRoot *) copy->root;

	if (root->chunks != (root->depth + root->per_extent - 1) / root->per_extent)
		return "stack: extents in use do not match the depth";
	if (root->chunks + copy->table->free_count + 1 != copy->table->mapped_count)
		return "stack: extents lost";
	return NULL;
}

const NrDispatch toy_stack_dispatch = {
	.name = "toy_stack",
	.id = TOY_STACK_ID,
	.size = stack_size,
	.init_extents = stack_init_extents,
	.init = stack_init,
	.dispatch = stack_dispatch,
	.dispatch_mut = stack_mut,
	.need = stack_need,
	.need_ops = stack_need_ops,
	.checksum = stack_checksum,
	.verify = stack_verify,
};

static size_t
encode(void *to, uint16_t code, const void *payload, uint32_t payload_bytes)
{
	NrOpHeader	op = {.code = code, .payload_bytes = payload_bytes};

	op.bytes = (uint32_t) NR_OP_ALIGN(sizeof(op) + payload_bytes);
	memcpy(to, &op, sizeof(op));
	if (payload_bytes > 0)
		memcpy((NrOpHeader *) to + 1, payload, payload_bytes);
	return op.bytes;
}

size_t
toy_push(void *to, uint64_t value)
{
	return encode(to, TOY_PUSH, &value, sizeof(value));
}

size_t
toy_pop(void *to)
{
	return encode(to, TOY_POP, NULL, 0);
}

size_t
toy_clear(void *to)
{
	return encode(to, TOY_CLEAR, NULL, 0);
}
