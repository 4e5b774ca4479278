# Second stage of the full guest: the unit that runs the job lives in /run, so the image knows nothing of jobs.
mount -t ext4 -o rw,noatime "$(disk root)" /root || fail "cannot mount the image"
mount -t ext4 -o ro "$(disk modules)" /root/usr/lib/modules || fail "cannot mount the modules"
mount -t tmpfs -o mode=755,nosuid,nodev,size=20% tmpfs /root/run
units=/root/run/systemd/system
mkdir -p $units/multi-user.target.wants
cp /vm-job.service $units/
ln -s ../vm-job.service $units/multi-user.target.wants/vm-job.service
