/*
 * engine.h
 *		The engine's public face: memory, sessions (tokens), groups, reads, writes.
 *
 * A *group* is node replication's unit: one operation log and R replicas of one
 * structure, one on each node (Calciu et al., ASPLOS 2017).  Any number of
 * groups share one engine: its extent pool and its sessions.
 *
 * MEMORY is the caller's: one control block and one region for each replica
 * (node), mapped by every process, at any address.  The engine formats it
 * (nr_engine_init, once) and finds it (nr_engine_attach, each process).
 * Handles (NrEngine, NrSession, NrHandle) are process-local plain structs.
 *
 * ROLES AND SERIALISATION
 *	 nr_engine_init            one process, before any other call
 *	 nr_group_create, destroy  the caller serialises them, and nobody may be
 *	                           attached to a group that is destroyed (in
 *	                           PostgreSQL the lock manager sees to that)
 *	 everything else           any process, any time, through its own session
 * One session belongs to one thread of control and does one thing at a time.
 *
 * COPIES.  A replica holds one copy, which readers and the combiner share under
 * a distributed readers-writer lock, or two (left-right, Ramalhete & Correia
 * 2015): readers enter the newer one in a bounded number of steps, whatever
 * anybody else does, and the combiner applies the log to the older one and
 * flips.
 *
 * PROGRESS.  A read waits only for a combiner of its own replica: to finish its
 * batch, or to catch up with what completed before the read began.  A write
 * waits for a response; who holds the combiner lock serves all.  All waits go
 * through NrHost.wait after a short spin.
 *
 * WHEN A CALLER DIES without a word, shared memory must be thrown away: the
 * engine does not recover (PostgreSQL resets its memory for the same reason).
 * When a caller stops (SIGSTOP), see docs/ENGINE.md, "what a stopped process
 * can do".
 *
 * Errors are returned as NrStatus; a status other than NR_OK means that
 * nothing happened, unless said otherwise.
 */
#ifndef NR_ENGINE_H
#define NR_ENGINE_H

#include "engine/atomic.h"
#include "engine/dispatch.h"

#define NR_REPLICAS_MAX		64
#define NR_SESSIONS_MAX		65000
#define NR_GROUPS_MAX		65000
#define NR_EXTENT_SHIFT_MIN	12
#define NR_EXTENT_SHIFT_MAX	24
#define NR_SESSION_NONE		UINT32_MAX

/* Sizes of everything; all are configuration so that tests can make them tiny. */
typedef struct NrGeometry
{
	uint32_t	replicas;		/* 1 .. NR_REPLICAS_MAX */
	uint32_t	sessions;		/* 1 .. NR_SESSIONS_MAX */
	uint32_t	groups;			/* 1 .. NR_GROUPS_MAX */
	uint32_t	extents;		/* on each node, 4 .. 2^20 */
	uint32_t	extent_shift;	/* log2 bytes, 12 .. 24 */
	uint32_t	session_buffer_bytes;	/* requests up to this size need no extent; multiple of
										 * 64, 256 .. extent size / 2 */
} NrGeometry;

typedef struct NrSession NrSession;
struct NrEngine;

/* What a session waits for; shown to operators. */
typedef enum NrWaitReason
{
	NR_WAIT_NONE = 0,
	NR_WAIT_RESPONSE,			/* a combiner to serve our request */
	NR_WAIT_COMBINER,			/* a combiner to let go of the lock */
	NR_WAIT_WRITER,				/* read: a batch being applied */
	NR_WAIT_CATCH_UP,			/* read: the replica to reach the completed tail */
	NR_WAIT_READERS,			/* combiner: readers to leave the copy */
	NR_WAIT_LOG_SPACE			/* a lagging replica to free log space */
} NrWaitReason;

/*
 * What the engine needs from whoever embeds it.
 *
 * wait: sleep until somebody calls wake for this session, or timeout_us has
 * passed (timeout_us < 0: no timeout), or, if "cancellable", the caller should
 * give up.  Returns true to go on waiting, false to give up.  A wake that came
 * before the wait counts (as with PostgreSQL's latches); spurious returns are
 * allowed.
 *
 * wake: end the current or next wait of that session.  Called with the
 * combiner lock held, so it must not block.  The session may be gone or its
 * number reused: then waking a stranger must be harmless.
 */
typedef struct NrHost
{
	bool		(*wait) (NrSession *session, NrWaitReason why, long timeout_us, bool cancellable);
	void		(*wake) (struct NrEngine *engine, uint32_t session_idx);
	uint32_t	spins;			/* pauses before a wait sleeps; 0 = sleep at once */
} NrHost;

/* Process-local handle of the engine. */
typedef struct NrEngine
{
	NrGeometry	geo;
	const NrHost *host;
	char	   *control;
	char	   *region[NR_REPLICAS_MAX];	/* whole region of each replica */
	char	   *extents[NR_REPLICAS_MAX];	/* where its extents begin */
	uint32_t	stride;			/* from one region to the next, in extents; 0: they are not that regular */
	uint32_t	bitmap_words;	/* 64-bit words of a bitmap over sessions */
	void	   *user;			/* the host's */

	/* where things are, as layout.h reckons it from "geo" */
	char	   *groups;
	size_t		group_bytes;
	size_t		bitmap_bytes;
	size_t		slots_at;
	size_t		buffers_at;
	size_t		replicas_at;
	size_t		replica_bytes;
} NrEngine;

/*
 * Bytes of the control block, and of the region of one replica.  Both must be
 * aligned to the extent size when given to init; region sizes are the same for
 * all replicas.  0 when the geometry is out of range.  Where regions follow one another
 * at equal distances, a group with one replica is interleaved over all of them; that must be
 * the same for whoever attaches.
 */
extern size_t nr_engine_control_bytes(const NrGeometry *geo);
extern size_t nr_engine_region_bytes(const NrGeometry *geo);

/*
 * Format memory (zeroed by the caller or fresh) / find formatted memory.
 * NR_BAD_CONFIG: a size out of range, or, at attach, memory that was formatted
 * by another version or geometry, or not at all.
 */
extern NrStatus nr_engine_init(NrEngine *engine, const NrGeometry *geo, const NrHost *host,
							   void *control, void *const *regions);
extern NrStatus nr_engine_attach(NrEngine *engine, const NrGeometry *geo, const NrHost *host,
								 void *control, void *const *regions);

/* ---- sessions (the designs' tokens) ---- */

/*
 * What sessions of a replica have touched outside of it, where there are several; what each is, is said in
 * crossing.h.  A cache line crosses nodes for it at most, and does not if nobody else has used it meanwhile.
 * Reads that find their replica where it must be count nothing.
 */
typedef struct NrCrossings
{
	uint64_t	shared_updates; /* of the group's own lines */
	uint64_t	pool_updates;
	uint64_t	slots;			/* of the log, in another replica's memory */
	uint64_t	positions;		/* of other replicas, looked at */
	uint64_t	batches;		/* of other replicas, applied */
	uint64_t	bytes;			/* of these */
	uint64_t	visits;			/* to other replicas, to change something */
} NrCrossings;

struct NrSession
{
	NrEngine   *engine;
	uint32_t	idx;			/* dense, reused */
	uint32_t	replica;
	uint32_t	inside;			/* depth of nr_enter */
	uint32_t	entries;		/* how often it entered; tells one entry from the next */
	uint64_t	excused;		/* how often it found that writers had stopped to look for it (rwlock.h) */
	bool		worker;			/* nr_worker_appoint */
	NrAtomic64 *asleep;			/* where a worker has said so, or NULL */
	uint32_t	crossed_group;	/* of which "crossed" counts, not flushed yet */
	NrCrossings crossed;		/* "slots" wherever they lie, "positions" of all others at a time */
	struct NrSessionShared *shared;
	void	   *user;			/* the host's */
};

/*
 * Take / give back a token.  owner_pid and owner_data are shown by
 * nr_session_info and mean nothing to the engine.  Never blocks.
 * NR_NO_SESSION: all are taken.  unregister withdraws a request that nobody
 * has taken, waits (not cancellable) for the response to one that was, and
 * must not be called between enter and leave, nor with a write prepared.
 */
extern NrStatus nr_session_register(NrEngine *engine, uint32_t replica, uint32_t owner_pid,
									uint64_t owner_data, NrSession *session);
extern void nr_session_unregister(NrSession *session);

/*
 * Go on with another replica, for a process that runs elsewhere now.  NR_BUSY between enter and
 * leave; NR_BAD_CONFIG: there is no such replica.  The caller has nothing prepared and owns no
 * group; it detaches each handle and attaches it anew before it uses any.  Reads through
 * the new replica see all that the old one has shown.
 */
extern NrStatus nr_session_move(NrSession *session, uint32_t replica);

typedef struct NrSessionInfo
{
	bool		used;
	uint32_t	replica;
	uint32_t	owner_pid;
	uint64_t	owner_data;
	uint32_t	generation;		/* how often this slot was given out */
	NrWaitReason waiting_for;
	uint32_t	waiting_group;	/* group of that wait */
	uint32_t	waiting_on_session; /* whom it waits on, NR_SESSION_NONE if nobody in particular */
	uint64_t	waits;			/* sleeps since registration */
	uint64_t	moves;			/* nr_session_move since then */
	bool		worker;			/* nr_worker_appoint */
} NrSessionInfo;

extern void nr_session_info(NrEngine *engine, uint32_t idx, NrSessionInfo *info);

/* ---- groups ---- */

typedef struct NrGroupConfig
{
	uint32_t	extents_max;	/* quota: extents of each copy, log not counted */
	uint32_t	shared_max;		/* with two copies of a structure that can: extents that they share at most, all within
								 * the quota of both together; 0: they share nothing */
	uint32_t	log_bytes;		/* for each replica; rounded up to whole extents, at least one */
	uint32_t	batch_bytes_max;	/* largest request, headers included */
	uint32_t	copies;			/* in each replica: 1 (0 means 1) or 2 */
	uint32_t	replicas;		/* 0: one on each node; 1: one for all, its extents interleaved over the nodes */
	bool		lazy;			/* appends of prepared writes wait for nobody; readers make sure that
								 * they see what was appended, even with one replica */
	uint32_t	log_slots;		/* batches the log holds; power of two >= 2; 0 = by log_bytes */
	uint32_t	arg_bytes;
	char		arg[NR_ARG_BYTES];	/* for the structure */
} NrGroupConfig;

/*
 * Make group number g (free, < geo.groups).  NR_NO_SPACE: not enough extents;
 * NR_NO_GROUP: g is in use; NR_BAD_CONFIG.
 * destroy: every extent of the group goes back to the pool; before that the
 * structure may drop its copies ("dispatch" may be NULL: it has nothing to drop).
 */
extern NrStatus nr_group_create(NrEngine *engine, uint32_t g, const NrGroupConfig *config,
								const NrDispatch *dispatch);
extern void nr_group_destroy(NrEngine *engine, uint32_t g, const NrDispatch *dispatch);
extern bool nr_group_exists(NrEngine *engine, uint32_t g);

/* A session's way into a group; process-local. */
typedef struct NrHandle
{
	NrSession  *session;
	const NrDispatch *dispatch;
	struct NrGroup *group;
	struct NrReplica *replica;	/* of the session's replica */
	uint32_t	g;
	uint32_t	generation;		/* of the group */
	NrCopy		copies[2];		/* of the session's replica */
	const NrCopy *copy;			/* between enter and leave: the one to read */
	uint32_t	ncopies;
	uint32_t	r;				/* the replica: of the session, or 0 when the group has only one */
	bool		look;			/* reads must look at the completed tail */
	bool		plain;			/* one copy, and reads need not */
	uint64_t	announced;		/* session->excused when it was last known to be looked for */
	struct NrReaderLine *reader;	/* this session's on that replica: line, slot, buffer */
	struct NrRequestSlot *slot;
	char	   *buffer;
	/* process-local counts since the last nr_handle_flush_counters */
	uint64_t	hits;
	uint64_t	misses;
} NrHandle;

/*
 * NR_GONE: no such group; NR_BAD_CONFIG: made for another dispatch id.  Never
 * blocks.  One handle for each session and group: detaching gives up what tells
 * writers to look for this session.
 */
extern NrStatus nr_group_attach(NrSession *session, uint32_t g, const NrDispatch *dispatch,
								NrHandle *handle);
extern void nr_group_detach(NrHandle *handle);

/* ---- reads ---- */

/*
 * Enter the copy for reading / leave it.  Between the two the copy does not
 * change and holds everything that completed before nr_enter was called:
 * reads are linearizable (the read waits until its replica has reached the
 * completed tail; paper section 5.3).  Do not block, allocate or write in
 * between; enter may nest on the same group.
 * cancellable: give up when the host says so: NR_CANCELLED, not entered.
 * NR_GONE: the group is retired.
 */
extern NrStatus nr_enter(NrHandle *handle, bool cancellable);
extern void nr_leave(NrHandle *handle);

/* enter, dispatch, leave; the structure's own status, or NR_CANCELLED. */
extern NrStatus nr_execute(NrHandle *handle, const void *op, void *resp, bool cancellable);

/* ---- writes ---- */

typedef struct NrResult
{
	NrStatus	status;			/* first status that is not NR_OK, else NR_OK */
	uint32_t	done;			/* operations that answered NR_OK */
	uint32_t	flagged;		/* of these, answers with flag set */
	uint64_t	seq;			/* log position of the batch that carried the request, or that it counted as */
	NrResponse	last;			/* response of the last operation; data/capacity by the caller */
} NrResult;

/*
 * Apply a request: "n" operations, encoded back to back in "ops" (NrOpHeader,
 * payload, zero padding to 8 bytes), "bytes" in all.  One atomic step for all
 * readers; visible to every read that starts after this returns.
 *
 * Returns NR_OK when the request was applied; result->status then tells how its
 * operations fared (an operation answered NR_NO_SPACE or NR_BAD_OP changed
 * nothing; the others of the request stand).
 * NR_BAD_CONFIG: operations of nr_append are pending.
 * NR_TOO_LARGE: bytes over batch_bytes_max, or one operation over
 * nr_op_bytes_max.  NR_NO_SPACE: no extent for the payload of a request larger
 * than the session buffer.  NR_BAD_OP: lengths that do not add up.
 * NR_CANCELLED: withdrawn, only when cancellable.  In these cases nothing
 * happened.  Once a combiner has taken the request, the response is awaited.
 */
extern NrStatus nr_execute_mut(NrHandle *handle, const void *ops, size_t bytes, uint32_t n,
							   bool cancellable, NrResult *result);

/* ---- prepared writes: all that may fail or wait comes first ---- */

/*
 * Appending comes in two steps, for whoever must not fail at the second one (a
 * transaction's commit): nr_prepare gets everything that the request will need,
 * and then nr_prepared_append makes it visible or nr_prepared_drop gives
 * everything back.  The struct is the caller's, stays where it is between the
 * two, and means nothing to anybody else.  A session may have prepared writes for
 * several groups at a time, one for each.
 *
 * In a lazy group any number of sessions may have prepared writes; append
 * waits for nobody: if the replica is in use, whoever reads next applies them.
 *
 * In a group that is not lazy, which must have two copies, the caller sees to it
 * that there is one writer at a time.  nr_prepare then also takes the combiner lock of
 * each replica, waits for readers of the older copy and catches it up, and append
 * applies and flips: it waits for nobody.  Readers never wait.
 *
 * A group takes either these writes or nr_execute_mut: that one uses whatever memory is
 * there, which may be what a prepared write has been promised.
 *
 * NR_PREPARE_ORDERED: draw an order number (dispatch.h) between these two steps.
 *
 * nr_prepare: NR_TOO_LARGE, NR_BAD_OP as nr_execute_mut; NR_NO_SPACE: memory for the
 * request or for its worst case in the copies is not to be had; NR_BUSY: with
 * NR_PREPARE_TRY, which never waits; NR_CANCELLED; NR_BAD_CONFIG: the group or its
 * structure does not support it.  Nothing is held then.
 */
#define NR_PREPARE_ORDERED	1
#define NR_PREPARE_TRY		2

typedef struct NrPrepared
{
	struct NrBatch *batch;		/* NULL: nothing is prepared */
	uint32_t	extent;			/* physical, that holds the batch */
	uint32_t	chunk;			/* where in it */
	uint32_t	replica;		/* on whose node */
	uint32_t	payload;		/* first extent of a large request, or NR_NO_EXTENT */
	bool		locked;			/* the combiner lock is held */
	uint64_t	order_seq;
} NrPrepared;

extern NrStatus nr_prepare(NrHandle *handle, const void *ops, size_t bytes, uint32_t n, uint32_t flags,
						   bool cancellable, NrPrepared *prepared);
extern void nr_prepared_append(NrHandle *handle, NrPrepared *prepared);
extern void nr_prepared_drop(NrHandle *handle, NrPrepared *prepared);

/* ---- append ... publish (left_right's WriteHandle) ---- */

/*
 * nr_append: add operations to those that nr_publish will make visible, all at
 * once.  Nobody sees them before.  The caller sees to it that there is one writer
 * at a time, be it another session each time: what is pending belongs to the
 * group.  Waits for nobody, but before the first publish: then, with one replica
 * of two copies, they go straight to the copy that nobody reads, "result" tells how
 * they fared, absorb_first may amend them, and NR_CANCELLED is possible.  Otherwise result->done is n.
 * NR_TOO_LARGE: more than batch_bytes_max would be pending.  NR_NO_SPACE.
 *
 * nr_publish: make them visible; *n operations.  Errors as nr_prepare; all that
 * was pending still is.  nr_publish_try never waits: NR_BUSY.  nr_flush publishes
 * if anything is pending.  nr_pending_count: how many are.
 */
extern NrStatus nr_append(NrHandle *handle, void *ops, size_t bytes, uint32_t n, bool cancellable,
						  NrResult *result);
extern NrStatus nr_publish(NrHandle *handle, bool cancellable, uint64_t *n);
extern NrStatus nr_publish_try(NrHandle *handle, uint64_t *n);
extern NrStatus nr_flush(NrHandle *handle, bool cancellable);
extern uint64_t nr_pending_count(NrHandle *handle);

/*
 * The end of a group, while others still read (left_right: the WriteHandle is
 * dropped): when this returns NR_OK, all readers have left, and each that comes later
 * gets NR_GONE.  The caller sees to it that nobody writes any more; what is pending
 * is never published.  NR_CANCELLED: everything is as before.
 */
extern NrStatus nr_group_retire(NrHandle *handle, bool cancellable);
extern bool nr_group_retired(const NrHandle *handle);

/*
 * What can be done with a group that is retired, while nobody writes:
 *
 * nr_execute_retired: read it all the same (left_right: Taken).  NR_BAD_CONFIG: it is not retired.
 *
 * nr_group_restore: readers are let in again, and find everything as it was, or nothing after
 * nr_group_clear.  Never waits.
 *
 * nr_group_own / nr_group_disown: hold what nr_group_clear needs, the combiner
 * locks of all replicas, with all copies at the tail.  NR_CANCELLED: nothing is held.
 *
 * nr_group_clear, while owned: the structure drops its copies (drop_first,
 * drop_second), their memory goes back to the pool, and an empty structure is made as by
 * nr_group_create.  Nothing may be pending or prepared.  Never waits, cannot fail;
 * the group stays retired, and what comes first afterwards is loading again.
 */
extern NrStatus nr_execute_retired(NrHandle *handle, const void *op, void *resp);
extern void nr_group_restore(NrHandle *handle);
extern NrStatus nr_group_own(NrHandle *handle, bool cancellable);
extern void nr_group_disown(NrHandle *handle);
extern void nr_group_clear(NrHandle *handle);

/* Largest single operation, header included: it must fit an extent beside the engine's own header. */
extern size_t nr_op_bytes_max(const NrGeometry *geo);

/* Bring this session's replica / replica r to the tail of the log.  NR_CANCELLED. */
extern NrStatus nr_group_sync(NrHandle *handle, bool cancellable);
extern NrStatus nr_group_sync_replica(NrHandle *handle, uint32_t r, bool cancellable);

/*
 * Bring all replicas to one log position, compare checksums and verify each.
 * NR_OK or NR_DIVERGED; *replica is the first that differs from replica 0 or is
 * broken, *why a static text.  Stops writers for its duration, readers only
 * while a batch is applied.  NR_CANCELLED.
 */
extern NrStatus nr_group_check(NrHandle *handle, bool cancellable,
							   uint32_t *replica, const char **why);

/* ---- workers: keep replicas fresh that nobody uses ---- */

/*
 * A replica without readers and writers of its own falls behind, and then writers of other
 * replicas work for it when the log is full, from afar, while their own requests wait.  A
 * worker is a session that does nothing else than this, for which its process sees to it:
 *
 *	 for all groups nr_worker_refresh, again and again; between two such rounds
 *		nr_worker_nap, wait for a short time, nr_worker_rise;
 *	 if there was nothing to do for a while:
 *		nr_worker_rest, all groups once more, if there is still nothing wait to be woken, nr_worker_rise
 *
 * appoint: NR_BUSY: the session's replica has a worker.  dismiss: before the session is given back;
 * a session that was not appointed: nothing happens.  Neither blocks.
 *
 * refresh: bring the session's replica to the tail as far as nobody need be waited for.
 * NR_FRESH: there was nothing to do, or no such group.  NR_HELD_UP: a reader is inside or a combiner
 * at work.  NR_WAS_FAR_BEHIND: refreshed, and look again at once, since a good part of the log was
 * used up meanwhile.  The caller keeps the group from being destroyed meanwhile; a handle is not needed.
 *
 * rest: from now on the next append to any group of several replicas wakes this session by
 * NrHost.wake, once, or another worker that will.  nap: the same for an append that has used a
 * good part of a log up since the last such one.  rise: that is over; wakes the next one, if somebody
 * has woken us.
 */
typedef enum NrFreshness
{
	NR_FRESH = 0,
	NR_HELD_UP,
	NR_REFRESHED,
	NR_WAS_FAR_BEHIND
} NrFreshness;

extern NrStatus nr_worker_appoint(NrSession *session);
extern void nr_worker_dismiss(NrSession *session);
extern NrFreshness nr_worker_refresh(NrSession *session, const NrDispatch *dispatch, uint32_t g);
extern void nr_worker_nap(NrSession *session);
extern void nr_worker_rest(NrSession *session);
extern void nr_worker_rise(NrSession *session);

/* ---- what is going on ---- */

typedef struct NrPoolInfo
{
	uint32_t	extents;		/* in all, on each node */
	uint32_t	free;
	uint32_t	extent_bytes;
} NrPoolInfo;

extern void nr_pool_info(NrEngine *engine, NrPoolInfo *info);

/*
 * The group that an extent belongs to, at this moment; NR_EXTENT_FREE.  It lies at the same place of
 * each node's extents.  Whether extent x is used in the region of replica x mod replicas only, but for the log.
 */
#define NR_EXTENT_FREE	UINT32_MAX

extern uint32_t nr_extent_group(NrEngine *engine, uint32_t extent);
extern bool nr_group_interleaved(NrEngine *engine, uint32_t g);

typedef struct NrGroupInfo
{
	bool		exists;
	uint32_t	generation;
	uint32_t	copies;			/* in each replica */
	bool		aliased;		/* they share values */
	uint32_t	extents_max;	/* of all copies of one replica together, what they share included */
	uint32_t	extents_used;	/* mapped */
	uint32_t	extents_shared; /* of these, shared by two copies */
	uint32_t	extents_free;	/* of those that are mapped, not in use by the structure; estimate */
	bool		retired;		/* nr_group_retire: readers are sent away */
	uint32_t	extents_log;	/* log and payloads */
	uint64_t	tail;			/* batches appended */
	uint64_t	completed;		/* batches whose responses may be out */
	uint64_t	head;			/* batches applied by every replica */
	uint32_t	log_slots;		/* batches that fit the log */
	uint32_t	log_bytes;		/* payload ring of each replica */
	uint64_t	no_log_space;	/* times somebody found the log full */
	uint64_t	log_space_waits;	/* sleeps for log space */
	uint64_t	promised;		/* of the slots, taken by writes that are prepared and not appended */
	uint64_t	pending;		/* operations that await nr_publish */
	uint64_t	order_seq;		/* last order number drawn */
	uint64_t	order_horizon;	/* no number below it is yet to be appended */
	uint32_t	order_oldest;	/* the session whose number keeps it there, or NR_SESSION_NONE */
	uint64_t	granted;		/* extents granted and released, ever */
	uint64_t	released;
} NrGroupInfo;

typedef struct NrReplicaInfo
{
	uint64_t	applied;		/* batches that readers see */
	uint64_t	applied_idle;	/* in the other copy; the same with one copy */
	uint64_t	flips;			/* times readers were sent to the other copy */
	uint64_t	batches;		/* combined and appended by this replica */
	uint64_t	requests;		/* in these */
	uint64_t	ops;			/* in these */
	uint64_t	ops_applied;	/* own and others' */
	uint64_t	helped;			/* batches applied here by sessions of other replicas */
	uint64_t	ops_by_worker;	/* of ops_applied: by nr_worker_refresh; */
	uint64_t	ops_by_strangers;	/* by sessions of other replicas */
	uint64_t	bytes;			/* appended */
	uint64_t	ring_used_bytes;	/* of the payload ring */
	uint64_t	reads_hit;		/* as flushed by nr_handle_flush_counters */
	uint64_t	reads_missed;
	uint64_t	reader_waits;	/* reads that found a writer inside or had to catch up */
	uint64_t	reader_sleeps;
	uint64_t	writer_waits;	/* exclusive sections that found readers inside */
	uint64_t	writer_sleeps;
	uint64_t	response_sleeps;
	uint64_t	withdrawn;		/* requests cancelled in time */
	NrCrossings crossings;		/* by its sessions, as flushed by nr_handle_flush_counters */
	uint32_t	combiner;		/* session that holds the combiner lock, or NR_SESSION_NONE */
	uint32_t	blocking_reader;	/* session that the combiner waits for, or NR_SESSION_NONE */
} NrReplicaInfo;

/* By anybody; the caller keeps the group from being made or destroyed meanwhile. */
extern void nr_group_info(NrEngine *engine, uint32_t g, NrGroupInfo *info);
extern void nr_replica_info(NrEngine *engine, uint32_t g, uint32_t r, NrReplicaInfo *info);
extern void nr_handle_flush_counters(NrHandle *handle);

/* A test may want requests that others can find also of who is alone (write.c): if it wants to be at one of their points. */
#ifdef NR_TEST_POINTS
extern NrAtomic32 nr_test_announces;
#define NR_ANNOUNCES	(nr_load32_rlx(&nr_test_announces) != 0)

static inline bool
nr_test_point_announces(const char *name)
{
	return name[0] == '*' || strncmp(name, "request_", 8) == 0 || strcmp(name, "answered") == 0;
}
#else
#define NR_ANNOUNCES	false
#endif

/*
 * Memory of another replica: whatever touches it lies between NR_FAR and NR_FAR_END, which may nest.  With
 * test points, a hook hears of both, so that all else can be taken away from a process
 * and these be counted.  NR_FAR_MORE: it was found out how long it is.  Memory of the own replica may be
 * declared as well.
 */
typedef enum NrFar
{
	NR_FAR_SLOT,
	NR_FAR_POSITION,
	NR_FAR_BATCH,
	NR_FAR_VISIT,
	NR_FAR_WHOLE,				/* caches that are made and dropped, sessions that end, views: not counted */
	NR_FAR_MORE_OF_IT,
	NR_FAR_DONE
} NrFar;

#ifdef NR_TEST_POINTS
extern void (*nr_far_hook) (const NrEngine *engine, NrFar what, const void *start, size_t bytes, bool write);
#define NR_FAR(e, what, start, bytes, write) \
	do { if (nr_far_hook) nr_far_hook(e, what, start, bytes, write); } while (0)
#else
#define NR_FAR(e, what, start, bytes, write) ((void) 0)
#endif
#define NR_FAR_MORE(e, start, bytes) NR_FAR(e, NR_FAR_MORE_OF_IT, start, bytes, false)
#define NR_FAR_REGION(e, r) NR_FAR(e, NR_FAR_WHOLE, (e)->region[r], nr_engine_region_bytes(&(e)->geo), true)
#define NR_FAR_END(e) NR_FAR(e, NR_FAR_DONE, NULL, 0, false)

#endif							/* NR_ENGINE_H */
