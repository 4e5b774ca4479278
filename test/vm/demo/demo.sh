#!/bin/bash
# Installs dist/hostarmor_*.deb on a freshly booted Debian and shows a policy at work. KERNEL=6.12 picks another kernel.
set -euo pipefail
cd "$(dirname "$0")/../../.."

kernel=${KERNEL:-6.1}
shopt -s nullglob
debs=(dist/hostarmor_*.deb)
if [ ${#debs[@]} -ne 1 ]; then
	echo "demo: dist/ holds ${#debs[@]} hostarmor_*.deb, want 1 (run make demo)" >&2
	exit 1
fi
[ -x build/vm ] || CGO_ENABLED=0 go build -o build/vm ./test/vm/cmd/vm

began=$SECONDS
echo "Booting a throw-away Debian with systemd on a real $kernel kernel, emulated: some twenty seconds, longer on a busy machine."
build/vm run --kernel "$kernel" --guest full --timeout 10m --quiet \
	--file "${debs[0]}:hostarmor.deb" --file test/vm/demo/demo.toml -- test/vm/demo/guest.sh

printf '\n\033[1mDone, in %d seconds.\033[0m The machine is gone. To try it on one whose kernel can enforce:\n' $((SECONDS - began))
echo "  grep -w bpf /sys/kernel/security/lsm && sudo apt install ./${debs[0]}"
