#!/bin/sh
# Stops on removal only: during an upgrade the old daemon runs on until the new
# one takes over.
set -e

if [ "$1" = remove ]; then
	if [ -d /run/systemd/system ] && command -v deb-systemd-invoke >/dev/null; then
		deb-systemd-invoke stop hostarmor.service >/dev/null || true
	fi
	# What on_stop = "keep" or a killed daemon left is protected from rm.
	/usr/sbin/hostarmord -release >/dev/null 2>&1 || true
fi
