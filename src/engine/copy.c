/*
 * copy.c
 *		A copy as a process sees it, and its extents; contract in copy.h.
 */
#include "engine/copy.h"
#include "engine/pool.h"

void
nr_copy_view(NrEngine *e, uint32_t g, uint32_t r, uint32_t c, NrCopy *copy)
{
	struct NrGroup *group = nr_group(e, g);
	char	   *root = nr_copy_physical(e, group, r, group->root_extent[c]);

	copy->region = e->extents[r];
	copy->extent_shift = e->geo.extent_shift;
	copy->ref_shift = e->geo.extent_shift - NR_REF_UNIT_SHIFT;
	copy->table = (NrExtentTable *) root;
	copy->map = copy->table->words;
	copy->root = root + nr_extent_table_bytes(group->copy_config.extents_max);
	copy->pass = NR_PASS_FIRST;
	copy->seq = 0;
	copy->shared = NULL;
	copy->shared_map = copy->map;
	copy->shared_root = NULL;
	if (nr_group_shares(group))
	{
		copy->shared = (NrExtentTable *) nr_copy_physical(e, group, r, group->shared_root);
		copy->shared_map = copy->shared->words;
		copy->shared_root = (char *) copy->shared + nr_extent_table_bytes(group->copy_config.shared_max);
	}
}

uint32_t
nr_shared_deferred(NrEngine *e, uint32_t g, uint32_t r)
{
	const struct NrGroup *group = nr_group(e, g);

	return nr_group_shares(group) ?
		((const NrExtentTable *) nr_copy_physical(e, group, r, group->shared_root))->deferred : 0;
}

void
nr_copy_grant(NrCopy *copy, uint32_t number)
{
	NrExtentTable *t = copy->table;
	uint32_t	e = t->unused_head;

	/* config.extents_max bounds both what is granted and the table */
	t->unused_head = t->words[t->capacity + e];
	t->words[e] = number;
	t->words[t->capacity + e] = t->free_head;
	t->free_head = e;
	t->free_count++;
	t->mapped_count++;
}

bool
nr_copy_release(NrEngine *engine, NrCopy *copy)
{
	NrExtentTable *t = copy->table;
	uint32_t	e = nr_extent_take(copy);

	if (e == NR_NO_EXTENT)
		return false;
	nr_pool_unref(engine, nr_map_extent(engine, t->words[e]));
	t->words[e] = 0;
	t->words[t->capacity + e] = t->unused_head;
	t->unused_head = e;
	t->mapped_count--;
	return true;
}
