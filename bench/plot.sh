#!/usr/bin/env bash
# plot.sh [FIGURES [FOLDER]]: draw the plots of what "make bench" has measured, by gnuplot.
#
# FIGURES is what benchmarks have written ($NR_BENCH_FIGURES), build/bench-results/figures.tsv unless
# given; FOLDER is docs/plots.  A line of it: suite, variant, x, unit, rounds, lower quartile, median,
# upper quartile; between them tabs.  The same figures give the same files.  A plot for which there are
# none is named and not drawn; fails when that is so for all.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
figures=${1:-$root/build/bench-results/figures.tsv}
folder=${2:-$root/docs/plots}
export LC_ALL=C.UTF-8
[ -r "$figures" ] || { echo "plot.sh: cannot read $figures: run \"make bench\" first" >&2; exit 1; }
command -v gnuplot >/dev/null || { echo "plot.sh: no gnuplot: run \"tools/setup.sh --bench\"" >&2; exit 1; }
mkdir -p "$folder"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# file | lines or bars | logarithmic axes, r: x by rank | unit | suites | x | y | title | variants that are left out
# (suites and variants: awk's regular expressions)
# In plots that have everybody, of nr_cache only its usual kind.
others='^[^nu]|nested'
few=', net$|two copies|left_right|allocates|no lock'

plots='
lookups-bigint|lines|xy|ns net per lookup|^one lookup, bigint keys, uniform$|entries|ns net per lookup|One lookup in a query, bigint keys, uniform|few
lookups-bigint-zipf|lines|xy|ns net per lookup|^one lookup, bigint keys, Zipf$|entries|ns net per lookup|One lookup in a query, bigint keys, Zipf|few
lookups-text|lines|xy|ns net per lookup|^one lookup, text keys, uniform$|entries|ns net per lookup|One lookup in a query, text keys, uniform|few
lookups-text-zipf|lines|xy|ns net per lookup|^one lookup, text keys, Zipf$|entries|ns net per lookup|One lookup in a query, text keys, Zipf|few
value-sizes|lines|xy|ns net per lookup|^one lookup, values of many lengths$|bytes of a value|ns net per lookup|One lookup in a query by length of the value, text keys|few
lookups-kinds|lines|xy|ns net per lookup|^one lookup, text keys, uniform$|entries|ns net per lookup|One lookup in a query by kind of cache, text keys|others
lookups-pages|bars||ns net per lookup|^one lookup, text keys, pages of |  |ns net per lookup|Lookups of text keys, by size of pages|^$
fresh-backend|bars||ns net per lookup|^fresh backend$||ns net per lookup|First lookups of a backend, text keys, by size of pages in kB|^$
puts-replace|bars|y|ns net per put|^put of keys that are there in one statement$||ns net per put|Puts of keys that are there, in one statement|^$
puts-new|bars|y|ns net per put|^put of new keys in one statement$||ns net per put|Puts of new keys, in one statement|^$
inserts|bars||ns per row|^INSERT ... SELECT, ||ns per row|INSERT ... SELECT|^$
clients-reads|lines|xy|transactions/s|^clients: bigint, 10k keys, 100 % reads$|clients|transactions per second|Transactions of one lookup, bigint, 10k keys|^$
clients-mix|lines|xy|transactions/s|^clients: bigint, 10k keys, 90 % reads$|clients|transactions per second|Transactions of one statement, 90 % reads, bigint, 10k keys|^$
clients-latency|lines|xy|us, 99 %|^clients: bigint, 10k keys, 90 % reads$|clients|us, 99 %|Transactions of one statement, 90 % reads: 99 % take less|^$
clients-puts|lines|xy|transactions/s|^clients: puts, bigint, 100k keys, 0 % reads$|clients|transactions per second|Transactions of one put, bigint, 100k keys|^$
shares|lines|ry|transactions/s|^shares: bigint, 10k keys, 2 clients$|% of writes|transactions per second|Transactions of one statement by two clients, by share of writes|^$
shares-text|bars||transactions/s|^shares: text, 1M keys, 2 clients$||transactions per second|Transactions of one statement by two clients, 10 % writes, text, 1M keys|^$
clients-plain|lines|xy|transactions/s|^clients: plain clients, 10k keys, |clients|requests per second|Redis and memcached by clients of their own|^$
engine-10k|lines|ry|Mops/s|^engine, 10000 keys, |% of writes|million operations per second|The engine alone, 10k keys|^$
engine-10m|lines|ry|Mops/s|^engine, 10000000 keys, |% of writes|million operations per second|The engine alone, 10M keys|^$
beside-writer|lines|xy|p99.9 over p50|^reads beside a writer$|operations in a batch|p99.9 of reads, times the median|Reads beside a writer that never pauses|^$
growth|bars|y|us|^pauses while a table grows$||us|Longest pause while a table grows|^$
memory|lines|xy|bytes an entry|^memory, bigint keys$|bytes of a value|bytes an entry|Memory of an entry|^$
'

# Lines: blocks of x, quartiles.  Suites of which there are several are named with their variants.
blocks() {
	awk -F'\t' -v suites="$1" -v unit="$2" -v log_axes="$3" -v shape="$4" -v without="$5" '
		function ok() { return log_axes !~ /y/ || ($6 > 0 && $7 > 0) }
		$1 ~ suites && $2 !~ without && $4 == unit && ok() {
			if (!($1 in seen)) { seen[$1] = 1; nsuites++ }
			n++; suite[n] = $1; variant[n] = $2; x[n] = $3; row[n] = $6 "\t" $7 "\t" $8; median[n] = $7
			if (!($3 in xs)) { xs[$3] = 1; n_xs++ }
		}
		function label(i,   s) {
			s = suite[i]; sub(suites ~ /\$$/ ? "^$" : suites, "", s)
			return variant[i] (nsuites > 1 ? ", " s : "") (shape == "bars" && n_xs > 1 && x[i] != "" ? ", " x[i] : "")
		}
		END {
			for (i = 1; i <= n; i++) {
				gsub(/"/, "", variant[i])
				l = label(i)
				if (shape == "bars") { print median[i] "\t\"" l "\"\t" row[i]; continue }
				if (x[i] == "" || (log_axes ~ /x/ && x[i] <= 0)) continue
				if (!(l in at)) { at[l] = ++blocks_n; name[blocks_n] = l }
				points[at[l]]++; body[at[l]] = body[at[l]] x[i] "\t" row[i] "\n"
			}
			for (b = 1; b <= blocks_n; b++) {
				print b "\t\"" name[b] "\""
				m = split(body[b], line, "\n")
				for (i = 1; i < m; i++) print b "\t" line[i]
			}
		}' "$figures"
}

# draw FILE SHAPE LOG UNIT SUITES X Y TITLE WITHOUT
draw() {
	local data=$work/$1.tsv n tics without=$9
	case $9 in few) without=$few ;; others) without=$others ;; esac
	if [ "$2" = bars ]; then
		blocks "$5" "$4" "$3" bars "$without" | sort -s -g -k 1,1 | cut -f 2- >"$data"
		n=$(wc -l <"$data")
		tics=
	else
		# each block's name first, then by x; two empty lines between blocks
		blocks "$5" "$4" "$3" lines "$without" | sort -s -t "$(printf '\t')" -k 1,1n -k 2,2g |
			awk -F'\t' '{ if (b != "" && $1 != b) printf "\n\n"; b = $1; sub(/^[^\t]*\t/, ""); print }' >"$data"
		n=$(grep -c '^"' "$data" || true)
		tics=$(awk -F'\t' '$1 !~ /^"/ && NF == 4 && !($1 in seen) { seen[$1] = 1; print $1 }' "$data" | sort -g |
			awk '{ l = $1; if (l >= 1000000) l = l / 1000000 "M"; else if (l >= 10000) l = l / 1000 "k"
				printf "%s\"%s\" %s", (NR > 1 ? ", " : ""), l, '"$([[ $3 = *r* ]] && echo NR || echo '$1')"' }')
		if [[ $3 = *r* ]]; then
			awk -F'\t' -v OFS='\t' 'NR == FNR { if ($1 !~ /^"/ && NF == 4) xs[$1 + 0] = 1; next }
				$1 ~ /^"/ || NF != 4 { print; next }
				{ r = 1; for (x in xs) r += x + 0 < $1 + 0; $1 = r; print }' "$data" "$data" >"$data.ranks"
			mv "$data.ranks" "$data"
		fi
	fi
	[ "$n" -gt 0 ] || return 3
	gnuplot -c "$root/bench/plots/$2.gp" "$data" "$folder/$1.svg" "$8" "$6" "$7" "$3" "$n" "$tics"
}

drawn=0
while IFS='|' read -r file shape log_axes unit suites x y title without; do
	[ -n "$file" ] || continue
	result=0
	draw "$file" "$shape" "$log_axes" "$unit" "$suites" "$x" "$y" "$title" "$without" || result=$?
	case $result in
		0)
			drawn=$((drawn + 1))
			echo "$folder/$file.svg"
			;;
		3) echo "plot.sh: no data for $file.svg: no figures of suite $suites in $unit" >&2 ;;
		*)
			echo "plot.sh: could not draw $file.svg" >&2
			exit 1
			;;
	esac
done <<<"$plots"
[ "$drawn" -gt 0 ]
