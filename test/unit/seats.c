/*
 * seats.c
 *		A group, its sessions and a scripted host; see seats.h.
 */
#include "seats.h"

#define WAITS_MAX	100000		/* a test that waits so often waits for ever */

Script		script;

void
seats_open(Seats *b, NrGeometry geo, uint32_t n, const NrGroupConfig *config, const NrDispatch *d)
{
	if (n > SEATS_MAX)
		th_die("too many seats");
	b->n = n;
	b->th = th_new(&geo, n < 4 ? n + 1 : 4, 0);
	b->e = th_engine(b->th, 0);
	th_create(b->th, 0, config, d);
	for (uint32_t i = 0; i < n; i++)
	{
		th_register(b->th, i, i % geo.replicas, &b->s[i]);
		th_attach(&b->s[i], 0, d, &b->h[i]);
	}
}

bool
seats_close(Seats *b)
{
	bool		all_back;

	for (uint32_t i = 0; i < b->n; i++)
	{
		if (b->h[i].group != NULL)
			nr_group_detach(&b->h[i]);
		nr_session_unregister(&b->s[i]);
	}
	nr_group_destroy(b->e, 0);
	all_back = toy_pool_free(b->e) == b->th->geo.extents;
	th_free(b->th);
	return all_back;
}

static bool
script_wait(NrSession *session, NrWaitReason why, long timeout_us, bool cancellable)
{
	script.waits_for[why]++;
	if (++script.waits > WAITS_MAX)
		th_die("waits for ever");
	return script.on_wait == NULL || script.on_wait(session, why, timeout_us, cancellable);
}

static void
script_wake(NrEngine *engine, uint32_t session_idx)
{
	(void) engine;
	script.wakes++;
	script.woken[session_idx]++;
}

bool
script_give_up(NrSession *session, NrWaitReason why, long timeout_us, bool cancellable)
{
	(void) session;
	(void) why;
	(void) timeout_us;
	return !cancellable;
}

void
script_begin(Th *th, bool (*on_wait) (NrSession *, NrWaitReason, long, bool))
{
	static const NrHost host = {script_wait, script_wake, 0};

	script = (Script) {.on_wait = on_wait};
	for (uint32_t v = 0; v < th->views; v++)
		th->engine[v].host = &host;
}
