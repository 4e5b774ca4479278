package hostpolicy

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestApplets(t *testing.T) {
	for _, tt := range []struct{ args, want []string }{
		{[]string{"sh", "-c", "id"}, []string{"sh"}},
		{[]string{"/bin/sh"}, []string{"sh"}},
		{[]string{"-bash"}, []string{"bash"}},
		{[]string{"/usr/bin/-sh"}, []string{"sh"}},
		{[]string{"busybox", "sh", "-c"}, []string{"busybox", "sh"}},
		{[]string{"/bin/busybox.static", "/bin/nc"}, []string{"busybox.static", "nc"}},
		{[]string{"busybox", "busybox", "wget"}, []string{"busybox", "busybox", "wget"}},
		{[]string{"toybox", "nc"}, []string{"toybox", "nc"}},
		{[]string{"coreutils", "--coreutils-prog=ls", "-l"}, []string{"coreutils", "ls"}},
		{[]string{"/usr/bin/coreutils", "--coreutils-prog-shebang=cat", "/bin/cat"}, []string{"coreutils", "cat"}},
		{[]string{"ls", "--coreutils-prog=rm"}, []string{"ls"}},
		{[]string{""}, []string{""}},
		{nil, nil},
	} {
		if diff := cmp.Diff(tt.want, Applets(tt.args)); diff != "" {
			t.Errorf("Applets(%q): %s", tt.args, diff)
		}
	}
}

func TestDecideClasses(t *testing.T) {
	at := func(texts ...string) []Pattern { return patterns(t, texts...) }
	policy := func(otherwise Action, rules ...Rule) []Policy {
		for i := range rules {
			rules[i].Policy, rules[i].Name = "p", string(rune('a'+i))
		}
		return []Policy{{Name: "p", AppliesTo: Selector{Everything: true}, Otherwise: otherwise, Rules: rules}}
	}
	exec := func(a Action, path string, args ...string) Rule {
		return Rule{Class: Process, Action: a, Access: Exec, Path: at(path), Args: args}
	}
	file := func(a Action, path string) Rule {
		return Rule{Class: File, Action: a, Access: Read | Write, Path: at(path)}
	}
	owner := func(r Rule) Rule { r.OwnerOnly = true; return r }
	within := func(r Rule, texts ...string) Rule { r.Within = at(texts...); return r }
	from := func(r Rule, texts ...string) Rule { r.From = at(texts...); return r }
	capability := func(a Action, names ...string) Rule {
		r := Rule{Class: Capability, Action: a}
		for _, name := range names {
			r.Capabilities = append(r.Capabilities, capNamed(name))
		}
		return r
	}
	system := func(a Action, ops ...Operation) Rule { return Rule{Class: System, Action: a, Operations: ops} }
	network := func(a Action, d Direction, ports ...uint16) Rule {
		r := Rule{Class: Network, Action: a, Direction: d, Protocol: []Protocol{TCP}}
		for _, p := range ports {
			r.Ports = append(r.Ports, PortRange{p, p})
		}
		return r
	}
	named := func(name string, args ...string) Object { return Object{Names: []string{name}, Args: args} }
	own := func(name string) Object { return Object{Names: []string{name}, Owned: true} }
	to := func(port uint16) Object {
		return Object{Socket: &Socket{Protocols: []Protocol{TCP}, Remote: Endpoint{Addr: netip.MustParseAddr("192.0.2.1"), Port: port}}}
	}
	needs := func(name string) Object { return Object{Capability: capNamed(name)} }
	kubearmor := policy(Block, capability(Allow, "CAP_CHOWN"), file(Allow, "/a"))
	kubearmor[0].Postures = map[Class]Action{Capability: Audit}
	nginx := Subject{Programs: []string{"/usr/sbin/nginx"}}

	for _, tt := range []struct {
		quote    string
		policies []Policy
		subject  Subject
		op       Operation
		object   Object
		want     Action
		rule     string
		other    bool
	}{
		{"owner_only = true lets the file's owner through", policy(Block, owner(file(Block, "/a"))), nginx, OpWrite, own("/a"), Allow, "", false},
		{"owner_only: and nobody else", policy(Block, owner(file(Block, "/a"))), nginx, OpWrite, named("/a"), Block, "p/file.a", false},
		{"owner_only: an audit rule does not log the owner", policy(Block, owner(file(Audit, "/a"))), nginx, OpRead, own("/a"), Allow, "", false},
		{"owner_only: an allow rule is for the owner", policy(Block, owner(file(Allow, "/a"))), nginx, OpRead, own("/a"), Allow, "p/file.a", false},
		{"owner_only: an allow rule for nobody else", policy(Block, owner(file(Allow, "/a"))), nginx, OpRead, named("/a"), Block, "p/file.a", true},
		{"owner_only on programs", policy(Block, owner(exec(Block, "/a"))), nginx, OpExec, own("/a"), Allow, "", false},

		{"within limits an allow-list to a subtree", policy(Block, within(file(Allow, "/srv/app/x"), "/srv/app/")), nginx, OpRead, named("/etc/passwd"), Allow, "", false},
		{"within: inside, the list refuses", policy(Block, within(file(Allow, "/srv/app/x"), "/srv/app/")), nginx, OpRead, named("/srv/app/y"), Block, "p/file.a", true},
		{"within: inside, the list allows", policy(Block, within(file(Allow, "/srv/app/x"), "/srv/app/")), nginx, OpRead, named("/srv/app/x"), Allow, "p/file.a", false},
		{"within: one of the file's names is enough", policy(Block, within(file(Allow, "/srv/app/x"), "/srv/app/")), nginx, OpRead, Object{Names: []string{"/etc/a", "/srv/app/y"}}, Block, "p/file.a", true},
		{"within is of one rule: another makes a list everywhere", policy(Block, within(file(Allow, "/srv/app/x"), "/srv/app/"), file(Allow, "/etc/")), nginx, OpRead, named("/var/x"), Block, "p/file.b", true},
		{"within does not stop a rule from allowing elsewhere", policy(Block, within(file(Allow, "/etc/x"), "/srv/app/"), file(Allow, "/var/")), nginx, OpRead, named("/etc/x"), Allow, "p/file.a", false},

		{"args narrows it to an argv[0]", policy(Block, exec(Block, "/bin/busybox", "sh", "nc")), nginx, OpExec, named("/bin/busybox", "/bin/sh", "-c", "id"), Block, "p/process.a", false},
		{"args: or applet", policy(Block, exec(Block, "/bin/busybox", "sh")), nginx, OpExec, named("/bin/busybox", "busybox", "sh"), Block, "p/process.a", false},
		{"args: other commands go through", policy(Block, exec(Block, "/bin/busybox", "sh")), nginx, OpExec, named("/bin/busybox", "ls", "sh"), Allow, "", false},
		{"args: what is mapped may be any of them", policy(Block, exec(Block, "/bin/busybox", "sh")), nginx, OpMap, named("/bin/busybox"), Block, "p/process.a", false},
		{"args: no argument at all is no command", policy(Block, exec(Block, "/bin/busybox", "sh")), nginx, OpExec, named("/bin/busybox"), Allow, "", false},
		{"args on an allow rule", policy(Block, exec(Allow, "/bin/busybox", "ls")), nginx, OpExec, named("/bin/busybox", "sh"), Block, "p/process.a", true},

		{"capability rules", policy(Block, capability(Block, "CAP_NET_RAW", "CAP_SYS_ADMIN")), nginx, OpCapability, needs("CAP_SYS_ADMIN"), Block, "p/capability.a", false},
		{"capability rules name no other", policy(Block, capability(Block, "CAP_NET_RAW")), nginx, OpCapability, needs("CAP_CHOWN"), Allow, "", false},
		{"capabilities: an allow-list", policy(Block, capability(Allow, "CAP_NET_RAW")), nginx, OpCapability, needs("CAP_CHOWN"), Block, "p/capability.a", true},
		{"capabilities: only when the acting program is one of these", policy(Block, from(capability(Allow, "CAP_NET_RAW"), "/usr/bin/ping")), nginx, OpCapability, needs("CAP_CHOWN"), Allow, "", false},

		{"system rules", policy(Block, system(Block, OpMount, OpPtrace)), nginx, OpPtrace, Object{}, Block, "p/system.a", false},
		{"system rules name no other", policy(Block, system(Block, OpMount)), nginx, OpPtrace, Object{}, Allow, "", false},
		{"system: an allow-list of audit", policy(Audit, system(Allow, OpMount)), nginx, OpPtrace, Object{}, Audit, "p/system.a", true},

		{"network: block", policy(Block, network(Block, Out, 443)), nginx, OpConnect, to(443), Block, "p/network.a", false},
		{"network: an allow-list is of the whole class", policy(Block, network(Allow, Out, 443)), nginx, OpBind, to(0), Block, "p/network.a", true},
		{"network: one direction allowed", policy(Block, network(Allow, Out, 443)), nginx, OpConnect, to(443), Allow, "p/network.a", false},
		{"network: an object without a socket is no rule's", policy(Block, network(Block, Out)), nginx, OpConnect, Object{}, Allow, "", false},

		{"classes are lists of their own", policy(Block, capability(Allow, "CAP_CHOWN")), nginx, OpRead, named("/a"), Allow, "", false},
		{"postures: otherwise by class", kubearmor, nginx, OpCapability, needs("CAP_KILL"), Audit, "p/capability.a", true},
		{"postures: other classes keep otherwise", kubearmor, nginx, OpRead, named("/b"), Block, "p/file.b", true},
	} {
		t.Run(tt.quote, func(t *testing.T) {
			d := Decide(tt.policies, tt.subject, tt.op, tt.object)
			rule := ""
			if d.Rule != nil {
				rule = d.Rule.ID()
			}
			if d.Action != tt.want || rule != tt.rule || d.Otherwise != tt.other {
				t.Errorf("got %s by %q, otherwise %t (%s)\nwant %s by %q, %t", d.Action, rule, d.Otherwise, d.Reason, tt.want, tt.rule, tt.other)
			}
		})
	}
}

func TestOperations(t *testing.T) {
	seen := 0
	for c := Process; c <= System; c++ {
		for _, o := range Operations(c) {
			seen++
			if got, ok := ParseOperation(o.String()); !ok || got != o || o.Class() != c {
				t.Errorf("ParseOperation(%s) = %s of %s", o, got, got.Class())
			}
		}
	}
	if seen != int(OpReadProcEnviron) {
		t.Errorf("%d operations", seen)
	}
	if o := Operation(0); o.Valid() || o.Class() != 0 {
		t.Error("the zero operation is valid")
	}
}

// A lock-out depends on who is confined: the same rules for others are none.
func TestLockOutsBySelector(t *testing.T) {
	at := func(texts ...string) []Pattern { return patterns(t, texts...) }
	ids := func(first, last uint32) []IDs { return []IDs{{First: first, Last: last}} }
	rules := []Rule{
		{Class: Process, Name: "shell", Action: Block, Access: Exec, Path: at("/bin/bash")},
		{Class: Process, Name: "udevd", Action: Block, Access: Exec, Path: at("/usr/lib/systemd/systemd-udevd")},
		{Class: Capability, Name: "chroot", Action: Block, Capabilities: []Cap{capNamed("CAP_SYS_CHROOT")}},
		{Class: Capability, Name: "harmless", Action: Block, Capabilities: []Cap{capNamed("CAP_NET_RAW"), capNamed("CAP_WAKE_ALARM")}},
		{Class: System, Name: "mount", Action: Block, Operations: []Operation{OpKexec, OpMount}},
		{Class: System, Name: "nginx", Action: Block, Operations: []Operation{OpMount}, From: at("/usr/sbin/nginx")},
		{Class: Network, Name: "ssh", Action: Block, Direction: In, Protocol: []Protocol{TCP}, Ports: []PortRange{{22, 22}}},
		{Class: Network, Name: "web", Action: Block, Direction: In, Protocol: []Protocol{TCP}, Ports: []PortRange{{80, 80}}},
		{Class: File, Name: "audited", Action: Audit, Access: Read, Path: at("/etc/shadow")},
	}
	for _, tt := range []struct {
		name     string
		selector Selector
		want     []string
	}{
		{"host", Selector{Host: true}, []string{"shell", "udevd", "chroot", "mount", "ssh"}},
		{"everything", Selector{Everything: true}, []string{"shell", "udevd", "chroot", "mount", "ssh"}},
		{"containers", Selector{Container: &ContainerSelector{}}, nil},
		{"containers' root", Selector{Container: &ContainerSelector{}, User: ids(0, 0)}, nil},
		{"root", Selector{User: ids(0, 0)}, []string{"shell", "udevd", "chroot", "mount", "ssh"}},
		{"others", Selector{User: ids(1, 60000)}, nil},
		{"root's login", Selector{LoginUser: ids(0, 0)}, []string{"shell"}},
		{"somebody's login", Selector{LoginUser: ids(1000, 1000)}, nil},
		{"sshd", Selector{Unit: ParseGlobs("ssh*.service")}, []string{"shell", "chroot", "mount", "ssh"}},
		{"PID 1", Selector{Unit: ParseGlobs("init.scope")}, []string{"mount", "ssh"}},
		{"udevd", Selector{Unit: ParseGlobs("systemd-udevd.service")}, []string{"udevd", "mount"}},
		{"a web server", Selector{Unit: ParseGlobs("nginx.service")}, nil},
		{"every unit", Selector{Unit: ParseGlobs("*")}, []string{"shell", "udevd", "chroot", "mount", "ssh"}},
		{"nobody yet", Selector{}, []string{"shell", "udevd", "chroot", "mount", "ssh"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := Policy{Name: "p", AppliesTo: tt.selector, Rules: rules}
			var got []string
			for _, l := range p.LockOuts() {
				if len(l.Names) == 0 || l.What == "" || l.Unlisted || l.Mild {
					t.Errorf("%+v", l)
				}
				got = append(got, l.Rule.Name)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLockOutLists(t *testing.T) {
	allow := func(texts ...string) Rule {
		return Rule{Class: Process, Name: "list", Action: Allow, Access: Exec, Path: patterns(t, texts...)}
	}
	within := allow("/srv/app/x")
	within.Within = patterns(t, "/srv/app/")
	nginx := allow("/bin/true")
	nginx.From = patterns(t, "/usr/sbin/nginx")
	sshd := Selector{Unit: ParseGlobs("ssh.service")}
	for _, tt := range []struct {
		name   string
		policy Policy
		want   string // the first name that is missing
	}{
		{"sshd's own unit", Policy{AppliesTo: sshd, Otherwise: Block, Rules: []Rule{allow("/usr/bin/true")}}, "/usr/lib/systemd/systemd-executor"},
		{"complete", Policy{AppliesTo: sshd, Otherwise: Block, Rules: []Rule{allow("/usr/lib/systemd/*", "/usr/sbin/sshd", "/bin/bash")}}, ""},
		{"what is audited is not refused", Policy{AppliesTo: sshd, Otherwise: Block, Rules: []Rule{allow("/usr/lib/systemd/*", "/usr/sbin/sshd"),
			{Class: Process, Name: "z", Action: Audit, Access: Exec, Path: patterns(t, "/bin/*")}}}, ""},
		{"audit", Policy{AppliesTo: sshd, Otherwise: Audit, Rules: []Rule{allow("/bin/true")}}, ""},
		{"posture", Policy{AppliesTo: sshd, Otherwise: Block, Postures: map[Class]Action{Process: Audit}, Rules: []Rule{allow("/bin/true")}}, ""},
		{"within", Policy{AppliesTo: sshd, Otherwise: Block, Rules: []Rule{within}}, ""},
		{"from others", Policy{AppliesTo: sshd, Otherwise: Block, Rules: []Rule{nginx}}, ""},
		{"another unit", Policy{AppliesTo: Selector{Unit: ParseGlobs("nginx.service")}, Otherwise: Block, Rules: []Rule{allow("/bin/true")}}, ""},
		{"containers", Policy{AppliesTo: Selector{Container: &ContainerSelector{}}, Otherwise: Block, Rules: []Rule{allow("/bin/true")}}, ""},
		{"the whole host", Policy{AppliesTo: Selector{Host: true}, Otherwise: Block, Dangerous: true, Rules: []Rule{allow("/usr/lib/systemd/**")}}, "/usr/bin/dbus-daemon"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			for _, l := range tt.policy.LockOuts() {
				if !l.Unlisted || got != "" {
					t.Errorf("%+v", l)
				}
				got = l.Names[0]
			}
			if got != tt.want {
				t.Errorf("%q is missing, want %q", got, tt.want)
			}
		})
	}
}
