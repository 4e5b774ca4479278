package hostpolicy

import "net/netip"

// What the actors of essential.go need beside files: sockets, capabilities and
// operations of class system.

func sockets(list ...Socket) []Object {
	objects := make([]Object, len(list))
	for i := range list {
		objects[i].Socket = &list[i]
	}
	return objects
}

func inet(p Protocol, remote, local string) Socket {
	s := Socket{Protocols: []Protocol{p}}
	if remote != "" {
		a := netip.MustParseAddrPort(remote)
		s.Remote = Endpoint{Addr: a.Addr(), Port: a.Port()}
	}
	if local != "" {
		a := netip.MustParseAddrPort(local)
		s.Local = Endpoint{Addr: a.Addr(), Port: a.Port()}
	}
	return s
}

func unixSocket(path string) Socket { return Socket{Protocols: []Protocol{Unix}, Path: path} }

// peers stand for everybody: no prefix but those of all addresses holds them
// all.
func peers(local string) []Object {
	var list []Socket
	for _, peer := range []string{"10.9.8.7:50000", "192.0.2.9:50000", "172.16.5.4:50000", "100.64.3.2:50000", "64.1.1.1:50000"} {
		list = append(list, inet(TCP, peer, local))
	}
	return sockets(list...)
}

const (
	busSocket = "/run/dbus/system_bus_socket"
	logSocket = "/run/systemd/journal/socket"
)

var networkNeeds = concat([]need{
	{what: sshd.what, by: []*actor{sshd, pid1}, op: OpBind, objects: sockets(inet(TCP, "", "0.0.0.0:22")), why: "it listens on TCP port 22"},
	{what: sshd.what, by: []*actor{sshd, pid1}, op: OpListen, objects: sockets(inet(TCP, "", "0.0.0.0:22")), why: "it listens on TCP port 22"},
	{what: sshd.what, by: []*actor{sshd, pid1}, op: OpAccept, objects: peers("192.0.2.1:22"), all: true, why: "it accepts logins on TCP port 22"},
	{what: "PID 1 and dbus", by: []*actor{pid1, dbus, journald}, op: OpBind, objects: sockets(unixSocket(busSocket), unixSocket(logSocket)), why: "services find each other on Unix sockets"},
	{what: "PID 1 and dbus", by: []*actor{pid1, dbus, journald}, op: OpAccept, objects: sockets(unixSocket(busSocket), unixSocket(logSocket)), why: "services find each other on Unix sockets"},
	{what: "dbus", by: actors, op: OpConnect, objects: sockets(unixSocket(busSocket)), why: "PID 1, logind and logins talk over Unix sockets"},
	{what: "journald", by: actors, op: OpConnect, objects: sockets(unixSocket(logSocket)), why: "programs log over a Unix socket"},
	{what: "udevd", by: []*actor{udev, pid1}, op: OpSocket, objects: sockets(Socket{Protocols: []Protocol{Netlink}}), why: "it hears of devices over netlink"},
}, mildly(
	need{what: "name resolution", op: OpConnect, objects: sockets(inet(UDP, "127.0.0.53:53", ""), inet(UDP, "192.0.2.53:53", "")), all: true, why: "DNS is UDP to port 53"},
	need{what: "the services of this machine that talk to each other", op: OpConnect, objects: sockets(inet(TCP, "127.0.0.1:8080", "")), why: "they use the loopback addresses, 127.0.0.0/8 and ::1"},
))

// mildly are needs of whoever runs on the host.
func mildly(list ...need) []need {
	for i := range list {
		list[i].mild, list[i].by = true, actors
	}
	return list
}

func capability(c Cap, why string, by ...*actor) need {
	return need{what: by[0].what, by: by, op: OpCapability, objects: []Object{{Capability: c}}, listed: true, why: why}
}

func capNamed(name string) Cap {
	c, ok := ParseCap(name)
	if !ok {
		panic("hostpolicy: no capability " + name)
	}
	return c
}

var capabilityNeeds = []need{
	capability(capNamed("CAP_SYS_ADMIN"), "it mounts file systems and makes cgroups and namespaces", pid1, starting(services...), udev, daemon),
	capability(capNamed("CAP_SETUID"), "services and logins become their own users", pid1, starting(services...), sshd, console, session),
	capability(capNamed("CAP_SETGID"), "services and logins get their own groups", pid1, starting(services...), sshd, console, session),
	capability(capNamed("CAP_SETPCAP"), "it takes capabilities from the services that it starts", pid1, starting(services...)),
	capability(capNamed("CAP_KILL"), "it stops services of other users", pid1),
	capability(capNamed("CAP_SYS_RESOURCE"), "it sets the limits of services and logins", pid1, starting(services...), sshd, console),
	capability(capNamed("CAP_SYS_BOOT"), "it shuts the machine down", pid1),
	capability(capNamed("CAP_SYS_MODULE"), "it loads drivers", udev, pid1),
	capability(capNamed("CAP_MKNOD"), "it makes device files", udev, pid1),
	capability(capNamed("CAP_NET_ADMIN"), "it names network interfaces and brings up the first", udev, pid1),
	capability(capNamed("CAP_DAC_OVERRIDE"), "root's programs write files of other users", packages, pid1, console, sshd, session),
	capability(capNamed("CAP_CHOWN"), "it gives files and terminals to their users", packages, console, sshd, pid1),
	capability(capNamed("CAP_FOWNER"), "it changes modes and times of files of other users", packages, pid1),
	capability(capNamed("CAP_FSETID"), "it installs set-user-ID programs", packages),
	capability(capNamed("CAP_SETFCAP"), "it installs programs with capabilities", packages),
	capability(capNamed("CAP_SYS_CHROOT"), "it locks itself away before a login", sshd),
	capability(capNamed("CAP_NET_BIND_SERVICE"), "it listens on port 22", sshd, pid1),
	capability(capNamed("CAP_AUDIT_CONTROL"), "a login sets its login uid", sshd, console),
	capability(capNamed("CAP_AUDIT_WRITE"), "a login is written to the audit log", sshd, console),
	capability(capNamed("CAP_SYS_TTY_CONFIG"), "it hangs up the terminal before a login", console),
	capability(capNamed("CAP_SYSLOG"), "it reads the kernel's messages", journald),
	capability(capNamed("CAP_BPF"), "it loads and replaces policies", daemon, pid1),
}

func system(op Operation, why string, by ...*actor) need {
	return need{what: by[0].what, by: by, op: op, objects: []Object{{}}, listed: true, why: why}
}

var systemNeeds = concat([]need{
	system(OpMount, "it mounts file systems, and gives services their own view of them", pid1, starting(services...)),
	system(OpBPF, "it loads and replaces policies", daemon, pid1),
	system(OpLoadModule, "it loads drivers", udev, pid1),
}, mildly(
	need{what: "unprivileged containers and the sandboxes of browsers", op: OpCreateUserNS, objects: []Object{{}}, why: "they begin with a user namespace"},
	need{what: "the runtimes that stop containers", op: OpSignalOutside, objects: []Object{{}}, why: "docker stop is a signal from the host"},
	need{what: "container runtimes", op: OpFilelessExec, objects: []Object{{}}, why: "some versions of runc execute themselves from memory"},
	need{what: "polkit, Java, node and others that compile as they run", op: OpAnonymousExec, objects: []Object{{}}, why: "their code is in memory that no file backs"},
	need{what: "systemd-timesyncd and chronyd", op: OpSetTime, objects: []Object{{}}, why: "they set the clock"},
))
