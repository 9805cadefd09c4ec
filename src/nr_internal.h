/*
 * nr_internal.h
 *		What the files of the PostgreSQL core share among themselves: shared
 *		memory, registry, lifetime.  Nobody else includes it.
 *
 * SHARED MEMORY is one ShmemInitStruct request:
 *
 *	 NrShared | registry entries | latch owners | bases of counters | control block | region 0 | ...
 *
 * The blocks from the control block on are aligned to the larger of the extent
 * size and 2 MB, for which the request has room to spare, so that a region can
 * be bound to its node page by page.
 */
#ifndef NR_INTERNAL_H
#define NR_INTERNAL_H

#include "nr_cache.h"

#include "lib/ilist.h"
#include "port/atomics.h"
#include "storage/lwlock.h"
#include "utils/relcache.h"
#include "utils/timestamp.h"

#define NR_GUC_REPLICAS_MAX		16

/* ---- settings (nr_guc.c) ---- */

/* Define the settings.  "preloaded": also those that are fixed at server start. */
extern void nr_guc_init(bool preloaded);

/* ---- shared memory (nr_shmem.c) ---- */

/*
 * One cache's shared state: entry number i of the registry is group number i of
 * the engine.
 *
 * "state" is 0 when the entry is free, else its generation (a number that never
 * repeats) shifted left by one, with NR_REG_SWEEP set while somebody examines
 * whether it is an orphan; or NR_REG_LEFT when it has been freed but for the engine's
 * group, at which a worker is, who destroys it when it leaves.  It changes from 0, and to
 * 0, under the registry lock held exclusively; the mark is set and cleared without.  The
 * other fields are protected by the registry lock.
 */
typedef struct NrRegEntry
{
	pg_atomic_uint64 state;
	Oid			dboid;
	Oid			relid;
	uint64		fingerprint;
	uint64		seed;
	NrScheme	scheme;			/* part of the layout; here for the views, which */
	NrVisibility visibility;	/* cannot read other databases' catalogs */
	TransactionId xact;			/* private to this transaction, which changed the layout; or invalid */
	TransactionId layout_xid;	/* with the former: the (sub)transaction of it that did */
	TimestampTz stats_reset;	/* by nr_stat_reset(); 0: never */
} NrRegEntry;

/* Replicas of its group. */
#define nr_entry_replicas(entry) \
	((entry)->scheme == NR_SCHEME_LEFT_RIGHT ? 1 : nr_engine.geo.replicas)

#define NR_REG_SWEEP	UINT64CONST(1)
#define NR_REG_LEFT		UINT64_MAX
#define nr_reg_in_use(state)	((state) != 0 && (state) != NR_REG_LEFT)

typedef struct NrShared
{
	uint64		magic;
	uint64		last_generation;	/* registry lock, exclusive */
	pg_atomic_uint64 swept;		/* states that sweeps have freed; counts up under the registry lock */
	pg_atomic_uint32 sweeper;	/* pid of who sweeps; 0: nobody.  For parallel workers, see nr_sweep.c */
	uint32		nentries;
	pg_atomic_uint64 misplaced; /* replicas of which nr_numa_warn has said so */
	pg_atomic_uint32 worker_at[NR_GUC_REPLICAS_MAX];	/* where each replica's worker is: group + 1; 0: nowhere */
	char		pad[PG_CACHE_LINE_SIZE];	/* workers write the line above all the time */
	NrRegEntry	entries[FLEXIBLE_ARRAY_MEMBER];
} NrShared;

extern NrShared *nr_shared;
extern LWLock *nr_registry_lock;

/* PGPROC number of each session's owner: whose latch to set. */
extern pg_atomic_uint32 *nr_latch_owner;

/* What an entry's counters were at its stats_reset; under the registry lock. */
typedef struct NrStatBase
{
	NrGroupInfo group;
	NrReplicaInfo replicas[FLEXIBLE_ARRAY_MEMBER];
} NrStatBase;

#define nr_stat_base_bytes(nreplicas) \
	(offsetof(NrStatBase, replicas) + (Size) (nreplicas) * sizeof(NrReplicaInfo))

extern char *nr_stat_bases;		/* one for each entry */

/* Install the shared memory hooks; from _PG_init while libraries are preloaded. */
extern void nr_shmem_install(void);

/* Extents for a quota in kB, as this server is configured. */
extern uint32 nr_extents_for_kb(int64 kb);

/* ---- token (nr_token.c) ---- */

/* Until it is released, the token stays where it is: something is prepared. */
extern void nr_token_hold(bool hold);

/* ---- waiting (nr_host.c) ---- */

extern const NrHost nr_host;

/*
 * While set (not 0), cancellable waits give up at this time: for views, which
 * must answer although somebody is stopped.
 */
extern TimestampTz nr_host_patience_until;

/* Register names for what the engine waits for, where the server can show them (17 and later). */
extern void nr_host_name_waits(void);

/* What "why" is called in the views; NULL for NR_WAIT_NONE. */
extern const char *nr_wait_name(NrWaitReason why);

/* ---- options (nr_options.c) ---- */

typedef struct NrTableOptions
{
	NrScheme	scheme;
	NrVisibility visibility;
	int			copies;			/* in each replica: 1 or 2 */
	bool		aliased;		/* two copies, and they share long entries */
	int			memory_kb;		/* 0 = not given */
	int			log_size_kb;
} NrTableOptions;

/* Options of a foreign table, already validated; defaults for what is not given. */
extern void nr_table_options(List *options, NrTableOptions *out);

/* Whether a column's options say that it is the key. */
extern bool nr_column_is_key(List *options);

/* ---- types of keys (nr_key_type.c) ---- */

/* Set key_kind and key_chars; ERROR feature_not_supported that says why it cannot be a key. */
extern void nr_key_type(NrCacheDef *def, Form_pg_attribute att);

/* ---- definition (nr_def.c) ---- */

/*
 * Hash of everything that gives a cache's stored bytes their meaning; never
 * ERRORs for what the columns are.  *own_xid (may be NULL): see
 * NrCacheDef.layout_xid.
 */
extern uint64 nr_layout_fingerprint(Relation rel, TransactionId *own_xid);

/* What a change of definition is compared by. */
typedef struct NrLayout
{
	uint64		fingerprint;
	AttrNumber	key;			/* 0: none is left */
	int			keys_marked;	/* by option "key" */
	NrTableOptions options;
	TupleDesc	desc;			/* copy */
} NrLayout;

/* In the current memory context; never ERRORs for what the columns are. */
extern void nr_layout_read(Relation rel, NrLayout *layout);

/* ---- registry (nr_registry.c) ---- */

typedef struct NrRegRef
{
	uint32		group;
	uint64		generation;
	uint64		seed;
} NrRegRef;

/* Find the shared state of a layout in this database. */
extern bool nr_registry_find(Oid relid, uint64 fingerprint, NrRegRef *ref);

/*
 * Find or make it.  "committed": everybody else sees this layout too, and we
 * hold a lock on the relation, so states of other layouts are freed.  Otherwise
 * the state is private to this transaction, until nr_registry_settle says what
 * becomes of it.  NR_NO_GROUP, NR_NO_SPACE, NR_BAD_CONFIG.
 */
extern NrStatus nr_registry_make(const NrCacheDef *def, bool committed, NrRegRef *ref);

/*
 * True when the state that was found earlier is still the same one.  The caller
 * holds a lock on the relation, which keeps it so.
 */
extern bool nr_registry_confirm(const NrRegRef *ref);

/* Whether there is any shared state for a relation of this database. */
extern bool nr_registry_has(Oid relid);

/* Free states of a relation of this database, all but one layout.  Cannot fail. */
extern void nr_registry_free_relation(Oid relid, bool keep_one, uint64 keep_fingerprint);

/*
 * Free those of the private states of this transaction, and of its parallel workers,
 * for which "gone" says so; with NULL all of them are everybody's from now on.
 * "gone" is called under the registry lock.  Cannot fail.
 */
extern void nr_registry_settle(bool (*gone) (Oid relid, TransactionId layout_xid));

/* Free all states of a database that nobody is in.  Cannot fail. */
extern void nr_registry_free_database(Oid dboid);

/*
 * A copy of entry i; false when it is free.  For views and the sweep.  With
 * "group" (may be NULL) also what the engine knows of it and of its replicas,
 * counters since stats_reset.
 */
extern bool nr_registry_read(uint32 i, NrRegEntry *entry, NrGroupInfo *group,
							 NrReplicaInfo *replicas);

/* Sweep, first half: mark entry i, still of this generation. */
extern bool nr_registry_mark(uint32 i, uint64 generation);

/* Sweep, second half: free it if nobody has taken the mark away.  Cannot fail. */
extern bool nr_registry_free_marked(uint32 i, uint64 generation);

/*
 * The worker of replica r is at group i from visit to leave: nobody destroys it then.  False: there is
 * none, and no leave.  Only the worker's; it holds no lock meanwhile, and nobody waits for it: who frees
 * the entry leaves the group to it.
 */
extern bool nr_registry_visit(uint32 r, uint32 i);
extern void nr_registry_leave(uint32 r, uint32 i);

/* Give workers a moment to destroy what was left to them. */
extern void nr_registry_await_left(void);

/* ---- workers (nr_worker.c) ---- */

/* In the postmaster, while libraries are preloaded: a worker for each replica, if there are several. */
extern void nr_worker_install(void);

/* ---- counters (nr_fn_stat.c) ---- */

/* Take from the counters what they were at the entry's stats_reset.  The caller holds the registry lock. */
extern void nr_stat_since_reset(uint32 i, NrGroupInfo *group, NrReplicaInfo *replicas);

/* ---- where memory lies (nr_placed.c) ---- */

/*
 * At the start of the server: look at what has been touched of each region.  What is not
 * where it should be is a WARNING, once.
 */
extern void nr_placed_verify(void);

/* ---- numbers (nr_views.c) ---- */

/*
 * Ask the structure of a state; the caller holds a lock on its relation.  False when
 * it does not answer in a moment, since somebody holds it locked or stopped.
 */
extern bool nr_state_stat(const NrRegRef *ref, Oid relid, DsHashStat *stat);

/* ---- lifetime (nr_lifetime.c) ---- */

/* An NrCache and what only the core knows about it. */
typedef struct NrCacheEntry
{
	NrCache		cache;			/* must be first */
	uint64		attached_fingerprint;
	NrRegRef	ref;			/* while cache.attached */
	bool		in_use;			/* on the list of this transaction's caches */
	dlist_node	node;

	/* privileges that this user was found to have, and nr_catalog_epoch then */
	AclMode		allowed;
	Oid			allowed_user;
	uint64		allowed_epoch;
} NrCacheEntry;

/* Moves when an entry's relation, roles or memberships are invalidated. */
extern uint64 nr_catalog_epoch;

extern void nr_lifetime_init(void);

/* This backend's entry for a relation; made when missing / NULL when missing. */
extern NrCacheEntry *nr_entry(Oid relid);
extern NrCacheEntry *nr_entry_find(Oid relid);

/* Take a lock that lasts until the transaction ends, and put the entry on its list. */
extern void nr_entry_lock(NrCacheEntry *entry, LOCKMODE lockmode);

/* Give it up again: for a relation that turned out to be gone. */
extern void nr_entry_unlock(NrCacheEntry *entry);

/* A new definition takes the place of the old one, which lives on until the transaction ends. */
extern void nr_entry_set_def(NrCacheEntry *entry, NrCacheDef *def);

extern void nr_entry_detach(NrCacheEntry *entry);

/*
 * Remember that this transaction may change which layout of the relation is
 * the right one; settled when it ends.
 */
extern void nr_lifetime_touch(Oid relid);

/* The same of a relation, or of a database, that is being dropped. */
extern void nr_lifetime_drop(Oid relid);
extern void nr_lifetime_drop_database(Oid dboid);

/* Whether this transaction holds AccessExclusiveLock, as who changes a layout does. */
extern bool nr_locked_exclusively(Oid relid);

/* ---- sweep (nr_sweep.c) ---- */

/* nr_sweep(), once in the life of this backend: for orphans that nobody missed so far. */
extern void nr_sweep_once(void);

/* Whether this transaction has opened a cache. */
extern bool nr_lifetime_in_use(void);

/* Bring this backend's hit and miss counts into shared memory. */
extern void nr_lifetime_flush_counters(void);

/* The token has another replica: attach the caches of this transaction there, let go of others. */
extern void nr_lifetime_move(NrSession *session);

/* Let go of every cache, counts flushed: the token is about to be returned. */
extern void nr_lifetime_detach_all(void);

/* ---- stages at the end of (sub)transactions (nr_stage.c, nr_stage_read.c) ---- */

/* ERROR object_in_use when the cache's definition is not the one it was staged for. */
extern void nr_stage_check(const NrCache *cache);

/* RELEASE or ROLLBACK TO of the current subtransaction.  Cannot fail. */
extern void nr_stage_end_level(bool commit);

/* Has nothing that their caches rest on changed since each was last written to?  True when there is none. */
extern bool nr_stage_all_known(void);

/* All stages, in OID order of their caches; the array is the transaction's. */
extern int	nr_stage_list(struct NrStage ***list);
extern NrCache *nr_stage_cache(const struct NrStage *stage);

/* Forget one, of a cache that was dropped. */
extern void nr_stage_discard(struct NrStage *stage);

/* What a stage comes to, as one request; palloc'd. */
extern char *nr_stage_batch(const struct NrStage *stage, size_t *bytes, uint32 *n);

/* From now on, nothing can be staged / end of the transaction: forget all.  Cannot fail. */
extern void nr_stage_close(void);
extern void nr_stage_forget(void);

/* ---- commit (nr_commit.c) ---- */

/*
 * PRE_COMMIT, in two steps: forget stages of dropped caches and open the others
 * (reads catalogs); then prepare one batch for each.  May ERROR; waits are
 * interruptible.
 */
extern void nr_commit_check(void);
extern void nr_commit_prepare(void);

/* PRE_PREPARE: ERROR feature_not_supported when anything is staged. */
extern void nr_commit_refuse_prepare(void);

/* COMMIT: make all visible, waiting for nobody / ABORT: give everything back.  Cannot fail. */
extern void nr_commit_append(void);
extern void nr_commit_drop(void);

/* ---- takes (nr_take.c) ---- */

/*
 * Send the readers of a cache away, until this transaction has ended or, if it commits, until
 * somebody writes; what is pending is published before.  False: there is nothing to
 * take, since that has happened already.  The caller holds ExclusiveLock and reads what there is
 * (nr_exec_scan_retired).  Waits for readers, cancellable.  ERROR object_in_use.
 */
extern bool nr_take_begin(NrCache *cache);

/*
 * The cache was opened to write, with its lock: readers are let in again.  ERROR
 * object_in_use when this transaction has taken its entries.
 */
extern void nr_take_before_write(NrCache *cache);

/* RELEASE or ROLLBACK TO of the current subtransaction.  Cannot fail. */
extern void nr_take_end_level(bool commit);

/* PRE_PREPARE: ERROR feature_not_supported when anything is taken. */
extern void nr_take_refuse_prepare(void);

/* PRE_COMMIT, after everything else, since others wait meanwhile.  May ERROR; waits are interruptible. */
extern void nr_take_prepare(void);

/* COMMIT: drop what was taken / ABORT: let readers in again.  Cannot fail. */
extern void nr_take_commit(void);
extern void nr_take_rollback(void);

/* ---- DDL (nr_ddl.c) ---- */

extern void nr_ddl_init(void);

/* Forget what was to be checked; at the end of a transaction. */
extern void nr_ddl_forget(void);

/*
 * A statement has made "after" of "before" (nr_ddl_change.c).  NOTICE when that
 * empties a cache which has entries or something pending; ERROR object_in_use when
 * this transaction has written to it.
 */
extern void nr_ddl_changed(Relation rel, const NrLayout *before, const NrLayout *after);

/*
 * The key column has been dropped, and no column is marked in its stead:
 * ERROR invalid_table_definition, or with "cascaded" a WARNING, since whoever
 * drops a type need not know of the cache.
 */
extern void nr_ddl_check_key(Relation rel, const NrLayout *before, const NrLayout *after,
							 bool cascaded);

/*
 * A column of some relation is being altered (nr_ddl_type.c): ERROR when its
 * type changes and a cache has values of the relation's row type.
 */
extern void nr_ddl_check_attribute(Oid relid, AttrNumber attnum);

/* ---- parallel plans (nr_parallel.c) ---- */

extern void nr_parallel_init(void);

/* ---- open (nr_open.c) ---- */

/* The relcache entry of a relation (InvalidOid: of all) was invalidated. */
extern void nr_default_forget(Oid relid);

#endif							/* NR_INTERNAL_H */
