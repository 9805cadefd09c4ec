#!/usr/bin/env bash
# counts.sh [--write]: instructions of each operation, counted by callgrind.
#
# Unlike times they are the same on a busy machine: what is left of chance is each cache's seed, below
# 1 %.  counts.tsv says what is counted, counts.txt what it was when somebody last
# wrote it down, with --write.  More than 5 % above that is a failure.  Other compilers and other versions of
# PostgreSQL count otherwise: then nothing is compared.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../tools/lib.sh"

kept=$nr_root/bench/counts.txt
write=
case ${1:-} in
	'') ;;
	--write) write=1 ;;
	*) nr_die "unknown: $1" ;;
esac

# What the counts depend on.
counted_with() {
	echo "$(gcc -dumpfullversion | sed 's/^/gcc /'), PostgreSQL $("$nr_bin/postgres" --version | sed 's/.*(PostgreSQL) \([0-9]*\).*/\1/'), $(uname -m)"
}

# postgres_single COMMAND...: postgres in single-user mode under COMMAND, queries on stdin, one in a line
postgres_single() {
	nr_as "$@" "$nr_bin/postgres" --single -D "$data" -c shared_preload_libraries=nr_cache -c nr_cache.replicas=1 \
		-c nr_cache.memory=64MB -c fsync=off -c autovacuum=off -c shared_buffers=32MB -c jit=off postgres
}

# One name and count for each line of counts.tsv.  A dump ends before each query is parsed: the first one is the start of the server.
count() {
	local name calls functions query dump=1 sum
	while IFS=$'\t' read -r name calls functions query; do
		dump=$((dump + 1))
		[ "$name" != - ] || continue
		sum=$(callgrind_annotate --inclusive=yes --threshold=100 "$data.counts.$dump" |
			awk -v wanted=" $functions " '
				match($0, /:[A-Za-z0-9_]+ \[.*nr_cache\.so\]/) {
					split(substr($0, RSTART + 1), f, " ")
					if (index(wanted, " " f[1] " ")) { gsub(",", "", $1); sum += $1 }
				}
				END { print sum + 0 }')
		[ "$sum" -gt 0 ] || { echo "nothing was counted for $name" >&2; return 1; }
		printf '%s\t%d\n' "$name" $((sum / calls))
	done < <(grep -v '^#' "$nr_root/bench/counts.tsv")
}

nr_make_work
nr_build_dir
nr_install counts WERROR=1 || exit 1
nr_template || exit 1
data=$nr_work/run/counts
nr_as cp -r "$nr_work/run/template" "$data"
printf '%s\n' 'CREATE EXTENSION nr_cache' 'CREATE SCHEMA c' \
	"CREATE FOREIGN TABLE c.b (k bigint, v bigint) SERVER nr_cache OPTIONS (visibility 'immediate')" \
	"CREATE FOREIGN TABLE c.b2 (k bigint, v bigint) SERVER nr_cache OPTIONS (visibility 'immediate', copies '2')" \
	"CREATE FOREIGN TABLE c.lr (k bigint, v bigint) SERVER nr_cache OPTIONS (visibility 'immediate', scheme 'left_right')" \
	"CREATE FOREIGN TABLE c.commit (k bigint, v bigint) SERVER nr_cache" \
	"CREATE FOREIGN TABLE c.t (k text, v bigint) SERVER nr_cache OPTIONS (visibility 'immediate')" \
	"CREATE FOREIGN TABLE c.tt (k text, v text) SERVER nr_cache OPTIONS (visibility 'immediate')" |
	postgres_single env >"$nr_work/counts.log" 2>&1 || { cat "$nr_work/counts.log" >&2; exit 1; }
{ grep -v '^#' "$nr_root/bench/counts.tsv" | cut -f4 && echo 'SELECT 1'; } |
	postgres_single valgrind --tool=callgrind --callgrind-out-file="$data.counts" --dump-before=pg_parse_query \
		>"$nr_work/counts.log" 2>&1
if grep -E 'ERROR|FATAL|PANIC' "$nr_work/counts.log" >&2 || ! count >"$nr_work/counts"; then
	tail -20 "$nr_work/counts.log" >&2
	exit 1
fi

if [ -n "$write" ]; then
	{ echo "# Instructions of one operation; written by counts.sh --write: $(counted_with)" && cat "$nr_work/counts"; } >"$kept"
fi
if ! grep -qF "$(counted_with)" "$kept"; then
	echo "not compared: counted with $(counted_with), kept is $(sed -n '1s/.*--write: //p' "$kept")"
	cat "$nr_work/counts"
	exit 0
fi
awk -F '\t' '
	/^#/ { next }
	NR == FNR { kept[$1] = $2; next }
	!($1 in kept) { printf "%8d  %s: not kept, write it down with --write\n", $2, $1; bad++; next }
	{
		x = $2 / kept[$1]
		many = (x > 1.05) ? "   TOO MANY, there were " kept[$1] : ""
		printf "%8d  %+6.2f %%  %s%s\n", $2, 100 * (x - 1), $1, many
		bad += x > 1.05
	}
	END { exit bad > 0 }' "$kept" "$nr_work/counts"
