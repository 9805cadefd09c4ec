/*
 * test_corrupt.c
 *		Damaged memory: whoever attaches to a control block of another kind is told so, and verify
 *		says what is broken in a copy.  Neither crashes (this runs under AddressSanitizer) nor hangs.
 *
 * NR_CORRUPT_ROUNDS: bits flipped in each copy; NR_CORRUPT_SEED: which ones.
 */
#include "copy_harness.h"
#include "ds/hash_root.h"
#include "ds/value.h"
#include "engine/layout.h"
#include "tap.h"
#include "thread_host.h"

#include <stdlib.h>
#include <string.h>

static uint64_t seed;

static uint32_t
env_number(const char *name, uint32_t otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? (uint32_t) strtoul(text, NULL, 10) : otherwise;
}

/* ---- the control block ---- */

static bool
attach_refused(Th *th)
{
	NrEngine	engine;
	void	   *regions[NR_REPLICAS_MAX];

	for (uint32_t r = 0; r < th->geo.replicas; r++)
		regions[r] = th->engine[0].region[r];
	return nr_engine_attach(&engine, &th->geo, &th->host, th->engine[0].control, regions) == NR_BAD_CONFIG;
}

/* Each bit of a field, one after the other. */
static void
spoil_field(Th *th, void *field, size_t bytes, const char *name)
{
	unsigned char *at = field;
	bool		refused = true;

	for (size_t bit = 0; bit < bytes * 8; bit++)
	{
		at[bit / 8] ^= 1 << (bit % 8);
		refused &= attach_refused(th);
		at[bit / 8] ^= 1 << (bit % 8);
	}
	tap_ok(refused && !attach_refused(th), "control block: attach notices every wrong bit of its %s", name);
}

#define SPOIL(field)	spoil_field(th, &control->field, sizeof(control->field), #field)

static void
test_control(void)
{
	NrGeometry	geo = th_geometry(2);
	Th		   *th = th_new(&geo, 1, 0);
	NrControl  *control = nr_control(&th->engine[0]);

	SPOIL(magic);
	SPOIL(geo.replicas);
	SPOIL(geo.sessions);
	SPOIL(geo.groups);
	SPOIL(geo.extents);
	SPOIL(geo.extent_shift);
	SPOIL(geo.session_buffer_bytes);
	spoil_field(th, &control->geo, sizeof(control->geo), "geometry as a whole");
	SPOIL(stride);
	th_free(th);
}

/* ---- copies ---- */

/* Short and long entries, overflow lines, deleted ones, order numbers. */
static void
fill(CopyHarness *h, uint32_t entries)
{
	char		value[3000];

	memset(value, 'v', sizeof(value));
	for (uint32_t i = 0; i < entries; i++)
		harness_put(h, &i, sizeof(i), value, i % 5 == 0 ? 200 + i % 2500 : i % 40, 0, NULL);
	for (uint32_t i = 0; i < entries; i += 7)
		harness_delete(h, &i, sizeof(i), NULL);
	for (uint32_t i = 0; i < 40; i++)
	{
		uint64_t	op[64];
		NrStatus	status;
		uint32_t	key = i * 3;
		size_t		bytes = ds_hash_op_put(op, ds_hash_key(ds_hash_root(&h->copy)->seed, &key, sizeof(key)), &key, sizeof(key), value, 30, 0);

		harness_batch(h, op, bytes, 1, 100 + i, 50, &status);
	}
}

/* What the memory of a copy is made of; flips go to each in turn, since most bytes are values. */
typedef struct Part
{
	const char *name;
	char	   *start;
	size_t		bytes;
	uint32_t	noticed;
	uint32_t	flips;
} Part;

static void
flip_bits(CopyHarness *h, Part *part, uint32_t rounds, uint64_t sum)
{
	for (uint32_t i = 0; i < rounds; i++)
	{
		uint64_t	bit = harness_random(&seed) % (part->bytes * 8);
		uint32_t	n = 1 + harness_random(&seed) % 3;	/* up to three bits of eight bytes */
		uint64_t	word;
		size_t		at = bit / 64 * 8;
		uint64_t	mask = UINT64_C(1) << (bit % 64);
		const char *broken;

		if (at + 8 > part->bytes)
			at = part->bytes - 8;
		while (--n > 0)
			mask |= UINT64_C(1) << (harness_random(&seed) % 64);
		memcpy(&word, part->start + at, 8);
		word ^= mask;
		memcpy(part->start + at, &word, 8);

		broken = h->dispatch->verify(&h->copy);
		part->flips++;
		/* a checksum is taken of what is sound only, as nr_check does */
		if (broken != NULL || h->dispatch->checksum(&h->copy) != sum)
			part->noticed++;

		word ^= mask;
		memcpy(part->start + at, &word, 8);
	}
}

static void
report(const Part *part, uint32_t percent)
{
	tap_ok(part->noticed * UINT64_C(100) >= part->flips * (uint64_t) percent, "%s: %u of %u damages noticed, no crash", part->name,
		   part->noticed, part->flips);
}

static void
test_hash(uint32_t line_bytes, uint32_t entries, uint32_t rounds)
{
	CopyHarness h;
	DsHashRoot *root;
	uint64_t	sum;
	size_t		root_bytes;

	harness_make_hash(&h, 14, 200, line_bytes, 42, 1);
	fill(&h, entries);
	root = ds_hash_root(&h.copy);
	root_bytes = h.copy.table->root_bytes;
	if (!tap_ok(h.dispatch->verify(&h.copy) == NULL, "lines of %u: sound to begin with", line_bytes))
		return;
	sum = h.dispatch->checksum(&h.copy);
	{
		size_t		directory = (root->segments + 1) * sizeof(uint32_t);
		Part		parts[] = {
			{"first line of the root", (char *) root, NR_CACHE_LINE, 0, 0},
			{"counts in the root", (char *) root + NR_CACHE_LINE, sizeof(*root) - NR_CACHE_LINE, 0, 0},
			{"directory", (char *) root + sizeof(*root), directory, 0, 0},
			{"the heap's state", (char *) root + root->heap_at, root_bytes - root->heap_at, 0, 0},
		};

		for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		{
			flip_bits(&h, &parts[i], rounds, sum);
			report(&parts[i], 95);
		}
	}
	/* extent by extent: free memory in them means nothing */
	{
		Part		lines = {"lines", NULL, 0, 0, 0};
		Part		blocks = {"blocks of the heap", NULL, 0, 0, 0};

		for (uint32_t e = 0; e < h.config.extents_max; e++)
		{
			Part	   *part = ds_heap_owns(ds_hash_heap(root), e) ? &blocks : &lines;
			bool		is_line = e == 0;

			for (uint32_t s = 1; s <= root->segments; s++)
				is_line |= root->dir[s] == e;
			if (part == &lines && !is_line)
				continue;
			part->start = nr_extent_ptr(&h.copy, e);
			part->bytes = nr_extent_bytes(&h.copy);
			if (e == 0)			/* what comes before is the engine's, and the root */
			{
				size_t		at = (size_t) ds_hash_heap(root)->root_first << NR_REF_UNIT_SHIFT;

				part->start += at;
				part->bytes -= at;
			}
			flip_bits(&h, part, rounds / 8, sum);
		}
		report(&lines, 25);
		report(&blocks, 50);
	}
	tap_ok(h.dispatch->verify(&h.copy) == NULL && h.dispatch->checksum(&h.copy) == sum, "put right again, it is sound");
	harness_free(&h);
}

/* ---- memory that two copies share ---- */

static NrStatus
put_at(CopyHarness *h, NrPass pass, uint64_t seq, uint64_t key, size_t value_bytes)
{
	static char value[2048];
	static _Alignas(8) char op[4096];
	NrResponse	resp = {0};

	memset(value, (int) seq, value_bytes);
	ds_hash_op_put(op, ds_hash_key(42, &key, sizeof(key)), &key, sizeof(key), value, value_bytes, 0);
	h->copy.pass = pass;
	h->copy.seq = seq;
	return h->dispatch->dispatch_mut(&h->copy, (NrOpHeader *) op, &resp);
}

static void
test_shared(uint32_t rounds)
{
	CopyPair	pair;
	NrCopyConfig config = {.extent_shift = 12,.extents_max = 30,.shared_max = 40};
	DsHashArg	arg = {.seed = 42,.line_bytes = 64};
	CopyHarness *h = &pair.copy[0];
	NrCopy	   *copy = &h->copy;
	bool		ok = true;
	uint64_t	sum;

	config.arg_bytes = sizeof(arg);
	memcpy(config.arg, &arg, sizeof(arg));
	pair_make(&pair, &ds_hash_dispatch, &config, 1);
	for (uint32_t c = 0; c < 2; c++)
		harness_grant(&pair.copy[c], 12);
	harness_grant(&pair.shared, 20);
	/* the second copy is behind: some is to be taken, some set aside */
	for (uint64_t seq = 1; seq <= 60; seq++)
		ok &= put_at(h, NR_PASS_FIRST, seq, seq % 40, 100 + seq * 7) == NR_OK;
	for (uint64_t seq = 1; seq <= 30; seq++)
		ok &= put_at(&pair.copy[1], NR_PASS_SECOND, seq, seq % 40, 100 + seq * 7) == NR_OK;
	if (!tap_ok(ok && h->dispatch->verify(copy) == NULL, "shared: sound to begin with"))
		return;
	sum = h->dispatch->checksum(copy);
	{
		Part		root = {"shared: its root", copy->shared_root, ds_value_root_bytes(&config), 0, 0};
		Part		blocks = {"shared: blocks", NULL, 0, 0, 0};

		flip_bits(h, &root, rounds, sum);
		for (uint32_t e = 1; e <= 20; e++)
		{
			blocks.start = copy->region + ((size_t) copy->shared_map[e] << copy->extent_shift);
			blocks.bytes = nr_extent_bytes(copy);
			flip_bits(h, &blocks, rounds / 8, sum);
		}
		report(&root, 70);
		report(&blocks, 10);
	}
	tap_ok(h->dispatch->verify(copy) == NULL && h->dispatch->checksum(copy) == sum, "put right again, it is sound");
	pair_free(&pair);
}

int
main(void)
{
	uint32_t	rounds = env_number("NR_CORRUPT_ROUNDS", 2000);

	seed = env_number("NR_CORRUPT_SEED", 1);
	th_watchdog(300);
	test_control();
	test_hash(64, 400, rounds);
	test_hash(128, 1000, rounds);
	test_shared(rounds);
	return tap_done();
}
