/*
 * engine.c
 *		Geometry, formatting and attaching of the engine's memory; contracts in engine.h.
 */
#include "engine/pool.h"

#ifdef NR_TEST_POINTS
void		(*nr_test_point_hook) (const char *name);
NrAtomic32	nr_test_announces;
void		(*nr_far_hook) (const NrEngine *engine, NrFar what, const void *start, size_t bytes, bool write);
#endif

static bool
geometry_valid(const NrGeometry *geo)
{
	return geo->replicas >= 1 && geo->replicas <= NR_REPLICAS_MAX &&
		geo->sessions >= 1 && geo->sessions <= NR_SESSIONS_MAX &&
		geo->groups >= 1 && geo->groups <= NR_GROUPS_MAX &&
		geo->extent_shift >= NR_EXTENT_SHIFT_MIN && geo->extent_shift <= NR_EXTENT_SHIFT_MAX &&
		geo->extents >= 4 && geo->extents <= (1u << 20) &&
		geo->session_buffer_bytes >= 256 &&
		geo->session_buffer_bytes % NR_CACHE_LINE == 0 &&
		geo->session_buffer_bytes <= (1u << geo->extent_shift) / 2;
}

size_t
nr_engine_control_bytes(const NrGeometry *geo)
{
	if (!geometry_valid(geo))
		return 0;
	return nr_groups_at(geo) + nr_group_bytes(geo) * geo->groups;
}

size_t
nr_engine_region_bytes(const NrGeometry *geo)
{
	if (!geometry_valid(geo))
		return 0;
	return nr_extents_at(geo) + ((size_t) geo->extents << geo->extent_shift);
}

/* Regions at equal distances, of whole extents, all within what a map's numbers can say; else 0. */
static uint32_t
regular_stride(const NrEngine *e)
{
	size_t		extent = (size_t) 1 << e->geo.extent_shift;
	uint32_t	n = e->geo.replicas;
	uintptr_t	first = (uintptr_t) e->extents[0];
	size_t		bytes;

	if (n < 2 || (uintptr_t) e->extents[1] <= first)
		return 0;
	bytes = (uintptr_t) e->extents[1] - first;
	if (bytes % extent != 0 || bytes / extent < e->geo.extents || bytes / extent > UINT32_MAX / n - 1)
		return 0;
	for (uint32_t r = 1; r < n; r++)
		if ((uintptr_t) e->extents[r] != first + r * bytes)
			return 0;
	return (uint32_t) (bytes / extent);
}

/* The process-local part, the same for init and attach. */
static NrStatus
engine_map(NrEngine *e, const NrGeometry *geo, const NrHost *host, void *control,
		   void *const *regions)
{
	if (!geometry_valid(geo))
		return NR_BAD_CONFIG;
	memset(e, 0, sizeof(*e));
	e->geo = *geo;
	e->host = host;
	e->control = control;
	e->bitmap_words = nr_bitmap_words(geo);
	e->groups = e->control + nr_groups_at(geo);
	e->group_bytes = nr_group_bytes(geo);
	e->bitmap_bytes = nr_bitmap_bytes(geo);
	e->slots_at = nr_slots_at(geo);
	e->buffers_at = nr_buffers_at(geo);
	e->replicas_at = nr_replicas_at(geo);
	e->replica_bytes = nr_replica_bytes(geo);
	for (uint32_t r = 0; r < geo->replicas; r++)
	{
		e->region[r] = regions[r];
		e->extents[r] = e->region[r] + nr_extents_at(geo);
		if ((uintptr_t) e->region[r] % NR_CACHE_LINE != 0)
			return NR_BAD_CONFIG;
	}
	e->stride = regular_stride(e);
	return (uintptr_t) control % NR_CACHE_LINE == 0 ? NR_OK : NR_BAD_CONFIG;
}

NrStatus
nr_engine_init(NrEngine *e, const NrGeometry *geo, const NrHost *host, void *control,
			   void *const *regions)
{
	NrStatus	status = engine_map(e, geo, host, control, regions);

	if (status != NR_OK)
		return status;
	memset(control, 0, nr_engine_control_bytes(geo));
	for (uint32_t r = 0; r < geo->replicas; r++)
		memset(regions[r], 0, nr_buffers_at(geo));	/* what follows is made with each group */
	nr_control(e)->geo = *geo;
	nr_control(e)->stride = e->stride;
	nr_pool_init(e);
	nr_control(e)->magic = NR_MAGIC;
	return NR_OK;
}

NrStatus
nr_engine_attach(NrEngine *e, const NrGeometry *geo, const NrHost *host, void *control,
				 void *const *regions)
{
	NrStatus	status = engine_map(e, geo, host, control, regions);

	if (status != NR_OK)
		return status;
	if (nr_control(e)->magic != NR_MAGIC ||
		memcmp(&nr_control(e)->geo, geo, sizeof(*geo)) != 0 || nr_control(e)->stride != e->stride)
		return NR_BAD_CONFIG;
	return NR_OK;
}

size_t
nr_op_bytes_max(const NrGeometry *geo)
{
	return ((size_t) 1 << geo->extent_shift) - sizeof(NrPayload);
}
