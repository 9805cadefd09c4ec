/*
 * nr_bench_peers.h
 *		Tables in shared memory that nr_cache is compared with: what one would write
 *		instead of it with what PostgreSQL has.  Only in builds with NR_BENCH=1.
 *
 * Three of them: dynahash in partitions under LWLocks, as pg_stat_statements and the
 * buffer mapping have it (nr_bench_dynahash.c); dshash (nr_bench_dshash.c); open addressing
 * with entries inline under one LWLock (nr_bench_open.c).  All have what is known to make
 * them quick: entries of a fixed size with key and value inline, nr_cache's own hash (XXH3),
 * computed once and carried, comparisons that are inlined or of the key's length, shared locks for
 * reading, a call site that is resolved once, and one copy from the table into the answer.
 *
 * A table is made once, with a number of entries that it is for; it is never dropped.
 * Its id is the first argument of the functions, as the cache is of nr_get.
 */
#ifndef NR_BENCH_PEERS_H
#define NR_BENCH_PEERS_H

#include "nr_fn.h"

#include "lib/dshash.h"
#include "storage/lwlock.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"

#define PEER_TABLES_MAX		64
#define PEER_PARTITIONS		128		/* as the buffer mapping has them */
#define PEER_TEXT_MAX		22		/* bytes of a text key */
#define PEER_SEED			42

typedef enum PeerKind
{
	PEER_DYNAHASH,
	PEER_DSHASH,
	PEER_OPEN
} PeerKind;

/* A text key as it is stored; of what is behind "bytes" nothing is compared. */
typedef struct PeerText
{
	uint16		bytes;
	char		data[PEER_TEXT_MAX];
} PeerText;

/* A key to look up; "bytes" of what "data" points to are hashed and compared. */
typedef union PeerKey
{
	int64		number;
	PeerText	text;
} PeerKey;

/*
 * A table, in shared memory.  All but the locks and "slots" is fixed once it has been
 * made, before anybody else knows its id.
 */
typedef struct PeerTable
{
	PeerKind	kind;
	bool		text_key;
	bool		text_value;
	uint32		key_bytes;		/* of the stored key */
	uint32		value_bytes;	/* most that a value can have */
	uint32		entries;
	LWLockPadded *locks;		/* of partitions; of an open table one */
	dsa_handle	area;			/* dshash */
	dshash_table_handle dshash;
	char	   *slots;			/* open: protected by its lock */
	uint64		mask;
	uint32		stride;			/* bytes of a slot */
} PeerTable;

/* This backend's way to a table, and a call site's fn_extra. */
typedef struct PeerSite
{
	int			id;
	PeerTable  *table;
	HTAB	   *dynahash;
	dshash_table *dshash;
} PeerSite;

/* What is in front of a value everywhere. */
typedef struct PeerValue
{
	uint32		bytes;
	char		data[FLEXIBLE_ARRAY_MEMBER];
} PeerValue;

extern PeerSite *nr_bench_peer_resolve(FunctionCallInfo fcinfo, PeerKind kind, bool text_key, bool text_value);
extern int	nr_bench_peer_tranche(void);
extern LWLockPadded *nr_bench_peer_locks(int n);
extern void nr_bench_peer_missing(void) pg_attribute_noreturn();
extern void nr_bench_peer_too_long(void) pg_attribute_noreturn();

/* One for each kind: make a table, or find the way to it. */
extern void nr_bench_dynahash_open(int id, PeerTable *table, PeerSite *site);
extern void nr_bench_dshash_make(PeerTable *table);
extern void nr_bench_dshash_open(PeerTable *table, PeerSite *site);
extern void nr_bench_open_make(PeerTable *table);

static inline PeerSite *
peer_site(FunctionCallInfo fcinfo, PeerKind kind, bool text_key, bool text_value)
{
	PeerSite   *site = fcinfo->flinfo->fn_extra;

	if (likely(site != NULL && !PG_ARGISNULL(0) && site->id == PG_GETARG_INT32(0)))
		return site;
	return nr_bench_peer_resolve(fcinfo, kind, text_key, text_value);
}

/* Argument 1 as a key, with its hash; false for one that no table can have. */
static inline bool
peer_key(FunctionCallInfo fcinfo, bool text_key, PeerKey *key, uint64 *hash)
{
	if (unlikely(PG_ARGISNULL(1)))
		return false;
	if (text_key)
	{
		text	   *given = PG_GETARG_TEXT_PP(1);
		size_t		bytes = VARSIZE_ANY_EXHDR(given);

		if (unlikely(bytes > PEER_TEXT_MAX))
			return false;
		key->text.bytes = bytes;
		memcpy(key->text.data, VARDATA_ANY(given), bytes);
		*hash = ds_hash_key(PEER_SEED, key->text.data, bytes);
	}
	else
	{
		key->number = PG_GETARG_INT64(1);
		*hash = ds_hash_key(PEER_SEED, &key->number, sizeof(key->number));
	}
	return true;
}

static inline bool
peer_key_equal(bool text_key, const void *stored, const PeerKey *key)
{
	if (text_key)
		return ((const PeerText *) stored)->bytes == key->text.bytes &&
			memcmp(((const PeerText *) stored)->data, key->text.data, key->text.bytes) == 0;
	return *(const int64 *) stored == key->number;
}

/* As an answer: with the table locked. */
static inline Datum
peer_value_datum(bool text_value, const PeerValue *value)
{
	if (text_value)
	{
		text	   *answer = palloc(VARHDRSZ + value->bytes);

		SET_VARSIZE(answer, VARHDRSZ + value->bytes);
		memcpy(VARDATA(answer), value->data, value->bytes);
		return PointerGetDatum(answer);
	}
	else
	{
		int64		number;

		memcpy(&number, value->data, sizeof(number));
		return Int64GetDatum(number);
	}
}

/* Argument 2 as bytes, before any lock; a NULL is no value. */
static inline const char *
peer_value(FunctionCallInfo fcinfo, bool text_value, const PeerSite *site, int64 *number, uint32 *bytes)
{
	text	   *given;

	if (PG_ARGISNULL(2))
		nr_bench_peer_missing();
	if (!text_value)
	{
		*number = PG_GETARG_INT64(2);
		*bytes = sizeof(*number);
		return (const char *) number;
	}
	given = PG_GETARG_TEXT_PP(2);
	*bytes = VARSIZE_ANY_EXHDR(given);
	if (*bytes > site->table->value_bytes)
		nr_bench_peer_too_long();
	return VARDATA_ANY(given);
}

static inline void
peer_value_store(bool text_value, PeerValue *to, const char *data, uint32 bytes)
{
	to->bytes = bytes;
	if (text_value)
		memcpy(to->data, data, bytes);
	else
		memcpy(to->data, data, sizeof(int64));
}

/*
 * The functions of one kind "name" for one type of keys and one of values: get (id, key, fallback), put (id,
 * key, value), which answers whether the key was new.  name_get, name_put are inlined into each, so that types
 * are constants there.
 */
#define PEER_FUNCTIONS(name, kind, keys, values, text_key, text_value) \
PG_FUNCTION_INFO_V1(nr_bench_##name##_get_##keys##_##values); \
PG_FUNCTION_INFO_V1(nr_bench_##name##_put_##keys##_##values); \
Datum \
nr_bench_##name##_get_##keys##_##values(PG_FUNCTION_ARGS) \
{ \
	PeerSite   *site = peer_site(fcinfo, kind, text_key, text_value); \
	PeerKey		key; \
	uint64		hash; \
	Datum		answer; \
	if (!peer_key(fcinfo, text_key, &key, &hash) || \
		!name##_get(site, text_key, text_value, &key, hash, &answer)) \
	{ \
		if (PG_ARGISNULL(2)) \
			PG_RETURN_NULL(); \
		PG_RETURN_DATUM(PG_GETARG_DATUM(2)); \
	} \
	PG_RETURN_DATUM(answer); \
} \
Datum \
nr_bench_##name##_put_##keys##_##values(PG_FUNCTION_ARGS) \
{ \
	PeerSite   *site = peer_site(fcinfo, kind, text_key, text_value); \
	PeerKey		key; \
	uint64		hash; \
	int64		number; \
	uint32		bytes; \
	const char *data; \
	if (!peer_key(fcinfo, text_key, &key, &hash)) \
		nr_bench_peer_too_long(); \
	data = peer_value(fcinfo, text_value, site, &number, &bytes); \
	PG_RETURN_BOOL(name##_put(site, text_key, text_value, &key, hash, data, bytes)); \
}

#define PEER_ALL_FUNCTIONS(name, kind) \
	PEER_FUNCTIONS(name, kind, int8, int8, false, false) \
	PEER_FUNCTIONS(name, kind, text, int8, true, false) \
	PEER_FUNCTIONS(name, kind, text, text, true, true)

/* delete (id, key), bigint keys only: so that new keys can be put again */
#define PEER_DELETE_FUNCTION(name, kind) \
PG_FUNCTION_INFO_V1(nr_bench_##name##_delete); \
Datum \
nr_bench_##name##_delete(PG_FUNCTION_ARGS) \
{ \
	PeerSite   *site = peer_site(fcinfo, kind, false, false); \
	PeerKey		key; \
	uint64		hash; \
	PG_RETURN_BOOL(peer_key(fcinfo, false, &key, &hash) && name##_delete(site, &key, hash)); \
}

#endif							/* NR_BENCH_PEERS_H */
