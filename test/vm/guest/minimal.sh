# Second stage of the minimal guest. Its root is a tmpfs and not the initramfs, which cannot be pivoted away.
mount -t tmpfs -o mode=755 tmpfs /root
cp -a /skel/. /root
chroot /root /bin/busybox --install -s
rm -f /root/sbin/init
ln -s /etc/init /root/sbin/init
mount -t ext4 "$(disk scratch)" /root/scratch || fail "cannot mount /scratch"
mount -t ext4 -o ro "$(disk modules)" /root/lib/modules || fail "cannot mount the modules"
