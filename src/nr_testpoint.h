/*
 * nr_testpoint.h
 *		Test points of the server build: stop, kill or delay a backend at a
 *		named place.  Compiled in with NR_TEST_POINTS=1 only.
 */
#ifndef NR_TESTPOINT_H
#define NR_TESTPOINT_H

#ifdef NR_TEST_POINTS

/* Define the setting nr_cache.test_point and hook it up; from _PG_init. */
extern void nr_test_point_init(void);

/* What nr_cache.test_leftovers shows (nr_leftovers.c). */
extern const char *nr_test_leftovers(void);

#endif

#endif							/* NR_TESTPOINT_H */
