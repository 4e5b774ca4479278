#!/bin/sh
# configure <old-version>: enable and start, or restart so that the new daemon
# takes over. A restart leaves enforcement in the kernel.
set -e

[ "$1" = configure ] || [ "$1" = abort-upgrade ] || [ "$1" = abort-deconfigure ] || [ "$1" = abort-remove ] || exit 0

# None of this may fail an installation in a chroot or an image build.
if command -v systemd-tmpfiles >/dev/null; then
	systemd-tmpfiles --create /usr/lib/tmpfiles.d/hostarmor.conf || true
fi
if command -v journalctl >/dev/null; then
	journalctl --update-catalog >/dev/null 2>&1 || true
fi

if command -v deb-systemd-helper >/dev/null; then
	deb-systemd-helper unmask hostarmor.service >/dev/null || true
	if deb-systemd-helper --quiet was-enabled hostarmor.service; then
		deb-systemd-helper enable hostarmor.service >/dev/null || true
	else
		# An administrator has disabled it: only keep the record up to date.
		deb-systemd-helper update-state hostarmor.service >/dev/null || true
	fi
fi

if [ -d /run/systemd/system ] && command -v deb-systemd-invoke >/dev/null; then
	systemctl --system daemon-reload >/dev/null || true
	if [ -n "$2" ]; then
		deb-systemd-invoke restart hostarmor.service >/dev/null || true
	else
		deb-systemd-invoke start hostarmor.service >/dev/null || true
	fi
fi
