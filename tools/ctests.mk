# ctests.mk: compile the C programs of test/ and bench/ in one of several modes.
#
#	make -f tools/ctests.mk MODE=plain|asan|tsan|bench|model OUT=folder KIND=kind
#	make -f tools/ctests.mk MODE=libfuzzer|afl|coverage OUT=folder KIND=fuzz
#
# KIND names where the programs are: unit (test/unit/test_*.c), stress
# (test/stress/stress_*.c), fuzz (test/fuzz/fuzz_*.c), bench (bench/bench_*.c),
# history (test/history/history_*.c: clients of a server, linked with libpq).
# Each is linked with the engine, the structures and what it needs of the other
# .c files of these folders, which are helpers.  Nothing is listed by hand: a new
# file is found.

ROOT := $(patsubst %/tools/,%,$(dir $(abspath $(firstword $(MAKEFILE_LIST)))))

dir_unit = test/unit
dir_stress = test/stress
dir_fuzz = test/fuzz
dir_bench = bench
dir_model = test/model
dir_history = test/history
prefix_unit = test_
prefix_stress = stress_
prefix_fuzz = fuzz_
prefix_bench = bench_
prefix_model = model_
prefix_history = history_
DIR := $(dir_$(KIND))
PREFIX := $(prefix_$(KIND))

# TSan by clang, the other sanitizers by gcc: both compilers read the source.
CC_plain = gcc
CC_asan = gcc
CC_tsan = clang
CC_bench = gcc
CC_libfuzzer = clang
CC_afl = afl-clang-fast
CC_coverage = clang
CC_model = gcc
MODE_plain = -O1 -g -DNR_TEST_POINTS
MODE_asan = -O1 -g -DNR_TEST_POINTS -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
MODE_tsan = -O1 -g -DNR_TEST_POINTS -fsanitize=thread
MODE_bench = -O2 -g
# the fuzzers' main() comes in when a program is linked
MODE_libfuzzer = $(MODE_asan) -DNR_FUZZER -fsanitize=fuzzer-no-link
MODE_afl = $(MODE_asan) -DNR_FUZZER
MODE_coverage = -O1 -g -DNR_TEST_POINTS -fprofile-instr-generate -fcoverage-mapping
LINK_libfuzzer = -fsanitize=fuzzer
LINK_afl = -fsanitize=fuzzer
# instrumented, but with entry points of our own (test/model); KIND=model goes with this mode
MODE_model = -O1 -g -DNR_MODEL='"model_atomic.h"' -fsanitize=thread -I$(ROOT)/test/model -include model_string.h
MODEL_CFLAGS = -std=gnu11 -Wall -Wextra -Werror -O2 -g -D_GNU_SOURCE=
CC := $(CC_$(MODE))
CFLAGS := -std=gnu11 -Wall -Wextra -Werror $(MODE_$(MODE)) -D_GNU_SOURCE= -pthread \
	-I$(ROOT)/src -I$(ROOT)/test/unit -I$(ROOT)/test/stress

ifeq ($(KIND),history)
PG_CONFIG ?= pg_config
CFLAGS += -I$(shell $(PG_CONFIG) --includedir)
libs := -L$(shell $(PG_CONFIG) --libdir) -Wl,-rpath,$(shell $(PG_CONFIG) --libdir) -lpq
also := $(filter-out $(ROOT)/test/history/history_%,$(sort $(wildcard $(ROOT)/test/history/*.c)))
endif

ifeq ($(KIND),fuzz)
CFLAGS += -I$(ROOT)/test/fuzz
also := $(filter-out $(ROOT)/test/fuzz/fuzz_%,$(sort $(wildcard $(ROOT)/test/fuzz/*.c)))
endif

objs = $(patsubst $(ROOT)/%.c,$(OUT)/%.o,$(1))
programs := $(sort $(wildcard $(ROOT)/$(DIR)/$(PREFIX)*.c))
helpers := $(filter-out $(ROOT)/test/unit/test_% $(ROOT)/test/stress/stress_%,\
	$(sort $(wildcard $(ROOT)/test/unit/*.c $(ROOT)/test/stress/*.c)))
# of the PostgreSQL side what is plain C
plain := $(ROOT)/src/nr_topology.c
library := $(sort $(wildcard $(ROOT)/src/engine/*.c $(ROOT)/src/ds/*.c) $(plain))

.PHONY: all list
all: $(patsubst $(ROOT)/$(DIR)/%.c,$(OUT)/bin/%,$(programs))

# Names of the programs, for whoever runs them.
list:
	@echo $(patsubst $(ROOT)/$(DIR)/%.c,%,$(programs))

$(OUT)/bin/%: $(OUT)/$(DIR)/%.o $(call objs,$(also) $(library)) $(OUT)/helpers.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LINK_$(MODE)) -o $@ $^ $(libs) -lpthread -lm

$(OUT)/helpers.a: $(call objs,$(helpers))
	@mkdir -p $(@D)
	@rm -f $@
	ar -cr $@ $^

ifeq ($(MODE),model)
explored := $(addprefix $(ROOT)/test/,model/stage.c model/board.c model/batches.c unit/toy_counter.c unit/toy_board.c)
explorer := $(filter-out $(programs) $(explored),$(wildcard $(ROOT)/test/model/*.c))

$(call objs,$(explorer)): $(OUT)/%.o: $(ROOT)/%.c
	@mkdir -p $(@D)
	$(CC) $(MODEL_CFLAGS) -MMD -MP -c -o $@ $<

$(patsubst $(ROOT)/$(DIR)/%.c,$(OUT)/bin/%,$(programs)): $(OUT)/bin/%: $(OUT)/$(DIR)/%.o \
	$(call objs,$(library) $(explored) $(explorer))
	@mkdir -p $(@D)
	$(CC) -o $@ $^ -lpthread -lm
endif

$(OUT)/%.o: $(ROOT)/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

.PRECIOUS: $(OUT)/%.o
-include $(patsubst %.o,%.d,$(call objs,$(programs) $(also) $(helpers) $(library) $(explored) $(explorer)))
