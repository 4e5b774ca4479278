// Package systemd is everything the daemon asks of systemd or tells it: the
// unit behind a cgroup, readiness and watchdog, the job that stops us, and
// whether the boot has completed.
//
// `systemctl stop` and `systemctl restart` both send SIGTERM. Only the type of
// the unit's job tells them apart, and anything but a plain "stop" must leave
// enforcement in the kernel.
package systemd
