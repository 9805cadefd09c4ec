/*
 * input.h
 *		What all fuzz targets begin with: bytes that decide, and a main program.
 *
 * A target has LLVMFuzzerTestOneInput, which reads its input by fz_*: each byte decides
 * something, and when none is left all are 0 and the target ends.  It runs three ways:
 *
 *	 fuzz_X [file or folder]... [inputs [first seed]]	without NR_FUZZER: replays files, then
 *					runs so many inputs made of random numbers
 *	 libFuzzer, AFL++	with NR_FUZZER: main() is theirs (tools/ctests.mk, MODE=libfuzzer and afl)
 *
 * What is wrong ends the program (fz_fail), and the input can be given as a file.
 */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longer inputs are cut: each operation is followed by a check of everything. */
#define FZ_BYTES_MAX	4096

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An input begins. */
extern void fz_begin(const uint8_t *data, size_t size);

/* Bytes that are left. */
extern size_t fz_left(void);

/* The next bytes (1 to 4) as a number. */
extern uint32_t fz_take(uint32_t bytes);

/* Less than n, by one byte, or by two when n is above 256; n is at most 65536 and not 0. */
extern uint32_t fz_below(uint32_t n);

/* True in n of 256 cases. */
extern bool fz_often(uint32_t n);

/* Are all of these bytes the same as "fill"? */
extern bool fz_all(const void *bytes, size_t n, uint8_t fill);

/* Counts operations, for fz_fail; how many there were in this input. */
extern uint32_t fz_step(void);

/* Says what is wrong and after how many operations, and aborts. */
extern void fz_fail(const char *what) __attribute__((noreturn));

/*
 * main() of a target.  "inputs" on the command line is divided by "weight", for targets
 * whose inputs take longer.
 */
extern int	fz_main(const char *name, uint32_t weight, int argc, char **argv);

#endif							/* FUZZ_INPUT_H */
