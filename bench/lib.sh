# lib.sh: what the benchmarks through SQL share.  Sourced by them.
declare -F nr_cluster >/dev/null || . "$(dirname "${BASH_SOURCE[0]}")/../tools/lib.sh"

# NR_BENCH_SMOKE: all of a benchmark's ways once, with a hundredth to do; its figures mean nothing
smoke=${NR_BENCH_SMOKE:-}
scale=${smoke:+100}
scale=${scale:-1}
rounds=${NR_BENCH_ROUNDS:-${smoke:+5}}
rounds=${rounds:-10}

# Build what "make bench" has built already when it sources a benchmark.
bench_build() {
	nr_make_work
	nr_build_dir
	nr_say "building the extension with what it is compared to"
	nr_install bench NR_BENCH=1 WERROR=1 || exit 1
}

# What the numbers depend on.
bench_facts() {
	[ "$rounds" -ge 5 ] 2>/dev/null || [ -n "$smoke" ] ||
		nr_die "give a number of rounds, 5 at least: slow variants take part in every fifth only"
	echo "processor:   $(lscpu | sed -n 's/^Model name: *//p'), $(nproc) online," \
		"L3 $(lscpu | sed -n 's/^L3 cache: *//p')"
	echo "memory:      $(awk '/^MemTotal/ { printf "%.1f GiB", $2 / 1048576 }' /proc/meminfo), huge pages:" \
		"$(awk '/^HugePages_Total/ { print $2 }' /proc/meminfo) reserved," \
		"shared memory $(sed 's/.*\[\(.*\)\].*/\1/' /sys/kernel/mm/transparent_hugepage/shmem_enabled 2>/dev/null)"
	echo "kernel:      $(uname -r); load $(cut -d' ' -f1-3 /proc/loadavg)"
	echo "PostgreSQL:  $("$nr_bin/postgres" --version | sed 's/.*) //'); $rounds rounds"
}

# bench_server NAME REPLICAS [setting...]: start it
bench_server() {
	local name=$1 n=$2
	shift 2
	nr_cluster "$name" "nr_cache.replicas = $n" "nr_cache.memory = '1GB'" "shared_buffers = '1GB'" \
		"huge_pages = try" "max_wal_size = '8GB'" "checkpoint_timeout = '1h'" "autovacuum = off" "$@"
}

# bench_emit: what lib.sql's views have of this server, for "make bench"
bench_emit() {
	[ -z "${NR_BENCH_FIGURES:-}" ] ||
		psql -XAtq -F $'\t' -c "TABLE bench.figures" >>"$NR_BENCH_FIGURES" || return
	[ -z "${NR_BENCH_TARGETS:-}" ] ||
		psql -XAtq -F $'\t' -c "TABLE bench.targets" >>"$NR_BENCH_TARGETS"
}
