/*
 * backend.h
 *		A session: connecting, and statements sent in one go, with what became of each.
 *
 * A batch is sent as a pipeline.  Each of its calls began before the batch was sent and
 * had returned when its result was read; within the batch they take effect in order.
 */
#ifndef BACKEND_H
#define BACKEND_H

#include "world.h"

#define BK_STEPS_MAX	40
#define BK_VISIT_MAX	4		/* families in one visit */
#define BK_PARAMS_MAX	8
#define BK_TEXT_BYTES	65536

typedef enum BkOutcome
{
	BK_NOT_RUN,					/* an error came before it */
	BK_ANSWERED,
	BK_FAILED,					/* it was given up */
	BK_UNKNOWN					/* the session is gone */
} BkOutcome;

/* How the answer is to be understood. */
typedef enum BkAnswer
{
	BK_NOTHING,
	BK_VALUE,					/* out[0]: the value, 0 when NULL */
	BK_FLAG,					/* out[0]: 0 or 1 */
	BK_OLD,						/* out[0]: was there one, out[1]: the value */
	BK_CELLS,					/* an array: out[] of each object */
	BK_ROWS						/* rows of key and value: likewise */
} BkAnswer;

typedef struct BkStep
{
	const char *name;			/* of a prepared statement, or NULL */
	const char *sql;
	const char *param[BK_PARAMS_MAX];
	int			nparams;
	BkAnswer	answer;
	const WoCache *cache;
	bool		keep;			/* record it */
	bool		expected;		/* the answer must be call.op.arg: an own write, or its flag */
	bool		aside;			/* whether the key was there is told of an earlier moment than the write's */
	bool		life;			/* its cache comes and goes: there may be none by that name, or one already */
	bool		missing;		/* there was none */
	uint32_t	objects;		/* 0: just call.object */
	uint32_t	object[BK_VISIT_MAX];
	uint64_t	cell[BK_VISIT_MAX][LC_CELLS];
	HiCall		call;
	BkOutcome	outcome;
	char		tag[16];		/* command tag */
} BkStep;

typedef struct BkBatch
{
	BkStep		step[BK_STEPS_MAX];
	uint32_t	n;
	char		text[BK_TEXT_BYTES];
	size_t		used;
} BkBatch;

extern bool bk_connect(Client *c);

/* A setting of nr_cache.test_point, at random. */
extern const char *bk_point(Client *c);
extern void bk_disconnect(Client *c);

extern void bk_begin(BkBatch *b);

/* One more statement, prepared or not. */
extern BkStep *bk_add(BkBatch *b, const WoCache *cache, const char *name, const char *sql, BkAnswer answer);

/* Append a parameter: formatted; a value of the step's cache; the keys of its objects as an array. */
extern void bk_param(BkBatch *b, BkStep *s, const char *format, ...) __attribute__((format(printf, 3, 4)));
extern void bk_param_value(BkBatch *b, BkStep *s, uint64_t value);
extern void bk_param_keys(World *w, BkBatch *b, BkStep *s);

/* "text", formatted, that lives as long as the batch. */
extern const char *bk_text(BkBatch *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Send all and take the answers; "away": disconnect without waiting.  False when the session is gone. */
extern bool bk_run(Client *c, BkBatch *b, bool away);

/* Record the steps that are to be kept. */
extern void bk_record(Client *c, const BkBatch *b);

/* End what is left of a transaction; false when the session is gone. */
extern bool bk_rollback(Client *c);

#endif							/* BACKEND_H */
