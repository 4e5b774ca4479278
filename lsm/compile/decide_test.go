package compile

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

var operations = []struct {
	kind lsm.Kind
	op   hostpolicy.Access
}{
	{lsm.KindExec, hostpolicy.Exec},
	{lsm.KindRead, hostpolicy.Read},
	{lsm.KindWrite, hostpolicy.Write},
	{lsm.KindMap, hostpolicy.Map},
}

// The compiled set and the reference evaluator agree on every access.
func TestAgreesWithDecide(t *testing.T) {
	folding := defaultLimits
	folding.unfolded = -1 << 30
	sets, accesses := 2500, 100
	if testing.Short() {
		sets = 250
	}
	for seed := range uint64(sets) {
		r := newSource(seed)
		policies := r.policies()
		rs := mustCompile(t, policies)
		if seed%4 == 0 {
			rs, _ = compile(policies, folding)
		}
		patterns := allPatterns(policies)
		for range accesses {
			program, object := r.path(patterns), r.path(patterns)
			key := lsm.RoleKey{Program: rs.Labels[label(rs, program).Index()].Program}
			for _, o := range operations {
				verdict := rs.Lookup(key, label(rs, object))
				want := hostpolicy.Decide(policies,
					hostpolicy.Subject{Programs: []string{program}}, o.op, hostpolicy.Object{Names: []string{object}})
				if diff := disagreement(rs, verdict[o.kind], want); diff != "" {
					t.Fatalf("seed %d: %s %s by %s: %s\n%s", seed, o.op, object, program, diff, describe(policies))
				}
			}
		}
	}
}

func mustCompile(t testing.TB, policies []hostpolicy.Policy) *lsm.Ruleset {
	t.Helper()
	rs, problems := Compile(policies)
	if len(problems) > 0 {
		t.Fatalf("problems: %v\n%s", problems, describe(policies))
	}
	return rs
}

func label(rs *lsm.Ruleset, path string) lsm.Label { return rs.States[rs.Walk(path)].Label }

// disagreement compares a compiled cell with the reference.
func disagreement(rs *lsm.Ruleset, got lsm.Cell, want hostpolicy.Decision) string {
	var expect lsm.Cell
	if want.Rule != nil {
		id := slices.IndexFunc(rs.Rules, func(r hostpolicy.Rule) bool { return r.ID() == want.Rule.ID() })
		expect = lsm.Cell{Action: want.Action, Rule: lsm.RuleID(id + 1), Otherwise: want.Otherwise, Dangerous: want.Dangerous}
	}
	if got != expect {
		return fmt.Sprintf("compiled %+v, reference %+v (%s)", got, expect, want.Reason)
	}
	return ""
}

// describe writes policies for a failed test.
func describe(policies []hostpolicy.Policy) string {
	var b strings.Builder
	for _, p := range policies {
		for _, r := range p.Rules {
			fmt.Fprintf(&b, "%s %s %s path %q except %q from %q except_from %q otherwise %s dangerous %t\n",
				r.ID(), r.Action, r.Access, r.Path, r.Except, r.From, r.ExceptFrom, p.Otherwise, p.Dangerous)
		}
	}
	return b.String()
}

// Neither the order of policies nor that of rules shows in the result.
func TestOrderDoesNotMatter(t *testing.T) {
	for seed := range uint64(200) {
		r := newSource(seed)
		policies := r.policies()
		want := mustCompile(t, policies)
		shuffled := slices.Clone(policies)
		rand.New(rand.NewPCG(seed, 2)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		for i := range shuffled {
			shuffled[i].Rules = slices.Clone(shuffled[i].Rules)
			slices.Reverse(shuffled[i].Rules)
		}
		if got := mustCompile(t, shuffled); got.Digest != want.Digest {
			t.Fatalf("seed %d: the digest depends on the order of policies\n%s", seed, describe(policies))
		}
	}
}

// One pattern as a rule, against its plain reading.
func FuzzCompile(f *testing.F) {
	for _, seed := range []string{"/bin/sh", "/a/**/b", "/usr/lib/**.so", "/home/*/.ssh/", "/{a,b{c,d/e}}", `/[!a-z\]]\*`, "/", "/**/[b]c", "/a**/*?"} {
		f.Add(seed, "/a/b")
	}
	small := limits{states: 1000, members: 1 << 16, edges: 1000, globRows: 1000, verdicts: 1000}
	f.Fuzz(func(t *testing.T, text, path string) {
		p, err := hostpolicy.ParsePattern(text)
		path = clean(path)
		if err != nil || strings.IndexByte(path, 0) >= 0 {
			return
		}
		rule := fileRule("p", "r", "/")
		rule.Path = []hostpolicy.Pattern{p}
		rs, problems := compile(policyOf(rule), small)
		if len(problems) > 0 {
			return
		}
		for _, name := range []string{path, newSource(uint64(len(path))).sample(p.Expand()[0])} {
			if got := label(rs, name) != 0; got != p.Match(name) {
				t.Fatalf("%q on %q: compiled %t, reference %t", text, name, got, p.Match(name))
			}
		}
	})
}
