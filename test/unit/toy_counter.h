/*
 * toy_counter.h
 *		Counters as a replicated structure: tests only.
 *
 * A row of up to 256 counters in the root.  A write adds to one or to all of
 * them and answers the new value; so the answers tell the order in which the
 * engine applied the writes, and a reader that sees different values of
 * counters that are always raised together has seen a half-applied batch.
 */
#ifndef TOY_COUNTER_H
#define TOY_COUNTER_H

#include "engine/dispatch.h"

#define TOY_COUNTER_ID		101
#define TOY_COUNTERS_MAX	256
#define TOY_ALL				UINT32_MAX

extern const NrDispatch toy_counter_dispatch;

enum
{
	TOY_ADD = 1,				/* payload ToyAdd; answer: the new value (with TOY_ALL: the sum); flag: it is odd */
	TOY_SUM						/* payload any bytes: adds each byte to counter 0; answer: the new value */
};

typedef struct ToyAdd
{
	uint32_t	cell;			/* or TOY_ALL */
	uint32_t	zero;
	int64_t		by;
} ToyAdd;

#define TOY_ADD_BYTES	(sizeof(NrOpHeader) + sizeof(ToyAdd))

/* Encode at "to", 8-byte aligned; returns the bytes written. */
extern size_t toy_add(void *to, uint32_t cell, int64_t by);
extern size_t toy_sum(void *to, size_t payload_bytes, unsigned char fill);

typedef struct ToyRead
{
	uint32_t	first;
	uint32_t	n;
	uint64_t	value[TOY_COUNTERS_MAX];	/* the answer */
} ToyRead;

/* Called, when set, inside reads and writes: tests stop threads there. */
extern void (*_Atomic toy_hook_write) (const NrCopy *copy, const NrOpHeader *op);
extern void (*_Atomic toy_hook_read) (const NrCopy *copy, const ToyRead *read);
extern void (*_Atomic toy_hook_need) (uint32_t n);

#endif							/* TOY_COUNTER_H */
