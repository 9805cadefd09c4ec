#!/usr/bin/env bash
# run.sh [test...]: in a guest, run the tests of this folder, or those named.
# Prints "== name", its TAP, and its seconds; fails when a test fails.
set -uo pipefail
cd "$(dirname "$0")" || exit 125
rc=0
for t in [0-9]*_*.sh; do
	[ $# = 0 ] || [[ " $* " == *" ${t%.sh} "* ]] || continue
	printf '== %s\n' "${t%.sh}"
	SECONDS=0
	out=$(bash "$t" 2>&1) || rc=1
	printf '%s\n' "$out"
	printf '# %s seconds\n' "$SECONDS"
	! grep -q '^not ok' <<<"$out" || rc=1
done
exit $rc
