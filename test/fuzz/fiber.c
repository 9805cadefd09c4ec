/*
 * fiber.c
 *		See fiber.h.
 */
#include "fiber.h"

#include <sys/mman.h>
#include <stdlib.h>
#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#endif

/* AddressSanitizer is told which stack is in use. */
#ifdef FIBER_ASAN
#include <sanitizer/common_interface_defs.h>
#define LEAVE(save, bottom, bytes)	__sanitizer_start_switch_fiber(save, bottom, bytes)
#define ARRIVE(save, bottom, bytes) __sanitizer_finish_switch_fiber(save, bottom, bytes)
#else
#define LEAVE(save, bottom, bytes)	((void) (bottom), (void) (bytes))
#define ARRIVE(save, bottom, bytes) ((void) (bottom), (void) (bytes))
#endif

#define STACK_BYTES (1 << 19)

typedef struct Fiber
{
	ucontext_t	context;
	void		(*run) (uint32_t i);
	void	   *stack;
	void	   *fake;			/* AddressSanitizer's */
	bool		alive;
} Fiber;

static Fiber fiber[FIBERS_MAX];
static ucontext_t outside;
static const void *outside_bottom;
static size_t outside_bytes;
static uint32_t running = FIBERS_MAX;

static void
trampoline(void)
{
	Fiber	   *f = &fiber[running];

	ARRIVE(NULL, &outside_bottom, &outside_bytes);
	f->run(running);
	f->alive = false;
	LEAVE(NULL, outside_bottom, outside_bytes);
	setcontext(&outside);
	abort();
}

void
fiber_start(uint32_t i, void (*run) (uint32_t i))
{
	Fiber	   *f = &fiber[i];

	if (f->stack == NULL)
		f->stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (f->stack == MAP_FAILED || getcontext(&f->context) != 0)
		abort();
	f->context.uc_stack.ss_sp = f->stack;
	f->context.uc_stack.ss_size = STACK_BYTES;
	f->context.uc_link = NULL;
	f->run = run;
	f->fake = NULL;
	f->alive = true;
	makecontext(&f->context, trampoline, 0);
}

bool
fiber_resume(uint32_t i)
{
	Fiber	   *f = &fiber[i];
	void	   *fake = NULL;

	if (!f->alive)
		return false;
	running = i;
	LEAVE(&fake, f->stack, STACK_BYTES);
	swapcontext(&outside, &f->context);
	ARRIVE(fake, NULL, NULL);
	(void) fake;
	running = FIBERS_MAX;
	return f->alive;
}

void
fiber_yield(void)
{
	Fiber	   *f;

	if (running == FIBERS_MAX)
		return;
	f = &fiber[running];
	LEAVE(&f->fake, outside_bottom, outside_bytes);
	swapcontext(&f->context, &outside);
	ARRIVE(f->fake, &outside_bottom, &outside_bytes);
}

uint32_t
fiber_self(void)
{
	return running;
}
