#!/bin/sh
# $1 is 0 at the removal of the last version.
if [ "$1" -eq 0 ]; then
	# What on_stop = "keep" or a killed daemon left is protected from rm: only
	# the service itself can lift it, when it stops and finds this file.
	if [ -d /run/systemd/system ]; then
		mkdir -p /run/hostarmor
		: >/run/hostarmor/removing
		systemctl start hostarmor.service >/dev/null 2>&1 || :
		systemctl --no-reload disable --now hostarmor.service >/dev/null 2>&1 || :
		rm -f /run/hostarmor/removing
	else
		systemctl --no-reload disable hostarmor.service >/dev/null 2>&1 || :
		/usr/sbin/hostarmord -release >/dev/null 2>&1 || :
	fi
fi
