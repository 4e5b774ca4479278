#!/bin/sh
# Nothing is left in force, whatever on_stop says, because nothing is left that
# could lift it. rpm knows no purge: settings and policies stay.
if [ "$1" -eq 0 ]; then
	rm -rf /sys/fs/bpf/hostarmor /var/lib/hostarmor /run/hostarmor
	if [ -d /run/systemd/system ]; then
		systemctl daemon-reload >/dev/null 2>&1 || :
	fi
	journalctl --update-catalog >/dev/null 2>&1 || :
fi
