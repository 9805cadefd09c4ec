# closer.sh: the suites on servers that look closer (tools/server.sh).  Sourced by test.sh.
#
#	test-assert     assertions, wiped memory; caches of the server that forget at once
#	test-valgrind   Valgrind's memcheck
#	test-asan       AddressSanitizer and UBSan in the extension
#
#	ASSERT_VERSIONS=15        PostgreSQL versions of test-assert
#	ASSERT_STEPS="..."        of regress isolation parallel discard tap injection release
#	CLOSER_VERSION=15         of the other two
#	CLOSER_SUITES="..."       suites instead of those below ("all"); some need "basic" before them
#	CLOSER_REPLICAS="1 2"     with how many replicas

# What a session does for each statement is slow with Valgrind, and each call takes tens of
# milliseconds with debug_discard_caches: these are suites that go through much of the source.
discard_suites="ddl types fdw_modify lifetime options savepoint check"
# What these print is another thing in a worker: a cast that starts a subtransaction is an
# error (callsite), EXPLAIN has no counts (fdw_plans, fdw_scan), the worker's locks end with
# it, so pg_locks and PREPARE TRANSACTION find none (lifetime), and the first cache of a
# session, made by a worker, is no reason to sweep (rollback_ddl).
parallel_left_out="callsite fdw_plans fdw_scan lifetime rollback_ddl"
valgrind_suites="basic aliasing callsite commit copies ddl fdw_bulk fdw_commit fdw_modify get_many left_right lifetime manual plpgsql responses savepoint take types values views check"

# closer_server FLAVOUR VERSION: from here on tests use that server
closer_server() {
	local config
	config=$("$nr_root/tools/server.sh" "$1" "$2") || {
		not_ok "server $1 $2" </dev/null
		return 1
	}
	if ! nr_as test -x "$config"; then
		not_ok "server $1 $2" <<<"user $nr_server_user cannot read $config: set NR_ASSERT_DIR to a folder for which it can"
		return 1
	fi
	if [[ $("$config" --pkglibdir) != "${config%/bin/*}"/* ]]; then
		not_ok "server $1 $2" <<<"it has its libraries elsewhere: $("$config" --pkglibdir)"
		return 1
	fi
	export PG_CONFIG=$config
	nr_build=$closer_build/$1-$2
	mkdir -p "$nr_build"
	# what an earlier server left
	rm -rf "$nr_work"/pg-* "$nr_work/run"
	mkdir "$nr_work/run"
	[ "$(id -u)" != 0 ] || chown "$nr_server_user" "$nr_work/run"
	nr_clusters=()
	installed=
	ok "server $1 $2"
}

# closer_suites NAME SUITES SETTING...: with each number of replicas
closer_suites() {
	local name=$1 suites=$2 replicas
	shift 2
	copy_tests
	[ "$suites" != all ] || suites=$(make_variable REGRESS)
	for replicas in ${CLOSER_REPLICAS:-1 2}; do
		nr_say "$name with nr_cache.replicas = $replicas"
		suites_with "$name($replicas)" "$suites" "nr_cache.replicas = $replicas" "max_prepared_transactions = 5" "$@"
	done
}

# ---- assertions ------------------------------------------------------------------

assert_discard() {
	install product || return
	closer_suites discard "${CLOSER_SUITES:-$discard_suites}" "debug_discard_caches = 1"
}

# Every query that may goes through a worker.
assert_parallel() {
	local setting=force_parallel_mode suites
	[ "$1" -lt 16 ] || setting=debug_parallel_query
	install product || return
	copy_tests
	suites=$(make_variable REGRESS | tr ' ' '\n' | grep -vxE "${parallel_left_out// /|}" | tr '\n' ' ')
	closer_suites parallel "${CLOSER_SUITES:-$suites}" "$setting = regress"
}

# A server of its own: what is released is gone, and what is used after that is wiped memory.
assert_release() {
	closer_server release "$1" && install product || return
	CLOSER_REPLICAS=${CLOSER_REPLICAS:-2} closer_suites release "${CLOSER_SUITES:-all}"
}

# Stops at points of the server's own, which are built in since 17.
assert_injection() {
	[ "$1" -lt 17 ] || tap injection
}

test-assert() {
	local version step
	for version in ${ASSERT_VERSIONS:-15}; do
		closer_server assert "$version" || continue
		for step in ${ASSERT_STEPS:-regress isolation parallel discard tap injection release}; do
			nr_say "== $step, PostgreSQL $version with assertions"
			case $step in
				regress | isolation | tap) $step ;;
				parallel | discard | injection | release) "assert_$step" "$version" ;;
				*) not_ok "test-assert $step" <<<"unknown step" ;;
			esac
		done
	done
}

# ---- Valgrind ----------------------------------------------------------------------

# wrapped COMMAND: put a postgres that is started by it in the place of postgres, after initdb
wrapped() {
	nr_template || { not_ok "initdb" <"$nr_work/initdb.log"; return 1; }
	mv "$nr_bin/postgres" "$nr_bin/postgres.real" || return
	printf '#!/bin/sh\nexec %s "%s" "$@"\n' "$1" "$nr_bin/postgres.real" >"$nr_bin/postgres"
	chmod 755 "$nr_bin/postgres"
}

# One finding in whichever process is a failure; those in which the extension takes part
# are told apart from the server's own.
valgrind_findings() {
	local found=$nr_work/findings
	cat "$nr_work/run/valgrind/"*.log >"$nr_build/log/valgrind.log" 2>/dev/null
	awk '/VALGRINDERROR-BEGIN/ { n++; on = 1; text = "" }
		on { text = text $0 "\n" }
		/VALGRINDERROR-END/ { on = 0; if (text ~ /nr_cache/) print text }' "$nr_build/log/valgrind.log" >"$found"
	if [ -s "$found" ]; then
		not_ok "valgrind: errors in nr_cache" <"$found"
	else
		ok "valgrind: no error in nr_cache ($(ls "$nr_work/run/valgrind" | wc -l) processes)"
	fi
	if grep -q VALGRINDERROR-BEGIN "$nr_build/log/valgrind.log" && [ ! -s "$found" ]; then
		not_ok "valgrind: errors in the server" <"$nr_build/log/valgrind.log"
	fi
}

test-valgrind() {
	local version=${CLOSER_VERSION:-15} source
	closer_server assert "$version" && install product || return
	source=$("$nr_root/tools/server.sh" source "$version") && nr_as mkdir -p "$nr_work/run/valgrind" || return
	wrapped "valgrind --quiet --error-markers=VALGRINDERROR-BEGIN,VALGRINDERROR-END --leak-check=no --num-callers=30 \
		--time-stamp=yes --gen-suppressions=all --trace-children=yes --suppressions='$source/src/tools/valgrind.supp' \
		--log-file='$nr_work/run/valgrind/%p.log' ${NR_VALGRIND_OPTIONS:-}" || return
	PGCTLTIMEOUT=600 closer_suites valgrind "${CLOSER_SUITES:-$valgrind_suites}" "wal_level = minimal" "max_wal_senders = 0" "autovacuum = off"
	valgrind_findings
}

# ---- AddressSanitizer, UBSan -------------------------------------------------------

# The extension is instrumented, the server is not: palloc'd chunks are Valgrind's business.
test-asan() {
	local found=$nr_work/findings log=$nr_work/run/sanitizer
	closer_server assert "${CLOSER_VERSION:-15}" || return
	nr_build=$nr_build-asan
	mkdir -p "$nr_build"
	install product COPT="-fsanitize=address,undefined -fno-sanitize-recover=all -O1 -g" || return
	# leaks are those of a server, whose memory goes with its process
	wrapped "env LD_PRELOAD=$(gcc -print-file-name=libasan.so):$(gcc -print-file-name=libubsan.so) \
		ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:detect_stack_use_after_return=0:log_path=$log \
		UBSAN_OPTIONS=print_stacktrace=1:abort_on_error=1:log_path=$log" || return
	closer_suites asan "${CLOSER_SUITES:-all}"
	cat "$log".* >"$found" 2>/dev/null
	if [ -s "$found" ]; then
		cp "$found" "$nr_build/log/sanitizer.log"
		not_ok "asan: findings" < <(head -n 60 "$found")
	else
		ok "asan: no finding"
	fi
}
