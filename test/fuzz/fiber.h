/*
 * fiber.h
 *		Functions that run in turn, each on a stack of its own: several sessions in one thread,
 *		and who goes on is decided by the fuzz input.
 */
#ifndef FIBER_H
#define FIBER_H

#include <stdbool.h>
#include <stdint.h>

#define FIBERS_MAX	6

/* Fiber i begins with the next fiber_resume; "run" may return.  All begin anew with each input. */
extern void fiber_start(uint32_t i, void (*run) (uint32_t i));

/* By who is no fiber: let it run until it yields or returns.  False: it has returned. */
extern bool fiber_resume(uint32_t i);

/* By a fiber: go back to fiber_resume.  By anybody else: nothing. */
extern void fiber_yield(void);

/* The fiber that runs, or FIBERS_MAX. */
extern uint32_t fiber_self(void);

#endif							/* FIBER_H */
