# The regression suites pass, while their sessions are moved from node to node.
#
# Left out is rollback_ddl, unless it is asked for (NUMA_SUITES): it tries thousands of sequences of
# DDL, which is work for catalogs and not for nodes, and would take the emulator longer than all
# others together.  A memory-only node makes no difference to them: there, only some.
. ./lib.sh

if [ -n "${NUMA_SUITES:-}" ]; then
	NR_SUITES=$NUMA_SUITES
elif [ "$NR_GUEST_MEMORY_ONLY" -gt 0 ]; then
	NR_SUITES='basic commit fdw_commit get_many check'
else
	NR_SUITES=$(tr ' ' '\n' <<<"$NR_SUITES" | grep -vx rollback_ddl | tr '\n' ' ')
fi

# Sessions (and clients, by the way) may run on the next node only, every two seconds, until the server ends.
move_sessions() {
	local p n=0
	while [ -f "$data/postmaster.pid" ]; do
		n=$(((n + 1) % NR_GUEST_NODES))
		for p in $(grep -sl 'contrib_regression' /proc/[0-9]*/cmdline | cut -d/ -f3); do
			taskset -cp "$(cpus_of $n)" "$p" >>"$here/moves" 2>/dev/null
		done
		sleep 2
	done
}

start 'max_prepared_transactions = 5' 'nr_cache.memory = 128MB' 'nr_cache.max_caches = 64' 'max_connections = 100' \
	'max_wal_size = 64MB' || exit
q 'DROP EXTENSION nr_cache'
move_sessions &
out=$here/regress
as_user mkdir "$out"
# What pg_regress prints about a suite differs: "test NAME ... ok", or TAP from PostgreSQL 16 on.
while read -r suite result; do
	is "$result" ok "regress $suite"
	[ "$result" = ok ] || sed 's/^/# /' "$out/regression.diffs" | tail -n 40
done < <(
	# shellcheck disable=SC2086
	as_user "$NR_REGRESS" --bindir="$NR_BIN" --inputdir="$(cd ../.. && pwd)" --outputdir="$out" --host="$here" \
		--port="$PGPORT" --user=postgres --dbname=contrib_regression $NR_SUITES 2>&1 | tee "$here/output" |
		sed -unE 's/^ok +[0-9]+ +[-+] ([^ ]+) .*/\1 ok/p
			s/^not ok +[0-9]+ +[-+] ([^ ]+) .*/\1 failed/p
			s/^test ([^ ]+) +\.\.\. (ok|FAILED|failed) .*/\1 \2/p')
[ $checks = "$(wc -w <<<"$NR_SUITES")" ] || sed 's/^/# /' "$here/output"
is $checks "$(wc -w <<<"$NR_SUITES")" "that were all suites"

export PGDATABASE=contrib_regression
is "$(sed -n 's/.*new affinity list: //p' "$here/moves" | sort -u | wc -l)" "$NR_GUEST_NODES" "sessions have been on all nodes"
is "$(q "SELECT count(*) FROM nr_replicas WHERE bytes_elsewhere > 0")" 0 "all that is left is where it should be"
is "$(q "SELECT count(*) FROM nr_memory WHERE bytes_elsewhere > 0")" 0 "so is all memory that was used"
is "$(grep -cE 'PANIC|TRAP|was terminated by signal|WARNING:  memory of' "$log")" 0 "nothing to complain about"
stop
