/*
 * test_engine.c
 *		The engine's ground: geometry, formatting and attaching, sessions.
 */
#include <stdlib.h>

#include "tap.h"
#include "thread_host.h"
#include "toy_calls.h"

/* ---- geometry ---- */

static bool
refused(NrGeometry geo)
{
	return nr_engine_control_bytes(&geo) == 0 && nr_engine_region_bytes(&geo) == 0;
}

#define WITH(field, x) ({ NrGeometry g_ = th_geometry(1); g_.field = (x); g_; })

static void
test_geometry_limits(void)
{
	NrGeometry	small = {1, 1, 1, 4, NR_EXTENT_SHIFT_MIN, 256};

	tap_ok(!refused(th_geometry(1)), "an ordinary geometry has a size");
	tap_ok(!refused(small), "the smallest geometry has a size");
	tap_ok(!refused(WITH(replicas, NR_REPLICAS_MAX)), "%u replicas", NR_REPLICAS_MAX);
	tap_ok(!refused(WITH(sessions, NR_SESSIONS_MAX)), "%u sessions", NR_SESSIONS_MAX);
	tap_ok(!refused(WITH(groups, NR_GROUPS_MAX)), "%u groups", NR_GROUPS_MAX);
	tap_ok(!refused(WITH(extents, 1u << 20)), "2^20 extents");
	tap_ok(!refused(WITH(extent_shift, NR_EXTENT_SHIFT_MAX)), "extents of 16 MB");
	tap_ok(!refused(WITH(session_buffer_bytes, 2048)), "a session buffer of half an extent");

	tap_ok(refused(WITH(replicas, 0)), "no replica is refused");
	tap_ok(refused(WITH(replicas, NR_REPLICAS_MAX + 1)), "too many replicas are refused");
	tap_ok(refused(WITH(sessions, 0)), "no session is refused");
	tap_ok(refused(WITH(sessions, NR_SESSIONS_MAX + 1)), "too many sessions are refused");
	tap_ok(refused(WITH(groups, 0)), "no group is refused");
	tap_ok(refused(WITH(groups, NR_GROUPS_MAX + 1)), "too many groups are refused");
	tap_ok(refused(WITH(extents, 3)), "three extents are refused");
	tap_ok(refused(WITH(extents, (1u << 20) + 1)), "too many extents are refused");
	tap_ok(refused(WITH(extent_shift, NR_EXTENT_SHIFT_MIN - 1)), "small extents are refused");
	tap_ok(refused(WITH(extent_shift, NR_EXTENT_SHIFT_MAX + 1)), "large extents are refused");
	tap_ok(refused(WITH(session_buffer_bytes, 192)), "a small session buffer is refused");
	tap_ok(refused(WITH(session_buffer_bytes, 300)), "an odd session buffer is refused");
	tap_ok(refused(WITH(session_buffer_bytes, 2048 + 64)), "a large session buffer is refused");
}

static void
test_init_refuses(void)
{
	NrGeometry	geo = WITH(replicas, 0);
	NrHost		host = {0};
	NrEngine	engine;
	void	   *regions[1] = {NULL};

	tap_ok(nr_engine_init(&engine, &geo, &host, NULL, regions) == NR_BAD_CONFIG,
		   "init refuses what has no size");
	tap_ok(nr_engine_attach(&engine, &geo, &host, NULL, regions) == NR_BAD_CONFIG,
		   "attach refuses what has no size");
}

static NrStatus
attach(Th *th, NrGeometry geo)
{
	NrEngine	engine;
	void	   *regions[NR_REPLICAS_MAX];

	for (uint32_t r = 0; r < NR_REPLICAS_MAX; r++)
		regions[r] = th->engine[0].region[r < th->geo.replicas ? r : 0];
	return nr_engine_attach(&engine, &geo, &th->host, th->engine[0].control, regions);
}

#define OTHER(field, x) ({ NrGeometry g_ = th->geo; g_.field = (x); g_; })

static void
test_attach_mismatch(void)
{
	NrGeometry	geo = th_geometry(2);
	Th		   *th = th_new(&geo, 1, 0);
	size_t		bytes = nr_engine_control_bytes(&geo);
	size_t		region_bytes = nr_engine_region_bytes(&geo);
	char	   *blank = aligned_alloc(4096, (bytes + 4095) & ~(size_t) 4095);
	char	   *region = aligned_alloc(4096, (region_bytes + 4095) & ~(size_t) 4095);
	void	   *regions[2] = {region, region};
	NrEngine	engine;

	tap_ok(attach(th, geo) == NR_OK, "attach with the same geometry");
	tap_ok(attach(th, OTHER(replicas, 1)) == NR_BAD_CONFIG, "attach: other number of replicas");
	tap_ok(attach(th, OTHER(sessions, 8)) == NR_BAD_CONFIG, "attach: other number of sessions");
	tap_ok(attach(th, OTHER(groups, 4)) == NR_BAD_CONFIG, "attach: other number of groups");
	tap_ok(attach(th, OTHER(extents, 128)) == NR_BAD_CONFIG, "attach: other number of extents");
	tap_ok(attach(th, OTHER(extent_shift, 13)) == NR_BAD_CONFIG, "attach: other extents");
	tap_ok(attach(th, OTHER(session_buffer_bytes, 256)) == NR_BAD_CONFIG, "attach: other buffers");

	memset(blank, 0, bytes);
	memset(region, 0, region_bytes);
	tap_ok(nr_engine_attach(&engine, &geo, &th->host, blank, regions) == NR_BAD_CONFIG,
		   "attach: memory never formatted");
	memset(blank, 0xA5, bytes);
	tap_ok(nr_engine_attach(&engine, &geo, &th->host, blank, regions) == NR_BAD_CONFIG,
		   "attach: memory full of rubbish");
	free(blank);
	free(region);
	th_free(th);
}

/* ---- sessions ---- */

static void
test_sessions(void)
{
	NrGeometry	geo = th_geometry(2);
	Th		   *th = th_new(&geo, 2, 0);
	NrSession	s[17];
	NrSessionInfo before,
				info;
	bool		dense = true;

	for (uint32_t i = 0; i < geo.sessions; i++)
	{
		dense &= nr_session_register(th_engine(th, i), i % 2, 1000 + i, 77 + i, &s[i]) == NR_OK;
		dense &= s[i].idx == i && s[i].replica == i % 2;
	}
	tap_ok(dense, "sessions are numbered densely from 0");
	tap_ok(nr_session_register(th_engine(th, 0), 0, 1, 1, &s[16]) == NR_NO_SESSION,
		   "one session more than there are slots is refused");
	nr_session_info(th_engine(th, 1), 5, &info);
	tap_ok(info.used && info.replica == 1 && info.owner_pid == 1005 && info.owner_data == 82 &&
		   info.waiting_for == NR_WAIT_NONE, "a session's owner is shown");

	nr_session_info(th_engine(th, 0), 5, &before);
	nr_session_unregister(&s[5]);
	nr_session_info(th_engine(th, 0), 5, &info);
	tap_ok(!info.used, "a session given back is free");
	nr_session_unregister(&s[11]);
	tap_ok(nr_session_register(th_engine(th, 0), 0, 1, 1, &s[5]) == NR_OK && s[5].idx == 5,
		   "the lowest free slot is used again");
	nr_session_info(th_engine(th, 0), 5, &info);
	tap_ok(info.generation > before.generation, "with a new generation");
	tap_ok(info.replica == 0 && info.owner_pid == 1 && info.waits == 0, "and a new owner");
	tap_ok(nr_session_register(th_engine(th, 1), 1, 1, 1, &s[11]) == NR_OK && s[11].idx == 11,
		   "so is the other");
	tap_ok(nr_session_register(th_engine(th, 0), 0, 1, 1, &s[16]) == NR_NO_SESSION,
		   "then all are taken again");
	for (uint32_t i = 0; i < geo.sessions; i++)
		nr_session_unregister(&s[i]);
	th_free(th);
}

/* Tokens come back: far more sessions than slots, one after the other, each doing something. */
static void
test_session_turnover(void)
{
	NrGeometry	geo = th_geometry(2);
	Th		   *th = th_new(&geo, 2, 0);
	NrGroupConfig config = toy_config(4, 4096, 1024);
	uint64_t	value = 0;
	uint32_t	bad = 0;

	th_create(th, 0, &config, &toy_counter_dispatch);
	for (uint32_t i = 0; i < 20000; i++)
	{
		NrSession	s;
		NrHandle	h;

		th_register(th, i, i % 2, &s);
		th_attach(&s, 0, &toy_counter_dispatch, &h);
		if (s.idx != 0 || toy_call_add(&h, 0, 1, &value, NULL) != NR_OK || value != i + 1)
			bad++;
		nr_group_detach(&h);
		nr_session_unregister(&s);
	}
	tap_ok(bad == 0, "20000 sessions in turn: one slot, each write counted once");
	th_free(th);
}

typedef struct Racer
{
	Th		   *th;
	uint32_t	i;
	_Atomic uint32_t *owner;	/* by session */
	uint32_t	clashes;
	uint32_t	refused;
} Racer;

static void *
race(void *arg)
{
	Racer	   *r = arg;

	for (int i = 0; i < 3000; i++)
	{
		NrSession	s;

		if (nr_session_register(th_engine(r->th, r->i), r->i % 2, r->i, 0, &s) != NR_OK)
		{
			r->refused++;
			continue;
		}
		if (atomic_exchange(&r->owner[s.idx], r->i + 1) != 0)
			r->clashes++;
		if (atomic_exchange(&r->owner[s.idx], 0) != r->i + 1)
			r->clashes++;
		nr_session_unregister(&s);
	}
	return NULL;
}

static void
test_session_race(void)
{
	NrGeometry	geo = th_geometry(2);
	Th		   *th;
	Racer		racer[6];
	pthread_t	thread[6];
	_Atomic uint32_t owner[16] = {0};
	uint32_t	clashes = 0,
				refused_n = 0;

	geo.sessions = 6;
	th = th_new(&geo, 4, 0);
	for (uint32_t i = 0; i < 6; i++)
	{
		racer[i] = (Racer) {th, i, owner, 0, 0};
		thread[i] = th_start(race, &racer[i]);
	}
	for (uint32_t i = 0; i < 6; i++)
	{
		th_join(thread[i]);
		clashes += racer[i].clashes;
		refused_n += racer[i].refused;
	}
	tap_ok(clashes == 0, "six threads coming and going: no slot has two owners");
	tap_ok(refused_n == 0, "and nobody is refused while there are enough slots");
	th_free(th);
}

int
main(void)
{
	th_watchdog(120);
	test_geometry_limits();
	test_init_refuses();
	test_attach_mismatch();
	test_sessions();
	test_session_turnover();
	test_session_race();
	return tap_done();
}
