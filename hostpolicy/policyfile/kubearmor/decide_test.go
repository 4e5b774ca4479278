package kubearmor

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// try is one access and what becomes of it.
type try struct {
	subject hostpolicy.Subject
	op      hostpolicy.Operation
	object  hostpolicy.Object
	want    hostpolicy.Action
}

const (
	block = hostpolicy.Block
	audit = hostpolicy.Audit
	allow = hostpolicy.Allow
)

// shop is a program in a container with the label app=shop.
func shop(program string) hostpolicy.Subject { return in(program, "app=shop") }

func in(program string, labels ...string) hostpolicy.Subject {
	c := &hostpolicy.Container{ID: "1", Name: "web", Image: "nginx", Labels: make(map[string]string)}
	for _, l := range labels {
		key, value, _ := strings.Cut(l, "=")
		c.Labels[key] = value
	}
	return hostpolicy.Subject{Programs: []string{program}, Container: c}
}

func onHost(program string) hostpolicy.Subject {
	return hostpolicy.Subject{Programs: []string{program}}
}

func file(name string) hostpolicy.Object { return hostpolicy.Object{Names: []string{name}} }

func owned(name string) hostpolicy.Object {
	return hostpolicy.Object{Names: []string{name}, Owned: true}
}

func capability(name string) hostpolicy.Object {
	c, ok := hostpolicy.ParseCap(name)
	if !ok {
		panic(name)
	}
	return hostpolicy.Object{Capability: c}
}

func socket(port uint16, protocols ...hostpolicy.Protocol) hostpolicy.Object {
	return hostpolicy.Object{Socket: &hostpolicy.Socket{Protocols: protocols, Remote: hostpolicy.Endpoint{Port: port}, Local: hostpolicy.Endpoint{Port: port}}}
}

const (
	exec    = hostpolicy.OpExec
	read    = hostpolicy.OpRead
	write   = hostpolicy.OpWrite
	connect = hostpolicy.OpConnect
	bind    = hostpolicy.OpBind
	mksock  = hostpolicy.OpSocket
	capable = hostpolicy.OpCapability
	tcp     = hostpolicy.TCP
	udp     = hostpolicy.UDP
)

func decideAll(t *testing.T, policies []hostpolicy.Policy, tries []try) {
	t.Helper()
	for i, a := range tries {
		got := hostpolicy.Decide(policies, a.subject, a.op, a.object)
		if got.Action != a.want {
			t.Errorf("%d: %s %v by %v: %s, want %s: %s", i, a.op, a.object, a.subject.Programs, got.Action, a.want, got.Reason)
		}
	}
}

func fixture(t *testing.T, name string, o Options) []hostpolicy.Policy {
	t.Helper()
	content, err := os.ReadFile("testdata/load/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	r := Load(name+".yaml", content, o)
	if hasError(r.Problems) || len(r.Policies) == 0 {
		t.Fatalf("does not load: %v", r.Problems)
	}
	return r.Policies
}

// TestForms: the six forms of a practitioner's article do what their authors
// meant.
func TestForms(t *testing.T) {
	for name, tries := range map[string][]try{
		// Traffic to port 4444 over TCP, out or in, is blocked.
		"good-form-1-port": {
			{shop("/bin/nc"), connect, socket(4444, tcp), block},
			{shop("/bin/nc"), bind, socket(4444, tcp), block},
			{shop("/bin/nc"), connect, socket(443, tcp), allow},
			{shop("/bin/nc"), connect, socket(4444, udp), allow},
			{shop("/bin/nc"), connect, socket(4444, hostpolicy.Unix), allow},
			{shop("/bin/nc"), mksock, socket(0, tcp), allow},
			{in("/bin/nc", "app=blog"), connect, socket(4444, tcp), allow},
			{in("/bin/nc", "app=shop", hostpolicy.NamespaceLabel+"=default"), connect, socket(4444, tcp), block},
			{in("/bin/nc", "app=shop", hostpolicy.NamespaceLabel+"=other"), connect, socket(4444, tcp), allow},
			{onHost("/bin/nc"), connect, socket(4444, tcp), allow},
		},
		"good-form-2-audit": {
			{shop("/bin/sh"), exec, file("/usr/bin/perl"), audit},
			{shop("/bin/sh"), exec, file("/usr/bin/perl5"), allow},
			{shop("/bin/sh"), read, file("/usr/bin/perl"), allow},
		},
		// Nothing below the directory is read or written, by any process of this host.
		"good-form-3-host": {
			{onHost("/bin/cat"), read, file("/srv/scratch/a/b"), block},
			{onHost("/bin/cat"), write, file("/srv/scratch/a"), block},
			{onHost("/bin/ls"), read, file("/srv/scratch"), block},
			{onHost("/bin/cat"), read, file("/srv/scratchy"), allow},
			{onHost("/bin/sh"), exec, file("/srv/scratch/a"), allow},
			{shop("/bin/cat"), read, file("/srv/scratch/a"), allow},
		},
		"warn-form-4-no-version": {
			{shop("/bin/sh"), exec, file("/usr/bin/wget"), block},
			{in("/bin/sh"), exec, file("/usr/bin/wget"), allow},
		},
		"warn-form-5-values-map": {
			{shop("/bin/sh"), exec, file("/usr/bin/wget"), block},
			{in("/bin/sh", "app=shop", hostpolicy.NamespaceLabel+"=any"), exec, file("/usr/bin/wget"), block},
			{in("/bin/sh", "app=blog"), exec, file("/usr/bin/wget"), allow},
		},
		// Programs may be read and run, and not changed.
		"good-form-6-integrity": {
			{shop("/bin/sh"), write, file("/usr/sbin/nologin"), block},
			{shop("/bin/sh"), write, file("/boot/grub/grub.cfg"), block},
			{shop("/bin/sh"), read, file("/usr/sbin/nologin"), allow},
			{shop("/bin/sh"), exec, file("/usr/sbin/nologin"), allow},
			{shop("/bin/sh"), write, file("/usr/bin/x"), allow},
		},
	} {
		t.Run(name, func(t *testing.T) { decideAll(t, fixture(t, name, here), tries) })
	}
}

// TestFixtures: what the other forms mean.
func TestFixtures(t *testing.T) {
	bash, dash := shop("/usr/bin/bash"), shop("/usr/bin/dash")
	for name, tries := range map[string][]try{
		"good-paths": {
			{bash, exec, file("/usr/bin/["), block},
			{bash, exec, file("/usr/bin/a"), allow},
			{bash, exec, file("/opt/x/nmap"), block}, // execname, anywhere
			{bash, exec, owned("/opt/x/nmap"), allow},
			{bash, exec, file("/nmap"), block},
			{bash, exec, file("/opt/nmap/x"), allow},
			{bash, exec, file("/usr/bin/id"), block},
			{dash, exec, file("/usr/bin/id"), block},
			{shop("/bin/zsh"), exec, file("/usr/bin/id"), allow},
			{bash, exec, file("/tmp/a/b"), block},
			{bash, exec, file("/opt/tools/a"), block},
			{bash, exec, file("/opt/tools/a/b"), allow},
			{bash, exec, file("/init"), block},
			{bash, exec, file("/home/a/bin/x/y"), block},
			{bash, exec, file("/home/a/b/bin/x"), allow},
			{bash, exec, file("/srv/b/run-7"), block},
			{bash, exec, file("/opt/My App/run me"), block},
			{bash, read, file("/etc/passwd"), allow},
			{bash, write, file("/etc/passwd"), block},
			{bash, read, file("/etc/key"), block},
			{bash, read, owned("/etc/key"), allow},
			{bash, write, owned("/etc/key"), block},
			{bash, write, owned("/etc/mine"), allow},
			{bash, read, file("/etc/mine"), block},
			{bash, read, file("/etc/ssl/private/a/b"), block}, // from the directory of bash
			{shop("/usr/local/bin/a/b"), read, file("/etc/ssl/private/x"), block},
			{shop("/bin/sh"), read, file("/etc/ssl/private/x"), allow},
			{bash, read, file("/root/.ssh"), block}, // an entry of the directory
			{bash, read, file("/root/.ssh/id"), allow},
			{bash, read, file("/root"), block}, // listing it
			{bash, read, file("/var/log/a/b.log"), block},
			{bash, read, file("/var/log/a.logs"), allow},
			{bash, read, file("/etc/ab.conf"), block},
			{bash, read, file("/etc/abc.conf"), allow},
		},
		"good-levels": {
			{bash, exec, file("/bin/a"), block},
			{bash, exec, file("/bin/b"), audit},
			{bash, read, file("/etc/a"), audit},
			{bash, read, file("/etc/b"), block},
			{bash, capable, capability("CAP_NET_RAW"), audit},
		},
		// The default posture: the rest is logged.
		"good-allow": {
			{bash, exec, file("/usr/bin/app"), allow},
			{bash, exec, file("/bin/sh"), allow},
			{bash, exec, file("/usr/lib/app/x/y"), allow},
			{bash, exec, file("/usr/bin/curl"), audit},
			{bash, read, file("/etc/hosts"), allow},
			{bash, write, file("/etc/hosts"), audit},
			{bash, read, file("/etc/shadow"), block},
			{bash, read, owned("/srv/own"), allow},
			{bash, read, file("/srv/own"), audit},
			{bash, write, owned("/srv/own"), audit},
			{bash, connect, socket(1, tcp), allow},
		},
		// An Allow rule with fromSource makes the class a list for everybody.
		"good-allow-from": {
			{shop("/bin/bash"), exec, file("/bin/sleep"), allow},
			{shop("/bin/bash"), exec, file("/bin/ls"), audit},
			{shop("/bin/zsh"), exec, file("/bin/sleep"), audit},
			{shop("/bin/zsh"), exec, file("/bin/ls"), audit},
			{shop("/usr/bin/app"), read, file("/etc/app.conf"), allow},
			{shop("/bin/zsh"), read, file("/etc/app.conf"), audit},
			{shop("/bin/zsh"), read, file("/etc/open.conf"), allow},
			{shop("/usr/bin/curl"), connect, socket(1, tcp), allow},
			{shop("/usr/bin/curl"), connect, socket(1, udp), audit},
			{shop("/usr/bin/wget"), connect, socket(1, tcp), audit},
			{shop("/usr/bin/wget"), connect, socket(1, hostpolicy.Unix), allow},
			{shop("/usr/bin/ping"), capable, capability("CAP_NET_RAW"), allow},
			{shop("/usr/sbin/ip"), capable, capability("CAP_NET_RAW"), allow},
			{shop("/usr/sbin/ip"), capable, capability("CAP_NET_ADMIN"), allow},
			{shop("/usr/bin/ping"), capable, capability("CAP_NET_ADMIN"), audit},
			{shop("/bin/zsh"), capable, capability("CAP_NET_RAW"), audit},
			{shop("/usr/bin/ping"), capable, capability("CAP_CHOWN"), audit},
		},
		// A rule with fromSource counts before one without.
		"good-override": {
			{shop("/bin/app"), exec, file("/opt/tool"), allow},
			{shop("/bin/app"), exec, file("/opt/other"), block},
			{shop("/bin/zsh"), exec, file("/opt/tool"), block},
			{shop("/bin/zsh"), exec, file("/bin/ls"), audit},
			{shop("/bin/app"), read, file("/etc/app/x"), allow},
			{shop("/bin/zsh"), read, file("/etc/app/x"), block},
			{shop("/bin/app"), write, file("/srv/data/x"), allow},
			{shop("/bin/app"), read, file("/srv/data"), allow},
			{shop("/bin/app"), write, file("/srv/data/x/y"), block},
			{shop("/bin/app"), write, file("/srv/x"), block},
			{shop("/bin/zsh"), write, file("/srv/data/x"), block},
			{shop("/bin/reader"), read, file("/srv/data/x"), allow},
			{shop("/bin/reader"), write, file("/srv/data/x"), block},
			{shop("/bin/owner"), write, owned("/srv/own/x"), allow},
			{shop("/bin/owner"), write, file("/srv/own/x"), block},
			{shop("/bin/owner"), write, owned("/srv/x"), block},
			{shop("/bin/zsh"), read, owned("/srv/own/x"), block},
			{shop("/bin/app"), connect, socket(1, tcp), allow},
			{shop("/bin/app"), connect, socket(1, udp), block},
			{shop("/bin/zsh"), connect, socket(1, tcp), block},
			{shop("/bin/app"), capable, capability("CAP_NET_RAW"), allow},
			{shop("/bin/app"), capable, capability("CAP_NET_ADMIN"), block},
			{shop("/bin/zsh"), capable, capability("CAP_NET_RAW"), block},
		},
		"good-network": {
			{bash, connect, socket(1, tcp), block},
			{bash, bind, socket(1, tcp), block},
			{bash, connect, socket(1, udp), block},
			{bash, connect, socket(1, hostpolicy.Unix), audit}, // all, and not tcp
			{bash, mksock, socket(0, hostpolicy.ICMP), block},
			{bash, mksock, socket(0, hostpolicy.ICMPv6, hostpolicy.Raw), block},
			{shop("/usr/bin/ping"), mksock, socket(0, hostpolicy.Raw), block},
			{bash, mksock, socket(0, hostpolicy.Raw), audit},
		},
		"warn-capabilities": {
			{bash, capable, capability("CAP_NET_RAW"), block},
			{bash, capable, capability("CAP_CHOWN"), block},
			{bash, capable, capability("CAP_MKNOD"), block},
			{bash, capable, capability("CAP_SYS_ADMIN"), block},
			{bash, capable, capability("CAP_KILL"), allow},
		},
		"good-host-capabilities": {
			{onHost("/usr/bin/python3"), capable, capability("CAP_SYS_MODULE"), block},
			{onHost("/usr/bin/kmod"), capable, capability("CAP_SYS_MODULE"), allow},
			{onHost("/usr/bin/kmod"), capable, capability("CAP_SYS_RAWIO"), block},
			{bash, capable, capability("CAP_SYS_RAWIO"), allow},
		},
		"good-presets": {
			{bash, hostpolicy.OpFilelessExec, hostpolicy.Object{}, block},
			{bash, exec, file("/dev/shm/x"), block},
			{bash, hostpolicy.OpAnonymousExec, hostpolicy.Object{}, audit},
			{bash, hostpolicy.OpReadProcEnviron, hostpolicy.Object{}, block},
		},
		"warn-packets-allow": {
			{onHost("/bin/a"), connect, reach("192.0.2.9", 443, tcp), allow},
			{onHost("/bin/a"), connect, reach("192.0.3.9", 443, tcp), audit},
			{onHost("/bin/a"), connect, reach("127.0.0.1", 80, udp), allow},
			{onHost("/bin/a"), connect, socket(0, hostpolicy.Unix), allow},
			{onHost("/bin/a"), mksock, socket(0, hostpolicy.Netlink), allow},
			{onHost("/bin/a"), bind, socket(80, tcp), allow}, // for connections from the machine itself
			{onHost("/bin/a"), hostpolicy.OpAccept, reach("127.0.0.1", 80, tcp), allow},
			{onHost("/bin/a"), hostpolicy.OpAccept, reach("192.0.2.9", 80, tcp), audit},
			{onHost("/bin/a"), bind, socket(80, udp), audit},
		},
		"good-selector-expressions": {
			{in("/bin/sh", "app=shop", "tier=front"), exec, file("/usr/bin/curl"), block},
			{in("/bin/sh", "app=shop", "tier=back", "debug=false"), exec, file("/usr/bin/curl"), block},
			{in("/bin/sh", "app=shop", "tier=front", "debug=true"), exec, file("/usr/bin/curl"), allow},
			{in("/bin/sh", "app=shop", "tier=front", "stage=test"), exec, file("/usr/bin/curl"), allow},
			{shop("/bin/sh"), exec, file("/usr/bin/curl"), allow},
			{in("/bin/sh", "tier=front"), exec, file("/usr/bin/curl"), allow},
		},
		"good-selector-alternatives": {
			{shop("/bin/sh"), exec, file("/usr/bin/curl"), block},
			{in("/bin/sh", "role=web"), exec, file("/usr/bin/curl"), block},
			{in("/bin/sh", "role=db"), exec, file("/usr/bin/curl"), allow},
		},
		"warn-cluster-namespaces": {
			{in("/bin/sh", hostpolicy.NamespaceLabel+"=blog"), exec, file("/usr/bin/curl"), audit},
			{in("/bin/sh", hostpolicy.NamespaceLabel+"=mail"), exec, file("/usr/bin/curl"), allow},
			{in("/bin/sh", hostpolicy.NamespaceLabel+"=kube-system"), exec, file("/usr/bin/curl"), allow},
			{in("/bin/sh", "app=db"), exec, file("/usr/bin/curl"), allow},
			{in("/bin/sh"), exec, file("/usr/bin/curl"), audit},
		},
	} {
		t.Run(name, func(t *testing.T) { decideAll(t, fixture(t, name, here), tries) })
	}
}

func reach(address string, port uint16, p hostpolicy.Protocol) hostpolicy.Object {
	a, err := hostpolicy.ParseAddress(address)
	if err != nil {
		panic(err)
	}
	return hostpolicy.Object{Socket: &hostpolicy.Socket{Protocols: []hostpolicy.Protocol{p}, Remote: hostpolicy.Endpoint{Addr: a.Prefix.Addr(), Port: port}}}
}

// TestPosture: the setting decides what becomes of the rest, by class.
func TestPosture(t *testing.T) {
	o := here
	o.Posture = Posture{File: block, Capabilities: block}
	bash := shop("/usr/bin/bash")
	policies := fixture(t, "good-allow-from", o)
	decideAll(t, policies, []try{
		{bash, exec, file("/bin/ls"), block},
		{bash, read, file("/etc/hosts"), block},
		{bash, connect, socket(1, udp), audit},
		{bash, capable, capability("CAP_CHOWN"), block},
	})
	if policies[0].Dangerous {
		t.Error("a policy for containers is dangerous")
	}
	hosts := fixture(t, "warn-host-allow", o)
	decideAll(t, hosts, []try{
		{onHost("/usr/bin/bash"), exec, file("/usr/bin/make"), allow},
		{onHost("/usr/bin/zsh"), exec, file("/usr/bin/make"), block},
		{onHost("/usr/bin/zsh"), connect, socket(1, udp), audit},
	})
	if !hosts[0].Dangerous {
		t.Error("a list that blocks on the whole host is not dangerous")
	}
	o.Posture = Posture{Network: block}
	if hosts := fixture(t, "warn-host-allow", o); !hosts[0].Dangerous || hosts[0].OtherwiseIn(hostpolicy.Network) != block || hosts[0].OtherwiseIn(hostpolicy.Process) != audit {
		t.Errorf("otherwise %s, postures %v", hosts[0].Otherwise, hosts[0].Postures)
	}
}

// TestNodes: which machines a host policy is for.
func TestNodes(t *testing.T) {
	for _, c := range []struct {
		labels string
		here   bool
	}{
		{`kubernetes.io/hostname: build-7`, true},
		{`kubernetes.io/hostname: build-70`, false},
		{`kubearmor.io/hostname: build-6, build-7`, true},
		{`kubearmor.io/hostname: "*"`, true},
		{`kubearmor.io/hostnamereg: build-*`, true},
		{`kubearmor.io/hostnamereg: build-[0-9]`, true},
		{`kubearmor.io/hostnamereg: build`, false},
		{`kubearmor.io/hostnamereg: .*-7`, true},
		{`kubernetes.io/os: linux`, true},
		{`kubernetes.io/os: windows`, false},
		{`{zone: north, kubernetes.io/hostname: build-7}`, true},
		{`{zone: south, kubernetes.io/hostname: build-7}`, false},
		{`rack: "1"`, false},
	} {
		content := fmt.Appendf(nil, "apiVersion: security.kubearmor.com/v1\nkind: KubeArmorHostPolicy\nmetadata: {name: x}\nspec:\n  nodeSelector:\n    matchLabels:\n      %s\n  process: {matchPaths: [{path: /a}]}\n", c.labels)
		r := Load("x.yaml", content, here)
		if len(r.Problems) > 0 || (len(r.Policies) == 1) != c.here || (len(r.Inactive) == 0) != c.here {
			t.Errorf("%s: %d policies, inactive %v, problems %v", c.labels, len(r.Policies), r.Inactive, r.Problems)
		}
		o := here
		o.AnyNode = true
		if r := Load("x.yaml", content, o); len(r.Policies) != 1 || len(r.Inactive) > 0 {
			t.Errorf("%s: not taken for any node: %v", c.labels, r)
		}
	}
}
