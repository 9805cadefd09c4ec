#!/usr/bin/env bash
# test.sh WHAT: run tests; "test" runs all of them.
#
#	lint compilers unit model stress fuzz regress isolation tap bench-smoke counts | test
#	bench bench-all (not part of test)
#	fuzz-long fuzz-coverage (not part of test)
#	mutants (not part of test)
#	test-numa (not part of test) | test-numa-smoke
#	test-assert | test-valgrind | test-asan (not part of test)
#
# Prints a line for each test as it ends, what went wrong in full, and as the
# last line "N passed, N failed".
set -uo pipefail
. "$(dirname "$0")/lib.sh"

passed=0
failed=0
failures=()

# ok / not_ok NAME [seconds]; log of a failure on stdin
ok() {
	passed=$((passed + 1))
	nr_say "ok      $1"
}

not_ok() {
	failed=$((failed + 1))
	failures+=("$1")
	nr_say "FAILED  $1"
	sed 's/^/        | /' | tail -${NR_LOG_LINES:-60}
}

# try NAME COMMAND...: one test; its output is shown when it fails.
try() {
	local name=$1 log
	shift
	log=$nr_build/log/$(tr -c 'A-Za-z0-9_.\n-' '_' <<<"$name").log
	mkdir -p "$nr_build/log"
	if "$@" >"$log" 2>&1 && ! grep -qE '^not ok|^[ ]*Bail out' "$log"; then
		ok "$name"
	else
		# of a TAP test what failed, and the end; of everything else the end
		not_ok "$name" < <(
			awk '/^not ok|^Bail out/ { n = 12 } /^ok/ { n = 0 } n-- > 0' "$log" | head -40
			tail -n 20 "$log")
		return 1
	fi
}

# ---- engine and structures ----------------------------------------------------

# compile KIND MODE: false when that failed or there is nothing
compile() {
	local n
	n=$(make -s -f "$nr_root/tools/ctests.mk" KIND="$1" list | wc -w)
	[ "$n" -gt 0 ] || return 1
	nr_say "compiling $n $1 programs ($2)"
	try "compile $1 $2" make -s -k -j "$(nproc)" -f "$nr_root/tools/ctests.mk" \
		KIND="$1" MODE="$2" OUT="$nr_build/c-$2"
}

# Sanitizers: any finding ends the program, and nothing is suppressed.
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1

# programs KIND MODE ARGUMENT...: run what compile made
programs() {
	local kind=$1 mode=$2 p
	shift 2
	for p in $(make -s -f "$nr_root/tools/ctests.mk" KIND="$kind" list); do
		if [ -x "$nr_build/c-$mode/bin/$p" ]; then
			try "$kind $mode $p" timeout -k 10 "${NR_PROGRAM_TIMEOUT:-300}" "$nr_build/c-$mode/bin/$p" "$@"
		else
			not_ok "$kind $mode $p" <<<"it was not compiled"
		fi
	done
}

unit() {
	compile unit plain
	programs unit plain
	compile unit asan
	programs unit asan
}

# One line for each scenario.  Programs run side by side: each is one thread.
model() {
	local p line out=$nr_work/model
	compile model model || return
	mkdir -p "$out"
	nr_say "exploring"
	make -s -f "$nr_root/tools/ctests.mk" KIND=model list | tr ' ' '\n' | xargs -P "$(nproc)" -I{} sh -c \
		"timeout -k 10 ${NR_MODEL_TIMEOUT:-600} '$nr_build/c-model/bin/{}' ${MODEL_LARGE:+--large} >'$out/{}' 2>&1 || echo \"not ok - {}: exit \$?\" >>'$out/{}'"
	for p in "$out"/*; do
		while IFS= read -r line; do
			case $line in
				"ok "*) ok "model $(basename "$p") ${line#ok * - }" ;;
				"not ok "*) not_ok "model $(basename "$p") ${line#not ok * - }" <"$p" ;;
			esac
		done < <(grep -E '^(ok|not ok) ' "$p")
	done
}

model-large() {
	MODEL_LARGE=1 NR_MODEL_TIMEOUT=7200 model
}

mutants() {
	local line
	compile model model || return
	while IFS= read -r line; do
		case $line in
			"ok "*) ok "mutant ${line#ok * - }" ;;
			"not ok "*) not_ok "mutant ${line#not ok * - }" </dev/null ;;
			*) nr_say "${line#\# }" ;;
		esac
	done < <(perl "$nr_root/test/model/mutants.pl" "$nr_build/c-model" "$nr_work/mutants" 2>&1 || echo "not ok 0 - mutants.pl")
}

stress() {
	compile stress tsan
	programs stress tsan "${SECONDS_EACH:-5}"
	compile stress asan
	programs stress asan "${SECONDS_EACH:-5}"
}

fuzz_targets() {
	make -s -f "$nr_root/tools/ctests.mk" KIND=fuzz list
}

# What fuzzers have found, then random inputs
fuzz() {
	local p
	compile fuzz asan
	for p in $(fuzz_targets); do
		try "fuzz asan $p" timeout -k 10 "${NR_PROGRAM_TIMEOUT:-300}" "$nr_build/c-asan/bin/$p" \
			"$nr_root/test/fuzz/corpus/${p#fuzz_}" "${FUZZ_ROUNDS:-1000}" "${FUZZ_SEED:-1}"
	done
}

# run_libfuzzer / run_afl TARGET SECONDS FOLDER: what ends the target lands in FOLDER/found
run_libfuzzer() {
	nice "$nr_build/c-libfuzzer/bin/$1" -max_total_time="$2" -max_len=4096 -len_control=20 -rss_limit_mb=2000 \
		-print_final_stats=1 -artifact_prefix="$3/found/" "$3/inputs" "$nr_root/test/fuzz/corpus/${1#fuzz_}"
}

run_afl() {
	AFL_SKIP_CPUFREQ=1 AFL_NO_AFFINITY=1 AFL_NO_UI=1 AFL_AUTORESUME=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 \
		ASAN_OPTIONS=abort_on_error=1:symbolize=0:detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:abort_on_error=1:symbolize=0 \
		nice afl-fuzz -V "$2" -t 10000+ -m none -i "$nr_root/test/fuzz/corpus/${1#fuzz_}" -o "$3/afl" \
		-- "$nr_build/c-afl/bin/$1" || return
	cp "$3"/afl/default/queue/id* "$3/inputs/"
	cp "$3"/afl/default/{crashes,hangs}/id* "$3/found/" 2>/dev/null
	grep -E '^(execs_done|bitmap_cvg|saved_crashes|saved_hangs) ' "$3/afl/default/fuzzer_stats"
	[ -z "$(ls -A "$3/found")" ]
}

# A finding is replayed by "build/c-asan/bin/fuzz_X FILE".
fuzz-long() {
	local fuzzer=${FUZZER:-libfuzzer} seconds=${FUZZ_SECONDS:-600} p folder
	case $fuzzer in
		libfuzzer | afl) ;;
		*) nr_die "FUZZER is libfuzzer or afl, and not $fuzzer" ;;
	esac
	compile fuzz "$fuzzer" || return
	for p in ${FUZZ_TARGETS:-$(fuzz_targets)}; do
		folder=$nr_build/fuzz-$fuzzer/$p
		mkdir -p "$folder/inputs" "$folder/found"
		nr_say "$p under $fuzzer for $seconds seconds"
		try "fuzz-long $fuzzer $p" "run_$fuzzer" "$p" "$seconds" "$folder"
		grep -E '^(stat::(number_of_executed_units|new_units_added)|execs_done|bitmap_cvg)' \
			"$nr_build/log/fuzz-long_${fuzzer}_$p.log" | sed 's/^/        /'
	done
}

# Lines of src/ds that no input has reached: but for what verify says of a broken structure, those in
# test/fuzz/unreached.txt and no others
fuzz-coverage() {
	local p programs=()
	compile fuzz coverage || return
	rm -f "$nr_work"/*.profraw
	for p in $(fuzz_targets); do
		LLVM_PROFILE_FILE=$nr_work/$p.profraw try "fuzz coverage $p" "$nr_build/c-coverage/bin/$p" \
			"$nr_root/test/fuzz/corpus/${p#fuzz_}" "${FUZZ_ROUNDS:-1000}" "${FUZZ_SEED:-1}"
		programs+=(-object "$nr_build/c-coverage/bin/$p")
	done
	llvm-profdata merge -o "$nr_work/fuzz.profdata" "$nr_work"/*.profraw
	llvm-cov report "${programs[@]:1}" -instr-profile="$nr_work/fuzz.profdata" "$nr_root/src/ds" "$nr_root/src/engine" |
		awk 'NF > 9 { printf "        %-24s %s lines, %s\n", $1, $8, $10 }'
	llvm-cov show "${programs[@]:1}" -instr-profile="$nr_work/fuzz.profdata" "$nr_root/src/ds" |
		sed -nE 's/^\/.*\/([a-z_]+\.[ch]):$/file \1/p; s/^ *[0-9]+\| +0\|[ 	]*//p' |
		awk '/^file / { file = $2; next } /^return (".*"|broken);$/ || /^[{}]?$/ { next } { print file ": " $0 }' >"$nr_work/unreached"
	try "fuzz coverage: what is not reached is known" diff <(grep -v '^#' "$nr_root/test/fuzz/unreached.txt") "$nr_work/unreached"
}

# ---- benchmarks ----------------------------------------------------------------

bench_script() {
	(trap nr_stop_clusters EXIT && . "$1")
}

# bench_one NAME COMMAND...: to be looked at, or in "bench-smoke" a test
bench_one() {
	local name=$1
	shift
	if [ -n "${NR_BENCH_SMOKE:-}" ]; then
		try "bench-smoke $name" "$@"
	else
		nr_say "$name"
		"$@" || not_ok "$name" <<<"see above"
	fi
}

# bench_with FOLDER SCRIPT...: all programs, and these scripts; what they have measured lands in the folder
bench_with() {
	local out=$1 p
	shift
	rm -rf "$out"
	mkdir -p "$out"
	export NR_BENCH_FIGURES=$out/figures.tsv NR_BENCH_TARGETS=$out/targets.tsv
	compile bench bench || true
	for p in $(make -s -f "$nr_root/tools/ctests.mk" KIND=bench list); do
		bench_one "$p" "$nr_build/c-bench/bin/$p"
	done
	if install bench NR_BENCH=1; then
		for p; do
			bench_one "$p" bench_script "$nr_root/bench/$p.sh"
		done
	fi
	bench_one targets "$nr_root/bench/targets.sh" "$NR_BENCH_TARGETS"
	bench_one plots "$nr_root/bench/plot.sh" "$NR_BENCH_FIGURES" "$out/plots"
}

bench_scripts="bench_sql bench_peers bench_clients bench_memory"
bench_more="bench_copies bench_responses bench_replicas"

bench() {
	# shellcheck disable=SC2086
	bench_with "$nr_build/bench-results" $bench_scripts
}

bench-all() {
	# shellcheck disable=SC2086
	bench_with "$nr_build/bench-results" $bench_scripts $bench_more
}

# With little to do: do they run, and are the answers right?
bench-smoke() {
	# shellcheck disable=SC2086
	NR_BENCH_SMOKE=1 bench_with "$nr_work/bench-results" $bench_scripts $bench_more
}

# Instructions of each operation, against what is kept.
counts() {
	nr_say "counting instructions"
	try "instructions are not 5 % more than they were" "$nr_root/bench/counts.sh"
	sed 's/^/        /' "$nr_build/log/"instructions*.log
}

# ---- the extension -------------------------------------------------------------

# As each compiler sees it: with -Wall -Wextra -Werror (nothing is installed).  gcc's
# objects are those that the suites use.
compilers() {
	local cc out
	for cc in gcc clang; do
		out=$nr_build/product
		[ $cc = gcc ] || out=$nr_build/$cc
		mkdir -p "$out"/src/{engine,ds}
		try "build $cc" make -C "$out" -f "$nr_root/Makefile" -j "$(nproc)" --no-print-directory \
			PG_CONFIG="$(nr_find_pg_config)" CC=$cc WERROR=1 all
	done
}

# ---- the server ---------------------------------------------------------------

# install FLAVOUR [make variables...]
installed=
install() {
	[ "$installed" != "$1" ] || return 0
	installed=$1
	nr_say "building the extension ($1)"
	if nr_install "$@" WERROR=1 2>"$nr_work/build-errors"; then
		ok "build $1"
	else
		not_ok "build $1" <"$nr_work/build-errors"
		installed=
		return 1
	fi
}

# Test files where the server's user can read and write them.
copy_tests() {
	rm -rf "$nr_work/src"
	mkdir -p "$nr_work/src"
	cp -r "$nr_root"/{sql,expected,test,docs,Makefile,README.md} "$nr_work/src/"
	chmod -R u+rwX,go+rX "$nr_work/src"
	[ "$(id -u)" != 0 ] || chown -R "$nr_server_user" "$nr_work/src"
}

# start NAME [setting...]: a cluster; a failure to start is a failed test
start() {
	nr_cluster "$@" 2>"$nr_work/start-errors" || {
		not_ok "start $1" <"$nr_work/start-errors"
		return 1
	}
}

# What a pg_regress printed, test by test: TAP from PostgreSQL 16 on.
regress_results() {
	sed -nE 's/^(ok|not ok) +[0-9]+ +[-+] ([^ ]+) .*/\2 \1/p
		s/^test ([^ ]+) +\.\.\. ok .*/\1 ok/p
		s/^test ([^ ]+) +\.\.\. (FAILED|failed).*/\1 not ok/p' "$1"
}

# run_regress RUN-NAME OUTPUTDIR COMMAND...: a pg_regress, each of its tests one of ours
run_regress() {
	local run=$1 out=$2 log=$nr_work/regress.log t result rc=0 before=$failed
	shift 2
	nr_as mkdir -p "$out"
	nr_as "$@" --outputdir="$out" >"$log" 2>&1 || rc=$?
	rm -rf "$nr_build/log/$run"
	mkdir -p "$nr_build/log/$run"
	cp -r "$log" "$out"/. "$nr_build/log/$run/"
	while read -r t result; do
		if [ "$result" = ok ]; then
			ok "$run $t"
		else
			not_ok "$run $t" < <(awk -v t="/$t(_[0-9])?.out" 'index($0, "diff ") == 1 { on = $0 ~ t } on' \
				"$out/regression.diffs" 2>/dev/null)
		fi
	done < <(regress_results "$log")
	# it gave up, or did not even begin
	[ $rc = 0 ] || [ $failed -gt "$before" ] || not_ok "$run" <"$log"
}

# After a suite: nr_check on every cache of every database.
check_all() {
	local db n
	for db in $(psql -XAtc "SELECT datname FROM pg_database WHERE datallowconn AND datname <> 'template1'"); do
		[ "$(psql -XAt -d "$db" -c "SELECT count(*) FROM pg_extension WHERE extname = 'nr_cache'")" = 1 ] || continue
		try "$1 nr_check in database $db" psql -XAt -v ON_ERROR_STOP=1 -d "$db" -f "$nr_root/tools/check_all.sql"
	done
}

make_variable() {
	make -s -C "$nr_work/src" PG_CONFIG="$nr_pg_config" "nr-print-$1"
}

# suites_with NAME SUITES SETTING...: pg_regress in a cluster of its own
suites_with() {
	local name=$1 suites=$2 cluster
	cluster=$(tr -cd 'a-z0-9' <<<"$1")
	shift 2
	start "$cluster" "$@" || return
	# shellcheck disable=SC2086
	run_regress "$name" "$nr_work/run/out-$cluster" \
		"$nr_pgxs_dir/test/regress/pg_regress" --bindir="$nr_bin" --inputdir="$nr_work/src" \
		--dbname=contrib_regression $suites
	check_all "$name"
	server_ok "$name" "$cluster"
	nr_cluster_stop "$cluster"
}

regress() {
	local replicas suites
	install product || return
	copy_tests
	suites=$(make_variable REGRESS)
	for replicas in 1 2; do
		nr_say "pg_regress with nr_cache.replicas = $replicas"
		suites_with "regress($replicas)" "$suites" "nr_cache.replicas = $replicas" "max_prepared_transactions = 5"
	done
}

isolation() {
	local replicas specs
	install product || return
	copy_tests
	specs=$(make_variable ISOLATION)
	for replicas in 1 2; do
		nr_say "isolation with nr_cache.replicas = $replicas"
		start "isolation$replicas" "nr_cache.replicas = $replicas" || continue
		# shellcheck disable=SC2086
		run_regress "isolation($replicas)" "$nr_work/run/iso$replicas" \
			"$nr_pgxs_dir/test/isolation/pg_isolation_regress" --bindir="$nr_bin" \
			--inputdir="$nr_work/src/test/isolation" --dbname=isolation_regression \
			--load-extension=nr_cache $specs
		check_all "isolation($replicas)"
		server_ok "isolation($replicas)" "isolation$replicas"
		nr_cluster_stop "isolation$replicas"
	done
}

# No crash hides behind tests that pass.
server_ok() {
	if grep -aE 'PANIC|TRAP|was terminated by signal' "$nr_work/run/$2.log" >"$nr_work/panic"; then
		not_ok "$1 server log" <"$nr_work/panic"
	else
		ok "$1 server log"
	fi
}

# tap [folder]
tap() {
	local t name folder=${1:-t}
	install faults NR_TEST_POINTS=1 || return
	copy_tests
	for t in $(cd "$nr_root/test/$folder" && ls ./*.pl 2>/dev/null); do
		name=$(basename "$t" .pl)
		[ -z "${TAP_TESTS:-}" ] || [[ " $TAP_TESTS " == *" $name "* ]] || continue
		nr_say "running $name"
		nr_as mkdir -p "$nr_work/run/tap"
		try "tap $name" nr_as env -C "$nr_work/run/tap" -u PGHOST -u PGPORT -u PGUSER -u PGDATABASE \
			PATH="$nr_bin:$PATH" LANG=C.UTF-8 TESTDIR="$nr_work/run/tap" PG_REGRESS="$nr_pgxs_dir/test/regress/pg_regress" \
			NR_TEST_SOURCE="$nr_work/src" TMPDIR="$nr_work/run" \
			timeout -k 10 "${NR_TAP_TIMEOUT:-400}" \
			sh -c '"$@" || { rc=$?; tail -n 15 tmp_check/log/regress_log_* log/regress_log_* 2>/dev/null; exit $rc; }' - \
			perl -I "$nr_pgxs_dir/test/perl" -I "$nr_work/src/test/t" "$nr_work/src/test/$folder/$name.pl"
		nr_as rm -rf "$nr_work/run/tap"
	done
}

# ---- histories of real backends ---------------------------------------------------

# The program runs as the server's user, since it stops backends and lets them go on.
history_prepare() {
	install faults NR_TEST_POINTS=1 && PG_CONFIG=$(nr_find_pg_config) compile history plain || return
	cp "$nr_build/c-plain/bin/history_backends" "$nr_work/run/" && chmod 755 "$nr_work/run/history_backends"
}

# history NAME SECONDS ARGUMENT...: a run against the server that is up, and what it says of itself
history_run() {
	local name=$1 seconds=$2
	shift 2
	try "$name" nr_as timeout -k 10 "$seconds" "$nr_work/run/history_backends" \
		${HISTORY_SEED:+seed=$HISTORY_SEED} "$@"
	sed -n 's/^# \([0-9]* operations\|memory\|replicas\)/        \1/p' "$nr_build/log/$(tr -c 'A-Za-z0-9_.\n-' '_' <<<"$name").log"
}

# histories_of REPLICAS SECONDS ARGUMENT...: with a server of so many replicas, which stays up
histories_of() {
	local replicas=$1
	start "history$replicas" "nr_cache.replicas = $replicas" "nr_cache.memory = 192MB" "max_connections = 60" \
		"deadlock_timeout = 20ms" "log_min_messages = fatal" "log_min_error_statement = panic" || return
	history_run "histories($replicas)" "$2" replicas="$replicas" points=1 "${@:3}"
	server_ok "histories($replicas)" "history$replicas"
}

histories() {
	local replicas fault
	history_prepare || return
	for replicas in 1 3 4 2; do
		histories_of $replicas 300 calls=$((${HISTORY_CALLS:-1000000} / 4)) || continue
		if [ $replicas = 2 ]; then
			for fault in $("$nr_work/run/history_backends" faults); do
				history_run "histories: the checker finds $fault" 100 replicas=2 calls=200000 round=10000 fault="$fault"
			done
		fi
		nr_cluster_stop "history$replicas"
	done
}

soak() {
	local replicas seconds=$((${NR_SOAK_SECONDS:-3600} / 4))
	history_prepare || return
	for replicas in 1 2 3 4; do
		histories_of $replicas $((seconds + 300)) seconds=$seconds || continue
		nr_cluster_stop "history$replicas"
	done
}

# The test of tap that ends processes at named places, in full.
kills() {
	local kills=${KILLS:-1000}
	KILLS=$kills TAP_TESTS=025_kills NR_TAP_TIMEOUT=${NR_TAP_TIMEOUT:-$((600 + 5 * kills))} tap
}

# The long form of hostile input; "make tap" and "make unit" have a short one.
hostile() {
	local rounds=${HOSTILE_ROUNDS:-20} p=test_corrupt
	HOSTILE_ROUNDS=$rounds TAP_TESTS=027_hostile NR_TAP_TIMEOUT=${NR_TAP_TIMEOUT:-$((300 + 60 * rounds))} tap
	compile unit asan
	NR_CORRUPT_ROUNDS=$((2000 * rounds)) NR_CORRUPT_SEED=${HOSTILE_SEED:-$RANDOM} \
		try "unit asan $p" timeout -k 10 $((300 + 20 * rounds)) "$nr_build/c-asan/bin/$p"
}

# The long forms of tests, which nobody waits for: steps by the names of their functions.
proof() {
	local step
	for step in ${PROOF:-kills mutants model-large hostile fuzz-long soak}; do
		nr_say "== proof: $step"
		$step
	done
}

# ---- machines with NUMA nodes ----------------------------------------------------

# numa_results SHAPE: what a guest prints, on stdin; each of its tests is one of ours, as soon as it has ended.
numa_results() {
	local line t= tests=0 rc=125 out=$nr_work/numa-test before=$failed
	while IFS= read -r line; do
		case $line in
			"== "*)
				t=${line#== }
				: >"$out"
				;;
			"# "[0-9]*" seconds")
				tests=$((tests + 1))
				# a plan is printed at the end
				if grep -qE '^1\.\.[1-9]' "$out" && ! grep -q '^not ok' "$out"; then
					ok "numa($1) $t: $(grep -c '^ok ' "$out") checks"
				else
					not_ok "numa($1) $t" < <(awk '/^not ok/ { n = 40 } /^ok/ { n = 0 } n-- > 0' "$out"
						tail -n 5 "$out")
				fi
				t=
				;;
			numa-exit=*) rc=${line#*=} ;;
			*) printf '%s\n' "$line" >>"$out" ;;
		esac
	done
	# it did not come to its end
	if [ -n "$t" ]; then
		not_ok "numa($1) $t" <"$out"
	elif [ $tests = 0 ] || { [ "$rc" != 0 ] && [ $failed = "$before" ]; }; then
		not_ok "numa($1)" <"$nr_build/log/numa-$1.log"
	fi
}

# numa SHAPE [test...]: a guest with so many nodes ("2+1": one more that has memory only)
numa() {
	local shape=$1 log=$nr_build/log/numa-$1.log only=0
	shift
	[ "$shape" = "${shape#*+}" ] || only=${shape#*+}
	nr_say "a guest with $shape nodes"
	mkdir -p "$nr_build/log"
	: >"$nr_work/numa-test"
	numa_results "$shape" < <(
		cd "$nr_work/src" || exit
		export NR_BIN=$nr_bin NR_TEMPLATE=$nr_work/template.tar NR_USER=$nr_server_user NR_FORBID=$nr_work/forbid
		export NR_REGRESS=$nr_pgxs_dir/test/regress/pg_regress NR_SUITES=$numa_suites
		{
			nice "$nr_root/tools/numa-guest.sh" --cache "$nr_build/numa" --nodes "${shape%+*}" --memory-only "$only" \
				--timeout "${NR_NUMA_TIMEOUT:-3600}" bash test/numa/run.sh "$@" 2>&1
			echo "numa-exit=$?"
		} | tee "$log"
	)
}

# The server, a new cluster and what else the guests need
numa_prepare() {
	install product || return
	copy_tests
	try "compile forbid" gcc -Wall -Wextra -Werror -o "$nr_work/forbid" "$nr_root/test/numa/forbid.c" || return
	numa_suites=$(make_variable REGRESS)
	rm -rf "$nr_work/run/numa"
	nr_as "$nr_bin/initdb" -D "$nr_work/run/numa" -U postgres -A trust --no-sync --locale=C.UTF-8 -E UTF8 >/dev/null || return
	tar -C "$nr_work/run/numa" -cf "$nr_work/template.tar" .
}

test-numa() {
	local shape
	numa_prepare || return
	for shape in ${NUMA:-2 4 2+1}; do
		# shellcheck disable=SC2086
		numa "$shape" ${NUMA_TESTS:-}
	done
}

test-numa-smoke() {
	if [ "$(uname -m)" != x86_64 ]; then
		nr_say "skipped: guests with NUMA nodes, since this is not an x86-64 machine"
		return
	fi
	numa_prepare || return
	numa 2 001_small_pages 003_tokens
}

# ---- servers that look closer -----------------------------------------------------

. "$nr_root/tools/closer.sh"

# ---- all ----------------------------------------------------------------------

lint() {
	local log line
	while IFS= read -r line; do
		case $line in
			"lint: ok: "*) ok "lint ${line#lint: ok: }" ;;
			"lint: "*" passed, "*) ;;
			"lint: "*) not_ok "lint ${line#lint: }" </dev/null ;;
			*) printf '        |%s\n' "$line" ;;
		esac
	done < <("$nr_root/tools/lint.sh")
}

what=${1:-test}
case $what in
	lint | compilers | unit | model | mutants | stress | fuzz | fuzz-long | fuzz-coverage | regress | isolation | tap | histories | soak | kills | hostile | proof | bench | bench-all | bench-smoke | counts | test-numa | test-numa-smoke | test-assert | test-valgrind | test-asan) steps=$what ;;
	test) steps="lint compilers unit model fuzz stress regress isolation tap histories bench-smoke counts test-numa-smoke" ;;
	*) nr_die "unknown: $what" ;;
esac

"$nr_root/tools/setup.sh" $([[ $steps != *numa* ]] || echo --numa) $([[ $steps != *bench* && $steps != *counts* ]] || echo --bench) \
	$(! grep -qE 'test-(assert|valgrind|asan)' <<<"$steps ${PROOF:-}" || echo --server) \
	$([[ $steps != *fuzz-long* || ${FUZZER:-} != afl ]] || echo afl++) \
	$([[ $steps != *fuzz-coverage* ]] || echo llvm) || exit 1
nr_make_work
nr_build_dir
closer_build=$nr_build/closer
for step in $steps; do
	nr_say "== $step"
	$step
done

if [ "$what" != bench ] && [ "$what" != bench-all ]; then
	[ $failed = 0 ] || printf 'failed: %s\n' "${failures[@]}"
	printf '%d passed, %d failed\n' "$passed" "$failed"
fi
[ $failed = 0 ]
