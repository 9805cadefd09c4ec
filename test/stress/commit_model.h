/*
 * commit_model.h
 *		What must be seen of transactions that prepare, commit and append.
 *
 * A *family* is a few keys that are always written together, all with the same
 * stamp: so a reader that sees two stamps in one family has seen half a batch.  Its
 * mutex stands for row locks: it is held from before a stamp and an order
 * number are drawn until the commit record, and need not be held at the append.
 * Stamps only grow, and so in each family the highest one that was committed must
 * win, whoever is appended last.  A value names all families of its batch.
 *
 * Ballast is keys of one writer each: memory that comes and goes.
 */
#ifndef COMMIT_MODEL_H
#define COMMIT_MODEL_H

#include "ds/hash.h"
#include "thread_host.h"

#define CM_FAMILIES			6
#define CM_KEYS				3
#define CM_KEY_BYTES_MAX	48
#define CM_VALUE_BYTES_MAX	900
#define CM_WRITERS			4
#define CM_BALLAST			60
#define CM_STAMPS_MAX		(1u << 20)	/* of one world */
#define CM_ALL				((1u << CM_FAMILIES) - 1)

/* The groups of a world: what a transaction writes, and what is appended and published. */
enum
{
	CM_COMMIT_ONE,				/* one copy, order numbers */
	CM_COMMIT_TWO,				/* two copies, one writer from prepare to append */
	CM_MANUAL_ONE,
	CM_MANUAL_TWO,				/* one replica: begins with a load */
	CM_GROUPS
};

typedef struct CmKey
{
	char		bytes[CM_KEY_BYTES_MAX];
	uint32_t	n;
	uint64_t	hash;
} CmKey;

typedef struct CmFamily
{
	pthread_mutex_t row;
	/* under it */
	uint64_t	stamp;			/* of the last that was committed */
	uint64_t	order_seq;		/* its order number */
	bool		gone;			/* it was a delete */

	_Atomic uint64_t floor;		/* a read that begins now sees this stamp or a higher one */
	_Atomic uint64_t gone_begun;	/* highest stamp of a delete that may be visible */
	CmKey		key[CM_KEYS];
} CmFamily;

typedef struct CmBallast
{
	CmKey		key;
	uint64_t	stamp;			/* 0: not there */
} CmBallast;

typedef struct CmGroup
{
	uint32_t	g;
	bool		ordered;
	CmFamily	family[CM_FAMILIES];
	CmBallast	ballast[CM_WRITERS][CM_BALLAST];	/* each writer's own */
	uint64_t	truncated;		/* stamp; under all rows */

	/* manual: the writer lock, and what is to be published next */
	pthread_mutex_t writer;
	uint64_t	plan;			/* stamp; 0: none */
	uint32_t	plan_mask;
	uint32_t	plan_left;		/* families that are not appended yet */
	bool		plan_gone;
} CmGroup;

typedef struct CmWorld
{
	Th		   *th;
	uint64_t	seed;
	_Atomic uint32_t stop;
	_Atomic uint64_t stamps;	/* last one drawn */
	_Atomic uint8_t *begun;		/* by stamp: its append or publication has begun */
	_Atomic uint64_t wrong;
	_Atomic uint64_t reads;
	_Atomic uint64_t committed;
	_Atomic uint64_t dropped;
	_Atomic uint64_t refused;	/* no space, busy, cancelled */
	_Atomic uint64_t overtaken; /* appended behind a higher number of the same family */
	_Atomic uint64_t published;
	CmGroup		group[CM_GROUPS];
} CmWorld;

/* Keys, rows, no history. "th" has the groups already. */
extern void cm_init(CmWorld *w, Th *th, uint64_t seed);
extern void cm_free(CmWorld *w);

extern uint64_t cm_stamp(CmWorld *w);

/* Encode; return the bytes written. */
extern size_t cm_op_put(char *to, const CmKey *key, uint64_t stamp, uint32_t mask);
extern size_t cm_op_delete(char *to, const CmKey *key);

/* All keys of one family; so many bytes at most. */
#define CM_FAMILY_BYTES_MAX	(CM_KEYS * (CM_VALUE_BYTES_MAX + CM_KEY_BYTES_MAX + 64))
extern size_t cm_ops_family(char *to, const CmFamily *family, uint64_t stamp, uint32_t mask, bool gone);

/* With the rows of these families: from now on it may be seen. */
extern void cm_begin(CmWorld *w, CmGroup *cg, uint64_t stamp, uint32_t mask, bool gone);

/* From now on it must be seen. */
extern void cm_visible(CmGroup *cg, uint64_t stamp, uint32_t mask);

/*
 * Read all families in one visit and check.  "blind": without a look at what must be
 * seen, so that nothing but the engine orders this reader.  "linger": stay inside for so many us.
 */
extern void cm_read(CmWorld *w, CmGroup *cg, NrHandle *h, bool blind, long linger);

/* Nobody writes any more: does each key have what it must? */
extern bool cm_final(CmWorld *w, CmGroup *cg, NrHandle *h);

/* Report what is wrong, and count it. */
extern void cm_wrong(CmWorld *w, const CmGroup *cg, uint32_t family, const char *what, uint64_t a, uint64_t b);

#endif							/* COMMIT_MODEL_H */
