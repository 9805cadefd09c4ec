#!/usr/bin/env bash
# setup.sh: install what building, testing and the demo need and is missing.
#
# Uses apt, as root or through sudo when that asks for no password; else says
# what to install.  A machine that has everything is left alone.  Arguments are
# further packages that are wanted; --numa stands for those of tools/numa-guest.sh,
# --server for those of tools/server.sh and what looks into such a server.
set -euo pipefail
also=()
for arg; do
	case $arg in
		--numa) [ "$(uname -m)" != x86_64 ] || also+=(qemu-system-x86 busybox-static cpio numactl xz-utils) ;;
		--server) also+=(dpkg-dev bison flex pkg-config libicu-dev valgrind) ;;
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
	local p v=
	missing=()
	if [ -z "$(nr_find_pg_config)" ]; then
		v=$(server_version)
	fi
	for p in gcc make libc6-dev perl ${v:+postgresql-$v postgresql-server-dev-$v} \
		libnuma-dev libxxhash-dev ieee-data libipc-run-perl clang libclang-rt-dev ${also[@]+"${also[@]}"}; do
		have "$p" || missing+=("$p")
	done
}

list_missing
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
		[ -n "$(apt-cache madison "$p" 2>/dev/null)" ] || return 1
	done
}

if ! known; then
	nr_say "reading the package lists (apt-get update)"
	apt update
	list_missing
fi

# The packages' own server is not wanted: tests and demo start theirs.
no_main=/etc/postgresql-common/createcluster.d/nr_cache.conf
if [ ! -e /etc/postgresql-common ]; then
	"${as_root[@]}" mkdir -p "${no_main%/*}"
	echo 'create_main_cluster = false' | "${as_root[@]}" tee "$no_main" >/dev/null
	trap '"${as_root[@]}" rm -f "$no_main"' EXIT
fi

nr_say "installing: ${missing[*]}"
apt install --no-install-recommends "${missing[@]}"

list_missing
[ ${#missing[@]} = 0 ] || nr_die "still missing after the installation: ${missing[*]}"
nr_say "everything is installed"
