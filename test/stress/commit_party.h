/*
 * commit_party.h
 *		Who takes part in a world of commit_model.h, and what they do there.
 */
#ifndef COMMIT_PARTY_H
#define COMMIT_PARTY_H

#include "commit_model.h"

#define CM_OPS_BYTES_MAX	32768

typedef struct CmParty
{
	CmWorld    *w;
	uint32_t	i;
	uint64_t	random;
	bool		blind;			/* a reader that nothing orders but the engine */
	bool		here;
	_Atomic uint32_t session_idx;
	NrSession	session;
	NrHandle	handle[CM_GROUPS];
} CmParty;

extern uint64_t cm_chance(CmParty *p, uint64_t n);

/* Take a session and attach to all groups / the reverse. */
extern void cm_come(CmParty *p);
extern void cm_leave(CmParty *p);

/* One transaction in one group or two, by chance; room for its parts, zeroed. */
typedef struct CmPart CmPart;
extern CmPart *cm_parts_new(void);
extern void cm_transact(CmParty *p, CmPart *parts);

/* Append one family of what is planned, or publish when there is no more. */
extern void cm_append_or_publish(CmParty *p, CmGroup *cg);

/* Publish what was appended; "must": it may not be refused. */
extern void cm_publish(CmParty *p, CmGroup *cg, bool must);

#endif							/* COMMIT_PARTY_H */
