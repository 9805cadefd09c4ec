/*
 * ds/hash_chain.h
 *		Chains of ds_hash: a bucket's own line and its overflow lines.
 *
 * For hash_grow.c: entries move from chain to chain when buckets are added and
 * taken away.
 */
#ifndef DS_HASH_CHAIN_H
#define DS_HASH_CHAIN_H

#include "ds/hash_line.h"

/* Which entries move: hash & mask == want. Mask 0: all. */
typedef struct DsHashPick
{
	uint32_t	mask;
	uint32_t	want;
} DsHashPick;

extern DsHashLine *ds_chain_tail(const NrCopy *copy, DsHashLine *line);

/* Free all lines behind this one. */
extern void ds_chain_drop(NrCopy *copy, DsHashRoot *root, DsHashLine *line);

/* Pull a chain together after entries have left it. */
extern void ds_chain_compact(NrCopy *copy, DsHashRoot *root, DsHashLine *first);

/*
 * Make room in chain "to" for all entries of the one line "from", by one more line
 * at most, which counts against *lines.  False: none was to be had.
 */
extern bool ds_chain_reserve(NrCopy *copy, DsHashRoot *root, DsHashLine *from, DsHashLine *to, uint32_t *lines);

/* Move the picked entries of one line to a chain that has room for them. */
extern void ds_line_move(const NrCopy *copy, const DsHashRoot *root, DsHashLine *from, DsHashLine *to,
						 const DsHashPick *pick);

/*
 * Deal out the entries of chain "from" to it and to the empty line "to", which
 * gets those that are picked.  First dry, with nothing changed, to learn how many
 * lines are missing; then with at least so many spare ones, made for any entry.
 */
extern uint32_t ds_chain_deal(NrCopy *copy, DsHashRoot *root, DsHashLine *from, DsHashLine *to,
							  const DsHashPick *pick, bool dry);

#endif							/* DS_HASH_CHAIN_H */
