/*
 * nr_compat.h
 *		What differs between PostgreSQL 15, 16, 17 and 18, for all files of the
 *		PostgreSQL side.  Written for the newest: older ones get its names.
 *
 * A difference that concerns a single place is decided there.
 */
#ifndef NR_COMPAT_H
#define NR_COMPAT_H

#include "postgres.h"

#include "fmgr.h"

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/*
 * The library hides its symbols.  Before 16, PG_FUNCTION_INFO_V1 exports the
 * info function only.
 */
#if PG_VERSION_NUM < 160000
#undef PG_FUNCTION_INFO_V1
#define PG_FUNCTION_INFO_V1(funcname) \
extern PGDLLEXPORT Datum funcname(PG_FUNCTION_ARGS); \
extern PGDLLEXPORT const Pg_finfo_record *CppConcat(pg_finfo_, funcname) (void); \
const Pg_finfo_record * \
CppConcat(pg_finfo_, funcname) (void) \
{ \
	static const Pg_finfo_record my_finfo = {1}; \
	return &my_finfo; \
} \
extern int	no_such_variable
#endif

/* Memory of a setting's "extra"; needs utils/guc.h. */
#if PG_VERSION_NUM < 160000
#define guc_malloc(elevel, size)	malloc(size)
#endif

/* Stands before the declaration, where older ones have an attribute after it. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn		pg_attribute_noreturn()
#endif

/* This process's number in ProcGlobal->allProcs; needs storage/proc.h. */
#if PG_VERSION_NUM < 170000
#define MyProcNumber	(MyProc->pgprocno)
#endif

/* Exactly this mode, no stronger one; needs storage/lock.h. */
#if PG_VERSION_NUM >= 170000
#define nr_lock_held(tag, mode)		LockHeldByMe(tag, mode, false)
#else
#define nr_lock_held(tag, mode)		LockHeldByMe(tag, mode)
#endif

/* For the current resource owner; waits, or fails; needs storage/lock.h. */
#if PG_VERSION_NUM >= 180000
#define nr_lock_acquire(tag, mode, local) \
	LockAcquireExtended(tag, mode, false, false, true, local, false)
#else
#define nr_lock_acquire(tag, mode, local) \
	LockAcquireExtended(tag, mode, false, false, true, local)
#endif

#endif							/* NR_COMPAT_H */
