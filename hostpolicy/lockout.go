package hostpolicy

import "slices"

// LockOut is a block rule that would stop something the machine cannot be
// repaired without.
type LockOut struct {
	Rule  *Rule
	Path  int      // index in Rule.Path
	Names []string // what it stops, the first one first in order of importance
	What  string   // what the first name is
	// Excepted is true where except_from lets one of the programs through
	// that need what the rule stops, so that the author has thought of them.
	Excepted bool
}

type essential struct {
	what  string
	names []string
}

// everyProgram marks what no except_from can make harmless.
const everyProgram = "every program"

// The lists hold the names on Debian, Ubuntu, Fedora, RHEL and openSUSE, with
// and without a merged /usr, because a rule may be written in any of them.
var (
	launchers = []essential{
		{"PID 1", []string{"/usr/lib/systemd/systemd", "/lib/systemd/systemd", "/sbin/init", "/usr/sbin/init"}},
		{"systemd-executor", []string{"/usr/lib/systemd/systemd-executor", "/lib/systemd/systemd-executor"}},
		{"udevd", []string{"/usr/lib/systemd/systemd-udevd", "/lib/systemd/systemd-udevd", "/usr/bin/udevadm", "/bin/udevadm"}},
		{"dbus", []string{"/usr/bin/dbus-daemon", "/usr/bin/dbus-broker", "/usr/bin/dbus-broker-launch"}},
		{"journald", []string{"/usr/lib/systemd/systemd-journald", "/lib/systemd/systemd-journald"}},
		{"logind", []string{"/usr/lib/systemd/systemd-logind", "/lib/systemd/systemd-logind"}},
		{"the console login", []string{"/sbin/agetty", "/usr/sbin/agetty", "/bin/login", "/usr/bin/login", "/sbin/sulogin", "/usr/sbin/sulogin", "/sbin/unix_chkpwd", "/usr/sbin/unix_chkpwd"}},
		{"sshd", []string{"/usr/sbin/sshd", "/usr/lib/openssh/sshd-session", "/usr/lib/openssh/sshd-auth", "/usr/libexec/openssh/sshd-session", "/usr/libexec/openssh/sshd-auth"}},
		{"the package manager", []string{"/usr/bin/dpkg", "/usr/bin/dpkg-deb", "/usr/bin/dpkg-split", "/usr/bin/rpm"}},
		{"the HostArmor daemon", []string{"/usr/sbin/hostarmord", "/usr/bin/hostarmor"}},
	}
	shells    = essential{"root's login shell", []string{"/bin/bash", "/usr/bin/bash", "/bin/sh", "/usr/bin/sh", "/bin/dash", "/usr/bin/dash"}}
	libraries = []essential{
		{everyProgram, []string{
			"/lib64/ld-linux-x86-64.so.2", "/usr/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
			"/lib/ld-linux-aarch64.so.1", "/usr/lib/ld-linux-aarch64.so.1", "/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1", "/usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1"}},
		{everyProgram, []string{
			"/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6", "/usr/lib64/libc.so.6",
			"/lib/aarch64-linux-gnu/libc.so.6", "/usr/lib/aarch64-linux-gnu/libc.so.6"}},
		{"every login", []string{"/lib/x86_64-linux-gnu/libpam.so.0", "/usr/lib/x86_64-linux-gnu/libpam.so.0", "/lib64/libpam.so.0", "/usr/lib64/libpam.so.0"}},
	}
	readFiles = []essential{
		{everyProgram, []string{"/etc/passwd", "/etc/group", "/etc/nsswitch.conf"}},
		{everyProgram, []string{"/etc/ld.so.cache"}},
		{"every login", []string{"/etc/shadow", "/etc/pam.d/login", "/etc/pam.d/sshd", "/etc/ssh/sshd_config"}},
		{everyProgram, []string{"/dev/null", "/dev/urandom", "/dev/tty", "/dev/console"}},
		{"the package manager", []string{"/var/lib/dpkg/status"}},
	}
	writeFiles = []essential{
		{everyProgram, []string{"/dev/null", "/dev/tty", "/dev/console", "/dev/ptmx"}},
		{"the package manager", []string{"/var/lib/dpkg/status", "/var/lib/dpkg/lock"}},
	}
)

// LockOuts are the block rules of a policy that would stop PID 1, udevd, dbus,
// a login, the package manager or the daemon, one for each pattern that does.
// A rule with `from` counts only where it names one of those programs itself.
// The check knows names, not files: run it again on canonical names.
func (p *Policy) LockOuts() []LockOut {
	var found []LockOut
	for i := range p.Rules {
		r := &p.Rules[i]
		if r.Action != Block || len(r.From) > 0 && !namesLauncher(r.From) {
			continue
		}
		for j, path := range r.Path {
			if l := lockOut(r, path); len(l.Names) > 0 {
				l.Rule, l.Path = r, j
				found = append(found, l)
			}
		}
	}
	return found
}

func lockOut(r *Rule, path Pattern) LockOut {
	var lists []essential
	switch {
	case r.Class == Process:
		// A library that may not be mapped executable stops every program.
		lists = slices.Concat(launchers, []essential{shells}, libraries)
	case r.Class == File:
		if r.Access&Read != 0 {
			lists = slices.Concat(readFiles, libraries)
		}
		if r.Access&Write != 0 {
			lists = slices.Concat(lists, writeFiles)
		}
	}
	l := LockOut{Excepted: namesLauncher(r.ExceptFrom)}
	for _, e := range lists {
		for _, name := range e.names {
			if !path.Match(name) || matchAny(r.Except, name) || slices.Contains(l.Names, name) {
				continue
			}
			if len(l.Names) == 0 {
				l.What = e.what
			}
			l.Names = append(l.Names, name)
			l.Excepted = l.Excepted && e.what != everyProgram
		}
	}
	return l
}

// namesLauncher reports whether one of the programs that start others, or that
// log people in, is among the patterns.
func namesLauncher(from []Pattern) bool {
	return slices.ContainsFunc(launchers, func(e essential) bool {
		return slices.ContainsFunc(e.names, func(name string) bool { return matchAny(from, name) })
	})
}
