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

echo "Booting Debian with systemd on a real $kernel kernel, emulated: some twenty seconds, longer on a busy machine."
exec build/vm run --kernel "$kernel" --guest full --timeout 10m --quiet \
	--file "${debs[0]}:hostarmor.deb" --file test/vm/demo/demo.toml -- test/vm/demo/guest.sh
