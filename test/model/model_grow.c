/*
 * model_grow.c
 *		ds_hash under readers: growth, values that are replaced, memory that is given back, and scans.
 *
 * A table of short entries is filled until the next one takes an extent for more buckets.  That one comes in a batch
 * that also replaces the value of an old key.  Readers visit all keys, one by one, at once and by a scan as nr_exec.c
 * makes it (size first, then a buffer, again if it grew): whoever was there all the time is found exactly
 * once, and a batch is there as a whole or not at all.  Bytes that a writer touches under a reader are races.
 *
 * Not covered: tables of more than one extent of buckets; ends of memory (model_prepare, unit tests of grants).
 */
#include "stage.h"

#include "ds/hash.h"

#define ALL			MODEL_UNBOUNDED
#define KEY_BYTES	4
#define VALUE_BYTES	24
#define KEYS_MAX	200
#define LONG_BYTES	100			/* not in the bucket */

/* As the setup has left it. */
typedef struct Table
{
	uint32_t	keys;			/* that are there */
} Table;

static Table *table;

/* ---- operations ---- */

typedef struct Ops
{
	_Alignas(8) char bytes[1024];
	size_t		length;
	uint32_t	n;
} Ops;

static void
key_of(char *key, uint32_t n)
{
	memcpy(key, &n, KEY_BYTES);
}

static void
add_put(Ops *ops, uint32_t n, char fill, size_t value_bytes)
{
	char		key[KEY_BYTES];
	char		value[LONG_BYTES];

	key_of(key, n);
	memset(value, fill, value_bytes);
	ops->length += ds_hash_op_put(ops->bytes + ops->length, ds_hash_key(0, key, KEY_BYTES), key, KEY_BYTES, value, value_bytes, 0);
	ops->n++;
}

static void
add_delete(Ops *ops, uint32_t n)
{
	char		key[KEY_BYTES];

	key_of(key, n);
	ops->length += ds_hash_op_delete(ops->bytes + ops->length, ds_hash_key(0, key, KEY_BYTES), key, KEY_BYTES);
	ops->n++;
}

static void
run(int i, Ops *ops)
{
	NrResult	result = {.status = NR_OK};

	model_assert(nr_execute_mut(&stage->h[i], ops->bytes, ops->length, ops->n, false, &result) == NR_OK);
	model_assert(result.status == NR_OK && result.done == ops->n);
}

static void
put(int i, uint32_t n, char fill, size_t value_bytes)
{
	Ops			ops = {.n = 0};

	add_put(&ops, n, fill, value_bytes);
	run(i, &ops);
}

static DsHashStat
stat_of(int i)
{
	DsHashStat	stat = {.code = DS_HASH_STAT};

	model_assert(nr_execute(&stage->h[i], &stat, NULL, false) == NR_OK);
	return stat;
}

/* The byte that fills the value, 0: not there.  A value of two bytes would be torn. */
static char
get(int i, uint32_t n, size_t value_bytes)
{
	char		key[KEY_BYTES];
	char		value[LONG_BYTES];
	DsHashGet	read = {.code = DS_HASH_GET,.key = key,.key_bytes = KEY_BYTES,.out = value,.capacity = LONG_BYTES};

	key_of(key, n);
	read.hash = ds_hash_key(0, key, KEY_BYTES);
	model_assert(nr_execute(&stage->h[i], &read, NULL, false) == NR_OK);
	if (!read.found)
		return 0;
	model_assert(read.value_bytes == value_bytes);
	for (size_t at = 1; at < value_bytes; at++)
		model_assert(value[at] == value[0]);
	return value[0];
}

/* ---- setups ---- */

static void
fill(uint32_t copies, uint32_t shared_max, uint32_t keys)
{
	stage_set(&(StageConfig) {.copies = copies,.sessions = 2,.log_slots = 4,.extents = 32,.extents_max = 10,
			  .shared_max = shared_max,.dispatch = &ds_hash_dispatch});
	table = model_alloc(sizeof(Table), NR_CACHE_LINE);
	table->keys = keys;
	for (uint32_t n = 0; n < keys; n++)
		put(0, n, 'a', VALUE_BYTES);
}

/* How many keys fit before the table takes its first extent for buckets: found out by a table that is then left alone. */
static uint32_t
keys_that_fit(void)
{
	fill(1, 0, 0);
	for (uint32_t n = 0; n < KEYS_MAX; n++)
	{
		put(0, n, 'a', VALUE_BYTES);
		if (stat_of(0).extents_segments > 0)
			return n;
	}
	model_fail("the table does not grow");
}

static void
about_to_grow(uint32_t copies)
{
	fill(copies, 0, keys_that_fit());
	model_assert(stat_of(0).extents_segments == 0);
}

static void
about_to_grow_one(void)
{
	about_to_grow(1);
}

static void
about_to_grow_two(void)
{
	about_to_grow(2);
}

/* ---- a batch that makes it grow ---- */

static void
grow(void)
{
	Ops			ops = {.n = 0};

	add_put(&ops, table->keys, 'b', VALUE_BYTES);
	add_put(&ops, 0, 'b', VALUE_BYTES);
	run(0, &ops);
}

static void
grow_and_get(int i)
{
	char		first;

	if (i == 0)
	{
		grow();
		return;
	}
	first = get(1, 0, VALUE_BYTES);
	model_assert(first == 'a' || first == 'b');
	model_assert(get(1, 1, VALUE_BYTES) == 'a');
	model_assert(get(1, table->keys, VALUE_BYTES) == 'b' || first == 'a');
}

static void
grow_and_get_many(int i)
{
	static uint32_t number[KEYS_MAX + 1];
	static const void *key[KEYS_MAX + 1];
	static uint32_t key_bytes[KEYS_MAX + 1];
	static uint64_t hash[KEYS_MAX + 1];
	static char out[(KEYS_MAX + 1) * VALUE_BYTES];
	static size_t at[KEYS_MAX + 1];
	static int64_t length[KEYS_MAX + 1];
	DsHashGetMany many = {.code = DS_HASH_GET_MANY,.n = table->keys + 1,.key = key,.key_bytes = key_bytes,.hash = hash,.out = out,
	.capacity = sizeof(out),.at = at,.length = length};

	if (i == 0)
	{
		grow();
		return;
	}
	for (uint32_t n = 0; n <= table->keys; n++)
	{
		number[n] = n;
		key[n] = &number[n];
		key_bytes[n] = KEY_BYTES;
		hash[n] = ds_hash_key(0, key[n], KEY_BYTES);
	}
	model_assert(nr_execute(&stage->h[1], &many, NULL, false) == NR_OK);
	for (uint32_t n = 1; n < table->keys; n++)
		model_assert(length[n] == VALUE_BYTES && out[at[n]] == 'a');
	model_assert(length[table->keys] == VALUE_BYTES ? out[at[0]] == 'b' : length[table->keys] == -1 && out[at[0]] == 'a');
}

/* A scan; "seen" gets the byte that fills each key's value.  Each key is found once. */
static void
scan(int i, char *seen)
{
	static char out[KEYS_MAX * 64];
	DsHashScan	read = {.code = DS_HASH_SCAN};
	const char *at = out;

	do
	{
		read.capacity = read.needed_bytes;
		read.out = read.capacity > 0 ? out : NULL;
		model_assert(nr_execute(&stage->h[i], &read, NULL, false) == NR_OK);
	} while (read.needed_bytes > read.capacity);
	memset(seen, 0, KEYS_MAX);
	for (uint64_t n = 0; n < read.n; n++)
	{
		DsHashScanEntry entry;
		uint32_t	key;

		memcpy(&entry, at, sizeof(entry));
		memcpy(&key, at + sizeof(entry), KEY_BYTES);
		model_assert(entry.key_bytes == KEY_BYTES && entry.value_bytes == VALUE_BYTES && key < KEYS_MAX && seen[key] == 0);
		seen[key] = at[sizeof(entry) + KEY_BYTES];
		at += NR_OP_ALIGN(sizeof(entry) + KEY_BYTES + VALUE_BYTES);
	}
	model_assert((size_t) (at - out) == read.needed_bytes);
}

static void
grow_and_scan(int i)
{
	char		seen[KEYS_MAX];

	if (i == 0)
	{
		grow();
		return;
	}
	scan(1, seen);
	for (uint32_t n = 1; n < table->keys; n++)
		model_assert(seen[n] == 'a');
	model_assert(seen[table->keys] == 'b' ? seen[0] == 'b' : seen[table->keys] == 0 && seen[0] == 'a');
}

/* Seeded: the buffer's size is believed without looking whether it grew meanwhile. */
static void
scan_once(int i)
{
	static char out[KEYS_MAX * 64];
	DsHashScan	size = {.code = DS_HASH_SCAN};
	DsHashScan	read = {.code = DS_HASH_SCAN,.out = out};

	if (i == 0)
	{
		grow();
		return;
	}
	model_assert(nr_execute(&stage->h[1], &size, NULL, false) == NR_OK);
	read.capacity = size.needed_bytes;
	model_assert(nr_execute(&stage->h[1], &read, NULL, false) == NR_OK);
	model_assert(read.needed_bytes <= read.capacity);
}

static void
grown(void)
{
	DsHashStat	stat = stat_of(0);

	model_assert(stat.entries == table->keys + 1 && stat.extents_segments == 1);
	model_assert(get(1, 0, VALUE_BYTES) == 'b');
	stage_settled();
}

/* ---- one key goes as another comes; everything goes ---- */

static void
few_one(void)
{
	fill(1, 0, 3);
}

static void
few_two(void)
{
	fill(2, 0, 3);
}

static void
exchange_and_scan(int i)
{
	char		seen[KEYS_MAX];
	Ops			ops = {.n = 0};

	if (i == 0)
	{
		add_delete(&ops, 0);
		add_put(&ops, 7, 'b', VALUE_BYTES);
		run(0, &ops);
		return;
	}
	scan(1, seen);
	model_assert(seen[1] == 'a' && seen[2] == 'a');
	model_assert(seen[0] == 'a' ? seen[7] == 0 : seen[7] == 'b');
}

static void
exchanged(void)
{
	model_assert(get(1, 0, VALUE_BYTES) == 0 && get(1, 7, VALUE_BYTES) == 'b');
	stage_settled();
}

static void
grown_one(void)
{
	about_to_grow(1);
	put(0, table->keys++, 'a', VALUE_BYTES);
}

static void
grown_two(void)
{
	about_to_grow(2);
	put(0, table->keys++, 'a', VALUE_BYTES);
}

static void
truncate_and_scan(int i)
{
	char		seen[KEYS_MAX];
	Ops			ops = {.n = 1};

	if (i == 0)
	{
		ops.length = ds_hash_op_truncate(ops.bytes);
		run(0, &ops);
		return;
	}
	scan(1, seen);
	for (uint32_t n = 1; n < table->keys; n++)
		model_assert(seen[n] == seen[0]);
}

static void
truncated(void)
{
	DsHashStat	stat = stat_of(1);

	model_assert(stat.entries == 0 && stat.extents_segments == 0);
	stage_settled();
}

/* ---- long values, which two copies may share: what is replaced is reused only when no reader can be at it ---- */

static void
with_long(uint32_t copies, uint32_t shared_max)
{
	fill(copies, shared_max, 0);
	for (int n = 0; n < 2; n++)
		put(0, 0, 'a', LONG_BYTES);
}

static void
long_one(void)
{
	with_long(1, 0);
}

static void
long_two(void)
{
	with_long(2, 0);
}

static void
long_shared(void)
{
	with_long(2, 6);
	model_assert(nr_group_shares(nr_group(&stage->e, 0)));
}

static void
replace_and_get(int i)
{
	char		value;

	if (i == 0)
	{
		put(0, 0, 'b', LONG_BYTES);
		put(0, 0, 'c', LONG_BYTES);
		return;
	}
	value = get(1, 0, LONG_BYTES);
	model_assert(value >= 'a' && value <= 'c');
}

/* The reader was inside before: with two copies it holds up the second write, which must wait for it. */
static void
long_reader_inside(void)
{
	long_shared();
	model_assert(nr_enter(&stage->h[1], false) == NR_OK);
}

static void
replace_under_reader(int i)
{
	if (i == 0)
	{
		for (char fill = 'b'; fill <= 'd'; fill++)
			put(0, 0, fill, LONG_BYTES);
		return;
	}
	model_assert(get(1, 0, LONG_BYTES) == 'a');
	nr_leave(&stage->h[1]);
}

static void
is_c(void)
{
	model_assert(get(1, 0, LONG_BYTES) == 'c');
	stage_settled();
}

static void
is_d(void)
{
	model_assert(get(1, 0, LONG_BYTES) == 'd');
	stage_settled();
}

static const ModelScenario scenarios[] = {
	{"grow_and_get", "old keys are found while the table grows; one copy", 2, about_to_grow_one, grow_and_get, grown, {3, 1}, {4, 2}, false},
	{"grow_and_get_two", "the same with two copies", 2, about_to_grow_two, grow_and_get, grown, {3, 1}, {4, 2}, false},
	{"grow_and_get_many", "all keys in one visit: the batch is there, or not; one copy", 2, about_to_grow_one, grow_and_get_many, grown,
	{3, 1}, {ALL, 2}, false},
	{"grow_and_get_many_two", "the same with two copies", 2, about_to_grow_two, grow_and_get_many, grown, {3, 1}, {ALL, 2}, false},
	{"grow_and_scan", "a scan sees each key once, and the batch or not; one copy", 2, about_to_grow_one, grow_and_scan, grown, {3, 1},
	{5, 2}, false},
	{"grow_and_scan_two", "the same with two copies", 2, about_to_grow_two, grow_and_scan, grown, {3, 1}, {5, 2}, false},
	{"scan_once", "a scan that believes the size of before does not fit", 2, about_to_grow_one, scan_once, NULL, {2, 0}, {2, 0}, true},
	{"exchange_and_scan", "a scan sees the key that goes or the one that comes; one copy", 2, few_one, exchange_and_scan, exchanged, {3, 1},
	{5, 2}, false},
	{"exchange_and_scan_two", "the same with two copies", 2, few_two, exchange_and_scan, exchanged, {3, 1}, {5, 2}, false},
	{"truncate_and_scan", "a scan sees everything or nothing; one copy", 2, grown_one, truncate_and_scan, truncated, {3, 1}, {5, 2}, false},
	{"truncate_and_scan_two", "the same with two copies", 2, grown_two, truncate_and_scan, truncated, {3, 1}, {5, 2}, false},
	{"replace_long", "a long value is read whole while it is replaced; one copy", 2, long_one, replace_and_get, is_c, {3, 1}, {4, 2}, false},
	{"replace_long_two", "the same with two copies", 2, long_two, replace_and_get, is_c, {4, 1}, {ALL, 2}, false},
	{"replace_long_shared", "the same with two copies that share it", 2, long_shared, replace_and_get, is_c, {4, 1}, {ALL, 2}, false},
	{"replace_under_reader", "what a reader looks at is not reused before it leaves", 2, long_reader_inside, replace_under_reader, is_d,
	{4, 1}, {ALL, 2}, false},
};

int
main(int argc, char **argv)
{
	return model_main(argc, argv, scenarios, (int) (sizeof(scenarios) / sizeof(scenarios[0])));
}
