// Package e2e tests the installed package on a whole Debian machine: systemd,
// journald, dpkg, and the kernel that really refuses. The tests (build tag
// e2e) run as root inside the full guest of test/vm, with the .deb beside them;
// those of package boot run on the host and boot one machine several times.
package e2e
