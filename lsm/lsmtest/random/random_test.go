package random_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
	"github.com/hostarmor/hostarmor/lsm/compile"
	"github.com/hostarmor/hostarmor/lsm/lsmtest/random"
)

// All that a backend offers is asked for, and nothing else.
func TestPoliciesFollowTheSupport(t *testing.T) {
	bpf, _ := lsm.Offers("bpf")
	for name, support := range map[string]lsm.Support{"everything": {}, "bpf": bpf} {
		asked := make(map[lsm.Feature]bool)
		for seed := range uint64(400) {
			policies := random.New(seed, support).Policies()
			if _, gaps := compile.Supported(policies, support); len(gaps) > 0 {
				t.Fatalf("%s, seed %d: %v", name, seed, gaps)
			}
			for _, f := range lsm.Features() {
				lacking := lsm.Support{Lacks: map[lsm.Feature]string{f: "not here"}}
				if _, gaps := compile.Supported(policies, lacking); len(gaps) > 0 {
					asked[f] = true
				}
			}
		}
		for _, f := range lsm.Features() {
			if _, lacks := support.Lacks[f]; lacks == asked[f] {
				t.Errorf("%s: %s is asked for: %t", name, f, asked[f])
			}
		}
	}
}

// Accesses can be made by a process, and differ in all that policies look at.
func TestAccesses(t *testing.T) {
	bpf, _ := lsm.Offers("bpf")
	seen := make(map[string]bool)
	for seed := range uint64(2000) {
		r := random.New(seed, bpf)
		a := r.Access([]string{"/a"}, []string{"/b"})
		act, ok := r.Act([]string{"/a"})
		if !ok || act.Operation.Class() != hostpolicy.System {
			t.Fatalf("seed %d: %+v, %t", seed, act, ok)
		}
		s := a.Subject
		if s.Container != nil || s.UID == hostpolicy.NoLogin || s.EUID == hostpolicy.NoLogin || a.Object.Owned != (a.Owner == s.EUID) ||
			(a.Operation == hostpolicy.OpExec) != (len(a.Object.Args) > 0) {
			t.Fatalf("seed %d: no process can do %+v", seed, a)
		}
		if len(s.Units) > 0 && !slices.ContainsFunc(random.Units(), func(chain []string) bool { return slices.Equal(chain, s.Units) }) {
			t.Fatalf("seed %d: units %v", seed, s.Units)
		}
		seen[fmt.Sprintf("owned %t", a.Object.Owned)] = true
		seen[fmt.Sprintf("euid differs %t", s.UID != s.EUID)] = true
		seen[fmt.Sprintf("logged in %t", s.LoginUID != hostpolicy.NoLogin)] = true
		seen[fmt.Sprintf("in a unit %t", len(s.Units) > 0)] = true
		if again := random.New(seed, bpf).Access([]string{"/a"}, []string{"/b"}); !cmp.Equal(a, again) {
			t.Fatalf("seed %d: two accesses differ", seed)
		}
	}
	if len(seen) != 8 {
		t.Errorf("seen only %v", seen)
	}
}
