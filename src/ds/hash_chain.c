/*
 * ds/hash_chain.c
 *		What a split or a merge does with the lines of whole buckets.  See
 *		hash_chain.h.
 */
#include "ds/hash_chain.h"

static inline bool
picked(const DsHashRoot *root, const DsHashPick *pick, const uint8_t *entry)
{
	return pick->mask == 0 || (ds_entry_hash(root, entry) & pick->mask) == pick->want;
}

void
ds_chain_drop(NrCopy *copy, DsHashRoot *root, DsHashLine *line)
{
	while (line->next != 0)
		ds_line_unlink_next(copy, root, line);
}

DsHashLine *
ds_chain_tail(const NrCopy *copy, DsHashLine *line)
{
	for (DsHashLine *next; (next = ds_hash_line_next(copy, line)) != NULL;)
		line = next;
	return line;
}

/* Walks as ds_line_move will.  The line that is appended has room for all, so there is no second one. */
bool
ds_chain_reserve(NrCopy *copy, DsHashRoot *root, DsHashLine *from, DsHashLine *to, uint32_t *lines)
{
	DsHashLine *at = to;
	uint32_t	room = ds_line_capacity(root, to, true) - to->used;

	for (uint8_t *entry = from->entry; entry < ds_line_end(from); entry += entry[0])
	{
		while (entry[0] > room)
		{
			if (at->next != 0)
				at = ds_hash_line_next(copy, at);
			else if (*lines == 0 || !(at = ds_line_append(copy, root, at, from->used, false)))
				return false;
			else
				(*lines)--;
			room = ds_line_capacity(root, at, false) - at->used;
		}
		room -= entry[0];
	}
	return true;
}

void
ds_line_move(const NrCopy *copy, const DsHashRoot *root, DsHashLine *from, DsHashLine *to, const DsHashPick *pick)
{
	uint32_t	room = ds_line_capacity(root, to, true) - to->used;
	uint8_t    *end = ds_line_end(from);
	uint8_t    *keep = from->entry;
	uint32_t	kept = 0;
	uint32_t	step;

	for (uint8_t *entry = from->entry; entry < end; entry += step)
	{
		step = entry[0];
		if (!picked(root, pick, entry))
		{
			if (keep != entry)
				memmove(keep, entry, step);
			keep += step;
			kept++;
			continue;
		}
		while (step > room)
		{
			to = ds_hash_line_next(copy, to);
			room = ds_line_capacity(root, to, false) - to->used;
		}
		ds_bytes_copy(ds_line_push(to, step, entry[1]), entry, step);
		room -= step;
	}
	ds_line_keep(from, (size_t) (keep - from->entry), kept);
}

/* Two chains that the entries of one are dealt out to. */
typedef struct HashDeal
{
	DsHashLine *tail[2];		/* of those that stay, of those that move */
	uint32_t	room[2];
	NrRef		emptied;		/* old overflow lines, dealt out and not in use again, */
	NrRef		not_emptied;	/* up to this one */
	uint32_t	missing;		/* lines besides */
	bool		dry;
} HashDeal;

/* Another line for one of the chains. */
static void
deal_line(NrCopy *copy, DsHashRoot *root, HashDeal *deal, uint32_t which, uint32_t step)
{
	NrRef		ref = 0;

	while (ref == 0 && deal->emptied != deal->not_emptied)
	{
		DsHashLine *line = ds_heap_payload(copy, deal->emptied);

		ref = deal->emptied;
		deal->emptied = line->next;
		deal->room[which] = ds_line_capacity(root, line, false);
		/* made for shorter entries */
		if (deal->room[which] < step)
		{
			if (!deal->dry)
			{
				DsHashLine	head = {.next = ref};

				ds_line_unlink_next(copy, root, &head);
			}
			ref = 0;
		}
	}
	if (ref == 0)
	{
		deal->missing++;
		deal->room[which] = root->line_capacity;
		ref = root->spare;
		if (!deal->dry)
			root->spare = ((DsHashLine *) ds_heap_payload(copy, ref))->next;
	}
	if (!deal->dry)
	{
		deal->tail[which]->next = ref;
		deal->tail[which] = ds_heap_payload(copy, ref);
		deal->tail[which]->next = 0;
	}
}

uint32_t
ds_chain_deal(NrCopy *copy, DsHashRoot *root, DsHashLine *from, DsHashLine *to, const DsHashPick *pick, bool dry)
{
	HashDeal	deal = {.tail = {from, to}, .room = {root->line_capacity, root->line_capacity}, .dry = dry};
	uint8_t		entries[DS_HASH_USED_MAX];
	DsHashLine *line = from;

	deal.emptied = deal.not_emptied = from->next;
	while (line)
	{
		DsHashLine *next = ds_hash_line_next(copy, line);
		uint8_t    *end = entries + line->used;

		memcpy(entries, line->entry, line->used);
		if (line != from)
			deal.not_emptied = line->next;
		if (!dry)
			ds_line_keep(line, 0, 0);
		for (uint8_t *entry = entries; entry < end; entry += entry[0])
		{
			uint32_t	which = picked(root, pick, entry);

			if (entry[0] > deal.room[which])
				deal_line(copy, root, &deal, which, entry[0]);
			deal.room[which] -= entry[0];
			if (!dry)
				ds_bytes_copy(ds_line_push(deal.tail[which], entry[0], entry[1]), entry, entry[0]);
		}
		line = next;
	}
	if (!dry)
	{
		DsHashLine	head = {.next = deal.emptied};

		deal.tail[0]->next = 0;
		ds_chain_drop(copy, root, &head);
	}
	return deal.missing;
}

void
ds_chain_compact(NrCopy *copy, DsHashRoot *root, DsHashLine *first)
{
	DsHashLine *prev = NULL;
	DsHashLine *line = first;

	while (line)
	{
		while (ds_line_pull(copy, root, line, line == first))
			;
		if (prev && line->used == 0)
			ds_line_unlink_next(copy, root, prev);
		else
			prev = line;
		line = ds_hash_line_next(copy, prev);
	}
}
