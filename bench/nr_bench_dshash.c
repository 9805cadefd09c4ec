/*
 * nr_bench_dshash.c
 *		PostgreSQL's dshash in dynamic shared memory, an area for each table; see
 *		nr_bench_peers.h.  It hashes and locks by itself.
 */
#include "nr_bench_peers.h"

#include "utils/dsa.h"
#include "utils/memutils.h"

static dshash_hash
hash_number(const void *key, size_t size, void *arg)
{
	return (dshash_hash) ds_hash_key(PEER_SEED, key, sizeof(int64));
}

static int
compare_numbers(const void *a, const void *b, size_t size, void *arg)
{
	return *(const int64 *) a != *(const int64 *) b;
}

static dshash_hash
hash_text(const void *key, size_t size, void *arg)
{
	return (dshash_hash) ds_hash_key(PEER_SEED, ((const PeerText *) key)->data, ((const PeerText *) key)->bytes);
}

static int
compare_texts(const void *a, const void *b, size_t size, void *arg)
{
	return !peer_key_equal(true, a, b);
}

static void
table_parameters(const PeerTable *table, dshash_parameters *params)
{
	*params = (dshash_parameters)
	{
		.key_size = table->key_bytes,
			.entry_size = MAXALIGN(table->key_bytes + offsetof(PeerValue, data) + table->value_bytes),
			.hash_function = table->text_key ? hash_text : hash_number,
			.compare_function = table->text_key ? compare_texts : compare_numbers,
#if PG_VERSION_NUM >= 170000
			.copy_function = dshash_memcpy,
#endif
			.tranche_id = nr_bench_peer_tranche()
	};
}

void
nr_bench_dshash_make(PeerTable *table)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	dshash_parameters params;
	dsa_area   *area = dsa_create(nr_bench_peer_tranche());
	dshash_table *dshash;

	dsa_pin(area);
	table->area = dsa_get_handle(area);
	table_parameters(table, &params);
	dshash = dshash_create(area, &params, NULL);
	table->dshash = dshash_get_hash_table_handle(dshash);
	dshash_detach(dshash);
	dsa_detach(area);
	MemoryContextSwitchTo(old);
}

void
nr_bench_dshash_open(PeerTable *table, PeerSite *site)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	dshash_parameters params;
	dsa_area   *area = dsa_attach(table->area);

	dsa_pin_mapping(area);
	table_parameters(table, &params);
	site->dshash = dshash_attach(area, &params, table->dshash, NULL);
	MemoryContextSwitchTo(old);
}

static inline PeerValue *
value_of(bool text_key, void *entry)
{
	return (PeerValue *) ((char *) entry + (text_key ? sizeof(PeerText) : sizeof(int64)));
}

static inline bool
dshash_get(PeerSite *site, bool text_key, bool text_value, const PeerKey *key, uint64 hash, Datum *answer)
{
	void	   *entry = dshash_find(site->dshash, key, false);

	if (entry == NULL)
		return false;
	*answer = peer_value_datum(text_value, value_of(text_key, entry));
	dshash_release_lock(site->dshash, entry);
	return true;
}

static inline bool
dshash_put(PeerSite *site, bool text_key, bool text_value, const PeerKey *key, uint64 hash,
		   const char *data, uint32 bytes)
{
	bool		found;
	void	   *entry = dshash_find_or_insert(site->dshash, key, &found);

	peer_value_store(text_value, value_of(text_key, entry), data, bytes);
	dshash_release_lock(site->dshash, entry);
	return !found;
}

static inline bool
dshash_delete(PeerSite *site, const PeerKey *key, uint64 hash)
{
	return dshash_delete_key(site->dshash, key);
}

PEER_ALL_FUNCTIONS(dshash, PEER_DSHASH)
PEER_DELETE_FUNCTION(dshash, PEER_DSHASH)
