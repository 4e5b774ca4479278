#!/bin/sh
# $1 is 0 at the removal of the last version.
if [ "$1" -eq 0 ]; then
	if [ -d /run/systemd/system ]; then
		systemctl --no-reload disable --now hostarmor.service >/dev/null 2>&1 || :
	else
		systemctl --no-reload disable hostarmor.service >/dev/null 2>&1 || :
	fi
	# What on_stop = "keep" or a killed daemon left is protected from rm.
	/usr/sbin/hostarmord -release >/dev/null 2>&1 || :
fi
