#!/bin/sh
# Stops on removal only: during an upgrade the old daemon runs on until the new
# one takes over.
set -e

if [ "$1" = remove ] && [ -d /run/systemd/system ] && command -v deb-systemd-invoke >/dev/null; then
	deb-systemd-invoke stop hostarmor.service >/dev/null || true
fi
