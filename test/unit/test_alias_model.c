/*
 * test_alias_model.c
 *		Two copies that share values, all that readers and writers can do: a reader inside the older
 *		copy may use what the newer one has dropped, whatever is written meanwhile.
 *
 * One thread plays two readers, each of which enters, keeps a pointer to a long value, and
 * leaves when it likes, and the writers.  All sequences of what they can do, up to a depth,
 * are run: memory is put back to what it was and the next one goes on from there.
 * After each step both readers look at their bytes, and a third one at what is to be
 * seen; after each sequence all leave, and nothing may be lost.  Freed memory is
 * overwritten (NR_TEST_POINTS).  NR_TEST_LONG=n makes sequences longer by n.
 */
#include "ds/hash_line.h"
#include "engine/combine.h"
#include "engine/replay.h"
#include "seats.h"
#include "tap.h"

#include <stdlib.h>

#define G			0
#define SEED		7
#define READERS		2
#define WRITER		2
#define SEATS		4
#define DEPTH_MAX	16
#define VALUE_MAX	4000

typedef enum Action
{
	READER_0,					/* enters, or leaves */
	READER_1,
	COMMIT_PUT,					/* nr_prepare (never waits), append */
	COMMIT_DELETE,
	COMMIT_TRUNCATE,
	COMMIT_DROP,				/* prepared, and not appended */
	APPEND_PUT,					/* nr_append */
	APPEND_DELETE,
	APPEND_TRUNCATE,
	PUBLISH,					/* nr_publish_try */
	REQUEST_PUT,				/* nr_execute_mut, which gives up when it would wait */
	REQUEST_DELETE,
	REQUEST_TRUNCATE,
	SYNC,						/* the older copy follows, unless a reader is in the way */
	ACTIONS
} Action;

static const char *const action_name[ACTIONS] = {
	"reader 0", "reader 1", "put", "delete", "truncate", "put and roll back", "append put", "append delete",
	"append truncate", "publish", "request put", "request delete", "request truncate", "sync"
};

/* What a reader that is inside holds. */
typedef struct Reader
{
	bool		inside;
	const DsHashLong *block;	/* NULL: there was none */
	uint64_t	sum;
} Reader;

/* All that is put back, but for the engine's memory. */
typedef struct State
{
	NrSession	s[SEATS];
	NrHandle	h[SEATS];
	Reader		reader[READERS];
	uint32_t	serial;			/* of the last value that was written */
	uint32_t	visible;		/* the value that is to be seen; 0: none */
	uint32_t	pending;		/* and when what is pending is published */
} State;

static Seats b;
static State now;
static State saved[DEPTH_MAX];
static char *memory[DEPTH_MAX];
static size_t memory_bytes;
static size_t value_bytes;
static Action path[DEPTH_MAX];
static uint32_t depth_now;
static _Alignas(8) char op[VALUE_MAX + 256];
static char value[VALUE_MAX];

/* What happened. */
static uint64_t sequences;
static uint64_t steps;
static uint64_t only_older;		/* a reader in the older copy, and the newer one had dropped its value */
static uint64_t busy;			/* a write that did not get in because of such a reader */
static uint64_t no_space;
static uint64_t applied_writes;
static const char *broken;
static bool requests;			/* of nr_execute_mut are among the actions */

static void
fail(const char *what)
{
	if (broken)
		return;
	broken = what;
	tap_note("%s, after:", what);
	for (uint32_t i = 0; i < depth_now; i++)
		tap_note("  %s", action_name[path[i]]);
}

/* ---- state ---- */

static void
save(uint32_t at)
{
	memcpy(now.s, b.s, sizeof(now.s));
	memcpy(now.h, b.h, sizeof(now.h));
	saved[at] = now;
	memcpy(memory[at], b.e->control, memory_bytes);
}

static void
restore(uint32_t at)
{
	now = saved[at];
	memcpy(b.s, now.s, sizeof(now.s));
	memcpy(b.h, now.h, sizeof(now.h));
	memcpy(b.e->control, memory[at], memory_bytes);
	script.waits = 0;
}

static void
open_model(uint32_t replicas, uint32_t extents_max, uint32_t shared_max, size_t bytes)
{
	NrGeometry	geo = th_geometry(replicas);
	NrGroupConfig config = toy_config(extents_max, 4096, 65536);
	DsHashArg	arg = {.seed = SEED,.line_bytes = 64};

	geo.sessions = SEATS;
	geo.groups = 1;
	geo.extents = 24;
	config.copies = 2;
	config.replicas = 0;
	config.shared_max = shared_max;
	config.log_slots = 8;
	config.arg_bytes = sizeof(arg);
	memcpy(config.arg, &arg, sizeof(arg));
	seats_open(&b, geo, SEATS, &config, &ds_hash_dispatch);
	script_begin(b.th, script_give_up);
	memory_bytes = (size_t) (b.e->region[replicas - 1] + nr_engine_region_bytes(&b.e->geo) - b.e->control);
	for (uint32_t i = 0; i < DEPTH_MAX; i++)
		memory[i] = malloc(memory_bytes);
	memset(&now, 0, sizeof(now));
	value_bytes = bytes;
	sequences = steps = only_older = busy = no_space = applied_writes = 0;
	broken = NULL;
}

static void
close_model(void)
{
	for (uint32_t i = 0; i < DEPTH_MAX; i++)
		free(memory[i]);
}

/* ---- reading ---- */

static const uint64_t the_key = 1;

static uint64_t
key_hash(void)
{
	return ds_hash_key(SEED, &the_key, sizeof(the_key));
}

/* The block of the key's value in a copy, or NULL. */
static const DsHashLong *
find_block(const NrCopy *copy)
{
	DsHashSpot	spot;

	if (!ds_line_seek(copy, ds_hash_root(copy), key_hash(), (const uint8_t *) &the_key, sizeof(the_key), &spot))
		return NULL;
	if (!ds_entry_is_long(spot.entry))
		fail("the value is not a long one");
	return ds_value_at(copy, ds_entry_long_ref(spot.entry));
}

static uint64_t
block_sum(const DsHashLong *block)
{
	return block == NULL ? 0 : ds_hash_key(SEED, block, sizeof(*block) + sizeof(the_key) + value_bytes);
}

static void
make_value(uint32_t serial)
{
	for (size_t i = 0; i < value_bytes; i++)
		value[i] = (char) (serial * 7 + i % 11);
}

/* What a request has written on one replica must be seen on another one, whose older copy may have a reader. */
static void
has_to_wait(void)
{
	if (b.e->geo.replicas == 1 || !requests)
		fail("a reader has to wait");
}

/* Whoever comes now sees what is to be seen. */
static void
look(uint32_t seat)
{
	static char out[VALUE_MAX];
	DsHashGet	get = {.code = DS_HASH_GET,.key = &the_key,.key_bytes = sizeof(the_key),.hash = key_hash(),
	.out = out,.capacity = sizeof(out)};

	if (nr_execute(&b.h[seat], &get, NULL, true) != NR_OK)
		has_to_wait();
	else if (get.found != (now.visible != 0))
		fail("a reader that comes finds the wrong state");
	else if (get.found)
	{
		make_value(now.visible);
		if (get.value_bytes != value_bytes || memcmp(out, value, value_bytes) != 0)
			fail("a reader that comes finds another value");
	}
}

static void
toggle(uint32_t i)
{
	Reader	   *r = &now.reader[i];

	if (r->inside)
	{
		nr_leave(&b.h[i]);
		r->inside = false;
		return;
	}
	if (nr_enter(&b.h[i], true) != NR_OK)
	{
		has_to_wait();
		return;
	}
	r->inside = true;
	r->block = find_block(b.h[i].copy);
	r->sum = block_sum(r->block);
	if ((r->block != NULL) != (now.visible != 0))
		fail("a reader that stays finds the wrong state");
}

/* Those inside still have what they had. */
static bool
check_readers(void)
{
	bool		holds = false;

	for (uint32_t i = 0; i < READERS; i++)
	{
		const Reader *r = &now.reader[i];
		const NrHandle *h = &b.h[i];
		uint32_t	current = nr_load32_rlx(&h->replica->current) & 1;

		if (!r->inside)
			continue;
		if (find_block(h->copy) != r->block || block_sum(r->block) != r->sum)
			fail("what a reader inside has got has changed");
		if (h->copy != &h->copies[current] && r->block != NULL && find_block(&h->copies[current]) != r->block)
			holds = true;
	}
	return holds;
}

/* ---- writing ---- */

static size_t
make_op(Action put, Action delete, Action action)
{
	if (action == put)
	{
		make_value(now.serial + 1);
		return ds_hash_op_put(op, key_hash(), &the_key, sizeof(the_key), value, value_bytes, 0);
	}
	if (action == delete)
		return ds_hash_op_delete(op, key_hash(), &the_key, sizeof(the_key));
	return ds_hash_op_truncate(op);
}

/* The write has happened: what is there then. */
static uint32_t
result_of(Action put, Action action)
{
	applied_writes++;
	return action == put ? ++now.serial : 0;
}

static void
not_written(NrStatus status, bool held)
{
	if (status == NR_BUSY || status == NR_CANCELLED)
		busy += held;
	else if (status == NR_NO_SPACE)
		no_space++;
	else if (status != NR_BAD_CONFIG || nr_pending_count(&b.h[WRITER]) == 0)
		fail("a write fails in another way");
}

static void
commit(Action action, bool held)
{
	NrPrepared	p;
	Action		as = action == COMMIT_DROP ? COMMIT_PUT : action;
	NrStatus	status = nr_prepare(&b.h[WRITER], op, make_op(COMMIT_PUT, COMMIT_DELETE, as), 1, NR_PREPARE_TRY, true, &p);

	if (status != NR_OK)
	{
		not_written(status, held);
		return;
	}
	check_readers();
	if (action == COMMIT_DROP)
		nr_prepared_drop(&b.h[WRITER], &p);
	else
	{
		nr_prepared_append(&b.h[WRITER], &p);
		now.visible = now.pending = result_of(COMMIT_PUT, action);
	}
}

static void
append(Action action, bool held)
{
	NrResult	res = {.status = NR_OK};
	NrStatus	status = nr_append(&b.h[WRITER], op, make_op(APPEND_PUT, APPEND_DELETE, action), 1, true, &res);

	if (status == NR_OK)
		status = res.status;
	if (status == NR_OK)
		now.pending = result_of(APPEND_PUT, action);
	else
		not_written(status, held);
}

static void
publish(bool held)
{
	uint64_t	n;
	NrStatus	status = nr_publish_try(&b.h[WRITER], &n);

	if (status == NR_OK)
		now.visible = now.pending;
	else
		not_written(status, held);
}

static void
request(Action action, bool held)
{
	NrResult	res = {.status = NR_OK};
	NrStatus	status = nr_execute_mut(&b.h[WRITER], op, make_op(REQUEST_PUT, REQUEST_DELETE, action), 1, true, &res);

	if (status == NR_OK)
		status = res.status;
	if (status == NR_OK)
		now.visible = now.pending = result_of(REQUEST_PUT, action);
	else
		not_written(status, held);
}

static void
act(Action action)
{
	bool		held = check_readers();

	steps++;
	only_older += held;
	switch (action)
	{
		case READER_0:
		case READER_1:
			toggle(action - READER_0);
			break;
		case COMMIT_PUT:
		case COMMIT_DELETE:
		case COMMIT_TRUNCATE:
		case COMMIT_DROP:
			commit(action, held);
			break;
		case APPEND_PUT:
		case APPEND_DELETE:
		case APPEND_TRUNCATE:
			append(action, held);
			break;
		case PUBLISH:
			publish(held);
			break;
		case REQUEST_PUT:
		case REQUEST_DELETE:
		case REQUEST_TRUNCATE:
			request(action, held);
			break;
		default:
			for (uint32_t r = 0; r < b.e->geo.replicas; r++)
				(void) nr_group_sync_replica(&b.h[WRITER], r, true);
	}
	check_readers();
	for (uint32_t i = WRITER; i < SEATS; i++)
		look(i);
}

/* ---- after a sequence ---- */

/* All leave: nothing is lost, and a table that is emptied gives back all of it. */
static void
finish(void)
{
	uint32_t	replica;
	const char *why;
	NrPrepared	p;

	sequences++;
	for (uint32_t i = 0; i < READERS; i++)
		if (now.reader[i].inside)
			toggle(i);
	if (nr_pending_count(&b.h[WRITER]) > 0)
		publish(false);
	look(0);
	if (nr_group_check(&b.h[WRITER], true, &replica, &why) != NR_OK)
		fail(why != NULL ? why : "the check could not be made");
	if (nr_pending_count(&b.h[WRITER]) > 0)
		return;					/* there is no space to publish it */
	if (!seats_settled(&b))
		fail("the account is not what the copies have");
	if (nr_prepare(&b.h[WRITER], op, ds_hash_op_truncate(op), 1, NR_PREPARE_TRY, true, &p) != NR_OK)
	{
		fail("nobody is inside, and a truncate cannot be prepared");
		return;
	}
	nr_prepared_append(&b.h[WRITER], &p);
	for (int i = 0; i < 2; i++)
	{
		for (uint32_t r = 0; r < b.e->geo.replicas; r++)
			nr_group_sync_replica(&b.h[WRITER], r, true);
		if (i == 0)
			(void) nr_append_empty(&b.s[WRITER], &ds_hash_dispatch, G, false);
	}
	for (uint32_t r = 0; r < b.e->geo.replicas; r++)
	{
		NrCopy		copy;

		nr_copy_view(b.e, G, r, 0, &copy);
		if (copy.shared->deferred != 0 || copy.shared->mapped_count != copy.shared->free_count + 1)
			fail("shared memory is in use by nobody");
	}
	if (!seats_settled(&b))
		fail("the account is not what the emptied copies have");
}

static void
run(const Action *actions, uint32_t n, uint32_t left)
{
	uint32_t	at = depth_now;

	if (broken)
		return;
	if (left == 0)
	{
		finish();
		return;
	}
	save(at);
	for (uint32_t i = 0; i < n && !broken; i++)
	{
		restore(at);
		path[at] = actions[i];
		depth_now = at + 1;
		act(actions[i]);
		run(actions, n, left - 1);
		depth_now = at;
	}
}

static void
test_all(const char *name, uint32_t replicas, uint32_t extents_max, uint32_t shared_max, size_t bytes, uint32_t depth,
		 Action begin, const Action *actions, uint32_t n)
{
	open_model(replicas, extents_max, shared_max, bytes);
	depth_now = 0;
	requests = false;
	for (uint32_t i = 0; i < n; i++)
		requests |= actions[i] >= REQUEST_PUT && actions[i] <= REQUEST_TRUNCATE;
	for (; begin != READER_0 && depth_now < 2 && !broken; depth_now++)
	{
		path[depth_now] = depth_now == 0 ? begin : begin == APPEND_PUT ? PUBLISH : SYNC;
		act(path[depth_now]);
	}
	run(actions, n, depth);
	tap_ok(broken == NULL && only_older > 0 && busy > 0 && applied_writes > 0,
		   "%s, %u replicas, values of %zu, %u extents shared: %llu sequences of %u out of %u: %s", name, replicas, bytes,
		   shared_max, (unsigned long long) sequences, depth, n, broken ? broken : "all see what they should");
	tap_note("%llu steps, %llu writes; %llu times a reader alone held what had been dropped, and was in the way %llu times; "
			 "no space %llu times", (unsigned long long) steps, (unsigned long long) applied_writes,
			 (unsigned long long) only_older, (unsigned long long) busy, (unsigned long long) no_space);
	close_model();
}

/* All begin with a value that is there, but with READER_0 there is none. */
#define TEST(name, replicas, extents, shared, bytes, depth, begin, ...) \
	do { static const Action a_[] = {__VA_ARGS__}; \
		test_all(name, replicas, extents, shared, bytes, depth, begin, a_, sizeof(a_) / sizeof(a_[0])); } while (0)

int
main(void)
{
	const char *more = getenv("NR_TEST_LONG");
	uint32_t	d = more && atoi(more) > 0 ? (uint32_t) atoi(more) : 0;

	th_watchdog(d > 0 ? 3600 : 280);
	for (size_t bytes = 1200; bytes <= 3800; bytes += 2600)
	{
		TEST("commits", 1, 8, 8, bytes, 6 + d, COMMIT_PUT, READER_0, READER_1, COMMIT_PUT, COMMIT_DELETE, COMMIT_TRUNCATE);
		TEST("commits, rollbacks", 1, 8, 8, bytes, 6 + d, COMMIT_PUT, READER_0, COMMIT_PUT, COMMIT_DELETE, COMMIT_DROP, SYNC);
		TEST("append, publish", 1, 8, 8, bytes, 6 + d, APPEND_PUT, READER_0, READER_1, APPEND_PUT, APPEND_TRUNCATE, PUBLISH);
		TEST("append, publish, one reader", 1, 8, 8, bytes, 7 + d, APPEND_PUT, READER_0, APPEND_PUT, APPEND_DELETE, PUBLISH);
		TEST("requests", 1, 8, 8, bytes, 6 + d, REQUEST_PUT, READER_0, READER_1, REQUEST_PUT, REQUEST_DELETE, REQUEST_TRUNCATE);
		TEST("all of it", 1, 8, 8, bytes, 4 + d, READER_0, READER_0, READER_1, COMMIT_PUT, COMMIT_DELETE, APPEND_PUT, APPEND_DELETE, PUBLISH,
			 REQUEST_PUT, REQUEST_DELETE, REQUEST_TRUNCATE, SYNC);
		TEST("commits", 2, 8, 8, bytes, 5 + d, COMMIT_PUT, READER_0, READER_1, COMMIT_PUT, COMMIT_DELETE, COMMIT_TRUNCATE);
		TEST("append, publish", 2, 8, 8, bytes, 5 + d, APPEND_PUT, READER_0, READER_1, APPEND_PUT, APPEND_TRUNCATE, PUBLISH);
		TEST("requests", 2, 8, 8, bytes, 5 + d, REQUEST_PUT, READER_0, READER_1, REQUEST_PUT, REQUEST_DELETE, SYNC);
	}
	TEST("commits, little memory", 1, 4, 3, 3800, 6 + d, COMMIT_PUT, READER_0, READER_1, COMMIT_PUT, COMMIT_DELETE, SYNC);
	TEST("requests, little memory", 1, 2, 2, 3800, 6 + d, REQUEST_PUT, READER_0, READER_1, REQUEST_PUT, REQUEST_DELETE, SYNC);
	return tap_done();
}
