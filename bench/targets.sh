#!/usr/bin/env bash
# targets.sh FILE [FILE]: the table of targets from a file that benchmarks have written
# ($NR_BENCH_TARGETS); of two files the comparison of two runs, in Markdown.
#
# A line of a file: target, what, measured, comparison (<= or >=), goal, unit, note; between
# them tabs.  Where a file has several lines for the same, the last one counts.
set -euo pipefail
if [ $# -lt 1 ] || [ $# -gt 2 ]; then
	echo "usage: targets.sh FILE [FILE]" >&2
	exit 2
fi
for f; do
	[ -r "$f" ] || { echo "targets.sh: cannot read $f" >&2; exit 1; }
	[ -s "$f" ] || { echo "targets.sh: no targets in $f" >&2; exit 1; }
done

# print only; whether a target is met is for who reads
export LC_ALL=C.UTF-8
awk -F'\t' -v OFS='\t' -v files=$# '
	function wrong(why) { print "targets.sh: " FILENAME ":" FNR ": " why >"/dev/stderr"; bad = 1; exit 1 }
	function met(x, i) { return x != "" && (cmp[i] == "<=" ? x + 0 <= goal[i] + 0 : x + 0 >= goal[i] + 0) }
	function shown(x) { return x == "" ? "" : sprintf(x < 10 ? "%.2f" : x < 100 ? "%.1f" : "%.0f", x) }
	function words(i) { return (cmp[i] == "<=" ? "≤ " : "≥ ") goal[i] " " unit[i] }
	FNR == 1 { run++ }
	/^$/ { next }
	NF < 6 { wrong("not a line of targets") }
	$4 != "<=" && $4 != ">=" { wrong("no comparison: " $4) }
	$3 ~ /^[-+]?(nan|inf)/ { $3 = "" }	# nothing to measure it by
	$3 != "" && $3 !~ /^-?[0-9.]+([eE][-+]?[0-9]+)?$/ { wrong("not a number: " $3) }
	{
		id = $1 SUBSEP $2
		if (!(id in at)) { at[id] = ++n; target[n] = $1; what[n] = $2 }
		i = at[id]
		cmp[i] = $4; goal[i] = $5; unit[i] = $6; note[run, i] = $7
		measured[run, i] = $3
	}
	END {
		if (bad) exit 1
		for (i = 1; i <= n; i++) order[i] = i
		# by number of the target, then as they came
		for (i = 2; i <= n; i++)
			for (j = i; j > 1 && substr(target[order[j]], 2) + 0 < substr(target[order[j - 1]], 2) + 0; j--) {
				t = order[j]; order[j] = order[j - 1]; order[j - 1] = t
			}
		print files == 2 ? "| | what | target | run 1 | run 2 | met |" : "| | what | target | measured | met | note |"
		print "|---|---|---|---|---|---|"
		for (j = 1; j <= n; j++) {
			i = order[j]
			if (files == 1)
				verdict = measured[1, i] == "" ? "not measured" : met(measured[1, i], i) ? "yes" : "no"
			else if (measured[1, i] == "" || measured[2, i] == "")
				verdict = "one run only"
			else if (met(measured[1, i], i) && met(measured[2, i], i))
				verdict = "yes"
			else
				verdict = met(measured[1, i], i) || met(measured[2, i], i) ? "in one run" : "no"
			one = shown(measured[1, i])
			if (files == 1)
				printf "| %s | %s | %s | %s | %s | %s |\n", target[i], what[i], words(i), one, verdict, note[1, i]
			else
				printf "| %s | %s | %s | %s | %s | %s |\n", target[i], what[i], words(i), one,
					shown(measured[2, i]), verdict
		}
	}' "$@"
