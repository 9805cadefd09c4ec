/*
 * stress_take.c
 *		Groups that are taken, again and again, with readers and writers on them.
 *
 * Usage: stress_take [seconds [seed]].  Prints TAP.
 *
 * A lock keeps writers and takers apart, as the lock of a relation does; readers have
 * none.  Who takes retires the group, reads all of it, and by chance lets readers in again, or
 * clears it; who writes lets them in first.  Every entry is put once, so
 * in the end each must have been taken once; no reader may ever see a value that is
 * not its key's; and a cleared group must be as small as a new one.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "ds/hash.h"
#include "tap.h"
#include "thread_host.h"
#include "toy_calls.h"

#define READERS		3
#define WRITERS		3
#define TAKERS		2
#define THREADS		(READERS + WRITERS + TAKERS)
#define RECENT		2000		/* keys that readers look for, of each writer */
#define VALUE_MAX	200
#define UNTAKEN_MAX	1500		/* what pends must find room to be published */
#define SCAN_BYTES	(1 << 20)

/* How writers write. */
typedef enum Way
{
	WAY_REQUESTS,
	WAY_PREPARED,
	WAY_APPENDED,
	WAYS
} Way;

typedef struct Stage
{
	Th		   *th;
	uint64_t	seed;
	Way			way;
	bool		single;			/* one writer at a time */
	pthread_rwlock_t relation;
	pthread_mutex_t writer;
	_Atomic uint32_t stop;
	_Atomic uint64_t put;
	_Atomic uint64_t taken;
	_Atomic uint64_t put_sum;
	_Atomic uint64_t taken_sum;
	_Atomic uint64_t takes;
	_Atomic uint64_t restores;
	_Atomic uint64_t found;
	_Atomic uint64_t sent_away;
	_Atomic uint64_t wrong;
} Stage;

typedef struct Player
{
	Stage	   *stage;
	uint32_t	i;
	uint64_t	random;
	uint64_t	next;			/* writer: its next key */
	char	   *buffer;			/* of scans */
	NrSession	session;
	NrHandle	handle;
} Player;

/* Length and bytes of a value follow from its key. */
static uint32_t
value_bytes(uint64_t key)
{
	return (uint32_t) (key * 2654435761u >> 7) % VALUE_MAX;
}

static bool
value_is_right(uint64_t key, const char *value, uint32_t bytes)
{
	if (bytes != value_bytes(key))
		return false;
	for (uint32_t i = 0; i < bytes; i++)
		if ((unsigned char) value[i] != (key + i) % 251)
			return false;
	return true;
}

static void
wrong_if(Player *p, bool wrong)
{
	if (wrong)
		atomic_fetch_add(&p->stage->wrong, 1);
}

/* ---- writers ---- */

static NrStatus
write_ops(Player *p, void *ops, size_t bytes, uint32_t n)
{
	NrResult	result = {.status = NR_OK};
	NrPrepared	prepared;
	NrStatus	st;

	switch (p->stage->way)
	{
		case WAY_REQUESTS:
			st = nr_execute_mut(&p->handle, ops, bytes, n, false, &result);
			return st != NR_OK ? st : result.status;
		case WAY_PREPARED:
			st = nr_prepare(&p->handle, ops, bytes, n, 0, false, &prepared);
			if (st == NR_OK)
				nr_prepared_append(&p->handle, &prepared);
			return st;
		default:
			st = nr_append(&p->handle, ops, bytes, n, false, &result);
			return st != NR_OK ? st : result.status;
	}
}

static void
put_one(Player *p)
{
	Stage	   *stage = p->stage;
	_Alignas(8) char op[VALUE_MAX + 128];
	char		value[VALUE_MAX];
	uint64_t	key = p->next;
	uint32_t	bytes = value_bytes(key);
	NrStatus	st;

	for (uint32_t i = 0; i < bytes; i++)
		value[i] = (char) ((key + i) % 251);
	st = write_ops(p, op, ds_hash_op_put(op, ds_hash_key(stage->seed, &key, 8), &key, 8, value, bytes, 0), 1);
	if (st == NR_TOO_LARGE || st == NR_NO_SPACE)
		return;					/* until what pends is published, or a reader has left */
	wrong_if(p, st != NR_OK);
	p->next++;
	atomic_fetch_add(&stage->put, 1);
	atomic_fetch_add(&stage->put_sum, key);
}

/* A transaction that writes. */
static void
write_some(Player *p)
{
	Stage	   *stage = p->stage;
	uint64_t	n;

	pthread_rwlock_rdlock(&stage->relation);
	nr_group_restore(&p->handle);
	if (stage->single)
		pthread_mutex_lock(&stage->writer);
	for (uint32_t k = (uint32_t) (th_random(&p->random) % 20); k > 0; k--)
		if (atomic_load(&stage->put) < atomic_load(&stage->taken) + UNTAKEN_MAX)
			put_one(p);
	if (stage->way == WAY_APPENDED && th_random(&p->random) % 4 == 0)
		(void) nr_publish(&p->handle, false, &n);
	if (stage->single)
		pthread_mutex_unlock(&stage->writer);
	pthread_rwlock_unlock(&stage->relation);
}

/* ---- readers ---- */

static void
read_some(Player *p)
{
	Stage	   *stage = p->stage;
	char		value[VALUE_MAX];

	for (uint32_t k = 0; k < 50; k++)
	{
		uint64_t	x = th_random(&p->random);
		uint64_t	key = (uint64_t) (READERS + x % WRITERS) << 32 | (x >> 8) % RECENT;
		DsHashGet	get = {
			.code = DS_HASH_GET,.key = &key,.key_bytes = 8,.hash = ds_hash_key(stage->seed, &key, 8),
			.out = value,.capacity = sizeof(value)
		};
		NrStatus	st = nr_execute(&p->handle, &get, NULL, false);

		if (st == NR_GONE)
			atomic_fetch_add(&stage->sent_away, 1);
		else if (st != NR_OK)
			wrong_if(p, true);
		else if (get.found)
		{
			atomic_fetch_add(&stage->found, 1);
			wrong_if(p, !value_is_right(key, value, get.value_bytes));
		}
	}
}

/* ---- takers ---- */

/* All that is in the retired group: how many entries, and the sum of their keys. */
static uint64_t
read_all(Player *p, uint64_t *sum)
{
	DsHashScan	scan = {.code = DS_HASH_SCAN,.out = p->buffer,.capacity = SCAN_BYTES};
	const char *at = p->buffer;

	*sum = 0;
	if (nr_execute_retired(&p->handle, &scan, NULL) != NR_OK || scan.needed_bytes > SCAN_BYTES)
	{
		wrong_if(p, true);
		return 0;
	}
	for (uint64_t i = 0; i < scan.n; i++)
	{
		const DsHashScanEntry *entry = (const DsHashScanEntry *) at;
		uint64_t	key;

		memcpy(&key, entry + 1, sizeof(key));
		wrong_if(p, entry->key_bytes != 8 || !value_is_right(key, (const char *) (entry + 1) + 8, entry->value_bytes));
		*sum += key;
		at += NR_OP_ALIGN(sizeof(*entry) + entry->key_bytes + entry->value_bytes);
	}
	return scan.n;
}

/* A transaction that takes: "commit", or not. */
static void
take(Player *p, bool commit)
{
	Stage	   *stage = p->stage;
	NrStatus	st = NR_OK;
	uint64_t	n;
	uint64_t	sum;

	pthread_rwlock_wrlock(&stage->relation);
	if (stage->way == WAY_APPENDED)
		st = nr_flush(&p->handle, false);
	wrong_if(p, st != NR_OK && st != NR_NO_SPACE);
	if (st == NR_OK && !nr_group_retired(&p->handle))
	{
		wrong_if(p, nr_group_retire(&p->handle, false) != NR_OK);
		n = read_all(p, &sum);
		if (commit)
		{
			wrong_if(p, nr_group_own(&p->handle, false) != NR_OK);
			nr_group_clear(&p->handle);
			nr_group_disown(&p->handle);
			atomic_fetch_add(&stage->taken, n);
			atomic_fetch_add(&stage->taken_sum, sum);
			atomic_fetch_add(&stage->takes, 1);
		}
		else
		{
			nr_group_restore(&p->handle);
			atomic_fetch_add(&stage->restores, 1);
		}
	}
	pthread_rwlock_unlock(&stage->relation);
}

static void *
play(void *arg)
{
	Player	   *p = arg;

	while (!atomic_load(&p->stage->stop))
	{
		if (p->i < READERS)
			read_some(p);
		else if (p->i < READERS + WRITERS)
			write_some(p);
		else
		{
			take(p, th_random(&p->random) % 3 != 0);
			th_sleep_us((long) (th_random(&p->random) % 3000));
		}
	}
	return NULL;
}

/* ---- a stage ---- */

static void
set_up(Stage *stage, uint32_t replicas, uint32_t copies, bool shared)
{
	NrGeometry	geo = th_geometry(replicas);
	DsHashArg	arg = {.seed = stage->seed,.line_bytes = 64};
	NrGroupConfig config = toy_config(120, 8192, 8192);
	pthread_rwlockattr_t attr;

	geo.extents = 400;
	config.copies = copies;
	config.lazy = copies == 1 && stage->way != WAY_REQUESTS;
	config.shared_max = shared ? 120 : 0;
	config.arg_bytes = sizeof(arg);
	memcpy(config.arg, &arg, sizeof(arg));
	stage->single = stage->way == WAY_APPENDED || (stage->way == WAY_PREPARED && copies == 2);
	stage->th = th_new(&geo, 3, 20);
	th_create(stage->th, 0, &config, &ds_hash_dispatch);
	pthread_mutex_init(&stage->writer, NULL);
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&stage->relation, &attr);
}

static void
run(uint32_t replicas, uint32_t copies, bool shared, Way way, double seconds, uint64_t seed)
{
	Stage		stage = {.seed = seed,.way = way};
	Player		player[THREADS];
	pthread_t	thread[THREADS];
	NrEngine   *e;
	uint32_t	fresh;
	uint32_t	left;

	set_up(&stage, replicas, copies, shared);
	e = th_engine(stage.th, 0);
	fresh = toy_pool_free(e);
	for (uint32_t i = 0; i < THREADS; i++)
	{
		player[i] = (Player) {.stage = &stage,.i = i,.random = seed + i * 977 + 1,.next = (uint64_t) i << 32};
		player[i].buffer = i < READERS + WRITERS ? NULL : malloc(SCAN_BYTES);
		th_register(stage.th, i, i % replicas, &player[i].session);
		th_attach(&player[i].session, 0, &ds_hash_dispatch, &player[i].handle);
	}
	for (uint32_t i = 0; i < THREADS; i++)
		thread[i] = th_start(play, &player[i]);
	th_sleep_us((long) (seconds * 1e6));
	for (int i = 0; i < 150 && (stage.takes < 3 || stage.restores == 0 || stage.sent_away == 0 || stage.found == 0); i++)
		th_sleep_us(100000);
	atomic_store(&stage.stop, 1);
	for (uint32_t i = 0; i < THREADS; i++)
		th_join(thread[i]);

	nr_group_restore(&player[0].handle);
	take(&player[THREADS - 1], true);
	printf("# %u replicas of %u%s, way %d: %llu taken by %llu takes, %llu found, %llu sent away\n", replicas, copies,
		   shared ? ", shared" : "", (int) way, (unsigned long long) stage.taken, (unsigned long long) stage.takes,
		   (unsigned long long) stage.found, (unsigned long long) stage.sent_away);
	tap_ok(stage.wrong == 0, "no call went wrong, no value is torn (%llu)", (unsigned long long) stage.wrong);
	tap_ok(stage.put > 0 && stage.put == stage.taken && stage.put_sum == stage.taken_sum, "all that was put was taken, once");
	tap_ok(stage.takes >= 3 && stage.restores > 0 && stage.sent_away > 0 && stage.found > 0, "and much has happened");
	tap_ok(toy_check(&player[0].handle), "the copies are equal");
	left = fresh - toy_pool_free(e);
	tap_ok(left <= (way == WAY_REQUESTS ? 0 : 1), "a cleared group is as small as a new one, but for what prepared writes share (%u)", left);
	for (uint32_t i = 0; i < THREADS; i++)
	{
		nr_group_detach(&player[i].handle);
		nr_session_unregister(&player[i].session);
		free(player[i].buffer);
	}
	nr_group_destroy(e, 0, NULL);
	tap_ok(toy_pool_free(e) == stage.th->geo.extents, "every extent came back");
	th_free(stage.th);
}

int
main(int argc, char **argv)
{
	double		seconds = argc > 1 ? atof(argv[1]) : 9;
	uint64_t	seed = argc > 2 ? strtoull(argv[2], NULL, 0) : th_now_ns();

	printf("# %g seconds, seed %llu\n", seconds, (unsigned long long) seed);
	th_watchdog(240 + (unsigned) seconds);
	for (uint32_t replicas = 1; replicas <= 2; replicas++)
		for (Way way = 0; way < WAYS; way++)
		{
			run(replicas, 1, false, way, seconds / 18, seed);
			run(replicas, 2, false, way, seconds / 18, seed);
			run(replicas, 2, true, way, seconds / 18, seed);
		}
	return tap_done();
}
