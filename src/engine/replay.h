/*
 * replay.h
 *		Applying the log to a copy.  Private to the engine.
 *
 * Roles: whoever holds the combiner lock of replica r, be it a session of r that
 * combines, or one of another replica that helps.  Waits only for readers inside
 * the copy.  One exclusive section applies whole batches, NR_REPLAY_CHUNK bytes
 * of them or at least one, so readers see all of a batch or none.
 */
#ifndef NR_REPLAY_H
#define NR_REPLAY_H

#include "engine/copy.h"
#include "engine/log.h"
#include "engine/pool.h"
#include "engine/rwlock.h"

#define NR_REPLAY_CHUNK		(64 * 1024)

/*
 * Apply everything that was appended so far to replica r; with two copies, to
 * the one that readers then enter, and with "both" to the other one too.  False: a reader did
 * not leave while the patience lasted; what was applied stands.  Who has taken
 * requests must be patient; who only wants to read may give up; helping another
 * replica is not worth being held up by a reader there that has stopped.
 */
extern bool nr_replay(NrSession *s, const NrDispatch *dispatch, uint32_t g, uint32_t r,
					  NrPatience patience, bool both);

/* The same up to this position at most; nr_replay: up to the tail as it finds it, which others may move on. */
extern bool nr_replay_to(NrSession *s, const NrDispatch *dispatch, uint32_t g, uint32_t r, uint64_t upto,
						 NrPatience patience, bool both);

/*
 * Bring the older of two copies to where readers see, and send them nowhere: for who has taken
 * requests, or is about to, and must not find readers in its way whom it has left there itself.
 * Waits for nobody.
 */
extern void nr_replay_older(NrSession *s, const NrDispatch *dispatch, uint32_t g, uint32_t r);

/*
 * Two copies, with all combiner locks, when both copies of all replicas were at the
 * tail and drained before something was appended (nr_own_idle_copies): apply it
 * everywhere, and only then let readers see it.  So a read on one replica does not wait while
 * it is applied to another.  Waits for nobody.
 */
extern void nr_replay_all(NrSession *s, const NrDispatch *dispatch, uint32_t g);

/*
 * With the combiner lock, before the first publish of a group that has one replica of
 * two copies: apply operations to the copy that nobody reads, without the log.
 * "batch" carries grants and claim.  They may be amended.
 */
extern void nr_apply_idle(NrSession *s, const NrDispatch *dispatch, uint32_t g, const NrBatch *batch,
						  void *ops, size_t bytes, uint32_t n, NrResult *result);

/*
 * With the combiner lock of the only replica, which has one copy and has applied all that was appended (nr_log_alone): apply
 * a request without the log, where nobody else would read it.  It counts as a batch.  "batch" carries grants and claim, and
 * how many operations there are; the answer is in the session's slot.  Waits for readers inside the copy.
 */
extern void nr_apply_alone(NrSession *s, const NrDispatch *dispatch, uint32_t g, const NrBatch *batch, const void *ops,
						   uint32_t bytes);

#endif							/* NR_REPLAY_H */
