package hostpolicy

import "strings"

// actor is a program that a machine cannot be repaired without.
type actor struct {
	what     string
	programs []string // any of these names is it, depending on the distribution
	units    []string // and in any of these it runs
}

// need is what actors have to be able to do.
type need struct {
	what string
	by   []*actor
	op   Operation
	// objects are alternatives: a block rule that is about one of them is in
	// the way, an allow-list has to permit one of them.
	objects []Object
	all     bool   // a block rule is in the way only where it is about all objects
	listed  bool   // an allow-list that permits none of the objects is in the way
	mild    bool   // the machine stays reachable without
	why     string // "starting services as users of their own"; "" for files
}

// everyProgram marks what no except_from can make harmless.
const everyProgram = "every program"

// The lists hold the names on Debian, Ubuntu, Fedora, RHEL and openSUSE, with
// and without a merged /usr, because a rule may be written in any of them.
var (
	systemdNames  = []string{"/usr/lib/systemd/systemd", "/lib/systemd/systemd", "/sbin/init", "/usr/sbin/init"}
	executorNames = []string{"/usr/lib/systemd/systemd-executor", "/lib/systemd/systemd-executor"}
	shellNames    = []string{"/bin/bash", "/usr/bin/bash", "/bin/sh", "/usr/bin/sh", "/bin/dash", "/usr/bin/dash"}
	packageNames  = []string{"/usr/bin/dpkg", "/usr/bin/dpkg-deb", "/usr/bin/dpkg-split", "/usr/bin/rpm"}

	pid1 = &actor{"PID 1", append(append([]string{}, systemdNames...), executorNames...), []string{"init.scope"}}
	udev = &actor{"udevd", []string{"/usr/lib/systemd/systemd-udevd", "/lib/systemd/systemd-udevd", "/usr/bin/udevadm", "/bin/udevadm"},
		[]string{"systemd-udevd.service"}}
	dbus = &actor{"dbus", []string{"/usr/bin/dbus-daemon", "/usr/bin/dbus-broker", "/usr/bin/dbus-broker-launch"},
		[]string{"dbus.service", "dbus-broker.service"}}
	journald = &actor{"journald", []string{"/usr/lib/systemd/systemd-journald", "/lib/systemd/systemd-journald"}, []string{"systemd-journald.service"}}
	logind   = &actor{"logind", []string{"/usr/lib/systemd/systemd-logind", "/lib/systemd/systemd-logind"}, []string{"systemd-logind.service"}}
	console  = &actor{"the console login",
		[]string{"/sbin/agetty", "/usr/sbin/agetty", "/bin/login", "/usr/bin/login", "/sbin/sulogin", "/usr/sbin/sulogin", "/sbin/unix_chkpwd", "/usr/sbin/unix_chkpwd"},
		[]string{"getty@tty1.service", "serial-getty@ttyS0.service", "rescue.service", "emergency.service"}}
	sshd = &actor{"sshd",
		[]string{"/usr/sbin/sshd", "/usr/lib/openssh/sshd-session", "/usr/lib/openssh/sshd-auth", "/usr/libexec/openssh/sshd-session", "/usr/libexec/openssh/sshd-auth"},
		[]string{"ssh.service", "sshd.service"}}
	session  = &actor{"root's login", append([]string{"/usr/bin/su", "/bin/su", "/usr/bin/sudo"}, shellNames...), []string{rootSession}}
	packages = &actor{"the package manager", append([]string{"/usr/bin/apt", "/usr/bin/apt-get", "/usr/bin/dnf", "/usr/bin/dnf5", "/usr/bin/zypper"}, packageNames...),
		[]string{rootSession, "apt-daily-upgrade.service", "dnf-automatic-install.service", "packagekit.service"}}
	daemon = &actor{"the HostArmor daemon", []string{"/usr/sbin/hostarmord", "/usr/bin/hostarmor"}, []string{"hostarmor.service"}}

	services = []*actor{udev, dbus, journald, logind, console, sshd, daemon}
	logins   = []*actor{console, sshd, session}
	actors   = append([]*actor{pid1, session, packages}, services...)
)

const rootSession = "session-1.scope"

// subjects are the actor's processes, as a selector sees them.
func (a *actor) subjects() []Subject {
	var list []Subject
	for _, unit := range a.units {
		s := Subject{Units: []string{"-.slice", "system.slice", unit}, LoginUID: NoLogin}
		switch unit {
		case rootSession:
			s.Units, s.LoginUID = []string{"-.slice", "user.slice", "user-0.slice", unit}, 0
		case "init.scope":
			s.Units = []string{"-.slice", unit}
		}
		list = append(list, s)
	}
	return list
}

// places are where actors run, each once, because a selector may be long.
var places = func() []actorPlace {
	var list []actorPlace
	index := make(map[string]int)
	seen := make(map[*actor]bool)
	for i := range needs {
		for _, a := range needs[i].by {
			if seen[a] {
				continue
			}
			seen[a] = true
			for _, s := range a.subjects() {
				unit := s.Units[len(s.Units)-1]
				at, ok := index[unit]
				if !ok {
					at = len(list)
					index[unit] = at
					list = append(list, actorPlace{subject: s})
				}
				list[at].actors = append(list[at].actors, a)
			}
		}
	}
	return list
}()

type actorPlace struct {
	subject Subject
	actors  []*actor
}

// starting is PID 1 as it starts the actors, each in its unit.
func starting(of ...*actor) *actor {
	a := &actor{what: pid1.what, programs: pid1.programs}
	for _, o := range of {
		a.units = append(a.units, o.units...)
	}
	return a
}

// files are alternatives, each an own file of root's.
func files(names ...string) []Object {
	objects := make([]Object, len(names))
	for i, name := range names {
		objects[i] = Object{Names: []string{name}, Owned: true, Args: []string{name}}
	}
	return objects
}

func execs(a *actor, names []string, by ...*actor) need {
	return need{what: a.what, by: append(by, a, starting(a)), op: OpExec, objects: files(names...), listed: true}
}

var needs = concat(processNeeds, fileNeeds, networkNeeds, capabilityNeeds, systemNeeds)

func concat(lists ...[]need) []need {
	var all []need
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

var (
	processNeeds = concat([]need{
		execs(pid1, systemdNames),
		{what: "systemd-executor", by: []*actor{starting(services...)}, op: OpExec, objects: files(executorNames...), listed: true},
		execs(udev, udev.programs), execs(dbus, dbus.programs), execs(journald, journald.programs), execs(logind, logind.programs),
		execs(console, console.programs), execs(sshd, sshd.programs),
		{what: packages.what, by: []*actor{packages, session}, op: OpExec, objects: files(packageNames...), listed: true},
		execs(daemon, daemon.programs),
		{what: "root's login shell", by: logins, op: OpExec, objects: files(shellNames...), listed: true},
		// A library that may not be mapped executable stops every program.
	}, libraries(OpMap))

	fileNeeds = concat([]need{
		{what: everyProgram, by: actors, op: OpRead, objects: files("/etc/passwd", "/etc/group", "/etc/nsswitch.conf"), listed: true},
		{what: everyProgram, by: actors, op: OpRead, objects: files("/etc/ld.so.cache")},
		{what: "every login", by: logins, op: OpRead, objects: files("/etc/shadow", "/etc/pam.d/login", "/etc/pam.d/sshd", "/etc/ssh/sshd_config")},
		{what: everyProgram, by: actors, op: OpRead, objects: files("/dev/null", "/dev/urandom", "/dev/tty", "/dev/console")},
		{what: packages.what, by: []*actor{packages}, op: OpRead, objects: files("/var/lib/dpkg/status")},
	}, libraries(OpRead), []need{
		{what: everyProgram, by: actors, op: OpWrite, objects: files("/dev/null", "/dev/tty", "/dev/console", "/dev/ptmx")},
		{what: packages.what, by: []*actor{packages}, op: OpWrite, objects: files("/var/lib/dpkg/status", "/var/lib/dpkg/lock")},
	})
)

func libraries(op Operation) []need {
	listed := op == OpRead
	return []need{
		{what: everyProgram, by: actors, op: op, listed: listed, objects: files(
			"/lib64/ld-linux-x86-64.so.2", "/usr/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
			"/lib/ld-linux-aarch64.so.1", "/usr/lib/ld-linux-aarch64.so.1", "/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1", "/usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1")},
		{what: everyProgram, by: actors, op: op, listed: listed, objects: files(
			"/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6", "/usr/lib64/libc.so.6",
			"/lib/aarch64-linux-gnu/libc.so.6", "/usr/lib/aarch64-linux-gnu/libc.so.6")},
		{what: "every login", by: logins, op: op, objects: files(
			"/lib/x86_64-linux-gnu/libpam.so.0", "/usr/lib/x86_64-linux-gnu/libpam.so.0", "/lib64/libpam.so.0", "/usr/lib64/libpam.so.0")},
	}
}

// literalPrefix is a cheap test before Match: names without it cannot match.
func literalPrefix(p Pattern) func(name string) bool {
	literal, _ := p.Split()
	if literal == "/" {
		return func(string) bool { return true }
	}
	return func(name string) bool { return strings.HasPrefix(name, literal) }
}
