#!/bin/sh
# remove: nothing is left in force, whatever on_stop says, because nothing is
# left that could lift it. purge: nothing is left at all.
set -e

if [ "$1" = remove ] || [ "$1" = purge ]; then
	rm -rf /sys/fs/bpf/hostarmor
	if [ -d /run/systemd/system ]; then
		systemctl --system daemon-reload >/dev/null || true
	fi
fi

if [ "$1" = remove ]; then
	if command -v deb-systemd-helper >/dev/null; then
		deb-systemd-helper mask hostarmor.service >/dev/null || true
	fi
	if command -v journalctl >/dev/null; then
		journalctl --update-catalog >/dev/null 2>&1 || true
	fi
fi

if [ "$1" = purge ]; then
	if command -v deb-systemd-helper >/dev/null; then
		deb-systemd-helper purge hostarmor.service >/dev/null || true
		deb-systemd-helper unmask hostarmor.service >/dev/null || true
	fi
	rm -rf /var/lib/hostarmor /var/log/hostarmor /run/hostarmor /etc/hostarmor
fi
