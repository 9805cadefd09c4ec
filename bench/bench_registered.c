/*
 * bench_registered.c
 *		What sessions cost that are there and do nothing: puts of one session, with 1 and with
 *		256 registered, all of which have read once.
 *
 * Usage: bench_registered [rounds]
 *
 * A round measures all variants, one after the other; ratios are within a round, of processor time.
 */
#include "bench_time.h"

#define KEYS			10000
#define PUTS			(smoke() ? 500 : 20000)
#define REGISTERED		256
#define ROUNDS_MAX		64
#define VARIANTS		4

typedef struct Variant
{
	uint32_t	copies;
	uint32_t	registered;
	Th		   *th;
	NrSession	session[REGISTERED];
	NrHandle	handle[REGISTERED];
	double		ns[ROUNDS_MAX]; /* a put */
} Variant;

static Variant variant[VARIANTS];

static void
set_up(Variant *v, uint32_t copies, uint32_t registered, uint64_t seed)
{
	uint64_t	value;

	v->copies = copies;
	v->registered = registered;
	v->th = make_map(1, copies, REGISTERED, KEYS, seed);
	for (uint32_t i = 0; i < registered; i++)
	{
		th_register(v->th, i, 0, &v->session[i]);
		th_attach(&v->session[i], 0, &ds_hash_dispatch, &v->handle[i]);
		if (!get(&v->handle[i], seed, i, &value))
			th_die("a key is missing");
	}
}

static double
put_ns(Variant *v, uint64_t seed, uint64_t *random)
{
	uint32_t	puts = PUTS;
	uint64_t	from = thread_ns();
	uint64_t	key = 0;
	uint64_t	value;
	double		ns;

	for (uint32_t i = 0; i < puts; i++)
	{
		key = th_random(random) % KEYS;
		put(&v->handle[0], seed, &key, i, 1);
	}
	ns = (double) (thread_ns() - from) / puts;
	if (!get(&v->handle[v->registered - 1], seed, key, &value) || value != puts - 1)
		th_die("a put is not seen");
	return ns;
}

static void
report(const Variant *v, const double *ratio, uint32_t rounds)
{
	char		variant[32];
	char		x[16];
	char		what[128];

	snprintf(variant, sizeof(variant), "%u %s", v->copies, v->copies == 1 ? "copy" : "copies");
	snprintf(x, sizeof(x), "%u", v->registered);
	figure("puts of one session beside others that do nothing", variant, x, "ns", v->ns, rounds);
	if (v->registered == 1)
		return;
	figure("puts of one session beside others that do nothing", variant, x, "x", ratio, rounds);
	snprintf(what, sizeof(what), "a put with %u sessions registered and one active, against one registered, %s", v->registered, variant);
	target("S12", what, median(ratio, rounds), "<=", 1.2, "x", "the crate: 29 x");
}

int
main(int argc, char **argv)
{
	uint32_t	rounds = argc > 1 ? (uint32_t) atoi(argv[1]) : smoke() ? 1 : 21;
	uint64_t	seed = 0x9e3779b97f4a7c15u;
	uint64_t	random = 88172645463325252u;

	if (rounds < 1 || rounds > ROUNDS_MAX)
		th_die("rounds: 1 to 64");
	for (uint32_t i = 0; i < VARIANTS; i++)
		set_up(&variant[i], 1 + i / 2, i % 2 == 0 ? 1 : REGISTERED, seed);
	for (uint32_t round = 0; round < rounds; round++)
		for (uint32_t i = 0; i < VARIANTS; i++)
			variant[(round + i) % VARIANTS].ns[round] = put_ns(&variant[(round + i) % VARIANTS], seed, &random);

	printf("puts of one session, %u rounds, medians\n%6s %10s %8s %6s\n", rounds, "copies", "registered", "ns", "x");
	for (uint32_t i = 0; i < VARIANTS; i++)
	{
		Variant    *v = &variant[i];
		double		ratio[ROUNDS_MAX];

		for (uint32_t round = 0; round < rounds; round++)
			ratio[round] = v->ns[round] / variant[i / 2 * 2].ns[round];
		printf("%6u %10u %8.0f %6.2f\n", v->copies, v->registered, median(v->ns, rounds), median(ratio, rounds));
		report(v, ratio, rounds);
		for (uint32_t s = 0; s < v->registered; s++)
		{
			nr_group_detach(&v->handle[s]);
			nr_session_unregister(&v->session[s]);
		}
		th_free(v->th);
	}
	return 0;
}
