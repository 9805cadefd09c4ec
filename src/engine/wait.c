/*
 * wait.c
 *		Sleeping and waking; contract in wait.h.
 */
#include "engine/wait.h"

bool
nr_sleep(NrSession *s, NrWaitReason why, uint32_t g, uint32_t on_session,
		 long timeout_us, bool cancellable)
{
	bool		go_on;

	nr_store32_rlx(&s->shared->waiting_group, g);
	nr_store32_rlx(&s->shared->waiting_on, on_session);
	nr_store32_rlx(&s->shared->waiting_for, why);
	nr_add64_rlx(&s->shared->waits, 1);
	go_on = s->engine->host->wait(s, why, timeout_us, cancellable);
	nr_store32_rlx(&s->shared->waiting_for, NR_WAIT_NONE);
	return go_on || !cancellable;
}

void
nr_wake_all(NrEngine *e, NrAtomic64 *bitmap)
{
	for (uint32_t w = 0; w < e->bitmap_words; w++)
	{
		uint64_t	bits = nr_load64_seq(&bitmap[w]);	/* edge Z1 */

		while (bits != 0)
		{
			uint32_t	session = w * 64 + (uint32_t) __builtin_ctzll(bits);

			bits &= bits - 1;
			e->host->wake(e, session);
		}
	}
}
