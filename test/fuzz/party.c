/*
 * party.c
 *		See party.h.
 */
#include "party.h"

#include <stdlib.h>

#define COPIES_MAX		8
#define REQUESTS_MAX	4096

typedef enum RequestState
{
	REQUEST_OPEN,				/* it may be applied at any time */
	REQUEST_HELD,				/* prepared, or pending */
	REQUEST_DEAD
} RequestState;

typedef struct Request
{
	RequestState state;
	bool		sure;			/* its memory is promised */
	uint32_t	n;
	uint32_t	seen;			/* of these, in the history */
	uint32_t	unit;			/* the first request of those that become visible with it */
	uint32_t	unit_ops;		/* of a unit's first request: operations of all of it */
	uint64_t	began;
	uint64_t	acknowledged;	/* 0: not yet */
	uint64_t	end;			/* position in the history behind it */
	uint64_t	order_seq;
	HashAnswer	answer[PARTY_OPS_MAX];
	size_t		bytes;
	char	   *ops;
} Request;

/* One applied operation. */
typedef struct Event
{
	uint32_t	request;
	uint32_t	i;
	uint64_t	checksum;
} Event;

typedef struct Copy
{
	const char *root;			/* NULL: not in use */
	const char *region;
	uint64_t	at;				/* operations of the history that it has applied */
	uint32_t	unit;			/* that it has begun last */
	uint32_t	unit_seen;
	uint64_t	horizon;
	uint64_t	horizon_before; /* before the batch that is being applied */
	HashModel	model;
} Copy;

bool		party_looks;

static Copy copies[COPIES_MAX];
static uint32_t copies_each;	/* in each replica */
static Request request[REQUESTS_MAX];
static uint32_t requests;
static Event event[REQUESTS_MAX * PARTY_OPS_MAX];
static uint64_t events;
static uint64_t now;
static uint64_t read_upto;		/* position that somebody has read at */
static uint32_t shift;
static uint64_t hash_seed;

/* ---- copies ---- */

static Copy *
find_copy(const NrCopy *copy)
{
	for (uint32_t c = 0; c < COPIES_MAX; c++)
		if (copies[c].root == copy->root)
			return &copies[c];
	fz_fail("a copy that nobody has made");
}

static Copy *
sibling(const Copy *of)
{
	for (uint32_t c = 0; c < COPIES_MAX; c++)
		if (&copies[c] != of && copies[c].root != NULL && copies[c].region == of->region)
			return &copies[c];
	return NULL;
}

void
party_open(uint32_t extent_shift, uint64_t seed, uint32_t n)
{
	shift = extent_shift;
	hash_seed = seed;
	copies_each = n;
	requests = 0;
	events = 0;
	now = 1;
	read_upto = 0;
	for (uint32_t c = 0; c < COPIES_MAX; c++)
	{
		copies[c].root = NULL;
		model_open(&copies[c].model, shift, seed);
	}
}

void
party_close(void)
{
	for (uint32_t i = 0; i < requests; i++)
		free(request[i].ops);
	requests = 0;
	for (uint32_t c = 0; c < COPIES_MAX; c++)
		model_close(&copies[c].model);
}

const HashModel *
party_model(void)
{
	uint32_t	c = 0;

	while (c < COPIES_MAX - 1 && copies[c].root == NULL)
		c++;
	return &copies[c].model;
}

/* ---- requests ---- */

uint32_t
party_begin(char *ops, size_t bytes, uint32_t n)
{
	Request    *r = &request[requests];
	char	   *at = ops;

	if (requests == REQUESTS_MAX)
		fz_fail("too many requests");
	memset(r, 0, sizeof(*r));
	for (uint32_t i = 0; i < n; i++)
	{
		NrOpHeader *op = (NrOpHeader *) at;

		op->stmt_time_us = (int64_t) requests * PARTY_OPS_MAX + i + 1;
		at += op->bytes;
	}
	r->n = r->unit_ops = n;
	r->unit = requests;
	r->began = ++now;
	r->bytes = bytes;
	r->ops = malloc(bytes);
	memcpy(r->ops, ops, bytes);
	return requests++;
}

void
party_hold(uint32_t i, bool sure)
{
	if (request[i].seen > 0)
		fz_fail("a request was applied before it was to be");
	request[i].state = REQUEST_HELD;
	request[i].sure = sure;
}

void
party_release(uint32_t i, uint64_t order_seq)
{
	request[i].state = REQUEST_OPEN;
	request[i].order_seq = order_seq;
	request[i].sure = true;
}

void
party_forget(uint32_t i)
{
	if (request[i].seen > 0)
		fz_fail("a request was given up and applied all the same");
	request[i].state = REQUEST_DEAD;
}

void
party_join(uint32_t i, uint32_t with)
{
	request[i].unit = request[with].unit;
	request[request[i].unit].unit_ops += request[i].n;
}

/* What the history says that the answer is. */
static void
check_result(const Request *r, const NrResult *result)
{
	HashAnswer	last = r->answer[r->n - 1];
	NrStatus	status = NR_OK;
	uint32_t	done = 0;
	uint32_t	flagged = 0;

	if (r->seen != r->n)
		fz_fail("a request was answered and not applied");
	for (uint32_t i = 0; i < r->n; i++)
	{
		if (status == NR_OK)
			status = r->answer[i].status;
		done += r->answer[i].status == NR_OK;
		flagged += r->answer[i].status == NR_OK && r->answer[i].flag;
	}
	if (result->status != status || result->done != done || result->flagged != flagged)
		fz_fail("a request is told another result");
	if (result->last.flag != last.flag || (result->last.capacity > 0 && result->last.length != last.length))
		fz_fail("a request is told another answer");
	if (last.length > 0 && last.length <= result->last.capacity &&
		ds_hash_key(0, result->last.data, last.length) != last.sum)
		fz_fail("a request is given the bytes of another answer");
}

void
party_acknowledge(uint32_t i, const NrResult *result)
{
	if (result)
		check_result(&request[i], result);
	request[i].acknowledged = ++now;
}

/* ---- the history ---- */

/* The operation is as it was handed in, but for its order number. */
static Request *
find_request(const NrOpHeader *op, uint32_t *i)
{
	uint64_t	number = (uint64_t) op->stmt_time_us - 1;
	Request    *r = &request[number / PARTY_OPS_MAX];
	const char *at = r->ops;
	NrOpHeader *must;
	uint64_t	order_seq;

	*i = (uint32_t) (number % PARTY_OPS_MAX);
	if (number / PARTY_OPS_MAX >= requests || *i >= r->n)
		fz_fail("an operation that nobody has asked for");
	for (uint32_t k = 0; k < *i; k++)
		at += ((const NrOpHeader *) at)->bytes;
	must = (NrOpHeader *) (uintptr_t) at;
	order_seq = must->order_seq;
	must->order_seq = op->order_seq;
	if (op->bytes != must->bytes || memcmp(op, must, op->bytes) != 0)
		fz_fail("an operation's bytes have changed");
	must->order_seq = order_seq;
	return r;
}

/* It appears for the first time. */
static void
append_event(Request *r, uint32_t i, HashAnswer answer, uint64_t checksum)
{
	if (r->state != REQUEST_OPEN)
		fz_fail(r->state == REQUEST_DEAD ? "a request that was given up is applied" : "a request is applied too early");
	if (i != r->seen++)
		fz_fail("a request's operations are applied twice, or in another order");
	r->answer[i] = answer;
	for (uint32_t k = 0; i == 0 && k < requests; k++)
		if (request[k].acknowledged != 0 && request[k].acknowledged < r->began && request[k].seen != request[k].n)
			fz_fail("a request comes before one that was acknowledged before it began");
	event[events] = (Event) {.request = (uint32_t) (r - request),.i = i,.checksum = checksum};
	events++;
	if (r->seen == r->n)
		r->end = events;
}

static void
check_event(const Event *e, const Request *r, uint32_t i, HashAnswer answer, uint64_t checksum)
{
	if (e->request != (uint32_t) (r - request) || e->i != i)
		fz_fail("copies apply operations in another order");
	model_expect(answer, r->answer[i], "copies answer differently");
	if (e->checksum != checksum)
		fz_fail("copies have the same operations and other checksums");
}

/* ---- the dispatch table ---- */

static void
party_init(NrCopy *copy, const NrCopyConfig *config)
{
	Copy	   *c = copies;

	while (c->root != NULL && c->root != copy->root)
		if (++c == copies + COPIES_MAX)
			fz_fail("too many copies");
	c->root = copy->root;
	c->region = copy->region;
	c->at = events;
	c->unit = UINT32_MAX;
	c->unit_seen = 0;
	c->horizon = c->horizon_before = 0;
	model_close(&c->model);
	model_open(&c->model, shift, hash_seed);
	ds_hash_dispatch.init(copy, config);
}

static void
party_drop(NrCopy *copy)
{
	find_copy(copy)->root = NULL;
}

static void
party_sync_with(NrCopy *to, const NrCopy *from)
{
	Copy	   *t = find_copy(to);
	Copy	   *f = find_copy(from);

	if (t->at > f->at)
		fz_fail("the copy that is ahead is made equal to the other one");
	t->at = f->at;
	t->unit = f->unit;
	t->unit_seen = f->unit_seen;
	model_copy(&t->model, &f->model);
}

static void
party_ordered(NrCopy *copy, uint64_t horizon)
{
	Copy	   *c = find_copy(copy);

	c->horizon_before = c->horizon;
	if (horizon > c->horizon)
		c->horizon = horizon;
	ds_hash_dispatch.ordered(copy, horizon);
}

static void
check_pass(const NrCopy *copy, const Copy *c)
{
	const Copy *other = sibling(c);
	bool		second = other != NULL && other->at > c->at;

	if ((other != NULL) != (copies_each == 2))
		fz_fail("the number of copies");
	if ((copy->pass == NR_PASS_SECOND) != second)
		fz_fail("it is said to be the other pass");
}

static NrStatus
party_write(NrCopy *copy, const NrOpHeader *op, NrResponse *resp)
{
	char		data[DS_HASH_RESPONSE_MAX];	/* others may have their turn before it is looked at */
	NrResponse	own = {.data = data,.capacity = sizeof(data)};
	Copy	   *c = find_copy(copy);
	HashAnswer	answer;
	const char *broken;
	uint64_t	checksum;
	uint32_t	i;
	Request    *r = find_request(op, &i);

	fz_step();
	check_pass(copy, c);
	if (op->order_seq != r->order_seq)
		fz_fail("an operation has another order number");
	if (op->order_seq != 0 && op->order_seq < c->horizon_before)
		fz_fail("a horizon has passed a number that was still to come");
	answer.status = ds_hash_dispatch.dispatch_mut(copy, op, &own);
	party_looks = true;
	answer = model_answer(answer.status, &own);
	if (answer.status != NR_NO_SPACE)
		model_expect(answer, model_apply(&c->model, op), "the answer is not the reference's");
	else if (r->sure)
		fz_fail("no space for a request that was promised all that it may need");
	broken = ds_hash_dispatch.verify(copy);
	if (broken)
		fz_fail(broken);
	checksum = ds_hash_dispatch.checksum(copy);
	if (c->at == events)
		append_event(r, i, answer, checksum);
	else
		check_event(&event[c->at], r, i, answer, checksum);
	c->at++;
	if (c->unit != r->unit)
	{
		c->unit = r->unit;
		c->unit_seen = 0;
	}
	c->unit_seen++;
	party_looks = false;
	resp->flag = own.flag;
	resp->length = own.length;
	if (own.length > 0 && own.length <= resp->capacity)
		memcpy(resp->data, data, own.length);
	return answer.status;
}

static NrStatus
party_absorb_first(NrCopy *copy, NrOpHeader *op, NrResponse *resp)
{
	if (copy->pass == NR_PASS_SECOND)
		fz_fail("absorb_first for the second copy");
	return party_write(copy, op, resp);
}

static NrStatus
party_absorb_second(NrCopy *copy, const NrOpHeader *op, NrResponse *resp)
{
	if (copy->pass != NR_PASS_SECOND)
		fz_fail("absorb_second for the first copy");
	return party_write(copy, op, resp);
}

/* ---- reads ---- */

PartyMoment
party_now(void)
{
	return (PartyMoment) {.time = ++now,.read_upto = read_upto};
}

uint64_t
party_read(const NrCopy *copy, PartyMoment began, const NrOpHeader *op)
{
	const Copy *c = find_copy(copy);

	for (uint32_t i = 0; i < requests; i++)
		if (request[i].acknowledged != 0 && request[i].acknowledged < began.time &&
			(request[i].seen != request[i].n || request[i].end > c->at))
			fz_fail("a read does not see what was acknowledged before it began");
	if (c->at < began.read_upto)
		fz_fail("a read sees less than an earlier one has");
	if (c->at > read_upto)
		read_upto = c->at;
	if (c->unit != UINT32_MAX && c->unit_seen != request[c->unit].unit_ops)
		fz_fail("a read sees a part of what is to be visible at once");
	party_looks = true;
	model_look(&c->model, &ds_hash_dispatch, copy, op);
	party_looks = false;
	return c->at;
}

void
party_same(const NrCopy *copy, uint64_t position)
{
	if (find_copy(copy)->at != position)
		fz_fail("a copy has changed while somebody was inside");
}

static const char *
compare_all(const Copy *c, const NrCopy *copy)
{
	CopyHarness h = {.copy = *copy,.dispatch = &ds_hash_dispatch};
	DsHashArg	arg = {.seed = hash_seed};

	memcpy(h.config.arg, &arg, sizeof(arg));
	return ref_compare(&c->model.map, &h);
}

static NrStatus
party_dispatch_read(const NrCopy *copy, const void *op, void *resp)
{
	const PartyRead *read = op;
	const char *broken = NULL;

	(void) resp;
	(void) party_read(copy, read->began, read->op);
	party_looks = read->all;
	if (read->all)
		broken = compare_all(find_copy(copy), copy);
	party_looks = false;
	if (broken)
		fz_fail(broken);
	return NR_OK;
}

void
party_end(void)
{
	for (uint32_t i = 0; i < requests; i++)
		if (request[i].acknowledged != 0 && request[i].seen != request[i].n)
			fz_fail("a request was acknowledged and never applied");
	for (uint32_t c = 0; c < COPIES_MAX; c++)
		if (copies[c].root != NULL && copies[c].at != events)
			fz_fail("a copy is behind");
}

static size_t
party_size(const NrCopyConfig *config)
{
	return ds_hash_dispatch.size(config);
}

static uint32_t
party_init_extents(const NrCopyConfig *config)
{
	return ds_hash_dispatch.init_extents(config);
}

static size_t
party_shared_size(const NrCopyConfig *config)
{
	return ds_hash_dispatch.shared_size(config);
}

static void
party_reclaim(NrCopy *copy, uint64_t floor)
{
	ds_hash_dispatch.reclaim(copy, floor);
}

static void
party_prefetch(const NrCopy *copy, const NrOpHeader *op)
{
	ds_hash_dispatch.prefetch(copy, op);
}

static NrNeed
party_need(const NrCopyConfig *config, uint32_t n, uint64_t bytes)
{
	return ds_hash_dispatch.need(config, n, bytes);
}

static NrNeed
party_need_ops(const NrCopyConfig *config, const void *ops, size_t bytes, uint32_t n, bool ordered)
{
	return ds_hash_dispatch.need_ops(config, ops, bytes, n, ordered);
}

static uint64_t
party_checksum(const NrCopy *copy)
{
	return ds_hash_dispatch.checksum(copy);
}

static const char *
party_verify(const NrCopy *copy)
{
	return ds_hash_dispatch.verify(copy);
}

const NrDispatch party_dispatch = {
	.name = "party",
	.id = DS_HASH_ID,
	.size = party_size,
	.init_extents = party_init_extents,
	.init = party_init,
	.shared_size = party_shared_size,
	.reclaim = party_reclaim,
	.dispatch = party_dispatch_read,
	.dispatch_mut = party_write,
	.prefetch = party_prefetch,
	.need = party_need,
	.need_ops = party_need_ops,
	.ordered = party_ordered,
	.checksum = party_checksum,
	.verify = party_verify,
	.absorb_first = party_absorb_first,
	.absorb_second = party_absorb_second,
	.drop_first = party_drop,
	.drop_second = party_drop,
	.sync_with = party_sync_with,
};
