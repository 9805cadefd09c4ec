/*
 * nr_exec.h
 *		What the files between the SQL side and the engine share.
 *
 *	 nr_exec.c          reads
 *	 nr_exec_write.c    requests, put, delete, truncate, and their errors
 *	 nr_exec_update.c   operations with an answer: swap, compare and swap, add
 */
#ifndef NR_EXEC_H
#define NR_EXEC_H

#include "nr_fn.h"

/* Backend-local memory that only grows; nr_cache.max_entry bounds it.  Each file has its own. */
typedef struct NrScratch
{
	char	   *data;
	size_t		bytes;
} NrScratch;

#define NR_SCRATCH_BYTES_MIN	8192

/* Make it at least this large; what it held is lost. */
extern void nr_scratch_reserve(NrScratch *scratch, size_t bytes);

/* Now and then a read asks whether this process has moved to another node; before it looks at any copy. */
static inline void
nr_exec_follow(const NrHandle *handle)
{
	if (unlikely((handle->session->entries & (NR_FOLLOW_EVERY - 1)) == 0))
		nr_token_follow();
}

/*
 * The way in when nr_enter_quick has found that it is not free; waits are interruptible.  False: not inside, the cache
 * is taken, and there is nothing to be found.
 */
extern bool nr_exec_enter(NrCache *cache);

/* A write to this key follows: fetch its line while the operation makes its way. */
extern void nr_exec_fetch(const NrCache *cache, const NrKey *key);

/*
 * Bytes of the value columns, in scratch memory: good until the next call of this
 * or nr_exec_put.  Toasted values are replaced by plain ones.  ERROR
 * program_limit_exceeded when the entry is too large.
 */
extern const char *nr_exec_value(const NrCache *cache, const NrKey *key, Datum *values,
								 const bool *isnull, uint32 *bytes);

/*
 * nr_exec_write that answers what became of the request, or of its first operation that
 * failed.  With NR_NO_SPACE the sweep has been tried.
 */
extern NrStatus nr_exec_request(NrCache *cache, void *ops, size_t bytes, uint32 n,
								NrResult *result);

#endif							/* NR_EXEC_H */
