package compile

import (
	"testing"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// A move between directories of one state changes no label beneath, and what
// another move takes away is judged by Below at its source.
func TestMoves(t *testing.T) {
	sets, moves := 600, 150
	if testing.Short() {
		sets = 80
	}
	equal, lost := 0, 0
	for seed := range uint64(sets) {
		r := newSource(seed + 1<<30)
		policies := r.policies()
		rs := mustCompile(t, policies)
		patterns := allPatterns(policies)
		mounts := r.mounts(patterns)
		host := mustPlace(t, rs, mounts)
		for range moves {
			from, to := r.file(mounts, patterns), r.file(mounts, patterns)
			to.device = from.device // a rename stays within its superblock
			if from.path == "/" || to.path == "/" {
				continue
			}
			rest := r.names(1 + r.IntN(2))
			program := r.path(patterns)
			before := namesOf(mounts, from.device, from.path+rest)
			after := namesOf(mounts, to.device, to.path+rest)
			if len(after) == 0 {
				continue // out of all mounts, where no pattern reaches
			}
			source, target := host.row(from.device, from.path), host.row(to.device, to.path)
			same := host.at(from.device, from.path) == host.at(to.device, to.path)
			key := lsm.RoleKey{Program: rs.Labels[label(rs, program).Index()].Program}
			judged := host.Lookup(key, source.Below)[lsm.KindMove]
			if same {
				equal++
			}
			for i := range rs.Rules {
				rule := &rs.Rules[i]
				was, is := rule.Names(hostpolicy.Object{Names: before}), rule.Names(hostpolicy.Object{Names: after})
				if same && was != is {
					t.Fatalf("seed %d: %s and %s have one state, but %s tells %q and %q apart\nmounts %v\n%s",
						seed, from.path, to.path, rule.ID(), before, after, mounts, describe(policies))
				}
				if !was || is || rule.Action == hostpolicy.Allow || !rule.Admits(hostpolicy.Subject{Programs: []string{program}}) {
					continue
				}
				lost++
				if !judged.Action.Valid() || judged.Action > rule.Action || judged.Otherwise {
					t.Fatalf("seed %d: the move of %s to %s by %s takes %q from %s, but is judged %+v (source %+v, target %+v)\nmounts %v\n%s",
						seed, from.path, to.path, program, before, rule.ID(), judged, source, target, mounts, describe(policies))
				}
			}
		}
	}
	t.Logf("%d moves within one state, %d rules lost by others", equal, lost)
	if equal == 0 || lost == 0 {
		t.Error("the test tests nothing")
	}
}

func (p placed) at(device uint32, path string) lsm.State {
	start := *p.Ruleset
	start.Start = p.starts[device]
	return start.Walk(path)
}

// Patterns that hold in every directory do not make moves a matter for rules.
func TestFloatingRulesDoNotJudgeMoves(t *testing.T) {
	policy := hostpolicy.Policy{
		Name: "p", AppliesTo: hostpolicy.Selector{Host: true}, Otherwise: hostpolicy.Block,
		Rules: []hostpolicy.Rule{
			fileRule("p", "key", "/**/id_rsa"),
			fileRule("p", "lib", "/**.key"),
			fileRule("p", "dir", "/srv/x/"),
			fileRule("p", "all", "/"),
		},
	}
	rs := mustCompile(t, []hostpolicy.Policy{policy})
	for _, test := range []struct {
		dir  string
		rule string // that judges a move, "" for none
	}{
		{"/home", ""}, {"/home/a/b", ""}, {"/home/id_rsa/b", ""},
		{"/srv", "p/file.dir"}, {"/srv/x", "p/file.dir"}, {"/srv/x/y", "p/file.dir"}, {"/srv/y", ""},
	} {
		below := rs.States[rs.Walk(test.dir)].Below
		got := ""
		if id := rs.Lookup(lsm.RoleKey{}, below)[lsm.KindMove].Rule; id != 0 {
			got = rs.Rules[id-1].ID()
		}
		if got != test.rule {
			t.Errorf("a move of %s is judged by %q, want %q", test.dir, got, test.rule)
		}
	}
	for _, same := range [][2]string{{"/home", "/home/a/b"}, {"/srv/y", "/tmp"}, {"/srv/x", "/srv/x/y"}} {
		if a, b := rs.Walk(same[0]), rs.Walk(same[1]); a != b {
			t.Errorf("%s has state %d and %s has %d, want one", same[0], a, same[1], b)
		}
	}
}
