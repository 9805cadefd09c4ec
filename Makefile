# nr_cache: a node-replicated lookup cache in PostgreSQL's shared memory.
#
# "make help" lists what can be made.  Building needs PostgreSQL's development
# files (PGXS); setup, test and demo do not need anything beforehand, they
# install what is missing, and so PGXS is read only for goals that need it.

# ---- what PGXS is told ------------------------------------------------------

MODULE_big = nr_cache
EXTENSION = nr_cache
DATA = nr_cache--0.1.sql nr_cache--0.1--0.2.sql
PGFILEDESC = "nr_cache - node-replicated lookup cache"

# This file's own folder, so that a build outside of the source tree
# (make -f .../Makefile) works too; PGXS's srcdir comes too late for that.
nr_srcdir := $(patsubst %/,%,$(dir $(firstword $(MAKEFILE_LIST))))

nr_sources := $(sort $(patsubst $(nr_srcdir)/%,%,$(wildcard $(nr_srcdir)/src/*.c \
	$(nr_srcdir)/src/engine/*.c $(nr_srcdir)/src/ds/*.c)))
nr_headers := $(wildcard $(nr_srcdir)/src/*.h $(nr_srcdir)/src/engine/*.h \
	$(nr_srcdir)/src/ds/*.h)
OBJS = $(nr_sources:.c=.o)

PG_CPPFLAGS = -I$(nr_srcdir)/src -D_GNU_SOURCE
PG_CFLAGS = -std=gnu11 -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare \
	-Wno-missing-field-initializers -Wno-declaration-after-statement \
	$(if $(findstring clang,$(CC)),$(nr_clang_flags))
SHLIB_LINK =

# clang does not know all of what PGXS and the headers say to gcc
nr_clang_flags = -Wno-unknown-warning-option -Wno-ignored-optimization-argument -Dgnu_printf=printf

# with_numa=no builds without libnuma
ifeq ($(with_numa),no)
PG_CPPFLAGS += -DNR_NO_NUMA
else
SHLIB_LINK += -lnuma
endif

# NR_TEST_POINTS=1 compiles in the places at which tests stop and kill backends
ifdef NR_TEST_POINTS
PG_CPPFLAGS += -DNR_TEST_POINTS
endif

# NR_BENCH=1 adds what the benchmarks compare with
ifdef NR_BENCH
nr_bench_variants := $(patsubst %,bench/nr_bench_%.o,peer twin still each rseq getcpu rseq_each getcpu_each)
nr_bench_peers := $(patsubst %,bench/nr_bench_%.o,peers dynahash dshash open calls)
OBJS += bench/nr_bench.o $(nr_bench_variants) $(nr_bench_peers)
$(shell mkdir -p bench)
endif

# Redis from SQL, where its client library is
ifdef NR_BENCH
ifneq ($(wildcard /usr/include/hiredis/hiredis.h),)
OBJS += bench/nr_bench_redis.o
SHLIB_LINK += -lhiredis
endif
endif

ifdef WERROR
PG_CFLAGS += -Werror
endif

# Bitcode only when asked for (with_llvm=yes): there is nothing in it for the
# JIT compiler to win, and without it internal functions need not be exported.
ifneq ($(with_llvm),yes)
override with_llvm := no
PG_CFLAGS += -fvisibility=hidden -DPGDLLEXPORT='__attribute__((visibility("default")))'
endif

# Suites in alphabetical order, but "basic" first and "check" (nr_check over
# every cache that the others left behind) last.
nr_suites := $(sort $(notdir $(basename $(wildcard $(nr_srcdir)/sql/*.sql))))
REGRESS = $(filter basic,$(nr_suites)) $(filter-out basic check,$(nr_suites)) $(filter check,$(nr_suites))
REGRESS_OPTS = --inputdir=$(nr_srcdir)
ISOLATION = $(sort $(notdir $(basename $(wildcard $(nr_srcdir)/test/isolation/specs/*.spec))))
ISOLATION_OPTS = --inputdir=$(nr_srcdir)/test/isolation --outputdir=output_iso --load-extension=nr_cache

EXTRA_CLEAN = build output_iso tmp_check

# ---- goals that do without PGXS ---------------------------------------------

nr_plain_goals := nr-print-REGRESS nr-print-ISOLATION help setup demo test test-matrix test-numa test-numa-smoke test-assert test-valgrind test-asan lint compilers unit model mutants stress fuzz fuzz-long fuzz-coverage regress isolation tap kills hostile proof histories soak bench bench-all bench-smoke counts

ifeq ($(MAKECMDGOALS),)
nr_needs_pgxs := yes
else ifneq ($(filter-out $(nr_plain_goals),$(MAKECMDGOALS)),)
nr_needs_pgxs := yes
endif

PG_CONFIG ?= pg_config

ifdef nr_needs_pgxs
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
# Debian's client package has pgxs.mk, without the headers
ifeq ($(and $(wildcard $(PGXS)),$(wildcard $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)/postgres.h)),)
$(error PostgreSQL's development files were not found (PG_CONFIG=$(PG_CONFIG)): run "make setup" first)
endif
# not every PGXS finds out that it builds outside of the source tree
ifneq ($(nr_srcdir),.)
VPATH = $(nr_srcdir)
endif
include $(PGXS)
# Debian builds PostgreSQL without dependency tracking
$(OBJS) $(OBJS:.o=.bc): $(nr_headers) $(nr_srcdir)/Makefile
ifdef NR_BENCH
$(nr_bench_peers): $(nr_srcdir)/bench/nr_bench_peers.h
$(nr_bench_variants): bench/nr_bench_%.o: $(nr_srcdir)/bench/nr_bench_get.c $(patsubst %,$(nr_srcdir)/src/%.c,nr_exec nr_fn_read nr_numa)
	$(CC) $(CFLAGS) $(CPPFLAGS) -DNR_BENCH_AS=$* -c -o $@ $<
endif
endif

export PG_CONFIG

help:
	@sed -n 's/^#: \{0,1\}//p' $(nr_srcdir)/Makefile

#: make             build the extension (PG_CONFIG=... picks a PostgreSQL)
#: make install     install it into that PostgreSQL
#: make installcheck  pg_regress and isolation tests against a running server
#:                  with shared_preload_libraries = 'nr_cache'
#: make clean       remove what was built
#:
#: make demo        install what is missing, build, and show the cache at work
#:                  in a throw-away cluster; then a psql prompt
#: make test        install what is missing and run every test
#:
#: make setup       only install what is missing (apt, where it may)
#: make test-matrix the suites on PostgreSQL 15, 17 and 18, in chroots of Debian's
#:                  suites (takes root; MATRIX=17,18 and MATRIX_STEPS="..." choose)
#:
#: make test-numa   placement on machines with 2 and 4 NUMA nodes, which are emulated
#:                  (NUMA="2 4 2+1": nodes, and nodes that have memory only; NUMA_TESTS="...")
#: make test-numa-smoke  the shortest of that, on 2 nodes; part of "make test"
#:
#: make test-assert the suites on a PostgreSQL with assertions, built from Debian's
#:                  source (ASSERT_VERSIONS=15; once, then kept in build/assert)
#: make test-valgrind, make test-asan   regression suites on such a server under
#:                  Valgrind; and under AddressSanitizer and UBSan
#:
#: make lint        rules about the source: includes, edges, unlisted tests
#: make compilers   build with gcc and clang, -Wall -Wextra -Werror
#: make unit        unit tests of engine and structures, also under sanitizers
#: make model       every interleaving of a few threads in the engine, and every order
#:                  of memory that C11 allows, within bounds (MODEL_LARGE=1: larger ones)
#: make mutants     does that find each edge out when it is weaker?  (MUTANTS=pattern, MUTANTS_TRUST=1:
#:                  only those that are said to be found)
#: make stress      threads under ThreadSanitizer, AddressSanitizer and UBSan
#:                  (SECONDS_EACH=n: how long for each program, default 5)
#: make fuzz        random operations on structures and engine against references, and bad
#:                  input; what fuzzers have found before comes first (FUZZ_ROUNDS=n, FUZZ_SEED=n)
#: make fuzz-long   the same under libFuzzer or AFL++ (FUZZER=libfuzzer|afl, FUZZ_SECONDS=n for
#:                  each target, FUZZ_TARGETS="fuzz_hash ..."); not part of "make test"
#: make fuzz-coverage  which lines of src/ds none of that reaches
#: make regress     pg_regress in a throw-away cluster, with 1 and 2 replicas
#: make isolation   isolation specs, likewise
#: make tap         server tests: restart, kill -9, cancel, standby, limits
#: make kills       a thousand processes killed, terminated and cancelled at named places
#:                  (KILLS=n, SEED=n); a sample is part of "make tap"
#: make hostile     the long form of hostile input: arguments, options, settings, damaged
#:                  memory (HOSTILE_ROUNDS=n, default 20; HOSTILE_SEED=n)
#: make proof       the long forms of tests, for hours (PROOF="kills mutants model-large hostile
#:                  fuzz-long soak" chooses; test-assert test-valgrind test-asan too, if named)
#: make histories   what many sessions were told by a server, while they are cancelled and
#:                  stopped, checked; and does that find faults (HISTORY_CALLS=n, HISTORY_SEED=n)
#: make soak        the same for hours (SECONDS=n, default 3600); not part of "make test"
#: make bench       benchmarks, printed as ratios; the table of targets, and plots in build/bench-results
#: make bench-all   those that take longer, too: copies, replicas, operations with an answer
#: make bench-smoke all of them with little to do, for their answers; part of "make test"
#: make counts      instructions of each operation, against bench/counts.txt; part of "make test"
#:
#: Options: WERROR=1, NR_TEST_POINTS=1, NR_BENCH=1, with_numa=no, with_llvm=yes

.PHONY: $(nr_plain_goals)

# for tools/test.sh
nr-print-REGRESS nr-print-ISOLATION: nr-print-%:
	@echo $($*)

setup:
	@$(nr_srcdir)/tools/setup.sh

demo:
	@$(nr_srcdir)/tools/demo.sh

lint:
	@$(nr_srcdir)/tools/lint.sh

test-matrix:
	@$(nr_srcdir)/tools/matrix.sh

test test-numa test-numa-smoke test-assert test-valgrind test-asan compilers unit model mutants stress fuzz fuzz-long fuzz-coverage regress isolation tap kills hostile proof histories bench bench-all bench-smoke counts:
	@$(nr_srcdir)/tools/test.sh $@

# bash has a SECONDS of its own
soak:
	@NR_SOAK_SECONDS='$(or $(SECONDS),3600)' $(nr_srcdir)/tools/test.sh $@
