/*
 * visible.h
 *		Are transactions seen whole, where they wrote several families of keys?
 *
 * Taken alone, each family of a cache of visibility 'commit' is checked by lincheck
 * (lc_numbered).  What is left is that of one transaction's families one is not
 * seen without the others, although a later transaction may become visible
 * first on other families than the earlier one wrote.  So where one visit to a cache sees a number on
 * one family, it must see, on each other family that this transaction wrote and
 * that it looked at, this number or a higher one; or that the family is gone, if the transaction deleted it or a delete of
 * a higher number had begun.
 *
 * Calls of one transaction to one cache, and those of one visit, have the same HiCall.group; 0 is none.
 */
#ifndef VISIBLE_H
#define VISIBLE_H

#include "history.h"

/*
 * Check n calls, in any order: of writes those of kind LC_PUT_ALL and LC_DELETE_ALL that were or may have been
 * committed, of reads LC_GET_ALL.  Returns violations, and prints the first of them as TAP comments.
 */
extern size_t vi_check(const HiCall *calls, size_t n, bool print);

#endif							/* VISIBLE_H */
