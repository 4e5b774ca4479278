package compile

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
	"github.com/hostarmor/hostarmor/lsm/lsmtest/random"
)

// policyFor is a policy with its rules' texts as ruleText reads them.
func policyFor(t *testing.T, name string, s hostpolicy.Selector, texts ...string) hostpolicy.Policy {
	p := hostpolicy.Policy{Name: name, AppliesTo: s, Otherwise: hostpolicy.Block}
	for i, text := range texts {
		r := ruleText(t, name+"/"+text)
		r.Position = hostpolicy.Position{File: name + ".toml", Line: i + 1, Column: 1}
		p.Rules = append(p.Rules, r)
	}
	return p
}

func TestSupported(t *testing.T) {
	host := hostpolicy.Selector{Host: true}
	www := hostpolicy.Selector{User: []hostpolicy.IDs{{First: 33, Last: 33}}}
	container := hostpolicy.Selector{Container: &hostpolicy.ContainerSelector{}}
	owner := func(p hostpolicy.Policy) hostpolicy.Policy {
		p.Rules[0].OwnerOnly = true
		return p
	}
	few := only(lsm.OfProcess, lsm.OfFile, lsm.OnHost, lsm.Within)
	none := func(k lsm.Kind) lsm.Support { return lsm.Support{Missing: map[lsm.Kind]string{k: "no hook"}} }
	const lacking = "not in this test"
	for _, test := range []struct {
		name     string
		support  lsm.Support
		policies []hostpolicy.Policy
		kept     []string
		gaps     []string
	}{
		{"everything is there", lsm.Support{}, []hostpolicy.Policy{policyFor(t, "p", www, "file.a block r /a")}, []string{"p/file.a read"}, nil},
		{"host files", few, []hostpolicy.Policy{policyFor(t, "p", host, "file.a allow r /a", "process.b block x /b")}, []string{"p/file.a read", "p/process.b exec"}, nil},
		{"a selector", few, []hostpolicy.Policy{policyFor(t, "p", www, "file.a block r /a", "process.b block x /b")}, nil,
			[]string{"p.toml:1 p/file.a: applies_to.user: " + lacking, "p.toml:2 p/process.b: applies_to.user: " + lacking}},
		{"a class", few, []hostpolicy.Policy{policyFor(t, "p", host, "network.a block r", "file.b block w /b")}, []string{"p/file.b write"},
			[]string{"p.toml:1 p/network.a: class network: " + lacking}},
		// What is cut for one reason is listed before it, once.
		{"a selector and a class", few, []hostpolicy.Policy{policyFor(t, "p", www, "network.a block r")}, nil,
			[]string{"p.toml:1 p/network.a: applies_to.user, class network: " + lacking}},
		{"two reasons", lsm.Support{Lacks: map[lsm.Feature]string{lsm.ByUser: "no hook", lsm.OwnerOnly: lacking, lsm.OfFile: "no hook"}},
			[]hostpolicy.Policy{owner(policyFor(t, "p", www, "file.a block r /a"))}, nil,
			[]string{"p.toml:1 p/file.a: applies_to.user, class file: no hook; owner_only: " + lacking}},
		// Without the condition the rule would block the owner too.
		{"an exception", few, []hostpolicy.Policy{owner(policyFor(t, "p", host, "file.a block r /a", "file.b block w /b"))}, []string{"p/file.b write"},
			[]string{"p.toml:1 p/file.a: owner_only: " + lacking}},
		// What is left of the list would refuse /a to its owner.
		{"part of a list", few, []hostpolicy.Policy{owner(policyFor(t, "p", host, "file.a allow r /a", "file.b allow w /b", "process.c allow x /c", "file.d block r /d"))},
			[]string{"p/file.d read", "p/process.c exec"},
			[]string{"p.toml:1 p/file.a: owner_only: " + lacking, "p.toml:2 p/file.b: without p/file.a, which is not enforced, this allow-list would refuse what that permits"}},
		{"the list of another policy", few, []hostpolicy.Policy{policyFor(t, "p", host, "file.a allow r /a"), policyFor(t, "q", www, "file.b allow r /b")}, nil,
			[]string{"p.toml:1 p/file.a: without q/file.b, which is not enforced, this allow-list would refuse what that permits", "q.toml:1 q/file.b: applies_to.user: " + lacking}},
		// Audit rules permit as well.
		{"an audit rule beside a list", few, []hostpolicy.Policy{policyFor(t, "p", host, "file.a allow r /a"), policyFor(t, "q", www, "file.b audit r /b")}, nil,
			[]string{"p.toml:1 p/file.a: without q/file.b, which is not enforced, this allow-list would refuse what that permits", "q.toml:1 q/file.b: applies_to.user: " + lacking}},
		{"lists that never meet", few, []hostpolicy.Policy{policyFor(t, "p", host, "file.a allow r /a"), policyFor(t, "q", container, "file.b allow r /b")}, []string{"p/file.a read"},
			[]string{"q.toml:1 q/file.b: applies_to.container: " + lacking}},
		{"half a rule", none(lsm.KindWrite), []hostpolicy.Policy{policyFor(t, "p", host, "file.a block rw /a")}, []string{"p/file.a read"},
			[]string{"p.toml:1 p/file.a: writing: no hook"}},
		// Opening for writing is judged where reading is: a list without its
		// rules for writing would refuse all of that.
		{"half a list", none(lsm.KindWrite), []hostpolicy.Policy{policyFor(t, "p", host, "file.a allow r /a", "file.b allow w /b")}, nil,
			[]string{"p.toml:1 p/file.a: writing: no hook", "p.toml:2 p/file.b: writing: no hook"}},
		{"moves", none(lsm.KindMove), []hostpolicy.Policy{policyFor(t, "p", host, "file.a block rw /a", "process.b block x /b")}, []string{"p/file.a read|write", "p/process.b exec"},
			[]string{"p.toml:1 p/file.a: moving a directory above it: no hook"}},
		{"mapping", none(lsm.KindMap), []hostpolicy.Policy{policyFor(t, "p", host, "process.a allow x /a", "process.b block x /b")}, []string{"p/process.a exec", "p/process.b exec"},
			[]string{"p.toml:2 p/process.b: mapping as a program: no hook"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			left, found := Supported(test.policies, test.support)
			var kept, gaps []string
			for _, p := range left {
				for _, r := range p.Rules {
					kept = append(kept, fmt.Sprintf("%s %s", r.ID(), r.Access))
				}
			}
			slices.Sort(kept)
			for _, g := range found {
				gaps = append(gaps, fmt.Sprintf("%s %s: %s", g.Position.Source(), g.Rule, g.Reason))
			}
			if diff := cmp.Diff(test.kept, kept); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.gaps, gaps); diff != "" {
				t.Errorf("gaps (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSupportedOperations(t *testing.T) {
	system := func(name string, action hostpolicy.Action, ops ...hostpolicy.Operation) hostpolicy.Rule {
		return hostpolicy.Rule{Policy: "p", Name: name, Class: hostpolicy.System, Action: action, Operations: ops}
	}
	support := lsm.Support{Lacks: map[lsm.Feature]string{lsm.OfSystem(hostpolicy.OpBPF): "no hook"}}
	left, gaps := Supported(policyOf(system("a", hostpolicy.Block, hostpolicy.OpBPF, hostpolicy.OpMount), system("b", hostpolicy.Block, hostpolicy.OpMount)), support)
	if got := left[0].Rules; len(got) != 2 || !slices.Equal(got[0].Operations, []hostpolicy.Operation{hostpolicy.OpMount}) || len(gaps) != 1 {
		t.Errorf("kept %+v with %v", got, gaps)
	}
	// An allow rule makes a list that is about every operation.
	if left, gaps := Supported(policyOf(system("a", hostpolicy.Allow, hostpolicy.OpMount)), support); len(left[0].Rules) != 0 || len(gaps) != 1 {
		t.Errorf("kept %+v with %v", left[0].Rules, gaps)
	}
}

// What is cut is never refused because of the cut, and what is kept asks for
// nothing that is lacking.
func TestSupportedLocksNobodyOut(t *testing.T) {
	features := lsm.Features()
	permitted := 0
	for seed := range uint64(1500) {
		r := random.New(seed, lsm.Support{})
		policies := r.Policies()
		support := lsm.Support{Lacks: make(map[lsm.Feature]string), Missing: make(map[lsm.Kind]string)}
		for range 1 + r.IntN(3) {
			support.Lacks[random.Pick(r, features...)] = "not here"
		}
		if r.Chance(30) {
			support.Missing[random.Pick(r, lsm.KindExec, lsm.KindRead, lsm.KindWrite)] = "no hook"
		}
		left, gaps := Supported(policies, support)
		if again, more := Supported(left, support); len(more) > 0 && len(support.Missing) == 0 {
			t.Fatalf("seed %d: %v is left with gaps %v\n%s", seed, again, more, describe(policies))
		}
		patterns := random.Patterns(policies)
		for range 40 {
			s := r.Subject()
			s.Programs = []string{r.Path(patterns)}
			o := hostpolicy.Object{
				Names: []string{r.Path(patterns)}, Owned: r.Chance(40), Args: r.Args(), Socket: r.Socket(), Capability: r.Capability(),
			}
			op := hostpolicy.Operation(1 + r.IntN(int(hostpolicy.OpReadProcEnviron)))
			want, got := hostpolicy.Decide(policies, s, op, o), hostpolicy.Decide(left, s, op, o)
			if got.Action == hostpolicy.Block && want.Action != hostpolicy.Block {
				t.Fatalf("seed %d: %s %+v by %+v was %s, and is blocked without what %v lacks: %s\ngaps %v\n%s",
					seed, op, o, s, want.Action, support, got.Reason, gaps, describe(policies))
			}
			if got.Action == hostpolicy.Block {
				permitted++
			}
		}
	}
	if permitted < 1000 {
		t.Errorf("only %d accesses were blocked at all", permitted)
	}
}

func TestOffers(t *testing.T) {
	for _, backend := range []string{"bpf", "apparmor"} {
		s, ok := lsm.Offers(backend)
		if !ok || s.Backend != backend {
			t.Errorf("Offers(%s) = %+v, %t", backend, s, ok)
		}
		for f, reason := range s.Lacks {
			if reason == "" || !slices.Contains(lsm.Features(), f) {
				t.Errorf("%s lacks %s because of %q", backend, f, reason)
			}
		}
	}
	if _, ok := lsm.Offers("selinux"); ok {
		t.Error("there is no backend selinux")
	}
	var lacks []string
	bpf, _ := lsm.Offers("bpf")
	for f := range bpf.Lacks {
		lacks = append(lacks, string(f))
	}
	slices.Sort(lacks)
	if diff := cmp.Diff([]string{"applies_to.container", "applies_to.everything", "capability", "network"}, lacks); diff != "" {
		t.Errorf("what bpf lacks (-want +got):\n%s", diff)
	}
	apparmor, _ := lsm.Offers("apparmor")
	if left, _ := Supported(policyOf(fileRule("p", "r", "/a")), apparmor); len(left[0].Rules) != 0 {
		t.Error("apparmor is said to enforce a rule")
	}
}
