#!/usr/bin/env bash
# matrix.sh: the suites on every PostgreSQL version that is supported.
#
# A version that this machine has is tested here, any other in a chroot of the
# Debian suite that has it: made once by debootstrap, and then kept.  What happens
# in it is what happens on a machine that has nothing: setup, build, tests.
#
#	MATRIX=15,17,18         versions
#	MATRIX_STEPS="..."      steps of test.sh
#	NR_MATRIX_DIR=...       where the chroots are kept; default build/matrix
#	NR_MATRIX_MIRROR=...    a Debian mirror; default: the one apt uses here
#
# Mounts and processes of a chroot live in namespaces of their own, which end with
# this script, however it ends.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

suite_of() {
	case $1 in
		15) echo bookworm ;;
		17) echo trixie ;;
		18) echo forky ;;
		*) nr_die "no Debian suite is known to have PostgreSQL $1" ;;
	esac
}

steps=${MATRIX_STEPS:-compilers unit regress isolation tap test-numa-smoke}
dir=${NR_MATRIX_DIR:-$nr_root/build/matrix}
passed_on=(TAP_TESTS NR_RANDOM_OPS NR_RANDOM_SEED KILLS SEED NR_LOG_LINES NR_TAP_TIMEOUT
	NR_NUMA_TIMEOUT NR_PROGRAM_TIMEOUT SECONDS_EACH FUZZ_ROUNDS FUZZ_SEED)
failed=0
declare -A cell

major() {
	"$1" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/'
}

# ---- chroots --------------------------------------------------------------------

# inside ROOT COMMAND...: as root in the chroot, with /proc and /dev/shm of its own.
inside() {
	local root=$1 v env=()
	shift
	for v in "${passed_on[@]}"; do
		[ -z "${!v+set}" ] || env+=("$v=${!v}")
	done
	# Killed with us, and everything inside with it.  A shell stays behind as
	# process 1, which takes care of orphans.
	setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child -- bash -c '
		mount -t proc proc "$0/proc" && mkdir -p "$0/dev/shm" &&
			mount -t tmpfs -o mode=1777 tmpfs "$0/dev/shm" || exit
		chroot "$0" env -i "$@"
		exit $?' "$root" HOME=/tmp PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
		NR_BUILD=/nr_build ${env[@]+"${env[@]}"} "$@"
}

# make_chroot SUITE: nothing to do when it is there, even without a network.
make_chroot() {
	local suite=$1 root=$dir/$1 url script=$1
	[ ! -d "$root" ] || return 0
	if [ "$(id -u)" != 0 ]; then
		echo "making a chroot takes root" >&2
		return 1
	fi
	"$nr_root/tools/setup.sh" debootstrap || return
	url=${NR_MATRIX_MIRROR:-$(nr_mirror)}
	if [ -z "$url" ]; then
		echo "apt has no Debian mirror here: set NR_MATRIX_MIRROR to the address of one" >&2
		return 1
	fi
	# an older debootstrap does not know a newer suite by name
	[ -e "/usr/share/debootstrap/scripts/$suite" ] || script=sid
	rm -rf "$root.new"
	mkdir -p "$root.new" || return
	nr_say "making a chroot of $suite (debootstrap)"
	debootstrap --variant=minbase --include=ca-certificates "$suite" "$root.new" "$url" "$script" || {
		rm -rf "$root.new"
		return 1
	}
	# apt reaches the mirror from here, so let it do so likewise from there
	apt-config dump Acquire | grep -E '^Acquire::(Check-(Valid-Until|Date)|Retries|https?(::[A-Za-z:-]+)?) ' \
		>"$root.new/etc/apt/apt.conf.d/99machine"
	cp /etc/resolv.conf "$root.new/etc/resolv.conf"
	[ ! -f /etc/ssl/certs/ca-certificates.crt ] ||
		cp /etc/ssl/certs/ca-certificates.crt "$root.new/etc/ssl/certs/"
	inside "$root.new" apt-get -q update || return
	mv "$root.new" "$root"
}

# copy_source FOLDER: what git knows or would add; without git, all but build output.
copy_source() {
	rm -rf "$1"
	mkdir -p "$1" || return
	if git -C "$nr_root" rev-parse --git-dir >/dev/null 2>&1; then
		git -C "$nr_root" ls-files -z --cached --others --exclude-standard
	else
		(cd "$nr_root" && find . -type f ! -path './build/*' ! -name '*.o' ! -name '*.so' ! -name '*.bc' -print0)
	fi | tar -C "$nr_root" --null --ignore-failed-read -T - -cf - 2>/dev/null | tar -C "$1" --no-same-owner -xf -
}

# ---- a version --------------------------------------------------------------------

# run_step VERSION STEP COMMAND...: fills its cell of the table
run_step() {
	local version=$1 step=$2 log=$dir/log/$1-$2.log rc=0 line
	shift 2
	[ -n "${cell[$version,$step]:-}" ] || nr_say "PostgreSQL $version: $step"
	"$@" >>"$log" 2>&1 || rc=$?
	line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1)
	if [ $rc = 0 ]; then
		cell[$version,$step]=${line:-done}
		return
	fi
	cell[$version,$step]=${line:-FAILED}
	failed=$((failed + 1))
	if [ -n "$line" ]; then
		grep -vE '^\[ *[0-9]+s\] (ok|==|compiling|building|running|pg_regress|isolation) ' "$log"
	else
		tail -n 30 "$log"
	fi
	return 1
}

# Tests here, with the PostgreSQL that the machine has.
run_here() {
	local step
	mkdir -p "$dir/here"
	for step in $steps; do
		run_step "$1" "$step" env NR_BUILD="$dir/here" PG_CONFIG="$2" "$nr_root/tools/test.sh" "$step"
	done
}

has_version() {
	inside "$1" bash -c '. /nr_source/tools/lib.sh && "$(nr_find_pg_config)" --version' | grep -E "^PostgreSQL $2[^0-9]"
}

run_in_chroot() {
	local version=$1 suite root step
	suite=$(suite_of "$version") || exit 1
	root=$dir/$suite
	run_step "$version" setup make_chroot "$suite" || return
	copy_source "$root/nr_source" || nr_die "the source was not copied to $root"
	run_step "$version" setup inside "$root" bash /nr_source/tools/setup.sh || return
	run_step "$version" setup has_version "$root" "$version" || return
	for step in $steps; do
		run_step "$version" "$step" inside "$root" bash /nr_source/tools/test.sh "$step"
	done
}

table() {
	local version step
	printf '\n%-12s' PostgreSQL
	printf '%-24s' setup $steps
	for version in $versions; do
		printf '\n%-12s' "$version"
		for step in setup $steps; do
			printf '%-24s' "${cell[$version,$step]:--}"
		done
	done
	printf '\n\n'
}

versions=$(tr ',' ' ' <<<"${MATRIX:-15,17,18}")
for version in $versions; do
	suite_of "$version" >/dev/null || exit 1
done
mkdir -p "$dir/log" || exit 1
dir=$(cd "$dir" && pwd)
exec 9>"$dir/lock"
flock -n 9 || nr_die "somebody else uses the chroots in $dir"

for version in $versions; do
	rm -f "$dir/log/$version-"*
	here=$(nr_find_pg_config)
	if [ -n "$here" ] && [ "$(major "$here")" = "$version" ]; then
		cell[$version,setup]=here
		run_here "$version" "$here"
	else
		run_in_chroot "$version"
	fi
done
table
[ $failed = 0 ] || echo "failed: $failed steps; all output is in $dir/log"
[ $failed = 0 ]
