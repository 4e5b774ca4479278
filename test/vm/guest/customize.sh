#!/bin/sh
# Turns a fresh Debian tree ($1) into the full guest. Runs on the host, as root, inside mmdebstrap.
set -eu
root=$1

echo vm >"$root/etc/hostname"
printf '127.0.0.1 localhost vm\n::1 localhost\n' >"$root/etc/hosts"
: >"$root/etc/fstab"
: >"$root/etc/resolv.conf"
# One fixed id: a missing one makes every boot a first boot, with its presets and waiting.
echo 5eedc0de5eedc0de5eedc0de5eedc0de >"$root/etc/machine-id"
chroot "$root" useradd -m -s /bin/bash -u 1000 user
mkdir -p "$root/job" "$root/scratch" "$root/usr/lib/modules"

# The journal in memory: faster, and a test that needs it on disk creates /var/log/journal.
rm -rf "$root/var/log/journal"

mask() { for unit in "$@"; do ln -sf /dev/null "$root/etc/systemd/system/$unit"; done; }
mask getty.target getty@.service serial-getty@.service getty-static.service console-getty.service \
	apt-daily.timer apt-daily-upgrade.timer apt-daily.service apt-daily-upgrade.service \
	man-db.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer dpkg-db-backup.timer logrotate.timer \
	systemd-timesyncd.service systemd-networkd-wait-online.service systemd-firstboot.service \
	systemd-pstore.service systemd-update-utmp-runlevel.service ifupdown-pre.service \
	systemd-random-seed.service ldconfig.service systemd-machine-id-commit.service
chroot "$root" systemctl --quiet disable docker.service docker.socket containerd.service ssh.service nginx.service
# Debian marks them for start after installation; only a test starts them.
rm -f "$root/etc/rc"?.d/S*docker "$root/etc/rc"?.d/S*ssh "$root/etc/rc"?.d/S*nginx

# A test can pull nothing, and every running container costs seconds of emulation.
mkdir -p "$root/etc/docker"
printf '{ "storage-driver": "overlay2", "iptables": true }\n' >"$root/etc/docker/daemon.json"

rm -rf "$root/usr/share/doc" "$root/usr/share/man" "$root/usr/share/locale" "$root/usr/share/info" "$root/var/cache/apt"/*.bin
rm -f "$root/var/lib/apt/lists/"*_Packages "$root/usr/sbin/policy-rc.d"
