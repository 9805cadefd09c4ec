#!/usr/bin/env bash
# typedefs.sh: the project's own type names, for pgindent and for typedefs.list:
#
#	tools/typedefs.sh > typedefs.list
set -euo pipefail
cd "$(dirname "$0")/.."
cat src/*.[ch] src/engine/*.[ch] src/ds/*.[ch] test/*/*.[ch] bench/*.[ch] 2>/dev/null |
	sed -nE 's/^typedef (struct|enum|union) .*\b([A-Z][A-Za-z0-9_]+);.*$/\2/p
		s/^\} *([A-Z][A-Za-z0-9_]+);.*$/\1/p
		s/^typedef [a-z0-9_ ]+ ([A-Z][A-Za-z0-9_]+);.*$/\1/p' | LC_ALL=C sort -u
