/*
 * commit_model.c
 *		What must be seen of transactions; see commit_model.h.
 */
#include "commit_model.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct CmValue
{
	uint64_t	stamp;
	uint32_t	mask;
	uint32_t	bytes;			/* of the value, this included */
} CmValue;

/* What one read has seen of a family. */
typedef struct Seen
{
	bool		there;
	uint64_t	stamp;
	uint32_t	mask;
} Seen;

#define NKEYS	(CM_FAMILIES * CM_KEYS)

/* ---- keys and values ---- */

static void
make_key(CmKey *key, uint64_t seed, uint32_t kind, uint32_t a, uint32_t b)
{
	uint32_t	word[3] = {kind, a, b};

	memset(key->bytes, 'k', sizeof(key->bytes));
	memcpy(key->bytes, word, sizeof(word));
	key->n = a % 3 == 2 ? CM_KEY_BYTES_MAX : sizeof(word);
	key->hash = ds_hash_key(seed, key->bytes, key->n);
}

void
cm_init(CmWorld *w, Th *th, uint64_t seed)
{
	memset(w, 0, sizeof(*w));
	w->th = th;
	w->seed = seed;
	w->begun = calloc(CM_STAMPS_MAX, 1);
	for (uint32_t g = 0; g < CM_GROUPS; g++)
	{
		CmGroup    *cg = &w->group[g];

		cg->g = g;
		cg->ordered = g == CM_COMMIT_ONE;
		pthread_mutex_init(&cg->writer, NULL);
		for (uint32_t f = 0; f < CM_FAMILIES; f++)
		{
			pthread_mutex_init(&cg->family[f].row, NULL);
			for (uint32_t k = 0; k < CM_KEYS; k++)
				make_key(&cg->family[f].key[k], seed, 1, f, k);
		}
		for (uint32_t i = 0; i < CM_WRITERS; i++)
			for (uint32_t k = 0; k < CM_BALLAST; k++)
				make_key(&cg->ballast[i][k].key, seed, 2, i, k);
	}
}

void
cm_free(CmWorld *w)
{
	free((void *) w->begun);
}

uint64_t
cm_stamp(CmWorld *w)
{
	uint64_t	stamp = atomic_fetch_add(&w->stamps, 1) + 1;

	if (stamp + CM_WRITERS + 1 >= CM_STAMPS_MAX)
		atomic_store(&w->stop, 1);
	return stamp;
}

/* Mostly short, sometimes long. */
static uint32_t
value_bytes(uint64_t stamp)
{
	uint64_t	x = stamp * UINT64_C(0x9E3779B97F4A7C15) >> 32;

	return (uint32_t) (sizeof(CmValue) + (x % 5 == 0 ? x / 5 % (CM_VALUE_BYTES_MAX - sizeof(CmValue)) : x / 5 % 40));
}

size_t
cm_op_put(char *to, const CmKey *key, uint64_t stamp, uint32_t mask)
{
	_Alignas(8) char value[CM_VALUE_BYTES_MAX];
	CmValue		head = {.stamp = stamp, .mask = mask, .bytes = value_bytes(stamp)};

	memset(value, (int) (stamp % 251), head.bytes);
	memcpy(value, &head, sizeof(head));
	return ds_hash_op_put(to, key->hash, key->bytes, key->n, value, head.bytes, 0);
}

size_t
cm_op_delete(char *to, const CmKey *key)
{
	return ds_hash_op_delete(to, key->hash, key->bytes, key->n);
}

size_t
cm_ops_family(char *to, const CmFamily *family, uint64_t stamp, uint32_t mask, bool gone)
{
	size_t		at = 0;

	for (uint32_t k = 0; k < CM_KEYS; k++)
		at += gone ? cm_op_delete(to + at, &family->key[k]) : cm_op_put(to + at, &family->key[k], stamp, mask);
	return at;
}

static bool
parse_value(const char *from, uint64_t bytes, Seen *seen)
{
	CmValue		head;

	if (bytes < sizeof(head))
		return false;
	memcpy(&head, from, sizeof(head));
	if (head.bytes != bytes || bytes != value_bytes(head.stamp) || head.stamp == 0 || head.stamp >= CM_STAMPS_MAX)
		return false;
	for (uint64_t i = sizeof(head); i < bytes; i++)
		if ((unsigned char) from[i] != head.stamp % 251)
			return false;
	seen->there = true;
	seen->stamp = head.stamp;
	seen->mask = head.mask;
	return true;
}

/* ---- what may and what must be seen ---- */

static void
raise_to(_Atomic uint64_t *a, uint64_t value)
{
	uint64_t	old = atomic_load(a);

	while (old < value && !atomic_compare_exchange_weak(a, &old, value))
		;
}

void
cm_begin(CmWorld *w, CmGroup *cg, uint64_t stamp, uint32_t mask, bool gone)
{
	for (uint32_t f = 0; f < CM_FAMILIES; f++)
	{
		if (!(mask >> f & 1))
			continue;
		cg->family[f].stamp = stamp;
		cg->family[f].gone = gone;
		if (gone)
			raise_to(&cg->family[f].gone_begun, stamp);
	}
	atomic_store(&w->begun[stamp], 1);
}

void
cm_visible(CmGroup *cg, uint64_t stamp, uint32_t mask)
{
	for (uint32_t f = 0; f < CM_FAMILIES; f++)
		if (mask >> f & 1)
			raise_to(&cg->family[f].floor, stamp);
}

void
cm_wrong(CmWorld *w, const CmGroup *cg, uint32_t family, const char *what, uint64_t a, uint64_t b)
{
	if (atomic_fetch_add(&w->wrong, 1) < 5)
		printf("# seed %llu, group %u, family %u: %s (%llu, %llu)\n", (unsigned long long) w->seed, cg->g,
			   family, what, (unsigned long long) a, (unsigned long long) b);
}

/* ---- reading ---- */

typedef struct Visit
{
	char		out[NKEYS * CM_VALUE_BYTES_MAX];
	const void *key[NKEYS];
	uint32_t	key_bytes[NKEYS];
	uint64_t	hash[NKEYS];
	size_t		at[NKEYS];
	int64_t		length[NKEYS];
} Visit;

static void
visit(CmGroup *cg, NrHandle *h, Visit *v, long linger)
{
	DsHashGetMany many = {
		.code = DS_HASH_GET_MANY, .n = NKEYS, .key = v->key, .key_bytes = v->key_bytes, .hash = v->hash,
		.out = v->out, .capacity = sizeof(v->out), .at = v->at, .length = v->length
	};

	for (uint32_t i = 0; i < NKEYS; i++)
	{
		const CmKey *key = &cg->family[i / CM_KEYS].key[i % CM_KEYS];

		v->key[i] = key->bytes;
		v->key_bytes[i] = key->n;
		v->hash[i] = key->hash;
	}
	if (nr_enter(h, false) != NR_OK)
		th_die("nr_enter");
	if (linger > 0)
		th_sleep_us(linger);
	if (h->dispatch->dispatch(h->copy, &many, NULL) != NR_OK || many.needed_bytes > many.capacity)
		th_die("a read was refused");
	nr_leave(h);
}

/* The keys of one family have one stamp. */
static Seen
family_seen(CmWorld *w, CmGroup *cg, uint32_t f, const Visit *v)
{
	Seen		first = {0};

	for (uint32_t k = 0; k < CM_KEYS; k++)
	{
		uint32_t	i = f * CM_KEYS + k;
		Seen		seen = {0};

		if (v->length[i] >= 0 && !parse_value(v->out + v->at[i], (uint64_t) v->length[i], &seen))
			cm_wrong(w, cg, f, "a value is torn", (uint64_t) v->length[i], 0);
		if (k == 0)
			first = seen;
		else if (seen.there != first.there || seen.stamp != first.stamp)
			cm_wrong(w, cg, f, "half a batch is seen", first.stamp, seen.stamp);
	}
	return first;
}

void
cm_read(CmWorld *w, CmGroup *cg, NrHandle *h, bool blind, long linger)
{
	static _Thread_local Visit v;
	uint64_t	floor[CM_FAMILIES] = {0};
	uint64_t	gone[CM_FAMILIES];
	Seen		seen[CM_FAMILIES];

	for (uint32_t f = 0; f < CM_FAMILIES && !blind; f++)
		floor[f] = atomic_load(&cg->family[f].floor);
	visit(cg, h, &v, linger);
	for (uint32_t f = 0; f < CM_FAMILIES; f++)
	{
		seen[f] = family_seen(w, cg, f, &v);
		gone[f] = blind ? UINT64_MAX : atomic_load(&cg->family[f].gone_begun);
	}
	for (uint32_t f = 0; f < CM_FAMILIES; f++)
	{
		if (!seen[f].there)
		{
			if (floor[f] > gone[f])
				cm_wrong(w, cg, f, "keys are missing that must be there", floor[f], gone[f]);
			continue;
		}
		if (seen[f].stamp < floor[f])
			cm_wrong(w, cg, f, "less is seen than must be", seen[f].stamp, floor[f]);
		if (!blind && !atomic_load(&w->begun[seen[f].stamp]))
			cm_wrong(w, cg, f, "something is seen that was not appended", seen[f].stamp, 0);
		for (uint32_t o = 0; o < CM_FAMILIES; o++)
			if ((seen[f].mask >> o & 1) &&
				(seen[o].there ? seen[o].stamp : gone[o]) < seen[f].stamp)
				cm_wrong(w, cg, o, "a batch is seen here in part", seen[o].stamp, seen[f].stamp);
		if (!blind)
			raise_to(&cg->family[f].floor, seen[f].stamp);
	}
	atomic_fetch_add_explicit(&w->reads, 1, memory_order_relaxed);	/* orders nobody */
}

/* ---- the end ---- */

/* The stamp that a key has; 0: missing. */
static uint64_t
key_stamp(CmWorld *w, CmGroup *cg, NrHandle *h, const CmKey *key)
{
	char		out[CM_VALUE_BYTES_MAX];
	DsHashGet	get = {
		.code = DS_HASH_GET, .key = key->bytes, .key_bytes = key->n, .hash = key->hash,
		.out = out, .capacity = sizeof(out)
	};
	Seen		seen = {0};

	if (nr_execute(h, &get, NULL, false) != NR_OK)
		th_die("a read was refused");
	if (get.found && !parse_value(out, get.value_bytes, &seen))
		cm_wrong(w, cg, 0, "a value is torn at the end", get.value_bytes, 0);
	return seen.stamp;
}

bool
cm_final(CmWorld *w, CmGroup *cg, NrHandle *h)
{
	uint64_t	before = atomic_load(&w->wrong);

	cm_read(w, cg, h, false, 0);
	for (uint32_t f = 0; f < CM_FAMILIES; f++)
	{
		CmFamily   *family = &cg->family[f];
		uint64_t	expected = family->gone ? 0 : family->stamp;
		uint64_t	stamp = key_stamp(w, cg, h, &family->key[0]);

		if (stamp != expected)
			cm_wrong(w, cg, f, "the last committed one did not win", stamp, expected);
	}
	for (uint32_t i = 0; i < CM_WRITERS; i++)
		for (uint32_t k = 0; k < CM_BALLAST; k++)
		{
			CmBallast  *b = &cg->ballast[i][k];
			uint64_t	expected = b->stamp > cg->truncated ? b->stamp : 0;
			uint64_t	stamp = key_stamp(w, cg, h, &b->key);

			if (stamp != expected)
				cm_wrong(w, cg, i, "a writer's own key is not what it wrote last", stamp, expected);
		}
	return atomic_load(&w->wrong) == before;
}
