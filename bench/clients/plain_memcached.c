/*
 * plain_memcached.c
 *		Clients of memcached as bench_clients.sh wants them: threads with a connection
 *		each over a Unix socket, by libmemcached, one request after the other.
 *
 * Usage: plain_memcached socket clients percent-of-reads requests keys
 *
 * Keys are the numbers from 1 to "keys", in decimal; the value of k is 7 k + 0 to 5, or 7 k + 6
 * from before.  Every answer is checked.  Prints requests per second, and in us the median
 * and the 99th percentile.
 */
#include <libmemcached/memcached.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CLIENTS_MAX 256

typedef struct Client
{
	pthread_t	thread;
	memcached_st *memcached;
	uint64_t	random;
	uint32_t	requests;
	uint32_t   *ns;				/* of each request */
} Client;

static uint32_t reads_percent;
static uint32_t keys;
static pthread_barrier_t begin;

static void
die(const char *problem)
{
	fprintf(stderr, "plain_memcached: %s\n", problem);
	exit(1);
}

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t) t.tv_sec * 1000000000u + (uint64_t) t.tv_nsec;
}

static uint32_t
draw(Client *c, uint32_t below)
{
	c->random ^= c->random << 13;
	c->random ^= c->random >> 7;
	c->random ^= c->random << 17;
	return (uint32_t) ((c->random >> 16) % below);
}

static void
request(Client *c)
{
	uint32_t	k = draw(c, keys) + 1;
	char		key[16];
	char		value[24];
	size_t		key_bytes = (size_t) snprintf(key, sizeof(key), "%u", k);

	if (draw(c, 100) < reads_percent)
	{
		size_t		bytes;
		uint32_t	flags;
		memcached_return_t rc;
		char	   *got = memcached_get(c->memcached, key, key_bytes, &bytes, &flags, &rc);

		if (got == NULL || strtoull(got, NULL, 10) / 7 != k)
			die("a key has a wrong value, or none");
		free(got);
	}
	else
	{
		size_t		bytes = (size_t) snprintf(value, sizeof(value), "%llu", 7ULL * k + draw(c, 6));

		if (memcached_set(c->memcached, key, key_bytes, value, bytes, 0, 0) != MEMCACHED_SUCCESS)
			die("could not set a key");
	}
}

static void *
run(void *arg)
{
	Client	   *c = arg;
	uint64_t	before;

	pthread_barrier_wait(&begin);
	before = now_ns();
	for (uint32_t i = 0; i < c->requests; i++)
	{
		uint64_t	now;

		request(c);
		now = now_ns();
		c->ns[i] = (uint32_t) (now - before);
		before = now;
	}
	return NULL;
}

static int
by_value(const void *a, const void *b)
{
	uint32_t	x = *(const uint32_t *) a;
	uint32_t	y = *(const uint32_t *) b;

	return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
	static Client client[CLIENTS_MAX];
	uint32_t	clients;
	uint32_t	each;
	uint32_t   *ns;
	uint64_t	took;

	if (argc != 6)
		die("usage: plain_memcached socket clients percent-of-reads requests keys");
	clients = (uint32_t) atoi(argv[2]);
	reads_percent = (uint32_t) atoi(argv[3]);
	keys = (uint32_t) atoi(argv[5]);
	if (clients < 1 || clients > CLIENTS_MAX || keys < 1)
		die("bad arguments");
	each = ((uint32_t) atoi(argv[4]) + clients - 1) / clients;
	ns = calloc((size_t) each * clients + 1, sizeof(*ns));
	if (ns == NULL || each == 0)
		die("bad arguments");
	pthread_barrier_init(&begin, NULL, clients + 1);
	for (uint32_t i = 0; i < clients; i++)
	{
		client[i] = (Client) {.memcached = memcached_create(NULL),.random = now_ns() | 1,.requests = each,.ns = ns + (size_t) i * each};
		if (memcached_server_add_unix_socket(client[i].memcached, argv[1]) != MEMCACHED_SUCCESS ||
			memcached_exist(client[i].memcached, "1", 1) != MEMCACHED_SUCCESS ||
			pthread_create(&client[i].thread, NULL, run, &client[i]) != 0)
			die("could not start a client");
	}
	pthread_barrier_wait(&begin);
	took = now_ns();
	for (uint32_t i = 0; i < clients; i++)
		pthread_join(client[i].thread, NULL);
	took = now_ns() - took;
	for (uint32_t i = 0; i < clients; i++)
		memcached_free(client[i].memcached);
	qsort(ns, (size_t) each * clients, sizeof(*ns), by_value);
	printf("%.0f\t%.1f\t%.1f\n", (double) each * clients * 1e9 / (double) took,
		   ns[(size_t) each * clients / 2] / 1e3, ns[(size_t) each * clients * 99 / 100] / 1e3);
	free(ns);
	return 0;
}
