package compile

import (
	"slices"
	"testing"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
	"github.com/hostarmor/hostarmor/lsm/lsmtest/random"
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
		r := random.New(seed+1<<30, hostFiles)
		policies := r.Policies()
		rs := mustCompile(t, policies)
		rules := hostpolicy.SortedRules(policies)
		patterns := random.Patterns(policies)
		mounts := r.Mounts(patterns)
		host := mustPlace(t, rs, mounts)
		for range moves {
			from, to := r.File(mounts, patterns), r.File(mounts, patterns)
			to.Device = from.Device // a rename stays within its superblock
			if from.Path == "/" || to.Path == "/" {
				continue
			}
			rest := r.Names(1 + r.IntN(2))
			program := r.Path(patterns)
			before := random.File{Device: from.Device, Path: from.Path + rest}.Names(mounts)
			after := random.File{Device: to.Device, Path: to.Path + rest}.Names(mounts)
			if len(after) == 0 {
				continue // out of all mounts, where no pattern reaches
			}
			source, target := host.row(from.Device, from.Path), host.row(to.Device, to.Path)
			same := host.at(from.Device, from.Path) == host.at(to.Device, to.Path)
			key := lsm.RoleKey{Program: rs.Labels[label(rs, program).Index()].Program}
			judged := host.Lookup(key, source.Below)[lsm.KindMove]
			if same {
				equal++
			}
			for _, rule := range rules {
				was, is := rule.Names(hostpolicy.Object{Names: before}), rule.Names(hostpolicy.Object{Names: after})
				if same && was != is {
					t.Fatalf("seed %d: %s and %s have one state, but %s tells %q and %q apart\nmounts %v\n%s",
						seed, from.Path, to.Path, rule.ID(), before, after, mounts, describe(policies))
				}
				if !was || is || rule.Action == hostpolicy.Allow || !rule.Admits(hostpolicy.Subject{Programs: []string{program}}) {
					continue
				}
				lost++
				if !judged.Action.Valid() || judged.Action > rule.Action || judged.Otherwise {
					t.Fatalf("seed %d: the move of %s to %s by %s takes %q from %s, but is judged %+v (source %+v, target %+v)\nmounts %v\n%s",
						seed, from.Path, to.Path, program, before, rule.ID(), judged, source, target, mounts, describe(policies))
				}
			}
		}
	}
	t.Logf("%d moves within one state, %d rules lost by others", equal, lost)
	if equal == 0 || lost == 0 {
		t.Error("the test tests nothing")
	}
}

// Nothing leaves the scope of an allow-list by a move that the list's
// `otherwise` does not judge.
func TestMovesOutOfLists(t *testing.T) {
	sets, moves := 400, 150
	if testing.Short() {
		sets = 80
	}
	support := only(lsm.OfProcess, lsm.OfFile, lsm.OnHost, lsm.Within, lsm.ProcessWithin)
	shaken, stays := make(map[string]int), 0
	for seed := range uint64(sets) {
		r := random.New(seed+1<<31, support)
		policies := r.Policies()
		rs := mustCompile(t, policies)
		patterns := random.Patterns(policies)
		mounts := r.Mounts(patterns)
		host := mustPlace(t, rs, mounts)
		for range moves {
			from, to := r.File(mounts, patterns), r.File(mounts, patterns)
			to.Device = from.Device
			rest := ""
			if r.Chance(60) {
				rest = r.Names(1 + r.IntN(2))
			}
			program := r.Path(patterns)
			before := random.File{Device: from.Device, Path: from.Path + rest}.Names(mounts)
			after := random.File{Device: to.Device, Path: to.Path + rest}.Names(mounts)
			if len(after) == 0 || from.Path == "/" || to.Path == "/" || host.at(from.Device, from.Path) == host.at(to.Device, to.Path) {
				continue
			}
			row, target := host.row(from.Device, from.Path), host.row(to.Device, to.Path)
			key := lsm.RoleKey{Program: rs.Labels[label(rs, program).Index()].Program}
			role := host.Role(key)
			judged := []lsm.Cell{host.Judge(role, row.Below)[lsm.KindMove]}
			leaves := host.Leaves(role, row.Below, target.Below, true)
			if rest == "" {
				own := host.Judge(role, row.Label)
				judged = []lsm.Cell{own[lsm.KindMove], own[lsm.KindWrite]}
				leaves = host.Leaves(role, row.Label, target.Label, false)
			}
			if judged[0].Otherwise && !leaves {
				judged[0] = lsm.Cell{}
				stays++
			}
			left := false
			subject := hostpolicy.Subject{Programs: []string{program}}
			for _, op := range []hostpolicy.Operation{hostpolicy.OpExec, hostpolicy.OpRead, hostpolicy.OpWrite} {
				was := hostpolicy.Decide(policies, subject, op, hostpolicy.Object{Names: before})
				is := hostpolicy.Decide(policies, subject, op, hostpolicy.Object{Names: after})
				if !was.Otherwise || is.Rule != nil && (!is.Otherwise || is.Action <= was.Action) {
					continue
				}
				shaken[op.String()]++
				left = true
				if !slices.ContainsFunc(judged, func(c lsm.Cell) bool { return c.Action.Valid() && c.Action <= was.Action }) {
					t.Fatalf("seed %d: the move of %s (%q) to %s by %s takes %q out of the list of %s, but is judged %+v\nmounts %v\n%s",
						seed, from.Path, rest, to.Path, program, before, was.Rule.ID(), judged, mounts, describe(policies))
				}
			}
			if rest == "" && leaves && !left {
				t.Fatalf("seed %d: the move of %s to %s by %s takes %q out of no list, and is judged %+v\nmounts %v\n%s",
					seed, from.Path, to.Path, program, before, judged, mounts, describe(policies))
			}
		}
	}
	t.Logf("accesses that a move let out of a list: %v; %d moves that stay within", shaken, stays)
	if len(shaken) < 3 || stays < sets/10 {
		t.Error("the test tests too little")
	}
}

// Within its subtree a list stays out of the way of renames.
func TestMovesWithinLists(t *testing.T) {
	within := func(text, scope string, action hostpolicy.Action) hostpolicy.Policy {
		r := ruleText(t, text)
		r.Within = fileRule("", "", scope).Path
		return hostpolicy.Policy{Name: r.Policy, AppliesTo: hostpolicy.Selector{Host: true}, Otherwise: action, Rules: []hostpolicy.Rule{r}}
	}
	rs := mustCompile(t, []hostpolicy.Policy{
		within("app/process.bin allow x /srv/app/bin/*", "/srv/app/", hostpolicy.Block),
		within("data/file.data allow r /srv/app/data/", "/srv/app/data/", hostpolicy.Block),
		within("home/process.none allow x /home/none", "/home/", hostpolicy.Audit),
		within("bins/process.none allow x /opt/none", "/opt/*/bin/", hostpolicy.Block),
		{Name: "other", AppliesTo: hostpolicy.Selector{Host: true}, Rules: []hostpolicy.Rule{ruleText(t, "other/file.x block r /srv/app/x/y")}},
	})
	for _, test := range []struct {
		from, to string
		want     bool // of the file, of what is beneath
	}{
		{"/srv/app/a", "/srv/app/b/c", false},
		{"/srv/app/a", "/srv/app/x", false}, // another state, for another rule
		{"/srv/app/a", "/srv/app/bin/a", false},
		{"/srv/app/a", "/srv/app/data/a", false},
		{"/srv/app/data/a", "/srv/app/a", true},
		{"/srv/app/data/a", "/srv/app/data/b/c", false},
		{"/srv/app/a", "/srv/a", true},
		{"/srv/app/a", "/home/a", true}, // which only logs
		{"/home/a", "/srv/app/a", false},
		{"/home/a", "/opt/x/bin/a", false},
		{"/opt/x/bin/a", "/opt/y/bin", false},
		{"/opt/x/bin/a", "/opt/y/lib", true},
		{"/opt/x/bin/a", "/home/a", true},
	} {
		role, from, to := rs.Role(lsm.RoleKey{}), rs.States[rs.Walk(test.from)], rs.States[rs.Walk(test.to)]
		if got := rs.Leaves(role, from.Label, to.Label, false); got != test.want {
			t.Errorf("a file that moves from %s to %s: %t", test.from, test.to, got)
		}
		if got := from.Below != to.Below && rs.Leaves(role, from.Below, to.Below, true); got != test.want {
			t.Errorf("a directory that moves from %s to %s: %t", test.from, test.to, got)
		}
	}
	// Of what is beneath these directories only some is in a list's reach.
	for _, test := range [][2]string{{"/srv", "/tmp"}, {"/srv/app/a", "/srv"}, {"/opt/x/bin", "/opt/y"}, {"/opt/x", "/opt/x/y"}} {
		role, from, to := rs.Role(lsm.RoleKey{}), rs.States[rs.Walk(test[0])], rs.States[rs.Walk(test[1])]
		if cell := rs.Judge(role, from.Below)[lsm.KindMove]; cell.Action != hostpolicy.Block || cell.Otherwise && !rs.Leaves(role, from.Below, to.Below, true) {
			t.Errorf("a directory that moves from %s to %s stays in the lists' reach, or is judged %+v", test[0], test[1], cell)
		}
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
