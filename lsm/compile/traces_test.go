package compile

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
	"github.com/hostarmor/hostarmor/lsm/lsmtest/random"
)

// traced is the plain reading: what a subject may not do and a program may,
// which the subject would reach into.
func traced(rs *lsm.Ruleset, policies []hostpolicy.Policy, s hostpolicy.Subject, programs []string) lsm.Cell {
	var found lsm.Cell
	for _, p := range policies {
		if !p.AppliesTo.Matches(s) {
			continue
		}
		for _, r := range p.Rules {
			changed := s
			changed.Programs = programs
			action := r.Action
			switch {
			case r.Action != hostpolicy.Allow:
				trusted := slices.ContainsFunc(programs, func(name string) bool {
					return slices.ContainsFunc(r.ExceptFrom, func(p hostpolicy.Pattern) bool { return p.Match(name) })
				})
				if !r.Admits(s) || !trusted {
					continue
				}
			case len(r.From) == 0 || r.Admits(s) || !r.Admits(changed):
				continue
			default:
				if action = refuses(policies, s, r.Class); !action.Valid() {
					continue
				}
			}
			id := lsm.RuleID(1 + slices.IndexFunc(rs.Rules, func(o lsm.Rule) bool { return o.ID() == r.ID() }))
			if !found.Action.Valid() || action < found.Action || action == found.Action && id < found.Rule {
				found = lsm.Cell{Action: action, Rule: id, Dangerous: p.Dangerous}
			}
		}
	}
	return found
}

// refuses is the strictest `otherwise` of the lists that hold for a subject.
func refuses(policies []hostpolicy.Policy, s hostpolicy.Subject, class hostpolicy.Class) hostpolicy.Action {
	var found hostpolicy.Action
	for _, p := range policies {
		for _, r := range p.Rules {
			if p.AppliesTo.Matches(s) && r.Class == class && r.Action == hostpolicy.Allow && r.Admits(s) {
				if a := p.OtherwiseIn(class); !found.Valid() || a < found {
					found = a
				}
			}
		}
	}
	return found
}

func TestTracesAgreeWithPolicies(t *testing.T) {
	sets, actors := 600, 15
	if testing.Short() {
		sets = 100
	}
	decided, differ := 0, 0
	for seed := range uint64(sets) {
		r := random.New(seed+1<<33, lsm.Support{})
		w := newWorld(t, r, r.Policies(), defaultLimits)
		for range actors {
			a := w.actor()
			for range 10 {
				// A process of this program, in whatever mount table names it.
				f := r.File(a.view.mounts, w.patterns)
				program := w.rules.Labels[w.row(a.view, f).Label.Index()].Program
				got := w.rules.Trace(a.role, program)
				want := traced(w.rules, w.policies, a.Subject, f.Names(a.view.mounts))
				if got != want {
					t.Fatalf("seed %d: %+v (container %+v, role %+v) reaching into %q: tables %+v, policies %+v\n%s",
						seed, a.Subject, a.Container, a.role, f.Names(a.view.mounts), got, want, describe(w.policies))
				}
				if want.Action.Valid() {
					decided++
				}
			}
		}
		for _, row := range w.rules.Traces {
			if row.Cell == (lsm.Cell{}) {
				differ++
			}
		}
		if !slices.IsSortedFunc(w.rules.Traces, func(a, b lsm.TraceRow) int {
			return max(-1, min(1, int(a.Role)-int(b.Role)))
		}) {
			t.Fatalf("seed %d: rows are not in order", seed)
		}
	}
	t.Logf("%d reaches decided, %d rows that permit what the base may not", decided, differ)
	if decided < sets || differ == 0 {
		t.Error("the test tests nothing")
	}
}

// What HostArmor refuses for its own sake is an act like any other, and makes
// no list.
func TestTampering(t *testing.T) {
	self := hostpolicy.Policy{
		Name: "hostarmor", Self: true, Otherwise: hostpolicy.Block, AppliesTo: hostpolicy.Selector{Everything: true},
		Rules: []hostpolicy.Rule{
			{Policy: "hostarmor", Name: "self", Class: hostpolicy.System, Action: hostpolicy.Block, Operations: []hostpolicy.Operation{hostpolicy.OpTamper}},
			fileRule("hostarmor", "state", "/var/lib/hostarmor/"),
		},
	}
	plain := self
	plain.Self = false
	rs := mustCompile(t, []hostpolicy.Policy{self})
	if rs.Digest == mustCompile(t, []hostpolicy.Policy{plain}).Digest {
		t.Error("the digest does not tell the policy apart")
	}
	if len(rs.Policies) != 1 || !rs.Policies[0].Self {
		t.Errorf("policies %+v", rs.Policies)
	}
	role := rs.Role(lsm.RoleKey{})
	id := lsm.RuleID(1 + slices.IndexFunc(rs.Rules, func(r lsm.Rule) bool { return r.Name == "self" }))
	if diff := cmp.Diff(lsm.Cell{Action: hostpolicy.Block, Rule: id}, rs.Act(role, lsm.ActOf(hostpolicy.OpTamper, 0))); diff != "" {
		t.Errorf("tampering (-want +got):\n%s", diff)
	}
	for _, op := range hostpolicy.Operations(hostpolicy.System) {
		if got := rs.Act(role, lsm.ActOf(op, 0)); got != (lsm.Cell{}) {
			t.Errorf("%s is judged %+v", op, got)
		}
	}
	if role.Default != (lsm.Verdict{}) || role.System != (lsm.Cell{}) || role.Network != (lsm.Cell{}) || role.Capability != (lsm.Cell{}) {
		t.Errorf("the policy makes a list: %+v", role)
	}
	if kept, gaps := Supported([]hostpolicy.Policy{self}, lsm.Support{Lacks: map[lsm.Feature]string{lsm.OnContainer: "not here"}}); len(gaps) > 0 || len(kept[0].Rules) != 2 {
		t.Errorf("cut to %d rules, %v", len(kept[0].Rules), gaps)
	}
}
