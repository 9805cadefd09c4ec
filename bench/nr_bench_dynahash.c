/*
 * nr_bench_dynahash.c
 *		PostgreSQL's dynahash in shared memory, in partitions with an LWLock each; see
 *		nr_bench_peers.h.
 */
#include "nr_bench_peers.h"

#include "storage/shmem.h"

static uint32
hash_number(const void *key, Size size)
{
	return (uint32) ds_hash_key(PEER_SEED, key, sizeof(int64));
}

static int
compare_numbers(const void *a, const void *b, Size size)
{
	return *(const int64 *) a != *(const int64 *) b;
}

static uint32
hash_text(const void *key, Size size)
{
	return (uint32) ds_hash_key(PEER_SEED, ((const PeerText *) key)->data, ((const PeerText *) key)->bytes);
}

static int
compare_texts(const void *a, const void *b, Size size)
{
	return !peer_key_equal(true, a, b);
}

/* The first to come makes it, all entries allocated. */
void
nr_bench_dynahash_open(int id, PeerTable *table, PeerSite *site)
{
	char		name[64];
	HASHCTL		info = {
		.num_partitions = PEER_PARTITIONS,
		.keysize = table->key_bytes,
		.entrysize = MAXALIGN(table->key_bytes + offsetof(PeerValue, data) + table->value_bytes),
		.hash = table->text_key ? hash_text : hash_number,
		.match = table->text_key ? compare_texts : compare_numbers
	};

	snprintf(name, sizeof(name), "nr_bench dynahash %d", id);
	site->dynahash = ShmemInitHash(name, table->entries, table->entries, &info,
								   HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_PARTITION);
}

static inline LWLock *
partition_lock(const PeerSite *site, uint64 hash)
{
	return &site->table->locks[(uint32) hash % PEER_PARTITIONS].lock;
}

static inline PeerValue *
value_of(bool text_key, void *entry)
{
	return (PeerValue *) ((char *) entry + (text_key ? sizeof(PeerText) : sizeof(int64)));
}

static inline bool
dynahash_get(PeerSite *site, bool text_key, bool text_value, const PeerKey *key, uint64 hash, Datum *answer)
{
	LWLock	   *lock = partition_lock(site, hash);
	void	   *entry;

	LWLockAcquire(lock, LW_SHARED);
	entry = hash_search_with_hash_value(site->dynahash, key, (uint32) hash, HASH_FIND, NULL);
	if (entry != NULL)
		*answer = peer_value_datum(text_value, value_of(text_key, entry));
	LWLockRelease(lock);
	return entry != NULL;
}

static inline bool
dynahash_put(PeerSite *site, bool text_key, bool text_value, const PeerKey *key, uint64 hash,
			 const char *data, uint32 bytes)
{
	LWLock	   *lock = partition_lock(site, hash);
	bool		found;
	void	   *entry;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	entry = hash_search_with_hash_value(site->dynahash, key, (uint32) hash, HASH_ENTER, &found);
	peer_value_store(text_value, value_of(text_key, entry), data, bytes);
	LWLockRelease(lock);
	return !found;
}

static inline bool
dynahash_delete(PeerSite *site, const PeerKey *key, uint64 hash)
{
	LWLock	   *lock = partition_lock(site, hash);
	bool		found;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	hash_search_with_hash_value(site->dynahash, key, (uint32) hash, HASH_REMOVE, &found);
	LWLockRelease(lock);
	return found;
}

PEER_ALL_FUNCTIONS(dynahash, PEER_DYNAHASH)
PEER_DELETE_FUNCTION(dynahash, PEER_DYNAHASH)
