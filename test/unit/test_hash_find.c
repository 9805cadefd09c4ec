/*
 * test_hash_find.c
 *		ds/hash_find.h: a line that was guessed before something changed.
 *
 * Each guess is asked again after a change, and must then give the line that the table gives now.
 */
#include "copy_harness.h"
#include "ds/hash_find.h"
#include "tap.h"

#define KEYS	20000

static CopyHarness h;
static DsHashGuess guess[KEYS];
static uint64_t hash[KEYS];
static uint32_t stale;			/* guesses that were not the line any more */
static uint32_t wrong;			/* answers that are not */

static void
guess_all(void)
{
	for (uint64_t key = 0; key < KEYS; key++)
	{
		hash[key] = ds_hash_key(42, &key, 8);
		guess[key] = ds_hash_guess(&h.copy, hash[key]);
		wrong += guess[key].line != ds_hash_line_of(&h.copy, hash[key]);
	}
}

static void
ask_all(void)
{
	for (uint32_t key = 0; key < KEYS; key++)
	{
		const DsHashLine *line = ds_hash_line_of(&h.copy, hash[key]);

		stale += guess[key].line != line;
		wrong += ds_hash_guessed(&h.copy, hash[key], &guess[key]) != line;
	}
}

static bool
put_range(uint64_t from, uint64_t to)
{
	bool		good = true;

	for (uint64_t key = from; key < to; key++)
		good &= harness_put(&h, &key, 8, &key, 8, 0, NULL) == NR_OK;
	return good;
}

static bool
delete_range(uint64_t from, uint64_t to)
{
	bool		good = true;

	for (uint64_t key = from; key < to; key++)
		good &= harness_delete(&h, &key, 8, NULL) == NR_OK;
	return good;
}

/* Answered: all guesses after a change were stale or right, and none was believed when stale. */
static void
told(bool good, bool changes, const char *what)
{
	ask_all();
	tap_ok(good && wrong == 0 && (stale > 0) == changes, "%s: %u of %u guesses were stale, %u wrong answers",
		   what, stale, KEYS, wrong);
	stale = wrong = 0;
	guess_all();
}

int
main(void)
{
	static CopyHarness there;
	NrExtentTable table;

	harness_make_hash(&h, 14, 200, 64, 42, 1);
	guess_all();
	told(true, false, "nothing has changed");
	told(put_range(0, 4), false, "entries came, no bucket was split");
	told(put_range(4, KEYS), true, "the table has grown");
	told(put_range(KEYS, KEYS + 64), true, "some buckets were split");
	told(put_range(0, KEYS), false, "values were overwritten");
	told(delete_range(10, KEYS + 64), true, "the table has shrunk");
	told(put_range(10, KEYS / 2), true, "... and grown again");
	told(harness_truncate(&h, NULL) == NR_OK, true, "truncated");
	harness_reclaim(&h);
	told(put_range(0, KEYS), true, "filled again, with other extents");

	/* the same, at the same place in another replica: a session that has moved meanwhile has its copies at the same addresses */
	harness_make_hash(&there, 14, 200, 64, 42, 1);
	for (uint64_t key = 0; key < KEYS; key++)
		wrong += harness_put(&there, &key, 8, &key, 8, 0, NULL) != NR_OK;
	for (uint32_t key = 0; key < KEYS; key++)
	{
		NrCopy		copy = h.copy;
		DsHashGuess before = ds_hash_guess(&copy, hash[key]);

		copy = there.copy;
		wrong += ds_hash_guessed(&copy, hash[key], &before) != ds_hash_line_of(&there.copy, hash[key]);
	}
	tap_ok(wrong == 0, "another replica was entered: %u wrong answers", wrong);
	harness_free(&there);

	/* in the midst of being formatted: no guess, and nothing out of bounds is read */
	table = *h.copy.table;
	h.copy.table->capacity = 0;
	guess[7] = ds_hash_guess(&h.copy, hash[7]);
	*h.copy.table = table;
	tap_ok(guess[7].line == NULL && ds_hash_guessed(&h.copy, hash[7], &guess[7]) == ds_hash_line_of(&h.copy, hash[7]),
		   "no guess where there is no table");
	harness_free(&h);
	return tap_done();
}
