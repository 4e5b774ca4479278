package compile

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hostarmor/hostarmor/hostpolicy"
)

func policyOf(rules ...hostpolicy.Rule) []hostpolicy.Policy {
	return []hostpolicy.Policy{{
		Name: "p", AppliesTo: hostpolicy.Selector{Host: true}, Otherwise: hostpolicy.Block, Rules: rules,
	}}
}

// A set that explodes is refused, at the rule that makes it explode.
func TestLimits(t *testing.T) {
	small := defaultLimits
	small.states, small.members, small.edges, small.globRows, small.verdicts, small.unfolded = 5000, 1<<20, 5000, 500, 5000, 0
	harmless := fileRule("p", "harmless", "/etc/shadow", "/home/*/.ssh/", "/usr/lib/*.so")
	var programs []hostpolicy.Rule
	for i := range 60 {
		r := fileRule("p", fmt.Sprintf("from-%02d", i), fmt.Sprintf("/srv/%d", i))
		r.Action = hostpolicy.Allow
		r.From = fileRule("p", "x", fmt.Sprintf("/opt/%d", i)).Path
		programs = append(programs, r)
	}
	for i := range 100 {
		r := fileRule("p", fmt.Sprintf("read-%02d", i), fmt.Sprintf("/data/%d", i))
		r.Access = hostpolicy.Read
		programs = append(programs, r)
	}
	for _, test := range []struct {
		name   string
		rules  []hostpolicy.Rule
		reason string
		fix    string
	}{
		{"directories", []hostpolicy.Rule{harmless, fileRule("p", "deep", "/**/a"+strings.Repeat("/*", 20))},
			"the policy set needs more than 5000 states", "fewer or simpler globs in p/file.deep, p/file.harmless"},
		{"bytes", []hostpolicy.Rule{harmless, fileRule("p", "wide", "/tmp/*a"+strings.Repeat("?", 20))},
			"the policy set needs more than 500 rows to match the bytes of names", "fewer or simpler globs in p/file.wide"},
		{"programs", programs,
			"the policy set needs more than 5000 verdicts for single programs", "fewer or simpler globs in p/file.from-00, p/file.from-01, p/file.from-02"},
	} {
		t.Run(test.name, func(t *testing.T) {
			rs, problems := compile(policyOf(test.rules...), small)
			if rs != nil || len(problems) != 1 {
				t.Fatalf("%d problems, ruleset %t", len(problems), rs != nil)
			}
			if diff := cmp.Diff([]string{CodeTooLarge, test.reason, test.fix},
				[]string{problems[0].Code, problems[0].Message, problems[0].Fix}); diff != "" {
				t.Errorf("problem (-want +got):\n%s", diff)
			}
		})
	}
}

// The limits in force end an explosion in time.
func TestLimitsAreQuick(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for _, text := range []string{"/**/a" + strings.Repeat("/*", 40), "/*a" + strings.Repeat("?", 40), "/**a" + strings.Repeat("?", 40)} {
		start := time.Now()
		rs, problems := Compile(policyOf(fileRule("p", "r", text)))
		if rs != nil || len(problems) != 1 {
			t.Errorf("%s compiles", text)
		}
		t.Logf("%.12s...: %v: %v", text, time.Since(start), problems)
	}
}

func TestSetProblems(t *testing.T) {
	a, b := fileRule("p", "same", "/a"), fileRule("p", "same", "/b")
	a.Position = hostpolicy.Position{File: "p.toml", Line: 3, Column: 1}
	b.Position = hostpolicy.Position{File: "p.toml", Line: 7, Column: 1}
	policies := policyOf(a, b)
	policies = append(policies, hostpolicy.Policy{Name: "nobody", Position: hostpolicy.Position{File: "n.toml", Line: 1, Column: 1}})
	rs, problems := Compile(policies)
	var got []string
	for _, p := range problems {
		got = append(got, p.String())
	}
	want := []string{
		`n.toml:1:1: applies_to: policy "nobody" applies to nothing that can be compiled (write host = true)`,
		`p.toml:7:1: file.same: rule p/file.same is also at p.toml:3 (give one of them another name)`,
	}
	if diff := cmp.Diff(want, got); diff != "" || rs != nil {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

// What the tables beside the automaton cannot hold is refused by name.
func TestTableLimits(t *testing.T) {
	network := func(name string, change func(r *hostpolicy.Rule)) hostpolicy.Rule {
		r := hostpolicy.Rule{Policy: "p", Name: name, Class: hostpolicy.Network, Action: hostpolicy.Block, Direction: hostpolicy.Out}
		change(&r)
		return r
	}
	var many, addresses, commands []hostpolicy.Rule
	for i := range 5 {
		many = append(many, network(fmt.Sprintf("n%d", i), func(*hostpolicy.Rule) {}))
	}
	addresses = append(addresses, network("one", func(r *hostpolicy.Rule) { r.Ports = []hostpolicy.PortRange{{First: 1, Last: 1}} }))
	addresses = append(addresses, network("list", func(r *hostpolicy.Rule) {
		for i := range 30 {
			a, err := hostpolicy.ParseAddress(fmt.Sprintf("192.0.2.%d", i))
			if err != nil {
				t.Fatal(err)
			}
			r.Address = append(r.Address, a)
		}
	}))
	// Each of these is called by its own name and then looks at the next: the
	// sets of names that were called are all sets.
	for i := range 20 {
		r := fileRule("p", fmt.Sprintf("c%02d", i), "/bin/busybox")
		r.Class, r.Access, r.Args = hostpolicy.Process, hostpolicy.Exec, []string{fmt.Sprintf("busybox%d", i)}
		commands = append(commands, r)
	}
	small := defaultLimits
	small.sockets, small.rows, small.applets = 3, 20, 5000
	for _, test := range []struct {
		name    string
		rules   []hostpolicy.Rule
		message string
		field   string
	}{
		{"sockets", many, "the policy set needs more than 3 network rules", "network.n3"},
		{"addresses", addresses, "the policy set needs more than 20 addresses and ports in network rules", "network.list"},
		{"commands", commands, "the policy set needs more than 5000 labels for the commands of programs", "process.c00"},
	} {
		t.Run(test.name, func(t *testing.T) {
			rs, problems := compile(policyOf(test.rules...), small)
			if rs != nil || len(problems) != 1 {
				t.Fatalf("%d problems, ruleset %t", len(problems), rs != nil)
			}
			if diff := cmp.Diff([]string{CodeTooLarge, test.message, test.field}, []string{problems[0].Code, problems[0].Message, problems[0].Field}); diff != "" {
				t.Errorf("problem (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUserLimits(t *testing.T) {
	users := func(n int, wide bool) []hostpolicy.Policy {
		var policies []hostpolicy.Policy
		for i := range n {
			name := fmt.Sprintf("u%02d", i)
			ids := hostpolicy.IDs{First: uint32(1000 + i), Last: uint32(1000 + i)}
			if wide {
				ids.Last = uint32(5000 + i)
			}
			policies = append(policies, hostpolicy.Policy{
				Name: name, Position: hostpolicy.Position{File: name + ".toml", Line: 1, Column: 1}, Otherwise: hostpolicy.Block,
				AppliesTo: hostpolicy.Selector{User: []hostpolicy.IDs{ids}}, Rules: []hostpolicy.Rule{fileRule(name, "r", "/etc/passwd")},
			})
		}
		return policies
	}
	for _, wide := range []bool{false, true} {
		if rs, problems := Compile(users(64, wide)); rs == nil {
			t.Errorf("64 lists of users do not compile: %v", problems)
		}
	}
	rs, problems := Compile(users(66, false))
	var got []string
	for _, p := range problems {
		got = append(got, p.Position.File+" "+p.Message)
	}
	want := []string{
		`u64.toml policy "u64" names one more list of users than the 64 that the kernel's tables tell apart`,
		`u65.toml policy "u65" names one more list of users than the 64 that the kernel's tables tell apart`,
	}
	if diff := cmp.Diff(want, got); diff != "" || rs != nil {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	none := policyOf(fileRule("p", "r", "/a"))
	none[0].AppliesTo.User = []hostpolicy.IDs{{First: 2, Last: 1}}
	if rs, problems := Compile(none); rs != nil || len(problems) != 1 || problems[0].Code != CodeNoSubject {
		t.Errorf("a range of users that holds nobody compiles: %v", problems)
	}
}

// Every problem of this package is explained.
func TestCodesAreExplained(t *testing.T) {
	for _, code := range []string{CodeTooLarge, CodeDuplicate, CodeNoSubject} {
		c := Codes[code]
		if c.Title == "" || c.Why == "" || c.Fix == "" || len(c.Title+c.Why+c.Fix) < 40 {
			t.Errorf("%s is explained by %+v", code, c)
		}
	}
	if len(Codes) != 3 {
		t.Errorf("%d codes are explained, 3 exist", len(Codes))
	}
}

func TestBindRefusesTheHost(t *testing.T) {
	rs := mustCompile(t, policyOf(fileRule("p", "r", "/a")))
	if _, err := Bind(rs, 0, nil); err == nil {
		t.Error("number 0 was bound to a workload")
	}
	if _, err := Bind(rs, 1<<32-1, nil); err == nil {
		t.Error("roles beyond their numbers were given out")
	}
}
