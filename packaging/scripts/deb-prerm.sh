#!/bin/sh
# Stops on removal only: during an upgrade the old daemon runs on until the new
# one takes over.
set -e

if [ "$1" = remove ]; then
	# What on_stop = "keep" or a killed daemon left is protected from rm: only
	# the service itself can lift it, when it stops and finds this file.
	if [ -d /run/systemd/system ]; then
		mkdir -p /run/hostarmor
		: >/run/hostarmor/removing
		systemctl start hostarmor.service >/dev/null 2>&1 || true
		systemctl stop hostarmor.service >/dev/null 2>&1 || true
		rm -f /run/hostarmor/removing
	else
		/usr/sbin/hostarmord -release >/dev/null 2>&1 || true
	fi
fi
