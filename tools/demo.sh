#!/usr/bin/env bash
# demo.sh: from nothing to a look at the cache at work, in a throw-away cluster.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

"$nr_root/tools/setup.sh"
nr_make_work
nr_build_dir
nr_say "building the extension"
nr_install product
nr_say "starting a throw-away cluster ($(uname -m), $(nproc) processors)"
nr_cluster demo
nr_say "loading the OUI registry and looking a million addresses up"
psql -X -v csv=/usr/share/ieee-data/oui.csv -f "$nr_root/tools/demo.sql"
nr_say "done: all answers agree"

if [ -t 0 ] && [ -t 1 ]; then
	cat <<-'TXT'

		The cluster is yours until you leave with \q; then it is thrown away. Try:
		  SELECT nr_get('oui', '00000C');
		  SELECT * FROM nr_caches;
		  SELECT mac, nr_get('oui', prefix, 'nobody'::text) FROM seen LIMIT 10;
	TXT
	psql -X || true
fi
