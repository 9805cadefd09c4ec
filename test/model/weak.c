/*
 * weak.c
 *		Histories, views, clocks; contract in weak.h.
 */
#include "weak.h"

#include <stdlib.h>
#include <string.h>

#define GRANULE		4
#define GRANULES	(MODEL_ARENA / GRANULE)
#define WORDS_MAX	1500
#define STORES_MAX	200			/* of one word in one execution */
#define LATCHES		64
#define POOL_BYTES	((size_t) 64 << 20)

/* What a release carries. */
typedef struct Message
{
	uint32_t	clock[MODEL_THREADS];
	int			words;			/* in view; a word that came later may be read from its beginning on */
	uint16_t	view[];
} Message;

typedef struct Store
{
	uint64_t	value;
	const Message *message;		/* NULL: carries nothing */
} Store;

typedef struct Word
{
	void	   *at;
	int			bytes;
	int			n;				/* stores */
	int			last_seq;		/* newest sequentially consistent one */
	int			floor;			/* a plain write hid what was before */
	bool		plain;			/* it has just been written without atomics */
	bool		used;
	Store		stores[STORES_MAX];
} Word;

/* Who has touched a granule, by the toucher's clock. */
typedef struct Shadow
{
	uint32_t	dirty;			/* execution in which it was first changed or touched */
	uint16_t	word;			/* number of an atomic word */
	uint16_t	writer;
	uint32_t	written;
	uint32_t	read[MODEL_THREADS];
	uint32_t	stored[MODEL_THREADS];	/* atomically */
	uint32_t	loaded[MODEL_THREADS];
} Shadow;

typedef struct Thread
{
	uint32_t	clock[MODEL_THREADS];
	uint16_t	view[WORDS_MAX];
} Thread;

char		weak_arena[MODEL_ARENA] __attribute__((aligned(4096)));
static char pristine[MODEL_ARENA];
static Shadow shadows[GRANULES];
static bool ignored[GRANULES];
static uint32_t dirty_list[GRANULES];
static uint32_t dirty_count;
static Word *words;				/* from 1 on */
static int	words_count = 1;
static Thread threads[MODEL_THREADS];
static const Message *latches[LATCHES];
static char *pool;
static size_t pool_used;
static uint32_t execution;
static size_t allocated;

/* ---- the arena ---- */

void *
model_alloc(size_t bytes, size_t align)
{
	void	   *at;

	allocated = (allocated + align - 1) / align * align;
	at = weak_arena + allocated;
	allocated += bytes;
	if (allocated > MODEL_ARENA)
		model_fail("the arena is too small");
	return at;
}

static uint32_t
granule(const void *at)
{
	return (uint32_t) (((const char *) at - weak_arena) / GRANULE);
}

void
model_ignore(const void *start, size_t bytes)
{
	for (uint32_t i = granule(start); i <= granule((const char *) start + bytes - 1); i++)
		ignored[i] = true;
}

void
weak_begin(void)
{
	memcpy(pristine, weak_arena, allocated);
	if (words == NULL)
	{
		words = calloc(WORDS_MAX, sizeof(Word));
		pool = malloc(POOL_BYTES);
	}
	if (words == NULL || pool == NULL)
		abort();
	execution = 1;
}

static void
touch(uint32_t i)
{
	Shadow	   *s = &shadows[i];

	if (s->dirty == execution)
		return;
	s->dirty = execution;
	s->written = 0;
	memset(s->read, 0, sizeof(s->read) + sizeof(s->stored) + sizeof(s->loaded));
	dirty_list[dirty_count++] = i;
}

void
weak_reset(void)
{
	for (uint32_t i = 0; i < dirty_count; i++)
		memcpy(weak_arena + (size_t) dirty_list[i] * GRANULE, pristine + (size_t) dirty_list[i] * GRANULE, GRANULE);
	dirty_count = 0;
	execution++;
	for (int w = 1; w < words_count; w++)
		words[w].used = false;
	for (int t = 0; t < MODEL_THREADS; t++)
	{
		memset(threads[t].view, 0, sizeof(uint16_t) * words_count);
		memset(threads[t].clock, 0, sizeof(threads[t].clock));
		threads[t].clock[t] = 1;
	}
	memset(latches, 0, sizeof(latches));
	pool_used = 0;
}

/* ---- words ---- */

static uint64_t
in_memory(const Word *word)
{
	return word->bytes == 4 ? *(const uint32_t *) word->at : *(const uint64_t *) word->at;
}

int
weak_words(void)
{
	return words_count;
}

uint32_t
weak_word(const void *at, int bytes)
{
	uint32_t	i;
	Word	   *word;

	if (!weak_inside(at) || ignored[granule(at)])
		return WEAK_NOWHERE;
	i = granule(at);
	if (shadows[i].word == 0)
	{
		if (words_count == WORDS_MAX)
			model_fail("too many atomic words");
		words[words_count].at = (void *) at;
		words[words_count].bytes = bytes;
		words[words_count].used = false;
		shadows[i].word = (uint16_t) words_count;
		if (bytes == 8)
			shadows[i + 1].word = (uint16_t) words_count;
		for (int t = 0; t < MODEL_THREADS; t++)
			threads[t].view[words_count] = 0;
		words_count++;
	}
	word = &words[shadows[i].word];
	if (word->bytes != bytes || word->at != at)
		model_fail("an atomic word is accessed with two sizes");
	if (!word->used)
	{
		/* the value of the setup, or of plain writes since then */
		word->used = true;
		word->plain = false;
		word->n = 1;
		word->last_seq = word->floor = 0;
		word->stores[0] = (Store) {.value = in_memory(word)};
	}
	else if (word->plain)
	{
		word->plain = false;
		if (word->n == STORES_MAX)
			model_fail("too many stores to one word");
		word->floor = word->n;
		word->stores[word->n++] = (Store) {.value = in_memory(word)};
	}
	return shadows[i].word;
}

static void
race(const char *what, const void *at)
{
	model_fail("data race: %s at arena offset %zu", what, (size_t) ((const char *) at - weak_arena));
}

/* Has thread t seen what u did when its clock was "when"? */
static inline bool
saw(int t, int u, uint32_t when)
{
	return threads[t].clock[u] >= when;
}

static void
check_atomic(int t, const Word *word, bool write)
{
	for (int k = 0; k < word->bytes / GRANULE; k++)
	{
		uint32_t	i = granule(word->at) + k;
		Shadow	   *s = &shadows[i];

		touch(i);
		if (s->written != 0 && !saw(t, s->writer, s->written))
			race("atomic access beside a plain write", word->at);
		for (int u = 0; write && u < MODEL_THREADS; u++)
			if (!saw(t, u, s->read[u]))
				race("atomic write beside a plain read", word->at);
		(write ? s->stored : s->loaded)[t] = threads[t].clock[t];
	}
}

/* ---- messages ---- */

static Message *
message_new(int n)
{
	size_t		bytes = (sizeof(Message) + sizeof(uint16_t) * n + 15) & ~(size_t) 15;
	Message    *m = (Message *) (pool + pool_used);

	pool_used += bytes;
	if (pool_used > POOL_BYTES)
		model_fail("too many messages");
	m->words = n;
	return m;
}

/* What thread t knows, and "also" what a message says. */
static const Message *
message_of(int t, const Message *also)
{
	Message    *m = message_new(words_count);

	memcpy(m->clock, threads[t].clock, sizeof(m->clock));
	memcpy(m->view, threads[t].view, sizeof(uint16_t) * words_count);
	for (int i = 0; also != NULL && i < also->words; i++)
		if (m->view[i] < also->view[i])
			m->view[i] = also->view[i];
	for (int u = 0; also != NULL && u < MODEL_THREADS; u++)
		if (m->clock[u] < also->clock[u])
			m->clock[u] = also->clock[u];
	return m;
}

static void
learn(int t, const Message *m)
{
	if (m == NULL)
		return;
	for (int i = 0; i < m->words; i++)
		if (threads[t].view[i] < m->view[i])
			threads[t].view[i] = m->view[i];
	for (int u = 0; u < MODEL_THREADS; u++)
		if (threads[t].clock[u] < m->clock[u])
			threads[t].clock[u] = m->clock[u];
}

static inline bool
acquires(ModelOrder order)
{
	return order == MODEL_ACQ || order == MODEL_ACQ_REL || order == MODEL_SEQ;
}

static inline bool
releases(ModelOrder order)
{
	return order == MODEL_REL || order == MODEL_ACQ_REL || order == MODEL_SEQ;
}

/* ---- loads and stores ---- */

/* The oldest store that t may read. */
static int
oldest(int t, const Word *word, uint32_t w, ModelOrder order)
{
	int			from = threads[t].view[w];

	if (from < word->floor)
		from = word->floor;
	if (order == MODEL_SEQ && from < word->last_seq)
		from = word->last_seq;
	return from;
}

int
weak_choices(int t, uint32_t w, ModelOrder order, const uint64_t *not)
{
	const Word *word = &words[w];
	int			n = 1;

	for (int i = word->n - 2; i >= oldest(t, word, w, order); i--)
		n += not == NULL || word->stores[i].value != *not;
	return n;
}

uint64_t
weak_read(int t, uint32_t w, ModelOrder order, int back, const uint64_t *not)
{
	Word	   *word = &words[w];
	int			i = word->n - 1;

	for (; back > 0; back--)
		do
			i--;
		while (not != NULL && word->stores[i].value == *not);
	check_atomic(t, word, false);
	threads[t].view[w] = (uint16_t) i;
	if (acquires(order))
		learn(t, word->stores[i].message);
	return word->stores[i].value;
}

static void
store(int t, Word *word, uint32_t w, ModelOrder order, uint64_t x, const Message *passed_on)
{
	const Message *m = passed_on;

	if (word->n == STORES_MAX)
		model_fail("too many stores to one word");
	threads[t].view[w] = (uint16_t) word->n;
	if (releases(order))
	{
		m = message_of(t, passed_on);
		threads[t].clock[t]++;
	}
	if (order == MODEL_SEQ)
		word->last_seq = word->n;
	word->stores[word->n++] = (Store) {.value = x,.message = m};
	memcpy(word->at, &x, word->bytes);	/* little endian */
}

void
weak_write(int t, uint32_t w, ModelOrder order, uint64_t x)
{
	check_atomic(t, &words[w], true);
	store(t, &words[w], w, order, x, NULL);
}

uint64_t
weak_update(int t, uint32_t w, ModelOrder order, ModelRmw what, uint64_t x)
{
	Word	   *word = &words[w];
	Store		was = word->stores[word->n - 1];
	uint64_t	mask = word->bytes == 4 ? UINT32_MAX : UINT64_MAX;

	check_atomic(t, word, true);
	if (acquires(order))
		learn(t, was.message);
	switch (what)
	{
		case MODEL_XCHG:
			break;
		case MODEL_ADD:
			x += was.value;
			break;
		case MODEL_OR:
			x |= was.value;
			break;
		case MODEL_AND:
			x &= was.value;
			break;
	}
	store(t, word, w, order, x & mask, was.message);
	return was.value;
}

bool
weak_changed(int t, uint32_t w)
{
	return threads[t].view[w] < words[w].n - 1;
}

/* ---- plain accesses ---- */

static void
plain_one(int t, uint32_t i, bool write)
{
	Shadow	   *s = &shadows[i];
	const char *at = weak_arena + (size_t) i * GRANULE;

	touch(i);
	if (ignored[i])
		return;
	/* the same again, and nothing has been stored meanwhile */
	if (write ? s->written == threads[t].clock[t] && s->writer == t : s->read[t] == threads[t].clock[t])
		if (s->word == 0)
			return;
	if (s->written != 0 && !saw(t, s->writer, s->written))
		race(write ? "two plain writes" : "plain read beside a plain write", at);
	for (int u = 0; u < MODEL_THREADS; u++)
	{
		if (!saw(t, u, s->stored[u]))
			race("plain access beside an atomic write", at);
		if (write && !saw(t, u, s->read[u]))
			race("plain write beside a plain read", at);
		if (write && !saw(t, u, s->loaded[u]))
			race("plain write beside an atomic read", at);
	}
	if (write)
	{
		s->written = threads[t].clock[t];
		s->writer = (uint16_t) t;
		if (s->word != 0)
			words[s->word].plain = true;
	}
	else
		s->read[t] = threads[t].clock[t];
}

void
weak_plain(int t, const void *at, size_t bytes, bool write)
{
	if (bytes == 0 || !weak_inside(at))
		return;
	for (uint32_t i = granule(at); i <= granule((const char *) at + bytes - 1); i++)
		plain_one(t, i, write);
}

void
weak_touch(const void *at, size_t bytes)
{
	if (bytes == 0 || !weak_inside(at))
		return;
	for (uint32_t i = granule(at); i <= granule((const char *) at + bytes - 1); i++)
		touch(i);
}

/* ---- latches ---- */

void
weak_send(int t, uint32_t latch)
{
	latches[latch] = message_of(t, latches[latch]);
	threads[t].clock[t]++;
}

void
weak_receive(int t, uint32_t latch)
{
	learn(t, latches[latch]);
}

void
weak_join_all(void)
{
	for (int t = 1; t < MODEL_THREADS; t++)
	{
		for (int u = 0; u < MODEL_THREADS; u++)
			if (threads[0].clock[u] < threads[t].clock[u])
				threads[0].clock[u] = threads[t].clock[u];
		for (int i = 0; i < words_count; i++)
			if (threads[0].view[i] < threads[t].view[i])
				threads[0].view[i] = threads[t].view[i];
	}
}
