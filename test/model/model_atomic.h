/*
 * model_atomic.h
 *		What engine/atomic.h includes as NR_MODEL, in place of its own: each operation knows its place in the source.
 */
#ifndef MODEL_ATOMIC_H
#define MODEL_ATOMIC_H

#include "model.h"

#define MODEL_SITE(name, as_written) \
	static ModelSite site __attribute__((section("model_sites"), used, aligned(8))) = \
	{.file = __FILE__,.func = __func__,.op = name,.line = __LINE__,.order = as_written,.now = as_written}

#define MODEL_LOAD(bits, name, order, a) \
	({ MODEL_SITE(name, order); (uint##bits##_t) model_load(&(a)->v, bits / 8, &site); })
#define MODEL_STORE(bits, name, order, a, x) \
	({ MODEL_SITE(name, order); model_store(&(a)->v, bits / 8, (uint##bits##_t) (x), &site); })
#define MODEL_RMW(bits, name, order, what, a, x) \
	({ MODEL_SITE(name, order); \
	   (uint##bits##_t) model_rmw(&(a)->v, bits / 8, what, (uint##bits##_t) (x), &site); })
#define MODEL_CAS(bits, name, a, e, x) \
	({ MODEL_SITE(name, MODEL_SEQ); uint##bits##_t *expected_ = (e); uint64_t was_ = *expected_; \
	   bool done_ = model_cas(&(a)->v, bits / 8, &was_, (uint##bits##_t) (x), &site); \
	   *expected_ = (uint##bits##_t) was_; done_; })

#define nr_load32_rlx(a)	MODEL_LOAD(32, "load_rlx", MODEL_RLX, a)
#define nr_load32_acq(a)	MODEL_LOAD(32, "load_acq", MODEL_ACQ, a)
#define nr_load32_seq(a)	MODEL_LOAD(32, "load_seq", MODEL_SEQ, a)
#define nr_load64_rlx(a)	MODEL_LOAD(64, "load_rlx", MODEL_RLX, a)
#define nr_load64_acq(a)	MODEL_LOAD(64, "load_acq", MODEL_ACQ, a)
#define nr_load64_seq(a)	MODEL_LOAD(64, "load_seq", MODEL_SEQ, a)
#define nr_store32_rlx(a, x)	MODEL_STORE(32, "store_rlx", MODEL_RLX, a, x)
#define nr_store32_rel(a, x)	MODEL_STORE(32, "store_rel", MODEL_REL, a, x)
#define nr_store64_rlx(a, x)	MODEL_STORE(64, "store_rlx", MODEL_RLX, a, x)
#define nr_store64_rel(a, x)	MODEL_STORE(64, "store_rel", MODEL_REL, a, x)
#define nr_xchg32_seq(a, x)	MODEL_RMW(32, "xchg_seq", MODEL_SEQ, MODEL_XCHG, a, x)
#define nr_xchg64_seq(a, x)	MODEL_RMW(64, "xchg_seq", MODEL_SEQ, MODEL_XCHG, a, x)
#define nr_add32_seq(a, x)	MODEL_RMW(32, "add_seq", MODEL_SEQ, MODEL_ADD, a, x)
#define nr_add64_seq(a, x)	MODEL_RMW(64, "add_seq", MODEL_SEQ, MODEL_ADD, a, x)
#define nr_sub32_seq(a, x)	MODEL_RMW(32, "sub_seq", MODEL_SEQ, MODEL_ADD, a, -(uint32_t) (x))
#define nr_sub64_seq(a, x)	MODEL_RMW(64, "sub_seq", MODEL_SEQ, MODEL_ADD, a, -(uint64_t) (x))
#define nr_or32_seq(a, x)	MODEL_RMW(32, "or_seq", MODEL_SEQ, MODEL_OR, a, x)
#define nr_or64_seq(a, x)	MODEL_RMW(64, "or_seq", MODEL_SEQ, MODEL_OR, a, x)
#define nr_and32_seq(a, x)	MODEL_RMW(32, "and_seq", MODEL_SEQ, MODEL_AND, a, x)
#define nr_and64_seq(a, x)	MODEL_RMW(64, "and_seq", MODEL_SEQ, MODEL_AND, a, x)
#define nr_add32_rlx(a, x)	MODEL_RMW(32, "add_rlx", MODEL_RLX, MODEL_ADD, a, x)
#define nr_add64_rlx(a, x)	MODEL_RMW(64, "add_rlx", MODEL_RLX, MODEL_ADD, a, x)
#define nr_cas32_seq(a, e, x)	MODEL_CAS(32, "cas_seq", a, e, x)
#define nr_cas64_seq(a, e, x)	MODEL_CAS(64, "cas_seq", a, e, x)

#endif							/* MODEL_ATOMIC_H */
