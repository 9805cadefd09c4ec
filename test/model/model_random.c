/*
 * model_random.c
 *		Is the search complete?  Random programs, explored with reduction and without: the outcomes must be the same.
 *
 * A program has two or three threads of a few random operations each, with random orders, on three words.  Its outcome is what
 * every operation has read.  Within bounds on preemptions and stale reads the reduced search must find the very
 * outcomes that trying every switch finds; and the former must be the smaller one in the end, or it reduces nothing.
 *
 *		model_random [programs [first seed]]
 */
#include "engine/atomic.h"
#include "explore.h"
#include "weak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPS		4
#define WORDS	3
#define OUTCOMES_MAX	(1 << 16)

typedef enum Kind
{
	LOAD_RLX,
	LOAD_ACQ,
	LOAD_SEQ,
	STORE_RLX,
	STORE_REL,
	XCHG,
	ADD_RLX,
	CAS,
	WAIT,						/* until the word is not what it was; then read it */
	KINDS
} Kind;

typedef struct Op
{
	Kind		kind;
	int			word;
	bool		guarded;		/* left out, if the operation before it read 0 */
} Op;

typedef struct Memory
{
	NrAtomic64	word[WORDS];
	uint64_t	seen[MODEL_THREADS][OPS];
} Memory;

static Memory *memory;
static Op	program[MODEL_THREADS][OPS];
static int	length[MODEL_THREADS];
static uint64_t outcomes[2][OUTCOMES_MAX];	/* sorted */
static int	outcomes_n[2];
static int	pass;
static uint64_t random_state;

static uint32_t
random_below(uint32_t n)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t) (random_state >> 33) % n;
}

static uint64_t
run_op(const Op *op, uint64_t x)
{
	NrAtomic64 *word = &memory->word[op->word];
	uint64_t	expected;

	switch (op->kind)
	{
		case LOAD_RLX:
			return nr_load64_rlx(word);
		case LOAD_ACQ:
			return nr_load64_acq(word);
		case LOAD_SEQ:
			return nr_load64_seq(word);
		case STORE_RLX:
			nr_store64_rlx(word, x);
			return 0;
		case STORE_REL:
			nr_store64_rel(word, x);
			return 0;
		case XCHG:
			return nr_xchg64_seq(word, x);
		case ADD_RLX:
			nr_add64_rlx(word, x);
			return 0;
		case CAS:
			expected = 0;
			nr_cas64_seq(word, &expected, x);
			return expected;
		default:
			for (int tries = 0; nr_load64_acq(word) == 0 && tries < 2; tries++)
				model_poll();
			return nr_load64_acq(word);
	}
}

static void
thread(int i)
{
	for (int k = 0; k < length[i]; k++)
	{
		/* the way that a program takes depends on what it has read */
		if (program[i][k].guarded && k > 0 && memory->seen[i][k - 1] == 0)
			continue;
		memory->seen[i][k] = run_op(&program[i][k], (uint64_t) (i * OPS + k + 1));
	}
}

static void
setup(void)
{
	memory = model_alloc(sizeof(Memory), 64);
}

static void
ended(void)
{
	uint64_t	hash = 0;
	int			low = 0;
	int			high = outcomes_n[pass];

	for (int t = 0; t < MODEL_THREADS; t++)
		for (int k = 0; k < OPS; k++)
			hash = (hash ^ memory->seen[t][k]) * UINT64_C(0x9E3779B97F4A7C15) + (hash >> 29);
	for (int w = 0; w < WORDS; w++)
		hash = (hash ^ nr_load64_rlx(&memory->word[w])) * UINT64_C(0x9E3779B97F4A7C15) + (hash >> 29);
	while (low < high)
	{
		int			mid = (low + high) / 2;

		if (outcomes[pass][mid] == hash)
			return;
		if (outcomes[pass][mid] < hash)
			low = mid + 1;
		else
			high = mid;
	}
	if (outcomes_n[pass] == OUTCOMES_MAX)
		model_fail("too many outcomes");
	memmove(&outcomes[pass][low + 1], &outcomes[pass][low], sizeof(uint64_t) * (size_t) (outcomes_n[pass]++ - low));
	outcomes[pass][low] = hash;
}

/* Polls that time out would be nobody's choice: a program that waits has somebody who writes, at its end. */
static int
make_program(void)
{
	int			threads = 2 + (int) random_below(2);
	bool		waits = random_below(4) == 0;

	for (int t = 0; t < threads; t++)
	{
		length[t] = threads == 2 ? 2 + (int) random_below(3) : 1 + (int) random_below(explore_bound.stale == 0 ? 3 : 2);
		for (int k = 0; k < length[t]; k++)
			program[t][k] = (Op) {random_below(WAIT), random_below(WORDS), random_below(2)};
	}
	if (waits)
	{
		program[0][length[0] - 1] = (Op) {WAIT, 0, false};
		program[1][length[1] - 1] = (Op) {STORE_REL, 0, false};
	}
	return threads;
}

int
main(int argc, char **argv)
{
	int			programs = argc > 1 && argv[1][0] != '-' ? atoi(argv[1]) : 100;
	uint64_t	seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	uint64_t	total[2] = {0, 0};
	uint64_t	found = 0;
	int			different = 0;

	if (argc > 1 && strcmp(argv[1], "--list") == 0)
		return 0;
	setup();
	weak_begin();
	explore_ended = ended;
	for (int i = 0; i < programs; i++, seed++)
	{
		ModelScenario scenario = {.name = "random",.setup = setup,.thread = thread};

		random_state = seed * 1000003;
		explore_bound.preemptions = random_below(3) == 0 ? MODEL_UNBOUNDED : (int) random_below(3);
		explore_bound.stale = random_below(3) == 0 ? MODEL_UNBOUNDED : (int) random_below(3);
		scenario.threads = make_program();
		if (program[0][length[0] - 1].kind == WAIT && explore_bound.stale > 2)
			explore_bound.stale = 2;
		for (pass = 0; pass < 2; pass++)
		{
			outcomes_n[pass] = 0;
			explore_brute = pass == 1;
			if (explore_scenario(&scenario, UINT64_MAX) != EXPLORE_HOLDS)
				return 2;
			total[pass] += (uint64_t) explore_executions;
		}
		found += (uint64_t) outcomes_n[1];
		if (outcomes_n[0] == outcomes_n[1] &&
			memcmp(outcomes[0], outcomes[1], sizeof(uint64_t) * outcomes_n[0]) == 0)
			continue;
		different++;
		printf("# seed %llu: %d outcomes, without reduction %d (preemptions %d, stale reads %d)\n",
			   (unsigned long long) seed, outcomes_n[0], outcomes_n[1], explore_bound.preemptions,
			   explore_bound.stale);
	}
	printf("%sok 1 - random programs: the reduced search finds every outcome (%d programs, %llu outcomes; %llu executions, without reduction %llu)\n",
		   different == 0 && total[0] < total[1] ? "" : "not ", programs, (unsigned long long) found,
		   (unsigned long long) total[0], (unsigned long long) total[1]);
	printf("1..1\n");
	return different > 0 || total[0] >= total[1];
}
