/*
 * nr_init.c
 *		_PG_init: settings, hooks, callbacks.
 *
 * Without shared_preload_libraries the library still loads, so that the FDW's
 * validator and the messages that explain what is missing work; it then
 * installs no hook at all.
 */
#include "nr_internal.h"

#include "nr_testpoint.h"
#include "utils/guc.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	bool		preloaded = process_shared_preload_libraries_in_progress;

#ifdef NR_TEST_POINTS
	if (preloaded)
		nr_test_point_init();	/* before nr_guc_init reserves the prefix */
#endif
	nr_guc_init(preloaded);
	if (!preloaded)
		return;

	nr_shmem_install();
	nr_worker_install();
	nr_lifetime_init();
	nr_ddl_init();
	nr_parallel_init();
}
