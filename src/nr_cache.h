/*
 * nr_cache.h
 *		What the files of the PostgreSQL side share.
 *
 * Who does what:
 *	 nr_init.c      _PG_init: settings, hooks, callbacks
 *	 nr_guc.c       settings
 *	 nr_shmem.c     shared memory: request, format, attach; NUMA node count
 *	 nr_host.c      the engine's waits and wake-ups on latches and interrupts
 *	 nr_token.c     this backend's session (token)
 *	 nr_options.c   FDW validator: server, table and column options
 *	 nr_def.c       a cache's definition, read from the catalogs
 *	 nr_registry.c  shared table: (database, relation, layout) -> engine group
 *	 nr_lifetime.c  locks, drops, transaction callbacks, invalidation
 *	 nr_sweep.c     frees what nobody freed: orphans
 *	 nr_ddl.c       ProcessUtility: what CREATE / ALTER FOREIGN TABLE may say
 *	 nr_ddl_type.c  what may not be altered about the composite types inside
 *	 nr_open.c      nr_cache_open: from an OID to a usable cache
 *	 nr_codec.c     keys and values <-> bytes
 *	 nr_coerce.c    arguments -> column types
 *	 nr_constraint.c   NOT NULL and CHECK for writers that are not the executor
 *	 nr_site.c      what a call site of a function remembers
 *	 nr_exec.c      reads and writes through the engine, with PostgreSQL's errors
 *	 nr_fn_read.c, nr_fn_write.c, nr_fn_many.c   SQL functions
 *	 nr_fdw*.c      planner, scans, modifications
 *	 nr_views.c     set-returning functions behind the views
 *	 nr_testpoint.c faults at named places, in builds for tests only
 */
#ifndef NR_CACHE_H
#define NR_CACHE_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lockdefs.h"
#include "utils/acl.h"

#include "ds/hash.h"
#include "engine/engine.h"

/*
 * The library hides its symbols.  Before 16, PG_FUNCTION_INFO_V1 exports the
 * info function only.
 */
#if PG_VERSION_NUM < 160000
#undef PG_FUNCTION_INFO_V1
#define PG_FUNCTION_INFO_V1(funcname) \
extern PGDLLEXPORT Datum funcname(PG_FUNCTION_ARGS); \
extern PGDLLEXPORT const Pg_finfo_record *CppConcat(pg_finfo_, funcname) (void); \
const Pg_finfo_record * \
CppConcat(pg_finfo_, funcname) (void) \
{ \
	static const Pg_finfo_record my_finfo = {1}; \
	return &my_finfo; \
} \
extern int	no_such_variable
#endif

/* ---- settings (nr_guc.c); all but scan_memory are fixed at server start ---- */

extern int	nr_guc_memory_mb;	/* per node */
extern int	nr_guc_replicas;	/* 0 = auto */
extern int	nr_guc_max_caches;
extern int	nr_guc_max_sessions;	/* 0 = auto: MaxBackends + auxiliary */
extern int	nr_guc_log_size_kb; /* default of table option log_size */
extern int	nr_guc_max_entry_bytes; /* key + value */
extern int	nr_guc_max_batch_kb;	/* one atomic batch */
extern int	nr_guc_scan_memory_kb;	/* PGC_USERSET */

/* ---- shared memory (nr_shmem.c) ---- */

/* True once the library was preloaded and shared memory exists. */
extern bool nr_shmem_ready(void);

/* ERROR (object_not_in_prerequisite_state, with hint) unless nr_shmem_ready(). */
extern void nr_require_shmem(void);

/* The engine as this process sees it; valid when nr_shmem_ready(). */
extern NrEngine nr_engine;

/* ---- token (nr_token.c) ---- */

/* This backend's session, registered on first use; ERROR when all are taken. */
extern NrSession *nr_token(void);

/* ---- definition (nr_def.c) ---- */

/* How a key becomes bytes. */
typedef enum NrKeyKind
{
	NR_KEY_INT2,				/* 2, 4, 8 native bytes */
	NR_KEY_INT4,
	NR_KEY_INT8,
	NR_KEY_UUID,				/* 16 bytes */
	NR_KEY_VARLENA				/* text, varchar, bytea: the bytes without header */
} NrKeyKind;

typedef struct NrColumn
{
	AttrNumber	attnum;
	Oid			typid;			/* as declared: may be a domain */
	Oid			basetypid;
	int32		typmod;
	Oid			collation;
	int16		typlen;
	bool		typbyval;
	char		typalign;
} NrColumn;

/*
 * Definition of a cache, made from the catalogs; lives in its own memory
 * context until the relation's relcache entry is invalidated.
 */
typedef struct NrCacheDef
{
	MemoryContext context;
	Oid			relid;
	char	   *relname;		/* for messages */
	Oid			rowtypid;
	TupleDesc	tupdesc;		/* copy, blessed, with constraints */
	uint64		fingerprint;	/* of everything that gives the bytes their meaning */
	NrKeyKind	key_kind;
	NrColumn	key;
	int			nvalues;		/* 1 or more; dropped columns do not count */
	NrColumn   *values;
	bool		not_null;		/* some column is NOT NULL */
	bool		checks;			/* there are CHECK constraints or domains */
	bool		partition;		/* of a partitioned table: rows must belong here */
	bool		temporary;		/* in a session's own schema */
	uint32		copies;			/* in each replica */
	uint32		memory_extents; /* quota of each copy */
	uint32		log_bytes;
	uint32		line_bytes;		/* hash line width, chosen from the column types */
	TransactionId layout_xid;	/* latest of our own (sub)transactions that made the layout;
								 * invalid when it is committed */
} NrCacheDef;

/*
 * Build a definition from an open relation; ERRORs that say what is wrong with
 * the columns or options (feature_not_supported, invalid_table_definition).
 */
extern NrCacheDef *nr_def_build(Relation rel);

/* ---- a cache in use (nr_open.c, nr_lifetime.c) ---- */

/*
 * A cache as this backend knows it; one for each relation, kept in a backend
 * hash table.  A pointer is good until nr_epoch changes or the transaction
 * ends, whichever comes first: use nr_site_cache() to hold on to one longer.
 */
typedef struct NrCache
{
	Oid			relid;			/* hash key; must be first */
	bool		valid;			/* def matches the catalogs */
	LOCKMODE	locked;			/* strongest lock we took in this transaction; NoLock if none */
	NrCacheDef *def;
	NrHandle	handle;			/* attached while "attached" */
	bool		attached;
	uint32		group;			/* engine group number */
	uint64		seed;			/* of the group's hash */
} NrCache;

/*
 * Changes whenever a fact that an open cache rests on may have changed: end of
 * a transaction or subtransaction, relcache, role or ACL invalidation, SET ROLE
 * is compared separately.
 */
extern uint64 nr_epoch;

/*
 * From an OID to a cache that may be used until the end of the transaction:
 * checks preload, takes the lock (AccessShareLock to read, RowExclusiveLock to
 * write) under TopTransactionResourceOwner, builds the definition, checks the
 * privileges in "need" (ACL_SELECT, ACL_INSERT, ...; 0 = the executor did) for
 * GetUserId(), finds or makes the shared group, attaches.  ERRORs with
 * SQLSTATE and hint: undefined_object, wrong_object_type,
 * insufficient_privilege, configuration_limit_exceeded, out_of_memory.
 */
extern NrCache *nr_cache_open(Oid relid, LOCKMODE lockmode, AclMode need);

/* What a call site (fn_extra, a plan node) remembers, so that the next call costs a few compares. */
typedef struct NrSite
{
	uint64		epoch;			/* 0 = never */
	Oid			relid;
	Oid			userid;
	NrCache    *cache;
} NrSite;

static inline NrCache *
nr_site_cache(NrSite *site, Oid relid, LOCKMODE lockmode, AclMode need)
{
	if (likely(site->epoch == nr_epoch && site->relid == relid && site->userid == GetUserId()))
		return site->cache;
	site->epoch = 0;
	site->cache = nr_cache_open(relid, lockmode, need);
	site->relid = relid;
	site->userid = GetUserId();
	site->epoch = nr_epoch;		/* after: opening may process invalidations */
	return site->cache;
}

/* OID of the cache nr_default of this extension; ERROR with hint when it was dropped. */
extern Oid	nr_default_relid(void);

/*
 * When memory is short: free shared state whose database, relation or layout is
 * gone (nr_sweep.c).  Returns how many caches' worth.  Reads catalogs, so it may
 * process invalidations, but an open NrCache stays usable.
 */
extern int	nr_sweep(void);

/* True when the relation is a foreign table of this extension's FDW. */
extern bool nr_is_cache(Oid relid);

/* ---- keys and values as bytes (nr_codec.c) ---- */

/* Bytes of a key; small ones need no allocation. */
typedef struct NrKey
{
	const char *data;			/* into "fixed", or the datum itself, or palloc'd */
	uint32		bytes;
	uint64		hash;
	char		fixed[16];
} NrKey;

/* A key datum of the column's type, not NULL.  ERROR program_limit_exceeded when too long. */
extern void nr_key_encode(const NrCache *cache, Datum key, NrKey *out);
extern Datum nr_key_decode(const NrCacheDef *def, const char *data, uint32 bytes);

/*
 * Bytes of the value columns.  values/isnull are indexed by attnum - 1, as in a
 * slot; NULLs and dropped columns are kept apart from everything else.  The
 * result is palloc'd; ERROR program_limit_exceeded (with hint) over max_entry.
 */
extern char *nr_value_encode(const NrCacheDef *def, const Datum *values, const bool *isnull,
							 uint32 *bytes);

/* The reverse: fills values/isnull of the value columns; pass-by-reference data is copied (palloc). */
extern void nr_value_decode(const NrCacheDef *def, const char *data, uint32 bytes,
							Datum *values, bool *isnull);

/* One value column's answer as nr_get gives it: the column itself, or the row (key included) when there are several. */
extern Datum nr_value_datum(const NrCacheDef *def, const NrKey *key, const char *data, uint32 bytes,
							bool *isnull);

/* ---- through the engine (nr_exec.c) ---- */

/* Look a key up; data is backend memory that the next call overwrites.  False: missing. */
extern bool nr_exec_get(NrCache *cache, const NrKey *key, const char **data, uint32 *bytes);

/*
 * Apply encoded operations as one batch; interrupts are served while waiting,
 * before the request is taken.  ERRORs: out_of_memory (hint names the setting),
 * program_limit_exceeded.  Callers have called nr_require_writable.
 */
extern void nr_exec_write(NrCache *cache, const void *ops, size_t bytes, uint32 n, NrResult *result);

/* ERROR read_only_sql_transaction in a READ ONLY transaction; in parallel mode; on a standby allowed. */
extern void nr_require_writable(const char *what);

/* All entries at one log position, in the current memory context; ERROR over nr_cache.scan_memory. */
extern char *nr_exec_scan(NrCache *cache, uint64 *n, size_t *bytes);

#endif							/* NR_CACHE_H */
