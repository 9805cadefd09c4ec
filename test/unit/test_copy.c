/*
 * test_copy.c
 *		A copy as a process sees it: where its parts are, extents that it is granted and lets go of.
 */
#include "engine/copy.h"
#include "engine/pool.h"
#include "seats.h"
#include "tap.h"

#define EXTENTS	3

static Seats b;

static void
open_seats(uint32_t copies)
{
	NrGroupConfig config = toy_config(EXTENTS + 1, 4096, 4096);

	config.copies = copies;
	seats_open(&b, th_geometry(2), 2, &config, &toy_stack_dispatch);
}

static void
test_view(void)
{
	NrCopy		copy[2][2];
	bool		apart = true;

	open_seats(2);
	for (uint32_t r = 0; r < 2; r++)
		for (uint32_t c = 0; c < 2; c++)
		{
			NrCopy	   *v = &copy[r][c];

			nr_copy_view(b.e, 0, r, c, v);
			apart &= v->region == b.e->extents[r] && v->map == v->table->words && v->shared == NULL &&
				(char *) v->table == nr_physical(b.e, r, b.h[0].group->root_extent[c]) &&
				v->root == (char *) v->table + nr_extent_table_bytes(v->table->capacity);
		}
	tap_ok(apart, "a view is of its replica's region, table and root of its copy");
	tap_ok(copy[0][0].table != copy[0][1].table && copy[0][0].table != copy[1][0].table, "each copy has its own");
	tap_ok(copy[0][0].pass == NR_PASS_FIRST && nr_shared_deferred(b.e, 0, 0) == 0, "which share nothing");
	tap_ok(seats_close(&b), "all extents are back");
}

static void
test_extents(void)
{
	NrCopy		copy;
	uint32_t	number[EXTENTS];
	uint32_t	free_before;
	uint32_t	mapped;
	bool		ok = true;

	open_seats(1);
	nr_copy_view(b.e, 0, 0, 0, &copy);
	free_before = toy_pool_free(b.e);
	mapped = copy.table->mapped_count;
	tap_ok(copy.table->free_count == 0 && !nr_copy_release(b.e, &copy) && toy_pool_free(b.e) == free_before,
		   "a copy without free extents lets go of none");
	for (uint32_t i = 0; i < EXTENTS; i++)
	{
		number[i] = nr_pool_alloc(b.e, 0, 1);
		nr_copy_grant(&copy, number[i]);
		ok &= copy.map[copy.table->free_head] == number[i] && copy.table->free_count == i + 1;
	}
	tap_ok(ok && copy.table->mapped_count == mapped + EXTENTS, "what is granted is free in the copy, the last one first");
	for (uint32_t i = EXTENTS; i-- > 0;)
		ok &= nr_copy_release(b.e, &copy) && toy_pool_free(b.e) == free_before - i;
	tap_ok(ok && copy.table->mapped_count == mapped && copy.table->free_count == 0, "what is let go of is in the pool again");
	tap_ok(!nr_copy_release(b.e, &copy), "and then there is none");
	tap_ok(seats_close(&b), "all extents are back");
}

int
main(void)
{
	th_watchdog(60);
	test_view();
	test_extents();
	return tap_done();
}
