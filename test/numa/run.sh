#!/usr/bin/env bash
# run.sh [test...]: in a guest, run the tests of this folder, or those named.
# Prints "== name", its TAP, and its seconds; fails when a test fails.
set -uo pipefail
cd "$(dirname "$0")" || exit 125
rc=0
if [ $# = 0 ]; then
	set -- $(ls [0-9]*_*.sh | sed 's/[.]sh$//')
fi
for t in "$@"; do
	printf '== %s\n' "$t"
	SECONDS=0
	bash "$t.sh" 2>&1 | {
		bad=0
		while IFS= read -r line; do
			printf '%s\n' "$line"
			[[ $line != 'not ok'* ]] || bad=1
		done
		exit $bad
	} || rc=1
	printf '# %s seconds\n' "$SECONDS"
done
exit $rc
