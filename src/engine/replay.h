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

#include "engine/log.h"
#include "engine/pool.h"
#include "engine/rwlock.h"

#define NR_REPLAY_CHUNK		(64 * 1024)

/* Copy c of this replica as this process sees it. */
extern void nr_copy_view(NrEngine *e, uint32_t g, uint32_t r, uint32_t c, NrCopy *copy);

/* An extent that the pool gave to the group becomes free memory of the copy. */
extern void nr_copy_grant(NrCopy *copy, uint32_t physical);

/*
 * Apply everything that was appended so far to replica r; with two copies, to
 * the one that readers then enter, and with "both" to the other one too.  False: a reader did
 * not leave while the patience lasted; what was applied stands.  Who has taken
 * requests must be patient; who only wants to read may give up; helping another
 * replica is not worth being held up by a reader there that has stopped.
 */
extern bool nr_replay(NrSession *s, const NrDispatch *dispatch, uint32_t g, uint32_t r,
					  NrPatience patience, bool both);

#endif							/* NR_REPLAY_H */
