#!/bin/bash
# The guest's part of the boot tests: changes what the next boot needs, and prints what the host looks at.
set -uo pipefail
policy=/etc/hostarmor/policies/boot.toml

# waits for a condition, for two minutes: far longer than anything here takes.
until_true() {
	local tries=0
	until bash -c "$1" >/dev/null 2>&1; do
		tries=$((tries + 1))
		[ $tries -lt 240 ] || { echo "waited in vain: $1"; hostarmor status; exit 1; }
		sleep 0.5
	done
}

case $1 in
install)
	mkdir -p /srv/boot && echo permitted >/srv/boot/secret
	# As early as a service can be: long before a login or the network.
	cat >/etc/systemd/system/early.service <<-'END'
		[Unit]
		Description=Tries the secret early in the boot
		Before=basic.target
		DefaultDependencies=no
		After=sysinit.target
		[Service]
		Type=oneshot
		ExecStart=/bin/sh -c 'cat /srv/boot/secret >/var/lib/early 2>&1; true'
		[Install]
		WantedBy=basic.target
	END
	# The power goes before the boot is complete, once.
	cat >/etc/systemd/system/power-cut.service <<-'END'
		[Unit]
		Description=Cuts the power during the boot
		Before=multi-user.target
		ConditionPathExists=/etc/power-cut
		[Service]
		Type=oneshot
		ExecStart=/bin/sh -c 'rm /etc/power-cut; sync; echo b >/proc/sysrq-trigger; sleep 60'
		[Install]
		WantedBy=multi-user.target
	END
	dpkg -i hostarmor.deb && systemctl enable early.service power-cut.service || exit 1
	until_true 'systemctl show -P FinishTimestampMonotonic | grep -vx 0'
	printf '[applies_to]\nhost = true\n\n[file.secret]\npath = "/srv/boot/secret"\n' >$policy
	until_true '! cat /srv/boot/secret'
	touch /etc/power-cut
	;;
required)
	sed -i 's/^required = .*/required = true/' /etc/hostarmor/hostarmor.toml
	systemctl restart hostarmor.service
	echo "restart: exit code $?"
	until_true 'systemctl is-failed hostarmor.service'
	systemctl show -P ExecMainStatus hostarmor.service | sed 's/^/daemon: exit code /'
	journalctl -q -b -u hostarmor.service -n 5 -o cat
	;;
reload)
	hostarmor reload
	;;
proven)
	until_true 'grep -q proven /var/lib/hostarmor/boot.json'
	;;
esac

echo "early: $(cat /var/lib/early 2>/dev/null)"
echo "now: $(cat /srv/boot/secret 2>&1)"
hostarmor status
echo "status: exit code $?"
echo "service: $(systemctl is-active hostarmor.service)"
echo "pins: $(ls /sys/fs/bpf/hostarmor 2>/dev/null)"
journalctl -q -b -t hostarmor HOSTARMOR_EVENT=degraded -o cat | sed 's/^/degraded: /'
journalctl -q -b -t hostarmor HOSTARMOR_ACTION=audit -o cat | sed 's/^/audit: /'
