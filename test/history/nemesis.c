/*
 * nemesis.c
 *		What makes life hard for sessions: cancels, terminations, SIGSTOP; see world.h.
 *
 * The program runs as the server's user, so it may send signals to backends.  A process that was
 * stopped goes on some milliseconds later, also when its client has left meanwhile.
 */
#include "world.h"

#include <signal.h>
#include <stdio.h>

void
wo_continue_all(World *w)
{
	for (uint32_t i = 0; i < w->clients; i++)
	{
		Client	   *c = &w->client[i];

		pthread_mutex_lock(&c->lock);
		if (c->pid != 0)
			kill(c->pid, SIGCONT);
		pthread_mutex_unlock(&c->lock);
	}
	for (uint32_t i = 0; i < WO_LEFT_BEHIND; i++)
	{
		int			pid = atomic_load(&w->left_behind[i]);

		/* gone by now: nobody needs to be woken */
		if (pid != 0 && kill(pid, SIGCONT) != 0)
			atomic_store(&w->left_behind[i], 0);
	}
}

static void
cancel(World *w, Client *c, uint64_t how)
{
	char		why[256];

	if (how % 2 == 0)
		kill(c->pid, SIGINT);	/* as pg_cancel_backend() */
	else if (c->cancel != NULL)
		(void) PQcancel(c->cancel, why, sizeof(why));
	w->cancels++;
}

/* As pg_terminate_backend(), of which it is all that is left once rights are checked; or by that function. */
static void
terminate(World *w, Client *c, PGconn *conn, uint64_t how)
{
	char		sql[80];

	if (how % 2 == 0)
		kill(c->pid, SIGTERM);
	else
	{
		snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%d)", c->pid);
		PQclear(PQexec(conn, sql));
	}
	w->terminations++;
}

void *
wo_nemesis(void *world)
{
	World	   *w = world;
	uint64_t	random = w->seed * 77 + w->round + 1;
	PGconn	   *conn = PQconnectdb(w->conninfo);

	while (!atomic_load(&w->over))
	{
		Client	   *c = &w->client[th_random(&random) % w->clients];
		uint64_t	x = th_random(&random) % 100;

		pthread_mutex_lock(&c->lock);
		if (c->pid == 0)
			;
		else if (x < 50)
			cancel(w, c, x);
		else if (x < 55)
			terminate(w, c, conn, x);
		else
		{
			kill(c->pid, SIGSTOP);
			w->stops++;
		}
		pthread_mutex_unlock(&c->lock);
		th_sleep_us(x < 55 ? 2000 : 1000 + (long) (th_random(&random) % 12000));
		wo_continue_all(w);
		th_sleep_us(1000 + (long) (th_random(&random) % 20000));
	}
	wo_continue_all(w);
	PQfinish(conn);
	return NULL;
}
