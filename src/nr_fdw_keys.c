/*
 * nr_fdw_keys.c
 *		Sets of keys.
 */
#include "nr_fdw.h"

#include "utils/hsearch.h"

struct NrKeySet
{
	MemoryContext context;
	HTAB	   *members;
};

typedef struct KeyMember
{
	uint64		hash;
	const char *data;
	uint32		bytes;
} KeyMember;

static uint32
member_hash(const void *key, Size size)
{
	return (uint32) ((const KeyMember *) key)->hash;
}

static int
member_compare(const void *a, const void *b, Size size)
{
	const KeyMember *x = a;
	const KeyMember *y = b;

	return x->bytes != y->bytes || memcmp(x->data, y->data, x->bytes) != 0;
}

NrKeySet *
nr_keyset_make(MemoryContext context)
{
	HASHCTL		ctl = {
		.keysize = sizeof(KeyMember), .entrysize = sizeof(KeyMember),
		.hash = member_hash, .match = member_compare, .hcxt = context
	};
	NrKeySet   *set = MemoryContextAlloc(context, sizeof(NrKeySet));

	set->context = context;
	set->members = hash_create("nr_cache keys", 256, &ctl,
							   HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	return set;
}

bool
nr_keyset_add(NrKeySet *set, const NrKey *key)
{
	KeyMember	wanted = {.hash = key->hash, .data = key->data, .bytes = key->bytes};
	KeyMember  *member;
	char	   *copy;

	if (hash_search(set->members, &wanted, HASH_FIND, NULL) != NULL)
		return false;
	copy = MemoryContextAlloc(set->context, Max(key->bytes, 1));
	memcpy(copy, key->data, key->bytes);
	member = hash_search(set->members, &wanted, HASH_ENTER, NULL);
	member->data = copy;
	return true;
}

/* What its copy takes is given back with the context. */
bool
nr_keyset_remove(NrKeySet *set, const NrKey *key)
{
	KeyMember	wanted = {.hash = key->hash, .data = key->data, .bytes = key->bytes};

	return hash_search(set->members, &wanted, HASH_REMOVE, NULL) != NULL;
}
