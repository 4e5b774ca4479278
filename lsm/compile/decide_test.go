package compile

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
	"github.com/hostarmor/hostarmor/lsm/lsmtest/random"
)

var operations = []struct {
	kind lsm.Kind
	op   hostpolicy.Operation
}{
	{lsm.KindExec, hostpolicy.OpExec},
	{lsm.KindRead, hostpolicy.OpRead},
	{lsm.KindWrite, hostpolicy.OpWrite},
	{lsm.KindMap, hostpolicy.OpMap},
}

// hostFiles is process and file rules of host policies, without conditions on
// what is beside names.
var hostFiles = only(lsm.OfProcess, lsm.OfFile, lsm.OnHost)

func only(features ...lsm.Feature) lsm.Support {
	s := lsm.Support{Lacks: make(map[lsm.Feature]string)}
	for _, f := range lsm.Features() {
		if !slices.Contains(features, f) {
			s.Lacks[f] = "not in this test"
		}
	}
	return s
}

// The compiled set and the reference evaluator agree on every access.
func TestAgreesWithDecide(t *testing.T) {
	folding := defaultLimits
	folding.unfolded = -1 << 30
	sets, accesses := 1000, 100
	if testing.Short() {
		sets = 150
	}
	for seed := range uint64(sets) {
		r := random.New(seed, hostFiles)
		policies := r.Policies()
		rs := mustCompile(t, policies)
		if seed%4 == 0 {
			rs, _ = compile(policies, folding)
		}
		patterns := random.Patterns(policies)
		for range accesses {
			program, object := r.Path(patterns), r.Path(patterns)
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
		id := slices.IndexFunc(rs.Rules, func(r lsm.Rule) bool { return r.ID() == want.Rule.ID() })
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
		fmt.Fprintf(&b, "%s applies to %+v container %+v, otherwise %s %v dangerous %t\n", p.Name, p.AppliesTo, p.AppliesTo.Container, p.Otherwise, p.Postures, p.Dangerous)
		for _, r := range p.Rules {
			fmt.Fprintf(&b, "  %s %s %s path %q except %q from %q except_from %q within %q args %q owner_only %t\n",
				r.ID(), r.Action, r.Access, r.Path, r.Except, r.From, r.ExceptFrom, r.Within, r.Args, r.OwnerOnly)
			if r.Class > hostpolicy.File {
				fmt.Fprintf(&b, "    %s %v address %v local %v ports %v %v %v\n", r.Direction, r.Protocol, r.Address, r.LocalAddress, r.Ports, r.Capabilities, r.Operations)
			}
		}
	}
	return b.String()
}

// Neither the order of policies nor that of rules shows in the result.
func TestOrderDoesNotMatter(t *testing.T) {
	for seed := range uint64(200) {
		r := random.New(seed, hostFiles)
		policies := r.Policies()
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
	small := defaultLimits
	small.states, small.members, small.edges, small.globRows, small.verdicts, small.unfolded = 1000, 1<<16, 1000, 1000, 1000, 0
	f.Fuzz(func(t *testing.T, text, path string) {
		p, err := hostpolicy.ParsePattern(text)
		path = random.Clean(path)
		if err != nil || strings.IndexByte(path, 0) >= 0 {
			return
		}
		rule := fileRule("p", "r", "/")
		rule.Path = []hostpolicy.Pattern{p}
		rs, problems := compile(policyOf(rule), small)
		if len(problems) > 0 {
			return
		}
		for _, name := range []string{path, random.New(uint64(len(path)), hostFiles).Sample(p.Expand()[0])} {
			if got := label(rs, name) != 0; got != p.Match(name) {
				t.Fatalf("%q on %q: compiled %t, reference %t", text, name, got, p.Match(name))
			}
		}
	})
}
