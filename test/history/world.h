/*
 * world.h
 *		Histories of real backends: the caches, their keys, and the sessions that use them.
 *
 * There are caches of each visibility with one copy, with two, and of scheme
 * left_right.  Keys come in families of LC_CELLS, and families in generations: when a family has been
 * used often enough, or too many calls on it have no known end, it goes on with new keys.  So an
 * *object*, which is one generation of a family, has a history that is short enough to be checked
 * exactly, however long the run takes.  Calls that concern a whole cache (publish, truncate)
 * belong to an object of their own, and to each family's history while that lasts.
 *
 * What is promised, and checked here:
 *
 *	immediate	each family is linearizable: put, insert of four rows, delete, swap, compare and
 *				swap, increment, truncate, get, get_many, scan.  Inside a transaction that is rolled back, too.
 *	manual		the same, where writes take effect on what is pending and publish copies that
 *				to what is read, all at once.
 *	commit		transactions write whole families, all of it becoming visible at one moment of the
 *				COMMIT and not before; once COMMIT has returned, everybody sees it; what was rolled back
 *				(ROLLBACK, ROLLBACK TO, an error, an error of the COMMIT itself) is never seen; a transaction
 *				sees what it has written itself.  On *numbered* families, whose number is drawn while the rows
 *				of all of them are locked, the highest number wins, whoever becomes visible last (DESIGN.md 6.7:
 *				no key ever goes back).  Where a transaction wrote several families of a cache, one visit sees
 *				all of them or none (visible.h).  On *loose* families nobody locks rows; there the order is any.
 *	lives		caches that are created, dropped, altered, truncated and taken while others use them (life_model.c).  What
 *				a transaction does to a definition and, with whatever visibility, to the cache that it has defined,
 *				becomes visible at one moment of its COMMIT or, when it has not committed, never.  From then
 *				on everybody finds the name and what was written with it, and from a DROP on nobody does.  nr_take has all entries, each
 *				is taken once, readers find none from then on, and ROLLBACK brings them back.  Whether a transaction
 *				whose session has gone was committed, a plain table knows.
 *
 * Not promised, so not checked: that two transactions become visible in the order of their numbers on
 * families that only one of them wrote, and that two caches change at the same moment.
 *
 * A call that was cancelled, timed out, or whose session ended takes effect at any time from
 * its invocation on, or never.  Not so a COMMIT that answered with an error: that is never.
 */
#ifndef WORLD_H
#define WORLD_H

#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>

#include "thread_host.h"
#include "visible.h"

#define WO_FAMILIES		6		/* of a cache */
#define WO_NUMBERED		4		/* visibility commit: so many of them, the first ones */
#define WO_GENERATIONS	4096u
#define WO_CACHES		12
#define WO_LIVES		8		/* names of caches that come and go, with one family of keys each */
#define WO_ALL			(WO_CACHES + WO_LIVES)
#define WO_OBJECTS		(WO_ALL * WO_FAMILIES * WO_GENERATIONS)
#define WO_WIDE			WO_OBJECTS	/* + cache: calls that concern all of its families */
#define WO_CLIENTS_MAX	24		/* the one that looks at the end is LC_THREADS_MAX - 1 */

/* A generation ends after so many calls, or so many without a known end. */
#define WO_CALLS_MAX	800
#define WO_GIVEN_UP_MAX	8

typedef enum WoVisibility
{
	WO_IMMEDIATE,
	WO_COMMIT,
	WO_MANUAL
} WoVisibility;

typedef struct WoFamily
{
	_Atomic uint32_t generation;
	_Atomic uint32_t calls;
	_Atomic uint32_t given_up;
} WoFamily;

typedef struct WoCache
{
	char		name[16];
	WoVisibility visibility;
	bool		number;			/* values are bigint; else text that begins with a number */
	WoFamily	family[WO_FAMILIES];
} WoCache;

typedef struct World World;

typedef struct Client
{
	World	   *w;
	uint32_t	idx;			/* thread of its calls */
	uint64_t	random;
	PGconn	   *conn;
	pthread_mutex_t lock;		/* of the next two: the nemesis uses them */
	int			pid;			/* 0: none */
	PGcancel   *cancel;
	History		history;
	struct
	{
		uint32_t	object;
		uint64_t	value[LC_CELLS];
	}			seen[WO_CACHES][WO_FAMILIES];	/* for compare and swap */
	uint64_t	calls;			/* operations on caches */
	uint64_t	committed;
	uint64_t	rolled_back;
	uint64_t	given_up;
	uint64_t	connects;
	uint64_t	crowds;			/* how often it has been in wo_live_together, this round */
	uint64_t	lives;			/* transactions that changed definitions or took, and were committed */
} Client;

#define WO_LEFT_BEHIND	256

struct World
{
	const char *conninfo;
	uint32_t	replicas;
	uint64_t	seed;
	uint32_t	round;
	uint32_t	crowd;			/* after so many calls all live together; 0: never */
	uint32_t	lives;			/* of 1000 things that a session does, so many concern them */
	bool		points;			/* the server has test points */
	const char *fault;			/* and shall do this wrong, see faulty.c; NULL: nothing */
	WoCache		cache[WO_ALL];
	Client	   *client;
	uint32_t	clients;
	_Atomic uint64_t calls;		/* of this round */
	uint64_t	calls_max;
	_Atomic uint64_t gathered;	/* clients that have come to live together, this round */
	_Atomic uint32_t stop;		/* clients: no more */
	_Atomic uint32_t over;		/* nemesis: likewise */
	_Atomic uint64_t values;	/* last one drawn */
	_Atomic uint32_t groups;	/* likewise of HiCall.group */
	_Atomic uint64_t wrong;
	uint64_t	objects;		/* checked so far */
	_Atomic uint64_t too_long;	/* of which the search was given up */
	_Atomic int left_behind[WO_LEFT_BEHIND];	/* backends that nobody is connected to any more */
	_Atomic uint32_t left_behind_n;
	uint64_t	cancels,
				terminations,
				stops;
};

/* Fill in names and kinds. */
extern void wo_init(World *w);
extern void wo_create(World *w, PGconn *conn);

/* "CREATE FOREIGN TABLE name", with the options of this cache and "more" of them. */
#define WO_NAME_BYTES	32
#define WO_CREATE_BYTES	300
extern void wo_create_sql(char *to, const WoCache *c, const char *name, const char *more);

/* Of an object that comes and goes, "name" is the name; each generation has its own. */
extern void wo_life_name(char *name, const World *w, uint32_t object);

/* Before a round: all families begin with new keys. */
extern void wo_begin_round(World *w);

/* The object to use for a family now; it counts as called. */
extern uint32_t wo_object(WoCache *c, World *w, uint32_t family);
extern void wo_given_up(World *w, uint32_t object);
extern const WoCache *wo_cache_of(const World *w, uint32_t object);
extern uint32_t wo_family_of(uint32_t object);
extern int64_t wo_key(const World *w, uint32_t object, uint32_t cell);
extern const LcModel *wo_model(const World *w, uint32_t object);

/*
 * life_model.c: a family in a cache that comes and goes.  Calls are LC_GET_ALL, LC_PUT_ALL, LC_TRUNCATE and
 * LC_PUBLISH, all of which need a cache that exists, and:
 */
enum
{
	WO_CREATE = 100,			/* arg: what is put into it, or 0; n: 1 when that is pending */
	WO_DROP,					/* n: 1 for IF EXISTS */
	WO_EMPTY,					/* empty it; arg, n: as above */
	WO_MISSING,					/* the answer was that there is none */
	WO_TAKE,					/* arg: which take; out: what was taken, or out[0] LC_UNTOLD: if anything was */
	WO_TAKE_UNDONE,				/* arg */
	WO_TAKE_DONE				/* arg */
};

extern const LcModel wo_life;
extern const LcModel wo_life_published;

/* Values differ by more than increments add up to; the lowest bits of a number are free, too. */
#define WO_VALUE_STEP	65536
extern uint64_t wo_value(World *w);

/* The text of a value, with filler that says whether it is whole; 0 when it is not. */
#define WO_VALUE_BYTES_MAX	1000
extern size_t wo_value_print(char *to, const WoCache *c, uint64_t value);
extern uint64_t wo_value_parse(const WoCache *c, const char *text, size_t bytes);

extern void wo_wrong(World *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* work.c, transact.c, lives.c: what a client does next; false when its connection is gone. */
extern bool wo_work(Client *c);
extern bool wo_transact(Client *c);
extern bool wo_live(Client *c);
extern bool wo_live_together(Client *c);

/* Read such a cache, if there is one. */
extern void wo_look_at_life(Client *c, uint32_t object);

/* nemesis.c: until the round is over. */
extern void *wo_nemesis(void *world);
extern void wo_continue_all(World *w);

/* faulty.c: the SQL that makes a fault, or NULL; the names of all. */
extern const char *wo_fault_sql(const char *name);
extern void wo_fault_list(void);

/* seeded.c: falsify what was recorded, each of these errors in turn, and see whether it is found. */
#define WO_SEEDED_KINDS	8
typedef struct WoSeeded
{
	uint64_t	made[WO_SEEDED_KINDS];
	uint64_t	found[WO_SEEDED_KINDS];
} WoSeeded;

extern const char *const wo_seeded_name[WO_SEEDED_KINDS];

/* The calls that concern one object; those on the numbered families of a cache. */
extern void wo_seed_object(const LcModel *model, const LcOp *ops, size_t n, WoSeeded *seeded);
extern void wo_seed_visits(const HiCall *calls, size_t n, WoSeeded *seeded);

/*
 * verdict.c: check what this round has recorded, and what was seen at its end; false when something is
 * wrong.  "seeded", unless NULL, counts how what was right is found out once it is falsified.
 */
extern bool wo_verdict(World *w, History *last, WoSeeded *seeded);

#endif							/* WORLD_H */
