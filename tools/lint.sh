#!/usr/bin/env bash
# lint.sh: the rules about the source that a compiler does not know.  Prints
# what is wrong and fails, or prints one line for each rule.
set -u
cd "$(dirname "$0")/.."

tally=$(mktemp)
trap 'rm -f "$tally"' EXIT

# rule NAME: reads findings from stdin; any is a failure.  At the end of a
# pipeline it is a process of its own, so what it found is kept in a file.
rule() {
	local found
	found=$(cat)
	if [ -n "$found" ]; then
		printf 'lint: %s\n' "$1"
		printf '%s\n' "$found" | sed 's/^/    /'
		echo failed >>"$tally"
	else
		printf 'lint: ok: %s\n' "$1"
		echo passed >>"$tally"
	fi
}

# Files of the project: what git knows or would add; without git, all but build output.
files() {
	if git rev-parse --git-dir >/dev/null 2>&1; then
		git ls-files --cached --others --exclude-standard
	else
		find . -type f ! -path './build/*' ! -path './.git/*' ! -name '*.o' ! -name '*.so' ! -name '*.bc' |
			sed 's|^\./||'
	fi | sort | while read -r f; do [ ! -f "$f" ] || echo "$f"; done
}
all=$(files)
of() { grep -E "$1" <<<"$all" || true; }
# grep in the files that match the first argument; "file:line:text"
in_files() {
	local list
	list=$(of "$1")
	shift
	[ -z "$list" ] || tr '\n' '\0' <<<"$list" | xargs -0 grep -nHIE "$@"
}

# ---- layers: src -> engine, ds; ds -> engine/dispatch.h; engine -> C11 ------

libc='<(assert|errno|inttypes|limits|linux/futex|math|stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdlib|string|time)\.h>'
in_files '^src/engine/.*\.[ch]$' '^[ 	]*#[ 	]*include' |
	grep -vE "include (\"engine/[a-z_]+\.h\"|$libc)|atomic\.h:.*include NR_MODEL$" |
	rule 'src/engine includes only engine/ and C11 headers'
in_files '^src/ds/.*\.[ch]$' '^[ 	]*#[ 	]*include' |
	grep -vE "include (\"engine/dispatch\.h\"|\"ds/[a-z_]+\.h\"|<xxhash\.h>|\"xxhash\.h\"|$libc)" |
	grep -vE '^src/ds/hash_find\.h:.*"engine/atomic\.h"' |	# looks before it enters
	rule 'src/ds includes only engine/dispatch.h, ds/, xxhash and C11 headers'
in_files '^src/(engine|ds)/.*\.[ch]$' '\b(malloc|calloc|realloc|free|printf|fprintf|abort)[ ]*\(' |
	rule 'engine and structures neither allocate nor print'

# ---- atomics and edges -------------------------------------------------------

in_files '^src/.*\.[ch]$' '\b(atomic_(load|store|exchange|fetch|compare|thread_fence|signal_fence)|__atomic_|__sync_|_Atomic\b|volatile\b)' |
	grep -vE '^src/engine/atomic\.h:|asm.*volatile|__volatile__|^src/[a-z_]+\.c:[0-9]+:.*volatile sig_atomic_t' |
	rule 'atomics only through engine/atomic.h, and no volatile'

# An edge is declared in a header as " * NAME  from -> to", below a line that
# says EDGES; a citation is "edge NAME" in a comment.
edge_files=$(of '^src/engine/.*\.[ch]$')
declared=$(awk '
	FNR == 1 { in_edges = 0 }
	/EDGES/ { in_edges = 1; next }
	/\*\// { in_edges = 0 }
	in_edges && match($0, /^[ \t]*\*?[ \t]+[A-Z][A-Z0-9_]*:?[ \t]+.*->/) {
		line = $0
		sub(/^[ \t]*\*?[ \t]+/, "", line)
		match(line, /^[A-Z][A-Z0-9_]*/)
		print substr(line, 1, RLENGTH)
	}' $(of '^src/engine/.*\.h$') /dev/null | sort)
cited=$(in_files '^src/engine/.*\.[ch]$' -o 'edges? [A-Z][A-Z0-9_]*((,| and|, and) [A-Z][A-Z0-9_]*)*' |
	sed -E 's/^[^:]*:([0-9]+):edges? //; s/,? and /,/g' | tr ', ' '\n\n' | grep -E '^[A-Z][A-Z0-9_]*$' |
	grep -vx NAME | sort || true)
uniq -d <<<"$declared" | grep . | sed 's/$/ is declared twice/' | rule 'no edge is declared twice'
comm -13 <(sort -u <<<"$declared") <(sort -u <<<"$cited") | grep . | sed 's/^/edge /; s/$/ is cited but not declared/' |
	rule 'every cited edge is declared in a header'
for e in $declared; do
	n=$(grep -cx "$e" <<<"$cited" || true)
	[ "$n" -ge 2 ] || echo "edge $e is cited $n times"
done | rule 'every edge is cited at both ends'

awk '
	FNR == 1 { delete near; at = 0 }
	{
		near[FNR] = /[Ee]dges? [A-Z]/ ? 1 : 0
		code = $0
		sub(/\/\*.*/, "", code)
		if (code ~ /nr_(load|store|xchg|add|sub|or|and|cas)(32|64)_(acq|rel|seq)[ ]*\(/) {
			found = 0
			for (i = FNR; i >= FNR - 6 && i > 0; i--)
				if (near[i])
					found = 1
			if (!found)
				print FILENAME ":" FNR ":" $0
		}
	}' $(grep -v 'atomic\.h$' <<<"$edge_files") /dev/null |
	rule 'every atomic that is not relaxed names its edge, at most 6 lines above'

# ---- tests: each file is one that some runner finds ---------------------------

{
	for f in $(of '^sql/.*'); do
		case $f in
			sql/*.sql) [ -f "expected/$(basename "$f" .sql).out" ] || echo "$f has no expected/$(basename "$f" .sql).out" ;;
			*) echo "$f is not a .sql file" ;;
		esac
	done
	for f in $(of '^expected/.*'); do
		b=$(basename "$f" .out)
		[ -f "sql/$b.sql" ] || [ -f "sql/${b%_[0-9]}.sql" ] || echo "$f has no sql/$b.sql"
	done
	for f in $(of '^test/isolation/specs/.*'); do
		[ -f "test/isolation/expected/$(basename "$f" .spec).out" ] || echo "$f has no expected output"
	done
	for f in $(of '^test/isolation/expected/.*'); do
		[ -f "test/isolation/specs/$(basename "$f" .out).spec" ] || echo "$f has no spec"
	done
	for f in $(of '^test/(t|injection)/.*'); do
		[[ $f =~ ^test/(t|injection)/[0-9]{3}_[a-z0-9_]+\.pl$ || $f =~ ^test/t/[A-Z][A-Za-z]*\.pm$ ]] || echo "$f is not named NNN_topic.pl"
	done
	for f in $(of '^test/numa/.*\.sh$'); do
		[[ $f =~ ^test/numa/([0-9]{3}_[a-z0-9_]+|lib|run)\.sh$ ]] || echo "$f is not named NNN_topic.sh"
	done
	for k in unit:test stress:stress fuzz:fuzz history:history; do
		for f in $(of "^test/${k%:*}/.*\.c$"); do
			[[ $(basename "$f") != "${k#*:}"_*.c ]] || continue
			! grep -qE '^main\(|^int[ 	]+main\(' "$f" || echo "$f has a main() but is not named ${k#*:}_*.c: nothing runs it"
		done
	done
	for f in $(of '^src/(engine|ds)/[a-z_]*\.c$'); do
		b=$(basename "$f" .c)
		compgen -G "test/unit/test_${b%%_*}*.c" >/dev/null || echo "$f has no test/unit/test_${b%%_*}.c"
	done
} | rule 'every test is found by its runner, every engine file has a unit test'

# A place where processes are stopped and killed is no proof if nobody is killed there.
points=$(of '^src/.*\.[ch]$' | tr '\n' '\0' | xargs -0 grep -ohE 'NR_POINT\("[a-z0-9_]+"\)' | cut -d'"' -f2 | sort -u)
matrix=$(sed -n '/^my %matrix/,/\]);$/p' test/t/025_kills.pl)
{
	for p in $points; do
		grep -qw "$p" <<<"$matrix" || echo "$p is not in the matrix of test/t/025_kills.pl"
		grep -qE "^\| .*\`$p\`.* \|" docs/TESTING.md || echo "$p is not in a table of docs/TESTING.md"
	done
	for p in $(grep -oE '[a-z0-9]+_[a-z0-9_]+' <<<"$matrix" | sort -u); do
		grep -qx "$p" <<<"$points" || echo "test/t/025_kills.pl has $p, which is no NR_POINT"
	done
} | rule 'each test point is explained, and processes are killed there'

# ---- docs: what the source says and has, and the pages about it ------------------

# A message is a heading of TROUBLESHOOTING.md, "### `cache "..." is full`"; the
# first line below it names its condition, "`53200` (out_of_memory)", or begins with its
# level, "LOG."
page=docs/TROUBLESHOOTING.md
said=$(of '^src/[a-z_]*\.c$' | grep -vE 'nr_(testpoint|leftovers)' | tr '\n' '\0' | xargs -0 awk -f tools/messages.awk | LC_ALL=C sort -u)
written=$(awk '
	/^### `.*`$/ { message = substr($0, 6, length($0) - 6); next }
	message != "" && NF > 0 {
		if (match($0, /^(LOG|WARNING|NOTICE|INFO)\./))
			print tolower(substr($0, 1, RLENGTH - 1)) "\t" message
		while (match($0, /` \([a-z_]+\)/)) {
			print substr($0, RSTART + 3, RLENGTH - 4) "\t" message
			$0 = substr($0, RSTART + RLENGTH)
		}
		message = ""
	}' $page)
# pairs FROM TO: lines of FROM that no line of TO is; "..." is anything, on the source's side
unpaired() {
	local line other pattern source=$3
	while IFS= read -r line; do
		while IFS= read -r other; do
			if [ "$source" = from ]; then pattern=${line//.../*}; else pattern=${other//.../*}; other=$line; fi
			# shellcheck disable=SC2053
			[[ $other != $pattern ]] || continue 2
		done <<<"$2"
		[ -z "$line" ] || echo "${line/	/: }"
	done <<<"$1"
}
unpaired "$said" "$written" from | rule "every message to users is in $page, with its condition"
unpaired "$written" "$said" to | rule "every message in $page is in the source, with that condition"
grep '^### `' $page | sort | uniq -d | rule "no message is twice in $page"

{
	for o in $(sed -nE 's/^[ 	]*\{"([a-z_]+)", [A-Za-z]+RelationId, check_[a-z]+\},$/\1 &/p' src/nr_options.c |
		grep -v check_reserved | cut -d' ' -f1); do
		[ -f "docs/reference/option_$o.md" ] || echo "option $o has no docs/reference/option_$o.md"
	done
	for e in $(grep -oE '"NrCache[A-Za-z]+"' src/nr_host.c | tr -d '"'); do
		grep -qF "\`$e\`" docs/reference/views.md || echo "wait event $e is not in docs/reference/views.md"
	done
	for f in $(of '^docs/reference/.*' | grep -v '/README\.md$'); do
		grep -qF "]($(basename "$f"))" docs/reference/README.md || echo "docs/reference/README.md has no link to $f"
		grep -qx '```output' "$f" || echo "$f has no example with output"
	done
} | rule 'options, wait events and pages of the reference are complete, each page has an example'

# Links to files and headings, as GitHub makes anchors of these
anchors() {
	awk '/^```/ { code = !code } !code && /^#+ / {
		sub(/^#+ /, "")
		$0 = tolower($0)
		gsub(/[^a-z0-9 _-]/, "")
		gsub(/ /, "-")
		print }' "$1"
}
awk '
	FNR == 1 { code = 0 }
	/^```/ { code = !code }
	!code {
		gsub(/`[^`]*`/, "")
		while (match($0, /\]\([^)]+\)/)) {
			print FILENAME ":" FNR ":" substr($0, RSTART + 2, RLENGTH - 3)
			$0 = substr($0, RSTART + RLENGTH)
		}
	}' $(of '\.md$') /dev/null | while IFS=: read -r f line link; do
	case $link in http* | mailto:*) continue ;; esac
	to=$f
	[ -z "${link%%#*}" ] || to=$(dirname "$f")/${link%%#*}
	[ -e "$to" ] || { echo "$f:$line: no file for $link"; continue; }
	[ "$link" = "${link#*#}" ] || anchors "$to" | grep -qFx -- "${link#*#}" || echo "$f:$line: no heading for $link"
done | rule 'links between pages lead somewhere'

# ---- size, words, places -----------------------------------------------------

for f in $(of '\.[ch]$'); do
	n=$(wc -l <"$f")
	[ "$n" -le 600 ] || echo "$f has $n lines"
done | rule 'no C file is longer than 600 lines'
of '^src/.*\.c$' | xargs -r -n1 basename | sort | uniq -d | rule 'file stems under src are unique'

diff <(tools/typedefs.sh) typedefs.list | rule 'typedefs.list is what tools/typedefs.sh prints'

word='(TO''DO|FIX''ME|X''XX|HA''CK)'
in_files '\.(c|h|sql|sh|pl|pm|md|mk|spec)$|^Makefile$' "(^|[^A-Za-z])$word([^A-Za-z]|$)" |
	rule 'nothing is left for later in the source'
grep -v '^\.gitignore$' <<<"$all" | tr '\n' '\0' |
	xargs -0 grep -nHIE '(^|[^a-zA-Z$}._])/(wo''rk|ro''ot|ho''me)/|https?://[^ ]*(deb''ian|np''m)' |
	rule "no file names a machine's paths or hosts"
in_files '\.(c|h|sql|sh|pl|pm|mk|spec|md)$' '[ 	]+$' | grep -v '\.md:' | rule 'no blanks at line ends'
in_files '^src/.*\.[ch]$' '^ {4}' | grep -vE ':[0-9]+: +\*' | rule 'C is indented with tabs'

failed=$(grep -c failed "$tally" || true)
printf 'lint: %d passed, %d failed\n' "$(grep -c passed "$tally" || true)" "$failed"
[ "$failed" = 0 ]
