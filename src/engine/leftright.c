/*
 * leftright.c
 *		Writer's side of two copies; contract in leftright.h.
 */
#include "engine/leftright.h"
#include "engine/wait.h"

bool
nr_lr_drain(NrSession *s, uint32_t g, uint32_t r, NrPatience patience)
{
	NrEngine   *e = s->engine;
	struct NrReplica *rep = nr_replica(e, g, r);
	NrAtomic64 *inside = nr_flip_readers(e, rep);

	for (uint32_t w = 0; w < e->bitmap_words; w++)
	{
		/* relaxed: written under the combiner lock only */
		uint64_t	bits = nr_load64_rlx(&inside[w]);

		for (; bits != 0; bits &= bits - 1)
		{
			uint32_t	reader = w * 64 + (uint32_t) __builtin_ctzll(bits);

			if (!nr_wait_for_reader(s, g, r, reader, nr_load64_rlx(&nr_flip_words(e, rep)[reader]),
									patience))
			{
				nr_store64_rlx(&inside[w], bits);	/* the others need not be waited for again */
				return false;
			}
		}
		nr_store64_rlx(&inside[w], 0);
	}
	if (nr_load32_rlx(&rep->blocking_reader) != 0)
		nr_store32_rlx(&rep->blocking_reader, 0);
	return true;
}

void
nr_lr_flip(NrSession *s, uint32_t g, uint32_t r)
{
	NrEngine   *e = s->engine;
	struct NrReplica *rep = nr_replica(e, g, r);
	bool		roll = nr_roll_call(rep);

	nr_xchg32_seq(&rep->current, 1 - nr_load32_rlx(&rep->current)); /* edge F1, edge F2, edge Z1 */
	NR_POINT("flipped");
	for (uint32_t w = 0; w < e->bitmap_words; w++)
	{
		uint64_t	bits = nr_readers_present(e, rep, w);	/* edge F1 */
		uint64_t	inside = 0;

		for (; bits != 0; bits &= bits - 1)
		{
			uint32_t	reader = w * 64 + (uint32_t) __builtin_ctzll(bits);
			uint64_t	word = nr_reader_look(e, g, r, reader, roll);	/* edge F1, edge F3 */

			if (nr_inside_group(word) != g + 1)
				continue;
			nr_store64_rlx(&nr_flip_words(e, rep)[reader], word);
			inside |= NR_BIT(reader);
		}
		nr_store64_rlx(&nr_flip_readers(e, rep)[w], inside);
	}
	nr_bump64(&rep->flips, 1);
}

/*
 * The idle copy becomes what the current one is: that was loaded before the
 * first publish, without the log.  Extents were granted to both, so the same
 * logical numbers are mapped; where a number is not, both words are 0, and where
 * it is, at most one of them is.
 */
void
nr_lr_sync(const NrDispatch *dispatch, NrCopy *to, const NrCopy *from)
{
	const NrExtentTable *t = from->table;
	uint32_t	capacity = t->capacity;
	size_t		root_at = nr_extent_table_bytes(to->table->capacity);

	to->table->unused_head = t->unused_head;
	to->table->free_head = t->free_head;
	to->table->free_count = t->free_count;
	to->table->mapped_count = t->mapped_count;
	memcpy(to->table->words + capacity, t->words + capacity, sizeof(uint32_t) * capacity);
	memcpy((char *) to->table + root_at, (const char *) t + root_at, nr_extent_bytes(to) - root_at);
	for (uint32_t x = 1; x < capacity; x++)
		if (to->map[x] != 0 || from->map[x] != 0)
			memcpy(nr_extent_ptr(to, x), nr_extent_ptr(from, x), nr_extent_bytes(to));
	if (dispatch->sync_with != NULL)
		dispatch->sync_with(to, from);
}
