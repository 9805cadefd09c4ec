# lib.sh: what setup, demo and test share.  Sourced by bash scripts.
#
# Tests and demo never touch the machine's PostgreSQL: its binaries are copied
# into a throw-away folder (they find their libraries and share files relative
# to themselves), the extension is installed there, and servers run there, as
# the calling user or, since PostgreSQL refuses root, as user postgres.

nr_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
nr_started=$SECONDS

# The makes started here are none of the business of the make that started us;
# variables from its command line come through the environment all the same.
unset MAKEFLAGS MFLAGS MAKELEVEL

# A line of progress with the seconds since the start.
nr_say() {
	printf '[%4ds] %s\n' $((SECONDS - nr_started)) "$*"
}

nr_die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

# pg_config of the PostgreSQL to use: the caller's if it has development files,
# else the newest under Debian's folder.  Prints nothing when there is none.  Debian's client package has
# pgxs.mk as well, so that alone says nothing.
nr_find_pg_config() {
	local c
	for c in "${PG_CONFIG:-pg_config}" $(ls -d /usr/lib/postgresql/*/bin/pg_config 2>/dev/null | sort -rV); do
		if command -v "$c" >/dev/null 2>&1 && [ -f "$("$c" --pgxs 2>/dev/null)" ] &&
			[ -f "$("$c" --includedir-server)/postgres.h" ] && [ -x "$("$c" --bindir)/initdb" ]; then
			command -v "$c"
			return
		fi
	done
}

# The user that servers run as.
if [ "$(id -u)" = 0 ]; then
	nr_server_user=postgres
else
	nr_server_user=$(id -un)
fi

# Run a command as the server's user, with a home that it can read.
nr_as() {
	if [ "$(id -u)" = 0 ]; then
		(cd "$nr_work" && exec runuser -u postgres -- "$@")
	else
		(cd "$nr_work" && exec "$@")
	fi
}

# Make the throw-away folder $nr_work, readable by the server's user, gone at exit.
nr_make_work() {
	local base
	for base in "${TMPDIR:-/tmp}" /tmp /var/tmp; do
		nr_work=$(mktemp -d "$base/nr.XXXXXX" 2>/dev/null) || continue
		chmod 755 "$nr_work"
		# socket paths are limited to about 107 bytes
		if [ ${#nr_work} -lt 60 ] && nr_as test -r "$nr_work" 2>/dev/null; then
			mkdir "$nr_work/run"
			[ "$(id -u)" != 0 ] || chown postgres "$nr_work/run"
			trap nr_cleanup EXIT
			trap 'exit 130' INT
			trap 'exit 143' TERM HUP
			return
		fi
		rm -rf "$nr_work"
	done
	nr_die "no folder for temporary files that user $nr_server_user can read"
}

nr_clusters=()

nr_stop_clusters() {
	local d
	for d in "${nr_clusters[@]}"; do
		[ ! -f "$d/postmaster.pid" ] || nr_as "$nr_bin/pg_ctl" -D "$d" -m immediate -w stop >/dev/null 2>&1
	done
}

nr_cleanup() {
	nr_stop_clusters
	[ -z "${nr_work:-}" ] || rm -rf "$nr_work"
}

# Where compiled files are kept between runs: build/ in the source tree if it
# can be written, else the throw-away folder.
nr_build_dir() {
	nr_build=${NR_BUILD:-$nr_root/build}
	if ! mkdir -p "$nr_build" 2>/dev/null || [ ! -w "$nr_build" ] ||
		[ -n "$(find "$nr_build" -path "$nr_build/matrix" -prune -o ! -writable -print -quit 2>/dev/null)" ]; then
		nr_build=$nr_work/build
		mkdir -p "$nr_build"
	fi
}

# nr_install FLAVOUR [make variables...]: build the extension and install it
# into a private copy of PostgreSQL.  Sets nr_bin, nr_pg_config and nr_pgxs_dir.
# Fails, having said why, when it does not compile.
nr_install() {
	local flavour=$1 from dir prefix=$nr_work/pg-$1
	shift
	from=$(nr_find_pg_config)
	[ -n "$from" ] || nr_die "no PostgreSQL with development files: run \"make setup\""
	mkdir -p "$prefix"
	# binaries must be copies, the rest may be links to the originals
	mkdir -p "$prefix$("$from" --bindir)"
	cp "$("$from" --bindir)"/* "$prefix$("$from" --bindir)/"
	for dir in $("$from" --sharedir) $("$from" --pkglibdir) $("$from" --pkgincludedir) \
		$("$from" --includedir-server); do
		mkdir -p "$prefix$dir"
		cp -rs "$dir"/. "$prefix$dir/" 2>/dev/null || true
		rm -f "$prefix$dir"/nr_cache.so "$prefix$dir"/extension/nr_cache*
	done
	nr_bin=$prefix$("$from" --bindir)
	nr_pg_config=$nr_bin/pg_config
	nr_pgxs_dir=$("$from" --pgxs)
	nr_pgxs_dir=${nr_pgxs_dir%/makefiles/pgxs.mk}

	mkdir -p "$nr_build/$flavour"/src/{engine,ds}
	make -s -C "$nr_build/$flavour" -f "$nr_root/Makefile" -j "$(nproc)" --no-print-directory \
		PG_CONFIG="$nr_pg_config" "$@" all install >"$nr_build/$flavour.log" 2>&1 || {
		head -n 40 "$nr_build/$flavour.log" >&2
		echo "the build failed; all of its output is in $nr_build/$flavour.log" >&2
		return 1
	}
}

# Where apt gets this machine's own Debian suite from, whatever the format of its sources.
nr_mirror() {
	local codename
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
		awk -v suite="$codename" '($2 == suite || $2 ~ /^(stable|testing|unstable|sid)$/) && $3 == "main" { print $1; exit }'
}

# The cluster that all others are copies of.
nr_template() {
	[ -d "$nr_work/run/template" ] ||
		nr_as "$nr_bin/initdb" -D "$nr_work/run/template" -U postgres -A trust --no-sync \
			--locale=C.UTF-8 -E UTF8 >"$nr_work/initdb.log" 2>&1
}

# nr_cluster NAME [setting...]: make and start a server; sets PGHOST, PGPORT,
# PGUSER.  Fails, having said why, when it does not start.
nr_cluster() {
	local name=$1 data=$nr_work/run/$1 s
	shift
	nr_template || { cat "$nr_work/initdb.log" >&2; return 1; }
	nr_as cp -r "$nr_work/run/template" "$data"
	{
		echo "listen_addresses = ''"
		echo "unix_socket_directories = '$nr_work/run'"
		echo "port = 54321"
		echo "fsync = off"
		echo "shared_preload_libraries = 'nr_cache'"
		for s in "$@"; do echo "$s"; done
	} | nr_as tee -a "$data/postgresql.conf" >/dev/null
	nr_clusters+=("$data")
	if ! nr_as "$nr_bin/pg_ctl" -D "$data" -w -l "$data.log" start >/dev/null; then
		nr_as tail -20 "$data.log" >&2
		echo "the server did not start" >&2
		return 1
	fi
	export PGHOST=$nr_work/run PGPORT=54321 PGUSER=postgres PGDATABASE=postgres
	export PATH=$nr_bin:$PATH
}

nr_cluster_stop() {
	nr_as "$nr_bin/pg_ctl" -D "$nr_work/run/$1" -m fast -w stop >/dev/null
}
