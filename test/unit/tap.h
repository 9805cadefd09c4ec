/*
 * tap.h
 *		Test Anything Protocol for plain C programs.
 *
 *		tap_ok(x == 1, "x is %d", 1);
 *		return tap_done();
 */
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static int	tap_count;
static int	tap_failed;

/* One check; returns cond, so that a test can stop early. */
static inline __attribute__((format(printf, 2, 3))) bool
tap_ok(bool cond, const char *name, ...)
{
	va_list		args;

	tap_count++;
	if (!cond)
		tap_failed++;
	printf("%s %d - ", cond ? "ok" : "not ok", tap_count);
	va_start(args, name);
	vprintf(name, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	return cond;
}

static inline __attribute__((format(printf, 1, 2))) void
tap_note(const char *text, ...)
{
	va_list		args;

	printf("# ");
	va_start(args, text);
	vprintf(text, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
}

/* The plan, at the end; the program's exit status. */
static inline int
tap_done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed == 0 ? 0 : 1;
}

#endif							/* TAP_H */
