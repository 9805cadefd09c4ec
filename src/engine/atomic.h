/*
 * atomic.h
 *		Every atomic operation of the engine goes through this file.
 *
 * One place, so that the source that ships can also run under threads,
 * ThreadSanitizer and a model checker, which replace what is below.
 *
 * Naming: the ordering is the suffix.  "_rlx" relaxed, "_acq" acquire,
 * "_rel" release, "_seq" sequentially consistent.  Read-modify-write
 * operations are always sequentially consistent: on the machines we know a
 * locked instruction is one anyway, and it keeps the edges few.  There are
 * no standalone fences: ThreadSanitizer does not understand them.
 *
 * Each call that is not relaxed belongs to an edge: a pair of sites that must
 * synchronise.  Edges are listed in the headers and cited at both ends as
 * "edge NAME"; `make lint` checks that.
 */
#ifndef NR_ATOMIC_H
#define NR_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct NrAtomic32
{
	_Atomic uint32_t v;
} NrAtomic32;

typedef struct NrAtomic64
{
	_Atomic uint64_t v;
} NrAtomic64;

_Static_assert(sizeof(NrAtomic32) == 4 && sizeof(NrAtomic64) == 8,
			   "atomics must be plain words: they lie in memory shared by processes");
_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2,
			   "atomics must be lock-free: they are shared by processes");

/* The model checker says where its operations are. */
#ifdef NR_MODEL
#include NR_MODEL
#else
#define NR_ATOMIC_OPS(bits, T) \
static inline uint##bits##_t nr_load##bits##_rlx(const T *a) \
{ return atomic_load_explicit(&((T *) a)->v, memory_order_relaxed); } \
static inline uint##bits##_t nr_load##bits##_acq(const T *a) \
{ return atomic_load_explicit(&((T *) a)->v, memory_order_acquire); } \
static inline uint##bits##_t nr_load##bits##_seq(const T *a) \
{ return atomic_load_explicit(&((T *) a)->v, memory_order_seq_cst); } \
static inline void nr_store##bits##_rlx(T *a, uint##bits##_t x) \
{ atomic_store_explicit(&a->v, x, memory_order_relaxed); } \
static inline void nr_store##bits##_rel(T *a, uint##bits##_t x) \
{ atomic_store_explicit(&a->v, x, memory_order_release); } \
static inline uint##bits##_t nr_xchg##bits##_seq(T *a, uint##bits##_t x) \
{ return atomic_exchange_explicit(&a->v, x, memory_order_seq_cst); } \
static inline uint##bits##_t nr_add##bits##_seq(T *a, uint##bits##_t x) \
{ return atomic_fetch_add_explicit(&a->v, x, memory_order_seq_cst); } \
static inline uint##bits##_t nr_sub##bits##_seq(T *a, uint##bits##_t x) \
{ return atomic_fetch_sub_explicit(&a->v, x, memory_order_seq_cst); } \
static inline uint##bits##_t nr_or##bits##_seq(T *a, uint##bits##_t x) \
{ return atomic_fetch_or_explicit(&a->v, x, memory_order_seq_cst); } \
static inline uint##bits##_t nr_and##bits##_seq(T *a, uint##bits##_t x) \
{ return atomic_fetch_and_explicit(&a->v, x, memory_order_seq_cst); } \
/* statistics: nothing is ordered by them */ \
static inline void nr_add##bits##_rlx(T *a, uint##bits##_t x) \
{ atomic_fetch_add_explicit(&a->v, x, memory_order_relaxed); } \
/* strong: never fails spuriously (fault W8); on failure *expected is what was there */ \
static inline bool nr_cas##bits##_seq(T *a, uint##bits##_t *expected, uint##bits##_t x) \
{ return atomic_compare_exchange_strong_explicit(&a->v, expected, x, \
												 memory_order_seq_cst, memory_order_seq_cst); }

/* *INDENT-OFF* */
NR_ATOMIC_OPS(32, NrAtomic32)
NR_ATOMIC_OPS(64, NrAtomic64)
/* *INDENT-ON* */
#endif							/* NR_MODEL */

/*
 * A plain word that somebody else may be writing, aligned.  What comes out is a guess, to be believed only
 * after it has been compared with the word itself, when nobody writes.
 */
static inline uint32_t
nr_peek32(const void *p)
{
	return __atomic_load_n((const uint32_t *) p, __ATOMIC_RELAXED);
}

static inline uint64_t
nr_peek64(const void *p)
{
	return __atomic_load_n((const uint64_t *) p, __ATOMIC_RELAXED);
}

/* A counter that only one writes at a time, under a lock, and others look at: no locked instruction. */
static inline void
nr_bump64(NrAtomic64 *a, uint64_t x)
{
	nr_store64_rlx(a, nr_load64_rlx(a) + x);
}

/* Tell the processor that this is a spin loop. */
static inline void
nr_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("isb" ::: "memory");
#endif
}

#endif							/* NR_ATOMIC_H */
