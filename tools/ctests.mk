# ctests.mk: compile the C programs of test/ and bench/ in one of several modes.
#
#	make -f tools/ctests.mk MODE=plain|asan|tsan|bench OUT=folder KIND=kind
#
# KIND names where the programs are: unit (test/unit/test_*.c), stress
# (test/stress/stress_*.c), fuzz (test/fuzz/fuzz_*.c), bench (bench/bench_*.c).
# Each is linked with the engine, the structures and what it needs of the other
# .c files of these folders, which are helpers.  Nothing is listed by hand: a new
# file is found.

ROOT := $(patsubst %/tools/,%,$(dir $(abspath $(firstword $(MAKEFILE_LIST)))))

dir_unit = test/unit
dir_stress = test/stress
dir_fuzz = test/fuzz
dir_bench = bench
prefix_unit = test_
prefix_stress = stress_
prefix_fuzz = fuzz_
prefix_bench = bench_
DIR := $(dir_$(KIND))
PREFIX := $(prefix_$(KIND))

# TSan by clang, the other sanitizers by gcc: both compilers read the source.
CC_plain = gcc
CC_asan = gcc
CC_tsan = clang
CC_bench = gcc
MODE_plain = -O1 -g -DNR_TEST_POINTS
MODE_asan = -O1 -g -DNR_TEST_POINTS -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
MODE_tsan = -O1 -g -DNR_TEST_POINTS -fsanitize=thread
MODE_bench = -O2 -g
CC := $(CC_$(MODE))
CFLAGS := -std=gnu11 -Wall -Wextra -Werror $(MODE_$(MODE)) -D_GNU_SOURCE= -pthread \
	-I$(ROOT)/src -I$(ROOT)/test/unit -I$(ROOT)/test/stress

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

$(OUT)/bin/%: $(OUT)/$(DIR)/%.o $(call objs,$(library)) $(OUT)/helpers.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $^ -lpthread -lm

$(OUT)/helpers.a: $(call objs,$(helpers))
	@mkdir -p $(@D)
	@rm -f $@
	ar -cr $@ $^

$(OUT)/%.o: $(ROOT)/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

.PRECIOUS: $(OUT)/%.o
-include $(patsubst %.o,%.d,$(call objs,$(programs) $(helpers) $(library)))
