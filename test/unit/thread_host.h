/*
 * thread_host.h
 *		The engine's host for threads: memory, sleeping, waking, cancelling.
 *
 * Memory comes in "views".  With one view all threads use the same aligned
 * heap memory (so that the sanitizers see it).  With several, the same memory
 * is mapped at several addresses, as in processes, with inaccessible pages
 * around each mapping: nothing in it may be an address.  ThreadSanitizer
 * matches accesses by address, so under it there is always one view.
 *
 * Sleeping is a futex whose accesses are relaxed on purpose: the host gives no
 * ordering, so ThreadSanitizer sees only what the engine itself orders.
 *
 * Functions that fail abort the program: nothing here is under test.
 */
#ifndef THREAD_HOST_H
#define THREAD_HOST_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/engine.h"

/* Defined when compiled with ThreadSanitizer. */
#if defined(__SANITIZE_THREAD__)
#define TH_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TH_TSAN 1
#endif
#endif

#define TH_VIEWS_MAX	8
#define TH_REASONS		8

typedef struct ThSlot
{
	_Alignas(64) _Atomic uint32_t wake; /* 1: a wake that nobody consumed yet */
	_Atomic uint32_t cancel;	/* 1: the next cancellable wait gives up */
	_Atomic uint32_t waiting;	/* NrWaitReason of the sleep this session is in */
	_Atomic uint32_t sleeps;
} ThSlot;

typedef struct Th
{
	NrGeometry	geo;
	NrHost		host;
	uint32_t	views;
	NrEngine	engine[TH_VIEWS_MAX];
	ThSlot	   *slot;			/* by session */
	_Atomic uint32_t no_timeout;	/* bits by NrWaitReason: sleep until woken, so that a lost wake hangs */
	_Atomic uint64_t sleeps[TH_REASONS];	/* by NrWaitReason */
	_Atomic uint64_t timeouts;	/* sleeps that ended by their timeout */
	/* private */
	size_t		bytes[2];		/* control, region */
	void	   *block;			/* one view: heap */
	void	   *map[TH_VIEWS_MAX];	/* several views: reservations */
	size_t		map_bytes;
	struct Th  *next;			/* for the watchdog */
} Th;

/* A small default geometry: 16 sessions, 8 groups, 256 extents of 4 kB. */
extern NrGeometry th_geometry(uint32_t replicas);

/* Make and format an engine; views 1 .. TH_VIEWS_MAX (1 under ThreadSanitizer). */
extern Th  *th_new(const NrGeometry *geo, uint32_t views, uint32_t spins);
extern void th_free(Th *th);

/*
 * The engine's sleeps have timeouts, in case the one that was woken has stopped.
 * Where nobody stops for good, do without: then a wake-up that is lost hangs.
 */
extern void th_no_timeouts(Th *th);

/* Engine handle for the i-th user; users are spread over the views. */
extern NrEngine *th_engine(Th *th, uint32_t i);

/* Register, or abort. */
extern void th_register(Th *th, uint32_t i, uint32_t replica, NrSession *session);

/* Create group g and attach to it; abort when refused. */
extern void th_create(Th *th, uint32_t g, const NrGroupConfig *config, const NrDispatch *d);
extern void th_attach(NrSession *session, uint32_t g, const NrDispatch *d, NrHandle *handle);

/* Ask session idx to give up; th_uncancel takes that back. */
extern void th_cancel(Th *th, uint32_t idx);
extern void th_uncancel(Th *th, uint32_t idx);

/* Wait (polling) until session idx sleeps for "why" / until *flag is at least "value". */
extern void th_until_waiting(Th *th, uint32_t idx, NrWaitReason why);
extern void th_until(_Atomic uint32_t *flag, uint32_t value);

/* True when session idx sleeps for any reason. */
extern bool th_is_waiting(Th *th, uint32_t idx);

/* A place where threads stop until the test lets them go on. */
typedef struct ThGate
{
	_Atomic uint32_t arrived;	/* how many came so far */
	_Atomic uint32_t passes;	/* how many may pass */
} ThGate;

extern void th_gate_pass(ThGate *gate);		/* by the stopped thread */
extern void th_gate_let(ThGate *gate, uint32_t n);	/* let n more pass */
extern void th_gate_open(ThGate *gate);		/* let all pass from now on */

extern pthread_t th_start(void *(*run) (void *), void *arg);
extern void th_join(pthread_t thread);

extern uint64_t th_now_ns(void);
extern void th_sleep_us(long us);

/* xorshift, seeded with anything but 0. */
extern uint64_t th_random(uint64_t *state);

/* End the program with "Bail out!" and who waits for what, unless called again within "seconds". */
extern void th_watchdog(unsigned seconds);

extern void th_die(const char *what);

#endif							/* THREAD_HOST_H */
