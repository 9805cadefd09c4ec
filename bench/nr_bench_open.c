/*
 * nr_bench_open.c
 *		Open addressing, key and value inline in a slot that no cache line's end cuts if it can be
 *		helped, under one LWLock; see nr_bench_peers.h.  And the same without the lock ("bare"), which is
 *		right only while nobody writes: the floor for this layout.
 */
#include "nr_bench_peers.h"

#include "storage/shmem.h"

typedef struct Slot
{
	uint32		hash;
	uint32		used;
	char		key[FLEXIBLE_ARRAY_MEMBER];		/* and a PeerValue behind it */
} Slot;

/* At most two thirds full. */
void
nr_bench_open_make(PeerTable *table)
{
	uint64		slots = 16;
	size_t		bytes = offsetof(Slot, key) + table->key_bytes + offsetof(PeerValue, data) + table->value_bytes;

	while (slots < (uint64) table->entries * 3 / 2)
		slots *= 2;
	table->stride = bytes <= 32 ? 32 : TYPEALIGN(PG_CACHE_LINE_SIZE / 2, bytes);
	table->mask = slots - 1;
	table->locks = nr_bench_peer_locks(1);
	table->slots = ShmemAlloc(slots * table->stride + PG_CACHE_LINE_SIZE);
	table->slots = (char *) TYPEALIGN(PG_CACHE_LINE_SIZE, table->slots);
	memset(table->slots, 0, slots * table->stride);
}

static inline Slot *
slot_at(const PeerTable *table, uint64 i)
{
	return (Slot *) (table->slots + (i & table->mask) * table->stride);
}

static inline PeerValue *
value_of(bool text_key, Slot *slot)
{
	return (PeerValue *) (slot->key + (text_key ? sizeof(PeerText) : sizeof(int64)));
}

/* Where the key is, or the free slot where it would be. */
static inline Slot *
find(const PeerTable *table, bool text_key, const PeerKey *key, uint64 hash)
{
	for (uint64 i = hash;; i++)
	{
		Slot	   *slot = slot_at(table, i);

		if (!slot->used || (slot->hash == (uint32) hash && peer_key_equal(text_key, slot->key, key)))
			return slot;
	}
}

static inline bool
bare_get(PeerSite *site, bool text_key, bool text_value, const PeerKey *key, uint64 hash, Datum *answer)
{
	Slot	   *slot = find(site->table, text_key, key, hash);

	if (!slot->used)
		return false;
	*answer = peer_value_datum(text_value, value_of(text_key, slot));
	return true;
}

static inline bool
open_get(PeerSite *site, bool text_key, bool text_value, const PeerKey *key, uint64 hash, Datum *answer)
{
	LWLock	   *lock = &site->table->locks->lock;
	bool		found;

	LWLockAcquire(lock, LW_SHARED);
	found = bare_get(site, text_key, text_value, key, hash, answer);
	LWLockRelease(lock);
	return found;
}

static inline bool
bare_put(PeerSite *site, bool text_key, bool text_value, const PeerKey *key, uint64 hash,
		 const char *data, uint32 bytes)
{
	Slot	   *slot = find(site->table, text_key, key, hash);
	bool		is_new = !slot->used;

	if (is_new)
	{
		slot->hash = (uint32) hash;
		slot->used = true;
		memcpy(slot->key, key, text_key ? sizeof(PeerText) : sizeof(int64));
	}
	peer_value_store(text_value, value_of(text_key, slot), data, bytes);
	return is_new;
}

static inline bool
open_put(PeerSite *site, bool text_key, bool text_value, const PeerKey *key, uint64 hash,
		 const char *data, uint32 bytes)
{
	LWLock	   *lock = &site->table->locks->lock;
	bool		is_new;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	is_new = bare_put(site, text_key, text_value, key, hash, data, bytes);
	LWLockRelease(lock);
	return is_new;
}

/* Who is behind the gap moves into it unless that is before where it belongs. */
static inline bool
open_delete(PeerSite *site, const PeerKey *key, uint64 hash)
{
	PeerTable  *table = site->table;
	LWLock	   *lock = &table->locks->lock;
	uint64		gap;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	for (gap = hash; slot_at(table, gap)->used; gap++)
		if (slot_at(table, gap)->hash == (uint32) hash && peer_key_equal(false, slot_at(table, gap)->key, key))
			break;
	if (!slot_at(table, gap)->used)
	{
		LWLockRelease(lock);
		return false;
	}
	for (uint64 i = gap + 1; slot_at(table, i)->used; i++)
	{
		/* a table has at most 2^32 slots, so the stored half of the hash says where it belongs */
		uint64		home = slot_at(table, i)->hash & table->mask;

		if (((i - home) & table->mask) < ((i - gap) & table->mask))
			continue;
		memcpy(slot_at(table, gap), slot_at(table, i), table->stride);
		gap = i;
	}
	slot_at(table, gap)->used = false;
	LWLockRelease(lock);
	return true;
}

PEER_ALL_FUNCTIONS(open, PEER_OPEN)
PEER_ALL_FUNCTIONS(bare, PEER_OPEN)
PEER_DELETE_FUNCTION(open, PEER_OPEN)
