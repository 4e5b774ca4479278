#!/bin/busybox sh
# First stage of both guests: modules, disks, the root file system with the job in it.
export PATH=/bin

fail() {
	echo "vm-init: $*" >/dev/console
	sleep 1
	reboot -f
}

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
while read -r module; do
	insmod "/modules/$module" || fail "cannot load $module"
done </modules/order

disk() {
	for d in /sys/block/vd*; do
		[ "$(cat "$d/serial")" = "$1" ] && echo "/dev/${d##*/}"
	done
}

. /stage2

rm -rf /root/job
tar -xf "$(disk job)" -C /root || fail "cannot unpack the job"
cp /bin/busybox /root/job/.vm/busybox || fail "cannot copy busybox"
for m in proc sys dev; do
	mount --move /$m /root/$m || fail "cannot move $m"
done
exec switch_root /root /sbin/init
fail "cannot start /sbin/init"
