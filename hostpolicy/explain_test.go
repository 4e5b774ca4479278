package hostpolicy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func addresses(t testing.TB, texts ...string) []Address {
	t.Helper()
	var out []Address
	for _, text := range texts {
		a, err := ParseAddress(text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, a)
	}
	return out
}

// Each case is one rule that does not decide, and the clauses that say why.
func TestExplainReasons(t *testing.T) {
	host := Selector{Host: true}
	at := func(texts ...string) []Pattern { return patterns(t, texts...) }
	bash := Subject{Programs: []string{"/usr/bin/bash"}, LoginUID: NoLogin}
	web := Subject{Container: &Container{Name: "web-1", Image: "nginx:1.27", Labels: map[string]string{"app": "web"}}, LoginUID: NoLogin}
	key := Object{Names: []string{"/srv/key"}}
	https := Object{Socket: &Socket{Protocols: []Protocol{TCP}, Remote: Endpoint{Addr: netip.MustParseAddr("203.0.113.7"), Port: 443}}}
	domain := Object{Socket: &Socket{Protocols: []Protocol{TCP}, Remote: Endpoint{Domains: []string{"db.internal"}, Port: 443}}}
	file := func(r Rule) Rule { r.Class, r.Path = File, at("/srv/"); return r }
	network := func(r Rule) Rule { r.Class = Network; return r }
	block := func(r Rule) Rule { r.Action = Block; return r }

	for _, tt := range []struct {
		name    string
		applies Selector
		rule    Rule
		subject Subject
		op      Operation
		object  Object
		want    string
	}{
		{"access", host, block(file(Rule{Access: Write})), bash, OpRead, key, "it judges writing, not reading"},
		{"class", host, block(Rule{Class: Process, Path: at("/srv/*"), Access: Exec}), bash, OpRead, key, "it judges executing, not reading"},
		{"except", host, block(file(Rule{Access: Read, Except: at("/srv/k*")})), bash, OpRead, key, `its except names it: "/srv/k*"`},
		{"owner", host, block(file(Rule{Access: Read, OwnerOnly: true})), bash, OpRead, Object{Names: key.Names, Owned: true}, "owner_only: it lets the file's owner through"},
		{"owner, allow", host, file(Rule{Access: Read, OwnerOnly: true, Action: Allow, Within: at("/opt/")}), bash, OpRead, key, "owner_only: it allows the file's owner, and nobody else"},
		{"args", host, block(Rule{Class: Process, Path: at("/bin/busybox"), Access: Exec, Args: []string{"sh", "ash"}}), bash, OpExec,
			Object{Names: []string{"/bin/busybox"}, Args: []string{"busybox", "ls"}}, `its args are "sh", "ash", not "busybox", "ls"`},
		{"port", host, block(network(Rule{Direction: Out, Ports: []PortRange{{80, 80}, {8000, 8100}}})), bash, OpConnect, https, "its ports are 80, 8000-8100, not 443"},
		{"address", host, block(network(Rule{Direction: Out, Address: addresses(t, "10.0.0.0/8")})), bash, OpConnect, https, "its addresses are 10.0.0.0/8, not 203.0.113.7"},
		{"domain", host, block(network(Rule{Direction: Out, Address: addresses(t, "10.0.0.0/8")})), bash, OpConnect, domain,
			"its addresses are 10.0.0.0/8, not db.internal (a name: its address is not looked up here)"},
		{"local address", host, block(network(Rule{Direction: Out, LocalAddress: addresses(t, "::1")})), bash, OpConnect, https, "its local addresses are ::1, not one that is not given"},
		{"protocol", host, block(network(Rule{Direction: Out, Protocol: []Protocol{UDP, ICMP}})), bash, OpConnect, https, "its protocol is udp, icmp, not tcp"},
		{"protocol without ports", host, block(network(Rule{Direction: Out, Ports: []PortRange{{1, 2}}})), bash, OpConnect, Object{Socket: &Socket{Protocols: []Protocol{ICMP}}},
			"it names addresses or ports, which icmp has not"},
		{"direction", host, block(network(Rule{Direction: In})), bash, OpConnect, https, `its direction is "in", and this is the other one`},
		{"socket", host, block(network(Rule{Direction: Out, Protocol: []Protocol{TCP}})), bash, OpSocket, https, "it judges where such a socket is used, not where it is made"},
		{"bind", host, block(network(Rule{Direction: In, Address: addresses(t, "::/0")})), bash, OpBind, https, "it judges a peer's address, and bind has no peer yet"},
		{"from", host, block(file(Rule{Access: Read, From: at("/usr/bin/python3*", "/opt/b")})), bash, OpRead, key, `it is only from /usr/bin/python3*, /opt/b, not from "/usr/bin/bash"`},
		{"from, program unknown", host, block(file(Rule{Access: Read, From: at("/opt/b")})), Subject{}, OpRead, key, "it is only from /opt/b, not from a program that is not given"},
		{"except_from", host, block(file(Rule{Access: Read, ExceptFrom: at("/usr/bin/*sh")})), bash, OpRead, key, `its except_from names the program: "/usr/bin/*sh"`},
		{"host", host, block(file(Rule{Access: Read})), web, OpRead, key, "it does not apply here: it is for the host, and this is a container"},
		{"container", Selector{Container: &ContainerSelector{}}, block(file(Rule{Access: Read})), bash, OpRead, key,
			"it does not apply here: it is for containers, and this is a process of the host"},
		{"container's name", Selector{Container: &ContainerSelector{Name: ParseGlobs("db-*")}}, block(file(Rule{Access: Read})), web, OpRead, key,
			`it does not apply here: it is for containers named db-*, and this is "web-1"`},
		{"image", Selector{Container: &ContainerSelector{Image: ParseGlobs("redis")}}, block(file(Rule{Access: Read})), web, OpRead, key,
			`it does not apply here: it is for image redis, and this is "nginx:1.27"`},
		{"label", Selector{Container: &ContainerSelector{Labels: []LabelMatch{{"app", ParseGlobs("db")}}}}, block(file(Rule{Access: Read})), web, OpRead, key,
			`it does not apply here: it is for label "app" = db, and this has "web"`},
		{"no label", Selector{Container: &ContainerSelector{Labels: []LabelMatch{{"tier", ParseGlobs("db")}}}}, block(file(Rule{Access: Read})), web, OpRead, key,
			`it does not apply here: it is for containers with label "tier", and this has none`},
		{"left out by a label", Selector{Container: &ContainerSelector{ExceptLabels: []LabelMatch{{"app", ParseGlobs("*")}}}}, block(file(Rule{Access: Read})), web, OpRead, key,
			`it does not apply here: it leaves out containers with label "app" = "web"`},
		{"unit", Selector{Unit: ParseGlobs("nginx.service")}, block(file(Rule{Access: Read})), bash, OpRead, key,
			"it does not apply here: it is for unit nginx.service, and this process is in none that is given"},
		{"user", Selector{User: []IDs{{"www-data", 33, 33}, {"", 1000, 1999}}}, block(file(Rule{Access: Read})), bash, OpRead, key,
			"it does not apply here: it is for user www-data, 1000-1999, and this is uid 0"},
		{"login user", Selector{LoginUser: []IDs{{"", 1000, 1000}}}, block(file(Rule{Access: Read})), bash, OpRead, key,
			"it does not apply here: it is for login_user 1000, and nobody logged in for this process"},
		{"two of them", host, block(file(Rule{Access: Write, From: at("/opt/b")})), bash, OpRead, key,
			`it judges writing, not reading; it is only from /opt/b, not from "/usr/bin/bash"`},
		{"within", host, Rule{Class: File, Action: Allow, Access: Read, Path: at("/x"), Within: at("/opt/", "/var/x/")}, bash, OpRead, key,
			"its allow-list is limited to within = /opt/, /var/x/"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.rule.Policy, tt.rule.Name = "p", "r"
			e := Explain([]Policy{{Name: "p", AppliesTo: tt.applies, Otherwise: Audit, Rules: []Rule{tt.rule}}}, tt.subject, tt.op, tt.object)
			if e.Rule != nil || e.Action != Allow || len(e.Losers) != 1 || e.More != 0 {
				t.Fatalf("%+v", e)
			}
			if diff := cmp.Diff(tt.want, strings.Join(e.Losers[0].Reasons, "; ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestExplainOrder(t *testing.T) {
	at := func(texts ...string) []Pattern { return patterns(t, texts...) }
	policy := Policy{Name: "p", AppliesTo: Selector{Host: true}, Otherwise: Audit, Rules: []Rule{
		{Policy: "p", Class: File, Name: "a", Action: Allow, Access: Read, Path: at("/elsewhere")},
		{Policy: "p", Class: File, Name: "b", Action: Block, Access: Write, Path: at("/x"), From: at("/opt/b")},
		{Policy: "p", Class: File, Name: "c", Action: Block, Access: Write, Path: at("/x")},
		{Policy: "p", Class: File, Name: "d", Action: Audit, Access: Read, Path: at("/x")},
		{Policy: "p", Class: File, Name: "e", Action: Block, Access: Read, Path: at("/x")},
		{Policy: "p", Class: File, Name: "f", Action: Block, Access: Read, Path: at("/*")},
		{Policy: "p", Class: File, Name: "unrelated", Action: Block, Access: Read, Path: at("/y")},
	}}
	e := Explain([]Policy{policy}, Subject{}, OpRead, Object{Names: []string{"/x"}})
	var got []string
	for _, l := range e.Losers {
		got = append(got, l.Rule.Name+": "+strings.Join(l.Reasons, "; "))
	}
	want := []string{
		"f: it matches too and says block as well",
		"d: it matches, but block outweighs audit",
		"c: it judges writing, not reading",
		"b: it judges writing, not reading; it is only from /opt/b, not from a program that is not given",
		"a: it makes class file an allow-list, which only counts where no rule matches",
	}
	if diff := cmp.Diff(want, got); diff != "" || e.Rule.Name != "e" {
		t.Errorf("decided by %s\n%s", e.Rule.ID(), diff)
	}
}

func TestGrounds(t *testing.T) {
	rule := Rule{Policy: "p", Class: File, Name: "r", Action: Block, Access: Read, Path: patterns(t, "/x", "/srv/", "/srv/a"), Except: patterns(t, "/srv/b"), From: patterns(t, "/opt/*")}
	s, o := Subject{Programs: []string{"/opt/x"}}, Object{Names: []string{"/srv/b", "/srv/a"}}
	for want, policy := range map[string]Policy{
		`its path "/srv/" names "/srv/a", and its from "/opt/*" the program`: {Name: "p", AppliesTo: Selector{Host: true}, Rules: []Rule{rule}},
		"no rule matches": {Name: "p", AppliesTo: Selector{User: []IDs{{"", 1, 1}}}, Rules: []Rule{rule}},
	} {
		e := Explain([]Policy{policy}, s, OpRead, o)
		if got := e.Grounds(s, o); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestExplainIsBounded(t *testing.T) {
	policies := manyRules(t, 100, File)
	for i := range policies {
		policies[i].Rules[0].Path = patterns(t, "/x")
	}
	e := Explain(policies, Subject{}, OpRead, Object{Names: []string{"/x"}})
	if len(e.Losers) != MaxLosers || e.More != 100-MaxLosers {
		t.Errorf("%d losers, %d more", len(e.Losers), e.More)
	}
}

// Whatever the rules, Explain decides as Decide does, and says of a rule that
// nothing keeps it exactly where it matches.
func TestExplainAgreesWithDecide(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 14))
	for range 20_000 {
		policies := []Policy{randomPolicy(t, r, "a"), randomPolicy(t, r, "b")}
		s, op, o := randomAccess(r)
		e := Explain(policies, s, op, o)
		if diff := cmp.Diff(Decide(policies, s, op, o), e.Decision, cmp.AllowUnexported(Pattern{}, Glob{}), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Fatal(diff)
		}
		for _, l := range e.Losers {
			selected := l.Policy.AppliesTo.Matches(s) && l.Rule.Admits(s)
			counts := selected && (l.Rule.Matches(op, o) || l.Lists && l.Rule.Lists(op, o))
			if counts != (l.Why == 0) || len(l.Reasons) == 0 || slices.Contains(l.Reasons, "") || slices.Contains(l.Reasons, "it is about another access") {
				t.Fatalf("%s of %+v on %+v: why %b, counts %t, %q", op, l.Rule, o, l.Why, counts, l.Reasons)
			}
		}
	}
}

func randomPolicy(t testing.TB, r *rand.Rand, name string) Policy {
	selectors := []Selector{
		{Host: true}, {Everything: true}, {Container: &ContainerSelector{Name: ParseGlobs("web*")}},
		{Unit: ParseGlobs("a.service")}, {User: []IDs{{"", 1, 2}}}, {Host: true, LoginUser: []IDs{{"", 1, 1}}},
	}
	p := Policy{Name: name, AppliesTo: selectors[r.IntN(len(selectors))], Otherwise: Block + Action(r.IntN(2))}
	some := func(texts ...string) []Pattern {
		if r.IntN(3) > 0 {
			return nil
		}
		return patterns(t, texts[r.IntN(len(texts))])
	}
	for i := range 1 + r.IntN(4) {
		rule := Rule{
			Policy: name, Name: fmt.Sprint(i), Class: Process + Class(r.IntN(5)), Action: Block + Action(r.IntN(3)),
			From: some("/bin/a", "/bin/*"), ExceptFrom: some("/bin/b"),
		}
		switch rule.Class {
		case Process, File:
			rule.Path, rule.Except, rule.Within = patterns(t, []string{"/a/", "/a/x", "/b*"}[r.IntN(3)]), some("/a/x", "/bb"), some("/a/")
			rule.OwnerOnly, rule.Access = r.IntN(4) == 0, Exec
			if rule.Class == File {
				rule.Access = Access(1 + r.IntN(3))
			} else if r.IntN(3) == 0 {
				rule.Args = []string{"sh"}
			}
		case Network:
			rule.Direction = Out + Direction(r.IntN(2))
			if r.IntN(2) == 0 {
				rule.Protocol = []Protocol{[]Protocol{TCP, ICMP, Unix, Packet}[r.IntN(4)]}
			}
			if r.IntN(2) == 0 {
				rule.Address = addresses(t, []string{"10.0.0.0/8", "*.example"}[r.IntN(2)])
			}
			if r.IntN(3) == 0 {
				rule.LocalAddress = addresses(t, "10.0.0.0/8")
			}
			if r.IntN(2) == 0 {
				rule.Ports = []PortRange{{80, 90}}
			}
		case Capability:
			rule.Capabilities = []Cap{Cap(r.IntN(2))}
		case System:
			rule.Operations = []Operation{OpMount + Operation(r.IntN(2))}
		}
		p.Rules = append(p.Rules, rule)
	}
	return p
}

func randomAccess(r *rand.Rand) (Subject, Operation, Object) {
	s := Subject{UID: uint32(r.IntN(3)), LoginUID: []uint32{1, NoLogin}[r.IntN(2)]}
	s.EUID = s.UID
	if r.IntN(3) > 0 {
		s.Programs = []string{[]string{"/bin/a", "/bin/b", "/opt/c"}[r.IntN(3)]}
	}
	if r.IntN(2) == 0 {
		s.Container = &Container{Name: []string{"web1", "db1"}[r.IntN(2)]}
	}
	if r.IntN(2) == 0 {
		s.Units = []string{"a.service"}
	}
	op := OpExec + Operation(r.IntN(int(OpBPF)))
	o := Object{Owned: r.IntN(2) == 0, Capability: Cap(r.IntN(3))}
	switch op.Class() {
	case Process, File:
		o.Names = []string{[]string{"/a/x", "/a", "/bb", "/c"}[r.IntN(4)]}
		if r.IntN(4) == 0 {
			o.Names = append(o.Names, "/b")
		}
		o.Args = []string{[]string{"sh", "ls"}[r.IntN(2)]}
	case Network:
		end := func() Endpoint {
			return []Endpoint{{Addr: netip.MustParseAddr("10.0.0.1"), Port: 80}, {Domains: []string{"a.example"}, Port: 99}, {}}[r.IntN(3)]
		}
		o.Socket = &Socket{Protocols: []Protocol{[]Protocol{TCP, ICMP, Unix, Packet}[r.IntN(4)]}, Remote: end(), Local: end()}
	}
	return s, op, o
}

// manyRules are n policies of one rule each.
func manyRules(t testing.TB, n int, class Class) []Policy {
	t.Helper()
	policies := make([]Policy, n)
	for i := range policies {
		name := fmt.Sprintf("policy-%d", i)
		policies[i] = Policy{Name: name, AppliesTo: Selector{Host: true}, Otherwise: Audit, Rules: []Rule{{
			Policy: name, Class: class, Name: "rule", Action: Block, Access: Read | Write,
			Path:   patterns(t, fmt.Sprintf("/srv/app-%d/**/*.key", i), fmt.Sprintf("/home/*/.config/app-%d/", i)),
			Except: patterns(t, fmt.Sprintf("/srv/app-%d/public/", i)),
			From:   patterns(t, "/usr/bin/*", fmt.Sprintf("/opt/app-%d/{bin,sbin}/*", i)),
		}}}
	}
	return policies
}

func BenchmarkExplain(b *testing.B) {
	policies := manyRules(b, 10_000, File)
	for i := range policies {
		if i%5 == 0 { // rules that name the object too
			policies[i].Rules[0].Path = append(policies[i].Rules[0].Path, patterns(b, "/srv/**/a.key")...)
		}
	}
	s := Subject{Programs: []string{"/usr/bin/python3.11"}}
	o := Object{Names: []string{"/srv/app-4711/secret/deep/a.key"}}
	for b.Loop() {
		if e := Explain(policies, s, OpRead, o); e.Rule == nil || e.More == 0 {
			b.Fatalf("%+v", e)
		}
	}
}
