/*
 * toy_counter.c
 *		Counters as a replicated structure; see toy_counter.h.
 */
#include "toy_counter.h"

#include <stdatomic.h>

typedef struct ToyRoot
{
	uint64_t	writes;
	uint64_t	value[TOY_COUNTERS_MAX];
} ToyRoot;

void		(*_Atomic toy_hook_write) (const NrCopy *copy, const NrOpHeader *op);
void		(*_Atomic toy_hook_read) (const NrCopy *copy, const ToyRead *read);
void		(*_Atomic toy_hook_need) (uint32_t n);

static size_t
counter_size(const NrCopyConfig *config)
{
	(void) config;
	return sizeof(ToyRoot);
}

static uint32_t
counter_init_extents(const NrCopyConfig *config)
{
	(void) config;
	return 0;
}

static void
counter_init(NrCopy *copy, const NrCopyConfig *config)
{
	(void) copy;
	(void) config;
}

static NrStatus
counter_dispatch(const NrCopy *copy, const void *op, void *resp)
{
	const ToyRoot *root = (const ToyRoot *) copy->root;
	const ToyRead *read = op;
	ToyRead    *out = resp;
	void		(*hook) (const NrCopy *, const ToyRead *) = atomic_load(&toy_hook_read);

	if (read->first + read->n > TOY_COUNTERS_MAX)
		return NR_BAD_OP;
	for (uint32_t i = 0; i < read->n; i++)
	{
		/* between any two values, so that a writer let in would be seen */
		if (hook != NULL && i == 1)
			hook(copy, read);
		out->value[i] = root->value[read->first + i];
	}
	if (hook != NULL && read->n == 1)
		hook(copy, read);
	return NR_OK;
}

static void
respond(NrResponse *resp, uint64_t value)
{
	resp->flag = value & 1;
	resp->length = sizeof(value);
	if (resp->data != NULL && resp->capacity >= sizeof(value))
		memcpy(resp->data, &value, sizeof(value));
}

static NrStatus
counter_mut(NrCopy *copy, const NrOpHeader *op, NrResponse *resp)
{
	ToyRoot    *root = (ToyRoot *) copy->root;
	void		(*hook) (const NrCopy *, const NrOpHeader *) = atomic_load(&toy_hook_write);
	uint64_t	sum = 0;

	if (op->code == TOY_SUM)
	{
		const unsigned char *p = nr_op_payload(op);

		for (uint32_t i = 0; i < op->payload_bytes; i++)
			sum += p[i];
		root->value[0] += sum;
		sum = root->value[0];
	}
	else if (op->code == TOY_ADD && op->payload_bytes == sizeof(ToyAdd))
	{
		const ToyAdd *add = nr_op_payload(op);

		if (add->cell >= TOY_COUNTERS_MAX && add->cell != TOY_ALL)
			return NR_BAD_OP;
		for (uint32_t i = 0; i < TOY_COUNTERS_MAX; i++)
			if (add->cell == i || add->cell == TOY_ALL)
			{
				root->value[i] += (uint64_t) add->by;
				sum += root->value[i];
			}
	}
	else
		return NR_BAD_OP;
	root->writes++;
	if (hook != NULL)
		hook(copy, op);
	respond(resp, sum);
	return NR_OK;
}

static NrNeed
counter_need(const NrCopyConfig *config, uint32_t n, uint64_t bytes)
{
	void		(*hook) (uint32_t) = atomic_load(&toy_hook_need);

	(void) config;
	(void) bytes;
	if (hook != NULL)
		hook(n);
	return (NrNeed) {0};
}

static uint64_t
counter_checksum(const NrCopy *copy)
{
	const ToyRoot *root = (const ToyRoot *) copy->root;
	uint64_t	h = root->writes;

	for (uint32_t i = 0; i < TOY_COUNTERS_MAX; i++)
		h = (h ^ root->value[i]) * UINT64_C(0x9E3779B97F4A7C15);
	return h;
}

static const char *
counter_verify(const NrCopy *copy)
{
	(void) copy;
	return NULL;
}

const NrDispatch toy_counter_dispatch = {
	.name = "toy_counter",
	.id = TOY_COUNTER_ID,
	.size = counter_size,
	.init_extents = counter_init_extents,
	.init = counter_init,
	.dispatch = counter_dispatch,
	.dispatch_mut = counter_mut,
	.need = counter_need,
	.checksum = counter_checksum,
	.verify = counter_verify,
};

static NrOpHeader *
begin(void *to, uint16_t code, size_t payload_bytes)
{
	NrOpHeader *op = to;

	memset(op, 0, NR_OP_ALIGN(sizeof(*op) + payload_bytes));
	op->bytes = (uint32_t) NR_OP_ALIGN(sizeof(*op) + payload_bytes);
	op->code = code;
	op->payload_bytes = (uint32_t) payload_bytes;
	return op;
}

size_t
toy_add(void *to, uint32_t cell, int64_t by)
{
	NrOpHeader *op = begin(to, TOY_ADD, sizeof(ToyAdd));
	ToyAdd		add = {cell, 0, by};

	memcpy(op + 1, &add, sizeof(add));
	return op->bytes;
}

size_t
toy_sum(void *to, size_t payload_bytes, unsigned char fill)
{
	NrOpHeader *op = begin(to, TOY_SUM, payload_bytes);

	memset(op + 1, fill, payload_bytes);
	return op->bytes;
}
