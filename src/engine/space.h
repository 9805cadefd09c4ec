/*
 * space.h
 *		What writes need before they are in the log: operations that add up, a place
 *		for large ones, room in the log.  Private to the engine.
 */
#ifndef NR_SPACE_H
#define NR_SPACE_H

#include "engine/combine.h"

#define NR_SPACE_POLL_US	5000

/*
 * Do the lengths add up to n operations?  The structure checks its own payloads;
 * this is what the engine itself relies on.  NR_BAD_OP, NR_TOO_LARGE.
 */
extern NrStatus nr_check_ops(const NrEngine *e, const char *ops, size_t bytes, uint32_t n);

/*
 * Put operations into extents of replica r's node, as many whole operations in
 * each as fit.  The copies read them there, so a large request is copied once.
 * "first" and "end" of the chain; NR_NO_SPACE: none is held.
 */
extern NrStatus nr_payload_place(NrSession *s, uint32_t g, uint32_t r, const char *ops, size_t bytes,
								 uint32_t *first, uint32_t *end);

/* Free a chain that is not in the log. */
extern void nr_payload_free(NrSession *s, uint32_t r, uint32_t extent);

/*
 * Replicas that lag hold on to payloads that they have not applied, and an idle
 * one lags until the log is full: bring them forward before we say "no space".
 * The caller has no combiner lock of the group.
 */
extern void nr_let_go(NrHandle *h);

/* Give a claim of room in the log back; somebody may wait for just that. */
extern void nr_log_give_back(NrSession *s, uint32_t g);

/* Sleep until the log may have room.  False: cancelled. */
extern bool nr_wait_for_space(NrHandle *h, const NrFull *full, bool cancellable);

#endif							/* NR_SPACE_H */
