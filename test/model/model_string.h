/*
 * model_string.h
 *		Included before everything else: what moves memory is seen by the model.
 */
#ifndef MODEL_STRING_H
#define MODEL_STRING_H

#include <string.h>

extern void *model_memcpy(void *to, const void *from, size_t bytes);
extern void *model_memmove(void *to, const void *from, size_t bytes);
extern void *model_memset(void *to, int byte, size_t bytes);
extern int	model_memcmp(const void *a, const void *b, size_t bytes);

#define memcpy(to, from, bytes)		model_memcpy(to, from, bytes)
#define memmove(to, from, bytes)	model_memmove(to, from, bytes)
#define memset(to, byte, bytes)		model_memset(to, byte, bytes)
#define memcmp(a, b, bytes)			model_memcmp(a, b, bytes)

#endif							/* MODEL_STRING_H */
