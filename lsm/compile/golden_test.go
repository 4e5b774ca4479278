package compile

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hostarmor/hostarmor/hostpolicy"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// ruleText reads a rule from its fields: "file.keys block rw /etc/x -/etc/x/y
// <from !except_from", with the policy in front: "p/file.keys".
func ruleText(t *testing.T, text string) hostpolicy.Rule {
	t.Helper()
	fields := strings.Fields(text)
	var r hostpolicy.Rule
	policy, rest, _ := strings.Cut(fields[0], "/")
	class, name, _ := strings.Cut(rest, ".")
	r.Policy, r.Name = policy, name
	r.Class, _ = hostpolicy.ParseClass(class)
	if err := r.Action.UnmarshalText([]byte(fields[1])); err != nil {
		t.Fatal(err)
	}
	for _, c := range fields[2] {
		r.Access |= map[rune]hostpolicy.Access{'r': hostpolicy.Read, 'w': hostpolicy.Write, 'x': hostpolicy.Exec}[c]
	}
	for _, field := range fields[3:] {
		list := &r.Path
		switch field[0] {
		case '-':
			list = &r.Except
		case '<':
			list = &r.From
		case '!':
			list = &r.ExceptFrom
		}
		p, err := hostpolicy.ParsePattern(strings.TrimLeft(field, "-<!"))
		if err != nil {
			t.Fatal(err)
		}
		*list = append(*list, p)
	}
	return r
}

func TestGolden(t *testing.T) {
	for _, test := range []struct {
		name      string
		otherwise hostpolicy.Action
		dangerous bool
		rules     []string
	}{
		{name: "empty"},
		{name: "literals", rules: []string{
			"p/process.shells block x /bin/sh /bin/bash",
			"p/file.shadow block rw /etc/shadow",
			"p/file.log audit r /etc/shadow /etc/passwd",
		}},
		{name: "directory", rules: []string{
			"p/file.certs block w /etc/ssl/ -/etc/ssl/README",
		}},
		{name: "globs", rules: []string{
			"p/process.lib block x /usr/lib/**.so",
			"p/file.python block r /usr/bin/python[23]*",
			"p/file.home block rw /home/*/.ssh/",
		}},
		{name: "floating", rules: []string{
			"p/file.key block r /**/id_rsa",
			"p/file.tmp block w /tmp/**",
		}},
		{name: "from", rules: []string{
			"p/file.host-keys block r /etc/ssh/*_key !/usr/sbin/sshd",
			"p/file.python block w /srv/ </usr/bin/python3*",
		}},
		{name: "allow-list", otherwise: hostpolicy.Audit, dangerous: true, rules: []string{
			"p/process.programs allow x /usr/bin/* /usr/sbin/",
			"p/file.web allow r /srv/www/ </usr/sbin/nginx",
			"p/file.secret block r /srv/www/.git/",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := hostpolicy.Policy{
				Name: "p", AppliesTo: hostpolicy.Selector{Host: true},
				Otherwise: max(test.otherwise, hostpolicy.Block), Dangerous: test.dangerous,
			}
			for _, text := range test.rules {
				p.Rules = append(p.Rules, ruleText(t, text))
			}
			golden(t, test.name, Dump(mustCompile(t, []hostpolicy.Policy{p})))
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// The tables of what is beside names: users, units and containers, owners and
// commands, scopes, sockets, capabilities and operations.
func TestGoldenTables(t *testing.T) {
	address := func(text string) hostpolicy.Address {
		a, err := hostpolicy.ParseAddress(text)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	with := func(text string, change func(r *hostpolicy.Rule)) hostpolicy.Rule {
		r := ruleText(t, text)
		change(&r)
		return r
	}
	host := hostpolicy.Selector{Host: true}
	container := hostpolicy.Selector{Container: &hostpolicy.ContainerSelector{
		Name: hostpolicy.ParseGlobs("web-*"), Labels: []hostpolicy.LabelMatch{{Key: "app", Values: hostpolicy.ParseGlobs("web")}},
	}}
	for _, test := range []struct {
		name     string
		policies []hostpolicy.Policy
		bind     hostpolicy.Subject // where it is a unit's or a container's
	}{
		{name: "owner-and-args", policies: []hostpolicy.Policy{{Name: "p", AppliesTo: host, Otherwise: hostpolicy.Block, Rules: []hostpolicy.Rule{
			with("p/file.keys block rw /home/*/.ssh/", func(r *hostpolicy.Rule) { r.OwnerOnly = true }),
			with("p/process.sh block x /bin/busybox", func(r *hostpolicy.Rule) { r.Args = []string{"sh", "ash"} }),
			with("p/process.nc audit x /bin/busybox", func(r *hostpolicy.Rule) { r.Args = []string{"busybox", "nc"} }),
		}}}},
		{name: "within", policies: []hostpolicy.Policy{{Name: "p", AppliesTo: host, Otherwise: hostpolicy.Block, Dangerous: true, Rules: []hostpolicy.Rule{
			with("p/file.pages allow r /srv/app/pages/", func(r *hostpolicy.Rule) { r.Within = fileRule("", "", "/srv/app/").Path }),
			with("p/process.app allow x /srv/app/bin/*", func(r *hostpolicy.Rule) { r.Within = fileRule("", "", "/srv/app/bin/").Path }),
		}}}},
		{name: "users", policies: []hostpolicy.Policy{
			{Name: "www", AppliesTo: hostpolicy.Selector{User: []hostpolicy.IDs{{First: 33, Last: 33}}}, Otherwise: hostpolicy.Block, Rules: []hostpolicy.Rule{
				ruleText(t, "www/file.passwd block r /etc/passwd"),
			}},
			{Name: "people", AppliesTo: hostpolicy.Selector{Host: true, LoginUser: []hostpolicy.IDs{{First: 1000, Last: 1999}}}, Otherwise: hostpolicy.Audit, Rules: []hostpolicy.Rule{
				ruleText(t, "people/file.passwd audit w /etc/passwd </usr/bin/vi"),
			}},
		}},
		{name: "unit", bind: hostpolicy.Subject{Units: []string{"nginx.service"}}, policies: []hostpolicy.Policy{
			{Name: "host", AppliesTo: host, Otherwise: hostpolicy.Audit, Rules: []hostpolicy.Rule{ruleText(t, "host/file.shadow block r /etc/shadow")}},
			{Name: "nginx", AppliesTo: hostpolicy.Selector{Unit: hostpolicy.ParseGlobs("nginx.service")}, Otherwise: hostpolicy.Block, Rules: []hostpolicy.Rule{
				ruleText(t, "nginx/file.etc block w /etc/"),
				{Policy: "nginx", Name: "ping", Class: hostpolicy.Capability, Action: hostpolicy.Allow, Capabilities: []hostpolicy.Cap{10, 13}},
			}},
		}},
		{name: "container", bind: hostpolicy.Subject{Container: &hostpolicy.Container{Name: "web-1", Labels: map[string]string{"app": "web"}}}, policies: []hostpolicy.Policy{
			{Name: "host", AppliesTo: host, Otherwise: hostpolicy.Audit, Rules: []hostpolicy.Rule{ruleText(t, "host/file.shadow block r /etc/shadow")}},
			{Name: "all", AppliesTo: hostpolicy.Selector{Everything: true}, Otherwise: hostpolicy.Audit, Rules: []hostpolicy.Rule{ruleText(t, "all/file.shadow audit w /etc/shadow")}},
			{Name: "web", AppliesTo: container, Otherwise: hostpolicy.Block, Rules: []hostpolicy.Rule{
				ruleText(t, "web/process.nginx allow x /usr/sbin/nginx"),
				{Policy: "web", Name: "lock", Class: hostpolicy.System, Action: hostpolicy.Block, Operations: []hostpolicy.Operation{hostpolicy.OpMount, hostpolicy.OpBPF}},
			}},
		}},
		{name: "network", policies: []hostpolicy.Policy{{Name: "p", AppliesTo: host, Otherwise: hostpolicy.Audit, Rules: []hostpolicy.Rule{
			{Policy: "p", Name: "egress", Class: hostpolicy.Network, Action: hostpolicy.Block, Direction: hostpolicy.Out, Protocol: []hostpolicy.Protocol{hostpolicy.TCP},
				Address: []hostpolicy.Address{address("10.0.0.0/8"), address("2001:db8::/32"), address("*.evil.example")}},
			{Policy: "p", Name: "inner", Class: hostpolicy.Network, Action: hostpolicy.Audit, Direction: hostpolicy.Out,
				Address: []hostpolicy.Address{address("10.1.0.0/16"), address("evil.example")}, Ports: []hostpolicy.PortRange{{First: 80, Last: 90}, {First: 85, Last: 443}}},
			{Policy: "p", Name: "raw", Class: hostpolicy.Network, Action: hostpolicy.Block, Direction: hostpolicy.Out, Protocol: []hostpolicy.Protocol{hostpolicy.Raw, hostpolicy.Packet}},
			{Policy: "p", Name: "web", Class: hostpolicy.Network, Action: hostpolicy.Allow, Direction: hostpolicy.In, Protocol: []hostpolicy.Protocol{hostpolicy.TCP},
				LocalAddress: []hostpolicy.Address{address("192.0.2.1")}, Ports: []hostpolicy.PortRange{{First: 443, Last: 443}}},
		}}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			rs := mustCompile(t, test.policies)
			if places := rs.PlacesOf(test.bind.Container, test.bind.Units); test.bind.Container != nil || len(test.bind.Units) > 0 {
				b, err := Bind(rs, 1, places)
				if err != nil {
					t.Fatal(err)
				}
				rs = b.Join(rs)
			}
			golden(t, test.name, Dump(rs))
		})
	}
}
