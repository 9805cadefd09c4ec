#!/usr/bin/env bash
# server.sh FLAVOUR VERSION: a PostgreSQL that looks closer, built from Debian's source
# package when it is not there yet; prints the path of its pg_config.
#
#	assert      assertions, wiped memory, plans that are copied and written at each
#	            statement; knows Valgrind
#	release     the same, with entries of the catalogue caches that go as soon as they are released
#	source      prints the folder of the unpacked source
#
#	NR_ASSERT_DIR=...       where sources and servers are kept; default build/assert
#	NR_MATRIX_MIRROR=...    a Debian mirror; default: the one apt uses here
#
# apt gets the source by lists of its own in that folder: the machine's stay as they are.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

flavour=$1
version=$2
dir=${NR_ASSERT_DIR:-$nr_root/build/assert}
case $version in
	15) suite=bookworm ;;
	17) suite=trixie ;;
	18) suite=forky ;;
	*) nr_die "no Debian suite is known to have PostgreSQL $version" ;;
esac
mkdir -p "$dir/$version"
dir=$(cd "$dir/$version" && pwd)
common="-DCOPY_PARSE_PLAN_TREES -DWRITE_READ_PARSE_PLAN_TREES -DRAW_EXPRESSION_COVERAGE_TEST"
release="-DRELCACHE_FORCE_RELEASE -DCATCACHE_FORCE_RELEASE"

apt_src() {
	local apt=$dir/apt
	apt-get -q -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o Dir::State::Lists="$apt/lists" -o Dir::Cache="$apt/cache" -o APT::Sandbox::User="$(id -un)" "$@"
}

# Without Debian's patches: they have the server's libraries under /usr wherever the prefix is.
source_package() {
	local url apt=$dir/apt
	[ ! -d "$dir/src" ] || return 0
	url=${NR_MATRIX_MIRROR:-$(nr_mirror)}
	if [ -z "$url" ]; then
		echo "apt has no Debian mirror here: set NR_MATRIX_MIRROR to the address of one" >&2
		return 1
	fi
	rm -rf "$apt" "$dir/src.new"
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" || return
	echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $url $suite main" >"$apt/sources.list"
	apt_src update && (cd "$apt" && apt_src --download-only source "postgresql-$version") &&
		dpkg-source -x --no-check --skip-patches "$apt/postgresql-$version"_*.dsc "$dir/src.new" || return
	rm -rf "$apt"
	mv "$dir/src.new" "$dir/src"
}

# configured FOLDER PREFIX CFLAGS CPPFLAGS
configured() {
	local points=
	[ ! -f "$1/GNUmakefile" ] || return 0
	mkdir -p "$1"
	[ "$version" -lt 17 ] || points=--enable-injection-points
	# none of this is needed for what is tested, but ICU, which some suites use
	(cd "$1" && "$dir/src/configure" --prefix="$2" --enable-cassert --enable-debug --enable-tap-tests $points \
		--without-readline --without-zlib --with-icu CFLAGS="-fno-omit-frame-pointer $3" CPPFLAGS="$4") || {
		rm -rf "$1"
		return 1
	}
}

# All that is installed is below the prefix; else somebody's own PostgreSQL would be overwritten.
own_folders() {
	local d
	for d in bindir datadir libdir pkglibdir includedir pgxsdir; do
		case $(printf 'top_builddir = .\ninclude src/Makefile.global\nwhere:\n\t@echo $(%s)\n' $d |
			make -s --no-print-directory -C "$1" -f - where) in
			"$2"/*) ;;
			*)
				echo "$d is not below $2: nothing is installed"
				return 1
				;;
		esac
	done
}

# made FOLDER PREFIX
made() {
	own_folders "$1" "$2" || return
	make -s -C "$1/src" -j "$(nproc)" all && make -s -C "$1/src" install || return
	[ "$version" -lt 17 ] || make -s -C "$1/src/test/modules/injection_points" install || return
	touch "$2/done"
}

build_assert() {
	configured "$dir/obj" "$dir/assert" -O1 "-DUSE_VALGRIND $common" && made "$dir/obj" "$dir/assert"
}

# Two files of the server differ, so it is a copy of the other one with these two.
build_release() {
	local differ=("$dir"/src/src/backend/utils/cache/{catcache,relcache}.c)
	[ -f "$dir/assert/done" ] || build_assert || return
	touch "${differ[@]}"
	make -s -C "$dir/obj/src/backend" -j "$(nproc)" COPT="$release" postgres || return
	touch "${differ[@]}"
	rm -rf "$dir/release"
	cp -a "$dir/assert" "$dir/release" && rm "$dir/release/done" &&
		cp "$dir/obj/src/backend/postgres" "$dir/release/bin/postgres" && touch "$dir/release/done"
}

# Two of us would build into the same folder.  Functions that "||" follows go on after
# errors, whatever set -e says, so each step in them says what a failure means.
locked() {
	exec 9>"$dir/lock"
	flock 9
	[ ! -e "$1" ] || return 0
	source_package || return
	[ "$flavour" != source ] || return 0
	nr_say "building PostgreSQL $version ($flavour)"
	"build_$flavour" >"$dir/$flavour.log" 2>&1 || {
		tail -n 30 "$dir/$flavour.log"
		echo "the server was not built; all output is in $dir/$flavour.log"
		return 1
	}
}

case $flavour in
	source)
		[ -d "$dir/src" ] || locked "$dir/src" >&2
		echo "$dir/src"
		;;
	assert | release)
		[ -f "$dir/$flavour/done" ] || locked "$dir/$flavour/done" >&2
		echo "$dir/$flavour/bin/pg_config"
		;;
	*) nr_die "unknown: $flavour" ;;
esac
