/*
 * entry.c
 *		Entry points of the compiler's instrumentation (-fsanitize=thread), without that sanitizer's library.
 */
#include "explore.h"

#include <string.h>

#define ENTRY(bytes) \
extern void __tsan_read##bytes(void *at); \
extern void __tsan_write##bytes(void *at); \
extern void __tsan_unaligned_read##bytes(void *at); \
extern void __tsan_unaligned_write##bytes(void *at); \
void __tsan_read##bytes(void *at) { explore_plain(at, bytes, false); } \
void __tsan_write##bytes(void *at) { explore_plain(at, bytes, true); } \
void __tsan_unaligned_read##bytes(void *at) { explore_plain(at, bytes, false); } \
void __tsan_unaligned_write##bytes(void *at) { explore_plain(at, bytes, true); }

/* *INDENT-OFF* */
ENTRY(1)
ENTRY(2)
ENTRY(4)
ENTRY(8)
ENTRY(16)
/* *INDENT-ON* */

extern void __tsan_init(void);
extern void __tsan_func_entry(void *pc);
extern void __tsan_func_exit(void);
extern void __tsan_read_range(void *at, size_t bytes);
extern void __tsan_write_range(void *at, size_t bytes);

void
__tsan_init(void)
{
}

void
__tsan_func_entry(void *pc)
{
	(void) pc;
}

void
__tsan_func_exit(void)
{
}

void
__tsan_read_range(void *at, size_t bytes)
{
	explore_plain(at, bytes, false);
}

void
__tsan_write_range(void *at, size_t bytes)
{
	explore_plain(at, bytes, true);
}

/* ---- what the C library does for the engine (model_string.h) ---- */

void *
model_memcpy(void *to, const void *from, size_t bytes)
{
	explore_plain(from, bytes, false);
	explore_plain(to, bytes, true);
	return memcpy(to, from, bytes);
}

void *
model_memmove(void *to, const void *from, size_t bytes)
{
	explore_plain(from, bytes, false);
	explore_plain(to, bytes, true);
	return memmove(to, from, bytes);
}

void *
model_memset(void *to, int byte, size_t bytes)
{
	explore_plain(to, bytes, true);
	return memset(to, byte, bytes);
}

int
model_memcmp(const void *a, const void *b, size_t bytes)
{
	explore_plain(a, bytes, false);
	explore_plain(b, bytes, false);
	return memcmp(a, b, bytes);
}

/* Hooks of the toys are atomic without atomic.h; here nobody sets them. */
extern uint64_t __tsan_atomic64_load(const volatile uint64_t *at, int order);

uint64_t
__tsan_atomic64_load(const volatile uint64_t *at, int order)
{
	(void) order;
	return *at;
}
