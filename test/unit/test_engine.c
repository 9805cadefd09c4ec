/*
 * test_engine.c
 *		The engine's ground: geometry, formatting and attaching.
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

int
main(void)
{
	th_watchdog(120);
	test_geometry_limits();
	test_init_refuses();
	test_attach_mismatch();
	return tap_done();
}
