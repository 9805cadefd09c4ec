/*
 * models.h
 *		Sequential models for the checker: families of keys, a row of counters, a stack.
 */
#ifndef MODELS_H
#define MODELS_H

#include "lincheck.h"

/*
 * A family of LC_CELLS keys.  Values are numbers; 0 is "missing".
 * out[0] of writes is how many operations answered with their flag set; LC_UNTOLD when nobody knows.
 */
enum
{
	LC_GET = 1,					/* cell; out[0]: the value */
	LC_GET_ALL,					/* out[]: the values */
	LC_PUT,						/* cell, arg; out[0]: 1 when new */
	LC_PUT_ALL,					/* arg to all cells; out[0]: how many were new */
	LC_DELETE,					/* cell; out[0]: 1 when found */
	LC_DELETE_ALL,				/* out[0]: how many were found */
	LC_TRUNCATE,				/* no answer: it depends on other families */
	LC_SWAP,					/* cell, arg; out[0]: 1 when there was one, out[1]: its value or LC_UNTOLD */
	LC_CAS,						/* cell, arg, out[1]: the value expected; out[0]: 1 when it was there */
	LC_INCR,					/* cell, arg; out[0]: the new value */
	LC_EXISTS,					/* cell; out[0]: 1 when there is one */
	LC_PUBLISH					/* no answer: it depends on other families */
};

/* There was one, but there was no room to say which; or the answer has not come. */
#define LC_UNTOLD	(UINT64_MAX - 1)

/* Every call takes effect at once.  No LC_PUBLISH. */
extern const LcModel lc_family;

/*
 * Writes are kept until LC_PUBLISH; reads, and the flags of writes, are of what is published.
 * No LC_SWAP, LC_CAS, LC_INCR.
 */
extern const LcModel lc_published;

/*
 * Whole families are written by transactions, whose numbers ("arg") say which wins: who comes later with a lower
 * one changes nothing.  LC_PUT_ALL, LC_DELETE_ALL, LC_GET, LC_GET_ALL; arg must not be 0.
 */
extern const LcModel lc_numbered;

/* A row of LC_CELLS counters. */
enum
{
	LC_ADD = 1,					/* cell, arg; out[0]: the new value */
	LC_ADD_ALL,					/* arg to all cells; out[0]: the new value of the last */
	LC_READ						/* out[]: the values */
};

extern const LcModel lc_counters;

/* A stack of at most LC_STACK_MAX numbers. */
#define LC_STACK_MAX	64

enum
{
	LC_PUSH = 1,				/* arg; out[0]: the new depth */
	LC_POP,						/* out[0]: 1 when there was one, out[1]: the number */
	LC_TOP						/* out[0]: the depth, out[1]: the top or 0 */
};

extern const LcModel lc_stack;

#endif							/* MODELS_H */
