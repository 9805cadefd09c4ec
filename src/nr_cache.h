/*
 * nr_cache.h
 *		What the files of the PostgreSQL side share.
 *
 * Who does what:
 *	 nr_init.c      _PG_init: settings, hooks, callbacks
 *	 nr_guc.c       settings
 *	 nr_shmem.c     shared memory: request, format, attach
 *	 nr_topology.c  which NUMA node each replica lies on; nr_numa.c   nodes, binding, where memory lies
 *	 nr_host.c      the engine's waits and wake-ups on latches and interrupts
 *	 nr_token.c     this backend's session (token)
 *	 nr_options.c   FDW validator: server, table and column options
 *	 nr_def.c       a cache's definition, read from the catalogs
 *	 nr_key_type.c  which types a key can have
 *	 nr_registry.c  shared table: (database, relation, layout) -> engine group
 *	 nr_lifetime.c  locks, drops, transaction callbacks, invalidation
 *	 nr_sweep.c     frees what nobody freed: orphans
 *	 nr_ddl.c       ProcessUtility: what CREATE / ALTER FOREIGN TABLE may say
 *	 nr_ddl_change.c   what an ALTER means for the entries: NOTICE, or ERROR
 *	 nr_ddl_type.c  what may not be altered about the composite types inside
 *	 nr_open.c      nr_cache_open: from an OID to a usable cache
 *	 nr_acl.c       may this user?
 *	 nr_codec.c     keys and values <-> bytes
 *	 nr_coerce.c    arguments -> column types
 *	 nr_constraint.c   NOT NULL, CHECK, generated columns for writers that are not the executor
 *	 nr_site.c      what a call site of a function remembers
 *	 nr_write_site.c   the same of a function that writes: from its arguments to a row
 *	 nr_exec*.c     reads and writes through the engine, with PostgreSQL's errors
 *	 nr_stage*.c    a transaction's writes before COMMIT, as it sees them itself
 *	 nr_commit.c    staged writes at the end of a transaction: prepare, append, drop
 *	 nr_take.c      caches that are taken, until their transaction ends
 *	 nr_writer.c    the single writer's lock
 *	 nr_fn_read.c, nr_fn_write.c, nr_fn_update.c, nr_fn_many.c, nr_fn_publish.c, nr_fn_take.c   SQL functions
 *	 nr_fdw*.c      planner, scans, modifications
 *	 nr_parallel.c  parallel plans in a transaction that has staged writes
 *	 nr_worker.c    a background worker for each replica
 *	 nr_views.c     set-returning functions behind the views
 *	 nr_crossings.c what crosses nodes; nr_row.h   rows of all these
 *	 nr_placed.c    columns of the views: on which nodes memory lies
 *	 nr_fn_stat.c   nr_stat_reset: counters since then
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
#include "nr_compat.h"

/* ---- settings (nr_guc.c); all but the last two are fixed at server start ---- */

extern int	nr_guc_memory_mb;	/* per node */
extern int	nr_guc_replicas;	/* 0 = auto */
extern int	nr_guc_max_caches;
extern int	nr_guc_max_sessions;	/* 0 = auto: MaxBackends + auxiliary */
extern int	nr_guc_log_size_kb; /* default of table option log_size */
extern int	nr_guc_max_entry_bytes; /* key + value */
extern int	nr_guc_max_batch_kb;	/* one atomic batch */
extern bool nr_guc_workers;
extern int	nr_guc_scan_memory_kb;	/* PGC_USERSET */
extern int	nr_guc_replica;		/* PGC_USERSET; -1: the one of this node */

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

/*
 * Has the kernel moved this process to another node?  Then its token follows to the replica that
 * serves that node, and with it the open caches.  Not between enter and leave; from PRE_COMMIT on
 * it does nothing.  Reads ask now and then: when they have entered NR_FOLLOW_EVERY times more.
 */
extern void nr_token_follow(void);

#define NR_FOLLOW_EVERY		64	/* power of two */

/* ---- definition (nr_def.c) ---- */

/* How a key becomes bytes. */
typedef enum NrKeyKind
{
	NR_KEY_INT1,				/* types passed by value: 1, 2, 4, 8 native bytes */
	NR_KEY_INT2,
	NR_KEY_INT4,
	NR_KEY_INT8,
	NR_KEY_FIXED,				/* uuid, macaddr, ...: the type's length */
	NR_KEY_VARLENA,				/* text, bytea, inet, ...: the bytes without header */
	NR_KEY_BPCHAR,				/* char(n): without blanks at the end */
	NR_KEY_NAME					/* name: without the zero bytes at the end */
} NrKeyKind;

/* Options "scheme" and "visibility". */
typedef enum NrScheme
{
	NR_SCHEME_NR,				/* a replica on each node, many writers */
	NR_SCHEME_LEFT_RIGHT		/* one replica of two copies, one writer at a time */
} NrScheme;

typedef enum NrVisibility
{
	NR_VISIBLE_COMMIT,			/* staged in the backend, appended at COMMIT */
	NR_VISIBLE_IMMEDIATE,		/* each call, at once */
	NR_VISIBLE_MANUAL			/* collected in shared memory until nr_publish() */
} NrVisibility;

/* As the options have them (nr_options.c). */
extern const char *nr_scheme_name(NrScheme scheme);
extern const char *nr_visibility_name(NrVisibility visibility);

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
	int			key_chars;		/* NR_KEY_BPCHAR: characters to pad to; 0: none */
	NrColumn	key;
	int			nvalues;		/* 1 or more; dropped columns do not count */
	NrColumn   *values;
	bool		not_null;		/* some column is NOT NULL */
	bool		checks;			/* there are CHECK constraints, domains or generated columns */
	bool		partition;		/* of a partitioned table: rows must belong here */
	bool		temporary;		/* in a session's own schema */
	NrScheme	scheme;
	NrVisibility visibility;
	uint32		copies;			/* in each replica */
	bool		aliased;		/* two copies, and they share long entries */
	uint32		memory_extents; /* quota of each copy */
	uint32		shared_extents; /* most that two copies may share, within the quota of both */
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

/* What is wrong with it; NULL: nothing.  ERRORs of other kinds are raised. */
extern ErrorData *nr_def_error(Relation rel);

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
	struct NrStage *stage;		/* this transaction's staged writes, or NULL; nr_stage.h */
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
 * privileges in "need" (ACL_SELECT, ACL_INSERT, ..., NR_ACL_ANY; 0 = the executor
 * did) for GetUserId(), finds or makes the shared group, attaches.  ERRORs with
 * SQLSTATE and hint: undefined_object, wrong_object_type,
 * insufficient_privilege, configuration_limit_exceeded, out_of_memory.
 */
extern NrCache *nr_cache_open(Oid relid, LOCKMODE lockmode, AclMode need);

/*
 * Whether a user has all privileges in "need", each on the table or on every
 * column (nr_acl.c).  With NR_ACL_ANY: at least one of them, on the table or on
 * some column.
 */
#define NR_ACL_ANY		((AclMode) 1 << 15)

extern bool nr_acl_allows(Oid relid, Oid userid, AclMode need);

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
 * gone (nr_sweep.c).  Returns how many caches' worth sweeps have freed since the
 * call, this one or another that was under way.  Reads catalogs, so it may process
 * invalidations, but an open NrCache stays usable.
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

/* ---- reads and writes, as this transaction sees them (nr_exec.c, nr_exec_write.c) ---- */

/*
 * Look a key up: the newest state, own staged writes included / as a scan sees it
 * whose snapshot has this CommandId (es_snapshot->curcid).  "data" is backend memory,
 * good until the next call of any function here or of nr_stage.h.  False: missing.
 */
extern bool nr_exec_get(NrCache *cache, const NrKey *key, const char **data, uint32 *bytes);
extern bool nr_exec_get_before(NrCache *cache, const NrKey *key, CommandId before,
							   const char **data, uint32 *bytes);

/* Is there such a key, in the newest state?  Copies no value and counts as no read. */
extern bool nr_exec_exists(NrCache *cache, const NrKey *key);

/*
 * All entries, at one log position, in the current memory context, as
 * DS_HASH_SCAN packs them; ERROR over nr_cache.scan_memory.  "before":
 * es_snapshot->curcid, or NR_STAGE_NEWEST (nr_stage.h).  With "refused" (0 before; or
 * NULL) that is no ERROR: *refused says how many bytes it takes, and nothing else means
 * anything.
 */
extern char *nr_exec_scan(NrCache *cache, CommandId before, uint64 *n, size_t *bytes,
						  size_t *refused);

/* The same of a cache that this transaction has taken (nr_take.c), where all others find nothing. */
extern char *nr_exec_scan_retired(NrCache *cache, uint64 *n, size_t *bytes);

/*
 * Apply encoded operations as one batch, at once (visibility immediate) or collected
 * until nr_publish (manual: what "result" says of them means nothing).  Interrupts
 * are served while waiting, before the request is taken.  ERRORs: out_of_memory (hint
 * names the setting), program_limit_exceeded.  Callers have called
 * nr_require_writable.  Not for visibility commit: see nr_exec_put_bytes.
 */
extern void nr_exec_write(NrCache *cache, void *ops, size_t bytes, uint32 n, NrResult *result);

/*
 * The lock of a cache that has a single writer (nr_writer.c): shows in pg_locks
 * as advisory, with objsubid NR_WRITER_LOCK; waits are cancellable, deadlocks
 * are detected, lock_timeout counts.  "for_transaction": held until the
 * transaction ends; else nr_writer_unlock gives it up, or an error.
 * With "wait" false: false when another has it.
 */
#define NR_WRITER_LOCK	0x6e77

extern bool nr_writer_lock(Oid relid, bool for_transaction, bool wait);
extern void nr_writer_unlock(Oid relid);

/*
 * ERROR read_only_sql_transaction in a READ ONLY transaction, or in parallel mode.
 * Passes on a standby, where the write itself is refused unless the cache's
 * visibility is immediate.
 */
extern void nr_require_writable(const char *what);

/* Did this transaction begin on a standby (promoted since, or not)? */
extern bool nr_on_standby(void);

/* The hint of an error that is raised for that. */
extern int	nr_standby_hint(void);

#endif							/* NR_CACHE_H */
