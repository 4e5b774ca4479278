package render_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile/render"
)

var update = flag.Bool("update", false, "rewrite the expected results in testdata")

// TestExample: a policy with most keys reads as a person would write it.
func TestExample(t *testing.T) {
	policy := hostpolicy.Policy{
		Name: "web-frontend",
		AppliesTo: hostpolicy.Selector{Container: &hostpolicy.ContainerSelector{
			Name: hostpolicy.ParseGlobs("web-*"), Image: hostpolicy.ParseGlobs("nginx:*", "httpd"),
			Labels: []hostpolicy.LabelMatch{{Key: "app", Values: hostpolicy.ParseGlobs("web")}, {Key: "io.x/tier", Values: hostpolicy.ParseGlobs("a", "b")}},
		}},
		Otherwise: hostpolicy.Audit,
		Rules: []hostpolicy.Rule{
			{Class: hostpolicy.Process, Name: "no-shells", Action: hostpolicy.Block, Access: hostpolicy.Exec, Severity: 8, Tags: []string{"MITRE_T1059"}, Message: `a "shell"`,
				Path: patterns("/bin/sh", "/usr/bin/bash", "/usr/local/bin/**")},
			{Class: hostpolicy.Process, Name: "python3.11", Action: hostpolicy.Block, Access: hostpolicy.Exec, Severity: 8,
				Path: patterns(`/opt/My\ App/\[`), Args: []string{"sh"}},
			{Class: hostpolicy.File, Name: "certs", Action: hostpolicy.Allow, Access: hostpolicy.Write, Severity: 8, Message: "only here",
				Path: patterns("/etc/ssl/private/"), Except: patterns("/etc/ssl/private/README"), From: patterns("/usr/bin/python3*"), OwnerOnly: true, Within: patterns("/etc/")},
			{Class: hostpolicy.Network, Name: "out", Action: hostpolicy.Block, Severity: 8, Direction: hostpolicy.Out,
				Protocol: []hostpolicy.Protocol{hostpolicy.TCP, hostpolicy.UDP}, Address: []hostpolicy.Address{{Domain: "*.evil.example"}, {Prefix: netip.MustParsePrefix("10.0.0.0/8")}},
				Ports: []hostpolicy.PortRange{{First: 1337, Last: 1337}, {First: 8000, Last: 8100}}},
			{Class: hostpolicy.Capability, Name: "many", Action: hostpolicy.Block, Severity: 8, Capabilities: capabilities(8)},
			{Class: hostpolicy.System, Name: "lockdown", Action: hostpolicy.Block, Severity: 8, Operations: []hostpolicy.Operation{hostpolicy.OpKexec}, ExceptFrom: patterns("/sbin/kexec")},
		},
	}
	got := render.TOML(&policy, []render.Note{
		{Text: "From somewhere.\nTwo lines."},
		{Rule: "file.certs", Text: "why \x01 this"},
		{Rule: "file.other", Text: "never seen"},
	})
	const golden = "testdata/example.toml"
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("-want +got, -update rewrites the file:\n%s", diff)
	}
	reread(t, policy)
}

func patterns(texts ...string) []hostpolicy.Pattern {
	var out []hostpolicy.Pattern
	for _, text := range texts {
		p, err := hostpolicy.ParsePattern(text)
		if err != nil {
			panic(err)
		}
		out = append(out, p)
	}
	return out
}

func capabilities(n int) []hostpolicy.Cap {
	var out []hostpolicy.Cap
	for c := range n {
		out = append(out, hostpolicy.Cap(c))
	}
	return out
}

// reread holds the text of a policy to the policy.
func reread(t *testing.T, policy hostpolicy.Policy) {
	t.Helper()
	for i := range policy.Rules {
		policy.Rules[i].Policy = policy.Name
	}
	text := render.TOML(&policy, []render.Note{{Text: "a note"}})
	read, problems := policyfile.Load("other.toml", text, policyfile.Options{LookupUser: lookup})
	for _, p := range problems {
		if p.Severity == hostpolicy.Error {
			t.Fatalf("%s\n%s", p, text)
		}
	}
	if len(read) != 1 {
		t.Fatalf("%d policies of\n%s", len(read), text)
	}
	diff := cmp.Diff(policy, read[0], cmpopts.EquateEmpty(), cmpopts.IgnoreTypes(hostpolicy.Position{}, hostpolicy.Places{}),
		cmp.Comparer(func(a, b hostpolicy.Pattern) bool { return a == b }), cmp.Comparer(func(a, b hostpolicy.Glob) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }))
	if diff != "" {
		t.Fatalf("-policy +read again:\n%s\n%s", diff, text)
	}
}

func lookup(name string) (uint32, bool) {
	uid, ok := map[string]uint32{"www-data": 33, "backup": 34}[name]
	return uid, ok
}

// TestRoundTrip: random valid policies over the whole language read again as
// they were.
func TestRoundTrip(t *testing.T) {
	for seed := range uint64(1000) {
		g := generator{rand.New(rand.NewPCG(seed, 3))}
		reread(t, g.policy())
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

type generator struct{ *rand.Rand }

func (g generator) maybe() bool { return g.IntN(2) == 0 }

// some picks up to n different values.
func some[T any](g generator, least, most int, all []T) []T {
	all = slices.Clone(all)
	g.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:least+g.IntN(min(most, len(all))-least+1)]
}

var (
	paths = patterns("/srv/a", "/srv/dir/", "/opt/**", `/opt/My\ App/\[x\]`, "/srv/*/b?", "/srv/[a-c]{x,y}", "/srv/ü", `/srv/'quoted'\*`, `/srv/"double"`, "/opt/**/nc", "/srv/tab\tbed")
	globs = hostpolicy.ParseGlobs("web", "web-*", "{a,b}c", `x\*`, "ü", "a b", "[0-9]*", `quo"te`)
	texts = []string{"plain", `a "quoted" one`, `back\slash`, "it's", "ü and ß", "a # b", "[x]"}
)

func (g generator) policy() hostpolicy.Policy {
	p := hostpolicy.Policy{Name: []string{"a", "web-1", "a.b_c", "0x"}[g.IntN(4)], Dangerous: true}
	p.AppliesTo = g.selector()
	p.Otherwise = []hostpolicy.Action{hostpolicy.Block, hostpolicy.Audit}[g.IntN(2)]
	alike := g.maybe()
	first := g.rule()
	for c := hostpolicy.Process; c <= hostpolicy.System; c++ {
		for i := range g.IntN(3) {
			r := g.rule()
			if alike {
				r.Action, r.Severity, r.Tags, r.Message = first.Action, first.Severity, first.Tags, first.Message
			}
			r.Class, r.Name = c, fmt.Sprintf([]string{"r%d", "a.b-%d", "%d_x"}[i%3], i)
			g.body(&r)
			p.Rules = append(p.Rules, r)
		}
	}
	slices.SortFunc(p.Rules, func(a, b hostpolicy.Rule) int {
		if a.Class != b.Class {
			return int(a.Class) - int(b.Class)
		}
		return strings.Compare(a.Name, b.Name)
	})
	return p
}

func (g generator) selector() hostpolicy.Selector {
	var s hostpolicy.Selector
	switch g.IntN(5) {
	case 0:
		s.Host = true
	case 1:
		s.Everything = true
	case 2:
		s.Unit = hostpolicy.ParseGlobs([]string{"app.service", "web-*.service", `a\\x2db.scope`}[g.IntN(3)])
	case 3:
		c := &hostpolicy.ContainerSelector{Name: some(g, 0, 2, globs), Image: some(g, 0, 2, globs), Namespace: some(g, 0, 2, globs)}
		for _, labels := range []*[]hostpolicy.LabelMatch{&c.Labels, &c.ExceptLabels} {
			for _, key := range some(g, 0, 3, []string{"app", "io.kubernetes.pod.namespace", "a b", `q"k`}) {
				values := some(g, 1, 3, append(hostpolicy.ParseGlobs("*"), globs...))
				if g.IntN(5) == 0 {
					values = []hostpolicy.Glob{hostpolicy.LiteralGlob("")}
				}
				*labels = append(*labels, hostpolicy.LabelMatch{Key: key, Values: values})
			}
		}
		s.Container = c
	}
	ids := []hostpolicy.IDs{{Name: "www-data", First: 33, Last: 33}, {First: 1000, Last: 1999}, {First: 7, Last: 7}, {Name: "backup", First: 34, Last: 34}}
	if alone := s.Container == nil && !s.Host && !s.Everything && s.Unit == nil; alone || g.IntN(3) == 0 {
		s.User = some(g, 1, 3, ids)
		s.LoginUser = some(g, 0, 2, ids)
	}
	return s
}

func (g generator) rule() hostpolicy.Rule {
	r := hostpolicy.Rule{Action: hostpolicy.Action(1 + g.IntN(3)), Severity: g.IntN(11)}
	if g.maybe() {
		r.Tags = some(g, 0, 3, texts)
	}
	if g.maybe() {
		r.Message = texts[g.IntN(len(texts))]
	}
	return r
}

func (g generator) body(r *hostpolicy.Rule) {
	r.From, r.ExceptFrom = some(g, 0, 2, paths), some(g, 0, 2, paths)
	switch r.Class {
	case hostpolicy.Process, hostpolicy.File:
		r.Path, r.Except, r.OwnerOnly = some(g, 1, 8, paths), some(g, 0, 2, paths), g.maybe()
		if r.Action == hostpolicy.Allow {
			r.Within = some(g, 0, 2, paths)
		}
		r.Access = hostpolicy.Exec
		if r.Class == hostpolicy.File {
			r.Access = hostpolicy.Access(1 + g.IntN(3))
		} else {
			r.Args = some(g, 0, 2, []string{"sh", "wget", "ü"})
		}
	case hostpolicy.Network:
		r.Direction = hostpolicy.Direction(1 + g.IntN(2))
		r.Protocol = some(g, 0, 3, hostpolicy.Protocols())
		addresses := []hostpolicy.Address{{Domain: "example.com"}, {Domain: "*.example.com"}, {Prefix: netip.MustParsePrefix("192.0.2.7/32")},
			{Prefix: netip.MustParsePrefix("10.0.0.0/8")}, {Prefix: netip.MustParsePrefix("2001:db8::/32")}}
		r.Address, r.LocalAddress = some(g, 0, 3, addresses), some(g, 0, 2, addresses[2:])
		r.Ports = some(g, 0, 2, []hostpolicy.PortRange{{First: 1, Last: 1}, {First: 80, Last: 90}, {First: 65535, Last: 65535}})
	case hostpolicy.Capability:
		r.Capabilities = some(g, 1, 12, capabilities(hostpolicy.Caps))
	case hostpolicy.System:
		r.Operations = some(g, 1, 4, hostpolicy.Operations(hostpolicy.System))
	}
}

// TestSplit: the parts of a policy with several postures decide as it does.
func TestSplit(t *testing.T) {
	classes := []hostpolicy.Class{hostpolicy.Process, hostpolicy.File, hostpolicy.Network, hostpolicy.Capability, hostpolicy.System}
	split := 0
	for seed := range uint64(500) {
		g := generator{rand.New(rand.NewPCG(seed, 4))}
		p := g.policy()
		p.AppliesTo = hostpolicy.Selector{Host: true}
		p.Name = strings.Repeat("n", 1+g.IntN(63))
		p.Postures = make(map[hostpolicy.Class]hostpolicy.Action)
		for _, c := range classes {
			if g.maybe() {
				p.Postures[c] = []hostpolicy.Action{hostpolicy.Block, hostpolicy.Audit}[g.IntN(2)]
			}
		}
		for i := range p.Rules {
			p.Rules[i].Policy, p.Rules[i].From, p.Rules[i].ExceptFrom = p.Name, nil, nil
		}
		parts := render.Split(&p)
		if len(parts) > 1 {
			split++
		}
		names := make(map[string]bool)
		for _, part := range parts {
			reread(t, part)
			if names[part.Name] || len(part.Name) > 63 || len(part.Postures) > 0 {
				t.Fatalf("seed %d: part %+v", seed, part)
			}
			names[part.Name] = true
		}
		for range 30 {
			op := hostpolicy.Operation(1 + g.IntN(int(hostpolicy.OpReadProcEnviron)))
			object := hostpolicy.Object{Names: []string{[]string{"/srv/a", "/srv/dir/x", "/opt/a/nc", "/bin/x"}[g.IntN(4)]}, Owned: g.maybe(), Args: []string{"sh"},
				Capability: hostpolicy.Cap(g.IntN(hostpolicy.Caps)),
				Socket:     &hostpolicy.Socket{Protocols: []hostpolicy.Protocol{hostpolicy.Protocols()[g.IntN(5)]}, Remote: hostpolicy.Endpoint{Port: 80}, Local: hostpolicy.Endpoint{Port: 80}}}
			whole := hostpolicy.Decide([]hostpolicy.Policy{p}, hostpolicy.Subject{}, op, object)
			apart := hostpolicy.Decide(parts, hostpolicy.Subject{}, op, object)
			if whole.Action != apart.Action || whole.Otherwise != apart.Otherwise || whole.Dangerous != apart.Dangerous {
				t.Fatalf("seed %d: %s on %v: %+v, apart %+v", seed, op, object, whole, apart)
			}
		}
	}
	if split < 50 {
		t.Errorf("only %d policies were split", split)
	}
}
