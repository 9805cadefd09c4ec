/*
 * nr_fn.h
 *		What the SQL functions share: call sites, coercions, constraint checks,
 *		and the parts of the codec that avoid an allocation.
 *
 * A CALL SITE is one place in one plan: its FmgrInfo.fn_extra holds what was
 * found out at the first call, so that the next one costs a few compares: the
 * cache (NrSite) and how each argument becomes a column's type.  All of it is
 * found out anew whenever nr_epoch, the relation or the user changes.
 *
 * USER CODE.  A cast, an input function, a domain or a CHECK constraint may run
 * anything, so also whatever moves nr_epoch, after which the NrCache pointer is
 * not good any more.  After such code the functions fetch it again with
 * nr_site_again().  Nothing of a call site points into a NrCacheDef.
 */
#ifndef NR_FN_H
#define NR_FN_H

#include "nr_cache.h"

#include "executor/tuptable.h"
#include "nodes/execnodes.h"

/* ---- call sites (nr_site.c) ---- */

/* True when the site knows this cache already and nothing has changed since. */
static inline bool
nr_site_knows(const NrSite *site, Oid relid)
{
	return site->epoch == nr_epoch && site->relid == relid && site->userid == GetUserId();
}

/* Slow half of nr_site_again(). */
extern NrCache *nr_site_reopen(const NrSite *site, uint64 fingerprint, LOCKMODE lockmode,
							   AclMode need);

/*
 * The site's cache after something ran that may have moved nr_epoch.  ERROR
 * object_in_use when its definition is not the one that was resolved.  "need"
 * is what the site was resolved with.
 */
static inline NrCache *
nr_site_again(const NrSite *site, uint64 fingerprint, LOCKMODE lockmode, AclMode need)
{
	if (likely(site->epoch == nr_epoch))
		return site->cache;
	return nr_site_reopen(site, fingerprint, lockmode, need);
}

/* The call's cache argument (number 0).  ERROR null_value_not_allowed. */
extern Oid	nr_arg_cache(FunctionCallInfo fcinfo);

/* Actual type of an argument.  ERROR when the call site does not tell. */
extern Oid	nr_arg_type(FunctionCallInfo fcinfo, int argno);

/*
 * A cache's name as one would write it in a call: 'fx', '"My cache"', 'app.fx'.  For
 * an OID that may not be one, "otherwise" when there is no such relation.
 */
extern char *nr_cache_literal(const NrCacheDef *def);
extern char *nr_relation_literal(Oid relid, const char *otherwise);

/*
 * A context for what a site resolves, in *context: at first the one that the site is in,
 * from the second time on one of its own, emptied.
 */
extern MemoryContext nr_site_context(FunctionCallInfo fcinfo, MemoryContext *context);

/*
 * A fallback must have exactly the value column's type (or the type beneath its
 * domain), or the row type when there are several value columns.  ERROR
 * datatype_mismatch, whose hint shows the call as it should be.
 */
extern void nr_check_fallback(const NrCacheDef *def, Oid type, const char *function);

/*
 * The same for an argument that is more than a fallback; "what" it is, and an
 * example of it.
 */
extern void nr_check_exact_type(const NrCacheDef *def, Oid type, const char *what,
								const char *function, const char *example);

/*
 * The cache nr_default for the short forms of the functions, which take and
 * give text.  ERRORs' hints show the long forms; "example" is one.
 */
extern NrCache *nr_default_open(FunctionCallInfo fcinfo, LOCKMODE lockmode, AclMode need,
								const char *example);

/* ---- coercions (nr_coerce.c) ---- */

/* Bytes of smallint, integer, bigint; 0 for other types. */
extern int16 nr_int_type_len(Oid type);

typedef enum NrCoerceKind
{
	NR_COERCE_DIRECT,			/* nothing to do */
	NR_COERCE_INT,				/* among smallint, integer, bigint */
	NR_COERCE_INPUT,			/* text or unknown, through the input function of the type */
	NR_COERCE_EXPR				/* an assignment cast with its domains and typmod */
} NrCoerceKind;

typedef struct NrCoerce
{
	NrCoerceKind kind;
	int16		from_len;		/* NR_COERCE_INT: bytes */
	int16		to_len;
	bool		from_cstring;	/* NR_COERCE_INPUT: not a text but a C string */
	int32		typmod;
	Oid			ioparam;
	FmgrInfo	input;
	ExprState  *expr;			/* NR_COERCE_EXPR */
	ExprContext *econtext;
	const char *column;			/* names for errors' contexts */
	const char *cache;
} NrCoerce;

/*
 * Find out how values of type "from" become "to" with "typmod", as an
 * assignment does it; "context" keeps what is needed.  "column" is for the
 * messages: errors of the coercion itself say it as their context.  ERROR
 * datatype_mismatch (with a hint) when there is no way.
 */
extern void nr_coerce_init(NrCoerce *coerce, MemoryContext context, Oid from, Oid to,
						   int32 typmod, const NrCacheDef *def, AttrNumber column);

/* Slow half of nr_coerce(). */
extern Datum nr_coerce_slow(NrCoerce *coerce, Datum value, bool *isnull);

/* Apply it; runs user code unless the kind is NR_COERCE_DIRECT or NR_COERCE_INT. */
static inline Datum
nr_coerce(NrCoerce *coerce, Datum value, bool *isnull)
{
	if (likely(coerce->kind == NR_COERCE_DIRECT))
		return value;
	if (coerce->kind == NR_COERCE_INT && coerce->from_len == 4 && coerce->to_len == 8)
		return Int64GetDatum(DatumGetInt32(value));
	return nr_coerce_slow(coerce, value, isnull);
}

/* ---- constraints (nr_constraint.c) ---- */

/*
 * Generated columns of a cache, its NOT NULL and CHECK constraints, and its bounds
 * as a partition.  PostgreSQL computes the former in the executor only and does not
 * enforce the others on foreign tables; whoever writes into a cache does.
 */
typedef struct NrCheckState NrCheckState;

/* NULL when there is nothing to compute or check; lives in "context", good for this definition only. */
extern NrCheckState *nr_check_begin(const NrCacheDef *def, MemoryContext context);

/*
 * values/isnull indexed by attnum - 1.  Generated columns are computed into them,
 * whatever the caller has there; their data belongs to the state and is good until
 * the next row.  ERROR not_null_violation, check_violation.  Runs user code when there
 * are CHECK constraints or generated columns.
 */
extern void nr_check_row(NrCheckState *state, Datum *values, bool *isnull);

/* ---- codec without an allocation (nr_codec.c) ---- */

/*
 * nr_value_encode in two steps: how many bytes, then the bytes.  The first one
 * replaces toasted data in "values" by plain data (in the current memory
 * context).
 */
extern size_t nr_value_measure(const NrCacheDef *def, Datum *values, const bool *isnull);
extern void nr_value_store(const NrCacheDef *def, const Datum *values, const bool *isnull, char *to);

/* The same two steps for a single value column. */
extern size_t nr_column_measure(const NrCacheDef *def, const NrColumn *col, Datum *value);
extern char *nr_column_store(const NrCacheDef *def, const NrColumn *col, Datum value, char *to);

/* ERROR program_limit_exceeded when an entry is over nr_cache.max_entry or the structure's limit. */
extern void nr_check_entry_bytes(const NrCacheDef *def, size_t key_bytes, size_t value_bytes);

/* A text, or the like, that needs no detoasting? */
static inline bool
nr_plain_varlena(const void *p)
{
	return VARATT_IS_4B_U(p) || (VARATT_IS_1B(p) && !VARATT_IS_1B_E(p));
}

/* The slow kinds of nr_key_encode_as. */
extern void nr_key_of_varlena(const NrCacheDef *def, Datum key, NrKey *out);
extern void nr_key_of_bpchar(const NrCacheDef *def, Datum key, NrKey *out);

/* Bytes of a char(n) that count. */
extern uint32 nr_bpchar_bytes(const struct varlena *key);

/*
 * nr_key_encode for who knows the kind of the key already.  Comparisons rather
 * than a switch: its indirect jump was a fifth of nr_get's own time.
 */
static inline void
nr_key_encode_as(NrKeyKind kind, const NrCache *cache, Datum key, NrKey *out)
{
	if (likely(kind == NR_KEY_INT8))
	{
		int64		v = DatumGetInt64(key);

		memcpy(out->fixed, &v, sizeof(v));
		out->data = out->fixed;
		out->bytes = sizeof(v);
	}
	else if (kind == NR_KEY_VARLENA)
		nr_key_of_varlena(cache->def, key, out);
	else if (kind == NR_KEY_INT4)
	{
		int32		v = DatumGetInt32(key);

		memcpy(out->fixed, &v, sizeof(v));
		out->data = out->fixed;
		out->bytes = sizeof(v);
	}
	else if (kind == NR_KEY_FIXED)
	{
		out->data = DatumGetPointer(key);
		out->bytes = cache->def->key.typlen;
	}
	else if (kind == NR_KEY_INT2)
	{
		int16		v = DatumGetInt16(key);

		memcpy(out->fixed, &v, sizeof(v));
		out->data = out->fixed;
		out->bytes = sizeof(v);
	}
	else if (kind == NR_KEY_INT1)
	{
		out->fixed[0] = DatumGetChar(key);
		out->data = out->fixed;
		out->bytes = 1;
	}
	else if (kind == NR_KEY_NAME)
	{
		out->data = NameStr(*DatumGetName(key));
		out->bytes = strlen(out->data);
	}
	else
	{
		Assert(kind == NR_KEY_BPCHAR);
		nr_key_of_bpchar(cache->def, key, out);
	}
	out->hash = ds_hash_key(cache->seed, out->data, out->bytes);
}

/* Bytes of a stored varlena, header included; it need not be aligned. */
static inline size_t
nr_stored_varlena_bytes(const char *data)
{
	varattrib_4b header;

	if (VARATT_IS_1B(data))
		return VARSIZE_1B(data);
	memcpy(&header, data, VARHDRSZ);
	return VARSIZE_4B(&header);
}

/* A pass-by-value datum from its stored bytes, which need not be aligned. */
static inline Datum
nr_fetch_byval(const char *data, int16 typlen)
{
	switch (typlen)
	{
		case 8:
			{
				int64		v;

				memcpy(&v, data, sizeof(v));
				return Int64GetDatum(v);
			}
		case 4:
			{
				int32		v;

				memcpy(&v, data, sizeof(v));
				return Int32GetDatum(v);
			}
		case 2:
			{
				int16		v;

				memcpy(&v, data, sizeof(v));
				return Int16GetDatum(v);
			}
		default:
			return CharGetDatum(*data);
	}
}

/* ---- through the engine (nr_exec.c, nr_exec_write.c) ---- */

/*
 * Whether who writes takes the writer's lock: what is pending has one writer, and so
 * have two copies, unless many writers' requests are combined.
 */
static inline bool
nr_single_writer(const NrCacheDef *def)
{
	return def->visibility == NR_VISIBLE_MANUAL || def->scheme == NR_SCHEME_LEFT_RIGHT ||
		(def->copies == 2 && def->visibility == NR_VISIBLE_COMMIT);
}

/*
 * Give a read (DsHashGet, ...) to the structure, inside enter and leave; waits
 * are interruptible.  Sizes that did not suffice are the caller's matter.  A cache that is taken
 * (nr_take.c) answers as an empty one.
 */
extern void nr_exec_read(NrCache *cache, void *op);

/*
 * Put or delete one entry, in the way of the cache's visibility.  True when the
 * key was new / was there: commit: in the transaction's own view; immediate: when
 * the write took effect; manual: in what is published.  "values" and "isnull" are
 * indexed by attnum - 1; toasted values are replaced by plain ones; nr_exec_put_bytes
 * takes what nr_value_encode made.  Callers have called nr_require_writable.
 *
 * With visibility commit the answer costs a lookup: who needs none calls
 * nr_stage_put or nr_stage_delete (nr_stage.h).
 */
extern bool nr_exec_put(NrCache *cache, const NrKey *key, Datum *values, const bool *isnull);
extern bool nr_exec_put_bytes(NrCache *cache, const NrKey *key, const char *value, uint32 bytes);
extern bool nr_exec_delete(NrCache *cache, const NrKey *key);
extern void nr_exec_truncate(NrCache *cache);

/*
 * The engine answered NR_NO_SPACE: is it worth another try?  Frees orphans, once
 * there is nothing to free the answer is no.
 */
extern bool nr_exec_found_space(const NrCache *cache);

/* ERROR for a write's status that is not NR_OK; "bytes" as the engine was given them. */
pg_noreturn extern void nr_exec_failed(const NrCache *cache, NrStatus status, size_t bytes);

/* The same for NR_NO_SPACE when preparing a transaction's batch, which asks for the worst case. */
pg_noreturn extern void nr_exec_batch_full(const NrCache *cache);

/*
 * Publish what is pending in a cache of visibility manual; how many operations.  The caller
 * sees to it that nobody else writes.  Waits are interruptible.  ERROR out_of_memory: all of it
 * still is pending.  (nr_fn_publish.c)
 */
extern uint64 nr_publish_pending(NrCache *cache);

/* ---- operations with an answer (nr_exec_update.c): visibility immediate only ---- */

/*
 * Values are as nr_value_encode makes them.  Callers have called nr_require_writable.
 *
 * swap: put; false when there was no such key, else *old is the value before, in backend
 * memory, good until the next call of any function here or of nr_exec_get.
 *
 * cas: put if the value is byte by byte the expected one (NULL: if there is no such key);
 * true when it was.  ERROR program_limit_exceeded when both values are too large for
 * one operation.
 *
 * add: "by" points to an int64, or a double; *sum gets the new value as it is stored.
 * False: overflow, nothing was changed.
 */
extern bool nr_exec_swap(NrCache *cache, const NrKey *key, const char *value, uint32 value_bytes,
						 const char **old, uint32 *old_bytes);
extern bool nr_exec_cas(NrCache *cache, const NrKey *key, const char *expected, uint32 expected_bytes,
						const char *value, uint32 value_bytes);
extern bool nr_exec_add(NrCache *cache, const NrKey *key, DsHashNumber number, const void *by,
						void *sum);

/*
 * For who reads, computes, and swaps if nobody was faster: after some lost races he
 * takes the writer's lock of the cache until the race is over.  Errors give it up.
 */
typedef struct NrRace
{
	int			lost;
	bool		queued;
} NrRace;

extern void nr_race_lost(NrRace *race, const NrCache *cache);
extern void nr_race_over(NrRace *race, const NrCache *cache);

#endif							/* NR_FN_H */
