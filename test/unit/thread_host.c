/*
 * thread_host.c
 *		The engine's host for threads; see thread_host.h.
 */
#define _GNU_SOURCE
#include "thread_host.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TH_GUARD_BYTES	65536

static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static Th  *all;				/* engines alive, for the watchdog's report */
static _Atomic uint64_t deadline_ns;
static pthread_once_t watchdog_once = PTHREAD_ONCE_INIT;

void
th_die(const char *what)
{
	printf("Bail out! %s\n", what);
	fflush(stdout);
	abort();
}

uint64_t
th_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t) ts.tv_sec * 1000000000u + (uint64_t) ts.tv_nsec;
}

void
th_sleep_us(long us)
{
	struct timespec ts = {us / 1000000, us % 1000000 * 1000};

	nanosleep(&ts, NULL);
}

uint64_t
th_random(uint64_t *state)
{
	uint64_t	x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	return x * UINT64_C(0x2545F4914F6CDD1D);
}

/* ---- sleeping and waking ---- */

static bool
th_wait(NrSession *session, NrWaitReason why, long timeout_us, bool cancellable)
{
	Th		   *th = session->engine->user;
	ThSlot	   *slot = &th->slot[session->idx];
	struct timespec ts = {timeout_us / 1000000, timeout_us % 1000000 * 1000};
	bool		timed = timeout_us >= 0 &&
		!(atomic_load_explicit(&th->no_timeout, memory_order_relaxed) >> why & 1);

	if (cancellable && atomic_load_explicit(&slot->cancel, memory_order_relaxed))
		return false;
	atomic_fetch_add_explicit(&th->sleeps[why], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&slot->sleeps, 1, memory_order_relaxed);
	atomic_store_explicit(&slot->waiting, why, memory_order_relaxed);
	while (atomic_exchange_explicit(&slot->wake, 0, memory_order_relaxed) == 0)
	{
		if (syscall(SYS_futex, &slot->wake, FUTEX_WAIT_PRIVATE, 0, timed ? &ts : NULL,
					NULL, 0) != 0 && errno == ETIMEDOUT)
		{
			atomic_fetch_add_explicit(&th->timeouts, 1, memory_order_relaxed);
			break;
		}
	}
	atomic_store_explicit(&slot->waiting, NR_WAIT_NONE, memory_order_relaxed);
	return !(cancellable && atomic_load_explicit(&slot->cancel, memory_order_relaxed));
}

static void
wake_slot(ThSlot *slot)
{
	if (atomic_exchange_explicit(&slot->wake, 1, memory_order_relaxed) == 0)
		syscall(SYS_futex, &slot->wake, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void
th_wake(NrEngine *engine, uint32_t session_idx)
{
	Th		   *th = engine->user;

	if (session_idx < th->geo.sessions)
		wake_slot(&th->slot[session_idx]);
}

void
th_cancel(Th *th, uint32_t idx)
{
	atomic_store_explicit(&th->slot[idx].cancel, 1, memory_order_relaxed);
	wake_slot(&th->slot[idx]);
}

void
th_uncancel(Th *th, uint32_t idx)
{
	atomic_store_explicit(&th->slot[idx].cancel, 0, memory_order_relaxed);
}

bool
th_is_waiting(Th *th, uint32_t idx)
{
	return atomic_load_explicit(&th->slot[idx].waiting, memory_order_relaxed) != NR_WAIT_NONE;
}

void
th_until_waiting(Th *th, uint32_t idx, NrWaitReason why)
{
	while (atomic_load_explicit(&th->slot[idx].waiting, memory_order_relaxed) != (uint32_t) why)
		th_sleep_us(200);
}

void
th_until(_Atomic uint32_t *flag, uint32_t value)
{
	while (atomic_load(flag) < value)
		th_sleep_us(200);
}

/* ---- gates ---- */

void
th_gate_pass(ThGate *gate)
{
	uint32_t	ticket = atomic_fetch_add(&gate->arrived, 1) + 1;

	th_until(&gate->passes, ticket);
}

void
th_gate_let(ThGate *gate, uint32_t n)
{
	atomic_fetch_add(&gate->passes, n);
}

void
th_gate_open(ThGate *gate)
{
	atomic_store(&gate->passes, UINT32_MAX);
}

/* ---- engines ---- */

NrGeometry
th_geometry(uint32_t replicas)
{
	NrGeometry	geo = {
		.replicas = replicas,
		.sessions = 16,
		.groups = 8,
		.extents = 256,
		.extent_shift = 12,
		.session_buffer_bytes = 512,
	};

	return geo;
}

/* Reserve address space with inaccessible pages on both sides; returns the aligned middle. */
static char *
reserve(Th *th, uint32_t view, size_t bytes, size_t align)
{
	size_t		all_bytes = bytes + align + 2 * TH_GUARD_BYTES;
	char	   *p = mmap(NULL, all_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		th_die("mmap");
	th->map[view] = p;
	th->map_bytes = all_bytes;
	return (char *) (((uintptr_t) p + TH_GUARD_BYTES + align - 1) & ~(uintptr_t) (align - 1));
}

static size_t
round_up(size_t n, size_t to)
{
	return (n + to - 1) & ~(to - 1);
}

static void
place(char *base, size_t control_bytes, size_t region_bytes, uint32_t replicas, void **regions)
{
	for (uint32_t r = 0; r < replicas; r++)
		regions[r] = base + control_bytes + r * region_bytes;
}

Th *
th_new(const NrGeometry *geo, uint32_t views, uint32_t spins)
{
	Th		   *th = calloc(1, sizeof(Th));
	size_t		align = (size_t) 1 << geo->extent_shift;
	size_t		control_bytes = round_up(nr_engine_control_bytes(geo), align);
	size_t		region_bytes = round_up(nr_engine_region_bytes(geo), align);
	size_t		bytes = control_bytes + geo->replicas * region_bytes;
	void	   *regions[NR_REPLICAS_MAX];
	int			fd = -1;

#ifdef TH_TSAN
	views = 1;
#endif
	if (control_bytes == 0 || region_bytes == 0 || views < 1 || views > TH_VIEWS_MAX)
		th_die("th_new: bad geometry");
	th->geo = *geo;
	th->host = (NrHost) {th_wait, th_wake, spins};
	th->views = views;
	th->slot = aligned_alloc(64, geo->sessions * sizeof(ThSlot));
	memset(th->slot, 0, geo->sessions * sizeof(ThSlot));
	if (views == 1)
	{
		th->block = aligned_alloc(align, bytes);
		memset(th->block, 0, bytes);
	}
	else if ((fd = memfd_create("nr_engine", 0)) < 0 || ftruncate(fd, (off_t) bytes) != 0)
		th_die("memfd_create");

	for (uint32_t v = 0; v < views; v++)
	{
		char	   *base = th->block;
		NrStatus	st;

		if (views > 1)
		{
			base = reserve(th, v, bytes, align > 4096 ? align : 4096);
			if (mmap(base, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != base)
				th_die("mmap of a view");
		}
		place(base, control_bytes, region_bytes, geo->replicas, regions);
		st = (v == 0 ? nr_engine_init : nr_engine_attach) (&th->engine[v], geo, &th->host, base, regions);
		if (st != NR_OK)
			th_die("engine init or attach refused");
		th->engine[v].user = th;
	}
	if (fd >= 0)
		close(fd);

	pthread_mutex_lock(&all_lock);
	th->next = all;
	all = th;
	pthread_mutex_unlock(&all_lock);
	return th;
}

void
th_free(Th *th)
{
	Th		  **at = &all;

	pthread_mutex_lock(&all_lock);
	while (*at != th)
		at = &(*at)->next;
	*at = th->next;
	pthread_mutex_unlock(&all_lock);

	for (uint32_t v = 0; v < th->views; v++)
		if (th->map[v] != NULL)
			munmap(th->map[v], th->map_bytes);
	free(th->block);
	free(th->slot);
	free(th);
}

void
th_no_timeouts(Th *th)
{
	atomic_store(&th->no_timeout, 1u << NR_WAIT_RESPONSE | 1u << NR_WAIT_COMBINER |
				 1u << NR_WAIT_WRITER | 1u << NR_WAIT_CATCH_UP);
}

NrEngine *
th_engine(Th *th, uint32_t i)
{
	return &th->engine[i % th->views];
}

void
th_register(Th *th, uint32_t i, uint32_t replica, NrSession *session)
{
	if (nr_session_register(th_engine(th, i), replica, i + 1, i, session) != NR_OK)
		th_die("no session");
}

void
th_create(Th *th, uint32_t g, const NrGroupConfig *config, const NrDispatch *d)
{
	if (nr_group_create(&th->engine[0], g, config, d) != NR_OK)
		th_die("group create refused");
}

void
th_attach(NrSession *session, uint32_t g, const NrDispatch *d, NrHandle *handle)
{
	if (nr_group_attach(session, g, d, handle) != NR_OK)
		th_die("group attach refused");
}

/* ---- threads ---- */

pthread_t
th_start(void *(*run) (void *), void *arg)
{
	pthread_t	thread;

	if (pthread_create(&thread, NULL, run, arg) != 0)
		th_die("pthread_create");
	return thread;
}

void
th_join(pthread_t thread)
{
	pthread_join(thread, NULL);
}

static const char *const reason_name[TH_REASONS] = {
	"nothing", "response", "combiner", "writer", "catch-up", "readers", "log space", "?"
};

static void
report_group(Th *th, uint32_t g)
{
	NrGroupInfo gi;

	nr_group_info(&th->engine[0], g, &gi);
	if (!gi.exists)
		return;
	printf("# group %u: tail %llu, completed %llu, head %llu, log slots %u, bytes %u\n", g,
		   (unsigned long long) gi.tail, (unsigned long long) gi.completed,
		   (unsigned long long) gi.head, gi.log_slots, gi.log_bytes);
	for (uint32_t r = 0; r < th->geo.replicas; r++)
	{
		NrReplicaInfo ri;

		nr_replica_info(&th->engine[0], g, r, &ri);
		printf("#   replica %u: applied %llu, combiner %d, blocking reader %d\n", r,
			   (unsigned long long) ri.applied, (int) ri.combiner, (int) ri.blocking_reader);
	}
}

static void
report(void)
{
	for (Th *th = all; th != NULL; th = th->next)
	{
		for (uint32_t i = 0; i < th->geo.sessions; i++)
		{
			NrSessionInfo si;

			nr_session_info(&th->engine[0], i, &si);
			if (si.used)
				printf("# session %u on replica %u: sleeps for %s; says it waits for %s in group %u on %d\n",
					   i, si.replica, reason_name[atomic_load(&th->slot[i].waiting) % TH_REASONS],
					   reason_name[si.waiting_for % TH_REASONS], si.waiting_group,
					   (int) si.waiting_on_session);
		}
		for (uint32_t g = 0; g < th->geo.groups; g++)
			report_group(th, g);
	}
}

static void *
watch(void *arg)
{
	(void) arg;
	for (;;)
	{
		th_sleep_us(100000);
		if (th_now_ns() > atomic_load(&deadline_ns))
		{
			printf("Bail out! timed out\n");
			report();
			fflush(stdout);
			_exit(3);
		}
	}
	return NULL;
}

static void
start_watch(void)
{
	pthread_detach(th_start(watch, NULL));
}

void
th_watchdog(unsigned seconds)
{
	atomic_store(&deadline_ns, th_now_ns() + seconds * UINT64_C(1000000000));
	pthread_once(&watchdog_once, start_watch);
}
