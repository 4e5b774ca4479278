#!/bin/sh
# $1 is the number of installed versions: 1 at the first installation, 2 at an
# upgrade.
systemd-tmpfiles --create /usr/lib/tmpfiles.d/hostarmor.conf >/dev/null 2>&1 || :
journalctl --update-catalog >/dev/null 2>&1 || :
if [ "$1" -eq 1 ]; then
	systemctl --no-reload enable hostarmor.service >/dev/null 2>&1 || :
	if [ -d /run/systemd/system ]; then
		systemctl daemon-reload >/dev/null 2>&1 || :
		systemctl start hostarmor.service >/dev/null 2>&1 || :
	fi
elif [ -d /run/systemd/system ]; then
	# The new daemon takes over; enforcement stays in the kernel meanwhile.
	systemctl daemon-reload >/dev/null 2>&1 || :
	systemctl try-restart hostarmor.service >/dev/null 2>&1 || :
fi
