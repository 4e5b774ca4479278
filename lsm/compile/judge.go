package compile

import (
	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// tier collects rules that decide alike: the smallest RuleID is named.
type tier struct {
	rule      lsm.RuleID
	dangerous bool
}

func (t *tier) add(rule lsm.RuleID, dangerous bool) {
	if t.rule == 0 || rule < t.rule {
		t.rule = rule
	}
	t.dangerous = t.dangerous || dangerous
}

func (t *tier) join(o tier) {
	if o.rule != 0 {
		t.add(o.rule, o.dangerous)
	}
}

// tiers is by action: of rules that match, or by `otherwise` of allow rules
// that make a list.
type tiers [hostpolicy.Allow + 1]tier

// matched is the verdict of rules that match.
func (t *tiers) matched() lsm.Cell {
	for a := hostpolicy.Block; a <= hostpolicy.Allow; a++ {
		if t[a].rule != 0 {
			return lsm.Cell{Action: a, Rule: t[a].rule, Dangerous: t[a].dangerous}
		}
	}
	return lsm.Cell{}
}

// otherwise is the verdict of allow-lists where no rule matches.
func (t *tiers) otherwise() lsm.Cell {
	for a := hostpolicy.Block; a <= hostpolicy.Audit; a++ {
		if t[a].rule != 0 {
			return lsm.Cell{Action: a, Rule: t[a].rule, Otherwise: true, Dangerous: t[a].dangerous}
		}
	}
	return lsm.Cell{}
}

// subject is a class of subjects, as rules see it.
type subject struct {
	held     []bool   // by policy: whether its place holds the subject
	users    uint64   // user class
	programs []uint32 // program lists
	lists    []bool   // whether it is of a program list
	// Allow-lists without a scope.
	open [hostpolicy.System + 1]tiers
}

// judge finds what rules say to subjects.
type judge struct {
	rs     *lsm.Ruleset   // all but labels and verdicts
	labels []lsm.LabelRow // all there are
	lists  int            // the greatest number of a program list
	scoped [][]lsm.RuleID // allow rules, by scope
}

func newJudge(rs *lsm.Ruleset, labels []lsm.LabelRow) *judge {
	j := &judge{rs: rs, labels: labels}
	for i := range rs.Facts {
		f := &rs.Facts[i]
		j.lists = max(j.lists, int(f.From), int(f.ExceptFrom))
		for int(f.Within) >= len(j.scoped) {
			j.scoped = append(j.scoped, nil)
		}
		if f.Within != 0 {
			j.scoped[f.Within] = append(j.scoped[f.Within], lsm.RuleID(i+1))
		}
	}
	return j
}

// admits reports whether a rule counts for the subject.
func (j *judge) admits(s *subject, id lsm.RuleID) bool {
	f := &j.rs.Facts[id-1]
	return s.held[f.Policy] && j.rs.Policies[f.Policy].Users&^s.users == 0 &&
		(f.From == 0 || s.lists[f.From]) && (f.ExceptFrom == 0 || !s.lists[f.ExceptFrom])
}

func (j *judge) policy(id lsm.RuleID) *lsm.PolicyRow {
	return &j.rs.Policies[j.rs.Facts[id-1].Policy]
}

// list adds an allow rule to the tiers of the lists of its class.
func (j *judge) list(t *tiers, id lsm.RuleID) {
	p := j.policy(id)
	if a := p.Otherwise[j.rs.Rules[id-1].Class]; a.Valid() {
		t[a].add(id, p.Dangerous)
	}
}

// verdict is that on a label; ok is false where nothing decides that would not
// decide about every file.
func (j *judge) verdict(label uint32, s *subject) (v lsm.Verdict, ok bool) {
	var matched [lsm.KindMove + 1]tiers
	row := &j.labels[label]
	called := row.Called
	for _, id := range row.Rules {
		runs := len(j.rs.Rules[id-1].Args) == 0
		if len(called) > 0 && called[0] == id {
			runs, called = true, called[1:]
		}
		if !j.admits(s, id) {
			continue
		}
		r := &j.rs.Rules[id-1]
		if r.OwnerOnly && row.Owner != (r.Action == hostpolicy.Allow) {
			continue
		}
		ok = true
		dangerous := j.policy(id).Dangerous
		for k := range matched {
			if decides(r, lsm.Kind(k), runs) {
				matched[k][r.Action].add(id, dangerous)
			}
		}
	}
	lists := [...]tiers{lsm.KindExec: s.open[hostpolicy.Process], lsm.KindRead: s.open[hostpolicy.File]}
	var scoped [2]tiers // by kind, as lists
	for _, scope := range j.rs.Scopes[row.Scope] {
		ok = j.scope(scope, s, &scoped) || ok
	}
	for k := lsm.KindExec; k <= lsm.KindWrite; k++ {
		list := min(k, lsm.KindRead) // reading and writing share one
		if v[k] = matched[k].matched(); v[k].Action.Valid() {
			continue
		}
		all := lists[list]
		for a := range all {
			all[a].join(scoped[list][a])
		}
		v[k] = all.otherwise()
	}
	v[lsm.KindMap] = matched[lsm.KindMap].matched()

	leaving := [2]bool{v[lsm.KindExec].Otherwise, v[lsm.KindRead].Otherwise || v[lsm.KindWrite].Otherwise}
	for _, scope := range j.rs.Scopes[row.Beneath] {
		ok = j.scope(scope, s, &scoped) || ok
		leaving = [2]bool{true, true}
	}
	move := &matched[lsm.KindMove]
	v[lsm.KindMove] = move.matched()
	for list, leaves := range leaving {
		cell := scoped[list].otherwise()
		if !stronger(cell, lists[list].otherwise()) {
			cell = lsm.Cell{}
		}
		if leaves && stronger(cell, v[lsm.KindMove]) {
			v[lsm.KindMove] = cell
		}
		if row.Beneath == 0 {
			continue
		}
		// No name has this label. Its columns say what a move could let out.
		if list == 0 {
			v[lsm.KindExec] = cell
		} else {
			v[lsm.KindRead], v[lsm.KindWrite] = cell, cell
		}
	}
	var held [2]tiers
	for _, scope := range j.rs.Scopes[row.Held] {
		j.scope(scope, s, &held)
	}
	v[lsm.KindHoldExec], v[lsm.KindHoldFile] = held[0].otherwise(), held[1].otherwise()
	return v, ok
}

// decides reports whether a rule that names a file is about this kind of use;
// runs is whether it is about the command that an exec runs.
func decides(r *lsm.Rule, k lsm.Kind, runs bool) bool {
	switch k {
	case lsm.KindExec:
		return r.Class == hostpolicy.Process && r.Access&hostpolicy.Exec != 0 && runs
	case lsm.KindMap:
		return r.Class == hostpolicy.Process && r.Access&hostpolicy.Exec != 0 && restricts(r.Action)
	case lsm.KindRead:
		return r.Class == hostpolicy.File && r.Access&hostpolicy.Read != 0
	case lsm.KindWrite:
		return r.Class == hostpolicy.File && r.Access&hostpolicy.Write != 0
	}
	return restricts(r.Action)
}

// scope adds the allow-lists of a scope, and reports whether there are any.
func (j *judge) scope(scope uint32, s *subject, scoped *[2]tiers) bool {
	found := false
	for _, id := range j.scoped[scope] {
		if !j.admits(s, id) {
			continue
		}
		found = true
		list := lsm.KindRead
		if j.rs.Rules[id-1].Class == hostpolicy.Process {
			list = lsm.KindExec
		}
		j.list(&scoped[list], id)
	}
	return found
}

// stronger reports whether a refuses or logs what b does not. A move that
// takes a file out of a list's scope leaves b in force.
func stronger(a, b lsm.Cell) bool {
	return a.Action.Valid() && (!b.Action.Valid() || a.Action < b.Action)
}
