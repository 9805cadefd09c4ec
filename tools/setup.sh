#!/usr/bin/env bash
# setup.sh: install what building, testing and the demo need and is missing.
#
# Uses apt, as root or through sudo when that asks for no password; else says
# what to install.  A machine that has everything is left alone.  Arguments are
# further packages that are wanted; --numa stands for those of tools/numa-guest.sh,
# --server for those of tools/server.sh and what looks into such a server, --bench for what
# "make bench" compares with, counts with and draws with; what of that apt does not know is left out.
set -euo pipefail
also=()
bench=
for arg; do
	case $arg in
		--numa) [ "$(uname -m)" != x86_64 ] || also+=(qemu-system-x86 busybox-static cpio numactl xz-utils) ;;
		--server) also+=(dpkg-dev bison flex pkg-config libicu-dev valgrind) ;;
		--bench) bench=yes ;;
		*) also+=("$arg") ;;
	esac
done
. "$(dirname "$0")/lib.sh"

as_root=()
may_install=yes
if [ "$(id -u)" != 0 ]; then
	as_root=(sudo -n)
	sudo -n true 2>/dev/null || may_install=no
fi

# Does the machine have what the package is wanted for?  Looked up by what it
# offers, so that installations from elsewhere count.
have() {
	case $1 in
		gcc | make | perl | clang | debootstrap | cpio | numactl | bison | flex | pkg-config) command -v "$1" >/dev/null ;;
		qemu-system-x86) command -v qemu-system-x86_64 >/dev/null ;;
		busybox-static) command -v busybox >/dev/null && ! ldd "$(command -v busybox)" >/dev/null 2>&1 ;;
		xz-utils) command -v xz >/dev/null ;;
		dpkg-dev) command -v dpkg-source >/dev/null ;;
		libicu-dev) pkg-config --exists icu-uc icu-i18n 2>/dev/null ;;
		afl++) command -v afl-fuzz >/dev/null && command -v afl-clang-fast >/dev/null ;;
		llvm) command -v llvm-cov >/dev/null && command -v llvm-profdata >/dev/null ;;
		valgrind) [ -f /usr/include/valgrind/memcheck.h ] && command -v valgrind >/dev/null ;;
		libc6-dev) echo '#include <pthread.h>' | gcc -E - >/dev/null 2>&1 ;;
		redis-server) command -v redis-server >/dev/null && command -v redis-benchmark >/dev/null ;;
		memcached) command -v memcached >/dev/null ;;
		gnuplot-nox) command -v gnuplot >/dev/null ;;
		libhiredis-dev) echo '#include <hiredis/hiredis.h>' | gcc -E - >/dev/null 2>&1 ;;
		libmemcached-dev) echo '#include <libmemcached/memcached.h>' | gcc -E - >/dev/null 2>&1 ;;
		postgresql-*-pgmemcache) [ -e "$("$(nr_find_pg_config)" --pkglibdir)/pgmemcache.so" ] ;;
		libnuma-dev) echo '#include <numa.h>' | gcc -E - >/dev/null 2>&1 ;;
		libxxhash-dev) echo '#include <xxhash.h>' | gcc -E - >/dev/null 2>&1 ;;
		ieee-data) [ -f /usr/share/ieee-data/oui.csv ] ;;
		libipc-run-perl) perl -MIPC::Run -e 1 2>/dev/null ;;
		libclang-rt-dev) echo 'int main(void){return 0;}' |
			clang -fsanitize=thread -xc - -o /dev/null 2>/dev/null ;;
		postgresql-server-dev-*) [ -n "$(nr_find_pg_config)" ] ;;
		postgresql-*) [ -x "/usr/lib/postgresql/${1##*-}/bin/initdb" ] || [ -n "$(nr_find_pg_config)" ] ;;
	esac
}

# The server version to install when there is none with development files: the
# one that is here without them, else the distribution's.
server_version() {
	local v
	v=$(ls -d /usr/lib/postgresql/*/bin/postgres 2>/dev/null | sort -V | tail -1 | cut -d/ -f5)
	[ -n "$v" ] || v=$(apt-cache depends postgresql 2>/dev/null | sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p' | head -1)
	echo "${v:-15}"
}

list_missing() {
	local p v= here
	missing=()
	here=$(nr_find_pg_config)
	if [ -z "$here" ]; then
		v=$(server_version)
	fi
	peers=()
	if [ -n "$bench" ]; then
		[ -z "$here" ] || here=$("$here" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
		peers=(redis-server memcached libhiredis-dev libmemcached-dev "postgresql-${v:-$here}-pgmemcache" gnuplot-nox valgrind)
	fi
	for p in gcc make libc6-dev perl ${v:+postgresql-$v postgresql-server-dev-$v} \
		libnuma-dev libxxhash-dev ieee-data libipc-run-perl clang libclang-rt-dev ${also[@]+"${also[@]}"} ${peers[@]+"${peers[@]}"}; do
		have "$p" || missing+=("$p")
	done
}

in_apt() {
	[ -n "$(apt-cache madison "$1" 2>/dev/null)" ]
}

# Benchmarks do without peers that cannot be had.  drop_peers [COMMAND]: keep those for which it succeeds
drop_peers() {
	local p rest=()
	for p in ${missing[@]+"${missing[@]}"}; do
		if [[ " ${peers[*]-} " != *" $p "* ]] || "${@:-false}" "$p"; then
			rest+=("$p")
		else
			nr_say "not to be had: $p"
		fi
	done
	missing=(${rest[@]+"${rest[@]}"})
}

list_missing
if [ $may_install = no ] || ! command -v apt-get >/dev/null; then
	drop_peers
fi
if [ ${#missing[@]} = 0 ]; then
	exit 0
fi

if ! command -v apt-get >/dev/null; then
	nr_die "these are missing, by their Debian names: ${missing[*]}"
fi
if [ $may_install = no ]; then
	nr_die "these packages are missing: run as root

    apt-get install --no-install-recommends ${missing[*]}
"
fi

apt() {
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 "$@"
}

known() {
	local p
	for p in "${missing[@]}"; do
		in_apt "$p" || return 1
	done
}

if ! known; then
	nr_say "reading the package lists (apt-get update)"
	apt update
	list_missing
	drop_peers in_apt
	[ ${#missing[@]} != 0 ] || exit 0
fi

# The packages' own server is not wanted: tests and demo start theirs.
made=()
trap '"${as_root[@]}" rm -f ${made[@]+"${made[@]}"}' EXIT
no_main=/etc/postgresql-common/createcluster.d/nr_cache.conf
if [ ! -e /etc/postgresql-common ]; then
	"${as_root[@]}" mkdir -p "${no_main%/*}"
	echo 'create_main_cluster = false' | "${as_root[@]}" tee "$no_main" >/dev/null
	made+=("$no_main")
fi
# nor that of anything else
if [ -n "$bench" ] && [ ! -e /usr/sbin/policy-rc.d ]; then
	printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee /usr/sbin/policy-rc.d >/dev/null
	"${as_root[@]}" chmod 755 /usr/sbin/policy-rc.d
	made+=(/usr/sbin/policy-rc.d)
fi

nr_say "installing: ${missing[*]}"
apt install --no-install-recommends "${missing[@]}"

list_missing
drop_peers in_apt
[ ${#missing[@]} = 0 ] || nr_die "still missing after the installation: ${missing[*]}"
nr_say "everything is installed"
