#!/usr/bin/env bash
# numa-guest.sh [option...] COMMAND...: run a command on a machine with NUMA nodes.
#
# The machine is emulated (qemu without KVM) and gone afterwards.  Its files are this
# machine's, read-only below a RAM disk: what the command writes is lost, what
# it prints comes out here.  It runs as root, in this folder, with this environment.
#
#	--nodes N         nodes with processors and memory (2)
#	--memory-only N   further nodes without processors (0)
#	--memory MB       of each node (448)
#	--cpus N          of each node (1)
#	--timeout SECONDS (900)
#	--cache FOLDER    where the kernel is kept, a Debian package that apt downloads
#
# Exit status: the command's; 124 when time was up; 125 when the machine did not
# come to an end by itself.  All of it needs qemu-system-x86, busybox-static, cpio.
set -euo pipefail

die() {
	printf 'numa-guest: %s\n' "$*" >&2
	exit 125
}

nodes=2
memory_only=0
memory=448
cpus=1
seconds=900
cache=${XDG_CACHE_HOME:-$HOME/.cache}/nr_numa
while [ $# -gt 0 ]; do
	case $1 in
		--nodes) nodes=$2 ;;
		--memory-only) memory_only=$2 ;;
		--memory) memory=$2 ;;
		--cpus) cpus=$2 ;;
		--timeout) seconds=$2 ;;
		--cache) cache=$2 ;;
		--) shift && break ;;
		-*) die "unknown option: $1" ;;
		*) break ;;
	esac
	shift 2
done
[ $# -gt 0 ] || die "no command"
[ "$(uname -m)" = x86_64 ] || die "this is not an x86-64 machine"

tmp=$(mktemp -d "${TMPDIR:-/tmp}/numa-guest.XXXXXX")
new=$cache/new.$$
trap 'rm -rf "$tmp" "$new"' EXIT

# ---- the kernel, got once --------------------------------------------------------

# Parts of the kernel that are modules in one Debian or another.
modules=(virtio_pci 9pnet_virtio 9p overlay)
folders=(drivers/virtio net/9p fs/9p fs/netfs fs/fscache fs/overlayfs)

# depends PACKAGE PATTERN: packages that it depends on and that look like this
depends() {
	apt-cache depends "$1" 2>/dev/null | sed -nE "s/^ *Depends: ($2[^ ]*).*\$/\1/p"
}

# The kernel, unpacked to this folder.  Since Debian 14 it comes in parts.
download() {
	local image f
	image=$(depends linux-image-amd64 'linux-image-[0-9]' | head -n 1)
	# shellcheck disable=SC2046
	[ -n "$image" ] && (cd "$1" && apt-get -q -o APT::Sandbox::User=root download "$image" \
		$(depends "$image" 'linux-(binary|modules)-') >&2) || return
	for f in "$1"/*.deb; do
		dpkg-deb -x "$f" "$1/deb"
	done
}

# To $cache/kernel: vmlinuz, lib/modules
get_kernel() {
	local image version f d
	mkdir -p "$new"
	# package lists may be missing or too old
	download "$new" || {
		$([ "$(id -u)" = 0 ] || echo sudo -n) apt-get -q update >&2 && download "$new"
	} || die "apt has no kernel (package linux-image-amd64)"
	image=$(find "$new/deb" -type f -name 'vmlinuz*' | head -n 1)
	version=$(find "$new"/deb/ -path '*/lib/modules/*-amd64' -prune -printf '%f\n' | head -n 1)

	for f in "${folders[@]}"; do
		# since Debian 13 below usr; what is not there is part of the kernel
		for d in "$new"/deb/{,usr/}lib/modules/"$version/kernel/$f"; do
			[ -d "$d" ] || continue
			mkdir -p "$new/kernel/lib/modules/$version/$f"
			cp -r "$d"/. "$new/kernel/lib/modules/$version/$f/"
		done
	done
	find "$new/kernel" -name '*.xz' -exec xz -d {} +
	busybox depmod -b "$new/kernel" "$version" || die "depmod failed"
	mv "$image" "$new/kernel/vmlinuz"
	rm -rf "$cache/kernel"
	mv "$new/kernel" "$cache/kernel"
}

[ -s "$cache/kernel/vmlinuz" ] || get_kernel

# ---- its first file system ---------------------------------------------------------

mkdir -p "$tmp/initrd"/{bin,proc,sys,dev,lower,upper,new}
cp "$(command -v busybox)" "$tmp/initrd/bin/busybox"
cp -r "$cache/kernel/lib" "$tmp/initrd/lib"

# The job
{
	export -p | grep -vE '^declare -x (PWD|OLDPWD|SHLVL|TMPDIR)(=|$)' || true
	printf 'export NR_GUEST_NODES=%q NR_GUEST_MEMORY_ONLY=%q NR_GUEST_CPUS=%q\n' "$nodes" "$memory_only" "$cpus"
	printf 'cd %q || exit 125\n' "$PWD"
	echo 'exec </dev/null'
	printf '%q ' "$@"
	echo
} >"$tmp/initrd/job"

# The machine's first process: mount, run the job, say how it ended.
{
	echo '#!/bin/busybox sh'
	echo "modules='${modules[*]}'"
	cat <<'INIT'
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
exec </dev/null >/dev/ttyS0 2>&1
trap 'sync; poweroff -f' EXIT
for m in $modules; do
	[ -z "$(find /lib/modules -name "$m.ko")" ] || modprobe "$m" || exit
done
mount -t 9p -o ro,cache=loose,trans=virtio,version=9p2000.L,msize=262144 files /lower || exit
mount -t tmpfs -o size=80% upper /upper
mkdir /upper/data /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work all /new || exit
for d in proc sys dev; do
	mount --move /$d /new/$d
done
mkdir -p /new/dev/shm /new/dev/pts
mount -t tmpfs -o mode=1777 shm /new/dev/shm
mount -t devpts pts /new/dev/pts
mount -t tmpfs -o mode=755 run /new/run
ln -sf /proc/self/fd /new/dev/fd
cp /job /new/run/job
ip link set lo up
stty -F /new/dev/ttyS1 raw -echo
chroot /new /bin/bash /run/job >/new/dev/ttyS1 2>&1
echo "nr_exit=$?"
INIT
} >"$tmp/initrd/init"
chmod +x "$tmp/initrd/init"
(cd "$tmp/initrd" && find . | cpio -o -H newc --quiet) | gzip -1 >"$tmp/initrd.gz"

# ---- the machine ------------------------------------------------------------------

all=$((nodes + memory_only))
args=(-machine q35,hpet=off -accel tcg,thread=single,tb-size=512 -cpu max,-la57
	-m "$((all * memory))M" -smp "$((nodes * cpus)),sockets=$nodes,cores=$cpus,threads=1"
	-nodefaults -no-user-config -display none -no-reboot
	-virtfs "local,path=/,mount_tag=files,security_model=none,readonly=on,multidevs=remap"
	-kernel "$cache/kernel/vmlinuz" -initrd "$tmp/initrd.gz"
	-append "console=ttyS0 panic=-1 mitigations=off tsc=reliable no_timer_check loglevel=4"
	-serial "file:$tmp/console" -serial stdio)
for ((i = 0; i < all; i++)); do
	node=node,nodeid=$i,memdev=m$i
	[ $i -ge $nodes ] || node+=,cpus=$((i * cpus))-$((i * cpus + cpus - 1))
	args+=(-object "memory-backend-ram,id=m$i,size=${memory}M" -numa "$node")
done
for ((i = 0; i < all; i++)); do
	for ((j = 0; j < all; j++)); do
		args+=(-numa "dist,src=$i,dst=$j,val=$((i == j ? 10 : 20))")
	done
done

rc=0
timeout -k 5 "$seconds" qemu-system-x86_64 "${args[@]}" </dev/null || rc=$?
status=$(tr -d '\r' <"$tmp/console" 2>/dev/null | sed -n 's/^nr_exit=\([0-9]*\)$/\1/p' | tail -1)
if [ -n "$status" ]; then
	exit "$status"
fi
sed 's/^/[guest] /' "$tmp/console" | tail -40 >&2
case $rc in
	124 | 137)
		printf 'numa-guest: no end within %s seconds\n' "$seconds" >&2
		exit 124
		;;
esac
die "the machine ended before the command did (qemu: $rc)"
