/*
 * access.c
 *		Every access to memory of a model: a step, if others can notice it, and what the history of the word says.
 */
#include "explore.h"
#include "weak.h"

#include <string.h>

void
explore_plain(const void *at, size_t bytes, bool write)
{
	int			t = explore_current();

	if (t > 0)
		weak_plain(t, at, bytes, write);
	else if (write)
		weak_touch(at, bytes);
}

static uint64_t
in_memory(const void *at, int bytes)
{
	return bytes == 4 ? *(const uint32_t *) at : *(const uint64_t *) at;
}

uint64_t
model_newest(const void *at, int bytes)
{
	return in_memory(at, bytes);
}

/* The word's number, once it is our turn; WEAK_NOWHERE: nothing to be explored. */
static uint32_t
word_step(const void *at, int bytes, bool write, ModelSite *site)
{
	uint32_t	w;

	if (explore_current() == 0)
	{
		if (write)
			weak_touch(at, (size_t) bytes);
		return WEAK_NOWHERE;
	}
	site->passed++;
	w = weak_word(at, bytes);
	if (w == WEAK_NOWHERE)
	{
		weak_plain(explore_current(), at, bytes, write);
		return w;
	}
	explore_step(w, write);
	return weak_word(at, bytes);	/* others may have changed it since */
}

static uint64_t
read_some(uint32_t w, ModelOrder order, const uint64_t *not)
{
	int			n = explore_stale_used < explore_bound.stale ? weak_choices(explore_current(), w, order, not) : 1;
	int			back = explore_decide(n);

	explore_stale_used += back > 0;
	explore_look(w);
	return weak_read(explore_current(), w, order, back, not);
}

const char *
model_base_name(const char *file)
{
	const char *slash = strrchr(file, '/');

	return slash == NULL ? file : slash + 1;
}

static void
trace_word(const ModelSite *site, uint32_t w, uint64_t was, uint64_t now)
{
	if (!explore_tracing())
		return;
	if (was == now)
		explore_trace("%s:%d %s %s word %u: 0x%llx", model_base_name(site->file), site->line, site->func, site->op, w,
			  (unsigned long long) was);
	else
		explore_trace("%s:%d %s %s word %u: 0x%llx -> 0x%llx", model_base_name(site->file), site->line, site->func, site->op, w,
			  (unsigned long long) was, (unsigned long long) now);
}

uint64_t
model_load(const void *at, int bytes, ModelSite *site)
{
	uint32_t	w = word_step(at, bytes, false, site);
	uint64_t	x;

	if (w == WEAK_NOWHERE)
		return in_memory(at, bytes);
	x = read_some(w, site->now, NULL);
	trace_word(site, w, x, x);
	return x;
}

void
model_store(void *at, int bytes, uint64_t x, ModelSite *site)
{
	uint32_t	w = word_step(at, bytes, true, site);

	if (w == WEAK_NOWHERE)
		memcpy(at, &x, bytes);
	else
	{
		weak_write(explore_current(), w, site->now, x);
		trace_word(site, w, x, x);
	}
}

static uint64_t
plain_rmw(void *at, int bytes, ModelRmw what, uint64_t x)
{
	uint64_t	was = in_memory(at, bytes);

	x = what == MODEL_XCHG ? x : what == MODEL_ADD ? was + x : what == MODEL_OR ? (was | x) : (was & x);
	memcpy(at, &x, bytes);
	return was;
}

uint64_t
model_rmw(void *at, int bytes, ModelRmw what, uint64_t x, ModelSite *site)
{
	uint32_t	w = word_step(at, bytes, true, site);
	uint64_t	was;

	if (w == WEAK_NOWHERE)
		return plain_rmw(at, bytes, what, x);
	was = weak_update(explore_current(), w, site->now, what, x);
	explore_look(w);
	trace_word(site, w, was, in_memory(at, bytes));
	return was;
}

/* A CAS that fails is a load, which may read an older store, if that has not the expected value. */
bool
model_cas(void *at, int bytes, uint64_t *expected, uint64_t x, ModelSite *site)
{
	uint32_t	w = word_step(at, bytes, true, site);
	uint64_t	want = *expected;
	uint64_t	now;

	if (w == WEAK_NOWHERE)
	{
		now = in_memory(at, bytes);
		if (now == want)
			memcpy(at, &x, bytes);
		*expected = now;
		return now == want;
	}
	now = in_memory(at, bytes);
	if (now == want)
	{
		weak_update(explore_current(), w, site->now, MODEL_XCHG, x);
		explore_look(w);
		trace_word(site, w, now, x);
		return true;
	}
	*expected = read_some(w, site->now, &want);
	trace_word(site, w, *expected, *expected);
	return false;
}
