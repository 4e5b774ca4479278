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
	small := limits{states: 5000, members: 1 << 20, edges: 5000, globRows: 500, verdicts: 5000}
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
