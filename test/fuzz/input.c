/*
 * input.c
 *		See input.h.
 */
#include "input.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "copy_harness.h"

static const uint8_t *at;
static size_t left;
static uint32_t steps;
static const char *running = "a fuzzer's input";

void
fz_begin(const uint8_t *data, size_t size)
{
	at = data;
	left = size < FZ_BYTES_MAX ? size : FZ_BYTES_MAX;
	steps = 0;
}

size_t
fz_left(void)
{
	return left;
}

uint32_t
fz_take(uint32_t bytes)
{
	uint32_t	v = 0;

	for (; bytes > 0 && left > 0; bytes--, left--)
		v = v << 8 | *at++;
	return v;
}

uint32_t
fz_below(uint32_t n)
{
	return fz_take(n > 256 ? 2 : 1) % n;
}

bool
fz_often(uint32_t n)
{
	/* an input that has ended says no */
	return left > 0 && fz_take(1) >= 256 - n;
}

bool
fz_all(const void *bytes, size_t n, uint8_t fill)
{
	const uint8_t *p = bytes;

	return n == 0 || (p[0] == fill && memcmp(p, p + 1, n - 1) == 0);
}

uint32_t
fz_step(void)
{
	return steps++;
}

void
fz_fail(const char *what)
{
	fflush(stdout);
	fprintf(stderr, "%s: %s, after %u operations\n", running, what, steps);
	abort();
}

/* ---- without a fuzzer ---- */

static void
replay_file(const char *path)
{
	static uint8_t data[FZ_BYTES_MAX];
	FILE	   *file = fopen(path, "rb");
	size_t		size;

	if (file == NULL)
	{
		fprintf(stderr, "%s cannot be read\n", path);
		exit(1);
	}
	size = fread(data, 1, sizeof(data), file);
	fclose(file);
	running = path;
	LLVMFuzzerTestOneInput(data, size);
}

/* A file, or all files of a folder; returns how many. */
static uint64_t
replay(const char *path)
{
	struct stat st;
	struct dirent *entry;
	uint64_t	n = 0;
	DIR		   *dir;

	if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode) || (dir = opendir(path)) == NULL)
	{
		replay_file(path);
		return 1;
	}
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.')
		{
			char		name[4096];

			snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
			replay_file(name);
			n++;
		}
	closedir(dir);
	return n;
}

/* As exact as the input: what reads behind it is found by AddressSanitizer. */
static void
run_random(uint64_t seed)
{
	static char name[64];
	uint64_t	random = seed;
	size_t		size = harness_random(&random) % FZ_BYTES_MAX;
	uint8_t    *data = malloc(size + 1);

	/* short ones are as likely as long ones */
	size >>= harness_random(&random) % 6;
	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t) harness_random(&random);
	snprintf(name, sizeof(name), "seed %llu", (unsigned long long) seed);
	running = name;
	LLVMFuzzerTestOneInput(data, size);
	free(data);
}

int
fz_main(const char *name, uint32_t weight, int argc, char **argv)
{
	uint64_t	files = 0;
	uint64_t	inputs = 300;
	uint64_t	first = 1;
	int			arg = 1;

	for (; arg < argc && strspn(argv[arg], "0123456789") != strlen(argv[arg]); arg++)
		files += replay(argv[arg]);
	if (arg > 1 && files == 0)
	{
		fprintf(stderr, "%s: there is no input in these folders\n", name);
		return 1;
	}
	if (arg < argc)
		inputs = strtoull(argv[arg], NULL, 10);
	else if (files > 0)
		inputs = 0;
	if (arg + 1 < argc)
		first = strtoull(argv[arg + 1], NULL, 10);
	inputs = inputs / weight + (inputs % weight != 0);
	for (uint64_t seed = first; seed < first + inputs; seed++)
		run_random(seed);
	printf("%s: %llu files and %llu inputs from seed %llu, all well\n", name, (unsigned long long) files,
		   (unsigned long long) inputs, (unsigned long long) first);
	return 0;
}
