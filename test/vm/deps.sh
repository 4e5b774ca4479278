#!/bin/bash
# Installs the Debian packages that the build and the VM tests need, only those that are missing.
#
#   test/vm/deps.sh [all|vm|bpf|race]...     default: all
#
# vm:  what boots a guest and builds its image
# bpf: what regenerates the BPF objects
# race: the C compiler of the race detector
set -euo pipefail

vm=(qemu-system-x86 qemu-utils mmdebstrap busybox-static e2fsprogs xz-utils kmod dpkg apt debian-archive-keyring)
bpf=(clang-19 llvm-19 libbpf-dev)
race=(gcc libc6-dev)

fail() {
	echo "deps: $*" >&2
	exit 1
}

want=()
for group in "${@:-all}"; do
	case $group in
	all) want+=("${vm[@]}" "${bpf[@]}" "${race[@]}") ;;
	vm) want+=("${vm[@]}") ;;
	bpf) want+=("${bpf[@]}") ;;
	race) want+=("${race[@]}") ;;
	*) fail "unknown group \"$group\" (use all, vm, bpf or race)" ;;
	esac
done

command -v dpkg-query >/dev/null || fail "this machine has no dpkg: the VM tests need a Debian 12 or newer machine, or install by hand: ${want[*]}"

missing=()
for package in "${want[@]}"; do
	state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
	[ "$state" = installed ] || missing+=("$package")
done

# The harness asks apt for its mirror, which apt only knows with package lists.
lists() { [ -n "$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null)" ]; }
if [ ${#missing[@]} -eq 0 ] && lists; then
	echo "deps: everything is installed"
	exit 0
fi

root=()
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || fail "cannot install ${missing[*]:-package lists}: not root and no sudo (run as root: apt-get install ${missing[*]})"
	root=(sudo)
fi

export DEBIAN_FRONTEND=noninteractive
apt() { "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -q -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=600 "$@"; }

log=$(mktemp)
trap 'rm -f "$log"' EXIT

installable() { apt-get -s -q install --no-install-recommends "${missing[@]}" >/dev/null 2>&1; }

if ! lists || ! installable; then
	echo "deps: refreshing the package lists"
	apt update >"$log" 2>&1 || {
		cat "$log" >&2
		fail "apt-get update failed, so ${missing[*]:-kernels} cannot be installed (check the network and /etc/apt)"
	}
fi
if [ ${#missing[@]} -eq 0 ]; then
	echo "deps: done"
	exit 0
fi

echo "deps: installing ${missing[*]}"
if ! apt install --no-install-recommends "${missing[@]}" >"$log" 2>&1; then
	# Lists that are present but old name package versions that the mirror no longer has.
	echo "deps: retrying with fresh package lists"
	{ apt update && apt install --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 || {
		tail -n 40 "$log" >&2
		fail "cannot install ${missing[*]} (the output of apt-get is above)"
	}
fi
echo "deps: done"
