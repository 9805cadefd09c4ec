/*
 * ds/hash_note.c
 *		Notes: find, leave, renew, drop.  See hash_note.h.
 */
#include "ds/hash_line.h"
#include "ds/hash_note.h"

/* The way of a hash through the trie: its bits from the top; then zeroes for ever. */
#define HEAD_OF(path)	((path) >> 28)
#define CHILD_OF(path)	((path) >> 30)
#define BELOW_HEAD(path)	((path) << 4)
#define BELOW(path)		((path) << 2)

_Static_assert(DS_NOTE_HEADS == 1 << 4 && DS_NOTE_CHILDREN == 1 << 2, "the bits that a level takes");

NrRef
ds_note_find(const NrCopy *copy, const DsHashRoot *root, uint64_t hash,
			 const void *key, uint32_t key_bytes)
{
	uint32_t	high = (uint32_t) (hash >> 32);
	uint32_t	path = BELOW_HEAD(high);
	NrRef		ref = root->note_heads[HEAD_OF(high)];

	while (ref != 0)
	{
		const DsHashNote *note = ds_note_at(copy, ref);

		if (note->hash == high && note->key_bytes == key_bytes &&
			ds_bytes_equal(note->key, key, key_bytes))
			break;
		ref = note->child[CHILD_OF(path)];
		path = BELOW(path);
	}
	return ref;
}

/* Where the reference to "wanted" is, on the path of a hash; 0: where the path ends. */
static NrRef *
slot_of(const NrCopy *copy, DsHashRoot *root, uint32_t high, NrRef wanted)
{
	uint32_t	path = BELOW_HEAD(high);
	NrRef	   *slot = &root->note_heads[HEAD_OF(high)];

	while (*slot != wanted)
	{
		slot = &ds_note_at(copy, *slot)->child[CHILD_OF(path)];
		path = BELOW(path);
	}
	return slot;
}

/* The first child that there is, or NULL. */
static NrRef *
any_child(DsHashNote *note)
{
	for (uint32_t i = 0; i < DS_NOTE_CHILDREN; i++)
		if (note->child[i] != 0)
			return &note->child[i];
	return NULL;
}

static void
chain_newest(const NrCopy *copy, DsHashRoot *root, NrRef ref, DsHashNote *note)
{
	note->older = root->note_newest;
	note->newer = 0;
	if (root->note_newest != 0)
		ds_note_at(copy, root->note_newest)->newer = ref;
	else
		root->note_oldest = ref;
	root->note_newest = ref;
}

static void
unchain(const NrCopy *copy, DsHashRoot *root, const DsHashNote *note)
{
	if (note->older != 0)
		ds_note_at(copy, note->older)->newer = note->newer;
	else
		root->note_oldest = note->newer;
	if (note->newer != 0)
		ds_note_at(copy, note->newer)->older = note->older;
	else
		root->note_newest = note->older;
}

static void
number_note(DsHashRoot *root, DsHashNote *note, uint64_t order_seq)
{
	note->order_seq = order_seq;
	if (order_seq > root->note_max)
		root->note_max = order_seq;
}

NrRef
ds_note_leave(NrCopy *copy, DsHashRoot *root, uint64_t hash, const void *key,
			  uint32_t key_bytes, uint64_t order_seq)
{
	NrRef		ref = ds_heap_alloc(copy, ds_hash_heap(root), sizeof(DsHashNote) + key_bytes, true);
	DsHashNote *note;

	if (ref == 0)
		return 0;
	note = ds_note_at(copy, ref);
	/* the checksum reads whole blocks */
	memset(note, 0, ds_heap_capacity(note));
	note->hash = (uint32_t) (hash >> 32);
	note->key_bytes = key_bytes;
	memcpy(note->key, key, key_bytes);
	number_note(root, note, order_seq);
	*slot_of(copy, root, note->hash, 0) = ref;
	chain_newest(copy, root, ref, note);
	root->notes++;
	return ref;
}

void
ds_note_renew(NrCopy *copy, DsHashRoot *root, NrRef ref, uint64_t order_seq)
{
	DsHashNote *note = ds_note_at(copy, ref);

	number_note(root, note, order_seq);
	unchain(copy, root, note);
	chain_newest(copy, root, ref, note);
}

/* In the trie, any leaf below the note takes its place: whatever is below it shares its path. */
void
ds_note_drop(NrCopy *copy, DsHashRoot *root, NrRef ref)
{
	DsHashNote *note = ds_note_at(copy, ref);
	NrRef	   *slot = slot_of(copy, root, note->hash, ref);
	NrRef	   *leaf = slot;

	for (NrRef *below; (below = any_child(ds_note_at(copy, *leaf))) != NULL;)
		leaf = below;
	if (leaf != slot)
	{
		NrRef		heir = *leaf;

		*leaf = 0;
		memcpy(ds_note_at(copy, heir)->child, note->child, sizeof(note->child));
		*slot = heir;
	}
	else
		*slot = 0;
	unchain(copy, root, note);
	ds_heap_free(copy, ds_hash_heap(root), ref);
	if (--root->notes == 0)
		root->note_max = 0;
}

void
ds_note_purge(NrCopy *copy, DsHashRoot *root, uint64_t limit, uint32_t n)
{
	while (n-- > 0 && root->note_oldest != 0 &&
		   ds_note_at(copy, root->note_oldest)->order_seq < limit)
		ds_note_drop(copy, root, root->note_oldest);
}

void
ds_note_drop_all(DsHashRoot *root)
{
	root->notes = 0;
	root->note_max = 0;
	root->note_oldest = 0;
	root->note_newest = 0;
	memset(root->note_heads, 0, sizeof(root->note_heads));
}

/* A block that is large enough for a note. */
static bool
note_sound(const NrCopy *copy, DsHashRoot *root, NrRef ref)
{
	return ds_hash_block_sound(copy, root, ref) && ds_heap_capacity(ds_note_at(copy, ref)) >= sizeof(DsHashNote);
}

/* One note by itself; counts the references to others that it has. */
static const char *
verify_note(const NrCopy *copy, DsHashRoot *root, const DsHashNote *note, uint64_t *links)
{
	if (note->key_bytes > DS_HASH_KEY_MAX || sizeof(*note) + note->key_bytes > ds_heap_capacity(note))
		return "hash: a note's key is too long";
	if (note->hash != (uint32_t) (ds_hash_key(root->seed, note->key, note->key_bytes) >> 32))
		return "hash: a note has a wrong hash";
	if (note->order_seq == 0 || note->order_seq > root->note_max)
		return "hash: a note's order number is out of range";
	for (uint32_t i = 0; i < DS_NOTE_CHILDREN; i++)
	{
		*links += note->child[i] != 0;
		if (note->child[i] != 0 && !note_sound(copy, root, note->child[i]))
			return "hash: a note refers to no block";
	}
	return NULL;
}

/* The chain by age: complete, and each note in order. */
static const char *
verify_chain(const NrCopy *copy, DsHashRoot *root, uint64_t *links)
{
	NrRef		older = 0;
	NrRef		ref = root->note_oldest;
	uint64_t	n = 0;

	for (; ref != 0; n++)
	{
		const DsHashNote *note;
		const char *broken;

		if (n == root->notes || !note_sound(copy, root, ref))
			return "hash: the notes' chain leads astray";
		note = ds_note_at(copy, ref);
		if (note->older != older)
			return "hash: the notes' chain has a wrong back link";
		broken = verify_note(copy, root, note, links);
		if (broken)
			return broken;
		older = ref;
		ref = note->newer;
	}
	return n != root->notes || root->note_newest != older ? "hash: the notes' chain is not complete" : NULL;
}

/* As many steps as there are notes at most, so that a damaged trie ends, too. */
static bool
on_its_path(const NrCopy *copy, DsHashRoot *root, NrRef wanted)
{
	uint32_t	high = ds_note_at(copy, wanted)->hash;
	uint32_t	path = BELOW_HEAD(high);
	NrRef		ref = root->note_heads[HEAD_OF(high)];

	for (uint64_t n = 0; ref != 0 && ref != wanted && n < root->notes; n++)
	{
		if (!note_sound(copy, root, ref))
			return false;
		ref = ds_note_at(copy, ref)->child[CHILD_OF(path)];
		path = BELOW(path);
	}
	return ref == wanted;
}

/*
 * Each note is found on the path of its hash, and there are as many references in
 * the trie as notes: so it holds these and no others.
 */
const char *
ds_note_verify(const NrCopy *copy, DsHashRoot *root)
{
	uint64_t	links = 0;
	const char *broken = verify_chain(copy, root, &links);

	if (broken)
		return broken;
	for (uint32_t i = 0; i < DS_NOTE_HEADS; i++)
	{
		links += root->note_heads[i] != 0;
		if (root->note_heads[i] != 0 && !note_sound(copy, root, root->note_heads[i]))
			return "hash: a note refers to no block";
	}
	if (links != root->notes || (root->notes == 0 && root->note_max != 0))
		return "hash: the number of notes is wrong";
	for (NrRef ref = root->note_oldest; ref != 0; ref = ds_note_at(copy, ref)->newer)
		if (!on_its_path(copy, root, ref))
			return "hash: a note is not on its path";
	/* from here on, whatever the trie refers to is a note */
	for (NrRef ref = root->note_oldest; ref != 0; ref = ds_note_at(copy, ref)->newer)
	{
		const DsHashNote *note = ds_note_at(copy, ref);

		if (ds_note_find(copy, root, (uint64_t) note->hash << 32, note->key, note->key_bytes) != ref)
			return "hash: a key has two notes";
	}
	return NULL;
}
